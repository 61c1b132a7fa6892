"""The catalogue: every metric once, with its name, label, direction, what it needs, and its citation.

The command line, reports, training and the tests read names, labels and directions from here.  Only the standard
library is imported, so that checking a name loads neither numpy nor numba.

To add a metric of a binarised map, write its formula in threshold_metrics.py and add one entry to
``_THRESHOLD_FAMILIES``.  To add a metric that needs pixels, write a module with a function of (prepared map, foreground),
add one entry to ``_MEASUREMENTS`` that names it, and one for each metric that follows from it to ``_METRICS``.  Outside this
package the functions of registration.py do the same.
"""

import difflib
from collections.abc import Iterable, Sequence

from sodbench.metrics.entries import Direction, Measurement, Metric, ThresholdFamily
from sodbench.metrics.parameters import Parameters
from sodbench.metrics.parametric import derive_metric, describe_parameters
from sodbench.metrics.protocols import CURVES_OVER_LEVELS

# The classes of the entries are imported from here, too
__all__ = [
    "DEFAULT_METRICS",
    "MEASUREMENTS",
    "METRICS",
    "PAPER_COLUMNS",
    "REPORT_METRICS",
    "THRESHOLD_FAMILIES",
    "Measurement",
    "Metric",
    "ThresholdFamily",
    "aggregate_names",
    "curve_names",
    "describe_metrics",
    "find_measurements",
    "find_metric",
    "listed_names",
    "parse_metric",
    "per_image_names",
    "pixel_metric_names",
    "select_parametric",
    "suggest",
]

# What ``sodbench eval`` prints when no metric is named
DEFAULT_METRICS = ("mae", "f_max", "precision", "recall", "threshold", "s", "e_max", "wf")
# What a report's tables show when no metric is named: the five classical metrics
REPORT_METRICS = ("mae", "f_max", "s", "e_max", "wf")

# The columns of the papers' tables, by field: what ``--metrics NAME`` shows
PAPER_COLUMNS = {
    "sod": ("mae", "f_max", "s", "e_mean", "e_max", "wf"),
    "dis": ("f_max", "wf", "mae", "s", "e_mean", "hce_raw"),
    "cod": ("s", "wf", "f_mean", "e_mean", "e_max", "mae"),
    "hrsod": ("s", "f_max", "e_mean", "mae"),
    "matting": ("s", "f_max", "e_mean", "mse", "e_max", "f_mean", "wf", "e_adp", "f_adp", "hce_raw", "mba", "biou_max",
                "biou_mean"),
}  # fmt: skip

_THRESHOLD_FAMILIES = (
    ThresholdFamily("e", "E", "E-measure", citation="fan2018", has_overall=False),
    ThresholdFamily("iou", "IoU", "intersection over union"),
    ThresholdFamily("dice", "Dice", "Dice coefficient"),
    # Nothing is selected at the highest threshold of nearly every map, and everything at the lowest one of every map:
    # these maxima are then 1, or at least 0.5, whatever the map is.
    ThresholdFamily("specificity", "specificity", "true negative rate", max_listed=False),
    ThresholdFamily("fpr", "FPR", "false positive rate", "lower", max_listed=False),
    ThresholdFamily("ber", "BER", "balanced error rate", "lower", max_listed=False),
    ThresholdFamily("accuracy", "accuracy", "share of pixels classified correctly"),
    ThresholdFamily("kappa", "kappa", "kappa with the chance term of PySODMetrics"),
    ThresholdFamily("cohen_kappa", "Cohen's kappa", "Cohen's kappa", citation="cohen1960"),
)


def _on_request(
    name: str,
    label: str,
    direction: Direction,
    description: str,
    citation: str,
    measurement: str = "",
) -> Metric:
    """A metric that follows from a measurement, by default of the same name, and is computed only where it is asked for."""
    return Metric(
        name,
        label,
        direction,
        description,
        citation,
        measurement=measurement or name,
        on_request=True,
    )


