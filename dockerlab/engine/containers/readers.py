"""Who reads a container's files: `docker cp`, export, diff, commit. What is removed meanwhile stays until they have read it, as in Docker.

with container.readers.reading(): …                 files are where they were, to the end of the block
readers.afterwards(remove)                          False where nobody reads; else `remove` is called after the last
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Readers:
    """Of one container. Thread-safe; `leave` may come while this thread is in here, from whoever collects garbage."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._count = 0
        self._afterwards: Callable[[], object] | None = None

    def enter(self) -> None:
        """One more. To be called while the container cannot begin to be removed, with its lock."""
        with self._lock:
            self._count += 1

    def leave(self) -> None:
        """One less. The last one does what is to be done afterwards, which must not wait."""
        with self._lock:
            self._count -= 1
            work = None if self._count else self._afterwards
            if work:
                self._afterwards = None
        if work:
            work()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """As long as one reads."""
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def afterwards(self, work: Callable[[], object]) -> bool:
        """Has `work` called when nobody reads any more, if somebody does."""
        with self._lock:
            if self._count:
                self._afterwards = work
            return self._count > 0
