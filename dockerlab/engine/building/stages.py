"""The stages of one build: what each begins with, its steps, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dockerlab.dockerfile.commands import Command, Copy, Label, Run
from dockerlab.dockerfile.expansion import expanded
from dockerlab.dockerfile.parser import Node
from dockerlab.dockerfile.planning import Plan, Planned
from dockerlab.dockerfile.program import Program
from dockerlab.dockerfile.reading import trigger
from dockerlab.engine.building.mounting import Mounting
from dockerlab.engine.building.schedule import Schedule
from dockerlab.engine.building.state import Config, State
from dockerlab.engine.building.steps import Steps, Tools
from dockerlab.engine.containers.configuration import DEFAULT_PATH
from dockerlab.engine.rootfs.reading import View
from dockerlab.engine.store.documents import architecture
from dockerlab.errors import EngineError

if TYPE_CHECKING:
    from dockerlab.engine.building.caches import Caches
    from dockerlab.engine.building.cancellation import Cancellation
    from dockerlab.engine.building.request import BuildRequest
    from dockerlab.engine.building.secrets import Secrets
    from dockerlab.engine.building.sources import Sources
    from dockerlab.engine.building.state import Committer
    from dockerlab.engine.building.tape import Tape
    from dockerlab.engine.building.telling import Telling
    from dockerlab.engine.containers import Containers
    from dockerlab.engine.store import Image


@dataclass(frozen=True)
class Shared:
    """What the stages of a build have in common. hold: told of images that must not be removed meanwhile. labels: of the request.

    secrets: of the build's session.
    """

    containers: Containers
    request: BuildRequest
    program: Program
    plan: Plan
    sources: Sources
    committer: Committer
    caches: Caches
    cancellation: Cancellation
    hold: Callable[[Image], object]
    telling: Telling
    labels: tuple[Label, ...]
    secrets: Secrets | None = None


class Stages:
    """To be built once."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._plan, self._program = shared.plan, shared.program
        self._done: dict[int, State] = {}

    def schedule(self, tape: Tape | None = None) -> Schedule:
        """The building of all that are needed. tape: where all of them tell what happens, at once."""
        shared = self._shared
        needs = {planned.stage.index: planned.needs for planned in self._plan.stages}
        by_index = {planned.stage.index: planned for planned in self._plan.stages}
        home = shared.containers.parts.home
        return Schedule(needs, lambda index, tape: self._build(by_index[index], tape), shared.cancellation, home.tmp, tape)

    def result(self) -> Image | None:
        """The target's image."""
        return self._done[self._plan.target].image

    def base(self, name: str) -> Image:
        """The image that goes by a name, brought where it is missing."""
        return self._shared.sources.base(name, lambda message: None)

    def _build(self, planned: Planned, tape: Tape) -> None:
        teller = self._shared.telling.stage(planned, tape)
        teller.begin(planned.stage.source, {})
        state, triggers = self._begun(planned, teller.message)
        teller.end(state.image)
        expand = partial(self._expanded, state)
        find = lambda command, name: self._files(command, name, teller.message)  # noqa: E731
        steps = Steps(self._tools(), state, expand, find, teller, self._plan.globals)
        teller.triggers(triggers)
        is_target = planned.stage.index == self._plan.target
        for command in (*triggers, *planned.stage.commands, *(self._shared.labels if is_target else ())):
            steps.carry_out(command)
        self._done[planned.stage.index] = state
        teller.finished(state.image)

    def _expanded(self, state: State, command: Command) -> Command:
        if any(command is label for label in self._shared.labels):
            return command  # of the request: without variables and quotes
        return expanded(command, state.variables, self._program.dockerfile)

    def _begun(self, planned: Planned, tell: Callable[[Mapping[str, Any]], object]) -> tuple[State, tuple[Command, ...]]:
        """What a stage begins with, and the ONBUILD instructions of its base."""
        _check_platform(planned)
        if planned.base_stage is not None:
            before = self._done[planned.base_stage]
            return _state(before.image, before.config, before.args), planned.triggers
        if planned.is_scratch:
            return _state(None, {}), ()
        image = self._shared.sources.base(planned.base, tell)
        return _state(image, image.run), planned.triggers or triggers_of(image, planned, self._program)

    def _files(self, command: Copy | Run, name: str, tell: Callable[[Mapping[str, Any]], object]) -> View:
        """What `--from=name` means; "" is the build context."""
        sources = self._shared.sources
        if not name:
            return sources.context
        index = self._plan.source(command, name)
        if index is None:
            return sources.root(sources.base(name, tell))
        if index not in self._done:
            text = f"the stage {name} is needed by an ONBUILD instruction of an image that has only just been pulled"
            raise EngineError(text, status=500, hint="Build once more: the image is here now.")
        return sources.root(self._done[index].image)

    def _tools(self) -> Tools:
        shared = self._shared
        mounting = Mounting(shared.containers.parts.home, shared.caches, shared.cancellation, shared.secrets)
        return Tools(
            shared.containers,
            shared.request,
            shared.sources,
            shared.committer,
            mounting,
            shared.cancellation,
            shared.hold,
            self._plan.proxies,
            self._program.dockerfile,
        )


def _state(image: Image | None, config: Mapping[str, Any], args: Mapping[str, str] = MappingProxyType({})) -> State:
    """A stage's beginning: its base's configuration with a PATH, without ONBUILD. args: of the stage that it stands on."""
    found: Config = {name: value for name, value in config.items() if name != "OnBuild"}
    names = {item.partition("=")[0] for item in found.get("Env") or ()}
    if "PATH" not in names:
        found["Env"] = [DEFAULT_PATH, *(found.get("Env") or ())]
    return State(image, found, {**args}, author=str(image.config.get("author") or "") if image else "")


def _check_platform(planned: Planned) -> None:
    """Raises EngineError for a stage of another platform: its programs would not run here."""
    here = f"linux/{architecture()}"
    if planned.platform and planned.platform.lower() not in (here, "linux", architecture(), f"{here}/v8"):
        text = f"cannot build a stage for {planned.platform}: its steps would run on this machine, which is {here}"
        raise EngineError(text, status=400, hint="Leave --platform out, or build on a machine of that kind.")


def triggers_of(image: Image, planned: Planned, program: Program) -> tuple[Command, ...]:
    """The instructions that an image has for who builds on it."""
    texts = image.run.get("OnBuild") or ()
    return tuple(trigger(text, planned.stage.source, program.dockerfile) for text in texts)


def label(name: str, value: str) -> Label:
    """A label of the request as an instruction."""
    node = Node("LABEL", 0, 0, f"LABEL {name}={value}", (), f"{name}={value}")
    return Label(node, ((name, value),))
