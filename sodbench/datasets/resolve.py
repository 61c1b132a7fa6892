"""Finding data sets on disk: by name, by path, or everything below a folder."""

import dataclasses
import difflib
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from sodbench.datasets.build import (
    annotate_official_count,
    dataset_from_folders,
    load_layout,
    name_own_subset,
)
from sodbench.datasets.dataset import Dataset, DatasetNotFound, check_name, check_unique_names
from sodbench.datasets.layouts import (
    IMAGE_FOLDERS,
    MASK_FOLDERS,
    OTHER_FOLDERS,
    TOML_EXAMPLE,
    DetectedLayout,
    describe_layouts,
    detect_layout,
    has_images,
    has_images_and_masks,
    infer_dataset_name,
    sibling_sets,
    without_kind,
)
from sodbench.datasets.registry import (
    DATASETS,
    DatasetInfo,
    canonical_name,
    known_name,
    match_keys,
    normalise_name,
)
from sodbench.errors import SodbenchError
from sodbench.files import list_folders

DEEPEST = 3
"""How many folders below a root datasets are looked for, e.g. ``<group>/<task>/<set>``."""


def find_dataset(name: str | Path, data_root: Path | str = "data") -> Dataset:
    """Resolve a data set by name below ``data_root``, or your own by its path.

    name: a known set (any alias, with a subset if wanted: ``HKU-IS/test``), the name of a folder
    below ``data_root``, the path of a folder with images and masks, or of a TOML file
    (see docs/datasets.md).

    Raises :class:`DatasetNotFound` with what was looked for, and :class:`SodbenchError` where the
    name is unknown or where two folders could be meant.
    """
    text, data_root = str(name), Path(data_root)
    base_name, slash, _ = text.partition("/")
    if known_name(base_name) and not (slash and Path(text).is_dir() and not _is_subset(text)):
        return _find_known(canonical_name(text), data_root)
    if text.lower().endswith(".toml"):
        return _from_toml(Path(text))
    for folder in (Path(text), data_root / text):
        if folder.is_dir():
            return _own_folder(folder)
        if (subset := _subset_of_folder(folder)) is not None:
            return subset
    if slash:
        places = dict.fromkeys((text, str(data_root / text)))
        raise DatasetNotFound(f"no dataset {text!r}: no such folder ({', '.join(places)})")
    canonical_name(text)  # raises, with the nearest name
    raise AssertionError("unreachable")


def _subset_of_folder(path: Path) -> Dataset | None:
    """``some/where/HKU-IS/test``: a named subset of the known set in the folder above, if that is one.

    Raises :class:`DatasetNotFound` where the set has no such subset.
    """
    name = known_name(infer_dataset_name(path.parent))
    if name is None or not path.parent.is_dir():
        return None
    if not _is_subset(f"{name}/{path.name}"):
        subsets = ", ".join(DATASETS[name].subsets) or "none"
        raise DatasetNotFound(
            f"{path}: no such folder, and no named subset of {name} (these are: {subsets})"
        )
    return _own_folder(path.parent).subset(path.name)


def _is_subset(text: str) -> bool:
    try:
        return bool(canonical_name(text))
    except SodbenchError:
        return False


def _own_folder(folder: Path) -> Dataset:
    name = infer_dataset_name(folder)
    found = detect_layout(folder, DATASETS.get(name))
    if found is None:
        inside = ", ".join(f.name for f in list_folders(folder)) or "no folders"
        raise DatasetNotFound(
            f"{folder} is no dataset: no image or mask folder was recognised in it (it has {inside})",
            *describe_layouts(),
        )
    return load_layout(name, found)


def _from_toml(file: Path) -> Dataset:
    """A data set described by a TOML file: ``name``, ``images``, ``masks``, optionally ``list``."""
    try:
        with file.open("rb") as stream:
            table = tomllib.load(stream)
    except FileNotFoundError:
        raise DatasetNotFound(
            f"{file}: no such file; a dataset's TOML file has {TOML_EXAMPLE}"
        ) from None
    except (OSError, ValueError, RecursionError) as error:  # no TOML, or no UTF-8
        raise SodbenchError(f"{file}: cannot be read as TOML ({error})") from error
    unknown = table.keys() - {"name", "images", "masks", "list"}
    wrong = [key for key, value in table.items() if not isinstance(value, str) or "\0" in value]
    if unknown or wrong or not table.keys() & {"images", "masks"}:
        raise SodbenchError(
            f'{file}: expected {TOML_EXAMPLE} and optionally list = "file", all of them text; '
            f"found {', '.join(table) or 'nothing'}"
        )
    folders = {key: file.parent / table[key] for key in ("images", "masks") if key in table}
    name = table.get("name", file.stem)
    check_name(
        name, f"{file}: name" if "name" in table else f"{file}: no name is given, and the file's"
    )
    dataset = dataset_from_folders(
        folders.get("images"), folders.get("masks"), name=known_name(name) or name
    )
    if "list" in table:  # as --items: the name of the subset becomes part of every signature
        dataset = dataset.listed(file.parent / table["list"])
    elif info := DATASETS.get(dataset.name):
        dataset = annotate_official_count(dataset, info)
    return dataclasses.replace(dataset, source=(str(file.absolute()),))


