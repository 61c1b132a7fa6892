"""Images to saliency maps: decode, predict and encode, all three at the same time.

Images are decoded by threads, predicted in batches (`sodbench.runners.prediction.planning` chooses them), and written as
8-bit grey PNG of the image's own size by the same threads. Every queue is bounded. A rerun predicts only what is missing
(`sodbench.runners.prediction.folder`).

Under torchrun every process predicts its share into the same folder, under one manifest.
"""

import errno
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from sodbench.console import bar, logger
from sodbench.errors import ImageError, Problem, ProblemKind, SodbenchError
from sodbench.files import write_error
from sodbench.images import Pixels, write_grey
from sodbench.models.user_code import FAILURES, describe_failure
from sodbench.output_folder import MAPS_MANIFEST, OutputFolder
from sodbench.parallel import thread_count, thread_pool
from sodbench.runners.distributed import ProcessGroup
from sodbench.runners.prediction.batching import (
    BatchStarter,
    DecodedBatch,
    decode_batches,
    limit_ahead,
)
from sodbench.runners.prediction.folder import (
    MAPS_FOLDER,
    ImageList,
    Prepared,
    check_not_images_folder,
    make_comment,
    prepare_folder,
    settings_digest,
    write_manifest,
)
from sodbench.runners.prediction.planning import (
    DEFAULT_BATCH_PIXELS,
    MAX_BATCH_PIXELS,
    START_PIXELS,
    BatchLimits,
    Fail,
    ShapeCosts,
    make_batches,
)
from sodbench.runners.prediction.predictor import Maps, Predictor

# Threads that decode and encode: as many as serve 5,000 images/s. Each needs Python's lock between its calls, and more of
# them hold up the thread that launches the network.
_MAX_WORKERS = 8

# Errors in writing one map that every other map would meet, too.
_FATAL = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
)


@dataclass(frozen=True)
class PredictionSummary:
    """What one call of `predict` did.

    Attributes
    ----------
    written, finished_before : int
        Numbers of maps.
    problems : tuple of Problem
        The images without a map, and why.
    seconds : float
        Wall time.
    manifest : Path
        The manifest.
    warnings : tuple of Problem
        What is likely to be wrong with all the maps; also in the manifest.
    """

    written: int
    finished_before: int
    problems: tuple[Problem, ...]
    seconds: float
    manifest: Path
    warnings: tuple[Problem, ...] = ()


def predict(
    predictor: Predictor,
    images: ImageList,
    output: Path | str,
    *,
    batch_size: int | None = None,
    max_side: int | None = None,
    force: bool = False,
    workers: int | None = None,
    description: str | None = None,
) -> PredictionSummary:
    """Write ``output/<stem>.png`` (8-bit grey, the image's own size) for every image.

    Maps that an earlier call with an equal predictor made of the same images (the same bytes) are kept. An image
    that cannot be read, that the network refuses, or whose map cannot be written becomes a problem of the
    summary; all others are finished.

    Parameters
    ----------
    predictor : Predictor
        What makes the maps.
    images : sequence of (str, Path)
        Stem and path of each image, as `find_images` lists them.
    output : Path or str
        The folder for the maps.
    batch_size : int, optional
        Maximum number of images in a batch; by default what suits the device.
    max_side : int, optional
        Longer images are shrunk to it for the network, and their maps enlarged again.
    force : bool, default False
        Replace maps that exist, whatever made them.
    workers : int, optional
        Number of threads that decode and encode.
    description : str, optional
        Title of the progress bar.

    Returns
    -------
    PredictionSummary

    Raises
    ------
    SodbenchError
        If ``output`` holds maps of another predictor or files that sodbench did not write, is in use by another
        process or cannot be written to, and if the network returns anything else than one map per image. Maps written
        by then are kept.
    """
    _check_numbers(batch_size, max_side, workers)
    limits = BatchLimits(predictor.default_batch_size, DEFAULT_BATCH_PIXELS)
    if batch_size is not None:
        limits = BatchLimits(batch_size, MAX_BATCH_PIXELS)
    output = Path(output)
    check_not_images_folder(output, images)
    title = description or f"predict ({predictor.name})"
    everything = slice(None)
    share = _Share(
        images, everything, limits, max_side, workers or min(_MAX_WORKERS, thread_count()), title
    )
    return _predict_images(predictor, share, output, force)


