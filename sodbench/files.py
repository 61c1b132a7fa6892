"""Files and folders: listing and walking, hashing, and writing files that appear whole or not at all.

Every other module lists, hashes and writes through these functions, so that links, stray files, named pipes
and full disks are handled the same way everywhere.
"""

import errno
import hashlib
import os
import re
import stat
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, TextIO

import deflate

from sodbench.errors import SodbenchError

# --- listing and walking -----------------------------------------------------------------------------


def list_names(folder: Path) -> list[str]:
    """List the names in a folder, in any order.

    Raises
    ------
    SodbenchError
        If the folder does not exist or cannot be read.
    """
    with _reading(folder):
        return os.listdir(folder)  # noqa: PTH208  paths take several times as long


def scan(folder: Path) -> list[os.DirEntry[str]]:
    """List the entries of a folder, sorted by name.

    Raises
    ------
    SodbenchError
        If the folder does not exist or cannot be read.
    """
    with _reading(folder), os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


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
        with os.scandir(folder or os.curdir) as listed:
            entries = list(listed)
    except OSError:
        return None
    if any(entry.is_symlink() for entry in entries):
        return None
    return {entry.inode() for entry in entries}


def name_stem(name: str) -> str:
    """Return the stem of a file's name, as ``Path(name).stem`` does, in a fifth of the time.

    Returns
    -------
    str
        The name up to its last dot; the whole name if that dot is its first or last character.
    """
    at = name.rfind(".")
    return name[:at] if 0 < at < len(name) - 1 else name


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
    with _reading(folder), os.scandir(folder) as entries:
        # files are most of what a folder holds, and are passed over in the quickest way
        others = [e for e in entries if not e.is_file(follow_symlinks=False)]
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
    with _reading(folder), os.scandir(folder) as listed:
        # files are most of what a folder holds, and are passed over before anything is sorted
        entries = [e for e in listed if not e.is_file(follow_symlinks=False)]
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


# --- reading and hashing -----------------------------------------------------------------------------

# A `file_hash` algorithm that takes a tenth of the time of a cryptographic hash: see `checksum`.
CHECKSUM = "crc32-adler32"


def open_regular(path: Path) -> IO[bytes]:
    """Open a regular file for reading.

    Raises
    ------
    OSError
        If the file cannot be read, and for anything else than a file: opening a named pipe would wait forever.
    """
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(number).st_mode
    if not stat.S_ISREG(mode):
        os.close(number)
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise OSError(errno.EINVAL, f"it is {kind}", str(path))
    return os.fdopen(number, "rb")


def is_plain_file(path: Path) -> bool:
    """Whether a path is a regular file itself, and neither a link to one nor a pipe.

    Returns
    -------
    bool
        False if it does not exist or cannot be examined.
    """
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def file_hash(path: Path | str, algorithm: str = "sha256") -> str:
    """Hash the content of a regular file.

    Parameters
    ----------
    path : Path or str
        The file.
    algorithm : str, default "sha256"
        A name that `hashlib.new` takes, or `CHECKSUM`.

    Returns
    -------
    str
        The hash in lower-case hexadecimal digits.

    Raises
    ------
    OSError
        If the file cannot be read or is not a regular file.
    """
    with open_regular(Path(path)) as file:
        return stream_hash(file, algorithm)


def stream_hash(file: IO[bytes], algorithm: str = "sha256") -> str:
    """Hash the rest of an open file, as `file_hash` does.

    Parameters
    ----------
    file : binary file
        It is read to its end.
    algorithm : str

    Returns
    -------
    str
        Hexadecimal digits.
    """
    if algorithm != CHECKSUM:
        return hashlib.file_digest(file, algorithm).hexdigest()  # type: ignore[arg-type]
    crc, adler = 0, 1
    while piece := file.read(2**20):
        crc, adler = deflate.crc32(piece, crc), deflate.adler32(piece, adler)
    return f"{crc << 32 | adler:016x}"


def checksum(data: bytes) -> int:
    """Return 64 bits that distinguish a modified file from one that only has a new date.

    Two checksums are enough because users do not forge maps against their own results; as hexadecimal digits they
    are the `file_hash` with the algorithm `CHECKSUM`.

    Returns
    -------
    int
        CRC-32 in the upper and Adler-32 in the lower 32 bits.
    """
    return deflate.crc32(data) << 32 | deflate.adler32(data)


# --- writing -----------------------------------------------------------------------------------------


# The names under which sodbench writes files before they are moved into place. The machine is part of the name,
# because the numbers of processes of another one mean nothing here; the random part prevents anyone else
# from placing a link under the name. The name of the file itself is not, because it may have the maximum length.
_TEMPORARY = re.compile(
    r"\.sodbench-(?P<host>[0-9a-f]{8})-(?P<process>[0-9]{1,9})-[0-9a-f]{16}\.tmp"
)


def temporary_name(process: int | None = None) -> str:
    """Return a new name for a file that is being written, by this process unless another is given.

    Returns
    -------
    str
        Another one for each call.
    """
    return f".sodbench-{_host_hash()}-{process or os.getpid()}-{os.urandom(8).hex()}.tmp"


@cache
def _host_hash() -> str:
    # with what it imports, it takes as long as the rest of this module
    from socket import gethostname

    return f"{zlib.crc32(gethostname().encode()):08x}"


