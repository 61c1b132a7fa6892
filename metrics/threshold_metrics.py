"""Metrics of a binarised map: each is a function of the confusion, at any number of thresholds.

With TP, FP, FN, TN the pixels selected and foreground, selected and background, and so on; N all of them:

    precision    TP / (TP + FP)                     recall       TP / (TP + FN)
    F            (1 + b2) P R / (b2 P + R)          IoU          TP / (TP + FP + FN)
    Dice         2 TP / (2 TP + FP + FN)            specificity  TN / (TN + FP)
    BER          1 - (recall + specificity) / 2     accuracy     (TP + TN) / N
    Cohen's kappa  (accuracy - e) / (1 - e), e = [(TP+FP)(TP+FN) + (TN+FN)(TN+FP)] / N^2

An undefined quotient counts as 0, as in PySODMetrics 1.6.2.  b2 = 0.3 is the field's convention for F (Achanta et
al., CVPR 2009).  ``kappa`` is PySODMetrics' kappa, whose chance term has (TN + FN)(TN + TP), which is not Cohen's (1960).

E-measure, the enhanced alignment of a binarised map with its mask (Fan et al., IJCAI 2018).  With B the binary map, G the
mask, and a = B - mean(B), c = G - mean(G) at a pixel, the pixel's alignment is 2ac / (a^2 + c^2), and E is the sum of
(alignment + 1)^2 / 4 over the pixels, divided by their number less one.  A pixel can only be in one of four classes.
Conventions of PySODMetrics 1.6.2: with an empty mask the sum is the number of unselected pixels, with a full one the
number of selected pixels.  An image of one pixel has no meaningful E: the divisor is machine epsilon, as it is there.
"""

import numpy as np

from sodbench.metrics.arrays import EPSILON, Floats
from sodbench.metrics.catalogue import THRESHOLD_FAMILIES
from sodbench.metrics.compiled import compiled
from sodbench.metrics.confusion import Confusion
from sodbench.metrics.registration import registered_formulas


def precision_recall_f(
    confusion: Confusion, smoothing: float = 0.0, beta2: float = 0.3
) -> dict[str, Floats]:
    """Precision, recall and F-measure.

    Parameters
    ----------
    confusion : Confusion
    smoothing : float
        Added to numerator and denominator of precision and recall (SalMetric).
    beta2 : float
        The weight of precision in F.

    Returns
    -------
    dict of str to float64 [N, T]
        ``precision``, ``recall`` and ``f``.
    """
    values = _precision_recall_f(
        confusion.tp, confusion.fp, confusion.positives[:, 0], float(smoothing), float(beta2)
    )
    return dict(zip(("precision", "recall", "f"), values, strict=True))


def ranking_rates(confusion: Confusion, smoothing: float = 0.0) -> dict[str, Floats]:
    """True positive rate and positive predictive value, for the curves of a ranking.

    They are recall and precision under other names: a protocol may take those with another comparison than the false
    positive rate, with which no threshold selects everything.

    Parameters
    ----------
    confusion : Confusion
    smoothing : float
        Added to numerator and denominator of ``ppv``; it decides what precision is where nothing is selected.

    Returns
    -------
    dict of str to float64 [N, T]
        ``tpr``, TP / (TP + FN), and ``ppv``, TP / (TP + FP); 0 where undefined.
    """
    tp = confusion.tp
    selected = tp + confusion.fp + smoothing
    rates = {"tpr": np.zeros_like(tp), "ppv": np.zeros_like(tp)}
    np.divide(tp, confusion.positives, out=rates["tpr"], where=confusion.positives > 0)
    np.divide(tp + smoothing, selected, out=rates["ppv"], where=selected > 0)
    return rates


def family_values(confusion: Confusion) -> dict[str, Floats]:
    """Every threshold family of the catalogue.

    Parameters
    ----------
    confusion : Confusion

    Returns
    -------
    dict of str to float64 [N, T]
        By the family's name, e.g. ``iou``.
    """
    tp, fp = confusion.tp, confusion.fp
    registered = registered_formulas()
    values = {name: np.empty(tp.shape) for name in THRESHOLD_FAMILIES if name not in registered}
    _fill(tp, fp, confusion.positives[:, 0], confusion.negatives[:, 0], **values)
    for name, formula in registered.items():
        computed = formula(tp, fp, confusion.positives, confusion.negatives)
        values[name] = np.asarray(computed, np.float64).reshape(tp.shape)
    return values


def f_measure(precision: Floats, recall: Floats, beta2: float = 0.3) -> Floats:
    """F-measure of a precision and a recall.

    Parameters
    ----------
    precision, recall : float64 [...]
        Of one shape.
    beta2 : float
        The weight of precision.

    Returns
    -------
    float64 [...]
        0 where both are 0.
    """
    precision, recall = np.asarray(precision), np.asarray(recall)
    values: Floats = _f_measures(precision.ravel(), recall.ravel(), float(beta2))
    return values.reshape(precision.shape)


