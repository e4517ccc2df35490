"""The engines of a Swarm: who they are, and what they may do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dockerlab.client import Client, connect
from dockerlab.errors import NotFound, UsageError
from dockerlab.faces import swarm as faces
from dockerlab.faces.shown import Shown
from dockerlab.swarm.refusals import swarm_errors

_LOCAL: Final = ("127.0.0.1", "::1", "0.0.0.0", "")


@dataclass(frozen=True, repr=False)
class Node(Shown):
    """One engine of a Swarm. name: of its host. state: `ready`, `down`, `unknown` or `disconnected`.

    role: `manager` or `worker`. availability: `active`, `pause` (no new tasks) or `drain` (none at all). reachability: of a manager, as
    the others see it, else "". is_here: whether it is the engine that was asked. attrs: as an inspect has them.
    """

    id: str
    name: str
    state: str
    role: str
    availability: str
    address: str
    is_leader: bool
    reachability: str
    is_here: bool
    attrs: dict[str, Any]

    @property
    def is_ready(self) -> bool:
        """Whether it answers its Swarm's managers."""
        return self.state == "ready"

    @property
    def facts(self) -> faces.NodeFacts:
        """What is shown of it."""
        engine = str(((self.attrs.get("Description") or {}).get("Engine") or {}).get("EngineVersion") or "")
        duty = "leader" if self.is_leader else self.role
        return faces.NodeFacts(
            self.name, self.state, self.availability, duty, self.reachability, self.address, engine, self.id, self.is_here
        )

    def _text(self) -> str:
        return faces.node_text(self.facts)

    def _table(self) -> str:
        return faces.nodes_table([self.facts])

    def _html(self) -> str:
        return faces.nodes_html([self.facts])


class Nodes(Shown, list[Node]):
    """The nodes of a Swarm, by the alphabet."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        super().__init__(sorted(nodes, key=lambda node: (node.name, node.id)))

    def _text(self) -> str:
        return "\n".join(faces.node_text(node.facts) for node in self)

    def _table(self) -> str:
        return faces.nodes_table([node.facts for node in self])

    def _html(self) -> str:
        return faces.nodes_html([node.facts for node in self])


def nodes(*, client: Client | None = None) -> Nodes:
    """All nodes of the engine's Swarm. Raises SwarmError."""
    client = client or connect()
    with swarm_errors(client, "list the nodes"):
        listed = client.api.nodes()
        here = str((client.info().get("Swarm") or {}).get("NodeID") or "")
    return Nodes(_node(attrs, here) for attrs in listed)


def drain(names: str | Iterable[str], *, client: Client | None = None) -> Nodes:
    """Takes all tasks from nodes; those of services start anew on others. Raises NotFound, SwarmError."""
    return _changed(names, "drain", {"Availability": "drain"}, client)


def pause(names: str | Iterable[str], *, client: Client | None = None) -> Nodes:
    """Gives nodes no new tasks; those that run go on. Raises NotFound, SwarmError."""
    return _changed(names, "pause", {"Availability": "pause"}, client)


def activate(names: str | Iterable[str], *, client: Client | None = None) -> Nodes:
    """Gives nodes tasks again: new ones; none that runs elsewhere comes back by itself. Raises NotFound, SwarmError."""
    return _changed(names, "activate", {"Availability": "active"}, client)


def promote(names: str | Iterable[str], *, client: Client | None = None) -> Nodes:
    """Makes nodes managers. Raises NotFound, SwarmError."""
    return _changed(names, "promote", {"Role": "manager"}, client)


def demote(names: str | Iterable[str], *, client: Client | None = None) -> Nodes:
    """Makes nodes workers. Raises NotFound, SwarmError."""
    return _changed(names, "demote", {"Role": "worker"}, client)


def _changed(names: str | Iterable[str], verb: str, wanted: dict[str, str], client: Client | None) -> Nodes:
    client = client or connect()
    given: Sequence[str] = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    if not given:
        raise UsageError(f"{verb} needs the name of a node", hint="`%swarm nodes` shows them.")
    there = nodes(client=client)
    found = [_named(name, there) for name in given]
    for node in found:
        spec = {**(node.attrs.get("Spec") or {}), **wanted}
        with swarm_errors(client, f"{verb} node '{node.name}'"):
            api: Any = client.api
            api.update_node(node.id, node.attrs["Version"]["Index"], spec)
    ids = {node.id for node in found}
    return Nodes(node for node in nodes(client=client) if node.id in ids)


def _named(name: str, there: Nodes) -> Node:
    """The node of a name, or of an id or its beginning; `self` is the engine that is asked."""
    exact = [node for node in there if name in (node.name, node.id) or (name == "self" and node.is_here)]
    found = exact or [node for node in there if len(name) >= 4 and node.id.startswith(name)]
    if len(found) > 1:
        places = [f"{node.id}  {node.name}  {node.state}" for node in found]
        raise UsageError(f"there are {len(found)} nodes '{name}'", place=places, hint="Name one by its id.")
    if not found:
        raise NotFound(f"no such node '{name}'", hint=f"There are: {', '.join(node.name for node in there)}.")
    return found[0]


def _node(attrs: dict[str, Any], here: str) -> Node:
    spec, status, manager = (attrs.get(key) or {} for key in ("Spec", "Status", "ManagerStatus"))
    identity = str(attrs.get("ID") or "")
    address = str(status.get("Addr") or "")
    if address in _LOCAL:  # as an engine sees itself
        address = str(manager.get("Addr") or "").rpartition(":")[0] or address
    return Node(
        id=identity,
        name=str((attrs.get("Description") or {}).get("Hostname") or spec.get("Name") or identity),
        state=str(status.get("State") or "unknown"),
        role=str(spec.get("Role") or "worker"),
        availability=str(spec.get("Availability") or "active"),
        address=address,
        is_leader=bool(manager.get("Leader")),
        reachability=str(manager.get("Reachability") or ""),
        is_here=bool(here) and identity == here,
        attrs=attrs,
    )
