"""Images in memory: decoded ahead of the network, and divided when a batch fails."""

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sodbench.console import logger
from sodbench.errors import ImageError, Problem, ProblemKind, SodbenchError
from sodbench.images import Pixels, decode_rgb, read_bytes
from sodbench.models.user_code import FAILURES, describe_failure, error_text, shorten_error
from sodbench.runners.prediction.folder import describe_image
from sodbench.runners.prediction.planning import BatchLimits, Fail, ImageBatch
from sodbench.runners.prediction.predictor import Maps, Predictor

# Batches that are decoded ahead of the network hold no more than this many times the pixels of one.
_BATCHES_AHEAD = 3

# Batches that are decoded ahead however large they are, so that one is decoded while another is predicted.
_LEAST_AHEAD = 2


@dataclass(frozen=True)
class DecodedBatch:
    """Images in memory.

    Attributes
    ----------
    stems : sequence of str
    pixels : ndarray of uint8, shape (places, h, w, 3)
        RGB; at least as many places as images. Outside an image that does not fill its place, and in empty places, the
        values are undefined.
    sizes : ndarray of int64, shape (places, 2)
        Height and width of each image, which is in the top left of its place; 0x0 for empty places.
    origins : sequence of str
        What the comment of each map records of its image.
    """

    stems: Sequence[str]
    pixels: Pixels
    sizes: NDArray[np.int64]
    origins: Sequence[str]

    @property
    def padded(self) -> bool:
        """Whether an image does not fill its place."""
        return bool((self.sizes != self.pixels.shape[1:3]).any())

    def split(self, size: int) -> "Iterator[DecodedBatch]":
        """Iterate over parts of at most ``size`` images, without empty places, and without padding if of one size."""
        for start in range(0, len(self.stems), size):
            part = slice(start, min(start + size, len(self.stems)))
            pixels, sizes = self.pixels[part], self.sizes[part]
            if (sizes == sizes[0]).all():
                pixels = pixels[:, : sizes[0, 0], : sizes[0, 1]]
            yield DecodedBatch(self.stems[part], pixels, sizes, self.origins[part])


def decode_batches(
    batches: Sequence[ImageBatch],
    predictor: Predictor,
    pool: Executor,
    limits: BatchLimits,
    fail: Fail,
) -> Iterator[DecodedBatch]:
    """Decode batches in order, a bounded number ahead of the caller, straight into the memory of each batch.

    Parameters
    ----------
    batches : sequence of ImageBatch
    predictor : Predictor
        Allocates the memory.
    pool : Executor
        Decodes the images.
    limits : BatchLimits
        How many images and pixels are decoded in advance; two batches always are.
    fail : callable
        Called with the problem of each image that cannot be decoded.

    Yields
    ------
    DecodedBatch
        The images of a batch that could be decoded, if any.
    """
    waiting: deque[tuple[ImageBatch, Pixels, list[Future[str | Problem]]]] = deque()
    n_images = n_pixels = 0
    coming = deque(batches)
    while waiting or coming:
        while coming and (
            len(waiting) < _LEAST_AHEAD
            or (n_images < limits.images and n_pixels + coming[0].n_pixels <= limits.pixels)
        ):
            batch = coming.popleft()
            pixels = predictor.allocate((*batch.shape, 3))
            futures = [
                pool.submit(_decode, path, place[: size[0], : size[1]])
                for (_, path), place, size in zip(batch.images, pixels, batch.sizes, strict=False)
            ]
            waiting.append((batch, pixels, futures))
            n_images, n_pixels = n_images + len(futures), n_pixels + batch.n_pixels
        batch, pixels, futures = waiting.popleft()
        n_images, n_pixels = n_images - len(futures), n_pixels - batch.n_pixels
        results = [future.result() for future in futures]
        for result in results:
            if isinstance(result, Problem):
                fail(result)
        decoded = _arrange(batch, pixels, results, predictor)
        if decoded.stems:
            yield decoded


def _arrange(
    batch: ImageBatch, pixels: Pixels, results: Sequence[str | Problem], predictor: Predictor
) -> DecodedBatch:
    """Return the images that could be decoded, without gaps between them."""
    whole = [i for i, result in enumerate(results) if not isinstance(result, Problem)]
    n = len(whole)
    if n < len(results):
        pixels[:n] = pixels[whole]
    sizes = np.zeros((len(pixels), 2), np.int64)
    sizes[:n] = [batch.sizes[i] for i in whole] or 0
    if n and not batch.may_pad:
        # without empty places, the last image is computed again, where that is cheaper than a new shape
        places = len(pixels) if predictor.shape_pixels else n
        pixels, sizes = pixels[:places], sizes[:places]
        pixels[n:], sizes[n:] = pixels[n - 1], sizes[n - 1]
    return DecodedBatch(
        [batch.images[i][0] for i in whole], pixels, sizes, [str(results[i]) for i in whole]
    )


def limit_ahead(limits: BatchLimits, workers: int) -> BatchLimits:
    """Return how much is decoded ahead of the network: enough for the next batches and for every thread."""
    images = _BATCHES_AHEAD * limits.images + 2 * workers
    return BatchLimits(images, _BATCHES_AHEAD * limits.pixels)


def _decode(path: Path, place: Pixels) -> str | Problem:
    """Decode an image into its place; return the description of the same bytes."""
    try:
        content = read_bytes(path)
        pixels = decode_rgb(content, path, place)
    except ImageError as error:
        return error.problem
    if pixels.shape != place.shape:
        detail = f"its header states {place.shape[:2]}, its pixels are {pixels.shape[:2]}"
        return Problem(ProblemKind.SIZE, str(path), detail)
    if pixels is not place:
        place[:] = pixels
    return describe_image(content)


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
        # a predictor that does not pad is never given sizes
        sizes = (batch.sizes,) if batch.padded else ()
        try:
            wait = self._predictor.start(batch.pixels, self._max_side, *sizes)
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
    return Problem(
        kind, batch.stems[0], f"{width}x{height} {what} ({shorten_error(reason)}){advice}"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch or Python means that memory ran out, on any device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = error_text(error)
    return "can't allocate memory" in text or "out of memory" in text