def is_temporary(name: str) -> bool:
    """Whether a file name is one that sodbench gives to files while it writes them.

    Parameters
    ----------
    name : str
        Without its folder.

    Returns
    -------
    bool
    """
    return _TEMPORARY.fullmatch(name) is not None


def remove_stale_temporaries(folder: Path) -> None:
    """Remove the temporary files that killed processes of this machine left in a folder.

    Files of running processes are kept. A file that cannot be removed is kept too; it does no harm.

    Parameters
    ----------
    folder : Path
        Its sub-folders are not searched.
    """
    if not folder.is_dir():
        return
    for name in list_names(folder):
        match = _TEMPORARY.fullmatch(name)
        if (
            match
            and match["host"] == _host_hash()
            and not _is_process_running(int(match["process"]))
        ):
            with suppress(OSError):
                (folder / name).unlink()


@cache
def _remove_stale_temporaries_once(folder: Path) -> None:
    # a folder that can be written to, but not listed
    with suppress(SodbenchError):
        remove_stale_temporaries(folder)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name and move it into place: it appears whole or not at all.

    The first write of a process into a folder removes what killed processes left there.

    Parameters
    ----------
    path : Path
        The file to create or replace; its folder is created.

    Yields
    ------
    Path
        The temporary file to write.

    Raises
    ------
    SodbenchError
        If the file cannot be written.
    """
    temporary = path.with_name(temporary_name())
    with report_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale_temporaries_once(path.parent)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_files(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write many small files into a folder, each as `atomic_write` does, in half of its time.

    Parameters
    ----------
    folder : Path
        It is created.
    files : iterable of (str, bytes)
        Names and contents.

    Raises
    ------
    SodbenchError
        If a file cannot be written; those before it are in place.
    """
    with report_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    _remove_stale_temporaries_once(folder)
    # text and not paths, and one temporary name for all: a small file takes less time than a few Path objects
    temporary = os.fspath(folder / temporary_name())
    is_left = False
    try:
        for name, content in files:
            with report_write_errors(folder / name):
                is_left = True
                with open(temporary, "wb") as file:  # noqa: PTH123
                    file.write(content)
                os.replace(temporary, f"{folder}{os.sep}{name}")  # noqa: PTH105
                is_left = False
    finally:
        if is_left:
            Path(temporary).unlink(missing_ok=True)


@contextmanager
def open_atomic(path: Path) -> Iterator[TextIO]:
    """Open a UTF-8 text file for writing; it is put into place by `atomic_write` at the end.

    Yields
    ------
    text file
        Open for writing.

    Raises
    ------
    SodbenchError
        If the file cannot be written.
    """
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        yield file


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file with `atomic_write`.

    Raises
    ------
    SodbenchError
        If the file cannot be written.
    """
    with open_atomic(path) as file:
        file.write(text)


@contextmanager
def report_write_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a SodbenchError that names ``path``.

    Raises
    ------
    SodbenchError
        See `write_error`.
    """
    try:
        yield
    except OSError as error:
        raise write_error(path, error) from error


def write_error(path: Path, error: OSError) -> SodbenchError:
    """Return the error to raise when a file or folder cannot be written, with the reason and the fix.

    Parameters
    ----------
    path : Path
        What was to be written.
    error : OSError
        Its number decides the advice.

    Returns
    -------
    SodbenchError
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        advice = "make room and give the same command again"
    elif error.errno == errno.ENAMETOOLONG:
        advice = "choose a shorter name"
    else:
        advice = "choose another output folder"
    return SodbenchError(f"{path}: cannot be written ({error.strerror or error}); {advice}")


def safe_folder_name(name: str) -> str:
    """Return a folder name for a method or dataset, e.g. ``HKU-IS@test`` for ``HKU-IS/test``.

    Characters that a folder name cannot hold are replaced by their codes, so two names never share a folder.

    Returns
    -------
    str
        Valid on Linux, macOS and Windows.
    """
    coded = re.sub(r"[\\:*?\"<>|\0#%=@]|^\.|[. ]$", lambda m: f"={ord(m[0]):02X}", name)
    return coded.replace("/", "@") or "="


@contextmanager
def lock_folder(folder: Path, purpose: str = "scoring") -> Iterator[None]:
    """Lock an output folder for this process while the block runs, and create it if it does not exist.

    Temporary files of killed processes are removed from it.

    The folder itself is locked, not a file in it: another run could remove and recreate a lock file, and both
    would then hold a lock. The lock ends with the process, even if it is killed. On Windows and on file systems
    without locks nothing is locked.

    Parameters
    ----------
    folder : Path
        The folder that is written to.
    purpose : str
        What both processes do, for the message: ``scoring``, ``downloading`` ...

    Raises
    ------
    SodbenchError
        If another process holds the lock, or the folder cannot be created.
    """
    with report_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        # Windows has no fcntl
        yield
        return
    with report_write_errors(folder):
        number = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SodbenchError(
                f"{folder}: another process is {purpose} into this folder; wait for it, or choose another output folder"
            ) from error
        except OSError:
            # a file system without locks
            pass
        remove_stale_temporaries(folder)
        yield
    finally:
        os.close(number)


def _is_process_running(process: int) -> bool:
    """Whether a process with this number runs; True where that cannot be asked safely."""
    # there os.kill ends the process, whatever the signal
    if sys.platform == "win32":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        # it runs, but belongs to another user
        return True
    return True
