"""The joint counts of one pass over a map and its mask: what every measure but weighted F is computed from.

For a pair of uint8 pictures the *joint histogram* says how many pixels lie in each quadrant of the mask's
centroid split (4: top left, top right, bottom left, bottom right), belong to each mask class (2: background,
foreground) and have each grey level of the map (256).  The counts are integers: they add, store and compare
exactly, in any order.

Two things are not functions of that histogram alone and are kept beside it: the absolute error against a mask of
several grey levels (SalMetric's MAE), and the outcome of two knife-edge comparisons that PySODMetrics decides by
the rounding inside numpy's ``mean``; they are looked up in the pixels on the rare pairs where they occur.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache, cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.compiled import compiled
from sodbench.metrics.weighted_f import Geometry, weighted_f, weighted_geometry


@dataclass(frozen=True)
class CountingRule:
    """What makes a mask pixel foreground, and how the centroid is rounded to a split of the picture.

    foreground_above: a mask pixel is foreground when its value is greater than this.
    centroid: the split lies after row and column ``round(mean of the 0-based coordinates) + 1``, with ties rounded
        to even (PySODMetrics) or up (MATLAB's ``round`` of the 1-based mean).
    """

    foreground_above: int
    centroid: Literal["half-even", "half-up"]

    def __post_init__(self) -> None:
        above: Any = self.foreground_above
        if isinstance(above, bool) or not isinstance(above, int) or not 0 <= above <= 254:
            raise ValueError(f"foreground_above is an integer in 0..254, not {above!r}")
        if self.centroid not in ("half-even", "half-up"):
            raise ValueError(f"centroid is 'half-even' or 'half-up', not {self.centroid!r}")

    def __str__(self) -> str:
        return f"foreground >{self.foreground_above}, centroid rounded {self.centroid}"


STANDARD_RULE = CountingRule(128, "half-even")
"""Foreground above 128, as SalMetric and PySODMetrics; PySODMetrics' centroid."""
MATLAB_RULE = CountingRule(25, "half-up")
"""Foreground from 26 (0.1 of 255), MATLAB's centroid: sal_eval_toolbox."""

Preparation = Literal["raw", "min-max", "maximum"]
PREPARATIONS: tuple[Preparation, ...] = ("raw", "min-max", "maximum")
"""How a map's bytes become values in [0, 1]: divided by 255; stretched from its minimum and maximum to 0 and 1; divided
by its maximum.  A constant map (min-max) or a black one (maximum) is left as it is.  The index in this tuple is
the column of :attr:`Counts.wf`."""


@dataclass(frozen=True)
class SecondRule:
    """What pairs are counted under beside :data:`STANDARD_RULE`.

    Attributes
    ----------
    rule : CountingRule
        Pairs whose counts differ under it are counted twice.
    map : {"raw", "min-max", "maximum"}
        The one preparation whose weighted F is computed with this rule's foreground; that of the others has the
        standard rule's.
    """

    rule: CountingRule
    map: Preparation


MATLAB_SECOND = SecondRule(MATLAB_RULE, "maximum")
"""What is counted, and stored in files, for the three protocols of :mod:`sodbench.metrics.protocols`."""


def value_range(darkest: int, brightest: int, preparation: Preparation) -> tuple[int, int]:
    """The grey levels that a preparation sends to 0 and to 1, for a map with these extremes."""
    if preparation == "min-max" and brightest > darkest:
        return darkest, brightest
    if preparation == "maximum" and brightest > 0:
        return 0, brightest
    return 0, 255


@cache
def values(low: int, high: int) -> NDArray[np.float64]:
    """The value of each grey level, float64[256]; the same float64 operations as PySODMetrics, in its order.

    Levels outside [low, high], which the map does not contain, get values outside [0, 1].
    """
    level = np.arange(256) / 255
    found: NDArray[np.float64] = (level - low / 255) / (high / 255 - low / 255)
    found.flags.writeable = False
    return found


class Split(NamedTuple):
    """The centroid split of one mask: rows < ``row`` are the upper half, columns < ``column`` the left one."""

    foreground_above: int
    row: int
    column: int


class PreparedMask:
    """Everything about one mask that all maps scored against it share.

    pixels: uint8 [h, w], values 0..255, as stored.
    levels: the grey levels that occur, ascending.
    second_rule: the rule, besides the standard one, that maps are counted under.
    """

    def __init__(self, pixels: NDArray[np.uint8], second_rule: SecondRule = MATLAB_SECOND):
        check_picture(pixels, "mask")
        self.pixels = np.ascontiguousarray(pixels)
        self.second_rule = second_rule
        # int(): without the compiler these are numpy's integers, whose arithmetic wraps around
        *standard, binary = map(int, _moments(self.pixels, STANDARD_RULE.foreground_above))
        second = standard
        if not binary:
            *second, _ = map(int, _moments(self.pixels, second_rule.rule.foreground_above))
        self.standard = _split(STANDARD_RULE, standard, self.pixels.shape)
        self.second = _split(second_rule.rule, second, self.pixels.shape)
        self.foreground: int = standard[0]
        self._same_foreground = standard[0] == second[0]
        self.is_binary = bool(binary)
        """Whether the only grey levels are 0 and 255."""
        self.levels: tuple[int, ...] = self._binary_levels() if binary else self._all_levels()

    def _binary_levels(self) -> tuple[int, ...]:
        background = self.pixels.size - self.foreground
        return (0,) * (background > 0) + (255,) * (self.foreground > 0)

    def _all_levels(self) -> tuple[int, ...]:
        per_level = np.bincount(self.pixels.ravel(), minlength=256)
        return tuple(np.flatnonzero(per_level).tolist())

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def rules_differ(self) -> bool:
        """Whether the two counting rules give different counts on this mask."""
        return not (self._same_foreground and self.standard[1:] == self.second[1:])

    @cached_property
    def geometry(self) -> Geometry:
        """The mask's part of weighted F, under the standard rule."""
        return self._geometry(STANDARD_RULE)

    @cached_property
    def second_geometry(self) -> Geometry:
        """The mask's part of weighted F, under the second rule's foreground."""
        return self.geometry if self._same_foreground else self._geometry(self.second_rule.rule)

    def _geometry(self, rule: CountingRule) -> Geometry:
        return weighted_geometry(self.pixels, rule.foreground_above)


def check_picture(pixels: Any, name: str) -> None:
    """Raise ValueError unless ``pixels`` is a non-empty uint8 array [h, w]."""
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2:
        found = (
            f"{pixels.dtype} {pixels.shape}"
            if isinstance(pixels, np.ndarray)
            else type(pixels).__name__
        )
        raise ValueError(f"a {name} is a uint8 array [h, w]; this one is {found}")
    if pixels.size == 0:
        raise ValueError(f"the {name} has no pixels: its shape is {pixels.shape}")


def _split(rule: CountingRule, moments: Sequence[int], shape: tuple[int, ...]) -> Split:
    count, rows, columns = moments
    if count == 0:
        return Split(rule.foreground_above, shape[0], shape[1])
    return Split(
        rule.foreground_above,
        _rounded(rows, count, rule.centroid) + 1,
        _rounded(columns, count, rule.centroid) + 1,
    )


def _rounded(total: int, count: int, ties: str) -> int:
    whole, rest = divmod(total, count)
    if 2 * rest == count:
        return whole + (whole % 2 if ties == "half-even" else 1)
    return whole + (2 * rest > count)


ABREAST = 16
"""Rows of a mask that are added up side by side: one alone leaves most of a vector loop to its scalar end."""
DEEP = 22
"""So many times, one below the other, before a byte could overflow: 0 + 1 + ... + 21 is 231."""


@compiled()
def _moments(mask, above):  # type: ignore[no-untyped-def]
    """Number, sum of rows and sum of columns of a mask's foreground, and whether all of it is 0 or 255."""
    height, width = mask.shape
    pixels = mask.reshape(-1)
    abreast = min(ABREAST, height)
    count = np.empty(abreast * width, np.uint8)
    below = np.empty(abreast * width, np.uint8)
    others = np.zeros(abreast * width, np.uint8)
    total = rows = columns = np.int64(0)
    for top in range(0, height, ABREAST * DEEP):
        count[:] = below[:] = 0
        for deep in range(min(DEEP, -(-(height - top) // ABREAST))):
            begin = (top + deep * ABREAST) * width
            _add_foreground(pixels[begin : begin + len(count)], above, deep, count, below, others)
        for row in range(abreast):
            here = down = np.int64(0)
            for x in range(width):
                inside = np.int64(count[row * width + x])
                here += inside
                down += np.int64(below[row * width + x])
                columns += inside * x
            total += here
            rows += here * (top + row) + down * ABREAST
    other = np.uint8(0)
    for i in range(len(others)):
        other |= others[i]
    return total, rows, columns, other == 0


@compiled()
def _add_foreground(pixels, above, deep, count, below, others):  # type: ignore[no-untyped-def]
    """Add to the count of each pixel's place, and to its sum of ``deep``; note values that are not 0 or 255.

    Everything is a byte and there are no branches: LLVM makes that vectors.
    """
    threshold, weight = np.uint8(above), np.uint8(deep)
    for i in range(len(pixels)):
        inside = np.uint8(pixels[i] > threshold)
        count[i] += inside
        below[i] += inside * weight
        # 255 and 0 become 0 and 1, whose higher bits are 0
        others[i] |= np.uint8(pixels[i] + np.uint8(1)) & np.uint8(254)


class _Tally(NamedTuple):
    """What one pass over a pair counts, and what its joint counts say about the map.

    joint: uint32 [4, 2, 256].  darkest, brightest: grey levels; level_sum: sum of the pixels' grey levels.
    binary_error: sum of abs(map - mask) if the mask is 0 and 255.
    flat: for each quadrant the grey level that all its pixels share, if they share the mask's class too, else -1.
    """

    joint: NDArray[np.uint32]
    darkest: int
    brightest: int
    level_sum: int
    binary_error: int
    flat: tuple[int, int, int, int]


CODES = 4 * 2 * 256
"""Quadrant, mask class and grey level of a pixel in one number."""
TABLES = 8
"""Neighbouring pixels are counted in tables of their own: they are mostly alike, and an increment waits for the one before it."""
APART = 80
"""Entries between the tables: a processor takes addresses whose last twelve bits are equal for the same."""
PIECE = 4096
"""About so many pixels are coded at a time, to be counted while they are in the nearest cache."""


@compiled()
def _tally(map_, mask, above, row, column):  # type: ignore[no-untyped-def]
    """The fields of a _Tally, of contiguous pictures."""
    height, width = map_.shape
    levels, classes = map_.reshape(-1), mask.reshape(-1)
    tables = np.zeros((TABLES, CODES + APART), np.uint32)
    step = max(PIECE // width, 1)
    codes = np.empty(step * width, np.uint16)
    quadrants = np.zeros((step, width), np.uint16)
    quadrants[:, column:] = 512
    for first, last in ((0, row), (row, height)):
        for top in range(first, last, step):
            begin, end = top * width, min(top + step, last) * width
            _code(levels[begin:end], classes[begin:end], above, quadrants.reshape(-1), codes)
            _add(codes[: end - begin], tables)
        quadrants += np.uint16(1024)
    joint = np.empty((4, 512), np.uint32)
    per_class = np.empty((2, 256), np.uint32)
    _total(tables, joint.reshape(-1), per_class.reshape(-1))
    darkest, brightest = 0, 255
    while per_class[0, darkest] + per_class[1, darkest] == 0:
        darkest += 1
    while per_class[0, brightest] + per_class[1, brightest] == 0:
        brightest -= 1
    level_sum = binary_error = np.int64(0)
    for level in range(256):
        background, foreground = np.int64(per_class[0, level]), np.int64(per_class[1, level])
        level_sum += (background + foreground) * level
        binary_error += background * level + foreground * (255 - level)
    flat = (_only(joint[0]), _only(joint[1]), _only(joint[2]), _only(joint[3]))
    return joint.reshape(4, 2, 256), darkest, brightest, level_sum, binary_error, flat


@compiled()
def _code(levels, classes, above, quadrants, codes):  # type: ignore[no-untyped-def]
    threshold = np.uint8(above)
    for i in range(len(levels)):
        inside = np.uint16(classes[i] > threshold)
        codes[i] = np.uint16(levels[i]) | (inside << np.uint16(8)) | quadrants[i]


@compiled()
def _add(codes, tables):  # type: ignore[no-untyped-def]
    """Count each code in one of the tables."""
    whole = len(codes) // TABLES * TABLES
    for i in range(0, whole, TABLES):
        for table in range(TABLES):
            tables[table, codes[i + table]] += np.uint32(1)
    for i in range(whole, len(codes)):
        tables[0, codes[i]] += np.uint32(1)


@compiled()
def _total(tables, joint, per_class):  # type: ignore[no-untyped-def]
    """The tables together, and that without the quadrants."""
    joint[:] = 0
    for table in range(TABLES):
        for code in range(CODES):
            joint[code] += tables[table, code]
    for code in range(512):
        per_class[code] = joint[code] + joint[512 + code] + joint[1024 + code] + joint[1536 + code]


@compiled()
def _only(quadrant):  # type: ignore[no-untyped-def]
    """The grey level that all pixels of a quadrant share, counts [512], if they share their class too; else -1."""
    occupied = 0
    for code in range(512):
        occupied += quadrant[code] > 0
    if occupied == 1:
        for code in range(512):
            if quadrant[code]:
                return code % 256
    return -1


@compiled()
def _absolute_error(map_, mask):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    height, width = map_.shape
    for y in range(height):
        for x in range(width):
            total += abs(np.int64(map_[y, x]) - np.int64(mask[y, x]))
    return total


@dataclass(frozen=True)
class Counts:
    """The counts of N pairs; slice them like an array, join them with :meth:`concatenate`.

    joint: uint32 [N, 4, 2, 256] (quadrant, mask class, grey level) under :data:`STANDARD_RULE`.
    matlab_rows: int64 [K], ascending: the pairs whose counts differ under the second rule, which is
        :data:`MATLAB_RULE` unless the pairs were counted for a protocol with another one.
    matlab_joint: uint32 [K, 4, 2, 256]: their counts under that rule.
    size: int32 [N, 2], height and width in pixels.
    absolute_error: int64 [N], the sum over the pixels of abs(map - mask), in grey levels of the mask as stored.
    knife_edge: uint8 [N, 2], for the raw and the min-max map: bits 0..3, the numpy mean of that flat quadrant is
        not its value; bit 4, the numpy mean puts the adaptive threshold above a level that equals it.
    wf: float64 [N, 3], weighted F of the raw, min-max and divided-by-maximum map (NaN where it was not computed); the
        column of ``second_rule.map`` with that rule's foreground, the others with the standard one.
    second_rule: what ``matlab_rows``, ``matlab_joint`` and that column were counted under.
    """

    joint: NDArray[np.uint32]
    matlab_rows: NDArray[np.int64]
    matlab_joint: NDArray[np.uint32]
    size: NDArray[np.int32]
    absolute_error: NDArray[np.int64]
    knife_edge: NDArray[np.uint8]
    wf: NDArray[np.float64]
    second_rule: SecondRule = MATLAB_SECOND

    def __len__(self) -> int:
        return len(self.joint)

    def __getitem__(self, rows: slice | NDArray[np.intp] | Sequence[int]) -> "Counts":
        chosen = np.arange(len(self))[rows]
        slot = np.full(len(self), -1)
        slot[self.matlab_rows] = np.arange(len(self.matlab_rows))
        slots = slot[chosen]
        return Counts(
            joint=self.joint[rows],
            matlab_rows=np.flatnonzero(slots >= 0),
            matlab_joint=self.matlab_joint[slots[slots >= 0]],
            size=self.size[rows],
            absolute_error=self.absolute_error[rows],
            knife_edge=self.knife_edge[rows],
            wf=self.wf[rows],
            second_rule=self.second_rule,
        )

    def under(self, rule: CountingRule) -> NDArray[np.uint32]:
        """The joint counts of every pair under one of the two rules that were counted.

        Parameters
        ----------
        rule : CountingRule
            :data:`STANDARD_RULE` or ``second_rule.rule``.

        Returns
        -------
        uint32 [N, 4, 2, 256]
            Quadrant, mask class, grey level.

        Raises
        ------
        ValueError
            For any other rule: what is foreground under it cannot be told from these counts.
        """
        if rule == STANDARD_RULE:
            return self.joint
        if rule != self.second_rule.rule:
            raise ValueError(
                f"these counts do not hold the rule '{rule}', only '{STANDARD_RULE}' and '{self.second_rule.rule}'; "
                "count the pairs again with an Evaluator made for this protocol"
            )
        if not len(self.matlab_rows):
            return self.joint
        joint = self.joint.copy()
        joint[self.matlab_rows] = self.matlab_joint
        return joint

    def foreground(self, rule: CountingRule) -> NDArray[np.int64]:
        """Number of foreground pixels of each mask under one of the two rules, int64 [N]."""
        pixels: NDArray[np.int64] = self.under(rule)[:, :, 1].sum(axis=(1, 2), dtype=np.int64)
        return pixels

    def weighted_f(self, preparation: Preparation, rule: CountingRule) -> NDArray[np.float64]:
        """Weighted F of each pair under a preparation and a rule's foreground.

        Returns
        -------
        float64 [N]
            NaN where weighted F was left out when the pairs were counted.

        Raises
        ------
        ValueError
            When it was computed with another foreground.
        """
        found: NDArray[np.float64] = self.wf[:, PREPARATIONS.index(preparation)]
        second = self.second_rule
        held = second.rule if preparation == second.map else STANDARD_RULE
        if held.foreground_above != rule.foreground_above and not np.isnan(found).all():
            raise ValueError(
                f"weighted F of the {preparation} map was counted with foreground >{held.foreground_above}, "
                f"not >{rule.foreground_above}; count the pairs again with an Evaluator made for this protocol, "
                "or without weighted F"
            )
        return found

    @classmethod
    def concatenate(cls, parts: Iterable["Counts"]) -> "Counts":
        """All pairs of ``parts``, in order.

        Raises
        ------
        ValueError
            When they were counted under different rules.
        """
        parts = list(parts)
        rules = list(dict.fromkeys(part.second_rule for part in parts))
        if len(rules) > 1:
            raise ValueError(
                f"counts under different rules cannot be joined: '{rules[0].rule}' of the {rules[0].map} map "
                f"and '{rules[1].rule}' of the {rules[1].map} map"
            )
        parts = [EMPTY, *parts]
        offsets = np.cumsum([0, *(len(part) for part in parts)])
        arrays = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in (field.name for field in fields(cls))
            if name != "second_rule"
        }
        arrays["matlab_rows"] = np.concatenate(
            [part.matlab_rows + offset for part, offset in zip(parts, offsets, strict=False)]
        )
        return cls(**arrays, second_rule=rules[0] if rules else MATLAB_SECOND)


EMPTY = Counts(
    joint=np.zeros((0, 4, 2, 256), np.uint32),
    matlab_rows=np.zeros(0, np.int64),
    matlab_joint=np.zeros((0, 4, 2, 256), np.uint32),
    size=np.zeros((0, 2), np.int32),
    absolute_error=np.zeros(0, np.int64),
    knife_edge=np.zeros((0, 2), np.uint8),
    wf=np.zeros((0, 3)),
)


class PairCounts(NamedTuple):
    """The counts of one pair, as in :class:`Counts`; ``matlab_joint`` where the two rules differ.

    brightest: the map's highest grey level.
    second_rule: of the mask.
    """

    joint: NDArray[np.uint32]
    matlab_joint: NDArray[np.uint32] | None
    size: tuple[int, int]
    absolute_error: int
    knife_edge: tuple[int, int]
    wf: tuple[float, float, float]
    brightest: int
    second_rule: SecondRule = MATLAB_SECOND

    @property
    def counts(self) -> Counts:
        """The same as the counts of N = 1 pairs."""
        matlab = [] if self.matlab_joint is None else [self.matlab_joint]
        return Counts(
            joint=self.joint[None],
            matlab_rows=np.arange(len(matlab)),
            matlab_joint=np.array(matlab, np.uint32).reshape(-1, 4, 2, 256),
            size=np.array([self.size], np.int32),
            absolute_error=np.array([self.absolute_error]),
            knife_edge=np.array([self.knife_edge], np.uint8),
            wf=np.array([self.wf]),
            second_rule=self.second_rule,
        )


def count_pair(map_: NDArray[np.uint8], mask: PreparedMask, *, weighted: bool = True) -> Counts:
    """Count one saliency map, uint8 [h, w], against one mask of the same size.

    weighted: also compute weighted F, the only measure that needs the pixels' places (else NaN).
    Raises ValueError for another dtype or size.
    """
    return pair_counts(map_, mask, weighted=weighted).counts


def pair_counts(
    map_: NDArray[np.uint8], mask: PreparedMask, *, weighted: bool = True
) -> PairCounts:
    """The same as :func:`count_pair`, in a lighter form."""
    check_picture(map_, "saliency map")
    if map_.shape != mask.pixels.shape:
        raise ValueError(
            f"the saliency map is {_size(map_)} and the mask {_size(mask.pixels)} (height x width); resize the map to the mask"
        )
    map_ = np.ascontiguousarray(map_)
    tally = _count(map_, mask, mask.standard)
    error = tally.binary_error if mask.is_binary else _absolute_error(map_, mask.pixels)
    return PairCounts(
        joint=tally.joint,
        matlab_joint=_count(map_, mask, mask.second).joint if mask.rules_differ else None,
        size=(map_.shape[0], map_.shape[1]),
        absolute_error=error,
        knife_edge=_knife_edges(map_, mask, tally),
        wf=_weighted(map_, mask, tally) if weighted else (math.nan, math.nan, math.nan),
        brightest=tally.brightest,
        second_rule=mask.second_rule,
    )


def compile_kernels() -> None:
    """Have numba compile, or load from its cache, all that :func:`pair_counts` may call.

    :func:`sodbench.metrics.compiled.announcing` tells whether anything is compiled, before it is.
    """
    grey = np.eye(8, dtype=np.uint8) * np.uint8(200)  # for what binary masks do not need
    pair_counts(grey, PreparedMask(grey))


def _size(pixels: NDArray[np.uint8]) -> str:
    return f"{pixels.shape[0]}x{pixels.shape[1]}"


def _count(map_: NDArray[np.uint8], mask: PreparedMask, split: Split) -> _Tally:
    joint, darkest, brightest, level_sum, binary_error, flat = _tally(
        map_, mask.pixels, split.foreground_above, split.row, split.column
    )
    # int(): as in PreparedMask
    return _Tally(joint, darkest, brightest, int(level_sum), int(binary_error), flat)


LEVELS = np.arange(256)


def _weighted(
    map_: NDArray[np.uint8], mask: PreparedMask, tally: _Tally
) -> tuple[float, float, float]:
    """Weighted F under each of PREPARATIONS, of which several may be the same."""
    scales = []
    for preparation in PREPARATIONS:
        low, high = value_range(tally.darkest, tally.brightest, preparation)
        scales.append((1 / (high - low), -low / (high - low)))
    distinct = list(dict.fromkeys(scales))
    scores = weighted_f(map_, mask.geometry, np.array(distinct)).tolist()
    found = [scores[distinct.index(scale)] for scale in scales]
    if mask.second_geometry is not mask.geometry:
        second = PREPARATIONS.index(mask.second_rule.map)
        found[second] = float(weighted_f(map_, mask.second_geometry, np.array([scales[second]]))[0])
    return found[0], found[1], found[2]


TIE_EXCLUDED = 0b10000


def _knife_edges(map_: NDArray[np.uint8], mask: PreparedMask, tally: _Tally) -> tuple[int, int]:
    """The flags of :attr:`Counts.knife_edge` of one pair: the pixels are asked only where it matters."""
    raw, stretched = (
        value_range(tally.darkest, tally.brightest, name) for name in PREPARATIONS[:2]
    )
    flags = _knife_edge(map_, mask, tally, *raw)
    return flags, flags if stretched == raw else _knife_edge(map_, mask, tally, *stretched)


def _knife_edge(
    map_: NDArray[np.uint8], mask: PreparedMask, tally: _Tally, low: int, high: int
) -> int:
    flags = 0
    excess = tally.level_sum - low * map_.size
    level, rest = divmod(2 * excess, map_.size)
    if rest == 0 and low + level <= high and tally.joint[:, :, low + level].any():
        value = values(low, high)
        threshold = min(2 * value[map_].mean(), 1)
        flags |= TIE_EXCLUDED * bool(value[low + level] < threshold)
    for quadrant, grey in enumerate(tally.flat):
        if low < grey < high:
            value_ = values(low, high)[grey]
            block = _quadrant(np.full(map_.shape, value_), mask.standard, quadrant)
            flags |= (1 << quadrant) * bool(block.mean() != value_)
    return flags


def _quadrant(values_: NDArray[np.float64], split: Split, quadrant: int) -> NDArray[np.float64]:
    rows = slice(None, split.row) if quadrant < 2 else slice(split.row, None)
    columns = slice(None, split.column) if quadrant % 2 == 0 else slice(split.column, None)
    return values_[rows, columns]


def adaptive_level(excess: Any, pixels: Any, low: Any, high: Any) -> Any:
    """The first grey level at or above the adaptive threshold min(2 * mean, 1), in exact arithmetic.

    Integers, or int64 arrays of one shape.  excess: sum over the pixels of level - low; ``low`` and ``high`` as from
    :func:`value_range`.
    """
    level = low - (-2 * excess // pixels)
    return np.where(level > high, high, level)
