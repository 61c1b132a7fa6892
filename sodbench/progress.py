"""Progress bars and messages for long work.

Bars (tqdm) appear on a terminal and nowhere else; messages go to standard error, so that standard
output holds results only.
"""

import os
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sized
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from tqdm import tqdm

from sodbench.errors import SodbenchError
from sodbench.quoting import printable, printable_lines

S = TypeVar("S")
T = TypeVar("T")

_quiet = False


def set_quiet(quiet: bool) -> None:
    """Silence bars and notes (``--quiet``); warnings and errors are still printed."""
    global _quiet
    _quiet = quiet


def bar(total: int | None, description: str, unit: str = "it", **options: Any) -> "tqdm[Any]":
    """A tqdm bar to be updated by hand; shows nothing when quiet or when stderr is no terminal."""
    return tqdm(
        total=total,
        desc=printable(description),
        unit=unit,
        disable=True if _quiet or sys.stderr is None else None,
        dynamic_ncols=True,
        **options,
    )


def track(items: Iterable[T], description: str, unit: str = "it") -> Iterator[T]:
    """Iterate with a bar."""
    total = len(items) if isinstance(items, Sized) else None
    with bar(total, description, unit) as progress:
        for item in items:
            yield item
            progress.update()


def processors() -> int:
    """How many processors this process may use; on a shared machine that can be fewer than it has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_pool(wanted: int | None = None) -> Executor:
    """Return a pool of threads, or of as many as the system lets this process start.

    Parameters
    ----------
    wanted : int, optional
        The number of threads; by default one for each processor.

    Returns
    -------
    concurrent.futures.Executor
        Where no thread can be started (``ulimit -u``), the pool does its work at once in the calling thread.
    """
    number = _startable_threads(wanted or processors())
    return ThreadPoolExecutor(number) if number else _CallingThread()


class _CallingThread(Executor):
    """A pool without threads: work is done when it is submitted."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  raised where the result is asked for, as by other pools
            future.set_exception(error)
        return future


def _startable_threads(wanted: int) -> int:
    """How many threads can be started now; a pool would only find out when it is half full of work."""
    finished = threading.Event()
    threads: list[threading.Thread] = []
    try:
        while len(threads) < wanted:
            thread = threading.Thread(target=finished.wait, daemon=True)
            thread.start()
            threads.append(thread)
    except RuntimeError:  # can't start new thread
        pass
    finally:
        finished.set()
        for thread in threads:
            thread.join()
    return len(threads)


def in_threads(
    work: Callable[[S], T],
    items: Collection[S],
    description: str,
    unit: str,
    jobs: int | None = None,
) -> list[T]:
    """Do ``work`` on every item in threads (by default one for each processor), with a bar.

    Returns the results in the order of the items. What ``work`` raises is raised here; items that were not
    begun by then are left undone.
    """
    results = []
    pool = thread_pool(min(jobs or processors(), max(1, len(items))))
    try:
        with bar(len(items), description, unit) as progress:
            for result in pool.map(work, items):
                results.append(result)
                progress.update()
    finally:
        pool.shutdown(cancel_futures=True)
    return results


def show(text: str) -> None:
    """Print results on standard output, at once.

    Line breaks are the caller's own, so quoted content must be made `printable` before it is put into lines or
    cells; other control characters are escaped here.

    Raises
    ------
    SodbenchError
        If standard output is closed or its disk is full. A pipe whose reader has gone raises BrokenPipeError.
    """
    try:
        print(printable_lines(text), flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SodbenchError(
            f"standard output: cannot be written ({error.strerror or error}); the results were not printed"
        ) from error


def say(message: str) -> None:
    """Print one line on standard error, above any bar; nothing when quiet. For progress and notes."""
    if not _quiet:
        _write_line(message)


def warn(message: str) -> None:
    """Print one line on standard error, above any bar, even when quiet.

    For what the user must know about the results: problems that lead to exit status 1, and errors after which
    a command continues.
    """
    _write_line(message)


def _write_line(message: str) -> None:
    """Quoted content (file names, fields of files) cannot act on the terminal or begin a line of its own."""
    if sys.stderr is not None:
        with suppress(OSError):  # nobody can read it; the work itself is not affected
            tqdm.write(printable(message), file=sys.stderr)
