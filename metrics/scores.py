"""Scores: per-image metrics and their aggregates under one protocol, from counts alone.

The names are those of catalogue.py; docs/protocols.md defines them.  A metric or curve that a protocol does not define for
an image is NaN in that image's row, and the mean over the images leaves it out; whatever is left out is reported.  The one
exception is an undefined S-measure under a protocol that keeps it: the mean is then undefined too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from typing import Protocol as Protocol_

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.catalogue import LOWER_IS_BETTER
from sodbench.metrics.confusion import (
    PreparedCounts,
    at_adaptive,
    at_thresholds,
    prepare,
)
from sodbench.metrics.counts import Counts
from sodbench.metrics.protocols import Protocol, protocol
from sodbench.metrics.s_measure import s_measure
from sodbench.metrics.threshold_metrics import (
    BINARY_MEASURES,
    binary_measures,
    f_measure,
    precision_recall_f,
    ranking_rates,
)
from sodbench.version import __version__

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "BLOCK",
    "CURVES",
    "LOWER_IS_BETTER",
    "CountsSource",
    "PerImage",
    "Scores",
    "image_curves",
    "image_measures",
    "score",
    "summarise",
]

Floats = NDArray[np.float64]

CURVES = ("precision", "recall", "f", "tpr", "ppv", *BINARY_MEASURES)
"""The curves of a single image."""
_FOREGROUND_CURVES = ("precision", "recall", "f")
_RANKING_CURVES = ("tpr", "fpr", "ppv")
_MAY_BE_LEFT_OUT = frozenset({"mae", "f_max", "f_mean", "fpr_max", "fpr_mean"})
"""Per-image metrics that a protocol may leave undefined; a NaN anywhere else means that the value was not computed."""
BLOCK = 48
"""Pairs worked on at a time: their curves stay in the processor's cache, and memory does not grow with their number."""


@dataclass(frozen=True)
class PerImage:
    """Metrics of N images: what a bootstrap resamples.

    Attributes
    ----------
    scalars : dict of str to float64 [N]
        NaN where the protocol defines no value for the image.
    curves : dict of str to float64 [N, 256]
        Thresholds ascending; a row of NaN where the protocol defines no value for the image.
    foreground : float64 [N]
        Foreground pixels of each mask under the protocol's rule.
    """

    scalars: dict[str, Floats]
    curves: dict[str, Floats]
    foreground: Floats


def image_measures(counts: Counts, protocol_: str | Protocol) -> PerImage:
    """Every per-image metric of N pairs under a protocol, and all :data:`CURVES`."""
    rules = protocol(protocol_)
    prepared = prepare(counts, rules.rule, rules.map)
    found = _curves(prepared, rules, CURVES)

    scalars = {"mae": _mae(counts, prepared, rules)}
    scalars["s"], scalars["s_object"], scalars["s_region"] = s_measure(prepared)
    scalars["wf"] = counts.weighted_f(rules.map, rules.rule)
    adaptive = at_adaptive(prepared)
    at_once = precision_recall_f(adaptive, beta2=rules.beta2) | binary_measures(adaptive)
    scalars |= {f"{name}_adp": values[:, 0] for name, values in at_once.items()}
    for name in ("f", *BINARY_MEASURES):
        scalars[f"{name}_max"] = found[name].max(axis=-1)
        scalars[f"{name}_mean"] = found[name].mean(axis=-1)

    return PerImage(scalars, found, prepared.positives[:, 0])


def image_curves(
    counts: Counts, protocol_: str | Protocol, curve_names: Iterable[str] = CURVES
) -> PerImage:
    """The named curves of N pairs without any scalar: all that a report's resampling needs, in less than half the time."""
    rules = protocol(protocol_)
    prepared = prepare(counts, rules.rule, rules.map)
    wanted = tuple(curve_names)
    found = _curves(prepared, rules, wanted)
    return PerImage({}, {name: found[name] for name in wanted}, prepared.positives[:, 0])


