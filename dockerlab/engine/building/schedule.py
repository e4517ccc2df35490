"""Stages side by side: each is built in a thread of its own as soon as those that it needs are done, and told in the Dockerfile's order.

    schedule = Schedule(needs, work, cancellation, folder)      needs: {2: {0, 1}}; work(2, tape) builds one
    for piece in schedule.messages(): …                         raises the error of the first stage that failed, once what led to it is told

A stage that fails ends all others, by cancelling the build, which goes on otherwise. When `messages` is at its end, or closed, no thread
is left.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from dockerlab.engine.building.cancellation import Cancellation, Cancelled
from dockerlab.engine.building.tape import Tape

Work = Callable[[int, Tape], object]


class Schedule:
    """needs: for each stage that is to be built, in the order in which they are told, those that must be done before. folder: for tapes.

    tape: where all of them are told at once, as it happens; it is closed when they are done.
    """

    def __init__(
        self, needs: Mapping[int, Collection[int]], work: Work, cancellation: Cancellation, folder: Path, tape: Tape | None = None
    ) -> None:
        self._needs, self._work, self._cancellation = needs, work, cancellation
        self._tapes = {index: tape or Tape(folder) for index in needs}
        self._left = len(needs) if tape else 0
        self._changed = threading.Condition()
        self._done: set[int] = set()
        self._running = 0
        self._told = next(iter(needs), 0)
        self._failure: tuple[int, BaseException] | None = None
        self._at_most = max(2, os.cpu_count() or 1)

    def messages(self) -> Iterator[bytes]:
        """What the stages say. To be called once."""
        threads = [threading.Thread(target=self._build, args=(index,), name=f"stage {index}", daemon=True) for index in self._needs]
        is_whole = False
        try:
            with self._cancellation.calling(self._end):
                for thread in threads:
                    thread.start()
                for index, tape in self._tapes.items():
                    with self._changed:
                        self._told = index
                        self._changed.notify_all()
                    yield from tape.read()
                    if self._failure and self._failure[0] == index:
                        raise self._failure[1]
                self._cancellation.check()
            is_whole = True
        finally:
            if not is_whole:
                self._cancellation.cancel()
            for tape in self._tapes.values():
                tape.drop()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()

    def wait(self, index: int) -> None:
        """For one who is at work on a later stage, until an earlier one is done. Raises Cancelled."""
        with self._changed:
            self._changed.wait_for(lambda: self._cancellation.is_asked or index in self._done)
        self._cancellation.check()

    def _end(self) -> None:
        """Wakes whoever waits. Tapes of stages that are told no more are dropped when the reader comes to its end."""
        with self._changed:
            self._changed.notify_all()

    def _build(self, index: int) -> None:
        tape = self._tapes[index]
        try:
            self._begin(index)
            try:
                self._work(index, tape)
            finally:
                with self._changed:
                    self._running -= 1
                    self._changed.notify_all()
            with self._changed:
                self._done.add(index)
                self._changed.notify_all()
        except Cancelled:
            pass
        except BaseException as error:  # noqa: BLE001 - told by `messages`, in the thread of whoever reads
            self._fail(index, error)
        finally:
            with self._changed:
                self._left -= 1
                is_last = self._left <= 0
            if is_last:
                tape.close()

    def _begin(self, index: int) -> None:
        """Waits until it is a stage's turn. One whose messages are read may always go on: others may be waiting for their reader."""

        def may_begin() -> bool:
            is_ready = all(needed in self._done for needed in self._needs[index])
            return is_ready and (self._running < self._at_most or self._told == index)

        with self._changed:
            self._changed.wait_for(lambda: self._cancellation.is_asked or may_begin())
            self._cancellation.check()
            self._running += 1

    def _fail(self, index: int, error: BaseException) -> None:
        with self._changed:
            if self._failure is None and not self._cancellation.is_asked:
                self._failure = (index, error)
        self._cancellation.cancel()
