"""The seccomp notifications of one container's processes, read in its monitor: who answers which call.

seccomp_unotify(2), `struct seccomp_notif`. A call is answered, or goes on in the kernel, maybe after something has been changed in the
caller's memory. This is no boundary: another thread of the caller may change it back.
"""

from __future__ import annotations

import fcntl
import os
import select
import selectors
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_REQUEST = struct.Struct("=QIIiIQ6Q")  # id, pid, flags, then seccomp_data: number, architecture, instruction pointer, arguments
_ANSWER = struct.Struct("=QqiI")
_CONTINUE = 1


@dataclass(frozen=True)
class Reply:
    """value: what the call gives. failure: an errno, 0 for success. goes_on: the kernel makes it instead."""

    value: int = 0
    failure: int = 0
    goes_on: bool = False


GOES_ON = Reply(goes_on=True)
# The caller's task, and the arguments.
Handler = Callable[[int, Sequence[int]], Reply]


class Listener:
    """fd: of the notifications; registered in `selector` until the last process that could send one has ended. handlers: by number."""

    def __init__(self, fd: int, handlers: Mapping[int, Handler], selector: selectors.BaseSelector) -> None:
        self._fd, self._handlers, self._selector = fd, handlers, selector
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
        identifier, task, _, number, _, _, *arguments = _REQUEST.unpack(request)
        reply = self._handlers[number](task, arguments)
        with suppress(OSError):  # killed meanwhile
            fcntl.ioctl(self._fd, _SEND, _ANSWER.pack(identifier, reply.value, -reply.failure, _CONTINUE if reply.goes_on else 0))


def _has_input(fd: int) -> bool:
    watcher = select.poll()
    watcher.register(fd, select.POLLIN)
    return any(mask & select.POLLIN for _, mask in watcher.poll(0))
