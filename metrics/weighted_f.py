"""Weighted F-measure: errors are weighted by their place.

There are two ideas.  An error inside the foreground counts as little as the errors around it (a Gaussian mean, 7x7, sigma
5), and a false alarm counts more the farther it is from the foreground (1 at the border, rising to 2).

The numbers are those of PySODMetrics 1.6.2: beta^2 = 1, zero beyond the image's border, 0 for an empty mask.  Where
several foreground pixels are equally near, the one in the leftmost column is used, and within it the topmost, as in
scipy's Euclidean distance transform.

The computation has two parts.  `weighted_geometry` depends on the mask alone and serves every map scored against
it.  `weighted_precision_recall` visits the map once for any number of affine preparations of it (raw, min-max, divided by its
maximum), because everything but the last minimum is linear in the map.

References
----------
Margolin, Zelnik-Manor and Tal, "How to evaluate foreground maps?", CVPR 2014.
"""

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.arrays import EPSILON
from sodbench.metrics.compiled import compiled

# Radius of the published 7x7 Gaussian
_RADIUS = 3
_SIGMA = 5.0
# A false alarm's extra weight closes half of its gap to 1 every 5 pixels
_HALF_LIFE = 5.0
# Includes every background pixel from which the Gaussian reaches the foreground
_MARGIN = 4
_ONE, _TWO, _THREE, _FOUR, _FIVE, _SIX = (np.uint64(i) for i in range(1, 7))


@dataclass(frozen=True)
class Geometry:
    """What weighted F needs to know about a mask.

    Attributes
    ----------
    squared_distance : uint16 [h, w]
        To the nearest foreground pixel, 0 on the foreground; meaningless for an empty mask.  From 255 pixels on it is
        255^2: a false alarm's weight is 2 there, except for the last bits of a float64.
    area : int
        Number of foreground pixels.
    top, left : int
        First row and column of the foreground's bounding box; 0 for an empty mask, whose box is empty.
    inside : uint8 [box h, box w]
        The mask in its bounding box, 0 or 1.
    runs : int32 [box h, 2]
        For each row the first column of the box's foreground, and the one after its last; 0, 0 for none.
    band : int32 [m, 4]
        Row and column of each background pixel near the foreground, and of the foreground pixel nearest to it.
    rows, columns : float64 [box h], float64 [box w]
        Share of the Gaussian's rows and columns that is inside the image.
    """

    squared_distance: NDArray[np.uint16]
    area: int
    top: int
    left: int
    inside: NDArray[np.uint8]
    runs: NDArray[np.int32]
    band: NDArray[np.int32]
    rows: NDArray[np.float64]
    columns: NDArray[np.float64]


def weighted_geometry(mask: NDArray[np.uint8], above: int = 0) -> Geometry:
    """Compute the part of weighted F that depends on the mask alone.

    Parameters
    ----------
    mask : uint8 [h, w]
    above : int
        A pixel is foreground when its value is greater than this.

    Returns
    -------
    Geometry
    """
    # its kernels have instructions of their own, which need numba when they are defined
    from sodbench.metrics.distances import squared_distances

    mask = np.ascontiguousarray(mask)
    height, width = mask.shape
    area, top, left, bottom, right, inside, runs = _outline(mask, above)
    if area == 0:
        squared, band = np.empty((height, width), np.uint16), np.empty((0, 4), np.int32)
    else:
        squared, band = squared_distances(mask, above, top, bottom)
    return Geometry(
        squared_distance=squared,
        area=area,
        top=top,
        left=left,
        inside=inside,
        runs=runs,
        band=band,
        rows=_share_in_image(height)[top:bottom],
        columns=_share_in_image(width)[left:right],
    )


