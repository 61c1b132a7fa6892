"""Workers within this process: how many, and a pool of threads."""

import os
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar

from sodbench.console import bar

S = TypeVar("S")
T = TypeVar("T")


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
