"""Scores: per-image measures and their aggregates under one protocol, from counts alone.

Names (METRICS in docs/protocols.md): ``mae``; ``f_max`` and its ``precision``, ``recall``, ``threshold``; ``f_mean``, ``f_adp``; the
two honest aggregates ``f_max_meanpr`` (F of the mean precision and recall) and ``f_max_meanf`` (maximum of the mean F
curve), of which the protocol calls one ``f_max``; ``f_max_best`` (mean of the per-image maxima, never called max F); ``s``,
``s_object``, ``s_region``; ``e_max``, ``e_mean``, ``e_adp``; ``wf``; ``iou_*``, ``dice_*``, ``specificity_*``, ``ber_*``, ``accuracy_*``, ``kappa_*``
(PySODMetrics' formula), ``cohen_kappa_*`` with max, mean and adp; ``auc_pr``, ``auc_roc``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import Protocol as Protocol_

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.confusion import (
    PreparedCounts,
    at_adaptive,
    at_thresholds,
    prepare,
)
from sodbench.metrics.counts import PREPARATIONS, Counts
from sodbench.metrics.curves import (
    BINARY_MEASURES,
    binary_measures,
    f_measure,
    precision_recall_f,
)
from sodbench.metrics.protocols import Protocol, protocol
from sodbench.metrics.structure import s_measure

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

CURVES = ("precision", "recall", "f", *BINARY_MEASURES)
_OF_A_BINARISED_MAP = tuple(f"{name}_" for name in CURVES)
LOWER_IS_BETTER = frozenset(
    {"mae", "ber_max", "ber_mean", "ber_adp", "fpr_max", "fpr_mean", "fpr_adp"}
)
BLOCK = 48
"""Pairs worked on at a time: their curves stay in the processor's cache, and memory does not grow with their number."""


@dataclass(frozen=True)
class PerImage:
    """Measures of N images: what a bootstrap resamples.

    scalars: name -> float64 [N]; curves: name -> float64 [N, 256], threshold ascending.
    counted: bool [N], whether the image enters the mean curves (a protocol may exclude empty masks or black maps).
    """

    scalars: dict[str, Floats]
    curves: dict[str, Floats]
    counted: NDArray[np.bool_]


def image_measures(counts: Counts, protocol_: str | Protocol) -> PerImage:
    """Every per-image measure of N pairs under a protocol, and all :data:`CURVES`."""
    rules = protocol(protocol_)
    prepared = prepare(counts, rules.rule, rules.map)
    found = _curves(prepared, rules, CURVES)

    scalars = {"mae": _mae(counts, prepared, rules)}
    scalars["s"], scalars["s_object"], scalars["s_region"] = s_measure(prepared)
    scalars["wf"] = counts.wf[:, PREPARATIONS.index(rules.map)]
    adaptive = at_adaptive(prepared)
    at_once = precision_recall_f(adaptive, beta2=rules.beta2) | binary_measures(adaptive)
    scalars |= {f"{name}_adp": values[:, 0] for name, values in at_once.items()}
    for name in ("f", *BINARY_MEASURES):
        scalars[f"{name}_max"] = found[name].max(axis=-1)
        scalars[f"{name}_mean"] = found[name].mean(axis=-1)

    return PerImage(scalars, found, _counted(prepared, rules))


def image_curves(
    counts: Counts, protocol_: str | Protocol, curve_names: Iterable[str] = CURVES
) -> PerImage:
    """The named curves of N pairs without any scalar: all that a report's resampling needs, in less than half the time."""
    rules = protocol(protocol_)
    prepared = prepare(counts, rules.rule, rules.map)
    wanted = tuple(curve_names)
    found = _curves(prepared, rules, wanted)
    return PerImage({}, {name: found[name] for name in wanted}, _counted(prepared, rules))


def _curves(prepared: PreparedCounts, rules: Protocol, wanted: Sequence[str]) -> dict[str, Floats]:
    """At least the wanted of CURVES, float64 [N, 256] each."""
    confusion = at_thresholds(prepared, rules.comparison)
    found = precision_recall_f(confusion, rules.smoothing, rules.beta2)
    if found.keys() >= set(wanted):
        return found
    if rules.comparison != rules.other_comparison:
        confusion = at_thresholds(prepared, rules.other_comparison)
    return found | binary_measures(confusion)


def _counted(prepared: PreparedCounts, rules: Protocol) -> NDArray[np.bool_]:
    """Which of N pairs the protocol counts in the mean curves."""
    counted = np.ones(len(prepared.positives), bool)
    if rules.empty_masks == "exclude":
        counted &= prepared.positives[:, 0] > 0
    if rules.black_maps == "exclude":
        counted &= prepared.per_class[:, :, 1:].any(axis=(1, 2))
    return counted


