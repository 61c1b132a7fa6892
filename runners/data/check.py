"""``sodbench data check``: what is wrong with the datasets on a disk, item by item, in one pass.

Every image and mask is decoded once (that is what shows a truncated file). Faults are things that
change numbers or stop a run; remarks are things to know. Images are compared by content within and
across the datasets, so that a training image among the test images is found under any name, also when it
was encoded again or resized. Files beside the images and masks that are not read are reported too.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sodbench.console import say
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
from sodbench.datasets.layouts import PAIR_LIST, TOML_EXAMPLE, has_images
from sodbench.datasets.list_files import image_stem
from sodbench.demo_data import is_demo_data
from sodbench.errors import Problem, SodbenchError, listing
from sodbench.files import list_folders, scan
from sodbench.images import IMAGE_EXTENSIONS
from sodbench.parallel import in_threads
from sodbench.quoting import markdown_text, printable
from sodbench.runners.data.duplicates import copies_among
from sodbench.runners.data.items import Item, inspect

KINDS = {
    "missing": "an item that the official list (or the set's own list) names is not there",
    "extra": "an item that the list does not name",
    "no-mask": "an image without a mask",
    "no-image": "a mask without an image",
    "ambiguous": "two files claim one item",
    "unreadable": "a file that cannot be decoded to its end",
    "size": "image and mask differ in size",
    "grey-mask": "a mask with levels other than 0 and 255",
    "mask-coding": "a mask coded 0 and 1, or 16-bit with small values, which is read as black",
    "empty-mask": "a mask without any pixel above 128",
    "full-mask": "a mask without any background",
    "duplicate": "the same image twice within a dataset",
    "leak": "an image of the training set in a test set",
    "not-read": "an image or mask of a type that is not read, so that an item is incomplete or left out",
}
"""The faults that are looked for, and what each means."""

_GREY_BY_DESIGN = frozenset({"PASCAL-S"})


# ---------------------------------------------------------------------------------------------------
# What a check finds
# ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SetReport:
    """The findings of one data set.

    items: samples with image and mask; images, masks: files found of each.
    smallest, largest: (height, width) of the images with the fewest and the most pixels.
    content: SHA-256 over the names, the images' files and the masks' pixels; masks_content: over the
        names and the masks' pixels alone (equal for two people whose images are encoded differently).
        Empty where a file could not be read.
    faults, remarks: see :data:`KINDS`; a remark does not spoil the verdict.
    """

    name: str
    root: str
    layout: str
    expected: int | None
    items: int
    images: int
    masks: int
    sizes: int = 0
    smallest: tuple[int, int] | None = None
    largest: tuple[int, int] | None = None
    content: str = ""
    masks_content: str = ""
    faults: tuple[Problem, ...] = ()
    remarks: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """One line: whether the set can be used as it is, and its content hash."""
        count = (
            f"{self.items} items"
            if self.expected is None
            else f"{self.items} of {self.expected} items"
        )
        if self.faults:
            kinds = Counter(problem.kind for problem in self.faults)
            number = f"{len(self.faults)} fault" + "s" * (len(self.faults) > 1)
            state = f"{number} ({', '.join(f'{n} {kind}' for kind, n in kinds.items())})"
        else:
            state = "ok"
        remarks = f", {len(self.remarks)} remark" + "s" * (len(self.remarks) > 1)
        content = f", content {self.content[:16]}" if self.content else ", no content hash"
        sizes = f", {_span(self)}" * bool(self.sizes)
        return f"{self.name}: {state}{remarks * bool(self.remarks)}; {count}{sizes}{content}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {
            key: value for key, value in vars(self).items() if key not in ("faults", "remarks")
        }
        return plain | {
            "verdict": self.verdict,
            "ok": not self.faults,
            "faults": [vars(problem) for problem in self.faults],
            "remarks": [vars(problem) for problem in self.remarks],
        }


def as_text(reports: Sequence[SetReport], per_kind: int = 10) -> str:
    """Verdict lines, each with its findings below it."""
    lines = []
    for report in reports:
        lines.append(printable(report.verdict))
        lines += [printable(f"  note: {note}") for note in report.notes]
        lines += listing(report.faults, per_kind)
        lines += [printable(f"  remark: {p.file}: {p.detail}") for p in report.remarks[:per_kind]]
        if len(report.remarks) > per_kind:
            lines.append(f"  ... and {len(report.remarks) - per_kind} more remarks")
    return "\n".join(map(printable, lines))


def as_markdown(reports: Sequence[SetReport]) -> str:
    """A page: a table of verdicts, then every finding of each set."""
    lines = [
        "# Datasets checked",
        "",
        "| set | verdict | items | official | sizes (h x w) | layout | content | masks |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in reports:
        verdict = f"{len(r.faults)} faults" if r.faults else "ok"
        official = "" if r.expected is None else str(r.expected)
        lines.append(
            f"| {markdown_text(r.name)} | {verdict} | {r.items} | {official} | {_span(r)} | {markdown_text(r.layout)} "
            f"| {_digest(r.content)} | {_digest(r.masks_content)} |"
        )
    for r in reports:
        lines += ["", f"## {markdown_text(r.name)}", "", markdown_text(r.verdict)]
        lines += ["", *(f"- {markdown_text(note)}" for note in r.notes)] if r.notes else []
        for title, problems in (("faults", r.faults), ("remarks", r.remarks)):
            if problems:
                lines += ["", f"| {title}: kind | file | found |", "|---|---|---|"]
                lines += [
                    f"| {p.kind} | {markdown_text(p.file)} | {markdown_text(p.detail)} |"
                    for p in problems
                ]
    return "\n".join(lines) + "\n"


def _digest(content: str) -> str:
    return f"`{content[:16]}`" if content else "none"


def _span(report: SetReport) -> str:
    if report.smallest is None or report.largest is None:
        return ""
    small, large = ("x".join(map(str, size)) for size in (report.smallest, report.largest))
    return small if small == large else f"{small} to {large}, {report.sizes} sizes"


# ---------------------------------------------------------------------------------------------------
# Finding the sets
# ---------------------------------------------------------------------------------------------------


def locate(
    names: Collection[str], data_root: Path
) -> tuple[list[Dataset], dict[str, SodbenchError]]:
    """The data sets of these names, or all on the disk; and why the others could not be had.

    Raises :class:`DatasetNotFound` where nothing at all is found.
    """
    found: list[Dataset] = []
    refused: dict[str, SodbenchError] = {}
    for name in names or DATASETS:
        try:
            found.append(find_dataset(name, data_root))
        except SodbenchError as error:
            if names or not isinstance(error, DatasetNotFound):
                refused[name] = error
    if not names:
        own, odd = find_own_datasets(data_root)
        found += own
        refused |= odd
    if not found:
        reasons = [line for error in refused.values() for line in error.lines]
        nothing = (
            f"no dataset found under {data_root}: 'sodbench data list' shows what is known and where "
            "to get it, 'sodbench run --sample' needs no data"
        )
        raise DatasetNotFound(*(reasons or [nothing]))
    return deduplicate(found), refused


def report_unrecognised(
    data_root: Path, datasets: Collection[Dataset], refused: Collection[str]
) -> None:
    """Print which folders of the data root hold images, but belong to no dataset that was found."""
    used = [file for d in datasets for file in (*d.images.values(), *d.masks.values())]
    places = {parent.resolve() for parent in {file.parent for file in used}}
    places |= {dataset.root.resolve() for dataset in datasets}
    left = [
        folder
        for folder in list_folders(data_root)
        if folder.name not in refused
        and not any(place.is_relative_to(folder.resolve()) for place in places)
        and _holds_images(folder)
    ]
    if left:
        say(
            f"not looked at: {', '.join(map(str, left))}: images, but no images and masks in a layout that is "
            f"read; a TOML file can name the folders ({TOML_EXAMPLE})"
        )


def _holds_images(folder: Path, depth: int = 3) -> bool:
    try:
        return has_images(folder) or (
            depth > 1 and any(_holds_images(inner, depth - 1) for inner in list_folders(folder))
        )
    except SodbenchError:
        return True  # not readable, so nobody knows


# ---------------------------------------------------------------------------------------------------
# Whole sets
# ---------------------------------------------------------------------------------------------------


def check(datasets: Sequence[Dataset], jobs: int | None = None) -> list[SetReport]:
    """Look at every file of the data sets and report on each.

    jobs: threads that decode (default: the number of processors).  Items are decoded side by side,
    the sets are then compared with one another.
    """
    samples = [sample for dataset in datasets for sample in dataset.samples]
    items = iter(in_threads(inspect, samples, "checking", "items", jobs))
    inspected = [list(itertools.islice(items, len(dataset))) for dataset in datasets]
    copies = copies_among(datasets, inspected)
    return [
        _report(dataset, items, copies.get(number, []))
        for number, (dataset, items) in enumerate(zip(datasets, inspected, strict=True))
    ]


def _report(dataset: Dataset, items: Sequence[Item], copies: Sequence[Problem]) -> SetReport:
    named = name_problems(dataset)
    unread, passed_over = files_not_read(dataset)
    copied = {image_stem(p.file) for p in copies if p.kind != "shared"}
    named = [p for p in named if not (p.kind == "extra" and p.file in copied)]  # told as copies
    found = [*named, *unread, *(p for item in items for p in item.problems), *copies]
    remarks = [p for p in found if p.kind == "shared"]
    faults = [p for p in found if p.kind != "shared"]
    if dataset.name.partition("/")[0] in _GREY_BY_DESIGN:
        remarks += _about_grey_masks(dataset.name, faults)
        faults = [p for p in faults if p.kind != "grey-mask"]
    faults, known = _with_what_is_known(dataset, faults)
    sizes = Counter(item.image.size for item in items if item.image)
    by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    return SetReport(
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
        content=_content(items, with_images=True),
        masks_content=_content(items, with_images=False),
        faults=tuple(faults),
        remarks=(*remarks, *known, *passed_over),
        notes=(*dataset.notes, *_about_conversions(items)),
    )


def _about_grey_masks(name: str, faults: Iterable[Problem]) -> list[Problem]:
    """One remark in place of a fault for every mask of a set whose masks are grey by design."""
    grey = [p for p in faults if p.kind == "grey-mask"]
    if not grey:
        return []
    empty = sum("would be empty" in p.detail for p in grey)
    detail = (
        f"{len(grey)} masks have levels other than 0 and 255, as this set's have; the rule that "
        f"makes them binary (here: above {FOREGROUND_THRESHOLD}) belongs in every report"
    )
    detail += f"; under it {empty} become empty" * bool(empty)
    return [Problem("grey-mask", name, detail)]


def _about_conversions(items: Sequence[Item]) -> list[str]:
    """How many masks were not plain 8-bit grey, and what they are."""
    kinds = Counter(item.mask_note for item in items if item.mask_note)
    if not kinds:
        return []
    counts = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    return [f"masks that are not plain 8-bit grey: {counts}"]


def name_problems(dataset: Dataset) -> list[Problem]:
    """What resolution found, and the differences from the official names, each listed once."""
    problems = list(dict.fromkeys(dataset.problems))
    if dataset.samples and not dataset.masks:
        problems.append(Problem("no-mask", str(dataset.root), "no masks were found at all"))
    if dataset.samples and not dataset.images:
        problems.append(Problem("no-image", str(dataset.root), "no images were found at all"))
    official = expected_stems(dataset)
    if official is None:
        return problems
    present = {sample.stem for sample in dataset.samples}
    listed = {image_stem(p.file) for p in problems if p.kind == "missing"}
    problems += [
        Problem("missing", stem, "official item, not found")
        for stem in sorted(official - present - listed)
    ]
    extra = present - official
    problems = [p for p in problems if not (p.kind == "extra" and image_stem(p.file) in extra)]
    problems += [Problem("extra", stem, "no official item has this name") for stem in sorted(extra)]
    return problems


def summarise_problems(dataset: Dataset) -> list[str]:
    """One line on the problems of `name_problems`; none for a complete dataset."""
    kinds = Counter(problem.kind for problem in name_problems(dataset))
    if not kinds:
        return []
    counts = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    return [
        f"{dataset.name}: not complete ({counts}); 'sodbench data check' lists every one of these"
    ]


# ---------------------------------------------------------------------------------------------------
# Files that are not read
# ---------------------------------------------------------------------------------------------------

_OTHER_IMAGE_TYPES = frozenset(
    {".jfif", ".jpe", ".jp2", ".jxl", ".exr", ".hdr", ".heic", ".heif",
      ".avif", ".tga", ".psd", ".svg", ".npy", ".npz", ".mat"}
)  # fmt: skip
_STRAYS = frozenset({"thumbs.db", "desktop.ini"})


def files_not_read(dataset: Dataset) -> tuple[list[Problem], list[Problem]]:
    """What is in the folders of images and masks, but is not read, as faults and as remarks.

    A file of another image type is a fault if its item lacks an image or a mask: the item is then incomplete, or
    is left out without anyone noticing. All else is counted, a remark per folder.
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
            if entry.name.startswith(".") or entry.name.lower() in _STRAYS or path in files:
                continue
            if entry.is_dir():
                # beside the images of a flat layout, other folders are not meant to be read
                others["sub-folder"] += folder != dataset.root and _holds_images(path, depth=1)
            elif path.suffix.lower() in IMAGE_EXTENSIONS:
                unlisted += dataset.layout == PAIR_LIST
            elif path.suffix.lower() in _OTHER_IMAGE_TYPES and path.stem not in complete:
                detail = f"{path.suffix} files are not read; convert it, masks to 8-bit PNG"
                faults.append(Problem("not-read", str(path), detail))
            else:
                others[path.suffix.lower() or "without extension"] += 1
        if unlisted:
            detail = f"{unlisted} images are not in {PAIR_LIST} and not used"
            remarks.append(Problem("not-listed", str(folder), detail))
        counts = ", ".join(f"{n} {kind}" for kind, n in sorted(others.items()) if n)
        if counts:
            remarks.append(
                Problem("other-files", str(folder), f"files that are not read: {counts}")
            )
    return faults, remarks


