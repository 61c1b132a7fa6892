"""Decode and encode images; no other module does.

Saliency maps and masks are decoded to the bytes that OpenCV's ``IMREAD_GRAYSCALE`` returns, because SalMetric and most
published evaluators read with it: 16-bit files keep their high byte, alpha is ignored, an EXIF orientation is applied, and
colour becomes grey as in OpenCV's reader of that format (:mod:`sodbench.images.luminance`).  A kind of file for which this is not
known to hold is refused with an :class:`ImageError` that names it and the fix.  docs/decoding.md lists both, with the
measurements.  :attr:`Grey.note` records whatever was not plain 8-bit grey.

Plain grey PNG is read and written by :mod:`sodbench.images.png`; the samples of everything else come from Pillow.  An image is
decoded whole or not at all.
"""

import io
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import (
    Image,
    ImageFile,
    TiffImagePlugin,  # imported so that Image.open knows TIFF ...
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401  ... and WebP without loading every reader Pillow has
)

from sodbench.errors import ImageError, SodbenchError
from sodbench.files import atomic_write
from sodbench.images import exif, jpeg, png
from sodbench.images.luminance import jpeg_cmyk_grey, png_grey, rounded_grey, tiff_cmyk_grey

IMAGE_EXTENSIONS = frozenset(
    {
        ".png",
        ".jpg",
        ".jpeg",
        ".bmp",
        ".tif",
        ".tiff",
        ".webp",
        ".gif",
        ".pgm",
        ".ppm",
        ".pbm",
        ".pnm",
    }
)
MAX_PIXELS = 89_478_485
"""Larger images are refused before they are decoded (decompression bombs), unless :data:`MAX_PIXELS_VARIABLE` allows
them; Pillow's own limit."""
MAX_PIXELS_VARIABLE = "SODBENCH_MAX_PIXELS"
"""Environment variable that replaces :data:`MAX_PIXELS`."""
MAX_BYTES = 2**30
"""Larger files are refused before they are read."""
LOW_16_BIT = "16-bit, but values of 0.."
"""Part of the note of a 16-bit file whose values all fit 8 bits, so that OpenCV's high byte is 0 everywhere."""
LOW_16_BIT_FIX = "save it as 8-bit, or multiply its values by 257"

_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "PPM")
"""What Pillow may take a file for, whatever its name.  Some of its other readers start programs."""
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""How a file is opened: not waiting for whoever might write to a pipe; without Windows' text mode."""

Samples = NDArray[np.uint8] | NDArray[np.uint16]


class Grey(NamedTuple):
    """A decoded saliency map or mask.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (h, w)
        Fresh, contiguous and writable.
    note : str
        What was converted; empty for plain 8-bit grey.  It has :data:`LOW_16_BIT` in it where the file was probably saved
        with the wrong type.
    """

    pixels: NDArray[np.uint8]
    note: str = ""


def is_image_name(path: Path) -> bool:
    """Whether the name is that of a picture and not a stray file (``._x``, ``.DS_Store``, ...)."""
    return path.suffix.lower() in IMAGE_EXTENSIONS and not path.name.startswith(".")


def read_grey(path: Path | str) -> Grey:
    """Decode a saliency map or a mask as OpenCV's ``IMREAD_GRAYSCALE`` does.

    Parameters
    ----------
    path : Path or str
        PNG, JPEG, BMP, TIFF, WebP, GIF or PNM, recognised by its content.

    Returns
    -------
    Grey
        The pixels, uint8 [h, w], and what was converted.

    Raises
    ------
    ImageError
        For anything that is not a complete image, and for kinds of files whose grey values in OpenCV are not known.
    """
    path = Path(path)
    return decode_grey(read_bytes(path), path)


