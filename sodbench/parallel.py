"""How many workers there are, by one rule for the whole package, and a pool of threads."""

import math
import os
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from sodbench.console import bar

S = TypeVar("S")
T = TypeVar("T")

# More threads than this hold each other up at the interpreter's lock
_MAX_THREADS = 16


# Where Linux shows the control groups of a process
_SYSTEM = Path("/")


def processors() -> int:
    """Return how many processors this process may use; on a shared machine that can be fewer than it has.

    Returns
    -------
    int
        At least 1: the smallest of the processors that the process is bound to (``taskset``, ``docker --cpuset-cpus``),
        the quota of its control group rounded up (``docker --cpus``, limits of Kubernetes), and
        ``SLURM_CPUS_PER_TASK``.
    """
    if hasattr(os, "sched_getaffinity"):
        limits = [len(os.sched_getaffinity(0))]
    else:
        limits = [os.cpu_count() or 1]
    limits += map(math.ceil, _quotas())
    task = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if task.isdecimal():
        limits.append(int(task))
    return max(1, min(limits))


def _quotas() -> list[float]:
    """The processors that the control group of this process and those above it may use, where they are limited."""
    try:
        groups = (_SYSTEM / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        # no Linux
        return []
    top = _SYSTEM / "sys/fs/cgroup"
    quotas = []
    for group in groups:
        _, controllers, path = group.split(":", 2)
        # version 2 has one tree, which is named here by no controller; version 1 one for each set of controllers
        if controllers and "cpu" not in controllers.split(","):
            continue
        # seen from within a container, the group can be the top itself
        tree = top / "cpu" if controllers else top
        inside = tree / path.lstrip("/")
        for folder in (inside, *inside.parents):
            if folder.is_relative_to(tree):
                quotas += _read_quota(folder)
    return quotas


def _read_quota(folder: Path) -> list[float]:
    """The quota of one control group in processors; empty where it has none."""
    for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        # "max" or -1 for no limit
        with suppress(OSError, ValueError):
            quota, period = map(int, " ".join((folder / n).read_text() for n in names).split())
            if quota > 0 and period > 0:
                return [quota / period]
    return []


def worker_count(wanted: int | None = None, *, items: int | None = None) -> int:
    """Return the number of workers for a job.

    Parameters
    ----------
    wanted : int, optional
        The user's choice; by default one worker for each processor, shared with the other processes that torchrun
        started on this machine.
    items : int, optional
        The number of pieces of work; more workers than that would be idle.

    Returns
    -------
    int
        At least 1.
    """
    if wanted is None:
        share = os.environ.get("LOCAL_WORLD_SIZE", "")
        wanted = processors() // max(1, int(share) if share.isdecimal() else 1)
    return max(1, wanted if items is None else min(wanted, items))


def thread_count() -> int:
    """Return the default number of threads: `worker_count`, at most 16."""
    return min(_MAX_THREADS, worker_count())


def thread_pool(wanted: int | None = None, *, items: int | None = None) -> Executor:
    """Return a pool of threads, or of as many as the system lets this process start.

    Parameters
    ----------
    wanted, items : int, optional
        As for `worker_count`; by default `thread_count`.

    Returns
    -------
    concurrent.futures.Executor
        Where no thread can be started (``ulimit -u``), the pool does its work at once in the calling thread.
    """
    number = startable_threads(worker_count(wanted or thread_count(), items=items))
    return ThreadPoolExecutor(number) if number else CallingThread()


class CallingThread(Executor):
    """An executor without workers: work is done when it is submitted, by the thread that submits it."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Do the work now; what it raises is raised where the result is asked for, as by other executors.

        Parameters
        ----------
        fn : callable
        *args, **kwargs
            For ``fn``.

        Returns
        -------
        Future
        """
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001
            future.set_exception(error)
        return future


def startable_threads(wanted: int) -> int:
    """Return how many of the wanted threads the system lets this process start now.

    A pool would only find out when it is half full of work. The limit on processes counts threads, too.

    Parameters
    ----------
    wanted : int

    Returns
    -------
    int
    """
    finished = threading.Event()
    threads: list[threading.Thread] = []
    try:
        while len(threads) < wanted:
            thread = threading.Thread(target=finished.wait, daemon=True)
            thread.start()
            threads.append(thread)
    except RuntimeError:
        # can't start new thread
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
    """Apply a function to every item in threads, with a progress bar.

    Parameters
    ----------
    work : callable
        Called with one item.
    items : collection
    description, unit : str
        Text of the bar.
    jobs : int, optional
        The number of threads; by default as for `thread_pool`.

    Returns
    -------
    list
        The results in the order of the items.

    Raises
    ------
    Exception
        The first one that ``work`` raises; items that were not started by then are left undone.
    """
    results = []
    pool = thread_pool(jobs, items=len(items))
    try:
        with bar(len(items), description, unit) as progress:
            for result in pool.map(work, items):
                results.append(result)
                progress.update()
    finally:
        pool.shutdown(cancel_futures=True)
    return results
