"""When a container is ready: its health check is good, or its published ports answer.

A port *answers* when a connection to it, from here, is neither refused nor closed at once: what publishes it (Docker's userland proxy, a
monitor of dockerlab's own engine) accepts connections before the program in the container listens, and then drops them. On a busy machine
it may take its time to do so. Then the container's own address tells, where it is reached from here. Nothing is sent, since the protocol
is not known.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from dockerlab.containers.facts import has_health_check
from dockerlab.containers.ports import Published, port_and_protocol, published_in
from dockerlab.errors import NotReady, UsageError
from dockerlab.faces import human

if TYPE_CHECKING:
    from dockerlab.containers.container import Container

_INTERVAL = 0.1
_HOLD = 0.3  # seconds that a connection must stay open
_LONG_HOLD = 5.0  # where the container itself refuses one
_CONNECT_SECONDS = 2.0
_LINES = 20


def wait_ready(
    container: Container, port: int | str | None, timeout: float, log: Callable[[], Sequence[str]] | None = None, aside: str = ""
) -> None:
    """Returns when `container` is ready. port: None for the health check, or all published TCP ports where there is none.
    log: gives the last lines of its output; without it, the engine is asked for them. aside: added to a hint.

    Raises NotReady after `timeout` seconds, or when the container ends; UsageError where there is nothing to wait for.
    """
    deadline = time.monotonic() + timeout
    ports = _awaited(container, port)
    while True:
        there = container.refresh()
        facts = container.facts
        lines = partial(_lines, container, log, there)

        def not_ready(what: str, hint: str, evidence: Sequence[str]) -> NotReady:
            message = f"container {container.facts.label} {what}"
            return NotReady(message, evidence=evidence, hint=f"{hint} {aside}".rstrip())

        if not there or facts.state in ("exited", "dead", "removed", "removing"):
            # The exit code goes with a container that the engine removes: told where it is known, but not in the message.
            code = "" if facts.exit_code is None else f"Its exit code was {facts.exit_code}. "
            seen = lines()
            hint = f"{code}The lines above are its last output." if seen else f"{code}It printed nothing."
            raise not_ready("ended before it was ready", hint, seen)
        if ports is None and facts.health == "healthy":
            return
        if ports is None and facts.health == "unhealthy":
            raise not_ready("is unhealthy", "Its HEALTHCHECK command fails.", _health_log(container) or lines())
        if ports is not None and facts.state == "running":
            while ports and answers(container.loaded_address(ports[0]), _own_address(container, ports[0])):
                ports.pop(0)
            if not ports:
                return
        if time.monotonic() >= deadline:
            what = "its health check was not good" if ports is None else f"port {ports[0]} did not answer"
            hint = (
                "Does the engine run health checks?" if ports is None else "Does the program listen on 0.0.0.0, and on that port?"
            )
            raise not_ready(f"is not ready: {what} within {timeout:g} s", hint, lines())
        time.sleep(_INTERVAL)


def require_something(attrs: Mapping[str, Any], port: int | str | None, published: Sequence[Published], what: str) -> None:
    """Before a start: that there is something to wait for. Raises UsageError."""
    if port is not None:
        number, protocol = port_and_protocol(port)
        if protocol != "tcp":
            raise UsageError(f"--wait={port}: a {protocol.upper()} port does not answer", hint="Wait for a TCP port.")
        host = (attrs.get("HostConfig") or {}).get("NetworkMode") == "host"
        if not host and not any((p.port, p.protocol) == (number, protocol) for p in published):
            raise UsageError(f"--wait={port}: {what} does not publish that port", hint=f"Publish it: `-p {number}`.")
    elif not has_health_check(attrs) and not any(p.protocol == "tcp" for p in published):
        raise UsageError(f"--wait: {what} has neither a health check nor a published port", hint="Publish a port: `-p 8080:5000`.")


def answers(address: tuple[str, int], own: tuple[str, int] | None = None) -> bool:
    """Whether a program listens there, and not just a proxy in front of none. own: the container's address and port, if it is on this
    machine. One of this machine's loopback, as dockerlab's own engine gives it, is the same from here; another one may be that of another
    engine's container, and is only a reason to look longer.
    """
    try:
        with socket.create_connection(address, timeout=_CONNECT_SECONDS) as connection:
            if own and own[0].startswith("127."):
                return not _refuses(own)
            return _holds(connection, _HOLD) and (own is None or not _refuses(own) or _holds(connection, _LONG_HOLD))
    except OSError:
        return False


def _holds(connection: socket.socket, seconds: float) -> bool:
    """Whether the other side says something, or keeps the connection open that long."""
    connection.settimeout(seconds)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except TimeoutError:
        return True


def _refuses(address: tuple[str, int]) -> bool:
    """Whether a machine that is reached says that nobody listens."""
    try:
        socket.create_connection(address, timeout=_CONNECT_SECONDS).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def _own_address(container: Container, port: int | str) -> tuple[str, int] | None:
    """Where the container itself has that port, if it has an address and its engine is on this machine."""
    if sys.platform != "linux" or not container.client.endpoint.is_local:
        return None  # Docker Desktop's containers have theirs in its virtual machine
    networks = (container.attrs.get("NetworkSettings") or {}).get("Networks") or {}
    found = (str(one.get("IPAddress") or "") for one in networks.values() if one)
    return next(((ip, port_and_protocol(port)[0]) for ip in found if ip), None)


def _awaited(container: Container, port: int | str | None) -> list[int | str] | None:
    """Ports to wait for; None: the health check."""
    if port is not None:
        port_and_protocol(port)
        return [port]
    container.refresh()
    if has_health_check(container.attrs):
        return None
    ports: list[int | str] = list(dict.fromkeys(p.port for p in published_in(container.attrs) if p.protocol == "tcp"))
    if not ports and container.facts.state == "running":
        raise UsageError(f"container {container.facts.label} has neither a health check nor a published port",
                         hint="Publish a port when it is run: `-p 8080:5000`.")  # fmt: skip
    return ports


def _lines(container: Container, log: Callable[[], Sequence[str]] | None, there: bool) -> Sequence[str]:
    if log is not None:
        return log()
    if not there:
        return ()
    return human.plain(container.logs(tail=_LINES).decode("utf-8", "replace")).rstrip().splitlines()


def _health_log(container: Container) -> list[str]:
    state = container.attrs.get("State") or {}
    entries = (state.get("Health") or state.get("Healthcheck") or {}).get("Log") or []
    output = str(entries[-1].get("Output") or "") if entries else ""
    return human.plain(output).strip().splitlines()[-_LINES:]
