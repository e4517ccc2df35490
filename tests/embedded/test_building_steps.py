"""The steps of builds of BuildKit's kind are cache and no images, on our own engine: what lists show, what a step can be, what prunes it.

What is Docker's behaviour as well is in tests/engine/test_build_output.py.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.embedded import builds, rungs
from tests.embedded.builds import Files, context, nothing_left
from tests.embedded.rungs import OwnEngine, eventually
from tests.embedded.serving import Talk
from tests.embedded.sessions import Told, asked, build

NOTHING = [{"Type": "cacheonly"}]
STAGES = "FROM busybox AS made\nRUN echo {nonce} > /made\nFROM busybox\nCOPY --from=made /made /copied\nENV A=1\n"


@pytest.fixture(scope="module")
def whole() -> Iterator[OwnEngine]:
    with rungs.engine("user" if os.getuid() else "root") as engine:
        yield engine


@pytest.fixture
def own(whole: OwnEngine) -> Iterator[OwnEngine]:
    yield whole
    nothing_left(whole)
    eventually(lambda: is_empty(whole), "a build that was cancelled holds its steps until it has ended")


def is_empty(own: OwnEngine) -> bool:
    """Whether there is nothing but the base, after all else was removed."""
    for tags in [image["RepoTags"] for image in own.client.get("/images/json", all=1)]:
        for tag in tags:
            if tag != "busybox:latest":
                own.client.ask("DELETE", f"/images/{tag}", force=1)
    own.client.post("/images/prune")
    return shown(own) == shown(own, all=1) == [["busybox:latest"]]


@pytest.fixture
def text() -> str:
    """A Dockerfile that nobody has built: two stages, three steps."""
    return STAGES.format(nonce=os.urandom(8).hex())


def built(own: OwnEngine, dockerfile: str, **query: Any) -> Told:
    return build(own.home.socket, context({"Dockerfile": dockerfile}), **query)


def shown(own: OwnEngine, **query: Any) -> list[list[str]]:
    """The names of the images in a list."""
    return sorted(image["RepoTags"] for image in own.client.get("/images/json", **query))


def steps(own: OwnEngine) -> set[str]:
    """The ids of images that only `all` shows."""
    found = [{image["Id"] for image in own.client.get("/images/json", **query)} for query in ({"all": 1}, {})]
    return found[0] - found[1]


def test_a_build_without_an_image_leaves_cache_alone(own: OwnEngine, text: str) -> None:
    assert not built(own, text, outputs=NOTHING, t="not:1").error
    assert shown(own) == [["busybox:latest"]]
    assert shown(own, filters={"dangling": ["true"]}) == []
    assert shown(own, all=1) == [[], [], [], ["busybox:latest"]]
    assert shown(own, all=1, filters={"dangling": ["true"]}) == [[], [], []]
    again = built(own, text, outputs=NOTHING)
    assert [vertex.cached for name, vertex in again.vertexes.items() if name.startswith(("[made 2", "[stage-1 2"))] == [True, True]


def test_a_build_that_fails_leaves_cache_alone(own: OwnEngine, text: str) -> None:
    assert "exit code: 3" in built(own, f"{text}RUN exit 3\n", t="failed:1").error
    assert shown(own) == [["busybox:latest"]]
    assert len(steps(own)) == 3


def test_a_build_that_is_cancelled_leaves_cache_alone(own: OwnEngine, text: str) -> None:
    with asked(own.home.socket, context({"Dockerfile": f"{text}RUN sleep 100\n"})) as talk:
        eventually(lambda: len(steps(own)) == 3, "the steps before are not done")
        assert shown(own) == [["busybox:latest"]]
        talk.sock.shutdown(2)
    eventually(lambda: not own.client.get("/containers/json", all=1), "its container runs on")
    assert shown(own) == [["busybox:latest"]]


@pytest.mark.parametrize("before", ["nothing", "cache", "failed"])
def test_the_result_is_an_image_however_much_was_there(own: OwnEngine, text: str, before: str) -> None:
    if before == "cache":
        built(own, text, outputs=NOTHING)
    if before == "failed":
        built(own, f"{text}RUN exit 3\n")
    result = built(own, text).image
    assert shown(own) == [[], ["busybox:latest"]]
    assert result not in steps(own)
    assert len(steps(own)) == 2
    assert built(own, text, t="result:1").image == result
    assert shown(own) == [["busybox:latest"], ["result:1"]]
    # Somebody builds something else on top of it.
    built(own, f"{text}RUN true\n", outputs=NOTHING)
    assert shown(own) == [["busybox:latest"], ["result:1"]]
    assert own.client.ask("DELETE", "/images/result:1").status == 200
    assert result not in {image["Id"] for image in own.client.get("/images/json", all=1)}


def test_a_result_stays_an_image_when_another_gets_its_name(own: OwnEngine, text: str) -> None:
    first = built(own, text, t="moved:1").image
    second = built(own, text.replace("A=1", "A=2"), t="moved:1").image
    assert {first, second} <= {image["Id"] for image in own.client.get("/images/json")}
    assert not built(own, text, outputs=NOTHING).error
    assert shown(own) == [[], ["busybox:latest"], ["moved:1"]]


def test_an_earlier_stage_as_the_target(own: OwnEngine, text: str) -> None:
    built(own, text, t="all:1")
    built(own, text, target="made", t="made:1")
    assert shown(own) == [["all:1"], ["busybox:latest"], ["made:1"]]


def test_the_classic_builder_shows_its_steps_also_those_of_the_cache(own: OwnEngine, text: str) -> None:
    built(own, f"{text}RUN exit 3\n")
    assert shown(own) == [["busybox:latest"]]
    failed = builds.build(own.client, f"{text}RUN exit 3\n")
    assert "code: 3" in failed.error
    assert failed.cached == 3
    assert shown(own) == [[], [], ["busybox:latest"]], "the last image of each stage"
    result = builds.build(own.client, text)
    assert (result.cached, steps(own) & {result.image}) == (3, set())


def test_what_can_be_done_with_a_step(own: OwnEngine, text: str) -> None:
    client = own.client
    built(own, text, outputs=NOTHING)
    details = {id: client.get(f"/images/{id}/json") for id in steps(own)}
    (last,) = (id for id, found in details.items() if "A=1" in found["Config"]["Env"])
    below = details[last]["Parent"]
    assert below in details
    # A container that stands on it keeps it, and sees it; so does what is committed of that.
    made = client.post("/containers/create", {"Image": below, "Cmd": ["cat", "/copied"]}, name="on-a-step").json()["Id"]
    assert client.post("/images/prune").status == client.post("/build/prune").status == 200
    assert steps(own) == {below}
    assert Files(client, below).text("copied") == said(text)
    committed = client.post("/commit", container=made, repo="committed", tag="1").json()["Id"]
    assert client.get(f"/images/{committed}/json")["Parent"] == below
    archive = client.ask("GET", f"/images/{below}/get")
    assert archive.status == 200
    assert client.ask("DELETE", "/containers/on-a-step", force=1).status == 204
    # With a name it is an image, and without it again it stays one.
    assert client.post(f"/images/{below}/tag", repo="step", tag="1").status == 201
    assert shown(own) == [["busybox:latest"], ["committed:1"], ["step:1"]]
    for name in ("committed:1", "step:1"):
        assert client.ask("DELETE", f"/images/{name}").status == 200
    assert client.post("/images/load", archive.body).status == 200
    assert shown(own) == [[], ["busybox:latest"]]


def said(text: str) -> str:
    """What the first step of `text` writes."""
    return f"{text.split()[6]}\n"


def test_steps_are_not_in_the_way_of_the_image_that_they_stand_on(own: OwnEngine, text: str) -> None:
    result = built(own, text).image
    built(own, f"{text}RUN echo more > /more\nRUN exit 3\n")
    reply = own.client.ask("DELETE", f"/images/{result}")
    assert reply.status == 200, reply.body
    assert {"Deleted": result} in reply.json()


def test_what_prunes_steps(own: OwnEngine, text: str) -> None:
    client = own.client
    layer = "RUN dd if=/dev/zero of=/big bs=1000 count=500 2>/dev/null\n"
    built(own, text, t="kept:1")
    built(own, f"{text}{layer}", outputs=NOTHING)
    usage = client.get("/system/df")
    found = {item["Description"]: item for item in usage["BuildCache"]}
    assert [(item["Size"], item["Shared"]) for name, item in found.items() if "of=/big" in name] == [(500_000, False)]
    assert usage["LayersSize"] < 500_000 + client.get("/images/busybox/json")["Size"]
    assert sum(item["Size"] for item in found.values() if not item["Shared"]) == 500_000 + len(said(text))
    pruned = client.post("/build/prune").json()
    assert pruned["SpaceReclaimed"] == 500_000 + len(said(text))
    assert {*pruned["CachesDeleted"]} == {item["ID"] for item in found.values() if not item["Shared"]}
    assert shown(own) == [["busybox:latest"], ["kept:1"]]
    assert "500000" not in str(client.get("/system/df")["BuildCache"])
    # So does `docker image prune`, and takes images that nobody names, too.
    built(own, f"{text}{layer}", outputs=NOTHING)
    built(own, text.replace("A=1", "A=2"))
    pruned = client.post("/images/prune").json()
    assert pruned["SpaceReclaimed"] == 500_000 + len(said(text))
    assert shown(own) == [["busybox:latest"], ["kept:1"]]


def test_pruning_by_filters(own: OwnEngine, text: str) -> None:
    client = own.client
    built(own, text, outputs=NOTHING)
    (last,) = (item["ID"] for item in client.get("/system/df")["BuildCache"] if "ENV A=1" in item["Description"])
    assert client.post("/build/prune", filters={"until": ["1h"]}).json()["CachesDeleted"] is None
    refused = client.post("/build/prune", filters={"colour": ["red"]})
    assert (refused.status, refused.json()["message"]) == (400, "invalid filter 'colour'")
    refused = client.post("/build/prune", filters={"id": ["a", "b"]})
    assert (refused.status, refused.json()["message"]) == (400, "failed to prune build cache: filters expect only one value")
    for nothing in ({"type": ["frontend"]}, {"inuse": ["true"]}, {"private": ["0"], "type": ["regular"], "id": [last]}):
        assert client.post("/build/prune", filters=nothing).json()["CachesDeleted"] is None
    assert client.post("/build/prune", **{"keep-storage": "1000000000"}).json()["CachesDeleted"] is None
    assert len(steps(own)) == 3
    assert client.post("/build/prune", filters={"id": [f"^{last[:20]}"], "type": ["regular"]}).json()["CachesDeleted"] == [last]
    assert len(steps(own)) == 2
    assert len(client.post("/build/prune", filters={"until": ["0s"]}).json()["CachesDeleted"]) == 2


def test_pruning_takes_nothing_from_a_build(own: OwnEngine, text: str) -> None:
    stop = threading.Event()

    def prune() -> None:
        while not stop.is_set():
            own.client.ask("POST", "/build/prune")

    thread = threading.Thread(target=prune)
    thread.start()
    try:
        for number in range(8):
            assert not built(own, f"{text}RUN echo {number} > /n\nRUN cat /made /copied /n || cat /copied /n\n").error
    finally:
        stop.set()
        thread.join()


def test_events_are_of_results(own: OwnEngine, text: str) -> None:
    with Talk(own.home.socket) as talk:
        talk.send("GET /events?filters=%7B%22type%22%3A%5B%22image%22%5D%7D HTTP/1.1\r\nHost: docker\r\n\r\n")
        assert talk.head().status == 200
        built(own, text, outputs=NOTHING)
        own.client.post("/build/prune")
        result = built(own, text, t="heard:1").image
        heard: list[dict[str, Any]] = []
        while not heard or heard[-1]["Action"] != "create":
            heard += [json.loads(line) for line in talk.chunk().splitlines()]
    assert [(event["Action"], event["Actor"]["ID"]) for event in heard] == [("tag", result), ("create", result)]
