"""Tables as values: what stands in each cell and how it is marked, before any markup.

A :class:`Table` is rendered by :mod:`~sodbench.reports.markdown`, :mod:`~sodbench.reports.latex` and the
HTML page; :meth:`Table.frame` gives the bare numbers, all digits, for CSV and JSON.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from sodbench.reports.measures import Measure
from sodbench.reports.resampling import Floats
from sodbench.reports.statistics import Interval, average_ranks
from sodbench.reports.study import Breakdown

DIGITS = 3
ABSENT = "–"


@dataclass(frozen=True)
class Cell:
    """One entry.

    text: as printed; value: the number with all its digits (NaN where there is none);
    place: 1, 2, 3 for best, second, third, else 0; wins: the letters of the methods this one beats
    significantly; mark: a footnote mark.
    """

    text: str = ABSENT
    value: float = float("nan")
    place: int = 0
    wins: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Column:
    """A column: its group (a data set, or nothing), its heading, its kind for alignment."""

    group: str
    heading: str
    kind: Literal["number", "text"] = "number"

    @property
    def flat(self) -> str:
        """One line for formats without grouped headings."""
        return f"{self.group} {self.heading}".strip()


@dataclass(frozen=True)
class Row:
    """A row: its label, the letter by which superscripts refer to it, and its cells.

    published: the numbers were printed in a paper, not measured here.
    """

    label: str
    cells: tuple[Cell, ...]
    letter: str = ""
    published: bool = False


@dataclass(frozen=True)
class Table:
    """A table: ``name`` is its file's stem; ``notes`` stand below it, the marks' meanings among them."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    corner: str = "method"

    def frame(self) -> pd.DataFrame:
        """The numbers, all digits (the text where a column holds text); one row a method."""
        data = {
            column.flat: [
                row.cells[i].value if column.kind == "number" else row.cells[i].text
                for row in self.rows
            ]
            for i, column in enumerate(self.columns)
        }
        index = pd.Index([row.label for row in self.rows], name=self.corner)
        return pd.DataFrame(data, index=index)

    def _width(self, column: int) -> int:
        texts = [row.cells[column].text for row in self.rows]
        return max(len(text) for text in (self.columns[column].heading, *texts)) + 2

    def split(self, widest: int) -> tuple["Table", ...]:
        """The same table in parts of whole groups, each at most ``widest`` characters wide if possible."""
        parts: list[list[int]] = []
        used = 0
        for _, members in _groups(self.columns):
            wide = sum(self._width(i) for i in members)
            if parts and used + wide <= widest:
                parts[-1] += members
                used += wide
            else:
                parts.append(list(members))
                used = wide
        if len(parts) <= 1:
            return (self,)
        return tuple(
            Table(
                f"{self.name}-{number}",
                self.title,
                tuple(self.columns[i] for i in part),
                tuple(
                    Row(r.label, tuple(r.cells[i] for i in part), r.letter, r.published)
                    for r in self.rows
                ),
                self.notes if number == len(parts) else (),
                self.corner,
            )
            for number, part in enumerate(parts, 1)
        )


def _groups(columns: Sequence[Column]) -> list[tuple[str, list[int]]]:
    """Neighbouring columns of one group, as (group, indices)."""
    groups: list[tuple[str, list[int]]] = []
    for i, column in enumerate(columns):
        if groups and column.group and groups[-1][0] == column.group:
            groups[-1][1].append(i)
        else:
            groups.append((column.group, [i]))
    return groups


