"""The comparison of two methods as a file: HTML with the images that gained and lost most, Markdown, or LaTeX."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sodbench.metrics.catalogue import find_metric
from sodbench.metrics.statistics.bootstrap import CONFIDENCE_TEXT
from sodbench.reports import gallery, html, latex, markdown
from sodbench.reports.compare import PairedComparison, explain_comparison
from sodbench.reports.document import Block, Document, Paragraph, Section
from sodbench.reports.report_folder import check_own_page, data_folders
from sodbench.reports.sources import files_of
from sodbench.reports.tables import (
    Cell,
    Column,
    Row,
    Table,
    format_difference,
    format_p_value,
    format_score,
)
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
    metric = comparison_metric(comparison)
    document = _build_document(comparison, pairs, metric)
    suffix = out.suffix.lower()
    if suffix == ".md":
        write_text(out, markdown.format_document(document, ""))
    elif suffix == ".tex":
        tables = [latex.format_table(table) for table in document.tables.values()]
        write_text(out, "\n".join(tables))
    else:
        write_text(out, html.render_comparison(document, _changed_cards(comparison, pairs, metric)))


def comparison_metric(comparison: PairedComparison) -> str:
    """Return the metric by which images are listed: max F if it was compared, else the first.

    Returns
    -------
    str
    """
    metrics = list(dict.fromkeys(c.metric for c in comparison.comparisons))
    return "f_max" if "f_max" in metrics else metrics[0]


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
    columns = (
        Column("", comparison.first),
        Column("", comparison.second),
        Column("", f"difference [{CONFIDENCE_TEXT} interval]"),
        Column("", "bootstrap p (Holm)"),
        Column("", "Wilcoxon p (Holm)"),
        Column("", "better"),
        Column("", "equal"),
        Column("", "worse"),
    )
    rows = []
    for c in comparison.comparisons:
        difference, low, high = (format_difference(x, 4) for x in (c.difference, c.low, c.high))
        limits = f" [{low}, {high}]" if np.isfinite(c.low) else ""
        counts = (c.wins, c.ties, c.losses)
        cells = (
            Cell(format_score(c.first_value, 4), c.first_value),
            Cell(format_score(c.second_value, 4), c.second_value),
            Cell(difference + limits, c.difference, wins="*" * c.significant),
            Cell(format_p_value(c.p_holm), c.p_holm, mark="≈" * c.undecided),
            Cell(format_p_value(c.p_wilcoxon_holm), c.p_wilcoxon_holm),
            *(Cell(str(n), n) if any(counts) else Cell() for n in counts),
        )
        rows.append(
            Row(
                f"{c.dataset} {find_metric(c.metric).heading}", cells, key=f"{c.dataset} {c.metric}"
            )
        )
    note = "* significant at the 5 % level."
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
            other = files_of(second, image.stem)["map"]
            shown = []
            for title, file, colour in (
                ("image", files["image"], True),
                ("GT", files["mask"], False),
                (comparison.first, files["map"], False),
                (comparison.second, other, False),
            ):
                pixels = gallery.load_thumbnail(file, _CARD_PIXELS, colour) if file else None
                if pixels is not None:
                    shown.append((title, html.image_address(gallery.encode_webp(pixels, 60))))
            text = f"{dataset}: {image.stem}, {find_metric(metric).label} {format_difference(image.gain)}"
            rows.append(html.ImageRow(text, tuple(shown)))
    return rows
