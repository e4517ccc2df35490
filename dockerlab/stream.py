"""Answers that arrive piece by piece: read in a worker thread, so that the caller keeps time, shows progress and can be interrupted.

    with streaming(client, "POST", "/build", doing="build", params=…, data=…) as stream:
        for message in stream.messages(tick=0.1):     # a dict, or None where 0.1 s passed without one
            …

Whatever ends the `with` block (an exception, an interrupt) closes the connection, at which the engine cancels its work; the worker
ends with it, also where a network stands still. The caller's thread does all the waiting, and never on a socket.
"""

from __future__ import annotations

import contextvars
import errno
import http.client
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import requests

from dockerlab import hijacking
from dockerlab.client import Client, engine_errors, gone
from dockerlab.errors import DockerlabError, EngineError
from dockerlab.wire.objects import Objects, TooLongError
from dockerlab.wire.protobuf import MalformedError

_END = object()
_JOIN_SECONDS = 5
_PIECE = 1 << 16  # bytes that are read at a time; of a chunk what is there
_AHEAD = 10_000  # messages read but not yet taken; beyond it the worker waits, and with it the engine


class Stream:
    """One answer of the engine, as JSON messages."""

    def __init__(self, client: Client, method: str, path: str, doing: str, request: Mapping[str, Any]) -> None:
        self._client = client
        self._api: Any = client.api
        self._method, self._path, self._doing = method, path, doing
        self._request = dict(request)
        self._connection: Any = None
        self._socket: Any = None
        self._messages: queue.Queue[Any] = queue.Queue(_AHEAD)
        self._closed = threading.Event()
        self._body_error: DockerlabError | None = None
        context = contextvars.copy_context()
        self._worker = threading.Thread(target=context.run, args=(self._read,), name=f"dockerlab {doing}", daemon=True)
        self._worker.start()

    def messages(self, tick: float | None) -> Iterator[dict[str, Any] | None]:
        """The messages as they come; None whenever `tick` seconds passed without one. Raises what the request raised.

        They end when another thread closes the stream; without a tick nothing else wakes who waits here.
        """
        while not self._closed.is_set():
            try:
                item = self._messages.get(timeout=tick)
            except queue.Empty:
                yield None
                continue
            if item is _END:
                return
            if isinstance(item, BaseException):
                with engine_errors(self._doing):
                    raise item
            yield item

    def close(self) -> None:
        """Ends the request, wherever it is. May be called from any thread, and twice."""
        self._closed.set()
        self._shut_down()
        with suppress(queue.Full):  # then nobody waits for one
            self._messages.put_nowait(_END)
        self._worker.join(_JOIN_SECONDS)

    def _shut_down(self) -> None:
        if self._connection is not None:
            hijacking.wake(self._socket)
            hijacking.end(self._connection)

    def _read(self) -> None:
        try:
            with self._send() as response:
                self._api._raise_for_status(response)
                for message in self._decoded(response):
                    self._put(message)
            self._put(_END)
        except BaseException as error:  # noqa: BLE001  handed to the caller's thread, which raises it
            self._put(self._body_error or error)
        finally:
            self._shut_down()

    def _send(self) -> requests.Response:
        """Sends it on a connection of its own, which can be ended at any time, and was nobody's before."""
        api, data = self._api, self._request.pop("data", None)
        if data is not None and not isinstance(data, bytes):
            data = self._body(iter(data))
        headers = {**(self._request.pop("headers", None) or {}), "Connection": "close"}
        url = api._url(self._path)
        request = api.prepare_request(requests.Request(self._method, url, data=data, headers=headers, **self._request))
        connection = hijacking.opened(self._client)
        self._socket, self._connection = connection.sock, connection
        if self._closed.is_set():
            raise ConnectionAbortedError("closed before it was sent")
        try:
            try:
                connection.request(self._method, request.path_url, request.body, request.headers, preload_content=False)
            except OSError as error:
                # An engine may answer before it has read it all, and read no more.
                if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.EPROTOTYPE):
                    raise
            answer = connection.getresponse()
        except (http.client.HTTPException, AttributeError, ValueError) as error:  # of a connection that is ended meanwhile, too
            raise ConnectionError(str(error)) from error
        response: requests.Response = api.get_adapter(url).build_response(request, answer)
        return response

    def _body(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """A request's body, which ends once the stream is closed. Its own error is kept: requests would call it a broken connection."""
        try:
            for chunk in chunks:
                if self._closed.is_set():
                    raise ConnectionAbortedError("closed while it was sent")
                yield chunk
        except DockerlabError as error:
            self._body_error = error
            raise

    def _decoded(self, response: requests.Response) -> Iterator[dict[str, Any]]:
        objects = Objects()
        try:
            for piece in response.iter_content(_PIECE):
                yield from objects.feed(piece)
        except TooLongError as error:
            hint = "Is it an engine that answers there? `%engine` shows which, and where."
            raise EngineError(
                f"cannot {self._doing}: the engine sends a message without an end", evidence=[error.message], hint=hint
            ) from error
        except MalformedError as error:
            raise gone(self._doing) from error
        if not objects.is_whole:
            raise gone(self._doing)

    def _put(self, item: object) -> None:
        while not self._closed.is_set():
            with suppress(queue.Full):
                self._messages.put(item, timeout=0.2)
                return


@contextmanager
def streaming(client: Client, method: str, path: str, *, doing: str, **request: Any) -> Iterator[Stream]:
    """A request whose answer is a stream of JSON messages; it ends with the block. request: as for `requests.request`."""
    stream = Stream(client, method, path, doing, request)
    try:
        yield stream
    finally:
        stream.close()
