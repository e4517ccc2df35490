"""`fetch`: pages of programs that are broken or hostile: endless, slow, pointing nowhere, in a character set that is none."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from dockerlab.containers import page as pages
from dockerlab.containers.page import Page, fetch
from dockerlab.errors import NotReady

Sender = Callable[[Callable[[bytes], object]], object]


@contextmanager
def _serving(send: Sender) -> Iterator[tuple[str, int]]:
    """A program that answers every request with what `send` sends."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.connection.recv(1 << 16)
            with suppress(OSError):
                send(self.wfile.write)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield ("127.0.0.1", server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def _drips(head: bytes, drop: bytes) -> Sender:
    def send(write: Callable[[bytes], object]) -> None:
        write(head)
        for _ in range(200):
            write(drop)
            time.sleep(0.05)

    return send


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
)
def test_of_a_page_that_never_ends_there_is_what_came(head: bytes, drop: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_LONGEST", 0.5)
    began = time.monotonic()
    with _serving(_drips(head, drop)) as site:
        page = fetch(site, "/", "http://x/", "port 1")
    assert (page.status, set(page.text)) == (200, {"x"})
    assert time.monotonic() - began < 4


def test_headers_that_never_end_are_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_LONGEST", 0.3)
    monkeypatch.setattr(pages, "_PATIENCE", 0.2)
    began = time.monotonic()
    with _serving(_drips(b"HTTP/1.1 200 OK\r\nX: ", b"x")) as site, pytest.raises(NotReady, match="no page from port 1"):
        fetch(site, "/", "http://x/", "port 1")
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("place", [b"http://127.0.0.1:99999/", b"http://[/", b"http://x:y/"])
def test_a_redirect_to_what_is_no_address_is_shown_as_it_is(place: bytes) -> None:
    with _serving(lambda write: write(b"HTTP/1.1 302 Found\r\nLocation: " + place + b"\r\nContent-Length: 0\r\n\r\n")) as site:
        assert fetch(site, "/", "http://x/", "port 1").status == 302


@pytest.mark.parametrize("charset", ["none", "hex", "idna", "undefined"])
def test_a_character_set_that_cannot_be_used(charset: str) -> None:
    assert Page("http://x/", "/", 200, "OK", f"text/plain; charset={charset}", "grüße".encode()).text == "grüße"
