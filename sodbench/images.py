"""The only place that decodes or encodes a picture.

Grey pictures (saliency maps and masks) are decoded to the bytes that OpenCV's ``IMREAD_GRAYSCALE``
returns, because that is what SalMetric and most published evaluators read: colour goes through
OpenCV's integer luminance, 16-bit pictures keep their high byte, alpha is ignored, and an EXIF
orientation is applied.  Whatever was not plain 8-bit grey is said in :attr:`Grey.note`.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from sodbench.errors import ImageError

IMAGE_EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
MAX_PIXELS = 2**28
"""Larger pictures are refused before they are decoded (decompression bombs)."""


@dataclass(frozen=True)
class Grey:
    """A decoded grey picture: ``pixels`` uint8 [h, w]; ``note`` says what was converted, or is empty."""

    pixels: NDArray[np.uint8]
    note: str = ""


def is_picture(path: Path) -> bool:
    """Whether the name is that of a picture and not a stray file (``._x``, ``.DS_Store``, ...)."""
    return path.suffix.lower() in IMAGE_EXTENSIONS and not path.name.startswith(".")


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as picture:
                width, height = picture.size
                if width * height > MAX_PIXELS:
                    raise ImageError(
                        str(path), f"its header claims {width}x{height} pixels; refused as unsafe"
                    )
                yield picture
    except FileNotFoundError:
        raise ImageError(str(path), "no such file", "missing") from None
    except UnidentifiedImageError:
        raise ImageError(str(path), _not_a_picture(path)) from None
    except ImageError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ImageError(str(path), f"cannot be decoded ({error})") from error


def _not_a_picture(path: Path) -> str:
    if path.stat().st_size == 0:
        return "the file is empty (0 bytes)"
    with path.open("rb") as file:
        head = file.read(16)
    kind = (
        "text" if head.isascii() and b"\0" not in head else "not a picture format that Pillow knows"
    )
    return f"not a picture: its content is {kind} (first bytes {head!r})"


def read_grey(path: Path | str) -> Grey:
    """Decode a saliency map or a mask to uint8 [h, w], as OpenCV's grey reader does.

    Raises :class:`ImageError` for anything that is not a complete picture.
    """
    path = Path(path)
    with _opened(path) as picture:
        if picture.format == "JPEG":
            picture.draft("L", None)  # the Y channel as stored, which is what OpenCV takes
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        rotated = upright is not picture and upright.size != picture.size
        pixels, note = _grey(upright)
        if picture.format == "JPEG":
            note = "JPEG (lossy)" + (f", {note}" if note else "")
        if rotated:
            note = f"{note}, " * bool(note) + "rotated by its EXIF orientation"
        return Grey(pixels, note)


def _grey(picture: Image.Image) -> tuple[NDArray[np.uint8], str]:
    mode = picture.mode
    if mode == "L":
        return np.asarray(picture, np.uint8), ""
    if mode == "1":
        return np.asarray(picture, np.uint8) * np.uint8(255), "1-bit"
    if mode == "LA":
        return np.asarray(picture.getchannel(0), np.uint8), "grey with alpha (alpha ignored)"
    if mode.startswith("I;16") or mode == "I":
        values = np.asarray(picture).astype(np.int64)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError(f"mode {mode} values outside 16 bits")
        return (values >> 8).astype(np.uint8), "16-bit (high byte kept)"
    if mode in ("RGB", "RGBA", "P", "PA", "RGBX"):
        rgb = np.asarray(
            picture.convert("RGBA").convert("RGB")
            if "A" in mode or mode == "P"
            else picture.convert("RGB"),
            np.uint32,
        )
        grey = (9797 * rgb[..., 0] + 19234 * rgb[..., 1] + 3737 * rgb[..., 2]) >> 15
        name = {"P": "palette", "PA": "palette"}.get(mode, mode)
        coloured = (rgb[..., 0] != rgb[..., 1]).any() or (rgb[..., 1] != rgb[..., 2]).any()
        return grey.astype(
            np.uint8
        ), f"{name} {'in colour (luminance taken)' if coloured else 'grey'}"
    if mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        return np.asarray(picture.convert("L"), np.uint8), f"{mode} (luminance taken)"
    raise ValueError(f"pixel mode {mode} is not supported; save it as 8-bit grey PNG")


def read_rgb(path: Path | str) -> NDArray[np.uint8]:
    """Decode an image to RGB uint8 [h, w, 3], its EXIF orientation applied (as the reference's reader)."""
    with _opened(Path(path)) as picture:
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        if upright.mode.startswith("I"):
            return np.repeat(_grey(upright)[0][..., None], 3, axis=2)
        return np.array(upright.convert("RGB"), np.uint8)


def image_size(path: Path | str) -> tuple[int, int]:
    """(height, width) after EXIF orientation, read from the header alone."""
    with _opened(Path(path)) as picture:
        width, height = picture.size
        sideways = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        return (width, height) if sideways else (height, width)


def resize_grey(
    pixels: NDArray[np.uint8], size: tuple[int, int], how: Literal["bilinear", "nearest"]
) -> NDArray[np.uint8]:
    """Resize uint8 [h, w] to ``size`` = (height, width) with Pillow (antialiased when shrinking)."""
    resample = Image.Resampling.BILINEAR if how == "bilinear" else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), resample), np.uint8)


def write_grey(path: Path | str, pixels: NDArray[np.uint8]) -> None:
    """Write uint8 [h, w] as an 8-bit grey PNG; the file appears whole or not at all."""
    write_picture(path, pixels)


def write_picture(path: Path | str, pixels: NDArray[np.uint8]) -> None:
    """Write uint8 [h, w] or [h, w, 3] in the format of the name; whole or not at all."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(np.ascontiguousarray(pixels))
        if path.suffix.lower() == ".png":
            picture.save(temporary, format="PNG", compress_level=4)
        else:
            picture.save(temporary, format="JPEG", quality=92)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ImageError(str(path), f"cannot be written ({error.strerror or error})") from error
