"""What ``sodbench data list`` prints: the known datasets, and which of them are on this disk."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sodbench.datasets import (
    DATASETS,
    WEIGHTS,
    Dataset,
    DatasetInfo,
    DatasetNotFound,
    Source,
    find_dataset,
    find_own_datasets,
    official_names,
)
from sodbench.errors import SodbenchError
from sodbench.quoting import json_text, printable
from sodbench.reports.text import format_table


@dataclass(frozen=True)
class LocatedDataset:
    """A known dataset or the user's own, and where it is on this disk.

    Attributes
    ----------
    name : str
    dataset : Dataset, optional
        None if it is not on this disk, or cannot be read.
    error : str
        Why it cannot be read; empty if it is simply not there.
    """

    name: str
    dataset: Dataset | None
    error: str = ""

    @property
    def info(self) -> DatasetInfo | None:
        """What is known about it; None for the user's own."""
        return DATASETS.get(self.name)

    @property
    def notes(self) -> Sequence[str]:
        """What was noticed, or why it cannot be read."""
        return self.dataset.notes if self.dataset else self.error.splitlines()


def locate_datasets(names: Iterable[str], data_root: Path) -> list[LocatedDataset]:
    """Look for datasets below a data root.

    Parameters
    ----------
    names : iterable of str
        Canonical names; if empty, all known datasets, and the user's own that are there.
    data_root : Path

    Returns
    -------
    list of LocatedDataset
    """
    located = []
    names = list(dict.fromkeys(names))
    for name in names or DATASETS:
        try:
            located.append(LocatedDataset(name, find_dataset(name, data_root)))
        except DatasetNotFound:
            located.append(LocatedDataset(name, None))
        except SodbenchError as error:
            located.append(LocatedDataset(name, None, str(error)))
    if not names:
        own, failed = find_own_datasets(data_root)
        located += [LocatedDataset(dataset.name, dataset) for dataset in own]
        located += [LocatedDataset(name, None, str(error)) for name, error in failed.items()]
    return located


def format_dataset_list(
    located: Sequence[LocatedDataset], data_root: Path, *, markdown: bool = False
) -> str:
    """Format a table of datasets, with notes, named subsets and weights below it.

    Parameters
    ----------
    located : sequence of LocatedDataset
    data_root : Path
        Where they were looked for.
    markdown : bool
        A table in Markdown instead of one for the terminal.

    Returns
    -------
    str
        Several lines without a final line break.
    """
    rows: list[tuple[object, ...]] = []
    for item in located:
        where = (item.dataset.root, item.dataset.layout) if item.dataset else ("not found", "")
        if item.error:
            where = ("see below", "")
        aliases = ", ".join(item.info.aliases) if item.info else "(your own)"
        count = item.info.count if item.info else ""
        items = len(item.dataset) if item.dataset else ""
        rows.append((item.name, aliases, count, items, *where))
    headers = ("set", "also called", "official", "found", "where", "layout")
    table = format_table(headers, rows, align="llrrll", markdown=markdown)
    notes = [] if data_root.is_dir() else [f"the folder {data_root} does not exist (--data-root)"]
    notes += [f"{item.name}: {note}" for item in located for note in item.notes]
    subsets = [f"{name}/{subset}" for name in DATASETS for subset in DATASETS[name].subsets]
    places = [(w.name, w.path(data_root)) for w in WEIGHTS]
    weights = [f"{name} ({place if place.exists() else 'not found'})" for name, place in places]
    return "\n".join(
        [
            table,
            *(["", *map(printable, notes)] if notes else []),
            "",
            f"named subsets: {', '.join(subsets)}",
            printable(f"weights: {', '.join(weights)}"),
            "'sodbench data list NAME'  shows sources, citation and known faults",
            "'sodbench data check'      checks every file",
        ]
    )


def describe_datasets(located: Sequence[LocatedDataset]) -> str:
    """Return everything that is known about datasets, as paragraphs for the terminal.

    Parameters
    ----------
    located : sequence of LocatedDataset
        Known datasets.

    Returns
    -------
    str
        Several lines without a final line break.
    """
    return "\n\n".join(_describe(item.info, item) for item in located if item.info)


def _describe(info: DatasetInfo, item: LocatedDataset) -> str:
    on_disk = item.error.splitlines() or ["not found"]
    if item.dataset:
        on_disk = [f"{item.dataset.root} ({item.dataset.layout}), {len(item.dataset)} items"]
    subsets = (
        f"{info.name}/{subset}: {len(official_names(f'{info.name}/{subset}'))} items, {what}"
        for subset, what in info.subsets.items()
    )
    lines = [
        f"{info.name}: {info.about}",
        f"  items      {info.count} ({info.extension} images)",
        f"  aliases    {', '.join(info.aliases) or 'none'}",
        *(f"  subset     {subset}" for subset in subsets),
        *(f"  known      {stem}: {what}" for stem, what in info.known.items()),
        *(f"  on disk    {line}" for line in on_disk),
        *(f"  note       {note}" for note in (item.dataset.notes if item.dataset else ())),
        f"  licence    {info.licence}",
        f"  page       {info.page}",
        *(f"  source     {source.url} ({source.holds})" for source in _sources(info)),
        f"  cite       {info.citation}",
    ]
    return "\n".join([*map(printable, lines), "", info.bibtex])


def _sources(info: DatasetInfo) -> list[Source]:
    return [*(source for mirror in info.downloads for source in mirror), *info.pages]


def dataset_list_json(located: Sequence[LocatedDataset], data_root: Path) -> str:
    """Return the datasets and weights as JSON.

    Parameters
    ----------
    located : sequence of LocatedDataset
    data_root : Path
        Where they were looked for.

    Returns
    -------
    str
        An object with ``datasets`` and ``weights``.
    """
    weights = []
    for file in WEIGHTS:
        place = file.path(data_root)
        weights.append({**vars(file), "found": str(place) if place.exists() else None})
    return json_text({"datasets": [_plain(item) for item in located], "weights": weights})


def _plain(item: LocatedDataset) -> dict[str, Any]:
    info, dataset = item.info, item.dataset
    facts: dict[str, Any] = {"name": item.name, "count": None}
    if info:
        plain = ("aliases", "count", "extension", "about", "licence", "page", "citation", "bibtex")
        facts |= {key: getattr(info, key) for key in plain}
        facts |= {"subsets": dict(info.subsets), "known": dict(info.known)}
        facts["sources"] = [{"url": s.url, "holds": s.holds} for s in _sources(info)]
    facts["found"] = dataset and {
        "root": str(dataset.root),
        "layout": dataset.layout,
        "items": len(dataset),
        "images": len(dataset.images),
        "masks": len(dataset.masks),
        "notes": dataset.notes,
    }
    facts["error"] = item.error or None
    return facts
