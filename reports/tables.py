"""Tables as values: what each cell holds and how it is marked, before any markup.

`markdown`, `latex` and the HTML page render a `Table`;
`Table.frame` gives the numbers with all their digits and marks, for CSV.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from sodbench.results import Signature

# Papers of this field print three digits; the data files of a report keep all of them
DIGITS = 3
# A dash and not an empty cell: it shows that the value does not exist, not that it was forgotten
NO_VALUE = "–"


@dataclass(frozen=True)
class Cell:
    """One entry of a table.

    Attributes
    ----------
    text : str
        The entry as it is printed.
    value : float
        The number with all its digits; NaN if there is none.
    place : int
        1, 2, 3 for best, second and third, otherwise 0.
    wins : str
        What is printed as a superscript: the letters of the methods that this one beats significantly.
    mark : str
        A footnote mark.
    low, high : float
        Limits of the number's interval; NaN if there is none.
    signature : str
        How the number was made.
    """

    text: str = NO_VALUE
    value: float = float("nan")
    place: int = 0
    wins: str = ""
    mark: str = ""
    low: float = float("nan")
    high: float = float("nan")
    signature: str = ""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    group : str
        The heading above neighbouring columns: a dataset, or nothing.
    heading : str
        The column's own heading.
    kind : {"number", "text"}
        What its cells hold; decides alignment and sorting.
    key : str
        Its name in CSV and JSON, if it is not made of ``dataset`` and ``metric``.
    dataset, metric : str
        What its numbers are scores of, if they are scores.
    """

    group: str
    heading: str
    kind: Literal["number", "text"] = "number"
    key: str = ""
    dataset: str = ""
    metric: str = ""

    @property
    def flat_heading(self) -> str:
        """The heading for formats without groups of columns."""
        return f"{self.dataset or self.group} {self.heading}".strip()

    @property
    def name(self) -> str:
        """The name in CSV and JSON, e.g. ``SOD f_max``."""
        return self.key or f"{self.dataset} {self.metric}".strip() or self.flat_heading


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes
    ----------
    label : str
        The text of the first column, usually a method.
    cells : tuple of Cell
        One for each column.
    letter : str
        The letter by which superscripts refer to this row.
    published : bool
        Whether the numbers were printed in a paper, not measured here.
    key : str
        The label in CSV, if it is another one.
    source : str
        Where published numbers were printed.
    """

    label: str
    cells: tuple[Cell, ...]
    letter: str = ""
    published: bool = False
    key: str = ""
    source: str = ""


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Attributes
    ----------
    name : str
        The stem of its files, and its anchor on the page.
    title : str
        Its caption.
    columns : tuple of Column
    rows : tuple of Row
    notes : tuple of str
        Sentences printed below it; they explain the footnote marks, among other things.
    index_name : str
        The heading of the column of row labels.
    is_folded : bool
        Whether the page shows only its title until it is opened.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    index_name: str = "method"
    is_folded: bool = False

    @property
    def has_places(self) -> bool:
        """Whether any cell is marked as best, second or third."""
        return any(cell.place for row in self.rows for cell in row.cells)

    @property
    def annotated_groups(self) -> list[str]:
        """The groups whose heading is more than a dataset's name, e.g. ``ECSSD (160 of 1,000 images)``."""
        groups = [c.group for c in self.columns if c.dataset and c.group != c.dataset]
        return list(dict.fromkeys(groups))

    def frame(self) -> pd.DataFrame:
        """Return the numbers with all their digits and their marks.

        Returns
        -------
        pandas.DataFrame
            One row for each row of the table. A column of numbers is followed by its intervals' limits, places,
            significant wins and footnote marks if it has any, and the last column of a dataset by the protocol and
            the signature of its numbers.
        """
        data: dict[str, list[object]] = {}
        for i, column in enumerate(self.columns):
            cells = [row.cells[i] for row in self.rows]
            numbers = column.kind == "number"
            data[column.name] = [cell.value if numbers else cell.text for cell in cells]
            for name, values in self._details(cells).items():
                data[f"{column.name} {name}"] = values
            # after the last column of a dataset
            following = self.columns[i + 1 : i + 2]
            if column.dataset and not (following and following[0].dataset == column.dataset):
                data |= self._provenance(column.dataset)
        index = pd.Index([row.key or row.label for row in self.rows], name=self.index_name)
        return pd.DataFrame(data, index=index)

    def _details(self, cells: Sequence[Cell]) -> dict[str, list[object]]:
        """The additional CSV columns of a column: those in which any cell has something."""
        columns: dict[str, list[object]] = {
            "low": [c.low if np.isfinite(c.low) else "" for c in cells],
            "high": [c.high if np.isfinite(c.high) else "" for c in cells],
            "place": [c.place or "" for c in cells],
            "better than": [self.better_than(c) for c in cells],
            "mark": [c.mark for c in cells],
        }
        return {name: values for name, values in columns.items() if any(v != "" for v in values)}

    def _provenance(self, dataset: str) -> dict[str, list[object]]:
        """The protocol and the signature of each row's numbers on a dataset."""
        columns = [i for i, column in enumerate(self.columns) if column.dataset == dataset]
        signatures = [
            next((row.cells[i].signature for i in columns if row.cells[i].signature), "")
            for row in self.rows
        ]
        # published numbers have no signature, and a table of these alone no column for it
        if not any(signatures):
            return {}
        protocols = [Signature.parse(s).protocol if s else "" for s in signatures]
        return {f"{dataset} protocol": [*protocols], f"{dataset} signature": [*signatures]}

    def _repr_html_(self) -> str:
        """How a notebook shows it: the numbers as printed."""
        headings = [column.flat_heading for column in self.columns]
        rows = [[cell.text for cell in row.cells] for row in self.rows]
        frame = pd.DataFrame(rows, columns=headings, index=[row.label for row in self.rows])
        return str(frame.to_html(escape=True))

    def better_than(self, cell: Cell) -> str:
        """Return the methods that a cell's superscript names; the superscript itself if rows have no letters.

        Returns
        -------
        str
            Separated by ``; ``.
        """
        names = {row.letter: row.label for row in self.rows if row.letter}
        return "; ".join(names.get(c, c) for c in cell.wins) if names else cell.wins

    def split(self, max_width: int) -> tuple["Table", ...]:
        """Split a wide table into parts of whole groups of columns.

        Parameters
        ----------
        max_width : int
            Characters that a part may be wide; a single wider group is not split.

        Returns
        -------
        tuple of Table
            At least one; the notes go with the last part.
        """
        parts: list[list[int]] = []
        used = 0
        for _, members in _column_groups(self.columns):
            width = sum(self._width(i) for i in members)
            if parts and used + width <= max_width:
                parts[-1] += members
                used += width
            else:
                parts.append(list(members))
                used = width
        if len(parts) <= 1:
            return (self,)
        return tuple(
            replace(
                self,
                name=f"{self.name}-{number}",
                columns=tuple(self.columns[i] for i in part),
                rows=tuple(replace(r, cells=tuple(r.cells[i] for i in part)) for r in self.rows),
                notes=self.notes if number == len(parts) else (),
            )
            for number, part in enumerate(parts, 1)
        )

    def _width(self, column: int) -> int:
        texts = [row.cells[column].text for row in self.rows]
        return max(len(text) for text in (self.columns[column].heading, *texts)) + 2


