"""The filters of PNG, undone in compiled code.

PNG stores each row as one byte that names a filter and the row's differences from a prediction, modulo 256 (Portable
Network Graphics Specification, third edition, W3C, section 9). With one byte or less per pixel, a byte is predicted
from its left neighbour a, the byte above b and the one above left c; outside the image all three are 0.

Three of the filters depend on the byte to the left, so a single row cannot be undone with vector instructions. Many
rows can: lane k works on row k, one byte behind lane k - 1, and finds b and c where its neighbour was one and two steps
before. numba has no vectors of its own, so `_tile` builds them from LLVM's. Each step depends on the one before it, so
more rows than a register has bytes take hardly longer.

Only `sodbench.images.fast_png` imports this module; where it cannot be compiled, Pillow does the work.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic
from numpy.typing import NDArray

from sodbench.metrics.compiled import JIT, compiled

NONE, SUB, UP, AVERAGE, PAETH = range(5)

# Rows that are undone together
LANES = 64
_HALF = LANES // 2
# Bytes of each of them that are undone between reading and writing
_TILE_BYTES = _HALF // 2
# Up to this many rows that depend on their left neighbours are undone faster one by one
_MAX_SINGLE_ROWS = 24
# Bytes that are undone at once where nothing changes, as in most of a mask
_RUN_LENGTH = 16


@compiled()
def unfilter(filtered: NDArray[np.uint8], rows: NDArray[np.uint8]) -> bool:
    """Undo the filters of all rows.

    Parameters
    ----------
    filtered : ndarray of uint8, shape (h * (1 + n),)
        The inflated pixel data.
    rows : ndarray of uint8, shape (h, n)
        Filled with the result.

    Returns
    -------
    bool
        False where a filter byte is none of the five; ``rows`` is then unfinished.
    """
    height, width = rows.shape
    stored = filtered.reshape(height, 1 + width)
    # not max(): code that uses it needs scipy.linalg when it is loaded
    for y in range(height):
        if stored[y, 0] > PAETH:
            return False
    source = undone = np.empty(0, np.uint8)
    for top in range(0, height, LANES):
        bottom = min(top + LANES, height)
        # rows that depend on their left neighbours
        n_dependent = 0
        for y in range(top, bottom):
            n_dependent += stored[y, 0] != NONE and stored[y, 0] != UP
        # plain Python has no vectors
        if JIT and n_dependent > _MAX_SINGLE_ROWS:
            # large for wide rows, so only allocated when needed
            if not len(source):
                # LANES zeros before each row; the tiles run as far past its end, over unused bytes
                stride = width + 3 * LANES
                source = np.zeros(LANES * stride, np.uint8)
                # the row above them comes first
                undone = np.empty((1 + LANES) * stride, np.uint8)
            _undo_together(stored[top:bottom], rows, top, source, undone)
            continue
        for y in range(top, bottom):
            code = stored[y, 0]
            # there are only zeros above
            if y == 0:
                code = (NONE, SUB, NONE, AVERAGE, SUB)[code]
            # a call takes longer than a row of these two
            if code == NONE:
                for x in range(width):
                    rows[y, x] = stored[y, 1 + x]
            elif code == UP:
                for x in range(width):
                    rows[y, x] = stored[y, 1 + x] + rows[y - 1, x]
            elif code == SUB:
                _undo_sub(stored, rows, y)
            elif code == AVERAGE:
                _undo_average(stored, rows, y)
            else:
                _undo_paeth(stored, rows, y)
    return True


@compiled()
def _undo_sub(stored: NDArray[np.uint8], rows: NDArray[np.uint8], y: int) -> None:
    """Undo row y of ``stored`` uint8 [h, 1 + n], the filters and what they left, into ``rows``."""
    # A run is as many bytes as LLVM can compare together; the rest follows one by one.
    width = rows.shape[1]
    left = np.uint8(0)
    whole = width // _RUN_LENGTH * _RUN_LENGTH
    for begin in range(0, whole, _RUN_LENGTH):
        run = range(begin, begin + _RUN_LENGTH)
        changes = np.uint8(0)
        for x in run:
            changes |= stored[y, 1 + x]
        if changes == 0:
            for x in run:
                rows[y, x] = left
        else:
            for x in run:
                left = np.uint8(left + stored[y, 1 + x])
                rows[y, x] = left
    for x in range(whole, width):
        left = np.uint8(left + stored[y, 1 + x])
        rows[y, x] = left


@compiled()
def _undo_average(stored: NDArray[np.uint8], rows: NDArray[np.uint8], y: int) -> None:
    left = np.uint8(0)
    for x in range(rows.shape[1]):
        above = np.uint32(rows[y - 1, x]) if y > 0 else np.uint32(0)
        left = np.uint8(stored[y, 1 + x] + ((np.uint32(left) + above) >> 1))
        rows[y, x] = left


@compiled()
def _undo_paeth(stored: NDArray[np.uint8], rows: NDArray[np.uint8], y: int) -> None:
    """Undo a row below another, with runs as in `_undo_sub`."""
    width = rows.shape[1]
    a = c = np.int32(0)
    whole = width // _RUN_LENGTH * _RUN_LENGTH
    for begin in range(0, whole, _RUN_LENGTH):
        run = range(begin, begin + _RUN_LENGTH)
        changes = np.uint8(0)
        for x in run:
            changes |= stored[y, 1 + x] | (rows[y - 1, x] ^ np.uint8(c))
        # where b is c, a is nearest
        if changes == 0:
            for x in run:
                rows[y, x] = a
        else:
            for x in run:
                b = np.int32(rows[y - 1, x])
                a = (stored[y, 1 + x] + paeth(a, b, c)) & np.int32(255)
                c = b
                rows[y, x] = a
    for x in range(whole, width):
        b = np.int32(rows[y - 1, x])
        a = (stored[y, 1 + x] + paeth(a, b, c)) & np.int32(255)
        c = b
        rows[y, x] = a


@compiled(inline="always")
def paeth(a: np.int32, b: np.int32, c: np.int32) -> np.int32:
    """Return whichever of a, b, c is nearest to a + b - c; of equals the first.

    The distances are not computed: c is nearest where it is well between the other two; otherwise the larger of a
    and b is nearest if c is small, the smaller if c is large. This is stb_image's form (public domain), which compiles
    to conditional moves.

    Parameters
    ----------
    a, b, c : int32
        The bytes to the left, above, and above left.

    Returns
    -------
    int32
    """
    threshold = np.int32(3) * c - b - a
    low = min(a, b)
    high = max(a, b)
    nearest = low if high <= threshold else c
    return high if threshold <= low else nearest


@compiled()
def _undo_together(
    stored: NDArray[np.uint8],
    rows: NDArray[np.uint8],
    top: int,
    source: NDArray[np.uint8],
    undone: NDArray[np.uint8],
) -> None:
    """Undo the rows ``stored`` uint8 [up to LANES, 1 + n] into ``rows``, from ``top`` on; the rest is scratch space."""
    number, width = len(stored), rows.shape[1]
    stride = width + 3 * LANES
    filters = np.zeros((PAETH + 1, LANES), np.uint8)
    state = np.zeros((2, LANES), np.uint8)
    for k in range(number):
        filters[stored[k, 0], k] = 255
        for x in range(width):
            source[k * stride + LANES + x] = stored[k, 1 + x]
    if top > 0:
        for x in range(width):
            undone[LANES + x] = rows[top - 1, x]
    else:
        undone[:stride] = 0
    # the row of that filter, which predicts nothing, is not needed
    filters[NONE] = 1
    for x in range(LANES, LANES + width + LANES, _TILE_BYTES):
        _tile(source, undone, stride, x, filters, state)  # type: ignore[call-arg]
    for k in range(number):
        for x in range(width):
            rows[top + k, x] = undone[(1 + k) * stride + LANES + x]


@intrinsic
def _tile(  # noqa: C901
    typing_context: Any, source: Any, undone: Any, stride: Any, x: Any, filters: Any, state: Any
) -> tuple[Any, Callable[..., Any]]:
    """Undo _TILE_BYTES bytes of LANES rows: of row k those from x - k on.

    source, undone: uint8, rows of ``stride`` bytes; ``undone`` has the row above them before the first.
    filters: uint8 [5, LANES], 255 where the row has that filter, else 0; but 1 in all lanes of the first.
    state: uint8 [2, LANES], the byte to the left in each lane and the one above that, carried from tile to tile.
    """
    byte = ir.IntType(8)
    lanes, run = ir.VectorType(byte, LANES), ir.VectorType(byte, _TILE_BYTES)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: C901
        long = context.get_value_type(types.intp)

        def place(argument: int, offset: Any, kind: Any) -> Any:
            array = context.make_array(signature.args[argument])
            first = array(context, builder, arguments[argument]).data
            return builder.bitcast(builder.gep(first, [offset]), kind.as_pointer())

        def load(argument: int, offset: Any, kind: Any) -> Any:
            return builder.load(place(argument, offset, kind), align=1)

        def store(value: Any, argument: int, offset: Any) -> None:
            builder.store(value, place(argument, offset, value.type), align=1)

        def shuffled(x: Any, y: Any, order: Sequence[int]) -> Any:
            indices = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), list(order))
            return builder.shuffle_vector(x, y, indices)

        def transposed(square: list[Any]) -> list[Any]:
            """Exchange rows and columns, in two squares side by side that are _TILE_BYTES high."""
            # Each round rotates the eight bits of (row, column) by one place, so four exchange
            # the two.
            low = [
                side + i // 2 + _HALF * (i % 2)
                for side in (0, _TILE_BYTES)
                for i in range(_TILE_BYTES)
            ]
            high = [i + _TILE_BYTES // 2 for i in low]
            for _ in range(4):
                pairs = list(
                    zip(square[: _TILE_BYTES // 2], square[_TILE_BYTES // 2 :], strict=True)
                )
                square = [shuffled(x, y, order) for x, y in pairs for order in (low, high)]
            return square

        def excess(x: Any, y: Any) -> Any:
            """x - y, but at least 0."""
            kind = ir.FunctionType(lanes, [lanes, lanes])
            name = f"llvm.usub.sat.v{LANES}i8"
            return builder.call(get_or_insert_function(builder.module, kind, name), [x, y])

        ones, is_sub, is_up, is_average, is_paeth = (
            load(4, long(LANES * kind), lanes) for kind in (NONE, SUB, UP, AVERAGE, PAETH)
        )
        zero, zero_run = lanes(None), run(None)

        def where_zero(x: Any) -> Any:
            """255 where x is 0, else 0; a comparison would go through slow mask registers."""
            smaller = builder.select(builder.icmp_unsigned("<", x, ones), x, ones)
            return builder.sub(smaller, ones)

        def both(*masks: Any) -> Any:
            return reduce(builder.and_, masks)

        stride, x = arguments[2], arguments[3]
        starts = [
            builder.add(builder.mul(stride, long(k)), builder.sub(x, long(k))) for k in range(LANES)
        ]
        stored = [load(0, start, run) for start in starts]

        def columns_of(first: int) -> list[Any]:
            """The columns of half the rows."""
            pairs = (
                (stored[first + i], stored[first + _TILE_BYTES + i]) for i in range(_TILE_BYTES)
            )
            return transposed([shuffled(x, y, range(_HALF)) for x, y in pairs])

        upper, lower = columns_of(0), columns_of(_HALF)
        row_above = load(1, x, run)
        a, c = (load(5, long(LANES * k), lanes) for k in range(2))
        for step in range(_TILE_BYTES):
            from_above = shuffled(row_above, zero_run, [step] + [_TILE_BYTES] * (LANES - 1))
            b = builder.add(shuffled(zero, a, [0, *range(LANES, 2 * LANES - 1)]), from_above)
            half = builder.lshr(builder.xor(a, b), lanes([1] * LANES))
            average = builder.add(both(a, b), half)
            # Paeth: c, unless that is at least twice as near to one of the others: then the opposite one
            ordered = builder.icmp_unsigned("<", a, b)
            low, high = builder.select(ordered, a, b), builder.select(ordered, b, a)
            to_high, to_low = excess(high, c), excess(c, low)
            near_high = where_zero(excess(to_high, excess(to_low, to_high)))
            near_low = where_zero(excess(to_low, excess(to_high, to_low)))
            undone_ = shuffled(upper[step], lower[step], range(LANES))
            for value, chosen in ((a, is_sub), (b, is_up), (c, is_paeth), (average, is_average)):
                undone_ = builder.add(undone_, both(value, chosen))
            undone_ = builder.sub(undone_, both(to_low, near_high, is_paeth))
            a, c = builder.add(undone_, both(to_high, near_low, is_paeth)), b
            upper[step] = shuffled(a, a, range(_HALF))
            lower[step] = shuffled(a, a, range(_HALF, LANES))
        for first, half_ in ((0, transposed(upper)), (_HALF, transposed(lower))):
            for side in (0, _TILE_BYTES):
                for start, two in zip(starts[first + side :], half_, strict=False):
                    row = shuffled(two, two, range(side, side + _TILE_BYTES))
                    store(row, 1, builder.add(stride, start))
        for k, value in enumerate((a, c)):
            store(value, 5, long(LANES * k))
        return context.get_dummy_value()

    signature = types.void(source, undone, types.intp, types.intp, filters, state)
    return signature, generate
