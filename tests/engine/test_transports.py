"""Engines that are reached by tcp, TLS and ssh: builds with a session, and conversations with containers, over the real thing."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import dockerlab
from dockerlab import Build, engines
from dockerlab.client import Client, connect
from dockerlab.errors import EngineGone, NoEngine, NotFound, UsageError
from tests.embedded.rungs import eventually
from tests.engine.forwarder import Authority, Forwarder, authority, forwarding
from tests.engine.sshd import serving
from tests.engines import Engine


@pytest.fixture
def reached(engine: Engine, client: Client, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client that reaches the engine in the way that is asked for."""
    with {"tcp": by_tcp, "tls": by_tls, "ssh": by_ssh}[request.param](engine, tmp_path) as found:
        yield found


@contextmanager
def by_tcp(engine: Engine, folder: Path) -> Iterator[Client]:
    with forwarded(engine) as (client, _):
        yield client


@contextmanager
def by_tls(engine: Engine, folder: Path) -> Iterator[Client]:
    with forwarded(engine, authority(folder / "certificates")) as (client, _):
        yield client


@contextmanager
def forwarded(engine: Engine, known: Authority | None = None) -> Iterator[tuple[Client, Forwarder]]:
    with forwarding(engine.url, known) as forwarder, pytest.MonkeyPatch.context() as patch:
        if known:
            patch.setenv("DOCKER_TLS_VERIFY", "1")
            patch.setenv("DOCKER_CERT_PATH", str(known.folder))
        with closing(connect(forwarder.url)) as client:
            yield client, forwarder


@contextmanager
def by_ssh(engine: Engine, folder: Path) -> Iterator[Client]:
    with serving(engine.url, folder / "sshd") as server:
        with closing(connect(server.url)) as client:
            yield client
        eventually(lambda: not server.connections())


@contextmanager
def by_what_breaks(way: str, engine: Engine, folder: Path) -> Iterator[tuple[Client, Callable[[], None]]]:
    """A client, and what breaks off the connection that builds by BuildKit's own API; by ssh all of them."""
    if way == "ssh":
        with serving(engine.url, folder / "sshd") as server, closing(connect(server.url)) as client:
            yield client, server.cut
        return
    with forwarded(engine, authority(folder / "certificates") if way == "tls" else None) as (client, forwarder):
        yield client, lambda: forwarder.cut(lambda request: request.startswith("POST /grpc"))


every_way = pytest.mark.parametrize("reached", ["tcp", "tls", "ssh"], indirect=True)


@pytest.fixture(autouse=True)
def no_image_is_left(client: Client) -> Iterator[None]:
    yield
    for image in client.api.images(filters={"label": "dockerlab-test=transports"}):
        client.api.remove_image(image["Id"], force=True)


def build(client: Client, dockerfile: str, **options: Any) -> Build:
    record = dockerlab.build(dockerfile, client=client, label={"dockerlab-test": "transports"}, **options).build
    assert record is not None
    return record


def slow() -> str:
    """A Dockerfile that no test waits for."""
    return f"FROM busybox AS one\nRUN echo started; sleep 300 # {secrets.token_hex(8)}\n"


def output(record: Build) -> list[str]:
    return [line for step in record.steps for line in step.output]


@every_way
def test_a_build_with_a_session(reached: Client, client: Client, tmp_path: Path) -> None:
    builds_with_a_session(reached, client, tmp_path)


@pytest.mark.contract
def test_every_engine_behind_tls(engine: Engine, client: Client, own_api: str, tmp_path: Path) -> None:
    with by_tls(engine, tmp_path) as reached:
        builds_with_a_session(reached, client, tmp_path)
        builds_by_buildkits_own_api(reached, own_api, tmp_path)
        converses(reached)


def builds_with_a_session(reached: Client, client: Client, tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "big").write_bytes(data := os.urandom(5_000_000))
    (tmp_path / "context" / "small").write_text(mark := secrets.token_hex(8))
    text = "FROM busybox\nCOPY . /all/\nRUN --mount=type=secret,id=s wc -c < /all/big; cat /all/small; wc -c < /run/secrets/s\n"
    if (usual := build(client, "FROM busybox\n")).builder == "classic":
        text = text.replace("--mount=type=secret,id=s ", "").replace("; wc -c < /run/secrets/s", "")
    given = {} if usual.builder == "classic" else {"secret": {"s": "secret"}}
    record = build(reached, text, context=tmp_path / "context", **given)
    assert (record.builder, record.reason) == (usual.builder, usual.reason)
    assert output(record) == [f"{len(data)}", f"{mark}{len('secret') if given else ''}"]
    again = build(reached, text, context=tmp_path / "context", **given)
    assert again.context.sent_files == (0 if given else 2)


@every_way
def test_a_build_by_buildkits_own_api(reached: Client, own_api: str, tmp_path: Path) -> None:
    builds_by_buildkits_own_api(reached, own_api, tmp_path)


