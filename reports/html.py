"""The HTML page: one folder that opens from disk, without a server or a network.

``index.html`` holds every table and picture; ``data/*.js`` the curves and per-image scores as scripts (a page opened from disk
may load scripts, but not fetch files); ``pictures/`` thumbnails, made once.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape

from sodbench.console import bar
from sodbench.files import safe_folder_name, write_text
from sodbench.images import write_image
from sodbench.metrics import get_protocol
from sodbench.metrics.statistics.aggregates import f_curve
from sodbench.metrics.statistics.bootstrap import Floats
from sodbench.parallel import thread_pool
from sodbench.quoting import printable_lines
from sodbench.reports import gallery, plots
from sodbench.reports.analysis import Analysis, primary_metric
from sodbench.reports.document import Document, block_type
from sodbench.reports.report_folder import ReportFolder, remove_thumbnails
from sodbench.reports.sources import source_file
from sodbench.reports.tables import Cell, Column, header_spans
from sodbench.results import Result
from sodbench.version import __version__

THUMBNAIL = 200
"""Pixels of a thumbnail's longer side."""


def write_page(
    document: Document,
    analysis: Analysis,
    folder: Path,
    owner: ReportFolder,
    thumbnails: int | None = None,
) -> Path:
    """Write the page into ``folder``, whose ``figures`` and ``tables`` are there already.

    owner: the report's record of its files.
    thumbnails: make them for so many images of each set only (best, worst and most disputed first); None: for all.
    """
    shown = {d: _shown_images(analysis, d, thumbnails) for d in analysis.datasets}
    folders = _folders(analysis.methods)
    _write_data(analysis, folder / "data", folders, shown, owner)
    _write_thumbnails(analysis, folder / "pictures", folders, shown, owner)
    for name in ("report.css", "report.js"):
        write_text(
            owner.claim(folder / "assets" / name),
            (files("sodbench.reports") / "templates" / name).read_text("utf-8"),
        )
    partial = any(len(shown[d]) < len(_stems(analysis, d)) for d in analysis.datasets)
    page = _environment().get_template("report.html")
    text = page.render(
        document=document,
        version=__version__,
        remark=f"Pictures of {thumbnails} images a set are in this folder." if partial else "",
    )
    write_text(owner.claim(folder / "index.html"), text)
    return folder / "index.html"


