"""Write a report from stored results: no picture is scored again, nothing is typed by hand."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from sodbench import __version__
from sodbench.errors import SodbenchError
from sodbench.reports import contents, gallery, html, latex, literature, markdown
from sodbench.reports.attributes import read_attributes
from sodbench.reports.document import Document
from sodbench.reports.drawings import draw
from sodbench.reports.resampling import RESAMPLES
from sodbench.reports.study import Study, study
from sodbench.result_file import finite
from sodbench.results import Result, write_text

if TYPE_CHECKING:
    from jinja2 import Environment

TITLE = "Salient object detection: comparison"


def write_report(
    results: Sequence[Result],
    out: Path | str,
    *,
    title: str | None = None,
    sample: bool = False,
    metrics: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
    baseline: str | None = None,
    published: Sequence[str] | None = None,
    bench: Sequence[Path] = (),
    attributes: Sequence[Path] = (),
    pictures: Sequence[str] = gallery.DEFAULT,
    thumbnails: int | None = None,
    template: Path | None = None,
    colours: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
    command: str = "",
) -> Path:
    """Write a report over results and return the file to open.

    out: a ``.md`` file, beside which a folder of figures is made, or a folder, which gets Markdown, HTML, LaTeX, CSV and
    JSON as well.
    sample: say at the top that these are the built-in sample's numbers (also said when the results say so).
    metrics, methods, datasets: keep these only, in this order.  baseline: a method the others are compared with.
    published: names of published tables to add as marked rows; an empty sequence: all of them.
    bench: files written by ``sodbench bench``.
    attributes: what ``sodbench data stats`` wrote, see :func:`sodbench.reports.attributes.read_attributes`.
    pictures: which images to show, see :func:`sodbench.reports.gallery.choose`.
    thumbnails: images of each set in the page's browser; None: all.
    template: a Jinja template (.md, .html, .tex, .txt) to fill in as well, see docs/reports.md.
    colours: colour best, second and third in LaTeX.
    resamples, seed: of the bootstrap.  command: the command line, for the report's last section.

    Raises :class:`SodbenchError` for an unknown name, for an ``out`` that holds something else than a report, and for
    one inside a folder of maps or data.
    """
    out = Path(out)
    _check_output(out, results)
    single = out.suffix.lower() == ".md"
    page = out if single else out / "report.md"
    filled = Filled.of(template, page) if template else None
    gallery.check_wanted(pictures, results)
    literature_ = [] if published is None else literature.sources(published)
    costs = read_costs(bench)
    groups = read_attributes(
        attributes,
        [
            r
            for r in results
            if r.dataset in (datasets or [r.dataset]) and r.method in (methods or [r.method])
        ],
    )
    found = study(
        results,
        measures=metrics,
        methods=methods,
        datasets=datasets,
        attributes=groups,
        resamples=resamples,
        seed=seed,
    )
    if baseline is not None and baseline not in found.methods:
        raise SodbenchError(
            f"--baseline {baseline}: no such method here; there are: {', '.join(found.methods)}"
        )
    figures = _figures_of(out) if single else out / "figures"
    if not page.exists():
        write_text(page, markdown.MARKER + "\n")  # the figures beside it are ours from here on
    drawn = draw(found, figures, pictures, costs)
    document = contents.contents(
        found,
        drawn,
        title=title or TITLE,
        baseline=baseline,
        sample=sample or found.sample,
        costs=costs,
        published=literature_,
        command=command,
    )
    record = ""
    if filled:
        record = filled.write(document, found, figures.name)
    write_text(page, markdown.document(document, figures.name, record))
    if single:
        return page
    _write_tables(document, found, out / "tables", colours)
    write_text(out / "report.tex", latex.document(document, colours))
    write_text(out / "report.json", _as_json(document, found))
    return html.write_page(document, found, out, thumbnails)


# ---- cost -------------------------------------------------------------------------------------


def read_costs(files: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Parameters, MACs and speed by method, from the files of ``sodbench bench``.

    Raises :class:`SodbenchError` for a file that is none.
    """
    costs: dict[str, dict[str, float]] = {}
    for file in files:
        try:
            content = json.loads(Path(file).read_text(encoding="utf-8"))
            method = str(content.get("method") or content["model"])
            numbers = {
                heading: float(content[key]) / unit
                for key, (heading, unit) in COSTS.items()
                if content.get(key) is not None
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SodbenchError(f"{file}: not a result of 'sodbench bench' ({error!r})") from error
        costs.setdefault(method, {}).update(numbers)
    return costs


COSTS = {
    "parameters": ("parameters (M)", 1e6),
    "macs": ("MACs (G)", 1e9),
    "images_per_second": ("images/s", 1.0),
}


# ---- files ------------------------------------------------------------------------------------


def _write_tables(document: Document, found: Study, folder: Path, colours: bool) -> None:
    """Every table as CSV and LaTeX; all intervals and all comparisons as CSV with all their digits."""
    for name, table in document.tables.items():
        write_text(folder / f"{name}.csv", table.frame().to_csv(lineterminator="\n"))
        write_text(folder / f"{name}.tex", latex.table(table, colours))
    write_text(folder / "all_intervals.csv", pd.DataFrame(_intervals(found)).to_csv(index=False))
    write_text(folder / "all_groups.csv", pd.DataFrame(_group_intervals(found)).to_csv(index=False))
    write_text(
        folder / "all_comparisons.csv",
        pd.DataFrame([vars(c) for c in found.comparisons]).to_csv(index=False),
    )


def _group_intervals(found: Study) -> list[dict[str, Any]]:
    """The intervals of every breakdown; groups without an image left out."""
    return [
        {"attribute": b.attribute, "method": m, "dataset": d, "group": group, "images": images}
        | vars(interval)
        for b in found.breakdowns
        for (m, d), intervals in b.values.items()
        for group, images, interval in zip(b.groups, b.images[d], intervals, strict=True)
        if interval
    ]


def _intervals(found: Study) -> list[dict[str, Any]]:
    return [
        {"method": m, "dataset": d, "measure": n, **vars(interval)}
        for (m, d, n), interval in found.intervals.items()
    ]


def _as_json(document: Document, found: Study) -> str:
    tables = {
        name: {
            "title": table.title,
            "columns": [{"group": c.group, "heading": c.heading} for c in table.columns],
            "rows": [
                {
                    "label": row.label,
                    "published": row.published,
                    "cells": [
                        {"text": c.text, "value": c.value, "place": c.place} for c in row.cells
                    ],
                }
                for row in table.rows
            ],
            "notes": table.notes,
        }
        for name, table in document.tables.items()
    }
    content = {
        "sodbench": __version__,
        "title": document.title,
        "sample": document.sample,
        "resamples": found.resamples,
        "seed": found.seed,
        "signatures": [
            {"method": m, "dataset": d, "signature": r.signature}
            for (m, d), r in found.results.items()
        ],
        "tables": tables,
        "intervals": _intervals(found),
        "comparisons": [vars(c) for c in found.comparisons],
        "groups": _group_intervals(found),
    }
    return json.dumps(finite(content), indent=1, ensure_ascii=False) + "\n"


# ---- the user's own template ------------------------------------------------------------------


@dataclass(frozen=True)
class Filled:
    """A template and the file that it becomes, beside the page ``report.md``, which records its content's SHA-256.

    By that record a file of ours is known from a user's, and from one that a user has changed.
    """

    template: Path
    target: Path

    @staticmethod
    def of(template: Path, page: Path) -> "Filled":
        """Raises :class:`SodbenchError` for a target that must not be written, or is not ours."""
        name = template.name.removesuffix(".j2").removesuffix(".jinja")
        filled = Filled(template, page.parent / name)
        if filled.target.suffix.lower() not in (".md", ".txt", ".html", ".htm", ".tex"):
            raise SodbenchError(
                f"--template {template}: must be a .md, .txt, .html or .tex template"
            )
        if filled.target.resolve() in (template.resolve(), page.resolve()) or name in OWN_FILES:
            raise SodbenchError(
                f"--template {template}: its result would be {filled.target}; rename the template"
            )
        target = filled.target
        if target.exists() and not (target.is_file() and filled._is_recorded(page)):
            raise SodbenchError(
                f"--template {template}: its result would be {target}, which was not written by sodbench or "
                "was changed since; move it, or rename the template"
            )
        return filled

    def _is_recorded(self, page: Path) -> bool:
        record = self._record(self.target.read_bytes())
        return page.is_file() and record in page.read_text("utf-8", "replace").splitlines()[:2]

    def _record(self, content: bytes) -> str:
        name = self.target.name.replace("--", "- -")  # two hyphens would end the comment
        return f"<!-- filled in: {name} {hashlib.sha256(content).hexdigest()} -->"

    def write(self, document: Document, found: Study, figures: str) -> str:
        """Fill the template in; returns the line by which its result is known again."""
        from jinja2 import TemplateError

        try:
            text = (
                _template_environment(self.target.suffix.lower(), self.template.parent)
                .get_template(self.template.name)
                .render(document=document, tables=document.tables, study=found, figures=figures)
            )
        except TemplateError as error:
            raise SodbenchError(
                f"--template {self.template}: {error or type(error).__name__}"
            ) from error
        write_text(self.target, text)
        return self._record(text.encode("utf-8"))


def _template_environment(kind: str, folder: Path) -> "Environment":
    """Jinja for a template of this kind (``.tex``): what is escaped, and how a table becomes text."""
    from jinja2 import Environment, FileSystemLoader

    loader = FileSystemLoader(folder)
    if kind == ".tex":
        environment = latex.environment().overlay(loader=loader)
        environment.filters["table"] = lambda t: latex.Latex(latex.table(t))
        return environment
    if kind in (".html", ".htm"):
        return Environment(loader=loader, autoescape=True)
    environment = Environment(loader=loader, autoescape=False)
    environment.filters |= {"escape": markdown.escape, "table": markdown.table}
    return environment


# ---- where it is written ----------------------------------------------------------------------


OWN_FILES = ("report.md", "report.tex", "report.json", "index.html")


def _check_output(out: Path, results: Sequence[Result]) -> None:
    """Refuse what would overwrite somebody's work or write among maps and data."""
    single = out.suffix.lower() == ".md"
    for place in (out, _figures_of(out)) if single else (out,):
        for result in results:
            for folder in filter(None, result.folders.values()):
                if place.resolve().is_relative_to(Path(folder).resolve()):
                    raise SodbenchError(
                        f"{place}: lies inside {folder}, which holds maps or data; choose another "
                        "place"
                    )
    if single:
        for place in (out, _figures_of(out)):
            if _holds_something(place) and not _is_report(out):
                raise SodbenchError(
                    f"{place}: exists and was not written by sodbench; move it or choose another name"
                )
    elif out.is_file():
        raise SodbenchError(f"{out}: is a file; name a folder, or a file that ends in .md")
    elif out.suffix and not out.is_dir():
        raise SodbenchError(
            f"{out}: a report is a folder (Markdown, HTML, LaTeX, CSV, JSON, figures) or a .md file"
        )
    elif out.is_dir() and any(out.iterdir()) and not _is_report(out / "report.md"):
        raise SodbenchError(f"{out}: holds other files; name a new folder for the report")


def _figures_of(page: Path) -> Path:
    """The folder of figures beside a Markdown report."""
    return page.with_name(f"{page.stem}_figures")


def _holds_something(place: Path) -> bool:
    return any(place.iterdir()) if place.is_dir() else place.exists()


def _is_report(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open(encoding="utf-8", errors="replace") as text:
        return text.readline().strip() == markdown.MARKER