def builds_by_buildkits_own_api(reached: Client, own_api: str, folder: Path) -> None:
    """A named context, a stage anew, a cache to write: what needs two connections that are HTTP/2, with a secret beside it."""
    (lib := folder / "lib").mkdir()
    (lib / "big").write_bytes(data := os.urandom(5_000_000))
    (lib / "small").write_text(mark := secrets.token_hex(8))
    text = f"FROM busybox AS one\nRUN echo {mark} >> /ran\nFROM busybox\nCOPY --from=one /ran /ran\n"
    given: dict[str, Any] = {"no_cache_filter": "one", "cache_to": "type=inline", "secret": {"s": "secret"}}
    if own_api == "contexts":
        text += "COPY --from=lib / /lib/\nRUN wc -c < /lib/big; cat /lib/small\n"
        given["build_contexts"] = {"lib": lib}
    if own_api == "nothing":
        with pytest.raises(UsageError, match="--no-cache-filter needs BuildKit's own API"):
            build(reached, text, no_cache_filter="one")
        return
    text += "RUN --mount=type=secret,id=s wc -c < /run/secrets/s\n"
    for is_again in (False, True):
        record = build(reached, text, **given)
        states = {step.line: step.state for step in record.steps if step.keyword == "RUN"}
        assert states.pop(2) == "done", "the stage was not built anew"
        assert set(states.values()) == {"cached" if is_again else "done"}
        files = [f"{len(data)}", mark] if own_api == "contexts" else []
        assert "".join(output(record)) == ("" if is_again else "".join([*files, f"{len('secret')}"]))


@every_way
def test_an_interrupt_ends_what_buildkits_own_api_builds(reached: Client, own_api: str) -> None:
    if own_api == "nothing":
        pytest.skip("the engine has no Control/Solve")
    is_interrupted(reached, no_cache_filter="one")


@pytest.mark.parametrize("way", ["tcp", "tls", "ssh"])
def test_a_connection_that_breaks_off(engine: Engine, client: Client, own_api: str, way: str, tmp_path: Path) -> None:
    """That of the build is told from one that ended; no thread waits for more."""
    if own_api == "nothing":
        pytest.skip("the engine has no Control/Solve")
    with by_what_breaks(way, engine, tmp_path) as (reached, cut):

        def see(record: Build) -> None:
            if "started" in output(record):
                cut()

        with pytest.raises(EngineGone):
            build(reached, slow(), no_cache_filter="one", progress=see)
        assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("dockerlab")]


@every_way
def test_a_conversation(reached: Client) -> None:
    converses(reached)


def converses(reached: Client) -> None:
    """What is said to a command is more than a connection holds, and comes back; so does the end of it."""
    given = os.urandom(1_000_000).hex()
    came: list[bytes] = []
    dockerlab.run("busybox", ["cat"], stdin=given, rm=True, output=lambda stream, data: came.append(data), client=reached)
    assert b"".join(came) == given.encode(), "what came back is not what was sent"


@every_way
def test_connections_of_several_threads_are_kept(reached: Client, caplog: pytest.LogCaptureFixture) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len([*pool.map(lambda _: reached.version(), range(16))]) == 16
    assert "pool is full" not in caplog.text


@every_way
def test_an_interrupt_ends_the_build(reached: Client) -> None:
    is_interrupted(reached)


def is_interrupted(reached: Client, **options: Any) -> None:
    def interrupt(record: Build) -> None:
        if "started" in output(record):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(reached, slow(), progress=interrupt, **options)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("dockerlab")]


def test_a_token_in_an_address_is_not_shown(engine: Engine, client: Client) -> None:
    """Of an engine that answers there: one goes by no user's name."""
    token = f"canary{secrets.token_hex(8)}"
    with forwarding(engine.url) as forwarder, closing(connect(forwarder.url.replace("//", f"//{token}@"))) as reached:
        shown = engines.show(client=reached)
        with pytest.raises(NotFound) as caught:
            dockerlab.containers.get("dockerlab-test-none", client=reached)
    said = [repr(shown), str(shown), shown._repr_html_(), str(shown.facts), repr(reached.endpoint), *caught.value.lines()]
    assert not [text for text in said if "canary" in text]
    assert "tcp://***@127.0.0.1" in str(shown)


def test_certificates_of_an_engine_are_its_own(
    engine: Engine, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a company says to trust elsewhere does not stand in for DOCKER_CERT_PATH."""
    other = authority(tmp_path / "other")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(other.folder / "ca.pem"))
    with by_tls(engine, tmp_path) as reached:
        assert build(reached, "FROM busybox\n").builder == build(client, "FROM busybox\n").builder
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(other.folder))
    with forwarding(engine.url, authority(tmp_path / "more")) as forwarder, pytest.raises(NoEngine) as caught:
        connect(forwarder.url)
    assert "TLS failed" in caught.value.evidence[0]
    assert "DOCKER_CERT_PATH" in str(caught.value.hint)


def test_a_host_that_is_not_known_is_told_of(engine: Engine, client: Client, tmp_path: Path) -> None:
    """And one that lets nobody in."""
    with serving(engine.url, tmp_path / "sshd") as server:
        (tmp_path / "sshd" / "user.pub").write_text("")
        with pytest.raises(NoEngine) as caught:
            connect(server.url)
        assert "ssh failed: " in caught.value.evidence[0]
        assert "Permission denied (publickey)" in caught.value.evidence[0]
        (tmp_path / "sshd" / "known").write_text("")
        with pytest.raises(NoEngine) as caught:
            connect(server.url)
        assert "Host key verification failed" in caught.value.evidence[0]
        assert "a key, an agent" in str(caught.value.hint)


def test_where_there_is_no_docker_at_the_other_end(engine: Engine, client: Client, tmp_path: Path) -> None:
    with serving("unix:///nowhere.sock", tmp_path / "sshd") as server, pytest.raises(NoEngine) as caught:
        connect(server.url)
    assert "ssh failed: " in caught.value.evidence[0]
    assert "nowhere.sock" in caught.value.evidence[0]
