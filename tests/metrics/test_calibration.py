"""The calibration curve and its error, by hand and from the pixels."""

import numpy as np
import pytest

from sodbench.metrics import PROTOCOLS, Evaluator


def test_a_map_of_the_true_probabilities_is_calibrated():
    # of each level's 255 pixels as many are foreground as the level says
    map_ = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 255, axis=1)
    mask = np.arange(255)[None] < np.arange(256)[:, None]
    evaluator = Evaluator("pysodmetrics")
    evaluator.update(map_, mask)
    scores = evaluator.compute()
    assert scores.metrics["ece"] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(scores.curves["calibration"], np.arange(256) / 255, atol=1e-12)
    np.testing.assert_allclose(scores.curves["level_share"], 1 / 256, atol=1e-12)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_error_is_of_the_map_as_stored_and_of_images_of_equal_weight(protocol):
    evaluator = Evaluator(protocol)
    # at level 102 (0.4) three quarters are foreground in a small image, nothing in a large one
    small, large = np.full((2, 2), 102, np.uint8), np.full((20, 20), 102, np.uint8)
    mask = np.array([[255, 255], [255, 0]], np.uint8)
    evaluator.update(small, mask)
    evaluator.update(large, np.zeros_like(large))
    scores = evaluator.compute()
    assert scores.curves["calibration"][102] == pytest.approx(0.375, abs=1e-12)
    assert scores.metrics["ece"] == pytest.approx(0.4 - 0.375, abs=1e-12)
    # a level that no pixel has
    assert np.isnan(scores.curves["calibration"][[0, 101, 255]]).all()


def test_confident_maps_that_are_wrong_have_an_error_of_one():
    mask = np.eye(6, dtype=bool)
    evaluator = Evaluator()
    evaluator.update(~mask, mask)
    assert evaluator.compute().metrics["ece"] == pytest.approx(1, abs=1e-12)
