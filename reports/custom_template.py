"""The user's own template: filled in next to the report, and known again by a digest on its page."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sodbench.errors import SodbenchError
from sodbench.files import write_text
from sodbench.quoting import markdown_text
from sodbench.reports import latex, markdown
from sodbench.reports.analysis import Analysis
from sodbench.reports.document import Document

if TYPE_CHECKING:
    from jinja2 import Environment

_OWN_FILES = ("report.md", "report.tex", "report.json", "index.html")
_RECORD = re.compile(r"<!-- filled in: ([^/\\]+) ([0-9a-f]{64}) -->")


@dataclass(frozen=True)
class CustomTemplate:
    """A template, and the file next to the report's page that it becomes.

    The page's second line records that file's SHA-256. It tells a file of ours from a user's, and from one of ours that
    a user has modified.

    Attributes
    ----------
    template, target, page : Path
    """

    template: Path
    target: Path
    page: Path

    @classmethod
    def open(cls, template: Path, page: Path) -> "CustomTemplate":
        """Check that a template may be filled in next to a page.

        Parameters
        ----------
        template : Path
            A .md, .txt, .html, .htm or .tex template, optionally followed by .j2 or .jinja.
        page : Path
            The Markdown page of the report.

        Raises
        ------
        SodbenchError
            If it is of another type, or the file to write is not ours.
        """
        name = template.name.removesuffix(".j2").removesuffix(".jinja")
        target = page.parent / name
        if target.suffix.lower() not in (".md", ".txt", ".html", ".htm", ".tex"):
            raise SodbenchError(
                f"--template {template}: must be a .md, .txt, .html or .tex template"
            )
        if target.resolve() in (template.resolve(), page.resolve()) or name in _OWN_FILES:
            raise SodbenchError(
                f"--template {template}: its result would be {target}; rename the template"
            )
        if target.exists() and not (target.is_file() and _is_recorded(target, page)):
            raise SodbenchError(
                f"--template {template}: its result would be {target}, which was not written by sodbench or "
                "was changed since; move it, or rename the template"
            )
        return cls(template, target, page)

    def write(self, document: Document, analysis: Analysis, figures: str) -> str:
        """Fill the template in.

        Parameters
        ----------
        document, analysis
            What the template sees under these names; ``document.tables`` also as ``tables``.
        figures : str
            Name of the folder of figures.

        Returns
        -------
        str
            The line by which the page records the file.
        """
        from jinja2 import TemplateError

        environment = _environment(self.target.suffix.lower(), self.template.parent)
        try:
            text = environment.get_template(self.template.name).render(
                document=document, tables=document.tables, analysis=analysis, figures=figures
            )
        except TemplateError as error:
            raise SodbenchError(
                f"--template {self.template}: {error or type(error).__name__}"
            ) from error
        write_text(self.target, text)
        return _record_of(self.target, text.encode("utf-8"))


def _is_recorded(target: Path, page: Path) -> bool:
    if not page.is_file():
        return False
    lines = page.read_text("utf-8", "replace").splitlines()[:2]
    return _record_of(target, target.read_bytes()) in lines


def _record_of(target: Path, content: bytes) -> str:
    name = target.name.replace("--", "- -")  # two hyphens would end the comment
    return f"<!-- filled in: {name} {hashlib.sha256(content).hexdigest()} -->"


def remove_filled_template(page: Path, keep: CustomTemplate | None) -> None:
    """Remove the file that an earlier report made of its template, unless it was modified.

    Parameters
    ----------
    page : Path
        The Markdown page of the earlier report, if there is one.
    keep : CustomTemplate, optional
        The template whose file is about to be replaced.
    """
    if not page.is_file():
        return
    second = "".join(page.read_text("utf-8", "replace").splitlines()[1:2])
    record = _RECORD.fullmatch(second)
    if not record or record[1] in _OWN_FILES or (keep and keep.target.name == record[1]):
        return
    old = page.parent / record[1]
    if old.is_symlink() or not old.is_file():
        return
    if hashlib.sha256(old.read_bytes()).hexdigest() == record[2]:
        old.unlink()


def _environment(suffix: str, folder: Path) -> "Environment":
    """Jinja for a template of this type (``.tex``): what is escaped, and how a table becomes text."""
    from jinja2 import Environment, FileSystemLoader

    loader = FileSystemLoader(folder)
    if suffix == ".tex":
        environment = latex.environment().overlay(loader=loader)
        environment.filters["table"] = lambda t: latex.Latex(latex.format_table(t))
        return environment
    if suffix in (".html", ".htm"):
        return Environment(loader=loader, autoescape=True)
    environment = Environment(loader=loader, autoescape=False)
    environment.filters |= {"escape": markdown_text, "table": markdown.format_table}
    return environment
