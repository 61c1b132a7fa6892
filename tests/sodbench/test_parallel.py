"""The number of workers, and work in threads: in order, and stopped at the first error."""

import time

import pytest

from sodbench import parallel
from sodbench.parallel import in_threads, thread_count, worker_count


def test_results_come_in_the_order_of_the_items() -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number == 0 else 0)
        return number * number

    assert in_threads(slow_first, range(20), "squaring", "numbers", jobs=4) == [
        number * number for number in range(20)
    ]


def test_an_error_leaves_the_rest_undone() -> None:
    started = []

    def fail(number: int) -> None:
        started.append(number)
        time.sleep(0.001)
        raise ValueError(number)

    with pytest.raises(ValueError, match="0"):
        in_threads(fail, range(10_000), "failing", "numbers", jobs=2)
    assert len(started) < 5_000


def test_the_default_is_a_worker_for_each_processor_of_the_share(monkeypatch) -> None:
    monkeypatch.setattr(parallel, "processors", lambda: 64)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert (worker_count(), thread_count()) == (64, 16)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert (worker_count(), thread_count()) == (8, 8)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "100")
    assert (worker_count(), thread_count()) == (1, 1)


def test_a_wanted_number_is_used_unless_there_is_less_work(monkeypatch) -> None:
    monkeypatch.setattr(parallel, "processors", lambda: 2)
    assert [worker_count(150), worker_count(150, items=3), worker_count(items=0)] == [150, 3, 1]


@pytest.fixture
def on_machine(tmp_path, monkeypatch):
    """A machine of 16 processors whose control groups are files of the test."""
    monkeypatch.setattr(parallel, "_SYSTEM", tmp_path)
    monkeypatch.setattr(parallel.os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)

    def make(groups: str, **files: str) -> None:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(groups)
        for name, text in files.items():
            path = tmp_path / "sys/fs/cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return make


def test_without_control_groups_the_bound_processors_count(on_machine, tmp_path) -> None:
    assert not (tmp_path / "proc").exists()
    assert parallel.processors() == 16


@pytest.mark.parametrize(
    ("quota", "number"),
    [("400000 100000", 4), ("250000 100000", 3), ("5000 100000", 1), ("max 100000", 16)],
)
def test_the_quota_of_a_container_limits_the_processors(on_machine, quota, number) -> None:
    on_machine("0::/\n", **{"cpu.max": f"{quota}\n"})
    assert parallel.processors() == number


def test_the_smallest_quota_of_a_group_and_those_above_it_counts(on_machine) -> None:
    files = {"a/cpu.max": "200000 100000", "a/b/cpu.max": "max 100000", "cpu.max": "900000 100000"}
    on_machine("0::/a/b\n", **files)
    assert parallel.processors() == 2


@pytest.mark.parametrize("path", ["/docker/0123", "/"])
def test_the_quota_of_version_1_limits_the_processors(on_machine, path) -> None:
    # a container sees the files of its own group at the top, whatever its path is outside
    files = {"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}
    on_machine(f"5:memory:/x\n4:cpu,cpuacct:{path}\n0::/\n", **files)
    assert parallel.processors() == 3


def test_no_quota_and_odd_files_limit_nothing(on_machine) -> None:
    files = {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n", "cpu.max": "odd"}
    on_machine("4:cpu:/\n0::/\n", **files)
    assert parallel.processors() == 16


def test_a_task_of_slurm_uses_its_processors(on_machine, monkeypatch) -> None:
    on_machine("0::/\n", **{"cpu.max": "800000 100000"})
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    assert parallel.processors() == 4
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "99")
    assert parallel.processors() == 8
