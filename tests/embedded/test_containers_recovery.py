"""An engine that ends, and another that takes over: containers live on, or it is known how they ended."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dockerlab.engine import journal
from dockerlab.engine.containers.logs import Options, Reader
from dockerlab.engine.filters import Filters
from dockerlab.engine.home import Home, read_json
from dockerlab.engine.runtime import Runtime
from dockerlab.engine.runtime.plan import Process
from dockerlab.engine.runtime.probe import probe
from dockerlab.errors import DockerlabError
from tests.embedded.containing import Engine, OneStore
from tests.embedded.rig import read_all, unpack_busybox

LOOP = ["sh", "-c", "trap 'echo end; exit 7' TERM; echo begun; while :; do sleep 0.1; done"]


class Life:
    """Engines, one after the other, in one home."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.store = folder, Home(folder / "root", folder / "run"), OneStore()
        self.home.create()
        unpack_busybox(folder / "busybox")
        self.runtime = Runtime(self.home)
        self.engine = self._new()

    def _new(self) -> Engine:
        return Engine(self.home, self.folder / "busybox", self.runtime, self.store)

    def leave(self) -> None:
        self.engine.leave()
        self.runtime.close()

    def come_back(self) -> Engine:
        self.runtime = Runtime(self.home)
        self.engine = self._new()
        return self.engine

    def run(self, command: list[str], **host: object) -> str:
        """A container that is started and, if it is a loop, has begun it."""
        created = self.engine.containers.create({"Image": "busybox", "Cmd": command, "HostConfig": host})
        self.engine.containers.life.start(created.container)
        if command is LOOP and (running := created.container.running):
            reader = Reader(created.container.directory, Options(), running.watch())
            lines = iter(reader)
            assert next(lines) == (1, b"begun\n")
            lines.close()  # type: ignore[attr-defined]  # it is a generator
        return created.container.id


@pytest.fixture
def life() -> Iterator[Life]:
    with tempfile.TemporaryDirectory(prefix="dl-", ignore_cleanup_errors=True) as folder:
        if probe(Path(folder)).isolation != "namespaces":
            pytest.skip("namespaces or overlay mounts are not allowed here")
        life = Life(Path(folder))
        try:
            yield life
        finally:
            life.engine.close()
            life.runtime.close()


def status(engine: Engine, identifier: str) -> tuple[str, int]:
    state = engine.containers.get(identifier).record.state
    return state.status, state.exit_code


def until(engine: Engine, identifier: str, wanted: str) -> None:
    deadline = time.monotonic() + 20
    while engine.containers.get(identifier).record.state.status != wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    assert engine.containers.get(identifier).record.state.status == wanted


