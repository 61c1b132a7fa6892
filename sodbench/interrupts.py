"""Ctrl-C: held where it must not come, and never lost: it always ends a command, with the documented status."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# The callback in which Ctrl-C was lost has ended by then
_AGAIN_S = 0.01


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


def is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C is what an exception comes from.

    Compiled code and some of Python's own raise another error from it; others fail to clean up after it.

    Parameters
    ----------
    error : BaseException, optional

    Returns
    -------
    bool
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


@contextmanager
def no_lost_interrupts() -> Iterator[None]:
    """Repeat Ctrl-C in the block where it came within a callback, in which Python reports and forgets any exception.

    Callbacks of weak references are such, of which every import has some, and functions that C libraries call.
    """
    report = sys.unraisablehook

    def repeat_or_report(unraisable: Any) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            again = threading.Timer(_AGAIN_S, _interrupt_main_thread)
            again.daemon = True
            again.start()
        else:
            report(unraisable)

    sys.unraisablehook = repeat_or_report
    try:
        yield
    finally:
        sys.unraisablehook = report


def _interrupt_main_thread() -> None:
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGINT)
    else:
        # this one also ends what the thread waits for
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def end_by_status() -> None:
    """Let this process end with the status that it returns, although Ctrl-C has interrupted it.

    Where Ctrl-C came while a string was executed, as dataclasses do it, Python would end this process by SIGINT,
    whatever was caught since. It keeps that in mind until a string is executed again.
    """
    exec("")  # noqa: S102
