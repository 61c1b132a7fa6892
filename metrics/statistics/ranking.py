"""Ranks of methods over several datasets: Friedman's test and Nemenyi's critical difference.

References
----------
Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 2006.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sodbench.metrics.arrays import Floats
from sodbench.metrics.statistics.significance import ALPHA


def average_ranks(values: Floats, higher_is_better: bool) -> Floats:
    """Rank methods within each dataset.

    Parameters
    ----------
    values : float64 [datasets, methods]
        Aggregates; NaN gets no rank.
    higher_is_better : bool

    Returns
    -------
    float64 [datasets, methods]
        1 is best; equal values share their mean rank. NaN where the value is NaN.
    """
    from scipy.stats import rankdata

    ordered = -values if higher_is_better else values
    return np.asarray(rankdata(ordered, method="average", axis=1, nan_policy="omit"), float)


@dataclass(frozen=True)
class CriticalDifference:
    """Friedman's test over datasets, and Nemenyi's critical difference of mean ranks.

    Attributes
    ----------
    methods : tuple of str
        Sorted by mean rank, best first.
    mean_ranks : tuple of float
        In the same order.
    datasets : int
        Number of datasets.
    statistic, p_value : float
        Friedman's test.
    difference : float
        Methods whose mean ranks differ by less are not significantly different.
    alpha : float
        The significance level of ``difference``.
    groups : tuple of (int, int)
        First and last index of neighbours among ``methods`` that are not significantly different.
    """

    methods: tuple[str, ...]
    mean_ranks: tuple[float, ...]
    datasets: int
    statistic: float
    p_value: float
    difference: float
    alpha: float
    groups: tuple[tuple[int, int], ...]


def _nemenyi_difference(methods: int, datasets: int, alpha: float) -> float:
    """Nemenyi's critical difference of mean ranks (Demsar 2006, section 3.2.2)."""
    from scipy.stats import studentized_range

    quantile = studentized_range.isf(alpha, methods, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(methods * (methods + 1) / (6 * datasets)))


def critical_difference(
    values: Mapping[str, Sequence[float]], higher_is_better: bool
) -> CriticalDifference | None:
    """Compare the ranks of methods over datasets.

    Parameters
    ----------
    values : mapping of str to sequence of float
        For each method one aggregate per dataset, the same datasets in the same order.
    higher_is_better : bool

    Returns
    -------
    CriticalDifference or None
        None for fewer than 3 methods or 2 datasets.

    Raises
    ------
    ValueError
        Where a value is NaN.
    """
    from scipy.stats import friedmanchisquare

    table = np.array([list(scores) for scores in values.values()], float)
    if len(table) < 3 or table.shape[1] < 2:
        return None
    if np.isnan(table).any():
        raise ValueError("every method needs a score on every dataset")
    ranks = average_ranks(table.T, higher_is_better).mean(axis=0)
    order = np.argsort(ranks, kind="stable")
    # scipy divides by zero where no method differs from another
    equal = bool((table == table[0]).all())
    statistic, p_value = (0.0, 1.0) if equal else friedmanchisquare(*table)
    difference = _nemenyi_difference(len(table), table.shape[1], ALPHA)
    names = list(values)
    return CriticalDifference(
        methods=tuple(names[i] for i in order),
        mean_ranks=tuple(float(ranks[i]) for i in order),
        datasets=table.shape[1],
        statistic=float(statistic),
        p_value=float(p_value),
        difference=difference,
        alpha=ALPHA,
        groups=_find_groups(ranks[order], difference),
    )


def _find_groups(ranks: Floats, difference: float) -> tuple[tuple[int, int], ...]:
    """Maximal runs (first, last) of sorted ranks that span less than the critical difference."""
    groups: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = int(np.searchsorted(ranks, ranks[first] + difference, side="left")) - 1
        if last > first and (not groups or last > groups[-1][1]):
            groups.append((first, last))
    return tuple(groups)
