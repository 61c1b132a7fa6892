"""E-measure, the enhanced alignment of a binarised map with its mask (Fan et al., IJCAI 2018).

With B the binary map, G the mask, and a = B - mean(B), c = G - mean(G) at a pixel, the pixel's alignment is
2ac / (a^2 + c^2) and E is the sum of (alignment + 1)^2 / 4 over the pixels, divided by their number less one.  A pixel
can only be in one of four classes, so E is a function of the confusion.  Conventions of PySODMetrics 1.6.2: with an
empty mask the sum is the number of unselected pixels, with a full one the number of selected pixels.  A picture of
one pixel has no meaningful E: the divisor is machine epsilon, as it is there.
"""

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.confusion import Confusion

Floats = NDArray[np.float64]
EPSILON = np.finfo(np.float64).eps


def e_measure(c: Confusion) -> Floats:
    """E-measure at each threshold, [N, T]."""
    total = c.total
    selected = c.tp + c.fp
    map_mean = selected / total
    mask_mean = c.positives / total
    aligned = np.zeros(c.tp.shape)
    for pixels, map_value, mask_value in (
        (c.tp, 1.0, 1.0),
        (c.fp, 1.0, 0.0),
        (c.fn, 0.0, 1.0),
        (c.tn, 0.0, 0.0),
    ):
        a = map_value - map_mean
        b = mask_value - mask_mean
        alignment = 2 * a * b / (a * a + b * b + EPSILON)
        aligned += pixels * (alignment + 1) ** 2 / 4
    aligned = np.where(c.positives == 0, total - selected, aligned)
    aligned = np.where(c.negatives == 0, selected, aligned)
    return aligned / (total - 1 + EPSILON)