def decode_grey(data: bytes, path: Path) -> Grey:
    """Decode as :func:`read_grey` the content ``data`` of a file that was already read; ``path`` is for messages."""
    if data.startswith(png.SIGNATURE):
        return _png_grey(path, data)
    if data.startswith(jpeg.SIGNATURE):
        turn = jpeg.orientation(jpeg.segments(data)[0])
        if turn == exif.UNCLEAR:
            raise _unclear_turn(path)
        return _jpeg_grey(path, data, turn)
    with _opened(path, data) as picture:
        _check_grey_kind(path, picture)
        turn, notes = _load(picture)
        pixels, note = _grey(path, picture)
    return Grey(_turned(pixels, turn), ", ".join(filter(None, [*notes, note])))


def _jpeg_grey(path: Path, data: bytes, turn: int) -> Grey:
    with _opened(path, jpeg.bare(data, *jpeg.segments(data))) as picture:
        picture.draft("L", None)  # the Y channel as stored, which is what OpenCV takes
        picture.load()
        pixels, note = _grey(path, picture)
    notes = ["JPEG (lossy)", *_frame_notes(False, turn), note]
    return Grey(_turned(pixels, turn), ", ".join(filter(None, notes)))


def _unclear_turn(path: Path) -> ImageError:
    return ImageError(
        str(path),
        "its metadata (EXIF) are malformed or contradictory and may name an orientation, which not every version of "
        "OpenCV follows; save it as 8-bit grey PNG",
    )


def _followed(orientation: int) -> int:
    """The orientation that is applied to photographs, where nothing depends on OpenCV."""
    return 1 if orientation == exif.UNCLEAR else orientation


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
                raise ImageError(str(path), "it is a folder, not an image")
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
    """Decode an image to RGB, its EXIF orientation applied and its alpha ignored.

    Parameters
    ----------
    path : Path or str
        Image file of any kind that :func:`read_grey` recognises.

    Returns
    -------
    ndarray of uint8, shape (h, w, 3)

    Raises
    ------
    ImageError
        For anything that is not a complete image.
    """
    path = Path(path)
    return decode_rgb(read_bytes(path), path)


def decode_rgb(data: bytes, path: Path) -> NDArray[np.uint8]:
    """Decode as :func:`read_rgb` the content ``data`` of a file that was already read; ``path`` is for messages."""
    if data.startswith(png.SIGNATURE):
        parts, head = _checked_png(path, data)
        rgb = _high_byte(_png_samples(path, parts, head))
        if rgb.ndim == 2:
            rgb = np.repeat(rgb[..., None], 3, axis=2)
        return _turned(rgb, _followed(png.orientation(parts)))
    if data.startswith(jpeg.SIGNATURE):
        segments, scan = jpeg.segments(data)
        with _opened(path, jpeg.bare(data, segments, scan)) as picture:
            turn = _followed(jpeg.orientation(segments))
            return _turned(np.array(_rgb(path, picture), np.uint8), turn)
    with _opened(path, data) as picture:
        turn, _ = _load(picture)
        if picture.mode.startswith("I"):
            grey = _sixteen_bit(path, picture)[..., None]
            return _turned(_high_byte(np.repeat(grey, 3, axis=2)), turn)
        return _turned(np.array(_rgb(path, picture), np.uint8), turn)


def decode_luminance(data: bytes, path: Path) -> NDArray[np.uint8]:
    """Decode any image that :func:`decode_rgb` reads to its brightness, uint8 [h, w], for a look at photographs."""
    if data.startswith(jpeg.SIGNATURE):
        return _jpeg_grey(path, data, _followed(jpeg.orientation(jpeg.segments(data)[0]))).pixels
    return rounded_grey(decode_rgb(data, path), 15)[0]


def read_comment(path: Path) -> tuple[str, str]:
    """Read the comment that :func:`write_grey` put into a PNG, or nothing, and the digest of its chunks.

    Raises :class:`ImageError` for a file that cannot be read and for a damaged PNG.
    """
    data = read_bytes(path)
    if not data.startswith(png.SIGNATURE):
        return "", png.digest(())
    with _named_damage(path):
        parts = png.chunks(data)
        return png.comment(parts), png.digest(parts)


