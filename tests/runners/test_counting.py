"""Counting by threads and by the processes that help them."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from numba.core.compiler_lock import global_compiler_lock
from PIL import Image

from sodbench.errors import Problem
from sodbench.images import write_grey
from sodbench.metrics import compile_kernels
from sodbench.results import Policy
from sodbench.runners.evaluation import count as counting
from sodbench.runners.evaluation.count import Counted, Helper, Visit, count

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
@pytest.mark.parametrize("answer", [signal.SIG_IGN, lambda *_: os.waitpid(-1, os.WNOHANG)])
def test_a_program_may_let_its_children_go_itself(visits, monkeypatch, answer):
    monkeypatch.setattr(counting, "MUCH", 1)
    expected = outcomes(visits, Policy(), 1)
    before = signal.signal(signal.SIGCHLD, answer)
    try:
        found = outcomes(visits, Policy(), 2)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert [len(o) for _, o in found] == [len(o) for _, o in expected]


COMPILED = """
import sys
from pathlib import Path
import numba
import numpy as np
from sodbench.results import Policy
from sodbench.runners.evaluation import count as counting
counting.get_ready()
kernels = [
    thing
    for name, module in list(sys.modules.items()) if name.startswith("sodbench")
    for thing in vars(module).values() if isinstance(thing, numba.core.dispatcher.Dispatcher)
]
assert len(kernels) > 10
for kernel in kernels:
    kernel._can_compile = False  # disable_compile() wants to have been compiled already
for gt in sorted(Path("gt").iterdir()):
    maps = tuple((i, Path(f"m{i}") / gt.name) for i in range(3))
    for weighted in (True, False):
        counting._visit(counting.Visit(gt.stem, gt, maps), Policy(weighted=weighted))
"""


def test_after_get_ready_nothing_is_left_to_compile(visits, tmp_path):
    """A copy of the process must not need the compiler, whose lock another thread may have held."""
    rng = np.random.default_rng(1)
    write_grey(tmp_path / "gt/08.png", rng.integers(0, 256, (28, 31), np.uint8))
    Image.fromarray(rng.random((25, 31)) < 0.4).save(tmp_path / "gt/05.png")
    Image.fromarray(rng.integers(0, 256, (30, 31, 3), np.uint8)).save(tmp_path / "m0/10.png")
    ran = subprocess.run(
        [sys.executable, "-c", COMPILED], check=False, cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr


@linux
def test_helpers_are_made_while_another_thread_compiles(visits):
    """They are copied when it is done, not with a lock that nobody will release."""
    held, release = threading.Event(), threading.Event()

    def compiling():
        with global_compiler_lock:
            held.set()
            release.wait(20)

    thread = threading.Thread(target=compiling)
    thread.start()
    held.wait(20)
    threading.Timer(0.2, release.set).start()
    helpers = Helper.some(1, visits, Policy())
    try:
        assert release.is_set() and len(helpers[0].count(range(2))) == 2
    finally:
        Helper.close_all(helpers)
        thread.join()


@linux
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_while_processes_are_copied_is_not_lost(visits, monkeypatch, threads):
    """An exception within os.fork is printed and forgotten; of several threads any may get the signal."""
    real, copies = os.fork, []

    def fork():
        if not copies:
            os.kill(os.getpid(), signal.SIGINT)
        process = real()
        copies.append(process)
        return process

    monkeypatch.setattr(os, "fork", fork)
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    if threads == 2:
        other.start()
    with pytest.raises(KeyboardInterrupt):
        Helper.some(3, visits, Policy())
    done.set()
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    assert len(copies) == 3 and not any(map(running, copies))
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


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
from sodbench.results import Policy
from sodbench.runners.evaluation import count as counting
counting.MUCH = 1
counting._visit = lambda visit, policy: time.sleep(0.01) or [1]
visits = [counting.Visit(str(i), Path("x"), ((0, None),)) for i in range(100_000)]
for done in counting.count(visits, Policy(), 2):
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
