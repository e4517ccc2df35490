"""Ends what several threads are at, from another one: the connections that they wait on are shut down."""

from __future__ import annotations

import socket
import threading
import weakref
from contextlib import suppress

from dockerlab.registry.refusals import Cancelled


class Abort:
    """Given to all requests of one pull or push. `cancel` may be called twice, and never waits."""

    def __init__(self) -> None:
        self._flag = threading.Event()
        self._lock = threading.Lock()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    @property
    def is_set(self) -> bool:
        """Whether it was cancelled."""
        return self._flag.is_set()

    def check(self) -> None:
        """Raises Cancelled if it was."""
        if self._flag.is_set():
            raise Cancelled

    def wait(self, seconds: float) -> None:
        """Lets time pass. Raises Cancelled as soon as it is."""
        if self._flag.wait(seconds):
            raise Cancelled

    def watch(self, sock: socket.socket) -> None:
        """A connection that was made."""
        with self._lock:
            self._sockets.add(sock)
        if self._flag.is_set():
            _shut(sock)

    def cancel(self) -> None:
        """Whoever waits for something is woken, and raises Cancelled."""
        self._flag.set()
        with self._lock:
            sockets = list(self._sockets)
        for sock in sockets:
            _shut(sock)


def _shut(sock: socket.socket) -> None:
    with suppress(OSError, ValueError):  # it is closed already
        # Not the method of a TLS socket, which would take its state away from the thread that reads.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
