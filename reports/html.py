"""The HTML page: one folder that opens from disk, without a server or a network.

``index.html`` holds every table and figure; ``data/*.js`` the curves and the scores of images, as scripts, because a page
opened from disk may load scripts but not fetch files; ``thumbnails/`` small images, made once.
"""

import base64
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from sodbench.console import bar
from sodbench.files import atomic_write, safe_folder_name, write_text
from sodbench.metrics import get_protocol
from sodbench.metrics.arrays import Floats
from sodbench.metrics.statistics.aggregates import f_curve
from sodbench.parallel import thread_pool
from sodbench.quoting import printable_lines
from sodbench.reports import gallery, plots
from sodbench.reports.analysis import Analysis
from sodbench.reports.document import Document, block_type
from sodbench.reports.report_folder import ReportFolder, remove_thumbnails
from sodbench.reports.sources import source_file
from sodbench.reports.tables import NO_VALUE, Cell, Column, Row, header_spans
from sodbench.results import Result
from sodbench.version import __version__

# pixels of a thumbnail's longer side
THUMBNAIL = 200


@dataclass(frozen=True)
class BrowsedDataset:
    """The images of a dataset as the page's browser shows them.

    Attributes
    ----------
    name : str
    stems : list of str
        The names of its images, sorted.
    shown : list of int
        Positions of those with thumbnails.
    results : dict
        By method.
    """

    name: str
    stems: list[str]
    shown: list[int]
    results: dict[str, Result]


@dataclass(frozen=True)
class Browser:
    """What the page's image browser shows.

    Attributes
    ----------
    datasets : tuple of BrowsedDataset
    map_folders : dict
        By method, the name of the folder of its maps' thumbnails.
    """

    datasets: tuple[BrowsedDataset, ...]
    map_folders: dict[str, str]

    @property
    def thumbnail_folders(self) -> list[str]:
        """The names of all folders of thumbnails, with a slash at their end."""
        return [
            f"{_thumbnail_folder(dataset)}/{kind}/"
            for dataset in self.datasets
            for kind in ("image", "mask", *(self.map_folders[m] for m in dataset.results))
        ]


def plan_browser(analysis: Analysis, thumbnails: int | None) -> Browser:
    """Choose what the image browser shows.

    Parameters
    ----------
    analysis : Analysis
    thumbnails : int, optional
        How many images of each dataset (worst, most disputed and best ones); by default all.

    Returns
    -------
    Browser
    """
    datasets = tuple(_browse(analysis, dataset, thumbnails) for dataset in analysis.datasets)
    return Browser(datasets, _map_folders(analysis.methods))


