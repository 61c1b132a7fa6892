"""Published numbers in tables: as rows below the measured ones, and against the same method's measured numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from sodbench.metrics.catalogue import find_metric
from sodbench.reports.analysis import Analysis
from sodbench.reports.comparability import Key
from sodbench.reports.published import PublishedTable
from sodbench.reports.score_tables import number_cell, score_columns
from sodbench.reports.tables import (
    DIGITS,
    Cell,
    Column,
    Row,
    Table,
    format_difference,
    format_score,
)

# What follows the name of a method whose numbers were printed in a paper
AS_PUBLISHED = ", as published"
# How the note about these rows begins
PUBLISHED_NOTE = "Rows marked as published "


def add_published(
    table: Table, analysis: Analysis, published: Sequence[PublishedTable], digits: int = DIGITS
) -> Table:
    """Add rows of published numbers below a table of scores, and a column that names each row's evaluator.

    Parameters
    ----------
    table : Table
        What `score_table` made of the analysis.
    analysis : Analysis
    published : sequence of PublishedTable
        Their methods get a row if they have a number in one of the columns.
    digits : int
        Decimals.

    Returns
    -------
    Table
    """
    rows = []
    for source in published:
        for method in source.methods:
            cells = []
            for column in score_columns(analysis):
                key = (method, column.dataset, column.metric)
                value = source.values.get(key, np.nan)
                cells.append(number_cell(value, "?" * (key in source.caveats), digits))
            if any(not np.isnan(c.value) for c in cells):
                cells += [Cell()] * (len(table.columns) - len(cells))
                cells.append(Cell(source.evaluator_and_title))
                label = f"{method}{AS_PUBLISHED}"
                rows.append(Row(label, tuple(cells), published=True, source=source.title))
    protocols: dict[str, dict[str, None]] = {m: {} for m in analysis.methods}
    for (method, _), result in analysis.results.items():
        protocols[method][result.protocol] = None
    own = [
        replace(row, cells=(*row.cells, Cell(", ".join(protocols[row.label]))))
        for row in table.rows
    ]
    note = (
        f"{PUBLISHED_NOTE}are printed in the literature, not measured here; they take no part in marks, "
        "ranks or tests. A question mark: a misprint or a doubt, see the section on published numbers."
    )
    return replace(
        table,
        columns=(*table.columns, Column("", "evaluator", "text")),
        rows=(*own, *rows),
        notes=(*table.notes, note),
    )


def published_comparison_table(
    analysis: Analysis, published: Sequence[PublishedTable], names: Mapping[str, str]
) -> Table | None:
    """Make the table of measured against published numbers of the same methods; None if there are none.

    Parameters
    ----------
    analysis : Analysis
    published : sequence of PublishedTable
    names : mapping of str to str
        By the name printed here, a method's name in the results, which a table may use as well.

    Returns
    -------
    Table or None
        A row for each number that was published of a method here. It is compared with the number under the protocol of
        the published table's evaluator; where that is not known, with the nearest of all protocols.
    """
    rows: list[Row] = []
    rescored: dict[tuple[Key, str], Mapping[str, float]] = {}

    def measure(key: Key, protocol: str) -> Mapping[str, float]:
        if (key, protocol) not in rescored:
            rescored[key, protocol] = analysis.results[key].rescored(protocol).metrics
        return rescored[key, protocol]

    for method, dataset in analysis.results:
        own = {method.casefold(), names.get(method, method).casefold()}
        for source in published:
            keys = [k for k in source.values if k[0].casefold() in own and k[1] == dataset]
            for key in keys:
                result = analysis.results[method, dataset]
                # those that the pairs were not counted for would need the images
                protocols = [p for p in result.protocols if source.protocol in ("", p)]
                measured = {
                    p: float(measure((method, dataset), p).get(key[2], np.nan)) for p in protocols
                }
                if row := _compare_published(method, key, source, measured):
                    rows.append(row)
    if not rows:
        return None
    columns = (
        Column("", "measured"),
        Column("", "published"),
        Column("", "difference"),
        Column("", "verdict", "text"),
        Column("", "protocol", "text"),
        Column("", "source", "text"),
    )
    note = (
        "Each published number next to the number measured here under the protocol of the evaluator that made it. Where "
        "the evaluator is not stated, the protocol is the one with the nearest number, marked with ≈. Within rounding: "
        "the measured number, rounded to the decimals of the published one, is that number."
    )
    title = "Measured and published numbers of the same methods"
    return Table("reproduction", title, columns, tuple(rows), (note,), "method, dataset, metric")


def _compare_published(
    method: str, key: tuple[str, str, str], source: PublishedTable, measured: Mapping[str, float]
) -> Row | None:
    """A row of `published_comparison_table`; None if the metric was not measured."""
    _, dataset, metric = key
    value, decimals = source.values[key], source.decimals.get(key, DIGITS)
    finite = {p: m for p, m in measured.items() if np.isfinite(m)}
    if not finite:
        return None
    protocol = min(finite, key=lambda p: abs(finite[p] - value))
    own = finite[protocol]
    # half a unit of the last decimal, and what floating point adds to it
    is_within = abs(own - value) <= 0.5 * 10**-decimals + 1e-9
    return Row(
        f"{method} {dataset} {find_metric(metric).label}",
        (
            Cell(format_score(own, decimals + 1), own),
            Cell(format_score(value, decimals), value, mark="?" * (key in source.caveats)),
            Cell(format_difference(own - value, decimals + 1), own - value),
            Cell("within rounding" if is_within else "differs"),
            Cell(protocol + " ≈" * (not source.protocol)),
            Cell(source.title),
        ),
        key=f"{method} {dataset} {metric}",
    )
