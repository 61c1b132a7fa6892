"""What a data set on disk is: samples, where they were found, and what was noticed on the way."""

import dataclasses
import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sodbench.console import say
from sodbench.datasets.official import official_names
from sodbench.datasets.pairing import columns, is_comment, is_delimited, read_numbered_lines
from sodbench.errors import Problem, SodbenchError
from sodbench.images import IMAGE_EXTENSIONS

MAX_NAME_BYTES = 200
"""Longer names of datasets are refused: most file systems take 255 bytes for a folder's name."""


class DatasetNotFound(SodbenchError):
    """No such data set on this disk; the message lists what was looked for."""


@dataclass(frozen=True)
class Sample:
    """One item: its stem, and the files that were found of it."""

    stem: str
    image: Path | None
    mask: Path | None


@dataclass(frozen=True)
class Dataset:
    """A resolved data set.

    name: canonical, with its subset (``HKU-IS/test``).
    root: the folder that holds it; layout: how it is laid out there, in words.
    samples: sorted by stem; a sample may lack its image or its mask (see ``problems``).
    expected: the official number of items, or None where nobody says.
    notes: what was found and done, one sentence each.
    problems: items without image or mask, listed items without files, stems claimed twice.
    excluded: stems of the whole set that are not in the subset asked for.
    source: the arguments that select this very dataset as GT on the command line (``sodbench eval PREDS *source``):
        an absolute path or a name, then options.  Empty where no arguments do, for example for samples
        chosen in Python.
    """

    name: str
    root: Path
    layout: str
    samples: tuple[Sample, ...]
    expected: int | None = None
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    excluded: frozenset[str] = frozenset()
    source: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def images(self) -> dict[str, Path]:
        """Stem -> image, for the samples that have one."""
        return {s.stem: s.image for s in self.samples if s.image}

    @property
    def masks(self) -> dict[str, Path]:
        """Stem -> mask, for the samples that have one."""
        return {s.stem: s.mask for s in self.samples if s.mask}

    def select(self, stems: Collection[str], subset: str) -> "Dataset":
        """The samples of these stems, as the subset of that name (``test``, ``list:1a2b3c4d``, ...).

        Stems that the set does not have become problems of kind ``missing``.
        """
        wanted = set(stems)
        found = {sample.stem for sample in self.samples}
        return dataclasses.replace(
            self,
            name=f"{self.name}/{subset}",
            samples=tuple(s for s in self.samples if s.stem in wanted),
            expected=len(wanted),
            notes=(*self.notes, f"subset {subset}: {len(wanted & found)} of {len(found)} items"),
            problems=(
                *(p for p in self.problems if stem_of(p.file) not in found - wanted),
                *(
                    Problem(
                        "missing", stem, f"item of the subset {subset}, not found in {self.root}"
                    )
                    for stem in sorted(wanted - found)
                ),
            ),
            excluded=self.excluded | (found - wanted),
            source=(),
        )

    def subset(self, subset: str) -> "Dataset":
        """A named subset of a known set (``test`` of HKU-IS).  Raises :class:`SodbenchError` if unknown."""
        official = official_names(f"{self.name}/{subset}")
        notes = tuple(note for note in self.notes if " are official" not in note)
        dataset = dataclasses.replace(self, notes=notes).select(official, subset.lower())
        return dataclasses.replace(dataset, source=self._subset_source(subset.lower()))

    def _subset_source(self, subset: str) -> tuple[str, ...]:
        """The arguments that select a named subset: ``<path or name of the set>/<subset>``."""
        if not self.source or self.source[0].lower().endswith(".toml"):
            return ()
        path = f"{self.source[0]}/{subset}"
        if Path(path).is_dir():  # a folder of this name would be read instead of the subset
            name = self.name.partition("/")[0]
            return (f"{name}/{subset}", "--data-root", str(Path(self.source[0]).parent))
        return (path, *self.source[1:])

    def _with_options(self, *options: str) -> tuple[str, ...]:
        return (*self.source, *options) if self.source else ()

    def head(self, limit: int) -> "Dataset":
        """The first ``limit`` samples in the order of their stems, as subset ``first<limit>``."""
        if limit < 1:
            raise SodbenchError(f"--limit {limit}: give a positive number of images")
        if limit >= len(self.samples):
            return self
        first = self.select([sample.stem for sample in self.samples[:limit]], f"first{limit}")
        return dataclasses.replace(first, source=self._with_options("--limit", str(limit)))

    def listed(self, list_file: Path | str) -> "Dataset":
        """The samples named in a list file, one name a line (extensions and folders are ignored).

        The subset's name carries a hash of the names, so that two people can see that they mean the
        same list.
        """
        items = {sample.stem for sample in self.samples} | self.excluded
        stems = read_stem_list(Path(list_file), items)
        chosen = self.select(stems, subset_name(stems))
        source = self._with_options("--items", str(Path(list_file).absolute()))
        return dataclasses.replace(chosen, source=source)


def subset_name(stems: Collection[str]) -> str:
    """The name of the subset that a list selects: a hash of its names, whatever their order."""
    digest = hashlib.sha256("\n".join(sorted(stems)).encode("utf-8", "surrogateescape"))
    return f"list-{digest.hexdigest()[:8]}"


