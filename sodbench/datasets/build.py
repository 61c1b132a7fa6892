"""Build datasets from folders and lists: which image belongs to which mask. No image is opened here."""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from sodbench.datasets.dataset import Dataset, Sample
from sodbench.datasets.layouts import (
    IMAGE_LIST,
    JPEG,
    DetectedLayout,
    has_images_and_masks,
    infer_dataset_name,
    list_images,
)
from sodbench.datasets.list_files import (
    image_stem,
    is_comment,
    list_subset_name,
    read_numbered_lines,
    read_stem_list,
    split_columns,
)
from sodbench.datasets.pairing import common_suffix, group_by_stem
from sodbench.datasets.registry import DATASETS, official_names, subset_items
from sodbench.demo_data import demo_stems, is_demo_data
from sodbench.errors import Problem, SodbenchError
from sodbench.images import IMAGE_EXTENSIONS


def load_layout(name: str, layout: DetectedLayout) -> Dataset:
    """Load the dataset of a detected layout.

    Parameters
    ----------
    name : str
        The canonical name or the user's own, without a subset.
    layout : DetectedLayout
        Where the files are.

    Returns
    -------
    Dataset

    Raises
    ------
    SodbenchError
        If a folder or list cannot be read, or holds nothing.
    """
    if layout.pair_list:
        dataset = dataset_from_list(layout.pair_list, name=name)
    else:
        dataset = dataset_from_folders(layout.images, layout.masks, name=name)
        image_list = layout.base / IMAGE_LIST
        if image_list.is_file():
            dataset = _apply_image_list(dataset, image_list)
    source = _folder_source(layout.base, name)
    return annotate_official_count(dataclasses.replace(dataset, root=layout.base, source=source))


# --- folders -----------------------------------------------------------------------------------------


def dataset_from_folders(
    images: Path | str | None, masks: Path | str | None, name: str | None = None
) -> Dataset:
    """Load two plain folders as a dataset.

    In one shared folder, JPEGs are images and files of the same stem in another format are masks. In two
    folders, items are paired by stem; a suffix that all masks carry (``x_mask.png``) is recognised and noted.

    Parameters
    ----------
    images, masks : Path or str, optional
        The folders; one may be None, and both may be the same.
    name : str, optional
        The dataset's name; by default it is inferred from the path.

    Returns
    -------
    Dataset

    Raises
    ------
    SodbenchError
        If a folder cannot be read or holds no images.
    """
    image_folder = Path(images) if images is not None else None
    mask_folder = Path(masks) if masks is not None else None
    first = image_folder or mask_folder
    if first is None:
        raise SodbenchError("dataset_from_folders needs a folder of images, of masks, or both")
    notes: list[str] = []
    if image_folder and image_folder == mask_folder:
        image_paths, mask_paths, problems = _split_shared_folder(image_folder)
        root, layout = image_folder, f"{image_folder.name} (masks next to the images)"
    else:
        image_paths, problems = _one_per_stem(image_folder, "image", bool(mask_folder), notes)
        mask_paths, mask_problems = _one_per_stem(mask_folder, "mask", False, notes)
        problems += mask_problems
        root, layout = first, f"{first.name} ({'images' if image_folder else 'masks'} only)"
        if image_folder and mask_folder:
            folders = (image_folder.absolute(), mask_folder.absolute())
            root = Path(os.path.commonpath(folders))
            layout = " + ".join(str(folder.relative_to(root)) for folder in folders)
            mask_paths = _strip_common_suffix(mask_paths, image_paths, notes)
    if image_paths and mask_paths:
        problems += _find_incomplete(image_paths, mask_paths, notes)
    # not of a set: both are sorted already
    stems = sorted([*image_paths, *(stem for stem in mask_paths if stem not in image_paths)])
    return Dataset(
        name or infer_dataset_name(first),
        root,
        layout,
        tuple(Sample(stem, image_paths.get(stem), mask_paths.get(stem)) for stem in stems),
        notes=tuple(notes),
        problems=tuple(problems),
        source=_folder_source(first, name) if image_folder is None else (),
    )


def _folder_source(folder: Path, name: str | None) -> tuple[str, ...]:
    """The arguments that select what a folder holds, under this name or the inferred one."""
    path = str(folder.absolute())
    default = name is None or name == infer_dataset_name(folder)
    return (path,) if default else (path, "--dataset-name", str(name))


