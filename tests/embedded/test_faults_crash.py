"""Killed at any moment: the engine, the launcher, a monitor, a supervisor. The next engine finds what runs, or says how it ended;
nothing is left behind that nobody knows of."""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from tests.embedded.rungs import OwnEngine, children, eventually

LOOP = ("sh", "-c", "trap 'echo end; exit 7' TERM; echo begun; while :; do sleep 0.1; done")
SERVER = ("sh", "-c", "echo begun; while :; do echo served | nc -l -p 5000; done")
FEW = {"Name": "on-failure", "MaximumRetryCount": 2}
POINTS = {"engine": 5}  # of each victim, on each rung, which has points of its own; 2 of the others
LATEST = 0.15  # seconds into an operation


@pytest.fixture
def own(rung: OwnEngine) -> Iterator[OwnEngine]:
    yield rung
    rung.revive()
    rung.clear()


def whole(own: OwnEngine) -> None:
    """A container can be run, and every one is what the engine says; then all are removed, and nothing is left."""
    assert own.client.wait(own.client.run("sh", "-c", "exit 3")) == 3
    for one in own.client.get("/containers/json", all=1):
        state = settled(own, one["Id"])
        if state is None:
            continue
        if state["Status"] == "paused":
            assert own.client.post(f"/containers/{one['Id']}/unpause").status == 204
            state = own.client.inspect(one["Id"])["State"]
        if state["Status"] == "running":
            assert os.path.exists(f"/proc/{state['Pid']}"), state
            assert said(own, one["Id"], "echo", "here") == b"here\n"
            assert own.client.post(f"/containers/{one['Id']}/stop", t=0).status == 204
            assert own.client.inspect(one["Id"])["State"]["ExitCode"] in (7, 137)
        elif state["Status"] == "exited":
            assert state["Pid"] == 0
            assert state["ExitCode"] in (0, 3, 7, 137), state
        else:
            assert state["Status"] == "created", state
    own.clear()
    eventually(lambda: not own.leftovers(), f"left: {own.leftovers()}")


def settled(own: OwnEngine, identifier: str) -> Any:
    """Its state, when it is not about to become another one: the engine has noticed its end, too. None for one that went away, by --rm."""
    found: list[Any] = []

    def rests() -> bool:
        answer = own.client.ask("GET", f"/containers/{identifier}/json")
        if answer.status == 404:
            found.append(None)
            return True
        container = answer.json()
        state = container["State"]
        found.append(state)
        if state["Status"] == "running":
            has_ended = not os.path.exists(f"/proc/{state['Pid']}")
            return not has_ended and container["HostConfig"]["RestartPolicy"]["Name"] != "on-failure"
        return state["Status"] not in ("restarting", "removing")

    eventually(rests)
    return found[-1]


def said(own: OwnEngine, identifier: str, *command: str) -> bytes:
    """What a command prints inside."""
    made = own.client.post(f"/containers/{identifier}/exec", {"Cmd": command, "AttachStdout": True, "Tty": True})
    assert made.status == 201, made.body
    return own.client.post(f"/exec/{made.json()['Id']}/start", {"Tty": True}).body.replace(b"\r\n", b"\n")


def fetched(port: int) -> bytes:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 20) as sock:
        return sock.makefile("rb").read()
    return b""


def test_what_runs_goes_on_without_an_engine(own: OwnEngine) -> None:
    api = own.client
    loop, server = api.ready(*LOOP), api.ready(*SERVER, host={"PortBindings": {"5000/tcp": [{"HostPort": ""}]}})
    ending = api.ready("sh", "-c", "echo begun; while [ ! -e /end ]; do sleep 0.02; done; exit 3")
    ticks = api.ready("sh", "-c", "while :; do echo tick; sleep 0.05; done")
    port = int(api.inspect(server)["NetworkSettings"]["Ports"]["5000/tcp"][0]["HostPort"])
    detached = api.post(f"/containers/{ending}/exec", {"Cmd": ["sh", "-c", "sleep 0.7; touch /end"]}).json()["Id"]
    assert api.post(f"/exec/{detached}/start", {"Detach": True}).status == 200
    before = api.output(ticks)[1].count(b"tick")
    own.kill()
    eventually(lambda: (own.home.container(ending) / "exit.json").exists())
    eventually(lambda: fetched(port) == b"served\n", "without an engine, a port is not served")
    own.start()
    assert api.wait(ending) == 3
    assert api.output(ticks)[1].count(b"tick") > before
    eventually(lambda: fetched(port) == b"served\n")
    assert said(own, loop, "echo", "here") == b"here\n"
    assert api.post(f"/containers/{loop}/stop").status == 204
    assert (api.inspect(loop)["State"]["ExitCode"], api.output(loop)[1]) == (7, b"begun\nend\n")
    whole(own)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))


