"""The HTML page: one folder that opens from disk, without a server or a network.

``index.html`` holds every table and figure; ``data/*.js`` the curves and the scores of images, as scripts, because a page
opened from disk may load scripts but not fetch files; ``thumbnails/`` small images, made once.
"""

import base64
import json
import math
import os.path
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from sodbench.files import safe_folder_name
from sodbench.metrics import get_protocol
from sodbench.metrics.arrays import Floats
from sodbench.metrics.statistics.aggregates import f_curve
from sodbench.quoting import printable_lines
from sodbench.reports import gallery, plot_style
from sodbench.reports.analysis import Analysis
from sodbench.reports.browser import BrowsedDataset, Browser
from sodbench.reports.document import Document, block_type
from sodbench.reports.tables import NO_VALUE, Cell, Column, Row, header_spans
from sodbench.results import Result
from sodbench.version import __version__

# By figure, the parts that lead to images
Spots = Mapping[str, Sequence[plot_style.Spot]]


def page_files(
    document: Document,
    analysis: Analysis,
    browser: Browser,
    styles: Mapping[str, plot_style.LineStyle],
    spots: Spots,
) -> dict[str, Callable[[], str]]:
    """Return how to make the text files of the page.

    Parameters
    ----------
    document : Document
        Its figures and tables are shown from the files in the report's folder.
    analysis : Analysis
    browser : Browser
    styles : mapping of str to LineStyle
        How each method is drawn.
    spots : mapping
        By figure, what leads to images; it may be filled until ``index.html`` is made.

    Returns
    -------
    dict
        By name, a function that returns the content. ``index.html`` is the last one.
    """
    templates = files("sodbench.reports") / "templates"
    makers: dict[str, Callable[[], str]] = {
        "data/report.js": partial(_overview_data, analysis, browser, styles)
    }
    for i, dataset in enumerate(browser.datasets):
        makers[f"data/dataset-{i}.js"] = partial(_dataset_data, analysis, dataset, i)
    for name in ("report.css", "report.js"):
        makers[f"assets/{name}"] = partial((templates / name).read_text, "utf-8")
    makers["index.html"] = partial(_folder_page, document, browser, spots)
    return makers


def _folder_page(document: Document, browser: Browser, spots: Spots) -> str:
    partly = [
        f"{len(d.positions)} of {d.name}"
        for d in browser.datasets
        if len(d.positions) < len(d.stems)
    ]
    note = f"This folder has thumbnails of some images only: {', '.join(partly)}." if partly else ""
    return render_page(document, note, spots, is_linked=any(d.links for d in browser.datasets))


def render_page(
    document: Document,
    browser_note: str,
    spots: Spots,
    inline: "Inline | None" = None,
    is_linked: bool = False,
) -> str:
    """Return the page.

    Parameters
    ----------
    document : Document
    browser_note : str
        What the page says about its thumbnails.
    spots : mapping
        By figure, what leads to images.
    inline : Inline, optional
        What the page holds in itself; by default it is in the files of `page_files`.
    is_linked : bool
        Whether the page links the original images, masks and maps.

    Returns
    -------
    str
    """
    page = _html_environment().get_template("report.html")
    return page.render(
        document=document,
        version=__version__,
        browser_note=browser_note,
        headline_at=1 if document.sample else 0,
        inline=inline,
        is_linked=is_linked,
        spots=spots,
        figure_source=lambda f: inline.figures[f.key] if inline else f"figures/{f.key}.svg",
    )


@dataclass(frozen=True)
class ImageRow:
    """An image and its maps side by side.

    Attributes
    ----------
    text : str
        Its caption.
    thumbnails : tuple of (str, str)
        Titles and addresses, from left to right.
    """

    text: str
    thumbnails: tuple[tuple[str, str], ...]


def make_image_row(
    text: str, files: Iterable[tuple[str, Path | None, bool]], max_side: int
) -> ImageRow:
    """Return the row of some files, without those that are not there or cannot be read.

    Parameters
    ----------
    text : str
        What is printed above it.
    files : iterable of (str, Path or None, bool)
        Title, file, and whether it is shown in colour.
    max_side : int
        Pixels of the longer side.

    Returns
    -------
    ImageRow
    """
    thumbnails = []
    for title, file, colour in files:
        pixels = gallery.load_thumbnail(file, max_side, colour) if file else None
        if pixels is not None:
            thumbnails.append((title, image_address(gallery.encode_webp(pixels))))
    return ImageRow(text, tuple(thumbnails))


def render_comparison(document: Document, images: Sequence[ImageRow]) -> str:
    """Return the page of a comparison of two methods, which holds everything in itself.

    Parameters
    ----------
    document : Document
    images : sequence of ImageRow
        Shown at the end of its section ``images``.

    Returns
    -------
    str
    """
    css = (files("sodbench.reports") / "templates" / "report.css").read_text("utf-8")
    page = _html_environment().get_template("comparison.html")
    return page.render(
        document=document,
        images=images,
        version=__version__,
        css=Markup(css),
    )


