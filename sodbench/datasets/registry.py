"""The known datasets: names, counts, item names, citations, known faults, sources.

The facts are in ``known.toml`` and the item names in ``lists/``, next to this module; `register_dataset` adds
datasets of other packages.
"""

import difflib
import fnmatch
import lzma
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sodbench.errors import SodbenchError
from sodbench.plugins import load_plugins

_DATA_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Source:
    """One archive or page to get a dataset from.

    Attributes
    ----------
    url : str
        The address. Links were found in public lists and code, and may be dead.
    holds : str
        What it contains, in words.
    into : str
        Folder below the dataset's own folder to extract into.
    several : bool
        The archive holds several datasets, each in a folder of its own name.
    drive : bool
        A Google Drive link, which needs gdown.
    """

    url: str
    holds: str
    into: str = "."
    several: bool = False
    drive: bool = False


@dataclass(frozen=True)
class Weights:
    """A file of published weights.

    Attributes
    ----------
    name, url, about : str
        How it is asked for, where it is, and what it is.
    sha256 : str
        Its SHA-256 in hexadecimal digits, or as many of its first digits as are known.
    """

    name: str
    url: str
    sha256: str
    about: str

    def path(self, data_root: Path) -> Path:
        """Return where the file is stored once it is downloaded.

        Parameters
        ----------
        data_root : Path

        Returns
        -------
        Path
            Below ``data_root/weights``.
        """
        return data_root / "weights" / self.url.rpartition("/")[2]


@dataclass(frozen=True)
class DatasetInfo:
    """What is known about one dataset.

    Attributes
    ----------
    name : str
        The name that sodbench prints.
    count : int, optional
        Official number of images; None if no list or paper at hand verifies one.
    reported : str
        What publications state about the number where it is not verified.
    aliases : tuple of str
        Other spellings; case and punctuation never matter.
    code : str
        The letter of the reference's test script; empty for datasets that are not among its six test sets.
    extension : str
        Extension of the official images.
    about, citation, bibtex, licence, page : str
        What it shows; one line; the entry; as far as known; the authors' page.
    downloads : tuple of tuple of Source
        Ways to download it, best first; each is the archives that together give the whole dataset.
    pages : tuple of Source
        Pages to visit by hand.
    known : mapping of str to str
        Item name -> what is known to be wrong with it, or special about it.
    subsets : mapping of str to str
        Subset name -> what it is. A subset without a pattern or an item list of its own is the whole without the
        `known` items.
    patterns : mapping of str to str
        Subset name -> the pattern of its items' names, such as ``COD10K-CAM-*``.
    parts : tuple of str
        The datasets that this one is the union of; its items are then named ``<part>/<stem>``.
    collection : str
        The folder as which several datasets are distributed together, such as ``DIS5K`` for DIS-TE1.
    items : frozenset of str, optional
        The official item names (stems), if they are not in ``lists/``.
    """

    name: str
    count: int | None = None
    aliases: tuple[str, ...] = ()
    code: str = ""
    extension: str = ".jpg"
    about: str = ""
    citation: str = ""
    bibtex: str = ""
    licence: str = "unknown"
    page: str = ""
    downloads: tuple[tuple[Source, ...], ...] = ()
    pages: tuple[Source, ...] = ()
    known: Mapping[str, str] = field(default_factory=dict)
    subsets: Mapping[str, str] = field(default_factory=dict)
    items: frozenset[str] | None = None
    reported: str = ""
    patterns: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    collection: str = ""

    @property
    def count_text(self) -> str:
        """The official number of images, or that it is not verified and what publications state."""
        if self.count is not None:
            return str(self.count)
        return "not verified" + (f" ({self.reported})" if self.reported else "")

    @property
    def match_keys(self) -> tuple[str, ...]:
        """The normalised names of folders that may hold the dataset, longest first."""
        keys = {normalise_name(name) for name in (self.name, *self.aliases)}
        return tuple(sorted(keys, key=lambda key: (-len(key), key)))


def normalise_name(name: str) -> str:
    """Return a name without case, spaces and punctuation, as dataset and folder names are compared.

    Returns
    -------
    str
        Letters and digits only, in lower case.
    """
    return re.sub(r"[\W_]+", "", name).lower()


_datasets: dict[str, DatasetInfo] = {}
_name_by_key: dict[str, str] = {}


class _Datasets(Mapping[str, DatasetInfo]):
    """The registered datasets; plug-ins are loaded when the first one is looked up."""

    def __getitem__(self, name: str) -> DatasetInfo:
        load_plugins("sodbench.datasets")
        return _datasets[name]

    def __iter__(self) -> Iterator[str]:
        load_plugins("sodbench.datasets")
        return iter(_datasets)

    def __len__(self) -> int:
        load_plugins("sodbench.datasets")
        return len(_datasets)


# Every known dataset by name.
DATASETS: Mapping[str, DatasetInfo] = _Datasets()


def register_dataset(info: DatasetInfo) -> None:
    """Make a dataset known by name, like the built-in ones.

    A package whose datasets should reach the command line declares an entry point in the group
    ``sodbench.datasets``.

    Parameters
    ----------
    info : DatasetInfo
        The facts. Registering equal facts twice has no effect.

    Raises
    ------
    SodbenchError
        If another dataset already has the name or one of the aliases.

    Examples
    --------
    >>> register_dataset(DatasetInfo("CoCA", count=1295, about="co-salient objects"))
    >>> canonical_name("coca")
    'CoCA'
    """
    # a module that registers a dataset may be imported twice, as by a plug-in and by a script
    if _datasets.get(info.name) == info:
        return
    for key in info.match_keys:
        if key in _name_by_key:
            raise SodbenchError(
                f"dataset {info.name}: {_name_by_key[key]} already has this name or alias ({key})"
            )
    _datasets[info.name] = info
    _name_by_key.update(dict.fromkeys(info.match_keys, info.name))


