"""Threads that wait for the next task after they have done one: making a thread takes longer than most of the engine's tasks.

workers = Workers("connection")
workers.run(task)          in a thread of its own, at once; raises RuntimeError where the limit of threads is reached
workers.close(seconds)     nobody waits for tasks any more; waits that long for those at work
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

KEPT = 4  # threads that wait

Task = Callable[[], object]


class Workers:
    """name: of the threads. A task says itself what goes wrong; its thread does not outlive an exception."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._threads: set[threading.Thread] = set()
        self._waiting = 0
        self._is_closed = False

    def run(self, task: Task) -> None:
        """Runs a task, whatever the others are at."""
        with self._lock:
            if self._waiting:
                self._waiting -= 1
                self._tasks.put(task)
                return
            thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            thread.start()
            self._threads.add(thread)
            self._tasks.put(task)

    def close(self, seconds: float = 0.0) -> None:
        """May be called twice. No thread waits any more: a task that comes later has one for itself."""
        with self._lock:
            self._is_closed = True
            for _ in range(self._waiting):
                self._tasks.put(None)
            self._waiting = 0
            threads = set(self._threads)
        end = time.monotonic() + seconds
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        try:
            while task := self._tasks.get():
                task()
                # What it holds is given up before the wait.
                task = None
                with self._lock:
                    if self._is_closed or self._waiting >= KEPT:
                        return
                    self._waiting += 1
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())
