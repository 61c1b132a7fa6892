"""The tables of a report, made from its analysis."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sodbench.metrics.arrays import Floats
from sodbench.metrics.catalogue import Metric
from sodbench.metrics.statistics.bootstrap import CONFIDENCE_TEXT, Interval
from sodbench.metrics.statistics.ranking import average_ranks
from sodbench.metrics.statistics.significance import ALPHA_TEXT, MIN_IMAGES
from sodbench.reports.analysis import Analysis, Breakdown
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
from sodbench.reports.compare import Comparison
from sodbench.reports.published import PublishedTable
from sodbench.reports.tables import (
    NO_VALUE,
    Cell,
    Column,
    Row,
    Table,
    format_difference,
    format_p_value,
    format_score,
    method_letters,
    rank_marks,
    table_from_frame,
)
from sodbench.results import Signature

FOOTNOTE_MARKS = "†‡§¶‖"
# a longer table of paired comparisons would not be read
MAX_PAIRS = 45


# ---- scores and their footnotes -----------------------------------------------------------------


def _method_table(
    analysis: Analysis,
    name: str,
    title: str,
    columns: Sequence[Column],
    make_cell: Callable[[str, Column], Cell],
    *notes: str,
) -> Table:
    """A table with a row for each method; ``make_cell`` gets the method and the column."""
    rows = tuple(Row(m, tuple(make_cell(m, c) for c in columns)) for m in analysis.methods)
    return Table(name, title, tuple(columns), rows, notes)


def _score_columns(analysis: Analysis) -> list[Column]:
    """A column for every metric on every dataset."""
    return [
        Column(heading, metric.heading, dataset=dataset, metric=metric.name)
        for dataset, heading in analysis.headings.items()
        for metric in analysis.metrics
    ]


def _signature(analysis: Analysis, method: str, dataset: str) -> str:
    result = analysis.results.get((method, dataset))
    return str(result.signature) if result else ""


def score_table(analysis: Analysis) -> Table:
    """Make the table of scores, with the best three marked and each method's mean rank.

    Parameters
    ----------
    analysis : Analysis
        Only methods that it ranks on a dataset have places there.

    Returns
    -------
    Table
        Methods x (dataset, metric). Superscripts name the methods that one beats significantly, footnote marks the
        results that were made in another way than the others. An undefined metric differs from a missing result.
    """
    signatures = {key: result.signature for key, result in analysis.results.items()}
    marks, notes = signature_marks(signatures, analysis.comparable)
    letters = method_letters(analysis.methods)
    wins, places = analysis.wins_over(), _score_places(analysis)

    def make_cell(method: str, column: Column) -> Cell:
        key = method, column.dataset, column.metric
        value = float(analysis.values.loc[method, key[1:]])
        signature = _signature(analysis, method, column.dataset)
        return Cell(
            NO_VALUE if np.isnan(value) and not signature else format_score(value),
            value,
            places[key],
            _superscript(wins.get(key, ()), letters),
            marks.get(key[:2], ""),
            signature=signature,
        )

    columns = _score_columns(analysis)
    table = _method_table(analysis, "scores", "Scores", columns, make_cell)
    rows = [replace(row, letter=letters[row.label]) for row in table.rows]
    ranks = mean_ranks(analysis.values, analysis.metrics, analysis.ranking)
    if ranks is not None:
        columns.append(Column("", "mean rank ↓", key="mean_rank"))
        cells = zip(rows, _rank_cells(ranks.ranks), strict=True)
        rows = [replace(row, cells=(*row.cells, cell)) for row, cell in cells]
        notes.append(_rank_note(ranks, analysis))
    if any(c.tested for c in analysis.comparisons):
        notes.insert(0, _superscript_note(analysis, letters))
    return replace(table, columns=tuple(columns), rows=tuple(rows), notes=tuple(notes))


def _score_places(analysis: Analysis) -> dict[tuple[str, str, str], int]:
    """The place of each (method, dataset, metric) among the methods that are ranked on the dataset."""
    ranked = analysis.ranked
    places = {}
    for dataset in analysis.datasets:
        for metric in analysis.metrics:
            scores = analysis.values[(dataset, metric.name)]
            comparable = scores.where(scores.index.isin(ranked.get(dataset, ())))
            marks = rank_marks(list(comparable.to_numpy(float)), metric.sign)
            for method, place in zip(analysis.methods, marks, strict=True):
                places[method, dataset, metric.name] = place
    return places


def _superscript(rivals: Sequence[str], letters: Mapping[str, str]) -> str:
    """The rivals' letters; with more methods than letters, how many were beaten."""
    if all(letters[rival] for rival in rivals):
        return "".join(sorted(letters[rival] for rival in rivals))
    return str(len(rivals))


