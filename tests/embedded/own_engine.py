"""The real engine as a process, with a home of its own, for tests that fill its disk, kill it, or send it what nobody should."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dockerlab.engine import control
from dockerlab.engine.core import snapshots_of
from dockerlab.engine.home import Home
from dockerlab.engine.store import Store
from tests.embedded.containing import Client

SECONDS = 30
_LAUNCH = control.program((sys.executable, "-P", "-m", "dockerlab.engine", "serve"))


class OwnEngine:
    """An engine that may be killed and started again."""

    def __init__(self, home: Home, isolation: str) -> None:
        self.home, self.isolation = home, isolation
        self.client = Client(home.socket)

    def start(self) -> None:
        """Starts it, unless it runs."""
        settings = {"ROOT": str(self.home.root), "RUNTIME": str(self.home.runtime), "IDLE": "0", "ISOLATION": self.isolation}
        before = dict(os.environ)
        os.environ.update({f"DOCKERLAB_ENGINE_{name}": value for name, value in settings.items() if value})
        try:
            control.start(self.home, _LAUNCH)
        finally:
            os.environ.clear()
            os.environ.update(before)

    def kill(self) -> None:
        """Kills it, if it runs."""
        if instance := control.find(self.home):
            os.kill(instance.pid, signal.SIGKILL)
            eventually(lambda: control.find(self.home) is None)

    def store(self) -> Store:
        """Its store, from outside."""
        return Store(self.home, snapshots_of(self.home, "tree" if self.isolation == "supervised" else "overlay"))

    def leftovers(self) -> list[str]:
        """Half-written files."""
        return [*os.listdir(self.home.tmp), *(path.name for path in self.home.root.glob(".*.json.*"))]


@contextmanager
def own_engine(isolation: str = "", root: Path | None = None) -> Iterator[OwnEngine]:
    """One that runs; at the end it is gone. root: where its data goes."""
    with tempfile.TemporaryDirectory(prefix="dl-") as folder:
        engine = OwnEngine(Home(root or Path(folder, "root"), Path(folder, "run")), isolation)
        engine.start()
        try:
            yield engine
        finally:
            engine.kill()


def eventually(condition: Callable[[], object]) -> None:
    """Waits for it."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
