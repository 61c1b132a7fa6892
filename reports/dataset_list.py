"""The known datasets and what is on disk, as printed by ``sodbench data list``."""

from collections.abc import Mapping
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
class Listed:
    """One dataset of the list.

    Attributes
    ----------
    dataset : Dataset or None
        What is on disk.
    error : str
        Why it could not be read; empty if it is simply absent.
    """

    dataset: Dataset | None = None
    error: str = ""

    @property
    def notes(self) -> list[str]:
        """What to know about the files on disk."""
        return list(self.dataset.notes) if self.dataset else self.error.splitlines()


def look_up(name: str, data_root: Path) -> Listed:
    """Look for a known dataset on disk.

    Parameters
    ----------
    name : str
        Name of the dataset.
    data_root : Path
        The folder of the datasets.

    Returns
    -------
    Listed
    """
    try:
        return Listed(find_dataset(name, data_root))
    except DatasetNotFound:
        # absent, which is no error: most users have few of the datasets
        return Listed()
    except SodbenchError as error:
        # a dataset that cannot be read must not hide the others
        return Listed(error=str(error))


def look_up_own(data_root: Path) -> dict[str, Listed]:
    """Look for the user's own datasets below the data root.

    Parameters
    ----------
    data_root : Path
        The folder of the datasets.

    Returns
    -------
    dict of str to Listed
    """
    datasets, unreadable = find_own_datasets(data_root)
    own = {dataset.name: Listed(dataset) for dataset in datasets}
    return own | {name: Listed(error=str(error)) for name, error in unreadable.items()}


def format_list(listed: Mapping[str, Listed], data_root: Path, *, markdown: bool = False) -> str:
    """Return the table of datasets, with notes, subsets and weights below it.

    Parameters
    ----------
    listed : mapping of str to Listed
        The datasets by name.
    data_root : Path
        The folder of the datasets.
    markdown : bool
        A table in Markdown instead of one for the terminal.

    Returns
    -------
    str
    """
    rows: list[tuple[object, ...]] = []
    notes = [] if data_root.is_dir() else [f"the folder {data_root} does not exist (--data-root)"]
    for name, entry in listed.items():
        info, dataset = DATASETS.get(name), entry.dataset
        known = (", ".join(info.aliases), _count_cell(info)) if info else ("(your own)", "")
        place: tuple[object, ...] = ("", "see below" if entry.error else "not found", "")
        if dataset:
            place = (len(dataset), dataset.root, dataset.layout)
        rows.append((name, *known, *place))
        notes += [f"{name}: {note}" for note in entry.notes]
    headers = ("set", "also called", "official", "found", "where", "layout")
    subsets = [f"{name}/{subset}" for name, info in DATASETS.items() for subset in info.subsets]
    weights = [
        f"{w.name} ({w.path(data_root) if w.path(data_root).exists() else 'not found'})"
        for w in WEIGHTS
    ]
    return "\n".join(
        [
            format_table(headers, rows, align="llrrll", markdown=markdown),
            *(["", *map(printable, notes)] if notes else []),
            "",
            f"named subsets: {', '.join(subsets)}",
            printable(f"weights: {', '.join(weights)}"),
            "'sodbench data list NAME'  shows sources, citation and known faults",
            "'sodbench data check'      checks every file",
        ]
    )


def format_details(info: DatasetInfo, entry: Listed) -> str:
    """Return everything known about one dataset, as lines.

    Parameters
    ----------
    info : DatasetInfo
        The facts.
    entry : Listed
        What is on disk.

    Returns
    -------
    str
    """
    on_disk = entry.error.splitlines() or ["not found"]
    if entry.dataset:
        on_disk = [f"{entry.dataset.root} ({entry.dataset.layout}), {len(entry.dataset)} items"]
    lines = [
        f"{info.name}: {info.about}",
        f"  items      {info.count_text} ({info.extension} images)",
        f"  aliases    {', '.join(info.aliases) or 'none'}",
        *(
            f"  subset     {info.name}/{s}: {_describe_items(info, s)}{what}"
            for s, what in info.subsets.items()
        ),
        *([f"  union of   {', '.join(info.parts)}"] if info.parts else []),
        *(f"  known      {item}: {what}" for item, what in info.known.items()),
        *(f"  on disk    {line}" for line in on_disk),
        *(f"  note       {note}" for note in (entry.notes if entry.dataset else ())),
        f"  licence    {info.licence}",
        f"  page       {info.page or 'unknown'}",
        *(f"  source     {s.url} ({s.holds})" for s in _sources(info)),
        f"  cite       {info.citation or 'unknown'}",
    ]
    return "\n".join([*map(printable, lines), "", info.bibtex])


def _count_cell(info: DatasetInfo) -> object:
    return "not verified" if info.count is None else info.count


def _describe_items(info: DatasetInfo, subset: str) -> str:
    number = len(official_names(f"{info.name}/{subset}"))
    return f"{number} items, " if number else ""


def format_list_json(listed: Mapping[str, Listed], data_root: Path) -> str:
    """Return everything known about the datasets and weights, as JSON.

    Parameters
    ----------
    listed : mapping of str to Listed
        The datasets by name.
    data_root : Path
        The folder of the datasets.

    Returns
    -------
    str
    """
    entries = [
        _to_dict(DATASETS[name], entry)
        if name in DATASETS
        else {
            "name": name,
            "count": None,
            "found": _describe_found(entry.dataset),
            "error": entry.error or None,
        }
        for name, entry in listed.items()
    ]
    weights = [
        {**vars(w), "found": str(w.path(data_root)) if w.path(data_root).exists() else None}
        for w in WEIGHTS
    ]
    return json_text({"datasets": entries, "weights": weights})


def _to_dict(info: DatasetInfo, entry: Listed) -> dict[str, Any]:
    return {
        "name": info.name,
        "aliases": info.aliases,
        "count": info.count,
        "reported": info.reported or None,
        "parts": info.parts,
        "extension": info.extension,
        "about": info.about,
        "subsets": dict(info.subsets),
        "known": dict(info.known),
        "licence": info.licence,
        "page": info.page,
        "sources": [{"url": s.url, "holds": s.holds} for s in _sources(info)],
        "citation": info.citation,
        "bibtex": info.bibtex,
        "found": _describe_found(entry.dataset),
        "error": entry.error or None,
    }


def _describe_found(dataset: Dataset | None) -> dict[str, Any] | None:
    if dataset is None:
        return None
    return {
        "root": str(dataset.root),
        "layout": dataset.layout,
        "items": len(dataset),
        "images": len(dataset.images),
        "masks": len(dataset.masks),
        "notes": dataset.notes,
    }


def _sources(info: DatasetInfo) -> list[Source]:
    return [*(source for way in info.downloads for source in way), *info.pages]
