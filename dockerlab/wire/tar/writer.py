"""Entries → bytes: PAX, in the order they come, the same bytes for the same entries.

What fits into a ustar header stands there alone; a PAX header, with its records sorted, precedes an entry that does not: long or
non-ASCII names, big numbers, fractions of a second, xattrs, holes (GNU's sparse format 1.0). Names of users and groups are left out:
an image knows numbers only.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from dockerlab.errors import EngineError
from dockerlab.wire.tar.entry import Entry, Kind, Readable, Writable

_BLOCK: Final = 512
_RECORD: Final = 20 * _BLOCK
_CHUNK: Final = 1 << 18
_FORMAT: Final = b"%b%b%07o\0%07o\0%07o\0%011o\0%011o\0        %b%b%bustar\x0000%b%07o\0%07o\0%b%b"
_FLAGS: dict[Kind, bytes] = {
    "file": b"0",
    "link": b"1",
    "symlink": b"2",
    "char": b"3",
    "block": b"4",
    "directory": b"5",
    "fifo": b"6",
}


class Writer:
    """Writes a tar to a stream. out: needs `write` alone. `close` ends the archive and leaves the stream open."""

    def __init__(self, out: Writable) -> None:
        self._out = out
        self._written = 0

    def add(self, entry: Entry, data: Readable | None = None) -> None:
        """Writes an entry. data: a file's bytes; of a sparse one those that are not holes, one segment after the other.

        Raises EngineError where there are fewer bytes than the entry says. More are not read.
        """
        left = self.begin(entry)
        while left:
            chunk = data.read(min(left, _CHUNK)) if data else b""
            if not chunk:
                raise EngineError(f"{entry.path} became shorter while it was read")
            self._write(chunk)
            left -= len(chunk)
        self.end()

    def begin(self, entry: Entry) -> int:
        """Writes an entry's headers. How many bytes are to follow, which the caller may write to the stream itself before `end`."""
        records = {f"SCHILY.xattr.{name}".encode(): value for name, value in entry.xattrs.items()} if entry.xattrs else {}
        name, link = _stored_name(entry), os.fsencode(entry.target)
        stored = entry.size if entry.kind == "file" else 0
        sparse_map = b""
        if entry.sparse is not None:
            sparse_map = _sparse_map(entry.sparse)
            stored = len(sparse_map) + sum(length for _, length in entry.sparse)
            records |= {
                b"GNU.sparse.major": b"1",
                b"GNU.sparse.minor": b"0",
                b"GNU.sparse.name": name,
                b"GNU.sparse.realsize": str(entry.size).encode(),
            }
            name = _beside(name, b"GNUSparseFile.0")
        prefix, short = _split(name)
        if short is None:
            records[b"path"] = name
            prefix, short = b"", _ascii(name)[-100:]
        if len(link) > 100 or not link.isascii():
            records[b"linkpath"] = link
        if entry.mtime % 10**9 or not 0 <= entry.mtime // 10**9 < 8**11:
            records[b"mtime"] = _seconds(entry.mtime)
        for key, number, digits in ((b"uid", entry.uid, 7), (b"gid", entry.gid, 7), (b"size", stored, 11)):
            if number >= 8**digits:
                records[key] = str(number).encode()
        if records:
            self._add_records(name, records)
        flag = _FLAGS[entry.kind]
        self._write(_header(short, prefix, flag, stored, _ascii(link)[:100], entry))
        self._write(sparse_map)
        return stored - len(sparse_map)

    def end(self) -> None:
        """Fills an entry's data up to a whole block."""
        self._write(bytes(-self._written % _BLOCK))

    def add_written(self, size: int) -> None:
        """The caller wrote that many bytes of an entry to the stream."""
        self._written += size

    def close(self) -> None:
        """Ends the archive: two empty blocks, filled up to a whole record."""
        self._write(bytes(2 * _BLOCK))
        self._write(bytes(-self._written % _RECORD))

    def _write(self, data: bytes) -> None:
        if data:
            self._out.write(data)
            self._written += len(data)

    def _add_records(self, name: bytes, records: dict[bytes, bytes]) -> None:
        content = b"".join(_record(key, records[key]) for key in sorted(records))
        header = Entry("", mode=0o644)
        self._write(_header(_ascii(_beside(name, b"PaxHeaders.0"))[:100], b"", b"x", len(content), b"", header))
        self._write(content + bytes(-len(content) % _BLOCK))


