"""What of a Dockerfile a build needs, and in which order: BuildKit's rules (frontend/dockerfile/dockerfile2llb/convert.go).

    Program.plan("app", {"VERSION": "3"}) → Plan: the stages that `app` needs, each with its base and its needs

- a stage needs the one that FROM names, those of `COPY --from`, by name or number, and those of `RUN --mount=from=`, by name
- FROM means an earlier stage, else an image; the others mean any stage, but one that comes later, or the stage itself, is an error
- of two stages of the same name the later one is meant
- FROM is expanded with the ARGs before the first FROM and those that describe platforms; ARGs of stages are the builder's task
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dockerlab.dockerfile.commands import Arg, Command, Copy, From, Onbuild, Run
from dockerlab.dockerfile.parser import Dockerfile, Node
from dockerlab.dockerfile.reading import trigger
from dockerlab.dockerfile.refusal import Refused, at, did_you_mean
from dockerlab.dockerfile.words import Lexer, quoted
from dockerlab.errors import DockerfileError

SCRATCH = "scratch"
# Arguments of a build that no ARG needs to name: RUN sees them, the image does not.
PROXIES = tuple(name for kind in ("HTTP", "HTTPS", "FTP", "NO", "ALL") for name in (f"{kind}_PROXY", f"{kind.lower()}_proxy"))

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
_PLATFORM = re.compile(r"[A-Za-z0-9_.-]+(?:\([^()]*\))?(?:/[A-Za-z0-9_.-]+){0,2}")


@dataclass(frozen=True, slots=True)
class Stage:
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
class Planned:
    """A stage that is needed.

    base: what FROM names, expanded. base_stage: the stage that it is, None for an image or scratch. platform: of --platform, expanded.
    triggers: ONBUILD instructions of the base, to be carried out first. needs: stages that must be done before, base_stage among them.
    """

    stage: Stage
    base: str
    base_stage: int | None
    platform: str
    triggers: tuple[Command, ...]
    needs: tuple[int, ...]

    @property
    def commands(self) -> tuple[Command, ...]:
        """All that is to be carried out after FROM."""
        return (*self.triggers, *self.stage.commands)

    @property
    def is_scratch(self) -> bool:
        """Whether it begins with nothing."""
        return self.base_stage is None and self.base == SCRATCH


@dataclass(frozen=True, slots=True)
class Plan:
    """stages: those that are needed, in the Dockerfile's order. target: the index of the one that is wanted.

    count, names: of all stages. globals: what an ARG in a stage means that has no default and is not given. proxies: of the build's
    arguments, those that no ARG needs to name. unused: names of the build's arguments that no ARG of these stages takes.
    """

    target: int
    stages: tuple[Planned, ...]
    count: int
    names: Mapping[str, int]
    globals: Mapping[str, str]
    proxies: Mapping[str, str]
    unused: tuple[str, ...]

    def source(self, command: Command, name: str) -> int | None:
        """The stage that `--from=name` or `from=name` means; None for an image, or the build context."""
        return _meant(command, name, self.names, self.count)

    def by_index(self) -> dict[int, Planned]:
        """The stages that are needed, by their index among all."""
        return {planned.stage.index: planned for planned in self.stages}


def platform_arguments(build: str, target: str, stage: str = "default") -> dict[str, str]:
    """The ARGs that describe platforms, "linux/arm/v7"; empty where there is nothing to say. stage: the target's name."""
    found = dict[str, str]()
    for side, platform in (("BUILD", build), ("TARGET", target)):
        system, architecture, variant = [*platform.split("/"), "", ""][:3]
        names = ("PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT")
        found |= {side + name: value for name, value in zip(names, (platform, system, "", architecture, variant), strict=True)}
    return {**found, "TARGETSTAGE": stage}


