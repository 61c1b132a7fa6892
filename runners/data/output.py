"""Where ``sodbench data`` may write: never over a user's files, never among a dataset's images."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from sodbench.datasets import Dataset
from sodbench.errors import SodbenchError
from sodbench.quoting import printable

WRITTEN_BY = "written_by"
"""The first key of our JSON files; its value is the command."""

_LONGEST_NAME = 200  # bytes; file systems allow 255, and endings are added


def marker(command: str) -> str:
    """The first line of a Markdown file that ``sodbench <command>`` writes."""
    return (
        f"<!-- written by sodbench {command}: changes made here are lost when it is run again -->"
    )


def refuse_unsafe_name(name: str) -> None:
    """Raise :class:`SodbenchError` for a dataset's name from which no name of a file can be made safely."""
    unsafe = any(part in ("", ".", "..") for part in name.split("/")) or "\\" in name
    if unsafe or printable(name) != name or len(os.fsencode(name)) > _LONGEST_NAME:
        raise SodbenchError(
            f"{name!r}: a dataset of this name cannot be written to disk; give it another one with "
            'name = "..." in a TOML file'
        )


def refuse_among_data(out: Path, datasets: Sequence[Dataset]) -> None:
    """Raise :class:`SodbenchError` if ``out`` is in a folder of images or masks of these datasets."""
    place = out.resolve()
    for dataset in datasets:
        files = (*dataset.images.values(), *dataset.masks.values())
        for folder in sorted({file.parent for file in files}):
            if place.is_relative_to(folder.resolve()):
                raise SodbenchError(
                    f"{out}: is inside {folder}, which holds images or masks of {dataset.name}; choose "
                    "another place"
                )


def refuse_foreign_file(out: Path, command: str) -> None:
    """Raise :class:`SodbenchError` if ``out`` exists and is not a file of ``sodbench <command>``."""
    if os.path.lexists(out) and not _is_ours(out, command):
        raise SodbenchError(
            f"{out}: exists and was not written by sodbench {command}; move it or choose another name"
        )


def refuse_foreign_folder(out: Path, page: str, command: str) -> None:
    """Raise :class:`SodbenchError` if ``out`` holds files, but no ``page`` of ``sodbench <command>``."""
    try:
        if os.path.lexists(out) and not out.is_dir():
            raise SodbenchError(f"{out}: is not a folder; name a folder")
        if out.is_dir() and any(out.iterdir()) and not _is_ours(out / page, command):
            raise SodbenchError(f"{out}: holds other files; name a new folder")
    except OSError as error:
        raise SodbenchError(f"{out}: cannot be read ({error.strerror or error})") from error


def is_plain_file(path: Path) -> bool:
    """Whether a path is a regular file, and neither a link to one nor a pipe."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _is_ours(file: Path, command: str) -> bool:
    """Whether a file begins as those of the command do; the rest of a foreign file is not read."""
    if not is_plain_file(file):
        return False
    begins = (
        f'{{\n "{WRITTEN_BY}": "{command}"' if file.suffix == ".json" else f"{marker(command)}\n"
    )
    try:
        with file.open("rb") as stream:
            return stream.read(len(begins)) == begins.encode()
    except OSError as error:
        raise SodbenchError(f"{file}: cannot be read ({error.strerror or error})") from error
