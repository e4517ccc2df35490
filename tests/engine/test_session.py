"""A build's session on real engines: what the engine calls, what it is answered, how the session ends. No service is a real one."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from dockerlab import hijacking
from dockerlab.builds.session import Exchange, Metadata, Refused, Session
from dockerlab.client import Client
from dockerlab.errors import ContextError
from dockerlab.wire import grpc
from dockerlab.wire.services import FILE_SYNC

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("sessions")]


class Silent:
    """Serves a call, and never says anything. error: what it raises instead."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.metadata: list[Mapping[str, Any]] = []
        self.begun, self.closed = threading.Event(), threading.Event()

    def begin(self, exchange: Exchange, metadata: Metadata) -> Silent:
        self.metadata.append(metadata)
        self.begun.set()
        return self

    def received(self, message: bytes) -> None:
        pass

    def ended(self) -> None:
        pass

    def more(self) -> bool:
        if self.error:
            raise self.error
        return False

    def close(self) -> None:
        self.closed.set()


def asked(client: Client, session: Session) -> tuple[Any, http.client.HTTPResponse]:
    """A build of a folder that the session has."""
    connection = hijacking.opened(client)
    wanted = {"version": "2", "remote": "client-session", "session": session.id, "dockerfile": "Dockerfile"}
    return connection, hijacking.ask(connection, client, "POST", "/build", wanted)


def built(client: Client, session: Session) -> str:
    """What the engine says of it."""
    connection, response = asked(client, session)
    try:
        # Some engines escape in JSON what is not ASCII.
        return "\n".join(json.dumps(json.loads(one), ensure_ascii=False) for one in response.read().splitlines() if one.strip())
    finally:
        hijacking.end(connection)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Refused(grpc.NOT_FOUND, "no folder \u00fc"), "no folder \u00fc"),
        (ContextError("it is gone"), "it is gone"),
        (OSError("oh"), "oh"),
    ],
)
def test_the_engine_calls_and_is_told_why_not(client: Client, error: Exception, text: str) -> None:
    service = Silent(error)
    with Session(client, {FILE_SYNC: service.begin}, name="dockerlab-test", key="key") as session:
        said = built(client, session)
        assert service.closed.wait(5)
    # Engine 20.10 asks for both at a time, cancels the one when the other fails, and tells of either: `Sender.error` has the reason.
    assert text in said or (len(service.metadata) == 2 and "context canceled" in said)
    assert service.metadata[0]["dir-name"] in (["dockerfile"], ["context"])
    assert not session._thread.is_alive()


def test_what_is_not_served_is_refused(client: Client) -> None:
    with Session(client, {}, name="dockerlab-test") as session:
        assert "error" in built(client, session)
    assert not session._thread.is_alive()


def test_leaving_the_block_ends_a_call_that_waits(client: Client) -> None:
    service = Silent()
    with Session(client, {FILE_SYNC: service.begin}, name="dockerlab-test") as session:
        done = threading.Event()
        said: list[str] = []

        def build() -> None:
            said.append(built(client, session))
            done.set()

        thread = threading.Thread(target=build)
        thread.start()
        assert service.begun.wait(20)
    assert service.closed.wait(5)
    assert not session._thread.is_alive()
    assert done.wait(20)
    thread.join()
    assert "error" in said[0]
