"""Ordinary headers of a tar, quickly: those of files and directories without any header before their own.

What is the same in one header after the other (mode and owner) is parsed once; times are not parsed; whatever is out of the ordinary,
links and long names too, is left to `entries`. The same values and the same refusals, from the same bytes.
"""

from __future__ import annotations

import zlib
from typing import Final

from dockerlab.wire.tar.entry import Kind, clean
from dockerlab.wire.tar.fields import BLOCK, LONGEST_FILE, large, number, verify_checksum, within
from dockerlab.wire.tar.reader import KINDS

_ORDINARY: Final = {flag: KINDS[flag] for flag in (b"0", b"\0", b"5")}
_MOST_OWNERS: Final = 4096
Fields = tuple[str, Kind, int, int, int, int]  # path, kind, size, mode, uid, gid
END: Final = ("", "file", -1, 0, 0, 0)


class Headers:
    """The headers of one tar, one after the other."""

    __slots__ = ("_owners", "_sums")

    def __init__(self) -> None:
        self._owners: dict[bytes, tuple[int, int, int]] = {}
        self._sums: dict[bytes, int] = {}

    def parse(self, block: bytes) -> Fields | None:
        """What an ordinary header says; `END` for the one that ends a tar; None for one that `entries` has to read.

        Raises EngineError for a header that is wrong.
        """
        kind = _ORDINARY.get(block[156:157])
        if kind is None or len(block) < BLOCK or block[345]:
            return None
        fields = block[:148] + b"        " + block[156:]
        expected = self._sums.get(block[148:156])
        if expected is None:
            if len(self._sums) >= _MOST_OWNERS:
                self._sums.clear()
            expected = self._sums[block[148:156]] = number(block[148:156])
        if not fields.isascii() or (zlib.adler32(fields) & 0xFFFF) - 1 != expected:
            if not any(block):
                return END
            verify_checksum(block)
        size = within(large(block[124:136]), LONGEST_FILE)
        owner = self._owners.get(block[100:124])
        if owner is None:
            if len(self._owners) >= _MOST_OWNERS:
                self._owners.clear()
            owner = self._owners[block[100:124]] = _owner(block)
        path = block[:100].partition(b"\0")[0].decode("utf-8", "surrogateescape")
        if kind != "file" or path.endswith("/"):
            return (clean(path), "directory", 0, *owner)
        return (clean(path), "file", size, *owner)


def _owner(block: bytes) -> tuple[int, int, int]:
    uid, gid = within(number(block[108:116]), 1 << 32), within(number(block[116:124]), 1 << 32)
    return number(block[100:108]) & 0o7777, uid, gid
