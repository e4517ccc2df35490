"""Tar archives for tests: as Python writes them and as we do, whole, byte by byte, with headers of any content."""

from __future__ import annotations

import io
import tarfile
from typing import Any

from dockerlab.wire.tar import Entry, Writer


class Trickle(io.RawIOBase):
    """A stream that cannot seek and gives at most a few bytes at a time, as a socket does."""

    def __init__(self, data: bytes, step: int = 100) -> None:
        self._data, self._step, self._at = data, step, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        chunk = self._data[self._at : self._at + min(self._step, len(view))]
        view[: len(chunk)] = chunk
        self._at += len(chunk)
        return len(chunk)


def written(*items: tuple[Entry, bytes]) -> bytes:
    out = io.BytesIO()
    writer = Writer(out)
    for entry, data in items:
        writer.add(entry, io.BytesIO(data))
    writer.close()
    return out.getvalue()


def made(*infos: tarfile.TarInfo, format: int = tarfile.PAX_FORMAT) -> bytes:
    """An archive as Python writes it, with names as they are."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for info in infos:
            tar.addfile(info, io.BytesIO(b"x" * info.size))
    return out.getvalue()


def info(name: str, **fields: object) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(found, key, value)
    return found


LONG = "d" * 90 + "/" + "e" * 90 + "/" + "f" * 90


ENTRIES = [
    Entry("a", size=3, mtime=10**9),
    Entry("dir", "directory", 0o755, 33, 33, mtime=1_500_000_000_123_456_789),
    Entry("dir/ü", size=0, uid=3_000_000, gid=4_000_000, xattrs={"user.note": b"\0\n=x", "security.capability": b"\1"}),
    Entry(LONG, "symlink", 0o777, target="../" * 60 + "etc/passwd"),
    Entry("hard", "link", target="a"),
    Entry("null", "char", 0o666, device=(1, 3)),
    Entry("disk", "block", 0o660, device=(259, 70000)),
    Entry("pipe", "fifo", 0o600, mtime=-1_500_000_000),
    Entry("caf\udce9", size=1),
    Entry("", "directory", 0o1777),
    Entry("holes", size=1 << 20, sparse=((4096, 2), (1 << 19, 4))),
    Entry("only-a-hole", size=1 << 34, sparse=()),
]


def with_checksum(block: bytes) -> bytes:
    blank = block[:148] + b"        " + block[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]