_MEASUREMENTS = (
    # precision and recall, so that F follows for any beta^2
    Measurement("wf", "weighted_f:weighted_precision_recall_of_map", 2),
    Measurement("biou", "boundary:soft_boundary_iou_of_pair", 256, "min-max", 128, True),
    Measurement("boundary_iou", "boundary:boundary_iou_of_pair", 1, "raw", 128, True),
    Measurement("biou_adp", "boundary:adaptive_boundary_iou"),
    Measurement("tiou", "boundary:thin_boundary_iou_of_pair", 256, "min-max", 128, True),
    Measurement("relaxed_f", "relaxed_boundary_f:relaxed_boundary_f_of_pair", takes_pair=True),
    Measurement("mae_sources", "error_sources:mae_sources_of_pair", 8, "mae", takes_pair=True),
    Measurement("mba", "boundary_accuracy:mean_boundary_accuracy_of_pair", 1, "raw", 128, True),
    Measurement("hce", "human_correction_effort:effort_of_min_max_map", 1, "min-max", 128, True),
    Measurement("hce_raw", "human_correction_effort:effort_of_raw_map", 1, "raw", 128, True),
    # the ratios on all grids, so that any number of them follows
    Measurement("msiou", "multiscale_iou:adaptive_grid_ratios", 10),
    Measurement("si_mae", "size_invariant:size_invariant_mae"),
    Measurement("cm", "context_measure:context_measure"),
)

# Where MAE comes from (error_sources.py); together they are MAE
_MAE_SOURCES = {
    "missed": "part of MAE: foreground at one half or below, away from the contour",
    "spurious": "part of MAE: background above one half, away from the contour",
    "boundary": "part of MAE: pixels within 2 % of the diagonal of the contour",
    "grey": "part of MAE: pixels on the right side of one half that are not 0 or 1, away from the contour",
}

# fmt: off
_F_CURVES = ("precision", "recall", "f")
_METRICS = (
    Metric("mae", "MAE", "lower", "mean absolute error of the map against the mask", "perazzi2012"),
    Metric("s", "S", "higher", "S-measure, structural similarity", "fan2017"),
    Metric("s_object", "S object", "higher", "object part of the S-measure", "fan2017"),
    Metric("s_region", "S region", "higher", "region part of the S-measure", "fan2017"),
    Metric("wf", "weighted F", "higher", "weighted F-measure, beta^2 = 1", "margolin2014",
           measurement="wf"),
    Metric("precision_adp", "adaptive precision", "higher",
           "precision at the adaptive threshold, mean over images", "achanta2009"),
    Metric("recall_adp", "adaptive recall", "higher",
           "recall at the adaptive threshold, mean over images", "achanta2009"),
    Metric("f_adp", "adaptive F", "higher",
           "F-measure at the adaptive threshold, mean over images", "achanta2009"),
    Metric("f_max", "max F", "higher",
           "max F as the protocol defines it: f_max_meanpr or f_max_meanf", "achanta2009", _F_CURVES),
    Metric("f_mean", "mean F", "higher",
           "mean of the curve of f_max over the thresholds", "achanta2009", _F_CURVES),
    Metric("f_max_meanpr", "max F (mean P, R)", "higher",
           "maximum of F of the mean precision and recall", "achanta2009", _F_CURVES, per_image=False),
    Metric("f_max_meanf", "max F (mean F)", "higher",
           "maximum of the mean of the images' F curves", "achanta2009", _F_CURVES, per_image=False),
    Metric("f_mean_meanpr", "mean F (mean P, R)", "higher",
           "mean over the thresholds of F of the mean precision and recall", "achanta2009", _F_CURVES,
           per_image=False),
    Metric("f_mean_meanf", "mean F (mean F)", "higher",
           "mean over the thresholds of the mean of the images' F curves", "achanta2009", _F_CURVES,
           per_image=False),
    Metric("f_max_best", "mean of best F", "higher",
           "mean over images of each image's own best F; no program's max F", "achanta2009", per_image=False),
    Metric("precision", "precision", "higher",
           "mean precision where f_max is reached", "achanta2009", _F_CURVES, per_image=False),
    Metric("recall", "recall", "higher",
           "mean recall where f_max is reached", "achanta2009", _F_CURVES, per_image=False),
    Metric("threshold", "threshold", "neither",
           "grey level 0 to 255 where f_max is reached", curves=_F_CURVES, per_image=False),
    Metric("ap", "AP", "higher",
           "average precision: mean precision weighted by the recall gained, from recall 0",
           curves=("tpr", "ppv"), per_image=False),
    Metric("auc_pr", "AUC-PR", "higher",
           "area under the precision-recall points between the recalls reached; 0 for a perfect map, use ap",
           curves=_F_CURVES, per_image=False, listed=False),
    Metric("auc_roc", "AUC-ROC", "higher", "area under the mean ROC curve",
           curves=("tpr", "fpr"), per_image=False),
    *(metric for family in _THRESHOLD_FAMILIES for metric in family.metrics()),
    Metric("ece", "ECE", "lower",
           "expected calibration error: how far the share of foreground at each grey level is from the level", "guo2017",
           curves=("level_share", "level_foreground"), per_image=False),
    Metric("mse", "MSE", "lower", "mean squared error of the min-max map against the binary mask"),
    Metric("biou_max", "max BIoU", "higher",
           "maximum of the mean curve: IoU of the grey rims of map and mask", "kim2022", ("biou",),
           measurement="biou", on_request=True),
    Metric("biou_mean", "mean BIoU", "higher",
           "mean of the mean curve over the thresholds: IoU of the grey rims of map and mask", "kim2022", ("biou",),
           measurement="biou", on_request=True),
    _on_request("boundary_iou", "boundary IoU", "higher",
                "IoU along the contours, map as stored above 128", "cheng2021"),
    _on_request("biou_adp", "adaptive boundary IoU", "higher",
                "IoU along the contours, at the adaptive threshold", "cheng2021"),
    _on_request("mba", "mBA", "higher",
                "mean accuracy near the contour at five distances, map as stored above 128; about 0.5 for a black map",
                "cheng2020"),
    _on_request("hce", "HCE", "lower",
                "human correction effort of the min-max map above 0.5 (PySODMetrics)", "qin2022"),
    _on_request("hce_raw", "HCE (raw)", "lower",
                "human correction effort of the map as stored above 128 (DIS, BiRefNet)", "qin2022"),
    _on_request("relaxed_f", "relaxed boundary F", "higher",
                "F of the outlines within 3 pixels of each other, map above 0.5, b2 = 0.3", "qin2020"),
    Metric("tiou_max", "max TIoU", "higher",
           "maximum of the mean curve: IoU of the map with the mask's thin rim, on that rim", "kim2022", ("tiou",),
           measurement="tiou", on_request=True),
    Metric("tiou_mean", "mean TIoU", "higher",
           "mean of the mean curve over the thresholds: IoU of the map with the mask's thin rim, on that rim", "kim2022",
           ("tiou",), measurement="tiou", on_request=True),
    _on_request("msiou_adp", "adaptive multi-scale IoU", "higher",
                "share of the mask's outline that the map's outline meets, at the adaptive threshold", "ahmadzadeh2021",
                "msiou"),
    *(_on_request(f"mae_{source}", f"MAE, {source}", "lower", what, "", "mae_sources")
      for source, what in _MAE_SOURCES.items()),
    _on_request("si_mae", "size-invariant MAE", "lower",
                "MAE in which every object of the mask has the same weight", "li2024"),
    _on_request("cm", "context measure", "higher",
                "agreement of map and mask, weighted by each pixel's spatial context", "wang2025"),
)
# fmt: on

