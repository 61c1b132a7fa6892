"""A grey image with a note on how it was converted, and what all readers share."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sodbench.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]
Samples = NDArray[np.uint8] | NDArray[np.uint16]

# Part of the note of a 16-bit file whose values all fit 8 bits, so that the high byte that OpenCV takes is 0 everywhere
LOW_16_BIT = "16-bit, but values of 0.."
LOW_16_BIT_FIX = "save it as 8-bit, or multiply its values by 257"
# What to do about a mask whose object is coded as a class or in a dark colour
MASK_CODING_FIX = (
    "write it again with 255 for the object and 0 for the background, as 8-bit grey PNG"
)

# The note of a map that is the alpha channel of its file
ALPHA_TAKEN = "alpha channel taken"
# Part of the note of a file whose mask is probably in the alpha channel, which is ignored
ALPHA_VARIES = "alpha varies"


class GreyImage(NamedTuple):
    """A decoded saliency map or mask.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (h, w)
        New, contiguous and writable.
    note : str
        What was converted; empty for plain 8-bit grey. It contains `LOW_16_BIT` if the file was probably saved with
        the wrong type.
    """

    pixels: Pixels
    note: str = ""


def describe_levels(levels: Sequence[int]) -> str:
    """Describe the grey levels of a mask: ``values 0 and 38 only``, ``values 0, 38, ...``.

    Parameters
    ----------
    levels : sequence of int
        Those that occur, ascending.

    Returns
    -------
    str
        Short, and without a semicolon.
    """
    if len(levels) == 1:
        return f"value {levels[0]} only"
    if len(levels) == 2:
        return f"values {levels[0]} and {levels[1]} only"
    return f"values {levels[0]}, {levels[1]}, ..."


def join_notes(*notes: str) -> str:
    """Join the notes that are not empty."""
    return ", ".join(filter(None, notes))


def frame_notes(*, animated: bool, orientation: int) -> str:
    """Note that an image has further frames, or that its EXIF orientation (1 to 8) turns it.

    Parameters
    ----------
    animated : bool
    orientation : int

    Returns
    -------
    str
        Empty for a single upright frame.
    """
    return join_notes(
        "the first of several frames" if animated else "",
        "turned upright by its EXIF orientation" if orientation > 1 else "",
    )


def alpha_note(image: "Image.Image") -> str:
    """Note that the alpha channel of an RGBA image is not the same everywhere, so that it may hold a mask.

    Parameters
    ----------
    image : PIL.Image.Image

    Returns
    -------
    str
        `ALPHA_VARIES`, or empty.
    """
    low, high = image.getchannel("A").getextrema()
    return ALPHA_VARIES if low != high else ""


def low_16_bit_note(samples: Samples) -> str:
    """Note that 16-bit samples have no high bytes, although not all of them are black; empty for all others.

    Parameters
    ----------
    samples : ndarray of uint8 or uint16

    Returns
    -------
    str
        With `LOW_16_BIT` in it.
    """
    largest = int(samples.max())
    low = samples.dtype == np.uint16 and 0 < largest < 256
    return f"{LOW_16_BIT}{largest} only" if low else ""


def high_byte(samples: Samples) -> NDArray[np.uint8]:
    """Return the high byte of 16-bit samples, or 8-bit ones as they are.

    Parameters
    ----------
    samples : ndarray of uint8 or uint16

    Returns
    -------
    ndarray of uint8
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
