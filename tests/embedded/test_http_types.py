"""What a handler reads from a request: queries and bodies."""

from __future__ import annotations

import tarfile
from io import BytesIO
from typing import IO, cast

import pytest

from dockerlab.engine.http.types import Body, Query
from dockerlab.errors import UsageError


@pytest.mark.parametrize(
    ("text", "is_set"),
    [("1", True), ("true", True), ("True", True), ("0", False), ("False", False), ("", False), ("no", False)],
)
def test_flags_are_read_as_docker_reads_them(text: str, is_set: bool) -> None:
    assert Query({"all": [text]}).flag("all") is is_set
    assert Query({"all": [text]}).flag("all", True) is is_set


def test_what_is_not_there_is_the_default() -> None:
    query = Query({"empty": [""]})
    assert (query.text("a"), query.text("a", "b"), query.flag("a", True), query.all("a")) == ("", "b", True, [])
    assert (query.number("a"), query.number("empty", 3), query.json("a", 1), query.filters()) == (None, 3, 1, {})
    assert "a" not in query
    assert "empty" in query


def test_values() -> None:
    query = Query({"n": ["-5"], "names": ["a", "b"], "bad": ["x1"], "json": ['{"a":1}'], "broken": ["{"]})
    assert (query.number("n"), query.all("names"), query.text("names"), query.json("json")) == (-5, ["a", "b"], "a", {"a": 1})
    with pytest.raises(UsageError, match='parsing "x1": invalid syntax'):
        query.number("bad")
    with pytest.raises(UsageError, match="invalid JSON in broken"):
        query.json("broken")


@pytest.mark.parametrize("text", ['{"label":["a=b","c"]}', '{"label":{"a=b":true,"c":true,"d":false}}'])
def test_both_spellings_of_filters(text: str) -> None:
    assert Query({"filters": [text]}).filters() == {"label": ["a=b", "c"]}


@pytest.mark.parametrize("text", ["[]", '"x"', '{"label":"x"}', '{"label":[1]}', "{"])
def test_filters_that_are_none(text: str) -> None:
    if text == "[]":
        assert Query({"filters": [text]}).filters() == {}
        return
    with pytest.raises(UsageError):
        Query({"filters": [text]}).filters()


def body(*pieces: bytes, content_type: str = "") -> Body:
    waiting = iter(pieces)
    return Body(lambda: next(waiting, b""), content_type)


def test_a_body_is_a_file() -> None:
    assert body(b"ab", b"cdef", b"g").read() == b"abcdefg"
    one = body(b"ab", b"cdef", b"g")
    assert [one.read(3), one.read(0), one.read(1), one.read(100), one.read(1), one.read()] == [b"abc", b"", b"d", b"efg", b"", b""]
    two = body(b"ab", b"cd", b"ef")
    assert (two.read(1), list(two.pieces())) == (b"a", [b"b", b"cd", b"ef"])


def test_a_body_can_be_an_archive() -> None:
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("x")
        info.size = 100_000
        archive.addfile(info, BytesIO(b"y" * 100_000))
    data = out.getvalue()
    pieces = [data[i : i + 777] for i in range(0, len(data), 777)]
    with tarfile.open(fileobj=cast("IO[bytes]", body(*pieces)), mode="r|") as archive:
        assert [(member.name, member.size) for member in archive] == [("x", 100_000)]


def test_a_body_as_json() -> None:
    assert body(b'{"a":', b"1}", content_type="application/json; charset=utf-8").json() == {"a": 1}
    assert body(b'{"a":1}').json() == {"a": 1}
    assert body().json() == {}
    assert body(b" null").json() == {}
    assert body(b"", content_type="text/plain").json() == {}


@pytest.mark.parametrize(
    ("data", "content_type", "said"),
    [
        (b"{", "", "invalid JSON"),
        (b"\xff\xfe\x00", "", "invalid JSON"),
        (b"[" * 100_000, "", "invalid JSON"),
        (b"[1]", "", "an object is expected"),
        (
            b"a=b",
            "application/x-www-form-urlencoded",
            r"unsupported Content-Type header \(application/x-www-form-urlencoded\): must be 'application/json'",
        ),
    ],
)
def test_a_body_that_is_no_json_object(data: bytes, content_type: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        body(data, content_type=content_type).json()
    assert caught.value.status == 400
