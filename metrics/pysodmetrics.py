"""PySODMetrics' names over sodbench's kernels: ``import sodbench.metrics.pysodmetrics as py_sod_metrics``.

Classes, constructor arguments, ``step(pred, gt, normalize=True)``, the shapes and order of ``get_results()`` and the
numbers are those of PySODMetrics 1.6.2 (to 1e-9, but for MSIoU and the context measure, see multiscale.py and context.py;
curves run from threshold 255 down to 0, as there).  What is not offered raises NotImplementedError when it is constructed.

uint8 pairs are counted (see counts.py), which is where the speed comes from.  Other input goes a slower way that sorts
the map's values.  A float32 map is compared and quantised in float32, as there, but summed in float64: its measures
differ from PySODMetrics' by its rounding, up to 1e-6.
"""

import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics import threshold_metrics as curves
from sodbench.metrics.confusion import (
    Confusion,
    PreparedCounts,
    at_adaptive_threshold,
    prepare_counts,
)
from sodbench.metrics.context_measure import context_measure
from sodbench.metrics.counts import count_pair
from sodbench.metrics.masks import PreparedMask
from sodbench.metrics.multiscale_iou import grids, multiscale_iou, outline
from sodbench.metrics.protocols import COUNTS_ONLY, STANDARD_RULE
from sodbench.metrics.s_measure import s_measure
from sodbench.metrics.size_invariant import object_boxes, size_invariant_mae
from sodbench.metrics.weighted_f import weighted_f

Floats = NDArray[np.float64]

__all__ = [
    "MAE",
    "BERHandler",
    "CamouflageContextMeasure",
    "ContextMeasure",
    "DICEHandler",
    "Emeasure",
    "FPRHandler",
    "Fmeasure",
    "FmeasureHandler",
    "FmeasureV2",
    "HumanCorrectionEffortMeasure",
    "IOUHandler",
    "KappaHandler",
    "MSIoU",
    "OverallAccuracyHandler",
    "PrecisionHandler",
    "RecallHandler",
    "SensitivityHandler",
    "SizeInvarianceFmeasureV2",
    "SizeInvarianceMAE",
    "Smeasure",
    "SpecificityHandler",
    "TNRHandler",
    "TPRHandler",
    "WeightedFmeasure",
]


