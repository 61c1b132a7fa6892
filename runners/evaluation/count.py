"""Count maps against masks, mask by mask, on all cores: the only part of an evaluation that reads pictures.

A mask is decoded, split and distance-transformed once for the maps of all methods.
"""

import gc
import os
import pickle
import queue
import signal
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba.core.compiler_lock import global_compiler_lock
from numpy.typing import NDArray

from sodbench.console import say
from sodbench.errors import ImageError, Problem
from sodbench.images import Grey, decode_grey, png, read_file, resize_grey
from sodbench.metrics import PairCounts, PreparedMask, compile_kernels, count_pair
from sodbench.metrics.compiled import announcing, have_cache
from sodbench.parallel import thread_pool
from sodbench.results import Policy
from sodbench.results.pair_problems import ZERO_ONE, describe_swapped_sides
from sodbench.results.stored_pairs import (
    MISSING_AS_BLACK,
    NO_FILE,
    RESIZE_CODES,
    UNCHANGED,
    FileIdentity,
    counting_scheme,
    pack_record,
)

SMALLEST, LARGEST = 8, 64
"""Maps that are handed over at a time: threads that meet at every map wait for each other."""
MUCH = 500
"""So many maps are worth processes of their own."""
CLOCK_TICK_NS = 20_000_000
"""File systems set times in steps of up to some ten milliseconds."""


class Visit(NamedTuple):
    """One mask and the maps that must be counted against it, each with the number of the work it belongs to."""

    stem: str
    mask: Path
    maps: tuple[tuple[int, Path | None], ...]


class CountedPair(NamedTuple):
    """A counted pair.

    Attributes
    ----------
    record : bytes
        What is known of its files, dtype RECORD.
    counts : PairCounts
    problem : Problem or None
        Why its map could not be read, where a black one took its place.
    """

    record: bytes
    counts: PairCounts
    problem: Problem | None = None


@cache
def get_ready() -> None:
    """Have all compiled that counting calls, so that no copy of this process needs the compiler."""
    once = ", once on a machine" if have_cache() else ""
    with announcing(lambda: say(f"compiling the kernels: about 20 s{once}")):
        parts = png.chunks(png.encode(np.zeros((1, 1), np.uint8)))
        png.decode(parts, png.Header(1, 1, 8, 0, 0, 0, 0))
        compile_kernels()


Outcomes = list[CountedPair | Problem]
"""For each map of a visit what was counted, or the problem that stood in the way."""


def count(
    visits: Sequence[Visit], policy: Policy, jobs: int
) -> Generator[Sequence[tuple[Visit, Outcomes]], None, None]:
    """Count everything, ``jobs`` visits at a time; what is done is given in the order of the visits, some at a time.

    One at a time is counted by this thread; more by threads, each with a :class:`Helper` that does its work if there is much.
    """
    if jobs == 1:
        yield from ([(visit, _visit(visit, policy))] for visit in visits)
        return
    much = sum(len(visit.maps) for visit in visits) >= MUCH
    helpers: list[Helper] = []
    idle = queue.SimpleQueue[Helper]()
    stopped = threading.Event()

    def work(chunk: range) -> list[tuple[Visit, Outcomes]]:
        outcomes = None
        if helpers:  # as many as there are threads
            helper = idle.get()
            try:
                outcomes = helper.count(chunk)
            finally:
                idle.put(helper)
        if outcomes is not None:
            return [(visits[i], of_it) for i, of_it in zip(chunk, outcomes, strict=True)]
        return [(visits[i], _visit(visits[i], policy)) for i in chunk if not stopped.is_set()]

    pool = thread_pool(jobs)  # fewer threads where the system starts no more
    under_way: deque[Future[list[tuple[Visit, Outcomes]]]] = deque()
    try:
        if much:
            helpers += Helper.some(jobs, visits, policy)
        for helper in helpers:
            idle.put(helper)
        for chunk in _chunks(visits, jobs):
            under_way.append(pool.submit(work, chunk))
            if len(under_way) > 2 * jobs:  # memory is bounded, whatever the number of files
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)
        Helper.close_all(helpers)


