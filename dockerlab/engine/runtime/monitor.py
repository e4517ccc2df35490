"""The monitor of one running container: a small process of its own that outlives the engine, as conmon does for Podman.

It makes the container's processes through a guard, owns their streams and the log, forwards the published ports, and serves a socket.
Forked ahead, it waits on a connection to the engine for `{"plan": …, "socket": path}`, answered once the socket is there. Next on that
connection comes `start`. On the socket, a connection begins with one JSON line, `{"op": …}`; all are answered by one, `{"ok": …}` or
`{"error": …}`:

    start      with the listening sockets of the published ports as descriptors; answered when the command runs, or with why it does not;
               then as `events`
    attach     then a stream (see `session`)
    exec       a process more; then a stream, unless detached
    watch      then a byte whenever the log has grown, and the end of the stream at the end
    events     then JSON lines: {"event": "exit", "code"} and {"event": "exec_exit", "exec", "code"}
    update     other limits, for what runs and what is added
    state, signal, resize, pause, resume

When the container's process ends, its last output is read, exit.json is written (the engine may not be there), everybody is told, and
the monitor ends. One thread, one selector; nothing blocks.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import Any

from dockerlab.engine.home import write_json
from dockerlab.engine.runtime import claims
from dockerlab.engine.runtime.forwarding import Forwarder
from dockerlab.engine.runtime.lines import Listeners, Requests, answer, listener, receive_line
from dockerlab.engine.runtime.logfile import Log, timestamp
from dockerlab.engine.runtime.loop import Loop
from dockerlab.engine.runtime.notifications import Listener
from dockerlab.engine.runtime.plan import Limits, Plan, Process, plan_from_json, process_from_json, rehearse
from dockerlab.engine.runtime.pretence import Pretence
from dockerlab.engine.runtime.redirection import Redirection
from dockerlab.engine.runtime.session import Client, Session
from dockerlab.engine.runtime.starting import Guard, begin
from dockerlab.errors import EngineError

_GRACE = 2.0  # seconds that output may still come after its process has ended
_LINGER = 10.0  # seconds that clients may take to read the rest

MakeGuard = Callable[[Plan], Guard]
Take = Callable[[bytes], MakeGuard]
Prepare = Callable[[], Take]


class Monitor:
    """control: the engine's connection. plan: the container. path: of the socket. guard: closed in the end."""

    def __init__(self, control: socket.socket, plan: Plan, path: str, guard: Guard) -> None:
        self._plan = plan
        self._guard = guard
        # Held for as long as this process lives: no engine gives the container's address to another.
        self._claim = claims.for_monitor(plan.network.address) if plan.network.address else None
        self._listener = listener(path)
        self._loop = Loop()
        self._selector = self._loop.selector
        self._control = control
        self._requests = Requests(self._selector, self._obey, self._left)
        self._log = Log(Path(plan.directory, "log.jsonl"), plan.log_max, self.complain) if plan.log else None
        self._main = self._new_session(plan.process, keeps_input=not plan.stdin_once)
        self._execs: dict[str, Session] = {}
        self._starting: set[str] = set()
        self._watchers = Listeners(self._selector)
        self._subscribers = Listeners(self._selector)
        self._forwarder: Forwarder | None = None
        self._started_at = 0
        self._handlers = {**Redirection(plan.network).handlers(), **Pretence().handlers()}
        self._is_closed = False  # the guard
        self._over = False

    def run(self) -> None:
        """Serves until the container has ended and been read, or nobody ever started it."""
        self._loop.on_child(self._take_exits)
        if (news := self._guard.fileno()) is not None:
            self._selector.register(news, selectors.EVENT_READ, lambda mask: self._take_exits())
        self._selector.register(self._listener, selectors.EVENT_READ, lambda mask: self._requests.accept(self._listener))
        self._requests.listen(self._control)
        self._loop.run(lambda: self._over and not self._busy())
        self._close()

    def _busy(self) -> bool:
        return self._main.has_clients or any(session.has_clients for session in self._execs.values())

    # Connections

    def _left(self, connection: socket.socket) -> None:
        if connection is self._control:
            self._give_up_start()  # the engine has, or is gone

    def _obey(self, connection: socket.socket, request: Mapping[str, Any], fds: list[int]) -> None:
        operation = _OPERATIONS.get(request.get("op", ""))
        if operation is None:
            answer(connection, {"error": f"no such operation: {request.get('op')}"})
            connection.close()
            return
        try:
            operation(self, connection, request, fds)
        except (OSError, ValueError, KeyError, EngineError) as error:
            answer(connection, {"error": str(error)})
            connection.close()
            if request["op"] == "start" and not self._main.pid:
                self._give_up_start()

    def _op_start(self, connection: socket.socket, request: Mapping[str, Any], fds: list[int]) -> None:
        if fds:
            self._forwarder = Forwarder(self._selector)
            for fd, forward in zip(fds, self._plan.ports, strict=True):
                self._forwarder.add(socket.socket(fileno=fd), self._plan.network.target(forward.port))

        def told(result: dict[str, Any]) -> None:
            answer(connection, result)
            if "error" not in result:
                self._subscribers.add(connection)
                return
            connection.close()
            self._give_up_start()

        self._spawn("", self._plan.process, told)

    def _give_up_start(self) -> None:
        """A container that could not be set up will not be."""
        self._over = True
        self._main.close()

    def _op_attach(self, connection: socket.socket, request: Mapping[str, Any], fds: list[int]) -> None:
        answer(connection, {"ok": True})
        self._main.attach(_client(connection, request))

    def _op_exec(self, connection: socket.socket, request: Mapping[str, Any], fds: list[int]) -> None:
        if not self._main.pid or self._main.exit_code is not None:
            raise ValueError("the container is not running")
        process = process_from_json(request["process"])
        name = str(request["exec"])
        session = self._new_session(process, keeps_input=False, name=name)
        self._execs[name] = session

        def told(result: dict[str, Any]) -> None:
            answer(connection, result)
            if "error" in result:
                self._forget_exec(name)
                connection.close()
            elif request.get("detach"):
                connection.close()
            else:
                session.attach(_client(connection, request))

        self._spawn(name, process, told)

    def _op_watch(self, connection: socket.socket, request: Mapping[str, Any], fds: list[int]) -> None:
        answer(connection, {"ok": True})
        self._watchers.add(connection)

    def _op_events(self, connection: socket.socket, request: Mapping[str, Any], fds: list[int]) -> None:
        answer(connection, {"ok": True, **self._state()})
        self._subscribers.add(connection)

    def _op_state(self, connection: socket.socket, request: Mapping[str, Any], fds: list[int]) -> None:
        traffic = astuple(self._forwarder.traffic) if self._forwarder else ()
        answer(connection, {"ok": True, **self._state(), "pids": self._guard.pids(), "traffic": traffic})
        connection.close()

    def _op_signal(self, connection: socket.socket, request: Mapping[str, Any], fds: list[int]) -> None:
        session = self._execs[request["exec"]] if request.get("exec") else self._main
        if session.pid and session.exit_code is None:
            with suppress(ProcessLookupError):  # its supervisor has just seen its end, and is about to tell
                os.kill(session.pid, int(request["signal"]))
        answer(connection, {"ok": True})
        connection.close()

    def _op_resize(self, connection: socket.socket, request: Mapping[str, Any], fds: list[int]) -> None:
        session = self._execs[request["exec"]] if request.get("exec") else self._main
        session.resize(int(request["rows"]), int(request["columns"]))
        answer(connection, {"ok": True})
        connection.close()

    def _op_update(self, connection: socket.socket, request: Mapping[str, Any], fds: list[int]) -> None:
        self._guard.update(Limits(**request["limits"]))
        answer(connection, {"ok": True})
        connection.close()

    def _op_freeze(self, connection: socket.socket, request: Mapping[str, Any], fds: list[int]) -> None:
        number = signal.SIGSTOP if request["op"] == "pause" else signal.SIGCONT
        frozen: set[int] = set()
        # What forks meanwhile is found in the next round.
        while found := set(self._guard.pids()) - frozen:
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            frozen |= found
        answer(connection, {"ok": True})
        connection.close()

    # Processes

    def _new_session(self, process: Process, *, keeps_input: bool, name: str = "") -> Session:
        def output(stream: int, data: bytes) -> None:
            if not name and self._log and self._log.write(stream, data):
                self._watchers.tell(b".")

        return Session(
            self._selector, tty=process.tty, keeps_input=keeps_input, on_output=output, on_quiet=lambda: self._settle(name)
        )

    def _spawn(self, name: str, process: Process, tell: Callable[[dict[str, Any]], None]) -> None:
        session = self._execs[name] if name else self._main

        def started(result: dict[str, Any]) -> None:
            self._starting.discard(name)
            if "error" not in result:
                now = time.time_ns()
                if not name:
                    self._started_at = now
                    self._guard.has_started()
                result |= {"ok": True, "pid": session.pid, "started_at": timestamp(now)}
            tell(result)
            if "error" not in result:
                session.release()
                if session.is_over:
                    self._settle(name)

        self._starting.add(name)
        listen = partial(Listener, handlers=self._handlers, selector=self._selector)
        begin(process, session, self._guard, self._selector, listen, started)

    def _take_exits(self) -> None:
        sessions = {"": self._main} | self._execs
        for pid, code in self._guard.exits():
            for name, session in sessions.items():
                if session.pid == pid and session.exit_code is None:
                    self._end(name, session, code)

    def _end(self, name: str, session: Session, code: int) -> None:
        session.exit_code = code
        if not name:
            self._close_guard()
        if session.is_quiet:
            self._settle(name)
        else:
            self._loop.later(_GRACE, session.abandon_output)

    def _close_guard(self) -> None:
        """Kills what is left of the container's processes. May be called twice."""
        if not self._is_closed:
            self._is_closed = True
            if (news := self._guard.fileno()) is not None:
                self._selector.unregister(news)
            self._guard.close()
            # What else ran in the container has ended by this.
            self._loop.later(0, self._take_exits)

    def _settle(self, name: str) -> None:
        """A process has ended and its output is read, in whichever order: tells everybody."""
        session = self._execs.get(name) if name else self._main
        if session is None or not session.is_over or name in self._starting:
            return
        if name:
            self._tell({"event": "exec_exit", "exec": name, "code": session.exit_code})
            session.finish()
            self._loop.later(_LINGER, lambda: self._forget_exec(name))
            return
        if self._over:
            return
        self._over = True
        if self._log:
            self._log.close()
            self._watchers.tell(b".")
        times = {"started_at": timestamp(self._started_at), "finished_at": timestamp(time.time_ns())}
        exited = {"code": session.exit_code, "oom": self._guard.oom_killed, **times}
        if not self._plan.process.job:
            try:
                write_json(Path(self._plan.directory, "exit.json"), exited)
            except OSError as error:
                self.complain(f"how it ended cannot be written down: {error.strerror}")
        # From now on its socket and its ports are a next monitor's: it may be started again as soon as this is told.
        self._withdraw()
        if self._forwarder:
            self._forwarder.close()
        self._tell({"event": "exit", **exited})
        session.finish()
        self._loop.later(_LINGER, self._give_up)

    def _give_up(self) -> None:
        for session in (self._main, *self._execs.values()):
            session.close()

    def _forget_exec(self, name: str) -> None:
        if session := self._execs.pop(name, None):
            session.close()

    def _state(self) -> dict[str, Any]:
        return {
            "pid": self._main.pid if self._main.exit_code is None else 0,
            "code": self._main.exit_code,
            "started_at": timestamp(self._started_at),
            "execs": {name: session.exit_code for name, session in self._execs.items()},
        }

    def _tell(self, event: Mapping[str, Any]) -> None:
        # An engine that is gone reads exit.json.
        self._subscribers.tell(json.dumps(event).encode() + b"\n")

    def complain(self, text: str) -> None:
        """Says it in the engine's log, which is this process's standard error."""
        with suppress(OSError):  # the log's disk may be the one that is full
            print(f"container {self._plan.id[:12]}: {text}", file=sys.stderr, flush=True)

    def _withdraw(self) -> None:
        if self._listener.fileno() >= 0:
            path = self._listener.getsockname()
            self._selector.unregister(self._listener)
            self._listener.close()
            with suppress(FileNotFoundError):  # an engine has tidied up
                os.unlink(path)

    def _close(self) -> None:
        self._withdraw()
        self._close_guard()
        self._watchers.close()
        self._subscribers.close()
        if self._claim:
            self._claim.close()


