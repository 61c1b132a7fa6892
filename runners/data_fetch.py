"""Fetch one file over HTTP(S): resumed after cut connections, verified, whole or not at all.

While it is being fetched a file is called ``<name>.part``; ``<name>.part.json`` remembers of which
address and version it is a part, so that a later run goes on instead of mixing two versions.
"""

import hashlib
import http.client
import json
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sodbench import __version__
from sodbench.errors import SodbenchError
from sodbench.progress import bar

_CHUNK = 1 << 18
_SPARE = 1 << 28  # bytes of the disk that are left free
_TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})


class FetchError(SodbenchError):
    """The file could not be had from this address; the message says why."""


class _Interrupted(Exception):
    """The transfer ended early; trying again may bring the rest."""


@dataclass(frozen=True)
class Fetched:
    """A file that was fetched whole: where it lies, its size in bytes, its SHA-256 (hex)."""

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True)
class _Part:
    """The beginning of a file that is on disk already, and what it is the beginning of."""

    file: Path
    url: str
    validator: str = ""
    total: int | None = None

    @property
    def about(self) -> Path:
        return self.file.with_name(f"{self.file.name}.json")

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0

    def remember(self) -> None:
        note = {"url": self.url, "validator": self.validator, "total": self.total}
        self.about.write_text(json.dumps(note), "utf-8")

    def discard(self) -> None:
        self.file.unlink(missing_ok=True)
        self.about.unlink(missing_ok=True)


def fetch(
    url: str,
    target: Path,
    *,
    sha256: str = "",
    attempts: int = 5,
    timeout: float = 30.0,
    pause: Callable[[float], None] = time.sleep,
) -> Fetched:
    """Fetch ``url`` to ``target``; an existing target is never replaced.

    sha256: the file's SHA-256 in hex, or its first digits; empty where it is not known.
    attempts: how often in a row it may fail without bringing a single byte.
    timeout: seconds of silence after which a connection counts as cut.

    Raises :class:`FetchError` where the address refuses, answers with a web page, or brings a file
    with another hash (which is then deleted).  A part that was brought is kept for the next run.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise FetchError(f"{url}: only http and https addresses can be fetched")
    if target.exists():
        raise FetchError(f"{target} exists already; it is not replaced")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _remembered(target.with_name(f"{target.name}.part"), url)
    fruitless = 0
    while True:
        before = part.size
        try:
            part = _transfer(part, timeout)
            break
        except _Interrupted as reason:
            part = _remembered(part.file, url)
            fruitless = 0 if part.size > before else fruitless + 1
            if fruitless >= attempts:
                kept = f"; {part.size} bytes are kept, the same command goes on from there"
                raise FetchError(
                    f"{url}: {reason} ({attempts} attempts in a row brought nothing{kept * bool(part.size)})"
                ) from None
            pause(min(30.0, 2.0**fruitless - 1))
    found = digest(part.file)
    if not found.startswith(sha256.lower()):
        part.discard()
        raise FetchError(
            f"{url}: the file has SHA-256 {found}, expected {sha256}; it was deleted. Another version, or "
            "not the file that was meant"
        )
    size = part.size
    part.file.replace(target)
    part.discard()
    return Fetched(target, size, found)


def _remembered(file: Path, url: str) -> _Part:
    """What is on disk of this address; a part of anything else is discarded."""
    part = _Part(file, url)
    try:
        note = json.loads(part.about.read_text("utf-8"))
        if note["url"] == url and file.exists():
            return _Part(file, url, str(note["validator"]), note["total"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    part.discard()
    return part


def _transfer(part: _Part, timeout: float) -> _Part:
    """One request: the rest of the part, or the whole where the server does not resume."""
    start = part.size
    headers = {"User-Agent": f"sodbench/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if part.validator:
            headers["If-Range"] = part.validator
    try:
        request = urllib.request.Request(part.url, headers=headers)
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return _receive(part, start, answer)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:
            if part.total == start:
                return part
            part.discard()
            raise _Interrupted("the part on disk does not fit the file there") from None
        if error.code in _TEMPORARY:
            raise _Interrupted(f"answered {error.code} {error.reason}") from None
        raise FetchError(f"{part.url}: answered {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, socket.gaierror):
            raise FetchError(f"{part.url}: no such host, or no network ({error.reason})") from None
        raise _Interrupted(f"no connection ({error.reason})") from None
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(f"the connection failed ({error or type(error).__name__})") from None


def _receive(part: _Part, start: int, answer: Any) -> _Part:
    length = answer.headers.get("Content-Length")
    length = int(length) if length and length.isdigit() else None
    if answer.status == 206:
        begin, total = _content_range(answer.headers.get("Content-Range", ""))
        if begin != start or (part.total is not None and total is not None and total != part.total):
            part.discard()
            raise _Interrupted("the server sent another range than the one asked for")
    else:
        start, total = 0, length
    _refuse_web_page(part.url, answer.headers.get("Content-Type", ""))
    needed = (length or 0) + _SPARE
    if shutil.disk_usage(part.file.parent).free < needed:
        raise FetchError(f"{part.url}: {needed / 1e9:.1f} GB of disk are needed, less is free")
    chunk = answer.read(_CHUNK)
    if start == 0:
        _refuse_web_page(part.url, _looks_like(chunk))
    part = _Part(part.file, part.url, _validator(answer.headers), total)
    part.remember()
    with (
        part.file.open("ab" if start else "wb") as file,
        bar(
            total, Path(urlsplit(part.url).path).name, "B", initial=start, unit_scale=True
        ) as progress,
    ):
        while chunk:
            file.write(chunk)
            progress.update(len(chunk))
            chunk = answer.read(_CHUNK)
    if total is not None and part.size < total:
        raise _Interrupted(f"the connection was cut after {part.size} of {total} bytes")
    if total is not None and part.size > total:
        part.discard()
        raise _Interrupted(f"more than the announced {total} bytes came")
    return part


def _content_range(text: str) -> tuple[int, int | None]:
    """(first byte, total size or None) of ``bytes 100-199/200``; (-1, None) where it is unreadable."""
    try:
        span, _, total = text.removeprefix("bytes ").partition("/")
        return int(span.partition("-")[0]), int(total) if total.isdigit() else None
    except ValueError:
        return -1, None


def _validator(headers: Any) -> str:
    """What tells one version of the file from another: a strong ETag, else the date."""
    tag = str(headers.get("ETag", ""))
    return tag if tag and not tag.startswith("W/") else str(headers.get("Last-Modified", ""))


def _looks_like(beginning: bytes) -> str:
    head = beginning[:512].lstrip().lower()
    return "text/html" if head.startswith((b"<!doctype html", b"<html")) else ""


def _refuse_web_page(url: str, content_type: str) -> None:
    if content_type.partition(";")[0].strip().lower() == "text/html":
        raise FetchError(
            f"{url}: answered with a web page instead of a file (a login, a notice, or a dead link)"
        )


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
