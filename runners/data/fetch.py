"""Download one file over HTTP(S): resume after cut connections, verify, keep the whole file or nothing.

While it is being downloaded a file is called ``<name>.part``; ``<name>.part.json`` records the URL and the
version that it belongs to, so that a later run resumes it and never mixes two versions.

A server is not trusted to end: the size of a file, the free disk space, the pace of a connection, the number
of attempts and of redirects, and the time before an answer begins are all limited (`Limits`).
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import stat
import string
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import quote, urljoin, urlsplit

from sodbench.console import bar
from sodbench.errors import SodbenchError
from sodbench.files import atomic_write, file_hash, write_error
from sodbench.quoting import printable
from sodbench.runners.data.extract import MAX_BYTES, SPARE_BYTES
from sodbench.version import __version__

_CHUNK = 1 << 18
_SHOWN = 200  # characters of a server's text that a message quotes
_TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class FetchError(SodbenchError):
    """The file cannot be downloaded from this URL; the message says why."""


class _Interrupted(Exception):
    """The transfer ended early; another attempt may bring the rest."""


@dataclass(frozen=True)
class Limits:
    """When a download is given up.

    Parameters
    ----------
    max_bytes : int
        Largest file in bytes. It is checked while writing, because a server can lie about sizes or not
        announce them.
    spare_bytes : int
        Bytes of the disk that stay free, checked while writing.
    attempts : int
        Number of attempts in a row without real progress after which the download is given up.
    progress_bytes : int
        What counts as real progress: this many bytes, or 1 % of the file if that is less, beyond the
        largest size reached when progress was last made.
    timeout : float
        Seconds of silence after which a connection counts as cut.
    stall_seconds, stall_bytes : float, int
        A connection that brings fewer than `stall_bytes` in `stall_seconds` is cut.
    redirects : int
        Most redirects that are followed.
    """

    max_bytes: int = MAX_BYTES
    spare_bytes: int = SPARE_BYTES
    attempts: int = 5
    progress_bytes: int = 1 << 20
    timeout: float = 30.0
    stall_seconds: float = 60.0
    stall_bytes: int = 1 << 18
    redirects: int = 10


@dataclass(frozen=True)
class Fetched:
    """A complete file: its path, its size in bytes, its SHA-256 (hex)."""

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
    def about(self) -> Path:
        return self.file.with_name(f"{self.file.name}.json")

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0

    def save(self) -> None:
        note = {"url": self.url, "validator": self.validator, "total": self.total}
        with atomic_write(self.about) as temporary:
            temporary.write_text(json.dumps(note), "utf-8")

    def delete(self) -> None:
        self.file.unlink(missing_ok=True)
        self.about.unlink(missing_ok=True)


def fetch(
    url: str,
    target: Path,
    *,
    sha256: str = "",
    limits: Limits | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Fetched:
    """Download ``url`` to ``target``; an existing target is never replaced.

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
    _check_url(url)
    if os.path.lexists(target):
        raise FetchError(f"{target} exists already; it is not replaced")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = _load_part(target.with_name(f"{target.name}.part"), url)
        part = _transfer_until_complete(part, limits, pause)
        found = file_hash(part.file)
        if not found.startswith(sha256.lower()):
            part.delete()
            raise FetchError(
                f"{url}: the file has SHA-256 {found}, expected {sha256}; it was deleted. It is another "
                "version, or not the file that was meant"
            )
        size = part.size
        if os.path.lexists(target):
            raise FetchError(f"{target} exists already; it is not replaced")
        part.file.replace(target)
        part.delete()
    except OSError as error:
        raise write_error(target, error) from error
    return Fetched(target, size, found)


