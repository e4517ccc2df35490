"""A conversation with the engine: attach, exec and logs. Blocking reads and writes are done in threads of their own, so that the
caller's thread takes output as it comes, keeps time, and can be interrupted while a container prints nothing.

    with conversing(client, "POST", path, doing="…", upgrade=True) as conversation:
        conversation.feed(b"…")                        # standard input, then its end
        for chunk in conversation.chunks(tick=0.1):    # (1|2, bytes), or None where 0.1 s passed without one
            …

Whatever ends the `with` block closes the connection (see `dockerlab.hijacking`), and with it the threads.
"""

from __future__ import annotations

import contextvars
import http.client
import json
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from dockerlab import hijacking
from dockerlab.client import Client, engine_errors, gone, meaning
from dockerlab.wire.multiplex import Demultiplexer, Raw

_END = object()
_AHEAD = 64  # pieces read but not yet taken; beyond it the reader waits, and with it the container
_PIECE = 65536
_JOIN_SECONDS = 5
_UPGRADE = (("Connection", "Upgrade"), ("Upgrade", "tcp"))


class Conversation:
    """One request whose answer goes on, and that may be spoken to while it does."""

    def __init__(
        self,
        client: Client,
        method: str,
        path: str,
        *,
        doing: str,
        params: Mapping[str, Any],
        body: Any,
        upgrade: bool,
        multiplexed: bool,
        missing: str | None,
    ) -> None:
        self._doing = doing
        self._pieces: queue.Queue[Any] = queue.Queue(_AHEAD)
        self._closed = threading.Event()
        self._is_fed = False
        self._threads: list[threading.Thread] = []
        with engine_errors(doing):
            self._connection = hijacking.opened(client)
        try:
            with engine_errors(doing):
                data = b"" if body is None else json.dumps(body).encode()
                headers = [("Content-Type", "application/json"), *(_UPGRADE if upgrade else ())]
                self._response = hijacking.ask(self._connection, client, method, path, params, data, headers)
            if self._response.status >= 400:
                raise meaning(hijacking.said(self._response), doing, self._response.status, missing)
        except BaseException:
            self._connection.close()
            raise
        self._decoder = Demultiplexer() if multiplexed else Raw()
        # After an upgrade the bytes are the container's, and some may have come along with the head.
        self._read1 = hijacking.reader(self._response, upgraded=upgrade)
        self._start(self._read, "reads")

    def chunks(self, tick: float) -> Iterator[tuple[int, bytes] | None]:
        """Output as it comes; None whenever `tick` seconds passed without any. Raises EngineGone if the connection breaks."""
        while True:
            try:
                item = self._pieces.get(timeout=tick)
            except queue.Empty:
                if self._closed.is_set():
                    return
                yield None
                continue
            if item is _END:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def feed(self, data: bytes) -> None:
        """Sends `data` to the command's standard input, then ends it. Returns at once."""

        self._is_fed = True

        def write() -> None:
            sock = self._connection.sock
            # A command may end, or close its input, without reading it all: as in a shell's pipe, that is no error.
            with suppress(OSError, ValueError):
                for start in range(0, len(data), _PIECE):
                    sock.sendall(data[start : start + _PIECE])
                hijacking.end_of_input(self._connection)

        self._start(write, "writes")

    def close(self) -> None:
        """Ends it, wherever it is. May be called twice."""
        self._closed.set()
        hijacking.end(self._connection)
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)
        with suppress(OSError, ValueError):
            self._response.close()

    def _start(self, work: Callable[[], None], what: str) -> None:
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(work,), name=f"dockerlab {what}: {self._doing}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _read(self) -> None:
        try:
            while data := self._read1(_PIECE):
                for item in self._decoder.feed(data):
                    self._put(item)
            self._put(_END)
        except (OSError, ValueError, http.client.HTTPException, AttributeError) as error:
            if self._is_fed and isinstance(error, ConnectionResetError):
                # Podman resets the connection when a command ends before it has read all its input.
                self._put(_END)
                return
            # Closed by us, or broken off; http.client raises ValueError or AttributeError on a file that is closed meanwhile.
            broken = gone(self._doing)
            broken.__cause__ = error
            self._put(broken)

    def _put(self, item: object) -> None:
        while not self._closed.is_set():
            with suppress(queue.Full):
                self._pieces.put(item, timeout=0.2)
                return


@contextmanager
def conversing(
    client: Client,
    method: str,
    path: str,
    *,
    doing: str,
    params: Mapping[str, Any] | None = None,
    body: Any = None,
    upgrade: bool = False,
    multiplexed: bool = True,
    missing: str | None = None,
) -> Iterator[Conversation]:
    """A conversation that ends with the block.

    path: of the API, without its version. body: sent as JSON. upgrade: whether to speak to the command, too. multiplexed: not where
    the container has a terminal. missing: what a 404 means.
    """
    conversation = Conversation(
        client, method, path, doing=doing, params=params or {}, body=body, upgrade=upgrade, multiplexed=multiplexed, missing=missing
    )
    try:
        yield conversation
    finally:
        conversation.close()
