"""A file tree that can be read, nothing of it mounted: the root of a stage, a build context, a directory of the host.

    view.lookup("usr/bin/sh")   → its Entry, a symlink not followed; None where nothing is
    view.names("etc")           → sorted names
    view.open("etc/passwd")     → its bytes
    resolve(view, "bin/sh")     → "usr/bin/busybox": symlinks followed, as a process inside would

Paths are relative to the tree's root, without ".", ".." and empty components; "" is the root itself.
"""

from __future__ import annotations

from typing import IO, Protocol

from dockerlab.engine.store.tar import Entry


class View(Protocol):
    """Reading raises EngineError where the files are damaged."""

    def lookup(self, path: str) -> Entry | None:
        """What is there. Its kind is never `link`. No component is followed: below a symlink, or below a file, there is nothing."""

    def names(self, path: str) -> list[str]:
        """The names in a directory, sorted; [] for what is none."""

    def open(self, path: str) -> IO[bytes]:
        """The content of a file, holes as zeros. Raises FileNotFoundError, IsADirectoryError."""

    def identity(self, path: str) -> object:
        """Equal for two names of one file (hard links) and for nothing else."""


def resolve(view: View, path: str) -> str:
    """Follows symlinks, the last one too, never out of the root. What does not exist is appended as it is.

    Raises EngineError for a loop ("too many levels of symbolic links").
    """
    raise NotImplementedError
