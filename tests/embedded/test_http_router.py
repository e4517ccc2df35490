"""Which handler answers a path, and which version of the API a client asks for."""

from __future__ import annotations

from typing import Any

import pytest

from dockerlab.engine.api import unsupported
from dockerlab.engine.http.router import Router
from dockerlab.engine.http.types import API, Answer, Method, Request, Response, Route
from dockerlab.errors import EngineError, NotFound, UsageError


def says(text: str) -> Any:
    def handler(engine: Any, request: Request) -> Response:
        return Answer({"handler": text, "engine": engine, "version": request.version, "path": request.path, **request.params})

    return handler


ROUTER = Router(
    "ours",
    [
        Route("GET", "/info", says("info")),
        Route("GET", "/containers/json", says("list")),
        Route("GET", "/containers/{id}/json", says("inspect")),
        Route("DELETE", "/containers/{id}", says("remove")),
        Route("GET", "/images/get", says("save all")),
        Route("GET", "/images/{name:path}/get", says("save")),
        Route("GET", "/images/{name:path}/json", says("image")),
    ],
)


def asked(path: str, method: str = "GET") -> dict[str, Any]:
    answer = ROUTER(Request(method, path))
    assert isinstance(answer, Answer)
    return dict(answer.value)


@pytest.mark.parametrize(
    ("path", "handler", "params"),
    [
        ("/info", "info", {}),
        ("/containers/json", "list", {}),
        ("/containers/json/json", "inspect", {"id": "json"}),
        ("/containers/web/json", "inspect", {"id": "web"}),
        ("/images/docker.io/library/busybox:latest/json", "image", {"name": "docker.io/library/busybox:latest"}),
        ("/images/get", "save all", {}),
        ("/images/json/get", "save", {"name": "json"}),
    ],
)
def test_a_path_finds_its_handler(path: str, handler: str, params: dict[str, str]) -> None:
    assert asked(path) == {"handler": handler, "engine": "ours", "version": API, "path": path, **params}
    versioned = asked(f"//v1.44{path}")  # as of a DOCKER_HOST that ends in a slash
    assert (versioned["handler"], versioned["version"]) == (handler, (1, 44))


@pytest.mark.parametrize("path", ["/", "/nonsense", "/v1.44", "/v1/info", "/vx/info", "/info/", "/containers/a/b/json", "/Info"])
def test_what_no_route_matches_is_not_found(path: str) -> None:
    with pytest.raises(NotFound, match="page not found"):
        asked(path)


def test_a_wrong_method_is_not_found() -> None:
    with pytest.raises(NotFound, match="page not found"):
        asked("/info", "PUT")
    assert asked("/containers/json", "DELETE") == {
        "handler": "remove",
        "engine": "ours",
        "version": API,
        "path": "/containers/json",
        "id": "json",
    }


@pytest.mark.parametrize("path", ["/info", "/nonsense", "/v1.44/containers/a/b", "/"])
def test_every_path_has_options(path: str) -> None:
    assert ROUTER(Request("OPTIONS", path)) == Answer(status=200)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1.99/info", "client version 1.99 is too new. Maximum supported API version is 1.48"),
        ("/v2.0/info", "client version 2.0 is too new. Maximum supported API version is 1.48"),
        (
            "/v1.10/info",
            "client version 1.10 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
        ),
        ("/containers/a\0b/json", "invalid path: it holds a NUL"),
    ],
)
def test_versions_that_are_not_spoken(path: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        asked(path)
    assert (str(caught.value), caught.value.status) == (said, 400)


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("GET", "/v1.44/swarm", "swarm mode is not supported"),
        ("POST", "/services/create", "swarm mode is not supported"),
        ("GET", "/tasks/x/logs", "swarm mode is not supported"),
        ("POST", "/plugins/vieux/sshfs:latest/enable", "plugins are not supported"),
        ("POST", "/v1.41/grpc", "DOCKER_BUILDKIT=0"),
    ],
)
def test_what_is_missing_says_so(method: Method, path: str, said: str) -> None:
    with pytest.raises(EngineError, match=said) as caught:
        Router(None, unsupported.ROUTES)(Request(method, path))
    assert caught.value.status == 501


def test_there_is_no_plugin() -> None:
    with pytest.raises(NotFound) as caught:
        Router(None, unsupported.ROUTES)(Request("GET", "/plugins/vieux/sshfs:latest/json"))
    assert (caught.value.status, str(caught.value)) == (404, 'plugin "vieux/sshfs:latest" not found')