def _find_known(name: str, data_root: Path) -> Dataset:
    base_name, _, subset = name.partition("/")
    info = DATASETS[base_name]
    looked: list[Path] = []
    found: list[DetectedLayout] = []
    own_folder: list[DetectedLayout] = []  # layouts whose folder holds nothing but this dataset
    for base, strict in _bases(info, data_root):
        looked.append(base)
        layout = detect_layout(base, info, strict)
        if layout and not any(_same(layout, other) for other in found):
            found.append(layout)
            own_folder += [layout] * (not strict)
    complete = [layout for layout in found if layout.complete]
    choice = complete or found
    if not choice:
        raise DatasetNotFound(*_not_found(info, data_root, looked))
    if len(choice) > 1:
        places = ", ".join(str(layout.base) for layout in choice)
        raise SodbenchError(
            f"{base_name} is in several places: {places}; remove one, or give the path of the one "
            "that is meant in place of the name"
        )
    dataset = load_layout(base_name, choice[0])
    if choice[0] not in own_folder:
        source = (base_name, "--data-root", str(data_root.absolute()))
        dataset = dataclasses.replace(dataset, source=source)
    return dataset.subset(subset) if subset else dataset


def _same(a: DetectedLayout, b: DetectedLayout) -> bool:
    def places(layout: DetectedLayout) -> tuple[Path | None, ...]:
        return tuple(
            place.resolve() if place else None
            for place in (layout.images, layout.masks, layout.pair_list)
        )

    return places(a) == places(b)


def _bases(info: DatasetInfo, data_root: Path) -> Iterator[tuple[Path, bool]]:
    """Folders that may hold the set, and whether only sub-folders with the set's name count there."""
    keys = match_keys(info)
    shared = info.name.startswith("DUTS")
    for child in list_folders(data_root):
        key = normalise_name(child.name)
        if key in keys:
            yield child, False
            yield from (
                (inner, False)
                for inner in list_folders(child)
                if normalise_name(inner.name) in keys
            )
        if shared and key == "duts":
            yield child, True
            if "duts" not in keys:
                yield from (
                    (inner, False)
                    for inner in list_folders(child)
                    if normalise_name(inner.name) in keys
                )
    if normalise_name(data_root.absolute().name) in keys:
        yield data_root, False
    yield data_root, True


def _not_found(info: DatasetInfo, data_root: Path, looked: list[Path]) -> list[str]:
    spellings = ", ".join(dict.fromkeys((info.name, *info.aliases)))
    lines = [f"dataset {info.name} not found under {data_root}"]
    if not data_root.is_dir():
        lines.append(f"  the folder {data_root} does not exist (--data-root names another)")
    lines.append(f"  looked for a folder named {spellings} (case and punctuation do not matter)")
    for base in looked:
        if base != data_root:
            inside = ", ".join(f.name for f in list_folders(base)) or "no folders"
            lines.append(
                f"  {base} is there, but no image or mask folder with images (has {inside})"
            )
    lines += describe_layouts()
    lines.append(
        "  ways out: 'sodbench run --sample' needs no data; 'sodbench data download "
        f"{info.name}' fetches it; 'sodbench data list' shows what is found and where to get the rest"
    )
    return lines


def find_datasets(root: Path | str) -> list[Dataset]:
    """Every data set below a folder: known ones in the registry's order, then folders like them.

    A known set that could be meant twice raises :class:`SodbenchError`, as :func:`find_dataset` does.
    """
    known = _known_datasets(Path(root))
    own, refused = find_own_datasets(root)
    for error in refused.values():
        raise error
    return known + own


def _known_datasets(root: Path) -> list[Dataset]:
    known = []
    for name in DATASETS:
        try:
            known.append(_find_known(name, root))
        except DatasetNotFound:
            continue
    return known


def find_own_datasets(root: Path | str) -> tuple[list[Dataset], dict[str, SodbenchError]]:
    """The folders directly below ``root`` that are laid out like a data set, but are no known one.

    With them, by name, why folders that look like one could not be read.
    """
    datasets = [
        load_layout(name, found) for name, found in sibling_sets(Path(root)) if not known_name(name)
    ]
    refused: dict[str, SodbenchError] = {}
    for child in list_folders(Path(root)):
        if known_name(infer_dataset_name(child)) or normalise_name(child.name) == "duts":
            continue
        try:
            found = detect_layout(child, None)
            if found and found.complete:
                datasets.append(load_layout(infer_dataset_name(child), found))
        except SodbenchError as error:
            refused[child.name] = error
    return datasets, refused