# Every metric by its name, in the order in which tables show them
METRICS: dict[str, Metric] = {metric.name: metric for metric in _METRICS}
# Every family of metrics of a binarised map by its name
THRESHOLD_FAMILIES: dict[str, ThresholdFamily] = {f.name: f for f in _THRESHOLD_FAMILIES}
# Every measurement of pixels by its name
MEASUREMENTS: dict[str, Measurement] = {m.name: m for m in _MEASUREMENTS}


def aggregate_names() -> tuple[str, ...]:
    """The metrics that every scored set of images has.

    Returns
    -------
    tuple of str
    """
    return tuple(m.name for m in METRICS.values() if not m.on_request)


def per_image_names() -> tuple[str, ...]:
    """The metrics that every scored image has: the columns of ``scores.csv``.

    Returns
    -------
    tuple of str
    """
    return tuple(m.name for m in METRICS.values() if m.per_image and not m.on_request)


def listed_names() -> tuple[str, ...]:
    """What ``--metrics all`` shows.

    Returns
    -------
    tuple of str
    """
    return tuple(m.name for m in METRICS.values() if m.listed and not m.on_request)


def pixel_metric_names() -> tuple[str, ...]:
    """The metrics that need pixels and are computed for every pair.

    Returns
    -------
    tuple of str
    """
    return tuple(m.name for m in METRICS.values() if m.needs_pixels and not m.on_request)


def curve_names() -> tuple[str, ...]:
    """The curves of a set of images, over 256 thresholds or grey levels each: the keys of ``Scores.curves``.

    Returns
    -------
    tuple of str
    """
    own = ("precision", "recall", "f", "f_meanf", "f_meanpr", "tpr", "ppv")
    return (*own, *THRESHOLD_FAMILIES, *CURVES_OVER_LEVELS)


