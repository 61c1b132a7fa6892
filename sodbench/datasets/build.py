"""From folders and lists to samples: which image belongs to which mask.  No picture is opened here."""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from sodbench.datasets.dataset import Dataset, Sample, read_stem_list, stem_of, subset_name
from sodbench.datasets.layouts import (
    IMAGE_LIST,
    JPEG,
    DetectedLayout,
    has_images_and_masks,
    infer_dataset_name,
    list_images,
)
from sodbench.datasets.official import official_names
from sodbench.datasets.pairing import columns, common_suffix, is_comment, read_numbered_lines
from sodbench.datasets.registry import DATASETS, DatasetInfo
from sodbench.errors import Problem, SodbenchError
from sodbench.images import IMAGE_EXTENSIONS


def load_layout(name: str, found: DetectedLayout) -> Dataset:
    """The data set of a recognised layout; ``name`` is canonical or the user's own, without subset."""
    if found.pair_list:
        dataset = dataset_from_list(found.pair_list, name=name)
    else:
        dataset = dataset_from_folders(found.images, found.masks, name=name)
        image_list = found.base / IMAGE_LIST
        if image_list.is_file():
            dataset = apply_image_list(dataset, image_list)
    dataset = dataclasses.replace(dataset, root=found.base, source=_folder_source(found.base, name))
    info = DATASETS.get(name)
    return dataset if info is None else annotate_official_count(dataset, info)


def apply_image_list(dataset: Dataset, image_list: Path) -> Dataset:
    """The samples that a set's own list such as ``test.lst`` names; what it leaves out is noted.

    Items that are not there are problems, and so are items on disk that the list does not name.
    """
    found = {sample.stem for sample in dataset.samples}
    stems = set(read_stem_list(image_list, found))
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
        excluded=frozenset(found - stems),
    )


def name_own_subset(dataset: Dataset) -> Dataset:
    """The dataset under the name of the subset that its own list selects, if that leaves out items on disk.

    The name becomes part of every signature: an official subset, or a hash of the names as for ``--items``.
    """
    name = dataset.name
    if "/" in name or not dataset.excluded:
        return dataset
    stems = {sample.stem for sample in dataset.samples}
    # an own list's items without files; those of a list of pairs are paths, and samples as well
    missing = (problem.file for problem in dataset.problems if problem.kind == "missing")
    stems |= {stem for stem in missing if os.sep not in stem}
    subset = subset_name(stems)
    if name in DATASETS:
        if stems == official_names(name):
            return dataset
        official = (s for s in DATASETS[name].subsets if stems == official_names(f"{name}/{s}"))
        subset = next(official, subset)
    return dataclasses.replace(dataset, name=f"{name}/{subset}")


def annotate_official_count(dataset: Dataset, info: DatasetInfo) -> Dataset:
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


def expected_stems(dataset: Dataset) -> frozenset[str] | None:
    """The stems that a set should have, where somebody says: the official ones, or the sample's own."""
    from sodbench.sample import is_sample, stems

    base, _, subset = dataset.name.partition("/")
    if base not in DATASETS or subset not in ("", *DATASETS[base].subsets):
        return None
    if is_sample(dataset.root):
        return None if subset else stems(base)
    return official_names(dataset.name)


def dataset_from_folders(
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
        raise SodbenchError("dataset_from_folders needs a folder of images, of masks, or both")
    notes: list[str] = []
    if image_folder and mask_folder and image_folder == mask_folder:
        image_of, mask_of, problems = _side_by_side(image_folder)
        layout = f"{image_folder.name} (masks next to the images)"
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
        name or infer_dataset_name(first),
        root,
        layout,
        samples,
        None,
        tuple(notes),
        tuple(problems),
        source=_folder_source(first, name) if image_folder is None else (),
    )


def _folder_source(folder: Path, name: str | None) -> tuple[str, ...]:
    """The arguments that select what a folder holds, under this name or the one that its path suggests."""
    path = str(folder.absolute())
    return (
        (path,)
        if name is None or name == infer_dataset_name(folder)
        else (path, "--dataset-name", name)
    )


def _unique(
    folder: Path | None, kind: str, masks_elsewhere: bool, notes: list[str]
) -> tuple[dict[str, Path], list[Problem]]:
    """Stem -> picture of one folder, and the stems that two files claim."""
    if folder is None:
        return {}, []
    paths = list_images(folder)
    if not paths:
        raise SodbenchError(f"{folder}: holds no images ({', '.join(sorted(IMAGE_EXTENSIONS))})")
    if masks_elsewhere and has_images_and_masks(folder):
        jpegs = {p.stem for p in paths if p.suffix.lower() in JPEG}
        beside = [p for p in paths if p.suffix.lower() not in JPEG and p.stem in jpegs]
        notes.append(
            f"{len(beside)} masks next to the images in {folder.name}/ are not used: the mask folder is"
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
    for path in list_images(folder):
        kind, chosen = ("image", images) if path.suffix.lower() in JPEG else ("mask", masks)
        if path.stem in chosen:
            problems.append(_claimed_twice(kind, [chosen[path.stem], path]))
        else:
            chosen[path.stem] = path
    if not images and not masks:
        raise SodbenchError(f"{folder}: holds no images ({', '.join(sorted(IMAGE_EXTENSIONS))})")
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


def dataset_from_list(list_file: Path | str, name: str | None = None) -> Dataset:
    """The pairs of a training list (``train_pair.lst``): ``image mask [edge]`` a line.

    Paths are relative to the list's folder (or, where nothing is found there, to the folder above).
    Files that are named but do not exist are problems of kind ``missing``.
    Raises :class:`SodbenchError` for a line of another form.
    """
    list_file = Path(list_file)
    rows = []
    for number, line in read_numbered_lines(list_file):
        if is_comment(line) and not (list_file.parent / columns(line)[0]).exists():
            continue
        parts = [part.replace("\\", "/") for part in columns(line)]
        if len(parts) not in (2, 3):
            raise SodbenchError(
                f"{list_file}, line {number}: expected 'image mask [edge]', found {line!r}; where names have "
                "spaces, separate the columns by tabs or put the names in double quotes"
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
        name or infer_dataset_name(list_file.absolute().parent),
        root,
        list_file.name,
        tuple(samples[stem] for stem in sorted(samples)),
        None,
        (),
        tuple(problems),
        _unlisted(samples),
    )


def _unlisted(samples: Mapping[str, Sample]) -> frozenset[str]:
    """The stems on disk, next to the images of a list of pairs, that the list leaves out; masks beside images are none."""
    images = [sample.image for sample in samples.values() if sample.image]
    stems = {path.stem for folder in {i.parent for i in images} for path in list_images(folder)}
    masks = {sample.mask.stem for sample in samples.values() if sample.mask}
    return frozenset(stems - samples.keys() - masks)


def _some(stems: Iterable[str], limit: int = 3) -> str:
    chosen = sorted(stems)
    return ", ".join(chosen[:limit]) + (", ..." if len(chosen) > limit else "")
