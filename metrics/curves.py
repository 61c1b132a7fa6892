"""Measures of a binarised map: each is a function of the confusion, at any number of thresholds.

With TP, FP, FN, TN the pixels selected and foreground, selected and background, and so on; N all of them:

    precision    TP / (TP + FP)                     recall       TP / (TP + FN)
    F            (1 + b2) P R / (b2 P + R)          IoU          TP / (TP + FP + FN)
    Dice         2 TP / (2 TP + FP + FN)            specificity  TN / (TN + FP)
    BER          1 - (recall + specificity) / 2     accuracy     (TP + TN) / N
    Cohen's kappa  (accuracy - e) / (1 - e), e = [(TP+FP)(TP+FN) + (TN+FN)(TN+FP)] / N^2

An undefined quotient counts as 0, as in PySODMetrics 1.6.2.  b2 = 0.3 is the field's convention for F (Achanta et
al., CVPR 2009).
"""

import numba
import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.confusion import Confusion

Floats = NDArray[np.float64]


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """numerator / denominator, 0 where the denominator is 0."""
    if numerator.shape != denominator.shape:
        numerator, denominator = np.broadcast_arrays(numerator, denominator)
    found: Floats = _ratio(numerator.ravel(), denominator.ravel()).reshape(numerator.shape)
    return found


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _ratio(numerator, denominator):  # type: ignore[no-untyped-def]
    found = np.empty(len(numerator))
    for i in range(len(numerator)):
        found[i] = numerator[i] / denominator[i] if denominator[i] != 0 else 0.0
    return found


def precision(c: Confusion, smoothing: float = 0.0) -> Floats:
    """Share of the selected pixels that are foreground; ``smoothing`` is added above and below (SalMetric)."""
    return ratio(c.tp + smoothing, c.tp + c.fp + smoothing)


def recall(c: Confusion, smoothing: float = 0.0) -> Floats:
    """Share of the foreground that is selected; ``smoothing`` as in :func:`precision`."""
    return ratio(c.tp + smoothing, c.positives + smoothing)


def f_measure(precision_: Floats, recall_: Floats, beta2: float = 0.3) -> Floats:
    """F of a precision and a recall; 0 where both are 0."""
    return ratio((1 + beta2) * precision_ * recall_, beta2 * precision_ + recall_)


def iou(c: Confusion) -> Floats:
    """Intersection over union."""
    return ratio(c.tp, c.positives + c.fp)


def dice(c: Confusion) -> Floats:
    """Dice coefficient, the F-measure with b2 = 1."""
    return ratio(2 * c.tp, c.tp + c.fp + c.positives)


def specificity(c: Confusion) -> Floats:
    """Share of the background that is not selected."""
    return ratio(c.tn, c.negatives)


def fpr(c: Confusion) -> Floats:
    """Share of the background that is selected."""
    return ratio(c.fp, c.negatives)


def ber(c: Confusion) -> Floats:
    """Balanced error rate; a class that the mask lacks counts as wholly wrong."""
    return 1 - 0.5 * (recall(c) + specificity(c))


def accuracy(c: Confusion) -> Floats:
    """Share of the pixels that are right."""
    return ratio(c.tp + c.tn, c.total)


def cohen_kappa(c: Confusion) -> Floats:
    """Agreement beyond chance (Cohen 1960)."""
    found: Floats = _kappa(c.flat, True).reshape(c.tp.shape)
    return found


def kappa(c: Confusion) -> Floats:
    """Kappa as PySODMetrics 1.6.2 computes it: its chance term has (TN + FN)(TN + TP), which is not Cohen's."""
    found: Floats = _kappa(c.flat, False).reshape(c.tp.shape)
    return found


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _kappa(confusion, cohens):  # type: ignore[no-untyped-def]
    """float64 [M] of a Confusion.flat [4, M], with one of the two chance terms."""
    found = np.zeros(confusion.shape[1])
    for i in range(len(found)):
        tp, fp = confusion[0, i], confusion[1, i]
        positives, negatives = confusion[2, i], confusion[3, i]
        total = positives + negatives
        if total == 0:
            continue
        selected, right = tp + fp, tp + (negatives - fp)
        also_negative = negatives if cohens else right
        chance = (selected * positives + (total - selected) * also_negative) / total**2
        if chance != 1:
            found[i] = (right / total - chance) / (1 - chance)
    return found
