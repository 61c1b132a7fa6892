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

from sodbench.metrics.bit_planes import Plane, count_bits, find_mixed_disks, pack_bits

if TYPE_CHECKING:
    from sodbench.metrics.pixel_metrics import PixelPair

_RADII = 5
_SIDES_PER_RADIUS = 300


class ContourBands(NamedTuple):
    """The pixels near a mask's contour, as bit planes.

    Attributes
    ----------
    foreground : uint64 [h, n]
        The mask.
    near : uint64 [5, h, n]
        The pixels within each radius.
    areas : tuple of int
        How many they are.
    spare : int
        The spare bits of each row.
    """

    foreground: Plane
    near: Plane
    areas: tuple[int, ...]
    spare: int


def contour_bands(foreground: NDArray[np.bool_]) -> ContourBands:
    """Find the pixels near a mask's contour.

    Parameters
    ----------
    foreground : bool [h, w]

    Returns
    -------
    ContourBands
    """
    step = (sum(foreground.shape) / _SIDES_PER_RADIUS - 1) / _RADII
    radii = [1 + int(step * i) for i in range(_RADII)]
    disks = np.stack([_disk(radius, max(radii)) for radius in radii])
    near = find_mixed_disks(foreground, disks)
    return ContourBands(
        pack_bits(foreground, max(radii)), near, tuple(map(count_bits, near)), max(radii)
    )


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
    # a contour has pixels within every radius
    if not bands.areas[0]:
        return float("nan")
    wrong = pack_bits(binary, bands.spare) ^ bands.foreground
    total = 0.0
    for near, area in zip(bands.near, bands.areas, strict=True):
        total += (area - count_bits(wrong & near)) / area
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


def _disk(radius: int, reach: int) -> NDArray[np.int64]:
    """Half the widths of OpenCV's ellipse with sides 2 radius + 1, from the middle row, -1 beyond; int64 [reach + 1]."""
    distance = np.arange(reach + 1)
    inner = np.maximum(radius**2 - distance**2, 0)
    half = np.rint(radius * np.sqrt(inner / radius**2))
    return np.where(distance <= radius, half, -1).astype(np.int64)
