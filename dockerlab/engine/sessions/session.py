"""One session: the engine is the client of gRPC on a connection that its client has opened, and calls what is served there.

    session.run(connection)                               in the connection's thread; ends with it
    with session.call(path, metadata, cancellation) as call:
        call.send(message)                                waits for room
        call.receive()                                    the next message, None at the end; raises CallFailed, SessionEnded, Cancelled

The connection's thread reads and nothing else; a second one writes. So the reader never waits for a send: two sides that both did would
wait for ever. What is received waits in a call's queue, and makes room for more only when it has been taken: a client can have so much of
the engine's memory and no more.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from dockerlab.engine.building.cancellation import Cancellation
from dockerlab.engine.http.types import Connection
from dockerlab.errors import EngineError
from dockerlab.wire import grpc

Metadata = Mapping[str, Sequence[str]]

_PIECE: Final = 1 << 16
_ENOUGH: Final = 1 << 18  # bytes of a call that wait to be sent: who sends more waits
_TAKEN_FROM: Final = 1 << 16  # bytes that are left in a queue when there is room for more
_MOST_UNSENT: Final = 2 << 20  # a client that makes the engine answer, and reads nothing of it, is none


class SessionEnded(EngineError):
    """The client has left."""

    def __init__(self) -> None:
        hint = "The client that asked for the build has ended, or its connection broke."
        super().__init__("the build's session has ended: context canceled", hint=hint, status=499)


class CallFailed(EngineError):
    """The client answered with an error. code: gRPC's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text or f"the client refused, with status {code}", status=500)
        self.code = code


