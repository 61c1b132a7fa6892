"""Whether two methods differ: paired tests from bootstrap distributions and from the scores of single images.

One procedure serves ``sodbench report``, which compares all pairs of methods, and ``sodbench compare``, which compares
one pair: `compare_pairs`. It tests the aggregate itself, such as max F of the whole dataset, by the standard error
of its resampled difference.

References
----------
Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993: the bootstrap's standard error.
Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics, 1979.
Wilcoxon, "Individual Comparisons by Ranking Methods", Biometrics Bulletin, 1945.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.arrays import Floats
from sodbench.metrics.statistics.bootstrap import percentiles

# The significance level; the texts of reports quote it
ALPHA = 0.05
ALPHA_TEXT = f"{ALPHA * 100:g} %"

# With fewer images there is no interval, no test and no rank.
MIN_IMAGES = 10
# A p-value is undecided where so many standard errors of the resampling would move it across ALPHA.
_MONTE_CARLO_ERRORS = 2.0
# Up to so many images scipy computes the exact distribution for a row without ties; given several rows, it does so only
# if none of them has ties, so that the p-value of one pair of methods would depend on the others.
_EXACT_WILCOXON = 50
# Up to so many images all signs of the differences are tried, as scipy does where there are ties; it calls a function for
# each, which takes half a second for one row.
_ALL_SIGNS = 13
# Scores of one image that are closer than this are equal; it only absorbs rounding.
_TIE = 1e-9


@dataclass(frozen=True)
class PairedTest:
    """The comparison of two methods by one metric, paired over images; NaN where there is no interval or test.

    Attributes
    ----------
    difference, low, high : float
        The first aggregate minus the second, and the limits of its bootstrap interval.
    p, p_holm : float
        Two-sided p-value of the paired bootstrap; also Holm-corrected over the comparisons made together.
    p_wilcoxon, p_wilcoxon_holm : float
        The same of Wilcoxon's signed ranks of the scores of single images.
    undecided : bool
        Other draws of as many resamples could put ``p_holm`` on the other side of `ALPHA`.
    wins, ties, losses : int
        On how many images the first score is better, equal, worse.
    """

    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    p_wilcoxon: float
    p_wilcoxon_holm: float
    undecided: bool
    wins: int
    ties: int
    losses: int

    @property
    def tested(self) -> bool:
        """Whether there is a test result at all."""
        return bool(np.isfinite(self.p_holm))

    @property
    def significant(self) -> bool:
        """Whether the difference is significant at the level `ALPHA`."""
        return not self.undecided and self.p_holm < ALPHA and self.difference != 0


def compare_pairs(
    difference: Floats,
    distributions: Floats,
    image_differences: Floats,
    higher_is_better: NDArray[np.bool_],
) -> list[PairedTest]:
    """Test K differences of aggregates, paired over the same images and corrected together.

    Parameters
    ----------
    difference : float64 [K]
        The first aggregate minus the second, of the images as they are.
    distributions : float64 [K, resamples]
        The same of bootstrap resamples, both aggregates from the same draws.
    image_differences : float64 [K, images]
        Differences of the scores of single images; NaN where there is none.
    higher_is_better : bool [K]
        The direction of each metric, for wins and losses.

    Returns
    -------
    list of PairedTest
        K of them; for fewer than `MIN_IMAGES` images without intervals and tests.
    """
    images = image_differences.shape[1]
    gains = np.where(higher_is_better[:, None], image_differences, -image_differences)
    wins, losses = (gains > _TIE).sum(axis=1), (gains < -_TIE).sum(axis=1)
    ties = np.isfinite(gains).sum(axis=1) - wins - losses
    ranges = p_ranges(difference, distributions, images)
    p_holm, undecided = correct_ranges(ranges)
    if images >= MIN_IMAGES:
        low, high = percentiles(distributions)
        p_wilcoxon = wilcoxon_p(image_differences)
    else:
        low, high, p_wilcoxon = np.full((3, len(difference)), np.nan)
    columns = (difference, low, high, ranges[0], p_holm, p_wilcoxon, holm(p_wilcoxon), undecided)
    rows = zip(*(column.tolist() for column in (*columns, wins, ties, losses)), strict=True)
    return [PairedTest(*row) for row in rows]


def p_ranges(differences: Floats, distributions: Floats, images: int) -> Floats:
    """Test differences of aggregates; the two-sided p-values with the range in which other draws would put them.

    A distribution's standard deviation is taken as the standard error of the difference, with the factor
    sqrt(n / (n - 1)) that a resample of n images lacks, and p from Student's t with n - 1 degrees of freedom: for a mean
    that is the paired t-test. Counting how often the resampled difference changes sign could not give less than
    1 / resamples, which is too coarse once Holm's correction multiplies it by many pairs.

    Parameters
    ----------
    differences : float64 [K]
    distributions : float64 [K, resamples]
        Of resamples of the images, both aggregates from the same draws.
    images : int
        Number of images in a resample.

    Returns
    -------
    float64 [3, K]
        p, and its value for standard errors that are smaller and larger by two Monte Carlo errors; NaN for fewer than
        `MIN_IMAGES` images, and where a distribution has a NaN.
    """
    if images < MIN_IMAGES:
        return np.full((3, len(differences)), np.nan)
    error = _standard_error(distributions, images)
    # the standard error of other draws could be smaller or larger than this one
    margin = _MONTE_CARLO_ERRORS * _monte_carlo_error(distributions)
    factors = (1.0, 1 - margin, 1 + margin)
    return np.stack([_t_test(differences, error * factor, images) for factor in factors])


def correct_ranges(ranges: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Correct p-values together that may come from different numbers of images.

    Parameters
    ----------
    ranges : float64 [3, K]
        See `p_ranges`.

    Returns
    -------
    p_holm : float64 [K]
    undecided : bool [K]
        Whether other draws could put ``p_holm`` on the other side of `ALPHA`.
    """
    p_holm, lowest, highest = (holm(p) for p in ranges)
    return p_holm, (lowest < ALPHA) & (highest >= ALPHA)


