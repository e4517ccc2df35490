"""What a client asks for when it creates a container, made complete: the API's Config and HostConfig with every field. Pure.

The body of a create request is checked for its types (`body`), given defaults, and completed by the image's own configuration: the
client's entrypoint, command, user, … come first, environment, labels, volumes and ports are put together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockerlab.engine import json_shapes
from dockerlab.engine.containers.body import CREATE
from dockerlab.errors import UsageError

# What clients call the runtime that starts containers; `GET /info` says that it is ours under these names. The first is the default.
RUNTIMES = ("runc", "io.containerd.runc.v2")
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHM_SIZE = 64 << 20
_MASKED = [
    *("/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list"),
    *("/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"),
]
_READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

# Fields with their defaults, in the order in which Docker shows them.
_CONFIG: Mapping[str, Any] = {
    "Hostname": "",
    "Domainname": "",
    "User": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "ExposedPorts": None,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": None,
    "Cmd": None,
    "Healthcheck": None,
    "ArgsEscaped": None,
    "Image": "",
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "NetworkDisabled": None,
    "MacAddress": None,
    "OnBuild": None,
    "Labels": {},
    "StopSignal": None,
    "StopTimeout": None,
    "Shell": None,
}
_HOST_CONFIG: Mapping[str, Any] = {
    "Binds": None,
    "ContainerIDFile": "",
    "LogConfig": {"Type": "json-file", "Config": {}},
    "NetworkMode": "bridge",
    "PortBindings": None,
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    "AutoRemove": False,
    "VolumeDriver": "",
    "VolumesFrom": None,
    "ConsoleSize": [0, 0],
    "Annotations": None,
    "CapAdd": None,
    "CapDrop": None,
    "CgroupnsMode": "host",
    "Dns": None,
    "DnsOptions": None,
    "DnsSearch": None,
    "ExtraHosts": None,
    "GroupAdd": None,
    "IpcMode": "private",
    "Cgroup": "",
    "Links": None,
    "OomScoreAdj": 0,
    "PidMode": "",
    "Privileged": False,
    "PublishAllPorts": False,
    "ReadonlyRootfs": False,
    "SecurityOpt": None,
    "StorageOpt": None,
    "Tmpfs": None,
    "UTSMode": "",
    "UsernsMode": "",
    "ShmSize": 0,
    "Sysctls": None,
    "Runtime": "",
    "Isolation": "",
    "CpuShares": 0,
    "Memory": 0,
    "NanoCpus": 0,
    "CgroupParent": "",
    "BlkioWeight": 0,
    "BlkioWeightDevice": None,
    "BlkioDeviceReadBps": None,
    "BlkioDeviceWriteBps": None,
    "BlkioDeviceReadIOps": None,
    "BlkioDeviceWriteIOps": None,
    "CpuPeriod": 0,
    "CpuQuota": 0,
    "CpuRealtimePeriod": 0,
    "CpuRealtimeRuntime": 0,
    "CpusetCpus": "",
    "CpusetMems": "",
    "Devices": None,
    "DeviceCgroupRules": None,
    "DeviceRequests": None,
    "MemoryReservation": 0,
    "MemorySwap": 0,
    "MemorySwappiness": None,
    "OomKillDisable": False,
    "PidsLimit": None,
    "Ulimits": None,
    "CpuCount": 0,
    "CpuPercent": 0,
    "IOMaximumIOps": 0,
    "IOMaximumBandwidth": 0,
    "Mounts": None,
    "Init": None,
    "MaskedPaths": None,
    "ReadonlyPaths": None,
}


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What Docker leaves out of its JSON where it is empty.
_LEFT_OUT = _set(
    "ExposedPorts Healthcheck ArgsEscaped NetworkDisabled MacAddress StopSignal StopTimeout Shell "
    "Annotations StorageOpt Tmpfs Sysctls Mounts Init"
)


def parse(body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Config and HostConfig that a create request asks for, each complete. Raises UsageError for what has not the right type."""
    given = json_shapes.read(body, CREATE)
    config = {name: given.get(name, default) for name, default in _CONFIG.items()}
    host = {name: given.get("HostConfig", {}).get(name, default) for name, default in _HOST_CONFIG.items()}
    return config, _with_defaults(host)


