"""open(2) in all its forms: the supervisor opens the file and hands the descriptor over."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping

from dockerlab.engine.rootfs import recorded
from dockerlab.engine.runtime.supervisor.answers import Answer, Given, Handler, Later, Paths, error
from dockerlab.engine.runtime.supervisor.folders import Place
from dockerlab.engine.runtime.supervisor.members import Member

_AT_CWD = 0xFFFFFF9C
_CREATE_ONLY = os.O_CREAT | os.O_EXCL
_TEMPORARY = os.O_TMPFILE & ~os.O_DIRECTORY
_OURS = os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
_DEVICES = {
    (1, 3): b"null",
    (1, 5): b"zero",
    (1, 7): b"full",
    (1, 8): b"random",
    (1, 9): b"urandom",
    (5, 0): b"tty",
    (5, 2): b"ptmx",
}


class Opening:
    """files: contents that are made up, by path, from the host's file, which says what is not true of the container. folders: directories
    of the host that are opened in place of others, likewise."""

    def __init__(
        self, paths: Paths, files: Mapping[bytes, Callable[[bytes], bytes]], folders: Mapping[bytes, Callable[[], bytes]]
    ) -> None:
        self._paths, self._view, self._files, self._folders = paths, paths.view, files, folders

    def handlers(self) -> dict[str, Handler]:
        """By the names of the calls."""
        creating = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
        return {
            "open": lambda m, t, a: self._open(m, self._paths.at(m, t, _AT_CWD, a[0]), a[1], a[2]),
            "openat": lambda m, t, a: self._open(m, self._paths.at(m, t, a[0], a[1]), a[2], a[3]),
            "creat": lambda m, t, a: self._open(m, self._paths.at(m, t, _AT_CWD, a[0]), creating, a[1]),
        }

    def _open(self, member: Member, path: bytes, flags: int, mode: int) -> Answer:
        flags &= 0xFFFFFFFF
        if flags & _TEMPORARY:
            raise error(errno.EOPNOTSUPP)  # callers fall back to a name
        follow = not flags & os.O_NOFOLLOW and flags & _CREATE_ONLY != _CREATE_ONLY
        place = self._view.locate(path, member, follow=follow)
        found = place[3]
        writes = flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC
        cloexec = bool(flags & os.O_CLOEXEC)
        if found is None:
            if not flags & os.O_CREAT:
                raise error(errno.ENOENT)
            if path.endswith(b"/"):
                raise error(errno.EISDIR)
            return Given(self._create(member, place, flags, mode & 0o7777 & ~member.umask), cloexec)
        if flags & _CREATE_ONLY == _CREATE_ONLY:
            raise error(errno.EEXIST)
        kind = found.st_mode & 0o170000
        if kind == stat.S_IFREG:
            if flags & os.O_DIRECTORY:
                raise error(errno.ENOTDIR)
            return self._open_file(member, place, flags, bool(writes))
        if kind == stat.S_IFDIR:
            if writes or flags & os.O_CREAT:
                raise error(errno.EISDIR)
            if not self._view.allows(place[0], member.identity, 4):
                raise error(errno.EACCES)
            made = self._folders.get(place[0].guest)
            return Given(
                os.open(made() if made else place[2], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | flags & os.O_NONBLOCK), cloexec
            )
        if flags & os.O_DIRECTORY:
            raise error(errno.ENOTDIR)
        if kind == stat.S_IFLNK:
            raise error(errno.ELOOP)
        return self._open_special(member, place, flags, kind)

    def _open_file(self, member: Member, place: Place, flags: int, writes: bool) -> Answer:
        folder, name, host, found = place
        assert found is not None
        cloexec = bool(flags & os.O_CLOEXEC)
        kept = flags & ~(os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW) | os.O_NOCTTY | os.O_CLOEXEC
        if folder.area.kind in ("proc", "sys"):
            key = name if folder.guest.count(b"/") == 2 and folder.area.kind == "proc" else folder.guest + b"/" + name
            made = self._files.get(key)
            if made is not None:
                return Given(_made_up(made(host)), cloexec)
            if writes and self._view.process(folder) is None:
                raise error(errno.EROFS)  # the host's settings
            return self._open_proc(host, kept, writes, cloexec)
        shown = None
        if not member.identity.is_root or not found.st_size:
            shown = self._view.recorded(place)
            wanted = (0 if flags & os.O_ACCMODE == os.O_WRONLY else 4) | (2 if writes else 0)
            if not member.identity.allows(shown.uid, shown.gid, shown.mode, wanted):
                raise error(errno.EACCES)
        if shown is not None and shown.device:
            known = _DEVICES.get(shown.device[1:])
            if known is None or shown.device[0] != stat.S_IFCHR:
                raise error(errno.ENXIO)
            return Given(os.open(b"/dev/" + known, kept), cloexec)
        if writes:
            host = self._view.own_entry(place, member, content=not flags & os.O_TRUNC)
        return Given(os.open(host, kept | (0 if not name else os.O_NOFOLLOW)), cloexec)

    def _create(self, member: Member, place: Place, flags: int, mode: int) -> int:
        self._paths.parent(place, member)
        folder, name, _, _ = place
        host = folder.host + name
        real = recorded.real_mode(mode, is_directory=False)
        fd = os.open(host, flags & ~(os.O_NOFOLLOW | os.O_DIRECTORY) | _CREATE_ONLY | _OURS, real)
        note_owner(host, member, mode, is_directory=False, parent=self._view.shown_mode(folder))
        return fd

    def _open_proc(self, host: bytes, flags: int, writes: bool, cloexec: bool) -> Answer:
        # Through a link such as /proc/self/fd/1, to a file that has no path any more.
        if writes and host.startswith(b"/proc/") and b"/fd/" in host and stat.S_ISREG(os.stat(host).st_mode):
            target = os.readlink(host)
            if target.endswith(b" (deleted)") and os.stat(host).st_nlink > 0:
                raise error(errno.EACCES)
        return Given(os.open(host, flags), cloexec)

    def _open_special(self, member: Member, place: Place, flags: int, kind: int) -> Answer:
        _, name, host, _ = place
        kept = flags & ~(os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_TRUNC) | os.O_NOCTTY | os.O_CLOEXEC
        cloexec = bool(flags & os.O_CLOEXEC)
        if kind == stat.S_IFSOCK:
            raise error(errno.ENXIO)
        if host == b"/dev/tty":
            return Given(os.open(member.terminal(), kept), cloexec)
        if kind == stat.S_IFIFO and not flags & os.O_NONBLOCK and flags & os.O_ACCMODE != os.O_RDWR:
            # The pipe itself is held: what its path leads to may be something else by the time that it is opened.
            held = os.open(host, os.O_PATH | os.O_CLOEXEC | (os.O_NOFOLLOW if name and place[0].area.kind != "proc" else 0))
            return Later(lambda: _open_held(held, kept), cloexec)
        return Given(os.open(host, kept), cloexec)


def _open_held(fd: int, flags: int) -> int:
    try:
        return os.open(f"/proc/self/fd/{fd}", flags)
    finally:
        os.close(fd)


def note_owner(host: bytes, member: Member, mode: int, *, is_directory: bool, parent: tuple[int, int]) -> None:
    """What is recorded for a file that was just made. parent: mode and gid of its directory, whose set-gid bit is passed on."""
    identity = member.identity
    gid = identity.gids[3]
    if parent[0] & stat.S_ISGID:
        gid = parent[1]
        mode |= stat.S_ISGID if is_directory else 0
    uid = identity.uids[3]
    if uid or gid or mode != recorded.real_mode(mode, is_directory=is_directory):
        recorded.write(host, recorded.Recorded(uid, gid, mode), is_directory=is_directory)


def _made_up(content: bytes) -> int:
    """An open file, for reading, with this content."""
    fd = os.memfd_create("dockerlab", os.MFD_CLOEXEC)
    try:
        os.write(fd, content)
        return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(fd)
