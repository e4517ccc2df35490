"""The faces of a Swarm: its nodes, its secrets and configs, and what an engine is of one. Pure: from facts.

The text holds names, states and roles, which are the same on every run; addresses, versions and ids differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dockerlab.errors import printable
from dockerlab.faces import human, markup

HIDDEN: Final = "***"
_STATES: Final = {"ready": "done", "down": "failed", "disconnected": "failed"}


@dataclass(frozen=True)
class NodeFacts:
    """state: the API's word. availability: `active`, `pause` or `drain`. duty: `leader`, `manager` or `worker`.

    is_here: whether it is the engine that was asked.
    """

    name: str
    state: str
    availability: str
    duty: str
    reachability: str
    address: str
    engine: str
    id: str
    is_here: bool = False


@dataclass(frozen=True)
class KeptFacts:
    """A secret or a config. kind: which. services: those that have it. created: as the API writes times."""

    kind: str
    name: str
    services: tuple[str, ...]
    created: str
    id: str


def node_state(node: NodeFacts) -> tuple[str, str]:
    """The kind of its state, and its word: a node that answers and takes no tasks is told apart."""
    if node.state != "ready":
        return _STATES.get(node.state, "waiting"), printable(node.state)
    return {"drain": ("stopped", "drained"), "pause": ("waiting", "paused")}.get(node.availability, ("done", "ready"))


def node_text(node: NodeFacts) -> str:
    return printable(f"node {node.name}: {node_state(node)[1]}, {_duty(node)}")


def nodes_table(nodes: Sequence[NodeFacts]) -> str:
    rows = [
        (
            f"{node.name} (this engine)" if node.is_here else node.name,
            node_state(node)[1],
            _duty(node),
            node.address,
            node.engine,
            human.short_id(node.id),
        )
        for node in nodes
    ]
    return markup.columns([("node", "state", "duty", "address", "engine", "id"), *(tuple(map(printable, row)) for row in rows)])


def nodes_html(nodes: Sequence[NodeFacts]) -> str:
    rows = [
        (
            f"<b>{_clean(node.name)}</b>" + (' <span class="muted">this engine</span>' if node.is_here else ""),
            markup.state(*node_state(node)),
            _clean(_duty(node)),
            markup.volatile(_clean(node.address)),
            markup.volatile(_clean(node.engine)),
            markup.volatile(markup.code(human.short_id(node.id))),
        )
        for node in nodes
    ]
    ready = sum(node.state == "ready" for node in nodes)
    managers = sum(node.duty != "worker" for node in nodes)
    said = f"{managers} {'manager' if managers == 1 else 'managers'}"
    what = markup.head(markup.text(f"{ready} of {len(nodes)} {'node' if len(nodes) == 1 else 'nodes'} ready"), said)
    return markup.page(what, markup.table(("node", "state", "duty", "address", "engine", "id"), rows))


def _duty(node: NodeFacts) -> str:
    return f"{node.duty}, {node.reachability}" if node.reachability not in ("", "reachable") else node.duty


def membership_html(said: str, state: str, managers: Sequence[str]) -> str:
    shown = ", ".join(_clean(address) for address in managers)
    more = markup.volatile(f'<div class="muted">managers: {shown}</div>') if shown else ""
    return markup.page(markup.head(markup.state(state, said)), more)


def empty_kept(kind: str) -> str:
    return f"No {kind}s. Keep one: `%swarm {kind} create NAME --var VARIABLE`"


def kept_text(kept: KeptFacts) -> str:
    users = f": {', '.join(kept.services)}" if kept.services else ""
    return printable(f"{kept.kind} {kept.name}{users}")


def kept_table(kind: str, kept: Sequence[KeptFacts]) -> str:
    if not kept:
        return empty_kept(kind)
    rows = [(one.name, HIDDEN, ", ".join(one.services), one.created[:19], human.short_id(one.id)) for one in kept]
    return markup.columns([("name", "value", "services", "created", "id"), *(tuple(map(printable, row)) for row in rows)])


def kept_html(kind: str, kept: Sequence[KeptFacts]) -> str:
    if not kept:
        said = "".join(markup.code(part) if i % 2 else markup.text(part) for i, part in enumerate(empty_kept(kind).split("`")))
        return markup.page(f'<div class="muted">{said}</div>')
    rows = [
        (
            f"<b>{_clean(one.name)}</b>",
            HIDDEN,
            _clean(", ".join(one.services)) or '<span class="muted">none</span>',
            markup.volatile(_clean(one.created[:19].replace("T", " "))),
            markup.volatile(markup.code(human.short_id(one.id))),
        )
        for one in kept
    ]
    return markup.page(markup.table((kind, "value", "services", "created", "id"), rows, wrap=(2,)))


def _clean(said: str) -> str:
    return markup.text(printable(said))
