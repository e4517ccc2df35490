"""An answer of the engine that goes on for long, read by a thread of its own, which hands on each piece as it comes.

    following = Following(client, "/events", {"filters": …}, take=messages(queue.put), ended=over, doing="follow the engine's events")
    following.close()

`close` ends the connection, at which the thread ends, wherever it is; that works on every transport (see `dockerlab.hijacking`). The queues
of `stream` and `connection` are for a caller who waits; here nobody does.
"""

from __future__ import annotations

import contextvars
import http.client
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from dockerlab import hijacking
from dockerlab.client import Client, engine_errors, gone, meaning
from dockerlab.errors import DockerlabError
from dockerlab.wire.objects import Objects
from dockerlab.wire.protobuf import MalformedError

_PIECE: Final = 65536
_JOIN_SECONDS: Final = 5
_LONGEST: Final = 1 << 20  # bytes of a message


class Following:
    """One request. take: called with each piece, on the thread; it may take its time, and the engine then waits; it raises ValueError for
    what it does not understand. ended: called once on the thread, with the error that ended it, or None where the answer was over; not
    after `close`."""

    def __init__(
        self,
        client: Client,
        path: str,
        params: Mapping[str, Any],
        *,
        take: Callable[[bytes], None],
        ended: Callable[[DockerlabError | None], None],
        doing: str,
        missing: str | None = None,
    ) -> None:
        self._client, self._path, self._params = client, path, dict(params)
        self._take, self._ended, self._doing, self._missing = take, ended, doing, missing
        self._connection: Any = None
        self._closed = threading.Event()
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name=f"dockerlab: {doing}", daemon=True)
        self._thread.start()

    def pause(self, seconds: float) -> None:
        """For `take`: waits so long, or until it is closed."""
        self._closed.wait(seconds)

    def close(self) -> None:
        """Ends it. From any thread, and twice."""
        self._closed.set()
        if self._connection is not None:
            hijacking.end(self._connection)
        if threading.current_thread() is not self._thread:
            self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        error: DockerlabError | None = None
        try:
            with engine_errors(self._doing):
                self._connection = hijacking.opened(self._client)
            if not self._closed.is_set():
                self._read()
        except DockerlabError as broken:
            error = broken
        except (OSError, ValueError, AttributeError, RecursionError, http.client.HTTPException) as broken:
            # Closed by us, broken off, or not understood. http.client raises ValueError or AttributeError on a file that is closed.
            error = gone(self._doing)
            error.__cause__ = broken
        finally:
            if self._connection is not None:
                hijacking.end(self._connection)
        if not self._closed.is_set():
            self._ended(error)

    def _read(self) -> None:
        with engine_errors(self._doing):
            response = hijacking.ask(self._connection, self._client, "GET", self._path, self._params)
        if response.status >= 400:
            raise meaning(hijacking.said(response), self._doing, response.status, self._missing)
        read = hijacking.reader(response, upgraded=False)
        try:
            while not self._closed.is_set() and (data := read(_PIECE)):
                self._take(data)
        finally:
            response.close()


def messages(put: Callable[[dict[str, Any]], object]) -> Callable[[bytes], None]:
    """A `take` that hands on JSON objects as they come. Docker ends each with a newline, Podman not all of them."""
    objects = Objects(_LONGEST)

    def take(data: bytes) -> None:
        try:
            for message in objects.feed(data):
                put(message)
        except MalformedError as error:
            raise ValueError(error.message) from error

    return take
