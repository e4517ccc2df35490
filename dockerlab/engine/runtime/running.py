"""The engine's side of one monitor: a running container, and jobs inside it.

Every call is a connection of its own to the monitor's socket, so that they may come from any thread.
"""

from __future__ import annotations

import json
import os
import socket
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from dockerlab.engine.runtime import lines
from dockerlab.engine.runtime.forwarding import Traffic
from dockerlab.engine.runtime.plan import Limits, Plan, Process
from dockerlab.engine.workers import Workers
from dockerlab.errors import EngineError

OnEvent = Callable[[dict[str, Any]], None]
_HEADER = 8


class StartFailed(EngineError):
    """A command that could not be started. exit_code: what `docker run` ends with: 126 or 127, or 125 where the engine is at fault."""

    status = 400

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Running:
    """A container's monitor. control: the connection to one that has not been asked to start its container yet.

    on_event: called from a thread of `workers` with what the monitor tells, and at last {"event": "gone"}.
    """

    def __init__(
        self, identifier: str, path: Path, workers: Workers, on_event: OnEvent | None, control: socket.socket | None = None
    ) -> None:
        self.id = identifier
        self._workers = workers
        self._path = path
        self._on_event = on_event
        self._control = control
        self._is_served = control is None
        self.pid = 0
        self.started_at = ""

    def start(self, listeners: Sequence[socket.socket]) -> None:
        """Runs the container's command. listeners: one for each of the plan's ports; they belong to the monitor then.

        Raises StartFailed, OSError where the monitor was killed.
        """
        control = self._control
        assert control
        try:
            # Asked at once: the answer to what it was asked before comes first.
            lines.send(control, {"op": "start"}, [listener.fileno() for listener in listeners])
            self._await_socket()
            self._take(_checked(lines.receive(control)))
        except BaseException:
            self.close()
            raise
        self._control = None
        self._follow(control)

    def close(self) -> None:
        """Gives up a container that has not been started; twice is fine."""
        if self._control:
            self._control.close()
            self._control = None

    def attach(self, *, stdin: bool = False, stdout: bool = True, stderr: bool = True) -> socket.socket:
        """A stream of the container: framed output, unless it has a terminal; what is sent is input."""
        self._await_socket()
        return self._request({"op": "attach", "stdin": stdin, "stdout": stdout, "stderr": stderr})[0]

    def exec(
        self, identifier: str, process: Process, *, detach: bool = False, stdout: bool = True, stderr: bool = True
    ) -> tuple[int, socket.socket]:
        """Runs a command more; its pid on the host, and its stream. Raises StartFailed."""
        request = {"op": "exec", "exec": identifier, "process": process, "detach": detach, "stdin": process.stdin}
        request |= {"stdout": stdout, "stderr": stderr}
        connection, answer = self._request(request)
        return int(answer["pid"]), connection

    def job(self, name: str, arguments: Mapping[str, Any]) -> Job:
        """Runs a function of `jobs` inside the container's root."""
        process = Process(argv=(name,), stdin=True, job=name, arguments=arguments, user="0:0")
        return Job(self.exec(os.urandom(16).hex(), process)[1])

    def watch(self) -> socket.socket:
        """A connection that gets a byte whenever the log has grown, and ends with the container."""
        return self._request({"op": "watch"})[0]

    def signal(self, number: int, exec_id: str | None = None) -> None:
        """Sends a signal to the container's process, or to an added one."""
        self._request({"op": "signal", "signal": number, "exec": exec_id})[0].close()

    def resize(self, rows: int, columns: int, exec_id: str | None = None) -> None:
        """Sets the size of a terminal."""
        self._request({"op": "resize", "rows": rows, "columns": columns, "exec": exec_id})[0].close()

    def update(self, limits: Limits) -> None:
        """Other limits. Raises EngineError where they cannot be enforced on what runs."""
        self._request({"op": "update", "limits": limits})[0].close()

    def pause(self) -> None:
        """Stops all processes."""
        self._request({"op": "pause"})[0].close()

    def resume(self) -> None:
        """Lets them go on."""
        self._request({"op": "resume"})[0].close()

    def pids(self) -> list[int]:
        """The host's numbers of all processes of the container; none where it has ended."""
        return self.measured()[0]

    def measured(self) -> tuple[list[int], Traffic]:
        """As `pids`, and what came and went by its published ports."""
        try:
            connection, state = self._request({"op": "state"})
        except OSError:
            return [], Traffic()
        connection.close()
        return [int(pid) for pid in state["pids"]], Traffic(*state["traffic"])

    def _take(self, state: Mapping[str, Any]) -> None:
        self.pid = int(state.get("pid") or 0)
        self.started_at = str(state.get("started_at", ""))

    def _await_socket(self) -> None:
        if self._control and not self._is_served:
            _checked(lines.receive(self._control))
            self._is_served = True

    def _request(self, request: Mapping[str, Any]) -> tuple[socket.socket, dict[str, Any]]:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(self._path))
            lines.send(connection, request)
            return connection, _checked(lines.receive(connection))
        except BaseException:
            connection.close()
            raise

    def _follow(self, connection: socket.socket) -> None:
        """Hears what the monitor tells on a connection, if that interests anybody."""
        if self._on_event:
            self._workers.run(partial(_hear, connection, self._on_event))
        else:
            connection.close()