def _transfer_until_complete(part: _Part, limits: Limits, pause: Callable[[float], None]) -> _Part:
    """Repeat requests until the file is complete or too many in a row make no real progress."""
    reached, fruitless = part.size, 0
    while True:
        try:
            return _transfer(part, limits)
        except _Interrupted as reason:
            # The largest size over all attempts counts: a server that sends the same bytes again and
            # again, or a byte per connection, makes no progress.
            part = _load_part(part.file, part.url)
            step = min(limits.progress_bytes, max(1, (part.total or limits.max_bytes) // 100))
            if part.size >= reached + step:
                reached, fruitless = part.size, 0
            else:
                fruitless += 1
            if fruitless >= limits.attempts:
                kept = f"; {part.size} bytes are kept, the same command resumes there"
                raise FetchError(
                    f"{part.url}: {reason} ({limits.attempts} attempts in a row made no real "
                    f"progress{kept * bool(part.size)})"
                ) from None
            pause(min(30.0, max(1.0, 2.0 ** (fruitless - 1))))


def _check_url(url: str) -> None:
    """Raise `FetchError` for anything but a well-formed http or https URL."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and (parts.port is None or parts.port >= 0)
    except ValueError as error:
        raise FetchError(f"{url}: not a valid URL ({error})") from None
    if parts.scheme not in ("http", "https"):
        raise FetchError(f"{url}: only http and https URLs can be downloaded")
    if not usable:
        raise FetchError(f"{url}: not a valid URL (it names no host)")


# ---------------------------------------------------------------------------------------------------
# The partial download on disk
# ---------------------------------------------------------------------------------------------------


def _load_part(file: Path, url: str) -> _Part:
    """The partial download of this URL; one of another URL is deleted.

    Raises :class:`FetchError` for files that are not a partial download of sodbench: they are not touched.
    """
    part = _Part(file, url)
    for path in (file, part.about):
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            raise FetchError(f"{path}: not a regular file, so nothing is written there; remove it")
    if not part.about.exists():
        if file.exists():
            raise FetchError(
                f"{file}: not a partial download of sodbench (no {part.about.name}); move it away"
            )
        return part
    saved = _read_note(part.about, file)
    total_fits = saved.total is None or saved.size <= saved.total
    if saved.url == url and saved.validator and file.exists() and total_fits:
        return saved
    part.delete()
    return part


def _read_note(about: Path, file: Path) -> _Part:
    try:
        note = json.loads(about.read_text("utf-8"))
        url, validator, total = note["url"], note["validator"], note["total"]
        sound = isinstance(url, str) and _is_token(validator)
        if not (sound and (total is None or (type(total) is int and total >= 0))):
            raise ValueError("unexpected values")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FetchError(
            f"{about}: not the note of a partial download; move it and {file.name} away"
        ) from None
    return _Part(file, url, validator, total)


def _is_token(text: object) -> bool:
    """Whether a validator can be sent back in a header: printable ASCII (a header may be folded)."""
    return isinstance(text, str) and text.isascii() and (text.isprintable() or not text)


def _open_part(part: _Part, append: bool) -> BinaryIO:
    """The part's file for writing; a link in its place is not followed."""
    flags = os.O_WRONLY | os.O_CREAT | _NO_FOLLOW | (os.O_APPEND if append else os.O_TRUNC)
    return os.fdopen(os.open(part.file, flags, 0o666), "ab" if append else "wb")


# ---------------------------------------------------------------------------------------------------
# One request
# ---------------------------------------------------------------------------------------------------


def _transfer(part: _Part, limits: Limits) -> _Part:
    """One request: the rest of the part, or the whole file if the server does not resume."""
    start = part.size
    headers = {"User-Agent": f"sodbench/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        headers["If-Range"] = part.validator
    watchdog = _Watchdog(limits)
    try:
        with watchdog, _request(part.url, headers, watchdog, limits) as answer:
            return _receive(part, start, answer, watchdog, limits)
    except urllib.error.HTTPError as error:
        error.close()
        status = f"answered {error.code} {_shown(error.reason)}".rstrip()
        if error.code == 416 and start:
            if part.total == start:
                return part
            part.delete()
            raise _Interrupted("the part on disk does not fit the file there") from None
        if error.code in _TEMPORARY:
            raise _Interrupted(status) from None
        raise FetchError(f"{part.url}: {status}") from None
    except urllib.error.URLError as error:
        if watchdog.cut:
            raise watchdog.reason() from None
        if isinstance(error.reason, socket.gaierror):
            raise FetchError(
                f"{part.url}: no such host, or no network ({_shown(error.reason)})"
            ) from None
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise FetchError(
                f"{part.url}: its certificate is not valid ({_shown(error.reason.verify_message)})"
            ) from None
        raise _Interrupted(f"no connection ({_shown(error.reason)})") from None
    except http.client.InvalidURL as error:
        raise FetchError(f"{part.url}: not a valid URL ({_shown(error)})") from None
    except (_ConnectionLost, http.client.HTTPException) as error:
        if watchdog.cut:
            raise watchdog.reason() from None
        reason = _shown(error) or type(error.__cause__ or error).__name__
        raise _Interrupted(f"the connection failed ({reason})") from None
    except ValueError as error:  # what urllib and http.client raise for odd URLs and headers
        raise FetchError(f"{part.url}: a malformed answer or URL ({_shown(error)})") from None


class _ConnectionLost(Exception):
    """An OSError of the connection; one of the disk is another matter."""


@contextlib.contextmanager
def _on_connection() -> Iterator[None]:
    try:
        yield
    except urllib.error.URLError:
        raise
    except OSError as error:
        raise _ConnectionLost(str(error)) from error


def _request(url: str, headers: dict[str, str], watchdog: "_Watchdog", limits: Limits) -> Any:
    """The answer to a request after all redirects, which are followed here.

    ``urllib``'s own handler reads the body of a redirect to its end, which may never come, and fails with a
    traceback for a malformed ``Location``.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _WatchedHTTP(watchdog),
        _WatchedHTTPS(watchdog),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    place = url
    for _ in range(limits.redirects + 1):
        request = urllib.request.Request(_quoted(place), headers=headers, method="GET")
        try:
            with _on_connection():
                return opener.open(request, timeout=limits.timeout)
        except urllib.error.HTTPError as error:
            if error.code not in _REDIRECTS:
                raise
            error.close()
            place = _redirected(url, place, error.headers.get("Location"))
    raise FetchError(f"{url}: redirects more than {limits.redirects} times")


def _quoted(url: str) -> str:
    """The URL with spaces and letters beyond ASCII in its path as codes, which a request needs."""
    parts = urlsplit(url)
    path, query = (quote(text, safe=string.punctuation) for text in (parts.path, parts.query))
    return parts._replace(path=path, query=query, fragment="").geturl()


def _redirected(url: str, place: str, location: str | None) -> str:
    try:
        if not location:
            raise ValueError("no Location")
        # the bytes of a header are read as Latin-1
        target = urljoin(place, quote(location, safe=string.punctuation, encoding="latin-1"))
        _check_url(target)
    except (ValueError, FetchError):
        raise FetchError(
            f"{url}: redirects to {_shown(repr(location))}, which is not a usable http or https URL"
        ) from None
    return target


def _receive(part: _Part, start: int, answer: Any, watchdog: "_Watchdog", limits: Limits) -> _Part:
    """Write the body of an answer to the part's file."""
    length = _content_length(part.url, answer)
    validator = _validator(answer.headers)
    if answer.status == 206:
        begin, total = _content_range(answer.headers.get("Content-Range", ""))
        total = part.total if total is None else total
        other = part.total is not None and total != part.total
        other = other or bool(start and validator and validator != part.validator)
        if begin != start or other or total is None:
            part.delete()
            raise _Interrupted("the server sent another range than the one requested")
        validator = validator or part.validator
    elif answer.status == 200:
        start, total = 0, length
    else:
        raise FetchError(f"{part.url}: answered {answer.status}, which brings no file")
    _refuse_web_page(part.url, answer.headers.get("Content-Type", ""))
    if total is not None:
        _check_size(part, total, limits)
        _check_room(part, total - start, limits)
    with _on_connection():
        first = _read_beginning(answer)
    if start == 0:
        _refuse_web_page(part.url, _looks_like(first))
    part = _Part(part.file, part.url, validator, total)
    try:
        _write_body(part, start, first, answer, watchdog, limits)
    except OSError:
        if total is None:
            part.delete()
        raise
    incomplete = total is None or part.size < total
    if incomplete and watchdog.cut:  # then the end of the data says nothing
        raise watchdog.reason()
    if total is not None and part.size < total:
        raise _Interrupted(f"the connection was cut after {part.size} of {total} bytes")
    if total is not None and part.size > total:
        part.delete()
        raise _Interrupted(f"more than the announced {total} bytes came")
    return part


def _write_body(
    part: _Part, start: int, chunk: bytes, answer: Any, watchdog: "_Watchdog", limits: Limits
) -> None:
    name = Path(urlsplit(part.url).path).name
    size, checked = start, start
    with (
        _open_part(part, append=bool(start)) as file,
        bar(part.total, name, "B", initial=start, unit_scale=True) as progress,
    ):
        # only now: an older version's bytes must never be on disk with a newer version's note
        part.save()
        while chunk:
            size += len(chunk)
            _check_size(part, size, limits)
            if size - checked >= limits.spare_bytes // 8:
                _check_room(part, 0, limits)
                checked = size
            file.write(chunk)
            progress.update(len(chunk))
            watchdog.count(len(chunk))
            with _on_connection():
                chunk = answer.read1(_CHUNK)


def _check_size(part: _Part, size: int, limits: Limits) -> None:
    """Refuse a file that is or becomes too large; nothing of it is of use, so the part is deleted."""
    if size > limits.max_bytes:
        part.delete()
        raise FetchError(
            f"{part.url}: the file has more than {limits.max_bytes / 1e9:g} GB, the most that is "
            "downloaded; --max-gb raises this limit"
        )


def _check_room(part: _Part, more: int, limits: Limits) -> None:
    """Refuse to fill the disk.  A part of unknown total size may never end, so it is deleted."""
    free = shutil.disk_usage(part.file.parent).free
    if free >= more + limits.spare_bytes:
        return
    kept = ""
    if part.total is None:
        part.delete()
    elif part.size:
        kept = f"; {part.size} bytes are kept, the same command resumes there"
    raise FetchError(
        f"{part.url}: the disk of {part.file.parent} is full: {free / 1e9:.2f} GB are free, "
        f"{(more + limits.spare_bytes) / 1e9:.2f} GB are needed{kept}"
    )


def _read_beginning(answer: Any) -> bytes:
    """The first bytes of a body, enough to recognise a web page even if they come one by one."""
    beginning = b""
    while len(beginning) < 512 and (chunk := answer.read1(_CHUNK)):
        beginning += chunk
    return beginning


# ---------------------------------------------------------------------------------------------------
# Headers
# ---------------------------------------------------------------------------------------------------


def _content_length(url: str, answer: Any) -> int | None:
    """The announced number of bytes; None if there is none or if the body is sent in chunks."""
    values = set(answer.headers.get_all("Content-Length", []))
    if answer.chunked or not values:
        return None
    text = values.pop().strip()
    if values or not re.fullmatch("[0-9]{1,18}", text):
        shown = _shown(", ".join([text, *values]))
        raise FetchError(f"{url}: answered with Content-Length {shown}, which is not a size")
    return int(text)


def _content_range(text: str) -> tuple[int, int | None]:
    """(first byte, total size or None) of ``bytes 100-199/200``; (-1, None) if it is malformed."""
    match = re.fullmatch(r"\s*bytes\s+([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)\s*", text)
    if match is None:
        return -1, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _validator(headers: Any) -> str:
    """What distinguishes versions of the file: a strong ETag, else the date; empty if there is neither."""
    tag = str(headers.get("ETag", ""))
    validator = tag if tag and not tag.startswith("W/") else str(headers.get("Last-Modified", ""))
    return validator if _is_token(validator) else ""


def _looks_like(beginning: bytes) -> str:
    head = beginning[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return "text/html" if head.startswith((b"<!doctype html", b"<html")) else ""


def _refuse_web_page(url: str, content_type: str) -> None:
    if content_type.partition(";")[0].strip().lower() in ("text/html", "application/xhtml+xml"):
        raise FetchError(
            f"{url}: answered with a web page instead of a file (a login, a notice, or a dead link)"
        )


def _shown(text: object) -> str:
    """A server's text in a message: on one line, without control characters, and not endless."""
    shown = printable(text)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


# ---------------------------------------------------------------------------------------------------
# Connections that are cut when they stall
# ---------------------------------------------------------------------------------------------------


class _Watchdog:
    """Cuts the connections of one request when too few bytes of the body come.

    The socket's own timeout is not enough: a server that sends a byte now and then, in the body, in a header
    that never ends, or in endless interim answers, never lets it expire.
    """

    def __init__(self, limits: Limits):
        self.cut = False
        self._limits = limits
        self._bytes = 0
        self._sockets: list[socket.socket] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for connection in self._sockets:
            connection.close()

    def add(self, connection: socket.socket) -> None:
        """Watch a connection; it is duplicated, because TLS takes the original over."""
        self._sockets.append(connection.dup())

    def count(self, number: int) -> None:
        """Note that bytes of the body came."""
        self._bytes += number

    def reason(self) -> _Interrupted:
        """Why the connection was cut."""
        least, seconds = self._limits.stall_bytes, self._limits.stall_seconds
        return _Interrupted(f"stalled: fewer than {least} bytes came in {seconds:g} s")

    def _watch(self) -> None:
        before = 0
        while not self._ended.wait(self._limits.stall_seconds):
            if self._bytes - before < self._limits.stall_bytes:
                self.cut = True
                for connection in tuple(self._sockets):
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
            before = self._bytes


class _Connection(http.client.HTTPConnection):
    """A connection that the watchdog can cut."""

    watchdog: _Watchdog

    def connect(self) -> None:
        super().connect()
        self.watchdog.add(self.sock)


class _SecureConnection(http.client.HTTPSConnection, _Connection):
    """The same over TLS."""


class _WatchedHTTP(urllib.request.HTTPHandler):
    def __init__(self, watchdog: _Watchdog):
        super().__init__()
        self._watchdog = watchdog

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        def connection(host: str, **options: Any) -> _Connection:
            made = _Connection(host, **options)
            made.watchdog = self._watchdog
            return made

        return self.do_open(connection, req)


class _WatchedHTTPS(urllib.request.HTTPSHandler):
    def __init__(self, watchdog: _Watchdog):
        super().__init__()
        self._watchdog = watchdog

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        def connection(host: str, **options: Any) -> _SecureConnection:
            made = _SecureConnection(host, **options)
            made.watchdog = self._watchdog
            return made

        return self.do_open(connection, req, context=ssl.create_default_context())
