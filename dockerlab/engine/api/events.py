"""/events: what happens in the engine, as it happens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dockerlab.engine.events import Event, Events, Subscription, ordered, parse_time
from dockerlab.engine.filters import parse
from dockerlab.engine.http.types import Request, Response, Route, Stream

if TYPE_CHECKING:
    from dockerlab.engine.core import Engine


class _Lines:
    """A subscription as lines of JSON; closed, whether it was read or not, it is no longer one."""

    def __init__(self, events: Events, subscription: Subscription) -> None:
        self._events, self._subscription = events, subscription
        self._source: Iterator[Event] = iter(subscription)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return json.dumps(next(self._source).to_json(), separators=(",", ":"), ensure_ascii=False).encode() + b"\n"

    def close(self) -> None:
        """From any thread, and twice."""
        self._events.unsubscribe(self._subscription)


def events(engine: Engine, request: Request) -> Response:
    """GET /events"""
    query = request.query
    since, until = ordered(parse_time(query.text("since")), parse_time(query.text("until")))
    lines = _Lines(engine.events, engine.events.subscribe(since, until, parse(query.text("filters"))))
    return Stream(lines, cancel=lines.close)


ROUTES = (Route("GET", "/events", events),)
