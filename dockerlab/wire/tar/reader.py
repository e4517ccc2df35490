"""Bytes → entries: ustar, PAX (POSIX.1-2001) and GNU tar, in one pass, with bounded memory.

Formats: pubs.opengroup.org, `pax`, "ustar Interchange Format"; GNU tar's manual, "Basic Tar Format" and "Storing Sparse Files". Global
PAX headers are read over, as Docker does. Errors have the texts of Go's archive/tar, which Docker's are.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Final, cast

from dockerlab.errors import EngineError
from dockerlab.wire.tar.entry import Entry, Kind, Readable, clean

BLOCK: Final = 512
_ZEROS: Final = bytes(BLOCK)
_CHUNK: Final = 1 << 18
# A header that claims more is an attack: it would have to fit into memory.
_LONGEST_HEADER: Final = 1 << 20
_MOST_SEGMENTS: Final = 1 << 17
LONGEST_FILE: Final = 1 << 60
_LAST_SECOND: Final = 1 << 33
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


def _broken(detail: str) -> EngineError:
    return EngineError("archive/tar: invalid tar header", evidence=[detail])


def _ended() -> EngineError:
    return EngineError("unexpected EOF", hint="The archive is not whole.")


class _Input:
    """Reads exactly as much as is asked for."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._file = _seekable(stream)
        self._end = _end(self._file) if self._file else 0

    def block(self) -> bytes | None:
        """The next block, or None at the end of the stream."""
        found = self.some(BLOCK)
        return found + self.exactly(BLOCK - len(found)) if found else None

    def exactly(self, size: int) -> bytes:
        found = self.some(size) if size else b""
        if len(found) == size:
            return found
        pieces = [found]
        missing = size - len(found)
        while missing:
            piece = self.some(missing)
            if not piece:
                raise _ended()
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def some(self, size: int) -> bytes:
        return self._stream.read(min(size, _CHUNK))

    def skip(self, size: int, spare: int) -> None:
        """spare: how many of the last bytes may be missing at the end of the stream."""
        if self._file:
            beyond = self._file.seek(size, os.SEEK_CUR) - self._end
            if beyond > spare:
                raise _ended()
            return
        while size:
            found = self.some(size)
            if not found:
                if size > spare:
                    raise _ended()
                return
            size -= len(found)


def _seekable(stream: Readable) -> IO[bytes] | None:
    return cast("IO[bytes]", stream) if hasattr(stream, "seekable") and stream.seekable() else None


def _end(file: IO[bytes]) -> int:
    here = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(here)
    return end


class Data:
    """The bytes of one entry; of a sparse file, those that are not holes, one segment after the other. Good until the next entry."""

    def __init__(self, source: _Input, size: int) -> None:
        self._source = source
        self._left = size
        self._padding = -size % BLOCK

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, b"" at the end; without a size all that is left. Raises EngineError where the archive ends first."""
        if size < 0:
            return self.exactly(self._left)
        wanted = min(size, self._left)
        if not wanted:
            return b""
        found = self._source.some(wanted)
        if not found:
            raise _ended()
        self._left -= len(found)
        return found

    def exactly(self, size: int) -> bytes:
        """`size` bytes."""
        if size > self._left:
            raise _ended()
        self._left -= size
        return self._source.exactly(size)

    @property
    def left(self) -> int:
        """Bytes that were not read yet."""
        return self._left

    def finish(self) -> None:
        """Goes to the next header. The last entry's padding may be missing: `docker build -f - folder` leaves it out."""
        self._source.skip(self._left + self._padding, self._padding)
        self._left = self._padding = 0


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
    source = _Input(stream)
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
        raise _ended()


def _special(source: _Input, size: int) -> bytes:
    if size > _LONGEST_HEADER:
        raise _broken(f"an extended header of {size} bytes")
    return source.exactly(size + -size % BLOCK)[:size]


