"""Whole engines as processes of their own, on each rung that this machine has: for tests that kill them, flood them, starve them.

    with engine(rung, folder) as own:         rung: "root", "user" (user namespaces), "supervised"
        own.client.run("true")                as in `containing`
        own.kill(own.pid); own.start()        another engine in the same home
    own.leftovers()                           what lives on that should not

What runs in its containers is found by a mark in the environment, wherever it has gone.
"""

from __future__ import annotations

import atexit
import compileall
import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import dockerlab
from dockerlab import standins
from dockerlab.engine.home import Home
from tests.embedded.containing import Client

SOMEBODY = 1000
RUNGS = ("root", "user", "supervised")
SECONDS = 30.0
_NEEDED = ("anyio", "certifi", "h11", "h2", "hpack", "httpcore", "httpx", "hyperframe", "idna", "typing_extensions", "zstandard")


def eventually(condition: Callable[[], object], why: str = "") -> None:
    """Waits until it is so."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, why or "it did not come to be so"
        time.sleep(0.01)


class MarkedClient(Client):
    """Its containers can be told from all others."""

    def __init__(self, path: Path, mark: str) -> None:
        super().__init__(path)
        self._mark = mark

    def create(self, *command: str, name: str = "", host: dict[str, Any] | None = None, **config: Any) -> str:
        return super().create(*command, name=name, host=host, Env=[self._mark], **config)


@dataclass
class OwnEngine:
    """environment, python, uid: of its process. log: what it and its monitors say."""

    home: Home
    uid: int
    python: str
    environment: Mapping[str, str]
    log: Path
    mark: str
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def client(self) -> MarkedClient:
        return MarkedClient(self.home.socket, self.mark)

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command("serve"), env=self.environment, cwd="/", stdin=subprocess.DEVNULL, stderr=log, **self._identity
            )
        eventually(self._answers, "the engine does not start")

    def _command(self, verb: str) -> list[str]:
        return [self.python, "-P", "-m", "dockerlab.engine", verb]

    @property
    def _identity(self) -> dict[str, Any]:
        return {} if self.uid == os.getuid() else {"user": self.uid, "group": self.uid, "extra_groups": []}

    def check(self) -> str:
        """What is wrong with what it keeps, as `dockerlab engine check` says it; "" for nothing."""
        done = subprocess.run(
            self._command("check"), env=self.environment, cwd="/", capture_output=True, text=True, check=False, **self._identity
        )
        return "" if done.returncode == 0 else done.stdout + done.stderr

    def _answers(self) -> bool:
        assert self.process
        assert self.process.poll() is None, self.said()
        with suppress(FileNotFoundError, ConnectionError):
            return self.client.ask("GET", "/_ping").status == 200
        return False

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """As a crash ends it."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def revive(self) -> None:
        """Starts it where it does not run."""
        assert self.process
        if self.process.poll() is not None:
            self.start()

    def stop(self) -> None:
        """Ends it, and lets its containers go on."""
        assert self.process
        self.process.terminate()
        assert self.process.wait(SECONDS) == 0, self.said()

    # Its processes

    def ours(self) -> dict[int, str]:
        """The processes of the engine, and those of its containers, with what they are."""
        runtime = f"DOCKERLAB_ENGINE_RUNTIME={self.home.runtime}".encode()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended
                said = (folder / "environ").read_bytes().split(b"\0")
                if runtime in said or self.mark.encode() in said:
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        found.pop(os.getpid(), None)
        return found

    def launcher(self) -> int:
        """The process that forks monitors."""
        eventually(self._launchers, "there is no launcher")
        return self._launchers()[0]

    def _launchers(self) -> list[int]:
        return [pid for pid, said in self.ours().items() if "runtime.launcher" in said and parent(pid) == self.pid]

    def monitor(self, identifier: str) -> int:
        """The process that a running container belongs to."""
        ancestor = int(self.client.inspect(identifier)["State"]["Pid"])
        while ancestor > 1 and not _serves(ancestor, self.home.monitor_socket(identifier)):
            ancestor = parent(ancestor)
        return ancestor

    def counts(self) -> tuple[int, int]:
        """Open descriptors, and threads, of the engine's process."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir())), len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    # What is left

    def clear(self) -> None:
        """Removes all containers."""
        for one in self.client.get("/containers/json", all=1):
            reply = self.client.ask("DELETE", f"/containers/{one['Id']}", force=1, v=1)
            assert reply.status in (204, 404, 409), reply.body  # 409: it removes itself at this moment
        eventually(lambda: not self.client.get("/containers/json", all=1), "a container is not removed")

    def files(self) -> set[Path]:
        """All that its state consists of, folders too. What is removed meanwhile may be missing."""
        return {Path(folder, name) for folder, folders, files in os.walk(self.home.root) for name in (*folders, *files)}

    def half_written(self) -> list[Path]:
        """Documents that were to take the place of another."""
        return [path for path in self.files() if fnmatch(path.name, ".*.json*.*")]

    def leftovers(self) -> list[str]:
        """What containers have left behind, in an engine that has none."""
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
        files = [*self.home.monitors.iterdir(), *self.home.tmp.iterdir(), *self.home.containers.iterdir()]
        files += self.half_written()
        monitors = [pid for launcher in self._launchers() for pid in children(launcher)]
        waiting = {self.pid, *self._launchers(), *monitors, *(pid for monitor in monitors for pid in children(monitor))}
        processes = [f"{pid}: {said}" for pid, said in self.ours().items() if pid not in waiting]
        return [*map(str, files), *processes, *(["a mount"] if f"{self.home.root}/" in mounts else [])]


def resident(pid: int) -> int:
    """Megabytes of memory."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def parent(pid: int) -> int:
    """0 where it has ended."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    return 0


def children(pid: int) -> list[int]:
    with suppress(OSError):  # it has ended
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]
    return []


def _serves(pid: int, path: Path) -> bool:
    """Whether a process has the socket of that name open."""
    inodes = {
        line.split()[6] for line in Path("/proc/net/unix").read_text(encoding="utf-8").splitlines() if line.endswith(f" {path}")
    }
    with suppress(OSError):  # it has ended
        return any(f"socket:[{inode}]" == os.readlink(link) for inode in inodes for link in Path(f"/proc/{pid}/fd").iterdir())
    return False


@contextmanager
def engine(rung: str, root: Path | None = None, **more: str) -> Iterator[OwnEngine]:
    """An engine with the busybox image; in the end nothing of it runs on. root: where its data goes. more: of its environment.

    Skips where there is no such rung.
    """
    uid = os.getuid() if rung == "root" or os.getuid() else SOMEBODY
    if rung == "root" and uid:
        pytest.skip("this user is not root")
    with tempfile.TemporaryDirectory(prefix="dl-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        python, path = _interpreter(uid)
        home = Home(root or folder / "root", folder / "run")
        for place in (home.root, home.runtime):
            place.mkdir()
            os.chown(place, uid, uid)
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "DOCKERLAB_ENGINE_IDLE": "0"}
        environment |= {"HOME": name, "DOCKERLAB_ENGINE_ROOT": str(home.root), "DOCKERLAB_ENGINE_RUNTIME": str(home.runtime)}
        environment |= {"DOCKERLAB_ENGINE_ISOLATION": "supervised"} if rung == "supervised" else {}
        own = OwnEngine(home, uid, python, environment | more, folder / "log", f"MARK={os.urandom(8).hex()}")
        try:
            own.start()
            with standins.archive("busybox") as archive:
                assert own.client.ask("POST", "/images/load", archive.read()).status == 200
            wanted = "supervised" if rung == "supervised" else "namespaces"
            if ["Isolation", wanted] not in (status := own.client.get("/info")["DriverStatus"]):
                pytest.skip(f"there are no such containers here: {status}")
            yield own
        finally:
            for pid in own.ours():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if own.process:
                own.process.kill()
                own.process.wait()
            eventually(lambda: not own.ours())


def _interpreter(uid: int) -> tuple[str, str]:
    """A Python that this user may run, and where it finds the engine: this one if it may, else the system's with copies of the files."""
    if uid == os.getuid():
        return sys.executable, str(Path(dockerlab.__file__).parents[1])
    found = shutil.which("python3", path="/usr/bin")
    version = "import sys; print(sys.implementation.cache_tag)"
    if (
        not found
        or subprocess.run([found, "-c", version], capture_output=True, text=True, check=True).stdout.strip()
        != sys.implementation.cache_tag
    ):
        pytest.skip("no Python of this version that every user may run")
    return found, str(_copies())


@cache
def _copies() -> Path:
    """The engine's files and what it needs, compiled as in an installation, for all engines of a run. Nobody but us may write there."""
    site = Path(tempfile.mkdtemp(prefix="dl-site-"))
    atexit.register(_remove, site, os.getpid())
    shutil.copytree(Path(dockerlab.__file__).parent, site / "dockerlab", ignore=shutil.ignore_patterns("__pycache__", "static"))
    for name in _NEEDED:
        for file in importlib.metadata.files(name) or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), site / file)
    compileall.compile_dir(site, quiet=2)
    subprocess.run(["chmod", "-R", "a+rX", str(site)], check=True)
    return site


def _remove(folder: Path, pid: int) -> None:
    if os.getpid() == pid:  # no process that was forked off meanwhile
        shutil.rmtree(folder)
