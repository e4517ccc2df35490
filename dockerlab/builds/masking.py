"""Secrets that a step prints are `***` in all that a build says: its log, its errors, the names of its steps. As CI systems do.

    mask = Mask()
    mask.add(b"s3cr3t")                       by whoever hands a secret to the engine, before it does
    events = mask.events(adapter.feed(…))     where events enter; a value may be cut anywhere between two pieces of a log
    mask.text("the engine says: s3cr3t")

Masked are values as they are, and of a value of several lines each line, of four bytes or more: of what is shorter a log is full. What a
step makes of a secret (its base64, its half) is not recognised: nothing prevents a step from telling a secret to somebody who reads on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from threading import Lock
from typing import Final

from dockerlab.wire.trace import Event, Lint, Log, Status, Vertex

MASKED: Final = b"***"
_SHORTEST: Final = 4  # bytes
_PIECE: Final = 1024  # bytes: a longer line is looked for in pieces, so that little of a log has to wait
_DEPTH: Final = 3  # bytes by which alternatives are told apart; less than the shortest


class Mask:
    """For one build. `add` may be called by another thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._words: frozenset[bytes] = frozenset()
        self._pattern: re.Pattern[bytes] | None = None
        self._held: dict[str, tuple[Log, bytes]] = {}

    def add(self, value: bytes) -> None:
        """A secret's value, to be masked from now on."""
        words = {*_words(value)}
        with self._lock:
            if not words <= self._words:
                self._words |= words
                self._pattern = re.compile(_alternatives(sorted(self._words, key=lambda word: (-len(word), word))), re.DOTALL)

    def text(self, said: str) -> str:
        """Without the secrets."""
        if self._pattern is None:
            return said
        return self._pattern.sub(MASKED, said.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def events(self, events: Iterable[Event]) -> Iterator[Event]:
        """Without the secrets. Of a log is held back what may be the beginning of one, until its vertex is at its end."""
        for event in events:
            if self._pattern is None:
                yield event
                continue
            match event:
                case Log():
                    yield from self._log(event)
                case Vertex():
                    if event.completed is not None or event.error:
                        yield from self._rest(event.digest)
                    yield replace(event, name=self.text(event.name), error=self.text(event.error))
                case Status():
                    yield replace(event, name=self.text(event.name))
                case Lint():
                    yield replace(event, text=self.text(event.text), detail=tuple(map(self.text, event.detail)))

    def end(self) -> Iterator[Event]:
        """What was held back."""
        for vertex in [*self._held]:
            yield from self._rest(vertex)

    def _log(self, event: Log) -> Iterator[Event]:
        assert self._pattern is not None
        data = self._held.pop(event.vertex, (event, b""))[1] + event.data
        found = [match.span() for match in self._pattern.finditer(data)]
        cut = self._beginning(data)
        for start, end in reversed(found):
            if start < cut < end:
                cut = start
        if cut < len(data):
            self._held[event.vertex] = event, data[cut:]
        if cut:
            yield replace(event, data=self._pattern.sub(MASKED, data[:cut]))

    def _rest(self, vertex: str) -> Iterator[Event]:
        if vertex in self._held:
            event, data = self._held.pop(vertex)
            assert self._pattern is not None
            yield replace(event, data=self._pattern.sub(MASKED, data))

    def _beginning(self, data: bytes) -> int:
        """Where at the end of it a secret may have begun that is not whole yet; its length for nowhere."""
        for start in range(max(0, len(data) - _PIECE + 1), len(data)):
            tail = data[start:]
            if any(len(word) > len(tail) and word.startswith(tail) for word in self._words):
                return start
        return len(data)


def _words(value: bytes) -> Iterator[bytes]:
    """What of a value is looked for."""
    for line in (value.strip(), *value.splitlines()):
        line = line.strip()
        for start in range(0, len(line), _PIECE):
            piece = line[start : start + _PIECE]
            if len(piece) >= _SHORTEST:
                yield piece


def _alternatives(words: Sequence[bytes], depth: int = 0) -> bytes:
    """A pattern for any of them, the longest first, that looks at each byte once as far as they differ at their beginning."""
    if depth == _DEPTH or len(words) == 1:
        return b"(?:" + b"|".join(re.escape(word[depth:]) for word in words) + b")"
    groups: dict[bytes, list[bytes]] = {}
    for word in words:
        groups.setdefault(word[depth : depth + 1], []).append(word)
    parts = (re.escape(first) + _alternatives(group, depth + 1) for first, group in groups.items())
    return b"(?:" + b"|".join(parts) + b")"
