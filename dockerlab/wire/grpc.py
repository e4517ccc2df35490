"""gRPC over HTTP/2, either side of it, without a socket: bytes in, events and bytes out.

    peer = Peer(is_server=True)                      or False: who calls
    for event in peer.receive(data): …               Called, Message, Ended
    peer.send(stream, message); peer.finish(stream)  what a server answers;   peer.call(path, metadata) → stream, peer.end(stream)
    sock.sendall(peer.outgoing())                    after each of these

What the other side has no room for waits here (`waiting(stream)` bytes of it): who sends much, asks first. What it sends is given at
once; only of messages that are not yet whole something is held, and of all streams together no more than `MOST_HELD` and a little.

HTTP/2 is h2's. Follows "gRPC over HTTP2" (grpc/doc/PROTOCOL-HTTP2.md); compressed messages are refused, as they are not announced.
Not for several threads at once.
"""

from __future__ import annotations

import struct
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, unquote

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from dockerlab.errors import DockerlabError
from dockerlab.wire.frames import Joining

# https://grpc.github.io/grpc/core/md_doc_statuscodes.html
OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS = 0, 1, 2, 3, 5, 6
PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 7, 8, 12, 13, 14

CONNECTION_ENDED: Final = "the other side ended the connection"
LONGEST_MESSAGE: Final = 16 << 20  # as BuildKit's
MOST_HELD: Final = 32 << 20
_WINDOW: Final = 1 << 20
_FRAME: Final = 1 << 16
_STREAMS: Final = 100
_LONGEST_TEXT: Final = 4096  # characters
_HEADERS: Final = 1 << 16  # bytes, of all together
_ANSWERS: Final = 1 << 20  # of an answer: what a server has to say of a failure stands in them, for BuildKit a Dockerfile and more
_PREFIX: Final = struct.Struct(">?I")
_TYPE: Final = "application/grpc"
_CUT: Final = "the last message is cut off"
_RESERVED: Final = frozenset(("content-type", "te", "user-agent"))


class BrokenError(DockerlabError):
    """What came is not gRPC; the connection is of no more use."""


@dataclass(frozen=True, slots=True)
class Called:
    """path: "/package.Service/Method". metadata: of each name its values."""

    stream: int
    path: str
    metadata: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Message:
    """One whole message of a stream."""

    stream: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """The other side says no more on a stream. status, text: a server's answer, or CANCELLED where it broke the stream off.

    On a server's side, OK is a caller that has sent all it had; `finish` is still to come.
    """

    stream: int
    status: int = OK
    text: str = ""


Event = Called | Message | Ended


@dataclass(slots=True)
class _Stream:
    """buffer: of a message that is not yet whole. held: bytes that make no room yet. is_full: whether a message was not yet taken.

    queue: what waits for room. is_ending: nothing more of ours after it, but trailers. is_done: all is sent. is_ended: by the other side.
    """

    buffer: bytearray = field(default_factory=bytearray)
    held: int = 0
    is_full: bool = False
    queue: deque[memoryview] = field(default_factory=deque)
    waiting: int = 0
    trailers: list[tuple[str, str]] | None = None
    is_ending: bool = False
    is_done: bool = False
    is_answered: bool = False
    is_ended: bool = False


