"""The engine's process: one for each user, found, started, stopped, and ended by idleness."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dockerlab.engine import control
from dockerlab.engine.home import Home, find
from dockerlab.engine.process import Instance, holder
from dockerlab.errors import DockerlabError, EngineError
from tests.embedded.small_engine import PROGRAM, notes

ROOT = Path(__file__).parents[2]
LAUNCH = control.program(PROGRAM)
SECONDS = 20


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home of its own; whatever engine runs there at the end is killed."""
    monkeypatch.setenv("DOCKERLAB_ENGINE_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("DOCKERLAB_ENGINE_RUNTIME", str(tmp_path / "run"))
    monkeypatch.setenv("DOCKERLAB_ENGINE_IDLE", "600")
    monkeypatch.delenv("SMALL_ENGINE", raising=False)
    found = find(os.environ)
    yield found
    if instance := control.find(found):
        os.kill(instance.pid, signal.SIGKILL)
        eventually(lambda: control.find(found) is None)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def start(home: Home) -> Instance:
    return control.start(home, LAUNCH)[0]


def test_it_is_started_once(home: Home) -> None:
    instance, is_new = control.start(home, LAUNCH)
    assert is_new
    assert instance.host == f"unix://{home.runtime}/engine.sock"
    assert control.start(home, LAUNCH) == (instance, False)
    assert control.find(home) == instance
    assert control.ask(instance.host, "GET", "/_ping") == "OK"


def forked(**keywords: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, "start"], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False, **keywords
    )


