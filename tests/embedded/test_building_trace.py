"""Builds told by BuildKit's trace: which vertexes there are, what they need, when they begin and end, and what a failure says.

Names, inputs and texts are those that Docker Engine 28 gives for the same Dockerfiles (its checksums' references left out).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from dockerlab.wire import trace
from tests.embedded import rungs
from tests.embedded.builds import Files, context, nothing_left
from tests.embedded.rungs import OwnEngine
from tests.embedded.sessions import Told, asked, build, lines

BUSYBOX = "docker.io/library/busybox:latest"
THREE = """FROM busybox AS base
WORKDIR /app
RUN echo one; echo two >&2
FROM busybox
COPY a.txt /a.txt
ENV A=b
RUN echo hi > /x
FROM scratch
COPY --from=base /app /app
COPY --from=1 /x /x
COPY a.txt /z/
"""


@pytest.fixture(scope="module")
def own() -> Iterator[OwnEngine]:
    with rungs.engine("user" if os.getuid() else "root") as engine:
        yield engine


def built(own: OwnEngine, dockerfile: str, files: dict[str, Any] | None = None, /, **query: Any) -> Told:
    """By a tar, without a session."""
    return build(own.home.socket, context({"Dockerfile": dockerfile, **(files or {})}), **query)


def test_the_graph_of_three_stages(own: OwnEngine) -> None:
    told = built(own, THREE, {"a.txt": os.urandom(4)}, t="three:1")
    inputs = {name: told.inputs(name) for name in told.vertexes}
    base, load = f"[stage-1 1/3] FROM {BUSYBOX}", "[internal] load remote build context"
    assert inputs == {
        load: [],
        f"[internal] load metadata for {BUSYBOX}": [],
        base: [],
        "[base 2/3] WORKDIR /app": [base],
        "[base 3/3] RUN echo one; echo two >&2": ["[base 2/3] WORKDIR /app"],
        "[stage-1 2/3] COPY a.txt /a.txt": [base, load],
        "[stage-1 3/3] RUN echo hi > /x": ["[stage-1 2/3] COPY a.txt /a.txt"],
        "[stage-2 1/3] COPY --from=base /app /app": ["[base 3/3] RUN echo one; echo two >&2"],
        "[stage-2 2/3] COPY --from=1 /x /x": ["[stage-2 1/3] COPY --from=base /app /app", "[stage-1 3/3] RUN echo hi > /x"],
        "[stage-2 3/3] COPY a.txt /z/": ["[stage-2 2/3] COPY --from=1 /x /x", load],
        "exporting to image": ["[stage-2 3/3] COPY a.txt /z/"],
    }
    assert all(vertex.started and vertex.completed and vertex.started <= vertex.completed for vertex in told.vertexes.values())
    assert not any(vertex.cached for name, vertex in told.vertexes.items() if "FROM" not in name)
    assert told.log("[base 3/3] RUN echo one; echo two >&2", 1) == b"one\n"
    assert told.log("[base 3/3] RUN echo one; echo two >&2", 2) == b"two\n"
    assert told.messages[-1] == {"id": "moby.image.id", "aux": {"ID": told.image}}
    assert own.client.get("/images/three:1/json")["Id"] == told.image
    assert {f"writing image {told.image}", "naming to docker.io/library/three:1"} <= {status.id for status in told.statuses}


def test_a_rebuild_is_cached_and_begins_with_the_whole_graph(own: OwnEngine) -> None:
    built(own, THREE, {"a.txt": "same"})
    told = built(own, THREE, {"a.txt": "same"})
    steps = [vertex for name, vertex in told.vertexes.items() if "/3]" in name]
    assert len(steps) == 8
    assert all(step.cached for step in steps)
    first: dict[str, trace.Vertex] = {}
    for event in told.events:
        if isinstance(event, trace.Vertex):
            first.setdefault(event.name, event)
    assert all(first[step.name].started is None for step in steps if "FROM" not in step.name)


def test_stages_are_told_side_by_side(own: OwnEngine) -> None:
    """Each waits for a sign of the other, in a cache: one after the other they would never end."""
    wait = "RUN --mount=type=cache,id=meet,target=/m echo {me}; touch /m/{me}; while test ! -e /m/{other}; do sleep 0.05; done"
    dockerfile = (
        "FROM busybox AS a\n{}\nFROM busybox AS b\n{}\nFROM busybox\nCOPY --from=a /etc/passwd /\nCOPY --from=b /etc/passwd /\n"
    )
    told = built(own, dockerfile.format(wait.format(me="a", other="b"), wait.format(me="b", other="a")), nocache="1")
    assert told.image
    order = [event for event in told.events if isinstance(event, trace.Log | trace.Vertex)]
    logs = [number for number, event in enumerate(order) if isinstance(event, trace.Log)]
    ends = [
        number
        for number, event in enumerate(order)
        if isinstance(event, trace.Vertex) and " RUN " in event.name and event.completed
    ]
    assert len(logs) == len(ends) == 2
    assert max(logs) < min(ends), "both said something before one had ended"
    own.client.post("/build/prune")


@pytest.mark.parametrize(
    ("dockerfile", "vertex", "said"),
    [
        (
            "FROM busybox\nRUN echo bad; exit 3\n",
            "[2/2] RUN echo bad; exit 3",
            'process "/bin/sh -c echo bad; exit 3" did not complete successfully: exit code: 3',
        ),
        (
            'FROM busybox\nSHELL ["/bin/sh", "-x", "-c"]\nRUN nosuchthing\n',
            "[2/2] RUN nosuchthing",
            'process "/bin/sh -x -c nosuchthing" did not complete successfully: exit code: 127',
        ),
        (
            "FROM busybox\nCOPY nope /x\n",
            "[2/2] COPY nope /x",
            'failed to compute cache key: failed to calculate checksum of ref: "/nope": not found',
        ),
    ],
)
def test_a_step_that_fails(own: OwnEngine, dockerfile: str, vertex: str, said: str) -> None:
    told = built(own, dockerfile)
    assert told.vertexes[vertex].error == said
    assert told.vertexes[vertex].completed
    assert told.error.startswith(said)
    assert told.messages[-1]["errorDetail"]["message"] == told.error
    assert not any(message.get("id") == "moby.image.id" for message in told.messages)
    nothing_left(own)


@pytest.mark.parametrize(
    ("dockerfile", "query", "said"),
    [
        ("FROM busybox\nRUNN x\n", {}, "dockerfile parse error on line 2: unknown instruction: RUNN"),
        ("", {}, "the Dockerfile cannot be empty"),
        ("FROM busybox AS a\n", {"target": "zz"}, 'target stage "zz" could not be found'),
        ("FROM busybox\n", {"dockerfile": "other"}, "failed to read dockerfile: open other: no such file or directory"),
    ],
)
def test_a_dockerfile_that_cannot_be_built_is_told_by_the_stream(
    own: OwnEngine, dockerfile: str, query: dict[str, str], said: str
) -> None:
    told = built(own, dockerfile, **query)
    assert told.status == 200
    assert told.error.startswith(said)
    nothing_left(own)


def test_names_have_their_variables_replaced_and_their_numbers_in_columns(own: OwnEngine) -> None:
    steps = "\n".join(f"RUN true {number}" for number in range(6))
    dockerfile = f"""FROM busybox AS long
