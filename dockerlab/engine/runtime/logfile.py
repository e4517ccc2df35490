"""The log of a container, as Docker's `json-file` driver writes it: one JSON object a line, {"log", "stream", "time"}.

A line of output becomes one object, and one that is longer than 16 KB several, of which only the last ends in a newline; what comes
without a newline waits for one, or for the end. With a size limit the file is rotated: log.jsonl, log.jsonl.1, …
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

_LONGEST = 16 * 1024
_NAMES = {1: "stdout", 2: "stderr"}


def timestamp(nanoseconds: int) -> str:
    """RFC 3339 with nanoseconds, in UTC."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09d}Z"


class Log:
    """Writes one container's log. limit: (bytes a file, files), (0, …) for one file without limit."""

    def __init__(self, path: Path, limit: tuple[int, int] = (0, 1)) -> None:
        self._path, self._limit = path, limit
        self._partial = {1: b"", 2: b""}
        self._fd = self._open()
        self._size = os.fstat(self._fd).st_size
        # What cannot be written (a full disk) is counted, not fatal: the container goes on.
        self.lost = 0

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
        os.close(self._fd)
        return any(wrote)

    def _append(self, stream: int, lines: list[bytes]) -> bool:
        if not lines:
            return False
        now, name = timestamp(time.time_ns()), _NAMES[stream]
        tail = f',"stream":"{name}","time":"{now}"}}\n'.encode()
        data = b"".join(b'{"log":' + json.dumps(line.decode("utf-8", "replace")).encode() + tail for line in lines)
        try:
            os.write(self._fd, data)
        except OSError:
            self.lost += len(lines)
            return False
        self._size += len(data)
        if self._limit[0] and self._size >= self._limit[0]:
            self._rotate()
        return True

    def _rotate(self) -> None:
        os.close(self._fd)
        for number in range(self._limit[1] - 1, 0, -1):
            older = self._path if number == 1 else self._path.with_name(f"{self._path.name}.{number - 1}")
            if older.exists():
                older.replace(self._path.with_name(f"{self._path.name}.{number}"))
        if self._limit[1] <= 1:
            self._path.unlink(missing_ok=True)
        self._fd, self._size = self._open(), 0

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _cut(line: bytes) -> list[bytes]:
    return [line[start : start + _LONGEST] for start in range(0, len(line), _LONGEST)] if len(line) > _LONGEST else [line]
