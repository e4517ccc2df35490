"""A Dockerfile as a program: its instructions read, and put into stages; and what of it a build needs.

app = program(parse(text))
app.arguments                  ARGs before the first FROM
app.stages[1].source           From; .commands: what follows it
app.plan("web", {"VERSION": "3"}).stages      those that the stage `web` needs, each with its base and its needs (see `planning`)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dockerlab.dockerfile.arguments import first_word
from dockerlab.dockerfile.commands import Arg, Command, From
from dockerlab.dockerfile.parser import Dockerfile
from dockerlab.dockerfile.planning import PROXIES, SCRATCH, Plan, Planned, Planner, Stage, global_values, platform_arguments, unused
from dockerlab.dockerfile.reading import read
from dockerlab.dockerfile.refusal import Refused, at
from dockerlab.dockerfile.words import SPACE
from dockerlab.errors import DockerfileError

__all__ = ["PROXIES", "SCRATCH", "Plan", "Planned", "Program", "Stage", "platform_arguments", "program"]


@dataclass(frozen=True, slots=True)
class Program:
    """arguments: before the first stage."""

    dockerfile: Dockerfile
    arguments: tuple[Arg, ...]
    stages: tuple[Stage, ...]

    def plan(
        self,
        target: str = "",
        build_args: Mapping[str, str | None] | None = None,
        *,
        build_platform: str = "linux/amd64",
        target_platform: str = "",
        on_build: Callable[[str], Sequence[str]] = lambda base: (),
        with_all: bool = False,
    ) -> Plan:
        """The plan for a target, "" for the last stage. build_args: None is the same as not given. with_all: as if all were needed.

        on_build: the ONBUILD instructions of an image that a needed stage starts from. Raises DockerfileError, and what on_build
        raises.
        """
        given = {name: value for name, value in (build_args or {}).items() if value is not None}
        start = self.start(target, given, build_platform, target_platform)
        values = global_values(self.dockerfile, self.arguments, start, given)
        planner = Planner(self.dockerfile, self.stages, values, on_build)
        wanted = planner.target(target)
        planner.check_circles()
        stages = planner.needed(*(range(len(self.stages)) if with_all else (wanted,)))
        proxies = {name: given[name] for name in PROXIES if name in given}
        left = tuple(name for name in unused(given, self.arguments, stages) if name not in start)
        return Plan(wanted, stages, len(self.stages), planner.names, values, proxies, left)

    def start(self, target: str, given: Mapping[str, str], build_platform: str, target_platform: str = "") -> dict[str, str]:
        """What the ARGs that describe platforms mean, before any ARG of the Dockerfile's."""
        named = target or self.stages[-1].name or "default"
        known = platform_arguments(build_platform, target_platform or build_platform, named)
        return known | {name: given[name] for name in known if name in given}


def program(dockerfile: Dockerfile) -> Program:
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
                raise Refused("no build stage in current context", at=first_word(node.text.strip(SPACE))[0], hint=hint)
    if not stages:
        raise DockerfileError("dockerfile contains no stages to build", hint="A Dockerfile starts from an image: FROM python:3.10")
    found = (Stage(index, source, tuple(commands)) for index, (source, commands) in enumerate(stages))
    return Program(dockerfile, tuple(arguments), tuple(found))