def _curves(prepared: PreparedCounts, rules: Protocol, wanted: Sequence[str]) -> dict[str, Floats]:
    """At least the wanted of CURVES, float64 [N, 256] each."""
    confusion = at_thresholds(prepared, rules.comparison)
    found = precision_recall_f(confusion, rules.smoothing, rules.beta2)
    if not found.keys() >= set(wanted):
        if rules.comparison != rules.other_comparison:
            confusion = at_thresholds(prepared, rules.other_comparison)
        # both axes of a ranking's curve come from one comparison; recall may be of another one, and smoothed
        found |= ranking_rates(confusion, rules.smoothing) | binary_measures(confusion)
    if rules.empty_masks == "exclude":
        _leave_out_undefined(found, prepared)
    return found


def _leave_out_undefined(found: dict[str, Floats], prepared: PreparedCounts) -> None:
    """Set to NaN what needs pixels of a class that the mask does not have."""
    empty, full = prepared.positives[:, 0] == 0, prepared.negatives[:, 0] == 0
    for name in _FOREGROUND_CURVES:
        found[name][empty] = np.nan
    for name in _RANKING_CURVES:
        if name in found:
            found[name][empty | full] = np.nan


def _mae(counts: Counts, prepared: PreparedCounts, rules: Protocol) -> Floats:
    """Mean absolute error, on the mask as stored or on its two classes; NaN where the protocol defines none."""
    total = (prepared.positives + prepared.negatives)[:, 0]
    if rules.mae_mask == "raw":
        error: Floats = counts.absolute_error / (255 * total)
        return error
    if rules.mae_map != rules.map:
        prepared = prepare(counts, rules.rule, rules.mae_map)
    background, foreground = prepared.per_class[:, 0], prepared.per_class[:, 1]
    summed: Floats = (background * prepared.value + foreground * (1 - prepared.value)).sum(axis=-1)
    error = summed / total
    if rules.constant_mae == "undefined":
        constant = np.count_nonzero(prepared.per_class.any(axis=1), axis=1) == 1
        error[constant] = np.nan
    return error


def summarise(
    means: dict[str, Floats], curve_means: dict[str, Floats], protocol_: str | Protocol
) -> dict[str, Floats]:
    """The aggregates from the means over images of the scalars [...] and of the curves [..., 256].

    Any leading axes are kept, so that a bootstrap can hand in its resampled means at once.  ``s`` and the other scalars are
    passed on; the maxima and means of the curves replace the per-image ones.
    """
    rules = protocol(protocol_)
    metrics = {
        name: np.asarray(value)
        for name, value in means.items()
        if not name.endswith(("_max", "_mean"))
    }
    if {"precision", "recall", "f"} <= curve_means.keys():
        p, r = curve_means["precision"], curve_means["recall"]
        by_curve = {"meanpr": f_measure(p, r, rules.beta2), "meanf": curve_means["f"]}
        best = by_curve[rules.f_max].argmax(axis=-1)
        metrics["f_max"] = by_curve[rules.f_max].max(axis=-1)
        metrics["f_mean"] = by_curve[rules.f_max].mean(axis=-1)
        for form, curve in by_curve.items():
            metrics[f"f_max_{form}"] = curve.max(axis=-1)
            metrics[f"f_mean_{form}"] = curve.mean(axis=-1)
        metrics["precision"] = np.take_along_axis(p, best[..., None], -1)[..., 0]
        metrics["recall"] = np.take_along_axis(r, best[..., None], -1)[..., 0]
        metrics["threshold"] = np.where(np.isnan(metrics["f_max"]), np.nan, best)
        metrics["auc_pr"] = _area(r, p)
    if "f_max" in means:
        metrics["f_max_best"] = np.asarray(means["f_max"])
    for name in BINARY_MEASURES:
        if name in curve_means:
            metrics[f"{name}_max"] = curve_means[name].max(axis=-1)
            metrics[f"{name}_mean"] = curve_means[name].mean(axis=-1)
    if "fpr" in curve_means and "tpr" in curve_means:
        metrics["auc_roc"] = _roc_area(curve_means["fpr"], curve_means["tpr"])
    if "ppv" in curve_means and "tpr" in curve_means:
        metrics["ap"] = _average_precision(curve_means["ppv"], curve_means["tpr"])
    return metrics


