"""What a report says, before it is said: results in order, intervals, paired comparisons, breakdowns.

Everything here comes from stored counts and per-image tables; no picture is opened.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sodbench.datasets import TEST_SETS
from sodbench.errors import SodbenchError
from sodbench.metrics import PROTOCOLS, Counts, image_curves, protocol, summarise
from sodbench.metrics.curves import f_measure
from sodbench.metrics.scores import BINARY_MEASURES, BLOCK
from sodbench.progress import bar
from sodbench.reports.measures import Measure, choose
from sodbench.reports.statistics import (
    RESAMPLES,
    Aggregate,
    CriticalDifference,
    Floats,
    Interval,
    Reals,
    bootstrap_p,
    critical_difference,
    holm,
    interval,
    percentiles,
    resampling_weights,
    seed_for,
    weighted_means,
    wilcoxon_rows,
    win_tie_loss,
)
from sodbench.results import Result

Key = tuple[str, str]
"""(method, data set)"""

ALPHA = 0.05
SIZES = (("small", 0.0, 0.1), ("medium", 0.1, 0.3), ("large", 0.3, 1.0))
"""Object sizes as shares of the image: at most a tenth, at most three tenths, more."""

_FROM_CURVES = {
    **dict.fromkeys(
        ("f_max", "f_mean", "f_max_meanpr", "f_max_meanf", "precision", "recall", "threshold"),
        ("precision", "recall", "f"),
    ),
    "auc_pr": ("precision", "recall", "f"),
    "auc_roc": ("precision", "recall", "f", "fpr"),
    **{f"{name}_{form}": (name,) for name in BINARY_MEASURES for form in ("max", "mean")},
}
"""The mean curves an aggregate is a function of; every other aggregate is a mean of per-image scores."""


@dataclass(frozen=True)
class Comparison:
    """Two methods on one data set by one measure, paired over the ``images`` that both were scored on.

    difference: the aggregate of ``first`` minus that of ``second``, with its 95 % interval; higher: more is better.
    p: paired bootstrap; p_wilcoxon: signed ranks of the per-image scores; both also Holm-corrected over all pairs of
    methods for this data set and measure.  NaN where it is undefined.
    wins, ties, losses: images on which ``first`` scores better, equal, worse.
    """

    dataset: str
    measure: str
    higher: bool
    first: str
    second: str
    images: int
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    p_wilcoxon: float
    p_wilcoxon_holm: float
    wins: int
    ties: int
    losses: int

    @property
    def winner(self) -> str:
        """The method shown to be better at the 5 % level, or nothing."""
        if not self.p_holm < ALPHA or self.difference == 0:
            return ""
        return self.first if (self.difference > 0) == self.higher else self.second

    @property
    def loser(self) -> str:
        """The other one, if there is a winner."""
        return {self.first: self.second, self.second: self.first}.get(self.winner, "")


@dataclass(frozen=True)
class Study:
    """Results arranged for a report.

    results: by (method, data set); values: methods x (data set, measure name), the aggregates.
    intervals: by (method, data set, measure name).
    comparisons: every pair of methods, for every data set and measure.
    sizes: by (method, data set), the headline measure's interval for each group of :data:`SIZES` (None: no image);
    size_counts: by data set, how many images each group has.
    by_protocol: by (method, data set), max F under every protocol.
    notes: what a reader has to know about how this was computed.
    """

    results: Mapping[Key, Result]
    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    measures: tuple[Measure, ...]
    values: pd.DataFrame
    intervals: Mapping[tuple[str, str, str], Interval]
    comparisons: tuple[Comparison, ...]
    sizes: Mapping[Key, tuple[Interval | None, ...]]
    size_counts: Mapping[str, tuple[int, ...]]
    by_protocol: Mapping[Key, Mapping[str, float]]
    resamples: int
    seed: int
    notes: tuple[str, ...] = ()

    @property
    def sample(self) -> bool:
        """Whether any result comes from the built-in sample."""
        return any(bool(r.provenance.get("sample")) for r in self.results.values())

    def beaten(self) -> dict[tuple[str, str, str], list[str]]:
        """For (method, data set, measure name): the methods it beats at the 5 % level."""
        found: dict[tuple[str, str, str], list[str]] = {}
        for c in self.comparisons:
            if c.winner:
                found.setdefault((c.winner, c.dataset, c.measure), []).append(c.loser)
        return found

    def differing_from(self, baseline: str) -> set[tuple[str, str, str]]:
        """The (method, data set, measure name) whose difference to the baseline is significant."""
        return {
            (c.second if c.first == baseline else c.first, c.dataset, c.measure)
            for c in self.comparisons
            if c.winner and baseline in (c.first, c.second)
        }

    def critical_differences(self) -> dict[str, CriticalDifference]:
        """Per measure, Friedman and Nemenyi over the data sets; only methods that have them all."""
        found = {}
        for measure in (m for m in self.measures if m.direction):
            scores = {
                str(method): list(row)
                for method, row in self.values.xs(measure.name, axis=1, level=1).iterrows()
            }
            whole = {m: s for m, s in scores.items() if np.isfinite(s).all()}
            result = critical_difference(whole, measure.higher) if whole else None
            if result:
                found[measure.name] = result
        return found


def headline(measures: Sequence[Measure]) -> Measure:
    """The measure for figures that show one: max F if it is there, else the first."""
    return next((m for m in measures if m.name == "f_max"), measures[0])


def study(
    results: Sequence[Result],
    *,
    measures: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Study:
    """Arrange results and compute everything a report states.

    measures, methods, datasets: keep these only, in this order.
    Raises :class:`SodbenchError` for a name that no result has and for two results of one method on one set.
    """
    table = _arranged(_kept(results, methods, datasets))
    shown = choose(list(next(iter(table.values())).metrics), measures)
    method_names = tuple(methods or dict.fromkeys(m for m, _ in table))
    dataset_names = tuple(datasets or in_order(d for _, d in table))
    columns = [(d, m.name) for d in dataset_names for m in shown]
    values = pd.DataFrame(
        [[_value(table.get((m, d)), name) for d, name in columns] for m in method_names],
        index=pd.Index(method_names, name="method"),
        columns=pd.MultiIndex.from_tuples(columns, names=["data set", "measure"]),
    )
    parts = []
    with bar(len(table), "statistics", "result") as progress:
        for dataset in dataset_names:
            here = {m: table[m, dataset] for m in method_names if (m, dataset) in table}
            parts.append(_DatasetStudy.of(dataset, here, shown, resamples, seed, progress.update))
    return Study(
        results=table,
        methods=method_names,
        datasets=dataset_names,
        measures=shown,
        values=values,
        intervals={k: v for p in parts for k, v in p.intervals.items()},
        comparisons=tuple(c for p in parts for c in p.comparisons),
        sizes={k: v for p in parts for k, v in p.sizes.items()},
        size_counts={p.dataset: p.size_counts for p in parts},
        by_protocol={k: v for p in parts for k, v in p.by_protocol.items()},
        resamples=resamples,
        seed=seed,
        notes=tuple(note for p in parts for note in p.notes),
    )


def _value(result: Result | None, name: str) -> float:
    return float("nan") if result is None else float(result.metrics.get(name, float("nan")))


def _kept(
    results: Sequence[Result], methods: Sequence[str] | None, datasets: Sequence[str] | None
) -> list[Result]:
    for kind, asked, have in (
        ("method", methods, [r.method for r in results]),
        ("data set", datasets, [r.dataset for r in results]),
    ):
        unknown = [name for name in asked or () if name not in have]
        if unknown:
            raise SodbenchError(
                f"no result of the {kind} {', '.join(unknown)}; "
                f"there are: {', '.join(dict.fromkeys(have))}"
            )
    kept = [
        r
        for r in results
        if (methods is None or r.method in methods) and (datasets is None or r.dataset in datasets)
    ]
    if not kept:
        raise SodbenchError("there is no result to report: no method has been scored on these sets")
    return kept


def _arranged(results: Iterable[Result]) -> dict[Key, Result]:
    """Results by (method, data set); several protocols of one method become ``method (protocol)``."""
    results = list(results)
    times = Counter((r.method, r.dataset) for r in results)
    table: dict[Key, Result] = {}
    for result in results:
        method = result.method
        if times[method, result.dataset] > 1:
            method = f"{method} ({result.protocol})"
        if (method, result.dataset) in table:
            other = table[method, result.dataset]
            raise SodbenchError(
                f"two results of {result.method} on {result.dataset} under {result.protocol}: "
                f"{other.folder} and {result.folder}; leave one out, or score one again under another "
                "name (sodbench eval --name)"
            )
        table[method, result.dataset] = result
    return table


def in_order(datasets: Iterable[str]) -> list[str]:
    """The six standard sets in their usual order, then the others as they came."""
    found = list(dict.fromkeys(datasets))
    return [d for d in TEST_SETS if d in found] + [d for d in found if d not in TEST_SETS]


# ---- per-image statistics of one result -------------------------------------------------------


@dataclass(frozen=True)
class Statistics:
    """What a bootstrap of one result resamples, and how its means become aggregates.

    columns: float64 [images, K]; aggregate: means [..., K] -> the chosen measures [..., M].
    """

    columns: Floats
    aggregate: Aggregate


def statistics(result: Result, counts: Counts, names: Sequence[str]) -> Statistics:
    """The per-image statistics behind the aggregates ``names`` of a result (its counts in table order)."""
    rules = protocol(result.protocol)
    curves = list(dict.fromkeys(c for n in names for c in _FROM_CURVES.get(n, ())))
    from_means = "f" in curves and rules.f_max == "meanpr" and "f_max_meanf" not in names
    if from_means:  # F of the mean precision and recall: the curve of F itself is not needed
        curves.remove("f")
    scalars = [n for n in names if n not in _FROM_CURVES]
    if curves:
        from_counts, counted = _curves(counts, result.protocol, curves)
        from_counts[~counted] = np.nan
    else:
        from_counts = np.empty((len(counts), 0))
    source = {"f_max_best": "f_max"}
    per_image = [result.table[source.get(n, n)].to_numpy(float) for n in scalars]
    columns = np.column_stack([*per_image, from_counts]) if per_image else from_counts

    def aggregate(means: Floats) -> Floats:
        width = len(scalars)
        by_curve = {
            c: means[..., width + 256 * i : width + 256 * (i + 1)] for i, c in enumerate(curves)
        }
        if from_means:
            by_curve["f"] = f_measure(by_curve["precision"], by_curve["recall"], rules.beta2)
        found = summarise({}, by_curve, rules)
        found |= {n: means[..., i] for i, n in enumerate(scalars)}
        return np.stack([np.asarray(found[n], float) for n in names], axis=-1)

    return Statistics(columns, aggregate)


def _curves(
    counts: Counts, protocol_: str, names: Sequence[str]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Per-image curves float64 [N, 256 * len(names)], and which images the protocol counts."""
    curves = np.empty((len(counts), 256 * len(names)))
    counted = np.ones(len(counts), bool)
    for start in range(0, len(counts), BLOCK):
        rows = slice(start, start + BLOCK)
        block = image_curves(counts[rows], protocol_, names)
        curves[rows] = np.concatenate([block.curves[n] for n in names], axis=1)
        counted[rows] = block.counted
    return curves, counted


