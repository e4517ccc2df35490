"""A container's files: `docker cp`, export, diff and commit.

What is read or written is done by a job inside the container's root (`runtime.jobs`), where no link leads out of it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dockerlab.engine import timestamps
from dockerlab.engine.api.containers import find
from dockerlab.engine.containers import committing
from dockerlab.engine.containers.container import Container
from dockerlab.engine.http.types import JSON, TAR, Answer, Request, Response, Route, Stream
from dockerlab.errors import EngineError, UsageError

if TYPE_CHECKING:
    from dockerlab.engine.core import Engine
    from dockerlab.engine.runtime import Job

_STAT = "X-Docker-Container-Path-Stat"


def stat(engine: Engine, request: Request) -> Response:
    """HEAD /containers/{id}/archive"""
    return Answer(headers={_STAT: _stat(engine, request, find(engine, request), _path(request))})


def get(engine: Engine, request: Request) -> Response:
    """GET /containers/{id}/archive"""
    container, path = find(engine, request), _path(request)
    header = {_STAT: _stat(engine, request, container, path)}
    job = engine.containers.parts.job(container, "archive_get", {"path": path})
    engine.containers.parts.emit(container, "archive-path")
    return Stream(_chunks(job), TAR, job.cancel, headers=header)


def put(engine: Engine, request: Request) -> Response:
    """PUT /containers/{id}/archive"""
    container, path, query = find(engine, request), _path(request), request.query
    _needs_writable(container, path)
    arguments = {"path": path, "no_overwrite": query.flag("noOverwriteDirNonDir"), "owned": True}
    job = engine.containers.parts.job(container, "archive_put", arguments)
    try:
        _feed(job, request)
        try:
            job.wait()
        except EngineError as error:
            raise _named(error, request.params["id"]) from error
    finally:
        job.close()
    engine.containers.parts.emit(container, "extract-to-dir")
    return Answer(status=200)


def export(engine: Engine, request: Request) -> Response:
    """GET /containers/{id}/export"""
    container = find(engine, request)
    job = engine.containers.parts.job(container, "export", {})
    engine.containers.parts.emit(container, "export")
    return Stream(_chunks(job), "application/octet-stream", job.cancel)


def changes(engine: Engine, request: Request) -> Response:
    """GET /containers/{id}/changes"""
    container, parts = find(engine, request), engine.containers.parts
    with parts.reading(container):
        found = parts.snapshots.changes(container.record.root)
    shown = [{"Path": change.path, "Kind": int(change.kind)} for change in found]
    return Answer(shown or b"null\n", headers={"Content-Type": JSON})


def commit(engine: Engine, request: Request) -> Response:
    """POST /commit"""
    query = request.query
    if not query.text("container"):
        raise UsageError('invalid name or ID supplied: ""')
    container = engine.containers.get(query.text("container"))
    asked = committing.Asked(
        *(query.text("repo"), query.text("tag"), query.text("author"), query.text("comment")),
        changes=[line for text in query.all("changes") for line in text.splitlines()],
        config=request.body.json(),
        pause=query.flag("pause", True),
    )
    return Answer({"Id": committing.commit(engine.containers, container, asked)}, status=201)


def _path(request: Request) -> str:
    path = request.query.text("path")
    if not path:
        raise UsageError("bad parameter: path cannot be empty")
    if "\0" in path:
        raise UsageError("bad parameter: path holds a NUL")
    return path


def _stat(engine: Engine, request: Request, container: Container, path: str) -> str:
    """What is at a path, as the header has it. Raises EngineError."""
    job = engine.containers.parts.job(container, "archive_stat", {"path": path})
    try:
        found: dict[str, Any] = job.wait()
    except EngineError as error:
        raise _named(error, request.params["id"]) from error
    finally:
        job.close()
    shown = found | {"mtime": timestamps.text(round(found["mtime"] * 1e9))}
    return base64.b64encode(json.dumps(shown, separators=(",", ":")).encode()).decode()


def _named(error: EngineError, called: str) -> EngineError:
    """Docker's text ends with how the client called the container; the job does not know it."""
    text = f"{error.message} {called}" if error.message.endswith("in container") else error.message
    return EngineError(text, status=error.status)


def _chunks(job: Job) -> Iterator[bytes]:
    try:
        yield from job.chunks()
        job.wait()
    finally:
        job.close()


def _feed(job: Job, request: Request) -> None:
    """A job that refuses what it gets ends before it has read it all. The rest is read nevertheless: many clients do not look at an
    answer before they have sent everything."""
    accepts = True
    for piece in request.body.pieces():
        if accepts:
            try:
                job.stdin.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                accepts = False


def _needs_writable(container: Container, path: str) -> None:
    """Raises UsageError."""
    path = f"/{path.strip('/')}/"
    within = [point for point in container.record.mounts if path.startswith(f"{point.destination}/")]
    if within:
        if not max(within, key=lambda point: len(point.destination)).writable:
            raise UsageError("mounted volume is marked read-only")
    elif container.record.host_config.get("ReadonlyRootfs"):
        raise UsageError("container rootfs is marked read-only")


ROUTES = (
    Route("HEAD", "/containers/{id}/archive", stat),
    Route("GET", "/containers/{id}/archive", get),
    Route("PUT", "/containers/{id}/archive", put),
    Route("GET", "/containers/{id}/export", export),
    Route("GET", "/containers/{id}/changes", changes),
    Route("POST", "/commit", commit),
)
