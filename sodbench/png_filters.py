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
        if code == PAETH and y + 1 < height and filtered[end] == PAETH:
            source_below = filtered[end + 1 : end + 1 + width]
            _undo_paeth_twice(source, source_below, above, rows[y], rows[y + 1])
            y += 1
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
def _undo_paeth_twice(
    source: NDArray[np.uint8],
    source_below: NDArray[np.uint8],
    above: NDArray[np.uint8],
    row: NDArray[np.uint8],
    row_below: NDArray[np.uint8],
) -> None:
    """Two rows at once, the lower one pixel behind: both wait for their left pixels together."""
    a = c = a_below = c_below = np.int32(0)
    for x in range(len(row) + 1):
        if x > 0:
            from_above = a
            a_below = (source_below[x - 1] + paeth(a_below, from_above, c_below)) & np.int32(255)
            c_below = from_above
            row_below[x - 1] = a_below
        if x < len(row):
            b = np.int32(above[x])
            a = (source[x] + paeth(a, b, c)) & np.int32(255)
            c = b
            row[x] = a


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
