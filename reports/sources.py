"""The image files of a result, as its table names them: only those below the folders that the result recorded."""

import os.path
from collections.abc import Mapping
from pathlib import Path

from sodbench.results import Result

_KINDS = ("map", "mask", "image")
# Enough to recognise which images are meant; the number of the others follows
_NAMES_SHOWN = 5


def source_file(result: Result, kind: str, name: str) -> Path | None:
    """Return the file of a name in the table.

    A table is a text file that anyone can write. A name that is absolute, or that leads out of the recorded folders, is
    not opened: see `find_outside`.

    Parameters
    ----------
    result : Result
    kind : {"map", "mask", "image"}
    name : str
        As the table has it.

    Returns
    -------
    Path or None
        None where there is no such file.
    """
    base = result.folders.get(f"{kind}s")
    if not base or not name or _is_outside(result.folders, base, name):
        return None
    return Path(base) / name


def files_of(result: Result, stem: str) -> dict[str, Path | None]:
    """Return the files of one image.

    Parameters
    ----------
    result : Result
    stem : str
        Its row in the table.

    Returns
    -------
    dict of str to Path or None
        ``map``, ``mask`` and ``image``; None where there is none. The files may have moved since.
    """
    row = result.table.loc[stem]
    return {kind: source_file(result, kind, str(row[kind])) for kind in _KINDS}


def find_outside(results: Mapping[tuple[str, str], Result]) -> list[str]:
    """Find names of files outside the recorded folders.

    Parameters
    ----------
    results : mapping of (str, str) to Result
        By (method, dataset).

    Returns
    -------
    list of str
        A line for each result and kind of file whose table has such names.
    """
    lines = []
    for (method, dataset), result in results.items():
        for kind in _KINDS:
            base = result.folders.get(f"{kind}s")
            if not base:
                continue
            names = [
                str(name)
                for name in result.table[kind]
                if name and _is_outside(result.folders, base, str(name))
            ]
            if names:
                examples = "; ".join(map(repr, names[:_NAMES_SHOWN]))
                more = f"; and {len(names) - _NAMES_SHOWN} more" * (len(names) > _NAMES_SHOWN)
                lines.append(
                    f"{method} on {dataset}: {kind} files ({len(names)}): not opened, because scores.csv names files outside "
                    f"the folders that the result recorded: {examples}{more}"
                )
    return lines


def _is_outside(folders: Mapping[str, str | None], base: str, name: str) -> bool:
    # text only: a report asks this for every file of its thumbnails
    if name.startswith(("/", os.sep)) or os.path.splitdrive(name)[0]:
        return True
    if ".." not in name:
        return False
    place = Path(os.path.normpath(Path(base) / name))
    return not any(
        place.is_relative_to(os.path.normpath(folder)) for folder in folders.values() if folder
    )
