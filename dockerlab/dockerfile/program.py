"""A Dockerfile as a program: its instructions read, and put into stages. `planning` says what of it a build needs.

    program = read_all(parse(text))
    program.arguments            ARGs before the first FROM
    program.stages[1].source     From; .commands: what follows it

Also `trigger`: what an image said with ONBUILD, as an instruction of the stage that builds upon it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dockerlab.dockerfile.commands import Arg, Command, From
from dockerlab.dockerfile.parser import Dockerfile, parse
from dockerlab.dockerfile.reading import PREFIX, read, refuse_as_trigger
from dockerlab.dockerfile.refusal import Refused, at
from dockerlab.errors import DockerfileError


@dataclass(frozen=True, slots=True)
class BuildStage:
    """A FROM with what follows it, up to the next."""

    index: int
    source: From
    commands: tuple[Command, ...]

    @property
    def name(self) -> str:
        """After AS, in lower case, or ""."""
        return self.source.name

    @property
    def label(self) -> str:
        """What BuildKit calls it."""
        return self.name or f"stage-{self.index}"


@dataclass(frozen=True, slots=True)
class Program:
    """arguments: before the first stage."""

    dockerfile: Dockerfile
    arguments: tuple[Arg, ...]
    stages: tuple[BuildStage, ...]


def read_all(dockerfile: Dockerfile) -> Program:
    """Raises DockerfileError for the first instruction that cannot be read, or stands before any FROM; and where there is no FROM."""
    arguments = list[Arg]()
    stages = list[tuple[From, list[Command]]]()
    for node in dockerfile.nodes:
        command = read(node, dockerfile)
        if isinstance(command, From):
            stages.append((command, []))
        elif stages:
            stages[-1][1].append(command)
        elif isinstance(command, Arg):
            arguments.append(command)
        else:
            with at(node, dockerfile):
                hint = "Only ARG may stand before the first FROM."
                raise Refused("no build stage in current context", at=node.text.split(maxsplit=1)[0], hint=hint)
    if not stages:
        raise DockerfileError("dockerfile contains no stages to build", hint="A Dockerfile starts from an image: FROM python:3.10")
    found = (BuildStage(index, source, tuple(commands)) for index, (source, commands) in enumerate(stages))
    return Program(dockerfile, tuple(arguments), tuple(found))


def trigger(text: str, source: From, dockerfile: Dockerfile) -> Command:
    """The instruction that an image left with ONBUILD. source: the FROM that names the image; what is wrong is said to be there.

    Raises DockerfileError.
    """
    with at(source.node, dockerfile):
        try:
            alone = parse(text)
            if len(alone.nodes) != 1:
                raise Refused("onbuild trigger should be a single expression")
            refuse_as_trigger(alone.nodes[0].keyword)
            command = read(alone.nodes[0], alone)
        except DockerfileError as error:
            message = error.message.removeprefix(PREFIX.format(error.line))
            hint = f"It is an ONBUILD instruction of what FROM names: {text.partition(chr(10))[0][:200]}"
            raise Refused(message, at=source.base, hint=hint) from None
        return replace(command, node=replace(command.node, line=source.node.line, end_line=source.node.end_line))
