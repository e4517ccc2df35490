"""Processes of a user namespace that has a single id, and ask for others: told that they got them, and afterwards that they have them.

Programs that give up rights (apt's downloads, su, servers) look whether they did. What a process pretends to be goes to its children as
real ids do: it is a number that the kernel hands on, in a limit that hardly anybody uses, that of bytes in POSIX message queues
(getrlimit(2), RLIMIT_MSGQUEUE), lowered by one for each identity. Files go on to belong to the one id, and are open to whom it pretends
to be: this hides nothing from anybody.
"""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Sequence
from dataclasses import replace

from dockerlab.engine.runtime import bpf, kernel
from dockerlab.engine.runtime.credentials import ASKING, CHANGING, Answer, Identity
from dockerlab.engine.runtime.notifications import GOES_ON, Handler, Reply

_CARRIER = 12  # RLIMIT_MSGQUEUE, which `resource` has a name for only as of Python 3.12
_MOST_BYTES = 1 << 40  # in place of no limit
_MOST = 1 << 12  # identities in one container


class Pretence:
    """What the processes of one container pretend to be."""

    def __init__(self) -> None:
        self._identities: dict[int, Identity] = {}
        self._numbers: dict[Identity, int] = {}
        self._programs: dict[int, str] = {}  # of tasks that can change: another program that they run cannot

    def handlers(self) -> dict[int, Handler]:
        """By the numbers of the calls."""
        asking = {name: self._asked(answer) for name, answer in ASKING.items()}
        changing = {name: self._changed(answer) for name, answer in CHANGING.items()}
        return {number: handler for name, handler in (asking | changing).items() if (number := bpf.number(name)) is not None}

    def of(self, task: int) -> Identity | None:
        """None for who never asked to be somebody else. Raises OSError where it is gone."""
        identity = self._identities.get(resource.prlimit(task, _CARRIER)[0])
        if identity and identity.can_change and self._programs.get(task) != os.readlink(f"/proc/{task}/exe"):
            return replace(identity, can_change=False)
        return identity

    def keep(self, task: int, identity: Identity) -> None:
        """Raises OSError where there is no room for one more."""
        hard = resource.prlimit(task, _CARRIER)[1]
        most = _MOST_BYTES if hard == resource.RLIM_INFINITY else hard
        number = self._numbers.get(identity, most)
        if number >= most:
            number = min([most, *self._identities]) - 1
            if number <= 0 or len(self._identities) >= _MOST:
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        resource.prlimit(task, _CARRIER, (number, hard))
        self._identities[number] = identity
        self._numbers[identity] = number
        self._programs.pop(task, None)
        if identity.can_change and len(self._programs) < _MOST:
            self._programs[task] = os.readlink(f"/proc/{task}/exe")

    def _asked(self, answer: Answer) -> Handler:
        def handle(task: int, arguments: Sequence[int]) -> Reply:
            if not self._identities:
                return GOES_ON
            try:
                identity = self.of(task)
                return GOES_ON if identity is None else Reply(answer(_Caller(self, task, identity), arguments))
            except OSError as error:
                return Reply(failure=error.errno or errno.EIO)

        return handle

    def _changed(self, answer: Answer) -> Handler:
        def handle(task: int, arguments: Sequence[int]) -> Reply:
            try:
                return Reply(answer(_Caller(self, task, self.of(task) or _real(task)), arguments))
            except OSError as error:
                return Reply(failure=error.errno or errno.EIO)

        return handle


class _Caller:
    """A `credentials.Caller`."""

    def __init__(self, pretence: Pretence, task: int, identity: Identity) -> None:
        self._pretence, self._task, self.identity = pretence, task, identity

    def exactly(self, address: int, size: int, /) -> bytes:
        memory = os.open(f"/proc/{self._task}/mem", os.O_RDONLY)
        try:
            data = os.pread(memory, size, address)
        except (OSError, OverflowError):
            data = b""
        finally:
            os.close(memory)
        if len(data) < size:
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
        return data

    def write(self, address: int, data: bytes, /) -> None:
        memory = os.open(f"/proc/{self._task}/mem", os.O_WRONLY)
        try:
            os.pwrite(memory, data, address)
        except (OSError, OverflowError):
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT)) from None
        finally:
            os.close(memory)

    def become(self, identity: Identity, /) -> None:
        self._pretence.keep(self._task, identity)
        self.identity = identity


def _real(task: int) -> Identity:
    """What the kernel says of a process: the one id of its user namespace."""
    uid, gid = (int(kernel.open_text(f"/proc/{task}/{name}_map").split()[0]) for name in ("uid", "gid"))
    return Identity((uid,) * 4, (gid,) * 4)
