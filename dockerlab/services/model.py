"""Services and their tasks as values: what an engine's answers say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from dockerlab.errors import printable
from dockerlab.faces import markup
from dockerlab.faces import service as faces
from dockerlab.faces.hiding import hide_arguments
from dockerlab.faces.shown import Shown
from dockerlab.swarm.nodes import Nodes

_ENDED: Final = ("complete", "failed", "rejected", "orphaned", "shutdown", "remove")
_FAILED: Final = ("failed", "rejected", "orphaned")
_WANTED: Final = ("new", "pending", "assigned", "accepted", "preparing", "ready", "starting", "running")


@dataclass(frozen=True)
class Task:
    """One start of a replica. slot: of a replicated service, 1 and up; else None. attrs: as the engine has them."""

    facts: faces.TaskFacts
    service: str
    slot: int | None
    node_id: str
    attrs: dict[str, Any]

    @property
    def id(self) -> str:
        """The engine's."""
        return self.facts.id

    @property
    def is_running(self) -> bool:
        """Whether it runs and is to run."""
        return self.facts.state == "running" and self.facts.desired == "running"

    @property
    def has_failed(self) -> bool:
        """Whether it ended otherwise than it was to."""
        return self.facts.state in _FAILED

    @property
    def place(self) -> str:
        """What it is a start of: its slot, or its node."""
        return str(self.slot) if self.slot is not None else self.node_id

    def host_port(self, target: int) -> int | None:
        """Where its node publishes a port of the container, `mode=host`."""
        ports = (((self.attrs.get("Status") or {}).get("PortStatus")) or {}).get("Ports") or ()
        return next(
            (int(one["PublishedPort"]) for one in ports if one.get("TargetPort") == target and one.get("PublishedPort")), None
        )


class Tasks(Shown, list[Task]):
    """All tasks of a service, by replica, each replica's newest first."""

    def __init__(self, service: str, tasks: Iterable[Task]) -> None:
        super().__init__(tasks)
        self._service = service

    def _text(self) -> str:
        return faces.tasks_text(self._service, [task.facts for task in self])

    def _table(self) -> str:
        return faces.tasks_table(self._service, [task.facts for task in self])

    def _html(self) -> str:
        return faces.tasks_html(self._service, [task.facts for task in self])


@dataclass(frozen=True, repr=False)
class Service(Shown):
    """A service as it is at one moment. tasks: all that there are of it; nodes: of its Swarm. attrs: as an inspect has them."""

    facts: faces.ServiceFacts
    tasks: tuple[Task, ...]
    nodes: Nodes
    attrs: dict[str, Any]

    @property
    def id(self) -> str:
        """The engine's."""
        return self.facts.id

    @property
    def name(self) -> str:
        """Its own."""
        return self.facts.name

    @property
    def image(self) -> str:
        """What its tasks are started from."""
        return self.facts.image

    @property
    def wanted(self) -> int:
        """How many replicas there should be."""
        return self.facts.wanted

    @property
    def running(self) -> tuple[Task, ...]:
        """The replicas that run, on nodes that answer."""
        down = {node.id for node in self.nodes if node.state == "down"}
        return tuple(task for task in self.tasks if task.facts.is_current and task.is_running and task.node_id not in down)

    @property
    def update(self) -> faces.UpdateFacts:
        """How the last update goes or went."""
        return self.facts.update

    def urls(self, port: int) -> tuple[str, ...]:
        """Where the replicas that run are reached, by a port of the container: of each, on its node, where it is published there
        (`mode=host`); else on every node that answers, by the routing mesh. Empty where it is not published."""
        addresses = {node.id: node.address for node in self.nodes}
        found = [(addresses.get(task.node_id, ""), task.host_port(port)) for task in self.running]
        own = [f"http://{_host(address)}:{number}/" for address, number in found if address and number]
        mesh = [
            f"http://{_host(node.address)}:{one['PublishedPort']}/"
            for one in (self.attrs.get("Endpoint") or {}).get("Ports") or ()
            if one.get("TargetPort") == port and one.get("PublishMode") == "ingress" and one.get("PublishedPort")
            for node in self.nodes
            if node.is_ready and node.address
        ]
        return tuple(own or mesh)

    def _text(self) -> str:
        return faces.text(self.facts)

    def _table(self) -> str:
        return faces.picture_table(self.facts)

    def _html(self) -> str:
        return faces.picture_html(self.facts)


