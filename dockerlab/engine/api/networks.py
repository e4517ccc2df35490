"""/networks: list, inspect, create, connect, disconnect, remove, prune."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dockerlab.engine import timestamps
from dockerlab.engine.filters import Filters, parse
from dockerlab.engine.http.types import Answer, Request, Route
from dockerlab.engine.json_shapes import read
from dockerlab.engine.networks.endpoint import shown_in
from dockerlab.engine.networks.network import Network
from dockerlab.engine.networks.requests import CONNECT, DISCONNECT
from dockerlab.errors import EngineError, NotFound, UsageError

if TYPE_CHECKING:
    from dockerlab.engine.core import Engine

_LISTED = ("dangling", "driver", "id", "label", "name", "scope", "type")
_PRUNED = ("label", "label!", "until")


def list_(engine: Engine, request: Request) -> Answer:
    """GET /networks"""
    filters = parse(request.query.text("filters"), _LISTED)
    for value in filters.values("type"):
        if value not in ("builtin", "custom"):
            raise EngineError(f"invalid filter: 'type'='{value}'", status=500)
    try:
        dangling = filters.flag("dangling")
    except UsageError:
        text = 'invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")'
        raise UsageError(text) from None
    found = [network for network in engine.networks.all() if _is_listed(network, filters)]
    if dangling is not None:
        found = [n for n in found if (not n.is_predefined and not engine.networks.members(n)) == dangling]
    return Answer([network.to_json() for network in found])


def _is_listed(network: Network, filters: Filters) -> bool:
    return (
        filters.is_exact("driver", network.driver)
        and filters.is_prefix("id", network.id)
        and filters.is_pattern("name", network.name)
        and filters.is_exact("scope", "local")
        and filters.is_exact("type", "builtin" if network.is_predefined else "custom")
        and filters.has_labels(network.labels)
    )


def inspect(engine: Engine, request: Request) -> Answer:
    """GET /networks/{id}"""
    network = engine.networks.get(request.params["id"])
    if request.query.text("scope", "local") != "local":
        raise NotFound(f"network {request.params['id']} not found")
    members = {member.id: shown_in(network, member) for member in engine.networks.members(network)}
    return Answer(network.to_json(members))


def create(engine: Engine, request: Request) -> Answer:
    """POST /networks/create"""
    network, warning = engine.networks.create(request.body.json())
    return Answer({"Id": network.id, "Warning": warning}, status=201)


def connect(engine: Engine, request: Request) -> Answer:
    """POST /networks/{id}/connect"""
    body = read(request.body.json(), CONNECT)
    engine.networks.connect(request.params["id"], body.get("Container", ""), body.get("EndpointConfig"))
    return Answer()


def disconnect(engine: Engine, request: Request) -> Answer:
    """POST /networks/{id}/disconnect"""
    body = read(request.body.json(), DISCONNECT)
    engine.networks.disconnect(request.params["id"], body.get("Container", ""), body.get("Force", False))
    return Answer()


def remove(engine: Engine, request: Request) -> Answer:
    """DELETE /networks/{id}"""
    engine.networks.remove(request.params["id"])
    return Answer(status=204)


def prune(engine: Engine, request: Request) -> Answer:
    """POST /networks/prune"""
    filters = parse(request.query.text("filters"), _PRUNED)
    removed: list[Any] = engine.networks.prune(filters, until_of(filters))
    return Answer({"NetworksDeleted": removed or None})


def until_of(filters: Filters, status: int = 400) -> int | None:
    """The `until` of a filter: a point in time, or how long ago ("10m"); nanoseconds since 1970. Raises EngineError with that status."""
    values = filters.values("until")
    if not values:
        return None
    if len(values) > 1:
        raise UsageError("more than one until filter specified")
    try:
        return timestamps.moment(values[0], time.time_ns())
    except ValueError:
        raise EngineError(f'failed to parse value as time or duration: "{values[0]}"', status=status) from None


ROUTES = (
    Route("GET", "/networks", list_),
    Route("GET", "/networks/", list_),
    Route("POST", "/networks/create", create),
    Route("POST", "/networks/prune", prune),
    Route("GET", "/networks/{id}", inspect),
    Route("POST", "/networks/{id}/connect", connect),
    Route("POST", "/networks/{id}/disconnect", disconnect),
    Route("DELETE", "/networks/{id}", remove),
)
