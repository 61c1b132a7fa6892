"""Count maps against masks: the only part of an evaluation that reads images.

`count_visit` counts all maps of one mask, which is decoded, split and distance-transformed once for the maps of all
methods. `count_pairs` hands the visits to any executor, several maps at a time. How many threads or processes there
are is the business of `sodbench.runners.evaluation.workers`; the counts do not depend on it.
"""

import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sodbench.errors import ImageError, Problem, SodbenchError
from sodbench.images import GreyImage, decode_alpha, decode_grey, fast_png, read_file, resize_grey
from sodbench.metrics import PairCounts, PreparedMask, compile_kernels, count_pair
from sodbench.metrics.catalogue import MEASUREMENTS
from sodbench.metrics.pixel_metrics import MetricError
from sodbench.metrics.schemes import CountingScheme
from sodbench.plugins import load_plugins
from sodbench.quoting import size_text
from sodbench.results import Policy
from sodbench.results.pair_problems import ZERO_ONE, describe_other_shape
from sodbench.results.stored_pairs import (
    MISSING_AS_BLACK,
    NO_FILE,
    PAIR_RECORD,
    RESIZE_CODES,
    UNCHANGED,
    FileIdentity,
    counting_scheme,
)

# Maps per work item. Larger items cost less communication; smaller ones at the end let all workers finish together.
_MIN_ITEM, _MAX_ITEM = 8, 64

# File systems set times in steps of up to some ten milliseconds
_CLOCK_TICK_NS = 20_000_000


class Visit(NamedTuple):
    """One mask and the maps to be counted against it.

    Attributes
    ----------
    stem : str
        The image's name without its extension.
    mask : Path
    maps : tuple of (int, Path or None)
        The number of the task that each map belongs to, and its file; None for a missing map that counts as black.
    """

    stem: str
    mask: Path
    maps: tuple[tuple[int, Path | None], ...]


class CountedPair(NamedTuple):
    """The counts of one map against its mask.

    Attributes
    ----------
    record : bytes
        What is known about the two files, dtype `sodbench.results.stored_pairs.PAIR_RECORD`.
    counts : PairCounts
    problem : Problem, optional
        Why the map could not be read, where a black one was counted instead.
    """

    record: bytes
    counts: PairCounts
    problem: Problem | None = None


# For each map of a visit its counts, or the problem that prevented them
Outcomes = list[CountedPair | Problem]
Batch = Sequence[tuple[Visit, Outcomes]]


@cache
def warm_up_kernels() -> None:
    """Compile every kernel that counting calls, or load its code; a message announces a compilation."""
    fast_png.warm_up()
    compile_kernels()


# ------------------------------------------------------------------------------------------ many visits


def count_pairs(
    visits: Sequence[Visit],
    policy: Policy,
    executor: Executor | None = None,
    *,
    workers: int = 64,
    folder: Path | None = None,
) -> Generator[Batch, None, None]:
    """Count all visits, with a bounded number of work items in progress (and so of memory).

    Parameters
    ----------
    visits : sequence of Visit
    policy : Policy
        How missing maps and maps of another size are treated.
    executor : concurrent.futures.Executor, optional
        Where the work is done; by default in this thread. It is not shut down.
    workers : int
        How many work items the executor works on at a time; up to as many more wait for it.
    folder : Path, optional
        Where relative paths start, for an executor whose workers have another working directory.

    Yields
    ------
    sequence of (Visit, list of CountedPair or Problem)
        What is counted, in the order of ``visits``, some visits at a time.

    Raises
    ------
    SodbenchError
        If a worker process ended unexpectedly, or the executor was shut down. What other workers have finished by
        then is yielded first, as it is for any exception that a worker raises.
    """
    scheme = counting_scheme(policy)
    if executor is None:
        yield from ([(visit, count_visit(visit, policy, folder, scheme))] for visit in visits)
        return
    # After Ctrl-C, the interpreter waits for its threads at its end, so they must not finish their items
    stop = threading.Event() if isinstance(executor, ThreadPoolExecutor) else None
    pending: deque[_PendingItem] = deque()
    try:
        for item in _work_items(visits, workers):
            future = executor.submit(_count_item, item, policy, scheme, folder, stop)
            pending.append(_PendingItem(item, future))
            if len(pending) > 2 * workers:
                yield pending[0].result()
                pending.popleft()
        while pending:
            yield pending[0].result()
            pending.popleft()
    except Exception as error:
        yield from [item.result() for item in pending if item.succeeded()]
        if problem := _executor_problem(error):
            raise problem from error
        raise
    finally:
        if stop:
            stop.set()
        for _, future in pending:
            future.cancel()


class _PendingItem(NamedTuple):
    visits: Sequence[Visit]
    future: Future[list[Outcomes]]

    def result(self) -> Batch:
        """Wait for the outcomes, and put them together with their visits, which a worker does not send back."""
        return list(zip(self.visits, self.future.result(), strict=True))

    def succeeded(self) -> bool:
        return self.future.done() and not self.future.cancelled() and not self.future.exception()


def _executor_problem(error: Exception) -> SodbenchError | None:
    """Explain a failure of the executor itself; None for an exception that the work raised."""
    if isinstance(error, BrokenExecutor):
        return SodbenchError(
            "a worker process ended unexpectedly, perhaps killed for lack of memory; what was counted before is kept "
            "in the output folder, if there is one; run the same command again with fewer workers (--jobs)"
        )
    # BrokenExecutor is a RuntimeError, too; this one has no class of its own
    if isinstance(error, RuntimeError) and "after shutdown" in str(error):
        return SodbenchError(
            "the executor was shut down, so it takes no more work; pass one that runs until the evaluation ends"
        )
    return None


