"""The numbers of a report: results in order, intervals, paired comparisons, breakdowns.

Everything here comes from stored counts and per-image tables; no image is opened.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from sodbench.metrics.catalogue import Metric, find_metric
from sodbench.metrics.statistics.bootstrap import (
    RESAMPLES,
    Interval,
    dataset_seed,
    draw_resamples,
)
from sodbench.metrics.statistics.ranking import CriticalDifference, critical_difference
from sodbench.metrics.statistics.significance import MIN_IMAGES
from sodbench.parallel import in_threads, worker_count
from sodbench.reports.breakdowns import Breakdown, collect_breakdowns
from sodbench.reports.comparability import (
    Comparable,
    Key,
    Ranking,
    find_comparable,
    find_ranking,
)
from sodbench.reports.compare import Comparison, compare_all_pairs
from sodbench.reports.image_counts import (
    check_image_counts,
    dataset_heading,
    describe_small_datasets,
)
from sodbench.reports.result_statistics import (
    ResultStatistics,
    compute_statistics,
)
from sodbench.reports.selection import (
    index_results,
    primary_name,
    select_metrics,
    sort_datasets,
)
from sodbench.results import Result
from sodbench.results.groups import BY_FOLDER, GroupedResult, Grouping, group_results

# Results worked on at a time; each of them holds some 300 MB for 5,000 images.
_THREADS = min(4, worker_count())


@dataclass(frozen=True)
class Analysis:
    """Results arranged for a report, and everything that is computed from them.

    Attributes
    ----------
    results : mapping of (str, str) to Result
        By (method, dataset).
    methods, datasets : tuple of str
        In the order in which they are shown.
    metrics : tuple of Metric
        In the order in which they are shown.
    values : DataFrame
        The aggregates: a row for each method, a column for each (dataset, metric name).
    intervals : mapping of (str, str, str) to Interval
        By (method, dataset, metric name); without limits (NaN) for fewer than ``MIN_IMAGES`` images.
    comparisons : tuple of Comparison
        Every pair of comparable methods, for every dataset and metric.
    breakdowns : tuple of Breakdown
        The metrics by groups of images: for every attribute each metric; object size is the first attribute.
    by_protocol : mapping of (str, str) to mapping of str to float
        By (method, dataset), max F under every protocol.
    resamples, seed : int
        Of the bootstrap.
    comparable : Comparable
        Which results may be compared.
    ranking : Ranking
        The methods and datasets of the mean ranks.
    image_groups : mapping
        By dataset, attribute and group, the names of its images.
    grouped : mapping of (str, str) to GroupedResult
        By (method, dataset), the means over sequences or classes, where images are in such groups.
    """

    results: Mapping[Key, Result]
    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    metrics: tuple[Metric, ...]
    values: pd.DataFrame
    intervals: Mapping[tuple[str, str, str], Interval]
    comparisons: tuple[Comparison, ...]
    breakdowns: tuple[Breakdown, ...]
    by_protocol: Mapping[Key, Mapping[str, float]]
    resamples: int
    seed: int
    comparable: Comparable
    ranking: Ranking
    image_groups: Mapping[str, Mapping[str, Mapping[str, tuple[str, ...]]]]
    grouped: Mapping[Key, GroupedResult] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"Analysis(methods: {', '.join(self.methods)}; datasets: {', '.join(self.datasets)}; "
            f"metrics: {', '.join(m.name for m in self.metrics)}; {len(self.comparisons)} comparisons)"
        )

    def heading(self, dataset: str) -> str:
        """The dataset's name, with its number of images where that is not the official one.

        Parameters
        ----------
        dataset : str

        Returns
        -------
        str
        """
        here = list(self.results_on(dataset).values())
        return dataset_heading(dataset, [r.n for r in here], drawn=any(map(_is_sample, here)))

    def results_on(self, dataset: str) -> dict[str, Result]:
        """The results on a dataset, by method.

        Parameters
        ----------
        dataset : str

        Returns
        -------
        dict of str to Result
            In the order of `methods`.
        """
        here = {m: self.results.get((m, dataset)) for m in self.methods}
        return {method: result for method, result in here.items() if result}

    def best_first(self, dataset: str, metric: Metric) -> list[str]:
        """The methods that are ranked on a dataset and have a score of a metric, the best first.

        Parameters
        ----------
        dataset : str
        metric : Metric

        Returns
        -------
        list of str
        """
        scores = self.values[(dataset, metric.name)].dropna()
        scores = scores[scores.index.isin(self.ranked[dataset])]
        ordered = scores.sort_values(ascending=not metric.higher_is_better, kind="stable")
        return list(map(str, ordered.index))

    @property
    def headings(self) -> dict[str, str]:
        """The `heading` of every dataset."""
        return {dataset: self.heading(dataset) for dataset in self.datasets}

    @property
    def primary_metric(self) -> Metric:
        """The metric for tables and figures that show a single one: max F if it is shown, else the first."""
        return find_metric(primary_name([m.name for m in self.metrics]))

    @property
    def ranked(self) -> dict[str, tuple[str, ...]]:
        """For each dataset the methods that get a place; none where there are fewer than ``MIN_IMAGES`` images."""
        return _ranked_methods(self.comparable, self.results)

    @property
    def sample(self) -> bool:
        """Whether any result comes from the built-in sample."""
        return any(map(_is_sample, self.results.values()))

    @property
    def notes(self) -> list[str]:
        """What a reader has to know about the statistics: which datasets are small."""
        return describe_small_datasets(self.fewest_images)

    @property
    def fewest_images(self) -> dict[str, int]:
        """By dataset, the smallest number of images that a method was scored on."""
        return {d: min(r.n for r in self.results_on(d).values()) for d in self.datasets}

    def check_image_counts(self) -> list[str]:
        """A line for each result whose images are not the official ones of its dataset."""
        return check_image_counts(self.results)

    def tied(self, best: str, dataset: str, metric: str) -> list[Comparison]:
        """The tests that found no significant difference between ``best`` and another method.

        Parameters
        ----------
        best, dataset, metric : str

        Returns
        -------
        list of Comparison
        """
        return [
            c
            for c in self.comparisons
            if (c.dataset, c.metric) == (dataset, metric)
            and best in (c.first, c.second)
            and c.tested
            and not c.winner
        ]

    def wins_over(self) -> dict[tuple[str, str, str], list[str]]:
        """For (method, dataset, metric name): the methods that it is significantly better than."""
        losers: dict[tuple[str, str, str], list[str]] = {}
        for c in self.comparisons:
            if c.winner:
                losers.setdefault((c.winner, c.dataset, c.metric), []).append(c.loser)
        return losers

    def differing_from(self, baseline: str) -> set[tuple[str, str, str]]:
        """The scores whose difference from the baseline's is significant.

        Parameters
        ----------
        baseline : str
            A method.

        Returns
        -------
        set of (str, str, str)
            Method, dataset and metric name.
        """
        return {
            (c.second if c.first == baseline else c.first, c.dataset, c.metric)
            for c in self.comparisons
            if c.winner and baseline in (c.first, c.second)
        }

    def critical_differences(self) -> dict[str, CriticalDifference]:
        """By metric name, Friedman and Nemenyi over the datasets of `ranking`, for its methods."""
        methods, datasets = list(self.ranking.methods), list(self.ranking.datasets)
        tests = {}
        for metric in (m for m in self.metrics if m.sign):
            table = self.values.xs(metric.name, axis=1, level=1).loc[methods, datasets]
            scores = {str(method): list(row) for method, row in table.iterrows()}
            complete = {m: row for m, row in scores.items() if np.isfinite(row).all()}
            test = critical_difference(complete, metric.higher_is_better) if complete else None
            if test:
                tests[metric.name] = test
        return tests


def _is_sample(result: Result) -> bool:
    return bool(result.provenance.get("sample"))


def analyse(
    results: Sequence[Result],
    *,
    metrics: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
    attributes: Mapping[str, pd.DataFrame] | None = None,
    grouping: Grouping = BY_FOLDER,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Analysis:
    """Arrange results and compute everything that a report states.

    Parameters
    ----------
    results : sequence of Result
    metrics, methods, datasets : sequence of str, optional
        Only these, in this order.
    attributes : mapping of str to DataFrame, optional
        By dataset, what `sodbench.datasets.attribute_groups` returns. Scores are broken down by these.
    grouping : Grouping, optional
        The sequences or classes over whose means scores are averaged, for the datasets that it applies to.
    resamples, seed : int, optional
        Of the bootstrap. The numbers of one dataset do not depend on the other datasets.

    Returns
    -------
    Analysis

    Raises
    ------
    SodbenchError
        For a name that no result has, and for two results of one method on one dataset under one protocol.
    """
    by_key = index_results(results, methods, datasets)
    report_metrics = select_metrics(list(next(iter(by_key.values())).metrics), metrics)
    method_names = tuple(methods or dict.fromkeys(method for method, _ in by_key))
    dataset_names = tuple(datasets or sort_datasets(dataset for _, dataset in by_key))
    own = {(m, d): by_key[m, d] for d in dataset_names for m in method_names if (m, d) in by_key}
    statistics = _compute_all(own, report_metrics, attributes or {}, resamples, seed)
    signatures = {key: result.signature for key, result in own.items()}
    fingerprints = {key: one.fingerprint for key, one in statistics.items()}
    comparable = find_comparable(signatures, fingerprints)
    return Analysis(
        results=by_key,
        methods=method_names,
        datasets=dataset_names,
        metrics=report_metrics,
        values=_tabulate_values(by_key, method_names, dataset_names, report_metrics),
        intervals=_collect_intervals(statistics),
        comparisons=_compare_all(by_key, dataset_names, report_metrics, statistics, comparable),
        breakdowns=collect_breakdowns(statistics, comparable, report_metrics),
        by_protocol={key: one.f_max_by_protocol for key, one in statistics.items()},
        resamples=resamples,
        seed=seed,
        comparable=comparable,
        ranking=_find_ranking(comparable, _ranked_methods(comparable, by_key)),
        image_groups=_collect_members(own, statistics),
        grouped=_group_all(own, grouping),
    )


# ---- the parts of an analysis ------------------------------------------------------------------


def _tabulate_values(
    results: Mapping[Key, Result],
    methods: Sequence[str],
    datasets: Sequence[str],
    metrics: Sequence[Metric],
) -> pd.DataFrame:
    """The aggregates, methods x (dataset, metric name); NaN where there is no result."""
    columns = [(dataset, metric.name) for dataset in datasets for metric in metrics]
    rows = []
    for method in methods:
        own = [results.get((method, dataset)) for dataset, _ in columns]
        rows.append(
            [
                float(result.metrics.get(name, np.nan)) if result else np.nan
                for result, (_, name) in zip(own, columns, strict=True)
            ]
        )
    return pd.DataFrame(
        rows,
        index=pd.Index(methods, name="method"),
        columns=pd.MultiIndex.from_tuples(columns, names=["dataset", "metric"]),
    )


def _ranked_methods(
    comparable: Comparable, results: Mapping[Key, Result]
) -> dict[str, tuple[str, ...]]:
    """The methods that are compared on each dataset, without the datasets that are too small to rank methods by."""
    return {
        dataset: methods if all(results[m, dataset].n >= MIN_IMAGES for m in methods) else ()
        for dataset, methods in comparable.compared.items()
    }


def _find_ranking(comparable: Comparable, ranked: Mapping[str, tuple[str, ...]]) -> Ranking:
    """Over the datasets whose class has the protocol and the rule for masks that most datasets have."""
    rules = {
        d: (comparable.usual[d].protocol, comparable.usual[d].gt)
        for d, methods in ranked.items()
        if methods
    }
    if not rules:
        return Ranking()
    # a mean over datasets that were scored in different ways would be of different quantities
    main = Counter(rules.values()).most_common(1)[0][0]
    return find_ranking({d: ranked[d] for d, rule in rules.items() if rule == main})


def _compute_all(
    results: Mapping[Key, Result],
    metrics: Sequence[Metric],
    attributes: Mapping[str, pd.DataFrame],
    resamples: int,
    seed: int,
) -> dict[Key, ResultStatistics]:
    """The statistics of every result, in threads; results on equally many images of one dataset share their draws."""
    draws = {
        # kept, not drawn again for each method: paired tests need the same images for both methods
        (dataset, n): tuple(draw_resamples(n, resamples, dataset_seed(dataset, seed)))
        for dataset, n in {(d, result.n) for (_, d), result in results.items()}
    }

    def compute(key: Key) -> ResultStatistics:
        result, dataset = results[key], key[1]
        own = draws[dataset, result.n]
        return compute_statistics(result, metrics, own, attributes.get(dataset))

    computed = in_threads(compute, list(results), "statistics", "result", _THREADS)
    return dict(zip(results, computed, strict=True))


def _group_all(results: Mapping[Key, Result], grouping: Grouping) -> dict[Key, GroupedResult]:
    """The scores by group of the results whose images are in groups."""

    def score_groups(key: Key) -> GroupedResult:
        # a copy, as in compute_statistics
        return group_results([replace(results[key])], grouping)[0]

    keys = [key for key, one in results.items() if grouping.applies_to(one.pair_table.stems)]
    scored = in_threads(score_groups, keys, "groups", "result", _THREADS)
    return dict(zip(keys, scored, strict=True))


def _collect_intervals(
    statistics: Mapping[Key, ResultStatistics],
) -> dict[tuple[str, str, str], Interval]:
    return {
        (*key, name): interval
        for key, one in statistics.items()
        for name, interval in one.intervals.items()
    }


def _compare_all(
    results: Mapping[Key, Result],
    datasets: Sequence[str],
    metrics: Sequence[Metric],
    statistics: Mapping[Key, ResultStatistics],
    comparable: Comparable,
) -> tuple[Comparison, ...]:
    """Every pair of comparable methods on every dataset."""
    comparisons: list[Comparison] = []
    for dataset in datasets:
        methods = comparable.compared[dataset]
        compared = {method: results[method, dataset] for method in methods}
        own = [statistics[method, dataset] for method in methods]
        comparisons += compare_all_pairs(dataset, compared, metrics, own)
    return tuple(comparisons)


def _collect_members(
    results: Mapping[Key, Result], statistics: Mapping[Key, ResultStatistics]
) -> dict[str, dict[str, dict[str, tuple[str, ...]]]]:
    """The images of every group, by dataset, of the result with the most images."""
    members = {}
    largest: dict[str, int] = {}
    for (method, dataset), result in results.items():
        # where methods left out images, the largest result knows the most of them
        if result.n > largest.get(dataset, 0):
            largest[dataset] = result.n
            members[dataset] = {
                attribute: {name: group.stems for name, group in groups.items()}
                for attribute, groups in statistics[method, dataset].groups.items()
            }
    return members
