"""The numbers of a report: results in order, intervals, paired comparisons, breakdowns.

Everything here comes from stored counts and per-image tables; no image is opened.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sodbench.datasets import TEST_SETS
from sodbench.datasets.attributes import LARGE, SMALL
from sodbench.errors import SodbenchError
from sodbench.metrics import Counts
from sodbench.metrics.catalogue import Metric, find_metric
from sodbench.metrics.statistics.bootstrap import (
    RESAMPLES,
    Floats,
    ResampleCounts,
    Totals,
    dataset_seed,
    draw_resamples,
)
from sodbench.metrics.statistics.significance import (
    CriticalDifference,
    Interval,
    bootstrap_p,
    critical_difference,
    holm,
    interval,
    percentiles,
    wilcoxon_rows,
    win_tie_loss,
)
from sodbench.parallel import in_threads, processors
from sodbench.reports.aggregates import (
    Statistics,
    f_under_each_protocol,
    foreground_share,
    statistics,
)
from sodbench.reports.comparability import (
    Comparable,
    Key,
    Ranking,
    find_comparable,
    find_ranking,
    signature_fields,
)
from sodbench.reports.image_counts import (
    MIN_IMAGES,
    check_image_counts,
    dataset_heading,
    describe_small_datasets,
)
from sodbench.results import Result

REPORT_METRICS = ("mae", "f_max", "s", "e_max", "wf")
"""What tables show when nothing else was asked for: the five classical metrics."""
ALPHA = 0.05
MONTE_CARLO = 2.0
"""A p-value is undecided where so many standard errors of the resampling would move it across ALPHA."""
SIZE = "object size"
SIZES = (f"small (to {SMALL:.0%})", "medium", f"large (above {LARGE:.0%})")
"""Groups of :data:`SIZE`, the share of the image that is foreground; known from the counts alone."""
_THREADS = min(4, processors())
"""Results worked on at a time; each of them holds some 300 MB for 5,000 images."""


@dataclass(frozen=True)
class Comparison:
    """Two methods on one dataset by one metric, paired over the ``images`` that both were scored on.

    difference: the aggregate of ``first`` minus that of ``second``, with its 95 % interval; higher_is_better: for this metric.
    p: paired bootstrap; p_wilcoxon: signed ranks of the per-image scores; both also Holm-corrected over all compared
    pairs of methods for this dataset and metric. NaN where it is undefined.
    undecided: p_holm is within the Monte Carlo error of the resampling of the 5 % level.
    wins, ties, losses: images on which ``first`` scores better, equal, worse.
    """

    dataset: str
    metric: str
    higher_is_better: bool
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
    undecided: bool
    wins: int
    ties: int
    losses: int

    @property
    def tested(self) -> bool:
        """Whether there is a test result at all."""
        return bool(np.isfinite(self.p_holm))

    @property
    def winner(self) -> str:
        """The method shown to be better at the 5 % level, or nothing."""
        if self.undecided or not self.p_holm < ALPHA or self.difference == 0:
            return ""
        return self.first if (self.difference > 0) == self.higher_is_better else self.second

    @property
    def loser(self) -> str:
        """The other one, if there is a winner."""
        return {self.first: self.second, self.second: self.first}.get(self.winner, "")


@dataclass(frozen=True)
class Breakdown:
    """The primary metric by groups of images that an attribute makes.

    groups: their names, in order; images: by data set, how many images each group has.
    values: by (method, data set), the interval for each group; None where a group has no image, NaN limits where it
    has fewer than :data:`MIN_IMAGES`.
    """

    attribute: str
    groups: tuple[str, ...]
    images: Mapping[str, tuple[int, ...]]
    values: Mapping[Key, tuple[Interval | None, ...]]


@dataclass(frozen=True)
class Analysis:
    """Results arranged for a report.

    results: by (method, dataset); values: methods x (dataset, metric name), the aggregates.
    intervals: by (method, dataset, metric name); NaN limits for fewer than :data:`MIN_IMAGES` images.
    comparisons: every pair of comparable methods, for every dataset and metric.
    breakdowns: the primary metric by groups of images; the first is by :data:`SIZE`.
    by_protocol: by (method, dataset), max F under every protocol.
    comparable: which results may be compared; ranking: the methods and datasets of the mean ranks.
    notes: what a reader has to know about how this was computed.
    """

    results: Mapping[Key, Result]
    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    metrics: tuple[Metric, ...]
    values: pd.DataFrame
    intervals: Mapping[tuple[str, str, str], Interval]
    comparisons: tuple[Comparison, ...]
    breakdowns: "tuple[Breakdown, ...]"
    by_protocol: Mapping[Key, Mapping[str, float]]
    resamples: int
    seed: int
    comparable: Comparable
    ranking: Ranking
    notes: tuple[str, ...] = ()

    def heading(self, dataset: str) -> str:
        """The dataset's name, with its number of images where it is not the official one."""
        return dataset_heading(dataset, (r.n for (_, d), r in self.results.items() if d == dataset))

    @property
    def headings(self) -> dict[str, str]:
        """:meth:`heading` of every dataset."""
        return {d: self.heading(d) for d in self.datasets}

    @property
    def ranked(self) -> dict[str, tuple[str, ...]]:
        """For each dataset the methods that get a place; none where there are fewer than :data:`MIN_IMAGES` images."""
        return _ranked(self.comparable, self.results)

    def check_image_counts(self) -> list[str]:
        """A line for each result whose images are not the official ones of its dataset."""
        return check_image_counts(self.results)

    def tied(self, best: str, dataset: str, metric: str) -> list[Comparison]:
        """The tests that found no significant difference between ``best`` and another method."""
        return [
            c
            for c in self.comparisons
            if (c.dataset, c.metric) == (dataset, metric)
            and best in (c.first, c.second)
            and c.tested
            and not c.winner
        ]

    @property
    def sample(self) -> bool:
        """Whether any result comes from the built-in sample."""
        return any(bool(r.provenance.get("sample")) for r in self.results.values())

    def wins_over(self) -> dict[tuple[str, str, str], list[str]]:
        """For (method, data set, metric name): the methods it beats at the 5 % level."""
        found: dict[tuple[str, str, str], list[str]] = {}
        for c in self.comparisons:
            if c.winner:
                found.setdefault((c.winner, c.dataset, c.metric), []).append(c.loser)
        return found

    def differing_from(self, baseline: str) -> set[tuple[str, str, str]]:
        """The (method, data set, metric name) whose difference to the baseline is significant."""
        return {
            (c.second if c.first == baseline else c.first, c.dataset, c.metric)
            for c in self.comparisons
            if c.winner and baseline in (c.first, c.second)
        }

    def critical_differences(self) -> dict[str, CriticalDifference]:
        """Per metric, Friedman and Nemenyi over the datasets of :attr:`ranking`, for its methods."""
        found = {}
        methods, datasets = list(self.ranking.methods), list(self.ranking.datasets)
        for metric in (m for m in self.metrics if m.sign):
            here = self.values.xs(metric.name, axis=1, level=1).loc[methods, datasets]
            scores = {str(method): list(row) for method, row in here.iterrows()}
            whole = {m: s for m, s in scores.items() if np.isfinite(s).all()}
            result = critical_difference(whole, metric.higher_is_better) if whole else None
            if result:
                found[metric.name] = result
        return found


