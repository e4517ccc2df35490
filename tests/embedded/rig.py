"""Containers without an engine around them: plans, run by the real runtime on the files of the busybox stand-in."""

from __future__ import annotations

import json
import os
import queue
import socket
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dockerlab import standins
from dockerlab.engine.home import Home
from dockerlab.engine.rootfs import Root
from dockerlab.engine.runtime import Running, Runtime
from dockerlab.engine.runtime.plan import Isolation, Network, Plan, Process
from dockerlab.wire.multiplex import Demultiplexer

SECONDS = 20


def unpack_busybox(target: Path) -> None:
    """Puts the files of the busybox stand-in into `target`."""
    with standins.archive("busybox") as archive, tarfile.open(fileobj=archive) as tar:
        layer = tar.extractfile(next(name for name in tar.getnames() if name.endswith("layer.tar")))
        with tarfile.open(fileobj=layer) as files:
            # As an attribute, since the first Python 3.11 do not know it as an argument. These bytes are our own.
            files.extraction_filter = lambda member, path: member
            for member in files:
                files.extract(member, target)


@dataclass
class Ran:
    """What a container said and how it ended."""

    code: int
    out: bytes
    err: bytes


@dataclass
class Rig:
    """A runtime in a directory of its own."""

    home: Home
    lower: Path
    runtime: Runtime
    isolation: Isolation
    plans: list[Plan] = field(default_factory=list)

    def plan(self, *argv: str, network: Network | None = None, **settings: Any) -> Plan:
        """A plan for a command; settings: fields of Process, or of Plan."""
        identifier = os.urandom(32).hex()
        directory = self.home.container(identifier)
        for name in ("upper", "work"):
            (directory / name).mkdir(parents=True)
        ours = {name: settings.pop(name) for name in list(settings) if name in Process.__dataclass_fields__}
        process = Process(argv, **{"env": ("PATH=/bin:/sbin",)} | ours)
        root = Root("overlay", (str(self.lower),), str(directory / "upper"), str(directory / "work"))
        plan = Plan(identifier, str(directory), self.isolation, root, process, **{"hostname": "box"} | settings,
                    network=network or Network("loopback", f"127.99.{os.getpid() % 250}.{len(self.plans) % 250 + 2}"))  # fmt: skip
        self.plans.append(plan)
        return plan

    def run(self, *argv: str, given: bytes | None = None, **settings: Any) -> Ran:
        """Runs a command to its end."""
        with self.started(self.plan(*argv, stdin=given is not None, **settings), stdin=given is not None) as container:
            return container.finish(given)

    @contextmanager
    def started(self, plan: Plan, *, stdin: bool = False, listeners: Sequence[socket.socket] = ()) -> Iterator[Started]:
        """A container that runs; it is killed at the end of the block."""
        events: queue.Queue[dict[str, Any]] = queue.Queue()
        running = self.runtime.monitor(plan, events.put)
        stream = running.attach(stdin=stdin)
        try:
            running.start(listeners)
            yield Started(plan, running, stream, events)
        finally:
            stream.close()
            if running.pid:
                _kill(running)
                Started(plan, running, stream, events).await_event("gone")


@dataclass
class Started:
    """A container that was started."""

    plan: Plan
    running: Running
    stream: socket.socket
    events: queue.Queue[dict[str, Any]]

    def finish(self, given: bytes | None = None) -> Ran:
        """Feeds it, reads it to its end, and waits for it."""
        if given is not None:
            self.stream.sendall(given)
            self.stream.shutdown(socket.SHUT_WR)
        out = self.read()
        return Ran(self.await_event("exit")["code"], out[1], out[2])

    def read(self) -> dict[int, bytes]:
        """All that it still says, by stream."""
        return read_all(self.stream, self.plan.process.tty)

    def await_event(self, kind: str) -> dict[str, Any]:
        """The next event of that kind."""
        while True:
            event = self.events.get(timeout=SECONDS)
            if event["event"] == kind:
                return event

    def exec(self, *argv: str, **settings: Any) -> tuple[str, socket.socket]:
        """Runs a command more; its id and its stream."""
        identifier = os.urandom(8).hex()
        return identifier, self.running.exec(identifier, Process(argv, env=("PATH=/bin:/sbin",), **settings))[1]


def read_all(stream: socket.socket, tty: bool = False) -> dict[int, bytes]:
    """A stream to its end."""
    out = {1: b"", 2: b""}
    frames = Demultiplexer()
    stream.settimeout(SECONDS)
    while data := stream.recv(65536):
        for number, piece in [(1, data)] if tty else frames.feed(data):
            out[number] += piece
    return out


def _kill(running: Running) -> None:
    try:
        running.signal(9)
    except (OSError, json.JSONDecodeError):
        return  # it has ended


@contextmanager
def rig(isolation: Isolation) -> Iterator[Rig]:
    """A rig in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="dl-", ignore_cleanup_errors=True) as folder:
        home = Home(Path(folder, "root"), Path(folder, "run"))
        home.create()
        lower = home.root / "layers" / "busybox"
        lower.mkdir(parents=True)
        unpack_busybox(lower)
        runtime = Runtime(home)
        try:
            yield Rig(home, lower, runtime, isolation)
        finally:
            runtime.close()