def verify_checksum(block: bytes) -> None:
    """Raises EngineError for a header whose sum is wrong."""
    expected = number(block[148:156])
    fields = block[:148] + b"        " + block[156:]
    # Of ASCII alone the sum fits into what Adler-32 sums: a tenth of the time.
    if fields.isascii():
        if (zlib.adler32(fields) & 0xFFFF) - 1 != expected:
            raise _broken("a wrong checksum")
        return
    # Old archives summed signed bytes.
    if sum(fields) != expected and sum(byte - 256 if byte > 127 else byte for byte in fields) != expected:
        raise _broken("a wrong checksum")


@lru_cache(maxsize=1024)
def number(raw: bytes) -> int:
    """A number of a header: octal text, or GNU's base-256."""
    if raw[0] & 0x80:
        value = int.from_bytes(raw, "big")
        bits = len(raw) * 8
        return value - (1 << bits) if raw[0] & 0x40 else value & ((1 << (bits - 1)) - 1)
    text = raw.partition(b"\0")[0].strip()
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise _broken(f"{text!r} is not a number") from None


def large(raw: bytes) -> int:
    """A number that seldom comes twice: a size, a time."""
    try:
        return int(raw[:11], 8) if raw[11] in b"\0 " else number(raw)
    except ValueError:
        return number(raw)


def _records(content: bytes) -> tuple[dict[str, bytes], list[int]]:
    """PAX records, "LENGTH KEY=VALUE\\n" each; and the sparse map of GNU's format 0.0, whose keys repeat."""
    found: dict[str, bytes] = {}
    segments: list[int] = []
    at = 0
    while at < len(content):
        length_text, space, _ = content[at : at + 20].partition(b" ")
        if not space or not length_text.isdigit():
            raise _broken("an extended header that is none")
        end = at + int(length_text)
        key, equals, value = content[at + len(length_text) + 1 : end - 1].partition(b"=")
        if end > len(content) or content[end - 1 : end] != b"\n" or not equals:
            raise _broken("an extended header that is none")
        at = end
        name = os.fsdecode(key)
        if name in ("GNU.sparse.offset", "GNU.sparse.numbytes"):
            segments.append(_decimal(value))
        else:
            found[name] = value
    return found, segments


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise _broken(f"{text[:20]!r} is not a number")
    return int(text)


def _seconds(number: int) -> int:
    """A time that every file system's calls take."""
    return max(-_LAST_SECOND, min(number, _LAST_SECOND))


def _nanoseconds(text: bytes) -> int:
    """A PAX time: seconds with a decimal fraction, exactly."""
    whole, _, fraction = text.removeprefix(b"-").partition(b".")
    if not whole.isdigit() or (fraction and not fraction.isdigit()) or len(whole) > 12:
        raise _broken(f"{text[:20]!r} is not a time")
    value = _seconds(int(whole)) * 10**9 + int(fraction[:9].ljust(9, b"0"))
    return -value if text.startswith(b"-") else value


def _entry(block: bytes, flag: bytes, size: int, extension: _Extension, source: _Input) -> tuple[Entry, Data]:
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
    size = within(_decimal(records["size"]), LONGEST_FILE) if "size" in records else size
    # Only files have data; whatever else claims some is read over, as every tar does but for old links.
    stored = size if kind == "file" or (kind == "directory" and flag == b"D") else 0
    data = Data(source, stored)
    segments, real_size = None, stored
    if flag == b"S":
        segments, real_size = _old_gnu_map(block, source), number(block[483:495])
    elif (kind == "file" and any(key.startswith("GNU.sparse.") for key in records)) or extension.segments:
        segments, real_size = _pax_map(records, extension.segments or [], data, stored)
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
        _nanoseconds(records["mtime"]) if "mtime" in records else _seconds(number(block[136:148])) * 10**9,
        real_size if kind == "file" else 0,
        clean(link) if kind == "link" else _symlink(link) if kind == "symlink" else "",
        (within(number(block[329:337]), 1 << 12), within(number(block[337:345]), 1 << 20)) if kind in ("char", "block") else (0, 0),
        _xattrs(records),
        None if segments is None else _checked(segments, real_size, data),
    )
    return entry, data


