"""How far methods agree, as text and as one page with the images they disagree on most."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from sodbench.files import write_text
from sodbench.metrics.agreement import Agreement
from sodbench.metrics.arrays import Floats
from sodbench.quoting import json_text
from sodbench.reports import html
from sodbench.reports.document import Block, Document, Paragraph, Section
from sodbench.reports.tables import Cell, Column, Row, Table
from sodbench.reports.text import format_csv, format_table

# pixels of a thumbnail's longer side
_SMALL_PIXELS = 240
_MEANING = (
    "Agreement is not accuracy: methods can agree on the same mistake. IoU compares the pixels above 128 of two maps and is 1 "
    "where neither has any; MAE is the mean absolute difference of two maps, 0 to 1. Both are means over the images."
)


def format_agreement(agreement: Agreement, style: str, number: int) -> str:
    """Return the agreement of every two methods, and the images that they disagree on most.

    Parameters
    ----------
    agreement : Agreement
    style : {"table", "markdown", "csv", "json"}
        CSV has a row for each two methods, JSON the values of every image.
    number : int
        How many images are listed.

    Returns
    -------
    str
    """
    if style == "json":
        return json_text(_agreement_dict(agreement))
    methods = agreement.methods
    mae, iou = agreement.mae.mean(axis=0), agreement.iou.mean(axis=0)
    if style == "csv":
        pairs = zip(*np.triu_indices(len(methods), 1), strict=True)
        return format_csv(
            ("first", "second", "images", "iou", "mae"),
            (
                [methods[i], methods[j], len(agreement.stems), float(iou[i, j]), float(mae[i, j])]
                for i, j in pairs
            ),
        )
    markdown = style == "markdown"
    images = [
        (agreement.stems[row], f"{agreement.mean_iou[row]:.4f}", f"{agreement.dispute[row]:.4f}")
        for row in agreement.most_disputed(number)
    ]
    tables = [
        _matrix_text("IoU", methods, iou, markdown),
        _matrix_text("MAE", methods, mae, markdown),
        format_table(("most disputed", "mean IoU", "mean MAE"), images, markdown=markdown),
    ]
    return "\n\n".join(tables)


def _matrix_text(title: str, methods: Iterable[str], values: Floats, markdown: bool) -> str:
    methods = tuple(methods)
    rows = [
        [name, *("-" if i == j else f"{value:.4f}" for j, value in enumerate(values[i]))]
        for i, name in enumerate(methods)
    ]
    return format_table([title, *methods], rows, markdown=markdown)


def _agreement_dict(agreement: Agreement) -> dict[str, object]:
    order = agreement.most_disputed(len(agreement.stems))
    return {
        "methods": list(agreement.methods),
        "n": len(agreement.stems),
        "iou": agreement.iou.mean(axis=0).tolist(),
        "mae": agreement.mae.mean(axis=0).tolist(),
        "images": [
            {
                "stem": agreement.stems[row],
                "iou": float(agreement.mean_iou[row]),
                "mae": float(agreement.dispute[row]),
            }
            for row in order
        ],
    }


def write_agreement_page(
    page: Path,
    agreement: Agreement,
    files: Mapping[str, Mapping[str, Path]],
    images: Mapping[str, Path],
    number: int,
) -> None:
    """Write one page that holds everything: the matrices, and the most disputed images with their maps.

    Parameters
    ----------
    page : Path
    agreement : Agreement
    files : mapping of str to mapping of str to Path
        Method -> stem -> map.
    images : mapping of str to Path
        Stem -> image, as far as they are known.
    number : int
        How many images are shown.
    """
    blocks: tuple[Block, ...] = (
        Paragraph(f"{len(agreement.methods)} methods on {len(agreement.stems)} images. {_MEANING}"),
        _matrix(agreement.methods, agreement.iou.mean(axis=0), "iou", "IoU of every two methods"),
        _matrix(agreement.methods, agreement.mae.mean(axis=0), "mae", "MAE of every two methods"),
    )
    disputed = Paragraph(
        "The images with the largest mean MAE over all pairs of methods come first."
    )
    document = Document(
        "Agreement of methods",
        (
            Section("Agreement", blocks, "agreement"),
            Section("Most disputed images", (disputed,), "images"),
        ),
    )
    rows = []
    for row in agreement.most_disputed(number):
        stem = agreement.stems[row]
        row_files = [("image", images[stem], True)] if stem in images else []
        row_files += [(method, files[method][stem], False) for method in agreement.methods]
        text = (
            f"{stem}: mean MAE {agreement.dispute[row]:.4f}, mean IoU {agreement.mean_iou[row]:.4f}"
        )
        rows.append(html.make_image_row(text, row_files, _SMALL_PIXELS))
    write_text(page, html.render_comparison(document, rows))


def _matrix(methods: tuple[str, ...], values: Floats, name: str, title: str) -> Table:
    rows = tuple(
        Row(
            method,
            tuple(
                Cell() if i == j else Cell(f"{value:.4f}", float(value))
                for j, value in enumerate(values[i])
            ),
        )
        for i, method in enumerate(methods)
    )
    return Table(name, title, tuple(Column("", method) for method in methods), rows)