def attach(own: OwnEngine, identifier: str) -> None:
    with own.client.attached(identifier, stdin=1) as talk:
        talk.file.read()


def execute(own: OwnEngine, identifier: str) -> None:
    said(own, identifier, "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.05; done")


def archive(own: OwnEngine, identifier: str) -> None:
    own.client.ask("GET", f"/containers/{identifier}/archive", path="/bin")


def call(method: str, action: str, **query: Any) -> Callable[[OwnEngine, str], object]:
    return lambda own, identifier: own.client.ask(method, f"/containers/{identifier}{action}", **query)


OPERATIONS: dict[str, Callable[[OwnEngine, str], object]] = {
    "create": lambda own, _: own.client.create("true"),
    "run": lambda own, _: own.client.run(*LOOP, host={"PortBindings": {"5000/tcp": [{"HostPort": ""}]}}),
    "run --rm": lambda own, _: own.client.run("sleep", "0.05", host={"AutoRemove": True}),
    "restart policy": lambda own, _: own.client.run("sh", "-c", "exit 3", host={"RestartPolicy": FEW}),
    "exec": execute,
    "attach": attach,
    "cp": archive,
    "stop": call("POST", "/stop", t=5),
    "kill": call("POST", "/kill"),
    "restart": call("POST", "/restart", t=0),
    "pause": call("POST", "/pause"),
    "rm": call("DELETE", "", force=1),
}


def point(own: OwnEngine, rng: random.Random, victims: Callable[[str], list[int]]) -> str:
    """Kills at a random point of a random operation; what it was."""
    name = rng.choice(list(OPERATIONS))
    identifier = own.client.ready(*LOOP)
    targets, delay = victims(identifier), rng.uniform(0, LATEST)

    def operate() -> None:
        with suppress(OSError, AssertionError, ValueError):  # it is broken off
            OPERATIONS[name](own, identifier)

    work = threading.Thread(target=operate)
    work.start()
    time.sleep(delay)
    for pid in targets:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if own.pid in targets:
        assert own.process
        own.process.wait()
        own.start()
    else:
        own.client.ask("DELETE", f"/containers/{identifier}", force=1)  # ends an attach
    work.join(30)
    assert not work.is_alive(), name
    return f"{name} after {delay:.3f} s"


def supervisors(own: OwnEngine, identifier: str) -> list[int]:
    return [pid for pid in children(own.monitor(identifier)) if "launcher" in own.ours().get(pid, "")]


VICTIMS: dict[str, Callable[[OwnEngine, str], list[int]]] = {
    "engine": lambda own, _: [own.pid],
    "launcher": lambda own, _: [own.launcher()],
    "monitor": lambda own, identifier: [own.monitor(identifier)],
    "supervisor": supervisors,
    "engine and monitor": lambda own, identifier: [own.pid, own.monitor(identifier)],
}


@pytest.mark.parametrize("whose", ["monitor", "first process"])
def test_what_waits_for_the_next_container_is_killed(own: OwnEngine, whose: str) -> None:
    for number in range(4):
        assert own.client.wait(own.client.run("sh", "-c", f"exit {number}")) == number
        own.clear()
        if is_supervised(own) and whose == "first process":
            continue
        eventually(lambda: waiting(own, whose), "nobody waits")
        monitors = {*waiting(own, "monitor")}
        for pid in waiting(own, whose):
            os.kill(pid, signal.SIGKILL)
        eventually(partial(no_more, own, monitors), "a monitor outlives its first process")
    whole(own)


def no_more(own: OwnEngine, monitors: set[int]) -> bool:
    return monitors.isdisjoint(waiting(own, "monitor"))


def waiting(own: OwnEngine, whose: str) -> list[int]:
    """What was made ahead: a monitor, or the first process of its container."""
    monitors = children(own.launcher())
    return monitors if whose == "monitor" else [pid for monitor in monitors for pid in children(monitor)]


def is_supervised(own: OwnEngine) -> bool:
    """No process waits in a monitor there."""
    return "supervised" in str(own.environment)


@pytest.mark.slow
@pytest.mark.parametrize("victim", VICTIMS)
def test_killed_at_a_random_point(own: OwnEngine, victim: str) -> None:
    rng = random.Random(f"{victim} {own.uid} {is_supervised(own)}")
    if victim == "supervisor" and not is_supervised(own):
        pytest.skip("there is no supervisor on this rung")
    for _ in range(POINTS.get(victim, 2)):
        what = point(own, rng, lambda identifier: VICTIMS[victim](own, identifier))
        try:
            whole(own)
        except AssertionError as error:
            raise AssertionError(f"{victim} killed at {what}: {error}\n{own.said()[-3000:]}") from error
