"""The tables of intervals, tests and differences of a report."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sodbench.metrics.statistics.bootstrap import CONFIDENCE_TEXT, Interval
from sodbench.metrics.statistics.significance import ALPHA_TEXT
from sodbench.reports.analysis import Analysis
from sodbench.reports.comparability import NOT_COMPARED
from sodbench.reports.compare import Comparison
from sodbench.reports.score_tables import method_table, score_columns, signature_of
from sodbench.reports.tables import (
    NO_VALUE,
    Cell,
    Column,
    Row,
    Table,
    format_difference,
    format_p_value,
    format_score,
)

# a longer table of paired comparisons would not be read
MAX_PAIRS = 45
# a longer list of methods in one cell would not be read; tables/all_comparisons.csv has them all
MAX_NAMES = 5


def interval_table(analysis: Analysis) -> Table:
    """Make the table of scores with their intervals, e.g. ``0.844 [0.828, 0.860]``.

    Returns
    -------
    Table
        Methods x (dataset, metric).
    """

    def make_cell(method: str, column: Column) -> Cell:
        interval = analysis.intervals.get((method, column.dataset, column.metric))
        return interval_cell(interval, signature_of(analysis, method, column.dataset))

    title = f"Bootstrap intervals ({CONFIDENCE_TEXT})"
    return method_table(analysis, "intervals", title, score_columns(analysis), make_cell)


def interval_cell(interval: Interval | None, signature: str) -> Cell:
    """Return the cell of a score with its interval.

    Parameters
    ----------
    interval : Interval, optional
        None and NaN are shown as a dash; limits that are NaN are left out.
    signature : str
        How the number was made.

    Returns
    -------
    Cell
    """
    if interval is None or np.isnan(interval.value):
        return Cell(signature=signature)
    text = format_score(interval.value)
    if np.isfinite(interval.low):
        text += f" [{format_score(interval.low)}, {format_score(interval.high)}]"
    return Cell(text, interval.value, low=interval.low, high=interval.high, signature=signature)


def best_table(analysis: Analysis) -> Table | None:
    """Make the table of the best method for each dataset and metric; None if there is no such comparison.

    Parameters
    ----------
    analysis : Analysis

    Returns
    -------
    Table or None
        One row for each dataset and metric: the best method, those tied with it, and those it was not compared with.
    """
    rows = []
    undecided = False
    wins = analysis.wins_over()
    metrics = {m.name: m for m in analysis.metrics}
    for column in score_columns(analysis):
        dataset, metric = column.dataset, metrics[column.metric]
        order = analysis.best_first(dataset, metric)
        if not metric.sign or len(order) < 2:
            continue
        best = order[0]
        tied = {
            c.second if c.first == best else c.first: c.undecided
            for c in analysis.tied(best, dataset, metric.name)
        }
        undecided |= any(tied.values())
        worse = wins.get((best, dataset, metric.name), [])
        scored = map(str, analysis.values[(dataset, metric.name)].dropna().index)
        others = [m for m in scored if m not in (best, *tied, *worse)]
        tied_text = _list_names([name + " ≈" * close for name, close in tied.items()])
        texts = (
            best,
            tied_text or ("none" if worse else NO_VALUE),
            _list_names(others) or NO_VALUE,
        )
        label = f"{dataset} {metric.label}"
        rows.append(Row(label, tuple(map(Cell, texts)), key=f"{dataset} {metric.name}"))
    if not rows:
        return None
    meaning = (
        f"Tied: the test found no significant difference at the {ALPHA_TEXT} level. Not compared: made in another way, or no "
        "test could be made."
    )
    notes = [meaning, *[_undecided_note(analysis)] * undecided]
    headings = ("best", "tied with best", NOT_COMPARED)
    columns = tuple(Column("", h, "text", key=h.replace(" ", "_")) for h in headings)
    title = "Best and tied methods"
    return Table("best", title, columns, tuple(rows), tuple(notes), "dataset and metric")


def _list_names(names: Sequence[str]) -> str:
    """The names, of many only the first and how many more there are."""
    if len(names) <= MAX_NAMES + 1:
        return ", ".join(names)
    return f"{', '.join(names[:MAX_NAMES])} and {len(names) - MAX_NAMES} more"


def _undecided_note(analysis: Analysis) -> str:
    return (
        f"≈: p is within the Monte Carlo error of {analysis.resamples} resamples of the {ALPHA_TEXT} level, so that another seed "
        "could decide otherwise; it counts as not significant. More resamples decide it: --resamples 10000."
    )


def record_table(analysis: Analysis) -> Table:
    """Make the table of how often each method is significantly better, significantly worse, or neither.

    Returns
    -------
    Table
        Counts over all datasets and metrics.
    """
    counts: dict[str, Counter[str]] = {m: Counter() for m in analysis.methods}
    for c in analysis.comparisons:
        if c.tested:
            for method in (c.first, c.second):
                outcome = "won" if c.winner == method else "lost" if c.winner else "equal"
                counts[method][outcome] += 1
    outcomes = {
        "significantly better": "won",
        "not significant": "equal",
        "significantly worse": "lost",
    }

    def make_cell(method: str, column: Column) -> Cell:
        count = counts[method][outcomes[column.heading]]
        return Cell(str(count), count) if counts[method] else Cell(NOT_COMPARED)

    columns = [Column("", heading, key=heading.replace(" ", "_")) for heading in outcomes]
    title = "Comparisons with the other methods, over all datasets and metrics"
    return method_table(analysis, "record", title, columns, make_cell)


COMPARISON_COLUMNS = (
    Column("", f"difference [{CONFIDENCE_TEXT} interval]", key="difference"),
    Column("", "bootstrap p (Holm)", key="p_holm"),
    Column("", "Wilcoxon p (Holm)", key="p_wilcoxon_holm"),
    Column("", "better", key="wins"),
    Column("", "equal", key="ties"),
    Column("", "worse", key="losses"),
)


def comparison_table(analysis: Analysis) -> Table | None:
    """Make the table of paired comparisons by the primary metric; None if there are none, or too many to be read.

    Returns
    -------
    Table or None
        Differences, p-values, and on how many images each method is better.
    """
    metric = analysis.primary_metric
    comparisons = [c for c in analysis.comparisons if c.metric == metric.name]
    if not 0 < len(comparisons) <= MAX_PAIRS:
        return None
    rows = tuple(
        Row(
            f"{c.dataset}: {c.first} − {c.second}",
            comparison_cells(c),
            key=f"{c.dataset}: {c.first} - {c.second}",
        )
        for c in comparisons
    )
    meaning = (
        "p: paired bootstrap of the aggregate (Student's t of its standard error); Wilcoxon: signed ranks of the single "
        f"images' {metric.label}, which is another question: an aggregate is not the mean of single images' best values. "
        "Both are Holm-corrected over all compared pairs of methods on the dataset. The intervals are not corrected: one "
        f"may exclude zero where the corrected p is above {ALPHA_TEXT}. Better, equal, worse: the number of images on which the "
        "first method is."
    )
    notes = [meaning, *[_undecided_note(analysis)] * any(c.undecided for c in comparisons)]
    title = f"Differences in {metric.label}"
    return Table("comparisons", title, COMPARISON_COLUMNS, rows, tuple(notes), "pair")


def comparison_cells(comparison: Comparison) -> tuple[Cell, ...]:
    """Return the cells of a paired comparison, in the order of `COMPARISON_COLUMNS`.

    Returns
    -------
    tuple of Cell
    """
    c = comparison
    difference, low, high = (format_difference(x, 4) for x in (c.difference, c.low, c.high))
    limits = f" [{low}, {high}]" if np.isfinite(c.low) else ""
    counts = (c.wins, c.ties, c.losses)
    return (
        Cell(difference + limits, c.difference, low=c.low, high=c.high),
        Cell(format_p_value(c.p_holm), c.p_holm, mark="≈" * c.undecided),
        Cell(format_p_value(c.p_wilcoxon_holm), c.p_wilcoxon_holm),
        # a set of images has the metric, single images may not
        *(Cell(str(n), n) if any(counts) else Cell() for n in counts),
    )


def difference_table(analysis: Analysis, baseline: str) -> Table:
    """Make the table of each method's scores minus the baseline's.

    Parameters
    ----------
    analysis : Analysis
    baseline : str
        One of its methods.

    Returns
    -------
    Table
        Differences between comparable results; ``*`` marks the significant ones.
    """
    significant = analysis.differing_from(baseline)
    compared = analysis.comparable.compared

    def make_cell(method: str, column: Column) -> Cell:
        scores = analysis.values[(column.dataset, column.metric)]
        change = float(scores[method] - scores[baseline])
        signature = signature_of(analysis, method, column.dataset)
        if np.isnan(change):
            return Cell(signature=signature)
        if not {method, baseline} <= set(compared.get(column.dataset, ())):
            return Cell(NOT_COMPARED, signature=signature)
        star = "*" * ((method, column.dataset, column.metric) in significant)
        return Cell(format_difference(change), change, wins=star, signature=signature)

    note = (
        f"* differs from the baseline at the {ALPHA_TEXT} level (paired bootstrap, Holm-corrected over all "
        "pairs of methods). Where the arrow points down, a negative difference is an improvement."
    )
    title = f"Difference to {baseline}"
    columns = score_columns(analysis)
    table = method_table(analysis, "differences", title, columns, make_cell, note)
    return replace(table, rows=tuple(row for row in table.rows if row.label != baseline))
