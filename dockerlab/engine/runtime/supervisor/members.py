"""The container's processes, as the supervisor knows them: who each pretends to be, and its memory.

A *task* is a thread, a *member* a process; the kernel asks about tasks. Identities are kept for the process as a whole: the C library sets
them for all threads at once.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from dataclasses import dataclass, field

from dockerlab.engine.runtime.credentials import Identity

_PIECE = 256
_LONGEST_PATH = 4096
_AT_EXECFN = 31
_TTY_NR = 4  # of /proc/PID/stat, counted from the state
_PTS = 136  # the major number of pseudo terminals


@dataclass
class Member:
    """A process. pid: the kernel's. program: what /proc/PID/exe shows."""

    pid: int
    identity: Identity = field(default_factory=Identity)
    umask: int = 0o022
    program: bytes = b""
    tasks: set[int] = field(default_factory=set)
    _memory: int = -1

    def read(self, address: int, size: int) -> bytes:
        """Bytes of its memory: fewer where it ends. Raises OSError (EFAULT)."""
        try:
            data = os.pread(self._open(), size, address)
        except (OSError, OverflowError):
            raise OSError(errno.EFAULT, "bad address") from None
        if not data and size:
            raise OSError(errno.EFAULT, "bad address")
        return data

    def exactly(self, address: int, size: int) -> bytes:
        """All `size` bytes. Raises OSError (EFAULT)."""
        data = self.read(address, size)
        if len(data) < size:
            raise OSError(errno.EFAULT, "bad address")
        return data

    def text(self, address: int) -> bytes:
        """A path of its memory. Raises OSError (EFAULT, ENAMETOOLONG)."""
        data = self.read(address, _PIECE)
        end = data.find(b"\0")
        if end >= 0:
            return data[:end]
        data = self.read(address, _LONGEST_PATH)
        end = data.find(b"\0")
        if end < 0:
            raise OSError(errno.ENAMETOOLONG, "file name too long")
        return data[:end]

    def string(self, address: int, longest: int) -> bytes:
        """A string that may be long, as the arguments of execve are. Raises OSError (EFAULT, E2BIG)."""
        data = b""
        while len(data) < longest:
            piece = self.read(address + len(data), _LONGEST_PATH)
            end = piece.find(b"\0")
            if end >= 0:
                return data + piece[:end]
            data += piece
        raise OSError(errno.E2BIG, "argument list too long")

    def write(self, address: int, data: bytes) -> None:
        """Changes its memory. Raises OSError (EFAULT)."""
        try:
            written = os.pwrite(self._open(), data, address)
        except (OSError, OverflowError):
            raise OSError(errno.EFAULT, "bad address") from None
        if written != len(data):
            raise OSError(errno.EFAULT, "bad address")

    def become(self, identity: Identity) -> None:
        """Who it pretends to be from now on."""
        self.identity = identity

    def terminal(self) -> str:
        """The path of the terminal that controls it, which /dev/tty stands for. Raises OSError (ENXIO)."""
        with open(f"/proc/{self.pid}/stat", encoding="utf-8", errors="replace") as file:
            device = int(file.read().rpartition(")")[2].split()[_TTY_NR])
        if os.major(device) != _PTS:
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
        return f"/dev/pts/{os.minor(device)}"

    def tell_path(self, name: bytes) -> None:
        """What the kernel has told a new program of its own path (AT_EXECFN) becomes the container's. Raises OSError."""
        with open(f"/proc/{self.pid}/auxv", "rb") as file:
            vector = memoryview(file.read()).cast("Q")
        for place in range(0, len(vector) - 1, 2):
            if vector[place] == _AT_EXECFN and len(self.text(vector[place + 1])) >= len(name):
                self.write(vector[place + 1], name + b"\0")

    def forget_memory(self) -> None:
        """It runs another program: what was its memory is no more."""
        if self._memory >= 0:
            os.close(self._memory)
            self._memory = -1

    def child(self, pid: int) -> Member:
        """What a fork makes of it."""
        return Member(pid, self.identity, self.umask, self.program, {pid})

    def _open(self) -> int:
        if self._memory < 0:
            self._memory = os.open(f"/proc/{self.pid}/mem", os.O_RDWR | os.O_CLOEXEC)
        return self._memory


class Members:
    """All of them, by task. first: the container's own process, which it may call 1."""

    def __init__(self) -> None:
        self._tasks: dict[int, Member] = {}
        self._members: dict[int, Member] = {}
        self.first = 0

    def __len__(self) -> int:
        return len(self._tasks)

    def of(self, task: int) -> Member | None:
        """The process that a task belongs to."""
        return self._tasks.get(task)

    def contains(self, pid: int) -> bool:
        """Whether a process, or a thread, is one of the container's."""
        return pid in self._tasks

    def pids(self) -> Collection[int]:
        """The processes."""
        return list(self._members)

    def real(self, pid: int) -> int:
        """A process id that the container names, as the kernel's: 1 is its own first process."""
        return self.first if pid == 1 and self.first else pid

    def start(self, pid: int) -> Member:
        """A process that the supervisor itself has forked."""
        member = Member(pid, tasks={pid})
        self._tasks[pid] = self._members[pid] = member
        return member

    def add(self, parent: int, task: int) -> None:
        """A task that another one has made: a thread of its, or a process."""
        member = self._tasks.get(parent)
        if member is None or task in self._tasks:
            return
        if task_is_thread(member.pid, task):
            member.tasks.add(task)
            self._tasks[task] = member
        else:
            self._tasks[task] = self._members[task] = member.child(task)

    def executed(self, former: int, pid: int) -> Member | None:
        """A process runs another program; of its threads the one that asked is left, with the id of the process."""
        member = self._tasks.get(former) or self._tasks.get(pid)
        if member is None:
            return None
        for task in member.tasks - {pid}:
            self._tasks.pop(task, None)
        member.tasks = {pid}
        self._tasks[pid] = self._members[pid] = member
        member.forget_memory()
        return member

    def remove(self, task: int) -> None:
        """A task has ended."""
        member = self._tasks.pop(task, None)
        if member is None:
            return
        member.tasks.discard(task)
        if not member.tasks:
            member.forget_memory()
            self._members.pop(member.pid, None)


def task_is_thread(pid: int, task: int) -> bool:
    """Whether `task` is a thread of the process `pid`."""
    return os.path.exists(f"/proc/{pid}/task/{task}")