def _stored_name(entry: Entry) -> bytes:
    name = os.fsencode(entry.path) or b"."
    return name + b"/" if entry.kind == "directory" else name


def _beside(name: bytes, folder: bytes) -> bytes:
    directory, slash, base = name.rstrip(b"/").rpartition(b"/")
    return directory + slash + folder + b"/" + base


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """A name as prefix and name of a ustar header; None where it does not fit."""
    if not name.isascii():
        return b"", None
    if len(name) <= 100:
        return b"", name
    at = name.find(b"/", max(0, len(name) - 101))
    if 0 < at <= 155 and at < len(name) - 1:
        return name[:at], name[at + 1 :]
    return b"", None


def _ascii(name: bytes) -> bytes:
    return name if name.isascii() else bytes(byte if byte < 128 else ord("_") for byte in name)


def _seconds(nanoseconds: int) -> bytes:
    whole, fraction = divmod(abs(nanoseconds), 10**9)
    text = f"{'-' if nanoseconds < 0 else ''}{whole}"
    return (f"{text}.{fraction:09}".rstrip("0") if fraction else text).encode()


def _record(key: bytes, value: bytes) -> bytes:
    """A PAX record, whose length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) > len(str(rest)):
        length += 1
    return b"%d %s=%s\n" % (length, key, value)


def _sparse_map(segments: tuple[tuple[int, int], ...]) -> bytes:
    numbers = [len(segments), *(number for segment in segments for number in segment)]
    text = b"".join(b"%d\n" % number for number in numbers)
    return text + bytes(-len(text) % _BLOCK)


def _octal(number: int, digits: int) -> int:
    """0 where it does not fit: a PAX record has it."""
    return number if 0 <= number < 8**digits else 0


def _header(name: bytes, prefix: bytes, flag: bytes, size: int, link: bytes, entry: Entry) -> bytes:
    block = _FORMAT % (
        name,
        bytes(100 - len(name)),
        _octal(entry.mode, 7),
        _octal(entry.uid, 7),
        _octal(entry.gid, 7),
        _octal(size, 11),
        _octal(entry.mtime // 10**9, 11),
        flag,
        link,
        bytes(100 - len(link)),
        bytes(64),
        _octal(entry.device[0], 7),
        _octal(entry.device[1], 7),
        prefix,
        bytes(167 - len(prefix)),
    )
    # All of it is ASCII, so that the sum fits into what Adler-32 sums: a tenth of the time.
    return block[:148] + b"%06o\0 " % ((zlib.adler32(block) & 0xFFFF) - 1) + block[156:]


def archive(items: Iterable[tuple[Entry, Iterable[bytes]]]) -> Iterator[bytes]:
    """A whole archive in pieces, of entries with their bytes. Raises EngineError where these are not as many as the entry says."""
    out = _Pieces()
    writer = Writer(out)
    for entry, data in items:
        left = writer.begin(entry)
        yield out.take()
        for chunk in data:
            left -= len(chunk)
            writer.add_written(len(chunk))
            yield chunk
        if left:
            raise EngineError(f"{entry.path} became {'shorter' if left > 0 else 'longer'} while it was read")
        writer.end()
    writer.close()
    yield out.take()


class _Pieces:
    """A stream to write to, taken away piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self._pieces.append(data)
        return len(data)

    def take(self) -> bytes:
        whole = b"".join(self._pieces)
        self._pieces.clear()
        return whole
