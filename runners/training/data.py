"""The images of a training: checked before the first step, in an order that can be recomputed.

Which images form which update, and how each is flipped and cropped, follows from the recipe's seed, the epoch and the
image's index alone. So a resumed run needs no random state for it, and any number of threads or processes draws the
same.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sodbench.console import bar, logger
from sodbench.datasets import Dataset, Sample
from sodbench.datasets.attributes import FOREGROUND_THRESHOLD
from sodbench.errors import ImageError, Problem, ProblemKind, ProblemsError, SodbenchError
from sodbench.images import (
    LOW_16_BIT,
    LOW_16_BIT_FIX,
    MASK_CODING_FIX,
    GreyImage,
    Pixels,
    describe_levels,
    image_size,
    read_grey,
    read_rgb,
)
from sodbench.models.processing import Preprocessing
from sodbench.models.resampling import resize
from sodbench.parallel import thread_pool
from sodbench.quoting import size_text
from sodbench.runners.training.recipe import Recipe

Size = tuple[int, int]


@dataclass(frozen=True)
class TrainingSet:
    """Pairs that can be trained on.

    Attributes
    ----------
    name : str
        Of the dataset.
    samples : tuple of Sample
        Sorted by stem, each with image and mask.
    sizes : tuple of (int, int)
        Height and width of each sample.
    skipped : tuple of Problem
        What was left out, and why.
    fingerprint : str
        SHA-256 of the stems and file sizes.
    """

    name: str
    samples: tuple[Sample, ...]
    sizes: tuple[Size, ...]
    skipped: tuple[Problem, ...]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True)
class AugmentedPair:
    """One pair as the network sees it.

    Attributes
    ----------
    stem : str
    pixels : ndarray
        RGB, uint8 [h, w, 3]; or float32 [3, h', w'], prepared as the network declares.
    mask : ndarray of uint8, shape (h, w)
    """

    stem: str
    pixels: NDArray[Any]
    mask: Pixels


def check_pairs(
    dataset: Dataset, *, skip_invalid: bool = False, decode: bool = True, workers: int | None = None
) -> TrainingSet:
    """Find the pairs of a dataset that can be trained on, and every problem before the first step.

    Pairs whose image and mask differ in size are reported and left out, as in the reference.

    Parameters
    ----------
    dataset : Dataset
    skip_invalid : bool, default False
        Leave out missing and unreadable files, and images or masks without partner, instead of refusing them.
    decode : bool, default True
        Read every file whole, so that damage is found now; otherwise only headers are read.
    workers : int, optional
        Number of threads.

    Returns
    -------
    TrainingSet

    Raises
    ------
    ProblemsError
        With all problems that are not skipped.
    SodbenchError
        If no pair is left.
    """
    pairs = [sample for sample in dataset.samples if sample.image and sample.mask]
    with (
        thread_pool(workers) as pool,
        bar(len(pairs), "checking the training images", "pair") as progress,
    ):
        outcomes: list[Size | list[Problem]] = []
        for outcome in pool.map(_check_content if decode else _check_sizes, pairs):
            outcomes.append(outcome)
            progress.update()
    problems = [p for outcome in outcomes if isinstance(outcome, list) for p in outcome]
    mismatched = [p for p in problems if p.kind == ProblemKind.SIZE]
    invalid = [*dataset.problems, *(p for p in problems if p.kind != ProblemKind.SIZE)]
    if invalid and not skip_invalid:
        raise ProblemsError(
            f"{dataset.name}: {len(invalid)} problems with its files:",
            [*invalid, *mismatched],
            "Fix these files, or leave them out with --skip-invalid"
            + (" (pairs of differing size are left out in any case)." if mismatched else "."),
        )
    for problem in (*invalid, *mismatched):
        logger.warning(f"left out: {problem}")
    usable = [(s, o) for s, o in zip(pairs, outcomes, strict=True) if not isinstance(o, list)]
    if not usable:
        raise SodbenchError(
            f"{dataset.name} in {dataset.root}: no pair of image and mask to train on"
        )
    samples, sizes = zip(*usable, strict=True)
    return TrainingSet(dataset.name, samples, sizes, (*invalid, *mismatched), _fingerprint(samples))


def _check_sizes(sample: Sample) -> Size | list[Problem]:
    """Return the size of a pair, from the files' headers, or what is wrong with it."""
    assert sample.image and sample.mask
    try:
        image, mask = image_size(sample.image), image_size(sample.mask)
    except ImageError as error:
        return [error.problem]
    if image == mask:
        return image
    detail = f"{size_text(image)}, but its mask is {size_text(mask)}"
    return [Problem(ProblemKind.SIZE, str(sample.image), detail)]