def _one_per_stem(
    folder: Path | None, kind: str, masks_elsewhere: bool, notes: list[str]
) -> tuple[dict[str, Path], list[Problem]]:
    """Stem -> image file of one folder, and the stems that two files claim."""
    if folder is None:
        return {}, []
    paths = list_images(folder)
    if not paths:
        raise _no_images(folder)
    if masks_elsewhere and has_images_and_masks(folder):
        jpegs = {p.stem for p in paths if p.suffix.lower() in JPEG}
        unused = {p for p in paths if p.suffix.lower() not in JPEG and p.stem in jpegs}
        paths = tuple(p for p in paths if p not in unused)
        notes.append(
            f"{len(unused)} masks next to the images in {folder.name}/ are not used: the mask folder is"
        )
    groups = group_by_stem(paths)
    problems = [_claimed_twice(kind, same) for same in groups.values() if len(same) > 1]
    return {stem: same[0] for stem, same in groups.items()}, problems


def _split_shared_folder(folder: Path) -> tuple[dict[str, Path], dict[str, Path], list[Problem]]:
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    problems = []
    for path in list_images(folder):
        kind, files = ("image", images) if path.suffix.lower() in JPEG else ("mask", masks)
        if path.stem in files:
            problems.append(_claimed_twice(kind, [files[path.stem], path]))
        else:
            files[path.stem] = path
    if not images and not masks:
        raise _no_images(folder)
    return images, masks, problems


def _no_images(folder: Path) -> SodbenchError:
    return SodbenchError(f"{folder}: holds no images ({', '.join(sorted(IMAGE_EXTENSIONS))})")


def _claimed_twice(kind: str, paths: list[Path]) -> Problem:
    names = ", ".join(path.name for path in paths)
    detail = f"{len(paths)} {kind} files of one stem ({names}); keep one"
    return Problem("ambiguous", str(paths[0]), detail)


def _strip_common_suffix(
    masks: dict[str, Path], images: Mapping[str, Path], notes: list[str]
) -> dict[str, Path]:
    suffix = common_suffix(masks, images)
    if not suffix:
        return masks
    notes.append(f"mask names carry the suffix {suffix!r} after the image's name")
    return {stem if stem in images else stem.removesuffix(suffix): p for stem, p in masks.items()}


def _find_incomplete(
    images: Mapping[str, Path], masks: Mapping[str, Path], notes: list[str]
) -> list[Problem]:
    """Items that have only one of the two files."""
    no_mask = sorted(images.keys() - masks.keys())
    no_image = sorted(masks.keys() - images.keys())
    if no_mask:
        notes.append(f"{len(no_mask)} images have no mask ({_examples(no_mask)})")
    if no_image:
        notes.append(f"{len(no_image)} masks have no image ({_examples(no_image)})")
    return [
        *(Problem("no-mask", str(images[stem]), "no mask of this name") for stem in no_mask),
        *(Problem("no-image", str(masks[stem]), "no image of this name") for stem in no_image),
    ]


def _examples(stems: Iterable[str]) -> str:
    first = sorted(stems)
    return ", ".join(first[:3]) + (", ..." if len(first) > 3 else "")


# --- lists -------------------------------------------------------------------------------------------


def dataset_from_list(list_file: Path | str, name: str | None = None) -> Dataset:
    """Load the pairs of a training list (``train_pair.lst``): ``image mask [edge]`` a line.

    Parameters
    ----------
    list_file : Path or str
        Its paths are relative to its folder, or to the folder above if nothing is found there.
    name : str, optional
        The dataset's name; by default it is inferred from the path.

    Returns
    -------
    Dataset
        Files that are named but do not exist are problems of kind ``missing``.

    Raises
    ------
    SodbenchError
        If the list cannot be read, is empty, or has a line of another form.
    """
    list_file = Path(list_file)
    rows = _read_training_pairs(list_file)
    here, above = list_file.parent, list_file.absolute().parent.parent
    root = here if (here / rows[0][0]).exists() or not (above / rows[0][0]).exists() else above
    samples: dict[str, Sample] = {}
    problems = []
    for image_name, mask_name in rows:
        image, mask = root / image_name, root / mask_name
        absent = [path for path in (image, mask) if not path.is_file()]
        for path in absent:
            problems.append(Problem("missing", str(path), f"named in {list_file}, but not there"))
        if image.stem in samples:
            problems.append(Problem("ambiguous", str(image), f"listed twice in {list_file}"))
        samples[image.stem] = Sample(
            image.stem, None if image in absent else image, None if mask in absent else mask
        )
    return Dataset(
        name or infer_dataset_name(list_file.absolute().parent),
        root,
        list_file.name,
        tuple(samples[stem] for stem in sorted(samples)),
        problems=tuple(problems),
        excluded=_find_unlisted(samples),
    )


