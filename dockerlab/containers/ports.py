"""Ports: what `-p` asks for, and what an engine says is published. Pure.

    -p [[HOST_IP:]HOST_PORT:]PORT[/tcp|udp|sctp]        each port may be a range of the same length

*PORT* is where the program in the container listens, *HOST_PORT* where it is reached on the engine's host; without it the engine
chooses a free one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dockerlab.errors import UsageError

PROTOCOLS = ("tcp", "udp", "sctp")
_FORM = "Give PORT, HOST_PORT:PORT or HOST_IP:HOST_PORT:PORT, with /udp for UDP: `-p 8080:5000`, `-p 127.0.0.1:8080:5000`."
_PUBLISH = re.compile(
    r"(?:(?:(?:\[(?P<ip6>[^\]]*)\]|(?P<ip4>[^:\[\]]*)):)?(?P<host>[\d-]*):)?(?P<port>[\d-]+)(?:/(?P<protocol>[a-zA-Z]+))?", re.ASCII
)


@dataclass(frozen=True, slots=True, order=True)
class Published:
    """A published port. port, protocol: in the container. host_ip: '' for all addresses. host_port: '' where the engine chooses,
    else a number, or a range out of which it chooses."""

    port: int
    protocol: str
    host_ip: str
    host_port: str

    @property
    def exposed(self) -> str:
        """The container's side, as the API writes it: `5000/tcp`."""
        return f"{self.port}/{self.protocol}"


def parse_publish(item: str | int, default_ip: str) -> tuple[Published, ...]:
    """What one `-p` publishes. default_ip: where no address is given. Raises UsageError."""
    text = str(item)

    def wrong(reason: str) -> UsageError:
        return UsageError(f"-p '{text}': {reason}", hint=_FORM)

    match = _PUBLISH.fullmatch(text.strip())
    if not match:
        raise wrong("not a port to publish")
    protocol = (match["protocol"] or "tcp").lower()
    if protocol not in PROTOCOLS:
        raise wrong(f"'{match['protocol']}' is no protocol; there are {', '.join(PROTOCOLS)}")
    ip = match["ip6"] if match["ip6"] is not None else match["ip4"]
    if ip:
        try:
            ip = str(ipaddress.ip_address(ip))
        except ValueError as error:
            raise wrong(f"'{ip}' is not an IP address") from error
    address = ip or default_ip
    ports = _range(match["port"], wrong)
    if ports[0] == 0:
        raise wrong("a container's port is 1 to 65535")
    if match["host"] in (None, "", "0"):
        return tuple(Published(port, protocol, address, "") for port in ports)
    hosts = _range(match["host"], wrong)
    if len(ports) == 1 and len(hosts) > 1:
        return (Published(ports[0], protocol, address, match["host"]),)
    if len(ports) != len(hosts):
        raise wrong(f"{len(hosts)} host ports for {len(ports)} container ports")
    return tuple(Published(port, protocol, address, str(host)) for port, host in zip(ports, hosts, strict=True))


def bindings(published: Iterable[Published]) -> dict[str, list[dict[str, str]]]:
    """The API's PortBindings."""
    table: dict[str, list[dict[str, str]]] = {}
    for p in published:
        table.setdefault(p.exposed, []).append({"HostIp": p.host_ip, "HostPort": p.host_port})
    return table


def published_in(attrs: Mapping[str, Any]) -> tuple[Published, ...]:
    """What an engine says is published, from an inspected or a listed container; ordered, each once."""
    found = []
    ports = attrs.get("Ports") if "NetworkSettings" not in attrs or "Names" in attrs else attrs["NetworkSettings"].get("Ports")
    if isinstance(ports, Mapping):
        for exposed, places in ports.items():
            number, _, protocol = exposed.partition("/")
            found += [Published(int(number), protocol or "tcp", p.get("HostIp") or "", str(p["HostPort"])) for p in places or ()]
    elif isinstance(ports, Sequence):
        found = [
            Published(p["PrivatePort"], p.get("Type") or "tcp", p.get("IP") or "", str(p["PublicPort"]))
            for p in ports
            if p.get("PublicPort")
        ]
    return tuple(sorted(set(found)))


def port_and_protocol(port: int | str) -> tuple[int, str]:
    """`5000` or `"5000/udp"` → (5000, "udp"). Raises UsageError."""
    match = re.fullmatch(r"(\d{1,5})(?:/(tcp|udp|sctp))?", str(port).lower(), re.ASCII)
    if not match or not 0 < int(match[1]) < 65536:
        raise UsageError(f"'{port}' is not a port", hint="Give the port of the container, 1 to 65535, with /udp for UDP.")
    return int(match[1]), match[2] or "tcp"


def _range(text: str, wrong: Any) -> range:
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text)
    if not match:
        raise wrong(f"'{text}' is neither a port nor a range")
    first = int(match[1])
    last = int(match[2] or first)
    if last > 65535:
        raise wrong(f"{last} is more than 65535")
    if last < first:
        raise wrong(f"the range {text} runs backwards")
    return range(first, last + 1)
