"""The start of a container: its address, its published ports, its monitor, its command. What fails leaves nothing of them behind.

The container's lock is held by who calls.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from dockerlab.engine.containers import devices, linking, publishing, resources
from dockerlab.engine.containers.container import Container
from dockerlab.engine.containers.parts import Parts
from dockerlab.engine.containers.planning import Surroundings, plan
from dockerlab.engine.containers.record import Published
from dockerlab.engine.runtime import Running, StartFailed
from dockerlab.engine.runtime.plan import Network
from dockerlab.engine.runtime.redirect import gateway
from dockerlab.engine.runtime.running import OnEvent
from dockerlab.errors import DockerlabError, EngineError

_START_FAILED = "failed to create task for container: unable to start container process: "


@dataclass(frozen=True)
class Launched:
    """A container that runs. address: "" where it has none of its own."""

    running: Running
    ports: tuple[Published, ...]
    address: str


def launch(parts: Parts, container: Container, on_event: OnEvent) -> Launched:
    """Runs a container; its clients that wait are attached first. on_event: hears its monitor. Raises DockerlabError, OSError."""
    record = container.record
    for point in record.mounts:
        if point.type == "bind" and not os.path.lexists(point.source):
            _make_source(point.source)
    devices.check(record.host_config)
    network = parts.networks.start(container.id, container.directory)
    opened: list[tuple[Published, socket.socket]] = []
    try:
        opened += _listen(parts, container)
        published = tuple(one for one, _ in opened)
        if network.address:
            opened += publishing.listen_at_gateway(published, gateway(network.address))
        running = _run(parts, container, network, opened, on_event)
    except BaseException:
        parts.networks.stop(container.id)
        raise
    finally:
        for _, sock in opened:
            sock.close()
    return Launched(running, published, network.address)


def failure(error: BaseException) -> DockerlabError:
    """What a client is told about a start that failed."""
    if isinstance(error, OSError):
        reason = (error.strerror or str(error)).lower()
        return EngineError(f"{error.filename}: {reason}" if error.filename else reason, status=500)
    if not isinstance(error, StartFailed):
        return error if isinstance(error, DockerlabError) else EngineError(str(error), status=500)
    if error.message.startswith(("unable to find user", "unable to find group", "uids and gids", "Cannot mkdir: ")):
        return EngineError(error.message, status=500)
    return StartFailed(_START_FAILED + error.message, error.exit_code)


def _listen(parts: Parts, container: Container) -> list[tuple[Published, socket.socket]]:
    record = container.record
    others = [port for other in parts.index.all() for port in other.record.ports]
    wanted = publishing.bindings(record.config, record.host_config)
    return publishing.listen(wanted, f"{record.name} ({record.id})", others)


def _run(
    parts: Parts, container: Container, network: Network, opened: list[tuple[Published, socket.socket]], on_event: OnEvent
) -> Running:
    around = Surroundings(
        str(container.directory),
        parts.isolation,
        network,
        resources.limits(container.record.host_config),
        links=tuple(linking.variables(parts, container)),
        secret=container.secret,
    )
    running = parts.runtime.monitor(plan(container.record, around, [one for one, _ in opened]), on_event)
    try:
        container.begin_attachments(running)
        running.start([sock for _, sock in opened])
    except BaseException:
        running.close()
        raise
    parts.runtime.warm()
    return running


def _make_source(path: str) -> None:
    """Makes the directory of the host that `-v` names, as Docker does. Raises EngineError."""
    try:
        os.makedirs(path, 0o755, exist_ok=True)
    except OSError as error:
        text = os.strerror(error.errno or 0).lower()
        raise EngineError(f"error while creating mount source path '{path}': mkdir {path}: {text}", status=500) from error
