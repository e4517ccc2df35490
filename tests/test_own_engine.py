"""Our own engine as its users meet it: `connect()` starts it where no other is, the `dockerlab engine` command looks after it, and
the engines of two users do not get in each other's way.

The first two start an engine, in a home made for the test; it and its containers are gone afterwards.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from dockerlab import client, endpoints, standins
from tests.engine import leftovers
from tests.engines import find

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the engine runs on Linux only")

ROOT = Path(__file__).parents[1]
SECONDS = 60
SERVE = "mkdir /w; echo {} > /w/index.html; exec httpd -f -p 5000 -h /w"

# What a notebook does, in a kernel of its own: the first that asks starts the engine.
KERNEL = """
import json, sys
import dockerlab, dockerlab.standins
from dockerlab.client import connect
client = connect()
print(json.dumps({"url": client.endpoint.url, "source": client.endpoint.source}), flush=True)
dockerlab.standins.prepare("busybox", client=client)
dockerlab.run("busybox", ["sh", "-c", "echo begun; exec sleep 600"], name="lasting", detach=True, client=client)
print("ready", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Place:
    """A user's home in which nothing is, and the environment of a process there."""

    folder: Path
    environ: Mapping[str, str]

    def dockerlab(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs the `dockerlab` command."""
        command = [sys.executable, "-m", "dockerlab.cli", *words]
        return subprocess.run(
            command, env=self.environ, cwd=self.folder, capture_output=True, text=True, timeout=SECONDS, check=False
        )

    def host(self) -> str:
        """Where the engine answers, by `dockerlab engine status`."""
        done = self.dockerlab("engine", "status")
        assert done.returncode == 0, done.stderr
        name, _, url = done.stdout.strip().partition("=")
        assert name == "DOCKER_HOST"
        return url

    def processes(self) -> set[int]:
        """The engine, and what it has left behind: all that was started in this home. What runs in containers is not among them."""
        own = f"HOME={self.environ['HOME']}".encode()
        return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal() and own in _environ(entry)}


def _environ(process: Path) -> list[bytes]:
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is somebody else's
        return []


@pytest.fixture
def place() -> Iterator[Place]:
    # A short path: that of a socket holds 107 bytes.
    with tempfile.TemporaryDirectory(prefix="dl-") as folder:
        runtime = Path(folder, "run")
        runtime.mkdir(mode=0o700)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER", "XDG_"))}
        found = Place(Path(folder), {**kept, "HOME": folder, "XDG_RUNTIME_DIR": str(runtime), "PYTHONPATH": str(ROOT)})
        try:
            yield found
        finally:
            found.dockerlab("engine", "stop")
            for pid in found.processes():
                os.kill(pid, signal.SIGKILL)


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def no_other(place: Place) -> None:
    """Skips where an engine's usual socket is: ours would not be started."""
    there = [endpoint.url for endpoint in endpoints.usual_sockets(place.environ, sys.platform) if endpoint.is_there]
    if there:
        pytest.skip(f"another engine's socket is there: {there[0]}")


def test_connect_starts_it_and_it_outlives_the_kernel(place: Place) -> None:
    no_other(place)
    kernel = subprocess.Popen(
        [sys.executable, "-c", KERNEL],
        env=place.environ,
        cwd=place.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with kernel:
        assert kernel.stdout
        started = json.loads(kernel.stdout.readline())
        assert started == {"url": f"unix://{place.folder}/run/dockerlab/engine.sock", "source": "dockerlab's own engine"}
        assert kernel.stdout.readline() == "ready\n"
        # A kernel that is restarted takes its whole process group with it.
        os.killpg(kernel.pid, signal.SIGKILL)
    assert place.host() == started["url"]
    with closing(docker.DockerClient(started["url"])) as api:
        lasting = api.containers.get("lasting")
        assert (lasting.status, lasting.logs()) == ("running", b"begun\n")
        assert lasting.exec_run("cat /proc/1/cmdline").output == b"sleep\x00600\x00"

    # A crash of the engine is not one of its containers; the next kernel starts another engine, which finds them.
    pid = lasting.attrs["State"]["Pid"]
    os.kill(engine_of(place), signal.SIGKILL)
    again = subprocess.run(
        [sys.executable, "-c", "import dockerlab; print(dockerlab.connect().containers.get('lasting').status)"],
        env=place.environ,
        cwd=place.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (again.stdout, again.returncode) == ("running\n", 0), again.stderr
    with closing(docker.DockerClient(place.host())) as api:
        found = api.containers.get("lasting")
        assert found.attrs["State"]["Pid"] == pid
        found.kill()
        assert found.wait()["StatusCode"] == 137

    done = place.dockerlab("engine", "stop")
    assert (done.returncode, done.stdout) == (0, "")
    eventually(lambda: not place.processes())


def engine_of(place: Place) -> int:
    """The engine's process, from the words of `dockerlab engine status`."""
    said = place.dockerlab("engine", "status").stderr
    return int(said.partition("(process ")[2].partition(",")[0])


def test_the_command_looks_after_it(place: Place) -> None:
    assert place.dockerlab("engine", "status").returncode == 3
    first = place.dockerlab("engine", "start")
    host = f"unix://{place.folder}/run/dockerlab/engine.sock"
    assert (first.stdout, first.returncode) == (f"DOCKER_HOST={host}\n", 0)
    second = place.dockerlab("engine", "start")
    assert second.stdout == first.stdout
    assert "runs already" in second.stderr
    socket = Path(host.removeprefix("unix://"))
    assert (socket.stat().st_mode & 0o777, socket.parent.stat().st_mode & 0o777) == (0o600, 0o700)

    with closing(docker.DockerClient(host)) as api:
        assert api.version()["Platform"]["Name"] == "dockerlab engine"
        with standins.archive("busybox") as archive:
            api.images.load(archive)
        api.containers.run("busybox", ["true"])
        kept = api.containers.run("busybox", ["sleep", "600"], name="kept", detach=True)
        status = place.dockerlab("engine", "status")
        assert status.stdout == first.stdout
        assert "1 of 2 containers run, 1 images" in status.stderr

        df = place.dockerlab("engine", "df")
        assert df.returncode == 0
        rows = {words[0]: words for words in map(str.split, df.stdout.splitlines())}
        assert {"images", "containers", "volumes"} <= rows.keys()
        assert place.dockerlab("engine", "check").returncode == 0
        pruned = place.dockerlab("engine", "prune")
        assert pruned.returncode == 0
        assert [line.split()[:2] for line in pruned.stdout.splitlines()[:4]] == [
            ["containers", "1"],
            ["networks", "0"],
            ["build", "cache"],
            ["images", "0"],
        ]
        assert [found.name for found in api.containers.list(all=True)] == ["kept"]
        assert [image.tags for image in api.images.list()] == [["busybox:latest"]]
        log = place.dockerlab("engine", "logs", "--tail", "5")
        assert log.returncode == 0
        assert 0 < len(log.stdout.splitlines()) <= 5
        kept.remove(force=True)
        assert "images          1 removed" in place.dockerlab("engine", "prune", "--all").stdout

    stopped = place.dockerlab("engine", "stop")
    assert "The engine has stopped." in stopped.stderr
    assert place.dockerlab("engine", "stop").returncode == 0
    assert place.dockerlab("engine", "status").returncode == 3
    assert not socket.exists()
    eventually(lambda: not place.processes())


def test_its_log_can_be_followed_from_one_engine_to_the_next(place: Place) -> None:
    assert "No engine has run here yet" in place.dockerlab("engine", "logs").stderr
    place.dockerlab("engine", "start")
    command = [sys.executable, "-m", "dockerlab.cli", "engine", "logs", "--follow", "--tail", "1"]
    with subprocess.Popen(command, env=place.environ, cwd=place.folder, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout
        try:
            assert "serving on" in follower.stdout.readline()
            place.dockerlab("engine", "stop")
            assert "stopping 0 containers" in follower.stdout.readline()
            assert "ending: SIGUSR1" in follower.stdout.readline()
            log = place.folder / ".local/share/dockerlab/engine/engine.log"
            log.replace(log.with_suffix(".log.1"))  # as a start does with one that has grown
            place.dockerlab("engine", "start")
            assert "serving on" in follower.stdout.readline()
        finally:
            follower.send_signal(signal.SIGINT)
    assert follower.returncode == 130


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["start", "now"], "unrecognized arguments: now"),
        (["logs", "-n", "-3"], "-n/--tail"),
        (["logs", "-n", "all"], "not a number of lines: 'all'"),
        (["frobnicate"], "invalid choice: 'frobnicate'"),
    ],
)
def test_wrong_words(place: Place, words: list[str], said: str) -> None:
    done = place.dockerlab("engine", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_without_a_verb_the_verbs_are_shown(place: Place) -> None:
    done = place.dockerlab("engine")
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("start", "logs", "prune", "DOCKERLAB_ENGINE_ROOT"))


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"HOME": "/proc"}, "cannot make /proc/.local/share/dockerlab/engine: No such file or directory"),
        ({"DOCKERLAB_ENGINE_ROOT": "/dev/null"}, "cannot make /dev/null: File exists"),
        ({"DOCKERLAB_ENGINE_IDLE": "-1"}, "DOCKERLAB_ENGINE_IDLE is no number of seconds: '-1'"),
        ({"DOCKERLAB_ENGINE_IDLE": "nan"}, "DOCKERLAB_ENGINE_IDLE is no number of seconds: 'nan'"),
        ({"DOCKERLAB_ENGINE_ISOLATION": "none"}, "DOCKERLAB_ENGINE_ISOLATION knows 'supervised' alone: 'none'"),
    ],
)
def test_what_it_cannot_start_with_is_named(place: Place, variables: dict[str, str], said: str) -> None:
    done = Place(place.folder, {**place.environ, **variables}).dockerlab("engine", "start")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{said}\n")
    assert "Traceback" not in done.stderr
    assert not place.processes()


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can give a directory away")
def test_a_directory_that_somebody_else_has_made_in_its_place_is_told(place: Place) -> None:
    no_other(place)
    runtime = place.folder / "run" / "dockerlab"
    runtime.mkdir()
    os.chown(runtime, 12345, 12345)
    done = subprocess.run(
        [sys.executable, "-c", "import dockerlab; dockerlab.connect()"],
        env=place.environ,
        cwd=place.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"NoEngine: dockerlab's own engine does not start: {runtime} belongs to another user" in done.stderr
    assert "DOCKERLAB_ENGINE_RUNTIME" in done.stderr


def test_stop_ends_its_containers(place: Place) -> None:
    host = place.dockerlab("engine", "start").stdout.strip().partition("=")[2]
    with closing(docker.DockerClient(host)) as api:
        with standins.archive("busybox") as archive:
            api.images.load(archive)
        api.containers.run("busybox", ["sh", "-c", "trap 'echo bye; exit 3' TERM; sleep 600 & wait"], name="one", detach=True)
    stopped = place.dockerlab("engine", "stop")
    assert "stopping 1 container: one" in stopped.stderr
    eventually(lambda: not place.processes())
    # What it was is there when the next one starts.
    assert place.dockerlab("engine", "start").stdout == f"DOCKER_HOST={host}\n"
    with closing(docker.DockerClient(host)) as api:
        one = api.containers.get("one")
        assert (one.status, one.attrs["State"]["ExitCode"], one.logs()) == ("exited", 3, b"bye\n")


def test_the_engines_of_several_users_publish_side_by_side() -> None:
    """Two containers on each, all listening on one port. The users are those that `make engines` started ours for."""
    with ExitStack() as stack:
        clients = [stack.enter_context(engine.configured()) for engine in find(os.environ)]
        ours = [api for api in clients if is_ours(api) and api.endpoint.is_local]
        if len(ours) < 2:
            pytest.skip("it takes two of our own engines: make engines")
        prefix = leftovers.prefix()
        for api in ours:
            standins.prepare("busybox", client=api)
            stack.callback(leftovers.remove, api, prefix)
        serving: dict[str, Container] = {}
        for number, api in enumerate(ours):
            for which in "ab":
                name = f"{prefix}{number}{which}"
                command = ["sh", "-c", SERVE.format(name)]
                serving[name] = api.containers.run("busybox", command, name=name, detach=True, ports={"5000/tcp": None})
        urls = {name: url_of(container) for name, container in serving.items()}
        assert len(set(urls.values())) == len(serving)
        for name, url in urls.items():
            assert page(url) == f"{name}\n"


def is_ours(api: client.Client) -> bool:
    platform: Any = api.version().get("Platform", {})
    return bool(platform.get("Name") == "dockerlab engine")


def url_of(container: Container) -> str:
    container.reload()
    binding = (container.ports["5000/tcp"] or [])[0]
    return f"http://127.0.0.1:{binding['HostPort']}/"


def page(url: str) -> str:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return str(answer.read().decode())
        except OSError:  # it does not listen yet
            assert time.monotonic() < deadline
            time.sleep(0.1)
