"""Signals to the container's own processes only, and whatever else one process does to another; host names."""

from __future__ import annotations

import errno
import os
import struct
from contextlib import suppress

from dockerlab.engine.runtime.supervisor.answers import Answer, Handler, Through, error, signed
from dockerlab.engine.runtime.supervisor.filters import ABOUT_OTHERS
from dockerlab.engine.runtime.supervisor.members import Member, Members

_FIELD = 65  # of struct utsname
_IOPRIO_WHO_PROCESS = 1


class Others:
    """hostname, domainname: what uname(2) says."""

    def __init__(self, members: Members, hostname: str, domainname: str) -> None:
        self._members = members
        self._names = [hostname.encode(), domainname.encode() or b"(none)"]

    @property
    def hostname(self) -> bytes:
        """As the container has set it."""
        return self._names[0]

    def handlers(self) -> dict[str, Handler]:
        """By the names of the calls."""
        return {
            "uname": self._uname,
            "sethostname": lambda m, t, a: self._set_name(m, 0, a),
            "setdomainname": lambda m, t, a: self._set_name(m, 1, a),
            "kill": self._kill,
            "tkill": lambda m, t, a: self._checked(a[0]),
            "tgkill": lambda m, t, a: self._checked(a[0]),
            "rt_sigqueueinfo": lambda m, t, a: self._checked(a[0]),
            "rt_tgsigqueueinfo": lambda m, t, a: self._checked(a[0]),
            "pidfd_open": lambda m, t, a: self._checked(a[0]),
            "process_vm_readv": lambda m, t, a: self._checked(a[0]),
            "process_vm_writev": lambda m, t, a: self._checked(a[0]),
            "setpriority": lambda m, t, a: self._of_several(signed(a[0]), signed(a[1])),
            "ioprio_set": lambda m, t, a: self._of_several(signed(a[0]) - _IOPRIO_WHO_PROCESS, signed(a[1])),
            **dict.fromkeys(ABOUT_OTHERS, lambda m, t, a: self._checked(a[0])),
        }

    def _uname(self, member: Member, task: int, a: tuple[int, ...]) -> int:
        system = os.uname()
        fields = [system.sysname, None, system.release, system.version, system.machine]
        values = [self._names[0] or system.nodename.encode() if field is None else field.encode() for field in fields]
        member.write(a[0], struct.pack("=" + f"{_FIELD}s" * 6, *(value[: _FIELD - 1] for value in (*values, self._names[1]))))
        return 0

    def _set_name(self, member: Member, index: int, a: tuple[int, ...]) -> int:
        # Docker's default capabilities do not include this.
        raise error(errno.EPERM)

    def _checked(self, pid: int) -> Answer:
        if not self._members.contains(signed(pid)):
            raise error(errno.ESRCH)
        return Through.LET

    def _of_several(self, which: int, who: int) -> Answer:
        """which: PRIO_PROCESS, PRIO_PGRP, or PRIO_USER, whose processes are the host's, too."""
        if which == os.PRIO_USER:
            raise error(errno.EPERM)
        if who == 0:
            return Through.LET
        if which == os.PRIO_PROCESS:
            return self._checked(who)
        if not any(_group(pid) == who for pid in self._members.pids()):
            raise error(errno.ESRCH)
        return Through.LET

    def _kill(self, member: Member, task: int, a: tuple[int, ...]) -> Answer:
        pid, number = signed(a[0]), signed(a[1])
        if pid == 0:
            return self._send(member, [other for other in self._members.pids() if _group(other) == _group(member.pid)], number)
        if pid < -1:
            return self._send(member, [other for other in self._members.pids() if _group(other) == -pid], number)
        if pid == -1:
            return self._send(
                member, [other for other in self._members.pids() if other not in (member.pid, self._members.first)], number
            )
        real = self._members.real(pid)
        if not self._members.contains(real):
            raise error(errno.ESRCH)
        target = self._members.of(real)
        if target is not None and not self._may_signal(member, target):
            raise error(errno.EPERM)
        if real == pid:
            return Through.LET
        os.kill(real, number)
        return 0

    def _send(self, member: Member, pids: list[int], number: int) -> Answer:
        """To several at once. That to its own sender is the last: the answer would not reach it."""
        found = [self._members.of(pid) for pid in pids]
        allowed = [other for other in found if other is not None and self._may_signal(member, other)]
        if not allowed:
            raise error(errno.EPERM if pids else errno.ESRCH)
        if any(other is member for other in allowed) and len(allowed) == 1:
            return Through.LET
        for other in sorted(allowed, key=lambda other: other is member):
            with suppress(ProcessLookupError):  # ended meanwhile
                os.kill(other.pid, number)
        return 0

    def _may_signal(self, member: Member, other: Member) -> bool:
        me, them = member.identity.uids, other.identity.uids
        return me[1] == 0 or me[0] in (them[0], them[2]) or me[1] in (them[0], them[2])


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1
