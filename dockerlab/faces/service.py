"""The faces of services: one with its replicas on their nodes (a picture), many as a table, and the tasks that there were.

A *task* is one start of a replica: when it ends, the Swarm makes another for the same slot. The picture has a box a node, and in it a box
a replica; what is not on a node yet waits in a box of its own. The text has what is the same on every run: how many of a service's
replicas run; where they run, and since when, differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dockerlab.errors import printable
from dockerlab.faces import human, markup
from dockerlab.faces.swarm import NodeFacts, node_state

NO_SERVICES: Final = "No services. Start one: `%service create --name NAME IMAGE`"
NO_TASKS: Final = "no tasks"
_KINDS: Final = {
    "running": "done",
    "complete": "stopped",
    "shutdown": "stopped",
    "remove": "stopped",
    "failed": "failed",
    "rejected": "failed",
    "orphaned": "failed",
    "preparing": "running",
    "starting": "running",
}
_MOST: Final = 60  # boxes of a node
_ERROR: Final = 120
_CSS = """
@ .nodes{display:flex;flex-wrap:wrap;gap:12px;margin:6px 0;padding:0;list-style:none}
@ .nodes>li{flex:1 1 200px;min-width:180px;max-width:320px;margin:0;padding:6px 10px 8px;border:1px solid var(--edge);border-radius:8px;
background:var(--soft)}
@ .nodes>li.away{border-style:dashed;background:none}
@ .nodes .where{display:flex;justify-content:space-between;gap:8px;margin:0 0 4px}
@ .nodes ul{list-style:none;margin:0;padding:0;display:flex;flex-wrap:wrap;gap:6px}
@ .nodes ul>li{margin:0;padding:2px 8px;border:1px solid currentColor;border-radius:6px;background:var(--jp-layout-color1,#fff);
white-space:nowrap}
@ .nodes ul>li>b,@ .nodes ul>li>.muted{color:var(--jp-content-font-color1,#1f2328)}
@ .nodes ul>li.old{border-style:dashed}
@ .told{margin:4px 0}
"""
STYLE: Final = f"<style>{_CSS.strip().replace('@', '.dockerlab.dockerlab.dockerlab')}</style>"


@dataclass(frozen=True)
class TaskFacts:
    """One start of a replica. name: `web.1`, or `web.machine1` of a global service. node: its name, "" for none yet.

    state, desired: the API's words. said: why it is not what it should be, or "". ports: `32768→5000`. image: as it was given.
    is_current: whether it is what the Swarm wants to run now. is_old: whether it is of another version than the service is now.
    moment: seconds since the epoch of its state, or None.
    """

    id: str
    name: str
    node: str
    state: str
    desired: str
    said: str = ""
    exit_code: int | None = None
    ports: tuple[str, ...] = ()
    image: str = ""
    is_current: bool = True
    is_old: bool = False
    moment: float | None = None

    @property
    def kind(self) -> str:
        """Of `markup.STATES`."""
        return _KINDS.get(self.state, "waiting")


@dataclass(frozen=True)
class UpdateFacts:
    """How an update goes. state: the API's word, "" where there was none. said: what the Swarm says of it."""

    state: str = ""
    said: str = ""

    @property
    def word(self) -> str:
        """`rolled back` for `rollback_completed`, and so on."""
        return {
            "updating": "updating",
            "paused": "update paused",
            "completed": "updated",
            "rollback_started": "rolling back",
            "rollback_paused": "rollback paused",
            "rollback_completed": "rolled back",
        }.get(self.state, self.state)

    @property
    def kind(self) -> str:
        """Of `markup.STATES`."""
        return {
            "updating": "running",
            "rollback_started": "running",
            "completed": "done",
            "paused": "failed",
            "rollback_paused": "failed",
            "rollback_completed": "stopped",
        }.get(self.state, "waiting")


@dataclass(frozen=True)
class ServiceFacts:
    """mode: `replicated` or `global`. wanted: how many replicas there should be. ports: `8080→5000 on each node`. tasks: the current ones.

    notes: sentences about what does not work of it here.
    """

    id: str
    name: str
    image: str
    mode: str
    wanted: int
    tasks: tuple[TaskFacts, ...]
    nodes: tuple[NodeFacts, ...]
    update: UpdateFacts
    ports: tuple[str, ...] = ()
    command: str = ""
    notes: tuple[str, ...] = ()

    @property
    def running(self) -> int:
        """How many replicas run and are wanted."""
        return sum(task.state == "running" and task.desired == "running" and not _is_away(task, self.nodes) for task in self.tasks)

    @property
    def kind(self) -> str:
        """Of `markup.STATES`: whether all that should run does."""
        if self.running >= self.wanted:
            return "done"
        return "failed" if any(task.kind == "failed" for task in self.tasks) else "running"


def text(service: ServiceFacts) -> str:
    # An update's state stays with a service for ever; what went wrong is worth a word.
    more = f", {service.update.word}" if service.update.state.startswith(("paused", "rollback", "updating")) else ""
    return printable(f"service {service.name} ({service.image}): {service.running} of {service.wanted} run{more}")


def texts(services: Sequence[ServiceFacts]) -> str:
    return "\n".join(map(text, services)) or NO_SERVICES


def table(services: Sequence[ServiceFacts]) -> str:
    if not services:
        return NO_SERVICES
    rows = [
        (
            one.name,
            one.mode,
            f"{one.running}/{one.wanted}",
            one.image,
            ", ".join(one.ports),
            one.update.word,
            human.short_id(one.id),
        )
        for one in services
    ]
    titles = ("service", "mode", "replicas", "image", "ports", "last update", "id")
    return markup.columns([titles, *(tuple(map(printable, row)) for row in rows)])


def html(services: Sequence[ServiceFacts]) -> str:
    if not services:
        said = "".join(markup.code(part) if i % 2 else markup.text(part) for i, part in enumerate(NO_SERVICES.split("`")))
        return markup.page(f'<div class="muted">{said}</div>')
    rows = [
        (
            f"<b>{_clean(one.name)}</b>",
            one.mode,
            markup.state(one.kind, f"{one.running} of {one.wanted}"),
            _clean(one.image),
            markup.volatile(_clean(", ".join(one.ports))),
            _update(one.update),
            markup.volatile(markup.code(human.short_id(one.id))),
        )
        for one in services
    ]
    return markup.page(markup.table(("service", "mode", "replicas", "image", "ports", "last update", "id"), rows, wrap=(4,)))


def picture_table(service: ServiceFacts) -> str:
    """The picture's text alternative: what runs where, node by node."""
    lines = [text(service)]
    for node, tasks in placed(service):
        where = f"{node.name} ({node_state(node)[1]})" if node else "on no node yet"
        lines += ["", printable(where), *(f"  {printable(_line(task))}" for task in tasks)]
        if not tasks:
            lines.append("  nothing of it")
    return "\n".join([*lines, *(f"\n{printable(note)}" for note in service.notes)])


def picture_html(service: ServiceFacts) -> str:
    """A box a node, and in each its replicas."""
    facts = " · ".join(filter(None, (service.image, ", ".join(service.ports))))
    head = markup.head(
        f"{markup.state(service.kind, f'{service.running} of {service.wanted} run')} {_clean(service.name)}", _clean(facts)
    )
    update = f'<div class="told">{_update(service.update)} {_said(service.update)}</div>' if service.update.state else ""
    boxes = "".join(_node(node, tasks) for node, tasks in placed(service))
    label = _clean(f"the replicas of service {service.name}, by node")
    notes = "".join(f'<div class="muted">{_clean(note)}</div>' for note in service.notes)
    errors = _errors(service)
    return STYLE + markup.page(head, markup.volatile(f'{update}<ul class="nodes" aria-label="{label}">{boxes}</ul>{errors}'), notes)


def placed(service: ServiceFacts) -> list[tuple[NodeFacts | None, list[TaskFacts]]]:
    """The nodes in their order with the service's tasks on them; last, under None, what is on none."""
    by_node: dict[str, list[TaskFacts]] = {}
    for task in service.tasks:
        by_node.setdefault(task.node, []).append(task)
    found: list[tuple[NodeFacts | None, list[TaskFacts]]] = [(node, by_node.pop(node.name, [])) for node in service.nodes]
    rest = [task for tasks in by_node.values() for task in tasks]
    return [*found, (None, rest)] if rest else found


def tasks_text(service: str, tasks: Sequence[TaskFacts]) -> str:
    current = [task for task in tasks if task.is_current]
    return "\n".join(printable(f"{task.name}: {task.state}") for task in current) or f"service {printable(service)}: {NO_TASKS}"


def tasks_table(service: str, tasks: Sequence[TaskFacts]) -> str:
    if not tasks:
        return tasks_text(service, tasks)
    rows = [(_indented(t), t.node, t.state, t.desired, t.image, ", ".join(t.ports), _why(t), human.short_id(t.id)) for t in tasks]
    titles = ("task", "node", "state", "desired", "image", "ports", "error", "id")
    return markup.columns([titles, *(tuple(map(printable, row)) for row in rows)])


def tasks_html(service: str, tasks: Sequence[TaskFacts]) -> str:
    """All tasks, each replica's newest first; those that were before are set in."""
    if not tasks:
        return markup.page(f'<div class="muted">{_clean(tasks_text(service, tasks))}</div>')

    def row(task: TaskFacts) -> tuple[str, ...]:
        return (
            f"<b>{_clean(task.name)}</b>"
            if task.is_current
            else '<span class="muted">\N{BOX DRAWINGS LIGHT UP AND RIGHT} before</span>',
            markup.state(task.kind, printable(task.state)),
            _clean(task.node),
            _clean(task.image),
            _clean(", ".join(task.ports)),
            _clean(_why(task)),
            markup.code(human.short_id(task.id)),
        )

    shown = markup.table(("task", "state", "node", "image", "ports", "error", "id"), map(row, tasks), wrap=(5,))
    return markup.page(markup.head(f"tasks of {_clean(service)}"), markup.volatile(shown))


def removed_lines(names: Sequence[str]) -> list[str]:
    return [printable(f"removed service {name}") for name in names]


def _node(node: NodeFacts | None, tasks: Sequence[TaskFacts]) -> str:
    kind, word = node_state(node) if node else ("waiting", "")
    name = f"<b>{_clean(node.name)}</b>" if node else '<span class="muted">on no node yet</span>'
    state = markup.state(kind, word) if node else ""
    away = " class=away" if node is None or kind == "failed" else ""
    rest = f'<li class="waiting">and {len(tasks) - _MOST} more</li>' if len(tasks) > _MOST else ""
    is_away = node is not None and kind == "failed"
    boxes = "".join(_replica(task, is_away) for task in tasks[:_MOST]) + rest
    inside = f"<ul>{boxes}</ul>" if boxes else '<span class="muted">nothing of it</span>'
    return f'<li{away}><div class="where">{name} {state}</div>{inside}</li>'


def _replica(task: TaskFacts, is_away: bool) -> str:
    """is_away: its node does not answer, and what it said of itself is old."""
    tip = " · ".join(filter(None, (task.image, f"desired: {task.desired}", _why(task), human.short_id(task.id))))
    has_ports = task.ports and task.state == "running" and not is_away
    ports = f' <span class="muted">{_clean(", ".join(task.ports))}</span>' if has_ports else ""
    old = ' <span class="muted">old</span>' if task.is_old else ""
    number = task.name.rpartition(".")[2] if task.name.rpartition(".")[2].isdecimal() else task.name
    name = f"<b>{_clean(number)}</b>"
    kind, state = ("waiting", f"{markup.STATES['waiting'][0]} was {_clean(task.state)}") if is_away else (task.kind, _state(task))
    return f'<li class="{kind}{" old" if task.is_old else ""}" title="{_clean(tip)}">{name} {state}{ports}{old}</li>'


def _state(task: TaskFacts) -> str:
    mark = markup.STATES[task.kind][0]
    return f"{mark} {_clean(task.state)}"


def _errors(service: ServiceFacts) -> str:
    """What keeps tasks from running, each once."""
    said = dict.fromkeys(f"{task.name}: {_why(task)}" for task in service.tasks if _why(task))
    lines = "".join(f"<li>{_clean(human.shorten(one, _ERROR))}</li>" for one in list(said)[:5])
    return f'<ul class="failed">{lines}</ul>' if lines else ""


def _update(update: UpdateFacts) -> str:
    return markup.volatile(markup.state(update.kind, printable(update.word))) if update.state else ""


def _said(update: UpdateFacts) -> str:
    return f'<span class="muted">{_clean(human.shorten(update.said, _ERROR))}</span>' if update.said else ""


def _why(task: TaskFacts) -> str:
    if task.exit_code and "exit" not in task.said:
        return f"{task.said} (exit code {task.exit_code})".strip()
    return task.said


def _line(task: TaskFacts) -> str:
    mark = markup.STATES[task.kind][0]
    return "  ".join(
        filter(None, (f"{mark} {task.name}", task.state, ", ".join(task.ports), "old" if task.is_old else "", _why(task)))
    )


def _indented(task: TaskFacts) -> str:
    return task.name if task.is_current else f"  before {task.name}"


def _is_away(task: TaskFacts, nodes: Sequence[NodeFacts]) -> bool:
    """Whether it is on a node that does not answer: what it says of itself is old then."""
    return any(node.name == task.node and node.state == "down" for node in nodes)


def _clean(said: str) -> str:
    return markup.text(printable(said))
