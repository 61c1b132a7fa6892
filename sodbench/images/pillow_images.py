"""Images of other formats than PNG, read through Pillow.

The kinds of files whose grey values would not be those of OpenCV are refused before they are decoded.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import (
    Image,
    ImageFile,
    # imported so that Image.open knows TIFF ...
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401  ... and WebP without loading every reader Pillow has
)

from sodbench.errors import ImageError, SodbenchError
from sodbench.git_lfs import LFS_POINTER, is_lfs_pointer
from sodbench.images import exif, fast_jpeg, jpeg, png
from sodbench.images.exif import turn_upright
from sodbench.images.grey import (
    GreyImage,
    alpha_note,
    frame_notes,
    high_byte,
    join_notes,
    low_16_bit_note,
    unclear_orientation,
)
from sodbench.images.image_files import check_size, max_pixels, too_large
from sodbench.images.luminance import cmyk_grey, rounded_grey

# What Pillow may take a file for, whatever its name. Some of its other readers start programs.
_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "PPM")

# Modes that Pillow can convert to RGB without a profile
_CONVERTIBLE = frozenset({"L", "LA", "1", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})

# Numbers of TIFF tags, and their values
_WIDTH, _HEIGHT = 256, 257
_ORIENTATION, _BITS, _COMPRESSION, _PHOTOMETRIC = 274, 258, 259, 262
_SAMPLES, _TILE_WIDTH, _SAMPLE_FORMAT = 277, 322, 339
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 1, 2, 3, 5, 6
_JPEG_IN_TIFF = 7

# Photometric interpretation, samples per pixel and bits per sample for which the grey values are OpenCV's
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
_PHOTOMETRIC_NAMES = {
    _WHITE_IS_ZERO: "in grey (0 is white)",
    _BLACK_IS_ZERO: "in grey",
    _RGB: "in RGB",
    _PALETTE: "with a palette",
    _SEPARATED: "in CMYK",
    _YCBCR: "in YCbCr",
}


@contextmanager
def open_image(data: bytes, path: Path) -> Iterator[ImageFile.ImageFile]:
    """Open an image with Pillow; it is not decoded yet.

    Parameters
    ----------
    data : bytes
    path : Path
        The file, for messages.

    Yields
    ------
    ImageFile

    Raises
    ------
    ImageError
        If the content is no image or too large, or if Pillow fails in the block.
    """
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise ImageError(
            str(path),
            "not decoded, because this program has set PIL.ImageFile.LOAD_TRUNCATED_IMAGES, which "
            "makes truncated images look complete; set it back to False",
        )
    limit = max_pixels()
    if Image.MAX_IMAGE_PIXELS is not None and limit > Image.MAX_IMAGE_PIXELS:
        # the user's wish; Pillow has no limit for a single call
        Image.MAX_IMAGE_PIXELS = limit
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            check_size(path, *image.size)
            for name in ("xmp", "XML:com.adobe.xmp"):
                # OpenCV takes no orientation from XMP, Pillow does
                image.info.pop(name, None)
            yield image
    except SodbenchError:
        raise
    except UnidentifiedImageError:
        raise ImageError(str(path), _describe_content(data)) from None
    except Image.DecompressionBombError:
        raise too_large(path, f"more than {2 * limit}") from None
    except Exception as error:
        # what a broken file makes Pillow raise is not documented
        reason = str(error) or type(error).__name__
        raise ImageError(str(path), f"cannot be decoded ({reason})") from error


def _describe_content(data: bytes) -> str:
    """What a file that is no image is instead."""
    if not data:
        return "the file is empty (0 bytes)"
    if data.startswith((png.PNG_SIGNATURE, jpeg.JPEG_SIGNATURE)):
        return "a PNG or JPEG, but its header is broken"
    if is_lfs_pointer(data):
        return LFS_POINTER
    head = data[:16]
    text = head.isascii() and b"\0" not in head
    kind = "text" if text else "not an image format that sodbench reads"
    return f"not an image: its content is {kind} (first bytes {head!r})"


# ------------------------------------------------------------------------------------------------ decoding


def decode_other_grey(data: bytes, path: Path) -> GreyImage:
    """Decode any file but a PNG as `sodbench.images.read_grey` does.

    Parameters
    ----------
    data : bytes
    path : Path
        The file, for messages.

    Returns
    -------
    GreyImage

    Raises
    ------
    ImageError
        If the image is incomplete, or its grey values in OpenCV are not known.
    """
    if data.startswith(jpeg.JPEG_SIGNATURE):
        segments, scan = jpeg.read_segments(data)
        orientation = jpeg.find_jpeg_orientation(segments)
        if orientation == exif.UNCLEAR:
            raise unclear_orientation(path)
        return _decode_jpeg(jpeg.strip_jpeg(data, segments, scan), path, orientation)
    with open_image(data, path) as image:
        _check_grey_kind(image, path)
        orientation, notes = _load_frame(image)
        pixels, note = _convert_to_grey(image, path)
    return GreyImage(turn_upright(pixels, orientation), join_notes(notes, note))


def _decode_jpeg(plain: bytes, path: Path, orientation: int) -> GreyImage:
    """Decode a JPEG without metadata, and turn it by the orientation that its metadata gave."""
    with open_image(plain, path) as image:
        # the Y channel as stored, which is what OpenCV takes
        image.draft("L", None)
        image.load()
        pixels, note = _convert_to_grey(image, path)
    turned = frame_notes(animated=False, orientation=orientation)
    return GreyImage(turn_upright(pixels, orientation), join_notes("JPEG (lossy)", turned, note))


def decode_other_rgb(
    data: bytes, path: Path, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Decode any file but a PNG as `sodbench.images.read_rgb` does.

    Parameters
    ----------
    data : bytes
    path : Path
        The file, for messages.
    out : ndarray of uint8, optional
        Memory that may be used for the result.

    Returns
    -------
    ndarray of uint8, shape (h, w, 3)

    Raises
    ------
    ImageError
        If the image is incomplete.
    """
    if data.startswith(jpeg.JPEG_SIGNATURE):
        segments, scan = jpeg.read_segments(data)
        pixels = _decode_jpeg_rgb(data, segments, scan, path, out)
        return turn_upright(pixels, exif.upright_if_unclear(jpeg.find_jpeg_orientation(segments)))
    with open_image(data, path) as image:
        orientation, _ = _load_frame(image)
        if image.mode.startswith("I"):
            grey = _sixteen_bit(image, path)[..., None]
            return turn_upright(high_byte(np.repeat(grey, 3, axis=2)), orientation)
        return turn_upright(np.array(_convert_to_rgb(image, path), np.uint8), orientation)


