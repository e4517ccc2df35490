"""The stages of one build: what each begins with, its steps, and what is told of them."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dockerlab.dockerfile.commands import Command, Copy, Label, Run
from dockerlab.dockerfile.expansion import expanded
from dockerlab.dockerfile.parser import Node
from dockerlab.dockerfile.planning import Plan, Planned, sources
from dockerlab.dockerfile.program import Program
from dockerlab.dockerfile.reading import trigger
from dockerlab.dockerfile.refusal import at
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
    """What the stages of a build have in common. plan_again: with images that have been pulled since. labels: of the request. secrets: of
    the build's session.
    """

    containers: Containers
    request: BuildRequest
    program: Program
    plan: Plan
    sources: Sources
    committer: Committer
    caches: Caches
    cancellation: Cancellation
    plan_again: Callable[[], Plan]
    telling: Telling
    labels: tuple[Label, ...]
    secrets: Secrets | None = None


class Stages:
    """To be built once.

    plan: the last one: ONBUILD instructions of an image that is only pulled by a stage may need more stages than were known of.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.plan, self._program = shared.plan, shared.program
        self._schedule: Schedule | None = None
        self._done: dict[int, State] = {}
        self._late: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)  # stages that no plan had at first

    def schedule(self, tape: Tape | None = None) -> Schedule:
        """The building of all that are needed. tape: where all of them tell what happens, at once."""
        shared = self._shared
        by_index = shared.plan.by_index()
        needs = {index: planned.needs for index, planned in by_index.items()}
        home = shared.containers.parts.home
        self._schedule = Schedule(
            needs, lambda index, tape: self._build(by_index[index], tape), shared.cancellation, home.tmp, tape
        )
        return self._schedule

    def result(self) -> Image | None:
        """The target's image."""
        return self._done[self.plan.target].image

    def files(self) -> View:
        """The target's files."""
        return self._shared.sources.root(self.result())

    def base(self, name: str) -> Image:
        """The image that goes by a name, brought where it is missing."""
        return self._shared.sources.base(name, lambda message: None)

    def _build(self, planned: Planned, tape: Tape) -> None:
        teller = self._shared.telling.stage(planned, tape)
        teller.begin(planned.stage.source, {})
        state, triggers = self._begun(planned, teller.message)
        self._provide(planned, triggers, tape)
        teller.end(state.image)
        expand = partial(self._expanded, state)
        find = lambda command, name: self._files(command, name, teller.message)  # noqa: E731
        steps = Steps(self._tools(), state, expand, find, teller, self.plan.globals)
        teller.triggers(triggers)
        is_target = planned.stage.index == self.plan.target
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

    def _provide(self, planned: Planned, triggers: Sequence[Command], tape: Tape) -> None:
        """Has the stages built that only the triggers need, of an image that was not here when the build was planned."""
        with at(planned.stage.source.node, self._program.dockerfile):
            named = {self.plan.source(command, name) for command in triggers for name in sources(command)}
        if named <= {None, *planned.needs}:
            return
        plan = self.plan = self._shared.plan_again()
        by_index = plan.by_index()
        for index in by_index[planned.stage.index].needs:
            self._await(index, by_index, tape)

    def _await(self, index: int, by_index: Mapping[int, Planned], tape: Tape) -> None:
        """Until an earlier stage is done. One that is not scheduled is built and told here, by the first who needs it."""
        if self._schedule and index in self._shared.plan.by_index():
            self._schedule.wait(index)
            return
        # Others who wait for it may be told before this one.
        with tape.hurrying(), self._late[index]:
            if index not in self._done:
                for needed in by_index[index].needs:
                    self._await(needed, by_index, tape)
                self._build(by_index[index], tape)

    def _files(self, command: Copy | Run, name: str, tell: Callable[[Mapping[str, Any]], object]) -> View:
        """What `--from=name` means; "" is the build context."""
        given = self._shared.sources
        if not name:
            return given.context
        index = self.plan.source(command, name)
        if index is None:
            return given.root(given.base(name, tell))
        if index not in self._done:
            text = f"the stage {name} is needed by an ONBUILD instruction of an image that was removed a moment ago"
            raise EngineError(text, status=500, hint="Build once more.")
        return given.root(self._done[index].image)

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
            self.plan.proxies,
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
