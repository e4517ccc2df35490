"""JSON objects out of pieces: cut anywhere, too long, nested too deeply, none at all."""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Iterable
from typing import Any

import pytest

from dockerlab.wire.objects import Objects, TooLongError
from dockerlab.wire.protobuf import MalformedError

SOME: list[dict[str, Any]] = [
    {},
    {"a": 1},
    {"stream": 'größe \\ " \n }{ 🐳'},
    {"a": {"b": [{"c": []}, "]", "\\"]}, "d": None, "e": 1.5e9},
    {"\\": "\\\\"},
]


def test_objects_may_be_cut_anywhere() -> None:
    for ascii_only in (True, False):
        texts = [json.dumps(one, ensure_ascii=ascii_only) for one in SOME]
        for between in ("", "\r\n", " \n\t "):
            whole = (between.join(texts) + between).encode()
            for seed in range(30):
                rng, objects, at = random.Random(seed), Objects(), 0
                found: list[dict[str, Any]] = []
                while at < len(whole):
                    size = rng.choice((1, 2, 7, 1000))
                    found += objects.feed(whole[at : at + size])
                    at += size
                assert found == SOME
                assert objects.is_whole


def test_each_is_there_with_its_last_byte() -> None:
    objects = Objects()
    assert [*objects.feed(b'{"a":"\xc3')] == []
    assert not objects.is_whole
    assert [*objects.feed(b'\xbc"')] == []
    assert [*objects.feed(b"}")] == [{"a": "ü"}]


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"x",
        b"}",
        b'"a"',
        b"{} 1",
        b"{a}",
        b'{"a":1]',
        b'{"a" 1}',
        b'{"a":%s}' % (b"1" * 5000),
        b'{"a":%s%s}' % (b"[" * 100_000, b"]" * 100_000),
    ],
)
def test_what_is_none_is_an_error(data: bytes) -> None:
    with pytest.raises(MalformedError):
        [*Objects().feed(data)]


@pytest.mark.parametrize("piece", [b"x", b"}", b"{", b"\\\\", b"\n", b'","', b"\xff"])
def test_one_without_an_end_is_refused_in_time_that_grows_with_its_length(piece: bytes) -> None:
    """In small pieces: to look at all of it with each would take minutes."""
    objects, began = Objects(2_000_000), time.perf_counter()
    with pytest.raises(TooLongError, match="more than 2,000,000 bytes"):
        fed(objects, itertools.chain([b'{"a": "'], itertools.repeat(piece * 16)))
    assert time.perf_counter() - began < 30


def fed(objects: Objects, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        assert not [*objects.feed(piece)]


def test_many_in_one_piece_take_no_more_than_each_alone() -> None:
    began = time.perf_counter()
    assert sum(1 for _ in Objects().feed(b'{"a":1}' * 200_000)) == 200_000
    assert time.perf_counter() - began < 20
