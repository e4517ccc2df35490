"""What a handler gets and gives.

    def inspect(engine: Engine, request: Request) -> Response:
        return Answer(engine.containers.get(request.params["id"]).json())

    ROUTES = (Route("GET", "/containers/{id}/json", inspect),)

A handler answers in one of three ways: `Answer` (a value, whole), `Stream` (chunks that come over time), `Hijack` (the connection
itself, for attach and exec). It raises `dockerlab.errors`: the server answers `{"message": …}` with the error's status. Handlers run in
the thread of their connection and may block.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from dockerlab.errors import UsageError

# The API that is served, and the oldest that a client may ask for.
API = (1, 48)
OLDEST_API = (1, 24)

JSON = "application/json"
TAR = "application/x-tar"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
RAW = "application/vnd.docker.raw-stream"

_JSON_LIMIT = 64 << 20
_FALSE = ("", "0", "no", "false", "none")


class Query:
    """The query of a request. What is not there is the default."""

    def __init__(self, values: Mapping[str, list[str]] | None = None) -> None:
        self._values = dict(values or {})

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str, default: str = "") -> str:
        """The first value."""
        return self._values[name][0] if self._values.get(name) else default

    def all(self, name: str) -> list[str]:
        """Every value: `names=a&names=b`."""
        return list(self._values.get(name, ()))

    def flag(self, name: str, default: bool = False) -> bool:
        """Yes or no as Docker reads it: all but "", 0, no, false and none is yes."""
        return self._values[name][0].strip().lower() not in _FALSE if self._values.get(name) else default

    def number(self, name: str, default: int | None = None) -> int | None:
        """A whole number; the default where it is not given or empty. Raises UsageError."""
        text = self.text(name).strip()
        if not text:
            return default
        try:
            return int(text)
        except ValueError:
            raise UsageError(f'invalid value for {name}: strconv.Atoi: parsing "{text}": invalid syntax') from None

    def json(self, name: str, default: Any = None) -> Any:
        """A value that is written as JSON; the default where it is not given or empty. Raises UsageError."""
        text = self.text(name).strip()
        if not text:
            return default
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"invalid JSON in {name}: {error}") from None

    def filters(self, name: str = "filters") -> dict[str, list[str]]:
        """Docker's filters, each with its values. Both spellings: `{"label":["a=b"]}` and `{"label":{"a=b":true}}`."""
        value = self.json(name, {}) or {}
        if not isinstance(value, dict):
            raise UsageError("invalid filter")
        found: dict[str, list[str]] = {}
        for key, values in value.items():
            chosen = [text for text, is_set in values.items() if is_set] if isinstance(values, dict) else values
            if not isinstance(chosen, list) or not all(isinstance(text, str) for text in chosen):
                raise UsageError("invalid filter")
            found[key] = chosen
        return found


