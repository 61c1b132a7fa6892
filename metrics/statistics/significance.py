"""Uncertainty and significance from stored per-image statistics; no image is read again.

What is resampled is always the image.  An aggregate such as max F is not a mean of per-image
numbers but a function of mean curves, so a resample first averages the per-image *curves* with
new weights and then takes the function.  Every function
here takes arrays and a seed and gives the same answer for the same seed.

Sources: bootstrap and percentile interval after Efron and Tibshirani, *An Introduction to the
Bootstrap* (1993); sign-flip permutation test after Noreen, *Computer-Intensive Methods for Testing
Hypotheses* (1989); step-down correction after Holm (1979); Friedman test with the Nemenyi critical
difference after Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets" (JMLR 2006).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sodbench.metrics.statistics.bootstrap import (
    BATCH,
    RESAMPLES,
    Floats,
    ResampleCounts,
    draw_resamples,
    totals,
    weighted_sums,
)
from sodbench.parallel import thread_pool

Aggregate = Callable[[Floats], Floats]
"""From means, float64 [resamples, columns], to aggregates, float64 [resamples, metrics]."""

CONFIDENCE = 0.95


# ---- bootstrap --------------------------------------------------------------------------------


def bootstrap(
    statistics: Floats,
    aggregate: Aggregate,
    resamples: int = RESAMPLES,
    seed: int | Sequence[int] = 0,
) -> Floats:
    """The bootstrap distribution float64 [resamples, metrics] of ``aggregate``.

    statistics: float64 [images, columns], what ``aggregate`` wants the means of.
    Two methods with the same images in the same order and the same seed get the same draws, so
    that the row-wise difference of their distributions is the paired bootstrap.
    """

    def resampled(draws: ResampleCounts) -> Floats:
        return aggregate(totals(draws, statistics).means)

    with thread_pool() as pool:
        return np.concatenate(
            list(pool.map(resampled, draw_resamples(len(statistics), resamples, seed)))
        )


@dataclass(frozen=True)
class Interval:
    """An aggregate with its percentile interval."""

    value: float
    low: float
    high: float


def interval(value: float, distribution: Floats, confidence: float = CONFIDENCE) -> Interval:
    """Percentile interval of a bootstrap distribution float64 [resamples]."""
    low, high = percentiles(distribution[None], confidence)
    return Interval(value, float(low[0]), float(high[0]))


def percentiles(distributions: Floats, confidence: float = CONFIDENCE) -> tuple[Floats, Floats]:
    """Lower and upper percentile float64 [K] of bootstrap distributions [K, resamples]; NaN where all are."""
    tail = [(1 - confidence) / 2, (1 + confidence) / 2]
    found = np.full((2, len(distributions)), np.nan)
    whole = np.isfinite(distributions).all(axis=1)
    if whole.any():
        found[:, whole] = np.quantile(distributions[whole], tail, axis=1)
    for i in np.flatnonzero(~whole & np.isfinite(distributions).any(axis=1)):
        found[:, i] = np.nanquantile(distributions[i], tail)
    return found[0], found[1]


# ---- paired tests -----------------------------------------------------------------------------


def bootstrap_p(
    differences: Floats, distributions: Floats, images: int, errors: float = 0.0
) -> Floats:
    """Two-sided p-values [K] of differences [K] of aggregates from paired bootstrap distributions [K, resamples].

    The distribution's standard deviation is taken as the standard error of the difference, with
    the factor sqrt(n / (n - 1)) that a resample of n images lacks, and p from Student's t with
    n - 1 degrees of freedom: for a mean that is the paired t-test.  Counting how often the resampled
    difference changes sign could say no less than 1 / resamples, which is too coarse once Holm's
    correction multiplies it by many pairs.  NaN for fewer than two images.

    errors: move the standard error by so many of its own standard errors, which it has because the number of resamples
    is finite: 2 and -2 give the range in which p would be with other draws.
    """
    from scipy.stats import t

    if images < 2:
        return np.full(len(differences), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = distributions.std(axis=1, ddof=1) * np.sqrt(images / (images - 1))
        if errors:
            error = error * (1 + errors * monte_carlo_error(distributions))
        p = 2 * t.sf(np.abs(differences) / error, images - 1)
    never_differs = (error == 0) & (differences == 0)
    return np.where(never_differs, 1.0, p)


def monte_carlo_error(distributions: Floats) -> Floats:
    """The relative standard error [K] of the standard deviations of distributions [K, resamples].

    From the fourth moment: the variance of a sample variance is about (kurtosis - 1) / resamples of its square.
    0 where a distribution does not vary.
    """
    deviation = distributions - distributions.mean(axis=1, keepdims=True)
    variance = (deviation**2).mean(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        kurtosis = (deviation**4).mean(axis=1) / variance**2
        error = np.sqrt((kurtosis - 1) / distributions.shape[1]) / 2
    return np.where(variance == 0, 0.0, error)


def permutation_p(
    first: Floats,
    second: Floats,
    aggregate: Aggregate,
    resamples: int = 10_000,
    seed: int | Sequence[int] = 0,
) -> Floats:
    """Two-sided p-values float64 [metrics] of the paired permutation (sign-flip) test.

    first, second: float64 [images, columns], the statistics of two methods on the same images.
    Under the hypothesis that the two are exchangeable, the two methods' statistics are swapped
    image by image at random; p is the share of swaps whose difference is at least as large as the
    one observed, the observed one counted in.
    """
    if np.isnan(first).any() or np.isnan(second).any():
        raise ValueError("the permutation test needs statistics without NaN")
    images = len(first)
    mean_first, mean_second = first.mean(axis=0), second.mean(axis=0)
    observed = np.abs(aggregate(mean_first[None]) - aggregate(mean_second[None]))[0]
    change = (second - first) / images
    tolerance = 1e-12 * np.maximum(1, observed)

    def as_large(swaps: ResampleCounts) -> Floats:
        moved = weighted_sums(swaps, change)
        swapped = np.abs(aggregate(mean_first + moved) - aggregate(mean_second - moved))
        return np.asarray((swapped >= observed - tolerance).sum(axis=0), float)

    with thread_pool() as pool:
        found = sum(pool.map(as_large, _swaps(images, resamples, seed)), np.ones_like(observed))
    return found / (resamples + 1)


def _swaps(images: int, resamples: int, seed: int | Sequence[int]) -> Iterator[ResampleCounts]:
    """Batches uint8 [<= 250, images] of coin flips: 1 where the two methods are swapped."""
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, BATCH):
        rows = min(BATCH, resamples - start)
        yield rng.integers(0, 2, (rows, images)).astype(np.uint8)


def wilcoxon_p(first: Floats, second: Floats) -> float:
    """Wilcoxon signed-rank test of per-image scores float64 [images], zeros dropped; NaN pairs too.

    p = 1 where no pair differs.
    """
    from scipy.stats import wilcoxon

    difference = first - second
    difference = difference[np.isfinite(difference)]
    if not difference.any():
        return 1.0
    return float(wilcoxon(difference, zero_method="wilcox").pvalue)


def wilcoxon_rows(differences: Floats) -> Floats:
    """:func:`wilcoxon_p` of rows of per-image differences [K, images] at once; NaN where nothing is defined."""
    from scipy.stats import wilcoxon

    p_values = np.full(len(differences), np.nan)
    plain = np.isfinite(differences).all(axis=1) & (differences != 0).any(axis=1)
    if plain.any():
        p_values[plain] = wilcoxon(differences[plain], zero_method="wilcox", axis=1).pvalue
    for i in np.flatnonzero(~plain & np.isfinite(differences).any(axis=1)):
        p_values[i] = wilcoxon_p(differences[i], np.zeros(differences.shape[1]))
    return p_values


def holm(p_values: Floats) -> Floats:
    """Holm's step-down adjusted p-values, same shape; NaN (no test made) stays NaN and is not counted."""
    flat = np.asarray(p_values, float).ravel()
    adjusted = np.full_like(flat, np.nan)
    tested = np.flatnonzero(np.isfinite(flat))
    order = tested[np.argsort(flat[tested], kind="stable")]
    steps = (len(order) - np.arange(len(order))) * flat[order]
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted.reshape(np.shape(p_values))


