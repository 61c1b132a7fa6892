"""Write a report from stored results: no image is scored again, nothing is typed by hand."""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from sodbench.console import say
from sodbench.errors import SodbenchError
from sodbench.files import write_text
from sodbench.metrics.statistics.bootstrap import RESAMPLES
from sodbench.quoting import json_text, markdown_text, printable
from sodbench.reports import gallery, html, latex, markdown, sections
from sodbench.reports.analysis import Analysis, analyse, primary_metric
from sodbench.reports.attributes import read_attributes
from sodbench.reports.document import Document
from sodbench.reports.figures import draw
from sodbench.reports.hidden_paths import known_roots, without_paths
from sodbench.reports.published import load_published
from sodbench.reports.report_folder import ReportFolder, check_free, figures_of, is_single
from sodbench.reports.sources import find_outside
from sodbench.results import Result
from sodbench.results.result_file import nan_to_none
from sodbench.version import __version__

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
    bench: Sequence[Path | str] = (),
    attributes: Sequence[Path] = (),
    pictures: Sequence[str] = gallery.DEFAULT_IMAGES,
    thumbnails: int | None = None,
    template: Path | None = None,
    colours: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
    command: str = "",
    with_paths: bool = False,
    problems: list[str] | None = None,
) -> Path:
    """Write a report over results and return the file to open.

    out: a ``.md`` file, next to which a folder of figures is made, or a folder, which gets Markdown, HTML, LaTeX, CSV and
    JSON as well. Files of an earlier report there that this one does not write are removed.
    sample: state at the top that these are the built-in sample's numbers (also done when the results record it).
    metrics, methods, datasets: keep these only, in this order.  baseline: a method the others are compared with.
    published: names of published tables to add as marked rows; an empty sequence: all of them.
    bench: files written by ``sodbench bench``, or ``METHOD=FILE`` where the record has another name than the results.
    attributes: what ``sodbench data stats`` wrote, see :func:`sodbench.reports.attributes.read_attributes`.
    pictures: which images to show, see :func:`sodbench.reports.gallery.choose_images`.
    thumbnails: images of each set in the page's browser; None: all.
    template: a Jinja template (.md, .html, .tex, .txt) to fill in as well, see docs/reports.md.
    colours: colour best, second and third in LaTeX.
    resamples, seed: of the bootstrap.  command: the command line, for the report's last section.
    with_paths: keep absolute paths in the text, which name folders of this machine.
    problems: a list that gets a line for each problem of the inputs, which are in the report too.

    Raises :class:`SodbenchError` for an unknown name, for an ``out`` that holds something other than a report, and for
    one inside a folder of maps or data.
    """
    out = Path(out)
    _check_output(out, results)
    single = is_single(out)
    page = out if single else out / "report.md"
    filled = Filled.of(template, page) if template else None
    gallery.check_selection(pictures, results)
    literature_ = [] if published is None else load_published(published)
    costs = read_costs(bench, [r.method for r in results])
    groups = read_attributes(
        attributes,
        [
            r
            for r in results
            if r.dataset in (datasets or [r.dataset]) and r.method in (methods or [r.method])
        ],
    )
    found = analyse(
        results,
        metrics=metrics,
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
    other = {r.method for r in results} - set(found.methods)
    unknown, without = check_costs(costs, found.methods, other)
    outside = find_outside(found.results)
    lines = [*unknown, *without, *outside]
    if problems is not None:
        problems += lines if unknown or outside else []
    if without and not unknown:
        say("; ".join(without))
    with ReportFolder.open(out) as folder:
        figures = figures_of(out) if single else out / "figures"
        drawn = draw(found, figures, pictures, costs, folder.claim)
        document = sections.build_document(
            found,
            drawn,
            title=title or TITLE,
            baseline=baseline,
            sample=sample or found.sample,
            costs=costs,
            published=literature_,
            command=command,
            problems=lines,
        )
        if not with_paths:
            document = without_paths(document, known_roots(found.results.values()))
        remove_filled(page, filled)
        record = filled.write(document, found, figures.name) if filled else ""
        write_text(folder.claim(page), markdown.format_document(document, figures.name, record))
        if single:
            return page
        _write_tables(document, found, out / "tables", colours, folder)
        write_text(folder.claim(out / "report.tex"), latex.format_document(document, colours))
        write_text(folder.claim(out / "report.json"), _as_json(document, found))
        return html.write_page(document, found, out, folder, thumbnails)


# ---- cost -------------------------------------------------------------------------------------


def read_costs(
    files: Sequence[Path | str], methods: Iterable[str] = ()
) -> dict[str, dict[str, float]]:
    """Parameters, MACs and speed by method, from the files of ``sodbench bench``.

    files: ``FILE``, whose method is the one that the record names, or ``METHOD=FILE``, where METHOD is one of ``methods``.
    Raises :class:`SodbenchError` for a file that is none, and for a METHOD that has no result.
    """
    known = list(dict.fromkeys(methods))
    costs: dict[str, dict[str, float]] = {}
    for given in files:
        name, file = _named_file(str(given))
        if name and name not in known:
            raise SodbenchError(
                f"--bench {given}: no result of the method {name}; there are: {', '.join(known)}"
            )
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            method = name or str(content.get("method") or content["model"])
            numbers = {
                heading: _cost(content[key]) / unit
                for key, (heading, unit) in COSTS.items()
                if content.get(key) is not None
            }
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            RecursionError,
        ) as error:
            raise SodbenchError(f"{file}: not a result of 'sodbench bench' ({error!r})") from error
        if method in costs:
            raise SodbenchError(
                f"--bench {given}: a second record of the method {method}; leave one out, or give it as METHOD=FILE"
            )
        costs[method] = numbers
    return costs


