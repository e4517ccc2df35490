"""What is asked of BuildKit's own API: the flags that need it, the request, its messages; and caches, as they are read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dockerlab.builds import caching
from dockerlab.builds.caching import CacheTo
from dockerlab.builds.context import Context
from dockerlab.builds.contexts import Contexts
from dockerlab.builds.driving import Asked
from dockerlab.builds.exporting import Output
from dockerlab.builds.solving import request, wanted
from dockerlab.dockerfile import parse
from dockerlab.errors import UsageError
from dockerlab.wire.protobuf import decode, encode
from dockerlab.wire.solve import CacheOptions, CacheOptionsEntry, SolveRequest, SolveResponse, StatusRequest

TEXT = "FROM busybox AS one\nRUN a\nFROM one\n"
PLAIN = Asked(parse(TEXT), TEXT, Context())


def test_only_what_build_does_not_pass_on_needs_it() -> None:
    everything = replace(
        PLAIN, tags=("a:1",), args={"A": "b"}, target="one", no_cache=True, pull=True, platform="linux/arm", cache_from=("c",)
    )
    assert wanted(everything) == []
    given = {"contexts": Contexts.of("a=."), "no_cache_filter": ("one",), "cache_to": (CacheTo("inline"),)}
    flags = {name: wanted(replace(PLAIN, **{name: value}))[0] for name, value in given.items()}  # type: ignore[arg-type]
    assert flags == {"contexts": "--build-context", "no_cache_filter": "--no-cache-filter", "cache_to": "--cache-to"}


def test_a_request_says_what_build_would() -> None:
    asked = replace(
        PLAIN,
        tags=("a:1", "b:2"),
        args={"A": "b", "EMPTY": "", "NONE": None},
        labels={"l": "m", "n": None},
        target="one",
        pull=True,
        platform="linux/arm",
        cache_from=("c:1",),
        no_cache_filter=("one", "two"),
        contexts=Contexts.of("x=docker-image://y:1"),
    )
    found = request(asked, "s1")
    assert len(found.ref) == 32
    assert found.ref != request(asked, "s1").ref
    assert (found.session, found.frontend, found.exporter) == ("s1", "dockerfile.v0", "moby")
    assert found.exporter_attributes == {"name": "a:1,b:2"}
    assert found.attributes == {
        "filename": "Dockerfile",
        "target": "one",
        "platform": "linux/arm",
        "image-resolve-mode": "pull",
        "build-arg:A": "b",
        "build-arg:EMPTY": "",
        "label:l": "m",
        "label:n": "",
        "frontend.caps": "moby.buildkit.frontend.contexts+forward",
        "context:x": "docker-image://docker.io/library/y:1",
        "no-cache": "one,two",
    }
    assert found.cache == CacheOptions((), (CacheOptionsEntry("registry", {"ref": "c:1"}),))


@pytest.mark.parametrize(
    ("options", "cache"),
    [
        ({}, []),
        ({"args": {"BUILDKIT_INLINE_CACHE": "1"}}, ["inline"]),
        ({"args": {"BUILDKIT_INLINE_CACHE": "0"}}, []),
        ({"args": {"BUILDKIT_INLINE_CACHE": None}}, []),
        ({"args": {"BUILDKIT_INLINE_CACHE": "true"}, "cache_to": (CacheTo("inline"),)}, ["inline"]),
        ({"cache_to": (CacheTo("registry", {"ref": "x"}), CacheTo("inline"))}, ["registry", "inline"]),
    ],
)
def test_caches_to_write(options: dict[str, Any], cache: list[str]) -> None:
    found = request(replace(PLAIN, **options), "s").cache
    assert found
    assert [one.type for one in found.exports] == cache


def test_all_anew_goes_before_stages() -> None:
    assert request(replace(PLAIN, no_cache=True, no_cache_filter=("one",)), "s").attributes["no-cache"] == ""


@pytest.mark.parametrize(
    ("output", "exporter", "attributes"),
    [
        ("out", "local", {}),
        ("type=tar,dest=x.tar", "tar", {}),
        ("type=cacheonly", "local", {}),
        ("type=image", "moby", {"name": "a:1"}),
        ("type=image,compression=zstd", "moby", {"name": "a:1", "compression": "zstd"}),
    ],
)
def test_outputs(output: str, exporter: str, attributes: dict[str, str]) -> None:
    found = request(replace(PLAIN, tags=("a:1",), output=Output.of(output)), "s")
    assert (found.exporter, found.exporter_attributes) == (exporter, attributes)


def test_the_messages_as_they_travel() -> None:
    cache = CacheOptions((CacheOptionsEntry("inline"),), (CacheOptionsEntry("registry", {"ref": "x"}),))
    asked = SolveRequest("r", "moby", {"name": "n"}, "s", "dockerfile.v0", {"target": "t"}, cache)
    # control.proto: Ref 1, ExporterDeprecated 3, ExporterAttrsDeprecated 4, Session 5, Frontend 6, FrontendAttrs 7, Cache 8.
    assert encode(asked) == (
        b"\x0a\x01r\x1a\x04moby\x22\x09\x0a\x04name\x12\x01n\x2a\x01s\x32\x0ddockerfile.v0\x3a\x0b\x0a\x06target\x12\x01t"
        b"\x42\x20\x22\x08\x0a\x06inline\x2a\x14\x0a\x08registry\x12\x08\x0a\x03ref\x12\x01x"
    )
    assert decode(SolveRequest, encode(asked)) == asked
    assert encode(StatusRequest("r")) == b"\x0a\x01r"
    answer = b"\x0a\x1f\x0a\x15containerimage.digest\x12\x06sha256"
    assert decode(SolveResponse, answer).exporter == {"containerimage.digest": "sha256"}


# --cache-to, --no-cache-filter


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("type=inline", CacheTo("inline")),
        ("type=inline,mode=max", CacheTo("inline", {"mode": "max"})),
        ("type=registry,ref=a/b:c,mode=max", CacheTo("registry", {"ref": "a/b:c", "mode": "max"})),
        ("a/b:c", CacheTo("registry", {"ref": "a/b:c"})),
    ],
)
def test_caches(text: str, found: CacheTo) -> None:
    assert CacheTo.of(text) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--cache-to: it has no type"),
        ("mode=max", "--cache-to: it has no type"),
        ("type=local,dest=x", "there is no type 'local' here; there are inline and registry"),
        ("type=registry", "needs ref="),
        ("type=inline,x", "each of its fields must be a key=value pair"),
    ],
)
def test_caches_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        CacheTo.of(text)
    assert caught.value.hint


def test_a_cache_that_an_engine_does_not_have() -> None:
    error = caching.refusal('unknown cache exporter: "registry"')
    assert error
    assert "--cache-to" in error.message
    assert caching.refusal("something else") is None


def test_stages_that_there_are_not() -> None:
    caching.check_stages(["ONE"], parse(TEXT))
    with pytest.raises(UsageError, match="no such stage") as caught:
        caching.check_stages(["one", "stage-1"], parse(TEXT))
    assert "one" in str(caught.value.hint)
    with pytest.raises(UsageError, match="no such stage"):
        caching.check_stages(["x"], parse("FROM busybox\n"))