def _check_content(sample: Sample) -> Size | list[Problem]:
    """Read both files whole, then check as `_check_sizes`."""
    assert sample.image and sample.mask
    problems = []
    for read, path in ((read_rgb, sample.image), (read_grey, sample.mask)):
        try:
            content = read(path)
        except ImageError as error:
            problems.append(error.problem)
            continue
        if isinstance(content, GreyImage) and (fault := _describe_coding_fault(content)):
            problems.append(Problem(ProblemKind.MASK_CODING, str(path), fault))
    return problems or _check_sizes(sample)


def _describe_coding_fault(mask: GreyImage) -> str:
    """Describe why a mask is all background, or nearly, to a network; empty if it is not."""
    if LOW_16_BIT in mask.note:
        return f"{mask.note}; so all of it is background; {LOW_16_BIT_FIX}"
    # read as levels of 0 to 255, such a mask is all but black, and the network would learn that
    if 0 < mask.pixels.max() <= FOREGROUND_THRESHOLD:
        levels = describe_levels(np.unique(mask.pixels).tolist())
        note = f"; {mask.note}" if mask.note else ""
        return f"{levels}, so no pixel of it is foreground{note}; {MASK_CODING_FIX}"
    return ""


def _fingerprint(samples: Sequence[Sample]) -> str:
    digest = hashlib.sha256()
    for s in samples:
        assert s.image and s.mask
        digest.update(f"{s.stem} {s.image.stat().st_size} {s.mask.stat().st_size}\n".encode())
    return digest.hexdigest()