class Body:
    """The body of a request, read as it arrives: a file for `read`, or JSON.

    pull: gives the next piece, b"" at the end; raises ConnectionError if the client leaves within it.
    """

    def __init__(self, pull: Callable[[], bytes] | None = None, content_type: str = "") -> None:
        self._pull = pull
        self._buffer = b""
        self._content_type = content_type

    @classmethod
    def of(cls, data: bytes, content_type: str = JSON) -> Body:
        """A body that is there already."""
        pieces = iter([data] if data else [])
        return cls(lambda: next(pieces, b""), content_type)

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to `size` bytes, fewer only at the end; all of it without a size."""
        if size is None or size < 0:
            pieces = [self._buffer]
            self._buffer = b""
            while piece := self._next():
                pieces.append(piece)
            return b"".join(pieces)
        if len(self._buffer) < size:
            pieces, there = [self._buffer], len(self._buffer)
            while there < size and (piece := self._next()):
                pieces.append(piece)
                there += len(piece)
            self._buffer = b"".join(pieces)
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def pieces(self) -> Iterator[bytes]:
        """The rest, in pieces as they arrive."""
        if self._buffer:
            data, self._buffer = self._buffer, b""
            yield data
        while piece := self._next():
            yield piece

    def json(self) -> dict[str, Any]:
        """The body as a JSON object, {} where it is empty. Raises UsageError for anything else."""
        data = self.read(_JSON_LIMIT + 1)
        if len(data) > _JSON_LIMIT:
            raise UsageError("the request's JSON is too long", status=413)
        if not data.strip():
            return {}
        kind = self._content_type.partition(";")[0].strip().lower()
        if kind not in ("", JSON):
            raise UsageError(f"unsupported Content-Type header ({kind}): must be '{JSON}'")
        try:
            value = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"invalid JSON: {error}") from None
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise UsageError(f"invalid JSON: an object is expected, not {data[:20].decode('utf-8', 'replace')!r}")
        return value

    def _next(self) -> bytes:
        return self._pull() if self._pull else b""


Watched = Callable[[Callable[[], None]], AbstractContextManager[None]]


@dataclass(frozen=True)
class Request:
    """path: decoded, without `/v1.NN`. version: the one that the client asks for, `API` if none. headers: by lower-case name.
    params: what stands in the route's braces. watched: has a callback called, from another thread, if the client leaves within the
    block, for a handler that waits long before it answers; not while it reads the body, which says so itself."""

    method: str
    path: str
    version: tuple[int, int] = API
    query: Query = field(default_factory=Query)
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    body: Body = field(default_factory=Body)
    watched: Watched = lambda _: nullcontext()

    @property
    def wants_upgrade(self) -> bool:
        """Whether the client asks for a raw connection with an `Upgrade` header."""
        return "upgrade" in self.headers


@dataclass(frozen=True)
class Answer:
    """value: sent as JSON; bytes as they are, text as plain text; None: no body. A status without a body (204, 304) drops it."""

    value: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stream:
    """An answer in pieces, each sent at once; its head before the first piece is asked for, as clients of `wait` and `events` expect.

    So what can be refused is refused by the handler: an error that the iterator raises breaks the connection off.
    cancel: called once from another thread when the client leaves or the engine ends, so that an iterator which waits for something
    can end; it must not wait itself. The iterator is closed in any case.
    """

    chunks: Iterator[bytes]
    content_type: str = JSON
    cancel: Callable[[], None] | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Connection(Protocol):
    """A client's connection once it is no longer HTTP. What came along with the request is received first.

    To wait with `poll`, look at `pending` before: bytes that have been received already do not wake it.
    """

    @property
    def pending(self) -> bool:
        """Whether there are bytes that came along with the request and have not been received yet."""

    def recv(self, size: int, /) -> bytes:
        """What the client sent; b"" after it closed its side, or after the engine ended the connection. Raises OSError."""

    def sendall(self, data: bytes, /) -> None:
        """Raises OSError if the client is gone."""

    def shutdown_write(self) -> None:
        """No more is sent; the client may go on."""

    def fileno(self) -> int:
        """The socket's descriptor, to wait on."""

    def close(self) -> None:
        """Ends both ways; wakes whoever waits in recv or sendall in another thread. Done anyway when `run` returns."""


@dataclass(frozen=True)
class Hijack:
    """Hands over the connection. run: called in the connection's thread once the head is sent. multiplexed: what is sent comes in frames
    (`dockerlab.wire.multiplex`), not as a terminal's bytes; it is the handler that makes them. upgrade: the head's fields where the
    connection goes on with a protocol of its own."""

    run: Callable[[Connection], None]
    multiplexed: bool = True
    upgrade: Mapping[str, str] | None = None


Response = Answer | Stream | Hijack
Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE"]
# The first argument is the engine. It is not named here: HTTP knows nothing of engines.
Handler = Callable[[Any, Request], Response]


@dataclass(frozen=True)
class Route:
    """pattern: `/containers/{id}/json`; `{name:path}` holds slashes, too. Where several match, the first in the table is taken."""

    method: Method
    pattern: str
    handler: Handler
