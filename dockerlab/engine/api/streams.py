"""Attach, logs and resize of a container.

docker 28 attaches, waits, and only then starts. So an attachment is there before its answer is sent: a start that follows at once must
not print past it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from dockerlab.engine.api.containers import find
from dockerlab.engine.containers import logs as log
from dockerlab.engine.containers import streams
from dockerlab.engine.containers.container import Attachment, Container
from dockerlab.engine.containers.parts import Parts
from dockerlab.engine.events import parse_time
from dockerlab.engine.http.types import MULTIPLEXED, RAW, Answer, Connection, Hijack, Request, Response, Route, Stream
from dockerlab.errors import Conflict, EngineError, UsageError
from dockerlab.wire.multiplex import frame

if TYPE_CHECKING:
    from dockerlab.engine.core import Engine

_MULTIPLEXED_SINCE = (1, 42)


def attach(engine: Engine, request: Request) -> Response:
    """POST /containers/{id}/attach"""
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
    stdin = query.flag("stdin") and bool(container.record.config.get("OpenStdin"))
    stdout, stderr = query.flag("stdout"), query.flag("stderr")
    past = log.Reader(container.directory, log.Options(stdout, stderr)) if query.flag("logs") else None
    parts = engine.containers.parts
    attachment = None
    if query.flag("stream"):
        attachment = Attachment(stdin=stdin, stdout=stdout, stderr=stderr)
        container.attach(attachment)
    parts.emit(container, "attach")
    conversation = _Conversation(parts, container, past, attachment, keys if container.record.tty else b"")
    return Hijack(conversation.run, multiplexed=not container.record.tty)


class _Conversation:
    """past: what it printed before, if wanted. attachment: what it prints from now on, if wanted."""

    def __init__(
        self, parts: Parts, container: Container, past: log.Reader | None, attachment: Attachment | None, keys: bytes
    ) -> None:
        self._parts, self._container = parts, container
        self._past, self._attachment, self._keys = past, attachment, keys

    def run(self, connection: Connection) -> None:
        if self._past is not None:
            for data in _encoded(self._past, tty=self._container.record.tty):
                connection.sendall(data)
        if self._attachment is None:
            return
        with closing(self._attachment) as attachment:
            try:
                if not streams.await_start(connection, attachment) or attachment.stream is None:
                    return
                if streams.join(connection, attachment.stream, gives_input=attachment.stdin, keys=self._keys):
                    self._parts.emit(self._container, "detach")
            finally:
                self._container.detach(attachment)


def logs(engine: Engine, request: Request) -> Response:
    """GET /containers/{id}/logs"""
    container, query = find(engine, request), request.query
    stdout, stderr = query.flag("stdout"), query.flag("stderr")
    if not (stdout or stderr):
        raise UsageError("Bad parameters: you must choose at least one stream")
    if (container.record.host_config.get("LogConfig") or {}).get("Type") == "none":
        raise EngineError("configured logging driver does not support reading", status=501)
    options = log.Options(
        *(stdout, stderr, _tail(query.text("tail")), parse_time(query.text("since")), parse_time(query.text("until"))),
        timestamps=query.flag("timestamps"),
        details=query.flag("details"),
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
        if not (text.isdecimal() and text.isascii() and int(text) < 65536):
            raise UsageError(f'invalid resize {word} "{text}": invalid syntax')
        found.append(int(text))
    return found[0], found[1]


def resize(engine: Engine, request: Request) -> Response:
    """POST /containers/{id}/resize"""
    rows, columns = size(request)
    engine.containers.life.resize(find(engine, request), rows, columns)
    return Answer(status=200)


ROUTES = (
    Route("POST", "/containers/{id}/attach", attach),
    Route("GET", "/containers/{id}/logs", logs),
    Route("POST", "/containers/{id}/resize", resize),
)
