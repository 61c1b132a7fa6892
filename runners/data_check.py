"""``sodbench data check``: what is wrong with the data sets on a disk, item by item, in one pass.

Every image and mask is decoded once (that is what shows a truncated file).  Faults are things that
change numbers or stop a run; remarks are things to know.  Images are compared by content within and
across the sets, so that a training image among the test images is found under any name, also when it
was re-encoded or resized.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sodbench.datasets import (
    DATASETS,
    TRAIN_SET,
    Dataset,
    DatasetNotFound,
    Sample,
    find_dataset,
    official_names,
    own_datasets,
)
from sodbench.datasets.dataset import stem_of
from sodbench.errors import ImageError, Problem, SodbenchError, listing
from sodbench.images import decode_grey, read_bytes, read_grey, resize_grey
from sodbench.progress import bar
from sodbench.sample import is_sample
from sodbench.sample import stems as sample_stems

KINDS = {
    "missing": "an item that the official list (or the set's own list) names is not there",
    "extra": "an item that the list does not name",
    "no-mask": "an image without a mask",
    "no-image": "a mask without an image",
    "ambiguous": "two files claim one item",
    "unreadable": "a file that cannot be decoded to its end",
    "size": "image and mask differ in size",
    "grey-mask": "a mask with levels other than 0 and 255",
    "empty-mask": "a mask without any pixel above 128",
    "full-mask": "a mask without any background",
    "duplicate": "the same picture twice within a set",
    "leak": "a picture of the training set in a test set",
}
"""The faults that are looked for, and what each means."""

_GREY_BY_DESIGN = frozenset({"PASCAL-S"})
_THRESHOLD = 128


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
        lines.append(report.verdict)
        lines += [f"  note: {note}" for note in report.notes]
        lines += listing(report.faults, per_kind)
        lines += [f"  remark: {p.file}: {p.detail}" for p in report.remarks[:per_kind]]
        if len(report.remarks) > per_kind:
            lines.append(f"  ... and {len(report.remarks) - per_kind} more remarks")
    return "\n".join(lines)


def as_markdown(reports: Sequence[SetReport]) -> str:
    """A page: a table of verdicts, then every finding of each set."""
    lines = [
        "# Data sets checked",
        "",
        "| set | verdict | items | official | sizes (h x w) | layout | content | masks |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in reports:
        verdict = f"{len(r.faults)} faults" if r.faults else "ok"
        official = "" if r.expected is None else str(r.expected)
        lines.append(
            f"| {r.name} | {verdict} | {r.items} | {official} | {_span(r)} | {r.layout} "
            f"| `{r.content[:16]}` | `{r.masks_content[:16]}` |"
        )
    for r in reports:
        lines += ["", f"## {r.name}", "", r.verdict]
        lines += ["", *(f"- {note}" for note in r.notes)] if r.notes else []
        for title, problems in (("faults", r.faults), ("remarks", r.remarks)):
            if problems:
                lines += ["", f"| {title}: kind | file | found |", "|---|---|---|"]
                lines += [f"| {p.kind} | {_cell(p.file)} | {_cell(p.detail)} |" for p in problems]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


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
        found += own_datasets(data_root)
    if not found:
        reasons = "\n".join(str(error) for error in refused.values())
        raise DatasetNotFound(
            reasons
            or f"no data set found under {data_root}: 'sodbench data list' says what is known and where "
            "to get it, 'sodbench run --sample' needs no data"
        )
    return found, refused


# ---------------------------------------------------------------------------------------------------
# One item
# ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Picture:
    """What is kept of an image: its size, its file's digest, its mean grey on a 16 x 16 grid."""

    size: tuple[int, int]
    digest: bytes
    grid: NDArray[np.uint8]


@dataclass(frozen=True)
class _Item:
    sample: Sample
    image: _Picture | None = None
    mask_size: tuple[int, int] | None = None
    mask_digest: bytes = b""
    problems: list[Problem] = field(default_factory=list)


def _inspect(sample: Sample) -> _Item:
    problems: list[Problem] = []
    image = mask_size = None
    mask_digest = b""
    if sample.image:
        try:
            data = read_bytes(sample.image)
            pixels = decode_grey(data, sample.image).pixels
            image = _Picture(
                _size(pixels),
                hashlib.sha256(data).digest(),
                resize_grey(pixels, (16, 16), "bilinear"),
            )
        except ImageError as error:
            problems.append(error.problem)
    if sample.mask:
        try:
            mask = read_grey(sample.mask)
            mask_size = _size(mask.pixels)
            mask_digest = hashlib.sha256(
                f"{mask_size[0]} {mask_size[1]} ".encode() + mask.pixels.tobytes()
            ).digest()
            problems += _mask_problems(sample.mask, mask.pixels, mask.note)
        except ImageError as error:
            problems.append(error.problem)
    if image and mask_size and image.size != mask_size:
        detail = f"{_by(mask_size)} (h x w), its image {_by(image.size)}"
        problems.append(Problem("size", str(sample.mask), detail))
    return _Item(sample, image, mask_size, mask_digest, problems)


