"""Weighted F-measure: errors weighed by where they are.

Margolin, Zelnik-Manor and Tal, "How to evaluate foreground maps?", CVPR 2014. Two ideas: an error inside
the foreground counts as little as the errors around it (a Gaussian mean, 7x7, sigma 5), and a false alarm
counts the more the farther it is from the foreground (1 at the border, rising to 2).

The numbers are those of PySODMetrics 1.6.2: beta^2 = 1, zero beyond the image's border, 0 for an empty
mask. Where several foreground pixels are equally near, the one in the leftmost column is taken, and in
that column the topmost, as scipy's Euclidean distance transform does.

The work is split. :func:`weighted_geometry` depends on the mask alone and serves every map scored against
it. :func:`weighted_f` visits the map once for any number of affine preparations of it (raw, min-max, divided
by its maximum), because everything but the last minimum is linear in the map.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

RADIUS = 3  # of the 7x7 Gaussian
SIGMA = 5.0
HALF_LIFE = 5.0  # a false alarm's extra weight closes half of its gap to 1 every 5 pixels
REACH = 2 * RADIUS * RADIUS  # squared distance of the window's corner
SATURATED = 266**2  # from this squared distance on, the weight is 2 in float64
EPS = float(np.spacing(1.0))


@dataclass(frozen=True)
class Geometry:
    """What weighted F needs to know of a mask.

    The *window* is the foreground's bounding box and the 3 pixels around it, beyond the image's border
    where the box touches it.
    """

    weights: NDArray[np.float64]
    """[h, w], importance of a false alarm at each background pixel, in [1, 2); 0 on the foreground."""
    weight: float
    """Sum of the weights."""
    area: int
    """Number of foreground pixels."""
    top: int
    """Row of the bounding box; 0 for an empty mask, as are the next three."""
    left: int
    """Column of the bounding box."""
    inside: NDArray[np.uint8]
    """[box h, box w], the mask in its bounding box, 0 or 1."""
    band: NDArray[np.int32]
    """[m, 2], background pixels near the foreground and the foreground pixel nearest to each, as indices
    into the flattened window."""
    rows: NDArray[np.float64]
    """[box h], share of the Gaussian's rows that lies in the image."""
    columns: NDArray[np.float64]
    """[box w], share of the Gaussian's columns that lies in the image."""


def weighted_geometry(foreground: NDArray[np.uint8]) -> Geometry:
    """The part of weighted F that depends on the mask alone.

    Args:
        foreground: uint8 [h, w], 1 on the foreground and 0 elsewhere; any shape from 1x1 up.
    """
    foreground = np.ascontiguousarray(foreground)
    height, width = foreground.shape
    area, top, left, bottom, right = _bounding_box(foreground)
    if area == 0:
        weights, weight, band = np.zeros((height, width)), 0.0, np.empty((0, 2), np.int32)
    else:
        squared = _squared_distances(foreground)
        weights, weight = _weights(squared, _importance())
        band = _band(foreground, squared, top, left, bottom, right, *_offsets())
    return Geometry(
        weights=weights,
        weight=weight,
        area=area,
        top=top,
        left=left,
        inside=np.ascontiguousarray(foreground[top:bottom, left:right]),
        band=band,
        rows=_share_in_image(height)[top:bottom],
        columns=_share_in_image(width)[left:right],
    )


def weighted_f(
    values: NDArray[np.uint8] | NDArray[np.float64],
    geometry: Geometry,
    preparations: NDArray[np.float64],
    beta_squared: float = 1.0,
) -> NDArray[np.float64]:
    """Weighted F of one map under several preparations.

    Args:
        values: uint8 or float64 [h, w], the map, of the mask's shape.
        geometry: of the mask.
        preparations: float64 [K, 2], rows (a, b): the map that is scored is a * values + b, which must
            lie in [0, 1].
        beta_squared: weight of precision against recall.

    Returns:
        float64 [K]; 0 where the mask is empty.
    """
    if values.shape != geometry.weights.shape:
        raise ValueError(
            f"the map is {values.shape} and the mask {geometry.weights.shape}; they must have one shape"
        )
    if geometry.area == 0:
        return np.zeros(len(preparations))
    inner, alarms = _weighted_errors(
        np.ascontiguousarray(values),
        geometry.weights,
        geometry.top,
        geometry.left,
        geometry.inside,
        geometry.band,
        geometry.rows,
        geometry.columns,
        np.ascontiguousarray(preparations),
        gaussian(),
    )
    slopes, offsets = preparations[:, 0], preparations[:, 1]
    false_positive = slopes * alarms + offsets * geometry.weight
    true_positive = np.maximum(geometry.area - inner, 0.0)
    recall = np.maximum(1.0 - inner / geometry.area, 0.0)
    precision = true_positive / (true_positive + false_positive + EPS)
    f: NDArray[np.float64] = (
        (1.0 + beta_squared) * recall * precision / (recall + beta_squared * precision + EPS)
    )
    return f