def _standard_error(distributions: Floats, images: int) -> Floats:
    with np.errstate(invalid="ignore"):
        error: Floats = distributions.std(axis=1, ddof=1) * np.sqrt(images / (images - 1))
    return error


def _t_test(differences: Floats, error: Floats, images: int) -> Floats:
    """Two-sided p-values [K] of differences with these standard errors."""
    from scipy.stats import t

    with np.errstate(invalid="ignore", divide="ignore"):
        p: Floats = 2 * t.sf(np.abs(differences) / error, images - 1)
    # 0 / 0: two methods with the same maps do not differ
    never_differs = (error == 0) & (differences == 0)
    return np.where(never_differs, 1.0, p)


def _monte_carlo_error(distributions: Floats) -> Floats:
    """The relative standard errors [K] of the standard deviations of distributions [K, resamples].

    From the fourth moment: the variance of a sample variance is about (kurtosis - 1) / resamples of its square.
    0 where a distribution does not vary.
    """
    squares = (distributions - distributions.mean(axis=1, keepdims=True)) ** 2
    variance = squares.mean(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        kurtosis = (squares**2).mean(axis=1) / variance**2
        error = np.sqrt((kurtosis - 1) / distributions.shape[1]) / 2
    return np.where(variance == 0, 0.0, error)


def wilcoxon_p(differences: Floats) -> Floats:
    """Return p-values of Wilcoxon's signed-rank test.

    Parameters
    ----------
    differences : float64 [K, images]
        Differences of the scores of single images. Zeros and NaN are left out.

    Returns
    -------
    float64 [K]
        1 where no image differs, NaN where no difference is defined.
    """
    from scipy.stats import wilcoxon

    p_values = np.full(len(differences), np.nan)
    complete = np.isfinite(differences).all(axis=1) & (differences != 0).any(axis=1)
    if differences.shape[1] <= _EXACT_WILCOXON:
        complete[:] = False
    if complete.any():
        # all at once: scipy's overhead for one test is larger than the test
        p_values[complete] = wilcoxon(differences[complete], zero_method="wilcox", axis=1).pvalue
    for i in np.flatnonzero(~complete):
        row = differences[i][np.isfinite(differences[i])]
        if 0 < len(row) <= _ALL_SIGNS:
            p_values[i] = _p_of_all_signs(row[row != 0])
        elif len(row):
            p_values[i] = wilcoxon(row, zero_method="wilcox").pvalue if row.any() else 1.0
    return p_values


def _p_of_all_signs(differences: Floats) -> float:
    """The p-value of the signed-rank test: how many of all signs give a sum of ranks at least as far from the middle."""
    from scipy.stats import rankdata

    ranks = rankdata(np.abs(differences))
    signs = np.arange(2 ** len(ranks))[:, None] >> np.arange(len(ranks)) & 1
    sums, observed = signs @ ranks, ranks[differences > 0].sum()
    return min(1.0, 2 * float(min((sums <= observed).mean(), (sums >= observed).mean())))


def holm(p_values: Floats) -> Floats:
    """Return p-values adjusted by Holm's step-down method.

    Parameters
    ----------
    p_values : float64 [K]
        NaN where no test was made; these are not counted.

    Returns
    -------
    float64 [K]
        At most 1; NaN stays NaN.

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03]))
    array([0.03, 0.06, 0.06])
    """
    adjusted = np.full_like(p_values, np.nan)
    tested = np.flatnonzero(np.isfinite(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    # the smallest of K is multiplied by K, the next by K - 1; none may become smaller than the one before
    steps = (len(order) - np.arange(len(order))) * p_values[order]
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
