"""Where a build failed, and the Dockerfile cut there: what stands before the instruction makes the state that it began with. Pure.

found = point(parse(text), 7)        the instruction at line 7, or None where there is no state before it that could be started
found.before(text)                   the Dockerfile up to it; its last stage is the instruction's
found.script                         what a RUN runs, ready for a shell's standard input, lines as they were written
arguments(found.before(text), …)     the ARGs that it sees
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dockerlab.dockerfile import Dockerfile, Node, Stage, parse, stages
from dockerlab.dockerfile.commands import Arg, Command, Env, From, Run, Shell
from dockerlab.dockerfile.expansion import expanded
from dockerlab.dockerfile.planning import SCRATCH, Planned
from dockerlab.dockerfile.program import program
from dockerlab.dockerfile.reading import read
from dockerlab.dockerfile.words import SPACE
from dockerlab.errors import DockerfileError

SHELL: Final = ("/bin/sh", "-c")

_FILES: Final = ("RUN", "COPY", "ADD")
_SCRIPT: Final = re.compile(r"[0-9]*<<-?\s*(?:\w[\w.-]*|'[^']+'|\"[^\"]+\")")
_JOINED: Final = "\0"


@dataclass(frozen=True, slots=True)
class Point:
    """node: the instruction. stage: its stage. dockerfile: all of it."""

    dockerfile: Dockerfile
    node: Node
    stage: Stage

    def before(self, text: str) -> str:
        """What stands before it. text: the Dockerfile's, whose lines are kept to the byte, since a cache looks at heredocs."""
        return "".join(f"{line}\n" for line in text.split("\n")[: self.node.line - 1])

    @property
    def script(self) -> str:
        """What a RUN runs, as a shell reads it; "" for another instruction."""
        run = self._run
        if run is None:
            return ""
        if not run.line.is_shell:
            return shlex.join(run.line.words)
        if self._is_script:
            heredoc = self.node.heredocs[0]
            return re.sub(r"(?m)^\t+", "", heredoc.content) if heredoc.chomp else heredoc.content
        documents = "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in self.node.heredocs)
        return _as_written(self.node, self.dockerfile) + documents

    @property
    def interpreter(self) -> tuple[str, ...] | None:
        """What runs the script in place of a shell: of `RUN <<EOF` with a first line `#!…`."""
        first = self.script.partition("\n")[0]
        if not (self._is_script and first.startswith("#!")):
            return None
        return tuple(first[2:].split()) or None

    @property
    def mounts(self) -> tuple[str, ...]:
        """The step's own, as they are written."""
        return self._flags("--mount=")

    @property
    def network(self) -> str:
        """Of `RUN --network`: none, host or ""."""
        named = [flag.partition("=")[2] for flag in self._flags("--network=")]
        return named[-1] if named and named[-1] in ("none", "host") else ""

    @property
    def is_privileged(self) -> bool:
        """Whether it runs with rights that a container does not get."""
        return "--security=insecure" in self.node.flags

    @property
    def _run(self) -> Run | None:
        try:
            found = read(self.node, self.dockerfile)
        except DockerfileError:
            return None  # a flag that only the engine knows
        return found if isinstance(found, Run) else None

    @property
    def _is_script(self) -> bool:
        return len(self.node.heredocs) == 1 and _SCRIPT.fullmatch(self.node.arguments) is not None

    def _flags(self, start: str) -> tuple[str, ...]:
        return tuple(flag for flag in self.node.flags if flag.startswith(start)) if self.node.keyword == "RUN" else ()


def point(dockerfile: Dockerfile, line: int) -> Point | None:
    """The instruction that begins at a line, if there is a state before it: None for a FROM, and where its stage is empty so far."""
    found = stages(dockerfile)
    for stage in found:
        for index in stage.nodes[1:]:
            if dockerfile.nodes[index].line == line:
                is_there = _has_files(dockerfile, found, stage, index)
                return Point(dockerfile, dockerfile.nodes[index], stage) if is_there else None
    return None