def spans(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """(group, number of columns) from left to right, for a first header line."""
    return [(group, len(members)) for group, members in _groups(columns)]


# ---- marks ------------------------------------------------------------------------------------


def printed(value: float, digits: int = DIGITS) -> str:
    """A score as it is printed: fixed digits; ``undefined`` for NaN."""
    return "undefined" if np.isnan(value) else f"{value:.{digits}f}"


def places(values: Sequence[float], direction: int, digits: int = DIGITS) -> list[int]:
    """1, 2, 3 for the best three *as printed*, 0 for the rest.

    Equal printed values share a place and use up the following ones (1, 1, 3): nobody is called second
    whom two beat.  The last of few is not marked: of two values only the best is, of three the first two.
    NaN has no place, and nobody has one where ``direction`` is 0.
    """
    shown = np.round(np.asarray(values, float), digits) * (1 if direction > 0 else -1)
    if direction == 0 or np.isfinite(shown).sum() < 2:
        return [0] * len(shown)
    found = [int((shown > v).sum()) + 1 if np.isfinite(v) else 0 for v in shown]
    marked = min(3, int(np.isfinite(shown).sum()) - 1)
    return [place if place <= marked else 0 for place in found]


def letters(methods: Sequence[str]) -> dict[str, str]:
    """A letter for each method, a..z; empty where there are more methods than letters can be read (10)."""
    if not 2 <= len(methods) <= 10:
        return dict.fromkeys(methods, "")
    return {method: chr(ord("a") + i) for i, method in enumerate(methods)}


def pairs(values: pd.DataFrame) -> list[tuple[str, str]]:
    """The columns of a frame of scores, as (data set, measure name)."""
    return [(str(column[0]), str(column[1])) for column in values.columns]


# ---- the tables of a report -------------------------------------------------------------------


def score_table(
    values: pd.DataFrame,
    measures: Sequence[Measure],
    *,
    present: Collection[tuple[str, str]] = (),
    beaten: Mapping[tuple[str, str, str], Sequence[str]] | None = None,
    marks: Mapping[tuple[str, str], str] | None = None,
    notes: Sequence[str] = (),
    title: str = "Scores",
) -> Table:
    """Methods x (data set, measure), best three marked, with each method's mean rank.

    values: index methods, columns (data set, measure name); NaN where there is no result or where the
    measure is undefined; ``present`` lists the (method, data set) that have a result, to tell the two apart.
    beaten: for (method, data set, measure) the methods it beats significantly.
    marks: for (method, data set) a footnote mark.
    """
    by_name = {m.name: m for m in measures}
    letter = letters(list(values.index))
    columns, cells = [], dict[str, list[Cell]]((str(m), []) for m in values.index)
    for dataset, name in pairs(values):
        measure = by_name[name]
        columns.append(Column(dataset, measure.heading))
        scores = values[(dataset, name)].to_numpy(float)
        for method, score, place in zip(
            values.index, scores, places(list(scores), measure.direction), strict=True
        ):
            rivals = (beaten or {}).get((method, dataset, name), ())
            cells[method].append(
                Cell(
                    ABSENT
                    if np.isnan(score) and (method, dataset) not in present
                    else printed(score),
                    float(score),
                    place,
                    _superscript(rivals, letter, len(values)),
                    (marks or {}).get((method, dataset), ""),
                )
            )
    ranks = mean_ranks(values, measures)
    if ranks is not None:
        columns.append(Column("", "mean rank ↓"))
        for method, rank, place in zip(
            values.index, ranks, places(list(ranks), -1, digits=2), strict=True
        ):
            cells[method].append(
                Cell(ABSENT if np.isnan(rank) else f"{rank:.2f}", float(rank), place)
            )
    rows = tuple(Row(m, tuple(cells[m]), letter[m]) for m in values.index)
    return Table("scores", title, tuple(columns), rows, tuple(notes))


def _superscript(rivals: Sequence[str], letter: Mapping[str, str], methods: int) -> str:
    """The rivals' letters; with more methods than letters, how many were beaten."""
    if not rivals:
        return ""
    if all(letter.get(rival) for rival in rivals):
        return "".join(sorted(letter[rival] for rival in rivals))
    return str(len(rivals))


def mean_ranks(values: pd.DataFrame, measures: Sequence[Measure]) -> Floats | None:
    """Each method's rank, averaged over all (data set, measure) columns in which it has a score.

    Ranks use all digits; equal values share their mean rank.  None with fewer than two methods.
    """
    if len(values) < 2:
        return None
    higher = {m.name: m.higher for m in measures if m.direction}
    ranks = [
        average_ranks(values[column].to_numpy(float)[None], higher[column[1]])[0]
        for column in values.columns
        if column[1] in higher
    ]
    if not ranks:
        return None
    stacked = np.array(ranks)
    counted = np.isfinite(stacked).sum(axis=0)
    with np.errstate(invalid="ignore"):
        means = np.nansum(stacked, axis=0) / np.where(counted, counted, np.nan)
    return np.asarray(means, float)


def rank_table(values: pd.DataFrame, measures: Sequence[Measure]) -> Table | None:
    """Methods x measures: the rank averaged over data sets; None with fewer than two methods."""
    if len(values) < 2:
        return None
    columns, cells = [], [list[Cell]() for _ in values.index]
    for measure in (m for m in measures if m.direction):
        chosen = values.loc[:, values.columns.get_level_values(1) == measure.name]
        ranks = mean_ranks(chosen, [measure])
        if ranks is None:
            continue
        columns.append(Column("", measure.label))
        for row, rank, place in zip(cells, ranks, places(list(ranks), -1, 2), strict=True):
            row.append(Cell(ABSENT if np.isnan(rank) else f"{rank:.2f}", float(rank), place))
    rows = tuple(Row(m, tuple(row)) for m, row in zip(values.index, cells, strict=True))
    note = "Rank 1 is best; averaged over the data sets on which the method has a score."
    return Table("ranks", "Mean rank over data sets", tuple(columns), rows, (note,))


def interval_table(
    intervals: Mapping[tuple[str, str, str], Interval],
    methods: Sequence[str],
    datasets: Sequence[str],
    measures: Sequence[Measure],
    notes: Sequence[str] = (),
) -> Table:
    """Methods x (data set, measure): the value with its interval, e.g. ``0.844 [0.828, 0.860]``."""
    columns = tuple(Column(d, m.heading) for d in datasets for m in measures)
    rows = tuple(
        Row(
            method,
            tuple(
                _interval_cell(intervals.get((method, d, m.name)))
                for d in datasets
                for m in measures
            ),
        )
        for method in methods
    )
    return Table("intervals", "Bootstrap intervals (95 %)", columns, rows, tuple(notes))


def _interval_cell(found: Interval | None) -> Cell:
    if found is None or np.isnan(found.value):
        return Cell()
    return Cell(
        f"{printed(found.value)} [{printed(found.low)}, {printed(found.high)}]", found.value
    )


def breakdown_table(
    of: Breakdown, methods: Sequence[str], datasets: Sequence[str], measure: Measure, few: int
) -> Table:
    """Methods x (data set, group of images); groups of fewer than ``few`` images carry no marks of place."""
    columns, cells = [], {m: list[Cell]() for m in methods}
    small = False
    for dataset in (d for d in datasets if d in of.images):
        for i, (group, images) in enumerate(zip(of.groups, of.images[dataset], strict=True)):
            columns.append(Column(dataset, f"{group}, n = {images}"))
            found = [of.values.get((m, dataset), (None,) * len(of.groups))[i] for m in methods]
            scores = [x.value if x else float("nan") for x in found]
            small |= 0 < images < few
            ranked = places(scores, measure.direction) if images >= few else [0] * len(scores)
            for method, score, place in zip(methods, scores, ranked, strict=True):
                text = ABSENT if np.isnan(score) else printed(score)
                cells[method].append(Cell(text, score, place))
    rows = tuple(Row(m, tuple(cells[m])) for m in methods)
    note = f"Groups of fewer than {few} images are too small to rank methods by; they have no interval either."
    title = f"{measure.title} by {of.attribute}"
    name = "by_" + "_".join(of.attribute.split())
    return Table(name, title, tuple(columns), rows, (note,) if small else ())


def difference_table(
    values: pd.DataFrame,
    measures: Sequence[Measure],
    baseline: str,
    significant: Iterable[tuple[str, str, str]] = (),
) -> Table:
    """Each method's scores minus the baseline's; ``*`` where the difference is significant."""
    known = set(significant)
    by_name = {m.name: m for m in measures}
    columns = tuple(Column(d, by_name[name].heading) for d, name in pairs(values))
    rows = []
    for method in (m for m in values.index if m != baseline):
        change = values.loc[method] - values.loc[baseline]
        cells = tuple(
            Cell()
            if np.isnan(v)
            else Cell(f"{v:+.{DIGITS}f}", float(v), wins="*" if (method, d, name) in known else "")
            for (d, name), v in zip(pairs(values), change, strict=True)
        )
        rows.append(Row(method, cells))
    note = (
        "* differs from the baseline at the 5 % level (paired bootstrap, Holm-corrected over all "
        "pairs of methods). Where the arrow points down, a negative difference is an improvement."
    )
    return Table("differences", f"Difference to {baseline}", columns, tuple(rows), (note,))


def text_table(
    name: str,
    title: str,
    frame: pd.DataFrame,
    notes: Sequence[str] = (),
    corner: str = "method",
) -> Table:
    """A table from a frame whose entries are texts or numbers, printed as they are."""
    columns = tuple(
        Column("", str(c), "number" if pd.api.types.is_numeric_dtype(frame[c]) else "text")
        for c in frame.columns
    )
    rows = tuple(
        Row(
            str(label),
            tuple(_plain_cell(v, c.kind) for v, c in zip(values, columns, strict=True)),
        )
        for label, values in zip(frame.index, frame.itertuples(index=False, name=None), strict=True)
    )
    return Table(name, title, columns, rows, tuple(notes), corner)


def _plain_cell(value: object, kind: str) -> Cell:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return Cell()
    if kind == "text":
        return Cell(str(value))
    number = float(value)  # type: ignore[arg-type]
    return Cell(f"{number:,.4g}" if abs(number) < 1000 else f"{number:,.0f}", number)


def with_published(
    table: Table, rows: Sequence[Row], evaluators: Sequence[str], notes: Sequence[str]
) -> Table:
    """The table with published rows below its own, and a last column that names each row's evaluator.

    rows: published rows with as many cells as ``table`` has columns, their last one the evaluator; evaluators: those of the
    table's own rows.
    """
    own = tuple(
        Row(row.label, (*row.cells, Cell(evaluator)), row.letter)
        for row, evaluator in zip(table.rows, evaluators, strict=True)
    )
    return Table(
        table.name,
        table.title,
        (*table.columns, Column("", "evaluator", "text")),
        (*own, *rows),
        (*table.notes, *notes),
        table.corner,
    )
