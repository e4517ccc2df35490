"""What a stage says while it is built, kept until it is its turn to be told: written by one thread, read by another, in order.

    tape.write(b'{"stream":"…"}\\r\\n')     waits while too much of it is unread
    with tape.hurrying(): …                 but not here: for whoever holds what another stage waits for, which may be the one that is read
    for piece in tape.read(): …             until it is closed, and all is read

Stages are built side by side and told one after the other. What is unread is in memory while it is little, else in a file without a
name.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_MEMORY = 1 << 18
_AHEAD = 32 << 20
_PIECE = 1 << 16


class Tape:
    """folder: on whose disk the file would be."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(folder))  # noqa: SIM115 - closed by `read`, or with us
        self._changed = threading.Condition()
        self._begin = self._end = 0
        self._is_closed = self._is_dropped = False
        self._hurrying = 0

    def write(self, data: bytes) -> None:
        """Adds to its end. What is written after the reader left is lost. Raises OSError for a full disk."""
        with self._changed:
            self._changed.wait_for(lambda: self._end - self._begin < _AHEAD or self._is_dropped or self._hurrying)
            if not self._is_dropped:
                self._file.seek(self._end)
                self._file.write(data)
                self._end += len(data)
                self._changed.notify_all()

    @contextmanager
    def hurrying(self) -> Iterator[None]:
        """Within, writing waits for nobody: the disk has what is unread. For the one thread that writes; may be nested."""
        self._hurrying += 1
        try:
            yield
        finally:
            self._hurrying -= 1

    def close(self) -> None:
        """No more will be written; twice is fine."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def drop(self) -> None:
        """No more will be read: whoever writes does not wait."""
        with self._changed:
            if not self._is_dropped:
                self._is_dropped = True
                self._file.close()
            self._changed.notify_all()

    def read(self) -> Iterator[bytes]:
        """What was written, in pieces as it comes, until the end."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._end > self._begin or self._is_closed or self._is_dropped)
                if self._is_dropped or self._end == self._begin:
                    return
                self._file.seek(self._begin)
                piece = self._file.read(_PIECE)
                self._begin += len(piece)
                if self._begin == self._end:
                    self._file.seek(0)
                    self._file.truncate()
                    self._begin = self._end = 0
                self._changed.notify_all()
            yield piece