def _with_what_is_known(
    dataset: Dataset, faults: Iterable[Problem]
) -> tuple[list[Problem], list[Problem]]:
    """Faults of known items with what is known added; remarks for known items without a fault."""
    info = DATASETS.get(dataset.name.partition("/")[0])
    if info is None or is_demo_data(dataset.root):
        return list(faults), []
    explained, spoken_of = [], set()
    for fault in faults:
        stem = image_stem(fault.file)
        if stem in info.known:
            spoken_of.add(stem)
            fault = Problem(fault.kind, fault.file, f"{fault.detail} (known: {info.known[stem]})")
        explained.append(fault)
    present = {sample.stem for sample in dataset.samples}
    remarks = [
        Problem("known", stem, f"known item: {what}; nothing wrong was found with the files here")
        for stem, what in info.known.items()
        if stem in present - spoken_of
    ]
    return explained, remarks


def _content(items: Sequence[Item], with_images: bool) -> str:
    """SHA-256 (hex) over 'stem image-digest mask-digest' lines in the order of the stems; empty for no items."""
    if not items:
        return ""
    whole = hashlib.sha256()
    for item in sorted(items, key=lambda item: item.sample.stem):
        if (item.sample.mask and not item.mask_digest) or (
            with_images and item.sample.image and not item.image
        ):
            return ""
        image = item.image.digest.hex() if with_images and item.image else "-"
        whole.update(f"{item.sample.stem} {image} {item.mask_digest.hex() or '-'}\n".encode())
    return whole.hexdigest()
