"""A fingerprint of a file's bytes: the same for the same bytes, in this process. It says whether a file that is stored twice changed.

    fingerprint(data)                    of bytes that lie in memory
    print_ = Fingerprint(); print_.update(piece); print_.value()      of those that come in pieces, whatever the pieces

Python's own hash of bytes, SipHash (131002.net/siphash), keyed with a secret of this process: of a third of SHA-256's cost, and whoever
makes an archive cannot make two files that look the same here. Of 64 bits, which is plenty to tell two copies of one path apart, and
no name for a content: that is its digest.
"""

from __future__ import annotations

import os
from typing import Final

_SECRET: Final = os.urandom(16)
_PIECE: Final = 1 << 16  # bytes that are hashed at once; a longer file is a chain of such


def fingerprint(data: bytes | memoryview) -> int:
    """Of all of a file's bytes."""
    if len(data) <= _PIECE:
        return hash(b"".join((_SECRET, data)))
    found = Fingerprint()
    found.update(data)
    return found.value()


EMPTY: Final = fingerprint(b"")


class Fingerprint:
    """See above."""

    def __init__(self) -> None:
        self._before = _SECRET
        self._rest = bytearray()

    def update(self, data: bytes | memoryview) -> None:
        """The next bytes of the file."""
        self._rest += data
        at = 0
        # What ends a file is not yet known to: a piece is hashed when there is more.
        while len(self._rest) - at > _PIECE:
            piece = hash(b"".join((self._before, memoryview(self._rest)[at : at + _PIECE])))
            self._before = piece.to_bytes(8, "big", signed=True)
            at += _PIECE
        if at:
            del self._rest[:at]

    def value(self) -> int:
        """Of all the bytes so far."""
        return hash(self._before + self._rest)
