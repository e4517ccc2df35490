"""A container's record → the plan that the runtime executes. Pure.

Three files of the engine's are mounted into every container: /etc/hosts, /etc/hostname and /etc/resolv.conf.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dockerlab.engine.containers import log_options, mounting
from dockerlab.engine.containers.configuration import DEFAULT_PATH
from dockerlab.engine.containers.record import MountPoint, Published, Record
from dockerlab.engine.runtime.plan import Forward, Isolation, Limits, Mount, Network, Plan, Process

_NETWORK_FILES = ("hosts", "hostname", "resolv.conf")


@dataclass(frozen=True)
class Surroundings:
    """What a plan needs to know besides the record. directory: the container's own, on the host. has_files: the network's files are
    there. links: variables that say where linked containers are. secret: variables that no record has."""

    directory: str
    isolation: Isolation
    network: Network = field(default_factory=Network)
    limits: Limits = field(default_factory=Limits)
    has_files: bool = True
    links: tuple[str, ...] = ()
    secret: tuple[str, ...] = field(default=(), repr=False)


def plan(record: Record, around: Surroundings, published: Iterable[Published] = ()) -> Plan:
    """How to run it. published: in the order of the listening sockets. Raises EngineError for options of the log that make no sense."""
    host = record.host_config
    log = host["LogConfig"]
    return Plan(
        id=record.id,
        directory=around.directory,
        isolation=around.isolation,
        root=record.root,
        process=_process(record, around.links, around.secret),
        mounts=(*_files(record, around), *_mounts(record)),
        hostname=str(record.config.get("Hostname") or ""),
        domainname=str(record.config.get("Domainname") or ""),
        network=around.network,
        readonly=bool(host.get("ReadonlyRootfs")),
        ports=tuple(Forward(one.port, one.protocol) for one in published),
        limits=around.limits,
        stdin_once=bool(record.config.get("StdinOnce")),
        init=bool(host.get("Init")),
        shm_size=int(host.get("ShmSize") or 64 << 20),
        log=log["Type"] != "none",
        log_max=log_options.limit(log["Type"], log["Config"]),
        pid_host=host.get("PidMode") == "host",
    )


def exec_process(
    record: Record, asked: Mapping[str, Any], size: tuple[int, int] | None = None, links: Iterable[str] = ()
) -> Process:
    """The process that `POST /containers/{id}/exec` asks for, with the container's environment and, unless given, directory and user.

    links: as `Surroundings` has them.
    """
    own = [str(item) for item in asked.get("Env") or ()]
    tty = bool(asked.get("Tty"))
    return Process(
        argv=tuple(asked["Cmd"]),
        env=environment([*links, *(record.config.get("Env") or ()), *own], str(record.config.get("Hostname") or ""), tty),
        cwd=str(asked.get("WorkingDir") or record.config.get("WorkingDir") or "/"),
        user=str(asked.get("User") or record.config.get("User") or ""),
        groups=tuple(str(group) for group in record.host_config.get("GroupAdd") or ()),
        tty=tty,
        stdin=bool(asked.get("AttachStdin")),
        rlimits=_rlimits(record.host_config),
        size=size,
        privileged=bool(asked.get("Privileged")),
        **_privileges(record.host_config),
    )


def environment(variables: Iterable[str], hostname: str, tty: bool) -> tuple[str, ...]:
    """What a process gets: PATH, HOSTNAME and TERM where nothing sets them, a name's last value. HOME depends on the user: the runtime's.

    A name alone, without "=", takes the variable away.
    """
    found = dict(item.split("=", 1) for item in (DEFAULT_PATH, f"HOSTNAME={hostname}", *(["TERM=xterm"] if tty else [])))
    for item in variables:
        name, equals, value = item.partition("=")
        if equals:
            found[name] = value
        else:
            found.pop(name, None)
    return tuple(f"{name}={value}" for name, value in found.items())


def _process(record: Record, links: Iterable[str], secret: Iterable[str]) -> Process:
    config, host = record.config, record.host_config
    size = host.get("ConsoleSize") or [0, 0]
    tty = bool(config.get("Tty"))
    return Process(
        argv=record.argv,
        env=environment([*links, *(config.get("Env") or ()), *secret], str(config.get("Hostname") or ""), tty),
        cwd=str(config.get("WorkingDir") or "/"),
        make_cwd=bool(config.get("WorkingDir")),
        user=str(config.get("User") or ""),
        groups=tuple(str(group) for group in host.get("GroupAdd") or ()),
        tty=tty,
        stdin=bool(config.get("OpenStdin")),
        rlimits=_rlimits(host),
        size=(int(size[0]), int(size[1])) if any(size) else None,
        privileged=bool(host.get("Privileged")),
        **_privileges(host),
    )


def _privileges(host: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of Process."""
    options = {re.sub("[=:]true$", "", str(option)) for option in host.get("SecurityOpt") or ()}
    return {
        "cap_add": tuple(host.get("CapAdd") or ()),
        "cap_drop": tuple(host.get("CapDrop") or ()),
        "no_new_privileges": "no-new-privileges" in options,
        "oom_score_adj": int(host.get("OomScoreAdj") or 0),
    }


def _rlimits(host: Mapping[str, Any]) -> tuple[tuple[str, int, int], ...]:
    return tuple((str(one["Name"]), int(one.get("Soft", 0)), int(one.get("Hard", 0))) for one in host.get("Ulimits") or ())


def _files(record: Record, around: Surroundings) -> list[Mount]:
    if not around.has_files:
        return []
    taken = {point.destination for point in record.mounts}
    return [Mount("bind", f"{around.directory}/{name}", f"/etc/{name}") for name in _NETWORK_FILES if f"/etc/{name}" not in taken]


def _mounts(record: Record) -> list[Mount]:
    """In the order of their depth, so that a mount inside another is made after it."""
    found = [_mount(point) for point in record.mounts]
    for target, text in (record.host_config.get("Tmpfs") or {}).items():
        options = mounting.tmpfs_options(text)
        readonly = options.pop("ro", None) is not None
        found.append(Mount("tmpfs", "", target, readonly, options))
    return sorted(found, key=lambda mount: mount.target.count("/") if mount.target != "/" else 0)


def _mount(point: MountPoint) -> Mount:
    if point.type == "tmpfs":
        return Mount("tmpfs", "", point.destination, not point.writable, dict(point.options))
    return Mount("bind", point.source, point.destination, not point.writable)
