"""True and false positives from joint histograms: at 256 thresholds, and at the adaptive one."""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.arrays import Floats
from sodbench.metrics.compiled import compiled
from sodbench.metrics.counts import Counts
from sodbench.metrics.protocols import (
    AdaptiveComparison,
    CountingRule,
    Preparation,
    ThresholdComparison,
)
from sodbench.metrics.ties import TIE_EXCLUDED, normalised_levels, value_range

_LEVELS = np.arange(256)


@dataclass(frozen=True)
class Confusion:
    """True and false positives of N maps at T thresholds.

    Attributes
    ----------
    tp, fp : float64 [N, T]
        Selected foreground and background pixels, exact integers.
    positives, negatives : float64 [N, 1]
        Foreground and background pixels of the masks.
    """

    tp: Floats
    fp: Floats
    positives: Floats
    negatives: Floats

    @property
    def fn(self) -> Floats:
        """False negatives [N, T]."""
        return self.positives - self.tp

    @property
    def tn(self) -> Floats:
        """True negatives [N, T]."""
        return self.negatives - self.fp


@dataclass(frozen=True)
class PreparedCounts:
    """The counts of N pairs under one counting rule, with the value of each grey level under one preparation.

    Attributes
    ----------
    histogram : uint32 [N, 4, 2, 256]
        Pixels by quadrant, mask class and grey level.
    per_class : float64 [N, 2, 256]
        The same without the quadrants.
    low, high : int64 [N]
        The grey levels of value 0 and 1.
    value : float64 [N, 256]
        The value of each grey level.
    tie_flags : uint8 [N]
        See ties.py; 0 where the preparation has none.
    """

    histogram: NDArray[np.uint32]
    per_class: Floats
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    value: Floats
    tie_flags: NDArray[np.uint8]

    @cached_property
    def positives(self) -> Floats:
        """Foreground pixels [N, 1]."""
        pixels: Floats = self.per_class[:, 1].sum(axis=-1, keepdims=True)
        return pixels

    @cached_property
    def negatives(self) -> Floats:
        """Background pixels [N, 1]."""
        pixels: Floats = self.per_class[:, 0].sum(axis=-1, keepdims=True)
        return pixels


def prepare_counts(counts: Counts, rule: CountingRule, preparation: Preparation) -> PreparedCounts:
    """Apply a counting rule and a map preparation to N pairs.

    Parameters
    ----------
    counts : Counts
    rule : CountingRule
        One that the counts hold.
    preparation : {"raw", "min-max", "maximum"}

    Returns
    -------
    PreparedCounts

    Raises
    ------
    ValueError
        When the counts do not hold the rule.
    """
    rule_counts = counts.for_rule(rule)
    # contiguous and aligned, as the records of a file are not
    histogram = rule_counts.histogram.astype(np.uint32)
    per_class = histogram.sum(axis=1, dtype=np.float64)
    present = per_class.any(axis=1)
    darkest = present.argmax(axis=1)
    brightest = 255 - present[:, ::-1].argmax(axis=1)
    ranges = [
        value_range(a, b, preparation)
        for a, b in zip(darkest.tolist(), brightest.tolist(), strict=True)
    ]
    low, high = np.array(ranges, np.int64).reshape(-1, 2).T
    flags = {"raw": rule_counts.tie_flags[:, 0], "min-max": rule_counts.tie_flags[:, 1]}
    return PreparedCounts(
        histogram=histogram,
        per_class=per_class,
        low=low,
        high=high,
        value=np.array([normalised_levels(a, b) for a, b in ranges]).reshape(-1, 256),
        tie_flags=flags.get(preparation, np.zeros(len(counts), np.uint8)),
    )


def at_thresholds(prepared: PreparedCounts, comparison: ThresholdComparison) -> Confusion:
    """Binarise N maps at the thresholds 0..255.

    Parameters
    ----------
    prepared : PreparedCounts
    comparison : {">", "trunc>=", ">=", ">=254", "colon>=", "colon>"}
        See `sodbench.metrics.protocols.Protocol`.

    Returns
    -------
    Confusion
        [N, 256].
    """
    ranges = zip(prepared.low.tolist(), prepared.high.tolist(), strict=True)
    first = np.array([_first_levels(low, high, comparison) for low, high in ranges], np.intp)
    return _select_from(prepared, first.reshape(-1, 256))


