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
    with Image.open(io.BytesIO(data)) as picture:
        if picture.format in ("JPEG", "MPO"):
            picture.draft("L", None)
        picture.info.pop("xmp", None)
        picture.load()
        picture = ImageOps.exif_transpose(picture)
        if picture.mode == "L":
            return np.asarray(picture)
        if picture.mode == "LA":
            return np.asarray(picture)[..., 0]
        if picture.mode == "1":
            return np.asarray(picture) * np.uint8(255)
        if picture.mode.startswith("I"):
            return (np.asarray(picture).astype(int) // 256).astype(np.uint8)
        if picture.mode == "CMYK":
            cyan, magenta, yellow, black = 255 - np.asarray(picture).astype(int).transpose(2, 0, 1)
            colours = [black - (255 - ink) * black // 256 for ink in (cyan, magenta, yellow)]
            weighted = sum(w * c for w, c in zip((4899, 9617, 1868), colours, strict=True))
            return ((weighted + 8192) // 16384).astype(np.uint8)
        if picture.mode == "P":
            picture = picture.convert("RGBA")
        red, green, blue = np.asarray(picture.convert("RGB")).astype(int).transpose(2, 0, 1)
        return ((9797 * red + 19234 * green + 3737 * blue) // 32768).astype(np.uint8)


def without_chunks(data: bytes) -> bytes:
    """A PNG without the chunks in which Pillow looks for an orientation, except eXIf, and without frames."""
    kept, start = PNG, len(PNG)
    while start + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        if kind not in (b"tEXt", b"zTXt", b"iTXt", b"acTL", b"fcTL", b"fdAT"):
            kept += data[start : start + 12 + length]
        start += 12 + length
    return kept
