"""The tables of a report, made from its analysis."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sodbench.metrics.catalogue import Metric
from sodbench.metrics.statistics.bootstrap import CONFIDENCE_TEXT, Floats, Interval
from sodbench.metrics.statistics.ranking import average_ranks
from sodbench.metrics.statistics.significance import ALPHA_TEXT, MIN_IMAGES
from sodbench.reports.analysis import Analysis, Breakdown, primary_metric
from sodbench.reports.comparability import (
    EVERYWHERE,
    NOT_COMPARED,
    VERSION,
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
    ranked, wins = analysis.ranked, analysis.wins_over()
    columns: list[Column] = []
    cells: dict[str, list[Cell]] = {m: [] for m in analysis.methods}
    for dataset, metric in _scores(analysis):
        columns.append(_score_column(analysis, dataset, metric))
        scores = analysis.values[(dataset, metric.name)]
        comparable = scores.where(scores.index.isin(ranked.get(dataset, ())))
        places = rank_marks(list(comparable.to_numpy(float)), metric.sign)
        for method, score, place in zip(
            analysis.methods, scores.to_numpy(float), places, strict=True
        ):
            signature = _signature(analysis, method, dataset)
            cells[method].append(
                Cell(
                    NO_VALUE if np.isnan(score) and not signature else format_score(score),
                    float(score),
                    place,
                    _superscript(wins.get((method, dataset, metric.name), ()), letters),
                    marks.get((method, dataset), ""),
                    signature=signature,
                )
            )
    ranks = mean_ranks(analysis.values, analysis.metrics, analysis.ranking)
    if ranks is not None:
        columns.append(Column("", "mean rank ↓", key="mean_rank"))
        for method, cell in zip(analysis.methods, _rank_cells(ranks.ranks), strict=True):
            cells[method].append(cell)
        notes.append(_rank_note(ranks, analysis))
    if any(c.tested for c in analysis.comparisons):
        notes.insert(0, _superscript_note(analysis, letters))
    rows = tuple(Row(m, tuple(cells[m]), letters[m]) for m in analysis.methods)
    return Table("scores", "Scores", tuple(columns), rows, tuple(notes))


def _signature(analysis: Analysis, method: str, dataset: str) -> str:
    result = analysis.results.get((method, dataset))
    return str(result.signature) if result else ""


def _scores(analysis: Analysis) -> list[tuple[str, Metric]]:
    """The columns of scores: every metric on every dataset."""
    return [(dataset, metric) for dataset in analysis.datasets for metric in analysis.metrics]


def _score_column(analysis: Analysis, dataset: str, metric: Metric) -> Column:
    return Column(analysis.heading(dataset), metric.heading, dataset=dataset, metric=metric.name)


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
        elif all(d.startswith(f"{VERSION}:") for d in differences):
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
    """Make the table of ranks averaged over the ranking's datasets, metric by metric; None if nothing is ranked."""
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
    """Make the table of scores with their intervals, e.g. ``0.844 [0.828, 0.860]``."""
    columns = [_score_column(analysis, d, m) for d, m in _scores(analysis)]
    rows = []
    for method in analysis.methods:
        cells = []
        for column in columns:
            interval = analysis.intervals.get((method, column.dataset, column.metric))
            cells.append(_interval_cell(interval, _signature(analysis, method, column.dataset)))
        rows.append(Row(method, tuple(cells)))
    return Table(
        "intervals", f"Bootstrap intervals ({CONFIDENCE_TEXT})", tuple(columns), tuple(rows)
    )


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
    ranked = analysis.ranked
    wins = analysis.wins_over()
    for dataset, metric in _scores(analysis):
        scores = analysis.values[(dataset, metric.name)].dropna()
        compared = scores[scores.index.isin(ranked[dataset])]
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
        label = f"{analysis.heading(dataset)} {metric.label}"
        rows.append(Row(label, tuple(map(Cell, texts)), key=f"{dataset} {metric.name}"))
    if not rows:
        return None
    meaning = (
        f"Tied: the test found no significant difference at the {ALPHA_TEXT} level. Not compared: made in another way, or no "
        "test could be made."
    )
    notes = [meaning, *[_undecided_note(analysis)] * undecided]
    columns = _text_columns("best", "tied with best", NOT_COMPARED)
    return Table(
        "best", "Best and tied methods", columns, tuple(rows), tuple(notes), "dataset and metric"
    )


