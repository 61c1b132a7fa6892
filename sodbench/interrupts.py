"""Ctrl-C where it must not come: held until a block has ended."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def held_interrupts() -> Iterator[list[tuple[Any, ...]]]:
    """Collect Ctrl-C in the block, instead of being interrupted by it.

    Yields
    ------
    list of tuple
        The arguments of the handler for each one that came. It stays empty in other threads than the main one, which
        are not interrupted and cannot change what a signal does, and where Ctrl-C calls nothing in Python.
    """
    came: list[tuple[Any, ...]] = []
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield came
        return
    signal.signal(signal.SIGINT, lambda *arguments: came.append(arguments))
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)
