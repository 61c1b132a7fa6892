"""Any number of metrics of a binarised map in one pass, with PySODMetrics' interface."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.arrays import Floats
from sodbench.metrics.confusion import Confusion
from sodbench.metrics.pysodmetrics.stepping import SteppedMetric
from sodbench.metrics.pysodmetrics.utils import get_adaptive_threshold
from sodbench.metrics.pysodmetrics_input import PreparedPair
from sodbench.metrics.threshold_metrics import family_values, precision_recall_f

__all__ = [
    "BERHandler",
    "DICEHandler",
    "FPRHandler",
    "FmeasureHandler",
    "FmeasureV2",
    "IOUHandler",
    "KappaHandler",
    "OverallAccuracyHandler",
    "PrecisionHandler",
    "RecallHandler",
    "SensitivityHandler",
    "SpecificityHandler",
    "TNRHandler",
    "TPRHandler",
]


class _BaseHandler:
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

    @staticmethod
    def divide(numerator: Any, denominator: Any) -> Floats:
        """A quotient that is 0 where the denominator is 0."""
        numerator, denominator = np.asarray(numerator, float), np.asarray(denominator, float)
        quotient = np.zeros(np.broadcast_shapes(numerator.shape, denominator.shape))
        np.divide(numerator, denominator, out=quotient, where=denominator != 0)
        return quotient

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


def _make_handler(name: str, key: str, description: str) -> type[_BaseHandler]:
    """A handler of one metric."""
    content = {"__doc__": description, "__module__": __name__, "_key": key}
    return type(name, (_BaseHandler,), content)


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


class KappaHandler(_BaseHandler):
    """Kappa by PySODMetrics' formula, which is not Cohen's: see threshold_metrics.py.

    Parameters
    ----------
    with_dynamic, with_adaptive, with_binary, sample_based : bool
        As in the other handlers.
    """

    _key = "kappa"

    def __init__(
        self,
        with_dynamic: bool,
        with_adaptive: bool,
        *,
        with_binary: bool = False,
        sample_based: bool = True,
    ):
        super().__init__(
            with_dynamic, with_adaptive, with_binary=with_binary, sample_based=sample_based
        )
        # for scripts that read it; the formula above does not
        self.oa = OverallAccuracyHandler(False, False)


class FmeasureHandler(_BaseHandler):
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
        # for scripts that read them
        self.precision = PrecisionHandler(False, False)
        self.recall = RecallHandler(False, False)


class FmeasureV2(SteppedMetric):
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

    @staticmethod
    def get_statistics(
        binary: NDArray[Any], gt: NDArray[np.bool_], FG: int, BG: int
    ) -> dict[str, Any]:
        """The pixels ``tp``, ``fp``, ``tn`` and ``fn`` of a binary map, of FG foreground and BG background pixels."""
        tp, fp = np.count_nonzero(binary[gt]), np.count_nonzero(binary[~gt])
        return {"tp": tp, "fp": fp, "tn": BG - fp, "fn": FG - tp}

    def adaptively_binarizing(
        self, pred: NDArray[Any], gt: NDArray[np.bool_], FG: int, BG: int
    ) -> dict[str, Any]:
        """The same of a map in [0, 1] at twice its mean."""
        return self.get_statistics(pred >= get_adaptive_threshold(pred), gt, FG, BG)

    def dynamically_binarizing(
        self, pred: NDArray[Any], gt: NDArray[np.bool_], FG: int, BG: int
    ) -> dict[str, Any]:
        """The same of a map in [0, 1] at the thresholds 255 to 0; int [256] each."""
        levels = (pred * 255).astype(np.uint8)
        tp = np.bincount(levels[gt], minlength=256)[::-1].cumsum()
        fp = np.bincount(levels[~gt], minlength=256)[::-1].cumsum()
        return {"tp": tp, "fp": fp, "tn": BG - fp, "fn": FG - tp}

    def _add(self, pair: PreparedPair) -> None:
        for handler in self._metric_handlers.values():
            if handler.dynamic_results is not None:
                handler.dynamic_results.append(handler(**pixels_of(pair.dynamic)))
            if handler.adaptive_results is not None:
                handler.adaptive_results.append(handler(**pixels_of(pair.adaptive)))
            self._add_binary(handler, [pair])

    @staticmethod
    def _add_binary(handler: Any, objects: list[PreparedPair]) -> None:
        if handler.binary_results is None:
            return
        pixels = [pixels_of(each.binary) for each in objects]
        if handler.sample_based:
            handler.binary_results.append(np.mean([handler(**each) for each in pixels]))
        else:
            for name in handler.binary_results:
                handler.binary_results[name] += sum(int(each[name]) for each in pixels)

    def _results(self) -> dict[str, dict[str, Any]]:
        return {
            name: dict(handler_results(handler)) for name, handler in self._metric_handlers.items()
        }


def handler_results(handler: Any, keep_curves: bool = False) -> Iterator[tuple[str, Any]]:
    """What a handler was asked for, by mode."""
    if handler.dynamic_results is not None:
        curves = handler.dynamic_results
        yield "dynamic", curves if keep_curves else np.mean(curves, axis=0)
    if handler.adaptive_results is not None:
        yield "adaptive", np.mean(handler.adaptive_results)
    if handler.binary_results is not None:
        pairs = handler.binary_results
        yield "binary", np.mean(pairs if handler.sample_based else handler(**pairs))


def pixels_of(confusion: Confusion) -> dict[str, Any]:
    """The confusion of one pair as arrays [256], or as scalars when there is a single threshold."""
    pixels = {"tp": confusion.tp, "fp": confusion.fp, "tn": confusion.tn, "fn": confusion.fn}
    return {name: n[0] if n.shape[1] > 1 else n[0, 0] for name, n in pixels.items()}
