"""The paired comparison of two methods, from stored results: nothing is scored again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from sodbench.errors import SodbenchError
from sodbench.metrics.catalogue import Metric, find_metric
from sodbench.metrics.statistics.bootstrap import RESAMPLES, dataset_seed
from sodbench.metrics.statistics.significance import (
    bootstrap,
    holm,
    interval,
    permutation_p,
    wilcoxon_p,
    win_tie_loss,
)
from sodbench.quoting import json_text, markdown_text, printable
from sodbench.reports import markdown, tables
from sodbench.reports.aggregates import Statistics, foreground_share, statistics
from sodbench.reports.analysis import checked_counts, in_order, per_image, select_metrics
from sodbench.reports.image_counts import MIN_IMAGES, describe_small_datasets
from sodbench.reports.sections import format_p_value
from sodbench.results import Result
from sodbench.results.result_file import nan_to_none


@dataclass(frozen=True)
class Difference:
    """One metric on one dataset: the first method against the second, paired over ``images``.

    a, b: the aggregates over those images; low, high: 95 % bootstrap interval of a - b.
    p: permutation test of the aggregate; p_wilcoxon: signed ranks of the per-image scores; both also Holm-corrected over
    the metrics shown of this dataset.  NaN where there are too few images for a test.
    wins, ties, losses: images on which the first is better, equal, worse.
    """

    dataset: str
    metric: str
    images: int
    a: float
    b: float
    low: float
    high: float
    p: float
    p_holm: float
    p_wilcoxon: float
    p_wilcoxon_holm: float
    wins: int
    ties: int
    losses: int


@dataclass(frozen=True)
class PairedComparison:
    """Two methods compared; ``remarks`` are what a reader has to know, e.g. that images differ."""

    first: str
    second: str
    differences: tuple[Difference, ...]
    remarks: tuple[str, ...]
    resamples: int
    seed: int


def compare(
    first: Sequence[Result],
    second: Sequence[Result],
    *,
    metrics: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PairedComparison:
    """Compare two methods on the data sets that both have.

    first, second: the results of one method each.
    Raises :class:`SodbenchError` where a side holds several methods, no set is shared, or the protocols differ.
    """
    a, b = _one_method(first), _one_method(second)
    shared = [d for d in in_order(r.dataset for r in first) if d in {r.dataset for r in second}]
    missing = [d for d in datasets or () if d not in shared]
    if missing or not shared:
        raise SodbenchError(
            f"{a} and {b} have no common result on {', '.join(missing) or 'any dataset'}; "
            f"{a} has {', '.join(r.dataset for r in first)}; {b} has {', '.join(r.dataset for r in second)}"
        )
    remarks: list[str] = []
    found: list[Difference] = []
    for dataset in datasets or shared:
        one = next(r for r in first if r.dataset == dataset)
        two = next(r for r in second if r.dataset == dataset)
        if one.protocol != two.protocol:
            raise SodbenchError(
                f"{dataset}: {a} was scored under {one.protocol}, {b} under {two.protocol}; score both under one "
                "protocol (no image is read again: sodbench eval --protocol)"
            )
        chosen = _with_direction(
            select_metrics(list(one.metrics), metrics), asked=metrics is not None
        )
        found += _on(dataset, one, two, chosen, resamples, seed)
        remarks += _remarks(dataset, a, b, one, two)
    names = (a, b) if a != b else (f"{a} (first)", f"{b} (second)")
    return PairedComparison(*names, tuple(found), tuple(remarks), resamples, seed)


def _with_direction(metrics: Sequence[Metric], asked: bool) -> list[Metric]:
    """The metrics by which one of two methods can be better; raises :class:`SodbenchError` for others that were asked for."""
    without = [m.name for m in metrics if not m.sign]
    if without and asked:
        raise SodbenchError(
            f"--metrics {' '.join(without)}: no method is better by it, because neither a higher nor a lower value is better"
        )
    return [m for m in metrics if m.sign]


def _one_method(results: Sequence[Result]) -> str:
    methods = list(dict.fromkeys(r.method for r in results))
    if len(methods) != 1:
        raise SodbenchError(
            f"one side of a comparison is one method, this one has {', '.join(methods)}; name the folder of one"
        )
    seen = [(r.dataset, r.protocol) for r in results]
    if len({d for d, _ in seen}) != len(seen):
        raise SodbenchError(
            f"{methods[0]} has several results on one dataset; name the folder of one of them"
        )
    return methods[0]


def _remarks(dataset: str, a: str, b: str, one: Result, two: Result) -> list[str]:
    remarks = []
    common = set(one.table.index) & set(two.table.index)
    if len(common) < max(one.n, two.n):
        remarks.append(
            f"{dataset}: {a} has {one.n} images, {b} has {two.n}; compared on the {len(common)} that both have."
        )
    if one.signature != two.signature:
        remarks.append(f"{dataset}: the signatures differ: {one.signature} and {two.signature}.")
    stems = sorted(common)
    covered = [
        pd.Series(foreground_share(checked_counts(r)), r.table.index).loc[stems] for r in (one, two)
    ]
    others = int((covered[0] != covered[1]).sum())
    if others:
        remarks.append(
            f"{dataset}: {others} of {len(stems)} images were scored against different masks; the numbers are not comparable."
        )
    return [*remarks, *describe_small_datasets({dataset: len(common)})]


def _on(
    dataset: str, one: Result, two: Result, metrics: Sequence[Metric], resamples: int, seed: int
) -> list[Difference]:
    stems = sorted(set(one.table.index) & set(two.table.index))
    if not stems:
        raise SodbenchError(f"{dataset}: the two results have no image in common")
    names = [m.name for m in metrics]
    first, second = (_statistics(result, names, stems) for result in (one, two))
    tables_ = [result.table.loc[stems] for result in (one, two)]
    a, b = first.observed(), second.observed()
    draws = dataset_seed(dataset, seed)
    change = bootstrap(first.columns, first.aggregate, resamples, draws) - bootstrap(
        second.columns, second.aggregate, resamples, draws
    )
    defined = np.isfinite(first.columns).all(axis=1) & np.isfinite(second.columns).all(axis=1)
    p = np.full(len(metrics), np.nan)
    enough = len(stems) >= MIN_IMAGES
    if defined.any() and enough:
        p = permutation_p(
            first.columns[defined], second.columns[defined], first.aggregate, resamples, draws
        )
    p[~np.isfinite(a - b)] = np.nan
    p_wilcoxon = np.array(
        [
            wilcoxon_p(*(per_image(t, m.name) for t in tables_))
            if enough and m.name in tables_[0]
            else np.nan
            for m in metrics
        ]
    )
    p_holm, p_wilcoxon_holm = holm(p), holm(p_wilcoxon)
    if not enough:
        change = np.full_like(change, np.nan)
    differences = []
    for i, m in enumerate(metrics):
        own, other = (per_image(t, m.name) for t in tables_)
        between = interval(float(a[i] - b[i]), change[:, i])
        tally = win_tie_loss(own - other, m.higher_is_better)
        differences.append(
            Difference(
                dataset=dataset,
                metric=m.name,
                images=len(stems),
                a=float(a[i]),
                b=float(b[i]),
                low=between.low,
                high=between.high,
                p=float(p[i]),
                p_holm=float(p_holm[i]),
                p_wilcoxon=float(p_wilcoxon[i]),
                p_wilcoxon_holm=float(p_wilcoxon_holm[i]),
                wins=tally.wins,
                ties=tally.ties,
                losses=tally.losses,
            )
        )
    return differences


def _statistics(result: Result, names: Sequence[str], stems: Sequence[str]) -> Statistics:
    """The statistics of these images, in this order."""
    row = {str(stem): i for i, stem in enumerate(result.table.index)}
    return statistics(result, checked_counts(result), names, np.array([row[s] for s in stems]))


# ---- print ------------------------------------------------------------------------------------


def render(found: PairedComparison, form: Literal["table", "markdown", "csv", "json"]) -> str:
    """The comparison as text for a terminal, Markdown, CSV or JSON (all digits in the last two)."""
    if form == "json":
        content = {**vars(found), "differences": [_record(d) for d in found.differences]}
        return json_text(nan_to_none(content))
    if form == "csv":
        rows = [
            {
                key: printable(value) if isinstance(value, str) else value
                for key, value in {
                    "first": found.first,
                    "second": found.second,
                    **_record(d),
                }.items()
            }
            for d in found.differences
        ]
        return pd.DataFrame(rows).to_csv(index=False, lineterminator="\n").rstrip("\n")
    frame = pd.DataFrame(
        [_texts(found, d) for d in found.differences],
        index=[f"{d.dataset} {find_metric(d.metric).heading}" for d in found.differences],
    )
    meaning = (
        f"Difference: {found.first} minus {found.second}, with its 95 % bootstrap interval. Permutation p: paired test of "
        "the aggregate. Wilcoxon p: signed ranks of the images' own scores. Both are Holm-corrected over the metrics of a "
        "dataset; the intervals are not corrected, so that one may exclude zero where the corrected p is above 5 %. "
        f"Images: on how many {found.first} is better, equal, worse. {found.resamples} resamples, seed {found.seed}."
    )
    notes = (meaning, *found.remarks)
    title = f"{found.first} against {found.second}"
    table = tables.table_from_frame("compare", title, frame, notes, "metric")
    if form == "markdown":
        return f"**{markdown_text(title)}**\n\n{markdown.format_table(table)}"
    from tabulate import tabulate

    lines = [[printable(row.label), *(cell.text for cell in row.cells)] for row in table.rows]
    heads = [table.index_name, *(printable(column.heading) for column in table.columns)]
    body = tabulate(lines, headers=heads, disable_numparse=True)
    return "\n".join([printable(title), "", body, "", *map(printable, notes)])


def _record(d: Difference) -> dict[str, object]:
    """The difference as it is stored, under the names that a report's files use."""
    return {name: value for name, value in vars(d).items()}


def _texts(found: PairedComparison, d: Difference) -> dict[str, str]:
    return {
        found.first: tables.format_score(d.a, 4),
        found.second: tables.format_score(d.b, 4),
        "difference": tables.format_difference(d.a - d.b, 4),
        "95 % interval": tables.NO_VALUE
        if np.isnan(d.low)
        else f"[{tables.format_difference(d.low, 4)}, {tables.format_difference(d.high, 4)}]",
        "permutation p (Holm)": format_p_value(d.p_holm),
        "Wilcoxon p (Holm)": format_p_value(d.p_wilcoxon_holm),
        "images": f"{d.wins} / {d.ties} / {d.losses}"
        if d.wins + d.ties + d.losses
        else tables.NO_VALUE,  # a set of images has the metric, single images do not
    }
