"""The engine's networks: which there are, which container is in which, and with which address.

    networks.add(id, name, config, host_config, endpoints)      a container is created (`restore`: found again by a new engine)
    networks.start(id, directory)                               it is started: gives what its plan needs, writes its hosts file
    networks.stop(id), rename(id, name), forget(id)
    networks.settings(id, ports)                                NetworkSettings of its inspection

Every container shares the host's network and has an address of its own in 127.0.0.0/8; a network of the driver "bridge" gives names.
Thread-safe; never calls into the rest of the engine, so that it may be called with the rest's locks held.
"""

from __future__ import annotations

import logging
import secrets
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from dockerlab.engine import timestamps
from dockerlab.engine.events import Events
from dockerlab.engine.filters import Filters
from dockerlab.engine.home import Home
from dockerlab.engine.networks import addresses, endpoint, hosts, naming, requests
from dockerlab.engine.networks.addresses import Addresses, Claim
from dockerlab.engine.networks.endpoint import Endpoint, Member
from dockerlab.engine.networks.links import Link
from dockerlab.engine.networks.network import Network
from dockerlab.engine.networks.registry import Registry
from dockerlab.engine.runtime import claims, kernel, plan
from dockerlab.errors import Conflict, EngineError, NotFound, UsageError

__all__ = ["Endpoint", "Link", "Member", "Network", "Networks"]

_LOG = logging.getLogger(__name__)
_FORBIDDEN = 403
_PRIVATE = "container cannot be connected to multiple networks with one of the networks in private (none) mode"
_SHARED = "container sharing network namespace with another container or host cannot be connected to any other network"
_JOINED = "container:"


