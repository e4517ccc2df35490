"""`--build-context`: how it is read, what the frontend is told, and which stages remain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dockerlab.builds.buildkit import Adapter
from dockerlab.builds.contexts import Contexts
from dockerlab.dockerfile import parse
from dockerlab.dockerfile.program import program
from dockerlab.errors import ContextError, UsageError
from dockerlab.wire import trace

STAGES = "FROM busybox AS zero\nRUN a\nFROM zero AS one\nRUN b\nFROM base AS two\nCOPY --from=one /a /\nFROM two\nRUN c\n"


@pytest.mark.parametrize(
    ("text", "name", "told"),
    [
        ("base=docker-image://alpine", "context:base", "docker-image://docker.io/library/alpine:latest"),
        ("base=docker-image://me/app:1", "context:base", "docker-image://docker.io/me/app:1"),
        ("alpine:latest=docker-image://x", "context:alpine", "docker-image://docker.io/library/x:latest"),
        ("docker.io/library/alpine:3=docker-image://x", "context:alpine:3", "docker-image://docker.io/library/x:latest"),
        ("src=https://example.com/a.git#main:sub", "context:src", "https://example.com/a.git#main:sub"),
        ("src=http://example.com/a.tar?b=c", "context:src", "http://example.com/a.tar?b=c"),
        ("src=git@example.com:me/a.git", "context:src", "git@example.com:me/a.git"),
        ("src=git://example.com/a", "context:src", "git://example.com/a"),
        ("src=github.com/me/a", "context:src", "github.com/me/a"),
    ],
)
def test_addresses(text: str, name: str, told: str) -> None:
    assert Contexts.of([text]).attributes == {"frontend.caps": "moby.buildkit.frontend.contexts+forward", name: told}
    assert Contexts.of(text).walks() == {}


@pytest.mark.parametrize(
    ("address", "secret"),
    [
        ("https://user:ca@na:ry@example.com/a.git", b"ca@na:ry"),
        ("https://ghp_0123456789abcdef@example.com/a.git", b"ghp_0123456789abcdef"),
        ("https://builder@example.com/a.git", b""),
        ("ssh://git:canary@example.com/a.git", b"canary"),
        ("ssh://git@example.com/a.git", b""),
        ("git@example.com:me/a.git", b""),
        ("https://example.com/a@b?c=@", b""),
    ],
)
def test_what_is_secret_of_an_address(address: str, secret: bytes) -> None:
    contexts = Contexts.of({"lib": address})
    assert [*contexts.secrets()] == [secret]
    assert address not in repr(contexts)


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "file").write_text("x")
    monkeypatch.chdir(tmp_path / "a")
    contexts = Contexts.of({"lib": tmp_path / "a", "same": "../a", "context": "../b", "dockerfile": "."})
    walks = contexts.walks()
    assert [[found.path for found in walk.selected()] for walk in walks.values()] == [["file"], ["file"], [], ["file"]]
    attributes = contexts.attributes
    assert [attributes[f"context:{name}"] for name in ("lib", "same", "context", "dockerfile")] == [f"local:{one}" for one in walks]
    assert not {"context", "dockerfile"} & walks.keys(), "the names of the build's own"
    other = Contexts.of({"lib": tmp_path / "b"})
    assert not other.walks().keys() & walks.keys(), "an engine keeps what it had under a name"
    assert Contexts.of({"lib": "../a"}).walks().keys() < walks.keys()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lib", "--build-context 'lib': give NAME=WHAT"),
        ("https://user:canary@example.com/a.git", "--build-context: give NAME=WHAT"),
        ("https://user:canary@example.com/a?b=c", "--build-context: before the first = stands no name"),
        ("=x", "--build-context '': give NAME=WHAT"),
        ("lib=", "--build-context 'lib': give NAME=WHAT"),
        ("Lib=.", "--build-context 'Lib': "),
        ("a b=.", "--build-context 'a b': "),
        ("lib=docker-image://", "--build-context 'lib': "),
        ("lib=docker-image://A B", "--build-context 'lib': "),
        ("lib=oci-layout://x", "--build-context 'lib': oci-layout:// is not there"),
        ("lib=s3://user:canary@x", "--build-context 'lib': there is no 's3://'"),
    ],
)
def test_what_cannot_be(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Contexts.of([text])
    assert caught.value.message.startswith(message)
    assert caught.value.hint
    assert "canary" not in "\n".join(caught.value.lines())


def test_folders_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("gone", "file"):
        with pytest.raises(ContextError, match=name):
            Contexts.of({"lib": tmp_path / name})
    with pytest.raises(UsageError, match="it stands for nothing"):
        Contexts.of({"lib": ""})


@pytest.mark.parametrize(
    ("contexts", "needed", "based"),
    [
        ([], {0, 1, 2, 3}, set()),
        (["other=."], {0, 1, 2, 3}, set()),
        (["one=."], {2, 3}, set()),
        (["zero=."], {1, 2, 3}, set()),
        (["two=."], {3}, set()),
        (["base:latest=."], {0, 1, 2, 3}, {2}),
        (["docker.io/library/busybox=docker-image://x", "base=."], {0, 1, 2, 3}, {0, 2}),
    ],
)
def test_stages_that_remain(contexts: list[str], needed: set[int], based: set[int]) -> None:
    plan = program(parse(STAGES)).plan()
    found = Contexts.of(contexts)
    assert found.needed(plan) == needed
    assert found.based(plan) == based


def test_what_engines_say_against_them() -> None:
    contexts = Contexts.of(["base=docker-image://nope", "src=https://example.com/x"])
    for said, message in {
        "unsupported frontend capability moby.buildkit.frontend.contexts": "has no named contexts",
        "failed to resolve source metadata for docker.io/library/nope:latest: no such host": "cannot get the image 'nope:latest'",
        "invalid argument": "'src': the engine can do nothing with its address",
    }.items():
        error = contexts.refusal(said)
        assert error
        assert message in error.message
        assert error.evidence == (f"the engine says: {said}",)
    assert contexts.refusal("failed to resolve source metadata for docker.io/library/nope2:latest: x") is None
    assert Contexts.of(["src=."]).refusal("invalid argument") is None


# Its vertexes


def vertex(name: str, *, cached: bool = False, error: str = "") -> trace.Vertex:
    return trace.Vertex(f"sha256:{name}", name, (), 1.0, 2.0, cached, error)


def told(text: str, *found: trace.Vertex, contexts: Sequence[str] = ()) -> dict[str, trace.Vertex]:
    """The rows of a build, as they became."""
    dockerfile = parse(text)
    adapter = Adapter(dockerfile, Contexts.of(contexts).applied(program(dockerfile).plan()))
    events = [event for one in found for event in adapter._event(one, 3.0)]
    return {event.digest: event for event in events if isinstance(event, trace.Vertex)}


def test_a_stage_that_begins_with_one_counts_it_and_numbers_it_not() -> None:
    """As measured: the total has the FROM in it, and the first number is the next instruction's."""
    text = "FROM lib AS l\nENV A=1\nCOPY a /\nRUN b\n"
    rows = told(text, vertex("[l 1/3] COPY a /"), vertex("[l 2/3] RUN b"), contexts=["lib=."])
    assert {digest: vertex.cached for digest, vertex in rows.items()} == {"0": True, "1": True, "2": False, "3": False}


def test_a_context_that_fails_fails_the_instruction_that_names_it() -> None:
    text = "FROM busybox\nCOPY a /\nRUN --mount=type=bind,from=lib,target=/l b\n"
    assert told(text, vertex("[context lib] load from client", error="no"), contexts=["lib=."])["2"].error == "no"


def test_what_another_cache_had_stays_cached_while_it_is_fetched() -> None:
    rows = told("FROM busybox\nRUN b\n", vertex("[2/2] RUN b", cached=True), vertex("[2/2] RUN b"))
    assert rows["1"].cached
