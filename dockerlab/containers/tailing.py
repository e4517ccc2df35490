"""The end of a container's log, as it grows: lines with their colours, out of the engine's frames.

    log = Tail(terminal=False, arrived=wake_up)
    log.feed(b"…")          pieces of /containers/ID/logs with timestamps=1
    log.take(), log.lines   those that are new; the last of all

The engine writes the time before each line. It is not shown, but says which lines are known already when the log is opened anew. A
container may print more than anyone can look at, or a page can take: no more than so many lines a second are read, and who reads less than
there is skips to the end (`is_behind`); what is left out is marked.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from dockerlab.faces import ansi
from dockerlab.wire.multiplex import STDERR, STDOUT, Demultiplexer, Raw

KEPT: Final = 500  # lines
_WAITING: Final = 2000  # lines that nobody has taken
_WINDOW: Final = 0.1  # seconds
_MOST: Final = 400  # lines in a window
_BEHIND: Final = 10  # windows in a row that were full
_LONGEST: Final = 16 << 10  # bytes of a line
LEFT_OUT: Final = "\x1b[2m… lines are left out here: it prints faster than can be shown\x1b[0m"


class Tail:
    """Fed by one thread, read by any. arrived: called when there is something to take. pause: how `feed` waits, in seconds."""

    def __init__(self, *, terminal: bool, arrived: Callable[[], object], pause: Callable[[float], None] = time.sleep) -> None:
        self._terminal, self._arrived, self.pause = terminal, arrived, pause
        self._lock = threading.Lock()
        self._lines: deque[str] = deque(maxlen=KEPT)
        self._new: deque[str] = deque(maxlen=_WAITING)
        self._last = b""  # the time of the last line
        self._same = Counter[bytes]()  # lines of that time, where it has no fraction: Podman's are whole seconds
        self._full = 0  # windows in a row
        self.begin()

    @property
    def lines(self) -> tuple[str, ...]:
        """The last lines."""
        with self._lock:
            return tuple(self._lines)

    @property
    def is_behind(self) -> bool:
        """Whether it has been printing faster than is read for a second: time to `begin` at the log's end."""
        return self._full >= _BEHIND

    def take(self) -> list[str]:
        """The lines that are new since it was last asked."""
        with self._lock:
            new, self._new = list(self._new), deque(maxlen=_WAITING)
            return new

    def begin(self) -> None:
        """Before a request: what comes may be known already."""
        self._decoder = Raw() if self._terminal else Demultiplexer()
        self._rests = {STDOUT: b"", STDERR: b""}
        self._known, self._again, self._skips = self._last, self._same.copy(), self.is_behind
        self._full, self._count, self._window = 0, 0, time.monotonic()

    def feed(self, data: bytes) -> None:
        """Takes a piece; waits where they come too fast."""
        found: list[str] = []
        for stream, piece in self._decoder.feed(data):
            *whole, rest = (self._rests[stream] + piece).split(b"\n")
            self._rests[stream] = rest[:_LONGEST]
            for line in whole:
                found += self._shown(line)
        self._add(found)
        self._count += len(found)
        if self._count >= _MOST:
            self._wait()

    def end(self) -> None:
        """The log is over: what has no line's end is a line, too."""
        rests, self._rests = self._rests, {STDOUT: b"", STDERR: b""}
        self._add([line for rest in rests.values() if rest for line in self._shown(rest)])

    def say(self, line: str) -> None:
        """A line of ours."""
        self._add([f"\x1b[2m{line}\x1b[0m"])

    def _add(self, lines: list[str]) -> None:
        with self._lock:
            was_empty = not self._new
            self._lines.extend(lines)
            self._new.extend(lines)
        if was_empty and lines:
            self._arrived()

    def _wait(self) -> None:
        left = _WINDOW - (time.monotonic() - self._window)
        self._full = self._full + 1 if left > 0 else 0
        if left > 0:
            self.pause(left)
        self._window, self._count = time.monotonic(), 0

    def _shown(self, line: bytes) -> list[str]:
        """Without its time; nothing of one that is known; before it, a word about those that are left out."""
        at, space, _ = line[:40].partition(b" ")
        if space and at[:4].isdigit() and b"T" in at:
            line = line[len(at) + 1 :]
            if self._is_known(at, line):
                self._skips = False
                return []
            self._note(at, line)
        skips, self._skips = self._skips, False
        return [LEFT_OUT, ansi.clean(line.decode("utf-8", "replace"))] if skips else [ansi.clean(line.decode("utf-8", "replace"))]

    def _is_known(self, at: bytes, line: bytes) -> bool:
        if not self._known or at > self._known:
            self._known = b""
            return False
        if at < self._known or b"." in at:
            return True
        self._again[line] -= 1
        return self._again[line] >= 0

    def _note(self, at: bytes, line: bytes) -> None:
        if at > self._last:
            self._last = at
            self._same.clear()
        if at == self._last and b"." not in at:
            self._same[line] += 1
