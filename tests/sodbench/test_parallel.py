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
