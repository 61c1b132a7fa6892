"""Counting by threads and by the processes that help them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sodbench.errors import Problem
from sodbench.images import write_grey
from sodbench.metrics import compile_kernels
from sodbench.runners import counting
from sodbench.runners.counting import Counted, Helper, Policy, Visit, count

linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux only")


@pytest.fixture
def visits(tmp_path):
    """Forty masks with three maps each, and one of everything that can be wrong."""
    compile_kernels()
    rng = np.random.default_rng(0)
    found = []
    for number in range(40):
        mask, maps = tmp_path / f"gt/{number:02d}.png", []
        size = (20 + number, 31)
        write_grey(mask, np.where(rng.random(size) < 0.4, 255, 0).astype(np.uint8))
        for method in range(3):
            path = tmp_path / f"m{method}/{number:02d}.png"
            write_grey(path, rng.integers(0, 256, size if number != 9 else (7, 8), np.uint8))
            maps.append((method, path))
        found.append(Visit(f"{number:02d}", mask, tuple(maps)))
    (tmp_path / "m1/05.png").write_bytes(b"no picture")
    (tmp_path / "m2/06.png").unlink()
    (tmp_path / "gt/07.png").write_bytes(b"")
    return found


def outcomes(visits, policy, jobs):
    return [pair for done in count(visits, policy, jobs) for pair in done]


@pytest.mark.parametrize(
    "policy",
    [Policy(), Policy(missing="zero", resize="nearest"), Policy(resize="error", weighted=False)],
)
def test_threads_and_processes_count_what_one_thread_counts(visits, policy, monkeypatch):
    expected = outcomes(visits, policy, 1)
    assert [visit for visit, _ in expected] == visits
    for much in (10**9, 1):
        monkeypatch.setattr(counting, "MUCH", much)
        found = outcomes(visits, policy, 3)
        assert [visit for visit, _ in found] == visits
        for (_, ours), (_, theirs) in zip(found, expected, strict=True):
            assert list(map(comparable, ours)) == list(map(comparable, theirs))


def comparable(outcome):
    if isinstance(outcome, Problem):
        return outcome
    matlab = outcome.matlab_joint
    return outcome.pair, outcome.problem, None if matlab is None else matlab.tobytes()


@linux
def test_it_is_the_processes_that_count(visits, monkeypatch):
    monkeypatch.setattr(counting, "MUCH", 1)
    real, here = counting._visit, os.getpid()
    monkeypatch.setattr(
        counting, "_visit", lambda *a: [os.getpid()] if os.getpid() != here else real(*a)
    )
    workers = {answers[0] for _, answers in outcomes(visits, Policy(), 2)}
    assert len(workers) == 2 and here not in workers
    assert not any(map(running, workers))


@linux
def test_what_a_killed_helper_was_counting_is_counted_here(visits, monkeypatch):
    monkeypatch.setattr(counting, "MUCH", 1)
    expected = outcomes(visits, Policy(), 1)
    real, here = counting._visit, os.getpid()

    def fragile(visit, policy):
        if os.getpid() != here and visit.stem == "11":
            os.kill(os.getpid(), signal.SIGKILL)
        return real(visit, policy)

    monkeypatch.setattr(counting, "_visit", fragile)
    found = outcomes(visits, Policy(), 2)
    assert [len(o) for _, o in found] == [len(o) for _, o in expected]
    assert all(isinstance(o, Counted) for o in found[11][1])


@linux
def test_what_goes_wrong_in_a_helper_is_raised(visits, monkeypatch):
    monkeypatch.setattr(counting, "MUCH", 1)
    monkeypatch.setattr(counting, "_visit", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        outcomes(visits, Policy(), 2)


@linux
def test_helpers_hold_none_of_our_files(visits, tmp_path):
    """Else a killed run's lock on its journal would live on in them."""
    with (tmp_path / "open").open("w"):
        helpers = Helper.some(2, visits, Policy())
        try:
            assert len(helpers) == 2
            assert len(helpers[0].count(range(3, 5))) == 2 and helpers[1].count(range(0)) == []
            for helper in helpers:
                files = [str(f.readlink()) for f in Path(f"/proc/{helper._process}/fd").iterdir()]
                assert str(tmp_path / "open") not in files
        finally:
            Helper.close_all(helpers)
    assert not any(running(helper._process) for helper in helpers)
    assert helpers[0].count(range(1)) is None


@linux
def test_no_memory_for_processes_means_none(monkeypatch):
    def fork():
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert Helper.some(2, [], Policy()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


ENDLESS = """
import sys, time
from pathlib import Path
from sodbench.runners import counting
counting.MUCH = 1
counting._visit = lambda visit, policy: time.sleep(0.01) or [1]
visits = [counting.Visit(str(i), Path("x"), ((0, None),)) for i in range(100_000)]
for done in counting.count(visits, counting.Policy(), 2):
    print("counting", flush=True)
"""


@linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_helpers_end_with_the_run(number):
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stdout.readline() == b"counting\n"
        group = [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and own(int(entry.name), process.pid)
        ]
        assert len(group) == 3
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as Ctrl-C does
        else:
            process.send_signal(number)
        began = time.monotonic()
        process.wait(20)
        while any(map(running, group)) and time.monotonic() < began + 20:
            time.sleep(0.01)
        assert not any(map(running, group))


def own(process, group):
    try:
        return os.getpgid(process) == group
    except ProcessLookupError:
        return False


def running(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
