"""A process of a container in namespaces, from its fork to its command: into the container, then to its user, then exec.

    inside.make_root()              the first process: a mount namespace of its own, the container's files at /
    inside.join(pidfd)              another one: where the first one is
    inside.become(process, …)       the command; returns only for what needs no exec, with an exit code

What fails is raised, and told to who waits for the start by `entry.report`.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from dockerlab.engine.runtime import bpf, capabilities, entry, jobs, kernel, mounts
from dockerlab.engine.runtime.account import Account
from dockerlab.engine.runtime.credentials import ASKING, CHANGING
from dockerlab.engine.runtime.limits import Group
from dockerlab.engine.runtime.plan import Plan, Process

_ALL_DESCRIPTORS = 1 << 20


@dataclass(frozen=True)
class Abilities:
    """What the probe found. isolation: the rung. own_pids: /proc can be mounted, so that a PID namespace makes sense."""

    isolation: str
    is_root: bool
    own_pids: bool = True


@dataclass(frozen=True)
class Stdio:
    """What a process is given. fds: what becomes 0, 1 and 2, none for a terminal. status: takes why it does not start. channel: takes
    the master of its terminal (b"tty") and its seccomp listener (b"calls")."""

    fds: tuple[int, ...]
    status: int
    channel: socket.socket


@dataclass(frozen=True)
class Inside:
    """group: whose resource limits the process sets for itself."""

    plan: Plan
    abilities: Abilities
    group: Group

    def make_root(self) -> None:
        """Makes the container around the calling process, its first. Raises OSError."""
        plan, is_root = self.plan, self.abilities.is_root
        if plan.network.mode == "none":
            kernel.unshare(kernel.CLONE_NEWNET)
            _bring_up_loopback()
        if plan.hostname:
            kernel.sethostname(plan.hostname)
        if plan.domainname:
            kernel.setdomainname(plan.domainname)
        mounts.build(plan, is_root=is_root, own_pids=self.abilities.own_pids)

    def join(self, first: int) -> None:
        """Enters the namespaces of the container's first process. first: a pidfd. Raises OSError."""
        kernel.setns(first, kernel.CLONE_NEWNS | (kernel.CLONE_NEWNET if self.plan.network.mode == "none" else 0))
        os.umask(0o022)

    def become(self, process: Process, stdio: Stdio, *, is_first: bool) -> int:
        """Turns into the command. Raises StartFailed, EngineError, OSError."""
        account = entry.account_of(process)
        fds = self._open_terminal(process, stdio.channel, account) if process.tty else stdio.fds
        for target, fd in enumerate(fds):
            os.dup2(fd, target)
        if self.abilities.is_root and account.uid and not process.tty:
            for fd in fds:
                os.fchown(fd, account.uid, account.gid)
        entry.change_directory(process)
        entry.set_limits((*process.rlimits, *self.group.rlimits))
        if process.job:
            os.closerange(3, _ALL_DESCRIPTORS)
            return jobs.run(process.job, process.arguments)
        if self.plan.init and is_first:
            _leave_an_init(process.argv)
        entry.execute(process.argv, entry.environment(process, account), lambda: self._change_user(account, process, stdio.channel))
        return entry.NOT_RUNNABLE

    def _open_terminal(self, process: Process, channel: socket.socket, account: Account) -> tuple[int, int, int]:
        """A terminal of the container's own /dev/pts, so that its name means something there."""
        master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
        slave = _open_slave(master)
        entry.take_terminal(slave, process.size)
        if self.abilities.is_root:
            os.fchown(slave, account.uid, -1)
        socket.send_fds(channel, [b"tty"], [master])
        os.close(master)
        return slave, slave, slave

    def _change_user(self, account: Account, process: Process, channel: socket.socket) -> None:
        is_root, network = self.abilities.is_root, self.plan.network
        if not is_root and (account.uid, account.gid) != (0, 0):
            kernel.unshare(kernel.CLONE_NEWUSER)
            map_ids((account.uid, 0), (account.gid, 0))
        redirects = network.mode == "loopback"
        if program := filter_for(redirects=redirects, moves_ports=bool(network.first_port), is_root=is_root):
            listener = kernel.seccomp(program, kernel.SECCOMP_FILTER_FLAG_NEW_LISTENER)
            socket.send_fds(channel, [b"calls"], [listener])
            os.close(listener)
        if is_root:
            os.setgroups(account.groups)
            os.setgid(account.gid)
            if not process.privileged:
                # The set ids may go only while they can still be set; the kernel clears the rest when the user is not root.
                kept = capabilities.kept(capabilities.DEFAULT, process.cap_add, process.cap_drop)
                kernel.keep_capabilities(kept, until_exec=frozenset({capabilities.SETUID}))
            os.setuid(account.uid)
        elif process.cap_drop and not process.privileged:
            kernel.keep_capabilities(capabilities.kept(capabilities.EVERY, process.cap_add, process.cap_drop))
        # A change of user has taken back what was set before.
        end_with_monitor()
        if process.no_new_privileges:
            kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)


@cache
def filter_for(*, redirects: bool, moves_ports: bool, is_root: bool) -> bytes | None:
    """The filter of a container's processes: bind and connect are redirected, what a single id cannot do is told to be done. None where
    nothing is to be reported."""
    names = bpf.NAMES_OF_SOCKETS if moves_ports else ()
    sockets = (*bpf.SOCKETS, *names) if redirects else ()
    ids = () if is_root else (*ASKING, *CHANGING)
    return bpf.namespace_filter((*sockets, *ids), fake_root=not is_root)


def leave_the_monitor() -> None:
    """What a process does first that a monitor has forked."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    entry.reset_signals()
    end_with_monitor()


def end_with_monitor() -> None:
    """Without its monitor nobody would know of this process."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)


def map_ids(uid: tuple[int, int], gid: tuple[int, int]) -> None:
    """Maps one user and one group, each (inside, outside), in the user namespace that this process has just made."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid[0]} {uid[1]} 1"), ("gid_map", f"{gid[0]} {gid[1]} 1")):
        kernel.write_text(f"/proc/self/{name}", text)


def exit_code(status: int) -> int:
    """What waitpid gives, as a shell and Docker say it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _leave_an_init(argv: tuple[str, ...]) -> None:
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


def _bring_up_loopback() -> None:
    """`ip link set lo up`, by netdevice(7)."""
    flags_up_running, set_flags = 0x41, 0x8914
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, set_flags, struct.pack("16sh14x", b"lo", flags_up_running))


def _open_slave(master: int) -> int:
    unlock, number = 0x40045431, 0x80045430
    fcntl.ioctl(master, unlock, struct.pack("i", 0))
    index = struct.unpack("i", fcntl.ioctl(master, number, struct.pack("i", 0)))[0]
    return os.open(f"/dev/pts/{index}", os.O_RDWR | os.O_NOCTTY)
