"""Making a container: check what is asked for, find its image, make its files and volumes. Nothing runs yet."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dockerlab.engine import timestamps
from dockerlab.engine.containers import configuration, linking, mounting, names, resources, validation
from dockerlab.engine.containers.container import Container
from dockerlab.engine.containers.filling import fill
from dockerlab.engine.containers.mounting import Wanted
from dockerlab.engine.containers.parts import Parts
from dockerlab.engine.containers.record import MountPoint, Record
from dockerlab.engine.runtime import capabilities
from dockerlab.engine.runtime import limits as enforcement
from dockerlab.engine.runtime.limits import Means
from dockerlab.engine.runtime.plan import Isolation
from dockerlab.errors import Conflict, DockerlabError, NotFound, UsageError

_ATTEMPTS = 20


@dataclass(frozen=True)
class Created:
    """warnings: what was asked for and will not be done."""

    container: Container
    warnings: tuple[str, ...] = ()


def create(
    parts: Parts, body: Mapping[str, Any], name: str = "", platform: str = "", run: Mapping[str, Any] | None = None
) -> Created:
    """Makes what `POST /containers/create` asks for. Raises UsageError, NotFound, Conflict, EngineError; then nothing is left.

    run: completes what is asked for in the place of the image's own configuration, for a step of a build.
    """
    if not body:
        raise UsageError("config cannot be empty in order to create a container")
    config, host = configuration.parse(body)
    validation.check(config, host)
    resources.check(host, cpus(), memory_nodes())
    others = {spec.partition(":")[0]: _other(parts, spec.partition(":")[0]) for spec in host["VolumesFrom"] or ()}
    for mode in (host["PidMode"], host["IpcMode"]):
        if joined := mode.partition("container:")[2]:
            _other(parts, joined)
    if not config["Image"]:
        raise UsageError("no command specified")
    if host["Links"] and host["NetworkMode"] == "bridge":
        host["Links"] = linking.resolved(parts.index, host["Links"])
    image = parts.store.get(config["Image"])
    _check_platform(platform, image.config, config["Image"])
    config = configuration.merged(config, image.run if run is None else run)
    wanted = mounting.wanted(config, host, others)
    _check_sources(wanted)
    layers = tuple(layer.chain_id for layer in image.layers)
    identifier = secrets.token_hex(32)
    config["Hostname"] = config["Hostname"] or _hostname(parts, host, identifier)
    chosen = _take_name(parts, name, identifier)
    directory = parts.home.container(identifier)
    made: list[str] = []
    parts.index.expect(identifier, image.id)
    try:
        image = parts.store.get(image.id)  # removed until a moment ago
        of_network = parts.networks.add(identifier, chosen, config, host, configuration.endpoints(body))
        # Until the record says which layers it stands on, nobody knows.
        with parts.store.adding():
            directory.mkdir(mode=0o700)
            root = parts.snapshots.create(directory, parts.snapshots.prepare(image.layers, parts.store.open_layer))
            points = tuple(_made(parts, identifier, one, made) for one in wanted)
            record = Record(
                identifier, chosen, timestamps.now(), image.id, config, host, root, layers, points, is_step=run is not None
            )
            container = Container(record, directory)
            fill(parts, container)
            container.save(is_new=True)
        parts.index.add(container)
    except BaseException:
        parts.index.expect_no_more(identifier)
        parts.networks.forget(identifier)
        for volume in made:
            with suppress(DockerlabError):  # somebody uses it already
                parts.volumes.remove(volume)
        parts.snapshots.remove(directory)
        parts.index.release(chosen, identifier)
        raise
    parts.index.expect_no_more(identifier)
    parts.emit(container, "create")
    return Created(container, (*warnings(host, parts.isolation, parts.means), *of_network))


def warnings(host: Mapping[str, Any], isolation: Isolation, means: Means) -> list[str]:
    """What the container will not get on this machine."""
    found = []
    mode = host["NetworkMode"]
    if mode == "host" and (host["PortBindings"] or host["PublishAllPorts"]):
        found.append("Published ports are discarded when using host network mode")
    found += enforcement.warnings(resources.limits(host), means)
    found += resources.warnings(host)
    if host["Privileged"]:
        found.append("The embedded engine has no privileges to give: --privileged has no effect.")
    if host["Devices"]:
        found.append("The embedded engine adds no devices: --device has no effect.")
    if any(capabilities.plain(name) not in capabilities.DEFAULT_NAMES for name in host["CapAdd"] or ()):
        found.append("The embedded engine adds no capabilities: --cap-add has no effect.")
    if isolation == "supervised":
        found += _supervised_warnings(host)
    elif host["GroupAdd"] and means.counts_processes:
        # Processes are counted in a user namespace, and who is not root maps a single group there.
        found.append("A user's namespace has one group: --group-add has no effect.")
    return found


def cpus() -> int:
    """How many this machine has."""
    return os.cpu_count() or 1


def memory_nodes() -> int:
    """How many this machine has."""
    return len(list(Path("/sys/devices/system/node").glob("node[0-9]*"))) or 1


def _supervised_warnings(host: Mapping[str, Any]) -> list[str]:
    found = []
    if host["PidMode"] not in ("", "host"):
        found.append("There are no PID namespaces on this machine: all containers and the host share one.")
    if host["IpcMode"].startswith("container:"):
        found.append("There are no IPC namespaces on this machine: all containers and the host share one.")
    return found


def _other(parts: Parts, name: str) -> Record:
    try:
        return parts.index.get(name).record
    except NotFound as error:
        raise UsageError(error.message) from error


def _check_platform(platform: str, image: Mapping[str, Any], name: str) -> None:
    if not platform:
        return
    system, _, rest = platform.partition("/")
    architecture = rest.partition("/")[0]
    have = image.get("os") or "linux", image.get("architecture") or ""
    if (rest and (system, architecture) != have) or (not rest and system not in have):
        wanted = f"wanted {platform}, actual: {'/'.join(have)}"
        raise NotFound(f"image with reference {name} was found but its platform ({'/'.join(have)}) does not match: {wanted}")


def _check_sources(wanted: list[Wanted]) -> None:
    for one in wanted:
        if one.must_exist and not os.path.lexists(one.point.source):
            source = one.point.source
            raise UsageError(f'invalid mount config for type "bind": bind source path does not exist: {source}')


def _hostname(parts: Parts, host: Mapping[str, Any], identifier: str) -> str:
    mode = host["NetworkMode"]
    if mode == "host" or host["UTSMode"] == "host":
        return socket.gethostname()
    if mode.startswith("container:"):
        with suppress(DockerlabError):  # told at the start
            return str(parts.index.get(mode.partition(":")[2]).record.config["Hostname"])
    return identifier[:12]


def _take_name(parts: Parts, name: str, identifier: str) -> str:
    if name:
        chosen = names.check(name)
        parts.index.reserve(chosen, identifier)
        return chosen
    for attempt in range(_ATTEMPTS):
        chosen = names.suggest(attempt)
        with suppress(Conflict):
            parts.index.reserve(chosen, identifier)
            return chosen
    parts.index.reserve(identifier[:12], identifier)
    return identifier[:12]


def _made(parts: Parts, identifier: str, one: Wanted, made: list[str]) -> MountPoint:
    """A mount point with its volume. made: takes the names of anonymous ones."""
    point = one.point
    if point.type != "volume" or point.source:
        return point
    if point.name:
        parts.index.expect(identifier, point.name)
    volume = parts.volumes.create(point.name, one.driver, one.driver_options, one.labels)
    parts.index.expect(identifier, volume.name)
    if not point.name:
        made.append(volume.name)
    source = Path(volume.mountpoint, one.subpath)
    if one.subpath and not source.exists():
        raise UsageError(f"cannot access path {source}: lstat {source}: no such file or directory")
    return replace(point, name=volume.name, source=str(source), driver=volume.driver)
