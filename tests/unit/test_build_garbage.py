"""An engine that answers a build with what is none of BuildKit's: one of our errors, and no thread is left."""

from __future__ import annotations

import base64
import json
import os
import socketserver
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

import dockerlab
from dockerlab.client import Client, connect
from dockerlab.errors import DockerlabError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="an engine behind a Unix socket")


def traced(aux: object) -> bytes:
    return json.dumps({"id": "moby.buildkit.trace", "aux": aux}).encode() + b"\n"


ANSWERS = {
    "nothing": b"",
    "a page": b"<html>oh</html>",
    "a list": b"[1, 2]\n",
    "a text": b'"x"\n',
    "half": b'{"id": "moby',
    "deep": b"[" * 100_000,
    "no base64": traced("???"),
    "a number": traced(7),
    "no message": traced(base64.b64encode(b"\xff" * 300).decode()),
    "no image": b'{"id": "moby.image.id", "aux": 7}\n',
    "an error that is a number": b'{"error": 7}\n',
    "details that are a list": b'{"errorDetail": [1]}\n',
}
SESSIONS = {
    "ends": b"",
    "zeros": b"\0" * 100,
    "another protocol": b"HTTP/1.1 400 no\r\n\r\n",
    "noise": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 500,
}
# In the place of a session.
REFUSALS = {
    "nothing": b"",
    "no HTTP": b"\xff" * 100,
    "no status": b"HTTP/1.1 many\r\n\r\n",
    "words that break off": b"HTTP/1.1 500 no\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    "fewer words than were told": b"HTTP/1.1 500 no\r\nContent-Length: 100\r\n\r\nhello",
    "no number": b"HTTP/1.1 500 no\r\nContent-Length: -x\r\n\r\nhello",
    "another status": b"HTTP/1.1 204 no\r\n\r\n",
}


class Handler(BaseHTTPRequestHandler):
    """The engine. Its server knows what it is to say."""

    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, *arguments: object) -> None:
        pass

    def answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Api-Version", "1.47")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if "/images/" in self.path:
            self.answer(b'{"message": "no such image"}', 404)
        else:
            self.answer(b"OK" if "_ping" in self.path else b'{"Version": "28.0", "ApiVersion": "1.47", "Components": []}')

    do_HEAD = do_GET

    def do_POST(self) -> None:
        if "/session" not in self.path:
            self.answer(self.server.answered)
            return
        if self.server.refusal is not None:
            self.wfile.write(self.server.refusal)
            self.close_connection = True
            return
        self.send_response(101)
        self.send_header("Upgrade", "h2c")
        self.end_headers()
        self.wfile.write(self.server.session)
        self.close_connection = True
        if self.server.session:
            self.rfile.read()


@pytest.fixture
def liar() -> Iterator[Any]:
    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    with tempfile.TemporaryDirectory() as folder, Server(str(Path(folder, "s")), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def client(liar: Any) -> Iterator[Client]:
    liar.answered, liar.session, liar.refusal = b"", b"", None
    with closing(connect(f"unix://{os.fspath(liar.server_address)}")) as client:
        yield client


@pytest.mark.parametrize("session", SESSIONS)
@pytest.mark.parametrize("answer", ANSWERS)
def test_garbage_is_one_of_our_errors(liar: Any, client: Client, answer: str, session: str) -> None:
    liar.answered, liar.session = ANSWERS[answer], SESSIONS[session]
    with pytest.raises(DockerlabError):
        dockerlab.build("FROM busybox\n", client=client)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("dockerlab")]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_that_is_garbage_is_one_of_our_errors(liar: Any, client: Client, refusal: str) -> None:
    liar.refusal = REFUSALS[refusal]
    with pytest.raises(DockerlabError):
        dockerlab.build("FROM busybox\n", client=client)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("dockerlab")]
