"""What came by file sync, kept for the next time: files of which only the stat need be told again.

    contexts = Contexts(home)
    draft = contexts.begin("a client's key")      what is known of a folder: draft.known[path] → its stat as it was told, and its bytes
    file = draft.add(); file.write(…)             a new file's bytes; file.end() → where they are
    draft.commit(…)                               from now on this is what is known

`<root>/contexts/<name>/` has an index, which is replaced at once, and packs: the new files of one sync each, one after the other. A pack is
not changed once it is there, and whoever needs it has it open: it may be removed at any time. So builds of one key at once, a removal
meanwhile and a kill cost at most that files travel again. What is least recently used goes first when all together is too big.

Nothing waits for the disk. A kill loses nothing of what was written; where the power fails, an index may be there and its packs be short,
or zeros. So an index says in which boot of the machine it was written, and what comes from another one counts only once its bytes have
their digests.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dockerlab.engine.home import BUILD_FILES, Home, read_json, write_json
from dockerlab.engine.rootfs.removal import remove
from dockerlab.engine.store.disk import Budget, full_disk_is_an_error
from dockerlab.errors import EngineError

_HALF_MADE: Final = f"{BUILD_FILES}context-"
_INDEX: Final = "index.json"
_VERSION: Final = 1
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_MOST: Final = 10 << 30  # bytes of all packs together
_MOST_PACKS: Final = 12  # of one key; then they become one
_PIECE: Final = 1 << 20
_HOLE: Final = 1 << 16  # zeros in pieces of at least so many bytes are not written


@dataclass(frozen=True, slots=True)
class Bytes:
    """Where a file's bytes are. pack: its name. digest: sha256."""

    pack: str
    offset: int
    size: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Known:
    """told: what its stat said, all that a change would change."""

    told: tuple[Any, ...]
    bytes: Bytes


@dataclass(frozen=True)
class Context:
    """What is kept of a folder. size: bytes on the disk. used: nanoseconds."""

    name: str
    size: int
    used: int
    is_used: bool


class Contexts:
    """Thread-safe. most: bytes of all."""

    def __init__(self, home: Home, most: int = _MOST) -> None:
        self._home, self._most = home, most
        self.root = home.root / "contexts"
        self._lock = threading.Lock()
        self._users: dict[str, int] = {}

    @contextmanager
    def using(self, key: str, *, is_kept: bool = True) -> Iterator[Draft]:
        """What is known of a folder, and what is to be. Its packs are open within the block. Raises OSError, EngineError.

        is_kept: whether it is for the next time, too.
        """
        name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:24]
        with self._lock:
            self._users[name] = self._users.get(name, 0) + 1
        draft = Draft(self, self._home, self.root / name, is_kept)
        try:
            yield draft
        finally:
            draft.close()
            with self._lock:
                self._users[name] -= 1
                if not self._users[name]:
                    del self._users[name]

    def all(self) -> list[Context]:
        """Those that there are."""
        with self._lock:
            used = {*self._users}
        found = []
        for path in self._all():
            with suppress(OSError):  # it has been removed
                time = (path / _INDEX).stat().st_mtime_ns
                found.append(Context(path.name, _size(path), time, path.name in used))
        return found

    def prune(self, names: Collection[str]) -> tuple[list[str], int]:
        """Removes those of the names that no build is at; their names, and the bytes that became free."""
        with self._lock:
            used = {*self._users}
        removed, freed = [], 0
        for path in self._all():
            if path.name in names and path.name not in used:
                size = _size(path)
                if self._remove(path):
                    removed.append(path.name)
                    freed += size
        return removed, freed

    def replace(self, folder: Path, packs: Mapping[str, Path], index: Mapping[str, Any]) -> None:
        """Makes an index and new packs the ones that count, and removes the packs that no longer do."""
        with self._lock:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                for name, path in packs.items():
                    path.rename(folder / name)
                # Others may have replaced what this one began with.
                there = {path.name for path in folder.iterdir()}
                files = [one for one in index["files"] if one[-4] in there]
                write_json(folder / _INDEX, {**index, "files": files}, is_new=True)
            except OSError:  # a full disk: no pack is there that no index names
                for name in packs:
                    (folder / name).unlink(missing_ok=True)
                raise
            for name in there - {_INDEX} - {one[-4] for one in files}:
                (folder / name).unlink(missing_ok=True)
        self._evict(folder.name)

    def _evict(self, newest: str) -> None:
        """Removes what is used least recently, until it is not too much."""
        found = sorted(self.all(), key=lambda one: one.used)
        total = sum(one.size for one in found)
        for one in found:
            if total <= self._most:
                return
            if one.name != newest:
                self._remove(self.root / one.name)
                total -= one.size

    def _remove(self, path: Path) -> bool:
        grave = Path(tempfile.mkdtemp(prefix=_HALF_MADE, dir=self._home.tmp))
        try:
            with self._lock:
                path.rename(grave / path.name)
        except FileNotFoundError:  # others may remove it, too
            return False
        finally:
            remove(grave)
        return True

    def _all(self) -> list[Path]:
        return sorted(path for path in self.root.iterdir() if path.is_dir()) if self.root.is_dir() else []


