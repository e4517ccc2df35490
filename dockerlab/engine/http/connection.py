"""One client's connection: bytes → requests → responses → bytes, one request after the other, until one side ends it.

HTTP's rules are h11's. Here is what is particular to the Docker Engine API: errors as `{"message": …}`, streams, and connections that
stop being HTTP. Nothing that a client sends ends more than its own connection.
"""

from __future__ import annotations

import fcntl
import logging
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import h11

from dockerlab.engine.http.encoding import Encoded, encoded, refusal, request_of
from dockerlab.engine.http.types import MULTIPLEXED, RAW, Hijack, Request, Response, Stream
from dockerlab.engine.http.watcher import Watcher
from dockerlab.errors import DockerlabError, UsageError

LOG = logging.getLogger(__name__)
_PIECE = 1 << 16
_HEAD_LIMIT = 1 << 20  # of a request's head, as Docker's
_HEAD_TRIES, _HEAD_PAUSE = 50, 0.0004
_UNREAD_LIMIT, _UNREAD_SECONDS = 1 << 20, 1.0


class ClientLeft(ConnectionError):
    """The client is gone: there is nobody to answer. A body's `read` raises it too; handlers let it through."""


@dataclass(frozen=True)
class Service:
    """What all connections share. headers: sent with every response."""

    handle: Callable[[Request], Response]
    watcher: Watcher
    headers: Mapping[str, str]


