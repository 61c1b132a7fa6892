"""Errors raised by a user's own code, as one line that names the place in that code."""

import os
import re
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sodbench.errors import SodbenchError

# What a user's code may raise: everything but Ctrl-C. SystemExit, because some files parse the command line when
# they are imported.
FAILURES = (Exception, SystemExit, GeneratorExit)

_MAX_LENGTH = 300
_LIBRARIES = tuple(
    f"{folder}{os.sep}"
    for folder in (
        # sodbench itself
        Path(__file__).parents[1],
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib")),
    )
)
_INSTALLED = {"site-packages", "dist-packages"}
_ADVICE = re.compile(r"\s*Set TORCH(DYNAMO_VERBOSE|_LOGS)=")
_TERMINAL_CODE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


def describe_failure(error: BaseException) -> str:
    """Describe an error in one line: its type, its message, and the line of the user's code that led to it.

    Parameters
    ----------
    error : BaseException
        A caught exception.

    Returns
    -------
    str
        For example ``ValueError: bad width (my_net.py:12)``. The place is the innermost line outside sodbench
        and the installed packages; without such a line it is left out.
    """
    place = _find_place(error)
    message = shorten_error(error_text(error))
    # its message is complete without the type
    if not isinstance(error, SodbenchError):
        message = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return f"{message} ({place})" if place else message


def error_text(error: BaseException) -> str:
    """Return the message of an error; empty if the error's class, which may be the user's, fails to give it."""
    try:
        return str(error)
    except FAILURES:
        return ""


def shorten_error(text: str) -> str:
    """Return a message on one line of at most 300 characters, without torch's colours and advice.

    Parameters
    ----------
    text : str
        The message, of any number of lines.

    Returns
    -------
    str
    """
    text = _ADVICE.split(_TERMINAL_CODE.sub("", text))[0]
    joined = " ".join(text.split())
    return joined if len(joined) <= _MAX_LENGTH else joined[: _MAX_LENGTH - 3] + "..."


@contextmanager
def user_code(failure: str, advice: str = "") -> Iterator[None]:
    """Run code of the user; any error in it becomes a SodbenchError of one line.

    Parameters
    ----------
    failure : str
        What failed: the start of the message.
    advice : str, optional
        What to do: its end.

    Raises
    ------
    SodbenchError
        In place of any error of the block, except KeyboardInterrupt.
    """
    try:
        yield
    except FAILURES as error:
        end = f"; {advice}" if advice else ""
        raise SodbenchError(f"{failure}: {describe_failure(error)}{end}") from error


def _find_place(error: BaseException) -> str:
    """Return ``file.py:12`` of the innermost line of the user's code; empty if there is none."""
    if isinstance(error, SyntaxError) and error.filename:
        # its own message names file and line
        return ""
    places = [
        f"{Path(frame.f_code.co_filename).name}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not _is_library(frame.f_code.co_filename)
    ]
    return places[-1] if places else ""


def _is_library(file: str) -> bool:
    return file.startswith(("<", *_LIBRARIES)) or not _INSTALLED.isdisjoint(Path(file).parts)
