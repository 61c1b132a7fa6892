"""Who counts: this thread, threads, processes, or any executor that a user provides.

Threads serve small runs and library calls. The command line counts large runs in processes, because threads wait for
each other whenever a kernel returns to the interpreter. A library call cannot do that by itself: a process imports
the user's script again, which is only safe if the script is written for it.
"""

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple, Self

from sodbench.errors import SodbenchError
from sodbench.folders import count_files
from sodbench.metrics.compiled import have_cache, is_code_kept
from sodbench.metrics.registration import registered_formulas
from sodbench.parallel import thread_pool, worker_count
from sodbench.results import Policy
from sodbench.runners.evaluation.count import (
    Batch,
    Scoring,
    Visit,
    count_pairs,
    warm_up_kernels,
)

# Below this number of maps, processes take longer to start than they save
MIN_MAPS_FOR_PROCESSES = 1000
# A worker with fewer maps than this costs more time to start than it saves
_MIN_MAPS_PER_THREAD, _MIN_MAPS_PER_PROCESS = 8, 100
_DASK_TIMEOUT_S = 10


@dataclass
class Workers:
    """What counts the pairs of an evaluation; the results do not depend on it.

    As a context manager, it ends the processes that `start_early` started.

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

    Raises
    ------
    SodbenchError
        For a number of jobs that is none.
    """

    jobs: int | None = None
    executor: Executor | None = None
    processes: bool = False
    _started: "_Pool | None" = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.jobs is not None and not _is_positive_integer(self.jobs):
            raise SodbenchError(f"jobs is {self.jobs!r}, but must be a whole number of at least 1")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start_for(self, folder: Path) -> None:
        """Start worker processes for the files below a folder while it is not known yet which of them will be counted.

        Parameters
        ----------
        folder : Path
            The folder of the maps; it need not exist.
        """
        if self.executor is None and self.processes and self._started is None:
            enough = max(MIN_MAPS_FOR_PROCESSES, _MIN_MAPS_PER_PROCESS * worker_count(self.jobs))
            self.start_early(count_files(folder, enough))

    def start_early(self, n_maps: int) -> None:
        """Start worker processes while this process still looks at files: they need a tenth of a second.

        Parameters
        ----------
        n_maps : int
            How many maps will probably be counted.
        """
        if self.executor or self._started or not self._uses_processes(n_maps):
            return
        if self._number(n_maps) > 1:
            if not is_code_kept():
                # once, instead of in every process; afterwards it is known whether the code can be kept
                warm_up_kernels()
            if self._uses_processes(n_maps):
                self._started = self._start(n_maps)

    def close(self) -> None:
        """End the processes that were started early; what is counted later starts others."""
        if self._started:
            self._started.executor.shutdown()
            self._started = None

    def _uses_processes(self, n_maps: int) -> bool:
        return self.processes and n_maps >= MIN_MAPS_FOR_PROCESSES and have_cache()

    def _number(self, n_maps: int) -> int:
        """How many workers count a number of maps in the least time."""
        least = _MIN_MAPS_PER_PROCESS if self._uses_processes(n_maps) else _MIN_MAPS_PER_THREAD
        return worker_count(self.jobs, items=n_maps // least)

    def _start(self, n_maps: int) -> "_Pool":
        number = self._number(n_maps)
        if self._uses_processes(n_maps):
            return _Pool(_process_executor(number), number, are_processes=True)
        warm_up_kernels()
        return _Pool(thread_pool(number), number, are_processes=False)

    def count(
        self, visits: Sequence[Visit], policy: Policy, scoring: Scoring | None = None
    ) -> Generator[Batch, None, None]:
        """Count all visits, see `count_pairs`; closing the generator before its end ends the workers.

        Parameters
        ----------
        visits : sequence of Visit
        policy : Policy
        scoring : Scoring, optional
            What worker processes may compute besides, see `count_pairs`.

        Yields
        ------
        Batch

        Raises
        ------
        SodbenchError
            If a worker ended before it had finished.
        """
        if self.executor:
            # an executor does not report how many workers it has
            number = self.jobs or 64
            yield from count_pairs(visits, policy, self.executor, workers=number, folder=Path.cwd())
            return
        if not visits:
            return
        n_maps = sum(len(visit.maps) for visit in visits)
        if not self._started and self._number(n_maps) == 1:
            warm_up_kernels()
            yield from count_pairs(visits, policy)
            return
        pool = self._started or self._start(n_maps)
        finished = False
        try:
            # worker processes do not have the formulas that this process has registered
            own = scoring if pool.are_processes and not registered_formulas() else None
            counted = count_pairs(visits, policy, pool.executor, workers=pool.number, scoring=own)
            with closing(counted) as batches:
                yield from batches
            finished = True
        finally:
            if not finished or pool is not self._started:
                self._started = None
                pool.executor.shutdown(wait=finished, cancel_futures=True)


class _Pool(NamedTuple):
    """Workers that were started."""

    executor: Executor
    number: int
    are_processes: bool


def _is_positive_integer(value: object) -> bool:
    return isinstance(value, Integral) and int(value) >= 1


def _process_executor(number: int) -> Executor:
    # the workers are copies of this process, and would each take a fifth of a second to import it
    import numba  # noqa: F401

    # multiprocessing is slow to import
    from sodbench.processes import process_executor

    return process_executor(number, "sodbench.runners.evaluation.preload")


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
        with Workers(jobs, processes=True) as workers:
            yield workers
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
