"""Find the same image twice: within a dataset, and, worse, in a training set and a test set."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sodbench.datasets import TRAIN_SET, Dataset, expected_stems
from sodbench.errors import Problem
from sodbench.images import read_grey, resize_grey
from sodbench.runners.data.items import ImageFacts, Item

# Grey levels, root mean square, on the 16 x 16 grid for candidates, and at 64 x 64 to confirm.
_MAX_GRID_DIFFERENCE = 2.0
_MAX_DIFFERENCE = 8.0
# Grids with a smaller standard deviation carry too little information about the image.
_MIN_DEVIATION = 4.0


class _Entry(NamedTuple):
    """An image of the dataset with this number."""

    number: int
    item: Item
    image: ImageFacts


def find_duplicates(
    datasets: Sequence[Dataset], inspected: Sequence[Sequence[Item]]
) -> dict[int, list[Problem]]:
    """Find items whose image another item has too.

    Equal files are found by their digest. Others are candidates if their 16 x 16 grids are nearly equal, and are
    compared at 64 x 64.

    Parameters
    ----------
    datasets : sequence of Dataset
    inspected : sequence of sequence of Item
        The items of each dataset.

    Returns
    -------
    dict of int to list of Problem
        Problems by the index of the dataset that has the copy. Originals are those of training sets, then of
        the datasets in their order, then official items.
    """
    official = [expected_stems(dataset) for dataset in datasets]

    def rank(entry: _Entry) -> tuple[bool, int, bool, str]:
        names, stem = official[entry.number], entry.item.sample.stem
        unofficial = names is not None and stem not in names
        return not _is_training(datasets[entry.number]), entry.number, unofficial, stem

    entries = sorted(
        (
            _Entry(number, item, item.image)
            for number, items in enumerate(inspected)
            for item in items
            if item.image
        ),
        key=rank,
    )
    problems: dict[int, list[Problem]] = {}

    def add(original: _Entry, copy: _Entry, how: str) -> None:
        problem = _describe_copy(datasets, original, copy, how)
        problems.setdefault(copy.number, []).append(problem)

    originals: dict[bytes, _Entry] = {}
    for entry in entries:
        original = originals.setdefault(entry.image.digest, entry)
        if original is not entry and not _is_same_path(original.item, entry.item):
            add(original, entry, "the same file")
    different = list(originals.values())
    copies: set[int] = set()
    for a, b in _find_candidates(different):
        if b not in copies and _look_alike(different[a], different[b]):
            copies.add(b)
            add(different[a], different[b], "the same image, encoded or scaled again,")
    return problems


def _find_candidates(entries: Sequence[_Entry]) -> list[tuple[int, int]]:
    """Index pairs (the smaller first, sorted) of images with nearly equal grids that are not flat."""
    grids = np.array([entry.image.grid.ravel() for entry in entries], np.float64)
    if len(grids) < 2:
        return []
    informative = np.flatnonzero(grids.std(axis=1) >= _MIN_DEVIATION)
    pairs = informative[pairs_within(grids[informative], _MAX_GRID_DIFFERENCE * 16)]
    return sorted((int(a), int(b)) for a, b in pairs)


def pairs_within(
    points: NDArray[np.float64], radius: float, directions: int = 8
) -> NDArray[np.intp]:
    """Find all pairs of points that are at most ``radius`` apart.

    Projected on a few directions, no two points are further apart than they are. So a tree over the directions in
    which they differ most finds the candidates; over all 256 it would compare every point with every other.

    Parameters
    ----------
    points : ndarray of float64, shape (n, d)
    radius : float
        Euclidean distance.
    directions : int
        Number of directions of the tree.

    Returns
    -------
    ndarray of int, shape (k, 2)
        Index pairs, the smaller index first.
    """
    from scipy.spatial import cKDTree

    if not len(points):
        return np.zeros((0, 2), np.intp)
    centred = points - points.mean(axis=0)
    # by how much the points differ, ascending
    _, axes = np.linalg.eigh(centred.T @ centred)
    # Keeps neighbours whose distance rounds to just above the radius
    slack = 1e-6 * radius
    tree = cKDTree(centred @ axes[:, -directions:])
    pairs: NDArray[np.intp] = tree.query_pairs(radius + slack, output_type="ndarray")
    distances = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    return np.sort(pairs[distances <= radius], axis=1)


def _is_training(dataset: Dataset) -> bool:
    base, _, subset = dataset.name.partition("/")
    return base == TRAIN_SET or subset in ("train", "val")


def _look_alike(one: _Entry, other: _Entry) -> bool:
    """Whether two images agree at 64 x 64 and in the ratio of their sides."""
    assert one.item.sample.image and other.item.sample.image
    (h1, w1), (h2, w2) = one.image.size, other.image.size
    if abs(h1 * w2 - h2 * w1) > 0.03 * h1 * w2:
        return False
    first, second = (
        resize_grey(read_grey(path).pixels, (64, 64), "bilinear").astype(np.float32)
        for path in (one.item.sample.image, other.item.sample.image)
    )
    return float(np.sqrt(np.mean((first - second) ** 2))) < _MAX_DIFFERENCE


def _is_same_path(one: Item, other: Item) -> bool:
    """Whether both are one file on disk, as when a dataset and its subset are checked together."""
    assert one.sample.image and other.sample.image
    return one.sample.image.resolve() == other.sample.image.resolve()


def _describe_copy(
    datasets: Sequence[Dataset], original: _Entry, copy: _Entry, how: str
) -> Problem:
    first, second = datasets[original.number], datasets[copy.number]
    equal = original.item.mask_digest == copy.item.mask_digest
    if first is second:
        kind, whose = "duplicate", original.item.sample.stem
    else:
        kind = "leak" if _is_training(first) != _is_training(second) else "shared"
        whose = f"{first.name}/{original.item.sample.stem}"
    detail = f"{how} as {whose} ({'masks equal' if equal else 'masks differ'})"
    return Problem(kind, str(copy.item.sample.image), detail)