def plan_epoch(recipe: Recipe, epoch: int, count: int) -> list[NDArray[np.int64]]:
    """Shuffle the images of an epoch and divide them into updates.

    Parameters
    ----------
    recipe : Recipe
    epoch : int
        Counted from 0.
    count : int
        Number of training images.

    Returns
    -------
    list of ndarray of int64
        The indices of each update's images.
    """
    order = np.random.Generator(np.random.PCG64([recipe.seed, epoch])).permutation(count)
    size = recipe.accumulate
    # The reference never resets its counter of images: the first update of a later epoch lacks as many images as were
    # left over at the end of the one before.
    counted = epoch * count % size if recipe.remainder == "carry" else 0
    ends = list(range(size - counted, count + 1, size))
    updates = [order[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    left_over = order[ends[-1] if ends else 0 :]
    if recipe.remainder == "flush" and len(left_over):
        updates.append(left_over)
    return updates


def count_updates(recipe: Recipe, count: int) -> int:
    """Return the number of updates of all epochs of a training on ``count`` images.

    Parameters
    ----------
    recipe : Recipe
    count : int
        Number of training images.

    Returns
    -------
    int
    """
    return sum(len(plan_epoch(recipe, epoch, count)) for epoch in range(recipe.epochs))


def load_augmented(
    sample: Sample,
    index: int,
    epoch: int,
    scale: float,
    recipe: Recipe,
    preprocessing: Preprocessing | None = None,
) -> AugmentedPair:
    """Read a pair and augment it.

    Parameters
    ----------
    sample : Sample
    index, epoch : int
        The sample's number and the epoch, from which its random numbers follow.
    scale : float
        The factor of the size that was drawn for its update.
    recipe : Recipe
    preprocessing : Preprocessing, optional
        How the augmented image enters the network; None: the device normalises it.

    Returns
    -------
    AugmentedPair
    """
    assert sample.image and sample.mask
    rng = np.random.Generator(np.random.PCG64([recipe.seed, epoch, index]))
    pixels, mask = read_rgb(sample.image), read_grey(sample.mask).pixels
    pixels, mask = _augment(pixels, mask, rng, recipe)
    height, width = (recipe.size, recipe.size) if recipe.size else mask.shape
    size = max(1, round(height * scale)), max(1, round(width * scale))
    pixels, mask = (resize(image, size, "pillow-bilinear") for image in (pixels, mask))
    return AugmentedPair(
        sample.stem, preprocessing.apply(pixels) if preprocessing else pixels, mask
    )


def _augment(
    pixels: Pixels, mask: Pixels, rng: np.random.Generator, recipe: Recipe
) -> tuple[Pixels, Pixels]:
    """Flip and crop a pair as the recipe defines; a new augmentation goes here and draws its numbers last."""
    flip, share, down, across = rng.random(4)
    if recipe.flip and flip < 0.5:
        pixels, mask = pixels[:, ::-1], mask[:, ::-1]
    if recipe.crop:
        height, width = mask.shape
        shorter = min(height, width)
        side = max(1, round(shorter * (recipe.crop + (1 - recipe.crop) * share)))
        top, left = int(down * (height - side + 1)), int(across * (width - side + 1))
        window = slice(top, top + side), slice(left, left + side)
        pixels, mask = pixels[window], mask[window]
    return pixels, mask


def draw_scale(recipe: Recipe, epoch: int, update: int) -> float:
    """Draw the factor by which the images of an update are resized (multi-scale training).

    Parameters
    ----------
    recipe : Recipe
    epoch, update : int
        Both select the random stream, so that a resumed run draws the same factors.

    Returns
    -------
    float
        1.0 where the recipe has no scales.
    """
    if not recipe.scales:
        return 1.0
    rng = np.random.Generator(np.random.PCG64([recipe.seed, epoch, update, 1]))
    return recipe.scales[int(rng.random() * len(recipe.scales))]


def shard_indices(
    data: TrainingSet, indices: NDArray[np.int64], rank: int, size: int
) -> NDArray[np.int64]:
    """Return the images of an update that one process runs: a contiguous range of sizes.

    Parameters
    ----------
    data : TrainingSet
    indices : ndarray of int64
        The images of the update.
    rank, size : int
        Number of the process, and number of processes.

    Returns
    -------
    ndarray of int64
    """
    if size == 1:
        return indices
    ordered = sorted(indices.tolist(), key=lambda i: (data.sizes[i], i))
    return np.array(ordered[rank * len(ordered) // size : (rank + 1) * len(ordered) // size])


def prefetch_updates(
    data: TrainingSet,
    recipe: Recipe,
    epoch: int,
    updates: Sequence[tuple[int, NDArray[np.int64]]],
    workers: int | None = None,
    preprocessing: Preprocessing | None = None,
) -> Iterator[list[AugmentedPair]]:
    """Load the pairs of updates in order, a few updates ahead of the caller.

    Parameters
    ----------
    data : TrainingSet
    recipe : Recipe
    epoch : int
        Counted from 0.
    updates : sequence of (int, ndarray of int64)
        Number and image indices of each update.
    workers : int, optional
        Number of threads.
    preprocessing : Preprocessing, optional
        As for `load_augmented`.

    Yields
    ------
    list of AugmentedPair
        The pairs of an update.
    """
    with thread_pool(workers) as pool:
        ahead: deque[list[Future[AugmentedPair]]] = deque()
        for number, indices in updates:
            scale = draw_scale(recipe, epoch, number)
            futures = []
            for i in indices:
                sample = data.samples[i]
                futures.append(
                    pool.submit(load_augmented, sample, int(i), epoch, scale, recipe, preprocessing)
                )
            ahead.append(futures)
            if len(ahead) > 3:
                yield [future.result() for future in ahead.popleft()]
        while ahead:
            yield [future.result() for future in ahead.popleft()]