# numpy's error model: a division by zero gives infinity or NaN, and needs no check in the loop
_compiled = compiled(error_model="numpy")


@_compiled
def _quotient(numerator, denominator):  # type: ignore[no-untyped-def]
    return numerator / denominator if denominator != 0 else 0.0


@_compiled
def _f(precision, recall, beta2):  # type: ignore[no-untyped-def]
    return _quotient((1 + beta2) * precision * recall, beta2 * precision + recall)


@_compiled
def _f_measures(precision, recall, beta2):  # type: ignore[no-untyped-def]
    values = np.empty(len(precision))
    for i in range(len(values)):
        values[i] = _f(precision[i], recall[i], beta2)
    return values


@_compiled
def _precision_recall_f(tp, fp, positives, smoothing, beta2):  # type: ignore[no-untyped-def]
    """float64 [3, N, T]."""
    values = np.empty((3, *tp.shape))
    thresholds = range(tp.shape[1])
    for n in range(len(tp)):
        precision, recall, f = values[0, n], values[1, n], values[2, n]
        for t in thresholds:
            precision[t] = _quotient(tp[n, t] + smoothing, tp[n, t] + fp[n, t] + smoothing)
        for t in thresholds:
            recall[t] = _quotient(tp[n, t] + smoothing, positives[n] + smoothing)
        for t in thresholds:
            f[t] = _f(precision[t], recall[t], beta2)
    return values


@_compiled
def _fill(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    tp, fp, positives, negatives, e, iou, dice, specificity, fpr, ber, accuracy, kappa, cohen_kappa
):
    """Compute every family of the catalogue that is not registered from outside: each argument is named after one.

    tp, fp and the families: float64 [N, T]; positives, negatives: float64 [N].  One loop for each family, because LLVM
    vectorises loops that fill one array.
    """
    thresholds = range(tp.shape[1])
    for n in range(len(tp)):
        a, b, p, q = tp[n], fp[n], positives[n], negatives[n]
        for t in thresholds:
            e[n, t] = _e_measure(a[t], b[t], p, q)
        for t in thresholds:
            iou[n, t] = _quotient(a[t], p + b[t])
        for t in thresholds:
            dice[n, t] = _quotient(2 * a[t], a[t] + b[t] + p)
        for t in thresholds:
            specificity[n, t] = _quotient(q - b[t], q)
        for t in thresholds:
            fpr[n, t] = _quotient(b[t], q)
        for t in thresholds:
            ber[n, t] = 1 - 0.5 * (_quotient(a[t], p) + _quotient(q - b[t], q))
        for t in thresholds:
            accuracy[n, t] = _quotient(a[t] + (q - b[t]), p + q)
        for t in thresholds:
            kappa[n, t] = _kappa(a[t], b[t], p, q, a[t] + (q - b[t]))
        for t in thresholds:
            cohen_kappa[n, t] = _kappa(a[t], b[t], p, q, q)


@_compiled
def _kappa(tp, fp, positives, negatives, also_negative):  # type: ignore[no-untyped-def]
    """also_negative: what the unselected pixels are multiplied with in the chance term."""
    total = positives + negatives
    if total == 0:
        return 0.0
    # PySODMetrics multiplies the unselected pixels with the correct ones; Cohen multiplies them with the negatives
    selected, right = tp + fp, tp + (negatives - fp)
    chance = (selected * positives + (total - selected) * also_negative) / total**2
    return (right / total - chance) / (1 - chance) if chance != 1 else 0.0


@_compiled
def _e_measure(tp, fp, positives, negatives):  # type: ignore[no-untyped-def]
    total = positives + negatives
    selected = tp + fp
    map_mean, mask_mean = selected / total, positives / total
    # without one of the classes the alignment is undefined; the original program counts pixels instead
    if positives == 0:
        aligned = total - selected
    elif negatives == 0:
        aligned = selected
    else:
        aligned = (
            tp * _enhanced(1 - map_mean, 1 - mask_mean)
            + fp * _enhanced(1 - map_mean, -mask_mean)
            + (positives - tp) * _enhanced(-map_mean, 1 - mask_mean)
            + (negatives - fp) * _enhanced(-map_mean, -mask_mean)
        )
    return aligned / (total - 1 + EPSILON)


@_compiled
def _enhanced(a, b):  # type: ignore[no-untyped-def]
    """(alignment + 1)^2 / 4 of two deviations from the mean."""
    alignment = 2 * a * b / (a * a + b * b + EPSILON)
    return (alignment + 1) ** 2 / 4
