"""``sodbench data check``: find what is wrong with the datasets on a disk, item by item, in one pass.

Every image and mask is decoded once, which is what shows a truncated file. Images are compared by content within
and across the datasets, so a training image among the test images is found under any name, also if it was encoded
again or resized. Files next to the images and masks that are not read are reported too.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from sodbench.console import logger
from sodbench.datasets import (
    DATASETS,
    Dataset,
    DatasetNotFound,
    deduplicate,
    expected_stems,
    find_dataset,
    find_own_datasets,
)
from sodbench.datasets.attributes import FOREGROUND_THRESHOLD
from sodbench.datasets.findings import DatasetReport
from sodbench.datasets.layouts import PAIR_LIST, TOML_EXAMPLE, has_images
from sodbench.datasets.list_files import image_stem
from sodbench.demo_data import is_demo_data
from sodbench.errors import Problem, ProblemKind, SodbenchError
from sodbench.folders import list_folders, scan
from sodbench.images import IMAGE_EXTENSIONS, UNREAD_EXTENSIONS
from sodbench.parallel import in_threads
from sodbench.runners.data.duplicates import find_duplicates
from sodbench.runners.data.items import Item, inspect_sample

# The faults that are looked for; everything else is a remark, which does not spoil the verdict.
FAULTS = (
    ProblemKind.MISSING,
    ProblemKind.EXTRA,
    ProblemKind.NO_MASK,
    ProblemKind.NO_IMAGE,
    ProblemKind.AMBIGUOUS,
    ProblemKind.UNREADABLE,
    ProblemKind.SIZE,
    ProblemKind.GREY_MASK,
    ProblemKind.MASK_CODING,
    ProblemKind.EMPTY_MASK,
    ProblemKind.FULL_MASK,
    ProblemKind.DUPLICATE,
    ProblemKind.LEAK,
    ProblemKind.NOT_READ,
)

# Masks of these datasets are grey on purpose: one remark in place of a fault for each.
_GREY_BY_DESIGN = frozenset({"PASCAL-S"})

_STRAY_FILES = frozenset({"thumbs.db", "desktop.ini"})


# --- which datasets ----------------------------------------------------------------------------------


def resolve_datasets(
    names: Collection[str], data_root: Path
) -> tuple[list[Dataset], dict[str, SodbenchError]]:
    """Find the named datasets, or all that are on the disk.

    Parameters
    ----------
    names : collection of str
        Datasets, subsets, folders or TOML files; empty for all below the data root.
    data_root : Path
        The folder that holds the datasets.

    Returns
    -------
    datasets : list of Dataset
    failed : dict of str to SodbenchError
        The names that cannot be read, and why.

    Raises
    ------
    DatasetNotFound
        If nothing at all is found.
    """
    datasets: list[Dataset] = []
    failed: dict[str, SodbenchError] = {}
    # a union is nothing but its parts
    for name in names or [name for name, info in DATASETS.items() if not info.parts]:
        try:
            datasets.append(find_dataset(name, data_root))
        except SodbenchError as error:
            if names or not isinstance(error, DatasetNotFound):
                failed[name] = error
    if not names:
        own, own_failed = find_own_datasets(data_root)
        datasets += own
        failed |= own_failed
    if not datasets:
        reasons = [line for error in failed.values() for line in error.lines]
        nothing = (
            f"no dataset found under {data_root}: 'sodbench data list' shows what is known and where "
            "to get it, 'sodbench run --sample' needs no data"
        )
        raise DatasetNotFound(*(reasons or [nothing]))
    return deduplicate(datasets), failed


def report_unrecognised(
    data_root: Path, datasets: Collection[Dataset], failed: Collection[str]
) -> None:
    """Report the folders of the data root that hold images but belong to no dataset that was found.

    Parameters
    ----------
    data_root : Path
        The folder that holds the datasets.
    datasets : collection of Dataset
        The datasets that were found.
    failed : collection of str
        Names of folders that are reported as errors already.
    """
    files = [file for d in datasets for file in (*d.images.values(), *d.masks.values())]
    used = {parent.resolve() for parent in {file.parent for file in files}}
    used |= {dataset.root.resolve() for dataset in datasets}
    others = [
        folder
        for folder in list_folders(data_root)
        if folder.name not in failed
        and not any(place.is_relative_to(folder.resolve()) for place in used)
        and _contains_images(folder)
    ]
    if others:
        logger.info(
            f"not checked: {', '.join(map(str, others))}: images, but no images and masks in a layout that is "
            f"read; a TOML file can name the folders ({TOML_EXAMPLE})"
        )


def _contains_images(folder: Path, depth: int = 3) -> bool:
    try:
        return has_images(folder) or (
            depth > 1 and any(_contains_images(inner, depth - 1) for inner in list_folders(folder))
        )
    except SodbenchError:
        # it cannot be read, so it may
        return True


# --- whole datasets ----------------------------------------------------------------------------------


def check_datasets(datasets: Sequence[Dataset], jobs: int | None = None) -> list[DatasetReport]:
    """Check every file of the datasets.

    Parameters
    ----------
    datasets : sequence of Dataset
        They are also compared with one another.
    jobs : int, optional
        Number of threads that decode images; by default the number of processors.

    Returns
    -------
    list of DatasetReport
        In the order of the datasets.
    """
    samples = [sample for dataset in datasets for sample in dataset.samples]
    items = iter(in_threads(inspect_sample, samples, "checking", "items", jobs))
    inspected = [list(itertools.islice(items, len(dataset))) for dataset in datasets]
    duplicates = find_duplicates(datasets, inspected)
    return [
        _report(dataset, items, duplicates.get(number, []))
        for number, (dataset, items) in enumerate(zip(datasets, inspected, strict=True))
    ]


def _report(
    dataset: Dataset, items: Sequence[Item], duplicates: Sequence[Problem]
) -> DatasetReport:
    unread, file_remarks = find_unread_files(dataset)
    of_items = [problem for item in items for problem in item.problems]
    shared = [p for p in duplicates if p.kind not in FAULTS]
    copies = [p for p in duplicates if p.kind in FAULTS]
    copied = {image_stem(p.file) for p in copies}
    # an unlisted item that is a copy is reported as a copy only
    named = [p for p in find_name_problems(dataset) if not (p.kind == "extra" and p.file in copied)]
    faults, grey_remarks = _split_grey_masks(dataset, [*named, *unread, *of_items, *copies])
    faults, known_remarks = _annotate_known_items(dataset, faults)
    sizes = Counter(item.image.size for item in items if item.image)
    by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    return DatasetReport(
        name=dataset.name,
        root=str(dataset.root),
        layout=dataset.layout,
        expected=dataset.expected,
        items=sum(bool(s.image and s.mask) for s in dataset.samples),
        images=len(dataset.images),
        masks=len(dataset.masks),
        sizes=len(sizes),
        smallest=by_area[0] if by_area else None,
        largest=by_area[-1] if by_area else None,
        content=_content_hash(items, with_images=True),
        masks_content=_content_hash(items, with_images=False),
        faults=tuple(faults),
        remarks=(*shared, *grey_remarks, *known_remarks, *file_remarks),
        notes=(*dataset.notes, *_note_conversions(items)),
    )


def _split_grey_masks(
    dataset: Dataset, faults: list[Problem]
) -> tuple[list[Problem], list[Problem]]:
    """The faults, and one remark in place of a fault for every mask of a dataset that is grey by design."""
    grey = [p for p in faults if p.kind == "grey-mask"]
    if dataset.base_name not in _GREY_BY_DESIGN or not grey:
        return faults, []
    empty = sum("would be empty" in p.detail for p in grey)
    detail = (
        f"{len(grey)} masks have levels other than 0 and 255, as this set's have; the rule that "
        f"makes them binary (here: above {FOREGROUND_THRESHOLD}) belongs in every report"
    )
    detail += f"; under it {empty} become empty" * bool(empty)
    others = [p for p in faults if p.kind != "grey-mask"]
    return others, [Problem("grey-mask", dataset.name, detail)]


def _annotate_known_items(
    dataset: Dataset, faults: Iterable[Problem]
) -> tuple[list[Problem], list[Problem]]:
    """The faults with what is known about their items, and remarks on known items without a fault."""
    info = DATASETS.get(dataset.base_name)
    if info is None or is_demo_data(dataset.root):
        return list(faults), []
    annotated, mentioned = [], set()
    for fault in faults:
        stem = image_stem(fault.file)
        detail = fault.detail
        if stem in info.known:
            mentioned.add(stem)
            detail += f" (known: {info.known[stem]})"
        annotated.append(Problem(fault.kind, fault.file, detail))
    remarks = [
        Problem("known", stem, f"known item: {what}; nothing wrong was found with the files here")
        for stem, what in info.known.items()
        if stem in dataset.stems - mentioned
    ]
    return annotated, remarks


def _note_conversions(items: Sequence[Item]) -> list[str]:
    """How many masks were not plain 8-bit grey, and what they are."""
    kinds = Counter(item.mask_note for item in items if item.mask_note)
    if not kinds:
        return []
    counts = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    return [f"masks that are not plain 8-bit grey: {counts}"]


def _content_hash(items: Sequence[Item], with_images: bool) -> str:
    """SHA-256 (hex) over 'stem image-digest mask-digest' lines in the order of the stems; may be empty."""
    if not items:
        return ""
    whole = hashlib.sha256()
    for item in sorted(items, key=lambda item: item.sample.stem):
        unread_mask = item.sample.mask and not item.mask_digest
        unread_image = with_images and item.sample.image and not item.image
        if unread_mask or unread_image:
            return ""
        image = item.image.digest.hex() if with_images and item.image else "-"
        whole.update(f"{item.sample.stem} {image} {item.mask_digest.hex() or '-'}\n".encode())
    return whole.hexdigest()


# --- names -------------------------------------------------------------------------------------------


def find_name_problems(dataset: Dataset) -> list[Problem]:
    """Return what finding the dataset noticed, and the differences from the official names, each once.

    Returns
    -------
    list of Problem
        Of kind ``missing``, ``extra``, ``no-mask``, ``no-image`` and ``ambiguous``.
    """
    problems = list(dict.fromkeys(dataset.problems))
    if dataset.samples and not dataset.masks:
        problems.append(Problem("no-mask", str(dataset.root), "no masks were found at all"))
    if dataset.samples and not dataset.images:
        problems.append(Problem("no-image", str(dataset.root), "no images were found at all"))
    official = expected_stems(dataset)
    if official is None:
        return problems
    listed = {image_stem(p.file) for p in problems if p.kind == "missing"}
    for stem in sorted(official - dataset.stems - listed):
        problems.append(Problem("missing", stem, "official item, not found"))
    extra = dataset.stems - official
    problems = [p for p in problems if not (p.kind == "extra" and image_stem(p.file) in extra)]
    for stem in sorted(extra):
        problems.append(Problem("extra", stem, "no official item has this name"))
    return problems


def summarise_problems(dataset: Dataset) -> list[str]:
    """Return one line on the problems of `find_name_problems`; none for a complete dataset.

    Returns
    -------
    list of str
        Empty for a complete dataset.
    """
    kinds = Counter(problem.kind for problem in find_name_problems(dataset))
    if not kinds:
        return []
    counts = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    return [
        f"{dataset.name}: not complete ({counts}); 'sodbench data check' lists every one of these"
    ]


# --- files that are not read -------------------------------------------------------------------------


def find_unread_files(dataset: Dataset) -> tuple[list[Problem], list[Problem]]:
    """Find what is in the folders of images and masks but is not read.

    Parameters
    ----------
    dataset : Dataset

    Returns
    -------
    faults : list of Problem
        Files of other image types whose item lacks an image or a mask: it is then incomplete, or left out
        without anyone noticing.
    remarks : list of Problem
        Everything else, counted in one remark a folder.
    """
    files = {*dataset.images.values(), *dataset.masks.values()}
    complete = {s.stem for s in dataset.samples if s.image and s.mask} | dataset.excluded
    faults: list[Problem] = []
    remarks: list[Problem] = []
    for folder in sorted({file.parent for file in files}):
        others: Counter[str] = Counter()
        unlisted = 0
        for entry in scan(folder):
            path = folder / entry.name
            extension = path.suffix.lower()
            if entry.name.startswith(".") or entry.name.lower() in _STRAY_FILES or path in files:
                continue
            if entry.is_dir():
                # next to the images of a flat layout, other folders are not meant to be read
                others["sub-folder"] += folder != dataset.root and _contains_images(path, depth=1)
            elif extension in IMAGE_EXTENSIONS:
                unlisted += dataset.layout == PAIR_LIST
            elif extension in UNREAD_EXTENSIONS and path.stem not in complete:
                detail = f"{path.suffix} files are not read; convert it, masks to 8-bit PNG"
                faults.append(Problem("not-read", str(path), detail))
            else:
                others[extension or "without extension"] += 1
        if unlisted:
            detail = f"{unlisted} images are not in {PAIR_LIST} and not used"
            remarks.append(Problem("not-listed", str(folder), detail))
        counts = ", ".join(f"{n} {kind}" for kind, n in sorted(others.items()) if n)
        if counts:
            detail = f"files that are not read: {counts}"
            remarks.append(Problem("other-files", str(folder), detail))
    return faults, remarks
