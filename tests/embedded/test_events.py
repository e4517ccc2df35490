"""The engine's events: what is told, to whom, and that nobody who does not listen holds up the rest."""

from __future__ import annotations

import threading
import time

import pytest

from dockerlab.engine.events import HISTORY, Event, Events, matches, ordered, parse_time
from dockerlab.engine.filters import Filters, parse
from dockerlab.errors import DockerlabError, UsageError

SECOND = 10**9


def test_a_container_event_has_the_old_form_too() -> None:
    event = Event("container", "start", "abc", {"name": "web", "image": "busybox", "a": "b"}, 1_500_000_000)
    assert event.to_json() == {
        "status": "start",
        "id": "abc",
        "from": "busybox",
        "Type": "container",
        "Action": "start",
        "Actor": {"ID": "abc", "Attributes": {"a": "b", "image": "busybox", "name": "web"}},
        "scope": "local",
        "time": 1,
        "timeNano": 1_500_000_000,
    }


def test_only_containers_and_images_have_the_old_form() -> None:
    assert "status" not in Event("volume", "create", "v").to_json()
    image = Event("image", "tag", "sha256:1").to_json()
    assert image["status"] == "tag"
    assert "from" not in image


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({}, True),
        ({"type": ("container",)}, True),
        ({"type": ("volume", "network")}, False),
        ({"event": ("start",)}, False),
        ({"event": ("health_status",)}, True),
        ({"event": ("health_status: healthy",)}, True),
        ({"event": ("health_status: unhealthy",)}, False),
        ({"container": ("web",)}, True),
        ({"container": ("0123",)}, True),
        ({"container": ("we",)}, True),  # Docker compares the beginning
        ({"container": ("db",)}, False),
        ({"image": ("busybox",)}, True),
        ({"image": ("busybox:latest",)}, True),
        ({"image": ("python",)}, False),
        ({"label": ("a",)}, True),
        ({"label": ("a=b", "c")}, False),
        ({"scope": ("swarm",)}, False),
        ({"nothing": ("x",)}, True),
    ],
)
def test_filters_choose(filters: dict[str, tuple[str, ...]], wanted: bool) -> None:
    event = Event("container", "health_status: healthy", "0123456789", {"name": "web", "image": "busybox:latest", "a": "b"})
    assert matches(event, Filters(filters)) is wanted


def test_filters_come_in_two_spellings() -> None:
    assert parse('{"type":["a","b"]}') == parse('{"type":{"a":true,"b":true}}') == Filters({"type": ("a", "b")})
    assert parse("") == parse("{}") == parse("null") == parse('{"type":[]}') == Filters()


@pytest.mark.parametrize("text", ["zz", "[]", '{"a":"b"}', '{"a":[1]}'])
def test_filters_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="invalid filter"):
        parse(text)


def test_a_term_that_is_not_known_is_refused() -> None:
    with pytest.raises(UsageError, match="invalid filter 'foo'"):
        parse('{"foo":["x"]}', ("label",))


@pytest.mark.parametrize(
    ("text", "nanoseconds"), [("", None), ("0", None), ("12", 12 * SECOND), ("1.5", 1_500_000_000), ("1.000000001", SECOND + 1)]
)
def test_times(text: str, nanoseconds: int | None) -> None:
    assert parse_time(text) == nanoseconds


@pytest.mark.parametrize("text", ["zz", "10m", "1.x", "2020-01-01", "²"])
def test_times_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(DockerlabError, match="invalid syntax"):
        parse_time(text)


def test_since_after_until_is_refused() -> None:
    with pytest.raises(UsageError, match=r"`since` time \(10\) cannot be after `until` time \(5\)"):
        ordered(10 * SECOND, 5 * SECOND)


def test_what_happened_since_is_remembered() -> None:
    events = Events()
    first = events.emit("volume", "create", "a")
    second = events.emit("volume", "create", "b")
    third = events.emit("network", "create", "c")
    now = time.time_ns()
    assert list(events.subscribe(first.time, now)) == [first, second, third]
    assert list(events.subscribe(first.time, now, Filters({"type": ("network",)}))) == [third]
    assert list(events.subscribe(None, first.time - 1)) == []


def test_the_history_is_bounded() -> None:
    events = Events()
    for number in range(HISTORY + 10):
        events.emit("volume", "create", str(number))
    remembered = list(events.subscribe(1, time.time_ns()))
    assert [event.id for event in remembered] == [str(number) for number in range(10, HISTORY + 10)]


def test_without_since_only_what_is_new() -> None:
    events = Events()
    events.emit("volume", "create", "old")
    subscription = events.subscribe()
    new = events.emit("volume", "create", "new")
    assert next(iter(subscription)) == new
    events.unsubscribe(subscription)


def test_a_waiting_subscription_is_cancelled_from_another_thread() -> None:
    events = Events()
    subscription = events.subscribe()
    seen: list[Event] = []
    reader = threading.Thread(target=lambda: seen.extend(subscription))
    reader.start()
    event = events.emit("volume", "create", "a")
    events.unsubscribe(subscription)
    events.unsubscribe(subscription)
    reader.join(20)
    assert not reader.is_alive()
    assert seen in ([event], [])
    assert events.listeners == 0


def test_a_subscription_ends_at_its_time() -> None:
    events = Events()
    subscription = events.subscribe(None, time.time_ns() + SECOND // 20)
    assert list(subscription) == []


def test_who_does_not_read_holds_nobody_up() -> None:
    events = Events()
    stuck = events.subscribe()
    last = [events.emit("volume", "create", str(number)) for number in range(10_000)][-1]
    assert last.id == "9999"
    events.unsubscribe(stuck)
    assert list(stuck) == []
