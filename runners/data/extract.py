"""Unpack a ZIP archive that is not trusted: nothing is written outside the target, no bomb fills the disk.

The whole table of contents is checked before a byte is written; sizes are counted again while writing,
because an archive can declare wrong ones.
"""

import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from sodbench.console import bar
from sodbench.errors import SodbenchError
from sodbench.quoting import printable

# Largest file that is downloaded, and most bytes an archive may unpack to (16 GiB; the known ones have under 3).
MAX_DOWNLOAD_BYTES = 1 << 34

# Bytes of the disk that downloading and unpacking leave free (256 MiB).
SPARE_BYTES = 1 << 28

MAX_MEMBERS = 200_000
# Most bytes out of one byte of the archive, over the whole; images give 1 to 2, bombs thousands.
MAX_RATIO = 100

# archives that unpack to less are no danger at any ratio
_SMALL = 1 << 24
_STRAYS = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})


class ArchiveError(SodbenchError):
    """An archive that is broken or dangerous; nothing of it is left on disk."""


def extract(
    archive: Path,
    target: Path,
    *,
    keep: Callable[[PurePosixPath], bool] = lambda path: True,
    max_bytes: int = MAX_DOWNLOAD_BYTES,
    max_members: int = MAX_MEMBERS,
) -> int:
    """Unpack into ``target``, which must not exist yet.

    Parameters
    ----------
    archive : Path
        The ZIP file.
    target : Path
        A new folder.
    keep : callable
        Whether a member is wanted, by its path in the archive; all members are checked.
    max_bytes, max_members : int
        Most bytes and members to unpack.

    Returns
    -------
    int
        The number of files. Stray files (``__MACOSX``, ``.DS_Store``, ``._x``) are left out.

    Raises
    ------
    ArchiveError
        For no ZIP, encrypted or damaged members, absolute paths, ``..``, links, control characters in names,
        names that collide, bombs (too many members or bytes, too high a ratio, overlapping members), and
        too little disk space. The target is then removed again.
    """
    if target.exists():
        raise ArchiveError(f"{target} exists already; nothing is unpacked over it")
    try:
        with _intact(archive), zipfile.ZipFile(archive) as opened:
            members = _checked(archive, opened, max_bytes, max_members)
            members = {path: info for path, info in members.items() if keep(path)}
            if not members:
                raise ArchiveError(f"{archive}: holds no files that are wanted")
            _check_disk_space(archive, target, sum(info.file_size for info in members.values()))
            with _on_disk(target):
                target.mkdir(parents=True)
            _write_members(archive, opened, members, target, max_bytes)
    except BaseException:
        # Ctrl-C too
        shutil.rmtree(target, ignore_errors=True)
        raise
    return len(members)


class _WriteError(Exception):
    """Files cannot be written, which is not the archive's fault."""


@contextmanager
def _on_disk(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _WriteError(f"{target}: cannot be written ({error.strerror or error})") from error


@contextmanager
def _intact(archive: Path) -> Iterator[None]:
    """Turn whatever reading an archive raises into an `ArchiveError`."""
    # Each compression module has errors of its own (``lzma.LZMAError`` is no ``OSError``, bzip2
    # raises ``OSError``), and a header can make them ask for any amount of memory.
    try:
        yield
    except ArchiveError:
        raise
    except _WriteError as error:
        raise ArchiveError(f"{archive}: cannot be unpacked; {error}") from error
    except Exception as error:
        reason = printable(error)[:200] or type(error).__name__
        raise ArchiveError(f"{archive}: no intact ZIP archive ({reason})") from error


def _check_disk_space(archive: Path, target: Path, needed: int) -> None:
    existing = next(folder for folder in target.absolute().parents if folder.is_dir())
    free = shutil.disk_usage(existing).free
    if free < needed + SPARE_BYTES:
        raise ArchiveError(
            f"{archive}: unpacks to {needed / 1e9:.2f} GB; {free / 1e9:.2f} GB are free in {existing}, and "
            f"{SPARE_BYTES / 1e9:.2f} GB are left free; make room and give the same command again"
        )


def _checked(
    archive: Path, opened: zipfile.ZipFile, max_bytes: int, max_members: int
) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The members to write by relative path; raises at the first reason to refuse the archive."""
    infos = opened.infolist()
    if len(infos) > max_members:
        raise ArchiveError(f"{archive}: {len(infos)} members, more than {max_members}; refused")
    unpacked = sum(info.file_size for info in infos)
    packed = archive.stat().st_size
    if unpacked > max_bytes:
        raise ArchiveError(f"{archive}: would unpack to {unpacked} bytes; refused as a ZIP bomb")
    if unpacked > _SMALL and unpacked > MAX_RATIO * packed:
        raise ArchiveError(
            f"{archive}: {packed} bytes would become {unpacked}; refused as a ZIP bomb"
        )
    if sum(info.compress_size for info in infos) > packed:
        raise ArchiveError(f"{archive}: its members overlap; refused as a ZIP bomb")
    members: dict[PurePosixPath, zipfile.ZipInfo] = {}
    spelled: set[str] = set()
    for info in infos:
        path = _safe_path(archive, info)
        if info.is_dir() or _is_stray_member(path):
            continue
        if str(path).lower() in spelled:
            raise ArchiveError(f"{archive}: two members are called {path}; refused")
        spelled.add(str(path).lower())
        members[path] = info
    return members


def _safe_path(archive: Path, info: zipfile.ZipInfo) -> PurePosixPath:
    name = info.orig_filename.replace("\\", "/")
    path = PurePosixPath(name)
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ArchiveError(f"{archive}: member {name!r} is a link or a device; refused")
    drive = ":" in path.parts[0] if path.parts else True
    if path.is_absolute() or drive or ".." in path.parts or "\0" in name:
        raise ArchiveError(f"{archive}: member {name!r} would leave the target folder; refused")
    if printable(name) != name:
        raise ArchiveError(
            f"{archive}: member {name!r} has control characters in its name; refused"
        )
    if info.flag_bits & 0x1:
        raise ArchiveError(f"{archive}: member {name!r} is encrypted; unpack it by hand")
    return path


def _is_stray_member(path: PurePosixPath) -> bool:
    return path.name.startswith("._") or not _STRAYS.isdisjoint(path.parts)


def _write_members(
    archive: Path,
    opened: zipfile.ZipFile,
    members: dict[PurePosixPath, zipfile.ZipInfo],
    target: Path,
    max_bytes: int,
) -> None:
    written = 0
    with bar(len(members), "unpacking", "files") as progress:
        for path, info in members.items():
            file = target / path
            with _on_disk(target):
                file.parent.mkdir(parents=True, exist_ok=True)
                sink = file.open("xb")
            with opened.open(info) as source, _on_disk(target), sink:
                while chunk := _read_member(source, path):
                    written += len(chunk)
                    if written > max_bytes:
                        raise ArchiveError(
                            f"{archive}: unpacks to more than {max_bytes} bytes; refused as a ZIP bomb"
                        )
                    sink.write(chunk)
            progress.update()


def _read_member(source: IO[bytes], path: PurePosixPath) -> bytes:
    """The next bytes of a member; a bzip2 error is an OSError and must not look like one of the disk."""
    try:
        return source.read(1 << 18)
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise zipfile.BadZipFile(f"member {str(path)!r}: {reason}") from error
