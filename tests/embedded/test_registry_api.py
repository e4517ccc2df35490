"""The endpoints of pull, push, login and distribution, in front of a real registry: how requests are read, and what they answer."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from dockerlab.engine.api import images, registry
from dockerlab.engine.events import Events
from dockerlab.engine.http.router import Router
from dockerlab.engine.http.types import Body, Query, Request, Response, Stream
from dockerlab.engine.store import architecture
from dockerlab.errors import DockerlabError
from tests.embedded.archives import digest, load, packed
from tests.embedded.registries import HERE, INDEX, MADE, OCI, Engine, index, manifest, put, put_document


@pytest.fixture
def call(mine: Engine, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("HOME", "DOCKER_CONFIG"):
        monkeypatch.setenv(name, mine.environ["HOME"])
    events = Events()
    made: Any = SimpleNamespace(store=mine.images, events=events, home=mine.images.home)

    def ask(method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, **query: str) -> Any:
        texts = Query({name: [text] for name, text in query.items()})
        data = Body.of(json.dumps(body).encode() if body is not None else b"")
        request = Request(method, path, query=texts, body=data, headers=headers or {})
        try:
            found: Response = Router(made, (*registry.ROUTES, *images.ROUTES))(request)
        except DockerlabError as error:
            return error.status, error.message
        if isinstance(found, Stream):
            return [json.loads(line) for line in b"".join(found.chunks).splitlines()]
        return getattr(found, "value", None)

    return ask


class TestApi:
    """How the requests are read."""

    def test_pull(self, call: Any, mine: Engine, address: str) -> None:
        top = put(address, "api", "latest", MADE)
        name = f"{address}/api"
        asked: list[tuple[dict[str, str], str]] = [
            ({"fromImage": name, "tag": "latest"}, f"{name}:latest"),
            ({"fromImage": name, "tag": top}, f"{name}@{top}"),
            ({"fromImage": f"{name}:latest"}, f"{name}:latest"),
            ({"fromImage": f"{name}@{top}"}, f"{name}@{top}"),
            ({"fromImage": f"{name}:other", "tag": "latest"}, f"{name}:latest"),
            ({"fromImage": name}, name),
        ]
        for query, told in asked:
            found = call("POST", "/images/create", **query)
            assert found[-1]["status"].removeprefix("Status: ").endswith(f" for {told}"), found

    @pytest.mark.parametrize(
        ("query", "text"),
        [
            ({"fromImage": "127.0.0.1:5000/a", "tag": "1:2"}, "invalid tag format"),
            ({"fromImage": "127.0.0.1:5000/A", "tag": "1"}, "invalid reference format: repository name (A) must be lowercase"),
            ({"fromImage": ""}, "invalid reference format"),
            ({"fromImage": "a", "platform": "a/b/c/d"}, '"a/b/c/d": cannot parse platform specifier: invalid argument'),
        ],
    )
    def test_what_is_no_name(self, call: Any, query: dict[str, str], text: str) -> None:
        assert call("POST", "/images/create", **query) == (400, text)

    def test_push(self, call: Any, mine: Engine, address: str) -> None:
        load(mine.images, packed(MADE.docker()))
        mine.images.tag("made:1", f"{address}/up:1")
        assert call("POST", f"/images/{address}/up/push", tag="1")[-1]["aux"]["Tag"] == "1"
        assert call("POST", f"/images/{address}/up/push")[-1]["aux"]["Tag"] == "1"
        text = f"tag does not exist: {address}/up:2"
        assert call("POST", f"/images/{address}/up/push", tag="2")[-1] == {"errorDetail": {"message": text}, "error": text}
        assert call("POST", f"/images/{address}/UP/push")[0] == 400

    def test_distribution(self, call: Any, mine: Engine, address: str) -> None:
        top = put(address, "api", "1", MADE)
        data = index((MADE, HERE), (MADE, {"os": "linux", "architecture": "arm64", "variant": "v8"}))
        put_document(address, "api", "all", data, INDEX)
        assert call("GET", f"/distribution/{address}/api:1/json") == {
            "Descriptor": {"mediaType": OCI, "digest": top, "size": len(manifest(MADE))},
            "Platforms": [{"architecture": architecture(), "os": "linux"}],
        }
        assert call("GET", f"/distribution/{address}/api:all/json") == {
            "Descriptor": {"mediaType": INDEX, "digest": digest(data), "size": len(data)},
            "Platforms": [
                {"architecture": architecture(), "os": "linux"},
                {"architecture": "arm64", "os": "linux", "variant": "v8"},
            ],
        }
        assert call("GET", f"/distribution/{address}/api:9/json") == (404, "manifest unknown: manifest unknown")

    def test_login(self, call: Any, address: str) -> None:
        body = {"username": "me", "password": "x", "serveraddress": f"http://{address}"}
        assert call("POST", "/auth", body) == {"Status": "Login Succeeded", "IdentityToken": ""}

    def test_search(self, call: Any) -> None:
        assert call("GET", "/images/search", term="x")[0] == 501
