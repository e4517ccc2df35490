"""The graph of a build as BuildKit shows it: which vertexes there are, how they are called, what each needs. Pure.

    graph = Graph(program, plan, tags)
    graph.all(context="…")              each with its inputs, in the Dockerfile's order
    graph.of(command)                   the one of a RUN, COPY, ADD, WORKDIR or of a FROM that names an image; None for others
    graph.name(command, variables)      with variables replaced as far as they are known

    [internal] load metadata for docker.io/library/busybox:latest
    [build 2/4] RUN make                the second of its stage's instructions that have a vertex, a FROM of an image among them

Where the whole Dockerfile is one stage it has no name. Stages that stand on one image share its vertex, which is called as in the last one.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from dockerlab.dockerfile.commands import Add, Command, Copy, Run, Workdir
from dockerlab.dockerfile.planning import Plan, Planned
from dockerlab.dockerfile.program import Program
from dockerlab.dockerfile.words import Lexer
from dockerlab.errors import DockerfileError, InvalidReference
from dockerlab.reference import parse
from dockerlab.wire.trace import Vertex

CONTEXT: Final = "[internal] load build context"
EXPORT: Final = "exporting to image"
_COUNTED: Final = (Run, Copy, Add, Workdir)
REMOTE: Final = re.compile(r"(?:https?|git|ssh)://|git@")


def digest(*what: object) -> str:
    """A name for a vertex within a build."""
    return f"sha256:{hashlib.sha256(json.dumps(what).encode()).hexdigest()}"


def canonical(name: str) -> str:
    """An image's whole name; one that is none stays as it is."""
    try:
        return parse(name).canonical
    except InvalidReference:
        return name


def is_counted(command: Command) -> bool:
    """Whether an instruction has a vertex of its own."""
    return isinstance(command, _COUNTED)


