"""A container as networks see it: a *member*, with an *endpoint* in each network that it is connected to. Values; pure.

All endpoints of a member have one address, that of its first network: there is one network stack, the host's, and any address of it is
within reach of every container. What a network adds is names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from dockerlab.engine.networks.hosts import Line
from dockerlab.engine.networks.network import Network

_PREFIX_LENGTH = 16


@dataclass(frozen=True)
class Endpoint:
    """network_id: "" until the container has been started. ipam, mac_address: what was asked for; shown, and not used."""

    network_id: str = ""
    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    ipam: Mapping[str, Any] | None = None
    driver_options: Mapping[str, str] | None = None
    mac_address: str = ""
    gateway_priority: int = 0


@dataclass(frozen=True)
class Member:
    """id: the container's. endpoints: by the network's name, in the order of connecting. links: of the default bridge. address, run:
    only while it runs; run tells its runs apart."""

    id: str
    name: str
    mode: str
    hostname: str = ""
    domainname: str = ""
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    extra_hosts: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    address: str = ""
    run: str = ""

    @property
    def short_id(self) -> str:
        """As a hostname."""
        return self.id[:12]

    @property
    def is_running(self) -> bool:
        """Whether it has been started and not stopped."""
        return bool(self.run)

    @property
    def host_names(self) -> tuple[str, ...]:
        """What it calls itself, the full name first."""
        host = self.hostname or self.short_id
        return (f"{host}.{self.domainname}", host) if self.domainname else (host,)

    def names(self, network: str) -> tuple[str, ...]:
        """What others in a user network call it."""
        host = [self.hostname] if self.hostname else []
        aliases = self.endpoints[network].aliases
        return tuple(dict.fromkeys([self.name, *aliases, self.short_id, *host]))

    @cached_property
    def lines(self) -> dict[str, str]:
        """What others in each network have of it in their hosts file. Computed once: there may be many others."""
        return {network: str(Line(self.address, self.names(network))) for network in self.endpoints}

    def endpoint_id(self, network: str) -> str:
        """The id of an endpoint while the container runs."""
        return hashlib.sha256(f"{self.run} {network}".encode()).hexdigest() if self.run else ""


def member(id: str, name: str, mode: str, config: Mapping[str, Any], host_config: Mapping[str, Any]) -> Member:
    """A container, as the bodies of its creation have it, without endpoints. mode: of its network, resolved."""
    hostname = str(config.get("Hostname") or "")
    return Member(
        id=id,
        name=name,
        mode=mode,
        hostname="" if hostname == id[:12] else hostname,
        domainname=str(config.get("Domainname") or ""),
        extra_hosts=tuple(host_config.get("ExtraHosts") or ()),
        links=tuple(host_config.get("Links") or ()),
        dns=tuple(host_config.get("Dns") or ()),
        dns_search=tuple(host_config.get("DnsSearch") or ()),
        dns_options=tuple(host_config.get("DnsOptions") or ()),
    )


def own_line(member: Member, named: Iterable[Network]) -> Line | None:
    """Its line in its own hosts file. named: the user networks among its own."""
    if not member.address:
        return None
    more = [name for network in named for name in member.names(network.name)]
    return Line(member.address, tuple(dict.fromkeys([*member.host_names, *more])))


def link_parts(link: str) -> tuple[str, str]:
    """("other", "alias") of "other", "other:alias", "/other:/me/alias"."""
    other, _, alias = link.partition(":")
    other = other.lstrip("/")
    return other, alias.rpartition("/")[2] or other


def endpoint_json(member: Member, name: str, network: Network | None) -> dict[str, Any]:
    """An entry of NetworkSettings.Networks."""
    endpoint = member.endpoints[name]
    has_address = bool(member.address) and network is not None and network.driver == "bridge"
    is_known = network is not None and (member.is_running or bool(endpoint.network_id))
    return {
        "IPAMConfig": endpoint.ipam,
        "Links": list(endpoint.links) or None,
        "Aliases": list(endpoint.aliases) or None,
        "MacAddress": endpoint.mac_address,
        "DriverOpts": endpoint.driver_options,
        "GwPriority": endpoint.gateway_priority,
        "NetworkID": network.id if network and is_known else endpoint.network_id,
        "EndpointID": member.endpoint_id(name),
        "Gateway": network.gateway if network and has_address else "",
        "IPAddress": member.address if has_address else "",
        "IPPrefixLen": _PREFIX_LENGTH if has_address else 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": list(member.names(name)) if network and network.has_names and is_known else None,
    }


def settings_json(member: Member, networks: Mapping[str, Network], ports: Mapping[str, Any]) -> dict[str, Any]:
    """NetworkSettings of a container's inspection. networks: by name. ports: as they are to be shown."""
    ends = {name: endpoint_json(member, name, networks.get(name)) for name in member.endpoints}
    bridge = ends.get("bridge", {})
    top = {
        name: bridge.get(name, empty)
        for name, empty in (("EndpointID", ""), ("Gateway", ""), ("IPAddress", ""), ("IPPrefixLen", 0), ("MacAddress", ""))
    }
    return {
        "Bridge": "",
        "SandboxID": member.run if ends else "",
        "SandboxKey": "",
        "Ports": dict(ports),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        **top,
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "IPv6Gateway": "",
        "Networks": ends,
    }


def shown_in(network: Network, member: Member) -> dict[str, Any]:
    """An entry of a network's Containers."""
    address = f"{member.address}/{_PREFIX_LENGTH}" if member.address and network.block else ""
    return {
        "Name": member.name,
        "EndpointID": member.endpoint_id(network.name),
        "MacAddress": member.endpoints[network.name].mac_address,
        "IPv4Address": address,
        "IPv6Address": "",
    }


def endpoints_stored(endpoints: Mapping[str, Endpoint]) -> dict[str, Any]:
    """What a member's file holds."""
    return {name: asdict(endpoint) for name, endpoint in endpoints.items()}


def endpoints_from_stored(value: Mapping[str, Any]) -> dict[str, Endpoint]:
    """The inverse of `endpoints_stored`."""
    return {
        name: Endpoint(**fields | {"aliases": tuple(fields["aliases"]), "links": tuple(fields["links"])})
        for name, fields in value.items()
    }
