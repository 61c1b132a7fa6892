"""The comparison of two methods as a file: HTML with the images that gained and lost most, Markdown, or LaTeX."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from sodbench.metrics.catalogue import find_metric
from sodbench.reports import html, latex, markdown
from sodbench.reports.compare import PairedComparison, explain_comparison
from sodbench.reports.document import Block, Document, Paragraph, Section
from sodbench.reports.report_folder import check_own_page, data_folders
from sodbench.reports.selection import primary_name
from sodbench.reports.sources import files_of
from sodbench.reports.tables import (
    Cell,
    Column,
    Row,
    Table,
    format_difference,
    format_score,
)
from sodbench.reports.uncertainty_tables import COMPARISON_COLUMNS, comparison_cells
from sodbench.results import Result

# How many images that gained, and that lost, a comparison lists for each dataset
CHANGED_IMAGES = 5
COMPARISON_FORMATS = (".html", ".htm", ".md", ".tex")
_CARD_PIXELS = 180


@dataclass(frozen=True)
class ChangedImage:
    """An image whose score changed much from one method to the other.

    Attributes
    ----------
    stem : str
    first, second, gain : float
        Its scores, and how much better the first method's is.
    """

    stem: str
    first: float
    second: float
    gain: float


def find_changed_images(
    first: Result, second: Result, metric: str, number: int = CHANGED_IMAGES
) -> tuple[list[ChangedImage], list[ChangedImage]]:
    """Find the images that gained and lost most.

    Parameters
    ----------
    first, second : Result
        Of two methods on one dataset.
    metric : str
    number : int
        How many of each.

    Returns
    -------
    gained, lost : list of ChangedImage
        The largest changes first; empty where single images do not have the metric.
    """
    if metric not in first.table or metric not in second.table:
        return [], []
    scores = pd.DataFrame({"a": first.table[metric], "b": second.table[metric]}).dropna()
    gain = (scores["a"] - scores["b"]) * find_metric(metric).sign
    ordered = gain.sort_values(ascending=False, kind="stable")

    def describe(stems: Sequence[str]) -> list[ChangedImage]:
        return [
            ChangedImage(str(s), float(scores["a"][s]), float(scores["b"][s]), float(gain[s]))
            for s in stems
        ]

    gained = [str(s) for s in ordered.index[:number] if gain[s] > 0]
    lost = [str(s) for s in ordered.index[::-1][:number] if gain[s] < 0]
    return describe(gained), describe(lost)


def write_comparison(
    comparison: PairedComparison,
    first: Sequence[Result],
    second: Sequence[Result],
    out: Path,
) -> None:
    """Write a comparison.

    Parameters
    ----------
    comparison : PairedComparison
    first, second : sequence of Result
        What was compared.
    out : Path
        A ``.html`` file that holds everything, a ``.md`` or a ``.tex`` file.

    Raises
    ------
    SodbenchError
        If there is a file of someone else.
    """
    from sodbench.files import write_text

    check_own_page(out, data_folders([*first, *second]))
    datasets = list(dict.fromkeys(c.dataset for c in comparison.comparisons))
    pairs = {
        d: (
            next(r for r in first if r.dataset == d),
            next(r for r in second if r.dataset == d),
        )
        for d in datasets
    }
    metric = primary_name(c.metric for c in comparison.comparisons)
    document = _build_document(comparison, pairs, metric)
    suffix = out.suffix.lower()
    if suffix == ".md":
        write_text(out, markdown.format_document(document, ""))
    elif suffix == ".tex":
        tables = [latex.format_table(table) for table in document.tables.values()]
        write_text(out, "\n".join(tables))
    else:
        write_text(out, html.render_comparison(document, _changed_cards(comparison, pairs, metric)))


def _build_document(
    comparison: PairedComparison, pairs: dict[str, tuple[Result, Result]], metric: str
) -> Document:
    blocks: list[Block] = [paired_table(comparison), Paragraph(explain_comparison(comparison))]
    blocks += [Paragraph(remark, notice=True) for remark in comparison.remarks]
    sections = [Section("Differences", tuple(blocks), "differences")]
    tables = [_changed_table(dataset, *pair, comparison, metric) for dataset, pair in pairs.items()]
    changed = tuple(table for table in tables if table.rows)
    if changed:
        sections.append(Section("Images that changed most", changed, "images"))
    title = f"{comparison.first} against {comparison.second}"
    return Document(title, tuple(sections))


def paired_table(comparison: PairedComparison) -> Table:
    """Return the differences as a table.

    Parameters
    ----------
    comparison : PairedComparison

    Returns
    -------
    Table
        One row for each dataset and metric.
    """
    methods = (comparison.first, comparison.second)
    columns = (*(Column("", method) for method in methods), *COMPARISON_COLUMNS)
    rows = []
    for c in comparison.comparisons:
        values = (Cell(format_score(x, 4), x) for x in (c.first_value, c.second_value))
        difference, *others = comparison_cells(c)
        cells = (*values, replace(difference, wins="*" * c.significant), *others)
        label = f"{c.dataset} {find_metric(c.metric).heading}"
        rows.append(Row(label, cells, key=f"{c.dataset} {c.metric}"))
    note = "* significant at the 5 % level by the bootstrap test."
    return Table(
        "comparison", "Scores and their differences", columns, tuple(rows), (note,), "metric"
    )


def _changed_table(
    dataset: str, first: Result, second: Result, comparison: PairedComparison, metric: str
) -> Table:
    columns = (
        Column("", comparison.first),
        Column("", comparison.second),
        Column("", f"gain in {find_metric(metric).label}"),
    )
    rows = [
        Row(
            image.stem,
            (
                Cell(format_score(image.first), image.first),
                Cell(format_score(image.second), image.second),
                Cell(format_difference(image.gain), image.gain),
            ),
        )
        for images in find_changed_images(first, second, metric)
        for image in images
    ]
    note = f"The {CHANGED_IMAGES} images that gained most and the {CHANGED_IMAGES} that lost most."
    name = "changed-" + "".join(c if c.isalnum() else "-" for c in dataset)
    return Table(name, f"Images of {dataset}", columns, tuple(rows), (note,), "image")


def _changed_cards(
    comparison: PairedComparison, pairs: dict[str, tuple[Result, Result]], metric: str
) -> list[html.ImageRow]:
    """The changed images with their maps, as far as the files are still there."""
    rows = []
    for dataset, (first, second) in pairs.items():
        for image in (i for images in find_changed_images(first, second, metric) for i in images):
            files = files_of(first, image.stem)
            shown_files = (
                ("image", files["image"], True),
                ("GT", files["mask"], False),
                (comparison.first, files["map"], False),
                (comparison.second, files_of(second, image.stem)["map"], False),
            )
            text = f"{dataset}: {image.stem}, {find_metric(metric).label} {format_difference(image.gain)}"
            rows.append(html.make_image_row(text, shown_files, _CARD_PIXELS))
    return rows
