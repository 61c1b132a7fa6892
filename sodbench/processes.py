"""Worker processes that do work of this one.

The module is imported where processes are started only, because multiprocessing takes some time to import.
"""

import gc
import importlib
import logging
import multiprocessing
import os
import queue
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import closing, contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar, cast

# before the processes start, which are copies of this one and would each take a fifth of a second for it
import numba  # noqa: F401

import sodbench.images.reading  # noqa: F401
from sodbench.parallel import CallingThread, startable_threads, thread_pool

T = TypeVar("T")

# Processes and threads that a pool of processes needs besides its workers, among them those of numpy's BLAS
_SPARE_PROCESSES = 8


def process_executor(number: int, preload: str) -> Executor:
    """Return an executor of worker processes, or of threads where processes cannot be started.

    Parameters
    ----------
    number : int
        How many workers.
    preload : str
        The module that prepares a worker when it is imported, see `ProcessExecutor`.

    Returns
    -------
    concurrent.futures.Executor
    """
    if startable_threads(number + _SPARE_PROCESSES) == number + _SPARE_PROCESSES:
        with suppress(OSError):
            return ProcessExecutor(number, preload)
    return thread_pool(number)


class ProcessExecutor(Executor):
    """Worker processes, each driven by a thread through a pipe of its own.

    The processes of `concurrent.futures.ProcessPoolExecutor` share one pipe for their results. If one of them is killed
    while it writes there, the rest of its message never comes, and the program waits for it forever. Here that is
    the end of one pipe, and an error at once.

    The workers are copies of this process where it can be copied safely, see `can_fork`: they are there at once, and
    import nothing again. Elsewhere they are started by a fork server, or spawned.

    Parameters
    ----------
    number : int
        How many processes are started; fewer where the system allows no more, and threads where it allows none.
    preload : str
        The module that every worker imports before its first work. Importing it prepares the work: it imports and
        compiles what is needed. A fork server does this once for all workers.
    """

    def __init__(self, number: int, preload: str):
        self._number = number
        self._preload = preload
        self._threads = thread_pool(number)
        self._lock = threading.Lock()
        self._closed = False
        self._processes: list[BaseProcess] = []
        self._idle = queue.SimpleQueue[Connection]()
        # A server needs up to a second to import everything; submit() works by itself until then
        self._without_processes: Executor | None = CallingThread()
        if can_fork():
            # here and now, before there is any thread
            with _quiet_fork():
                self._start(multiprocessing.get_context("fork"))
        else:
            context = start_server(preload)
            threading.Thread(target=self._start, args=(context,), daemon=True).start()

    def _start(self, context: Any) -> None:
        """Start the workers; where the system allows no more, fewer of them do the work, and threads if there are none."""
        try:
            inherited = []
            for number in range(self._number):
                ours, theirs = context.Pipe()
                if context.get_start_method() == "fork":
                    inherited.append(ours)
                arguments = (theirs, self._preload, number == 0, tuple(inherited))
                process = context.Process(target=_serve, args=arguments, daemon=True)
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
        """Submit to the processes; while none is ready, do the work here and now.

        Parameters
        ----------
        fn : callable
            It and its arguments can be pickled.
        *args, **kwargs
            For ``fn``.

        Returns
        -------
        Future
        """
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
        """End the processes: when all work is done, or at once without ``wait``.

        Parameters
        ----------
        wait : bool
        cancel_futures : bool
            Whether work that has not begun is left undone.
        """
        with self._lock:
            self._closed = True
        if not wait:
            for process in self._processes:
                process.kill()
        self._threads.shutdown(wait=True, cancel_futures=cancel_futures)
        while not self._idle.empty():
            # a worker ends when its pipe does
            self._idle.get().close()
        for process in self._processes:
            process.join()


def can_fork() -> bool:
    """Return whether this process can be copied safely and cheaply: on Linux, while it has one thread, and without PyTorch.

    A copy has no thread but one, so a lock that another thread held would stay locked in it forever. The threads of
    numpy's BLAS do not count: it ends them before a copy is made.

    Returns
    -------
    bool
    """
    return (
        sys.platform == "linux"
        and threading.active_count() == 1
        and threading.current_thread() is threading.main_thread()
        # its own threads and gigabytes of memory are not known here
        and "torch" not in sys.modules
    )


@contextmanager
def _quiet_fork() -> Iterator[None]:
    """Block Ctrl-C in what is forked, and suppress the warning of Python 3.12 about the threads of numpy's BLAS."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def start_server(preload: str) -> Any:
    """Return the context in which workers are started; where there is a fork server, it is started now.

    The server imports and compiles once what all workers need; they are copies of it. Ctrl-C is blocked in it, and so
    in the workers, from their first instruction on: this process ends them.

    Parameters
    ----------
    preload : str
        The module that the server imports.

    Returns
    -------
    multiprocessing.context.BaseContext
    """
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver, resource_tracker

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sodbench.cli", preload])
    # The server must not import from the working directory, where a file may have the name of some module
    safe_path = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        # first, because it unblocks SIGINT
        resource_tracker.ensure_running()
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


def _serve(pipe: Connection, preload: str, is_first: bool, inherited: Sequence[Connection]) -> None:
    """Main function of a worker process: do what comes through the pipe until it ends."""
    # a pipe ends when no process holds its other end any more, this one included
    for connection in inherited:
        connection.close()
    # where it is not blocked
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # a copy of a program would end as the program does
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if not is_first:
        # what they report of themselves, such as that kernels are compiled, is the same for all
        logging.disable()
    # As in the command line: the decoder reports the same with the file's name
    warnings.filterwarnings("ignore", module=r"PIL\.")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    importlib.import_module(preload)
    # kernels and modules stay, so they need not be looked through
    gc.freeze()
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
