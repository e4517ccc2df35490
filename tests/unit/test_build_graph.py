"""A build's graph as values: edges that an engine tells or the Dockerfile implies, states, times, the critical path."""

from __future__ import annotations

import pytest

from dockerlab.builds import buildkit
from dockerlab.builds.graph import Graph
from dockerlab.builds.record import Build, Trace
from dockerlab.dockerfile import parse
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
    text: str = TEXT, told: dict[str, tuple[str, tuple[str, ...], float, float]] = TOLD, outcome: str = "done"
) -> Build:
    """What BuildKit tells of a build, through the adapter."""
    dockerfile = parse(text)
    adapter, trace = buildkit.Adapter(dockerfile), Trace(dockerfile, ("app:latest",), "buildkit", "", 100.0)
    events = [*adapter.begin()]
    for digest, (name, inputs, began, ended) in told.items():
        vertex = Vertex(digest, name, inputs, 100 + began, 100 + ended, cached=began == ended)
        events += adapter._vertex(vertex, 100.0)
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


def test_edges_of_buildkit_are_those_that_it_tells_with_each_from_in_its_stage() -> None:
    assert inputs(by_buildkit().graph) == {
        "0": ("metadata",),
        "1": ("0",),
        "2": ("metadata",),
        "3": ("2",),
        "4": ("metadata",),
        "6": ("4", "context"),
        "7": ("6", "1"),
        "8": ("7", "3"),
        "definition": (),
        "metadata": ("definition",),
        "ignore": ("definition",),
        "context": ("ignore",),
        "export": ("8",),
    }


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
    assert inputs(graph)["3"] == ("2",)
    assert inputs(graph)["8"] == ("7", "3")
    assert {vertex.digest: vertex.state for vertex in graph.vertices}["8"] == "waiting"


def test_a_base_may_have_the_name_that_it_has_in_another_build() -> None:
    told = {**TOLD, "base": ("[1/3] FROM docker.io/library/busybox:latest", (), 0.6, 0.6)}
    graph = by_buildkit(told=told).graph
    assert inputs(graph) == inputs(by_buildkit().graph)
    assert [vertex.started for vertex in graph.vertices if vertex.kind == "base"] == [100.6] * 3


def test_an_image_that_copy_names_is_a_vertex_of_its_own() -> None:
    told = {
        "base": ("[1/2] FROM docker.io/library/busybox:latest", (), 0.0, 0.0),
        "tool": ("FROM docker.io/library/alpine:latest", (), 0.0, 1.0),
        "copy": ("[2/2] COPY --from=alpine /x /x", ("base", "tool"), 1.0, 2.0),
    }
    graph = by_buildkit("FROM busybox\nCOPY --from=alpine /x /x\n", told).graph
    assert inputs(graph) == {"0": (), "1": ("0", "tool"), "tool": ()}
    assert "FROM docker.io/library/alpine:latest" in graph.dot


def test_a_shared_base_is_what_it_is_in_every_stage() -> None:
    graph = by_buildkit().graph
    bases = [vertex for vertex in graph.vertices if vertex.kind == "base"]
    assert [(vertex.stage, vertex.state, vertex.started) for vertex in bases] == [
        ("left", "cached", 100.6),
        ("right", "cached", 100.6),
        ("stage-2", "cached", 100.6),
    ]


def test_the_critical_path_is_the_chain_that_takes_longest() -> None:
    graph = by_buildkit().graph
    assert [vertex.digest for vertex in graph.critical_path] == ["definition", "metadata", "2", "3", "8", "export"]
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
