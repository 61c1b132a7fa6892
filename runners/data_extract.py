"""Extract a ZIP archive that nobody vouches for: nothing leaves the target, nothing explodes.

The whole table of contents is judged before a byte is written; sizes are counted again while writing,
because an archive can lie about them.
"""

import lzma
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from sodbench.errors import SodbenchError
from sodbench.progress import bar

MAX_BYTES = 1 << 34
"""Most bytes that one archive may unpack to (16 GiB; the largest set has under 1)."""

MAX_MEMBERS = 200_000
MAX_RATIO = 100
"""Most bytes out of one byte of the archive, over the whole; pictures give 1 to 2, bombs thousands."""

_SMALL = 1 << 24  # archives that unpack to less are no danger at any ratio
_STRAYS = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})


class ArchiveError(SodbenchError):
    """An archive that is broken or dangerous; nothing of it is left on disk."""


def extract(
    archive: Path,
    target: Path,
    *,
    keep: Callable[[PurePosixPath], bool] = lambda path: True,
    max_bytes: int = MAX_BYTES,
    max_members: int = MAX_MEMBERS,
) -> int:
    """Unpack into ``target``, which must not exist yet; returns the number of files.

    keep: which members are wanted, by their path in the archive; all of them are judged.

    Stray files (``__MACOSX``, ``.DS_Store``, ``._x``) are left out.  Raises :class:`ArchiveError`
    for no ZIP, encrypted or damaged members, absolute paths, ``..``, links, names that collide, and
    bombs (too many members or bytes, too high a ratio, overlapping members); the target is then
    removed again.
    """
    if target.exists():
        raise ArchiveError(f"{target} exists already; nothing is unpacked over it")
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _judged(archive, opened, max_bytes, max_members)
            members = {path: info for path, info in members.items() if keep(path)}
            if not members:
                raise ArchiveError(f"{archive}: holds no files that are wanted")
            target.mkdir(parents=True)
            _write(archive, opened, members, target, max_bytes)
    except ArchiveError:
        shutil.rmtree(target, ignore_errors=True)
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        NotImplementedError,
        EOFError,
        ValueError,
    ) as error:
        shutil.rmtree(target, ignore_errors=True)
        raise ArchiveError(f"{archive}: no intact ZIP archive ({error})") from error
    except (OSError, RuntimeError) as error:
        shutil.rmtree(target, ignore_errors=True)
        raise ArchiveError(f"{archive}: cannot be unpacked to {target} ({error})") from error
    return len(members)


def _judged(
    archive: Path, opened: zipfile.ZipFile, max_bytes: int, max_members: int
) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The members to write by relative path; raises at the first reason not to touch the archive."""
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
        if info.is_dir() or _is_stray(path):
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
    if info.flag_bits & 0x1:
        raise ArchiveError(f"{archive}: member {name!r} is encrypted; unpack it by hand")
    return path


def _is_stray(path: PurePosixPath) -> bool:
    return path.name.startswith("._") or not _STRAYS.isdisjoint(path.parts)


def _write(
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
            file.parent.mkdir(parents=True, exist_ok=True)
            with opened.open(info) as source, file.open("xb") as sink:
                while chunk := source.read(1 << 18):
                    written += len(chunk)
                    if written > max_bytes:
                        raise ArchiveError(
                            f"{archive}: unpacks to more than {max_bytes} bytes; refused as a ZIP bomb"
                        )
                    sink.write(chunk)
            progress.update()
