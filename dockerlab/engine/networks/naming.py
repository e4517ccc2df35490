"""Whom a container knows by name: the lines of its hosts file, from all members and networks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dockerlab.engine.networks import hosts
from dockerlab.engine.networks.endpoint import Member, link_parts, own_line
from dockerlab.engine.networks.hosts import Line
from dockerlab.engine.networks.network import Network

_HOST_LOOPBACK = "127.0.0.1"


def hosts_of(member: Member, members: Iterable[Member], networks: Mapping[str, Network], of_host: str = "") -> str:
    """The content of a running container's hosts file. of_host: the host's own, which a container in the host's network has, too."""
    if "host" in member.endpoints and not member.extra_hosts and of_host:
        return of_host
    named = [networks[name] for name in member.endpoints if name in networks and networks[name].has_names]
    others = [other for other in members if other.is_running and other.address and other.id != member.id]
    lines = [*_linked(member, others), *(line for network in named for line in _neighbours(member, others, network))]
    return hosts.hosts(own_line(member, named), dict.fromkeys(lines), member.extra_hosts, gateway_of(member))


def gateway_of(member: Member) -> str:
    """The address at which a container finds the host."""
    if not member.address:
        return _HOST_LOOPBACK
    first, second, *_ = member.address.split(".")
    return f"{first}.{second}.0.1"


def _neighbours(member: Member, others: Iterable[Member], network: Network) -> Iterator[Line]:
    links = [link_parts(link) for link in (*member.endpoints[network.name].links, *member.links)]
    for other in others:
        if network.name in other.endpoints:
            linked = [alias for name, alias in links if is_named(other, name)]
            yield Line(other.address, tuple(dict.fromkeys([*other.names(network.name), *linked])))


def _linked(member: Member, others: Iterable[Member]) -> Iterator[Line]:
    """Links of the default bridge: the one way there to know another by name."""
    if "bridge" not in member.endpoints:
        return
    for name, alias in map(link_parts, member.links):
        for other in others:
            if is_named(other, name) and "bridge" in other.endpoints:
                yield Line(other.address, tuple(dict.fromkeys([alias, *other.host_names, other.name])))


def is_named(member: Member, name: str) -> bool:
    """Whether `name` is the container's name, its id or the beginning of its id."""
    return member.name == name or (len(name) > 0 and member.id.startswith(name))
