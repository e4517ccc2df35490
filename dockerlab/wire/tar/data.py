"""The bytes of a tar as they come, as many as are asked for, and those of one entry, with bounded memory."""

from __future__ import annotations

import os
from typing import IO, Final, cast

from dockerlab.wire.tar.entry import Readable
from dockerlab.wire.tar.fields import BLOCK, ended

_CHUNK: Final = 1 << 18


class Input:
    """Reads exactly as much as is asked for."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._file = _seekable(stream)
        self._end = _end(self._file) if self._file else 0

    def block(self) -> bytes | None:
        """The next block, or None at the end of the stream."""
        found = self.some(BLOCK)
        return found + self.exactly(BLOCK - len(found)) if found else None

    def exactly(self, size: int) -> bytes:
        found = self.some(size) if size else b""
        if len(found) == size:
            return found
        pieces = [found]
        missing = size - len(found)
        while missing:
            piece = self.some(missing)
            if not piece:
                raise ended()
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def some(self, size: int) -> bytes:
        return self._stream.read(min(size, _CHUNK))

    def skip(self, size: int, spare: int) -> None:
        """spare: how many of the last bytes may be missing at the end of the stream."""
        if self._file:
            beyond = self._file.seek(size, os.SEEK_CUR) - self._end
            if beyond > spare:
                raise ended()
            return
        while size:
            found = self.some(size)
            if not found:
                if size > spare:
                    raise ended()
                return
            size -= len(found)


def _seekable(stream: Readable) -> IO[bytes] | None:
    return cast("IO[bytes]", stream) if hasattr(stream, "seekable") and stream.seekable() else None


def _end(file: IO[bytes]) -> int:
    here = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(here)
    return end


class Data:
    """The bytes of one entry; of a sparse file, those that are not holes, one segment after the other. Good until the next entry."""

    def __init__(self, source: Input, size: int) -> None:
        self._source = source
        self._left = size
        self._padding = -size % BLOCK

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, b"" at the end; without a size all that is left. Raises EngineError where the archive ends first."""
        if size < 0:
            return self.exactly(self._left)
        wanted = min(size, self._left)
        if not wanted:
            return b""
        found = self._source.some(wanted)
        if not found:
            raise ended()
        self._left -= len(found)
        return found

    def exactly(self, size: int) -> bytes:
        """`size` bytes."""
        if size > self._left:
            raise ended()
        self._left -= size
        return self._source.exactly(size)

    @property
    def left(self) -> int:
        """Bytes that were not read yet."""
        return self._left

    def finish(self) -> None:
        """Goes to the next header. The last entry's padding may be missing: `docker build -f - folder` leaves it out."""
        self._source.skip(self._left + self._padding, self._padding)
        self._left = self._padding = 0


class Prefixed:
    """A stream with what was read of it already."""

    def __init__(self, start: bytes, rest: Readable) -> None:
        self._start, self._rest = start, rest

    def read(self, size: int, /) -> bytes:
        """As the stream would have."""
        if self._start:
            found, self._start = self._start[:size], self._start[size:]
            return found
        return self._rest.read(size)