def endpoints(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The networks that a create request names, each with its settings. Raises UsageError."""
    found: Mapping[str, Any] = json_shapes.read(body, CREATE).get("NetworkingConfig", {}).get("EndpointsConfig", {})
    return found


def shown(values: Mapping[str, Any]) -> dict[str, Any]:
    """Config or HostConfig as inspection shows it."""
    return {key: value for key, value in values.items() if not _is_left_out(key, value)}


def _is_left_out(key: str, value: Any) -> bool:
    if key in ("ArgsEscaped", "NetworkDisabled"):
        return not value
    return key in _LEFT_OUT and value in (None, "", {}, [])


def merged(config: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, Any]:
    """The client's config completed by the image's. Raises UsageError where neither says what to run."""
    result = dict(config)
    if not result["Entrypoint"]:
        if not result["Cmd"]:
            result["Cmd"] = image.get("Cmd")
        if result["Entrypoint"] is None:
            result["Entrypoint"] = image.get("Entrypoint")
    if result["Entrypoint"] == [""]:
        result["Entrypoint"] = None
    for name in ("User", "WorkingDir", "StopSignal", "Shell"):
        result[name] = result[name] or image.get(name) or _CONFIG[name]
    for name in ("ExposedPorts", "Volumes", "Labels"):
        result[name] = {**(image.get(name) or {}), **(result[name] or {})} or _CONFIG[name]
    result["Env"] = _environment(result["Env"] or [], image.get("Env") or [])
    result["Healthcheck"] = _health_check(result["Healthcheck"], image.get("Healthcheck"))
    if not result["Entrypoint"] and not result["Cmd"]:
        raise UsageError("no command specified")
    return result


def _with_defaults(host: dict[str, Any]) -> dict[str, Any]:
    if host["NetworkMode"] in ("", "default"):
        host["NetworkMode"] = "bridge"
    if not host["ShmSize"]:
        host["ShmSize"] = _SHM_SIZE
    if host["Memory"] > 0 and not host["MemorySwap"]:
        host["MemorySwap"] = 2 * host["Memory"]
    if host["MemorySwappiness"] == -1:
        host["MemorySwappiness"] = None
    if host["PidsLimit"] is not None and host["PidsLimit"] <= 0:
        host["PidsLimit"] = None
    host["IpcMode"] = host["IpcMode"] or "private"
    host["Runtime"] = host["Runtime"] or RUNTIMES[0]
    host["CgroupnsMode"] = host["CgroupnsMode"] or "host"
    host["LogConfig"] = {"Type": host["LogConfig"].get("Type") or "json-file", "Config": host["LogConfig"].get("Config") or {}}
    policy = host["RestartPolicy"]
    host["RestartPolicy"] = {"Name": policy.get("Name") or "no", "MaximumRetryCount": policy.get("MaximumRetryCount") or 0}
    if host["Mounts"]:
        host["Mounts"] = [{name: value for name, value in mount.items() if value not in ("", False)} for mount in host["Mounts"]]
    if host["MaskedPaths"] is None and not host["Privileged"]:
        host["MaskedPaths"], host["ReadonlyPaths"] = list(_MASKED), list(_READONLY)
    return host


def _environment(own: list[str], of_image: list[str]) -> list[str]:
    """The client's variables, the image's that it does not set, and a PATH in any case."""
    names = {item.partition("=")[0] for item in own}
    together = [*own, *(item for item in of_image if item.partition("=")[0] not in names)]
    has_path = any(item.partition("=")[0] == "PATH" for item in together)
    return together if has_path else [*together, DEFAULT_PATH]


def _health_check(own: Mapping[str, Any] | None, of_image: Mapping[str, Any] | None) -> dict[str, Any] | None:
    together = {**(of_image or {}), **{name: value for name, value in (own or {}).items() if value}}
    return {name: value for name, value in together.items() if value} or None
