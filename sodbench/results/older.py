"""Results that were stored before a metric was added: what they lack follows from their counts."""

import os
from dataclasses import replace

from sodbench.metrics.catalogue import aggregate_names, curve_names
from sodbench.results.result import COUNTS_FILE, Result


def names_added_since(result: Result) -> tuple[str, ...]:
    """List the metrics and curves that every result of this version has and a stored one lacks.

    Parameters
    ----------
    result : Result

    Returns
    -------
    tuple of str
        Names of metrics, then of curves; empty for a result of this version.
    """
    return (
        *(name for name in aggregate_names() if name not in result.metrics),
        *(name for name in curve_names() if name not in result.curves),
    )


def complete_result(result: Result) -> Result:
    """Add the metrics, curves and columns of the table that a result lacks, computed from its counts.

    Parameters
    ----------
    result : Result
        A stored result; its folder is not changed.

    Returns
    -------
    Result
        The same one if it lacks nothing, if it has no ``counts.npz``, or if its protocol is not known here.

    Raises
    ------
    StoredFileError
        If its counts were modified, or if anything else that it holds does not follow from them.
    """
    from sodbench.metrics import PROTOCOLS

    if not names_added_since(result) or result.folder is None or result.protocol not in PROTOCOLS:
        return result
    if not os.path.lexists(result.folder / COUNTS_FILE):
        return result
    derived = result.derived_from(result.open_counts(), result.protocol)
    return replace(
        result,
        metrics=derived.metrics,
        curves=derived.curves,
        in_memory=(derived.pair_table, None),
    )
