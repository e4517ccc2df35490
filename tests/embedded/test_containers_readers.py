"""What is read of a container that is removed meanwhile is whole, as with Docker; and then nothing is left of it."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.embedded.builds import build, nothing_left
from tests.embedded.rungs import OwnEngine, eventually
from tests.embedded.serving import Talk

PATHS = {"export": "/containers/{}/export", "cp": "/containers/{}/archive?path=/z"}


def made(own: OwnEngine, image: str = "busybox", name: str = "") -> str:
    query = {"name": name} if name else {}
    return str(own.client.post("/containers/create", {"Image": image, "Cmd": ["x"]}, **query).json()["Id"])


def names(archive: bytes) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {one.strip("./") for one in tar.getnames()}


@contextmanager
def begun(own: OwnEngine, path: str) -> Iterator[Talk]:
    """An answer of which the first piece has come, and which waits for its reader since."""
    with Talk(own.home.socket) as talk:
        talk.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
        assert talk.head().status == 200
        yield talk


@pytest.mark.parametrize("kind", PATHS)
def test_what_is_removed_while_it_is_read(own: OwnEngine, kind: str) -> None:
    """With its image, too: of the layers nothing may go either."""
    client = own.client
    # More than what is on its way holds.
    text = "FROM busybox\nRUN mkdir -p /z/inner; dd if=/dev/zero of=/z/a bs=1M count=12 2>&1; echo z > /z/inner/f\n"
    built = build(client, text, nocache=True)
    one = made(own, built.image)
    expected = names(client.ask("GET", PATHS[kind].format(one)).body)
    assert "z/inner/f" in expected
    with begun(own, PATHS[kind].format(one)) as talk:
        first = talk.chunk()
        assert one in client.post("/containers/prune").json()["ContainersDeleted"]
        assert client.ask("GET", f"/containers/{one}/json").status == 404
        client.post("/images/prune", filters={"dangling": ["true"]})
        assert client.ask("GET", f"/images/{built.image}/json").status == 404
        rest = b"".join(iter(talk.chunk, b""))
    assert names(first + rest) == expected
    eventually(lambda: not own.home.container(one).exists(), "its directory is left")
    nothing_left(own)


def test_who_leaves_without_having_read_it_lets_go(own: OwnEngine) -> None:
    one = made(own)
    with begun(own, PATHS["export"].format(one)):
        assert own.client.ask("DELETE", f"/containers/{one}").status == 204
    eventually(lambda: not own.home.container(one).exists(), "its directory is left")


def test_a_crash_while_it_is_read(own: OwnEngine) -> None:
    built = build(own.client, "FROM busybox\nRUN dd if=/dev/zero of=/large bs=1M count=12 2>&1\n", nocache=True)
    for number in range(4):
        one = made(own, built.image, f"again{number}")
        with begun(own, PATHS["export"].format(one)) as talk:
            talk.chunk()
            assert own.client.ask("DELETE", f"/containers/{one}").status == 204
            following = made(own, built.image, f"again{number}")
            own.kill()
        own.start()
        assert not own.home.container(one).exists(), "its directory is left"
        assert own.client.get(f"/containers/again{number}/json")["Id"] == following
    assert not own.check()


def test_exports_while_everything_is_pruned(own: OwnEngine) -> None:
    """Each is whole, or there is no such container any more."""
    one = made(own)
    expected = names(own.client.ask("GET", PATHS["export"].format(one)).body)
    is_over = threading.Event()

    def prune() -> None:
        while not is_over.wait(0.002):
            own.client.post("/containers/prune")

    pruning = threading.Thread(target=prune)
    pruning.start()
    try:
        for _ in range(15):
            reply = own.client.ask("GET", PATHS["export"].format(made(own)))
            assert reply.status in (200, 404, 409), reply.body
            assert reply.status != 200 or names(reply.body) == expected
    finally:
        is_over.set()
        pruning.join()
