"""Published numbers, as printed, never mixed with measured ones: transcribed tables in ``published_tables/`` and the user's own."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from sodbench.csv_table import read_csv_table
from sodbench.datasets import known_name
from sodbench.errors import SodbenchError
from sodbench.metrics.catalogue import parse_metric
from sodbench.metrics.protocols import PROTOCOLS

ScoreKey = tuple[str, str, str]


@dataclass(frozen=True)
class PublishedTable:
    """A published table.

    Attributes
    ----------
    name, title : str
        How it is named on the command line and in a report.
    citation, transcribed_from : str
        The paper, and where exactly its numbers were read.
    evaluator : str
        The program that is known to have made the numbers.
    notes : tuple of str
        What a reader has to know.
    methods : tuple of str
        All methods of the table, those without any number too.
    values : dict
        The number by (method, dataset, metric name).
    caveats : dict
        By the same key, what is wrong with what was printed.
    decimals : dict
        By the same key, how many decimals were printed.
    protocol : str
        The protocol of that program; empty if it is not known.
    """

    name: str
    title: str
    citation: str
    transcribed_from: str
    evaluator: str
    notes: tuple[str, ...]
    methods: tuple[str, ...]
    values: dict[ScoreKey, float] = field(repr=False)
    caveats: dict[ScoreKey, str] = field(repr=False)
    decimals: dict[ScoreKey, int] = field(repr=False, default_factory=dict)
    protocol: str = ""

    @property
    def evaluator_and_title(self) -> str:
        """The evaluator, and which table it is if that is something else."""
        return (
            self.evaluator if self.title in self.evaluator else f"{self.evaluator} ({self.title})"
        )


def select_published(
    sources: Sequence[str] | None, methods: Sequence[str] | None
) -> tuple[PublishedTable, ...]:
    """Read the published tables that ``--published`` and ``--published-methods`` name; none without the first.

    Parameters
    ----------
    sources, methods : sequence of str, optional
        See `load_published`.

    Returns
    -------
    tuple of PublishedTable

    Raises
    ------
    SodbenchError
        As `load_published`, and if there are only methods.
    """
    if sources is None:
        if methods:
            raise SodbenchError("--published-methods has no effect without --published")
        return ()
    return tuple(load_published(sources, methods))


def load_published(
    sources: Sequence[str] | None = None, methods: Sequence[str] | None = None
) -> list[PublishedTable]:
    """Read published tables.

    Parameters
    ----------
    sources : sequence of str, optional
        Names of the tables of this package, or CSV files of the user, see `read_published_file`. By default, and if it
        is empty, all tables of this package.
    methods : sequence of str, optional
        Only the rows of these methods.

    Returns
    -------
    list of PublishedTable
        Without those that have no row of ``methods``.

    Raises
    ------
    SodbenchError
        If there is neither a table nor a file of a name, a file has another form, or no table has a method.
    """
    known = _read_sources()
    paths = {name: Path(name) for name in sources or () if name not in known}
    unknown = [name for name, path in paths.items() if not path.is_file()]
    if unknown:
        raise SodbenchError(
            f"--published {' '.join(unknown)}: no such table and no such CSV file; there are: {', '.join(known)}"
        )
    tables = [
        read_published_file(paths[name]) if name in paths else _read_own(name, known[name])
        for name in sources or known
    ]
    if methods is None:
        return tables
    wanted = {method.casefold() for method in methods}
    present = {m.casefold() for table in tables for m in table.methods}
    if missing := [m for m in methods if m.casefold() not in present]:
        raise SodbenchError(
            f"--published-methods: no row of {', '.join(missing)}; there are: "
            f"{', '.join(dict.fromkeys(m for table in tables for m in table.methods))}"
        )
    selected = [
        replace(table, methods=tuple(m for m in table.methods if m.casefold() in wanted))
        for table in tables
    ]
    return [table for table in selected if table.methods]


def _read_sources() -> dict[str, dict[str, Any]]:
    folder = files("sodbench.reports") / "published_tables"
    sources: dict[str, dict[str, Any]] = json.loads((folder / "sources.json").read_text("utf-8"))
    return sources


def _read_own(name: str, source: Mapping[str, Any]) -> PublishedTable:
    folder = files("sodbench.reports") / "published_tables"
    rows = list(csv.DictReader((folder / f"{name}.csv").read_text("utf-8").splitlines()))
    by_key = {(r["method"], r["dataset"], r["measure"]): r for r in rows}
    return PublishedTable(
        name=name,
        **{**source, "notes": tuple(source["notes"])},
        methods=tuple(dict.fromkeys(r["method"] for r in rows)),
        values={k: float(r["value"]) for k, r in by_key.items() if r["value"]},
        caveats={k: r["note"] for k, r in by_key.items() if r["note"]},
        decimals={k: _count_decimals(r["value"]) for k, r in by_key.items() if r["value"]},
    )


_NEEDED = ("method", "dataset", "metric", "value")
_OPTIONAL = ("note", "evaluator", "protocol", "citation")
# E-measure divides by one pixel less than the image has, so it can be a little above 1
_LARGEST = 1.1
_WITHOUT_LIMIT = ("threshold", "hce", "hce_raw")


def read_published_file(file: Path) -> PublishedTable:
    """Read the user's own published numbers.

    Parameters
    ----------
    file : Path
        CSV with the columns ``method``, ``dataset``, ``metric`` (a name of ``sodbench eval --metrics help``) and
        ``value`` (as printed: its decimals decide what is within rounding), and optionally ``note``, ``evaluator``,
        ``protocol`` and ``citation``.

    Returns
    -------
    PublishedTable

    Raises
    ------
    SodbenchError
        For other columns, and for every line that cannot be read, all together.
    """
    rows = _read_rows(file)
    values: dict[ScoreKey, float] = {}
    decimals: dict[ScoreKey, int] = {}
    caveats: dict[ScoreKey, str] = {}
    faults: list[str] = []
    for number, row in rows.items():
        dataset = row.get("dataset", "")
        key = row.get("method", ""), known_name(dataset) or dataset, row.get("metric", "")
        if fault := _find_row_fault(row, key, values):
            faults.append(f"line {number}: {fault}")
            continue
        values[key] = float(row["value"])
        decimals[key] = _count_decimals(row["value"])
        if row.get("note"):
            caveats[key] = row["note"]
    faults += _different_facts(list(rows.values()))
    if faults or not values:
        raise SodbenchError(f"--published {file}: {'; '.join(faults) or 'has no row'}")
    first = next(iter(rows.values()))
    return PublishedTable(
        name=file.stem,
        title=file.name,
        citation=first.get("citation") or "no citation given",
        transcribed_from=f"the file {file.name}",
        evaluator=first.get("evaluator") or first.get("protocol") or "not stated",
        notes=(),
        methods=tuple(dict.fromkeys(method for method, _, _ in values)),
        values=values,
        caveats=caveats,
        decimals=decimals,
        protocol=first.get("protocol") or "",
    )


def _read_rows(file: Path) -> dict[int, dict[str, str]]:
    """The lines of a CSV file with the columns that published numbers need, by line number."""
    table = read_csv_table(file)
    if missing := [c for c in _NEEDED if c not in table.columns]:
        raise SodbenchError(
            f"{file}: has no column {', '.join(missing)}; it needs {','.join(_NEEDED)}, and may have "
            f"{','.join(_OPTIONAL)}"
        )
    return {
        number: {name: text.strip() for name, text in row.items()}
        for number, row in table.rows.items()
    }


def _find_row_fault(row: Mapping[str, str], key: ScoreKey, values: Mapping[ScoreKey, float]) -> str:
    if not all(key):
        return "method, dataset and metric must not be empty"
    if key in values:
        return f"a second value of {' '.join(key)}"
    try:
        name = parse_metric(key[2]).name
    except ValueError as error:
        return str(error)
    if name != key[2]:
        return f"write the metric {key[2]!r} as {name}"
    try:
        value = float(row.get("value", ""))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        return f"{row.get('value', '')!r} is not a number"
    if value > _LARGEST and key[2] not in _WITHOUT_LIMIT:
        return f"{row['value']} is above 1; write {key[2]} as a share, as in 0.928 for 92.8 %"
    if row.get("protocol", "") not in ("", *PROTOCOLS):
        return f"unknown protocol {row['protocol']!r} (known: {', '.join(PROTOCOLS)})"
    return ""


def _different_facts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One file is one source: its evaluator, protocol and citation are the same in every line."""
    facts = ("evaluator", "protocol", "citation")
    several = [fact for fact in facts if len({row.get(fact) or "" for row in rows}) > 1]
    return [f"several values of {fact}: put each source into a file of its own" for fact in several]


def _count_decimals(text: str) -> int:
    return len(text.partition(".")[2])
