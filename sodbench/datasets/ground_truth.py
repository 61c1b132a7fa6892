"""Find the masks that a path or a name means; images are not needed to score maps."""

import dataclasses
import difflib
from collections import Counter
from pathlib import Path

from sodbench.datasets.build import (
    annotate_official_count,
    dataset_from_folders,
    load_layout,
    name_own_subset,
)
from sodbench.datasets.dataset import (
    Dataset,
    DatasetNotFound,
    check_dataset_name,
    check_unique_names,
)
from sodbench.datasets.layouts import (
    IMAGE_FOLDERS,
    MASK_FOLDERS,
    OTHER_FOLDERS,
    TOML_EXAMPLE,
    describe_layouts,
    detect_layout,
    find_sibling_layouts,
    has_images,
    has_images_and_masks,
    infer_dataset_name,
    strip_kind,
)
from sodbench.datasets.registry import DATASETS, known_name, normalise_name
from sodbench.datasets.resolve import (
    dataset_from_toml,
    find_dataset,
    find_known_datasets,
    find_subset_by_path,
    list_subfolders,
)
from sodbench.errors import SodbenchError
from sodbench.folders import list_folders, listing_once

# How many folders below a root datasets are looked for, e.g. <group>/<task>/<set>.
MAX_DEPTH = 3


@listing_once()
def find_masks(
    path: Path | str,
    name: str | None = None,
    data_root: Path | str | None = None,
    without: Path | str | None = None,
) -> list[Dataset]:
    """Find the ground truth that a path or a name means.

    Parameters
    ----------
    path : Path or str
        A plain folder of masks (its samples then have no image), a folder of one dataset in any layout, a
        named subset of it (``data/HKU-IS/test``), a TOML file, a root that holds several datasets or several
        folders of masks, up to three folders deep, or the name of a dataset below ``data_root``.
    name : str, optional
        What to call a single dataset; by default its name is inferred from the path.
    data_root : Path or str, optional
        The folder where a name is looked up, before the working folder; by default ``data``, after it.
    without : Path or str, optional
        A folder below ``path`` that holds no masks: the maps that are to be scored.

    Returns
    -------
    list of Dataset
        One dataset, or every one below the path: known ones in the registry's order, then others by name.

    Raises
    ------
    DatasetNotFound
        If there are no masks.
    SodbenchError
        If a folder could be several things, or ``name`` is unusable or given for several datasets.
    """
    if name is not None:
        check_dataset_name(name, "--dataset-name")
    datasets = _find_masks(Path(path), data_root, Path(without) if without is not None else None)
    if name is None:
        return datasets
    if len(datasets) > 1:
        names = ", ".join(dataset.name for dataset in datasets)
        raise SodbenchError(
            f"--dataset-name {name}: it names one dataset, but {path} has {len(datasets)}: {names}; "
            "give the path of one of them as GT"
        )
    return [_rename(datasets[0], name)]


def _find_masks(path: Path, data_root: Path | str | None, without: Path | None) -> list[Dataset]:
    if path.suffix.lower() == ".toml":
        return [dataset_from_toml(path)]
    if data_root is not None and not path.is_absolute():
        if path.parts and known_name(path.parts[0]):
            return [name_own_subset(find_dataset(path, data_root))]
        if (Path(data_root) / path).is_dir():
            return _find_masks(Path(data_root) / path, None, without)
    if not path.is_dir():
        return [name_own_subset(_find_by_name(path, data_root or "data"))]
    here = _load_folder(path, asked_for=True)
    search = _Search(without)
    datasets = [here] if here else search.find_below(path)
    if not datasets:
        raise DatasetNotFound(
            f"{path}: no masks found in it: neither images nor a known layout (it has {list_subfolders(path)})",
            *(f"  {reason}" for reason in search.unclear),
            *describe_layouts(),
        )
    datasets = [name_own_subset(dataset) for dataset in datasets]
    check_unique_names(datasets)
    order = {name: number for number, name in enumerate(DATASETS)}
    return sorted(datasets, key=lambda d: (order.get(d.base_name, len(order)), d.name))


def _find_by_name(path: Path, data_root: Path | str) -> Dataset:
    """The dataset that a path means that is no folder: a subset, or a name below the data root."""
    subset = find_subset_by_path(path)
    if subset is not None:
        return subset
    if known_name(str(path).partition("/")[0]):
        return find_dataset(path, data_root)
    raise DatasetNotFound(
        f"{path}: no such folder of masks, and no dataset of this name{_suggest(path, data_root)}",
        f"  known datasets: {', '.join(DATASETS)}, looked up in {data_root} (--data-root names another folder)",
        f"  your own: the path of a folder of masks, of a dataset, or of a TOML file ({TOML_EXAMPLE})",
    )


