"""What Pillow alone makes of an image, turned to grey by OpenCV's rules: slow and plain."""

import io
import struct

import numpy as np
from PIL import Image, ImageOps

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"


def pillow_grey(data: bytes) -> np.ndarray:
    """uint8 [h, w]; raises whatever Pillow raises.

    The colours of PNG files with a gamma are not converted as OpenCV does: see tests/data/decoding.npz for those.
    """
    if data.startswith(PNG):
        data = without_chunks(data)
    with Image.open(io.BytesIO(data)) as image:
        if image.format in ("JPEG", "MPO"):
            image.draft("L", None)
        image.info.pop("xmp", None)
        image.load()
        image = ImageOps.exif_transpose(image)
        if image.mode == "L":
            return np.asarray(image)
        if image.mode == "LA":
            return np.asarray(image)[..., 0]
        if image.mode == "1":
            return np.asarray(image) * np.uint8(255)
        if image.mode.startswith("I"):
            return (np.asarray(image).astype(int) // 256).astype(np.uint8)
        if image.mode == "CMYK":
            return np.array([_grey_of_inks(row) for row in 255 - np.asarray(image)], np.uint8)
        if image.mode == "P":
            image = image.convert("RGBA")
        red, green, blue = np.asarray(image.convert("RGB")).astype(int).transpose(2, 0, 1)
        return ((9797 * red + 19234 * green + 3737 * blue) // 32768).astype(np.uint8)


def _grey_of_inks(row: np.ndarray) -> np.ndarray:
    """One row [w, 4] of a CMYK JPEG, as stored."""
    *inks, black = row.astype(int).T
    colours = [black - (255 - ink) * black // 256 for ink in inks]
    weighted = sum(w * c for w, c in zip((4899, 9617, 1868), colours, strict=True))
    return (weighted + 8192) // 16384


def without_chunks(data: bytes) -> bytes:
    """A PNG without the chunks in which Pillow looks for an orientation, except eXIf, and without frames."""
    kept, start = PNG, len(PNG)
    while start + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        if kind not in (b"tEXt", b"zTXt", b"iTXt", b"acTL", b"fcTL", b"fdAT"):
            kept += data[start : start + 12 + length]
        start += 12 + length
    return kept
