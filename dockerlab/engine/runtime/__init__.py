"""Running containers: the engine's side of launcher and monitors.

    runtime = Runtime(home)
    running = runtime.monitor(plan, on_event)     a monitor, nothing runs yet; attach now to miss nothing
    running.start(listeners)                      raises StartFailed
    runtime.find(id, on_event)                    a monitor that an earlier engine left
    runtime.job(plan, "archive_get", {...})       a function of `jobs` inside a root that nothing runs in

Every call is a connection of its own to the monitor's socket, so that they may come from any thread.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from dockerlab.engine.home import Home, write_json
from dockerlab.engine.runtime import probe
from dockerlab.engine.runtime.plan import Limits, Network, Plan, Process
from dockerlab.engine.runtime.probe import Capabilities
from dockerlab.errors import EngineError

OnEvent = Callable[[dict[str, Any]], None]
_LONGEST = 1 << 20
_HEADER = 8
_PEEKED = 4096


class StartFailed(EngineError):
    """A command that could not be started. exit_code: what `docker run` ends with: 126 or 127, or 125 where the engine is at fault."""

    status = 400

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Runtime:
    """home: the engine's. Nothing is started before it is needed."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._launcher: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @cached_property
    def capabilities(self) -> Capabilities:
        """What containers get on this machine; probed once: here as long as there is one thread, since it forks, else in a process."""
        if threading.active_count() == 1:
            return probe.probe(self._home.root)
        command = [sys.executable, "-P", "-c", f"from {probe.__name__} import main; main()", str(self._home.root)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EngineError(f"the probe of this machine failed: {done.stderr.strip()}")
        return Capabilities(**json.loads(done.stdout))

    def monitor(self, plan: Plan, on_event: OnEvent | None = None) -> Running:
        """Forks a monitor for `plan`. on_event: called from a thread of its own with what the monitor tells, and at last {"event": "gone"}.

        Raises EngineError where no container can run on this machine.
        """
        if not self.capabilities.isolation:
            reasons = [f"{name}: {text}" for name, text in self.capabilities.findings.items() if text]
            raise EngineError(
                "no container can run on this machine: neither namespaces nor a supervisor work (" + "; ".join(reasons) + ")",
                hint="`dockerlab doctor` says what is missing.",
            )
        path = Path(plan.directory, f"plan-{plan.id[:16]}.json")
        write_json(path, plan.to_json())
        try:
            self._ask({"plan": str(path), "socket": str(self._home.monitor_socket(plan.id))})
            return Running(plan.id, self._home.monitor_socket(plan.id), on_event)
        finally:
            if plan.process.job:
                path.unlink()

    def find(self, identifier: str, on_event: OnEvent | None = None) -> Running | None:
        """The monitor of a container that an earlier engine started, or None where it is gone."""
        with suppress(ConnectionError, FileNotFoundError):
            return Running(identifier, self._home.monitor_socket(identifier), on_event)
        return None

    def job(self, plan: Plan, name: str, arguments: Mapping[str, Any]) -> Job:
        """Runs a function of `jobs` inside the root of a container that does not run. plan: the container's."""
        identifier = os.urandom(32).hex()
        process = Process(argv=(name,), stdin=True, job=name, arguments=arguments)
        plain = replace(
            plan,
            id=identifier,
            process=process,
            network=Network("host"),
            ports=(),
            limits=Limits(),
            log=False,
            init=False,
            readonly=False,
            stdin_once=True,
        )
        running = self.monitor(plain)
        stream = running.attach(stdin=True)
        running.start(())
        return Job(stream)

    def close(self) -> None:
        """Ends the launcher; monitors go on."""
        with self._lock:
            if self._launcher and self._control:
                self._control.close()
                self._launcher.wait()
                self._launcher = self._control = None

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            if self._launcher is None or self._launcher.poll() is not None:
                self._start_launcher()
            assert self._control
            self._control.send(json.dumps(request).encode())
            answer: dict[str, Any] = json.loads(self._control.recv(_LONGEST) or b'{"error": "the launcher has ended"}')
        if "error" in answer:
            raise EngineError(f"cannot make a container's monitor: {answer['error']}")
        return answer

    def _start_launcher(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-P", "-m", "dockerlab.engine.runtime.launcher", json.dumps(asdict(self.capabilities.abilities))]
        with theirs:
            self._launcher = subprocess.Popen(command, stdin=theirs.fileno(), start_new_session=True, cwd="/")
        if self._control:
            self._control.close()
        self._control = ours

    def warm(self) -> None:
        """Starts the launcher before it is asked for the first container."""
        if self.capabilities.isolation:
            with self._lock:
                if self._launcher is None:
                    self._start_launcher()


class Running:
    """A container's monitor. Raises ConnectionError, FileNotFoundError where there is none."""

    def __init__(self, identifier: str, path: Path, on_event: OnEvent | None) -> None:
        self.id = identifier
        self._path = path
        self.pid = 0
        self.started_at = ""
        self.exited: dict[str, Any] | None = None
        if on_event:
            connection, state = self._request({"op": "events"})
            self._take(state)
            name = f"monitor {identifier[:12]}"
            threading.Thread(target=self._listen, args=(connection, on_event), name=name, daemon=True).start()

    def start(self, listeners: Sequence[socket.socket]) -> None:
        """Runs the container's command. listeners: one for each of the plan's ports; they belong to the monitor then.

        Raises StartFailed.
        """
        connection, answer = self._request({"op": "start"}, [listener.fileno() for listener in listeners])
        connection.close()
        self._take(answer)

    def attach(self, *, stdin: bool = False, stdout: bool = True, stderr: bool = True) -> socket.socket:
        """A stream of the container: framed output, unless it has a terminal; what is sent is input."""
        return self._request({"op": "attach", "stdin": stdin, "stdout": stdout, "stderr": stderr})[0]

    def exec(
        self, identifier: str, process: Process, *, detach: bool = False, stdout: bool = True, stderr: bool = True
    ) -> tuple[int, socket.socket]:
        """Runs a command more; its pid on the host, and its stream. Raises StartFailed."""
        request = {"op": "exec", "exec": identifier, "process": asdict(process), "detach": detach, "stdin": process.stdin}
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

    def pause(self) -> None:
        """Stops all processes."""
        self._request({"op": "pause"})[0].close()

    def resume(self) -> None:
        """Lets them go on."""
        self._request({"op": "resume"})[0].close()

    def pids(self) -> list[int]:
        """The host's numbers of all processes of the container; none where it has ended."""
        try:
            connection, state = self._request({"op": "state"})
        except OSError:
            return []
        connection.close()
        return [int(pid) for pid in state["pids"]]

    def _take(self, state: Mapping[str, Any]) -> None:
        self.pid = int(state.get("pid") or 0)
        self.started_at = str(state.get("started_at", ""))

    def _request(self, request: Mapping[str, Any], fds: Sequence[int] = ()) -> tuple[socket.socket, dict[str, Any]]:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(self._path))
            line = json.dumps(request).encode() + b"\n"
            sent = socket.send_fds(connection, [line], list(fds)) if fds else 0
            connection.sendall(line[sent:])
            answer: dict[str, Any] = json.loads(_line(connection))
        except BaseException:
            connection.close()
            raise
        if "error" in answer:
            connection.close()
            raise StartFailed(answer["error"], int(answer.get("exit_code", 125)))
        return connection, answer

    def _listen(self, connection: socket.socket, on_event: OnEvent) -> None:
        with connection, connection.makefile("rb") as lines, suppress(OSError):  # the monitor was killed
            for line in lines:
                on_event(json.loads(line))
        on_event({"event": "gone"})


class Job:
    """A function of ours at work inside a container. stdin: a socket to send to; shut its writing side down to end the input."""

    def __init__(self, stream: socket.socket) -> None:
        self.stdin = stream
        self._result = bytearray()
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

    def close(self) -> None:
        """Ends it, wherever it is."""
        self.stdin.close()

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


def _line(connection: socket.socket) -> bytes:
    """One line, and no byte more: what follows it is the stream's."""
    line = b""
    while not line.endswith(b"\n"):
        # Looked at first, and then taken as far as the line goes.
        there = connection.recv(_PEEKED, socket.MSG_PEEK)
        if not there:
            raise ConnectionResetError("the monitor has ended")
        line += connection.recv(there.find(b"\n") + 1 or len(there))
    return line
