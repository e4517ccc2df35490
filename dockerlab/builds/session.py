"""A build's session: while a build runs in the engine, the engine calls this process, for files, credentials and secrets.

    with Session(client, services, name="…") as session:         services: a method's path → what serves it
        …  POST /build?version=2&remote=client-session&session={session.id}

`POST /session` is a connection that stops being HTTP/1: on it the engine is a client of gRPC, and we are its server. One thread drives
it: it reads what the engine says, lets the services answer, and writes. A service never has to keep pace: what the engine has no room
for waits, and the service is asked for more only when that has gone. Leaving the block ends the connection, wherever it is, and the
thread with it.

Follows moby/buildkit: session/session.go, session/grpc.go. API 1.53 calls `/session` deprecated; what will follow it takes the place of
`_connected`, and of nothing else.
"""

from __future__ import annotations

import contextvars
import http.client
import re
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Protocol

from dockerlab import hijacking
from dockerlab.client import Client
from dockerlab.errors import DockerlabError, EngineError
from dockerlab.wire import grpc
from dockerlab.wire.protobuf import encode
from dockerlab.wire.services import HEALTH, SERVING, HealthCheckResponse

Metadata = Mapping[str, Sequence[str]]

_PIECE: Final = 1 << 16
_ODD: Final = re.compile(r"[^ -~]")  # what a header cannot have
_ENOUGH: Final = 1 << 18  # bytes that wait for room: a service is not asked for more
_JOIN_SECONDS: Final = 5
_ERRORS = (OSError, ValueError, http.client.HTTPException, AttributeError)  # of a connection that is ended while it is read
_NONE: Final = "the engine has no BuildKit sessions"
_REFUSED: Final = "the engine, or a proxy before it, refuses BuildKit sessions"
# 400: the engine itself, of a connection whose wish to be taken over a proxy has left out.
_UNAVAILABLE: Final = {**dict.fromkeys((404, 501), _NONE), **dict.fromkeys((400, 403, 405, 426), _REFUSED)}


class Exchange(Protocol):
    """How a service answers one call."""

    def send(self, *messages: bytes) -> None:
        """Sends messages, encoded."""

    def finish(self, status: int = grpc.OK, text: str = "") -> None:
        """Ends the call. text: why it failed."""


class Service(Protocol):
    """Serves one call. What it raises as DockerlabError or OSError ends the call with its message."""

    def received(self, message: bytes) -> None:
        """A message came."""

    def ended(self) -> None:
        """No more will come."""

    def more(self) -> bool:
        """There is room: sends some of what is left to send. Whether anything is left for now."""


# Begins to serve a call.
Begin = Callable[[Exchange, Metadata], Service]


class Unary:
    """A service of one message and its answer."""

    def __init__(self, exchange: Exchange, answer: Callable[[bytes], bytes]) -> None:
        self._exchange, self._answer = exchange, answer

    def received(self, message: bytes) -> None:
        """See `Service`."""
        self._exchange.send(self._answer(message))
        self._exchange.finish()

    def ended(self) -> None:
        """See `Service`."""

    def more(self) -> bool:
        """See `Service`."""
        return False


