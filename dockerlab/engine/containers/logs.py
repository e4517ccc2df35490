"""Reading what a container printed: `docker logs`, from the file that its monitor writes (`runtime.logfile`).

A reader that follows is told by the monitor when the log has grown, and reads to the end once the monitor has let go of it. Rotated files
are read from the oldest on; a file that is rotated while it is read is read to its end first.
"""

from __future__ import annotations

import json
import os
import select
import socket
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dockerlab.engine import timestamps
from dockerlab.wire.multiplex import STDERR, STDOUT

NAME = "log.jsonl"
_BLOCK = 1 << 16
_STREAMS = {"stdout": STDOUT, "stderr": STDERR}
_NONE_YET = b""  # in place of a line: the next one is waited for
_WORKABLE = (ValueError, KeyError, TypeError)  # what a line that a crash cut raises


@dataclass(frozen=True)
class Options:
    """tail: so many of the last lines, None for all. since, until: nanoseconds since 1970. details: put before each line."""

    stdout: bool = True
    stderr: bool = True
    tail: int | None = None
    since: int | None = None
    until: int | None = None
    timestamps: bool = False
    details: str = ""


class Reader:
    """Iterate over it for (stream, bytes), or over its `batches`.

    watch: a monitor's connection to follow the log by; it belongs to the reader then.
    """

    def __init__(self, directory: Path, options: Options, watch: socket.socket | None = None) -> None:
        self._path = directory / NAME
        self._options = options
        self._watch = watch
        self._cancelled = False

    def cancel(self) -> None:
        """Ends the iteration, from another thread."""
        self._cancelled = True
        if self._watch is not None:
            with suppress(OSError):  # closed already
                self._watch.shutdown(socket.SHUT_RDWR)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[list[tuple[int, bytes]]]:
        """The same in lists: what is there without waiting, a block at a time."""
        since, until = self._options.since, self._options.until
        is_timed = since is not None or until is not None
        batch: list[tuple[int, bytes]] = []
        size = 0
        try:
            for line in self._lines():
                if self._cancelled:
                    return
                if batch and (line == _NONE_YET or size >= _BLOCK):
                    yield batch
                    batch, size = [], 0
                entry = _parsed(line)
                if entry is None:
                    continue
                if is_timed:
                    when = _when(entry)
                    if until is not None and when > until:
                        break
                    if since is not None and when < since:
                        continue
                batch += self._shown(entry)
                size += len(line)
            if batch:
                yield batch
        finally:
            if self._watch is not None:
                self._watch.close()

    def _shown(self, entry: dict[str, Any]) -> list[tuple[int, bytes]]:
        stream = _STREAMS[entry["stream"]]
        if not (self._options.stdout if stream == STDOUT else self._options.stderr):
            return []
        when = f"{entry['time']} " if self._options.timestamps else ""
        return [(stream, (when + self._options.details + entry["log"]).encode("utf-8", "surrogatepass"))]

    def _lines(self) -> Iterator[bytes]:
        left = self._options.tail
        current = _opened(self._path)
        # As far as it goes now: what grows faster than it is read would have no end.
        end = 0 if current is None else os.fstat(current.fileno()).st_size
        older = [] if current is None or left == 0 else _older(self._path)
        try:
            if left is not None:
                older, starts = _tail(current, end, older, left)
                if current is not None:
                    current.seek(starts[0])
            else:
                starts = [0] * (len(older) + 1)
            for path, start in zip(reversed(older), reversed(starts[1:]), strict=True):
                with suppress(FileNotFoundError), path.open("rb") as file:  # rotated away meanwhile
                    file.seek(start)
                    yield from file
            if current is not None:
                if self._watch is not None:
                    rest = yield from _whole_lines(current, b"")
                    current = yield from self._follow(current, rest)
                else:
                    yield from _lines_before(current, end)
        finally:
            if current is not None:
                current.close()

    def _follow(self, current: IO[bytes], rest: bytes) -> Generator[bytes, None, IO[bytes]]:
        while not self._cancelled:
            yield _NONE_YET
            is_over = self._is_over()
            while True:
                rest = yield from _whole_lines(current, rest)
                newer = _replaced(current, self._path)
                if newer is None:
                    break
                current.close()
                current, rest = newer, b""
            if is_over:
                break
        return current

    def _is_over(self) -> bool:
        """Waits until the log has grown. Whether it will grow no more."""
        assert self._watch is not None
        until = self._options.until
        if until is not None:
            left = max(0.0, (until - time.time_ns()) / 1e9)
            if not select.select([self._watch], [], [], left)[0]:
                return True
        try:
            return not self._watch.recv(4096)
        except OSError:
            return True  # the monitor was killed


def _parsed(line: bytes) -> dict[str, Any] | None:
    """None for what is no entry: a line that a crash cut."""
    try:
        entry: dict[str, Any] = json.loads(line)
        is_whole = entry["stream"] in _STREAMS and isinstance(entry["log"], str) and isinstance(entry["time"], str)
    except _WORKABLE:
        return None
    return entry if is_whole else None


def _when(entry: Mapping[str, Any]) -> int:
    with suppress(ValueError):  # cut by a crash, and yet JSON
        return timestamps.nanoseconds(entry["time"])
    return 0


def _opened(path: Path) -> IO[bytes] | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _older(path: Path) -> list[Path]:
    """The files that were rotated away, the newest first."""
    found: list[Path] = []
    while (older := path.with_name(f"{path.name}.{len(found) + 1}")).exists():
        found.append(older)
    return found


def _whole_lines(file: IO[bytes], rest: bytes) -> Generator[bytes, None, bytes]:
    """The lines that are there whole; returns the beginning of one that is not."""
    for line in file:
        rest += line
        if rest.endswith(b"\n"):
            yield rest
            rest = b""
    return rest


def _lines_before(file: IO[bytes], end: int) -> Iterator[bytes]:
    """The lines up to a place in the file."""
    place = file.tell()
    for line in file:
        place += len(line)
        if place > end:
            return
        yield line


def _replaced(file: IO[bytes], path: Path) -> IO[bytes] | None:
    """The file that has taken its place, if one has."""
    newer = _opened(path)
    if newer is None:
        return None
    if os.path.sameopenfile(newer.fileno(), file.fileno()):
        newer.close()
        return None
    return newer


def _tail(current: IO[bytes] | None, end: int, older: list[Path], lines: int) -> tuple[list[Path], list[int]]:
    """Which of the older files are needed for the last `lines`, and where to begin in each, the current one first.

    end: of the current one, which goes on growing.
    """
    if current is None:
        return [], [0]
    start, missing = _start_of_tail(current, end, lines)
    needed, starts = [], [start]
    for path in older:
        if not missing:
            break
        with suppress(FileNotFoundError), path.open("rb") as file:
            start, missing = _start_of_tail(file, file.seek(0, os.SEEK_END), missing)
            needed.append(path)
            starts.append(start)
    return needed, starts


def _start_of_tail(file: IO[bytes], end: int, lines: int) -> tuple[int, int]:
    """Where the last `lines` before a place in a file begin, and how many are missing. One that is not whole is none."""
    if not lines:
        return end, 0
    position, found = end, -1  # the newline that ends the last line begins none
    while position:
        size = min(_BLOCK, position)
        position -= size
        file.seek(position)
        block = file.read(size)
        place = len(block)
        while (place := block.rfind(b"\n", 0, place)) >= 0:
            found += 1
            if found == lines:
                return position + place + 1, 0
    return 0, max(0, lines - found - 1)
