"""A tar as it comes by in chunks, of each file's bytes a fingerprint on the way: the same entries and refusals as `entries`, quickly.

    for fields, content in passing(Flow(chunks)): ...

Nothing is parsed that nobody asks for: times are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from dockerlab.wire.tar.data import Data, Prefixed
from dockerlab.wire.tar.fields import BLOCK, ended
from dockerlab.wire.tar.fingerprint import EMPTY, Fingerprint, fingerprint
from dockerlab.wire.tar.headers import END, Fields, Headers
from dockerlab.wire.tar.reader import entries

_CHUNK: Final = 1 << 18
# What the entry's header says; the fingerprint of a file's bytes.
Passed = tuple[Fields, int | None]


class Flow:
    """Chunks as a stream that is read once."""

    __slots__ = ("_at", "_chunk", "_chunks", "_size")

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._chunk = b""
        self._at = self._size = 0

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes of one chunk, b"" at the end."""
        if self._at == self._size and not self._fill():
            return b""
        at, end = self._at, min(self._at + size, self._size)
        self._at = end
        return self._chunk[at:end]  # the chunk itself, where it is wanted whole

    def block(self) -> bytes:
        """The next 512 bytes; fewer at the end."""
        at = self._at
        if at + BLOCK <= self._size:
            self._at = at + BLOCK
            return self._chunk[at : at + BLOCK]
        found = b""
        while len(found) < BLOCK and (piece := self.read(BLOCK - len(found))):
            found += piece
        return found

    def fingerprint(self, size: int) -> int:
        """Of a file of `size` bytes, which come next. Raises EngineError where there are not so many."""
        if not size:
            return EMPTY
        at, end = self._at, self._at + size
        if end <= self._size:
            self._at = end
            return fingerprint(self._chunk[at:end])
        found = Fingerprint()
        while size:
            if not (piece := self.read(size)):
                raise ended()
            found.update(piece)
            size -= len(piece)
        return found.value()

    def skip(self, size: int, spare: int = 0) -> None:
        """spare: how many of the last bytes may be missing at the end of the stream."""
        if self._at + size <= self._size:
            self._at += size
            return
        left = size
        while left:
            if self._at == self._size and not self._fill():
                if left > spare:
                    raise ended()
                return
            step = min(left, self._size - self._at)
            self._at += step
            left -= step

    def _fill(self) -> bool:
        for chunk in self._chunks:
            if chunk:
                self._chunk, self._at, self._size = chunk, 0, len(chunk)
                return True
        self._chunk, self._at, self._size = b"", 0, 0
        return False


def passing(flow: Flow) -> Iterator[Passed]:
    """The entries of a tar. Raises EngineError as `entries` does; does not read beyond the archive's end."""
    parse, block, content, skip = Headers().parse, flow.block, flow.fingerprint, flow.skip
    while header := block():
        fields = parse(header)
        if fields is None:
            found = _by_the_reader(header, flow)
            if found is None:
                return
            yield found
            continue
        if fields is END:
            return
        if fields[1] != "file":
            yield fields, None
            continue
        size = fields[2]
        yield fields, content(size)
        if padding := -size & (BLOCK - 1):
            # `docker build -f - folder` leaves the last one out.
            skip(padding, padding)


def _by_the_reader(header: bytes, flow: Flow) -> Passed | None:
    for entry, data in entries(Prefixed(header, flow)):
        content = _content(data) if entry.kind == "file" else None
        data.finish()
        return (entry.path, entry.kind, entry.size, entry.mode, entry.uid, entry.gid, entry.target), content
    return None


def _content(data: Data) -> int:
    found = Fingerprint()
    while chunk := data.read(_CHUNK):
        found.update(chunk)
    return found.value()
