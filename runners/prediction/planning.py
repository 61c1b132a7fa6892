"""Which images are predicted together: batches of one size, or of near sizes on a common canvas.

A batch of different sizes is padded, which would change the maps of most networks: group normalisation, for example, sees
the whole image. Only networks that declare ``handles_padding`` get such batches. Few canvases are worth more than few
pixels: for each new shape cuDNN chooses its algorithms again, and a CUDA graph holds one shape.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from sodbench.errors import ImageError, Problem
from sodbench.images import image_size
from sodbench.runners.prediction.folder import ImageList

Fail = Callable[[Problem], None]

# Sides of canvases are multiples of this. The 5,019 images of DUTS-TE have 345 sizes; they are 151 batches of 31 shapes,
# with 1.3 % more pixels.
CANVAS_STEP = 16

# A canvas has at most this many times the pixels of the images on it. That matters where sizes are scattered: 300
# images with sides drawn from 100 to 500 are 110 batches.
_MAX_PADDING = 1.2

# Images of a batch have no more pixels than this together (32 of 512x512), unless one alone has ...
MAX_BATCH_PIXELS = 2**23
# ... and no more than this (34 of 300x400) where the user chose no number of images.
DEFAULT_BATCH_PIXELS = 2**22


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

    def of_size(self, size: tuple[int, int]) -> int:
        """Return the largest number of images of a size."""
        return max(1, min(self.images, self.pixels // (size[0] * size[1])))


@dataclass(frozen=True)
class ImageBatch:
    """Images that are predicted together, not yet read.

    Attributes
    ----------
    images : tuple of (str, Path)
        Stem and path of each image.
    sizes : tuple of (int, int)
        Height and width of each.
    canvas : (int, int)
        Height and width of the batch; an image is in its top left.
    """

    images: tuple[tuple[str, Path], ...]
    sizes: tuple[tuple[int, int], ...]
    canvas: tuple[int, int]

    @property
    def n_pixels(self) -> int:
        """Number of pixels of all images together, with their padding."""
        return len(self.images) * self.canvas[0] * self.canvas[1]


def make_batches(
    images: ImageList,
    limits: BatchLimits,
    pool: Executor,
    fail: Fail,
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
    may_pad : callable, optional
        Whether images of a size may be padded; by default none are, and every batch holds one size.

    Returns
    -------
    list of ImageBatch
        The same for the same images, whatever the order in which their headers were read.
    """
    by_size: dict[tuple[int, int], list[tuple[str, Path]]] = defaultdict(list)
    for image, size in zip(images, pool.map(_read_size, [p for _, p in images]), strict=True):
        if isinstance(size, Problem):
            fail(size)
        else:
            by_size[size].append(image)
    batches, rest = [], []
    for size, group in by_size.items():
        step = limits.of_size(size)
        # what one exact size fills needs no padding
        exact = len(group) // step * step if may_pad(size) else len(group)
        for start in range(0, exact, step):
            part = tuple(group[start : min(start + step, exact)])
            batches.append(ImageBatch(part, (size,) * len(part), size))
        rest += [(size, image) for image in group[exact:]]
    batches += _pad(rest, limits)
    # full batches of a shape before those that are not, because only a full one is captured as a CUDA graph
    return sorted(
        batches, key=lambda b: (-b.canvas[0] * b.canvas[1], b.canvas, -len(b.images), b.sizes)
    )


def _read_size(path: Path) -> tuple[int, int] | Problem:
    try:
        return image_size(path)
    except ImageError as error:
        return error.problem


def _pad(
    images: Sequence[tuple[tuple[int, int], tuple[str, Path]]], limits: BatchLimits
) -> Iterator[ImageBatch]:
    """Put images of near sizes on common canvases."""
    part: list[tuple[tuple[int, int], tuple[str, Path]]] = []
    canvas, own_pixels = (0, 0), 0
    for size, image in sorted(images, key=_nearness):
        larger = max(canvas[0], _round_up(size[0])), max(canvas[1], _round_up(size[1]))
        own = own_pixels + size[0] * size[1]
        fits = len(part) < limits.of_size(larger)
        small = (len(part) + 1) * larger[0] * larger[1] <= _MAX_PADDING * own
        if part and not (fits and small):
            yield _batch_on(part, canvas)
            part, own = [], size[0] * size[1]
            larger = _round_up(size[0]), _round_up(size[1])
        part.append((size, image))
        canvas, own_pixels = larger, own
    if part:
        yield _batch_on(part, canvas)


def _nearness(sized: tuple[tuple[int, int], tuple[str, Path]]) -> tuple[object, ...]:
    """Sort by orientation, by canvas, then by size, the largest first."""
    (height, width), (stem, _) = sized
    sides = sorted((_round_up(height), _round_up(width)), reverse=True)
    return height > width, [-side for side in sides], -height, -width, stem


def _round_up(side: int) -> int:
    return -(-side // CANVAS_STEP) * CANVAS_STEP


def _batch_on(
    part: Sequence[tuple[tuple[int, int], tuple[str, Path]]], canvas: tuple[int, int]
) -> ImageBatch:
    """Return the batch of images; without padding if all have one size."""
    sizes, images = zip(*part, strict=True)
    return ImageBatch(images, sizes, canvas if len(set(sizes)) > 1 else sizes[0])