class Services(Shown, list[Service]):
    """Services, by the alphabet."""

    def __init__(self, services: Iterable[Service]) -> None:
        super().__init__(sorted(services, key=lambda one: one.name))

    def _text(self) -> str:
        return faces.texts([one.facts for one in self])

    def _table(self) -> str:
        return faces.table([one.facts for one in self])

    def _html(self) -> str:
        return faces.html([one.facts for one in self])


class Inspection(Shown, dict[str, Any]):
    """All that the engine knows of a service: the API's answer, as a dict. What is shown has no value of an environment variable."""

    def _text(self) -> str:
        return printable(f"inspection of service {(self.get('Spec') or {}).get('Name', '')}")

    def _table(self) -> str:
        return json.dumps(_hidden(dict(self)), indent=2, ensure_ascii=False)

    def _html(self) -> str:
        return markup.page(
            markup.head(markup.text(self._text())), markup.volatile(f"<pre>{markup.text(printable(self._table()))}</pre>")
        )


@dataclass(frozen=True, repr=False)
class Removed(Shown):
    """Services that are no more."""

    names: tuple[str, ...]

    def _text(self) -> str:
        return "\n".join(faces.removed_lines(self.names))

    def _html(self) -> str:
        return markup.page(markup.head("<br>".join(map(markup.text, faces.removed_lines(self.names)))))


def service_of(attrs: dict[str, Any], tasks: Iterable[dict[str, Any]], nodes: Nodes, notes: Sequence[str] = ()) -> Service:
    """A service out of the engine's answers. tasks: those of this service."""
    spec = attrs.get("Spec") or {}
    template = spec.get("TaskTemplate") or {}
    container = template.get("ContainerSpec") or {}
    name = str(spec.get("Name") or "")
    made = _tasks(name, list(tasks), template, nodes, _replicas(spec))
    current = tuple(task.facts for task in made if task.facts.is_current)
    replicas = _replicas(spec)
    wanted = replicas if replicas is not None else max(1, sum(task.desired == "running" for task in current))
    command = " ".join(hide_arguments([*(container.get("Command") or ()), *(container.get("Args") or ())]))
    update = attrs.get("UpdateStatus") or {}
    facts = faces.ServiceFacts(
        id=str(attrs.get("ID") or ""),
        name=name,
        image=image_name(str(container.get("Image") or "")),
        mode="replicated" if replicas is not None else "global",
        wanted=wanted,
        tasks=current,
        nodes=tuple(node.facts for node in nodes),
        update=faces.UpdateFacts(str(update.get("State") or ""), str(update.get("Message") or "")),
        ports=_ports(attrs),
        command=command,
        notes=tuple(notes),
    )
    return Service(facts, tuple(made), nodes, attrs)


def image_name(reference: str) -> str:
    """An image as it was named, without the digest that it was found to have."""
    return reference.partition("@sha256:")[0]


def _replicas(spec: Mapping[str, Any]) -> int | None:
    """None of a global service."""
    mode = spec.get("Mode") or {}
    return int((mode.get("Replicated") or {}).get("Replicas") or 0) if "Replicated" in mode else None


def _ports(attrs: Mapping[str, Any]) -> tuple[str, ...]:
    given = (attrs.get("Endpoint") or {}).get("Ports") or ((attrs.get("Spec") or {}).get("EndpointSpec") or {}).get("Ports") or ()
    found = []
    for one in given:
        port = f"{one.get('TargetPort')}{'' if one.get('Protocol', 'tcp') == 'tcp' else '/' + str(one.get('Protocol'))}"
        where = "on its node" if one.get("PublishMode") == "host" else "on every node"
        found.append(f"{one.get('PublishedPort') or 'a free port'}→{port} {where}")
    return tuple(dict.fromkeys(found))


def _tasks(
    service: str, given: list[dict[str, Any]], template: Mapping[str, Any], nodes: Nodes, replicas: int | None
) -> list[Task]:
    """By replica, each replica's newest first; which of them are current is told by all together."""
    names = {node.id: node.name for node in nodes}
    by_place: dict[str, list[dict[str, Any]]] = {}
    for one in sorted(given, key=lambda one: str(one.get("CreatedAt") or ""), reverse=True):
        by_place.setdefault(_place(one), []).append(one)
    made: list[Task] = []
    for place in sorted(by_place, key=lambda place: (0, int(place), "") if place.isdecimal() else (1, 0, names.get(place, place))):
        those = by_place[place]
        current = _current(those, replicas)
        before = next((one for one in those if one not in current and _state(one) in _FAILED), None)
        made += [_task(service, one, template, names, one in current, before) for one in those]
    return made


