"""Work in threads: in order, and broken off at the first error."""

import time

import pytest

from sodbench.parallel import in_threads


def test_results_come_in_the_order_of_the_items() -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number == 0 else 0)
        return number * number

    assert in_threads(slow_first, range(20), "squaring", "numbers", jobs=4) == [
        number * number for number in range(20)
    ]


def test_an_error_leaves_the_rest_undone() -> None:
    begun = []

    def fail(number: int) -> None:
        begun.append(number)
        time.sleep(0.001)
        raise ValueError(number)

    with pytest.raises(ValueError, match="0"):
        in_threads(fail, range(10_000), "failing", "numbers", jobs=2)
    assert len(begun) < 5_000
