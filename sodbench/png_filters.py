"""The filters of PNG, undone in compiled code.

PNG stores each row as one byte that names a filter and the row's differences from a prediction, modulo
256 (Portable Network Graphics Specification, third edition, W3C, section 9).  With one byte or less per
pixel a byte is predicted from its left neighbour a, the byte above b and the one above left c; outside
the picture all three are 0.
"""

import numba
import numpy as np
from numpy.typing import NDArray

NONE, SUB, UP, AVERAGE, PAETH = range(5)


@numba.njit(nogil=True, cache=True)
def unfilter(filtered: NDArray[np.uint8], rows: NDArray[np.uint8]) -> bool:
    """Fill ``rows`` uint8 [h, n] from the inflated stream ``filtered`` uint8 [h * (1 + n)].

    Returns False where a filter byte is none of the five; ``rows`` is then unfinished.
    """
    height, width = rows.shape
    above = np.zeros(width, np.uint8)
    y = 0
    while y < height:
        start, end = y * (1 + width), (y + 1) * (1 + width)
        code, source = filtered[start], filtered[start + 1 : end]
        if code == PAETH and _four_in_turn(filtered, y, height, width):
            sources = filtered[start : start + 4 * (1 + width)].reshape(4, 1 + width)[:, 1:]
            _undo_paeth_of_four(sources, above, rows[y : y + 4])
            y += 3
        elif code == PAETH:
            _undo_paeth(source, above, rows[y])
        elif code <= AVERAGE:
            _undo_simple(code, source, above, rows[y])
        else:
            return False
        above = rows[y]
        y += 1
    return True


@numba.njit(nogil=True, cache=True)
def _undo_simple(
    code: int, source: NDArray[np.uint8], above: NDArray[np.uint8], row: NDArray[np.uint8]
) -> None:
    left = np.uint8(0)
    if code == NONE:
        for x in range(len(row)):
            row[x] = source[x]
    elif code == SUB:
        for x in range(len(row)):
            left = np.uint8(left + source[x])
            row[x] = left
    elif code == UP:
        for x in range(len(row)):
            row[x] = source[x] + above[x]
    else:
        for x in range(len(row)):
            left = np.uint8(source[x] + ((np.uint32(left) + np.uint32(above[x])) >> 1))
            row[x] = left


@numba.njit(nogil=True, cache=True)
def _undo_paeth(
    source: NDArray[np.uint8], above: NDArray[np.uint8], row: NDArray[np.uint8]
) -> None:
    a = c = np.int32(0)
    for x in range(len(row)):
        b = np.int32(above[x])
        a = (source[x] + paeth(a, b, c)) & np.int32(255)
        c = b
        row[x] = a


@numba.njit(nogil=True, cache=True)
def _four_in_turn(filtered: NDArray[np.uint8], y: int, height: int, width: int) -> bool:
    """Whether the next three rows are stored by the Paeth filter too."""
    stride = 1 + width
    return (
        y + 4 <= height
        and filtered[(y + 1) * stride] == PAETH
        and filtered[(y + 2) * stride] == PAETH
        and filtered[(y + 3) * stride] == PAETH
    )


@numba.njit(nogil=True, cache=True)
def _undo_paeth_of_four(
    sources: NDArray[np.uint8], above: NDArray[np.uint8], rows: NDArray[np.uint8]
) -> None:
    """Four rows at once, each one pixel behind the row above it: all four wait for their left pixels together."""
    first, second, third, fourth = sources[0], sources[1], sources[2], sources[3]
    byte = np.int32(255)
    width = rows.shape[1]
    a0 = a1 = a2 = a3 = c0 = c1 = c2 = c3 = np.int32(0)
    for x in range(width + 3):
        if x >= 3:
            b3 = a2
            a3 = (fourth[x - 3] + paeth(a3, b3, c3)) & byte
            c3 = b3
            rows[3, x - 3] = a3
        if 2 <= x < width + 2:
            b2 = a1
            a2 = (third[x - 2] + paeth(a2, b2, c2)) & byte
            c2 = b2
            rows[2, x - 2] = a2
        if 1 <= x < width + 1:
            b1 = a0
            a1 = (second[x - 1] + paeth(a1, b1, c1)) & byte
            c1 = b1
            rows[1, x - 1] = a1
        if x < width:
            b0 = np.int32(above[x])
            a0 = (first[x] + paeth(a0, b0, c0)) & byte
            c0 = b0
            rows[0, x] = a0


@numba.njit(nogil=True, cache=True, inline="always")
def paeth(a: np.int32, b: np.int32, c: np.int32) -> np.int32:
    """Whichever of a, b, c is nearest to a + b - c; of equals the first.

    The distances are not computed: c is nearest where it lies well between the other two, else the larger
    of a and b is if c is small, the smaller if c is large.  This is stb_image's form (public domain), which
    compiles to conditional moves.
    """
    threshold = np.int32(3) * c - b - a
    low = min(a, b)
    high = max(a, b)
    nearest = low if high <= threshold else c
    return high if threshold <= low else nearest
