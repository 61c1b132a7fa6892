"""Output folders: who may write where, and how.

Every command that fills a folder opens it with `OutputFolder.open`, so that the same rules hold for all:

- A folder inside the user's images, masks or maps is refused.
- A folder that holds other files, or was made from other inputs or settings, is refused; the message names
  what differs.
- One process at a time writes to a folder.
- Temporary files that killed processes left are removed.
- A file appears whole or not at all, and is never written through a link inside the folder.
"""

import errno
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sodbench.errors import SodbenchError
from sodbench.files import (
    atomic_write,
    is_temporary,
    lock_folder,
    open_regular,
    remove_stale_temporaries,
    write_error,
)
from sodbench.folders import list_paths

# What describes the maps in a folder that ``sodbench predict`` filled
MAPS_MANIFEST = "prediction.json"

# No manifest is near this size; a larger file is not read into memory.
_MAX_MANIFEST_BYTES = 2**26

# Errors that come without a file's name when a disk or quota is full.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a regular file.

    Returns
    -------
    dict
        The content.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not a JSON object, nested too deeply, or larger than 64 MiB.
    """
    with open_regular(path) as file:
        data = file.read(_MAX_MANIFEST_BYTES + 1)
    if len(data) > _MAX_MANIFEST_BYTES:
        raise ValueError("it is larger than 64 MiB")
    try:
        content = json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(content, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004  a fault of the file, not of a type in code
    return content


def _is_any_entry(path: Path) -> bool:
    return True


@dataclass(frozen=True)
class FolderKind:
    """What one command calls and keeps in its output folder.

    Attributes
    ----------
    content : str
        What the folder holds, with an article, for messages: ``a training run``.
    purpose : str
        What a process that writes to the folder does, for messages: ``training``.
    manifest : str
        Name of the file that marks a folder as this command's own and records its identity.
    read : callable
        Read the manifest at a path; raise ValueError or OSError if it is not one of this command.
    is_foreign : callable
        Whether an entry of a folder without manifest belongs to someone else. By default every entry does,
        except sodbench's temporary files.
    labels : mapping
        Plain words for keys of the identity: ``{"data.name": "the training set"}``.
    """

    content: str
    purpose: str
    manifest: str
    read: Callable[[Path], Mapping[str, Any]] = read_json
    is_foreign: Callable[[Path], bool] = _is_any_entry
    labels: Mapping[str, str] = field(default_factory=dict)

    def read_manifest(self, folder: Path) -> Mapping[str, Any] | None:
        """Read the manifest of a folder, without a lock.

        Returns
        -------
        mapping or None
            The content, or None if there is no manifest.

        Raises
        ------
        SodbenchError
            If there is one that this command did not write, or no manifest but files of someone else.
        """
        path = folder / self.manifest
        try:
            if os.path.lexists(path):
                return self.read(path)
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            raise SodbenchError(
                f"{path}: damaged, or not the record of {self.content} ({reason}); choose another folder, or delete "
                "this one"
            ) from error
        foreign = (
            [p.name for p in list_paths(folder) if self._is_foreign(p)] if folder.exists() else []
        )
        if foreign:
            names = ", ".join(foreign[:3]) + ", ..." * (len(foreign) > 3)
            raise SodbenchError(
                f"{folder}: holds other files than {self.content} ({names}); choose another folder"
            )
        return None

    def _is_foreign(self, path: Path) -> bool:
        return not is_temporary(path.name) and self.is_foreign(path)


class OutputFolder:
    """A folder that this process may write to; made by `open`.

    Attributes
    ----------
    path : Path
    kind : FolderKind
    manifest : mapping or None
        What the manifest recorded when the folder was opened; None for a new folder.
    """

    def __init__(self, path: Path, kind: FolderKind, manifest: Mapping[str, Any] | None):
        self.path = path
        self.kind = kind
        self.manifest = manifest

    @classmethod
    @contextmanager
    def open(
        cls,
        path: Path | str,
        kind: FolderKind,
        identity: Mapping[str, Any] | None = None,
        *,
        data: Iterable[Path] = (),
    ) -> Iterator["OutputFolder"]:
        """Lock a folder and check that it may be written to; create it if it does not exist.

        Parameters
        ----------
        path : Path or str
            The folder.
        kind : FolderKind
            What the command keeps there.
        identity : mapping, optional
            What the inputs and settings of a folder with a manifest must agree in; nested mappings are compared
            key by key. Without it, the caller compares them (`differences`).
        data : iterable of Path
            Folders of the user's images, masks or maps.

        Yields
        ------
        OutputFolder
            The folder, locked until the block ends.

        Raises
        ------
        SodbenchError
            If the folder is inside ``data``, holds other files, was made with another identity, is in use by
            another process, or cannot be written to; also for an OSError of a file of the folder in the block.
        """
        path = Path(path)
        check_outside(path, data)
        with lock_folder(path, kind.purpose):
            try:
                with tempfile.TemporaryFile(dir=path):
                    # a read-only folder is reported before any work is done
                    pass
                # only what a killed process left is removed: its number is part of a temporary name
                for folder in (path, *(p for p in list_paths(path) if _is_real_folder(p))):
                    remove_stale_temporaries(folder)
                output = cls(path, kind, kind.read_manifest(path))
                if identity is not None:
                    output.check_identity(identity)
                yield output
            except OSError as error:
                if named := _own_error(path, error):
                    raise named from error
                raise

    def differences(self, identity: Mapping[str, Any]) -> list[str]:
        """List what differs between the manifest and an identity, as ``LABEL was X, is Y now``.

        Parameters
        ----------
        identity : mapping
            Values by key; only these keys are compared. A key of a nested mapping is written ``outer.inner``.

        Returns
        -------
        list of str
            Empty for a new folder.
        """
        if self.manifest is None:
            return []
        before, labels = dict(_leaves(self.manifest)), self.kind.labels
        return [
            f"{labels.get(key, key)} was {_short(before.get(key, 'not recorded'))}, is {_short(value)} now"
            for key, value in _leaves(identity)
            if key not in before or before[key] != value
        ]

    def check_identity(self, identity: Mapping[str, Any]) -> None:
        """Check that the folder is new or was made with this identity.

        Raises
        ------
        SodbenchError
            Naming everything that differs.
        """
        if differences := self.differences(identity):
            raise SodbenchError(
                f"{self.path}: holds {self.kind.content} made with other inputs or settings: "
                f"{'; '.join(differences)}. Choose another folder, or use what {self.kind.manifest} there records"
            )

    def file(self, name: str | Path) -> Path:
        """Return the path of a file in the folder.

        Raises
        ------
        SodbenchError
            If a folder on the way to it is a link, which could lead to any place.
        """
        path = self.path / name
        for folder in path.parents:
            if folder == self.path:
                break
            if folder.is_symlink():
                raise SodbenchError(
                    f"{folder}: is a link; nothing is written through links, remove it or choose another folder"
                )
        return path

    @contextmanager
    def write(self, name: str | Path) -> Iterator[Path]:
        """Write a file of the folder, whole or not at all; yields the temporary file to write.

        Raises
        ------
        SodbenchError
            If it cannot be written.
        """
        with atomic_write(self.file(name)) as temporary:
            yield temporary

    def write_text(self, name: str | Path, text: str) -> None:
        """Write a UTF-8 text file of the folder, whole or not at all."""
        with self.write(name) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        """Write the manifest, with the version of sodbench first."""
        from sodbench.version import __version__

        whole = {"made_by": f"sodbench {__version__}", **content}
        self.write_text(self.kind.manifest, json.dumps(whole, indent=2) + "\n")


def check_outside(path: Path, data: Iterable[Path]) -> None:
    """Check that a file or folder to write is not inside folders of the user's data.

    Raises
    ------
    SodbenchError
        Naming the folder of data that it is in.
    """
    place = path.resolve()
    for folder in data:
        if place.is_relative_to(folder.resolve()):
            where = "" if place == folder.resolve() else f"is inside {folder}, which "
            raise SodbenchError(
                f"{path}: {where}holds images, masks or maps; choose another output folder"
            )


def check_own_file(path: Path, *markers: str, within: int = 2000) -> None:
    """Check that a single file may be written: it is new, or sodbench wrote it.

    Parameters
    ----------
    path : Path
    *markers : str
        Every such file of sodbench contains one of these.
    within : int
        In so many bytes from its beginning; -1: anywhere.

    Raises
    ------
    SodbenchError
        If it is a folder, a link, a file of someone else, or cannot be read.
    """
    if path.is_dir():
        raise SodbenchError(f"{path}: is a folder; name a file")
    if not os.path.lexists(path):
        return
    try:
        with open_regular(path) as file:
            start = file.read(within)
    except OSError as error:
        if not path.is_symlink():
            raise SodbenchError(f"{path}: cannot be read ({error.strerror or error})") from error
        start = b""
    # a link would be replaced by the file
    if path.is_symlink() or not any(marker.encode() in start for marker in markers):
        raise SodbenchError(
            f"{path}: exists and was not written by sodbench; move it, or choose another name"
        )


def _leaves(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _short(value: Any) -> str:
    """Return the first digits of a SHA-256, ``none`` for None, and any other value as text."""
    text = "none" if value is None else str(value)
    # twelve digits distinguish two files, and fit into a message
    return text[:12] if len(text) == 64 else text


def _is_real_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _own_error(folder: Path, error: OSError) -> SodbenchError | None:
    """Return the error to raise if an OSError is about a file of the folder."""
    # without a file's name, only a full disk can be blamed on this folder
    if error.filename is None:
        return write_error(folder, error) if error.errno in _FULL else None
    path = Path(os.fsdecode(error.filename))
    return write_error(path, error) if path.is_relative_to(folder) else None
