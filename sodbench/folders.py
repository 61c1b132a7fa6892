"""Folders: listing and walking them, and the names of files in them.

Every other module lists through these functions, so that links and stray files are handled the same way everywhere.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from sodbench.errors import SodbenchError

# The folders listed so far inside `listing_once`, by their paths; None outside it
_listings: ContextVar[dict[str, list[os.DirEntry[str]]] | None] = ContextVar(
    "_listings", default=None
)


@contextmanager
def listing_once() -> Iterator[None]:
    """Read each folder once, however often it is listed in this context.

    Finding the layout of a dataset and pairing its files asks for one folder up to six times, which takes time where a
    folder holds many files or is on a network, and might see two states of it.  Nothing may be created or deleted in
    these folders meanwhile.
    """
    if _listings.get() is not None:
        yield
        return
    token = _listings.set({})
    try:
        yield
    finally:
        _listings.reset(token)


def list_names(folder: Path) -> list[str]:
    """List the names in a folder, in any order.

    Raises
    ------
    SodbenchError
        If the folder does not exist or cannot be read.
    """
    with _reading(folder):
        return [entry.name for entry in _list_entries(folder)]


def scan(folder: Path) -> list[os.DirEntry[str]]:
    """List the entries of a folder, sorted by name.

    Raises
    ------
    SodbenchError
        If the folder does not exist or cannot be read.
    """
    with _reading(folder):
        return sorted(_list_entries(folder), key=lambda entry: entry.name)


def list_paths(folder: Path) -> list[Path]:
    """List the paths in a folder, sorted by name.

    This takes a third of the time of joining each name to the folder.

    Raises
    ------
    SodbenchError
        If the folder does not exist or cannot be read.
    """
    with _reading(folder):
        # all begin with the folder; a path keeps its text, which nearly everyone asks for later
        return sorted(folder.iterdir(), key=str)


def split_path(path: Path) -> tuple[str, str]:
    """Return the folder and the name of a file as texts, in a fifth of the time that ``parent`` and ``name`` take.

    Returns
    -------
    folder : str
        Empty for a path of one name.
    name : str
    """
    folder, separator, name = str(path).rpartition(os.sep)
    if separator and (not folder or folder.endswith(":")):
        # the top of a disk
        return str(path.parent), name
    return folder, name


def list_file_folders(paths: Iterable[Path]) -> list[str]:
    """List the folders of files as texts, each once, in the order of the files.

    Parameters
    ----------
    paths : iterable of Path

    Returns
    -------
    list of str
        As `split_path` returns them.
    """
    one_of_each = {text[: text.rfind(os.sep) + 1]: text for text in map(str, paths)}
    return [split_path(Path(text))[0] for text in one_of_each.values()]


def list_file_numbers(folder: str) -> set[int] | None:
    """List the numbers of the files in a folder on their disk: two names of one file have the same number.

    They are read from the folder, in a tenth of the time of asking for each file.

    Parameters
    ----------
    folder : str
        As `split_path` returns it.

    Returns
    -------
    set of int or None
        None for a folder that holds links, whose files are elsewhere, and for one that cannot be read.
    """
    try:
        entries = _list_entries(folder or os.curdir)
    except OSError:
        return None
    if any(entry.is_symlink() for entry in entries):
        return None
    return {entry.inode() for entry in entries}


def count_files(folder: Path, enough: int) -> int:
    """Count the files below a folder, quickly and roughly.

    Parameters
    ----------
    folder : Path
        It need not exist.
    enough : int
        Where the count stops.

    Returns
    -------
    int
        Files that cannot be listed and links to folders are left out.
    """
    number = 0
    waiting = [folder]
    while waiting and number < enough:
        try:
            entries = _list_entries(waiting.pop())
        except OSError:
            continue
        below = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
        number += len(entries) - len(below)
        waiting += map(Path, below)
    return number


def name_stem(name: str) -> str:
    """Return the stem of a file's name, as ``Path(name).stem`` does, in a fifth of the time.

    Returns
    -------
    str
        The name up to its last dot; the whole name if that dot is its first or last character.
    """
    at = name.rfind(".")
    return name[:at] if 0 < at < len(name) - 1 else name


def _list_entries(folder: Path | str) -> list[os.DirEntry[str]]:
    """The entries of a folder, in any order; those read before in `listing_once`."""
    listings = _listings.get()
    key = str(folder)
    if listings is not None and key in listings:
        return listings[key]
    with os.scandir(folder) as listed:
        entries = list(listed)
    if listings is not None:
        listings[key] = entries
    return entries


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SodbenchError(f"{folder}: not a readable folder ({error.strerror})") from error
    except ValueError as error:
        # a null character, which a TOML file can hold
        raise SodbenchError(f"{folder}: not a readable folder ({error})") from error


def list_folders(folder: Path) -> list[Path]:
    """List the folders in a folder, sorted by name; empty if it does not exist.

    Hidden folders and ``__MACOSX`` are ignored. Links to folders are included.

    Returns
    -------
    list of Path

    Raises
    ------
    SodbenchError
        If the folder cannot be read.
    """
    if not folder.is_dir():
        return []
    with _reading(folder):
        # files are most of what a folder holds, and are passed over in the quickest way
        others = [e for e in _list_entries(folder) if not e.is_file(follow_symlinks=False)]
    names = [e.name for e in others if not _is_stray(e.name) and _is_folder(e)]
    return [folder / name for name in sorted(names)]


def walk(folder: Path, _parents: tuple[Path, ...] = ()) -> Iterator[tuple[Path, str]]:
    """Iterate over a folder and all folders below it, depth first and sorted by name.

    Links are followed, except to a folder that contains them. Hidden folders and ``__MACOSX`` are ignored.

    Yields
    ------
    folder : Path
        A folder, or a link that leads nowhere.
    reason : str
        Why the folder was not entered; empty if it was.
    """
    real = folder.resolve()
    if real in _parents:
        yield folder, f"a link back to {real}, which holds it"
        return
    yield folder, ""
    with _reading(folder):
        # files are most of what a folder holds, and are passed over before anything is sorted
        entries = [e for e in _list_entries(folder) if not e.is_file(follow_symlinks=False)]
    for entry in sorted(entries, key=lambda entry: entry.name):
        if _is_stray(entry.name):
            continue
        if _is_folder(entry):
            yield from walk(folder / entry.name, (*_parents, real))
        elif entry.is_symlink() and not os.path.exists(entry):  # noqa: PTH110
            yield folder / entry.name, "a link that leads nowhere"


def _is_stray(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one; circular links and forbidden places are not."""
    # Path.is_dir raises PermissionError; files are not asked, because that takes time
    return entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and os.path.isdir(entry))  # noqa: PTH112
