"""A dataset on disk: its samples, where they were found, and what was noticed."""

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sodbench.console import logger
from sodbench.datasets.list_files import image_stem, list_subset_name, read_stem_list
from sodbench.datasets.registry import DATASETS, canonical_name, subset_items
from sodbench.errors import Problem, SodbenchError

# Most file systems allow 255 bytes for a folder's name, and endings are added.
MAX_NAME_BYTES = 200


class DatasetNotFound(SodbenchError):
    """The dataset is not on this disk; the message lists where it was looked for."""


class Sample(NamedTuple):
    """One item of a dataset: its stem, its image and its mask; one of the files may be missing.

    Attributes
    ----------
    stem : str
        The item's name: that of its files without the extension.
    image, mask : Path, optional
        None if there is no such file.
    """

    stem: str
    image: Path | None
    mask: Path | None


@dataclass(frozen=True)
class Dataset:
    """A dataset that was found on disk.

    Attributes
    ----------
    name : str
        The canonical name, with the subset (``HKU-IS/test``).
    root : Path
        The folder that holds it.
    layout : str
        How it is laid out there, in words.
    samples : tuple of Sample
        Sorted by stem. A sample may lack its image or its mask (see `problems`).
    expected : int, optional
        The official number of items, if one is known.
    notes : tuple of str
        What was detected and done, one sentence each.
    problems : tuple of Problem
        Items without image or mask, listed items without files, stems claimed twice.
    excluded : frozenset of str
        Stems of the whole dataset that are not in the subset asked for.
    source : tuple of str
        The arguments that select this very dataset as GT on the command line (``sodbench eval PREDS *source``):
        an absolute path or a name, then options. Empty if no arguments do, for example for samples that were
        selected in Python.
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
    def base_name(self) -> str:
        """The name without the subset."""
        return self.name.partition("/")[0]

    @property
    def stems(self) -> frozenset[str]:
        """The names of the items."""
        return frozenset(sample.stem for sample in self.samples)

    @property
    def groups(self) -> frozenset[str]:
        """The folders that the items' names begin with: sequences, classes or parts; empty for a plain dataset."""
        return frozenset(stem.rpartition("/")[0] for stem in self.stems if "/" in stem)

    @property
    def images(self) -> dict[str, Path]:
        """Stem -> image, for the samples that have one."""
        return {s.stem: s.image for s in self.samples if s.image}

    @property
    def masks(self) -> dict[str, Path]:
        """Stem -> mask, for the samples that have one."""
        return {s.stem: s.mask for s in self.samples if s.mask}

    @property
    def folders(self) -> list[Path]:
        """The folders that hold the images and the masks themselves, sorted; nothing is written into them."""
        files = (*self.images.values(), *self.masks.values())
        return sorted({file.parent for file in files})

    def select(self, stems: Collection[str], subset: str) -> "Dataset":
        """Select the samples with the given stems.

        Parameters
        ----------
        stems : collection of str
            The wanted items. Those that the dataset does not have become problems of kind ``missing``.
        subset : str
            The name of the subset: ``test``, ``list-1a2b3c4d`` ...

        Returns
        -------
        Dataset
            Named ``<dataset>/<subset>``.
        """
        wanted, present = set(stems), self.stems
        excluded = present - wanted
        missing = (
            Problem("missing", stem, f"item of the subset {subset}, not found in {self.root}")
            for stem in sorted(wanted - present)
        )
        # a problem of an item outside the subset is none of its own
        own_problems = (p for p in self.problems if image_stem(p.file) not in excluded)
        note = f"subset {subset}: {len(wanted & present)} of {len(present)} items"
        return dataclasses.replace(
            self,
            name=f"{self.name}/{subset}",
            samples=tuple(s for s in self.samples if s.stem in wanted),
            expected=len(wanted),
            notes=(*self.notes, note),
            problems=(*own_problems, *missing),
            excluded=self.excluded | excluded,
            source=(),
        )

    def select_subset(self, subset: str) -> "Dataset":
        """Select a named subset of a known dataset, such as ``test`` of HKU-IS.

        Raises
        ------
        SodbenchError
            If the dataset has no such subset, or its item names are not known.
        """
        name = canonical_name(f"{self.name}/{subset}").partition("/")[2]
        info = DATASETS[self.name]
        official = subset_items(info, name, self.stems)
        if not official and name in info.patterns:
            raise SodbenchError(
                f"{self.name}/{subset}: no item in {self.root} has a name like {info.patterns[name]}"
            )
        if not official:
            raise SodbenchError(f"{self.name}/{subset}: the names of its items are not known")
        # that note compares the whole dataset with its official list
        notes = tuple(note for note in self.notes if " are official" not in note)
        dataset = dataclasses.replace(self, notes=notes).select(official, name)
        # what is on disk does not verify a pattern's number of items
        expected = None if name in info.patterns else dataset.expected
        return dataclasses.replace(dataset, expected=expected, source=self._subset_source(name))

    def _subset_source(self, subset: str) -> tuple[str, ...]:
        """The arguments that select a named subset: ``<path or name of the dataset>/<subset>``."""
        # what follows a file of TOML cannot be a subset: no arguments select it
        if not self.source or self.source[0].lower().endswith(".toml"):
            return ()
        path = f"{self.source[0]}/{subset}"
        # a folder of this name would be read instead of the subset
        if Path(path).is_dir():
            return (f"{self.base_name}/{subset}", "--data-root", str(Path(self.source[0]).parent))
        return (path, *self.source[1:])

    def _source_with(self, *options: str) -> tuple[str, ...]:
        return (*self.source, *options) if self.source else ()

    def select_first(self, limit: int) -> "Dataset":
        """Select the first samples in the order of their stems, as subset ``first<limit>``.

        Raises
        ------
        SodbenchError
            If ``limit`` is not positive.
        """
        if limit < 1:
            raise SodbenchError(f"--limit {limit}: give a positive number of images")
        if limit >= len(self.samples):
            return self
        first = self.select([sample.stem for sample in self.samples[:limit]], f"first{limit}")
        return dataclasses.replace(first, source=self._source_with("--limit", str(limit)))

    def select_listed(self, list_file: Path | str) -> "Dataset":
        """Select the samples that a list file names; see `read_stem_list`.

        Returns
        -------
        Dataset
            Its subset is named by a hash of the stems.

        Raises
        ------
        SodbenchError
            If the file cannot be read, names no item of the dataset, or has a line with two meanings.
        """
        items = self.stems | self.excluded
        stems = read_stem_list(Path(list_file), items)
        if items.isdisjoint(stems):
            raise SodbenchError(
                f"{list_file}: none of its {len(stems)} names is an item of {self.name}; the first is {stems[0]!r}, and "
                f"the dataset has items such as {min(items, default='none')!r}"
            )
        source = self._source_with("--items", str(Path(list_file).absolute()))
        return dataclasses.replace(self.select(stems, list_subset_name(stems)), source=source)


