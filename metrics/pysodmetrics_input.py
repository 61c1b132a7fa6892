"""What PySODMetrics accepts as a pair, checked and prepared for the kernels.

uint8 pairs are counted (counts.py), which is where the speed comes from.  Other input takes a slower way that sorts the
map's values.  A float32 map is compared and quantised in float32, as in PySODMetrics, but summed in float64.
"""

import threading
import warnings
import weakref
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.confusion import (
    Confusion,
    PreparedCounts,
    at_adaptive_threshold,
    prepare_counts,
)
from sodbench.metrics.counts import count_pair
from sodbench.metrics.masks import PreparedMask
from sodbench.metrics.protocols import STANDARD_RULE
from sodbench.metrics.schemes import COUNTS_ONLY
from sodbench.metrics.weighted_f import weighted_f, weighted_precision_recall


@dataclass(frozen=True)
class PreparedPair:
    """One map and mask, as the distinct values of the map and how many pixels have them.

    Attributes
    ----------
    map_ : uint8 or float [h, w]
        The map as given; the prepared map is ``slope * map_ + offset``.
    slope, offset : float
    mask : PreparedMask
    levels : float [L]
        The possible values of the prepared map.
    prepared : PreparedCounts
        The counts over those levels, for N = 1.
    adaptive : Confusion
        At the adaptive threshold, [1, 1].
    """

    map_: NDArray[Any]
    slope: float
    offset: float
    mask: PreparedMask
    levels: NDArray[Any]
    prepared: PreparedCounts
    adaptive: Confusion

    @cached_property
    def dynamic(self) -> Confusion:
        """The confusion at the thresholds 255, 254, ... 0, [1, 256]."""
        # levels that the map does not contain may be outside [0, 1]: their counts are 0
        bins = np.clip(np.trunc(self.levels * 255), 0, 255).astype(np.intp)
        fp, tp = (
            np.bincount(bins, pixels, minlength=256)[::-1].cumsum()[None]
            for pixels in self.prepared.per_class[0]
        )
        return Confusion(tp, fp, self.prepared.positives, self.prepared.negatives)

    @cached_property
    def binary(self) -> Confusion:
        """The confusion of the map above 0.5, [1, 1]."""
        return _select_levels(self.prepared, self.levels > 0.5)

    @cached_property
    def values(self) -> NDArray[Any]:
        """The prepared map [h, w]."""
        return self.levels[self.map_] if self.map_.dtype == np.uint8 else self.map_

    @cached_property
    def foreground(self) -> NDArray[np.bool_]:
        """The mask's foreground [h, w]."""
        above: NDArray[np.bool_] = self.mask.pixels > STANDARD_RULE.foreground_above
        return above

    def weighted_f(self, beta_squared: float) -> float:
        """Weighted F of the prepared map.

        Parameters
        ----------
        beta_squared : float
            The weight of precision.

        Returns
        -------
        float
        """
        map_ = self.map_ if self.map_.dtype == np.uint8 else self.map_.astype(np.float64)
        geometry = self.mask.geometry(STANDARD_RULE.foreground_above)
        preparation = np.array([[self.slope, self.offset]])
        precision, recall = weighted_precision_recall(map_, geometry, preparation).T
        return float(weighted_f(precision, recall, beta_squared)[0])

    def within(self, box: tuple[slice, slice]) -> "PreparedPair":
        """The pair with everything outside a box background and 0.

        Parameters
        ----------
        box : (slice, slice)

        Returns
        -------
        PreparedPair
        """
        values, foreground = np.zeros_like(self.values), np.zeros_like(self.foreground)
        values[box], foreground[box] = self.values[box], self.foreground[box]
        return _prepare_floats(values, foreground)


@dataclass(frozen=True, eq=False)
class LastPair:
    """The pair that was prepared last, with a copy of what it was prepared from.

    Scripts step several metrics with one pair, which is prepared once for all of them.  The metrics hold it; this module
    only refers to it, so that its arrays are freed with the metrics.

    Attributes
    ----------
    pred, gt : array [h, w]
        Copies of the arguments.
    normalize : bool
    pair : PreparedPair
    """

    pred: NDArray[Any]
    gt: NDArray[Any]
    normalize: bool
    pair: PreparedPair

    def _matches(self, pred: NDArray[Any], gt: NDArray[Any], normalize: bool) -> bool:
        return normalize == self.normalize and all(
            new.dtype == old.dtype and np.array_equal(new, old)
            for new, old in ((pred, self.pred), (gt, self.gt))
        )


# .reference: a weak reference to this thread's LastPair
_last = threading.local()