def _cost(value: Any) -> float:
    if isinstance(value, bool) or not 0 <= float(value) < math.inf:
        raise ValueError(f"{value!r} is no cost")
    return float(value)


def _named_file(given: str) -> tuple[str, Path]:
    """``METHOD=FILE`` in parts; both may contain the sign, so that an existing file decides."""
    if not Path(given).is_file():
        for at in (i for i, c in enumerate(given) if c == "="):
            if at and Path(given[at + 1 :]).is_file():
                return given[:at], Path(given[at + 1 :])
    return "", Path(given)


def check_costs(
    costs: Mapping[str, Mapping[str, float]], methods: Sequence[str], other: Iterable[str] = ()
) -> tuple[list[str], list[str]]:
    """A line for every bench record without a method of the report, and one for the methods without a record.

    The latter is no fault by itself: a method that is not a network costs nothing that is recorded.
    other: methods with results that this report leaves out on purpose; their records are no problem.
    """
    if not costs:
        return [], []
    unknown = [
        f"--bench: the record of {name!r} belongs to no method of this report ({', '.join(methods)}); if it is one of "
        f"them under another name, give it as METHOD=FILE"
        for name in costs
        if name not in methods and name not in other
    ]
    missing = [m for m in methods if m not in costs]
    without = [f"--bench: no record of the cost of {', '.join(missing)}"] if missing else []
    return unknown, without


COSTS = {
    "parameters": ("parameters (M)", 1e6),
    "macs": ("MACs (G)", 1e9),
    "images_per_second": ("images/s", 1.0),
}


# ---- files ------------------------------------------------------------------------------------


def _write_tables(
    document: Document, found: Analysis, place: Path, colours: bool, folder: ReportFolder
) -> None:
    """Every table as CSV and LaTeX; all scores, group scores and comparisons as CSV, one a row."""
    for name, table in document.tables.items():
        write_text(folder.claim(place / f"{name}.csv"), to_csv(table.frame(), index=True))
        write_text(folder.claim(place / f"{name}.tex"), latex.format_table(table, colours))
    for name, rows in (
        ("scores_long", _scores(document, found)),
        ("all_groups", _group_intervals(found)),
        ("all_comparisons", _comparisons(found)),
    ):
        write_text(folder.claim(place / f"{name}.csv"), to_csv(pd.DataFrame(rows), index=False))


def to_csv(frame: pd.DataFrame, *, index: bool) -> str:
    """A frame as CSV with all its digits; names are on one line each and escaped, as in the other files."""
    shown = frame.map(lambda value: printable(value) if isinstance(value, str) else value)
    if index:
        shown.index = pd.Index(map(printable, frame.index), name=frame.index.name)
    return shown.rename(columns=printable).to_csv(index=index, lineterminator="\n")


def _scores(document: Document, found: Analysis) -> list[dict[str, Any]]:
    """One row a score: its interval, how it was made, and its marks in the table of scores."""
    beaten = found.wins_over()
    table = document.tables["scores"]
    column = {(c.dataset, c.metric): i for i, c in enumerate(table.columns) if c.metric}
    cells = {row.label: row.cells for row in table.rows if not row.published}
    rows = []
    for (method, dataset, metric), interval in found.intervals.items():
        result = found.results[method, dataset]
        cell = cells[method][column[dataset, metric]]
        rows.append(
            {
                "method": method,
                "dataset": dataset,
                "metric": metric,
                **vars(interval),
                "n": result.n,
                "protocol": result.protocol,
                "signature": str(result.signature),
                "mark": cell.mark,
                "compared": found.comparable.has(method, dataset),
                "place": cell.place or "",
                "significantly_better_than": "; ".join(beaten.get((method, dataset, metric), ())),
            }
        )
    return rows


