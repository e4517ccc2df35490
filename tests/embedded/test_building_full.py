"""Builds, pulls and pushes for which there is no room, builds on each rung: a clear error, nothing half made, and with room all goes on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded import sessions
from tests.embedded.archives import Made, layer, packed
from tests.embedded.builds import Files, build
from tests.embedded.disks import FULL, TIGHT, Disk, disk, files, left, refused
from tests.embedded.registries import docker_registry, put
from tests.embedded.rungs import RUNGS, OwnEngine, engine, eventually

BIG = Made([layer(("big", os.urandom(20 << 20), {}))], ["big:1"])
LARGE = os.urandom(16 << 20)
WRITE = "dd if=/dev/zero of={0} bs=1M count=200 2>&1"
BUILDS: dict[str, tuple[str, dict[str, bytes]]] = {
    "context": ("FROM busybox\n", {"large": LARGE * 3}),
    "bind": ("FROM busybox\nRUN --mount=type=bind,target=/m true\n", {"large": LARGE[: 4 << 20]}),
    "COPY": ("FROM busybox AS a\nFROM busybox\nCOPY --from=a / /x\nCOPY large /1\n", {"large": LARGE[: 4 << 20]}),
    "RUN": (f"FROM busybox\nRUN {WRITE.format('/large')}\n", {}),
    "cache": (f"FROM busybox\nRUN --mount=type=cache,target=/c {WRITE.format('/c/large')}\n", {}),
}
# Not even for the records of a container and of an image.
NOTHING_AT_ALL = ("RUN echo x > /x", "LABEL a=b", "COPY Dockerfile /", "RUN <<EOF\n#!/bin/sh\ntrue\nEOF")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def small() -> Iterator[Disk]:
    with disk() as small:
        yield small


@pytest.fixture
def own(small: Disk, request: pytest.FixtureRequest) -> Iterator[OwnEngine]:
    """On the small disk; at the end there is nothing wrong with what it keeps."""
    with engine(getattr(request, "param", "root"), small.path / "root") as own:
        yield own
        assert "Traceback" not in own.said()
        assert not own.check()


@pytest.mark.parametrize("own", RUNGS, indirect=True)
def test_builds_that_do_not_fit_leave_nothing(small: Disk, own: OwnEngine) -> None:
    client = own.client
    assert build(client, "FROM busybox\nRUN true\n").image  # its files are unpacked by now
    for name, (dockerfile, context) in BUILDS.items():
        small.fill(TIGHT)
        images = len(client.get("/images/json", all=1))
        built = build(client, dockerfile, context, nocache=True)
        assert built.error, name
        assert FULL in f"{built.error}{built.log}".lower(), name
        client.post("/build/prune")
        eventually(lambda: not left(own) and not client.get("/containers/json", all=1), f"{name} left {left(own)}")
        assert len(client.get("/images/json", all=1)) <= images + 1, "a step that was whole may stay"
        small.clear()
    for dockerfile in NOTHING_AT_ALL:
        spent(small, own)
        built = build(client, f"FROM busybox\n{dockerfile}\n", nocache=True)
        assert FULL in f"{built.error}{built.log}".lower(), (dockerfile, built)
        eventually(lambda: not left(own) and not client.get("/containers/json", all=1), f"{dockerfile} left {left(own)}")
        small.clear()
    assert build(client, "FROM busybox\nCOPY . /\nRUN true\n", {"a": "x"}, nocache=True).image


@pytest.mark.parametrize("own", RUNGS, indirect=True)
def test_a_context_that_does_not_fit_leaves_nothing_and_comes_when_there_is_room(small: Disk, own: OwnEngine) -> None:
    """By a session: what has come is kept for the next build, so that it must be whole."""
    dockerfile = "FROM busybox\nCOPY small /\nRUN --mount=type=bind,source=large,target=/l sha256sum /l >/sum\n"
    large = LARGE * 2 + b"end"
    folder = sessions.Folder({"Dockerfile": dockerfile, "small": "s", "large": large})

    def built() -> sessions.Told:
        with sessions.session(own.home.socket, folder, key="full") as made:
            return sessions.build(own.home.socket, session=made.id)

    small.fill(TIGHT)
    assert FULL in built().error
    eventually(lambda: not left(own), f"left: {left(own)}")
    assert not packs(own), "half a context is none"
    small.clear()
    spent(small, own)
    assert FULL in built().error.lower()
    small.clear()
    found = Files(own.client, built().image)
    assert found.text("sum").split()[0] == hashlib.sha256(large).hexdigest()
    assert packs(own)
    folder.sent.clear()
    assert Files(own.client, built().image).text("small") == "s"
    assert folder.sent == []


def packs(own: OwnEngine) -> list[Path]:
    """Files of contexts that are kept, but for Dockerfiles: those are small."""
    return [path for path in (own.home.root / "contexts").rglob("*") if path.is_file() and path.stat().st_size > len(LARGE)]


def test_a_pull_that_does_not_fit_leaves_nothing(small: Disk, own: OwnEngine, address: str) -> None:
    put(address, "big", "1", BIG)
    small.fill(TIGHT)
    before = files(own)
    refused(own.client.post("/images/create", fromImage=f"{address}/big", tag="1"))
    assert FULL in build(own.client, f"FROM {address}/big:1\n").error
    assert files(own) == before
    small.clear()
    assert b'"errorDetail"' not in own.client.post("/images/create", fromImage=f"{address}/big", tag="1").body


def test_a_push_that_does_not_fit_leaves_nothing(small: Disk, own: OwnEngine, address: str) -> None:
    """Its layer is compressed to the disk before it is sent: some of it fits."""
    name = f"{address}/pushed"
    made = Made([layer(("bigger", LARGE * 2 + LARGE[: 8 << 20], {}))], [f"{name}:1"])
    assert own.client.post("/images/load", packed(made.docker())).status == 200
    small.fill(TIGHT)
    before, documents = files(own), documents_of(own)
    refused(own.client.post(f"/images/{name}/push", tag="1"))
    assert files(own) == before
    assert documents_of(own) == documents, "nothing is known of a layer that was not sent"
    small.clear()
    assert b'"errorDetail"' not in own.client.post(f"/images/{name}/push", tag="1").body
    assert files(own) == before
    assert documents_of(own) != documents


def test_a_push_on_a_disk_without_any_room_goes_as_far_as_it_needs_none(small: Disk, own: OwnEngine, address: str) -> None:
    """What the registry has, and layers that are compressed, need no room; that the image has a name there is not noted, then."""
    put(address, "source", "1", BIG)
    client, name = own.client, f"{address}/again"
    assert b'"errorDetail"' not in client.post("/images/create", fromImage=f"{address}/source", tag="1").body
    assert client.post(f"/images/{address}/source:1/tag", repo=name, tag="1").status == 201
    spent(small, own)
    before = files(own)
    reply = client.post(f"/images/{name}/push", tag="1")
    assert b"digest: sha256:" in reply.body, reply.body
    assert b'"errorDetail"' not in reply.body, reply.body
    assert files(own) == before
    assert f"{name}@sha256:" not in str(client.get(f"/images/{name}:1/json")["RepoDigests"])
    small.clear()
    own.kill()
    own.start()
    assert client.ask("GET", f"/images/{name}:1/json").status == 200
    assert b'"errorDetail"' not in client.post(f"/images/{name}/push", tag="1").body
    assert f"{name}@sha256:" in str(client.get(f"/images/{name}:1/json")["RepoDigests"])


def spent(small: Disk, own: OwnEngine) -> None:
    """Fills the disk to the last byte, and what the engine keeps free for its records, too."""
    reserve = own.home.root / "reserve"
    os.truncate(reserve, 0)
    small.fill(0)


def documents_of(own: OwnEngine) -> list[str]:
    return [Path(own.home.root, name).read_text(encoding="utf-8") for name in ("index.json", "images.json")]