def at_adaptive_threshold(
    prepared: PreparedCounts, comparison: AdaptiveComparison = ">="
) -> Confusion:
    """Binarise N maps at the adaptive threshold, twice the map's mean but at most 1.

    Parameters
    ----------
    prepared : PreparedCounts
    comparison : {">=", ">", ">=unclipped"}
        How a value is compared with the threshold, which is above 1 in the last case where twice the mean is.

    Returns
    -------
    Confusion
        [N, 1].
    """
    per_level = prepared.per_class.sum(axis=1).astype(np.int64)
    pixels = per_level.sum(axis=1)
    # the first level at or above the threshold, in exact arithmetic
    excess = per_level @ _LEVELS - pixels * prepared.low
    if comparison == ">":
        # strictly above; where the threshold is the brightest level, none is selected
        first_level = prepared.low + np.minimum(
            2 * excess // pixels + 1, prepared.high - prepared.low + 1
        )
        return _select_from(prepared, first_level[:, None])
    first_level = prepared.low - (-2 * excess // pixels)
    first_level = np.minimum(first_level, prepared.high if comparison == ">=" else 256)
    # where numpy's mean is above the exact one, a level that equals the threshold is not selected
    first_level = np.minimum(first_level + (prepared.tie_flags & TIE_EXCLUDED > 0), 256)
    return _select_from(prepared, first_level[:, None])


def above_value(prepared: PreparedCounts, value: float) -> Confusion:
    """Binarise N maps at a fixed threshold: pixels above it are selected.

    Parameters
    ----------
    prepared : PreparedCounts
    value : float
        In [0, 1].

    Returns
    -------
    Confusion
        [N, 1].
    """
    first_level = (prepared.value <= value).sum(axis=1)
    return _select_from(prepared, first_level[:, None])


@cache
def _first_levels(low: int, high: int, comparison: ThresholdComparison) -> NDArray[np.intp]:
    """The lowest selected grey level at each threshold 0..255, intp [256]; 256 where no level is selected."""
    # 256 thresholds of one value range: maps share few ranges, so the tables are cached
    values = normalised_levels(low, high)
    if comparison == ">":
        return np.searchsorted(255 * values, _LEVELS, side="right")
    if comparison == "trunc>=":
        # levels below the range would truncate towards 0 and count as selected at threshold 0
        truncated = np.trunc(np.maximum(values * 255, -1))
        return np.searchsorted(truncated, _LEVELS, side="left")
    if comparison == ">=254":
        # 255 thresholds; the last one counts as two, so that every curve has 256 points
        return np.searchsorted(values, np.minimum(_LEVELS, 254) / 254, side="left")
    if comparison in ("colon>=", "colon>"):
        # as MATLAB computes 1:-1/255:0, which is not the same as t / 255 in every last bit
        thresholds = 1 + (255 - _LEVELS) * (-1 / 255)
        return np.searchsorted(
            values, thresholds, side="left" if comparison == "colon>=" else "right"
        )
    return np.searchsorted(values, _LEVELS / 255, side="left")


def _select_from(prepared: PreparedCounts, first: NDArray[np.intp]) -> Confusion:
    """The confusion where the grey levels from ``first`` [N, T] on are selected; none from 256 on."""
    fp, tp = _pixels_from(prepared.per_class, first)
    return Confusion(tp, fp, prepared.positives, prepared.negatives)


@compiled()
def _pixels_from(per_class, first):  # type: ignore[no-untyped-def]
    """Pixels of each class at or above the levels, float64 [2, N, T]."""
    pixels = np.empty((2, *first.shape))
    # level 256 stays 0: nothing is selected from there on
    at_least = np.zeros((2, 257))
    for n in range(len(first)):
        background = foreground = 0.0
        for level in range(255, -1, -1):
            background += per_class[n, 0, level]
            foreground += per_class[n, 1, level]
            at_least[0, level], at_least[1, level] = background, foreground
        for class_ in range(2):
            for t in range(first.shape[1]):
                pixels[class_, n, t] = at_least[class_, first[n, t]]
    return pixels