def _predict_images(
    predictor: Predictor, share: "_Share", output: Path, force: bool
) -> PredictionSummary:
    """Predict all images of ``share``, of which this process takes its part."""
    started = time.perf_counter()
    settings = {**predictor.describe(), "max_side": share.max_side}
    group = ProcessGroup(predictor.device)
    folder: OutputFolder | None = None
    with ExitStack() as stack:

        def prepare() -> Prepared:
            nonlocal folder
            folder = stack.enter_context(OutputFolder.open(output, MAPS_FOLDER))
            return prepare_folder(folder, share.images, settings, force)

        prepared = group.run_on_first(prepare)
        check = _PredictorCheck(predictor, prepared.problems, quiet=not group.first)
        part = slice(group.rank, None, group.size)
        todo = replace(share, images=prepared.todo, part=part)
        outcome = _predict_share(todo, check, output, settings_digest(settings))
        total = _gather(group, predictor, *outcome, check.problems)
        # another process may have seen what this one has not
        check.report(total.warnings)
        if folder and total.written:
            if total.memory_formats:
                settings["memory_format"] = " and ".join(total.memory_formats)
            write_manifest(folder, settings, total.warnings, prepared.earlier)
    seconds = time.perf_counter() - started
    manifest = output / MAPS_MANIFEST
    return PredictionSummary(
        total.written, prepared.n_kept, total.problems, seconds, manifest, total.warnings
    )


def _check_numbers(batch_size: int | None, max_side: int | None, workers: int | None) -> None:
    if min(1 if batch_size is None else batch_size, 1 if max_side is None else max_side) < 1:
        raise SodbenchError(
            f"batch size {batch_size}, longest side {max_side}: neither may be below 1"
        )
    if workers is not None and workers < 1:
        raise SodbenchError(f"{workers} workers: at least 1 is needed")


class _PredictorCheck:
    """What is wrong with all maps of a predictor, as far as the images so far show; reported once."""

    def __init__(self, predictor: Predictor, known: Sequence[Problem], *, quiet: bool):
        self.predictor = predictor
        self.problems: list[Problem] = []
        self._quiet = quiet
        self.report(known)

    def report(self, problems: Sequence[Problem]) -> None:
        """Record and print problems, unless some are recorded already."""
        if self.problems:
            return
        self.problems += problems
        for problem in () if self._quiet else problems:
            logger.warning(f"WARNING: {problem}")

    def run(self, finished: bool) -> None:
        """Check the images so far."""
        if not self.problems:
            self.report(self.predictor.problems(finished))


@dataclass(frozen=True)
class _Share:
    """What one process predicts: a part of the batches of all images."""

    images: ImageList
    part: slice
    limits: BatchLimits
    max_side: int | None
    workers: int
    title: str


def _predict_share(
    share: _Share, check: _PredictorCheck, output: Path, settings: str
) -> tuple[int, list[Problem]]:
    """Predict the images of this process; return the number of maps written and the images' problems."""
    problems: list[Problem] = []
    written = 0
    predictor = check.predictor

    def may_pad(size: tuple[int, int]) -> bool:
        # each image of a padded batch would be shrunk to a size of its own
        return predictor.pads and max(size) <= (share.max_side or max(size))

    pool = thread_pool(share.workers)
    try:
        # every process reads all headers, so that all of them make the same batches
        costs = ShapeCosts(predictor.shape_pixels, predictor.shapes, START_PIXELS)
        batches = make_batches(share.images, share.limits, pool, problems.append, costs, may_pad)
        predictor.shapes.update(batch.shape for batch in batches)
        batches = batches[share.part]
        n_images = sum(len(batch.images) for batch in batches)
        ahead = limit_ahead(share.limits, share.workers)
        with bar(n_images, share.title, "image") as progress:

            def fail(problem: Problem) -> None:
                problems.append(problem)
                progress.update()

            decoded = decode_batches(batches, predictor, pool, ahead, fail)
            starter = BatchStarter(predictor, share.max_side, fail)
            maps = compute_maps(decoded, starter, fail, lambda: check.run(finished=False))
            for problem in _write_maps(maps, output, settings, pool, ahead.images):
                if problem:
                    fail(problem)
                else:
                    written += 1
                    progress.update()
    finally:
        pool.shutdown(cancel_futures=True)
    if written:
        check.run(finished=True)
    return written, problems


