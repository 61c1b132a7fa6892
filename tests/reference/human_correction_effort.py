"""Human correction effort, slowly: sets of pixels, whole passes and recursion.

Written from the definition in metrics/human_correction_effort.py.  Nothing is imported from sodbench.
"""

import math

import numpy as np
from scipy import ndimage

CROSS = ndimage.generate_binary_structure(2, 1)
SQUARE = np.ones((3, 3), bool)
# the eight neighbours (row, column) of a pixel, clockwise from the one above
CLOCKWISE = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
# by the neighbours as bits in that order, which pass removes a pixel, as measured of scikit-image 0.25: first, second, both
FIRST = (3, 6, 7, 193, 129, 5, 67, 97, 133, 208, 99)
SECOND = (12, 48, 96, 28, 112, 13, 52, 88, 54)
NEITHER = (24, 192)
ALSO_BOTH = (20, 65, 80)


def removed_in(code, turn):
    """Whether a pass removes a pixel with these neighbours: Zhang and Suen's rule and scikit-image's exceptions."""
    for exceptions, turns in ((FIRST, (0,)), (SECOND, (1,)), (NEITHER, ()), (ALSO_BOTH, (0, 1))):
        if code in exceptions:
            return turn in turns
    ring = [code >> place & 1 for place in range(8)]
    if not 2 <= sum(ring) <= 6 or sum(ring[i - 1] < ring[i] for i in range(8)) != 1:
        return False
    up, right, down, left = ring[::2]
    if turn == 0:
        return not (up and right and down) and not (right and down and left)
    return not (up and right and left) and not (up and down and left)


REMOVED = [[removed_in(code, turn) for code in range(256)] for turn in range(2)]


def skeleton(mask):
    """Zhang and Suen's thinning: two passes over the whole image until nothing changes."""
    image = np.pad(mask, 1)
    while True:
        before = image.copy()
        for turn in range(2):
            codes = sum(
                np.roll(image, (-dy, -dx), (0, 1)).astype(int) << place
                for place, (dy, dx) in enumerate(CLOCKWISE)
            )
            image &= ~np.array(REMOVED[turn])[codes]
        if (image == before).all():
            return image[1:-1, 1:-1]


def contours(mask):
    """Suzuki and Abe's border following, as a list of lists of (row, column), from the one that is inside nothing.

    Of borders inside the same one, the last one found comes first.
    """
    marks = {(y, x): 1 for y, x in np.argwhere(mask).tolist()}
    holes, parents, points = {1: True}, {1: 0}, {}
    for y in range(mask.shape[0]):
        last = 1
        for x in range(mask.shape[1] + 1):
            here, before = marks.get((y, x), 0), marks.get((y, x - 1), 0)
            if (here == 1 and before == 0) or (here == 0 and before >= 1):
                hole = here == 0
                number = len(holes) + 1
                start = (y, x - 1) if hole else (y, x)
                if hole and before > 1:
                    last = before
                holes[number] = hole
                parents[number] = parents[last] if hole == holes[last] else last
                points[number] = follow(marks, start, 2 if hole else 6, number)
                last = abs(marks[start])
            elif abs(here) > 1:
                last = abs(here)
    ordered = []

    def visit(border):
        for inner in sorted((n for n, parent in parents.items() if parent == border), reverse=True):
            ordered.append(points[inner])
            visit(inner)

    visit(1)
    return ordered


def follow(marks, start, direction, number):
    """Follow a border from a pixel, whose neighbour in the direction is outside; directions are those of CLOCKWISE."""

    def moved(place, way):
        dy, dx = CLOCKWISE[way % 8]
        return place[0] + dy, place[1] + dx

    closing = next((k for k in range(1, 8) if marks.get(moved(start, direction + k))), None)
    if closing is None:
        marks[start] = -number
        return [start]
    closing = moved(start, direction + closing)
    here, came_from, met = start, closing, []
    while True:
        way = next(k for k in range(8) if moved(here, k) == came_from)
        looked_right = False
        for k in range(1, 9):
            after = moved(here, way - k)
            if marks.get(after):
                break
            looked_right |= (way - k) % 8 == 2
        if looked_right:
            marks[here] = -number
        elif marks[here] == 1:
            marks[here] = number
        met.append(here)
        if after == start and here == closing:
            return met
        here, came_from = after, here


def vertices(line, tolerance):
    """The number of vertices of an open polyline's approximation, by recursion."""

    def simplified(first, last):
        (y0, x0), (y1, x1) = line[first], line[last]
        dx, dy = x1 - x0, y1 - y0
        distances = [abs((y - y0) * dx - (x - x0) * dy) for y, x in line[first + 1 : last]]
        most = max(distances, default=0)
        if most**2 <= tolerance**2 * (dx * dx + dy * dy):
            return [first]
        split = first + 1 + distances.index(most)
        return simplified(first, split) + simplified(split, last)

    end = len(line) - 1
    if line[0] != line[end]:
        kept = [*simplified(0, end), end]
    else:
        away = [(y - line[0][0]) ** 2 + (x - line[0][1]) ** 2 for y, x in line]
        far = away.index(max(away))
        short = max(away) <= tolerance**2
        kept = [0] if short else simplified(0, far) + simplified(far, end)
    corners = [line[k] for k in kept]
    remaining, start, k = len(corners), corners[0], 1
    while k < len(corners) - 1 and remaining > 2:
        here, after = np.array(corners[k]), np.array(corners[k + 1])
        (dy, dx), to_here = after - start, here - start
        distance = abs(to_here[1] * dy - to_here[0] * dx)
        flat = distance**2 <= 0.5 * tolerance**2 * (dx * dx + dy * dy)
        if flat and dx and dy and to_here @ (after - here) >= 0:
            remaining, start, k = remaining - 1, corners[k + 1], k + 2
        else:
            start, k = corners[k], k + 1
    return remaining


def clicks(regions, neighbours, tolerance):
    near = ndimage.binary_dilation(neighbours, CROSS)
    visited, count = set(), 0
    for contour in contours(regions):
        pieces, is_open = [], False
        for place in contour:
            if not near[place] or place in visited:
                is_open = False
                continue
            if not is_open:
                pieces.append([])
                is_open = True
            pieces[-1].append(place)
            visited.add(place)
        if len(pieces) > 1 and math.dist(pieces[0][0], pieces[-1][-1]) in (1, math.sqrt(2)):
            pieces[-1] += pieces.pop(0)[::-1]
        count += sum(vertices(piece, tolerance) for piece in pieces)
    parts, number = ndimage.label(regions, SQUARE)
    return count + number - len({parts[place] for place in visited})


def human_correction_effort(binary, foreground, relaxation=5, tolerance=2.0):
    right, wrong, missed = binary & foreground, binary & ~foreground, foreground & ~binary
    union = binary | foreground
    core = ndimage.binary_erosion(union, CROSS, iterations=relaxation, border_value=1)

    def grown(regions, within):
        regions = regions & core
        for _ in range(relaxation):
            regions = ndimage.binary_dilation(regions, CROSS) & within
        return regions

    not_forgiven = grown(wrong, ~foreground) & wrong
    missing = (grown(missed, ~binary) & missed) | (skeleton(foreground) & ~right)
    return clicks(not_forgiven, right | missing, tolerance) + clicks(
        missing, ~(right | not_forgiven | missing), tolerance
    )
