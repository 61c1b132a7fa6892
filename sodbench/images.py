"""The only place that decodes or encodes a picture.

Grey pictures (saliency maps and masks) are decoded to the bytes that OpenCV's ``IMREAD_GRAYSCALE``
returns, because that is what SalMetric and most published evaluators read: colour goes through
OpenCV's integer luminance, 16-bit pictures keep their high byte, alpha is ignored, and an EXIF
orientation is applied.  Whatever was not plain 8-bit grey is said in :attr:`Grey.note`.

Plain grey PNG is read and written by :mod:`sodbench.png`, everything else by Pillow.  A picture is
either decoded whole or refused with an :class:`ImageError` that names it.
"""

import io
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import (
    Image,
    ImageFile,
    ImageOps,
    TiffImagePlugin,  # noqa: F401  imported so that Image.open knows TIFF ...
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401  ... and WebP without loading every reader Pillow has
)

from sodbench import png
from sodbench.errors import ImageError

IMAGE_EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
MAX_PIXELS = 89_478_485
"""Larger pictures are refused before they are decoded (decompression bombs); Pillow's own limit."""
MAX_BYTES = 2**30
"""Larger files are refused before they are read."""

_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "PPM")
"""What Pillow may take a file for, whatever its name.  Some of its other readers start programs."""
_ORIENTATION = 0x0112
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""How a file is opened: not waiting for whoever might write to a pipe; without Windows' text mode."""


class Grey(NamedTuple):
    """A decoded grey picture.

    pixels: uint8 [h, w], fresh, contiguous and writable.
    note: what was converted, or empty for plain 8-bit grey.
    """

    pixels: NDArray[np.uint8]
    note: str = ""


def is_picture(path: Path) -> bool:
    """Whether the name is that of a picture and not a stray file (``._x``, ``.DS_Store``, ...)."""
    return path.suffix.lower() in IMAGE_EXTENSIONS and not path.name.startswith(".")


def read_grey(path: Path | str) -> Grey:
    """Decode a saliency map or a mask to uint8 [h, w], as OpenCV's grey reader does.

    Raises :class:`ImageError` for anything that is not a complete picture.
    """
    path = Path(path)
    return decode_grey(read_bytes(path), path)


def decode_grey(data: bytes, path: Path) -> Grey:
    """What :func:`read_grey` does, for a file whose content ``data`` was read already."""
    parts = _png_chunks(path, data)
    head = png.plain_header(parts) if parts else None
    if head:
        _check_sides(path, head.width, head.height)
        pixels = png.decode(parts, head)
        if pixels is not None:
            return Grey(pixels, "1-bit" if head.depth == 1 else "")
    picture, notes = _load(path, data, parts, grey=True)
    pixels, note = _grey(path, picture)
    return Grey(pixels, ", ".join(filter(None, [*notes, note])))


def read_bytes(path: Path) -> bytes:
    """The content of a picture's file; raises :class:`ImageError` that says why it cannot be had.

    Folders, pipes and monstrous files are refused without being read.
    """
    return read_file(path)[0]


def read_file(path: Path) -> tuple[bytes, os.stat_result]:
    """What :func:`read_bytes` gives, and the file's status as it was before it was read."""
    try:
        file = os.open(path, _READ)
        try:
            status = os.fstat(file)
            if stat.S_ISDIR(status.st_mode):
                raise ImageError(str(path), "it is a folder, not a picture")
            if not stat.S_ISREG(status.st_mode):
                raise ImageError(str(path), "it is not a regular file")
            if status.st_size > MAX_BYTES:
                raise ImageError(str(path), f"it has {status.st_size} bytes; refused as unsafe")
            data = os.read(file, status.st_size + 1)
        finally:
            os.close(file)
    except (FileNotFoundError, NotADirectoryError):
        raise ImageError(str(path), "no such file", "missing") from None
    except OSError as error:
        raise ImageError(str(path), f"cannot be read ({error.strerror or error})") from error
    if len(data) != status.st_size:
        raise ImageError(str(path), "it changed while it was being read")
    return data, status


def read_rgb(path: Path | str) -> NDArray[np.uint8]:
    """Decode an image to RGB uint8 [h, w, 3], its EXIF orientation applied and its alpha ignored.

    Raises :class:`ImageError` for anything that is not a complete picture.
    """
    path = Path(path)
    return decode_rgb(read_bytes(path), path)


