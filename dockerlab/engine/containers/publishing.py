"""Published ports: which ports of the container are to be reached at which of the host, and the sockets that listen there.

An address that the client does not name is 127.0.0.1, not every address of the machine as with Docker: nobody is let in from outside
who was not invited. Who wants that says 0.0.0.0.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from dockerlab.engine.containers.record import Published, Record
from dockerlab.errors import EngineError

_BACKLOG = 128
DEFAULT_ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class Binding:
    """A port of the container, and where it is wanted: at one of the host's ports first to last, or any free one (0, 0)."""

    port: int
    protocol: Literal["tcp", "udp"]
    host_ip: str = DEFAULT_ADDRESS
    first: int = 0
    last: int = 0


def bindings(config: Mapping[str, Any], host: Mapping[str, Any]) -> list[Binding]:
    """What `-p` and `-P` ask for; nothing where the container shares a network with others or has none. Pure."""
    mode = str(host.get("NetworkMode") or "")
    if mode in ("host", "none") or mode.startswith("container:"):
        return []
    asked = host.get("PortBindings") or {}
    found = [binding for text, wanted in asked.items() for port in _ports(text) for binding in _bindings(port, wanted or [{}])]
    if host.get("PublishAllPorts"):
        taken = {(binding.port, binding.protocol) for binding in found}
        found += [Binding(*port) for text in config.get("ExposedPorts") or {} for port in _ports(text) if port not in taken]
    return found


def listen(wanted: Iterable[Binding], endpoint: str, others: Iterable[Published] = ()) -> list[tuple[Published, socket.socket]]:
    """Binds them all or none. endpoint: how the container is called in an error. others: what other containers have published.

    Raises EngineError with Docker's text, which tells a port of another container from one that somebody else has.
    """
    allocated = {(one.protocol, one.host_port) for one in others}
    found: list[tuple[Published, socket.socket]] = []
    try:
        for binding in wanted:
            sock = _bound(binding, endpoint, allocated)
            found.append((Published(binding.port, binding.protocol, binding.host_ip, sock.getsockname()[1]), sock))
    except BaseException:
        for _, sock in found:
            sock.close()
        raise
    return found


def listen_at_gateway(published: Iterable[Published], gateway: str) -> list[tuple[Published, socket.socket]]:
    """The same ports at the network's own address of the host, where clients that run in a container themselves look for them.

    Only of those that this machine has for itself anyway. One that is taken there is left out: nobody asked for it.
    """
    found = []
    for one in published:
        if one.host_ip == DEFAULT_ADDRESS:
            with suppress(EngineError):
                sock = _bound(Binding(one.port, one.protocol, gateway, one.host_port, one.host_port), "", ())
                found.append((one, sock))
    return found


def ports_json(record: Record) -> dict[str, Any]:
    """NetworkSettings.Ports: those that are exposed, with where they are published while the container runs."""
    if not record.state.is_alive:
        return {}
    exposed = [f"{port}/{protocol}" for text in record.config.get("ExposedPorts") or {} for port, protocol in _ports(text)]
    found: dict[str, Any] = dict.fromkeys(sorted(exposed))
    for one in record.ports:
        key = f"{one.port}/{one.protocol}"
        found[key] = [*(found.get(key) or []), {"HostIp": one.host_ip, "HostPort": str(one.host_port)}]
    return found


def ports_list(record: Record) -> list[dict[str, Any]]:
    """The same as a list of containers shows it."""
    found: list[dict[str, Any]] = []
    for text, published in ports_json(record).items():
        port, _, protocol = text.partition("/")
        for one in published or ():
            public = {"IP": one["HostIp"], "PrivatePort": int(port), "PublicPort": int(one["HostPort"]), "Type": protocol}
            found.append(public)
        if not published:
            found.append({"PrivatePort": int(port), "Type": protocol})
    return found


def _ports(text: str) -> list[tuple[int, Literal["tcp", "udp"]]]:
    """ "80", "80/tcp", "8000-8002/udp"; what is no port is left out, as Docker does."""
    ports, _, protocol = text.partition("/")
    first, _, last = ports.partition("-")
    if protocol not in ("", "tcp", "udp") or not first.isdecimal() or (last and not last.isdecimal()):
        return []
    return [(port, "udp" if protocol == "udp" else "tcp") for port in range(int(first), int(last or first) + 1)]


def _bindings(port: tuple[int, Literal["tcp", "udp"]], wanted: Iterable[Mapping[str, Any]]) -> Iterable[Binding]:
    for one in wanted:
        first, _, last = str(one.get("HostPort") or "0").partition("-")
        yield Binding(*port, _address(str(one.get("HostIp") or "")), int(first), int(last or first))


def _address(text: str) -> str:
    """What is no address stands for none, as with Docker: no name is looked up."""
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        return DEFAULT_ADDRESS


def _bound(binding: Binding, endpoint: str, allocated: Collection[tuple[str, int]]) -> socket.socket:
    kind = socket.SOCK_DGRAM if binding.protocol == "udp" else socket.SOCK_STREAM
    where, problem = f"{binding.host_ip}:{binding.first}", ""
    for port in range(binding.first, binding.last + 1):
        where = f"{binding.host_ip}:{port}"
        sock = socket.socket(socket.AF_INET6 if ":" in binding.host_ip else socket.AF_INET, kind)
        try:
            if kind == socket.SOCK_STREAM:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((binding.host_ip, port))
            if kind == socket.SOCK_STREAM:
                sock.listen(_BACKLOG)
            return sock
        except OSError as error:
            sock.close()
            if error.errno == errno.EADDRINUSE and (binding.protocol, port) in allocated:
                problem = f"Bind for {where} failed: port is already allocated"
            else:
                text = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error)
                problem = f"failed to bind host port {where}/{binding.protocol}: {text}"
    prefix = "failed to set up container networking: driver failed programming external connectivity on endpoint"
    raise EngineError(f"{prefix} {endpoint}: {problem}", status=500)