def _load_known() -> tuple[Weights, ...]:
    """Register the datasets of ``known.toml`` and return its weights."""
    with (_DATA_FOLDER / "known.toml").open("rb") as file:
        known = tomllib.load(file)
    shared = {name: Source(**source) for name, source in known["sources"].items()}

    def source(entry: str | dict[str, Any]) -> Source:
        return shared[entry] if isinstance(entry, str) else Source(**entry)

    for facts in known["datasets"]:
        for key in ("known", "subsets", "patterns"):
            # facts are shared by everyone who looks the dataset up
            facts[key] = MappingProxyType(facts.get(key, {}))
        for key in ("aliases", "parts"):
            facts[key] = tuple(facts.get(key, ()))
        facts["pages"] = tuple(map(source, facts.get("pages", ())))
        facts["downloads"] = tuple(tuple(map(source, way)) for way in facts.get("downloads", ()))
        register_dataset(DatasetInfo(**facts))
    return tuple(Weights(**facts) for facts in known["weights"])


# Published weights that can be downloaded by name.
WEIGHTS = _load_known()

# The six test sets in the order of the reference's test script.
TEST_SETS = tuple(info.name for info in _datasets.values() if info.code)

TRAIN_SET = "DUTS-TR"


def known_name(name: str) -> str | None:
    """Return the canonical name of a dataset without its subset; None if the name is unknown.

    Returns
    -------
    str or None
        For example ``PASCAL-S`` for ``pascals``.
    """
    load_plugins("sodbench.datasets")
    return _name_by_key.get(normalise_name(name))


def canonical_name(name: str) -> str:
    """Return a dataset's name as sodbench prints it.

    Parameters
    ----------
    name : str
        A name or alias, with a subset if wanted; case and punctuation do not matter. ``DUTS`` means DUTS-TE.

    Returns
    -------
    str
        For example ``PASCAL-S`` for ``pascals``, ``HKU-IS/test`` for ``hkuis/test``.

    Raises
    ------
    SodbenchError
        If the dataset or subset is unknown; the message suggests the nearest name.
    """
    base, slash, subset = name.strip().partition("/")
    known = known_name(base)
    if known is None:
        # the nearest name is suggested, never taken: it may be another dataset
        raise SodbenchError(*_describe_unknown(base))
    if not slash:
        return known
    subsets = DATASETS[known].subsets
    if subset.lower() not in subsets:
        offered = ", ".join(f"{known}/{s}" for s in subsets) or "none"
        raise SodbenchError(f"{known} has no subset {subset!r}; its named subsets: {offered}")
    return f"{known}/{subset.lower()}"


def _describe_unknown(name: str) -> tuple[str, ...]:
    near = difflib.get_close_matches(normalise_name(name), _name_by_key, n=1, cutoff=0.5)
    hint = f"; did you mean {_name_by_key[near[0]]}?" if near else ""
    return (
        f"unknown dataset {name!r}{hint}",
        f"  known: {', '.join(DATASETS)} (and subsets such as HKU-IS/test)",
        "  your own: give the path of a folder with images and masks, or of a TOML file",
    )


def official_names(name: str) -> frozenset[str]:
    """Return the official item names (stems) of a known dataset.

    The built-in lists were taken from public list files that agree with one another; see docs/datasets.md.

    Parameters
    ----------
    name : str
        A known dataset or a named subset, such as ``HKU-IS/test``.

    Returns
    -------
    frozenset of str
        Empty for a dataset whose item names are not known, and for a subset that is a pattern of names.

    Raises
    ------
    SodbenchError
        If the dataset or subset is unknown.
    """
    base, _, subset = canonical_name(name).partition("/")
    info = DATASETS[base]
    if info.parts or subset in info.patterns:
        return frozenset()
    if subset and (split := _read_list(f"{base}-{subset}")):
        return split
    whole = info.items
    if whole is None:
        # a dataset that is published in splits has a list for each of them
        splits = (_read_list(f"{base}-{subset}") for subset in info.subsets)
        whole = _read_list(base) or frozenset().union(*splits)
    return whole - info.known.keys() if subset else whole


def subset_items(info: DatasetInfo, subset: str, stems: Collection[str]) -> frozenset[str]:
    """Return the items of a named subset: the official ones, or those of its pattern.

    Parameters
    ----------
    info : DatasetInfo
    subset : str
        One of ``info.subsets``.
    stems : collection of str
        The items that the dataset has on disk, among which a pattern selects.

    Returns
    -------
    frozenset of str
        Empty if the names are not known.
    """
    if pattern := info.patterns.get(subset):
        return frozenset(stem for stem in stems if fnmatch.fnmatchcase(stem, pattern))
    return official_names(f"{info.name}/{subset}")


@cache
def _read_list(name: str) -> frozenset[str]:
    """The lines of a list file; empty if there is none."""
    file = _DATA_FOLDER / "lists" / f"{name}.txt.xz"
    if not file.is_file():
        return frozenset()
    return frozenset(lzma.decompress(file.read_bytes()).decode().splitlines())
