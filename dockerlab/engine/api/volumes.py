"""/volumes: list, inspect, create, remove, prune."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dockerlab.engine.filters import parse
from dockerlab.engine.http.types import Answer, Request, Route
from dockerlab.errors import UsageError

if TYPE_CHECKING:
    from dockerlab.engine.core import Engine

_LISTED = ("dangling", "driver", "label", "name")
_PRUNED = ("all", "label", "label!")
# Since then a prune without "all" leaves the named ones.
_PRUNES_ANONYMOUS = (1, 42)


def list_(engine: Engine, request: Request) -> Answer:
    """GET /volumes"""
    try:
        filters = parse(request.query.text("filters"), _LISTED)
    except UsageError as error:
        prefix = "error reading volume filters: " if error.message == "invalid filter" else ""
        raise UsageError(prefix + error.message) from None
    return Answer({"Volumes": [volume.to_json() for volume in engine.volumes.chosen(filters)], "Warnings": None})


def inspect(engine: Engine, request: Request) -> Answer:
    """GET /volumes/{name}"""
    return Answer(engine.volumes.get(request.params["name"]).to_json())


def create(engine: Engine, request: Request) -> Answer:
    """POST /volumes/create"""
    body = request.body.json()
    if body.get("ClusterVolumeSpec"):
        raise UsageError("cluster volumes need swarm mode, which this engine does not have")
    name, driver = str(body.get("Name") or ""), str(body.get("Driver") or "")
    volume = engine.volumes.create(name, driver, _texts(body, "DriverOpts"), _texts(body, "Labels"))
    return Answer(volume.to_json(), status=201)


def remove(engine: Engine, request: Request) -> Answer:
    """DELETE /volumes/{name}"""
    engine.volumes.remove(request.params["name"], request.query.flag("force"))
    return Answer(status=204)


def prune(engine: Engine, request: Request) -> Answer:
    """POST /volumes/prune"""
    filters = parse(request.query.text("filters"), _PRUNED)
    every = filters.flag("all") or request.version < _PRUNES_ANONYMOUS
    removed, freed = engine.volumes.prune(filters, every)
    return Answer({"VolumesDeleted": removed, "SpaceReclaimed": freed})


def _texts(body: Mapping[str, Any], key: str) -> dict[str, str] | None:
    value = body.get(key)
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise UsageError(
            f"invalid JSON: json: cannot unmarshal into Go struct field CreateOptions.{key}: an object of texts is expected"
        )
    return value


ROUTES = (
    Route("GET", "/volumes", list_),
    Route("POST", "/volumes/create", create),
    Route("POST", "/volumes/prune", prune),
    Route("GET", "/volumes/{name}", inspect),
    Route("DELETE", "/volumes/{name}", remove),
)
