"""/exec, and /containers/{id}/exec: commands added to a running container."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dockerlab.engine.api.containers import find
from dockerlab.engine.api.streams import size
from dockerlab.engine.containers import streams
from dockerlab.engine.containers.body import EXEC, EXEC_START
from dockerlab.engine.containers.execs import Exec
from dockerlab.engine.http.types import Answer, Connection, Hijack, Request, Response, Route
from dockerlab.engine.json_shapes import read
from dockerlab.engine.runtime import StartFailed
from dockerlab.errors import Conflict, EngineError
from dockerlab.wire.multiplex import STDOUT, frame

if TYPE_CHECKING:
    from dockerlab.engine.core import Engine


# The monitor tells how a command ended before it ends the stream: it has been told, or will be in a moment.
_TOLD_SECONDS = 5


def create(engine: Engine, request: Request) -> Response:
    """POST /containers/{id}/exec"""
    asked = read(request.body.json(), EXEC)
    _keys(asked)
    created = engine.containers.execs.create(find(engine, request), asked, request.params["id"])
    return Answer({"Id": created.id}, status=201)


def inspect(engine: Engine, request: Request) -> Response:
    """GET /exec/{id}/json"""
    return Answer(engine.containers.execs.get(request.params["id"]).to_json())


def start(engine: Engine, request: Request) -> Response:
    """POST /exec/{id}/start: why a command cannot be started, or not again, comes as its output, since the head has been sent by then."""
    execs = engine.containers.execs
    found = execs.get(request.params["id"])
    asked = read(request.body.json(), EXEC_START)
    detach = asked.get("Detach", False)
    console = _console_size(asked) or _console_size(found.asked)
    execs.check(found)
    if detach:
        execs.start(found, detach=True, size=console).close()
        return Answer(status=200)
    # Docker sends frames unless it is told here that there is a terminal, whether there is one or not.
    framed = not asked.get("Tty")
    return Hijack(lambda connection: _converse(engine, found, console, framed, connection), multiplexed=framed)


def _converse(engine: Engine, found: Exec, console: tuple[int, int] | None, framed: bool, connection: Connection) -> None:
    try:
        stream = engine.containers.execs.start(found, detach=False, size=console)
    except (StartFailed, Conflict) as error:
        text = f"{error.message}\r\n".encode()
        connection.sendall(frame(STDOUT, text) if framed else text)
        return
    with stream:
        keys = _keys(found.asked) if found.tty else b""
        detached = streams.join(
            connection,
            stream,
            gives_input=bool(found.asked.get("AttachStdin")),
            keys=keys,
            coding=_coding(framed, found.tty),
            # Who has read to the end asks for the exit code at once.
            ended=lambda: found.ended.wait(_TOLD_SECONDS),
        )
        if detached:
            engine.containers.parts.emit(found.container, "exec_detach", execID=found.id)


def _coding(framed: bool, tty: bool) -> streams.Plain:
    if framed != tty:
        return streams.Plain()
    return streams.Framed() if framed else streams.Unframed()


def _keys(asked: dict[str, Any] | Any) -> bytes:
    text = asked.get("DetachKeys") or streams.DETACH_KEYS
    try:
        return streams.parse_keys(text)
    except ValueError:
        raise EngineError(f"Invalid escape keys ({text}) provided", status=500) from None


def _console_size(asked: Mapping[str, Any]) -> tuple[int, int] | None:
    """[rows, columns] of the request; None where it is not given."""
    match asked.get("ConsoleSize"):
        case [int(rows), int(columns)] if rows > 0 and columns > 0:
            return rows, columns
    return None


def resize(engine: Engine, request: Request) -> Response:
    """POST /exec/{id}/resize"""
    rows, columns = size(request)
    engine.containers.execs.resize(engine.containers.execs.get(request.params["id"]), rows, columns)
    return Answer(status=200)


ROUTES = (
    Route("POST", "/containers/{id}/exec", create),
    Route("GET", "/exec/{id}/json", inspect),
    Route("POST", "/exec/{id}/start", start),
    Route("POST", "/exec/{id}/resize", resize),
)
