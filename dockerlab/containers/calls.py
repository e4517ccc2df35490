"""`Call`: a blocking request in a thread of its own, so that the caller's thread can be interrupted while it is under way, and
still learn what came of it."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
_TICK = 0.1  # seconds; on Windows a wait cannot be interrupted before it ends


class Call(Generic[T]):
    """Starts at once."""

    def __init__(self, work: Callable[[], T], name: str) -> None:
        self._answers: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(1)
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._run, work), name=f"dockerlab {name}", daemon=True).start()

    def result(self) -> T:
        """Waits for it. Returns or raises what it did; may be asked again after an interrupt."""
        while True:
            try:
                value, error = self._answers.get(timeout=_TICK)
            except queue.Empty:
                continue
            if error is not None:
                raise error
            return value  # type: ignore[return-value]

    def _run(self, work: Callable[[], T]) -> None:
        try:
            self._answers.put((work(), None))
        except BaseException as error:  # noqa: BLE001  raised in the caller's thread
            self._answers.put((None, error))
