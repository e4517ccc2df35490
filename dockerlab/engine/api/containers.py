"""/containers: list, create, inspect, and what happens to a container. Its streams are in `streams`, its files in `archive`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

from dockerlab.engine import filters
from dockerlab.engine.api.networks import until_of
from dockerlab.engine.containers import listing
from dockerlab.engine.containers.container import Condition, Container, Waiter
from dockerlab.engine.http.types import Answer, Request, Response, Route, Stream
from dockerlab.errors import EngineError, NotFound, UsageError

if TYPE_CHECKING:
    from dockerlab.engine.core import Engine

_LONGEST_EMPTY = 7  # bytes of a body that says nothing: "{}", "null"
_PRUNED = ("label", "label!", "until")
# Since then `wait` knows conditions, and answers before it waits.
_CONDITIONS_SINCE = (1, 30)
_DEFAULT_CONDITION: Condition = "not-running"


def find(engine: Engine, request: Request) -> Container:
    """The container that a path names. Raises NotFound, UsageError."""
    return engine.containers.get(called(request))


def called(request: Request) -> str:
    """How a path names a container: "web", or "web/data" for what it links to."""
    return "/".join(request.params[name] for name in ("id", "alias") if name in request.params)


def whole(request: Request, name: str) -> int | None:
    """A whole number of the query, None where it is not there. Raises EngineError with Docker's status for one that is none."""
    text = request.query.text(name)
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise EngineError(f'strconv.Atoi: parsing "{text}": invalid syntax', status=500) from None


def list_(engine: Engine, request: Request) -> Response:
    """GET /containers/json"""
    wanted = filters.parse(request.query.text("filters"), listing.TERMS)
    query = request.query
    limit = whole(request, "limit") or 0
    return Answer(engine.containers.listed(wanted, all=query.flag("all"), limit=limit, size=query.flag("size")))


def create(engine: Engine, request: Request) -> Response:
    """POST /containers/create"""
    query = request.query
    created = engine.containers.create(_body(request), query.text("name"), query.text("platform"))
    return Answer({"Id": created.container.id, "Warnings": list(created.warnings)}, status=201)


def inspect(engine: Engine, request: Request) -> Response:
    """GET /containers/{id}/json"""
    return Answer(engine.containers.inspect(find(engine, request), size=request.query.flag("size")))


def start(engine: Engine, request: Request) -> Response:
    """POST /containers/{id}/start"""
    if request.query.text("checkpoint"):
        raise UsageError("checkpoint is only supported in experimental mode")
    if len(request.body.read(_LONGEST_EMPTY + 1)) > _LONGEST_EMPTY:
        raise UsageError("starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24")
    engine.containers.life.start(find(engine, request))
    return Answer(status=204)


def stop(engine: Engine, request: Request) -> Response:
    """POST /containers/{id}/stop"""
    container, seconds = find(engine, request), whole(request, "t")
    with _refused(f"cannot stop container: {request.params['id']}"):
        engine.containers.life.stop(container, seconds, request.query.text("signal"))
    return Answer(status=204)


def restart(engine: Engine, request: Request) -> Response:
    """POST /containers/{id}/restart"""
    container, seconds = find(engine, request), whole(request, "t")
    with _refused(f"Cannot restart container {request.params['id']}"):
        engine.containers.life.restart(container, seconds, request.query.text("signal"))
    return Answer(status=204)


@contextmanager
def _refused(what: str) -> Iterator[None]:
    """Docker's words and status for a signal that there is not."""
    try:
        yield
    except UsageError as error:
        raise EngineError(f"{what}: {error.message}", status=500) from None


def kill(engine: Engine, request: Request) -> Response:
    """POST /containers/{id}/kill"""
    called = request.params["id"]
    try:
        container = find(engine, request)
    except NotFound as error:
        raise NotFound(f"cannot kill container: {called}: {error.message}") from None
    engine.containers.life.kill(container, request.query.text("signal"), called)
    return Answer(status=204)


def pause(engine: Engine, request: Request) -> Response:
    """POST /containers/{id}/pause"""
    engine.containers.life.pause(find(engine, request))
    return Answer(status=204)


def unpause(engine: Engine, request: Request) -> Response:
    """POST /containers/{id}/unpause"""
    engine.containers.life.unpause(find(engine, request))
    return Answer(status=204)


def rename(engine: Engine, request: Request) -> Response:
    """POST /containers/{id}/rename"""
    engine.containers.rename(find(engine, request), request.query.text("name"))
    return Answer(status=204)


def update(engine: Engine, request: Request) -> Response:
    """POST /containers/{id}/update"""
    warnings = engine.containers.update(find(engine, request), _body(request))
    return Answer({"Warnings": warnings or None})


def wait(engine: Engine, request: Request) -> Response:
    """POST /containers/{id}/wait: the head is sent at once, so that a client knows that it is waited before it starts the container."""
    container = find(engine, request)
    condition = request.query.text("condition") or _DEFAULT_CONDITION
    if condition not in get_args(Condition):
        raise UsageError(f'invalid condition: "{condition}"')
    known: Condition = _DEFAULT_CONDITION if request.version < _CONDITIONS_SINCE else condition  # type: ignore[assignment]
    waiter = container.waiter(known)
    return Stream(_result(container, waiter), cancel=waiter.cancel)


def _result(container: Container, waiter: Waiter) -> Iterator[bytes]:
    try:
        waiter.wait()
        if not waiter.cancelled:
            result: dict[str, Any] = {"StatusCode": waiter.exit_code}
            if waiter.error:
                result["Error"] = {"Message": waiter.error}
            yield json.dumps(result, separators=(",", ":")).encode() + b"\n"
    finally:
        container.forget(waiter)


def remove(engine: Engine, request: Request) -> Response:
    """DELETE /containers/{id}"""
    query = request.query
    if query.flag("link"):
        engine.containers.unlink(called(request))
        return Answer(status=204)
    container = find(engine, request)
    engine.containers.remove(container, force=query.flag("force"), volumes=query.flag("v"), called=request.params["id"])
    return Answer(status=204)


def prune(engine: Engine, request: Request) -> Response:
    """POST /containers/prune"""
    wanted = filters.parse(request.query.text("filters"), _PRUNED)
    removed, freed = engine.containers.prune(wanted, until_of(wanted))
    return Answer({"ContainersDeleted": removed or None, "SpaceReclaimed": freed})


def _body(request: Request) -> dict[str, Any]:
    return request.body.json()


ROUTES = (
    Route("GET", "/containers/json", list_),
    Route("POST", "/containers/create", create),
    Route("POST", "/containers/prune", prune),
    Route("GET", "/containers/{id}/json", inspect),
    Route("GET", "/containers/{id}/{alias}/json", inspect),
    Route("POST", "/containers/{id}/start", start),
    Route("POST", "/containers/{id}/stop", stop),
    Route("POST", "/containers/{id}/restart", restart),
    Route("POST", "/containers/{id}/kill", kill),
    Route("POST", "/containers/{id}/pause", pause),
    Route("POST", "/containers/{id}/unpause", unpause),
    Route("POST", "/containers/{id}/rename", rename),
    Route("POST", "/containers/{id}/update", update),
    Route("POST", "/containers/{id}/wait", wait),
    Route("DELETE", "/containers/{id}", remove),
    Route("DELETE", "/containers/{id}/{alias}", remove),
)
