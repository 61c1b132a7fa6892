"""Read images.

Saliency maps and masks are decoded to the bytes that OpenCV's ``IMREAD_GRAYSCALE`` returns, because SalMetric and most
published evaluators read with it: 16-bit files keep their high byte, alpha is ignored, an EXIF orientation is applied,
and colour becomes grey as in OpenCV's reader of that format (`sodbench.images.luminance`). A kind of file for which
this is not known to hold is refused with an `ImageError` that names it and the fix. docs/decoding.md lists both, with
the measurements. `GreyImage.note` records whatever was not plain 8-bit grey.

PNG files are checked by `sodbench.images.png`, and plain grey ones are decoded by `sodbench.images.fast_png`; the
samples of everything else come from Pillow. An image is decoded completely or not at all.
"""

import os
import stat
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sodbench.errors import ImageError
from sodbench.images import exif, jpeg, pillow_images, png, png_images
from sodbench.images.exif import UNCLEAR, turn_upright
from sodbench.images.limits import MAX_BYTES
from sodbench.images.luminance import rounded_grey
from sodbench.images.notes import frame_notes, join_notes, unclear_orientation

# Without waiting for a writer of a named pipe, and without Windows' text mode
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class GreyImage(NamedTuple):
    """A decoded saliency map or mask.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (h, w)
        New, contiguous and writable.
    note : str
        What was converted; empty for plain 8-bit grey. It contains `LOW_16_BIT` if the file was probably saved with
        the wrong type.
    """

    pixels: NDArray[np.uint8]
    note: str = ""


# ---------------------------------------------------------------------------------------- maps and masks


def read_grey(path: Path | str) -> GreyImage:
    """Read a saliency map or a mask as OpenCV's ``IMREAD_GRAYSCALE`` does.

    Parameters
    ----------
    path : Path or str
        PNG, JPEG, BMP, TIFF, WebP, GIF or PNM, recognised by its content.

    Returns
    -------
    GreyImage
        The pixels, uint8 [h, w], and what was converted.

    Raises
    ------
    ImageError
        For anything that is not a complete image, and for kinds of files whose grey values in OpenCV are not known.
    """
    path = Path(path)
    return decode_grey(read_bytes(path), path)


def decode_grey(data: bytes, path: Path) -> GreyImage:
    """Decode the content of a file as `read_grey` does.

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
        As `read_grey`.
    """
    if data.startswith(png.SIGNATURE):
        return GreyImage(*png_images.decode_png_grey(data, path))
    if data.startswith(jpeg.SIGNATURE):
        orientation = jpeg.find_orientation(jpeg.read_segments(data)[0])
        if orientation == UNCLEAR:
            raise unclear_orientation(path)
        return _decode_jpeg_grey(data, path, orientation)
    return GreyImage(*pillow_images.decode_other_grey(data, path))


def _decode_jpeg_grey(data: bytes, path: Path, orientation: int) -> GreyImage:
    plain = jpeg.without_metadata(data, *jpeg.read_segments(data))
    with pillow_images.open_image(plain, path) as image:
        image.draft("L", None)  # the Y channel as stored, which is what OpenCV takes
        image.load()
        pixels, note = pillow_images.convert_to_grey(image, path)
    turned = frame_notes(animated=False, orientation=orientation)
    return GreyImage(turn_upright(pixels, orientation), join_notes("JPEG (lossy)", turned, note))


# --------------------------------------------------------------------------------------------- photographs


def read_rgb(path: Path | str) -> NDArray[np.uint8]:
    """Read an image as RGB, its EXIF orientation applied and its alpha ignored.

    Parameters
    ----------
    path : Path or str
        Image file of any kind that `read_grey` recognises.

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
    """Decode the content of a file as `read_rgb` does.

    Parameters
    ----------
    data : bytes
    path : Path
        The file, for messages.

    Returns
    -------
    ndarray of uint8, shape (h, w, 3)

    Raises
    ------
    ImageError
        As `read_rgb`.
    """
    if data.startswith(png.SIGNATURE):
        return png_images.decode_png_rgb(data, path)
    if data.startswith(jpeg.SIGNATURE):
        segments, scan = jpeg.read_segments(data)
        with pillow_images.open_image(jpeg.without_metadata(data, segments, scan), path) as image:
            pixels = np.array(pillow_images.convert_to_rgb(image, path), np.uint8)
        return turn_upright(pixels, exif.upright_if_unclear(jpeg.find_orientation(segments)))
    return pillow_images.decode_other_rgb(data, path)


def decode_luminance(data: bytes, path: Path) -> NDArray[np.uint8]:
    """Decode the brightness of any image that `decode_rgb` reads, to look at photographs.

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
        As `read_rgb`.
    """
    if data.startswith(jpeg.SIGNATURE):
        orientation = jpeg.find_orientation(jpeg.read_segments(data)[0])
        return _decode_jpeg_grey(data, path, exif.upright_if_unclear(orientation)).pixels
    return rounded_grey(decode_rgb(data, path), 15)[0]


# ------------------------------------------------------------------------------------------------- headers


def image_size(path: Path | str) -> tuple[int, int]:
    """Return the size that `read_grey` and `read_rgb` give, without decoding a pixel.

    Parameters
    ----------
    path : Path or str

    Returns
    -------
    tuple of int
        Height and width.

    Raises
    ------
    ImageError
        If the header is not that of an image.
    """
    path = Path(path)
    data = read_bytes(path)
    if data.startswith(png.SIGNATURE):
        chunks, header = png_images.open_png(data, path)
        height, width, orientation = header.height, header.width, png.find_orientation(chunks)
    elif data.startswith(jpeg.SIGNATURE):
        segments, scan = jpeg.read_segments(data)
        orientation = jpeg.find_orientation(segments)
        with pillow_images.open_image(jpeg.without_metadata(data, segments, scan), path) as image:
            width, height = image.size
    else:
        with pillow_images.open_image(data, path) as image:
            width, height = image.size
            orientation = pillow_images.remaining_orientation(image)
    return (width, height) if orientation >= exif.FIRST_ON_SIDE else (height, width)


def read_comment(path: Path) -> tuple[str, str]:
    """Read the comment that `write_grey` stored in a PNG, and the digest of its chunks.

    Parameters
    ----------
    path : Path

    Returns
    -------
    comment : str
        Empty where there is none.
    digest : str
        See `sodbench.images.png.digest`.

    Raises
    ------
    ImageError
        For a file that cannot be read, and for a damaged PNG.
    """
    data = read_bytes(path)
    if not data.startswith(png.SIGNATURE):
        return "", png.digest(())
    with png_images.name_damage(path):
        chunks = png.read_chunks(data)
        return png.find_comment(chunks), png.digest(chunks)


# --------------------------------------------------------------------------------------------------- files


def read_bytes(path: Path) -> bytes:
    """Read the content of an image file, see `read_file`."""
    return read_file(path)[0]


def read_file(path: Path) -> tuple[bytes, os.stat_result]:
    """Read the content of an image file; folders, pipes and monstrous files are refused without being read.

    Parameters
    ----------
    path : Path

    Returns
    -------
    data : bytes
    status : os.stat_result
        The file's status before it was read.

    Raises
    ------
    ImageError
        With the reason why the file cannot be read.
    """
    try:
        file = os.open(path, _READ_FLAGS)
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
