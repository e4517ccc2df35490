"""Which paths of the build context a build needs at all: the others need not even be told. Pure.

    followed(plan, dockerfile, args, base) → ["requirements.txt", "src"], or None for all of it

They are the sources of COPY, ADD and `RUN --mount=type=bind` of the stages that are built, with their variables replaced. More than is
needed is right, too; less is not: what cannot be told means all.

`patterns(text)`   the lines of a .dockerignore as BuildKit passes them on
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence

from dockerlab.dockerfile.commands import Add, Arg, Command, Copy, Env, Run
from dockerlab.dockerfile.expansion import expanded
from dockerlab.dockerfile.parser import Dockerfile
from dockerlab.dockerfile.planning import Plan, Planned
from dockerlab.engine.building.vertices import REMOTE, takes_context
from dockerlab.errors import DockerfileError

# Of a stage on an image: its variables, and the commands that it brings.
Base = Callable[[Planned], tuple[Mapping[str, str], Sequence[Command]]]


def followed(plan: Plan, dockerfile: Dockerfile, args: Mapping[str, str | None], base: Base) -> list[str] | None:
    """Sorted. None: everything, because it is wanted or because it cannot be told. [] where nothing is."""
    found: set[str] = set()
    known: dict[int, tuple[dict[str, str], dict[str, str]]] = {}
    for planned in plan.stages:
        triggers: Sequence[Command] = planned.triggers
        if planned.base_stage is not None:
            given, environment = ({**one} for one in known[planned.base_stage])
        else:
            variables, brought = ({}, ()) if planned.is_scratch else base(planned)
            given, environment = {}, {**variables}
            triggers = brought or triggers
        stage = _Stage(plan, dockerfile, args, given, environment)
        for command in (*triggers, *planned.stage.commands):
            try:
                found.update(stage.take(command))
            except DockerfileError:
                return None  # it will be said where it is carried out
        known[planned.stage.index] = stage.given, stage.environment
    return None if "." in found else sorted(found)


class _Stage:
    """given: ARGs that have a value. environment: of ENV."""

    def __init__(
        self,
        plan: Plan,
        dockerfile: Dockerfile,
        args: Mapping[str, str | None],
        given: dict[str, str],
        environment: dict[str, str],
    ) -> None:
        self._plan, self._dockerfile, self._args = plan, dockerfile, args
        self.given, self.environment = given, environment

    def take(self, command: Command) -> Iterator[str]:
        """The paths that a command needs. Raises DockerfileError."""
        variables = {**self.given, **self.environment}
        match command:
            case Arg(pairs=pairs):
                for name, default in pairs:
                    value = self._args.get(name)
                    if value is None and default is not None:
                        alone = expanded(
                            Arg(command.node, ((name, default),)), {**self.given, **self.environment}, self._dockerfile
                        )
                        value = alone.pairs[0][1] if isinstance(alone, Arg) else None
                    elif value is None:
                        value = self._plan.globals.get(name)
                    if value is not None:
                        self.given[name] = value
            case Env():
                said = expanded(command, variables, self._dockerfile)
                self.environment.update(said.pairs if isinstance(said, Env) else ())
            case Copy() | Add() | Run() if takes_context(command) or isinstance(command, Run):
                said = expanded(command, variables, self._dockerfile)
                if takes_context(said):
                    yield from map(_path, _sources(said))


def _sources(command: Command) -> Iterator[str]:
    if isinstance(command, Copy | Add):
        is_add = isinstance(command, Add)
        yield from (source for source in command.sources if not (is_add and REMOTE.match(source)))
    if isinstance(command, Run):
        yield from (mount.source for mount in command.mounts if mount.type in ("bind", "cache") and not mount.from_)


def _path(source: str) -> str:
    """A source from the context's root, "." for that itself; of a pattern of several folders the folder where it begins."""
    parts = posixpath.normpath(posixpath.join("/", source)).lstrip("/").split("/")
    for number, part in enumerate(parts):
        if "**" in part:
            parts = parts[:number]
            break
    return "/".join(parts) or "."


def patterns(text: str) -> list[str]:
    """The patterns of a .dockerignore: comments and empty lines left out, paths cleaned."""
    found = []
    for line in text.removeprefix("\ufeff").splitlines():
        pattern = line.strip()
        if line.startswith("#") or not pattern:
            continue
        mark = "!" if pattern.startswith("!") else ""
        pattern = pattern.removeprefix("!").strip()
        if pattern:
            pattern = posixpath.normpath(pattern)
            pattern = pattern.lstrip("/") or pattern
        found.append(mark + pattern)
    return found
