"""Find datasets on disk: by name, by path, by a TOML file, or everything below a folder."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sodbench.datasets.build import annotate_official_count, dataset_from_folders, load_layout
from sodbench.datasets.dataset import Dataset, DatasetNotFound, check_dataset_name
from sodbench.datasets.layouts import (
    TOML_EXAMPLE,
    DetectedLayout,
    describe_layouts,
    detect_layout,
    find_sibling_layouts,
    infer_dataset_name,
    is_test_folder,
)
from sodbench.datasets.registry import (
    DATASETS,
    DatasetInfo,
    canonical_name,
    known_name,
    normalise_name,
)
from sodbench.errors import SodbenchError
from sodbench.folders import list_folders
from sodbench.toml import read_toml


def find_dataset(name: str | Path, data_root: Path | str = "data") -> Dataset:
    """Find a dataset by name below ``data_root``, or your own by its path.

    Parameters
    ----------
    name : str or Path
        A known dataset (any alias, with a subset if wanted: ``HKU-IS/test``), the name of a folder below
        ``data_root``, or the path of a folder with images and masks, or of a TOML file (see
        docs/datasets.md).
    data_root : Path or str
        The folder that holds the datasets.

    Returns
    -------
    Dataset

    Raises
    ------
    DatasetNotFound
        If it is not on disk; the message lists where it was looked for.
    SodbenchError
        If the name is unknown, or two folders could be meant.
    """
    text, data_root = str(name), Path(data_root)
    base_name, slash, _ = text.partition("/")
    if known_name(base_name) and not (slash and Path(text).is_dir() and not _is_subset(text)):
        return _find_known(canonical_name(text), data_root)
    if text.lower().endswith(".toml"):
        return dataset_from_toml(Path(text))
    for folder in (Path(text), data_root / text):
        if folder.is_dir():
            return _load_own_folder(folder)
        if (subset := find_subset_by_path(folder)) is not None:
            return subset
    if slash:
        places = dict.fromkeys((text, str(data_root / text)))
        raise DatasetNotFound(f"no dataset {text!r}: no such folder ({', '.join(places)})")
    # raises, with the nearest name
    canonical_name(text)
    raise AssertionError("unreachable")


def find_subset_by_path(path: Path) -> Dataset | None:
    """Find a named subset of the known dataset in the folder above (``some/where/HKU-IS/test``), or a union there.

    Parameters
    ----------
    path : Path
        A path that is no folder.

    Returns
    -------
    Dataset or None
        None if the folder above is no known dataset.

    Raises
    ------
    DatasetNotFound
        If the dataset above has no such subset.
    """
    name = known_name(infer_dataset_name(path.parent))
    whole = known_name(path.name)
    if whole and DATASETS[whole].parts and path.parent.is_dir():
        # some/where/DIS5K/DIS-TE, which no folder holds
        return _find_known(whole, path.parent)
    if name is None or not path.parent.is_dir():
        return None
    if not _is_subset(f"{name}/{path.name}"):
        subsets = ", ".join(DATASETS[name].subsets) or "none"
        raise DatasetNotFound(
            f"{path}: no such folder, and no named subset of {name} (these are: {subsets})"
        )
    return _load_own_folder(path.parent).select_subset(path.name)


def _is_subset(text: str) -> bool:
    try:
        return bool(canonical_name(text))
    except SodbenchError:
        return False


def _load_own_folder(folder: Path) -> Dataset:
    name = infer_dataset_name(folder)
    layout = detect_layout(folder, DATASETS.get(name))
    if layout is None:
        raise DatasetNotFound(
            f"{folder} is no dataset: no image or mask folder was recognised in it (it has {list_subfolders(folder)})",
            *describe_layouts(),
        )
    return load_layout(name, layout)


def list_subfolders(folder: Path) -> str:
    """Return the names of the folders in a folder, for a message.

    Returns
    -------
    str
        ``images, GT``, or ``no folders``.
    """
    return ", ".join(f.name for f in list_folders(folder)) or "no folders"


# --- TOML files --------------------------------------------------------------------------------------


def dataset_from_toml(file: Path) -> Dataset:
    """Load a dataset that a TOML file describes with ``images``, ``masks`` and optionally ``name`` and ``list``.

    Parameters
    ----------
    file : Path
        Its folders and its list are relative to its own folder.

    Returns
    -------
    Dataset

    Raises
    ------
    DatasetNotFound
        If there is no such file.
    SodbenchError
        If it cannot be read, has other keys, or names folders that cannot be used.
    """
    table = _read_description(file)
    folders = {key: file.parent / table[key] for key in ("images", "masks") if key in table}
    for key, folder in folders.items():
        if not folder.is_dir():
            raise SodbenchError(f"{file}: {key} = {table[key]!r} is no folder next to this file")
    name = table.get("name", file.stem)
    where = f"{file}: name" if "name" in table else f"{file}: no name is given, and the file's"
    check_dataset_name(name, where)
    dataset = dataset_from_folders(
        folders.get("images"), folders.get("masks"), name=known_name(name) or name
    )
    # as --items: the name of the subset becomes part of every signature
    if "list" in table:
        dataset = dataset.select_listed(file.parent / table["list"])
    else:
        dataset = annotate_official_count(dataset)
    return dataclasses.replace(dataset, source=(str(file.absolute()),))


def _read_description(file: Path) -> dict[str, Any]:
    advice = f"{file}: no such file; a dataset's TOML file has {TOML_EXAMPLE}"
    table = read_toml(file, DatasetNotFound(advice))
    unknown = table.keys() - {"name", "images", "masks", "list"}
    wrong = [key for key, value in table.items() if not isinstance(value, str) or "\0" in value]
    if unknown or wrong or not table.keys() & {"images", "masks"}:
        raise SodbenchError(
            f'{file}: expected {TOML_EXAMPLE} and optionally list = "file", all of them text; '
            f"found {', '.join(table) or 'nothing'}"
        )
    return table


# --- known datasets ----------------------------------------------------------------------------------


def _find_known(name: str, data_root: Path) -> Dataset:
    base_name, _, subset = name.partition("/")
    info = DATASETS[base_name]
    if info.parts:
        return _find_union(info, data_root)
    examined: list[Path] = []
    layouts: list[DetectedLayout] = []
    # layouts whose folder holds nothing but this dataset
    own_folder: list[DetectedLayout] = []
    for base, shared in _candidate_folders(info, data_root):
        examined.append(base)
        layout = detect_layout(base, info, strict=shared)
        if layout and not any(_same_places(layout, other) for other in layouts):
            layouts.append(layout)
            own_folder += [layout] * (not shared)
    candidates = [layout for layout in layouts if layout.complete] or layouts
    if not candidates:
        raise DatasetNotFound(*_describe_not_found(info, data_root, examined))
    if len(candidates) > 1:
        places = ", ".join(str(layout.base) for layout in candidates)
        raise SodbenchError(
            f"{base_name} is in several places: {places}; remove one, or give the path of the one "
            "that is meant in place of the name"
        )
    dataset = load_layout(base_name, candidates[0])
    if candidates[0] not in own_folder:
        source = (base_name, "--data-root", str(data_root.absolute()))
        dataset = dataclasses.replace(dataset, source=source)
    return dataset.select_subset(subset) if subset else dataset


def _find_union(info: DatasetInfo, data_root: Path) -> Dataset:
    """The parts of a union as one dataset, whose items are named ``<part>/<stem>``."""
    parts: list[Dataset] = []
    absent: list[str] = []
    for name in info.parts:
        try:
            parts.append(_find_known(name, data_root))
        except DatasetNotFound:
            absent.append(name)
    if absent:
        raise DatasetNotFound(
            f"{info.name} is the union of {', '.join(info.parts)}, but under {data_root} there is no {', '.join(absent)}",
            "  give the folder that holds all of them as --data-root",
        )
    union = Dataset(
        info.name,
        Path(os.path.commonpath([part.root.absolute() for part in parts])),
        f"union of {', '.join(info.parts)}",
        tuple(
            sample._replace(stem=f"{part.name}/{sample.stem}")
            for part in parts
            for sample in part.samples
        ),
        notes=tuple(f"{part.name}: {note}" for part in parts for note in part.notes),
        problems=tuple(problem for part in parts for problem in part.problems),
        excluded=frozenset(f"{part.name}/{stem}" for part in parts for stem in part.excluded),
        source=(info.name, "--data-root", str(data_root.absolute())),
    )
    return annotate_official_count(union)


def _same_places(a: DetectedLayout, b: DetectedLayout) -> bool:
    pairs = ((a.images, b.images), (a.masks, b.masks), (a.pair_list, b.pair_list))
    return all((x and x.resolve()) == (y and y.resolve()) for x, y in pairs)


def _candidate_folders(info: DatasetInfo, data_root: Path) -> Iterator[tuple[Path, bool]]:
    """Folders that may hold the dataset, and whether they are shared by several datasets."""
    keys = info.match_keys

    def named_folders(folder: Path) -> Iterator[Path]:
        return (inner for inner in list_folders(folder) if normalise_name(inner.name) in keys)

    for child in list_folders(data_root):
        key = normalise_name(child.name)
        if key in keys:
            yield child, False
            yield from ((inner, False) for inner in named_folders(child))
            # COD10K-v3/Test/Image
            yield from ((f, False) for f in list_folders(child) if is_test_folder(f))
        # DUTS/DUTS-TE, DIS5K/DIS-TE1
        if info.collection and key == normalise_name(info.collection):
            yield child, True
            if key not in keys:
                yield from ((inner, False) for inner in named_folders(child))
    if normalise_name(data_root.absolute().name) in keys:
        yield data_root, False
    yield data_root, True


def _describe_not_found(info: DatasetInfo, data_root: Path, examined: list[Path]) -> list[str]:
    spellings = ", ".join(dict.fromkeys((info.name, *info.aliases)))
    lines = [f"dataset {info.name} not found under {data_root}"]
    if not data_root.is_dir():
        lines.append(f"  the folder {data_root} does not exist (--data-root names another)")
    lines.append(f"  looked for a folder named {spellings} (case and punctuation do not matter)")
    for base in examined:
        if base != data_root:
            lines.append(
                f"  {base} exists, but has no image or mask folder with images (it has {list_subfolders(base)})"
            )
    lines += describe_layouts()
    lines.append(
        "  alternatives: 'sodbench run --sample' needs no data; 'sodbench data download "
        f"{info.name}' downloads it; 'sodbench data list' shows what is found and where to get the rest"
    )
    return lines


# --- everything below a folder -----------------------------------------------------------------------


def find_known_datasets(root: Path) -> list[Dataset]:
    """Find the known datasets below a folder, in the registry's order, without unions.

    Returns
    -------
    list of Dataset
        Those that are there.

    Raises
    ------
    SodbenchError
        If two folders could be the same dataset.
    """
    known = []
    for name, info in DATASETS.items():
        if info.parts:
            continue
        try:
            known.append(_find_known(name, root))
        except DatasetNotFound:
            continue
    return known


def find_own_datasets(root: Path | str) -> tuple[list[Dataset], dict[str, SodbenchError]]:
    """Find the folders directly below ``root`` that are laid out like a dataset, but are not a known one.

    Parameters
    ----------
    root : Path or str
        The data root.

    Returns
    -------
    datasets : list of Dataset
    failed : dict of str to SodbenchError
        Folders that look like a dataset but cannot be read, by name, and the reasons.
    """
    root = Path(root)
    datasets = [
        load_layout(name, layout)
        for name, layout in find_sibling_layouts(root)
        if not known_name(name)
    ]
    failed: dict[str, SodbenchError] = {}
    collections = {normalise_name(info.collection) for info in DATASETS.values()}
    for child in list_folders(root):
        name = infer_dataset_name(child)
        if known_name(name) or normalise_name(child.name) in collections:
            continue
        try:
            layout = detect_layout(child, None)
            if layout and layout.complete:
                datasets.append(load_layout(name, layout))
        except SodbenchError as error:
            failed[child.name] = error
    return datasets, failed
