"""The user's own template, filled in next to the report."""

from pathlib import Path
from typing import TYPE_CHECKING

from sodbench.errors import SodbenchError
from sodbench.quoting import markdown_text
from sodbench.reports import latex, markdown
from sodbench.reports.analysis import Analysis
from sodbench.reports.document import Document
from sodbench.reports.report_folder import ReportPlace

if TYPE_CHECKING:
    from jinja2 import Environment

_OWN_FILES = ("report.md", "report.tex", "report.json", "index.html", "report-single.html")


def template_target(template: Path, place: ReportPlace) -> Path:
    """Return the file that a template becomes, next to the page of the report.

    Parameters
    ----------
    template : Path
        A .md, .txt, .html, .htm or .tex template, optionally followed by .j2 or .jinja.
    place : ReportPlace

    Raises
    ------
    SodbenchError
        If it is of another type, or the file to write is not a report's or was modified.
    """
    name = template.name.removesuffix(".j2").removesuffix(".jinja")
    target = place.root / name
    if target.suffix.lower() not in (".md", ".txt", ".html", ".htm", ".tex"):
        raise SodbenchError(f"--template {template}: must be a .md, .txt, .html or .tex template")
    if target.resolve() in (template.resolve(), place.page.resolve()) or name in _OWN_FILES:
        raise SodbenchError(
            f"--template {template}: its result would be {target}; rename the template"
        )
    if not template.is_file():
        raise SodbenchError(f"--template {template}: no such file")
    place.check_owner(target, place.read_files())
    return target


def fill_template(
    template: Path, target: Path, document: Document, analysis: Analysis, figures: str
) -> str:
    """Fill a template in.

    Parameters
    ----------
    template, target : Path
        The template, and the file that its result is for.
    document, analysis, figures
        What the template sees under these names; ``document.tables`` also as ``tables``. ``figures`` is the name of the
        folder of figures.

    Returns
    -------
    str

    Raises
    ------
    SodbenchError
        If the template has an error or does not exist.
    """
    from jinja2 import TemplateError

    environment = _template_environment(target.suffix.lower(), template.parent)
    try:
        return environment.get_template(template.name).render(
            document=document, tables=document.tables, analysis=analysis, figures=figures
        )
    except Exception as error:
        # a template is a program: it can fail in any way, as by dividing by zero
        kind = type(error).__name__
        text = str(error) if isinstance(error, TemplateError) else f"{kind}: {error}"
        raise SodbenchError(f"--template {template}: {text or kind}") from error


def _template_environment(suffix: str, folder: Path) -> "Environment":
    """Jinja for a template of this type (``.tex``): what is escaped, and how a table becomes text.

    A template may be from someone else, so it is kept from Python's internals, through which it could run programs.
    """
    from jinja2 import FileSystemLoader
    from jinja2.sandbox import SandboxedEnvironment

    loader = FileSystemLoader(folder)
    if suffix == ".tex":
        environment = latex.environment().overlay(loader=loader)
        # an overlay shares its filters with the environment that is kept
        environment.filters = {
            **environment.filters,
            "table": lambda t: latex.Latex(latex.format_table(t)),
        }
        return environment
    if suffix in (".html", ".htm"):
        return SandboxedEnvironment(loader=loader, autoescape=True)
    environment = SandboxedEnvironment(loader=loader, autoescape=False)
    environment.filters |= {"escape": markdown_text, "table": markdown.format_table}
    return environment