def _text_columns(*headings: str) -> tuple[Column, ...]:
    return tuple(Column("", h, "text", key=h.replace(" ", "_")) for h in headings)


def _undecided_note(analysis: Analysis) -> str:
    return (
        f"≈: p is within the Monte Carlo error of {analysis.resamples} resamples of the {ALPHA_TEXT} level, so that another seed "
        "could decide otherwise; it counts as not significant. More resamples decide it: --resamples 10000."
    )


def record_table(analysis: Analysis) -> Table:
    """Make the table of how often each method is significantly better, not different, or worse."""
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
    rows = []
    for method, count in counts.items():
        cells = [
            Cell(str(count[k]), count[k]) if count else Cell(NOT_COMPARED)
            for k in outcomes.values()
        ]
        rows.append(Row(method, tuple(cells)))
    columns = tuple(Column("", h, key=h.replace(" ", "_")) for h in outcomes)
    title = "Comparisons with the other methods, over all datasets and metrics"
    return Table("record", title, columns, tuple(rows))


_COMPARISON_COLUMNS = (
    Column("", f"difference [{CONFIDENCE_TEXT} interval]", key="difference"),
    Column("", "bootstrap p (Holm)", key="p_holm"),
    Column("", "Wilcoxon p (Holm)", key="p_wilcoxon_holm"),
    Column("", "better", key="wins"),
    Column("", "equal", key="ties"),
    Column("", "worse", key="losses"),
)


