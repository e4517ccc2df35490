"""GET /containers/{id}/attach/ws, spoken by hand: RFC 6455 over the engine's socket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import pytest

from dockerlab.wire import websocket
from dockerlab.wire.websocket import BINARY, CLOSE, PING, PONG, TEXT
from tests.embedded.containing import Client, Engine
from tests.embedded.rungs import eventually
from tests.embedded.serving import Talk

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ECHO = ("sh", "-c", "echo begun; while read line; do echo got $line; echo loud >&2; done; echo over")
ALL: dict[str, Any] = {"stream": 1, "stdin": 1, "stdout": 1, "stderr": 1}


class Socket:
    """A client's side of a WebSocket."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk

    def send(self, opcode: int, data: bytes = b"") -> None:
        """One masked frame."""
        head = websocket.frame(opcode, data)[: -len(data) or None]
        mask = os.urandom(4)
        hidden = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
        self.talk.send(bytes((head[0], head[1] | 0x80)) + head[2:] + mask + hidden)

    def receive(self) -> tuple[int, bytes]:
        """One frame; (0, b"") at the end."""
        head = self.talk.file.read(2)
        if not head:
            return 0, b""
        assert head[0] & 0x80
        length = head[1] if head[1] < 126 else int.from_bytes(self.talk.file.read(2 if head[1] == 126 else 8), "big")
        return head[0] & 0xF, self.talk.file.read(length)

    def until(self, text: bytes) -> bytes:
        """What is printed, as far as `text`."""
        found = b""
        while text not in found:
            opcode, data = self.receive()
            assert opcode == BINARY, (opcode, data, found)
            found += data
        return found


@contextmanager
def opened(api: Client, container: str, version: str = "", **query: Any) -> Iterator[Socket]:
    head = f"GET {version}/containers/{container}/attach/ws?{urlencode(query)} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
    with Talk(api.path) as talk:
        talk.send(f"{head}Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n")
        reply = talk.head()
        assert (reply.status, reply.headers["upgrade"]) == (101, "websocket")
        assert reply.headers["sec-websocket-accept"] == websocket.accept(KEY)
        yield Socket(talk)


def test_both_outputs_input_and_the_end(api: Client) -> None:
    made = api.create(*ECHO, OpenStdin=True, StdinOnce=True)
    with opened(api, made, **ALL) as socket:
        api.post(f"/containers/{made}/start")
        assert socket.until(b"begun\n") == b"begun\n"
        socket.send(PING, b"there?")
        assert socket.receive() == (PONG, b"there?")
        socket.send(TEXT, b"one\n")
        assert sorted(socket.until(b"loud\n").split(b"\n")) in ([b"", b"got one", b"loud"], [b"", b"loud"])
        socket.send(CLOSE, b"\x03\xe8")
        found = socket.receive()
        while found[0] == BINARY:
            found = socket.receive()
        assert found == (CLOSE, b"\x03\xe8")
        assert socket.receive() == (0, b"")
    # The client's end is the end of the input, which is once.
    assert api.wait(made) == 0
    assert api.output(made)[1].endswith(b"over\n")


def test_the_end_of_the_container_closes(api: Client) -> None:
    made = api.create("echo", "x" * 300)
    with opened(api, made, **ALL) as socket:
        api.post(f"/containers/{made}/start")
        assert socket.until(b"\n") == b"x" * 300 + b"\n"
        assert socket.receive() == (CLOSE, b"\x03\xe8")
        assert socket.receive() == (0, b"")


def test_a_terminal_and_the_keys_that_detach(api: Client) -> None:
    made = api.run("sh", OpenStdin=True, Tty=True)
    with opened(api, made, detachKeys="ctrl-a", **ALL) as socket:
        socket.send(BINARY, b"echo $((6*7))\n")
        socket.until(b"42")
        socket.send(BINARY, b"\x01")
        while socket.receive()[0]:
            pass
    assert api.inspect(made)["State"]["Running"]


def test_what_was_printed_before_and_older_clients(api: Client) -> None:
    made = api.run("sh", "-c", "echo out; echo err >&2")
    api.wait(made)
    with opened(api, made, logs=1, stderr=1) as socket:
        assert (socket.receive(), socket.receive()) == ((BINARY, b"err\n"), (CLOSE, b"\x03\xe8"))
    with opened(api, made, version="/v1.41", logs=1) as socket:
        assert {socket.receive(), socket.receive()} == {(BINARY, b"out\n"), (BINARY, b"err\n")}
    with opened(api, made, version="/v1.27", logs=1) as socket:
        assert socket.receive()[0] == TEXT


def test_a_client_that_breaks_the_rules_is_told_and_the_container_goes_on(api: Client, inside: Engine) -> None:
    made = api.ready(*ECHO, OpenStdin=True)
    before = len(os.listdir("/proc/self/fd"))
    with opened(api, made, **ALL) as socket:
        socket.talk.send(websocket.frame(TEXT, b"no mask"))
        assert socket.receive() == (CLOSE, b"\x03\xea")
    with opened(api, made, **ALL):
        pass  # leaves without a word
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)
    assert api.inspect(made)["State"]["Running"]


def test_what_is_no_websocket(api: Client) -> None:
    made = api.create("true")
    path = f"/containers/{made}/attach/ws"
    assert api.message("GET", path) == (400, "not websocket protocol")
    assert api.message("GET", "/containers/nosuch/attach/ws") == (404, "No such container: nosuch")
    with Talk(api.path) as talk:
        asked = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "8"}
        assert talk.ask("GET", path, b"", asked).status == 400


@pytest.mark.parametrize("state", ["paused"])
def test_what_cannot_be_attached_to(api: Client, state: str) -> None:
    made = api.run(*ECHO, OpenStdin=True)
    api.post(f"/containers/{made}/pause")
    with Talk(api.path) as talk:
        asked = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "13"}
        assert talk.ask("GET", f"/containers/{made}/attach/ws", b"", asked).status == 409
    api.post(f"/containers/{made}/unpause")
