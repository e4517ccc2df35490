"""Calls that the kernel makes with other arguments: the tracer exchanges them as the call begins, and puts them back as it ends.

What is put in their place lies on the stack of the caller, below what it uses (the red zone of the x86-64 ABI is 128 bytes).
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from dockerlab.engine.rootfs import recorded
from dockerlab.engine.runtime.credentials import Identity
from dockerlab.engine.runtime.plan import Network
from dockerlab.engine.runtime.redirect import is_any, restore, rewrite
from dockerlab.engine.runtime.redirection import may_be_a_clients
from dockerlab.engine.runtime.supervisor.answers import AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, Paths, error
from dockerlab.engine.runtime.supervisor.executables import Elf, Executables, Script, inspect
from dockerlab.engine.runtime.supervisor.folders import Place
from dockerlab.engine.runtime.supervisor.machine import Machine
from dockerlab.engine.runtime.supervisor.members import Member
from dockerlab.engine.runtime.supervisor.tracing import Registers

_AT_CWD = 0xFFFFFF9C
_RED_ZONE = 128
_MOST_SCRIPTS = 5
_LONGEST_ARGUMENT = 1 << 17
_LONGEST_ADDRESS = 128
_LONGEST_SOCKET_PATH = 107
_DONT_FOLLOW = 0x02000000  # of inotify


@dataclass
class Exchanged:
    """A call that is on its way with other arguments. before: what they were. program: what is run, if it is an execve. after: what is
    to be done when it has been made."""

    before: dict[int, int]
    program: bytes = b""
    file: bytes = b""
    identity: Identity | None = None
    held: list[int] = field(default_factory=list)
    after: Callable[[], None] | None = None

    def release(self) -> None:
        """Closes what was open for the call's sake."""
        for fd in self.held:
            os.close(fd)
        self.held.clear()


