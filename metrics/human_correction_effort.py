"""Human correction effort (HCE): about how many mouse clicks turn a binarised map into its mask.

False positive and false negative regions that a border less than 5 pixels off explains are forgiven, unless they are part of
the mask's skeleton.  Of what remains, a region is corrected by dragging points along its border with what is right, as many
as a polyline within 2 pixels of that border has vertices, or by one click where it has no such border.  The effort is the number
of points and clicks; lower is better, and a set's is the mean.

The programs binarise the map differently, so there are two metrics: ``hce`` is PySODMetrics', above 0.5 of the min-max map,
and ``hce_raw`` that of DIS and BiRefNet, above 128 of the map as stored.  A mask's foreground is above 128 in both.  The skeleton
is scikit-image's, contours and polylines are those of OpenCV 4.12 (contours.py): other versions of OpenCV drop other vertices.

References
----------
Qin, Dai, Hu, Fan, Shao and Van Gool, "Highly accurate dichotomous image segmentation", ECCV 2022.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.compiled import compiled
from sodbench.metrics.contours import count_vertices, trace_contours
from sodbench.metrics.skeleton import skeletonize

if TYPE_CHECKING:
    from sodbench.metrics.pixel_metrics import PixelPair

# Borders that are off by less than this are forgiven
RELAXATION = 5
# uint8, so that images of 0 and 1 stay bytes
_ONE = np.uint8(1)
# How far a polyline may be from the border it follows
POLYLINE_TOLERANCE = 2.0


class MaskOutline(NamedTuple):
    """What the effort needs to know about a mask.

    Attributes
    ----------
    inside : uint8 [h + 2, w + 2]
        1 on the foreground; 0 elsewhere and around the image.
    skeleton : uint8 [h + 2, w + 2]
        The same for the foreground's skeleton.
    """

    inside: NDArray[np.uint8]
    skeleton: NDArray[np.uint8]


def outline_mask(foreground: NDArray[np.bool_]) -> MaskOutline:
    """Compute the part of the effort that depends on the mask alone.

    Parameters
    ----------
    foreground : bool [h, w]

    Returns
    -------
    MaskOutline
    """
    return MaskOutline(
        np.pad(foreground.astype(np.uint8), 1),
        np.pad(skeletonize(foreground).astype(np.uint8), 1),
    )


def human_correction_effort(
    binary: NDArray[np.bool_],
    mask: MaskOutline,
    relaxation: int = RELAXATION,
    tolerance: float = POLYLINE_TOLERANCE,
) -> int:
    """Human correction effort of a binarised map.

    Parameters
    ----------
    binary : bool [h, w]
    mask : MaskOutline
        Of a mask of the same size.
    relaxation : int
        Borders that are off by less than so many pixels are forgiven.
    tolerance : float
        How far a polyline may be from the border it follows, in pixels.

    Returns
    -------
    int
        Points and clicks; 0 where nothing is to be corrected.
    """
    selected = np.pad(binary.astype(np.uint8), 1)
    box = _box_around(selected ^ mask.inside, relaxation + 2)
    if box is None:
        return 0
    selected, inside, skeleton = (
        np.ascontiguousarray(image[box]) for image in (selected, mask.inside, mask.skeleton)
    )
    wrong, missed = _wrong_regions(selected, inside, skeleton, relaxation)
    right = selected & inside
    effort = _count_clicks(wrong, right | missed, tolerance)
    return effort + _count_clicks(missed, (right | wrong | missed) ^ _ONE, tolerance)


def _box_around(differing: NDArray[np.uint8], margin: int) -> tuple[slice, slice] | None:
    """The part of an image with all differing pixels and a margin, within which the effort is decided; None for none."""
    rows = np.flatnonzero(differing.any(axis=1))
    if not len(rows):
        return None
    columns = np.flatnonzero(differing.any(axis=0))
    return tuple(  # type: ignore[return-value]
        slice(max(int(where[0]) - margin, 0), int(where[-1]) + margin + 1)
        for where in (rows, columns)
    )


def effort_of_min_max_map(pair: "PixelPair") -> float:
    """Human correction effort of the prepared map above 0.5, see `human_correction_effort`.

    Parameters
    ----------
    pair : PixelPair

    Returns
    -------
    float
    """
    return human_correction_effort(pair.above_half, pair.of_mask(outline_mask))


def effort_of_raw_map(pair: "PixelPair") -> float:
    """Human correction effort of the map as stored above 128, see `human_correction_effort`.

    Parameters
    ----------
    pair : PixelPair

    Returns
    -------
    float
    """
    return human_correction_effort(pair.map_ > 128, pair.of_mask(outline_mask))


def _count_clicks(
    regions: NDArray[np.uint8], neighbours: NDArray[np.uint8], tolerance: float
) -> int:
    """The points along the border of regions with their neighbours, and the number of regions without such a border.

    regions, neighbours: uint8 [h + 2, w + 2], 0 around the image in the first.
    """
    rows = np.flatnonzero(regions.any(axis=1))
    if not len(rows):
        return 0
    # the rows with regions, and a row of background on both sides
    band = slice(int(rows[0]) - 1, int(rows[-1]) + 2)
    labels = regions[band].astype(np.int32)
    points, ends, order = trace_contours(labels)
    near = _is_near(neighbours, band.start, band.stop)
    vertices, touched = _count_points(points, ends, order, near, tolerance)
    return int(vertices + _count_untouched(regions[band].copy(), touched))


@compiled()
def _wrong_regions(selected, inside, skeleton, relaxation):  # type: ignore[no-untyped-def]
    """The false positives and the false negatives that are not forgiven; uint8, padded as the arguments are."""
    positive = selected & (inside ^ _ONE)
    negative = inside & (selected ^ _ONE)
    # beyond the image everything counts as inside of the union
    core = selected | inside
    core[0], core[-1], core[:, 0], core[:, -1] = 1, 1, 1, 1
    # two images change places after each pass: fresh memory would take longer than the pass
    other = np.ones_like(core)
    for _ in range(relaxation):
        _erode_by_cross(core, other)
        core, other = other, core
    other[:] = 0
    third = np.zeros_like(core)
    wrong = _grow(positive, core, inside, relaxation, other, third)
    missed = _grow(negative, core, selected, relaxation, other, third)
    return wrong, missed | (skeleton & (selected ^ _ONE))


@compiled()
def _grow(errors, core, walls, times, grown, other):  # type: ignore[no-untyped-def]
    """The errors that are reached by dilating those in the core by a cross so many times, around the walls.

    grown, other: working memory of the same shape, 0 around the image.
    """
    width = errors.shape[1]
    some = np.uint8(0)
    for y in range(1, len(errors) - 1):
        row, wrong, deep = grown[y], errors[y], core[y]
        for x in range(width):
            row[x] = wrong[x] & deep[x]
            some |= row[x]
    if some:
        for _ in range(times):
            _dilate_by_cross(grown, other)
            for y in range(1, len(errors) - 1):
                row, wall = other[y], walls[y]
                for x in range(width):
                    row[x] &= wall[x] ^ _ONE
            grown, other = other, grown
    return grown & errors


@compiled()
def _dilate_by_cross(image, dilated):  # type: ignore[no-untyped-def]
    """Dilate a padded image by a 3x3 cross into another one, whose padding stays."""
    width = image.shape[1] - 2
    for y in range(1, len(image) - 1):
        above, below = image[y - 1, 1:-1], image[y + 1, 1:-1]
        left, here, right = image[y, :-2], image[y, 1:-1], image[y, 2:]
        row = dilated[y, 1:-1]
        for x in range(width):
            row[x] = above[x] | below[x] | left[x] | here[x] | right[x]


@compiled()
def _erode_by_cross(image, eroded):  # type: ignore[no-untyped-def]
    """Erode a padded image by a 3x3 cross into another one, whose padding stays."""
    width = image.shape[1] - 2
    for y in range(1, len(image) - 1):
        above, below = image[y - 1, 1:-1], image[y + 1, 1:-1]
        left, here, right = image[y, :-2], image[y, 1:-1], image[y, 2:]
        row = eroded[y, 1:-1]
        for x in range(width):
            row[x] = above[x] & below[x] & left[x] & here[x] & right[x]


@compiled()
def _is_near(neighbours, top, bottom):  # type: ignore[no-untyped-def]
    """The rows top to bottom of the neighbours, dilated by a 3x3 cross within the image."""
    inner = np.zeros((len(neighbours), neighbours.shape[1]), np.uint8)
    for y in range(max(top - 1, 1), min(bottom + 1, len(neighbours) - 1)):
        inner[y, 1:-1] = neighbours[y, 1:-1]
    dilated = np.zeros_like(inner)
    _dilate_by_cross(inner, dilated)
    return dilated[top:bottom].copy()


@compiled()
def _count_points(points, ends, order, near, tolerance):  # type: ignore[no-untyped-def]
    """The vertices of all pieces of contours along which ``near`` is set, and a flag for each pixel of such a piece."""
    width = near.shape[1]
    is_near = near.reshape(-1)
    touched = np.zeros(len(is_near), np.uint8)
    vertices = 0
    for contour in order:
        first = ends[contour - 1] if contour > 0 else 0
        vertices += _count_pieces(points[first : ends[contour]], is_near, touched, width, tolerance)
    return vertices, touched


@compiled()
def _count_pieces(contour, is_near, touched, width, tolerance):  # type: ignore[no-untyped-def]
    """The vertices of one contour's pieces; a pixel belongs to the first piece that meets it."""
    number = len(contour)
    x, y = np.empty(number, np.int64), np.empty(number, np.int64)
    starts, length, pieces = np.empty(number + 1, np.int64), 0, 0
    open_piece = False
    for point in contour:
        if not is_near[point] or touched[point]:
            open_piece = False
            continue
        if not open_piece:
            starts[pieces] = length
            pieces += 1
            open_piece = True
        touched[point] = 1
        x[length], y[length] = point % width, point // width
        length += 1
    if pieces == 0:
        return 0
    starts[pieces] = length
    begin = 0
    vertices = 0
    dx, dy = abs(x[0] - x[length - 1]), abs(y[0] - y[length - 1])
    if pieces > 1 and max(dx, dy) == 1:
        # the contour's first and last piece are one
        head, tail = starts[1], starts[pieces - 1]
        joined_x = np.concatenate((x[tail:length], x[:head][::-1]))
        joined_y = np.concatenate((y[tail:length], y[:head][::-1]))
        vertices += count_vertices(joined_x, joined_y, tolerance)
        begin, pieces = 1, pieces - 1
    for piece in range(begin, pieces):
        part = slice(starts[piece], starts[piece + 1])
        vertices += count_vertices(x[part], y[part], tolerance)
    return vertices


@compiled()
def _count_untouched(regions, touched):  # type: ignore[no-untyped-def]
    """The number of 8-connected parts without a touched pixel; the regions are erased."""
    width = regions.shape[1]
    pixels = regions.reshape(-1)
    around = (-width - 1, -width, 1 - width, -1, 1, width - 1, width, width + 1)
    waiting = np.empty(len(pixels), np.int32)
    untouched = 0
    for i in range(width, len(pixels) - width):
        if pixels[i]:
            pixels[i] = 0
            waiting[0] = i
            length = 1
            met = False
            while length > 0:
                length -= 1
                here = waiting[length]
                met |= touched[here] != 0
                for step in around:
                    if pixels[here + step]:
                        pixels[here + step] = 0
                        waiting[length] = here + step
                        length += 1
            untouched += not met
    return untouched
