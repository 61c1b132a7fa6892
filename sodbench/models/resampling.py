"""Resizing as other programs do it: Pillow, OpenCV, torch and scikit-image, without importing any but Pillow.

Preprocessing is a part of a method's numbers, and programs differ in three ways: whether shrinking averages all pixels
(antialiasing), what is beyond the border, and whether 8-bit images are rounded in between. Every way here is separable,
so it is one sparse matrix for the rows and one for the columns.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sodbench.errors import SodbenchError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Kernel = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class Resampling:
    """How images are resized.

    Attributes
    ----------
    kernel : str
        A key of `_KERNELS`, ``nearest`` or ``area``.
    antialias : bool
        Whether the kernel is as wide as an output pixel when an image shrinks.
    border : str
        What is beyond the border: the last pixel (``clamp``), the image mirrored at it (``mirror``), or ``zero``.
    corners : bool
        Whether the centres of the outermost pixels stay where they are (``align_corners=True`` of torch).
    levels : str, optional
        Images of 8 bits are ``rounded`` or ``truncated`` to whole levels afterwards; None: they become floats.
    pillow : bool
        8-bit images are resized by Pillow itself, which rounds after each direction.
    """

    kernel: str
    antialias: bool = False
    border: Literal["clamp", "mirror", "zero"] = "clamp"
    corners: bool = False
    levels: Literal["rounded", "truncated"] | None = None
    pillow: bool = False


def _pillow(kernel: str) -> Resampling:
    return Resampling(kernel, antialias=kernel != "nearest", levels="rounded", pillow=True)


# The names that a configuration gives.
RESAMPLINGS = {
    "torch-bilinear": Resampling("linear"),
    "torch-bilinear-antialias": Resampling("linear", antialias=True),
    "torch-bilinear-corners": Resampling("linear", corners=True),
    # IS-Net's own script converts to uint8 after resizing
    "torch-bilinear-truncated": Resampling("linear", levels="truncated"),
    "torch-bicubic": Resampling("cubic75"),
    "torch-bicubic-antialias": Resampling("cubic50", antialias=True),
    "torch-nearest": Resampling("nearest"),
    # of 8-bit images; OpenCV resizes floats as torch does without antialiasing
    "opencv-bilinear": Resampling("linear", levels="rounded"),
    "opencv-bicubic": Resampling("cubic75", levels="rounded"),
    "opencv-area": Resampling("area", levels="rounded"),
    "opencv-nearest": Resampling("nearest", levels="rounded"),
    "opencv-lanczos": Resampling("lanczos4", levels="rounded"),
    "pillow-bilinear": _pillow("linear"),
    "pillow-bicubic": _pillow("cubic50"),
    "pillow-lanczos": _pillow("lanczos3"),
    "pillow-box": _pillow("box"),
    "pillow-nearest": _pillow("nearest"),
    # order 1, without antialiasing; mode "reflect" or "constant"
    "scikit-image-bilinear": Resampling("linear", border="mirror"),
    "scikit-image-bilinear-constant": Resampling("linear", border="zero"),
}

_PILLOW_FILTERS = {
    "linear": Image.Resampling.BILINEAR,
    "cubic50": Image.Resampling.BICUBIC,
    "lanczos3": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}


def _linear(x: NDArray[Any]) -> NDArray[Any]:
    value: NDArray[Any] = np.maximum(0.0, 1.0 - np.abs(x))
    return value


def _box(x: NDArray[Any]) -> NDArray[Any]:
    return ((x > -0.5) & (x <= 0.5)).astype(np.float64)


def _cubic(a: float) -> Kernel:
    """Return the cubic kernel of Keys, 1981, with this slope: -0.5 in Pillow, -0.75 in OpenCV."""

    def kernel(x: NDArray[Any]) -> NDArray[Any]:
        x = np.abs(x)
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = a * (((x - 5) * x + 8) * x - 4)
        return np.where(x < 1, near, np.where(x < 2, far, 0.0))

    return kernel


def _lanczos(lobes: int) -> Kernel:
    def kernel(x: NDArray[Any]) -> NDArray[Any]:
        return np.where(np.abs(x) < lobes, np.sinc(x) * np.sinc(x / lobes), 0.0)

    return kernel


# Function and radius.
_KERNELS: dict[str, tuple[Kernel, float]] = {
    "linear": (_linear, 1),
    "box": (_box, 0.5),
    "cubic50": (_cubic(-0.5), 2),
    "cubic75": (_cubic(-0.75), 2),
    "lanczos3": (_lanczos(3), 3),
    "lanczos4": (_lanczos(4), 4),
}


def find_resampling(name: str) -> Resampling:
    """Return the resampling of a name.

    Parameters
    ----------
    name : str
        A key of `RESAMPLINGS`.

    Returns
    -------
    Resampling

    Raises
    ------
    SodbenchError
        For another name.
    """
    if name not in RESAMPLINGS:
        raise SodbenchError(f"unknown resampling {name!r}; one of {', '.join(RESAMPLINGS)}")
    return RESAMPLINGS[name]


def resize(pixels: NDArray[Any], size: tuple[int, int], name: str) -> NDArray[Any]:
    """Resize an image or a map.

    Parameters
    ----------
    pixels : ndarray of uint8 or float, shape (h, w) or (h, w, c)
    size : (int, int)
        Height and width of the result.
    name : str
        A key of `RESAMPLINGS`.

    Returns
    -------
    ndarray
        Of float32, or of uint8 if the input is of uint8 and the program keeps whole levels. The input itself if it
        has this size.
    """
    if pixels.shape[:2] == tuple(size):
        return pixels
    way = find_resampling(name)
    eight_bit = pixels.dtype == np.uint8
    if way.pillow and eight_bit:
        resized = Image.fromarray(pixels).resize(size[::-1], _PILLOW_FILTERS[way.kernel])
        return np.asarray(resized)
    values = _resize_floats(pixels.astype(np.float32), size, way)
    if way.levels is None or not eight_bit:
        return values
    whole: NDArray[Any] = np.rint(values) if way.levels == "rounded" else np.trunc(values)
    return whole.clip(0, 255).astype(np.uint8)


def _resize_floats(
    values: NDArray[np.float32], size: tuple[int, int], way: Resampling
) -> NDArray[np.float32]:
    height, width = values.shape[:2]
    rows = make_weights(height, size[0], way) @ values.reshape(height, -1)
    swapped = rows.reshape(size[0], width, -1).swapaxes(0, 1)
    columns = make_weights(width, size[1], way) @ swapped.reshape(width, -1)
    resized = columns.reshape(size[1], size[0], -1).swapaxes(0, 1)
    return np.ascontiguousarray(resized.reshape(*size, *values.shape[2:]))


@lru_cache(maxsize=256)
def make_weights(source: int, target: int, way: Resampling) -> "csr_array":
    """Return the matrix that resizes one direction.

    Parameters
    ----------
    source, target : int
        Numbers of pixels before and after.
    way : Resampling

    Returns
    -------
    scipy.sparse.csr_array of float32, shape (target, source)
    """
    from scipy.sparse import coo_array

    scale = source / target
    if way.kernel == "nearest":
        rows, columns, weights = _nearest_weights(target, scale, centred=way.pillow)
    elif way.kernel == "area":
        rows, columns, weights = _area_weights(target, scale)
    elif way.antialias:
        rows, columns, weights = _filter_weights(source, target, scale, *_KERNELS[way.kernel])
    else:
        rows, columns, weights = _interpolation_weights(source, target, scale, way)
        columns, weights = _apply_border(columns, weights, source, way.border)
    columns = columns.clip(0, source - 1)
    entries = weights.ravel(), (rows.ravel(), columns.ravel())
    # entries of one place are added up
    return coo_array(entries, shape=(target, source)).tocsr().astype(np.float32)


# Rows, columns and weights of the entries of a matrix.
_Entries = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]


def _nearest_weights(target: int, scale: float, centred: bool) -> _Entries:
    rows = np.arange(target)
    columns = np.floor((rows + 0.5 * centred) * scale).astype(np.int64)
    return rows, columns, np.ones(target)


def _area_weights(target: int, scale: float) -> _Entries:
    """Each output pixel is the mean over the part of the input that it covers."""
    start = np.arange(target) * scale
    first = np.floor(start).astype(np.int64)
    columns = first[:, None] + np.arange(math.ceil(scale) + 1)
    ends = np.minimum(columns + 1, (start + scale)[:, None])
    covered = (ends - np.maximum(columns, start[:, None])).clip(0)
    rows = np.broadcast_to(np.arange(target)[:, None], columns.shape)
    return rows, columns, covered / scale


def _filter_weights(
    source: int, target: int, scale: float, kernel: Kernel, radius: float
) -> _Entries:
    """Pillow's way, which is also torch's with antialiasing: the kernel is widened when the image shrinks."""
    stretch = max(scale, 1.0)
    centre = (np.arange(target) + 0.5) * scale
    support = radius * stretch
    first = np.maximum(0, np.floor(centre - support + 0.5)).astype(np.int64)
    end = np.minimum(source, np.floor(centre + support + 0.5)).astype(np.int64)
    columns = first[:, None] + np.arange(int((end - first).max()))
    weights: NDArray[Any] = kernel((columns - centre[:, None] + 0.5) / stretch) * (
        columns < end[:, None]
    )
    weights = weights / weights.sum(1, keepdims=True)
    rows = np.broadcast_to(np.arange(target)[:, None], columns.shape)
    return rows, columns, weights


def _interpolation_weights(source: int, target: int, scale: float, way: Resampling) -> _Entries:
    """The value between the nearest pixels, whatever the size; columns may be beyond the border."""
    kernel, radius = _KERNELS[way.kernel]
    if way.corners:
        place: NDArray[Any] = np.linspace(0, source - 1, target)
    else:
        place = (np.arange(target) + 0.5) * scale - 0.5
    taps = np.arange(1 - int(radius), int(radius) + 1)
    columns = np.floor(place).astype(np.int64)[:, None] + taps
    weights: NDArray[Any] = kernel(place[:, None] - columns)
    weights = weights / weights.sum(1, keepdims=True)
    rows = np.broadcast_to(np.arange(target)[:, None], columns.shape)
    return rows, columns, weights


def _apply_border(
    columns: NDArray[np.int64], weights: NDArray[Any], source: int, border: str
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    outside = (columns < 0) | (columns >= source)
    if border == "zero":
        weights = weights * ~outside
    elif border == "mirror" and source > 1:
        period = 2 * (source - 1)
        columns = np.abs((columns + source - 1) % period - (source - 1))
    return columns, weights
