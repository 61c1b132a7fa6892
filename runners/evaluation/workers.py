"""Who counts: this thread, threads, processes, or any executor that a user provides.

Threads serve small runs and library calls. The command line counts large runs in processes, because threads wait for
each other whenever a kernel returns to the interpreter. A library call cannot do that by itself: a process imports
the user's script again, which is only safe if the script is written for it.
"""

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

from sodbench.errors import SodbenchError
from sodbench.metrics.catalogue import registered_formulas
from sodbench.metrics.compiled import have_cache
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

    Raises
    ------
    SodbenchError
        For a number of jobs that is none.
    """

    jobs: int | None = None
    executor: Executor | None = None
    processes: bool = False

    def __post_init__(self) -> None:
        if self.jobs is not None and not _is_positive_integer(self.jobs):
            raise SodbenchError(f"jobs is {self.jobs!r}, but must be a whole number of at least 1")

    def start_early(self, n_maps: int) -> None:
        """Start what worker processes are copied from while this process still looks at files; it takes half a second.

        Parameters
        ----------
        n_maps : int
            How many maps will probably be counted.
        """
        if self.executor is None and self._number(n_maps) > 1 and self._uses_processes(n_maps):
            from sodbench.runners.evaluation.processes import start_server

            # where it cannot be started, threads count
            with suppress(OSError):
                start_server()

    def _uses_processes(self, n_maps: int) -> bool:
        return self.processes and n_maps >= MIN_MAPS_FOR_PROCESSES and have_cache()

    def _number(self, n_maps: int) -> int:
        """How many workers a number of maps is worth."""
        least = _MIN_MAPS_PER_PROCESS if self._uses_processes(n_maps) else _MIN_MAPS_PER_THREAD
        return worker_count(self.jobs, items=n_maps // least)

    def count(
        self, visits: Sequence[Visit], policy: Policy, scoring: Scoring | None = None
    ) -> Generator[Batch, None, None]:
        """Count all visits, see `count_pairs`; closing the generator ends the workers.

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
        warm_up_kernels()
        n_maps = sum(len(visit.maps) for visit in visits)
        number = self._number(n_maps)
        if number == 1:
            yield from count_pairs(visits, policy)
            return
        in_processes = self._uses_processes(n_maps)
        executor = _process_executor(number) if in_processes else thread_pool(number)
        finished = False
        try:
            # worker processes do not have the formulas that this process has registered
            own = scoring if in_processes and not registered_formulas() else None
            counted = count_pairs(visits, policy, executor, workers=number, scoring=own)
            with closing(counted) as batches:
                yield from batches
            finished = True
        finally:
            executor.shutdown(wait=finished, cancel_futures=True)


def _is_positive_integer(value: object) -> bool:
    return isinstance(value, Integral) and int(value) >= 1


def _process_executor(number: int) -> Executor:
    from sodbench.runners.evaluation.processes import (
        # multiprocessing is slow to import
        process_executor,
    )

    return process_executor(number)


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
