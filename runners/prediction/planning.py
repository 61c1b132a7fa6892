"""Which images are predicted together: batches of one size, or of different sizes on a common canvas.

On a GPU a new shape of batch is expensive: for each convolution of it cuDNN chooses an algorithm. CSF takes 0.04 to
0.12 s for that on an H200, in which it predicts some 70 images, and a test set has hundreds of sizes. So all batches of a
canvas have the same number of places, some of which may stay empty, and a network that declares ``handles_padding`` gets
images of different sizes on few canvases. For other networks padding would change the maps: a canvas has one size.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sodbench.errors import ImageError, Problem
from sodbench.images import image_size
from sodbench.models.declarations import InputSize
from sodbench.runners.prediction.folder import ImageList

Fail = Callable[[Problem], None]

# Number of images, height and width.
Shape = tuple[int, int, int]

# Images of a batch have no more pixels than this together (32 of 512x512), unless one alone has ...
MAX_BATCH_PIXELS = 2**23
# ... and no more than this (34 of 300x400) where the user chose no number of images.
DEFAULT_BATCH_PIXELS = 2**22

# How many pixels are predicted in the time that a new shape takes, where that is slow: 50 images of 300x400.
SHAPE_PIXELS = 6_000_000

# How many pixels are predicted in the time that starting a batch takes, however small it is: 15 ms of Python.
START_PIXELS = 1_500_000

# The choice of canvases starts from at most this many groups of sizes.
_MAX_GROUPS = 128


@dataclass(frozen=True)
class BatchLimits:
    """How large a batch may be; one image may always be one.

    Attributes
    ----------
    images : int
    pixels : int
        Of all images together, with their padding.
    """

    images: int
    pixels: int


def limit_batch_size(default: int, size: InputSize) -> int:
    """Return how many images a batch has by default, for a network that gets images of a size of its own.

    Parameters
    ----------
    default : int
        What suits the device.
    size : InputSize
        The sizes at which images enter the network.

    Returns
    -------
    int
        Fewer where the size is fixed and large: what a batch needs does not follow from the images' own sizes.
    """
    if size.fixed is None:
        return default
    return max(1, min(default, DEFAULT_BATCH_PIXELS // (size.fixed[0] * size.fixed[1])))


@dataclass(frozen=True)
class ShapeCosts:
    """What a new shape of batch costs, and a batch.

    Attributes
    ----------
    pixels : int
        The number of pixels that could be predicted in the time of a new shape; 0 where shapes cost nothing.
    known : collection of (int, int, int)
        Shapes that cost nothing more, because there were batches of them before.
    start : int
        What a batch of fewer pixels costs.
    """

    pixels: int = 0
    known: Collection[Shape] = ()
    start: int = 0


@dataclass(frozen=True)
class ImageBatch:
    """Images that are predicted together, not yet read.

    Attributes
    ----------
    images : tuple of (str, Path)
        Stem and path of each image.
    sizes : tuple of (int, int)
        Height and width of each.
    shape : (int, int, int)
        The number of places, and the height and width of the canvas; an image is in the top left of its place.
    may_pad : bool
        Whether places may be empty, or larger than their images.
    """

    images: tuple[tuple[str, Path], ...]
    sizes: tuple[tuple[int, int], ...]
    shape: Shape
    may_pad: bool = False

    @property
    def n_pixels(self) -> int:
        """Number of pixels of all places together."""
        places, height, width = self.shape
        return places * height * width


def make_batches(
    images: ImageList,
    limits: BatchLimits,
    pool: Executor,
    fail: Fail,
    costs: ShapeCosts | None = None,
    may_pad: Callable[[tuple[int, int]], bool] = lambda size: False,
) -> list[ImageBatch]:
    """Divide images into batches, the largest first, so that memory runs out early or not at all.

    Parameters
    ----------
    images : sequence of (str, Path)
        Stem and path of each image.
    limits : BatchLimits
    pool : Executor
        Reads the images' headers.
    fail : callable
        Called with the problem of each image that cannot be read.
    costs : ShapeCosts, optional
        By default shapes cost nothing.
    may_pad : callable, optional
        Whether images of a size may be padded; by default none are, and every batch holds one size.

    Returns
    -------
    list of ImageBatch
        The same for the same images, whatever the order in which their headers were read.
    """
    costs = costs or ShapeCosts()
    by_size: dict[tuple[int, int], list[tuple[str, Path]]] = defaultdict(list)
    for image, size in zip(images, pool.map(_read_size, [p for _, p in images]), strict=True):
        if isinstance(size, Problem):
            fail(size)
        else:
            by_size[size].append(image)
    counts = {size: len(group) for size, group in by_size.items()}
    canvases: list[tuple[Shape, list[tuple[int, int]], bool]] = []
    padded: Counter[tuple[int, int]] = Counter()
    for size, n in counts.items():
        if costs.pixels and may_pad(size):
            padded[size] = n
        else:
            canvases.append((_shape_for(size, n, limits, costs), [size], False))
    for shape, sizes in _choose_canvases(padded, limits, costs).items():
        canvases.append((shape, sizes, True))
    batches: list[ImageBatch] = []
    for shape, sizes, padding in canvases:
        sized = [(size, image) for size in sizes for image in by_size[size]]
        batches += _divide(shape, sized, costs, padding)
    return sorted(batches, key=lambda batch: (-batch.shape[1] * batch.shape[2], batch.shape[1:]))


def _read_size(path: Path) -> tuple[int, int] | Problem:
    try:
        return image_size(path)
    except ImageError as error:
        return error.problem


def _shape_for(size: tuple[int, int], count: int, limits: BatchLimits, costs: ShapeCosts) -> Shape:
    """Return the shape of the batches of a canvas."""
    most = max(1, min(limits.images, limits.pixels // (size[0] * size[1])))
    if costs.pixels:
        # as few places as suffice for all batches, so that few stay empty
        most = -(-count // -(-count // most))
    return (min(most, count), *size)


def _divide(
    shape: Shape,
    images: Sequence[tuple[tuple[int, int], tuple[str, Path]]],
    costs: ShapeCosts,
    may_pad: bool,
) -> Iterator[ImageBatch]:
    """Divide the images of a canvas into batches; those that fill it come first, and need no padding."""
    images = sorted(images, key=lambda sized: sized[0] != shape[1:])
    for start in range(0, len(images), shape[0]):
        sizes, part = zip(*images[start : start + shape[0]], strict=True)
        places = shape[0] if costs.pixels else len(part)
        yield ImageBatch(part, sizes, (places, *shape[1:]), may_pad)


# ---- the choice of canvases ---------------------------------------------------------------------------


def _choose_canvases(
    counts: Counter[tuple[int, int]], limits: BatchLimits, costs: ShapeCosts
) -> dict[Shape, list[tuple[int, int]]]:
    """Return shapes of batches, and which sizes of images belong to each, for which pixels and shapes cost least.

    Parameters
    ----------
    counts : Counter of (int, int)
        The number of images of each size.
    limits, costs
        As for `make_batches`.
    """
    groups = _group_sizes(counts)
    # of each group: the height and width of its canvas, and its number of images
    canvases = np.array(
        [(*np.max(group, 0), sum(counts[size] for size in group)) for group in groups]
    ).reshape(-1, 3)
    while len(groups) > 1:
        h, w, n = canvases.T
        alone = _cost(h, w, n, limits, costs)
        together = _cost(
            np.maximum.outer(h, h), np.maximum.outer(w, w), np.add.outer(n, n), limits, costs
        )
        gain = np.add.outer(alone, alone) - together
        np.fill_diagonal(gain, 0)
        a, b = sorted(int(i) for i in np.unravel_index(gain.argmax(), gain.shape))
        if gain[a, b] <= 0:
            break
        canvases[a] = (*canvases[[a, b], :2].max(0), canvases[[a, b], 2].sum())
        canvases = np.delete(canvases, b, 0)
        groups[a] += groups.pop(b)
    shapes: dict[Shape, list[tuple[int, int]]] = defaultdict(list)
    for group, (height, width, n) in zip(groups, canvases.tolist(), strict=True):
        shapes[_cheapest_shape(height, width, n, limits, costs)] += group
    return shapes


def _group_sizes(counts: Counter[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Group sizes that are nearly equal, as far as there are too many of them."""
    step = 1
    while True:
        groups = defaultdict(list)
        for height, width in sorted(counts):
            groups[-(-height // step), -(-width // step)].append((height, width))
        if len(groups) <= _MAX_GROUPS:
            return list(groups.values())
        step *= 2


def _cost(
    height: NDArray[Any],
    width: NDArray[Any],
    n: NDArray[Any],
    limits: BatchLimits,
    costs: ShapeCosts,
) -> NDArray[Any]:
    """Return the cost of canvases with n images each, in pixels; a known shape is used where it is cheaper."""
    most = np.maximum(1, np.minimum(limits.images, limits.pixels // (height * width)))
    batches = -(-n // most)
    cost: NDArray[Any] = _cost_of_batches(n, -(-n // batches), height * width, costs) + costs.pixels
    for places, tall, wide in _usable(limits, costs):
        with_known = _cost_of_batches(n, places, tall * wide, costs)
        cost = np.where((height <= tall) & (width <= wide), np.minimum(cost, with_known), cost)
    return cost


def _cost_of_batches(n: Any, places: Any, area: Any, costs: ShapeCosts) -> Any:
    """Return the cost of n images in batches of so many places, each of an area in pixels."""
    return -(-n // places) * np.maximum(places * area, costs.start)


def _cheapest_shape(
    height: int, width: int, n: int, limits: BatchLimits, costs: ShapeCosts
) -> Shape:
    """Return the shape that `_cost` counts."""
    known = [
        (_cost_of_batches(n, places, tall * wide, costs), (places, tall, wide))
        for places, tall, wide in _usable(limits, costs)
        if height <= tall and width <= wide
    ]
    shape = _shape_for((height, width), n, limits, costs)
    new = _cost_of_batches(n, shape[0], height * width, costs) + costs.pixels
    return min([*known, (new, shape)])[1]


def _usable(limits: BatchLimits, costs: ShapeCosts) -> list[Shape]:
    return sorted(
        (n, h, w)
        for n, h, w in costs.known
        if n == 1 or (n <= limits.images and n * h * w <= limits.pixels)
    )
