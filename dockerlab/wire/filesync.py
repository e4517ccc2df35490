"""File sync, the protocol by which a build gets a folder's files: `Packet`s of tonistiigi/fsutil (types/wire.proto, types/stat.proto).

The sender tells every file (STAT), depth first, the names of each folder in the order of their bytes, then an empty STAT. The receiver
asks for those that it has not (REQ, by the number of the STAT), in any order and at any time; each comes as DATA, an empty DATA at its
end. When the receiver has all it says FIN, and so does the sender. ERR ends it, its data says why.

Modes are Go's (os.FileMode), times are nanoseconds since the epoch.
"""

from __future__ import annotations

import stat as stats
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Final

from dockerlab.wire.protobuf import KEY, binary, decode, encode, integer, mapping, message, string, varint

STAT, REQ, DATA, FIN, ERR = range(5)

# Go's FileMode: its own bits for kinds and for setuid, setgid, sticky; Unix's for permissions.
_DIRECTORY: Final = 1 << 31
_SYMLINK: Final = 1 << 27
_DEVICE: Final = 1 << 26
_FIFO: Final = 1 << 25
_SOCKET: Final = 1 << 24
_SETUID: Final = 1 << 23
_SETGID: Final = 1 << 22
_CHARACTER: Final = 1 << 21
_STICKY: Final = 1 << 20
_IRREGULAR: Final = 1 << 19
_KIND: Final = _DIRECTORY | _SYMLINK | _DEVICE | _FIFO | _SOCKET | _CHARACTER | _IRREGULAR
_KINDS: Final = {
    stats.S_IFDIR: _DIRECTORY,
    stats.S_IFLNK: _SYMLINK,
    stats.S_IFBLK: _DEVICE,
    stats.S_IFCHR: _DEVICE | _CHARACTER,
    stats.S_IFIFO: _FIFO,
    stats.S_IFSOCK: _SOCKET,
    stats.S_IFREG: 0,
}
# How many of them are kept, encoded.
_MODES: Final = 64
_SIZES: Final = 4096
_HOURS: Final = 1024
_LOW: Final = 35  # bits of a time that seldom repeat
_SPECIAL: Final = ((stats.S_ISUID, _SETUID), (stats.S_ISGID, _SETGID), (stats.S_ISVTX, _STICKY))


@dataclass(frozen=True, slots=True)
class Stat:
    """A file. path: from the folder that is sent, with `/`. linkname: of a symbolic link its target, of a hard link the first name."""

    path: str = string(1)
    mode: int = integer(2)
    uid: int = integer(3)
    gid: int = integer(4)
    size: int = integer(5)
    mod_time: int = integer(6)
    linkname: str = string(7)
    devmajor: int = integer(8)
    devminor: int = integer(9)
    xattrs: Mapping[str, bytes] = mapping(10, bytes)

    @property
    def kind(self) -> str:
        """file, directory, symlink, fifo, socket or device."""
        return _kind(self.mode)

    @property
    def permissions(self) -> int:
        """Unix's twelve bits."""
        return _permissions(self.mode)


@dataclass(frozen=True, slots=True)
class Packet:
    """type: STAT, REQ, DATA, FIN or ERR. id: of a REQ and of DATA, the number of the STAT."""

    type: int = integer(1)
    stat: Stat | None = message(2, Stat)
    id: int = integer(3)
    data: bytes = binary(4)


# What a packet and a stat mostly begin their fields with.
_STAT_FIRST: Final = b"\x12"
_NUMBER_FIRST: Final = (b"\x08\x01\x18", b"\x08\x02\x18")  # REQ, DATA
_DATA_NEXT: Final = b"\x22"
_FIELDS: Final = {field.metadata[KEY].tag[0]: field.name for field in fields(Stat) if field.name != "xattrs"}
_LONGEST: Final = 9  # bytes of a varint that is below 2**63
_LARGEST: Final = 1 << 16  # bytes of a stat: `decode` counts the fields of larger ones


# A folder has thousands of files, and few modes.


@lru_cache(_MODES)
def _kind(mode: int) -> str:
    kinds = ((_DIRECTORY, "directory"), (_SYMLINK, "symlink"), (_FIFO, "fifo"), (_SOCKET, "socket"))
    found = next((name for bit, name in kinds if mode & bit), "")
    return found or ("device" if mode & _KIND else "file")


