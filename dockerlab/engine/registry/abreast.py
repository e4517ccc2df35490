"""Several pieces of work of one pull or push at once: each is taken by the first thread that is free, and what fails ends the others.

    yield from Abreast("pull", 3, feed, abort).run(parts, fetch)      the messages of the feed, until all is done; raises what failed

Whoever reads the messages no more ends it, too. No thread is left.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Generic, TypeVar

from dockerlab.engine.registry.progress import Feed, Message
from dockerlab.registry.abort import Abort

_Work = TypeVar("_Work")


class Abreast(Generic[_Work]):
    """To be run once. name: of the threads. at_once: how many there are. feed: what they say; it is ended by the last."""

    def __init__(self, name: str, at_once: int, feed: Feed, abort: Abort) -> None:
        self._name, self._at_once, self._feed, self._abort = name, at_once, feed, abort
        self._waiting: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._error: Exception | None = None
        self._at_work = 0

    def run(self, works: Sequence[_Work], do: Callable[[_Work], object]) -> Generator[Message]:
        """Does all of them. Raises the first error."""
        for work in works:
            self._waiting.put(work)
        count = min(self._at_once, len(works))
        threads = [threading.Thread(target=self._run, args=(do,), name=self._name, daemon=True) for _ in range(count)]
        self._at_work = count
        is_whole = False
        try:
            for thread in threads:
                thread.start()
            yield from self._feed if threads else ()
            is_whole = self._error is None
        finally:
            if not is_whole:
                self._abort.cancel()
            for thread in threads:
                if thread.ident is not None:  # else the limit of threads is reached
                    thread.join()
        if self._error:
            raise self._error

    def _run(self, do: Callable[[_Work], object]) -> None:
        try:
            while self._error is None:
                try:
                    work = self._waiting.get_nowait()
                except queue.Empty:
                    return
                do(work)
        except Exception as error:  # noqa: BLE001  raised in the thread that answers
            with self._lock:
                self._error = self._error or error
            self._abort.cancel()
        finally:
            with self._lock:
                self._at_work -= 1
                if not self._at_work:
                    self._feed.end()
