"""What the Docker Engine API has and this engine has not: 501, with what it is and why it is not there."""

from __future__ import annotations

from typing import Any

from dockerlab.engine.building.request import BUILDKIT
from dockerlab.engine.http.types import Answer, Handler, Method, Request, Response, Route
from dockerlab.errors import EngineError, NotFound

_SWARM = "swarm mode is not supported by dockerlab's engine: it runs the containers of one user on one machine"
_PLUGINS = "plugins are not supported by dockerlab's engine: volumes are local, networks are its own"
_CHECKPOINTS = (
    "This experimental feature is disabled by default. Start the Docker daemon in experimental mode in order to enable it."
)

_ENDPOINTS: dict[str, tuple[tuple[Method, str], ...]] = {
    _SWARM: (
        ("GET", "/swarm"),
        ("POST", "/swarm/init"),
        ("POST", "/swarm/join"),
        ("POST", "/swarm/update"),
        ("GET", "/swarm/unlockkey"),
        ("POST", "/swarm/unlock"),
        ("GET", "/nodes"),
        ("GET", "/nodes/{id}"),
        ("DELETE", "/nodes/{id}"),
        ("POST", "/nodes/{id}/update"),
        ("GET", "/services"),
        ("POST", "/services/create"),
        ("GET", "/services/{id}"),
        ("DELETE", "/services/{id}"),
        ("POST", "/services/{id}/update"),
        ("GET", "/services/{id}/logs"),
        ("GET", "/tasks"),
        ("GET", "/tasks/{id}"),
        ("GET", "/tasks/{id}/logs"),
        ("GET", "/secrets"),
        ("POST", "/secrets/create"),
        ("GET", "/secrets/{id}"),
        ("DELETE", "/secrets/{id}"),
        ("POST", "/secrets/{id}/update"),
        ("GET", "/configs"),
        ("POST", "/configs/create"),
        ("GET", "/configs/{id}"),
        ("DELETE", "/configs/{id}"),
        ("POST", "/configs/{id}/update"),
        ("PUT", "/volumes/{name}"),
    ),
    _PLUGINS: (
        ("GET", "/plugins/privileges"),
        ("POST", "/plugins/pull"),
        ("POST", "/plugins/create"),
        ("DELETE", "/plugins/{name:path}"),
        ("POST", "/plugins/{name:path}/enable"),
        ("POST", "/plugins/{name:path}/disable"),
        ("POST", "/plugins/{name:path}/upgrade"),
        ("POST", "/plugins/{name:path}/push"),
        ("POST", "/plugins/{name:path}/set"),
    ),
    _CHECKPOINTS: (
        ("GET", "/containers/{id}/checkpoints"),
        ("POST", "/containers/{id}/checkpoints"),
        ("DELETE", "/containers/{id}/checkpoints/{checkpoint}"),
    ),
    BUILDKIT: (("POST", "/grpc"),),
}


def _refuses(message: str) -> Handler:
    def refuse(engine: Any, request: Request) -> Response:
        raise EngineError(message, status=501)

    return refuse


def _no_plugins(engine: Any, request: Request) -> Response:
    """None is installed, and none can be."""
    return Answer([])


def _no_plugin(engine: Any, request: Request) -> Response:
    raise NotFound(f'plugin "{request.params["name"]}" not found')


def _leave_swarm(engine: Any, request: Request) -> Response:
    """What every engine outside of a swarm says, and what clients that make sure of being outside wait for."""
    raise EngineError("This node is not part of a swarm", status=503)


ROUTES: tuple[Route, ...] = (
    Route("GET", "/plugins", _no_plugins),
    Route("GET", "/plugins/{name:path}/json", _no_plugin),
    Route("POST", "/swarm/leave", _leave_swarm),
    *(Route(method, path, _refuses(message)) for message, endpoints in _ENDPOINTS.items() for method, path in endpoints),
)
