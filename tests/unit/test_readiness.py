"""Whether a published port answers, with real sockets: a proxy that is slow to say that nobody listens behind it."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator

import pytest

from dockerlab.containers import readiness
from dockerlab.containers.readiness import answers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="all of 127.0.0.0/8 is this machine's on Linux only")

OWN = "127.77.9.1"  # of no network


@pytest.fixture
def published() -> Iterator[socket.socket]:
    """A port that the kernel lets everybody connect to, whose proxy sleeps."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def port() -> int:
    """One of the container's own that nobody listens at."""
    with socket.create_server((OWN, 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_proxy_that_sleeps_is_no_program(published: socket.socket, port: int) -> None:
    address = published.getsockname()
    assert not answers(address, (OWN, port))
    with socket.create_server((OWN, port)):
        assert answers(address, (OWN, port))


def test_an_address_that_may_be_another_container_s_is_a_reason_to_look_longer(
    published: socket.socket, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "_HOLD", 0.01)
    own = ("172.17.0.2", port)
    proxy = threading.Thread(target=lambda: published.accept()[0].close())
    asked: list[tuple[str, int]] = []

    def refuses(address: tuple[str, int]) -> bool:
        asked.append(address)
        if not proxy.ident:
            proxy.start()  # it wakes when we have begun to doubt
        return True

    monkeypatch.setattr(readiness, "_refuses", refuses)
    assert not answers(published.getsockname(), own), "the proxy closes it in the end"
    proxy.join()
    monkeypatch.setattr(readiness, "_LONG_HOLD", 0.01)
    assert answers(published.getsockname(), own), "it stays open: that address is not the container's"
    assert asked == [own, own]


def test_what_is_refused_at_the_published_port_is_asked_no_further(port: int) -> None:
    assert not answers((OWN, port), ("127.0.0.1", 1))
