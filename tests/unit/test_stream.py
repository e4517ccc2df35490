"""Streaming answers: cut anywhere, broken off, interrupted. The server is a real one, on a socket."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dockerlab.client import Client, connect
from dockerlab.errors import ContextError, EngineError, EngineGone
from dockerlab.stream import streaming

VERSION = b'{"ApiVersion":"1.41","Version":"1"}'
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


Answer = Callable[[socket.socket], None]


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[[Answer], Client]]:
    """An engine that answers one request after its version, in the way that the test gives it."""
    path = tmp_path / "engine.sock"
    threads: list[threading.Thread] = []
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def serve(answer: Answer) -> Client:
        def run() -> None:
            first, _ = server.accept()
            with first:
                first.recv(65536)
                first.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(VERSION), VERSION))
            second, _ = server.accept()
            with second:
                answer(second)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return connect(str(path))

    yield serve
    server.close()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()


def read(client: Client, **request: object) -> list[object]:
    with streaming(client, "POST", "/build", doing="build", **request) as stream:
        return [message for message in stream.messages(0.1) if message is not None]


def test_messages_may_be_cut_anywhere(serving: Callable[[Answer], Client]) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        whole = '{"stream":"größe"}\r\n{"a":1}{"b":2}'.encode()
        connection.sendall(HEAD + b"".join(chunk(whole[i : i + 1]) for i in range(len(whole))) + b"0\r\n\r\n")

    assert read(serving(answer)) == [{"stream": "größe"}, {"a": 1}, {"b": 2}]


def test_its_connection_is_no_other_request_s(serving: Callable[[Answer], Client]) -> None:
    heads = []

    def answer(connection: socket.socket) -> None:
        heads.append(connection.recv(65536).lower())
        connection.sendall(HEAD + chunk(b"{}") + b"0\r\n\r\n")

    assert read(serving(answer), headers={"X-Registry-Config": "e30="}) == [{}]
    assert b"\r\nconnection: close\r\n" in heads[0]
    assert b"\r\nx-registry-config: e30=\r\n" in heads[0]


def test_an_answer_that_breaks_off_is_an_error(serving: Callable[[Answer], Client]) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(HEAD + chunk(b'{"a":1}'))

    with pytest.raises(EngineGone, match="cannot build: the engine's connection broke off"):
        read(serving(answer))


def test_a_message_without_an_end_is_an_error_and_not_all_of_memory(serving: Callable[[Answer], Client]) -> None:
    sent = []

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        with suppress(OSError):
            connection.sendall(HEAD + chunk(b'{"stream":"'))
            connection.sendall(b"%x\r\n" % (1 << 40))
            while True:
                connection.sendall(b"x" * 65536)
                sent.append(65536)

    with pytest.raises(EngineError, match="cannot build: the engine sends a message without an end") as caught:
        read(serving(answer))
    assert caught.value.evidence == ("an object has more than 33,554,432 bytes",)
    assert caught.value.hint
    assert sum(sent) < 50_000_000


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b'{"a":%s}' % (b"1" * 5000), b"[1]"])
def test_what_cannot_be_read_is_an_error(serving: Callable[[Answer], Client], data: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        with suppress(OSError):
            connection.sendall(HEAD + chunk(data) + b"0\r\n\r\n")

    with pytest.raises(EngineGone, match="cannot build"):
        read(serving(answer))


def test_an_error_status_is_an_error_with_the_engines_words(serving: Callable[[Answer], Client]) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b'HTTP/1.1 500 Oh\r\nContent-Length: 18\r\n\r\n{"message":"oh no"}'[:-1] + b"}")

    with pytest.raises(EngineError, match="cannot build"):
        read(serving(answer))


def test_an_error_of_the_body_is_the_error_that_is_raised(serving: Callable[[Answer], Client]) -> None:
    def answer(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    def body() -> Iterator[bytes]:
        yield b"x"
        raise ContextError("cannot read 'a'")

    with pytest.raises(ContextError, match="cannot read 'a'"):
        read(serving(answer), data=body())


def test_silence_ticks_and_leaving_the_block_closes_the_connection_at_once(serving: Callable[[Answer], Client]) -> None:
    closed = threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(HEAD + chunk(b'{"a":1}'))
        assert connection.recv(1) == b""
        closed.set()

    client = serving(answer)
    started = time.monotonic()
    with streaming(client, "POST", "/build", doing="build") as stream:
        messages = stream.messages(0.05)
        assert [next(messages) for _ in range(3)] == [{"a": 1}, None, None]
    assert closed.wait(2)
    assert time.monotonic() - started < 4
    assert not [thread for thread in threading.enumerate() if thread.name == "dockerlab build"]