def _means(columns: Floats) -> Floats:
    """Means over images [1, K], leaving out what is undefined, as the resamples do."""
    return weighted_means(np.full((1, len(columns)), 1 / len(columns)), columns)


# ---- one data set -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _DatasetStudy:
    dataset: str
    intervals: dict[tuple[str, str, str], Interval]
    comparisons: list[Comparison]
    sizes: dict[Key, tuple[Interval | None, ...]]
    size_counts: tuple[int, ...]
    by_protocol: dict[Key, dict[str, float]]
    notes: tuple[str, ...]

    @staticmethod
    def of(
        dataset: str,
        results: Mapping[str, Result],
        measures: Sequence[Measure],
        resamples: int,
        seed: int,
        done: object,
    ) -> "_DatasetStudy":
        names = [m.name for m in measures]
        stems = {method: list(r.table.index) for method, r in results.items()}
        everywhere = sorted(set.intersection(*(set(s) for s in stems.values())))
        alike = all(len(s) == len(everywhere) for s in stems.values())
        weights: dict[int, list[Reals]] = {}

        def drawn(images: int) -> list[Reals]:
            if images not in weights:
                batches = resampling_weights(images, resamples, seed_for(dataset, seed))
                weights[images] = [w.astype(np.float32) for w in batches]
            return weights[images]

        intervals, sizes, by_protocol = {}, {}, {}
        observed: dict[str, Floats] = {}
        distributions: dict[str, Floats] = {}
        size_counts: tuple[int, ...] = (0,) * len(SIZES)
        for method, result in results.items():
            order = np.argsort(np.array(stems[method], dtype=object), kind="stable")
            counts = replace(result).counts  # not kept: a data set's counts are large
            found = statistics(result, counts, names)
            columns = found.columns[order]
            resampled = _resampled(found, columns, drawn(len(columns)))
            for i, name in enumerate(names):
                intervals[method, dataset, name] = interval(_value(result, name), resampled[:, i])
            share = _object_share(counts, result.protocol)[order]
            chief = statistics(result, counts, [headline(measures).name])
            sizes[method, dataset], size_counts = _by_size(
                chief, chief.columns[order], share, drawn(len(columns))[0]
            )
            by_protocol[method, dataset] = _f_under_each_protocol(result, counts)
            if alike:
                observed[method] = found.aggregate(_means(columns))[0]
                distributions[method] = resampled
            elif everywhere:
                kept = np.isin(np.array(stems[method], dtype=object)[order], everywhere)
                columns = columns[kept]
                observed[method] = found.aggregate(_means(columns))[0]
                distributions[method] = _resampled(found, columns, drawn(len(columns)))
            done()  # type: ignore[operator]
        note = (
            f"The methods were not all scored on the same images of {dataset}; comparisons between methods "
            f"use the {len(everywhere)} images that all of them have."
        )
        return _DatasetStudy(
            dataset,
            intervals,
            _compared(dataset, results, measures, everywhere, observed, distributions),
            sizes,
            size_counts,
            by_protocol,
            () if alike else (note,),
        )


