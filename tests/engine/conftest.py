"""Every test in this folder runs on an engine, and fails if it leaves a container or one of our threads behind."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab import hijacking
from dockerlab.builds.session import Session, unavailable
from dockerlab.client import Client
from dockerlab.errors import EngineError
from tests.engine import docker_command, leftovers
from tests.engine.docker_command import Docker, Kind
from tests.engines import STARTED, Engine

_SETTLE_SECONDS = 5


@pytest.fixture(autouse=True)
def nothing_is_left(client: Client, request: pytest.FixtureRequest) -> Iterator[None]:
    """Reports what is left, and removes nothing: the engine may be the developer's own."""
    before = _containers(client)
    yield
    # An engine takes a moment to remove what was cancelled, and a thread to end.
    deadline = time.monotonic() + _SETTLE_SECONDS
    while (left := _left(client, before, request.config)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left, f"left behind: {', '.join(left)}"


@pytest.fixture(autouse=True)
def what_it_needs(engine: Engine, lacking: dict[str, str], request: pytest.FixtureRequest) -> None:
    """Skips a test that is marked `needs` on an engine that lacks just that."""
    for mark in request.node.iter_markers("needs"):
        if reason := lacking.get(mark.args[0]):
            pytest.skip(f"{engine.name}: {reason}")


@pytest.fixture(scope="session")
def lacking(engine: Engine) -> dict[str, str]:
    """Which parts the engine under test does not have, and why."""
    with engine.configured() as client:
        return _lacks(client)


def _lacks(client: Client) -> dict[str, str]:
    """What a rung of our own engine cannot have, and what a stand-in lacks."""
    found: dict[str, str] = {}
    if ["Isolation", "supervised"] in (client.info().get("DriverStatus") or ()):
        found["mounts"] = "nothing can be mounted where it runs"
    if ["driver-type", "io.containerd.snapshotter.v1"] in (client.info().get("DriverStatus") or ()):
        found["graphdriver"] = "containerd's image store keeps the id of a manifest, and says less of an image"
    if "busybox" not in client.images.get("busybox").labels.get("dockerlab.stand-in.holds", "busybox"):
        found["busybox"] = "its busybox is made of this machine's commands, and there is no httpd among them"
    return found


@pytest.fixture(scope="session")
def kind(engine: Engine) -> Kind:
    """Which engine the one under test is, or claims to be."""
    with engine.configured() as client:
        return docker_command.kind(client)


@pytest.fixture(scope="session")
def has_sessions(engine: Engine) -> bool:
    """Whether the engine under test has BuildKit, and with it a build's sessions."""
    with engine.configured() as client:
        try:
            with Session(client, {}, name="dockerlab-test"):
                return True
        except EngineError as error:
            if not unavailable(error):
                raise
            return False


@pytest.fixture
def sessions(engine: Engine, has_sessions: bool) -> None:
    """Skips a test where there are none."""
    if not has_sessions:
        pytest.skip(f"{engine.name} has no sessions")


@pytest.fixture(scope="session")
def own_api(engine: Engine) -> str:
    """What of BuildKit's own API (Control/Solve) the engine has: "contexts", "api" alone (Docker Engine 20.10), or "nothing"."""
    with engine.configured() as client:
        try:
            connection, _ = hijacking.upgraded(client, "/grpc", doing="look")
        except EngineError as error:
            if not unavailable(error):
                raise
            return "nothing"
        hijacking.end(connection)
        _, minor = client.version()["ApiVersion"].split(".")
    return "contexts" if int(minor) >= 42 else "api"


@pytest.fixture
def prefix(client: Client) -> Iterator[str]:
    """How the names begin of all that a test makes. It is removed afterwards, with containers that have the label of the prefix."""
    prefix = leftovers.prefix()
    yield prefix
    leftovers.remove(client, prefix)


@pytest.fixture
def docker(client: Client, kind: Kind, tmp_path: Path) -> Iterator[Docker]:
    """The `docker` command. What the test makes under its names is removed."""
    with docker_command.opened(client, kind, tmp_path) as docker:
        yield docker


@pytest.fixture(scope="module")
def box(engine: Engine, kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a container that does nothing and is there for all tests of a file."""
    config = tmp_path_factory.mktemp("docker")
    with engine.configured() as client, docker_command.opened(client, kind, config) as docker:
        docker.ok(f"run -d --name {docker.name('box')} busybox sleep 600")
        yield docker.name("box")


@pytest.fixture
def shared(engine: Engine, tmp_path: Path) -> Iterator[Path]:
    """A folder that the engine sees too. One that `make engines` started may have a root of its own, but has its socket's folder there."""
    # Where the socket really is: the pod sees no more of that folder than its own.
    folder = Path(engine.url.removeprefix("unix://")).resolve().parent if engine.url else tmp_path
    if folder.is_relative_to(STARTED) and os.access(folder, os.W_OK):
        with tempfile.TemporaryDirectory(dir=folder, prefix="test-") as made:
            Path(made).chmod(0o777)  # an engine may run as another user
            yield Path(made)
    else:
        yield tmp_path


def _left(client: Client, before: dict[str, str], config: pytest.Config) -> list[str]:
    threads = [f"thread '{thread.name}'" for thread in threading.enumerate() if thread.name.startswith("dockerlab")]
    if config.getoption("shared_engines"):
        return threads
    after = _containers(client)
    return threads + [f"container {after[identifier]} (not yours? --shared-engines)" for identifier in after.keys() - before.keys()]


def _containers(client: Client) -> dict[str, str]:
    """id → name, image and state."""
    found = client.api.containers(all=True)
    return {c["Id"]: f"{''.join(c['Names'] or ['?'])} of {c['Image']}, {c.get('State', '?')}" for c in found}
