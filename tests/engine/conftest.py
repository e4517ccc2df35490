"""Every test in this folder runs on an engine, and fails if it leaves a container or one of our threads behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from dockerlab.client import Client

_SETTLE_SECONDS = 5


@pytest.fixture(autouse=True)
def nothing_is_left(client: Client, request: pytest.FixtureRequest) -> Iterator[None]:
    """Reports what is left, and removes nothing: the engine may be the developer's own."""
    before = _containers(client)
    yield
    # An engine takes a moment to remove what was cancelled, and a thread to end.
    deadline = time.monotonic() + _SETTLE_SECONDS
    while (left := _left(client, before, request.config)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left, f"left behind: {', '.join(left)}"


def _left(client: Client, before: dict[str, str], config: pytest.Config) -> list[str]:
    threads = [f"thread '{thread.name}'" for thread in threading.enumerate() if thread.name.startswith("dockerlab")]
    if config.getoption("shared_engines"):
        return threads
    after = _containers(client)
    return threads + [f"container {after[identifier]} (not yours? --shared-engines)" for identifier in after.keys() - before.keys()]


def _containers(client: Client) -> dict[str, str]:
    """id → name, image and state."""
    found = client.api.containers(all=True)
    return {c["Id"]: f"{''.join(c['Names'] or ['?'])} of {c['Image']}, {c.get('State', '?')}" for c in found}
