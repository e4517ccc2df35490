"""A build's graph: what takes what from where, and which chain of it made the build as long as it was. Pure: a record in, values out.

    build.graph.vertices          Vertex: text, stage, state, seconds, log, inputs
    build.graph.edges             (from, to), by digest
    build.graph.critical_path     the chain of vertexes that takes the longest: nothing else can make the build shorter
    build.graph.dot               the picture, for Graphviz; .svg and .png: drawn by it

An instruction's digest is its index in the Dockerfile, as in the record, and so are those of the triggers of a base image (ONBUILD).
Where the engine tells a vertex's inputs (BuildKit), they are its edges, and the steps around a build (the context, the export) hang on what
they serve. Instructions without a vertex (ENV, CMD, …) are no part of that graph. A classic builder tells no inputs: the edges are those
that the Dockerfile implies, from the instruction before, the stage in FROM, and those of `COPY --from` and `RUN --mount=from=`; and since
it runs one step after the other, its critical path is what would remain if stages ran side by side.

Stages with one base image share its vertex on BuildKit, and those of its triggers. It is there once, and belongs to none of them: it takes
its time once, in the timeline too, and the edges into each stage say what would wait if it were slow. In the first stage it would look as
if the others took something from that one; in each, as if the image were pulled as often. A stage that has nothing else keeps its FROM.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from dockerlab.builds import wording
from dockerlab.builds.rows import COUNTED, place
from dockerlab.dockerfile import Dockerfile, Stage
from dockerlab.dockerfile.planning import SCRATCH
from dockerlab.dockerfile.shape import Shape
from dockerlab.drawing import Drawn
from dockerlab.faces import graph as faces
from dockerlab.faces.hiding import hide_in_instruction

if TYPE_CHECKING:
    from dockerlab.builds.record import Build, Step

INTERNAL: Final = "internal"
_WITH_VERTEX: Final = ("FROM", *COUNTED)
_STAGE: Final = re.compile(r"\[(?:[a-z0-9]+/\S+ )?(?P<stage>[^\s\]]+) +\d+/\d+\] ")
_AS: Final = re.compile(r"\s+AS\s+\S+$", re.IGNORECASE)
_METADATA: Final = re.compile(r"\[internal\] load metadata for (\S+)")
_DEFINITION: Final = "[internal] load build definition"
_IGNORE: Final = "[internal] load .dockerignore"
_CONTEXT: Final = "[internal] load build context"
_EXPORT: Final = "exporting to "


@dataclass(frozen=True)
class Vertex:
    """A vertex of the graph. `dockerlab.wire.trace.Vertex` is what was reported of it; this is what became of it.

    digest: of an instruction or a trigger as in `rows`; of others what the engine calls them. text: the instruction on one line.
    kind: "base", "layer" or "config", what the instruction adds; "internal" for the builder's own. stage: its name, or `stage-0`; None
    for the builder's own, and for a base that several stages share. line: 1-based, or None. inputs: digests. state: waiting, running,
    cached, done, failed or stopped, which an interrupt did. started, completed: seconds since the epoch by the engine's clock, None for
    what is no work of its own. seconds: how long it took, or takes by now. log: the lines that it printed. is_critical: whether it is on
    the critical path.
    """

    digest: str
    text: str
    kind: str
    stage: str | None
    line: int | None
    inputs: tuple[str, ...]
    state: str
    started: float | None
    completed: float | None
    seconds: float
    log: tuple[str, ...] = ()
    is_critical: bool = False


@dataclass(frozen=True, repr=False)
class Graph(Drawn):
    """The graph of a build at one moment. vertices: in the Dockerfile's order. stages: as in `Vertex.stage`. moment: as in `Build`.

    takes: stage → the stages that it takes something from, as the Dockerfile says. is_over: whether the build has ended.
    """

    name: str
    vertices: tuple[Vertex, ...]
    stages: tuple[str, ...]
    takes: Mapping[str, tuple[str, ...]]
    moment: float
    is_over: bool

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """(from, to): the second needs the first."""
        return tuple((source, vertex.digest) for vertex in self.vertices for source in vertex.inputs)

    @property
    def critical_path(self) -> tuple[Vertex, ...]:
        """The chain that takes the longest, from its beginning; empty where nothing took time."""
        chain = [vertex for vertex in self.vertices if vertex.is_critical]
        return tuple(sorted(chain, key=lambda vertex: self._depths[vertex.digest]))

    @property
    def dot(self) -> str:
        """The picture as DOT text: `dot -Tpng`."""
        return faces.dot(self)

    @property
    def timeline(self) -> str:
        """Plain text: one bar a vertex, in the order in which they began."""
        return faces.timeline(self)

    @cached_property
    def _depths(self) -> Mapping[str, int]:
        depths: dict[str, int] = {}
        for vertex in _in_order(self.vertices):
            depths[vertex.digest] = 1 + max((depths.get(source, 0) for source in vertex.inputs), default=0)
        return depths

    def _label(self) -> str:
        return f"graph of build {self.name}"

    def _text(self) -> str:
        return faces.text(self)

    def _table(self) -> str:
        return faces.tree(self)

    def _html(self) -> str:
        return faces.html(self, self.picture)


def graph(build: Build, dockerfile: Dockerfile) -> Graph:
    """The graph of a build of that Dockerfile."""
    shape = Shape(dockerfile, build.bases)
    is_over = build.outcome != "running"
    found = _vertices(build, shape)
    if build.outcome == "done":
        # A stage that nothing needed was no part of the build.
        seen = {vertex.stage for vertex in found if vertex.state != "waiting"}
        found = [vertex for vertex in found if vertex.stage in seen]
    found = _without_strangers(_with_internal(found, shape))
    critical = _critical(found)
    vertices = tuple(replace(vertex, is_critical=vertex.digest in critical) for vertex in found)
    present = {vertex.stage for vertex in vertices}
    names = tuple(label for label in shape.labels if label in present)
    name = ", ".join(build.tags) or "image without a tag"
    return Graph(name, vertices, names, shape.takes(), build.moment, is_over)


def _stage_of(shape: Shape, digest: str) -> Stage | None:
    """The stage of a row."""
    spot = place(digest)
    return shape.stage_of.get(spot[0]) if spot else None


def _vertices(build: Build, shape: Shape) -> list[Vertex]:
    """The steps as vertexes, with the edges between instructions."""
    is_classic = build.builder == "classic"
    steps = {step.vertex.digest: step for step in build.steps}
    # Rows with a vertex, in the order in which they are carried out, by stage.
    chains: dict[int, list[str]] = {}
    for step in build.steps:
        if (stage := _stage_of(shape, step.vertex.digest)) and (is_classic or step.keyword in _WITH_VERTEX):
            chains.setdefault(stage.index, []).append(step.vertex.digest)
    own = {digest for chain in chains.values() for digest in chain}
    named = {digest for step in build.steps for digest in step.vertex.inputs}
    found: list[Vertex] = []
    for step in build.steps:
        digest = step.vertex.digest
        stage = _stage_of(shape, digest)
        if stage is None:
            said = _STAGE.match(step.vertex.name)
            name = said["stage"].lower() if said and said["stage"].lower() in shape.labels else None
            if step.keyword == "FROM" and step.vertex.name.startswith("[") and digest not in named:
                # Another build's, at work at the same time.
                continue
            found.append(_vertex(step, build, step.effect if name else INTERNAL, name, step.vertex.inputs))
        elif digest in own:
            implied = tuple(_implied(digest, shape, chains))
            told = tuple(one for one in step.vertex.inputs if one in steps)
            if is_classic or not told:
                inputs = implied
            else:
                inputs = told if _first(digest, told, shape) else tuple(_placed(stage, told, implied, shape))
            if len(told) < len(step.vertex.inputs):
                # It names one that is told of later.
                inputs = (*inputs, *implied)
            found.append(_vertex(step, build, step.effect, shape.labels[stage.index], inputs))
    return found if is_classic else _shared([_idle(vertex, shape) for vertex in found], shape)


def _vertex(step: Step, build: Build, kind: str, stage: str | None, inputs: Iterable[str]) -> Vertex:
    reported, state = step.vertex, step.state
    if state == "running" and build.outcome != "running":
        state = "stopped"
    is_timed = state in ("running", "done", "failed", "stopped")
    seconds = step.seconds(build.moment) if is_timed else 0.0
    return Vertex(
        reported.digest, hide_in_instruction(step.text), kind, stage, step.line, tuple(dict.fromkeys(inputs)), state,
        reported.started, reported.completed, seconds, step.output,
    )  # fmt: skip


def _implied(digest: str, shape: Shape, chains: Mapping[int, Sequence[str]]) -> Iterator[str]:
    """What the Dockerfile says that a row needs."""
    index, trigger = place(digest) or (0, 0)
    stage = shape.stage_of[index]
    chain = chains[stage.index]
    if (at := chain.index(digest)) == 0:
        base = shape.base(stage)
        if base is not None:
            yield chains[base][-1]
        return
    yield chain[at - 1]
    yield from (chains[source][-1] for source in (shape.sources(index) if not trigger else ()))


def _placed(stage: Stage, told: Sequence[str], implied: Sequence[str], shape: Shape) -> Iterator[str]:
    """The engine's inputs of a row; what a stage begins with, where FROM names a stage or scratch, is its own FROM."""
    begins = str(stage.nodes[0])
    is_first = implied[:1] == (begins,)
    has_base = False
    for one in told:
        other = _stage_of(shape, one)
        is_base = is_first and other is not None and (other is stage or one not in implied)
        has_base |= is_base
        yield begins if is_base else one
    if is_first and not has_base:
        yield begins