def _size(pixels: NDArray[np.uint8]) -> tuple[int, int]:
    return int(pixels.shape[0]), int(pixels.shape[1])


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _mask_problems(path: Path, pixels: NDArray[np.uint8], note: str) -> Iterator[Problem]:
    white = pixels == 255
    number_white = int(np.count_nonzero(white))
    if np.array_equal(white, pixels > 0):  # only 0 and 255: most masks, so the quick way
        if number_white == 0:
            yield Problem("empty-mask", str(path), "all black: no object")
        elif number_white == pixels.size:
            yield Problem("full-mask", str(path), "all white: no background")
        return
    counts = np.bincount(pixels.ravel(), minlength=256)
    levels = np.flatnonzero(counts)
    share = counts[1:255].sum() / pixels.size
    shown = ", ".join(map(str, levels[:7])) + (", ..." if len(levels) > 7 else "")
    detail = f"{len(levels)} grey levels ({shown}); {share:.2%} of the pixels are neither 0 nor 255"
    detail += f"; {note}" * bool(note)
    if not counts[_THRESHOLD + 1 :].any():
        detail += f"; none is above {_THRESHOLD}, so the mask would be empty"
    yield Problem("grey-mask", str(path), detail)


# ---------------------------------------------------------------------------------------------------
# Whole sets
# ---------------------------------------------------------------------------------------------------


def check(datasets: Sequence[Dataset], jobs: int | None = None) -> list[SetReport]:
    """Look at every file of the data sets and report on each.

    jobs: threads that decode (default: the number of processors).  Items are decoded side by side,
    the sets are then compared with one another.
    """
    inspected: list[list[_Item]] = []
    total = sum(len(dataset) for dataset in datasets)
    with (
        ThreadPoolExecutor(jobs or os.cpu_count()) as pool,
        bar(total, "checking", "items") as progress,
    ):
        for dataset in datasets:
            items = []
            for item in pool.map(_inspect, dataset.samples):
                items.append(item)
                progress.update()
            inspected.append(items)
    copies = _copies(datasets, inspected)
    return [
        _report(dataset, items, copies.get(number, []))
        for number, (dataset, items) in enumerate(zip(datasets, inspected, strict=True))
    ]


def _report(dataset: Dataset, items: Sequence[_Item], copies: Sequence[Problem]) -> SetReport:
    base, _, _ = dataset.name.partition("/")
    named = _name_problems(dataset)
    copied = {stem_of(p.file) for p in copies if p.kind != "shared"}
    named = [p for p in named if not (p.kind == "extra" and p.file in copied)]  # told as copies
    found = [*named, *(p for item in items for p in item.problems), *copies]
    remarks = [p for p in found if p.kind == "shared"]
    faults = [p for p in found if p.kind != "shared"]
    if base in _GREY_BY_DESIGN:
        grey = [p for p in faults if p.kind == "grey-mask"]
        faults = [p for p in faults if p.kind != "grey-mask"]
        if grey:
            empty = sum("would be empty" in p.detail for p in grey)
            detail = (
                f"{len(grey)} masks have levels other than 0 and 255, as this set's have; the rule that "
                f"makes them binary (here: above {_THRESHOLD}) belongs into every report"
            )
            detail += f"; under it {empty} become empty" * bool(empty)
            remarks.append(Problem("grey-mask", base, detail))
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
        remarks=tuple(remarks + known),
        notes=dataset.notes,
    )


def _name_problems(dataset: Dataset) -> list[Problem]:
    """What resolution found, and the differences from the official names, each named once."""
    if not dataset.masks:
        return [Problem("no-mask", str(dataset.root), "no masks were found at all")]
    if not dataset.images:
        return [Problem("no-image", str(dataset.root), "no images were found at all")]
    problems = {(p.kind, stem_of(p.file)): p for p in dataset.problems}
    official = _official(dataset)
    if official is not None:
        present = {sample.stem for sample in dataset.samples}
        for stem in sorted(official - present):
            problems.setdefault(
                ("missing", stem), Problem("missing", stem, "official item, not found")
            )
        for stem in sorted(present - official):
            problems[("extra", stem)] = Problem("extra", stem, "no official item has this name")
    return list(problems.values())


def _official(dataset: Dataset) -> frozenset[str] | None:
    """The names that the set should have, where somebody says: the official ones, or the sample's."""
    base, _, subset = dataset.name.partition("/")
    if base not in DATASETS or subset not in ("", *DATASETS[base].subsets):
        return None
    if is_sample(dataset.root):
        return None if subset else sample_stems(base)
    return official_names(dataset.name)


def _with_what_is_known(
    dataset: Dataset, faults: Iterable[Problem]
) -> tuple[list[Problem], list[Problem]]:
    """Faults of known items with what is known added; remarks for known items without a fault."""
    info = DATASETS.get(dataset.name.partition("/")[0])
    if info is None or is_sample(dataset.root):
        return list(faults), []
    explained, spoken_of = [], set()
    for fault in faults:
        stem = stem_of(fault.file)
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