def _column_groups(columns: Sequence[Column]) -> list[tuple[str, list[int]]]:
    """Neighbouring columns of one group, as (group, indices)."""
    groups: list[tuple[str, list[int]]] = []
    for i, column in enumerate(columns):
        if groups and column.group and groups[-1][0] == column.group:
            groups[-1][1].append(i)
        else:
            groups.append((column.group, [i]))
    return groups


def header_spans(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Return (group, number of columns) from left to right, for the first line of a two-line header.

    Returns
    -------
    list of (str, int)
    """
    return [(group, len(members)) for group, members in _column_groups(columns)]


# ---- numbers as they are printed ----------------------------------------------------------------


def format_score(value: float, digits: int = DIGITS) -> str:
    """Return a score with fixed digits; ``undefined`` for NaN.

    Parameters
    ----------
    value : float
    digits : int
        Number of decimals.

    Returns
    -------
    str
    """
    return "undefined" if np.isnan(value) else _with_minus(f"{value:.{digits}f}")


def format_difference(value: float, digits: int = DIGITS) -> str:
    """Return a difference with its sign, and without one if it is zero in these digits.

    Parameters
    ----------
    value : float
    digits : int
        Number of decimals.

    Returns
    -------
    str
    """
    text = f"{value:+.{digits}f}"
    # "-0.000" would claim a difference that is not printed
    return text[1:] if float(text) == 0 else _with_minus(text)


def format_p_value(p: float) -> str:
    """Return a p-value with three digits; a dash for NaN.

    Returns
    -------
    str
    """
    return NO_VALUE if np.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _with_minus(text: str) -> str:
    """A printed number with a minus sign in place of the hyphen; no sign before a zero."""
    if not text.startswith("-"):
        return text
    return text[1:] if float(text) == 0 else f"−{text[1:]}"


def rank_marks(values: Sequence[float], direction: int, digits: int = DIGITS) -> list[int]:
    """Find the best three values *as printed*.

    Parameters
    ----------
    values : sequence of float
        NaN has no place.
    direction : int
        +1 if higher is better, -1 if lower is; 0: there are no places.
    digits : int
        How many decimals are printed.

    Returns
    -------
    list of int
        1, 2, 3 for best, second and third, otherwise 0. Values that are printed alike share a place and use up the
        following ones (1, 1, 3): a method that two others beat is not second. The last one is never marked: of two
        values only the best is, of three the first two.
    """
    rounded = np.round(np.asarray(values, float), digits) * (1 if direction > 0 else -1)
    ranked = int(np.isfinite(rounded).sum())
    if direction == 0 or ranked < 2:
        return [0] * len(rounded)
    places = [int((rounded > v).sum()) + 1 if np.isfinite(v) else 0 for v in rounded]
    return [place if place <= min(3, ranked - 1) else 0 for place in places]


def method_letters(methods: Sequence[str]) -> dict[str, str]:
    """Return a letter for each method, a to j; empty ones for more than ten methods, because so many could not be read.

    Returns
    -------
    dict
    """
    if not 2 <= len(methods) <= 10:
        return dict.fromkeys(methods, "")
    return {method: chr(ord("a") + i) for i, method in enumerate(methods)}
