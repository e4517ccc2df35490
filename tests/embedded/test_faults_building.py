"""Builds, pulls and pushes that are broken off: the engine killed at any moment, clients that leave; and many at once, also while all
is pruned. What fails says so, and nothing is left of it: no file, container, process, thread or descriptor."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest

from tests.embedded.archives import Made, layer
from tests.embedded.builds import INNER, Built, Files, build, building, context, hostile, nothing_left, post, read, until, whole
from tests.embedded.registries import docker_registry, put
from tests.embedded.rungs import OwnEngine, eventually
from tests.embedded.serving import Reply, Talk

BUILD_POINTS, OTHER_POINTS = 5, 3  # at which the engine is killed, on each rung; each rung has points of its own


@pytest.fixture
def own(revived: OwnEngine) -> OwnEngine:
    """Nothing may be left."""
    return revived


# Killed

FILES = {f"many/{number}": os.urandom(2000) for number in range(80)} | {"inner.tar": INNER}
EVERYTHING = """
FROM busybox AS one
RUN for i in 1 2 3; do echo $i > /file$i; sleep 0.05; done
COPY many /many
FROM busybox AS two
RUN --mount=type=cache,target=/cache,id=killed,sharing=locked echo x >> /cache/log; sleep 0.1; cp /cache/log /log
ADD inner.tar /inner
FROM busybox
COPY --from=one / /one/
RUN --mount=type=bind,from=two,target=/two --mount=type=bind,source=many,target=/m <<EOF
#!/bin/sh
cp -r /two/inner /copied; ls /m > /listed
EOF
COPY --from=two /log /log
"""


def points(own: OwnEngine) -> random.Random:
    return random.Random(f"{own.uid} {'supervised' in str(own.environment)}")


def killed(own: OwnEngine, work: Callable[[], object], delay: float) -> None:
    """Kills the engine that long after `work` has begun, and starts the next."""
    thread = threading.Thread(target=broken_off, args=(work,))
    thread.start()
    time.sleep(delay)
    own.kill()
    own.start()
    thread.join(30)
    assert not thread.is_alive()
    eventually(lambda: not own.client.get("/containers/json", all=1), "a step's container is still there")
    nothing_left(own)


def broken_off(work: Callable[[], object]) -> None:
    with suppress(OSError, ValueError, AssertionError, IndexError):
        work()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_at_random_points_of_a_build(own: OwnEngine) -> None:
    rng, started = points(own), time.monotonic()
    assert build(own.client, EVERYTHING, FILES, nocache=True).image
    took = time.monotonic() - started
    for _ in range(BUILD_POINTS):
        own.client.post("/images/prune")
        delay = rng.uniform(0, took)
        killed(own, partial(build, own.client, EVERYTHING, FILES, tag="killed:1", nocache=rng.random() < 0.5), delay)
        whole(own)
    assert not own.check()
    built = build(own.client, EVERYTHING, FILES, tag="killed:1")
    files = Files(own.client, built.image)
    assert files.contents["one/many/7"] == FILES["many/7"]
    assert len([name for name in files.entries if name.startswith("copied/d")]) == 7 + 60
    assert len(files.text("listed").split()) == 80
    assert set(files.text("log").split()) == {"x"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


IMAGE = Made([layer(("f", os.urandom(4 << 20), {})), layer(("g", os.urandom(6 << 20), {}))], [])


def pull(own: OwnEngine, address: str) -> Reply:
    return own.client.post("/images/create", fromImage=f"{address}/app", tag="1")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_at_random_points_of_a_pull_and_of_a_push(own: OwnEngine, registry: str) -> None:
    put(registry, "app", "1", IMAGE)
    rng, started = points(own), time.monotonic()
    assert b'"error"' not in pull(own, registry).body
    took = time.monotonic() - started
    assert own.client.ask("DELETE", f"/images/{registry}/app:1").status == 200
    before = whole(own)
    for _ in range(OTHER_POINTS):
        killed(own, lambda: pull(own, registry), rng.uniform(0, took))
        assert len(whole(own) - before) <= 1
        own.client.ask("DELETE", f"/images/{registry}/app:1")
    assert b'"error"' not in pull(own, registry).body
    for number in range(OTHER_POINTS):
        assert own.client.post(f"/images/{registry}/app:1/tag", repo=f"{registry}/pushed{number}", tag="1").status == 201
        push = partial(own.client.post, f"/images/{registry}/pushed{number}/push", tag="1")
        killed(own, push, rng.uniform(0, took))
        assert b'"error"' not in push().body
        own.client.ask("DELETE", f"/images/{registry}/pushed{number}:1")
    assert not own.check()


# Clients that leave


def left_while_uploading(own: OwnEngine) -> None:
    body = context({"Dockerfile": "FROM busybox\n", "big": bytes(1 << 20)})
    with Talk(own.home.socket) as talk:
        talk.send(f"POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n")
        talk.send(body[: len(body) // 2])


def left_while_stages_wait(own: OwnEngine) -> None:
    stages = "".join(f"FROM busybox AS s{number}\nRUN sleep 600\n" for number in range(5))
    copies = "".join(f"COPY --from=s{number} /bin/true /{number}\n" for number in range(5))
    left_once(own, f"{stages}FROM busybox\n{copies}", b"Running in")


def left_in_the_middle_of_output(own: OwnEngine) -> None:
    left_once(own, "FROM busybox\nRUN yes 'a line of forty bytes, more or less, yes'\n", b"forty")


def left_while_a_cache_is_locked(own: OwnEngine) -> None:
    text = "FROM busybox\nRUN --mount=type=cache,target=/c,id=left,sharing=locked echo {0} begun; sleep 600\n"
    with building(own.client, text.format("first"), nocache=True) as holder:
        until(holder, b"first begun")
        left_once(own, text.format("second"), b"Step 2/2")


def left_while_pulling(own: OwnEngine) -> None:
    """From a registry that never answers."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        left_once(own, f"FROM 127.0.0.1:{silent.getsockname()[1]}/app:1\n", b"Step 1/1")


