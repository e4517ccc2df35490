"""chmod(2), chown(2), utimensat(2), truncate(2), xattr(7): what is said about a file is changed, after a file of the image is copied up.

A file that is open for reading only may be the image's: what is asked for by its descriptor is done to the file at its path. Owners are
recorded, see `rootfs.recorded`.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dockerlab.engine.rootfs import recorded
from dockerlab.engine.rootfs.tree import attributes
from dockerlab.engine.runtime.credentials import as_identifier
from dockerlab.engine.runtime.supervisor.answers import (
    AT_EMPTY_PATH,
    AT_SYMLINK_NOFOLLOW,
    Handler,
    Paths,
    error,
    signed,
)
from dockerlab.engine.runtime.supervisor.folders import Place
from dockerlab.engine.runtime.supervisor.members import Member

_AT_CWD = 0xFFFFFF9C
_NOW, _OMIT = 0x3FFFFFFF, 0x3FFFFFFE
_HIDDEN = (b"user.dockerlab.", recorded.ATTRIBUTE.encode())
_LONGEST_VALUE = 1 << 16


class Attributes:
    """Answers that change attributes."""

    def __init__(self, paths: Paths) -> None:
        self._paths, self._view = paths, paths.view

    def handlers(self) -> dict[str, Handler]:
        """By the names of the calls."""
        path, named, opened = self._path, self._named, self._opened
        return {
            "chmod": lambda m, t, a: self._chmod(m, path(m, t, _AT_CWD, a[0]), a[1]),
            "fchmod": lambda m, t, a: self._chmod(m, opened(m, t, a[0]), a[1]),
            "fchmodat": lambda m, t, a: self._chmod(m, path(m, t, a[0], a[1]), a[2]),
            "fchmodat2": lambda m, t, a: self._chmod(m, named(m, t, a[0], a[1], a[3]), a[2]),
            "chown": lambda m, t, a: self._chown(m, path(m, t, _AT_CWD, a[0]), a[1], a[2]),
            "lchown": lambda m, t, a: self._chown(m, path(m, t, _AT_CWD, a[0], follow=False), a[1], a[2]),
            "fchown": lambda m, t, a: self._chown(m, opened(m, t, a[0]), a[1], a[2]),
            "fchownat": lambda m, t, a: self._chown(m, named(m, t, a[0], a[1], a[4]), a[2], a[3]),
            "truncate": lambda m, t, a: self._truncate(m, path(m, t, _AT_CWD, a[0]), a[1]),
            "utimensat": self._utimensat,
            "utimes": lambda m, t, a: self._utimes(m, path(m, t, _AT_CWD, a[0]), a[1]),
            "futimesat": lambda m, t, a: self._utimes(m, path(m, t, a[0], a[1]) if a[1] else opened(m, t, a[0]), a[2]),
            "utime": self._utime,
            "setxattr": lambda m, t, a: self._setxattr(m, path(m, t, _AT_CWD, a[0]), a),
            "lsetxattr": lambda m, t, a: self._setxattr(m, path(m, t, _AT_CWD, a[0], follow=False), a),
            "fsetxattr": lambda m, t, a: self._setxattr(m, opened(m, t, a[0]), a),
            "getxattr": lambda m, t, a: self._getxattr(m, path(m, t, _AT_CWD, a[0])[2], a),
            "lgetxattr": lambda m, t, a: self._getxattr(m, path(m, t, _AT_CWD, a[0], follow=False)[2], a),
            "fgetxattr": lambda m, t, a: self._getxattr(m, self._link(t, a[0]), a),
            "listxattr": lambda m, t, a: self._listxattr(m, path(m, t, _AT_CWD, a[0])[2], a),
            "llistxattr": lambda m, t, a: self._listxattr(m, path(m, t, _AT_CWD, a[0], follow=False)[2], a),
            "flistxattr": lambda m, t, a: self._listxattr(m, self._link(t, a[0]), a),
            "removexattr": lambda m, t, a: self._removexattr(m, path(m, t, _AT_CWD, a[0]), a[1]),
            "lremovexattr": lambda m, t, a: self._removexattr(m, path(m, t, _AT_CWD, a[0], follow=False), a[1]),
            "fremovexattr": lambda m, t, a: self._removexattr(m, opened(m, t, a[0]), a[1]),
        }

    # --- which file

    def _path(self, member: Member, task: int, fd: int, address: int, *, follow: bool = True) -> Place:
        return self._paths.there(self._paths.at(member, task, fd, address), member, follow=follow)

    def _named(self, member: Member, task: int, fd: int, address: int, flags: int) -> Place:
        if flags & AT_EMPTY_PATH and not member.text(address):
            return self._opened(member, task, fd)
        return self._path(member, task, fd, address, follow=not flags & AT_SYMLINK_NOFOLLOW)

    def _opened(self, member: Member, task: int, fd: int) -> Place:
        """The place of an open file; of one that has none, the link in /proc to it."""
        link = self._link(task, fd)
        try:
            found = os.stat(link)
        except FileNotFoundError:
            raise error(errno.EBADF) from None
        guest = self._paths.of_descriptor(task, fd)
        if guest is not None:
            place = self._view.locate(guest or b"/", member, follow=False)
            if place[3] is not None and (place[3].st_ino, place[3].st_dev) == (found.st_ino, found.st_dev):
                return place
            if place[3] is not None and stat.S_ISDIR(found.st_mode):
                return place
        return self._view.nowhere(), b"", link, found

    def _link(self, task: int, fd: int) -> bytes:
        return b"/proc/%d/fd/%d" % (task, signed(fd))

    def _changeable(self, place: Place, member: Member) -> tuple[bytes, os.stat_result]:
        """Where a file may be changed, and what it is now. Raises OSError."""
        folder, _, host, found = place
        assert found is not None
        if folder.area.kind == "nowhere":
            if stat.S_ISREG(found.st_mode) and found.st_nlink:
                raise error(errno.EPERM)  # it has a name somewhere else: it may be a file of the image
            return host, found
        if folder.area.kind in ("proc", "sys"):
            raise error(errno.EPERM)
        host = self._view.own_entry(place, member)
        return host, found

    @contextmanager
    def _held(self, place: Place) -> Iterator[Place]:
        """A place that stays that file while it is looked at and changed: the container may put another behind its descriptor."""
        folder, name, host, found = place
        if folder.area.kind != "nowhere" or found is None:
            yield place
            return
        fd = os.open(host, os.O_PATH | os.O_CLOEXEC)
        try:
            now = os.fstat(fd)
            if (now.st_dev, now.st_ino) != (found.st_dev, found.st_ino):
                raise error(errno.EBADF)
            yield folder, name, b"/proc/self/fd/%d" % fd, now
        finally:
            os.close(fd)

    def _shown(self, place: Place, host: bytes, found: os.stat_result) -> recorded.Recorded:
        return recorded.read_open(host, found) if place[0].area.kind == "nowhere" else recorded.read(host, found)

    def _owner_only(self, member: Member, shown: recorded.Recorded) -> None:
        if not member.identity.is_root and member.identity.uids[3] != shown.uid:
            raise error(errno.EPERM)

    # --- what changes

    def _chmod(self, member: Member, place: Place, mode: int) -> int:
        with self._held(place) as held:
            return self._chmod_held(member, held, mode)

    def _chmod_held(self, member: Member, place: Place, mode: int) -> int:
        if place[3] is not None and stat.S_ISLNK(place[3].st_mode):
            raise error(errno.EOPNOTSUPP)
        if _is_device(place):
            return 0
        host, found = self._changeable(place, member)
        shown = self._shown(place, host, found)
        self._owner_only(member, shown)
        mode &= 0o7777
        identity = member.identity
        if not identity.is_root and stat.S_ISREG(found.st_mode) and shown.gid not in (identity.gids[3], *identity.groups):
            mode &= ~stat.S_ISGID
        self._change(place, host, found, mode=mode)
        return 0

    def _chown(self, member: Member, place: Place, uid: int, gid: int) -> int:
        with self._held(place) as held:
            return self._chown_held(member, held, uid, gid)

    def _chown_held(self, member: Member, place: Place, uid: int, gid: int) -> int:
        if _is_device(place):
            return 0
        host, found = self._changeable(place, member)
        uid, gid = as_identifier(uid), as_identifier(gid)
        identity = member.identity
        mode = -1
        if stat.S_ISLNK(found.st_mode):
            return 0
        shown = self._shown(place, host, found)
        if not identity.is_root:
            keeps_group = gid in (-1, shown.gid, identity.gids[3], *identity.groups)
            if identity.uids[3] != shown.uid or uid not in (-1, shown.uid) or not keeps_group:
                raise error(errno.EPERM)
        if stat.S_ISREG(found.st_mode) and shown.mode & 0o6000 and (uid, gid) != (-1, -1):
            mode = shown.mode & ~(0o6000 if shown.mode & 0o010 else stat.S_ISUID)
        self._change(place, host, found, uid=uid, gid=gid, mode=mode)
        return 0

    def _change(self, place: Place, host: bytes, found: os.stat_result, *, uid: int = -1, gid: int = -1, mode: int = -1) -> None:
        if place[0].area.kind == "nowhere":
            recorded.change_open(host, found, uid=uid, gid=gid, mode=mode)
            return
        recorded.change(host, found, uid=uid, gid=gid, mode=mode)
        if not place[1]:
            place[0].shown = None

    def _truncate(self, member: Member, place: Place, length: int) -> int:
        assert place[3] is not None
        if stat.S_ISDIR(place[3].st_mode):
            raise error(errno.EISDIR)
        shown = recorded.read(place[2], place[3])
        if not member.identity.allows(shown.uid, shown.gid, shown.mode, 2):
            raise error(errno.EACCES)
        host, _ = self._changeable(place, member)
        os.truncate(host, length)
        return 0

    # --- times

    def _utimensat(self, member: Member, task: int, a: tuple[int, ...]) -> int:
        place = self._named(member, task, a[0], a[1], a[3]) if a[1] else self._opened(member, task, a[0])
        if not a[2]:
            return self._set_times(member, place, None)
        (s1, n1, s2, n2) = struct.unpack("=4q", member.exactly(a[2], 32))
        found = place[3]
        assert found is not None
        now = time.time_ns()
        values = [
            now if n == _NOW else old if n == _OMIT else s * 1_000_000_000 + n
            for s, n, old in ((s1, n1, found.st_atime_ns), (s2, n2, found.st_mtime_ns))
        ]
        if n1 == n2 == _OMIT:
            return 0
        return self._set_times(member, place, (values[0], values[1]), only_now=n1 == n2 == _NOW)

    def _utimes(self, member: Member, place: Place, address: int) -> int:
        if not address:
            return self._set_times(member, place, None)
        (s1, u1, s2, u2) = struct.unpack("=4q", member.exactly(address, 32))
        return self._set_times(member, place, (s1 * 1_000_000_000 + u1 * 1000, s2 * 1_000_000_000 + u2 * 1000))

    def _utime(self, member: Member, task: int, a: tuple[int, ...]) -> int:
        place = self._path(member, task, _AT_CWD, a[0])
        if not a[1]:
            return self._set_times(member, place, None)
        (first, second) = struct.unpack("=2q", member.exactly(a[1], 16))
        return self._set_times(member, place, (first * 1_000_000_000, second * 1_000_000_000))

    def _set_times(self, member: Member, place: Place, times: tuple[int, int] | None, *, only_now: bool = False) -> int:
        with self._held(place) as held:
            return self._set_times_held(member, held, times, only_now)

    def _set_times_held(self, member: Member, place: Place, times: tuple[int, int] | None, only_now: bool) -> int:
        if _is_device(place):
            return 0
        found = place[3]
        assert found is not None
        identity = member.identity
        if not identity.is_root:
            shown = self._shown(place, place[2], found)
            may_touch = (times is None or only_now) and identity.allows(shown.uid, shown.gid, shown.mode, 2)
            if identity.uids[3] != shown.uid and not may_touch:
                raise error(errno.EACCES if times is None else errno.EPERM)
        host, _ = self._changeable(place, member)
        follow = place[0].area.kind == "nowhere"
        if times is None:
            os.utime(host, follow_symlinks=follow)
        else:
            os.utime(host, ns=times, follow_symlinks=follow)
        return 0

    # --- extended attributes

    def _setxattr(self, member: Member, place: Place, a: tuple[int, ...]) -> int:
        name = member.text(a[1])
        _visible(name, errno.EPERM)
        if a[3] > _LONGEST_VALUE:
            raise error(errno.E2BIG)
        value = member.exactly(a[2], a[3]) if a[3] else b""
        with self._held(place) as held:
            host, _ = self._changeable(held, member)
            os.setxattr(host, name, value, signed(a[4]), follow_symlinks=held[0].area.kind == "nowhere")
        return 0

    def _getxattr(self, member: Member, host: bytes, a: tuple[int, ...]) -> int:
        name = member.text(a[1])
        _visible(name, errno.ENODATA)
        value = os.getxattr(host, name, follow_symlinks=host.startswith(b"/proc/"))
        return self._fill(member, a[2], a[3], value)

    def _listxattr(self, member: Member, host: bytes, a: tuple[int, ...]) -> int:
        host = os.readlink(host) if host.startswith(b"/proc/") and os.readlink(host)[:1] == b"/" else host
        names = [name for name in attributes(host) if not name.startswith(_HIDDEN)] if os.path.lexists(host) else []
        return self._fill(member, a[1], a[2], b"".join(name + b"\0" for name in names))

    def _removexattr(self, member: Member, place: Place, address: int) -> int:
        name = member.text(address)
        _visible(name, errno.ENODATA)
        with self._held(place) as held:
            host, _ = self._changeable(held, member)
            os.removexattr(host, name, follow_symlinks=held[0].area.kind == "nowhere")
        return 0

    def _fill(self, member: Member, address: int, size: int, value: bytes) -> int:
        if size:
            if len(value) > size:
                raise error(errno.ERANGE)
            if value:
                member.write(address, value)
        return len(value)


def _visible(name: bytes, number: int) -> None:
    if name.startswith(_HIDDEN):
        raise error(number)


def _is_device(place: Place) -> bool:
    """One of /dev: the host's, which nothing is recorded for."""
    folder, name, _, found = place
    return found is not None and stat.S_ISCHR(found.st_mode) and (not name or folder.area.host.startswith(b"/dev"))
