"""Whom a container knows by name: the lines of its hosts file, from all members and networks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dockerlab.engine.networks import hosts
from dockerlab.engine.networks.endpoint import Member, link_parts, own_line
from dockerlab.engine.networks.hosts import Line
from dockerlab.engine.networks.network import Network

_HOST_LOOPBACK = "127.0.0.1"


def by_network(members: Iterable[Member]) -> dict[str, list[Member]]:
    """The running members that have an address, in each network."""
    found: dict[str, list[Member]] = {}
    for member in members:
        if member.is_running and member.address:
            for name in member.endpoints:
                found.setdefault(name, []).append(member)
    return found


def hosts_of(member: Member, there: Mapping[str, list[Member]], networks: Mapping[str, Network], of_host: str = "") -> str:
    """The content of a running container's hosts file. there: `by_network` of all members. of_host: the host's own file, which a
    container in the host's network has, too."""
    if "host" in member.endpoints and not member.extra_hosts and of_host:
        return of_host
    named = [networks[name] for name in member.endpoints if name in networks and networks[name].has_names]
    lines = list(_linked(member, there.get("bridge", [])))
    for network in named:
        lines += _neighbours(member, there.get(network.name, []), network.name)
    return hosts.hosts(own_line(member, named), dict.fromkeys(lines), member.extra_hosts, gateway_of(member))


def gateway_of(member: Member) -> str:
    """The address at which a container finds the host."""
    if not member.address:
        return _HOST_LOOPBACK
    first, second, *_ = member.address.split(".")
    return f"{first}.{second}.0.1"


def _neighbours(member: Member, there: Iterable[Member], network: str) -> Iterator[str]:
    links = [link_parts(link) for link in (*member.endpoints[network].links, *member.links)]
    for other in there:
        if other.id == member.id:
            continue
        linked = [alias for name, alias in links if is_named(other, name)]
        yield str(Line(other.address, tuple(dict.fromkeys([*other.names(network), *linked])))) if linked else other.lines[network]


def _linked(member: Member, there: Iterable[Member]) -> Iterator[str]:
    """Links of the default bridge: the one way there to know another by name."""
    if "bridge" not in member.endpoints:
        return
    for name, alias in map(link_parts, member.links):
        for other in there:
            if is_named(other, name):
                yield str(Line(other.address, tuple(dict.fromkeys([alias, *other.host_names, other.name]))))


def is_named(member: Member, name: str) -> bool:
    """Whether `name` is the container's name, its id or the beginning of its id."""
    return member.name == name or (len(name) > 0 and member.id.startswith(name))
