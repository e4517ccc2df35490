"""`docker run --link` on the default bridge: a container's names for others, "web/data" for what `web` calls `data`.

A record keeps a link as "id:alias", so that it holds whatever the other container is called later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dockerlab.engine.containers.container import Container
from dockerlab.engine.containers.index import Index
from dockerlab.engine.containers.parts import Parts
from dockerlab.engine.containers.record import Record
from dockerlab.engine.networks import links
from dockerlab.engine.networks.endpoint import link_parts
from dockerlab.errors import EngineError, NotFound, UsageError


def resolved(index: Index, asked: Iterable[str]) -> list[str]:
    """Links as a record keeps them. Raises UsageError, EngineError."""
    found = []
    for link in asked:
        name, alias = link_parts(link)
        if link.count(":") > 1:
            raise EngineError(f"bad format for links: {link}", status=500)
        try:
            found.append(f"{index.get(name).id}:{alias}")
        except NotFound as error:
            raise UsageError(f"could not get container for {name}: {error.message}") from error
    return found


def shown(index: Index, record: Record) -> list[str] | None:
    """HostConfig.Links: "/db:/web/data"; those to containers that are gone are left out. Of a user network, as they were asked for."""
    if record.network_mode != "bridge":
        return record.host_config.get("Links")
    return [f"/{other.name}:/{record.name}/{alias}" for other, alias in _links(index, record)] or None


def names(index: Index, containers: Iterable[Container]) -> dict[str, list[str]]:
    """What containers are called by those that link to them: by their ids, "/web/data"."""
    found: dict[str, list[str]] = {}
    for container in containers:
        for other, alias in _links(index, container.record):
            found.setdefault(other.id, []).append(f"/{container.name}/{alias}")
    return found


def find(index: Index, name: str) -> Container | None:
    """What "web/data" is."""
    parent, slash, alias = name.lstrip("/").partition("/")
    container = index.find(parent) if slash else None
    return next((other for other, known in _links(index, container.record) if known == alias), None) if container else None


def variables(parts: Parts, container: Container) -> Iterator[str]:
    """What the environment of a container's processes says of those that it links to, as far as they run."""
    for link in parts.networks.links(container.id):
        other = parts.index.get(link.other).record.config
        yield from links.environment(link, container.name, other.get("ExposedPorts") or (), other.get("Env") or ())


def remove(parts: Parts, name: str) -> None:
    """Takes a link away: `DELETE /containers/web/data?link=1`. Raises NotFound, EngineError."""
    if find(parts.index, name) is None:
        parts.index.get(name)
        raise EngineError("Conflict, cannot remove the default link name of the container", status=500)
    parent, _, alias = name.lstrip("/").partition("/")
    container = parts.index.get(parent)
    with container.lock:
        host = container.record.host_config
        kept = [link for link in host["Links"] or () if link_parts(link)[1] != alias]
        container.update(host_config={**host, "Links": kept or None})
        parts.networks.relink(container.id, kept)


def _links(index: Index, record: Record) -> Iterator[tuple[Container, str]]:
    for link in (record.host_config.get("Links") or ()) if record.network_mode == "bridge" else ():
        name, alias = link_parts(link)
        if other := index.find(name):
            yield other, alias
