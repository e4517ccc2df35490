"""A lazy tree: a whole file system in a directory, which costs disk only for the directories that differ from the tree below.

A tree has *levels*: the container's own `upper`, and `trees/<chain>/` for each layer of its image. In every level but the lowest a
directory is one of three:

- a *placeholder*: empty, and its attribute `user.dockerlab.lower` names the tree that holds the directory, at the same path
- *merged*: made from a placeholder when something in it had to change. Its files are hard links to the lower's, its directories
  placeholders. `user.dockerlab.merged` names the tree it came from, and the inode number it had there, which it goes on to show.
- *own*: made here

So that a lookup needs no search: a placeholder names the level where the directory really is. And what keeps images whole: a file that is
a hard link to a lower's (*shared*) lies at its lower's path, in a merged directory, and is never changed. Before it is, it is *copied up*.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass

LOWER, MERGED = b"user.dockerlab.lower", b"user.dockerlab.merged"
_OURS = (LOWER, MERGED)
_CHUNK = 1 << 24


@dataclass(frozen=True)
class Origin:
    """Where a merged directory came from."""

    tree: bytes
    inode: int


class Tree:
    """One level that may change, above others that do not.

    top: this level's directory. trees: where the lower ones lie. scratch: an empty directory on the same file system, for half-made
    copies. Paths in the tree are relative, "" is its root.
    """

    def __init__(self, top: bytes, trees: bytes, scratch: bytes) -> None:
        self.top, self.trees, self._scratch = top, trees, scratch
        self._count = 0

    def own_path(self, path: bytes) -> bytes:
        """Where `path` is, or would be, in the level that changes."""
        return self.top + b"/" + path if path else self.top

    def lower_path(self, tree: bytes, path: bytes) -> bytes:
        """Where `path` is in a lower tree."""
        return self.trees + b"/" + tree + (b"/" + path if path else b"")

    def locate(self, path: bytes) -> tuple[bytes, bool]:
        """Where the directory `path` really is, and whether in the level that changes. Raises OSError where there is none."""
        here, owned = self.own_path(b""), True
        done = b""
        tree = lower_of(here)
        for name in [b"", *path.split(b"/")] if path else [b""]:
            done = done + b"/" + name if done else name
            if name:
                here = here + b"/" + name
                if not stat.S_ISDIR(os.lstat(here).st_mode):
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), here)
                tree = lower_of(here)
            if tree is not None:
                here, owned = self.lower_path(tree, done), False
        return here, owned

    def own(self, path: bytes) -> bytes:
        """Makes the directory `path` one of this level, with all above it; where it is then."""
        here, owned = self.locate(path)
        missing = []
        while not owned:
            missing.append(path)
            if not path:
                break
            path = path.rpartition(b"/")[0]
            here, owned = self.locate(path)
        for each in reversed(missing):
            here = self.merge(each)
        return here

    def merge(self, path: bytes) -> bytes:
        """Turns a placeholder into a merged directory; where it is. The directories above it are this level's already."""
        target = self.own_path(path)
        tree = lower_of(target)
        if tree is None:
            return target
        source = self.lower_path(tree, path)
        with os.scandir(source) as entries:
            for entry in entries:
                self._take(entry.path, target + b"/" + entry.name, tree, entry.is_dir(follow_symlinks=False))
        found = os.lstat(source)
        os.chmod(target, stat.S_IMODE(found.st_mode))
        copy_attributes(source, target)
        origin = origin_of(source)
        os.setxattr(target, MERGED, tree + b" %d" % (origin.inode if origin else found.st_ino))
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
        os.removexattr(target, LOWER)
        return target

    def is_shared(self, path: bytes, found: os.stat_result, origin: Origin | None) -> bool:
        """Whether a file of this level is a hard link to a lower's. origin: of its directory."""
        if origin is None or found.st_nlink < 2:
            return False
        try:
            below = os.lstat(self.lower_path(origin.tree, path))
        except OSError:
            return False  # the lower has no such file
        return (below.st_ino, below.st_dev) == (found.st_ino, found.st_dev)

    def copy_up(self, path: bytes, found: os.stat_result, *, content: bool = True) -> None:
        """Puts a copy in place of a shared file. Without its content it is empty."""
        target = self.own_path(path)
        beside = self.temporary()
        copy(target, beside, found, content=content)
        os.rename(beside, target)

    def temporary(self) -> bytes:
        """A new name in `scratch`."""
        self._count += 1
        return self._scratch + b"/%d-%d" % (os.getpid(), self._count)

    def _take(self, source: bytes, target: bytes, tree: bytes, is_directory: bool) -> None:
        if is_directory:
            # What a crash left half-made is there already.
            with suppress(FileExistsError):
                os.mkdir(target, 0o700)
            os.setxattr(target, LOWER, lower_of(source) or tree)
            return
        try:
            os.link(source, target, follow_symlinks=False)
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno not in (errno.EMLINK, errno.EPERM, errno.EXDEV):
                raise
            copy(source, target, os.lstat(source))


def make_placeholder(path: bytes, tree: bytes) -> None:
    """Makes an empty directory that continues in `tree`."""
    os.mkdir(path, 0o700)
    os.setxattr(path, LOWER, tree)


def lower_of(path: bytes) -> bytes | None:
    """The tree that a placeholder names, None for any other directory."""
    try:
        return os.getxattr(path, LOWER, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
            return None
        raise


def origin_of(path: bytes) -> Origin | None:
    """Where a merged directory came from, None for any other."""
    try:
        tree, _, inode = os.getxattr(path, MERGED, follow_symlinks=False).rpartition(b" ")
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
            return None
        raise
    return Origin(tree, int(inode))


def copy(source: bytes, target: bytes, found: os.stat_result, *, content: bool = True) -> None:
    """Copies what is no directory, with its times and attributes. content: of a regular file."""
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFLNK:
        os.symlink(os.readlink(source), target)
    elif kind == stat.S_IFREG:
        read = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            write = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                if content:
                    copy_content(read, write, found.st_size)
                os.fchmod(write, stat.S_IMODE(found.st_mode))
            finally:
                os.close(write)
        finally:
            os.close(read)
        copy_attributes(source, target)
    else:
        os.mknod(target, found.st_mode)
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=False)


def copy_content(read: int, write: int, size: int) -> None:
    """The bytes of an open file, and its holes; in the kernel where it can."""
    try:
        done = 0
        while done < size:
            try:
                done = os.lseek(read, done, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                break  # the rest is a hole
            end = os.lseek(read, done, os.SEEK_HOLE)
            while done < end:
                count = os.copy_file_range(read, write, min(end - done, _CHUNK), done, done)
                if not count:
                    break
                done += count
            if done < end:
                break
        os.ftruncate(write, size)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        os.lseek(read, 0, os.SEEK_SET)
        os.lseek(write, 0, os.SEEK_SET)
        with os.fdopen(read, "rb", closefd=False) as here, os.fdopen(write, "wb", closefd=False) as there:
            shutil.copyfileobj(here, there, 1 << 20)


def copy_attributes(source: bytes, target: bytes) -> None:
    """Extended attributes, without those that say how a tree is made."""
    for name in attributes(source):
        with suppress(PermissionError):  # security.* and trusted.* are root's
            os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)


def attributes(path: bytes) -> list[bytes]:
    """The names of the extended attributes that a container may see of a file."""
    try:
        names = [os.fsencode(name) for name in os.listxattr(path, follow_symlinks=False)]
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return []
        raise
    return [name for name in names if name not in _OURS]
