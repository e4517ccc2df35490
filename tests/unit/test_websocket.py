"""The frames of a WebSocket: RFC 6455's own examples, and whatever a client cuts into pieces."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerlab.wire import websocket
from dockerlab.wire.websocket import BINARY, CLOSE, PING, PONG, TEXT, Reader, ViolationError

# Section 5.7, masked.
HELLO = bytes.fromhex("8185 37fa213d 7f9f4d5158")


def masked(opcode: int, data: bytes, mask: bytes = b"\1\2\3\4", *, last: bool = True) -> bytes:
    """A frame as clients send it."""
    whole = websocket.frame(opcode, data)
    head = whole[: len(whole) - len(data)]
    hidden = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
    return bytes((head[0] if last else head[0] & 0x7F, head[1] | 0x80)) + head[2:] + mask + hidden


def joined(found: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Pieces of the same kind in a row, put together."""
    together: list[tuple[int, bytes]] = []
    for opcode, data in found:
        if together and together[-1][0] == opcode and opcode < CLOSE:
            together[-1] = opcode, together[-1][1] + data
        else:
            together.append((opcode, data))
    return together


def test_the_handshake() -> None:
    assert websocket.accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("size", "head"), [(0, "8200"), (125, "827d"), (126, "827e007e"), (65535, "827effff"), (65536, "827f0000000000010000")]
)
def test_what_a_server_sends(size: int, head: str) -> None:
    assert websocket.frame(BINARY, b"x" * size) == bytes.fromhex(head) + b"x" * size
    assert websocket.close() == b"\x88\x02\x03\xe8"


def test_a_message_and_one_in_two_frames_with_a_ping_between() -> None:
    assert list(Reader().feed(HELLO)) == [(TEXT, b"Hello")]
    halves = masked(TEXT, b"Hel", last=False) + masked(PING, b"?") + masked(0, b"lo") + masked(CLOSE, b"\x03\xe8")
    assert list(Reader().feed(halves)) == [(TEXT, b"Hel"), (PING, b"?"), (TEXT, b"lo"), (CLOSE, b"\x03\xe8")]


FRAMES = st.lists(
    st.tuples(st.sampled_from([BINARY, TEXT]), st.binary(max_size=300))
    | st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125)),
    max_size=5,
)


@given(frames=FRAMES, mask=st.binary(min_size=4, max_size=4), size=st.integers(1, 50))
def test_however_it_is_cut(frames: list[tuple[int, bytes]], mask: bytes, size: int) -> None:
    sent = b"".join(masked(opcode, data, mask) for opcode, data in frames)
    reader = Reader()
    found = [item for start in range(0, len(sent), size) for item in reader.feed(sent[start : start + size])]
    assert joined(found) == joined([item for item in frames if item[1] or item[0] >= CLOSE])


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    with suppress(ViolationError):
        for opcode, _ in Reader().feed(data):
            assert opcode in (TEXT, BINARY, CLOSE, PING, PONG)


@pytest.mark.parametrize(
    "sent",
    [
        websocket.frame(TEXT, b"no mask"),
        masked(3, b"no such frame"),
        bytes.fromhex("c180") + b"\0" * 4,
        masked(PING, b"x", last=False),
        masked(CLOSE, b"x" * 126),
        masked(0, b"no beginning"),
        masked(TEXT, b"x", last=False) + masked(TEXT, b"y"),
    ],
)
def test_what_no_client_sends(sent: bytes) -> None:
    with pytest.raises(ViolationError):
        list(Reader().feed(sent))


def test_a_frame_of_an_announced_size_is_not_kept() -> None:
    reader = Reader()
    head = b"\x82\xff" + (1 << 62).to_bytes(8, "big") + b"\0" * 4
    assert list(reader.feed(head + b"abc")) == [(BINARY, b"abc")]
    assert list(reader.feed(b"d" * 1000)) == [(BINARY, b"d" * 1000)]
