"""Room on the disk: ends what would fill it, before it does, with an error that says so."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from dockerlab.errors import EngineError

# What is left free for everybody else, and how often it is looked at.
RESERVE = 64 << 20
_EVERY = 32 << 20
_FILES_EVERY = 2000
_FILES_RESERVE = 1000
_MEANS_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass
class Budget:
    """Counts what one piece of work writes to the file system of `path`."""

    path: Path
    _bytes: int = field(default=_EVERY, init=False)  # so that the first file is counted against what is free
    _files: int = field(default=0, init=False)

    def spend(self, size: int) -> None:
        """`size` bytes are about to be written. Raises EngineError where they would fill the disk."""
        self._bytes += size
        if self._bytes >= _EVERY:
            self._bytes = 0
            self._look(size)

    def add_file(self) -> None:
        """A file is about to be made."""
        self._files += 1
        if self._files % _FILES_EVERY == 0:
            self._look(0)

    def _look(self, size: int) -> None:
        found = os.statvfs(self.path)
        if found.f_bavail * found.f_frsize - size < RESERVE:
            raise full()
        if found.f_files and found.f_favail < _FILES_RESERVE:
            raise full()


class Writeback:
    """Has the kernel begin to write a file to the disk while it grows: who waits for it in the end does not wait long."""

    _AT_A_TIME = 8 << 20
    _WRITE = 2  # SYNC_FILE_RANGE_WRITE

    def __init__(self, fd: int) -> None:
        self._fd, self._begun = fd, 0
        self._range = getattr(ctypes.CDLL(None), "sync_file_range", None)
        if self._range:
            self._range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)

    def grown(self, size: int) -> None:
        """The file has `size` bytes now. What the kernel does not do now it does later."""
        if self._range and size - self._begun >= self._AT_A_TIME:
            self._range(self._fd, self._begun, size - self._begun, self._WRITE)
            self._begun = size


def full() -> EngineError:
    """Docker's words, and what to do."""
    return EngineError(
        "no space left on device",
        hint="Remove images that nobody needs (`docker image prune -a`), or set DOCKERLAB_ENGINE_ROOT to a bigger disk.",
    )


@contextmanager
def full_disk_is_an_error() -> Iterator[None]:
    """Maps the operating system's error for a full disk to ours."""
    try:
        yield
    except OSError as error:
        if error.errno in _MEANS_FULL:
            raise full() from error
        raise


def file_system(path: Path) -> str:
    """The kind of file system that a path lies on, "ext4"; "" where that is not to be learnt."""
    real, kind, longest = os.path.realpath(path), "", -1
    with suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            fields, _, rest = line.partition(" - ")
            point = fields.split(" ")[4].replace("\\040", " ")
            if len(point) >= longest and (real == point or real.startswith(point.rstrip("/") + "/")):
                kind, longest = rest.split(" ")[0], len(point)
    return kind
