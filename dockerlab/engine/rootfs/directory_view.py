"""A view of a plain directory of the host (see `reading.View`): what strangers made may be in it, and no link in it is ever followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import IO, TypeVar

from dockerlab.engine.rootfs.differences import KINDS
from dockerlab.wire.tar import Entry

_Result = TypeVar("_Result")


class DirectoryView:
    """A plain directory of the host; all in it belongs to root. mtime: of everything, in place of the real ones."""

    def __init__(self, path: os.PathLike[str] | str, *, mtime: int | None = None) -> None:
        self._root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._mtime = mtime

    def close(self) -> None:
        """Nothing can be read from then on."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def lookup(self, path: str) -> Entry | None:
        """See `View`."""
        found = self._status(path)
        kind = KINDS.get(stat.S_IFMT(found.st_mode)) if found else None
        if found is None or kind is None:
            return None
        mtime = found.st_mtime_ns if self._mtime is None else self._mtime
        if kind == "symlink":
            return Entry(path, kind, 0o777, mtime=mtime, target=self._target(path))
        device = (os.major(found.st_rdev), os.minor(found.st_rdev)) if kind in ("char", "block") else (0, 0)
        size = found.st_size if kind == "file" else 0
        return Entry(path, kind, stat.S_IMODE(found.st_mode), mtime=mtime, size=size, device=device)

    def names(self, path: str) -> list[str]:
        """See `View`."""
        try:
            fd = self._opened(path, os.O_DIRECTORY)
        except OSError:
            return []
        try:
            return sorted(os.listdir(fd))
        finally:
            os.close(fd)

    def open(self, path: str) -> IO[bytes]:
        """See `View`."""
        # Opening a pipe would wait for somebody to write to it.
        fd = self._opened(path, os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise IsADirectoryError(path)
        return os.fdopen(fd, "rb")

    def identity(self, path: str) -> object:
        """See `View`."""
        found = self._status(path)
        return (found.st_dev, found.st_ino) if found else path

    def _status(self, path: str) -> os.stat_result | None:
        parent, _, name = path.rpartition("/")
        try:
            if not path:
                return os.fstat(self._root)
            return self._at(parent, lambda fd: os.stat(name, dir_fd=fd, follow_symlinks=False))
        except (OSError, ValueError):  # a null byte is the latter
            return None

    def _target(self, path: str) -> str:
        parent, _, name = path.rpartition("/")
        return self._at(parent, lambda fd: os.readlink(name, dir_fd=fd))

    def _at(self, parent: str, work: Callable[[int], _Result]) -> _Result:
        if not parent:
            return work(self._root)
        fd = self._opened(parent, os.O_DIRECTORY)
        try:
            return work(fd)
        finally:
            os.close(fd)

    def _opened(self, path: str, flags: int) -> int:
        """A descriptor of what is at `path`, which no component that is a link has led to. Raises OSError."""
        fd = os.dup(self._root)
        names = path.split("/") if path else []
        for number, name in enumerate(names, start=1):
            more = flags if number == len(names) else os.O_DIRECTORY
            try:
                further = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | more, dir_fd=fd)
            finally:
                os.close(fd)
            fd = further
        return fd
