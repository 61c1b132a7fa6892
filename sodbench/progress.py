"""Progress bars and messages for long work.

Bars (tqdm) appear on a terminal and nowhere else; messages go to standard error, so that standard
output holds results only.
"""

import sys
from collections.abc import Iterable, Iterator, Sized
from typing import Any, TypeVar

from tqdm import tqdm

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


def say(message: str) -> None:
    """One line on standard error, above any bar."""
    if not _quiet:
        tqdm.write(message, file=sys.stderr)
