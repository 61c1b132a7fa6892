"""Which results, datasets and metrics a report shows, and in which order."""

from collections import Counter
from collections.abc import Iterable, Sequence

from sodbench.datasets import TEST_SETS
from sodbench.errors import SodbenchError
from sodbench.metrics.catalogue import REPORT_METRICS, Metric, find_metric
from sodbench.reports.comparability import Key
from sodbench.results import Result


def select_metrics(
    available: Sequence[str], asked: Sequence[str] | None = None
) -> tuple[Metric, ...]:
    """Return the metrics of a report.

    Parameters
    ----------
    available : sequence of str
        The names that the results have.
    asked : sequence of str, optional
        The names wanted, in this order. By default the classical ones among ``available``.

    Returns
    -------
    tuple of Metric

    Raises
    ------
    SodbenchError
        For a name that no result has.
    """
    if asked is None:
        return tuple(find_metric(name) for name in REPORT_METRICS if name in available)
    unknown = [name for name in asked if name not in available]
    if unknown:
        raise SodbenchError(
            f"no result has the metric {', '.join(unknown)}; there are: {', '.join(available)}"
        )
    return tuple(find_metric(name) for name in asked)


def primary_name(names: Iterable[str]) -> str:
    """Return the metric for what shows a single one: max F if it is among the names, else the first.

    Parameters
    ----------
    names : iterable of str

    Returns
    -------
    str
    """
    first, *others = names
    return "f_max" if "f_max" in others else first


def sort_datasets(datasets: Iterable[str]) -> list[str]:
    """Return the six standard datasets in their usual order, then the others as they came; each once.

    Parameters
    ----------
    datasets : iterable of str

    Returns
    -------
    list of str
    """
    names = list(dict.fromkeys(datasets))
    return [d for d in TEST_SETS if d in names] + [d for d in names if d not in TEST_SETS]


def index_results(
    results: Sequence[Result],
    methods: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
) -> dict[Key, Result]:
    """Index results by method and dataset.

    Parameters
    ----------
    results : sequence of Result
    methods, datasets : sequence of str, optional
        Only these.

    Returns
    -------
    dict of (str, str) to Result
        By (method, dataset); several protocols of one method become ``method (protocol)``.

    Raises
    ------
    SodbenchError
        For a name that no result has, where nothing is left, and for two results of one method on one dataset under one
        protocol.
    """
    for kind, asked, available in (
        ("method", methods, [r.method for r in results]),
        ("dataset", datasets, [r.dataset for r in results]),
    ):
        unknown = [name for name in asked or () if name not in available]
        if unknown:
            raise SodbenchError(
                f"no result of the {kind} {', '.join(unknown)}; "
                f"there are: {', '.join(dict.fromkeys(available))}"
            )
    selected = [
        r
        for r in results
        if (methods is None or r.method in methods) and (datasets is None or r.dataset in datasets)
    ]
    if not selected:
        raise SodbenchError(
            "there is no result to report: no method has been scored on these datasets"
        )
    times = Counter((r.method, r.dataset) for r in selected)
    by_key: dict[Key, Result] = {}
    for result in selected:
        method = result.method
        # results of several protocols are shown next to each other, not on top of each other
        if times[method, result.dataset] > 1:
            method = f"{method} ({result.protocol})"
        if (method, result.dataset) in by_key:
            other = by_key[method, result.dataset]
            raise SodbenchError(
                f"two results of {result.method} on {result.dataset} under {result.protocol}: "
                f"{other.folder} and {result.folder}; leave one out, or score one again under another "
                "name (sodbench eval --name)"
            )
        by_key[method, result.dataset] = result
    return by_key