def decode_rgb(data: bytes, path: Path) -> NDArray[np.uint8]:
    """What :func:`read_rgb` does, for a file whose content ``data`` was read already."""
    picture, _ = _load(path, data, _png_chunks(path, data))
    if picture.mode.startswith("I"):
        return np.repeat(_grey(path, picture)[0][..., None], 3, axis=2)
    return np.array(_rgb(path, picture), np.uint8)


def read_comment(path: Path) -> tuple[str, str]:
    """The comment that :func:`write_grey` put into a PNG, or nothing; and the file's digest (:func:`png.digest`).

    Raises :class:`ImageError` for a file that cannot be read and for a damaged PNG.
    """
    parts = _png_chunks(path, read_bytes(path))
    return png.comment(parts), png.digest(parts)


def image_size(path: Path | str) -> tuple[int, int]:
    """(height, width) that :func:`read_grey` and :func:`read_rgb` give, without decoding a pixel.

    Raises :class:`ImageError` where the header is not that of a picture.
    """
    path = Path(path)
    data = read_bytes(path)
    parts = _png_chunks(path, data)
    head = png.header(parts) if parts and png.is_upright(parts) else None
    if head:
        _check_sides(path, head.width, head.height)
        return head.height, head.width
    with _opened(path, data) as picture:
        width, height = picture.size
        turned = picture.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
        if turned and picture.format != "TIFF":  # Pillow has turned a TIFF's size already
            return width, height
        return height, width


def _png_chunks(path: Path, data: bytes) -> list[png.Chunk]:
    """The chunks of a PNG, found to be whole; none for another kind of file."""
    if not data.startswith(png.SIGNATURE):
        return []
    try:
        return png.chunks(data)
    except png.Damaged as error:
        raise _damaged(path, error) from None


def _check_filled(path: Path, parts: list[png.Chunk]) -> None:
    """Refuse a PNG, of which these are the chunks, whose last rows are missing."""
    try:
        if parts:
            png.check_filled(parts)
    except png.Damaged as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: png.Damaged) -> ImageError:
    return ImageError(str(path), f"this PNG is {error}")


def _check_sides(path: Path, width: int, height: int) -> None:
    if width * height == 0:
        raise ImageError(str(path), f"its header claims {width}x{height} pixels, so it has none")
    if width * height > MAX_PIXELS:
        raise ImageError(str(path), f"its header claims {width}x{height} pixels; refused as unsafe")


@contextmanager
def _opened(path: Path, data: bytes) -> Iterator[Image.Image]:
    """The picture as Pillow sees it, not yet decoded; any failure of Pillow's names the file."""
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise ImageError(
            str(path),
            "not decoded, because this program has set PIL.ImageFile.LOAD_TRUNCATED_IMAGES, which "
            "makes truncated pictures look whole; set it back to False",
        )
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            _check_sides(path, *picture.size)
            yield picture
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(str(path), _not_a_picture(data)) from None
    except Image.DecompressionBombError:
        detail = f"its header claims more than {MAX_PIXELS} pixels; refused as unsafe"
        raise ImageError(str(path), detail) from None
    except Exception as error:  # what a broken file makes Pillow raise is not documented
        reason = str(error) or type(error).__name__
        raise ImageError(str(path), f"cannot be decoded ({reason})") from error


def _not_a_picture(data: bytes) -> str:
    if not data:
        return "the file is empty (0 bytes)"
    if data.startswith((png.SIGNATURE, b"\xff\xd8")):
        return "a PNG or JPEG, but its header is broken"
    head = data[:16]
    text = head.isascii() and b"\0" not in head
    kind = "text" if text else "not a picture format that sodbench reads"
    return f"not a picture: its content is {kind} (first bytes {head!r})"


def _load(
    path: Path, data: bytes, parts: list[png.Chunk], *, grey: bool = False
) -> tuple[Image.Image, list[str]]:
    """The decoded picture, upright, its first frame; and what there is to say about that.

    parts: the chunks of a PNG.
    """
    with _opened(path, data) as picture:
        _check_filled(path, parts)
        lossy = picture.format in ("JPEG", "MPO")
        if grey and lossy:
            picture.draft("L", None)  # the Y channel as stored, which is what OpenCV takes
        animated = not lossy and getattr(picture, "is_animated", False)
        turned = picture.getexif().get(_ORIENTATION, 1) in range(2, 9)
        picture.load()
        ImageOps.exif_transpose(picture, in_place=True)
        notes = [
            "JPEG (lossy)" if lossy else "",
            "the first of several frames" if animated else "",
            "turned upright by its EXIF orientation" if turned else "",
        ]
        return picture, notes


