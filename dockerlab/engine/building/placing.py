"""Where what is copied goes to: the entries of a layer, from what was picked and from what is there already.

    layout = Layout(destination, workdir, target, …)
    layout.place(picked, found); …
    layout.items()                  in the order in which the layer has them

Rules, as BuildKit has them:

- Symbolic links on the way to the target are followed within the destination. A target that is a directory, or ends with a slash, takes
  files by their names.
- What a directory has is merged into the target, which keeps its mode and owner if it was there. Directories in it that are there already
  get those of what is copied.
- A file takes the place of a file or a link, never that of a directory.
- An archive's entries take the place of anything. A link that is there leads where an unpacking would follow it, but not out of the target.

A layer says each directory that leads to something in it, with its mode and owner: who unpacks it elsewhere need not know the rest.
Directories that are not copied, only there or made for the way, are as old as the newest that is put in them: a layer is a function of
what is copied, not of the day.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from dockerlab.engine.building.ownership import Change
from dockerlab.engine.building.selecting import Found, Picked
from dockerlab.engine.rootfs.reading import View, resolve
from dockerlab.errors import EngineError
from dockerlab.wire.tar import WHITEOUT, Entry

_LONGEST_NAME: Final = 255
_LONGEST_PATH: Final = 4095


@dataclass(slots=True)
class Item:
    """An entry of the layer. view, source: where its bytes are. number: of the thing picked that it came with.

    is_way: a directory that is there only because of what is in it.
    """

    entry: Entry
    view: View | None = None
    source: str = ""
    number: int = 0
    is_way: bool = False


class Layout:
    """owner: of all that is copied, None for what it has. change: of modes, None for none. way: the mode of directories that are made.

    several: whether there is more than one thing to be copied. epoch: nanoseconds; nothing is younger.
    """

    def __init__(
        self,
        destination: View,
        workdir: str,
        target: str,
        *,
        what: str = "COPY",
        owner: tuple[int, int] | None = None,
        change: Change | None = None,
        way: int = 0o755,
        several: bool = False,
        epoch: int | None = None,
    ) -> None:
        self._destination, self._owner, self._change, self._way, self._epoch = destination, owner, change, way, epoch
        self._items: dict[str, Item] = {}
        self._number = 0
        self._fresh: set[str] = set()  # directories that are made here: nothing is there yet
        self._ends = posixpath.basename(target) in ("", ".", "..")
        self._target = resolve(destination, posixpath.join("/", workdir, target).strip("/"))
        self._several, self._what = several, what

    def place(self, picked: Picked, found: Iterable[Found] = ()) -> None:
        """found: of a tree or an archive, what is in it. Raises EngineError where it cannot go."""
        self._number += 1
        if picked.kind == "archive":
            self._unpack(picked.view, found)
        elif picked.kind == "tree":
            found = list(found)
            if picked.include is not None and not found:
                return
            entry = picked.view.lookup(picked.path)
            self._way_to(self._target, "copy" if self._kind(self._target) else "mkdir")
            if entry and picked.include is None:
                self._date(self._target, entry.mtime)
            start = f"{self._target}/" if self._target else ""
            folder = f"{picked.path}/" if picked.path else ""
            for each in found:
                self._put(start + each.path, each.entry, picked.view, folder + each.path)
        else:
            entry = picked.view.lookup(picked.path)
            if entry is None:
                raise EngineError(f"/{picked.path}: no such file or directory")
            is_directory = self._ends or self._kind(self._target) == "directory"
            if self._several and not is_directory:
                text = (
                    f"When using {self._what} with more than one source file, the destination must be a directory and end with a /"
                )
                raise EngineError(text, status=400)
            folder = self._target if is_directory else self._target.rpartition("/")[0]
            self._way_to(folder)
            name = picked.name if is_directory else self._target.rpartition("/")[2]
            self._put(f"{folder}/{name}" if folder else name, entry, picked.view, picked.path)

    def items(self) -> list[Item]:
        """Sorted by path: a directory comes before what is in it."""
        newest: dict[str, int] = {}
        for path in sorted(self._items, reverse=True):
            item = self._items[path]
            time = newest.get(path, 0) if item.is_way else item.entry.mtime
            if item.is_way:
                item.entry = replace(item.entry, mtime=time)
            parent = path.rpartition("/")[0]
            if time > newest.get(parent, 0):
                newest[parent] = time
        return [self._items[path] for path in sorted(self._items)]

    def _put(self, path: str, entry: Entry, view: View, source: str) -> None:
        """What lies in a directory that is there by now."""
        there = self._kind(path)
        if entry.kind == "directory":
            if there and there != "directory":
                raise EngineError(f"cannot copy to non-directory: /{path}", status=400)
            if not there:
                self._fresh.add(path)
        elif there == "directory":
            raise EngineError(f"cannot replace to directory /{path} with file", status=400)
        self._items[path] = Item(self._made(path, entry), view, source, self._number)

    def _unpack(self, view: View, found: Iterable[Found]) -> None:
        is_implied = getattr(view, "is_implied", lambda _path: False)
        self._way_to(self._target)
        # Where its directories are: a link may have moved them.
        moved = {"": self._target}
        for each in found:
            parent, _, name = each.path.rpartition("/")
            folder = moved[parent]
            path = f"{folder}/{name}" if folder else name
            there = self._kind(path)
            if each.entry.kind == "directory" and is_implied(each.path):
                path = self._led(path, there)
                self._way_to(path, implied=True)
            else:
                if there == "directory" != each.entry.kind:
                    self._forget(path)
                if each.entry.kind == "directory" != there:
                    self._fresh.add(path)
                self._items[path] = Item(self._made(path, each.entry, changed=False), view, each.path, self._number)
            moved[each.path] = path

    def _led(self, path: str, there: str) -> str:
        """Where a link that is there leads, with the target as the root."""
        if there != "symlink":
            return path
        if path in self._items:
            raise EngineError(f"mkdir /{path}: not a directory", status=400)
        inner = path[len(self._target) :].lstrip("/") if self._target else path
        return resolve(self._destination, inner, self._target)

    def _forget(self, path: str) -> None:
        self._fresh.discard(path)
        below = f"{path}/"
        for known in [known for known in self._items if known.startswith(below)]:
            del self._items[known]
            self._fresh.discard(known)

    def _way_to(self, path: str, doing: str = "mkdir", *, implied: bool = False) -> None:
        """Makes a directory, and those above it, where they are not there."""
        missing = []
        while path:
            item = self._items.get(path)
            if item is not None and item.entry.kind == "directory":
                break
            missing.append(path)
            path = path.rpartition("/")[0]
        for path in reversed(missing):
            there = self._found(path)
            if there is not None and there.kind != "directory":
                text = f"cannot copy to non-directory: /{path}" if doing == "copy" else f"mkdir /{path}: not a directory"
                raise EngineError(text, status=400)
            if there is None:
                self._fresh.add(path)
                uid, gid = (0, 0) if implied or self._owner is None else self._owner
                there = Entry(_allowed(path), "directory", 0o755 if implied else self._way, uid, gid)
            self._items[path] = Item(there, is_way=True)

    def _date(self, path: str, mtime: int) -> None:
        """A directory that something was copied to whole is as old as what was copied."""
        item = self._items.get(path)
        if item:
            item.entry, item.is_way = replace(item.entry, mtime=self._clamped(mtime)), False

    def _kind(self, path: str) -> str:
        found = self._found(path)
        return found.kind if found else ""

    def _found(self, path: str) -> Entry | None:
        if (item := self._items.get(path)) is not None:
            return item.entry
        if path and path.rpartition("/")[0] in self._fresh:
            return None
        return self._destination.lookup(path)

    def _made(self, path: str, entry: Entry, *, changed: bool = True) -> Entry:
        uid, gid = self._owner or (entry.uid, entry.gid)
        mode = entry.mode
        if changed and self._change and entry.kind != "symlink":
            mode = self._change(mode, entry.kind == "directory")
        sparse = entry.sparse
        mtime = self._clamped(entry.mtime)
        return Entry(
            _allowed(path), entry.kind, mode, uid, gid, mtime, entry.size, entry.target, entry.device, entry.xattrs, sparse
        )

    def _clamped(self, mtime: int) -> int:
        return mtime if self._epoch is None else min(mtime, self._epoch)


def _allowed(path: str) -> str:
    """Raises EngineError for a name that no file can have, or that means something else in a layer."""
    if len(path) > _LONGEST_NAME and (
        len(os.fsencode(path)) > _LONGEST_PATH or any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.split("/"))
    ):
        raise EngineError(f"/{path[:200]}…: file name too long", status=400)
    if WHITEOUT in path and any(part.startswith(WHITEOUT) for part in path.split("/")):
        hint = "In a layer, names that begin with .wh. say that a file is gone. Rename it, or leave it out with .dockerignore."
        raise EngineError(f"/{path} cannot be in an image", hint=hint, status=400)
    return path