def _group_intervals(found: Analysis) -> list[dict[str, Any]]:
    """The intervals of every breakdown; groups without an image left out."""
    return [
        {
            "attribute": b.attribute,
            "method": m,
            "dataset": d,
            "metric": primary_metric(found.metrics).name,
            "group": group,
            "images": images,
            **vars(interval),
            "protocol": found.results[m, d].protocol,
            "signature": str(found.results[m, d].signature),
        }
        for b in found.breakdowns
        for (m, d), intervals in b.values.items()
        for group, images, interval in zip(b.groups, b.images[d], intervals, strict=True)
        if interval
    ]


def _comparisons(found: Analysis) -> list[dict[str, Any]]:
    """Every test; both methods of a pair have one signature but for the version."""
    rows = []
    for comparison in found.comparisons:
        row = vars(comparison).copy()
        dataset, metric = row.pop("dataset"), row.pop("metric")
        result = found.results[comparison.first, dataset]
        made = {"protocol": result.protocol, "signature": str(result.signature)}
        rows.append({"dataset": dataset, "metric": metric, **row, **made})
    return rows


def _as_json(document: Document, found: Analysis) -> str:
    tables = {
        name: {
            "title": table.title,
            "columns": [
                {
                    "key": c.name,
                    "dataset": c.dataset,
                    "metric": c.metric,
                    "group": c.group,
                    "heading": c.heading,
                }
                for c in table.columns
            ],
            "rows": [
                {
                    "label": row.label,
                    "published": row.published,
                    "cells": [
                        {
                            "text": c.text,
                            "value": c.value,
                            "low": c.low,
                            "high": c.high,
                            "place": c.place,
                            "better_than": table.better_than(c),
                            "mark": c.mark,
                            "signature": c.signature,
                        }
                        for c in row.cells
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
            {
                "method": m,
                "dataset": d,
                "n": r.n,
                "protocol": r.protocol,
                "signature": str(r.signature),
                "compared": found.comparable.has(m, d),
                "not_compared_because": found.comparable.reasons.get((m, d), ""),
            }
            for (m, d), r in found.results.items()
        ],
        "scores": _scores(document, found),
        "tables": tables,
        "comparisons": _comparisons(found),
        "groups": _group_intervals(found),
    }
    return json_text(nan_to_none(content)) + "\n"


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

    def write(self, document: Document, found: Analysis, figures: str) -> str:
        """Fill the template in; returns the line by which its result is known again."""
        from jinja2 import TemplateError

        try:
            text = (
                _template_environment(self.target.suffix.lower(), self.template.parent)
                .get_template(self.template.name)
                .render(document=document, tables=document.tables, analysis=found, figures=figures)
            )
        except TemplateError as error:
            raise SodbenchError(
                f"--template {self.template}: {error or type(error).__name__}"
            ) from error
        write_text(self.target, text)
        return self._record(text.encode("utf-8"))


def remove_filled(page: Path, filled: Filled | None) -> None:
    """Remove what an earlier report made of its template, if this one does not replace it and nobody changed it."""
    if not page.is_file():
        return
    second = "".join(page.read_text("utf-8", "replace").splitlines()[1:2])
    found = re.fullmatch(r"<!-- filled in: ([^/\\]+) ([0-9a-f]{64}) -->", second)
    if not found or found[1] in OWN_FILES or (filled and filled.target.name == found[1]):
        return
    old = page.parent / found[1]
    if (
        old.is_file()
        and not old.is_symlink()
        and hashlib.sha256(old.read_bytes()).hexdigest() == found[2]
    ):
        old.unlink()


def _template_environment(kind: str, folder: Path) -> "Environment":
    """Jinja for a template of this kind (``.tex``): what is escaped, and how a table becomes text."""
    from jinja2 import Environment, FileSystemLoader

    loader = FileSystemLoader(folder)
    if kind == ".tex":
        environment = latex.environment().overlay(loader=loader)
        environment.filters["table"] = lambda t: latex.Latex(latex.format_table(t))
        return environment
    if kind in (".html", ".htm"):
        return Environment(loader=loader, autoescape=True)
    environment = Environment(loader=loader, autoescape=False)
    environment.filters |= {"escape": markdown_text, "table": markdown.format_table}
    return environment


# ---- where it is written ----------------------------------------------------------------------


OWN_FILES = ("report.md", "report.tex", "report.json", "index.html")


def _check_output(out: Path, results: Sequence[Result]) -> None:
    """Refuse what would overwrite other people's work or write among maps and data."""
    for place in (out, figures_of(out)) if is_single(out) else (out,):
        for result in results:
            for folder in filter(None, result.folders.values()):
                if place.resolve().is_relative_to(Path(folder).resolve()):
                    raise SodbenchError(
                        f"{place}: is inside {folder}, which holds maps or data; choose another place"
                    )
    check_free(out)
