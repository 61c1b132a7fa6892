"""Bootstrap resamples of images: how often each image is drawn, sums of per-image statistics, and intervals.

What is resampled is always the image. An aggregate such as max F is not a mean of per-image numbers but a function of
mean curves, so that a resample first averages the per-image *curves* with new weights and then takes the function.

The one loop that takes a report's time is `weighted_sums`, a product of a matrix of small integers (a third of
them 0) with the images' statistics. It is compiled here and not left to BLAS, whose threads wait for each other by
spinning: on a machine with other work that took six times the processor time, and the result would depend on the
number of threads.

References
----------
Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993: bootstrap and percentile interval.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.arrays import Floats
from sodbench.metrics.compiled import compiled

Reals = NDArray[np.floating[Any]]
# uint8 [resamples, images]: how often each image is drawn
ResampleCounts = NDArray[np.uint8]

RESAMPLES = 1000
CONFIDENCE = 0.95
CONFIDENCE_TEXT = f"{CONFIDENCE * 100:g} %"

# Resamples drawn at a time: bounds memory at 16,784 images to some 35 MB.
BATCH_SIZE = 250
# Images summed up before the next resample's turn: their statistics stay in the cache.
_IMAGES_PER_BLOCK = 64


def dataset_seed(name: str, seed: int) -> tuple[int, int]:
    """Return a seed for one dataset that does not change when another dataset joins the report.

    Parameters
    ----------
    name : str
        The dataset.
    seed : int
        The seed of the whole report.

    Returns
    -------
    tuple of int
        For `numpy.random.default_rng`.
    """
    return seed, zlib.crc32(name.encode())


def draw_resamples(
    images: int, resamples: int = RESAMPLES, seed: int | Sequence[int] = 0
) -> Iterator[ResampleCounts]:
    """Draw bootstrap resamples.

    Parameters
    ----------
    images, resamples : int
        Number of images, and of resamples of them.
    seed : int or sequence of int
        The draws are those of ``numpy.random.default_rng(seed).integers(0, images, (resamples, images))``.

    Yields
    ------
    ndarray of uint8 [<= 250, images]
        A batch of resamples: how often each image is drawn. Each row sums to ``images``.
    """
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, BATCH_SIZE):
        rows = min(BATCH_SIZE, resamples - start)
        drawn = rng.integers(0, images, (rows, images))
        # each resample gets numbers of its own, so that one bincount counts all resamples
        drawn += np.arange(rows)[:, None] * images
        counted = np.bincount(drawn.ravel(), minlength=rows * images)
        # a byte is enough: one image is drawn 256 times with a probability below 1 / 256!
        yield counted.astype(np.uint8).reshape(rows, images)


@dataclass(frozen=True)
class ResampledSums:
    """Sums over the images drawn; those of two groups of images add up to those of both.

    Attributes
    ----------
    sums : float64 [resamples, columns]
    images : float64 [resamples, 1]
        How many images are in the sums; [resamples, columns] where a column leaves some out.
    """

    sums: Floats
    images: Floats

    def __add__(self, other: "ResampledSums") -> "ResampledSums":
        return ResampledSums(self.sums + other.sums, self.images + other.images)

    @property
    def means(self) -> Floats:
        """float64 [resamples, columns]; NaN where no image is in the sum."""
        with np.errstate(invalid="ignore"):
            return self.sums / self.images


def resampled_sums(draws: ResampleCounts, statistics: Reals) -> ResampledSums:
    """Sum the statistics of the images drawn.

    Parameters
    ----------
    draws : uint8 [resamples, images]
    statistics : float [images, columns]
        NaN where a metric is undefined for an image, which is then left out of that column.

    Returns
    -------
    ResampledSums
    """
    # summed up, because the draws of a group of images are some columns of those of all
    images = draws.sum(axis=1, dtype=np.float64)[:, None]
    defined = np.isfinite(statistics)
    incomplete = ~defined.all(axis=0)
    if incomplete.any():
        images = np.repeat(images, statistics.shape[1], axis=1)
        images[:, incomplete] = weighted_sums(draws, defined[:, incomplete].astype(np.float32))
        # 0 times NaN is NaN: it would spoil the resamples without that image, too
        statistics = np.where(defined, statistics, statistics.dtype.type(0))
    return ResampledSums(weighted_sums(draws, statistics), images)


def weighted_sums(draws: ResampleCounts, statistics: Reals) -> Floats:
    """Compute ``draws @ statistics``, with the same bits on every machine.

    Parameters
    ----------
    draws : uint8 [resamples, images]
    statistics : float32 or float64 [images, columns]
        Without NaN. Sums are in its precision over 64 images at a time, and in float64 over these.

    Returns
    -------
    float64 [resamples, columns]
    """
    sums = np.zeros((len(draws), statistics.shape[1]))
    _add_weighted(np.ascontiguousarray(draws), np.ascontiguousarray(statistics), sums)
    return sums


@compiled()
def _add_weighted(draws, statistics, sums):  # type: ignore[no-untyped-def]
    images, columns = statistics.shape
    drawn = np.empty(_IMAGES_PER_BLOCK, np.int64)
    for start in range(0, images, _IMAGES_PER_BLOCK):
        for resample in range(len(draws)):
            times = draws[resample]
            n_drawn = 0
            for image in range(start, min(images, start + _IMAGES_PER_BLOCK)):
                if times[image]:
                    drawn[n_drawn] = image
                    n_drawn += 1
            total = np.zeros(columns, statistics.dtype)
            fours = n_drawn // 4 * 4
            # four at a time: a quarter of the loads and stores of total
            for i in range(0, fours, 4):
                a, b, c, d = drawn[i], drawn[i + 1], drawn[i + 2], drawn[i + 3]
                wa, wb = np.float32(times[a]), np.float32(times[b])
                wc, wd = np.float32(times[c]), np.float32(times[d])
                first, second, third, fourth = (
                    statistics[a],
                    statistics[b],
                    statistics[c],
                    statistics[d],
                )
                for k in range(columns):
                    total[k] += wa * first[k] + wb * second[k] + wc * third[k] + wd * fourth[k]
            for i in range(fours, n_drawn):
                weight, row = np.float32(times[drawn[i]]), statistics[drawn[i]]
                for k in range(columns):
                    total[k] += weight * row[k]
            for k in range(columns):
                sums[resample, k] += total[k]


# ---- intervals --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Interval:
    """An aggregate with its percentile interval; the limits are NaN where there is none."""

    value: float
    low: float
    high: float


def percentiles(distributions: Floats) -> tuple[Floats, Floats]:
    """Return the limits of percentile intervals.

    Parameters
    ----------
    distributions : float64 [K, resamples]
        Bootstrap distributions. NaN values are left out.

    Returns
    -------
    low, high : float64 [K]
        The interval of confidence `CONFIDENCE`; NaN where every value is.
    """
    tails = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    limits = np.full((2, len(distributions)), np.nan)
    complete = np.isfinite(distributions).all(axis=1)
    if complete.any():
        limits[:, complete] = np.quantile(distributions[complete], tails, axis=1)
    # one by one, as nanquantile would do with all of them
    for i in np.flatnonzero(~complete & np.isfinite(distributions).any(axis=1)):
        limits[:, i] = np.nanquantile(distributions[i], tails)
    return limits[0], limits[1]


def percentile_interval(value: float, distribution: Floats) -> Interval:
    """Return the percentile interval of one aggregate.

    Parameters
    ----------
    value : float
        The aggregate of the images as they are.
    distribution : float64 [resamples]
        Its bootstrap distribution.

    Returns
    -------
    Interval
    """
    low, high = percentiles(distribution[None])
    return Interval(value, float(low[0]), float(high[0]))
