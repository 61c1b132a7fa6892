"""Images in batches: grouped by size, decoded ahead of the network, and divided when a batch fails.

A batch holds images of exactly one size, because padding would change every pixel of a map: group normalisation sees
the whole image.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sodbench.console import logger
from sodbench.errors import ImageError, Problem, ProblemKind, SodbenchError
from sodbench.images import Pixels, decode_rgb, image_size, read_bytes
from sodbench.models.user_code import FAILURES, describe_failure, error_text, shorten
from sodbench.runners.prediction.folder import ImageList, describe_image
from sodbench.runners.prediction.predictors import Maps, Predictor

# Images of a batch have no more pixels than this together (32 of 512x512), unless one alone has.
MAX_BATCH_PIXELS = 2**23

Fail = Callable[[Problem], None]


@dataclass(frozen=True)
class ImageBatch:
    """Images of one size, not yet read.

    Attributes
    ----------
    images : tuple of (str, Path)
        Stem and path of each image.
    size : (int, int)
        Height and width.
    """

    images: tuple[tuple[str, Path], ...]
    size: tuple[int, int]

    @property
    def n_pixels(self) -> int:
        """Number of pixels of all images together."""
        return len(self.images) * self.size[0] * self.size[1]


@dataclass(frozen=True)
class DecodedBatch:
    """Images of one size in memory.

    Attributes
    ----------
    stems : sequence of str
    pixels : ndarray of uint8, shape (n, h, w, 3)
        RGB.
    origins : sequence of str
        What the comment of each map records of its image.
    """

    stems: Sequence[str]
    pixels: Pixels
    origins: Sequence[str]

    def split(self, size: int) -> "Iterator[DecodedBatch]":
        """Iterate over parts of at most ``size`` images."""
        for start in range(0, len(self.stems), size):
            part = slice(start, start + size)
            yield DecodedBatch(self.stems[part], self.pixels[part], self.origins[part])


def make_batches(
    images: ImageList, batch_size: int, pool: Executor, fail: Fail
) -> list[ImageBatch]:
    """Group images by exact size, the largest first, so that memory runs out early or not at all.

    Parameters
    ----------
    images : sequence of (str, Path)
        Stem and path of each image.
    batch_size : int
        Maximum number of images in a batch.
    pool : Executor
        Reads the images' headers.
    fail : callable
        Called with the problem of each image that cannot be read.

    Returns
    -------
    list of ImageBatch
    """
    by_size: dict[tuple[int, int], list[tuple[str, Path]]] = {}
    for image, size in zip(images, pool.map(_read_size, [p for _, p in images]), strict=True):
        if isinstance(size, Problem):
            fail(size)
        else:
            by_size.setdefault(size, []).append(image)
    batches = []
    for size in sorted(by_size, key=lambda s: (-s[0] * s[1], s)):
        group = by_size[size]
        step = max(1, min(batch_size, MAX_BATCH_PIXELS // (size[0] * size[1])))
        for start in range(0, len(group), step):
            batches.append(ImageBatch(tuple(group[start : start + step]), size))
    return batches


def _read_size(path: Path) -> tuple[int, int] | Problem:
    try:
        return image_size(path)
    except ImageError as error:
        return error.problem


def decode_batches(
    batches: Sequence[ImageBatch], pool: Executor, images_ahead: int, fail: Fail
) -> Iterator[DecodedBatch]:
    """Decode batches in order, a bounded number of images ahead of the caller.

    Parameters
    ----------
    batches : sequence of ImageBatch
    pool : Executor
        Decodes the images.
    images_ahead : int
        Maximum number of images that are decoded in advance; one batch always is.
    fail : callable
        Called with the problem of each image that cannot be decoded.

    Yields
    ------
    DecodedBatch
        The images of a batch that could be decoded, if any.
    """
    waiting: deque[tuple[ImageBatch, list[Future[tuple[Pixels, str] | Problem]]]] = deque()
    n_images = n_pixels = 0
    coming = deque(batches)
    while waiting or coming:
        while coming and (
            not waiting
            or (n_images < images_ahead and n_pixels + coming[0].n_pixels <= 2 * MAX_BATCH_PIXELS)
        ):
            batch = coming.popleft()
            futures = [pool.submit(_decode, path, batch.size) for _, path in batch.images]
            waiting.append((batch, futures))
            n_images, n_pixels = n_images + len(futures), n_pixels + batch.n_pixels
        batch, futures = waiting.popleft()
        n_images, n_pixels = n_images - len(futures), n_pixels - batch.n_pixels
        stems, pixels, origins = [], [], []
        for (stem, _), future in zip(batch.images, futures, strict=True):
            result = future.result()
            if isinstance(result, Problem):
                fail(result)
            else:
                stems.append(stem)
                pixels.append(result[0])
                origins.append(result[1])
        if stems:
            yield DecodedBatch(stems, np.stack(pixels), origins)


def _decode(path: Path, size: tuple[int, int]) -> tuple[Pixels, str] | Problem:
    """Return an image's pixels and the description of the same bytes."""
    try:
        content = read_bytes(path)
        pixels = decode_rgb(content, path)
    except ImageError as error:
        return error.problem
    if pixels.shape[:2] != size:
        detail = f"its header states {size}, its pixels are {pixels.shape[:2]}"
        return Problem(ProblemKind.SIZE, str(path), detail)
    return pixels, describe_image(content)


