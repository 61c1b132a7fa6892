"""Downloading from a server on localhost that cuts connections, declares wrong lengths and never ends."""

import hashlib
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import pytest

from sodbench.errors import SodbenchError
from sodbench.runners.data.fetch import Fetched, _Part, fetch
from sodbench.runners.data.http_get import FetchError, Limits

BODY = bytes(range(256)) * 400  # 102,400 bytes
Answer = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """Answers every request with ``answer`` and remembers the Range headers it saw."""

    def __init__(self) -> None:
        self.answer: Answer = ranges()
        self.ranges: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.ranges.append(self.headers.get("Range"))
                self.close_connection = True
                outer.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/set.zip"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


def send(request: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)


def ranges(
    body: bytes = BODY, cut: int | None = None, tag: str = '"v1"', resume: bool = True
) -> Answer:
    """A server that serves ranges (if ``resume``) and cuts every answer after ``cut`` bytes."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        start = 0
        if resume and wanted and request.headers.get("If-Range", tag) == tag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        rest = body[start:]
        headers = {"Content_Length": str(len(rest)), "ETag": tag}
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        send(request, 206 if start else 200, rest[:cut], **headers)

    return answer


def get(
    server: Server,
    target: Path,
    *,
    sha256: str = "",
    pause: Callable[[float], None] = lambda seconds: None,
    **limits: float,
) -> Fetched:
    options = Limits(**({"timeout": 2.0} | limits))  # type: ignore[arg-type]
    return fetch(server.url, target, sha256=sha256, limits=options, pause=pause)


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_whole_file(server: Server, tmp_path: Path) -> None:
    digest = hashlib.sha256(BODY).hexdigest()
    fetched = fetch(server.url, tmp_path / "set.zip", sha256=digest[:8])
    assert (fetched.size, fetched.sha256) == (len(BODY), digest)
    assert (tmp_path / "set.zip").read_bytes() == BODY
    assert leftovers(tmp_path) == ["set.zip"]


def test_cut_connections_are_resumed(server: Server, tmp_path: Path) -> None:
    server.answer = ranges(cut=30_000)
    get(server, tmp_path / "set.zip")
    assert (tmp_path / "set.zip").read_bytes() == BODY
    assert server.ranges == [None, "bytes=30000-", "bytes=60000-", "bytes=90000-"]


def test_a_later_run_resumes(server: Server, tmp_path: Path) -> None:
    server.answer = ranges(cut=30_000, resume=False)
    with pytest.raises(FetchError, match="bytes are kept"):
        get(server, tmp_path / "set.zip", attempts=2)
    assert leftovers(tmp_path) == ["set.zip.part", "set.zip.part.json"]
    server.answer = ranges()
    server.ranges.clear()
    get(server, tmp_path / "set.zip")
    assert server.ranges == ["bytes=30000-"]
    assert (tmp_path / "set.zip").read_bytes() == BODY


def test_another_version_is_not_mixed_in(server: Server, tmp_path: Path) -> None:
    server.answer = ranges(b"x" * len(BODY), cut=30_000, resume=False)
    with pytest.raises(FetchError):
        get(server, tmp_path / "set.zip", attempts=1)
    server.answer = ranges(tag='"v2"')
    get(server, tmp_path / "set.zip")
    assert (tmp_path / "set.zip").read_bytes() == BODY


def test_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    answers = iter([ranges(cut=50_000, resume=False), ranges(resume=False)])
    server.answer = lambda request: next(answers)(request)
    get(server, tmp_path / "set.zip")
    assert (tmp_path / "set.zip").read_bytes() == BODY


def test_wrong_range_is_not_believed(server: Server, tmp_path: Path) -> None:
    def wrong(request: BaseHTTPRequestHandler) -> None:
        send(
            request, 206, BODY[:100], Content_Length="100", Content_Range=f"bytes 0-99/{len(BODY)}"
        )

    answers = iter([ranges(cut=50_000), wrong, ranges()])
    server.answer = lambda request: next(answers)(request)
    get(server, tmp_path / "set.zip")
    assert (tmp_path / "set.zip").read_bytes() == BODY


def test_wrong_length_never_becomes_a_file(server: Server, tmp_path: Path) -> None:
    server.answer = lambda request: send(
        request, 200, BODY, Content_Length=str(len(BODY) + 1000), ETag='"v1"'
    )
    with pytest.raises(FetchError, match="cut after 102400 of 103400 bytes"):
        get(server, tmp_path / "set.zip", attempts=2)
    assert not (tmp_path / "set.zip").exists()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>sign in</html>", "text/html; charset=utf-8"),
        (b"\n<!DOCTYPE HTML><p>gone", "application/zip"),
    ],
)
def test_web_page_instead_of_file(server: Server, tmp_path: Path, body: bytes, kind: str) -> None:
    server.answer = lambda request: send(
        request, 200, body, Content_Type=kind, Content_Length=str(len(body))
    )
    with pytest.raises(FetchError, match="web page"):
        get(server, tmp_path / "set.zip")
    assert len(server.ranges) == 1
    assert not list(tmp_path.iterdir())


def test_dead_link_is_not_tried_again(server: Server, tmp_path: Path) -> None:
    server.answer = lambda request: send(request, 404, b"", Content_Length="0")
    with pytest.raises(FetchError, match="404"):
        get(server, tmp_path / "set.zip")
    assert len(server.ranges) == 1


def test_busy_server_is_tried_again(server: Server, tmp_path: Path) -> None:
    answers = iter([lambda request: send(request, 503, b"", Content_Length="0"), ranges()])
    server.answer = lambda request: next(answers)(request)
    get(server, tmp_path / "set.zip")
    assert (tmp_path / "set.zip").read_bytes() == BODY


def test_silent_server_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/set.zip"
        with pytest.raises(FetchError, match="timed out"):
            fetch(url, tmp_path / "set.zip", limits=Limits(attempts=1, timeout=0.2))


def test_wrong_hash_is_deleted(server: Server, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="expected 3cf99910"):
        get(server, tmp_path / "set.zip", sha256="3cf99910")
    assert leftovers(tmp_path) == []


def test_existing_file_is_not_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set.zip").write_text("mine")
    with pytest.raises(FetchError, match="not replaced"):
        get(server, tmp_path / "set.zip")
    assert (tmp_path / "set.zip").read_text() == "mine"


def test_only_http(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="only http"):
        fetch("file:///etc/hostname", tmp_path / "x")


# ---- servers that never end ----------------------------------------------------------------------


class EndlessServer:
    """Sends ``head`` and then ``again`` for ever, with a pause between; counts the connections and bytes."""

    def __init__(self, head: bytes, again: bytes = b"", pause: float = 0.0, most: int = 1 << 28):
        self.connections = self.sent = 0
        self._head, self._again, self._pause, self._most = head, again, pause, most
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/set.zip"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                connection.sendall(self._head)
                while (
                    self._again and self.sent < self._most
                ):  # the test ends even if the code does not
                    connection.sendall(self._again)
                    self.sent += len(self._again)
                    if self._pause:
                        time.sleep(self._pause)
            except OSError:
                pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


OK = b'HTTP/1.1 200 OK\r\nETag: "v1"\r\n'
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LONG = 1 << 20


def fetch_from(url: str, target: Path, **limits: float) -> Fetched:
    options = Limits(**({"timeout": 2.0, "attempts": 2} | limits))  # type: ignore[arg-type]
    return fetch(url, target, limits=options, pause=lambda seconds: None)


@pytest.mark.parametrize(
    ("head", "again"),
    [
        (OK + b"\r\n", bytes(LONG)),
        (CHUNKED, b"100000\r\n" + bytes(LONG) + b"\r\n"),
        (OK + b"Content-Length: 999999999999\r\n\r\n", bytes(LONG)),
    ],
    ids=["no length", "chunked", "too long"],
)
def test_an_endless_body_ends_at_the_largest_size(
    head: bytes, again: bytes, tmp_path: Path
) -> None:
    with (
        EndlessServer(head, again) as server,
        pytest.raises(FetchError, match=r"more than 0\.005 GB.*--max-gb"),
    ):
        fetch_from(server.url, tmp_path / "set.zip", max_bytes=5_000_000)
    assert server.connections == 1
    assert leftovers(tmp_path) == []


def test_an_endless_body_does_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def usage(folder: Path) -> shutil._ntuple_diskusage:
        used = sum(f.stat().st_size for f in tmp_path.iterdir())
        return shutil._ntuple_diskusage(20_000_000, used, 20_000_000 - used)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with (
        EndlessServer(OK + b"\r\n", bytes(LONG)) as server,
        pytest.raises(FetchError, match=r"full.*are needed$"),
    ):
        fetch_from(server.url, tmp_path / "set.zip", spare_bytes=8_000_000)
    assert server.sent < 40_000_000
    assert leftovers(tmp_path) == []


def test_a_part_of_known_size_is_kept_when_the_disk_is_full(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([10**9, 10**9, 10])
    monkeypatch.setattr(
        shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 0, next(free))
    )
    server.answer = ranges(bytes(1 << 20))
    with pytest.raises(FetchError, match="bytes are kept, the same command resumes there"):
        get(server, tmp_path / "set.zip", spare_bytes=1 << 20)
    monkeypatch.undo()
    assert get(server, tmp_path / "set.zip").size == 1 << 20
    assert server.ranges[1] is not None


def test_one_byte_per_connection_is_no_progress(server: Server, tmp_path: Path) -> None:
    server.answer = ranges(cut=1)
    pauses: list[float] = []
    with pytest.raises(FetchError, match="5 attempts in a row made no real progress; 5 bytes are"):
        get(server, tmp_path / "set.zip", pause=pauses.append)
    assert len(server.ranges) == 5
    assert pauses == [1, 2, 4, 8]


def test_there_is_a_pause_after_a_fruitful_attempt(server: Server, tmp_path: Path) -> None:
    server.answer = ranges(cut=30_000)
    pauses: list[float] = []
    get(server, tmp_path / "set.zip", pause=pauses.append)
    assert pauses == [1, 1, 1]


def test_the_same_range_for_every_request_ends(server: Server, tmp_path: Path) -> None:
    server.answer = lambda request: send(
        request, 206, b"0123456789", Content_Length="10", Content_Range="bytes 0-9/1000", ETag='"v"'
    )
    with pytest.raises(FetchError, match="another range"):
        get(server, tmp_path / "set.zip")
    assert len(server.ranges) < 10


def test_a_part_without_a_version_is_not_resumed(server: Server, tmp_path: Path) -> None:
    """Without ETag and date nothing shows whether the rest belongs to the same file."""
    server.answer = lambda request: send(request, 200, BODY[:50_000], Content_Length=str(len(BODY)))
    with pytest.raises(FetchError, match=r"no real progress\)$"):
        get(server, tmp_path / "set.zip", attempts=2)
    assert server.ranges == [None, None]
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("head", "again"),
    [
        (OK + b"Content-Length: 1000000\r\n\r\n", b"x"),
        (OK + b"\r\n", b"x"),
        (b"", b"H"),
        (OK, b"X: y\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (CHUNKED, b"0"),
        (CHUNKED + b"0\r\n", b"X: y\r\n"),
    ],
    ids=["body", "no length", "status", "headers", "interim", "chunk size", "trailers"],
)
def test_a_drip_is_cut(head: bytes, again: bytes, tmp_path: Path) -> None:
    with (
        EndlessServer(head, again, pause=0.02) as server,
        pytest.raises(FetchError, match=r"stalled: fewer than 1000 bytes came in 0\.1 s"),
    ):
        fetch_from(server.url, tmp_path / "set.zip", stall_seconds=0.1, stall_bytes=1000)
    assert server.connections == 2
    assert not (tmp_path / "set.zip").exists()


def test_the_body_of_a_redirect_is_not_read(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    head = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/\r\n\r\n" % port
    with (
        EndlessServer(head, bytes(LONG)) as server,
        pytest.raises(FetchError, match="no connection"),
    ):
        fetch_from(server.url, tmp_path / "set.zip", attempts=1)
    assert server.sent < 1 << 26


def test_redirects_are_followed_and_end(server: Server, tmp_path: Path) -> None:
    whole = ranges()

    def answer(request: BaseHTTPRequestHandler) -> None:
        step = request.path.lstrip("/")
        if step == "4":
            whole(request)
        else:
            following = str(int(step) + 1) if step.isdigit() else "1"
            send(request, 302, b"", Location=f"/{following}", Content_Length="0")

    server.answer = answer
    assert get(server, tmp_path / "set.zip").size == len(BODY)
    server.answer = lambda request: send(request, 302, b"", Location="/", Content_Length="0")
    with pytest.raises(FetchError, match="redirects more than 10 times"):
        get(server, tmp_path / "loop.zip")


# ---- malformed answers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "location",
    ["http://[::1", "file:///etc/passwd", "data:text/plain,x", "ftp://host/x", "http://h:99999/"],
)
def test_a_malformed_redirect_is_one_line(location: str, server: Server, tmp_path: Path) -> None:
    server.answer = lambda request: send(request, 302, b"", Location=location, Content_Length="0")
    with pytest.raises(FetchError, match="not a usable http or https URL") as caught:
        get(server, tmp_path / "set.zip")
    assert str(caught.value).startswith(server.url) and "\n" not in str(caught.value)
    assert len(server.ranges) == 1
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("length", ["²", "9" * 5000, "-1", "1_0", "+5", "0x10", "5, 6", ""])
def test_a_malformed_content_length_is_one_line(
    length: str, server: Server, tmp_path: Path
) -> None:
    server.answer = lambda request: send(request, 200, BODY, Content_Length=length)
    with pytest.raises(FetchError, match="which is not a size") as caught:
        get(server, tmp_path / "set.zip")
    assert str(caught.value).startswith(server.url) and len(str(caught.value)) < 400
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff\xfe\x00garbage",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200\r\n" + b"X: y\r\n" * 300 + b"\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X" * 70_000 + b"\r\n\r\n",
        CHUNKED + b"zz\r\nabc",
        CHUNKED + b"-5\r\nabc",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 206 Partial\r\nContent-Range: bytes \xb2-9/10\r\n\r\n0123456789",
        b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-9/*\r\n\r\n0123456789",
        b"HTTP/1.1 206 Partial\r\n\r\n0123456789",
    ],
)
def test_malformed_answers_are_one_line(answer: bytes, tmp_path: Path) -> None:
    with EndlessServer(answer) as server, pytest.raises(FetchError) as caught:
        fetch_from(server.url, tmp_path / "set.zip")
    assert str(caught.value).startswith(server.url) and "\n" not in str(caught.value)
    assert not (tmp_path / "set.zip").exists()


def test_the_reason_of_a_server_cannot_act_on_the_terminal(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 404 \x1b]0;owned\x07\x1b[2J" + b"z" * 5000 + b"\r\n\r\n"
    with EndlessServer(answer) as server, pytest.raises(FetchError, match="404") as caught:
        fetch_from(server.url, tmp_path / "set.zip")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


def test_a_validator_that_cannot_be_sent_back_is_not_used(tmp_path: Path) -> None:
    head = b'HTTP/1.1 200 OK\r\nETag: "a\r\n b"\r\nContent-Length: 100\r\n\r\n0123'
    with EndlessServer(head) as server, pytest.raises(FetchError, match="cut after 4 of 100"):
        fetch_from(server.url, tmp_path / "set.zip")
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    "url",
    ["http://[::1/x", "http:///x", "http://host:port/x", "https://", "x.zip", "http://a..b/x"],
)
def test_malformed_urls(url: str, tmp_path: Path) -> None:
    with pytest.raises(FetchError) as caught:
        fetch(url, tmp_path / "x")
    assert str(caught.value).startswith(url)


# ---- what is on disk -----------------------------------------------------------------------------


def test_files_of_the_user_at_the_parts_place_are_kept(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "set.zip.part"
    part.write_text("mine")
    with pytest.raises(FetchError, match="not a partial download of sodbench"):
        get(server, tmp_path / "set.zip")
    (tmp_path / "set.zip.part.json").write_text("[]")
    with pytest.raises(FetchError, match="not the note of a partial download"):
        get(server, tmp_path / "set.zip")
    assert part.read_text() == "mine"


@pytest.mark.parametrize("name", ["set.zip.part", "set.zip.part.json"])
def test_links_and_pipes_at_the_parts_place_are_not_followed(
    name: str, server: Server, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / name).symlink_to(mine)
    with pytest.raises(FetchError, match="not a regular file"):
        get(server, folder / "set.zip")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(FetchError, match="not a regular file"):
        get(server, folder / "set.zip")
    assert mine.read_text() == "mine"


def test_a_broken_link_is_not_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set.zip").symlink_to(tmp_path / "unmounted")
    with pytest.raises(FetchError, match="not replaced"):
        get(server, tmp_path / "set.zip")
    assert (tmp_path / "set.zip").is_symlink()


def test_a_folder_that_cannot_be_written_is_one_line(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SodbenchError, match="cannot be written"):
        get(server, tmp_path / "file" / "set.zip")
    with pytest.raises(SodbenchError, match="cannot be written"):
        get(server, tmp_path / ("x" * 300))


def test_a_kill_while_another_version_begins_mixes_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note of the new version is written only when the bytes of the old one are gone."""
    server.answer = ranges(b"x" * len(BODY), cut=30_000, resume=False)
    with pytest.raises(FetchError):
        get(server, tmp_path / "set.zip", attempts=1)

    save = _Part.save

    def killed_before(part: _Part) -> None:
        raise KeyboardInterrupt

    def killed_after(part: _Part) -> None:
        save(part)
        raise KeyboardInterrupt

    server.answer = ranges(tag='"v2"')
    for killed in (killed_before, killed_after):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(_Part, "save", killed)
            get(server, tmp_path / "set.zip")
        assert (tmp_path / "set.zip.part").read_bytes() == b""
    get(server, tmp_path / "set.zip")
    assert (tmp_path / "set.zip").read_bytes() == BODY
