"""Where an engine is looked for, and what is said when none answers. Sockets are real."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab import client, doctor, embedded, engines
from dockerlab import endpoints as places
from dockerlab.attempts import Attempt, attempt
from dockerlab.client import connect, meaning, set_environment
from dockerlab.endpoints import Endpoint, endpoints
from dockerlab.errors import Conflict, EngineError, NoEngine, NotFound, UsageError


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No engine is configured, and Docker's config file is an empty folder's."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards, whatever a test makes of it
        monkeypatch.delenv(name)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))


def add_context(config: Path, name: str, host: str, *, current: bool) -> None:
    import hashlib

    folder = config / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    (config / "config.json").write_text(json.dumps({"currentContext": name} if current else {}))
    (folder / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host}}}))


def found(target: str | None = None) -> list[tuple[str, str]]:
    return [(endpoint.url, endpoint.source) for endpoint in endpoints(target, os.environ)]


def test_an_argument_goes_before_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///other.sock")
    assert found("tcp://example.org:2375") == [("tcp://example.org:2375", "as asked")]
    assert found("/run/my.sock") == [("unix:///run/my.sock", "as asked")]


def test_docker_host_goes_before_the_context(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    add_context(tmp_path / "config", "far", "ssh://me@far", current=True)
    assert found() == [("ssh://me@far", "current docker context 'far'")]
    monkeypatch.setenv("DOCKER_HOST", "unix:///other.sock")
    assert found() == [("unix:///other.sock", "DOCKER_HOST")]


def test_docker_context_goes_before_the_current_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    add_context(tmp_path / "config", "far", "ssh://me@far", current=True)
    add_context(tmp_path / "config", "near", "unix:///near.sock", current=False)
    monkeypatch.setenv("DOCKER_CONTEXT", "near")
    assert found() == [("unix:///near.sock", "DOCKER_CONTEXT 'near'")]
    assert found("far") == [("ssh://me@far", "docker context 'far'")]


def test_an_unknown_context_names_the_known_ones(tmp_path: Path) -> None:
    add_context(tmp_path / "config", "far", "ssh://me@far", current=False)
    with pytest.raises(UsageError, match="there is no docker context 'fra'") as caught:
        connect("fra")
    assert "default, far" in (caught.value.hint or "")


def test_a_broken_context_file_is_named(tmp_path: Path) -> None:
    add_context(tmp_path / "config", "far", "ssh://me@far", current=True)
    next(tmp_path.rglob("meta.json")).write_text("{")
    with pytest.raises(UsageError, match="docker context 'far' cannot be read"):
        connect()


def test_without_configuration_the_usual_sockets_are_tried() -> None:
    environ = {"HOME": "/home/me", "XDG_RUNTIME_DIR": "/run/user/1000", "DOCKERLAB_ENGINE_RUNTIME": "/run/ours"}
    linux = [endpoint.url for endpoint in places.usual_sockets(environ, "linux")]
    assert linux == [
        "unix:///var/run/docker.sock",
        "unix:///run/user/1000/docker.sock",
        "unix:///home/me/.docker/run/docker.sock",
        "unix:///home/me/.docker/desktop/docker.sock",
        "unix:///run/user/1000/podman/podman.sock",
        "unix:///run/podman/podman.sock",
        "unix:///run/ours/engine.sock",
    ]
    assert places.usual_sockets(environ, "win32")[0].url == "npipe:////./pipe/docker_engine"
    assert "unix:///home/me/.docker/run/docker.sock" in [e.url for e in places.usual_sockets({"HOME": "/home/me"}, "darwin")]


def test_no_socket(tmp_path: Path) -> None:
    with pytest.raises(NoEngine, match="no Docker engine answers") as caught:
        connect(f"unix://{tmp_path}/none.sock")
    assert caught.value.evidence == (f"unix://{tmp_path}/none.sock  (as asked): no socket there",)
    assert "Start" in (caught.value.hint or "")


def test_nothing_found_lists_all_that_was_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    paths = [Endpoint(f"unix://{tmp_path}/{n}.sock", "default socket") for n in "ab"]
    monkeypatch.setattr(places, "usual_sockets", lambda environ, platform: paths)
    with pytest.raises(NoEngine) as caught:
        connect()
    assert len(caught.value.attempts) == 2


class FakeClient(client.Client):
    """A client that connected."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint


