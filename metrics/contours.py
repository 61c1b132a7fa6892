"""Contours of binary images and their approximation by polylines, as OpenCV 4.12 computes them.

`trace_contours` gives every border of every 8-connected part, outer ones and those of holes, pixel by pixel, in the order of
OpenCV's ``findContours`` (RETR_TREE, CHAIN_APPROX_NONE).  `count_vertices` gives how many vertices ``approxPolyDP`` leaves of
an open polyline.  Metrics that count contours' points depend on both, to the order of the contours and their first pixels.

References
----------
Suzuki and Abe, "Topological structural analysis of digitized binary images by border following", Computer Vision, Graphics,
and Image Processing, 1985.
Douglas and Peucker, "Algorithms for the reduction of the number of points required to represent a digitized line or its
caricature", Cartographica, 1973.
"""

import numpy as np

from sodbench.metrics.compiled import compiled


@compiled()
def trace_contours(labels):  # type: ignore[no-untyped-def]
    """Find all contours of a binary image, from that which OpenCV returns first to the last.

    Parameters
    ----------
    labels : int32 [h + 2, w + 2]
        1 on the foreground, 0 elsewhere and on its outermost pixels; the borders are marked in it.

    Returns
    -------
    points : int32 [n]
        Indices into the flattened image.
    ends : int64 [m]
        For each contour the end (exclusive) of its points; they start at the end of the one before.
    order : int64 [m]
        Which contour comes first, second, and so on.
    """
    height, width = labels.shape
    image = labels.reshape(-1)
    # directions counter-clockwise from the right, twice around
    steps = np.array([1, 1 - width, -width, -width - 1, -1, width - 1, width, width + 1] * 2)
    points = np.empty(1024, np.int32)
    ends = np.empty(64, np.int64)
    # of each border; number 1 is the image's frame, which counts as the border of a hole
    parent = np.zeros(64, np.int64)
    is_hole = np.zeros(64, np.uint8)
    is_hole[1] = 1
    number, length = 1, 0
    for y in range(1, height - 1):
        last = 1
        for i in range(y * width + 1, (y + 1) * width):
            value, before = image[i], image[i - 1]
            outer = value == 1 and before == 0
            hole = value == 0 and before >= 1
            if outer or hole:
                number += 1
                if number + 1 >= len(parent):
                    parent = np.concatenate((parent, np.zeros_like(parent)))
                    is_hole = np.concatenate((is_hole, np.zeros_like(is_hole)))
                    ends = np.concatenate((ends, ends))
                if hole and before > 1:
                    last = before
                # a border is inside the last one met, or, if both are of one kind, next to it
                parent[number] = parent[last] if hole == is_hole[last] else last
                is_hole[number] = hole
                start = i - 1 if hole else i
                points, length = _follow(image, steps, start, hole, number, points, length)
                ends[number - 2] = length
                last = abs(image[start])
            elif value != 0 and value != 1:
                last = abs(value)
    return points[:length], ends[: number - 1], _list_depth_first(parent[: number + 1])


@compiled()
def _follow(image, steps, start, hole, number, points, length):  # type: ignore[no-untyped-def]
    """Follow one border and mark it with its number, negative where the pixel to the right was seen to be background."""
    first = 0 if hole else 4
    direction = first
    while True:
        direction = (direction - 1) & 7
        if image[start + steps[direction]] != 0 or direction == first:
            break
    if direction == first:
        # a single pixel
        image[start] = -number
        return _append(points, length, start)
    closing = start + steps[direction]
    here = start
    while True:
        begin = direction
        while True:
            direction += 1
            after = here + steps[direction]
            if image[after] != 0:
                break
        direction &= 7
        # whether the search passed the pixel to the right
        if 0 < direction <= begin:
            image[here] = -number
        elif image[here] == 1:
            image[here] = number
        points, length = _append(points, length, here)
        if after == start and here == closing:
            return points, length
        here = after
        direction = (direction + 4) & 7


@compiled()
def _append(points, length, point):  # type: ignore[no-untyped-def]
    if length == len(points):
        points = np.concatenate((points, np.empty_like(points)))
    points[length] = point
    return points, length + 1


