"""A user's folders: listed by name, links followed, loops not; files that appear whole, and locks."""

import errno
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

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
    except ValueError as error:  # a null character, which a TOML file can hold
        raise SodbenchError(f"{folder}: not a readable folder ({error})") from error


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
        elif entry.is_symlink() and not os.path.exists(entry):  # noqa: PTH110
            yield folder / entry.name, "a link that leads nowhere"


def open_regular(path: Path) -> IO[bytes]:
    """Open a regular file to read it.

    Raises OSError for anything else: opening a named pipe would wait for ever.
    """
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(number).st_mode
    if not stat.S_ISREG(mode):
        os.close(number)
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise OSError(errno.EINVAL, f"it is {kind}", str(path))
    return os.fdopen(number, "rb")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder of results for this process, where the system has such locks; the folder is made if need be.

    The folder itself is locked, not a file in it: a file could be removed and made again by another run, and both
    would hold a lock.  The lock ends with the process, however that ends.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    try:
        number = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SodbenchError(
                f"{folder}: another process is scoring into this folder; wait for it, or choose another output folder"
            ) from error
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(number)


@contextmanager
def replacing(path: Path, *, locked: bool = False) -> Iterator[Path]:
    """A place to write a file that is moved to ``path`` in the end: it appears whole or not at all.

    locked: no one else can be writing the same file, so that what a killed run left is replaced.
    Whatever has the temporary name is removed first: a link there would lead the content to another file.
    Raises :class:`SodbenchError` where it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp" if locked else f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Name the file in an OSError of the block, as a SodbenchError; what fails while writing has no name."""
    try:
        yield
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
        if found and found["process"] and not is_running(int(found["process"])):
            with suppress(OSError):
                (folder / name).unlink()


def is_running(process: int) -> bool:
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
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        way_out = "make room and give the same command again"
    elif error.errno == errno.ENAMETOOLONG:
        way_out = "choose a shorter name"
    else:
        way_out = "choose another output folder"
    return SodbenchError(f"{path}: cannot be written ({error.strerror or error}); {way_out}")


def _is_stray(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; links in a circle and to places without permission are not."""
    # Path.is_dir raises PermissionError; files are not asked, because that takes time
    return entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and os.path.isdir(entry))  # noqa: PTH112
