"""Threads, processes and clusters count what one thread counts, and end with the run."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from counting import comparable, write_visits

from sodbench import parallel, processes
from sodbench.cli import main
from sodbench.errors import Problem, SodbenchError
from sodbench.results import Policy
from sodbench.runners.evaluation import workers as workers_module
from sodbench.runners.evaluation.count import Visit, count_visit
from sodbench.runners.evaluation.workers import Workers, command_line_workers

_PRELOAD = "sodbench.runners.evaluation.preload"
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def visits(tmp_path_factory):
    return write_visits(tmp_path_factory.mktemp("visits"))


@pytest.fixture
def folders(visits, tmp_path, monkeypatch):
    """A folder of maps and one of masks in the working directory."""
    for folder, paths in (
        ("maps", [v.maps[0][1] for v in visits]),
        ("gt", [v.mask for v in visits]),
    ):
        (tmp_path / folder).mkdir()
        for path in paths[10:40]:
            (tmp_path / folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=["copies", "fork server"])
def kind(request, monkeypatch):
    """How processes are started: as copies of this one, where it has no threads, or by a server."""
    if request.param == "copies" and sys.platform != "linux":
        pytest.skip("this system has no safe copies of processes")
    # whatever tests ran in this process before: PyTorch, which they may have loaded, has no part in what a copy does
    monkeypatch.setattr(processes, "can_fork", lambda: request.param == "copies")
    return request.param


@pytest.fixture
def always_processes(monkeypatch):
    monkeypatch.setattr(workers_module, "MIN_MAPS_FOR_PROCESSES", 1)
    monkeypatch.setattr(workers_module, "_MIN_MAPS_PER_PROCESS", 1)


def counted(workers, visits, policy=None):
    return comparable(workers.count(visits, policy or Policy()))


# ------------------------------------------------------------------------------------ the same results


@pytest.mark.parametrize(
    "policy",
    [Policy(), Policy(missing="zero", resize="nearest"), Policy(resize="error", weighted=False)],
)
def test_threads_and_a_users_executor_count_the_same(visits, policy):
    expected = comparable(Workers(1).count(visits, policy))
    with ThreadPoolExecutor(2) as executor:
        for workers in (Workers(3), Workers(executor=executor)):
            assert counted(workers, visits, policy) == expected


def test_processes_count_the_same(visits, always_processes, kind):
    policy = Policy(missing="zero", resize="nearest")
    expected = comparable(Workers(1).count(visits, policy), times=30)
    many = visits * 30  # enough for the processes to take over before the end
    assert counted(Workers(3, processes=True), many, policy) == expected


def test_spawned_processes_count_the_same(visits, monkeypatch):
    """As on Windows, which has no fork server."""
    monkeypatch.setattr(processes, "can_fork", lambda: False)
    monkeypatch.setattr(
        processes, "start_server", lambda preload: multiprocessing.get_context("spawn")
    )
    with processes.ProcessExecutor(1, _PRELOAD) as executor:
        pids = (executor.submit(os.getpid).result() for _ in range(10_000) if not time.sleep(0.01))
        assert any(pid != os.getpid() for pid in pids)  # until the process takes over
        values = counted(Workers(executor=executor), visits)
    assert values == counted(Workers(1), visits)


@linux
def test_processes_count_large_runs_and_end_with_them(visits, always_processes, monkeypatch, kind):
    here, this = [], os.getpid()

    def counted_here(*arguments):
        if os.getpid() == this:  # a copy of this process has the same function
            here.append(arguments)
            wait_until(lambda: len(own_children()) >= 2)
        return count_visit(*arguments)

    monkeypatch.setattr("sodbench.runners.evaluation.count.count_visit", counted_here)
    batches = Workers(2, processes=True).count(visits * 60, Policy())
    pids = started_processes(batches)
    assert len(pids) == 2
    assert len(list(batches)) > 10
    assert len(here) < 30 * len(visits)  # the rest was counted elsewhere
    assert wait_until(lambda: not any(map(running, pids)))


def own_children():
    """The worker processes of the tests but for those of the Dask cluster, which may be there already."""
    children = multiprocessing.active_children()
    return [process for process in children if not process.name.startswith("Dask")]


def started_processes(batches):
    """The workers' numbers, as soon as there are two."""
    for _ in batches:
        pids = [process.pid for process in own_children()]
        if len(pids) >= 2:
            return sorted(pids)
    raise AssertionError("no processes were started")


def test_processes_start_early_where_there_will_be_processes(monkeypatch, tmp_path):
    started = []
    executor = parallel.CallingThread()
    monkeypatch.setattr(
        workers_module, "_process_executor", lambda number: started.append(number) or executor
    )
    Workers(2, processes=True).start_early(10)
    Workers(1, processes=True).start_early(5000)
    Workers(2).start_early(5000)
    with ThreadPoolExecutor(1) as own:
        Workers(2, own, processes=True).start_early(5000)
    for folder in (tmp_path / "missing", tmp_path):
        Workers(2, processes=True).start_for(folder)
    assert not started
    with Workers(2, processes=True) as workers:
        workers.start_early(5000)
        workers.start_early(5000)
    (tmp_path / "a" / "b").mkdir(parents=True)
    for number in range(5):
        (tmp_path / f"a/b/{number}.png").touch()
    monkeypatch.setattr(workers_module, "MIN_MAPS_FOR_PROCESSES", 4)
    monkeypatch.setattr(workers_module, "_MIN_MAPS_PER_PROCESS", 1)
    with Workers(4, processes=True) as workers:
        workers.start_for(tmp_path)
    assert started == [2, 4]