def _idle(vertex: Vertex, shape: Shape) -> Vertex:
    """A FROM of a stage, or of scratch, is no work."""
    stage = _stage_of(shape, vertex.digest)
    if vertex.kind != "base" or stage is None or (shape.base(stage) is None and stage.base.lower() != SCRATCH):
        return vertex
    return replace(vertex, started=None, completed=None, seconds=0.0)


def _shared(found: Sequence[Vertex], shape: Shape) -> list[Vertex]:
    """Bases of several stages, and their triggers, once: a row that has the same one of another stage as its only input is that one."""
    same = {vertex.digest: first for vertex in found if (first := _first(vertex.digest, vertex.inputs, shape))}
    firsts = {first: first for first in same.values()}
    by_digest = {vertex.digest: vertex for vertex in found}
    with_more = {vertex.stage for vertex in found if vertex.digest not in same and vertex.digest not in firsts}
    # What stands for each: the one of a stage that has more than this.
    heads: dict[str, str] = {}
    for vertex in found:
        if vertex.stage in with_more and (first := same.get(vertex.digest, firsts.get(vertex.digest))):
            heads.setdefault(first, vertex.digest)
    done: list[Vertex] = []
    for vertex in found:
        first = same.get(vertex.digest, firsts.get(vertex.digest))
        head = heads.get(first) if first else None
        if first and head == vertex.digest:
            text = _AS.sub("", vertex.text) if vertex.kind == "base" else vertex.text
            vertex = replace(by_digest[first], digest=head, text=text, line=vertex.line, stage=None)
        elif first and vertex.stage in with_more:
            continue
        elif first and (head or vertex.digest in same):
            vertex = replace(vertex, inputs=(head,) if head else (), started=None, completed=None, seconds=0.0)
        inputs = (
            _head(one, same, firsts, heads) if by_digest[one].stage in with_more else one
            for one in vertex.inputs
            if one in by_digest
        )
        strangers = (one for one in vertex.inputs if one not in by_digest)
        done.append(replace(vertex, inputs=tuple(dict.fromkeys((*inputs, *strangers)))))
    return done


