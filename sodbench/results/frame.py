"""Results as one table."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sodbench.results.result import Result

if TYPE_CHECKING:
    import pandas as pd


def to_frame(results: Iterable[Result], metrics: Sequence[str] | None = None) -> "pd.DataFrame":
    """Return results as a table, one row each.

    Parameters
    ----------
    results : iterable of Result
        In the order of the rows.
    metrics : sequence of str, optional
        Names of the metrics; by default all that the results have.

    Returns
    -------
    DataFrame
        Columns ``dataset``, ``method``, ``protocol``, ``n``, the metrics with all their digits, and ``signature``.

    Examples
    --------
    >>> frame = to_frame(load_results("results/"), ["mae", "f_max"])  # doctest: +SKIP
    >>> frame.pivot(index="method", columns="dataset", values="mae")  # doctest: +SKIP
    """
    import pandas as pd

    results = list(results)
    names = metrics or list(dict.fromkeys(name for r in results for name in r.metrics))
    rows = [
        [r.dataset, r.method, r.protocol, r.n]
        + [r.metrics.get(name, float("nan")) for name in names]
        + [str(r.signature)]
        for r in results
    ]
    return pd.DataFrame(rows, columns=["dataset", "method", "protocol", "n", *names, "signature"])