def _suggest(path: Path, data_root: Path | str) -> str:
    """What a path that leads nowhere may mean, to end a line with."""
    place = path
    while not place.parent.is_dir():
        place = place.parent
    candidates = {folder.name: str(folder) for folder in list_folders(place.parent)}
    if place.parent == Path():
        candidates |= {folder.name: folder.name for folder in list_folders(Path(data_root))}
        candidates |= {name: name for name in DATASETS}
    # case and punctuation are the commonest mistakes
    by_key = {normalise_name(name): meant for name, meant in candidates.items()}
    near = difflib.get_close_matches(normalise_name(place.name), by_key, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {by_key[near[0]]}?"
    return f"; there is no {place}" if place != path else ""


def _load_folder(folder: Path, asked_for: bool = False) -> Dataset | None:
    """Load the dataset that a folder is, or return None if it has no masks."""
    # ``asked_for``: the user gave this very folder, so its name does not matter if it holds only
    # images.
    name = infer_dataset_name(folder)
    layout = detect_layout(folder, DATASETS.get(name))
    has_masks = layout is not None and bool(layout.masks or layout.pair_list)
    plain = has_images(folder) and not has_images_and_masks(folder)
    if layout and has_masks:
        if plain and not layout.complete:
            raise SodbenchError(
                f"{folder}: holds images itself, and masks in {layout.masks}; give the path of those that are meant, "
                f"or a TOML file ({TOML_EXAMPLE})"
            )
        return load_layout(name, layout)
    key = normalise_name(folder.name)
    if not plain or (key in IMAGE_FOLDERS | OTHER_FOLDERS and not asked_for):
        return None
    if key in IMAGE_FOLDERS:
        _check_not_images(folder)
    return annotate_official_count(dataset_from_folders(None, folder))


def _check_not_images(folder: Path) -> None:
    """Raise for a folder of images that has its masks next to it."""
    layout = detect_layout(folder.absolute().parent, None)
    if layout and layout.masks and layout.images and layout.images.samefile(folder):
        raise SodbenchError(f"{folder}: holds the images; their masks are in {layout.masks}")


class _Search:
    """The search for all datasets below a folder.

    Attributes
    ----------
    without : Path, optional
        A folder that is left out.
    unclear : list of str
        Folders that may hold masks but were not read, and why.
    """

    def __init__(self, without: Path | None):
        self.without = without.resolve() if without else None
        self.unclear: list[str] = []

    def find_below(self, root: Path) -> list[Dataset]:
        """Find the datasets with masks; users' own ones of the same name get their parent's name too."""
        known = [dataset for dataset in find_known_datasets(root) if dataset.masks]
        known_masks = {mask for dataset in known for mask in dataset.masks.values()}
        own = self._walk(root, MAX_DEPTH, plain=True)
        datasets = known + [d for d in own if known_masks.isdisjoint(d.masks.values())]
        keys = Counter(normalise_name(dataset.name) for dataset in datasets)
        return [
            dataset
            if keys[normalise_name(dataset.name)] == 1 or dataset.name in DATASETS
            else _rename(dataset, f"{dataset.root.absolute().parent.name}-{dataset.name}")
            for dataset in datasets
        ]

    def _walk(self, root: Path, depth: int, plain: bool) -> list[Dataset]:
        """The datasets in the folders of ``root`` and, where a folder is none, in its own folders."""
        # ``plain``: whether a folder that holds only images is one of masks. Far below a root it
        # may as well be one of maps, unless a folder above it is named like masks.
        datasets, siblings = _load_siblings(root)
        is_masks = normalise_name(root.absolute().name) in MASK_FOLDERS
        at_root = detect_layout(root, None)
        for child in list_folders(root):
            key = normalise_name(child.name)
            if child in siblings or key in IMAGE_FOLDERS | OTHER_FOLDERS:
                continue
            if self.without and child.resolve() == self.without:
                continue
            dataset = _load_folder(child)
            if dataset is None:
                # GT/<set>/
                deeper = depth - (key not in MASK_FOLDERS)
                plain_below = is_masks or key in MASK_FOLDERS
                datasets += self._walk(child, deeper, plain_below) if deeper else []
                continue
            only_images = has_images(child) and not has_images_and_masks(child)
            named = is_masks or strip_kind(child.name, MASK_FOLDERS) != child.name
            if only_images and at_root and at_root.images:
                self._note_unnamed_masks(at_root.images, child)
            elif only_images and not plain and not named:
                self.unclear.append(
                    f"{child}: holds images, which may be masks or maps; if they are masks, give {child} or "
                    f"{root} as GT"
                )
            else:
                datasets.append(dataset)
        return datasets

    def _note_unnamed_masks(self, images: Path, child: Path) -> None:
        self.unclear.append(
            f"{child.parent}: images are in {images.name}, but no mask folder was recognised; if the masks are "
            f"in {child.name}, give {child} as GT"
        )


def _load_siblings(root: Path) -> tuple[list[Dataset], set[Path]]:
    """Datasets whose images and masks are next to each other in ``root``, and those folders."""
    datasets: list[Dataset] = []
    folders: set[Path] = set()
    for name, layout in find_sibling_layouts(root):
        # the folder of one half does not lead to the other, so the dataset is selected by its name
        source = (str(root.absolute()), "--datasets", name) if "," not in name else ()
        datasets.append(dataclasses.replace(load_layout(name, layout), source=source))
        folders |= {folder for folder in (layout.images, layout.masks) if folder}
    return datasets, folders


def _rename(dataset: Dataset, name: str) -> Dataset:
    """The dataset under another name; the name of its subset stays, since it is part of every signature."""
    base, slash, subset = dataset.name.partition("/")
    source = dataset.source
    if source and name != base:
        if "--dataset-name" in source:
            at = source.index("--dataset-name")
            source = source[:at] + source[at + 2 :]
        source = (*source, "--dataset-name", name)
    return dataclasses.replace(
        dataset, name=f"{known_name(name) or name}{slash}{subset}", source=source
    )
