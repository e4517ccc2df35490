"""Who asks a registry: tokens of a token server, challenges, and that a secret goes where it belongs and nowhere else."""

from __future__ import annotations

import gzip
import json
import os
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dockerlab.engine.registry import credentials
from dockerlab.errors import EngineError
from dockerlab.registry import auth, hosts
from dockerlab.registry.auth import Authorizer, Challenge, Credentials
from dockerlab.registry.login import login
from tests.embedded.archives import Made, digest, layer, load, packed
from tests.embedded.fakes import Asked, Fake, fake
from tests.embedded.registries import ME, PACE, Engine, certificate
from tests.embedded.tokens import TokenServer

MADE = Made([layer(("file", os.urandom(1000), {}))])


class TestTokens:
    """The token server."""

    def test_for_anybody(self, mine: Engine, registry: Fake) -> None:
        server = TokenServer(registry)
        mine.pull(registry.name)
        assert server.asked == [{"service": ["test"], "scope": ["repository:app:pull"], "authorization": [""]}]

    def test_for_a_password(self, mine: Engine, registry: Fake) -> None:
        server = TokenServer(registry, {"me": "secret"})
        mine.pull(registry.name, credentials=ME)
        assert [(one["account"], one["authorization"]) for one in server.asked] == [(["me"], [ME.basic])]
        load(mine.images, packed(Made([MADE.layers[0], layer(("b", b"", {}))], [registry.name]).docker()))
        mine.push(registry.name, credentials=ME)
        assert server.asked[-1]["scope"] == ["repository:app:pull,push"]
        # The registry itself never saw it.
        assert not any("Basic" in headers.get("Authorization", "") for _, path, headers in registry.asked if "/v2/" in path)

    def test_for_an_identity_token(self, mine: Engine, registry: Fake) -> None:
        server = TokenServer(registry, {})
        mine.pull(registry.name, credentials=Credentials(identity_token="identity"))
        assert server.asked[0]["grant_type"] == ["refresh_token"]
        assert server.asked[0]["scope"] == ["repository:app:pull"]

    def test_a_token_that_was_given_as_it_is(self, mine: Engine, registry: Fake) -> None:
        server = TokenServer(registry, {})
        server.tokens["given"] = [frozenset({"repository:app:pull"}), 100]
        mine.pull(registry.name, credentials=Credentials(registry_token="given"))
        assert server.asked == []

    def test_one_that_expires_is_renewed(self, mine: Engine, registry: Fake) -> None:
        server = TokenServer(registry, lasts=1)
        mine.pull(registry.name)
        assert len(server.asked) == 4  # manifest twice, config, layer

    def test_a_wrong_password(self, mine: Engine, registry: Fake) -> None:
        TokenServer(registry, {"me": "another"})
        with pytest.raises(EngineError) as caught:
            mine.pull(registry.name, credentials=ME)
        where = f'Head "http://{registry.address}/v2/app/manifests/1": '
        assert (caught.value.status, str(caught.value)) == (401, f"{where}unauthorized: incorrect username or password")

    def test_one_that_does_not_suffice(self, mine: Engine, registry: Fake) -> None:
        server = TokenServer(registry)
        server.granted = frozenset()
        with pytest.raises(EngineError) as caught:
            mine.pull(registry.name)
        assert caught.value.status == 404
        assert str(caught.value) == (
            f"pull access denied for {registry.address}/app, repository does not exist or may require 'docker login': denied: "
            "requested access to the resource is denied"
        )
        load(mine.images, packed(Made(MADE.layers, [registry.name]).docker()))
        with pytest.raises(EngineError) as caught:
            mine.push(registry.name)
        assert str(caught.value) == "denied: requested access to the resource is denied"

    def test_login(self, registry: Fake) -> None:
        server = TokenServer(registry, {"me": "secret"})
        assert login(hosts.Hosts(), registry.address, ME, PACE).identity_token == "identity"
        assert server.asked[0]["offline_token"] == ["true"]
        with pytest.raises(EngineError) as caught:
            login(hosts.Hosts(), registry.address, Credentials("me", "wrong"), PACE)
        text = f'Get "http://{registry.address}/v2/": unauthorized: incorrect username or password'
        assert (caught.value.status, str(caught.value)) == (401, text)

    @pytest.mark.parametrize(
        ("realm", "text"),
        [
            ("file:///etc/passwd", "the registry's token server is not one: 'file:///etc/passwd'"),
            ("", "the registry's token server is not one: ''"),
            ("http://me:x@127.0.0.1/", "the registry's token server is not one: 'http://me:***@127.0.0.1/'"),
        ],
    )
    def test_a_token_server_that_is_none(self, mine: Engine, registry: Fake, realm: str, text: str) -> None:
        server = TokenServer(registry)
        server.realm = realm
        with pytest.raises(EngineError) as caught:
            mine.pull(registry.name, credentials=ME)
        assert str(caught.value) == f'Head "http://{registry.address}/v2/app/manifests/1": {text}'

    @pytest.mark.parametrize("data", [b"", b"[]", b'{"token": 1}', b'{"token": "a\\nb"}', b"\xff"])
    def test_a_token_that_is_none(self, mine: Engine, registry: Fake, data: bytes) -> None:
        TokenServer(registry)
        registry.faults.insert(0, lambda request: request.path.startswith("/token") and request.reply(200, data))
        with pytest.raises(EngineError, match="authorization server did not include a token in the response"):
            mine.pull(registry.name)

    def test_a_token_server_that_leads_elsewhere_is_not_followed(self, mine: Engine, registry: Fake) -> None:
        TokenServer(registry)
        with fake(MADE) as other:
            elsewhere = {"Location": f"http://{other.address}/token"}
            registry.faults.insert(0, lambda request: request.path.startswith("/token") and request.reply(302, headers=elsewhere))
            with pytest.raises(EngineError):
                mine.pull(registry.name, credentials=ME)
            assert other.asked == []


