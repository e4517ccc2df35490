"""Whatever comes in on the socket: an answer that says what is wrong, not in Python's words, an engine that goes on, and a clean log."""

from __future__ import annotations

import json
import os
import random
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dockerlab.engine import workers
from dockerlab.engine.containers import body
from dockerlab.engine.json_shapes import List, Map, Scalar, Shape, Struct
from tests.embedded.rungs import OwnEngine, engine, eventually, resident
from tests.embedded.serving import Talk

HEAD = b" HTTP/1.1\r\nHost: d\r\n"
WRONG: tuple[Any, ...] = ("text", 7, -1, 1.5, True, [7], ["a"], [[]], [{}], {"a": 1}, {"a": "b"}, {"a": []}, {"a": {}}, 2**70)


@pytest.fixture(scope="module")
def shared() -> Iterator[OwnEngine]:
    with engine("user" if os.getuid() else "root") as own:
        yield own


@pytest.fixture
def own(shared: OwnEngine) -> Iterator[OwnEngine]:
    before = len(shared.said())
    yield shared
    assert shared.client.ask("GET", "/_ping").body == b"OK"
    said = shared.said()[before:]
    assert "Traceback" not in said, said[-2000:]


def exchange(own: OwnEngine, sent: bytes) -> bytes:
    """All that comes back on a connection whose client sends that and then no more."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(own.home.socket))
        with suppress(BrokenPipeError, ConnectionResetError):  # it was refused before all of it was sent
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)
        found = b""
        with suppress(ConnectionResetError):
            while data := sock.recv(65536):
                found += data
        return found


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST /containers/create" + HEAD + b"Content-Length: -1\r\n\r\n", 400),
        (b"POST /containers/create" + HEAD + b"Content-Length: 99999999999999999999\r\n\r\n{}", 400),
        (b"POST /containers/create" + HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400),
        (b"POST /containers/create" + HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST /containers/create" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
        (b"POST /containers/create" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffffffff\r\n{", 400),
        (b"POST /containers/create" + HEAD + b"Content-Length: 20\r\n\r\n{", 400),
        (b"GET /containers/json" + HEAD + b"X: a\x00b\r\n\r\n", 400),
        (b"GET /containers/json" + HEAD + b"X : a\r\n\r\n", 400),
        (b"GET /containers/json" + HEAD + b"X: a\r\n folded\r\n\r\n", 200),
        (b"GET /containers\x00/json" + HEAD + b"\r\n", 400),
        (b"GET /containers/a%00b/json" + HEAD + b"\r\n", 400),
        (b"GET /containers/%zz%/json" + HEAD + b"\r\n", 400),
        (b"GET /containers/%ff%fe/json" + HEAD + b"\r\n", 404),
        (b"GET /images/%2e%2e%2f%2e%2e%2fetc%2fpasswd/json" + HEAD + b"\r\n", 400),
        (b"GET /" + b"a" * 500_000 + HEAD + b"\r\n", 404),
        (b"GET /containers/json?filters=" + b"[" * 100_000 + HEAD + b"\r\n", 400),
        (b"GET /containers/json HTTP/2.0\r\nHost: d\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\n", 400),
        (b"\r\n\r\nGET /_ping" + HEAD + b"\r\n", 400),
        (b"BREW /_ping" + HEAD + b"\r\n", 404),
    ],
)
def test_what_is_not_right(own: OwnEngine, sent: bytes, status: int) -> None:
    assert statuses(exchange(own, sent)) == [status]


def test_nothing_is_smuggled(own: OwnEngine) -> None:
    """Of two lengths neither counts: what one of them would leave is not taken for a request."""
    second = b"GET /_ping" + HEAD + b"\r\n"
    sent = b"POST /containers/create" + HEAD + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(second)
    assert statuses(exchange(own, sent + second)) == [400]


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "{", "nul", "[]", "7", '"x"', "\x00", "{}x"])
def test_bodies_that_are_no_object(own: OwnEngine, text: str) -> None:
    for path in ("/containers/create", "/networks/create", "/volumes/create"):
        reply = _post(own, path, text)
        assert reply.status in (400, 404), (path, reply)
        assert "Error:" not in reply.json()["message"].replace("invalid JSON: ", "")


def _post(own: OwnEngine, path: str, text: str) -> Any:
    with Talk(own.home.socket) as talk:
        return talk.ask("POST", path, text.encode(), {"Content-Type": "application/json"})


def places(shape: Shape, around: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Shape]]:
    """Every place of a request, at whatever depth: the names and numbers that lead there, and what belongs there."""
    yield around, shape
    match shape:
        case Struct():
            for name, of in shape.fields.items():
                yield from places(of, (*around, name))
        case List():
            yield from places(shape.of, (*around, 0))
        case Map():
            yield from places(shape.of, (*around, "80/tcp"))


def belongs(value: Any, shape: Shape) -> bool:
    """Whether a value may have that type, looked at from outside."""
    match shape:
        case Scalar():
            if shape.of is not int:
                return isinstance(value, shape.of)
            return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
        case List():
            return (shape.words and isinstance(value, str)) or (
                isinstance(value, list) and all(belongs(one, shape.of) for one in value)
            )
        case Map():
            return isinstance(value, dict) and all(belongs(one, shape.of) for one in value.values())
        case Struct():
            return isinstance(value, dict)


def put(place: tuple[Any, ...], value: Any) -> Any:
    for step in reversed(place):
        value = [value] if step == 0 else {step: value}
    return value


@pytest.mark.parametrize("wrong", WRONG, ids=json.dumps)
def test_every_field_with_every_wrong_type(own: OwnEngine, wrong: Any) -> None:
    for place, of in places(body.CREATE):
        if place and not belongs(wrong, of):
            reply = _post(own, "/containers/create", json.dumps({"Image": "busybox"} | put(place, wrong)))
            message = reply.json()["message"]
            assert (reply.status, message[:14]) == (400, "invalid JSON: "), (place, message)
    assert own.client.get("/containers/json", all=1) == []


TARGETS = [
    ("GET", "/containers/json?all=1&filters=%7B%22name%22%3A%5B%22a%22%5D%7D", ""),
    ("POST", "/containers/create?name=fuzz", '{"Image": "busybox", "Cmd": ["true"], "HostConfig": {"Binds": ["/tmp:/x"]}}'),
    ("GET", "/containers/none/logs?stdout=1&tail=5&since=1.5", ""),
    ("POST", "/containers/none/exec", '{"Cmd": ["ls"], "Tty": true}'),
    ("GET", "/images/json?filters=%7B%22dangling%22%3A%7B%22true%22%3Atrue%7D%7D", ""),
    ("POST", "/networks/create", '{"Name": "fuzz", "IPAM": {"Config": [{"Subnet": "10.0.0.0/8"}]}}'),
    ("POST", "/volumes/create", '{"Name": "fuzz", "Labels": {"a": "b"}}'),
    ("PUT", "/containers/none/archive?path=/", "tar"),
    ("POST", "/images/busybox/tag?repo=fuzz&tag=1", ""),
    ("GET", "/events?since=1&until=2&filters=%7B%7D", ""),
]  # fmt: skip


def mutated(data: bytes, seed: int) -> bytes:
    """A few bytes of a request changed, taken away, doubled, or put elsewhere."""
    rng, found = random.Random(seed), bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(found))
        match rng.randrange(4):
            case 0:
                found[place] = rng.randrange(256)
            case 1:
                del found[place : place + rng.randint(1, 20)]
            case 2:
                found[place:place] = bytes(found[place : place + rng.randint(1, 40)]) * rng.randint(1, 3)
            case _:
                found[place:place] = rng.choice([b"\0", b"%", b"\r\n", b'"', b"{", b"]", b"\xff", b"null", b"1e400", b"-"])
        if not found:
            return b""
    return bytes(found)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(target=st.sampled_from(TARGETS), seed=st.integers(0, 2**32))
def fuzz(own: OwnEngine, target: tuple[str, str, str], seed: int) -> None:
    method, path, text = target
    head = f"{method} {path} HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}"
    answers = exchange(own, mutated(head.encode(), seed))
    assert b"Traceback" not in answers
    assert not re.search(rb'"message":"\w+(Error|Exception): ', answers), answers


def test_requests_with_changed_bytes(own: OwnEngine) -> None:
    fuzz(own)
    own.clear()
    own.client.post("/volumes/prune", filters={"all": ["true"]})
    own.client.post("/networks/prune")


def test_who_leaves_in_the_middle_of_an_answer(own: OwnEngine) -> None:
    made = own.client.run("sh", "-c", "dd if=/dev/zero of=/big bs=1M count=32; yes")
    for path in (f"/containers/{made}/archive?path=/big", f"/containers/{made}/export", f"/containers/{made}/logs?stdout=1&follow=1",
                 f"/containers/{made}/stats", "/events"):  # fmt: skip
        with Talk(own.home.socket) as talk:
            talk.send(f"GET {path}".encode() + HEAD + b"\r\n")
            assert talk.head().status == 200
            if path != "/events":
                assert talk.chunk()
    own.clear()
    eventually(lambda: not own.leftovers(), f"left: {own.leftovers()}")


def test_a_thousand_that_say_nothing(own: OwnEngine) -> None:
    before, threads = resident(own.pid), own.counts()
    silent = [Talk(own.home.socket) for _ in range(900)]
    slow = [Talk(own.home.socket) for _ in range(100)]
    for talk in slow:
        talk.send("GET /_ping HTTP/1.1\r\nHo")
    assert own.client.wait(own.client.run("sh", "-c", "exit 3")) == 3
    assert resident(own.pid) - before < 60
    for talk in slow:
        talk.send("st: d\r\n\r\n")
        assert talk.reply().body == b"OK"
    for talk in (*silent, *slow):
        talk.__exit__()
    eventually(lambda: own.counts()[1] <= threads[1] + workers.KEPT, "their threads stay")
