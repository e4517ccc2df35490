"""Secrets that a step prints are `***` in all that a build says: its log, its errors, the names of its steps. As CI systems do.

    mask = Mask()
    mask.add(b"s3cr3t")                       by whoever hands a secret to the engine, before it does
    events = mask.events(adapter.feed(…))     where events enter; a value may be cut anywhere between two pieces of a log
    mask.text("the engine says: s3cr3t")
    mask.warnings                             of a secret that is too short

Masked are values as they are, and of a value of several lines each line, of four bytes or more. Of what is shorter a log is full: a PIN of
`12` would make `***` of every 12 in it, and tell by that what it is. Such a secret is warned of, and not masked.

What a step makes of a secret (its base64, its half) is not recognised: nothing prevents a step from telling a secret to somebody who reads
on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from threading import Lock
from typing import Final

from dockerlab.wire.trace import Event, Lint, Log, Status, Vertex

MASKED: Final = b"***"
_HEAD: Final = 4  # bytes: the shortest that is masked, and by which words are looked up
_PIECE: Final = 1024  # bytes: a longer line is looked for in pieces, so that little of a log has to wait


class Mask:
    """For one build. `add` may be called by another thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.warnings: tuple[Lint, ...] = ()
        self._words = _Words(())
        self._held: dict[tuple[str, int], tuple[Log, bytes]] = {}

    def add(self, value: bytes, name: str = "") -> None:
        """A secret's value, to be masked from now on. name: its id, for the warning of one that is too short."""
        with self._lock:
            words = {*_pieces(value)}
            if name and value.strip() and not words:
                self.warnings += (_short(name),) if _short(name) not in self.warnings else ()
            if not words <= self._words.all:
                self._words = _Words(words | self._words.all)

    def text(self, said: str) -> str:
        """Without the secrets."""
        data = said.encode("utf-8", "surrogatepass")
        masked = self._words.masked(data)
        return said if masked == data else masked.decode("utf-8", "replace")

    def events(self, events: Iterable[Event]) -> Iterator[Event]:
        """Without the secrets. Of a log is held back what may be the beginning of one, until more comes, or `end`.

        A vertex's end is no sign: BuildKit tells of it before the last of its log.
        """
        for event in events:
            match event:
                case Log():
                    yield from self._log(event)
                case Vertex():
                    yield replace(event, name=self.text(event.name), error=self.text(event.error))
                case Status():
                    yield replace(event, name=self.text(event.name))
                case Lint():
                    yield replace(event, text=self.text(event.text), detail=tuple(map(self.text, event.detail)))

    def end(self) -> Iterator[Event]:
        """What was held back."""
        held, self._held = self._held, {}
        for event, data in held.values():
            yield replace(event, data=self._words.masked(data))

    def _log(self, event: Log) -> Iterator[Event]:
        words, source = self._words, (event.vertex, event.stream)
        data = self._held.pop(source, (event, b""))[1] + event.data
        cut = words.beginning(data)
        # What is whole is not cut in two.
        cut = next((start for start, end in words.spans(data) if start < cut < end), cut)
        if cut < len(data):
            self._held[source] = event, data[cut:]
        if cut:
            yield replace(event, data=words.masked(data[:cut]))


class _Words:
    """What is looked for. Immutable."""

    def __init__(self, words: Iterable[bytes]) -> None:
        self.all = frozenset(words)
        self._by_head: dict[bytes, list[bytes]] = {}
        self._lengths: dict[bytes, list[int]] = {}
        for word in self.all:
            for length in range(1, _HEAD + 1):
                self._by_head.setdefault(word[:length], []).append(word)
        for head, found in self._by_head.items():
            self._lengths[head] = sorted({len(word) for word in found}, reverse=True)
        firsts = b"".join(re.escape(head) for head in self._by_head if len(head) == 1)
        self._first = re.compile(b"[" + firsts + b"]") if firsts else None

    def spans(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Where they are, the longest where several begin."""
        at = 0
        while self._first is not None and (match := self._first.search(data, at)):
            start = match.start()
            lengths = self._lengths.get(data[start : start + _HEAD], ())
            length = next((length for length in lengths if data[start : start + length] in self.all), 0)
            if length:
                yield start, start + length
            at = start + (length or 1)

    def masked(self, data: bytes) -> bytes:
        """The data without them."""
        parts, last = [], 0
        for start, end in self.spans(data):
            parts += [data[last:start], MASKED]
            last = end
        return b"".join([*parts, data[last:]])

    def beginning(self, data: bytes) -> int:
        """Where at its end one may have begun that is not whole yet; its length for nowhere."""
        for start in range(max(0, len(data) - _PIECE + 1), len(data)):
            tail = data[start:]
            if any(len(word) > len(tail) and word.startswith(tail) for word in self._by_head.get(tail[:_HEAD], ())):
                return start
        return len(data)


def _short(name: str) -> Lint:
    detail = f"A log has `***` for secrets of {_HEAD} bytes and more: of what is shorter it is full anyway."
    return Lint("", f"The secret '{name}' is too short to be masked: where a step prints it, the log shows it", (detail,))


def _pieces(value: bytes) -> Iterator[bytes]:
    """What of a value is looked for."""
    for line in (value.strip(), *value.splitlines()):
        line = line.strip()
        for start in range(0, len(line), _PIECE):
            piece = line[start : start + _PIECE]
            if len(piece) >= _HEAD:
                yield piece