def _content(items: Iterable[_Item], with_images: bool) -> str:
    """SHA-256 (hex) over 'stem image-digest mask-digest' lines in the order of the stems."""
    whole = hashlib.sha256()
    for item in sorted(items, key=lambda item: item.sample.stem):
        if (item.sample.mask and not item.mask_digest) or (
            with_images and item.sample.image and not item.image
        ):
            return ""
        image = item.image.digest.hex() if with_images and item.image else "-"
        whole.update(f"{item.sample.stem} {image} {item.mask_digest.hex() or '-'}\n".encode())
    return whole.hexdigest()


# ---------------------------------------------------------------------------------------------------
# The same picture twice
# ---------------------------------------------------------------------------------------------------

_NEAR = 2.0  # grey levels, root mean square over the 16 x 16 grid
_FLAT = 4.0  # grids with a smaller standard deviation say too little of the picture
_ALIKE = 8.0  # grey levels, root mean square at 64 x 64, to confirm


def _copies(
    datasets: Sequence[Dataset], inspected: Sequence[Sequence[_Item]]
) -> dict[int, list[Problem]]:
    """Items whose picture another item has too, as problems of the set (by number) that has the copy.

    Training sets are taken for the originals, then the sets in their order, then official items.
    Equal files are found by their digest.  Of the others, those with nearly equal 16 x 16 grids are
    compared at 64 x 64.
    """
    official = [_official(dataset) for dataset in datasets]

    def rank(entry: tuple[int, _Item]) -> tuple[bool, int, bool, str]:
        number, item = entry
        names, stem = official[number], item.sample.stem
        return not _trains(datasets[number]), number, names is not None and stem not in names, stem

    entries = sorted(
        ((number, item) for number, items in enumerate(inspected) for item in items if item.image),
        key=rank,
    )
    copies: dict[int, list[Problem]] = {}

    def tell(original: tuple[int, _Item], copy: tuple[int, _Item], how: str) -> None:
        (first, one), (second, other) = original, copy
        copies.setdefault(second, []).append(
            _copy_problem(datasets[first], one, datasets[second], other, how)
        )

    originals: dict[bytes, tuple[int, _Item]] = {}
    for entry in entries:
        assert entry[1].image
        original = originals.setdefault(entry[1].image.digest, entry)
        if original is not entry and not _one_file(original[1], entry[1]):
            tell(original, entry, "the same file")
    different = list(originals.values())
    found: set[int] = set()
    for a, b in _near(different):
        if b not in found and _alike(different[a][1], different[b][1]):
            found.add(b)
            tell(different[a], different[b], "the same picture, encoded or scaled anew,")
    return copies


def _near(entries: Sequence[tuple[int, _Item]]) -> list[tuple[int, int]]:
    """Index pairs (the smaller first, sorted) of pictures with nearly equal grids that are not flat."""
    from scipy.spatial import cKDTree

    grids = np.array([item.image.grid.ravel() for _, item in entries if item.image], np.float32)
    if len(grids) < 2:
        return []
    telling = np.flatnonzero(grids.std(axis=1) >= _FLAT)
    if not len(telling):
        return []
    pairs = cKDTree(grids[telling]).query_pairs(_NEAR * 16, output_type="ndarray")
    return sorted((int(a), int(b)) for a, b in telling[np.sort(pairs, axis=1)])


def _trains(dataset: Dataset) -> bool:
    base, _, subset = dataset.name.partition("/")
    return base == TRAIN_SET or subset in ("train", "val")


def _alike(one: _Item, other: _Item) -> bool:
    """Whether two pictures agree at 64 x 64 and in the ratio of their sides."""
    assert one.image and other.image and one.sample.image and other.sample.image
    (h1, w1), (h2, w2) = one.image.size, other.image.size
    if abs(h1 * w2 - h2 * w1) > 0.03 * h1 * w2:
        return False
    small, again = (
        resize_grey(read_grey(path).pixels, (64, 64), "bilinear").astype(np.float32)
        for path in (one.sample.image, other.sample.image)
    )
    return float(np.sqrt(np.mean((small - again) ** 2))) < _ALIKE


def _one_file(one: _Item, other: _Item) -> bool:
    """Whether both are one file on disk (a set and a subset of it are being checked)."""
    assert one.sample.image and other.sample.image
    return one.sample.image.resolve() == other.sample.image.resolve()


def _copy_problem(first: Dataset, one: _Item, second: Dataset, other: _Item, how: str) -> Problem:
    masks = "masks equal" if one.mask_digest == other.mask_digest else "masks differ"
    if first is second:
        kind, whose = "duplicate", one.sample.stem
    else:
        kind = "leak" if _trains(first) != _trains(second) else "shared"
        whose = f"{first.name}/{one.sample.stem}"
    return Problem(kind, str(other.sample.image), f"{how} as {whose} ({masks})")
