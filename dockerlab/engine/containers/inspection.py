"""A container as the Engine API shows it: inspection, and an entry of the list. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from dockerlab.engine import timestamps
from dockerlab.engine.containers import configuration, publishing
from dockerlab.engine.containers.record import Record, State

_NANO = 1_000_000_000


def inspected(
    record: Record,
    directory: str,
    network: Mapping[str, Any],
    *,
    execs: Sequence[str] = (),
    links: Sequence[str] | None = None,
    health: Mapping[str, Any] | None = None,
    sizes: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """`GET /containers/{id}/json`. network: its NetworkSettings. sizes: (written, of the whole root), where asked for."""
    path, *arguments = record.argv or ("",)
    was_started = record.state.started_at != timestamps.ZERO or record.state.is_alive
    files = {name: f"{directory}/{name}" if was_started else "" for name in ("resolv.conf", "hostname", "hosts", "log.jsonl")}
    size = {"SizeRw": sizes[0], "SizeRootFs": sizes[1]} if sizes else {}
    return {
        "Id": record.id,
        "Created": record.created,
        "Path": path,
        "Args": arguments,
        "State": _state(record.state) | ({"Health": health} if health else {}),
        "Image": record.image,
        "ResolvConfPath": files["resolv.conf"],
        "HostnamePath": files["hostname"],
        "HostsPath": files["hosts"],
        "LogPath": files["log.jsonl"],
        "Name": f"/{record.name}",
        "RestartCount": record.restart_count,
        "Driver": record.root.kind,
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": list(execs) or None,
        "HostConfig": configuration.shown({**record.host_config, "Links": links}),
        "GraphDriver": {"Name": record.root.kind, "Data": _graph(record)},
        **size,
        "Mounts": [point.to_json() for point in record.mounts],
        "Config": configuration.shown({**record.config, "Labels": dict(sorted(record.labels.items()))}),
        "NetworkSettings": network,
    }


def listed(
    record: Record,
    network: Mapping[str, Any],
    image: str,
    now: int,
    *,
    names: Sequence[str] = (),
    health: Mapping[str, Any] | None = None,
    sizes: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """An entry of `GET /containers/json`. image: what its image is called now. now: nanoseconds since 1970. names: others' for it."""
    size = {name: value for name, value in zip(("SizeRw", "SizeRootFs"), sizes or (), strict=False) if value}
    return {
        "Id": record.id,
        "Names": [f"/{record.name}", *names],
        "Image": image,
        "ImageID": record.image,
        "Command": command_line(record.argv),
        "Created": timestamps.nanoseconds(record.created) // _NANO,
        "Ports": publishing.ports_list(record),
        **size,
        "Labels": dict(record.labels),
        "State": record.state.status,
        "Status": status(record.state, now, str((health or {}).get("Status", ""))),
        "HostConfig": {"NetworkMode": record.network_mode},
        "NetworkSettings": {"Networks": network.get("Networks") or {}},
        "Mounts": [point.to_json() for point in record.mounts],
    }


def command_line(argv: Sequence[str]) -> str:
    """The command as `docker ps` has it: words with blanks in quotes."""
    path, *arguments = argv or ("",)
    return " ".join([path, *(shlex.quote(word) if any(c in word for c in " \t\n'\"") else word for word in arguments)])


def status(state: State, now: int, health: str = "") -> str:
    """ "Up 3 minutes (healthy)", "Exited (0) 2 hours ago", "Created". now: nanoseconds since 1970."""
    match state.status:
        case "created":
            return "Created"
        case "removing":
            return "Removal In Progress"
        case "dead":
            return "Dead"
        case "restarting":
            return f"Restarting ({state.exit_code}) {_ago(state.finished_at, now)} ago"
        case "exited":
            return f"Exited ({state.exit_code}) {_ago(state.finished_at, now)} ago"
    up = f"Up {_ago(state.started_at, now)}"
    if state.status == "paused":
        return f"{up} (Paused)"
    shown = {"starting": " (health: starting)", "healthy": " (healthy)", "unhealthy": " (unhealthy)"}
    return up + shown.get(health, "")


def human(seconds: float) -> str:
    """A duration in Docker's words (go-units `HumanDuration`)."""
    count = int(seconds)
    if count < 1:
        return "Less than a second"
    if count == 1:
        return "1 second"
    if count < 60:
        return f"{count} seconds"
    minutes = count // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{hours // 24 // 365} years"


def _ago(when: str, now: int) -> str:
    return human(max(0.0, (now - timestamps.nanoseconds(when)) / _NANO)) if when != timestamps.ZERO else human(0)


def _state(state: State) -> dict[str, Any]:
    return {
        "Status": state.status,
        "Running": state.is_running,
        "Paused": state.status == "paused",
        "Restarting": state.status == "restarting",
        "OOMKilled": state.oom_killed,
        "Dead": state.status == "dead",
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": state.started_at,
        "FinishedAt": state.finished_at,
    }


def _graph(record: Record) -> dict[str, str]:
    root = record.root
    data = {"LowerDir": ":".join(root.lowers), "UpperDir": root.upper}
    return data | ({"WorkDir": root.work} if root.work else {})
