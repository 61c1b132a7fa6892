"""Boundary IoU against the authors' way: erode by 3x3, again and again, and take what went."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.pairs import pairs
from scipy import ndimage

from sodbench.metrics.boundary import boundary_iou, boundary_region


def eroded_away(mask):
    width = max(1, round(0.02 * np.sqrt(mask.shape[0] ** 2 + mask.shape[1] ** 2)))
    inner = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width, border_value=0)
    return mask & ~inner


@given(pairs(), st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_the_rim_is_what_erosion_takes(pair, times):
    for picture in pair:
        mask = np.kron(picture > 128, np.ones((times, times), bool))  # rims of several pixels
        assert (boundary_region(mask) == eroded_away(mask)).all()


def test_the_ratio_is_of_the_rims_alone():
    mask = np.zeros((40, 40), bool)  # a diagonal of 57 pixels: the rim is 1 pixel wide
    mask[10:30, 10:30] = True
    other = mask.copy()
    other[15:25, 15:25] = False  # a hole: its edge of 44 pixels is rim too, and only there
    assert boundary_iou(mask, mask) == 1
    assert boundary_iou(other, mask) == 76 / (76 + 44)
    assert boundary_iou(np.zeros_like(mask), mask) == 0
    assert boundary_iou(np.zeros_like(mask), np.zeros_like(mask)) == 0


def test_shapes_that_differ_are_an_error():
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3, 2\)"):
        boundary_iou(np.zeros((2, 3), bool), np.zeros((3, 2), bool))