def _read_training_pairs(list_file: Path) -> list[tuple[str, str]]:
    rows = []
    for number, line in read_numbered_lines(list_file):
        columns = [column.replace("\\", "/") for column in split_columns(line)]
        if is_comment(line) and not (list_file.parent / split_columns(line)[0]).exists():
            continue
        if len(columns) not in (2, 3):
            raise SodbenchError(
                f"{list_file}, line {number}: expected 'image mask [edge]', found {line!r}; where names have "
                "spaces, separate the columns by tabs or put the names in double quotes"
            )
        rows.append((columns[0], columns[1]))
    if not rows:
        raise SodbenchError(f"{list_file}: the list names no pairs")
    return rows


def _find_unlisted(samples: Mapping[str, Sample]) -> frozenset[str]:
    """The stems next to the listed images that the list leaves out; masks there do not count."""
    folders = {sample.image.parent for sample in samples.values() if sample.image}
    stems = {path.stem for folder in folders for path in list_images(folder)}
    masks = {sample.mask.stem for sample in samples.values() if sample.mask}
    return frozenset(stems - samples.keys() - masks)


def _apply_image_list(dataset: Dataset, image_list: Path) -> Dataset:
    """Restrict a dataset to its own list, ``test.lst``."""
    # Items that are not on disk are problems, and so are items on disk that the list does not
    # name.
    present = dataset.stems
    listed = set(read_stem_list(image_list, present))
    excluded, absent = present - listed, listed - present
    notes = list(dataset.notes)
    if excluded:
        notes.append(
            f"{image_list.name} names {len(listed)} items; {len(excluded)} other items on disk "
            f"are left out ({_examples(excluded)})"
        )
    problems = [p for p in dataset.problems if image_stem(p.file) not in excluded]
    for stem in sorted(absent):
        detail = f"named in {image_list}, but neither image nor mask is there"
        problems.append(Problem("missing", stem, detail))
    for stem in sorted(excluded):
        problems.append(Problem("extra", stem, f"on disk, but not named in {image_list}"))
    return dataclasses.replace(
        dataset,
        layout=f"{dataset.layout} + {image_list.name}",
        samples=tuple(s for s in dataset.samples if s.stem in listed),
        notes=tuple(notes),
        problems=tuple(problems),
        excluded=excluded,
    )


# --- official items ----------------------------------------------------------------------------------


def name_own_subset(dataset: Dataset) -> Dataset:
    """Name the subset that a dataset's own list selects, if that leaves out items on disk.

    Parameters
    ----------
    dataset : Dataset
        A dataset without a named subset, or any other.

    Returns
    -------
    Dataset
        Renamed to an official subset, or to a hash of the stems as for ``--items``, because the name becomes
        part of every signature. Unchanged if nothing is left out.
    """
    name = dataset.name
    if "/" in name or not dataset.excluded:
        return dataset
    # a list's items without files; those of a list of pairs are paths, and samples as well
    missing = (problem.file for problem in dataset.problems if problem.kind == "missing")
    stems = dataset.stems | {stem for stem in missing if os.sep not in stem}
    subset = list_subset_name(stems)
    if name in DATASETS:
        if stems == official_names(name):
            return dataset
        info = DATASETS[name]
        official = (
            s for s in info.subsets if stems == subset_items(info, s, dataset.excluded | stems)
        )
        subset = next(official, subset)
    return dataclasses.replace(dataset, name=f"{name}/{subset}")


def annotate_official_count(dataset: Dataset) -> Dataset:
    """Add the official number of items of a known dataset, and notes if it is not verified or the items differ.

    Returns
    -------
    Dataset
        Unchanged for a dataset that is not known.
    """
    info = DATASETS.get(dataset.name)
    if info is None:
        return dataset
    notes = list(dataset.notes)
    if is_demo_data(dataset.root):
        notes.append(
            "a sample drawn by sodbench, not the real dataset: its numbers compare with nothing else"
        )
        expected = len(demo_stems(info.name))
        return dataclasses.replace(dataset, expected=expected, notes=tuple(notes))
    if info.count is None:
        notes.append(f"{len(dataset)} items found; count {info.count_text}")
    elif len(dataset) != info.count:
        notes.append(f"{len(dataset)} items found, {info.count} are official")
    if len(dataset) != info.count:
        for subset in info.subsets:
            if dataset.stems == subset_items(info, subset, dataset.stems):
                notes.append(f"these are exactly {info.name}/{subset}; ask for it by this name")
    return dataclasses.replace(dataset, expected=info.count, notes=tuple(notes))


def expected_stems(dataset: Dataset) -> frozenset[str] | None:
    """Return the stems that a dataset should have.

    Returns
    -------
    frozenset of str or None
        The official ones, or those of the demo data; None if they are not known.
    """
    base, _, subset = dataset.name.partition("/")
    if base not in DATASETS or subset not in ("", *DATASETS[base].subsets):
        return None
    if is_demo_data(dataset.root):
        return None if subset else demo_stems(base)
    return official_names(dataset.name) or None
