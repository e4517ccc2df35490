"""Health checks of running containers: when they are due, running them, and what comes of it.

One thread for all containers. It hears of starts and ends through the engine's events, runs each check as an exec, and reads their
outputs side by side, so that a check that hangs holds up no other.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dockerlab.engine import healthcheck, timestamps
from dockerlab.engine.events import Event
from dockerlab.engine.healthcheck import Check, Result
from dockerlab.errors import DockerlabError
from dockerlab.wire.multiplex import Demultiplexer

if TYPE_CHECKING:
    from dockerlab.engine.containers.container import Container
    from dockerlab.engine.containers.execs import Exec, Execs
    from dockerlab.engine.containers.parts import Parts

_BEGINS, _ENDS = ("start", "unpause"), ("die", "pause", "destroy")
_SECOND = 1e9
_PIECE = 1 << 16
_EXIT_SECONDS = 5.0  # that an exit code may lag behind the end of the output


@dataclass(eq=False)
class _Run:
    """One run of a check. output: a little more than is kept, so that it shows that there was more."""

    exec: Exec
    stream: socket.socket
    start: int
    frames: Demultiplexer = field(default_factory=Demultiplexer)
    output: bytearray = field(default_factory=bytearray)


@dataclass(eq=False)
class _Watch:
    """A running container with a check. run: the check that runs now."""

    container: Container
    check: Check
    started_at: int
    run: _Run | None = None


class Health:
    """The health checks of all containers. Give `hear` to `Events.listen`, call `restore` once the containers are there."""

    def __init__(self, parts: Parts, execs: Execs) -> None:
        self._parts, self._execs = parts, execs
        self._heard: deque[Event] = deque()
        self._watches: dict[str, _Watch] = {}
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._drain)

    def hear(self, event: Event) -> None:
        """An event of the engine's; from any thread, and never waits."""
        if event.type != "container" or event.action not in (*_BEGINS, *_ENDS):
            return
        container = self._parts.index.find(event.id)
        if container is None or healthcheck.check_of(container.record.config) is None:
            return
        if event.action == "start":
            container.keep_health(healthcheck.starting(container.health))
        elif event.action == "die":
            container.keep_health({**healthcheck.starting(None), **(container.health or {}), "Status": healthcheck.UNHEALTHY})
        self._tell(event)

    def restore(self) -> None:
        """Takes up the containers that run already, with the health that an earlier engine knew: it started them."""
        for container in self._parts.index.all():
            if container.record.state.status == "running" and healthcheck.check_of(container.record.config):
                if container.health is None:
                    container.keep_health(healthcheck.starting(None))
                self._tell(Event("container", "start", container.id))

    def close(self) -> None:
        """Ends the thread; checks that run are left to end by themselves."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
        self._wake()
        if thread:
            thread.join()
        for watch in self._watches.values():
            self._drop(watch)
        self._selector.close()
        self._woken.close()
        self._waker.close()

    # The thread

    def _tell(self, event: Event) -> None:
        with self._lock:
            if self._is_closed:
                return
            self._heard.append(event)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="health checks", daemon=True)
                self._thread.start()
        self._wake()

    def _wake(self) -> None:
        # Full: it is about to wake. Closed: there is nobody to wake.
        with suppress(OSError):
            self._waker.send(b".")

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            self._woken.recv(_PIECE)

    def _work(self) -> None:
        while not self._is_closed:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            for key, _ in self._selector.select(wait):
                if key.fileobj in self._selector.get_map():
                    key.data()
            while self._heard:
                self._take(self._heard.popleft())
            while self._due and self._due[0][0] <= time.monotonic():
                heapq.heappop(self._due)[2]()

    def _later(self, nanoseconds: int, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time.monotonic() + nanoseconds / _SECOND, next(self._numbers), act))

    def _take(self, event: Event) -> None:
        if watch := self._watches.pop(event.id, None):
            self._drop(watch)
        container = self._parts.index.find(event.id)
        if event.action not in _BEGINS or container is None:
            return
        check = healthcheck.check_of(container.record.config)
        state = container.record.state
        if check and state.status == "running":
            watch = _Watch(container, check, timestamps.nanoseconds(state.started_at))
            self._watches[event.id] = watch
            self._next(watch)

    def _next(self, watch: _Watch) -> None:
        health = watch.container.health or healthcheck.starting(None)
        pause = healthcheck.pause_before(health, watch.check, time.time_ns() - watch.started_at)
        self._later(pause, lambda: self._begin(watch))

    def _is_current(self, watch: _Watch) -> bool:
        return self._watches.get(watch.container.id) is watch

    # One check

    def _begin(self, watch: _Watch) -> None:
        if not self._is_current(watch):
            return
        start = time.time_ns()
        asked = {"Cmd": list(watch.check.argv), "AttachStdout": True, "AttachStderr": True}
        try:
            found = self._execs.create(watch.container, asked)
            stream = self._execs.start(found, detach=False)
        except (DockerlabError, OSError) as error:
            text = error.message if isinstance(error, DockerlabError) else str(error)
            self._judge(watch, Result(start, time.time_ns(), -1, text))
            return
        run = watch.run = _Run(found, stream, start)
        stream.setblocking(False)
        self._selector.register(stream, selectors.EVENT_READ, lambda: self._read(watch, run))
        self._later(watch.check.timeout, lambda: self._expire(watch, run))

    def _read(self, watch: _Watch, run: _Run) -> None:
        try:
            data = run.stream.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        for _, payload in run.frames.feed(data):
            run.output += payload[: healthcheck.LONGEST_OUTPUT + 1 - len(run.output)]
        if not data:
            run.exec.ended.wait(_EXIT_SECONDS)
            code = -1 if run.exec.exit_code is None else run.exec.exit_code
            self._drop(watch)
            self._judge(watch, Result(run.start, time.time_ns(), code, healthcheck.clipped(bytes(run.output))))

    def _expire(self, watch: _Watch, run: _Run) -> None:
        if watch.run is not run:
            return
        running = watch.container.running
        if running and run.exec.exit_code is None:
            # It may end at this very moment, or its container.
            with suppress(DockerlabError, OSError):
                running.signal(signal.SIGKILL, run.exec.id)
        output = healthcheck.timed_out(watch.check, bytes(run.output))
        self._drop(watch)
        self._judge(watch, Result(run.start, time.time_ns(), -1, output))

    def _drop(self, watch: _Watch) -> None:
        """Forgets the check that runs."""
        if run := watch.run:
            watch.run = None
            self._selector.unregister(run.stream)
            run.stream.close()
            self._execs.forget_one(run.exec)

    def _judge(self, watch: _Watch, result: Result) -> None:
        container = watch.container
        if not self._is_current(watch) or container.record.state.status != "running":
            return
        before = container.health or healthcheck.starting(None)
        after = healthcheck.judged(before, result, watch.check, watch.started_at)
        container.keep_health(after)
        if after["Status"] != before["Status"]:
            self._parts.emit(container, f"health_status: {after['Status']}")
        self._next(watch)
