"""Scores as text: tables for the terminal and for Markdown, CSV, and the JSON contract of ``sodbench eval``.

Every table that a command prints comes from `format_table`. Cells may hold anything that a file name or a
field of a file can hold: they are quoted here, and nowhere else.
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import combining, east_asian_width

from sodbench.errors import Problem
from sodbench.metrics import Scores
from sodbench.metrics.catalogue import find_metric
from sodbench.quoting import json_text, markdown_text, printable
from sodbench.results import Result
from sodbench.results.result_file import nan_to_none


def format_table(
    headers: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    align: str = "",
    markdown: bool = False,
) -> str:
    """Return rows as a table.

    Parameters
    ----------
    headers : sequence
        One for each column.
    rows : iterable of sequences
        The cells as they are to be printed, unquoted; numbers are formatted by the caller.
    align : str, optional
        A letter for each column, ``l`` or ``r``. By default the first column is aligned left and the others right.
    markdown : bool, optional
        A table in GitHub's Markdown instead of one for the terminal.

    Returns
    -------
    str
        Several lines without a final line break.

    Examples
    --------
    >>> print(format_table(["name", "n"], [["SOD", 300]]))
    name      n
    ------  ---
    SOD     300
    """
    letters = align or "l" + "r" * (len(headers) - 1)
    quote = markdown_text if markdown else printable
    lines = [[quote(header) for header in headers]]
    lines += [[quote(cell).strip() for cell in row] for row in rows]
    if markdown:
        return align_markdown(lines, letters)
    widths, padded = _pad_columns(lines, letters)
    padded.insert(1, ["-" * width for width in widths])
    return "\n".join("  ".join(line).rstrip() for line in padded)


def align_markdown(lines: Sequence[Sequence[str]], letters: str) -> str:
    """Return cells that are Markdown already as a table.

    Parameters
    ----------
    lines : sequence of sequences of str
        The headers, then the rows.
    letters : str
        For each column ``l`` or ``r``.

    Returns
    -------
    str
    """
    widths, padded = _pad_columns(lines, letters)
    texts = [f"| {' | '.join(line)} |" for line in padded]
    dashes = ["-" * (width + 1) for width in widths]
    rules = [
        f":{d}" if letter == "l" else f"{d}:" for d, letter in zip(dashes, letters, strict=True)
    ]
    texts.insert(1, f"|{'|'.join(rules)}|")
    return "\n".join(texts)


def _pad_columns(lines: Sequence[Sequence[str]], letters: str) -> tuple[list[int], list[list[str]]]:
    """The widths of the columns, and the cells padded to them; the first line has the headers."""
    # not by tabulate: it takes longer to import than unchanged maps to score, and its widths depend on what is installed
    widths = [_display_width(header) + 2 for header in lines[0]]
    for line in lines:
        widths = [max(w, _display_width(cell)) for w, cell in zip(widths, line, strict=True)]
    padded = []
    for line in lines:
        cells = []
        for cell, width, letter in zip(line, widths, letters, strict=True):
            space = " " * (width - _display_width(cell))
            cells.append(space + cell if letter == "r" else cell + space)
        padded.append(cells)
    return widths, padded


def _display_width(text: str) -> int:
    """How many columns of a terminal a text takes: Chinese characters two, combining accents none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text
    )


def format_csv(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV: numbers with all their digits, an empty field for NaN, each text on one line.

    Parameters
    ----------
    headers : sequence of str
        The names of the columns.
    rows : iterable of sequences
        Texts, numbers, or None for an empty field.

    Returns
    -------
    str
        Several lines without a final line break.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(printable, headers))
    for row in rows:
        writer.writerow(_csv_field(value) for value in row)
    return file.getvalue().rstrip("\n")


def _csv_field(value: object) -> object:
    if isinstance(value, str):
        return printable(value)
    return "" if isinstance(value, float) and math.isnan(value) else value


# ---- scores -----------------------------------------------------------------------------------


def format_scores(
    results: Sequence[Result], metrics: Sequence[str], *, markdown: bool = False
) -> str:
    """Return the scores as a table, and the signatures below it.

    Parameters
    ----------
    results : sequence of Result
        Under one protocol, or every (method, dataset) under each of several protocols in turn: these are then shown
        side by side with their differences, a table for each (method, dataset).
    metrics : sequence of str
        The names of the metrics to show.
    markdown : bool, optional
        Tables in GitHub's Markdown instead of ones for the terminal.

    Returns
    -------
    str
    """
    protocols = len({result.protocol for result in results})
    if protocols == 1:
        tables = [_list_results(results, metrics, markdown)]
    else:
        tables = [
            _compare_protocols(results[start : start + protocols], metrics, markdown)
            for start in range(0, len(results), protocols)
        ]
    signatures = dict.fromkeys(str(result.signature) for result in results)
    return "\n\n".join([*tables, "\n".join(map(printable, signatures))])


