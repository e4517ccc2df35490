"""Protocol Buffers: the examples of the encoding's description, whatever goes there and back, and whatever a stranger sends.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerlab.wire import control, filesync
from dockerlab.wire.protobuf import (
    MOST_FIELDS,
    MalformedError,
    binary,
    boolean,
    decode,
    encode,
    integer,
    mapping,
    message,
    repeated,
    string,
    varint,
)


@dataclass(frozen=True, slots=True)
class Small:
    """The description's own first message."""

    a: int = integer(1)


@dataclass(frozen=True, slots=True)
class All:
    """A field of each kind; the last one's number takes two bytes."""

    number: int = integer(1)
    text: str = string(2)
    inner: Small | None = message(3, Small)
    numbers: tuple[int, ...] = repeated(4, int)
    texts: tuple[str, ...] = repeated(5, str)
    inners: tuple[Small, ...] = repeated(6, Small)
    names: Mapping[str, bytes] = mapping(7, bytes)
    known: Mapping[str, Small] = mapping(8, Small)
    data: bytes = binary(9)
    is_so: bool = boolean(16)


NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.binary(max_size=9).map(
    lambda data: data.decode("utf-8", "surrogateescape")
)
SMALLS = st.builds(Small, NUMBERS)
MESSAGES = st.builds(
    All,
    NUMBERS,
    TEXTS,
    st.none() | SMALLS,
    st.lists(NUMBERS, max_size=4).map(tuple),
    st.lists(TEXTS, max_size=4).map(tuple),
    st.lists(SMALLS, max_size=4).map(tuple),
    st.dictionaries(TEXTS, st.binary(max_size=200), max_size=3),
    st.dictionaries(TEXTS, SMALLS, max_size=3),
    st.binary(max_size=200),
    st.booleans(),
)


@pytest.mark.parametrize(
    ("value", "data"),
    [
        # The description's own.
        (Small(150), "08 96 01"),
        (Small(-2), "08 fe ff ff ff ff ff ff ff ff 01"),
        (All(text="testing"), "12 07 74 65 73 74 69 6e 67"),
        (All(inner=Small(150)), "1a 03 08 96 01"),
        (All(numbers=(3, 270, 86942)), "22 06 03 8e 02 9e a7 05"),
        (All(texts=("1", "", "3")), "2a 01 31 2a 00 2a 01 33"),
        # What has its default is not sent; a message that is there is, even an empty one, and so are both halves of a pair.
        (All(), ""),
        (All(inner=Small()), "1a 00"),
        (All(inners=(Small(), Small(1))), "32 00 32 02 08 01"),
        (All(names={"": b""}), "3a 04 0a 00 12 00"),
        (All(known={"k": Small(1)}), "42 07 0a 01 6b 12 02 08 01"),
        (All(is_so=True), "80 01 01"),
        (All(text="\udcff"), "12 01 ff"),
    ],
)
def test_examples(value: Any, data: str) -> None:
    assert encode(value) == bytes.fromhex(data)
    assert decode(type(value), bytes.fromhex(data)) == value


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("20 03 20 8e02 22 01 05", All(numbers=(3, 270, 5))),  # packed or not, in one message
        ("08 01 08 02", All(number=2)),  # the last counts
        ("3a 00", All(names={"": b""})),  # a pair without its halves
        ("42 03 0a 01 6b", All(known={"k": Small()})),
        ("3a 06 12 01 76 0a 01 6b", All(names={"k": b"v"})),  # and the other way round
        ("d5 3e 01020304 d1 3e 0102030405060708 d8 3e 05 da 3e 01 ff 08 07", All(number=7)),  # unknown fields of all kinds
        ("08 96 80 00", All(number=22)),  # longer than need be
        ("8001 02", All(is_so=True)),
    ],
)
def test_what_others_send(data: str, value: All) -> None:
    assert decode(All, bytes.fromhex(data)) == value


@pytest.mark.parametrize(
    ("number", "data"),
    [(0, "00"), (127, "7f"), (128, "8001"), (16383, "ff7f"), (16384, "808001"), (2097151, "ffff7f"), (2097152, "80808001")],
)
def test_numbers(number: int, data: str) -> None:
    assert varint(number) == bytes.fromhex(data)


@given(NUMBERS)
def test_a_number_is_as_short_as_can_be(number: int) -> None:
    sent = varint(number)
    assert len(sent) == max(1, -(-(number & (1 << 64) - 1).bit_length() // 7))
    assert decode(Small, b"\x08" + sent) == Small(number)


@given(MESSAGES)
def test_there_and_back(value: All) -> None:
    assert decode(All, encode(value)) == value


@given(MESSAGES, st.data())
def test_a_message_that_is_cut_is_refused_or_a_shorter_one(value: All, data: st.DataObject) -> None:
    sent = encode(value)
    size = data.draw(st.integers(0, len(sent)))
    with suppress(MalformedError):
        assert len(encode(decode(All, sent[:size]))) <= size + 2 * len(value.names) + 4 * len(value.known)


@pytest.mark.parametrize("kind", [All, filesync.Packet, control.StatusResponse])
@given(st.binary(max_size=100))
def test_whatever_comes_is_a_message_or_refused(kind: type, data: bytes) -> None:
    with suppress(MalformedError):
        found: Any = decode(kind, data)
        assert decode(kind, encode(found)) == found


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("00 01", "a field of the number 0"),
        ("80 80 80 80 10 01", "a field of the number 536870912"),
        ("08", "a number without an end"),
        ("08 80 80", "a number without an end"),
        ("08 80 80 80 80 80 80 80 80 80 80 01", "a number without an end"),
        ("12", "a number without an end"),
        ("12 05 61", "field 2 has 5 bytes, 1 are there"),
        ("12 ff ff ff ff ff ff ff ff 7f 61", "field 2 has 9223372036854775807 bytes, 1 are there"),
        ("fd 3e 01 02", "field 1007 has 4 bytes, 2 are there"),
        ("f9 3e 01 02", "field 1007 has 8 bytes, 2 are there"),
        ("0b 0c", "field 1 is of the unknown kind 3"),
        ("0a 01 61", "bytes in the place of a number"),
        ("10 01", "a number in the place of bytes"),
        ("18 01", "a number in the place of bytes"),
        ("38 01", "a number in the place of a pair"),
        ("22 02 01 80", "a number without an end"),
        ("1a 02 08 80", "a number without an end"),
        ("3a 02 0a 05", "field 1 has 5 bytes, 0 are there"),
    ],
)
def test_what_is_no_message(data: str, text: str) -> None:
    with pytest.raises(MalformedError, match=f"malformed message: {text}"):
        decode(All, bytes.fromhex(data))


@pytest.mark.parametrize("field", [b"\x32\x00", b"\x2a\x00", b"\x20\x01", b"\x3a\x00", b"\xc0\x3e\x01"])
def test_many_small_fields_are_refused(field: bytes) -> None:
    """Two bytes of a message can be a hundred of an object."""
    decode(All, field * MOST_FIELDS)
    with pytest.raises(MalformedError, match="too many fields"):
        decode(All, field * (MOST_FIELDS + 1))


def test_a_size_that_is_not_there_takes_no_memory() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(MalformedError):
            decode(All, b"\x4a" + varint(1 << 40) + b"x")
        assert tracemalloc.get_traced_memory()[1] < 1 << 16
    finally:
        tracemalloc.stop()