def begin(plan: Plan, path: Path, control: socket.socket, workers: Workers, on_event: OnEvent | None) -> Running:
    """Tells a new monitor, at the other end of `control`, which container is its own. Raises OSError where it was killed."""
    lines.send(control, {"plan": plan, "socket": str(path)})
    return Running(plan.id, path, workers, on_event, control)


def find(identifier: str, path: Path, workers: Workers, on_event: OnEvent | None) -> Running:
    """A monitor that an earlier engine left. Raises ConnectionError, FileNotFoundError where it is gone."""
    running = Running(identifier, path, workers, on_event)
    connection, state = running._request({"op": "events"})
    running._take(state)
    running._follow(connection)
    return running


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        raise StartFailed(answer["error"], int(answer.get("exit_code", 125)))
    return answer


def _hear(connection: socket.socket, on_event: OnEvent) -> None:
    with connection, connection.makefile("rb") as said, suppress(OSError):  # the monitor was killed
        for line in said:
            on_event(json.loads(line))
    on_event({"event": "gone"})


class Job:
    """A function of ours at work inside a container. stdin: a socket to send to; shut its writing side down to end the input."""

    def __init__(self, stream: socket.socket) -> None:
        self.stdin = stream
        self._result = bytearray()
        self._end: weakref.finalize[..., Job] | None = None
        self._chunks = self._read()

    def chunks(self) -> Iterator[bytes]:
        """What comes out of it, as it comes."""
        return self._chunks

    def wait(self) -> dict[str, Any]:
        """What came of it. Raises EngineError with the status that the job says."""
        with suppress(OSError):
            self.stdin.shutdown(socket.SHUT_WR)
        for _ in self._chunks:
            pass
        self.stdin.close()
        result: dict[str, Any] = json.loads(self._result or b'{"error": "the job ended without a word", "status": 500}')
        if "error" in result:
            raise EngineError(str(result["error"]), status=int(result.get("status", 500)))
        return result

    def cancel(self) -> None:
        """Ends it, wherever it is, from another thread: what it still says is not heard."""
        with suppress(OSError):  # closed already
            self.stdin.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends it, wherever it is."""
        self.stdin.close()
        if self._end:
            self._end()

    def afterwards(self, work: Callable[[], object]) -> None:
        """Has `work` called once it is closed, or nobody has it any more."""
        self._end = weakref.finalize(self, work)
        self._end.atexit = False

    def _read(self) -> Iterator[bytes]:
        buffer = b""
        while data := self._receive():
            buffer += data
            while len(buffer) >= _HEADER and len(buffer) >= _HEADER + (size := int.from_bytes(buffer[4:_HEADER], "big")):
                stream, payload = buffer[0], buffer[_HEADER : _HEADER + size]
                buffer = buffer[_HEADER + size :]
                if stream == 1:
                    yield payload
                else:
                    self._result += payload

    def _receive(self) -> bytes:
        try:
            return self.stdin.recv(1 << 18)
        except ConnectionResetError:
            return b""  # the job ended without having read all its input