class Graph:
    """Triggers of an image that is yet to be pulled are added when they are known."""

    def __init__(self, program: Program, plan: Plan) -> None:
        self._program, self._plan = program, plan
        self._planned = {planned.stage.index: planned for planned in plan.stages}
        self._commands = {index: planned.commands for index, planned in self._planned.items()}
        self._lexer = Lexer(program.dockerfile.escape)
        self._names: dict[int, str] = {}
        self._digests: dict[int, str] = {}
        self._bases: dict[str, str] = {}
        self._is_one = len(program.stages) == 1 and not any(self._foreign(command) for command in program.stages[0].commands)
        for index in self._planned:
            self._number(index)
        for planned in plan.stages:
            for command in planned.commands:
                for name in self._images(command):
                    self._bases[canonical(name)] = f"FROM {canonical(name)}"

    def add_triggers(self, planned: Planned, triggers: Sequence[Command]) -> None:
        """The commands that an image brings."""
        index = planned.stage.index
        if triggers and not planned.triggers:
            self._commands[index] = (*triggers, *planned.commands)
            self._number(index)

    # Which there are

    def all(self) -> Iterator[Vertex]:
        """Those of instructions and images."""
        for name, said in self._bases.items():
            yield Vertex(self.base(name), said)
        for planned in self._plan.stages:
            yield from self.stage(planned)

    def stage(self, planned: Planned) -> Iterator[Vertex]:
        """Those of a stage's instructions."""
        for command in self._commands[planned.stage.index]:
            if is_counted(command):
                yield Vertex(self._digests[id(command)], self.name(command, {}), self.inputs(planned, command))

    def of(self, command: Command) -> str | None:
        """The digest of an instruction's vertex."""
        return self._digests.get(id(command))

    def base(self, name: str) -> str:
        """The digest of an image's vertex."""
        return digest("image", canonical(name))

    def base_name(self, name: str) -> str:
        """What an image's vertex is called."""
        return self._bases.get(canonical(name), f"FROM {canonical(name)}")

    @property
    def needs_context(self) -> bool:
        """Whether anything is taken from the build context."""
        return any(takes_context(command) for commands in self._commands.values() for command in commands)

    @property
    def target(self) -> str | None:
        """The digest of the last vertex."""
        return self._tail(self._plan.target)

    # What each needs

    def inputs(self, planned: Planned, command: Command) -> tuple[str, ...]:
        """The digests of what an instruction stands on and takes from."""
        before = self._before(planned.stage.index, command)
        found = [before] if before else []
        if takes_context(command):
            found.append(digest("context"))
        for name in _sources(command):
            index = self._plan.source(command, name) if isinstance(command, Copy | Run) else None
            if index is None:
                found.append(self.base(name))
            elif tail := self._tail(index):
                found.append(tail)
        return tuple(dict.fromkeys(found))

    def _before(self, index: int, command: Command | None) -> str | None:
        """What a stage has done before a command; before its end for None."""
        last: str | None = None
        for each in self._commands.get(index, ()):
            if each is command:
                break
            last = self._digests.get(id(each), last)
        if last:
            return last
        planned = self._planned.get(index)
        if planned is None or planned.is_scratch:
            return None
        return self.base(planned.base) if planned.base_stage is None else self._tail(planned.base_stage)

    def _tail(self, index: int) -> str | None:
        return self._before(index, None)

    # How they are called

    def name(self, command: Command, variables: Mapping[str, str]) -> str:
        """A vertex's name."""
        text = command.node.text.strip()
        heredocs = command.line.heredocs if isinstance(command, Run) else ()
        try:
            if isinstance(command, Run):
                text = Lexer(self._program.dockerfile.escape, raw_quotes=True, skip_unset=True).word(text, variables)
            elif variables:
                text = self._lexer.word(text, variables)
        except DockerfileError:
            text = command.node.text.strip()
        keyword, _, rest = text.partition(" ")
        text = f"{keyword.upper()} {rest}" if rest else keyword.upper()
        for heredoc in heredocs:
            lines = heredoc.content.splitlines() or [""]
            text += f" ({lines[0].strip()}{'...' if len(lines) > 1 else ''})"
        return self._names.get(id(command), "") + text

    def _number(self, index: int) -> None:
        planned = self._planned[index]
        has_image = planned.base_stage is None and not planned.is_scratch
        counted = [command for command in self._commands[index] if is_counted(command)]
        total = len(counted) + has_image
        label = "" if self._is_one else f"{planned.stage.label} "
        width = 1 + int(math.log10(total)) if total else 1
        for number, command in enumerate(counted, start=1 + has_image):
            self._names[id(command)] = f"[{label}{number:{width}}/{total}] "
            self._digests[id(command)] = digest(index, number, command.node.text)
        if has_image:
            name = canonical(planned.base)
            self._bases[name] = f"[{label}{1:{width}}/{total}] FROM {name}"
            self._digests[id(planned.stage.source)] = self.base(name)

    def _foreign(self, command: Command) -> bool:
        """Whether BuildKit makes a stage of its own of what a command takes from."""
        if isinstance(command, Run):
            return bool(command.mounts)
        return isinstance(command, Copy) and any(self._images(command))

    def _images(self, command: Command) -> Iterator[str]:
        """The images, no stages, that a command takes from."""
        for name in _sources(command):
            if isinstance(command, Copy | Run) and self._plan.source(command, name) is None:
                yield name


def takes_context(command: Command) -> bool:
    """Whether a command takes from the build context."""
    match command:
        case Copy(from_="", sources=sources):
            return bool(sources)
        case Add(sources=sources):
            return any(not REMOTE.match(source) for source in sources)
        case Run(mounts=mounts):
            return any(
                mount.type in ("bind", "cache") and not mount.from_ and (mount.type == "bind" or mount.source) for mount in mounts
            )
    return False


def _sources(command: Command) -> list[str]:
    """What `--from` names."""
    if isinstance(command, Copy):
        return [command.from_] if command.from_ else []
    if isinstance(command, Run):
        return [mount.from_ for mount in command.mounts if mount.from_]
    return []


__all__ = ["CONTEXT", "EXPORT", "Graph", "canonical", "digest", "is_counted", "takes_context"]
