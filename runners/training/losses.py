"""Losses of saliency logits against masks.

Each takes logits [n, 1, h, w] and masks [n, 1, h, w] in 0..1 (float32, not necessarily binary) and returns one value
per image, [n]: images never mix, so any grouping of an update gives the same sum. Adding a loss takes a function and an
entry in `LOSSES`; a recipe names it by its key.
"""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]

_PIXELS = (1, 2, 3)


def _bce_sum(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy, summed over pixels: the reference's loss, in which larger images weigh more."""
    return _cross_entropy(logits, masks).sum(_PIXELS)


def _bce(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy, averaged over pixels."""
    return _cross_entropy(logits, masks).mean(_PIXELS)


def _bce_iou(logits: Tensor, masks: Tensor) -> Tensor:
    """Averaged cross-entropy + 1 - soft IoU."""
    saliency = logits.sigmoid()
    both = (saliency * masks).sum(_PIXELS)
    either = (saliency + masks).sum(_PIXELS) - both
    return _bce(logits, masks) + 1 - (both + 1) / (either + 1)


def _structure(logits: Tensor, masks: Tensor) -> Tensor:
    """Weighted cross-entropy + weighted IoU (Wei, Wang and Huang, F3Net, AAAI 2020, equations 7 to 9)."""
    # A pixel weighs 1 + 5 |mean of the mask over the 31x31 pixels around it - its own mask|, so
    # outlines count most.
    # As in the paper. The program released with it averages the cross-entropy before it is weighted, so the weights
    # have no effect there.
    around = F.avg_pool2d(masks, 31, stride=1, padding=15)
    weight = 1 + 5 * (around - masks).abs()
    entropy = (weight * _cross_entropy(logits, masks)).sum(_PIXELS) / weight.sum(_PIXELS)
    saliency = logits.sigmoid()
    both = (weight * saliency * masks).sum(_PIXELS)
    either = (weight * (saliency + masks)).sum(_PIXELS) - both
    return entropy + 1 - (both + 1) / (either + 1)


def _cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, masks, reduction="none")


LOSSES: dict[str, Loss] = {
    "bce-sum": _bce_sum,
    "bce": _bce,
    "bce-iou": _bce_iou,
    "structure": _structure,
}