@dataclass
class Draft:
    """known: by path. Not for several threads at once."""

    _contexts: Contexts
    _home: Home
    _folder: Path
    _is_kept: bool = True
    known: dict[str, Known] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._files: dict[str, int] = {}  # descriptors of packs
        self._scratch: Path | None = None
        self._new = os.urandom(8).hex()
        self._end = self._written = 0
        self._budget = Budget(self._home.tmp)
        self._boot = _boot()
        self._is_of_this_boot = True
        self._read()

    # What was there

    def _read(self) -> None:
        try:
            index = read_json(self._folder / _INDEX)
            files = index["files"] if index["version"] == _VERSION else []
            self._is_of_this_boot = bool(self._boot) and index.get("boot") == self._boot
        except (OSError, ValueError, KeyError, TypeError):
            return  # there is none, or none that can be read: then all travels
        for pack in {one[-4] for one in files}:
            with suppress(OSError):
                self._files[pack] = os.open(self._folder / pack, os.O_RDONLY | os.O_CLOEXEC)
        sizes = {pack: os.fstat(fd).st_size for pack, fd in self._files.items()}
        for path, *told, pack, offset, size, digest in files:
            place = Bytes(pack, offset, size, bytes.fromhex(digest))
            if offset + size <= sizes.get(pack, -1) and (self._is_of_this_boot or self._is_whole(place)):
                self.known[path] = Known(tuple(told), place)

    def _is_whole(self, place: Bytes) -> bool:
        """Whether the bytes are those that came."""
        hash_ = hashlib.sha256()
        at, end = place.offset, place.offset + place.size
        with suppress(OSError):
            while at < end and (piece := os.pread(self._files[place.pack], min(end - at, _PIECE), at)):
                hash_.update(piece)
                at += len(piece)
        return hash_.digest() == place.digest

    def close(self) -> None:
        """Lets go of the packs, and removes what was not committed."""
        for fd in self._files.values():
            os.close(fd)
        self._files = {}
        if self._scratch:
            remove(self._scratch)

    def descriptor(self, pack: str) -> int:
        """Of an open pack; it is this draft's."""
        return self._files[pack]

    # What is new

    def add(self, data: bytes) -> Bytes:
        """A whole file's bytes."""
        file = self.begin()
        file.write(data)
        return file.end()

    def begin(self) -> Writing:
        """A file whose bytes come in pieces; no other one is begun or added before its end."""
        if self._scratch is None:
            with full_disk_is_an_error():
                self._scratch = Path(tempfile.mkdtemp(prefix=_HALF_MADE, dir=self._home.tmp))
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                self._files[self._new] = os.open(self._scratch / self._new, flags, 0o600)
        return Writing(self, self._end)

    def write(self, data: bytes, offset: int) -> None:
        """To the new pack. Raises EngineError where the disk is full."""
        with full_disk_is_an_error():
            self._budget.spend(len(data))
            left = memoryview(data)
            while left:
                done = os.pwrite(self._files[self._new], left, offset)
                offset += done
                left = left[done:]
            self._written = offset

    def ended(self, offset: int) -> None:
        """The new pack ends here."""
        if offset > self._written:  # a hole at its end
            with full_disk_is_an_error():
                os.ftruncate(self._files[self._new], offset)
            self._written = offset
        self._end = offset

    def commit(self, files: Mapping[str, Known]) -> None:
        """What is known from now on. What cannot be kept is not: the build has it all the same."""
        if not self._is_kept:
            return
        with suppress(OSError, EngineError):
            if files == self.known and self._scratch is None and self._is_of_this_boot:
                os.utime(self._folder / _INDEX)
                return
            used = {known.bytes.pack for known in files.values()}
            if len(used) > _MOST_PACKS:
                files = self._merged(files)
                used = {known.bytes.pack for known in files.values()}
            packs = {self._new: self._scratch / self._new} if self._scratch and self._new in used else {}
            rows = [
                [path, *one.told, one.bytes.pack, one.bytes.offset, one.bytes.size, one.bytes.digest.hex()]
                for path, one in files.items()
            ]
            self._contexts.replace(self._folder, packs, {"version": _VERSION, "boot": self._boot, "files": rows})

    def _merged(self, files: Mapping[str, Known]) -> dict[str, Known]:
        """The files, those of small packs copied into the new one."""
        live: dict[str, int] = {}
        for one in files.values():
            live[one.bytes.pack] = live.get(one.bytes.pack, 0) + one.bytes.size
        small = {*sorted(live, key=lambda pack: live[pack])[: _MOST_PACKS - 2]} - {self._new}
        moved: dict[tuple[str, int], Bytes] = {}
        found = {}
        for path, one in files.items():
            place = one.bytes
            if place.pack in small:
                if (place.pack, place.offset) not in moved:
                    moved[place.pack, place.offset] = self._copied(place)
                place = moved[place.pack, place.offset]
            found[path] = Known(one.told, place)
        return found

    def _copied(self, place: Bytes) -> Bytes:
        self.begin()
        at, left = self._end, place.size
        while left and (piece := os.pread(self._files[place.pack], min(left, _PIECE), place.offset + place.size - left)):
            self.write(piece, at + place.size - left)
            left -= len(piece)
        self.ended(at + place.size)
        return Bytes(self._new, at, place.size, place.digest)


class Writing:
    """A new file of a pack."""

    def __init__(self, draft: Draft, start: int) -> None:
        self._draft, self._start, self.size = draft, start, 0
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """The next piece."""
        self._hash.update(data)
        if len(data) < _HOLE or data.count(0) != len(data):
            self._draft.write(data, self._start + self.size)
        self.size += len(data)

    def end(self) -> Bytes:
        """All has come."""
        self._draft.ended(self._start + self.size)
        return Bytes(self._draft._new, self._start, self.size, self._hash.digest())


def _boot() -> str:
    """Which start of the machine this is; "" where that is not told."""
    with suppress(OSError):
        return _BOOT.read_text(encoding="ascii").strip()
    return ""


def _size(folder: Path) -> int:
    size = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                size += entry.stat(follow_symlinks=False).st_blocks * 512
    return size
