"""``methods.toml``: how each method is named, drawn, grouped and cited, for every table and figure of a paper.

["CSF+Res2Net-50"]          # the method's name in the results
label = "CSF (ours)"        # the name to print
group = "CNN"               # the heading above its rows in a paper's table
year = 2020
cite = "gao2020csf"         # the key for \\cite
colour = "#D55E00"
line = "solid"              # solid, dashed, dotted, dashdot, longdash or dashdotdot
width = 2.0                 # of its line, in points
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from sodbench.errors import SodbenchError
from sodbench.results import Result
from sodbench.toml import read_toml

LINES = ("solid", "dashed", "dotted", "dashdot", "longdash", "dashdotdot")
_CITE_KEY = re.compile(r"[\w:.+/-]+")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class MethodEntry:
    """What ``methods.toml`` states about one method; empty or 0 where it states nothing.

    Attributes
    ----------
    label, group, cite : str
    year : int
    colour : str
        As ``#RRGGBB``.
    line : str
        One of `LINES`.
    width : float
        In points.
    """

    label: str = ""
    group: str = ""
    cite: str = ""
    year: int = 0
    colour: str = ""
    line: str = ""
    width: float = 0.0


MethodEntries = Mapping[str, MethodEntry]


def read_methods_file(file: Path) -> dict[str, MethodEntry]:
    """Read ``methods.toml``.

    Parameters
    ----------
    file : Path

    Returns
    -------
    dict of str to MethodEntry
        By the method's name in the results, in the order of the file.

    Raises
    ------
    SodbenchError
        If the file cannot be read, or states something that is not known; all such lines are named together.
    """
    content = read_toml(file)
    faults: list[str] = []
    entries = {name: _read_entry(name, values, faults) for name, values in content.items()}
    labels = Counter(entry.label or name for name, entry in entries.items())
    faults += [f"two methods have the label {label!r}" for label, n in labels.items() if n > 1]
    if faults:
        raise SodbenchError(f"--methods-file {file}: {'; '.join(faults)}")
    return entries


def _read_entry(name: str, values: Any, faults: list[str]) -> MethodEntry:
    known = [field.name for field in fields(MethodEntry)]
    if not isinstance(values, dict):
        faults.append(f'{name!r} is not a method\'s table; write it as ["{name}"] with lines below')
        return MethodEntry()
    usable: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            faults.append(f"{name}: unknown key {key!r} (known: {', '.join(known)})")
        elif problem := _find_fault(key, value):
            faults.append(f"{name}: {key} = {value!r} is not {problem}")
        else:
            usable[key] = value
    return MethodEntry(**usable)


def _find_fault(key: str, value: Any) -> str:
    """What a value should have been; empty if it is good."""
    if key == "width":
        is_width = isinstance(value, (int, float)) and 0 < value <= 10
        return "" if is_width and not isinstance(value, bool) else "a width from 0 to 10 points"
    if key == "year":
        is_year = isinstance(value, int) and not isinstance(value, bool) and value > 0
        return "" if is_year else "a year"
    if not isinstance(value, str) or not value:
        return "a text"
    if key == "colour" and not _COLOUR.fullmatch(value):
        return "of the form #RRGGBB"
    if key == "line" and value not in LINES:
        return f"one of {', '.join(LINES)}"
    if key == "cite" and not all(_CITE_KEY.fullmatch(part) for part in value.split(",")):
        return "a BibTeX key"
    return ""


def label_results(results: Sequence[Result], entries: MethodEntries) -> list[Result]:
    """Return results under the names to print.

    Parameters
    ----------
    results : sequence of Result
    entries : mapping of str to MethodEntry

    Returns
    -------
    list of Result

    Raises
    ------
    SodbenchError
        If a label is the name of another method here.
    """
    present = {result.method for result in results}
    for name in sorted(present & set(entries)):
        label = entries[name].label
        if label != name and label in present and not entries.get(label, MethodEntry()).label:
            raise SodbenchError(
                f"--methods-file: the label {label!r} of {name} is the name of another method here"
            )
    return [
        result
        if result.method == label_of(result.method, entries)
        # the stored table has the old name, and is read now for that
        else replace(
            result,
            method=label_of(result.method, entries),
            in_memory=result.in_memory or (result.pair_table, None),
        )
        for result in results
    ]


def label_of(name: str, entries: MethodEntries) -> str:
    """Return the name to print of a method.

    Returns
    -------
    str
    """
    return entries[name].label or name if name in entries else name


def describe_unused(entries: MethodEntries, methods: Collection[str]) -> list[str]:
    """Describe the entries of methods that are not there, as after a typing mistake.

    Parameters
    ----------
    entries : mapping of str to MethodEntry
    methods : collection of str
        The methods of the results and of published tables, by the name in the results or the one to print.

    Returns
    -------
    list of str
        One line, or none.
    """
    unused = [n for n in entries if n not in methods and label_of(n, entries) not in methods]
    if not unused:
        return []
    rest = f" and {len(unused) - 5} more" if len(unused) > 5 else ""
    return [
        f"no result of {', '.join(map(repr, unused[:5]))}{rest}, so these entries have no effect"
    ]


def by_label(entries: MethodEntries) -> dict[str, MethodEntry]:
    """Return the entries by the names to print.

    Returns
    -------
    dict of str to MethodEntry
    """
    return {label_of(name, entries): entry for name, entry in entries.items()}
