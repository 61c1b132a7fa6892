"""OpenCV's grey values of colour images.

OpenCV's ``IMREAD_GRAYSCALE`` has no single luminance. Each of its readers converts in its own way, and the results
differ by one grey level on about half of the pixels:

- the PNG reader leaves the conversion to libpng, which rounds down, works on 16 bits where the file does, and passes
  through linear light where the file declares its gamma (`png_grey`);
- the other readers round to the nearest value, with weights of 14 or 15 bits (`rounded_grey`);
- CMYK is converted to RGB first, in a JPEG and in a TIFF differently (`cmyk_grey`).

The functions reproduce these bytes. They were written from the Portable Network Graphics Specification (third edition,
W3C, section 13.13) and from the output of OpenCV 4.10, 4.12, 4.14 and 5.0 for thousands of generated files.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.uint8] | NDArray[np.uint16]

# Exponents that libpng takes for 1
_ALMOST_UNIT = range(95_000, 105_001)
# Low bits of a 16-bit value that libpng's gamma tables leave out: as many as the file declares empty (sBIT), but at
# least 5, because the result has 8 bits, and at most 8
_LOWEST_SHIFT, _HIGHEST_SHIFT = 5, 8
# Rows that are converted together, so that the intermediate values stay in the processor's cache
_STRIP = 64


def png_grey(
    rgb: Rows, gamma: int | None = None, significant_bits: int = 0
) -> tuple[NDArray[np.uint8], bool]:
    """Convert the RGB samples of a PNG to the grey values of OpenCV's PNG reader.

    Parameters
    ----------
    rgb : ndarray of uint8 or uint16, shape (h, w, 3)
        Samples as stored, palettes expanded.
    gamma : int, optional
        Gamma that the file declares, in units of 1/100,000.
    significant_bits : int
        Most significant bits of a channel that the file declares (sBIT), 0 where it does not.

    Returns
    -------
    grey : ndarray of uint8, shape (h, w)
    is_coloured : bool
        Whether any pixel has channels that differ.
    """
    deep = rgb.dtype == np.uint16
    tables = None
    if gamma is not None and not (_is_unit(gamma) and _is_unit(_reciprocal(gamma))):
        tables = _tables_16(gamma, significant_bits) if deep else _tables_8(gamma)
    grey = np.empty(rgb.shape[:2], np.uint8)
    is_coloured = False
    for top in range(0, len(rgb), _STRIP):
        red, green, blue = np.moveaxis(rgb[top : top + _STRIP].astype(np.uint32), 2, 0)
        differs = (red != green) | (red != blue)
        if tables is None:
            light = 9797 * red + 19234 * green + 3737 * blue
            mixed = (light + (16384 if deep else 0)) >> 15
            equal = red
        else:
            # The mean is taken in linear light; grey pixels take a path of their own
            shift, to_light, from_light, of_grey = tables
            red, green, blue = red >> shift, green >> shift, blue >> shift
            light = 9797 * to_light[red] + 19234 * to_light[green] + 3737 * to_light[blue]
            mixed = from_light[((light + 16384) >> 15) >> shift]
            equal = of_grey[red]
        values = np.where(differs, mixed, equal)
        grey[top : top + _STRIP] = values >> 8 if deep else values
        is_coloured = is_coloured or bool(differs.any())
    return grey, is_coloured


class _Tables(NamedTuple):
    """Gamma tables, uint32, looked up by a sample without its ``shift`` low bits."""

    shift: int
    to_light: NDArray[np.uint32]
    from_light: NDArray[np.uint32]
    of_grey: NDArray[np.uint32]


def _is_unit(exponent: int) -> bool:
    return exponent in _ALMOST_UNIT


def _reciprocal(exponent: int) -> int:
    """1 / exponent as the integer to which libpng rounds it."""
    return int(1e10 / exponent + 0.5)


@lru_cache(8)
def _tables_8(gamma: int) -> _Tables:
    def power(exponent: int) -> NDArray[np.uint32]:
        values = np.arange(256)
        if not _is_unit(exponent):
            values = np.floor(255 * (values / 255.0) ** (exponent * 1e-5) + 0.5)
        return values.astype(np.uint32)

    inverse = _reciprocal(gamma)
    return _Tables(0, power(inverse), power(_reciprocal(inverse)), np.arange(256, dtype=np.uint32))


@lru_cache(8)
def _tables_16(gamma: int, significant_bits: int) -> _Tables:
    unused = 16 - significant_bits if 0 < significant_bits < 16 else 0
    shift = min(max(unused, _LOWEST_SHIFT), _HIGHEST_SHIFT)
    largest = (1 << (16 - shift)) - 1

    def power(exponent: int) -> NDArray[np.uint32]:
        values = np.arange(largest + 1)
        if _is_unit(exponent):
            values = (values * 65535 + (largest + 1) // 2) // largest
        else:
            values = np.floor(65535 * (values / largest) ** (exponent * 1e-5) + 0.5)
        return values.astype(np.uint32)

    inverse = _reciprocal(gamma)
    # grey pixels are rounded to 8 bits, stored as 16: a level ends where the next one's half begins
    overall = int(gamma * (inverse * 1e-5) + 0.5) * 1e-5
    halves = (np.arange(255) * 257 + 128) / 65535
    ends = np.floor(65535 * halves**overall + 0.5).astype(np.int64)
    ends = (ends * largest + 32768) // 65535 + 1
    of_grey = np.searchsorted(ends, np.arange(largest + 1), side="right").astype(np.uint32) * 257
    return _Tables(shift, power(inverse), power(_reciprocal(inverse)), of_grey)


def rounded_grey(rgb: NDArray[np.uint8], bits: int) -> tuple[NDArray[np.uint8], bool]:
    """Convert RGB to grey with weights of 14 or 15 bits, rounded to the nearest.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (h, w, 3)
    bits : int
        15 for WebP and GIF, which OpenCV converts after decoding; 14 for BMP, TIFF and PNM, whose readers convert.

    Returns
    -------
    grey : ndarray of uint8, shape (h, w)
    is_coloured : bool
        Whether any pixel has channels that differ.
    """
    weights = {14: (4899, 9617, 1868), 15: (9798, 19235, 3735)}[bits]
    half = 1 << (bits - 1)
    grey = np.empty(rgb.shape[:2], np.uint8)
    is_coloured = False
    for top in range(0, len(rgb), _STRIP):
        red, green, blue = np.moveaxis(rgb[top : top + _STRIP].astype(np.uint32), 2, 0)
        mixed = weights[0] * red + weights[1] * green + weights[2] * blue
        grey[top : top + _STRIP] = (mixed + half) >> bits
        is_coloured = is_coloured or bool((red != green).any() or (red != blue).any())
    return grey, is_coloured


def cmyk_grey(paper: NDArray[np.uint8], *, is_jpeg: bool) -> NDArray[np.uint8]:
    """Convert CMYK to grey.

    Parameters
    ----------
    paper : ndarray of uint8, shape (h, w, 4)
        How much of the paper each ink leaves free: 255 is no ink.
    is_jpeg : bool
        Whether a JPEG's reader converts to RGB, or a TIFF's.

    Returns
    -------
    ndarray of uint8, shape (h, w)
    """
    grey = np.empty(paper.shape[:2], np.uint8)
    for top in range(0, len(paper), _STRIP):
        strip = paper[top : top + _STRIP].astype(np.int32)
        colours, black = strip[..., :3], strip[..., 3:]
        rgb = black - ((255 - colours) * black >> 8) if is_jpeg else colours * black // 255
        grey[top : top + _STRIP] = rounded_grey(rgb.astype(np.uint8), 14)[0]
    return grey
