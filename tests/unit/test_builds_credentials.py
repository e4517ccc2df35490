"""Registry credentials for a build: Docker's config file, its helpers (real programs), and that nothing secret is shown."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockerlab.builds.credentials import Credentials
from dockerlab.wire import grpc
from dockerlab.wire.protobuf import decode, encode
from dockerlab.wire.services import CredentialsRequest, CredentialsResponse
from tests.unit.exchanging import Call

HUB = "https://index.docker.io/v1/"
NOBODY = ("", "")
unix = pytest.mark.skipif(sys.platform == "win32", reason="the helper is a script")
Helper = Callable[[str, str], None]


def basic(name: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{name}:{password}".encode()).decode()}


def asked(credentials: Credentials, host: str) -> tuple[str, str]:
    call = Call()
    service = credentials.begin(call, {})
    call.tell(service, encode(CredentialsRequest(host)))
    while call.status is None:
        service.more()
    assert call.status == grpc.OK
    answer = decode(CredentialsResponse, call.sent[0])
    return answer.username, answer.secret


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Helper:
    """Makes a helper of a name that runs a script."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def make(name: str, script: str) -> None:
        path = tmp_path / f"docker-credential-{name}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return make


@pytest.mark.parametrize(
    ("auths", "host", "expected"),
    [
        ({"r.test:5000": basic("me", "pw:with:colons")}, "r.test:5000", ("me", "pw:with:colons")),
        ({"https://r.test/v2/": basic("me", "pw")}, "r.test", ("me", "pw")),
        ({"r.test": {"username": "me", "password": "pw"}}, "r.test", ("me", "pw")),
        ({"r.test": {**basic("me", "pw"), "identitytoken": "IT"}}, "r.test", ("", "IT")),
        ({HUB: basic("me", "pw")}, "registry-1.docker.io", ("me", "pw")),
        ({"docker.io": basic("me", "pw")}, "registry-1.docker.io", ("me", "pw")),
        ({HUB: basic("me", "pw")}, "r.test", NOBODY),
        ({"r.test": basic("me", "pw")}, "r.test:5000", NOBODY),
        ({"r.test": {}}, "r.test", NOBODY),
        ({}, "r.test", NOBODY),
        ("nonsense", "r.test", NOBODY),
    ],
)
def test_what_stands_in_the_file(auths: Any, host: str, expected: tuple[str, str]) -> None:
    credentials = Credentials({"auths": auths})
    assert asked(credentials, host) == expected
    assert credentials.problems == ()


@pytest.mark.parametrize("auth", ["%%%", "bm8gY29sb24=", base64.b64encode(b"\xff:x").decode()])
def test_what_cannot_be_read_is_a_problem_and_not_shown(auth: str) -> None:
    credentials = Credentials({"auths": {"r.test": {"auth": auth}}}, "config.json")
    assert asked(credentials, "r.test") == NOBODY
    assert credentials.problems == ("config.json: 'auth' of r.test is not the base64 of name:password",)


def test_a_token_for_the_registry_itself_cannot_be_given() -> None:
    credentials = Credentials({"auths": {"r.test": {"registrytoken": "canary"}}})
    assert asked(credentials, "r.test") == NOBODY
    assert "canary" not in str(credentials.problems)
    assert "registrytoken" in str(credentials.problems)


@unix
def test_helpers(helper: Helper) -> None:
    helper("all", 'read server; echo "{\\"ServerURL\\":\\"$server\\",\\"Username\\":\\"all $1\\",\\"Secret\\":\\"of $server\\"}"')
    helper("one", 'echo "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"IT\\"}"')
    credentials = Credentials({"credsStore": "all", "credHelpers": {"r.test": "one"}, "auths": {"o.test": basic("me", "pw")}})
    assert asked(credentials, "r.test") == ("", "IT")
    assert asked(credentials, "o.test") == ("all get", "of o.test")
    assert asked(credentials, "registry-1.docker.io") == ("all get", f"of {HUB}")
    assert credentials.problems == ()


@unix
@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo credentials not found in native keychain; exit 1", ""),
        ('echo "{}"', "docker-credential-x gave no answer that can be read when asked for r.test"),
        ("echo canary", "docker-credential-x gave no answer that can be read when asked for r.test"),
        ('echo "{\\"Username\\":\\"\\",\\"Secret\\":\\"\\"}"', ""),
        (
            "echo canary; echo canary >&2; exit 3",
            "docker-credential-x ended with exit code 3 when asked for r.test; try: echo r.test | docker-credential-x get",
        ),
    ],
)
def test_a_helper_that_knows_nothing_or_fails(helper: Helper, capfd: pytest.CaptureFixture[str], script: str, problem: str) -> None:
    helper("x", script)
    credentials = Credentials({"credsStore": "x"})
    assert asked(credentials, "r.test") == NOBODY
    assert credentials.problems == ((problem,) if problem else ())
    # What stands in the file is better than nothing.
    assert asked(Credentials({"credsStore": "x", "auths": {"r.test": basic("me", "pw")}}), "r.test") == ("me", "pw")
    assert "canary" not in str(capfd.readouterr())


@unix
def test_a_slow_helper_is_waited_for_and_not_for_ever(helper: Helper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dockerlab.builds.credentials._LOOK", 0.01)
    helper("slow", 'read server; sleep 0.5; echo "{\\"Username\\":\\"me\\",\\"Secret\\":\\"$server\\"}"')
    assert asked(Credentials({"credsStore": "slow"}), "r.test") == ("me", "r.test")
    monkeypatch.setattr("dockerlab.credentials.SECONDS", 0.1)
    helper("stuck", "exec sleep 60")
    credentials = Credentials({"credsStore": "stuck"})
    assert asked(credentials, "r.test") == NOBODY
    assert credentials.problems == ("docker-credential-stuck did not answer within 0.1 s when asked for r.test",)


@pytest.mark.parametrize("name", ["nowhere", "../../bin/sh", "a b"])
def test_a_helper_that_is_not_there(name: str) -> None:
    credentials = Credentials({"credsStore": name})
    assert asked(credentials, "r.test") == NOBODY
    assert credentials.problems == (f"docker-credential-{name}, which keeps the credentials of r.test, is not installed",)


def test_the_file_that_docker_reads(tmp_path: Path) -> None:
    environ = {"DOCKER_CONFIG": str(tmp_path)}
    assert asked(Credentials.found(environ), "r.test") == NOBODY
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"r.test": basic("me", "pw"), "o.test": basic("o", "pw")}}))
    environ["DOCKER_AUTH_CONFIG"] = json.dumps({"auths": {"r.test": basic("other", "pw")}})
    credentials = Credentials.found(environ)
    assert (asked(credentials, "r.test"), asked(credentials, "o.test")) == (("other", "pw"), ("o", "pw"))
    assert credentials.problems == ()
    (tmp_path / "config.json").write_text("{canary")
    broken = Credentials.found({"DOCKER_CONFIG": str(tmp_path)})
    assert asked(broken, "r.test") == NOBODY
    assert broken.problems == (f"{tmp_path / 'config.json'} cannot be read: it is not a JSON object",)


def test_no_repr_shows_anything() -> None:
    credentials = Credentials({"auths": {"r.test": {"username": "me", "password": "canary"}}})
    assert "canary" not in f"{credentials!r}{CredentialsResponse('me', 'canary')!r}"
