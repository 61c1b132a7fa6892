"""Relaxed boundary F by hand; tests/reference/scores.py has its slow version."""

import numpy as np
import pytest

from sodbench.metrics import Evaluator


def score(map_, mask):
    evaluator = Evaluator("salmetric", pixel_metrics=["relaxed_f"])
    evaluator.update(map_, mask, name="pair")
    return evaluator.compute()


@pytest.fixture
def square():
    mask = np.zeros((60, 80), np.uint8)
    mask[20:40, 20:60] = 255
    return mask


@pytest.mark.parametrize("shift", [0, 3])
def test_an_outline_within_three_pixels_is_right(square, shift):
    moved = np.roll(square, shift, axis=0)
    assert score(moved, square).metrics["relaxed_f"] == pytest.approx(1, abs=1e-12)


def test_an_outline_that_is_farther_off_is_wrong(square):
    moved = np.roll(square, 4, axis=0)
    # of 116 pixels the two sides across the shift are wrong, except for 3 pixels at both ends of one of them,
    # which are near the other's sides along the shift
    right = 116 - 40 - (40 - 2 * 4)
    assert score(moved, square).metrics["relaxed_f"] == pytest.approx(right / 116, abs=1e-12)


def test_a_map_without_outline_scores_0(square):
    assert score(np.zeros_like(square), square).metrics["relaxed_f"] == 0
    assert score(np.full_like(square, 255), square).metrics["relaxed_f"] == 0


def test_a_mask_without_outline_has_no_score(square):
    scores = score(square, np.zeros_like(square))
    assert np.isnan(scores.metrics["relaxed_f"])
    assert scores.left_out["relaxed_f"] == ("pair",)


def test_the_border_of_the_image_is_no_outline():
    mask = np.zeros((30, 30), np.uint8)
    mask[:, :15] = 255
    other = np.zeros((30, 30), np.uint8)
    other[:, :18] = 255
    # with the border there would be pixels of the map that the mask has nothing near
    assert score(other, mask).metrics["relaxed_f"] == pytest.approx(1, abs=1e-12)
    other[:, 18] = 255
    assert score(other, mask).metrics["relaxed_f"] == 0