@dataclass(frozen=True)
class Tally:
    """On how many images the first method is better, equal, worse."""

    wins: int
    ties: int
    losses: int


def win_tie_loss(differences: Floats, higher_is_better: bool, tie: float = 1e-9) -> Tally:
    """Count images by the sign of the difference float64 [images] of two methods' scores; NaN is not counted.

    tie: scores closer than this are equal (the default only absorbs rounding).
    """
    gains = differences if higher_is_better else -differences
    gains = gains[np.isfinite(gains)]
    wins, losses = int((gains > tie).sum()), int((gains < -tie).sum())
    return Tally(wins, len(gains) - wins - losses, losses)


# ---- several data sets ------------------------------------------------------------------------


def average_ranks(values: Floats, higher_is_better: bool) -> Floats:
    """Ranks float64 [sets, methods] within each set; 1 is best, equal values share their mean rank.

    NaN values get no rank (NaN).
    """
    from scipy.stats import rankdata

    ordered = -values if higher_is_better else values
    return np.asarray(rankdata(ordered, method="average", axis=1, nan_policy="omit"), float)


@dataclass(frozen=True)
class CriticalDifference:
    """Friedman's test over data sets and Nemenyi's critical difference of mean ranks.

    methods and mean_ranks are sorted, best first; ``groups`` are index ranges (first, last) of
    neighbours that the data cannot tell apart.
    """

    methods: tuple[str, ...]
    mean_ranks: tuple[float, ...]
    sets: int
    statistic: float
    p_value: float
    difference: float
    alpha: float
    groups: tuple[tuple[int, int], ...]


