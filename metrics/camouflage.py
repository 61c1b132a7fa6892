"""Camouflage context measure: the context measure, in which parts of an object that look like its surroundings count more.

How well a part is camouflaged is found by rebuilding the object from 7x7 patches of the ring around it, the nearest in colour and
place, and comparing the colours of both (CIEDE2000).  Conventions of PySODMetrics 1.6.2; the patches are compared in
OpenCV's 8-bit Lab, the colours in CIE Lab under D65.

References
----------
Wang, Ji, Shao, Cheng and Fan, "Context-measure: contextualizing metric for camouflage", 2025.
Sharma, Wu and Dalal, "The CIEDE2000 color-difference formula", Color Research and Application, 2005.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.arrays import EPSILON, Floats

# Side of a patch, and distance of their corners
_SIDE, _STEP = 7, 3
# Rows of the object's patches whose distances to the ring's are in memory at a time
_PATCHES_AT_A_TIME = 256
_TO_XYZ = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)


def camouflage_degree(
    image: NDArray[np.uint8], foreground: NDArray[np.bool_], gamma: float, spatial_weight: float
) -> Floats:
    """How well each pixel of an object is camouflaged.

    Parameters
    ----------
    image : uint8 [h, w, 3]
        In the order red, green, blue.
    foreground : bool [h, w]
    gamma : float
        How fast the degree rises with similarity.
    spatial_weight : float
        The weight of a patch's place against its colours.

    Returns
    -------
    float64 [h, w]
        0 to 1; 0 outside the object, and everywhere where object or ring are smaller than a patch.

    Raises
    ------
    ValueError
        For an image that is smaller than a patch.
    """
    if min(foreground.shape) < _SIDE:
        raise ValueError(f"the image is smaller than a patch of {_SIDE}x{_SIDE} pixels")
    ring = _dilate_by_box(foreground) & ~foreground
    lab = to_8_bit_lab(image)
    objects, object_patches = _patches(lab, foreground)
    around, ring_patches = _patches(lab, ring)
    if not len(objects) or not len(around):
        return np.zeros(foreground.shape)
    places = np.concatenate([around, objects]).astype(np.float64)
    spread = places.std(axis=0)
    places = (places - places.mean(axis=0)) / np.where(spread == 0, 1, spread)
    features = np.concatenate([ring_patches, object_patches]).astype(np.float64)
    features = np.concatenate([features, spatial_weight * places], axis=1)
    # rounded as there, but compared in double precision
    features = features.astype(np.float32).astype(np.float64)
    nearest = _find_nearest(features[len(around) :], features[: len(around)])
    rebuilt = _rebuild(image * ring[:, :, None], objects, around[nearest])
    difference = color_difference(to_lab(rebuilt), to_lab(image * foreground[:, :, None]))
    similarity = 1 - np.clip(difference / 100, 0, 1)
    degree: Floats = (np.exp(gamma * similarity * foreground) - 1) / (np.exp(gamma) - 1)
    return degree


def _dilate_by_box(foreground: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Dilate by a 20x20 box, 10 pixels to one side and 9 to the other."""
    grown = foreground
    for axis in (0, 1):
        source = np.pad(grown, [(10, 9) if i == axis else (0, 0) for i in range(2)])
        windows = np.lib.stride_tricks.sliding_window_view(source, 20, axis=axis)
        grown = np.asarray(windows.any(axis=-1))
    return grown


