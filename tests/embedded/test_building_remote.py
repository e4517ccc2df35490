"""A context from elsewhere that does not come, and a client that does not wait for it: the engine ends at once what it has begun."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from dockerlab.engine.workers import KEPT
from tests.embedded.builds import nothing_left
from tests.embedded.rungs import OwnEngine, engine, eventually
from tests.embedded.serving import Talk

OK = b"HTTP/1.1 200 OK\r\n"
LONG = OK + b"Content-Length: 1000000\r\n\r\n"
# What a repository over plain HTTP begins with.
ADVERTISED = OK + b"Content-Type: application/x-git-upload-pack-advertisement\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def own() -> Iterator[OwnEngine]:
    with engine("user" if os.getuid() else "root") as own:
        with asked(own, "http://127.0.0.1:1/") as talk:  # what is imported for a build is, by now
            assert talk.reply().status == 500
        threads = own.counts()[1]
        with ExitStack() as stack:  # and as many threads as are kept are there
            for _ in range(KEPT + 2):
                assert stack.enter_context(Talk(own.home.socket)).ask("GET", "/_ping").status == 200
        eventually(lambda: own.counts()[1] < threads + KEPT)
        yield own


class Remote:
    """A server that keeps who comes to it. answer: what it sends at once; drip: what follows, again and again."""

    def __init__(self, answer: bytes, drip: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.reached, self.left = threading.Event(), threading.Event()
        self._answer, self._drip = answer, drip
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with suppress(OSError):
            connection, _ = self._listener.accept()
            with connection, suppress(ConnectionError):
                self._keep(connection)
            self.left.set()

    def _keep(self, connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(self._answer)
        self.reached.set()
        connection.settimeout(0.02)
        is_there = True
        while is_there:
            connection.sendall(self._drip)
            with suppress(TimeoutError):
                is_there = bool(connection.recv(1 << 16))

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@contextmanager
def asked(own: OwnEngine, url: str) -> Iterator[Talk]:
    """A build of that context; in the end its client leaves."""
    with Talk(own.home.socket) as talk:
        talk.send(f"POST /build?remote={urllib.parse.quote(url, safe='')} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        yield talk


def nothing_goes_on(own: OwnEngine, before: tuple[int, int]) -> None:
    """No file, process, thread or connection."""
    nothing_left(own)
    eventually(lambda: all(now <= then for now, then in zip(own.counts(), before, strict=True)), f"{before} became {own.counts()}")
    assert "Traceback" not in own.said()


@pytest.mark.parametrize(
    ("url", "answer", "drip"),
    [
        ("http://{}/x", b"", b""),
        ("http://{}/x", b"", b"H"),
        ("http://{}/x", OK, b"X: y\r\n"),
        ("http://{}/x", LONG, b""),
        ("http://{}/x.tgz", LONG + b"\x1f\x8b", b"\0"),
        ("https://{}/x", b"", b""),
        ("http://{}/x.git", b"", b""),
        ("http://{}/x.git#main", ADVERTISED, b"1\r\n0\r\n"),
        ("git://{}/x", b"", b""),
    ],
    ids=["silent", "slow status", "slow head", "stalls", "trickles", "TLS", "git", "git trickles", "git protocol"],
)
def test_who_leaves_while_the_context_does_not_come(own: OwnEngine, url: str, answer: bytes, drip: bytes) -> None:
    if ".git" in url and not shutil.which("git"):
        pytest.skip("git is not installed")
    before = own.counts()
    remote = Remote(answer, drip)
    try:
        with asked(own, url.format(f"127.0.0.1:{remote.port}")):
            assert remote.reached.wait(20)
        assert remote.left.wait(20), "the engine goes on with it"
        nothing_goes_on(own, before)
    finally:
        remote.close()


def test_who_leaves_while_there_is_no_connection_yet(own: OwnEngine) -> None:
    """A listener whose queue is full answers nobody."""
    before = own.counts()
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        eventually(lambda: connecting(listener.getsockname()[1]) <= 1)
        with asked(own, f"http://127.0.0.1:{listener.getsockname()[1]}/x"):
            eventually(lambda: connecting(listener.getsockname()[1]) > 1)
        eventually(lambda: connecting(listener.getsockname()[1]) <= 1, "the engine goes on with it")
        nothing_goes_on(own, before)


def connecting(port: int) -> int:
    """Connections to a port that are being made."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()]
    return sum(line[2].endswith(f":{port:04X}") and line[3] == "02" for line in lines)


def test_an_engine_that_ends_does_not_wait_for_it(own: OwnEngine) -> None:
    remote = Remote(LONG, b"x")
    try:
        with asked(own, f"http://127.0.0.1:{remote.port}/x"):
            assert remote.reached.wait(20)
            own.stop()
        assert remote.left.wait(20)
    finally:
        remote.close()
        own.revive()
    nothing_left(own)