def _average_precision(precision: Floats, recall: Floats) -> Floats:
    """Sum of (R_k - R_k-1) P_k from the highest threshold to the lowest, with R = 0 before it; [...] of [..., 256]."""
    gained = np.diff(recall[..., ::-1], axis=-1, prepend=0)
    found: Floats = (gained * precision[..., ::-1]).sum(axis=-1)
    return found


def _roc_area(fpr: Floats, tpr: Floats) -> Floats:
    """Area under the ROC curve.

    Maps of which everything is selected at every threshold give the single point (1, 1).  They rank no pixel above
    another, as a black map does, so their area is that of the diagonal, 1/2.
    """
    everything = (fpr.min(axis=-1) == 1) & (tpr.min(axis=-1) == 1)
    return np.where(everything, 0.5, _area(fpr, tpr))


def _with_both_f(means: Mapping[str, Floats], rules: Protocol) -> dict[str, Floats]:
    """The mean curves as Scores names them: ``f`` is the one whose maximum is ``f_max``."""
    meanpr = f_measure(means["precision"], means["recall"], rules.beta2)
    by_form = {"f_meanf": means["f"], "f_meanpr": meanpr}
    own = {"f": by_form[f"f_{rules.f_max}"]}
    rest = {name: curve for name, curve in means.items() if name not in _FOREGROUND_CURVES}
    return {n: means[n] for n in ("precision", "recall")} | own | by_form | rest


def _area(x: Floats, y: Floats) -> Floats:
    """Area under the curve y(x) by trapezoids; float64 [...] of [..., 256].

    x falls as the threshold rises, so the points are in order already.  Sorting them by x would mix up those that share
    one: the path has to reach the last of them in the order of the thresholds before it continues.
    """
    area: Floats = ((x[..., :-1] - x[..., 1:]) * (y[..., 1:] + y[..., :-1]) / 2).sum(axis=-1)
    return area


@dataclass(frozen=True)
class Scores:
    """What a method reaches on a set of pairs under one protocol.

    Attributes
    ----------
    protocol : str
        The protocol's name.
    n : int
        The number of pairs.
    signature : str
        One line that says how the numbers were made; those of different signatures are not comparable.
    metrics : dict of str to float
        Aggregates by name; NaN where no pair has a value.
    curves : dict of str to float64 [256]
        The means over images at the thresholds 0..255.  ``f`` is the curve whose maximum is ``f_max`` under the
        protocol: ``f_meanpr`` (F of the mean precision and recall) or ``f_meanf`` (the mean of the images' F).
    comparisons : dict of str to str
        For each curve, how a map is compared with threshold t: ``>`` (255 v > t), ``trunc>=`` (trunc(255 v) >= t) or
        ``>=`` (v >= t / 255), for a map's values v in [0, 1].
    per_image : pandas.DataFrame
        One row a pair, index ``stem``, a column a metric; NaN where the protocol defines no value.
    undefined : tuple of str
        Stems whose S-measure is undefined (an empty block; see structure.py).
    left_out : dict of str to tuple of str
        For ``mae``, ``f_max`` (with every metric of the mean precision and recall) and ``auc_roc`` (with ``ap``), the stems
        that have no value under the protocol and are left out of the mean; a key is absent when there are none.
    empty_masks : tuple of str
        Stems whose mask has no foreground under the protocol's rule.
    """

    protocol: str
    n: int
    metrics: dict[str, float]
    curves: dict[str, Floats]
    per_image: "pd.DataFrame"
    undefined: tuple[str, ...] = ()
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)
    empty_masks: tuple[str, ...] = ()
    comparisons: dict[str, str] = field(default_factory=dict)
    signature: str = ""


