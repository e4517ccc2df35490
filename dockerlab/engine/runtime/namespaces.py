"""Containers in namespaces: as root, or in a user namespace that has the one id of its user.

The monitor enters the new user, UTS and IPC namespaces while it waits for its container (`prepare`), then the PID (and, for a container
without network, network) namespace, so that every process it forks is in them; the first one makes the mount namespace and is PID 1,
later ones (`exec`) join that. Where /proc cannot be mounted (inside some containers) there is no PID namespace either, because the two
must agree: the host's processes are seen then.

In a user namespace a single id is mapped, as root; a command that runs as somebody else gets another one inside, where that id is. chown
and setuid are answered by a filter that says they succeeded: installers insist on them.

user_namespaces(7), pid_namespaces(7), capabilities(7).
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass

from dockerlab.engine.runtime import bpf, capabilities, entry, jobs, kernel, limits, mounts
from dockerlab.engine.runtime.account import Account
from dockerlab.engine.runtime.entry import StartFailed
from dockerlab.engine.runtime.limits import Means
from dockerlab.engine.runtime.plan import Limits, Plan, Process

_ALL_DESCRIPTORS = 1 << 20


@dataclass(frozen=True)
class Abilities:
    """What the probe found. isolation: the rung. own_pids: /proc can be mounted, so that a PID namespace makes sense."""

    isolation: str
    is_root: bool
    own_pids: bool = True


def prepare(abilities: Abilities) -> None:
    """What needs no plan: moves this process, which is to be a monitor, into its first namespaces. Raises OSError."""
    flags = kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC
    uid, gid = os.getuid(), os.getgid()
    kernel.unshare(flags if abilities.is_root else flags | kernel.CLONE_NEWUSER)
    if not abilities.is_root:
        map_ids((0, uid), (0, gid))


class NamespaceGuard:
    """Makes processes inside one container; lives in its monitor."""

    def __init__(self, plan: Plan, abilities: Abilities, means: Means) -> None:
        self._plan, self._abilities, self._means = plan, abilities, means
        self._group = limits.Group(limits.plan(plan.limits, means, plan.id))
        self._group.create()
        self.oom_killed = False
        self._first = 0
        names = bpf.NAMES_OF_SOCKETS if plan.network.first_port else ()
        self._filter = bpf.namespace_filter((*bpf.SOCKETS, *names) if self.redirects else (), not abilities.is_root)
        self._enter()

    @property
    def redirects(self) -> bool:
        """Whether the guard's processes send the descriptor of a seccomp listener for bind and connect."""
        return self._plan.network.mode == "loopback"

    def spawn(self, process: Process, stdio: tuple[int, int, int], status: int, channel: socket.socket) -> int:
        """Forks a process and gives its pid. What keeps it from starting goes to `status`.

        stdio: what becomes 0, 1 and 2; for a terminal they are not used, and its master is sent on `channel` (b"tty"), as is the
        seccomp listener (b"net").
        """
        is_first = not self._first
        pid = os.fork()
        if pid:
            self._first = self._first or pid
            return pid
        code = entry.NOT_RUNNABLE
        try:
            code = self._run(process, stdio, status, channel, is_first)
        except BaseException as failure:  # noqa: BLE001  this process ends here; the reason goes to who waits for it
            entry.report(status, failure)
            code = failure.exit_code if isinstance(failure, StartFailed) else code
        finally:
            os._exit(code)

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

    def _enter(self) -> None:
        flags = kernel.CLONE_NEWPID if self._abilities.own_pids and not self._plan.pid_host else 0
        flags |= kernel.CLONE_NEWNET if self._plan.network.mode == "none" else 0
        kernel.unshare(flags)
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)

    def _run(self, process: Process, stdio: tuple[int, int, int], status: int, channel: socket.socket, is_first: bool) -> int:
        os.setsid()
        signal.set_wakeup_fd(-1)
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        self._group.enter()
        entry.adjust_oom_score(process.oom_score_adj)
        if is_first:
            self._become_first()
        else:
            self._join()
        account = entry.account_of(process)
        if process.tty:
            stdio = self._open_terminal(process, channel, account)
        for target, fd in enumerate(stdio):
            os.dup2(fd, target)
        if self._abilities.is_root and account.uid and not process.tty:
            for fd in stdio:
                os.fchown(fd, account.uid, account.gid)
        entry.change_directory(process)
        entry.set_limits((*process.rlimits, *self._group.rlimits))
        entry.reset_signals()
        if process.job:
            os.closerange(3, _ALL_DESCRIPTORS)
            return jobs.run(process.job, process.arguments)
        if self._plan.init and is_first:
            self._leave_an_init(process.argv)
        entry.execute(process.argv, entry.environment(process, account), lambda: self._become(account, process, channel))
        return entry.NOT_RUNNABLE

    def _become_first(self) -> None:
        if self._plan.hostname:
            kernel.sethostname(self._plan.hostname)
        if self._plan.domainname:
            kernel.setdomainname(self._plan.domainname)
        if self._plan.network.mode == "none":
            bring_up_loopback()
        mounts.build(self._plan, is_root=self._abilities.is_root, own_pids=self._abilities.own_pids and not self._plan.pid_host)

    def _join(self) -> None:
        fd = os.open(f"/proc/{self._first}/ns/mnt", os.O_RDONLY)
        try:
            kernel.setns(fd, kernel.CLONE_NEWNS)
        finally:
            os.close(fd)
        os.umask(0o022)

    def _open_terminal(self, process: Process, channel: socket.socket, account: Account) -> tuple[int, int, int]:
        """A terminal of the container's own /dev/pts, so that its name means something there."""
        master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
        slave = _open_slave(master)
        entry.take_terminal(slave, process.size)
        if self._abilities.is_root:
            os.fchown(slave, account.uid, -1)
        socket.send_fds(channel, [b"tty"], [master])
        os.close(master)
        return slave, slave, slave

    def _become(self, account: Account, process: Process, channel: socket.socket) -> None:
        if not self._abilities.is_root and (account.uid, account.gid) != (0, 0):
            kernel.unshare(kernel.CLONE_NEWUSER)
            map_ids((account.uid, 0), (account.gid, 0))
        if self._filter:
            listener = kernel.seccomp(self._filter, kernel.SECCOMP_FILTER_FLAG_NEW_LISTENER if self.redirects else 0)
            if self.redirects:
                socket.send_fds(channel, [b"net"], [listener])
                os.close(listener)
        if self._abilities.is_root:
            os.setgroups(account.groups)
            os.setgid(account.gid)
            if not process.privileged:
                # The set ids may go only while they can still be set; the kernel clears the rest when the user is not root.
                kept = capabilities.kept(capabilities.DEFAULT, process.cap_add, process.cap_drop)
                kernel.keep_capabilities(kept, until_exec=frozenset({capabilities.SETUID}))
            os.setuid(account.uid)
        elif process.cap_drop and not process.privileged:
            kernel.keep_capabilities(capabilities.kept(capabilities.EVERY, process.cap_add, process.cap_drop))
        # Without its monitor nobody would know of it. A change of user has taken back what was set before.
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        if process.no_new_privileges:
            kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)

    def _leave_an_init(self, argv: tuple[str, ...]) -> None:
        """Forks: the child goes on as the command, this process stays as PID 1, reaps, and hands signals on."""
        child = os.fork()
        if not child:
            return
        os.closerange(3, _ALL_DESCRIPTORS)
        with suppress(OSError):  # where /proc is not what it should be, it goes by another name
            kernel.set_title("docker-init", ("/sbin/docker-init", "--", *argv))
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
            signal.signal(number, lambda number, _: os.kill(child, number))
        while True:
            pid, status = os.wait()
            if pid == child:
                os._exit(exit_code(status))


def map_ids(uid: tuple[int, int], gid: tuple[int, int]) -> None:
    """Maps one user and one group, each (inside, outside), in the user namespace that this process has just made."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid[0]} {uid[1]} 1"), ("gid_map", f"{gid[0]} {gid[1]} 1")):
        kernel.write_text(f"/proc/self/{name}", text)


def exit_code(status: int) -> int:
    """What waitpid gives, as a shell and Docker say it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


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


def bring_up_loopback() -> None:
    """`ip link set lo up`, by netdevice(7)."""
    import fcntl
    import struct

    flags_up_running, set_flags = 0x41, 0x8914
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, set_flags, struct.pack("16sh14x", b"lo", flags_up_running))


def _is_dead(pid: int) -> bool:
    try:
        return kernel.open_text(f"/proc/{pid}/stat").rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _open_slave(master: int) -> int:
    import fcntl
    import struct

    unlock, number = 0x40045431, 0x80045430
    fcntl.ioctl(master, unlock, struct.pack("i", 0))
    index = struct.unpack("i", fcntl.ioctl(master, number, struct.pack("i", 0)))[0]
    return os.open(f"/dev/pts/{index}", os.O_RDWR | os.O_NOCTTY)
