"""Files between a tar and the disk, in both directions: their bytes, their holes, their attributes.

A hole stays one: a container's sparse database image of 10 GB is a layer of what it really holds. Small holes are not worth a header.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final

from dockerlab.wire.tar import Data, Entry, Writer

CHUNK: Final = 1 << 18
_WORTH_A_MAP: Final = 1 << 20
_MOST_SEGMENTS: Final = 1 << 16


def write(host: bytes, entry: Entry, data: Data) -> int:
    """Makes a file of an entry, and writes it; the descriptor, which is the caller's to close. Only its owner may read it yet."""
    fd = os.open(host, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if entry.sparse is None:
            while piece := data.read(CHUNK):
                _write_all(fd, piece)
            return fd
        os.ftruncate(fd, entry.size)
        for offset, length in entry.sparse:
            os.lseek(fd, offset, os.SEEK_SET)
            while length and (piece := data.read(min(length, CHUNK))):
                _write_all(fd, piece)
                length -= len(piece)
        return fd
    except BaseException:
        os.close(fd)
        raise


def set_attributes(host: bytes, xattrs: Mapping[str, bytes], reserved: Collection[str]) -> None:
    """Gives a file an entry's extended attributes. reserved: how the names begin that mean something to us or to the kernel."""
    for name, value in xattrs.items():
        if not name.startswith(tuple(reserved)):
            with suppress(OSError):  # security.capability and trusted.* are root's to give
                os.setxattr(host, name, value, follow_symlinks=False)


def add(writer: Writer, host: bytes, entry: Entry, size: int) -> None:
    """Writes a file as an entry. size: how long it was; it may be written to meanwhile, and what is missing is zeros, as with GNU tar."""
    fd = os.open(host, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = segments(fd, size)
        stored = [(0, size)] if found is None else found
        if entry.size != size or found is not None:
            entry = replace(entry, size=size, sparse=None if found is None else tuple(found))
        writer.add(entry, _Segments(fd, stored))
    finally:
        os.close(fd)


def is_directory(host: bytes) -> bool:
    """Whether there is a directory, and no link to one."""
    try:
        return stat.S_ISDIR(os.lstat(host).st_mode)
    except FileNotFoundError:
        return False


class _Segments:
    """Just these bytes of a file, one segment after the other."""

    def __init__(self, fd: int, segments: list[tuple[int, int]]) -> None:
        self._fd, self._waiting = fd, segments[::-1]

    def read(self, size: int, /) -> bytes:
        if not self._waiting:
            return b""
        offset, length = self._waiting.pop()
        wanted = min(size, length, CHUNK)
        if wanted < length:
            self._waiting.append((offset + wanted, length - wanted))
        found = os.pread(self._fd, wanted, offset)
        return found.ljust(wanted, b"\0")


def segments(fd: int, size: int) -> list[tuple[int, int]] | None:
    """The (offset, length) of what is no hole; None for a file that is not worth it."""
    if size < _WORTH_A_MAP or os.fstat(fd).st_blocks * 512 + _WORTH_A_MAP > size:
        return None
    found: list[tuple[int, int]] = []
    at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
            at = os.lseek(fd, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno != errno.ENXIO:
                return None  # a file system that does not tell
            break  # the rest is a hole
        if start < size:
            found.append((start, min(at, size) - start))
        if len(found) > _MOST_SEGMENTS:
            return None
    holes = size - sum(length for _, length in found)
    return found if holes >= _WORTH_A_MAP else None


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