def unused(given: Mapping[str, str], arguments: Sequence[Arg], stages: Sequence[Planned]) -> tuple[str, ...]:
    """Arguments of a build that no ARG takes."""
    declared = (*arguments, *(command for planned in stages for command in planned.commands if isinstance(command, Arg)))
    taken = {name for command in declared for name, _ in command.pairs}
    return tuple(name for name in given if name not in taken and name not in PROXIES)


def global_values(
    dockerfile: Dockerfile, arguments: Sequence[Arg], start: Mapping[str, str], given: Mapping[str, str]
) -> dict[str, str]:
    """The values of the ARGs before the first stage, each seeing those before it, and `start`."""
    lexer, values = Lexer(dockerfile.escape), dict(start)
    for command in arguments:
        with at(command.node, dockerfile):
            for name, default in command.pairs:
                if name in given:
                    values[name] = given[name]
                elif default is not None:
                    values[name] = _word(lexer, default, values)
    return values


def _word(lexer: Lexer, text: str, values: Mapping[str, str]) -> str:
    try:
        return lexer.word(text, values)
    except DockerfileError as error:
        raise Refused(error.message, at=text) from None


def sources(command: Command) -> Iterator[str]:
    """What an instruction names with `--from` or `from=`."""
    if isinstance(command, Copy) and command.from_:
        yield command.from_
    if isinstance(command, Run):
        yield from (mount.from_ for mount in command.mounts if mount.from_)


def _meant(command: Command, name: str, names: Mapping[str, int], count: int) -> int | None:
    if isinstance(command, Copy) and _NUMBER.fullmatch(name):
        index = int(name)
        if not 0 <= index < count:
            stages = f"{count} stages, the first is 0" if count > 1 else "one stage, 0"
            raise Refused(f"invalid stage index {index}", at=f"--from={name}", hint=f"The Dockerfile has {stages}.")
        return index
    return names.get(name.lower())


