"""The classical metrics and human correction effort with PySODMetrics' interface."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sodbench.metrics.arrays import EPSILON, Floats
from sodbench.metrics.contours import count_vertices
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

    def s_object(self, x: NDArray[Any]) -> float:
        """The object score of the values in one class of a mask.

        Parameters
        ----------
        x : float [n], in [0, 1]

        Returns
        -------
        float
        """
        mean = np.mean(x)
        deviation = np.std(x, ddof=1) if x.size > 1 else 0.0
        return float(2 * mean / (mean**2 + 1 + deviation + EPSILON))

    def ssim(self, pred: NDArray[Any], gt: NDArray[Any]) -> float:
        """The structural similarity of a block of a map and that of the mask.

        Parameters
        ----------
        pred : float [h, w], in [0, 1]
        gt : bool or float [h, w]

        Returns
        -------
        float
        """
        x, y = pred - np.mean(pred), gt - np.mean(gt)
        centre = np.mean(pred) * np.mean(gt)
        spread = np.mean(pred) ** 2 + np.mean(gt) ** 2
        less_one = pred.size - 1 + EPSILON
        alike = 4 * centre * (np.sum(x * y) / less_one)
        scale = spread * (np.sum(x**2) / less_one + np.sum(y**2) / less_one)
        if alike:
            return float(alike / (scale + EPSILON))
        return float(scale == 0)

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
    """E-measure (threshold_metrics.py); ``get_results()`` is ``{"em": {"adp": mean, "curve": [256]}}``.

    Attributes
    ----------
    gt_fg_numel, gt_size : int
        The foreground's and all pixels of the mask that was stepped last.
    """

    gt_fg_numel: int
    gt_size: int

    def __init__(self) -> None:
        self.adaptive_ems: list[float] = []
        self.changeable_ems: list[Floats] = []

    def _add(self, pair: PreparedPair) -> None:
        self.gt_fg_numel, self.gt_size = pair.mask.foreground, pair.foreground.size
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

    def generate_parts_numel_combinations(
        self, fg_fg_numel: Any, fg_bg_numel: Any, pred_fg_numel: Any, pred_bg_numel: Any
    ) -> tuple[list[Any], list[tuple[Any, float]]]:
        """The pixels of each part of a binarised map, and what map and mask are there, less their means.

        Parameters
        ----------
        fg_fg_numel, fg_bg_numel : int or int [n]
            The selected pixels in the foreground and in the background of the mask that was stepped last.
        pred_fg_numel, pred_bg_numel : int or int [n]
            The selected pixels and the others.

        Returns
        -------
        list of int or int [n], list of (float or float [n], float)
            True positives, false positives, false negatives and true negatives.
        """
        missed = self.gt_fg_numel - fg_fg_numel
        map_mean, mask_mean = pred_fg_numel / self.gt_size, self.gt_fg_numel / self.gt_size
        values = [(m - map_mean, g - mask_mean) for m, g in ((1, 1), (1, 0), (0, 1), (0, 0))]
        return [fg_fg_numel, fg_bg_numel, missed, pred_bg_numel - missed], values

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

    def matlab_style_gauss2D(self, shape: tuple[int, int] = (7, 7), sigma: float = 5) -> Floats:
        """A Gaussian filter as MATLAB's fspecial gives it.

        Parameters
        ----------
        shape : (int, int)
        sigma : float
            In pixels.

        Returns
        -------
        float64 [h, w]
            The sum is 1.
        """
        y, x = (np.arange(side) - (side - 1) / 2 for side in shape)
        kernel = np.exp(-(y[:, None] ** 2 + x**2) / (2 * sigma**2))
        kernel[kernel < EPSILON * kernel.max()] = 0
        return np.asarray(kernel / kernel.sum(), np.float64)

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
        self.morphology_kernel = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)

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

    def filter_conditional_boundary(
        self, contours: Sequence[NDArray[Any]], mask: NDArray[Any], condition: NDArray[Any]
    ) -> tuple[list[NDArray[np.int64]], int]:
        """The pieces of contours along which a condition holds next to them, and the regions without such a piece.

        Parameters
        ----------
        contours : sequence of int [n, 1, 2]
            Columns and rows, as OpenCV gives them.
        mask : bool or int [h, w]
            The regions, whose contours these are.
        condition : bool or int [h, w]

        Returns
        -------
        list of int64 [n, 1, 2], int
        """
        labels, number = ndimage.label(mask, np.ones((3, 3)))
        near = ndimage.binary_dilation(condition, self.morphology_kernel)
        boundaries: list[NDArray[np.int64]] = []
        touched = {0}
        for contour in contours:
            pieces: list[list[tuple[int, int]]] = [[]]
            for column, row in contour.reshape(-1, 2).tolist():
                if not near[row, column]:
                    pieces.append([])
                    continue
                # a pixel belongs to the first piece that meets it
                near[row, column] = False
                touched.add(int(labels[row, column]))
                pieces[-1].append((column, row))
            pieces = [piece for piece in pieces if piece]
            if len(pieces) > 1 and np.abs(np.subtract(pieces[0][0], pieces[-1][-1])).max() == 1:
                pieces[-1] += pieces.pop(0)[::-1]
            boundaries += [np.array(piece)[:, None] for piece in pieces]
        return boundaries, number + 1 - len(touched)

    def count_polygon_control_points(
        self, boundaries: Sequence[NDArray[Any]], epsilon: float = 1.0
    ) -> int:
        """The vertices of polylines that approximate boundaries.

        Parameters
        ----------
        boundaries : sequence of int [n, 1, 2]
        epsilon : float
            How far a polyline may be from the boundary, in pixels.

        Returns
        -------
        int
        """
        points = [np.asarray(b, np.int64).reshape(-1, 2).T.copy() for b in boundaries]
        return sum(int(count_vertices(x, y, epsilon)) for x, y in points)

    def _effort(self, binary: NDArray[np.bool_], foreground: NDArray[np.bool_]) -> int:
        outline = outline_mask(foreground)
        return human_correction_effort(binary, outline, self.relax, self.epsilon)

    def _results(self) -> dict[str, Any]:
        return {"hce": np.mean(self.hces)}
