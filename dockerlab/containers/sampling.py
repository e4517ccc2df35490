"""Samples of what a container uses, out of the engine's stream of counters; and its limits. Pure.

    sample = sampled(answer, before)        answer, before: two successive answers of /containers/ID/stats
    rates(samples, "received")              bytes a second, where two samples follow one another

Processor time and memory are counted as the `docker` command counts them. What an engine does not count is None, and so is what it cannot
know yet: a share of processor time needs two samples, of the same run of the container.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

from dockerlab.containers.facts import epoch
from dockerlab.containers.measurement import memory_of, share_of_cpu

Counter = Literal["received", "sent", "read", "written"]
_LONGEST_STEP: Final = 15.0  # seconds between two samples that are one line; Podman's are 5 apart


@dataclass(frozen=True, slots=True)
class Sample:
    """What a container used at a moment. at: in seconds since the epoch, by the engine's clock. cpu: in percent of one processor, since the
    sample before. memory: in bytes, without what the kernel could drop. received, sent, read, written: bytes since it was started.
    """

    at: float
    cpu: float | None = None
    memory: int | None = None
    processes: int | None = None
    received: int | None = None
    sent: int | None = None
    read: int | None = None
    written: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a container may use at most; None: without a limit. cpus: a number of processors. memory: in bytes.

    unenforced: which of `cpus`, `memory`, `processes` were asked for, and this engine cannot hold it to.
    processors, machine_memory: what the machine has; None where that is not known.
    """

    cpus: float | None = None
    memory: int | None = None
    processes: int | None = None
    unenforced: frozenset[str] = frozenset()
    processors: int | None = None
    machine_memory: int | None = None


def sampled(answer: Mapping[str, Any], before: Mapping[str, Any] | None) -> Sample | None:
    """None for a container that does not run: engines then answer with counters that are empty."""
    at = epoch(answer.get("read"))
    memory = answer.get("memory_stats") or {}
    if at is None or (memory.get("usage") is None and not (answer.get("pids_stats") or {}).get("current")):
        return None
    networks = answer.get("networks")
    blocks = (answer.get("blkio_stats") or {}).get("io_service_bytes_recursive")
    return Sample(
        at=at,
        cpu=_cpu(answer, before),
        memory=None if memory.get("usage") is None else memory_of(memory),
        processes=_number((answer.get("pids_stats") or {}).get("current")),
        received=_sum(networks, "rx_bytes"),
        sent=_sum(networks, "tx_bytes"),
        read=_moved(blocks, "read"),
        written=_moved(blocks, "write"),
    )


def rates(samples: Iterable[Sample], counter: Counter) -> list[tuple[float, float | None]]:
    """(at, bytes a second since the sample before); None where there is none to count from: it was started anew in between."""
    found: list[tuple[float, float | None]] = []
    for before, now in pairwise(samples):
        then, value = getattr(before, counter), getattr(now, counter)
        passed = now.at - before.at
        known = then is not None and value is not None and value >= then and 0 < passed <= _LONGEST_STEP
        found.append((now.at, (value - then) / passed if known else None))
    return found


def limits_of(attrs: Mapping[str, Any], info: Mapping[str, Any]) -> Limits:
    """attrs: of an inspected container. info: the engine's /info, which says what it can hold a container to."""
    host = attrs.get("HostConfig") or {}
    cpus = (host.get("NanoCpus") or 0) / 1e9
    if not cpus and (host.get("CpuQuota") or 0) > 0:
        cpus = host["CpuQuota"] / (host.get("CpuPeriod") or 100_000)
    wanted = {"cpus": cpus, "memory": int(host.get("Memory") or 0), "processes": int(host.get("PidsLimit") or 0)}
    held = {"cpus": "CpuCfsQuota", "memory": "MemoryLimit", "processes": "PidsLimit"}
    return Limits(
        cpus=cpus or None,
        memory=int(wanted["memory"]) or None,
        processes=int(wanted["processes"]) if wanted["processes"] > 0 else None,
        unenforced=frozenset(name for name, value in wanted.items() if value > 0 and info.get(held[name]) is False),
        processors=_number(info.get("NCPU")),
        machine_memory=_number(info.get("MemTotal")),
    )


def _cpu(answer: Mapping[str, Any], before: Mapping[str, Any] | None) -> float | None:
    if before is None:
        return None
    now, then = answer.get("cpu_stats") or {}, before.get("cpu_stats") or {}
    used = _total(now) - _total(then)
    if not then.get("cpu_usage") or used < 0 or sampled(before, None) is None:
        return None  # it was not running then, or was started anew
    # Podman (its answers have `cpu`) and what does not count the machine's time: by the clock.
    if "cpu" in now or not now.get("system_cpu_usage") or not then.get("system_cpu_usage"):
        passed = (epoch(answer.get("read")) or 0.0) - (epoch(before.get("read")) or 0.0)
        return 100.0 * used / (passed * 1e9) if passed > 0 else None
    return share_of_cpu(now, then)


def _total(cpu: Mapping[str, Any]) -> int:
    return int((cpu.get("cpu_usage") or {}).get("total_usage") or 0)


def _sum(networks: Any, counter: str) -> int | None:
    if not isinstance(networks, Mapping) or not networks:
        return None
    return sum(int(n.get(counter) or 0) for n in networks.values())


def _moved(blocks: Any, operation: str) -> int | None:
    """None where nothing is listed: it moved nothing yet, or the kernel does not count it."""
    if not blocks:
        return None
    return sum(int(b.get("value") or 0) for b in blocks if str(b.get("op", "")).lower() == operation)


def _number(value: Any) -> int | None:
    return int(value) if isinstance(value, (int, float)) and value > 0 else None
