"""A build's graph as values: edges that an engine tells or the Dockerfile implies, states, times, the critical path."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from dockerlab.builds import buildkit
from dockerlab.builds.graph import Graph
from dockerlab.builds.record import Build, Trace
from dockerlab.dockerfile import parse
from dockerlab.dockerfile.program import program
from dockerlab.wire import control
from dockerlab.wire.trace import Log, Vertex

TEXT = """\
FROM busybox AS left
RUN echo left
FROM busybox AS right
RUN echo right
FROM busybox
ENV A=1
COPY hello /
COPY --from=left /a --from /
COPY --from=1 /b /
CMD ["sh"]
""".replace(" --from /", " /")

# digest → (name, inputs, began, ended): two stages side by side, of one base.
TOLD = {
    "definition": ("[internal] load build definition from Dockerfile", (), 0.0, 0.1),
    "metadata": ("[internal] load metadata for docker.io/library/busybox:latest", (), 0.1, 0.6),
    "ignore": ("[internal] load .dockerignore", (), 0.1, 0.2),
    "base": ("[right 1/2] FROM docker.io/library/busybox:latest", (), 0.6, 0.6),
    "left": ("[left 2/2] RUN echo left", ("base",), 0.6, 2.6),
    "right": ("[right 2/2] RUN echo right", ("base",), 0.6, 3.6),
    "context": ("[internal] load build context", (), 0.6, 0.7),
    "hello": ("[stage-2 2/4] COPY hello /", ("base", "context"), 0.7, 0.8),
    "copy left": ("[stage-2 3/4] COPY --from=left /a /", ("hello", "left"), 2.6, 2.7),
    "copy right": ("[stage-2 4/4] COPY --from=1 /b /", ("copy left", "right"), 3.6, 3.7),
    "export": ("exporting to image", (), 3.7, 4.0),
}


def by_buildkit(
    text: str = TEXT,
    told: dict[str, tuple[str, tuple[str, ...], float, float]] = TOLD,
    outcome: str = "done",
    triggers: tuple[str, ...] = (),
) -> Build:
    """What BuildKit tells of a build, through the adapter. triggers: of each base image, as far as they are known beforehand."""
    dockerfile = parse(text)
    plan = program(dockerfile).plan(on_build=lambda base: triggers)
    adapter, trace = buildkit.Adapter(dockerfile, plan), Trace(dockerfile, ("app:latest",), "buildkit", "", 100.0)
    events = [*adapter.begin()]
    vertexes = [
        Vertex(digest, name, inputs, 100 + began, 100 + ended, cached=began == ended)
        for digest, (name, inputs, began, ended) in told.items()
    ]
    # All are told of before one begins.
    for vertex in [*(replace(one, started=None, completed=None, cached=False) for one in vertexes), *vertexes]:
        message = {"id": control.TRACE, "aux": base64.b64encode(control.report([vertex])).decode()}
        events += adapter.feed(message, 100.0)
    for event in [*events, *(adapter.end(105.0) if outcome == "done" else ())]:
        trace.apply(event)
    return trace.snapshot(105.0, outcome)


def by_classic(text: str = TEXT, seconds: float = 1.0) -> Build:
    dockerfile = parse(text)
    trace = Trace(dockerfile, ("app:latest",), "classic", "", 100.0)
    for i, node in enumerate(dockerfile.nodes):
        trace.apply(Vertex(str(i), node.text, started=100 + i * seconds, completed=100 + (i + 1) * seconds))
    return trace.snapshot(120.0, "done")


def inputs(graph: Graph) -> dict[str, tuple[str, ...]]:
    return {vertex.digest: vertex.inputs for vertex in graph.vertices}


def test_edges_of_buildkit_are_those_that_it_tells_and_a_shared_base_is_there_once() -> None:
    assert inputs(by_buildkit().graph) == {
        "0": ("metadata",),
        "1": ("0",),
        "3": ("0",),
        "6": ("0", "context"),
        "7": ("6", "1"),
        "8": ("7", "3"),
        "definition": (),
        "metadata": ("definition",),
        "ignore": ("definition",),
        "context": ("ignore",),
        "export": ("8",),
    }


def test_what_a_builder_tells_is_not_believed() -> None:
    told = {
        "0.77": ("load something", (), 0.0, 0.1),
        "3.1": ("[left 2/2] RUN echo left", (), 0.0, 0.1),
        "1": ("[internal] load .dockerignore", (), 0.0, 0.1),
        "number": (f"[left {'9' * 5000}/1] RUN echo left", ("0.5", "8.9", "77"), 0.0, 0.1),
        "beyond": ("[left 999999/1] RUN echo left", ("beyond",), 0.0, 0.1),
    }
    build = by_buildkit(told=told)
    assert {step.state for step in build.steps if step.line} == {"cached"}
    assert not {"0.77", "3.1"} & inputs(build.graph).keys()
    assert "load something" not in repr(build)


def test_edges_of_a_classic_build_are_those_that_the_dockerfile_implies() -> None:
    assert inputs(by_classic().graph) == {
        "0": (),
        "1": ("0",),
        "2": (),
        "3": ("2",),
        "4": (),
        "5": ("4",),
        "6": ("5",),
        "7": ("6", "1"),
        "8": ("7", "3"),
        "9": ("8",),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a AS One\nRUN x\nFROM one\nRUN y\n", {("0", "1"), ("1", "2"), ("2", "3")}),
        ("FROM a AS one\nRUN x\nFROM b\nRUN --mount=type=bind,from=one,target=/m y\n", {("0", "1"), ("2", "3"), ("1", "3")}),
        ("FROM a AS one\nFROM b AS one\nFROM one\n", {("1", "2")}),
        ("FROM a AS one\nFROM b\nCOPY --from=9 /x /\nCOPY --from=other /x /\n", {("1", "2"), ("2", "3")}),
        ("FROM a\nCOPY --from=0 /x /\n", {("0", "1")}),
        ("ARG V=1\nFROM a:$V\nRUN x\n", {("1", "2")}),
    ],
)
def test_what_a_dockerfile_implies(text: str, expected: set[tuple[str, str]]) -> None:
    assert set(by_classic(text).graph.edges) == expected


def test_a_vertex_whose_inputs_are_not_told_yet_hangs_on_what_the_dockerfile_implies() -> None:
    told = {"right": TOLD["right"], "base": TOLD["base"]}
    graph = by_buildkit(told=told, outcome="running").graph
    assert inputs(graph)["3"] == ("0",)
    assert inputs(graph)["8"] == ("7", "3")
    assert {vertex.digest: vertex.state for vertex in graph.vertices}["8"] == "waiting"


def test_a_base_may_have_the_name_that_it_has_in_another_build() -> None:
    told = {**TOLD, "base": ("[1/3] FROM docker.io/library/busybox:latest", (), 0.6, 0.6)}
    graph = by_buildkit(told=told).graph
    assert inputs(graph) == inputs(by_buildkit().graph)
    assert [vertex.started for vertex in graph.vertices if vertex.kind == "base"] == [100.6]


def test_an_image_that_copy_names_is_a_vertex_of_its_own() -> None:
    told = {
        "base": ("[1/2] FROM docker.io/library/busybox:latest", (), 0.0, 0.0),
        "tool": ("FROM docker.io/library/alpine:latest", (), 0.0, 1.0),
        "copy": ("[2/2] COPY --from=alpine /x /x", ("base", "tool"), 1.0, 2.0),
    }
    graph = by_buildkit("FROM busybox\nCOPY --from=alpine /x /x\n", told).graph
    assert inputs(graph) == {"0": (), "1": ("0", "tool"), "tool": ()}
    assert "FROM docker.io/library/alpine:latest" in graph.dot


def test_a_shared_base_belongs_to_no_stage_and_takes_its_time_once() -> None:
    told = {**TOLD, "base": ("[right 1/2] FROM docker.io/library/busybox:latest", (), 0.6, 2.0)}
    build = by_buildkit(told=told)
    bases = [vertex for vertex in build.graph.vertices if vertex.kind == "base"]
    assert [(vertex.text, vertex.stage, vertex.state, round(vertex.seconds, 3)) for vertex in bases] == [
        ("FROM busybox", None, "done", 1.4)
    ]
    assert build.graph.timeline.count("FROM busybox") == 1
    assert [step.state for step in build.steps if step.keyword == "FROM"] == ["done"] * 3, "each row has the state of the vertex"


def test_a_stage_that_has_nothing_else_keeps_its_from() -> None:
    text = "FROM busybox AS left\nRUN echo left\nFROM busybox AS bare\nFROM bare\nCOPY --from=left /a /\nCOPY --from=bare /b /\n"
    told = {
        "base": ("[left 1/2] FROM docker.io/library/busybox:latest", (), 0.0, 1.0),
        "left": ("[left 2/2] RUN echo left", ("base",), 1.0, 2.0),
        "a": ("[stage-2 1/2] COPY --from=left /a /", ("base", "left"), 2.0, 3.0),
        "b": ("[stage-2 2/2] COPY --from=bare /b /", ("a", "base"), 3.0, 4.0),
    }
    graph = by_buildkit(text, told).graph
    assert {vertex.digest: (vertex.stage, vertex.seconds) for vertex in graph.vertices if vertex.kind == "base"} == {
        "0": (None, 1.0),
        "2": ("bare", 0.0),
        "3": ("stage-2", 0.0),
    }
    assert inputs(graph)["2"] == ("0",)
    assert inputs(graph)["4"] == ("3", "1")


def test_the_first_of_the_stages_may_have_nothing_else() -> None:
    text = "FROM busybox AS bare\nFROM busybox\nCOPY --from=bare /b /\n"
    told = {
        "base": ("[stage-1 1/2] FROM docker.io/library/busybox:latest", (), 0.0, 1.0),
        "b": ("[stage-1 2/2] COPY --from=bare /b /", ("base",), 1.0, 2.0),
    }
    graph = by_buildkit(text, told).graph
    assert {vertex.digest: (vertex.stage, vertex.seconds, vertex.inputs) for vertex in graph.vertices} == {
        "0": ("bare", 0.0, ("1",)),
        "1": (None, 1.0, ()),
        "2": ("stage-1", 1.0, ("1",)),
    }
    both = by_buildkit("FROM busybox AS a\nFROM busybox\nCMD x\n", {"base": told["base"]}).graph
    assert {vertex.stage for vertex in both.vertices} <= {"a", "stage-1"}


def test_the_platform_tells_two_stages_of_one_image_apart() -> None:
    text = "FROM --platform=linux/arm64 busybox AS a\nRUN a\nFROM busybox AS b\nRUN b\nFROM b\nCOPY --from=a /a /\n"
    told = {
        "arm": ("[linux/arm64 a 1/2] FROM docker.io/library/busybox:latest@sha256:" + "1" * 64, (), 0.0, 1.0),
        "amd": ("[linux/amd64 b 1/2] FROM docker.io/library/busybox:latest@sha256:" + "1" * 64, (), 0.0, 0.0),
        "a": ("[linux/arm64 a 2/2] RUN a", ("arm",), 1.0, 2.0),
        "b": ("[linux/amd64 b 2/2] RUN b", ("amd",), 1.0, 2.0),
    }
    build = by_buildkit(text, told)
    assert [step.state for step in build.steps if step.line in (1, 3)] == ["done", "cached"]
    assert inputs(build.graph)["1"] == ("0",)
    assert inputs(build.graph)["3"] == ("2",)


TRIGGERED = "FROM onb AS a\nRUN own a\nFROM onb\nENV X=1\nCOPY --from=a /a /\n"
BY_ENGINE = {
    # Engine 28 names the trigger, counts those without a vertex too, and tells what comes last first.
    "28": {
        "copy": ("[stage-1 4/5] COPY --from=a /a /", ("two", "own"), 4.0, 5.0),
        "own": ("[a 4/5] RUN own a", ("two",), 3.0, 4.0),
        "two": ("[a 3/5] ONBUILD WORKDIR /w", ("one",), 2.0, 3.0),
        "one": ("[a 2/5] ONBUILD RUN one", ("base",), 1.0, 2.0),
        "base": ("[a 1/2] FROM docker.io/library/onb:latest", (), 0.0, 0.0),
    },
    "20": {
        "base": ("[stage-1 1/2] FROM docker.io/library/onb", (), 0.0, 0.0),
        "one": ("[stage-1 2/2] RUN one", ("base",), 1.0, 2.0),
        "two": ("[stage-1 3/2] WORKDIR /w", ("one",), 2.0, 3.0),
        "own": ("[a 4/2] RUN own a", ("two",), 3.0, 4.0),
        "copy": ("[stage-1 4/2] COPY --from=a /a /", ("two", "own"), 4.0, 5.0),
    },
}


@pytest.mark.parametrize("version", BY_ENGINE)
@pytest.mark.parametrize("is_known", [False, True])
def test_what_a_base_image_brings_stands_under_its_from(version: str, is_known: bool) -> None:
    build = by_buildkit(TRIGGERED, BY_ENGINE[version], triggers=("RUN one", "ENV Q=2", "WORKDIR /w") if is_known else ())
    found = [(step.base_line, step.text, step.state, step.effect) for step in build.steps if step.trigger]
    brought = [("ONBUILD RUN one", "done", "layer"), ("ONBUILD ENV Q=2", "done", "config"), ("ONBUILD WORKDIR /w", "done", "layer")]
    brought = brought if is_known else [brought[0], brought[2]]
    assert found == [(line, *rest) for line in (1, 3) for rest in brought]
    assert [step.text for step in build.steps if step.line] == TRIGGERED.splitlines(), "each instruction is told once"
    assert {step.state for step in build.steps if step.line in (2, 4, 5)} == {"done"}
    last = "0.3" if is_known else "0.2"
    assert inputs(build.graph) == {"0": (), "0.1": ("0",), last: ("0.1",), "1": (last,), "4": (last, "1")}
    assert [vertex.stage for vertex in build.graph.vertices] == [None, None, None, "a", "stage-1"]


def test_the_critical_path_is_the_chain_that_takes_longest() -> None:
    graph = by_buildkit().graph
    assert [vertex.digest for vertex in graph.critical_path] == ["definition", "metadata", "0", "3", "8", "export"]
    assert sum(vertex.seconds for vertex in graph.critical_path) == pytest.approx(4.0)
    assert [vertex.digest for vertex in by_classic().graph.critical_path] == ["4", "5", "6", "7", "8", "9"]


def test_where_nothing_took_time_there_is_no_critical_path() -> None:
    assert by_classic(seconds=0.0).graph.critical_path == ()


def test_circles_and_strangers_among_the_inputs_do_no_harm() -> None:
    told = {
        "left": ("[left 2/2] RUN echo left", ("right", "left", "nobody"), 0.0, 1.0),
        "right": ("[right 2/2] RUN echo right", ("left",), 0.0, 2.0),
    }
    graph = by_buildkit(told=told).graph
    assert {vertex.digest for vertex in graph.critical_path} <= {vertex.digest for vertex in graph.vertices}
    assert all(source in inputs(graph) and source != target for source, target in graph.edges)


def test_a_long_chain_is_no_depth() -> None:
    text = "FROM a\n" + "RUN x\n" * 5000
    assert len(by_classic(text).graph.critical_path) == 5001


def test_a_stage_that_was_not_needed_is_no_part_of_a_build_that_is_done() -> None:
    dockerfile = parse("FROM a AS unused\nRUN x\nFROM b\nRUN y\n")
    trace = Trace(dockerfile, (), "classic", "", 100.0)
    for i in range(4):
        trace.apply(Vertex(str(i), "", started=None if i < 2 else 100.0, completed=None if i < 2 else 101.0))
    assert trace.snapshot(102.0, "done").graph.stages == ("stage-1",)
    assert trace.snapshot(102.0, "failed").graph.stages == ("unused", "stage-1")


def test_what_an_interrupt_stopped_and_what_was_printed() -> None:
    trace = Trace(parse("FROM a\nRUN x\n"), (), "classic", "", 100.0)
    trace.apply(Vertex("0", "", started=100.0, completed=100.0))
    trace.apply(Vertex("1", "", started=101.0))
    trace.apply(Log("1", b"one\ntwo\n"))
    running, stopped = (trace.snapshot(103.0, outcome).graph.vertices[1] for outcome in ("running", "interrupted"))
    assert (running.state, running.seconds, running.log) == ("running", 2.0, ("one", "two"))
    assert (stopped.state, stopped.seconds) == ("stopped", 2.0)


def test_a_record_stays_a_value_and_its_graph_is_made_once() -> None:
    build = by_buildkit()
    assert build.graph is build.graph
    assert build == by_buildkit()
