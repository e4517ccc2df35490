"""Running containers: the engine's side of launcher and monitors.

    runtime = Runtime(home)
    running = runtime.monitor(plan, on_event)     a monitor, nothing runs yet; attach now to miss nothing, or close() it
    running.start(listeners)                      raises StartFailed
    runtime.find(id, on_event)                    a monitor that an earlier engine left
    runtime.job(plan, "archive_get", {...})       a function of `jobs` inside a root that nothing runs in

May be called from any thread.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

from dockerlab.engine.home import Home
from dockerlab.engine.runtime import probe
from dockerlab.engine.runtime.plan import Limits, Network, Plan, Process
from dockerlab.engine.runtime.probe import Capabilities, Probing
from dockerlab.engine.runtime.running import Job, OnEvent, Running, StartFailed, begin, find
from dockerlab.engine.workers import Workers
from dockerlab.errors import EngineError

__all__ = ["Job", "Running", "Runtime", "StartFailed"]

# What the launcher is asked for: a monitor for any container, or one for a container that sees the host's processes; and not to wait.
ANY, HOST_PIDS, NOW = b"a", b"h", b"n"
_LONGEST = 4096
_TRIES = 2


class Runtime:
    """home: the engine's. probing: under way already. Nothing else is started before it is needed."""

    def __init__(self, home: Home, probing: Probing | None = None) -> None:
        self._home, self._probing = home, probing
        self._lock = threading.Lock()
        self._launcher: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._workers = Workers("monitor")
        self._owed = b""  # what the launcher was asked for and nobody has taken yet

    @cached_property
    def capabilities(self) -> Capabilities:
        """What containers get on this machine; probed once: here as long as there is one thread, since it forks, else in a process."""
        if self._probing and (found := self._probing.result()):
            return found
        if threading.active_count() == 1:
            return probe.probe(self._home.root)
        command = [sys.executable, "-P", "-c", f"from {probe.__name__} import main; main()", str(self._home.root)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EngineError(f"the probe of this machine failed: {done.stderr.strip()}")
        return Capabilities(**json.loads(done.stdout))

    def monitor(self, plan: Plan, on_event: OnEvent | None = None) -> Running:
        """A monitor for `plan`, to be started, or closed. Raises EngineError where no container can run on this machine."""
        if not self.capabilities.isolation:
            reasons = [f"{name}: {text}" for name, text in self.capabilities.findings.items() if text]
            raise EngineError(
                "no container can run on this machine: neither namespaces nor a supervisor work (" + "; ".join(reasons) + ")",
                hint="`dockerlab doctor` says what is missing.",
            )
        for _ in range(_TRIES):
            control = self._take(HOST_PIDS if plan.pid_host else ANY)
            with suppress(BrokenPipeError):  # it was killed while it waited
                return begin(plan, self._home.monitor_socket(plan.id), control, self._workers, on_event)
            control.close()
        raise EngineError("cannot make a container's monitor: something kills it")

    def find(self, identifier: str, on_event: OnEvent | None = None) -> Running | None:
        """The monitor of a container that an earlier engine started, or None where it is gone."""
        with suppress(ConnectionError, FileNotFoundError):
            return find(identifier, self._home.monitor_socket(identifier), self._workers, on_event)
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
            pid_host=False,
        )
        running = self.monitor(plain)
        stream = running.attach(stdin=True)
        running.start(())
        self.warm()
        return Job(stream)

    def close(self) -> None:
        """Ends the launcher; monitors go on, and are heard no more."""
        self._workers.close()
        with self._lock:
            if self._launcher and self._control:
                self._control.close()
                self._launcher.wait()
                self._launcher = self._control = None

    def warm(self) -> None:
        """Has a monitor wait for the next container. Called when nothing else is to be done at this moment: it costs what a start does."""
        if self.capabilities.isolation:
            with self._lock, suppress(OSError):  # the next container asks again, and is told why
                self._ask(ANY)

    def _take(self, kind: bytes) -> socket.socket:
        """The connection to a monitor that waits for its container. Raises EngineError."""
        with self._lock:
            for _ in range(_TRIES):
                said, fds = b"", list[int]()
                with suppress(ConnectionError):  # the launcher was killed
                    control = self._ask(kind)
                    control.send(NOW)
                    said, fds, _, _ = socket.recv_fds(control, _LONGEST, 1)
                    self._owed = b""
                if said:
                    break
                assert self._launcher
                self._launcher.wait()
        if not fds:
            raise EngineError(f"cannot make a container's monitor: {said.decode() or 'the launcher ends at once'}")
        return socket.socket(fileno=fds[0])

    def _ask(self, kind: bytes) -> socket.socket:
        """The connection to the launcher, which owes a monitor of a kind. The lock is held. Raises ConnectionError."""
        control = self._needs_launcher()
        if self._owed not in (b"", kind):
            control.send(NOW)
            for fd in socket.recv_fds(control, _LONGEST, 1)[1]:
                os.close(fd)  # it ends by that
            self._owed = b""
        if not self._owed:
            control.send(kind)
            self._owed = kind
        return control

    def _needs_launcher(self) -> socket.socket:
        """The connection to the launcher. The lock is held."""
        if self._launcher and self._control and self._launcher.poll() is None:
            return self._control
        if self._control:
            self._control.close()
        self._owed = b""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-P", "-m", "dockerlab.engine.runtime.launcher", json.dumps(asdict(self.capabilities.abilities))]
        with theirs:
            self._launcher = subprocess.Popen(command, stdin=theirs.fileno(), start_new_session=True, cwd="/")
        return self._control