def arguments(
    text: str,
    args: Mapping[str, str | None],
    environment: Mapping[str, str],
    *,
    build_platform: str,
    platform: str = "",
    are_inherited: bool = True,
) -> dict[str, str]:
    """The variables that a RUN at the end of a Dockerfile sees, and that no ENV hides: ARGs with a value, and proxies.

    args: of the build. environment: of the image that it makes. are_inherited: whether a stage has the ARGs of the one that it begins
    from, as in BuildKit. What an ARG of the base image's ONBUILD says is not known here.

    Raises DockerfileError for what our parser does not understand.
    """
    dockerfile = parse(text)
    plan = program(dockerfile).plan("", args, build_platform=build_platform, target_platform=platform)
    given = {name: value for name, value in args.items() if value is not None}
    commands = _chain(plan.stages, plan.target)
    own = {name for command in commands if isinstance(command, Env) for name, _ in command.pairs}
    # What no ENV of the Dockerfile sets comes from the base image.
    variables = {name: value for name, value in environment.items() if name not in own}
    found: dict[str, str] = {}
    for command in commands:
        if isinstance(command, From) and not are_inherited:
            found.clear()
        if not isinstance(command, Arg | Env):
            continue
        said = expanded(command, {**found, **variables}, dockerfile)
        if isinstance(said, Env):
            variables.update(said.pairs)
        elif isinstance(said, Arg):
            for name, default in said.pairs:
                value = given.get(name, default if default is not None else plan.globals.get(name))
                if value is None:
                    found.pop(name, None)
                else:
                    found[name] = value
    return {name: value for name, value in {**plan.proxies, **found}.items() if name not in environment}


def shell(text: str) -> tuple[str, ...]:
    """The words of the shell that reads a RUN at the end of a Dockerfile. Raises DockerfileError."""
    plan = program(parse(text)).plan("")
    found = [command.words for command in _chain(plan.stages, plan.target) if isinstance(command, Shell)]
    return found[-1] if found else SHELL


def reading_input(words: Sequence[str]) -> tuple[str, ...]:
    """A shell, such that it reads its standard input: without the `-c` at its end."""
    *start, last = words
    if not start or not re.fullmatch(r"-[a-zA-Z]*c", last):
        return tuple(words)
    return (*start, *([last[:-1]] if len(last) > 2 else []))


def _chain(several: Sequence[Planned], index: int) -> list[Command]:
    """The commands of a stage, its FROM first, after those of the stages that it begins from."""
    planned = next(one for one in several if one.stage.index == index)
    before = [] if planned.base_stage is None else _chain(several, planned.base_stage)
    return [*before, planned.stage.source, *planned.commands]


def _has_files(dockerfile: Dockerfile, found: Sequence[Stage], stage: Stage, end: int) -> bool:
    """Whether anything is in the file system of a stage before an instruction of it."""
    if any(dockerfile.nodes[index].keyword in _FILES for index in stage.nodes if index < end):
        return True
    earlier = [other for other in found[: stage.index] if other.name == stage.base.lower()]
    return _has_files(dockerfile, found, earlier[-1], end) if earlier else stage.base != SCRATCH


def _as_written(node: Node, dockerfile: Dockerfile) -> str:
    """A command with its line breaks, but without the comments between its lines."""
    joined = "" if dockerfile.escape != "\\" else _JOINED
    text = joined.join(_lines(node, dockerfile)).rstrip(SPACE + _JOINED)
    if text.replace(_JOINED, "").strip(SPACE) != node.text.strip(SPACE):
        return node.arguments
    # The command is the end of the instruction: so many characters, line breaks not counted.
    start, left = len(text), len(node.arguments)
    while left:
        start -= 1
        left -= text[start] != _JOINED
    return text[start:].replace(_JOINED, "\\\n")


def _lines(node: Node, dockerfile: Dockerfile) -> list[str]:
    """The lines of an instruction without what continues them, as the parser takes them."""
    found: list[str] = []
    for line in dockerfile.source[node.line - 1 : node.end_line]:
        if found and line.lstrip(SPACE)[:1] in ("", "#"):
            continue
        body = line.rstrip(" \t")
        if not body.endswith(dockerfile.escape) or body.endswith(dockerfile.escape * 2):
            return [*found, line]
        found.append(body[:-1])
    return found
