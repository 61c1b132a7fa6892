"""Fetching from a server on localhost that cuts connections, lies about lengths and sends web pages."""

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sodbench.runners.data_fetch import FetchError, fetch

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


def get(server: Server, target: Path, **options: object) -> object:
    return fetch(server.url, target, pause=lambda seconds: None, timeout=2, **options)  # type: ignore[arg-type]


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


def test_a_later_run_goes_on(server: Server, tmp_path: Path) -> None:
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
            fetch(url, tmp_path / "set.zip", attempts=1, timeout=0.2)


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
