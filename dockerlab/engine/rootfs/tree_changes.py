"""What a container changed in its lazy tree: the same directory in two levels, compared. `docker diff`, and the layer of a commit.

A placeholder is unchanged with all below it. A file is unchanged if it is a hard link to the lower's. What dockerlab itself puts into
every container (mount points such as /proc) carries an attribute and is no change.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import IO

from dockerlab.engine.rootfs import Change, ChangeKind, recorded, regular
from dockerlab.engine.rootfs.mount_points import is_mount_point
from dockerlab.engine.rootfs.tree import Tree, attributes, lower_of
from dockerlab.engine.store.tar import WHITEOUT, Entry, Kind, Writer

_KINDS: dict[int, Kind] = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo"}


@dataclass(frozen=True)
class Difference:
    """path: relative. found: the new state, None for what is gone."""

    path: bytes
    kind: ChangeKind
    found: os.stat_result | None


def differences(tree: Tree, lowest: bytes | None) -> Iterator[Difference]:
    """All differences, a directory before what is in it, by name. lowest: the name of the image's topmost tree."""
    below: bytes | None = None
    if lowest is not None:
        below = _located(tree, lowest, b"")
    if lower_of(tree.top) is None:
        found = _compare(tree, b"", below)
        yield from found


def changes(tree: Tree, lowest: bytes | None) -> list[Change]:
    """For `docker diff`."""
    return [Change("/" + os.fsdecode(each.path), each.kind) for each in differences(tree, lowest) if each.path]


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


def usage(tree: Tree, lowest: bytes | None) -> int:
    """Bytes of the files that are not the image's."""
    seen = set()
    total = 0
    for each in differences(tree, lowest):
        if each.found is not None and stat.S_ISREG(each.found.st_mode) and each.found.st_ino not in seen:
            seen.add(each.found.st_ino)
            total += each.found.st_size
    return total


def _write(writer: Writer, host: bytes, path: str, found: os.stat_result, links: dict[tuple[int, int], str]) -> None:
    kind = _KINDS.get(stat.S_IFMT(found.st_mode))
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


def _compare(tree: Tree, path: bytes, below: bytes | None) -> list[Difference]:
    """A directory of the upper level, and the lower's if it has one: the differences inside."""
    here = tree.own_path(path)
    old = {entry.name: entry for entry in _entries(below)} if below is not None else {}
    found: list[Difference] = []
    names = {entry.name for entry in _entries(here)}
    for name in sorted(names | old.keys()):
        child = path + b"/" + name if path else name
        if name not in names:
            found.append(Difference(child, ChangeKind.DELETED, None))
            continue
        with suppress(FileNotFoundError):  # a container that runs removes what was listed
            found += _difference(tree, child, old[name].path if name in old else None)
    return found


def _difference(tree: Tree, path: bytes, below: bytes | None) -> list[Difference]:
    here = tree.own_path(path)
    now = os.lstat(here)
    before = os.lstat(below) if below is not None else None
    is_new = before is None
    kind = ChangeKind.ADDED if is_new else ChangeKind.MODIFIED
    if not stat.S_ISDIR(now.st_mode):
        if before is not None and (before.st_ino, before.st_dev) == (now.st_ino, now.st_dev):
            return []
        if is_new and stat.S_ISREG(now.st_mode) and not now.st_size and is_mount_point(here):
            return []
        return [Difference(path, kind, now)]
    if lower_of(here) is not None:
        return []
    was_directory = before is not None and stat.S_ISDIR(before.st_mode)
    below = _followed(tree, path, below) if was_directory and below is not None else None
    inside = _compare(tree, path, below)
    if is_new and not inside and is_mount_point(here):
        return []
    if below is not None and not inside and _looks_the_same(here, now, below):
        return []
    return [Difference(path, kind, now), *inside]


def _looks_the_same(here: bytes, now: os.stat_result, below: bytes) -> bool:
    before = os.lstat(below)
    return recorded.read(here, now) == recorded.read(below, before)


def _located(tree: Tree, lowest: bytes, path: bytes) -> bytes:
    return _followed(tree, path, tree.lower_path(lowest, path))


def _followed(tree: Tree, path: bytes, host: bytes) -> bytes:
    """Where a lower's directory really is."""
    further = lower_of(host)
    return host if further is None else tree.lower_path(further, path)


def _entries(path: bytes) -> list[os.DirEntry[bytes]]:
    with os.scandir(path) as found:
        return list(found)
