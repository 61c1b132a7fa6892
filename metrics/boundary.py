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
from sodbench.metrics.bit_planes import Plane, count_bits, erode_square, pack_bits, unpack_bits
from sodbench.metrics.compiled import compiled

if TYPE_CHECKING:
    from sodbench.metrics.pixel_metrics import PixelPair

# The boundary's width follows the image's diagonal, so that images of all sizes are treated alike
_SHARE_OF_DIAGONAL = 0.02
# Of InSPyReNet's TIoU
_THIN_SHARE_OF_DIAGONAL = 0.001

# A byte each
_PIXELS_PER_WORD = 8
_PIXELS_PER_VECTOR = 64


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
    regions = _boundary_plane(binary), _boundary_plane(foreground)
    union = count_bits(regions[0] | regions[1])
    return float(count_bits(regions[0] & regions[1]) / union) if union else 0.0


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
    return soft_boundary_iou(pair.map_, pair.level_of, pair.of_mask(mask_rim))


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
    on_rim = np.bincount(pair.level_of[pair.map_[rim.inside > 0]], minlength=256)
    selected = on_rim[::-1].cumsum()[::-1]
    spurious = np.zeros(256)
    spurious[0] = rim.inside.size - rim.area
    return np.asarray(selected / (max(rim.area, 1) + spurious), np.float64)


def _boundary_plane(mask: NDArray[np.bool_], share: float = _SHARE_OF_DIAGONAL) -> Plane:
    """The boundary region of a mask; uint64 [h, n]."""
    plane = pack_bits(mask)
    return plane & ~erode_square(plane, boundary_width(mask.shape, share))


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
    rim = _boundary_plane(foreground, share)
    return MaskRim(unpack_bits(rim, foreground.shape[1]), count_bits(rim))


def soft_boundary_iou(map_: NDArray[np.uint8], level_of: NDArray[np.uint8], rim: MaskRim) -> Floats:
    """IoU of the rims of a grey map and a mask.

    Parameters
    ----------
    map_ : uint8 [h, w]
        The map as stored.
    level_of : uint8 [256]
        For each grey level the min-max map times 255, truncated: ascending, from 0.
    rim : MaskRim
        Of a mask of the same size.

    Returns
    -------
    float64 [256]
        At the thresholds 0 to 255.
    """
    width = boundary_width(map_.shape)
    # levels ascend, so that the smallest of them is that of the smallest pixel
    outside, inside = _count_rim(np.ascontiguousarray(map_), level_of, rim.inside, width)
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
def _count_rim(map_, level_of, inside, reach):  # type: ignore[no-untyped-def]
    """The pixels of each level of a map's rim, outside and inside of the mask's; int64 [2, 256]."""
    # A window's smallest value is that of its rows' smallest.  Rows are taken in blocks as high as the window, so that a window
    # is the end of one block and the beginning of the next: for the former the smallest values from each row on are kept, for
    # the latter the smallest so far.  The image is read once, and everything else stays in the processor's memory.
    height, width = map_.shape
    side = 2 * reach + 1
    counted = np.zeros((2, 256), np.int64)
    differs = np.zeros(-(-width // _PIXELS_PER_WORD) * _PIXELS_PER_WORD, np.uint8)
    border = np.zeros(width, np.uint8)
    if height < side or width < side:
        for y in range(height):
            _count_row(map_[y], border, level_of, inside[y], differs, counted)
        counted[0, 0] += map_.size - counted.sum()
        return counted
    for y in range(reach):
        _count_row(map_[y], border, level_of, inside[y], differs, counted)
        below = height - 1 - y
        _count_row(map_[below], border, level_of, inside[below], differs, counted)
    # long enough for whole vectors, and for a window from each of their places
    row = np.zeros((2, width + _PIXELS_PER_VECTOR + side), np.uint8)
    whole = -(-width // _PIXELS_PER_VECTOR) * _PIXELS_PER_VECTOR
    from_here = np.empty((side + 1, whole), np.uint8)
    from_here[:] = 255
    so_far = np.empty(whole, np.uint8)
    eroded = np.zeros(width, np.uint8)
    for top in range(0, height, side):
        so_far[:] = 255
        rows = min(side, height - top)
        for i in range(rows):
            smallest = _smallest_of_row(map_[top + i], side, row, whole)
            _lower(so_far, smallest)
            y = top + i - reach
            if y >= reach:
                _take_smaller(so_far, from_here[i + 1], from_here[i])
                eroded[reach : width - reach] = from_here[i, : width - 2 * reach]
                _count_row(map_[y], eroded, level_of, inside[y], differs, counted)
            from_here[i] = smallest
        for i in range(rows - 2, -1, -1):
            _lower(from_here[i], from_here[i + 1])
    # most of a map has no rim, which is not counted
    counted[0, 0] += map_.size - counted.sum()
    return counted


@compiled()
def _smallest_of_row(pixels, side, row, whole):  # type: ignore[no-untyped-def]
    """The smallest of so many pixels from each on."""
    # A window of 2^k pixels is two windows of half the size.  Two rows change places, because a loop that writes where it
    # reads is not vectorised.
    row[0, : len(pixels)] = pixels
    now, done = 0, 1
    while done < side:
        step = min(done, side - done)
        one, other = row[now, :whole], row[now, step : whole + step]
        _take_smaller(one, other, row[1 - now, :whole])
        now = 1 - now
        done += step
    return row[now, :whole]


@compiled()
def _take_smaller(one, another, smaller):  # type: ignore[no-untyped-def]
    for x in range(len(smaller)):
        smaller[x] = min(one[x], another[x])


@compiled()
def _lower(smaller, other):  # type: ignore[no-untyped-def]
    for x in range(len(smaller)):
        smaller[x] = min(smaller[x], other[x])


@compiled()
def _count_row(pixels, eroded, level_of, inside, differs, counted):  # type: ignore[no-untyped-def]
    """Count the pixels of one row that are in the map's rim or in the mask's."""
    for x in range(len(pixels)):
        differs[x] = (pixels[x] ^ eroded[x]) | inside[x]
    words = differs.view(np.uint64)
    for word in range(len(words)):
        if words[word]:
            for x in range(
                _PIXELS_PER_WORD * word,
                min(_PIXELS_PER_WORD * word + _PIXELS_PER_WORD, len(pixels)),
            ):
                level = np.uint8(level_of[pixels[x]] - level_of[eroded[x]])
                counted[inside[x], level] += 1
