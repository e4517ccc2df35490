"""A lock that several threads and several processes share, kept in a file: flock(2), which a crash releases."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Lock:
    """Each holder opens the file anew, so that threads of one process exclude each other too. Not to be taken twice by one thread."""

    path: Path

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Alone."""
        with self._held(fcntl.LOCK_EX):
            yield

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Together with others who share it."""
        with self._held(fcntl.LOCK_SH):
            yield

    @contextmanager
    def attempt(self) -> Iterator[bool]:
        """Alone, if nobody holds it now; whether it is held."""
        try:
            with self._held(fcntl.LOCK_EX | fcntl.LOCK_NB):
                yield True
        except BlockingIOError:
            yield False

    @contextmanager
    def _held(self, how: int) -> Iterator[None]:
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, how)
            yield
        finally:
            os.close(fd)