def _current(those: list[dict[str, Any]], replicas: int | None) -> list[dict[str, Any]]:
    """Of a replica's tasks those that the Swarm wants now; where it wants none any more, the one that it gave up."""
    wanted = [one for one in those if one.get("DesiredState") in _WANTED and _state(one) not in _ENDED]
    if wanted:
        return wanted
    last = those[0]
    slot = last.get("Slot")
    is_there = replicas is None or (slot is not None and slot <= replicas)
    given_up = _state(last) in ("complete", *_FAILED)
    return [last] if is_there and given_up and last.get("DesiredState") != "remove" else []


def _task(
    service: str,
    one: dict[str, Any],
    template: Mapping[str, Any],
    names: Mapping[str, str],
    is_current: bool,
    before: dict[str, Any] | None,
) -> Task:
    status = one.get("Status") or {}
    node_id = str(one.get("NodeID") or "")
    slot = one.get("Slot") or None
    node = names.get(node_id, node_id[:12])
    state = _state(one)
    said = str(status.get("Err") or "")
    if not said and is_current and before is not None and state != "running":
        said = f"before: {(before.get('Status') or {}).get('Err') or _state(before)}"
    spec = one.get("Spec") or {}
    facts = faces.TaskFacts(
        id=str(one.get("ID") or ""),
        name=f"{service}.{slot}" if slot else f"{service}.{node or 'new'}",
        node=node,
        state=state,
        desired=str(one.get("DesiredState") or ""),
        said=said,
        exit_code=(status.get("ContainerStatus") or {}).get("ExitCode"),
        ports=_published(status),
        image=image_name(str((spec.get("ContainerSpec") or {}).get("Image") or "")),
        is_current=is_current,
        is_old=_differs(spec, template),
        moment=_moment(str(status.get("Timestamp") or "")),
    )
    return Task(facts, service, slot, node_id, one)


def _state(one: Mapping[str, Any]) -> str:
    return str((one.get("Status") or {}).get("State") or "new")


def _place(one: Mapping[str, Any]) -> str:
    return str(one["Slot"]) if one.get("Slot") else str(one.get("NodeID") or "")


def _published(status: Mapping[str, Any]) -> tuple[str, ...]:
    ports = (status.get("PortStatus") or {}).get("Ports") or ()
    # Once for each of the host's protocols, IPv4 and IPv6.
    return tuple(dict.fromkeys(f"{one.get('PublishedPort')}→{one.get('TargetPort')}" for one in ports if one.get("PublishedPort")))


_TELLING: Final = ("Image", "Args", "Command", "Env", "Secrets", "Configs", "Mounts")


def _differs(spec: Mapping[str, Any], template: Mapping[str, Any]) -> bool:
    """Whether a task was made of another version than the service's now, as far as it shows."""
    own, now = spec.get("ContainerSpec") or {}, template.get("ContainerSpec") or {}
    return any((own.get(key) or None) != (now.get(key) or None) for key in _TELLING) or (spec.get("ForceUpdate") or 0) != (
        template.get("ForceUpdate") or 0
    )


def _moment(text: str) -> float | None:
    """Seconds since the epoch; Go writes nanoseconds, which Python reads to the sixth digit."""
    whole, dot, rest = text.rstrip("Z").partition(".")
    try:
        return datetime.fromisoformat(f"{whole}{dot}{rest[:6]}+00:00").timestamp() if whole else None
    except ValueError:
        return None


def _hidden(value: Any) -> Any:
    """The same without the values of environment variables."""
    if isinstance(value, dict):
        return {
            key: [_name_only(item) for item in one] if key == "Env" and isinstance(one, list) else _hidden(one)
            for key, one in value.items()
        }
    return [_hidden(one) for one in value] if isinstance(value, list) else value


def _name_only(item: Any) -> str:
    name, equals, _ = str(item).partition("=")
    return f"{name}=***" if equals else name


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