def primary_metric(metrics: Sequence[Metric]) -> Metric:
    """The metric for figures that show one: max F if it is there, else the first."""
    return next((m for m in metrics if m.name == "f_max"), metrics[0])


def select_metrics(
    available: Sequence[str], asked: Sequence[str] | None = None
) -> tuple[Metric, ...]:
    """The metrics of a report: those asked for, else the classical ones among ``available``.

    Raises :class:`SodbenchError` for a name that no result has.
    """
    if asked is None:
        return tuple(find_metric(name) for name in REPORT_METRICS if name in available)
    unknown = [name for name in asked if name not in available]
    if unknown:
        raise SodbenchError(
            f"no result has the metric {', '.join(unknown)}; there are: {', '.join(available)}"
        )
    return tuple(find_metric(name) for name in asked)


def analyse(
    results: Sequence[Result],
    *,
    metrics: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
    attributes: Mapping[str, pd.DataFrame] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Analysis:
    """Arrange results and compute everything a report states.

    metrics, methods, datasets: keep these only, in this order.
    attributes: by data set, a frame with index stem and a categorical column for each attribute of its images, as
    :func:`sodbench.datasets.attribute_groups` gives it; scores are broken down by these.
    Raises :class:`SodbenchError` for a name that no result has and for two results of one method on one set.
    """
    table = _arranged(_kept(results, methods, datasets))
    shown = select_metrics(list(next(iter(table.values())).metrics), metrics)
    method_names = tuple(methods or dict.fromkeys(m for m, _ in table))
    dataset_names = tuple(datasets or in_order(d for _, d in table))
    columns = [(d, m.name) for d in dataset_names for m in shown]
    values = pd.DataFrame(
        [[_value(table.get((m, d)), name) for d, name in columns] for m in method_names],
        index=pd.Index(method_names, name="method"),
        columns=pd.MultiIndex.from_tuples(columns, names=["data set", "measure"]),
    )
    sets = {
        d: _Set.of(
            {m: table[m, d] for m in method_names if (m, d) in table},
            resamples,
            dataset_seed(d, seed),
        )
        for d in dataset_names
    }
    keys = [(m, d) for d, found in sets.items() for m in found.results]
    measure = partial(_measured, sets, shown, attributes or {})
    measured = dict(
        zip(keys, in_threads(measure, keys, "statistics", "result", _THREADS), strict=True)
    )
    comparable = find_comparable(
        {key: str(table[key].signature) for key in keys},
        {key: one.fingerprint for key, one in measured.items()},
    )
    return Analysis(
        results=table,
        methods=method_names,
        datasets=dataset_names,
        metrics=shown,
        values=values,
        intervals={
            (m, d, name): found
            for (m, d), one in measured.items()
            for name, found in one.intervals.items()
        },
        comparisons=tuple(
            c
            for d, found in sets.items()
            for c in _compared(
                d,
                {m: found.results[m] for m in comparable.compared[d]},
                shown,
                {m: measured[m, d] for m in comparable.compared[d]},
            )
        ),
        breakdowns=_breakdowns(measured),
        by_protocol={key: one.by_protocol for key, one in measured.items()},
        resamples=resamples,
        seed=seed,
        comparable=comparable,
        ranking=_find_ranking(comparable, _ranked(comparable, table)),
        notes=tuple(
            describe_small_datasets(
                {d: min(r.n for r in s.results.values()) for d, s in sets.items()}
            )
        ),
    )


def _ranked(comparable: Comparable, results: Mapping[Key, Result]) -> dict[str, tuple[str, ...]]:
    """The methods that are compared on each dataset, without the datasets that are too small to rank methods by."""
    return {
        d: methods if all(results[m, d].n >= MIN_IMAGES for m in methods) else ()
        for d, methods in comparable.compared.items()
    }


def _find_ranking(comparable: Comparable, ranked: Mapping[str, tuple[str, ...]]) -> Ranking:
    """Over the datasets whose class has the protocol and the rule for masks that most datasets have."""
    rules = {
        d: tuple(signature_fields(comparable.usual[d]).get(name) for name in ("protocol", "gt"))
        for d, methods in ranked.items()
        if methods
    }
    if not rules:
        return Ranking()
    main = Counter(rules.values()).most_common(1)[0][0]
    return find_ranking({d: ranked[d] for d, rule in rules.items() if rule == main})


def _value(result: Result | None, name: str) -> float:
    return float("nan") if result is None else float(result.metrics.get(name, float("nan")))


def _kept(
    results: Sequence[Result], methods: Sequence[str] | None, datasets: Sequence[str] | None
) -> list[Result]:
    for kind, asked, have in (
        ("method", methods, [r.method for r in results]),
        ("dataset", datasets, [r.dataset for r in results]),
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


# ---- one data set -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Set:
    """One dataset's results, and the draws for each number of images."""

    results: Mapping[str, Result]
    draws: Mapping[int, tuple[ResampleCounts, ...]]

    @staticmethod
    def of(results: Mapping[str, Result], resamples: int, seed: Sequence[int]) -> "_Set":
        sizes = {r.n for r in results.values()} - {0}
        return _Set(results, {n: tuple(draw_resamples(n, resamples, seed)) for n in sizes})


@dataclass(frozen=True)
class _Measured:
    """What is computed from one result, and what comparing it needs.

    intervals: by metric name; by_group: by attribute; by_protocol: max F.
    observed [M], distribution [resamples, M]: the metrics, images in the order of their names.
    fingerprint: of the images and masks, equal for two results that were scored on the same ones.
    """

    intervals: dict[str, Interval]
    by_group: "dict[str, _ByGroup]"
    by_protocol: dict[str, float]
    observed: Floats
    distribution: Floats
    fingerprint: str


def _measured(
    sets: Mapping[str, _Set],
    metrics: Sequence[Metric],
    attributes: Mapping[str, pd.DataFrame],
    key: Key,
) -> _Measured:
    method, dataset = key
    own = sets[dataset]
    result = own.results[method]
    counts = checked_counts(replace(result))  # not kept: the counts of a dataset are large
    stems = np.array(result.table.index, dtype=object)
    order = np.argsort(stems, kind="stable")
    found = statistics(result, counts, [m.name for m in metrics], order)
    draws = own.draws[len(order)]
    share = foreground_share(counts)[order]
    groupings = _groupings(stems[order], share, attributes.get(dataset))
    chief = primary_metric(metrics).name
    by_group = {a: _by_group(found, draws, g, chief) for a, g in groupings.items()}
    distribution = next(iter(by_group.values())).whole
    limits = distribution if len(order) >= MIN_IMAGES else np.full_like(distribution, np.nan)
    return _Measured(
        {m.name: interval(_value(result, m.name), limits[:, i]) for i, m in enumerate(metrics)},
        by_group,
        f_under_each_protocol(result, counts),
        found.observed(),
        distribution,
        _fingerprint(result.table, order, share),
    )


def checked_counts(result: Result) -> Counts:
    """The counts of a result, one for each row of its table.

    Raises :class:`SodbenchError` where the two stored files do not belong together.
    """
    counts = result.counts
    if not len(counts) == len(result.table) == result.n:
        place = result.folder or f"{result.method} on {result.dataset}"
        raise SodbenchError(
            f"{place}: scores.csv has {len(result.table)} rows, counts.npz has {len(counts)} pairs and result.json "
            f"names {result.n} images; score again into the same folder with --force"
        )
    return counts


def _fingerprint(table: pd.DataFrame, order: NDArray[np.intp], share: Floats) -> str:
    """A digest of the images' names and sizes and of how much of each its mask covers."""
    digest = hashlib.sha256(share.tobytes())
    rows = table.iloc[order]
    for stem, height, width in zip(rows.index, rows["height"], rows["width"], strict=True):
        digest.update(f"{stem}\0{height:g}x{width:g}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


Grouping = tuple[tuple[str, ...], NDArray[np.intp]]
"""The names of an attribute's groups, and each image's group (-1: none, as for an empty mask)."""


def _groupings(
    stems: NDArray[np.object_], share: Floats, attributes: pd.DataFrame | None
) -> dict[str, Grouping]:
    size: NDArray[np.intp] = np.where(
        share > 0, np.searchsorted([SMALL, LARGE], share, side="left"), -1
    )
    found: dict[str, Grouping] = {SIZE: (SIZES, size)}
    if attributes is not None:
        here = attributes.reindex(stems)
        for name in here.columns.drop(SIZE, errors="ignore"):
            codes = np.asarray(here[name].cat.codes, np.intp)
            found[str(name)] = (tuple(here[name].cat.categories), codes)
    return found


@dataclass(frozen=True)
class _ByGroup:
    """One attribute's groups: their names, numbers of images and intervals; ``whole``: the distribution of all images."""

    names: tuple[str, ...]
    images: tuple[int, ...]
    intervals: tuple[Interval | None, ...]
    whole: Floats


def _by_group(
    of: Statistics, draws: Sequence[ResampleCounts], grouping: Grouping, chief: str
) -> _ByGroup:
    """The metric ``chief`` for each group.  A resample of the set is one of the group, in number too.

    The groups' totals add up to those of all images, so that these cost nothing more.
    """
    names, group_of = grouping
    members = [np.flatnonzero(group_of == i) for i in range(len(names))]
    groups = [_of_group(of, draws, images, chief) for images in members if len(images)]
    parts = [total for total, _ in groups]
    rest = np.flatnonzero(group_of < 0)
    if len(rest):
        parts.append(of.of(rest).totals([d[:, rest] for d in draws]))
    found = iter(groups)
    return _ByGroup(
        names,
        tuple(len(images) for images in members),
        tuple(next(found)[1] if len(images) else None for images in members),
        of.aggregate(sum(parts[1:], parts[0]).means),
    )


def _of_group(
    of: Statistics, draws: Sequence[ResampleCounts], images: NDArray[np.intp], chief: str
) -> tuple[Totals, Interval]:
    group = of.of(images)
    totals = group.totals([d[:, images] for d in draws])
    distribution = group.aggregate(totals.means, [chief])[:, 0]
    if len(images) < MIN_IMAGES:
        distribution = distribution * np.nan
    return totals, interval(float(group.observed([chief])[0]), distribution)


def _breakdowns(measured: Mapping[Key, _Measured]) -> tuple[Breakdown, ...]:
    attributes = dict.fromkeys(a for one in measured.values() for a in one.by_group)
    found = []
    for attribute in attributes:
        here = {
            k: one.by_group[attribute] for k, one in measured.items() if attribute in one.by_group
        }
        images: dict[str, tuple[int, ...]] = {}
        for (_, dataset), groups in here.items():
            most = zip(images.get(dataset, groups.images), groups.images, strict=True)
            images[dataset] = tuple(max(pair) for pair in most)
        names = next(iter(here.values())).names
        found.append(Breakdown(attribute, names, images, {k: g.intervals for k, g in here.items()}))
    return tuple(found)


def _compared(
    dataset: str,
    results: Mapping[str, Result],
    metrics: Sequence[Metric],
    measured: Mapping[str, _Measured],
) -> list[Comparison]:
    """Every pair of results of one class, per metric, Holm-corrected over the pairs; none for too few images."""
    pairs = list(combinations(results, 2))
    if not pairs or next(iter(results.values())).n < MIN_IMAGES:
        return []
    found = []
    position = {m: i for i, m in enumerate(results)}
    first, second = np.array([(position[a], position[b]) for a, b in pairs]).T
    stems = sorted(next(iter(results.values())).table.index)
    tables = [r.table.loc[stems] for r in results.values()]
    observed = np.stack([one.observed for one in measured.values()])
    spread = np.stack([one.distribution for one in measured.values()])
    for i, metric in enumerate(metrics):
        if not metric.sign:
            continue
        difference = observed[first, i] - observed[second, i]
        distributions = spread[first, :, i] - spread[second, :, i]
        low, high = percentiles(distributions)
        scores = np.stack([per_image(t, metric.name) for t in tables])
        by_image = scores[first] - scores[second]
        p = bootstrap_p(difference, distributions, len(stems))
        p_wilcoxon = wilcoxon_rows(by_image)
        p_holm, p_wilcoxon_holm = holm(p), holm(p_wilcoxon)
        undecided = _undecided(difference, distributions, len(stems))
        for k, (a, b) in enumerate(pairs):
            tally = win_tie_loss(by_image[k], metric.higher_is_better)
            found.append(
                Comparison(
                    dataset=dataset,
                    metric=metric.name,
                    higher_is_better=metric.higher_is_better,
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
                    undecided=bool(undecided[k]),
                    wins=tally.wins,
                    ties=tally.ties,
                    losses=tally.losses,
                )
            )
    return found


def _undecided(difference: Floats, distributions: Floats, images: int) -> NDArray[np.bool_]:
    """Where other draws of the same number of resamples could put the corrected p on the other side of ALPHA."""
    least, most = (
        holm(bootstrap_p(difference, distributions, images, errors))
        for errors in (-MONTE_CARLO, MONTE_CARLO)
    )
    return np.asarray((least < ALPHA) & (most >= ALPHA))


def per_image(table: pd.DataFrame, name: str) -> Floats:
    """A metric of every image, float64 [N]; NaN where single images do not have it."""
    return table[name].to_numpy(float) if name in table else np.full(len(table), np.nan)