class Stops:
    """What is exchanged, by call."""

    def __init__(self, paths: Paths, machine: Machine, executables: Executables, network: Network, owned: bytes) -> None:
        self._paths, self._view, self._machine, self._executables = paths, paths.view, machine, executables
        self._network = network
        self._owned = owned + b"/"
        names: dict[str, Callable[[Member, int, Registers], Exchanged | None]] = {
            "execve": lambda m, t, r: self._execute(m, t, r, _AT_CWD, 0, 1),
            "execveat": self._execveat,
            "chdir": self._chdir,
            "open": lambda m, t, r: self._open(m, t, r, _AT_CWD, 0, r.argument(1)),
            "openat": lambda m, t, r: self._open(m, t, r, r.argument(0), 1, r.argument(2)),
            "inotify_add_watch": self._watch,
            "bind": lambda m, t, r: self._socket(m, t, r, 1, "bind"),
            "connect": lambda m, t, r: self._socket(m, t, r, 1, "connect"),
            "sendto": lambda m, t, r: self._socket(m, t, r, 4, "connect"),
            "getsockname": self._name,
            "getpeername": self._name,
        }
        self._calls = {machine.numbers[name]: call for name, call in names.items() if name in machine.numbers}

    def exchange(self, member: Member, task: int, registers: Registers) -> Exchanged | None:
        """Prepares the call that a task has stopped at: None where it goes on as it is. Raises OSError: what it gives instead."""
        call = self._calls.get(registers.number)
        if call is None:
            raise error(errno.ENOSYS)  # a filter of the container's own asked for a tracer
        return call(member, task, registers)

    # --- the stack

    def _put(self, member: Member, registers: Registers, data: bytes, *, below: int = 0) -> int:
        """Writes data below the stack, and below what is there already; gives its address."""
        address = (below or registers.stack - _RED_ZONE) - len(data) & ~15
        member.write(address, data)
        return address

    def _replace(self, member: Member, registers: Registers, index: int, path: bytes) -> Exchanged:
        exchanged = Exchanged({index: registers.argument(index)})
        registers.set_argument(index, self._put(member, registers, path + b"\0"))
        registers.store()
        return exchanged

    # --- paths

    def _chdir(self, member: Member, task: int, registers: Registers) -> Exchanged:
        path = self._paths.at(member, task, _AT_CWD, registers.argument(0))
        folder, name, host, found = self._paths.there(path, member)
        assert found is not None
        if name or not stat.S_ISDIR(found.st_mode):
            raise error(errno.ENOTDIR)
        if not self._view.allows(folder, member.identity, 1):
            raise error(errno.EACCES)
        return self._replace(member, registers, 0, host)

    def _open(self, member: Member, task: int, registers: Registers, fd: int, index: int, flags: int) -> Exchanged:
        path = self._paths.at(member, task, fd, registers.argument(index))
        place = self._paths.there(path, member, follow=not flags & os.O_NOFOLLOW)
        return self._replace(member, registers, index, place[2])

    def _watch(self, member: Member, task: int, registers: Registers) -> Exchanged:
        flags = registers.argument(2)
        path = self._paths.at(member, task, _AT_CWD, registers.argument(1))
        place = self._paths.there(path, member, follow=not flags & _DONT_FOLLOW)
        if not place[1] and not place[0].area.readonly and place[0].area.kind == "tree":
            self._view.own(place[0], member)  # so that what is made in it is made where it is watched
            return self._replace(member, registers, 1, place[0].host)
        return self._replace(member, registers, 1, place[2])

    # --- programs

    def _execveat(self, member: Member, task: int, registers: Registers) -> Exchanged | None:
        if registers.argument(4) & AT_EMPTY_PATH and not member.text(registers.argument(1)):
            path = self._paths.of_descriptor(task, registers.argument(0))
            if path is None:  # a program in memory
                fd = registers.argument(0)
                return self._run(member, registers, b"/proc/%d/fd/%d" % (member.pid, fd), b"/dev/fd/%d" % fd, 1, 2, follow=True)
            return self._run(member, registers, path, path, 1, 2, follow=True)
        return self._execute(member, task, registers, registers.argument(0), 1, 2)

    def _execute(self, member: Member, task: int, registers: Registers, fd: int, index: int, arguments: int) -> Exchanged:
        path = self._paths.at(member, task, fd, registers.argument(index))
        shown = member.text(registers.argument(index))
        follow = index == 0 or not registers.argument(4) & AT_SYMLINK_NOFOLLOW
        return self._run(member, registers, path, shown, index, arguments, follow=follow)

    def _run(
        self, member: Member, registers: Registers, path: bytes, shown: bytes, index: int, arguments: int, *, follow: bool
    ) -> Exchanged:
        prefix: list[bytes] = []
        identity = member.identity
        name = path.rpartition(b"/")[2]
        for _ in range(_MOST_SCRIPTS):
            place = self._paths.there(path, member, follow=follow)
            kind, shown_mode = self._inspect(member, place)
            if not isinstance(kind, Script):
                break
            # The interpreter's arguments: what the line says, then the script.
            prefix = [kind.interpreter, *([kind.argument] if kind.argument is not None else []), shown, *prefix[1:]]
            shown = kind.interpreter
            path = shown if shown[:1] == b"/" else self._paths.base(member.pid, _AT_CWD) + b"/" + shown
        else:
            raise error(errno.ELOOP)
        host = self._executables.prepare(
            place[2], name, kind, place[2].startswith(self._owned), lambda text: self._linker(text, member)
        )
        exchanged = Exchanged({index: registers.argument(index), arguments: registers.argument(arguments)})
        exchanged.program, exchanged.file = self._guest(place), shown
        exchanged.identity = _after_exec(identity, shown_mode)
        address = self._put(member, registers, host + b"\0")
        registers.set_argument(index, address)
        if prefix:
            registers.set_argument(
                arguments, self._put_arguments(member, registers, prefix, address, registers.argument(arguments))
            )
        registers.store()
        return exchanged

    def _inspect(self, member: Member, place: Place) -> tuple[Script | Elf, recorded.Recorded]:
        _, _, host, found = place
        assert found is not None
        if not stat.S_ISREG(found.st_mode):
            raise error(errno.EACCES)
        shown = self._view.recorded(place)
        if not shown.mode & 0o111 or not member.identity.allows(shown.uid, shown.gid, shown.mode, 1) or shown.device:
            raise error(errno.EACCES)
        return inspect(host, self._machine), shown

    def _guest(self, place: Place) -> bytes:
        folder, name, _, _ = place
        return folder.guest + (b"/" + name if name else b"")

    def _linker(self, path: bytes, member: Member) -> tuple[bytes, bool]:
        _, _, host, found = self._paths.there(path, member)
        assert found is not None
        if not stat.S_ISREG(found.st_mode):
            raise error(errno.EACCES)
        return host, host.startswith(self._owned)

    def _put_arguments(self, member: Member, registers: Registers, prefix: list[bytes], below: int, old: int) -> int:
        """A script's arguments: `prefix`, then those from the second on, as they were. Gives the address of the array."""
        pointers: list[int] = []
        place = old
        while old:
            (pointer,) = struct.unpack("=Q", member.exactly(place, 8))
            if not pointer:
                break
            pointers.append(pointer)
            place += 8
            if len(pointers) > _LONGEST_ARGUMENT:
                raise error(errno.E2BIG)
        new = []
        for text in prefix:
            below = self._put(member, registers, text + b"\0", below=below)
            new.append(below)
        array = struct.pack(f"={len(new) + len(pointers[1:]) + 1}Q", *new, *pointers[1:], 0)
        return self._put(member, registers, array, below=below)

    # --- sockets

    def _socket(self, member: Member, task: int, registers: Registers, index: int, operation: str) -> Exchanged | None:
        length = min(registers.argument(index + 1) & 0xFFFFFFFF, _LONGEST_ADDRESS)
        address = member.read(registers.argument(index), length)
        if len(address) < 2:
            return None
        family = int.from_bytes(address[:2], sys.byteorder)
        if family == socket.AF_UNIX:
            return self._unix(member, task, registers, index, address[2:].partition(b"\0")[0], operation)
        if family in (socket.AF_INET, socket.AF_INET6) and self._network.mode != "host":
            if operation == "bind" and is_any(address) and may_be_a_clients(task, registers.argument(index - 1) & 0xFFFFFFFF):
                return None
            new = rewrite(address, self._network.address, "bind" if operation == "bind" else "connect", self._network.first_port)
            own = socket.inet_aton(self._network.address)
            if self._network.mode == "none" and operation == "connect" and own not in (new or address):
                raise error(errno.ENETUNREACH)
            if new is None:
                return None
            exchanged = Exchanged({index: registers.argument(index)})
            registers.set_argument(index, self._put(member, registers, new))
            registers.store()
            return exchanged
        return None

    def _name(self, member: Member, task: int, registers: Registers) -> Exchanged | None:
        if not self._network.first_port:
            return None
        place, length_place = registers.argument(1), registers.argument(2)
        (size,) = struct.unpack("=I", member.exactly(length_place, 4))

        def restored() -> None:
            (length,) = struct.unpack("=I", member.exactly(length_place, 4))
            name = member.exactly(place, min(length, size, _LONGEST_ADDRESS))
            if (new := restore(name, self._network.first_port)) != name:
                member.write(place, new)

        return Exchanged({}, after=restored)

    def _unix(self, member: Member, task: int, registers: Registers, index: int, path: bytes, operation: str) -> Exchanged | None:
        if not path:
            return None  # an abstract name, or none
        path = path if path[:1] == b"/" else self._paths.base(task, _AT_CWD) + b"/" + path
        place = self._view.locate(path, member, follow=operation != "bind")
        folder, name, host, found = place
        if operation == "bind":
            if found is not None:
                raise error(errno.EADDRINUSE)
            self._paths.parent(place, member)
            host = folder.host + name
        elif found is None:
            raise error(errno.ENOENT)
        elif stat.S_ISSOCK(found.st_mode) and not name and not folder.is_file:
            raise error(errno.ECONNREFUSED)
        exchanged = Exchanged({index: registers.argument(index), index + 1: registers.argument(index + 1)})
        if len(host) > _LONGEST_SOCKET_PATH:
            fd = os.open(host.rpartition(b"/")[0], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            exchanged.held.append(fd)
            host = b"/proc/%d/fd/%d/" % (os.getpid(), fd) + host.rpartition(b"/")[2]
        if len(host) > _LONGEST_SOCKET_PATH:
            exchanged.release()
            raise error(errno.ENAMETOOLONG)
        data = struct.pack("=H", socket.AF_UNIX) + host + b"\0"
        registers.set_argument(index, self._put(member, registers, data))
        registers.set_argument(index + 1, len(data))
        registers.store()
        return exchanged


def _after_exec(identity: Identity, file: recorded.Recorded) -> Identity:
    """Who a process is once it runs a file: set-id bits count."""
    uids, gids = identity.uids, identity.gids
    uid = file.uid if file.mode & stat.S_ISUID else uids[1]
    gid = file.gid if file.mode & stat.S_ISGID and file.mode & 0o010 else gids[1]
    return Identity((uids[0], uid, uid, uid), (gids[0], gid, gid, gid), identity.groups)