class Networks:
    """The networks, and the containers as their members. host: the directory of the host's own hosts and resolv.conf."""

    def __init__(self, home: Home, events: Events, claim: Claim = claims.for_engine, host: Path = Path("/etc")) -> None:
        self._registry = Registry(home.root / "networks")
        self._events = events
        self._host = host
        self._lock = threading.RLock()
        self._addresses = Addresses(claim)
        self._members: dict[str, Member] = {}
        # Of running containers: where their hosts file is, and what we wrote there last.
        self._hosts: dict[str, tuple[Path, str]] = {}

    def close(self) -> None:
        """Gives up the claims on addresses."""
        with self._lock:
            self._addresses.close()

    # Networks

    def all(self) -> list[Network]:
        """All networks, the oldest first."""
        with self._lock:
            return self._registry.ordered()

    def get(self, name: str) -> Network:
        """A network by its name, its id or the beginning of its id. Raises NotFound, UsageError."""
        with self._lock:
            return self._registry.get(name)

    def create(self, body: Mapping[str, Any]) -> tuple[Network, str]:
        """A new network as `POST /networks/create` asks for it, and a warning. Raises Conflict, UsageError, NotFound, EngineError."""
        with self._lock:
            block = addresses.free_block(self._registry.blocks)
            network = requests.new_network(body, secrets.token_hex(32), timestamps.now(), block or 0)
            if network.name in self._registry.by_name:
                raise Conflict(f"network with name {network.name} already exists")
            others = [subnet for other in self._registry.by_name.values() for subnet in requests.subnets(other)]
            if any(subnet.overlaps(other) for subnet in requests.subnets(network) for other in others):
                raise EngineError("invalid pool request: Pool overlaps with other one on this address space", status=_FORBIDDEN)
            if block is None:
                raise EngineError("all predefined address pools have been fully subnetted", status=_FORBIDDEN)
            self._registry.add(network)
        self._emit(network, "create")
        return network, "; ".join(requests.warnings(network))

    def remove(self, name: str) -> None:
        """Removes a network that no running container is in. Raises NotFound, EngineError."""
        with self._lock:
            network = self.get(name)
            if network.is_predefined:
                raise EngineError(f"{network.name} is a pre-defined network and cannot be removed", status=_FORBIDDEN)
            if active := self.members(network):
                ends = ", ".join(f'name:"{m.name}" id:"{m.endpoint_id(network.name)[:12]}"' for m in active)
                text = f"error while removing network: network {network.name} has active endpoints ({ends})"
                raise EngineError(text, status=_FORBIDDEN)
            self._registry.remove(network)
        self._emit(network, "destroy")

    def prune(self, filters: Filters, until: int | None = None) -> list[str]:
        """Removes the user networks that no running container is in. until: created before, in nanoseconds. The names of the removed."""
        removed = []
        for network in self.all():
            wanted = filters.has_labels(network.labels) and filters.lacks_labels(network.labels)
            if network.is_predefined or not wanted or (until is not None and timestamps.nanoseconds(network.created) > until):
                continue
            # Another call may have removed it meanwhile, or a container has started in it.
            with suppress(EngineError):
                self.remove(network.id)
                removed.append(network.name)
        self._events.emit("network", "prune", "", {"reclaimed": "0"})
        return removed

    def members(self, network: Network) -> list[Member]:
        """The running containers in a network."""
        with self._lock:
            return [m for m in self._members.values() if m.is_running and network.name in m.endpoints]

    # Containers

    def add(
        self,
        id: str,
        name: str,
        config: Mapping[str, Any],
        host_config: Mapping[str, Any],
        endpoints: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """A new container, as the body of its creation has it; endpoints: NetworkingConfig.EndpointsConfig. Gives warnings.

        Raises UsageError.
        """
        requests.check_container(config, host_config)
        with self._lock:
            member = self._member(id, name, config, host_config)
            for link in member.links:
                other = endpoint.link_parts(link)[0]
                if self._find(other) is None:
                    raise UsageError(f"could not get container for {other}: No such container: {other}")
            ends = self._asked_for(member, endpoints or {})
            # Before 1.44 the address of the first network's endpoint was the container's.
            mac_address = str(config.get("MacAddress") or "")
            if mac_address and (end := ends.get(member.mode)) and not end.mac_address:
                ends[member.mode] = replace(end, mac_address=mac_address)
            self._members[id] = replace(member, endpoints=ends)
            if endpoints or mac_address:
                self._registry.keep_endpoints(id, ends)
            return [warning for name, end in ends.items() for warning in requests.endpoint_warnings(name, end)]

    def restore(
        self, id: str, name: str, config: Mapping[str, Any], host_config: Mapping[str, Any], directory: Path, address: str | None
    ) -> None:
        """A container that an earlier engine added. address: of its plan's network if it runs ("" for none), None if it does not."""
        with self._lock:
            member = self._member(id, name, config, host_config)
            ends = self._registry.endpoints(id)
            if ends is None:
                ends = self._asked_for(member, {})
            run = "" if address is None else secrets.token_hex(32)
            self._members[id] = replace(member, endpoints=ends, address=address or "", run=run)
            if address is not None:
                if address:
                    self._addresses.keep(address)
                self._hosts[id] = (directory / "hosts", _read(directory / "hosts") or "")

    def start(self, id: str, directory: Path) -> plan.Network:
        """Gives a container its address, and writes hosts, hostname and resolv.conf into its directory. Raises NotFound, EngineError."""
        with self._lock:
            member = self._members[id]
            network = self._network_of(member)
            ends = {name: replace(end, network_id=self._registry.get(name).id) for name, end in member.endpoints.items()}
            try:
                self._replace(replace(member, endpoints=ends, address=network.address, run=secrets.token_hex(32)))
                self._write_files(self._members[id], directory)
            except BaseException:
                self.stop(id)
                raise
            for name in ends:
                self._emit(self._registry.get(name), "connect", id)
            return replace(network, first_port=kernel.first_port())

    def stop(self, id: str) -> None:
        """Takes a container's address back. One that does not run is left alone."""
        with self._lock:
            member = self._members.get(id)
            if member is None or not member.is_running:
                return
            self._hosts.pop(id, None)
            self._replace(replace(member, address="", run=""))
            # Containers that share a network share its address.
            if not any(other.address == member.address for other in self._members.values()):
                self._addresses.give_back(member.address)
            for name in member.endpoints:
                if network := self._registry.find(name):
                    self._emit(network, "disconnect", id)

    def rename(self, id: str, name: str) -> None:
        """A container's new name, without a slash."""
        with self._lock:
            self._replace(replace(self._members[id], name=name))

    def relink(self, id: str, links: Sequence[str]) -> None:
        """Other links of the default bridge: "other:alias"."""
        with self._lock:
            self._replace(replace(self._members[id], links=tuple(links)))

    def forget(self, id: str) -> None:
        """A container is removed."""
        with self._lock:
            self.stop(id)
            self._members.pop(id, None)
            self._registry.forget_endpoints(id)

    def connect(self, name: str, container: str, settings: Mapping[str, Any] | None = None) -> None:
        """Connects a container to a network. Raises NotFound, UsageError, EngineError."""
        with self._lock:
            network, member = self.get(name), self._known(container)
            if network.driver == "host":
                raise UsageError("cannot connect container to host network - container must be created in host network mode")
            if member.mode == "host" or member.mode.startswith(_JOINED):
                raise UsageError(_SHARED)
            if member.endpoints and (network.driver == "null" or "none" in member.endpoints):
                raise UsageError(_PRIVATE)
            if network.name in member.endpoints:
                text = f"endpoint with name {member.name} already exists in network {network.name}"
                raise EngineError(text, status=_FORBIDDEN)
            end = requests.endpoint(settings, network)
            ends = {**member.endpoints, network.name: replace(end, network_id=network.id if member.is_running else "")}
            self._registry.keep_endpoints(member.id, ends)
            self._replace(replace(member, endpoints=ends))
            if member.is_running:  # it is there from its start on
                self._emit(network, "connect", member.id)

    def disconnect(self, name: str, container: str, force: bool = False) -> None:
        """Disconnects a container from a network. Raises NotFound, UsageError, EngineError."""
        with self._lock:
            network = self.get(name)
            if force and self._find(container) is None:
                raise NotFound(f"endpoint {container} not found")
            member = self._known(container)
            if network.name not in member.endpoints:
                raise EngineError(f"container {member.id} is not connected to network {network.name}", status=500)
            if network.driver == "host":
                raise UsageError("cannot disconnect container from host network - container was created in host network mode")
            ends = {name: end for name, end in member.endpoints.items() if name != network.name}
            self._registry.keep_endpoints(member.id, ends)
            self._replace(replace(member, endpoints=ends))
            if member.is_running:
                self._emit(network, "disconnect", member.id)

    def settings(self, id: str, ports: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """NetworkSettings of a container's inspection. ports: {"80/tcp": [{"HostIp": …, "HostPort": …}]}."""
        with self._lock:
            return endpoint.settings_json(self._members[id], self._registry.by_name, ports or {})

    def links(self, id: str) -> list[Link]:
        """The running containers that a container links to by the default bridge."""
        with self._lock:
            member = self._members[id]
            found = []
            for name, alias in map(endpoint.link_parts, member.links if "bridge" in member.endpoints else ()):
                other = self._find(name)
                if other and other.address:
                    found.append(Link(other.id, alias, other.address))
            return found

    # What they share

    def _member(self, id: str, name: str, config: Mapping[str, Any], host_config: Mapping[str, Any]) -> Member:
        mode = str(host_config.get("NetworkMode") or "bridge")
        mode = "bridge" if mode == "default" else mode
        if config.get("NetworkDisabled"):
            mode = ""
        elif not mode.startswith(_JOINED):
            found = self._registry.find(mode)
            mode = found.name if found else mode
        return endpoint.member(id, name, mode, config, host_config)

    def _asked_for(self, member: Member, asked: Mapping[str, Any]) -> dict[str, Endpoint]:
        """The endpoints of a new container: those that were asked for, or one in the network of its mode."""
        if not member.mode or member.mode.startswith(_JOINED):
            return {}
        ends: dict[str, Endpoint] = {}
        for key, settings in asked.items():
            network = self._registry.find("bridge" if key == "default" else key)
            try:
                ends[network.name if network else key] = requests.endpoint(settings, network)
            except UsageError as error:
                raise UsageError(f"invalid config for network {network.name if network else key}: {error.message}") from None
        if member.mode in ("host", "none") or not ends:
            return {member.mode: ends.get(member.mode, Endpoint())}
        return dict(sorted(ends.items(), key=lambda item: item[0] != member.mode))

    def _network_of(self, member: Member) -> plan.Network:
        """What network a container that starts has, its address taken."""
        if member.mode.startswith(_JOINED):
            try:
                other = self._known(member.mode.removeprefix(_JOINED))
            except NotFound as error:
                raise EngineError(f"joining network namespace of container: {error.message}", status=500) from None
            if not other.is_running:
                raise Conflict(f"cannot join network of a non running container: {other.id}")
            if other.address:
                return plan.Network("loopback", other.address)
            return plan.Network("host" if "host" in self._subject(other).endpoints else "none")
        try:
            networks = [self._registry.get(name) for name in member.endpoints]
        except NotFound as error:
            raise NotFound(f"failed to set up container networking: {error.message}") from None
        for link in member.links if "bridge" in member.endpoints else ():
            name, alias = endpoint.link_parts(link)
            if not (other := self._known(name)).is_running:
                text = f"Cannot link to a non running container: /{other.name} AS /{member.name}/{alias}"
                raise EngineError(text, status=500)
        if any(network.driver == "host" for network in networks):
            return plan.Network("host")
        bridges = [network for network in networks if network.block]
        if not bridges:
            return plan.Network("none")
        first = max(bridges, key=lambda network: member.endpoints[network.name].gateway_priority)
        address = self._addresses.take(first.block)
        if address is None:
            raise EngineError("failed to set up container networking: no available IPv4 addresses on this network's address pools")
        return plan.Network("loopback", address)

    def _subject(self, member: Member) -> Member:
        """The container whose network a container has: its own, or the one that it joined."""
        while member.mode.startswith(_JOINED) and (other := self._find(member.mode.removeprefix(_JOINED))):
            member = other
        return member

    def _find(self, name: str) -> Member | None:
        if name in self._members:
            return self._members[name]
        exact = [member for member in self._members.values() if member.name == name.removeprefix("/")]
        return next(iter(exact or [member for member in self._members.values() if naming.is_named(member, name)]), None)

    def _known(self, name: str) -> Member:
        if not name:
            raise UsageError('invalid name or ID supplied: ""')
        member = self._find(name)
        if member is None:
            raise NotFound(f"No such container: {name}")
        return member

    def _write_files(self, member: Member, directory: Path) -> None:
        subject = self._subject(member)
        content = self._content(member, naming.by_network(self._members.values()))
        hosts.write(directory / "hosts", content)
        self._hosts[member.id] = (directory / "hosts", content)
        hostname = subject.hostname or (socket.gethostname() if "host" in subject.endpoints else subject.short_id)
        hosts.write(directory / "hostname", f"{hostname}\n")
        resolv_conf = hosts.resolv_conf(_read(self._host / "resolv.conf"), subject.dns, subject.dns_search, subject.dns_options)
        hosts.write(directory / "resolv.conf", resolv_conf)

    def _content(self, member: Member, there: Mapping[str, list[Member]]) -> str:
        of_host = _read(self._host / "hosts") or "" if member.mode == "host" else ""
        return naming.hosts_of(self._subject(member), there, self._registry.by_name, of_host)

    def _replace(self, member: Member) -> None:
        """Takes a member in place of what it was before, and brings the hosts files of those who know it by name up to date."""
        before = self._members[member.id]
        self._members[member.id] = member
        networks = self._registry.by_name
        shared = {name for name in {*before.endpoints, *member.endpoints} if name in networks and networks[name].has_names}
        there: Mapping[str, list[Member]] = {}
        for id, (path, content) in list(self._hosts.items()):
            subject = self._subject(self._members[id])
            if subject.id != member.id and not subject.links and shared.isdisjoint(subject.endpoints):
                continue
            there = there or naming.by_network(self._members.values())
            after = self._content(self._members[id], there)
            if after != content:
                self._hosts[id] = (path, after)
                try:
                    hosts.rewrite(path, content, after)
                except OSError as error:
                    # It is being removed, or somebody put something else in the file's place: no reason for others not to start.
                    _LOG.warning("%s keeps its names as they are: %s", id[:12], error)
                    del self._hosts[id]

    def _emit(self, network: Network, action: str, container: str = "") -> None:
        attributes = {"name": network.name, "type": network.driver} | ({"container": container} if container else {})
        self._events.emit("network", action, network.id, attributes)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return None