def check_dataset_name(name: str, where: str) -> None:
    """Check that a text can name a dataset.

    A name becomes part of messages, of tables and of folder names, and ``/`` separates a subset from it.

    Parameters
    ----------
    name : str
        The text.
    where : str
        What gives the name, for the message: an option, or a file and key.

    Raises
    ------
    SodbenchError
        If it cannot name a dataset.
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


def check_storable_name(name: str) -> None:
    """Check that files can be named after a dataset, with or without a subset.

    Raises
    ------
    SodbenchError
        If a part of the name is no name (`check_dataset_name`).
    """
    try:
        for part in name.split("/"):
            check_dataset_name(part, "dataset")
    except SodbenchError as error:
        raise SodbenchError(
            f"{name!r}: a dataset of this name cannot be written to disk; give it another one with "
            'name = "..." in a TOML file'
        ) from error


def deduplicate(datasets: Iterable[Dataset]) -> list[Dataset]:
    """Return each dataset once, in the order given; a repeated one is reported.

    Returns
    -------
    list of Dataset
        Datasets are equal if their name, folder, layout and items are.
    """
    unique: dict[tuple[object, ...], Dataset] = {}
    repeated: dict[str, None] = {}
    for dataset in datasets:
        key = (dataset.name, dataset.root.resolve(), dataset.layout, dataset.stems)
        if unique.setdefault(key, dataset) is not dataset:
            repeated[dataset.name] = None
    for name in repeated:
        logger.info(f"{name} is named several times; it is used once")
    return list(unique.values())


def check_unique_names(datasets: Iterable[Dataset]) -> None:
    """Check that different datasets have different names, because results are stored by name.

    Raises
    ------
    SodbenchError
        If two datasets have the same name.
    """
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
    """Restrict datasets to the items of a list (``--items FILE``) and to the first N (``--limit N``).

    Parameters
    ----------
    datasets : sequence of Dataset
        The whole datasets.
    list_file : Path or str, optional
        A list of items of the one dataset.
    limit : int, optional
        Number of items of each dataset.

    Returns
    -------
    list of Dataset
        The subsets, in the same order.

    Raises
    ------
    SodbenchError
        If a list is given for several datasets, or is not readable.
    """
    if list_file is not None:
        if len(datasets) != 1:
            names = ", ".join(dataset.name for dataset in datasets)
            raise SodbenchError(
                f"--items names the items of one dataset, but there are several: {names}; choose one with --datasets"
            )
        datasets = [datasets[0].select_listed(list_file)]
    return [dataset if limit is None else dataset.select_first(limit) for dataset in datasets]
