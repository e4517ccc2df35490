"""What is to run, as frozen values: computed by the engine, carried as JSON to the launcher and the monitor, executed there.

A *process* is one command (the container's own, or one that `exec` adds); a *plan* is a container: its process and all around it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dockerlab.engine.rootfs import Root
from dockerlab.engine.runtime.redirect import moved_port

Isolation = Literal["namespaces", "supervised"]


@dataclass(frozen=True)
class Mount:
    """Something shown at `target` in the container. kind "bind": source is a path of the host, a directory or a file. "tmpfs": empty,
    options are its `size` (bytes) and `mode` (octal). proc, sys and dev are there without being named."""

    kind: Literal["bind", "tmpfs"]
    source: str
    target: str
    readonly: bool = False
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Process:
    """A command in a container.

    argv: its first word is looked up in PATH. env: "NAME=value". cwd: absolute; made if `make_cwd`. user: as for `docker run --user`,
    resolved inside the container. stdin: whether input comes; else it reads from /dev/null. rlimits: (name as in `docker run
    --ulimit`, soft, hard). size: (rows, columns) of the terminal. job: a function of `runtime.jobs` that runs instead of argv.
    cap_add, cap_drop: names of capabilities, see `capabilities.kept`.
    """

    argv: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    make_cwd: bool = False
    user: str = ""
    groups: tuple[str, ...] = ()
    tty: bool = False
    stdin: bool = False
    rlimits: tuple[tuple[str, int, int], ...] = ()
    size: tuple[int, int] | None = None
    job: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    no_new_privileges: bool = False
    oom_score_adj: int = 0


@dataclass(frozen=True)
class Network:
    """mode "loopback": the host's network, with an address of 127.0.0.0/8 in place of all local ones. "host": without that. "none".
    first_port: see `redirect`."""

    mode: Literal["none", "host", "loopback"] = "loopback"
    address: str = ""
    first_port: int = 0

    def target(self, port: int) -> tuple[str, int]:
        """Where the kernel has a port of the container."""
        return self.address, moved_port(port, self.first_port)


@dataclass(frozen=True)
class Forward:
    """A published port; the listening sockets are handed over at the start, in this order."""

    port: int
    protocol: Literal["tcp", "udp"] = "tcp"


@dataclass(frozen=True)
class Limits:
    """0 or "": unlimited. memory, swap: bytes (swap: memory and swap together, -1 unlimited). cpus: cores. cpuset: "0-2,4"."""

    memory: int = 0
    swap: int = 0
    cpus: float = 0.0
    cpu_shares: int = 0
    cpuset: str = ""
    pids: int = 0


@dataclass(frozen=True)
class Plan:
    """A container to be run.

    directory: its own, with log.jsonl and exit.json. init: an init process that reaps is PID 1. stdin_once: input ends with the first
    attached client that ends its own. hostname: also where the supervised rung only pretends it.
    """

    id: str
    directory: str
    isolation: Isolation
    root: Root
    process: Process
    mounts: tuple[Mount, ...] = ()
    hostname: str = ""
    domainname: str = ""
    network: Network = Network()
    readonly: bool = False
    ports: tuple[Forward, ...] = ()
    limits: Limits = Limits()
    stdin_once: bool = True
    init: bool = False
    shm_size: int = 64 << 20
    log: bool = True
    log_max: tuple[int, int] = (0, 1)
    pid_host: bool = False


def process_from_json(value: Mapping[str, Any]) -> Process:
    """From what JSON holds of it."""
    fields = dict(value)
    size = fields.get("size")
    return Process(
        **fields
        | {
            "argv": tuple(fields["argv"]),
            "env": tuple(fields.get("env", ())),
            **{name: tuple(fields.get(name, ())) for name in ("groups", "cap_add", "cap_drop")},
            "rlimits": tuple((str(name), int(soft), int(hard)) for name, soft, hard in fields.get("rlimits", ())),
            "size": (int(size[0]), int(size[1])) if size else None,
        }
    )


def plan_from_json(value: Mapping[str, Any]) -> Plan:
    """From what JSON holds of it."""
    fields = dict(value)
    root = fields["root"]
    return Plan(
        **fields
        | {
            "root": Root(**root | {"lowers": tuple(root["lowers"])}),
            "process": process_from_json(fields["process"]),
            "mounts": tuple(Mount(**mount) for mount in fields.get("mounts", ())),
            "network": Network(**fields.get("network", {})),
            "ports": tuple(Forward(**port) for port in fields.get("ports", ())),
            "limits": Limits(**fields.get("limits", {})),
            "log_max": tuple(fields.get("log_max", (0, 1))),
        }
    )


_SAMPLE = Plan(
    *("", "", "namespaces", Root("overlay", ("", ""), "", ""), Process(("",), ("",))),
    mounts=(Mount("bind", "", ""),),
    ports=(Forward(1),),
)
_SAMPLE_TEXT = json.dumps(_SAMPLE, default=vars)


def rehearse() -> None:
    """Reads a plan, and forgets it: a process that was forked copies what it touches, and does so now, before anybody waits for it."""
    plan_from_json(json.loads(_SAMPLE_TEXT))
