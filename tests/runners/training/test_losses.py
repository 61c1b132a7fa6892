"""Losses against their definitions, pixel by pixel."""

import math

import numpy as np
import pytest
import torch

from sodbench.runners.training.losses import LOSSES

rng = np.random.default_rng(0)
LOGITS = rng.normal(0, 3, (3, 1, 20, 37))
MASKS = np.clip(rng.normal(0.5, 0.8, (3, 1, 20, 37)), 0, 1)


def by_pixel(name: str, logits: np.ndarray, mask: np.ndarray) -> float:
    """One image, [h, w] each."""
    height, width = mask.shape
    entropy = weighted = weights = both = either = 0.0
    for y in range(height):
        for x in range(width):
            p, m = 1 / (1 + math.exp(-logits[y, x])), mask[y, x]
            pixel = -(m * math.log(p) + (1 - m) * math.log(1 - p))
            entropy += pixel
            around = mask[max(0, y - 15) : y + 16, max(0, x - 15) : x + 16].sum() / 31**2
            w = 1 + 5 * abs(around - m) if name == "structure" else 1.0
            weighted += w * pixel
            weights += w
            both += w * p * m
            either += w * (p + m - p * m)
    iou = 1 - (both + 1) / (either + 1)
    return {
        "bce-sum": entropy,
        "bce": entropy / mask.size,
        "bce-iou": entropy / mask.size + iou,
        "structure": weighted / weights + iou,
    }[name]


@pytest.mark.parametrize("name", LOSSES)
def test_definition(name: str) -> None:
    actual = LOSSES[name](torch.from_numpy(LOGITS), torch.from_numpy(MASKS))
    expected = [by_pixel(name, LOGITS[i, 0], MASKS[i, 0]) for i in range(3)]
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("name", LOSSES)
def test_large_logits_stay_finite(name: str) -> None:
    logits = torch.full((1, 1, 8, 8), 200.0, requires_grad=True)
    LOSSES[name](logits, torch.zeros(1, 1, 8, 8)).sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
