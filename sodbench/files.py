"""Files: hashing, and writing files that appear whole or not at all; folders.py lists them.

Every other module hashes and writes through these functions, so that named pipes and full disks are handled the same
way everywhere.
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
from sodbench.folders import list_names

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
