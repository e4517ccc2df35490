"""The list of containers: which are wanted, by Docker's filters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dockerlab.engine import timestamps
from dockerlab.engine.containers import publishing
from dockerlab.engine.containers.container import Container
from dockerlab.engine.containers.index import Index
from dockerlab.engine.containers.record import Record
from dockerlab.engine.filters import Filters
from dockerlab.errors import EngineError, NotFound, UsageError

TERMS = (
    *("ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label", "name", "network", "publish"),
    *("since", "status", "volume"),
)
_STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
_HEALTH = ("none", "starting", "healthy", "unhealthy")


@dataclass(frozen=True)
class Wanted:
    """The filters of a list, checked. ancestors: of `ancestor`, the ids of images and of what was made on them."""

    filters: Filters
    ancestors: frozenset[str] = frozenset()
    exit_codes: frozenset[int] = frozenset()
    before: int | None = None
    since: int | None = None
    ports: Mapping[str, frozenset[tuple[int, str]]] | None = None


def wanted(filters: Filters, index: Index, ancestors: Callable[[str], Iterable[str]]) -> Wanted:
    """Raises UsageError, NotFound, EngineError for filters that make no sense. ancestors: ids of an image and of its descendants."""
    for value in filters.values("status"):
        if value not in _STATES:
            raise UsageError(
                f"invalid filter 'status={value}': invalid value for state ({value}): must be one of {', '.join(_STATES)}"
            )
    for value in filters.values("health"):
        if value not in _HEALTH:
            raise UsageError(
                f"invalid filter 'health={value}': invalid value for health ({value}): must be one of {', '.join(_HEALTH)}"
            )
    filters.flag("is-task")
    images: set[str] = set()
    for value in filters.values("ancestor"):
        try:
            images |= set(ancestors(value))
        except (NotFound, UsageError):
            images.add("")  # nothing is made of it
    return Wanted(
        filters,
        frozenset(images),
        frozenset(_exit_code(value) for value in filters.values("exited")),
        _limit(index, filters.values("before"), min),
        _limit(index, filters.values("since"), max),
        {term: frozenset(_ports(term, filters.values(term))) for term in ("publish", "expose") if filters.values(term)},
    )


def is_wanted(container: Container, by: Wanted, networks: Mapping[str, Any], *, running_only: bool) -> bool:
    """Whether a container is to be listed. networks: its NetworkSettings.Networks."""
    record, filters = container.record, by.filters
    state = record.state
    if running_only and not state.is_running and not filters.values("status"):
        return False
    created = timestamps.nanoseconds(record.created)
    health = str((container.health or {}).get("Status") or "none")
    return (
        filters.is_prefix("id", record.id)
        and _is_named(filters, record.name)
        and filters.is_exact("status", state.status)
        and filters.is_exact("health", health)
        and filters.has_labels(record.labels)
        and filters.flag("is-task") is not True
        and (not by.ancestors or record.image in by.ancestors)
        and (not by.exit_codes or (state.exit_code in by.exit_codes and state.status in ("exited", "dead")))
        and (by.before is None or created < by.before)
        and (by.since is None or created > by.since)
        and _is_in_network(filters.values("network"), networks)
        and _has_volume(filters.values("volume"), record)
        and _has_ports(by.ports or {}, record)
    )


def shows_all(filters: Filters) -> bool:
    """Whether the filters ask for containers that do not run, without `all`."""
    return bool(filters.values("status"))


def _is_named(filters: Filters, name: str) -> bool:
    values = filters.values("name")
    return not values or any(_matches(value, f"/{name}") or _matches(value, name) for value in values)


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return False


def _exit_code(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"invalid filter 'exited={text}': strconv.Atoi: parsing \"{text}\": invalid syntax") from None


def _limit(index: Index, names: Iterable[str], choose: Callable[[list[int]], int]) -> int | None:
    found = [timestamps.nanoseconds(index.get(name).record.created) for name in names]
    return choose(found) if found else None


def _ports(term: str, values: Iterable[str]) -> Iterable[tuple[int, str]]:
    for value in values:
        ports, _, protocol = value.partition("/")
        first, _, last = ports.partition("-")
        for text in (first, last or first):
            if not text.isdecimal():
                raise EngineError(
                    f'error while looking up for {term} {value}: strconv.ParseUint: parsing "{text}": invalid syntax', status=500
                )
        yield from ((port, protocol or "tcp") for port in range(int(first), int(last or first) + 1))


def _has_ports(asked: Mapping[str, frozenset[tuple[int, str]]], record: Record) -> bool:
    listed = publishing.ports_list(record)
    if "publish" in asked:
        published = {(one["PublicPort"], one["Type"]) for one in listed if "PublicPort" in one}
        if not published & asked["publish"]:
            return False
    if "expose" in asked:
        exposed = {(one["PrivatePort"], one["Type"]) for one in listed}
        exposed |= {port for text in record.config.get("ExposedPorts") or {} for port in _ports("expose", [text])}
        return bool(exposed & asked["expose"])
    return True


def _is_in_network(values: Iterable[str], networks: Mapping[str, Any]) -> bool:
    names = set(networks)
    identifiers = [str(one.get("NetworkID") or "") for one in networks.values()]
    asked = list(values)
    return not asked or any(value in names or (value and any(i.startswith(value) for i in identifiers)) for value in asked)


def _has_volume(values: Iterable[str], record: Record) -> bool:
    asked = list(values)
    places = {place for point in record.mounts for place in (point.name, point.source, point.destination) if place}
    return not asked or any(value in places for value in asked)
