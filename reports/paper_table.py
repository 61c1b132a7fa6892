r"""The table of a paper: one LaTeX float with datasets x metrics, in the layout that venues print.

`score_tables.score_table` makes the numbers, places and significance letters; this module arranges them:
notation, digits, groups of methods, order, ``\cite`` keys, widths, and a caption that explains every mark.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

import numpy as np

from sodbench.errors import SodbenchError
from sodbench.metrics import PROTOCOLS
from sodbench.metrics.catalogue import Metric
from sodbench.reports import score_tables
from sodbench.reports.analysis import Analysis
from sodbench.reports.latex import (
    PLACE_COLOURS,
    PLACE_COMMANDS,
    SUPERSCRIPT_WIDTH,
    Latex,
    environment,
    first_text,
    format_spans,
    format_superscript,
    latex_text,
    superscript_rooms,
)
from sodbench.reports.methods_file import MethodEntries, MethodEntry
from sodbench.reports.published import PublishedTable
from sodbench.reports.published_rows import AS_PUBLISHED, PUBLISHED_NOTE, add_published
from sodbench.reports.tables import DIGITS, NO_VALUE, Cell, Row, Table

# What papers of this field print
PAPER_METRICS = ("s", "f_max", "e_max", "mae")
PUBLISHED_GROUP = "As published"
# The beginning of the first line of every table written
TABLE_MARKER = "% Written by sodbench table."
Marks = Literal["colour", "type", "none"]
Order = Literal["given", "year", "rank"]

_SYMBOLS = {
    "mae": r"\mathcal{M}",
    "s": r"S_\alpha",
    "f_max": r"F_\beta^{\max}",
    "f_mean": r"F_\beta^{\mathrm{mean}}",
    "f_adp": r"F_\beta^{\mathrm{adp}}",
    "wf": r"F_\beta^{\omega}",
    "e_max": r"E_\xi^{\max}",
    "e_mean": r"E_\xi^{\mathrm{mean}}",
    "e_adp": r"E_\xi^{\mathrm{adp}}",
}
# What captions call these symbols
_NAMES = {
    "mae": "mean absolute error",
    "s": "S-measure",
    "f_max": "maximum F-measure",
    "f_mean": "mean F-measure",
    "f_adp": "adaptive F-measure",
    "wf": "weighted F-measure",
    "e_max": "maximum E-measure",
    "e_mean": "mean E-measure",
    "e_adp": "adaptive E-measure",
}
# (LaTeX's size, its points), the largest that fits is taken; below scriptsize no one can read a table
_FONT_SIZES = (("small", 9.0), ("footnotesize", 8.0), ("scriptsize", 7.0))
_SEPARATIONS = (5.0, 4.0, 3.0, 2.0, 1.5)
# of a character, in parts of the font size
_DIGIT_WIDTH, _POINT_WIDTH = 0.53, 0.3
# more methods than this side by side have upright headings
_MAX_LEVEL_HEADINGS = 5


@dataclass(frozen=True)
class PaperStyle:
    """What a venue's tables look like.

    Attributes
    ----------
    text_width, column_width : float
        In points.
    leading_zero : bool
        ``0.928`` or ``.928``.
    symbols : bool
        The field's notation or plain names.
    marks : {"colour", "type", "none"}
        How best, second and third are marked.
    """

    text_width: float
    column_width: float
    leading_zero: bool
    symbols: bool
    marks: Marks


STYLES = {
    "cvpr": PaperStyle(496.9, 237.1, leading_zero=False, symbols=True, marks="colour"),
    "ieee": PaperStyle(516.0, 252.0, leading_zero=True, symbols=True, marks="type"),
    "plain": PaperStyle(345.0, 345.0, leading_zero=True, symbols=False, marks="type"),
}


@dataclass(frozen=True)
class PaperTableOptions:
    """How a paper's table is laid out.

    Attributes
    ----------
    style : PaperStyle
    single_column : bool
        A ``table`` of one column instead of a ``table*``.
    digits : int
        Decimals; places are those of the numbers as printed.
    order : {"given", "year", "rank"}
        Of the methods within their groups.
    transpose : bool
        Datasets and metrics in rows, methods in columns.
    mean_rank, superscripts : bool
        Whether to print the mean rank, and letters for significant differences.
    caption : str
        Its first sentence; by default the number of methods and datasets.
    label : str
        For ``\\ref``.
    """

    style: PaperStyle = STYLES["cvpr"]
    single_column: bool = False
    digits: int = DIGITS
    order: Order = "given"
    transpose: bool = False
    mean_rank: bool = False
    superscripts: bool = False
    caption: str = ""
    label: str = "tab:sod"


def format_paper_table(
    analysis: Analysis,
    options: PaperTableOptions | None = None,
    entries: MethodEntries | None = None,
    published: Sequence[PublishedTable] = (),
) -> str:
    r"""Return the table of a paper in LaTeX.

    Parameters
    ----------
    analysis : Analysis
    options : PaperTableOptions, optional
    entries : mapping of str to MethodEntry, optional
        By the name to print: group, year, ``\cite`` key.
    published : sequence of PublishedTable, optional
        Their rows make a group of their own below the measured ones.

    Returns
    -------
    str
        One float. It needs booktabs and adjustbox, and xcolor for colours.

    Raises
    ------
    SodbenchError
        If the order needs years or ranks that there are not.
    """
    options, entries = options or PaperTableOptions(), entries or {}
    table = score_tables.score_table(analysis, options.digits)
    ranks = {row.label: row.cells[-1] for row in table.rows if table.columns[-1].key == "mean_rank"}
    if published:
        table = add_published(table, analysis, published, options.digits)
    table = _select_content(table, options)
    groups = _group_methods(table.rows, entries, ranks, options.order)
    layout = _Layout(table, analysis.metrics, options, entries)
    lines, rows = layout.transposed(groups) if options.transpose else layout.upright(groups)
    return (
        environment()
        .get_template("paper_table.tex")
        .render(
            float=Latex("table" if options.single_column else "table*"),
            colours=options.style.marks == "colour" and table.has_places,
            caption=Latex(_caption(analysis, table, options)),
            label=Latex(options.label),
            setting=layout.fit(rows),
            alignment=Latex(layout.alignment(rows)),
            lines=[Latex(line) for line in lines],
        )
    )


def _select_content(table: Table, options: PaperTableOptions) -> Table:
    """The columns of scores, and of what else is shown only the mean rank and superscripts that were asked for."""
    rank = "mean_rank" if options.mean_rank else None
    indices = [i for i, c in enumerate(table.columns) if c.metric or c.key == rank]
    rows = [replace(row, cells=tuple(row.cells[i] for i in indices)) for row in table.rows]
    if not options.superscripts:
        rows = [
            replace(row, letter="", cells=tuple(replace(cell, wins="") for cell in row.cells))
            for row in rows
        ]
    return replace(table, columns=tuple(table.columns[i] for i in indices), rows=tuple(rows))


# ---- order and groups ---------------------------------------------------------------------------


def _group_methods(
    rows: Sequence[Row], entries: MethodEntries, ranks: Mapping[str, Cell], order: Order
) -> list[tuple[str, list[Row]]]:
    """The rows in order, by the group that the methods file gives them; published rows are the last group."""
    nothing = MethodEntry()
    years = {r.label: entries.get(_plain_name(r), nothing).year for r in rows}
    if order == "year" and not any(years.values()):
        raise SodbenchError(
            "--order year: no method here has a year; set 'year' in the file of --methods-file"
        )
    if order == "rank" and not any(np.isfinite(cell.value) for cell in ranks.values()):
        raise SodbenchError(
            "--order rank: no methods can be ranked, see the report's 'not compared'"
        )
    groups: dict[str, list[Row]] = {}
    for row in rows:
        group = (
            f"{PUBLISHED_GROUP}: {row.source}"
            if row.published
            else entries.get(row.label, nothing).group
        )
        groups.setdefault(group, []).append(row)
    for members in groups.values():
        if order == "year":
            members.sort(key=lambda row: years[row.label] or 9999)
        elif order == "rank":
            members.sort(key=lambda row: _rank_or_last(ranks.get(row.label)))
    return list(groups.items())


def _rank_or_last(cell: Cell | None) -> float:
    return cell.value if cell and np.isfinite(cell.value) else np.inf


def _plain_name(row: Row) -> str:
    return row.label.removesuffix(AS_PUBLISHED)


# ---- cells --------------------------------------------------------------------------------------


class _Layout:
    """Cells, headings and widths of one table."""

    def __init__(
        self,
        table: Table,
        metrics: Sequence[Metric],
        options: PaperTableOptions,
        entries: MethodEntries,
    ):
        self.table = table
        self.metrics = {m.name: m for m in metrics}
        self.options = options
        self.entries = entries
        self.superscripts = superscript_rooms(table)
        # width of a number's superscripts where methods are columns
        self._widest = max(self.superscripts, default=0)

    def upright(self, groups: Sequence[tuple[str, list[Row]]]) -> tuple[list[str], list[list[str]]]:
        """The lines with methods in rows; and the rows' plain texts, which widths are estimated from."""
        columns = self.table.columns
        datasets = groupby(columns, lambda column: column.dataset)
        over, rules = format_spans([(name, len(list(own))) for name, own in datasets], 2)
        headings = [
            rf"\multicolumn{{1}}{{c}}{{{self._metric_heading(c.metric, c.heading)}}}"
            for c in columns
        ]
        lines = [over + r" \\", rules, f"Method & {' & '.join(headings)} \\\\", r"\midrule"]
        rows = [["Method", *(self._plain_heading(c.metric, c.heading) for c in columns)]]
        named = any(group for group, _ in groups)
        for number, (group, members) in enumerate(groups):
            lines += [r"\midrule"] * (named and number > 0)
            if group:
                lines.append(
                    rf"\multicolumn{{{len(columns) + 1}}}{{@{{}}l}}{{\textit{{{latex_text(group)}}}}} \\"
                )
            for row in members:
                cells = [
                    self._number(cell, self.superscripts[i]) for i, cell in enumerate(row.cells)
                ]
                lines.append(f"{self._method(row)} & {' & '.join(cells)} \\\\")
                rows.append([self._plain_method(row), *map(self._plain_number, row.cells)])
        return lines, rows

    def transposed(
        self, groups: Sequence[tuple[str, list[Row]]]
    ) -> tuple[list[str], list[list[str]]]:
        """The lines with datasets and metrics in rows; and the rows' plain texts."""
        methods = [row for _, members in groups for row in members]
        upright = len(methods) > _MAX_LEVEL_HEADINGS
        lines = []
        if any(group for group, _ in groups):
            over, rules = format_spans([(group, len(members)) for group, members in groups], 3)
            lines += [f" &{over} \\\\", rules]
        names = [self._method(row) for row in methods]
        if upright:
            names = [rf"\rotatebox{{90}}{{{name}}}" for name in names]
        names = [rf"\multicolumn{{1}}{{c}}{{{name}}}" for name in names]
        lines.append(f"Dataset & Metric & {' & '.join(names)} \\\\")
        plain_names = ["" if upright else self._plain_method(row) for row in methods]
        rows = [["Dataset", "Metric", *plain_names]]
        before = None
        for i, column in enumerate(self.table.columns):
            is_new = column.dataset != before
            lines += [r"\midrule"] * is_new
            before = column.dataset
            group = str(latex_text(column.dataset)) if is_new else ""
            heading = self._metric_heading(column.metric, column.heading)
            cells = [self._number(row.cells[i], self._widest) for row in methods]
            lines.append(f"{group} & {heading} & {' & '.join(cells)} \\\\")
            plain = [self._plain_number(row.cells[i]) for row in methods]
            rows.append(
                [column.dataset, self._plain_heading(column.metric, column.heading), *plain]
            )
        return lines, rows

    def alignment(self, rows: Sequence[Sequence[str]]) -> str:
        """The column specification: numbers to the right, so that their decimals are below each other."""
        texts = 2 if self.options.transpose else 1
        return "@{}" + "l" * texts + "r" * (len(rows[0]) - texts) + "@{}"

    def _metric_heading(self, name: str, heading: str) -> str:
        metric = self.metrics.get(name)
        if metric is None or name not in _SYMBOLS or not self.options.style.symbols:
            return str(latex_text(heading))
        arrow = {"↑": r"\uparrow", "↓": r"\downarrow"}.get(metric.arrow, "")
        return f"${_SYMBOLS[name]}{arrow}$"

    def _plain_heading(self, name: str, heading: str) -> str:
        # a symbol with its indices is about as wide as four letters
        is_symbol = self.options.style.symbols and name in _SYMBOLS
        return "xxxx" if is_symbol and name != "mae" else "xx" if is_symbol else heading

    def _method(self, row: Row) -> str:
        entry = self.entries.get(_plain_name(row), MethodEntry())
        text = first_text(_plain_name(row))
        if row.letter:
            text += rf"\textsuperscript{{{row.letter}}}"
        if entry.year:
            text += rf"\textsubscript{{'{entry.year % 100:02d}}}"
        return text + (rf"~\cite{{{entry.cite}}}" if entry.cite else "")

    def _plain_method(self, row: Row) -> str:
        entry = self.entries.get(_plain_name(row), MethodEntry())
        return _plain_name(row) + "xx" * bool(entry.year) + "[xx]" * bool(entry.cite)

    def _plain_number(self, cell: Cell) -> str:
        text = cell.text
        if not self.options.style.leading_zero and text.startswith("0."):
            text = text[1:]
        return text

    def _number(self, cell: Cell, room: int) -> str:
        text = str(latex_text(self._plain_number(cell)))
        marks = self.options.style.marks
        if marks == "type" and cell.place:
            text = rf"\{PLACE_COMMANDS[cell.place]}{{{text}}}"
        elif marks == "colour" and cell.place:
            bold = rf"\textbf{{{text}}}" if cell.place == 1 else text
            text = rf"\textcolor{{{PLACE_COLOURS[cell.place]}}}{{{bold}}}"
        return text + format_superscript(cell, room)

    def fit(self, rows: Sequence[Sequence[str]]) -> Latex:
        """The largest font size and column separation with which the table is as wide as the page at most."""
        style = self.options.style
        room = style.column_width if self.options.single_column else style.text_width
        texts = 2 if self.options.transpose else 1
        extra = [self._widest] * len(rows[0]) if self.options.transpose else [0, *self.superscripts]
        # in parts of the font size
        width = sum(
            max(_text_width(row[i]) for row in rows)
            + (SUPERSCRIPT_WIDTH * extra[i] if i >= texts else 0)
            for i in range(len(rows[0]))
        )
        gaps = 2 * (len(rows[0]) - 1)
        for name, points in _FONT_SIZES:
            for separation in _SEPARATIONS:
                if width * points + gaps * separation <= room:
                    return Latex(rf"\{name}\setlength{{\tabcolsep}}{{{separation:g}pt}}")
        # adjustbox does the rest
        return Latex(rf"\{_FONT_SIZES[-1][0]}\setlength{{\tabcolsep}}{{{_SEPARATIONS[-1]:g}pt}}")


