"""Values of command-line options, checked where they are given.

argparse prints the message of a refused value with the name of its option, and exits with status 2.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sodbench.errors import SodbenchError


def positive(text: str) -> int:
    """Read a whole number, at least 1."""
    return _whole(text, least=1)


def not_negative(text: str) -> int:
    """Read a whole number, at least 0."""
    return _whole(text, least=0)


def resamples(text: str) -> int:
    """Read the number of resamples of a bootstrap or permutation test."""
    return _whole(text, least=100)


def filled(text: str) -> str:
    """Read text that must not be empty; what a shell makes of an unset variable is."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty (an unset variable?)")
    return text


def path(text: str) -> Path:
    """Read the path of a file or folder; the empty text would otherwise mean the current folder."""
    return Path(filled(text))


def some_names(text: str) -> str:
    """Read one or more names, separated by commas; none would otherwise mean all."""
    if not names([text]):
        raise argparse.ArgumentTypeError(f"{text!r} names nothing (an unset variable?)")
    return text


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose what ``report`` and ``compare`` show."""
    for what in ("metrics", "datasets"):
        parser.add_argument(
            f"--{what}",
            nargs="+",
            type=some_names,
            metavar="NAME",
            help=f"these {what}, in this order",
        )


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose what scores the maps; shared by ``eval`` and ``run``."""
    who = parser.add_mutually_exclusive_group()
    who.add_argument(
        "--jobs",
        type=positive,
        metavar="N",
        help="number of maps scored at a time (default: number of cores); the results do not depend on it",
    )
    who.add_argument(
        "--dask",
        type=filled,
        metavar="ADDRESS",
        help="score on a Dask cluster whose scheduler has this address (tcp://HOST:8786) and whose workers find the "
        "files under the same paths",
    )


def names(given: Sequence[str] | None) -> tuple[str, ...]:
    """Split the names of an option that takes several, separated by spaces or commas."""
    return tuple(name.strip() for text in given or () for name in text.split(",") if name.strip())


def _whole(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or number < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return number


def refuse_without_effect(
    arguments: argparse.Namespace, destinations: Sequence[str], why: str
) -> None:
    """Raise `SodbenchError` if one of these options was given; ``why`` completes "has no effect ..."."""
    for name in destinations:
        if getattr(arguments, name) not in (None, False, []):
            raise SodbenchError(f"--{name.replace('_', '-')} has no effect {why}")
