"""Boundary IoU: IoU restricted to a band along the contours, sensitive to errors that area dominates in plain IoU.

The boundary region of a mask is its pixels within d pixels (in the chessboard distance) of what is not in it; beyond the
image counts as outside.  d is 2 % of the image's diagonal, rounded, at least 1, as in the authors' program.

References
----------
Cheng, Girshick, Dollar, Berg and Kirillov, "Boundary IoU: improving object-centric image segmentation evaluation", CVPR
2021.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# The boundary's width follows the image's diagonal, so that images of all sizes are treated alike
_SHARE_OF_DIAGONAL = 0.02


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


def boundary_region(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of a mask that are near its boundary.

    Parameters
    ----------
    mask : bool [h, w]

    Returns
    -------
    bool [h, w]
    """
    width = max(1, round(_SHARE_OF_DIAGONAL * math.hypot(*mask.shape)))
    depth = ndimage.distance_transform_cdt(np.pad(mask, 1), metric="chessboard")[1:-1, 1:-1]
    region: NDArray[np.bool_] = mask & (depth <= width)
    return region
