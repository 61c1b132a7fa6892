"""Finding data sets on disk: by name, by path, or everything below a folder."""

import dataclasses
import tomllib
from collections.abc import Iterator
from pathlib import Path

from sodbench.datasets.dataset import Dataset, DatasetNotFound, check_name
from sodbench.datasets.layouts import (
    LAYOUTS,
    TOML_EXAMPLE,
    Found,
    guess_name,
    has_pictures,
    holds_both,
    recognise,
)
from sodbench.datasets.registry import (
    DATASETS,
    DatasetInfo,
    canonical_name,
    folder_key,
    keys_of,
    known_name,
)
from sodbench.datasets.samples import build, compared, folder_pairs
from sodbench.errors import SodbenchError
from sodbench.folders import subfolders


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
        raise DatasetNotFound(f"no data set {text!r}: no such folder ({', '.join(places)})")
    canonical_name(text)  # raises, with the nearest name
    raise AssertionError("unreachable")


def _subset_of_folder(path: Path) -> Dataset | None:
    """``some/where/HKU-IS/test``: a named subset of the known set in the folder above, if that is one.

    Raises :class:`DatasetNotFound` where the set has no such subset.
    """
    name = known_name(guess_name(path.parent))
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
    name = guess_name(folder)
    found = recognise(folder, DATASETS.get(name))
    if found is None:
        inside = ", ".join(f.name for f in subfolders(folder)) or "no folders"
        raise DatasetNotFound(
            f"{folder} is no data set: no image or mask folder was recognised in it "
            f"(it has {inside})\n" + _layout_lines()
        )
    return build(name, found)


def _from_toml(file: Path) -> Dataset:
    """A data set described by a TOML file: ``name``, ``images``, ``masks``, optionally ``list``."""
    try:
        with file.open("rb") as stream:
            table = tomllib.load(stream)
    except FileNotFoundError:
        raise DatasetNotFound(
            f"{file}: no such file; a data set's TOML has {TOML_EXAMPLE}"
        ) from None
    except (OSError, ValueError) as error:  # no TOML, or no UTF-8
        raise SodbenchError(f"{file}: cannot be read as TOML ({error})") from error
    unknown = table.keys() - {"name", "images", "masks", "list"}
    wrong = [key for key in table if not isinstance(table[key], str)]
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
    dataset = folder_pairs(
        folders.get("images"), folders.get("masks"), name=known_name(name) or name
    )
    if "list" in table:  # as --list: the name of the subset becomes part of every signature
        dataset = dataset.listed(file.parent / table["list"])
    elif info := DATASETS.get(dataset.name):
        dataset = compared(dataset, info)
    return dataclasses.replace(dataset, source=(str(file.absolute()),))


def _find_known(name: str, data_root: Path) -> Dataset:
    base_name, _, subset = name.partition("/")
    info = DATASETS[base_name]
    looked: list[Path] = []
    found: list[Found] = []
    own_folder: list[Found] = []  # layouts whose folder holds nothing but this dataset
    for base, strict in _bases(info, data_root):
        looked.append(base)
        layout = recognise(base, info, strict)
        if layout and not any(_same(layout, other) for other in found):
            found.append(layout)
            own_folder += [layout] * (not strict)
    complete = [layout for layout in found if layout.complete]
    choice = complete or found
    if not choice:
        raise DatasetNotFound(_not_found(info, data_root, looked))
    if len(choice) > 1:
        places = ", ".join(str(layout.base) for layout in choice)
        raise SodbenchError(
            f"{base_name} lies in several places: {places}; remove one, or give the path of the one "
            "that is meant in place of the name"
        )
    dataset = build(base_name, choice[0])
    if choice[0] not in own_folder:
        source = (base_name, "--data-root", str(data_root.absolute()))
        dataset = dataclasses.replace(dataset, source=source)
    return dataset.subset(subset) if subset else dataset


def _same(a: Found, b: Found) -> bool:
    def places(layout: Found) -> tuple[Path | None, ...]:
        return tuple(
            place.resolve() if place else None
            for place in (layout.images, layout.masks, layout.pair_list)
        )

    return places(a) == places(b)


def _bases(info: DatasetInfo, data_root: Path) -> Iterator[tuple[Path, bool]]:
    """Folders that may hold the set, and whether only sub-folders with the set's name count there."""
    keys = keys_of(info)
    shared = info.name.startswith("DUTS")
    for child in subfolders(data_root):
        key = folder_key(child.name)
        if key in keys:
            yield child, False
            yield from (
                (inner, False) for inner in subfolders(child) if folder_key(inner.name) in keys
            )
        if shared and key == "duts":
            yield child, True
            if "duts" not in keys:
                yield from (
                    (inner, False) for inner in subfolders(child) if folder_key(inner.name) in keys
                )
    if folder_key(data_root.absolute().name) in keys:
        yield data_root, False
    yield data_root, True


