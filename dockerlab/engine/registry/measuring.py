"""A layer is looked through while it comes in: a thread decompresses it, hashes it and reads its tar, beside the one that downloads.

with Measuring() as measuring:
    measuring.feed(data)        as often as there is something
    measuring.result()          what the whole of it is; raises EngineError for a layer that is damaged or not safe
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Final

from dockerlab.engine.store import layers
from dockerlab.engine.store.layers import Measured
from dockerlab.errors import DockerlabError, EngineError

_AHEAD: Final = 16  # pieces that the download may be ahead


class Measuring:
    """Given up at the end of the block, whether it came to a result or not."""

    def __init__(self) -> None:
        self._queue: queue.Queue[bytes | None] = queue.Queue(_AHEAD)
        self._measured: Measured | None = None
        self._error: Exception | None = None
        self._is_ended = self._is_over = False
        self.start = b""
        self._thread = threading.Thread(target=self._measure, name="layer", daemon=True)

    def __enter__(self) -> Measuring:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._end()

    def feed(self, data: bytes) -> None:
        """More of the layer."""
        self._queue.put(data)
        if not self.start:
            self.start = data[:8]

    def result(self) -> Measured:
        """There is no more."""
        self._end()
        if isinstance(self._error, DockerlabError):
            raise self._error
        if self._error or self._measured is None:
            raise EngineError(f"the layer cannot be read: {self._error}") from self._error
        return self._measured

    def _end(self) -> None:
        if not self._is_ended:
            self._is_ended = True
            self._queue.put(None)
        self._thread.join()

    def _measure(self) -> None:
        try:
            self._measured = layers.measure(self._pieces())
        except Exception as error:  # noqa: BLE001  raised in the thread that asks for the result
            self._error = error
        while not self._is_over:  # whoever feeds must not wait
            self._is_over = self._queue.get() is None

    def _pieces(self) -> Iterator[bytes]:
        while (data := self._queue.get()) is not None:
            yield data
        self._is_over = True
