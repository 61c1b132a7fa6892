r"""Reports and their tables in LaTeX (booktabs): tables to be input into a paper, and a document of its own.

Everything that is text goes through `latex_text`: the templates' environment does it to every value that is not
marked as `Latex`, as autoescape does for HTML.
"""

import unicodedata
from collections.abc import Sequence
from functools import cache

from jinja2 import Environment, PackageLoader
from jinja2.sandbox import SandboxedEnvironment

from sodbench.quoting import printable
from sodbench.reports.document import Document, block_type
from sodbench.reports.tables import Cell, Row, Table, header_spans

# characters; wider tables are split by dataset
MAX_LATEX_WIDTH = 130
# in which this field's papers print best, second and third
PLACE_COLOURS = {1: "red", 2: "green!50!black", 3: "blue"}
PLACE_COMMANDS = {1: "textbf", 2: "underline", 3: "textit"}

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
    "alpha beta gamma delta varepsilon zeta eta theta iota kappa lambda mu nu xi mathrm{o} pi rho varsigma "
    "sigma tau upsilon varphi chi psi omega"
)
_GREEK = {chr(0x3B1 + i): name for i, name in enumerate(_GREEK_NAMES.split(" "))}
# LaTeX has commands only for the capitals that look unlike Latin ones
_GREEK |= dict(
    zip(
        "ΓΔΘΛΞΠΣΦΨΩ",
        ["Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Phi", "Psi", "Omega"],
        strict=True,
    )
)
# the micro sign
_GREEK["µ"] = "mu"


# of a character of a superscript, in parts of the font size
SUPERSCRIPT_WIDTH = 0.42


class Latex(str):
    """Text that is LaTeX already, which templates do not escape."""


def latex_text(text: object) -> Latex:
    r"""Return any text as LaTeX that shows it on one line.

    What pdfTeX's fonts lack, such as Chinese, goes through ``\sodbenchchar{code}{character}``, which the templates
    define: the character itself under XeTeX and LuaTeX, ``U+code`` under pdfTeX, which has no such glyph.

    Returns
    -------
    Latex
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


@cache
def environment() -> Environment:
    """Return Jinja with LaTeX's delimiters: ``((* block *))``, ``((( value )))``, ``((# comment #))``; values are escaped."""
    # users' own templates are filled in with it, too; there is one for the process, because it keeps its templates compiled
    jinja = SandboxedEnvironment(
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
    jinja.globals |= {
        "spans": lambda table: [Latex(t) for t in format_spans(header_spans(table.columns), 2)],
        "block_type": block_type,
        "cell": _latex_cell,
        "superscript_rooms": superscript_rooms,
        "label": _latex_label,
        "code": _format_verbatim,
    }
    jinja.filters |= {
        "alignment": _format_alignment,
        "split": lambda table: table.split(MAX_LATEX_WIDTH),
    }
    return jinja


def format_table(table: Table, colours: bool = False) -> str:
    """Return a complete ``table*`` environment that needs booktabs and adjustbox.

    Parameters
    ----------
    table : Table
        A wide one gets several environments.
    colours : bool
        Whether best, second and third are coloured; needs xcolor.

    Returns
    -------
    str
    """
    template = environment().get_template("table.tex")
    return template.render(table=table, colours=colours, float=Latex("table*"), placement="tbp")


def format_document(document: Document, colours: bool = False) -> str:
    """Return a LaTeX document that compiles with pdfTeX, XeTeX and LuaTeX next to the folder of figures.

    Parameters
    ----------
    document : Document
    colours : bool
        Whether best, second and third are coloured.

    Returns
    -------
    str
    """
    template = environment().get_template("report.tex")
    return template.render(document=document, colours=colours, float=Latex("table"), placement="H")


def _latex_cell(cell: Cell, room: int, colours: bool = False) -> Latex:
    """Best bold, second underlined, third italic; the superscript in the room that its column gives to each."""
    text = str(latex_text(cell.text))
    if cell.place:
        text = rf"\{PLACE_COMMANDS[cell.place]}{{{text}}}"
    if colours and cell.place in PLACE_COLOURS:
        text = rf"\textcolor{{{PLACE_COLOURS[cell.place]}}}{{{text}}}"
    return Latex(text + format_superscript(cell, room))


def _superscript(cell: Cell) -> str:
    return ",".join(part for part in (cell.wins, cell.mark) if part)


def superscript_rooms(table: Table) -> list[int]:
    """Return for each column how many characters its longest superscript has; 0 in columns of text, which align on the left.

    Returns
    -------
    list of int
    """
    return [
        max((len(_superscript(row.cells[i])) for row in table.rows), default=0)
        if column.kind == "number"
        else 0
        for i, column in enumerate(table.columns)
    ]


def format_superscript(cell: Cell, room: int) -> str:
    r"""Return a cell's superscript in a box of one width, so that the decimals of a column stay below each other.

    Parameters
    ----------
    cell : Cell
    room : int
        Characters of the column's longest superscript; 0 for no box.

    Returns
    -------
    str
    """
    text = _superscript(cell)
    raised = rf"\textsuperscript{{{latex_text(text)}}}" if text else ""
    return rf"\makebox[{SUPERSCRIPT_WIDTH * room:.2f}em][l]{{{raised}}}" if room else raised


def first_text(text: str) -> str:
    """Return the text of a line's first cell, which may begin with what the line end above would take for its argument.

    Returns
    -------
    str
    """
    latex = str(latex_text(text))
    return "{}" + latex if latex[:1] in ("[", "*") else latex


def format_spans(spans: Sequence[tuple[str, int]], first: int) -> tuple[str, str]:
    r"""Return headings above several columns, and the partial rules below them.

    Parameters
    ----------
    spans : sequence of (str, int)
        Each heading, which may be empty, and its number of columns.
    first : int
        The number of the first column, from 1.

    Returns
    -------
    headings : str
        ``& \multicolumn{3}{c}{SOD} ...``
    rules : str
        ``\cmidrule(lr){2-4} ...``
    """
    headings, rules = "", []
    for text, width in spans:
        headings += rf" & \multicolumn{{{width}}}{{c}}{{{latex_text(text)}}}"
        if text:
            rules.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    return headings, " ".join(rules)


def _latex_label(row: Row) -> Latex:
    """The first column: the method, in italics if its numbers are published ones, and its letter."""
    text = first_text(row.label)
    if row.published:
        text = rf"\textit{{{text}}}"
    return Latex(text + (rf"\textsuperscript{{{row.letter}}}" if row.letter else ""))


def _format_alignment(table: Table) -> Latex:
    """The column specification, e.g. ``lrrr``."""
    return Latex("l" + "".join("r" if c.kind == "number" else "l" for c in table.columns))


def _format_verbatim(text: str) -> Latex:
    # pdfTeX's verbatim cannot show what is not Latin
    plain = "".join(c if c == "\n" or (c.isprintable() and ord(c) < 0x180) else "?" for c in text)
    return Latex(plain.replace(r"\end{verbatim}", r"\end {verbatim}"))