def _not_found(info: DatasetInfo, data_root: Path, looked: list[Path]) -> str:
    spellings = ", ".join(dict.fromkeys((info.name, *info.aliases)))
    lines = [f"data set {info.name} not found under {data_root}"]
    if not data_root.is_dir():
        lines.append(f"  the folder {data_root} does not exist (--data-root names another)")
    lines.append(f"  looked for a folder named {spellings} (case and punctuation do not matter)")
    for base in looked:
        if base != data_root:
            inside = ", ".join(f.name for f in subfolders(base)) or "no folders"
            lines.append(
                f"  {base} is there, but no image or mask folder with pictures (has {inside})"
            )
    lines.append(_layout_lines())
    lines.append(
        "  ways out: 'sodbench run --sample' needs no data; 'sodbench data download "
        f"{info.name}' fetches it; 'sodbench data list' shows what is found and where to get the rest"
    )
    return "\n".join(lines)


def _layout_lines() -> str:
    return "\n".join(["  layouts that are read:", *(f"    {layout}" for layout in LAYOUTS)])


def find_datasets(root: Path | str) -> list[Dataset]:
    """Every data set below a folder: known ones in the registry's order, then folders like them.

    A known set that could be meant twice raises :class:`SodbenchError`, as :func:`find_dataset` does.
    """
    root = Path(root)
    known = []
    for name in DATASETS:
        try:
            known.append(_find_known(name, root))
        except DatasetNotFound:
            continue
    own, refused = own_datasets(root)
    for error in refused.values():
        raise error
    return known + own


def own_datasets(root: Path | str) -> tuple[list[Dataset], dict[str, SodbenchError]]:
    """The folders directly below ``root`` that are laid out like a data set, but are no known one.

    With them, by name, why folders that look like one could not be read.
    """
    datasets: list[Dataset] = []
    refused: dict[str, SodbenchError] = {}
    for child in subfolders(Path(root)):
        if known_name(guess_name(child)) or folder_key(child.name) == "duts":
            continue
        try:
            found = recognise(child, None)
            if found and found.complete:
                datasets.append(build(child.name, found))
        except SodbenchError as error:
            refused[child.name] = error
    return datasets, refused


def find_masks(
    path: Path | str, name: str | None = None, data_root: Path | str | None = None
) -> list[Dataset]:
    """The ground truth that a path or a name stands for: one data set, or every one below it.

    path: a plain folder of masks (its samples then have no image), a folder of one data set in any
    layout, a named subset of it (``data/HKU-IS/test``), a TOML file, a root that holds several data
    sets or several folders of masks, or the name of a data set below ``data_root`` (``HKU-IS/test``).
    name: what to call a single one; by default the name is read off the path (:func:`guess_name`).
    data_root: the folder where a name is looked up.  Where it is given, a name is looked up there first, and
    not in the working folder; by default it is ``data``.

    Raises :class:`DatasetNotFound` where there are no masks, and :class:`SodbenchError` for a name that cannot be
    one, or that is given for several datasets.
    """
    if name is None:
        return _find_masks(Path(path), data_root)
    check_name(name, "--dataset-name")
    found = _find_masks(Path(path), data_root)
    if len(found) > 1:
        names = ", ".join(dataset.name for dataset in found)
        raise SodbenchError(
            f"--dataset-name {name}: it names one dataset, but {path} has {len(found)}: {names}; "
            "give the path of one of them as GT"
        )
    return [_renamed(found[0], name)]


def _find_masks(path: Path, data_root: Path | str | None) -> list[Dataset]:
    if path.suffix.lower() == ".toml":
        return [_from_toml(path)]
    if data_root is not None and not path.is_absolute():
        place = Path(data_root) / path
        if known_name(path.parts[0]) if path.parts else False:
            return [find_dataset(path, data_root)]
        if place.is_dir():
            return _find_masks(place, None)
    data_root = data_root or "data"
    if not path.is_dir():
        subset = _subset_of_folder(path)
        if subset is None and not known_name(str(path).partition("/")[0]):
            raise DatasetNotFound(f"{path}: no such folder of masks, and no data set of this name")
        found_set = find_dataset(path, data_root) if subset is None else subset
        return [found_set]
    if has_pictures(path) and not holds_both(path):
        return [_named_masks(path)]
    known = known_name(guess_name(path))
    found = recognise(path, DATASETS.get(known or ""))
    if found and (found.masks or found.pair_list):
        return [build(guess_name(path), found)]
    datasets = [dataset for dataset in find_datasets(path) if dataset.masks]
    taken = {dataset.name for dataset in datasets}
    for child in subfolders(path):
        if guess_name(child) not in taken and has_pictures(child) and not holds_both(child):
            datasets.append(_named_masks(child))
    if not datasets:
        inside = ", ".join(f.name for f in subfolders(path)) or "no folders"
        raise DatasetNotFound(
            f"{path}: no masks found in it: neither pictures nor a known layout (it has {inside})\n"
            + _layout_lines()
        )
    order = list(DATASETS)
    return sorted(datasets, key=lambda d: (order.index(d.name) if d.name in order else 99, d.name))


def _named_masks(folder: Path) -> Dataset:
    dataset = folder_pairs(None, folder)
    info = DATASETS.get(dataset.name)
    return dataset if info is None else compared(dataset, info)


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
