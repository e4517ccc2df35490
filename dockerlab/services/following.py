"""How a service comes to be what it was to be: watched until its replicas run, or until it is told that they will not.

An *update* (new tasks in place of old ones) ends by itself: completed, paused or rolled back, as the Swarm decides by its failure action.
All else (a new service, another number of replicas) has no end of its own: it is well when all replicas run for as long as an update's
would be watched (`--update-monitor`, 5 s), and it is given up when a replica keeps failing, or no node takes it. What the docker command
then does is to wait for ever; a cell must end.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Literal

from dockerlab.client import Client
from dockerlab.errors import ServiceFailed
from dockerlab.faces import human
from dockerlab.services.asking import attributes, look, notes
from dockerlab.services.model import Service, Task
from dockerlab.swarm.nodes import nodes

Progress = Callable[[Service], object]
Doing = Literal["create", "scale", "update", "rollback"]
_TICK: Final = 0.25
_MONITOR: Final = 5.0  # seconds, as the docker command has it
_STARTS: Final = 3  # of one replica that fail before it is given up
_PATIENCE: Final = 20.0  # seconds without any change, while something is said to be wrong
_LONGEST: Final = 200
_NOUNS: Final = {"create": "service", "scale": "service", "update": "update of service", "rollback": "rollback of service"}


def follow(service: str, doing: Doing, client: Client, progress: Progress | None, before: frozenset[str] = frozenset()) -> Service:
    """Waits for it, and gives it as it is then. service: its id. before: the tasks that there were.

    progress: called with the service whenever something has changed. An interrupt ends the wait, and nothing else.

    Raises ServiceFailed.
    """
    shown: object = None
    since = moved = time.monotonic()
    said = notes(attributes(service, client), client)
    while True:
        # The nodes first: a task may be on one that is not known yet, else.
        there = nodes(client=client)
        found = look(attributes(service, client), client, there, said)
        now = time.monotonic()
        if (seen := _seen(found)) != shown:
            shown, moved = seen, now
            if progress is not None:
                progress(found)
        new = [task for task in found.tasks if task.id not in before]
        _refuse(found, doing, new)
        if not _is_whole(found):
            since = now
            if now - moved > _PATIENCE and (wrong := _wrong(found, new)):
                raise _failure(f"service '{found.name}' does not get on: {found.facts.running} of {found.wanted} run", found, wrong)
        elif found.update.state in ("completed", "rollback_completed") or now - since >= _monitor(found):
            return found
        time.sleep(_TICK)


def _is_whole(found: Service) -> bool:
    if found.update.state in ("updating", "rollback_started"):
        return False
    current = [task for task in found.tasks if task.facts.is_current]
    return len(found.running) == found.wanted and len(current) == found.wanted


def _refuse(found: Service, doing: Doing, new: list[Task]) -> None:
    """Raises what it means that an update has ended otherwise than well, or that a replica keeps failing."""
    state, what = found.update.state, f"{_NOUNS[doing]} '{found.name}'"
    if doing in ("update", "rollback"):
        if state == "paused":
            hint = f"Back to what it was: `%service rollback {found.name}`. {_see(found)}"
            raise _failure(f"the {what} failed and is paused", found, _wrong(found, new), hint)
        if state == "rollback_completed" and doing == "update":
            raise _failure(f"the {what} failed and was rolled back", found, _wrong(found, new), f"It runs as before. {_see(found)}")
        if state == "rollback_paused":
            raise _failure(f"the {what} failed, and so did going back: it is paused", found, _wrong(found, new))
        if state:  # the Swarm will tell
            return
    failed = Counter(task.place for task in new if task.has_failed)
    place = next((place for place, count in failed.items() if count >= _STARTS), None)
    if place is not None and not any(task.is_running for task in new if task.place == place):
        name = next(task.facts.name for task in new if task.place == place)
        raise _failure(f"service '{found.name}' does not run: {name} failed {_STARTS} times", found, _wrong(found, new))


def _wrong(found: Service, new: list[Task]) -> list[str]:
    """What is said of tasks that failed or wait, each thing once."""
    said: dict[str, str] = {}
    for task in new:
        why = task.facts.said.removeprefix("before: ")
        if task.has_failed or (why and not task.is_running):
            where = f" on {task.facts.node}" if task.facts.node else ""
            said.setdefault(human.shorten(why or task.facts.state, _LONGEST), f"{task.facts.name}{where}")
    lines = [f"{who}: {why}" for why, who in said.items()]
    return [*([f"the Swarm says: {found.update.said}"] if found.update.said else []), *lines[-5:]]


def _failure(message: str, found: Service, evidence: list[str], hint: str | None = None) -> ServiceFailed:
    return ServiceFailed(message, service=found, evidence=evidence, hint=hint or f"It is still there. {_see(found)}")


def _see(found: Service) -> str:
    return f"`%service logs {found.name}` has what it printed, `%service ps {found.name}` each task, `%service rm {found.name}` ends it."


def _monitor(found: Service) -> float:
    config: dict[str, Any] = (found.attrs.get("Spec") or {}).get("UpdateConfig") or {}
    return (config.get("Monitor") or 0) / 1e9 or _MONITOR


def _seen(found: Service) -> object:
    tasks = tuple((task.id, task.facts.state, task.facts.desired, task.facts.said) for task in found.tasks)
    return tasks, found.facts.update, tuple((node.id, node.state, node.availability) for node in found.nodes), found.wanted
