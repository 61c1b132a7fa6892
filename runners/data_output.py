"""Where ``sodbench data`` may write: never over somebody's files, never among a set's pictures."""

import json
from collections.abc import Sequence
from pathlib import Path

from sodbench.datasets import Dataset
from sodbench.errors import SodbenchError

WRITTEN_BY = "written_by"
"""The key of our JSON files that names the command."""


def marker(command: str) -> str:
    """The first line of a Markdown file that ``sodbench <command>`` writes."""
    return (
        f"<!-- written by sodbench {command}: changes made here are lost when it is run again -->"
    )


def refuse_among_data(out: Path, datasets: Sequence[Dataset]) -> None:
    """Raise :class:`SodbenchError` where ``out`` lies in a folder of images or masks of these sets."""
    place = out.resolve()
    for dataset in datasets:
        files = (*dataset.images.values(), *dataset.masks.values())
        for folder in sorted({file.parent for file in files}):
            if place.is_relative_to(folder.resolve()):
                raise SodbenchError(
                    f"{out}: lies inside {folder}, which holds pictures of {dataset.name}; choose "
                    "another place"
                )


def refuse_foreign_file(out: Path, command: str) -> None:
    """Raise :class:`SodbenchError` where ``out`` exists and is no file of ``sodbench <command>``."""
    if out.exists() and not _is_ours(out, command):
        raise SodbenchError(
            f"{out}: exists and was not written by sodbench {command}; move it or choose another name"
        )


def refuse_foreign_folder(out: Path, page: str, command: str) -> None:
    """Raise :class:`SodbenchError` where ``out`` holds files, but no ``page`` of ``sodbench <command>``."""
    if out.exists() and not out.is_dir():
        raise SodbenchError(f"{out}: is a file; name a folder")
    if out.is_dir() and any(out.iterdir()) and not _is_ours(out / page, command):
        raise SodbenchError(f"{out}: holds other files; name a new folder")


def _is_ours(file: Path, command: str) -> bool:
    if not file.is_file():
        return False
    text = file.read_text("utf-8", errors="replace")
    if file.suffix != ".json":
        return text.startswith(marker(command))
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get(WRITTEN_BY) == command
