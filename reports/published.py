"""Published numbers, as printed: transcribed tables in ``published/``, never mixed with measured ones."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from sodbench.errors import SodbenchError


@dataclass(frozen=True)
class PublishedTable:
    """A published table.

    values: (method, data set, measure name) -> the number; caveats: the same key -> what is wrong with what was printed.
    methods: all methods of the table, those without any value too; evaluator: which program is known to have been used.
    """

    name: str
    title: str
    citation: str
    transcribed_from: str
    evaluator: str
    notes: tuple[str, ...]
    methods: tuple[str, ...]
    values: dict[tuple[str, str, str], float] = field(repr=False)
    caveats: dict[tuple[str, str, str], str] = field(repr=False)


def load_published(names: Sequence[str] | None = None) -> list[PublishedTable]:
    """The published tables of these names, all of them without names.

    Raises :class:`SodbenchError` for a name that is not there.
    """
    folder = files("sodbench.reports") / "published_tables"
    known: dict[str, dict[str, Any]] = json.loads(
        (folder / "sources.json").read_text(encoding="utf-8")
    )
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise SodbenchError(
            f"--published {' '.join(unknown)}: no such table; there are: {', '.join(known)}"
        )
    found = []
    for name in names or known:
        rows = list(csv.DictReader((folder / f"{name}.csv").read_text("utf-8").splitlines()))
        keyed = {(r["method"], r["dataset"], r["measure"]): r for r in rows}
        found.append(
            PublishedTable(
                name=name,
                title=known[name]["title"],
                citation=known[name]["citation"],
                transcribed_from=known[name]["transcribed_from"],
                evaluator=known[name]["evaluator"],
                notes=tuple(known[name]["notes"]),
                methods=tuple(dict.fromkeys(r["method"] for r in rows)),
                values={k: float(r["value"]) for k, r in keyed.items() if r["value"]},
                caveats={k: r["note"] for k, r in keyed.items() if r["note"]},
            )
        )
    return found
