"""Start, end, stop, kill, restart, pause: what happens to a container between its creation and its removal.

The end of a run is told by its monitor, in a thread of its own; whatever a client asked for, this is where it takes effect. A container's
lock is held while it is started, and released before anybody waits for its end.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dockerlab.engine import timestamps
from dockerlab.engine.containers import launching, restarting
from dockerlab.engine.containers.container import Container
from dockerlab.engine.containers.execs import Execs
from dockerlab.engine.containers.parts import Parts
from dockerlab.engine.containers.validation import signal_number
from dockerlab.engine.home import read_json
from dockerlab.engine.runtime import StartFailed
from dockerlab.errors import Conflict, DockerlabError, EngineError, UsageError

_LOG = logging.getLogger(__name__)
_KILLED = 137
_NOT_STARTED = 128  # Docker's exit code where the engine is at fault
_STOP_SECONDS = 10
_KILL_SECONDS = 10
_UNCHANGED = 304


class Lifecycle:
    """execs: told of the ends of execs, and of their container's. remove: removes a container that ended by itself and is to go."""

    def __init__(self, parts: Parts, execs: Execs, remove: Callable[[Container], None]) -> None:
        self._parts = parts
        self._execs = execs
        self._remove = remove
        self._closed = False

    # Start

    def start(self, container: Container) -> None:
        """Starts it, as a client asked. Raises EngineError with 304 where it runs already, Conflict, StartFailed."""
        with container.lock:
            state = container.record.state
            if state.status == "running":
                raise EngineError("container already started", status=_UNCHANGED)
            if state.status == "paused":
                raise Conflict("cannot start a paused container, try unpause instead")
            if state.status in ("removing", "dead"):
                raise Conflict("container is marked for removal and cannot be started")
            self._cancel_timer(container)
            container.restart_delay = 0.0
            self._run(container, restart_count=0, manually_stopped=False)

    def _run(self, container: Container, **changes: Any) -> None:
        """The start itself. The lock is held."""
        try:
            self._launch(container, **changes)
        except (DockerlabError, OSError) as error:
            failure = launching.failure(error)
            code = error.exit_code if isinstance(error, StartFailed) and error.exit_code != 125 else _NOT_STARTED
            before = container.record.state.status
            status = "exited" if before == "restarting" else before
            container.update(status=status, pid=0, exit_code=code, error=failure.message)
            container.end_attachments()
            if container.record.removes_itself:
                self._remove(container)
            raise failure from error

    def _launch(self, container: Container, **changes: Any) -> None:
        record, token = container.record, object()
        (container.directory / "exit.json").unlink(missing_ok=True)
        launched = launching.launch(self._parts, container, lambda event: self._hear(container, token, event))
        container.running, container.token = launched.running, token
        state = {"status": "running", "pid": launched.running.pid, "exit_code": 0, "error": "", "oom_killed": False}
        started = launched.running.started_at or timestamps.now()
        changes |= {"ports": launched.ports, "address": launched.address, "interrupted": False, "started_at": started}
        container.update(**state, **changes)
        for point in record.mounts:
            if point.type == "volume":
                self._parts.volumes.mounted(point.name, container.id, point.destination, point.writable)
        self._parts.emit(container, "start")

    # End

    def _hear(self, container: Container, token: object, event: Mapping[str, Any]) -> None:
        """What a monitor tells, in its own thread."""
        if event.get("event") == "exit":
            self._ended(container, token, event)
        elif event.get("event") == "gone":
            self._ended(container, token, _exit_of(container.directory))
        elif event.get("event") == "exec_exit":
            self._execs.ended(str(event["exec"]), int(event["code"]))

    def _ended(self, container: Container, token: object, end: Mapping[str, Any]) -> None:
        with container.lock:
            # An engine that is ending leaves it to the next one, which finds out by itself.
            if self._closed or token is None or container.token is not token:
                return
            container.running = container.token = None
            record = container.record
            code, finished = int(end.get("code", _KILLED)), str(end.get("finished_at") or timestamps.now())
            self._parts.networks.stop(container.id)
            ran = _seconds(record.state.started_at, finished)
            policy = record.host_config.get("RestartPolicy") or {}
            again = restarting.restarts(policy, code, record.restart_count, manually_stopped=record.manually_stopped)
            interrupted, again = again and container.is_interrupted, again and not container.is_interrupted
            oom = bool(end.get("oom"))
            container.update(
                status="restarting" if again else "exited",
                pid=0,
                exit_code=code,
                finished_at=finished,
                oom_killed=oom,
                ports=(),
                address="",
                interrupted=interrupted,
            )
            if again:
                self._restart_later(container, ran)
            is_kept, container.is_kept = container.is_kept, False
        self._execs.container_ended(container)
        for point in record.mounts:
            if point.type == "volume":
                self._parts.volumes.unmounted(point.name, container.id)
        if oom:
            self._parts.emit(container, "oom")
        self._parts.emit(container, "die", exitCode=str(code), execDuration=str(int(ran)))
        with container.lock:
            container.tell("not-running", "next-exit")
        if record.removes_itself and not again and not is_kept:
            self._remove(container)

    def _restart_later(self, container: Container, ran: float) -> None:
        container.restart_delay = restarting.next_delay(container.restart_delay, ran)
        timer = threading.Timer(container.restart_delay, lambda: self._restart_now(container, timer))
        timer.daemon = True
        timer.name = f"restart {container.id[:12]}"
        container.timer = timer
        timer.start()

    def _restart_now(self, container: Container, timer: threading.Timer) -> None:
        with container.lock:
            if container.timer is not timer or self._closed:
                return
            container.timer = None
            try:
                self._run(container, restart_count=container.record.restart_count + 1)
            except DockerlabError as error:
                _LOG.warning("cannot restart %s: %s", container.id[:12], error.message)
                container.tell("not-running", "next-exit")

    def _cancel_timer(self, container: Container) -> None:
        if container.timer is not None:
            container.timer.cancel()
            container.timer = None

    def _give_up_restart(self, container: Container) -> bool:
        """Ends the waiting for a restart. The lock is held. Whether it was waiting."""
        if container.record.state.status != "restarting":
            return False
        self._cancel_timer(container)
        container.update(manually_stopped=True, status="exited")
        container.tell("not-running")
        return True

    # What clients ask for

    def stop(self, container: Container, seconds: int | None = None, by: str = "") -> None:
        """Asks it to end, and kills it after `seconds` (None: its own StopTimeout, or 10; negative: never). by: a signal.

        Raises EngineError with 304 where it does not run.
        """
        if not self._stop(container, seconds, by):
            raise EngineError("container already stopped", status=_UNCHANGED)

    def _stop(self, container: Container, seconds: int | None, by: str) -> bool:
        config = container.record.config
        if seconds is None:
            seconds = config.get("StopTimeout")
            seconds = _STOP_SECONDS if seconds is None else seconds
        with container.lock:
            if self._give_up_restart(container):
                self._parts.emit(container, "stop")
                return True
            if not container.record.state.is_alive:
                return False
            number = signal_number(by or config.get("StopSignal") or "SIGTERM")
            if not container.is_interrupted:
                container.update(manually_stopped=True)
            waiter = container.waiter("next-exit")
            self._send(container, number)
        try:
            if not waiter.wait(None if seconds < 0 else seconds):
                self._kill_and_wait(container)
        finally:
            container.forget(waiter)
        self._parts.emit(container, "stop")
        return True

    def _send(self, container: Container, number: int) -> None:
        """Sends a signal; what was paused goes on, to receive it. The lock is held."""
        running = container.needs_running()
        try:
            running.signal(number)
            self._parts.emit(container, "kill", signal=str(number))
            if container.record.state.status == "paused":
                running.resume()
                container.update(status="running")
                self._parts.emit(container, "unpause")
        except (ConnectionError, FileNotFoundError):
            _LOG.info("container %s ended before signal %d reached it", container.id[:12], number)

    def _kill_and_wait(self, container: Container) -> None:
        with container.lock:
            if not container.record.state.is_alive:
                return
            waiter = container.waiter("next-exit")
            self._send(container, signal.SIGKILL)
        try:
            if not waiter.wait(_KILL_SECONDS):
                raise EngineError(f"cannot kill container {container.id}: it did not end", status=500)
        finally:
            container.forget(waiter)

    def kill(self, container: Container, by: str = "", called: str = "") -> None:
        """Sends a signal, SIGKILL if none is named. called: how the client called it. Raises Conflict, UsageError."""
        prefix = f"cannot kill container: {called or container.id}: "
        try:
            number = signal_number(by or "SIGKILL")
        except UsageError as error:
            raise UsageError(prefix + error.message) from error
        with container.lock:
            if self._give_up_restart(container):
                return
            if not container.record.state.is_alive:
                raise Conflict(f"{prefix}container {container.id} is not running")
            stops = signal_number(container.record.config.get("StopSignal") or "SIGTERM")
            if number in (signal.SIGKILL, stops):
                container.update(manually_stopped=True)
            if number != signal.SIGKILL:
                self._send(container, number)
                return
        # Who kills for certain may count on it: the answer comes when it has ended.
        self._kill_and_wait(container)

    def restart(self, container: Container, seconds: int | None = None, by: str = "") -> None:
        """Stops it if it runs, and starts it."""
        with container.lock:
            container.is_kept = container.record.state.is_alive
        try:
            self._stop(container, seconds, by)
        finally:
            container.is_kept = False
        self.start(container)
        self._parts.emit(container, "restart")

    def pause(self, container: Container) -> None:
        """Stops its processes where they are. Raises Conflict."""
        with container.lock, container.talking() as running:
            if container.record.state.status == "paused":
                raise Conflict(f"Container {container.id} is already paused")
            running.pause()
            container.update(status="paused")
        self._parts.emit(container, "pause")

    def unpause(self, container: Container) -> None:
        """Lets its processes go on. Raises EngineError where it is not paused."""
        with container.lock:
            if container.record.state.status != "paused":
                raise EngineError(f"Container {container.id} is not paused", status=500)
            with container.talking() as running:
                running.resume()
            container.update(status="running")
        self._parts.emit(container, "unpause")

    def resize(self, container: Container, rows: int, columns: int) -> None:
        """Sets the size of its terminal. Raises Conflict where it does not run."""
        with container.talking() as running:
            running.resize(rows, columns)
        self._parts.emit(container, "resize", height=str(rows), width=str(columns))

    def end_now(self, container: Container) -> None:
        """Kills it and waits for its end; one that does not run is left alone. Its policy starts it no more.

        It does not remove itself then: whoever calls this is about to.
        """
        with container.lock:
            if self._give_up_restart(container) or not container.record.state.is_alive:
                return
            container.is_kept = True
            container.update(manually_stopped=True)
        self._kill_and_wait(container)

    # An engine that begins and ends

    def recover(self, container: Container) -> None:
        """Finds again what an earlier engine left: a running container's monitor, or how it ended."""
        record = container.record
        if not record.state.is_alive and self._end_half_started(container):
            return
        if record.state.status == "restarting" or record.interrupted:
            with container.lock:
                container.update(status="restarting", interrupted=False)
                self._restart_later(container, 0.0)
            return
        if not record.state.is_alive:
            return
        token = object()
        with container.lock:
            container.token = token
            running = self._parts.runtime.find(container.id, lambda event: self._hear(container, token, event))
            if running is not None and running.pid:
                container.running = running
                return
        self._ended(container, token, _exit_of(container.directory))

    def _end_half_started(self, container: Container) -> bool:
        """Ends what runs though no engine has written down that it does: its start was broken off. Whether there was such a run."""
        token = object()
        with container.lock:
            running = self._parts.runtime.find(container.id, lambda event: self._hear(container, token, event))
            if running is None or not running.pid:
                return False
            container.running, container.token = running, token
            container.update(status="running", pid=running.pid, started_at=running.started_at)
        self._kill_and_wait(container)
        return True

    def interrupt(self, container: Container, seconds: int) -> None:
        """Stops it because the engine ends: the next one starts it again, if its policy says so."""
        with container.lock:
            container.is_interrupted = True
        try:
            self._stop(container, seconds, "")
        finally:
            container.is_interrupted = False

    def close(self) -> None:
        """The engine ends; containers go on. Those that wait for their restart are started by the next engine."""
        self._closed = True
        for container in self._parts.index.all():
            with container.lock:
                self._cancel_timer(container)


def _exit_of(directory: Path) -> dict[str, Any]:
    """What a monitor that is gone has written last: how its container ended, if it still could."""
    try:
        found: dict[str, Any] = read_json(directory / "exit.json")
    except (FileNotFoundError, ValueError):
        return {"code": _KILLED}
    return found


def _seconds(start: str, end: str) -> float:
    try:
        return max(0.0, (timestamps.nanoseconds(end) - timestamps.nanoseconds(start)) / 1e9)
    except ValueError:
        return 0.0