def _resampled(of: Statistics, columns: Floats, weights: Sequence[Reals]) -> Floats:
    """The bootstrap distribution [resamples, M]; in single precision, whose error no interval shows."""
    single = columns.astype(np.float32)
    return np.concatenate([of.aggregate(weighted_means(w, single)) for w in weights])


def _object_share(counts: Counts, protocol_: str) -> Floats:
    """The share of each image that its mask calls foreground, float64 [N]."""
    joint = counts.under(protocol(protocol_).rule)
    foreground = joint[:, :, 1].sum(axis=(1, 2), dtype=np.int64)
    return np.asarray(foreground / counts.size.astype(np.int64).prod(axis=1), float)


def _by_size(
    of: Statistics, columns: Floats, share: Floats, weights: Reals
) -> tuple[tuple[Interval | None, ...], tuple[int, ...]]:
    """The measure for each group of object sizes, with intervals; images without an object are in none."""
    found: list[Interval | None] = []
    counted = []
    for _, above, up_to in SIZES:
        group = np.flatnonzero((share > above) & (share <= up_to))
        counted.append(len(group))
        if not len(group):
            found.append(None)
            continue
        value = float(of.aggregate(_means(columns[group]))[0, 0])
        if len(group) < 10:
            found.append(Interval(value, float("nan"), float("nan")))
            continue
        drawn = weights[:, group] / weights[:, group].sum(axis=1, keepdims=True)
        found.append(interval(value, _resampled(of, columns[group], [drawn])[:, 0]))
    return tuple(found), tuple(counted)


