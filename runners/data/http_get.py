"""One HTTP(S) request to a server that is not trusted to end: every wait is limited, and every failure has a name.

``urllib`` alone would follow redirects by reading their bodies, which may never end, and a socket's timeout does
not expire while a server sends a byte now and then.
"""

import http.client
import re
import socket
import ssl
import string
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from typing import Any, Self
from urllib.parse import quote, urljoin, urlsplit

from sodbench.errors import SodbenchError
from sodbench.quoting import printable
from sodbench.runners.data.extract import MAX_DOWNLOAD_BYTES, SPARE_BYTES
from sodbench.version import __version__

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# characters of a server's text in a message
_MAX_REPLY_CHARACTERS = 200


class FetchError(SodbenchError):
    """The file cannot be downloaded from this URL; the message explains why."""


class Interrupted(Exception):
    """The transfer ended early; another attempt may bring the rest."""


@dataclass(frozen=True)
class Limits:
    """When a download is given up.

    Attributes
    ----------
    max_bytes : int
        Largest file in bytes. It is checked while writing, because a server can declare wrong sizes or not
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

    max_bytes: int = MAX_DOWNLOAD_BYTES
    spare_bytes: int = SPARE_BYTES
    attempts: int = 5
    progress_bytes: int = 1 << 20
    timeout: float = 30.0
    stall_seconds: float = 60.0
    stall_bytes: int = 1 << 18
    redirects: int = 10


def check_url(url: str) -> None:
    """Check that a URL can be downloaded.

    Raises
    ------
    FetchError
        For anything but a well-formed http or https URL.
    """
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and (parts.port is None or parts.port >= 0)
    except ValueError as error:
        raise FetchError(f"{url}: not a valid URL ({error})") from None
    if parts.scheme not in ("http", "https"):
        raise FetchError(f"{url}: only http and https URLs can be downloaded")
    if not usable:
        raise FetchError(f"{url}: not a valid URL (it names no host)")


class Answer:
    """The answer to a request.

    Attributes
    ----------
    url : str
        The URL that was asked for.
    status : int
    reason : str
        The server's words for the status, safe to print.
    headers : email.message.Message
    """

    def __init__(self, url: str, response: Any, watchdog: "_Watchdog"):
        self.url = url
        self.status: int = response.status
        self.reason = quote_reply(response.reason)
        self.headers: Message = response.headers
        self._response = response
        self._watchdog = watchdog

    def content_length(self) -> int | None:
        """Return the announced number of bytes; None if there is none, or the body is sent in chunks.

        Raises
        ------
        FetchError
            If it is not a number.
        """
        values = {value.strip() for value in self.headers.get_all("Content-Length", [])}
        if self._response.chunked or not values:
            return None
        text = ", ".join(sorted(values))
        if not re.fullmatch("[0-9]{1,18}", text):
            raise FetchError(
                f"{self.url}: answered with Content-Length {quote_reply(text)}, which is not a size"
            )
        return int(text)

    def read(self, size: int = 1 << 18) -> bytes:
        """Return the next bytes of the body, at most ``size``; empty at its end.

        Raises
        ------
        Interrupted
            If the connection is lost or cut.
        FetchError
            If the body is malformed.
        """
        with _connection_errors(self.url, self._watchdog):
            data: bytes = self._response.read1(size)
        self._watchdog.count(len(data))
        return data

    def read_beginning(self) -> bytes:
        """Return the first bytes of the body, enough to recognise a web page even if they come one by one.

        Returns
        -------
        bytes
            At least 512 bytes unless the body is shorter.
        """
        beginning = b""
        while len(beginning) < 512 and (chunk := self.read()):
            beginning += chunk
        return beginning

    def check_not_cut(self) -> None:
        """Raise `Interrupted` if the connection was cut because it stalled: its end then means nothing."""
        if self._watchdog.cut:
            raise self._watchdog.interruption()


@contextmanager
def open_url(url: str, headers: dict[str, str], limits: Limits) -> Iterator[Answer]:
    """Send a GET request and follow redirects; the connection is closed at the end, and cut if it stalls.

    Parameters
    ----------
    url : str
        An http or https URL.
    headers : dict of str to str
        Headers besides User-Agent.
    limits : Limits
        When the connection is given up.

    Yields
    ------
    Answer
        With any status but a redirect.

    Raises
    ------
    FetchError
        If the host does not exist, its certificate is not valid, or it answers or redirects in a malformed way.
    Interrupted
        If there is no connection, or it is lost or stalls.
    """
    headers = {
        "User-Agent": f"sodbench/{__version__}",
        "Accept-Encoding": "identity",
        **headers,
    }
    with _Watchdog(limits) as watchdog:
        opener = urllib.request.OpenerDirector()
        opener.add_handler(urllib.request.ProxyHandler())
        opener.add_handler(_WatchedHandler(watchdog))
        place = url
        for _ in range(limits.redirects + 1):
            with _connection_errors(url, watchdog):
                request = urllib.request.Request(_quote_url(place), headers=headers, method="GET")
                response = opener.open(request, timeout=limits.timeout)
            with response:
                if response.status not in _REDIRECTS:
                    yield Answer(url, response, watchdog)
                    return
                place = _redirect_target(url, place, response.headers.get("Location"))
    raise FetchError(f"{url}: redirects more than {limits.redirects} times")


@contextmanager
def _connection_errors(url: str, watchdog: "_Watchdog") -> Iterator[None]:
    """Turn what urllib, http.client and the sockets raise into `Interrupted` or `FetchError`."""
    try:
        yield
    except http.client.InvalidURL as error:
        raise FetchError(f"{url}: not a valid URL ({quote_reply(error)})") from None
    except urllib.error.URLError as error:
        reason = error.reason
        if watchdog.cut:
            raise watchdog.interruption() from None
        if isinstance(reason, socket.gaierror):
            raise FetchError(
                f"{url}: no such host, or no network ({quote_reply(reason)})"
            ) from None
        if isinstance(reason, ssl.SSLCertVerificationError):
            detail = quote_reply(reason.verify_message)
            raise FetchError(f"{url}: its certificate is not valid ({detail})") from None
        raise Interrupted(f"no connection ({quote_reply(reason)})") from None
    except (OSError, http.client.HTTPException) as error:
        if watchdog.cut:
            raise watchdog.interruption() from None
        detail = quote_reply(error) or type(error).__name__
        raise Interrupted(f"the connection failed ({detail})") from None
    except ValueError as error:
        # http.client raises it for odd URLs and headers
        raise FetchError(f"{url}: a malformed answer or URL ({quote_reply(error)})") from None


def _quote_url(url: str) -> str:
    """The URL with spaces and letters beyond ASCII in its path as codes, which a request needs."""
    parts = urlsplit(url)
    path, query = (quote(text, safe=string.punctuation) for text in (parts.path, parts.query))
    return parts._replace(path=path, query=query, fragment="").geturl()


def _redirect_target(url: str, place: str, location: str | None) -> str:
    try:
        if not location:
            raise ValueError("no Location")
        # the bytes of a header are read as Latin-1
        target = urljoin(place, quote(location, safe=string.punctuation, encoding="latin-1"))
        check_url(target)
    except (ValueError, FetchError):
        raise FetchError(
            f"{url}: redirects to {quote_reply(repr(location))}, which is not a usable http or https URL"
        ) from None
    return target


def quote_reply(text: object) -> str:
    """Return a server's text for a message: on one line, without control characters, and not endless.

    Returns
    -------
    str
        At most 200 characters, and ``...`` if more were sent.
    """
    quoted = printable(text)
    return (
        quoted if len(quoted) <= _MAX_REPLY_CHARACTERS else f"{quoted[:_MAX_REPLY_CHARACTERS]}..."
    )


# --- connections that are cut when they stall --------------------------------------------------------


class _Watchdog:
    """Cuts the connections of one request when too few bytes of the body come.

    This also ends headers that never end, and endless interim answers.
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

    def interruption(self) -> Interrupted:
        """Return the reason why the connection was cut."""
        least, seconds = self._limits.stall_bytes, self._limits.stall_seconds
        return Interrupted(f"stalled: fewer than {least} bytes came in {seconds:g} s")

    def _watch(self) -> None:
        before = 0
        while not self._ended.wait(self._limits.stall_seconds):
            if self._bytes - before < self._limits.stall_bytes:
                self.cut = True
                for connection in tuple(self._sockets):
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
            before = self._bytes


class _WatchedHandler(urllib.request.AbstractHTTPHandler):
    """Opens connections that a watchdog can cut."""

    def __init__(self, watchdog: _Watchdog):
        super().__init__()

        class Connection(http.client.HTTPConnection):
            def connect(self) -> None:
                super().connect()
                watchdog.add(self.sock)

        # HTTPSConnection.connect calls Connection.connect, so the socket is watched before the TLS handshake
        class SecureConnection(http.client.HTTPSConnection, Connection):
            pass

        self._connection, self._secure_connection = Connection, SecureConnection

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection, req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        context = ssl.create_default_context()
        return self.do_open(self._secure_connection, req, context=context)

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_