def image_size(path: Path | str) -> tuple[int, int]:
    """Return the (height, width) that :func:`read_grey` and :func:`read_rgb` give, without decoding a pixel.

    Raises :class:`ImageError` where the header is not that of an image.
    """
    path = Path(path)
    data = read_bytes(path)
    if data.startswith(png.SIGNATURE):
        parts, head = _checked_png(path, data)
        height, width, turn = head.height, head.width, png.orientation(parts)
    elif data.startswith(jpeg.SIGNATURE):
        segments, scan = jpeg.segments(data)
        turn = jpeg.orientation(segments)
        with _opened(path, jpeg.bare(data, segments, scan)) as picture:
            width, height = picture.size
    else:
        with _opened(path, data) as picture:
            width, height = picture.size
            turn = _orientation(picture)
            if isinstance(picture, TiffImagePlugin.TiffImageFile):
                turn = 1  # Pillow has turned its size already
    return (width, height) if turn >= _ON_ITS_SIDE else (height, width)


# --- PNG ------------------------------------------------------------------------------------------


def _checked_png(path: Path, data: bytes) -> tuple[list[png.Chunk], png.Header]:
    try:  # not _named_damage, whose entering and leaving take as long as the check itself
        parts = png.chunks(data)
        head = png.check(parts)
    except png.Damaged as error:
        raise _damaged(path, error) from None
    _check_sides(path, head.width, head.height)
    return parts, head


@contextmanager
def _named_damage(path: Path) -> Iterator[None]:
    """Name the file in what :mod:`sodbench.images.png` finds to be wrong with it."""
    try:
        yield
    except png.Damaged as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: png.Damaged) -> ImageError:
    return ImageError(str(path), f"this PNG is {error}")


def _png_grey(path: Path, data: bytes) -> Grey:
    parts, head = _checked_png(path, data)
    turn = png.orientation(parts)
    if turn == exif.UNCLEAR:
        raise _unclear_turn(path)
    if png.is_plain(parts, head):
        plain = png.decode(parts, head)
        if plain is not None:
            return Grey(plain, "1-bit" if head.depth == 1 else "")
    samples = _png_samples(path, parts, head)
    pixels, note = _grey_of_samples(path, samples, png.colour_space(parts, head), head)
    notes = [*_frame_notes(png.is_animated(parts), turn), _low_note(samples) or note]
    return Grey(_turned(pixels, turn), ", ".join(filter(None, notes)))


def _grey_of_samples(
    path: Path, samples: Samples, space: png.ColourSpace, head: png.Header
) -> tuple[NDArray[np.uint8], str]:
    """Grey pixels of a PNG's samples, and what was converted."""
    deep = "16-bit " if head.depth == 16 else ""
    if head.colour == png.GREY:
        return _high_byte(samples), {1: "1-bit", 16: "16-bit (high byte kept)"}.get(head.depth, "")
    if head.colour == png.GREY_ALPHA:
        return _high_byte(samples), f"{deep}grey with alpha (alpha ignored)"
    if space.fault:
        raise _unknown_grey(path, space.fault)
    pixels, coloured = png_grey(samples, space.gamma, space.significant_bits)
    if space.has_profile and (coloured or deep):
        raise _unknown_grey(path, "has an ICC profile (iCCP chunk)")
    name = {png.PALETTE: "palette", png.RGB: "RGB", png.RGBA: "RGBA"}[head.colour]
    return pixels, f"{deep}{name} {'in colour (luminance taken)' if coloured else 'grey'}"


def _unknown_grey(path: Path, why: str) -> ImageError:
    return ImageError(
        str(path),
        f"this colour PNG {why}, so its grey values depend on the version of OpenCV; save it as 8-bit grey PNG",
    )


