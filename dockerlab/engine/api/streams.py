"""Attach (also over a WebSocket), logs and resize of a container.

docker 28 attaches, waits, and only then starts. So an attachment is there before its answer is sent: a start that follows at once must
not print past it.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from dockerlab.engine.api.containers import find
from dockerlab.engine.containers import log_options, streams
from dockerlab.engine.containers import logs as log
from dockerlab.engine.containers.container import Attachment, Container
from dockerlab.engine.containers.parts import Parts
from dockerlab.engine.events import parse_time
from dockerlab.engine.http.types import MULTIPLEXED, RAW, Answer, Connection, Hijack, Request, Response, Route, Stream
from dockerlab.errors import Conflict, EngineError, UsageError
from dockerlab.wire import websocket
from dockerlab.wire.multiplex import frame

if TYPE_CHECKING:
    from dockerlab.engine.core import Engine

_MULTIPLEXED_SINCE = (1, 42)
_STREAMS = ("stdin", "stdout", "stderr")
_LARGEST = 1 << 16  # lines or columns
_WEBSOCKET_VERSION = "13"
# Of attach by a WebSocket: since then it has messages of bytes, and only the streams that are asked for.
_BINARY_SINCE, _CHOSEN_SINCE = (1, 28), (1, 42)


def attach(engine: Engine, request: Request) -> Response:
    """POST /containers/{id}/attach"""
    conversation = _conversation(engine, request, {name: request.query.flag(name) for name in _STREAMS})
    return Hijack(conversation.run, multiplexed=not conversation.tty)


def attach_websocket(engine: Engine, request: Request) -> Response:
    """GET /containers/{id}/attach/ws: standard output and error as one stream of messages, standard input as messages from the client."""
    find(engine, request)
    key = request.headers.get("sec-websocket-key", "")
    if request.headers.get("upgrade", "").lower() != "websocket" or not key:
        raise UsageError("not websocket protocol")
    if request.headers.get("sec-websocket-version") != _WEBSOCKET_VERSION:
        raise UsageError("missing or bad WebSocket Version")
    is_chosen = request.version >= _CHOSEN_SINCE
    conversation = _conversation(engine, request, {name: request.query.flag(name) or not is_chosen for name in _STREAMS})
    opcode = websocket.BINARY if request.version >= _BINARY_SINCE else websocket.TEXT
    conversation.coding = streams.Messages(opcode, tty=conversation.tty)
    accept = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": websocket.accept(key)}
    return Hijack(conversation.run, multiplexed=False, upgrade=accept)


def _conversation(engine: Engine, request: Request, wanted: Mapping[str, bool]) -> _Conversation:
    """wanted: which of the streams. Raises NotFound, UsageError, Conflict."""
    container, query = find(engine, request), request.query
    try:
        keys = streams.parse_keys(query.text("detachKeys") or streams.DETACH_KEYS)
    except ValueError:
        raise UsageError(f"Invalid detach keys ({query.text('detachKeys')}) provided") from None
    called = request.params["id"]
    if container.record.state.status == "paused":
        raise Conflict(f"container {called} is paused, unpause the container before attach")
    if container.record.state.status == "restarting":
        raise Conflict(f"container {called} is restarting, wait until the container is running")
    stdin = wanted["stdin"] and bool(container.record.config.get("OpenStdin"))
    stdout, stderr = wanted["stdout"], wanted["stderr"]
    past = log.Reader(container.directory, log.Options(stdout, stderr)) if query.flag("logs") else None
    attachment = None
    if query.flag("stream"):
        attachment = Attachment(stdin=stdin, stdout=stdout, stderr=stderr)
        container.attach(attachment)
    engine.containers.parts.emit(container, "attach")
    return _Conversation(engine.containers.parts, container, past, attachment, keys if container.record.tty else b"")


class _Conversation:
    """past: what it printed before, if wanted. attachment: what it prints from now on, if wanted."""

    def __init__(
        self, parts: Parts, container: Container, past: log.Reader | None, attachment: Attachment | None, keys: bytes
    ) -> None:
        self._parts, self._container = parts, container
        self._past, self._attachment, self._keys = past, attachment, keys
        self.coding = streams.Plain()

    @property
    def tty(self) -> bool:
        """Whether the container has a terminal."""
        return self._container.record.tty

    def run(self, connection: Connection) -> None:
        if self._past is not None:
            for data in _encoded(self._past, tty=self.tty):
                connection.sendall(self.coding.encode(data))
        if self._attachment is None:
            connection.sendall(self.coding.end())
            return
        with closing(self._attachment) as attachment:
            try:
                if not streams.await_start(connection, attachment) or attachment.stream is None:
                    return
                given = attachment.stdin
                if streams.join(connection, attachment.stream, gives_input=given, keys=self._keys, coding=self.coding):
                    self._parts.emit(self._container, "detach")
            finally:
                self._container.detach(attachment)


def logs(engine: Engine, request: Request) -> Response:
    """GET /containers/{id}/logs"""
    container, query = find(engine, request), request.query
    stdout, stderr = query.flag("stdout"), query.flag("stderr")
    if not (stdout or stderr):
        raise UsageError("Bad parameters: you must choose at least one stream")
    record = container.record
    kept: dict[str, Any] = record.host_config.get("LogConfig") or {}
    if kept.get("Type") == "none":
        raise EngineError("configured logging driver does not support reading", status=501)
    options = log.Options(
        *(stdout, stderr, _tail(query.text("tail")), parse_time(query.text("since")), parse_time(query.text("until"))),
        timestamps=query.flag("timestamps"),
        details=log_options.details(kept.get("Config") or {}, record.labels, record.config.get("Env") or ())
        if query.flag("details")
        else "",
    )
    tty = container.record.tty
    reader = log.Reader(container.directory, options, _watch(container) if query.flag("follow") else None)
    kind = RAW if tty or request.version < _MULTIPLEXED_SINCE else MULTIPLEXED
    return Stream(_encoded(reader, tty=tty), kind, reader.cancel)


def _tail(text: str) -> int | None:
    """Docker takes what is no number for all."""
    return int(text) if text.isdecimal() and text.isascii() else None


def _watch(container: Container) -> socket.socket | None:
    running = container.running
    if running is None:
        return None
    try:
        return running.watch()
    except (ConnectionError, FileNotFoundError):
        return None  # it has just ended


def _encoded(reader: log.Reader, *, tty: bool) -> Iterator[bytes]:
    for batch in reader.batches():
        yield b"".join(data if tty else frame(stream, data) for stream, data in batch)


def size(request: Request) -> tuple[int, int]:
    """Rows and columns of the query. Raises UsageError as Docker does."""
    found = []
    for name, word in (("h", "height"), ("w", "width")):
        text = request.query.text(name)
        if not re.fullmatch("-?[0-9]+", text):
            raise UsageError(f'invalid resize {word} "{text}": invalid syntax')
        if not 0 <= int(text) < _LARGEST:
            raise UsageError(f'invalid resize {word} "{text}": value out of range')
        found.append(int(text))
    return found[0], found[1]


def resize(engine: Engine, request: Request) -> Response:
    """POST /containers/{id}/resize"""
    rows, columns = size(request)
    engine.containers.life.resize(find(engine, request), rows, columns)
    return Answer(status=200)


ROUTES = (
    Route("POST", "/containers/{id}/attach", attach),
    Route("GET", "/containers/{id}/attach/ws", attach_websocket),
    Route("GET", "/containers/{id}/logs", logs),
    Route("POST", "/containers/{id}/resize", resize),
)
