"""A layer's tar → a lazy tree on top of the tree below it.

The layer's whiteouts are carried out, not kept. An entry whose parent is no directory replaces it by one, as the overlay of the other kind
of root file system shows it. Nothing is written outside the tree: paths are clean, and no symbolic link is ever followed.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from dockerlab.engine.rootfs import recorded, regular
from dockerlab.engine.rootfs.regular import is_directory
from dockerlab.engine.rootfs.removal import remove
from dockerlab.engine.rootfs.tree import Tree, origin_of
from dockerlab.engine.rootfs.unpacked import carry_out
from dockerlab.engine.store.disk import Budget
from dockerlab.errors import EngineError
from dockerlab.wire.tar import Data, Entry, Readable

_DEVICES = {"char": stat.S_IFCHR, "block": stat.S_IFBLK}
_RESERVED = ("user.dockerlab.", recorded.ATTRIBUTE)


def apply(tree: Tree, stream: Readable, budget: Budget) -> None:
    """Carries out the layer on `tree`, whose top is a placeholder, or an empty directory for the lowest layer.

    Raises EngineError for an archive that is broken or not safe, OSError where the disk fails.
    """
    layer = _Layer(tree, budget)
    carry_out(stream, budget, layer.add)
    layer.finish()


class _Layer:
    def __init__(self, tree: Tree, budget: Budget) -> None:
        self._tree, self._budget = tree, budget
        self._own: dict[bytes, bytes] = {}
        self._added: set[bytes] = set()
        self._times: dict[bytes, int] = {}

    def add(self, entry: Entry, data: Data) -> None:
        path = os.fsencode(entry.path)
        if entry.is_aufs or b".wh..wh." in path.rpartition(b"/")[0]:
            return
        if entry.opaque:
            self._clear(os.fsencode(entry.parent))
            return
        if (gone := entry.whiteout) is not None:
            self._white_out(os.fsencode(gone))
            return
        self._create(path, entry, data)
        while path and path not in self._added:
            self._added.add(path)
            path = path.rpartition(b"/")[0]

    def finish(self) -> None:
        """What writing into directories did to their times is undone."""
        for path, time in self._times.items():
            host = self._tree.own_path(path)
            with suppress(FileNotFoundError, NotADirectoryError):  # removed by a later entry
                if stat.S_ISDIR(os.lstat(host).st_mode):
                    os.utime(host, ns=(time, time))

    def _folder(self, wanted: bytes) -> bytes:
        """The directory `wanted` in the level that is written, made where it is not there."""
        missing = []
        path = wanted
        while path not in self._own:
            missing.append(path)
            if not path:
                break
            path = path.rpartition(b"/")[0]
        for each in reversed(missing):
            host = self._tree.own_path(each)
            if each and not is_directory(host):
                _remove(host)
                os.mkdir(host, 0o755)
            self._own[each] = self._tree.merge(each)
            self._times.setdefault(each, os.lstat(host).st_mtime_ns)
        return self._own[wanted]

    def _forget(self, path: bytes) -> None:
        if path not in self._own:
            return
        below = path + b"/"
        for known in [known for known in self._own if known == path or known.startswith(below)]:
            del self._own[known]
            self._times.pop(known, None)

    def _white_out(self, path: bytes) -> None:
        if path in self._added:
            return  # this layer's own: a whiteout is about those below
        host = self._folder(path.rpartition(b"/")[0]) + b"/" + path.rpartition(b"/")[2]
        self._forget(path)
        _remove(host)

    def _clear(self, path: bytes) -> None:
        host = self._folder(path)
        for name in os.listdir(host):
            child = path + b"/" + name if path else name
            if child not in self._added:
                self._forget(child)
                _remove(host + b"/" + name)
            elif is_directory(host + b"/" + name):
                self._clear(child)

    def _create(self, path: bytes, entry: Entry, data: Data) -> None:
        if not path:
            if entry.kind == "directory":
                self._directory(path, self._folder(b""), entry)
            return
        host = self._folder(path.rpartition(b"/")[0]) + b"/" + path.rpartition(b"/")[2]
        if entry.kind == "directory":
            self._directory(path, self._folder(path), entry)
            return
        source = self._linked(entry) if entry.kind == "link" else b""
        if source == host:
            return
        self._forget(path)
        if entry.kind == "file":
            try:
                _write_file(host, entry, data)
            except FileExistsError:  # seldom, so that it is not looked for before
                _remove(host)
                _write_file(host, entry, data)
            return
        _remove(host)
        if entry.kind == "symlink":
            os.symlink(os.fsencode(entry.target), host)
        elif entry.kind == "link":
            os.link(source, host, follow_symlinks=False)
            return
        elif entry.kind == "fifo":
            os.mkfifo(host, entry.mode & 0o777 | 0o600)
        else:
            os.close(os.open(host, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            device = (_DEVICES[entry.kind], *entry.device)
            recorded.write(host, recorded.Recorded(entry.uid, entry.gid, entry.mode, device), is_directory=False)
        os.utime(host, ns=(entry.mtime, entry.mtime), follow_symlinks=False)

    def _directory(self, path: bytes, host: bytes, entry: Entry) -> None:
        recorded.write(host, recorded.Recorded(entry.uid, entry.gid, entry.mode), is_directory=True)
        regular.set_attributes(host, entry.xattrs, _RESERVED)
        self._times[path] = entry.mtime

    def _linked(self, entry: Entry) -> bytes:
        """The file that a hard link names; a file of a lower layer is copied up first."""
        path = os.fsencode(entry.target)
        parent, _, name = path.rpartition(b"/")
        try:
            self._tree.locate(parent)
            host = self._folder(parent) + b"/" + name
            found = os.lstat(host)
        except (FileNotFoundError, NotADirectoryError):
            raise EngineError(f"the archive is broken: {entry.path!r} links to {entry.target!r}, which is not there") from None
        if stat.S_ISDIR(found.st_mode):
            raise EngineError(f"the archive is broken: {entry.path!r} links to {entry.target!r}, a directory")
        if self._tree.is_shared(path, found, origin_of(self._folder(parent))):
            self._tree.copy_up(path, found)
        return host


def _remove(host: bytes) -> None:
    with suppress(FileNotFoundError):
        if is_directory(host):
            remove(os.fsdecode(host))
        else:
            os.unlink(host)


def _write_file(host: bytes, entry: Entry, data: Data) -> None:
    fd = regular.write(host, entry, data)
    try:
        real = recorded.real_mode(entry.mode, is_directory=False)
        os.fchmod(fd, real)
        if (entry.uid, entry.gid, entry.mode) != (0, 0, real):
            recorded.write(host, recorded.Recorded(entry.uid, entry.gid, entry.mode), is_directory=False)
        if entry.xattrs:
            regular.set_attributes(host, entry.xattrs, _RESERVED)
        os.utime(fd, ns=(entry.mtime, entry.mtime))
    finally:
        os.close(fd)
