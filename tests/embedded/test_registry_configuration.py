"""What is configured of registries: whose credentials, by the header of a request and by the user's files and helpers; and where they are,
by registries.json with its mirrors."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from dockerlab.engine.registry import credentials
from dockerlab.engine.registry.credentials import INDEX, Keychain
from dockerlab.errors import EngineError
from dockerlab.registry import hosts
from dockerlab.registry.auth import Credentials
from dockerlab.registry.hosts import Endpoint
from tests.embedded.fakes import fake
from tests.embedded.registries import MADE, ME, Engine

# Whose


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def test_the_header_of_a_request() -> None:
    assert credentials.of_header(encoded({"username": "me", "password": "secret"})) == ME
    assert credentials.of_header(encoded({"username": "me", "password": "secret"}).rstrip("=")) == ME
    assert credentials.of_header(
        base64.b64encode(json.dumps({"username": "mé?>", "password": "p"}).encode()).decode()
    ) == Credentials("mé?>", "p")
    assert credentials.of_header(encoded({"auth": base64.b64encode(b"me:secret").decode()})) == ME
    assert credentials.of_header(encoded({"identitytoken": "x"})) == Credentials(identity_token="x")
    for text in ("e30=", "not base64!", encoded([]), encoded({"username": 1}), "////"):
        assert credentials.of_header(text) == Credentials()
    assert credentials.of_header("") is None


class TestKeychain:
    """The user's configuration."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / ".docker").mkdir()
        return tmp_path

    def write(self, folder: Path, **config: Any) -> Keychain:
        (folder / ".docker" / "config.json").write_text(json.dumps(config))
        return Keychain({"HOME": str(folder), "PATH": f"{folder}:/usr/bin:/bin"})

    def helper(self, folder: Path, name: str, script: str) -> None:
        path = folder / f"docker-credential-{name}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def test_auths(self, folder: Path) -> None:
        auth = {"auth": base64.b64encode(b"me:secret").decode()}
        found = self.write(
            folder, auths={"registry.example": auth, INDEX: {"identitytoken": "x"}, "https://other.example/v1/": auth}
        )
        assert found.get("registry.example") == ME
        assert found.get("docker.io") == Credentials(identity_token="x")
        assert found.get("other.example") == ME
        assert found.get("registry.example:5000") is None

    def test_a_helper(self, folder: Path) -> None:
        self.helper(
            folder, "test", f"""read server; echo "$1 $server" >>{folder}/log; echo '{{"Username": "me", "Secret": "secret"}}'"""
        )
        found = self.write(folder, auths={"registry.example": {}}, credsStore="test")
        assert found.get("registry.example") == ME
        assert found.get("docker.io") == ME
        assert (folder / "log").read_text().splitlines() == ["get registry.example", f"get {INDEX}"]

    def test_a_helper_for_one_registry(self, folder: Path) -> None:
        self.helper(folder, "token", """echo '{"Username": "<token>", "Secret": "x"}'""")
        found = self.write(folder, credHelpers={"registry.example": "token"})
        assert found.get("registry.example") == Credentials(identity_token="x")
        assert found.get("other.example") is None

    def test_a_helper_that_knows_nothing_of_it(self, folder: Path) -> None:
        self.helper(folder, "none", 'echo "credentials not found in native keychain"; exit 1')
        auth = {"auth": base64.b64encode(b"me:secret").decode()}
        assert self.write(folder, credsStore="none").get("registry.example") is None
        assert self.write(folder, credsStore="none", auths={"registry.example": auth}).get("registry.example") == ME

    @pytest.mark.parametrize(
        ("config", "text"),
        [
            ({"credsStore": "missing"}, "error getting credentials - docker-credential-missing: No such file or directory"),
            ({"credsStore": "fails"}, "error getting credentials - docker-credential-fails: exit status 3, out: `locked`"),
            (
                {"credsStore": "mumbles"},
                "error getting credentials - docker-credential-mumbles does not speak the helpers' protocol",
            ),
            ({"credsStore": "../sh"}, "not a credential helper's name: '../sh'"),
            ({"auths": []}, ""),
            ({"auths": 7}, "{config}: auths is not a JSON object"),
        ],
    )
    def test_what_fails(self, folder: Path, config: dict[str, Any], text: str) -> None:
        self.helper(folder, "fails", "echo locked; exit 3")
        self.helper(folder, "mumbles", "echo hm")
        found = self.write(folder, **config)
        if not text:
            assert found.get("registry.example") is None
            return
        with pytest.raises((EngineError, ValueError)) as caught:
            found.get("registry.example")
        assert str(caught.value) == text.format(config=folder / ".docker" / "config.json")

    def test_a_configuration_that_is_none(self, folder: Path) -> None:
        found = self.write(folder)
        (folder / ".docker" / "config.json").write_text("{")
        with pytest.raises(EngineError, match=r"config\.json cannot be read"):
            found.get("registry.example")