class Peer:
    """is_server: whether the other side calls and this one answers. holds: whether messages make room only when they are `taken`."""

    def __init__(self, *, is_server: bool, holds: bool = False) -> None:
        self._is_server, self._holds = is_server, holds
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=not is_server))
        codes = h2.settings.SettingCodes
        settings = {codes.INITIAL_WINDOW_SIZE: _WINDOW, codes.MAX_FRAME_SIZE: _FRAME, codes.MAX_CONCURRENT_STREAMS: _STREAMS}
        settings[codes.MAX_HEADER_LIST_SIZE] = self._http.decoder.max_header_list_size = _HEADERS if is_server else _ANSWERS
        # Not `update`: what is set so holds only once the other side has agreed.
        self._http.local_settings = h2.settings.Settings(
            client=not is_server, initial_values=settings if is_server else {**settings, codes.ENABLE_PUSH: 0}
        )
        self._http.max_inbound_frame_size = _FRAME
        self._joining = Joining(_FRAME, is_server=is_server)
        self._http.initiate_connection()
        self._http.increment_flow_control_window(_WINDOW)
        self._streams: dict[int, _Stream] = {}
        self._came: Counter[int] = Counter()  # bytes that make no room yet, by stream

    # Bytes

    def outgoing(self) -> bytes:
        """What is to be sent now; to be asked after every other call."""
        return self._http.data_to_send()

    def receive(self, data: bytes) -> list[Event]:
        """What the bytes mean. Raises BrokenError, after which `outgoing` says so to the other side."""
        try:
            found = self._http.receive_data(self._joining.joined(data))
        except h2.exceptions.ProtocolError as error:
            raise BrokenError(f"what came is not HTTP/2: {error}") from error
        events: list[Event] = []
        for event in found:
            events += self._events(event)
        self._make_room()
        self._flush()
        return events

    # What a caller does

    def call(self, path: str, metadata: Mapping[str, Sequence[str]] | None = None) -> int:
        """Begins a call. Its number. Raises BrokenError where the connection has ended, or has no room for one more."""
        fixed = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost")]
        fixed += [("content-type", _TYPE), ("te", "trailers")]
        try:
            stream = self._http.get_next_available_stream_id()
            self._http.send_headers(stream, [*fixed, *((k, v) for k, values in (metadata or {}).items() for v in values)])
        except h2.exceptions.ProtocolError as error:
            raise BrokenError(f"cannot call {path}: {error}") from error
        self._streams[stream] = _Stream(is_answered=True)
        return stream

    def end(self, stream: int) -> None:
        """No more messages of ours."""
        found = self._streams.get(stream)
        if found and not found.is_ending:
            found.is_ending = True
            self._flush_one(stream, found)

    def reset(self, stream: int) -> None:
        """Breaks a stream off; nothing more comes of it."""
        if self._streams.pop(stream, None):
            self._reset(stream, h2.errors.ErrorCodes.CANCEL)

    # What both do

    def send(self, stream: int, *messages: bytes) -> None:
        """Sends messages, as soon as there is room. To a stream that has ended, or that the other side has broken off: nothing."""
        found = self._streams.get(stream)
        if found is None or found.is_ending or not messages:
            return
        piece = b"".join([part for data in messages for part in (_PREFIX.pack(False, len(data)), data)])
        found.queue.append(memoryview(piece))
        found.waiting += len(piece)
        self._flush_one(stream, found)

    def waiting(self, stream: int) -> int:
        """How many bytes of a stream wait for room."""
        found = self._streams.get(stream)
        return found.waiting if found else 0

    def taken(self, stream: int) -> None:
        """Makes room for as much as the messages had that came on a stream."""
        found = self._streams.get(stream)
        if found and found.held:
            held, found.held, found.is_full = found.held, 0, False
            with suppress(h2.exceptions.ProtocolError):  # no more comes on it
                self._http.increment_flow_control_window(held, stream)

    # What a server does

    def finish(self, stream: int, status: int = OK, text: str = "") -> None:
        """Ends an answer, after what waits. Of a long text, the beginning."""
        found = self._streams.get(stream)
        if found is None or found.is_ending:
            return
        found.trailers = [("grpc-status", str(status))]
        if text:
            found.trailers.append(("grpc-message", quote(text[:_LONGEST_TEXT], safe="", errors="replace")))
        found.is_ending = True
        self._flush_one(stream, found)

    # What comes

    def _events(self, event: h2.events.Event) -> Iterator[Event]:
        match event:
            case h2.events.RequestReceived() if self._is_server:
                yield from self._called(event)
            case h2.events.ResponseReceived() | h2.events.TrailersReceived() if not self._is_server:
                yield from self._answered(event)
            case h2.events.DataReceived():
                yield from self._data(event)
            case h2.events.StreamEnded():
                yield from self._stream_ended(event.stream_id)
            case h2.events.StreamReset():
                if self._streams.pop(event.stream_id, None):
                    yield Ended(event.stream_id, CANCELLED, "the other side broke it off")
            case h2.events.ConnectionTerminated():
                for stream in [*self._streams]:
                    del self._streams[stream]
                    yield Ended(stream, UNAVAILABLE, CONNECTION_ENDED)
            case _:
                pass

    def _called(self, event: h2.events.RequestReceived) -> Iterator[Event]:
        metadata: dict[str, list[str]] = {}
        path = ""
        for name, value in _pairs(event.headers):
            if name == ":path":
                path = value
            elif name not in _RESERVED and not name.startswith((":", "grpc-")):
                metadata.setdefault(name, []).append(value)
        self._streams[event.stream_id] = _Stream()
        yield Called(event.stream_id, path, metadata)

    def _answered(self, event: h2.events.ResponseReceived | h2.events.TrailersReceived) -> Iterator[Event]:
        """An answer's head or its end. One without a status of gRPC is none, unless it goes on."""
        headers = dict(_pairs(event.headers))
        status = headers.get("grpc-status")
        found = self._streams.get(event.stream_id)
        if found is None or (status is None and headers.get(":status") == "200"):
            return
        del self._streams[event.stream_id]
        if event.stream_ended is None or not found.is_done:
            self._reset(event.stream_id, h2.errors.ErrorCodes.NO_ERROR)
        if found.buffer:
            yield Ended(event.stream_id, INTERNAL, _CUT)
            return
        if status is None:
            yield Ended(event.stream_id, UNKNOWN, f"the answer is not gRPC: HTTP status {headers.get(':status', '200')}")
            return
        code = int(status) if len(status) < 4 and status.isascii() and status.isdecimal() else UNKNOWN
        yield Ended(event.stream_id, code, unquote(headers.get("grpc-message", "")))

    def _data(self, event: h2.events.DataReceived) -> Iterator[Event]:
        found = self._streams.get(event.stream_id)
        size = event.flow_controlled_length or 0
        # Room of the connection's, 0, is made at once, a stream's own only if nothing holds it.
        self._came[0 if found and self._holds else event.stream_id] += size
        if found is None:
            return
        if self._holds:
            found.held += size
        found.buffer += event.data
        buffer, at = found.buffer, 0
        while len(buffer) - at >= _PREFIX.size:
            is_compressed, size = _PREFIX.unpack_from(buffer, at)
            if is_compressed or size > LONGEST_MESSAGE:
                yield self._refused(event.stream_id, "a message is compressed, or too long")
                return
            if len(buffer) - at - _PREFIX.size < size:
                break
            at += _PREFIX.size
            found.is_full = True
            yield Message(event.stream_id, bytes(buffer[at : at + size]))
            at += size
        del buffer[:at]
        if not found.is_full:
            self.taken(event.stream_id)  # a long message needs the rest of it
        if len(buffer) > _WINDOW and sum(len(each.buffer) for each in self._streams.values()) > MOST_HELD:
            yield self._refused(event.stream_id, "too many long messages at a time")

    def _make_room(self) -> None:
        """For what came, once for all frames that came together."""
        for stream, size in self._came.items():
            if stream and size:
                self._http.acknowledge_received_data(size, stream)
            elif size:
                with suppress(h2.exceptions.ProtocolError):
                    self._http.increment_flow_control_window(size)
        self._came.clear()

    def _refused(self, stream: int, text: str, status: int = RESOURCE_EXHAUSTED) -> Ended:
        del self._streams[stream]
        self._reset(stream, h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
        return Ended(stream, status, text)

    def _stream_ended(self, stream: int) -> Iterator[Event]:
        found = self._streams.get(stream)
        if found is None or found.is_ended:
            return
        found.is_ended = True
        if found.buffer:
            yield self._refused(stream, _CUT, INTERNAL)
        elif self._is_server:
            yield Ended(stream)
        else:
            del self._streams[stream]
            yield Ended(stream, UNKNOWN, "the answer has no status")

    # What goes

    def _flush(self) -> None:
        for stream, found in [*self._streams.items()]:
            self._flush_one(stream, found)

    def _flush_one(self, stream: int, found: _Stream) -> None:
        if found.is_done or not (found.queue or found.is_ending):
            return
        try:
            if not found.is_answered:
                self._http.send_headers(stream, [(":status", "200"), ("content-type", _TYPE)])
                found.is_answered = True
            self._send_queue(stream, found)
            if found.is_ending and not found.queue:
                found.is_done = True
                if found.trailers is None:
                    self._http.end_stream(stream)
                else:
                    self._http.send_headers(stream, found.trailers, end_stream=True)
                    del self._streams[stream]
        except h2.exceptions.ProtocolError:
            self._streams.pop(stream, None)  # it was broken off; `receive` has told it, or will

    def _send_queue(self, stream: int, found: _Stream) -> None:
        """Sends what there is room for: frames as full as they may be, whatever the messages' sizes."""
        queue, largest = found.queue, self._http.max_outbound_frame_size
        while queue and (room := min(self._http.local_flow_control_window(stream), largest)) > 0:
            parts = []
            left = room
            while queue and left:
                piece = queue[0]
                if len(piece) <= left:
                    parts.append(queue.popleft())
                else:
                    parts.append(piece[:left])
                    queue[0] = piece[left:]
                left -= len(parts[-1])
            self._http.send_data(stream, b"".join(parts))
            found.waiting -= room - left

    def _reset(self, stream: int, code: h2.errors.ErrorCodes) -> None:
        try:
            self._http.reset_stream(stream, code)
        except h2.exceptions.ProtocolError:
            return  # both sides are done with it


def _pairs(headers: Any) -> Iterator[tuple[str, str]]:
    for name, value in headers or ():
        yield name.decode("utf-8", "replace"), value.decode("utf-8", "replace")
