"""/volumes: list, inspect, create, remove, prune."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockerlab.engine.filters import parse
from dockerlab.engine.http.types import Answer, Request, Route
from dockerlab.engine.json_shapes import TEXT, TEXT_BY_NAME, Struct, read
from dockerlab.errors import UsageError

if TYPE_CHECKING:
    from dockerlab.engine.core import Engine

_LISTED = ("dangling", "driver", "label", "name")
_PRUNED = ("all", "label", "label!")
# Since then a prune without "all" leaves the named ones.
_PRUNES_ANONYMOUS = (1, 42)
_CREATE = Struct("volume.CreateOptions", {"Name": TEXT, "Driver": TEXT, "DriverOpts": TEXT_BY_NAME, "Labels": TEXT_BY_NAME})


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
    asked = request.body.json()
    if asked.get("ClusterVolumeSpec"):
        raise UsageError("cluster volumes need swarm mode, which this engine does not have")
    body = read(asked, _CREATE)
    volume = engine.volumes.create(body.get("Name", ""), body.get("Driver", ""), body.get("DriverOpts"), body.get("Labels"))
    return Answer(volume.to_json(), status=201)


def remove(engine: Engine, request: Request) -> Answer:
    """DELETE /volumes/{name}"""
    engine.volumes.remove(request.params["name"], request.query.flag("force"))
    return Answer(status=204)


def prune(engine: Engine, request: Request) -> Answer:
    """POST /volumes/prune"""
    filters = parse(request.query.text("filters"), _PRUNED)
    try:
        every = filters.flag("all") or request.version < _PRUNES_ANONYMOUS
    except UsageError:
        value = " ".join(filters.values("all"))
        raise UsageError(f"invalid filter 'all': strconv.ParseBool: parsing \"{value}\": invalid syntax") from None
    removed, freed = engine.volumes.prune(filters, every)
    return Answer({"VolumesDeleted": removed, "SpaceReclaimed": freed})


ROUTES = (
    Route("GET", "/volumes", list_),
    Route("POST", "/volumes/create", create),
    Route("POST", "/volumes/prune", prune),
    Route("GET", "/volumes/{name}", inspect),
    Route("DELETE", "/volumes/{name}", remove),
)