def _mae(counts: Counts, prepared: PreparedCounts, rules: Protocol) -> Floats:
    """Mean absolute error, on the mask as stored or on its two classes."""
    total = (prepared.positives + prepared.negatives)[:, 0]
    if rules.mae_mask == "raw":
        error: Floats = counts.absolute_error / (255 * total)
        return error
    if rules.mae_map != rules.map:
        prepared = prepare(counts, rules.rule, rules.mae_map)
    background, foreground = prepared.per_class[:, 0], prepared.per_class[:, 1]
    summed: Floats = (background * prepared.value + foreground * (1 - prepared.value)).sum(axis=-1)
    return summed / total


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
        metrics["f_max_meanpr"] = by_curve["meanpr"].max(axis=-1)
        metrics["f_max_meanf"] = by_curve["meanf"].max(axis=-1)
        metrics["precision"] = np.take_along_axis(p, best[..., None], -1)[..., 0]
        metrics["recall"] = np.take_along_axis(r, best[..., None], -1)[..., 0]
        metrics["threshold"] = best
        metrics["auc_pr"] = _area(r, p)
    if "f_max" in means:
        metrics["f_max_best"] = np.asarray(means["f_max"])
    for name in BINARY_MEASURES:
        if name in curve_means:
            metrics[f"{name}_max"] = curve_means[name].max(axis=-1)
            metrics[f"{name}_mean"] = curve_means[name].mean(axis=-1)
    if "fpr" in curve_means and "recall" in curve_means:
        metrics["auc_roc"] = _area(curve_means["fpr"], curve_means["recall"])
    return metrics


def _area(x: Floats, y: Floats) -> Floats:
    """Area under the curve y(x) by trapezoids, the points sorted by x; float64 [...] of [..., 256]."""
    order = np.argsort(x, axis=-1, kind="stable")
    x, y = np.take_along_axis(x, order, -1), np.take_along_axis(y, order, -1)
    area: Floats = (np.diff(x) * (y[..., 1:] + y[..., :-1]) / 2).sum(axis=-1)
    return area


@dataclass(frozen=True)
class Scores:
    """What a method reaches on a set of pairs under one protocol.

    metrics: name -> aggregate; a measure without a value (no pair counted) is NaN.
    curves: name -> float64 [256], the means over images at thresholds 0..255.
    per_image: one row a pair, index ``stem``, a column a measure.
    undefined: stems whose S-measure is undefined (an empty block; see structure.py).
    uncounted: stems that the protocol leaves out of the mean curves.
    """

    protocol: str
    n: int
    metrics: dict[str, float]
    curves: dict[str, Floats]
    per_image: "pd.DataFrame"
    undefined: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()


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
    scalars = np.empty((0, len(order)))  # a row a measure, in the order of `stems`
    counted = np.empty(len(order), bool)
    curve_sums = {name: np.zeros(256) for name in CURVES}
    for start in range(0, len(order), BLOCK):
        rows = order[start : start + BLOCK]
        block = image_measures(counts[rows], rules)
        kept = slice(None) if block.counted.all() else block.counted  # mostly nothing is copied
        for name, values in block.curves.items():
            curve_sums[name] += values[kept].sum(axis=0)
        if not columns:
            columns = tuple(block.scalars)
            scalars = np.empty((len(columns), len(order)))
        for scalar, values in zip(scalars, block.scalars.values(), strict=True):
            scalar[rows] = values
        counted[rows] = block.counted
        del block, values  # the next one takes their memory
    n_counted = int(counted.sum())
    means = {
        name: _mean(name, x[order], counted[order], undefined_s or rules.undefined_s)
        for name, x in zip(columns, scalars, strict=True)
    }
    mean_curves = {
        name: total / n_counted if n_counted else np.full(256, np.nan)
        for name, total in curve_sums.items()
    }
    names = np.array(stems, dtype=object)
    return Scores(
        protocol=rules.name,
        n=len(counts),
        metrics={name: float(x) for name, x in summarise(means, mean_curves, rules).items()},
        curves=mean_curves,
        per_image=pd.DataFrame(
            scalars.T,
            columns=list(columns),
            index=pd.Index(names, name="stem", dtype=object),
            copy=False,
        ),
        undefined=tuple(names[np.isnan(scalars[columns.index("s")])].tolist()),
        uncounted=tuple(names[~counted].tolist()),
    )


def _mean(name: str, values: Floats, kept: NDArray[np.bool_], undefined_s: str) -> Floats:
    if name in ("s", "s_object", "s_region") and undefined_s == "skip":
        values = values[~np.isnan(values)]
    elif name.startswith(_OF_A_BINARISED_MAP):
        values = values[kept]
    return np.asarray(values.mean() if len(values) else np.nan)