@pytest.mark.parametrize(
    ("server", "domain"),
    [("", "docker.io"), (INDEX, "docker.io"), ("docker.io", "docker.io"), ("http://a:5000", "a:5000"), ("https://a.b/v2/", "a.b")],
)
def test_the_registry_of_a_login(server: str, domain: str) -> None:
    assert hosts.domain(server) == domain


# Where


class TestHosts:
    """registries.json."""

    def test_endpoints(self, tmp_path: Path) -> None:
        config = {
            "registry-mirrors": ["https://mirror.example/", "http://127.0.0.1:5000"],
            "insecure-registries": ["plain.example:5000", "10.1.0.0/16"],
        }
        (tmp_path / "registries.json").write_text(json.dumps(config))
        for found in (hosts.read(tmp_path, {}), hosts.read(tmp_path / "other", {hosts.VARIABLE: json.dumps(config)}),
                      hosts.read(tmp_path / "other", {hosts.VARIABLE: str(tmp_path / "registries.json")})):  # fmt: skip
            assert found.endpoints("docker.io") == [Endpoint("registry-1.docker.io")]
            assert found.endpoints("docker.io", mirrored=True) == [
                Endpoint("mirror.example"),
                Endpoint("127.0.0.1:5000", ("http",), is_verified=False),
                Endpoint("registry-1.docker.io"),
            ]
            assert found.endpoints("registry.example", mirrored=True) == [Endpoint("registry.example")]
            assert found.endpoints("plain.example") == [Endpoint("plain.example")]
            for host in ("plain.example:5000", "10.1.2.3:80", "127.0.0.1", "127.9.9.9:1", "localhost:5000", "[::1]:5000"):
                assert found.endpoints(host) == [Endpoint(host, ("https", "http"), is_verified=False)]
            for host in ("10.2.0.1", "localhost.example", "128.0.0.1", "127.0.0.1.example"):
                assert found.endpoints(host) == [Endpoint(host)]
            assert found.to_json()["InsecureRegistryCIDRs"] == ["::1/128", "127.0.0.0/8", "10.1.0.0/16"]
            assert found.to_json()["Mirrors"] == ["https://mirror.example", "http://127.0.0.1:5000"]

    @pytest.mark.parametrize("text", ["{", "[]", '{"registry-mirrors": "x"}', '{"insecure-registries": [1]}'])
    def test_a_configuration_that_is_none(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "registries.json").write_text(text)
        with pytest.raises(EngineError, match=r"registries\.json"):
            hosts.read(tmp_path, {})

    def test_a_mirror_that_is_none(self) -> None:
        for url in ("mirror.example", "https://a/b", "https://me:x@a", "ftp://a"):
            with pytest.raises(EngineError, match="invalid mirror"):
                hosts.Hosts(mirrors=(url,)).endpoints("docker.io", mirrored=True)

    def test_a_pull_by_way_of_a_mirror(self, mine: Engine) -> None:
        with fake(MADE) as broken, fake(MADE) as mirror:
            broken.documents.clear()
            mine.environ[hosts.VARIABLE] = json.dumps(
                {"registry-mirrors": [f"http://{broken.address}", f"http://{mirror.address}"]}
            )
            mine.pull("docker.io/library/app:1", credentials=ME)
        # One mirror has nothing, the next has it; the name stays the registry's own, and so do its credentials.
        image = mine.images.get("app:1")
        assert image.digests == [f"app@{image.manifest}"]
        assert broken.paths("GET", "/v2/library/app/manifests/1")
        assert not any("Authorization" in headers for _, _, headers in (*broken.asked, *mirror.asked))
