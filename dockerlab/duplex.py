"""TLS for two threads: one reads, one writes, and our side may end while the other's goes on.

    sock = Duplex(tcp, context, "engine.example.org")         a socket, as far as http.client and `dockerlab.hijacking` need one
    sock.sendall(…); sock.recv(65536)                         each from a thread of its own
    sock.end_of_input()                                       the other side sees the end (close_notify), and what it says still comes

`ssl.SSLSocket` has neither: OpenSSL's state is not for two threads at once, and its way to end one side reads the other. Here the state
works on memory under a lock, and each thread waits on the socket itself, outside of it.
"""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from typing import Any

_PIECE = 1 << 16


class Duplex(socket.socket):
    """tcp: a connected socket, which is taken over. Raises OSError (ssl.SSLError among them) where the peer is not who it should be."""

    def __init__(self, tcp: socket.socket, context: ssl.SSLContext, host: str) -> None:
        timeout = tcp.gettimeout()
        super().__init__(tcp.family, tcp.type, tcp.proto, tcp.detach())
        self.settimeout(timeout)
        self._came, self._goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._came, self._goes, server_hostname=host)
        self._state, self._writing = threading.Lock(), threading.Lock()
        self._plain = bytearray()  # read ahead
        try:
            while True:
                try:
                    self._tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    self._flush()
                    self._wait_for_more()
            self._flush()
        except BaseException:
            with suppress(OSError):  # an alert that says why not
                self._flush()
            self.close()
            raise

    @property
    def pending(self) -> int:
        """How many bytes were read ahead."""
        with self._state:
            return len(self._plain) + self._tls.pending() + self._came.pending

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """See `socket.socket`."""
        while True:
            with self._state:
                if self._plain:
                    data = bytes(self._plain[:bufsize])
                    del self._plain[:bufsize]
                    return data
                try:
                    return self._tls.read(bufsize)
                except ssl.SSLWantReadError:
                    has_more_to_say = self._goes.pending > 0
                except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    return b""
            # What TLS itself has to say. Whoever writes says it too, and may be waiting for us to read.
            if has_more_to_say and self._writing.acquire(blocking=False):
                try:
                    self._flush()
                finally:
                    self._writing.release()
            self._wait_for_more()

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """See `socket.socket`: what a file made of it reads by."""
        data = self.recv(nbytes or len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """See `socket.socket`."""
        view = memoryview(data).cast("B")
        with self._writing:
            for start in range(0, len(view), _PIECE):
                with self._state:
                    self._tls.write(view[start : start + _PIECE])
                self._flush()

    def send(self, data: Any, flags: int = 0) -> int:
        """See `socket.socket`."""
        self.sendall(data)
        return len(data)

    def end_of_input(self) -> None:
        """Tells the other side that no more comes from here."""
        with self._writing:
            with self._state:
                # OpenSSL sends its word, and looks for the other's at once: what has come must have been read, or it would be lost.
                with suppress(ssl.SSLError):
                    while data := self._tls.read(_PIECE):
                        self._plain += data
                with suppress(ssl.SSLError):
                    self._tls.unwrap()
            self._flush()

    def _flush(self) -> None:
        """Writes what TLS has made."""
        with self._state:
            data = self._goes.read()
        if data:
            super().sendall(data)

    def _wait_for_more(self) -> None:
        data = super().recv(_PIECE)
        with self._state:
            if data:
                self._came.write(data)
            else:
                self._came.write_eof()
