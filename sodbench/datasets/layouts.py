"""Finding data sets on disk, in any of the layouts people have; no picture is opened here."""

import dataclasses
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sodbench.datasets.dataset import Dataset, DatasetNotFound, Sample, listed_stems, stem_of
from sodbench.datasets.official import official_names
from sodbench.datasets.pairing import common_suffix, read_lines
from sodbench.datasets.registry import (
    DATASETS,
    TRAIN_SET,
    DatasetInfo,
    canonical_name,
    folder_key,
    keys_of,
    known_name,
)
from sodbench.errors import Problem, SodbenchError
from sodbench.images import IMAGE_EXTENSIONS

IMAGE_FOLDERS = frozenset({"imgs", "img", "images", "image"})
MASK_FOLDERS = frozenset(
    {"gt", "gts", "mask", "masks", "groundtruth", "groundtruths", "groundtruthmask",
     "groundtruthmasks", "pixelwisegt", "pixelwisegtnewpng"}
)  # fmt: skip
_IMAGE_ONLY = frozenset({".jpg", ".jpeg"})
_PAIR_LIST, _IMAGE_LIST = "train_pair.lst", "test.lst"

LAYOUTS = (
    "<set>/Imgs/*.jpg with the masks beside them (Imgs/*.png) or in <set>/gt/ [+ test.lst]",
    "<set>/images + <set>/GT; Imgs + GT; imgs + gt; image + mask; Image + GroundTruth",
    "<set>/<set>-Image + <set>/<set>-Mask, also below DUTS/",
    "<set>/images + <set>/ground_truth_mask; <set>-image + pixelwiseGT-new-PNG",
    "PASCAL-S/datasets/imgs/pascal + PASCAL-S/datasets/masks/pascal",
    "<set>/train_pair.lst: 'image mask' a line, relative to its folder",
    "<set>/*.jpg + <set>/*.png side by side",
)
"""The layouts that are read, in words; folder names are compared without case and punctuation."""


def pictures(folder: Path | str) -> tuple[Path, ...]:
    """The picture files directly in a folder, sorted; stray files (``._x``, Thumbs.db) are ignored.

    Raises :class:`SodbenchError` where the folder does not exist or cannot be read.
    """
    folder = Path(folder)
    return tuple(folder / e.name for e in _entries(folder) if _is_picture_name(e.name))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise SodbenchError(f"{folder}: not a readable folder ({error.strerror})") from error