def _list_results(results: Sequence[Result], metrics: Sequence[str], markdown: bool) -> str:
    """One row for each result."""
    headers = ["dataset", "method", "n", *metrics]
    rows = [
        [r.dataset, r.method, r.n, *(_format_score(name, r.metrics[name]) for name in metrics)]
        for r in results
    ]
    return format_table(headers, rows, align="ll" + "r" * (len(headers) - 2), markdown=markdown)


def _compare_protocols(results: Sequence[Result], metrics: Sequence[str], markdown: bool) -> str:
    """One row for each metric: one method on one dataset under several protocols."""
    first, *others = results
    headers = [
        f"{first.method} on {first.dataset}",
        *(r.protocol for r in results),
        *(f"{r.protocol} - {first.protocol}" for r in others),
    ]
    rows = [
        [
            name,
            *(_format_score(name, r.metrics[name]) for r in results),
            *(_format_change(name, r.metrics[name] - first.metrics[name]) for r in others),
        ]
        for name in metrics
    ]
    return format_table(headers, rows, markdown=markdown)


def _format_score(name: str, value: float) -> str:
    text = f"{value:.0f}" if name == "threshold" else f"{value:.4f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _format_change(name: str, difference: float) -> str:
    text = f"{difference:+.0f}" if name == "threshold" else f"{difference:+.4f}"
    # a difference of zero has no sign
    return text[1:] if float(text) == 0 else text


def format_groups(
    results: Sequence[Result],
    groups: Sequence[Mapping[str, Scores]],
    metrics: Sequence[str],
    *,
    markdown: bool = False,
) -> str:
    """Return the scores of every group as tables, one for each result.

    Parameters
    ----------
    results : sequence of Result
    groups : sequence of mapping of str to Scores
        For each result the scores of its groups.
    metrics : sequence of str
        The names of the metrics to show.
    markdown : bool, optional
        Tables in GitHub's Markdown instead of ones for the terminal.

    Returns
    -------
    str
    """
    tables = []
    for result, scores in zip(results, groups, strict=True):
        headers = [f"{result.method} on {result.dataset} ({result.protocol})", "n", *metrics]
        rows = [
            [group, one.n, *(_format_score(name, one.metrics[name]) for name in metrics)]
            for group, one in scores.items()
        ]
        tables.append(format_table(headers, rows, markdown=markdown))
    return "\n\n".join(tables)


def format_scores_csv(
    results: Sequence[Result],
    metrics: Sequence[str],
    groups: Sequence[Mapping[str, Scores]] = (),
) -> str:
    """Return the scores as CSV, one row for each result or group, with all digits.

    Parameters
    ----------
    results : sequence of Result
    metrics : sequence of str
        The names of the metrics; each is a column.
    groups : sequence of mapping of str to Scores, optional
        For each result the scores of its groups. Their names are in a column ``group``, which is empty in the row of
        the result.

    Returns
    -------
    str
    """
    column = ["group"] * bool(groups)
    headers = ["dataset", "method", "protocol", *column, "n", *metrics, "signature"]
    rows: list[list[object]] = []
    for i, r in enumerate(results):
        numbers: dict[str, Result | Scores] = {"": r, **(groups[i] if groups else {})}
        for group, one in numbers.items():
            values = [one.metrics[name] for name in metrics]
            name = [group] * bool(groups)
            rows.append([r.dataset, r.method, r.protocol, *name, one.n, *values, str(r.signature)])
    return format_csv(headers, rows)


def format_scores_json(
    results: Sequence[Result],
    problems: Sequence[Problem] = (),
    worst: Sequence["WorstImages"] = (),
    metrics: Sequence[str] | None = None,
    groups: Sequence[Mapping[str, Scores]] = (),
) -> str:
    """Return the scores as JSON, in the form that ``sodbench eval --format json`` prints.

    Parameters
    ----------
    results : sequence of Result
    problems : sequence of Problem, optional
        What was noticed about the files.
    worst : sequence of WorstImages, optional
        Listed under ``worst``, which is left out without them.
    metrics : sequence of str, optional
        The names of the metrics; by default all.
    groups : sequence of mapping of str to Scores, optional
        For each result the scores of its groups, listed under ``groups`` of the result.

    Returns
    -------
    str
        ``{"results": [{"method", "dataset", "protocol", "n", "signature", "metrics"}], "problems": [{"kind",
        "file", "detail"}]}``. Numbers have all their digits; undefined ones are null.
    """
    content: dict[str, Any] = {
        "results": [
            {
                "method": r.method,
                "dataset": r.dataset,
                "protocol": r.protocol,
                "n": r.n,
                "signature": str(r.signature),
                "metrics": {name: r.metrics[name] for name in metrics or r.metrics},
            }
            for r in results
        ],
        "problems": [
            {"kind": problem.kind, "file": problem.file, "detail": problem.detail}
            for problem in problems
        ],
    }
    for entry, scores in zip(content["results"], groups, strict=False):
        entry["groups"] = {
            group: {
                "n": one.n,
                "metrics": {name: one.metrics[name] for name in metrics or one.metrics},
            }
            for group, one in scores.items()
        }
    if worst:
        content["worst"] = [images.to_dict() for images in worst]
    return json_text(nan_to_none(content))


