"""A client's connection and a process's stream, joined: attach and exec. One thread, both ways at once.

What the client sends is input, what the monitor sends (framed already, unless there is a terminal) is output. Neither side can make the
other one's bytes pile up in memory. With a terminal, keys that the client chose leave the process alone: *detach*.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from dockerlab.engine.containers.container import Attachment
from dockerlab.engine.http.types import Connection
from dockerlab.wire import websocket
from dockerlab.wire.multiplex import STDOUT, Demultiplexer, Raw, frame

_CHUNK = 1 << 16
_AHEAD = 1 << 18
DETACH_KEYS = "ctrl-p,ctrl-q"
_GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL


@dataclass(frozen=True)
class Given:
    """What a client has sent. data: input of the process. reply: for the client, at once. ends: it will send no more."""

    data: bytes = b""
    reply: bytes = b""
    ends: bool = False


class Plain:
    """How the two streams go over a client's connection: as they are."""

    def encode(self, data: bytes) -> bytes:
        """What the monitor sends, as the client reads it."""
        return data

    def decode(self, data: bytes) -> Given:
        """What the client sends."""
        return Given(data)

    def end(self) -> bytes:
        """What the client reads last."""
        return b""


class Framed(Plain):
    """A terminal's output in frames, for a client that does not know that there is a terminal."""

    def encode(self, data: bytes) -> bytes:
        return frame(STDOUT, data)


class Unframed(Plain):
    """Output without its frames, for a client that takes it for a terminal's."""

    def __init__(self) -> None:
        self._frames = Demultiplexer()

    def encode(self, data: bytes) -> bytes:
        return b"".join(payload for _, payload in self._frames.feed(data))


class Messages(Plain):
    """Messages of a WebSocket: both outputs are one stream."""

    def __init__(self, opcode: int, *, tty: bool) -> None:
        self._opcode = opcode
        self._reader = websocket.Reader()
        self._output: Demultiplexer | Raw = Raw() if tty else Demultiplexer()

    def encode(self, data: bytes) -> bytes:
        return b"".join(websocket.frame(self._opcode, payload) for _, payload in self._output.feed(data))

    def decode(self, data: bytes) -> Given:
        given, reply = b"", b""
        try:
            for opcode, payload in self._reader.feed(data):
                if opcode == websocket.CLOSE:
                    return Given(given, reply, ends=True)
                if opcode == websocket.PING:
                    reply += websocket.frame(websocket.PONG, payload)
                elif opcode != websocket.PONG:
                    given += payload
        except websocket.ViolationError:
            return Given(given, reply + websocket.close(websocket.PROTOCOL_ERROR), ends=True)
        return Given(given, reply)

    def end(self) -> bytes:
        return websocket.close()


class Keys:
    """Finds the keys that detach in what is typed. Pure."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What goes on to the process, and whether the keys came. The beginning of the keys is kept back until it is known what it is."""
        passed = bytearray()
        for byte in data:
            if self._keys and byte == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    return bytes(passed), True
                continue
            passed += self._keys[: self._matched]
            if self._keys and byte == self._keys[0]:
                self._matched = 1
            else:
                self._matched = 0
                passed.append(byte)
        return bytes(passed), False


def parse_keys(text: str) -> bytes:
    """ "ctrl-p,ctrl-q" → b"\\x10\\x11". Raises ValueError for what is no key."""
    found = bytearray()
    for name in text.split(","):
        if len(name) == 1 and name.isascii():
            found += name.encode()
        elif len(name) == 6 and name.startswith("ctrl-") and name[5] in "@abcdefghijklmnopqrstuvwxyz[\\]^_":
            found.append(ord(name[5].upper()) - 64)
        else:
            raise ValueError(name)
    return bytes(found)


def await_start(connection: Connection, attachment: Attachment) -> bool:
    """Waits until a container is started that a client has attached to. Whether it was; else the client has left, or it never will be."""
    poll = select.poll()
    poll.register(attachment.fileno(), select.POLLIN)
    # Nothing but the client's leaving: what it sends waits.
    poll.register(connection.fileno(), 0)
    ready = dict(poll.poll())
    return attachment.fileno() in ready and attachment.stream is not None


