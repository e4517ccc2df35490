"""Secrets in what a build says: masked as they are, in every place and however the pieces of a log are cut; all else comes through."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerlab.builds.masking import Mask
from dockerlab.wire.trace import Event, Lint, Log, Status, Vertex


def masked(mask: Mask, *pieces: bytes, vertex: str = "1") -> bytes:
    events: list[Event] = [*mask.events(Log(vertex, piece) for piece in pieces), *mask.end()]
    return b"".join(event.data for event in events if isinstance(event, Log))


def of(*values: bytes) -> Mask:
    mask = Mask()
    for value in values:
        mask.add(value)
    return mask


@pytest.mark.parametrize(
    ("values", "said", "expected"),
    [
        ((b"s3cr3t",), b"a s3cr3t b s3cr3ts3cr3t\n", b"a *** b ******\n"),
        ((b"s3cr3t\n",), b"<s3cr3t>", b"<***>"),
        ((b"line one\nline two\nx\n",), b"line two\nline one\n> x", b"***\n***\n> x"),
        ((b"abcd\nx\nefgh",), b"(abcd\nx\nefgh)", b"(***)"),
        ((b"abcd\r\nefgh\r\n",), b"abcd\nefgh", b"***\n***"),
        ((b"token", b"token-long"), b"token-long token", b"*** ***"),
        ((b"abab", b"babX"), b"abab babX", b"*** ***"),
        ((b"a.c(",), b"abc( a.c(", b"abc( ***"),
        ((b"abc", b"", b"\n\n"), b"abc is too short\n\n", b"abc is too short\n\n"),
        ((b"\xff\xfe\xfd\xfc",), b"-\xff\xfe\xfd\xfc-", b"-***-"),
        ((b"k" * 3000,), b"k" * 3000, b"***" * 3),
    ],
)
def test_what_is_masked(values: tuple[bytes, ...], said: bytes, expected: bytes) -> None:
    mask = of(*values)
    assert masked(mask, said) == expected
    assert masked(mask, *(said[i : i + 1] for i in range(len(said)))) == expected, "cut anywhere"


def test_what_goes_to_standard_error_comes_between() -> None:
    mask = of(b"s3cr3t")
    events = mask.events([Log("1", b"a s3c"), Log("1", b"+ s3cr3t\n", 2), Log("1", b"r3t b")])
    assert [(event.stream, event.data) for event in events if isinstance(event, Log)] == [
        (1, b"a "),
        (2, b"+ ***\n"),
        (1, b"*** b"),
    ]


@given(
    st.lists(st.binary(min_size=4, max_size=12), min_size=1, max_size=4),
    st.lists(st.one_of(st.integers(0, 3), st.binary(max_size=6)), max_size=12),
    st.lists(st.integers(0, 100), max_size=6),
)
def test_nothing_slips_through_a_cut(values: list[bytes], parts: list[int | bytes], cuts: list[int]) -> None:
    said = b"".join(values[part % len(values)] if isinstance(part, int) else part for part in parts)
    places = sorted({0, len(said), *(cut for cut in cuts if cut < len(said))})
    pieces = [said[start:end] for start, end in pairwise(places)]
    assert masked(of(*values), *pieces) == masked(of(*values), said)
    assert masked(Mask(), *pieces) == said


def test_names_errors_and_the_linter_are_masked_too() -> None:
    events: list[Event] = [
        Vertex("1", "[2/2] RUN s3cr3t", error="ended with s3cr3t"),
        Status("a", "1", "extracting s3cr3t"),
        Lint("1", "about s3cr3t", ("more s3cr3t",)),
    ]
    assert "s3cr3t" not in repr([*of(b"s3cr3t").events(events)])
    assert of(b"s3cr3t").text("é \udc80 s3cr3t").endswith(" ***")
    assert [*Mask().events(events)] == events


def test_vertexes_are_held_apart_and_their_end_is_not_the_end_of_their_log() -> None:
    mask = of(b"s3cr3t")
    events: list[Event] = [Log("1", b"s3c"), Log("2", b"r3t\n"), Vertex("1", "", completed=1.0), Log("1", b"r3t\n")]
    found = [*mask.events(events), *mask.end()]
    assert [(event.vertex, event.data) for event in found if isinstance(event, Log)] == [("2", b"r3t\n"), ("1", b"***\n")]


def test_a_large_secret_of_many_lines_is_found() -> None:
    lines = [f"line {i} of a key that is long".encode() for i in range(10_000)]
    mask = of(b"\n".join(lines))
    assert masked(mask, b"x\n" * 1000 + lines[77] + b"\n", lines[9_999]) == b"x\n" * 1000 + b"***\n***"


def test_a_secret_that_is_too_short_is_warned_of_and_leaves_the_log_as_it_is() -> None:
    mask = Mask()
    for value, name in ((b"12", "pin"), (b"a\nb\n", "lines"), (b"12", "pin"), (b"", "empty"), (b" \n", "blank"), (b"1234", "long")):
        mask.add(value, name)
    assert mask.text("12 of 1234 a b") == "12 of *** a b"
    assert [lint.text.partition(":")[0] for lint in mask.warnings] == [
        "The secret 'pin' is too short to be masked",
        "The secret 'lines' is too short to be masked",
    ]
