"""A layer's tar → a directory as overlayfs keeps a layer.

Nothing is written outside: an entry's path is clean, and a parent that is no directory (a symbolic link, most of all) is replaced by
one. Directories get their modes and times when all that is in them is there. One that the layer has no entry for, only something in it,
is as the layers below have it: the kernel shows the uppermost's mode, and /tmp must stay as it is for all to write to.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress

from dockerlab.engine.rootfs import recorded, regular
from dockerlab.engine.rootfs.regular import is_directory
from dockerlab.engine.rootfs.removal import remove
from dockerlab.engine.rootfs.unpacked import carry_out
from dockerlab.engine.store.disk import Budget
from dockerlab.errors import EngineError
from dockerlab.wire.tar import Data, Entry, Readable

OPAQUE = b"user.overlay.opaque"
_RESERVED = ("user.overlay.", "user.dockerlab.", "trusted.overlay.", recorded.ATTRIBUTE)


def unpack(top: bytes, stream: Readable, budget: Budget, lowers: Sequence[bytes] = ()) -> None:
    """Unpacks a layer into the empty directory `top`. lowers: the unpacked layers below, the topmost first.

    Raises EngineError for an archive that is broken or not safe, OSError where the disk fails.
    """
    layer = _Layer(top, lowers)
    carry_out(stream, budget, layer.add)
    layer.finish()


class _Layer:
    def __init__(self, top: bytes, lowers: Sequence[bytes]) -> None:
        self._top, self._lowers = top, lowers
        self._is_root = os.getuid() == 0
        self._folders: set[bytes] = {b""}
        self._directories: dict[bytes, Entry] = {}

    def add(self, entry: Entry, data: Data) -> None:
        path = os.fsencode(entry.path)
        if entry.is_aufs:
            return
        if entry.opaque:
            os.setxattr(self._folder(os.fsencode(entry.parent)), OPAQUE, b"y")
            return
        if (gone := entry.whiteout) is not None:
            self._white_out(os.fsencode(gone))
            return
        if entry.kind == "directory":
            self._folder(path)
            self._directories[path] = entry
            return
        if path:
            self._create(path, entry, data)

    def finish(self) -> None:
        """Gives directories what is theirs, the deepest first: a mode may close one to us."""
        for path in sorted(self._folders | self._directories.keys(), key=lambda path: path.count(b"/") + bool(path), reverse=True):
            host = self._host(path)
            if not is_directory(host):
                continue  # replaced by a later entry
            if entry := self._directories.get(path):
                self._own(host, entry)
                regular.set_attributes(host, entry.xattrs, _RESERVED)
                # Else we could not look into it ourselves, for `docker diff`.
                os.chmod(host, entry.mode if self._is_root else entry.mode | 0o700)
                os.utime(host, ns=(entry.mtime, entry.mtime))
            elif below := _below(self._lowers, path):
                copy_status(below, host)

    def _host(self, path: bytes) -> bytes:
        return self._top + b"/" + path if path else self._top

    def _folder(self, path: bytes) -> bytes:
        """The directory at `path`, made where it is not there."""
        missing = []
        while path not in self._folders:
            missing.append(path)
            path = path.rpartition(b"/")[0]
        for path in reversed(missing):
            host = self._host(path)
            if not is_directory(host):
                hides = _is_whiteout(host)
                self._clear(path)
                os.mkdir(host, 0o755)
                if hides:
                    os.setxattr(host, OPAQUE, b"y")
            self._folders.add(path)
        return self._host(path)

    def _clear(self, path: bytes) -> None:
        if path in self._folders:
            below = path + b"/"
            self._folders = {known for known in self._folders if known != path and not known.startswith(below)}
        with suppress(FileNotFoundError):
            if is_directory(self._host(path)):
                remove(os.fsdecode(self._host(path)))
            else:
                os.unlink(self._host(path))

    def _white_out(self, path: bytes) -> None:
        self._folder(path.rpartition(b"/")[0])
        if os.path.lexists(self._host(path)):
            # This layer's own stays: a whiteout is about those below.
            if is_directory(self._host(path)):
                os.setxattr(self._host(path), OPAQUE, b"y")
            return
        make_whiteout(self._host(path))

    def _create(self, path: bytes, entry: Entry, data: Data) -> None:
        self._folder(path.rpartition(b"/")[0])
        host = self._host(path)
        source = self._linked(entry) if entry.kind == "link" else b""
        if source == host:
            return
        if entry.kind == "file":
            self._file(path, host, entry, data)
            return
        self._clear(path)
        if entry.kind == "link":
            os.link(source, host, follow_symlinks=False)
            return
        if entry.kind == "symlink":
            os.symlink(os.fsencode(entry.target), host)
        elif entry.kind == "fifo":
            os.mkfifo(host, 0o600)
        elif not self._device(host, entry):
            return
        self._own(host, entry)
        if entry.kind != "symlink":
            regular.set_attributes(host, entry.xattrs, _RESERVED)
            # After the owner: a change of owner takes set-id bits away.
            os.chmod(host, entry.mode)
        os.utime(host, ns=(entry.mtime, entry.mtime), follow_symlinks=False)

    def _file(self, path: bytes, host: bytes, entry: Entry, data: Data) -> None:
        try:
            fd = regular.write(host, entry, data)
        except FileExistsError:  # seldom, so that it is not looked for before
            self._clear(path)
            fd = regular.write(host, entry, data)
        try:
            self._own(host, entry)
            if entry.xattrs:
                regular.set_attributes(host, entry.xattrs, _RESERVED)
            os.fchmod(fd, entry.mode)
            os.utime(fd, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(fd)

    def _device(self, host: bytes, entry: Entry) -> bool:
        """Only root makes devices, and not root in a user namespace. 0:0 would be a whiteout."""
        if not self._is_root or entry.device == (0, 0):
            return False
        kind = stat.S_IFCHR if entry.kind == "char" else stat.S_IFBLK
        try:
            os.mknod(host, kind | 0o600, os.makedev(*entry.device))
        except PermissionError:
            return False
        return True

    def _own(self, host: bytes, entry: Entry) -> None:
        is_directory = entry.kind == "directory"
        if not recorded.is_needed(entry.uid, entry.gid, entry.mode, is_directory=is_directory and not self._is_root):
            return
        if self._is_root:
            try:
                os.lchown(host, entry.uid, entry.gid)
            except OSError as error:
                # Root of a user namespace that has no such user.
                if error.errno not in (errno.EPERM, errno.EINVAL):
                    raise
            else:
                return
        if is_directory or entry.kind == "file":
            os.setxattr(host, recorded.ATTRIBUTE, recorded.text(recorded.Recorded(entry.uid, entry.gid, entry.mode)))

    def _linked(self, entry: Entry) -> bytes:
        """The file that a hard link names. Raises EngineError for one that this layer does not have."""
        path = os.fsencode(entry.target)
        host = self._host(path)
        parent = path.rpartition(b"/")[0]
        if parent in self._folders or _is_inside(self._top, parent):
            with suppress(FileNotFoundError):
                if not stat.S_ISDIR(os.lstat(host).st_mode):
                    return host
        raise EngineError(f"the archive is broken: {entry.path!r} links to {entry.target!r}, which is not there")


def _below(lowers: Sequence[bytes], path: bytes) -> bytes | None:
    """The directory that the layers below show at `path`, or None."""
    parts = path.split(b"/") if path else []
    for lower in lowers:
        host, hides = lower, False
        for part in parts:
            host += b"/" + part
            if not is_directory(host):
                break
            hides = hides or is_opaque(host)
        else:
            return host
        if hides or os.path.lexists(host):
            return None  # hidden from here on, or a file, or gone
    return None


def copy_status(source: bytes, host: bytes) -> None:
    """Gives a directory another's owner, mode, times and record."""
    found = os.lstat(source)
    if os.getuid() == 0:
        os.chown(host, found.st_uid, found.st_gid)
    if recorded.attribute(source):
        os.setxattr(host, recorded.ATTRIBUTE, os.getxattr(source, recorded.ATTRIBUTE))
    os.chmod(host, stat.S_IMODE(found.st_mode))
    os.utime(host, ns=(found.st_atime_ns, found.st_mtime_ns))


def make_whiteout(host: bytes) -> None:
    """Says that what the layers below have there is gone."""
    os.mknod(host, stat.S_IFCHR | 0o600, os.makedev(0, 0))


def is_opaque(host: bytes) -> bool:
    """Whether a directory hides those below it."""
    try:
        return os.getxattr(host, OPAQUE, follow_symlinks=False) in (b"y", b"x")
    except OSError:
        return False  # it has no such attribute, or cannot have any


def _is_whiteout(host: bytes) -> bool:
    try:
        found = os.lstat(host)
    except FileNotFoundError:
        return False
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(0, 0)


def _is_inside(top: bytes, path: bytes) -> bool:
    """Whether every component of `path` is a directory, and no link."""
    host = top
    for part in path.split(b"/") if path else ():
        host += b"/" + part
        if not is_directory(host):
            return False
    return True
