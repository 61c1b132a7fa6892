"""The image files of a result, as its table names them: only those below the folders that the result recorded."""

import os.path
from collections.abc import Mapping
from pathlib import Path

from sodbench.results import Result

KINDS = ("map", "mask", "image")
NAMES_SHOWN = 5


def source_file(result: Result, kind: str, name: str) -> Path | None:
    """The file ``name`` of a kind (``map``, ``mask``, ``image``); None where there is none.

    A table is a text file that anyone can write. A name that is absolute, or that leads out of the recorded folders, is
    not opened: see :func:`find_outside`.
    """
    base = result.folders.get(f"{kind}s")
    if not base or not name or _is_outside(result.folders, base, name):
        return None
    return Path(base) / name


def files_of(result: Result, stem: str) -> dict[str, Path | None]:
    """The pair's ``map``, ``mask`` and ``image`` files; None where there is none. They may have moved since."""
    row = result.table.loc[stem]
    return {kind: source_file(result, kind, str(row[kind])) for kind in KINDS}


def find_outside(results: Mapping[tuple[str, str], Result]) -> list[str]:
    """A line for each result and kind whose table names files outside the recorded folders."""
    lines = []
    for (method, dataset), result in results.items():
        for kind in KINDS:
            base = result.folders.get(f"{kind}s")
            if not base:
                continue
            names = [
                str(name)
                for name in result.table[kind]
                if name and _is_outside(result.folders, base, str(name))
            ]
            if names:
                shown = "; ".join(map(repr, names[:NAMES_SHOWN]))
                more = f"; and {len(names) - NAMES_SHOWN} more" * (len(names) > NAMES_SHOWN)
                lines.append(
                    f"{method} on {dataset}: {kind} files ({len(names)}): not opened, because scores.csv names files outside "
                    f"the folders that the result recorded: {shown}{more}"
                )
    return lines


def _is_outside(folders: Mapping[str, str | None], base: str, name: str) -> bool:
    if Path(name).is_absolute() or os.path.splitdrive(name)[0]:
        return True
    if ".." not in name:
        return False
    place = Path(os.path.normpath(Path(base) / name))
    return not any(
        place.is_relative_to(os.path.normpath(folder)) for folder in folders.values() if folder
    )
