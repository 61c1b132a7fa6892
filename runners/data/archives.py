"""The archives that ``sodbench data download`` needs: downloaded once, used for every dataset, deleted at the end.

What was downloaded from where is recorded in the data root.
"""

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from sodbench.console import logger
from sodbench.datasets import Source
from sodbench.errors import SodbenchError
from sodbench.files import file_hash, write_text
from sodbench.output_folder import read_json
from sodbench.runners.data.fetch import Fetched, fetch
from sodbench.runners.data.http_get import FetchError, Limits

# Written into the data root: URL, size, SHA-256 and day of every file that was downloaded.
DOWNLOADS_FILE = "downloads.json"


class ArchiveStore:
    """The archives of one run, in ``.downloads`` below the data root; a context that deletes them at its end.

    Partial downloads stay, so that the next run resumes them.

    Attributes
    ----------
    folder : Path
    """

    def __init__(self, data_root: Path, limits: Limits):
        self.folder = data_root / ".downloads"
        self._data_root = data_root
        self._limits = limits
        self._complete: set[Path] = set()
        # URL -> why, so that it is not tried again
        self._failures: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for archive in self._complete:
            archive.unlink(missing_ok=True)
        if self.folder.is_dir() and not self.folder.is_symlink() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def left_behind(self) -> list[Path]:
        """Return the archives that killed runs left, besides partial downloads, which are resumed."""
        archives = self.folder.iterdir() if self.folder.is_dir() else ()
        return [file for file in archives if not file.name.endswith((".part", ".part.json"))]

    def get(self, source: Source) -> Path:
        """Return the path of a source's archive, and download it if need be.

        Parameters
        ----------
        source : Source
            With a URL, or with the path of a file in place of it.

        Returns
        -------
        Path

        Raises
        ------
        SodbenchError
            If it cannot be downloaded, or could not be before; if there is no such file.
        """
        if "://" not in source.url:
            if not os.path.isfile(source.url):  # noqa: PTH113  Path.is_file raises PermissionError
                there = os.path.lexists(source.url)
                raise SodbenchError(
                    f"{source.url}: {'not a regular file' if there else 'no such file'}"
                )
            return Path(source.url)
        if source.url in self._failures:
            raise SodbenchError(self._failures[source.url])
        try:
            archive = self.folder / archive_name(source.url)
            if archive not in self._complete:
                fetched = self._download(source, archive)
                self._complete.add(archive)
                record_download(self._data_root, source.url, fetched)
        except SodbenchError as error:
            self._failures[source.url] = error.lines[0]
            raise
        return archive

    def _download(self, source: Source, archive: Path) -> Fetched:
        # complete, from a run that was killed
        if os.path.lexists(archive):
            return Fetched(archive, archive.stat().st_size, file_sha256(archive))
        logger.info(f"downloading {source.url} ({source.holds})")
        if source.drive:
            return _download_from_drive(source, archive, self._limits)
        return fetch(source.url, archive, limits=self._limits)


def archive_name(url: str) -> str:
    """Return the file name of a downloaded archive; no two URLs share one.

    Raises
    ------
    FetchError
        If the URL is not valid.
    """
    try:
        parts = urlsplit(url)
        host, name = parts.hostname or "host", Path(parts.path).name
    except ValueError as error:
        raise FetchError(f"{url}: not a valid URL ({error})") from None
    code = hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
    return f"{host[:60]}-{code}-{plain[-60:] or 'archive.zip'}"


def file_sha256(path: Path) -> str:
    """Return a file's SHA-256 in hex.

    Raises
    ------
    SodbenchError
        If it cannot be read.
    """
    try:
        return file_hash(path)
    except OSError as error:
        raise SodbenchError(f"{path}: cannot be read ({error.strerror or error})") from error


def _download_from_drive(source: Source, target: Path, limits: Limits) -> Fetched:
    """Google Drive answers programs with pages to click through, which gdown handles."""
    try:
        import gdown
    except ImportError:
        raise SodbenchError(
            f"{source.url}: Google Drive needs the program gdown: pip install 'sodbench[drive]'"
        ) from None
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        downloaded = gdown.download(source.url, str(target), quiet=False, resume=True)
    except Exception as error:
        # gdown raises errors of its own and of its libraries
        raise SodbenchError(f"{source.url}: {error}") from error
    if downloaded is None:
        raise SodbenchError(f"{source.url}: gdown could not download it")
    size = target.stat().st_size
    if size > limits.max_bytes:
        target.unlink()
        raise SodbenchError(
            f"{source.url}: the file has {size / 1e9:g} GB, more than --max-gb allows; it was deleted"
        )
    return Fetched(target, size, file_sha256(target))


# --- the record --------------------------------------------------------------------------------------


def read_record(data_root: Path) -> dict[str, dict[str, Any]]:
    """Read what was downloaded into a data root.

    Returns
    -------
    dict
        URL -> ``sha256``, ``size`` and ``day``.

    Raises
    ------
    SodbenchError
        If the file there is not such a record.
    """
    file = data_root / DOWNLOADS_FILE
    try:
        if not os.path.lexists(file):
            return {}
        record = read_json(file)
        for entry in record.values():
            if not (isinstance(entry["sha256"], str) and isinstance(entry["day"], str)):
                raise TypeError("unexpected values")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SodbenchError(
            f"{file}: not a record of downloads ({error}); it is not replaced: move it away"
        ) from error
    return record


def record_download(data_root: Path, url: str, fetched: Fetched) -> None:
    """Record what was downloaded from where, and warn if a URL gives another file than last time.

    Parameters
    ----------
    data_root : Path
        Where `DOWNLOADS_FILE` is.
    url : str
    fetched : Fetched
        What the URL gave.

    Raises
    ------
    SodbenchError
        If the record there is not one, or cannot be written.
    """
    record = read_record(data_root)
    before = record.get(url)
    if before and before["sha256"] != fetched.sha256:
        logger.warning(
            f"{url} gives another file than on {before['day']} (SHA-256 was {before['sha256']})"
        )
    record[url] = {
        "sha256": fetched.sha256,
        "size": fetched.size,
        "day": datetime.now(UTC).date().isoformat(),
    }
    write_text(data_root / DOWNLOADS_FILE, json.dumps(record, indent=1) + "\n")
