"""Write images, and resize maps to the size of their masks."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sodbench.errors import ImageError, SodbenchError
from sodbench.files import atomic_write
from sodbench.images import fast_png

_JPEG_QUALITY = 92


def write_grey(
    path: Path | str, pixels: NDArray[np.uint8], comment: str | Callable[[str], str] = ""
) -> None:
    """Write a saliency map or mask as an 8-bit grey PNG.

    Parameters
    ----------
    path : Path or str
        File to write; it appears completely or not at all, and its folders are created as needed.
    pixels : ndarray of uint8, shape (h, w)
    comment : str or callable
        Text in Latin-1 that `read_comment` returns, or a function of the digest of the file
        (`sodbench.images.png.digest`).

    Raises
    ------
    ImageError
        If the file cannot be written.
    """
    _write(Path(path), pixels, comment)


def write_image(path: Path | str, pixels: NDArray[np.uint8]) -> None:
    """Write an image as PNG or JPEG, depending on the extension.

    Parameters
    ----------
    path : Path or str
        As for `write_grey`.
    pixels : ndarray of uint8, shape (h, w) or (h, w, 3)

    Raises
    ------
    ImageError
        If the file cannot be written, or has another extension.
    """
    _write(Path(path), pixels)


def _write(path: Path, pixels: NDArray[np.uint8], comment: str | Callable[[str], str] = "") -> None:
    content = _encode(path, pixels, comment)
    try:
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
    except SodbenchError as error:
        # the OSError is the cause, by which callers distinguish a full disk from a single bad name
        cause = error.__cause__
        reason = getattr(cause, "strerror", None) or cause
        raise ImageError(str(path), f"cannot be written ({reason})", "unwritable") from cause


def _encode(path: Path, pixels: NDArray[np.uint8], comment: str | Callable[[str], str]) -> bytes:
    shape = pixels.shape
    if pixels.dtype != np.uint8 or 0 in shape or not (len(shape) == 2 or shape[2:] == (3,)):
        raise ValueError(f"an image is uint8 [h, w] or [h, w, 3], not {pixels.dtype} {shape}")
    extension = path.suffix.lower()
    if extension == ".png" and pixels.ndim == 2:
        return fast_png.encode(pixels, comment)
    if extension not in (".png", ".jpg", ".jpeg"):
        raise ImageError(str(path), "can be written as .png, .jpg or .jpeg only", "unwritable")
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(
        content, format="PNG" if extension == ".png" else "JPEG", quality=_JPEG_QUALITY
    )
    return content.getvalue()
