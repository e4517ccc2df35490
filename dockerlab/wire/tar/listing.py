"""What a tar that lies in a file holds, without what is in its files: headers alone, in half the time of `entries`.

The same entries and the same refusals, from the same bytes; times are not parsed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dockerlab.wire.tar.entry import Kind
from dockerlab.wire.tar.fields import BLOCK
from dockerlab.wire.tar.headers import END, Headers
from dockerlab.wire.tar.reader import entries
from dockerlab.wire.tar.window import Window


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
    block_at, parse = window.block_at, Headers().parse
    at = 0
    while block := block_at(at):
        fields = parse(block)
        if fields is None:
            found = _by_the_reader(window, at)
            if found is None:
                return
            listed, at = found
            yield listed
            continue
        if fields is END:
            return
        size = fields[2]
        start = at + BLOCK
        yield Listed(*fields, "", start, size)
        at = start + size + (-size & (BLOCK - 1))
        window.check(start + size)


def _by_the_reader(window: Window, at: int) -> tuple[Listed, int] | None:
    window.seek(at)
    for entry, data in entries(window):
        listed = Listed(
            entry.path, entry.kind, entry.size, entry.mode, entry.uid, entry.gid, entry.target, window.tell(), data.left
        )
        data.finish()
        return listed, window.tell()
    return None
