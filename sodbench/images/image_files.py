"""Which files are images, how large they may be, and their content."""

import os
import re
import stat
from pathlib import Path

from sodbench.errors import ImageError, SodbenchError

IMAGE_EXTENSIONS = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".pgm", ".ppm", ".pbm", ".pnm"}
)  # fmt: skip

# endswith() takes a tuple, in a fifth of the time of a path's suffix
_IMAGE_ENDINGS = tuple(IMAGE_EXTENSIONS)

# What masks and maps are stored as by other programs, and is not read
UNREAD_EXTENSIONS = frozenset(
    {".jfif", ".jpe", ".jp2", ".jxl", ".exr", ".hdr", ".heic", ".heif", ".avif", ".tga", ".psd",
      ".svg", ".npy", ".npz", ".mat", ".pfm", ".h5", ".hdf5"}
)  # fmt: skip

# Larger images are refused before they are decoded (decompression bombs); this is Pillow's own limit, too
MAX_PIXELS = 89_478_485
# Environment variable that replaces MAX_PIXELS
MAX_PIXELS_VARIABLE = "SODBENCH_MAX_PIXELS"
# Larger files are refused before they are read
MAX_FILE_BYTES = 2**30

# Without waiting for a writer of a named pipe, and without Windows' text mode
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def is_image_name(name: str) -> bool:
    """Return whether a file is an image by its name, and not a stray file (``._x.png``, ``.DS_Store``, ...).

    Parameters
    ----------
    name : str
        Without its folder.

    Returns
    -------
    bool
    """
    return name.lower().endswith(_IMAGE_ENDINGS) and not name.startswith(".")


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
    """Raise `ImageError` if a header claims no pixels, or more than `max_pixels` allows.

    Parameters
    ----------
    path : Path
        The file, for the message.
    width, height : int

    Raises
    ------
    ImageError
    """
    if width * height == 0:
        raise ImageError(str(path), f"its header claims {width}x{height} pixels, so it has none")
    if width * height > max_pixels():
        raise too_large(path, f"{width}x{height}")


def too_large(path: Path, claim: str) -> ImageError:
    """Return the error for an image of more than `max_pixels` pixels; ``claim`` is their number in words.

    Parameters
    ----------
    path : Path
    claim : str

    Returns
    -------
    ImageError
    """
    return ImageError(
        str(path),
        f"its header claims {claim} pixels; refused as unsafe, because more than {max_pixels()} may be an attack on "
        f"the memory; to read it, set the environment variable {MAX_PIXELS_VARIABLE} to a larger number of pixels",
    )


def read_bytes(path: Path) -> bytes:
    """Read the content of an image file, see `read_file`.

    Parameters
    ----------
    path : Path

    Returns
    -------
    bytes

    Raises
    ------
    ImageError
    """
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
    data, status = _read_at_most(path, MAX_FILE_BYTES + 1)
    if len(data) != status.st_size:
        raise ImageError(str(path), "it changed while it was being read")
    return data, status


def read_start(path: Path, size: int) -> bytes:
    """Read the first bytes of an image file; all of them if there are no more.

    Parameters
    ----------
    path : Path
    size : int
        The number of bytes.

    Returns
    -------
    bytes

    Raises
    ------
    ImageError
        As `read_file`.
    """
    return _read_at_most(path, size)[0]


def _read_at_most(path: Path, size: int) -> tuple[bytes, os.stat_result]:
    """Read at most ``size`` bytes, and the file's status before."""
    try:
        file = os.open(path, _READ_FLAGS)
        try:
            status = os.fstat(file)
            if stat.S_ISDIR(status.st_mode):
                raise ImageError(str(path), "it is a folder, not an image")
            if not stat.S_ISREG(status.st_mode):
                raise ImageError(str(path), "it is not a regular file")
            if status.st_size > MAX_FILE_BYTES:
                raise ImageError(str(path), f"it has {status.st_size} bytes; refused as unsafe")
            return os.read(file, min(size, status.st_size + 1)), status
        finally:
            os.close(file)
    except (FileNotFoundError, NotADirectoryError):
        reason = "a link that leads nowhere" if path.is_symlink() else "no such file"
        raise ImageError(str(path), reason, "missing") from None
    except OSError as error:
        raise ImageError(str(path), f"cannot be read ({error.strerror or error})") from error
