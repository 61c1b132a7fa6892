"""The tables of scores by kind of image and by protocol, and of cost."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from sodbench.metrics import Scores
from sodbench.metrics.catalogue import Metric
from sodbench.metrics.statistics.significance import MIN_IMAGES
from sodbench.reports.analysis import Analysis
from sodbench.reports.breakdowns import Breakdown
from sodbench.reports.score_tables import (
    method_table,
    number_cell,
    signature_of,
    superscript,
    superscript_note,
)
from sodbench.reports.tables import (
    Cell,
    Column,
    Row,
    Table,
    method_letters,
    rank_marks,
)
from sodbench.reports.uncertainty_tables import interval_cell
from sodbench.results import Result

# Over what a breakdown's tests are corrected
_FAMILY = "pairs of methods, groups and metrics of this attribute on a dataset"


def breakdown_table(analysis: Analysis, breakdown: Breakdown) -> Table:
    """Make the table of a metric by groups of images; small groups carry no marks of place.

    Parameters
    ----------
    analysis : Analysis
    breakdown : Breakdown
        One of its breakdowns.

    Returns
    -------
    Table
        Methods x (dataset, group of images); folded but for the primary metric.
    """
    metric = breakdown.metric
    is_primary = metric == analysis.primary_metric
    letters = method_letters(analysis.methods)
    columns: list[Column] = []
    cells: dict[tuple[str, Column], Cell] = {}
    for dataset, numbers in breakdown.images.items():
        compared = analysis.comparable.compared.get(dataset, ())
        for i, (group, images) in enumerate(zip(breakdown.groups, numbers, strict=True)):
            heading = f"{group}, n = {images}"
            key = f"{dataset} {metric.name} {heading}"
            column = Column(
                analysis.heading(dataset), heading, key=key, dataset=dataset, metric=metric.name
            )
            columns.append(column)
            intervals = [
                breakdown.values[m, dataset][i] if (m, dataset) in breakdown.values else None
                for m in analysis.methods
            ]
            ranked = [
                interval.value if interval and m in compared and images >= MIN_IMAGES else np.nan
                for m, interval in zip(analysis.methods, intervals, strict=True)
            ]
            places = rank_marks(ranked, metric.sign)
            for m, interval, place in zip(analysis.methods, intervals, places, strict=True):
                cell = interval_cell(interval, signature_of(analysis, m, dataset))
                # the intervals are drawn, not printed
                text = cell.text.partition(" [")[0]
                wins = superscript(breakdown.wins.get((m, dataset, group), ()), letters)
                cells[m, column] = replace(cell, text=text, place=place, wins=wins)
    few = any(0 < n < MIN_IMAGES for numbers in breakdown.images.values() for n in numbers)
    note = f"Groups of fewer than {MIN_IMAGES} images are too small to rank methods by; they have no interval either."
    notes = [note] * few
    if breakdown.wins:
        notes.append(superscript_note(analysis, letters, _FAMILY))
    table = method_table(
        analysis,
        breakdown.key,
        f"{metric.title} by {breakdown.attribute}",
        columns,
        lambda method, column: cells[method, column],
        *notes,
    )
    rows = tuple(replace(row, letter=letters[row.label]) for row in table.rows)
    return replace(table, rows=rows if breakdown.wins else table.rows, is_folded=not is_primary)


def group_table(analysis: Analysis, dataset: str) -> Table:
    """Make the table of the scores of a dataset's sequences or classes, and of the mean over them.

    Parameters
    ----------
    analysis : Analysis
    dataset : str
        One with grouped results.

    Returns
    -------
    Table
        Groups x (method, metric); groups of fewer than ``MIN_IMAGES`` images carry no marks of place.
    """
    grouped = {m: one for (m, d), one in analysis.grouped.items() if d == dataset}
    columns = [Column("", "images", key="images")]
    columns += [
        Column(method, metric.heading, key=f"{method} {metric.name}", metric=metric.name)
        for method in grouped
        for metric in analysis.metrics
    ]
    compared = [m for m in grouped if m in analysis.comparable.compared.get(dataset, ())]
    names = sorted({name for one in grouped.values() for name in one.groups})
    rows = []
    for name in names:
        scores = {m: one.groups.get(name) for m, one in grouped.items()}
        rows.append(_group_row(name, scores, analysis.metrics, compared))
    means = {m: one.result for m, one in grouped.items()}
    rows.append(_group_row("mean over groups", means, analysis.metrics, compared))
    notes = [
        f"Signature: {signature}"
        for signature in dict.fromkeys(str(one.result.signature) for one in grouped.values())
    ]
    if len(compared) > 1 and any(row.cells[0].value < MIN_IMAGES for row in rows):
        notes.append(f"Groups of fewer than {MIN_IMAGES} images are too small to rank methods by.")
    return Table(
        "groups_" + re.sub(r"\W+", "-", dataset),
        f"{analysis.heading(dataset)} by group",
        tuple(columns),
        tuple(rows),
        tuple(notes),
        index_name="group",
    )


def _group_row(
    label: str,
    scores: Mapping[str, Scores | Result | None],
    metrics: Sequence[Metric],
    compared: Collection[str],
) -> Row:
    """The number of images and the scores of every method; None where a method has none of the group's images."""
    images = max(one.n for one in scores.values() if one)
    cells: dict[tuple[str, str], Cell] = {}
    for metric in metrics:
        values = {
            m: one.metrics.get(metric.name, np.nan) if one else np.nan for m, one in scores.items()
        }
        ranked = [
            v if m in compared and images >= MIN_IMAGES else np.nan for m, v in values.items()
        ]
        for place, (m, value) in zip(rank_marks(ranked, metric.sign), values.items(), strict=True):
            cells[m, metric.name] = replace(number_cell(value), place=place)
    own = (cells[m, metric.name] for m in scores for metric in metrics)
    return Row(label, (Cell(f"{images:,}", images), *own))


def protocol_table(analysis: Analysis) -> Table | None:
    """Make the table of max F under every protocol; None if there is only one.

    Returns
    -------
    Table or None
        Methods x (dataset, protocol).
    """
    names = list(dict.fromkeys(p for scores in analysis.by_protocol.values() for p in scores))
    if len(names) < 2:
        return None
    columns = [
        Column(heading, protocol, key=f"{dataset} f_max {protocol}", dataset=dataset)
        for dataset, heading in analysis.headings.items()
        for protocol in names
    ]

    def make_cell(method: str, column: Column) -> Cell:
        scores = analysis.by_protocol.get((method, column.dataset), {})
        return number_cell(scores.get(column.heading, np.nan))

    return method_table(analysis, "protocols", "Max F under each protocol", columns, make_cell)


def cost_table(costs: Mapping[str, Mapping[str, float]]) -> Table:
    """Make the table of what each method costs, from the records of ``sodbench bench``.

    Parameters
    ----------
    costs : mapping
        By method, then by kind of cost.

    Returns
    -------
    Table
    """
    headings = dict.fromkeys(heading for record in costs.values() for heading in record)
    rows = tuple(
        Row(method, tuple(_cost_cell(record.get(heading, np.nan)) for heading in headings))
        for method, record in costs.items()
    )
    note = "From sodbench bench; images/s from JPEG to PNG on the machine of that record."
    return Table("cost", "Cost", tuple(Column("", h) for h in headings), rows, (note,))


def _cost_cell(value: float) -> Cell:
    if np.isnan(value):
        return Cell()
    # four significant digits of 12,345 would be 1.234e+04
    return Cell(f"{value:,.4g}" if value < 1000 else f"{value:,.0f}", value)
