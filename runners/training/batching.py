"""The images of an update as batches: of one exact size, or padded to one canvas.

Networks that declare ``handles_padding`` compute the same for an image whatever is around it, so all images of an
update run together; any other network sees images of one size only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sodbench.errors import SodbenchError
from sodbench.images import Pixels
from sodbench.models.declarations import handles_padding
from sodbench.models.processing import Preprocessing
from sodbench.runners.training.data import AugmentedPair
from sodbench.runners.training.optimizer import batch_norms
from sodbench.runners.training.recipe import Recipe


@dataclass(frozen=True)
class TrainingBatch:
    """Augmented pairs, stacked.

    Attributes
    ----------
    stems : tuple of str
    pixels : ndarray
        RGB, uint8 [n, h, w, 3], each image in the top left, zeros around it; or float32 [n, 3, h', w'], as the network
        declares.
    masks : ndarray of uint8, shape (n, h, w)
        Likewise.
    sizes : ndarray of int64, shape (n, 2), or None
        Height and width of each image; None if all of them fill ``pixels``.
    """

    stems: tuple[str, ...]
    pixels: NDArray[Any]
    masks: Pixels
    sizes: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class LoadedBatch:
    """A `TrainingBatch` on the device, or on its way there.

    Attributes
    ----------
    stems : tuple of str
    pixels : Tensor
        uint8 [n, h, w, 3]; or float32 [n, 3, h', w'], as the network takes them, where it declares preprocessing of
        its own.
    masks : Tensor of uint8, shape [n, h, w]
    sizes : Tensor of int64, shape [n, 2], or None
    """

    stems: tuple[str, ...]
    pixels: Tensor
    masks: Tensor
    sizes: Tensor | None

    def split(self, size: int) -> "Iterator[LoadedBatch]":
        """Iterate over parts of at most ``size`` images.

        Parameters
        ----------
        size : int

        Yields
        ------
        LoadedBatch
        """
        for start in range(0, len(self.stems), size):
            part = slice(start, start + size)
            sizes = None if self.sizes is None else self.sizes[part]
            yield LoadedBatch(self.stems[part], self.pixels[part], self.masks[part], sizes)


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
    # a single batch keeps the order of the images, which the reference's sums have
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
    # nothing to pad; only here may images be prepared already, with a size of their own
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

    A GPU's libraries plan each convolution again for each shape, which takes longer than an update. Rounding leaves 7
    canvases of DUTS-TR's 51, for 0.04 % more pixels (benchmarks/padding_model.py).

    Parameters
    ----------
    side : int
        In pixels.

    Returns
    -------
    int
    """
    # a sixteenth of the power of two below, at least 16 pixels
    step = max(16, 1 << max(0, side.bit_length() - 5))
    return -(-side // step) * step


def choose_batching(
    network: nn.Module,
    recipe: Recipe,
    device: torch.device,
    name: str,
    preprocessing: Preprocessing,
) -> str:
    """Return ``pad`` or ``exact``: what the recipe asks for, or what suits network and device.

    Parameters
    ----------
    network : nn.Module
    recipe : Recipe
    device : torch.device
    name : str
        Of the model, for messages.
    preprocessing : Preprocessing
        How images enter the network.

    Returns
    -------
    str

    Raises
    ------
    SodbenchError
        If the recipe asks for ``pad``, which the network cannot do.
    """
    reason = ""
    if not handles_padding(network):
        reason = "its network does not declare handles_padding"
    elif preprocessing != Preprocessing():
        reason = "its network declares a size or preprocessing of its own"
    elif not recipe.frozen and any(batch_norms(network)):
        reason = "it trains batch normalisation (frozen = false), whose statistics would count the padding"
    if recipe.batching == "pad" and reason:
        raise SodbenchError(
            f"{name}: batching = pad is not possible, because {reason}; use batching = exact"
        )
    if recipe.batching == "auto":
        # a CPU is busy with one image already, and would compute the padding as well
        return "pad" if device.type == "cuda" and not reason else "exact"
    return recipe.batching
