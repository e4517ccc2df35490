"""What Docker refuses in a create request, with its texts. Pure. Limits of memory and processors are checked in `limits`."""

from __future__ import annotations

import posixpath
import re
import signal
from collections.abc import Mapping
from typing import Any

from dockerlab.engine.containers import configuration, log_options
from dockerlab.engine.runtime import capabilities
from dockerlab.errors import EngineError, UsageError

POLICIES = ("no", "always", "on-failure", "unless-stopped")
_MILLISECOND = 1_000_000
_DURATIONS = ("Interval", "Timeout", "StartPeriod", "StartInterval")
_PORT = re.compile(r"(\d+)(?:-(\d+))?(?:/(\w+))?")


def check(config: Mapping[str, Any], host: Mapping[str, Any]) -> None:
    """Raises UsageError or EngineError for the first thing that is wrong. Both complete, see `configuration.parse`."""
    if config["Hostname"] and host["NetworkMode"].startswith("container:"):
        raise UsageError("conflicting options: hostname and the network mode")
    _check_process(config)
    check_policy(host["RestartPolicy"], bool(host["AutoRemove"]))
    _check_ports(host.get("PortBindings") or {}, host["NetworkMode"])
    for name in ("CapAdd", "CapDrop"):
        for capability in host[name] or ():
            if (plain := capabilities.plain(capability)) not in (capabilities.ALL, *capabilities.NAMES):
                raise UsageError(f'invalid {name}: unknown capability: "CAP_{plain}"')
    _check_modes(host)
    if host["ShmSize"] < 0:
        raise UsageError("SHM size can not be less than 0")
    if not -1000 <= host["OomScoreAdj"] <= 1000:
        raise UsageError(f"Invalid value {host['OomScoreAdj']}, range for oom score adj is [-1000, 1000]")
    log_options.check(host["LogConfig"]["Type"], host["LogConfig"]["Config"])
    if host["Runtime"] not in configuration.RUNTIMES:
        raise UsageError(f"unknown or invalid runtime name: {host['Runtime']}")
    if host["StorageOpt"]:
        raise EngineError("--storage-opt is supported only for overlay over xfs with 'pquota' mount option", status=500)
    for ulimit in host["Ulimits"] or ():
        if not isinstance(ulimit, dict) or not isinstance(ulimit.get("Name"), str):
            raise UsageError("invalid JSON: a ulimit is an object with Name, Soft and Hard")


def check_policy(policy: Mapping[str, Any], removes_itself: bool) -> None:
    """Raises UsageError for a restart policy that there is not."""
    name, count = policy.get("Name") or "no", policy.get("MaximumRetryCount") or 0
    if name not in POLICIES:
        one_of = "use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        raise UsageError(f"invalid restart policy: unknown policy '{name}'; {one_of}")
    if count and name != "on-failure":
        text = "maximum retry count can only be used with 'on-failure'"
        raise UsageError(f"invalid restart policy: {text}{' and cannot be negative' if count < 0 else ''}")
    if count < 0:
        raise UsageError("invalid restart policy: maximum retry count cannot be negative")
    if removes_itself and name != "no":
        raise UsageError("can't create 'AutoRemove' container with restart policy")


def signal_number(text: str) -> int:
    """The number of "9", "KILL", "SIGKILL", "sigkill", "RTMIN+3", "RTMAX-2". Raises UsageError."""
    name = text.upper().removeprefix("SIG")
    if re.fullmatch("-?[0-9]+", name):
        if 0 < int(name) < signal.NSIG:
            return int(name)
        raise UsageError(f"the linux daemon does not support signal {int(name)}" if int(name) else f"invalid signal: {text}")
    if match := re.fullmatch(r"RT(MIN\+|MAX-)([0-9]{1,2})", name):
        number = signal.SIGRTMIN + int(match[2]) if match[1] == "MIN+" else signal.SIGRTMAX - int(match[2])
        if signal.SIGRTMIN <= number <= signal.SIGRTMAX:
            return int(number)
    try:
        return int(signal.Signals[f"SIG{name}"])
    except KeyError:
        raise UsageError(f"invalid signal: {text}") from None


def _check_process(config: Mapping[str, Any]) -> None:
    for item in config["Env"] or ():
        if not item or item.startswith("="):
            raise UsageError(f"invalid environment variable: {item}")
        if "\0" in item:
            raise UsageError("invalid environment variable: it holds a NUL")
    for word in (*(config["Entrypoint"] or ()), *(config["Cmd"] or ())):
        if "\0" in word:
            raise UsageError("invalid command: it holds a NUL")
    if config["WorkingDir"] and not config["WorkingDir"].startswith("/"):
        raise UsageError(f"the working directory '{config['WorkingDir']}' is invalid, it needs to be an absolute path")
    if config["StopSignal"]:
        signal_number(config["StopSignal"])
    check = config["Healthcheck"] or {}
    for name in _DURATIONS:
        if 0 < (check.get(name) or 0) < _MILLISECOND or (check.get(name) or 0) < 0:
            raise UsageError(f"{name} in Healthcheck cannot be less than 1ms")
    if (check.get("Retries") or 0) < 0:
        raise UsageError("Retries in Healthcheck cannot be negative")


def _check_ports(bindings: Mapping[str, Any], mode: str) -> None:
    if bindings and mode.startswith("container:"):
        raise UsageError("conflicting options: port publishing and the container type network mode")
    for port, wanted in bindings.items():
        match = _PORT.fullmatch(port)
        if not match or not 0 < int(match[1]) < 65536:
            raise UsageError(f'invalid port specification: "{port}"')
        if not isinstance(wanted, list | None) or not all(isinstance(one, dict) for one in wanted or ()):
            raise UsageError("invalid JSON: PortBindings holds lists of HostIp and HostPort")
        for one in wanted or ():
            text = str(one.get("HostPort") or "")
            match = _PORT.fullmatch(text) if text else None
            if text and (not match or match[3] or int(match[2] or match[1]) > 65535):
                raise UsageError(f'invalid port specification: "{text}"')


def _check_modes(host: Mapping[str, Any]) -> None:
    if host["NetworkMode"] == "container:":
        raise UsageError("invalid network mode: invalid container format container:<name|id>")
    if host["Isolation"] not in ("", "default"):
        raise UsageError(f"invalid isolation ({host['Isolation']}): linux only supports 'default'")
    if (pid := host["PidMode"]) not in ("", "host") and not pid.partition("container:")[2]:
        raise UsageError(f"invalid PID mode: {pid}")
    if (ipc := host["IpcMode"]) not in ("none", "private", "shareable", "host") and not ipc.startswith("container:"):
        raise UsageError(f"invalid IPC mode: {ipc}")
    if host["UTSMode"] not in ("", "host"):
        raise UsageError(f"invalid UTS mode: {host['UTSMode']}")
    if host["UsernsMode"] not in ("", "host"):
        raise UsageError(f"invalid user namespace mode: {host['UsernsMode']}")
    for target in host["Tmpfs"] or {}:
        if not posixpath.isabs(target):
            raise UsageError(f"invalid mount path: '{target}' mount path must be absolute")
    for number, option in enumerate(host["SecurityOpt"] or (), 1):
        name = re.split("[=:]", option)[0]
        if name not in ("label", "apparmor", "seccomp", "no-new-privileges", "systempaths", "writable-cgroups", "disable"):
            raise EngineError(f'invalid --security-opt {number}: "{option}"', status=500)