def weighted_precision_recall(
    values: NDArray[np.uint8] | NDArray[np.float64],
    geometry: Geometry,
    preparations: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Weighted precision and recall of one map under several preparations.

    Parameters
    ----------
    values : uint8 or float64 [h, w]
        The map, of the mask's shape.
    geometry : Geometry
    preparations : float64 [K, 2]
        Rows (a, b): the map that is scored is a * values + b, which must be in [0, 1].

    Returns
    -------
    float64 [K, 2]
        0 where the mask is empty.

    Raises
    ------
    ValueError
        For a map of another shape.
    """
    if values.shape != geometry.squared_distance.shape:
        raise ValueError(
            f"the map is {values.shape} and the mask {geometry.squared_distance.shape}; they must have one shape"
        )
    scores: NDArray[np.float64] = _weigh_errors(
        np.ascontiguousarray(values),
        geometry.squared_distance,
        geometry.area,
        geometry.top,
        geometry.left,
        geometry.inside,
        geometry.runs,
        geometry.band,
        geometry.rows,
        geometry.columns,
        np.ascontiguousarray(preparations),
        _gaussian_taps(),
        _importance(),
    )
    return scores


def weighted_precision_recall_of_map(
    values: NDArray[np.float64], foreground: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Weighted precision and recall of one prepared map.

    Parameters
    ----------
    values : float64 [h, w], in [0, 1]
    foreground : bool [h, w]

    Returns
    -------
    float64 [2]
        0 where the mask is empty.
    """
    geometry = weighted_geometry(foreground.view(np.uint8))
    values_: NDArray[np.float64] = weighted_precision_recall(
        values, geometry, np.array([[1.0, 0.0]])
    )[0]
    return values_


def weighted_f(
    precision: NDArray[np.float64], recall: NDArray[np.float64], beta_squared: float = 1.0
) -> NDArray[np.float64]:
    """Weighted F of weighted precision and recall.

    Parameters
    ----------
    precision, recall : float64 [...]
        Of one shape.
    beta_squared : float
        The weight of precision against recall.

    Returns
    -------
    float64 [...]
        0 where both are 0.
    """
    weighted = recall + beta_squared * precision
    scores: NDArray[np.float64] = (1.0 + beta_squared) * recall * precision / (weighted + EPSILON)
    return scores


@cache
def _gaussian_taps() -> NDArray[np.float64]:
    """float64 [4], one side of the separable Gaussian from its centre outwards; the 7 taps sum to 1."""
    distance = np.arange(_RADIUS + 1)
    taps = np.exp(-(distance**2) / (2 * _SIGMA**2))
    return np.asarray(taps / (taps[0] + 2 * taps[1:].sum()), dtype=np.float64)


@cache
def _importance() -> NDArray[np.float64]:
    """Importance of a false alarm by its squared distance to the foreground, up to saturation; [0] is 0."""
    from sodbench.metrics.distances import SATURATED

    distance = np.sqrt(np.arange(SATURATED + 1, dtype=np.float64))
    importance = np.asarray(2.0 - np.exp(np.log(0.5) / _HALF_LIFE * distance), dtype=np.float64)
    # the foreground itself
    importance[0] = 0.0
    return importance


@lru_cache(maxsize=256)
def _share_in_image(length: int) -> NDArray[np.float64]:
    """For each position on an axis of this length, the share of the Gaussian centred there that is on the axis."""
    taps = _gaussian_taps()
    reach = min(_RADIUS, length - 1)
    cumulated = np.cumsum(taps)
    share = np.ones(length)
    for position in {*range(min(_RADIUS, length)), *range(max(0, length - _RADIUS), length)}:
        before, after = min(position, reach), min(length - 1 - position, reach)
        share[position] = cumulated[before] + cumulated[after] - taps[0]
    return share


@compiled()
def _outline(mask, above):  # type: ignore[no-untyped-def]
    """Number of foreground pixels; top, left, bottom and right (exclusive) of their box, 0 for none; the mask in that box,
    and the first and last (exclusive) column of the box's foreground in each of its rows."""
    height, width = mask.shape
    runs = np.zeros((height, 2), np.int32)
    area, top, left, bottom, right = 0, height, width, 0, 0
    for y in range(height):
        count, first, last = np.int32(0), np.int32(width), np.int32(0)
        for x in range(width):
            inside = mask[y, x] > above
            count += np.int32(inside)
            first = min(first, np.int32(x) if inside else np.int32(width))
            last = max(last, np.int32(x + 1) if inside else np.int32(0))
        if count > 0:
            area += int(count)
            top, bottom = min(top, y), y + 1
            left, right = min(left, int(first)), max(right, int(last))
            runs[y] = first, last
    if area == 0:
        top = left = 0
    box = np.empty((bottom - top, right - left), np.uint8)
    for y in range(top, bottom):
        for x in range(right - left):
            box[y - top, x] = mask[y, np.uint64(left + x)] > above
        if runs[y, 1] > 0:
            runs[y] -= left
    return area, top, left, bottom, right, box, runs[top:bottom].copy()


@compiled()
def _weigh_errors(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    values,
    squared,
    area,
    top,
    left,
    inside,
    runs,
    band,
    rows,
    columns,
    preparations,
    taps,
    importance,
) -> NDArray[np.float64]:
    """float64 [K, 2]; the arguments are those of weighted_f, the fields of a Geometry, and two tables."""
    scores = np.zeros((len(preparations), 2))
    if area == 0:
        return scores
    # the error of a false alarm is the map itself, that of a miss is 1 - map
    missed = _missed(values, top, left, inside, runs, band, rows, columns, preparations, taps)
    false_positive = _false_alarms(values, squared, preparations, importance)
    for k in range(len(preparations)):
        # rounding can take both below 0 where everything is missed
        true_positive = max(area - missed[k], 0.0)
        recall = max(1.0 - missed[k] / area, 0.0)
        precision = true_positive / (true_positive + false_positive[k] + EPSILON)
        scores[k, 0], scores[k, 1] = precision, recall
    return scores


@compiled()
def _false_alarms(values, squared, preparations, importance):  # type: ignore[no-untyped-def]
    """float64 [K], sum over the background of importance times the prepared map.

    Here and in _missed sums run down the columns first: this is more exact, and the order does not depend on the width
    of the machine's vectors.
    """
    height, width = values.shape
    weighted = np.zeros(width)
    for y in range(height):
        for x in range(width):
            # most of a typical background is black
            if values[y, x] != 0:
                weighted[x] += importance[squared[y, x]] * values[y, x]
    # the constant part of a preparation needs the sum of the weights, and most preparations have none
    weights = np.zeros(width)
    has_constant_part = False
    # not np.any(): code that uses it needs scipy.linalg when it is loaded
    for k in range(len(preparations)):
        has_constant_part |= preparations[k, 1] != 0.0
    if has_constant_part:
        for y in range(height):
            for x in range(width):
                weights[x] += importance[squared[y, x]]
    return preparations[:, 0] * _total(weighted) + preparations[:, 1] * _total(weights)


@compiled()
def _total(addends):  # type: ignore[no-untyped-def]
    """The sum in the order of the array: numpy's sum adds in another order than numba's."""
    total = 0.0
    for i in range(len(addends)):
        total += addends[i]
    return total


@compiled()
def _missed(values, top, left, inside, runs, band, rows, columns, preparations, taps):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """float64 [K], sum over the foreground of the smaller of an error and the Gaussian mean of errors."""
    height, image_width = values.shape
    box_height, box_width = inside.shape
    # the map around the foreground; beyond the image it is 0
    window = np.zeros((box_height + 2 * _MARGIN, box_width + 2 * _MARGIN), values.dtype)
    first, stop = max(left - _MARGIN, 0), min(left + box_width + _MARGIN, image_width)
    begin = first - left + _MARGIN
    for y in range(max(top - _MARGIN, 0), min(top + box_height + _MARGIN, height)):
        for x in range(stop - first):
            window[y - top + _MARGIN, np.uint64(begin + x)] = values[y, np.uint64(first + x)]
    # a background pixel takes the error of its nearest foreground pixel: 1 - map of that pixel
    for k in range(len(band)):
        y, x = band[k, 0] - top + _MARGIN, band[k, 1] - left + _MARGIN
        window[y, x] = window[band[k, 2] - top + _MARGIN, band[k, 3] - left + _MARGIN]

    missed = np.zeros((len(preparations), box_width))
    down = np.empty(box_width + 6)
    mean = np.empty(box_width)
    w0, w1, w2, w3 = taps[0], taps[1], taps[2], taps[3]
    one, two, three, four, five, six = _ONE, _TWO, _THREE, _FOUR, _FIVE, _SIX
    for y in range(box_height):
        # unsigned indices need no check whether they count from the end
        here, end = np.uint64(runs[y, 0]), np.uint64(runs[y, 1])
        # the Gaussian is separable: down the columns, then along the row
        for x in range(here, end + six):
            at = x + one
            near = np.float64(window[y + 3, at]) + np.float64(window[y + 5, at])
            middle = np.float64(window[y + 2, at]) + np.float64(window[y + 6, at])
            far = np.float64(window[y + 1, at]) + np.float64(window[y + 7, at])
            down[x] = w0 * np.float64(window[y + 4, at]) + w1 * near + w2 * middle + w3 * far
        for x in range(here, end):
            near, middle, far = (
                down[x + two] + down[x + four],
                down[x + one] + down[x + five],
                down[x] + down[x + six],
            )
            mean[x] = w0 * down[x + three] + w1 * near + w2 * middle + w3 * far
        for k in range(len(preparations)):
            a, rest = preparations[k, 0], 1.0 - preparations[k, 1]
            # the mean of 1 - (a v + b) over the part of the Gaussian that is inside the image
            share = rest * rows[y]
            for x in range(here, end):
                value = np.float64(window[y + 4, x + four])
                error = min(rest - a * value, share * columns[x] - a * mean[x])
                missed[k, x] += np.float64(inside[y, x]) * error
    totals = np.empty(len(preparations))
    for k in range(len(preparations)):
        totals[k] = _total(missed[k])
    return totals
