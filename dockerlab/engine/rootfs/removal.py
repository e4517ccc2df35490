"""Removes a container's or a layer's files, whatever modes they have and however deep they lie.

A container may nest directories deeper than a path is long and than Python calls itself. So a directory inside is not walked into: it
is moved up, next to the others that are left, and emptied there.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


def remove(path: Path | str) -> None:
    """Removes a directory with all that is in it, also where modes forbid it. Nothing there is no error."""
    top = os.fsencode(path)
    try:
        if not stat.S_ISDIR(os.lstat(top).st_mode):
            raise NotADirectoryError(f"not a directory: {path}")
    except FileNotFoundError:
        return
    os.chmod(top, 0o700)
    _empty(top)
    os.rmdir(top)


def _empty(top: bytes) -> None:
    """Removes all that is in a directory: the directories in it, and those moved up to them, one after the other."""
    waiting = _files_gone(top)
    count = 0
    while waiting:
        inner = waiting.pop()
        os.chmod(inner, 0o700)
        for child in _files_gone(inner):
            while os.path.lexists(moved := top + b"/%d" % count):
                count += 1
            # Moving a directory changes its "..", which takes the right to write to it.
            os.chmod(child, 0o700)
            os.rename(child, moved)
            waiting.append(moved)
        os.rmdir(inner)


def _files_gone(folder: bytes) -> list[bytes]:
    """Removes all but the directories in a directory; those."""
    found = []
    with os.scandir(folder) as entries:
        listed = list(entries)
    for entry in listed:
        if entry.is_dir(follow_symlinks=False):
            found.append(entry.path)
        else:
            os.unlink(entry.path)
    return found
