"""Commands added to a running container: `docker exec`.

An exec is created, then started once; it can be inspected for a while after it has ended. It goes with its container's run.
"""

from __future__ import annotations

import base64
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from dockerlab.engine.containers import linking, planning, streams
from dockerlab.engine.containers.body import EXEC
from dockerlab.engine.containers.container import Container
from dockerlab.engine.containers.parts import Parts
from dockerlab.engine.json_shapes import read
from dockerlab.engine.runtime import Running, StartFailed
from dockerlab.errors import Conflict, EngineError, NotFound, UsageError

_KEPT_SECONDS = 300.0  # that an exec is remembered after its end
_BEGIN_SECONDS = 10.0
_KILLED = 137
_ENGINE_FAILED = 125  # not the command's own failure
_FAILED = "OCI runtime exec failed: exec failed: unable to start container process: "


class Exec:
    """asked: the create request's body. exit_code: None until it has ended. begun: set once it runs, or could not."""

    def __init__(self, container: Container, asked: Mapping[str, Any]) -> None:
        self.id = secrets.token_hex(32)
        self.container = container
        self.asked = asked
        self.pid = 0
        self.is_started = False
        self.is_running = False
        self.exit_code: int | None = None
        self.ended_at = 0.0
        self.begun = threading.Event()
        self.ended = threading.Event()

    @property
    def tty(self) -> bool:
        """Whether it has a terminal."""
        return bool(self.asked.get("Tty"))

    @property
    def command(self) -> str:
        """As events have it."""
        program, *arguments = self.asked["Cmd"]
        return f"{program} {' '.join(arguments)}"

    def to_json(self) -> dict[str, Any]:
        """As inspection shows it."""
        program, *arguments = self.asked["Cmd"]
        process = {
            "tty": self.tty,
            "entrypoint": program,
            "arguments": arguments,
            "privileged": bool(self.asked.get("Privileged")),
        }
        user, keys = self.asked.get("User"), self.asked.get("DetachKeys")
        return {
            "ID": self.id,
            "Running": self.is_running,
            "ExitCode": self.exit_code,
            "ProcessConfig": process | ({"user": user} if user else {}),
            "OpenStdin": bool(self.asked.get("AttachStdin")),
            "OpenStderr": bool(self.asked.get("AttachStderr")),
            "OpenStdout": bool(self.asked.get("AttachStdout")),
            "CanRemove": False,
            "ContainerID": self.container.id,
            "DetachKeys": base64.b64encode(streams.parse_keys(keys)).decode() if keys else "",
            "Pid": self.pid,
        }