class TestKeptFromOthers:
    """A secret on the way."""

    def test_a_redirect_takes_no_authorization_along(self, mine: Engine, registry: Fake) -> None:
        TokenServer(registry)
        with fake(MADE) as store:
            target = f"http://{store.address}/v2/app/blobs/{digest(MADE.layers[0])}"
            registry.faults.append(
                lambda r: r.is_blob(MADE.layers[0]) and r.reply(307, headers={"Location": f"{target}?signature=x"})
            )
            mine.pull(registry.name, credentials=Credentials("me", "secret"))
            assert mine.images.get(registry.name).id == MADE.id
            assert [path for _, path, _ in store.asked] == [f"{urlsplit(target).path}?signature=x"]
            assert all("Authorization" not in headers for _, _, headers in store.asked)

    def test_an_upload_elsewhere_neither(self, mine: Engine, registry: Fake) -> None:
        TokenServer(registry)
        registry.blobs.clear()
        load(mine.images, packed(Made(MADE.layers, [registry.name]).docker()))
        with fake(MADE) as store:
            store.blobs, store.uploads = registry.blobs, registry.uploads

            def away(request: Asked) -> object:
                if request.command != "POST":
                    return False
                place = f"u{len(registry.uploads)}"
                registry.uploads[place] = bytearray()
                return request.reply(202, headers={"Location": f"http://{store.address}/v2/app/blobs/uploads/{place}?s=1"})

            registry.faults.append(away)
            mine.push(registry.name, credentials=ME)
            found = json.loads(registry.documents["1"][1])["layers"][0]["digest"]
            assert gzip.decompress(registry.blobs[found]) == MADE.layers[0]
            assert {method for method, _, _ in store.asked} == {"PATCH", "PUT"}
            assert all("Authorization" not in headers for _, _, headers in store.asked)

    def test_from_tls_to_none_nothing_is_sent(self, mine: Engine, tmp_path: Path) -> None:
        with fake(MADE) as plain, fake(MADE, tls=certificate(tmp_path)) as registry:
            registry.faults.append(
                lambda r: r.is_blob(MADE.layers[0]) and r.reply(302, headers={"Location": f"http://{plain.address}/x"})
            )
            with pytest.raises(EngineError) as caught:
                mine.pull(registry.name)
            where = f'Get "https://{registry.address}/v2/app/blobs/{digest(MADE.layers[0])}"'
            assert str(caught.value) == f"{where}: redirected to {plain.address} without TLS: refused"
            registry.faults.clear()
            TokenServer(registry, realm=f"http://{plain.address}/token")
            with pytest.raises(EngineError, match="asks to send credentials without TLS to"):
                mine.pull(registry.name, credentials=ME)
            assert plain.asked == []

    def test_no_error_quotes_what_a_url_is_signed_with(self, mine: Engine, registry: Fake) -> None:
        def signed(request: Asked) -> object:
            if not request.is_blob(MADE.layers[0]):
                return False
            return request.reply(302, headers={"Location": "http://127.0.0.1:1/blob?signature=canary"})

        registry.faults.append(signed)
        with pytest.raises(EngineError) as caught:
            mine.pull(registry.name)
        assert str(caught.value).startswith('Get "http://127.0.0.1:1/blob": dial tcp')


def test_one_token_for_requests_at_once() -> None:
    asked: list[str] = []

    def exchange(method: str, url: str, headers: Any, form: Any) -> tuple[int, bytes]:
        asked.append(url)
        return 200, b'{"token": "t"}'

    made = Authorizer(None, exchange)
    made.learn(['Bearer realm="https://auth.example/token"'])
    scopes = frozenset({"repository:a:pull"})
    threads = [threading.Thread(target=lambda: made.header(scopes, 'Get "https://x/"')) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked == ["https://auth.example/token?scope=repository%3Aa%3Apull"]


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (['Basic realm="x"'], [Challenge("basic", {"realm": "x"})]),
        (
            ['Bearer realm="https://a/t?b=c",service="s",scope="repository:a/b:pull,push registry:catalog:*"'],
            [
                Challenge(
                    "bearer", {"realm": "https://a/t?b=c", "service": "s", "scope": "repository:a/b:pull,push registry:catalog:*"}
                )
            ],
        ),
        (
            ['Negotiate, Basic realm="a \\"b\\"", BEARER Realm=x , service = "y"'],
            [Challenge("negotiate"), Challenge("basic", {"realm": 'a "b"'}), Challenge("bearer", {"realm": "x", "service": "y"})],
        ),
        (['Basic realm="x"', "Digest qop=auth"], [Challenge("basic", {"realm": "x"}), Challenge("digest", {"qop": "auth"})]),
        (["", '="', "🦆"], []),
    ],
)
def test_challenges(headers: list[str], found: list[Challenge]) -> None:
    assert auth.challenges(headers) == found


def test_who_says_that_nobody_asks_is_nobody(mine: Engine, registry: Fake, tmp_path: Path) -> None:
    """Another configuration than the engine's was looked into: the engine's own does not count."""
    server = TokenServer(registry)
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.address: {"auth": ME.basic.removeprefix("Basic ")}}}))
    mine.environ["DOCKER_CONFIG"] = str(tmp_path)
    mine.pull(registry.name, credentials=credentials.of_header("e30="))
    mine.pull(registry.name)
    assert [one["authorization"] for one in server.asked] == [[""], [ME.basic]]