def _patches(
    lab: NDArray[np.uint8], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
    """The corners [n, 2] and the values [n, 147] of the patches that are wholly in a mask."""
    padding = [(0, (_STEP - (side - _SIDE) % _STEP) % _STEP) for side in mask.shape]
    shape = (_SIDE, _SIDE)
    inside = np.lib.stride_tricks.sliding_window_view(np.pad(mask, padding), shape)
    corners = np.argwhere(inside[::_STEP, ::_STEP].all(axis=(2, 3)))
    masked = np.pad(lab * mask[:, :, None], [*padding, (0, 0)], mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(masked, shape, axis=(0, 1))
    values = windows[::_STEP, ::_STEP][corners[:, 0], corners[:, 1]]
    return corners * _STEP, values.transpose(0, 2, 3, 1).reshape(len(corners), 3 * _SIDE**2)


def _find_nearest(queries: Floats, points: Floats) -> NDArray[np.intp]:
    """For each query the first of the nearest points."""
    squares = (points**2).sum(axis=1)
    nearest = np.empty(len(queries), np.intp)
    for start in range(0, len(queries), _PATCHES_AT_A_TIME):
        block = queries[start : start + _PATCHES_AT_A_TIME]
        nearest[start : start + _PATCHES_AT_A_TIME] = (squares - 2 * block @ points.T).argmin(
            axis=1
        )
    return nearest


def _rebuild(
    ring: NDArray[np.uint8], objects: NDArray[np.intp], sources: NDArray[np.intp]
) -> NDArray[np.uint8]:
    """Lay patches of the ring on the places of the object's patches; the mean where they overlap."""
    total = np.zeros(ring.shape, np.int64)
    number = np.full(ring.shape[:2], EPSILON)
    last = np.array(ring.shape[:2]) - _SIDE
    targets, sources = np.clip(objects, 0, last), np.clip(sources, 0, last)
    for (y, x), (v, u) in zip(targets.tolist(), sources.tolist(), strict=True):
        total[y : y + _SIDE, x : x + _SIDE] += ring[v : v + _SIDE, u : u + _SIDE]
        number[y : y + _SIDE, x : x + _SIDE] += 1
    return np.asarray(np.round(total / number[:, :, None]), np.uint8)


@cache
def _lab_tables() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Linear light by byte, cube root by linear light, and the colour matrix, in OpenCV's fixed point."""
    value = np.arange(256) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    # in single precision, which decides two of the rounded roots
    light = np.arange(256 * 3 // 2 * 8, dtype=np.float32) / np.float32(255 * 8)
    slope, offset = np.float32(841 / 108), np.float32(16 / 116)
    root = np.where(light < np.float32(216 / 24389), light * slope + offset, np.cbrt(light))
    white = np.array([[0.950456], [1.0], [1.088754]])
    return (
        np.rint(255 * 8 * linear).astype(np.int64),
        np.rint(2**15 * root).astype(np.int64),
        np.rint(2**12 * _TO_XYZ / white).astype(np.int64),
    )


def to_8_bit_lab(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert an image to OpenCV's 8-bit Lab.

    Parameters
    ----------
    image : uint8 [h, w, 3]
        In the order red, green, blue.

    Returns
    -------
    uint8 [h, w, 3]
        Lightness times 255 / 100; a and b plus 128.
    """
    linear, root, matrix = _lab_tables()
    fx, fy, fz = np.moveaxis(root[(linear[image] @ matrix.T + 2**11) >> 12], -1, 0)
    half = 2**14
    lightness = ((116 * 255 + 50) // 100 * fy - (16 * 255 * 2**15 + 50) // 100 + half) >> 15
    a = (500 * (fx - fy) + 128 * 2**15 + half) >> 15
    b = (200 * (fy - fz) + 128 * 2**15 + half) >> 15
    return np.asarray(np.clip(np.stack([lightness, a, b], axis=-1), 0, 255), np.uint8)


def to_lab(image: NDArray[np.uint8]) -> Floats:
    """Convert an image to CIE Lab under D65.

    Parameters
    ----------
    image : uint8 [h, w, 3]
        In the order red, green, blue.

    Returns
    -------
    float64 [h, w, 3]
    """
    value = image / 255
    linear = np.where(value > 0.04045, ((value + 0.055) / 1.055) ** 2.4, value / 12.92)
    xyz = linear @ _TO_XYZ.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    fx, fy, fz = np.moveaxis(f, -1, 0)
    return np.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], axis=-1)


def color_difference(one: Floats, other: Floats) -> Floats:
    """CIEDE2000.

    Parameters
    ----------
    one, other : float64 [..., 3]
        CIE Lab.

    Returns
    -------
    float64 [...]
    """
    (l1, a1, b1), (l2, a2, b2) = np.moveaxis(one, -1, 0), np.moveaxis(other, -1, 0)
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    stretch = 1.5 - 0.5 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
    c1, c2 = np.hypot(a1 * stretch, b1), np.hypot(a2 * stretch, b2)
    h1 = np.arctan2(b1, a1 * stretch) % (2 * np.pi)
    h2 = np.arctan2(b2, a2 * stretch) % (2 * np.pi)
    grey = c1 * c2 == 0
    turn = h2 - h1
    turn = np.where(turn > np.pi, turn - 2 * np.pi, np.where(turn < -np.pi, turn + 2 * np.pi, turn))
    turn = np.where(grey, 0, turn)
    hue = h1 + h2
    far = np.abs(h1 - h2) > np.pi
    hue = np.where(~grey & far, np.where(hue < 2 * np.pi, hue + 2 * np.pi, hue - 2 * np.pi), hue)
    hue = np.where(grey, hue, hue / 2)
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    t = (
        1
        - 0.17 * np.cos(hue - np.deg2rad(30))
        + 0.24 * np.cos(2 * hue)
        + 0.32 * np.cos(3 * hue + np.deg2rad(6))
        - 0.20 * np.cos(4 * hue - np.deg2rad(63))
    )
    bend = (mean_l - 50) ** 2
    light = (l2 - l1) / (1 + 0.015 * bend / np.sqrt(20 + bend))
    colour = (c2 - c1) / (1 + 0.045 * mean_c)
    tint = 2 * np.sqrt(c1 * c2) * np.sin(turn / 2) / (1 + 0.015 * mean_c * t)
    rotation = np.deg2rad(60) * np.exp(-(((np.rad2deg(hue) - 275) / 25) ** 2))
    cross = -2 * np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7)) * np.sin(rotation)
    squared = light**2 + colour**2 + tint**2 + cross * colour * tint
    difference: Floats = np.sqrt(np.maximum(squared, 0))
    return difference
