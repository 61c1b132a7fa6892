"""Multi-scale IoU: how much of a mask's outline a map's outline meets, on grids from fine to coarse.

Outlines are where a Sobel filter responds; everything beyond the border is 0.  At cell sizes 1, 2, 4 ... 512 (cells
aligned to the lower right corner) the ratio is (cells that both outlines touch + 1) / (cells that the mask's touches + 1).
The metric is the trapezoid mean of the ten ratios, as in PySODMetrics 1.6.2.

PySODMetrics sums the denominators in half precision, so from 2048 outline pixels on its values are off by up to 2e-4
and depend on the version of numpy; here they are exact.

References
----------
Ahmadzadeh, Kempton, Chen and Angryk, "Multiscale IoU: a metric for evaluation of salient object detection with fine
structures", ICIP 2021.
"""

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.arrays import Floats

N_LEVELS = 10

# renamed in numpy 2
_trapezoid = np.trapezoid if hasattr(np, "trapezoid") else np.trapz  # type: ignore[attr-defined]


def cell_exponents(number: int = N_LEVELS) -> list[int]:
    """The cells' sides, as powers of 2.

    Parameters
    ----------
    number : int
        How many, from 0 to 9.

    Returns
    -------
    list of int
        Whole parts of evenly spaced numbers, so some may be there twice or missing.
    """
    exponents: list[int] = np.linspace(0, 9, number, dtype=int).tolist()
    return exponents


def multiscale_iou(binary: NDArray[np.bool_], outline_cells: list[NDArray[np.bool_]]) -> float:
    """Multi-scale IoU of a binarised map with a mask's outline.

    Parameters
    ----------
    binary : bool [h, w]
    outline_cells : list of bool arrays
        The mask's outline on two grids or more, from `to_grids` of `outline`.

    Returns
    -------
    float
    """
    ratios = _grid_ratios(binary, outline_cells)
    return float(_trapezoid(ratios, dx=1 / (len(ratios) - 1)))


def _grid_ratios(binary: NDArray[np.bool_], outline_cells: list[NDArray[np.bool_]]) -> list[float]:
    """On each grid, (cells that both outlines touch + 1) / (cells that the mask's touches + 1)."""
    grids = to_grids(outline(binary), len(outline_cells))
    return [
        (np.count_nonzero(cells & mask_cells) + 1) / (np.count_nonzero(mask_cells) + 1)
        for cells, mask_cells in zip(grids, outline_cells, strict=True)
    ]


def adaptive_grid_ratios(values: NDArray[np.float64], foreground: NDArray[np.bool_]) -> Floats:
    """The ratios on all ten grids, of a map binarised at the adaptive threshold, twice its mean but at most 1.

    Parameters
    ----------
    values : float64 [h, w], in [0, 1]
    foreground : bool [h, w]

    Returns
    -------
    float64 [10]
        See `mean_over_grids`.
    """
    binary = values >= min(2 * values.mean(), 1)
    return np.array(_grid_ratios(binary, to_grids(outline(foreground))))


def mean_over_grids(ratios: Floats, number: int = N_LEVELS) -> Floats:
    """Multi-scale IoU from the ratios on all ten grids.

    Parameters
    ----------
    ratios : float64 [n, 10]
        From fine to coarse.
    number : int
        How many grids count, at least 2, see `cell_exponents`.

    Returns
    -------
    float64 [n]
    """
    wanted_ratios = ratios[:, cell_exponents(number)]
    return np.asarray(_trapezoid(wanted_ratios, dx=1 / (number - 1), axis=-1), np.float64)


def outline(binary: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a Sobel filter of a binary image is not 0.

    Parameters
    ----------
    binary : bool [h, w]

    Returns
    -------
    bool [h, w]
    """
    v = np.pad(binary.astype(np.int8), 1)
    across, down = v[:, 2:] - v[:, :-2], v[2:] - v[:-2]
    # the filter's second pass takes the first pass's response beyond the border as 0, and so does the padding
    horizontal = across[:-2] + 2 * across[1:-1] + across[2:]
    vertical = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
    edges: NDArray[np.bool_] = (horizontal != 0) | (vertical != 0)
    return edges


def to_grids(edges: NDArray[np.bool_], number: int = N_LEVELS) -> list[NDArray[np.bool_]]:
    """Which cells contain an edge.

    Parameters
    ----------
    edges : bool [h, w]
        From `outline`.
    number : int
        How many grids, with cells from 1 to 512 pixels wide.

    Returns
    -------
    list of bool arrays
        From fine to coarse.
    """
    cells = [edges]
    for _ in range(N_LEVELS - 1):
        fine = cells[-1]
        fine = np.pad(fine, [(n % 2, 0) for n in fine.shape])
        cells.append(fine[::2, ::2] | fine[1::2, ::2] | fine[::2, 1::2] | fine[1::2, 1::2])
    return [cells[exponent] for exponent in cell_exponents(number)]
