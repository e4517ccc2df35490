"""Who takes what from whom: a Dockerfile's stages and the images that they are made of, as a graph. Nothing is built.

    found = graph(program(parse(text)), "web", {"VERSION": "3"})
    found.stages         Place: each with its FROM, whether the target needs it
    found.images         Source: images from elsewhere, with the ARGs that their names are made of
    found.edges          Taking: FROM, COPY --from, RUN --mount=from=, each with its line

Which stage a name means, and which a target needs, is `planning`'s to say; ONBUILD instructions of a stage count where it is built upon.
Those of images from elsewhere are not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dockerlab.dockerfile.commands import Command, Copy, Run
from dockerlab.dockerfile.planning import Plan, Planned
from dockerlab.dockerfile.program import Program
from dockerlab.dockerfile.words import Lexer


@dataclass(frozen=True, slots=True)
class Argument:
    """An ARG that a name is made of. origin: "line 1" for its default, "--build-arg", or "platform"."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Place:
    """A stage. label: its name, or `stage-0`. base: what FROM names, expanded; written: as it stands there, with --platform.

    arguments: that `base` is made of. steps: instructions after FROM. is_needed: by the target.
    """

    index: int
    label: str
    line: int
    base: str
    written: str
    arguments: tuple[Argument, ...]
    steps: int
    is_needed: bool
    is_target: bool


@dataclass(frozen=True, slots=True)
class Source:
    """An image from elsewhere. made: how its name is written where it is made of ARGs, and of which. is_needed: by the target.

    context: what a named context of the build says that it is, "" where there is none of that name.
    """

    name: str
    made: tuple[tuple[str, tuple[Argument, ...]], ...]
    is_needed: bool
    context: str = ""


@dataclass(frozen=True, slots=True)
class Taking:
    """source: a stage's index, or an image's name. target: the stage that takes. what: "/out/app → /bin/", or the folder of a mount."""

    source: int | str
    target: int
    kind: Literal["FROM", "COPY", "mount"]
    what: str
    line: int


@dataclass(frozen=True, slots=True)
class Graph:
    """stages: all, in the Dockerfile's order. images: in the order of their first use."""

    stages: tuple[Place, ...]
    images: tuple[Source, ...]
    edges: tuple[Taking, ...]

    @property
    def target(self) -> Place:
        """The stage that is wanted."""
        return next(stage for stage in self.stages if stage.is_target)


def graph(
    read: Program,
    target: str = "",
    build_args: Mapping[str, str | None] | None = None,
    *,
    build_platform: str = "linux/amd64",
    context: Callable[[str], str] = lambda name: "",
) -> Graph:
    """The graph for a target, "" for the last stage. Raises DockerfileError as `Program.plan`, for stages that are not needed, too.

    context: what a named context of the build puts in the place of an image or a stage of that name, "" for nothing.
    """
    given = {name: value for name, value in (build_args or {}).items() if value is not None}
    whole = read.plan(target, given, build_platform=build_platform, with_all=True)
    replaced = {index: name for name, index in whole.names.items() if context(name)}
    edges = tuple(edge for planned in whole.stages for edge in _edges(planned, whole, replaced))
    needed = _needed(whole.target, edges)
    naming = _Naming(read, whole, given)
    stages = tuple(_place(planned, naming, needed, whole.target) for planned in whole.stages)
    return Graph(stages, tuple(_images(stages, edges, context)), edges)


def _needed(target: int, edges: Sequence[Taking]) -> set[int]:
    """What is reached from the target."""
    sources: dict[int, list[int]] = {}
    for edge in edges:
        if isinstance(edge.source, int):
            sources.setdefault(edge.target, []).append(edge.source)
    found, waiting = set[int](), [target]
    while waiting:
        index = waiting.pop()
        if index not in found:
            found.add(index)
            waiting += sources.get(index, ())
    return found


class _Naming:
    """Of which ARGs a name is made."""

    def __init__(self, read: Program, plan: Plan, given: Mapping[str, str]) -> None:
        self._lexer, self._values, self._given = Lexer(read.dockerfile.escape), plan.globals, given
        self._lines = {name: command.node.line for command in read.arguments for name, _ in command.pairs}

    def arguments(self, text: str) -> tuple[Argument, ...]:
        """Those in a text, in the order in which they stand there."""
        names = self._lexer.expand(text, self._values).matched
        found = sorted(names, key=lambda name: (text.find(name), name))
        return tuple(Argument(name, self._values[name], self._origin(name)) for name in found if name in self._values)

    def _origin(self, name: str) -> str:
        if name in self._given:
            return "--build-arg"
        return f"line {self._lines[name]}" if name in self._lines else "platform"


def _place(planned: Planned, naming: _Naming, needed: set[int], target: int) -> Place:
    stage, source = planned.stage, planned.stage.source
    written = f"--platform={source.platform} {source.base}" if source.platform else source.base
    return Place(
        stage.index, stage.label, source.node.line, planned.base, written, naming.arguments(source.base), len(stage.commands),
        stage.index in needed, stage.index == target,
    )  # fmt: skip


def _edges(planned: Planned, plan: Plan, replaced: Mapping[int, str]) -> Iterator[Taking]:
    """What a stage takes. replaced: stages in the place of which something else is taken, by its name."""
    stage = planned.stage
    if not planned.is_scratch:
        source = planned.base if planned.base_stage is None else replaced.get(planned.base_stage, planned.base_stage)
        yield Taking(source, stage.index, "FROM", planned.stage.source.base, stage.source.node.line)
    for command in planned.commands:
        for name, kind, what in _taken(command):
            meant = plan.source(command, name)
            yield Taking(name if meant is None else replaced.get(meant, meant), stage.index, kind, what, command.node.line)


def _taken(command: Command) -> Iterator[tuple[str, Literal["COPY", "mount"], str]]:
    if isinstance(command, Copy) and command.from_:
        yield command.from_, "COPY", f"{' '.join(command.sources)} → {command.target}"
    if isinstance(command, Run):
        yield from ((mount.from_, "mount", mount.target) for mount in command.mounts if mount.from_)


def _images(stages: Sequence[Place], edges: Sequence[Taking], context: Callable[[str], str]) -> Iterator[Source]:
    users: dict[str, list[Taking]] = {}
    for edge in edges:
        if isinstance(edge.source, str):
            users.setdefault(edge.source, []).append(edge)
    for name, taking in users.items():
        made = {
            edge.what: stages[edge.target].arguments for edge in taking if edge.kind == "FROM" and stages[edge.target].arguments
        }
        yield Source(name, tuple(made.items()), any(stages[edge.target].is_needed for edge in taking), context(name))
