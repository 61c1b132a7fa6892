"""Errors that a user's own code raises, as one line that names the place in that code."""

import os
import re
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sodbench.errors import SodbenchError

FAILURES = (Exception, SystemExit, GeneratorExit)
"""What a user's code may raise: everything but Ctrl-C. SystemExit because some files parse the command line when imported."""

_LONGEST = 300
_LIBRARIES = tuple(
    f"{folder}{os.sep}"
    for folder in (
        Path(__file__).parents[1],  # sodbench itself
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib")),
    )
)
_INSTALLED = {"site-packages", "dist-packages"}
_ADVICE = re.compile(r"\s*Set TORCHDYNAMO_VERBOSE=1 for")
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
    place = _place(error)
    message = one_line(text_of(error))
    if not isinstance(error, SodbenchError):  # its message is written for the user already
        message = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return f"{message} ({place})" if place else message


def text_of(error: BaseException) -> str:
    """The message of an error; nothing where its class, which may be the user's too, cannot give it."""
    try:
        return str(error)
    except FAILURES:
        return ""


def one_line(text: str, longest: int = _LONGEST) -> str:
    """Join the lines of a message, without torch's colours and advice, cut to ``longest`` characters."""
    text = _ADVICE.split(_TERMINAL_CODE.sub("", text))[0]
    joined = " ".join(text.split())
    return joined if len(joined) <= longest else joined[: longest - 3] + "..."


@contextmanager
def user_code(what: str, way_out: str = "") -> Iterator[None]:
    """Run code of the user; any error in it becomes a :class:`SodbenchError` of one line.

    Parameters
    ----------
    what : str
        What failed, as the beginning of the message.
    way_out : str, optional
        What to do, as its end.
    """
    try:
        yield
    except FAILURES as error:
        end = f"; {way_out}" if way_out else ""
        raise SodbenchError(f"{what}: {describe_failure(error)}{end}") from error


def _place(error: BaseException) -> str:
    """``file.py:12`` of the innermost line of the user's code, or nothing."""
    if isinstance(error, SyntaxError) and error.filename:
        return ""  # its own message names file and line
    places = [
        f"{Path(frame.f_code.co_filename).name}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not _is_library(frame.f_code.co_filename)
    ]
    return places[-1] if places else ""


def _is_library(file: str) -> bool:
    return file.startswith(("<", *_LIBRARIES)) or not _INSTALLED.isdisjoint(Path(file).parts)
