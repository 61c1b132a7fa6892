"""From joint counts to true and false positives: at 256 thresholds, and at the adaptive one."""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.compiled import compiled
from sodbench.metrics.counts import (
    LEVELS,
    STANDARD_RULE,
    TIE_EXCLUDED,
    CountingRule,
    Counts,
    Preparation,
    adaptive_level,
    value_range,
    values,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Confusion:
    """True and false positives, float64 [N, T] holding exact integers, for masks with the given class sizes.

    positives, negatives: float64 [N, 1], foreground and background pixels of the masks.
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

    @property
    def total(self) -> Floats:
        """Pixels [N, 1]."""
        return self.positives + self.negatives


@dataclass(frozen=True)
class PreparedCounts:
    """The counts of N pairs under one counting rule, with the value of each grey level under one preparation.

    joint: uint32 [N, 4, 2, 256]; per_class: float64 [N, 2, 256], the same without the quadrants.
    low, high: int64 [N], the grey levels with the values 0 and 1; value: float64 [N, 256].
    knife_edge: uint8 [N], the flags that belong to this preparation (0 where there are none).
    """

    joint: NDArray[np.uint32]
    per_class: Floats
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    value: Floats
    knife_edge: NDArray[np.uint8]

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


def prepare(counts: Counts, rule: CountingRule, preparation: Preparation) -> PreparedCounts:
    """Apply a counting rule and a map preparation to N pairs."""
    # contiguous and aligned, as records of a file are not
    joint = counts.under(rule).astype(np.uint32)
    per_class = joint.sum(axis=1, dtype=np.float64)
    present = per_class.any(axis=1)
    darkest = present.argmax(axis=1)
    brightest = 255 - present[:, ::-1].argmax(axis=1)
    ranges = [
        value_range(a, b, preparation)
        for a, b in zip(darkest.tolist(), brightest.tolist(), strict=True)
    ]
    low, high = np.array(ranges, np.int64).reshape(-1, 2).T
    flags = {"raw": counts.knife_edge[:, 0], "min-max": counts.knife_edge[:, 1]}
    edges = flags.get(preparation, np.zeros(len(counts), np.uint8))
    if rule != STANDARD_RULE:  # the flat quadrants that were noted are the standard rule's
        edges = edges & np.uint8(TIE_EXCLUDED)
    return PreparedCounts(
        joint=joint,
        per_class=per_class,
        low=low,
        high=high,
        value=np.array([values(a, b) for a, b in ranges]).reshape(-1, 256),
        knife_edge=edges,
    )


@cache
def _first_levels(low: int, high: int, comparison: str) -> NDArray[np.intp]:
    """The lowest selected grey level at each threshold 0..255, intp [256]; 256 where no level is selected."""
    if comparison == ">":
        scaled = 255 * values(low, high)
        return np.searchsorted(scaled, LEVELS, side="right")
    if comparison == "trunc>=":
        truncated = np.trunc(np.maximum(values(low, high) * 255, -1))
        return np.searchsorted(truncated, LEVELS, side="left")
    return np.searchsorted(values(low, high), LEVELS / 255, side="left")


def at_thresholds(prepared: PreparedCounts, comparison: str) -> Confusion:
    """The confusion at the thresholds 0..255 under one comparison of protocols.Protocol, [N, 256]."""
    ranges = zip(prepared.low.tolist(), prepared.high.tolist(), strict=True)
    first = np.array([_first_levels(low, high, comparison) for low, high in ranges], np.intp)
    return _at_least(prepared, first.reshape(-1, 256))


def at_adaptive(prepared: PreparedCounts) -> Confusion:
    """The confusion at the adaptive threshold, twice the map's mean but at most 1 (value >= threshold), [N, 1]."""
    per_level = prepared.per_class.sum(axis=1).astype(np.int64)
    pixels = per_level.sum(axis=1)
    excess = per_level @ LEVELS - pixels * prepared.low
    first_level = adaptive_level(excess, pixels, prepared.low, prepared.high)
    first_level += prepared.knife_edge & TIE_EXCLUDED > 0
    return _at_least(prepared, first_level[:, None])


def _at_least(prepared: PreparedCounts, first: NDArray[np.intp]) -> Confusion:
    """The confusion where the grey levels from ``first`` [N, T] on are selected; none from 256 on."""
    fp, tp = _selected(prepared.per_class, first)
    return Confusion(tp, fp, prepared.positives, prepared.negatives)


@compiled()
def _selected(per_class, first):  # type: ignore[no-untyped-def]
    """Pixels of each class at or above the levels, float64 [2, N, T]."""
    found = np.empty((2, *first.shape))
    at_least = np.zeros((2, 257))
    for n in range(len(first)):
        background = foreground = 0.0
        for level in range(255, -1, -1):
            background += per_class[n, 0, level]
            foreground += per_class[n, 1, level]
            at_least[0, level], at_least[1, level] = background, foreground
        for class_ in range(2):
            for t in range(first.shape[1]):
                found[class_, n, t] = at_least[class_, first[n, t]]
    return found
