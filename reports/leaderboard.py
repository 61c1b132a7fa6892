"""A leaderboard: one page with a row for each method, and a history of the scores from which changes are shown.

``history.csv`` in its folder has one score a row with the date on which it was entered; a run adds the scores that are new or
have changed and never alters a line.
"""

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sodbench.csv_table import read_csv_table
from sodbench.errors import SodbenchError
from sodbench.files import lock_folder, write_text
from sodbench.metrics.catalogue import find_metric
from sodbench.quoting import printable
from sodbench.reports import html
from sodbench.reports.document import Document, Paragraph, Section
from sodbench.reports.report_folder import check_own_page, data_folders
from sodbench.reports.selection import primary_name, select_metrics, sort_datasets
from sodbench.reports.tables import (
    Cell,
    Column,
    Row,
    Table,
    format_difference,
    format_score,
    rank_marks,
)
from sodbench.reports.text import format_csv
from sodbench.results import Result

HISTORY = "history.csv"
_COLUMNS = ("date", "method", "dataset", "metric", "value", "n", "protocol", "signature")
# A smaller change is rounding
_SAME = 1e-12


@dataclass(frozen=True)
class Entry:
    """A score as it was entered.

    Attributes
    ----------
    date : str
        As ``2026-01-31``.
    method, dataset, metric : str
    value : float
    n : int
        Number of images.
    protocol, signature : str
    """

    date: str
    method: str
    dataset: str
    metric: str
    value: float
    n: int
    protocol: str
    signature: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What a later entry replaces: method, dataset, protocol and metric."""
        return self.method, self.dataset, self.protocol, self.metric


def update_leaderboard(
    results: Sequence[Result],
    folder: Path | str,
    metrics: Sequence[str] | None = None,
    *,
    date: str = "",
    since: str = "",
) -> Path:
    """Enter results into a leaderboard and write its page.

    Parameters
    ----------
    results : sequence of Result
    folder : path
        Made if it does not exist.
    metrics : sequence of str, optional
        By default those of a report.
    date : str, optional
        Of the entries; by default today.
    since : str, optional
        Changes are shown from the scores of that date; by default from the entry before the last one.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    SodbenchError
        For something that is no date, a date before the last entry, and files of someone else.

    Examples
    --------
    >>> sodbench.update_leaderboard(sodbench.load_results("results"), "board")  # doctest: +SKIP
    PosixPath('board/index.html')
    """
    folder = Path(folder)
    available = list(dict.fromkeys(name for r in results for name in r.metrics))
    metrics = metrics or [metric.name for metric in select_metrics(available)]
    for name, given in (("--date", date), ("--since", since)):
        _check_date(given, name)
    page, file = folder / "index.html", folder / HISTORY
    check_own_page(page, data_folders(results))
    # two runs at a time would each write a history without the other's entries
    with lock_folder(folder, "entering scores"):
        history = read_history(file)
        date = date or datetime.date.today().isoformat()
        # changes are shown by the order of entries, so none may be slipped in between
        if history and date < history[-1].date:
            raise SodbenchError(
                f"{file}: its last entry is of {history[-1].date}, and {date} is before it; give --date {history[-1].date} or a later one"
            )
        history += _new_entries(results, metrics, history, date)
        write_text(file, _format_history(history))
        write_text(page, html.render_comparison(_arrange_board(history, metrics, since), []))
    return page


def _check_date(text: str, name: str) -> None:
    try:
        valid = not text or datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        valid = False
    if not valid:
        raise SodbenchError(f"{name} {text!r} is not a date such as 2026-01-31")


def read_history(file: Path) -> list[Entry]:
    """Read the history of a leaderboard.

    Parameters
    ----------
    file : Path

    Returns
    -------
    list of Entry
        In order; empty if there is no such file.

    Raises
    ------
    SodbenchError
        If it has another form.
    """
    if not file.exists():
        return []
    table = read_csv_table(file)
    if table.columns != _COLUMNS:
        raise SodbenchError(
            f"{file}: not the history of a leaderboard (its columns are not {','.join(_COLUMNS)}); move it, or choose "
            "another folder"
        )
    entries = []
    for number, row in table.rows.items():
        try:
            if not all(row.values()):
                raise ValueError("a value is missing")
            _check_date(row["date"], "date")
            numbers = {"value": float(row["value"]), "n": int(row["n"])}
            entries.append(Entry(**{**row, **numbers}))  # type: ignore[arg-type]
        except (ValueError, SodbenchError) as error:
            raise SodbenchError(
                f"{file}: line {number} is damaged ({error}); restore it from a copy, or delete the line"
            ) from error
    return entries


def _format_history(history: Sequence[Entry]) -> str:
    return format_csv(_COLUMNS, ([getattr(e, name) for name in _COLUMNS] for e in history)) + "\n"


def _new_entries(
    results: Sequence[Result], metrics: Sequence[str], history: Sequence[Entry], date: str
) -> list[Entry]:
    """The scores that are not in the history, or have changed."""
    last = {entry.key: entry for entry in history}
    added = []
    for r in results:
        for metric in metrics:
            value = r.metrics.get(metric, float("nan"))
            # a score that is undefined now replaces none that was entered
            if math.isnan(value):
                continue
            entry = Entry(
                date,
                printable(r.method),
                printable(r.dataset),
                metric,
                float(value),
                r.n,
                r.protocol,
                printable(r.signature),
            )
            before = last.get(entry.key)
            if not before or abs(before.value - entry.value) > _SAME or before.n != entry.n:
                added.append(entry)
    return added


def _arrange_board(history: Sequence[Entry], metrics: Sequence[str], since: str) -> Document:
    dates = sorted({entry.date for entry in history})
    earlier = since or (dates[-2] if len(dates) > 1 else "")
    sections = []
    for protocol in dict.fromkeys(entry.protocol for entry in history):
        own = [entry for entry in history if entry.protocol == protocol]
        table = _board(own, metrics, earlier)
        text = f"Scores under the protocol {protocol}."
        if earlier:
            text += f" In brackets: the change since {earlier}, where there is one."
        sections.append(
            Section(f"Protocol {protocol}", (Paragraph(text), table), f"protocol-{protocol}")
        )
    return Document("Leaderboard", tuple(sections))


def _board(entries: Sequence[Entry], metrics: Sequence[str], earlier: str) -> Table:
    """One row a method: its last scores, how they changed since a date, and when they were entered."""
    last = {(*entry.key[:2], entry.metric): entry for entry in entries}
    before = {(*e.key[:2], e.metric): e for e in entries if e.date <= earlier}
    methods = _order_methods(last, metrics)
    pairs = [
        (dataset, metric)
        for dataset in sort_datasets(entry.dataset for entry in entries)
        for metric in metrics
        if any((m, dataset, metric) in last for m in methods)
    ]
    columns = [Column(d, find_metric(m).heading, dataset=d, metric=m) for d, m in pairs]
    cells: dict[str, list[Cell]] = {method: [] for method in methods}
    for dataset, metric in pairs:
        scores = [last.get((m, dataset, metric)) for m in methods]
        # entries of old versions stay on the board, so signatures are not compared: only the
        # number of images decides
        alike = {entry.n for entry in scores if entry}
        values = [entry.value if entry and len(alike) == 1 else float("nan") for entry in scores]
        places = rank_marks(values, find_metric(metric).sign)
        for method, entry, place in zip(methods, scores, places, strict=True):
            cells[method].append(_board_cell(entry, before.get((method, dataset, metric)), place))
    columns.append(Column("", "entered", "text"))
    dated = _last_dates(entries)
    rows = [Row(m, (*cells[m], Cell(dated[m]))) for m in methods]
    notes = (
        "Places only among methods with the same number of images on a dataset.",
        f"In the order of the number of datasets with scores, then of the mean {find_metric(primary_name(metrics)).label}.",
    )
    return Table("leaderboard", "Scores", tuple(columns), tuple(rows), notes)


def _order_methods(last: Mapping[tuple[str, str, str], Entry], metrics: Sequence[str]) -> list[str]:
    """The methods with scores on the most datasets first, and of these the better ones by the main metric."""
    main = primary_name(metrics)
    scores: dict[str, list[float]] = {method: [] for method, _, _ in last}
    for (method, _, metric), entry in last.items():
        if metric == main:
            scores[method].append(find_metric(main).sign * entry.value)
    return sorted(scores, key=lambda m: (-len(scores[m]), -sum(scores[m]) / max(1, len(scores[m]))))


def _board_cell(entry: Entry | None, before: Entry | None, place: int) -> Cell:
    if entry is None:
        return Cell()
    text = format_score(entry.value)
    if before is not None and before is not entry:
        text += f" ({format_difference(entry.value - before.value)})"
    return Cell(text, entry.value, place, signature=entry.signature)


def _last_dates(entries: Sequence[Entry]) -> Mapping[str, str]:
    return {entry.method: entry.date for entry in entries}
