"""What a container's panel is made of: samples and limits, processes, what is hidden. Against what engines really answered."""

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
from dockerlab.containers.hiding import hide, hide_arguments, hide_in, hide_in_command, is_secret
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


@pytest.mark.parametrize(
    "name",
    ["PASSWORD", "DB_PASSWORD", "PGPASSWORD", "passwd", "API_KEY", "apiKey", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "authToken", "dbPass",
     "GOOGLE_CREDENTIALS", "SSH_KEY", "session-cookie", "JWT"],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)
    assert hide(name, "value") == "***"
    assert hide(name, "") == ""


@pytest.mark.parametrize(
    "name", ["PATH", "PWD", "OLDPWD", "MONKEY", "KEYBOARD", "AUTHOR", "COMPASS", "PYTHONPATH", "SSH_AUTH_SOCK"]
)
def test_names_of_others(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://me:pw@host/db", "postgres://me:***@host/db"),
        ("redis://:pw@host", "redis://:***@host"),
        ("https://token@host/x", "https://***@host/x"),
        ("https://host/me@there", "https://host/me@there"),
        ("Server=db;Password=pw;Timeout=3", "Server=db;Password=***;Timeout=3"),
        ("use ghp_0123456789abcdefghijABCDEFGHIJ now", "use *** now"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc", "***"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "***"),
        ("/usr/bin:/bin", "/usr/bin:/bin"),
        ("Uid=me;Pwd=pw;", "Uid=me;Pwd=***;"),
        ("export GITHUB_TOKEN=t; exec app", "export GITHUB_TOKEN=***; exec app"),
        ("MYSQL_ROOT_PASSWORD='two words' mysqld", "MYSQL_ROOT_PASSWORD=*** mysqld"),
        ("curl -H 'Authorization: Bearer abc.def' host", "curl -H 'Authorization: ***' host"),
        ("PWD=/app pass=3 key=2 keyboard=de", "PWD=/app pass=3 key=2 keyboard=de"),
    ],
)
def test_values_that_are_secrets_whatever_their_name(text: str, shown: str) -> None:
    assert hide("SETTING", text) == hide_in(text) == shown


def test_commands() -> None:
    command = ["app", "--password", "pw", "--token=t", "-p", "8080", "KEY=k", "--key", "-v", "mysql://u:p@h", "--name", "x"]
    assert hide_arguments(command) == (
        *("app", "--password", "***", "--token=***", "-p", "8080", "KEY=***", "--key", "-v", "mysql://u:***@h", "--name", "x"),
    )
    assert (
        hide_in_command("app --password pw --token=t -p 80 known1", ["known1", "80"]) == "app --password *** --token=*** -p 80 ***"
    )
    assert hide_in_command("env MYSQL_ROOT_PASSWORD=pw DB_PASS=pw mysqld") == "env MYSQL_ROOT_PASSWORD=*** DB_PASS=*** mysqld"
    assert hide_arguments(["sh", "-c", "export API_KEY=k; app"]) == ("sh", "-c", "export API_KEY=***; app")


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
