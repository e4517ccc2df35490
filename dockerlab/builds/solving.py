"""A build by BuildKit's own API, `Control/Solve` over `/grpc`, for what `POST /build` does not pass on.

    with Solving(client) as solving:                     raises EngineError, EngineGone where the engine has none: see `unavailable`
        for message in solving.messages(request(asked, session.id), tick=0.1):
            …                                            what the stream of /build would say, or None where 0.1 s passed without a word

`POST /grpc` is a connection that stops being HTTP/1: on it the engine serves gRPC. One thread reads it; leaving the block ends the
connection, wherever it is, with which the engine cancels the build, and the thread.

Follows moby/buildkit (client/solve.go, control/control.go) and moby/moby (builder/builder-next/builder.go). API 1.53 calls `/grpc`
deprecated; what will follow it takes the place of `__enter__`.
"""

from __future__ import annotations

import base64
import contextvars
import http.client
import json
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from dockerlab import hijacking
from dockerlab.builds import caching, contexts
from dockerlab.client import Client, gone
from dockerlab.errors import EngineError, UsageError
from dockerlab.wire import control, grpc
from dockerlab.wire.protobuf import MalformedError, decode, encode
from dockerlab.wire.solve import (
    DIGEST,
    FRONTEND,
    SOLVE,
    STATUS,
    CacheOptions,
    CacheOptionsEntry,
    SolveRequest,
    SolveResponse,
    StatusRequest,
)

if TYPE_CHECKING:
    from dockerlab.builds.driving import Asked

NAME: Final = "Dockerfile"  # of the file that a session has

_DOING: Final = "build the image"
_EXPORTER: Final = "moby"  # an image in the engine
_PIECE: Final = 1 << 16
_AHEAD: Final = 64  # messages read but not yet taken; beyond it the thread waits, and with it the engine
_JOIN_SECONDS: Final = 5
_LINGER: Final = 3.0  # seconds that reports may come after the build has ended; an engine waits longer for a build that never began
_ERRORS = (OSError, ValueError, http.client.HTTPException, AttributeError)  # of a connection that is ended while it is read

# Where a flag is to be had, and what to do elsewhere.
_ELSEWHERE: Final = {
    contexts.FLAG: "Docker Engine 23.0 and later have it. Here: put the files into the build context, and name images by their names.",
    caching.FILTER: "Docker Engine has it. Here: --no-cache runs all stages anew.",
    caching.FLAG: "Docker Engine has it. Here: leave it out, the engine keeps a cache of its own.",
}


def wanted(asked: Asked) -> list[str]:
    """The flags that only this way of building has."""
    given = {contexts.FLAG: asked.contexts, caching.FILTER: asked.no_cache_filter, caching.FLAG: asked.cache_to}
    return [flag for flag, value in given.items() if value]


def lacking(flag: str, reason: str) -> UsageError:
    """The error for an engine that does not have it."""
    return UsageError(f"{flag} needs BuildKit's own API (/grpc): {reason}", hint=_ELSEWHERE[flag])


def request(asked: Asked, session: str) -> SolveRequest:
    """What is asked of BuildKit, as `POST /build` would ask it, and the rest."""
    attributes = {
        "filename": NAME,
        "target": asked.target,
        "platform": asked.platform,
        "image-resolve-mode": "pull" if asked.pull else "",
        **{f"build-arg:{name}": value for name, value in asked.args.items() if value is not None},
    }
    attributes = {name: value for name, value in attributes.items() if value or name.startswith("build-arg:")}
    attributes |= {f"label:{name}": value or "" for name, value in asked.labels.items()} | asked.contexts.attributes
    if asked.no_cache or asked.no_cache_filter:
        attributes["no-cache"] = "" if asked.no_cache else ",".join(asked.no_cache_filter)
    exporter, exporter_attributes = _EXPORTER, dict[str, str]()
    if asked.output.parameter:
        (output,) = json.loads(asked.output.parameter)
        exporter, exporter_attributes = output["Type"], output["Attrs"]
    if exporter == _EXPORTER and asked.tags:
        exporter_attributes = {"name": ",".join(asked.tags), **exporter_attributes}
    exports = [CacheOptionsEntry(one.type, one.attributes) for one in asked.cache_to]
    if caching.is_inline(asked.args) and not any(one.type == caching.INLINE for one in asked.cache_to):
        exports.append(CacheOptionsEntry(caching.INLINE))
    imports = tuple(CacheOptionsEntry("registry", {"ref": ref}) for ref in asked.cache_from)
    cache = CacheOptions(tuple(exports), imports)
    return SolveRequest(secrets.token_hex(16), exporter, exporter_attributes, session, FRONTEND, attributes, cache)


