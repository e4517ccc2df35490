"""Ordinary headers of a tar, quickly: those of files, directories and links without any header before their own.

What is the same in one header after the other (sums, mode and owner) is parsed once; times are not parsed; whatever is out of the
ordinary, a name that no header has room for too, is left to `entries`. The same values and the same refusals, from the same bytes.
"""

from __future__ import annotations

import os
import zlib
from typing import Final

from dockerlab.wire.tar.entry import Kind, clean
from dockerlab.wire.tar.fields import BLOCK, LONGEST_FILE, broken, large, number, verify_checksum, within
from dockerlab.wire.tar.reader import KINDS

_ORDINARY: Final = {ord(flag): KINDS[flag] for flag in (b"0", b"\0", b"1", b"2", b"5")}
_ENDS: Final = b"\0 "  # of a number
_MOST: Final = 4096  # sums, and owners
Fields = tuple[str, Kind, int, int, int, int, str]  # path, kind, size, mode, uid, gid, target
END: Final[Fields] = ("", "file", -1, 0, 0, 0, "")


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
        if len(block) < BLOCK or (kind := _ORDINARY.get(block[156])) is None:
            return None
        total = self._sums.get(block[148:156])
        if total is None:
            total = self._sum(block[148:156])
        is_ascii = block.isascii()
        if not is_ascii or zlib.adler32(block) & 0xFFFF != total:
            if not any(block):
                return END
            verify_checksum(block)
        try:
            size = int(block[124:135], 8)
        except ValueError:
            size = -1
        if size < 0 or block[135] not in _ENDS:
            size = within(large(block[124:136]), LONGEST_FILE)
        end = block.find(0, 0, 100)
        raw = block[: end if end >= 0 else 100]
        if block[345] and block[257:263] == b"ustar\0":
            raw = block[345:500].partition(b"\0")[0] + b"/" + raw
        path = raw.decode() if is_ascii else raw.decode("utf-8", "surrogateescape")
        target = ""
        if kind != "file" or path[-1:] == "/":  # so tar wrote a directory before there was a type for it
            size = 0
            if kind == "file":
                kind = "directory"
            elif kind != "directory":
                target = _target(block, kind)
        path = clean(path)
        owner = self._owners.get(block[100:124])
        mode, uid, gid = self._owner(block) if owner is None else owner
        return path, kind, size, mode, uid, gid, target

    def _sum(self, raw: bytes) -> int:
        """What Adler-32 gives for a header of ASCII whose sum is `raw`: that is of the header with spaces in its place."""
        if len(self._sums) >= _MOST:
            self._sums.clear()
        total = self._sums[raw] = number(raw) + sum(raw) - 8 * ord(" ") + 1
        return total

    def _owner(self, block: bytes) -> tuple[int, int, int]:
        if len(self._owners) >= _MOST:
            self._owners.clear()
        uid, gid = within(number(block[108:116]), 1 << 32), within(number(block[116:124]), 1 << 32)
        owner = self._owners[block[100:124]] = (number(block[100:108]) & 0o7777, uid, gid)
        return owner


def _target(block: bytes, kind: Kind) -> str:
    target = os.fsdecode(block[157:257].partition(b"\0")[0])
    if kind == "link":
        return clean(target)
    if not target:
        raise broken("a symbolic link without a target")
    return target
