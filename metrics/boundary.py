"""Boundary IoU: IoU restricted to a band along the contours, sensitive to errors that area dominates in plain IoU.

There are two metrics of this name.  Of a binarised map, as its authors define it:

The boundary region of a mask is its pixels within d pixels (in the chessboard distance) of what is not in it; beyond the
image counts as outside.  d is 2 % of the image's diagonal, rounded, at least 1, as in the authors' program.

Of a grey map, as the evaluators of InSPyReNet and BiRefNet define it: the *rim* of a map is the map minus its erosion by the same
distance, so that it is grey too, and the rim's IoU with the rim of the mask is taken at each threshold.  The curves are averaged
over images, and maximum and mean of that curve are the metrics ("max BIoU", "mean BIoU").  Maps are min-max stretched first.

InSPyReNet's evaluator also prints a TIoU: the mask's rim is thin, and the map is set to 0 beyond it, so that only what the map has
on the rim counts.

References
----------
Cheng, Girshick, Dollar, Berg and Kirillov, "Boundary IoU: improving object-centric image segmentation evaluation", CVPR
2021.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.arrays import Floats
from sodbench.metrics.compiled import compiled

if TYPE_CHECKING:
    from sodbench.metrics.pixel_metrics import PixelPair

# The boundary's width follows the image's diagonal, so that images of all sizes are treated alike
_SHARE_OF_DIAGONAL = 0.02
# Of InSPyReNet's TIoU
_THIN_SHARE_OF_DIAGONAL = 0.001


def boundary_iou(binary: NDArray[np.bool_], foreground: NDArray[np.bool_]) -> float:
    """Boundary IoU of a binarised map and a mask.

    Parameters
    ----------
    binary, foreground : bool [h, w]
        The map and the mask, of one shape.

    Returns
    -------
    float
        0 when both boundary regions are empty.

    Raises
    ------
    ValueError
        For shapes that differ.
    """
    if binary.shape != foreground.shape:
        raise ValueError(
            f"the map is {binary.shape} and the mask {foreground.shape}; they must have one shape"
        )
    regions = boundary_region(binary), boundary_region(foreground)
    union = np.count_nonzero(regions[0] | regions[1])
    return float(np.count_nonzero(regions[0] & regions[1]) / union) if union else 0.0


def adaptive_boundary_iou(values: NDArray[np.float64], foreground: NDArray[np.bool_]) -> float:
    """Boundary IoU of a map binarised at the adaptive threshold, twice its mean but at most 1.

    Parameters
    ----------
    values : float64 [h, w], in [0, 1]
    foreground : bool [h, w]

    Returns
    -------
    float
    """
    return boundary_iou(values >= min(2 * values.mean(), 1), foreground)


def boundary_iou_of_pair(pair: "PixelPair") -> float:
    """Boundary IoU of the map as stored above 128, see `boundary_iou`.

    Parameters
    ----------
    pair : PixelPair

    Returns
    -------
    float
    """
    return boundary_iou(pair.map_ > 128, pair.foreground)


def soft_boundary_iou_of_pair(pair: "PixelPair") -> Floats:
    """IoU of the rims of the prepared map and the mask, see `soft_boundary_iou`.

    Parameters
    ----------
    pair : PixelPair

    Returns
    -------
    float64 [256]
    """
    return soft_boundary_iou(pair.levels, pair.of_mask(mask_rim))


def thin_boundary_iou_of_pair(pair: "PixelPair") -> Floats:
    """IoU of the prepared map with the mask's thin rim, on that rim; the map is 0 elsewhere.

    The rim is as wide as 0.1 % of the image's diagonal.  Beyond the rim nothing is selected, except for everything at the
    threshold 0.

    Parameters
    ----------
    pair : PixelPair

    Returns
    -------
    float64 [256]
        At the thresholds 0 to 255.
    """
    rim = pair.of_mask(thin_mask_rim)
    on_rim = np.bincount(pair.levels[rim.inside > 0], minlength=256)
    selected = on_rim[::-1].cumsum()[::-1]
    spurious = np.zeros(256)
    spurious[0] = rim.inside.size - rim.area
    return np.asarray(selected / (max(rim.area, 1) + spurious), np.float64)


def boundary_region(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of a mask that are near its boundary.

    Parameters
    ----------
    mask : bool [h, w]

    Returns
    -------
    bool [h, w]
    """
    # needed here only, and slow to import
    from scipy import ndimage

    width = boundary_width(mask.shape)
    depth = ndimage.distance_transform_cdt(np.pad(mask, 1), metric="chessboard")[1:-1, 1:-1]
    region: NDArray[np.bool_] = mask & (depth <= width)
    return region


