"""Who counts: this thread, threads, processes, or any executor that a user provides.

Threads serve small runs and library calls. The command line counts large runs in processes, because threads wait for
each other whenever a kernel returns to the interpreter. A library call cannot do that by itself: a process imports
the user's script again, which is only safe if the script is written for it.
"""

import gc
import multiprocessing
import os
import queue
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar, cast

from sodbench.errors import SodbenchError
from sodbench.metrics.compiled import have_cache
from sodbench.parallel import CallingThread, startable_threads, thread_pool, worker_count
from sodbench.plugins import load_plugins
from sodbench.results import Policy
from sodbench.runners.evaluation.count import Batch, Visit, count_pairs, warm_up_kernels

T = TypeVar("T")

# Below this number of maps, processes take longer to start than they save
MIN_MAPS_FOR_PROCESSES = 1000
# A worker with fewer maps than this is not worth starting
_MIN_MAPS_PER_THREAD, _MIN_MAPS_PER_PROCESS = 8, 100
# Processes and threads that a pool of processes needs besides its workers, among them those of numpy's BLAS
_SPARE_PROCESSES = 8
_DASK_TIMEOUT_S = 10


@dataclass(frozen=True)
class Workers:
    """What counts the pairs of an evaluation; the results do not depend on it.

    Parameters
    ----------
    jobs : int, optional
        How many maps are counted at a time; by default one for each processor.
    executor : concurrent.futures.Executor, optional
        Counts instead of this process's own workers, for example on other machines. Its workers must find sodbench
        and, under the same paths, the images.
    processes : bool
        Whether large runs use worker processes instead of threads. Only for programs whose main module can be
        imported without running, such as the command line.
    """

    jobs: int | None = None
    executor: Executor | None = None
    processes: bool = False

    def count(self, visits: Sequence[Visit], policy: Policy) -> Generator[Batch, None, None]:
        """Count all visits, see `count_pairs`; closing the generator ends the workers.

        Parameters
        ----------
        visits : sequence of Visit
        policy : Policy

        Yields
        ------
        sequence of (Visit, list of CountedPair or Problem)

        Raises
        ------
        SodbenchError
            If a worker ended before it had finished.
        """
        if self.executor:
            number = self.jobs or 64  # an executor does not tell how many workers it has
            yield from count_pairs(visits, policy, self.executor, workers=number, folder=Path.cwd())
            return
        if not visits:
            return
        warm_up_kernels()
        n_maps = sum(len(visit.maps) for visit in visits)
        in_processes = self.processes and n_maps >= MIN_MAPS_FOR_PROCESSES and have_cache()
        least = _MIN_MAPS_PER_PROCESS if in_processes else _MIN_MAPS_PER_THREAD
        number = worker_count(self.jobs, items=n_maps // least)
        if number == 1:
            yield from count_pairs(visits, policy)
            return
        executor = _process_executor(number) if in_processes else thread_pool(number)
        finished = False
        try:
            with closing(count_pairs(visits, policy, executor, workers=number)) as batches:
                yield from batches
            finished = True
        finally:
            executor.shutdown(wait=finished, cancel_futures=True)


@contextmanager
def command_line_workers(jobs: int | None, dask: str | None) -> Iterator[Workers]:
    """Count with what the options ``--jobs`` and ``--dask`` choose.

    Parameters
    ----------
    jobs : int, optional
        How many maps are counted at a time on this machine.
    dask : str, optional
        The address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``.

    Yields
    ------
    Workers

    Raises
    ------
    SodbenchError
        If no scheduler answers at the address within ten seconds, the workers have another version of sodbench, or the
        cluster fails while it counts.
    """
    if dask is None:
        yield Workers(jobs, processes=True)
    else:
        with _dask_workers(dask) as workers:
            yield workers


# ------------------------------------------------------------------------------------------------- Dask


@contextmanager
def _dask_workers(address: str) -> Iterator[Workers]:
    """Count on the workers of the cluster whose scheduler has this address."""
    import distributed
    from distributed.comm.core import CommClosedError

    try:
        client = distributed.Client(address, timeout=_DASK_TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SodbenchError(
            f"{address}: no Dask scheduler answers there ({error}); start one with 'dask scheduler', which prints its address"
        ) from error
    with client:
        _check_dask_workers(client, address)
        try:
            yield Workers(executor=client.get_executor(pure=False))
        except (distributed.KilledWorker, distributed.CancelledError, CommClosedError) as error:
            raise SodbenchError(
                f"{address}: the cluster failed while it counted ({error}); what was counted before is kept in the output "
                "folder, if there is one; run the same command again"
            ) from error


def _check_dask_workers(client: Any, address: str) -> None:
    """Check that the present workers can do the work; more may come later."""
    from sodbench.version import __version__

    try:
        versions = client.run(_sodbench_version)
    except ImportError as error:
        raise SodbenchError(
            f"{address}: sodbench is not installed on the workers ({error})"
        ) from error
    for worker, version in versions.items():
        if version != __version__:
            raise SodbenchError(
                f"{address}: the worker {worker} has sodbench {version}, and this is {__version__}; install the same everywhere"
            )


def _sodbench_version() -> str:
    from sodbench.version import __version__

    return __version__


# -------------------------------------------------------------------------------------------- processes


def _process_executor(number: int) -> Executor:
    """Worker processes, or threads where processes cannot be started."""
    if startable_threads(number + _SPARE_PROCESSES) == number + _SPARE_PROCESSES:
        with suppress(OSError):
            return _ProcessExecutor(number)
    return thread_pool(number)


class _ProcessExecutor(Executor):
    """Worker processes, each driven by a thread through a pipe of its own.

    The processes of `concurrent.futures.ProcessPoolExecutor` share one pipe for their results. If one of them is killed
    while it writes there, the rest of its message never comes, and the program waits for it for ever. Here that is
    the end of one pipe, and an error at once.
    """

    def __init__(self, number: int):
        self._number = number
        self._context = _start_server()
        self._threads = thread_pool(number)
        self._lock = threading.Lock()
        self._closed = False
        self._processes: list[BaseProcess] = []
        self._idle = queue.SimpleQueue[Connection]()
        # The server needs up to a second to import everything; submit() works by itself until then
        self._without_processes: Executor | None = CallingThread()
        threading.Thread(target=self._start, daemon=True).start()

    def _start(self) -> None:
        """Start the workers; where the system allows no more, fewer of them do the work, and threads if there are none."""
        try:
            for _ in range(self._number):
                ours, theirs = self._context.Pipe()
                process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
                with closing(theirs):
                    process.start()
                with self._lock:
                    if self._closed:
                        process.kill()
                        return
                    self._processes.append(process)
                    self._idle.put(ours)
                self._without_processes = None
        except Exception:  # noqa: BLE001  whatever the reason, there are no more processes
            if not self._processes:
                self._without_processes = self._threads

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Submit to the processes; while none is ready, do the work here and now."""
        if self._without_processes:
            return self._without_processes.submit(fn, *args, **kwargs)
        return self._threads.submit(self._delegate, fn, args, kwargs)

    def _delegate(self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        """Let a process do the work, and return or raise what it answers."""
        pipe = self._idle.get()
        try:
            pipe.send((fn, args, kwargs))
            result, error = pipe.recv()
        except (OSError, EOFError):
            raise BrokenExecutor("a worker process ended unexpectedly") from None
        finally:
            self._idle.put(pipe)
        if error:
            raise error
        return cast("T", result)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes: when all work is done, or at once if nobody waits for it."""
        with self._lock:
            self._closed = True
        if not wait:
            for process in self._processes:
                process.kill()
        self._threads.shutdown(wait=True, cancel_futures=cancel_futures)
        while not self._idle.empty():
            self._idle.get().close()  # a worker ends when its pipe does
        for process in self._processes:
            process.join()


def _start_server() -> Any:
    """The context in which workers are started; where there is a fork server, it is started now.

    The server imports and compiles once what all workers need; they are copies of it. Ctrl-C is blocked in it, and so
    in the workers, from their first instruction on: this process ends them.
    """
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver, resource_tracker

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sodbench.cli", "sodbench.runners.evaluation.preload"])
    # The server must not import from the working directory, where a file may have the name of some module
    safe_path = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        resource_tracker.ensure_running()  # first, because it unblocks SIGINT
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    finally:
        if safe_path is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = safe_path
    return context


def _serve(pipe: Connection) -> None:
    """Main function of a worker process: do what comes through the pipe until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it is not blocked
    # As in the command line: the decoder reports the same with the file's name
    warnings.filterwarnings("ignore", module=r"PIL\.")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    load_plugins("sodbench.metrics", "sodbench.protocols")
    warm_up_kernels()
    gc.freeze()  # kernels and modules stay, so they need not be looked through
    with suppress(OSError, EOFError):
        while True:
            fn, args, kwargs = pipe.recv()
            try:
                answer: tuple[Any, Exception | None] = fn(*args, **kwargs), None
            except Exception as error:  # noqa: BLE001  raised where the result is asked for
                error.add_note(f"in a worker process:\n{traceback.format_exc()}")
                answer = None, error
            pipe.send(answer)


def _end_with_parent() -> None:
    """End this process when its parent ends, however that ends, even in the middle of a large image."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
