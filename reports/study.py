"""What a report says, before it is said: results in order, intervals, paired comparisons, breakdowns.

Everything here comes from stored counts and per-image tables; no picture is opened.
"""

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
from sodbench.progress import in_threads, processors
from sodbench.reports.aggregates import (
    Statistics,
    f_under_each_protocol,
    object_share,
    statistics,
)
from sodbench.reports.measures import Measure, choose
from sodbench.reports.resampling import RESAMPLES, Draws, Floats, Totals, resamples_of, seed_for
from sodbench.reports.statistics import (
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
from sodbench.results import Result

Key = tuple[str, str]
"""(method, data set)"""

ALPHA = 0.05
FEW = 10
"""A group of fewer images than this gets no interval."""
SIZE = "object size"
SIZES = (f"small (to {SMALL:.0%})", "medium", f"large (above {LARGE:.0%})")
"""Groups of :data:`SIZE`, the share of the image that is foreground; known from the counts alone."""
_THREADS = min(4, processors())
"""Results worked on at a time; each of them holds some 300 MB for 5,000 images."""


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
class Breakdown:
    """The headline measure by groups of images that an attribute makes.

    groups: their names, in order; images: by data set, how many images each group has.
    values: by (method, data set), the interval for each group; None where a group has no image, NaN limits where it
    has fewer than :data:`FEW`.
    """

    attribute: str
    groups: tuple[str, ...]
    images: Mapping[str, tuple[int, ...]]
    values: Mapping[Key, tuple[Interval | None, ...]]


@dataclass(frozen=True)
class Study:
    """Results arranged for a report.

    results: by (method, data set); values: methods x (data set, measure name), the aggregates.
    intervals: by (method, data set, measure name).
    comparisons: every pair of methods, for every data set and measure.
    breakdowns: the headline measure by groups of images; the first is by :data:`SIZE`.
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
    breakdowns: "tuple[Breakdown, ...]"
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
    attributes: Mapping[str, pd.DataFrame] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Study:
    """Arrange results and compute everything a report states.

    measures, methods, datasets: keep these only, in this order.
    attributes: by data set, a frame with index stem and a categorical column for each attribute of its images, as
    :func:`sodbench.datasets.attribute_groups` gives it; scores are broken down by these.
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
    sets = {
        d: _Set.of(
            {m: table[m, d] for m in method_names if (m, d) in table}, resamples, seed_for(d, seed)
        )
        for d in dataset_names
    }
    keys = [(m, d) for d, found in sets.items() for m in found.results]
    measure = partial(_measured, sets, shown, attributes or {})
    measured = dict(
        zip(keys, in_threads(measure, keys, "statistics", "result", _THREADS), strict=True)
    )
    return Study(
        results=table,
        methods=method_names,
        datasets=dataset_names,
        measures=shown,
        values=values,
        intervals={
            (m, d, name): found
            for (m, d), one in measured.items()
            for name, found in one.intervals.items()
        },
        comparisons=tuple(
            c
            for d, found in sets.items()
            for c in _compared(d, found, shown, {m: measured[m, d] for m in found.results})
        ),
        breakdowns=_breakdowns(measured),
        by_protocol={key: one.by_protocol for key, one in measured.items()},
        resamples=resamples,
        seed=seed,
        notes=tuple(
            f"The methods were not all scored on the same images of {d}; comparisons between methods "
            f"use the {len(found.shared)} images that all of them have."
            for d, found in sets.items()
            if not found.alike
        ),
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


# ---- one data set -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Set:
    """One data set's results, the images that all of them have (sorted), and the draws for each number of images."""

    results: Mapping[str, Result]
    shared: tuple[str, ...]
    draws: Mapping[int, tuple[Draws, ...]]

    @staticmethod
    def of(results: Mapping[str, Result], resamples: int, seed: Sequence[int]) -> "_Set":
        shared = set.intersection(*(set(r.table.index) for r in results.values()))
        sizes = {len(shared), *(r.n for r in results.values())} - {0}
        return _Set(
            results,
            tuple(sorted(shared)),
            {n: tuple(resamples_of(n, resamples, seed)) for n in sizes},
        )

    @property
    def alike(self) -> bool:
        """Whether all methods were scored on the same images."""
        return all(r.n == len(self.shared) for r in self.results.values())


@dataclass(frozen=True)
class _Measured:
    """What one result says by itself, and what comparing it needs.

    intervals: by measure name; by_group: by attribute; by_protocol: max F.
    observed [M], distribution [resamples, M]: the measures on the images that all methods have.
    """

    intervals: dict[str, Interval]
    by_group: "dict[str, _ByGroup]"
    by_protocol: dict[str, float]
    observed: Floats
    distribution: Floats


def _measured(
    sets: Mapping[str, _Set],
    measures: Sequence[Measure],
    attributes: Mapping[str, pd.DataFrame],
    key: Key,
) -> _Measured:
    method, dataset = key
    own = sets[dataset]
    result = own.results[method]
    counts = replace(result).counts  # not kept: a data set's counts are large
    stems = np.array(result.table.index, dtype=object)
    order = np.argsort(stems, kind="stable")
    found = statistics(result, counts, [m.name for m in measures], order)
    draws = own.draws[len(order)]
    groupings = _groupings(stems[order], object_share(counts)[order], attributes.get(dataset))
    chief = headline(measures).name
    by_group = {a: _by_group(found, draws, g, chief) for a, g in groupings.items()}
    distribution = next(iter(by_group.values())).whole
    shared, resampled = found, distribution
    if not own.alike:
        shared = found.of(np.isin(stems[order], own.shared))
        resampled = shared.resampled(own.draws[len(own.shared)]) if own.shared else distribution
    return _Measured(
        {
            m.name: interval(_value(result, m.name), distribution[:, i])
            for i, m in enumerate(measures)
        },
        by_group,
        f_under_each_protocol(result, counts),
        shared.observed(),
        resampled,
    )


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


def _by_group(of: Statistics, draws: Sequence[Draws], grouping: Grouping, chief: str) -> _ByGroup:
    """The measure ``chief`` for each group.  A resample of the set is one of the group, in number too.

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
    of: Statistics, draws: Sequence[Draws], images: NDArray[np.intp], chief: str
) -> tuple[Totals, Interval]:
    group = of.of(images)
    totals = group.totals([d[:, images] for d in draws])
    distribution = group.aggregate(totals.means, [chief])[:, 0]
    if len(images) < FEW:
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
    of: _Set,
    measures: Sequence[Measure],
    measured: Mapping[str, _Measured],
) -> list[Comparison]:
    """Every pair of methods scored under one protocol, per measure, Holm-corrected over the pairs."""
    pairs = [
        (a, b)
        for a, b in combinations(of.results, 2)
        if of.results[a].protocol == of.results[b].protocol
    ]
    if not pairs or not of.shared:
        return []
    found = []
    position = {m: i for i, m in enumerate(of.results)}
    first, second = np.array([(position[a], position[b]) for a, b in pairs]).T
    tables = [r.table.loc[list(of.shared)] for r in of.results.values()]
    observed = np.stack([one.observed for one in measured.values()])
    spread = np.stack([one.distribution for one in measured.values()])
    for i, measure in enumerate(measures):
        if not measure.direction:
            continue
        difference = observed[first, i] - observed[second, i]
        distributions = spread[first, :, i] - spread[second, :, i]
        low, high = percentiles(distributions)
        scores = np.stack([per_image(t, measure.name) for t in tables])
        by_image = scores[first] - scores[second]
        p = bootstrap_p(difference, distributions, len(of.shared))
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
                    images=len(of.shared),
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


def per_image(table: pd.DataFrame, name: str) -> Floats:
    """A measure of every image, float64 [N]; NaN where single images do not have it."""
    return table[name].to_numpy(float) if name in table else np.full(len(table), np.nan)