class Started:
    """Stands in for connections, and for the start of our own engine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.count = 0
        self.runtime = folder / "run"
        self.socket = folder / "docker.sock"
        monkeypatch.setenv("DOCKERLAB_ENGINE_RUNTIME", str(self.runtime))
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setattr(client, "reach", self.reach)
        monkeypatch.setattr(embedded, "start", self.start)
        usual = places.usual_sockets
        monkeypatch.setattr(
            places,
            "usual_sockets",
            lambda *_: [Endpoint(f"unix://{self.socket}", "default socket"), usual(os.environ, "linux")[-1]],
        )

    @property
    def url(self) -> str:
        return f"unix://{self.runtime}/engine.sock"

    def start(self) -> str:
        self.count += 1
        return self.url

    def reach(self, endpoint: Endpoint) -> client.Client | Attempt:
        if endpoint.url == self.url and self.count:
            return FakeClient(endpoint)
        return attempt(endpoint, ConnectionRefusedError() if endpoint.is_there else FileNotFoundError(), 1)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Started:
    return Started(monkeypatch, tmp_path)


def test_our_own_engine_is_started_where_there_is_no_other(started: Started) -> None:
    assert connect().endpoint == Endpoint(started.url, "dockerlab's own engine")
    assert started.count == 1
    assert connect().endpoint == Endpoint(started.url, "dockerlab's own engine")
    assert started.count == 1


def test_our_own_engine_is_not_started_beside_one_that_is_stopped(started: Started) -> None:
    started.socket.touch()
    with pytest.raises(NoEngine) as caught:
        connect()
    assert started.count == 0
    assert "The engine is not running" in (caught.value.hint or "")
    assert "`%engine use embedded`" in (caught.value.hint or "")


def test_our_own_engine_is_not_started_where_another_is_configured(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{started.socket}")
    with pytest.raises(NoEngine) as caught:
        connect()
    assert started.count == 0
    assert "`%engine use embedded`" in (caught.value.hint or "")


def test_our_own_engine_can_be_chosen(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    started.socket.touch()
    monkeypatch.setenv("DOCKER_CONTEXT", "far")
    assert client.use("embedded").endpoint.url == started.url
    assert (os.environ["DOCKER_HOST"], "DOCKER_CONTEXT" in os.environ) == (started.url, False)
    # It ended by itself meanwhile.
    started.count = 0
    assert connect().endpoint == Endpoint(started.url, "dockerlab's own engine")


def test_our_own_engine_that_does_not_start(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    def start() -> str:
        raise embedded.CannotStart("it does not start", evidence=["why"], hint="Do this.")

    monkeypatch.setattr(embedded, "start", start)
    with pytest.raises(NoEngine, match="it does not start") as caught:
        connect()
    assert caught.value.evidence[-1] == "why"
    assert "default socket" in caught.value.evidence[0]
    assert caught.value.hint == "Do this."


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    path = str(tmp_path / "engine.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        yield path, server


def test_refused(listener: tuple[str, socket.socket]) -> None:
    with pytest.raises(NoEngine) as caught:
        connect(listener[0])
    assert "refused: nothing listens there" in caught.value.evidence[0]
    assert "not running" in (caught.value.hint or "")


def test_silent(listener: tuple[str, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PROBE_SECONDS", 0.3)
    listener[1].listen()
    with pytest.raises(NoEngine) as caught:
        connect(listener[0])
    assert "no answer within 0.3 s" in caught.value.evidence[0]


def test_something_that_is_no_engine(listener: tuple[str, socket.socket]) -> None:
    def answer() -> None:
        with listener[1].accept()[0] as connection:
            connection.recv(4096)
            connection.sendall(b"220 mail.example.org ESMTP\r\n")

    listener[1].listen()
    thread = threading.Thread(target=answer)
    thread.start()
    with pytest.raises(NoEngine) as caught:
        connect(listener[0])
    thread.join()
    assert "220 mail.example.org" in caught.value.evidence[0] or "BadStatusLine" in caught.value.evidence[0]


def test_permission_denied(tmp_path: Path, listener: tuple[str, socket.socket]) -> None:
    path, server = listener
    server.listen()
    os.chmod(path, 0)
    script = "import sys; from dockerlab.client import connect\ntry: connect(sys.argv[1])\n"
    script += "except Exception as e: print(e.evidence[0], e.hint)"
    if os.geteuid() == 0:  # for whom no permission is denied
        for folder in (tmp_path, *tmp_path.parents):
            if folder.owner() == "root" and not folder.stat().st_mode & 1:
                folder.chmod(folder.stat().st_mode | 0o011)
        script = f"import docker, requests, dockerlab.client, os; os.setuid(65534); {script}"
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    assert "permission denied" in done.stdout
    assert "usermod" in done.stdout


def test_use_sets_what_docker_reads() -> None:
    environ = {"DOCKER_CONTEXT": "far"}
    set_environment("unix:///x.sock", "unix:///x.sock", environ)
    assert environ == {"DOCKER_HOST": "unix:///x.sock"}
    set_environment("far", "ssh://me@far", environ)
    assert environ == {"DOCKER_CONTEXT": "far"}


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("tcp://user:canary@127.0.0.1:1", "tcp://user:***@127.0.0.1:1"),
        ("tcp://:canary@127.0.0.1:1", "tcp://:***@127.0.0.1:1"),
        ("tcp://user:can@canary/x:1@127.0.0.1", "tcp://user:***@127.0.0.1"),
        ("tcp://user:can/canary@127.0.0.1:1", "tcp://user:***@127.0.0.1:1"),
        ("tcp://user:x canary\n@", "tcp://user:***@"),
        ("https://user:canary@127.0.0.1:1", "https://user:***@127.0.0.1:1"),
        ("ssh://user:canary@127.0.0.1:1", "ssh://user:***@127.0.0.1:1"),
        ("tcp://canarycanarycanary@127.0.0.1:1", "tcp://***@127.0.0.1:1"),
        ("ssh://a-user-of-a-long-name@127.0.0.1:1", "ssh://a-user-of-a-long-name@127.0.0.1:1"),
        ("ftp://user:canary@127.0.0.1:1", "ftp://user:***@127.0.0.1:1"),
    ],
)
@pytest.mark.parametrize("way", ["argument", "DOCKER_HOST", "DOCKER_CONTEXT", "context"])
def test_a_password_in_an_address_is_not_shown(
    address: str, shown: str, way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither where it is refused, nor in what is shown of an endpoint, nor in the traceback of plain Python."""
    if way == "context":
        add_context(tmp_path / "config", "far", address, current=True)
    elif way != "argument":
        monkeypatch.setenv(way, address)
    with pytest.raises((NoEngine, UsageError)) as caught:
        engines.use(address) if way == "argument" else connect()
    everything = ["".join(traceback.format_exception(caught.value)), *caught.value.lines(), *caught.value._render_traceback_()]
    everything += map(repr, getattr(caught.value, "attempts", ()))
    everything += [f"{one!r} {one}" for one in (Endpoint(address, "as asked"), Attempt(Endpoint(address, ""), "", ""))]
    everything.append("\n".join(f"{finding}" for finding in doctor._engines(os.environ)) if way != "argument" else "")
    assert not [text for text in everything if "canary" in text]
    assert shown in "\n".join(everything)


