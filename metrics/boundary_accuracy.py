"""Mean boundary accuracy (mBA): the share of pixels near a mask's contour that a binarised map gets right.

For five radii, 1 to nearly 1/300 of width plus height, the accuracy is that of the pixels that have foreground and background
within the radius; the metric is the mean of the five.  Foreground is above 128 in map and mask as stored.  A mask that is
empty or full has no contour and no value.  A black map scores about one half, since half of those pixels are background.

References
----------
Cheng, Chung, Tai and Tang, "CascadePSP: toward class-agnostic and very high-resolution segmentation via global and local
refinement", CVPR 2020.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.compiled import compiled

if TYPE_CHECKING:
    from sodbench.metrics.pixel_metrics import PixelPair

_RADII = 5
_SIDES_PER_RADIUS = 300
# Wider than any disk: a row without the other class
_FAR = 65535


class ContourBands(NamedTuple):
    """The pixels near a mask's contour.

    Attributes
    ----------
    pixels : int32 [n]
        Indices into the flattened mask.
    within : uint8 [n]
        For each of them the radii at which it is near the contour: bits 0 to 4.
    foreground : uint8 [n]
        1 where the pixel is foreground.
    """

    pixels: NDArray[np.int32]
    within: NDArray[np.uint8]
    foreground: NDArray[np.uint8]


def contour_bands(foreground: NDArray[np.bool_]) -> ContourBands:
    """Find the pixels near a mask's contour.

    Parameters
    ----------
    foreground : bool [h, w]

    Returns
    -------
    ContourBands
    """
    inside = np.ascontiguousarray(foreground).view(np.uint8)
    step = (sum(inside.shape) / _SIDES_PER_RADIUS - 1) / _RADII
    radii = [1 + int(step * i) for i in range(_RADII)]
    within = np.zeros(inside.shape, np.uint8)
    distance = _distance_in_row(inside)
    for bit, radius in enumerate(radii):
        _add_band(inside, distance, _disk(radius), np.uint8(1 << bit), within)
    pixels = np.flatnonzero(within.ravel()).astype(np.int32)
    return ContourBands(pixels, within.ravel()[pixels], inside.ravel()[pixels])


def mean_boundary_accuracy(binary: NDArray[np.bool_], bands: ContourBands) -> float:
    """Mean boundary accuracy of a binarised map.

    Parameters
    ----------
    binary : bool [h, w]
    bands : ContourBands
        Of a mask of the same size.

    Returns
    -------
    float
        NaN for a mask that is empty or full.
    """
    if not len(bands.pixels):
        return float("nan")
    right = binary.ravel()[bands.pixels] == bands.foreground
    total = 0.0
    for bit in range(_RADII):
        near = (bands.within >> bit & 1).astype(np.bool_)
        total += np.count_nonzero(right & near) / np.count_nonzero(near)
    return total / _RADII


def mean_boundary_accuracy_of_pair(pair: "PixelPair") -> float:
    """Mean boundary accuracy of the map as stored above 128, see `mean_boundary_accuracy`.

    Parameters
    ----------
    pair : PixelPair

    Returns
    -------
    float
    """
    return mean_boundary_accuracy(pair.map_ > 128, pair.of_mask(contour_bands))


def _disk(radius: int) -> NDArray[np.int64]:
    """Half the width of each row of OpenCV's ellipse with sides 2 radius + 1; int64 [2 radius + 1]."""
    offset = np.arange(-radius, radius + 1)
    half = np.rint(radius * np.sqrt((radius**2 - offset**2) / radius**2))
    return np.asarray(half, np.int64)


@compiled()
def _distance_in_row(inside):  # type: ignore[no-untyped-def]
    """How far each pixel's row has to be followed to a pixel of the other class; uint16 [h, w]."""
    height, width = inside.shape
    distance = np.full((height, width), _FAR, np.uint16)
    for y in range(height):
        start = -1
        for x in range(1, width):
            if inside[y, x] != inside[y, x - 1]:
                start = x
            if start > 0:
                distance[y, x] = min(x - start + 1, _FAR)
        stop = -1
        for x in range(width - 2, -1, -1):
            if inside[y, x] != inside[y, x + 1]:
                stop = x
            if stop >= 0:
                distance[y, x] = min(distance[y, x], np.uint16(min(stop - x + 1, _FAR)))
    return distance


@compiled()
def _add_band(inside, distance, reach, bit, within):  # type: ignore[no-untyped-def]
    """Set a bit for each pixel that has one of the other class within a disk."""
    height, width = inside.shape
    radius = len(reach) // 2
    found = np.empty(width, np.uint8)
    for y in range(height):
        found[:] = 0
        here = inside[y]
        for row in range(max(y - radius, 0), min(y + radius + 1, height)):
            limit = np.uint16(reach[row - y + radius])
            other, far = inside[row], distance[row]
            for x in range(width):
                found[x] |= np.uint8(here[x] != other[x]) | np.uint8(far[x] <= limit)
        band = within[y]
        for x in range(width):
            band[x] |= found[x] * bit
