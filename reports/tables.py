"""Tables as values: the content of each cell and how it is marked, before any markup.

A :class:`Table` is rendered by :mod:`~sodbench.reports.markdown`, :mod:`~sodbench.reports.latex` and the
HTML page; :meth:`Table.frame` gives the numbers with all their digits and marks, for CSV.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from sodbench.metrics.catalogue import Metric
from sodbench.metrics.statistics.bootstrap import Floats, Interval
from sodbench.metrics.statistics.ranking import average_ranks
from sodbench.reports.analysis import Breakdown
from sodbench.reports.comparability import NOT_COMPARED, Key, Ranking, signature_fields

DIGITS = 3
NO_VALUE = "–"


@dataclass(frozen=True)
class Cell:
    """One entry.

    text: as printed; value: the number with all its digits (NaN where there is none); low, high: its interval's limits.
    place: 1, 2, 3 for best, second, third, else 0; wins: the letters of the methods this one beats
    significantly; mark: a footnote mark; signature: how the number was made.
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
    """A column: its group (a dataset, or nothing), its heading, its kind for alignment.

    key: its name in CSV and JSON, e.g. ``SOD f_max``, where the headings have arrows and remarks; dataset, metric: what
    its numbers are, where they are scores.
    """

    group: str
    heading: str
    kind: Literal["number", "text"] = "number"
    key: str = ""
    dataset: str = ""
    metric: str = ""

    @property
    def flat_heading(self) -> str:
        """One line for formats without grouped headings, which print :meth:`Table.annotated_groups` once instead."""
        return f"{self.dataset or self.group} {self.heading}".strip()

    @property
    def name(self) -> str:
        """The name in CSV and JSON."""
        return self.key or f"{self.dataset} {self.metric}".strip() or self.flat_heading


def score_column(dataset: str, metric: Metric, headings: Mapping[str, str] | None = None) -> Column:
    """The column of one metric on one dataset; headings: what to print for a dataset."""
    group = (headings or {}).get(dataset, dataset)
    return Column(group, metric.heading, dataset=dataset, metric=metric.name)


@dataclass(frozen=True)
class Row:
    """A row: its label, the letter by which superscripts refer to it, and its cells.

    published: the numbers were printed in a paper, not measured here; key: the label in CSV, where it is another one.
    """

    label: str
    cells: tuple[Cell, ...]
    letter: str = ""
    published: bool = False
    key: str = ""


@dataclass(frozen=True)
class Table:
    """A table: ``name`` is its file's stem; ``notes`` are printed below it, the marks' meanings among them."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    index_name: str = "method"

    def frame(self) -> pd.DataFrame:
        """The numbers with all their digits and their marks (the text where a column holds text); one row a method.

        Behind a column come its intervals' limits, places, significant wins and footnote marks where it has any, and
        behind the columns of a dataset the protocol and signature of its numbers.
        """
        data: dict[str, list[object]] = {}
        for i, column in enumerate(self.columns):
            cells = [row.cells[i] for row in self.rows]
            numbers = column.kind == "number"
            data[column.name] = [cell.value if numbers else cell.text for cell in cells]
            for name, values in self._beside(cells).items():
                data[f"{column.name} {name}"] = values
            following = self.columns[i + 1 : i + 2]
            if column.dataset and not (following and following[0].dataset == column.dataset):
                data |= self._made(column.dataset)
        index = pd.Index([row.key or row.label for row in self.rows], name=self.index_name)
        return pd.DataFrame(data, index=index)

    def _beside(self, cells: Sequence[Cell]) -> dict[str, list[object]]:
        """The further CSV columns of a column: those for which any cell has something."""
        columns: dict[str, list[object]] = {
            "low": [c.low if np.isfinite(c.low) else "" for c in cells],
            "high": [c.high if np.isfinite(c.high) else "" for c in cells],
            "place": [c.place or "" for c in cells],
            "better than": [self.better_than(c) for c in cells],
            "mark": [c.mark for c in cells],
        }
        return {
            name: values for name, values in columns.items() if any(value != "" for value in values)
        }

    @property
    def annotated_groups(self) -> list[str]:
        """The groups whose heading is more than the dataset's name, e.g. ``ECSSD (160 of 1,000 images)``."""
        groups = [c.group for c in self.columns if c.dataset and c.group != c.dataset]
        return list(dict.fromkeys(groups))

    def better_than(self, cell: Cell) -> str:
        """The methods that a cell's letters name; the letters themselves where they name none."""
        names = {row.letter: row.label for row in self.rows if row.letter}
        return "; ".join(names.get(c, c) for c in cell.wins) if names else cell.wins

    def _made(self, dataset: str) -> dict[str, list[object]]:
        """The protocol and signature of each row's numbers on a dataset."""
        columns = [i for i, column in enumerate(self.columns) if column.dataset == dataset]
        signatures = [
            next((row.cells[i].signature for i in columns if row.cells[i].signature), "")
            for row in self.rows
        ]
        if not any(signatures):
            return {}
        protocols = [signature_fields(s).get("protocol", "") for s in signatures]
        return {f"{dataset} protocol": [*protocols], f"{dataset} signature": [*signatures]}

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
                tuple(replace(r, cells=tuple(r.cells[i] for i in part)) for r in self.rows),
                self.notes if number == len(parts) else (),
                self.index_name,
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