def test_processes_that_start_early_count_every_dataset_and_end_once(visits, always_processes):
    expected = comparable(Workers(1).count(visits, Policy()), times=4)
    with Workers(2, processes=True) as workers:
        workers.start_early(1000)
        # they appear one after the other, and the work does not wait for them
        deadline = time.monotonic() + 60
        while len(own_children()) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        children = set(own_children())
        for _ in range(2):
            assert counted(workers, visits * 4) == expected
        assert set(own_children()) == children
    assert not own_children()


@linux
def test_small_runs_and_library_calls_start_no_processes(visits, monkeypatch):
    monkeypatch.setattr(workers_module, "_process_executor", lambda number: 1 / 0)
    counted(Workers(2, processes=True), visits)
    monkeypatch.setattr(workers_module, "MIN_MAPS_FOR_PROCESSES", 1)
    counted(Workers(2), visits)


@pytest.mark.parametrize(("n_maps", "processes", "number"), [(200, True, 2), (200, False, 25)])
def test_there_are_no_more_workers_than_the_work_needs(
    visits, monkeypatch, n_maps, processes, number
):
    monkeypatch.setattr(workers_module, "MIN_MAPS_FOR_PROCESSES", 1)
    started = []
    for name in ("_process_executor", "thread_pool"):
        monkeypatch.setattr(
            workers_module, name, lambda n: started.append(n) or parallel.CallingThread()
        )
    _, mask, ((_, map_), *_) = visits[0]
    counted(Workers(150, processes=processes), [Visit("a", mask, ((0, map_),))] * n_maps)
    assert started == [number]


# ---------------------------------------------------------------------------------------- what goes wrong


@linux
def test_a_killed_worker_is_one_error_after_what_was_counted(visits, always_processes, kind):
    batches = Workers(2, processes=True).count(visits * 1000, Policy())
    victim, other = started_processes(batches)
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(SodbenchError, match="fewer workers"):
        list(batches)
    assert wait_until(lambda: not running(other))


@pytest.mark.parametrize("fault", ["limit", "server", "first worker", "second worker"])
def test_fewer_workers_or_threads_count_where_processes_cannot_be_started(
    visits, always_processes, monkeypatch, kind, fault
):
    expected = comparable(Workers(1).count(visits, Policy()), times=4)
    context = multiprocessing.context
    started_by = context.ForkProcess if kind == "copies" else context.ForkServerProcess
    real, started = started_by.start, []

    def start(process):
        started.append(process)
        if fault == "first worker" or len(started) == 2:
            raise OSError("Resource temporarily unavailable")
        real(process)

    if fault == "limit":
        monkeypatch.setattr(processes, "startable_threads", lambda wanted: wanted - 1)
        monkeypatch.setattr(processes, "ProcessExecutor", lambda *_: 1 / 0)
    elif fault == "server":
        monkeypatch.setattr(processes, "can_fork", lambda: False)
        monkeypatch.setattr(processes, "start_server", lambda preload: Path("/nowhere").stat())
    else:
        monkeypatch.setattr(started_by, "start", start)
    assert counted(Workers(2, processes=True), visits * 4) == expected
    assert len(started) == {"first worker": 1, "second worker": 2}.get(fault, 0)


KILL_WHILE_SENDING = """
import os, signal
from multiprocessing.connection import Connection

def send_half(self, message):
    os.write(self._handle, bytes(message[: len(message) // 2]))
    os.kill(os.getpid(), signal.SIGKILL)

Connection._send = send_half
"""


@linux
def test_a_worker_killed_while_it_sends_a_result_is_an_error_too(kind):
    """Half a message is in the pipe then, and the other half never comes."""
    executor = processes.ProcessExecutor(2, _PRELOAD)
    try:
        assert wait_until(lambda: len(executor._processes) == 2)
        future = executor.submit(exec, KILL_WHILE_SENDING, {})
        with pytest.raises(BrokenExecutor):
            future.result(60)
    finally:
        executor.shutdown(wait=False)


@linux
def test_a_run_that_is_given_up_ends_its_workers(visits, always_processes, kind):
    batches = Workers(2, processes=True).count(visits * 1000, Policy())
    pids = started_processes(batches)
    batches.close()
    assert wait_until(lambda: not any(map(running, pids)))


def test_a_run_may_be_given_up_before_its_processes_are_ready(visits, always_processes, kind):
    batches = Workers(2, processes=True).count(visits * 1000, Policy())
    next(batches)
    batches.close()


