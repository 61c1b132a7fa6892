"""Messages, progress bars and printed results.

Library code reports through `logger`, as any library does, and prints nothing. The command line turns messages and
bars on with `show_messages`: both go to standard error, so that standard output holds results only.
"""

import io
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sodbench.errors import SodbenchError
from sodbench.quoting import printable, printable_lines

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")

# info: progress and notes; warning: what users must know about their results, such as problems that lead to
# exit status 1 and errors after which a command continues
logger = logging.getLogger("sodbench")
logger.addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Messages:
    """Which messages are shown, and where.

    Attributes
    ----------
    quiet : bool
        Warnings only: no notes and no bars.
    verbose : bool
        Also debug messages.
    log_file : Path, optional
        All messages are appended to it, with times.
    """

    quiet: bool = False
    verbose: bool = False
    log_file: Path | None = None


class _ConsoleHandler(logging.Handler):
    """Print each message as one line on standard error, above any bar."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is not None and not getattr(record, "file_only", False):
            # closed or full; the work itself is not affected
            with suppress(OSError):
                # quoted content (file names, fields of files) must not act on the terminal or start a line
                _print_above_bars(printable(record.getMessage()))


def _print_above_bars(line: str) -> None:
    """Print a line on standard error; where tqdm was not imported, there is no bar."""
    if module := sys.modules.get("tqdm"):
        module.tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr)


class _LogFile(logging.FileHandler):
    """A log file whose first write error is one warning; after it, the file gets no more messages."""

    _is_writable = True

    def emit(self, record: logging.LogRecord) -> None:
        if self._is_writable:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self._is_writable = False
        reason = error.strerror or error
        logger.warning(f"--log-file {self.baseFilename}: cannot be written any more ({reason})")

    def close(self) -> None:
        # what could not be written is still in the buffer
        with suppress(OSError):
            super().close()


class _LogFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


# how every line of a log begins
_TIME = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")


def _open_log(path: Path) -> logging.Handler:
    """Open a log to append to it; a file of anything else is refused."""
    try:
        if path.is_file() and path.stat().st_size:
            with path.open("rb") as file:
                if not _TIME.match(file.read(32)):
                    raise SodbenchError(
                        f"--log-file {path}: exists and is no log of sodbench; choose another name"
                    )
        handler = _LogFile(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise SodbenchError(
            f"--log-file {path}: cannot be written ({error.strerror or error})"
        ) from error
    handler.setFormatter(_LogFormatter())
    return handler


@contextmanager
def show_messages(messages: Messages | None = None) -> Iterator[None]:
    """Print messages and show bars while a command runs.

    Parameters
    ----------
    messages : Messages, optional
        Which ones, and a file that keeps them.

    Raises
    ------
    SodbenchError
        If the file cannot be written.
    """
    messages = messages or Messages()
    console = _ConsoleHandler()
    level = logging.DEBUG if messages.verbose else logging.INFO
    console.setLevel(logging.WARNING if messages.quiet else level)
    handlers: list[logging.Handler] = [console]
    if messages.log_file is not None:
        handlers.append(_open_log(messages.log_file))
    before = logger.handlers, logger.level, logger.propagate
    # in place of the handlers of a surrounding call or program: each message appears once
    logger.handlers = handlers
    logger.setLevel(logging.DEBUG if messages.log_file is not None else console.level)
    logger.propagate = False
    try:
        yield
    finally:
        logger.handlers, level, logger.propagate = before
        # not assigned: logging caches what is enabled
        logger.setLevel(level)
        for handler in handlers:
            handler.close()


def _shows_bars() -> bool:
    is_visible = any(
        isinstance(handler, _ConsoleHandler) and handler.level <= logging.INFO
        for handler in logger.handlers
    )
    return is_visible and sys.stderr is not None


def bar(total: int | None, description: str, unit: str = "it", **options: Any) -> "tqdm[Any]":
    """Return a tqdm bar to update by hand, visible if the command line shows messages.

    Where standard error is no terminal (a file, a job of a scheduler), it is a message now and then instead.

    Parameters
    ----------
    total : int or None
        Number of updates, if known.
    description, unit : str
        What the bar counts.
    **options
        For tqdm.
    """
    # not before there is a bar: it takes longer to import than most commands to print a message
    from tqdm import tqdm

    is_visible = _shows_bars()
    if not is_visible or sys.stderr.isatty():
        options |= {"disable": not is_visible, "dynamic_ncols": True}
    else:
        options |= {
            "file": _ProgressMessages(),
            "delay": _SECONDS_BETWEEN_MESSAGES,
            "mininterval": _SECONDS_BETWEEN_MESSAGES,
            "bar_format": "{desc}{n_fmt} of {total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]",
        }
    # with its colon, as set_description ends it
    return tqdm(total=total, desc=f"{printable(description)}: ", unit=unit, **options)


def track(items: Iterable[T], description: str, unit: str = "it") -> Iterator[T]:
    """Iterate over ``items`` with a `bar`.

    Parameters
    ----------
    items : iterable
        What to iterate over.
    description, unit : str
        What the bar counts.

    Yields
    ------
    object
        The items.
    """
    total = len(items) if isinstance(items, Sized) else None
    with bar(total, description, unit) as progress:
        for item in items:
            yield item
            progress.update()


# Of a bar that is not on a terminal.
_SECONDS_BETWEEN_MESSAGES = 60.0


class _ProgressMessages(io.StringIO):
    """What a bar writes to where there is no terminal: each of its states becomes a message."""

    def write(self, text: str) -> int:
        if state := text.strip():
            logger.info(state)
        return len(text)


def show(text: str) -> None:
    """Print results on standard output, at once.

    Parameters
    ----------
    text : str
        Its line breaks are the caller's own, so quoted content must be made `printable` before it is put into
        lines or cells; other control characters are escaped here.

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
