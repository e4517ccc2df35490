"""Who a process is: getuid(2), setuid(2) and all their relatives, answered from what the supervisor keeps. credentials(7).

The container's root has Docker's default capabilities in what these calls say; the kernel gives none.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence

from dockerlab.engine.runtime.supervisor.answers import Handler, as_identifier, error
from dockerlab.engine.runtime.supervisor.members import Identity, Member, Members

_CAPABILITIES = 0x00000000A80425FB  # Docker's default set
_VERSION_1 = 0x19980330
_VERSION_3 = 0x20080522
_MOST_GROUPS = 65536


class Identities:
    """Answers about ids."""

    def __init__(self, members: Members) -> None:
        self._members = members

    def handlers(self) -> dict[str, Handler]:
        """By the names of the calls."""
        return {
            "getuid": lambda m, t, a: m.identity.uids[0],
            "geteuid": lambda m, t, a: m.identity.uids[1],
            "getgid": lambda m, t, a: m.identity.gids[0],
            "getegid": lambda m, t, a: m.identity.gids[1],
            "getresuid": lambda m, t, a: _put(m, a, m.identity.uids),
            "getresgid": lambda m, t, a: _put(m, a, m.identity.gids),
            "setuid": lambda m, t, a: self._set_one(m, "uids", as_identifier(a[0])),
            "setgid": lambda m, t, a: self._set_one(m, "gids", as_identifier(a[0])),
            "setreuid": lambda m, t, a: self._set_two(m, "uids", as_identifier(a[0]), as_identifier(a[1])),
            "setregid": lambda m, t, a: self._set_two(m, "gids", as_identifier(a[0]), as_identifier(a[1])),
            "setresuid": lambda m, t, a: self._set_three(m, "uids", [as_identifier(value) for value in a[:3]]),
            "setresgid": lambda m, t, a: self._set_three(m, "gids", [as_identifier(value) for value in a[:3]]),
            "setfsuid": lambda m, t, a: self._set_files(m, "uids", as_identifier(a[0])),
            "setfsgid": lambda m, t, a: self._set_files(m, "gids", as_identifier(a[0])),
            "getgroups": self._getgroups,
            "setgroups": self._setgroups,
            "capget": self._capget,
            "capset": lambda m, t, a: 0,
            "umask": self._umask,
        }

    def _ids(self, member: Member, which: str) -> tuple[int, int, int, int]:
        return member.identity.uids if which == "uids" else member.identity.gids

    def _store(self, member: Member, which: str, ids: Sequence[int]) -> int:
        self._members.set_identity(member, **{which: tuple(ids)})
        return 0

    def _privileged(self, identity: Identity) -> bool:
        return identity.uids[1] == 0

    def _set_one(self, member: Member, which: str, value: int) -> int:
        if value < 0:
            raise error(errno.EINVAL)
        real, _, saved, _ = self._ids(member, which)
        if self._privileged(member.identity):
            return self._store(member, which, (value,) * 4)
        if value not in (real, saved):
            raise error(errno.EPERM)
        return self._store(member, which, (real, value, saved, value))

    def _set_two(self, member: Member, which: str, real: int, effective: int) -> int:
        old = self._ids(member, which)
        if not self._privileged(member.identity) and (real not in (-1, *old[:2]) or effective not in (-1, *old[:3])):
            raise error(errno.EPERM)
        new_real = old[0] if real < 0 else real
        new = old[1] if effective < 0 else effective
        saved = new if real >= 0 or (effective >= 0 and effective != old[0]) else old[2]
        return self._store(member, which, (new_real, new, saved, new))

    def _set_three(self, member: Member, which: str, values: Sequence[int]) -> int:
        old = self._ids(member, which)
        if not self._privileged(member.identity) and any(value not in (-1, *old[:3]) for value in values):
            raise error(errno.EPERM)
        new = [before if value < 0 else value for before, value in zip(old, values, strict=False)]
        return self._store(member, which, (*new, new[1]))

    def _set_files(self, member: Member, which: str, value: int) -> int:
        old = self._ids(member, which)
        if value >= 0 and (self._privileged(member.identity) or value in old):
            self._store(member, which, (*old[:3], value))
        return old[3]

    def _getgroups(self, member: Member, task: int, a: tuple[int, ...]) -> int:
        groups = member.identity.groups
        size = a[0] & 0xFFFFFFFF
        if size:
            if size < len(groups):
                raise error(errno.EINVAL)
            member.write(a[1], struct.pack(f"={len(groups)}I", *groups))
        return len(groups)

    def _setgroups(self, member: Member, task: int, a: tuple[int, ...]) -> int:
        count = a[0] & 0xFFFFFFFF
        if not self._privileged(member.identity):
            raise error(errno.EPERM)
        if count > _MOST_GROUPS:
            raise error(errno.EINVAL)
        groups = struct.unpack(f"={count}I", member.exactly(a[1], 4 * count)) if count else ()
        self._members.set_identity(member, groups=groups)
        return 0

    def _capget(self, member: Member, task: int, a: tuple[int, ...]) -> int:
        version, _ = struct.unpack("=Ii", member.exactly(a[0], 8))
        if version not in (_VERSION_1, 0x20071026, _VERSION_3):
            member.write(a[0], struct.pack("=I", _VERSION_3))
            if a[1]:
                raise error(errno.EINVAL)
            return 0
        if a[1]:
            mask = _CAPABILITIES if self._privileged(member.identity) else 0
            low, high = mask & 0xFFFFFFFF, mask >> 32
            data = struct.pack("=3I", low, low, 0)
            member.write(a[1], data if version == _VERSION_1 else data + struct.pack("=3I", high, high, 0))
        return 0

    def _umask(self, member: Member, task: int, a: tuple[int, ...]) -> int:
        old, member.umask = member.umask, a[0] & 0o777
        return old


def _put(member: Member, addresses: tuple[int, ...], ids: tuple[int, int, int, int]) -> int:
    for address, value in zip(addresses, ids[:3], strict=False):
        member.write(address, struct.pack("=I", value))
    return 0
