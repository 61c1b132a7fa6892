"""Boundary IoU against the authors' method: erode by 3x3 repeatedly, and take what was removed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.pairs import pairs
from scipy import ndimage

from sodbench.metrics.boundary import boundary_iou, mask_rim


def removed_by_erosion(mask):
    width = max(1, round(0.02 * np.sqrt(mask.shape[0] ** 2 + mask.shape[1] ** 2)))
    inner = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width, border_value=0)
    return mask & ~inner


@given(pairs(), st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_the_boundary_region_is_what_erosion_removes(pair, times):
    for image in pair:
        mask = np.kron(image > 128, np.ones((times, times), bool))  # regions of several pixels
        rim = mask_rim(mask)
        assert (rim.inside == removed_by_erosion(mask)).all() and rim.area == rim.inside.sum()


def test_the_ratio_depends_on_the_boundary_regions_only():
    mask = np.zeros((40, 40), bool)  # a diagonal of 57 pixels: the boundary region is 1 pixel wide
    mask[10:30, 10:30] = True
    other = mask.copy()
    other[15:25, 15:25] = False  # a hole: its edge of 44 pixels is boundary too, in this mask only
    assert boundary_iou(mask, mask) == 1
    assert boundary_iou(other, mask) == 76 / (76 + 44)
    assert boundary_iou(np.zeros_like(mask), mask) == 0
    assert boundary_iou(np.zeros_like(mask), np.zeros_like(mask)) == 0


def test_different_shapes_are_an_error():
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3, 2\)"):
        boundary_iou(np.zeros((2, 3), bool), np.zeros((3, 2), bool))