def _f_under_each_protocol(result: Result, counts: Counts) -> dict[str, float]:
    """Max F of the same maps as each evaluator would print it."""
    found = {}
    for name in PROTOCOLS:
        if name == result.protocol:
            found[name] = result.metrics["f_max"]
            continue
        total, images = np.zeros((3, 256)), 0
        for start in range(0, len(counts), BLOCK):
            block = image_curves(counts[start : start + BLOCK], name, ("precision", "recall", "f"))
            total += [curve[block.counted].sum(axis=0) for curve in block.curves.values()]
            images += int(block.counted.sum())
        if images:
            by_curve = dict(zip(("precision", "recall", "f"), total / images, strict=True))
            found[name] = float(summarise({}, by_curve, name)["f_max"])
    return found


def _compared(
    dataset: str,
    results: Mapping[str, Result],
    measures: Sequence[Measure],
    stems: Sequence[str],
    observed: Mapping[str, Floats],
    distributions: Mapping[str, Floats],
) -> list[Comparison]:
    """Every pair of methods scored under one protocol, per measure, Holm-corrected over the pairs."""
    pairs = [
        (a, b) for a, b in combinations(observed, 2) if results[a].protocol == results[b].protocol
    ]
    if not pairs:
        return []
    found = []
    order = {m: i for i, m in enumerate(observed)}
    tables = {m: results[m].table.loc[list(stems)] for m in observed}
    for i, measure in enumerate(measures):
        if not measure.direction:
            continue
        per_image = {
            m: t[measure.name].to_numpy(float) if measure.name in t else np.full(len(t), np.nan)
            for m, t in tables.items()
        }
        first, second = np.array([(order[a], order[b]) for a, b in pairs]).T
        spread = np.stack([distributions[m][:, i] for m in observed])
        spread = spread[first] - spread[second]
        value = np.array([observed[m][i] for m in observed])
        difference = value[first] - value[second]
        low, high = percentiles(spread)
        p = bootstrap_p(difference, spread)
        scores = np.stack([per_image[m] for m in observed])
        by_image = scores[first] - scores[second]
        p_wilcoxon = wilcoxon_rows(by_image)
        p_holm, p_wilcoxon_holm = holm(p), holm(p_wilcoxon)
        for k, (a, b) in enumerate(pairs):
            tally = win_tie_loss(by_image[k], measure.higher)
            found.append(
                Comparison(
                    dataset=dataset,
                    measure=measure.name,
                    higher=measure.higher,
                    first=a,
                    second=b,
                    images=len(stems),
                    difference=float(difference[k]),
                    low=float(low[k]),
                    high=float(high[k]),
                    p=float(p[k]),
                    p_holm=float(p_holm[k]),
                    p_wilcoxon=float(p_wilcoxon[k]),
                    p_wilcoxon_holm=float(p_wilcoxon_holm[k]),
                    wins=tally.wins,
                    ties=tally.ties,
                    losses=tally.losses,
                )
            )
    return found
