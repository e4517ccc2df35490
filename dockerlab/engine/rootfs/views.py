"""Views of unpacked layers of either kind (see `reading.View`), which are ours and do not change.

view_of("overlay", lowers)  → the root that a container on these lowers would start with
EMPTY                       → that of `FROM scratch`
"""

from __future__ import annotations

import errno
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import IO, TypeVar

from dockerlab.engine.rootfs import Kind, recorded
from dockerlab.engine.rootfs.differences import KINDS
from dockerlab.engine.rootfs.mount_points import is_mount_point
from dockerlab.engine.rootfs.overlay_layer import is_opaque
from dockerlab.engine.rootfs.reading import View
from dockerlab.engine.rootfs.tree import lower_of
from dockerlab.wire.tar import Entry

_MOUNT_POINTS = b"mount-points"  # the lower that every overlay has, and no image
_HIDDEN = ("user.overlay.", "user.dockerlab.", recorded.ATTRIBUTE)
_KEPT = ("user.", "security.cap")
_Result = TypeVar("_Result")
_Place = tuple[bytes, os.stat_result]


class EmptyView:
    """The root of `FROM scratch`."""

    def lookup(self, path: str) -> Entry | None:
        """See `View`."""
        return None if path else Entry("", "directory", 0o755)

    def names(self, path: str) -> list[str]:
        """See `View`."""
        return []

    def open(self, path: str) -> IO[bytes]:
        """See `View`."""
        raise FileNotFoundError(path) if path else IsADirectoryError(path)

    def identity(self, path: str) -> object:
        """See `View`."""
        return path


EMPTY: View = EmptyView()


def view_of(kind: Kind, lowers: Sequence[str]) -> View:
    """What a container sees that is made of `lowers` (topmost first), before it has written anything."""
    if not lowers:
        return EMPTY
    places = [os.fsencode(lower) for lower in lowers]
    return OverlayView(places) if kind == "overlay" else TreeView(places[0])


class _Unpacked(ABC):
    """What views of unpacked layers have in common."""

    def __init__(self) -> None:
        self._last: tuple[str, _Place | None] | None = None  # a file is asked for several times in a row

    def open(self, path: str) -> IO[bytes]:
        """See `View`."""
        found = self._find(path)
        if found is None:
            raise FileNotFoundError(path)
        return _open(found[0], found[1])

    def identity(self, path: str) -> object:
        """See `View`."""
        found = self._find(path)
        # Of what has one name alone, the path is as good, and need not be remembered.
        return (found[1].st_dev, found[1].st_ino) if found and found[1].st_nlink > 1 else path

    def _find(self, path: str) -> _Place | None:
        last = self._last
        if last is None or last[0] != path:
            last = self._last = (path, self._searched(path))
        return last[1]

    @abstractmethod
    def _searched(self, path: str) -> _Place | None:
        """Where a path really is, and its lstat; None where nothing is."""


class OverlayView(_Unpacked):
    """Layers as overlayfs keeps them, put together without the kernel. lowers: the topmost first."""

    def __init__(self, lowers: Sequence[bytes]) -> None:
        lowers = [lower for lower in lowers if os.path.basename(lower) != _MOUNT_POINTS]
        self._places: dict[str, list[bytes]] = {"": list(lowers)}
        super().__init__()
        self._is_root = os.getuid() == 0

    def lookup(self, path: str) -> Entry | None:
        """See `View`."""
        found = self._find(path)
        if found is None:
            return None
        host, status = found
        kind = KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return None
        mode = stat.S_IMODE(status.st_mode)
        owner = (status.st_uid, status.st_gid) if self._is_root else (0, 0)
        if kind == "symlink":
            return Entry(path, kind, 0o777, *owner, status.st_mtime_ns, target=os.fsdecode(os.readlink(host)))
        names = _attribute_names(host)
        if owner == (0, 0) and recorded.ATTRIBUTE in names:
            noted = _forced(host, 0o400, lambda: recorded.attribute(host))
            if noted:
                owner = (noted.uid, noted.gid)
                # Directories let their owner in, who is not root.
                mode = noted.mode if kind == "directory" and mode == noted.mode | 0o700 else mode
        size = status.st_size if kind == "file" else 0
        device = (os.major(status.st_rdev), os.minor(status.st_rdev)) if kind in ("char", "block") else (0, 0)
        return Entry(path, kind, mode, *owner, status.st_mtime_ns, size, device=device, xattrs=_attributes(host, names))

    def names(self, path: str) -> list[str]:
        """See `View`."""
        found: dict[bytes, bool] = {}
        for place in self._directory(path):
            with _scan(place) as entries:
                for entry in entries:
                    if entry.name not in found:
                        found[entry.name] = not _is_whiteout(entry)
        return sorted(os.fsdecode(name) for name, is_there in found.items() if is_there)

    def _searched(self, path: str) -> _Place | None:
        if not path:
            places = self._places[""]
            return (places[0], os.lstat(places[0])) if places else None
        parent, _, name = path.rpartition("/")
        end = b"/" + os.fsencode(name)
        for place in self._directory(parent):
            if (status := _status(place + end)) is not None:
                return None if _is_zero_device(status) else (place + end, status)
        return None

    def _directory(self, path: str) -> list[bytes]:
        """A directory's places in the layers, the topmost first; [] for what is none."""
        waiting = []  # what is above it and not known yet: a path may have thousands of components
        while (known := self._places.get(path)) is None:
            path, _, name = path.rpartition("/")
            waiting.append(name)
        for name in reversed(waiting):
            path = f"{path}/{name}" if path else name
            known = self._below(known, b"/" + os.fsencode(name))
            if not known:
                break
            self._places[path] = known
        return known

    def _below(self, above: Sequence[bytes], end: bytes) -> list[bytes]:
        """The places of a directory, of those of the one above it."""
        places: list[bytes] = []
        for place in above:
            status = _status(place + end)
            if status is None:
                continue
            if not stat.S_ISDIR(status.st_mode):
                break  # a whiteout, or a file: nothing below it counts
            places.append(place + end)
            if is_opaque(place + end):
                break
        return places


