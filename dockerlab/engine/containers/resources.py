"""Limits of a container: what Docker refuses, what the runtime is told, and what it cannot enforce. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dockerlab.engine.runtime.plan import Limits
from dockerlab.errors import UsageError

_LEAST_MEMORY = 6 << 20
_NANO = 1_000_000_000
_PERIOD = 100_000  # microseconds, the kernel's default

# What `docker update` changes.
FIELDS = (
    *("CpuShares", "Memory", "NanoCpus", "CgroupParent", "BlkioWeight", "BlkioWeightDevice", "BlkioDeviceReadBps"),
    *("BlkioDeviceWriteBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteIOps", "CpuPeriod", "CpuQuota", "CpuRealtimePeriod"),
    *("CpuRealtimeRuntime", "CpusetCpus", "CpusetMems", "MemoryReservation", "MemorySwap", "PidsLimit"),
)

_NO_KERNEL = "Your kernel does not support"
_NO_GROUP = "or the cgroup is not mounted."
# What is no limit of this engine's → what Docker says where it cannot enforce it.
_DISCARDED = {
    "MemoryReservation": f"{_NO_KERNEL} memory soft limit capabilities {_NO_GROUP} Limitation discarded.",
    "MemorySwappiness": f"{_NO_KERNEL} memory swappiness capabilities {_NO_GROUP} Memory swappiness discarded.",
    "OomKillDisable": f"{_NO_KERNEL} OomKillDisable. OomKillDisable discarded.",
    "CpuRealtimePeriod": f"{_NO_KERNEL} CPU real-time scheduler. Period discarded.",
    "CpuRealtimeRuntime": f"{_NO_KERNEL} CPU real-time scheduler. Runtime discarded.",
    "CpuPercent": "linux does not support CPU percent. Percent discarded.",
    "BlkioWeight": f"{_NO_KERNEL} Block I/O weight {_NO_GROUP} Weight discarded.",
    "BlkioWeightDevice": f"{_NO_KERNEL} Block I/O weight_device {_NO_GROUP} Weight-device discarded.",
    "BlkioDeviceReadBps": f"{_NO_KERNEL} BPS Block I/O read limit {_NO_GROUP} Block I/O BPS read limit discarded.",
    "BlkioDeviceWriteBps": f"{_NO_KERNEL} BPS Block I/O write limit {_NO_GROUP} Block I/O BPS write limit discarded.",
    "BlkioDeviceReadIOps": f"{_NO_KERNEL} IOPS Block read limit {_NO_GROUP} Block I/O IOPS read limit discarded.",
    "BlkioDeviceWriteIOps": f"{_NO_KERNEL} IOPS Block write limit {_NO_GROUP} Block I/O IOPS write limit discarded.",
    "Sysctls": "The embedded engine sets no kernel parameters: --sysctl has no effect.",
}


def check(host: Mapping[str, Any], cpus: int, memory_nodes: int = 1) -> None:
    """Raises UsageError for limits that make no sense. cpus, memory_nodes: how many this machine has."""
    memory, swap, reserved = host["Memory"], host["MemorySwap"], host["MemoryReservation"]
    if memory and memory < _LEAST_MEMORY:
        raise UsageError("Minimum memory limit allowed is 6MB")
    if memory > 0 and 0 < swap < memory:
        raise UsageError("Minimum memoryswap limit should be larger than memory limit, see usage")
    if not memory and swap > 0:
        raise UsageError("You should always set the Memory limit when using Memoryswap limit, see usage")
    if reserved and reserved < _LEAST_MEMORY:
        raise UsageError("Minimum memory reservation allowed is 6MB")
    if 0 < memory < reserved:
        raise UsageError("Minimum memory limit can not be less than memory reservation limit, see usage")
    if host["CpuShares"] < 0:
        raise UsageError(f"invalid CPU shares ({host['CpuShares']}): value must be a positive integer")
    nano = host["NanoCpus"]
    if nano and (host["CpuPeriod"] or host["CpuQuota"]):
        other = "CPU Period" if host["CpuPeriod"] else "CPU Quota"
        raise UsageError(f"Conflicting options: Nano CPUs and {other} cannot both be set.")
    if nano and not 0 < nano <= cpus * _NANO:
        raise UsageError(f"range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available")
    if host["CpuPeriod"] and not 1000 <= host["CpuPeriod"] <= 1_000_000:
        raise UsageError("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < host["CpuQuota"] < 1000:
        raise UsageError("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    _check_set(host["CpusetCpus"], cpus, "cpus", "CPUs")
    _check_set(host["CpusetMems"], memory_nodes, "mems", "memory nodes")


def limits(host: Mapping[str, Any]) -> Limits:
    """What the runtime is to enforce, where it can."""
    quota = host.get("CpuQuota") or 0
    cpus = (host.get("NanoCpus") or 0) / _NANO or (quota / (host.get("CpuPeriod") or _PERIOD) if quota > 0 else 0.0)
    return Limits(
        memory=host.get("Memory") or 0,
        swap=host.get("MemorySwap") or 0,
        cpus=cpus,
        cpu_shares=host.get("CpuShares") or 0,
        cpuset=host.get("CpusetCpus") or "",
        pids=max(0, host.get("PidsLimit") or 0),
    )


def complete(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What an update asks for, with a zero for each limit that it does not name."""
    zeros = {name: "" if name in ("CpusetCpus", "CpusetMems", "CgroupParent") else 0 for name in FIELDS}
    return zeros | {name: asked[name] for name in FIELDS if asked.get(name)}


def conflict(host: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """Why an update does not go with the limits that there are; "" where it does."""
    new = complete(asked)
    for name in ("CpuPeriod", "CpuQuota"):
        word = name.replace("Cpu", "CPU ")
        if new["NanoCpus"] and host[name]:
            return f"Conflicting options: Nano CPUs cannot be updated as {word} has already been set"
        if new[name] and host["NanoCpus"]:
            return f"Conflicting options: {word} cannot be updated as NanoCPUs has already been set"
    if new["Memory"] > host["MemorySwap"] and not new["MemorySwap"]:
        return "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
    return ""


def changed(host: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """A host config with what an update asks for: zero and "" leave a limit as it is, but no limit of processes is one."""
    result = dict(host) | {name: asked[name] for name in FIELDS if asked.get(name)}
    if asked.get("PidsLimit") is not None:
        result["PidsLimit"] = asked["PidsLimit"]
    return result


def _check_set(text: str, count: int, name: str, word: str) -> None:
    if not text:
        return
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text):
        raise UsageError(f"Invalid value {text} for cpuset {name}: invalid format: {text}")
    last = max((int(number) for number in re.findall(r"\d+", text)), default=-1)
    if last >= count:
        raise UsageError(
            f"Requested {word} are not available - requested {text}, available: {f'0-{count - 1}' if count > 1 else '0'}"
        )


def warnings(host: Mapping[str, Any]) -> list[str]:
    """What is asked for and is no limit of this engine's."""
    return [text for name, text in _DISCARDED.items() if host.get(name)]