def owned(pid: int, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [*PROGRAM, "start", str(pid), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)


def test_a_fork_leaves_it_behind(home: Home) -> None:
    read, write = os.pipe()
    done = forked(pass_fds=[write])  # returns: nothing holds the ends of its pipes
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b"", "the engine holds what its starter had open"
    instance = control.find(home)
    assert instance
    assert (done.stdout, done.stderr) == (f"{instance.pid} True\n", "")
    assert forked().stdout == f"{instance.pid} False\n"
    assert os.getsid(instance.pid) not in (os.getsid(0), 0)
    assert "serving on unix://" in control.log_path(home).read_text()


@pytest.mark.parametrize(("told", "said"), [("broken", "the small engine is broken"), ("crashes", "ZeroDivisionError: unforeseen")])
def test_a_fork_says_why_it_cannot_start(home: Home, monkeypatch: pytest.MonkeyPatch, told: str, said: str) -> None:
    monkeypatch.setenv("SMALL_ENGINE", told)
    done = forked()
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert said in control.log_path(home).read_text()


def test_nobody_else_may_connect(home: Home) -> None:
    start(home)
    assert stat.S_IMODE(home.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.runtime.stat().st_mode) == 0o700


def test_it_outlives_who_started_it_and_does_not_hold_its_directory(home: Home) -> None:
    instance = start(home)
    assert os.getsid(instance.pid) not in (os.getsid(0), 0)
    assert Path(f"/proc/{instance.pid}/cwd").readlink() == Path("/")
    inherited = {Path(f"/proc/{instance.pid}/fd/{number}").readlink().name for number in os.listdir(f"/proc/{instance.pid}/fd")}
    assert not [name for name in inherited if name.startswith("pipe:")]


def test_stop(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_ENGINE", "2")
    start(home)
    said: list[str] = []
    assert control.stop(home, said.append)
    assert said == ["stopping 2 containers: c0, c1"]
    assert notes(home.root) == ["stop", "close"]
    assert not home.socket.exists()
    assert control.find(home) is None
    assert not control.stop(home, said.append)


def test_stop_can_leave_containers(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_ENGINE", "2")
    start(home)
    said: list[str] = []
    assert control.stop(home, said.append, keep_containers=True)
    assert (said, notes(home.root)) == ([], ["close"])


def test_many_starts_at_once_give_one_engine(home: Home) -> None:
    found: list[tuple[Instance, bool]] = []
    threads = [threading.Thread(target=lambda: found.append(control.start(home, LAUNCH))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({instance for instance, _ in found}) == 1
    assert sorted(is_new for _, is_new in found) == [False] * 5 + [True]


def test_a_killed_engine_leaves_nothing_in_the_way(home: Home) -> None:
    first = start(home)
    os.kill(first.pid, signal.SIGKILL)
    eventually(lambda: control.find(home) is None)
    assert home.socket.exists()
    second, is_new = control.start(home, LAUNCH)
    assert is_new
    assert second.pid != first.pid
    assert control.ask(second.host, "GET", "/_ping") == "OK"


def test_it_ends_when_nobody_needs_it(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKERLAB_ENGINE_IDLE", "0.2")
    instance = start(home)
    with socket.socket(socket.AF_UNIX) as client:  # a client that is there, though it asks nothing
        client.connect(str(home.socket))
        client.sendall(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 OK")
        time.sleep(1)
        assert control.find(home) == instance
    eventually(lambda: control.find(home) is None)
    assert notes(home.root) == ["close"]
    assert not list(home.runtime.glob("*.sock*"))


def test_it_does_not_end_while_a_container_runs(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKERLAB_ENGINE_IDLE", "0.1")
    monkeypatch.setenv("SMALL_ENGINE", "1")
    instance = start(home)
    time.sleep(1)
    assert control.find(home) == instance


@pytest.mark.parametrize("has_pidfd", [True, False])
def test_with_an_owner_it_ends_as_that_does_and_leaves_nothing(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_pidfd: bool
) -> None:
    monkeypatch.setenv("DOCKERLAB_ENGINE_IDLE", "0.01")  # which does not count then
    monkeypatch.setenv("SMALL_ENGINE", "" if has_pidfd else "no pidfd")
    folder = home.root.parent
    with subprocess.Popen(["sleep", "600"]) as process:
        done = owned(process.pid, folder)
        assert done.returncode == 0, done.stderr
        instance = control.find(home)
        assert instance
        time.sleep(1)
        assert control.find(home) == instance
        process.kill()  # it is not waited for: a kernel's parent may not care
        eventually(lambda: not folder.exists())
        eventually(lambda: not Path(f"/proc/{instance.pid}").exists())


def test_an_owner_that_has_ended_has_no_engine(home: Home) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    home.create()
    done = owned(ended.pid, home.root.parent)
    assert done.returncode == 1
    assert f"process {ended.pid}, for which the engine is to run, has ended" in done.stderr
    assert not home.root.parent.exists()


def test_an_engine_that_cannot_start_says_why(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_ENGINE", "broken")
    with pytest.raises(EngineError, match="the small engine is broken") as caught:
        start(home)
    assert caught.value.hint == "Mend it."
    assert control.find(home) is None


def test_an_engine_that_crashes_shows_the_end_of_its_log(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_ENGINE", "crashes")
    with pytest.raises(EngineError, match="the engine ended while it started") as caught:
        start(home)
    assert caught.value.evidence[-1] == "ZeroDivisionError: unforeseen"
    assert str(control.log_path(home)) in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DOCKERLAB_ENGINE_IDLE", "soon", "DOCKERLAB_ENGINE_IDLE is no number of seconds: 'soon'"),
        ("DOCKERLAB_ENGINE_RUNTIME", "x" * 120, "too long for sockets: "),
    ],
)
def test_settings_that_cannot_be(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, str(tmp_path / value) if name.endswith("RUNTIME") else value)
    with pytest.raises(DockerlabError, match=said):
        start(find(os.environ))


def test_two_sets_of_data_do_not_share_a_socket(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = start(home)
    monkeypatch.setenv("DOCKERLAB_ENGINE_ROOT", str(tmp_path / "other"))
    with pytest.raises(EngineError, match="an engine with other data serves on") as caught:
        start(find(os.environ))
    assert caught.value.place == (f"process {first.pid}, {home.root}",)


def test_one_set_of_data_has_one_engine(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = start(home)
    monkeypatch.setenv("DOCKERLAB_ENGINE_RUNTIME", str(tmp_path / "elsewhere"))
    assert control.start(find(os.environ), LAUNCH) == (first, False)


def test_looking_for_it_does_not_keep_it_from_starting(home: Home) -> None:
    home.create()
    (home.root / "engine.lock").touch()
    is_over = threading.Event()

    def look() -> None:
        while not is_over.is_set():
            holder(home.root / "engine.lock")
            time.sleep(0.005)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        assert control.start(home, LAUNCH)[1]
    finally:
        is_over.set()
        thread.join()


def test_in_the_foreground_it_is_interrupted(home: Home) -> None:
    serving = subprocess.Popen([*PROGRAM], env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True)
    with serving:
        eventually(home.socket.exists)
        serving.send_signal(signal.SIGINT)
        _, log = serving.communicate(timeout=SECONDS)
    assert serving.returncode == 0
    assert f"serving on unix://{home.socket}" in log
    assert "ending: SIGINT" in log


def test_its_directory_must_be_ours(tmp_path: Path, home: Home) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a directory that belongs to somebody else")
    home.runtime.mkdir()
    os.chown(home.runtime, 12345, 12345)
    with pytest.raises(EngineError, match="belongs to another user"):
        start(home)


def command(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dockerlab.engine", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
        check=False,
    )


def test_the_command_finds_it(home: Home) -> None:
    done = command("status")
    assert (done.returncode, done.stdout) == (3, "")
    assert "No engine runs." in done.stderr
    assert (command("stop").returncode, command("logs").stdout) == (0, "")
    instance = start(home)
    done = command("start")
    assert (done.returncode, done.stdout) == (0, f"DOCKER_HOST={instance.host}\n")
    assert f"runs already (process {instance.pid})" in done.stderr
    assert "serving on unix://" in command("logs", "-n", "1").stdout
    assert command("stop").stderr == "The engine has stopped.\n"
    assert command("status").returncode == 3


def test_the_command_explains_its_errors(home: Home, tmp_path: Path) -> None:
    done = command("frobnicate")
    assert done.returncode == 2
    assert "invalid choice" in done.stderr
    (tmp_path / "file").touch()
    done = command("start", DOCKERLAB_ENGINE_ROOT=str(tmp_path / "file" / "below"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert str(tmp_path / "file" / "below") in done.stderr


def test_the_probe_is_json(home: Home) -> None:
    done = command("probe")
    found = json.loads(done.stdout)
    assert found["root"] == str(home.root)
    assert {"isolation", "rootfs", "findings"} <= found.keys()
