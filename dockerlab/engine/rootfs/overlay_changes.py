"""What a container changed in its overlay: its upper directory, read. `docker diff`, and the layer of a commit.

The container may run, and go on changing: what is gone when its turn comes is left out. A directory that the kernel copied up for what is
in it is no change by itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import IO

from dockerlab.engine.rootfs import ChangeKind, Root, recorded, regular
from dockerlab.engine.rootfs.differences import KINDS, Difference, Folder, walk
from dockerlab.engine.rootfs.overlay_layer import is_opaque
from dockerlab.wire.tar import OPAQUE as OPAQUE_NAME
from dockerlab.wire.tar import WHITEOUT, Entry, Writer

# Attributes that mean something to the kernel or to us, and are no files' own.
OURS = ("user.overlay.", "user.dockerlab.")


def differences(root: Root) -> Iterator[Difference]:
    """All differences, a directory before what is in it, by name. Raises EngineError for directories deeper than a path is long."""
    return walk(Folder(b"", [os.fsencode(lower) for lower in root.lowers]), lambda folder: _inside(root, folder))


def write_layer(root: Root, out: IO[bytes]) -> None:
    """The differences as a layer: a tar with whiteouts."""
    writer = Writer(out)
    links: dict[int, str] = {}
    upper = os.fsencode(root.upper)
    for each in differences(root):
        path = os.fsdecode(each.path)
        parent, _, name = path.rpartition("/")
        if each.found is None:
            writer.add(Entry(f"{parent}/{WHITEOUT}{name}" if parent else WHITEOUT + name, mode=0))
            continue
        # The way there is open to us for as long as the walk is below it.
        with suppress(FileNotFoundError):
            _write(writer, upper + b"/" + each.path, path, each.found, links)
            if each.opaque:
                writer.add(Entry(f"{path}/{OPAQUE_NAME}", mode=0))
    writer.close()


def _write(writer: Writer, host: bytes, path: str, found: os.stat_result, links: dict[int, str]) -> None:
    kind = KINDS.get(stat.S_IFMT(found.st_mode))
    if kind is None:
        return  # a socket: an archive cannot hold one
    if kind == "symlink":
        uid, gid = _owner(host, found)
        writer.add(Entry(path, kind, 0o777, uid, gid, found.st_mtime_ns, target=os.fsdecode(os.readlink(host))))
        return
    # Attributes, too, are only read by who may read the file.
    with readable(host, found, 0o400):
        uid, gid = _owner(host, found)
        size = found.st_size if kind == "file" else 0
        entry = Entry(path, kind, stat.S_IMODE(found.st_mode), uid, gid, found.st_mtime_ns, size, xattrs=_attributes(host))
        if kind == "file" and found.st_nlink > 1 and (first := links.setdefault(found.st_ino, path)) != path:
            writer.add(replace(entry, kind="link", size=0, target=first, xattrs={}))
        elif kind == "file":
            regular.add(writer, host, entry, found.st_size)
        elif kind in ("char", "block"):
            writer.add(replace(entry, device=(os.major(found.st_rdev), os.minor(found.st_rdev))))
        else:
            writer.add(entry)


def _owner(host: bytes, found: os.stat_result) -> tuple[int, int]:
    """Who a file belongs to: to whom it really does as root, else to whom its image gave it; what is ours is root's."""
    ours = (os.getuid(), os.getgid())
    if os.getuid() == 0 and (found.st_uid, found.st_gid) != ours:
        return found.st_uid, found.st_gid
    noted = recorded.attribute(host) if not stat.S_ISLNK(found.st_mode) else None
    return (noted.uid, noted.gid) if noted else (0, 0)


def _attributes(host: bytes) -> dict[str, bytes]:
    try:
        names = os.listxattr(host, follow_symlinks=False)
    except OSError:
        return {}  # a file system without any
    kept = sorted(name for name in names if name != recorded.ATTRIBUTE and not name.startswith(OURS))
    return {name: os.getxattr(host, name, follow_symlinks=False) for name in kept if name.startswith(("user.", "security.cap"))}


def _inside(root: Root, folder: Folder[list[bytes]]) -> Generator[Difference | Folder[list[bytes]]]:
    """What differs in a directory, and the directories in it that are to be looked into."""
    here = os.fsencode(root.upper) + (b"/" + folder.path if folder.path else b"")
    with suppress(FileNotFoundError), readable(here, os.lstat(here), 0o500):
        for name in sorted(os.listdir(here)):
            path = folder.path + b"/" + name if folder.path else name
            with suppress(FileNotFoundError):
                if found := difference(root, path, name, folder.below):
                    yield found


def difference(root: Root, path: bytes, name: bytes, lowers: list[bytes]) -> Difference | Folder[list[bytes]] | None:
    """What differs at a path; None for nothing. lowers: the directories that hold `name` in the layers below, the topmost first."""
    host = os.fsencode(root.upper) + b"/" + path
    now = os.lstat(host)
    before, below = _below(name, lowers)
    if _is_whiteout(now):
        return Difference(path, ChangeKind.DELETED, None) if before is not None else None
    kind = ChangeKind.ADDED if before is None else ChangeKind.MODIFIED
    if not stat.S_ISDIR(now.st_mode):
        return Difference(path, kind, now)
    with readable(host, now, 0o400):
        opaque = before is not None and (not stat.S_ISDIR(before.st_mode) or is_opaque(host))
    is_copied_up = before is not None and not opaque and _looks_the_same(now, before)
    return Folder(path, [] if opaque else below, Difference(path, kind, now, opaque), optional=is_copied_up)


def _below(name: bytes, lowers: list[bytes]) -> tuple[os.stat_result | None, list[bytes]]:
    """What the layers below show under a name, and, for a directory, its places in them, the topmost first."""
    first: os.stat_result | None = None
    places: list[bytes] = []
    for lower in lowers:
        host = lower + b"/" + name
        try:
            found = os.lstat(host)
        except (FileNotFoundError, NotADirectoryError):
            continue
        if _is_whiteout(found):
            break
        if first is not None and not stat.S_ISDIR(found.st_mode):
            break
        first = first or found
        if not stat.S_ISDIR(found.st_mode):
            break
        places.append(host)
        if is_opaque(host):
            break
    return first, places


def _is_whiteout(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(0, 0)


def _looks_the_same(now: os.stat_result, before: os.stat_result) -> bool:
    return (now.st_mode, now.st_uid, now.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


@contextmanager
def readable(host: bytes, found: os.stat_result, needed: int) -> Iterator[None]:
    """Within the block its owner may read it, whatever the container has made of its mode."""
    mode = stat.S_IMODE(found.st_mode)
    if os.getuid() == 0 or mode & needed == needed or stat.S_ISLNK(found.st_mode):
        yield
        return
    os.chmod(host, mode | needed)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            os.chmod(host, mode)
