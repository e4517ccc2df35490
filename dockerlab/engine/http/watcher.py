"""Tells when a client leaves while nobody reads from its connection: an answer that goes on may have nothing to send for hours.

One thread for all connections. A client leaves when it closes its side, also for writing only, as for Docker.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOG = logging.getLogger(__name__)


class Watcher:
    """Calls back from its thread, once for each connection, and not after the watch has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[int, Callable[[], None]] = {}
        self._epoll = select.epoll()
        self._wake, self._woken = socket.socketpair()
        self._epoll.register(self._woken, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._thread.start()

    @contextmanager
    def watching(self, sock: socket.socket, left: Callable[[], None]) -> Iterator[None]:
        """Calls `left` if the client leaves within the block."""
        number = sock.fileno()
        with self._lock:
            self._calls[number] = left
            self._epoll.register(number, select.EPOLLRDHUP | select.EPOLLONESHOT)
        try:
            yield
        finally:
            with self._lock:
                del self._calls[number]
                self._epoll.unregister(number)

    def close(self) -> None:
        """Ends the thread."""
        self._wake.close()
        self._thread.join()
        self._epoll.close()
        self._woken.close()

    def _run(self) -> None:
        while True:
            for number, _ in self._epoll.poll():
                if number == self._woken.fileno():
                    return
                # Held during the call: a watch that ends waits for it. Before, its number may have become another connection's.
                with self._lock:
                    if (call := self._calls.get(number)) and _has_left(number):
                        try:
                            call()
                        except Exception:
                            LOG.exception("a cancelled answer did not end well")


def _has_left(number: int) -> bool:
    poll = select.poll()
    poll.register(number, select.POLLRDHUP)
    return bool(poll.poll(0))