def find_measurements(names: Iterable[str]) -> tuple[str, ...]:
    """The measurements that metrics need.

    Parameters
    ----------
    names : iterable of str
        Metrics of the catalogue; those that need counts only are ignored.

    Returns
    -------
    tuple of str
        Each once.
    """
    needed = (find_metric(name).measurement for name in names)
    return tuple(dict.fromkeys(measurement for measurement in needed if measurement))


def find_metric(name: str) -> Metric:
    """Look up a metric.

    Parameters
    ----------
    name : str
        May have parameters, see `parse_metric`.

    Returns
    -------
    Metric
        For a name that the catalogue does not have, an entry labelled with that name.
    """
    return METRICS.get(name) or _with_parameters(name) or Metric(name, name, "higher", "")


def parse_metric(name: str) -> Metric:
    """Read the name of a metric, which may have parameters.

    Parameters
    ----------
    name : str
        A name of the catalogue; a fixed threshold, such as ``iou@0.5``, ``f@0.5`` or ``precision@0.25``, for any metric of a
        binarised map; another weight of precision, such as ``f_max(b2=1)``, ``f@0.5(b2=1)`` or ``wf(b2=0.3)``; another number of grids, ``msiou_adp(levels=5)``.

    Returns
    -------
    Metric
        Its ``name`` is the one way to write it: ``iou@.50`` is ``iou@0.5``.

    Raises
    ------
    ValueError
        For an unknown name, and for parameters that make no sense.
    """
    parameters = Parameters.parse(name)
    if parameters and parameters.fault:
        raise ValueError(f"{name}: {parameters.fault}")
    metric = METRICS.get(name) or _with_parameters(name)
    if metric is None:
        meant = suggest(name, tuple(METRICS))
        hint = f" (did you mean {meant}?)" if meant else ""
        if "(" in name or "@" in name:
            hint += "; parameters are written as in iou@0.5, f_max(b2=1), msiou_adp(levels=5)"
        raise ValueError(f"unknown metric {name!r}{hint}")
    return metric


def select_parametric(names: Iterable[str]) -> list[Metric]:
    """The metrics with parameters among some.

    Parameters
    ----------
    names : iterable of str

    Returns
    -------
    list of Metric

    Raises
    ------
    ValueError
        As `parse_metric`.
    """
    return [metric for metric in map(parse_metric, names) if metric.parameters]


def _with_parameters(name: str) -> Metric | None:
    """The metric of a name with parameters; None for any other name."""
    parameters = Parameters.parse(name)
    if parameters is None or parameters.fault:
        return None
    return derive_metric(parameters, METRICS, THRESHOLD_FAMILIES)


def suggest(name: str, known: Sequence[str]) -> str | None:
    """The known name that was probably meant.

    Parameters
    ----------
    name : str
        What was given, e.g. ``MAE`` or ``fmax``.
    known : sequence of str
        The names to choose from.

    Returns
    -------
    str or None
        One of ``known``, or None when nothing is close.
    """

    def plain(text: str) -> str:
        return "".join(character for character in text.lower() if character.isalnum())

    # labels are accepted as hints ("Weighted F", "max F"); names come last and win
    by_plain = {plain(METRICS[other].label): other for other in known if other in METRICS}
    by_plain |= {plain(other): other for other in reversed(known)}
    close = difflib.get_close_matches(plain(name), by_plain, n=1, cutoff=0.6)
    return by_plain[close[0]] if close else None


def describe_metrics() -> str:
    """The catalogue as text, one line per metric and preset; metrics that ``--metrics all`` does not show are marked.

    Returns
    -------
    str
    """
    presets = [f"{name}: {', '.join(metrics)}" for name, metrics in PAPER_COLUMNS.items()]
    listed = listed_names()
    rows = [("name", "label", "better", "of", "what it is")]
    for metric in METRICS.values():
        better = "-" if metric.direction == "neither" else metric.direction
        level = "image, set" if metric.per_image else "set"
        mark = "" if metric.name in listed else " (only when named)"
        rows.append((metric.name, metric.label, better, level, metric.description + mark))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[4]]))
    return "\n".join(
        [
            *lines,
            "",
            "The columns of papers' tables:",
            *presets,
            "",
            "With parameters:",
            *describe_parameters(THRESHOLD_FAMILIES),
        ]
    )