@lru_cache(_MODES)
def _permissions(mode: int) -> int:
    return mode & 0o777 | sum(unix for unix, go in _SPECIAL if mode & go)


@lru_cache(_MODES)
def go_mode(mode: int) -> int:
    """Unix's st_mode as Go's FileMode."""
    return mode & 0o777 | _KINDS.get(stats.S_IFMT(mode), _IRREGULAR) | sum(go for unix, go in _SPECIAL if mode & unix)


def is_directory(mode: int) -> bool:
    """Of a Go FileMode."""
    return bool(mode & _DIRECTORY)


def is_regular(mode: int) -> bool:
    """Of a Go FileMode: whether there are bytes that can be asked for."""
    return not mode & _KIND


def stat_packet(path: bytes, mode: int, size: int, mod_time: int, linkname: bytes = b"") -> bytes:
    """The packet of a file that belongs to root, encoded: what `encode(Packet(STAT, Stat(…)))` gives, many times as fast.

    mode: Go's.
    """
    stat = b"\x0a%b%b%b%b%b" % (varint(len(path)), path, _mode(mode), _size(size), _time(mod_time)) if path else b""
    if linkname or not path:
        stat = stat or b"%b%b%b" % (_mode(mode), _size(size), _time(mod_time))
        stat += b"\x3a%b%b" % (varint(len(linkname)), linkname) if linkname else b""
    return b"\x12%b%b" % (varint(len(stat)), stat)


# Fields of a stat; one that is 0 is not written. What a folder's files often have in common is written once.


@lru_cache(_MODES)
def _mode(mode: int) -> bytes:
    return b"\x10" + varint(mode) if mode else b""


@lru_cache(_SIZES)
def _size(size: int) -> bytes:
    return b"\x28" + varint(size) if size else b""


def _time(time: int) -> bytes:
    if time >> _LOW <= 0:
        return b"\x30" + varint(time) if time else b""
    low = bytes((time & 127 | 128, time >> 7 & 127 | 128, time >> 14 & 127 | 128, time >> 21 & 127 | 128, time >> 28 & 127 | 128))
    return b"\x30%b%b" % (low, _upper(time >> _LOW))


@lru_cache(_HOURS)
def _upper(time: int) -> bytes:
    """The upper bits of a time: for half a minute they are the same."""
    return varint(time)


def data_packet(number: int, data: bytes = b"") -> bytes:
    """A piece of a file, encoded; an empty one ends it."""
    head = b"\x08\x02\x18" + varint(number) if number else b"\x08\x02"
    return b"".join((head, b"\x22", varint(len(data)), data)) if data else head


def packet(data: bytes) -> Packet:
    """Raises MalformedError. STAT, REQ and DATA as they are mostly written are read several times as fast as any message."""
    found = None
    if data.startswith(_STAT_FIRST):
        found = _stat(data)
    elif data.startswith(_NUMBER_FIRST):
        found = _numbered(data)
    return decode(Packet, data) if found is None else found


def _stat(data: bytes) -> Packet | None:
    """A packet of nothing but a stat; None for one with extended attributes, or with anything else that is seldom there."""
    end = len(data)
    size, at = _number(data, 1)
    if at + size != end or not 0 < size < _LARGEST:
        return None
    found: dict[str, int | str] = {}
    while at < end:
        name = _FIELDS.get(data[at])
        if name is None:
            return None
        is_text = data[at] & 7
        number, at = _number(data, at + 1)
        if is_text:
            found[name] = data[at : at + number].decode("utf-8", "surrogateescape")
            at += number
        else:
            found[name] = number
    return Packet(STAT, Stat(**found)) if at == end else None  # type: ignore[arg-type]


def _numbered(data: bytes) -> Packet | None:
    """A packet with a number, and data or none; None for any other."""
    number, at = _number(data, 3)
    if at == len(data):
        return Packet(data[1], None, number)
    if data[at : at + 1] != _DATA_NEXT:
        return None
    size, at = _number(data, at + 1)
    return Packet(data[1], None, number, data[at:]) if at + size == len(data) else None


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A varint below 2**63, and where it ends; an end that is none for any other."""
    value = shift = 0
    for byte in data[at : at + _LONGEST]:
        at += 1
        if byte < 128:
            return value | byte << shift, at
        value |= (byte & 127) << shift
        shift += 7
    return 0, 1 << 63


STATS_END: Final = encode(Packet(STAT))  # the empty STAT; proto3 has no bytes for it
FINISHED: Final = encode(Packet(FIN))
