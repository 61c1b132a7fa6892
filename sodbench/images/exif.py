"""The orientation in EXIF data, read as OpenCV reads it.

Definition: CIPA DC-008 (Exif 2.32), section 4.6; TIFF 6.0, section 2.
"""

import struct

import numpy as np
from numpy.typing import NDArray

# The orientation of data that name one but are malformed: whether OpenCV follows it depends on what is wrong
UNCLEAR = 0
# The first of the orientations that exchange width and height
FIRST_ON_SIDE = 5

# How EXIF data start, and the byte order that this declares
_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}

_ORIENTATION = 0x0112
_SHORT, _TEXT, _RATIONAL = 3, 2, 5
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
# Types of the tags that OpenCV reads, whatever type the file gives them
_TAG_TYPES = {
    _ORIENTATION: _SHORT,
    **dict.fromkeys((0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298), _TEXT),
    **dict.fromkeys((0x011A, 0x011B, 0x013E, 0x013F, 0x0211, 0x0214), _RATIONAL),
}
_TURNED = range(2, 9)

# Steps through rows and columns for each orientation, after rows and columns are exchanged for those from 5 on
_STEPS = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 5: (1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}


def turn_upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Apply an EXIF orientation.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (h, w, ...)
    orientation : int
        1 to 8.

    Returns
    -------
    ndarray of uint8
        Contiguous; the same array for orientation 1.
    """
    if orientation == 1:
        return pixels
    if orientation >= FIRST_ON_SIDE:
        pixels = pixels.swapaxes(0, 1)
    row_step, column_step = _STEPS[orientation]
    return np.ascontiguousarray(pixels[::row_step, ::column_step])


def upright_if_unclear(orientation: int) -> int:
    """Return the orientation to apply to a photograph, where nothing depends on OpenCV.

    Parameters
    ----------
    orientation : int

    Returns
    -------
    int
    """
    return 1 if orientation == UNCLEAR else orientation


def read_orientation(content: bytes) -> int:
    """Read the orientation in EXIF data.

    Parameters
    ----------
    content : bytes
        The data from their TIFF header on.

    Returns
    -------
    int
        1 to 8; 1 also where there is none, and `UNCLEAR`.
    """
    order = _BYTE_ORDERS.get(content[:4])
    if order:
        return _parse_directory(content, order)
    # OpenCV looks at fewer bytes of the header
    looks_like_exif = any(letter in b"IM" for letter in content[:2])
    may_turn = looks_like_exif and any(_parse_directory(content, order) != 1 for order in "<>")
    return UNCLEAR if may_turn else 1


def _parse_directory(content: bytes, order: str) -> int:
    if len(content) < 8:
        return 1
    (start,) = struct.unpack_from(f"{order}I", content, 4)
    if start + 2 > len(content):
        return 1
    (number,) = struct.unpack_from(f"{order}H", content, start)
    values = []
    clean = start + 2 + 12 * number <= len(content)
    for entry in range(start + 2, start + 2 + 12 * number, 12):
        # OpenCV reads an entry that is cut short if its first ten bytes are there
        if entry + 10 > len(content):
            break
        tag, kind, count, place = struct.unpack(
            f"{order}HHII", content[entry : entry + 12].ljust(12, b"\0")
        )
        size = _TYPE_SIZES.get(kind, 0) * count
        clean &= kind in _TYPE_SIZES and kind == _TAG_TYPES.get(tag, kind)
        clean &= size <= 4 or place + size <= len(content)
        if tag == _ORIENTATION:
            values.append(struct.unpack_from(f"{order}H", content, entry + 8)[0])
            clean &= count == 1
    if not any(value in _TURNED for value in values):
        return 1
    return values[0] if clean and len(values) == 1 else UNCLEAR
