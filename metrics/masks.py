"""Ground-truth masks, prepared once for all maps that are scored against them."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.compiled import compiled
from sodbench.metrics.protocols import CountingRule
from sodbench.metrics.schemes import DEFAULT_SCHEME, CountingScheme
from sodbench.metrics.weighted_f import Geometry, weighted_geometry

T = TypeVar("T")

# Rows of a mask that are summed side by side: one row alone leaves most of a vector loop to its scalar end.
_ROWS_PER_PASS = 16
# Passes before a byte could overflow: 0 + 1 + ... + 21 is 231.
_PASSES_BEFORE_OVERFLOW = 22


class CentroidSplit(NamedTuple):
    """How S-measure divides an image at the mask's centroid, under one counting rule.

    Attributes
    ----------
    foreground : int
        Number of foreground pixels.
    row, column : int
        Rows before ``row`` are the upper half, columns before ``column`` the left one.
    """

    foreground: int
    row: int
    column: int


class PreparedMask:
    """Everything about one mask that all maps scored against it share.

    Parameters
    ----------
    pixels : uint8 [h, w]
    scheme : CountingScheme
        What maps are counted for; by default everything the built-in protocols need.

    Attributes
    ----------
    levels : tuple of int
        The grey levels that occur, ascending.
    is_binary : bool
        Whether the only grey levels are 0 and 255.
    splits : dict of CountingRule to CentroidSplit
        For every rule of the scheme.

    Raises
    ------
    ValueError
        Unless ``pixels`` is a non-empty uint8 array [h, w].
    """

    def __init__(self, pixels: NDArray[np.uint8], scheme: CountingScheme = DEFAULT_SCHEME):
        check_image(pixels, "mask")
        self.pixels = np.ascontiguousarray(pixels)
        self.scheme = scheme
        base = scheme.rules[0]
        # int(): without the compiler these are numpy's integers, whose arithmetic wraps around
        *moments, binary = map(int, _mask_moments(self.pixels, base.foreground_above))
        self.is_binary = bool(binary)
        self.splits: dict[CountingRule, CentroidSplit] = {}
        for rule in scheme.rules:
            # without grey levels every rule has the same foreground
            if not binary and rule is not base:
                *moments, _ = map(int, _mask_moments(self.pixels, rule.foreground_above))
            self.splits[rule] = _split(rule, moments, self.pixels.shape)
        self.levels: tuple[int, ...] = self._binary_levels() if binary else self._all_levels()
        self._geometries: dict[int, Geometry] = {}
        self._shared: dict[tuple[Callable[..., Any], int], Any] = {}

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
    def foreground(self) -> int:
        """Number of foreground pixels under the scheme's first rule."""
        return self.splits[self.scheme.rules[0]].foreground

    @cached_property
    def differing_rules(self) -> tuple[CountingRule, ...]:
        """The rules of the scheme under which this mask is not counted as under the first one."""
        base = self.splits[self.scheme.rules[0]]
        # foregrounds are nested: those of equal size are equal
        return tuple(rule for rule, split in self.splits.items() if split != base)

    def geometry(self, foreground_above: int) -> Geometry:
        """The mask's part of weighted F, computed once for each foreground.

        Parameters
        ----------
        foreground_above : int
            Pixels above this grey level are foreground.

        Returns
        -------
        Geometry
        """
        key = self._lowest_level(foreground_above)
        if key not in self._geometries:
            self._geometries[key] = weighted_geometry(self.pixels, foreground_above)
        return self._geometries[key]

    def shared(self, function: Callable[[NDArray[np.bool_]], T], foreground_above: int) -> T:
        """What a metric needs to know about the mask, computed once for all maps.

        Parameters
        ----------
        function : callable
            Takes the foreground, bool [h, w].
        foreground_above : int
            Pixels above this grey level are foreground.

        Returns
        -------
        object
            What the function returns.
        """
        key = function, self._lowest_level(foreground_above)
        if key not in self._shared:
            self._shared[key] = function(self.pixels > foreground_above)
        value: T = self._shared[key]
        return value

    def _lowest_level(self, foreground_above: int) -> int:
        """The lowest level that is foreground: thresholds between two levels select the same pixels."""
        return min((level for level in self.levels if level > foreground_above), default=256)


