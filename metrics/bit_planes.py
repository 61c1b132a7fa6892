"""Binary images with 64 pixels to a word, for morphology: one operation on a word serves 64 pixels.

A plane is uint64 [h, n]: bit b of word k of a row is the pixel in column 64 k + b.  Bits beyond the image are 0, and there
are some at the end of each row, so that a shift of a row does not reach into the next one, and whole images are shifted as
one long row.
"""

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.compiled import compiled

Plane = NDArray[np.uint64]

_BITS = 64
# Rows that are dilated together: what belongs to them stays in the processor's nearest memory
_ROWS_PER_STRIP = 64


def pack_bits(binary: NDArray[np.bool_], spare: int = 1) -> Plane:
    """Convert a binary image to a plane.

    Parameters
    ----------
    binary : bool [h, w]
    spare : int
        At least so many bits at the end of each row are 0.

    Returns
    -------
    uint64 [h, n]
    """
    height, width = binary.shape
    octets = np.packbits(binary, axis=1, bitorder="little")
    plane = np.zeros((height, 8 * -(-(width + spare) // _BITS)), np.uint8)
    plane[:, : octets.shape[1]] = octets
    return plane.view("<u8").astype(np.uint64, copy=False)


def unpack_bits(plane: Plane, width: int) -> NDArray[np.uint8]:
    """Convert a plane to an image of 0 and 1.

    Parameters
    ----------
    plane : uint64 [h, n]
    width : int
        Of the image.

    Returns
    -------
    uint8 [h, w]
    """
    octets = plane.astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(octets, axis=1, count=width, bitorder="little")


def count_bits(plane: Plane) -> int:
    """Count the pixels that are set.

    Parameters
    ----------
    plane : uint64 [h, n]

    Returns
    -------
    int
    """
    return int(_count(np.ascontiguousarray(plane).reshape(-1)))


def erode_square(plane: Plane, reach: int) -> Plane:
    """Keep the pixels that have only set ones within so many rows and columns; beyond the image none is set.

    Parameters
    ----------
    plane : uint64 [h, n]
    reach : int

    Returns
    -------
    uint64 [h, n]
    """
    height, words = plane.shape
    if height <= 2 * reach:
        return np.zeros_like(plane)
    return np.asarray(_erode(plane.reshape(-1), words, reach)).reshape(plane.shape)


def find_mixed_disks(binary: NDArray[np.bool_], half_widths: NDArray[np.int64]) -> Plane:
    """Find the pixels that have set and other pixels within a disk, for several disks.

    Parameters
    ----------
    binary : bool [h, w]
    half_widths : int64 [disks, r + 1]
        Half the width of each disk's rows, by their distance from the centre's row; -1 for rows that are not in it.  No half
        is above r.

    Returns
    -------
    uint64 [disks, h, n]
    """
    height, width = binary.shape
    plane = pack_bits(binary, half_widths.shape[1] - 1)
    image_row = pack_bits(np.ones((1, width), np.bool_), half_widths.shape[1] - 1)[0]
    mixed = np.empty((len(half_widths), plane.size), np.uint64)
    _find_mixed(plane.reshape(-1), image_row, half_widths, mixed)
    return mixed.reshape(-1, height, len(image_row))


@compiled()
def _count(words):  # type: ignore[no-untyped-def]
    """The number of bits that are 1."""
    # numpy counts bits from version 2 on only; the compiler recognises this as the processor's instruction
    total = np.uint64(0)
    for i in range(len(words)):
        x = words[i]
        x -= (x >> np.uint64(1)) & np.uint64(0x5555555555555555)
        x = (x & np.uint64(0x3333333333333333)) + (
            (x >> np.uint64(2)) & np.uint64(0x3333333333333333)
        )
        x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
        total += (x * np.uint64(0x0101010101010101)) >> np.uint64(56)
    return total


@compiled()
def _erode(plane, words, reach):  # type: ignore[no-untyped-def]
    # A window of so many pixels is two overlapping windows of half the size.  It begins at its pixel and is moved to it at the
    # end: rows below first, columns to the right after that.
    side = 2 * reach + 1
    all_set = plane.copy()
    done = 1
    while done < side:
        step = min(done, side - done)
        by = step * words
        for i in range(len(plane) - by):
            all_set[i] &= all_set[i + by]
        all_set[len(plane) - by :] = 0
        done += step
    other = np.empty_like(all_set)
    done = 1
    while done < side:
        step = min(done, side - done)
        _pull(all_set, step, other)
        for i in range(len(plane)):
            all_set[i] &= other[i]
        done += step
    eroded = np.zeros_like(plane)
    _push(all_set[: len(plane) - reach * words], reach, eroded[reach * words :])
    return eroded


@compiled()
def _push(words, number, pushed):  # type: ignore[no-untyped-def]
    """Move pixels by a number of columns to the right."""
    whole, bits = number // 64, np.uint64(number % 64)
    rest = np.uint64(63) - bits
    for i in range(min(whole, len(words))):
        pushed[i] = 0
    if whole < len(words):
        pushed[whole] = words[0] << bits
    # a shift by 64 is not defined, so that the rest takes two
    low, high = words[: len(words) - whole - 1], words[1 : len(words) - whole]
    target = pushed[whole + 1 : len(words)]
    for i in range(len(target)):
        target[i] = (high[i] << bits) | ((low[i] >> rest) >> np.uint64(1))


@compiled()
def _pull(words, number, pulled):  # type: ignore[no-untyped-def]
    """Move pixels by a number of columns to the left."""
    whole, bits = number // 64, np.uint64(number % 64)
    rest = np.uint64(63) - bits
    low, high = words[whole:], words[whole + 1 :]
    for i in range(len(high)):
        pulled[i] = (low[i] >> bits) | ((high[i] << rest) << np.uint64(1))
    if whole < len(words):
        pulled[len(words) - whole - 1] = words[-1] >> bits
    for i in range(max(len(words) - whole, 0), len(words)):
        pulled[i] = 0


@compiled()
def _find_mixed(plane, image_row, half_widths, mixed):  # type: ignore[no-untyped-def]
    """Dilate the set and the other pixels strip by strip; what is in both is mixed."""
    words = len(image_row)
    height = len(plane) // words
    margin = half_widths.shape[1] - 1
    rows = min(_ROWS_PER_STRIP, height)
    near = np.empty((2, len(half_widths), rows * words), np.uint64)
    strips = np.empty((2, (rows + 2 * margin) * words), np.uint64)
    wider = np.empty(strips.shape[1], np.uint64)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        # beyond the image neither is set
        strips[:] = 0
        for y in range(max(top - margin, 0), min(bottom + margin, height)):
            for i in range(words):
                word, place = plane[y * words + i], (y - top + margin) * words + i
                strips[0, place], strips[1, place] = word, image_row[i] & ~word
        for part in range(2):
            _dilate(strips[part], wider, words, half_widths, near[part])
        for disk in range(len(half_widths)):
            for y in range(top, bottom):
                here = slice((y - top) * words, (y - top + 1) * words)
                one, other = near[0, disk, here], near[1, disk, here]
                target = mixed[disk, y * words : (y + 1) * words]
                # spare bits may be set in both
                for i in range(words):
                    target[i] = one[i] & other[i] & image_row[i]


@compiled()
def _dilate(strip, wider, words, half_widths, dilated):  # type: ignore[no-untyped-def]
    """Set the pixels of a strip, without its margins, that have a set one within each disk; overwrite the strip."""
    margin = half_widths.shape[1] - 1
    dilated[:] = 0
    for half in range(half_widths.max() + 1):
        if half:
            strip, wider = _widen(strip, wider), strip
        for disk in range(len(half_widths)):
            for distance in range(margin + 1):
                if half_widths[disk, distance] == half:
                    above = strip[(margin - distance) * words :]
                    below = strip[(margin + distance) * words :]
                    target = dilated[disk]
                    for i in range(len(target)):
                        target[i] |= above[i] | below[i]


@compiled()
def _widen(strip, wider):  # type: ignore[no-untyped-def]
    """Set the pixels next to set ones in their row."""
    # the first and the last word have no neighbour
    last = len(strip) - 1
    one, most = np.uint64(1), np.uint64(63)
    wider[0] = strip[0] | (strip[0] << one) | (strip[0] >> one)
    wider[last] = strip[last] | (strip[last] << one) | (strip[last] >> one)
    if last:
        wider[0] |= strip[1] << most
        wider[last] |= strip[last - 1] >> most
    before, here, after, target = strip[:-2], strip[1:-1], strip[2:], wider[1:-1]
    for i in range(len(target)):
        word = here[i]
        aside = (before[i] >> most) | (after[i] << most)
        target[i] = word | (word << one) | (word >> one) | aside
    return wider