def _is_picture_name(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in IMAGE_EXTENSIONS


def _has_pictures(folder: Path) -> bool:
    return any(_is_picture_name(entry.name) for entry in _entries(folder))


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [
        folder / e.name
        for e in _entries(folder)
        if not e.name.startswith(".") and e.name != "__MACOSX" and e.is_dir()
    ]


# ---------------------------------------------------------------------------------------------------
# One folder: what lies in it
# ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """A layout recognised in ``base``: where the images and where the masks are."""

    base: Path
    images: Path | None
    masks: Path | None
    pair_list: Path | None = None

    @property
    def complete(self) -> bool:
        return self.pair_list is not None or bool(self.images and self.masks)


def _recognise(base: Path, info: DatasetInfo | None, strict: bool = False) -> _Found | None:
    """The layout of one folder, or None.

    strict: only sub-folders that carry the set's name count (``DUTS-TE-Image``), because the folder
    itself is shared by several sets.
    """
    is_training = info is None or info.name == TRAIN_SET
    if is_training and not strict and (base / _PAIR_LIST).is_file():
        return _Found(base, None, None, base / _PAIR_LIST)
    images = _folders_of_kind(base, IMAGE_FOLDERS, info, strict)
    masks = _folders_of_kind(base, MASK_FOLDERS, info, strict)
    if not strict and not images and not masks:
        inner = base / "datasets" if (base / "datasets").is_dir() else base
        images = _if_pictures(inner / "imgs" / "pascal")
        masks = _if_pictures(inner / "masks" / "pascal")
    for kind, folders in (("image", images), ("mask", masks)):
        if len(folders) > 1:
            raise SodbenchError(
                f"{base}: several {kind} folders ({', '.join(f.name for f in folders)}); say which is "
                f"meant with a TOML file ({_TOML_EXAMPLE}) given in place of the data set's name"
            )
    if images or masks:
        image_folder = images[0] if images else None
        mask_folder = masks[0] if masks else image_folder
        if mask_folder is image_folder and not _holds_both(image_folder):
            mask_folder = None
        return _Found(base, image_folder, mask_folder)
    if not strict and base.is_dir() and _has_pictures(base) and _holds_both(base):
        return _Found(base, base, base)
    return None


_TOML_EXAMPLE = 'name = "...", images = "folder", masks = "folder"'


def _folders_of_kind(
    base: Path, kind: frozenset[str], info: DatasetInfo | None, strict: bool
) -> list[Path]:
    found = []
    for folder in _subfolders(base):
        key = folder_key(folder.name)
        named = info and any(
            key.startswith(own) and key[len(own) :] in kind for own in keys_of(info)
        )
        if named or (not strict and key in kind):
            # unpacking twice over gives images/images/
            repeated = [inner for inner in _subfolders(folder) if folder_key(inner.name) == key]
            found += [place for place in (folder, *repeated) if _has_pictures(place)]
    return found


def _if_pictures(folder: Path) -> list[Path]:
    return [folder] if folder.is_dir() and _has_pictures(folder) else []


def _holds_both(folder: Path | None) -> bool:
    """Whether images and masks lie side by side: some stem is there as JPEG and as another format."""
    if folder is None:
        return False
    jpegs: set[str] = set()
    others: set[str] = set()
    for path in pictures(folder):
        (jpegs if path.suffix.lower() in _IMAGE_ONLY else others).add(path.stem)
    return not jpegs.isdisjoint(others)


# ---------------------------------------------------------------------------------------------------
# From folders to samples
# ---------------------------------------------------------------------------------------------------


def _build(name: str, found: _Found) -> Dataset:
    """The data set of a recognised layout; ``name`` is canonical or the user's own, without subset."""
    if found.pair_list:
        dataset = listed_pairs(found.pair_list, name=name)
    else:
        dataset = folder_pairs(found.images, found.masks, name=name)
        image_list = found.base / _IMAGE_LIST
        if image_list.is_file():
            dataset = _restricted(dataset, image_list)
    dataset = dataclasses.replace(dataset, root=found.base)
    info = DATASETS.get(name)
    return dataset if info is None else _compared(dataset, info)


def _restricted(dataset: Dataset, image_list: Path) -> Dataset:
    """The samples that ``test.lst`` names; what it leaves out is noted, what it lacks is a problem."""
    stems = set(listed_stems(image_list))
    found = {sample.stem for sample in dataset.samples}
    notes = list(dataset.notes)
    if found - stems:
        notes.append(
            f"{image_list.name} names {len(stems)} items; {len(found - stems)} other items on disk "
            f"are left out ({_some(found - stems)})"
        )
    problems = [p for p in dataset.problems if stem_of(p.file) not in found - stems]
    problems += [
        Problem("missing", stem, f"named in {image_list}, but neither image nor mask is there")
        for stem in sorted(stems - found)
    ]
    problems += [
        Problem("extra", stem, f"on disk, but not named in {image_list}")
        for stem in sorted(found - stems)
    ]
    return dataclasses.replace(
        dataset,
        layout=f"{dataset.layout} + {image_list.name}",
        samples=tuple(s for s in dataset.samples if s.stem in stems),
        notes=tuple(notes),
        problems=tuple(problems),
        left_out=frozenset(found - stems),
    )


def _compared(dataset: Dataset, info: DatasetInfo) -> Dataset:
    """The set with its official count, and a note where it differs from the official names."""
    from sodbench.sample import is_sample, stems

    if is_sample(dataset.root):
        note = "a sample drawn by sodbench, not the real set: its numbers compare with nothing else"
        count = len(stems(info.name))
        return dataclasses.replace(dataset, expected=count, notes=(*dataset.notes, note))
    found = {sample.stem for sample in dataset.samples}
    notes = list(dataset.notes)
    if len(found) != info.count:
        notes.append(f"{len(found)} items found, {info.count} are official")
        for subset in info.subsets:
            if found == official_names(f"{info.name}/{subset}"):
                notes.append(f"these are exactly {info.name}/{subset}; ask for it by this name")
    return dataclasses.replace(dataset, expected=info.count, notes=tuple(notes))


def folder_pairs(
    images: Path | str | None, masks: Path | str | None, name: str | None = None
) -> Dataset:
    """Two plain folders as a data set; either may be None, both may be the same folder.

    In one shared folder the JPEGs are the images and the files of the same stem in another format the
    masks.  Otherwise items are paired by stem; a suffix common to all masks (``x_mask.png``) is
    recognised and noted.  Raises :class:`SodbenchError` where a folder is unreadable or holds no
    pictures.
    """
    image_folder = Path(images) if images is not None else None
    mask_folder = Path(masks) if masks is not None else None
    first = image_folder or mask_folder
    if first is None:
        raise SodbenchError("folder_pairs needs a folder of images, of masks, or both")
    notes: list[str] = []
    if image_folder and mask_folder and image_folder == mask_folder:
        image_of, mask_of, problems = _side_by_side(image_folder)
        layout = f"{image_folder.name} (masks beside the images)"
        root = image_folder
    else:
        image_of, problems = _unique(image_folder, "image", bool(mask_folder), notes)
        mask_of, mask_problems = _unique(mask_folder, "mask", False, notes)
        problems += mask_problems
        if image_folder and mask_folder:
            root = Path(os.path.commonpath([image_folder.absolute(), mask_folder.absolute()]))
            layout = " + ".join(
                str(f.absolute().relative_to(root)) for f in (image_folder, mask_folder)
            )
            mask_of = _without_suffix(mask_of, image_of, notes)
        else:
            root = first
            layout = f"{first.name} ({'images' if image_folder else 'masks'} only)"
    if image_of and mask_of:
        no_mask, no_image = image_of.keys() - mask_of.keys(), mask_of.keys() - image_of.keys()
        problems += [
            Problem("no-mask", str(image_of[s]), "no mask of this name") for s in sorted(no_mask)
        ]
        problems += [
            Problem("no-image", str(mask_of[s]), "no image of this name") for s in sorted(no_image)
        ]
        if no_mask:
            notes.append(f"{len(no_mask)} images have no mask ({_some(no_mask)})")
        if no_image:
            notes.append(f"{len(no_image)} masks have no image ({_some(no_image)})")
    samples = tuple(
        Sample(stem, image_of.get(stem), mask_of.get(stem))
        for stem in sorted(image_of.keys() | mask_of.keys())
    )
    return Dataset(
        name or guess_name(first), root, layout, samples, None, tuple(notes), tuple(problems)
    )


def _unique(
    folder: Path | None, kind: str, masks_elsewhere: bool, notes: list[str]
) -> tuple[dict[str, Path], list[Problem]]:
    """Stem -> picture of one folder, and the stems that two files claim."""
    if folder is None:
        return {}, []
    paths = pictures(folder)
    if not paths:
        raise SodbenchError(f"{folder}: holds no pictures ({', '.join(sorted(IMAGE_EXTENSIONS))})")
    if masks_elsewhere and _holds_both(folder):
        jpegs = {p.stem for p in paths if p.suffix.lower() in _IMAGE_ONLY}
        beside = [p for p in paths if p.suffix.lower() not in _IMAGE_ONLY and p.stem in jpegs]
        notes.append(
            f"{len(beside)} masks beside the images in {folder.name}/ are not used: the mask folder is"
        )
        ignored = set(beside)
        paths = tuple(p for p in paths if p not in ignored)
    by_stem: dict[str, list[Path]] = {}
    for path in paths:
        by_stem.setdefault(path.stem, []).append(path)
    problems = [_claimed_twice(kind, same) for same in by_stem.values() if len(same) > 1]
    return {stem: same[0] for stem, same in by_stem.items()}, problems


def _side_by_side(folder: Path) -> tuple[dict[str, Path], dict[str, Path], list[Problem]]:
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    problems = []
    for path in pictures(folder):
        kind, chosen = ("image", images) if path.suffix.lower() in _IMAGE_ONLY else ("mask", masks)
        if path.stem in chosen:
            problems.append(_claimed_twice(kind, [chosen[path.stem], path]))
        else:
            chosen[path.stem] = path
    if not images and not masks:
        raise SodbenchError(f"{folder}: holds no pictures ({', '.join(sorted(IMAGE_EXTENSIONS))})")
    return images, masks, problems


def _claimed_twice(kind: str, paths: list[Path]) -> Problem:
    names = ", ".join(path.name for path in paths)
    return Problem(
        "ambiguous", str(paths[0]), f"{len(paths)} {kind} files of one stem ({names}); keep one"
    )


def _without_suffix(
    masks: dict[str, Path], images: Mapping[str, Path], notes: list[str]
) -> dict[str, Path]:
    suffix = common_suffix(masks, images)
    if not suffix:
        return masks
    notes.append(f"mask names carry the suffix {suffix!r} after the image's name")
    return {stem if stem in images else stem.removesuffix(suffix): p for stem, p in masks.items()}


def listed_pairs(list_file: Path | str, name: str | None = None) -> Dataset:
    """The pairs of a training list (``train_pair.lst``): ``image mask [edge]`` a line.

    Paths are relative to the list's folder (or, where nothing is found there, to the folder above).
    Files that are named but do not exist are problems of kind ``missing``.
    Raises :class:`SodbenchError` for a line of another form.
    """
    list_file = Path(list_file)
    rows = []
    for number, line in enumerate(read_lines(list_file), start=1):
        parts = line.split()
        if len(parts) not in (2, 3):
            raise SodbenchError(
                f"{list_file}, line {number}: expected 'image mask [edge]', found {line!r}"
            )
        rows.append((parts[0], parts[1]))
    if not rows:
        raise SodbenchError(f"{list_file}: the list names no pairs")
    here, above = list_file.parent, list_file.absolute().parent.parent
    root = here if (here / rows[0][0]).exists() or not (above / rows[0][0]).exists() else above
    samples: dict[str, Sample] = {}
    problems = []
    for image_name, mask_name in rows:
        image, mask = root / image_name, root / mask_name
        gone = [path for path in (image, mask) if not path.is_file()]
        problems += [
            Problem("missing", str(path), f"named in {list_file}, but not there") for path in gone
        ]
        if image.stem in samples:
            problems.append(Problem("ambiguous", str(image), f"listed twice in {list_file}"))
        samples[image.stem] = Sample(
            image.stem, None if image in gone else image, None if mask in gone else mask
        )
    return Dataset(
        name or guess_name(list_file.absolute().parent),
        root,
        list_file.name,
        tuple(samples[stem] for stem in sorted(samples)),
        None,
        (),
        tuple(problems),
    )


def _some(stems: Iterable[str], limit: int = 3) -> str:
    chosen = sorted(stems)
    return ", ".join(chosen[:limit]) + (", ..." if len(chosen) > limit else "")


# ---------------------------------------------------------------------------------------------------
# Finding by name
# ---------------------------------------------------------------------------------------------------


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
        if subset := _subset_of_folder(folder):
            return subset
    if slash:
        raise DatasetNotFound(
            f"no data set {text!r}: neither {text} nor {data_root / text} is a folder"
        )
    canonical_name(text)  # raises, with the nearest name
    raise AssertionError("unreachable")


def _subset_of_folder(path: Path) -> Dataset | None:
    """``some/where/HKU-IS/test``: a named subset of the known set in the folder above, if it is one."""
    name = known_name(guess_name(path.parent))
    if name is None or not path.parent.is_dir() or not _is_subset(f"{name}/{path.name}"):
        return None
    return _own_folder(path.parent).subset(path.name)


def _is_subset(text: str) -> bool:
    try:
        return bool(canonical_name(text))
    except SodbenchError:
        return False


def _own_folder(folder: Path) -> Dataset:
    name = guess_name(folder)
    found = _recognise(folder, DATASETS.get(name))
    if found is None:
        inside = ", ".join(f.name for f in _subfolders(folder)) or "no folders"
        raise DatasetNotFound(
            f"{folder} is no data set: no image or mask folder was recognised in it "
            f"(it has {inside})\n" + _layout_lines()
        )
    return _build(name, found)


def _from_toml(file: Path) -> Dataset:
    """A data set described by a TOML file: ``name``, ``images``, ``masks``, optionally ``list``."""
    try:
        with file.open("rb") as stream:
            table = tomllib.load(stream)
    except FileNotFoundError:
        raise DatasetNotFound(
            f"{file}: no such file; a data set's TOML has {_TOML_EXAMPLE}"
        ) from None
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SodbenchError(f"{file}: cannot be read as TOML ({error})") from error
    unknown = table.keys() - {"name", "images", "masks", "list"}
    wrong = [key for key in table if not isinstance(table[key], str)]
    if unknown or wrong or not table.keys() & {"images", "masks"}:
        raise SodbenchError(
            f'{file}: expected {_TOML_EXAMPLE} and optionally list = "file", all of them text; '
            f"found {', '.join(table) or 'nothing'}"
        )
    folders = {key: file.parent / table[key] for key in ("images", "masks") if key in table}
    name = table.get("name", file.stem)
    dataset = folder_pairs(
        folders.get("images"), folders.get("masks"), name=known_name(name) or name
    )
    if "list" in table:
        dataset = _restricted(dataset, file.parent / table["list"])
    info = DATASETS.get(dataset.name)
    return dataset if info is None else _compared(dataset, info)


def _find_known(name: str, data_root: Path) -> Dataset:
    base_name, _, subset = name.partition("/")
    info = DATASETS[base_name]
    looked: list[Path] = []
    found: list[_Found] = []
    for base, strict in _bases(info, data_root):
        looked.append(base)
        layout = _recognise(base, info, strict)
        if layout and not any(_same(layout, other) for other in found):
            found.append(layout)
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
    dataset = _build(base_name, choice[0])
    return dataset.subset(subset) if subset else dataset


def _same(a: _Found, b: _Found) -> bool:
    def places(layout: _Found) -> tuple[Path | None, ...]:
        return tuple(
            place.resolve() if place else None
            for place in (layout.images, layout.masks, layout.pair_list)
        )

    return places(a) == places(b)


def _bases(info: DatasetInfo, data_root: Path) -> Iterator[tuple[Path, bool]]:
    """Folders that may hold the set, and whether only sub-folders with the set's name count there."""
    keys = keys_of(info)
    shared = info.name.startswith("DUTS")
    for child in _subfolders(data_root):
        key = folder_key(child.name)
        if key in keys:
            yield child, False
            yield from (
                (inner, False) for inner in _subfolders(child) if folder_key(inner.name) in keys
            )
        if shared and key == "duts":
            yield child, True
            if "duts" not in keys:
                yield from (
                    (inner, False) for inner in _subfolders(child) if folder_key(inner.name) in keys
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
            inside = ", ".join(f.name for f in _subfolders(base)) or "no folders"
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


# ---------------------------------------------------------------------------------------------------
# Finding everything below a folder
# ---------------------------------------------------------------------------------------------------


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
    return known + own_datasets(root)


def own_datasets(root: Path | str) -> list[Dataset]:
    """The folders directly below ``root`` that are laid out like a data set, but are no known one."""
    datasets = []
    for child in _subfolders(Path(root)):
        if known_name(guess_name(child)) or folder_key(child.name) == "duts":
            continue
        found = _recognise(child, None)
        if found and found.complete:
            datasets.append(_build(child.name, found))
    return datasets


def find_masks(
    path: Path | str, name: str | None = None, data_root: Path | str = "data"
) -> list[Dataset]:
    """The ground truth that a path or a name stands for: one data set, or every one below it.

    path: a plain folder of masks (its samples then have no image), a folder of one data set in any
    layout, a named subset of it (``data/HKU-IS/test``), a TOML file, a root that holds several data
    sets or several folders of masks, or the name of a data set below ``data_root`` (``HKU-IS/test``).
    name: what to call a single one; by default the name is read off the path (:func:`guess_name`).

    Raises :class:`DatasetNotFound` where there are no masks.
    """
    path = Path(path)
    if path.suffix.lower() == ".toml":
        return [_renamed(_from_toml(path), name)]
    if not path.is_dir():
        subset = _subset_of_folder(path)
        if subset is None and not known_name(str(path).partition("/")[0]):
            raise DatasetNotFound(f"{path}: no such folder of masks, and no data set of this name")
        return [_renamed(subset or find_dataset(path, data_root), name)]
    if _has_pictures(path) and not _holds_both(path):
        return [_named_masks(path, name)]
    known = known_name(guess_name(path))
    found = _recognise(path, DATASETS.get(known or ""))
    if found and (found.masks or found.pair_list):
        return [_renamed(_build(guess_name(path), found), name)]
    datasets = [dataset for dataset in find_datasets(path) if dataset.masks]
    taken = {dataset.name for dataset in datasets}
    for child in _subfolders(path):
        if guess_name(child) not in taken and _has_pictures(child) and not _holds_both(child):
            datasets.append(_named_masks(child, None))
    if not datasets:
        inside = ", ".join(f.name for f in _subfolders(path)) or "no folders"
        raise DatasetNotFound(
            f"{path}: no masks found in it: neither pictures nor a known layout (it has {inside})\n"
            + _layout_lines()
        )
    order = list(DATASETS)
    return sorted(datasets, key=lambda d: (order.index(d.name) if d.name in order else 99, d.name))


def _named_masks(folder: Path, name: str | None) -> Dataset:
    dataset = folder_pairs(None, folder, name=name or guess_name(folder))
    info = DATASETS.get(dataset.name)
    return dataset if info is None else _compared(dataset, info)


def _renamed(dataset: Dataset, name: str | None) -> Dataset:
    return dataset if name is None else dataclasses.replace(dataset, name=name)


def guess_name(folder: Path | str) -> str:
    """The data set's name that a folder's path suggests.

    The last part that is no generic word such as ``GT`` or ``images``, as its canonical name where it
    is known: ``preds/DSS/pascals`` -> ``PASCAL-S``, ``DUTS-TE/DUTS-TE-Mask`` -> ``DUTS-TE``.
    """
    parts = [part for part in Path(folder).absolute().parts[1:][::-1] if part not in ("..", ".")]
    generic = IMAGE_FOLDERS | MASK_FOLDERS
    for part in parts[:3]:
        key = folder_key(part)
        if known := _BY_PREFIX.get(key):
            return known
        if key not in generic and key not in ("datasets", "pascal"):
            return part
    return parts[0] if parts else "data"


_BY_PREFIX = {
    key + kind: info.name
    for info in DATASETS.values()
    for key in keys_of(info)
    for kind in ("", *sorted(IMAGE_FOLDERS | MASK_FOLDERS))
}
