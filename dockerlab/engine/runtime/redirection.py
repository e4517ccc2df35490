"""bind, connect and sendto of a container that has an address in place of a network: answers to its processes' notifications.

The address is rewritten in the caller's memory, through /proc/PID/mem, and the call goes on as if it had been made so. Where ports are
moved, getsockname and getpeername are answered, too. It gives each container its place on the host's network, it does not keep a
hostile one from anything.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Sequence

from dockerlab.engine.runtime import bpf, kernel
from dockerlab.engine.runtime.notifications import GOES_ON, Handler, Reply
from dockerlab.engine.runtime.plan import Network
from dockerlab.engine.runtime.redirect import is_any, is_low, restore, rewrite

_LENGTH = struct.Struct("=I")
_LONGEST = 128  # sizeof(struct sockaddr_storage)
_CLIENTS = ("UDP", "UDPv6")


class Redirection:
    """network: with an address of its own."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def handlers(self) -> dict[int, Handler]:
        """By the numbers of the calls."""
        found: dict[str, Handler] = {
            "bind": lambda task, a: self._rewrite(task, a[0], a[1], a[2], is_bind=True),
            "connect": lambda task, a: self._rewrite(task, a[0], a[1], a[2], is_bind=False),
            "sendto": lambda task, a: self._rewrite(task, a[0], a[4], a[5], is_bind=False),
            "getsockname": lambda task, a: self._name(task, a, is_own=True),
            "getpeername": lambda task, a: self._name(task, a, is_own=False),
        }
        return {number: handler for name, handler in found.items() if (number := bpf.number(name)) is not None}

    def _rewrite(self, task: int, fd: int, place: int, length: int, *, is_bind: bool) -> Reply:
        try:
            return self._rewritten(task, fd & 0xFFFFFFFF, place, min(length & 0xFFFFFFFF, _LONGEST), is_bind=is_bind)
        except OSError:
            return GOES_ON  # a bad argument: the kernel says so to the caller itself

    def _rewritten(self, task: int, fd: int, place: int, length: int, *, is_bind: bool) -> Reply:
        memory = os.open(f"/proc/{task}/mem", os.O_RDWR)
        try:
            asked = os.pread(memory, length, place)
            if is_bind and is_any(asked) and may_be_a_clients(task, fd):
                return GOES_ON
            new = rewrite(asked, self._network.address, "bind" if is_bind else "connect", self._network.first_port)
            if new and is_bind and is_low(new):
                return self._bind_for(task, fd, new)
            if new:
                os.pwrite(memory, new, place)
            return GOES_ON
        finally:
            os.close(memory)

    def _bind_for(self, task: int, fd: int, address: bytes) -> Reply:
        """Binds a low port, which is ours to have, for somebody who need not be root inside."""
        with kernel.borrow_socket(task, fd) as found:
            try:
                kernel.bind(found.fileno(), address)
            except OSError as failure:
                return Reply(failure=failure.errno or errno.EIO)
        return Reply()

    def _name(self, task: int, arguments: Sequence[int], *, is_own: bool) -> Reply:
        """Answers getsockname or getpeername."""
        fd, place, length_place = arguments[0] & 0xFFFFFFFF, arguments[1], arguments[2]
        try:
            with kernel.borrow_socket(task, fd) as found:
                name = kernel.socket_name(found.fileno(), is_own=is_own)
            memory = os.open(f"/proc/{task}/mem", os.O_RDWR)
        except OSError:
            return GOES_ON
        try:
            (size,) = _LENGTH.unpack(os.pread(memory, _LENGTH.size, length_place))
            os.pwrite(memory, restore(name, self._network.first_port)[:size], place)
            os.pwrite(memory, _LENGTH.pack(len(name)), length_place)
        except OSError:
            return GOES_ON
        finally:
            os.close(memory)
        return Reply()


def may_be_a_clients(task: int, fd: int) -> bool:
    """Whether a socket that is to be bound to every address, and to no port in particular, may be left as it is.

    From the container's address nothing gets off this machine, and musl's resolver, for one, binds before it asks a name server. A
    server's stream is brought to its place.
    """
    try:
        return kernel.protocol(task, fd) in _CLIENTS
    except OSError:
        return True  # not told by this kernel: names count more
