"""Accepts connections on a socket that somebody else bound, and serves each in a thread of its own.

    server = Server(Router(engine, ROUTES), headers)
    server.accept(listener)      # whenever one waits
    server.close()               # ends all of them

A client that is slow, silent or hostile costs a thread; it does not keep others waiting.
"""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

from dockerlab.engine.http.connection import ClientConnection, Service
from dockerlab.engine.http.types import Request, Response
from dockerlab.engine.http.watcher import Watcher
from dockerlab.engine.workers import Workers

LOG = logging.getLogger(__name__)
_CONNECTION_LIMIT = 4096
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_CLOSE_SECONDS = 5.0


class Server:
    """handle: from request to response; called in several threads at once. headers: sent with every response."""

    def __init__(self, handle: Callable[[Request], Response], headers: Mapping[str, str] | None = None) -> None:
        self._watcher = Watcher()
        self._service = Service(handle, self._watcher, headers or {})
        self._lock = threading.Lock()
        self._workers = Workers("connection")
        self._connections: set[ClientConnection] = set()
        self._last = time.monotonic()
        self._is_closed = False

    @property
    def idle_seconds(self) -> float:
        """For how long there has been no connection, one that only waits for a next request included."""
        with self._lock:
            return 0.0 if self._connections else time.monotonic() - self._last

    def accept(self, listener: socket.socket) -> None:
        """Accepts one connection. Returns without one where there is none after all."""
        try:
            sock, _ = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
                LOG.warning("cannot accept a connection: %s", error)
                time.sleep(0.1)  # it stays in the queue; without a pause this would be a busy loop
            return
        sock.setblocking(True)
        connection = ClientConnection(sock, self._service)
        with self._lock:
            is_welcome = not self._is_closed and len(self._connections) < _CONNECTION_LIMIT
            if is_welcome:
                self._connections.add(connection)
        try:
            if is_welcome:
                self._workers.run(partial(self._run, connection))
                return
        except RuntimeError as error:  # the limit of threads is reached
            LOG.warning("cannot serve a connection: %s", error)
            self._forget(connection)
        with sock:
            sock.setblocking(False)
            try:
                sock.send(_BUSY)
            except OSError:
                LOG.debug("a client that was too many has left")

    def close(self) -> None:
        """Ends all connections, and waits for their threads for a while. May be called twice."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            connections = set(self._connections)
        for connection in connections:
            connection.end()
        self._workers.close(_CLOSE_SECONDS)
        self._watcher.close()

    def _run(self, connection: ClientConnection) -> None:
        try:
            connection.run()
        finally:
            self._forget(connection)

    def _forget(self, connection: ClientConnection) -> None:
        with self._lock:
            self._connections.remove(connection)
            self._last = time.monotonic()