def _head(digest: str, same: Mapping[str, str], firsts: Mapping[str, str], heads: Mapping[str, str]) -> str:
    """The vertex that stands for a shared row; of any other itself."""
    return heads.get(same.get(digest, firsts.get(digest, "")), digest)


def _first(digest: str, inputs: Sequence[str], shape: Shape) -> str | None:
    """The row of another stage whose vertex this one shares."""
    spot, other = place(digest), place(inputs[0]) if len(inputs) == 1 else None
    if spot is None or other is None or spot[1] != other[1] or spot[0] not in shape.stage_of or other[0] not in shape.stage_of:
        return None
    stage, first = shape.stage_of[spot[0]], shape.stage_of[other[0]]
    is_row = spot[1] > 0 or (spot[0], other[0]) == (stage.nodes[0], first.nodes[0])
    return inputs[0] if is_row and stage is not first and shape.base(stage) == shape.base(first) else None


def _with_internal(found: Sequence[Vertex], shape: Shape) -> list[Vertex]:
    """The builder's own steps hang on what they serve."""
    names = {vertex.digest: vertex.text for vertex in found if vertex.kind == INTERNAL}

    def of(start: str) -> list[str]:
        # A record's text has lost the "[internal] " of the name.
        return [digest for digest, text in names.items() if text.startswith(start.removeprefix("[internal] "))]

    images: dict[str, list[str]] = {}
    for digest, text in names.items():
        if match := _METADATA.fullmatch(f"[internal] {text}"):
            images.setdefault(wording.canonical(match[1]), []).append(digest)
    used = {source for vertex in found for source in vertex.inputs}
    sinks = [v.digest for v in found if v.stage and v.digest not in used and v.state != "waiting"]
    definition, ignore = of(_DEFINITION), of(_IGNORE)
    exports = set(of(_EXPORT))
    first_images = {digest for digests in images.values() for digest in digests}
    done = []
    for vertex in found:
        more: list[str] = []
        if vertex.kind == "base" and (stage := _stage_of(shape, vertex.digest)) and not vertex.inputs:
            more = images.get(wording.canonical(stage.base), [])
        elif vertex.digest in first_images or vertex.digest in ignore:
            more = definition
        elif vertex.kind == INTERNAL and vertex.text.startswith(_CONTEXT.removeprefix("[internal] ")):
            more = ignore
        elif vertex.digest in exports and not vertex.inputs:
            more = sinks
        done.append(replace(vertex, inputs=tuple(dict.fromkeys((*vertex.inputs, *more)))))
    return done