def compute_maps(
    batches: Iterable[DecodedBatch],
    starter: BatchStarter,
    fail: Fail,
    check: Callable[[], object] = lambda: None,
) -> Iterator[tuple[str, Pixels | None, str]]:
    """Predict batches; at most three of them are on the device at a time.

    While one is computed, the next is copied to the device, and the maps of the one before to the host.

    Parameters
    ----------
    batches : iterable of DecodedBatch
    starter : BatchStarter
    fail : callable
        Called with the problem of each image that the device fails on.
    check : callable, optional
        Called after each batch.

    Yields
    ------
    stem : str
    map : ndarray of uint8, shape (h, w), or None
        None for output that is not finite.
    origin : str
        As of `DecodedBatch`.
    """
    computing: deque[tuple[DecodedBatch, Callable[[], Maps]]] = deque()

    def finish_oldest() -> Iterator[tuple[str, Pixels | None, str]]:
        batch, wait = computing.popleft()
        try:
            maps = wait()
        except SodbenchError:
            raise
        except FAILURES as error:
            # a GPU reports some errors only now
            reason = describe_failure(error)
            for stem in batch.stems:
                fail(Problem(ProblemKind.NETWORK, stem, f"it failed: {reason}"))
            return
        check()
        # after them, there may be those of empty places
        yield from zip(batch.stems, maps, batch.origins, strict=False)

    for batch in batches:
        for started in starter.start(batch):
            computing.append(started)
            if len(computing) > 2:
                yield from finish_oldest()
    while computing:
        yield from finish_oldest()


def _write_maps(
    maps: Iterable[tuple[str, Pixels | None, str]],
    output: Path,
    settings: str,
    pool: Executor,
    max_waiting: int,
) -> Iterator[Problem | None]:
    """Write maps by threads, a bounded number at a time; yield each one's problem or None."""
    waiting: deque[Future[Problem | None]] = deque()
    for stem, pixels, origin in maps:
        comment = make_comment(origin, settings)
        waiting.append(pool.submit(_write_map, output / f"{stem}.png", pixels, comment))
        if len(waiting) > max_waiting:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _write_map(path: Path, pixels: Pixels | None, comment: Callable[[str], str]) -> Problem | None:
    """Write one map; raise SodbenchError if no other map could be written either."""
    if pixels is None:
        detail = "the network returned NaN or infinity; no map is written"
        return Problem(ProblemKind.NOT_FINITE, path.stem, detail)
    try:
        write_grey(path, pixels, comment)
    except ImageError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in _FATAL:
            raise write_error(path, cause) from cause
        return error.problem
    return None


@dataclass(frozen=True)
class _Total:
    """What all processes did together."""

    written: int
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    memory_formats: tuple[str, ...]


def _gather(
    group: ProcessGroup,
    predictor: Predictor,
    written: int,
    problems: list[Problem],
    warnings: list[Problem],
) -> _Total:
    layout = predictor.describe().get("memory_format")
    shares = group.all_gather((written, problems, warnings, layout))
    written_by, problems_of, warnings_of, layouts = zip(*shares, strict=True)
    return _Total(
        sum(written_by),
        # a file whose header is broken is reported by every process
        tuple(dict.fromkeys(p for some in problems_of for p in some)),
        _one_per_kind(p for some in warnings_of for p in some),
        tuple(sorted({layout for layout in layouts if layout})),
    )


def _one_per_kind(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the first problem of each kind and file: several processes see the same network."""
    return tuple({(p.kind, p.file): p for p in reversed(list(problems))}.values())
