"""The images of an update as batches: of one exact size, or padded to one canvas.

Networks that declare ``handles_padding`` compute the same for an image whatever is around it, so all images of an
update run together; any other network sees images of one size only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sodbench.images import Pixels
from sodbench.runners.training.data import AugmentedPair


@dataclass(frozen=True)
class TrainingBatch:
    """Augmented pairs, stacked.

    Attributes
    ----------
    stems : tuple of str
    pixels : ndarray of uint8, shape (n, h, w, 3)
        RGB, each image in the top left, zeros around it.
    masks : ndarray of uint8, shape (n, h, w)
        Likewise.
    sizes : ndarray of int64, shape (n, 2), or None
        Height and width of each image; None if all of them fill ``pixels``.
    """

    stems: tuple[str, ...]
    pixels: Pixels
    masks: Pixels
    sizes: NDArray[np.int64] | None = None


def group_by_size(pairs: Sequence[AugmentedPair], max_size: int) -> list[TrainingBatch]:
    """Stack pairs by exact size, at most ``max_size`` in a batch, in the order of first appearance.

    Parameters
    ----------
    pairs : sequence of AugmentedPair
    max_size : int

    Returns
    -------
    list of TrainingBatch
        Every pair once.
    """
    by_size: dict[tuple[int, ...], list[AugmentedPair]] = {}
    for pair in pairs:
        by_size.setdefault(pair.mask.shape, []).append(pair)
    return [
        _stack_on_canvas(group[start : start + max_size])
        for group in by_size.values()
        for start in range(0, len(group), max_size)
    ]


def pad_to_canvas(pairs: Sequence[AugmentedPair], max_size: int) -> list[TrainingBatch]:
    """Stack pairs of any sizes on canvases, at most ``max_size`` in a batch.

    Parameters
    ----------
    pairs : sequence of AugmentedPair
    max_size : int

    Returns
    -------
    list of TrainingBatch
        Every pair once. Pairs that are all of one size are not padded.
    """
    # Landscape and portrait images in one batch need 17 % more pixels on DUTS-TR than apart, but half the runs; only
    # where there are several batches anyway are they kept apart.
    ordered = sorted(pairs, key=lambda p: (p.mask.shape[0] > p.mask.shape[1], p.mask.shape))
    if len(ordered) <= max_size:
        ordered = list(pairs)
    batches = []
    for start in range(0, len(ordered), max_size):
        batches.append(_stack_on_canvas(ordered[start : start + max_size]))
    return batches


def _stack_on_canvas(pairs: Sequence[AugmentedPair]) -> TrainingBatch:
    """Stack pairs on the smallest canvas that holds them all."""
    stems = tuple(pair.stem for pair in pairs)
    sizes = np.array([pair.mask.shape for pair in pairs])
    if (sizes == sizes[0]).all():
        pixels = np.stack([pair.pixels for pair in pairs])
        return TrainingBatch(stems, pixels, np.stack([pair.mask for pair in pairs]))
    height, width = (round_up_side(int(side)) for side in sizes.max(0))
    pixels = np.zeros((len(pairs), height, width, 3), np.uint8)
    masks = np.zeros((len(pairs), height, width), np.uint8)
    for pair, image, mask in zip(pairs, pixels, masks, strict=True):
        h, w = pair.mask.shape
        image[:h, :w], mask[:h, :w] = pair.pixels, pair.mask
    return TrainingBatch(stems, pixels, masks, sizes)


def round_up_side(side: int) -> int:
    """Round the side of a canvas up to one of 16 lengths between two powers of two; multiples of 16 at least.

    A GPU's libraries plan each convolution anew for each shape, which takes longer than an update. Rounding leaves 7
    canvases of DUTS-TR's 51, for 0.04 % more pixels (benchmarks/padding_model.py).

    Parameters
    ----------
    side : int
        In pixels.

    Returns
    -------
    int
    """
    step = max(16, 1 << max(0, side.bit_length() - 5))
    return -(-side // step) * step
