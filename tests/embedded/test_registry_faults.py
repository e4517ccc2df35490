"""A registry that stalls and breaks off, and a client that leaves, in a pull: what helps is tried again, and nothing half-made is left."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import pytest

from dockerlab.errors import EngineError
from dockerlab.registry.refusals import Cancelled
from tests.embedded.archives import digest
from tests.embedded.fakes import BIG, MADE, PLAIN, SMALL, Asked, Fake, Fault, breaks_off, once
from tests.embedded.registries import Engine, said


def is_there(mine: Engine, registry: Fake) -> bool:
    """And whole, to the last byte."""
    image = mine.images.get(registry.name)
    return image.id == MADE.id and mine.images.open_layer(image.layers[0]).read() == PLAIN and mine.is_clean()


class TestTriedAgain:
    """What passes by itself."""

    def test_a_connection_that_breaks_in_the_middle_goes_on_where_it_was(self, mine: Engine, registry: Fake) -> None:
        registry.faults += [once(breaks_off(1_000_001))]
        mine.pull(registry.name)
        assert is_there(mine, registry)
        ranges = [headers.get("Range") for method, path, headers in registry.asked if path.endswith(digest(BIG))]
        assert ranges == [None, f"bytes=1000001-{len(BIG) - 1}"]

    def test_one_that_breaks_often_is_tried_as_long_as_it_gets_further(self, mine: Engine, registry: Fake) -> None:
        registry.faults += [breaks_off(1_100_000)]
        mine.patient(attempts=2).pull(registry.name)
        assert is_there(mine, registry)

    def test_a_registry_without_ranges(self, mine: Engine, registry: Fake) -> None:
        def whole(request: Asked) -> object:
            if request.is_blob(BIG) and "Range" in request.headers:
                request.reply(200, BIG)
                return True
            return False

        registry.faults += [once(breaks_off(1_000_000)), whole]
        mine.pull(registry.name)
        assert is_there(mine, registry)

    def test_a_stall(self, mine: Engine, registry: Fake) -> None:
        begun, over = threading.Event(), threading.Event()

        def stalls(request: Asked) -> object:
            if not request.is_blob(BIG) or begun.is_set():
                return False
            begun.set()
            request.reply(200, BIG[:700_000], length=len(BIG))
            return over.wait(20)

        registry.faults += [stalls]
        try:
            mine.patient(stall=0.3).pull(registry.name)
        finally:
            over.set()
        assert is_there(mine, registry)

    def test_a_body_that_ends_early_and_does_not_say_so(self, mine: Engine, registry: Fake) -> None:
        def chunked(request: Asked) -> object:
            if not request.is_blob(BIG):
                return False
            request.send_response(200)
            request.send_header("Transfer-Encoding", "chunked")
            request.end_headers()
            request.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(BIG[:999_999]), BIG[:999_999]))
            return True

        registry.faults += [once(chunked)]
        mine.pull(registry.name)
        assert is_there(mine, registry)

    def test_bytes_that_came_damaged(self, mine: Engine, registry: Fake) -> None:
        def damaged(data: bytes) -> Fault:
            return once(lambda request: request.is_blob(data) and request.reply(200, b"?" + data[1:]))

        registry.faults += [damaged(SMALL), damaged(BIG), damaged(MADE.config_bytes)]
        found = said(mine.pull(registry.name))
        assert found.count(f"{digest(BIG).removeprefix('sha256:')[:12]}: Download complete") == 1
        assert is_there(mine, registry)

    @pytest.mark.parametrize(
        "what",
        ["/v2/", "/manifests/1", f"/blobs/{MADE.id}", f"/blobs/{digest(BIG)}"],
        ids=["ping", "manifest", "configuration", "layer"],
    )
    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_errors_that_pass(self, mine: Engine, registry: Fake, what: str, status: int) -> None:
        busy = once(lambda request: request.path.endswith(what) and request.refuse(status, "TOOMANYREQUESTS", "later"))
        registry.faults += [busy]
        mine.pull(registry.name)
        assert is_there(mine, registry)

    def test_retry_after(self, mine: Engine, registry: Fake) -> None:
        def later(request: Asked) -> object:
            return (
                request.command == "GET"
                and "manifests" in request.path
                and request.refuse(429, "TOOMANYREQUESTS", "later", {"Retry-After": "1"})
            )

        registry.faults += [once(later)]
        began = time.monotonic()
        mine.pull(registry.name)
        assert time.monotonic() - began >= 1  # it cannot be less, on whatever machine
        assert is_there(mine, registry)

    def test_a_connection_that_was_closed_while_nobody_used_it(self, mine: Engine, registry: Fake) -> None:
        registry.faults += [once(lambda request: request.is_blob(SMALL) and request.hang_up())]
        mine.pull(registry.name)
        assert is_there(mine, registry)


class TestCancelled:
    """A client that leaves."""

    @pytest.mark.parametrize("kind", ["layer", "config", "manifest", "waiting"])
    def test_a_pull(self, mine: Engine, registry: Fake, kind: str) -> None:
        reached, gone, over = threading.Event(), threading.Event(), threading.Event()

        def holds(request: Asked) -> object:
            is_it = {
                "layer": request.is_blob(BIG),
                "config": request.is_blob(MADE.config_bytes),
                "manifest": "manifests" in request.path,
                "waiting": request.is_blob(BIG),
            }[kind]
            if not is_it:
                return False
            if kind == "waiting":
                request.refuse(429, "TOOMANYREQUESTS", "later", {"Retry-After": "50"})
                reached.set()
                return True
            if kind == "layer":
                request.reply(200, BIG[:1000], length=len(BIG))
            reached.set()
            request.connection.settimeout(20)
            try:
                if not request.connection.recv(1):
                    gone.set()
            except OSError:
                gone.set()
            request.close_connection = True
            return True

        registry.faults += [holds]
        pull = mine.patient(patience=60.0).pulling(registry.name)
        errors: list[Exception] = []

        def run() -> None:
            try:
                pull.begin()
                for _ in pull.messages():
                    pass
            except EngineError as error:
                errors.append(error)
            over.set()

        thread = threading.Thread(target=run)
        thread.start()
        assert reached.wait(20)
        pull.cancel()
        assert over.wait(10)
        thread.join()
        assert kind == "waiting" or gone.wait(10)
        assert isinstance(errors[0], Cancelled)
        assert mine.images.images() == []
        assert mine.is_clean()

    def test_a_registry_that_takes_its_time_to_answer(self, mine: Engine, registry: Fake) -> None:
        """Whoever waits no longer hears the rest from the messages: the image, a refusal, or that it was cancelled."""
        go_on = threading.Event()
        registry.faults += [lambda request: "manifests" in request.path and not go_on.wait(20)]
        pull = mine.pulling(registry.name)
        pull.begin(0.05)
        messages = pull.messages()
        go_on.set()
        assert next(messages)["status"] == "Pulling from app"
        assert [*messages][-1]["status"] == f"Status: Downloaded newer image for {registry.name}"
        assert is_there(mine, registry)
        go_on.clear()
        pull = mine.pulling(f"{registry.address}/app:9")
        pull.begin(0.05)
        messages = pull.messages()
        go_on.set()
        with pytest.raises(EngineError, match=r"^manifest for 127.0.0.1:[0-9]+/app:9 not found"):
            next(messages)
        go_on.clear()
        pull = mine.pulling(registry.name)
        pull.begin(0.05)
        pull.cancel()
        with pytest.raises(Cancelled):
            next(pull.messages())
        go_on.set()
        assert mine.is_clean()

    def test_messages_that_nobody_reads_to_the_end(self, mine: Engine, registry: Fake) -> None:
        registry.faults += [lambda request: request.is_blob(BIG) and request.reply(200, BIG[:1000], length=len(BIG))]
        pull = mine.pulling(registry.name)
        pull.begin()
        with closing(pull.messages()) as messages:  # type: ignore[type-var]
            assert next(messages)["status"] == "Pulling from app"
            assert next(messages)["status"] == "Pulling fs layer"
            assert next(messages)["status"] == "Pulling fs layer"
            next(messages)
        assert mine.images.images() == []
        assert mine.is_clean()


def test_a_port_that_accepts_and_says_nothing(mine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(EngineError) as caught:
        mine.patient(stall=0.2, connect=0.2, attempts=1).pull(f"127.0.0.1:{server.getsockname()[1]}/a")
    assert str(caught.value).endswith("i/o timeout")


def test_messages_are_values(mine: Engine, registry: Fake) -> None:
    found: list[Mapping[str, Any]] = mine.pull(registry.name)
    assert json.loads(json.dumps(found)) == found