def check_name(name: str, where: str) -> None:
    """Raise :class:`SodbenchError` for a text that cannot name a dataset; ``where``: what gives the name.

    A name becomes part of messages, of tables and of folders' names, and ``/`` separates a subset from it.
    """
    if not name.strip():
        reason = "a name is not empty"
    elif name in (".", ".."):
        reason = "this is not a name, but a folder"
    elif "/" in name or "\\" in name:
        reason = "a name has no '/' or '\\', which separates a subset or a folder"
    elif not name.isprintable():
        reason = "a name has no line breaks, control or invisible characters"
    elif len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        reason = f"a name has at most {MAX_NAME_BYTES} bytes"
    else:
        return
    raise SodbenchError(f"{where} = {name[:200]!a}: {reason}")


def deduplicate(datasets: Iterable[Dataset]) -> list[Dataset]:
    """Each data set once, in the order given; one that was named several times is said to be."""
    kept: dict[tuple[object, ...], Dataset] = {}
    repeated: dict[str, None] = {}
    for dataset in datasets:
        stems = tuple(sample.stem for sample in dataset.samples)
        key = (dataset.name, dataset.root.resolve(), dataset.layout, stems)
        if kept.setdefault(key, dataset) is not dataset:
            repeated[dataset.name] = None
    for name in repeated:
        say(f"{name} is named several times; it is taken once")
    return list(kept.values())


def check_unique_names(datasets: Iterable[Dataset]) -> None:
    """Raise :class:`SodbenchError` where different data sets have one name, under which they would be mixed up."""
    by_name: dict[str, Dataset] = {}
    for dataset in datasets:
        first = by_name.setdefault(dataset.name, dataset)
        if first is not dataset:
            raise SodbenchError(
                f"two datasets are called {dataset.name}: {first.root} ({first.layout}) and {dataset.root} "
                f"({dataset.layout}); leave one out, or give it another name in a TOML file"
            )


def apply_limits(
    datasets: Sequence[Dataset], list_file: Path | str | None, limit: int | None
) -> list[Dataset]:
    """The data sets restricted as ``--items FILE`` and ``--limit N`` say (None: not).

    Raises :class:`SodbenchError` where a list is given for several sets: it names the items of one.
    """
    if list_file is not None:
        if len(datasets) != 1:
            names = ", ".join(dataset.name for dataset in datasets)
            raise SodbenchError(
                f"--items names the items of one dataset, but there are several: {names}; choose one with --datasets"
            )
        datasets = [datasets[0].listed(list_file)]
    return [dataset.head(limit) if limit is not None else dataset for dataset in datasets]


def read_stem_list(list_file: Path, items: Collection[str]) -> tuple[str, ...]:
    """The stems of a list of file names, one item a line, as ``test.lst`` has them.

    A picture's extension and leading folders are stripped.  A line is a whole name, which may hold spaces, or several
    columns of which the first counts; comments (``#``) are ignored.

    Parameters
    ----------
    list_file
        The list.
    items
        The stems of the dataset, which show what a line with spaces means.

    Raises
    ------
    SodbenchError
        For a list without items, and for a line of two meanings.
    """
    stems: dict[str, None] = {}
    for number, line in read_numbered_lines(list_file):
        if is_comment(line) and stem_of(line) not in items:
            continue
        stems[_listed_stem(line, items, f"{list_file}, line {number}")] = None
    if not stems:
        raise SodbenchError(f"{list_file}: the list names no items")
    return tuple(stems)


def _listed_stem(line: str, items: Collection[str], where: str) -> str:
    """The item that a line of a list names, whether it is there or not."""
    parts = columns(line)
    if not parts:
        raise SodbenchError(f"{where}: {line!r} names nothing")
    if is_delimited(line) or len(parts) == 1:
        return stem_of(parts[0])
    whole, first = stem_of(line), stem_of(parts[0])
    folder = line.replace("\\", "/").rpartition("/")[0]
    if is_picture_name(parts[0]) and any(map(is_picture_name, folder.split())):
        return first  # 'images/a.jpg masks/a.png': the part before the last slash is no folder
    if first not in items:
        return first if whole not in items and is_picture_name(parts[0]) else whole
    if whole not in items and is_picture_name(parts[0]):
        return first
    both = (
        f"{whole!r} and {first!r} are items"
        if whole in items
        else f"{first!r} is an item, {whole!r} is not"
    )
    raise SodbenchError(
        f"{where}: {line!r} is one name with a space, or several columns: {both}; put a name with spaces in "
        "double quotes, or separate columns by tabs"
    )


def is_picture_name(name: str) -> bool:
    """Whether a listed name ends as a picture's does."""
    return f".{name.rpartition('.')[2].lower()}" in IMAGE_EXTENSIONS


def stem_of(name: str) -> str:
    """A file's name without folders, and without its extension if it is a picture's (stems have dots)."""
    name = name.replace("\\", "/").rsplit("/", 1)[-1]
    stem, dot, extension = name.rpartition(".")
    return stem if dot and f".{extension.lower()}" in IMAGE_EXTENSIONS else name
