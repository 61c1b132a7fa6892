"""PNG written by the letter of the specification: chosen filters, chunks, and faults on demand."""

import struct
import zlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
IEND = b"\x00\x00\x00\x00IEND\xaeB`\x82"


def chunk(kind: bytes, content: bytes, checksum_off_by: int = 0) -> bytes:
    checksum = zlib.crc32(kind + content) ^ checksum_off_by
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def ihdr(width: int, height: int, depth: int = 8, colour: int = 0, interlace: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


def paeth(a: int, b: int, c: int) -> int:
    """The specification's predictor, section 9.4."""
    p = a + b - c
    distances = abs(p - a), abs(p - b), abs(p - c)
    return (a, b, c)[distances.index(min(distances))]


def filtered(rows: np.ndarray, filters: Sequence[int]) -> bytes:
    """Rows uint8 [h, n] of one byte a pixel (or eight pixels a byte), row y by filters[y]."""
    out = bytearray()
    for y, row in enumerate(rows.astype(int)):
        above = rows[y - 1].astype(int) if y else np.zeros_like(row)
        out.append(filters[y])
        for x, value in enumerate(row):
            a, b, c = (row[x - 1] if x else 0), above[x], (above[x - 1] if x else 0)
            prediction = (0, a, b, (a + b) // 2, paeth(a, b, c))[filters[y]]
            out.append((value - prediction) % 256)
    return bytes(out)


def grey_png(
    pixels: np.ndarray,
    filters: Sequence[int] | int = 0,
    *,
    bits: bool = False,
    before: bytes = b"",
    after: bytes = b"",
    pieces: int = 1,
    level: int = 6,
) -> bytes:
    """Grey PNG of uint8 [h, w]; ``bits`` stores ``pixels > 127`` in one bit each.

    before and after: further chunks around the image data; pieces: how many IDAT chunks.
    """
    height, width = pixels.shape
    rows = np.packbits(pixels > 127, axis=1) if bits else pixels
    codes = [filters] * height if isinstance(filters, int) else filters
    data = zlib.compress(filtered(rows, codes), level)
    cuts = np.linspace(0, len(data), pieces + 1).astype(int)
    idat = b"".join(chunk(b"IDAT", data[a:b]) for a, b in pairwise(cuts))
    return SIGNATURE + ihdr(width, height, 1 if bits else 8) + before + idat + after + IEND