class CountsSource(Protocol_):
    """Where :func:`score` takes counts from, a block of rows at a time: a Counts, or a file of them."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: NDArray[np.intp], /) -> Counts: ...


def score(
    counts: CountsSource,
    protocol_: str | Protocol,
    stems: Sequence[str],
    *,
    undefined_s: str | None = None,
    order_by: Sequence[str] | None = None,
) -> Scores:
    """Score N counted pairs.

    stems: their names.  undefined_s: ``keep`` or ``skip`` undefined S-measures, instead of the protocol's choice.
    The aggregates do not depend on the order of the pairs, to the last bit, because they are summed in the order of
    ``order_by``, a key for each pair; by default its name.
    """
    import pandas as pd  # slow, and not needed where pairs are only counted

    rules = protocol(protocol_)
    if len(stems) != len(counts):
        raise ValueError(f"{len(stems)} names for {len(counts)} pairs")
    if not len(counts):
        raise ValueError("there is no pair to score")
    order = np.argsort(np.array(order_by or stems, dtype=object), kind="stable")
    columns: tuple[str, ...] = ()
    scalars = np.empty((0, len(order)))  # a row a metric, in the order of `stems`
    has_value = {
        name: np.ones(len(order), bool) for name in (*_FOREGROUND_CURVES, *_RANKING_CURVES)
    }
    foreground = np.empty(len(order))
    curve_sums = {name: np.zeros(256) for name in CURVES}
    for start in range(0, len(order), BLOCK):
        rows = order[start : start + BLOCK]
        block = image_measures(counts[rows], rules)
        for name, values in block.curves.items():
            if name in has_value:
                defined = ~np.isnan(values[:, 0])
                has_value[name][rows] = defined
                values = values if defined.all() else values[defined]  # mostly nothing is copied
            curve_sums[name] += values.sum(axis=0)
        if not columns:
            columns = tuple(block.scalars)
            scalars = np.empty((len(columns), len(order)))
        for scalar, values in zip(scalars, block.scalars.values(), strict=True):
            scalar[rows] = values
        foreground[rows] = block.foreground
        del block, values  # the next one takes their memory
    means = {
        name: _mean(name, x[order], undefined_s or rules.undefined_s)
        for name, x in zip(columns, scalars, strict=True)
    }
    mean_curves = {}
    for name, total in curve_sums.items():
        images = int(has_value[name].sum()) if name in has_value else len(order)
        mean_curves[name] = total / images if images else np.full(256, np.nan)
    names = np.array(stems, dtype=object)
    without_value = {
        "mae": np.isnan(scalars[columns.index("mae")]),
        "f_max": ~has_value["f"],
        "auc_roc": ~has_value["tpr"],
    }
    curves = _with_both_f(mean_curves, rules)
    undefined = tuple(names[np.isnan(scalars[columns.index("s")])].tolist())
    rule = undefined_s or rules.undefined_s
    signature = [f"sodbench:{__version__}", f"protocol:{rules.name}", f"n:{len(counts)}"]
    signature += [f"gt:{rules.mask_signature}"]
    signature += [f"undefined:{rule}({len(undefined)})"] * bool(undefined)
    return Scores(
        protocol=rules.name,
        n=len(counts),
        metrics={name: float(x) for name, x in summarise(means, mean_curves, rules).items()},
        curves=curves,
        per_image=pd.DataFrame(
            scalars.T,
            columns=list(columns),
            index=pd.Index(names, name="stem", dtype=object),
            copy=False,
        ),
        undefined=undefined,
        left_out={
            name: tuple(names[rows].tolist()) for name, rows in without_value.items() if rows.any()
        },
        empty_masks=tuple(names[foreground == 0].tolist()),
        comparisons={name: rules.comparison_of(name) for name in curves},
        signature="|".join(signature),
    )


def _mean(name: str, values: Floats, undefined_s: str) -> Floats:
    """The mean over images of a per-image metric, without those that have no value."""
    skipped = name in ("s", "s_object", "s_region") and undefined_s == "skip"
    if skipped or name in _MAY_BE_LEFT_OUT:
        values = values[~np.isnan(values)]
    return np.asarray(values.mean() if len(values) else np.nan)
