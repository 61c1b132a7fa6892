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
from functools import cache, lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

RADIUS = 3  # of the 7x7 Gaussian
SIGMA = 5.0
HALF_LIFE = 5.0  # a false alarm's extra weight closes half of its gap to 1 every 5 pixels
REACH = 2 * RADIUS * RADIUS  # squared distance of the 7x7 Gaussian's corner from its centre
MARGIN = 4  # holds every pixel within that reach of the foreground
SATURATED = 266**2  # from this squared distance on, a false alarm weighs 2 in float64
LONGEST_SIDE = 32767  # squared distances are kept in int32
EPS = float(np.spacing(1.0))


@dataclass(frozen=True)
class Geometry:
    """What weighted F needs to know of a mask.

    The *window* is the foreground's bounding box and the 4 pixels around it, beyond the image's border
    where the box touches it.
    """

    squared_distance: NDArray[np.int32]
    """[h, w], to the nearest foreground pixel, 0 on the foreground; meaningless for an empty mask."""
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

    Raises:
        ValueError: if a side is longer than 32767 pixels.
    """
    foreground = np.ascontiguousarray(foreground)
    height, width = foreground.shape
    if max(height, width) > LONGEST_SIDE:
        raise ValueError(
            f"the mask is {height}x{width}; weighted F takes sides up to {LONGEST_SIDE} pixels"
        )
    area, top, left, bottom, right = _bounding_box(foreground)
    if area == 0:
        squared, band = np.empty((height, width), np.int32), np.empty((0, 2), np.int32)
    else:
        squared, band = _squared_distances(foreground, top, left, right)
    return Geometry(
        squared_distance=squared,
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
    if values.shape != geometry.squared_distance.shape:
        raise ValueError(
            f"the map is {values.shape} and the mask {geometry.squared_distance.shape}; they must have one shape"
        )
    if geometry.area == 0:
        return np.zeros(len(preparations))
    preparations = np.ascontiguousarray(preparations)
    contiguous = np.ascontiguousarray(values)
    missed = _missed(
        contiguous,
        geometry.top,
        geometry.left,
        geometry.inside,
        geometry.band,
        geometry.rows,
        geometry.columns,
        preparations,
        gaussian(),
    )
    false_positive = _false_alarms(
        contiguous, geometry.squared_distance, preparations, _importance()
    )
    true_positive = np.maximum(geometry.area - missed, 0.0)
    recall = np.maximum(1.0 - missed / geometry.area, 0.0)
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


@lru_cache(maxsize=256)
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
def _bounding_box(foreground):  # type: ignore[no-untyped-def]
    """Number of foreground pixels; top, left, bottom and right (exclusive) of their box, 0 for none."""
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
def _vertical_distances(foreground, far):  # type: ignore[no-untyped-def]
    """int32 [h, w], distance to the nearest foreground pixel of the same column, far if there is none."""
    height, width = foreground.shape
    vertical = np.empty((height, width), np.int32)
    one = np.int32(1)
    for x in range(width):
        vertical[0, x] = 0 if foreground[0, x] else far
    for y in range(1, height):
        for x in range(width):
            above = min(vertical[y - 1, x] + one, far)
            vertical[y, x] = 0 if foreground[y, x] else above
    for y in range(height - 2, -1, -1):
        for x in range(width):
            vertical[y, x] = min(vertical[y, x], vertical[y + 1, x] + one)
    return vertical


@njit(nogil=True, cache=True)
def _lower_envelope(vertical, far, begin, end, columns, lowest, starts):  # type: ignore[no-untyped-def]
    """The nearest column for each pixel of a stretch of background in one row, as pieces from left to right.

    Every column holds a parabola, (x - column)^2 + vertical^2; the envelope lists those that are lowest
    somewhere from begin to end (exclusive), with the pixel from which on they are. A stretch of background sees
    nothing beyond the foreground pixels at its two ends. Among equals the leftmost column stays.

    Returns:
        The number of pieces; columns, lowest (vertical^2) and starts are written.
    """
    two = np.int32(2)
    last = np.int32(end - 1)
    piece = -1
    top, top_low, start = np.int32(0), np.int32(0), np.int32(begin)  # the last piece
    for place in range(max(begin - 1, 0), min(end + 1, len(vertical))):
        x, low = np.int32(place), vertical[place]
        if low >= far:
            continue
        low *= low
        # this parabola is below the last piece's where 2 * apart * pixel > rise
        apart = x - top
        rise = apart * (x + top) + low - top_low
        if piece >= 0 and rise >= two * apart * last:
            continue
        while piece >= 0 and rise < two * apart * start:
            piece -= 1
            top, top_low, start = columns[piece], lowest[piece], starts[piece]
            apart = x - top
            rise = apart * (x + top) + low - top_low
        if (
            piece >= 0
        ):  # a float64 quotient of these positive integers never rounds up to an integer
            start = np.int32(np.float64(rise) / np.float64(two * apart)) + np.int32(1)
        else:
            start = np.int32(begin)
        piece += 1
        top, top_low = x, low
        columns[piece], lowest[piece], starts[piece] = top, top_low, start
    starts[piece + 1] = end
    return piece + 1


@njit(nogil=True, cache=True)
def _squared_distances(foreground, top, left, right):  # type: ignore[no-untyped-def]
    """Squared distances and the band of a mask that is not empty; both as in Geometry.

    Meijster, Roerdink and Hesselink, "A general algorithm for computing distance transforms in linear
    time", 2000: down and up the columns, then along each row.
    """
    height, width = foreground.shape
    far = np.int32(height + width)
    squared = _vertical_distances(foreground, far)
    stride = right - left + 2 * MARGIN
    origin = (MARGIN - top) * stride + MARGIN - left
    band = np.empty((4096, 2), np.int32)
    count = 0
    columns = np.empty(width + 1, np.int32)
    lowest = np.empty(width + 1, np.int32)
    starts = np.empty(width + 1, np.int32)
    for y in range(height):
        row = squared[y]
        vertical = row.copy()
        end = 0
        while end < width:
            begin = end
            while begin < width and vertical[begin] == 0:
                begin += 1
            end = begin
            while end < width and vertical[end] != 0:
                end += 1
            pieces = _lower_envelope(vertical, far, begin, end, columns, lowest, starts)
            for piece in range(pieces):
                column, low = columns[piece], lowest[piece]
                for place in range(starts[piece], starts[piece + 1]):
                    away = np.int32(place) - column
                    row[place] = away * away + low
                if low > REACH:
                    continue
                up = vertical[column]
                nearest = y - up if y >= up and foreground[y - up, column] else y + up
                first, stop = (
                    max(starts[piece], column - MARGIN),
                    min(starts[piece + 1], column + MARGIN + 1),
                )
                for place in range(first, stop):
                    if row[place] <= REACH:
                        if count == len(band):
                            band = np.concatenate((band, np.empty_like(band)))
                        band[count, 0] = origin + y * stride + place
                        band[count, 1] = origin + nearest * stride + column
                        count += 1
    return squared, band[:count].copy()


@njit(nogil=True, cache=True)
def _false_alarms(values, squared, preparations, importance):  # type: ignore[no-untyped-def]
    """float64 [K], sum over the background of importance times the prepared map.

    Sums run down the columns first, here and in _missed: more exact, and in one order whatever the width of the
    machine's vectors.
    """
    height, width = values.shape
    weighted = np.zeros(width)
    for y in range(height):
        for x in range(width):
            if values[y, x] != 0:
                weighted[x] += importance[min(squared[y, x], SATURATED)] * values[y, x]
    weights = np.zeros(width)
    if np.any(preparations[:, 1] != 0.0):
        for y in range(height):
            for x in range(width):
                weights[x] += importance[min(squared[y, x], SATURATED)]
    return preparations[:, 0] * weighted.sum() + preparations[:, 1] * weights.sum()


@njit(nogil=True, cache=True)
def _missed(values, top, left, inside, band, rows, columns, preparations, taps):  # type: ignore[no-untyped-def]
    """float64 [K], sum over the foreground of the smaller of an error and the Gaussian mean of errors."""
    height, picture_width = values.shape
    box_height, box_width = inside.shape
    stride = box_width + 2 * MARGIN
    window = np.zeros((box_height + 2 * MARGIN, stride), values.dtype)
    for y in range(max(top - MARGIN, 0), min(top + box_height + MARGIN, height)):
        first, stop = max(left - MARGIN, 0), min(left + box_width + MARGIN, picture_width)
        shift = left - MARGIN
        window[y - top + MARGIN, first - shift : stop - shift] = values[y, first:stop]
    flat = window.reshape(-1)
    for k in range(len(band)):
        flat[band[k, 0]] = flat[band[k, 1]]

    missed = np.zeros((len(preparations), box_width))
    down = np.empty(box_width + 6)
    value = np.empty(box_width)
    mean = np.empty(box_width)
    counts = np.empty(box_width)
    w0, w1, w2, w3 = taps[0], taps[1], taps[2], taps[3]
    for y in range(box_height):
        stop = box_width
        while stop > 0 and not inside[y, stop - 1]:
            stop -= 1
        if stop == 0:
            continue
        first = 0
        while not inside[y, first]:
            first += 1
        width = stop - first  # slices from 0 on let the compiler use vector instructions
        here, around = inside[y, first:stop], slice(first + 1, stop + 7)
        r1, r2, r3 = window[y + 1, around], window[y + 2, around], window[y + 3, around]
        r4 = window[y + 4, around]
        r5, r6, r7 = window[y + 5, around], window[y + 6, around], window[y + 7, around]
        for x in range(width + 6):
            near = np.float64(r3[x]) + np.float64(r5[x])
            middle = np.float64(r2[x]) + np.float64(r6[x])
            far = np.float64(r1[x]) + np.float64(r7[x])
            down[x] = w0 * np.float64(r4[x]) + w1 * near + w2 * middle + w3 * far
        for x in range(width):
            near, middle, far = (
                down[x + 2] + down[x + 4],
                down[x + 1] + down[x + 5],
                down[x] + down[x + 6],
            )
            mean[x] = w0 * down[x + 3] + w1 * near + w2 * middle + w3 * far
        for x in range(width):
            value[x] = np.float64(r4[x + 3])
            counts[x] = np.float64(here[x])
        shares = columns[first:stop]
        for k in range(len(preparations)):
            a, rest = preparations[k, 0], 1.0 - preparations[k, 1]
            share = rest * rows[y]
            total = missed[k, first:stop]
            for x in range(width):
                error = min(rest - a * value[x], share * shares[x] - a * mean[x])
                total[x] += counts[x] * error
    totals = np.empty(len(preparations))
    for k in range(len(preparations)):
        totals[k] = missed[k].sum()
    return totals
