"""Many questions to an engine at a time, on a few connections that are kept: docker-py opens one for each, which takes its time.

for answer in answers(client, [("/images/{0}/json", identifier), …]):    in their order; None for what the engine does not have
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, Final
from urllib.parse import urlsplit

import requests

from dockerlab import hijacking
from dockerlab.client import Client, engine_errors

AT_ONCE: Final = 6  # connections
_NOT_FOUND: Final = 404


def answers(client: Client, questions: Sequence[tuple[str, ...]], doing: str, at_once: int = AT_ONCE) -> Iterator[Any]:
    """What the engine says to each, parsed. questions: paths of the Engine API with what belongs into them.

    Raises EngineError, EngineGone: cannot `doing`.
    """
    idle: SimpleQueue[_Connection] = SimpleQueue()
    connections = [_Connection(client) for _ in range(min(at_once, len(questions)))]
    for connection in connections:
        idle.put(connection)

    def ask(question: tuple[str, ...]) -> Any:
        connection = idle.get()
        try:
            return connection.ask(*question)
        finally:
            idle.put(connection)

    if not questions:
        return
    pool = ThreadPoolExecutor(len(connections), thread_name_prefix="dockerlab-images")
    try:
        with engine_errors(doing):
            yield from pool.map(ask, questions)
    finally:
        # Where it was interrupted, nobody waits for what an engine has not said yet.
        for connection in connections:
            connection.end()
        pool.shutdown(cancel_futures=True)


class _Connection:
    """One connection, opened when it is needed; another one in its place where the engine has ended it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._api: Any = client.api  # its addresses and its errors are not public
        self._connection: Any = None
        self._is_over = False

    def ask(self, path: str, *parts: str) -> Any:
        url = self._api._url(path, *parts)
        is_new = self._connection is None
        try:
            answer, body = self._exchange(url)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if is_new or self._is_over:
                raise ConnectionError(str(error)) from error
            return self.ask(path, *parts)
        if answer.status == _NOT_FOUND:
            return None
        if answer.status != requests.codes.ok:
            request = requests.Request("GET", url).prepare()
            response = self._api.get_adapter(url).build_response(request, answer)
            response._content = body
            self._api._raise_for_status(response)
        try:
            return json.loads(body)
        except ValueError as error:
            raise ConnectionError("what was said is no JSON") from error

    def _exchange(self, url: str) -> tuple[Any, bytes]:
        if self._connection is None:
            self._connection = hijacking.opened(self._client)
            if self._is_over:
                self.close()
                raise ConnectionAbortedError("it was ended")
            self._connection.sock.settimeout(self._api.timeout)
        split = urlsplit(url)
        self._connection.request("GET", split.path + (f"?{split.query}" if split.query else ""), preload_content=False)
        answer = self._connection.getresponse()
        body: bytes = answer.read()
        if answer.headers.get("Connection", "").lower() == "close":
            self.close()
        return answer, body

    def close(self) -> None:
        """Its end; it may be opened again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def end(self) -> None:
        """Its end for good, from any thread: whoever waits for an answer is woken."""
        self._is_over = True
        if (connection := self._connection) is not None:
            hijacking.end(connection)
