"""Which files are taken for images, and how large they may be."""

import os
import re
from pathlib import Path

from sodbench.errors import ImageError, SodbenchError

IMAGE_EXTENSIONS = frozenset(
    [
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
    ]
)

# Larger images are refused before they are decoded (decompression bombs); this is Pillow's own limit, too
MAX_PIXELS = 89_478_485
# Environment variable that replaces MAX_PIXELS
MAX_PIXELS_VARIABLE = "SODBENCH_MAX_PIXELS"
# Larger files are refused before they are read
MAX_BYTES = 2**30


def is_image_name(path: Path) -> bool:
    """Return whether a file is an image by its name, and not a stray file (``._x.png``, ``.DS_Store``, ...).

    Parameters
    ----------
    path : Path

    Returns
    -------
    bool
    """
    return path.suffix.lower() in IMAGE_EXTENSIONS and not path.name.startswith(".")


def max_pixels() -> int:
    """Return the largest number of pixels that an image may have.

    Returns
    -------
    int
        `MAX_PIXELS`, or what the environment variable `MAX_PIXELS_VARIABLE` allows.

    Raises
    ------
    SodbenchError
        If the variable is not a positive whole number.
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


def check_size(path: Path, width: int, height: int) -> None:
    """Check the size that an image's header claims.

    Parameters
    ----------
    path : Path
        The file, for the message.
    width, height : int
        In pixels.

    Raises
    ------
    ImageError
        If there are no pixels, or more than `max_pixels` allows.
    """
    if width * height == 0:
        raise ImageError(str(path), f"its header claims {width}x{height} pixels, so it has none")
    if width * height > max_pixels():
        raise too_large(path, f"{width}x{height}")


def too_large(path: Path, claim: str) -> ImageError:
    """Return the error for an image of more than `max_pixels` pixels.

    Parameters
    ----------
    path : Path
    claim : str
        The number of pixels in words.

    Returns
    -------
    ImageError
    """
    return ImageError(
        str(path),
        f"its header claims {claim} pixels; refused as unsafe, because more than {max_pixels()} may be an attack on "
        f"the memory; to read it, set the environment variable {MAX_PIXELS_VARIABLE} to a larger number of pixels",
    )