def _grey(path: Path, picture: Image.Image) -> tuple[NDArray[np.uint8], str]:
    """Decoded picture to grey as OpenCV does it, and what was converted."""
    mode = picture.mode
    if mode == "L":
        return np.array(picture, np.uint8), ""
    if mode == "1":
        return np.array(picture, np.uint8) * np.uint8(255), "1-bit"
    if mode == "LA":
        return np.array(picture.getchannel(0), np.uint8), "grey with alpha (alpha ignored)"
    if mode.startswith("I"):
        return _high_byte(path, picture), "16-bit (high byte kept)"
    if mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        return np.array(picture.convert("L"), np.uint8), f"{mode} (luminance taken)"
    pixels, coloured = _luminance(_rgb(path, picture))
    name = "palette" if mode in ("P", "PA") else mode
    return pixels, f"{name} {'in colour (luminance taken)' if coloured else 'grey'}"


def _high_byte(path: Path, picture: Image.Image) -> NDArray[np.uint8]:
    values = np.asarray(picture)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ImageError(str(path), f"its values ({picture.mode}) do not fit 16 bits")
    return (values >> 8).astype(np.uint8)


def _rgb(path: Path, picture: Image.Image) -> Image.Image:
    if picture.mode not in (
        "L",
        "LA",
        "1",
        "P",
        "PA",
        "RGB",
        "RGBA",
        "RGBX",
        "CMYK",
        "YCbCr",
        "LAB",
    ):
        raise ImageError(
            str(path), f"pixel mode {picture.mode} is not supported; save it as 8-bit PNG"
        )
    picture.info.pop("transparency", None)  # alpha is ignored, and Pillow would warn of it
    return picture.convert("RGB")


def _luminance(picture: Image.Image) -> tuple[NDArray[np.uint8], bool]:
    """OpenCV's grey of an RGB picture (its PNG reader's, in libpng), and whether it has colour."""
    rgb = np.asarray(picture)
    grey = np.empty(rgb.shape[:2], np.uint8)
    coloured = False
    for top in range(0, len(rgb), 64):  # a few rows at a time, to stay in the cache
        red, green, blue = np.moveaxis(rgb[top : top + 64].astype(np.uint32), 2, 0)
        grey[top : top + 64] = (9797 * red + 19234 * green + 3737 * blue) >> 15
        coloured = coloured or bool((red != green).any() or (green != blue).any())
    return grey, coloured


def resize_grey(
    pixels: NDArray[np.uint8], size: tuple[int, int], how: Literal["bilinear", "nearest"]
) -> NDArray[np.uint8]:
    """Resize uint8 [h, w] to ``size`` = (height, width) with Pillow (antialiased when shrinking)."""
    resample = Image.Resampling.BILINEAR if how == "bilinear" else Image.Resampling.NEAREST
    return np.array(Image.fromarray(pixels).resize((size[1], size[0]), resample), np.uint8)


def write_grey(
    path: Path | str, pixels: NDArray[np.uint8], comment: str | Callable[[str], str] = ""
) -> None:
    """Write uint8 [h, w] as an 8-bit grey PNG, with a comment (:func:`png.encode`); see :func:`write_picture`."""
    _write(Path(path), _encoded(Path(path), pixels, comment))


def write_picture(path: Path | str, pixels: NDArray[np.uint8]) -> None:
    """Write uint8 [h, w] or [h, w, 3] as PNG or JPEG, by the name's ending.

    The file appears whole or not at all; folders are made as needed.  Raises :class:`ImageError`
    where that is not possible.
    """
    _write(Path(path), _encoded(Path(path), pixels))


def _write(path: Path, content: bytes) -> None:
    # the process is in the name, so that what a killed one left can be recognised and removed
    temporary = path.with_name(f".{secrets.token_hex(8)}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise ImageError(str(path), f"cannot be written ({reason})", "unwritable") from error


def _encoded(
    path: Path, pixels: NDArray[np.uint8], comment: str | Callable[[str], str] = ""
) -> bytes:
    shape = pixels.shape
    if pixels.dtype != np.uint8 or 0 in shape or not (len(shape) == 2 or shape[2:] == (3,)):
        raise ValueError(f"a picture is uint8 [h, w] or [h, w, 3], not {pixels.dtype} {shape}")
    kind = path.suffix.lower()
    if kind == ".png" and pixels.ndim == 2:
        return png.encode(pixels, comment)
    if kind not in (".png", ".jpg", ".jpeg"):
        raise ImageError(str(path), "can be written as .png, .jpg or .jpeg only", "unwritable")
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(
        content, format="PNG" if kind == ".png" else "JPEG", quality=92
    )
    return content.getvalue()