def nemenyi_difference(methods: int, sets: int, alpha: float = 0.05) -> float:
    """Nemenyi's critical difference of mean ranks (Demsar 2006, section 3.2.2)."""
    from scipy.stats import studentized_range

    quantile = studentized_range.isf(alpha, methods, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(methods * (methods + 1) / (6 * sets)))


def critical_difference(
    values: Mapping[str, Sequence[float]], higher_is_better: bool, alpha: float = 0.05
) -> CriticalDifference | None:
    """Friedman and Nemenyi over data sets; None where there are fewer than 3 methods or 2 sets.

    values: for each method one aggregate per data set, the same sets in the same order, no NaN.
    """
    from scipy.stats import friedmanchisquare

    table = np.array([list(scores) for scores in values.values()], float)
    if len(table) < 3 or table.shape[1] < 2:
        return None
    if np.isnan(table).any():
        raise ValueError("every method needs a score on every dataset")
    ranks = average_ranks(table.T, higher_is_better).mean(axis=0)
    order = np.argsort(ranks, kind="stable")
    statistic, p_value = (
        (0.0, 1.0) if (table == table[0]).all() else friedmanchisquare(*table)
    )  # scipy divides by zero where nobody differs
    difference = nemenyi_difference(len(table), table.shape[1], alpha)
    names = list(values)
    return CriticalDifference(
        methods=tuple(names[i] for i in order),
        mean_ranks=tuple(float(ranks[i]) for i in order),
        sets=table.shape[1],
        statistic=float(statistic),
        p_value=float(p_value),
        difference=difference,
        alpha=alpha,
        groups=_indistinguishable(ranks[order], difference),
    )


def _indistinguishable(ranks: Floats, difference: float) -> tuple[tuple[int, int], ...]:
    """Maximal runs (first, last) of sorted ranks that span less than the critical difference."""
    groups: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = int(np.searchsorted(ranks, ranks[first] + difference, side="left")) - 1
        if last > first and (not groups or last > groups[-1][1]):
            groups.append((first, last))
    return tuple(groups)