def header_spans(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """(group, number of columns) from left to right, for a first header line."""
    return [(group, len(members)) for group, members in _groups(columns)]


# ---- marks ------------------------------------------------------------------------------------


def format_score(value: float, digits: int = DIGITS) -> str:
    """A score as it is printed: fixed digits; ``undefined`` for NaN."""
    return "undefined" if np.isnan(value) else _minus(f"{value:.{digits}f}")


def format_difference(value: float, digits: int = DIGITS) -> str:
    """A difference as it is printed: with its sign, and without one where it is zero in these digits."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else _minus(text)


def _minus(text: str) -> str:
    """A printed number with a minus sign in place of the hyphen; no sign before a zero."""
    if not text.startswith("-"):
        return text
    return text[1:] if float(text) == 0 else f"−{text[1:]}"


def rank_marks(values: Sequence[float], direction: int, digits: int = DIGITS) -> list[int]:
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


def method_letters(methods: Sequence[str]) -> dict[str, str]:
    """A letter for each method, a..z; empty where there are more methods than letters can be read (10)."""
    if not 2 <= len(methods) <= 10:
        return dict.fromkeys(methods, "")
    return {method: chr(ord("a") + i) for i, method in enumerate(methods)}


def score_columns(values: pd.DataFrame) -> list[tuple[str, str]]:
    """The columns of a frame of scores, as (dataset, metric name)."""
    return [(str(column[0]), str(column[1])) for column in values.columns]


# ---- the tables of a report -------------------------------------------------------------------


def score_table(
    values: pd.DataFrame,
    metrics: Sequence[Metric],
    *,
    compared: Mapping[str, Collection[str]],
    ranking: Ranking,
    beaten: Mapping[tuple[str, str, str], Sequence[str]] | None = None,
    marks: Mapping[Key, str] | None = None,
    signatures: Mapping[Key, str] | None = None,
    headings: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    title: str = "Scores",
) -> Table:
    """Methods x (dataset, metric), best three marked, with each method's mean rank.

    values: index methods, columns (dataset, metric name); NaN where there is no result or where the metric is undefined.
    compared: for each dataset the methods that may be compared, see :mod:`sodbench.reports.comparability`; only these
    have places.  ranking: the methods and datasets of the mean ranks.
    beaten: for (method, dataset, metric) the methods it beats significantly.
    marks, signatures: for (method, dataset) a footnote mark, and how the numbers were made; the latter tells a result
    with an undefined metric from no result.  headings: what to print for a dataset.
    """
    by_name = {m.name: m for m in metrics}
    letter = method_letters(list(values.index))
    columns, cells = [], dict[str, list[Cell]]((str(m), []) for m in values.index)
    for dataset, name in score_columns(values):
        metric = by_name[name]
        columns.append(score_column(dataset, metric, headings))
        scores = values[(dataset, name)]
        ranked = scores.where(scores.index.isin(list(compared.get(dataset, ()))))
        found = rank_marks(list(ranked.to_numpy(float)), metric.sign)
        for method, score, place in zip(values.index, scores.to_numpy(float), found, strict=True):
            rivals = (beaten or {}).get((method, dataset, name), ())
            signature = (signatures or {}).get((method, dataset), "")
            cells[method].append(
                Cell(
                    NO_VALUE if np.isnan(score) and not signature else format_score(score),
                    float(score),
                    place,
                    _superscript(rivals, letter, len(values)),
                    (marks or {}).get((method, dataset), ""),
                    signature=signature,
                )
            )
    ranks = mean_ranks(values, metrics, ranking)
    if ranks is not None:
        columns.append(Column("", "mean rank ↓", key="mean_rank"))
        for method, cell in zip(values.index, _rank_cells(ranks.ranks), strict=True):
            cells[method].append(cell)
        notes = [*notes, ranks.note(by_name, ranking, list(values.index))]
    rows = tuple(Row(m, tuple(cells[m]), letter[m]) for m in values.index)
    return Table("scores", title, tuple(columns), rows, tuple(notes))


def _rank_cells(ranks: Floats) -> list[Cell]:
    return [
        Cell(NOT_COMPARED if np.isnan(rank) else f"{rank:.2f}", float(rank), place)
        for rank, place in zip(ranks, rank_marks(list(ranks), -1, digits=2), strict=True)
    ]


def _superscript(rivals: Sequence[str], letter: Mapping[str, str], methods: int) -> str:
    """The rivals' letters; with more methods than letters, how many were beaten."""
    if not rivals:
        return ""
    if all(letter.get(rival) for rival in rivals):
        return "".join(sorted(letter[rival] for rival in rivals))
    return str(len(rivals))


@dataclass(frozen=True)
class MeanRanks:
    """Mean ranks [methods], NaN for a method that is not ranked, and the (dataset, metric name) they are means over."""

    ranks: Floats
    columns: tuple[tuple[str, str], ...]

    def note(self, metrics: Mapping[str, Metric], ranking: Ranking, methods: Sequence[str]) -> str:
        """What the ranks are means over, and who has none."""
        datasets = ", ".join(dict.fromkeys(d for d, _ in self.columns))
        names = ", ".join(dict.fromkeys(metrics[n].label for _, n in self.columns))
        text = (
            f"Mean rank: 1 is best; over {names} on {datasets}, with ranks among the {len(ranking.methods)} methods that "
            "have comparable results there."
        )
        without = [m for m in methods if m not in ranking.methods]
        return text + f" Not compared: {', '.join(without)}." * bool(without)


def mean_ranks(
    values: pd.DataFrame, metrics: Sequence[Metric], ranking: Ranking
) -> MeanRanks | None:
    """Each ranked method's rank, averaged over the columns of the ranking's datasets.

    A column in which a ranked method has no number is left out for all of them. Ranks use all digits; equal values share
    their mean rank. None where there is nothing to rank.
    """
    methods = list(ranking.methods)
    higher = {m.name: m.higher_is_better for m in metrics if m.sign}
    columns, ranks = [], []
    for dataset, name in score_columns(values):
        if len(methods) < 2 or dataset not in ranking.datasets or name not in higher:
            continue
        scores = values.loc[methods, (dataset, name)].to_numpy(float)
        if np.isfinite(scores).all():
            columns.append((dataset, name))
            ranks.append(average_ranks(scores[None], higher[name])[0])
    if not ranks:
        return None
    means = pd.Series(np.mean(ranks, axis=0), index=methods)
    return MeanRanks(means.reindex(values.index).to_numpy(float), tuple(columns))


def rank_table(values: pd.DataFrame, metrics: Sequence[Metric], ranking: Ranking) -> Table | None:
    """Methods x metrics: the rank averaged over the ranking's datasets; None where there is nothing to rank."""
    columns, cells = [], [list[Cell]() for _ in values.index]
    used: list[tuple[str, str]] = []
    for metric in (m for m in metrics if m.sign):
        own = values.loc[:, values.columns.get_level_values(1) == metric.name]
        ranks = mean_ranks(own, [metric], ranking)
        if ranks is None:
            continue
        used += ranks.columns
        columns.append(Column("", metric.label, key=f"mean_rank {metric.name}"))
        for row, cell in zip(cells, _rank_cells(ranks.ranks), strict=True):
            row.append(cell)
    if not columns:
        return None
    rows = tuple(Row(m, tuple(row)) for m, row in zip(values.index, cells, strict=True))
    datasets = ", ".join(dict.fromkeys(d for d, _ in used))
    note = (
        f"Rank 1 is best; averaged over {datasets}, with ranks among the {len(ranking.methods)} methods that have "
        "comparable results on all of them."
    )
    return Table("ranks", "Mean rank over datasets", tuple(columns), rows, (note,))


def interval_table(
    intervals: Mapping[tuple[str, str, str], Interval],
    methods: Sequence[str],
    datasets: Sequence[str],
    metrics: Sequence[Metric],
    notes: Sequence[str] = (),
    *,
    headings: Mapping[str, str] | None = None,
    signatures: Mapping[Key, str] | None = None,
) -> Table:
    """Methods x (dataset, metric): the value with its interval, e.g. ``0.844 [0.828, 0.860]``."""
    columns = tuple(score_column(d, m, headings) for d in datasets for m in metrics)
    rows = tuple(
        Row(
            method,
            tuple(
                _interval_cell(
                    intervals.get((method, c.dataset, c.metric)),
                    (signatures or {}).get((method, c.dataset), ""),
                )
                for c in columns
            ),
        )
        for method in methods
    )
    return Table("intervals", "Bootstrap intervals (95 %)", columns, rows, tuple(notes))


def _interval_cell(found: Interval | None, signature: str) -> Cell:
    if found is None or np.isnan(found.value):
        return Cell(signature=signature)
    text = format_score(found.value)
    if np.isfinite(found.low):
        text += f" [{format_score(found.low)}, {format_score(found.high)}]"
    return Cell(text, found.value, low=found.low, high=found.high, signature=signature)


def breakdown_table(
    of: Breakdown,
    methods: Sequence[str],
    datasets: Sequence[str],
    metric: Metric,
    few: int,
    *,
    compared: Mapping[str, Collection[str]],
    headings: Mapping[str, str] | None = None,
    signatures: Mapping[Key, str] | None = None,
) -> Table:
    """Methods x (dataset, group of images); groups of fewer than ``few`` images carry no marks of place."""
    columns, cells = [], {m: list[Cell]() for m in methods}
    small = False
    for dataset in (d for d in datasets if d in of.images):
        ranked_here = compared.get(dataset, ())
        for i, (group, images) in enumerate(zip(of.groups, of.images[dataset], strict=True)):
            heading = f"{group}, n = {images}"
            name = (headings or {}).get(dataset, dataset)
            key = f"{dataset} {metric.name} {heading}"
            columns.append(Column(name, heading, key=key, dataset=dataset))
            found = [of.values.get((m, dataset), (None,) * len(of.groups))[i] for m in methods]
            small |= 0 < images < few
            scores = [x.value if x else float("nan") for x in found]
            ranked = [
                score if method in ranked_here and images >= few else float("nan")
                for method, score in zip(methods, scores, strict=True)
            ]
            for method, interval, place in zip(
                methods, found, rank_marks(ranked, metric.sign), strict=True
            ):
                signature = (signatures or {}).get((method, dataset), "")
                if interval is None or np.isnan(interval.value):
                    cells[method].append(Cell(signature=signature))
                    continue
                cells[method].append(
                    Cell(
                        format_score(interval.value),
                        interval.value,
                        place,
                        low=interval.low,
                        high=interval.high,
                        signature=signature,
                    )
                )
    rows = tuple(Row(m, tuple(cells[m])) for m in methods)
    note = f"Groups of fewer than {few} images are too small to rank methods by; they have no interval either."
    title = f"{metric.title} by {of.attribute}"
    name = "by_" + "_".join(of.attribute.split())
    return Table(name, title, tuple(columns), rows, (note,) if small else ())


def difference_table(
    values: pd.DataFrame,
    metrics: Sequence[Metric],
    baseline: str,
    significant: Iterable[tuple[str, str, str]] = (),
    *,
    compared: Mapping[str, Collection[str]],
    headings: Mapping[str, str] | None = None,
    signatures: Mapping[Key, str] | None = None,
) -> Table:
    """Each method's scores minus the baseline's where both may be compared; ``*`` where the difference is significant."""
    known = set(significant)
    by_name = {m.name: m for m in metrics}
    columns = tuple(score_column(d, by_name[name], headings) for d, name in score_columns(values))
    rows = []
    for method in (m for m in values.index if m != baseline):
        cells = []
        for dataset, name in score_columns(values):
            column = values[(dataset, name)]
            change = float(column[method] - column[baseline])
            signature = (signatures or {}).get((method, dataset), "")
            here = compared.get(dataset, ())
            if np.isnan(change):
                cells.append(Cell(signature=signature))
            elif method not in here or baseline not in here:
                cells.append(Cell(NOT_COMPARED, signature=signature))
            else:
                star = "*" if (method, dataset, name) in known else ""
                cells.append(
                    Cell(format_difference(change), change, wins=star, signature=signature)
                )
        rows.append(Row(method, tuple(cells)))
    note = (
        "* differs from the baseline at the 5 % level (paired bootstrap, Holm-corrected over all "
        "pairs of methods). Where the arrow points down, a negative difference is an improvement."
    )
    return Table("differences", f"Difference to {baseline}", columns, tuple(rows), (note,))


def table_from_frame(
    name: str,
    title: str,
    frame: pd.DataFrame,
    notes: Sequence[str] = (),
    index_name: str = "method",
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
    return Table(name, title, columns, rows, tuple(notes), index_name)


def _plain_cell(value: object, kind: str) -> Cell:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return Cell()
    if kind == "text":
        return Cell(str(value))
    number = float(value)  # type: ignore[arg-type]
    text = f"{number:,.4g}" if abs(number) < 1000 else f"{number:,.0f}"
    return Cell(text.replace("-", "−", 1) if number < 0 else text, number)


def with_published(
    table: Table, rows: Sequence[Row], evaluators: Sequence[str], notes: Sequence[str]
) -> Table:
    """The table with published rows below its own, and a last column that names each row's evaluator.

    rows: published rows with as many cells as ``table`` has columns, their last one the evaluator; evaluators: those of the
    table's own rows.
    """
    own = tuple(
        replace(row, cells=(*row.cells, Cell(evaluator)))
        for row, evaluator in zip(table.rows, evaluators, strict=True)
    )
    return Table(
        table.name,
        table.title,
        (*table.columns, Column("", "evaluator", "text")),
        (*own, *rows),
        (*table.notes, *notes),
        table.index_name,
    )