def comparison_table(analysis: Analysis) -> Table | None:
    """Make the table of paired comparisons by the primary metric; None if there are none, or too many to be read."""
    metric = primary_metric(analysis.metrics)
    comparisons = [c for c in analysis.comparisons if c.metric == metric.name]
    if not 0 < len(comparisons) <= MAX_PAIRS:
        return None
    rows = tuple(
        Row(
            f"{analysis.heading(c.dataset)}: {c.first} − {c.second}",
            comparison_cells(c),
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


def comparison_cells(comparison: Comparison) -> tuple[Cell, ...]:
    """Return the six cells of a paired comparison: difference, two p-values, images better, equal, worse."""
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
    rows = []
    for method in (m for m in analysis.methods if m != baseline):
        cells = []
        for dataset, metric in _scores(analysis):
            scores = analysis.values[(dataset, metric.name)]
            change = float(scores[method] - scores[baseline])
            signature = _signature(analysis, method, dataset)
            if np.isnan(change):
                cells.append(Cell(signature=signature))
            elif not {method, baseline} <= set(compared.get(dataset, ())):
                cells.append(Cell(NOT_COMPARED, signature=signature))
            else:
                star = "*" * ((method, dataset, metric.name) in significant)
                text = format_difference(change)
                cells.append(Cell(text, change, wins=star, signature=signature))
        rows.append(Row(method, tuple(cells)))
    note = (
        f"* differs from the baseline at the {ALPHA_TEXT} level (paired bootstrap, Holm-corrected over all "
        "pairs of methods). Where the arrow points down, a negative difference is an improvement."
    )
    columns = tuple(_score_column(analysis, d, m) for d, m in _scores(analysis))
    return Table("differences", f"Difference to {baseline}", columns, tuple(rows), (note,))


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
    metric = primary_metric(analysis.metrics)
    columns: list[Column] = []
    cells: dict[str, list[Cell]] = {m: [] for m in analysis.methods}
    for dataset in (d for d in analysis.datasets if d in breakdown.images):
        compared = analysis.comparable.compared.get(dataset, ())
        for i, (group, images) in enumerate(
            zip(breakdown.groups, breakdown.images[dataset], strict=True)
        ):
            heading = f"{group}, n = {images}"
            key = f"{dataset} {metric.name} {heading}"
            columns.append(Column(analysis.heading(dataset), heading, key=key, dataset=dataset))
            intervals = _group_intervals(breakdown, analysis.methods, dataset, i)
            ranked = [
                interval.value if interval and m in compared and images >= MIN_IMAGES else np.nan
                for m, interval in intervals.items()
            ]
            places = rank_marks(ranked, metric.sign)
            for (method, interval), place in zip(intervals.items(), places, strict=True):
                signature = _signature(analysis, method, dataset)
                cells[method].append(_group_cell(interval, place, signature))
    few = any(0 < n < MIN_IMAGES for numbers in breakdown.images.values() for n in numbers)
    note = f"Groups of fewer than {MIN_IMAGES} images are too small to rank methods by; they have no interval either."
    return Table(
        "by_" + "_".join(breakdown.attribute.split()),
        f"{metric.title} by {breakdown.attribute}",
        tuple(columns),
        tuple(Row(m, tuple(cells[m])) for m in analysis.methods),
        (note,) if few else (),
    )


def _group_intervals(
    breakdown: Breakdown, methods: Sequence[str], dataset: str, group: int
) -> dict[str, Interval | None]:
    """Each method's interval on one group of a dataset's images."""
    return {
        m: breakdown.values[m, dataset][group] if (m, dataset) in breakdown.values else None
        for m in methods
    }


def _group_cell(interval: Interval | None, place: int, signature: str) -> Cell:
    if interval is None or np.isnan(interval.value):
        return Cell(signature=signature)
    cell = _interval_cell(interval, signature)
    return replace(cell, text=format_score(interval.value), place=place)


def protocol_table(analysis: Analysis) -> Table | None:
    """Make the table of max F under every protocol; None if there is only one."""
    names = list(dict.fromkeys(p for scores in analysis.by_protocol.values() for p in scores))
    if len(names) < 2:
        return None
    columns = tuple(
        Column(analysis.heading(d), p, key=f"{d} f_max {p}", dataset=d)
        for d in analysis.datasets
        for p in names
    )
    rows = []
    for method in analysis.methods:
        cells = []
        for dataset in analysis.datasets:
            scores = analysis.by_protocol.get((method, dataset), {})
            cells += [_number_cell(scores.get(p, np.nan)) for p in names]
        rows.append(Row(method, tuple(cells)))
    return Table("protocols", "Max F under each protocol", columns, tuple(rows))


def _number_cell(value: float) -> Cell:
    return Cell() if np.isnan(value) else Cell(format_score(value), float(value))


def cost_table(costs: Mapping[str, Mapping[str, float]]) -> Table:
    """Make the table of what each method costs, from the records of ``sodbench bench``."""
    frame = pd.DataFrame(list(costs.values()), index=list(costs))
    note = "From sodbench bench; images/s from JPEG to PNG on the machine of that record."
    return table_from_frame("cost", "Cost", frame, (note,))


# ---- published numbers --------------------------------------------------------------------------


def add_published(table: Table, analysis: Analysis, published: Sequence[PublishedTable]) -> Table:
    """Add rows of published numbers below a table of scores, and a column that names each row's evaluator.

    Parameters
    ----------
    table : Table
        What :func:`score_table` made of the analysis.
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
            for dataset, metric in _scores(analysis):
                key = (method, dataset, metric.name)
                cell = _number_cell(source.values.get(key, np.nan))
                cells.append(
                    replace(cell, mark="?")
                    if key in source.caveats and key in source.values
                    else cell
                )
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