class Helper:
    """A process that counts for a thread: threads hold each other up whenever they come back from compiled code.

    It is a copy of this process, made in a few milliseconds, that is fed through pipes: when this process ends, however that
    is, the pipe ends, and so does the copy.
    """

    def __init__(self, visits: Sequence[Visit], policy: Policy):
        """Raises OSError where there can be no further process."""
        original = os.getpid()
        requests, to_copy = os.pipe()
        from_copy, answers = os.pipe()
        with warnings.catch_warnings(), global_compiler_lock:
            # The copy has this thread only, so that a lock which another one holds is never released there.  All that
            # _visit calls was compiled before (get_ready) and the compiler's lock is this thread's own.
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                self._process = os.fork()
            except OSError:
                for end in (requests, to_copy, from_copy, answers):
                    os.close(end)
                raise
            if not self._process:
                _serve(requests, answers, visits, policy, original)
        os.close(requests)
        os.close(answers)
        self._to_copy, self._from_copy = os.fdopen(to_copy, "wb"), os.fdopen(from_copy, "rb")

    @classmethod
    def some(cls, number: int, visits: Sequence[Visit], policy: Policy) -> list["Helper"]:
        """As many helpers, or none where a process cannot be copied safely or memory is short."""
        if sys.platform != "linux":
            return []
        get_ready()
        helpers: list[Helper] = []
        try:
            with _ctrl_c_waits():
                while len(helpers) < number:
                    helpers.append(cls(visits, policy))
        except OSError:
            cls.close_all(helpers)
            return []
        except BaseException:
            cls.close_all(helpers)
            raise
        return helpers

    @staticmethod
    def close_all(helpers: Sequence["Helper"]) -> None:
        """End these processes."""
        ending = []  # all of them at once: each takes some milliseconds to let go of its memory
        for helper in helpers:
            # a program that ignores or answers SIGCHLD may have let it go, and its number may be another's by now
            with suppress(ProcessLookupError, ChildProcessError):
                if os.waitpid(helper._process, os.WNOHANG) == (0, 0):
                    os.kill(helper._process, signal.SIGKILL)
                    ending.append(helper)
        for helper in ending:
            with suppress(ChildProcessError):
                os.waitpid(helper._process, 0)
        for helper in helpers:
            for pipe in (helper._to_copy, helper._from_copy):
                with suppress(OSError):
                    pipe.close()

    def count(self, chunk: range) -> list[Outcomes] | None:
        """The outcomes of some visits, by number, or None where the process is gone.  Raises what counting them raised."""
        try:
            pickle.dump(chunk, self._to_copy)
            self._to_copy.flush()
            answer: list[Outcomes] | Exception = pickle.load(self._from_copy)
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            return None  # it was killed, perhaps for its memory
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Answer Ctrl-C afterwards: its exception would be lost within os.fork; and never in a copy made here."""
    pressed: list[int] = []
    answer = signal.getsignal(signal.SIGINT)
    answered_here = threading.current_thread() is threading.main_thread() and answer is not None
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    try:
        # a copy has this thread only and inherits what it blocks; of the original another thread may be told
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        if answered_here:
            signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if answered_here:
            signal.signal(signal.SIGINT, answer)
            if pressed:
                signal.raise_signal(signal.SIGINT)


def _serve(
    requests: int, answers: int, visits: Sequence[Visit], policy: Policy, original: int
) -> None:
    """The life of a copy: count what comes in through one pipe and send it through the other, until the first ends.

    original: the number of the process it is a copy of.  This does not return.
    """
    try:
        gc.freeze()  # what belongs to the original is not closed here: its files' numbers are used anew
        for file in (int(entry.name) for entry in list(Path("/proc/self/fd").iterdir())):
            if file > 2 and file not in (requests, answers):
                with suppress(OSError):
                    os.close(file)  # the other helpers' pipes, and the lock on the journal
        with os.fdopen(requests, "rb") as source, os.fdopen(answers, "wb") as target:
            while True:
                chunk = pickle.load(source)
                answer: Any = []
                try:
                    for i in chunk:
                        if os.getppid() != original:  # nobody waits for the rest
                            return
                        answer.append(_visit(visits[i], policy))
                except Exception as error:  # noqa: BLE001  it is raised where the visits came from
                    answer = error
                pickle.dump(answer, target)
                target.flush()
    finally:  # EOFError, at the end of the pipe
        os._exit(0)


def _chunks(visits: Sequence[Visit], jobs: int) -> Iterator[range]:
    """The numbers of all visits in groups: of many maps first, of few in the end, so that all threads end together."""
    left = sum(len(visit.maps) for visit in visits)
    begin = maps = 0
    for end, visit in enumerate(visits, start=1):
        maps += len(visit.maps)
        if maps >= min(max(left // (8 * jobs), SMALLEST), LARGEST) or end == len(visits):
            yield range(begin, end)
            left -= maps
            begin, maps = end, 0


def _visit(visit: Visit, policy: Policy) -> Outcomes:
    """Count all maps of one mask."""
    try:
        file, decoded = _decoded(visit.mask)
    except (ImageError, OSError) as error:
        return [Problem("unreadable-mask", str(visit.mask), _detail(error))] * len(visit.maps)
    mask = PreparedMask(decoded.pixels, counting_scheme(policy))
    note = ZERO_ONE if mask.levels[-1] == 1 else decoded.note
    visited = _Mask(mask, file, note)
    return [_count_map(path, visited, policy) for _, path in visit.maps]


class _Mask(NamedTuple):
    prepared: PreparedMask
    file: FileIdentity
    note: str


def _count_map(path: Path | None, mask: _Mask, policy: Policy) -> CountedPair | Problem:
    size = mask.prepared.size
    if path is None:
        return _counted(np.zeros(size, np.uint8), mask, policy, NO_FILE, MISSING_AS_BLACK, size)
    try:
        file, decoded = _decoded(path)
    except (ImageError, OSError) as error:
        problem = Problem("unreadable", str(path), _detail(error))
        if policy.missing != "zero":
            return problem
        black = np.zeros(size, np.uint8)
        return _counted(black, mask, policy, NO_FILE, MISSING_AS_BLACK, size)._replace(
            problem=problem
        )
    map_, fitted = decoded.pixels, UNCHANGED
    own_size = (map_.shape[0], map_.shape[1])
    if own_size != size:
        if policy.resize == "error":
            return size_problem(path, own_size, size)
        map_, fitted = resize_grey(map_, size, policy.resize), RESIZE_CODES[policy.resize]
    return _counted(map_, mask, policy, file, fitted, own_size, decoded.note)


def _counted(
    map_: NDArray[np.uint8],
    mask: _Mask,
    policy: Policy,
    file: FileIdentity,
    fitted: int,
    own_size: tuple[int, int],
    note: str = "",
) -> CountedPair:
    counts: PairCounts = count_pair(map_, mask.prepared)
    record = pack_record(
        map_file=file,
        mask_file=mask.file,
        fitted=fitted,
        map_size=own_size,
        mask_levels=len(set(mask.prepared.levels) - {0, 255}),
        foreground=mask.prepared.foreground,
        notes=(note, mask.note),
        counts=counts,
    )
    return CountedPair(record, counts)


def _decoded(path: Path) -> tuple[FileIdentity, Grey]:
    """What a file is, and the picture: of the same bytes, read once."""
    data, status = read_file(path)
    if 0 <= time.time_ns() - status.st_ctime_ns < CLOCK_TICK_NS:
        # Changed so recently that it could change again without a new time, and the change would never be noticed.
        time.sleep(CLOCK_TICK_NS / 1e9)
        data, status = read_file(path)
    return FileIdentity.from_content(data, status), decode_grey(data, path)


def _detail(error: ImageError | OSError) -> str:
    return error.problem.detail if isinstance(error, ImageError) else str(error)


def size_problem(path: Path, size: tuple[int, int], wanted: tuple[int, int]) -> Problem:
    """That a map has another size (height, width) than its mask."""
    own, others = ("x".join(map(str, sides)) for sides in (size, wanted))
    hint = describe_swapped_sides(size, wanted)
    return Problem("size", str(path), f"{own}, but its mask is {others}{hint}")
