"""JSON, a line each, over a unix socket: how the engine and its monitors speak. What follows a line on a connection may be a stream."""

from __future__ import annotations

import json
import os
import selectors
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

_PEEKED = 4096
_CHUNK = 65536
_LONGEST_LINE = 4 << 20
_MOST_DESCRIPTORS = 64
_BACKLOG = 64

Obey = Callable[[socket.socket, dict[str, Any], list[int]], None]


def send(connection: socket.socket, value: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
    """Sends a line; descriptors go along with it. The socket blocks. value: dataclasses may be in it. Raises OSError."""
    line = json.dumps(value, separators=(",", ":"), default=vars).encode() + b"\n"
    sent = socket.send_fds(connection, [line], list(fds)) if fds else 0
    connection.sendall(line[sent:])


def receive(connection: socket.socket) -> dict[str, Any]:
    """Waits for a line, and takes no byte more. Raises ConnectionResetError at the end of the stream."""
    found: dict[str, Any] = json.loads(receive_line(connection))
    return found


def receive_line(connection: socket.socket) -> bytes:
    """As `receive`; the line as it came."""
    line = bytearray()
    while not line.endswith(b"\n"):
        # Looked at first, and then taken as far as the line goes.
        there = connection.recv(_CHUNK if line else _PEEKED, socket.MSG_PEEK)
        if not there:
            raise ConnectionResetError("the connection has ended")
        line += connection.recv(there.find(b"\n") + 1 or len(there))
    return bytes(line)


def answer(connection: socket.socket, value: Mapping[str, Any]) -> None:
    """Sends a line to who may not have waited for it, from a process that does not wait either."""
    with suppress(OSError):
        connection.sendall(json.dumps(value).encode() + b"\n")


class Requests:
    """Reads one request from each connection, whenever the selector says so, and hands both over with the descriptors that came along.

    on_left: called when a connection ends without having asked for anything.
    """

    def __init__(self, selector: selectors.BaseSelector, obey: Obey, on_left: Callable[[socket.socket], None]) -> None:
        self._selector, self._obey, self._on_left = selector, obey, on_left

    def accept(self, listener: socket.socket) -> None:
        """Listens to the next of those who have connected."""
        with suppress(BlockingIOError):
            self.listen(listener.accept()[0])

    def listen(self, connection: socket.socket) -> None:
        """Listens to a connection."""
        connection.setblocking(False)
        said, fds = bytearray(), list[int]()
        self._selector.register(connection, selectors.EVENT_READ, lambda mask: self._hear(connection, said, fds))

    def _hear(self, connection: socket.socket, said: bytearray, fds: list[int]) -> None:
        try:
            data, received, _, _ = socket.recv_fds(connection, _CHUNK, _MOST_DESCRIPTORS)
        except BlockingIOError:
            return
        except OSError:
            data, received = b"", []
        fds += received
        said += data
        line, newline, _ = bytes(said).partition(b"\n")
        if not newline and data and len(said) <= _LONGEST_LINE:
            return
        self._selector.unregister(connection)
        with suppress(ValueError):  # not JSON: nothing that could be answered
            if newline:
                self._obey(connection, json.loads(line), fds)
                return
        for fd in fds:
            os.close(fd)
        self._on_left(connection)
        connection.close()


class Listeners:
    """Connections that only listen, each until its other side closes."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._connections: list[socket.socket] = []

    def add(self, connection: socket.socket) -> None:
        """One more; it does not block."""
        self._connections.append(connection)
        self._selector.register(connection, selectors.EVENT_READ, lambda mask: self._look(connection))

    def tell(self, data: bytes) -> None:
        """Sends it to all. One that has not read what came before misses it."""
        for connection in self._connections:
            with suppress(OSError):  # full, or gone: that is noticed when it is read from
                connection.send(data)

    def close(self) -> None:
        """Ends them all."""
        for connection in self._connections:
            connection.close()

    def _look(self, connection: socket.socket) -> None:
        with suppress(BlockingIOError):
            try:
                data = connection.recv(_PEEKED)
            except ConnectionError:
                data = b""
            if not data:
                self._selector.unregister(connection)
                self._connections.remove(connection)
                connection.close()


def listener(path: str) -> socket.socket:
    """A socket at `path`, for this user alone, in place of one that somebody left there. Raises OSError."""
    with suppress(FileNotFoundError):
        os.unlink(path)
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    found.bind(path)
    os.chmod(path, 0o600)
    found.listen(_BACKLOG)
    found.setblocking(False)
    return found
