"""A tar that is read as a file tree, without being unpacked: a `View` of it, and which byte of it is whose.

    archive = Archive(spooled(chunks, tmp))         a temporary file without a name, uncompressed
    archive.lookup("src/app.py"), archive.open(…)   as of any view

The tree is the one that unpacking it would give: a later entry replaces an earlier one, a directory goes on to hold what it has, an entry
below a symbolic link lies where that leads to, in the archive. Hard links are names of one file. No name of an archive is ever one of
the host. How much memory an index may take is limited; the bytes stay on the disk.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Final, cast

from dockerlab.engine.rootfs.reading import resolve
from dockerlab.engine.store.disk import Budget, full_disk_is_an_error
from dockerlab.errors import EngineError
from dockerlab.wire.streams import CHUNK, decompressed
from dockerlab.wire.tar import Entry, entries

# Roughly the bytes of memory of an index, and of one file in it.
MOST_MEMORY: Final = 1 << 29
MEMORY_OF_ONE: Final = 600
_BLOCK: Final = 512
LONGEST_PATH: Final = 4096
LONGEST_NAME: Final = 255
KEPT: Final = ("user.", "security.capability")


@dataclass(slots=True)
class _Node:
    """entry: with its path. offset: of its bytes. number: the same for names of one file. names: of what is in a directory."""

    entry: Entry
    offset: int = 0
    number: int = 0
    is_implied: bool = False
    names: set[str] = field(default_factory=set)


class Archive:
    """file: a tar, uncompressed, which is closed with the archive. owners: whether files belong to whom the archive says, not to root.

    Raises EngineError for what is broken or not safe. Once it is made, several threads may read it.
    """

    def __init__(self, file: IO[bytes], *, owners: bool = False) -> None:
        self._file, self._owners = file, owners
        self._nodes: dict[str, _Node] = {"": _Node(Entry("", "directory", 0o755), is_implied=True)}
        self._memory = 0
        self._digests: dict[int, bytes] = {}
        try:
            self._index()
        except BaseException:
            file.close()
            raise

    def close(self) -> None:
        """The file goes with it."""
        self._file.close()

    # As a view

    def lookup(self, path: str) -> Entry | None:
        """See `View`."""
        node = self._nodes.get(path)
        return node.entry if node else None

    def names(self, path: str) -> list[str]:
        """See `View`."""
        node = self._nodes.get(path)
        return sorted(node.names) if node else []

    def open(self, path: str) -> IO[bytes]:
        """See `View`."""
        node = self._nodes.get(path)
        if node is None:
            raise FileNotFoundError(path)
        if node.entry.kind != "file":
            raise IsADirectoryError(path)
        return cast("IO[bytes]", Window(self._file.fileno(), node.offset, node.entry.size, node.entry.sparse))

    def identity(self, path: str) -> object:
        """See `View`."""
        return self._nodes[path].number if path in self._nodes else path

    def content(self, path: str) -> bytes:
        """The digest of a file's bytes, which is found once."""
        node = self._nodes[path]
        found = self._digests.get(node.number)
        if found is None:
            found = self._digests[node.number] = self._hashed(node)
        return found

    def is_implied(self, path: str) -> bool:
        """Whether a directory is there only because of what is in it."""
        node = self._nodes.get(path)
        return node is not None and node.is_implied

    def remove(self, path: str) -> None:
        """As if it had not been there."""
        node = self._nodes.pop(path, None)
        if node is None:
            return
        parent, _, name = path.rpartition("/")
        self._nodes[parent].names.discard(name)
        waiting = [f"{path}/{name}" for name in node.names]
        while waiting:
            inner = waiting.pop()
            waiting += [f"{inner}/{name}" for name in self._nodes.pop(inner).names]

    # The index

    def _index(self) -> None:
        self._file.seek(0)
        for number, (entry, _) in enumerate(entries(self._file), start=1):
            self._add(entry, number)
        self._date()

    def _add(self, entry: Entry, number: int) -> None:
        path = self._checked(entry.path)
        node = self._nodes[path] if not path else self._nodes.get(path)
        if not path and entry.kind != "directory":
            return
        kept = {name: value for name, value in entry.xattrs.items() if name.startswith(KEPT)} if entry.xattrs else entry.xattrs
        uid, gid = (entry.uid, entry.gid) if self._owners else (0, 0)
        mode = 0o777 if entry.kind == "symlink" else entry.mode
        if (path, kept, uid, gid, mode) != (entry.path, entry.xattrs, entry.uid, entry.gid, entry.mode):
            entry = replace(entry, path=path, xattrs=kept, uid=uid, gid=gid, mode=mode)
        if node is not None and node.entry.kind == "directory" == entry.kind:
            self._weigh(entry)
            node.entry, node.is_implied = entry, False
            return
        new = (
            self._linked(entry) if entry.kind == "link" else _Node(entry, self._file.tell() if entry.kind == "file" else 0, number)
        )
        if new is node:
            return
        if node is not None:
            self.remove(path)
        self._put(path, new)

    def _checked(self, path: str) -> str:
        """Where an entry lies, with the directories that lead to it. Raises EngineError for a name no file can have."""
        parent, _, name = path.rpartition("/")
        if len(name) > LONGEST_NAME or len(path) > LONGEST_PATH:
            raise EngineError(f"/{path[:200]}…: file name too long")
        above = self._nodes.get(parent)
        if above is not None and above.entry.kind == "directory":
            return path
        real = resolve(self, parent)
        done = ""
        for part in real.split("/") if real else ():
            if len(part) > LONGEST_NAME:
                raise EngineError(f"/{path[:200]}…: file name too long")
            done = f"{done}/{part}" if done else part
            node = self._nodes.get(done)
            if node is None:
                self._put(done, _Node(Entry(done, "directory", 0o755), is_implied=True))
            elif node.entry.kind != "directory":
                raise EngineError(
                    f"mkdir /{done}: not a directory", hint=f"The archive has /{path}, and a file where its folder is."
                )
        return f"{real}/{name}" if real else name

    def _put(self, path: str, node: _Node) -> None:
        self._weigh(node.entry)
        parent, _, name = path.rpartition("/")
        self._nodes[parent].names.add(name)
        self._nodes[path] = node

    def _weigh(self, entry: Entry) -> None:
        """Raises EngineError where it is too much."""
        if len(entry.target) >= LONGEST_PATH:
            raise EngineError(f"/{entry.path[:200]}: file name too long", hint="No symbolic link can lead to so long a path.")
        self._memory += MEMORY_OF_ONE + len(entry.path) + len(entry.target) + 200 * len(entry.sparse or ())
        self._memory += sum(map(len, entry.xattrs.values()))
        if self._memory > MOST_MEMORY:
            raise EngineError("the archive has too many files", hint="What a build does not need can be named in .dockerignore.")

    def _linked(self, entry: Entry) -> _Node:
        parent, _, name = entry.target.rpartition("/")
        parent = resolve(self, parent)
        target = self._nodes.get(f"{parent}/{name}" if parent else name)
        if target is None or target.entry.kind == "directory":
            raise EngineError(f"link /{entry.target} /{entry.path}: no such file or directory", hint="The archive is broken.")
        if target.entry.path == entry.path:
            return target
        return _Node(replace(target.entry, path=entry.path), target.offset, target.number)

    def _date(self) -> None:
        """Directories without a time of their own are as old as the newest that is in them."""
        if not any(node.is_implied for node in self._nodes.values()):
            return
        newest: dict[str, int] = {}
        for path in sorted(self._nodes, reverse=True):
            node = self._nodes[path]
            time = newest.get(path, 0) if node.is_implied else node.entry.mtime
            if node.is_implied and time != node.entry.mtime:
                node.entry = replace(node.entry, mtime=time)
            parent = path.rpartition("/")[0]
            if path and time > newest.get(parent, 0):
                newest[parent] = time

    def _hashed(self, node: _Node) -> bytes:
        stored = node.entry.size if node.entry.sparse is None else sum(length for _, length in node.entry.sparse)
        hash_ = hashlib.sha256(b"" if node.entry.sparse is None else repr((node.entry.size, node.entry.sparse)).encode())
        at = node.offset
        while stored:
            piece = os.pread(self._file.fileno(), min(stored, CHUNK), at)
            if not piece:
                raise EngineError("unexpected EOF", hint="The archive is not whole.")
            hash_.update(piece)
            at += len(piece)
            stored -= len(piece)
        return hash_.digest()