def image_address(content: bytes) -> str:
    """Return the address that holds a WebP image.

    Returns
    -------
    str
    """
    return f"data:image/webp;base64,{base64.b64encode(content).decode('ascii')}"


@dataclass(frozen=True)
class Inline:
    """What a page holds in itself instead of in files next to it.

    Attributes
    ----------
    css, json : Markup
    scripts : tuple of Markup
    figures : mapping of str to str
        By key, the address of the figure, which holds its content.
    """

    css: Markup
    json: Markup
    scripts: tuple[Markup, ...]
    figures: Mapping[str, str]


@cache
def _html_environment() -> Environment:
    # one for the process: it keeps its templates compiled
    jinja = Environment(
        loader=PackageLoader("sodbench.reports", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.globals |= {
        "block_type": block_type,
        "header_spans": header_spans,
        "sort_key": _sort_key,
        "state": _state,
    }
    return jinja


def _printable(value: Any) -> Any:
    # Jinja escapes the markup, but not characters that reorder or hide other text
    return printable_lines(value) if type(value) is str else value


def _sort_key(cell: Cell, column: Column) -> str:
    if column.kind == "text":
        return cell.text
    return "" if math.isnan(cell.value) else repr(float(cell.value))


def _state(cell: Cell, row: Row) -> str:
    """What a dash in a table stands for; empty where the cell's text says it."""
    if cell.text != NO_VALUE:
        return ""
    return "not published" if row.published else "no value" if cell.signature else "no result"


# ---- data ---------------------------------------------------------------------------------------


def _overview_data(
    analysis: Analysis, browser: Browser, styles: Mapping[str, plot_style.LineStyle]
) -> str:
    drawn = {m: styles[m] for m in analysis.methods}
    overview = {
        "methods": analysis.methods,
        "folders": list(browser.map_folders.values()),
        "lines": [{"colour": s.colour, "dash": s.dash} for s in drawn.values()],
        "pale": [s.pale for s in drawn.values()],
        "metrics": [
            {"name": m.name, "heading": m.heading, "sign": m.sign or 1} for m in analysis.metrics
        ],
        "primary": analysis.metrics.index(analysis.primary_metric),
        "datasets": [
            {"name": d.name, "folder": safe_folder_name(d.name), "file": f"data/dataset-{i}.js"}
            for i, d in enumerate(browser.datasets)
        ],
        "curves": [
            [_page_curves(d.results[m]) if m in d.results else None for m in analysis.methods]
            for d in browser.datasets
        ],
        "images": {},
    }
    return f"window.SODBENCH = {format_data(overview)};\n"


def _page_curves(result: Result) -> dict[str, list[float | None]]:
    curves = {name: result.curves[name].copy() for name in ("precision", "recall", "e")}
    rules = get_protocol(result.protocol)
    f = f_curve(result.curves, rules)
    # nothing is above 255
    if rules.comparison == ">":
        curves["precision"][255] = curves["recall"][255] = np.nan
    return {name: _rounded(c) for name, c in {**curves, "f": f}.items()}


def _dataset_data(analysis: Analysis, dataset: BrowsedDataset, number: int) -> str:
    tables = [result.table.reindex(dataset.stems) for result in dataset.results.values()]
    missing = np.full(len(dataset.stems), np.nan)
    content: dict[str, Any] = {
        "stems": dataset.stems,
        "methods": [i for i, m in enumerate(analysis.methods) if m in dataset.results],
        "groups": {
            attribute: _group_codes(groups, dataset.stems)
            for attribute, groups in analysis.image_groups.get(dataset.name, {}).items()
        },
        "compared": [analysis.comparable.has(m, dataset.name) for m in dataset.results],
        "scores": [
            [_rounded(t[m.name].to_numpy(float) if m.name in t else missing) for t in tables]
            for m in analysis.metrics
        ],
    }
    if dataset.links:
        content["links"] = {kind: _pack_links(links) for kind, links in dataset.links.items()}
    return f"window.SODBENCH.images[{number}] = {format_data(content)};\n"


def _pack_links(addresses: Sequence[str]) -> dict[str, Any]:
    """What all addresses start with, once, and the rest of each; null for none."""
    # the same letters, not the same folders: names of images start alike, too
    start = os.path.commonprefix([address for address in addresses if address])  # noqa: RUF071
    return {"start": start, "rest": [a[len(start) :] if a else None for a in addresses]}


def _group_codes(groups: Mapping[str, Sequence[str]], stems: Sequence[str]) -> dict[str, Any]:
    """The names of groups of images, and for each image the number of its group, -1 for none."""
    codes = {stem: i for i, members in enumerate(groups.values()) for stem in members}
    return {"names": list(groups), "codes": [codes.get(stem, -1) for stem in stems]}


def _rounded(values: Floats) -> list[float | None]:
    return [None if math.isnan(v) else v for v in np.round(values, 4).tolist()]


def format_data(value: Any) -> str:
    """Return JSON that is a script expression too: ASCII only.

    Returns
    -------
    str
    """
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
