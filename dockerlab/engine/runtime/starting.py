"""From a process to be made until its command runs: the fork by a guard, and what the new process sends back on its way.

Two things come from it: descriptors on a SOCK_SEQPACKET channel (b"tty": its terminal's master; b"calls": the listener of its seccomp
notifications), and the status pipe, which is closed by a successful exec, or says why there was none.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
from collections.abc import Callable
from typing import Any, Protocol

from dockerlab.engine.runtime.inside import Stdio
from dockerlab.engine.runtime.plan import Limits, Process
from dockerlab.engine.runtime.session import Session


class Guard(Protocol):
    """How processes are made inside a container; see `namespaces` and `supervisor`. oom_killed: whether one was killed for memory."""

    oom_killed: bool

    def spawn(self, process: Process, stdio: Stdio) -> int:
        """Makes a process, gives its pid; what keeps it from starting goes to its status pipe. Raises OSError."""

    def has_started(self) -> None:
        """The first process runs its command. Called once."""

    def exits(self) -> list[tuple[int, int]]:
        """The processes that ended since the last call: (pid, exit code)."""

    def pids(self) -> list[int]:
        """All processes of the container."""

    def update(self, to: Limits) -> None:
        """Other limits, for what runs and what is added. Raises OSError."""

    def fileno(self) -> int | None:
        """A descriptor that can be read when `exits` has news, besides SIGCHLD; or None."""

    def close(self) -> None:
        """Kills what is left."""


def begin(
    process: Process,
    session: Session,
    guard: Guard,
    selector: selectors.BaseSelector,
    on_listener: Callable[[int], object],
    on_done: Callable[[dict[str, Any]], None],
) -> None:
    """Makes a process with the streams of `session`; `on_done` is called with {} once its command runs, or {"error", "exit_code"}."""
    fds = () if process.tty else session.open_pipes(process.stdin)
    status, status_write = os.pipe()
    channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        session.pid = guard.spawn(process, Stdio(fds, status_write, theirs))
    finally:
        for fd in (status_write, *fds):
            os.close(fd)
        theirs.close()
    channel.setblocking(False)
    os.set_blocking(status, False)
    said = bytearray()

    def take_descriptor(mask: int = 0) -> None:
        try:
            kind, fds, _, _ = socket.recv_fds(channel, 16, 1)
        except BlockingIOError:
            return
        except OSError:
            kind, fds = b"", []
        if kind == b"tty" and fds:
            session.open_terminal(fds[0])
        elif kind == b"calls" and fds:
            on_listener(fds[0])
        else:
            selector.unregister(channel)
            channel.close()

    def take_status(mask: int) -> None:
        try:
            data = os.read(status, 65536)
        except BlockingIOError:
            return
        if data:
            said.extend(data)
            return
        selector.unregister(status)
        os.close(status)
        # What was sent before the exec comes first.
        while channel.fileno() >= 0 and _is_readable(channel):
            take_descriptor()
        on_done(json.loads(said) if said else {})

    selector.register(channel, selectors.EVENT_READ, take_descriptor)
    selector.register(status, selectors.EVENT_READ, take_status)


def _is_readable(connection: socket.socket) -> bool:
    with selectors.PollSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return bool(selector.select(0))