@cache
def gaussian() -> NDArray[np.float64]:
    """float64 [4], one side of the separable Gaussian from its centre outwards; the 7 taps sum to 1."""
    distance = np.arange(RADIUS + 1)
    taps = np.exp(-(distance**2) / (2 * SIGMA**2))
    return np.asarray(taps / (taps[0] + 2 * taps[1:].sum()), dtype=np.float64)


@cache
def _importance() -> NDArray[np.float64]:
    """Importance of a false alarm by its squared distance to the foreground, up to saturation; [0] is 0."""
    distance = np.sqrt(np.arange(SATURATED + 1, dtype=np.float64))
    importance = np.asarray(2.0 - np.exp(np.log(0.5) / HALF_LIFE * distance), dtype=np.float64)
    importance[0] = 0.0  # the foreground itself
    return importance


@cache
def _offsets() -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Offsets (row, column) of squared length 1..18 in the order in which a nearest pixel is chosen.

    Returns:
        int32 [m, 2] and int32 [20]: the offsets of squared length d are those from starts[d] to starts[d + 1].
    """
    reach = range(-4, 5)
    ranked = sorted((y * y + x * x, x, y) for y in reach for x in reach)
    near = [(d, x, y) for d, x, y in ranked if d <= REACH]
    lengths = np.array([d for d, _, _ in near])
    offsets = np.array([(y, x) for _, x, y in near], dtype=np.int32)
    return offsets, np.searchsorted(lengths, np.arange(REACH + 2)).astype(np.int32)


def _share_in_image(length: int) -> NDArray[np.float64]:
    """For each place on an axis of this length, how much of the Gaussian centred there falls on the axis."""
    taps = gaussian()
    reach = min(RADIUS, length - 1)
    cumulated = np.cumsum(taps)
    share = np.ones(length)
    for place in {*range(min(RADIUS, length)), *range(max(0, length - RADIUS), length)}:
        before, after = min(place, reach), min(length - 1 - place, reach)
        share[place] = cumulated[before] + cumulated[after] - taps[0]
    return share


@njit(nogil=True, cache=True)
def _squared_distances(foreground):  # type: ignore[no-untyped-def]
    """int32 [h, w], exact squared distance to the nearest foreground pixel; the mask must not be empty.

    Meijster, Roerdink and Hesselink, "A general algorithm for computing distance transforms in linear
    time", 2000: down and up the columns, then along each row the lower envelope of one parabola per
    column. A stretch of background sees nothing beyond the foreground pixels at its two ends.
    """
    height, width = foreground.shape
    squared = np.empty((height, width), np.int32)
    far = np.int32(height + width)
    one, two = np.int32(1), np.int32(2)
    for x in range(width):
        squared[0, x] = 0 if foreground[0, x] else far
    for y in range(1, height):
        for x in range(width):
            below = squared[y - 1, x] + one
            squared[y, x] = 0 if foreground[y, x] else min(below, far)
    for y in range(height - 2, -1, -1):
        for x in range(width):
            squared[y, x] = min(squared[y, x], squared[y + 1, x] + one)

    column = np.empty(width + 1, np.int32)
    lowest = np.empty(width + 1, np.int32)
    start = np.empty(width + 1, np.int32)
    for y in range(height):
        vertical = squared[y].copy()
        row = squared[y]
        end = 0
        while end < width:
            begin = end
            while begin < width and vertical[begin] == 0:
                begin += 1
            end = begin
            while end < width and vertical[end] != 0:
                end += 1
            last = np.int32(end - 1)
            depth = np.int32(-1)
            for place in range(max(begin - 1, 0), min(end + 1, width)):
                x, low = np.int32(place), vertical[place]
                if low >= far:
                    continue
                low *= low
                while depth >= 0:
                    here, c = start[depth], column[depth]
                    if (here - x) * (here - x) + low > (here - c) * (here - c) + lowest[depth]:
                        break
                    depth -= one
                if depth < 0:
                    here = np.int32(begin)
                else:
                    c, bottom = column[depth], lowest[depth]
                    if (last - x) * (last - x) + low >= (last - c) * (last - c) + bottom:
                        continue
                    here = (x * x - c * c + low - bottom) // (two * (x - c)) + one
                depth += one
                column[depth], lowest[depth], start[depth] = x, low, here
            start[depth + 1] = end
            for part in range(depth + 1):
                c, low = column[part], lowest[part]
                for place in range(start[part], start[part + 1]):
                    away = np.int32(place) - c
                    row[place] = away * away + low
    return squared


@njit(nogil=True, cache=True)
def _bounding_box(foreground):  # type: ignore[no-untyped-def]
    """Number of foreground pixels; top, left, bottom and right (exclusive) of their box, 0 if there are none."""
    height, width = foreground.shape
    area, top, bottom = 0, height, 0
    columns = np.zeros(width, np.uint8)
    for y in range(height):
        count = 0
        for x in range(width):
            count += foreground[y, x]
            columns[x] |= foreground[y, x]
        if count > 0:
            area += count
            top, bottom = min(top, y), y + 1
    if area == 0:
        return 0, 0, 0, 0, 0
    left, right = 0, width
    while not columns[left]:
        left += 1
    while not columns[right - 1]:
        right -= 1
    return area, top, left, bottom, right


@njit(nogil=True, cache=True)
def _weights(squared, importance):  # type: ignore[no-untyped-def]
    """Importance of every pixel, and their sum. Columns are summed first: the same sum on every machine."""
    height, width = squared.shape
    weights = np.empty((height, width))
    total = np.zeros(width)
    for y in range(height):
        for x in range(width):
            weights[y, x] = importance[min(squared[y, x], SATURATED)]
        for x in range(width):
            total[x] += weights[y, x]
    return weights, total.sum()


@njit(nogil=True, cache=True)
def _band(foreground, squared, top, left, bottom, right, offsets, starts):  # type: ignore[no-untyped-def]
    """Background pixels in reach of a foreground pixel's Gaussian, each with its nearest foreground pixel."""
    height, width = foreground.shape
    stride = right - left + 2 * RADIUS
    origin = (RADIUS - top) * stride + RADIUS - left
    band = np.empty((1024, 2), np.int32)
    count = 0
    for y in range(max(top - RADIUS, 0), min(bottom + RADIUS, height)):
        for x in range(max(left - RADIUS, 0), min(right + RADIUS, width)):
            length = squared[y, x]
            if length == 0 or length > REACH:
                continue
            if count == len(band):
                band = np.concatenate((band, np.empty_like(band)))
            for k in range(starts[length], starts[length + 1]):
                ny, nx = y + offsets[k, 0], x + offsets[k, 1]
                if 0 <= ny < height and 0 <= nx < width and foreground[ny, nx]:
                    band[count, 0] = origin + y * stride + x
                    band[count, 1] = origin + ny * stride + nx
                    break
            count += 1
    return band[:count].copy()


