"""The paired comparison of methods, from stored results: nothing is scored again.

``sodbench report`` compares all pairs of methods and ``sodbench compare`` one pair, by the same tests: see
`sodbench.metrics.statistics.significance`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np

from sodbench.errors import SodbenchError
from sodbench.metrics.arrays import Floats
from sodbench.metrics.catalogue import Metric, find_metric
from sodbench.metrics.statistics.bootstrap import (
    CONFIDENCE_TEXT,
    dataset_seed,
    draw_resamples,
)
from sodbench.metrics.statistics.significance import (
    ALPHA_TEXT,
    MIN_IMAGES,
    PairedTest,
    compare_pairs,
)
from sodbench.quoting import html_text, json_text, markdown_text, printable
from sodbench.reports.image_counts import describe_small_datasets
from sodbench.reports.result_statistics import (
    ResultStatistics,
    foreground_share,
    image_scores,
    image_statistics,
    load_counts,
)
from sodbench.reports.selection import select_metrics, sort_datasets
from sodbench.reports.tables import NO_VALUE, format_difference, format_p_value, format_score
from sodbench.reports.text import format_csv, format_table
from sodbench.results import Result, load_results
from sodbench.results.result_file import nan_to_none


@dataclass(frozen=True, kw_only=True)
class Comparison(PairedTest):
    """A `PairedTest` of two methods on one dataset by one metric.

    Attributes
    ----------
    dataset, metric : str
    higher_is_better : bool
        The direction of the metric.
    first, second : str
        The methods.
    images : int
        Number of images that both were scored on.
    first_value, second_value : float
        The aggregates over these images.
    """

    dataset: str
    metric: str
    higher_is_better: bool
    first: str
    second: str
    images: int
    first_value: float
    second_value: float

    @property
    def winner(self) -> str:
        """The method that is significantly better; empty if there is none."""
        if not self.significant:
            return ""
        return self.first if (self.difference > 0) == self.higher_is_better else self.second

    @property
    def loser(self) -> str:
        """The method that is significantly worse; empty if there is none."""
        return {self.first: self.second, self.second: self.first}.get(self.winner, "")


def compare_all_pairs(
    dataset: str,
    results: Mapping[str, Result],
    metrics: Sequence[Metric],
    statistics: Sequence[ResultStatistics],
) -> list[Comparison]:
    """Compare every pair of methods on one dataset, for ``sodbench report``.

    Parameters
    ----------
    dataset : str
    results : mapping of str to Result
        By method; all of the same images, scored in the same way.
    metrics : sequence of Metric
        Those without a better direction are left out.
    statistics : sequence of ResultStatistics
        Of each result, from the same draws.

    Returns
    -------
    list of Comparison
        Holm-corrected over the pairs for each metric; empty for fewer than ``MIN_IMAGES`` images.
    """
    pairs = list(combinations(results, 2))
    if not pairs or next(iter(results.values())).n < MIN_IMAGES:
        return []
    # all pairs of methods at once, as indices into the arrays of methods
    position = {method: i for i, method in enumerate(results)}
    first, second = np.array([(position[a], position[b]) for a, b in pairs]).T
    # one order of images for all methods: the tests are paired
    stems = sorted(next(iter(results.values())).table.index)
    observed = np.stack([one.observed for one in statistics])
    distributions = np.stack([one.distribution for one in statistics])
    comparisons = []
    for i, metric in enumerate(metrics):
        if not metric.sign:
            continue
        scores = np.stack([image_scores(r, metric.name, stems) for r in results.values()])
        tests = compare_pairs(
            observed[first, i] - observed[second, i],
            distributions[first, :, i] - distributions[second, :, i],
            scores[first] - scores[second],
            np.full(len(pairs), metric.higher_is_better),
        )
        comparisons += _build_comparisons(
            dataset,
            len(stems),
            [(metric, a, b) for a, b in pairs],
            np.stack([observed[first, i], observed[second, i]], axis=1),
            tests,
        )
    return comparisons


def _build_comparisons(
    dataset: str,
    images: int,
    pairs: Sequence[tuple[Metric, str, str]],
    values: Floats,
    tests: Sequence[PairedTest],
) -> list[Comparison]:
    """One comparison for each of K tests; pairs: metric, first and second method; values: float64 [K, 2], their aggregates."""
    return [
        Comparison(
            dataset=dataset,
            metric=metric.name,
            higher_is_better=metric.higher_is_better,
            first=first,
            second=second,
            images=images,
            first_value=float(values[k, 0]),
            second_value=float(values[k, 1]),
            **vars(tests[k]),
        )
        for k, (metric, first, second) in enumerate(pairs)
    ]


# ---- two methods ------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class PairedComparison:
    """Two methods compared.

    Attributes
    ----------
    first, second : str
        The methods.
    comparisons : tuple of Comparison
        One for each dataset and metric; Holm-corrected over the metrics of a dataset.
    remarks : tuple of str
        What a reader has to know, for example that the images differ.
    resamples, seed : int
        Of the bootstrap.
    """

    first: str
    second: str
    comparisons: tuple[Comparison, ...]
    remarks: tuple[str, ...]
    resamples: int
    seed: int

    def __repr__(self) -> str:
        lines = [
            f"{c.dataset} {c.metric}: {c.first_value:.4f} - {c.second_value:.4f} = {c.difference:+.4f} "
            f"[{c.low:+.4f}, {c.high:+.4f}], p = {c.p_holm:.3g}"
            for c in self.comparisons
        ]
        return "\n  ".join([f"PairedComparison: {self.first} against {self.second}", *lines])

    def __str__(self) -> str:
        return format_comparison(self)

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        from sodbench.reports.comparison_files import paired_table

        title = html_text(f"{self.first} against {self.second}")
        return f"<p>{title}</p>{paired_table(self)._repr_html_()}"


def compare(
    first: "ResultsOrFolder",
    second: "ResultsOrFolder",
    *,
    metrics: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> PairedComparison:
    """Compare two methods on the datasets that both have.

    Parameters
    ----------
    first, second : Result, sequence of Result, str or Path
        The results of one method each, or the folder that holds them.
    metrics : sequence of str, optional
        The names of the metrics; by default the five classical ones.
    datasets : sequence of str, optional
        By default all that both have.
    resamples, seed : int, optional
        Of the bootstrap.

    Returns
    -------
    PairedComparison
        Printed, it is the table of ``sodbench compare``.

    Raises
    ------
    SodbenchError
        Where one side holds several methods, no dataset is shared, or the protocols differ.

    Examples
    --------
    >>> print(compare("results/DSS", "results/CSF"))  # doctest: +SKIP
    """
    sides = _load_side(first), _load_side(second)
    a, b = (_check_one_method(results) for results in sides)
    # two runs of one method, such as before and after a change, need names of their own
    names = (a, b) if a != b else (f"{a} (first)", f"{b} (second)")
    by_dataset = [{r.dataset: r for r in results} for results in sides]
    comparisons: list[Comparison] = []
    remarks: list[str] = []
    for dataset in _shared_datasets(a, b, by_dataset, datasets):
        one, two = (results[dataset] for results in by_dataset)
        if one.protocol != two.protocol:
            raise SodbenchError(
                f"{dataset}: {a} was scored under {one.protocol}, {b} under {two.protocol}; score both under one "
                "protocol (no image is read again: sodbench eval --protocol)"
            )
        asked = _require_direction(select_metrics(list(one.metrics), metrics), metrics is not None)
        # a paired test needs images that both have; the rest is named in the remarks
        stems = sorted(set(one.table.index) & set(two.table.index))
        if not stems:
            raise SodbenchError(f"{dataset}: the two results have no image in common")
        comparisons += _compare_two((one, two), names, stems, asked, resamples, seed)
        remarks += _describe_differences(dataset, (a, b), (one, two), stems)
    return PairedComparison(*names, tuple(comparisons), tuple(remarks), resamples, seed)


# What one side of a comparison may be given as.
ResultsOrFolder = Result | Sequence[Result] | str | Path


def _load_side(source: ResultsOrFolder) -> Sequence[Result]:
    if isinstance(source, Result):
        return [source]
    return load_results(source) if isinstance(source, (str, Path)) else source


def _check_one_method(results: Sequence[Result]) -> str:
    """The name of the only method; raises SodbenchError where there are several, or several results on one dataset."""
    methods = list(dict.fromkeys(r.method for r in results))
    if len(methods) != 1:
        folder = results[0].folder
        example = f", such as {folder.parent}" if folder else ""
        raise SodbenchError(
            f"one side of a comparison is one method, this one has {', '.join(methods)}; name the folder of one{example}"
        )
    if len({r.dataset for r in results}) != len(results):
        raise SodbenchError(
            f"{methods[0]} has several results on one dataset; name the folder of one of them"
        )
    return methods[0]


def _shared_datasets(
    a: str, b: str, by_dataset: Sequence[Mapping[str, Result]], asked: Sequence[str] | None
) -> Sequence[str]:
    """The datasets to compare on; raises SodbenchError where a method has none of them."""
    first, second = by_dataset
    shared = [dataset for dataset in sort_datasets(first) if dataset in second]
    missing = [dataset for dataset in asked or () if dataset not in shared]
    if missing or not shared:
        raise SodbenchError(
            f"{a} and {b} have no common result on {', '.join(missing) or 'any dataset'}; "
            f"{a} has {', '.join(first)}; {b} has {', '.join(second)}"
        )
    return asked or shared


def _require_direction(metrics: Sequence[Metric], asked: bool) -> list[Metric]:
    """The metrics by which one of two methods can be better; raises SodbenchError for others that were asked for."""
    without = [m.name for m in metrics if not m.sign]
    if without and asked:
        raise SodbenchError(
            f"--metrics {' '.join(without)}: no method is better by it, because neither a higher nor a lower value is better"
        )
    return [m for m in metrics if m.sign]


def _compare_two(
    results: tuple[Result, Result],
    methods: tuple[str, str],
    stems: Sequence[str],
    metrics: Sequence[Metric],
    resamples: int,
    seed: int,
) -> list[Comparison]:
    """Every metric on one dataset, paired over the images ``stems``."""
    dataset = results[0].dataset
    draws = list(draw_resamples(len(stems), resamples, dataset_seed(dataset, seed)))
    observed, distributions, scores = [], [], []
    for result in results:
        row = {str(stem): i for i, stem in enumerate(result.table.index)}
        rows = np.array([row[stem] for stem in stems])
        counts = load_counts(result)
        statistics = image_statistics(result, counts, [m.name for m in metrics], rows)
        observed.append(statistics.observed())
        distributions.append(statistics.distribution(draws))
        scores.append(np.stack([image_scores(result, m.name, stems) for m in metrics]))
    tests = compare_pairs(
        observed[0] - observed[1],
        (distributions[0] - distributions[1]).T,
        scores[0] - scores[1],
        np.array([m.higher_is_better for m in metrics]),
    )
    pairs = [(metric, *methods) for metric in metrics]
    return _build_comparisons(dataset, len(stems), pairs, np.stack(observed, axis=1), tests)


def _describe_differences(
    dataset: str, methods: tuple[str, str], results: tuple[Result, Result], stems: Sequence[str]
) -> list[str]:
    """What differs between the two results besides the maps."""
    (a, b), (one, two) = methods, results
    remarks = []
    if len(stems) < max(one.n, two.n):
        remarks.append(
            f"{dataset}: {a} has {one.n} images, {b} has {two.n}; compared on the {len(stems)} that both have."
        )
    if one.signature != two.signature:
        remarks.append(f"{dataset}: the signatures differ: {one.signature} and {two.signature}.")
    shares = []
    for result in results:
        share = dict(zip(result.table.index, foreground_share(load_counts(result)), strict=True))
        shares.append(np.array([share[stem] for stem in stems]))
    others = int((shares[0] != shares[1]).sum())
    if others:
        remarks.append(
            f"{dataset}: {others} of {len(stems)} images were scored against different masks; the numbers are not comparable."
        )
    return [*remarks, *describe_small_datasets({dataset: len(stems)})]


# ---- as text ----------------------------------------------------------------------------------


def format_comparison(
    comparison: PairedComparison,
    style: Literal["table", "markdown", "csv", "json"] = "table",
) -> str:
    """Return the comparison of two methods as text.

    Parameters
    ----------
    comparison : PairedComparison
    style : {"table", "markdown", "csv", "json"}
        A table for the terminal, or in GitHub's Markdown; CSV and JSON have all digits.

    Returns
    -------
    str
    """
    if style == "json":
        content = {
            **vars(comparison),
            "comparisons": [_comparison_record(c) for c in comparison.comparisons],
        }
        return json_text(nan_to_none(content))
    if style == "csv":
        records = [
            {"first": comparison.first, "second": comparison.second, **_comparison_record(c)}
            for c in comparison.comparisons
        ]
        return format_csv(list(records[0]), (list(record.values()) for record in records))
    markdown = style == "markdown"
    quote = markdown_text if markdown else printable
    headers = [
        "metric",
        comparison.first,
        comparison.second,
        "difference",
        f"{CONFIDENCE_TEXT} interval",
        "bootstrap p (Holm)",
        "Wilcoxon p (Holm)",
        "images",
    ]
    table = format_table(
        headers,
        map(_format_cells, comparison.comparisons),
        align="l" * len(headers),
        markdown=markdown,
    )
    title = quote(f"{comparison.first} against {comparison.second}")
    notes = [quote(note) for note in (explain_comparison(comparison), *comparison.remarks)]
    if markdown:
        return "\n\n".join([f"**{title}**", table, *notes])
    return "\n".join([title, "", table, "", *notes])


def _comparison_record(c: Comparison) -> dict[str, object]:
    """A comparison as it is stored."""
    names = ("p", "p_holm", "p_wilcoxon", "p_wilcoxon_holm", "undecided", "wins", "ties", "losses")
    return {
        "dataset": c.dataset,
        "metric": c.metric,
        "images": c.images,
        "a": c.first_value,
        "b": c.second_value,
        "low": c.low,
        "high": c.high,
        **{name: getattr(c, name) for name in names},
    }


def _format_cells(c: Comparison) -> list[str]:
    low, high = (format_difference(limit, 4) for limit in (c.low, c.high))
    return [
        f"{c.dataset} {find_metric(c.metric).heading}",
        format_score(c.first_value, 4),
        format_score(c.second_value, 4),
        format_difference(c.difference, 4),
        NO_VALUE if np.isnan(c.low) else f"[{low}, {high}]",
        format_p_value(c.p_holm) + " ≈" * c.undecided,
        format_p_value(c.p_wilcoxon_holm),
        # a set of images has the metric, single images may not
        f"{c.wins} / {c.ties} / {c.losses}" if c.wins + c.ties + c.losses else NO_VALUE,
    ]


def explain_comparison(comparison: PairedComparison) -> str:
    """Return what the columns of a comparison mean.

    Returns
    -------
    str
    """
    undecided = any(c.undecided for c in comparison.comparisons)
    return (
        f"Difference: {comparison.first} minus {comparison.second}, with its {CONFIDENCE_TEXT} bootstrap interval. "
        "Bootstrap p: paired test of the aggregate. Wilcoxon p: signed ranks of the images' own scores. Both are "
        "Holm-corrected over the metrics of a dataset; the intervals are not corrected, so that one may exclude zero "
        f"where the corrected p is above {ALPHA_TEXT}. Images: on how many {comparison.first} is better, equal, worse. "
        f"{comparison.resamples} resamples, seed {comparison.seed}."
        + f" ≈: another seed could put p on the other side of {ALPHA_TEXT}; more resamples decide it."
        * undecided
    )
