"""Resize maps to the size of their masks, as the field's scripts do it."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ResizeMethod = Literal["bilinear", "nearest", "bicubic", "opencv"]

_PILLOW = {
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
    "bicubic": Image.Resampling.BICUBIC,
}
# OpenCV weighs 8-bit pixels with 11 bits
_UNIT = np.float32(2048)


def resize_grey(
    pixels: NDArray[np.uint8], size: tuple[int, int], how: ResizeMethod
) -> NDArray[np.uint8]:
    """Resize a map.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (h, w)
    size : tuple of int
        The new height and width.
    how : {"bilinear", "nearest", "bicubic", "opencv"}
        Pillow's methods, which smooth when they shrink; or OpenCV's bilinear ``cv2.resize``, which does not, to the
        same bytes.

    Returns
    -------
    ndarray of uint8
    """
    if how == "opencv":
        return _resize_as_opencv(pixels, size)
    image = Image.fromarray(pixels)
    return np.array(image.resize((size[1], size[0]), _PILLOW[how]), np.uint8)


def _resize_as_opencv(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Interpolate between the nearest pixels, with the roundings of OpenCV's integer arithmetic."""
    top, bottom, of_top, of_bottom = _find_neighbours(pixels.shape[0], size[0])
    left, right, of_left, of_right = _find_neighbours(pixels.shape[1], size[1])
    values = pixels.astype(np.int32)
    rows = (values[:, left] * of_left + values[:, right] * of_right) >> 4
    upper = (of_top[:, None] * rows[top]) >> 16
    lower = (of_bottom[:, None] * rows[bottom]) >> 16
    resized: NDArray[np.uint8] = ((upper + lower + 2) >> 2).astype(np.uint8)
    return resized


def _find_neighbours(
    number: int, wanted: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int32], NDArray[np.int32]]:
    """The two pixels of a line around each wanted one, and their weights, which add up to 2048."""
    scale = 1 / (wanted / number)
    # OpenCV computes the place in double and keeps it in single precision
    place = ((np.arange(wanted) + 0.5) * scale - 0.5).astype(np.float32)
    first = np.floor(place).astype(np.intp)
    share = place - first.astype(np.float32)
    weights = [np.rint(part * _UNIT).astype(np.int32) for part in (np.float32(1) - share, share)]
    last = number - 1
    return np.clip(first, 0, last), np.clip(first + 1, 0, last), weights[0], weights[1]
