"""Size-invariant measures: every object of a mask counts the same, however small.

Li, Xu, Bao, Yang, Cong, Cao and Huang, "Size-invariance matters: rethinking metrics and losses for imbalanced
multi-object salient object detection", ICML 2024.  A mask's objects are its 4-connected parts of at least 50 pixels
(where there is none, all of the largest size), and each is judged within its bounding box.  Conventions of
PySODMetrics 1.6.2.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SMALLEST_OBJECT = 50  # pixels

Box = tuple[slice, slice]


def object_boxes(foreground: NDArray[np.bool_]) -> list[Box]:
    """The bounding boxes (rows, columns) of the objects of a mask, bool [h, w]; none for an empty mask."""
    labels, _ = ndimage.label(foreground)
    areas = np.bincount(labels.ravel())[1:]
    least = min(SMALLEST_OBJECT, areas.max(initial=0))
    boxes = ndimage.find_objects(labels)
    return [(y, x) for (y, x), area in zip(boxes, areas.tolist(), strict=True) if area >= least]


def size_invariant_mae(p: NDArray[np.floating], foreground: NDArray[np.bool_]) -> float:
    """Mean absolute error with one share for each object's box and the rest by its area.

    With A the pixels outside of all boxes and N all pixels, the background's share is A / (N - A) times that of a box.

    Args:
        p: float [h, w], the prepared map.
        foreground: bool [h, w].

    Returns:
        The error; the plain one for an empty mask, and NaN, as in PySODMetrics, where the boxes cover the picture.
    """
    error = np.abs(p - foreground)
    boxes = object_boxes(foreground)
    if not boxes:
        return float(error.mean())
    outside = np.ones(foreground.shape, bool)
    for box in boxes:
        outside[box] = False
    area = np.count_nonzero(outside)
    if area == 0:
        return float("nan")
    share = area / (outside.size - area)
    total = share * error[outside].mean() + sum(error[box].mean() for box in boxes)
    return float(total / (len(boxes) + share))
