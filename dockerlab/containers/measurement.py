"""`stats`: what containers use, computed from the engine's counters as the `docker` command does it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Literal

from dockerlab.client import Client, connect
from dockerlab.containers.container import Container, Which, acting, several
from dockerlab.containers.facts import epoch
from dockerlab.containers.observation import ps
from dockerlab.containers.values import Stats, Usage
from dockerlab.errors import NotFound
from dockerlab.faces.container import Facts

_AT_ONCE = 8
_BETWEEN_SAMPLES = 1.0  # seconds
WINDOWS_SECOND: Final = 1e7  # in which Windows counts processor time


def stats(containers: Which | Iterable[Which] | None = None, *, client: Client | None = None) -> Stats:
    """One snapshot of the given containers, or of all that run. It takes a second or two: a share of processor time needs two
    samples.

    Raises NotFound.
    """
    client = client or connect()
    found = several(containers, client) if containers is not None else list(ps(client=client))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return Stats(u for u in pool.map(lambda c: _usage(c, given=containers is not None), found) if u)


def _usage(container: Container, given: bool) -> Usage | None:
    """None for a container that has gone meanwhile, where no one asked for it by name."""
    try:
        with acting("measure", container):
            api = container.client.api
            answer = api.stats(container.id, stream=False)
            if not (answer.get("precpu_stats") or {}).get("system_cpu_usage") and not is_windows(answer):
                answer = _by_the_clock(answer, lambda: api.stats(container.id, stream=False))
            return usage(container.facts, answer)
    except NotFound:
        if given:
            raise
        return None


def _by_the_clock(first: Mapping[str, Any], sample: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """An answer with two samples, where the engine gives one. Podman does, and its system_cpu_usage is not the machine's."""
    started = time.monotonic_ns()
    time.sleep(_BETWEEN_SAMPLES)
    second = sample()
    now = second.get("cpu_stats") or {}
    passed = (time.monotonic_ns() - started) * (now.get("online_cpus") or 1)
    before = {**(first.get("cpu_stats") or {}), "system_cpu_usage": 0}
    return {**second, "cpu_stats": {**now, "system_cpu_usage": passed}, "precpu_stats": before}


def usage(facts: Facts, answer: Mapping[str, Any]) -> Usage:
    """Pure: the counters of one answer of the API, which holds two samples of the processor's."""
    networks = (answer.get("networks") or {}).values()
    memory = answer.get("memory_stats") or {}
    return Usage(
        facts=facts,
        cpu=_share(answer),
        memory=memory_of(memory) or 0,
        limit=int(memory.get("limit") or 0),
        received=sum(n.get("rx_bytes", 0) for n in networks),
        sent=sum(n.get("tx_bytes", 0) for n in networks),
        read=moved(answer, "read") or 0,
        written=moved(answer, "write") or 0,
        processes=int((answer.get("pids_stats") or {}).get("current") or 0),
    )


def share_of_cpu(now: Mapping[str, Any], before: Mapping[str, Any]) -> float:
    """In percent of one processor. now, before: two answers' `cpu_stats`."""
    used = (now.get("cpu_usage") or {}).get("total_usage", 0) - (before.get("cpu_usage") or {}).get("total_usage", 0)
    passed = (now.get("system_cpu_usage") or 0) - (before.get("system_cpu_usage") or 0)
    processors = now.get("online_cpus") or len((now.get("cpu_usage") or {}).get("percpu_usage") or ()) or 1
    return 100.0 * used / passed * processors if used > 0 and passed > 0 else 0.0


def _share(answer: Mapping[str, Any]) -> float:
    now, before = answer.get("cpu_stats") or {}, answer.get("precpu_stats") or {}
    if not is_windows(answer):
        return share_of_cpu(now, before)
    used = (now.get("cpu_usage") or {}).get("total_usage", 0) - (before.get("cpu_usage") or {}).get("total_usage", 0)
    passed = (epoch(answer.get("read")) or 0.0) - (epoch(answer.get("preread")) or 0.0)
    return 100.0 * used / (passed * WINDOWS_SECOND) if used > 0 and passed > 0 else 0.0


def is_windows(answer: Mapping[str, Any]) -> bool:
    """Whether it is a Windows container's: no other answer counts the machine's processors."""
    return bool(answer.get("num_procs"))


def moved(answer: Mapping[str, Any], operation: Literal["read", "write"]) -> int | None:
    """Bytes to or from disks. None where nothing is listed: it moved nothing yet, or the kernel does not count it."""
    if is_windows(answer):
        counted = (answer.get("storage_stats") or {}).get(f"{operation}_size_bytes")
        return None if counted is None else int(counted)
    blocks = (answer.get("blkio_stats") or {}).get("io_service_bytes_recursive")
    return sum(int(b.get("value") or 0) for b in blocks if str(b.get("op", "")).lower() == operation) if blocks else None


def memory_of(memory: Mapping[str, Any]) -> int | None:
    """In bytes, without the page cache that could be dropped: cgroup v1 calls it total_inactive_file, v2 inactive_file. Of a Windows
    container its private working set. None where it is not counted."""
    if memory.get("privateworkingset"):
        return int(memory["privateworkingset"])
    if memory.get("usage") is None:
        return None
    counters = memory.get("stats") or {}
    cache = counters.get("total_inactive_file", counters.get("inactive_file", 0))
    used = int(memory.get("usage") or 0)
    return used - cache if cache < used else used
