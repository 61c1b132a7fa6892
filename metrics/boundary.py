"""Boundary IoU: intersection over union of the outer rims of two masks, which sees errors that IoU drowns in area.

Cheng, Girshick, Dollar, Berg and Kirillov, "Boundary IoU: improving object-centric image segmentation evaluation",
CVPR 2021.  A mask's rim is its pixels within d pixels (in the chessboard distance) of what is not in it, the outside of the
picture included; d is 2 % of the picture's diagonal, rounded, at least 1, as in the authors' program.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SHARE_OF_DIAGONAL = 0.02


def boundary_iou(binary: NDArray[np.bool_], foreground: NDArray[np.bool_]) -> float:
    """Boundary IoU of a binarised map and a mask, bool [h, w] of one shape; 0 when both are empty.

    Raises:
        ValueError: for shapes that differ.
    """
    if binary.shape != foreground.shape:
        raise ValueError(
            f"the map is {binary.shape} and the mask {foreground.shape}; they must have one shape"
        )
    rims = rim(binary), rim(foreground)
    union = np.count_nonzero(rims[0] | rims[1])
    return float(np.count_nonzero(rims[0] & rims[1]) / union) if union else 0.0


def rim(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The rim of a mask, bool [h, w]."""
    width = max(1, round(SHARE_OF_DIAGONAL * math.hypot(*mask.shape)))
    depth = ndimage.distance_transform_cdt(np.pad(mask, 1), metric="chessboard")[1:-1, 1:-1]
    found: NDArray[np.bool_] = mask & (depth <= width)
    return found
