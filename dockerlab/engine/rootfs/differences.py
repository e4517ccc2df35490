"""The differences between a container's files and its image's, whatever kind its root file system is of: walked, counted, listed.

Not by recursion: a container may nest directories deeper than Python calls itself.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from dockerlab.engine.rootfs import Change, ChangeKind
from dockerlab.errors import EngineError
from dockerlab.wire.tar import Kind

KINDS: dict[int, Kind] = {
    stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo", stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
}  # fmt: skip
Below = TypeVar("Below")


@dataclass(frozen=True)
class Difference:
    """path: relative. found: the new state; None for what is gone. opaque: of a directory that hides the image's."""

    path: bytes
    kind: ChangeKind
    found: os.stat_result | None
    opaque: bool = False


@dataclass(frozen=True)
class Folder(Generic[Below]):
    """A directory that is to be looked into. below: what the image has there. own: what is to be said of the directory itself;
    optional: only if there is something to be said of what is in it."""

    path: bytes
    below: Below
    own: Difference | None = None
    optional: bool = False


def walk(first: Folder[Below], inside: Callable[[Folder[Below]], Generator[Difference | Folder[Below]]]) -> Iterator[Difference]:
    """All differences, a directory before what is in it. inside: what differs in one directory, and the directories in it.

    Raises EngineError for directories deeper than a path is long.
    """
    stack = [inside(first)]
    # Of each directory of the stack, until there is something to be said of what is in it.
    held: list[Difference | None] = [first.own]
    try:
        while stack:
            found = next(stack[-1], None)
            if found is None:
                stack.pop()
                held.pop()
            elif isinstance(found, Folder):
                stack.append(inside(found))
                held.append(found.own)
                if not found.optional:
                    yield from _released(held)
            else:
                yield from _released(held)
                yield found
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise EngineError(f"lstat {os.fsdecode(error.filename)}: file name too long") from error
        raise
    finally:
        for unfinished in reversed(stack):
            unfinished.close()


def listed(differences: Iterable[Difference]) -> list[Change]:
    """For `docker diff`."""
    return [Change("/" + os.fsdecode(each.path), each.kind) for each in differences]


def size(differences: Iterable[Difference]) -> int:
    """Bytes of the files that the container wrote, as far as they can be reached."""
    seen = set()
    total = 0
    with suppress(EngineError):  # directories too deep: the size of one container is not to be in the way of all others'
        for each in differences:
            if each.found is not None and stat.S_ISREG(each.found.st_mode) and each.found.st_ino not in seen:
                seen.add(each.found.st_ino)
                total += each.found.st_size
    return total


def _released(held: list[Difference | None]) -> list[Difference]:
    first = len(held)
    while first and held[first - 1]:
        first -= 1
    found = [each for each in held[first:] if each]
    held[first:] = [None] * len(found)
    return found
