"""Notes on how an image was converted, and refusals of what cannot be converted as OpenCV does."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sodbench.errors import ImageError

Samples = NDArray[np.uint8] | NDArray[np.uint16]

# Part of the note of a 16-bit file whose values all fit 8 bits, so that the high byte that OpenCV takes is 0 everywhere
LOW_16_BIT = "16-bit, but values of 0.."
LOW_16_BIT_FIX = "save it as 8-bit, or multiply its values by 257"


def join_notes(*notes: str) -> str:
    """Join the notes that are not empty."""
    return ", ".join(filter(None, notes))


def frame_notes(*, animated: bool, orientation: int) -> str:
    """Note that an image has further frames, or that it was turned.

    Parameters
    ----------
    animated : bool
    orientation : int
        The EXIF orientation, 1 to 8.

    Returns
    -------
    str
        Empty for a single upright frame.
    """
    return join_notes(
        "the first of several frames" if animated else "",
        "turned upright by its EXIF orientation" if orientation > 1 else "",
    )


def low_16_bit_note(samples: Samples) -> str:
    """Note that 16-bit samples have no high bytes, although not all of them are black.

    Parameters
    ----------
    samples : ndarray of uint8 or uint16

    Returns
    -------
    str
        Contains `LOW_16_BIT`; empty for all other samples.
    """
    largest = int(samples.max())
    low = samples.dtype == np.uint16 and 0 < largest < 256
    return f"{LOW_16_BIT}{largest} only" if low else ""


def high_byte(samples: Samples) -> NDArray[np.uint8]:
    """Return the 8-bit values of samples: of 16-bit ones, the high byte.

    Parameters
    ----------
    samples : ndarray of uint8 or uint16

    Returns
    -------
    ndarray of uint8
        The same array if it is 8-bit already.
    """
    shift = 8 * (samples.dtype.itemsize - 1)
    return (samples >> shift).astype(np.uint8) if shift else samples.astype(np.uint8, copy=False)


def unclear_orientation(path: Path) -> ImageError:
    """Return the error for a map or mask of which it is not certain whether OpenCV turns it."""
    return ImageError(
        str(path),
        "its metadata (EXIF) are malformed or contradictory and may name an orientation, which not every version of "
        "OpenCV follows; save it as 8-bit grey PNG",
    )
