"""Check that a stored result agrees with itself: every number, name and note follows from its counts."""

import operator
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sodbench.errors import ProblemKind
from sodbench.results.derivation import ResultInfo, digest_names
from sodbench.results.pair_problems import PAIR_PROBLEMS
from sodbench.results.pair_table import PairTable
from sodbench.results.result import Result
from sodbench.results.result_file import nan_to_none
from sodbench.results.signature import Signature

if TYPE_CHECKING:
    from sodbench.results.counts_file import CountsFile
    from sodbench.results.stored_pairs import StoredPairs

_MAX_QUOTED = 120
# cells of one column of scores.csv that are listed
_MAX_CELLS = 3


def find_contradictions(result: Result, source: "StoredPairs | CountsFile") -> list[str]:
    """List every stored number, name and note that does not follow from the counted pairs.

    A metric, curve or column that is not stored is no contradiction: an earlier version did not have it.

    Parameters
    ----------
    result : Result
        A stored result.
    source : StoredPairs or CountsFile
        The counted pairs that are stored with it.

    Returns
    -------
    list of str
        One sentence each; empty for a sound result.
    """
    from sodbench.metrics import PROTOCOLS

    if result.protocol not in PROTOCOLS:
        return [f"protocol is {result.protocol!r}, which this version does not know"]
    if result.pair_table.stems != source.stems:
        return ["scores.csv and counts.npz are of different pairs"]
    expected = _without_added(result, result.derived_from(source, result.protocol))
    return _check_policy(result) + find_differences(result, expected)


def _without_added(stored: Result, derived: Result) -> Result:
    """What a stored result should be, without the metrics, curves and columns that were added since it was stored."""
    table = derived.pair_table
    columns = {n: v for n, v in table.columns.items() if n in stored.pair_table.columns}
    return replace(
        derived,
        metrics={n: v for n, v in derived.metrics.items() if n in stored.metrics},
        curves={n: v for n, v in derived.curves.items() if n in stored.curves},
        in_memory=(replace(table, columns=columns), None),
    )


def _check_policy(result: Result) -> list[str]:
    """What the policy and the provenance state that the rest of the result contradicts."""
    policy = result.policy
    kinds = (ProblemKind.MISSING, ProblemKind.UNREADABLE)
    absent = sum(problem.kind in kinds for problem in result.problems)
    shard = policy.shard_text or None
    expected = _shard_size(result)
    has_weighted = not np.isnan(result.pair_table.columns["wf"]).all()
    checks = [
        (
            policy.n_missing == absent,
            f"policy.n_missing is {policy.n_missing}, but {absent} are listed as problems",
        ),
        (
            policy.missing != "error" or not policy.n_missing,
            f"policy.missing is '{policy.missing}', under which no map can be missing",
        ),
        (
            policy.resize != "error" or not policy.n_resized,
            f"policy.resize is '{policy.resize}', under which no map can be resized",
        ),
        (
            policy.weighted == has_weighted,
            f"policy.weighted is {policy.weighted}, but weighted F is {'there' if has_weighted else 'missing'}",
        ),
        (
            (shard is None) == (policy.n_divided is None),
            f"policy.n_divided is {policy.n_divided}, but shard is {shard}",
        ),
        (
            expected in (None, result.n),
            f"n is {result.n}, but shard {shard} of {policy.n_divided} pairs holds {expected}",
        ),
        (
            result.provenance["pairs"] == digest_names(result.pair_table),
            "provenance.pairs is not the digest of the names in scores.csv",
        ),
        (
            # with the space after it, so that no name is found within a longer one
            f"--protocol {result.protocol} " in result.provenance["scored_by"] + " ",
            f"provenance.scored_by does not give protocol {result.protocol}",
        ),
    ]
    return [text for holds, text in checks if not holds]


def _shard_size(result: Result) -> int | None:
    """How many pairs the division into shards leaves for this one; None where nothing was divided."""
    policy = result.policy
    if policy.shard is None or policy.n_divided is None:
        return None
    index, number = policy.shard
    size = len(range(index - 1, policy.n_divided, number))
    if policy.missing == "skip":
        # these were divided among the shards before they turned out to be unreadable
        size -= sum(problem.kind == ProblemKind.UNREADABLE for problem in result.problems)
    return size


def find_differences(stored: Result, expected: Result) -> list[str]:
    """List every field in which two results differ, the per-image table cell by cell.

    Numbers are equal if they agree to 1e-12: a stored weighted F is repeated exactly, but sums may be rounded
    differently on another processor.

    Parameters
    ----------
    stored, expected : Result
        The results to compare.

    Returns
    -------
    list of str
        One sentence for each difference; empty if there is none.
    """
    differences = [
        f"{name} is {_quote(getattr(stored, name))}, expected {_quote(getattr(expected, name))}"
        for name in ("method", "dataset", "protocol", "n", "signature")
        if getattr(stored, name) != getattr(expected, name)
    ]
    return [
        *differences,
        *_differing_statements(stored, expected),
        *_differing_metrics(stored.metrics, expected.metrics),
        *_differing_curves(stored.curves, expected.curves),
        *_differing_problems(stored, expected),
        *_differing_cells(stored.pair_table, expected.pair_table),
    ]


