"""A seccomp listener: calls that wait for an answer. seccomp_unotify(2); struct seccomp_notif, _resp, _addfd.

A process that is killed while it waits takes its question with it (ENOENT): an answer to nobody is no error.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

_RECV, _SEND, _ADDFD, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40182103, 0x40082104
_CONTINUE, _ADDFD_SEND, _SYNC_WAKE_UP = 1, 2, 1
_EMPTY = bytes(80)
_question = struct.Struct("=QIIiIQ6Q")
_answer = struct.Struct("=QqiI")
_handover = struct.Struct("=QIIII")


class Listener:
    """Owns the descriptor of one filter's notifications."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        try:
            # The answer runs on the processor that asked: less than half the time. Linux 6.6.
            fcntl.ioctl(fd, _SET_FLAGS, _SYNC_WAKE_UP)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTTY):
                raise

    def receive(self) -> tuple[int, ...] | None:
        """The next question: id, task, flags, call, architecture, instruction pointer, six arguments. None where it is gone."""
        try:
            return _question.unpack(fcntl.ioctl(self.fd, _RECV, _EMPTY))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):
                return None
            raise

    def answer(self, identifier: int, value: int) -> None:
        """The call gives `value`, or fails where it is a negative errno."""
        if value < 0:
            self._send(identifier, 0, value, 0)
        else:
            self._send(identifier, value, 0, 0)

    def let_through(self, identifier: int) -> None:
        """The kernel makes the call as it is."""
        self._send(identifier, 0, 0, _CONTINUE)

    def give(self, identifier: int, fd: int, close_on_exec: bool) -> None:
        """The call gives a descriptor that is a duplicate of `fd`; that one is closed here."""
        try:
            fcntl.ioctl(self.fd, _ADDFD, _handover.pack(identifier, _ADDFD_SEND, fd, 0, os.O_CLOEXEC if close_on_exec else 0))
        except OSError as error:
            if error.errno != errno.ENOENT:
                self._send(identifier, 0, -(error.errno or errno.EIO), 0)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Whoever asks from now on gets ENOSYS."""
        os.close(self.fd)

    def _send(self, identifier: int, value: int, error: int, flags: int) -> None:
        try:
            fcntl.ioctl(self.fd, _SEND, _answer.pack(identifier, value, error, flags))
        except OSError as failure:
            if failure.errno != errno.ENOENT:
                raise