@njit(nogil=True, cache=True)
def _weighted_errors(  # type: ignore[no-untyped-def]
    values, weights, top, left, inside, band, rows, columns, preparations, taps
):
    """Weighted error sums: float64 [K] over the foreground; sum of weight * value over the background.

    Sums run down the columns first, so that they are the same on every machine.
    """
    height, width = values.shape
    alarm = np.zeros(width)
    for y in range(height):
        for x in range(width):
            alarm[x] += weights[y, x] * values[y, x]

    box_height, box_width = inside.shape
    stride = box_width + 2 * RADIUS
    window = np.zeros((box_height + 2 * RADIUS, stride), values.dtype)
    for y in range(max(top - RADIUS, 0), min(top + box_height + RADIUS, height)):
        for x in range(max(left - RADIUS, 0), min(left + box_width + RADIUS, width)):
            window[y - top + RADIUS, x - left + RADIUS] = values[y, x]
    flat = window.reshape(-1)
    for k in range(len(band)):
        flat[band[k, 0]] = flat[band[k, 1]]

    count = len(preparations)
    errors = np.zeros((count, box_width))
    blurred_down = np.empty(stride)
    blurred = np.empty(box_width)
    w0, w1, w2, w3 = taps[0], taps[1], taps[2], taps[3]
    for y in range(box_height):
        r0, r1, r2, r3 = window[y], window[y + 1], window[y + 2], window[y + 3]
        r4, r5, r6 = window[y + 4], window[y + 5], window[y + 6]
        for x in range(stride):
            blurred_down[x] = (
                w0 * r3[x]
                + w1 * (np.float64(r2[x]) + np.float64(r4[x]))
                + w2 * (np.float64(r1[x]) + np.float64(r5[x]))
                + w3 * (np.float64(r0[x]) + np.float64(r6[x]))
            )
        for x in range(box_width):
            blurred[x] = (
                w0 * blurred_down[x + 3]
                + w1 * (blurred_down[x + 2] + blurred_down[x + 4])
                + w2 * (blurred_down[x + 1] + blurred_down[x + 5])
                + w3 * (blurred_down[x] + blurred_down[x + 6])
            )
        for k in range(count):
            a, rest = preparations[k, 0], 1.0 - preparations[k, 1]
            share = rest * rows[y]
            for x in range(box_width):
                error = rest - a * r3[x + 3]
                around = share * columns[x] - a * blurred[x]
                errors[k, x] += min(error, around) * inside[y, x]
    totals = np.empty(count)
    for k in range(count):
        totals[k] = errors[k].sum()
    return totals, alarm.sum()
