"""What a container's panel is made of: samples and limits, processes, the environment. Against what engines really answered."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from dockerlab.client import engine_errors
from dockerlab.containers import panel, processes
from dockerlab.containers.measurement import usage
from dockerlab.containers.panel import Panel, variables
from dockerlab.containers.processes import Process, tree
from dockerlab.containers.sampling import Limits, Sample, limits_of, rates, sampled
from dockerlab.containers.watching import Watch
from dockerlab.errors import EngineGone
from dockerlab.faces.container import Facts

CASES = Path(__file__).parents[1] / "cases" / "usage"
SOURCES = sorted(path.stem for path in CASES.glob("*.json"))


def recorded(source: str) -> dict[str, Any]:
    """Three answers of /stats, of /top, and what it was limited to: a loop, at half a processor and 64 MiB, that wrote 8 MiB before."""
    case: dict[str, Any] = json.loads((CASES / f"{source}.json").read_text(encoding="utf-8"))
    return case


def samples(source: str) -> list[Sample]:
    answers = recorded(source)["stats"]
    found = [sampled(answer, before) for answer, before in zip(answers, [None, *answers], strict=False)]
    assert None not in found
    return [sample for sample in found if sample]


@pytest.mark.parametrize("source", SOURCES)
def test_processor_time_is_what_the_loop_takes(source: str) -> None:
    first, *others = samples(source)
    assert first.cpu is None
    assert [sample.cpu for sample in others] == pytest.approx([50] * 2, rel=0.4)


def test_processor_time_as_the_docker_command_counts_it() -> None:
    before, now = recorded("docker-28")["stats"][1:]
    used = now["cpu_stats"]["cpu_usage"]["total_usage"] - before["cpu_stats"]["cpu_usage"]["total_usage"]
    passed = now["cpu_stats"]["system_cpu_usage"] - before["cpu_stats"]["system_cpu_usage"]
    sample = sampled(now, before)
    assert sample is not None
    assert sample.cpu == pytest.approx(used / passed * 2 * 100)


@pytest.mark.parametrize("source", SOURCES)
def test_memory_is_without_what_the_kernel_could_drop(source: str) -> None:
    answer, sample = recorded(source)["stats"][0]["memory_stats"], samples(source)[0]
    inactive = (answer.get("stats") or {}).get("total_inactive_file", 0)
    assert sample.memory == answer["usage"] - inactive
    assert sample.processes is not None
    assert sample.processes >= 2


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_not_counted_is_none(source: str) -> None:
    last = samples(source)[-1]
    assert last.received is not None
    if source == "embedded-user":
        assert last.written is not None
        assert last.written >= 8 << 20
    else:
        assert (last.read, last.written) == (None, None)  # nothing is listed: this kernel's control groups do not count it


def test_a_container_that_does_not_run_has_no_sample() -> None:
    ended = {"read": "0001-01-01T00:00:00Z", "memory_stats": {}, "pids_stats": {}, "cpu_stats": {"cpu_usage": {"total_usage": 0}}}
    assert sampled(ended, None) is None
    first = recorded("docker-28")["stats"][0]
    sample = sampled(first, ended)
    assert sample is not None
    assert sample.cpu is None


def test_counters_of_a_new_run_are_no_rate() -> None:
    answers = recorded("docker-28")["stats"]
    again = json.loads(json.dumps(answers[1]))
    again["cpu_stats"]["cpu_usage"]["total_usage"] = 5
    sample = sampled(again, answers[0])
    assert sample is not None
    assert sample.cpu is None
    series = [Sample(0.0, received=100), Sample(1.0, received=350), Sample(2.0, received=10), Sample(3.0, received=None)]
    assert rates(series, "received") == [(1.0, 250.0), (2.0, None), (3.0, None)]
    assert rates([Sample(0.0, sent=1), Sample(60.0, sent=2)], "sent") == [(60.0, None)]


@pytest.mark.parametrize("source", SOURCES)
def test_limits(source: str) -> None:
    case = recorded(source)
    limits = limits_of({"HostConfig": case["HostConfig"]}, case["info"])
    assert (limits.cpus, limits.memory) == (0.5, 64 << 20)
    assert limits.processes == (2048 if source.startswith("podman") else None)
    assert limits.unenforced == ({"cpus", "memory"} if source == "embedded-user" else set())
    assert limits.processors == 2


def test_limits_by_quota_and_none_at_all() -> None:
    assert limits_of({"HostConfig": {"CpuQuota": 150_000, "PidsLimit": -1}}, {}) == Limits(cpus=1.5)
    assert limits_of({}, {}) == Limits()


@pytest.mark.parametrize(
    ("processors", "time", "held", "cpus", "unenforced"),
    [
        ("0", 0, {}, 1, set()),
        ("0-1,3", 0, {}, 3, set()),
        ("1,1-2", 2.5, {}, 2, set()),
        ("0-3", 0.5, {}, 0.5, set()),
        ("0", 0.5, {"CpuCfsQuota": False}, 1, set()),  # of its time nothing holds it, of the others the kernel does
        ("0", 0.5, {"CpuCfsQuota": False, "CPUSet": False}, 0.5, {"cpus"}),
        ("0", 2, {"CPUSet": False}, 2, set()),
        ("", 0, {}, None, set()),
        ("all", 0, {}, None, set()),
        ("0-99999999999", 0, {}, 8193, set()),
    ],
)
def test_the_processors_that_it_may_run_on_are_a_limit(
    processors: str, time: float, held: dict[str, bool], cpus: float | None, unenforced: set[str]
) -> None:
    attrs = {"HostConfig": {"CpusetCpus": processors, "NanoCpus": int(time * 1e9)}}
    limits = limits_of(attrs, held)
    assert (limits.cpus, set(limits.unenforced)) == (cpus, unenforced)


def _on_windows(at: str, before: str, cpu: int, cpu_before: int, memory: dict[str, int] | None = None) -> dict[str, Any]:
    """As the API documents it for Windows: time in 100 ns, memory as a working set, storage in place of block I/O, no process counted."""
    return {
        "read": f"2026-11-27T10:00:{at}Z",
        "preread": f"2026-11-27T10:00:{before}Z",
        "num_procs": 4,
        "pids_stats": {},
        "blkio_stats": {},
        "storage_stats": {"read_count_normalized": 3, "read_size_bytes": 4096, "write_size_bytes": 8192},
        "cpu_stats": {"cpu_usage": {"total_usage": cpu, "usage_in_kernelmode": 0, "usage_in_usermode": 0}, "throttling_data": {}},
        "precpu_stats": {"cpu_usage": {"total_usage": cpu_before}},
        "memory_stats": {"commitbytes": 9_000_000, "commitpeakbytes": 9_000_000, "privateworkingset": 5_000_000}
        if memory is None
        else memory,
        "networks": {"a": {"rx_bytes": 1, "tx_bytes": 2}},
    }


def test_a_container_of_windows() -> None:
    first, second = _on_windows("01", "00", 10_000_000, 0), _on_windows("03", "01", 20_000_000, 10_000_000)
    sample = sampled(second, first)
    assert sample is not None
    assert (sample.cpu, sample.memory, sample.read, sample.written, sample.received) == (50.0, 5_000_000, 4096, 8192, 1)
    used = usage(Facts("c" * 64, "web", "web", "app", "x", "running"), second)
    assert (used.cpu, used.memory, used.read, used.written, used.processes) == (50.0, 5_000_000, 4096, 8192, 0)
    assert sampled(_on_windows("05", "03", 0, 0, memory={}), second) is None  # it has ended


@pytest.mark.parametrize("source", SOURCES)
def test_processes_are_a_tree(source: str) -> None:
    top = recorded(source)["top"]
    first, *others = tree(top["Titles"], top["Processes"])
    assert first.depth == 0
    assert [process.depth for process in others] == [1] * len(others)
    assert {process.user for process in others} <= {"root", "0"}
    assert first.command.startswith("sleep 600")
    assert first.cpu is not None
    assert (first.memory is None) == source.startswith("podman")


def test_a_tree_of_any_shape() -> None:
    rows = [("5", "3", "e"), ("1", "0", "a"), ("3", "1", "c"), ("2", "1", "b"), ("7", "99", "g"), ("x", "1", "?")]
    found = tree(("PID", "PPID", "COMMAND"), rows)
    assert [(p.command, p.depth, p.is_last) for p in found] == [
        ("a", 0, False), ("c", 1, False), ("e", 2, True), ("b", 1, True), ("g", 0, True),
    ]  # fmt: skip
    assert {p.command for p in tree(("PID", "PPID", "COMMAND"), [("1", "2", "a"), ("2", "1", "b")])} == {"a", "b"}
    assert tree(("PID", "USER", "COMMAND"), [("1", "root", "sh")]) == (Process(1, "root", "sh"),)
    assert tree((), []) == ()


def test_an_engine_that_is_slow_at_one_question_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object, **__: object) -> None:
        with engine_errors("ask"):
            raise requests.exceptions.ReadTimeout

    def gone(*_: object, **__: object) -> None:
        with engine_errors("ask"):
            raise requests.exceptions.ConnectionError

    container: Any = SimpleNamespace(client=SimpleNamespace(info=gone), attrs={})
    before = Panel(Facts("c" * 64, "web", "web", "app", "x", "running"), 1.0)
    monkeypatch.setattr(panel, "diff", slow)
    monkeypatch.setattr(processes, "read", slow)
    monkeypatch.setattr(panel, "get", lambda *_, **__: container)
    after = panel.with_changes(panel.with_processes(before, container, is_podman=False), container)
    assert (after.processes, after.changes) == (None, None)
    assert after.processes_said == after.changes_said == "The engine takes too long to list them."
    monkeypatch.setattr(panel, "diff", gone)
    with pytest.raises(EngineGone):
        panel.with_changes(before, container)
    with pytest.raises(EngineGone, match="cannot ask the engine what it can do"):
        panel.show("web", client=container.client)


def test_what_was_done_along_with_another_is_not_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = object.__new__(Watch)
    watch._due, watch._is_closing = {"look": 0.0, "show": 0.0}, threading.Event()
    monkeypatch.setattr(watch, "_look", lambda: watch._due.pop("show"))  # a new state is shown at once
    watch._do_what_is_due()
    assert watch._due == {}


def test_the_environment() -> None:
    attrs = {"Config": {"Env": ["TOKEN=t", "A=1", "EMPTY=", "ODD", "URL=http://u:p@h/?a=b"]}}
    assert [(v.name, v.value) for v in variables(attrs)] == [
        ("A", "1"), ("EMPTY", ""), ("ODD", ""), ("TOKEN", "***"), ("URL", "http://u:***@h/?a=b"),
    ]  # fmt: skip
