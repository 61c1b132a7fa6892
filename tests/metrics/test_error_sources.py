"""Where MAE comes from: four parts that add up to it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.pairs import pairs

from sodbench.metrics import PROTOCOLS, Evaluator
from sodbench.metrics.error_sources import SOURCES

NAMES = [f"mae_{source}" for source in SOURCES]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(given_pairs=st.lists(pairs(side=30), min_size=1, max_size=3))
@settings(max_examples=15, deadline=None)
def test_the_parts_add_up_to_mae(protocol, given_pairs):
    evaluator = Evaluator(protocol, pixel_metrics=["mae_missed"])
    for map_, mask in given_pairs:
        # as float: a uint8 map or mask whose largest value is 1 is ambiguous
        evaluator.update(map_ / 255, mask / 255)
    scores = evaluator.compute()
    per_image = scores.per_image
    sums = per_image[NAMES].sum(axis=1, skipna=False)
    np.testing.assert_allclose(sums, per_image["mae"], atol=1e-12)
    total = sum(scores.metrics[name] for name in NAMES)
    assert total == pytest.approx(scores.metrics["mae"], abs=1e-12, nan_ok=True)
    assert (per_image[NAMES].fillna(0) >= 0).all(axis=None)


def test_each_part_is_the_error_of_its_pixels():
    # a diagonal of 113 pixels: the contour reaches 2 pixels to both sides
    mask = np.zeros((80, 80), np.uint8)
    mask[20:60, 20:60] = 255
    map_ = mask.copy()
    map_[35:40, 35:45] = 51  # missed: 50 pixels, off by 0.8
    map_[5:10, 5:10] = 204  # spurious: 25 pixels, off by 0.8
    map_[18:22, 30:50] = 153  # at the contour: 40 pixels off by 0.6, 40 off by 0.4
    map_[70:75, 5:15] = 51  # grey: 50 pixels, off by 0.2
    evaluator = Evaluator("salmetric", pixel_metrics=NAMES)
    evaluator.update(map_, mask)
    metrics = evaluator.compute().metrics
    expected = [50 * 0.8, 25 * 0.8, 40 * 0.6 + 40 * 0.4, 50 * 0.2]
    assert [metrics[name] * mask.size for name in NAMES] == pytest.approx(expected, abs=1e-9)


def test_an_empty_mask_has_no_contour():
    evaluator = Evaluator("salmetric", pixel_metrics=NAMES)
    evaluator.update(np.full((40, 40), 255, np.uint8), np.zeros((40, 40), np.uint8))
    metrics = evaluator.compute().metrics
    assert [metrics[name] for name in NAMES] == [0, 1, 0, 0]
