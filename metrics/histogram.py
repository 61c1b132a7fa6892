"""The counting kernels: one pass over a map and a mask fills their joint histogram.

The *joint histogram* counts how many pixels are in each quadrant of the mask's centroid split (4: top left, top right,
bottom left, bottom right), belong to each mask class (2: background, foreground) and have each grey level of the map
(256).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.compiled import compiled

# Quadrant, mask class and grey level of a pixel in one number
_N_CODES = 4 * 2 * 256
# Neighbouring pixels use separate histograms: they often share a value, and consecutive increments of one counter stall
# on each other.
_N_SUBTABLES = 8
# Entries between these histograms: a processor confuses addresses whose last twelve bits are equal.
_SUBTABLE_PADDING = 80
# Pixels coded at a time, to be counted while they are in the nearest cache
_CHUNK_PIXELS = 4096


class HistogramPass(NamedTuple):
    """What one pass over a pair counts, and what the histogram shows about the map.

    Attributes
    ----------
    histogram : uint32 [4, 2, 256]
        Pixels by quadrant, mask class and grey level.
    darkest, brightest : int
        The map's lowest and highest grey level.
    level_sum : int
        The sum of the map's grey levels.
    binary_error : int
        The sum of abs(map - mask) for a mask of 0 and 255.
    constant_level : tuple of int
        For each quadrant the grey level that all its pixels share, if they share the mask class too, else -1.
    """

    histogram: NDArray[np.uint32]
    darkest: int
    brightest: int
    level_sum: int
    binary_error: int
    constant_level: tuple[int, int, int, int]


def count_pixels(
    map_: NDArray[np.uint8], mask: NDArray[np.uint8], above: int, row: int, column: int
) -> HistogramPass:
    """Count a pair's pixels under one counting rule.

    Parameters
    ----------
    map_, mask : uint8 [h, w]
        Contiguous, of one shape.
    above : int
        Mask pixels above this grey level are foreground.
    row, column : int
        The centroid split.

    Returns
    -------
    HistogramPass
    """
    histogram, darkest, brightest, level_sum, binary_error, constant_level = _count_pixels(
        map_, mask, above, row, column
    )
    # int(): without the compiler these are numpy's integers, whose arithmetic wraps around
    return HistogramPass(
        histogram, darkest, brightest, int(level_sum), int(binary_error), constant_level
    )


@compiled()
def absolute_error(map_: NDArray[np.uint8], mask: NDArray[np.uint8]) -> int:
    """Sum the absolute differences of two images.

    Parameters
    ----------
    map_, mask : uint8 [h, w]
        Of one shape.

    Returns
    -------
    int
        In grey levels.
    """
    total = np.int64(0)
    height, width = map_.shape
    for y in range(height):
        for x in range(width):
            # differences of bytes would wrap around
            total += abs(np.int64(map_[y, x]) - np.int64(mask[y, x]))
    return total  # type: ignore[return-value]


@compiled()
def _count_pixels(map_, mask, above, row, column):  # type: ignore[no-untyped-def]
    """The fields of a HistogramPass."""
    height, width = map_.shape
    levels, classes = map_.reshape(-1), mask.reshape(-1)
    tables = np.zeros((_N_SUBTABLES, _N_CODES + _SUBTABLE_PADDING), np.uint32)
    # whole rows, so that one pattern of columns serves for every chunk
    step = max(_CHUNK_PIXELS // width, 1)
    codes = np.empty(step * width, np.uint16)
    quadrants = np.zeros((step, width), np.uint16)
    # bit 9 of a code: to the right of the split; bit 10: below it
    quadrants[:, column:] = 512
    for first, last in ((0, row), (row, height)):
        for top in range(first, last, step):
            begin, end = top * width, min(top + step, last) * width
            _code(levels[begin:end], classes[begin:end], above, quadrants.reshape(-1), codes)
            _add(codes[: end - begin], tables)
        quadrants += np.uint16(1024)
    histogram = np.empty((4, 512), np.uint32)
    per_class = np.empty((2, 256), np.uint32)
    _sum_tables(tables, histogram.reshape(-1), per_class.reshape(-1))
    darkest, brightest = 0, 255
    # an image has pixels, so both searches end
    while per_class[0, darkest] + per_class[1, darkest] == 0:
        darkest += 1
    while per_class[0, brightest] + per_class[1, brightest] == 0:
        brightest -= 1
    level_sum = binary_error = np.int64(0)
    for level in range(256):
        background, foreground = np.int64(per_class[0, level]), np.int64(per_class[1, level])
        level_sum += (background + foreground) * level
        # for a mask of 0 and 255 a pixel's error follows from its level and class
        binary_error += background * level + foreground * (255 - level)
    constant_level = (
        _only_level(histogram[0]),
        _only_level(histogram[1]),
        _only_level(histogram[2]),
        _only_level(histogram[3]),
    )
    return (
        histogram.reshape(4, 2, 256),
        darkest,
        brightest,
        level_sum,
        binary_error,
        constant_level,
    )


@compiled()
def _code(levels, classes, above, quadrants, codes):  # type: ignore[no-untyped-def]
    """Write quadrant, mask class and grey level of each pixel as one number."""
    threshold = np.uint8(above)
    for i in range(len(levels)):
        inside = np.uint16(classes[i] > threshold)
        codes[i] = np.uint16(levels[i]) | (inside << np.uint16(8)) | quadrants[i]


@compiled()
def _add(codes, tables):  # type: ignore[no-untyped-def]
    """Count each code in one of the tables."""
    # the rest, fewer pixels than tables, goes to the first one
    whole = len(codes) // _N_SUBTABLES * _N_SUBTABLES
    for i in range(0, whole, _N_SUBTABLES):
        for table in range(_N_SUBTABLES):
            tables[table, codes[i + table]] += np.uint32(1)
    for i in range(whole, len(codes)):
        tables[0, codes[i]] += np.uint32(1)


@compiled()
def _sum_tables(tables, histogram, per_class):  # type: ignore[no-untyped-def]
    """Sum the tables, with and without the quadrants."""
    histogram[:] = 0
    for table in range(_N_SUBTABLES):
        for code in range(_N_CODES):
            histogram[code] += tables[table, code]
    for code in range(512):
        per_class[code] = (
            histogram[code]
            + histogram[512 + code]
            + histogram[1024 + code]
            + histogram[1536 + code]
        )


@compiled()
def _only_level(quadrant):  # type: ignore[no-untyped-def]
    """The grey level that all pixels of a quadrant share, counts [512], if they share their class too; else -1."""
    occupied = 0
    for code in range(512):
        occupied += quadrant[code] > 0
    if occupied == 1:
        for code in range(512):
            if quadrant[code]:
                return code % 256
    return -1
