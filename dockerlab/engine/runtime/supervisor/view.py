"""Paths of a container → paths of the host: the walk that the kernel would do, inside the container's root.

Symbolic links lead no further than that root, and `..` does not leave it. A directory that was found once is remembered, until something
changes that can move directories; the supervisor alone changes a container's tree. What is bound from the host, /proc and /sys are looked
up anew each time. All paths are bytes; a path of the container is "" for its root, "/usr/lib" for a directory.

path_resolution(7); proc(5) on the links that are none.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from dockerlab.engine.rootfs import recorded
from dockerlab.engine.rootfs.tree import Tree, lower_of, origin_of
from dockerlab.engine.runtime.credentials import Identity
from dockerlab.engine.runtime.supervisor.folders import Area, Folder, Place, Unmade
from dockerlab.engine.runtime.supervisor.members import Member, Members

_MOST_LINKS = 40
_MOST_REMEMBERED = 50_000


class View:
    """One container's files."""

    def __init__(self, tree: Tree, members: Members) -> None:
        self._tree, self._members = tree, members
        self._area = Area("tree", b"", tree.top)
        self._mounts: dict[bytes, dict[bytes, Folder]] = {}
        self._areas: list[Area] = []
        self._aliases: dict[bytes, bytes] = {}
        # What is recorded for files of the image, by inode and device.
        self.known_files: dict[tuple[int, int], recorded.Recorded | None] = {}
        self._known: dict[bytes, Folder] = {}
        self._fleeting = False
        self._upper = tree.top + b"/"
        self._trees = tree.trees + b"/"
        self.forget()

    # --- building

    def mount(
        self, folder: Folder, name: bytes, host: bytes, *, kind: str = "bind", readonly: bool = False, is_file: bool = False,
        make: Callable[[], object] | None = None,
    ) -> None:  # fmt: skip
        """Shows a directory or a file of the host in place of an entry. make: makes the directory once it is needed."""
        guest = folder.guest + b"/" + name
        area = Area(kind, guest, host, readonly)
        path = host if is_file else host.rstrip(b"/") + b"/"
        root = Folder(guest, path, area, True) if make is None else Unmade(guest, path, area, make)
        root.is_file = is_file
        root.mounts = None if is_file else self._mounts.setdefault(guest, {})
        self._mounts.setdefault(folder.guest, {})[name] = root
        self._areas = sorted([*self._areas, area], key=lambda area: -len(area.host))
        self.forget()

    def stands_for(self, host: bytes, guest: bytes) -> None:
        """A directory of the host that is opened in place of one of the container."""
        self._aliases[host] = guest

    def seal(self) -> None:
        """The tree may not be changed any more: `--read-only`."""
        self._area = Area("tree", b"", self._tree.top, True)
        self.forget()

    @property
    def is_sealed(self) -> bool:
        """Whether it is."""
        return self._area.readonly

    def mounts(self) -> list[Area]:
        """What is mounted, by the container's paths."""
        return sorted(self._areas, key=lambda area: area.guest)

    # --- looking up

    def forget(self) -> None:
        """Something has changed that other directories depend on."""
        self._known.clear()
        lower = lower_of(self._tree.top)
        if lower is None:
            root = Folder(b"", self._upper, self._area, True, origin_of(self._tree.top))
        else:
            root = Folder(b"", self._tree.lower_path(lower, b"") + b"/", self._area, False)
        root.mounts = self._mounts.get(b"")
        self._known[b""] = root

    def folder(self, path: bytes, member: Member, links: int = 0) -> Folder:
        """The directory that an absolute path leads to, all links followed. Raises OSError."""
        known = self._known.get(path)
        if known is not None:
            return known
        before, self._fleeting = self._fleeting, False
        head, _, name = path.rpartition(b"/")
        found = self._enter(self.folder(head, member, links), name, member, links)
        if self._fleeting or found.area.kind != "tree":
            self._fleeting = True
        else:
            if len(self._known) > _MOST_REMEMBERED:
                self.forget()
            self._known[path] = found
            self._fleeting = before
        return found

    def locate(self, path: bytes, member: Member, *, follow: bool = True, links: int = 0) -> Place:
        """What an absolute path leads to; follow: also where it is itself a link. The last entry need not exist. Raises OSError."""
        name = path
        while True:
            head, _, name = path.rpartition(b"/")
            if name:
                break
            # A slash at the end asks for a directory.
            if not head:
                root = self._known[b""]
                return root, b"", root.host, os.lstat(root.host)
            path, follow = head, True
            if path[-1:] != b"/":
                return self._locate_folder(path, member, links)
        folder = self._known.get(head) or self.folder(head, member, links)
        if not member.identity.is_root:
            self.check_search(folder, member)
        if len(name) > 255:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        if name in (b".", b".."):
            found = self.folder(path, member, links)
            return found, b"", found.host, os.lstat(found.host)
        if folder.mounts is not None and (mounted := folder.mounts.get(name)) is not None:
            return mounted, b"", mounted.host, os.lstat(mounted.host)
        if folder.area.kind == "proc":
            return self._locate_proc(folder, name, member, follow, links)
        host = folder.host + name
        entries = folder.entries
        if entries is None:
            try:
                found_stat: os.stat_result | None = os.lstat(host)
            except FileNotFoundError:
                return folder, name, host, None
        elif name in entries:
            found_stat = entries[name]
        else:
            found_stat = entries[name] = _lstat(host)
        if found_stat is None:
            return folder, name, host, None
        kind = found_stat.st_mode & 0o170000
        if kind == stat.S_IFLNK and follow:
            return self.locate(self._target(folder, host, links), member, links=links + 1)
        if kind == stat.S_IFDIR:
            found = self._known.get(folder.guest + b"/" + name) or self._child(folder, name, host)
            return found, b"", found.host, found.lstat()
        return folder, name, host, found_stat

    def guest(self, host: bytes) -> bytes | None:
        """The container's path of a path of the host; None for one that is not shown in it."""
        if host.startswith(self._upper):
            return host[len(self._upper) - 1 :]
        if host.startswith(self._trees):
            return host[len(self._trees) :].partition(b"/")[2] and b"/" + host[len(self._trees) :].partition(b"/")[2]
        for area in self._areas:
            if host == area.host:
                return area.guest
            if host.startswith(area.host.rstrip(b"/") + b"/"):
                return area.guest + host[len(area.host.rstrip(b"/")) :]
        return b"" if host == self._tree.top else self._aliases.get(host)

    def attribute(self, place: Place) -> recorded.Recorded | None:
        """What is recorded for an entry that is there, None where nothing is."""
        folder, name, host, found = place
        if found is None or found.st_mode & 0o170000 not in (stat.S_IFREG, stat.S_IFDIR) or folder.area.kind in ("proc", "sys"):
            return None
        if folder.entries is None:
            return recorded.attribute(host)
        if name in folder.records:
            return folder.records[name]
        folder.records[name] = value = recorded.attribute(host)
        if name:
            self.known_files[found.st_ino, found.st_dev] = value
        return value

    def recorded(self, place: Place) -> recorded.Recorded:
        """Owner and mode of an entry that is there, as the container sees them."""
        value = self.attribute(place)
        return value if value is not None else recorded.Recorded(0, 0, stat.S_IMODE(place[3].st_mode) if place[3] else 0)

    def nowhere(self) -> Folder:
        """Of what has no path in the container: a pipe, or a file that was removed."""
        return Folder(b"", b"/", Area("nowhere", b"", b""), True)

    def check_search(self, folder: Folder, member: Member) -> None:
        """Raises OSError (EACCES) where a directory on the way may not be searched by who asks."""
        path = folder.guest
        identity = member.identity
        while True:
            if not self.allows(folder, identity, 1):
                raise OSError(errno.EACCES, os.strerror(errno.EACCES))
            if not path:
                return
            path = path.rpartition(b"/")[0]
            folder = self.folder(path, member)

    def allows(self, folder: Folder, identity: Identity, wanted: int) -> bool:
        """Whether a directory may be listed (4), changed (2) or searched (1)."""
        if identity.is_root or folder.area.kind in ("proc", "sys"):
            return True
        if folder.shown is None:
            folder.shown = recorded.read(folder.path, os.lstat(folder.path))
        shown = folder.shown
        return identity.allows(shown.uid, shown.gid, shown.mode, wanted)

    def shown_mode(self, folder: Folder) -> tuple[int, int]:
        """A directory's mode and group."""
        if folder.shown is None:
            folder.shown = recorded.read(folder.path, os.lstat(folder.path))
        return folder.shown.mode, folder.shown.gid

    # --- changing

    def own(self, folder: Folder, member: Member) -> None:
        """Makes a directory one that may be changed. Raises OSError (EROFS)."""
        if folder.area.readonly:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        if folder.owned:
            return
        path = folder.guest
        if path:
            self.own(self.folder(path.rpartition(b"/")[0], member), member)
        folder.host = self._tree.merge(path[1:]) + b"/"
        folder.owned = True
        folder.entries = None
        folder.records.clear()
        folder.origin = origin_of(folder.path)

    def own_entry(self, place: Place, member: Member, *, content: bool = True) -> bytes:
        """Makes an entry that is there one that may be changed: the host's path of what is the container's alone."""
        folder, name, _, found = place
        self.own(folder, member)
        if not name or found is None:
            return folder.path
        host = folder.host + name
        if folder.origin is not None:
            found = os.lstat(host)  # it may have become a hard link just now
            path = (folder.guest + b"/" + name)[1:]
            if self._tree.is_shared(path, found, folder.origin):
                self._tree.copy_up(path, found, content=content)
        return host

    def is_shared(self, place: Place) -> bool:
        """Whether an entry, which is no directory, is still the image's."""
        folder, name, _, found = place
        if not name or found is None or folder.area.kind != "tree":
            return False
        return not folder.owned or self._tree.is_shared((folder.guest + b"/" + name)[1:], found, folder.origin)

    # --- inside

    def _locate_folder(self, path: bytes, member: Member, links: int) -> Place:
        """Of a path with a slash at its end: a directory, or nothing."""
        place = self.locate(path, member, links=links)
        if place[3] is not None and not stat.S_ISDIR(place[3].st_mode):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return place

    def _enter(self, folder: Folder, name: bytes, member: Member, links: int) -> Folder:
        if name in (b"", b"."):
            return folder
        if name == b"..":
            return self.folder(folder.guest.rpartition(b"/")[0], member, links)
        if folder.mounts is not None and (mounted := folder.mounts.get(name)) is not None:
            if mounted.is_file:
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            return mounted
        if folder.area.kind == "proc":
            self._fleeting = True
            found, rest, _, status = self._locate_proc(folder, name, member, True, links)
            if rest or status is None:
                raise OSError(errno.ENOENT if status is None else errno.ENOTDIR, "")
            return found
        host = folder.host + name
        kind = os.lstat(host).st_mode & 0o170000
        if kind == stat.S_IFLNK:
            return self.folder(self._target(folder, host, links), member, links + 1)
        if kind != stat.S_IFDIR:
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return self._known.get(folder.guest + b"/" + name) or self._child(folder, name, host)

    def _target(self, folder: Folder, host: bytes, links: int) -> bytes:
        if links >= _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = os.readlink(host)
        return target if target[:1] == b"/" else folder.guest + b"/" + target

    def _child(self, folder: Folder, name: bytes, host: bytes) -> Folder:
        guest = folder.guest + b"/" + name
        if folder.area.kind != "tree":
            found = Folder(guest, host + b"/", folder.area, True)
        elif (lower := lower_of(host)) is not None:
            found = Folder(guest, self._tree.lower_path(lower, guest[1:]) + b"/", folder.area, False)
        else:
            found = Folder(guest, host + b"/", folder.area, folder.owned, origin_of(host) if folder.owned else None)
        found.mounts = self._mounts.get(guest)
        if folder.area.kind == "tree":
            self._known[guest] = found
        return found

    def _locate_proc(self, folder: Folder, name: bytes, member: Member, follow: bool, links: int) -> Place:
        if folder.guest == b"/proc":
            if name == b"self" and follow:
                name = b"%d" % member.pid
            if name.isdigit():
                pid = self._members.real(int(name))
                if not self._members.contains(pid):
                    return folder, name, b"/proc/" + name, None
                name = b"%d" % pid
        host = folder.host + name
        try:
            found = os.lstat(host)
        except (FileNotFoundError, ProcessLookupError):
            return folder, name, host, None
        if stat.S_ISDIR(found.st_mode):
            return Folder(folder.guest + b"/" + name, host + b"/", folder.area, True), b"", host + b"/", found
        if not (stat.S_ISLNK(found.st_mode) and follow):
            return folder, name, host, found
        if links >= _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = self.proc_link(folder, name, member)
        if target[:1] == b"/":
            return self.locate(target, member, links=links + 1)
        if is_magic(folder.host + name):
            if target[:2] == b"./" and not target.endswith(b" (deleted)"):
                raise OSError(errno.EACCES, os.strerror(errno.EACCES))  # a file of the host, or a prepared program
            return folder, name, host, os.stat(host)
        return self.locate(folder.guest + b"/" + target, member, links=links + 1)

    def proc_link(self, folder: Folder, name: bytes, member: Member) -> bytes:
        """What a link in /proc shows: the container's path, where it leads to a file of it; "" before a path that is not."""
        if folder.guest == b"/proc" and name in (b"self", b"thread-self"):
            return b"%d" % member.pid if name == b"self" else b"%d/task/%d" % (member.pid, member.pid)
        host = folder.host + name
        if name == b"exe" and (process := self.process(folder)) is not None and process.program:
            return process.program
        if name == b"root" and self.process(folder) is not None:
            return b"/"
        target = os.readlink(host)
        if target[:1] != b"/" or target.endswith(b" (deleted)"):
            return b"" + target if target[:1] != b"/" else b"." + target
        shown = self.guest(target)
        return b"." + target if shown is None else shown or b"/"

    def process(self, folder: Folder) -> Member | None:
        """The process that a directory in /proc is about."""
        parts = folder.host.split(b"/")
        return self._members.of(int(parts[2])) if len(parts) > 2 and parts[2].isdigit() else None


def _lstat(host: bytes) -> os.stat_result | None:
    try:
        return os.lstat(host)
    except FileNotFoundError:
        return None


def is_magic(host: bytes) -> bool:
    """Whether a link in /proc leads to an open file rather than to a path."""
    parts = host.split(b"/")
    return parts[-1] in (b"exe", b"cwd", b"root") or parts[-2] in (b"fd", b"map_files", b"ns")
