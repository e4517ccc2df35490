"""A disk that is full: a clear error, nothing half-written, what runs goes on, what fills it can be removed, and then all is as before."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab.engine.core import check
from tests.embedded.archives import Made, gzipped, layer, packed
from tests.embedded.builds import build
from tests.embedded.registries import docker_registry, put
from tests.embedded.rungs import OwnEngine, engine, eventually
from tests.embedded.serving import Reply

FULL = "no space left on device"
SIZE = 160 << 20
TIGHT = 70 << 20  # a little more than what the store leaves to others
BIG = Made([layer(("big", os.urandom(20 << 20), {}))], ["big:1"])
# Says what it does with its last words, and then more than there is room for.
TALKER = ("sh", "-c", "trap 'go=1' USR1; echo begun; while [ -z \"$go\" ]; do sleep 0.05; done; "
                      "dd if=/dev/zero bs=1M count=8 2>/dev/null | tr '\\0' x; exit 3")  # fmt: skip


class Disk:
    """A file system of its own, small."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def free(self) -> int:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, left: int) -> None:
        with (self.path / "filler").open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, (self.path / "filler").stat().st_size + self.free() - left)

    def clear(self) -> None:
        (self.path / "filler").unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", path], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"needs a small file system, and none can be mounted: {done.stderr.strip()}")
    yield Disk(path)
    subprocess.run(["umount", "--lazy", path], check=True)


@pytest.fixture
def own(disk: Disk) -> Iterator[OwnEngine]:
    """One with busybox and a container of it, all on the small disk."""
    with engine("root", disk.path / "root") as own:
        own.client.create("true", name="made")
        yield own


def refused(reply: Reply) -> None:
    """An error with Docker's words: its status says so, or, once the answer has begun, its last line."""
    assert reply.status == 500 or (reply.status == 200 and b'"errorDetail"' in reply.body), (reply.status, reply.body)
    assert FULL in reply.body.decode()


def files(own: OwnEngine) -> set[str]:
    """What the engine holds of images and containers."""
    root = own.home.root
    found = [path for name in ("blobs/sha256", "layers", "containers") for path in (root / name).iterdir()]
    return {str(path.relative_to(root)) for path in found} | {f"left over: {path.name}" for path in left(own)}


def left(own: OwnEngine) -> list[Path]:
    return [*own.home.tmp.iterdir(), *own.half_written()]


def whole(own: OwnEngine) -> bool:
    assert check(own.home) == []
    return True


def test_what_does_not_fit_is_refused_and_leaves_nothing(disk: Disk, own: OwnEngine) -> None:
    client = own.client
    upper = own.home.container(client.inspect("made")["Id"]) / "upper"
    disk.fill(TIGHT)
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
    disk.clear()
    assert b"Loaded image: big:1" in client.post("/images/load", packed(BIG.docker())).body
    # Its blob fits, but not its files, too.
    disk.fill(TIGHT)
    before = files(own)
    refused(client.post("/containers/create", {"Image": "big:1", "Cmd": ["true"]}, name="unpacked"))
    assert files(own) == before
    disk.clear()
    assert client.post("/containers/create", {"Image": "big:1", "Cmd": ["true"]}, name="unpacked").status == 201
    assert whole(own)


def test_a_disk_that_others_filled(disk: Disk, own: OwnEngine) -> None:
    client = own.client
    assert client.post("/images/load", packed(BIG.docker())).status == 200
    talker, sleeper = client.ready(*TALKER), client.ready("sh", "-c", "echo begun; exec sleep 1000")
    disk.fill(0)
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
    assert disk.free() > 20 << 20, "what was removed has made room"
    # Killed on the full disk, it starts again there.
    disk.fill(0)
    own.kill()
    own.start()
    assert client.get("/containers/made/json")["State"]["Status"] == "created"
    disk.clear()
    eventually(lambda: not left(own))
    assert client.wait(client.run("sh", "-c", "exit 4")) == 4
    assert "Traceback" not in own.said()
    assert whole(own)


LARGE = os.urandom(16 << 20)
WRITE = "dd if=/dev/zero of={0} bs=1M count=200 2>&1"


@pytest.mark.parametrize(
    ("dockerfile", "files"),
    [
        ("FROM busybox\n", {"large": LARGE * 3}),
        ("FROM busybox\nRUN --mount=type=bind,target=/m true\n", {"large": LARGE[: 4 << 20]}),
        ("FROM busybox AS a\nFROM busybox\nCOPY --from=a / /x\nCOPY large /1\n", {"large": LARGE[: 4 << 20]}),
        (f"FROM busybox\nRUN {WRITE.format('/large')}\n", {}),
        (f"FROM busybox\nRUN --mount=type=cache,target=/c {WRITE.format('/c/large')}\n", {}),
    ],
    ids=["context", "bind", "COPY", "RUN", "cache"],
)
def test_a_build_that_does_not_fit_leaves_nothing(disk: Disk, own: OwnEngine, dockerfile: str, files: dict[str, bytes]) -> None:
    client = own.client
    assert build(client, "FROM busybox\nRUN true\n").image  # its files are unpacked by now
    disk.fill(TIGHT)
    images = len(client.get("/images/json", all=1))
    built = build(client, dockerfile, files, nocache=True)
    said = f"{built.error}{built.log}".lower()
    assert built.error
    assert FULL in said
    client.post("/build/prune")
    eventually(lambda: not left(own) and len(client.get("/containers/json", all=1)) == 1)
    assert len(client.get("/images/json", all=1)) <= images + 1, "a step that was whole may stay"
    disk.clear()
    assert build(client, "FROM busybox\nCOPY . /\nRUN true\n", {"a": "x"}, nocache=True).image
    assert "Traceback" not in own.said()
    assert whole(own)


def test_a_pull_that_does_not_fit_leaves_nothing(disk: Disk, own: OwnEngine, tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    with docker_registry(tmp_path / "registry") as address:
        put(address, "big", "1", BIG)
        disk.fill(TIGHT)
        before = files(own)
        refused(own.client.post("/images/create", fromImage=f"{address}/big", tag="1"))
        assert FULL in build(own.client, f"FROM {address}/big:1\n").error
        assert files(own) == before
        disk.clear()
        assert b'"errorDetail"' not in own.client.post("/images/create", fromImage=f"{address}/big", tag="1").body
    assert "Traceback" not in own.said()
    assert whole(own)
