"""JPEG photographs, decoded by libjpeg-turbo through simplejpeg: Pillow's pixels in about half of its time.

Pillow decodes with libjpeg-turbo, too, but copies the pixels three times, and holds Python's lock while it does, so that
several threads wait for each other. Where simplejpeg is not installed, and for every file of which it
warns, `decode_photograph` returns None, and the caller decodes with Pillow, which decides what is damaged.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sodbench.images.jpeg import Frame

# Components of grey and of colour as YCbCr or RGB; of the others, libjpeg-turbo's RGB is not Pillow's
_COMPONENTS = (1, 3)


@cache
def _load_decoder() -> Any:
    """The function that decodes; None if it is not installed."""
    try:
        from simplejpeg import decode_jpeg
    except ImportError:
        return None
    return decode_jpeg


def decode_photograph(
    data: bytes, frame: Frame | None, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8] | None:
    """Decode a JPEG as RGB.

    Parameters
    ----------
    data : bytes
    frame : Frame or None
        What the file states about its pixels; None: it is unclear.
    out : ndarray of uint8, optional
        Memory for the pixels. It is only used if it is contiguous and of the image's shape.

    Returns
    -------
    ndarray of uint8, shape (h, w, 3), or None
        None where Pillow must decode.
    """
    decoder = _load_decoder()
    if decoder is None or frame is None or frame.components not in _COMPONENTS:
        return None
    shape = frame.height, frame.width, 3
    fits = out is not None and out.shape == shape and out.flags.c_contiguous
    pixels = out if fits else np.empty(shape, np.uint8)
    try:
        # strict: what libjpeg-turbo only warns of is an error, too
        decoded: NDArray[np.uint8] = decoder(data, colorspace="RGB", strict=True, buffer=pixels)
    except ValueError:
        return None
    return pixels if decoded.shape == shape else None