def _png_samples(path: Path, parts: list[png.Chunk], head: png.Header) -> Samples:
    """The samples of a PNG of any kind without alpha, [h, w] or [h, w, 3], palettes expanded, bits as 0 and 255."""
    with _named_damage(path):
        png.check_data(parts, head)
    if head.colour == png.PALETTE:
        stored = next(content for kind, content in parts if kind == b"PLTE")
        table = np.zeros((256, 3), np.uint8)
        table[: len(stored) // 3] = np.frombuffer(stored, np.uint8).reshape(-1, 3)
        return np.asarray(table[_pillow_samples(path, png.bare(parts, head))])
    if head.colour == png.GREY_ALPHA and head.depth == 16:
        # the same bytes, filtered alike, are those of an 8-bit RGBA file; Pillow would drop the low ones
        relabelled = head._replace(colour=png.RGBA, depth=8)
        halves = _pillow_samples(path, png.bare(parts, relabelled))
        return _joined(halves[..., 0], halves[..., 1])
    data = png.bare(parts, head)
    if head.colour == png.GREY:
        samples = _pillow_samples(path, data)
        return samples * np.uint8(255) if samples.dtype == bool else samples
    if head.colour == png.GREY_ALPHA:
        return np.ascontiguousarray(_pillow_samples(path, data)[..., 0])
    if head.depth == 16:  # Pillow decodes either byte of a sample, but not both at once
        high, low = (_pillow_samples(path, data, byte)[..., :3] for byte in ("16B", "16L"))
        return _joined(high, low)
    return np.ascontiguousarray(_pillow_samples(path, data)[..., :3])


def _joined(high: NDArray[np.uint8], low: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return np.left_shift(high, 8, dtype=np.uint16) | low


def _pillow_samples(path: Path, data: bytes, byte: str = "") -> NDArray[Any]:
    """What Pillow makes of a bare PNG; ``byte`` chooses the high (16B) or low (16L) one of 16-bit colour."""
    with _opened(path, data) as picture:
        if byte:
            decoder, extent, offset, mode = picture.tile[0]
            tile = ImageFile._Tile(decoder, extent, offset, str(mode).replace("16B", byte))
            picture.tile = [tile]
        picture.load()
        return np.array(picture)


def _high_byte(samples: Samples) -> NDArray[np.uint8]:
    shift = 8 * (samples.dtype.itemsize - 1)
    return (samples >> shift).astype(np.uint8) if shift else samples.astype(np.uint8, copy=False)


def _low_note(samples: Samples) -> str:
    """What is odd about 16-bit samples whose high bytes are all 0, although not all of them are black."""
    largest = int(samples.max())
    low = samples.dtype == np.uint16 and 0 < largest < 256
    return f"{LOW_16_BIT}{largest} only" if low else ""


# --- all formats ----------------------------------------------------------------------------------

_ON_ITS_SIDE = 5
"""The first of the orientations that exchange width and height."""


def _turned(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """The image [h, w, ...] upright, whose EXIF orientation is given."""
    if orientation == 1:
        return pixels
    if orientation >= _ON_ITS_SIDE:
        pixels = pixels.swapaxes(0, 1)
    rows, columns = {
        2: (1, -1),
        3: (-1, -1),
        4: (-1, 1),
        5: (1, 1),
        6: (1, -1),
        7: (-1, -1),
        8: (-1, 1),
    }[orientation]
    return np.ascontiguousarray(pixels[::rows, ::columns])


def _frame_notes(animated: bool, orientation: int) -> list[str]:
    return [
        "the first of several frames" if animated else "",
        "turned upright by its EXIF orientation" if orientation > 1 else "",
    ]


def max_pixels() -> int:
    """Return the largest number of pixels an image may have: :data:`MAX_PIXELS`, or what the environment allows.

    Raises :class:`SodbenchError` where the variable is no positive whole number.
    """
    value = os.environ.get(MAX_PIXELS_VARIABLE)
    if not value:
        return MAX_PIXELS
    if not re.fullmatch("0*[1-9][0-9]{0,17}", value):
        raise SodbenchError(
            f"the environment variable {MAX_PIXELS_VARIABLE} is {value!r}; set it to a number of pixels, "
            "such as 200000000, or unset it"
        )
    return int(value)


def _check_sides(path: Path, width: int, height: int) -> None:
    if width * height == 0:
        raise ImageError(str(path), f"its header claims {width}x{height} pixels, so it has none")
    if width * height > max_pixels():
        raise ImageError(str(path), _too_large(f"{width}x{height}"))


def _too_large(claimed: str) -> str:
    return (
        f"its header claims {claimed} pixels; refused as unsafe, because more than {max_pixels()} may be an attack on "
        f"the memory; to read it, set the environment variable {MAX_PIXELS_VARIABLE} to a larger number of pixels"
    )


@contextmanager
def _opened(path: Path, data: bytes) -> Iterator[ImageFile.ImageFile]:
    """The picture as Pillow sees it, not yet decoded; any failure of Pillow's names the file."""
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise ImageError(
            str(path),
            "not decoded, because this program has set PIL.ImageFile.LOAD_TRUNCATED_IMAGES, which "
            "makes truncated images look complete; set it back to False",
        )
    limit = max_pixels()
    if Image.MAX_IMAGE_PIXELS is not None and limit > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = limit  # the user's wish; Pillow has no limit of a single call
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            _check_sides(path, *picture.size)
            for name in ("xmp", "XML:com.adobe.xmp"):
                picture.info.pop(name, None)  # OpenCV takes no orientation from XMP, Pillow does
            yield picture
    except SodbenchError:
        raise
    except UnidentifiedImageError:
        raise ImageError(str(path), _not_a_picture(data)) from None
    except Image.DecompressionBombError:
        raise ImageError(str(path), _too_large(f"more than {2 * limit}")) from None
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
    kind = "text" if text else "not an image format that sodbench reads"
    return f"not an image: its content is {kind} (first bytes {head!r})"


def _load(picture: Image.Image) -> tuple[int, list[str]]:
    """Decode the first frame; return the orientation that is left to apply, and notes on what was found."""
    animated = getattr(picture, "is_animated", False)
    turn = _followed(_orientation(picture))
    picture.load()
    notes = _frame_notes(animated, turn)
    # Pillow turns a TIFF while it loads
    return (1 if isinstance(picture, TiffImagePlugin.TiffImageFile) else turn), notes


def _orientation(picture: Image.Image) -> int:
    """The orientation of an image that is neither PNG nor JPEG, 1 to 8 or unclear."""
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        value = picture.tag_v2.get(_ORIENTATION_TAG, 1)
        return value if value in range(1, 9) else 1
    return exif.orientation(picture.info.get("exif", b"").removeprefix(b"Exif\0\0"))


def _refusal(path: Path, what: str) -> ImageError:
    """That OpenCV's grey values of a kind of file are not reproduced."""
    return ImageError(
        str(path),
        f"{what} is not read as a map or mask; save it as 8-bit grey PNG (values 0 to 255)",
    )


def _check_grey_kind(path: Path, picture: ImageFile.ImageFile) -> None:
    """Refuse the kinds of files, not yet decoded, whose grey values would not be those of OpenCV."""
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        _check_grey_tiff(path, picture)
    elif picture.format in ("BMP", "DIB"):
        modes = {str(tile[3][0]) for tile in picture.tile if isinstance(tile[3], tuple)}
        if modes & {"BGR;15", "BGR;16"}:
            raise _refusal(path, "a BMP of 16 bits per pixel")
        if picture.mode in ("RGB", "RGBA") and not modes <= {"BGR", "BGRX"}:
            raise _refusal(path, "a BMP of 32 bits per pixel with alpha or unusual masks")
    elif picture.format == "GIF":
        if "transparency" in picture.info:
            raise _refusal(path, "a GIF with transparency")
        if any(tile[1] != (0, 0, *picture.size) for tile in picture.tile):
            raise _refusal(path, "a GIF whose first frame does not fill it")
    elif picture.format == "PPM":
        for _, _, _, arguments in picture.tile:
            if isinstance(arguments, tuple) and picture.mode != "F" and arguments[-1] != 255:
                raise _refusal(path, f"a PNM file whose largest value is {arguments[-1]}")
    elif picture.format == "WEBP" and _orientation(picture) != 1:
        raise _refusal(path, "a WebP file that is to be turned (EXIF orientation)")


_ORIENTATION_TAG, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _TILE_WIDTH = (
    274,
    258,
    259,
    262,
    277,
    322,
)
_EXTRA_SAMPLES, _SAMPLE_FORMAT = 338, 339
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 1, 2, 3, 5, 6
_JPEG_IN_TIFF = 7
_GREY_TIFF_KINDS = frozenset(
    [
        *((kind, 1, bits) for kind in (_WHITE_IS_ZERO, _BLACK_IS_ZERO) for bits in (1, 8)),
        (_BLACK_IS_ZERO, 1, 16),
        (_BLACK_IS_ZERO, 2, 8),
        (_RGB, 3, 8),
        (_RGB, 4, 8),
        (_PALETTE, 1, 8),
        (_SEPARATED, 4, 8),
        (_YCBCR, 3, 8),
    ]
)
"""Photometric interpretation, samples per pixel and bits per sample for which the grey values are OpenCV's."""
_PHOTOMETRIC_NAMES = {
    _WHITE_IS_ZERO: "in grey (0 is white)",
    _BLACK_IS_ZERO: "in grey",
    _RGB: "in RGB",
    _PALETTE: "with a palette",
    _SEPARATED: "in CMYK",
    _YCBCR: "in YCbCr",
}


def _check_grey_tiff(path: Path, picture: TiffImagePlugin.TiffImageFile) -> None:
    tags = picture.tag_v2
    bits = set(tags.get(_BITS, (1,)))
    number = tags.get(_SAMPLES, 1)
    kind = tags.get(_PHOTOMETRIC, _WHITE_IS_ZERO)
    sizes = " and ".join(map(str, sorted(bits)))
    if set(tags.get(_SAMPLE_FORMAT, (1,))) != {1}:
        names = {2: "signed integers", 3: "floating-point numbers"}
        name = names.get(max(tags[_SAMPLE_FORMAT]), "numbers of an unknown type")
        raise _refusal(path, f"a TIFF of {sizes}-bit {name}")
    if _orientation(picture) >= _ON_ITS_SIDE:
        raise _refusal(path, "a TIFF that is stored on its side (Orientation tag)")
    if (kind, number, *sorted(bits)) not in _GREY_TIFF_KINDS:
        name = _PHOTOMETRIC_NAMES.get(kind, "of an unknown kind")
        raise _refusal(path, f"a TIFF {name} with {number} samples of {sizes} bits")
    if _TILE_WIDTH in tags and (number == 2 or bits == {16} or _orientation(picture) > 1):
        raise _refusal(path, "a TIFF in tiles, if it has alpha or 16 bits or is to be turned,")
    if kind == _YCBCR and tags.get(_COMPRESSION) != _JPEG_IN_TIFF:
        raise _refusal(path, "a TIFF in YCbCr")


def _grey(path: Path, picture: Image.Image) -> tuple[NDArray[np.uint8], str]:
    """Grey values of a decoded image other than PNG, as OpenCV computes them, and what was converted."""
    mode = picture.mode
    if mode == "L":
        return np.array(picture, np.uint8), ""
    if mode == "1":
        return np.array(picture, np.uint8) * np.uint8(255), "1-bit"
    if mode == "LA":
        return np.array(picture.getchannel(0), np.uint8), "grey with alpha (alpha ignored)"
    if mode.startswith("I"):
        samples = _sixteen_bit(path, picture)
        return _high_byte(samples), _low_note(samples) or "16-bit (high byte kept)"
    if mode == "CMYK" and picture.format == "JPEG":
        stored = 255 - np.asarray(picture)  # Pillow turns the values around
        return jpeg_cmyk_grey(stored), "CMYK (luminance taken)"
    if mode == "CMYK":
        return tiff_cmyk_grey(np.asarray(picture)), "CMYK (luminance taken)"
    if (
        mode == "RGBA"
        and picture.format == "TIFF"
        and picture.getchannel("A").getextrema() != (255, 255)
    ):
        raise _refusal(path, "a colour TIFF with transparent pixels")
    bits = 15 if picture.format in ("WEBP", "GIF") else 14
    pixels, coloured = rounded_grey(np.asarray(_rgb(path, picture)), bits)
    name = "palette" if mode in ("P", "PA") else mode
    return pixels, f"{name} {'in colour (luminance taken)' if coloured else 'grey'}"


def _sixteen_bit(path: Path, picture: Image.Image) -> NDArray[np.uint16]:
    if picture.mode == "I" and picture.format != "PPM":
        raise _refusal(path, "a file of 32-bit or signed integers")
    return np.asarray(picture).astype(np.uint16)


_CONVERTIBLE = frozenset({"L", "LA", "1", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
"""Modes that Pillow can convert to RGB without a profile."""


def _rgb(path: Path, picture: Image.Image) -> Image.Image:
    if picture.mode not in _CONVERTIBLE:
        what = "floating-point pixels" if picture.mode == "F" else f"pixels of mode {picture.mode}"
        raise ImageError(str(path), f"{what} are not supported; save it as 8-bit PNG")
    picture.info.pop("transparency", None)  # alpha is ignored, and Pillow would warn of it
    return picture.convert("RGB")


def resize_grey(
    pixels: NDArray[np.uint8], size: tuple[int, int], how: Literal["bilinear", "nearest"]
) -> NDArray[np.uint8]:
    """Resize uint8 [h, w] to ``size`` = (height, width) with Pillow (antialiased when shrinking)."""
    resample = Image.Resampling.BILINEAR if how == "bilinear" else Image.Resampling.NEAREST
    return np.array(Image.fromarray(pixels).resize((size[1], size[0]), resample), np.uint8)


def write_grey(
    path: Path | str, pixels: NDArray[np.uint8], comment: str | Callable[[str], str] = ""
) -> None:
    """Write a saliency map or mask as an 8-bit grey PNG.

    Parameters
    ----------
    path : Path or str
        File to write; it appears whole or not at all, and its folders are made as needed.
    pixels : ndarray of uint8, shape (h, w)
    comment : str or callable
        Text in Latin-1 that :func:`read_comment` gives back, or a function of the digest (:func:`png.digest`).

    Raises
    ------
    ImageError
        Where the file cannot be written.
    """
    _write(Path(path), _encoded(Path(path), pixels, comment))


def write_image(path: Path | str, pixels: NDArray[np.uint8]) -> None:
    """Write an image, uint8 [h, w] or [h, w, 3], as PNG or JPEG, depending on the extension; see :func:`write_grey`."""
    _write(Path(path), _encoded(Path(path), pixels))


def _write(path: Path, content: bytes) -> None:
    try:
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
    except SodbenchError as error:
        cause = error.__cause__
        reason = (cause.strerror if isinstance(cause, OSError) else None) or cause
        raise ImageError(str(path), f"cannot be written ({reason})", "unwritable") from cause


def _encoded(
    path: Path, pixels: NDArray[np.uint8], comment: str | Callable[[str], str] = ""
) -> bytes:
    shape = pixels.shape
    if pixels.dtype != np.uint8 or 0 in shape or not (len(shape) == 2 or shape[2:] == (3,)):
        raise ValueError(f"an image is uint8 [h, w] or [h, w, 3], not {pixels.dtype} {shape}")
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