@compiled()
def _list_depth_first(parent):  # type: ignore[no-untyped-def]
    """The borders 2, 3 ... as 0, 1 ..., each before those inside it, and of those the last one found first."""
    number = len(parent)
    first_inside, next_beside = np.zeros(number, np.int64), np.zeros(number, np.int64)
    for border in range(2, number):
        next_beside[border] = first_inside[parent[border]]
        first_inside[parent[border]] = border
    order = np.empty(max(number - 2, 0), np.int64)
    waiting = np.empty(number, np.int64)
    waiting[0] = first_inside[1]
    depth, listed = 1, 0
    while depth > 0:
        depth -= 1
        border = waiting[depth]
        if border == 0:
            continue
        order[listed] = border - 2
        listed += 1
        waiting[depth], waiting[depth + 1] = next_beside[border], first_inside[border]
        depth += 2
    return order


@compiled()
def count_vertices(x, y, tolerance):  # type: ignore[no-untyped-def]
    """Count the vertices of an open polyline's approximation.

    Parameters
    ----------
    x, y : int64 [n]
        The points of the polyline, n >= 1.
    tolerance : float
        In pixels; no point is farther than this from the approximation.

    Returns
    -------
    int
    """
    number = len(x)
    kept = np.empty(number + 1, np.int64)
    squared = tolerance * tolerance
    starts, stops = np.empty(number + 2, np.int64), np.empty(number + 2, np.int64)
    depth = vertices = 0
    closes = x[0] == x[-1] and y[0] == y[-1]
    if not closes:
        starts[0], stops[0] = 0, number - 1
        depth = 1
    else:
        # no line goes through two equal ends: the polyline is cut at the point farthest from them
        farthest = _farthest(x, y)
        if (x[farthest] - x[0]) ** 2 + (y[farthest] - y[0]) ** 2 <= squared:
            kept[0] = 0
            vertices = 1
        else:
            starts[0], stops[0] = farthest, number - 1
            starts[1], stops[1] = 0, farthest
            depth = 2
    while depth > 0:
        depth -= 1
        start, stop = starts[depth], stops[depth]
        split = _farthest_from_line(x, y, start, stop, squared)
        if split < 0:
            kept[vertices] = start
            vertices += 1
        else:
            starts[depth], stops[depth] = split, stop
            starts[depth + 1], stops[depth + 1] = start, split
            depth += 2
    if not closes:
        kept[vertices] = number - 1
        vertices += 1
    return _count_bent(x, y, kept[:vertices], squared)


@compiled()
def _farthest(x, y):  # type: ignore[no-untyped-def]
    """The first of the points that are farthest from point 0."""
    farthest, most = 0, 0
    for i in range(1, len(x)):
        distance = (x[i] - x[0]) ** 2 + (y[i] - y[0]) ** 2
        if distance > most:
            farthest, most = i, distance
    return farthest


@compiled()
def _farthest_from_line(x, y, start, stop, squared):  # type: ignore[no-untyped-def]
    """The first point farthest from the line through two points, or -1 where none is beyond the tolerance."""
    dx, dy = x[stop] - x[start], y[stop] - y[start]
    farthest, most = -1, 0
    for i in range(start + 1, stop):
        distance = abs((y[i] - y[start]) * dx - (x[i] - x[start]) * dy)
        if distance > most:
            farthest, most = i, distance
    if float(most) * float(most) <= squared * float(dx * dx + dy * dy):
        return -1
    return farthest


@compiled()
def _count_bent(x, y, kept, squared):  # type: ignore[no-untyped-def]
    """The number of vertices that remain when those on nearly straight lines are dropped.

    As in OpenCV, a vertex on a horizontal or vertical line stays, and the vertex after a dropped one is not tested.
    """
    number = remaining = len(kept)
    start = kept[0]
    vertex = 1
    while vertex < number - 1 and remaining > 2:
        here, after = kept[vertex], kept[vertex + 1]
        dx, dy = x[after] - x[start], y[after] - y[start]
        distance = abs((x[here] - x[start]) * dy - (y[here] - y[start]) * dx)
        onward = (x[here] - x[start]) * (x[after] - x[here]) + (y[here] - y[start]) * (
            y[after] - y[here]
        )
        near = float(distance) * float(distance) <= 0.5 * squared * float(dx * dx + dy * dy)
        if near and dx != 0 and dy != 0 and onward >= 0:
            remaining -= 1
            start = after
            vertex += 2
        else:
            start = here
            vertex += 1
    return remaining
