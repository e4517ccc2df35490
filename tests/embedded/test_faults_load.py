"""Containers that want too much: they print without end, fork without end, will not go, are too many. The engine answers
meanwhile and stays small, they can be stopped, and nothing of them is left."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dockerlab.engine import workers
from tests.embedded.containing import by_stream
from tests.embedded.rungs import OwnEngine, eventually, resident
from tests.embedded.serving import Talk

FLOOD = ("sh", "-c", "yes 'a line of forty bytes, more or less, yes'")
# Of what forks without end, all may have met the limit and ended at one moment: 80 stay.
BOMB = ("sh", "-c", "i=0; while [ $i -lt 80 ]; do sleep 1000 & i=$((i + 1)); done; f() { f | f & }; (f) & exec sleep 1000")
GROWTH = 25  # megabytes that an engine may grow by what is no leak


@pytest.fixture
def own(rung: OwnEngine) -> Iterator[OwnEngine]:
    """Nothing may be left."""
    yield rung
    rung.clear()
    eventually(lambda: not rung.leftovers(), f"left: {rung.leftovers()}")
    assert "Traceback" not in rung.said()


def logged(own: OwnEngine, identifier: str) -> list[Path]:
    return sorted(own.home.container(identifier).glob("log.jsonl*"))


def size(own: OwnEngine, identifier: str) -> int:
    return sum(path.stat().st_size for path in logged(own, identifier))


def follow(talk: Talk, identifier: str) -> None:
    talk.send(f"GET /containers/{identifier}/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert talk.head().status == 200


def test_one_that_prints_without_end_is_stopped_while_somebody_follows_and_does_not_read(own: OwnEngine) -> None:
    before = resident(own.pid)
    flood = own.client.ready(*FLOOD)
    monitor = own.monitor(flood)
    with Talk(own.home.socket) as idle, Talk(own.home.socket) as talk:
        follow(idle, flood)
        follow(talk, flood)
        there = size(own, flood)
        eventually(lambda: size(own, flood) > there + (16 << 20), "who does not read keeps the container from printing")
        assert own.client.get("/info")["ContainersRunning"] == 1
        assert len(talk.chunk()) > 40
        # Just before the end: a log of any length is read from its end.
        lines = own.client.output(flood, tail=3)[1].splitlines()
        assert lines == [b"a line of forty bytes, more or less, yes"] * 3
        assert max(resident(own.pid) - before, resident(monitor) - 30) < GROWTH
        assert own.client.post(f"/containers/{flood}/stop", t=1).status == 204
    assert own.client.inspect(flood)["State"]["Status"] == "exited"


def test_one_that_nobody_reads_from_waits_and_can_be_killed(own: OwnEngine) -> None:
    flood = own.client.create(*FLOOD)
    with own.client.attached(flood) as unread:
        assert own.client.post(f"/containers/{flood}/start").status == 204
        before = -1
        while before != (now := size(own, flood)) or not now:
            before = now
            time.sleep(0.3)
        assert own.client.post(f"/containers/{flood}/kill").status == 204
        assert own.client.inspect(flood)["State"]["ExitCode"] == 137
        found = by_stream(unread.file.read())[1]
    # What it was told to print is in the log, whoever reads it.
    assert found.count(b"\n") <= logged(own, flood)[0].read_bytes().count(b"\n") + 1


def test_a_log_is_no_longer_than_asked(own: OwnEngine) -> None:
    config = {"Type": "json-file", "Config": {"max-size": "100k", "max-file": "3"}}
    made = own.client.run("sh", "-c", "seq 1 20000", host={"LogConfig": config})
    assert own.client.wait(made) == 0
    assert [path.name for path in logged(own, made)] == ["log.jsonl", "log.jsonl.1", "log.jsonl.2"]
    assert all(path.stat().st_size < 100_200 for path in logged(own, made))
    lines = [int(line) for line in own.client.output(made)[1].split()]
    assert lines == list(range(lines[0], 20001))
    assert own.client.output(made, tail=2)[1] == b"19999\n20000\n"


@pytest.mark.parametrize("end", ["kill", "rm", "stop"])
def test_a_fork_bomb_is_ended(own: OwnEngine, end: str) -> None:
    bomb = own.client.run(*BOMB, host={"PidsLimit": 100, "Ulimits": [{"Name": "nproc", "Soft": 4000, "Hard": 4000}]})
    eventually(lambda: len(own.client.get(f"/containers/{bomb}/top")["Processes"]) > 60, "it does not fork")
    assert own.client.get("/info")["ContainersRunning"] == 1
    assert len(own.client.get(f"/containers/{bomb}/top")["Processes"]) <= 100
    if end == "rm":
        assert own.client.ask("DELETE", f"/containers/{bomb}", force=1).status == 204
        return
    assert own.client.post(f"/containers/{bomb}/{end}", **({"t": 1} if end == "stop" else {})).status == 204
    assert own.client.inspect(bomb)["State"]["Status"] == "exited"


STUBBORN = """
trap '' TERM INT HUP
(trap '' TERM; setsid sh -c 'trap "" TERM; (while :; do sleep 1000; done) & (sleep 1001 &) ; while :; do sleep 1002; done' &)
sh -c 'kill -STOP $$; sleep 1003' &
echo begun
while :; do sleep 1004; done
"""


@pytest.mark.parametrize("paused", [False, True])
def test_what_will_not_go_goes(own: OwnEngine, paused: bool) -> None:
    stubborn = own.client.ready("sh", "-c", STUBBORN)
    made = own.client.post(f"/containers/{stubborn}/exec", {"Cmd": ["sh", "-c", "trap '' TERM; setsid sleep 1005"]}).json()["Id"]
    assert own.client.post(f"/exec/{made}/start", {"Detach": True}).status == 200
    if paused:
        assert own.client.post(f"/containers/{stubborn}/pause").status == 204
    assert own.client.ask("DELETE", f"/containers/{stubborn}", force=1).status == 204
    assert not [said for said in own.ours().values() if "sleep 100" in said]


def test_a_hundred_runs_leave_nothing(own: OwnEngine) -> None:
    def run() -> None:
        made = own.client.create("sh", "-c", "echo out", host={"AutoRemove": True})
        with own.client.attached(made) as talk:
            assert own.client.post(f"/containers/{made}/start").status == 204
            assert by_stream(talk.file.read())[1] == b"out\n"

    def settled() -> tuple[int, int]:
        eventually(lambda: not own.client.get("/containers/json", all=1))
        before = (0, 0)
        while before != (now := own.counts()):
            before = now
            time.sleep(0.2)
        return now

    for _ in range(5):
        run()
    (descriptors, threads), memory, files = settled(), resident(own.pid), own.files()
    for _ in range(100):
        run()
    now = settled()
    assert now[0] <= descriptors
    assert now[1] <= threads + workers.KEPT
    eventually(lambda: len(own.files()) <= len(files), f"left: {own.files() - files}")
    assert resident(own.pid) - memory < GROWTH // 5


def published(own: OwnEngine, identifier: str) -> int:
    return int(own.client.inspect(identifier)["NetworkSettings"]["Ports"]["5000/tcp"][0]["HostPort"])


def answer(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        return sock.makefile("rb").read()


@pytest.mark.slow
def test_a_hundred_at_once(own: OwnEngine) -> None:
    host = {"PortBindings": {"5000/tcp": [{"HostPort": ""}]}}

    def run(number: int) -> str:
        return own.client.ready("sh", "-c", f"echo begun; while :; do echo {number} | nc -l -p 5000; done", host=host)

    with ThreadPoolExecutor(10) as pool:
        made = list(pool.map(run, range(100)))
        ports = [published(own, identifier) for identifier in made]
        assert len(set(ports)) == 100
        assert own.client.get("/info")["ContainersRunning"] == 100

        def says(number: int) -> None:
            eventually(lambda: answer(ports[number]) == b"%d\n" % number)

        list(pool.map(says, range(100)))

        def remove(identifier: str) -> Any:
            return own.client.ask("DELETE", f"/containers/{identifier}", force=1).status

        assert set(pool.map(remove, made)) == {204}
