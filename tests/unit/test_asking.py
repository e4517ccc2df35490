"""Many questions at a time: an engine that ends connections without a word, that has lost an image, and that fails."""

from __future__ import annotations

import json
import os
import socketserver
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, cast

import pytest

from dockerlab.client import Client, connect
from dockerlab.errors import EngineError, EngineGone
from dockerlab.images.asking import answers

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="an engine behind a Unix socket")


class Handler(BaseHTTPRequestHandler):
    """Answers with what was asked for. After each answer, or before one, the connection may be ended."""

    protocol_version = "HTTP/1.1"
    server: Any

    def setup(self) -> None:
        super().setup()
        self.server.opened += 1

    def do_GET(self) -> None:
        name = self.path.split("/")[-2] if "/images/" in self.path else "ping"
        if name == "slow":
            self.server.asked.set()
            self.server.answers.wait(20)
        if self.server.is_silent and name != "ping":
            self.close_connection = True
            return
        body = json.dumps({"Id": name, "message": "it burns", "ApiVersion": "1.41", "Version": "1"}).encode()
        self.send_response({"lost": 404, "fails": 500}.get(name, 200))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = self.server.ends

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[Any]:
    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True
        opened = 0
        ends = is_silent = False
        asked, answers = threading.Event(), threading.Event()

    with tempfile.TemporaryDirectory() as folder, Server(str(Path(folder, "s")), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.answers.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    with closing(connect(f"unix://{os.fspath(server.server_address)}")) as client:
        server.opened = 0
        yield client


def ask(client: Client, *names: str) -> list[Any]:
    found = [*answers(client, [("/images/{0}/json", name) for name in names], "look at the images", at_once=2)]
    return [answer and answer["Id"] for answer in found]


def test_a_connection_has_many_questions(server: Any, client: Client) -> None:
    names = [f"image{number}" for number in range(20)]
    assert ask(client, *names) == names
    assert server.opened <= 2
    assert ask(client) == []


def test_a_connection_that_the_engine_ends_is_opened_again(server: Any, client: Client) -> None:
    server.ends = True
    assert ask(client, "a", "b", "c", "d", "e") == ["a", "b", "c", "d", "e"]
    assert server.opened >= 5


def test_what_the_engine_does_not_have_is_none(client: Client) -> None:
    assert ask(client, "a", "lost", "b") == ["a", None, "b"]


def test_an_engine_that_fails_or_says_nothing_is_one_of_our_errors(server: Any, client: Client) -> None:
    with pytest.raises(EngineError, match="it burns"):
        ask(client, "a", "fails", "b")
    server.is_silent = True
    with pytest.raises(EngineGone, match="cannot look at the images"):
        ask(client, "a", "b")
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("dockerlab")]


def test_an_interrupt_waits_for_no_answer(server: Any, client: Client) -> None:
    questions = [("/images/{0}/json", name) for name in ("a", "slow", "b", "c")]
    found = cast(Generator[Any, None, None], answers(client, questions, "look at the images", at_once=2))
    assert next(found)["Id"] == "a"
    assert server.asked.wait(10)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        found.throw(KeyboardInterrupt)
    assert time.monotonic() - began < 10
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("dockerlab")]
