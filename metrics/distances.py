"""Exact squared Euclidean distances of a mask's background to its foreground, and the nearest pixel where it is near.

Distances are computed down and up the columns first.  Then for every pixel x of a row the column c is searched that makes
(x - c)^2 + vertical(c)^2 smallest.  Instead of building the envelope of these parabolas one by one, whole vectors of
pixels try the columns that can be the nearest at all: those that no chord between two others rules out, and that are no
farther than the row above allows.

References
----------
Meijster, Roerdink and Hesselink, "A general algorithm for computing distance transforms in linear time", 2000.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from sodbench.metrics.compiled import JIT, compiled

# Distances are exact below this number of pixels; all others are SATURATED.
_FARTHEST = 255
SATURATED = _FARTHEST**2
# Squared distance up to which the nearest foreground pixel is reported: the corner of a 7x7 window.
REACH = 18
# Pixels within REACH are within so many columns of their nearest foreground pixel.
_NEAR = 4
# Pixels of a row that are processed together: a vector of bytes for the processor
_LANES = 32
# Columns whose candidates are counted together, as the bytes of one 64-bit word
_WORD = 8
# Columns beyond both ends of a row, so that the vectors need no test for the image's border
_PAD = 16
# A squared distance is followed by a code of the direction in one number; see _find_near
_CODES_PER_DISTANCE = 16
# The squared distance of a column without foreground
_NO_SITE = 1 << 24


@compiled()
def squared_distances(  # type: ignore[no-untyped-def]
    mask, above, top, bottom
) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """Compute the distances of a mask's pixels to its foreground.

    Parameters
    ----------
    mask : uint8 [h, w]
        The mask; its foreground is not empty.
    above : int
        A pixel is foreground when its value is greater than this.
    top, bottom : int
        The foreground's first row, and the one after its last.

    Returns
    -------
    uint16 [h, w]
        The squared distance, 0 on the foreground, at most `SATURATED`.
    int32 [m, 4]
        Row and column of each background pixel within `REACH`, in the order of rows, and of the foreground pixel
        nearest to it: of several the one in the leftmost column, there the topmost.
    """
    height, width = mask.shape
    squared = np.empty((height, width), np.uint16)
    vertical = _vertical_distances(mask, above)
    whole = (width + _LANES - 1) // _LANES * _LANES
    # indexed by the difference of two columns, plus `whole`
    squares = np.empty(2 * whole + _LANES, np.uint16)
    for k in range(len(squares)):
        squares[k] = min((k - whole) ** 2, SATURATED)
    # squared vertical distances of one row, padded so that _rule_out needs no borders
    low = np.full(whole + 2 * _PAD, np.int32(_NO_SITE), np.int32)
    marked = np.empty(whole, np.uint8)
    columns = np.empty(whole + _WORD, np.int32)
    before = np.empty(whole // _WORD + 1, np.int32)
    padded = np.full(whole + 2 * _PAD, np.uint16((_NEAR + 1) ** 2 * _CODES_PER_DISTANCE), np.uint16)
    codes = np.empty(whole, np.uint16)
    # the distances of the row above limit the search in this one
    row = np.full(whole, np.uint16(SATURATED), np.uint16)
    near = np.empty((max(4096, width), 4), np.int32)
    count = 0
    for y in range(height):
        own = vertical[y]
        for x in range(width):
            distance = np.int32(own[x])
            low[_PAD + x] = distance * distance if distance < _FARTHEST else np.int32(_NO_SITE)
        _rule_out(low, marked)
        _list(marked, columns, before)
        for x in range(0, whole, _LANES):
            # distances change by no more than one from pixel to pixel, so the row above limits how far the nearest
            # columns of the first and the last pixel can be, and no pixel between them reaches farther
            left = x - int(np.sqrt(np.float64(row[x]))) - 2
            right = x + _LANES + int(np.sqrt(np.float64(row[x + _LANES - 1]))) + 1
            first = before[max(left, 0) // _WORD]
            last = before[min(right, whole - 1) // _WORD + 1]
            _lowest(row, x, squares, whole + x, columns, low, first, last)  # type: ignore[call-arg]
        # foreground between foreground is no candidate in _rule_out, so it is set to 0 here
        for x in range(width):
            row[x] = row[x] if own[x] else np.uint16(0)
            squared[y, x] = row[x]
        # only these rows can have background within REACH
        if top - _NEAR <= y < bottom + _NEAR:
            _find_near(own, padded, codes, marked)
            number = _list(marked, columns, before)
            if count + number > len(near):
                near = np.concatenate((near, np.empty_like(near)))
            for i in range(number):
                x = columns[i]
                column = x + np.int64(codes[x]) % _CODES_PER_DISTANCE - _NEAR
                # above or below: the topmost is wanted where both are equally near
                up = y - np.int64(own[column])
                nearest = up if up >= 0 and mask[up, column] > above else 2 * y - up
                near[count + i, 0], near[count + i, 1] = y, x
                near[count + i, 2], near[count + i, 3] = nearest, column
            count += number
    return squared, near[:count].copy()


@compiled()
def _vertical_distances(mask, above):  # type: ignore[no-untyped-def]
    """uint8 [h, w], distance to the nearest foreground pixel of the same column, at most _FARTHEST."""
    height, width = mask.shape
    vertical = np.empty((height, width), np.uint8)
    for x in range(width):
        vertical[0, x] = 0 if mask[0, x] > above else _FARTHEST
    for y in range(1, height):
        for x in range(width):
            further = np.uint8(min(vertical[y - 1, x], np.uint8(_FARTHEST - 1)) + np.uint8(1))
            vertical[y, x] = np.uint8(0) if mask[y, x] > above else further
    for y in range(height - 2, -1, -1):
        for x in range(width):
            further = np.uint8(min(vertical[y + 1, x], np.uint8(_FARTHEST - 1)) + np.uint8(1))
            vertical[y, x] = min(vertical[y, x], further)
    return vertical


@compiled()
def _rule_out(low, marked):  # type: ignore[no-untyped-def]
    """Mark the columns of one row that may be nearest to some background pixel of it."""
    # The nearest column to x has the smallest c^2 + low(c) - 2xc: it is a corner of the lower
    # convex hull of the points (c, c^2 + low(c)). So a column is ruled out that is above a
    # chord between two others. Foreground between foreground is nearest only to itself.
    for x in range(len(marked)):
        at = _PAD + x
        twice = np.int32(2) * low[at]
        bend1 = np.int32(low[at - 1] + low[at + 1] - twice)
        bend2 = np.int32(low[at - 2] + low[at + 2] - twice)
        bend4 = np.int32(low[at - 4] + low[at + 4] - twice)
        bend8 = np.int32(low[at - 8] + low[at + 8] - twice)
        bend16 = np.int32(low[at - 16] + low[at + 16] - twice)
        inner = (low[at - 1] | low[at] | low[at + 1]) == 0
        marked[x] = (
            (low[at] < np.int32(_NO_SITE))
            & (not inner)
            & (bend1 >= np.int32(-2))
            & (bend2 >= np.int32(-8))
            & (bend4 >= np.int32(-32))
            & (bend8 >= np.int32(-128))
            & (bend16 >= np.int32(-512))
        )


@compiled()
def _list(marked, columns, before):  # type: ignore[no-untyped-def]
    """Write the marked columns, and for each word of columns the number of marked ones before it; return their number."""
    words = marked.view(np.uint64)
    number = np.int64(0)
    for word in range(len(words)):
        before[word] = number
        if words[word]:
            for x in range(_WORD * word, _WORD * word + _WORD):
                columns[number] = x
                number += np.int64(marked[x])
    before[len(words)] = number
    return number


@intrinsic
def _lowest_by_lanes(  # noqa: PLR0913
    typing_context: Any,
    row: Any,
    x: Any,
    squares: Any,
    offset: Any,
    columns: Any,
    low: Any,
    first: Any,
    last: Any,
) -> tuple[Any, Callable[..., Any]]:
    """Write the squared distances of _LANES pixels of ``row``, from x on, to the nearest of ``columns[first:last]``."""
    # ``squares[offset - column + i]`` is the squared difference of two columns. This is LLVM code
    # because numba has no vectors that stay in a register from one column to the next.
    lanes = ir.VectorType(ir.IntType(16), _LANES)
    index = ir.IntType(32)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        long = context.get_value_type(types.intp)

        def place(argument: int, at: Any) -> Any:
            array = context.make_array(signature.args[argument])
            return builder.gep(array(context, builder, arguments[argument]).data, [at])

        def as_lanes(pointer: Any) -> Any:
            return builder.bitcast(pointer, lanes.as_pointer())

        def each(operation: str, a: Any, b: Any) -> Any:
            kind = ir.FunctionType(lanes, [lanes, lanes])
            name = f"llvm.{operation}.v{_LANES}i16"
            return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [a, b])

        best = cgutils.alloca_once_value(builder, lanes([SATURATED] * _LANES))
        begin, end = arguments[6], arguments[7]
        with cgutils.for_range_slice(builder, begin, end, long(1), inc=True) as (i, _):
            column = builder.sext(builder.load(place(4, i)), long)
            apart = builder.load(as_lanes(place(2, builder.sub(arguments[3], column))), align=2)
            up = builder.load(place(5, builder.add(column, long(_PAD))))
            up = builder.insert_element(lanes(None), builder.trunc(up, lanes.element), index(0))
            up = builder.shuffle_vector(up, up, ir.Constant(ir.VectorType(index, _LANES), None))
            value = each("umin", builder.load(best), each("uadd.sat", apart, up))
            builder.store(value, best)
        builder.store(builder.load(best), as_lanes(place(0, arguments[1])), align=2)
        return context.get_dummy_value()

    signature = types.void(
        row, types.intp, squares, types.intp, columns, low, types.intp, types.intp
    )
    return signature, generate


def _lowest_in_python(  # type: ignore[no-untyped-def]
    row, x, squares, offset, columns, low, first, last
) -> None:
    """The same in numpy for NUMBA_DISABLE_JIT, because an intrinsic exists in compiled code only."""
    best = np.full(_LANES, SATURATED, np.uint32)
    for column in columns[first:last].tolist():
        start = offset - column
        apart = squares[start : start + _LANES].astype(np.uint32)
        best = np.minimum(best, apart + np.uint32(low[_PAD + column]))
    row[x : x + _LANES] = best


_lowest = _lowest_by_lanes if JIT else _lowest_in_python


@compiled()
def _find_near(own, padded, codes, marked):  # type: ignore[no-untyped-def]
    """Mark the background of one row within REACH, and find the nearest column.

    A column is coded as _CODES_PER_DISTANCE times the squared distance, plus the columns to its right, plus _NEAR: the smallest code
    is that of the nearest, leftmost column.  own: uint8 [w], vertical distances.  padded: uint16, for their codes.  codes,
    marked: the output.
    """
    far = np.uint16(_NEAR + 1)
    for x in range(len(own)):
        distance = min(np.uint16(own[x]), far)
        padded[_PAD + x] = np.uint16(distance * distance) * np.uint16(_CODES_PER_DISTANCE)
    for x in range(len(codes)):
        way = np.uint16(0xFFFF)
        for k in range(2 * _NEAR + 1):
            code = np.uint16(_CODES_PER_DISTANCE * (k - _NEAR) ** 2 + k)
            way = min(way, np.uint16(padded[_PAD - _NEAR + x + k] + code))
        codes[x] = way
    for x in range(len(codes)):
        beyond = np.uint16(
            codes[x] - np.uint16(_CODES_PER_DISTANCE)
        )  # the foreground itself comes out large
        marked[x] = (beyond < np.uint16(_CODES_PER_DISTANCE * REACH)) & (x < len(own))
