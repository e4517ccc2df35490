"""The end of a build before its end: asked for once, from any thread, and heard at once by whoever is at work.

cancellation.cancel()                      the client has left, another stage has failed, the engine ends
cancellation.check()                       raises Cancelled from then on
with cancellation.calling(kill): …         `kill` is called if it comes within; at once if it has come already
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from dockerlab.errors import EngineError


class Cancelled(EngineError):
    """Nobody waits for the result any more."""

    def __init__(self) -> None:
        super().__init__("the build was cancelled", status=499)


class Cancellation:
    """Thread-safe. Callbacks must not wait for long, and say themselves what goes wrong."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], object]] = []
        self._event = threading.Event()

    @property
    def is_asked(self) -> bool:
        """Whether it has been asked for."""
        return self._event.is_set()

    def cancel(self) -> None:
        """Twice is fine."""
        with self._lock:
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def check(self) -> None:
        """Raises Cancelled once it has been asked for."""
        if self._event.is_set():
            raise Cancelled

    def checking(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The same pieces. Raises Cancelled before the next of them once it has been asked for."""
        for piece in pieces:
            self.check()
            yield piece

    @contextmanager
    def calling(self, callback: Callable[[], object]) -> Iterator[None]:
        """Has `callback` called, in the thread of whoever cancels."""
        with self._lock:
            is_asked = self._event.is_set()
            if not is_asked:
                self._callbacks.append(callback)
        if is_asked:
            callback()
        try:
            yield
        finally:
            with self._lock:
                if callback in self._callbacks:
                    self._callbacks.remove(callback)