ARG V=val
WORKDIR "/w/$V"
COPY ["a b", "/$V/"]
RUN echo $V '$V' "x" $NOPE
RUN <<EOF
echo q
echo r
EOF
{steps}
from long
run true
"""
    told = built(own, dockerfile, {"a b": "x"})
    assert {name for name in told.vertexes if name.startswith("[long")} >= {
        f"[long  1/11] FROM {BUSYBOX}",
        "[long  2/11] WORKDIR /w/val",
        "[long  3/11] COPY [a b, /val/]",
        "[long  4/11] RUN echo val '$V' \"x\" $NOPE",
        "[long  5/11] RUN <<EOF (echo q...)",
        "[long 11/11] RUN true 5",
    }
    assert "[stage-1 1/1] RUN true" in told.vertexes


def test_an_image_that_is_not_to_be_had(own: OwnEngine) -> None:
    told = built(own, "FROM localhost:1/nope:1\n")
    assert told.vertexes["[internal] load metadata for localhost:1/nope:1"].error
    assert told.error.startswith("localhost:1/nope:1: failed to resolve source metadata for localhost:1/nope:1: ")


def test_a_client_that_leaves_ends_the_build(own: OwnEngine) -> None:
    with asked(own.home.socket, context({"Dockerfile": "FROM busybox\nRUN echo begun; sleep 1000\n"})) as talk:
        assert talk.head().status == 200
        told = Told()
        for line in lines(talk):
            if any(isinstance(event, trace.Log) for event in told.take(line)):
                break
    nothing_left(own)


def test_output_that_is_no_text_arrives_as_it_is(own: OwnEngine) -> None:
    told = built(own, "FROM busybox\nRUN printf '\\377\\000x'\n")
    assert told.log("[2/2] RUN printf '\\377\\000x'") == b"\xff\0x"


def test_any_image_is_a_cache_with_or_without_one_that_is_inline(own: OwnEngine) -> None:
    """BUILDKIT_INLINE_CACHE asks for what images of this engine have anyhow: their history. What is not there is no error."""
    text = f"FROM busybox\nRUN echo {os.urandom(8).hex()}; cat /proc/sys/kernel/random/uuid >/id\nENV A=1\nWORKDIR /w\n"
    first = built(own, text, buildargs={"BUILDKIT_INLINE_CACHE": "1"}, t="inline:1")
    identity = Files(own.client, first.image).text("id")
    archive = own.client.ask("GET", "/images/inline:1/get").body
    assert own.client.ask("DELETE", "/images/inline:1", force=1).status == 200
    own.client.post("/images/prune")
    assert own.client.post("/images/load", archive).status == 200
    sources = ["nowhere.invalid/x:1", "type=registry,ref=nowhere.invalid/y", "inline:1"]
    again = built(own, text, buildargs={"BUILDKIT_INLINE_CACHE": "1"}, cachefrom=sources)
    assert Files(own.client, again.image).text("id") == identity
    assert [again.vertexes[name].cached for name in again.vertexes if name.startswith(("[2/3]", "[3/3]"))] == [True, True]
    assert Files(own.client, built(own, text, cachefrom=sources, nocache=True).image).text("id") != identity
