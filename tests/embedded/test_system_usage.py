"""What containers use: from control groups of both versions, from processes, and as the API has it."""

from __future__ import annotations

import os
from pathlib import Path

from dockerlab.engine.runtime.limits import Means, group_name
from dockerlab.engine.usage import Usage, measure, stats_json, transfers

ID = "0123456789abcdef" * 4
NOW = 1_700_000_000_000_000_000
MIB = 1 << 20


def write(directory: Path, **files: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text)


def test_version_1(tmp_path: Path) -> None:
    means = Means(1, {name: str(tmp_path / name) for name in ("cpu", "cpuacct", "memory", "pids")})
    name = group_name(ID)
    write(
        tmp_path / "cpuacct" / name, cpuacct__usage="600\n", cpuacct__usage_percpu="200 400\n", cpuacct__stat="user 3\nsystem 2\n"
    )
    write(tmp_path / "cpu" / name, cpu__stat="nr_periods 4\nnr_throttled 2\nthrottled_time 9\n")
    write(tmp_path / "memory" / name, memory__usage_in_bytes="5000\n", memory__limit_in_bytes=f"{64 * MIB}\n")
    write(tmp_path / "memory" / name, memory__stat="cache 10\ntotal_inactive_file 7\n", memory__max_usage_in_bytes="6000\n")
    write(tmp_path / "pids" / name, pids__current="3\n", pids__max="max\n")
    found = measure(ID, [], means, NOW)
    assert (found.total, found.by_processor, found.throttled) == (600, (200, 400), (4, 2, 9))
    assert (found.memory, found.memory_peak, found.memory_limit) == (5000, 6000, 64 * MIB)
    assert found.memory_stats == {"cache": 10, "total_inactive_file": 7}
    assert (found.processes, found.processes_limit) == (3, 0)
    assert found.machine > 0


def test_version_2(tmp_path: Path) -> None:
    means = Means(2, dict.fromkeys(("cpu", "memory"), str(tmp_path)))
    write(
        tmp_path / group_name(ID),
        cpu__stat="usage_usec 5\nuser_usec 3\nsystem_usec 2\n",
        memory__current="5000\n",
        memory__max="max\n",
        memory__stat="inactive_file 7\n",
        pids__current="3\n",
        pids__max="10\n",
        io__stat="254:0 rbytes=100 wbytes=200 rios=1\n",
    )
    found = measure(ID, [], means, NOW)
    assert (found.total, found.user, found.kernel) == (5000, 3000, 2000)
    assert found.memory_limit > 5000  # the machine's
    assert (found.processes, found.processes_limit) == (3, 10)
    assert found.transfers == ((254, 0, "read", 100), (254, 0, "write", 200))


def test_transfers_of_devices_that_did_nothing() -> None:
    assert list(transfers("8:0 \n7:1 rbytes=1 dbytes=3\n")) == [(7, 1, "read", 1)]


def test_from_processes() -> None:
    sum(number * number for number in range(1_000_000))
    found = measure(ID, [os.getpid()], Means(), NOW)
    assert found.total > 0
    assert found.total >= found.user + found.kernel
    assert found.processes >= 1
    assert 0 < found.memory < found.memory_limit
    nothing = measure(ID, [], Means(), NOW)
    assert (nothing.total, nothing.memory, nothing.processes) == (0, 0, 0)


def test_the_first_answer_has_nothing_before_it() -> None:
    shown = stats_json("web", ID, Usage(NOW, total=10, machine=100, processors=2, processes=1, memory=5, memory_limit=50))
    assert shown["name"] == "/web"
    assert shown["read"] == "2023-11-14T22:13:20Z"
    assert shown["preread"] == "0001-01-01T00:00:00Z"
    assert shown["cpu_stats"] == {
        "cpu_usage": {"total_usage": 10, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
        "system_cpu_usage": 100,
        "online_cpus": 2,
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    }
    assert "system_cpu_usage" not in shown["precpu_stats"]
    assert shown["pids_stats"] == {"current": 1}
    assert shown["memory_stats"] == {"usage": 5, "stats": {}, "limit": 50}
    assert shown["blkio_stats"]["io_service_bytes_recursive"] == []
    assert "networks" not in shown


def test_two_samples_make_a_share() -> None:
    first = Usage(NOW, total=10, machine=100, processors=2)
    second = Usage(NOW + 1, total=60, machine=200, processors=2, transfers=((0, 0, "read", 9),))
    shown = stats_json("web", ID, second, first)
    assert shown["preread"] == "2023-11-14T22:13:20Z"
    assert shown["precpu_stats"]["cpu_usage"]["total_usage"] == 10
    assert shown["precpu_stats"]["system_cpu_usage"] == 100
    assert shown["blkio_stats"]["io_service_bytes_recursive"] == [{"major": 0, "minor": 0, "op": "read", "value": 9}]


def test_a_container_that_does_not_run_uses_nothing() -> None:
    shown = stats_json("web", ID, None)
    assert (shown["read"], shown["pids_stats"], shown["memory_stats"]) == ("0001-01-01T00:00:00Z", {}, {})
    assert shown["blkio_stats"]["io_service_bytes_recursive"] is None