def left_once(own: OwnEngine, dockerfile: str, said: bytes) -> None:
    with building(own.client, dockerfile, nocache=True) as talk:
        until(talk, said)


LEAVING = [
    left_while_uploading,
    left_while_stages_wait,
    left_in_the_middle_of_output,
    left_while_a_cache_is_locked,
    left_while_pulling,
]


@pytest.mark.parametrize("leave", LEAVING)
def test_a_client_that_leaves_leaves_nothing(own: OwnEngine, leave: Callable[[OwnEngine], None]) -> None:
    leave(own)
    eventually(lambda: not own.client.get("/containers/json", all=1), "its container runs on")
    eventually(lambda: not [*own.home.tmp.iterdir()], "a temporary file is left")
    eventually(lambda: own.client.post("/build/prune").status == 200)
    assert build(own.client, "FROM busybox\nRUN --mount=type=cache,target=/c,id=left,sharing=locked true\n", nocache=True).image


def test_a_hundred_broken_builds_leave_no_thread_and_no_descriptor(own: OwnEngine) -> None:
    def broken(number: int) -> None:
        if number % 4 == 0:
            left_while_uploading(own)
        elif number % 4 == 1:
            left_once(own, "FROM busybox\nCOPY . /\nRUN sleep 600\n", b"Step")
        elif number % 4 == 2:
            assert build(own.client, "FROM busybox\nCOPY nofile /\n").error
        else:
            assert post(own, b"garbage").status == 500

    def rest() -> tuple[int, int]:
        eventually(lambda: not own.client.get("/containers/json", all=1))
        eventually(lambda: not own.leftovers(), f"left: {own.leftovers()}")
        return own.counts()

    for number in range(12):
        broken(number)
    before = rest()
    for number in range(100):
        broken(number)
    eventually(lambda: all(now <= then + 2 for now, then in zip(rest(), before, strict=True)), f"{before} became {own.counts()}")


# Many at once


def test_builds_with_the_same_steps_at_once(own: OwnEngine) -> None:
    text = "FROM busybox\nRUN --mount=type=cache,target=/c echo same > /f\nCOPY f /g\nENV A=1\nRUN cat /f /g\n"
    with ThreadPoolExecutor(10) as pool:
        builds = [pool.submit(build, own.client, text, {"f": "x\n"}, tag=f"same:{number}") for number in range(10)]
        found = [one.result(120) for one in builds]
    assert all(one.image for one in found)
    for number in range(10):
        assert Files(own.client, f"same:{number}").text("f") == "same\n"


def test_builds_while_everything_is_pruned_and_their_base_removed(own: OwnEngine) -> None:
    assert build(own.client, "FROM busybox\nRUN echo base > /base\n", tag="base:1").image
    is_over = threading.Event()

    def prune() -> None:
        while not is_over.is_set():
            own.client.post("/containers/prune")
            own.client.post("/images/prune", filters={"dangling": ["false"], "label!": ["keep"]})
            own.client.post("/build/prune")
            own.client.ask("DELETE", "/images/base:1", force=1)

    text = "FROM busybox AS b\nLABEL keep=1\nRUN echo {0} > /f; sleep 0.2\nFROM busybox\nLABEL keep=1\nCOPY --from=b /f /f\nRUN cat /f\n"
    holder = "FROM base:1\nRUN sleep 0.5; cat /base\nRUN cat /base\n"
    assert b"Loaded" in hostile(own, "busybox:latest", {"Labels": {"keep": "1"}})
    with ThreadPoolExecutor(5) as pool:
        held = pool.submit(build, own.client, holder)
        time.sleep(0.2)
        pruning = pool.submit(prune)
        try:
            found: list[Built] = [*pool.map(lambda number: build(own.client, text.format(number), nocache=True), range(4))]
        finally:
            is_over.set()
        pruning.result(60)
        built = held.result(60)
    assert not [one.error for one in found if one.error]
    # Its base may have been removed before it began.
    assert "\nbase\n" in built.log or "No such image" in built.error or "dial tcp" in built.error or "pull" in built.error


def test_a_read_of_the_stream_in_pieces_is_whole(own: OwnEngine) -> None:
    with building(own.client, "FROM busybox\nRUN seq 1 20000\n", nocache=True) as talk:
        lines = read(talk).log.split("\n")
    assert [line for line in lines if line.isdecimal()] == [str(number) for number in range(1, 20001)]