def _decode_jpeg_rgb(
    data: bytes,
    segments: list[jpeg.Segment],
    scan: int,
    path: Path,
    out: NDArray[np.uint8] | None,
) -> NDArray[np.uint8]:
    """Decode a JPEG as RGB, not yet turned upright."""
    frame = jpeg.find_frame(segments)
    if frame:
        check_size(path, frame.width, frame.height)
    pixels = fast_jpeg.decode_photograph(data, frame, out)
    if pixels is not None:
        return pixels
    with open_image(jpeg.strip_jpeg(data, segments, scan), path) as image:
        return np.array(_convert_to_rgb(image, path), np.uint8)


def decode_other_luminance(data: bytes, path: Path) -> NDArray[np.uint8]:
    """Decode any file but a PNG as `sodbench.images.decode_luminance` does.

    Parameters
    ----------
    data : bytes
    path : Path
        The file, for messages.

    Returns
    -------
    ndarray of uint8, shape (h, w)

    Raises
    ------
    ImageError
        If the image is incomplete.
    """
    if data.startswith(jpeg.JPEG_SIGNATURE):
        segments, scan = jpeg.read_segments(data)
        orientation = exif.upright_if_unclear(jpeg.find_jpeg_orientation(segments))
        return _decode_jpeg(jpeg.strip_jpeg(data, segments, scan), path, orientation).pixels
    return rounded_grey(decode_other_rgb(data, path), 15)[0]