def states(stored: Result, info: ResultInfo) -> bool:
    """Whether a stored result states what it would state if it were made now; its numbers are not looked at.

    Parameters
    ----------
    stored : Result
    info : ResultInfo

    Returns
    -------
    bool
    """
    folder_problems = (p for p in stored.problems if p.kind not in PAIR_PROBLEMS)
    expected_problems = {p for p in info.problems if p.kind not in PAIR_PROBLEMS}
    return (
        (stored.method, stored.dataset, stored.n) == (info.method, info.dataset, len(info.files))
        and not _differing_statements(stored, info)
        and set(folder_problems) == expected_problems
    )


def _differing_statements(stored: Result, expected: Result | ResultInfo) -> list[str]:
    """The differing fields of the policy, the folders and the provenance."""
    differences = []
    for name, theirs, ours in (
        ("policy", stored.policy.as_dict(), expected.policy.as_dict()),
        ("folders", dict(stored.folders), dict(expected.folders)),
        ("provenance", nan_to_none(stored.provenance), nan_to_none(expected.provenance)),
    ):
        differences += [
            f"{name}.{key} is {_quote(theirs.get(key))}, expected {_quote(ours.get(key))}"
            for key in sorted(theirs.keys() | ours.keys())
            if theirs.get(key) != ours.get(key)
        ]
    return differences


def _differing_metrics(stored: Mapping[str, float], expected: Mapping[str, float]) -> list[str]:
    differences = []
    for key in sorted(stored.keys() | expected.keys()):
        if key not in stored or key not in expected:
            state = "missing" if key not in stored else "not a metric"
            differences.append(f"metrics.{key} is {state}")
        elif not _equal(stored[key], expected[key]):
            differences.append(
                f"metrics.{key} is {stored[key]:.12g}, expected {expected[key]:.12g}"
            )
    return differences


def _differing_curves(stored: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    differences = []
    for name in sorted(stored.keys() | expected.keys()):
        one, other = stored.get(name), expected.get(name)
        if one is None or other is None:
            differences.append(f"curves.{name} is {'missing' if one is None else 'not a curve'}")
            continue
        wrong = np.flatnonzero(~_equal(one, other))
        if len(wrong):
            at = int(wrong[0])
            differences.append(f"curves.{name}[{at}] is {one[at]:.12g}, expected {other[at]:.12g}")
    return differences


def _differing_problems(stored: Result, expected: Result) -> list[str]:
    listed, real = Counter(stored.problems), Counter(expected.problems)
    return [
        *(f"problems holds '{p}', which is not one" for p in listed if p not in real),
        *(f"problems lacks '{p}'" for p in real if p not in listed),
        *(
            f"problems holds '{p}' {listed[p]} times, expected {real[p]}"
            for p in listed
            if p in real and listed[p] != real[p]
        ),
    ]


def _differing_cells(stored: PairTable, expected: PairTable) -> list[str]:
    names, expected_names = ([*t.files, *t.columns] for t in (stored, expected))
    if names != expected_names:
        odd = sorted(set(names) ^ set(expected_names))
        return [f"scores.csv has other columns ({', '.join(odd) or 'in another order'})"]
    if stored.stems != expected.stems:
        return ["scores.csv has other rows"]
    differences = []
    for name in names:
        one, other = (
            t.files[name] if name in t.files else t.columns[name] for t in (stored, expected)
        )
        if name in stored.files:
            equal = np.fromiter(map(operator.eq, one, other), bool, len(one))
        else:
            equal = _equal(one, other)
        differences += [
            f"scores.csv {stored.stems[row]}: {name} is {_quote(one[row])}, expected {_quote(other[row])}"
            for row in np.flatnonzero(~equal)[:_MAX_CELLS].tolist()
        ]
    return differences


def _equal(one: Any, other: Any) -> Any:
    """Elementwise: equal to 1e-12, absolute and relative, or both undefined."""
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if one.shape != other.shape:
        return np.zeros(other.shape, bool)
    return np.isclose(one, other, rtol=1e-12, atol=1e-12, equal_nan=True)


def _quote(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        text = f"{value:.12g}"
    else:
        text = repr(str(value) if isinstance(value, Signature) else value)
    return text if len(text) <= _MAX_QUOTED else f"{text[: _MAX_QUOTED - 3]}..."