class Execs:
    """All execs. Thread-safe."""

    def __init__(self, parts: Parts, clock: Callable[[], float] = time.monotonic) -> None:
        self._parts, self._clock = parts, clock
        self._lock = threading.Lock()
        self._execs: dict[str, Exec] = {}

    def create(self, container: Container, asked: Mapping[str, Any], called: str = "") -> Exec:
        """Prepares a command. called: how the client called the container. Raises UsageError, Conflict."""
        asked = read(asked, EXEC)
        _check(asked)
        container.needs_running()
        if container.record.state.status == "paused":
            raise Conflict(f"Container {called or container.id} is paused, unpause the container before exec")
        self._find_user(container, asked.get("User", ""))
        found = Exec(container, asked)
        with self._lock:
            self._sweep()
            self._execs[found.id] = found
        self._emit(found, f"exec_create: {found.command}")
        return found

    def get(self, identifier: str) -> Exec:
        """By its id. Raises NotFound."""
        with self._lock:
            if identifier not in self._execs:
                raise _unknown(identifier)
            return self._execs[identifier]

    def of(self, container: Container) -> list[str]:
        """The ids of a container's execs that run, or will."""
        with self._lock:
            return [one.id for one in self._execs.values() if one.container is container and one.exit_code is None]

    def check(self, found: Exec) -> None:
        """Raises NotFound, as execs go with their container's run, or Conflict where the container is paused."""
        container = found.container
        if container.running is None:
            raise _unknown(found.id)
        if container.record.state.status == "paused":
            raise Conflict(f"Container {container.id} is paused, unpause the container before exec")

    def start(self, found: Exec, *, detach: bool, size: tuple[int, int] | None = None) -> socket.socket:
        """Runs it, once; gives its stream, which is at its end if detached. Raises StartFailed, Conflict."""
        with self._lock:
            if found.is_started:
                how = "is already running" if found.is_running else "has already run"
                raise Conflict(f"exec command {found.id} {how}")
            found.is_started = found.is_running = True
        asked = found.asked
        links = linking.variables(self._parts, found.container)
        process = planning.exec_process(found.container.record, asked, size, links)
        self._emit(found, f"exec_start: {found.command}")
        both = bool(asked.get("AttachStdout")), bool(asked.get("AttachStderr"))
        try:
            running = found.container.needs_running()
            found.pid, stream = _exec(running, found.id, process, detach, *both)
        except (StartFailed, Conflict) as error:
            self._finish(found, error.exit_code if isinstance(error, StartFailed) else _KILLED)
            raise
        finally:
            found.begun.set()
        return stream

    def resize(self, found: Exec, rows: int, columns: int) -> None:
        """Sets the size of its terminal; waits for a start that is on its way. Raises NotFound, EngineError."""
        if not found.begun.wait(_BEGIN_SECONDS):
            raise EngineError("timeout waiting for exec session ready", status=500)
        if not found.is_running:
            raise NotFound(f"NotFound: process does not exist {found.id}: not found")
        with found.container.talking() as running:
            running.resize(rows, columns, found.id)

    def ended(self, identifier: str, exit_code: int) -> None:
        """Told by the monitor. Others than those that were created here (jobs) are not known, and left alone."""
        with self._lock:
            found = self._execs.get(identifier)
        if found is not None and self._finish(found, exit_code):
            self._emit(found, "exec_die", exitCode=str(exit_code))

    def container_ended(self, container: Container) -> None:
        """The container's run is over, and its execs with it. Those that have ended are remembered for who asks how; the others are not,
        as with Docker."""
        with self._lock:
            self._execs = {key: one for key, one in self._execs.items() if one.container is not container or one.is_started}
            left = [one for one in self._execs.values() if one.container is container and one.is_running]
        for one in left:
            self.ended(one.id, _KILLED)

    def forget(self, container: Container) -> None:
        """The container is removed."""
        with self._lock:
            self._execs = {key: one for key, one in self._execs.items() if one.container is not container}

    def forget_one(self, found: Exec) -> None:
        """Nobody will ask for it again: a health check's."""
        with self._lock:
            self._execs.pop(found.id, None)

    def _find_user(self, container: Container, user: str) -> None:
        """Raises EngineError where the container does not know the user; of numbers it need not."""
        if re.fullmatch(r"\d{1,9}(:\d{1,9})?|", user):
            return
        job = self._parts.job(container, "find_user", {"user": user})
        try:
            job.wait()
        finally:
            job.close()

    def _finish(self, found: Exec, exit_code: int) -> bool:
        with self._lock:
            if found.exit_code is not None:
                return False
            found.is_running, found.exit_code, found.ended_at = False, exit_code, self._clock()
        found.begun.set()
        found.ended.set()
        return True

    def _sweep(self) -> None:
        oldest = self._clock() - _KEPT_SECONDS
        self._execs = {key: one for key, one in self._execs.items() if one.exit_code is None or one.ended_at > oldest}

    def _emit(self, found: Exec, action: str, **attributes: str) -> None:
        self._parts.emit(found.container, action, execID=found.id, **attributes)


def _unknown(identifier: str) -> NotFound:
    return NotFound(f"No such exec instance: {identifier}")


def _check(asked: Mapping[str, Any]) -> None:
    if not asked.get("Cmd"):
        raise UsageError("No exec command specified")
    if any("\0" in word for word in (*asked["Cmd"], *asked.get("Env", ()))):
        raise UsageError("invalid command: it holds a NUL")
    for item in asked.get("Env", ()):
        if not item:
            raise UsageError(f"invalid environment variable: {item}")


def _exec(running: Running, identifier: str, process: Any, detach: bool, stdout: bool, stderr: bool) -> tuple[int, socket.socket]:
    gone = Conflict(f"container {running.id} is not running")
    if process.cwd and not process.cwd.startswith("/"):
        raise StartFailed("OCI runtime exec failed: exec failed: Cwd must be an absolute path", 128)
    if any(item.startswith("=") for item in process.env):
        raise StartFailed(f"{_FAILED}invalid environment variable: name cannot be empty", 128)
    try:
        return running.exec(identifier, process, detach=detach, stdout=stdout, stderr=stderr)
    except StartFailed as error:
        if error.exit_code == _ENGINE_FAILED:
            raise gone from error
        raise StartFailed(_FAILED + error.message, error.exit_code) from error
    except (ConnectionError, FileNotFoundError) as error:
        raise gone from error
