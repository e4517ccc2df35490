"""A disk that is full: a clear error, nothing half-written, what runs goes on, what fills it can be removed, and then all is as before."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from dockerlab.engine.core import check
from tests.embedded.archives import Made, gzipped, layer, packed
from tests.embedded.disks import TIGHT, Disk, disk, files, left, refused
from tests.embedded.rungs import OwnEngine, engine, eventually

BIG = Made([layer(("big", os.urandom(20 << 20), {}))], ["big:1"])
# Says what it does with its last words, and then more than there is room for.
TALKER = ("sh", "-c", "trap 'go=1' USR1; echo begun; while [ -z \"$go\" ]; do sleep 0.05; done; "
                      "dd if=/dev/zero bs=1M count=8 2>/dev/null | tr '\\0' x; exit 3")  # fmt: skip


@pytest.fixture
def small() -> Iterator[Disk]:
    with disk() as small:
        yield small


@pytest.fixture
def own(small: Disk) -> Iterator[OwnEngine]:
    """One with busybox and a container of it, all on the small disk."""
    with engine("root", small.path / "root") as own:
        own.client.create("true", name="made")
        yield own


def whole(own: OwnEngine) -> bool:
    assert check(own.home) == []
    return True


def test_what_does_not_fit_is_refused_and_leaves_nothing(small: Disk, own: OwnEngine) -> None:
    client = own.client
    upper = own.home.container(client.inspect("made")["Id"]) / "upper"
    small.fill(TIGHT)
    before = files(own)
    refused(client.post("/images/load", packed(BIG.docker())))
    refused(client.post("/images/load", gzipped(packed(Made([layer(("zeros", bytes(40 << 20), {}))], ["zeros:1"]).docker()))))
    refused(client.post("/images/create", BIG.layers[0], fromSrc="-", repo="imported"))
    (upper / "large").write_bytes(b"x" * (20 << 20))
    refused(client.post("/commit", container="made", repo="committed"))
    (upper / "large").unlink()
    refused(client.ask("PUT", "/containers/made/archive", layer(("large", bytes(100 << 20), {})), path="/tmp"))
    (upper / "tmp/large").unlink()
    assert [image["RepoTags"] for image in client.get("/images/json")] == [["busybox:latest"]]
    assert files(own) == before
    small.clear()
    assert b"Loaded image: big:1" in client.post("/images/load", packed(BIG.docker())).body
    # Its blob fits, but not its files, too.
    small.fill(TIGHT)
    before = files(own)
    refused(client.post("/containers/create", {"Image": "big:1", "Cmd": ["true"]}, name="unpacked"))
    assert files(own) == before
    small.clear()
    assert client.post("/containers/create", {"Image": "big:1", "Cmd": ["true"]}, name="unpacked").status == 201
    assert whole(own)


def test_a_disk_that_others_filled(small: Disk, own: OwnEngine) -> None:
    client = own.client
    assert client.post("/images/load", packed(BIG.docker())).status == 200
    talker, sleeper = client.ready(*TALKER), client.ready("sh", "-c", "echo begun; exec sleep 1000")
    small.fill(0)
    # Its log ends, it does not.
    assert client.post(f"/containers/{talker}/kill", signal="USR1").status == 204
    assert client.wait(talker) == 3
    refused(client.post("/images/create", BIG.layers[0], fromSrc="-", repo="imported"))
    assert client.post("/containers/create", {"Image": "busybox", "Cmd": ["true"]}, name="late").status in (201, 500)
    refused(client.post("/commit", container="made", repo="committed"))
    assert client.post(f"/containers/{sleeper}/stop", t=0).status == 204
    assert client.inspect(sleeper)["State"]["Status"] == "exited"
    assert client.ask("DELETE", f"/containers/{sleeper}").status == 204
    assert client.ask("DELETE", f"/containers/{talker}").status == 204
    assert client.ask("DELETE", "/images/big:1").status == 200
    assert small.free() > 20 << 20, "what was removed has made room"
    # Killed on the full disk, it starts again there.
    small.fill(0)
    own.kill()
    own.start()
    assert client.get("/containers/made/json")["State"]["Status"] == "created"
    small.clear()
    eventually(lambda: not left(own))
    assert client.wait(client.run("sh", "-c", "exit 4")) == 4
    assert "Traceback" not in own.said()
    assert whole(own)
