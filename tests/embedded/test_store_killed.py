"""The engine, killed while it loads, imports, commits, saves, unpacks, removes: the next one has a whole store, and nothing half-made."""

from __future__ import annotations

import http.client
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dockerlab.engine.core import check
from tests.embedded import builds
from tests.embedded.archives import Made, digest, layer, packed, unpacked
from tests.embedded.rungs import OwnEngine, engine, eventually

POINTS = 20
KEPT = Made([layer(("etc", None, {}), ("etc/motd", b"hello", {}))], ["kept:1"])
# Large enough for the kill to come in the middle; every point has its own, so that nothing is there already.
FILES = 300
SIZE = 4000


def made(number: int) -> Made:
    rng = random.Random(number)
    top = layer(*((f"d{n % 7}/f{n}", rng.randbytes(SIZE), {}) for n in range(FILES)))
    return Made([KEPT.layers[0], top], [f"made:{number}"])


def load(own: OwnEngine, number: int) -> None:
    own.client.post("/images/load", packed(made(number).docker()))


def import_(own: OwnEngine, number: int) -> None:
    own.client.post("/images/create", made(number).layers[1], fromSrc="-", repo="imported", tag=str(number))


def commit(own: OwnEngine, number: int) -> None:
    identifier = own.client.get("/containers/json", all=1)[0]["Id"]
    upper = own.home.container(identifier) / "upper"
    for name in range(FILES):
        (upper / f"{number}-{name}").write_bytes(os.urandom(SIZE))
    own.client.post("/commit", container=identifier, repo="committed", tag=str(number))


def create(own: OwnEngine, number: int) -> None:
    load(own, number)
    own.client.post("/containers/create", {"Image": f"made:{number}", "Cmd": ["true"]})


def save(own: OwnEngine, number: int) -> None:
    own.client.ask("GET", "/images/get", names="kept:1")
    load(own, number)


def remove(own: OwnEngine, number: int) -> None:
    load(own, number)
    own.client.ask("DELETE", f"/images/made:{number}", force=1)


def prune(own: OwnEngine, number: int) -> None:
    load(own, number)
    own.client.post("/images/prune", filters={"dangling": ["false"]})


def build(own: OwnEngine, number: int) -> None:
    """Of BuildKit's kind: its steps are nothing but cache."""
    files = {f"f{name}": os.urandom(SIZE) for name in range(FILES // 4)}
    text = f"FROM kept:1 AS made\nLABEL number={number}\nCOPY . /all/\nFROM kept:1\nCOPY --from=made /all /copied\n"
    builds.build(own.client, text, files, version="2", **({"tag": f"built:{number}"} if number % 2 else {"outputs": CACHE_ONLY}))


ACTIONS: tuple[Callable[[OwnEngine, int], None], ...] = (load, import_, commit, create, save, remove, prune, build, build)
CACHE_ONLY = [{"Type": "cacheonly"}]


def _until_killed(action: Callable[[OwnEngine, int], None], own: OwnEngine, number: int) -> None:
    try:
        action(own, number)
    except (OSError, ValueError, IndexError, http.client.HTTPException):
        return  # nobody answers any more, or the answer broke off
    except AssertionError:
        return  # so do the client's own checks


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(os.geteuid() != 0, reason="commits what a container's files are made to be, which needs root")
def test_killed_at_random_points() -> None:
    rng = random.Random(20)
    with engine("root") as own:
        client = own.client
        assert client.post("/images/load", packed(KEPT.docker())).status == 200
        assert client.post("/containers/create", {"Image": "kept:1", "Cmd": ["true"]}, name="keeper").status == 201
        started = time.monotonic()
        create(own, 0)
        longest = time.monotonic() - started
        for number in range(1, POINTS + 1):
            action = ACTIONS[number % len(ACTIONS)]
            thread = threading.Thread(target=_until_killed, args=(action, own, number))
            thread.start()
            time.sleep(rng.uniform(0, longest))
            own.kill()
            thread.join()
            own.start()
            assert_whole(own)
            if number % 3 == 0:
                forget(own)


def forget(own: OwnEngine) -> None:
    """Removes what has been found whole: nothing is gained by looking at it at each point that follows."""
    for container in own.client.get("/containers/json", all=1):
        if container["Names"] != ["/keeper"]:
            assert own.client.ask("DELETE", f"/containers/{container['Id']}").status == 204
    for image in own.client.get("/images/json"):
        if not {"kept:1", "busybox:latest"}.intersection(image["RepoTags"]):
            assert own.client.ask("DELETE", f"/images/{image['Id']}", force=1).status == 200
    assert own.client.post("/build/prune").status == 200


def assert_whole(own: OwnEngine) -> None:
    client = own.client
    eventually(lambda: not [*own.home.tmp.iterdir(), *own.home.root.glob(".*.json*.*")])
    assert check(own.home) == []
    assert all(image["RepoTags"] for image in client.get("/images/json")), "a step is shown"
    for image in client.get("/images/json", all=1):
        archive = client.ask("GET", f"/images/{image['Id']}/get")
        assert archive.status == 200
        members = unpacked(archive.body)
        for name in [name for name in members if name.startswith("blobs/")]:
            assert digest(members[name]) == f"sha256:{Path(name).name}"
        # It can be run: its layers can be unpacked.
        made = client.post("/containers/create", {"Image": image["Id"], "Cmd": ["true"]})
        assert made.status == 201, made.body
        assert client.ask("DELETE", f"/containers/{made.json()['Id']}").status == 204
    assert "kept:1" in [tag for image in client.get("/images/json") for tag in image["RepoTags"]]
    for container in client.get("/containers/json", all=1):
        assert client.inspect(container["Id"])["State"]["Status"] == "created"
