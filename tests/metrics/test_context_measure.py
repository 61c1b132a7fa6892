"""Context measure: what rounding decides."""

import numpy as np
import pytest
from reference import scores as slow_twins

from sodbench.metrics.context_measure import context_measure


def test_a_sum_between_two_numbers_of_single_precision_is_rounded_to_the_even_one():
    """The context of pixel (6, 5) is such a sum; a Fourier transform's own rounding is not to decide."""
    mask = np.zeros((9, 11), bool)
    mask[:6, 5:7] = True
    map_ = np.zeros((9, 11))
    map_[6, 5] = map_[2, 5] = 1
    expected = slow_twins.context_measure(map_, mask)
    assert context_measure(map_, mask) == pytest.approx(expected, abs=1e-12, rel=1e-12)