class ClientConnection:
    """run() serves the client, in a thread of its own; end() makes run() return, from another thread."""

    def __init__(self, sock: socket.socket, service: Service) -> None:
        self._sock = sock
        self._service = service
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_LIMIT)
        self._is_head = False
        self._lock = threading.Lock()
        self._ended = False
        self._cancel: Callable[[], None] | None = None

    def run(self) -> None:
        """Returns when the client has left, or after `end`."""
        with self._sock:
            try:
                while self._serve_one():
                    self._http.start_next_cycle()
            except ClientLeft:
                return
            except h11.LocalProtocolError:
                LOG.exception("a response broke HTTP's rules")
            finally:
                self._close_softly()

    def end(self) -> None:
        """Ends the connection, a stream's iterator included."""
        with self._lock:
            self._ended = True
            cancel, self._cancel = self._cancel, None
        if cancel:
            cancel()
        with suppress(OSError):  # closed already
            self._sock.shutdown(socket.SHUT_RDWR)

    def _close_softly(self) -> None:
        """Closed with bytes unread, the client would meet a reset in place of the end."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
            self._sock.setblocking(False)
            while self._sock.recv(_PIECE):
                pass

    def _serve_one(self) -> bool:
        """Answers one request. Whether another may follow."""
        try:
            head = self._event()
        except h11.RemoteProtocolError as error:
            self._refuse(error)
            return False
        if not isinstance(head, h11.Request):
            return False
        self._is_head = head.method == b"HEAD"
        match self._response(head):
            case request, Hijack() as hijack:
                self._hand_over(request, hijack)
                return False
            case _, Stream() as stream:
                self._stream(stream)
            case _, answer:
                self._answer(answer)
        return self._finish_request()

    def _response(self, head: h11.Request) -> tuple[Request, Hijack | Stream | Encoded]:
        request = Request("", "")
        try:
            request = request_of(head, self._pull, self._watched)
            response = self._service.handle(request)
            return request, response if isinstance(response, Hijack | Stream) else encoded(response)
        except ClientLeft:
            raise
        except Exception as error:
            refused = refusal(error)
            if isinstance(error, DockerlabError):
                if refused.status >= HTTPStatus.INTERNAL_SERVER_ERROR and refused.status != HTTPStatus.NOT_IMPLEMENTED:
                    LOG.warning("%s %s: %s", request.method, request.path, error.message)
            else:
                LOG.exception("%s %s", request.method, request.path)
            return request, encoded(refused)

    def _event(self) -> Any:
        """h11's next event; waits for the client. Raises ClientLeft, h11.RemoteProtocolError."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            try:
                data = self._sock.recv(_PIECE)
            except OSError as error:
                raise ClientLeft from error
            # Within a body, h11 says so: a client that ended its side too early may still read the answer.
            if not data and self._http.their_state not in (h11.IDLE, h11.SEND_BODY):
                raise ClientLeft
            self._http.receive_data(data)
        return event

    def _send(self, *events: Any) -> None:
        data = b"".join(filter(None, map(self._http.send, events)))
        try:
            self._sock.sendall(data)
        except OSError as error:
            raise ClientLeft from error

    def _head(self, status: int, headers: Mapping[str, str]) -> h11.Response:
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
        pairs = [(name.encode(), value.encode()) for name, value in {**self._service.headers, "Date": date, **headers}.items()]
        return h11.Response(status_code=status, headers=pairs, reason=_reason(status))

    def _pull(self) -> bytes:
        """The next piece of the request's body, b"" at its end. Raises ClientLeft; UsageError where it breaks HTTP's rules."""
        self._go_on()
        while self._http.their_state is h11.SEND_BODY:
            try:
                event = self._event()
            except h11.RemoteProtocolError as error:
                raise UsageError(f"malformed HTTP: {error}") from error
            if isinstance(event, h11.Data) and event.data:
                return bytes(event.data)
        return b""

    def _go_on(self) -> None:
        """Answers `Expect: 100-continue`: the client may send its body."""
        if self._http.they_are_waiting_for_100_continue and self._http.our_state is h11.SEND_RESPONSE:
            self._send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))

    def _finish_request(self) -> bool:
        """Reads what the handler left of the body. Whether another request may follow."""
        if self._http.their_state is h11.SEND_BODY and not self._http.they_are_waiting_for_100_continue:
            self._sock.settimeout(_UNREAD_SECONDS)
            left = _UNREAD_LIMIT
            with suppress(UsageError):  # it is answered already; the connection ends
                while left > 0 and (piece := self._pull()):
                    left -= len(piece)
            self._sock.settimeout(None)
        return not self._ended and self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    def _answer(self, answer: Encoded) -> None:
        body = [h11.Data(data=answer.data)] if answer.data and not self._is_head else []
        self._send(self._head(answer.status, answer.headers), *body, h11.EndOfMessage())

    def _refuse(self, error: h11.RemoteProtocolError) -> None:
        """Answers what is not HTTP."""
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            # What h11 quotes, it quotes in Python's way.
            reason = str(error).partition(": bytearray(")[0]
            self._answer(encoded(refusal(UsageError(f"malformed HTTP: {reason}", status=error.error_status_hint))))

    def _stream(self, stream: Stream) -> None:
        close = getattr(stream.chunks, "close", None)
        with closing(stream.chunks) if close else nullcontext():  # type: ignore[type-var]
            self._go_on()
            self._send(self._head(stream.status, {"Content-Type": stream.content_type, **stream.headers}))
            if not self._is_head:
                with self._watched(stream.cancel):
                    self._pieces(stream.chunks)
            self._send(h11.EndOfMessage())

    @contextmanager
    def _watched(self, cancel: Callable[[], None] | None) -> Iterator[None]:
        """A client that leaves within the block is noticed: it ends."""
        with self._cancelled_by(cancel), self._service.watcher.watching(self._sock, self.end):
            yield

    @contextmanager
    def _cancelled_by(self, cancel: Callable[[], None] | None) -> Iterator[None]:
        """`end` calls `cancel` within the block, at most once."""
        with self._lock:
            self._cancel = cancel
            if self._ended:
                raise ClientLeft
        try:
            yield
        finally:
            with self._lock:
                self._cancel = None

    def _pieces(self, chunks: Iterator[bytes]) -> None:
        try:
            for piece in chunks:
                self._send(h11.Data(data=piece))
                if self._ended:
                    break
        except ClientLeft:
            raise
        except Exception as error:
            if not self._ended:  # else it was told to
                LOG.exception("an answer broke off")
            raise ClientLeft from error  # no longer, and not whole: breaking off is how HTTP says so
        if self._ended:
            raise ClientLeft

    def _hand_over(self, request: Request, hijack: Hijack) -> None:
        """The connection is no longer HTTP; the head is written by hand, since it announces no end."""
        while self._pull():
            pass
        if hijack.upgrade:
            lines = ["HTTP/1.1 101 Switching Protocols", *(f"{name}: {value}" for name, value in hijack.upgrade.items())]
        elif request.wants_upgrade:
            kind = MULTIPLEXED if hijack.multiplexed else RAW
            lines = ["HTTP/1.1 101 UPGRADED", f"Content-Type: {kind}", "Connection: Upgrade", "Upgrade: tcp"]
        else:
            lines = ["HTTP/1.1 200 OK", f"Content-Type: {RAW}"]
        if not hijack.upgrade:
            lines += [f"{name}: {value}" for name, value in self._service.headers.items()]
        connection = Hijacked(self._sock, self._http.trailing_data[0])
        try:
            connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            _await_reader(self._sock)
            hijack.run(connection)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ClientLeft from error
        except Exception:
            LOG.exception("%s %s broke off", request.method, request.path)


def _await_reader(sock: socket.socket) -> None:
    """Waits a moment until the client has taken the head.

    docker-py reads it through a buffer and what follows past that buffer: it loses what comes in the same read as the head.
    """
    for _ in range(_HEAD_TRIES):
        unread = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
        if not unread:
            return
        time.sleep(_HEAD_PAUSE)


class Hijacked:
    """A `types.Connection`."""

    def __init__(self, sock: socket.socket, received: bytes) -> None:
        self._sock = sock
        self._received = received

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
        with suppress(OSError):  # the client closed it already
            self._sock.shutdown(socket.SHUT_WR)

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        with suppress(OSError):  # closed already
            self._sock.shutdown(socket.SHUT_RDWR)


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
