"""The log of a container, as Docker's `json-file` driver writes it: one JSON object a line, {"log", "stream", "time"}.

A line of output becomes one object, and one that is longer than 16 KB several, of which only the last ends in a newline; what comes
without a newline waits for one, or for the end. With a size limit the file is rotated: log.jsonl, log.jsonl.1, …
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

_LONGEST = 16 * 1024
_PAUSE = 1.0  # seconds before a full disk is tried again
_NAMES = {1: "stdout", 2: "stderr"}


def timestamp(nanoseconds: int) -> str:
    """RFC 3339 with nanoseconds, in UTC."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09d}Z"


class Log:
    """Writes one container's log. limit: (bytes a file, files), (0, …) for one file without limit.

    What cannot be written (a full disk) is lost, and the container goes on; `complain` is told when that begins and when it is over.
    """

    def __init__(self, path: Path, limit: tuple[int, int] = (0, 1), complain: Callable[[str], object] = lambda text: None) -> None:
        self._path, self._limit, self._complain = path, limit, complain
        self._partial = {1: b"", 2: b""}
        self._fd = _opened(path)
        self._size = os.fstat(self._fd).st_size
        self._lost = 0
        self._again = 0.0  # when to try again

    def write(self, stream: int, data: bytes) -> bool:
        """Takes output of a stream (1, 2) as it comes. Whether a line was written."""
        pieces = (self._partial[stream] + data).split(b"\n")
        rest = pieces.pop()
        lines = [cut for piece in pieces for cut in _cut(piece + b"\n")]
        while len(rest) >= _LONGEST:
            lines.append(rest[:_LONGEST])
            rest = rest[_LONGEST:]
        self._partial[stream] = rest
        return self._append(stream, lines)

    def close(self) -> bool:
        """Writes what still waits for its newline. Whether there was any."""
        wrote = [self._append(stream, [rest]) for stream, rest in self._partial.items() if rest]
        self._partial = {1: b"", 2: b""}
        self._found()
        os.close(self._fd)
        return any(wrote)

    def _append(self, stream: int, lines: list[bytes]) -> bool:
        if not lines:
            return False
        if self._lost and time.monotonic() < self._again:
            self._lost += len(lines)
            return False
        now, name = timestamp(time.time_ns()), _NAMES[stream]
        tail = f',"stream":"{name}","time":"{now}"}}\n'.encode()
        entries = [b'{"log":' + json.dumps(line.decode("utf-8", "replace")).encode() + tail for line in lines]
        try:
            for portion in self._portions(entries):
                if self._limit[0] and self._size >= self._limit[0]:
                    self._rotate()
                self._put(portion)
        except OSError as error:
            self._lose(len(lines), error)
            return False
        self._found()
        return True

    def _portions(self, entries: list[bytes]) -> list[bytes]:
        """What goes into one file each."""
        if not self._limit[0]:
            return [b"".join(entries)]
        portions: list[list[bytes]] = [[]]
        size = self._size
        for entry in entries:
            if size >= self._limit[0]:
                portions.append([])
                size = 0
            portions[-1].append(entry)
            size += len(entry)
        return [b"".join(portion) for portion in portions]

    def _put(self, data: bytes) -> None:
        """Writes all of it, or nothing. Raises OSError."""
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        self._size += len(data)

    def _lose(self, lines: int, error: OSError) -> None:
        if not self._lost:
            self._complain(f"what it prints is not logged: {error.strerror}")
        self._lost += lines
        # Not at once: what becomes free meanwhile is for those who mend it.
        self._again = time.monotonic() + _PAUSE

    def _found(self) -> None:
        if self._lost:
            self._complain(f"{self._lost} lines were not logged")
            self._lost = 0

    def _rotate(self) -> None:
        beside = self._path.with_name(f"{self._path.name}.new")
        fresh = _opened(beside)
        for number in range(self._limit[1] - 1, 0, -1):
            older = self._path if number == 1 else self._path.with_name(f"{self._path.name}.{number - 1}")
            if older.exists():
                older.replace(self._path.with_name(f"{self._path.name}.{number}"))
        beside.replace(self._path)
        os.close(self._fd)
        self._fd, self._size = fresh, 0


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _cut(line: bytes) -> list[bytes]:
    return [line[start : start + _LONGEST] for start in range(0, len(line), _LONGEST)] if len(line) > _LONGEST else [line]
