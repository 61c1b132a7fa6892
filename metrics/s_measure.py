"""S-measure: structural similarity of a grey map and a mask, alpha = 0.5.

S = max(0, (object part + region part) / 2).  The object part looks at the map's mean and spread within foreground
and background; the region part compares map and mask in the four blocks around the mask's centroid by a formula like
SSIM's.  All of it needs only sums over grey levels, so it is a function of the joint counts.

Conventions of PySODMetrics 1.6.2: with an empty mask S is 1 - mean(map), with a full one mean(map), and both parts are
given that value here.  A block without pixels (the centroid is in the last row or column) makes S undefined: NaN.

References
----------
Fan, Cheng, Liu, Li and Borji, "Structure-measure: a new way to evaluate foreground maps", ICCV 2017.
"""

import numpy as np

from sodbench.metrics.arrays import EPSILON, Floats
from sodbench.metrics.compiled import compiled
from sodbench.metrics.confusion import PreparedCounts


def s_measure(prepared: PreparedCounts) -> tuple[Floats, Floats, Floats]:
    """Compute the S-measure of N pairs.

    Parameters
    ----------
    prepared : PreparedCounts

    Returns
    -------
    tuple of float64 [N]
        S, its object part and its region part; NaN where undefined.
    """
    # contiguous: for one kind of array the kernel is compiled once
    flags = np.ascontiguousarray(prepared.tie_flags)
    s, object_part, region_part = _s_measure(
        prepared.histogram, prepared.per_class, prepared.value, flags
    ).T
    return s, object_part, region_part


@compiled()
def _s_measure(histogram, per_class, value, tie_flags):  # type: ignore[no-untyped-def]
    """float64 [N, 3]; the arguments are fields of PreparedCounts."""
    scores = np.empty((len(histogram), 3))
    for n in range(len(histogram)):
        background, mean_outside, spread_outside = _class_moments(per_class[n, 0], value[n])
        foreground, mean_inside, spread_inside = _class_moments(per_class[n, 1], value[n])
        total = background + foreground
        share = foreground / total
        # the original program returns the map's mean here, before the parts are defined
        if background == 0 or foreground == 0:
            mean = mean_inside if background == 0 else 1 - mean_outside
            scores[n] = mean
            continue
        object_part = share * _object(mean_inside, spread_inside, foreground)
        object_part += (1 - share) * _object(1 - mean_outside, spread_outside, background)
        region_part = 0.0
        last_weight = 1.0
        for quadrant in range(4):
            area, similarity = _similarity(histogram[n, quadrant], value[n])
            # numpy's mean of a constant block can miss its value by a rounding: PySODMetrics then computes a spread
            if tie_flags[n] >> quadrant & 1 and area > 0:
                similarity = 0.0
            # the last weight is what the others leave of 1, as in PySODMetrics
            weight = area / total if quadrant < 3 else last_weight
            last_weight -= weight
            region_part += weight * similarity
        scores[n, 0] = max(0.5 * object_part + 0.5 * region_part, 0.0)
        # max() of NaN and 0 is 0 in compiled code
        if np.isnan(region_part):
            scores[n, 0] = np.nan
        scores[n, 1], scores[n, 2] = object_part, region_part
    return scores


@compiled()
def _class_moments(pixels, value):  # type: ignore[no-untyped-def]
    """Number of pixels, mean of their values and sum of the squared distances from it; 0 where there are none."""
    number = total = squares = 0.0
    for level in range(len(value)):
        number += pixels[level]
        total += pixels[level] * value[level]
    mean = total / number if number > 0 else 0.0
    for level in range(len(value)):
        squares += pixels[level] * (value[level] - mean) ** 2
    return number, mean, squares


@compiled()
def _object(mean, squares, number):  # type: ignore[no-untyped-def]
    """2m / (m^2 + 1 + sd) of one mask class; sd of the sample (n - 1), 0 for a single pixel."""
    deviation = np.sqrt(squares / max(number - 1, 1.0))
    return 2 * mean / (mean * mean + 1 + deviation + EPSILON)


@compiled()
def _similarity(block, value):  # type: ignore[no-untyped-def]
    """Pixels of one block, counts float64 [2, L], and the similarity of map and mask there: NaN without pixels."""
    area = foreground = total = 0.0
    occupied = 0
    for level in range(len(value)):
        pixels = block[0, level] + block[1, level]
        area += pixels
        foreground += block[1, level]
        total += pixels * value[level]
        occupied += pixels > 0
    if area == 0:
        return area, np.nan
    x, y = total / area, foreground / area
    squares = inside = outside = 0.0
    for level in range(len(value)):
        offset = value[level] - x
        squares += (block[0, level] + block[1, level]) * (offset * offset)
        outside += block[0, level] * offset
        inside += block[1, level] * offset
    # a constant block has no spread; its rounded mean must not create one
    if occupied == 1:
        squares = inside = outside = 0.0
    sigma_x = squares / (area - 1 + EPSILON)
    # the sum of (mask - y)^2 over the block's two classes
    sigma_y = area * y * (1 - y) / (area - 1 + EPSILON)
    covariance = ((1 - y) * inside - y * outside) / (area - 1 + EPSILON)
    a = 4 * x * y * covariance
    b = (x * x + y * y) * (sigma_x + sigma_y)
    if a != 0:
        return area, a / (b + EPSILON)
    return area, 1.0 if b == 0 else 0.0
