"""`RUN --mount=type=cache`: directories that outlive builds, `<root>/caches/<name>` each.

    with caches.using(id, sharing, fill, cancellation) as directory: …
        shared: together with others; locked: one after the other; private: another one where it is in use
    caches.prune(names)        removes those that nobody uses

A new one is filled before anybody sees it. Who uses which is known to the engine alone: nobody else has its home open.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal

from dockerlab.engine.building.cancellation import Cancellation
from dockerlab.engine.home import BUILD_FILES, Home
from dockerlab.engine.rootfs.removal import remove

Sharing = Literal["shared", "private", "locked"]
_HALF_MADE = f"{BUILD_FILES}cache-"


@dataclass(frozen=True)
class Cache:
    """size: bytes of files. changed: when something was last put into its topmost folder, nanoseconds."""

    name: str
    size: int
    changed: int
    is_used: bool


class Caches:
    """Thread-safe. home: where they are."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._root = home.root / "caches"
        self._changed = threading.Condition()
        self._users: dict[str, int] = {}
        self._locked: set[str] = set()

    @contextmanager
    def using(
        self, identifier: str, sharing: Sharing, fill: Callable[[Path], object], cancellation: Cancellation
    ) -> Iterator[Path]:
        """The directory of a cache. fill: puts into a new, empty one what it begins with. Raises Cancelled, EngineError, OSError."""
        wanted = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:24]
        with cancellation.calling(self._wake):
            name = self._take(wanted, sharing, cancellation)
        try:
            yield self._made(name, fill)
        finally:
            with self._changed:
                self._users[name] -= 1
                if not self._users[name]:
                    del self._users[name]
                self._locked.discard(name)
                self._changed.notify_all()

    def all(self) -> list[Cache]:
        """Those that there are."""
        with self._changed:
            used = {*self._users}
        found = []
        for path in self._all():
            with suppress(FileNotFoundError):  # it has been removed
                found.append(Cache(path.name, _size(path), path.stat().st_mtime_ns, path.name in used))
        return found

    def prune(self, names: Collection[str]) -> tuple[list[str], int]:
        """Removes those of the names that nobody uses; their names, and the bytes that became free."""
        removed, freed = [], 0
        for path in self._all():
            if path.name not in names:
                continue
            with self._changed:
                if path.name in self._users or not path.exists():  # others may prune, too
                    continue
                grave = Path(tempfile.mkdtemp(prefix=_HALF_MADE, dir=self._home.tmp))
                path.rename(grave / path.name)
            freed += _size(grave)
            removed.append(path.name)
            remove(grave)
        return removed, freed

    def _all(self) -> list[Path]:
        return sorted(self._root.iterdir()) if self._root.exists() else []

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _take(self, wanted: str, sharing: Sharing, cancellation: Cancellation) -> str:
        with self._changed:
            if sharing == "private":
                name = next(name for number in count() if (name := f"{wanted}.{number}" if number else wanted) not in self._users)
            else:
                name = wanted

                def is_free() -> bool:
                    return name not in self._locked and (sharing == "shared" or name not in self._users)

                self._changed.wait_for(lambda: cancellation.is_asked or is_free())
                cancellation.check()
            self._users[name] = self._users.get(name, 0) + 1
            if sharing != "shared":
                self._locked.add(name)
            return name

    def _made(self, name: str, fill: Callable[[Path], object]) -> Path:
        path = self._root / name
        if path.exists():
            return path
        self._root.mkdir(mode=0o700, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=_HALF_MADE, dir=self._home.tmp))
        try:
            made = scratch / name
            made.mkdir(mode=0o755)
            fill(made)
            with self._changed:
                if not path.exists():  # two who share it begin at one moment
                    made.rename(path)
        finally:
            remove(scratch)
        return path


def _size(folder: Path) -> int:
    """Bytes of files. What is removed meanwhile, or may not be read, does not count; a tree may be deeper than Python's stack."""
    size, waiting = 0, [os.fsencode(folder)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    with suppress(OSError):
                        size += entry.stat(follow_symlinks=False).st_size
    return size
