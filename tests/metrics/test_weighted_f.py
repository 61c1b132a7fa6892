"""Weighted F against the transparent version, ties and borders included, and against PySODMetrics' numbers."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference import pixels
from reference.pairs import pairs
from scipy import ndimage

from sodbench.metrics.distances import REACH, SATURATED, squared_distances
from sodbench.metrics.weighted_f import (
    weighted_f,
    weighted_geometry,
    weighted_precision_recall,
)

RAW = (1 / 255, 0.0)


def weighted_scores(map_, geometry, preparations, beta_squared=1.0):
    precision, recall = weighted_precision_recall(map_, geometry, preparations).T
    return weighted_f(precision, recall, beta_squared)


def scale(map_):
    """The min-max preparation as slope and offset; raw for a constant map."""
    low, high = int(map_.min()), int(map_.max())
    return (1 / (high - low), -low / (high - low)) if high > low else RAW


@pytest.fixture(scope="module", params=["metrics_public.npz", "metrics_real3.npz"])
def fixture(request, data: Path):
    if request.param == "metrics_public.npz":
        return np.load(data / request.param)
    shared = request.getfixturevalue("shared")
    return np.load(shared / "fixtures" / request.param)


def test_the_numbers_of_pysodmetrics(fixture):
    for i, (stretched, raw) in enumerate(
        zip(fixture["pysod/wfm"], fixture["pysod_nonorm/wfm"], strict=True)
    ):
        map_, mask = fixture[f"pred_{i:03d}"], fixture[f"gt_{i:03d}"]
        geometry = weighted_geometry((mask > 128).view(np.uint8))
        result = weighted_scores(map_, geometry, np.array([scale(map_), RAW]))
        assert result == pytest.approx([stretched, raw], abs=1e-14, rel=0), i


@given(pairs())
@settings(max_examples=300, deadline=None)
def test_weighted_f_equals_the_slow_version(pair):
    map_, mask = pair
    foreground = mask > 128
    scales = np.array([RAW, scale(map_), (0.25 / 255, 0.5)])
    result = weighted_scores(map_, weighted_geometry(foreground.view(np.uint8)), scales)
    for (a, b), value in zip(scales, result, strict=True):
        expected = pixels.weighted_f(a * map_ + b, foreground)
        assert value == pytest.approx(expected, abs=1e-13, rel=0)


@given(pairs(), st.floats(0.1, 4))
@settings(max_examples=50, deadline=None)
def test_float_maps_and_other_betas(pair, beta_squared):
    map_, mask = pair
    foreground = mask > 128
    p = np.sqrt(map_ / 255)  # not on the grid of bytes
    geometry = weighted_geometry(foreground.view(np.uint8))
    (result,) = weighted_scores(p, geometry, np.array([[1.0, 0.0]]), beta_squared)
    expected = pixels.weighted_f(p, foreground, beta_squared)
    assert result == pytest.approx(expected, abs=1e-13, rel=0)


@given(pairs(40))
@example((np.zeros((1, 1), np.uint8), np.full((1, 1), 255, np.uint8)))
@settings(max_examples=300, deadline=None)
def test_distances_and_nearest_pixels_are_scipys(pair):
    foreground = pair[1] > 128
    if not foreground.any():
        return
    geometry = weighted_geometry(foreground.view(np.uint8))
    distance, nearest = ndimage.distance_transform_edt(~foreground, return_indices=True)
    squared = np.rint(distance**2).astype(int)
    assert (geometry.squared_distance == squared).all()

    near = np.argwhere((squared > 0) & (squared <= REACH))
    assert (geometry.band[:, :2] == near).all()
    assert (geometry.band[:, 2:] == nearest[:, near[:, 0], near[:, 1]].T).all()


@pytest.mark.parametrize("shape", [(1, 900), (900, 1), (300, 700), (37, 65), (64, 64)])
@pytest.mark.parametrize("share", [1e-4, 1e-2, 0.3, 0.9, 0.999])
def test_distances_of_large_and_sparse_masks(shape, share):
    """Far beyond the pixels worked on together, and beyond the distance at which the weights end."""
    rng = np.random.default_rng(round(1e4 * share))
    mask = np.where(rng.random(shape) < share, 200, 100).astype(np.uint8)
    mask[rng.integers(shape[0]), rng.integers(shape[1])] = 129
    rows = np.flatnonzero((mask > 128).any(axis=1))
    result, near = squared_distances(mask, 128, int(rows[0]), int(rows[-1]) + 1)
    distance, nearest = ndimage.distance_transform_edt(mask <= 128, return_indices=True)
    squared = np.rint(distance**2).astype(int)
    assert (result == np.minimum(squared, SATURATED)).all()
    wanted = np.argwhere((squared > 0) & (squared <= REACH))
    assert (near[:, :2] == wanted).all()
    assert (near[:, 2:] == nearest[:, wanted[:, 0], wanted[:, 1]].T).all()


@pytest.mark.parametrize("bend", [3, 40, 400])
def test_distances_of_round_and_pointed_shapes(bend):
    """Long envelopes: every row has many columns that are nearest to some pixel."""
    y, x = np.mgrid[:260, :300]
    for mask in (
        (y - 130) ** 2 + (x - 150) ** 2 < 100**2,
        (y - 130) ** 2 + (x - 150) ** 2 > 110**2,
        y > 130 + 100 * np.cos(x / bend),
        abs(y - 130) * bend > abs(x - 150) * 10,
    ):
        distance = ndimage.distance_transform_edt(~mask)
        result, _ = squared_distances(mask.view(np.uint8), 0, 0, len(mask))
        assert (result == np.minimum(np.rint(distance**2), SATURATED)).all()


def test_a_perfect_map_scores_one_and_an_empty_mask_zero():
    mask = np.zeros((9, 7), np.uint8)
    assert weighted_scores(mask, weighted_geometry(mask), np.array([RAW])) == [0]
    mask[2:5, 3:] = 1
    assert weighted_scores(
        mask * np.uint8(255), weighted_geometry(mask), np.array([RAW])
    ) == pytest.approx([1])


def test_a_distant_false_alarm_has_twice_the_weight():
    """The table of weights ends where float64 cannot distinguish them from 2."""
    mask = np.zeros((1, 700), np.uint8)
    mask[0, 0] = 1
    p = np.zeros((1, 700))
    p[0, [0, 265, 266, 267, 699]] = 1.0
    (result,) = weighted_scores(p, weighted_geometry(mask), np.array([[1.0, 0.0]]))
    assert result == pytest.approx(pixels.weighted_f(p, mask > 0), abs=1e-15, rel=0)
    assert result == pytest.approx(
        2 / 9 / (1 + 1 / 9)
    )  # precision 1/9: one hit, four alarms of weight 2


def test_different_sizes_are_an_error():
    geometry = weighted_geometry(np.ones((2, 3), np.uint8))
    with pytest.raises(ValueError, match=r"\(3, 2\).*\(2, 3\)"):
        weighted_scores(np.zeros((3, 2), np.uint8), geometry, np.array([RAW]))
