"""The classical metrics and human correction effort with PySODMetrics' interface."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.arrays import Floats
from sodbench.metrics.human_correction_effort import human_correction_effort, outline_mask
from sodbench.metrics.pysodmetrics.stepping import SteppedMetric
from sodbench.metrics.pysodmetrics_input import PreparedPair, prepare_pair
from sodbench.metrics.s_measure import s_measure
from sodbench.metrics.threshold_metrics import family_values, precision_recall_f

__all__ = [
    "MAE",
    "Emeasure",
    "Fmeasure",
    "HumanCorrectionEffortMeasure",
    "Smeasure",
    "WeightedFmeasure",
]


def _prepared(pred: NDArray[Any], gt: NDArray[Any]) -> PreparedPair:
    """A pair that is normalised already, as the ``cal_`` methods take it."""
    return prepare_pair(np.asarray(pred, np.float64), np.asarray(gt, bool), normalize=False).pair


class MAE(SteppedMetric):
    """Mean absolute error on the binary mask; ``get_results()`` is ``{"mae": mean}``."""

    def __init__(self) -> None:
        self.maes: list[float] = []

    def _add(self, pair: PreparedPair) -> None:
        background, foreground = pair.prepared.per_class[0]
        value = pair.prepared.value[0]
        error = background @ value + foreground @ (1 - value)
        self.maes.append(np.float64(error / pair.prepared.per_class.sum()))

    def cal_mae(self, pred: NDArray[Any], gt: NDArray[Any]) -> float:
        """Mean absolute error of a map in [0, 1] and a bool mask.

        Parameters
        ----------
        pred : float [h, w], in [0, 1]
        gt : bool [h, w]

        Returns
        -------
        float
        """
        return float(np.abs(np.asarray(pred, np.float64) - gt).mean())

    def _results(self) -> dict[str, Any]:
        return {"mae": np.mean(self.maes)}


class Smeasure(SteppedMetric):
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
        self.sms.append(np.float64(self._measure(pair)[0]))

    def _measure(self, pair: PreparedPair) -> tuple[float, float, float]:
        """S, its object part and its region part."""
        _, objects, regions = s_measure(pair.prepared)
        s = np.maximum(0, self.alpha * objects + (1 - self.alpha) * regions)
        return float(s[0]), float(objects[0]), float(regions[0])

    def cal_sm(self, pred: NDArray[Any], gt: NDArray[Any]) -> float:
        """S-measure of a map in [0, 1] and a bool mask.

        Parameters
        ----------
        pred : float [h, w], in [0, 1]
        gt : bool [h, w]

        Returns
        -------
        float
        """
        return self._measure(_prepared(pred, gt))[0]

    def object(self, pred: NDArray[Any], gt: NDArray[Any]) -> float:
        """The object part of the S-measure of a map in [0, 1] and a bool mask.

        Parameters
        ----------
        pred : float [h, w], in [0, 1]
        gt : bool [h, w]

        Returns
        -------
        float
        """
        return self._measure(_prepared(pred, gt))[1]

    def region(self, pred: NDArray[Any], gt: NDArray[Any]) -> float:
        """The region part of the S-measure of a map in [0, 1] and a bool mask.

        Parameters
        ----------
        pred : float [h, w], in [0, 1]
        gt : bool [h, w]

        Returns
        -------
        float
        """
        return self._measure(_prepared(pred, gt))[2]

    def _results(self) -> dict[str, Any]:
        return {"sm": np.mean(self.sms)}


class Emeasure(SteppedMetric):
    """E-measure (threshold_metrics.py); ``get_results()`` is ``{"em": {"adp": mean, "curve": [256]}}``."""

    def __init__(self) -> None:
        self.adaptive_ems: list[float] = []
        self.changeable_ems: list[Floats] = []

    def _add(self, pair: PreparedPair) -> None:
        self.adaptive_ems.append(np.float64(family_values(pair.adaptive)["e"][0, 0]))
        self.changeable_ems.append(family_values(pair.dynamic)["e"][0])

    def cal_adaptive_em(self, pred: NDArray[Any], gt: NDArray[Any]) -> float:
        """E-measure of a map in [0, 1] at twice its mean, and a bool mask.

        Parameters
        ----------
        pred : float [h, w], in [0, 1]
        gt : bool [h, w]

        Returns
        -------
        float
        """
        return float(family_values(_prepared(pred, gt).adaptive)["e"][0, 0])

    def cal_changeable_em(self, pred: NDArray[Any], gt: NDArray[Any]) -> Floats:
        """E-measure of a map in [0, 1] at the thresholds 255 to 0, and a bool mask; float64 [256].

        Parameters
        ----------
        pred : float [h, w], in [0, 1]
        gt : bool [h, w]

        Returns
        -------
        float64 [256]
        """
        curve: Floats = family_values(_prepared(pred, gt).dynamic)["e"][0]
        return curve

    cal_em_with_cumsumhistogram = cal_changeable_em

    def cal_em_with_threshold(
        self, pred: NDArray[Any], gt: NDArray[Any], threshold: float
    ) -> float:
        """E-measure of a map in [0, 1] from a threshold on, and a bool mask.

        Parameters
        ----------
        pred : float [h, w], in [0, 1]
        gt : bool [h, w]
        threshold : float

        Returns
        -------
        float
        """
        binary = (np.asarray(pred) >= threshold).astype(np.float64)
        # at the threshold 255 what is selected is what is 1
        return float(family_values(_prepared(binary, gt).dynamic)["e"][0, 0])

    def _results(self) -> dict[str, Any]:
        curve = np.mean(self.changeable_ems, axis=0)
        return {"em": {"adp": np.mean(self.adaptive_ems), "curve": curve}}


class WeightedFmeasure(SteppedMetric):
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
        self.weighted_fms.append(np.float64(pair.weighted_f(self.beta)))

    def cal_wfm(self, pred: NDArray[Any], gt: NDArray[Any]) -> float:
        """Weighted F of a map in [0, 1] and a bool mask.

        Parameters
        ----------
        pred : float [h, w], in [0, 1]
        gt : bool [h, w]

        Returns
        -------
        float
        """
        return _prepared(pred, gt).weighted_f(self.beta)

    def _results(self) -> dict[str, Any]:
        return {"wfm": np.mean(self.weighted_fms)}


class Fmeasure(SteppedMetric):
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
        self.adaptive_fms.append(np.float64(adaptive["f"][0, 0]))
        self.precisions.append(dynamic["precision"][0])
        self.recalls.append(dynamic["recall"][0])
        self.changeable_fms.append(dynamic["f"][0])

    def cal_adaptive_fm(self, pred: NDArray[Any], gt: NDArray[Any]) -> float:
        """F of a map in [0, 1] at twice its mean, and a bool mask.

        Parameters
        ----------
        pred : float [h, w], in [0, 1]
        gt : bool [h, w]

        Returns
        -------
        float
        """
        pair = _prepared(pred, gt)
        return float(precision_recall_f(pair.adaptive, beta2=self.beta)["f"][0, 0])

    def cal_pr(self, pred: NDArray[Any], gt: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
        """Precision, recall and F of a map in [0, 1] at the thresholds 255 to 0, and a bool mask; float64 [256] each.

        Parameters
        ----------
        pred : float [h, w], in [0, 1]
        gt : bool [h, w]

        Returns
        -------
        tuple of float64 [256]
        """
        curves = precision_recall_f(_prepared(pred, gt).dynamic, beta2=self.beta)
        return curves["precision"][0], curves["recall"][0], curves["f"][0]

    def _results(self) -> dict[str, Any]:
        curve, p, r = (
            np.mean(each, axis=0) for each in (self.changeable_fms, self.precisions, self.recalls)
        )
        return {
            "fm": {"adp": np.mean(self.adaptive_fms), "curve": curve},
            "pr": {"p": p, "r": r},
        }


class HumanCorrectionEffortMeasure(SteppedMetric):
    """Human correction effort (human_correction_effort.py); ``get_results()`` is ``{"hce": mean}``.

    Parameters
    ----------
    relax : int
        Borders that are off by less than so many pixels are forgiven.
    epsilon : float
        How far a polyline may be from the border it follows, in pixels.
    """

    def __init__(self, relax: int = 5, epsilon: float = 2.0):
        self.hces: list[float] = []
        self.relax = relax
        self.epsilon = epsilon

    def _add(self, pair: PreparedPair) -> None:
        self.hces.append(np.float64(self._effort(pair.values > 0.5, pair.foreground)))

    def cal_hce(self, pred: NDArray[Any], gt: NDArray[Any]) -> float:
        """Human correction effort of a map in [0, 1] above 0.5 and a bool mask.

        Parameters
        ----------
        pred : float [h, w], in [0, 1]
        gt : bool [h, w]

        Returns
        -------
        float
        """
        return float(self._effort(np.asarray(pred) > 0.5, np.asarray(gt, bool)))

    def _effort(self, binary: NDArray[np.bool_], foreground: NDArray[np.bool_]) -> int:
        outline = outline_mask(foreground)
        return human_correction_effort(binary, outline, self.relax, self.epsilon)

    def _results(self) -> dict[str, Any]:
        return {"hce": np.mean(self.hces)}
