"""Read images.

Saliency maps and masks are decoded to the bytes that OpenCV's ``IMREAD_GRAYSCALE`` returns, because SalMetric and most
published evaluators read with it: 16-bit files keep their high byte, alpha is ignored, an EXIF orientation is applied,
and colour becomes grey as in OpenCV's reader of that format (`sodbench.images.luminance`). A kind of file for which
this is not known to hold is refused with an `ImageError` that names it and the fix. docs/decoding.md lists both, with
the measurements. `GreyImage.note` records whatever was not plain 8-bit grey.

PNG files are checked by `sodbench.images.png`, and plain grey ones are decoded by `sodbench.images.fast_png`; the
samples of everything else come from Pillow. An image is decoded completely or not at all.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ImageOps

from sodbench.errors import ImageError
from sodbench.images import jpeg, pillow_images, png, png_images
from sodbench.images.exif import FIRST_ON_SIDE
from sodbench.images.grey import ALPHA_TAKEN, GreyImage
from sodbench.images.image_files import read_bytes, read_start
from sodbench.images.luminance import rounded_grey

# The header of nearly every JPEG is in as many bytes; of other files, the whole is read and checked
_HEADER_BYTES = 2**16


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
    if data.startswith(png.PNG_SIGNATURE):
        return png_images.decode_png_grey(data, path)
    return pillow_images.decode_other_grey(data, path)


def decode_alpha(data: bytes, path: Path) -> GreyImage:
    """Decode the alpha channel of a file's content, as of a cutout.

    Parameters
    ----------
    data : bytes
    path : Path
        The file, for messages.

    Returns
    -------
    GreyImage
        The alpha channel as 8 bits, with the note `ALPHA_TAKEN`.

    Raises
    ------
    ImageError
        As `read_grey`, and for a file without an alpha channel.
    """
    if data.startswith(png.PNG_SIGNATURE):
        png_images.check_png(data, path)
    with pillow_images.open_image(data, path) as image:
        if not image.has_transparency_data:
            raise ImageError(
                str(path), f"has no alpha channel ({image.mode}), which --channel alpha scores"
            )
        upright = ImageOps.exif_transpose(image)
        return GreyImage(np.array(upright.convert("RGBA").getchannel("A")), ALPHA_TAKEN)


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


def decode_rgb(data: bytes, path: Path, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Decode the content of a file as `read_rgb` does.

    Parameters
    ----------
    data : bytes
    path : Path
        The file, for messages.
    out : ndarray of uint8, optional
        Memory that may be used for the result, where that is faster; the result can still be another array.

    Returns
    -------
    ndarray of uint8, shape (h, w, 3)

    Raises
    ------
    ImageError
        As `read_rgb`.
    """
    if data.startswith(png.PNG_SIGNATURE):
        return png_images.decode_png_rgb(data, path)
    return pillow_images.decode_other_rgb(data, path, out)


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
    if data.startswith(png.PNG_SIGNATURE):
        return rounded_grey(decode_rgb(data, path), 15)[0]
    return pillow_images.decode_other_luminance(data, path)


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
    data = read_start(path, _HEADER_BYTES)
    if not (data.startswith(jpeg.JPEG_SIGNATURE) and jpeg.find_frame(jpeg.read_segments(data)[0])):
        data = read_bytes(path)
    if data.startswith(png.PNG_SIGNATURE):
        chunks, header = png_images.open_png(data, path)
        height, width, orientation = header.height, header.width, png.find_png_orientation(chunks)
    else:
        width, height, orientation = pillow_images.read_header(data, path)
    return (width, height) if orientation >= FIRST_ON_SIDE else (height, width)