def test_threads_stop_within_a_work_item(visits, monkeypatch):
    calls = []

    def slow(visit, policy, folder, scheme):
        calls.append(visit)
        time.sleep(0.01)
        return [Problem("unreadable", "map.png", "slow")] * len(visit.maps)

    monkeypatch.setattr("sodbench.runners.evaluation.count.count_visit", slow)
    others = set(threading.enumerate())
    batches = Workers(2).count(visits * 50, Policy())
    next(batches)
    batches.close()
    number = len(calls)
    for thread in set(threading.enumerate()) - others:
        thread.join()
    # each of the two may have had one visit before it
    assert len(calls) <= number + 2


ENDLESS = """
import sys
from pathlib import Path
from sodbench.cli import main
from sodbench.runners.evaluation import workers
from sodbench.runners.evaluation.count import Batch
count = workers.Workers.count
def endless(self, visits, policy, scoring):
    for number, _ in enumerate(count(self, visits * 20_000, policy, scoring)):
        if number > 20:
            print("counting", flush=True)
        yield Batch(0, {}, (), {})
workers.Workers.count = endless
workers.MIN_MAPS_FOR_PROCESSES = workers._MIN_MAPS_PER_PROCESS = 1
if sys.argv[1] == "server":
    from sodbench import processes
    processes.can_fork = lambda: False
sys.exit(main(["eval", "maps", "gt", "--jobs", "2"]))
"""


@linux
@pytest.mark.parametrize(
    ("number", "how", "n_processes"),
    [
        (signal.SIGKILL, "copies", 3),
        (signal.SIGTERM, "copies", 3),
        (signal.SIGINT, "copies", 3),
        # with the server and the resource tracker
        (signal.SIGKILL, "server", 5),
        (signal.SIGINT, "server", 5),
    ],
)
def test_no_process_outlives_the_run(folders, number, how, n_processes):
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS, how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as process:
        assert process.stdout.readline() == "counting\n"
        # kernels may have to be compiled first
        assert wait_until(lambda: len(members(process.pid)) == n_processes)
        group = members(process.pid)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as Ctrl-C does
        else:
            process.send_signal(number)
        # else it would be waited for
        too_long = threading.Timer(120, process.kill)
        too_long.start()
        _, errors = process.communicate()
        too_long.cancel()
        assert wait_until(lambda: not any(map(running, group)))
    lines = [line for line in errors.splitlines() if not line.startswith("maps on ")]
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert len(lines) == 1 and lines[0].startswith("sodbench: interrupted; nothing was stored")
    else:
        assert process.returncode == -number and not lines


def all_processes():
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def members(group):
    return [pid for pid in all_processes() if own(pid, group)]


def own(pid, group):
    try:
        return os.getpgid(pid) == group
    except ProcessLookupError:
        return False


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


# ------------------------------------------------------------------------------------------------- Dask


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster


@linux
def test_a_dask_cluster_counts_the_same_although_a_worker_is_killed(visits, cluster):
    expected = comparable(Workers(1).count(visits, Policy()), times=20)
    with command_line_workers(None, cluster.scheduler_address) as workers:
        batches = workers.count(visits * 20, Policy())
        counted = [next(batches)]
        os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
        counted += batches
    assert comparable(counted) == expected


def test_eval_on_a_dask_cluster_prints_what_one_process_prints(cluster, folders, capsys):
    command = ["eval", "maps", "gt", "--format", "json"]
    assert main([*command, "--jobs", "1"]) == 0
    alone = capsys.readouterr().out
    assert main([*command, "--dask", cluster.scheduler_address]) == 0
    assert capsys.readouterr().out == alone


@pytest.mark.parametrize("command", [["eval", "maps", "gt"], ["run", "--sample", "-o", "out"]])
def test_no_scheduler_at_the_address_is_one_error(command, folders, capsys, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(workers_module, "_DASK_TIMEOUT_S", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        assert main([*command, "--dask", address]) == 2
        (error,) = [
            line for line in capsys.readouterr().err.splitlines() if line.startswith("sodbench:")
        ]
        assert error.startswith(f"sodbench: error: {address}: no Dask scheduler answers there")


def test_a_missing_dask_is_one_line(folders, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["eval", "maps", "gt", "--dask", "tcp://127.0.0.1:9"]) == 2
    assert "pip install 'sodbench[dask]'" in capsys.readouterr().err


def test_workers_with_another_version_are_refused(cluster, monkeypatch):
    monkeypatch.setattr("sodbench.version.__version__", "9.9")
    with (
        pytest.raises(SodbenchError, match=r"has sodbench .*, and this is 9\.9"),
        command_line_workers(None, cluster.scheduler_address),
    ):
        pass


def test_workers_without_sodbench_are_refused():
    class Client:
        def run(self, function):
            raise ModuleNotFoundError("No module named 'sodbench'", name="sodbench")

    with pytest.raises(SodbenchError, match="not installed on the workers"):
        workers_module._check_dask_workers(Client(), "tcp://10.0.0.1:8786")


def test_nothing_to_count_starts_and_compiles_nothing(monkeypatch):
    monkeypatch.setattr(workers_module, "warm_up_kernels", lambda: 1 / 0)
    assert counted(Workers(2, processes=True), []) == ({}, [])
