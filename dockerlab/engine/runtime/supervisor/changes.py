"""Directory entries: mkdir, mknod, symlink, link, unlink, rmdir, rename, and the paths of inotify.

A directory that comes from the image is not renamed (EXDEV), as in overlayfs: `mv` then copies.
"""

from __future__ import annotations

import errno
import os
import stat

from dockerlab.engine.rootfs import recorded
from dockerlab.engine.runtime.supervisor.answers import AT_EMPTY_PATH, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, Handler, Paths, error
from dockerlab.engine.runtime.supervisor.folders import Folder, Place
from dockerlab.engine.runtime.supervisor.members import Member
from dockerlab.engine.runtime.supervisor.opening import note_owner

_AT_CWD = 0xFFFFFF9C
_NOREPLACE = 1
_LONGEST_LINK = 4096


class Changes:
    """Answers that change directories."""

    def __init__(self, paths: Paths) -> None:
        self._paths, self._view = paths, paths.view

    def handlers(self) -> dict[str, Handler]:
        """By the names of the calls."""
        at = self._paths.at
        cwd = _AT_CWD
        return {
            "mkdir": lambda m, t, a: self._mkdir(m, at(m, t, cwd, a[0]), a[1]),
            "mkdirat": lambda m, t, a: self._mkdir(m, at(m, t, a[0], a[1]), a[2]),
            "mknod": lambda m, t, a: self._mknod(m, at(m, t, cwd, a[0]), a[1], a[2]),
            "mknodat": lambda m, t, a: self._mknod(m, at(m, t, a[0], a[1]), a[2], a[3]),
            "symlink": lambda m, t, a: self._symlink(m, m.text(a[0]), at(m, t, cwd, a[1])),
            "symlinkat": lambda m, t, a: self._symlink(m, m.text(a[0]), at(m, t, a[1], a[2])),
            "link": lambda m, t, a: self._link(m, at(m, t, cwd, a[0]), at(m, t, cwd, a[1]), False),
            "linkat": self._linkat,
            "unlink": lambda m, t, a: self._unlink(m, at(m, t, cwd, a[0])),
            "rmdir": lambda m, t, a: self._rmdir(m, at(m, t, cwd, a[0])),
            "unlinkat": lambda m, t, a: (self._rmdir if a[2] & AT_REMOVEDIR else self._unlink)(m, at(m, t, a[0], a[1])),
            "rename": lambda m, t, a: self._rename(m, at(m, t, cwd, a[0]), at(m, t, cwd, a[1]), 0),
            "renameat": lambda m, t, a: self._rename(m, at(m, t, a[0], a[1]), at(m, t, a[2], a[3]), 0),
            "renameat2": lambda m, t, a: self._rename(m, at(m, t, a[0], a[1]), at(m, t, a[2], a[3]), a[4] & 0xFFFFFFFF),
        }

    # --- making

    def _new(self, member: Member, path: bytes, *, directory: bool = False) -> tuple[Folder, bytes]:
        """Where a new entry goes. Raises OSError (EEXIST and the like)."""
        place = self._view.locate(path.rstrip(b"/") if directory else path, member, follow=False)
        if place[3] is not None:
            raise error(errno.EEXIST)
        if path.endswith(b"/") and not directory:
            raise error(errno.ENOENT)
        self._paths.parent(place, member)
        return place[0], place[0].host + place[1]

    def _mkdir(self, member: Member, path: bytes, mode: int) -> int:
        folder, host = self._new(member, path, directory=True)
        mode = mode & 0o1777 & ~member.umask
        os.mkdir(host, recorded.real_mode(mode, is_directory=True))
        note_owner(host, member, mode, is_directory=True, parent=self._view.shown_mode(folder))
        return 0

    def _mknod(self, member: Member, path: bytes, mode: int, device: int) -> int:
        kind = stat.S_IFMT(mode) or stat.S_IFREG
        if kind in (stat.S_IFCHR, stat.S_IFBLK) and not member.identity.is_root:
            raise error(errno.EPERM)
        folder, host = self._new(member, path)
        shown = mode & 0o7777 & ~member.umask
        real = recorded.real_mode(shown, is_directory=False)
        if kind in (stat.S_IFIFO, stat.S_IFSOCK):
            os.mknod(host, kind | real)
            return 0
        os.mknod(host, stat.S_IFREG | real)
        if kind == stat.S_IFREG:
            note_owner(host, member, shown, is_directory=False, parent=self._view.shown_mode(folder))
        else:
            numbers = (kind, os.major(device & 0xFFFFFFFF), os.minor(device & 0xFFFFFFFF))
            recorded.write(
                host, recorded.Recorded(member.identity.uids[3], member.identity.gids[3], shown, numbers), is_directory=False
            )
        return 0

    def _symlink(self, member: Member, target: bytes, path: bytes) -> int:
        if not target:
            raise error(errno.ENOENT)
        _, host = self._new(member, path)
        os.symlink(target, host)
        return 0

    def _linkat(self, member: Member, task: int, a: tuple[int, ...]) -> int:
        if a[4] & AT_EMPTY_PATH and not member.text(a[1]):
            raise error(errno.ENOENT)
        source = self._paths.at(member, task, a[0], a[1])
        return self._link(member, source, self._paths.at(member, task, a[2], a[3]), bool(a[4] & AT_SYMLINK_FOLLOW))

    def _link(self, member: Member, source: bytes, path: bytes, follow: bool) -> int:
        place = self._paths.there(source, member, follow=follow)
        if not place[1]:
            raise error(errno.EPERM if stat.S_ISDIR(place[3].st_mode) else errno.EXDEV)  # type: ignore[union-attr]  # it is there
        folder, host = self._new(member, path)
        if folder.area is not place[0].area:
            raise error(errno.EXDEV)
        os.link(self._view.own_entry(place, member), host, follow_symlinks=False)
        return 0

    # --- removing

    def _removable(self, member: Member, path: bytes) -> Place:
        place = self._paths.there(path, member, follow=False)
        folder, name, host, found = place
        assert found is not None
        self._sticky(member, folder, host, found)
        if name:
            self._paths.parent(place, member)
        return place

    def _sticky(self, member: Member, folder: Folder, host: bytes, found: os.stat_result) -> None:
        if member.identity.is_root or not self._view.shown_mode(folder)[0] & stat.S_ISVTX:
            return
        me = member.identity.uids[3]
        if recorded.read(host, found).uid != me and recorded.read(folder.path, os.lstat(folder.path)).uid != me:
            raise error(errno.EPERM)

    def _unlink(self, member: Member, path: bytes) -> int:
        folder, name, _, found = self._removable(member, path)
        assert found is not None
        if stat.S_ISDIR(found.st_mode):
            raise error(errno.EISDIR)
        if not name:
            raise error(errno.EBUSY)
        if path.endswith(b"/"):
            raise error(errno.ENOTDIR)
        os.unlink(folder.host + name)
        if stat.S_ISLNK(found.st_mode):
            self._view.forget()
        return 0

    def _rmdir(self, member: Member, path: bytes) -> int:
        if path.rstrip(b"/").rpartition(b"/")[2] == b".":
            raise error(errno.EINVAL)
        place = self._paths.there(path.rstrip(b"/") or b"/", member, follow=False)
        self._remove_folder(member, place)
        return 0

    def _remove_folder(self, member: Member, place: Place) -> None:
        folder, _, _, found = place
        assert found is not None
        if not stat.S_ISDIR(found.st_mode):
            raise error(errno.ENOTDIR)
        parent, name = self._parent_of(folder, member)
        self._sticky(member, parent, folder.path, found)
        self._paths.parent((parent, name, b"", None), member)
        if os.listdir(folder.path):
            raise error(errno.ENOTEMPTY)
        os.rmdir(parent.host + name)
        self._view.forget()

    def _parent_of(self, folder: Folder, member: Member) -> tuple[Folder, bytes]:
        """The directory that holds another, and its name there. Raises OSError (EBUSY) for what is mounted."""
        if folder.guest == folder.area.guest:
            raise error(errno.EBUSY)
        head, _, name = folder.guest.rpartition(b"/")
        return self._view.folder(head, member), name

    # --- renaming

    def _rename(self, member: Member, old: bytes, new: bytes, flags: int) -> int:
        if flags & ~_NOREPLACE:
            raise error(errno.EINVAL)
        if b"." in (last := [path.rstrip(b"/").rpartition(b"/")[2] for path in (old, new)]) or b".." in last:
            raise error(errno.EBUSY)
        source = self._paths.there(old.rstrip(b"/"), member, follow=False)
        target = self._view.locate(new.rstrip(b"/"), member, follow=False)
        found, replaced = source[3], target[3]
        assert found is not None
        is_folder = stat.S_ISDIR(found.st_mode)
        if not is_folder and (old.endswith(b"/") or new.endswith(b"/")):
            raise error(errno.ENOTDIR)
        if replaced is not None and flags & _NOREPLACE:
            raise error(errno.EEXIST)
        source_folder, source_name = self._entry(source, member)
        target_folder, target_name = self._entry(target, member)
        if source_folder.area is not target_folder.area:
            raise error(errno.EXDEV)
        if is_folder and (target_folder.guest + b"/").startswith(source[0].guest + b"/"):
            raise error(errno.EINVAL)
        self._sticky(member, source_folder, source[2], found)
        for folder, name in ((source_folder, source_name), (target_folder, target_name)):
            self._paths.parent((folder, name, b"", None), member)
        if is_folder and source[0].area.kind == "tree" and (not source[0].owned or source[0].origin is not None):
            raise error(errno.EXDEV)
        if replaced is not None:
            self._sticky(member, target_folder, target[2], replaced)
            if stat.S_ISDIR(replaced.st_mode) != is_folder:
                raise error(errno.EISDIR if not is_folder else errno.ENOTDIR)
            if target[0] is source[0] and source_name == target_name:
                return 0
            if is_folder:
                if os.listdir(target[0].path):
                    raise error(errno.ENOTEMPTY)
                os.rmdir(target_folder.host + target_name)
        host = source_folder.host + source_name if is_folder else self._view.own_entry(source, member)
        os.rename(host, target_folder.host + target_name)
        if is_folder or stat.S_ISLNK(found.st_mode) or (replaced is not None and not stat.S_ISREG(replaced.st_mode)):
            self._view.forget()
        return 0

    def _entry(self, place: Place, member: Member) -> tuple[Folder, bytes]:
        folder, name, _, found = place
        if name:
            return folder, name
        if found is not None and not stat.S_ISDIR(found.st_mode):
            raise error(errno.EBUSY)
        return self._parent_of(folder, member)