# ---- the worst images -------------------------------------------------------------------------


@dataclass(frozen=True)
class WorstImages:
    """The images with the worst scores of a result, see `find_worst_images`.

    Attributes
    ----------
    result : Result
    metric : str
        The metric they are sorted by.
    images : tuple of (str, Path or None, float)
        Stem, map (None where it is missing) and score, the worst first.
    """

    result: Result
    metric: str
    images: tuple[tuple[str, Path | None, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "method": self.result.method,
            "dataset": self.result.dataset,
            "metric": self.metric,
            "images": [
                {"stem": stem, "map": path and str(path), "value": value}
                for stem, path, value in self.images
            ],
        }

    def to_lines(self, *, markdown: bool = False) -> list[str]:
        """Return a title and one line for each image, quoted for the terminal or for Markdown.

        Parameters
        ----------
        markdown : bool
            By default for the terminal.

        Returns
        -------
        list of str
        """
        bullet = "- " if markdown else "  "
        quote = markdown_text if markdown else printable
        name = quote(f"{self.result.method} on {self.result.dataset}")
        title = f"{name}: the {len(self.images)} worst by {self.metric}"
        lines = [
            f"{bullet}{value:.4f}  {quote(path or f'{stem} (no map)')}"
            for stem, path, value in self.images
        ]
        return [title, *[""] * markdown, *lines]


def find_worst_images(result: Result, metric: str, number: int) -> WorstImages:
    """Return the images of a result that have the worst scores.

    Parameters
    ----------
    result : Result
    metric : str
        The name of a metric that single images have, and for which a direction is better.
    number : int
        How many images to return. Images without a score come last.

    Returns
    -------
    WorstImages
    """
    lowest_first = find_metric(metric).higher_is_better
    scores = result.table[metric].sort_values(ascending=lowest_first, kind="stable")
    images = [
        (str(stem), result.files(str(stem))["map"], float(score))
        for stem, score in scores.head(number).items()
    ]
    return WorstImages(result, metric, tuple(images))


# ---- costs ------------------------------------------------------------------------------------


def format_cost(record: Mapping[str, Any]) -> str:
    """Return what a model costs as a table.

    Parameters
    ----------
    record : mapping
        As ``sodbench bench`` writes it, see `sodbench.runners.benchmark.benchmark`.

    Returns
    -------
    str
        A line about the model and the machine, and a row for each image size.
    """
    threads = record["threads"]
    where = f"{record.get('device_name', 'cpu')}, {threads} thread{'' if threads == 1 else 's'}"
    how = record.get("precision", "no network") + ", compiled" * bool(record.get("compiled"))
    parameters = "parameters not counted"
    if record["parameters"] is not None:
        parameters = f"{record['parameters'] / 1e6:.4g} M parameters"
    megabytes = f"{record['checkpoint_bytes'] / 1e6:.4g} MB"
    rows = []
    for cost in record["sizes"]:
        low, high = (1e3 * seconds for seconds in cost["latency_quartiles"])
        size = f"{cost['width']}x{cost['height']}"
        height, width = cost.get("network_size") or (cost["height"], cost["width"])
        if (height, width) != (cost["height"], cost["width"]):
            size += f", as {width}x{height}"
        rows.append(
            (
                size,
                f"{cost['macs'] / 1e9:.4g} G" if cost["macs"] is not None else "-",
                f"{1e3 * cost['latency_median']:.1f} ms ({low:.1f} to {high:.1f})",
                f"{cost['throughput']:.2f} ({cost['best_batch']})",
                f"{cost['end_to_end']:.2f}/s",
                f"{memory / 2**20:.0f} MiB" if (memory := cost["peak_memory_bytes"]) else "-",
            )
        )
    headers = ("size", "MACs", "latency (quartiles)", "images/s (batch)", "JPEG to PNG", "memory")
    title = printable(f"{record['method']} on {where}, {how}: {parameters}, {megabytes}")
    return f"{title}\n{format_table(headers, rows)}"