def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("sodbench.reports", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals |= {
        "block_type": block_type,
        "header_spans": header_spans,
        "sort_key": _sort_key,
        "places": lambda t: any(c.place for r in t.rows for c in r.cells),
    }
    return found


def _shown(value: Any) -> Any:
    """Text of the page with nothing in it that reorders or hides other text; Jinja escapes the markup."""
    return printable_lines(value) if type(value) is str else value


def _sort_key(cell: Cell, column: Column) -> str:
    if column.kind == "text":
        return cell.text
    return "" if math.isnan(cell.value) else repr(float(cell.value))


# ---- data -------------------------------------------------------------------------------------


def _folders(methods: Sequence[str]) -> list[str]:
    """A folder name for each method's thumbnails, unlike each other and unlike ``image`` and ``mask``."""
    names = [f"map-{safe_folder_name(m)[:60]}" for m in methods]
    return [n if names.count(n) == 1 else f"{n}-{i}" for i, n in enumerate(names)]


def _stems(analysis: Analysis, dataset: str) -> list[str]:
    tables = [r.table for (_, d), r in analysis.results.items() if d == dataset]
    return sorted(set().union(*(t.index for t in tables)))


def _shown_images(analysis: Analysis, dataset: str, number: int | None) -> list[int]:
    """The positions of the images that get thumbnails, among the set's sorted stems."""
    stems = _stems(analysis, dataset)
    if number is None or number >= len(stems):
        return list(range(len(stems)))
    results = {m: r for (m, d), r in analysis.results.items() if d == dataset}
    third = -(-number // 3)
    wanted = [f"{kind}:{third}" for kind in ("worst", "disputed", "best")]
    wanted.append(f"random:{number}")  # where scores choose too few, as those of a single method do
    judged = analysis.comparable.alike[dataset]
    chosen = gallery.choose_images(
        results, primary_metric(analysis.metrics), wanted, dataset, analysis.seed, judged
    )
    position = {stem: i for i, stem in enumerate(stems)}
    return sorted(position[c.stem] for c in chosen[:number])


def _write_data(
    analysis: Analysis,
    folder: Path,
    folders: Sequence[str],
    shown: Mapping[str, Sequence[int]],
    owner: ReportFolder,
) -> None:
    styles = plots.line_styles(analysis.methods)
    chief = primary_metric(analysis.metrics)
    sets = [
        {"name": d, "folder": safe_folder_name(d), "file": f"data/set-{i}.js"}
        for i, d in enumerate(analysis.datasets)
    ]
    overview = {
        "methods": analysis.methods,
        "folders": folders,
        "lines": [{"colour": s.colour, "dash": s.dash} for s in styles.values()],
        "measures": [{"name": m.name, "heading": m.heading} for m in analysis.metrics],
        "chief": analysis.metrics.index(chief),
        "sets": sets,
        "curves": [
            [_curves(analysis.results.get((m, d))) for m in analysis.methods]
            for d in analysis.datasets
        ],
        "images": {},
    }
    write_text(owner.claim(folder / "report.js"), f"window.SODBENCH = {_json(overview)};\n")
    for i, dataset in enumerate(analysis.datasets):
        write_text(
            owner.claim(folder / f"set-{i}.js"),
            f"window.SODBENCH.images[{i}] = {_json(_set_data(analysis, dataset))};\n",
        )


def _curves(result: Result | None) -> dict[str, list[float | None]] | None:
    if result is None:
        return None
    curves = {n: result.curves[n].copy() for n in ("precision", "recall", "e")}
    rules = get_protocol(result.protocol)
    f = f_curve(result.curves, rules)
    if rules.comparison == ">":  # nothing is above 255
        curves["precision"][255] = curves["recall"][255] = np.nan
    return {name: _rounded(c, 4) for name, c in {**curves, "f": f}.items()}


def _set_data(analysis: Analysis, dataset: str) -> dict[str, Any]:
    stems = _stems(analysis, dataset)
    here = [i for i, m in enumerate(analysis.methods) if (m, dataset) in analysis.results]
    tables = [analysis.results[analysis.methods[i], dataset].table.reindex(stems) for i in here]
    empty = np.full(len(stems), np.nan)
    return {
        "stems": stems,
        "methods": here,
        "compared": [analysis.comparable.has(analysis.methods[i], dataset) for i in here],
        "scores": [
            [_rounded(t[m.name].to_numpy(float) if m.name in t else empty, 4) for t in tables]
            for m in analysis.metrics
        ],
    }


def _rounded(values: Floats, digits: int) -> list[float | None]:
    return [None if math.isnan(v) else v for v in np.round(values, digits).tolist()]


def _json(value: Any) -> str:
    """JSON that is a script expression too: ASCII only."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


# ---- thumbnails -------------------------------------------------------------------------------


def _write_thumbnails(
    analysis: Analysis,
    folder: Path,
    folders: Sequence[str],
    shown: Mapping[str, Sequence[int]],
    owner: ReportFolder,
) -> None:
    """Thumbnails of images, masks and maps; those of unchanged files are kept from an earlier report."""
    jobs: list[tuple[Path, Path, bool]] = []
    for dataset in analysis.datasets:
        stems = _stems(analysis, dataset)
        results = {
            folders[i]: analysis.results[m, dataset]
            for i, m in enumerate(analysis.methods)
            if (m, dataset) in analysis.results
        }
        sources = {name: _sources(r, "map", stems) for name, r in results.items()}
        for kind in ("image", "mask"):
            found: dict[str, Path] = {}
            for r in results.values():
                found = {**_sources(r, kind, stems), **found}
            sources[kind] = found
        place = folder / safe_folder_name(dataset)
        for kind, of_stem in sources.items():
            owner.claim_thumbnails(place / kind)
            _forget_if_changed(place / kind, stems, of_stem)
            names = {f"{i:06d}.jpg" for i in shown[dataset] if stems[i] in of_stem}
            remove_thumbnails(place / kind, {"index.txt", *names})
            jobs += [
                (of_stem[stems[i]], place / kind / f"{i:06d}.jpg", kind == "image")
                for i in shown[dataset]
                if stems[i] in of_stem
            ]
    with bar(len(jobs), "thumbnails", "picture") as progress, thread_pool(2) as pool:
        for _ in pool.map(_make, jobs, chunksize=16):
            progress.update()


def _sources(result: Result, kind: str, stems: Sequence[str]) -> dict[str, Path]:
    """The files of one kind by stem, where there are any."""
    names = result.table[kind].to_dict()
    found = {s: source_file(result, kind, str(names[s])) for s in stems if names.get(s)}
    return {s: file for s, file in found.items() if file}


def _forget_if_changed(folder: Path, stems: Sequence[str], of_stem: Mapping[str, Path]) -> None:
    """Remove the thumbnails of a folder that were made of other files than those of now.

    Its ``index.txt`` holds a digest of the files' names: the names themselves would publish folders of this machine.
    """
    listing = "\n".join(f"{stem}\t{of_stem.get(stem, '')}" for stem in stems)
    digest = hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest() + "\n"
    index = folder / "index.txt"
    if index.is_file() and index.read_text(encoding="utf-8", errors="replace") == digest:
        return
    remove_thumbnails(folder)
    write_text(index, digest)


def _make(job: tuple[Path, Path, bool]) -> None:
    source, target, colour = job
    try:
        if target.stat().st_mtime_ns >= source.stat().st_mtime_ns:
            return
    except OSError:
        pass
    pixels = gallery.thumbnail(source, THUMBNAIL, colour)
    if pixels is not None:
        write_image(target, pixels)
