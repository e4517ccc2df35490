"""Who a process is: getuid(2), setuid(2) and all their relatives, answered from what is kept of it. credentials(7).

For where the kernel cannot give a process the ids that it asks for, and installers insist on them. The rules are the kernel's: an
effective id of 0 may become anybody, others may go back and forth between the ids that they have.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

_MOST_GROUPS = 65536
_CAP_SETGID, _CAP_SETUID = 1 << 6, 1 << 7
_UNCHANGED = 0xFFFFFFFF
Ids = tuple[int, int, int, int]
_Which = Literal["uids", "gids"]


@dataclass(frozen=True)
class Identity:
    """Real, effective, saved and file system ids, as credentials(7) has them. can_change: though it is not root, it has kept that
    capability when it gave up being root, until its next change of uids."""

    uids: Ids = (0, 0, 0, 0)
    gids: Ids = (0, 0, 0, 0)
    groups: tuple[int, ...] = ()
    can_change: bool = False

    @property
    def is_root(self) -> bool:
        """Whether files are open to it whatever their mode."""
        return self.uids[3] == 0

    @property
    def is_privileged(self) -> bool:
        """Whether it may become anybody."""
        return self.uids[1] == 0 or self.can_change

    def allows(self, uid: int, gid: int, mode: int, wanted: int) -> bool:
        """Whether what belongs to uid:gid may be read (4), written (2) and executed or searched (1)."""
        if self.is_root:
            return True
        if self.uids[3] == uid:
            bits = mode >> 6
        elif self.gids[3] == gid or gid in self.groups:
            bits = mode >> 3
        else:
            bits = mode
        return bits & wanted == wanted


class Caller(Protocol):
    """The process that asks."""

    @property
    def identity(self) -> Identity:
        """Who it is."""

    def exactly(self, address: int, size: int, /) -> bytes:
        """Bytes of its memory. Raises OSError (EFAULT)."""

    def write(self, address: int, data: bytes, /) -> None:
        """Changes its memory. Raises OSError (EFAULT)."""

    def become(self, identity: Identity, /) -> None:
        """Who it is from now on."""


# Gives the call's value. An OSError is an answer, too.
Answer = Callable[[Caller, Sequence[int]], int]


def as_identifier(value: int) -> int:
    """An argument that is a uid or a gid: -1 where it leaves as it is."""
    value &= 0xFFFFFFFF
    return -1 if value == _UNCHANGED else value


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _set(which: _Which, rule: Callable[[Ids, Sequence[int], bool], Ids]) -> Answer:
    def answer(caller: Caller, arguments: Sequence[int]) -> int:
        identity = caller.identity
        ids = rule(getattr(identity, which), [as_identifier(value) for value in arguments], identity.is_privileged)
        caller.become(_with(identity, which, ids))
        return 0

    return answer


def _with(identity: Identity, which: _Which, ids: Ids) -> Identity:
    return replace(identity, uids=ids, can_change=False) if which == "uids" else replace(identity, gids=ids)


def _one(old: Ids, asked: Sequence[int], is_privileged: bool) -> Ids:
    value, (real, _, saved, _) = asked[0], old
    if value < 0:
        raise _error(errno.EINVAL)
    if is_privileged:
        return (value,) * 4
    if value not in (real, saved):
        raise _error(errno.EPERM)
    return real, value, saved, value


def _two(old: Ids, asked: Sequence[int], is_privileged: bool) -> Ids:
    real, effective = asked[:2]
    if not is_privileged and (real not in (-1, *old[:2]) or effective not in (-1, *old[:3])):
        raise _error(errno.EPERM)
    new = old[1] if effective < 0 else effective
    saved = new if real >= 0 or (effective >= 0 and effective != old[0]) else old[2]
    return old[0] if real < 0 else real, new, saved, new


def _three(old: Ids, asked: Sequence[int], is_privileged: bool) -> Ids:
    if not is_privileged and any(value not in (-1, *old[:3]) for value in asked[:3]):
        raise _error(errno.EPERM)
    real, effective, saved = (before if value < 0 else value for before, value in zip(old, asked[:3], strict=False))
    return real, effective, saved, effective


def _set_files(which: _Which) -> Answer:
    """setfsuid(2) gives the old id, and never fails."""

    def answer(caller: Caller, arguments: Sequence[int]) -> int:
        identity, value = caller.identity, as_identifier(arguments[0])
        old: Ids = getattr(identity, which)
        if value >= 0 and (identity.is_privileged or value in old):
            caller.become(_with(identity, which, (*old[:3], value)))
        return old[3]

    return answer


def _put(which: _Which) -> Answer:
    def answer(caller: Caller, arguments: Sequence[int]) -> int:
        ids: Ids = getattr(caller.identity, which)
        for address, value in zip(arguments, ids[:3], strict=False):
            caller.write(address, struct.pack("=I", value))
        return 0

    return answer


def _getgroups(caller: Caller, arguments: Sequence[int]) -> int:
    groups = caller.identity.groups
    size = arguments[0] & 0xFFFFFFFF
    if size:
        if size < len(groups):
            raise _error(errno.EINVAL)
        caller.write(arguments[1], struct.pack(f"={len(groups)}I", *groups))
    return len(groups)


def _setgroups(caller: Caller, arguments: Sequence[int]) -> int:
    count = arguments[0] & 0xFFFFFFFF
    if not caller.identity.is_privileged:
        raise _error(errno.EPERM)
    if count > _MOST_GROUPS:
        raise _error(errno.EINVAL)
    groups = struct.unpack(f"={count}I", caller.exactly(arguments[1], 4 * count)) if count else ()
    caller.become(replace(caller.identity, groups=groups))
    return 0


def _capset(caller: Caller, arguments: Sequence[int]) -> int:
    """Who raises this capability after it has given up being root has kept it (PR_SET_KEEPCAPS): setpriv(1) does."""
    identity = caller.identity
    if identity.uids[1]:
        (effective,) = struct.unpack("=I", caller.exactly(arguments[1], 4))
        can_change = bool(effective & (_CAP_SETGID | _CAP_SETUID))
        if can_change != identity.can_change:
            caller.become(replace(identity, can_change=can_change))
    return 0


# By the names of the calls: those that ask, and those that change.
ASKING: Mapping[str, Answer] = {
    "getuid": lambda caller, arguments: caller.identity.uids[0],
    "geteuid": lambda caller, arguments: caller.identity.uids[1],
    "getgid": lambda caller, arguments: caller.identity.gids[0],
    "getegid": lambda caller, arguments: caller.identity.gids[1],
    "getresuid": _put("uids"),
    "getresgid": _put("gids"),
    "getgroups": _getgroups,
}
CHANGING: Mapping[str, Answer] = {
    "setuid": _set("uids", _one),
    "setgid": _set("gids", _one),
    "setreuid": _set("uids", _two),
    "setregid": _set("gids", _two),
    "setresuid": _set("uids", _three),
    "setresgid": _set("gids", _three),
    "setfsuid": _set_files("uids"),
    "setfsgid": _set_files("gids"),
    "setgroups": _setgroups,
    "capset": _capset,
}
