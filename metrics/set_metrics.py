"""From means over images to the metrics of a set of images: maxima and means of curves, areas under them.

Whoever resamples images aggregates the means of each sample in the same way, so leading axes are kept everywhere.
"""

from collections.abc import Mapping

import numpy as np

from sodbench.metrics.arrays import Floats
from sodbench.metrics.calibration import LEVEL_CURVES, calibration_error
from sodbench.metrics.catalogue import MEASUREMENTS, THRESHOLD_FAMILIES
from sodbench.metrics.overall import overall_values
from sodbench.metrics.parameters import CONFUSION, OVERALL, Parameters
from sodbench.metrics.protocols import Protocol
from sodbench.metrics.threshold_metrics import f_measure


def aggregate(
    means: Mapping[str, Floats], curve_means: Mapping[str, Floats], protocol: Protocol
) -> dict[str, Floats]:
    """Turn means over images into the metrics of the set of images.

    Any leading axes are kept, so that a bootstrap can pass all its resampled means at once.

    Parameters
    ----------
    means : mapping of str to float64 [...]
        Means of per-image metrics.  They are passed on, except for the maxima and means of curves.
    curve_means : mapping of str to float64 [..., 256]
        Means of per-image curves; the metrics whose curves are missing are left out.
    protocol : Protocol
        Which of the two forms of max F is ``f_max``.

    Returns
    -------
    dict of str to float64 [...]
    """
    metrics = {
        name: np.asarray(value)
        for name, value in means.items()
        if not name.endswith(("_max", "_mean"))
    }
    if {"precision", "recall", "f"} <= curve_means.keys():
        p, r = curve_means["precision"], curve_means["recall"]
        by_curve = {"meanpr": f_measure(p, r, protocol.beta2), "meanf": curve_means["f"]}
        # the first maximum: several thresholds may reach it
        best = by_curve[protocol.f_max].argmax(axis=-1)
        metrics["f_max"] = by_curve[protocol.f_max].max(axis=-1)
        metrics["f_mean"] = mean_over_thresholds(by_curve[protocol.f_max], "f", protocol)
        for form, curve in by_curve.items():
            metrics[f"f_max_{form}"] = curve.max(axis=-1)
            metrics[f"f_mean_{form}"] = mean_over_thresholds(curve, "f", protocol)
        metrics["precision"] = np.take_along_axis(p, best[..., None], -1)[..., 0]
        metrics["recall"] = np.take_along_axis(r, best[..., None], -1)[..., 0]
        metrics["threshold"] = np.where(np.isnan(metrics["f_max"]), np.nan, best)
        metrics["auc_pr"] = _area(r, p)
        metrics |= _with_other_weights(curve_means, protocol)
    metrics |= _of_all_pixels(curve_means, protocol)
    # the mean of per-image maxima is no program's max F; it keeps a name of its own
    if "f_max" in means:
        metrics["f_max_best"] = np.asarray(means["f_max"])
    for name in (*THRESHOLD_FAMILIES, *MEASUREMENTS):
        if name in curve_means:
            metrics[f"{name}_max"] = curve_means[name].max(axis=-1)
            metrics[f"{name}_mean"] = mean_over_thresholds(curve_means[name], name, protocol)
    if curve_means.keys() >= set(LEVEL_CURVES):
        metrics["ece"] = calibration_error(*(curve_means[name] for name in LEVEL_CURVES))
    if "fpr" in curve_means and "tpr" in curve_means:
        metrics["auc_roc"] = _roc_area(curve_means["fpr"], curve_means["tpr"])
    if "ppv" in curve_means and "tpr" in curve_means:
        metrics["ap"] = _average_precision(curve_means["ppv"], curve_means["tpr"])
    return metrics


def _with_other_weights(curve_means: Mapping[str, Floats], protocol: Protocol) -> dict[str, Floats]:
    """Maximum and mean of F for each further weight of precision that there is a curve of."""
    p, r = curve_means["precision"], curve_means["recall"]
    metrics = {}
    for name in curve_means:
        parameters = Parameters.parse(name)
        if parameters is None or parameters.beta2 is None or parameters.base == CONFUSION:
            continue
        by_curve = {"meanpr": f_measure(p, r, parameters.beta2), "meanf": curve_means[name]}
        for form, curve in (("", by_curve[protocol.f_max]), *by_curve.items()):
            suffix = f"{'_' * bool(form)}{form}{parameters.weight}"
            metrics[f"f_max{suffix}"] = curve.max(axis=-1)
            metrics[f"f_mean{suffix}"] = mean_over_thresholds(curve, "f", protocol)
    return metrics


def _of_all_pixels(curve_means: Mapping[str, Floats], protocol: Protocol) -> dict[str, Floats]:
    """The overall metrics at each fixed threshold that the pixels are counted at."""
    metrics = {}
    for name, curve in curve_means.items():
        parameters = Parameters.parse(name)
        if parameters is not None and parameters.base == CONFUSION:
            values = overall_values(curve, parameters.beta2 or protocol.beta2)
            for base, value in values.items():
                metrics[f"{OVERALL}{base}{name.removeprefix(CONFUSION)}"] = value
    return metrics


def _average_precision(precision: Floats, recall: Floats) -> Floats:
    """Sum of (R_k - R_k-1) P_k from the highest threshold to the lowest, with R = 0 before it; [...] of [..., 256]."""
    gained = np.diff(recall[..., ::-1], axis=-1, prepend=0)
    area: Floats = (gained * precision[..., ::-1]).sum(axis=-1)
    return area


def _roc_area(fpr: Floats, tpr: Floats) -> Floats:
    """Area under the ROC curve."""
    # Maps of which everything is selected at every threshold give the single point (1, 1). They
    # rank no pixel above another, as a black map does, so their area is that of the diagonal,
    # 1/2.
    everything = (fpr.min(axis=-1) == 1) & (tpr.min(axis=-1) == 1)
    return np.where(everything, 0.5, _area(fpr, tpr))


def _area(x: Floats, y: Floats) -> Floats:
    """Area under the curve y(x) by trapezoids; float64 [...] of [..., 256].

    x falls as the threshold rises, so the points are in order already.  Sorting them by x would mix up those that share
    one: the path has to reach the last of them in the order of the thresholds before it continues.
    """
    area: Floats = ((x[..., :-1] - x[..., 1:]) * (y[..., 1:] + y[..., :-1]) / 2).sum(axis=-1)
    return area


def mean_over_thresholds(curves: Floats, name: str, protocol: Protocol) -> Floats:
    """The mean of curves over the protocol's thresholds, or over all where they are measured.

    Parameters
    ----------
    curves : float64 [..., 256]
    name : str
        The curves' name.
    protocol : Protocol

    Returns
    -------
    float64 [...]
    """
    last = 256 if name in MEASUREMENTS else protocol.n_thresholds
    means: Floats = curves[..., :last].mean(axis=-1)
    return means
