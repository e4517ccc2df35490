"""File sync, the protocol by which a build gets a folder's files: `Packet`s of tonistiigi/fsutil (types/wire.proto, types/stat.proto).

The sender tells every file (STAT), depth first, the names of each folder in the order of their bytes, then an empty STAT. The receiver
asks for those that it has not (REQ, by the number of the STAT), in any order and at any time; each comes as DATA, an empty DATA at its
end. When the receiver has all it says FIN, and so does the sender. ERR ends it, its data says why.

Modes are Go's (os.FileMode), times are nanoseconds since the epoch.
"""

from __future__ import annotations

import stat as stats
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from dockerlab.wire.protobuf import binary, decode, encode, integer, mapping, message, string, varint

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
        kinds = ((_DIRECTORY, "directory"), (_SYMLINK, "symlink"), (_FIFO, "fifo"), (_SOCKET, "socket"))
        found = next((name for bit, name in kinds if self.mode & bit), "")
        return found or ("device" if self.mode & _KIND else "file")

    @property
    def permissions(self) -> int:
        """Unix's twelve bits."""
        return self.mode & 0o777 | sum(unix for unix, go in _SPECIAL if self.mode & go)


@dataclass(frozen=True, slots=True)
class Packet:
    """type: STAT, REQ, DATA, FIN or ERR. id: of a REQ and of DATA, the number of the STAT."""

    type: int = integer(1)
    stat: Stat | None = message(2, Stat)
    id: int = integer(3)
    data: bytes = binary(4)


@lru_cache(64)
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
    """The packet of a file that belongs to root, encoded: what `encode(Packet(STAT, Stat(…)))` gives, several times as fast.

    mode: Go's.
    """
    stat = b"".join(
        (
            b"\x0a%b%b" % (varint(len(path)), path) if path else b"",
            b"\x10%b" % varint(mode) if mode else b"",
            b"\x28%b" % varint(size) if size else b"",
            b"\x30%b" % varint(mod_time) if mod_time else b"",
            b"\x3a%b%b" % (varint(len(linkname)), linkname) if linkname else b"",
        )
    )
    return b"\x12%b%b" % (varint(len(stat)), stat)


def data_packet(number: int, data: bytes = b"") -> bytes:
    """A piece of a file, encoded; an empty one ends it."""
    head = b"\x08\x02\x18" + varint(number) if number else b"\x08\x02"
    return b"".join((head, b"\x22", varint(len(data)), data)) if data else head


def packet(data: bytes) -> Packet:
    """Raises MalformedError."""
    return decode(Packet, data)


STATS_END: Final = encode(Packet(STAT))  # the empty STAT; proto3 has no bytes for it
FINISHED: Final = encode(Packet(FIN))
