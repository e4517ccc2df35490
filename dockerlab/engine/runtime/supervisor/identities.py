"""Who a process is, answered from what the supervisor keeps of it (see `credentials`), and what else belongs to it: capabilities, umask.

The container's root has Docker's default capabilities in what these calls say; the kernel gives none.
"""

from __future__ import annotations

import errno
import struct

from dockerlab.engine.runtime.credentials import ASKING, CHANGING, Answer
from dockerlab.engine.runtime.supervisor.answers import Handler, error
from dockerlab.engine.runtime.supervisor.members import Member

_CAPABILITIES = 0x00000000A80425FB  # Docker's default set
_VERSION_1 = 0x19980330
_VERSION_3 = 0x20080522


def handlers() -> dict[str, Handler]:
    """By the names of the calls."""
    found = {name: _handler(answer) for name, answer in {**ASKING, **CHANGING}.items()}
    return found | {"capget": _capget, "umask": _umask}


def _handler(answer: Answer) -> Handler:
    return lambda member, task, arguments: answer(member, arguments)


def _capget(member: Member, task: int, a: tuple[int, ...]) -> int:
    version, _ = struct.unpack("=Ii", member.exactly(a[0], 8))
    if version not in (_VERSION_1, 0x20071026, _VERSION_3):
        member.write(a[0], struct.pack("=I", _VERSION_3))
        if a[1]:
            raise error(errno.EINVAL)
        return 0
    if a[1]:
        mask = _CAPABILITIES if member.identity.is_privileged else 0
        low, high = mask & 0xFFFFFFFF, mask >> 32
        data = struct.pack("=3I", low, low, 0)
        member.write(a[1], data if version == _VERSION_1 else data + struct.pack("=3I", high, high, 0))
    return 0


def _umask(member: Member, task: int, a: tuple[int, ...]) -> int:
    old, member.umask = member.umask, a[0] & 0o777
    return old
