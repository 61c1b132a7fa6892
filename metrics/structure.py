"""S-measure, the structural similarity of a grey map and a mask (Fan et al., ICCV 2017), alpha = 0.5.

S = max(0, (object part + region part) / 2).  The object part looks at the map's mean and spread within foreground
and background; the region part compares map and mask in the four blocks around the mask's centroid by a formula like
SSIM's.  All of it needs only sums over grey levels, so it is a function of the joint counts.

Conventions of PySODMetrics 1.6.2: with an empty mask S is 1 - mean(map), with a full one mean(map), and both parts are
given that value here.  A block without pixels (the centroid lies in the last row or column) makes S undefined: NaN.
"""

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.confusion import PreparedCounts

Floats = NDArray[np.float64]
EPSILON = np.finfo(np.float64).eps


def s_measure(prepared: PreparedCounts) -> tuple[Floats, Floats, Floats]:
    """(S, object part, region part) of N pairs, float64 [N] each."""
    share = (prepared.positives / (prepared.positives + prepared.negatives))[:, 0]
    per_level = prepared.per_class.sum(axis=1)
    mean = np.vecdot(per_level, prepared.value) / per_level.sum(axis=-1)
    trivial = np.where(share == 0, 1 - mean, mean)
    one_class = (share == 0) | (share == 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        object_part = np.where(one_class, trivial, _object(prepared, share))
        region_part = np.where(one_class, trivial, _region(prepared))
    s = np.maximum(0.5 * object_part + 0.5 * region_part, 0)  # a NaN stays a NaN
    return np.where(one_class, trivial, s), object_part, region_part


def _object(prepared: PreparedCounts, share: Floats) -> Floats:
    foreground = _object_score(prepared.per_class[:, 1], prepared.value)
    background = _object_score(prepared.per_class[:, 0], 1 - prepared.value)
    return share * foreground + (1 - share) * background


def _object_score(pixels: Floats, value: Floats) -> Floats:
    """2m / (m^2 + 1 + sd) of one mask class; sd of the sample (n - 1), 0 for a single pixel."""
    number = pixels.sum(axis=-1)
    mean = np.vecdot(pixels, value) / number
    squares = np.vecdot(pixels, (value - mean[:, None]) ** 2)
    deviation = np.sqrt(squares / np.maximum(number - 1, 1))
    score: Floats = 2 * mean / (mean * mean + 1 + deviation + EPSILON)
    return score


def _region(prepared: PreparedCounts) -> Floats:
    background, foreground = prepared.joint[:, :, 0], prepared.joint[:, :, 1]
    pixels = background + foreground
    area = pixels.sum(axis=-1)
    value = prepared.value[:, None]
    x = np.vecdot(pixels, value) / area
    y = foreground.sum(axis=-1) / area
    flat = (pixels > 0).sum(axis=-1) == 1
    offset = value - x[..., None]
    sigma_x = np.where(flat, 0, np.vecdot(pixels, offset * offset)) / (area - 1 + EPSILON)
    # the sum of (mask - y)^2 over the block's two classes
    sigma_y = area * y * (1 - y) / (area - 1 + EPSILON)
    covariance = (1 - y) * np.vecdot(foreground, offset) - y * np.vecdot(background, offset)
    covariance = np.where(flat, 0, covariance) / (area - 1 + EPSILON)
    a = 4 * x * y * covariance
    b = (x * x + y * y) * (sigma_x + sigma_y)
    similarity = np.where(a != 0, a / (b + EPSILON), np.where(b == 0, 1.0, 0.0))
    # numpy's mean of a flat block can miss the value by a rounding: PySODMetrics then sees spread where there is none
    inexact = (prepared.knife_edge[:, None] >> np.arange(4)) & 1 > 0
    similarity = np.where(inexact, 0.0, similarity)
    similarity = np.where(area == 0, np.nan, similarity)
    weight = area / area.sum(axis=-1, keepdims=True)
    weight[:, 3] = 1 - weight[:, :3].sum(axis=-1)
    region: Floats = (weight * similarity).sum(axis=-1)
    return region
