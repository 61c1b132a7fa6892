"""Scores: per-image metrics and their aggregates under one protocol, from counts alone.

The names are those of catalogue.py; docs/protocols.md defines them.  A metric or curve that a protocol does not define for
an image is NaN in that image's row, and the mean over the images leaves it out; whatever is left out is reported.  The one
exception is an undefined S-measure under a protocol that keeps it: the mean is then undefined too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from typing import Protocol as TypingProtocol

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.arrays import Floats
from sodbench.metrics.catalogue import (
    MEASUREMENTS,
    METRICS,
    THRESHOLD_FAMILIES,
    Metric,
    parse_metric,
)
from sodbench.metrics.confusion import (
    PreparedCounts,
    above_value,
    at_adaptive_threshold,
    at_thresholds,
    prepare_counts,
)
from sodbench.metrics.counts import Counts
from sodbench.metrics.parameters import Parameters
from sodbench.metrics.protocols import Protocol, get_protocol
from sodbench.metrics.s_measure import s_measure
from sodbench.metrics.set_metrics import aggregate, mean_over_thresholds
from sodbench.metrics.threshold_metrics import (
    f_measure,
    family_values,
    precision_recall_f,
    ranking_rates,
)
from sodbench.metrics.weighted_f import weighted_f
from sodbench.version import __version__

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "BLOCK",
    "BlockScores",
    "CountsSource",
    "PerImage",
    "Scores",
    "per_image_curves",
    "per_image_metrics",
    "score",
    "score_block",
]


_FOREGROUND_CURVES = ("precision", "recall", "f")
_RANKING_CURVES = ("tpr", "fpr", "ppv")
# Per-image metrics that a protocol may leave undefined; a NaN anywhere else means that the value was not computed.
_MAY_BE_LEFT_OUT = frozenset(
    {"mae", "mba", "f_max", "f_mean", "f_adp", "precision_adp", "recall_adp", "fpr_max", "fpr_mean"}
)
# Pairs processed at a time: their curves stay in the processor's cache, and memory does not grow with their number.
BLOCK = 48


@dataclass(frozen=True)
class BlockScores:
    """The metrics of at most ``BLOCK`` pairs, with their curves summed: what `score` adds up, in a few arrays.

    Attributes
    ----------
    stems : tuple of str
        The names of the n pairs.
    columns : tuple of str
        The names of the metrics.
    scalars : float64 [metrics, n]
        NaN where the protocol defines no value for the image.
    foreground : float64 [n]
        Foreground pixels of each mask under the protocol's rule.
    curves : tuple of str
        The names of the curves.
    sums : float64 [curves, 256]
        Each curve summed over the images that have it.
    defined : dict of str to bool [n]
        For the curves that a protocol may leave undefined, the images that have them.
    """

    stems: tuple[str, ...]
    columns: tuple[str, ...]
    scalars: Floats
    foreground: Floats
    curves: tuple[str, ...]
    sums: Floats
    defined: dict[str, NDArray[np.bool_]]


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


def per_image_metrics(
    counts: Counts, protocol: Protocol, requested: Sequence[str] = ()
) -> PerImage:
    """Compute every metric and every curve of single images.

    Parameters
    ----------
    counts : Counts
    protocol : Protocol
    requested : sequence of str
        Further metrics, with parameters in their names; others are there anyway.

    Returns
    -------
    PerImage

    Raises
    ------
    ValueError
        When the counts do not hold the protocol's rule.
    """
    prepared = prepare_counts(counts, protocol.rule, protocol.map)
    curves = _curves(prepared, protocol, _image_curve_names())

    scalars = {"mae": _mae(counts, prepared, protocol)}
    scalars["s"], scalars["s_object"], scalars["s_region"] = s_measure(prepared)
    scalars["mse"] = _mse(counts, prepared, protocol)
    for metric in METRICS.values():
        # those on request exist where they were counted; the others are NaN where they were not
        name = metric.measurement
        if metric.needs_pixels and not (metric.on_request and not counts.holds(name)):
            if name == "wf":
                beta2 = protocol.weighted_beta2
                scalars[metric.name] = _weighted_f(counts, prepared, protocol, beta2)
            elif MEASUREMENTS[name].is_curve:
                curves[name] = counts.measurement(name, protocol)
            else:
                scalars[metric.name] = counts.measurement(name, protocol)
    adaptive = at_adaptive_threshold(prepared)
    at_adaptive = precision_recall_f(adaptive, beta2=protocol.beta2) | family_values(adaptive)
    if protocol.adaptive_e != ">=":
        adaptive = at_adaptive_threshold(prepared, protocol.adaptive_e)
        at_adaptive["e"] = family_values(adaptive)["e"]
    if protocol.empty_masks == "exclude all":
        for name in _FOREGROUND_CURVES:
            at_adaptive[name][prepared.positives[:, 0] == 0] = np.nan
    scalars |= {f"{name}_adp": values[:, 0] for name, values in at_adaptive.items()}
    for name in ("f", *THRESHOLD_FAMILIES, *_measured_curves(counts)):
        scalars[f"{name}_max"] = curves[name].max(axis=-1)
        scalars[f"{name}_mean"] = mean_over_thresholds(curves[name], name, protocol)
    for metric in _parametric(requested):
        _add_with_parameters(metric, counts, prepared, protocol, scalars, curves)
    return PerImage(scalars, curves, prepared.positives[:, 0])


def per_image_curves(
    counts: Counts, protocol: Protocol, names: Iterable[str] | None = None
) -> PerImage:
    """Compute curves of single images, without any scalar.

    A report's resampling needs no more; this takes less than half the time of `per_image_metrics`.

    Parameters
    ----------
    counts : Counts
    protocol : Protocol
    names : iterable of str, optional
        The curves; all of them by default.

    Returns
    -------
    PerImage
        Without scalars.
    """
    measured = _measured_curves(counts)
    wanted = (*_image_curve_names(), *measured) if names is None else tuple(names)
    prepared = prepare_counts(counts, protocol.rule, protocol.map)
    curves = _curves(prepared, protocol, [name for name in wanted if name not in measured])
    curves |= {name: counts.measurement(name, protocol) for name in measured if name in wanted}
    return PerImage({}, {name: curves[name] for name in wanted}, prepared.positives[:, 0])


def _image_curve_names() -> tuple[str, ...]:
    return ("precision", "recall", "f", "tpr", "ppv", *THRESHOLD_FAMILIES)


def _measured_curves(counts: Counts) -> tuple[str, ...]:
    """The curves that were measured from the pixels."""
    return tuple(name for name, m in MEASUREMENTS.items() if m.is_curve and counts.holds(name))


def _curves(
    prepared: PreparedCounts, protocol: Protocol, wanted: Sequence[str]
) -> dict[str, Floats]:
    """At least the wanted curves, float64 [N, 256] each."""
    confusion = at_thresholds(prepared, protocol.comparison)
    curves = precision_recall_f(confusion, protocol.smoothing, protocol.beta2)
    if not curves.keys() >= set(wanted):
        if protocol.comparison != protocol.secondary_comparison:
            confusion = at_thresholds(prepared, protocol.secondary_comparison)
        # both axes of a ranking's curve come from one comparison; recall may use another one, and smoothing
        curves |= ranking_rates(confusion, protocol.smoothing) | family_values(confusion)
        if protocol.e_comparison:
            curves["e"] = family_values(at_thresholds(prepared, protocol.e_comparison))["e"]
    if protocol.empty_masks != "keep":
        _leave_out_undefined(curves, prepared)
    for name in wanted:
        if (parameters := Parameters.parse(name)) and parameters.beta2:
            curves[name] = f_measure(curves["precision"], curves["recall"], parameters.beta2)
    return curves


def _leave_out_undefined(curves: dict[str, Floats], prepared: PreparedCounts) -> None:
    """Set to NaN what needs pixels of a class that the mask does not have."""
    empty, full = prepared.positives[:, 0] == 0, prepared.negatives[:, 0] == 0
    for name in _FOREGROUND_CURVES:
        curves[name][empty] = np.nan
    for name in _RANKING_CURVES:
        if name in curves:
            curves[name][empty | full] = np.nan


def _mae(counts: Counts, prepared: PreparedCounts, protocol: Protocol) -> Floats:
    """Mean absolute error, on the mask as stored or on its two classes; NaN where the protocol defines none."""
    total = (prepared.positives + prepared.negatives)[:, 0]
    # SalMetric subtracts the grey mask as stored, so this error is counted separately
    if protocol.mae_mask == "raw":
        error: Floats = counts.absolute_error / (255 * total)
        return error
    if protocol.mae_map != protocol.map:
        prepared = prepare_counts(counts, protocol.rule, protocol.mae_map)
    background, foreground = prepared.per_class[:, 0], prepared.per_class[:, 1]
    summed: Floats = (background * prepared.value + foreground * (1 - prepared.value)).sum(axis=-1)
    error = summed / total
    # stretching a constant map divides by zero
    if protocol.constant_mae == "undefined":
        constant = np.count_nonzero(prepared.per_class.any(axis=1), axis=1) == 1
        error[constant] = np.nan
    return error


def _is_parametric(name: str) -> bool:
    """Whether a metric or curve has parameters in its name."""
    return Parameters.parse(name) is not None


def _parametric(names: Iterable[str]) -> list[Metric]:
    """The metrics with parameters among some."""
    return [metric for metric in map(parse_metric, names) if metric.parameters]


def _add_with_parameters(
    metric: Metric,
    counts: Counts,
    prepared: PreparedCounts,
    protocol: Protocol,
    scalars: dict[str, Floats],
    curves: dict[str, Floats],
) -> None:
    """Compute one metric with parameters of N images, and the F curve that it is a function of."""
    parameters = metric.parameters
    if parameters is None:
        return
    beta2 = protocol.beta2 if parameters.beta2 is None else parameters.beta2
    base, form = parameters.base, parameters.base.rpartition("_")[2]
    if parameters.threshold is not None:
        confusion = above_value(prepared, parameters.threshold)
        values = precision_recall_f(confusion, beta2=beta2) | family_values(confusion)
        scalars[metric.name] = values[base][:, 0]
        # what a protocol leaves out of the curves it leaves out of their points
        if base in curves:
            scalars[metric.name][np.isnan(curves[base][:, 0])] = np.nan
    elif base == "wf":
        scalars[metric.name] = _weighted_f(counts, prepared, protocol, beta2)
    elif base == "f_adp":
        precision, recall = scalars["precision_adp"], scalars["recall_adp"]
        scalars[metric.name] = f_measure(precision, recall, beta2)
    else:
        curve = f_measure(curves["precision"], curves["recall"], beta2)
        curves[parameters.curve] = curve
        if metric.per_image:
            is_max = form == "max"
            scalars[metric.name] = (
                curve.max(axis=-1) if is_max else mean_over_thresholds(curve, "f", protocol)
            )


def _weighted_f(
    counts: Counts, prepared: PreparedCounts, protocol: Protocol, beta2: float
) -> Floats:
    """Weighted F of N images, from the stored weighted precision and recall."""
    precision, recall = counts.measurement("wf", protocol).T
    scores = weighted_f(precision, recall, beta2)
    if protocol.empty_weighted_f == "background":
        pixels = (prepared.per_class[:, 0] * prepared.value).sum(axis=-1)
        mean = pixels / (prepared.positives + prepared.negatives)[:, 0]
        empty = (prepared.positives[:, 0] == 0) & ~np.isnan(scores)
        scores[empty] = 1 - mean[empty]
    return scores


def _mse(counts: Counts, prepared: PreparedCounts, protocol: Protocol) -> Floats:
    """Mean squared error of the min-max map against the binary mask, whatever the protocol does to the map."""
    if protocol.map != "min-max":
        prepared = prepare_counts(counts, protocol.rule, "min-max")
    background, foreground = prepared.per_class[:, 0], prepared.per_class[:, 1]
    squared = background * prepared.value**2 + foreground * (1 - prepared.value) ** 2
    error: Floats = squared.sum(axis=-1) / (prepared.positives + prepared.negatives)[:, 0]
    return error


@dataclass(frozen=True)
class Scores:
    """What a method reaches on a set of pairs under one protocol.

    Attributes
    ----------
    protocol : str
        The protocol's name.
    n : int
        The number of pairs.
    metrics : dict of str to float
        Aggregates by name; NaN where no pair has a value.
    curves : dict of str to float64 [256]
        The means over images at the thresholds 0..255.  ``f`` is the curve whose maximum is ``f_max`` under the
        protocol: ``f_meanpr`` (F of the mean precision and recall) or ``f_meanf`` (the mean of the images' F).
    stems : tuple of str
        The names of the pairs.
    image_values : dict of str to float64 [N]
        Each metric of every pair, in the order of ``stems``; NaN where the protocol defines no value.
    undefined : tuple of str
        Stems whose S-measure is undefined (an empty block; see s_measure.py).
    left_out : dict of str to tuple of str
        For ``mae``, ``f_max`` (with every metric of the mean precision and recall) and ``auc_roc`` (with ``ap``), the stems
        that have no value under the protocol and are left out of the mean; a key is absent when there are none.
    empty_masks : tuple of str
        Stems whose mask has no foreground under the protocol's rule.
    comparisons : dict of str to str
        For each curve, how a map is compared with threshold t: ``>`` (255 v > t), ``trunc>=`` (trunc(255 v) >= t) or
        ``>=`` (v >= t / 255), for a map's values v in [0, 1].
    signature : str
        One line that records how the numbers were made; those of different signatures are not comparable.
    """

    protocol: str
    n: int
    metrics: dict[str, float]
    curves: dict[str, Floats]
    stems: tuple[str, ...] = field(repr=False)
    image_values: dict[str, Floats] = field(repr=False)
    undefined: tuple[str, ...] = ()
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)
    empty_masks: tuple[str, ...] = ()
    comparisons: dict[str, str] = field(default_factory=dict)
    signature: str = ""

    @cached_property
    def per_image(self) -> "pd.DataFrame":
        """``image_values`` as a table: one row per pair, index ``stem``, one column per metric."""
        # importing pandas is slow, and not needed for the aggregates
        import pandas as pd

        return pd.DataFrame(self.image_values, pd.Index(self.stems, name="stem", dtype=object))


class CountsSource(TypingProtocol):
    """Where `score` takes counts from, a block of rows at a time: a Counts, or a file of them."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: NDArray[np.intp], /) -> Counts: ...


def score(
    counts: CountsSource,
    protocol: str | Protocol,
    stems: Sequence[str],
    *,
    undefined_s: str | None = None,
    order_by: Sequence[str] | None = None,
    requested: Sequence[str] = (),
    scored: Mapping[str, BlockScores] | None = None,
) -> Scores:
    """Score N counted pairs.

    The aggregates do not depend on the order of the pairs, to the last bit, because they are summed in a fixed order.

    Parameters
    ----------
    counts : CountsSource
    protocol : str or Protocol
    stems : sequence of str
    undefined_s : {"keep", "skip"}, optional
        What to do with undefined S-measures, instead of the protocol's choice.
    order_by : sequence of str, optional
        A key for each pair, by which the sums are ordered; by default its name.
    requested : sequence of str
        Further metrics, with parameters in their names such as ``iou@0.5``; others are there anyway.
    scored : mapping of str to BlockScores, optional
        Blocks scored before in this way, by their first name; used where they are of the pairs that are next.

    Returns
    -------
    Scores

    Raises
    ------
    ValueError
        When there is no pair, names are too few or unknown, or the counts do not hold the protocol's rule.
    """
    protocol = get_protocol(protocol)
    further = tuple(metric.name for metric in _parametric(requested))
    _check_number(len(stems), len(counts))
    order = np.argsort(np.array(order_by or stems, dtype=object), kind="stable")
    names = np.array(stems, dtype=object)
    visited = _visit_blocks(counts, protocol, names, order, further, scored or {})
    undefined_s = undefined_s or protocol.undefined_s
    metrics = _aggregate_visited(visited, protocol, order, undefined_s)
    curves = _with_both_f(visited.curve_means, protocol)
    undefined = _select(names, np.isnan(visited.scalar("s")))
    return Scores(
        protocol=protocol.name,
        n=len(counts),
        metrics={n: v for n, v in metrics.items() if n in further or not _is_parametric(n)},
        curves=curves,
        stems=tuple(stems),
        image_values=visited.by_name,
        undefined=undefined,
        left_out=_left_out(visited, names),
        empty_masks=_select(names, visited.foreground == 0),
        comparisons={name: protocol.comparison_of(name) for name in curves},
        signature=_scores_signature(protocol, len(counts), undefined_s, len(undefined)),
    )


def _check_number(names: int, pairs: int) -> None:
    if names != pairs:
        raise ValueError(f"{names} names for {pairs} pairs")
    if not pairs:
        raise ValueError("there is no pair to score")


def _aggregate_visited(
    visited: "_Visited", protocol: Protocol, order: NDArray[np.intp], undefined_s: str
) -> dict[str, float]:
    """The metrics of the set, from the images' values summed in the given order."""
    means = {
        name: _mean(name, values[order], undefined_s) for name, values in visited.by_name.items()
    }
    metrics = aggregate(means, visited.curve_means, protocol)
    return {name: float(value) for name, value in metrics.items()}


def _scores_signature(protocol: Protocol, n: int, undefined_s: str, n_undefined: int) -> str:
    """What the scores depend on: version, protocol, pairs, and the treatment of what is undefined."""
    fields = [
        f"sodbench:{__version__}",
        f"protocol:{protocol.name}",
        f"n:{n}",
        f"gt:{protocol.mask_signature}",
    ]
    # Only where it applies: a dataset without undefined S-measures has one signature under either treatment
    if n_undefined:
        fields.append(f"undefined:{undefined_s}({n_undefined})")
    return "|".join(fields)


@dataclass(frozen=True)
class _Visited:
    """Every pair's scalars and the mean curves."""

    # The scalars' names
    columns: tuple[str, ...]
    # [metrics, N]
    scalars: Floats
    # Pixels of each mask, [N]
    foreground: Floats
    # [256] each
    curve_means: dict[str, Floats]
    # For the curves that a protocol may leave undefined, the pairs that have them, [N]
    defined: dict[str, NDArray[np.bool_]]

    @cached_property
    def by_name(self) -> dict[str, Floats]:
        """Every scalar, float64 [N]."""
        return dict(zip(self.columns, self.scalars, strict=True))

    def scalar(self, name: str) -> Floats:
        """One metric of every pair, float64 [N]."""
        return self.by_name[name]


def _select(names: NDArray[np.object_], rows: NDArray[np.bool_]) -> tuple[str, ...]:
    """The names of some pairs."""
    return tuple(names[rows].tolist())


def _left_out(visited: _Visited, names: NDArray[np.object_]) -> dict[str, tuple[str, ...]]:
    """The pairs without a value, by the metric whose mean leaves them out."""
    rows = {
        "mae": np.isnan(visited.scalar("mae")),
        "mba": np.isnan(visited.scalar("mba")) if "mba" in visited.columns else np.zeros(1, bool),
        "f_max": ~visited.defined["f"],
        "auc_roc": ~visited.defined["tpr"],
    }
    return {name: _select(names, without) for name, without in rows.items() if without.any()}


def _curves_that_may_be_undefined(requested: Sequence[str]) -> tuple[str, ...]:
    weighted = [m.parameters.curve for m in _parametric(requested) if m.parameters]
    return (*_FOREGROUND_CURVES, *_RANKING_CURVES, *weighted)


def score_block(
    counts: Counts, protocol: Protocol, stems: Sequence[str], requested: Sequence[str] = ()
) -> BlockScores:
    """Compute what `score` needs of a block of pairs, so that blocks can be computed elsewhere and at another time.

    Parameters
    ----------
    counts : Counts
        At most ``BLOCK`` pairs.
    protocol : Protocol
    stems : sequence of str
        Their names.
    requested : sequence of str
        As for `score`.

    Returns
    -------
    BlockScores
    """
    block = per_image_metrics(counts, protocol, requested)
    may_be_undefined = _curves_that_may_be_undefined(requested)
    sums, defined = [], {}
    for name, values in block.curves.items():
        if name in may_be_undefined:
            has_value = ~np.isnan(values[:, 0])
            defined[name] = has_value
            # usually all are defined, and nothing is copied
            values = values if has_value.all() else values[has_value]
        sums.append(values.sum(axis=0))
    return BlockScores(
        stems=tuple(stems),
        columns=tuple(block.scalars),
        scalars=np.array(list(block.scalars.values())),
        foreground=block.foreground,
        curves=tuple(block.curves),
        sums=np.array(sums),
        defined=defined,
    )


def _visit_blocks(
    counts: CountsSource,
    protocol: Protocol,
    names: NDArray[np.object_],
    order: NDArray[np.intp],
    requested: Sequence[str],
    scored: Mapping[str, BlockScores],
) -> _Visited:
    """Collect every pair's metrics, some pairs at a time, and sum the curves in the given order."""
    columns: tuple[str, ...] = ()
    scalars = np.empty((0, len(order)))
    defined = {name: np.ones(len(order), bool) for name in _curves_that_may_be_undefined(requested)}
    foreground = np.empty(len(order))
    sums = {name: np.zeros(256) for name in _image_curve_names()}
    for start in range(0, len(order), BLOCK):
        rows = order[start : start + BLOCK]
        stems = tuple(names[rows].tolist())
        block = scored.get(stems[0])
        if block is None or block.stems != stems:
            block = score_block(counts[rows], protocol, stems, requested)
        for name, total in zip(block.curves, block.sums, strict=True):
            sums.setdefault(name, np.zeros(256))
            sums[name] += total
        for name, has_value in block.defined.items():
            defined[name][rows] = has_value
        if not columns:
            columns = block.columns
            scalars = np.empty((len(columns), len(order)))
        scalars[:, rows] = block.scalars
        foreground[rows] = block.foreground
    means = {}
    for name, total in sums.items():
        images = int(defined[name].sum()) if name in defined else len(order)
        means[name] = total / images if images else np.full(256, np.nan)
    return _Visited(columns, scalars, foreground, means, defined)


def _with_both_f(means: Mapping[str, Floats], protocol: Protocol) -> dict[str, Floats]:
    """The mean curves as Scores names them: ``f`` is the one whose maximum is ``f_max``."""
    meanpr = f_measure(means["precision"], means["recall"], protocol.beta2)
    by_form = {"f_meanf": means["f"], "f_meanpr": meanpr}
    own = {"f": by_form[f"f_{protocol.f_max}"]}
    rest = {
        name: curve
        for name, curve in means.items()
        if name not in _FOREGROUND_CURVES and not _is_parametric(name)
    }
    return {n: means[n] for n in ("precision", "recall")} | own | by_form | rest


def _mean(name: str, values: Floats, undefined_s: str) -> Floats:
    """The mean over images of a per-image metric, without those that have no value."""
    skipped = name in ("s", "s_object", "s_region") and undefined_s == "skip"
    if skipped or name in _MAY_BE_LEFT_OUT or _is_parametric(name):
        values = values[~np.isnan(values)]
    return np.asarray(values.mean() if len(values) else np.nan)
