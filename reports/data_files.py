"""The report as data: CSV and LaTeX files of each table, all scores as CSV, and one JSON file with everything."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from sodbench.metrics.statistics.bootstrap import Interval
from sodbench.quoting import json_text, printable
from sodbench.reports import latex
from sodbench.reports.analysis import Analysis
from sodbench.reports.document import Document
from sodbench.reports.tables import Table
from sodbench.results import Result
from sodbench.results.result_file import nan_to_none
from sodbench.version import __version__


def table_files(
    document: Document, analysis: Analysis, colours: bool = False
) -> dict[str, Callable[[], str]]:
    """Return how to make the files of the tables.

    Parameters
    ----------
    document : Document
    analysis : Analysis
    colours : bool
        Whether best, second and third are coloured in LaTeX.

    Returns
    -------
    dict
        By name, a function that returns the content: CSV and LaTeX for each table; all scores, scores of groups of images
        and comparisons as CSV, one per row.
    """
    makers: dict[str, Callable[[], str]] = {}
    for name, table in document.tables.items():
        makers[f"tables/{name}.csv"] = partial(_table_csv, table)
        makers[f"tables/{name}.tex"] = partial(latex.format_table, table, colours)
    for name, rows in (
        ("scores_long", partial(_score_rows, document, analysis)),
        ("all_groups", partial(_group_rows, analysis)),
        ("all_comparisons", partial(_comparison_rows, analysis)),
    ):
        makers[f"tables/{name}.csv"] = partial(_rows_csv, rows)
    return makers


def _table_csv(table: Table) -> str:
    return _format_csv(table.frame(), index=True)


def _rows_csv(make_rows: Callable[[], list[dict[str, Any]]]) -> str:
    return _format_csv(pd.DataFrame(make_rows()), index=False)


def _format_csv(frame: pd.DataFrame, *, index: bool) -> str:
    """A frame as CSV with all its digits; names are on one line each and escaped, as in the other files."""
    quoted = frame.map(lambda value: printable(value) if isinstance(value, str) else value)
    if index:
        quoted.index = pd.Index(map(printable, frame.index), name=frame.index.name)
    return quoted.rename(columns=printable).to_csv(index=index, lineterminator="\n")


def format_json(document: Document, analysis: Analysis) -> str:
    """Return the whole report as JSON: signatures, scores, tables, comparisons and groups of images.

    Parameters
    ----------
    document : Document
    analysis : Analysis

    Returns
    -------
    str
        Numbers with all their digits; null for NaN.
    """
    content = {
        "sodbench": __version__,
        "title": document.title,
        "sample": document.sample,
        "resamples": analysis.resamples,
        "seed": analysis.seed,
        "signatures": [
            {
                "method": m,
                "dataset": d,
                "n": r.n,
                **_how_made(r),
                "compared": analysis.comparable.has(m, d),
                "not_compared_because": analysis.comparable.reasons.get((m, d), ""),
            }
            for (m, d), r in analysis.results.items()
        ],
        "scores": _score_rows(document, analysis),
        "tables": {name: _table_content(table) for name, table in document.tables.items()},
        "comparisons": _comparison_rows(analysis),
        "groups": _group_rows(analysis),
    }
    return json_text(nan_to_none(content)) + "\n"


def _table_content(table: Table) -> dict[str, Any]:
    rows = []
    for row in table.rows:
        cells = [{**vars(c), "better_than": table.better_than(c)} for c in row.cells]
        for cell in cells:
            # letters, which are named by better_than
            del cell["wins"]
        rows.append({"label": row.label, "published": row.published, "cells": cells})
    columns = [{**vars(c), "key": c.name} for c in table.columns]
    return {"title": table.title, "columns": columns, "rows": rows, "notes": table.notes}


def _how_made(result: Result) -> dict[str, str]:
    """How a result's numbers were made."""
    return {"protocol": result.protocol, "signature": str(result.signature)}


def _score_rows(document: Document, analysis: Analysis) -> list[dict[str, Any]]:
    """One row for each score: its interval, how it was made, and its marks in the table of scores."""
    wins = analysis.wins_over()
    table = document.tables["scores"]
    column = {(c.dataset, c.metric): i for i, c in enumerate(table.columns) if c.metric}
    cells = {row.label: row.cells for row in table.rows if not row.published}
    rows = []
    for (method, dataset, metric), interval in analysis.intervals.items():
        result = analysis.results[method, dataset]
        cell = cells[method][column[dataset, metric]]
        rows.append(
            {
                "method": method,
                "dataset": dataset,
                "metric": metric,
                **vars(interval),
                "n": result.n,
                **_how_made(result),
                "mark": cell.mark,
                "compared": analysis.comparable.has(method, dataset),
                "place": cell.place or "",
                "significantly_better_than": "; ".join(wins.get((method, dataset, metric), ())),
            }
        )
    return rows


def _group_rows(analysis: Analysis) -> list[dict[str, Any]]:
    """The intervals of every breakdown; groups without an image are left out."""
    rows = []
    for breakdown in analysis.breakdowns:
        for (method, dataset), intervals in breakdown.values.items():
            result = analysis.results[method, dataset]
            images = breakdown.images[dataset]
            for group, n, interval in zip(breakdown.groups, images, intervals, strict=True):
                if interval:
                    rows.append(
                        {
                            "attribute": breakdown.attribute,
                            "method": method,
                            "dataset": dataset,
                            "metric": breakdown.metric.name,
                            "group": group,
                            "images": n,
                            **vars(interval),
                            "significantly_better_than": "; ".join(
                                breakdown.wins.get((method, dataset, group), ())
                            ),
                            **_how_made(result),
                        }
                    )
    return [*rows, *_sequence_rows(analysis)]


def _sequence_rows(analysis: Analysis) -> list[dict[str, Any]]:
    """The scores of sequences or classes, and the mean over them with an empty group; without intervals."""
    rows: list[dict[str, Any]] = []
    for (method, dataset), grouped in analysis.grouped.items():
        result = grouped.result
        numbers = {group: (one.n, one.metrics) for group, one in grouped.groups.items()}
        numbers[""] = (result.n, result.metrics)
        for group, (images, values) in numbers.items():
            for metric in analysis.metrics:
                row = {
                    "attribute": result.signature.groups,
                    "method": method,
                    "dataset": dataset,
                    "metric": metric.name,
                    "group": group,
                    "images": images,
                    **vars(Interval(values.get(metric.name, np.nan), np.nan, np.nan)),
                    "significantly_better_than": "",
                }
                rows.append(row | _how_made(result))
    return rows


def _comparison_rows(analysis: Analysis) -> list[dict[str, Any]]:
    """Every test; both methods of a pair have one signature but for the version."""
    rows = []
    for comparison in analysis.comparisons:
        values = vars(comparison)
        first = {name: values[name] for name in ("dataset", "metric", "first", "second", "images")}
        result = analysis.results[comparison.first, comparison.dataset]
        rows.append(first | values | _how_made(result))
    return rows
