"""Health checks: what results make of a container's health, and that checks run when they are due, side by side."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from dockerlab.engine import healthcheck, timestamps
from dockerlab.engine.events import Events
from dockerlab.engine.health import Health
from dockerlab.engine.healthcheck import Check, Result
from dockerlab.errors import EngineError
from dockerlab.wire.multiplex import frame

SECOND = 10**9
MILLISECOND = 10**6
WAIT = 30


def check_of(*test: str, **more: Any) -> Check | None:
    return healthcheck.check_of({"Healthcheck": {"Test": list(test), **more}})


def test_what_a_check_is() -> None:
    assert check_of("CMD", "a", "b") == Check(("a", "b"), 30 * SECOND, 30 * SECOND, 0, 5 * SECOND, 3)
    assert check_of("CMD-SHELL", "a | b", Interval=SECOND, Timeout=2, StartPeriod=3, StartInterval=4, Retries=5) == Check(
        ("/bin/sh", "-c", "a | b"), SECOND, 2, 3, 4, 5
    )
    shell = {"Shell": ["/bin/bash", "-ec"], "Healthcheck": {"Test": ["CMD-SHELL", "x"]}}
    assert healthcheck.check_of(shell) == Check(("/bin/bash", "-ec", "x"))


@pytest.mark.parametrize("test", [(), ("NONE",), ("FOO", "x"), ("CMD",)])
def test_what_is_none(test: tuple[str, ...]) -> None:
    assert check_of(*test) is None
    assert healthcheck.check_of({"Healthcheck": None}) is None


def results(check: Check, *codes: int, at: int = 10 * SECOND) -> list[tuple[str, int]]:
    """Status and streak after each of these exit codes."""
    health: Mapping[str, Any] = healthcheck.starting(None)
    found = []
    for code in codes:
        health = healthcheck.judged(health, Result(at, at + 1, code), check, started_at=0)
        found.append((health["Status"], health["FailingStreak"]))
    return found


def test_health_follows_the_results() -> None:
    assert results(Check(("x",), retries=2), 1, 0, 1, 1, 1, 0) == [
        ("starting", 1),
        ("healthy", 0),
        ("healthy", 1),
        ("unhealthy", 2),
        ("unhealthy", 3),
        ("healthy", 0),
    ]


def test_failures_within_the_start_period_do_not_count() -> None:
    check = Check(("x",), retries=1, start_period=60 * SECOND)
    assert results(check, 1, 1) == [("starting", 0), ("starting", 0)]
    assert results(check, 0, 1) == [("healthy", 0), ("unhealthy", 1)]
    assert results(check, 1, at=61 * SECOND) == [("unhealthy", 1)]


def test_the_last_five_results_are_kept_over_a_restart() -> None:
    health: Mapping[str, Any] = healthcheck.starting(None)
    for number in range(7):
        health = healthcheck.judged(health, Result(0, number, 0), Check(("x",)), 0)
    assert [entry["End"] for entry in health["Log"]] == [timestamps.text(number) for number in range(2, 7)]
    again = healthcheck.starting(health)
    assert (again["Status"], again["FailingStreak"], again["Log"]) == ("starting", 0, health["Log"])


def test_checks_come_faster_while_a_container_starts() -> None:
    check = Check(("x",), interval=30, start_interval=5, start_period=100)
    starting, healthy = healthcheck.starting(None), {"Status": "healthy"}
    assert healthcheck.pause_before(starting, check, 50) == 5
    assert healthcheck.pause_before(healthy, check, 50) == 30
    assert healthcheck.pause_before(starting, check, 100) == 30


def test_output_is_clipped() -> None:
    assert healthcheck.clipped(b"x" * 4096) == "x" * 4096
    assert healthcheck.clipped(b"x" * 4097) == "x" * 4096 + "..."
    assert healthcheck.clipped(b"\xff") == "\N{REPLACEMENT CHARACTER}"
    assert healthcheck.timed_out(Check(("x",), timeout=500 * MILLISECOND), b"") == "Health check exceeded timeout (500ms)"
    assert healthcheck.timed_out(Check(("x",), timeout=90 * SECOND), b"hi") == "Health check exceeded timeout (1m30s): hi"


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (5, "5ns"),
        (1500, "1.5µs"),
        (500 * MILLISECOND, "500ms"),
        (1500 * MILLISECOND, "1.5s"),
        (30 * SECOND, "30s"),
        (60 * SECOND, "1m0s"),
        (3661 * SECOND, "1h1m1s"),
    ],
)
def test_durations_as_go_writes_them(nanoseconds: int, text: str) -> None:
    assert healthcheck.go_duration(nanoseconds) == text


# The scheduler, with containers that are not there


Outcome = tuple[int, bytes] | bytes | Exception


@dataclass(eq=False)
class FakeRunning:
    """A monitor: what was killed."""

    killed: list[tuple[int, str | None]] = field(default_factory=list)

    def signal(self, number: int, exec_id: str | None = None) -> None:
        self.killed.append((number, exec_id))


@dataclass
class State:
    """Of a container."""

    status: str = "running"
    started_at: str = field(default_factory=timestamps.now)


@dataclass
class Record:
    """Of a container."""

    config: Mapping[str, Any]
    state: State = field(default_factory=State)


@dataclass(eq=False)
class FakeContainer:
    """A container that is not there."""

    id: str
    record: Record
    health: Mapping[str, Any] | None = None
    running: FakeRunning = field(default_factory=FakeRunning)

    def keep_health(self, health: Mapping[str, Any]) -> None:
        self.health = health


@dataclass(eq=False)
class FakeExec:
    """A command that is not run."""

    id: str
    container: FakeContainer
    asked: Mapping[str, Any]
    exit_code: int | None = None
    ended: threading.Event = field(default_factory=threading.Event)


class FakeExecs:
    """Execs that end as `outcomes` of their container say, in turn: an exit code with output, an output without an end, or an error."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Iterator[Outcome]] = {}
        self.open: list[socket.socket] = []
        self.alive: set[FakeExec] = set()

    def create(self, container: FakeContainer, asked: Mapping[str, Any]) -> FakeExec:
        made = FakeExec(f"exec{len(self.open)}", container, asked)
        self.alive.add(made)
        return made

    def start(self, found: FakeExec, *, detach: bool) -> socket.socket:
        outcome = next(self.outcomes[found.container.id], b"")
        if isinstance(outcome, Exception):
            self.alive.discard(found)
            raise outcome
        ours, theirs = socket.socketpair()
        if isinstance(outcome, bytes):
            theirs.sendall(frame(2, outcome) if outcome else b"")
            self.open.append(theirs)
        else:
            code, output = outcome
            found.exit_code = code
            found.ended.set()
            theirs.sendall(frame(1, output))
            theirs.close()
        return ours

    def forget_one(self, found: FakeExec) -> None:
        self.alive.discard(found)


