"""The table of scores with its marks and footnotes, and the tables of ranks."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sodbench.metrics.arrays import Floats
from sodbench.metrics.catalogue import Metric
from sodbench.metrics.statistics.ranking import average_ranks
from sodbench.metrics.statistics.significance import ALPHA_TEXT
from sodbench.reports.analysis import Analysis
from sodbench.reports.comparability import (
    EVERYWHERE,
    NOT_COMPARED,
    VERSION_FIELD,
    Comparable,
    Key,
    Ranking,
    differing_fields,
    find_comparable,
    signature_fields,
)
from sodbench.reports.tables import (
    DIGITS,
    NO_VALUE,
    Cell,
    Column,
    Row,
    Table,
    format_score,
    method_letters,
    rank_marks,
)
from sodbench.results import Signature

FOOTNOTE_MARKS = "†‡§¶‖"
# How these notes begin
SUPERSCRIPT_NOTE = "A superscript names "
RANK_NOTE = "Mean rank: "


# ---- scores and their footnotes -----------------------------------------------------------------


def method_table(
    analysis: Analysis,
    name: str,
    title: str,
    columns: Sequence[Column],
    make_cell: Callable[[str, Column], Cell],
    *notes: str,
) -> Table:
    """Make a table with a row for each method.

    Parameters
    ----------
    analysis : Analysis
    name, title, columns
        See `Table`.
    make_cell : callable
        Returns the cell of a method and a column.
    *notes : str
        Printed below the table.

    Returns
    -------
    Table
    """
    rows = tuple(Row(m, tuple(make_cell(m, c) for c in columns)) for m in analysis.methods)
    return Table(name, title, tuple(columns), rows, notes)


def score_columns(analysis: Analysis) -> list[Column]:
    """Return a column for every metric on every dataset.

    Returns
    -------
    list of Column
    """
    return [
        Column(heading, metric.heading, dataset=dataset, metric=metric.name)
        for dataset, heading in analysis.headings.items()
        for metric in analysis.metrics
    ]


def signature_of(analysis: Analysis, method: str, dataset: str) -> str:
    """Return the signature of a result as text; empty if there is none.

    Returns
    -------
    str
    """
    result = analysis.results.get((method, dataset))
    return str(result.signature) if result else ""


def number_cell(value: float, mark: str = "", digits: int = DIGITS) -> Cell:
    """Return the cell of a number.

    Parameters
    ----------
    value : float
        NaN is shown as a dash.
    mark : str
        A footnote mark.
    digits : int
        Decimals.

    Returns
    -------
    Cell
    """
    return Cell() if np.isnan(value) else Cell(format_score(value, digits), float(value), mark=mark)


def score_table(analysis: Analysis, digits: int = DIGITS) -> Table:
    """Make the table of scores, with the best three marked and each method's mean rank.

    Parameters
    ----------
    analysis : Analysis
        Only methods that it ranks on a dataset have places there.
    digits : int
        Decimals; places are those of the numbers as printed.

    Returns
    -------
    Table
        Methods x (dataset, metric). Superscripts name the methods that one beats significantly, footnote marks the
        results that were made in another way than the others. An undefined metric differs from a missing result.
    """
    signatures = {key: result.signature for key, result in analysis.results.items()}
    marks, notes = signature_marks(signatures, analysis.comparable)
    letters = method_letters(analysis.methods)
    wins, places = analysis.wins_over(), _score_places(analysis, digits)

    def make_cell(method: str, column: Column) -> Cell:
        key = method, column.dataset, column.metric
        value = float(analysis.values.loc[method, key[1:]])
        signature = signature_of(analysis, method, column.dataset)
        return Cell(
            NO_VALUE if np.isnan(value) and not signature else format_score(value, digits),
            value,
            places[key],
            superscript(wins.get(key, ()), letters),
            marks.get(key[:2], ""),
            signature=signature,
        )

    columns = score_columns(analysis)
    table = method_table(analysis, "scores", "Scores", columns, make_cell)
    rows = [replace(row, letter=letters[row.label]) for row in table.rows]
    ranks = mean_ranks(analysis.values, analysis.metrics, analysis.ranking)
    if ranks is not None:
        columns.append(Column("", "mean rank ↓", key="mean_rank"))
        cells = zip(rows, _rank_cells(ranks.ranks), strict=True)
        rows = [replace(row, cells=(*row.cells, cell)) for row, cell in cells]
        notes.append(_rank_note(ranks, analysis))
    if any(c.tested for c in analysis.comparisons):
        notes.insert(0, superscript_note(analysis, letters))
    return replace(table, columns=tuple(columns), rows=tuple(rows), notes=tuple(notes))


def _score_places(analysis: Analysis, digits: int) -> dict[tuple[str, str, str], int]:
    """The place of each (method, dataset, metric) among the methods that are ranked on the dataset."""
    ranked = analysis.ranked
    places = {}
    for dataset in analysis.datasets:
        for metric in analysis.metrics:
            scores = analysis.values[(dataset, metric.name)]
            comparable = scores.where(scores.index.isin(ranked.get(dataset, ())))
            marks = rank_marks(list(comparable.to_numpy(float)), metric.sign, digits)
            for method, place in zip(analysis.methods, marks, strict=True):
                places[method, dataset, metric.name] = place
    return places


def superscript(rivals: Sequence[str], letters: Mapping[str, str]) -> str:
    """Return the rivals' letters; with more methods than letters, how many were beaten.

    Parameters
    ----------
    rivals : sequence of str
    letters : mapping of str to str
        By method, see `method_letters`.

    Returns
    -------
    str
    """
    if all(letters[rival] for rival in rivals):
        return "".join(sorted(letters[rival] for rival in rivals))
    return str(len(rivals))


def superscript_note(
    analysis: Analysis, letters: Mapping[str, str], family: str = "pairs of methods in the column"
) -> str:
    """Return the note that explains superscripts.

    Parameters
    ----------
    analysis : Analysis
    letters : mapping of str to str
        By method, see `method_letters`.
    family : str
        What Holm's correction is over.

    Returns
    -------
    str
    """
    has_letters = letters[analysis.methods[0]] != ""
    what = "the methods" if has_letters else "the number of methods"
    return (
        f"{SUPERSCRIPT_NOTE}{what} that this one is significantly better than (paired bootstrap over images, "
        f"{analysis.resamples} resamples, {ALPHA_TEXT} level, Holm-corrected over all compared {family})."
    )


def signature_marks(
    signatures: Mapping[Key, Signature], comparable: Comparable | None = None
) -> tuple[dict[Key, str], list[str]]:
    """Find the results that were made in another way than the others.

    Parameters
    ----------
    signatures : mapping
        By (method, dataset). Protocol, rule for masks and version should be the same on all datasets, everything
        else within a dataset.
    comparable : Comparable, optional
        What may be compared; by default derived from the signatures alone.

    Returns
    -------
    marks : dict
        A footnote mark for each such (method, dataset).
    notes : list of str
        The footnotes.
    """
    comparable = comparable or find_comparable(signatures)
    shared = [tuple(signature_fields(s, only=EVERYWHERE).items()) for s in signatures.values()]
    everywhere = dict(Counter(shared).most_common(1)[0][0])
    marks: dict[Key, str] = {}
    notes: dict[str, str] = {}
    for (method, dataset), signature in signatures.items():
        differences = [
            *differing_fields(signature_fields(signature, only=EVERYWHERE), everywhere),
            *differing_fields(
                signature_fields(signature, without=EVERYWHERE),
                signature_fields(comparable.usual[dataset], without=EVERYWHERE),
            ),
        ]
        excluded = not comparable.has(method, dataset) and bool(comparable.compared[dataset])
        if excluded and not differences:
            differences = [comparable.reasons[method, dataset]]
        if not differences:
            continue
        what = "was made in another way"
        if excluded:
            what += f" and is {NOT_COMPARED} with the others"
        elif all(d.startswith(f"{VERSION_FIELD}:") for d in differences):
            what = "was made by another version"
        note = f"{what}: {'; '.join(differences)}."
        if note not in notes:
            number = len(notes)
            notes[note] = FOOTNOTE_MARKS[number : number + 1] or f"#{number + 1}"
        marks[method, dataset] = notes[note]
    return marks, [f"{mark} {note}" for note, mark in notes.items()]


# ---- ranks --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MeanRanks:
    """Mean ranks and what they are averaged over.

    Attributes
    ----------
    ranks : float64 [methods]
        NaN for a method that is not ranked.
    columns : tuple
        The (dataset, metric name) whose ranks are averaged.
    """

    ranks: Floats
    columns: tuple[tuple[str, str], ...]

    @property
    def datasets(self) -> str:
        """The names of the datasets, for a note."""
        return ", ".join(dict.fromkeys(dataset for dataset, _ in self.columns))


def mean_ranks(
    values: pd.DataFrame, metrics: Sequence[Metric], ranking: Ranking
) -> MeanRanks | None:
    """Average each ranked method's ranks over the columns of the ranking's datasets.

    Parameters
    ----------
    values : pandas.DataFrame
        Methods x (dataset, metric name).
    metrics : sequence of Metric
        Those without a direction, and columns of other metrics, are left out.
    ranking : Ranking
        The methods to rank, and the datasets.

    Returns
    -------
    MeanRanks or None
        None if there is nothing to rank. Ranks use all digits; equal values share their mean rank. A column in which
        a ranked method has no number is left out for all of them.
    """
    methods = list(ranking.methods)
    higher = {m.name: m.higher_is_better for m in metrics if m.sign}
    columns, ranks = [], []
    for column in values.columns:
        dataset, name = str(column[0]), str(column[1])
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


def _rank_note(ranks: MeanRanks, analysis: Analysis) -> str:
    labels = {m.name: m.label for m in analysis.metrics}
    names = ", ".join(dict.fromkeys(labels[name] for _, name in ranks.columns))
    ranked = analysis.ranking.methods
    without = [m for m in analysis.methods if m not in ranked]
    return (
        f"{RANK_NOTE}1 is best; over {names} on {ranks.datasets}, with ranks among the {len(ranked)} methods that "
        "have comparable results there." + f" Not compared: {', '.join(without)}." * bool(without)
    )


def _rank_cells(ranks: Floats) -> list[Cell]:
    places = rank_marks(list(ranks), -1, digits=2)
    return [
        Cell(NOT_COMPARED if np.isnan(rank) else f"{rank:.2f}", float(rank), place)
        for rank, place in zip(ranks, places, strict=True)
    ]


def rank_table(analysis: Analysis) -> Table | None:
    """Make the table of ranks averaged over the ranking's datasets, metric by metric; None if nothing is ranked.

    Returns
    -------
    Table or None
        Methods x metrics.
    """
    columns: list[Column] = []
    cells: list[list[Cell]] = [[] for _ in analysis.methods]
    datasets: dict[str, None] = {}
    for metric in analysis.metrics:
        ranks = mean_ranks(analysis.values, [metric], analysis.ranking)
        if ranks is None:
            continue
        datasets |= dict.fromkeys(dataset for dataset, _ in ranks.columns)
        columns.append(Column("", metric.label, key=f"mean_rank {metric.name}"))
        for row, cell in zip(cells, _rank_cells(ranks.ranks), strict=True):
            row.append(cell)
    if not columns:
        return None
    note = (
        f"Rank 1 is best; averaged over {', '.join(datasets)}, with ranks among the {len(analysis.ranking.methods)} "
        "methods that have comparable results on all of them."
    )
    rows = tuple(Row(m, tuple(row)) for m, row in zip(analysis.methods, cells, strict=True))
    return Table("ranks", "Mean rank over datasets", tuple(columns), rows, (note,))