def _plain(block: bytes, flag: bytes, size: int, source: _Input) -> tuple[Entry, Data]:
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
        _seconds(large(raw_mtime)) * 10**9,
        stored,
        target,
    )
    return entry, Data(source, stored)


def _identity(record: bytes | None, field: bytes) -> int:
    return within(number(field) if record is None else _decimal(record), 1 << 32)


def within(number: int, limit: int) -> int:
    """The number, or EngineError for one that is not in `range(limit)`."""
    if not 0 <= number < limit:
        raise _broken("a number that is too big, or negative")
    return number


def _symlink(target: str) -> str:
    if not target or "\0" in target:
        raise _broken("a symbolic link without a target")
    return target


def _xattrs(records: Mapping[str, bytes]) -> dict[str, bytes]:
    return {key.removeprefix(_XATTR): value for key, value in records.items() if key.startswith(_XATTR) and "\0" not in key}


def _old_gnu_map(block: bytes, source: _Input) -> list[int]:
    """The map of GNU's own format: four segments in the header, 21 in each block that continues it."""
    numbers: list[int] = []
    fields, more = block[386:482], block[482]
    while True:
        for at in range(0, len(fields) - len(fields) % 24, 24):
            if fields[at : at + 12].strip(b"\0"):
                numbers += [number(fields[at : at + 12]), number(fields[at + 12 : at + 24])]
        if not more:
            return numbers
        if len(numbers) > 2 * _MOST_SEGMENTS:
            raise _broken("a sparse file in too many pieces")
        following = source.exactly(BLOCK)
        fields, more = following[:504], following[504]


def _pax_map(records: Mapping[str, bytes], segments: list[int], data: Data, stored: int) -> tuple[list[int] | None, int]:
    """The sparse map of GNU's formats in PAX: 0.0 (repeated keys), 0.1 (one key), 1.0 (before the data)."""
    version = (records.get("GNU.sparse.major"), records.get("GNU.sparse.minor"))
    real_size = records.get("GNU.sparse.realsize", records.get("GNU.sparse.size"))
    if real_size is None:
        return None, stored
    if version == (b"1", b"0"):
        return _map_before_data(data), _decimal(real_size)
    if "GNU.sparse.map" in records:
        text = records["GNU.sparse.map"]
        return [_decimal(number) for number in text.split(b",")] if text else [], _decimal(real_size)
    return segments, _decimal(real_size)


def _map_before_data(data: Data) -> list[int]:
    buffer = bytearray()
    numbers: list[int] = []
    wanted = 1
    while len(numbers) < wanted:
        line, newline, rest = buffer.partition(b"\n")
        if not newline:
            if len(buffer) > BLOCK:
                raise _broken("a sparse map that is none")
            buffer += data.exactly(BLOCK)
            continue
        buffer = rest
        numbers.append(_decimal(bytes(line)))
        if len(numbers) == 1:
            if numbers[0] > _MOST_SEGMENTS:
                raise _broken("a sparse file in too many pieces")
            wanted = 1 + 2 * numbers[0]
    return numbers[1:]


def _checked(numbers: Sequence[int], size: int, data: Data) -> tuple[tuple[int, int], ...]:
    """Pairs in order, inside the file, together as long as the data."""
    pairs = [(offset, length) for offset, length in zip(numbers[::2], numbers[1::2], strict=False) if length]
    end = 0
    for offset, length in pairs:
        if offset < end or length < 0:
            raise _broken("a sparse map out of order")
        end = offset + length
    if len(numbers) % 2 or end > size or sum(length for _, length in pairs) != data.left:
        raise _broken("a sparse map that does not fit its file")
    within(size, LONGEST_FILE)
    return tuple(pairs)
