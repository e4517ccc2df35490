"""The processes in a container as a tree, out of what the engine's `ps` prints. Pure, but for `read`.

Docker runs the host's `ps`, Podman its own, which takes other words for the columns and gives a process's number in the container.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dockerlab.client import Client, engine_errors
from dockerlab.containers.container import Container
from dockerlab.containers.observation import top
from dockerlab.errors import EngineError
from dockerlab.faces.hiding import hide_in_command

_DOCKER: Final = "-eo pid,ppid,user,pcpu,rss,args"
_PODMAN: Final = "pid,ppid,user,pcpu,etime,args"


@dataclass(frozen=True, slots=True)
class Process:
    """One process. depth: how many of its ancestors are in the container, too; is_last: whether it is its parent's last child.

    cpu: in percent, since it was started. memory: in bytes that are resident. None where the engine's `ps` has no such column.
    """

    pid: int
    user: str
    command: str
    depth: int = 0
    is_last: bool = True
    cpu: float | None = None
    memory: int | None = None


def read(container: Container, *, is_podman: bool, secrets: Iterable[str] = ()) -> tuple[Process, ...]:
    """The processes that run in it. secrets: values that are not shown. Raises NotFound, Conflict, EngineError."""
    try:
        found = top(container, _PODMAN if is_podman else _DOCKER, client=container.client)
    except EngineError as error:
        if error.status != 500:
            raise
        found = top(container, client=container.client)  # its `ps` is a small one
    return tree(found.titles, found.rows, secrets)


def tree(titles: Sequence[str], rows: Iterable[Sequence[str]], secrets: Iterable[str] = ()) -> tuple[Process, ...]:
    """Parents before their children, each with its depth; without a column PPID all of them at the top."""
    names = [title.upper() for title in titles]
    secrets = tuple(secrets)
    parents: dict[int, int] = {}
    known: dict[int, dict[str, str]] = {}
    for row in rows:
        cells = dict(zip(names, row, strict=False))
        pid = _integer(cells.get("PID"))
        if pid is None or pid in known:
            continue
        known[pid], parents[pid] = cells, _integer(cells.get("PPID")) or 0
    children: dict[int, list[int]] = {}
    for pid in known:
        parent = parents[pid]
        children.setdefault(parent if parent in known and parent != pid else 0, []).append(pid)
    ordered: list[Process] = []
    waiting = [(pid, 0, pid == children[0][-1]) for pid in reversed(children.get(0, ()))]
    while waiting:
        pid, depth, is_last = waiting.pop()
        ordered.append(_process(pid, known.pop(pid), depth, is_last, secrets))
        below = [child for child in children.get(pid, ()) if child in known]
        waiting += [(child, depth + 1, child == below[-1]) for child in reversed(below)]
    # What is left goes round in a circle, as it can where a number was given anew while `ps` looked.
    return (*ordered, *(_process(pid, cells, 0, True, secrets) for pid, cells in known.items()))


def is_podman(client: Client) -> bool:
    """Whether the engine is a Podman."""
    with engine_errors("ask the engine what it is"):
        parts = client.version().get("Components") or ()
    return any(part.get("Name") == "Podman Engine" for part in parts)


def _process(pid: int, cells: dict[str, str], depth: int, is_last: bool, secrets: Iterable[str]) -> Process:
    command = next((cells[name] for name in ("COMMAND", "CMD", "ARGS") if name in cells), "")
    memory = _integer(cells.get("RSS"))
    return Process(
        pid=pid,
        user=next((cells[name] for name in ("USER", "UID") if name in cells), ""),
        command=hide_in_command(command, secrets),
        depth=depth,
        is_last=is_last,
        cpu=_decimal(cells.get("%CPU")),
        memory=None if memory is None else memory * 1024,
    )


def _integer(text: Any) -> int | None:
    return int(text) if str(text).strip().isdecimal() else None


def _decimal(text: Any) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None
