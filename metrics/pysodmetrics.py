"""PySODMetrics' interface to sodbench's kernels: ``import sodbench.metrics.pysodmetrics as py_sod_metrics``.

Classes, constructor arguments, ``step(pred, gt, normalize=True)``, the shapes and order of ``get_results()`` and the
numbers are those of PySODMetrics 1.6.2 (to 1e-9, except for MSIoU and the context measure, see multiscale_iou.py and
context_measure.py; curves run from threshold 255 down to 0, as there).  What is not offered raises NotImplementedError
when it is constructed.  A float32 map gives metrics that differ from PySODMetrics' by its rounding, up to 1e-6.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.arrays import Floats
from sodbench.metrics.confusion import Confusion
from sodbench.metrics.context_measure import context_measure
from sodbench.metrics.multiscale_iou import N_LEVELS, multiscale_iou, outline, to_grids
from sodbench.metrics.pysodmetrics_input import LastPair, PreparedPair, prepare_pair
from sodbench.metrics.s_measure import s_measure
from sodbench.metrics.size_invariant import object_boxes, size_invariant_mae
from sodbench.metrics.threshold_metrics import family_values, precision_recall_f

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


class _Metric:
    """A metric that is stepped with pairs."""

    _last: LastPair | None = None

    def step(self, pred: NDArray[Any], gt: NDArray[Any], normalize: bool = True) -> None:
        """Add a pair.

        Parameters
        ----------
        pred : array [h, w]
            With ``normalize`` any numbers, which are divided by 255 and stretched to [0, 1] unless they are constant;
            without it float32 or float64 in [0, 1].
        gt : array [h, w]
            With ``normalize`` foreground is above 128; without it the mask is bool.
        normalize : bool
            Which of the two.

        Raises
        ------
        ValueError
            For shapes that differ or are not [h, w], no pixels, NaN, values outside [0, 1], or where the metric is
            undefined.
        TypeError
            Without ``normalize``, for other types.
        """
        # held, so that other metrics can share it
        self._last = prepare_pair(pred, gt, normalize)
        self._add(self._last.pair)

    def get_results(self) -> dict[str, Any]:
        """Average over the pairs.

        Returns
        -------
        dict
            With the keys and shapes of PySODMetrics, which the class describes.
        """
        return self._results()

    def _add(self, pair: PreparedPair) -> None:
        raise NotImplementedError

    def _results(self) -> dict[str, Any]:
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_last"}


class MAE(_Metric):
    """Mean absolute error on the binary mask; ``get_results()`` is ``{"mae": mean}``."""

    def __init__(self) -> None:
        self.maes: list[float] = []

    def _add(self, pair: PreparedPair) -> None:
        background, foreground = pair.prepared.per_class[0]
        value = pair.prepared.value[0]
        error = background @ value + foreground @ (1 - value)
        self.maes.append(float(error / pair.prepared.per_class.sum()))

    def _results(self) -> dict[str, Any]:
        return {"mae": np.mean(self.maes)}


class Smeasure(_Metric):
    """S-measure (s_measure.py); ``get_results()`` is ``{"sm": mean}``.

    Parameters
    ----------
    alpha : float
        The weight of the object part.
    """

    def __init__(self, alpha: float = 0.5):
        self.alpha = alpha
        self.sms: list[float] = []

    def _add(self, pair: PreparedPair) -> None:
        _, objects, regions = s_measure(pair.prepared)
        s = self.alpha * objects + (1 - self.alpha) * regions
        self.sms.append(float(np.maximum(0, s)[0]))

    def _results(self) -> dict[str, Any]:
        return {"sm": np.mean(self.sms)}


class Emeasure(_Metric):
    """E-measure (threshold_metrics.py); ``get_results()`` is ``{"em": {"adp": mean, "curve": [256]}}``."""

    def __init__(self) -> None:
        self.adaptive_ems: list[float] = []
        self.changeable_ems: list[Floats] = []

    def _add(self, pair: PreparedPair) -> None:
        self.adaptive_ems.append(float(family_values(pair.adaptive)["e"][0, 0]))
        self.changeable_ems.append(family_values(pair.dynamic)["e"][0])

    def _results(self) -> dict[str, Any]:
        curve = np.mean(self.changeable_ems, axis=0)
        return {"em": {"adp": np.mean(self.adaptive_ems), "curve": curve}}


class WeightedFmeasure(_Metric):
    """Weighted F (weighted_f.py); ``get_results()`` is ``{"wfm": mean}``.

    Parameters
    ----------
    beta : float
        What the papers call beta^2.
    """

    def __init__(self, beta: float = 1):
        self.beta = beta
        self.weighted_fms: list[float] = []

    def _add(self, pair: PreparedPair) -> None:
        self.weighted_fms.append(pair.weighted_f(self.beta))

    def _results(self) -> dict[str, Any]:
        return {"wfm": np.mean(self.weighted_fms)}


class Fmeasure(_Metric):
    """F with precision and recall; ``get_results()`` is ``{"fm": {"adp", "curve"}, "pr": {"p", "r"}}``.

    PySODMetrics' warning that FmeasureV2 replaces it is not repeated here.

    Parameters
    ----------
    beta : float
        What the papers call beta^2.
    """

    def __init__(self, beta: float = 0.3):
        self.beta = beta
        self.precisions: list[Floats] = []
        self.recalls: list[Floats] = []
        self.adaptive_fms: list[float] = []
        self.changeable_fms: list[Floats] = []

    def _add(self, pair: PreparedPair) -> None:
        adaptive = precision_recall_f(pair.adaptive, beta2=self.beta)
        dynamic = precision_recall_f(pair.dynamic, beta2=self.beta)
        self.adaptive_fms.append(float(adaptive["f"][0, 0]))
        self.precisions.append(dynamic["precision"][0])
        self.recalls.append(dynamic["recall"][0])
        self.changeable_fms.append(dynamic["f"][0])

    def _results(self) -> dict[str, Any]:
        curve, p, r = (
            np.mean(each, axis=0) for each in (self.changeable_fms, self.precisions, self.recalls)
        )
        return {
            "fm": {"adp": np.mean(self.adaptive_fms), "curve": curve},
            "pr": {"p": p, "r": r},
        }


class _Handler:
    """A metric of a confusion, in up to three modes, for `FmeasureV2`.

    Parameters
    ----------
    with_dynamic : bool
        Compute it at 256 thresholds.
    with_adaptive : bool
        Compute it at twice the map's mean.
    with_binary : bool
        Compute it above 0.5.
    sample_based : bool
        Whether the binary form is the mean over the pairs, or the metric of all pairs' pixels together.
    """

    _key: str
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
        """Compute the metric of numbers of pixels.

        Parameters
        ----------
        tp, fp, tn, fn : array or scalar
            Of one shape.

        Returns
        -------
        float64
            Of that shape.
        """
        pixels = np.stack(np.broadcast_arrays(tp, fp, tn, fn)).astype(np.float64)
        tp, fp, tn, fn = pixels.reshape(4, -1, 1)
        confusion = Confusion(tp, fp, tp + fn, fp + tn)
        values = precision_recall_f(confusion, beta2=self.beta) | family_values(confusion)
        return values[self._key].reshape(pixels.shape[1:])


def _make_handler(name: str, key: str, description: str) -> type[_Handler]:
    """A handler of one metric."""
    content = {"__doc__": description, "__module__": __name__, "_key": key}
    return type(name, (_Handler,), content)


PrecisionHandler = _make_handler("PrecisionHandler", "precision", "Precision.")
RecallHandler = _make_handler("RecallHandler", "recall", "Recall, or true positive rate.")
TPRHandler = SensitivityHandler = RecallHandler
FPRHandler = _make_handler("FPRHandler", "fpr", "False positive rate.")
SpecificityHandler = _make_handler("SpecificityHandler", "specificity", "True negative rate.")
TNRHandler = SpecificityHandler
IOUHandler = _make_handler("IOUHandler", "iou", "Intersection over union.")
DICEHandler = _make_handler("DICEHandler", "dice", "Dice coefficient.")
BERHandler = _make_handler("BERHandler", "ber", "Balanced error rate.")
OverallAccuracyHandler = _make_handler("OverallAccuracyHandler", "accuracy", "Accuracy.")
# by PySODMetrics' formula, which is not Cohen's: see threshold_metrics.py
KappaHandler = _make_handler("KappaHandler", "kappa", "Kappa.")


class FmeasureHandler(_Handler):
    """F-measure.

    Parameters
    ----------
    with_dynamic, with_adaptive, with_binary, sample_based : bool
        As in the other handlers.
    beta : float
        What the papers call beta^2.
    """

    _key = "f"

    def __init__(
        self, with_dynamic: bool, with_adaptive: bool, *, beta: float = 0.3, **modes: bool
    ):
        super().__init__(with_dynamic, with_adaptive, **modes)
        self.beta = beta


class FmeasureV2(_Metric):
    """Any number of named handlers over one pass.

    ``get_results()`` is, for each handler, a dict of what it was asked for: ``dynamic`` [256], ``adaptive``, ``binary``.

    Parameters
    ----------
    metric_handlers : mapping of str to handler, optional
    """

    def __init__(self, metric_handlers: Mapping[str, Any] | None = None):
        self._metric_handlers = dict(metric_handlers or {})

    def add_handler(self, handler_name: str, metric_handler: Any) -> None:
        """Add a handler.

        Parameters
        ----------
        handler_name : str
            Its key in the results.
        metric_handler : handler
        """
        self._metric_handlers[handler_name] = metric_handler

    def step(self, pred: NDArray[Any], gt: NDArray[Any], normalize: bool = True) -> None:  # noqa: D102
        if not self._metric_handlers:
            raise ValueError(f"{type(self).__name__} has no handler; add some before step()")
        super().step(pred, gt, normalize)

    def _add(self, pair: PreparedPair) -> None:
        for handler in self._metric_handlers.values():
            if handler.dynamic_results is not None:
                handler.dynamic_results.append(handler(**_pixels(pair.dynamic)))
            if handler.adaptive_results is not None:
                handler.adaptive_results.append(handler(**_pixels(pair.adaptive)))
            self._add_binary(handler, [pair])

    @staticmethod
    def _add_binary(handler: Any, objects: list[PreparedPair]) -> None:
        if handler.binary_results is None:
            return
        pixels = [_pixels(each.binary) for each in objects]
        if handler.sample_based:
            handler.binary_results.append(np.mean([handler(**each) for each in pixels]))
        else:
            for name in handler.binary_results:
                handler.binary_results[name] += sum(int(each[name]) for each in pixels)

    def _results(self) -> dict[str, dict[str, Any]]:
        return {
            name: dict(_handler_results(handler)) for name, handler in self._metric_handlers.items()
        }


def _handler_results(handler: Any, keep_curves: bool = False) -> Iterator[tuple[str, Any]]:
    """What a handler was asked for, by mode."""
    if handler.dynamic_results is not None:
        curves = handler.dynamic_results
        yield "dynamic", curves if keep_curves else np.mean(curves, axis=0)
    if handler.adaptive_results is not None:
        yield "adaptive", np.mean(handler.adaptive_results)
    if handler.binary_results is not None:
        pairs = handler.binary_results
        yield "binary", np.mean(pairs if handler.sample_based else handler(**pairs))


def _pixels(confusion: Confusion) -> dict[str, Any]:
    """The confusion of one pair as arrays [256], or as scalars when there is a single threshold."""
    pixels = {"tp": confusion.tp, "fp": confusion.fp, "tn": confusion.tn, "fn": confusion.fn}
    return {name: n[0] if n.shape[1] > 1 else n[0, 0] for name, n in pixels.items()}


class SizeInvarianceMAE(_Metric):
    """Size-invariant MAE (size_invariant.py); ``get_results()`` is ``{"si_mae": mean}``."""

    def __init__(self) -> None:
        self.maes: list[float] = []

    def _add(self, pair: PreparedPair) -> None:
        self.maes.append(size_invariant_mae(pair.values, pair.foreground))

    def _results(self) -> dict[str, Any]:
        return {"si_mae": np.mean(self.maes)}


class SizeInvarianceFmeasureV2(FmeasureV2):
    """Handlers over each object's bounding box, with everything outside background and 0 (size_invariant.py).

    ``get_results()`` is that of FmeasureV2, except for handlers with ``sample_based``: their ``dynamic`` is a list with an
    array [objects, 256] for each pair.  Masks without background, which PySODMetrics refuses, are one object.
    """

    def _add(self, pair: PreparedPair) -> None:
        objects = [pair.within(box) for box in object_boxes(pair.foreground)] or [pair]
        for handler in self._metric_handlers.values():
            if handler.dynamic_results is not None:
                curves = [handler(**_pixels(each.dynamic)) for each in objects]
                if handler.sample_based:
                    handler.dynamic_results.append(np.array(curves))
                else:
                    handler.dynamic_results.extend(curves)
            if handler.adaptive_results is not None:
                adaptive = [handler(**_pixels(each.adaptive)) for each in objects]
                handler.adaptive_results.append(np.mean(adaptive))
            self._add_binary(handler, objects)

    def _results(self) -> dict[str, dict[str, Any]]:
        return {
            name: dict(_handler_results(handler, keep_curves=handler.sample_based))
            for name, handler in self._metric_handlers.items()
        }


class MSIoU(_Metric):
    """Multi-scale IoU (multiscale_iou.py), at 257 thresholds 0..256 ascending, at the adaptive threshold, and above 0.5.

    PySODMetrics sums in half precision: from 2048 outline pixels on its values differ from these by up to 2e-4.

    Parameters
    ----------
    with_dynamic, with_adaptive, with_binary : bool
        Which of the three to compute.
    num_levels : int
        Must be 10.
    """

    def __init__(
        self,
        with_dynamic: bool,
        with_adaptive: bool,
        *,
        with_binary: bool = False,
        num_levels: int = N_LEVELS,
    ):
        if num_levels != N_LEVELS:
            raise NotImplementedError(f"MSIoU has {N_LEVELS} levels here, not {num_levels}")
        self.dynamic_results: list[list[float]] | None = [] if with_dynamic else None
        self.adaptive_results: list[float] | None = [] if with_adaptive else None
        self.binary_results: list[float] | None = [] if with_binary else None

    def _add(self, pair: PreparedPair) -> None:
        p, cells = pair.values, to_grids(outline(pair.foreground))
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

    def _results(self) -> dict[str, Any]:
        modes = {
            "dynamic": self.dynamic_results,
            "adaptive": self.adaptive_results,
            "binary": self.binary_results,
        }
        return {mode: np.mean(each, axis=0) for mode, each in modes.items() if each is not None}


class ContextMeasure(_Metric):
    """Context measure (context_measure.py), to some 1e-9; ``get_results()`` is ``{"cm": mean}``.

    Parameters
    ----------
    beta2 : float
        The weight of relevance.
    alpha : float
        The context's standard deviation in pixels.
    """

    def __init__(self, beta2: float = 1.0, alpha: float = 6.0):
        self.beta2 = beta2
        self.alpha = alpha
        self.scores: list[float] = []

    def _add(self, pair: PreparedPair) -> None:
        self.scores.append(context_measure(pair.values, pair.foreground, self.beta2, self.alpha))

    def _results(self) -> dict[str, Any]:
        return {"cm": np.mean(self.scores)}


class _NotOffered:
    """A metric of PySODMetrics that sodbench does not have."""

    def __init__(self, *_: Any, **__: Any):
        raise NotImplementedError(
            f"sodbench does not offer {type(self).__name__}; use PySODMetrics for this metric"
        )


class HumanCorrectionEffortMeasure(_NotOffered):
    """Not offered: its value depends on the version of OpenCV."""


class CamouflageContextMeasure(_NotOffered):
    """Not offered."""
