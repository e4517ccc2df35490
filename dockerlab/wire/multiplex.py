"""The multiplexed stream of attach, exec and logs: frames of `[stream, 0, 0, 0, length (4 bytes, big endian)] payload`.

Stream 1 is standard output, 2 standard error (0, standard input, is shown as output by engines, 3 reports an engine's own error).
A container with a terminal has no frames: there `Raw` stands in.
"""

from __future__ import annotations

from collections.abc import Iterator

STDOUT, STDERR = 1, 2
_HEADER = 8


def frame(stream: int, data: bytes) -> bytes:
    """One frame."""
    return bytes((stream, 0, 0, 0)) + len(data).to_bytes(4, "big") + data


class Demultiplexer:
    """Bytes in, (stream, bytes) out, as they come: a frame that is there in part is given out in part."""

    def __init__(self) -> None:
        self._buffer = b""
        self._stream, self._left = STDOUT, 0

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        buffer = self._buffer + data
        while buffer:
            if self._left:
                payload, buffer = buffer[: self._left], buffer[self._left :]
                self._left -= len(payload)
                yield self._stream, payload
            elif len(buffer) >= _HEADER:
                self._stream = STDERR if buffer[0] in (STDERR, 3) else STDOUT
                self._left = int.from_bytes(buffer[4:_HEADER], "big")
                buffer = buffer[_HEADER:]
            else:
                break
        self._buffer = buffer


class Raw:
    """All of it is standard output."""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        yield STDOUT, data
