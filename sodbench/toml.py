"""TOML files and values that users write."""

import tomllib
from pathlib import Path
from typing import Any

from sodbench.errors import SodbenchError


def read_toml(file: Path, if_missing: SodbenchError | None = None) -> dict[str, Any]:
    """Read a TOML file.

    Parameters
    ----------
    file : Path
    if_missing : SodbenchError, optional
        What to raise where there is no such file; by default an error that only names it.

    Returns
    -------
    dict

    Raises
    ------
    SodbenchError
        If it cannot be read or is no TOML.
    """
    try:
        # editors of Windows put a byte order mark in front, which TOML does not know
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise if_missing or SodbenchError(f"{file}: no such file") from error
    # tomllib follows nested values by recursion
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SodbenchError(f"{file}: cannot be read as TOML ({reason})") from error


def parse_assignment(option: str, text: str, example: str) -> tuple[str, Any]:
    """Read the ``KEY=VALUE`` of an option.

    Parameters
    ----------
    option : str
        The option, for the message.
    text : str
        What was given.
    example : str
        An assignment that the message shows.

    Returns
    -------
    key : str
    value : object
        As in TOML, where a word needs no quotation marks.

    Raises
    ------
    SodbenchError
        Without a key or an equals sign.
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    if not (key and equals):
        raise SodbenchError(f"{option} {text}: write KEY=VALUE, as in {example}")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        # not TOML: plain text
        return key, value
