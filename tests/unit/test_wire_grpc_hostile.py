"""gRPC without a socket, and whatever a stranger sends: refused, and no more held than is said."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress

import h2.config
import h2.connection
import h2.events
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockerlab.wire import grpc
from dockerlab.wire.grpc import (
    INTERNAL,
    RESOURCE_EXHAUSTED,
    BrokenError,
    Called,
    Ended,
    Message,
    Peer,
)
from tests.unit.test_wire_grpc import PATH, TYPE, Raw, Talk, framed


@pytest.mark.parametrize("data", [b"\1\0\0\0\0", b"\0\1\0\0\1", b"\0\xff\xff\xff\xff", framed(b"good") + b"\1\0\0\0\1x"])
def test_a_message_that_is_compressed_or_too_long(data: bytes) -> None:
    raw = Raw(is_server=True)
    stream, other = raw.call(), raw.call()
    raw.http.send_data(stream, data)
    raw.http.send_data(other, framed(b"good"), end_stream=True)
    found = raw.settle()
    assert Ended(stream, RESOURCE_EXHAUSTED, "a message is compressed, or too long") in found
    assert found[-2:] == [Message(other, b"good"), Ended(other)]
    assert [event.stream_id for event in raw.seen if isinstance(event, h2.events.StreamReset)] == [stream]


@pytest.mark.parametrize("is_server", [True, False])
def test_a_message_that_is_cut_off(is_server: bool) -> None:
    raw = Raw(is_server=is_server)
    stream = raw.call() if is_server else raw.peer.call(PATH)
    raw.settle()
    if not is_server:
        raw.http.send_headers(stream, [(":status", "200"), TYPE])
    raw.http.send_data(stream, framed(b"good") + framed(b"bad")[:-1], end_stream=is_server)
    if not is_server:
        raw.http.send_headers(stream, [("grpc-status", "0")], end_stream=True)
    assert raw.settle() == [Message(stream, b"good"), Ended(stream, INTERNAL, "the last message is cut off")]


def test_a_caller_s_trailers_mean_nothing() -> None:
    raw = Raw(is_server=True)
    stream = raw.call()
    raw.http.send_headers(stream, [("grpc-status", "7")], end_stream=True)
    assert raw.settle() == [Called(stream, PATH, {}), Ended(stream)]
    raw.peer.finish(stream)
    raw.settle()
    assert any(isinstance(event, h2.events.TrailersReceived) for event in raw.seen)


def test_a_padded_message() -> None:
    raw = Raw(is_server=True)
    stream = raw.call()
    for _ in range(100):  # padding is taken out of the windows, too
        raw.http.send_data(stream, framed(b"x" * 15_000), pad_length=255)
        assert raw.settle()[-1] == Message(stream, b"x" * 15_000)


def test_what_a_stranger_can_make_a_peer_hold() -> None:
    """Long messages that never become whole, on as many streams as there may be."""
    caller, server = Peer(is_server=False), Peer(is_server=True)
    streams = [caller.call(PATH) for _ in range(100)]
    piece = b"\0" + grpc.LONGEST_MESSAGE.to_bytes(4, "big")
    tracemalloc.start()
    try:
        refused = []
        for stream in streams:
            caller._http.send_data(stream, piece)
        for _ in range(40):
            for stream in streams:
                with suppress(h2.exceptions.ProtocolError):
                    caller._http.send_data(stream, b"x" * min(60_000, caller._http.local_flow_control_window(stream)))
                refused += [event for event in server.receive(caller.outgoing()) if isinstance(event, Ended)]
                caller.receive(server.outgoing())
        assert {event.text for event in refused} == {"too many long messages at a time"}
        # Of each stream as much as fits a window is not counted.
        assert tracemalloc.get_traced_memory()[1] < grpc.MOST_HELD + (150 << 20)
    finally:
        tracemalloc.stop()


def test_too_many_calls_break_the_connection() -> None:
    raw = Raw(is_server=True)
    raw.http.remote_settings.update({3: 1000})
    raw.http.remote_settings.acknowledge()
    for _ in range(101):
        raw.call()
    with pytest.raises(BrokenError, match="Max inbound streams"):
        raw.settle()


def test_headers_without_measure_break_the_connection() -> None:
    raw = Raw(is_server=True)
    raw.call(*(("name", "x" * 10_000) for _ in range(10)))
    with pytest.raises(BrokenError, match="Oversized header block"):
        raw.settle()


def test_a_path_that_is_no_text() -> None:
    raw = Raw(is_server=True)
    raw.http.send_headers(1, [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/\xff"), (b":authority", b"x")])
    assert raw.settle() == [Called(1, "/\ufffd", {})]


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\0", b"\0" * 40])
def test_what_is_not_http_2(data: bytes) -> None:
    peer = Peer(is_server=True)
    peer.outgoing()
    with pytest.raises(BrokenError, match="what came is not HTTP/2"):
        peer.receive(data)
    peer.outgoing()
    with pytest.raises(BrokenError):
        peer.receive(b"more")


def recorded(*, is_server: bool) -> bytes:
    """All that one side says in a talk of two calls."""
    talk = Talk()
    said = b""
    sides = (talk.caller, talk.server) if is_server else (talk.server, talk.caller)
    first, second = talk.caller.call(PATH, {"name": ["value"]}), talk.caller.call(PATH)
    talk.caller.send(first, b"a" * 300, b"b")
    talk.caller.end(first)
    for turn in range(4):
        if turn == 1:
            talk.server.send(first, b"c" * 100)
            talk.server.finish(first, 3, "text")
            talk.server.reset(second)
        out = sides[0].outgoing()
        said += out
        sides[1].receive(out)
        sides[0].receive(sides[1].outgoing())
    return said


SAID = {True: recorded(is_server=True), False: recorded(is_server=False)}


def strained(data: bytes, *, is_server: bool) -> None:
    peer = Peer(is_server=is_server)
    streams = [peer.call(PATH), peer.call(PATH)] if not is_server else [1, 3]
    if not is_server:
        peer.end(streams[0])
    peer.outgoing()
    with suppress(BrokenError):
        for start in range(0, len(data), 97):
            for event in peer.receive(data[start : start + 97]):
                assert isinstance(event, Called | Message | Ended)
            for stream in streams:
                peer.send(stream, b"x")
                peer.taken(stream)
    for stream in streams:
        peer.send(stream, b"x")
        peer.finish(stream) if is_server else peer.end(stream)
        peer.reset(stream)
    peer.outgoing()


@pytest.mark.parametrize("is_server", [True, False])
@settings(deadline=None)
@given(data=st.data())
def test_bytes_that_are_changed_are_read_or_refused(is_server: bool, data: st.DataObject) -> None:
    said = bytearray(SAID[is_server])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(said) - 1))
        piece = data.draw(st.binary(max_size=4))
        said[at : at + data.draw(st.integers(0, 4))] = piece
    strained(bytes(said), is_server=is_server)


FRAMES = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 255), st.sampled_from([0, 1, 2, 3, 5, 1 << 30]), st.binary(max_size=30)),
    max_size=8,
).map(
    lambda frames: b"".join(
        len(data).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + data
        for kind, flags, stream, data in frames
    )
)


@pytest.mark.parametrize("is_server", [True, False])
@settings(deadline=None)
@given(frames=FRAMES, where=st.integers(0, 3))
def test_frames_of_any_kind_are_read_or_refused(is_server: bool, frames: bytes, where: int) -> None:
    said = SAID[is_server]
    at = len(said) * where // 3 if where else 24 * is_server
    strained(said[:at] + frames, is_server=is_server)
