"""Verbs that look: ps, inspect, diff, top, port."""

from __future__ import annotations

import shlex

from dockerlab.client import Client, connect, engine_errors
from dockerlab.containers import address
from dockerlab.containers.container import Containers, Which, acting, get, not_running, of
from dockerlab.containers.ports import port_and_protocol, published_in
from dockerlab.containers.values import Change, Changes, Inspection, Ports, Processes
from dockerlab.errors import UsageError
from dockerlab.faces import container as faces

_KINDS = ("changed", "added", "deleted")
_MOUNTED = ("/dev", "/etc", "/proc", "/run", "/sys")


def ps(all: bool = False, *, client: Client | None = None) -> Containers:
    """The containers that run, newest first; all: those that have ended, too."""
    client = client or connect()
    with engine_errors("list the containers"):
        listed = client.api.containers(all=True)
    shown = [c for c in (of(attrs, client) for attrs in listed) if all or c.facts.state in ("running", "paused", "restarting")]
    shown.sort(key=lambda c: c.facts.created or 0.0, reverse=True)
    return Containers(shown, faces.NONE_RUNNING if listed and not all else faces.NO_CONTAINERS)


def inspect(container: Which, *, client: Client | None = None) -> Inspection:
    """All that the engine knows of a container. Raises NotFound."""
    found = get(container, client=client)
    return Inspection(found.attrs, found.facts)


def diff(container: Which, *, client: Client | None = None) -> Changes:
    """What a container has changed of its image's files. Raises NotFound."""
    found = get(container, client=client)
    with acting("compare", found):
        changes = {c["Path"]: _KINDS[c["Kind"]] for c in found.client.api.diff(found.id) or []}
    # A runtime that mounts files there touches these folders; Docker hides it, Podman does not.
    touched = {p for p in _MOUNTED if changes.get(p) == "changed" and not any(other.startswith(f"{p}/") for other in changes)}
    return Changes((Change(path, kind) for path, kind in changes.items() if path not in touched), found.facts)


def top(container: Which, ps_args: str | list[str] | None = None, *, client: Client | None = None) -> Processes:
    """The processes in a running container. ps_args: flags of the engine's `ps`. Raises NotFound, Conflict."""
    found = get(container, client=client)
    if found.facts.state != "running":
        raise not_running(found)
    with acting("list the processes of", found):
        args = ps_args if ps_args is None or isinstance(ps_args, str) else shlex.join(ps_args)
        answer = found.client.api.top(found.id, args)
    titles, rows = answer["Titles"], answer["Processes"] or []
    if len(titles) == 1:  # Podman gives whole lines
        titles = titles[0].split()
        rows = [row[0].split(None, len(titles) - 1) for row in rows]
    return Processes(titles, rows, found.facts)


def port(container: Which, port: int | str | None = None, *, client: Client | None = None) -> Ports:
    """The published ports of a container, or one of them. Raises NotFound, UsageError for a port that is not published."""
    found = get(container, client=client)
    wanted = None if port is None else port_and_protocol(port)
    published = [p for p in published_in(found.attrs) if wanted in (None, (p.port, p.protocol))]
    if wanted and not published:
        raise UsageError(
            f"container {found.facts.label} does not publish port {port}", hint=f"Publish it when it is run: `-p {port}`."
        )
    places: dict[str, tuple[str, ...]] = {}
    for p in published:
        host = f"[{p.host_ip}]" if ":" in p.host_ip else p.host_ip or "0.0.0.0"
        places[p.exposed] = (*places.get(p.exposed, ()), f"{host}:{p.host_port}")
    links = [link for link in found.facts.ports if any(link.shown == address.shown(p) for p in published)]
    return Ports(places, links, found.facts)
