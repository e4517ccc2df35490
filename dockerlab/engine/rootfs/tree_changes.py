"""What a container changed in its lazy tree: the same directory in two levels, compared. `docker diff`, and the layer of a commit.

A placeholder is unchanged with all below it. A file is unchanged if it is a hard link to the lower's. What dockerlab itself puts into
every container (mount points such as /proc) carries an attribute and is no change.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import IO

from dockerlab.engine.rootfs import ChangeKind, recorded, regular
from dockerlab.engine.rootfs.differences import KINDS, Difference, Folder, walk
from dockerlab.engine.rootfs.mount_points import is_mount_point
from dockerlab.engine.rootfs.tree import Tree, attributes, lower_of
from dockerlab.wire.tar import WHITEOUT, Entry, Kind, Writer


def differences(tree: Tree, lowest: bytes | None) -> Iterator[Difference]:
    """All differences, a directory before what is in it, by name. lowest: the name of the image's topmost tree.

    Raises EngineError for directories deeper than a path is long.
    """
    if lower_of(tree.top) is not None:
        return iter(())
    below = None if lowest is None else _followed(tree, b"", tree.lower_path(lowest, b""))
    return walk(Folder(b"", below), lambda folder: _inside(tree, folder))


def write_layer(tree: Tree, lowest: bytes | None, out: IO[bytes]) -> None:
    """The differences as a layer: a tar with whiteouts."""
    writer = Writer(out)
    links: dict[tuple[int, int], str] = {}
    for each in differences(tree, lowest):
        path = os.fsdecode(each.path)
        if each.found is None:
            parent, _, name = path.rpartition("/")
            writer.add(Entry(f"{parent}/{WHITEOUT}{name}" if parent else WHITEOUT + name, mode=0))
        else:
            _write(writer, tree.own_path(each.path), path, each.found, links)
    writer.close()


def _write(writer: Writer, host: bytes, path: str, found: os.stat_result, links: dict[tuple[int, int], str]) -> None:
    kind = KINDS.get(stat.S_IFMT(found.st_mode))
    if kind is None:
        return  # a socket: an archive cannot hold one
    shown = recorded.read(host, found)
    entry = Entry(path, kind, shown.mode, shown.uid, shown.gid, found.st_mtime_ns)
    if kind == "symlink":
        writer.add(Entry(path, kind, 0o777, mtime=found.st_mtime_ns, target=os.fsdecode(os.readlink(host))))
    elif shown.device:
        device: Kind = "char" if shown.device[0] == stat.S_IFCHR else "block"
        writer.add(Entry(path, device, shown.mode, shown.uid, shown.gid, found.st_mtime_ns, device=shown.device[1:]))
    elif kind != "file":
        writer.add(entry)
    elif found.st_nlink > 1 and (first := links.setdefault((found.st_dev, found.st_ino), path)) != path:
        writer.add(Entry(path, "link", shown.mode, shown.uid, shown.gid, found.st_mtime_ns, target=first))
    else:
        names = [os.fsdecode(name) for name in attributes(host)]
        xattrs = {name: os.getxattr(host, name, follow_symlinks=False) for name in sorted(names) if name != recorded.ATTRIBUTE}
        regular.add(writer, host, replace(entry, xattrs=xattrs), found.st_size)


def _inside(tree: Tree, folder: Folder[bytes | None]) -> Generator[Difference | Folder[bytes | None]]:
    """What differs in a directory of the upper level, and the directories in it. below: the lower's, None where there is none."""
    old = {entry.name: entry.path for entry in _entries(folder.below)} if folder.below is not None else {}
    names = {entry.name for entry in _entries(tree.own_path(folder.path))}
    for name in sorted(names | old.keys()):
        child = folder.path + b"/" + name if folder.path else name
        if name not in names:
            yield Difference(child, ChangeKind.DELETED, None)
            continue
        with suppress(FileNotFoundError):  # a container that runs removes what was listed
            if found := _difference(tree, child, old.get(name)):
                yield found


def _difference(tree: Tree, path: bytes, below: bytes | None) -> Difference | Folder[bytes | None] | None:
    here = tree.own_path(path)
    now = os.lstat(here)
    before = os.lstat(below) if below is not None else None
    is_new = before is None
    own = Difference(path, ChangeKind.ADDED if is_new else ChangeKind.MODIFIED, now)
    if not stat.S_ISDIR(now.st_mode):
        if before is not None and (before.st_ino, before.st_dev) == (now.st_ino, now.st_dev):
            return None
        if is_new and stat.S_ISREG(now.st_mode) and not now.st_size and is_mount_point(here):
            return None
        return own
    if lower_of(here) is not None:
        return None
    was_directory = before is not None and stat.S_ISDIR(before.st_mode)
    below = _followed(tree, path, below) if was_directory and below is not None else None
    looks_the_same = below is not None and _looks_the_same(here, now, below)
    return Folder(path, below, own, optional=looks_the_same or (is_new and is_mount_point(here)))


def _looks_the_same(here: bytes, now: os.stat_result, below: bytes) -> bool:
    before = os.lstat(below)
    return recorded.read(here, now) == recorded.read(below, before)


def _followed(tree: Tree, path: bytes, host: bytes) -> bytes:
    """Where a lower's directory really is."""
    further = lower_of(host)
    return host if further is None else tree.lower_path(further, path)


def _entries(path: bytes) -> list[os.DirEntry[bytes]]:
    with os.scandir(path) as found:
        return list(found)
