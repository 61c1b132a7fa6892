"""Progress bars and messages for long work.

Bars (tqdm) appear on a terminal and nowhere else; messages go to standard error, so that standard
output holds results only.
"""

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sized
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tqdm import tqdm

S = TypeVar("S")
T = TypeVar("T")

_quiet = False


def set_quiet(quiet: bool) -> None:
    """Silence bars and messages (``--quiet``); errors are still printed."""
    global _quiet
    _quiet = quiet


def bar(total: int | None, description: str, unit: str = "it", **options: Any) -> "tqdm[Any]":
    """A tqdm bar to be updated by hand; shows nothing when quiet or when stderr is no terminal."""
    return tqdm(
        total=total,
        desc=description,
        unit=unit,
        disable=True if _quiet else None,
        dynamic_ncols=True,
        **options,
    )


def track(items: Iterable[T], description: str, unit: str = "it") -> Iterator[T]:
    """Iterate with a bar."""
    total = len(items) if isinstance(items, Sized) else None
    with bar(total, description, unit) as progress:
        for item in items:
            yield item
            progress.update()


def processors() -> int:
    """How many processors this process may use; on a shared machine that can be fewer than it has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_threads(
    work: Callable[[S], T],
    items: Collection[S],
    description: str,
    unit: str,
    jobs: int | None = None,
) -> list[T]:
    """``work`` done on every item in threads (default: one a processor), with a bar; results in the items' order.

    What ``work`` raises is raised here, and what has not begun by then is left undone.
    """
    results = []
    pool = ThreadPoolExecutor(jobs or processors())
    try:
        with bar(len(items), description, unit) as progress:
            for result in pool.map(work, items):
                results.append(result)
                progress.update()
    finally:
        pool.shutdown(cancel_futures=True)
    return results


def say(message: str) -> None:
    """One line on standard error, above any bar."""
    if not _quiet:
        tqdm.write(message, file=sys.stderr)


def warn(message: str) -> None:
    """Print one line on standard error, above any bar, even when quiet."""
    tqdm.write(message, file=sys.stderr)
