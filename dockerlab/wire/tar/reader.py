"""Bytes → entries: ustar, PAX (POSIX.1-2001) and GNU tar, in one pass, with bounded memory.

Formats: pubs.opengroup.org, `pax`, "ustar Interchange Format"; GNU tar's manual, "Basic Tar Format". Global PAX headers
are read over, as Docker does.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from dockerlab.errors import EngineError
from dockerlab.wire.tar.data import Data, Input
from dockerlab.wire.tar.entry import Entry, Kind, Readable, clean
from dockerlab.wire.tar.fields import (
    BLOCK,
    LONGEST_FILE,
    broken,
    decimal,
    ended,
    large,
    nanoseconds,
    number,
    seconds,
    verify_checksum,
    within,
)
from dockerlab.wire.tar.sparse import checked, old_gnu_map, pax_map

_ZEROS: Final = bytes(BLOCK)
# A header that claims more is an attack: it would have to fit into memory.
_LONGEST_HEADER: Final = 1 << 20
_XATTR: Final = "SCHILY.xattr."

KINDS: dict[bytes, Kind] = {
    **dict.fromkeys((b"0", b"\0", b"7", b"S"), "file"),
    b"1": "link",
    b"2": "symlink",
    b"3": "char",
    b"4": "block",
    **dict.fromkeys((b"5", b"D"), "directory"),
    b"6": "fifo",
}
# Kinds that a header tells all about: of no device, without holes.
_PLAIN: Final = frozenset((b"0", b"\0", b"1", b"2", b"5"))
# path, mode, uid, gid, (size,) mtime, (checksum, kind,) target, magic, (…) prefix
_FIELDS: Final = struct.Struct("100s8s8s8s12x12s8x1x100s6s82x155s12x").unpack


@dataclass
class _Extension:
    """What the headers before an entry say about it."""

    path: bytes | None = None
    target: bytes | None = None
    records: dict[str, bytes] | None = None
    segments: list[int] | None = None


_NONE: Final = _Extension()  # of an entry that has no header before its own


def entries(stream: Readable) -> Iterator[tuple[Entry, Data]]:
    """The entries of a tar, each with its data, which is read or not. Ends at the archive's end, and does not read beyond it.

    A stream needs no more than `read(n)`, which may give less than n. Raises EngineError for what is not a tar, is cut off, or has
    a name that climbs out of its root.
    """
    source = Input(stream)
    extension = _NONE
    while (block := source.block()) is not None:
        if block == _ZEROS:
            return
        verify_checksum(block)
        kind = block[156:157]
        size = within(large(block[124:136]), LONGEST_FILE)
        if kind in b"xXgLK":
            content = _special(source, size)
            if extension is _NONE and kind != b"g":
                extension = _Extension()
            if kind == b"L":
                extension.path = content.rstrip(b"\0")
            elif kind == b"K":
                extension.target = content.rstrip(b"\0")
            elif kind != b"g":
                extension.records, extension.segments = _records(content)
            continue
        if extension is _NONE and kind in _PLAIN:
            entry, data = _plain(block, kind, size, source)
        else:
            entry, data = _entry(block, kind, size, extension, source)
            extension = _NONE
        yield entry, data
        data.finish()
    if extension is not _NONE:
        raise ended()


def _special(source: Input, size: int) -> bytes:
    if size > _LONGEST_HEADER:
        raise broken(f"an extended header of {size} bytes")
    return source.exactly(size + -size % BLOCK)[:size]


def _records(content: bytes) -> tuple[dict[str, bytes], list[int]]:
    """PAX records, "LENGTH KEY=VALUE\\n" each; and the sparse map of GNU's format 0.0, whose keys repeat."""
    found: dict[str, bytes] = {}
    segments: list[int] = []
    at = 0
    while at < len(content):
        length_text, space, _ = content[at : at + 20].partition(b" ")
        if not space or not length_text.isdigit():
            raise broken("an extended header that is none")
        end = at + int(length_text)
        key, equals, value = content[at + len(length_text) + 1 : end - 1].partition(b"=")
        if end > len(content) or content[end - 1 : end] != b"\n" or not equals:
            raise broken("an extended header that is none")
        at = end
        name = os.fsdecode(key)
        if name in ("GNU.sparse.offset", "GNU.sparse.numbytes"):
            segments.append(decimal(value))
        else:
            found[name] = value
    return found, segments