class Session:
    """id, name, key: as the client says; of one folder the key is always the same. methods: the paths that it serves."""

    def __init__(self, id: str, name: str, key: str, methods: Sequence[str]) -> None:
        self.id, self.name, self.key, self.methods = id, name, key, frozenset(methods)
        self._peer = grpc.Peer(is_server=False, holds=True)
        self._changed = threading.Condition()
        self._calls: dict[int, Call] = {}
        self._unsent = bytearray(self._peer.outgoing())
        self._is_ended = False
        self._listeners: list[Callable[[], object]] = []

    def supports(self, path: str) -> bool:
        """Whether the client serves a method."""
        return path in self.methods

    # The connection

    def run(self, connection: Connection) -> None:
        """Serves it until one side ends it. No thread is left then."""
        writer = threading.Thread(target=self._write, args=(connection,), name="session writer", daemon=True)
        writer.start()
        try:
            while data := connection.recv(_PIECE):
                with self._changed:
                    if self._is_ended:
                        break
                    for event in self._peer.receive(data):
                        self._take(event)
                    self._flush()
                    if len(self._unsent) > _MOST_UNSENT:
                        break
        except (grpc.BrokenError, OSError):
            pass  # what the calls meet is that the session has ended
        finally:
            self.end()
            connection.close()
            writer.join()

    def end(self) -> None:
        """Ends all calls; from any thread."""
        with self._changed:
            listeners, self._listeners = self._listeners, []
            self._is_ended = True
            self._changed.notify_all()
        for listener in listeners:
            listener()

    @contextmanager
    def telling(self, listener: Callable[[], object]) -> Iterator[None]:
        """Has `listener` called when the session ends within the block; at once if it has ended."""
        with self._changed:
            is_ended = self._is_ended
            if not is_ended:
                self._listeners.append(listener)
        if is_ended:
            listener()
        try:
            yield
        finally:
            with self._changed:
                if listener in self._listeners:
                    self._listeners.remove(listener)

    @property
    def is_ended(self) -> bool:
        """Whether the client has left."""
        return self._is_ended

    def _write(self, connection: Connection) -> None:
        with suppress(OSError):
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._unsent or self._is_ended)
                    if self._is_ended:
                        break
                    data = bytes(self._unsent)
                    self._unsent.clear()
                    self._changed.notify_all()
                connection.sendall(data)
        connection.close()  # wakes the reader, too

    def _flush(self) -> None:
        self._unsent += self._peer.outgoing()
        self._changed.notify_all()

    def _take(self, event: grpc.Event) -> None:
        if call := self._calls.get(event.stream):
            call._take(event)

    # Calls

    @contextmanager
    def call(self, path: str, metadata: Metadata, cancellation: Cancellation) -> Iterator[Call]:
        """A call, which is broken off where it has not ended by the end of the block. Raises EngineError for what is not served."""
        if not self.supports(path):
            raise EngineError(f"the build's client does not serve {path}", status=500)
        with self._changed:
            if self._is_ended:
                raise SessionEnded
            try:
                stream = self._peer.call(path, metadata)
            except grpc.BrokenError as error:
                raise SessionEnded from error
            call = self._calls[stream] = Call(self, stream, cancellation)
            self._flush()
        try:
            with cancellation.calling(self._wake):
                yield call
        finally:
            with self._changed:
                del self._calls[stream]
                self._peer.reset(stream)
                self._flush()

    def ask(self, path: str, message: bytes, cancellation: Cancellation) -> bytes:
        """The answer to one message."""
        with self.call(path, {}, cancellation) as call:
            call.send(message)
            call.finish()
            answer = call.receive()
            if answer is None:
                raise CallFailed(grpc.INTERNAL, "the client ended the call without an answer")
            return answer

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class Call:
    """See the file's head. One thread sends, one receives; they may be two."""

    def __init__(self, session: Session, stream: int, cancellation: Cancellation) -> None:
        self._session, self._stream, self._cancellation = session, stream, cancellation
        self._queue: deque[bytes] = deque()
        self._waiting = 0
        self._ended: grpc.Ended | None = None

    def send(self, *messages: bytes) -> None:
        """Sends, once what was sent before has mostly gone. Raises SessionEnded, Cancelled. After the other side's end: nothing."""
        session = self._session
        with session._changed:
            session._changed.wait_for(lambda: self._is_over or session._peer.waiting(self._stream) < _ENOUGH)
            self._check()
            session._peer.send(self._stream, *messages)
            session._flush()

    def finish(self) -> None:
        """No more is sent."""
        with self._session._changed:
            self._session._peer.end(self._stream)
            self._session._flush()

    def receive(self) -> bytes | None:
        """The next message; None at the end. Raises CallFailed, SessionEnded, Cancelled."""
        session = self._session
        with session._changed:
            session._changed.wait_for(lambda: self._queue or self._is_over)
            self._check()
            if self._queue:
                message = self._queue.popleft()
                self._waiting -= len(message)
                if self._waiting <= _TAKEN_FROM:
                    session._peer.taken(self._stream)
                    session._flush()
                return message
            assert self._ended
            if self._ended.status != grpc.OK:
                raise CallFailed(self._ended.status, self._ended.text)
            return None

    def receive_all(self) -> list[bytes]:
        """All messages that are there, one at least; [] at the end. Raises what `receive` raises."""
        first = self.receive()
        if first is None:
            return []
        session = self._session
        with session._changed:
            found = [first, *self._queue]
            self._queue.clear()
            self._waiting = 0
            session._peer.taken(self._stream)
            session._flush()
        return found

    def receive_ready(self) -> list[bytes]:
        """All messages that are there, maybe none; waits for nothing. Raises SessionEnded, Cancelled."""
        session = self._session
        with session._changed:
            self._check()
            found = [*self._queue]
            if found:
                self._queue.clear()
                self._waiting = 0
                session._peer.taken(self._stream)
                session._flush()
            return found

    @property
    def has_ended(self) -> bool:
        """Whether the client has ended the call, and all that it said is received: `receive` says how."""
        return self._ended is not None and not self._queue

    @property
    def _is_over(self) -> bool:
        return self._ended is not None or self._session.is_ended or self._cancellation.is_asked

    def _check(self) -> None:
        self._cancellation.check()
        if self._session.is_ended:
            raise SessionEnded

    def _take(self, event: grpc.Event) -> None:
        match event:
            case grpc.Message(data=data):
                self._queue.append(data)
                self._waiting += len(data)
            case grpc.Ended():
                self._ended = event