def read_header(data: bytes, path: Path) -> tuple[int, int, int]:
    """Return the width, height and orientation in the header of any file but a PNG.

    Parameters
    ----------
    data : bytes
    path : Path
        The file, for messages.

    Returns
    -------
    width, height, orientation : int

    Raises
    ------
    ImageError
        If the header is not that of an image.
    """
    if data.startswith(jpeg.JPEG_SIGNATURE):
        segments, scan = jpeg.read_segments(data)
        if frame := jpeg.find_frame(segments):
            check_size(path, frame.width, frame.height)
            return frame.width, frame.height, jpeg.find_jpeg_orientation(segments)
        with open_image(jpeg.strip_jpeg(data, segments, scan), path) as image:
            return *image.size, jpeg.find_jpeg_orientation(segments)
    with open_image(data, path) as image:
        return *image.size, 1 if _is_turned_already(image) else _find_orientation(image)


def _load_frame(image: Image.Image) -> tuple[int, str]:
    """Decode the first frame; return the orientation that remains to be applied, and notes."""
    animated = getattr(image, "is_animated", False)
    orientation = exif.upright_if_unclear(_find_orientation(image))
    image.load()
    notes = frame_notes(animated=animated, orientation=orientation)
    # Pillow has turned a TIFF while it loaded it
    is_tiff = isinstance(image, TiffImagePlugin.TiffImageFile)
    return (1 if is_tiff else orientation), notes


def _is_turned_already(image: Image.Image) -> bool:
    """Whether the size of an image that is not loaded is that of the upright image; Pillow 11 turns that of a TIFF."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    stored = image.tag_v2.get(_WIDTH), image.tag_v2.get(_HEIGHT)
    return image.size != stored


def _find_orientation(image: Image.Image) -> int:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        value = image.tag_v2.get(_ORIENTATION, 1)
        return value if value in range(1, 9) else 1
    return exif.read_orientation(image.info.get("exif", b"").removeprefix(b"Exif\0\0"))


# --------------------------------------------------------------------------------------------- conversions


def _convert_to_grey(image: Image.Image, path: Path) -> tuple[NDArray[np.uint8], str]:
    """Grey values of a decoded image as OpenCV computes them, and a note on what was converted."""
    mode = image.mode
    if mode == "L":
        return np.array(image, np.uint8), ""
    if mode == "1":
        return np.array(image, np.uint8) * np.uint8(255), "1-bit"
    if mode == "LA":
        return np.array(image.getchannel(0), np.uint8), "grey with alpha (alpha ignored)"
    if mode.startswith("I"):
        samples = _sixteen_bit(image, path)
        return high_byte(samples), low_16_bit_note(samples) or "16-bit (high byte kept)"
    if mode == "CMYK":
        # Pillow's values are of ink, also those of a JPEG, which stores them the other way round
        paper = 255 - np.asarray(image)
        return cmyk_grey(paper, is_jpeg=image.format == "JPEG"), "CMYK (luminance taken)"
    if mode == "RGBA" and image.format == "TIFF" and not _is_opaque(image):
        raise _refuse(path, "a colour TIFF with transparent pixels")
    bits = 15 if image.format in ("WEBP", "GIF") else 14
    pixels, coloured = rounded_grey(np.asarray(_convert_to_rgb(image, path)), bits)
    name = "palette" if mode in ("P", "PA") else mode
    note = f"{name} {'in colour (luminance taken)' if coloured else 'grey'}"
    is_cutout = mode == "RGBA" and (coloured or not pixels.any())
    return pixels, join_notes(note, alpha_note(image) if is_cutout else "")


def _is_opaque(image: Image.Image) -> bool:
    return image.getchannel("A").getextrema() == (255, 255)


def _sixteen_bit(image: Image.Image, path: Path) -> NDArray[np.uint16]:
    if image.mode == "I" and image.format != "PPM":
        raise _refuse(path, "a file of 32-bit or signed integers")
    return np.asarray(image).astype(np.uint16)


def _convert_to_rgb(image: Image.Image, path: Path) -> Image.Image:
    """Convert to RGB, alpha ignored; an image that is RGB already is returned as it is."""
    if image.mode not in _CONVERTIBLE:
        what = "floating-point pixels" if image.mode == "F" else f"pixels of mode {image.mode}"
        raise ImageError(str(path), f"{what} are not supported; save it as 8-bit PNG")
    # alpha is ignored, and Pillow would warn of it
    image.info.pop("transparency", None)
    # convert() would copy
    return image if image.mode == "RGB" else image.convert("RGB")


# ------------------------------------------------------------------------------------------------ refusals


def _refuse(path: Path, what: str) -> ImageError:
    """The error for a kind of file whose grey values in OpenCV are not reproduced."""
    return ImageError(
        str(path),
        f"{what} is not read as a map or mask; save it as 8-bit grey PNG (values 0 to 255)",
    )


def _check_grey_kind(image: ImageFile.ImageFile, path: Path) -> None:
    """Refuse the kinds of files, not yet decoded, whose grey values would not be those of OpenCV."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_grey_tiff(image, path)
    elif image.format in ("BMP", "DIB"):
        _check_grey_bmp(image, path)
    elif image.format == "GIF":
        if "transparency" in image.info:
            raise _refuse(path, "a GIF with transparency")
        if any(tile[1] != (0, 0, *image.size) for tile in image.tile):
            raise _refuse(path, "a GIF whose first frame does not fill it")
    elif image.format == "PPM":
        for codec, _, _, arguments in image.tile:
            # the codec raw reads samples as they are; the others scale them by the largest value
            if codec != "raw" and isinstance(arguments, tuple) and arguments[-1] != 255:
                raise _refuse(path, f"a PNM file whose largest value is {arguments[-1]}")
    elif image.format == "WEBP" and _find_orientation(image) != 1:
        raise _refuse(path, "a WebP file that is to be turned (EXIF orientation)")


