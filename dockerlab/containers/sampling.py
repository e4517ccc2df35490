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
from dockerlab.containers.measurement import WINDOWS_SECOND, is_windows, memory_of, moved, share_of_cpu

Counter = Literal["received", "sent", "read", "written"]
_MOST_PROCESSORS: Final = 8192  # of a machine: Linux has no more
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
    """What a container may use at most; None: without a limit. cpus: a number of processors, by their time or by which they
    are. memory: in bytes.

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
    memory = memory_of(answer.get("memory_stats") or {})
    if at is None or (memory is None and not (answer.get("pids_stats") or {}).get("current")):
        return None
    networks = answer.get("networks")
    return Sample(
        at=at,
        cpu=_cpu(answer, before),
        memory=memory,
        processes=_number((answer.get("pids_stats") or {}).get("current")),
        received=_sum(networks, "rx_bytes"),
        sent=_sum(networks, "tx_bytes"),
        read=moved(answer, "read"),
        written=moved(answer, "write"),
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
    time = (host.get("NanoCpus") or 0) / 1e9
    if not time and (host.get("CpuQuota") or 0) > 0:
        time = host["CpuQuota"] / (host.get("CpuPeriod") or 100_000)
    # How much of their time, and which of them: the smaller counts, of those that the engine can hold it to.
    asked = {held: count for held, count in (("CpuCfsQuota", time), ("CPUSet", _count(host.get("CpusetCpus")))) if count}
    held_to = {held: count for held, count in asked.items() if info.get(held) is not False}
    cpus, by = min(((count, held) for held, count in (held_to or asked).items()), default=(0.0, ""))
    wanted = {"cpus": cpus, "memory": int(host.get("Memory") or 0), "processes": int(host.get("PidsLimit") or 0)}
    held = {"cpus": by, "memory": "MemoryLimit", "processes": "PidsLimit"}
    return Limits(
        cpus=cpus or None,
        memory=int(wanted["memory"]) or None,
        processes=int(wanted["processes"]) if wanted["processes"] > 0 else None,
        unenforced=frozenset(name for name, value in wanted.items() if value > 0 and info.get(held[name]) is False),
        processors=_number(info.get("NCPU")),
        machine_memory=_number(info.get("MemTotal")),
    )


def _count(processors: Any) -> float:
    """How many processors `0-2,4` are; 0 for all of them, and for what is no such list."""
    found: set[int] = set()
    for part in str(processors or "").split(","):
        first, _, last = part.strip().partition("-")
        if first.isdecimal() and (not last or last.isdecimal()):
            found.update(range(int(first), min(int(last or first), int(first) + _MOST_PROCESSORS) + 1))
    return float(len(found))


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
        return 100.0 * used / (passed * (WINDOWS_SECOND if is_windows(answer) else 1e9)) if passed > 0 else None
    return share_of_cpu(now, then)


def _total(cpu: Mapping[str, Any]) -> int:
    return int((cpu.get("cpu_usage") or {}).get("total_usage") or 0)


def _sum(networks: Any, counter: str) -> int | None:
    if not isinstance(networks, Mapping) or not networks:
        return None
    return sum(int(n.get(counter) or 0) for n in networks.values())


def _number(value: Any) -> int | None:
    return int(value) if isinstance(value, (int, float)) and value > 0 else None