def _work_items(visits: Sequence[Visit], workers: int) -> Iterator[Sequence[Visit]]:
    """Split the visits into items of many maps first, of few in the end, so that all workers finish together."""
    remaining = sum(len(visit.maps) for visit in visits)
    start = maps = 0
    for end, visit in enumerate(visits, start=1):
        maps += len(visit.maps)
        size = min(max(remaining // (8 * workers), _MIN_ITEM), _MAX_ITEM)
        if maps >= size or end == len(visits):
            yield visits[start:end]
            remaining -= maps
            start, maps = end, 0


def _count_item(
    visits: Sequence[Visit],
    policy: Policy,
    scheme: CountingScheme,
    folder: Path | None,
    stop: threading.Event | None,
) -> list[Outcomes]:
    if any(column.measurement not in MEASUREMENTS for column in scheme.columns):
        # a new process knows only the metrics of sodbench itself
        load_plugins("sodbench.metrics")
    outcomes = []
    for visit in visits:
        # no one waits for the result
        if stop and stop.is_set():
            break
        outcomes.append(count_visit(visit, policy, folder, scheme))
    return outcomes


# -------------------------------------------------------------------------------------------- one visit


class _Mask(NamedTuple):
    prepared: PreparedMask
    file: FileIdentity
    note: str


def count_visit(
    visit: Visit, policy: Policy, folder: Path | None = None, scheme: CountingScheme | None = None
) -> Outcomes:
    """Count all maps of one mask.

    Parameters
    ----------
    visit : Visit
    policy : Policy
    folder : Path, optional
        Where relative paths start; by default the working directory.
    scheme : CountingScheme, optional
        What is counted; by default enough for every protocol that is known here. A worker process may not know those
        of its caller.

    Returns
    -------
    list of CountedPair or Problem
        One for each map of the visit.

    Raises
    ------
    SodbenchError
        For a registered metric that cannot be computed.
    """
    try:
        file, decoded = _decode_file(visit.mask, folder)
    except (ImageError, OSError) as error:
        return [Problem("unreadable-mask", str(visit.mask), _detail(error))] * len(visit.maps)
    mask = PreparedMask(decoded.pixels, scheme or counting_scheme(policy))
    note = ZERO_ONE if mask.levels[-1] == 1 else decoded.note
    prepared = _Mask(mask, file, note)
    try:
        return [_count_map(path, prepared, policy, folder) for _, path in visit.maps]
    except MetricError as error:
        raise SodbenchError(f"{visit.mask}: {error}") from error


def _count_map(
    path: Path | None, mask: _Mask, policy: Policy, folder: Path | None
) -> CountedPair | Problem:
    if path is None:
        return _count_black(mask)
    try:
        file, decoded = _decode_file(path, folder, policy.channel)
    except (ImageError, OSError) as error:
        problem = Problem("unreadable", str(path), _detail(error))
        if policy.missing != "zero":
            return problem
        return _count_black(mask)._replace(problem=problem)
    size = mask.prepared.size
    map_, resized = decoded.pixels, UNCHANGED
    own_size = (map_.shape[0], map_.shape[1])
    if own_size != size:
        if policy.resize == "error":
            return size_problem(path, own_size, size)
        map_, resized = resize_grey(map_, size, policy.resize), RESIZE_CODES[policy.resize]
    counts = count_pair(map_, mask.prepared)
    return _counted_pair(counts, mask, file, resized, own_size, decoded.note)


def _count_black(mask: _Mask) -> CountedPair:
    size = mask.prepared.size
    counts = count_pair(np.zeros(size, np.uint8), mask.prepared)
    return _counted_pair(counts, mask, NO_FILE, MISSING_AS_BLACK, size, "")


def _counted_pair(
    counts: PairCounts,
    mask: _Mask,
    file: FileIdentity,
    resized: int,
    own_size: tuple[int, int],
    note: str,
) -> CountedPair:
    n_levels = len(set(mask.prepared.levels) - {0, 255})
    fields = (
        *(*file, *mask.file, resized, own_size, n_levels, mask.prepared.foreground),
        *(counts.brightest, note.encode(), mask.note.encode(), counts.size, counts.absolute_error),
    )
    return CountedPair(np.array(fields, PAIR_RECORD).tobytes(), counts)


def _decode_file(
    path: Path, folder: Path | None, channel: str = "grey"
) -> tuple[FileIdentity, GreyImage]:
    """The facts of a file and its grey image or its alpha channel, both from the same bytes."""
    place = folder / path if folder else path
    data, status = read_file(place)
    if 0 <= time.time_ns() - status.st_ctime_ns < _CLOCK_TICK_NS:
        # Modified so recently that it could change again without getting a new time, which would never be noticed
        time.sleep(_CLOCK_TICK_NS / 1e9)
        data, status = read_file(place)
    decode = decode_alpha if channel == "alpha" else decode_grey
    return FileIdentity.from_content(data, status), decode(data, path)


def _detail(error: ImageError | OSError) -> str:
    return error.problem.detail if isinstance(error, ImageError) else str(error)


def size_problem(path: Path, size: tuple[int, int], mask_size: tuple[int, int]) -> Problem:
    """Return the problem of a map whose size is not that of its mask.

    Parameters
    ----------
    path : Path
        The map.
    size, mask_size : tuple of int
        Height and width of the map and of the mask.

    Returns
    -------
    Problem
    """
    hint = describe_other_shape(size, mask_size)
    detail = f"{size_text(size)}, but its mask is {size_text(mask_size)}{hint}"
    return Problem("size", str(path), detail)
