"""From a fork of the supervisor to a command of the container: what happens in the new process.

Once the filter is on, this very process lives in the container: every path that it names is answered by the supervisor, and what
`runtime.entry` does is right without knowing.
"""

from __future__ import annotations

import bz2
import lzma
import os
import resource
import socket
import zlib
from dataclasses import dataclass

from dockerlab.engine.runtime import entry, jobs, kernel
from dockerlab.engine.runtime.account import Account
from dockerlab.engine.runtime.entry import StartFailed
from dockerlab.engine.runtime.plan import Process

# Modules that the standard library would load when an archive needs them: in the container there is no standard library.
_LOADED = (bz2, lzma, zlib)


@dataclass(frozen=True)
class Descriptors:
    """What a new process gets. stdio: -1s for a terminal. status: JSON if it cannot start. channel: for its terminal's master."""

    stdio: tuple[int, int, int]
    status: int
    channel: int


def be_born(process: Process, given: Descriptors, line: socket.socket, program: bytes, limits: tuple[int, int]) -> None:
    """Becomes the command; does not return. line: to the supervisor, which gets the listener. limits: of open files."""
    code = entry.NOT_RUNNABLE
    status = given.status
    try:
        line.recv(1)  # the supervisor traces this process now
        os.setsid()
        entry.reset_signals()
        stdio = _terminal(process, given.channel) if process.tty else given.stdio
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        entry.set_limits(process.rlimits)
        entry.adjust_oom_score(process.oom_score_adj)
        stdio, status, line_fd = _arrange(stdio, status, line.detach())
        os.umask(0o022)  # the true one: of sockets, which the kernel makes
        listener = _filter(program)
        with socket.socket(fileno=line_fd) as channel:
            socket.send_fds(channel, [b"l"], [listener])
        os.close(listener)
        os.umask(0o022)
        account = entry.account_of(process)
        entry.change_directory(process)
        if process.job:
            os.close(status)
            code = jobs.run(process.job, process.arguments)
        else:
            entry.execute(process.argv, entry.environment(process, account), lambda: _become(account))
    except BaseException as failure:  # noqa: BLE001  this process ends here; the reason goes to who waits for it
        entry.report(status, failure)
        code = failure.exit_code if isinstance(failure, StartFailed) else code
    finally:
        os._exit(code)


def _terminal(process: Process, channel: int) -> tuple[int, int, int]:
    master, slave = os.openpty()
    entry.take_terminal(slave, process.size)
    with socket.socket(fileno=os.dup(channel)) as there:
        socket.send_fds(there, [b"tty"], [master])
    os.close(master)
    return slave, slave, slave


def _arrange(stdio: tuple[int, int, int], status: int, line: int) -> tuple[tuple[int, int, int], int, int]:
    """Puts every descriptor in its place, and closes all that is the supervisor's."""
    high = [os.dup(fd) for fd in (*stdio, status, line)]
    for target, fd in enumerate(high):
        os.dup2(fd, target, inheritable=target < 3)
    os.closerange(5, 1 << 20)
    return (0, 1, 2), 3, 4


def _filter(program: bytes) -> int:
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    listener = kernel.SECCOMP_FILTER_FLAG_NEW_LISTENER
    try:
        return kernel.seccomp(program, listener | kernel.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
    except OSError:
        return kernel.seccomp(program, listener)  # before Linux 5.19


def _become(account: Account) -> None:
    os.setgroups(account.groups)
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
