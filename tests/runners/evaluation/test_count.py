"""Counting visits: the same counts from any executor, in order, with bounded memory."""

import subprocess
import sys
import threading
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from counting import comparable, write_visits
from PIL import Image

from sodbench.errors import SodbenchError
from sodbench.images import write_grey
from sodbench.parallel import CallingThread
from sodbench.results import Policy
from sodbench.runners.evaluation.count import (
    Batch,
    CountedPair,
    Visit,
    count_pairs,
    count_visit,
)


@pytest.fixture
def visits(tmp_path):
    return write_visits(tmp_path)


@pytest.mark.parametrize(
    "policy",
    [Policy(), Policy(missing="zero", resize="nearest"), Policy(resize="error", weighted=False)],
)
def test_any_executor_gives_the_same_counts_in_order(visits, policy):
    expected = comparable(count_pairs(visits, policy))
    stems = [visit.stem for visit in visits]
    # one mask cannot be read, and the maps of another have a size of their own
    missed = {"07", "09"} if policy.resize == "error" else {"07"}
    assert [stem for (stem,), _ in expected[0][0]] == [s for s in stems if s not in missed]
    with ThreadPoolExecutor(3) as threads:
        for executor in (threads, CallingThread()):
            assert comparable(count_pairs(visits, policy, executor, workers=3)) == expected


def test_relative_paths_start_at_the_given_folder(visits, tmp_path, monkeypatch):
    pairs, problems = comparable(count_pairs(visits, Policy()))
    below = [
        Visit(
            visit.stem,
            visit.mask.relative_to(tmp_path),
            tuple((task, map_.relative_to(tmp_path)) for task, map_ in visit.maps),
        )
        for visit in visits
    ]
    assert not below[0].mask.exists()
    own_pairs, own_problems = comparable(
        count_pairs(below, Policy(), CallingThread(), folder=tmp_path)
    )
    assert own_pairs == pairs
    for own, other in zip(own_problems, problems, strict=True):
        # a problem names the file as the user gave it
        file = str(Path(other.problem.file).relative_to(tmp_path))
        assert own == other._replace(problem=replace(other.problem, file=file))


class Deferred(Executor):
    """Starts nothing until it is asked to; then the fourth item fails, after all others are done."""

    def __init__(self, error, expected=1):
        self.error = error
        self.calls = []
        # set with as many calls as are expected
        self.full = threading.Event()
        self._expected = expected

    def submit(self, fn, /, *arguments):
        self.calls.append((future := Future(), fn, arguments))
        if len(self.calls) == self._expected:
            self.full.set()
        return future

    def finish(self):
        self.full.wait()
        failing, *_ = self.calls.pop(3)
        for future, fn, arguments in self.calls:
            future.set_result(fn(*arguments))
        failing.set_exception(self.error)


def test_only_a_bounded_number_of_items_waits(visits):
    executor = Deferred(None, expected=2 * 2 + 1)
    batches = count_pairs(visits * 20, Policy(), executor, workers=2)
    thread = threading.Thread(target=next, args=(batches,), daemon=True)
    thread.start()
    assert executor.full.wait(60)
    # one that submits more does so in no time
    thread.join(0.1)
    assert thread.is_alive() and len(executor.calls) == 2 * 2 + 1
    future, _, (item, *_) = executor.calls[0]
    future.set_result(Batch(len(item), {}, (), {}))
    thread.join()
    assert len(executor.calls) == 5


@pytest.mark.parametrize(
    ("error", "raised"),
    [(ZeroDivisionError(), ZeroDivisionError), (BrokenExecutor(), SodbenchError)],
)
def test_what_other_workers_have_finished_is_kept_when_one_fails(visits, error, raised):
    executor = Deferred(error, expected=2 * 4 + 1)
    batches = count_pairs(visits, Policy(), executor, workers=4)
    finish = threading.Thread(target=executor.finish)
    finish.start()
    kept = []
    with pytest.raises(raised):
        kept.extend(batches)
    finish.join()
    # some may have been submitted too late, and never begun
    assert len(kept) >= 4
    assert kept == [future.result() for future, *_ in executor.calls if not future.cancelled()]


COMPILED = """
import sys
from pathlib import Path
import numba
from sodbench.results import Policy
from sodbench.runners.evaluation.count import Visit, count_visit, warm_up_kernels
warm_up_kernels()
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
        count_visit(Visit(gt.stem, gt, maps), Policy(weighted=weighted))
"""


def test_after_the_warm_up_nothing_is_left_to_compile(visits, tmp_path):
    """Worker processes are copies of a process that has warmed up; none of them should compile."""
    rng = np.random.default_rng(1)
    write_grey(tmp_path / "gt/08.png", rng.integers(0, 256, (28, 31), np.uint8))
    Image.fromarray(rng.random((25, 31)) < 0.4).save(tmp_path / "gt/05.png")
    Image.fromarray(rng.integers(0, 256, (30, 31, 3), np.uint8)).save(tmp_path / "m0/10.png")
    ran = subprocess.run(
        [sys.executable, "-c", COMPILED], check=False, cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr


def test_an_unreadable_map_counts_as_black_where_missing_maps_do(visits):
    (problem,) = [o for v in visits for o in count_visit(v, Policy()) if v.stem == "05"][1:2]
    black = count_visit(visits[5], Policy(missing="zero"))[1]
    assert isinstance(black, CountedPair) and black.problem == problem