@dataclass(frozen=True)
class Pair:
    """One map and mask, as the distinct values of the map and how many pixels have them.

    map_, mask: the pair; the prepared map is ``slope * map_ + offset``, and ``levels`` [L] are its possible values.
    prepared: the counts over those levels, for N = 1.
    adaptive: the confusion at the adaptive threshold, [1, 1].
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
        # levels that the map does not contain may lie outside of [0, 1]: their counts are 0
        bins = np.clip(np.trunc(self.levels * 255), 0, 255).astype(np.intp)
        fp, tp = (
            np.bincount(bins, pixels, minlength=256)[::-1].cumsum()[None]
            for pixels in self.prepared.per_class[0]
        )
        return Confusion(tp, fp, self.prepared.positives, self.prepared.negatives)

    @cached_property
    def binary(self) -> Confusion:
        """The confusion of the map above 0.5, [1, 1]."""
        return _selected(self.prepared, self.levels > 0.5)

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
        """Weighted F of the prepared map."""
        map_ = self.map_ if self.map_.dtype == np.uint8 else self.map_.astype(np.float64)
        preparation = np.array([[self.slope, self.offset]])
        return float(
            weighted_f(
                map_, self.mask.geometry(STANDARD_RULE.foreground_above), preparation, beta_squared
            )[0]
        )


@dataclass(frozen=True)
class _Seen:
    """The pair that a thread stepped last, by content."""

    pred: NDArray[Any]
    gt: NDArray[Any]
    normalize: bool
    pair: Pair

    def is_of(self, pred: NDArray[Any], gt: NDArray[Any], normalize: bool) -> bool:
        return normalize == self.normalize and all(
            new.dtype == old.dtype and np.array_equal(new, old)
            for new, old in ((pred, self.pred), (gt, self.gt))
        )


_seen = threading.local()


def pair(pred: NDArray[Any], gt: NDArray[Any], normalize: bool = True) -> Pair:
    """Check and prepare a pair as PySODMetrics does.

    With ``normalize`` the mask is foreground above 128 and the map, divided by 255, is stretched to [0, 1] unless it is
    constant.  Without, the map must be float32 or float64 in [0, 1] and the mask bool.  Both are [h, w].  Scripts step
    several metrics with one pair, so the last one is kept: it is counted once for all of them.

    Raises:
        ValueError: for shapes that differ or are not [h, w], no pixels, NaN, or values outside [0, 1].
        TypeError: without ``normalize``, for other types.
    """
    pred, gt = np.asarray(pred), np.asarray(gt)
    last: _Seen | None = getattr(_seen, "last", None)
    if last is None or not last.is_of(pred, gt, normalize):
        pred, gt = pred.copy(), gt.copy()  # the caller may write into the originals
        last = _seen.last = _Seen(pred, gt, normalize, _prepared(pred, gt, normalize))
    return last.pair


def _prepared(pred: NDArray[Any], gt: NDArray[Any], normalize: bool) -> Pair:
    if pred.shape != gt.shape:
        raise ValueError(
            f"the prediction is {pred.shape} and the mask {gt.shape}; resize one of them"
        )
    if pred.ndim != 2 or pred.size == 0:
        raise ValueError(f"a prediction is an array [h, w] with pixels; this one is {pred.shape}")
    if normalize:
        if pred.dtype == np.uint8 and gt.dtype == np.uint8:
            return _pair_of_bytes(pred, gt)
        if gt.dtype == np.bool_ and gt.any():
            warnings.warn(
                "no value of a bool mask is above 128, so all of it is background with normalize=True; "
                "pass mask * 255 as uint8, or normalize=False",
                stacklevel=4,
            )
        p = pred / 255
        low, high = p.min(), p.max()
        return _pair_of_floats((p - low) / (high - low) if high != low else p, gt > 128)
    if pred.dtype not in (np.float32, np.float64):
        raise TypeError(f"without normalize, a prediction is float32 or float64, not {pred.dtype}")
    if gt.dtype != np.bool_:
        raise TypeError(f"without normalize, a mask is bool, not {gt.dtype}")
    if not (pred.min() >= 0 and pred.max() <= 1):
        raise ValueError("without normalize, the values of a prediction lie in [0, 1]")
    return _pair_of_floats(pred, gt)


def _pair_of_bytes(pred: NDArray[np.uint8], gt: NDArray[np.uint8]) -> Pair:
    mask = PreparedMask(gt, COUNTS_ONLY)
    counts = count_pair(pred, mask).counts
    prepared = prepare_counts(counts, STANDARD_RULE, "min-max")
    low, high = int(prepared.low[0]), int(prepared.high[0])
    return Pair(
        map_=pred,
        slope=1 / (high - low),
        offset=-low / (high - low),
        mask=mask,
        levels=prepared.value[0],
        prepared=prepared,
        adaptive=at_adaptive_threshold(prepared),
    )


def _pair_of_floats(p: NDArray[Any], foreground: NDArray[np.bool_]) -> Pair:
    if not np.isfinite(p).all():
        raise ValueError("the prediction has values that are NaN or infinite")
    mask = PreparedMask(foreground * np.uint8(255))
    row, column = mask.splits[STANDARD_RULE][1:]
    levels, level = np.unique(p, return_inverse=True)
    quadrant = 2 * (np.arange(p.shape[0]) >= row)[:, None] + (np.arange(p.shape[1]) >= column)
    cell = (2 * quadrant + foreground) * len(levels) + level.reshape(p.shape)
    counts = np.bincount(cell.ravel(), minlength=8 * len(levels))
    histogram = counts.reshape(1, 4, 2, -1).astype(np.uint32)
    # a flat quadrant whose numpy mean is not its value: see structure.py
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
    return Pair(
        map_=p,
        slope=1.0,
        offset=0.0,
        mask=mask,
        levels=levels,
        prepared=prepared,
        adaptive=_selected(prepared, levels >= min(2 * p.mean(), 1)),
    )


def _selected(prepared: PreparedCounts, levels: NDArray[np.bool_]) -> Confusion:
    fp, tp = prepared.per_class[0][:, levels].sum(axis=-1)[:, None, None]
    return Confusion(tp, fp, prepared.positives, prepared.negatives)


class MAE:
    """Mean absolute error on the binary mask; ``get_results()`` is ``{"mae": mean}``."""

    def __init__(self) -> None:
        self.maes: list[float] = []

    def step(self, pred: NDArray[Any], gt: NDArray[Any], normalize: bool = True) -> None:
        """Add a pair; see :func:`pair`."""
        prepared = pair(pred, gt, normalize).prepared
        background, foreground = prepared.per_class[0]
        value = prepared.value[0]
        error = background @ value + foreground @ (1 - value)
        self.maes.append(float(error / prepared.per_class.sum()))

    def get_results(self) -> dict[str, Any]:
        """The mean over the pairs."""
        return {"mae": np.mean(self.maes)}


class Smeasure:
    """S-measure (structure.py); ``get_results()`` is ``{"sm": mean}``. alpha weighs the object part."""

    def __init__(self, alpha: float = 0.5):
        self.alpha = alpha
        self.sms: list[float] = []

    def step(self, pred: NDArray[Any], gt: NDArray[Any], normalize: bool = True) -> None:
        """Add a pair; see :func:`pair`."""
        _, objects, regions = s_measure(pair(pred, gt, normalize).prepared)
        s = self.alpha * objects + (1 - self.alpha) * regions
        self.sms.append(float(np.maximum(0, s)[0]))

    def get_results(self) -> dict[str, Any]:
        """The mean over the pairs."""
        return {"sm": np.mean(self.sms)}


class Emeasure:
    """E-measure (curves.py); ``get_results()`` is ``{"em": {"adp": mean, "curve": [256]}}``."""

    def __init__(self) -> None:
        self.adaptive_ems: list[float] = []
        self.changeable_ems: list[Floats] = []

    def step(self, pred: NDArray[Any], gt: NDArray[Any], normalize: bool = True) -> None:
        """Add a pair; see :func:`pair`."""
        counted = pair(pred, gt, normalize)
        self.adaptive_ems.append(float(curves.family_values(counted.adaptive)["e"][0, 0]))
        self.changeable_ems.append(curves.family_values(counted.dynamic)["e"][0])

    def get_results(self) -> dict[str, Any]:
        """The means over the pairs."""
        curve = np.mean(self.changeable_ems, axis=0)
        return {"em": {"adp": np.mean(self.adaptive_ems), "curve": curve}}


class WeightedFmeasure:
    """Weighted F (weighted.py); ``get_results()`` is ``{"wfm": mean}``. beta is what the papers call beta^2."""

    def __init__(self, beta: float = 1):
        self.beta = beta
        self.weighted_fms: list[float] = []

    def step(self, pred: NDArray[Any], gt: NDArray[Any], normalize: bool = True) -> None:
        """Add a pair; see :func:`pair`."""
        self.weighted_fms.append(pair(pred, gt, normalize).weighted_f(self.beta))

    def get_results(self) -> dict[str, Any]:
        """The mean over the pairs."""
        return {"wfm": np.mean(self.weighted_fms)}


class Fmeasure:
    """F with precision and recall; ``get_results()`` is ``{"fm": {"adp", "curve"}, "pr": {"p", "r"}}``.

    beta is what the papers call beta^2.  PySODMetrics' warning that FmeasureV2 replaces it is not repeated here.
    """

    def __init__(self, beta: float = 0.3):
        self.beta = beta
        self.precisions: list[Floats] = []
        self.recalls: list[Floats] = []
        self.adaptive_fms: list[float] = []
        self.changeable_fms: list[Floats] = []

    def step(self, pred: NDArray[Any], gt: NDArray[Any], normalize: bool = True) -> None:
        """Add a pair; see :func:`pair`."""
        counted = pair(pred, gt, normalize)
        adaptive = curves.precision_recall_f(counted.adaptive, beta2=self.beta)
        dynamic = curves.precision_recall_f(counted.dynamic, beta2=self.beta)
        self.adaptive_fms.append(float(adaptive["f"][0, 0]))
        self.precisions.append(dynamic["precision"][0])
        self.recalls.append(dynamic["recall"][0])
        self.changeable_fms.append(dynamic["f"][0])

    def get_results(self) -> dict[str, Any]:
        """The means over the pairs."""
        curve, p, r = (
            np.mean(each, axis=0) for each in (self.changeable_fms, self.precisions, self.recalls)
        )
        return {
            "fm": {"adp": np.mean(self.adaptive_fms), "curve": curve},
            "pr": {"p": p, "r": r},
        }


class _Handler:
    """A measure of a confusion, in up to three modes, for :class:`FmeasureV2`.

    with_dynamic: at 256 thresholds; with_adaptive: at twice the map's mean; with_binary: above 0.5.
    sample_based: whether the binary form is the mean over the pairs, or the measure of all pairs' pixels together.
    """

    name: str
    beta = 0.3

    def __init__(
        self,
        with_dynamic: bool,
        with_adaptive: bool,
        *,
        with_binary: bool = False,
        sample_based: bool = True,
    ):
        self.dynamic_results: list[Any] | None = [] if with_dynamic else None
        self.adaptive_results: list[Any] | None = [] if with_adaptive else None
        self.sample_based = sample_based
        self.binary_results: Any = None
        if with_binary:
            self.binary_results = [] if sample_based else {"tp": 0, "fp": 0, "tn": 0, "fn": 0}

    def __call__(self, tp: Any, fp: Any, tn: Any, fn: Any) -> Floats:
        """The measure of numbers of pixels, arrays or scalars."""
        pixels = np.stack(np.broadcast_arrays(tp, fp, tn, fn)).astype(np.float64)
        tp, fp, tn, fn = pixels.reshape(4, -1, 1)
        c = Confusion(tp, fp, tp + fn, fp + tn)
        found = curves.precision_recall_f(c, beta2=self.beta) | curves.family_values(c)
        return found[self.name].reshape(pixels.shape[1:])


class PrecisionHandler(_Handler):
    """Precision."""

    name = "precision"


class RecallHandler(_Handler):
    """Recall, also called true positive rate or sensitivity."""

    name = "recall"


class FPRHandler(_Handler):
    """False positive rate."""

    name = "fpr"


class SpecificityHandler(_Handler):
    """Specificity, also called true negative rate."""

    name = "specificity"


class IOUHandler(_Handler):
    """Intersection over union."""

    name = "iou"


class DICEHandler(_Handler):
    """Dice coefficient."""

    name = "dice"


class BERHandler(_Handler):
    """Balanced error rate."""

    name = "ber"


class OverallAccuracyHandler(_Handler):
    """Share of the pixels that are right."""

    name = "accuracy"


class KappaHandler(_Handler):
    """Kappa by PySODMetrics' formula, which is not Cohen's (see curves.py)."""

    name = "kappa"


class FmeasureHandler(_Handler):
    """F; beta is what the papers call beta^2."""

    name = "f"

    def __init__(
        self,
        with_dynamic: bool,
        with_adaptive: bool,
        *,
        with_binary: bool = False,
        sample_based: bool = True,
        beta: float = 0.3,
    ):
        super().__init__(
            with_dynamic, with_adaptive, with_binary=with_binary, sample_based=sample_based
        )
        self.beta = beta


TPRHandler = SensitivityHandler = RecallHandler
TNRHandler = SpecificityHandler


class FmeasureV2:
    """Any number of named handlers over one pass.

    ``get_results()`` is, for each handler, a dict of what it has been asked for: ``dynamic`` [256], ``adaptive``, ``binary``.
    """

    def __init__(self, metric_handlers: Mapping[str, Any] | None = None):
        self._metric_handlers = dict(metric_handlers or {})

    def add_handler(self, handler_name: str, metric_handler: Any) -> None:
        """Add a handler under a name."""
        self._metric_handlers[handler_name] = metric_handler

    def step(self, pred: NDArray[Any], gt: NDArray[Any], normalize: bool = True) -> None:
        """Add a pair; see :func:`pair`.  ValueError when there is no handler."""
        if not self._metric_handlers:
            raise ValueError("FmeasureV2 has no handler; give it some before step()")
        counted = pair(pred, gt, normalize)
        for handler in self._metric_handlers.values():
            if handler.dynamic_results is not None:
                handler.dynamic_results.append(handler(**_pixels(counted.dynamic)))
            if handler.adaptive_results is not None:
                handler.adaptive_results.append(handler(**_pixels(counted.adaptive)))
            if handler.binary_results is not None:
                pixels = _pixels(counted.binary)
                if handler.sample_based:
                    handler.binary_results.append(handler(**pixels))
                else:
                    for name, number in pixels.items():
                        handler.binary_results[name] += int(number)

    def get_results(self) -> dict[str, dict[str, Any]]:
        """The means over the pairs, handler by handler."""
        return {name: _results(handler) for name, handler in self._metric_handlers.items()}


def _results(handler: Any, keep_curves: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if handler.dynamic_results is not None:
        curves_ = handler.dynamic_results
        found["dynamic"] = curves_ if keep_curves else np.mean(curves_, axis=0)
    if handler.adaptive_results is not None:
        found["adaptive"] = np.mean(handler.adaptive_results)
    if handler.binary_results is not None:
        pairs = handler.binary_results
        found["binary"] = np.mean(pairs if handler.sample_based else handler(**pairs))
    return found


def _pixels(c: Confusion) -> dict[str, Any]:
    """The confusion of one pair as arrays [256], or as scalars when there is a single threshold."""
    pixels = {"tp": c.tp, "fp": c.fp, "tn": c.tn, "fn": c.fn}
    return {name: n[0] if n.shape[1] > 1 else n[0, 0] for name, n in pixels.items()}


class SizeInvarianceMAE:
    """Size-invariant MAE (size_invariant.py); ``get_results()`` is ``{"si_mae": mean}``."""

    def __init__(self) -> None:
        self.maes: list[float] = []

    def step(self, pred: NDArray[Any], gt: NDArray[Any], normalize: bool = True) -> None:
        """Add a pair; see :func:`pair`."""
        counted = pair(pred, gt, normalize)
        self.maes.append(size_invariant_mae(counted.values, counted.foreground))

    def get_results(self) -> dict[str, Any]:
        """The mean over the pairs."""
        return {"si_mae": np.mean(self.maes)}


class SizeInvarianceFmeasureV2(FmeasureV2):
    """Handlers over each object's bounding box, everything outside of it background and 0 (size_invariant.py).

    ``get_results()`` is as of FmeasureV2, but for handlers with ``sample_based``: their ``dynamic`` is a list with an array
    [objects, 256] for each pair.  Masks without background, which PySODMetrics refuses, are one object.
    """

    def step(self, pred: NDArray[Any], gt: NDArray[Any], normalize: bool = True) -> None:
        """Add a pair; see :func:`pair`.  ValueError when there is no handler."""
        if not self._metric_handlers:
            raise ValueError("SizeInvarianceFmeasureV2 has no handler; give it some before step()")
        counted = pair(pred, gt, normalize)
        objects = [
            _within(box, counted.values, counted.foreground)
            for box in object_boxes(counted.foreground)
        ] or [counted]
        for handler in self._metric_handlers.values():
            if handler.dynamic_results is not None:
                curves_ = [handler(**_pixels(each.dynamic)) for each in objects]
                if handler.sample_based:
                    handler.dynamic_results.append(np.array(curves_))
                else:
                    handler.dynamic_results.extend(curves_)
            if handler.adaptive_results is not None:
                adaptive = [handler(**_pixels(each.adaptive)) for each in objects]
                handler.adaptive_results.append(np.mean(adaptive))
            if handler.binary_results is not None:
                pixels = [_pixels(each.binary) for each in objects]
                if handler.sample_based:
                    handler.binary_results.append(np.mean([handler(**n) for n in pixels]))
                else:
                    for name in handler.binary_results:
                        handler.binary_results[name] += sum(int(n[name]) for n in pixels)

    def get_results(self) -> dict[str, dict[str, Any]]:
        """The means over the pairs, handler by handler; curves object by object."""
        return {
            name: _results(handler, keep_curves=handler.sample_based)
            for name, handler in self._metric_handlers.items()
        }


def _within(box: tuple[slice, slice], p: NDArray[Any], foreground: NDArray[np.bool_]) -> Pair:
    """The pair with everything outside of a box background and 0."""
    inside, truth = np.zeros_like(p), np.zeros_like(foreground)
    inside[box], truth[box] = p[box], foreground[box]
    return _pair_of_floats(inside, truth)


class MSIoU:
    """Multi-scale IoU (multiscale.py), at 257 thresholds 0..256 ascending, at the adaptive threshold, and above 0.5.

    PySODMetrics sums in half precision: from 2048 outline pixels on its values differ from these by up to 2e-4.
    """

    def __init__(
        self,
        with_dynamic: bool,
        with_adaptive: bool,
        *,
        with_binary: bool = False,
        num_levels: int = 10,
    ):
        if num_levels != 10:
            raise NotImplementedError(f"MSIoU has 10 levels here, not {num_levels}")
        self.dynamic_results: list[list[float]] | None = [] if with_dynamic else None
        self.adaptive_results: list[float] | None = [] if with_adaptive else None
        self.binary_results: list[float] | None = [] if with_binary else None

    def step(self, pred: NDArray[Any], gt: NDArray[Any], normalize: bool = True) -> None:
        """Add a pair; see :func:`pair`."""
        counted = pair(pred, gt, normalize)
        p, cells = counted.values, grids(outline(counted.foreground))
        if self.dynamic_results is not None:
            level = np.trunc(p * 255).astype(np.uint8)
            present = np.unique(level)
            found = [multiscale_iou(level >= t, cells) for t in present]
            found.append(multiscale_iou(np.zeros(level.shape, bool), cells))
            self.dynamic_results.append([found[i] for i in np.searchsorted(present, range(257))])
        if self.adaptive_results is not None:
            self.adaptive_results.append(multiscale_iou(p >= min(2 * p.mean(), 1), cells))
        if self.binary_results is not None:
            self.binary_results.append(multiscale_iou(p > 0.5, cells))

    def get_results(self) -> dict[str, Any]:
        """The means over the pairs: ``dynamic`` [257], ``adaptive``, ``binary``, as far as asked for."""
        modes = {
            "dynamic": self.dynamic_results,
            "adaptive": self.adaptive_results,
            "binary": self.binary_results,
        }
        return {mode: np.mean(each, axis=0) for mode, each in modes.items() if each is not None}


class ContextMeasure:
    """Context measure (context.py), to some 1e-9; ``get_results()`` is ``{"cm": mean}``."""

    def __init__(self, beta2: float = 1.0, alpha: float = 6.0):
        self.beta2 = beta2
        self.alpha = alpha
        self.scores: list[float] = []

    def step(self, pred: NDArray[Any], gt: NDArray[Any], normalize: bool = True) -> None:
        """Add a pair; see :func:`pair`, and ValueError where the measure is undefined."""
        counted = pair(pred, gt, normalize)
        score = context_measure(counted.values, counted.foreground, self.beta2, self.alpha)
        self.scores.append(score)

    def get_results(self) -> dict[str, Any]:
        """The mean over the pairs."""
        return {"cm": np.mean(self.scores)}


class _NotOffered:
    """A measure of PySODMetrics that sodbench does not have."""

    def __init__(self, *_: Any, **__: Any):
        raise NotImplementedError(
            f"sodbench does not offer {type(self).__name__}; use PySODMetrics for this measure"
        )


class HumanCorrectionEffortMeasure(_NotOffered):
    """Not offered: its value depends on the version of OpenCV."""


class CamouflageContextMeasure(_NotOffered):
    """Not offered."""