def test_a_running_container_is_found_again(life: Life) -> None:
    made = life.run(LOOP, PortBindings={"80/tcp": [{}]})
    before = life.engine.containers.inspect(life.engine.containers.get(made))
    life.leave()
    engine = life.come_back()
    container = engine.containers.get(made)
    after = engine.containers.inspect(container)
    assert after["State"] == before["State"]
    assert after["NetworkSettings"]["Ports"] == before["NetworkSettings"]["Ports"]
    assert (
        after["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] == before["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    )
    run = engine.containers.execs.create(container, {"Cmd": ["echo", "hello"], "AttachStdout": True})
    with engine.containers.execs.start(run, detach=False) as stream:
        assert read_all(stream)[1] == b"hello\n"
    engine.containers.life.stop(container)
    assert status(engine, made) == ("exited", 7)


def test_a_change_that_could_not_be_written_is_written_with_the_next(life: Life) -> None:
    made = life.run(["true"])
    until(life.engine, made, "exited")
    container = life.engine.containers.get(made)
    aside = container.directory.with_name("aside")
    container.directory.rename(aside)
    with container.lock, pytest.raises(FileNotFoundError):
        container.update(name="second")
    aside.rename(container.directory)
    with container.lock:
        container.update(exit_code=9)
    life.leave()
    record = life.come_back().containers.get(made).record
    assert (record.name, record.state.exit_code) == ("second", 9)


def test_the_end_of_a_container_without_an_engine_is_known(life: Life) -> None:
    made = life.run(["sh", "-c", "while [ ! -e /end ]; do sleep 0.02; done; exit 5"])
    directory = life.engine.containers.get(made).directory
    running = life.runtime.find(made)
    assert running
    life.leave()
    with running.watch() as watch:
        watch.settimeout(20)
        running.exec("x", Process(("touch", "/end"), env=("PATH=/bin",)), detach=True)[1].close()
        while watch.recv(100):
            pass
    assert read_json(directory / "exit.json")["code"] == 5
    engine = life.come_back()
    assert status(engine, made) == ("exited", 5)
    assert engine.containers.get(made).record.state.finished_at == read_json(directory / "exit.json")["finished_at"]


def test_a_container_whose_monitor_was_killed_meanwhile_is_reported_dead(life: Life) -> None:
    made = life.run(LOOP)
    life.leave()
    _kill_monitor(life, made)
    engine = life.come_back()
    assert status(engine, made) == ("exited", 137)
    engine.containers.life.start(engine.containers.get(made))
    assert status(engine, made)[0] == "running"


def test_a_monitor_that_is_killed_under_a_running_engine(life: Life) -> None:
    made = life.run(LOOP)
    waiter = life.engine.containers.get(made).waiter("not-running")
    _kill_monitor(life, made)
    assert waiter.wait(20)
    assert status(life.engine, made) == ("exited", 137)


def test_health_is_remembered(life: Life) -> None:
    known = {"Status": "unhealthy", "FailingStreak": 3, "Log": [{"ExitCode": 1, "Output": "no"}]}
    made = life.run(LOOP)
    life.engine.containers.get(made).keep_health(known)
    life.leave()
    container = life.come_back().containers.get(made)
    assert life.engine.containers.inspect(container)["State"]["Health"] == known
    container.keep_health(known | {"Status": "healthy"})
    assert life.engine.containers.listed(Filters())[0]["Status"].endswith("(healthy)")


def test_policies_hold_when_the_engine_comes_back(life: Life) -> None:
    always = life.run(LOOP, RestartPolicy={"Name": "always"})
    stopped = life.run(LOOP, RestartPolicy={"Name": "always"})
    life.engine.containers.life.stop(life.engine.containers.get(stopped))
    life.leave()
    _kill_monitor(life, always)
    engine = life.come_back()
    until(engine, always, "running")
    assert engine.containers.get(always).record.restart_count == 1
    assert status(engine, stopped) == ("exited", 7)


def test_an_engine_that_stops_its_containers_starts_them_again_by_their_policies(life: Life) -> None:
    always, never = life.run(LOOP, RestartPolicy={"Name": "always"}), life.run(LOOP)
    gone = life.run(LOOP, AutoRemove=True)
    life.engine.containers.stop_all(10)
    assert (status(life.engine, always), status(life.engine, never)) == (("exited", 7), ("exited", 7))
    life.leave()
    engine = life.come_back()
    until(engine, always, "running")
    assert status(engine, never) == ("exited", 7)
    assert gone not in {one.id for one in engine.containers.all()}
    engine.containers.life.stop(engine.containers.get(always))
    life.leave()
    assert status(life.come_back(), always) == ("exited", 7)


def test_what_removes_itself_goes_when_the_engine_comes_back(life: Life) -> None:
    made = life.run(LOOP, AutoRemove=True)
    life.leave()
    _kill_monitor(life, made)
    engine = life.come_back()
    assert engine.containers.all() == []
    assert not life.home.container(made).exists()


def test_what_a_crash_left_half_made_or_half_removed_is_cleared(life: Life) -> None:
    kept, going = life.run(["true"]), life.run(["true"])
    until(life.engine, kept, "exited")
    until(life.engine, going, "exited")
    container = life.engine.containers.get(going)
    with container.lock:
        container.update(status="removing")
    life.leave()
    half = life.home.container("f" * 64)
    half.mkdir()
    (half / "upper").mkdir()
    aside = life.home.tmp / f"container-{'e' * 64}"
    (aside / "upper" / "etc").mkdir(parents=True)
    engine = life.come_back()
    assert not aside.exists()
    assert [one.id for one in engine.containers.all()] == [kept]
    assert not half.exists()
    assert not life.home.container(going).exists()


def test_a_record_that_cannot_be_read_stops_nothing(life: Life, caplog: pytest.LogCaptureFixture) -> None:
    made = life.run(["true"])
    until(life.engine, made, "exited")
    life.leave()
    (life.home.container(made) / "record.jsonl").write_text('{"id": ')
    engine = life.come_back()
    assert engine.containers.all() == []
    assert "cannot be read" in caplog.text
    (life.home.container(made) / "record.jsonl").unlink()


def test_a_name_stays_taken(life: Life) -> None:
    life.engine.containers.create({"Image": "busybox"}, "web")
    life.leave()
    with pytest.raises(DockerlabError, match="is already in use"):
        life.come_back().containers.create({"Image": "busybox"}, "web")


def _kill_monitor(life: Life, identifier: str) -> None:
    """Ends a monitor, the parent of the container's process, as a crash does, and waits until it has gone."""
    process = journal.read(life.home.container(identifier) / "record.jsonl")["state"]["pid"]
    monitor = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    assert b"dockerlab.engine.runtime" in Path(f"/proc/{monitor}/cmdline").read_bytes()
    os.kill(monitor, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(FileNotFoundError, ConnectionRefusedError), socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(life.home.monitor_socket(identifier)))
            time.sleep(0.01)
            continue
        return
    raise AssertionError("the monitor lives on")
