"""Losses of saliency logits against masks.

Each takes logits [n, 1, h, w] and masks [n, 1, h, w] in 0..1 (float32, not necessarily binary) and returns one value
per image, [n]: images never mix, so any grouping of an update gives the same sum. Images that do not fill the batch
have ``inside``, float32 [n, 1, h, w]: 1 in the image, 0 around it. What is around an image counts nowhere; masks must
be 0 there. Adding a loss takes a function, an entry in `LOSSES`, and its key in `CHOICES` of recipe.py.
"""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]

_PIXELS = (1, 2, 3)


def _bce_sum(logits: Tensor, masks: Tensor, inside: Tensor | None = None) -> Tensor:
    """Cross-entropy, summed over pixels: the reference's loss, in which larger images weigh more."""
    return _cross_entropy(logits, masks, inside).sum(_PIXELS)


def _bce(logits: Tensor, masks: Tensor, inside: Tensor | None = None) -> Tensor:
    """Cross-entropy, averaged over pixels."""
    entropy = _cross_entropy(logits, masks, inside)
    return entropy.mean(_PIXELS) if inside is None else entropy.sum(_PIXELS) / inside.sum(_PIXELS)


def _bce_iou(logits: Tensor, masks: Tensor, inside: Tensor | None = None) -> Tensor:
    """Averaged cross-entropy + 1 - soft IoU."""
    saliency = _saliency(logits, inside)
    both = (saliency * masks).sum(_PIXELS)
    either = (saliency + masks).sum(_PIXELS) - both
    return _bce(logits, masks, inside) + 1 - (both + 1) / (either + 1)


def _structure(logits: Tensor, masks: Tensor, inside: Tensor | None = None) -> Tensor:
    """Weighted cross-entropy + weighted IoU (Wei, Wang and Huang, F3Net, AAAI 2020, equations 7 to 9)."""
    # A pixel weighs 1 + 5 |mean of the mask over the 31x31 pixels around it - its own mask|, so
    # outlines count most. Beyond the image that mean counts zeros, as many as the padding has.
    # As in the paper. The program released with it averages the cross-entropy before it is weighted, so the weights
    # have no effect there.
    around = F.avg_pool2d(masks, 31, stride=1, padding=15)
    weight = 1 + 5 * (around - masks).abs()
    if inside is not None:
        weight = weight * inside
    entropy = (weight * _cross_entropy(logits, masks)).sum(_PIXELS) / weight.sum(_PIXELS)
    saliency = logits.sigmoid()
    both = (weight * saliency * masks).sum(_PIXELS)
    either = (weight * (saliency + masks)).sum(_PIXELS) - both
    return entropy + 1 - (both + 1) / (either + 1)


def _cross_entropy(logits: Tensor, masks: Tensor, inside: Tensor | None = None) -> Tensor:
    entropy = F.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    return entropy if inside is None else entropy * inside


def _saliency(logits: Tensor, inside: Tensor | None) -> Tensor:
    saliency = logits.sigmoid()
    return saliency if inside is None else saliency * inside


LOSSES: dict[str, Loss] = {
    "bce-sum": _bce_sum,
    "bce": _bce,
    "bce-iou": _bce_iou,
    "structure": _structure,
}
