"""The values of options, checked where they are given.

argparse prints the message of a refused value with the name of its option, and exits with status 2.
"""

import argparse
import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

from sodbench.errors import SodbenchError


def positive(text: str) -> int:
    """Read a whole number, at least 1.

    Parameters
    ----------
    text : str
        The value as it was typed.

    Returns
    -------
    int

    Raises
    ------
    argparse.ArgumentTypeError
        If it is not such a number.
    """
    return at_least(1, text)


def not_negative(text: str) -> int:
    """Read a whole number, at least 0.

    Parameters
    ----------
    text : str
        The value as it was typed.

    Returns
    -------
    int

    Raises
    ------
    argparse.ArgumentTypeError
        If it is not such a number.
    """
    return at_least(0, text)


def at_least(least: int, text: str) -> int:
    """Read a whole number.

    Parameters
    ----------
    least : int
        The smallest that is accepted.
    text : str
        The value as it was typed.

    Returns
    -------
    int

    Raises
    ------
    argparse.ArgumentTypeError
        If it is not such a number.
    """
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or number < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return number


def describe_choice(value: object, choices: Iterable[object]) -> str:
    """Return the message for a value that is none of the choices.

    Parameters
    ----------
    value : object
        What was given.
    choices : iterable
        What is possible.

    Returns
    -------
    str
    """
    names = [str(choice) for choice in choices]
    word = str(value).lower()
    near = difflib.get_close_matches(word, names, 1)
    # too short to be close, such as pysod for pysodmetrics
    near = near or [name for name in names if word and name.startswith(word)]
    hint = f", did you mean {near[0]!r}?" if near else ""
    return f"invalid choice: {str(value)!r}{hint} (choose from {', '.join(map(repr, names))})"


def filled(text: str) -> str:
    """Read text that must not be empty, as it is when a shell expands an unset variable.

    Parameters
    ----------
    text : str
        The value as it was typed.

    Returns
    -------
    str

    Raises
    ------
    argparse.ArgumentTypeError
        If it is empty.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty (an unset variable?)")
    return text


def path(text: str) -> Path:
    """Read the path of a file or folder; the empty text would otherwise mean the current folder.

    Parameters
    ----------
    text : str
        The value as it was typed.

    Returns
    -------
    Path

    Raises
    ------
    argparse.ArgumentTypeError
        If it is empty.
    """
    return Path(filled(text))


def some_names(text: str) -> str:
    """Read one or more names, separated by commas; none would otherwise mean all.

    Parameters
    ----------
    text : str
        The value as it was typed.

    Returns
    -------
    str

    Raises
    ------
    argparse.ArgumentTypeError
        If it holds no name.
    """
    if not names([text]):
        raise argparse.ArgumentTypeError(f"{text!r} names nothing (an unset variable?)")
    return text


def names(texts: Sequence[str] | None) -> tuple[str, ...]:
    """Split the names of an option that takes several, separated by spaces or commas.

    Parameters
    ----------
    texts : sequence of str, optional
        The values of the option.

    Returns
    -------
    tuple of str
        Empty if the option was not given.
    """
    return tuple(name.strip() for text in texts or () for name in text.split(",") if name.strip())


def refuse_without_effect(
    arguments: argparse.Namespace, destinations: Sequence[str], why: str
) -> None:
    """Raise `SodbenchError` if one of these options was given; ``why`` completes "has no effect ...".

    Parameters
    ----------
    arguments : argparse.Namespace
        The parsed arguments.
    destinations : sequence of str
        The options, as attributes of the arguments.
    why : str
        The end of the message.

    Raises
    ------
    SodbenchError
        If one of them was given.
    """
    # a default from a file may hold for other calls
    configured = {setting.destination for setting in getattr(arguments, "settings", ())}
    for name in destinations:
        if getattr(arguments, name) not in (None, False, []) and name not in configured:
            raise SodbenchError(f"--{name.replace('_', '-')} has no effect {why}")
