"""Published numbers, as printed: transcribed tables in ``published_tables/``, never mixed with measured ones."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from sodbench.errors import SodbenchError

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


def load_published(names: Sequence[str] | None = None) -> list[PublishedTable]:
    """Read published tables.

    Parameters
    ----------
    names : sequence of str, optional
        By default, and if it is empty, all of them.

    Returns
    -------
    list of PublishedTable

    Raises
    ------
    SodbenchError
        If there is no table of a name.
    """
    folder = files("sodbench.reports") / "published_tables"
    sources: dict[str, dict[str, Any]] = json.loads((folder / "sources.json").read_text("utf-8"))
    unknown = [name for name in names or () if name not in sources]
    if unknown:
        raise SodbenchError(
            f"--published {' '.join(unknown)}: no such table; there are: {', '.join(sources)}"
        )
    tables = []
    for name in names or sources:
        rows = list(csv.DictReader((folder / f"{name}.csv").read_text("utf-8").splitlines()))
        by_key = {(r["method"], r["dataset"], r["measure"]): r for r in rows}
        tables.append(
            PublishedTable(
                name=name,
                **{**sources[name], "notes": tuple(sources[name]["notes"])},
                methods=tuple(dict.fromkeys(r["method"] for r in rows)),
                values={k: float(r["value"]) for k, r in by_key.items() if r["value"]},
                caveats={k: r["note"] for k, r in by_key.items() if r["note"]},
            )
        )
    return tables
