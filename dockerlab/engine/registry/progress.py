"""What the API tells of a pull or a push: Docker's lines. They are put in by several threads, and taken out by one.

    {"status": "Downloading", "progressDetail": {"current": 36445, "total": 3001177}, "progress": "[>   ]  36.45kB/3.001MB", "id": …}

Of each layer ten lines a second at most tell how far it is; every other line comes through.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

Message = Mapping[str, Any]

_EVERY: Final = 0.1  # seconds
_COLUMNS: Final = 50
_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")


def line(status: str, identifier: str = "") -> dict[str, Any]:
    """A line about the whole: of a tag where there is an identifier."""
    return {"status": status, "id": identifier} if identifier else {"status": status}


def step(status: str, identifier: str) -> dict[str, Any]:
    """A line about a layer."""
    return {"status": status, "progressDetail": {}, "id": identifier}


def amount(status: str, identifier: str, current: int, total: int) -> dict[str, Any]:
    """How far a layer is."""
    detail = {"current": current, "total": total} if total else {"current": current}
    return {"status": status, "progressDetail": detail, "progress": bar(current, total), "id": identifier}


def bar(current: int, total: int) -> str:
    """An arrow that grows, and the numbers."""
    if total <= 0:
        return f"{size(current):>8}"
    filled = min(int(current / total * 100) // 2, _COLUMNS)
    numbers = f"{size(current):>8}/{size(total)}" if current <= total else f"{size(current):>8}"
    return f"[{'=' * filled}>{' ' * (_COLUMNS - filled)}] {numbers}"


def size(count: int) -> str:
    """Bytes with four digits at most, as Docker writes them."""
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value /= 1000
        unit += 1
    return f"{value:.4g}{_UNITS[unit]}"


class Feed:
    """Lines on their way from the threads that work to the one that answers."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._queue: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._clock = clock
        self._last: dict[tuple[str, str], float] = {}

    def say(self, message: Message) -> None:
        """A line that is to come through."""
        self._queue.put(message)

    def amount(self, status: str, identifier: str, current: int, total: int) -> None:
        """How far a layer is, unless that was said a moment ago."""
        now = self._clock()
        if now - self._last.get((status, identifier), -_EVERY) >= _EVERY:
            self._last[status, identifier] = now
            self._queue.put(amount(status, identifier, current, total))

    def end(self) -> None:
        """There are no more."""
        self._queue.put(None)

    def __iter__(self) -> Iterator[Message]:
        while (message := self._queue.get()) is not None:
            yield message
