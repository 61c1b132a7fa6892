"""Progress bars and messages for long work.

Bars (tqdm) appear on a terminal and nowhere else; messages go to standard error, so that standard
output holds results only.
"""

import sys
from collections.abc import Iterable, Iterator, Sized
from contextlib import suppress
from typing import Any, TypeVar

from tqdm import tqdm

from sodbench.errors import SodbenchError
from sodbench.quoting import printable, printable_lines

T = TypeVar("T")

_quiet = False


def set_quiet(quiet: bool) -> None:
    """Silence bars and notes (``--quiet``); warnings and errors are still printed."""
    global _quiet
    _quiet = quiet


def bar(total: int | None, description: str, unit: str = "it", **options: Any) -> "tqdm[Any]":
    """A tqdm bar to be updated by hand; shows nothing when quiet or when stderr is no terminal."""
    return tqdm(
        total=total,
        desc=printable(description),
        unit=unit,
        disable=True if _quiet or sys.stderr is None else None,
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


def show(text: str) -> None:
    """Print results on standard output, at once.

    Line breaks are the caller's own, so quoted content must be made `printable` before it is put into lines or
    cells; other control characters are escaped here.

    Raises
    ------
    SodbenchError
        If standard output is closed or its disk is full. A pipe whose reader has gone raises BrokenPipeError.
    """
    try:
        print(printable_lines(text), flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SodbenchError(
            f"standard output: cannot be written ({error.strerror or error}); the results were not printed"
        ) from error


def say(message: str) -> None:
    """Print one line on standard error, above any bar; nothing when quiet. For progress and notes."""
    if not _quiet:
        _write_line(message)


def warn(message: str) -> None:
    """Print one line on standard error, above any bar, even when quiet.

    For what the user must know about the results: problems that lead to exit status 1, and errors after which
    a command continues.
    """
    _write_line(message)


def _write_line(message: str) -> None:
    """Quoted content (file names, fields of files) cannot act on the terminal or begin a line of its own."""
    if sys.stderr is not None:
        with suppress(OSError):  # nobody can read it; the work itself is not affected
            tqdm.write(printable(message), file=sys.stderr)