class Planner:
    """Resolves bases at once, and what the stages need as it is asked for."""

    def __init__(
        self,
        dockerfile: Dockerfile,
        stages: Sequence[Stage],
        values: Mapping[str, str],
        on_build: Callable[[str], Sequence[str]],
    ) -> None:
        self._dockerfile, self._stages, self._values, self._on_build = dockerfile, stages, values, on_build
        self._lexer = Lexer(dockerfile.escape)
        self.names: dict[str, int] = {}
        self._bases: list[tuple[str, int | None, str]] = []
        for stage in stages:
            self._bases.append(self._base(stage))
            if stage.name:
                self.names[stage.name] = stage.index

    def _base(self, stage: Stage) -> tuple[str, int | None, str]:
        source = stage.source
        with at(source.node, self._dockerfile):
            base = _word(self._lexer, source.base, self._values)
            if not base:
                hint = "An ARG that FROM uses must stand before the first FROM, with a default or a --build-arg."
                raise Refused(f"base name ({source.base}) should not be blank", at=source.base, hint=hint)
            return base, self.names.get(base), self._platform(source.platform)

    def _platform(self, text: str) -> str:
        if not text:
            return ""
        try:
            found = self._lexer.expand(text, self._values)
        except DockerfileError as error:
            raise Refused(f"failed to process arguments for platform {text}: {error.message}", at=text) from None
        if not found.text:
            hints = (did_you_mean(name, self._values) for name in sorted(found.unmatched))
            raise Refused(f"empty platform value from expression {text}", at=text, hint=next(filter(None, hints), None))
        if not _PLATFORM.fullmatch(found.text):
            reason = f"{quoted(found.text)}: cannot parse platform specifier: invalid argument"
            raise Refused(f"failed to parse platform {text}: {reason}", at=text, hint="A platform is os/architecture: linux/arm64.")
        return found.text

    def target(self, name: str) -> int:
        """The stage of that name."""
        if not name:
            return len(self._stages) - 1
        if name.lower() not in self.names:
            hint = did_you_mean(name, self.names) or (
                f"The stages are {', '.join(self.names)}." if self.names else "No stage has a name: FROM image AS name."
            )
            raise DockerfileError(f"target stage {quoted(name)} could not be found", hint=hint)
        return self.names[name.lower()]

    def check_circles(self) -> None:
        """Refuses stages that copy from each other in a circle, and references that cannot be, also in stages that are not needed."""
        edges = [tuple(self._edges(stage.commands)) for stage in self._stages]
        done, path = set[int](), set[int]()
        for start in range(len(edges)):
            waiting = [(start, iter(edges[start]))] if start not in done else []
            path.update(index for index, _ in waiting)
            first: list[Node] = []
            while waiting:
                index, rest = waiting[-1]
                for node, needed in rest:
                    first[len(waiting) - 1 :] = [node]
                    if needed in path:
                        self._refuse_circle(start, first[0])
                    if needed not in done:
                        path.add(needed)
                        waiting.append((needed, iter(edges[needed])))
                        break
                else:
                    waiting.pop()
                    path.discard(index)
                    done.add(index)

    def _edges(self, commands: Sequence[Command]) -> Iterator[tuple[Node, int]]:
        for command in commands:
            for name in sources(command):
                needed = self._meant(command, name)
                if needed is not None:
                    yield command.node, needed

    def _meant(self, command: Command, name: str) -> int | None:
        with at(command.node, self._dockerfile):
            if isinstance(command, Copy) and _word(self._lexer, name, {}) != name:
                text = "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope"
                hint = f"Before the first FROM: ARG name=image; then FROM ${{name}} AS source, and here --from=source instead of {name}."
                raise Refused(f"{text} as a workaround", at=f"--from={name}", hint=hint)
            return _meant(command, name, self.names, len(self._stages))

    def _refuse_circle(self, index: int, node: Node) -> None:
        with at(node, self._dockerfile):
            label = self._stages[index].label
            hint = "A stage copies from stages that come before it."
            raise Refused(f"circular dependency detected on stage: {label}", at="from=", hint=hint)

    def needed(self, *targets: int) -> tuple[Planned, ...]:
        """The stages that the targets need, in the Dockerfile's order."""
        found: dict[int, Planned] = {}
        waiting = [*targets]
        while waiting:
            index = waiting.pop()
            if index not in found:
                found[index] = self._planned(index)
                waiting += found[index].needs
        return tuple(found[index] for index in sorted(found))

    def _planned(self, index: int) -> Planned:
        stage = self._stages[index]
        base, base_stage, platform = self._bases[index]
        if base_stage is not None:
            said = [command.trigger for command in self._stages[base_stage].commands if isinstance(command, Onbuild)]
        else:
            said = [*self._on_build(base)] if base != SCRATCH else []
        triggers = tuple(trigger(text, stage.source, self._dockerfile) for text in said)
        needs = dict.fromkeys(() if base_stage is None else (base_stage,))
        for command in (*triggers, *stage.commands):
            for place, name in enumerate(sources(command)):
                needed = self._meant(command, name)
                if needed is not None:
                    self._check_order(stage, command, place, name, needed)
                    needs[needed] = None
        return Planned(stage, base, base_stage, platform, triggers, tuple(needs))

    def _check_order(self, stage: Stage, command: Command, place: int, name: str, needed: int) -> None:
        if needed < stage.index:
            return
        with at(command.node, self._dockerfile):
            hint = f"The stage {name} begins at line {self._stages[needed].source.node.line}: move it up."
            if isinstance(command, Run):
                target = [mount for mount in command.mounts if mount.from_][place].target
                text = (
                    f"cannot mount from stage {quoted(name)} to {quoted(target)}, stage needs to be defined before current command"
                )
                raise Refused(text, at=f"from={name}", hint=hint)
            text = f"cannot copy from stage {quoted(name)}, it needs to be defined before current stage {quoted(stage.label)}"
            raise Refused(text, at=f"--from={name}", hint=hint)
