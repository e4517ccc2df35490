"""What happens in the engine, told to whoever listens: `docker events`.

An event is kept for a while (Docker keeps 256, so do we) so that a listener may ask for what happened `since`. Emitting never waits:
each subscription has a queue of its own, and one that does not read loses events, as with Docker. Safe to use from any thread.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from dockerlab.engine.filters import Filters
from dockerlab.errors import EngineError, UsageError

HISTORY = 256
_AHEAD = 4096  # events that a subscriber may lag behind
_LONGEST_WAIT = 3600.0  # seconds; a wait until a far future is cut into pieces that every platform can count

# These carry a text after a colon, and are asked for without it.
_WITH_TEXT = ("health_status", "exec_create", "exec_start")


@dataclass(frozen=True)
class Event:
    """type: "container", "image", "network", "volume", …; action: what happened; id: to which one; time: nanoseconds since 1970."""

    type: str
    action: str
    id: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    time: int = 0

    def to_json(self) -> dict[str, Any]:
        """As the Engine API has it; containers and images in the old form, too."""
        return self._old_form() | {
            "Type": self.type,
            "Action": self.action,
            "Actor": {"ID": self.id, "Attributes": dict(sorted(self.attributes.items()))},
            "scope": "local",
            "time": self.time // 1_000_000_000,
            "timeNano": self.time,
        }

    def _old_form(self) -> dict[str, Any]:
        old = {"status": self.action, "id": self.id}
        if self.type == "container":
            return old | {"from": self.attributes.get("image", "")}
        return old if self.type == "image" else {}


def matches(event: Event, filters: Filters) -> bool:
    """Whether a subscriber with these filters wants the event; compared as Docker compares."""
    name = event.attributes.get("name", "")
    return (
        filters.is_exact("type", event.type)
        and filters.is_exact("scope", "local")
        and _is_action(event.action, filters)
        and _is_image(event, filters)
        and filters.has_labels(event.attributes)
        and all(filters.is_prefix(kind, event.id) or filters.is_prefix(kind, name) for kind in ("container", "network", "volume"))
        and all(filters.is_prefix(kind, event.id) or filters.is_prefix(kind, name) for kind in ("daemon", "plugin"))
    )


def _is_action(action: str, filters: Filters) -> bool:
    if any(value in _WITH_TEXT for value in filters.values("event")):
        return filters.is_prefix("event", action)
    return filters.is_exact("event", action)


def _is_image(event: Event, filters: Filters) -> bool:
    name = event.attributes.get("name" if event.type == "image" else "image", "")
    return any(filters.is_exact("image", text) for text in (event.id, name, _without_tag(event.id), _without_tag(name)))


def _without_tag(reference: str) -> str:
    repository, colon, tag = reference.rpartition(":")
    return repository if colon and "/" not in tag else reference


def parse_time(text: str) -> int | None:
    """Nanoseconds since 1970 from "seconds" or "seconds.fraction"; None from "" or "0". Raises EngineError."""
    if not text or text == "0":
        return None
    seconds, _, fraction = text.partition(".")
    if not seconds.lstrip("-").isdecimal() or not seconds.isascii():
        raise EngineError(f'strconv.ParseInt: parsing "{seconds}": invalid syntax', status=500)
    if fraction and not (fraction.isdecimal() and fraction.isascii()):
        raise EngineError(f'strconv.ParseInt: parsing "{fraction}": invalid syntax', status=500)
    return int(seconds) * 1_000_000_000 + int((fraction + "0" * 9)[:9])


def ordered(since: int | None, until: int | None) -> tuple[int | None, int | None]:
    """The two ends of a period. Raises UsageError where it ends before it begins."""
    if since is not None and until is not None and since > until:
        raise UsageError(f"`since` time ({since // 10**9}) cannot be after `until` time ({until // 10**9})")
    return since, until


class Subscription:
    """The events that one listener wants; iterate over it. `close` ends the iteration, from any thread."""

    def __init__(self, past: list[Event], until: int | None, filters: Filters) -> None:
        self._past, self._until, self._filters = past, until, filters
        self._queue: queue.Queue[Event | None] = queue.Queue(_AHEAD)
        self._closed = False

    def __iter__(self) -> Iterator[Event]:
        for event in self._past:
            if self._closed:
                return
            yield event
        while not self._closed:
            left = self._seconds_left()
            try:
                found = self._queue.get_nowait() if left <= 0 else self._queue.get(timeout=left)
            except queue.Empty:
                if self._seconds_left() <= 0:
                    return
                continue
            if found is None or self._is_late(found):
                return
            yield found

    def offer(self, event: Event) -> None:
        """Called by `Events.emit`; never waits."""
        if matches(event, self._filters):
            # A listener that does not read must not stop what it listens to.
            with suppress(queue.Full):
                self._queue.put_nowait(event)

    def close(self) -> None:
        """Ends it; twice is fine."""
        self._closed = True
        # With a full queue the reader is not waiting, and sees the flag.
        with suppress(queue.Full):
            self._queue.put_nowait(None)

    def _seconds_left(self) -> float:
        if self._until is None:
            return _LONGEST_WAIT
        return min((self._until - time.time_ns()) / 1e9, _LONGEST_WAIT)

    def _is_late(self, event: Event) -> bool:
        return self._until is not None and event.time > self._until


class Events:
    """The engine's events: `emit` them, `subscribe` to them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._history: deque[Event] = deque(maxlen=HISTORY)
        self._subscriptions: list[Subscription] = []
        self._hearers: list[Callable[[Event], None]] = []

    @property
    def listeners(self) -> int:
        """How many subscriptions are open."""
        return len(self._subscriptions)

    def emit(self, type: str, action: str, id: str, attributes: Mapping[str, str] | None = None) -> Event:
        """Tells what happened now."""
        with self._lock:
            event = Event(type, action, id, dict(attributes or {}), time.time_ns())
            self._history.append(event)
            for subscription in self._subscriptions:
                subscription.offer(event)
        for hear in self._hearers:
            hear(event)
        return event

    def listen(self, hear: Callable[[Event], None]) -> None:
        """Another part of the engine is told of every event, in the thread that emits it; it must not wait."""
        self._hearers.append(hear)

    def subscribe(self, since: int | None = None, until: int | None = None, filters: Filters | None = None) -> Subscription:
        """Events from now on, after those since `since` that are remembered; until `until`. Close it with `unsubscribe`."""
        wanted = filters or Filters()
        with self._lock:
            past = [] if since is None and until is None else [e for e in self._history if _is_within(e, since, until)]
            subscription = Subscription([e for e in past if matches(e, wanted)], until, wanted)
            self._subscriptions.append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Closes a subscription and forgets it; twice is fine."""
        # It may be gone: the client left while the last event was on its way.
        with self._lock, suppress(ValueError):
            self._subscriptions.remove(subscription)
        subscription.close()


def _is_within(event: Event, since: int | None, until: int | None) -> bool:
    return (since is None or event.time >= since) and (until is None or event.time <= until)
