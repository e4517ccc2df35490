"""Builds over a network that breaks off or stands still, and through proxies that do not let everything through."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

import dockerlab
from dockerlab import Build
from dockerlab.client import Client, connect
from dockerlab.errors import DockerlabError, EngineError, EngineGone, UsageError
from tests.engine.forwarder import forwarding
from tests.engines import Engine


@pytest.fixture(autouse=True)
def no_image_is_left(client: Client) -> Iterator[None]:
    yield
    for image in client.api.images(filters={"label": "dockerlab-test=between"}):
        client.api.remove_image(image["Id"], force=True)


def build(client: Client, dockerfile: str, **options: Any) -> Build:
    record = dockerlab.build(dockerfile, client=client, label={"dockerlab-test": "between"}, **options).build
    assert record is not None
    return record


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("dockerlab")]


def when(word: str, happen: Callable[[], object]) -> Callable[[Build], None]:
    """Lets something happen once the build has printed that."""

    def look(record: Build) -> None:
        if record.outcome == "running" and any(word in line for step in record.steps for line in step.output):
            happen()

    return look


_CUTS = {
    "everything": lambda request: True,
    "the session": lambda request: request.startswith("POST /session"),
    "the build": lambda request: request.startswith("POST /build?"),
}


@pytest.mark.contract
@pytest.mark.parametrize("what", _CUTS)
def test_a_network_that_breaks_off_while_a_step_runs(engine: Engine, client: Client, what: str) -> None:
    has_sessions = build(client, "FROM busybox\n").builder == "buildkit"
    if what == "the session" and not has_sessions:
        pytest.skip("the engine has no sessions")
    with forwarding(engine.url) as forwarder, closing(connect(forwarder.url)) as reached:
        cut = when("started", lambda: forwarder.cut(_CUTS[what]))
        dockerfile = f"FROM busybox\nRUN echo started; sleep {1 if what == 'the session' else 300} # {secrets.token_hex(8)}\n"
        if what == "the session":
            with suppress(EngineGone):  # an engine may go on, since it needs it no more
                build(reached, dockerfile, progress=cut)
        else:
            with pytest.raises(EngineGone) as caught:
                build(reached, dockerfile, progress=cut)
            assert caught.value.hint
        assert not threads()
        assert build(reached, "FROM busybox\n").outcome == "done"


@pytest.mark.parametrize("what", _CUTS)
def test_a_network_that_breaks_off_while_the_context_is_sent(engine: Engine, client: Client, tmp_path: Path, what: str) -> None:
    if build(client, "FROM busybox\n").builder != "buildkit" and what == "the session":
        pytest.skip("the engine has no sessions")
    with (tmp_path / "big").open("wb") as file:
        file.truncate(4 << 30)
    with forwarding(engine.url) as forwarder, closing(connect(forwarder.url)) as reached:

        def cut(record: Build) -> None:
            if record.outcome == "running" and forwarder.carried > 1 << 20:
                forwarder.cut(_CUTS[what])

        with pytest.raises(EngineGone) as caught:
            build(reached, "FROM busybox\nCOPY . /all/\n", context=tmp_path, progress=cut)
        assert caught.value.hint
        assert not threads()


@pytest.mark.parametrize("after", [0, 1 << 20])
def test_an_interrupt_while_a_network_stands_still(engine: Engine, client: Client, tmp_path: Path, after: int) -> None:
    """after: bytes that came through; 0: not even the answers' heads."""
    with (tmp_path / "big").open("wb") as file:
        file.truncate(4 << 30)
    with forwarding(engine.url) as forwarder, closing(connect(forwarder.url)) as reached:
        stalled = threading.Event()
        if not after:
            forwarder.stall_at = "POST /build?"

        def stop(record: Build) -> None:
            if stalled.is_set() or forwarder.is_stalled:
                raise KeyboardInterrupt
            if forwarder.carried > after:
                forwarder.stall()
                stalled.set()

        with pytest.raises(KeyboardInterrupt):
            build(reached, "FROM busybox\nCOPY . /all/\n", context=tmp_path, progress=stop)
        assert not threads()


# Proxies


@pytest.mark.parametrize("status", [400, 403, 404, 405, 501])
def test_where_sessions_are_refused_the_classic_builder_builds(engine: Engine, client: Client, status: int) -> None:
    mark = secrets.token_hex(8)
    refused = {"POST /session": status}
    with forwarding(engine.url, refused=refused) as forwarder, closing(connect(forwarder.url)) as reached:
        record = build(reached, f"FROM busybox\nCOPY a /a\nRUN cat /a # {mark}\n", files={"a": mark})
        assert record.builder == "classic"
        assert record.reason == f"the engine{'' if status in (404, 501) else ', or a proxy before it,'} " + (
            "has no BuildKit sessions" if status in (404, 501) else "refuses BuildKit sessions"
        )
        assert [line for step in record.steps for line in step.output] == [mark]
        with pytest.raises(UsageError, match="--secret needs BuildKit: the engine") as caught:
            build(reached, "FROM busybox\n", secret={"a": "b"})
        assert caught.value.hint


@pytest.mark.parametrize(("status", "reason"), [(404, "this engine does not have it"), (403, "the engine, or a proxy before it,")])
def test_where_buildkits_own_api_is_refused_it_is_said_of_the_flag(
    engine: Engine, client: Client, status: int, reason: str
) -> None:
    with forwarding(engine.url, refused={"POST /grpc": status}) as forwarder, closing(connect(forwarder.url)) as reached:
        with pytest.raises(UsageError, match=f"--no-cache-filter needs BuildKit's own API .*: {reason}"):
            build(reached, "FROM busybox AS one\n", no_cache_filter="one")
        assert not threads()
        assert build(reached, "FROM busybox\n").builder == "buildkit"


def test_a_proxy_that_lets_nobody_build_is_named(engine: Engine, client: Client) -> None:
    with forwarding(engine.url, refused={"POST": 403}) as forwarder, closing(connect(forwarder.url)) as reached:
        with pytest.raises(EngineError) as caught:
            build(reached, "FROM busybox\n")
        assert "between here and the engine answers with status 403" in caught.value.message
        assert "<" not in "".join(caught.value.lines())
        assert "proxy" in str(caught.value.hint)


def test_a_proxy_that_is_broken_is_not_taken_for_an_engine_without_sessions(engine: Engine, client: Client) -> None:
    with forwarding(engine.url, refused={"POST /session": 502}) as forwarder, closing(connect(forwarder.url)) as reached:
        with pytest.raises(DockerlabError, match="502"):
            build(reached, "FROM busybox\n")
        assert not threads()