class BatchStarter:
    """Starts batches on a predictor; divides those that fail, down to single images.

    It remembers what did not fit in memory, so that later batches of the same size do not fail first.

    Parameters
    ----------
    predictor : Predictor
    max_side : int or None
        Longer images are shrunk to it for the network.
    fail : callable
        Called with the problem of each image that fails alone.
    """

    def __init__(self, predictor: Predictor, max_side: int | None, fail: Fail):
        self._predictor = predictor
        self._max_side = max_side
        self._fail = fail
        self._max_images = self._max_pixels = sys.maxsize

    def start(self, batch: DecodedBatch) -> Iterator[tuple[DecodedBatch, Callable[[], Maps]]]:
        """Start a batch.

        Parameters
        ----------
        batch : DecodedBatch

        Yields
        ------
        part : DecodedBatch
            The batch, or a part of it.
        wait : callable
            Waits for the part's maps and returns them.

        Raises
        ------
        SodbenchError
            If the network as a whole cannot be used.
        """
        count, height, width = batch.pixels.shape[:3]
        limit = max(1, min(self._max_images, self._max_pixels // (height * width)))
        if count > limit:
            yield from self._start_parts(batch, limit)
            return
        try:
            wait = self._predictor.start(batch.pixels, self._max_side)
        except SodbenchError:
            # about the network as a whole
            raise
        except FAILURES as error:
            # only text is kept: the error holds the frames, and they the memory of the failed batch
            full = is_out_of_memory(error)
            reason = describe_failure(error)
        else:
            yield batch, wait
            return
        if full:
            self._max_pixels = min(self._max_pixels, count * height * width // 2)
        if count == 1:
            self._fail(_single_image_problem(batch, full, reason))
        elif full:
            half = count // 2
            logger.info(
                f"{count} images of {width}x{height} do not fit in memory: continuing with {half}"
            )
            yield from self._start_parts(batch, half)
        else:
            yield from self._start_singly(batch, reason)

    def _start_singly(
        self, batch: DecodedBatch, reason: str
    ) -> Iterator[tuple[DecodedBatch, Callable[[], Maps]]]:
        """Start the images of a refused batch one by one; if none fails, the network takes no batches."""
        n_started = 0
        for part, wait in self._start_parts(batch, 1):
            n_started += 1
            yield part, wait
        if n_started == len(batch.stems):
            self._max_images = 1
            logger.info(
                f"the network refuses batches ({reason}): continuing with one image at a time"
            )

    def _start_parts(
        self, batch: DecodedBatch, size: int
    ) -> Iterator[tuple[DecodedBatch, Callable[[], Maps]]]:
        for part in batch.split(size):
            yield from self.start(part)


def _single_image_problem(batch: DecodedBatch, full: bool, reason: str) -> Problem:
    _, height, width, _ = batch.pixels.shape
    kind = ProblemKind.MEMORY if full else ProblemKind.NETWORK
    what = "does not fit in memory" if full else "is refused by the network"
    advice = "; try --max-side" if full else ""
    return Problem(kind, batch.stems[0], f"{width}x{height} {what} ({shorten(reason)}){advice}")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch or Python means that memory ran out, on any device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = error_text(error)
    return "can't allocate memory" in text or "out of memory" in text
