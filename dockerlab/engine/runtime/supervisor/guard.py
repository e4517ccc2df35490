"""The monitor's side of a supervised container: starts its supervisor, asks it for processes, hears of their ends."""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from dockerlab.engine.runtime import kernel
from dockerlab.engine.runtime.inside import Stdio
from dockerlab.engine.runtime.namespaces import descendants
from dockerlab.engine.runtime.plan import Limits, Plan, Process
from dockerlab.engine.runtime.supervisor.supervisor import Supervisor

_MESSAGE = 1 << 16
_KILLED = 137
_PR_SET_DUMPABLE = 4
_PATIENCE = 5000  # milliseconds


class SupervisedGuard:
    """Makes processes inside one container; lives in its monitor. Follows `starting.Guard`. Raises OSError where it cannot be."""

    oom_killed = False

    def __init__(self, plan: Plan) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._living: set[int] = set()
        self._ended: list[tuple[int, int]] = []
        self._supervisor = os.fork()
        if not self._supervisor:
            _supervise(plan, theirs)
        theirs.close()
        answer = self._receive()
        if "error" in answer:
            self._reap()
            self._socket.close()
            raise OSError(answer["error"])

    def spawn(self, process: Process, stdio: Stdio) -> int:
        """See `starting.Guard`. Raises OSError where the supervisor is gone."""
        fds = [*stdio.fds, stdio.status, stdio.channel.fileno()]
        socket.send_fds(self._socket, [json.dumps({"spawn": asdict(process)}).encode()], fds)
        while True:
            answer = self._receive()
            if "pid" in answer:
                self._living.add(answer["pid"])
                return int(answer["pid"])
            if "error" in answer or not answer:
                raise OSError(answer.get("error") or "the container's supervisor has ended")
            self._note(answer)

    def has_started(self) -> None:
        """See `starting.Guard`. Nothing is to be done."""

    def fileno(self) -> int:
        """Can be read when a process has ended."""
        return self._socket.fileno()

    def exits(self) -> list[tuple[int, int]]:
        """The processes that ended since the last call: (pid, exit code; 128 + N for signal N)."""
        if self._socket.fileno() < 0:
            self._ended += [(pid, _KILLED) for pid in self._living]
        while self._socket.fileno() >= 0 and select.select([self._socket], [], [], 0)[0]:
            answer = self._receive()
            if not answer:
                self._ended += [(pid, _KILLED) for pid in self._living]
                break
            self._note(answer)
        ended, self._ended = self._ended, []
        for pid, _ in ended:
            self._living.discard(pid)
        return ended

    def pids(self) -> list[int]:
        """All processes of the container."""
        return descendants(self._supervisor)

    def update(self, to: Limits) -> None:
        """How many tasks there may be: the one limit that a supervisor can hold."""
        self._socket.send(json.dumps({"most": to.pids}).encode())

    def close(self) -> None:
        """Kills all that is left."""
        with suppress(OSError):
            self._socket.send(b'{"end": true}')
        poller = select.poll()
        poller.register(self._socket, select.POLLHUP)
        poller.poll(_PATIENCE)
        self._reap()
        self._socket.close()

    def _reap(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._supervisor, signal.SIGKILL)
        with suppress(ChildProcessError):  # somebody else has waited for all children
            os.waitpid(self._supervisor, 0)

    def _receive(self) -> dict[str, Any]:
        """The next message; {} where there will be none."""
        try:
            data = self._socket.recv(_MESSAGE)
        except ConnectionResetError:
            data = b""
        return json.loads(data) if data else {}

    def _note(self, answer: Mapping[str, Any]) -> None:
        if "exit" in answer:
            pid, code = answer["exit"]
            self._ended.append((int(pid), int(code)))


def _supervise(plan: Plan, control: socket.socket) -> None:
    """The whole life of the supervisor's process; does not return."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        fd = os.dup2(os.dup(control.detach()), 3, inheritable=False)
        os.closerange(4, 1 << 20)
        control = socket.socket(fileno=fd)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.close(null)
        os.setsid()
        # A process that has changed its user is not, and nobody could trace its children.
        kernel.prctl(_PR_SET_DUMPABLE, 1)
        gc.freeze()
        try:
            supervisor = Supervisor(plan, control)
        except OSError as failure:  # of what the plan asks for
            control.send(json.dumps({"error": str(failure)}).encode())
            return
        except BaseException as failure:
            control.send(json.dumps({"error": str(failure)}).encode())
            raise
        control.send(b'{"ready": true}')
        supervisor.run()
        code = 0
    except BaseException:  # noqa: BLE001  this process ends here; the reason goes to the log of the monitor
        traceback.print_exc()
    finally:
        os._exit(code)