def _text_width(text: str) -> float:
    return sum(_POINT_WIDTH if c in ".,'il|" else _DIGIT_WIDTH for c in text)


# ---- caption ------------------------------------------------------------------------------------


def _caption(analysis: Analysis, table: Table, options: PaperTableOptions) -> str:
    """What the table shows, and what every mark in it means."""
    marks = options.style.marks
    count, sets = len(analysis.methods), len(analysis.datasets)
    subject = f"Comparison of {count} methods" if count > 1 else "Scores of 1 method"
    first = options.caption or f"{subject} on {sets} dataset{'s' * (sets != 1)}."
    parts = [str(latex_text(first))]
    symbols = [
        f"${_SYMBOLS[m.name]}$: {_NAMES[m.name]}"
        for m in analysis.metrics
        if options.style.symbols and m.name in _SYMBOLS
    ]
    parts += [", ".join(symbols) + "."] * bool(symbols)
    parts += [_directions(analysis.metrics)]
    if table.has_places and marks == "colour":
        words = {1: "Best", 2: "second", 3: "third"}
        named = [
            rf"\textcolor{{{PLACE_COLOURS[place]}}}{{{word}}}" for place, word in words.items()
        ]
        named[0] = rf"\textbf{{{named[0]}}}"
        parts.append(f"{', '.join(named[:2])} and {named[2]} are coloured.")
    elif table.has_places and marks == "type":
        parts.append(r"\textbf{Best}, \underline{second} and \textit{third} are marked.")
    protocols = dict.fromkeys(r.protocol for r in analysis.results.values())
    titles = [PROTOCOLS[p].title for p in protocols if p in PROTOCOLS]
    parts.append(f"Conventions of {latex_text(' and '.join(titles))}.")
    # their number of images is not the official one
    parts += [f"{latex_text(', '.join(table.annotated_groups))}."] * bool(table.annotated_groups)
    parts += map(str, map(latex_text, _needed_notes(table, options)))
    texts = {cell.text for row in table.rows for cell in row.cells}
    parts += [f"{latex_text(NO_VALUE)}: no result."] * (NO_VALUE in texts)
    return " ".join(part for part in parts if part)


def _directions(metrics: Sequence[Metric]) -> str:
    arrows = {m.arrow for m in metrics}
    up = r"$\uparrow$: higher is better" * ("↑" in arrows)
    down = r"$\downarrow$: lower is better" * ("↓" in arrows)
    return ", ".join(text for text in (up, down) if text) + "."


def _needed_notes(table: Table, options: PaperTableOptions) -> list[str]:
    """The notes of the score table that explain something which this table shows."""
    left_out = [PUBLISHED_NOTE]
    left_out += [score_tables.SUPERSCRIPT_NOTE] * (not options.superscripts)
    left_out += [score_tables.RANK_NOTE] * (not options.mean_rank)
    notes = [note for note in table.notes if not note.startswith(tuple(left_out))]
    published = [row for row in table.rows if row.published]
    if published:
        notes.append(
            f"Rows below “{PUBLISHED_GROUP}” are printed in the literature and take no part in marks and ranks."
        )
    if any(cell.mark == "?" for row in published for cell in row.cells):
        notes.append("?: a misprint or a doubt.")
    return notes
