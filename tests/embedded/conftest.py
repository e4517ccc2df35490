"""For the tests here: engines and their parts, benches for COPY, registries and the engine's side of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab.engine.events import Events
from dockerlab.engine.home import Home
from dockerlab.engine.networks import Networks
from dockerlab.engine.runtime.probe import probe
from tests.embedded import fakes, registries
from tests.embedded.building import BASE, FILES, Bench, Make, benches
from tests.embedded.builds import nothing_left
from tests.embedded.containing import Client, Engine, temporary_engine
from tests.embedded.networking import claim
from tests.embedded.overlaying import Place
from tests.embedded.rungs import RUNGS, OwnEngine, engine
from tests.embedded.supervised import SOMEBODY, Box, Container, box, image, layer

_UIDS = sorted({os.geteuid(), SOMEBODY} if os.geteuid() == 0 else {os.geteuid()})


@pytest.fixture(scope="module", params=RUNGS)
def rung(request: pytest.FixtureRequest) -> Iterator[OwnEngine]:
    """A whole engine as a process, on each rung."""
    with engine(request.param) as own:
        yield own


@pytest.fixture
def own(rung: OwnEngine) -> Iterator[OwnEngine]:
    """For builds, of which nothing is left but images."""
    yield rung
    nothing_left(rung)
    assert "Traceback" not in rung.said()


@pytest.fixture
def revived(rung: OwnEngine) -> Iterator[OwnEngine]:
    """For what may end the engine, too: it is there again afterwards, and nothing is left."""
    before = len(rung.said())
    yield rung
    rung.revive()
    nothing_left(rung)
    assert "Traceback" not in rung.said()[before:], rung.said()[before:][-3000:]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Path]]:
    """One engine for all tests."""
    if probe(tmp_path_factory.mktemp("probe")).isolation != "namespaces":
        pytest.skip("namespaces or overlay mounts are not allowed here")
    with temporary_engine() as served:
        yield served


@pytest.fixture
def inside(served: tuple[Engine, Path]) -> Engine:
    """The engine itself, for what the API does not show."""
    return served[0]


@pytest.fixture
def api(served: tuple[Engine, Path]) -> Iterator[Client]:
    """A client to an engine without containers; they are removed after the test."""
    engine, path = served
    yield Client(path)
    engine.clear()


@pytest.fixture(params=[0, SOMEBODY], ids=["root", "somebody"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """A home for overlays, of root's and of somebody's."""
    uid = int(request.param)
    if os.geteuid() != 0:
        if uid == 0:
            pytest.skip("needs root")
        uid = os.geteuid()
    with box(uid) as made:
        yield Place(made.home, uid)


@pytest.fixture(scope="session", params=_UIDS, ids=lambda uid: f"uid{uid}")
def supervised_home(request: pytest.FixtureRequest) -> Iterator[Box]:
    """A home, of root and of somebody else where the tests run as root."""
    with box(request.param) as made:
        yield made


@pytest.fixture(scope="session")
def lowers(supervised_home: Box) -> tuple[str, ...]:
    """Of supervised containers: busybox, and a layer on top of it."""
    more = layer(
        ("data", None, {}),
        ("data/file", b"from the image\n", {}),
        ("data/secret", b"secret\n", {"mode": 0o600}),
        ("data/folder", None, {}),
        ("data/folder/inside", b"inside\n", {}),
        ("data/link", "/data/file", {}),
        ("data/out", "../../../../etc/passwd", {}),
        ("data/suid", b"#!/bin/sh\nid -u\n", {"mode": 0o755}),
    )
    return supervised_home.prepare([*image("busybox"), more])


@pytest.fixture
def container(supervised_home: Box, lowers: tuple[str, ...]) -> Iterator[Container]:
    """A new supervised container of busybox."""
    made = supervised_home.container(lowers)
    yield made
    made.remove()


@pytest.fixture
def net_home(tmp_path: Path) -> Home:
    """A home, beside the files of /etc that containers are given a part of."""
    home = Home(tmp_path / "root", tmp_path / "run")
    home.create()
    host = tmp_path / "etc"
    host.mkdir()
    (host / "hosts").write_text("127.0.0.1 localhost thishost\n")
    (host / "resolv.conf").write_text("nameserver 10.0.0.53\nsearch example.org\n")
    return home


@pytest.fixture
def net_events() -> Events:
    """What is told of the networks."""
    return Events()


@pytest.fixture
def networks(net_home: Home, net_events: Events, tmp_path: Path) -> Iterator[Networks]:
    """Networks without an engine."""
    networks = Networks(net_home, net_events, claim, tmp_path / "etc")
    yield networks
    networks.close()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes benches for COPY and ADD, of files and a base."""
    with benches(tmp_path) as made:
        yield made


@pytest.fixture
def bench(make: Make) -> Bench:
    """One with something of everything in it."""
    return make(FILES, BASE)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a real registry."""
    with registries.docker_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def registry(request: pytest.FixtureRequest) -> Iterator[fakes.Fake]:
    """A fake registry with the image `MADE` of the test's module, or the one that `fakes` has."""
    with fakes.fake(getattr(request.module, "MADE", fakes.MADE)) as registry:
        yield registry


@pytest.fixture
def mine(tmp_path: Path) -> registries.Engine:
    """The engine's side of a registry."""
    return registries.client(tmp_path / "engine")