class Window(io.RawIOBase):
    """A piece of a file as a file, holes as zeros. It has a place of its own, and leaves that of the whole alone."""

    def __init__(self, fd: int, offset: int, size: int, sparse: tuple[tuple[int, int], ...] | None) -> None:
        super().__init__()
        self._fd, self._offset, self._size, self._at = fd, offset, size, 0
        self._sparse = sparse
        self._starts = [start for start, _ in sparse or ()]
        self._stored: list[int] = []  # where each piece begins in the archive
        for _, length in sparse or ():
            self._stored.append(offset)
            offset += length

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(CHUNK), b""))
        wanted = min(size, self._size - self._at)
        if wanted <= 0:
            return b""
        found = os.pread(self._fd, wanted, self._offset + self._at) if self._sparse is None else self._piece(wanted)
        if not found:
            raise EngineError("unexpected EOF", hint="The archive is not whole.")
        self._at += len(found)
        return found

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def _piece(self, wanted: int) -> bytes:
        assert self._sparse is not None
        number = bisect_right(self._starts, self._at) - 1
        if number >= 0:
            start, length = self._sparse[number]
            if self._at < start + length:
                skipped = self._at - start
                return os.pread(self._fd, min(wanted, length - skipped), self._stored[number] + skipped)
        following = self._starts[number + 1] if number + 1 < len(self._starts) else self._size
        return bytes(min(wanted, following - self._at, CHUNK))


def spooled(source: Iterable[bytes], tmp: Path) -> IO[bytes]:
    """Chunks, decompressed if they are compressed, as a temporary file without a name. Raises EngineError where they do not fit."""
    budget = Budget(tmp)
    file = tempfile.TemporaryFile(dir=tmp)  # noqa: SIM115 - it is the caller's
    try:
        with full_disk_is_an_error():
            for chunk in decompressed(source):
                budget.spend(len(chunk))
                file.write(chunk)
            file.flush()
    except BaseException:
        with full_disk_is_an_error():
            file.close()
        raise
    return file


def is_archive(start: Iterable[bytes]) -> bool:
    """Whether chunks begin as a tar does, or as a compressed one; also as one that is not safe."""
    head = b""
    try:
        for chunk in decompressed(start):
            head += chunk
            if len(head) >= _BLOCK:
                break
    except EngineError:
        return False
    block = head[:_BLOCK]
    written = block[148:156].partition(b"\0")[0].strip()
    if len(block) < _BLOCK or not written or written.strip(b"01234567"):
        return False
    fields = block[:148] + b"        " + block[156:]
    return int(written, 8) in (sum(fields), sum(byte - 256 if byte > 127 else byte for byte in fields))
