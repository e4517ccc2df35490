"""gRPC without a socket: two peers that talk, one that talks to HTTP/2 itself. Strangers: `test_wire_grpc_hostile`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import h2.config
import h2.connection
import h2.events
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockerlab.wire import grpc
from dockerlab.wire.grpc import (
    CANCELLED,
    OK,
    UNAVAILABLE,
    UNKNOWN,
    BrokenError,
    Called,
    Ended,
    Message,
    Peer,
)

PATH = "/package.Service/Method"
TYPE = ("content-type", "application/grpc")


class Talk:
    """A caller and a server. heard: what each of them was told."""

    def __init__(self, *, holds: bool = False) -> None:
        self.caller, self.server = Peer(is_server=False), Peer(is_server=True, holds=holds)
        self.told: list[grpc.Event] = []
        self.answered: list[grpc.Event] = []

    def settle(self, cut: Callable[[bytes], Sequence[bytes]] = lambda data: [data]) -> None:
        """Until both are silent."""
        is_silent = False
        while not is_silent:
            out = self.caller.outgoing()
            for piece in cut(out):
                self.told += self.server.receive(piece)
            back = self.server.outgoing()
            for piece in cut(back):
                self.answered += self.caller.receive(piece)
            is_silent = not out and not back

    def call(self, *messages: bytes) -> int:
        """A call that has said all it has to say, and has arrived."""
        stream = self.caller.call(PATH)
        self.caller.send(stream, *messages)
        self.caller.end(stream)
        self.settle()
        return stream


class Raw:
    """HTTP/2 as such against a peer: what gRPC would not say."""

    def __init__(self, *, is_server: bool) -> None:
        self.peer = Peer(is_server=is_server)
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=is_server, header_encoding="utf-8"))
        self.http.initiate_connection()
        self.seen: list[h2.events.Event] = []
        self.settle()

    def settle(self) -> list[grpc.Event]:
        found: list[grpc.Event] = []
        is_silent = False
        while not is_silent:
            out = self.http.data_to_send()
            found += self.peer.receive(out)
            back = self.peer.outgoing()
            self.seen += self.http.receive_data(back)
            is_silent = not out and not back
        return found

    def call(self, *headers: tuple[str, str], end: bool = False) -> int:
        """A call from outside."""
        stream = self.http.get_next_available_stream_id()
        head = [(":method", "POST"), (":scheme", "http"), (":path", PATH), (":authority", "localhost"), TYPE, *headers]
        self.http.send_headers(stream, head, end_stream=end)
        return stream


def framed(data: bytes) -> bytes:
    return b"\0" + len(data).to_bytes(4, "big") + data


# Calls


def test_one_message_and_its_answer() -> None:
    talk = Talk()
    stream = talk.caller.call(PATH, {"name": ["a", "b"], "test-name": ["c"], "authorization": ["d"]})
    talk.caller.send(stream, b"question")
    talk.caller.end(stream)
    talk.settle()
    assert talk.told == [
        Called(stream, PATH, {"name": ["a", "b"], "test-name": ["c"], "authorization": ["d"]}),
        Message(stream, b"question"),
        Ended(stream),
    ]
    talk.server.send(stream, b"answer")
    talk.server.finish(stream)
    talk.settle()
    assert talk.answered == [Message(stream, b"answer"), Ended(stream)]


def test_both_sides_say_much_in_turn() -> None:
    talk = Talk()
    stream = talk.caller.call(PATH)
    for index in range(20):
        talk.caller.send(stream, b"q%d" % index, b"")
        talk.settle()
        talk.server.send(stream, b"a%d" % index)
        talk.settle()
    talk.caller.end(stream)
    talk.settle()
    talk.server.finish(stream)
    talk.settle()
    assert talk.told[1:] == [m for i in range(20) for m in (Message(stream, b"q%d" % i), Message(stream, b""))] + [Ended(stream)]
    assert talk.answered == [Message(stream, b"a%d" % i) for i in range(20)] + [Ended(stream)]


@pytest.mark.parametrize("holds", [False, True])
def test_messages_that_are_longer_than_the_windows(holds: bool) -> None:
    talk = Talk(holds=holds)
    stream = talk.caller.call(PATH)
    long = [bytes([index]) * (3_000_000 + index) for index in range(3)] + [b"z" * grpc.LONGEST_MESSAGE]
    talk.caller.send(stream, *long)
    talk.caller.end(stream)
    assert talk.caller.waiting(stream) > 24_000_000
    while (out := talk.caller.outgoing()) or talk.caller.waiting(stream):
        for event in talk.server.receive(out):
            talk.told.append(event)
            talk.server.taken(stream)
        talk.caller.receive(talk.server.outgoing())
    assert talk.caller.waiting(stream) == 0
    assert talk.told == [Called(stream, PATH, {}), *(Message(stream, data) for data in long), Ended(stream)]


def test_what_is_not_taken_makes_no_room() -> None:
    """And keeps no other call waiting."""
    talk = Talk(holds=True)
    slow, fast = talk.caller.call(PATH), talk.caller.call(PATH)
    talk.caller.send(slow, *[b"x" * 50_000] * 100)
    talk.settle()
    waits = talk.caller.waiting(slow)
    assert waits > 3_900_000
    talk.caller.send(fast, *[b"y" * 50_000] * 10)
    talk.settle()
    assert (talk.caller.waiting(slow), talk.caller.waiting(fast)) == (waits, 0)
    talk.server.taken(slow)
    talk.settle()
    assert 0 < talk.caller.waiting(slow) < waits


def test_an_answer_that_waits_ends_after_it() -> None:
    talk = Talk()
    stream = talk.call()
    talk.server.send(stream, *[b"x" * 100_000] * 30)
    talk.server.finish(stream, 5, "not found: 'ü' 100%\n")
    talk.server.send(stream, b"too late")
    talk.settle()
    assert talk.answered == [*[Message(stream, b"x" * 100_000)] * 30, Ended(stream, 5, "not found: 'ü' 100%\n")]


def test_many_calls_at_a_time() -> None:
    talk = Talk()
    talk.settle()
    streams = [talk.caller.call(PATH) for _ in range(100)]
    talk.settle()
    with pytest.raises(BrokenError, match="cannot call /package"):
        talk.caller.call(PATH)
    for stream in reversed(streams):
        talk.caller.send(stream, b"%d" % stream)
        talk.caller.end(stream)
    talk.settle()
    for event in talk.told:
        if isinstance(event, Message):
            talk.server.send(event.stream, event.data * 30_000)
            talk.server.finish(event.stream)
    talk.settle()
    answers = {event.stream: event.data for event in talk.answered if isinstance(event, Message)}
    assert answers == {stream: b"%d" % stream * 30_000 for stream in streams}
    assert sorted(event.stream for event in talk.answered if event == Ended(event.stream)) == streams
    for _ in range(300):  # what has ended makes room
        stream = talk.call(b"once more")
        talk.server.finish(stream)
        talk.settle()
        assert talk.answered[-1] == Ended(stream)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=5), st.lists(st.integers(1, 70), min_size=1, max_size=8))
def test_bytes_may_be_cut_anywhere(messages: list[bytes], sizes: list[int]) -> None:
    def cut(data: bytes) -> list[bytes]:
        pieces: list[bytes] = []
        while data:
            size = sizes[len(pieces) % len(sizes)]
            pieces.append(data[:size])
            data = data[size:]
        return pieces

    talk = Talk()
    stream = talk.caller.call(PATH, {"name": ["value"]})
    talk.caller.send(stream, *messages)
    talk.caller.end(stream)
    talk.settle(cut)
    assert talk.told == [Called(stream, PATH, {"name": ["value"]}), *(Message(stream, data) for data in messages), Ended(stream)]
    talk.server.send(stream, *messages)
    talk.server.finish(stream, 2, "text")
    talk.settle(cut)
    assert talk.answered == [*(Message(stream, data) for data in messages), Ended(stream, 2, "text")]


# Ends


def test_a_call_that_its_caller_breaks_off() -> None:
    talk = Talk()
    stream = talk.caller.call(PATH)
    talk.caller.send(stream, b"a")
    talk.settle()
    talk.server.send(stream, *[b"x" * 500_000] * 5)
    talk.caller.reset(stream)
    talk.settle()
    assert talk.told[2:] == [Ended(stream, CANCELLED, "the other side broke it off")]
    assert talk.server.waiting(stream) == 0
    talk.server.send(stream, b"nothing")
    talk.server.finish(stream)
    talk.caller.reset(stream)
    talk.settle()
    assert talk.answered == []
    assert talk.call(b"next") == stream + 2
    assert talk.told[-1] == Ended(stream + 2)


def test_a_call_that_its_server_breaks_off() -> None:
    talk = Talk()
    stream = talk.caller.call(PATH)
    talk.settle()
    talk.server.reset(stream)
    talk.caller.send(stream, *[b"x" * 100_000] * 5)  # crosses
    talk.settle()
    assert talk.answered == [Ended(stream, CANCELLED, "the other side broke it off")]
    assert talk.told == [Called(stream, PATH, {})]
    talk.call(b"next")
    assert len(talk.told) == 4


def test_an_answer_before_the_caller_has_ended() -> None:
    talk = Talk()
    stream = talk.caller.call(PATH)
    talk.caller.send(stream, *[b"x" * 100_000] * 30)
    talk.settle()
    talk.server.finish(stream, 13, "no")
    talk.settle()
    assert talk.answered == [Ended(stream, 13, "no")]
    talk.caller.send(stream, b"nothing")
    talk.caller.end(stream)
    assert talk.caller.outgoing() == b""


def test_ends_twice_and_words_after_the_end() -> None:
    talk = Talk()
    stream = talk.call(b"a")
    talk.caller.end(stream)
    talk.caller.send(stream, b"b")
    assert talk.caller.outgoing() == b""
    talk.server.finish(stream)
    talk.server.finish(stream, 5)
    talk.server.send(stream, b"b")
    talk.settle()
    assert talk.answered == [Ended(stream)]


def test_a_connection_that_the_caller_ends() -> None:
    raw = Raw(is_server=True)
    streams = [raw.call(), raw.call()]
    raw.settle()
    raw.http.send_data(streams[0], framed(b"last"))
    raw.http.send_data(streams[1], b"\1")  # is broken off when the connection is over already
    raw.http.close_connection()
    ended = "the other side ended the connection"
    assert raw.settle() == [
        Message(streams[0], b"last"),
        Ended(streams[0], UNAVAILABLE, ended),
        Ended(streams[1], UNAVAILABLE, ended),
    ]
    raw.peer.send(streams[0], b"nothing")
    raw.peer.finish(streams[0])
    raw.peer.taken(streams[0])
    assert raw.peer.outgoing() == b""


def test_a_connection_that_the_server_ends() -> None:
    raw = Raw(is_server=False)
    stream = raw.peer.call(PATH)
    raw.settle()
    raw.http.close_connection()
    assert raw.settle() == [Ended(stream, UNAVAILABLE, "the other side ended the connection")]
    with pytest.raises(BrokenError, match="cannot call"):
        raw.peer.call(PATH)
    raw.peer.reset(stream)


@pytest.mark.parametrize(
    ("heads", "ended"),
    [
        ([[(":status", "200"), TYPE, ("grpc-status", "12"), ("grpc-message", "what%3F")]], (12, "what?")),
        ([[(":status", "200"), TYPE], [("grpc-status", "0")]], (OK, "")),
        ([[(":status", "200"), TYPE], [("other", "x")]], (UNKNOWN, "the answer is not gRPC: HTTP status 200")),
        ([[(":status", "200"), TYPE]], (UNKNOWN, "the answer has no status")),
        ([[(":status", "502")]], (UNKNOWN, "the answer is not gRPC: HTTP status 502")),
        ([[(":status", "200"), TYPE, ("grpc-status", "x")]], (UNKNOWN, "")),
        ([[(":status", "200"), TYPE, ("grpc-status", "²")]], (UNKNOWN, "")),
        ([[(":status", "200"), TYPE, ("grpc-status", "9999")]], (UNKNOWN, "")),
        ([[(":status", "200"), TYPE, ("grpc-status", "2"), ("grpc-message", "%ff%")]], (2, "\ufffd%")),
    ],
)
def test_answers_without_a_message(heads: list[list[tuple[str, str]]], ended: tuple[int, str]) -> None:
    raw = Raw(is_server=False)
    stream = raw.peer.call(PATH)
    raw.peer.end(stream)
    raw.settle()
    for head in heads:
        raw.http.send_headers(stream, head, end_stream=head is heads[-1])
    assert raw.settle() == [Ended(stream, *ended)]


def test_a_long_reason_for_a_failure_is_taken_and_a_long_question_is_not() -> None:
    """BuildKit puts a Dockerfile into it, and more."""
    details = [(f"detail-{number}", "x" * 1000) for number in range(200)]
    raw = Raw(is_server=False)
    stream = raw.peer.call(PATH)
    raw.peer.end(stream)
    raw.settle()
    raw.http.send_headers(
        stream, [(":status", "200"), TYPE, ("grpc-status", "2"), ("grpc-message", "no"), *details], end_stream=True
    )
    assert raw.settle() == [Ended(stream, 2, "no")]
    asking = Raw(is_server=True)
    asking.call(*details)
    with pytest.raises(BrokenError):
        asking.settle()


def test_an_answer_that_says_it_has_ended_and_goes_on() -> None:
    raw = Raw(is_server=False)
    stream = raw.peer.call(PATH)
    raw.settle()
    raw.http.send_headers(stream, [(":status", "500")])
    raw.http.send_data(stream, b"<html>")
    assert raw.settle() == [Ended(stream, UNKNOWN, "the answer is not gRPC: HTTP status 500")]
    assert any(isinstance(event, h2.events.StreamReset) for event in raw.seen)


@pytest.mark.parametrize("text", ["x" * 100_000, "ü" * 100_000, "\udcff", " a ", "a\r\nb: c"])
def test_texts_of_any_kind(text: str) -> None:
    talk = Talk()
    stream = talk.call()
    talk.server.finish(stream, 2, text)
    talk.settle()
    known = text.encode("ascii" if text.isascii() else "utf-8", "replace").decode()
    assert talk.answered == [Ended(stream, 2, known[:4096])]
