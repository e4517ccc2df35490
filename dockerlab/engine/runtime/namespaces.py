"""Containers in namespaces: as root, or in a user namespace that has the one id of its user. The monitor's side; `inside` is the other.

Before it knows its container (`prepare`) the monitor enters new user, UTS and IPC namespaces and a PID namespace for its children, and
forks the container's first process, which waits, too. That one makes the mount namespace (and, for a container without network, the
network namespace) as soon as there is a plan, while the monitor opens what it needs, and is PID 1; later ones (`exec`) join it. Where
/proc cannot be mounted (inside some containers) there is no PID namespace either, because the two must agree: the host's processes are
seen then.

In a user namespace a single id is mapped, as root; a command that runs as somebody else gets another one inside, where that id is. chown
is answered by a filter that says it was done, setuid by the monitor (see `pretence`): installers insist on them.

user_namespaces(7), pid_namespaces(7), capabilities(7).
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from dockerlab.engine.runtime import entry, kernel, limits, lines
from dockerlab.engine.runtime.entry import StartFailed
from dockerlab.engine.runtime.inside import Abilities, Inside, Stdio, exit_code, leave_the_monitor, map_ids
from dockerlab.engine.runtime.limits import Group, Means
from dockerlab.engine.runtime.plan import Limits, Plan, Process, plan_from_json, rehearse

_STARTS = b"s"
_MOST_DESCRIPTORS = 5


class First:
    """A container's first process, waiting: for the plan, and then for its streams."""

    def __init__(self, abilities: Abilities, means: Means) -> None:
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.pid = os.fork()
        if not self.pid:
            try:
                self._connection.close()
                leave_the_monitor()
                _run_first(theirs, abilities, means)
            finally:
                os._exit(entry.NOT_RUNNABLE)
        theirs.close()
        # Its number means nothing to a process in its PID namespace.
        self.pidfd = os.pidfd_open(self.pid)

    def plan(self, text: bytes) -> None:
        """Lets it make its root. text: the line that the monitor was sent. Raises OSError where it was killed."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._connection.sendall(text)

    def start(self, stdio: Stdio) -> None:
        """Lets it run its command. Raises OSError where it was killed."""
        socket.send_fds(self._connection, [_STARTS], [*stdio.fds, stdio.status, stdio.channel.fileno()])
        self._connection.close()


def prepare(abilities: Abilities, means: Means) -> First:
    """What needs no plan, in a process that is to be a monitor. Raises OSError."""
    flags = kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC
    uid, gid = os.getuid(), os.getgid()
    kernel.unshare(flags if abilities.is_root else flags | kernel.CLONE_NEWUSER)
    if not abilities.is_root:
        map_ids((0, uid), (0, gid))
    if abilities.own_pids:
        kernel.unshare(kernel.CLONE_NEWPID)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    # Killed while it waits, it takes this process along: the engine asks for another one then.
    signal.signal(signal.SIGCHLD, lambda number, frame: os._exit(entry.NOT_RUNNABLE))
    return First(abilities, means)


class NamespaceGuard:
    """Makes processes inside one container; lives in its monitor. first: has been given the plan. Raises OSError."""

    def __init__(self, plan: Plan, first: First, abilities: Abilities, means: Means) -> None:
        self._plan, self._first, self._means = plan, first, means
        self._group = Group(limits.plan(plan.limits, means, plan.id))
        self._inside = Inside(plan, abilities, self._group)
        self._is_begun = False
        self._mounts = -1
        self.oom_killed = False
        self._group.create()

    def spawn(self, process: Process, stdio: Stdio) -> int:
        """See `starting.Guard`."""
        if not self._is_begun:
            self._is_begun = True
            self._group.take_in(self._first.pid)
            self._first.start(stdio)
            return self._first.pid
        pid = os.fork()
        if not pid:
            leave_the_monitor()
            _carry_out(lambda: self._run(process, stdio), stdio.status)
        return pid

    def has_started(self) -> None:
        """See `starting.Guard`."""
        # Else all its mounts are taken down before its end is told: they go with this process, which tells it first.
        with suppress(OSError):  # it has ended already
            self._mounts = os.open(f"/proc/{self._first.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)

    def exits(self) -> list[tuple[int, int]]:
        """The processes that ended since the last call: (pid, exit code; 128 + N for signal N)."""
        ended = []
        with suppress(ChildProcessError):  # none is left
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                ended.append((found[0], exit_code(found[1])))
        return ended

    def pids(self) -> list[int]:
        """All processes of the container, as the host numbers them."""
        return descendants(os.getpid())

    def update(self, to: Limits) -> None:
        """Other limits, for what runs and what is added. Raises OSError."""
        self._group.update(limits.plan(to, self._means, self._plan.id), self.pids)

    def fileno(self) -> int | None:
        """None: SIGCHLD tells when `exits` has news."""
        return None

    def close(self) -> None:
        """Kills what is left, and gives up the control group."""
        kill_descendants(os.getpid())
        self.oom_killed = self.oom_killed or self._group.oom_kills() > 0
        self._group.remove()

    def _run(self, process: Process, stdio: Stdio) -> int:
        self._group.enter()
        entry.adjust_oom_score(process.oom_score_adj)
        self._inside.join(self._first.pidfd)
        return self._inside.become(process, stdio, is_first=False)


def _run_first(connection: socket.socket, abilities: Abilities, means: Means) -> None:
    """The first process: waits, makes its root, waits, and becomes the command. Returns when nobody asks it for that."""
    rehearse()
    try:
        plan = plan_from_json(lines.receive(connection)["plan"])
    except ConnectionResetError:
        return
    inside = Inside(plan, abilities, Group(limits.plan(plan.limits, means, plan.id)))
    failure: Exception | None = None
    try:
        entry.adjust_oom_score(plan.process.oom_score_adj)
        inside.make_root()
    except Exception as error:  # noqa: BLE001  told to who asks for the command
        failure = error
    said, fds, _, _ = socket.recv_fds(connection, len(_STARTS), _MOST_DESCRIPTORS)
    if not said:
        return
    for fd in fds:
        os.set_inheritable(fd, False)
    *of_stdio, status, channel = fds
    connection.close()

    def run() -> int:
        if failure:
            raise failure
        return inside.become(plan.process, Stdio(tuple(of_stdio), status, socket.socket(fileno=channel)), is_first=True)

    _carry_out(run, status)


def _carry_out(run: Callable[[], int], status: int) -> NoReturn:
    code = entry.NOT_RUNNABLE
    try:
        code = run()
    except BaseException as failure:  # noqa: BLE001  this process ends here; the reason goes to who waits for it
        entry.report(status, failure)
        code = failure.exit_code if isinstance(failure, StartFailed) else code
    finally:
        os._exit(code)


def descendants(pid: int) -> list[int]:
    """The processes below `pid`, parents first, as they are now."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop(0)
        with suppress(OSError):  # ended meanwhile
            for task in os.listdir(f"/proc/{parent}/task"):
                children = [int(child) for child in kernel.open_text(f"/proc/{parent}/task/{task}/children").split()]
                found += children
                waiting += children
    return found


def kill_descendants(pid: int) -> None:
    """Kills all processes below `pid`; those that fork meanwhile are stopped first, so that it ends."""
    while alive := [child for child in descendants(pid) if not _is_dead(child)]:
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for child in alive:
                with suppress(ProcessLookupError):
                    os.kill(child, number)


def _is_dead(pid: int) -> bool:
    try:
        return kernel.open_text(f"/proc/{pid}/stat").rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True
