"""The same picture twice: within a set, and, worse, in a training set and a test set."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sodbench.datasets import TRAIN_SET, Dataset, expected_stems
from sodbench.errors import Problem
from sodbench.images import read_grey, resize_grey
from sodbench.runners.data.items import Item

_NEAR = 2.0  # grey levels, root mean square over the 16 x 16 grid
_FLAT = 4.0  # grids with a smaller standard deviation say too little of the picture
_ALIKE = 8.0  # grey levels, root mean square at 64 x 64, to confirm


def copies_among(
    datasets: Sequence[Dataset], inspected: Sequence[Sequence[Item]]
) -> dict[int, list[Problem]]:
    """Items whose picture another item has too, as problems of the set (by number) that has the copy.

    Training sets are taken for the originals, then the sets in their order, then official items.
    Equal files are found by their digest.  Of the others, those with nearly equal 16 x 16 grids are
    compared at 64 x 64.
    """
    official = [expected_stems(dataset) for dataset in datasets]

    def rank(entry: tuple[int, Item]) -> tuple[bool, int, bool, str]:
        number, item = entry
        names, stem = official[number], item.sample.stem
        return not _trains(datasets[number]), number, names is not None and stem not in names, stem

    entries = sorted(
        ((number, item) for number, items in enumerate(inspected) for item in items if item.image),
        key=rank,
    )
    copies: dict[int, list[Problem]] = {}

    def tell(original: tuple[int, Item], copy: tuple[int, Item], how: str) -> None:
        (first, one), (second, other) = original, copy
        copies.setdefault(second, []).append(
            _copy_problem(datasets[first], one, datasets[second], other, how)
        )

    originals: dict[bytes, tuple[int, Item]] = {}
    for entry in entries:
        assert entry[1].image
        original = originals.setdefault(entry[1].image.digest, entry)
        if original is not entry and not _one_file(original[1], entry[1]):
            tell(original, entry, "the same file")
    different = list(originals.values())
    found: set[int] = set()
    for a, b in _near(different):
        if b not in found and _alike(different[a][1], different[b][1]):
            found.add(b)
            tell(different[a], different[b], "the same image, encoded or scaled again,")
    return copies


def _near(entries: Sequence[tuple[int, Item]]) -> list[tuple[int, int]]:
    """Index pairs (the smaller first, sorted) of pictures with nearly equal grids that are not flat."""
    grids = np.array([item.image.grid.ravel() for _, item in entries if item.image], np.float64)
    if len(grids) < 2:
        return []
    telling = np.flatnonzero(grids.std(axis=1) >= _FLAT)
    pairs = telling[within(grids[telling], _NEAR * 16)]
    return sorted((int(a), int(b)) for a, b in pairs)


def within(points: NDArray[np.float64], radius: float, directions: int = 8) -> NDArray[np.intp]:
    """Index pairs [n, 2], the smaller index first, of points [n, d] at most ``radius`` apart.

    Seen along a few directions no two points are further apart than they are.  So a tree over the
    directions in which they differ most finds the candidates; over all of 256 it would compare every
    point with every other.
    """
    from scipy.spatial import cKDTree

    if not len(points):
        return np.zeros((0, 2), np.intp)
    centred = points - points.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)  # by how much the points differ, ascending
    slack = 1e-6 * radius  # for rounding
    tree = cKDTree(centred @ axes[:, -directions:])
    pairs: NDArray[np.intp] = tree.query_pairs(radius + slack, output_type="ndarray")
    away = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    return np.sort(pairs[away <= radius], axis=1)


def _trains(dataset: Dataset) -> bool:
    base, _, subset = dataset.name.partition("/")
    return base == TRAIN_SET or subset in ("train", "val")


def _alike(one: Item, other: Item) -> bool:
    """Whether two pictures agree at 64 x 64 and in the ratio of their sides."""
    assert one.image and other.image and one.sample.image and other.sample.image
    (h1, w1), (h2, w2) = one.image.size, other.image.size
    if abs(h1 * w2 - h2 * w1) > 0.03 * h1 * w2:
        return False
    small, again = (
        resize_grey(read_grey(path).pixels, (64, 64), "bilinear").astype(np.float32)
        for path in (one.sample.image, other.sample.image)
    )
    return float(np.sqrt(np.mean((small - again) ** 2))) < _ALIKE


def _one_file(one: Item, other: Item) -> bool:
    """Whether both are one file on disk (a set and a subset of it are being checked)."""
    assert one.sample.image and other.sample.image
    return one.sample.image.resolve() == other.sample.image.resolve()


def _copy_problem(first: Dataset, one: Item, second: Dataset, other: Item, how: str) -> Problem:
    masks = "masks equal" if one.mask_digest == other.mask_digest else "masks differ"
    if first is second:
        kind, whose = "duplicate", one.sample.stem
    else:
        kind = "leak" if _trains(first) != _trains(second) else "shared"
        whose = f"{first.name}/{one.sample.stem}"
    return Problem(kind, str(other.sample.image), f"{how} as {whose} ({masks})")