def _without_strangers(found: Sequence[Vertex]) -> list[Vertex]:
    """Edges from vertexes that are not there, or from itself, go."""
    known = {vertex.digest for vertex in found}
    return [
        replace(vertex, inputs=tuple(one for one in vertex.inputs if one in known and one != vertex.digest)) for vertex in found
    ]


def _in_order(found: Sequence[Vertex]) -> Iterator[Vertex]:
    """Each after its inputs. What an engine tells may be anything: of a circle, the first comes first."""
    by_digest = {vertex.digest: vertex for vertex in found}
    given: set[str] = set()
    for start in found:
        waiting = [(start, iter(start.inputs))]
        entered = {start.digest}
        while waiting and start.digest not in given:
            vertex, rest = waiting[-1]
            following = next((one for one in rest if one in by_digest and one not in given and one not in entered), None)
            if following is None:
                waiting.pop()
                if vertex.digest not in given:
                    given.add(vertex.digest)
                    yield vertex
            else:
                entered.add(following)
                waiting.append((by_digest[following], iter(by_digest[following].inputs)))


def _critical(found: Sequence[Vertex]) -> set[str]:
    """The chain whose seconds add up to most."""
    length: dict[str, float] = {}
    before: dict[str, str | None] = {}
    for vertex in _in_order(found):
        longest = max((one for one in vertex.inputs if one in length), key=lambda one: length[one], default=None)
        before[vertex.digest] = longest
        length[vertex.digest] = vertex.seconds + (length[longest] if longest is not None else 0.0)
    at = max(length, key=lambda one: length[one], default=None)
    chain: set[str] = set()
    if at is None or length[at] == 0:
        return chain
    while at is not None:
        chain.add(at)
        at = before[at]
    return chain