def _entry(block: bytes, flag: bytes, size: int, extension: _Extension, source: Input) -> tuple[Entry, Data]:
    if flag not in KINDS:
        raise EngineError(f"the archive has an entry of a kind that is not known: {flag!r}")
    records = extension.records or {}
    kind = KINDS[flag]
    raw_path = records.get("GNU.sparse.name", records.get("path", extension.path))
    if raw_path is None:
        raw_path = block[:100].partition(b"\0")[0]
        if block[257:263] == b"ustar\0" and (prefix := block[345:500].partition(b"\0")[0]):
            raw_path = prefix + b"/" + raw_path
    if kind == "file" and raw_path.endswith(b"/"):
        kind = "directory"  # as tar wrote it before there was a type for it
    size = within(decimal(records["size"]), LONGEST_FILE) if "size" in records else size
    # Only files have data; whatever else claims some is read over, as every tar does but for old links.
    stored = size if kind == "file" or (kind == "directory" and flag == b"D") else 0
    data = Data(source, stored)
    segments, real_size = None, stored
    if flag == b"S":
        segments, real_size = old_gnu_map(block, source), number(block[483:495])
    elif (kind == "file" and any(key.startswith("GNU.sparse.") for key in records)) or extension.segments:
        segments, real_size = pax_map(records, extension.segments or [], data, stored)
    target = records.get("linkpath", extension.target)
    if target is None:
        target = block[157:257].partition(b"\0")[0]
    link = os.fsdecode(target)
    entry = Entry(
        clean(os.fsdecode(raw_path)),
        kind,
        number(block[100:108]) & 0o7777,
        _identity(records.get("uid"), block[108:116]),
        _identity(records.get("gid"), block[116:124]),
        nanoseconds(records["mtime"]) if "mtime" in records else seconds(number(block[136:148])) * 10**9,
        real_size if kind == "file" else 0,
        clean(link) if kind == "link" else _symlink(link) if kind == "symlink" else "",
        (within(number(block[329:337]), 1 << 12), within(number(block[337:345]), 1 << 20)) if kind in ("char", "block") else (0, 0),
        _xattrs(records),
        None if segments is None else checked(segments, real_size, data),
    )
    return entry, data


def _plain(block: bytes, flag: bytes, size: int, source: Input) -> tuple[Entry, Data]:
    """What `_entry` gives for a header without any before it, as nine of ten are, in a third of the time."""
    raw_path, raw_mode, raw_uid, raw_gid, raw_mtime, raw_target, magic, prefix = _FIELDS(block)
    path = raw_path.partition(b"\0")[0]
    if prefix[0] and magic == b"ustar\0":
        path = prefix.partition(b"\0")[0] + b"/" + path
    kind = KINDS[flag]
    if kind == "file" and path.endswith(b"/"):
        kind = "directory"
    target = ""
    if kind in ("link", "symlink"):
        target = os.fsdecode(raw_target.partition(b"\0")[0])
        target = clean(target) if kind == "link" else _symlink(target)
    stored = size if kind == "file" else 0
    entry = Entry(
        clean(os.fsdecode(path)),
        kind,
        number(raw_mode) & 0o7777,
        within(number(raw_uid), 1 << 32),
        within(number(raw_gid), 1 << 32),
        seconds(large(raw_mtime)) * 10**9,
        stored,
        target,
    )
    return entry, Data(source, stored)


def _identity(record: bytes | None, field: bytes) -> int:
    return within(number(field) if record is None else decimal(record), 1 << 32)


def _symlink(target: str) -> str:
    if not target or "\0" in target:
        raise broken("a symbolic link without a target")
    return target


def _xattrs(records: Mapping[str, bytes]) -> dict[str, bytes]:
    return {key.removeprefix(_XATTR): value for key, value in records.items() if key.startswith(_XATTR) and "\0" not in key}
