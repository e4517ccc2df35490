"""What a container uses: processor time, memory, processes, disk. From its control group if it has one, else from its processes.

A container has a control group only if it has limits (`runtime.limits`). From processes, processor time is that of those that live and of
the children that they waited for, and memory is shared out among those that share it. The network is the host's: of a container's part
in it, what its published ports forward is counted, and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dockerlab.engine import procfs, timestamps
from dockerlab.engine.procfs import Machine
from dockerlab.engine.runtime.forwarding import Traffic
from dockerlab.engine.runtime.limits import Means, group_name

_NANO = 1_000_000_000
_TICKS = os.sysconf("SC_CLK_TCK")
_UNLIMITED = 1 << 62  # version 1 writes a number near 2^63
_SHARED_OUT = 100  # processes whose memory is looked at closely, which takes the kernel a while
_BLKIO = (
    *("io_service_bytes_recursive", "io_serviced_recursive", "io_queue_recursive", "io_service_time_recursive"),
    *("io_wait_time_recursive", "io_merged_recursive", "io_time_recursive", "sectors_recursive"),
)
_Transfer = tuple[int, int, str, int]


@dataclass(frozen=True)
class Usage:
    """read: nanoseconds since 1970. total, user, kernel: nanoseconds of processor time; machine: that of the whole machine. throttled:
    periods, those with throttling, nanoseconds. memory_stats: the kernel's counters. processes_limit: 0 for none. transfers: (major,
    minor, "read" or "write", bytes). traffic: None where it has no address of its own."""

    read: int
    total: int = 0
    user: int = 0
    kernel: int = 0
    by_processor: tuple[int, ...] = ()
    throttled: tuple[int, int, int] = (0, 0, 0)
    machine: int = 0
    processors: int = 0
    memory: int = 0
    memory_peak: int = 0
    memory_limit: int = 0
    memory_stats: Mapping[str, int] = field(default_factory=dict)
    processes: int = 0
    processes_limit: int = 0
    transfers: tuple[_Transfer, ...] = ()
    traffic: Traffic | None = None


def measure(id: str, pids: list[int], means: Means, now: int) -> Usage:
    """What a container uses now. pids: of its processes. means: where its control group may be."""
    machine = procfs.machine()
    groups = {name: os.path.join(path, group_name(id)) for name, path in means.controllers.items()}
    groups = {name: path for name, path in groups.items() if os.path.isdir(path)}
    if "memory" in groups:
        found = _of_group_2(next(iter(groups.values())), now) if means.version == 2 else _of_group_1(groups, now)
        limit = found.memory_limit if 0 < found.memory_limit < min(machine.memory, _UNLIMITED) else machine.memory
        found = replace(found, memory_limit=limit)
    else:
        found = _of_processes(pids, machine, now)
    return replace(found, machine=machine.busy, processors=machine.processors)


def _of_processes(pids: list[int], machine: Machine, now: int) -> Usage:
    found = procfs.processes(pids, machine.boot)
    closely = len(found) <= _SHARED_OUT
    moved = [procfs.transferred(one.pid) for one in found]
    read, written = sum(pair[0] for pair in moved), sum(pair[1] for pair in moved)
    return Usage(
        now,
        total=int(sum(one.time + one.children_time for one in found) * _NANO),
        user=int(sum(one.user_time for one in found) * _NANO),
        kernel=int(sum(one.system_time for one in found) * _NANO),
        memory=sum(procfs.share_of_memory(one) if closely else one.rss for one in found),
        memory_limit=machine.memory,
        processes=sum(one.threads for one in found),
        transfers=((0, 0, "read", read), (0, 0, "write", written)) if read or written else (),
    )


def _of_group_1(groups: Mapping[str, str], now: int) -> Usage:
    time, memory, pids = (groups.get(name, "/nowhere") for name in ("cpuacct", "memory", "pids"))
    ticks = _counters(f"{time}/cpuacct.stat")
    throttled = _counters(f"{groups.get('cpu', '/nowhere')}/cpu.stat")
    return Usage(
        now,
        total=_number(f"{time}/cpuacct.usage"),
        user=ticks.get("user", 0) * _NANO // _TICKS,
        kernel=ticks.get("system", 0) * _NANO // _TICKS,
        by_processor=tuple(int(value) for value in _text(f"{time}/cpuacct.usage_percpu").split()),
        throttled=(throttled.get("nr_periods", 0), throttled.get("nr_throttled", 0), throttled.get("throttled_time", 0)),
        memory=_number(f"{memory}/memory.usage_in_bytes"),
        memory_peak=_number(f"{memory}/memory.max_usage_in_bytes"),
        memory_limit=_number(f"{memory}/memory.limit_in_bytes"),
        memory_stats=_counters(f"{memory}/memory.stat"),
        processes=_number(f"{pids}/pids.current"),
        processes_limit=_number(f"{pids}/pids.max"),
    )


def _of_group_2(group: str, now: int) -> Usage:
    time = _counters(f"{group}/cpu.stat")
    return Usage(
        now,
        total=time.get("usage_usec", 0) * 1000,
        user=time.get("user_usec", 0) * 1000,
        kernel=time.get("system_usec", 0) * 1000,
        throttled=(time.get("nr_periods", 0), time.get("nr_throttled", 0), time.get("throttled_usec", 0) * 1000),
        memory=_number(f"{group}/memory.current"),
        memory_limit=_number(f"{group}/memory.max"),
        memory_stats=_counters(f"{group}/memory.stat"),
        processes=_number(f"{group}/pids.current"),
        processes_limit=_number(f"{group}/pids.max"),
        transfers=tuple(transfers(_text(f"{group}/io.stat"))),
    )


def transfers(text: str) -> Iterable[_Transfer]:
    """What io.stat says: lines of "major:minor rbytes=… wbytes=…". Pure."""
    for line in text.splitlines():
        device, *pairs = line.split()
        major, _, minor = device.partition(":")
        values = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        for key, name in (("rbytes", "read"), ("wbytes", "write")):
            if key in values:
                yield int(major), int(minor), name, int(values[key])


# As the Engine API has it


def stats_json(name: str, id: str, now: Usage | None, before: Usage | None = None) -> dict[str, Any]:
    """An answer of /stats. now: None for a container that does not run. before: the sample before, None for the first. Pure."""
    head = {
        "name": f"/{name}",
        "id": id,
        "read": timestamps.text(now.read) if now else timestamps.ZERO,
        "preread": timestamps.text(before.read) if before else timestamps.ZERO,
    }
    transfers_json = [
        {"major": major, "minor": minor, "op": op, "value": value} for major, minor, op, value in (now.transfers if now else ())
    ]
    return {
        **head,
        "pids_stats": _pids_json(now),
        "blkio_stats": dict.fromkeys(_BLKIO, None if now is None else []) | ({_BLKIO[0]: transfers_json} if now else {}),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _cpu_json(now),
        "precpu_stats": _cpu_json(before),
        "memory_stats": _memory_json(now),
        **({"networks": {"eth0": _traffic_json(now.traffic)}} if now and now.traffic else {}),
    }


def _pids_json(usage: Usage | None) -> dict[str, int]:
    if usage is None:
        return {}
    return {"current": usage.processes} | ({"limit": usage.processes_limit} if usage.processes_limit else {})


def _cpu_json(usage: Usage | None) -> dict[str, Any]:
    one = usage or Usage(0)
    times: dict[str, Any] = {"total_usage": one.total}
    if one.by_processor:
        times["percpu_usage"] = list(one.by_processor)
    times |= {"usage_in_kernelmode": one.kernel, "usage_in_usermode": one.user}
    machine = {"system_cpu_usage": one.machine, "online_cpus": one.processors} if usage else {}
    names = ("periods", "throttled_periods", "throttled_time")
    return {"cpu_usage": times, **machine, "throttling_data": dict(zip(names, one.throttled, strict=True))}


def _memory_json(usage: Usage | None) -> dict[str, Any]:
    if usage is None:
        return {}
    peak = {"max_usage": usage.memory_peak} if usage.memory_peak else {}
    return {"usage": usage.memory, **peak, "stats": dict(usage.memory_stats), "limit": usage.memory_limit}


def _traffic_json(traffic: Traffic) -> dict[str, int]:
    counted = dict.fromkeys((f"{way}_{what}" for way in ("rx", "tx") for what in ("bytes", "packets", "errors", "dropped")), 0)
    counted |= {"rx_bytes": traffic.bytes_in, "rx_packets": traffic.pieces_in}
    return counted | {"tx_bytes": traffic.bytes_out, "tx_packets": traffic.pieces_out}


def _counters(path: str) -> dict[str, int]:
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _number(path: str) -> int:
    """What a file holds; 0 for "max", and where it is not there."""
    text = _text(path).strip()
    return int(text) if text.isdecimal() else 0


def _text(path: str) -> str:
    # The container has ended, or the kernel does not count this.
    with suppress(OSError):
        return Path(path).read_text(encoding="utf-8")
    return ""
