"""Resamples of images: how often each is drawn, and the means of its statistics under these draws.

The one loop that takes a report's time is :func:`weighted_sums`, a product of a matrix of small integers (a third of them 0)
with the images' statistics.  It is compiled here and not left to BLAS, whose threads wait for each other by spinning:
on a machine with other work that took six times the processor time; and the result would depend on their number.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.compiled import compiled

Floats = NDArray[np.float64]
Reals = NDArray[np.floating[Any]]
ResampleCounts = NDArray[np.uint8]
"""uint8 [resamples, images]: how often each image is drawn."""

RESAMPLES = 1000
BATCH = 250
"""Resamples drawn at a time: bounds memory at 16,784 images to some 35 MB."""
_BLOCK = 64  # images summed up before the next resample's turn: their statistics stay in the cache


def dataset_seed(name: str, seed: int) -> tuple[int, int]:
    """A seed for one data set that does not change when another set joins the report."""
    return seed, zlib.crc32(name.encode())


def draw_resamples(
    images: int, resamples: int = RESAMPLES, seed: int | Sequence[int] = 0
) -> Iterator[ResampleCounts]:
    """Batches uint8 [<= 250, images] of bootstrap resamples; each row sums to ``images``.

    The draws are those of ``numpy.random.default_rng(seed).integers(0, images, (resamples, images))``, row by row.
    """
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, BATCH):
        rows = min(BATCH, resamples - start)
        drawn = rng.integers(0, images, (rows, images))
        drawn += np.arange(rows)[:, None] * images
        counted = np.bincount(drawn.ravel(), minlength=rows * images)
        yield counted.astype(np.uint8).reshape(rows, images)


@dataclass(frozen=True)
class Totals:
    """Sums over the images drawn; those of two groups of images add up to those of both.

    sums: float64 [resamples, columns].  images: how many images are in them, [resamples, 1], or [resamples, columns]
    where a column leaves some out.
    """

    sums: Floats
    images: Floats

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(self.sums + other.sums, self.images + other.images)

    @property
    def means(self) -> Floats:
        """float64 [resamples, columns]; NaN where no image is in the sum."""
        with np.errstate(invalid="ignore"):
            return self.sums / self.images


def totals(draws: ResampleCounts, statistics: Reals) -> Totals:
    """The totals of ``statistics`` [images, columns]; a NaN (a measure undefined for an image) is left out of its column's."""
    images = draws.sum(axis=1, dtype=np.float64)[:, None]
    defined = np.isfinite(statistics)
    partly = ~defined.all(axis=0)
    if partly.any():
        images = np.repeat(images, statistics.shape[1], axis=1)
        images[:, partly] = weighted_sums(draws, defined[:, partly].astype(np.float32))
        statistics = np.where(defined, statistics, statistics.dtype.type(0))
    return Totals(weighted_sums(draws, statistics), images)


def weighted_sums(draws: ResampleCounts, statistics: Reals) -> Floats:
    """``draws @ statistics``, float64 [resamples, columns]; the same bits on every machine.

    Added up in the precision of ``statistics`` [images, columns] over 64 images at a time, and in float64 over these.
    """
    sums = np.zeros((len(draws), statistics.shape[1]))
    _add(np.ascontiguousarray(draws), np.ascontiguousarray(statistics), sums)
    return sums


@compiled()
def _add(draws, statistics, sums):  # type: ignore[no-untyped-def]
    images, columns = statistics.shape
    drawn = np.empty(_BLOCK, np.int64)
    for start in range(0, images, _BLOCK):
        for resample in range(len(draws)):
            times = draws[resample]
            found = 0
            for image in range(start, min(images, start + _BLOCK)):
                if times[image]:
                    drawn[found] = image
                    found += 1
            total = np.zeros(columns, statistics.dtype)
            fours = found // 4 * 4
            for i in range(
                0, fours, 4
            ):  # four at a time: a quarter of the loads and stores of total
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
            for i in range(fours, found):
                weight, row = np.float32(times[drawn[i]]), statistics[drawn[i]]
                for k in range(columns):
                    total[k] += weight * row[k]
            for k in range(columns):
                sums[resample, k] += total[k]
