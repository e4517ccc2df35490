"""HTTP/2's frames (RFC 9113, 4.1 and 6.1), made fewer: DATA frames that follow one another on a stream are joined to one.

    joining = Joining(largest, is_server=True)
    http.receive_data(joining.joined(data))             h2 sees the same bytes of each stream, in the same order

gRPC for Go sends each message in a frame of its own, and h2 takes tens of microseconds for a frame, however small: of an engine that asks
for 20,000 files that is the most of what there is to do. Only frames without a flag are joined, so that no padding and no end of a stream
is lost; all else is given on as it came.
"""

from __future__ import annotations

from typing import Final

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD: Final = 9  # bytes: length, type, flags, stream
_PLAIN: Final = b"\0\0"  # DATA, no flags


class Joining:
    """What comes on one connection. largest: bytes that a frame may hold. is_server: whether a client's preface comes first."""

    def __init__(self, largest: int, *, is_server: bool) -> None:
        self._largest = largest
        self._passed = len(_PREFACE) if is_server else 0  # bytes that are given on as they are
        self._rest = b""  # the beginning of a frame

    def joined(self, data: bytes) -> bytes:
        """What is to be read in place of `data`; of a DATA frame that is not yet whole, nothing."""
        data, at = self._rest + data, 0
        pieces: list[bytes] = []
        parts: list[bytes] = []
        stream, size = b"", 0
        while True:
            if self._passed:
                piece = data[at : at + self._passed]
                pieces.append(piece)
                self._passed -= len(piece)
                at += len(piece)
            content = at + _HEAD
            if content > len(data):
                break
            end = content + int.from_bytes(data[at : at + 3], "big")
            is_plain = data[at + 3 : at + 5] == _PLAIN and end - content <= self._largest
            if is_plain and end > len(data):
                break
            if parts and not (is_plain and data[at + 5 : content] == stream and size + end - content <= self._largest):
                pieces += _frame(stream, size, parts)
                parts, size = [], 0
            if is_plain:
                stream, size = data[at + 5 : content], size + end - content
                parts.append(data[content:end])
                at = end
            else:
                self._passed = end - at
        if parts:
            pieces += _frame(stream, size, parts)
        self._rest = data[at:]
        return b"".join(pieces)


def _frame(stream: bytes, size: int, parts: list[bytes]) -> list[bytes]:
    return [size.to_bytes(3, "big"), _PLAIN, stream, *parts]
