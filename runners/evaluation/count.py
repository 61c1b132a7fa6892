"""Count maps against masks: the only part of an evaluation that reads images.

`count_visit` counts all maps of one mask, which is decoded, split and distance-transformed once for the maps of all
methods. `count_pairs` hands the visits to any executor, several maps at a time. How many threads or processes there
are is the business of `sodbench.runners.evaluation.workers`; the counts do not depend on it.

What a worker sends back are a few arrays for a work item: one thread puts together what all workers count, and an
object for each pair would keep it busy before there are ten of them. In large runs the workers also score the pairs.
"""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sodbench import images
from sodbench.errors import ImageError, Problem, ProblemKind, SodbenchError
from sodbench.metrics import (
    DEFAULT_PROTOCOL,
    PairCounts,
    PreparedMask,
    compile_kernels,
    count_pair,
    get_protocol,
)
from sodbench.metrics.catalogue import MEASUREMENTS
from sodbench.metrics.pixel_metrics import MetricError
from sodbench.metrics.protocols import Protocol
from sodbench.metrics.schemes import CountingScheme
from sodbench.metrics.scores import BLOCK, BlockScores, score_block
from sodbench.plugins import load_plugins
from sodbench.quoting import size_text
from sodbench.results import Policy
from sodbench.results.pair_problems import describe_other_shape, note_mask_levels
from sodbench.results.stored_pairs import (
    MISSING_AS_BLACK,
    NO_FILE,
    PAIR_RECORD,
    RESIZE_CODES,
    UNCHANGED,
    FileIdentity,
    ScoredPairs,
    StoredPairs,
    counting_scheme,
)

# Maps per work item. Larger items cost less communication; smaller ones at the end let all workers finish together.
MIN_ITEM, _MAX_ITEM = 8, 64
# Where workers score, an item is a block of masks with all their maps, but no more maps than this
_MAX_SCORED_ITEM = 512

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

    def __reduce__(self) -> tuple[Any, ...]:
        # paths take several times as long as their texts
        maps = [(task, None if map_ is None else str(map_)) for task, map_ in self.maps]
        return _visit_of_texts, (self.stem, str(self.mask), maps)


def _visit_of_texts(stem: str, mask: str, maps: Sequence[tuple[int, str | None]]) -> Visit:
    return Visit(stem, Path(mask), tuple((task, Path(m) if m else None) for task, m in maps))


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


@dataclass(frozen=True)
class Scoring:
    """What workers compute of the pairs that they have counted.

    Attributes
    ----------
    protocols : tuple of Protocol
        Under which the pairs are scored.
    keep_counts : bool
        Whether the counts are sent back as well.
    """

    protocols: tuple[Protocol, ...]
    keep_counts: bool


class MapProblem(NamedTuple):
    """A map, or its mask, that could not be read or used.

    Attributes
    ----------
    task : int
        The number of the task that the map belongs to.
    stem : str
    problem : Problem
    is_black : bool
        Whether a black map was counted instead.
    """

    task: int
    stem: str
    problem: Problem
    is_black: bool


@dataclass(frozen=True)
class Batch:
    """What was counted of some visits.

    Attributes
    ----------
    n_maps : int
        The number of their maps.
    pairs : dict of int to StoredPairs or ScoredPairs
        For each task the pairs that were counted, in the order of the visits.
    problems : tuple of MapProblem
    scores : dict of int to tuple of BlockScores
        For each task the scores of its pairs under each protocol; empty where they are computed later.
    """

    n_maps: int
    pairs: dict[int, StoredPairs | ScoredPairs]
    problems: tuple[MapProblem, ...]
    scores: dict[int, tuple[BlockScores, ...]]


@cache
def warm_up_kernels() -> None:
    """Compile every kernel that counting calls, or load its code; a message announces a compilation."""
    # Pillow, too, before there are threads that would wait for its import
    from sodbench.images import fast_png, reading  # noqa: F401

    fast_png.load_kernel()
    compile_kernels()


def warm_up_scoring() -> None:
    """Compile every kernel that computes scores from counts, or load its code."""
    mask = np.zeros((8, 8), np.uint8)
    pair = count_pair(mask, PreparedMask(mask))
    score_block(pair.counts, get_protocol(DEFAULT_PROTOCOL), [""])


# ------------------------------------------------------------------------------------------ many visits


