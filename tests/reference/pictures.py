"""What Pillow alone makes of a picture, turned to grey by OpenCV's rules: slow and plain."""

import io

import numpy as np
from PIL import Image, ImageOps


def pillow_grey(data: bytes) -> np.ndarray:
    """uint8 [h, w]; raises whatever Pillow raises."""
    with Image.open(io.BytesIO(data)) as picture:
        if picture.format in ("JPEG", "MPO"):
            picture.draft("L", None)
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
            return np.asarray(picture.convert("L"))
        if picture.mode == "P":
            picture = picture.convert("RGBA")
        red, green, blue = np.asarray(picture.convert("RGB")).astype(int).transpose(2, 0, 1)
        return ((9797 * red + 19234 * green + 3737 * blue) // 32768).astype(np.uint8)
