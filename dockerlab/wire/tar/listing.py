"""What a tar that lies in a file holds, without what is in its files: headers alone, in half the time of `entries`.

The same entries and the same refusals, from the same bytes. What is the same in one header after the other (mode and owner) is parsed
once; times are not parsed; whatever is out of the ordinary, links and long names too, is left to `entries`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from dockerlab.wire.tar.entry import Kind, clean
from dockerlab.wire.tar.reader import BLOCK, KINDS, LONGEST_FILE, entries, large, number, verify_checksum, within
from dockerlab.wire.tar.window import Window

_ORDINARY: Final = {flag: KINDS[flag] for flag in (b"0", b"\0", b"5")}
_MOST_OWNERS: Final = 4096


class Listed(NamedTuple):
    """See `Entry`. start, stored: where in the window its bytes lie, and how many there are."""

    path: str
    kind: Kind
    size: int
    mode: int
    uid: int
    gid: int
    target: str
    start: int
    stored: int


def listing(window: Window) -> Iterator[Listed]:
    """The entries of a tar from the window's start. Raises EngineError as `entries` does."""
    owners: dict[bytes, tuple[int, int, int]] = {}
    sums: dict[bytes, int] = {}
    block_at, adler, ordinary = window.block_at, zlib.adler32, _ORDINARY.get
    at = 0
    while block := block_at(at):
        kind = ordinary(block[156:157])
        if kind is None or len(block) < BLOCK or block[345]:
            found = _by_the_reader(window, at)
            if found is None:
                return
            listed, at = found
            yield listed
            continue
        fields = block[:148] + b"        " + block[156:]
        expected = sums.get(block[148:156])
        if expected is None:
            if len(sums) >= _MOST_OWNERS:
                sums.clear()
            expected = sums[block[148:156]] = number(block[148:156])
        if not fields.isascii() or (adler(fields) & 0xFFFF) - 1 != expected:
            if not any(block):
                return
            verify_checksum(block)
        size = within(large(block[124:136]), LONGEST_FILE)
        owner = owners.get(block[100:124])
        if owner is None:
            if len(owners) >= _MOST_OWNERS:
                owners.clear()
            owner = owners[block[100:124]] = _owner(block)
        path = block[:100].partition(b"\0")[0].decode("utf-8", "surrogateescape")
        if kind == "file" and path.endswith("/"):
            kind = "directory"
        if kind != "file":
            size = 0
        start = at + BLOCK
        yield Listed(clean(path), kind, size, *owner, "", start, size)
        at = start + size + (-size & (BLOCK - 1))
        window.check(start + size)


def _owner(block: bytes) -> tuple[int, int, int]:
    uid, gid = within(number(block[108:116]), 1 << 32), within(number(block[116:124]), 1 << 32)
    return number(block[100:108]) & 0o7777, uid, gid


def _by_the_reader(window: Window, at: int) -> tuple[Listed, int] | None:
    window.seek(at)
    for entry, data in entries(window):
        listed = Listed(
            entry.path, entry.kind, entry.size, entry.mode, entry.uid, entry.gid, entry.target, window.tell(), data.left
        )
        data.finish()
        return listed, window.tell()
    return None