def _check_grey_bmp(image: ImageFile.ImageFile, path: Path) -> None:
    modes = {str(tile[3][0]) for tile in image.tile if isinstance(tile[3], tuple)}
    if modes & {"BGR;15", "BGR;16"}:
        raise _refuse(path, "a BMP of 16 bits per pixel")
    if image.mode in ("RGB", "RGBA") and not modes <= {"BGR", "BGRX"}:
        raise _refuse(path, "a BMP of 32 bits per pixel with alpha or unusual masks")


def _check_grey_tiff(image: TiffImagePlugin.TiffImageFile, path: Path) -> None:
    tags = image.tag_v2
    bits = set(tags.get(_BITS, (1,)))
    number = tags.get(_SAMPLES, 1)
    kind = tags.get(_PHOTOMETRIC, _WHITE_IS_ZERO)
    sizes = " and ".join(map(str, sorted(bits)))
    if set(tags.get(_SAMPLE_FORMAT, (1,))) != {1}:
        names = {2: "signed integers", 3: "floating-point numbers"}
        name = names.get(max(tags[_SAMPLE_FORMAT]), "numbers of an unknown type")
        raise _refuse(path, f"a TIFF of {sizes}-bit {name}")
    if _find_orientation(image) >= exif.FIRST_ON_SIDE:
        raise _refuse(path, "a TIFF that is stored on its side (Orientation tag)")
    if (kind, number, *sorted(bits)) not in _GREY_TIFF_KINDS:
        name = _PHOTOMETRIC_NAMES.get(kind, "of an unknown kind")
        raise _refuse(path, f"a TIFF {name} with {number} samples of {sizes} bits")
    if _TILE_WIDTH in tags and (number == 2 or bits == {16} or _find_orientation(image) > 1):
        raise _refuse(path, "a TIFF in tiles, if it has alpha or 16 bits or is to be turned,")
    if kind == _YCBCR and tags.get(_COMPRESSION) != _JPEG_IN_TIFF:
        raise _refuse(path, "a TIFF in YCbCr")
