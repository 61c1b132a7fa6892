"""Multi-scale IoU: how much of a mask's outline a map's outline meets, on grids from fine to coarse.

Ahmadzadeh, Kempton, Chen and Angryk, "Multiscale IoU: a metric for evaluation of salient object detection with fine
structures", ICIP 2021, as PySODMetrics 1.6.2 computes it: outlines are where a Sobel filter answers, beyond the border
everything is 0; at cell sizes 1, 2, 4 ... 512 (cells aligned to the lower right corner) the ratio is (cells that both
outlines touch + 1) / (cells that the mask's touches + 1); the measure is the trapezoid mean of the ten ratios.

PySODMetrics sums the denominators in half precision, so from 2048 outline pixels on its values are off by up to 2e-4
and depend on the version of numpy; here they are exact.
"""

import numpy as np
from numpy.typing import NDArray

LEVELS = 10


def multiscale_iou(binary: NDArray[np.bool_], outline_cells: list[NDArray[np.bool_]]) -> float:
    """Multi-scale IoU of a binarised map, bool [h, w], with a mask's outline on ten grids (:func:`grids`)."""
    ratios = [
        (np.count_nonzero(cells & mask_cells) + 1) / (np.count_nonzero(mask_cells) + 1)
        for cells, mask_cells in zip(grids(outline(binary)), outline_cells, strict=True)
    ]
    return float(np.trapezoid(ratios, dx=1 / (LEVELS - 1)))


def outline(binary: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a Sobel filter of a binary picture, bool [h, w], is not 0."""
    v = np.pad(binary.astype(np.int8), 1)
    across, down = v[:, 2:] - v[:, :-2], v[2:] - v[:-2]
    horizontal = across[:-2] + 2 * across[1:-1] + across[2:]
    vertical = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
    # the filter's second pass takes the first pass's answers beyond the border as 0, and so does the padding
    edges: NDArray[np.bool_] = (horizontal != 0) | (vertical != 0)
    return edges


def grids(edges: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Which cells of 1, 2, 4 ... 512 pixels hold an edge, bool, ten arrays."""
    cells = [edges]
    for _ in range(LEVELS - 1):
        fine = cells[-1]
        fine = np.pad(fine, [(n % 2, 0) for n in fine.shape])
        cells.append(fine[::2, ::2] | fine[1::2, ::2] | fine[::2, 1::2] | fine[1::2, 1::2])
    return cells
