"""Size-invariant metrics: every object of a mask has the same weight, however small.

A mask's objects are its 4-connected parts of at least 50 pixels (where none is that large, all of the largest size).  Each
is judged within its bounding box.  Conventions of PySODMetrics 1.6.2.

References
----------
Li, Xu, Bao, Yang, Cong, Cao and Huang, "Size-invariance matters: rethinking metrics and losses for imbalanced
multi-object salient object detection", ICML 2024.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_MIN_OBJECT_PIXELS = 50

Box = tuple[slice, slice]


def object_boxes(foreground: NDArray[np.bool_]) -> list[Box]:
    """The bounding boxes of a mask's objects.

    Parameters
    ----------
    foreground : bool [h, w]

    Returns
    -------
    list of (slice, slice)
        Rows and columns; empty for an empty mask.
    """
    labels, _ = ndimage.label(foreground)
    # label 0 is the background
    areas = np.bincount(labels.ravel())[1:]
    least = min(_MIN_OBJECT_PIXELS, areas.max(initial=0))
    boxes = ndimage.find_objects(labels)
    return [(y, x) for (y, x), area in zip(boxes, areas.tolist(), strict=True) if area >= least]


def size_invariant_mae(values: NDArray[np.floating], foreground: NDArray[np.bool_]) -> float:
    """Mean absolute error with the same share for each object's box, and the rest by its area.

    With A the pixels outside all boxes and N all pixels, the background's share is A / (N - A) times that of a box.

    Parameters
    ----------
    values : float [h, w], in [0, 1]
    foreground : bool [h, w]

    Returns
    -------
    float
        The plain MAE for an empty mask; NaN, as in PySODMetrics, where the boxes cover the image.
    """
    error = np.abs(values - foreground)
    boxes = object_boxes(foreground)
    if not boxes:
        return float(error.mean())
    outside = np.ones(foreground.shape, bool)
    for box in boxes:
        outside[box] = False
    area = np.count_nonzero(outside)
    # the share would be 0 times the mean of no pixel
    if area == 0:
        return float("nan")
    share = area / (outside.size - area)
    total = share * error[outside].mean() + sum(error[box].mean() for box in boxes)
    return float(total / (len(boxes) + share))