def find_masks(
    path: Path | str,
    name: str | None = None,
    data_root: Path | str | None = None,
    without: Path | str | None = None,
) -> list[Dataset]:
    """The ground truth that a path or a name stands for: one data set, or every one below it.

    path: a plain folder of masks (its samples then have no image), a folder of one data set in any
    layout, a named subset of it (``data/HKU-IS/test``), a TOML file, a root that holds several data
    sets or several folders of masks, up to three folders deep, or the name of a data set below ``data_root`` (``HKU-IS/test``).
    name: what to call a single one; by default the name is read off the path (:func:`infer_dataset_name`).
    data_root: the folder where a name is looked up.  Where it is given, a name is looked up there first, and
    not in the working folder; by default it is ``data``.
    without: a folder below ``path`` that holds no masks, namely the maps that are to be scored.

    Raises :class:`DatasetNotFound` where there are no masks, and :class:`SodbenchError` for a name that cannot be
    one, or that is given for several datasets.
    """
    maps = Path(without) if without is not None else None
    if name is None:
        return _find_masks(Path(path), data_root, maps)
    check_name(name, "--dataset-name")
    found = _find_masks(Path(path), data_root, maps)
    if len(found) > 1:
        names = ", ".join(dataset.name for dataset in found)
        raise SodbenchError(
            f"--dataset-name {name}: it names one dataset, but {path} has {len(found)}: {names}; "
            "give the path of one of them as GT"
        )
    return [_renamed(found[0], name)]


def _find_masks(path: Path, data_root: Path | str | None, without: Path | None) -> list[Dataset]:
    if path.suffix.lower() == ".toml":
        return [_from_toml(path)]
    if data_root is not None and not path.is_absolute():
        if path.parts and known_name(path.parts[0]):
            return [name_own_subset(find_dataset(path, data_root))]
        if (Path(data_root) / path).is_dir():
            return _find_masks(Path(data_root) / path, None, without)
    data_root = data_root or "data"
    if not path.is_dir():
        subset = _subset_of_folder(path)
        if subset is None and not known_name(str(path).partition("/")[0]):
            hint, *known = _suggestion(path, data_root)
            raise DatasetNotFound(
                f"{path}: no such folder of masks, and no dataset of this name{hint}", *known
            )
        found_set = find_dataset(path, data_root) if subset is None else subset
        return [name_own_subset(found_set)]
    here = _masks_in(path, asked_for=True)
    search = _Search(without)
    datasets = [here] if here else search.below(path)
    if not datasets:
        inside = ", ".join(f.name for f in list_folders(path)) or "no folders"
        raise DatasetNotFound(
            f"{path}: no masks found in it: neither images nor a known layout (it has {inside})",
            *(f"  {reason}" for reason in search.unclear),
            *describe_layouts(),
        )
    datasets = [name_own_subset(dataset) for dataset in datasets]
    check_unique_names(datasets)
    order = [*DATASETS]
    return sorted(
        datasets,
        key=lambda d: (
            order.index(base) if (base := d.name.split("/")[0]) in order else 99,
            d.name,
        ),
    )


def _suggestion(path: Path, data_root: Path | str) -> tuple[str, ...]:
    """What a path that leads nowhere may mean, to end a line with, and lines with the known names."""
    place = path
    while not place.parent.is_dir():
        place = place.parent
    beside = {folder.name: str(folder) for folder in list_folders(place.parent)}
    if place.parent == Path():
        beside |= {folder.name: folder.name for folder in list_folders(Path(data_root))}
        beside |= {name: name for name in DATASETS}
    near = difflib.get_close_matches(place.name, beside, n=1, cutoff=0.6)
    hint = f"; did you mean {beside[near[0]]}?" if near else ""
    if place != path and not near:
        hint = f"; there is no {place}"
    return (
        hint,
        f"  known datasets: {', '.join(DATASETS)}, looked up in {data_root} (--data-root names another folder)",
        f"  your own: the path of a folder of masks, of a dataset, or of a TOML file ({TOML_EXAMPLE})",
    )


