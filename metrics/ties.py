"""Two comparisons that PySODMetrics decides by the rounding of numpy's ``mean``, and how its answer is kept.

numpy's mean of float64 values can miss the exact mean by a rounding error.  This matters in two places: whether a grey
level that equals the adaptive threshold 2 * mean(map) is selected, and whether a block of constant value has a spread in
S-measure.  Both cases are recognised from the counts; only then are the pixels used to ask numpy's mean.  The answers are
stored as *tie flags*, so that everything after counting is arithmetic on integers.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.histogram import HistogramPass
from sodbench.metrics.masks import CentroidSplit
from sodbench.metrics.protocols import Preparation

# Bits 0..3 of the flags: numpy's mean of that constant quadrant is not its value.
# Bit 4: numpy's mean puts the adaptive threshold above a level that equals it.
TIE_EXCLUDED = 0b10000

# MATLAB's arithmetic is taken as exact
_FLAGGED: tuple[Preparation, ...] = ("raw", "min-max")


def value_range(darkest: int, brightest: int, preparation: Preparation) -> tuple[int, int]:
    """The grey levels that a preparation sends to 0 and to 1.

    Parameters
    ----------
    darkest, brightest : int
        The map's lowest and highest grey level.
    preparation : {"raw", "min-max", "maximum"}

    Returns
    -------
    tuple of int
        The levels of value 0 and 1.
    """
    if preparation == "min-max" and brightest > darkest:
        return darkest, brightest
    if preparation == "maximum" and brightest > 0:
        return 0, brightest
    return 0, 255


@cache
def normalised_levels(low: int, high: int) -> NDArray[np.float64]:
    """The value of each grey level of a prepared map, by the same float64 operations as in PySODMetrics.

    Parameters
    ----------
    low, high : int
        From `value_range`.

    Returns
    -------
    float64 [256]
        Levels outside [low, high], which the map does not contain, have values outside [0, 1].
    """
    level = np.arange(256) / 255
    values: NDArray[np.float64] = (level - low / 255) / (high / 255 - low / 255)
    values.flags.writeable = False
    return values


def find_ties(
    map_: NDArray[np.uint8], counted: HistogramPass, split: CentroidSplit
) -> tuple[int, int]:
    """The tie flags of one pair under one counting rule.

    Parameters
    ----------
    map_ : uint8 [h, w]
    counted : HistogramPass
    split : CentroidSplit

    Returns
    -------
    tuple of int
        For the raw and the min-max map.
    """
    raw, stretched = (
        value_range(counted.darkest, counted.brightest, preparation) for preparation in _FLAGGED
    )
    flags = _find_ties_in_range(map_, counted, split, *raw)
    if stretched == raw:
        return flags, flags
    return flags, _find_ties_in_range(map_, counted, split, *stretched)


def _find_ties_in_range(
    map_: NDArray[np.uint8], counted: HistogramPass, split: CentroidSplit, low: int, high: int
) -> int:
    """The flags for one value range."""
    flags = 0
    excess = counted.level_sum - low * map_.size
    level, rest = divmod(2 * excess, map_.size)
    if rest == 0 and low + level <= high and counted.histogram[:, :, low + level].any():
        values = normalised_levels(low, high)
        threshold = min(2 * values[map_].mean(), 1)
        flags |= TIE_EXCLUDED * bool(values[low + level] < threshold)
    for quadrant, grey in enumerate(counted.constant_level):
        if low < grey < high:
            value = normalised_levels(low, high)[grey]
            block = _quadrant(np.full(map_.shape, value), split, quadrant)
            flags |= (1 << quadrant) * bool(block.mean() != value)
    return flags


def _quadrant(
    image: NDArray[np.float64], split: CentroidSplit, quadrant: int
) -> NDArray[np.float64]:
    """One quadrant of an image, as a view: numpy's mean depends on the memory layout."""
    rows = slice(None, split.row) if quadrant < 2 else slice(split.row, None)
    columns = slice(None, split.column) if quadrant % 2 == 0 else slice(split.column, None)
    return image[rows, columns]