def main(control: socket.socket, prepare: Prepare) -> None:
    """Runs a monitor in this process, which the launcher has forked for it, to its end.

    prepare: called at once. What it gives is called with the line that says which container it is, as it comes, and gives what makes the
    guard for the plan in it.
    """
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    failure: OSError | None = None
    try:
        take = prepare()
    except OSError as error:
        failure = error  # told to who asks for a container
    rehearse()
    try:
        line = receive_line(control)
    except ConnectionResetError:
        return  # the engine has ended: nobody needs it
    try:
        if failure:
            raise failure
        monitor = _open(control, line, take)
    except OSError as error:
        answer(control, {"error": str(error)})
        return
    answer(control, {"ok": True})
    try:
        monitor.run()
    except Exception as error:
        monitor.complain(f"{type(error).__name__}: {error}")
        raise


def _open(control: socket.socket, line: bytes, take: Take) -> Monitor:
    make_guard = take(line)
    asked = json.loads(line)
    plan = plan_from_json(asked["plan"])
    guard = make_guard(plan)
    try:
        return Monitor(control, plan, asked["socket"], guard)
    except OSError:
        guard.close()
        raise


def _client(connection: socket.socket, request: Mapping[str, Any]) -> Client:
    streams = frozenset(number for number, name in ((1, "stdout"), (2, "stderr")) if request.get(name, True))
    return Client(connection, streams, bool(request.get("stdin")))


_OPERATIONS: Mapping[str, Callable[[Monitor, socket.socket, Mapping[str, Any], list[int]], None]] = {
    "start": Monitor._op_start,
    "attach": Monitor._op_attach,
    "exec": Monitor._op_exec,
    "watch": Monitor._op_watch,
    "events": Monitor._op_events,
    "state": Monitor._op_state,
    "signal": Monitor._op_signal,
    "resize": Monitor._op_resize,
    "update": Monitor._op_update,
    "pause": Monitor._op_freeze,
    "resume": Monitor._op_freeze,
}