def prepare_pair(pred: NDArray[Any], gt: NDArray[Any], normalize: bool = True) -> LastPair:
    """Check and prepare a pair as PySODMetrics does.

    Parameters
    ----------
    pred : array [h, w]
        With ``normalize`` any numbers, which are divided by 255 and stretched to [0, 1] unless they are constant;
        without it float32 or float64 in [0, 1].
    gt : array [h, w]
        With ``normalize`` foreground is above 128; without it the mask is bool.
    normalize : bool
        Which of the two.

    Returns
    -------
    LastPair
        The same object while the arguments' contents do not change and someone holds it.

    Raises
    ------
    ValueError
        For shapes that differ or are not [h, w], no pixels, NaN, or values outside [0, 1].
    TypeError
        Without ``normalize``, for other types.
    """
    pred, gt = np.asarray(pred), np.asarray(gt)
    reference = getattr(_last, "reference", None)
    last: LastPair | None = reference() if reference else None
    if last is None or not last._matches(pred, gt, normalize):
        # the caller may write into the originals
        pred, gt = pred.copy(), gt.copy()
        last = LastPair(pred, gt, normalize, _prepare(pred, gt, normalize))
        _last.reference = weakref.ref(last)
    return last


def _prepare(pred: NDArray[Any], gt: NDArray[Any], normalize: bool) -> PreparedPair:
    if pred.shape != gt.shape:
        raise ValueError(
            f"the prediction is {pred.shape} and the mask {gt.shape}; resize one of them"
        )
    if pred.ndim != 2 or pred.size == 0:
        raise ValueError(f"a prediction is an array [h, w] with pixels; this one is {pred.shape}")
    if normalize:
        if pred.dtype == np.uint8 and gt.dtype == np.uint8:
            # the common case: counted by grey level, and the only one that the kernels serve
            return _prepare_bytes(pred, gt)
        if gt.dtype == np.bool_ and gt.any():
            warnings.warn(
                "no value of a bool mask is above 128, so all of it is background with normalize=True; "
                "pass mask * 255 as uint8, or normalize=False",
                stacklevel=4,
            )
        p = pred / 255
        low, high = p.min(), p.max()
        return _prepare_floats((p - low) / (high - low) if high != low else p, gt > 128)
    if pred.dtype not in (np.float32, np.float64):
        raise TypeError(f"without normalize, a prediction is float32 or float64, not {pred.dtype}")
    if gt.dtype != np.bool_:
        raise TypeError(f"without normalize, a mask is bool, not {gt.dtype}")
    if not (pred.min() >= 0 and pred.max() <= 1):
        raise ValueError("without normalize, the values of a prediction are in [0, 1]")
    return _prepare_floats(pred, gt)


def _prepare_bytes(pred: NDArray[np.uint8], gt: NDArray[np.uint8]) -> PreparedPair:
    """A pair that is counted by grey levels, with the map min-max stretched."""
    mask = PreparedMask(gt, COUNTS_ONLY)
    prepared = prepare_counts(count_pair(pred, mask).counts, STANDARD_RULE, "min-max")
    low, high = int(prepared.low[0]), int(prepared.high[0])
    return PreparedPair(
        map_=pred,
        slope=1 / (high - low),
        offset=-low / (high - low),
        mask=mask,
        levels=prepared.value[0],
        prepared=prepared,
        adaptive=at_adaptive_threshold(prepared),
    )


def _prepare_floats(p: NDArray[Any], foreground: NDArray[np.bool_]) -> PreparedPair:
    """A pair that is counted by the map's distinct values."""
    if not np.isfinite(p).all():
        raise ValueError("the prediction has values that are NaN or infinite")
    mask = PreparedMask(foreground * np.uint8(255), COUNTS_ONLY)
    _, row, column = mask.splits[STANDARD_RULE]
    # float maps have no grey levels: their distinct values take that place
    levels, level = np.unique(p, return_inverse=True)
    quadrant = 2 * (np.arange(p.shape[0]) >= row)[:, None] + (np.arange(p.shape[1]) >= column)
    cell = (2 * quadrant + foreground) * len(levels) + level.reshape(p.shape)
    counts = np.bincount(cell.ravel(), minlength=8 * len(levels))
    histogram = counts.reshape(1, 4, 2, -1).astype(np.uint32)
    # a constant quadrant whose numpy mean is not its value: see ties.py
    quadrants = (p[:row, :column], p[:row, column:], p[row:, :column], p[row:, column:])
    flags = sum(
        1 << q
        for q, block in enumerate(quadrants)
        if np.count_nonzero(histogram[0, q]) == 1 and block.mean() != block[0, 0]
    )
    prepared = PreparedCounts(
        histogram=histogram,
        per_class=histogram.sum(axis=1, dtype=np.float64),
        low=np.zeros(1, np.int64),
        high=np.ones(1, np.int64),
        value=levels[None].astype(np.float64),
        tie_flags=np.array([flags], np.uint8),
    )
    adaptive = _select_levels(prepared, levels >= min(2 * p.mean(), 1))
    return PreparedPair(p, 1.0, 0.0, mask, levels, prepared, adaptive)


def _select_levels(prepared: PreparedCounts, levels: NDArray[np.bool_]) -> Confusion:
    """The confusion where some levels are selected, bool [L]; [1, 1]."""
    fp, tp = prepared.per_class[0][:, levels].sum(axis=-1)[:, None, None]
    return Confusion(tp, fp, prepared.positives, prepared.negatives)