def _masks_in(folder: Path, asked_for: bool = False) -> Dataset | None:
    """The one dataset that a folder is, if it has masks.

    asked_for: the user gave this very folder, so that its name does not matter where it holds nothing but pictures.
    """
    name = infer_dataset_name(folder)
    found = detect_layout(folder, DATASETS.get(name))
    has_masks = found is not None and bool(found.masks or found.pair_list)
    plain = has_images(folder) and not has_images_and_masks(folder)
    if plain and found and has_masks and not found.complete:
        raise SodbenchError(
            f"{folder}: holds images itself, and masks in {found.masks}; give the path of those that are meant, "
            f"or a TOML file ({TOML_EXAMPLE})"
        )
    if found and has_masks:
        return load_layout(name, found)
    key = normalise_name(folder.name)
    if plain and (asked_for or key not in IMAGE_FOLDERS | OTHER_FOLDERS):
        if asked_for and key in IMAGE_FOLDERS:
            _refuse_images(folder)
        return _named_masks(folder)
    return None


def _refuse_images(folder: Path) -> None:
    """Raise :class:`SodbenchError` for a folder of images that has its masks next to it."""
    beside = detect_layout(folder.absolute().parent, None)
    if beside and beside.masks and beside.images and beside.images.samefile(folder):
        raise SodbenchError(f"{folder}: holds the images; their masks are in {beside.masks}")


class _Search:
    """The search for all datasets below a folder.

    without: a folder that is left out.  unclear: folders that may hold masks, but were not read, and why.
    """

    def __init__(self, without: Path | None):
        self.without = without.resolve() if without else None
        self.unclear: list[str] = []

    def below(self, root: Path) -> list[Dataset]:
        """Every dataset with masks in the folders below ``root``; own ones of the same name get their parent's name too."""
        known = [dataset for dataset in _known_datasets(root) if dataset.masks]
        in_known = {mask for dataset in known for mask in dataset.masks.values()}
        own = self._walk(root, DEEPEST, plain=True)
        datasets = known + [d for d in own if in_known.isdisjoint(d.masks.values())]
        keys = Counter(normalise_name(dataset.name) for dataset in datasets)
        return [
            dataset
            if keys[normalise_name(dataset.name)] == 1 or dataset.name in DATASETS
            else _renamed(dataset, f"{dataset.root.absolute().parent.name}-{dataset.name}")
            for dataset in datasets
        ]

    def _walk(self, root: Path, depth: int, plain: bool) -> list[Dataset]:
        """The datasets in the folders of ``root`` and, where a folder is none, in its own folders.

        plain: whether a folder of nothing but pictures is one of masks.  Far below a root it may as well be one of maps,
        unless a folder above it is named as masks are.
        """
        datasets: list[Dataset] = []
        halves: set[Path] = set()
        for name, found in sibling_sets(root):
            # the folder of one half does not lead to the other, so the set is selected by its name
            source = (str(root.absolute()), "--datasets", name) if "," not in name else ()
            datasets.append(dataclasses.replace(load_layout(name, found), source=source))
            halves |= {folder for folder in (found.images, found.masks) if folder}
        is_masks = normalise_name(root.absolute().name) in MASK_FOLDERS
        at_root = detect_layout(root, None)
        for child in list_folders(root):
            key = normalise_name(child.name)
            if child in halves or key in IMAGE_FOLDERS | OTHER_FOLDERS:
                continue
            if self.without and child.resolve() == self.without:
                continue
            dataset = _masks_in(child)
            if dataset is None:
                deeper = depth - (key not in MASK_FOLDERS)  # GT/<set>/
                plain_below = is_masks or key in MASK_FOLDERS
                datasets += self._walk(child, deeper, plain_below) if deeper else []
            elif not has_images(child) or has_images_and_masks(child):
                datasets.append(dataset)
            elif at_root and at_root.images:
                self.unclear.append(
                    f"{root}: images are in {at_root.images.name}, but no mask folder was recognised; if the masks are "
                    f"in {child.name}, give {child} as GT"
                )
            elif plain or is_masks or without_kind(child.name, MASK_FOLDERS) != child.name:
                datasets.append(dataset)
            else:
                self.unclear.append(
                    f"{child}: holds images, which may be masks or maps; if they are masks, give {child} or "
                    f"{root} as GT"
                )
        return datasets


def _named_masks(folder: Path) -> Dataset:
    dataset = dataset_from_folders(None, folder)
    info = DATASETS.get(dataset.name)
    return dataset if info is None else annotate_official_count(dataset, info)


def _renamed(dataset: Dataset, name: str) -> Dataset:
    """The dataset under another name; the name of its subset stays, since it is part of every signature."""
    _, slash, subset = dataset.name.partition("/")
    source = dataset.source
    if source and name != dataset.name.partition("/")[0]:
        source = (*_without_name(source), "--dataset-name", name)
    name = known_name(name) or name
    return dataclasses.replace(dataset, name=f"{name}{slash}{subset}", source=source)


def _without_name(source: tuple[str, ...]) -> tuple[str, ...]:
    if "--dataset-name" not in source:
        return source
    at = source.index("--dataset-name")
    return source[:at] + source[at + 2 :]