def page_files(
    document: Document,
    analysis: Analysis,
    browser: Browser,
    styles: Mapping[str, plots.LineStyle],
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
    makers["index.html"] = partial(_folder_page, document, browser)
    return makers


def _folder_page(document: Document, browser: Browser) -> str:
    partly = [
        f"{len(d.shown)} of {d.name}" for d in browser.datasets if len(d.shown) < len(d.stems)
    ]
    note = f"This folder has thumbnails of some images only: {', '.join(partly)}." if partly else ""
    return render_page(document, note)


def render_page(document: Document, browser_note: str, inline: "Inline | None" = None) -> str:
    """Return the page.

    Parameters
    ----------
    document : Document
    browser_note : str
        What the page says about its thumbnails.
    inline : Inline, optional
        What the page holds in itself; by default it is in the files of `page_files`.

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
        figure_source=lambda f: inline.figures[f.key] if inline else f"figures/{f.key}.svg",
    )


@dataclass(frozen=True)
class ImageRow:
    """An image and its maps side by side.

    Attributes
    ----------
    text : str
        Its caption.
    shown : tuple of (str, str)
        Titles and addresses, from left to right.
    """

    text: str
    shown: tuple[tuple[str, str], ...]


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


def _html_environment() -> Environment:
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


def _browse(analysis: Analysis, dataset: str, number: int | None) -> BrowsedDataset:
    results = {
        m: analysis.results[m, dataset]
        for m in analysis.methods
        if (m, dataset) in analysis.results
    }
    stems = sorted(set().union(*(r.table.index for r in results.values())))
    shown = list(range(len(stems)))
    if number is not None and number < len(stems):
        third = -(-number // 3)
        wanted = [f"{kind}:{third}" for kind in ("worst", "disputed", "best")]
        # scores choose too few if there is a single method
        wanted.append(f"random:{number}")
        metric, deciding = analysis.primary_metric, analysis.comparable.alike[dataset]
        choices = gallery.choose_images(results, metric, wanted, dataset, analysis.seed, deciding)
        position = {stem: i for i, stem in enumerate(stems)}
        shown = sorted(position[choice.stem] for choice in choices[:number])
    return BrowsedDataset(dataset, stems, shown, results)


def _map_folders(methods: Sequence[str]) -> dict[str, str]:
    """A folder name for each method's thumbnails, different from each other and from ``image`` and ``mask``."""
    names = [f"map-{safe_folder_name(m)[:60]}" for m in methods]
    return {
        method: name if names.count(name) == 1 else f"{name}-{i}"
        for i, (method, name) in enumerate(zip(methods, names, strict=True))
    }


def _overview_data(
    analysis: Analysis, browser: Browser, styles: Mapping[str, plots.LineStyle]
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
    return {name: _rounded(c, 4) for name, c in {**curves, "f": f}.items()}


def _dataset_data(analysis: Analysis, dataset: BrowsedDataset, number: int) -> str:
    tables = [result.table.reindex(dataset.stems) for result in dataset.results.values()]
    missing = np.full(len(dataset.stems), np.nan)
    content = {
        "stems": dataset.stems,
        "methods": [i for i, m in enumerate(analysis.methods) if m in dataset.results],
        "groups": {
            attribute: _group_codes(groups, dataset.stems)
            for attribute, groups in analysis.image_groups.get(dataset.name, {}).items()
        },
        "compared": [analysis.comparable.has(m, dataset.name) for m in dataset.results],
        "scores": [
            [_rounded(t[m.name].to_numpy(float) if m.name in t else missing, 4) for t in tables]
            for m in analysis.metrics
        ],
    }
    return f"window.SODBENCH.images[{number}] = {format_data(content)};\n"


def _group_codes(groups: Mapping[str, Sequence[str]], stems: Sequence[str]) -> dict[str, Any]:
    """The names of groups of images, and for each image the number of its group, -1 for none."""
    codes = {stem: i for i, members in enumerate(groups.values()) for stem in members}
    return {"names": list(groups), "codes": [codes.get(stem, -1) for stem in stems]}


def _rounded(values: Floats, digits: int) -> list[float | None]:
    return [None if math.isnan(v) else v for v in np.round(values, digits).tolist()]


def format_data(value: Any) -> str:
    """Return JSON that is a script expression too: ASCII only.

    Returns
    -------
    str
    """
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


# ---- thumbnails ---------------------------------------------------------------------------------


def _thumbnail_folder(dataset: BrowsedDataset) -> str:
    return f"thumbnails/{safe_folder_name(dataset.name)}"


def thumbnail_address(dataset: BrowsedDataset, kind: str, position: int) -> str:
    """Return the address of a thumbnail as the page asks for it.

    Parameters
    ----------
    dataset : BrowsedDataset
    kind : str
        ``image``, ``mask``, or the folder of a method's maps.
    position : int
        Of the image in the dataset.

    Returns
    -------
    str
    """
    # as encodeURIComponent does
    parts = (safe_folder_name(dataset.name), kind, f"{position:06d}.webp")
    return "thumbnails/" + "/".join(quote(part, safe="-_.!~*'()") for part in parts)


def write_thumbnails(browser: Browser, folder: ReportFolder) -> None:
    """Write thumbnails of images, masks and maps; those of unchanged files are kept from an earlier report.

    Parameters
    ----------
    browser : Browser
    folder : ReportFolder
        Lists the browser's folders of thumbnails.
    """
    jobs: list[tuple[Path, Path, bool]] = []
    for dataset in browser.datasets:
        for kind, sources in thumbnail_sources(dataset, browser.map_folders).items():
            target = folder.path(f"{_thumbnail_folder(dataset)}/{kind}/")
            _forget_if_changed(target, dataset.stems, sources)
            wanted = {
                f"{i:06d}.webp": sources[dataset.stems[i]]
                for i in dataset.shown
                if dataset.stems[i] in sources
            }
            remove_thumbnails(target, {"index.txt", *wanted})
            jobs += [(source, target / file, kind == "image") for file, source in wanted.items()]
    with bar(len(jobs), "thumbnails", "image") as progress, thread_pool(items=len(jobs)) as pool:
        for _ in pool.map(_make_thumbnail, jobs, chunksize=16):
            progress.update()


def thumbnail_sources(
    dataset: BrowsedDataset, map_folders: Mapping[str, str]
) -> dict[str, dict[str, Path]]:
    """Find what thumbnails are made of.

    Parameters
    ----------
    dataset : BrowsedDataset
    map_folders : mapping of str to str
        By method, the folder of its maps' thumbnails.

    Returns
    -------
    dict
        For each folder of thumbnails the files by stem; for images and masks the first result's that has them.
    """
    sources = {
        map_folders[m]: _find_sources(r, "map", dataset.stems) for m, r in dataset.results.items()
    }
    for kind in ("image", "mask"):
        sources[kind] = {}
        for result in dataset.results.values():
            sources[kind] = {**_find_sources(result, kind, dataset.stems), **sources[kind]}
    return sources


def _find_sources(result: Result, kind: str, stems: Sequence[str]) -> dict[str, Path]:
    names = result.table[kind].to_dict()
    sources = {s: source_file(result, kind, str(names[s])) for s in stems if names.get(s)}
    return {stem: file for stem, file in sources.items() if file}


def _forget_if_changed(folder: Path, stems: Sequence[str], sources: Mapping[str, Path]) -> None:
    """Remove the thumbnails of a folder that were made of other files than today's."""
    # Its ``index.txt`` holds a digest of the files' names: the names themselves would publish
    # folders of this machine.
    listing = "\n".join(f"{stem}\t{sources.get(stem, '')}" for stem in stems)
    digest = hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest() + "\n"
    index = folder / "index.txt"
    if index.is_file() and index.read_text(encoding="utf-8", errors="replace") == digest:
        return
    remove_thumbnails(folder)
    write_text(index, digest)


def _make_thumbnail(job: tuple[Path, Path, bool]) -> None:
    source, target, colour = job
    try:
        if target.stat().st_mtime_ns >= source.stat().st_mtime_ns:
            return
    except OSError:
        pass
    pixels = gallery.load_thumbnail(source, THUMBNAIL, colour)
    if pixels is not None:
        with atomic_write(target) as temporary:
            temporary.write_bytes(gallery.encode_webp(pixels))