def check_image(pixels: Any, name: str) -> None:
    """Check that an array is a grey image.

    Parameters
    ----------
    pixels : object
        Anything.
    name : str
        What the message calls it, e.g. ``mask``.

    Raises
    ------
    ValueError
        Unless it is a non-empty uint8 array [h, w].
    """
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2:
        kind = (
            f"{pixels.dtype} {pixels.shape}"
            if isinstance(pixels, np.ndarray)
            else type(pixels).__name__
        )
        raise ValueError(f"a {name} is a uint8 array [h, w]; this one is {kind}")
    if pixels.size == 0:
        raise ValueError(f"the {name} has no pixels: its shape is {pixels.shape}")


def _split(rule: CountingRule, moments: Sequence[int], shape: tuple[int, ...]) -> CentroidSplit:
    """The split of a mask with these moments: number, sum of rows and sum of columns of its foreground."""
    count, rows, columns = moments
    # an empty mask has no centroid; everything is in the first quadrant
    if count == 0:
        return CentroidSplit(0, shape[0], shape[1])
    # the centroid's own row and column belong to the upper left block, but for "before" to the lower right one
    after = int(rule.centroid != "before")
    return CentroidSplit(
        count,
        _round_quotient(rows, count, rule.centroid) + after,
        _round_quotient(columns, count, rule.centroid) + after,
    )


def _round_quotient(total: int, count: int, ties: str) -> int:
    """``total / count`` rounded in exact arithmetic."""
    # of integers: a rounded quotient could fall on the wrong side of a tie
    whole, rest = divmod(total, count)
    if 2 * rest == count:
        return whole + (1 if ties == "half-up" else whole % 2)
    return whole + (2 * rest > count)


@compiled()
def _mask_moments(mask, above):  # type: ignore[no-untyped-def]
    """Number, sum of rows and sum of columns of a mask's foreground, and whether all of it is 0 or 255."""
    height, width = mask.shape
    pixels = mask.reshape(-1)
    abreast = min(_ROWS_PER_PASS, height)
    count = np.empty(abreast * width, np.uint8)
    below = np.empty(abreast * width, np.uint8)
    others = np.zeros(abreast * width, np.uint8)
    total = rows = columns = np.int64(0)
    for top in range(0, height, _ROWS_PER_PASS * _PASSES_BEFORE_OVERFLOW):
        count[:] = below[:] = 0
        for deep in range(min(_PASSES_BEFORE_OVERFLOW, -(-(height - top) // _ROWS_PER_PASS))):
            begin = (top + deep * _ROWS_PER_PASS) * width
            _add_foreground(pixels[begin : begin + len(count)], above, deep, count, below, others)
        for row in range(abreast):
            here = down = np.int64(0)
            for x in range(width):
                inside = np.int64(count[row * width + x])
                here += inside
                down += np.int64(below[row * width + x])
                columns += inside * x
            total += here
            # a pixel of pass d is d * _ROWS_PER_PASS rows below its place; the passes were summed up in `below`
            rows += here * (top + row) + down * _ROWS_PER_PASS
    other = np.uint8(0)
    for i in range(len(others)):
        other |= others[i]
    return total, rows, columns, other == 0


@compiled()
def _add_foreground(pixels, above, deep, count, below, others):  # type: ignore[no-untyped-def]
    """Add to the count of each pixel's place and to its sum of ``deep``; note values that are not 0 or 255."""
    # Everything is a byte and there are no branches, so that LLVM uses vector instructions.
    threshold, weight = np.uint8(above), np.uint8(deep)
    for i in range(len(pixels)):
        inside = np.uint8(pixels[i] > threshold)
        count[i] += inside
        below[i] += inside * weight
        # 255 and 0 become 0 and 1, whose higher bits are 0
        others[i] |= np.uint8(pixels[i] + np.uint8(1)) & np.uint8(254)