def test_what_is_no_password_is_shown() -> None:
    for url in ("unix:///a:b@c.sock", "npipe:////./pipe/a:b@c", "tcp://[::1]:2375", "ssh://me@far:22"):
        assert str(Endpoint(url, "")) == url


@pytest.mark.parametrize(
    ("url", "host", "is_local"),
    [
        ("unix:///var/run/docker.sock", "127.0.0.1", True),
        ("npipe:////./pipe/docker_engine", "127.0.0.1", True),
        ("tcp://127.0.0.1:2375", "127.0.0.1", True),
        ("tcp://localhost:2375", "localhost", True),
        ("tcp://example.org:2376", "example.org", False),
        ("ssh://me@example.org:22", "example.org", False),
    ],
)
def test_where_published_ports_are(url: str, host: str, is_local: bool) -> None:
    endpoint = Endpoint(url, "")
    assert (endpoint.host, endpoint.is_local) == (host, is_local)


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        (
            "driver failed: Bind for 127.0.0.1:8080 failed: port is already allocated",
            Conflict,
            "port 8080 is in use on the engine's host",
        ),
        (
            "Error starting userland proxy: listen tcp4 127.0.0.1:8080: bind: address already in use",
            Conflict,
            "port 8080 is in use",
        ),
        (
            "failed to bind host port 127.0.0.1:8080/tcp: address already in use",
            Conflict,
            "port 8080 is in use on the engine's host",
        ),
        (
            "cannot listen on the TCP port: listen tcp4 127.0.0.1:8080: bind: address already in use",
            Conflict,
            "port 8080 is in use",
        ),
        ('Conflict. The container name "/web" is already in use by container "4f2"', Conflict, "the name 'web' is in use"),
        ("write /x: no space left on device", EngineError, "the engine's disk is full"),
        ("No such container: web", NotFound, "no such container 'web'"),
        ("", NotFound, "no such container 'web'"),
    ],
)
def test_what_engines_say_means_the_same_everywhere(said: str, kind: type[EngineError], message: str) -> None:
    error = meaning(said, "start container 'web'", 404, "container 'web'")
    assert type(error) is kind
    assert message in str(error)
