"""A registry in this process, for tests, that may lie, stall and break off.

with fake(Made([...])) as registry:             repository `app`, tag `1`; registry.faults decide what it does instead
    client(tmp_path).pull(registry.name)
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.embedded.archives import Made, digest, gzipped, layer
from tests.embedded.registries import OCI, manifest

# An image to be broken off in: a layer of megabytes, and one of few bytes.
PLAIN = layer(("file", os.urandom(3_000_000), {}))
MADE = Made(
    [PLAIN, layer(("other", b"x" * 1000, {}))],
    packed=[gzip.compress(PLAIN, 1, mtime=0), gzipped(layer(("other", b"x" * 1000, {})))],
)
BIG, SMALL = MADE.blobs


class Asked(BaseHTTPRequestHandler):
    """A request to a fake registry."""

    protocol_version = "HTTP/1.1"
    registry: Fake

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
            super().handle_one_request()

    def do_GET(self) -> None:
        self.registry.asked.append((self.command, self.path, dict(self.headers)))
        for fault in list(self.registry.faults):
            if fault(self):
                return
        self.registry.answer(self)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """A test says what it has to say itself."""

    def reply(self, status: int, data: bytes = b"", headers: Mapping[str, str] | None = None, *, length: int | None = None) -> bool:
        """An answer. length: that it claims to have. True, as of a fault that happened."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
            self.wfile.flush()
        return True

    def refuse(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> bool:
        """An error as registries tell it."""
        data = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        return self.reply(status, data, {"Content-Type": "application/json", **(headers or {})})

    def body(self) -> Iterator[bytes]:
        """What was sent along: in chunks, as Docker does, or of a length."""
        is_chunked = self.headers.get("Transfer-Encoding") == "chunked"
        left = int(self.rfile.readline(), 16) if is_chunked else int(self.headers.get("Content-Length", 0))
        while left and (data := self.rfile.read1(min(left, 1 << 16))):
            left -= len(data)
            yield data
            if is_chunked and not left:
                self.rfile.readline()
                left = int(self.rfile.readline() or b"0", 16)
        if is_chunked:
            self.rfile.readline()

    def hang_up(self) -> bool:
        """Breaks the connection off."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        return True

    def is_blob(self, data: bytes) -> bool:
        return self.path.endswith(f"/blobs/{digest(data)}")


Fault = Callable[[Asked], object]  # whether it has answered


@dataclass
class Fake:
    """An image, as `app:1`. documents: by tag or digest. uploads: what came, by place. faults: asked first, in order."""

    made: Made
    address: str = ""
    faults: list[Fault] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    documents: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    realm: str = ""

    def __post_init__(self) -> None:
        data = manifest(self.made)
        self.documents |= {"1": (OCI, data), digest(data): (OCI, data)}
        self.blobs |= {digest(blob): blob for blob in (*self.made.blobs, self.made.config_bytes)}

    @property
    def name(self) -> str:
        return f"{self.address}/app:1"

    def paths(self, method: str, part: str = "") -> list[str]:
        """The paths that were asked for."""
        return [path for asked, path, _ in self.asked if asked == method and part in path]

    def answer(self, request: Asked) -> None:
        """As a good registry does."""
        what, _, name = request.path.partition("?")[0].rpartition("/")
        if request.path == "/v2/":
            request.reply(200, b"{}")
        elif request.command in ("POST", "PATCH", "PUT") and "/blobs/uploads" in what:
            self._uploaded(request, name)
        elif request.command == "GET" and what.endswith("/uploads"):
            request.reply(204, headers={"Location": request.path, "Range": f"0-{max(0, len(self.uploads[name]) - 1)}"})
        elif request.command == "PUT" and what.endswith("/manifests"):
            data = request.rfile.read(int(request.headers["Content-Length"]))
            self.documents[name] = (request.headers["Content-Type"], data)
            request.reply(201, headers={"Docker-Content-Digest": digest(data)})
        elif what.endswith("/manifests") and name in self.documents:
            kind, data = self.documents[name]
            request.reply(200, data, {"Content-Type": kind, "Docker-Content-Digest": digest(data)})
        elif what.endswith("/tags"):
            request.reply(200, json.dumps({"name": "app", "tags": [tag for tag in self.documents if ":" not in tag]}).encode())
        elif what.endswith("/blobs") and name in self.blobs:
            self._blob(request, self.blobs[name])
        else:
            request.refuse(404, "MANIFEST_UNKNOWN" if "manifests" in what else "BLOB_UNKNOWN", "unknown to this registry")

    def _blob(self, request: Asked, data: bytes) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        if not wanted:
            request.reply(200, data)
            return
        start = int(wanted[1])
        request.reply(206, data[start:], {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})

    def _uploaded(self, request: Asked, place: str) -> None:
        if request.command == "POST":
            place = f"u{len(self.uploads)}"
            self.uploads[place] = bytearray()
            request.reply(202, headers={"Location": f"/v2/app/blobs/uploads/{place}?state=a%2Fb"})
            return
        for data in request.body():
            self.uploads[place] += data
        if request.command == "PATCH":
            where = {"Location": f"/v2/app/blobs/uploads/{place}?state=a%2Fb", "Range": f"0-{len(self.uploads[place]) - 1}"}
            request.reply(202, headers=where)
            return
        data = bytes(self.uploads[place])
        if f"digest={digest(data).replace(':', '%3A')}" not in request.path:
            request.refuse(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
            return
        self.blobs[digest(data)] = data
        request.reply(201, headers={"Location": f"/v2/app/blobs/{digest(data)}"})


@contextmanager
def fake(made: Made, *faults: Fault, tls: tuple[Path, Path] | None = None) -> Iterator[Fake]:
    """A fake registry that answers."""
    registry = Fake(made, faults=list(faults))
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Asked,), {"registry": registry}))
    server.daemon_threads = True
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        # In the connection's thread, so that a client that does not speak TLS holds nobody up.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]
    registry.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def once(fault: Fault) -> Fault:
    """A fault that happens one time."""
    left = [1]

    def happens(request: Asked) -> object:
        if left and fault(request):
            left.pop()
            return True
        return False

    return happens


def breaks_off(after: int) -> Fault:
    """The big layer, as far as that."""

    def fault(request: Asked) -> object:
        if not request.is_blob(BIG) or request.command != "GET":
            return False
        start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        head = {"Content-Range": f"bytes {start}-{len(BIG) - 1}/{len(BIG)}"} if start else {}
        request.reply(206 if start else 200, BIG[start : start + after], head, length=len(BIG) - start)
        request.hang_up()
        return True

    return fault
