"""Attached clients: before the start and after, input, terminals, the keys that detach; and a container's life meanwhile."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from dockerlab.engine.containers.container import Attachment
from dockerlab.engine.containers.streams import Keys, await_start, join, parse_keys
from tests.embedded.containing import Client, Engine, by_stream
from tests.embedded.rungs import eventually


class Wire:
    """A connection that is no longer HTTP, and the client's end of it."""

    def __init__(self, received: bytes = b"") -> None:
        self.client, self._sock = socket.socketpair()
        self._received = received
        self.client.settimeout(20)

    @property
    def pending(self) -> bool:
        return bool(self._received)

    def recv(self, size: int, /) -> bytes:
        if self._received:
            data, self._received = self._received[:size], self._received[size:]
            return data
        return self._sock.recv(size)

    def sendall(self, data: bytes, /) -> None:
        self._sock.sendall(data)

    def shutdown_write(self) -> None:
        self._sock.shutdown(socket.SHUT_WR)

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()
        self.client.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A monitor's end and the engine's."""
    monitor, stream = socket.socketpair()
    with monitor, stream:
        monitor.settimeout(20)
        yield monitor, stream


@pytest.mark.parametrize(
    ("pieces", "passed", "detached"),
    [
        ([b"abc"], b"abc", False),
        ([b"a\x10\x11b"], b"a", True),
        ([b"a\x10", b"\x11"], b"a", True),
        ([b"a\x10", b"b"], b"a\x10b", False),
        ([b"\x10\x10\x11"], b"\x10", True),
        ([b"\x10"], b"", False),
    ],
)
def test_keys_that_detach(pieces: list[bytes], passed: bytes, detached: bool) -> None:
    keys = Keys(b"\x10\x11")
    found = [keys.feed(piece) for piece in pieces]
    assert b"".join(data for data, _ in found) == passed
    assert found[-1][1] is detached


def test_without_keys_everything_passes() -> None:
    assert Keys(b"").feed(b"\x10\x11") == (b"\x10\x11", False)


@pytest.mark.parametrize(("text", "keys"), [("ctrl-p,ctrl-q", b"\x10\x11"), ("a,ctrl-@", b"a\0"), ("ctrl-[,^", b"\x1b^")])
def test_names_of_keys(text: str, keys: bytes) -> None:
    assert parse_keys(text) == keys


@pytest.mark.parametrize(("text", "wrong"), [("foo", "foo"), ("ctrl-", "ctrl-"), ("a,ctrl-aa", "ctrl-aa"), ("ctrl-1", "ctrl-1")])
def test_no_names_of_keys(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        parse_keys(text)


def test_bytes_go_both_ways_until_the_process_ends(wire: Wire, pair: tuple[socket.socket, socket.socket]) -> None:
    monitor, stream = pair
    thread = threading.Thread(target=join, args=(wire, stream), kwargs={"gives_input": True})
    thread.start()
    data = os.urandom(2_000_000)

    def write() -> None:
        wire.client.sendall(data)
        wire.client.shutdown(socket.SHUT_WR)

    writer = threading.Thread(target=write)
    writer.start()
    assert _all(monitor) == data
    monitor.sendall(b"done")
    monitor.close()
    assert _all(wire.client) == b"done"
    writer.join(20)
    thread.join(20)
    assert not thread.is_alive()


def test_what_came_with_the_request_is_input(pair: tuple[socket.socket, socket.socket]) -> None:
    monitor, stream = pair
    wire = Wire(b"early")
    thread = threading.Thread(target=join, args=(wire, stream), kwargs={"gives_input": True})
    thread.start()
    assert monitor.recv(100) == b"early"
    wire.client.close()
    thread.join(20)
    assert not thread.is_alive()
    wire.close()


def test_input_is_dropped_where_it_is_not_wanted(wire: Wire, pair: tuple[socket.socket, socket.socket]) -> None:
    monitor, stream = pair
    thread = threading.Thread(target=join, args=(wire, stream), kwargs={"gives_input": False})
    thread.start()
    wire.client.sendall(b"x" * 1_000_000)
    wire.client.shutdown(socket.SHUT_WR)
    monitor.sendall(b"output")
    monitor.shutdown(socket.SHUT_WR)
    assert _all(wire.client) == b"output"
    thread.join(20)
    stream.close()
    assert monitor.recv(10) == b""


def test_the_last_output_of_a_process_that_did_not_read_its_input(wire: Wire, pair: tuple[socket.socket, socket.socket]) -> None:
    monitor, stream = pair
    stream.sendall(b"nobody reads this")
    monitor.sendall(b"last words")
    monitor.close()
    assert join(wire, stream, gives_input=True) is False
    assert _all(wire.client) == b"last words"


def test_a_client_that_reads_nothing_holds_the_process_up(wire: Wire, pair: tuple[socket.socket, socket.socket]) -> None:
    monitor, stream = pair
    thread = threading.Thread(target=join, args=(wire, stream), kwargs={"gives_input": True})
    thread.start()
    monitor.settimeout(0.5)
    sent = 0
    with suppress(TimeoutError):
        while sent < 10_000_000:
            sent += monitor.send(b"x" * 65536)
    assert sent < 5_000_000
    wire.client.close()
    thread.join(20)
    assert not thread.is_alive()


def test_detaching(wire: Wire, pair: tuple[socket.socket, socket.socket]) -> None:
    stream = pair[1]
    wire.client.sendall(b"\x10\x11")
    assert join(wire, stream, gives_input=True, keys=b"\x10\x11") is True
    assert wire.client.recv(10) == b""


def test_a_client_may_leave_before_the_start(wire: Wire) -> None:
    attachment = Attachment(stdin=True, stdout=True, stderr=True)
    wire.client.close()
    assert await_start(wire, attachment) is False
    attachment.close()
    attachment.close()


def _all(sock: socket.socket) -> bytes:
    pieces = []
    while data := sock.recv(1 << 20):
        pieces.append(data)
    return b"".join(pieces)


def test_attached_before_the_start_nothing_is_missed(api: Client) -> None:
    made = api.create("sh", "-c", "echo out; echo err >&2", host={"AutoRemove": True})
    with api.attached(made) as talk:
        assert api.post(f"/containers/{made}/start").status == 204
        assert by_stream(talk.file.read()) == {1: b"out\n", 2: b"err\n"}


def test_input_and_its_end(api: Client) -> None:
    made = api.create("cat", OpenStdin=True, StdinOnce=True)
    with api.attached(made, stdin=1, stderr=0) as talk:
        talk.send("early ")
        api.post(f"/containers/{made}/start")
        talk.send("and late")
        talk.sock.shutdown(socket.SHUT_WR)
        assert by_stream(talk.file.read())[1] == b"early and late"
    assert api.wait(made) == 0


def test_input_stays_open_for_the_next_client(api: Client) -> None:
    made = api.run("cat", OpenStdin=True)
    for text in ("one", "two"):
        with api.attached(made, stdin=1) as talk:
            talk.send(f"{text}\n")
            assert talk.file.read(8 + 4)[8:] == f"{text}\n".encode()
    assert api.inspect(made)["State"]["Running"] is True


def test_only_the_streams_that_are_asked_for(api: Client) -> None:
    made = api.create("sh", "-c", "echo out; echo err >&2")
    with api.attached(made, stdout=0) as talk:
        api.post(f"/containers/{made}/start")
        assert by_stream(talk.file.read()) == {1: b"", 2: b"err\n"}


def test_a_terminal(api: Client, inside: Engine) -> None:
    made = api.create("sh", "-c", "read x; stty size; echo got $x", Tty=True, OpenStdin=True)
    with api.attached(made, stdin=1) as talk:
        api.post(f"/containers/{made}/start")
        assert api.post(f"/containers/{made}/resize?h=33&w=77").status == 200
        talk.send("word\n")
        assert talk.file.read() == b"word\r\n33 77\r\ngot word\r\n"
    resized = next(event for event in inside.history() if event.action == "resize" and event.id == made)
    assert (resized.attributes["height"], resized.attributes["width"]) == ("33", "77")


def test_detaching_leaves_the_container_running(api: Client, inside: Engine) -> None:
    made = api.run("cat", Tty=True, OpenStdin=True)
    with api.attached(made, stdin=1, detachKeys="ctrl-a,x") as talk:
        talk.send("\x01x")
        assert talk.file.read() == b""
    assert api.inspect(made)["State"]["Running"] is True
    # The client is told first.
    eventually(lambda: [event.action for event in inside.history() if event.id == made][-2:] == ["attach", "detach"])


def test_what_was_printed_before_comes_first_if_asked_for(api: Client) -> None:
    made = api.run("sh", "-c", "echo before; read x; echo after", OpenStdin=True)
    deadline = time.monotonic() + 20
    while not api.output(made)[1] and time.monotonic() < deadline:
        time.sleep(0.02)
    with api.attached(made, stdin=1, logs=1) as talk:
        talk.send("\n")
        assert by_stream(talk.file.read())[1] == b"before\nafter\n"
    with api.attached(made, logs=1, stream=0) as talk:
        assert by_stream(talk.file.read())[1] == b"before\nafter\n"


def test_attached_to_what_cannot_be_started(api: Client) -> None:
    made = api.create("nosuch")
    with api.attached(made) as talk:
        assert api.post(f"/containers/{made}/start").status == 400
        assert talk.file.read() == b""


def test_attached_to_what_is_removed(api: Client) -> None:
    made = api.create("true")
    with api.attached(made) as talk:
        assert api.ask("DELETE", f"/containers/{made}").status == 204
        assert talk.file.read() == b""


def test_a_client_that_left_before_the_start_does_not_hold_it_up(api: Client, inside: Engine) -> None:
    made = api.create("sh", "-c", "head -c 3000000 /dev/zero")
    with api.attached(made):
        assert inside.containers.get(made)._attachments
    deadline = time.monotonic() + 20
    while inside.containers.get(made)._attachments and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not inside.containers.get(made)._attachments
    api.post(f"/containers/{made}/start")
    assert api.wait(made) == 0
