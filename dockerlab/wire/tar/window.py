"""A part of a file, as a file of its own: a member of an archive, read where it lies."""

from __future__ import annotations

import io
import os
from typing import BinaryIO, Final

_BLOCK: Final = 512


class Window:
    """`size` bytes of `file` from `start` on. Takes no position of the file for granted, so that several may share one."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self.file, self.start, self.size = file, start, size
        self._descriptor = _descriptor(file)
        self._at = 0

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes, b"" at the end."""
        wanted = min(size, self.size - self._at)
        if wanted <= 0:
            return b""
        self.file.seek(self.start + self._at)
        found = self.file.read(wanted)
        self._at += len(found)
        return found

    def block_at(self, at: int) -> bytes:
        """The 512 bytes from `at` on; fewer at the end."""
        if self._descriptor >= 0 and at + _BLOCK <= self.size:
            return os.pread(self._descriptor, _BLOCK, self.start + at)
        self.file.seek(self.start + at)
        return self.file.read(min(_BLOCK, max(self.size - at, 0)))

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Costs nothing: the next read goes there."""
        self._at = offset + (0 if whence == os.SEEK_SET else self._at if whence == os.SEEK_CUR else self.size)
        return self._at

    def tell(self) -> int:
        return self._at


def _descriptor(file: BinaryIO) -> int:
    """By which the system reads at a place in one call; -1 where it cannot: Windows, and what is in memory."""
    if not hasattr(os, "pread"):
        return -1
    try:
        return file.fileno()
    except io.UnsupportedOperation:
        return -1