def count_pairs(
    visits: Sequence[Visit],
    policy: Policy,
    executor: Executor | None = None,
    *,
    workers: int = 64,
    folder: Path | None = None,
    scoring: Scoring | None = None,
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
    scoring : Scoring, optional
        Lets the workers score whole blocks, for visits that are all that is scored, with a map of every task each.

    Yields
    ------
    Batch
        What is counted, in the order of ``visits``, some visits at a time.

    Raises
    ------
    SodbenchError
        If a worker process ended unexpectedly, or the executor was shut down. What other workers have finished by
        then is yielded first, as it is for any exception that a worker raises.
    """
    scheme = counting_scheme(policy)
    if executor is None:
        counting = _Counting(policy, scheme, folder, None)
        yield from (_count_item(item, counting) for item in _work_items(visits, 1, MIN_ITEM))
        return
    # After Ctrl-C, the interpreter waits for its threads at its end, so they must not finish their items
    stop = threading.Event() if isinstance(executor, ThreadPoolExecutor) else None
    calls = (
        (item, _Counting(policy, scheme, folder, own_scoring), stop)
        for item, own_scoring in _items_to_score(visits, workers, scoring)
    )
    try:
        yield from _count_items(calls, executor, 2 * workers)
    finally:
        if stop:
            stop.set()


def _count_items(
    calls: Iterable[tuple[Any, ...]], executor: Executor, n_pending: int
) -> Generator[Batch, None, None]:
    """Submit the work items, a bounded number at a time, and yield what is counted in their order."""
    pending: deque[Future[Batch]] = deque()
    try:
        for call in calls:
            pending.append(executor.submit(_count_item, *call))
            if len(pending) > n_pending:
                yield pending[0].result()
                pending.popleft()
        while pending:
            yield pending[0].result()
            pending.popleft()
    except Exception as error:
        yield from [future.result() for future in pending if _succeeded(future)]
        if problem := _executor_problem(error):
            raise problem from error
        raise
    finally:
        for future in pending:
            future.cancel()


def _succeeded(future: Future[Batch]) -> bool:
    return future.done() and not future.cancelled() and not future.exception()


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


def _items_to_score(
    visits: Sequence[Visit], workers: int, scoring: Scoring | None
) -> Iterator[tuple[Sequence[Visit], Scoring | None]]:
    """Split the visits into blocks that the workers score, and smaller items in the end.

    As many blocks as there are workers are left for the smaller items, so that all workers finish together.
    """
    n_scored = 0
    if scoring and visits and BLOCK * len(visits[0].maps) <= _MAX_SCORED_ITEM:
        n_scored = max(0, len(visits) // BLOCK - workers) * BLOCK
    for start in range(0, n_scored, BLOCK):
        yield visits[start : start + BLOCK], scoring
    for item in _work_items(visits[n_scored:], workers):
        yield item, None


def _work_items(
    visits: Sequence[Visit], workers: int, largest: int = _MAX_ITEM
) -> Iterator[Sequence[Visit]]:
    """Split the visits into items of many maps first, of few in the end, so that all workers finish together."""
    remaining = sum(len(visit.maps) for visit in visits)
    start = maps = 0
    for end, visit in enumerate(visits, start=1):
        maps += len(visit.maps)
        size = min(max(remaining // (8 * workers), MIN_ITEM), largest)
        if maps >= size or end == len(visits):
            yield visits[start:end]
            remaining -= maps
            start, maps = end, 0


class _Counting(NamedTuple):
    """How a work item is counted."""

    policy: Policy
    scheme: CountingScheme
    folder: Path | None
    scoring: Scoring | None


def _count_item(
    visits: Sequence[Visit], counting: _Counting, stop: threading.Event | None = None
) -> Batch:
    """Count some visits; whatever is sent back is packed."""
    policy, scheme, folder, scoring = counting
    if any(column.measurement not in MEASUREMENTS for column in scheme.columns):
        # a new process knows only the metrics of sodbench itself
        load_plugins("sodbench.metrics")
    counted: defaultdict[int, list[tuple[str, bytes, PairCounts]]] = defaultdict(list)
    problems = []
    for visit in visits:
        # no one waits for the result
        if stop and stop.is_set():
            break
        outcomes = count_visit(visit, policy, folder, scheme)
        for (task, _), outcome in zip(visit.maps, outcomes, strict=True):
            if isinstance(outcome, Problem):
                problems.append(MapProblem(task, visit.stem, outcome, is_black=False))
                continue
            counted[task].append((visit.stem, outcome.record, outcome.counts))
            if outcome.problem:
                problems.append(MapProblem(task, visit.stem, outcome.problem, is_black=True))
    pairs: dict[int, StoredPairs | ScoredPairs] = {}
    scores = {}
    for task, own in counted.items():
        stored = StoredPairs.stack(*zip(*own, strict=True))
        pairs[task] = stored
        if scoring:
            scores[task] = tuple(
                score_block(stored.counts, protocol, stored.stems, policy.metrics)
                for protocol in scoring.protocols
            )
            if not scoring.keep_counts:
                pairs[task] = ScoredPairs(stored.stems, stored.records)
    n_maps = sum(len(visit.maps) for visit in visits)
    return Batch(n_maps, pairs, tuple(problems), scores)


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
        return [Problem(ProblemKind.UNREADABLE_MASK, str(visit.mask), _detail(error))] * len(
            visit.maps
        )
    mask = PreparedMask(decoded.pixels, scheme or counting_scheme(policy))
    prepared = _Mask(mask, file, note_mask_levels(mask.levels, decoded.note))
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
        problem = Problem(ProblemKind.UNREADABLE, str(path), _detail(error))
        if policy.missing != "zero":
            return problem
        return _count_black(mask)._replace(problem=problem)
    size = mask.prepared.size
    map_, resized = decoded.pixels, UNCHANGED
    own_size = (map_.shape[0], map_.shape[1])
    if own_size != size:
        if policy.resize == "error":
            return size_problem(path, own_size, size)
        map_, resized = images.resize_grey(map_, size, policy.resize), RESIZE_CODES[policy.resize]
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
) -> "tuple[FileIdentity, images.GreyImage]":
    """The facts of a file and its grey image or its alpha channel, both from the same bytes."""
    place = folder / path if folder else path
    data, status = images.read_file(place)
    if 0 <= time.time_ns() - status.st_ctime_ns < _CLOCK_TICK_NS:
        # Modified so recently that it could change again without getting a new time, which would never be noticed
        time.sleep(_CLOCK_TICK_NS / 1e9)
        data, status = images.read_file(place)
    decode = images.decode_alpha if channel == "alpha" else images.decode_grey
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
    return Problem(ProblemKind.SIZE, str(path), detail)
