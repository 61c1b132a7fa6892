"""Multi-scale IoU with PySODMetrics' interface."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.multiscale_iou import (
    N_LEVELS,
    cell_exponents,
    multiscale_iou,
    outline,
    to_grids,
)
from sodbench.metrics.pysodmetrics.stepping import SteppedMetric
from sodbench.metrics.pysodmetrics_input import PreparedPair

__all__ = ["MSIoU"]


class MSIoU(SteppedMetric):
    """Multi-scale IoU (multiscale_iou.py), at 257 thresholds 0..256 ascending, at the adaptive threshold, and above 0.5.

    PySODMetrics sums in half precision: from 2048 outline pixels on its values differ from these by up to 2e-4.

    Parameters
    ----------
    with_dynamic, with_adaptive, with_binary : bool
        Which of the three to compute.
    num_levels : int
        How many sizes of cells, from 1 to 512 pixels.
    """

    def __init__(
        self,
        with_dynamic: bool,
        with_adaptive: bool,
        *,
        with_binary: bool = False,
        num_levels: int = N_LEVELS,
    ):
        if num_levels < 2:
            raise ValueError(f"num_levels is {num_levels}; the area under a curve needs 2 or more")
        self.cell_sizes = 2 ** np.array(cell_exponents(num_levels))
        self.dynamic_results: list[list[float]] | None = [] if with_dynamic else None
        self.adaptive_results: list[float] | None = [] if with_adaptive else None
        self.binary_results: list[float] | None = [] if with_binary else None

    def _add(self, pair: PreparedPair) -> None:
        p, cells = pair.values, to_grids(outline(pair.foreground), len(self.cell_sizes))
        if self.dynamic_results is not None:
            level = np.trunc(p * 255).astype(np.uint8)
            # the value changes only at levels that the map contains
            present = np.unique(level)
            values = [multiscale_iou(level >= t, cells) for t in present]
            values.append(multiscale_iou(np.zeros(level.shape, bool), cells))
            self.dynamic_results.append([values[i] for i in np.searchsorted(present, range(257))])
        if self.adaptive_results is not None:
            self.adaptive_results.append(multiscale_iou(p >= min(2 * p.mean(), 1), cells))
        if self.binary_results is not None:
            self.binary_results.append(multiscale_iou(p > 0.5, cells))

    def get_edge(self, mask: NDArray[Any]) -> NDArray[np.float64]:
        """1 on the outline of a bool mask, else 0; float64 [h, w]."""
        return outline(np.asarray(mask, bool)).astype(np.float64)

    def shrink_by_grid(self, image: NDArray[Any], cell_size: int) -> NDArray[Any]:
        """1 for each cell of a grid, aligned to the lower right, that contains a pixel above 0; of the image's type."""
        if cell_size <= 0:
            raise ValueError(f"cell_size is {cell_size}; it must be positive")
        height, width = (-(-side // cell_size) for side in image.shape)
        missing = [(-side % cell_size, 0) for side in image.shape]
        cells = np.pad(np.asarray(image), missing).reshape(height, cell_size, width, cell_size)
        return (cells > 0).any(axis=(1, 3)).astype(image.dtype)

    def multi_scale_iou(
        self, pred_edge: NDArray[Any], gt_edge: NDArray[Any], gt_shrunk_cache: Any = None
    ) -> list[float]:
        """The ratio of met cells at each cell size, of two outlines (or of the second one's grids)."""
        ratios: list[float] = []
        for i, size in enumerate(self.cell_sizes.tolist()):
            of_map = self.shrink_by_grid(pred_edge, size) > 0
            cached = gt_shrunk_cache is not None
            of_mask = (gt_shrunk_cache[i] if cached else self.shrink_by_grid(gt_edge, size)) > 0
            met = np.count_nonzero(of_map & of_mask) + 1
            ratios.append(met / (np.count_nonzero(of_mask) + 1))
        return ratios

    def binarizing(
        self, pred_bin: NDArray[Any], gt_edge: NDArray[Any], gt_shrunk_cache: Any = None
    ) -> float:
        """Multi-scale IoU of a binarised map and the outline of a mask."""
        grids = gt_shrunk_cache
        if grids is None:
            grids = [self.shrink_by_grid(gt_edge, size) for size in self.cell_sizes.tolist()]
        return multiscale_iou(np.asarray(pred_bin, bool), [cells > 0 for cells in grids])

    def _results(self) -> dict[str, Any]:
        modes = {
            "dynamic": self.dynamic_results,
            "adaptive": self.adaptive_results,
            "binary": self.binary_results,
        }
        return {mode: np.mean(each, axis=0) for mode, each in modes.items() if each is not None}
