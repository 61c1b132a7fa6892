"""Download one file over HTTP(S): resume after cut connections, verify, keep the whole file or nothing.

While it is being downloaded a file is called ``<name>.part``; ``<name>.part.json`` records the URL and the
version that it belongs to, so that a later run resumes it and never mixes two versions.

The size of a file, the free disk space and the number of attempts are limited here, a single connection in
`http_get`. The libraries that were considered (pooch; requests) cannot resume a partial file, or do not limit
a connection that never ends.
"""

import json
import os
import re
import shutil
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from sodbench.console import bar
from sodbench.files import file_hash, report_write_errors, write_text
from sodbench.runners.data.http_get import (
    Answer,
    FetchError,
    Interrupted,
    Limits,
    check_url,
    open_url,
)

_TEMPORARY_FAILURES = frozenset({408, 425, 429, 500, 502, 503, 504})
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class Fetched:
    """A complete file: its path, its size in bytes, its SHA-256 (hex).

    Attributes
    ----------
    path : Path
    size : int
        Bytes.
    sha256 : str
        In hexadecimal digits.
    """

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True)
class _Part:
    """A partial download on disk, and the URL and version that it belongs to."""

    file: Path
    url: str
    validator: str = ""
    total: int | None = None

    @property
    def note(self) -> Path:
        return self.file.with_name(f"{self.file.name}.json")

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0

    @property
    def resumable(self) -> str:
        """What to add to an error message."""
        return f"; {self.size} bytes are kept, the same command resumes there" * bool(self.size)

    def save(self) -> None:
        content = {"url": self.url, "validator": self.validator, "total": self.total}
        write_text(self.note, json.dumps(content))

    def delete(self) -> None:
        self.file.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def fetch(
    url: str,
    target: Path,
    *,
    sha256: str = "",
    limits: Limits | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Fetched:
    """Download a file; an existing target is never replaced.

    Parameters
    ----------
    url : str
        An http or https URL.
    target : Path
        Where the complete file is put; its folder is created.
    sha256 : str
        The file's SHA-256 in hex, or its first digits; empty if it is unknown.
    limits : Limits, optional
        When to give up.
    pause : callable
        Waits the given number of seconds between two attempts.

    Returns
    -------
    Fetched
        The complete file.

    Raises
    ------
    FetchError
        If the server refuses, sends a web page, a malformed answer or too many bytes, or sends a file with
        another hash (which is deleted). A partial download that can be resumed is kept.
    SodbenchError
        If the file cannot be written.
    """
    limits = limits or Limits()
    check_url(url)
    _check_absent(target)
    with report_write_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        part = _load_part(target.with_name(f"{target.name}.part"), url)
        part = _transfer_until_complete(part, limits, pause)
        actual = file_hash(part.file)
        if not actual.startswith(sha256.lower()):
            part.delete()
            raise FetchError(
                f"{url}: the file has SHA-256 {actual}, expected {sha256}; it was deleted. It is another "
                "version, or not the file that was meant"
            )
        size = part.size
        _check_absent(target)
        part.file.replace(target)
        part.delete()
    return Fetched(target, size, actual)


def _check_absent(target: Path) -> None:
    if os.path.lexists(target):
        raise FetchError(f"{target} exists already; it is not replaced")


def _transfer_until_complete(part: _Part, limits: Limits, pause: Callable[[float], None]) -> _Part:
    """Repeat requests until the file is complete or too many in a row make no real progress."""
    reached, failures_in_a_row = part.size, 0
    while True:
        try:
            return _transfer(part, limits)
        except Interrupted as reason:
            # The largest size over all attempts counts: a server that sends the same bytes again and
            # again, or a byte per connection, makes no progress.
            part = _load_part(part.file, part.url)
            step = min(limits.progress_bytes, max(1, (part.total or limits.max_bytes) // 100))
            if part.size >= reached + step:
                reached, failures_in_a_row = part.size, 0
            else:
                failures_in_a_row += 1
            if failures_in_a_row >= limits.attempts:
                raise FetchError(
                    f"{part.url}: {reason} ({limits.attempts} attempts in a row made no real "
                    f"progress{part.resumable})"
                ) from None
            pause(min(30.0, max(1.0, 2.0 ** (failures_in_a_row - 1))))


# --- the partial download on disk --------------------------------------------------------------------


def _load_part(file: Path, url: str) -> _Part:
    """The partial download of this URL; one of another URL or version is deleted."""
    # Raises `FetchError` for files that are not a partial download of sodbench; they are not
    # touched.
    part = _Part(file, url)
    for path in (file, part.note):
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            raise FetchError(f"{path}: not a regular file, so nothing is written there; remove it")
    if not part.note.exists():
        if file.exists():
            raise FetchError(
                f"{file}: not a partial download of sodbench (no {part.note.name}); move it away"
            )
        return part
    saved = _read_note(part)
    total_fits = saved.total is None or saved.size <= saved.total
    if saved.url == url and saved.validator and file.exists() and total_fits:
        return saved
    part.delete()
    return part


def _read_note(part: _Part) -> _Part:
    try:
        note = json.loads(part.note.read_text("utf-8"))
        url, validator, total = note["url"], note["validator"], note["total"]
        valid = isinstance(url, str) and _is_header_text(validator)
        if not (valid and (total is None or (type(total) is int and total >= 0))):
            raise ValueError("unexpected values")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FetchError(
            f"{part.note}: not the note of a partial download; move it and {part.file.name} away"
        ) from None
    return _Part(part.file, url, validator, total)


def _is_header_text(text: object) -> bool:
    """Whether a validator can be sent back in a header: printable ASCII (a header may be folded)."""
    return isinstance(text, str) and text.isascii() and (text.isprintable() or not text)


def _open_part_file(part: _Part, append: bool) -> BinaryIO:
    """The part's file for writing; a link in its place is not followed."""
    flags = os.O_WRONLY | os.O_CREAT | _NO_FOLLOW | (os.O_APPEND if append else os.O_TRUNC)
    return os.fdopen(os.open(part.file, flags, 0o666), "ab" if append else "wb")


# --- one request -------------------------------------------------------------------------------------


def _transfer(part: _Part, limits: Limits) -> _Part:
    """One request: the rest of the part, or the whole file if the server does not resume."""
    start = part.size
    headers = {"Range": f"bytes={start}-", "If-Range": part.validator} if start else {}
    with open_url(part.url, headers, limits) as answer:
        if answer.status == 416 and start:
            if part.total == start:
                return part
            part.delete()
            raise Interrupted("the part on disk does not fit the file there")
        status = f"answered {answer.status} {answer.reason}".rstrip()
        if answer.status in _TEMPORARY_FAILURES:
            raise Interrupted(status)
        if answer.status >= 400:
            raise FetchError(f"{part.url}: {status}")
        if answer.status not in (200, 206):
            raise FetchError(f"{part.url}: answered {answer.status}, which brings no file")
        return _receive(part, answer, limits)


def _receive(part: _Part, answer: Answer, limits: Limits) -> _Part:
    """Write the body of an answer to the part's file."""
    start, part = _match_version(part, answer)
    _refuse_web_page(part.url, str(answer.headers.get("Content-Type", "")))
    if part.total is not None:
        _check_size(part, part.total, limits)
        _check_free_space(part, part.total - start, limits)
    beginning = answer.read_beginning()
    if start == 0:
        _refuse_web_page(part.url, _guess_type(beginning))
    try:
        _write_body(part, start, beginning, answer, limits)
    except OSError:
        if part.total is None:
            part.delete()
        raise
    if part.total is None or part.size < part.total:
        answer.check_not_cut()
    if part.total is not None and part.size < part.total:
        raise Interrupted(f"the connection was cut after {part.size} of {part.total} bytes")
    if part.total is not None and part.size > part.total:
        part.delete()
        raise Interrupted(f"more than the announced {part.total} bytes came")
    return part


def _match_version(part: _Part, answer: Answer) -> tuple[int, _Part]:
    """Where the body of an answer begins in the file, and the part with the version and size of that file."""
    length, validator = answer.content_length(), _validator(answer)
    if answer.status == 200:
        return 0, _Part(part.file, part.url, validator, length)
    begin, total = _content_range(str(answer.headers.get("Content-Range", "")))
    start, total = part.size, part.total if total is None else total
    other = part.total is not None and total != part.total
    other = other or bool(start and validator and validator != part.validator)
    if begin != start or other or total is None:
        part.delete()
        raise Interrupted("the server sent another range than the one requested")
    return start, _Part(part.file, part.url, validator or part.validator, total)


def _write_body(part: _Part, start: int, chunk: bytes, answer: Answer, limits: Limits) -> None:
    name = Path(urlsplit(part.url).path).name
    size, checked = start, start
    with (
        _open_part_file(part, append=bool(start)) as file,
        bar(part.total, name, "B", initial=start, unit_scale=True) as progress,
    ):
        # only now: an older version's bytes must never be on disk with a newer version's note
        part.save()
        while chunk:
            size += len(chunk)
            _check_size(part, size, limits)
            if size - checked >= limits.spare_bytes // 8:
                _check_free_space(part, 0, limits)
                checked = size
            file.write(chunk)
            progress.update(len(chunk))
            chunk = answer.read()


def _check_size(part: _Part, size: int, limits: Limits) -> None:
    """Refuse a file that is or becomes too large; nothing of it is of use, so the part is deleted."""
    if size > limits.max_bytes:
        part.delete()
        raise FetchError(
            f"{part.url}: the file has more than {limits.max_bytes / 1e9:g} GB, the most that is "
            "downloaded; --max-gb raises this limit"
        )


def _check_free_space(part: _Part, more: int, limits: Limits) -> None:
    """Refuse to fill the disk. A part of unknown total size may never end, so it is deleted."""
    free = shutil.disk_usage(part.file.parent).free
    if free >= more + limits.spare_bytes:
        return
    if part.total is None:
        part.delete()
    raise FetchError(
        f"{part.url}: the disk of {part.file.parent} is full: {free / 1e9:.2f} GB are free, "
        f"{(more + limits.spare_bytes) / 1e9:.2f} GB are needed{part.resumable}"
    )


def _content_range(text: str) -> tuple[int, int | None]:
    """(first byte, total size or None) of ``bytes 100-199/200``; (-1, None) if it is malformed."""
    match = re.fullmatch(r"\s*bytes\s+([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)\s*", text)
    if match is None:
        return -1, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _validator(answer: Answer) -> str:
    """What distinguishes versions of the file: a strong ETag, else the date; empty if there is neither."""
    tag = str(answer.headers.get("ETag", ""))
    weak = not tag or tag.startswith("W/")
    validator = str(answer.headers.get("Last-Modified", "")) if weak else tag
    return validator if _is_header_text(validator) else ""


def _guess_type(beginning: bytes) -> str:
    head = beginning[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return "text/html" if head.startswith((b"<!doctype html", b"<html")) else ""


def _refuse_web_page(url: str, content_type: str) -> None:
    if content_type.partition(";")[0].strip().lower() in ("text/html", "application/xhtml+xml"):
        raise FetchError(
            f"{url}: answered with a web page instead of a file (a login, a notice, or a dead link)"
        )
