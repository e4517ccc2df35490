"""A real registry, Debian's docker-registry, with TLS and with a password: whom it is trusted by, and who may pull, push and log in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab.engine.registry.credentials import Keychain
from dockerlab.errors import EngineError
from dockerlab.registry import hosts
from dockerlab.registry.auth import Credentials
from dockerlab.registry.login import login
from tests.embedded.archives import load, packed
from tests.embedded.registries import HTPASSWD, MADE, ME, Engine, certificate, client, docker_registry, said


class Strict(hosts.Hosts):
    """Trusts this machine's registries no more than any other."""

    def endpoint(self, host: str) -> hosts.Endpoint:
        return hosts.Endpoint(host)


def test_a_certificate_that_is_trusted_and_one_that_is_not(tmp_path: Path) -> None:
    paths = certificate(tmp_path)
    with docker_registry(tmp_path, tls=paths) as address:
        mine = client(tmp_path / "engine")
        load(mine.images, packed(MADE.docker()))
        mine.images.tag("made:1", f"{address}/app:1")
        # As Docker does, for a registry of this machine.
        assert said(mine.push(f"{address}/app:1"))[-2].startswith("1: digest: sha256:")
        strict = Strict(certificates=(tmp_path / "certs.d",))
        with pytest.raises(EngineError) as caught:
            login(strict, address, ME)
        assert str(caught.value).startswith(f'Get "https://{address}/v2/": tls: failed to verify certificate: x509: ')
        trusted = tmp_path / "certs.d" / address
        trusted.mkdir(parents=True)
        shutil.copy(paths[0], trusted / "ca.crt")
        assert login(strict, address, ME).identity_token == ""


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("private"), password=True) as address:
        yield address


class TestPassword:
    """htpasswd."""

    @pytest.fixture
    def filled(self, mine: Engine, private: str) -> Engine:
        load(mine.images, packed(MADE.docker()))
        mine.images.tag("made:1", f"{private}/app:1")
        mine.push(f"{private}/app:1", credentials=ME)
        return mine

    def test_who_has_it(self, filled: Engine, private: str, tmp_path: Path) -> None:
        other = client(tmp_path / "other")
        other.pull(f"{private}/app:1", credentials=ME)
        assert other.images.get(f"{private}/app:1").id == MADE.id

    def test_who_has_it_in_the_users_configuration(self, filled: Engine, private: str, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text(json.dumps({"auths": {private: {"auth": ME.basic.removeprefix("Basic ")}}}))
        other = client(tmp_path / "other", DOCKER_CONFIG=str(tmp_path))
        other.pull(f"{private}/app:1")
        assert other.images.get(f"{private}/app:1").id == MADE.id

    def test_who_has_not(self, filled: Engine, private: str) -> None:
        where = f'Head "http://{private}/v2/app/manifests/1": '
        for credentials, status, text in (
            (None, 500, f"{where}no basic auth credentials"),
            (Credentials("me", "wrong"), 401, "unauthorized: authentication required"),
        ):
            with pytest.raises(EngineError) as caught:
                filled.pull(f"{private}/app:1", credentials=credentials)
            assert (caught.value.status, str(caught.value)) == (status, text)
            with pytest.raises(EngineError) as caught:
                filled.push(f"{private}/app:1", credentials=credentials)
            assert str(caught.value) == text.removeprefix(where)

    def test_login(self, private: str) -> None:
        assert login(hosts.Hosts(), private, ME).identity_token == ""
        with pytest.raises(EngineError) as caught:
            login(hosts.Hosts(), private, Credentials("me", "wrong"))
        text = f"login attempt to http://{private}/v2/ failed with status: 401 Unauthorized"
        assert (caught.value.status, str(caught.value)) == (500, text)

    def test_the_password_is_told_to_nobody(self, filled: Engine, private: str, caplog: pytest.LogCaptureFixture) -> None:
        assert HTPASSWD.startswith("me:")
        with caplog.at_level("DEBUG"), pytest.raises(EngineError) as caught:
            filled.pull(f"{private}/app:9", credentials=ME)
        assert "secret" not in repr(ME) + str(caught.value.lines()) + caplog.text
        assert ME.basic not in caplog.text


def test_the_keychain_is_asked_for_nothing_without_a_configuration() -> None:
    assert Keychain({}).get("registry.example") is None