class Solving:
    """One build. Raises EngineError, EngineGone when it is entered and the engine has none."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._peer = grpc.Peer(is_server=False)
        self._found: queue.Queue[grpc.Event | None] = queue.Queue(_AHEAD)
        self._is_closed = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Solving:
        self._connection, self._read = hijacking.upgraded(self._client, "/grpc", doing=_DOING)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._is_closed.set()
        hijacking.end(self._connection)
        if self._thread:
            self._thread.join(_JOIN_SECONDS)

    def messages(self, request: SolveRequest, tick: float) -> Iterator[dict[str, Any] | None]:
        """Builds. Its last message tells the image, if there is one, or the error. To be called once. Raises EngineGone."""
        solve, status = self._begin(request)
        answer = SolveResponse()
        ended: grpc.Ended | None = None
        until = 0.0
        is_told = has_begun = False
        while ended is None or (has_begun and not is_told and time.monotonic() < until):
            try:
                event = self._found.get(timeout=tick)
            except queue.Empty:
                yield None
                continue
            if event is None:
                if ended is None:
                    raise gone(_DOING)
                break
            if isinstance(event, grpc.Message) and event.stream == status:
                has_begun = True
                yield {"id": control.TRACE, "aux": base64.b64encode(event.data).decode()}
            elif isinstance(event, grpc.Message):
                answer = _answer(event.data)
            elif isinstance(event, grpc.Ended) and event.stream == solve:
                ended, until = event, time.monotonic() + _LINGER
            elif isinstance(event, grpc.Ended):
                is_told = True
        if (ended.status, ended.text) == (grpc.UNAVAILABLE, grpc.CONNECTION_ENDED):
            raise gone(_DOING)
        if ended.status != grpc.OK:
            yield {"error": ended.text or f"the build ended with the gRPC status {ended.status}"}
        elif identifier := answer.exporter.get(DIGEST):
            yield {"id": control.IMAGE, "aux": {"ID": identifier}}

    def _begin(self, request: SolveRequest) -> tuple[int, int]:
        """Asks for the build, and for reports of it. The numbers of the two calls."""
        calls = []
        for path, message in ((SOLVE, request), (STATUS, StatusRequest(request.ref))):
            calls.append(self._peer.call(path))
            self._peer.send(calls[-1], encode(message))
            self._peer.end(calls[-1])
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run, self._read), name="dockerlab solve", daemon=True)
        self._thread.start()
        return calls[0], calls[1]

    def _run(self, read: Callable[[int], bytes]) -> None:
        try:
            self._write()
            while not self._is_closed.is_set() and (data := read(_PIECE)):
                for event in self._peer.receive(data):
                    self._put(event)
                self._write()
        except grpc.BrokenError:
            with suppress(*_ERRORS):
                self._write()
        except _ERRORS:
            pass  # the end of the connection
        finally:
            self._put(None)

    def _write(self) -> None:
        if data := self._peer.outgoing():
            self._connection.sock.sendall(data)

    def _put(self, event: grpc.Event | None) -> None:
        while not self._is_closed.is_set():
            with suppress(queue.Full):
                self._found.put(event, timeout=0.2)
                return


def _answer(data: bytes) -> SolveResponse:
    try:
        return decode(SolveResponse, data)
    except MalformedError as error:
        raise EngineError("the engine's answer to the build cannot be read", evidence=[str(error)]) from error
