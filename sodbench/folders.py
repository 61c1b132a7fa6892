"""A user's folders: listed by name, links followed, loops not; and files that are put there whole."""

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sodbench.errors import SodbenchError


def names(folder: Path) -> list[str]:
    """The names in a folder, in any order.  Raises :class:`SodbenchError` where it cannot be read."""
    with _reading(folder):
        return os.listdir(folder)  # noqa: PTH208  paths take several times as long


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name.  Raises as :func:`names`."""
    with _reading(folder), os.scandir(folder) as found:
        return sorted(found, key=lambda entry: entry.name)


def children(folder: Path) -> list[Path]:
    """The paths of :func:`entries`; joined to the folder one by one they would take three times as long."""
    with _reading(folder):
        return sorted(folder.iterdir(), key=lambda path: path.name)


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SodbenchError(f"{folder}: not a readable folder ({error.strerror})") from error


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, by name; hidden and stray ones are ignored."""
    if not folder.is_dir():
        return []
    return [folder / e.name for e in entries(folder) if not _is_stray(e.name) and _is_folder(e)]


def walk(folder: Path, _holders: tuple[Path, ...] = ()) -> Iterator[tuple[Path, str]]:
    """A folder and all folders below it, in order; with each why it was not entered, or nothing.

    Links are followed, but not to a folder that holds them; a link that leads nowhere is given too.
    Hidden and stray folders are ignored.
    """
    real = folder.resolve()
    if real in _holders:
        yield folder, f"a link back to {real}, which holds it"
        return
    yield folder, ""
    for entry in entries(folder):
        if _is_stray(entry.name):
            continue
        if _is_folder(entry):
            yield from walk(folder / entry.name, (*_holders, real))
        elif entry.is_symlink() and not Path(entry).exists():
            yield folder / entry.name, "a link that leads nowhere"


@contextmanager
def replacing(path: Path, *, locked: bool = False) -> Iterator[Path]:
    """A place to write a file that is moved to ``path`` in the end: it appears whole or not at all.

    locked: nobody else can be writing the same file, so that what a killed run left is written over.
    Raises :class:`SodbenchError` where it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp" if locked else f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


_TEMPORARY = re.compile(r"\.(?:.+\.)?(?:(?P<process>\d+)|[0-9a-f]{16})\.tmp")
"""Names under which sodbench writes a file before it is moved to its place."""


def is_temporary(name: str) -> bool:
    """Whether sodbench gives such a name to a file that it is writing."""
    return _TEMPORARY.fullmatch(name) is not None


def remove_stale_temporaries(folder: Path) -> None:
    """Remove the files that killed processes of sodbench left half written in a folder.

    Files of a process that still runs stay. What cannot be removed stays too: such a file harms nothing.
    """
    if not folder.is_dir():
        return
    for name in names(folder):
        found = _TEMPORARY.fullmatch(name)
        if found and found["process"] and not _runs(int(found["process"])):
            with suppress(OSError):
                (folder / name).unlink()


def _runs(process: int) -> bool:
    """Whether a process of this number runs; where that cannot be asked safely, it does."""
    if sys.platform == "win32":  # there os.kill ends the process, whatever the signal
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it runs, but belongs to another user
        return True
    return True


def unwritable(path: Path, error: OSError) -> SodbenchError:
    """That a file or folder of the output cannot be written, and why."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    way_out = (
        "make room and give the same command again" if full else "choose another output folder"
    )
    return SodbenchError(f"{path}: cannot be written ({error.strerror or error}); {way_out}")


def _is_stray(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; files are not asked, and links in a circle are none."""
    return entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and Path(entry).is_dir())
