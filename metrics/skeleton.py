"""Skeletons of masks: thinned until every part is one pixel wide.

Pixels of the border are removed in two alternating passes, one from the lower right and one from the upper left, as long as
that breaks no connection (Zhang and Suen).  The result is that of scikit-image's ``skeletonize``, which the evaluators of
human correction effort call.

References
----------
Zhang and Suen, "A fast parallel algorithm for thinning digital patterns", Communications of the ACM, 1984.
"""

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.compiled import compiled


def skeletonize(foreground: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Thin a mask to its skeleton.

    Parameters
    ----------
    foreground : bool [h, w]

    Returns
    -------
    bool [h, w]
        Part of the foreground.
    """
    thinned = np.pad(foreground.astype(np.uint8), 1)
    _thin(thinned, _REMOVABLE)
    skeleton: NDArray[np.bool_] = thinned[1:-1, 1:-1].astype(np.bool_)
    return skeleton


# What each pass does with a pixel, by its neighbours (bits 0 to 7, clockwise from the one above): 1 the first pass removes it,
# 2 the second, 3 both.  scikit-image keeps some ends and removes some corners that the paper does not; the values were found by
# thinning small images until the results were those of scikit-image 0.25.
_PASSES = (
    "0001011100002233000030000000203200000000000000002000202030003032"
    "0301000000000000300000002000000021010000000000002000000030002020"
    "0103010300000003000000000000000200000000000000000000000000000000"
    "0103000100000001100000000000000033030001000000003101000031002000"
)
_REMOVABLE = np.array([int(passes) for passes in _PASSES], np.uint8)


@compiled()
def _thin(image, removable):  # type: ignore[no-untyped-def]
    """Thin a padded image of 0 and 1 in place.

    Whether a pixel can be removed depends on its neighbours only, so it waits for a pass from when the loss of a neighbour has
    made it removable in that pass.
    """
    pixels = image.reshape(-1)
    width = image.shape[1]
    around = (-width, 1 - width, 1, 1 + width, width, width - 1, -1, -1 - width)
    codes = _code_neighbours(image).reshape(-1)
    # the pixels that wait for either pass, and for which passes a pixel waits (bits 0 and 1)
    waiting = np.empty((2, len(pixels)), np.int32)
    lengths = np.zeros(2, np.int64)
    waits = np.zeros(len(pixels), np.uint8)
    for i in range(width, len(pixels) - width):
        if pixels[i] and removable[codes[i]]:
            _add_to_passes(i, removable[codes[i]], waits, waiting, lengths)
    removed = np.empty(len(pixels), np.int32)
    while lengths[0] + lengths[1] > 0:
        for turn in range(2):
            bit = np.uint8(1 << turn)
            number = 0
            for k in range(lengths[turn]):
                i = waiting[turn, k]
                waits[i] &= ~bit
                if pixels[i] and removable[codes[i]] & bit:
                    removed[number] = i
                    number += 1
            lengths[turn] = 0
            for i in removed[:number]:
                pixels[i] = 0
                # seen from a neighbour, the removed pixel is on the opposite side
                for place in range(8):
                    codes[i + around[place]] &= np.uint8(255 - (1 << ((place + 4) & 7)))
            for i in removed[:number]:
                for step in around:
                    if pixels[i + step]:
                        passes = removable[codes[i + step]] & ~waits[i + step]
                        if passes:
                            _add_to_passes(i + step, passes, waits, waiting, lengths)


@compiled()
def _add_to_passes(i, passes, waits, waiting, lengths):  # type: ignore[no-untyped-def]
    """Let a pixel wait for some passes."""
    waits[i] |= passes
    for turn in range(2):
        if passes >> turn & 1:
            waiting[turn, lengths[turn]] = i
            lengths[turn] += 1


@compiled()
def _code_neighbours(image):  # type: ignore[no-untyped-def]
    """The eight neighbours of each pixel of a padded image as one byte; 0 in the padding."""
    codes = np.zeros_like(image)
    width = image.shape[1] - 2
    for y in range(1, len(image) - 1):
        above, here, below, row = image[y - 1], image[y], image[y + 1], codes[y, 1:-1]
        for x in range(width):
            row[x] = (
                above[x + 1]
                | above[x + 2] << np.uint8(1)
                | here[x + 2] << np.uint8(2)
                | below[x + 2] << np.uint8(3)
                | below[x + 1] << np.uint8(4)
                | below[x] << np.uint8(5)
                | here[x] << np.uint8(6)
                | above[x] << np.uint8(7)
            )
    return codes
