"""The images of a training: checked before the first step, drawn in an order that can be recomputed.

Which images form which update, and how each is flipped and cropped, follows from the recipe's seed, the
epoch and the image's index alone.  So a resumed run needs no random state for it, any number of threads
or processes draws the same, and each image is drawn once an epoch.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sodbench.console import bar, warn
from sodbench.datasets import Dataset, Sample
from sodbench.errors import ImageError, Problem, ProblemsError, SodbenchError
from sodbench.images import (
    LOW_16_BIT,
    LOW_16_BIT_FIX,
    Grey,
    image_size,
    read_grey,
    read_rgb,
)
from sodbench.parallel import thread_pool
from sodbench.runners.training.distributed import default_workers
from sodbench.runners.training.recipe import Recipe

Picture = NDArray[np.uint8]
Size = tuple[int, int]


@dataclass(frozen=True)
class TrainingSet:
    """Pairs fit for training.

    name: of the data set; samples: sorted by stem, each with image and mask; sizes: their (height, width);
    skipped: what was left out and why; fingerprint: SHA-256 of the stems and file sizes.
    """

    name: str
    samples: tuple[Sample, ...]
    sizes: tuple[Size, ...]
    skipped: tuple[Problem, ...]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True)
class Item:
    """One augmented pair: RGB uint8 [h, w, 3], mask uint8 [h, w]."""

    stem: str
    pixels: Picture
    mask: Picture


@dataclass(frozen=True)
class Batch:
    """Items of one size, stacked: pixels uint8 [n, h, w, 3], masks uint8 [n, h, w]."""

    stems: tuple[str, ...]
    pixels: Picture
    masks: Picture


def check_pairs(
    dataset: Dataset, *, skip_bad: bool = False, decode: bool = True, workers: int | None = None
) -> TrainingSet:
    """The pairs of a data set that can be trained on; every problem is found before the first step.

    Pairs whose image and mask differ in size are named and left out, as the reference does.  Missing and
    unreadable files, and images or masks without partner, are refused with :class:`ProblemsError`, all
    together, unless ``skip_bad`` leaves them out too.  ``decode`` reads every file whole, so that damage
    shows now; without it only headers are read.
    """
    pairs = [sample for sample in dataset.samples if sample.image and sample.mask]
    with (
        thread_pool(workers or default_workers()) as pool,
        bar(len(pairs), "checking the training images", "pair") as progress,
    ):
        found: list[Size | list[Problem]] = []
        for outcome in pool.map(_decoded if decode else _measured, pairs):
            found.append(outcome)
            progress.update()
    problems = [p for outcome in found if isinstance(outcome, list) for p in outcome]
    mismatched = [p for p in problems if p.kind == "size"]
    bad = [*dataset.problems, *(p for p in problems if p.kind != "size")]
    if bad and not skip_bad:
        raise ProblemsError(
            f"{dataset.name}: {len(bad)} problems with its files:",
            [*bad, *mismatched],
            "Fix these files, or leave them out with --skip-invalid"
            + (" (pairs of differing size are left out in any case)." if mismatched else "."),
        )
    for problem in (*bad, *mismatched):
        warn(f"left out: {problem}")
    usable = [(s, o) for s, o in zip(pairs, found, strict=True) if not isinstance(o, list)]
    if not usable:
        raise SodbenchError(
            f"{dataset.name} in {dataset.root}: no pair of image and mask to train on"
        )
    samples, sizes = zip(*usable, strict=True)
    return TrainingSet(dataset.name, samples, sizes, (*bad, *mismatched), _fingerprint(samples))


def _measured(sample: Sample) -> Size | list[Problem]:
    """The size of a pair, from the files' headers; or what is wrong with it."""
    assert sample.image and sample.mask
    try:
        image, mask = image_size(sample.image), image_size(sample.mask)
    except ImageError as error:
        return [error.problem]
    if image == mask:
        return image
    detail = f"{_by(image)}, but its mask is {_by(mask)} (height x width)"
    return [Problem("size", str(sample.image), detail)]


def _decoded(sample: Sample) -> Size | list[Problem]:
    """As :func:`_measured`, after both files were read whole."""
    assert sample.image and sample.mask
    problems = []
    for read, path in ((read_rgb, sample.image), (read_grey, sample.mask)):
        try:
            content = read(path)
        except ImageError as error:
            problems.append(error.problem)
            continue
        if not isinstance(content, Grey):
            continue
        if LOW_16_BIT in content.note:
            detail = f"{content.note}; so all of it is background; {LOW_16_BIT_FIX}"
            problems.append(Problem("mask-coding", str(path), detail))
        elif content.pixels.max() == 1:
            # read as levels of 0 to 255, such a mask is all but black, and the network would learn that
            detail = "its values are 0 and 1, not 0 and 255; multiply it by 255"
            problems.append(Problem("mask-coding", str(path), detail))
    return problems or _measured(sample)


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _fingerprint(samples: Sequence[Sample]) -> str:
    digest = hashlib.sha256()
    for s in samples:
        assert s.image and s.mask
        digest.update(f"{s.stem} {s.image.stat().st_size} {s.mask.stat().st_size}\n".encode())
    return digest.hexdigest()