def _superscript_note(analysis: Analysis, letters: Mapping[str, str]) -> str:
    has_letters = letters[analysis.methods[0]] != ""
    what = "the methods with these letters" if has_letters else "as many of the other methods"
    return (
        f"A superscript means: significantly better than {what} (paired bootstrap over images, "
        f"{analysis.resamples} resamples, {ALPHA_TEXT} level, Holm-corrected over all compared pairs of methods in the column)."
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
        f"Mean rank: 1 is best; over {names} on {ranks.datasets}, with ranks among the {len(ranked)} methods that "
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


# ---- intervals and tests ------------------------------------------------------------------------


def interval_table(analysis: Analysis) -> Table:
    """Make the table of scores with their intervals, e.g. ``0.844 [0.828, 0.860]``.

    Returns
    -------
    Table
        Methods x (dataset, metric).
    """

    def make_cell(method: str, column: Column) -> Cell:
        interval = analysis.intervals.get((method, column.dataset, column.metric))
        return _interval_cell(interval, _signature(analysis, method, column.dataset))

    title = f"Bootstrap intervals ({CONFIDENCE_TEXT})"
    return _method_table(analysis, "intervals", title, _score_columns(analysis), make_cell)


def _interval_cell(interval: Interval | None, signature: str) -> Cell:
    if interval is None or np.isnan(interval.value):
        return Cell(signature=signature)
    text = format_score(interval.value)
    if np.isfinite(interval.low):
        text += f" [{format_score(interval.low)}, {format_score(interval.high)}]"
    return Cell(text, interval.value, low=interval.low, high=interval.high, signature=signature)


def best_table(analysis: Analysis) -> Table | None:
    """Make the table of the best method for each dataset and metric; None if there is no such comparison.

    Parameters
    ----------
    analysis : Analysis

    Returns
    -------
    Table or None
        One row for each dataset and metric: the best method, those tied with it, and those it was not compared with.
    """
    rows = []
    undecided = False
    wins = analysis.wins_over()
    metrics = {m.name: m for m in analysis.metrics}
    for column in _score_columns(analysis):
        dataset, metric = column.dataset, metrics[column.metric]
        scores = analysis.values[(dataset, metric.name)].dropna()
        compared = scores[scores.index.isin(analysis.ranked[dataset])]
        if not metric.sign or len(compared) < 2:
            continue
        best = str(compared.idxmax() if metric.higher_is_better else compared.idxmin())
        tied = {
            c.second if c.first == best else c.first: c.undecided
            for c in analysis.tied(best, dataset, metric.name)
        }
        undecided |= any(tied.values())
        worse = wins.get((best, dataset, metric.name), [])
        others = [m for m in map(str, scores.index) if m not in (best, *tied, *worse)]
        tied_text = ", ".join(name + " ≈" * close for name, close in tied.items())
        texts = (best, tied_text or ("none" if worse else NO_VALUE), ", ".join(others) or NO_VALUE)
        label = f"{column.group} {metric.label}"
        rows.append(Row(label, tuple(map(Cell, texts)), key=f"{dataset} {metric.name}"))
    if not rows:
        return None
    meaning = (
        f"Tied: the test found no significant difference at the {ALPHA_TEXT} level. Not compared: made in another way, or no "
        "test could be made."
    )
    notes = [meaning, *[_undecided_note(analysis)] * undecided]
    headings = ("best", "tied with best", NOT_COMPARED)
    columns = tuple(Column("", h, "text", key=h.replace(" ", "_")) for h in headings)
    title = "Best and tied methods"
    return Table("best", title, columns, tuple(rows), tuple(notes), "dataset and metric")


def _undecided_note(analysis: Analysis) -> str:
    return (
        f"≈: p is within the Monte Carlo error of {analysis.resamples} resamples of the {ALPHA_TEXT} level, so that another seed "
        "could decide otherwise; it counts as not significant. More resamples decide it: --resamples 10000."
    )


def record_table(analysis: Analysis) -> Table:
    """Make the table of how often each method is significantly better, not different, or worse.

    Returns
    -------
    Table
        Counts over all datasets and metrics.
    """
    counts: dict[str, Counter[str]] = {m: Counter() for m in analysis.methods}
    for c in analysis.comparisons:
        if c.tested:
            for method in (c.first, c.second):
                outcome = "won" if c.winner == method else "lost" if c.winner else "equal"
                counts[method][outcome] += 1
    outcomes = {
        "significantly better": "won",
        "not different": "equal",
        "significantly worse": "lost",
    }

    def make_cell(method: str, column: Column) -> Cell:
        count = counts[method][outcomes[column.heading]]
        return Cell(str(count), count) if counts[method] else Cell(NOT_COMPARED)

    columns = [Column("", heading, key=heading.replace(" ", "_")) for heading in outcomes]
    title = "Comparisons with the other methods, over all datasets and metrics"
    return _method_table(analysis, "record", title, columns, make_cell)


_COMPARISON_COLUMNS = (
    Column("", f"difference [{CONFIDENCE_TEXT} interval]", key="difference"),
    Column("", "bootstrap p (Holm)", key="p_holm"),
    Column("", "Wilcoxon p (Holm)", key="p_wilcoxon_holm"),
    Column("", "better", key="wins"),
    Column("", "equal", key="ties"),
    Column("", "worse", key="losses"),
)


def comparison_table(analysis: Analysis) -> Table | None:
    """Make the table of paired comparisons by the primary metric; None if there are none, or too many to be read.

    Returns
    -------
    Table or None
        Differences, p-values, and on how many images each method is better.
    """
    metric = analysis.primary_metric
    comparisons = [c for c in analysis.comparisons if c.metric == metric.name]
    if not 0 < len(comparisons) <= MAX_PAIRS:
        return None
    rows = tuple(
        Row(
            f"{analysis.heading(c.dataset)}: {c.first} − {c.second}",
            _comparison_row(c),
            key=f"{c.dataset}: {c.first} - {c.second}",
        )
        for c in comparisons
    )
    meaning = (
        "p: paired bootstrap of the aggregate (Student's t of its standard error); Wilcoxon: signed ranks of the single "
        f"images' {metric.label}, which is another question: an aggregate is not the mean of single images' best values. "
        "Both are Holm-corrected over all compared pairs of methods on the dataset. The intervals are not corrected: one "
        f"may exclude zero where the corrected p is above {ALPHA_TEXT}. Better, equal, worse: the number of images on which the "
        "first method is."
    )
    notes = [meaning, *[_undecided_note(analysis)] * any(c.undecided for c in comparisons)]
    title = f"Differences in {metric.label}"
    return Table("comparisons", title, _COMPARISON_COLUMNS, rows, tuple(notes), "pair")


def _comparison_row(comparison: Comparison) -> tuple[Cell, ...]:
    """The cells of a paired comparison, in the order of the columns above."""
    c = comparison
    difference, low, high = (format_difference(x, 4) for x in (c.difference, c.low, c.high))
    counts = (c.wins, c.ties, c.losses)
    return (
        Cell(f"{difference} [{low}, {high}]", c.difference, low=c.low, high=c.high),
        Cell(format_p_value(c.p_holm), c.p_holm, mark="≈" * c.undecided),
        Cell(format_p_value(c.p_wilcoxon_holm), c.p_wilcoxon_holm),
        *(Cell(str(n), n) if any(counts) else Cell() for n in counts),
    )


def difference_table(analysis: Analysis, baseline: str) -> Table:
    """Make the table of each method's scores minus the baseline's.

    Parameters
    ----------
    analysis : Analysis
    baseline : str
        One of its methods.

    Returns
    -------
    Table
        Differences between comparable results; ``*`` marks the significant ones.
    """
    significant = analysis.differing_from(baseline)
    compared = analysis.comparable.compared

    def make_cell(method: str, column: Column) -> Cell:
        scores = analysis.values[(column.dataset, column.metric)]
        change = float(scores[method] - scores[baseline])
        signature = _signature(analysis, method, column.dataset)
        if np.isnan(change):
            return Cell(signature=signature)
        if not {method, baseline} <= set(compared.get(column.dataset, ())):
            return Cell(NOT_COMPARED, signature=signature)
        star = "*" * ((method, column.dataset, column.metric) in significant)
        return Cell(format_difference(change), change, wins=star, signature=signature)

    note = (
        f"* differs from the baseline at the {ALPHA_TEXT} level (paired bootstrap, Holm-corrected over all "
        "pairs of methods). Where the arrow points down, a negative difference is an improvement."
    )
    title = f"Difference to {baseline}"
    columns = _score_columns(analysis)
    table = _method_table(analysis, "differences", title, columns, make_cell, note)
    return replace(table, rows=tuple(row for row in table.rows if row.label != baseline))


# ---- kinds of image, protocols, cost ------------------------------------------------------------


def breakdown_table(analysis: Analysis, breakdown: Breakdown) -> Table:
    """Make the table of the primary metric by groups of images; small groups carry no marks of place.

    Parameters
    ----------
    analysis : Analysis
    breakdown : Breakdown
        One of its breakdowns.

    Returns
    -------
    Table
        Methods x (dataset, group of images).
    """
    metric = analysis.primary_metric
    columns: list[Column] = []
    cells: dict[tuple[str, Column], Cell] = {}
    for dataset, numbers in breakdown.images.items():
        compared = analysis.comparable.compared.get(dataset, ())
        for i, (group, images) in enumerate(zip(breakdown.groups, numbers, strict=True)):
            heading = f"{group}, n = {images}"
            key = f"{dataset} {metric.name} {heading}"
            column = Column(analysis.heading(dataset), heading, key=key, dataset=dataset)
            columns.append(column)
            intervals = [
                breakdown.values[m, dataset][i] if (m, dataset) in breakdown.values else None
                for m in analysis.methods
            ]
            ranked = [
                interval.value if interval and m in compared and images >= MIN_IMAGES else np.nan
                for m, interval in zip(analysis.methods, intervals, strict=True)
            ]
            places = rank_marks(ranked, metric.sign)
            for m, interval, place in zip(analysis.methods, intervals, places, strict=True):
                cell = _interval_cell(interval, _signature(analysis, m, dataset))
                # the intervals are drawn, not printed
                text = cell.text.partition(" [")[0]
                cells[m, column] = replace(cell, text=text, place=place)
    few = any(0 < n < MIN_IMAGES for numbers in breakdown.images.values() for n in numbers)
    note = f"Groups of fewer than {MIN_IMAGES} images are too small to rank methods by; they have no interval either."
    return _method_table(
        analysis,
        "by_" + "_".join(breakdown.attribute.split()),
        f"{metric.title} by {breakdown.attribute}",
        columns,
        lambda method, column: cells[method, column],
        *[note] * few,
    )


def protocol_table(analysis: Analysis) -> Table | None:
    """Make the table of max F under every protocol; None if there is only one.

    Returns
    -------
    Table or None
        Methods x (dataset, protocol).
    """
    names = list(dict.fromkeys(p for scores in analysis.by_protocol.values() for p in scores))
    if len(names) < 2:
        return None
    columns = [
        Column(heading, protocol, key=f"{dataset} f_max {protocol}", dataset=dataset)
        for dataset, heading in analysis.headings.items()
        for protocol in names
    ]

    def make_cell(method: str, column: Column) -> Cell:
        scores = analysis.by_protocol.get((method, column.dataset), {})
        return _number_cell(scores.get(column.heading, np.nan))

    return _method_table(analysis, "protocols", "Max F under each protocol", columns, make_cell)


def _number_cell(value: float, mark: str = "") -> Cell:
    return Cell() if np.isnan(value) else Cell(format_score(value), float(value), mark=mark)


def cost_table(costs: Mapping[str, Mapping[str, float]]) -> Table:
    """Make the table of what each method costs, from the records of ``sodbench bench``.

    Parameters
    ----------
    costs : mapping
        By method, then by kind of cost.

    Returns
    -------
    Table
    """
    frame = pd.DataFrame(list(costs.values()), index=list(costs))
    note = "From sodbench bench; images/s from JPEG to PNG on the machine of that record."
    return table_from_frame("cost", "Cost", frame, (note,))


# ---- published numbers --------------------------------------------------------------------------


def add_published(table: Table, analysis: Analysis, published: Sequence[PublishedTable]) -> Table:
    """Add rows of published numbers below a table of scores, and a column that names each row's evaluator.

    Parameters
    ----------
    table : Table
        What `score_table` made of the analysis.
    analysis : Analysis
    published : sequence of PublishedTable
        Their methods get a row if they have a number in one of the columns, or none at all (to be filled in).

    Returns
    -------
    Table
    """
    rows = []
    for source in published:
        for method in source.methods:
            cells = []
            for column in _score_columns(analysis):
                key = (method, column.dataset, column.metric)
                value = source.values.get(key, np.nan)
                cells.append(_number_cell(value, "?" * (key in source.caveats)))
            is_empty = not any(m == method for m, _, _ in source.values)
            if is_empty or any(not np.isnan(c.value) for c in cells):
                cells += [Cell()] * (len(table.columns) - len(cells))
                cells.append(Cell(f"{source.evaluator} ({source.title})"))
                rows.append(Row(f"{method}, as published", tuple(cells), published=True))
    protocols: dict[str, dict[str, None]] = {m: {} for m in analysis.methods}
    for (method, _), result in analysis.results.items():
        protocols[method][result.protocol] = None
    own = [
        replace(row, cells=(*row.cells, Cell(", ".join(protocols[row.label]))))
        for row in table.rows
    ]
    note = (
        "Rows marked as published are printed in the literature, not measured here; they take no part in marks, "
        "ranks or tests. A question mark: a misprint or a doubt, see the section on published numbers."
    )
    return replace(
        table,
        columns=(*table.columns, Column("", "evaluator", "text")),
        rows=(*own, *rows),
        notes=(*table.notes, note),
    )
