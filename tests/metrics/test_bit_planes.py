"""Morphology on bit planes, and the metrics built on it, against scipy's on whole images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.scores import mean_boundary_accuracy as slow_accuracy
from reference.scores import soft_boundary_iou as slow_boundary_iou
from scipy import ndimage

from sodbench.metrics.bit_planes import (
    count_bits,
    erode_square,
    find_mixed_disks,
    pack_bits,
    unpack_bits,
)
from sodbench.metrics.boundary import mask_rim, soft_boundary_iou
from sodbench.metrics.boundary_accuracy import contour_bands, mean_boundary_accuracy


@st.composite
def binary_images(draw: st.DrawFn) -> np.ndarray:
    """Smooth regions in images whose rows end within a word, at its end and in its last bits."""
    shape = draw(st.integers(1, 150)), draw(st.sampled_from((1, 2, 63, 64, 65, 127, 128, 200)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    noise = ndimage.gaussian_filter(rng.random(shape), draw(st.floats(0, 9)))
    return noise >= np.quantile(noise, draw(st.floats(0, 1)))


@given(binary_images(), st.integers(1, 70))
@settings(max_examples=60, deadline=None)
def test_planes_hold_and_count_the_image(image, spare):
    plane = pack_bits(image, spare)
    assert np.array_equal(unpack_bits(plane, image.shape[1]), image)
    assert count_bits(plane) == np.count_nonzero(image)


@given(binary_images(), st.integers(1, 80))
@settings(max_examples=60, deadline=None)
def test_erosion_by_a_square(image, reach):
    eroded = unpack_bits(erode_square(pack_bits(image), reach), image.shape[1])
    expected = ndimage.minimum_filter(image, 2 * reach + 1, mode="constant", cval=False)
    assert np.array_equal(eroded, expected)


@given(binary_images(), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_disks_that_meet_both_classes(image, radius):
    distance = np.arange(radius + 1)
    half_widths = np.stack([radius - distance, np.where(distance < radius, 0, -1)])
    found = find_mixed_disks(image, half_widths)
    for plane, half in zip(found, half_widths, strict=True):
        rows = np.concatenate([half[:0:-1], half])
        disk = abs(np.arange(-radius, radius + 1)) <= rows[:, None]
        expected = np.zeros_like(image)
        if disk.any():
            expected = ndimage.binary_dilation(image, disk) & ndimage.binary_dilation(~image, disk)
        assert np.array_equal(unpack_bits(plane, image.shape[1]), expected)


@pytest.mark.parametrize("shape", [(130, 400), (1, 24300), (900, 3)])
def test_metrics_of_radii_of_several_pixels(shape):
    rng = np.random.default_rng(3)
    soft = [ndimage.gaussian_filter(rng.random(shape), 4) for _ in range(2)]
    mask = soft[0] > soft[0].mean()
    span = np.ptp(soft[1])
    map_ = np.clip(400 * (soft[1] - soft[1].min()) / span - 90, 0, 255).astype(np.uint8)
    rims = mask_rim(mask)
    level_of = np.arange(256, dtype=np.uint8)
    assert np.array_equal(soft_boundary_iou(map_, level_of, rims), slow_boundary_iou(map_, mask))
    binary = map_ > 128
    accuracy = mean_boundary_accuracy(binary, contour_bands(mask))
    assert accuracy == pytest.approx(slow_accuracy(binary, mask), abs=1e-12)