class House:
    """What `Health` needs of one."""

    def __init__(self) -> None:
        self.events = Events()
        self.execs = FakeExecs()
        self.containers: dict[str, FakeContainer] = {}
        self.index = self
        self.health = Health(cast(Any, self), cast(Any, self.execs))
        self.events.listen(self.health.hear)

    def find(self, id: str) -> FakeContainer | None:
        return self.containers.get(id)

    def all(self) -> list[FakeContainer]:
        return list(self.containers.values())

    def emit(self, container: FakeContainer, action: str) -> None:
        self.events.emit("container", action, container.id)

    def add(self, id: str, *outcomes: Outcome, **more: int) -> FakeContainer:
        check = {"Test": ["CMD", "check"], "Interval": MILLISECOND, "Retries": 2, **more}
        self.containers[id] = container = FakeContainer(id, Record({"Healthcheck": check}))
        self.execs.outcomes[id] = iter(outcomes)
        return container

    def close(self) -> None:
        self.health.close()
        for end in self.execs.open:
            end.close()


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.close()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
    assert condition()


def log_of(container: FakeContainer) -> list[tuple[int, str]]:
    return [(entry["ExitCode"], entry["Output"]) for entry in (container.health or {})["Log"]]


def test_a_container_becomes_unhealthy_then_healthy(house: House) -> None:
    told = iter(house.events.subscribe())
    web = house.add("web", (1, b"no"), (1, b"no"), (0, b"yes"))
    house.emit(web, "start")
    assert web.health is not None
    assert [next(told).action for _ in range(3)] == ["start", "health_status: unhealthy", "health_status: healthy"]
    until(lambda: len(house.execs.open) == 1)  # the fourth check
    assert log_of(web) == [(1, "no"), (1, "no"), (0, "yes")]
    assert web.health["Status"] == "healthy"


def test_a_check_that_hangs_holds_up_no_other(house: House) -> None:
    stuck, web = house.add("stuck"), house.add("web", (0, b""))
    house.emit(stuck, "start")
    until(lambda: len(house.execs.open) == 1)
    house.emit(web, "start")
    until(lambda: (web.health or {})["Status"] == "healthy")
    assert (stuck.health or {})["Status"] == "starting"
    threads = [thread for thread in threading.enumerate() if thread.name == "health checks"]
    assert len(threads) == 1


def test_a_check_that_takes_too_long_is_killed(house: House) -> None:
    web = house.add("web", b"so far", Timeout=50 * MILLISECOND, Retries=1)
    house.emit(web, "start")
    until(lambda: (web.health or {})["Status"] == "unhealthy")
    assert log_of(web)[0] == (-1, "Health check exceeded timeout (50ms): so far")
    assert web.running.killed[0] == (9, "exec0")


def test_a_check_that_cannot_be_started_has_failed(house: House) -> None:
    web = house.add("web", EngineError("no such file"), EngineError("no such file"))
    house.emit(web, "start")
    until(lambda: (web.health or {})["Status"] == "unhealthy")
    assert log_of(web) == [(-1, "no such file")] * 2


def test_what_has_ended_or_is_paused_is_not_checked(house: House) -> None:
    web = house.add("web")
    house.emit(web, "start")
    until(lambda: len(house.execs.alive) == 1)
    house.emit(web, "pause")
    until(lambda: not house.execs.alive)
    house.emit(web, "unpause")
    until(lambda: len(house.execs.alive) == 1)
    web.record.state.status = "exited"
    house.emit(web, "die")
    until(lambda: not house.execs.alive)
    assert (web.health or {})["Status"] == "unhealthy"
    web.record.state.status = "running"
    house.emit(web, "start")
    assert (web.health or {})["Status"] == "starting"


def test_a_new_engine_takes_up_what_runs(house: House) -> None:
    web, fine = house.add("web", (0, b"")), house.add("fine", Interval=3600 * SECOND)
    fine.keep_health(known := {"Status": "healthy", "FailingStreak": 0, "Log": []})
    house.health.restore()
    until(lambda: (web.health or {})["Status"] == "healthy")
    assert fine.health is known


def test_without_checks_there_is_no_thread(house: House) -> None:
    plain = house.add("plain")
    plain.record.config = {}
    house.emit(plain, "start")
    assert plain.health is None
    assert not [thread for thread in threading.enumerate() if thread.name == "health checks"]