class MaskRim(NamedTuple):
    """The rim of a mask.

    Attributes
    ----------
    inside : uint8 [h, w]
        1 on the rim.
    area : int
        Its pixels.
    """

    inside: NDArray[np.uint8]
    area: int


def mask_rim(foreground: NDArray[np.bool_]) -> MaskRim:
    """Find the rim of a mask.

    Parameters
    ----------
    foreground : bool [h, w]

    Returns
    -------
    MaskRim
    """
    return _rim_of(foreground, _SHARE_OF_DIAGONAL)


def thin_mask_rim(foreground: NDArray[np.bool_]) -> MaskRim:
    """Find the thin rim of a mask, 0.1 % of the diagonal wide.

    Parameters
    ----------
    foreground : bool [h, w]

    Returns
    -------
    MaskRim
    """
    return _rim_of(foreground, _THIN_SHARE_OF_DIAGONAL)


def _rim_of(foreground: NDArray[np.bool_], share: float) -> MaskRim:
    inside = np.ascontiguousarray(foreground).view(np.uint8)
    rim = inside - _erode(inside, boundary_width(inside.shape, share))
    return MaskRim(rim, int(np.count_nonzero(rim)))


def soft_boundary_iou(levels: NDArray[np.uint8], rim: MaskRim) -> Floats:
    """IoU of the rims of a grey map and a mask.

    Parameters
    ----------
    levels : uint8 [h, w]
        The min-max map times 255, truncated.
    rim : MaskRim
        Of a mask of the same size.

    Returns
    -------
    float64 [256]
        At the thresholds 0 to 255.
    """
    levels = np.ascontiguousarray(levels)
    eroded = _erode(levels, boundary_width(levels.shape))
    outside, inside = _count_rim(levels, eroded, rim.inside)
    selected = inside[::-1].cumsum()[::-1]
    spurious = outside[::-1].cumsum()[::-1]
    return np.asarray(selected / (max(rim.area, 1) + spurious), np.float64)


def boundary_width(shape: tuple[int, ...], share: float = _SHARE_OF_DIAGONAL) -> int:
    """The width of boundary regions and rims.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the image.
    share : float
        Of its diagonal.

    Returns
    -------
    int
        In pixels, at least 1.
    """
    return max(1, round(share * math.hypot(*shape)))


@compiled()
def _erode(image, width):  # type: ignore[no-untyped-def]
    """The smallest value within so many rows and columns, 0 near the border; uint8 [h, w]."""
    height, across = image.shape
    side = 2 * width + 1
    eroded = np.zeros((height, across), np.uint8)
    if height < side or across < side:
        return eroded
    # The smallest of a window of 2^k pixels is that of two windows of half the size: first of the rows below each pixel, then
    # of the pixels to its right.  The rows stay one after the other, because long loops are the fast ones, and two images
    # change places, because a loop that writes where it reads is not vectorised.
    least = image.reshape(-1).copy()
    other = np.empty_like(least)
    number = len(least)
    for stride in (across, 1):
        done = 1
        while done < side:
            step = min(done, side - done)
            number -= step * stride
            _take_smaller(least[:number], least[step * stride :], other[:number])
            least, other = other, least
            done += step
    for y in range(height - side + 1):
        start = y * across
        eroded[y + width, width : across - width] = least[start : start + across - side + 1]
    return eroded


@compiled()
def _take_smaller(one, another, smaller):  # type: ignore[no-untyped-def]
    for x in range(len(smaller)):
        smaller[x] = min(one[x], another[x])


@compiled()
def _count_rim(levels, eroded, inside):  # type: ignore[no-untyped-def]
    """The pixels of each grey level of a map's rim, outside and inside of the mask's; int64 [2, 256]."""
    counted = np.zeros((2, 256), np.int64)
    height, width = levels.shape
    for y in range(height):
        for x in range(width):
            level = np.uint8(levels[y, x] - eroded[y, x])
            # most of a map has no rim
            if level or inside[y, x]:
                counted[inside[y, x], level] += 1
    counted[0, 0] = levels.size - counted.sum()
    return counted
