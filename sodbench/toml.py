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
        What to raise where there is no such file, if more can be said than that.

    Returns
    -------
    dict

    Raises
    ------
    SodbenchError
        If it cannot be read or is no TOML.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise if_missing or SodbenchError(f"{file}: no such file") from error
    # tomllib follows nested values by recursion
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SodbenchError(f"{file}: cannot be read as TOML ({reason})") from error


def parse_toml_value(text: str) -> Any:
    """Read a TOML value; what is none is text.

    Parameters
    ----------
    text : str

    Returns
    -------
    object
    """
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text
