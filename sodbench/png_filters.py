"""The filters of PNG, undone and applied in compiled code.

PNG stores each row as one byte naming a filter and the row's differences from a prediction, modulo
256 (Portable Network Graphics Specification, third edition, W3C, section 9).  With one byte or less
per pixel the prediction of a byte uses its left neighbour a, the byte above b and the one above left c;
outside the picture all three are 0.
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
    for y in range(height):
        start = y * (width + 1)
        code = filtered[start]
        source = filtered[start + 1 : start + 1 + width]
        row = rows[y]
        if code == NONE:
            for x in range(width):
                row[x] = source[x]
        elif code == SUB:
            left = np.uint8(0)
            for x in range(width):
                left = np.uint8(left + source[x])
                row[x] = left
        elif code == UP:
            for x in range(width):
                row[x] = source[x] + above[x]
        elif code == AVERAGE:
            left = np.uint8(0)
            for x in range(width):
                left = np.uint8(source[x] + ((np.uint32(left) + np.uint32(above[x])) >> 1))
                row[x] = left
        elif code == PAETH:
            a = c = np.int32(0)
            for x in range(width):
                b = np.int32(above[x])
                a = (np.int32(source[x]) + paeth(a, b, c)) & np.int32(255)
                c = b
                row[x] = a
        else:
            return False
        above = row
    return True


@numba.njit(nogil=True, inline="always")
def paeth(a: np.int32, b: np.int32, c: np.int32) -> np.int32:
    """Whichever of a, b, c is nearest to a + b - c; of equals the first.

    Written without the three distances, so that it compiles to conditional moves: c is the answer
    where it lies well between the other two, else the larger or the smaller of a and b is.
    """
    threshold = np.int32(3) * c - b - a
    low = min(a, b)
    high = max(a, b)
    nearest = low if high <= threshold else c
    return high if threshold <= low else nearest
