"""Answers bind, connect and sendto for the processes of one container: seccomp notifications, read in its monitor.

The address is rewritten in the caller's memory, through /proc/PID/mem, and the call goes on as if it had been made so
(seccomp_unotify(2), `struct seccomp_notif`). Where ports are moved, getsockname and getpeername are answered, too. This is no boundary:
it gives each container its place on the host's network, it does not keep a hostile one from anything.
"""

from __future__ import annotations

import errno
import fcntl
import os
import selectors
import struct
from contextlib import suppress

from dockerlab.engine.runtime import bpf, kernel
from dockerlab.engine.runtime.plan import Network
from dockerlab.engine.runtime.redirect import is_any, is_low, restore, rewrite

_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_REQUEST = struct.Struct("=QIIiIQ6Q")  # id, pid, flags, then seccomp_data: number, architecture, instruction pointer, arguments
_ANSWER = struct.Struct("=QqiI")
_LENGTH = struct.Struct("=I")
_CONTINUE = 1
_LONGEST = 128  # sizeof(struct sockaddr_storage)
_CLIENTS = ("UDP", "UDPv6")


class Listener:
    """fd: of the notifications; registered in `selector` until the last process that could send one has ended."""

    def __init__(self, fd: int, network: Network, selector: selectors.BaseSelector) -> None:
        self._fd, self._network, self._selector = fd, network, selector
        self._bind, self._sendto = bpf.number("bind"), bpf.number("sendto")
        self._getsockname, self._getpeername = (bpf.number(name) for name in bpf.NAMES_OF_SOCKETS)
        os.set_inheritable(fd, False)
        selector.register(fd, selectors.EVENT_READ, lambda mask: self._serve())

    def _serve(self) -> None:
        request = bytearray(_REQUEST.size)
        # A poll that says the listener is ready, with nothing to receive, means that its last process is gone.
        if not _has_input(self._fd):
            self._selector.unregister(self._fd)
            os.close(self._fd)
            return
        try:
            fcntl.ioctl(self._fd, _RECEIVE, request)
        except OSError:
            return  # the caller was killed before it was heard
        identifier, pid, _, number, _, _, fd, place, length, _, place_sent, length_sent = _REQUEST.unpack(request)
        if number == self._sendto:
            place, length = place_sent, length_sent
        answer = (0, _CONTINUE)
        with suppress(OSError):  # killed meanwhile, or a bad argument: the kernel says so to the caller itself
            if number in (self._getsockname, self._getpeername):
                answer = self._name(pid, fd & 0xFFFFFFFF, place, length, number == self._getsockname)
            else:
                answer = self._rewrite(pid, fd & 0xFFFFFFFF, place, min(length & 0xFFFFFFFF, _LONGEST), number == self._bind)
        with suppress(OSError):
            fcntl.ioctl(self._fd, _SEND, _ANSWER.pack(identifier, 0, *answer))

    def _rewrite(self, pid: int, fd: int, place: int, length: int, is_bind: bool) -> tuple[int, int]:
        """Gives the answer's error and flags."""
        memory = os.open(f"/proc/{pid}/mem", os.O_RDWR)
        try:
            asked = os.pread(memory, length, place)
            if is_bind and is_any(asked) and may_be_a_clients(pid, fd):
                return 0, _CONTINUE
            new = rewrite(asked, self._network.address, "bind" if is_bind else "connect", self._network.first_port)
            if new and is_bind and is_low(new):
                return self._bind_for(pid, fd, new), 0
            if new:
                os.pwrite(memory, new, place)
            return 0, _CONTINUE
        finally:
            os.close(memory)

    def _bind_for(self, pid: int, fd: int, address: bytes) -> int:
        """Binds a low port, which is ours to have, for somebody who need not be root inside. Gives 0, or a negative errno."""
        with kernel.borrow_socket(pid, fd) as found:
            try:
                kernel.bind(found.fileno(), address)
            except OSError as failure:
                return -(failure.errno or errno.EIO)
        return 0

    def _name(self, pid: int, fd: int, place: int, length_place: int, is_own: bool) -> tuple[int, int]:
        """Answers getsockname or getpeername."""
        with kernel.borrow_socket(pid, fd) as found:
            name = kernel.socket_name(found.fileno(), is_own=is_own)
        memory = os.open(f"/proc/{pid}/mem", os.O_RDWR)
        try:
            (size,) = _LENGTH.unpack(os.pread(memory, _LENGTH.size, length_place))
            os.pwrite(memory, restore(name, self._network.first_port)[:size], place)
            os.pwrite(memory, _LENGTH.pack(len(name)), length_place)
            return 0, 0
        finally:
            os.close(memory)


def may_be_a_clients(task: int, fd: int) -> bool:
    """Whether a socket that is to be bound to every address, and to no port in particular, may be left as it is.

    From the container's address nothing gets off this machine, and musl's resolver, for one, binds before it asks a name server. A
    server's stream is brought to its place.
    """
    try:
        return kernel.protocol(task, fd) in _CLIENTS
    except OSError:
        return True  # not told by this kernel: names count more


def _has_input(fd: int) -> bool:
    import select

    watcher = select.poll()
    watcher.register(fd, select.POLLIN)
    return any(mask & select.POLLIN for _, mask in watcher.poll(0))
