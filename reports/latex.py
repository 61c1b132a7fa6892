r"""LaTeX (booktabs): escaping, tables to be input into a paper, and a document that stands alone.

Everything that is text goes through :func:`latex_text`: the templates' environment does it to every value that is not
marked as :class:`Latex`, as autoescape does for HTML.
"""

import unicodedata

from jinja2 import Environment, PackageLoader

from sodbench.quoting import printable
from sodbench.reports.document import Document, block_type
from sodbench.reports.tables import Cell, Row, Table, header_spans

WIDEST = 130
COLOURS = {1: "red", 2: "green!50!black", 3: "blue"}
"""The colours in which this field's papers print best, second and third."""

_ASCII = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
}
_SIGNS = {
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "²": r"\textsuperscript{2}",
    "³": r"\textsuperscript{3}",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "§": r"\S{}",
    "¶": r"\P{}",
    "≥": r"$\ge$",
    "≤": r"$\le$",
    "−": r"$-$",
    "≈": r"$\approx$",
    "’": "'",
    "‘": "`",
    "“": "``",
    "”": "''",
    "\u00a0": "~",
}
_GREEK_NAMES = (
    "alpha beta gamma delta varepsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho varsigma "
    "sigma tau upsilon varphi chi psi omega"
)
_GREEK = {chr(0x3B1 + i): name for i, name in enumerate(_GREEK_NAMES.split(" "))} | {
    "Γ": "Gamma",
    "Δ": "Delta",
    "Θ": "Theta",
    "Λ": "Lambda",
    "Ξ": "Xi",
    "Π": "Pi",
    "Σ": "Sigma",
    "Φ": "Phi",
    "Ψ": "Psi",
    "Ω": "Omega",
    "µ": "mu",
    "ο": "mathrm{o}",
}


class Latex(str):
    """Text that is LaTeX already."""


def latex_text(text: object) -> Latex:
    r"""Any text, to appear as it is, on one line.

    What pdfTeX's fonts lack (Chinese, say) goes through ``\sodbenchchar{code}{character}``, which the templates
    define: the character itself under XeTeX and LuaTeX, ``U+code`` under pdfTeX, which has no such glyph.
    """
    plain = unicodedata.normalize("NFC", printable(" ".join(str(text).split())))
    return Latex("".join(_character(c) for c in plain))


def _character(c: str) -> str:
    if c in _ASCII:
        return _ASCII[c]
    if c in _SIGNS:
        return _SIGNS[c]
    if c in _GREEK:
        return rf"$\{_GREEK[c]}$"
    if ord(c) < 0x180:
        return c if c.isprintable() else " "
    return rf"\sodbenchchar{{{ord(c):X}}}{{{c}}}"


def environment() -> Environment:
    """Jinja with LaTeX's delimiters: ``((* block *))``, ``((( value )))``, ``((# comment #))``; values are escaped."""
    found = Environment(
        block_start_string="((*",
        block_end_string="*))",
        variable_start_string="(((",
        variable_end_string=")))",
        comment_start_string="((#",
        comment_end_string="#))",
        loader=PackageLoader("sodbench.reports", "templates"),
        finalize=lambda value: value if isinstance(value, Latex) else latex_text(value),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.globals |= {"header_spans": header_spans, "cell": cell, "label": label, "code": verbatim}
    found.filters |= {"rules": rules, "alignment": alignment, "split": lambda t: t.split(WIDEST)}
    return found


def cell(of: Cell, colours: bool = False) -> Latex:
    """One entry: best bold, second underlined, third italic; in colour as well where asked."""
    text = str(latex_text(of.text))
    command = {1: "textbf", 2: "underline", 3: "textit"}.get(of.place)
    if command:
        text = rf"\{command}{{{text}}}"
    if colours and of.place in COLOURS:
        text = rf"\textcolor{{{COLOURS[of.place]}}}{{{text}}}"
    above = ",".join(str(latex_text(part)) for part in (of.wins, of.mark) if part)
    return Latex(text + (rf"\textsuperscript{{{above}}}" if above else ""))


def label(row: Row) -> Latex:
    """The first column: the method, in italics where its numbers are published ones, and its letter."""
    text = str(latex_text(row.label))
    if text[:1] in ("[", "*"):
        text = "{}" + text  # else the line end above would take it for its own argument
    if row.published:
        text = rf"\textit{{{text}}}"
    return Latex(text + (rf"\textsuperscript{{{row.letter}}}" if row.letter else ""))


def alignment(of: Table) -> Latex:
    """The column specification, e.g. ``lrrr``."""
    return Latex("l" + "".join("r" if c.kind == "number" else "l" for c in of.columns))


def rules(of: Table) -> Latex:
    r"""The partial rules below the groups' headings, ``\cmidrule(lr){2-4} ...``."""
    found, at = [], 2
    for group, width in header_spans(of.columns):
        if group:
            found.append(rf"\cmidrule(lr){{{at}-{at + width - 1}}}")
        at += width
    return Latex(" ".join(found))


def verbatim(text: str) -> Latex:
    """Text for a verbatim environment: pdfTeX's verbatim cannot show what is not Latin."""
    shown = "".join(c if c == "\n" or (c.isprintable() and ord(c) < 0x180) else "?" for c in text)
    return Latex(shown.replace(r"\end{verbatim}", r"\end {verbatim}"))


def format_table(of: Table, colours: bool = False) -> str:
    """A complete ``table*`` environment (several where it is too wide) that needs booktabs and adjustbox."""
    return (
        environment()
        .get_template("table.tex")
        .render(table=of, colours=colours, float=Latex("table*"), placement="tbp")
    )


def format_document(of: Document, colours: bool = False) -> str:
    """A LaTeX document that compiles with pdfTeX, XeTeX and LuaTeX beside the figures folder."""
    return (
        environment()
        .get_template("report.tex")
        .render(
            document=of, colours=colours, block_type=block_type, float=Latex("table"), placement="H"
        )
    )