def join(
    connection: Connection,
    stream: socket.socket,
    *,
    gives_input: bool,
    keys: bytes = b"",
    coding: Plain | None = None,
    ended: Callable[[], object] = lambda: None,
) -> bool:
    """Passes bytes both ways until the process ends or the client leaves. keys: that detach. Whether the client detached.

    coding: of the client's connection, where the streams do not go over it as they are.
    ended: called when the process's stream is at its end, before the client sees that.
    """
    with socket.socket(fileno=os.dup(connection.fileno())) as client:
        coding = coding or Plain()
        joined = _Join(connection, client, stream, gives_input, Keys(keys), coding)
        if joined.run():
            ended()
        with suppress(OSError):  # it has gone
            if joined.is_flushed:
                connection.sendall(coding.end())
            connection.shutdown_write()
        return joined.detached


class _Join:
    def __init__(
        self,
        connection: Connection,
        client: socket.socket,
        stream: socket.socket,
        gives_input: bool,
        keys: Keys,
        coding: Plain,
    ) -> None:
        self._connection, self._client, self._stream = connection, client, stream
        self._gives_input, self._keys, self._coding = gives_input, keys, coding
        self._output, self._input = bytearray(), bytearray()
        self._input_ended = self._output_ended = self._input_passed = self._left = False
        self.detached = False

    @property
    def is_flushed(self) -> bool:
        """Whether the client has been sent all that there is for it."""
        return not self._output

    def run(self) -> bool:
        """Whether it went on to the end of the process's stream."""
        try:
            while self._round():
                pass
        except (ConnectionError, TimeoutError):
            return False  # one of the two has gone
        return self._output_ended

    def _round(self) -> bool:
        """Waits for one of the two, and passes on what is there. Whether there is more to come."""
        if self.detached or (self._output_ended and not self._output) or (self._left and not self._input and not self._output):
            return False
        client, stream = self._client.fileno(), self._stream.fileno()
        poll = select.poll()
        takes_input = not self._input_ended and len(self._input) < _AHEAD
        takes_output = not self._output_ended and not self._left and len(self._output) < _AHEAD
        poll.register(client, (select.POLLIN if takes_input else 0) | (select.POLLOUT if self._output else 0))
        if not self._output_ended:
            poll.register(stream, (select.POLLIN if takes_output else 0) | (select.POLLOUT if self._input else 0))
        pending = takes_input and self._connection.pending
        ready = dict(poll.poll(0 if pending else None))
        if ready.get(client, 0) & select.POLLOUT:
            self._send_output()
        if takes_input and (pending or ready.get(client, 0) & select.POLLIN):
            self._take_input()
        elif ready.get(client, 0) & _GONE:
            return False
        if ready.get(stream, 0) & select.POLLOUT:
            self._send_input()
        if takes_output and ready.get(stream, 0) & (select.POLLIN | _GONE):
            self._take_output()
        return True

    def _take_output(self) -> None:
        try:
            data = self._stream.recv(_CHUNK)
        except ConnectionError:
            data = b""  # it ended without having read all its input
        if data:
            self._output += self._coding.encode(data)
            self._send_output()
        else:
            self._output_ended = True
            self._input_ended = True

    def _send_output(self) -> None:
        with suppress(BlockingIOError):
            del self._output[: self._client.send(self._output, socket.MSG_DONTWAIT)]

    def _take_input(self) -> None:
        data = self._connection.recv(_CHUNK)
        if not data:
            self._input_ended = True
            self._pass_end()
            return
        given = self._coding.decode(data)
        self._output += given.reply
        if self._gives_input:
            passed, self.detached = self._keys.feed(given.data)
            self._input += passed
        self._input_ended = self._left = given.ends
        self._send_input()

    def _send_input(self) -> None:
        if self._input:
            try:
                del self._input[: self._stream.send(self._input, socket.MSG_DONTWAIT)]
            except BlockingIOError:
                return
            except ConnectionError:
                self._input.clear()  # it has ended; what it printed is still to be read
        self._pass_end()

    def _pass_end(self) -> None:
        if self._gives_input and self._input_ended and not self._input and not self._input_passed:
            self._input_passed = True
            with suppress(OSError):  # it has ended
                self._stream.shutdown(socket.SHUT_WR)