def updates_of_epoch(recipe: Recipe, epoch: int, count: int) -> list[NDArray[np.int64]]:
    """Which of ``count`` images form each update of an epoch (counted from 0), shuffled anew.

    With ``counter = "carry"`` the first update of a later epoch lacks the images that were left over at
    the end of the one before, as the reference's counter, which is never reset, makes it.
    """
    order = np.random.Generator(np.random.PCG64([recipe.seed, epoch])).permutation(count)
    size = recipe.accumulate
    counted = epoch * count % size if recipe.counter == "carry" else 0
    ends = list(range(size - counted, count + 1, size))
    updates = [order[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    left_over = order[ends[-1] if ends else 0 :]
    if recipe.counter == "flush" and len(left_over):
        updates.append(left_over)
    return updates


def total_updates(recipe: Recipe, count: int) -> int:
    """How many updates a training on ``count`` images makes in all its epochs."""
    return sum(len(updates_of_epoch(recipe, epoch, count)) for epoch in range(recipe.epochs))


def draw_item(sample: Sample, index: int, epoch: int, scale: float, recipe: Recipe) -> Item:
    """Read a pair and augment it as the recipe says; ``scale``: the factor drawn for its update."""
    assert sample.image and sample.mask
    pixels, mask = read_rgb(sample.image), read_grey(sample.mask).pixels
    rng = np.random.Generator(np.random.PCG64([recipe.seed, epoch, index]))
    flip, share, down, across = rng.random(4)
    if recipe.flip and flip < 0.5:
        pixels, mask = pixels[:, ::-1], mask[:, ::-1]
    height, width = mask.shape
    if recipe.crop:
        shorter = min(height, width)
        side = max(1, round(shorter * (recipe.crop + (1 - recipe.crop) * share)))
        top, left = int(down * (height - side + 1)), int(across * (width - side + 1))
        pixels, mask = (p[top : top + side, left : left + side] for p in (pixels, mask))
        height, width = side, side
    if recipe.size:
        height, width = recipe.size, recipe.size
    height, width = max(1, round(height * scale)), max(1, round(width * scale))
    pixels, mask = _resized(pixels, height, width), _resized(mask, height, width)
    return Item(sample.stem, pixels, mask)


def _resized(pixels: Picture, height: int, width: int) -> Picture:
    if pixels.shape[:2] == (height, width):
        return pixels
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR), np.uint8)


def scale_of_update(recipe: Recipe, epoch: int, update: int) -> float:
    """The factor by which the images of an update are resized (multi-scale training)."""
    if not recipe.scales:
        return 1.0
    rng = np.random.Generator(np.random.PCG64([recipe.seed, epoch, update, 1]))
    return recipe.scales[int(rng.random() * len(recipe.scales))]


def grouped(items: Sequence[Item], most: int) -> list[Batch]:
    """Items stacked by exact size, at most ``most`` in a batch; sizes in the order of first appearance."""
    by_size: dict[tuple[int, ...], list[Item]] = {}
    for item in items:
        by_size.setdefault(item.mask.shape, []).append(item)
    chunks = [g[i : i + most] for g in by_size.values() for i in range(0, len(g), most)]
    return [
        Batch(
            tuple(item.stem for item in chunk),
            np.stack([item.pixels for item in chunk]),
            np.stack([item.mask for item in chunk]),
        )
        for chunk in chunks
    ]


def share_of(
    data: TrainingSet, indices: NDArray[np.int64], rank: int, ranks: int
) -> NDArray[np.int64]:
    """The images of an update that one process runs: those of a contiguous range of sizes."""
    if ranks == 1:
        return indices
    ordered = sorted(indices.tolist(), key=lambda i: (data.sizes[i], i))
    return np.array(ordered[rank * len(ordered) // ranks : (rank + 1) * len(ordered) // ranks])


def loaded_updates(
    data: TrainingSet,
    recipe: Recipe,
    epoch: int,
    updates: Sequence[tuple[int, NDArray[np.int64]]],
    workers: int | None = None,
) -> Iterator[list[Item]]:
    """The augmented items of each (number, image indices) in turn, read ahead by threads."""
    with thread_pool(workers or default_workers()) as pool:
        ahead: deque[list[Future[Item]]] = deque()
        for number, indices in updates:
            scale = scale_of_update(recipe, epoch, number)
            ahead.append(
                [
                    pool.submit(draw_item, data.samples[i], int(i), epoch, scale, recipe)
                    for i in indices
                ]
            )
            if len(ahead) > 3:
                yield [future.result() for future in ahead.popleft()]
        while ahead:
            yield [future.result() for future in ahead.popleft()]
