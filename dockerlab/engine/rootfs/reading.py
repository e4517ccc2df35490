"""A file tree that can be read, nothing of it mounted: the root of a stage, a build context, a directory of the host.

    view.lookup("usr/bin/sh")   → its Entry, a symlink not followed; None where nothing is
    view.names("etc")           → sorted names
    view.open("etc/passwd")     → its bytes
    resolve(view, "bin/sh")     → "usr/bin/busybox": symlinks followed, as a process inside would

Views are in `views`. Paths are relative to the tree's root, without ".", ".." and empty components; "" is the root itself.
"""

from __future__ import annotations

from typing import IO, Protocol

from dockerlab.errors import EngineError
from dockerlab.wire.tar import Entry

_MOST_LINKS = 255


class View(Protocol):
    """Reading raises EngineError where the files are damaged."""

    def lookup(self, path: str) -> Entry | None:
        """What is there. Its kind is never `link`. No component is followed: below a symlink, or below a file, there is nothing."""

    def names(self, path: str) -> list[str]:
        """The names in a directory, sorted; [] for what is none."""

    def open(self, path: str) -> IO[bytes]:
        """The content of a file, holes as zeros; it can seek. Raises FileNotFoundError, IsADirectoryError."""

    def identity(self, path: str) -> object:
        """Equal for two names of one file (hard links) and for nothing else; the path itself only where there is no other name."""


def resolve(view: View, path: str, scope: str = "") -> str:
    """Follows symlinks, the last one too, never out of the root. What does not exist is appended as it is.

    scope: a directory, by its own path, that is the root instead, as if by chroot; `path` starts at it, and the answer at the view's
    root. Raises EngineError for a loop.
    """
    root = scope.split("/") if scope else []
    done = list(root)
    waiting = path.split("/")[::-1]
    links, missing = 0, False
    while waiting:
        name = waiting.pop()
        if name in ("", "."):
            continue
        if name == "..":
            if len(done) > len(root):
                done.pop()
            missing = False
            continue
        done.append(name)
        if missing:
            continue
        found = view.lookup("/".join(done))
        missing = found is None
        if found is not None and found.kind == "symlink":
            links += 1
            if links > _MOST_LINKS:
                raise EngineError(f"too many links: /{path}", hint="Two symbolic links, or more, lead to each other.")
            done = list(root) if found.target.startswith("/") else done[:-1]
            waiting += found.target.split("/")[::-1]
    return "/".join(done)
