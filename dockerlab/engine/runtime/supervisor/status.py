"""stat(2) and its relatives, access(2), readlink(2), getcwd(2), statfs(2): what a file is said to be."""

from __future__ import annotations

import errno
import os
import stat
import struct

from dockerlab.engine.rootfs import recorded
from dockerlab.engine.runtime.supervisor.answers import AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, Handler, Paths, error, signed
from dockerlab.engine.runtime.supervisor.folders import Folder, Place
from dockerlab.engine.runtime.supervisor.machine import Machine, pack_stat
from dockerlab.engine.runtime.supervisor.members import Member

_AT_CWD = 0xFFFFFF9C
_STATX_BASIC = 0x7FF
_AT_EACCESS = 0x200
_statx = struct.Struct("=IIQIIIH2xQQQQ" + "qI4x" * 4 + "IIIIQ104x")
_NANO = 1_000_000_000


class Status:
    """Answers that describe a file."""

    def __init__(self, paths: Paths, machine: Machine) -> None:
        self._paths, self._view, self._machine = paths, paths.view, machine
        self._me = os.geteuid()

    def handlers(self) -> dict[str, Handler]:
        """By the names of the calls."""
        at = self._paths.at
        return {
            "stat": lambda m, t, a: self._put(m, a[1], self._paths.there(at(m, t, _AT_CWD, a[0]), m)),
            "lstat": lambda m, t, a: self._put(m, a[1], self._paths.there(at(m, t, _AT_CWD, a[0]), m, follow=False)),
            "fstat": lambda m, t, a: self._of_descriptor(m, t, a[0], a[1]),
            "newfstatat": self._newfstatat,
            "statx": self._statx,
            "access": lambda m, t, a: self._access(m, at(m, t, _AT_CWD, a[0]), a[1], 0),
            "faccessat": lambda m, t, a: self._access(m, at(m, t, a[0], a[1]), a[2], 0),
            "faccessat2": self._faccessat2,
            "readlink": lambda m, t, a: self._readlink(m, at(m, t, _AT_CWD, a[0]), a[1], a[2]),
            "readlinkat": self._readlinkat,
            "getcwd": self._getcwd,
            "statfs": lambda m, t, a: self._statfs(m, self._paths.there(at(m, t, _AT_CWD, a[0]), m)[2], a[1]),
        }

    # --- stat

    def _newfstatat(self, member: Member, task: int, a: tuple[int, ...]) -> int:
        if a[3] & AT_EMPTY_PATH and (not a[1] or not member.text(a[1])):
            return self._of_descriptor(member, task, a[0], a[2])
        path = self._paths.at(member, task, a[0], a[1])
        return self._put(member, a[2], self._paths.there(path, member, follow=not a[3] & AT_SYMLINK_NOFOLLOW))

    def _put(self, member: Member, address: int, place: Place) -> int:
        folder, name, host, found = place
        assert found is not None
        member.write(address, self._pack(self._shown(found, host, folder, name)))
        return 0

    def _of_descriptor(self, member: Member, task: int, fd: int, address: int) -> int:
        member.write(address, self._pack(self._descriptor(member, task, fd)))
        return 0

    def _descriptor(self, member: Member, task: int, fd: int) -> list[int]:
        if signed(fd) == -100:
            place = self._paths.there(self._paths.base(task, fd) or b"/", member)
            assert place[3] is not None
            return self._shown(place[3], place[2], place[0], place[1])
        link = b"/proc/%d/fd/%d" % (task, signed(fd))
        try:
            found = os.stat(link)
        except FileNotFoundError:
            raise error(errno.EBADF) from None
        folder = None
        if stat.S_ISDIR(found.st_mode):
            guest = self._paths.of_descriptor(task, fd)
            if guest is not None:
                folder = self._folder(guest, member)
        values = self._values(found)
        key = (found.st_ino, found.st_dev)
        if key in self._view.known_files:
            self._record(values, self._view.known_files[key])
        elif stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
            self._record(values, _attribute(link))
        if folder is not None and folder.origin is not None:
            values[1] = folder.origin.inode
        return values

    def _folder(self, guest: bytes, member: Member) -> Folder | None:
        try:
            return self._view.folder(guest, member)
        except OSError:
            return None  # it was removed, and is open still

    def _shown(self, found: os.stat_result, host: bytes, folder: Folder, name: bytes) -> list[int]:
        values = self._values(found)
        kind = found.st_mode & 0o170000
        if name and found.st_nlink > 1 and self._view.is_shared((folder, name, host, found)):
            values[3] = 1
        if kind == stat.S_IFREG or kind == stat.S_IFDIR:
            self._record(values, self._view.attribute((folder, name, host, found)))
            if not name and folder.origin is not None:
                values[1] = folder.origin.inode
        elif not name and kind == stat.S_IFCHR:
            values[4] = values[5] = 0
        if folder.area.kind == "proc" and (process := self._view.process(folder)) is not None:
            values[4], values[5] = process.identity.uids[1], process.identity.gids[1]
        return values

    def _values(self, found: os.stat_result) -> list[int]:
        """As `pack_stat` wants them."""
        uid = found.st_uid
        return [
            found.st_dev, found.st_ino, found.st_mode, found.st_nlink, 0 if uid == self._me else uid,
            0 if uid == self._me else found.st_gid, found.st_rdev, found.st_size, found.st_blksize, found.st_blocks,
            *divmod(found.st_atime_ns, _NANO), *divmod(found.st_mtime_ns, _NANO), *divmod(found.st_ctime_ns, _NANO),
        ]  # fmt: skip

    def _record(self, values: list[int], shown: recorded.Recorded | None) -> None:
        if shown is not None:
            kind = shown.device[0] if shown.device else values[2] & 0o170000
            values[2], values[4], values[5] = kind | shown.mode, shown.uid, shown.gid
            if shown.device:
                values[6] = os.makedev(*shown.device[1:])

    def _pack(self, values: list[int]) -> bytes:
        return pack_stat(self._machine, values)

    def _statx(self, member: Member, task: int, a: tuple[int, ...]) -> int:
        if a[2] & AT_EMPTY_PATH and (not a[1] or not member.text(a[1])):
            values = self._descriptor(member, task, a[0])
        else:
            path = self._paths.at(member, task, a[0], a[1])
            folder, name, host, found = self._paths.there(path, member, follow=not a[2] & AT_SYMLINK_NOFOLLOW)
            assert found is not None
            values = self._shown(found, host, folder, name)
        dev, ino, mode, nlink, uid, gid, rdev, size, blksize, blocks, at, an, mt, mn, ct, cn = values
        packed = _statx.pack(
            *(_STATX_BASIC, blksize, 0, nlink, uid, gid, mode, ino, size, blocks, 0),
            *(at, an, 0, 0, ct, cn, mt, mn, os.major(rdev), os.minor(rdev), os.major(dev), os.minor(dev), 0),
        )
        member.write(a[4], packed)
        return 0

    def _statfs(self, member: Member, host: bytes, address: int) -> int:
        # struct statfs is the same 120 bytes on both machines; type and id are not Python's to know.
        found = os.statvfs(host)
        flags = found.f_flag
        numbers = (found.f_bsize, found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree)
        kind = 0x9FA0 if host.startswith(b"/proc/") else 0x62656572 if host.startswith(b"/sys/") else 0xEF53
        member.write(address, struct.pack("=q6q2iqqq32x", kind, *numbers, 0, 0, found.f_namemax, found.f_frsize, flags))
        return 0

    # --- access

    def _faccessat2(self, member: Member, task: int, a: tuple[int, ...]) -> int:
        if a[3] & AT_EMPTY_PATH and not member.text(a[1]):
            return 0
        return self._access(member, self._paths.at(member, task, a[0], a[1]), a[2], a[3])

    def _access(self, member: Member, path: bytes, wanted: int, flags: int) -> int:
        folder, name, host, found = self._paths.there(path, member, follow=not flags & AT_SYMLINK_NOFOLLOW)
        assert found is not None
        if folder.area.kind in ("proc", "sys"):
            return 0 if os.access(host, wanted, effective_ids=True) else -errno.EACCES
        is_plain = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
        if wanted & 2 and folder.area.readonly and is_plain:
            raise error(errno.EROFS)
        if not wanted or (not name and not stat.S_ISDIR(found.st_mode) and not stat.S_ISREG(found.st_mode)):
            return 0
        shown = self._view.recorded((folder, name, host, found))
        identity = member.identity
        if not flags & _AT_EACCESS and identity.uids[0] != identity.uids[3]:
            uids, gids = identity.uids[:1] * 4, identity.gids[:1] * 4
            identity = type(identity)(uids, gids, identity.groups)
        if not identity.allows(shown.uid, shown.gid, shown.mode, wanted):
            raise error(errno.EACCES)
        if wanted & 1 and stat.S_ISREG(found.st_mode) and not shown.mode & 0o111:
            raise error(errno.EACCES)
        return 0

    # --- links and names

    def _readlinkat(self, member: Member, task: int, a: tuple[int, ...]) -> int:
        if not member.text(a[1]):
            raise error(errno.ENOENT)
        return self._readlink(member, self._paths.at(member, task, a[0], a[1]), a[2], a[3])

    def _readlink(self, member: Member, path: bytes, address: int, size: int) -> int:
        if signed(size) <= 0:
            raise error(errno.EINVAL)
        folder, name, host, found = self._paths.there(path, member, follow=False)
        assert found is not None
        if not stat.S_ISLNK(found.st_mode):
            raise error(errno.EINVAL)
        if folder.area.kind == "proc":
            target = self._view.proc_link(folder, name, member)
            target = target[1:] if target.startswith(b"./") else target
        else:
            target = os.readlink(host)
        member.write(address, target[:size])
        return min(len(target), size)

    def _getcwd(self, member: Member, task: int, a: tuple[int, ...]) -> int:
        path = (self._paths.base(task, _AT_CWD) or b"/") + b"\0"
        if path.endswith(b" (deleted)\0"):
            raise error(errno.ENOENT)
        if len(path) > a[1]:
            raise error(errno.ERANGE)
        member.write(a[0], path)
        return len(path)


def _attribute(link: bytes) -> recorded.Recorded | None:
    """What is recorded for an open file."""
    try:
        return recorded.parse(os.getxattr(link, recorded.ATTRIBUTE))
    except (OSError, ValueError):
        return None  # nothing, or a file that cannot have any
