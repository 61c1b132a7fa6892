"""E-measure, the enhanced alignment of a binarised map with its mask (Fan et al., IJCAI 2018).

With B the binary map, G the mask, and a = B - mean(B), c = G - mean(G) at a pixel, the pixel's alignment is
2ac / (a^2 + c^2) and E is the sum of (alignment + 1)^2 / 4 over the pixels, divided by their number less one.  A pixel
can only be in one of four classes, so E is a function of the confusion.  Conventions of PySODMetrics 1.6.2: with an
empty mask the sum is the number of unselected pixels, with a full one the number of selected pixels.  A picture of
one pixel has no meaningful E: the divisor is machine epsilon, as it is there.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.confusion import Confusion

Floats = NDArray[np.float64]
EPSILON = float(np.finfo(np.float64).eps)


def e_measure(c: Confusion) -> Floats:
    """E-measure at each threshold, [N, T]."""
    found: Floats = _e_measure(c.flat).reshape(c.tp.shape)
    return found


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _e_measure(confusion):  # type: ignore[no-untyped-def]
    """float64 [M] of a Confusion.flat [4, M]."""
    found = np.empty(confusion.shape[1])
    for i in range(len(found)):
        tp, fp = confusion[0, i], confusion[1, i]
        positives, negatives = confusion[2, i], confusion[3, i]
        total = positives + negatives
        selected = tp + fp
        map_mean, mask_mean = selected / total, positives / total
        if positives == 0:
            aligned = total - selected
        elif negatives == 0:
            aligned = selected
        else:
            aligned = (
                tp * _enhanced(1 - map_mean, 1 - mask_mean)
                + fp * _enhanced(1 - map_mean, -mask_mean)
                + (positives - tp) * _enhanced(-map_mean, 1 - mask_mean)
                + (negatives - fp) * _enhanced(-map_mean, -mask_mean)
            )
        found[i] = aligned / (total - 1 + EPSILON)
    return found


@numba.njit(nogil=True, cache=True)
def _enhanced(a, b):  # type: ignore[no-untyped-def]
    """(alignment + 1)^2 / 4 of two deviations from the mean."""
    alignment = 2 * a * b / (a * a + b * b + EPSILON)
    return (alignment + 1) ** 2 / 4