class Refused(DockerlabError):
    """A call that is answered with a status of gRPC other than UNKNOWN."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.grpc_status = status


class _Call:
    """An `Exchange`, with the service that answers."""

    def __init__(self, peer: grpc.Peer, stream: int) -> None:
        self._peer, self.stream = peer, stream
        self.service: Service | None = None
        self.is_open = True

    def send(self, *messages: bytes) -> None:
        self._peer.send(self.stream, *messages)

    def finish(self, status: int = grpc.OK, text: str = "") -> None:
        self.is_open = False
        self._peer.finish(self.stream, status, text)

    @property
    def has_room(self) -> bool:
        return self.is_open and self._peer.waiting(self.stream) < _ENOUGH


class Session:
    """name: for the engine's log. key: the same for a folder on this machine from one build to the next, so that only what changed travels.

    is_lost: whether the connection ended before the block did; read by any thread.

    Raises EngineError, EngineGone when it is entered and the engine has none.
    """

    def __init__(self, client: Client, services: Mapping[str, Begin], *, name: str, key: str = "") -> None:
        self._client, self._services, self._name, self._key = client, {**services, HEALTH: _health}, name, key
        self.id = secrets.token_hex(16)
        self._peer = grpc.Peer(is_server=True)
        self._calls: dict[int, _Call] = {}
        self._connection: Any = None
        self._is_closed = threading.Event()
        self.is_lost = False

    def __enter__(self) -> Session:
        read = self._connected()
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run, read), name="dockerlab session", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._is_closed.set()
        hijacking.end(self._connection)
        self._thread.join(_JOIN_SECONDS)

    def _connected(self) -> Callable[[int], bytes]:
        """Opens the transport. What reads it."""
        headers = [
            ("X-Docker-Expose-Session-Uuid", self.id),
            ("X-Docker-Expose-Session-Name", _ODD.sub("_", self._name)),
            ("X-Docker-Expose-Session-Sharedkey", self._key),
            *(("X-Docker-Expose-Session-Grpc-Method", path) for path in self._services),
        ]
        doing = "open a session for the build"
        self._connection, read = hijacking.upgraded(self._client, "/session", doing=doing, headers=headers)
        return read

    def _run(self, read: Callable[[int], bytes]) -> None:
        try:
            self._write()
            while not self._is_closed.is_set() and (data := read(_PIECE)):
                for event in self._peer.receive(data):
                    self._serve(event)
                self._write()
                while self._more() and not hijacking.is_readable(self._connection):
                    pass
        except grpc.BrokenError:
            with suppress(OSError):
                self._write()
        except _ERRORS:
            pass  # the end of the connection: the build's own stream tells why
        finally:
            self.is_lost = not self._is_closed.is_set()
            hijacking.end(self._connection)
            for call in self._calls.values():
                self._end(call)

    def _write(self) -> None:
        if data := self._peer.outgoing():
            self._connection.sock.sendall(data)

    def _more(self) -> bool:
        """Lets each service that has room send a little, and writes it. Whether one may have more."""
        found = False
        for stream, call in [*self._calls.items()]:
            if call.service and call.has_room:
                found |= bool(self._tried(call, call.service.more))
            if not call.is_open:
                self._calls.pop(stream, None)
        self._write()
        return found and not self._is_closed.is_set()

    def _serve(self, event: grpc.Event) -> None:
        if isinstance(event, grpc.Called):
            call = _Call(self._peer, event.stream)
            begin = self._services.get(event.path)
            if begin is None:
                call.finish(grpc.UNIMPLEMENTED, f"unknown method {event.path}")
                return
            self._calls[event.stream] = call
            call.service = self._tried(call, begin, call, event.metadata)
        elif call := self._calls.get(event.stream):  # type: ignore[assignment]
            if isinstance(event, grpc.Message):
                if call.service and call.is_open:
                    self._tried(call, call.service.received, event.data)
            elif event.status == grpc.OK:
                if call.service and call.is_open:
                    self._tried(call, call.service.ended)
            else:
                call.is_open = False
                self._end(call)
        if (call := self._calls.get(event.stream)) and not call.is_open:  # type: ignore[assignment]
            del self._calls[event.stream]

    def _tried(self, call: _Call, work: Callable[..., Any], *arguments: Any) -> Any:
        """What a service does; what it raises ends the call, and the service."""
        try:
            return work(*arguments)
        except (DockerlabError, OSError) as error:
            status = error.grpc_status if isinstance(error, Refused) else grpc.UNKNOWN
            call.finish(status, error.message if isinstance(error, DockerlabError) else str(error))
            self._end(call)
            return None

    def _end(self, call: _Call) -> None:
        """Tells a service that nothing more comes."""
        if close := getattr(call.service, "close", None):
            close()


def _health(exchange: Exchange, metadata: Metadata) -> Service:
    return Unary(exchange, lambda message: encode(HealthCheckResponse(SERVING)))


def unavailable(error: EngineError) -> str:
    """Why there are no sessions at all, where an error says that; else "". A proxy before an engine, too, may let none through."""
    return _UNAVAILABLE.get(error.status or 0, "")