class TreeView(_Unpacked):
    """A lazy tree (see `tree`). top: its topmost level, beside which the others lie."""

    def __init__(self, top: bytes) -> None:
        self._trees = os.path.dirname(top)
        self._places: dict[str, bytes] = {"": self._followed(top, b"")}
        super().__init__()

    def lookup(self, path: str) -> Entry | None:
        """See `View`."""
        found = self._find(path)
        if found is None:
            return None
        host, status = found
        kind = KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return None
        if kind == "symlink":
            return Entry(path, kind, 0o777, mtime=status.st_mtime_ns, target=os.fsdecode(os.readlink(host)))
        if kind not in ("file", "directory"):
            return Entry(path, kind, stat.S_IMODE(status.st_mode), mtime=status.st_mtime_ns)
        names = _attribute_names(host)
        shown = (
            recorded.read(host, status) if recorded.ATTRIBUTE in names else recorded.Recorded(0, 0, stat.S_IMODE(status.st_mode))
        )
        xattrs = _attributes(host, names)
        if shown.device:
            kind = "char" if shown.device[0] == stat.S_IFCHR else "block"
            return Entry(path, kind, shown.mode, shown.uid, shown.gid, status.st_mtime_ns, device=shown.device[1:])
        size = status.st_size if kind == "file" else 0
        return Entry(path, kind, shown.mode, shown.uid, shown.gid, status.st_mtime_ns, size, xattrs=xattrs)

    def names(self, path: str) -> list[str]:
        """See `View`."""
        place = self._directory(path)
        if place is None:
            return []
        with _scan(place) as entries:
            return sorted(os.fsdecode(entry.name) for entry in entries if not _is_ours(entry))

    def _searched(self, path: str) -> _Place | None:
        if not path:
            return self._places[""], os.lstat(self._places[""])
        parent, _, name = path.rpartition("/")
        place = self._directory(parent)
        if place is None:
            return None
        host = place + b"/" + os.fsencode(name)
        status = _status(host)
        if status is None:
            return None
        if stat.S_ISDIR(status.st_mode):
            real = self._followed(host, os.fsencode(path))
            if real == host and is_mount_point(host) and not os.listdir(host):
                return None
            return real, status if real == host else os.lstat(real)
        if stat.S_ISREG(status.st_mode) and not status.st_size and is_mount_point(host):
            return None
        return host, status

    def _directory(self, path: str) -> bytes | None:
        """Where a directory really is, None for what is none."""
        waiting = []  # those above it come first, one after the other: a path may have thousands of components
        above = path
        while above not in self._places:
            waiting.append(above)
            above = above.rpartition("/")[0]
        for one in reversed(waiting):
            found = self._find(one)
            if found is None or not stat.S_ISDIR(found[1].st_mode):
                return None
            self._places[one] = found[0]
        return self._places[path]

    def _followed(self, host: bytes, path: bytes) -> bytes:
        """What a placeholder stands for."""
        tree = lower_of(host)
        return host if tree is None else self._trees + b"/" + tree + (b"/" + path if path else b"")


def _status(host: bytes) -> os.stat_result | None:
    """None where nothing is, nor can be."""
    try:
        return os.lstat(host)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            return None
        raise
    except ValueError:  # a null byte
        return None


def _is_zero_device(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _is_whiteout(entry: os.DirEntry[bytes]) -> bool:
    if entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False) or entry.is_symlink():
        return False
    return _is_zero_device(entry.stat(follow_symlinks=False))


def _is_ours(entry: os.DirEntry[bytes]) -> bool:
    """Whether a file was made for a container's mounts."""
    if entry.is_dir(follow_symlinks=False):
        return is_mount_point(entry.path) and lower_of(entry.path) is None and not os.listdir(entry.path)
    return entry.is_file(follow_symlinks=False) and is_mount_point(entry.path) and not entry.stat(follow_symlinks=False).st_size


def _scan(place: bytes) -> os._ScandirIterator[bytes]:
    return _forced(place, 0o500, lambda: os.scandir(place))


def _open(host: bytes, status: os.stat_result) -> IO[bytes]:
    if not stat.S_ISREG(status.st_mode):
        raise IsADirectoryError(os.fsdecode(host))
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(_forced(host, 0o400, lambda: os.open(host, flags)), "rb", buffering=0)


def _forced(host: bytes, needed: int, work: Callable[[], _Result]) -> _Result:
    """Does it although the mode of what is ours forbids it."""
    try:
        return work()
    except PermissionError:
        mode = stat.S_IMODE(os.lstat(host).st_mode)
        os.chmod(host, mode | needed)
        try:
            return work()
        finally:
            os.chmod(host, mode)


def _attribute_names(host: bytes) -> list[str]:
    try:
        return os.listxattr(host, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EACCES, errno.EPERM):
            return []
        raise


def _attributes(host: bytes, names: list[str]) -> dict[str, bytes]:
    """Those that belong to the file, and not to how it is kept."""
    kept = sorted(name for name in names if name.startswith(_KEPT) and not name.startswith(_HIDDEN))
    if not kept:
        return {}
    return _forced(host, 0o400, lambda: {name: os.getxattr(host, name, follow_symlinks=False) for name in kept})
