"""Registries for tests: Debian's docker-registry as a process, and one in this process that may lie, stall and break off.

with docker_registry(folder) as address:        "127.0.0.1:port"; skips where there is no docker-registry
    put(address, "app", "1", Made([...]))
with fake(Made([...])) as registry:             repository `app`, tag `1`; registry.faults decide what it does instead
    client(tmp_path).pull(registry.name)
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dockerlab.engine.registry import hosts
from dockerlab.engine.registry.client import Pace
from dockerlab.engine.registry.credentials import Credentials, Keychain
from dockerlab.engine.registry.pulling import Pull
from dockerlab.engine.registry.pushing import Push
from dockerlab.engine.store import Store
from tests.embedded.archives import Made, digest, store

OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
SECONDS = 20
# Of user `me` with the password `secret`, as `htpasswd -B` writes it.
HTPASSWD = "me:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"
ME = Credentials("me", "secret")
PACE = Pace(attempts=3, first=0.01, longest=0.05, patience=2.0, connect=10.0, stall=20.0)


# A real one


@contextmanager
def docker_registry(folder: Path, *, tls: tuple[Path, Path] | None = None, password: bool = False) -> Iterator[str]:
    """Its address. tls: certificate and key."""
    program = shutil.which("docker-registry")
    if not program:
        pytest.skip("there is no docker-registry: apt-get install docker-registry")
    address = f"127.0.0.1:{free_port()}"
    http: dict[str, Any] = {"addr": address}
    if tls:
        http["tls"] = {"certificate": str(tls[0]), "key": str(tls[1])}
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": http,
    }
    if password:
        (folder / "htpasswd").write_text(HTPASSWD)
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    (folder / "config.yml").write_text(json.dumps(config))  # which is YAML, too
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + SECONDS
        while not _listens(address):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, "the registry does not answer"
            time.sleep(0.02)
        yield address
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
        return True
    return False


def certificate(folder: Path, name: str = "IP:127.0.0.1") -> tuple[Path, Path]:
    """A certificate that nobody has signed but itself, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl: apt-get install openssl")
    paths = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=test", "-addext", f"subjectAltName={name}", "-out", str(paths[0]), "-keyout", str(paths[1])]
    subprocess.run(command, check=True, capture_output=True)
    return paths


def put(address: str, repository: str, tag: str, made: Made) -> str:
    """Puts an image into a registry without a password; its manifest's digest."""
    for data in (*made.blobs, made.config_bytes):
        began = _ask("POST", f"http://{address}/v2/{repository}/blobs/uploads/")
        _ask("PUT", f"{began}&digest={digest(data)}", data)
    data = manifest(made)
    put_document(address, repository, tag, data, OCI)
    return digest(data)


def put_document(address: str, repository: str, tag: str, data: bytes, kind: str) -> None:
    _ask("PUT", f"http://{address}/v2/{repository}/manifests/{tag}", data, kind)


def _ask(method: str, url: str, data: bytes = b"", kind: str = "application/octet-stream") -> str:
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": kind})
    with urllib.request.urlopen(request) as response:
        return str(response.headers["Location"])


def pushed(address: str, repository: str, tag: str) -> tuple[dict[str, Any], list[bytes]]:
    """What a push left in a registry: the manifest, and the layers as they are there."""
    found: dict[str, Any] = json.loads(get(address, f"{repository}/manifests/{tag}"))
    return found, [get(address, f"{repository}/blobs/{one['digest']}") for one in found["layers"]]


def get(address: str, path: str) -> bytes:
    request = urllib.request.Request(f"http://{address}/v2/{path}", headers={"Accept": f"{OCI}, {INDEX}"})
    with urllib.request.urlopen(request) as response:
        return bytes(response.read())


def manifest(made: Made) -> bytes:
    """As registries want it: with its type in it."""
    return json.dumps({**json.loads(made.manifest), "mediaType": OCI}, indent=1).encode()


def index(*entries: tuple[Made, Mapping[str, str]]) -> bytes:
    """An index of images for platforms."""
    found = [
        {"mediaType": OCI, "digest": digest(manifest(made)), "size": len(manifest(made)), "platform": dict(platform)}
        for made, platform in entries
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": found}).encode()


# One that lies


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
        left = int(request.headers.get("Content-Length", 0))
        while left and (data := request.rfile.read1(min(left, 1 << 16))):
            self.uploads[place] += data
            left -= len(data)
        if request.command == "PATCH":
            request.reply(202, headers={"Location": f"/v2/app/blobs/uploads/{place}?state=a%2Fb"})
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


# The engine's side


@dataclass
class Engine:
    """A store, and what moves images between it and registries. notes: the events."""

    images: Store
    environ: dict[str, str]
    notes: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    pace: Pace = PACE

    def _parts(self, name: str) -> dict[str, Any]:
        notify = lambda action, subject, more: self.notes.append((action, subject, dict(more)))  # noqa: E731
        found = hosts.read(self.images.home.root, self.environ)
        return {"store": self.images, "hosts": found, "keychain": Keychain(self.environ), "name": name} | {
            "notify": notify,
            "pace": self.pace,
        }

    def pulling(self, name: str, **more: Any) -> Pull:
        return Pull(**self._parts(name), **more)

    def pull(self, name: str, **more: Any) -> list[Mapping[str, Any]]:
        """The messages, without how far it is."""
        pull = self.pulling(name, **more)
        pull.begin()
        return [message for message in pull.messages() if message.get("status") != "Downloading"]

    def pushing(self, name: str, **more: Any) -> Push:
        return Push(**self._parts(name), **more)

    def push(self, name: str, **more: Any) -> list[Mapping[str, Any]]:
        """The messages, without how far it is."""
        return [message for message in self.pushing(name, **more).messages() if not message.get("progressDetail")]

    def patient(self, **pace: Any) -> Engine:
        return replace(self, pace=replace(self.pace, **pace))

    def is_clean(self) -> bool:
        """Whether nothing half-made is left: files, blobs that belong to no image, threads."""
        known = {one for image in self.images.images() for one in (image.id, image.manifest, *(at.digest for at in image.layers))}
        threads = [thread.name for thread in threading.enumerate() if thread.name.startswith(("pull", "push", "layer"))]
        return not list(self.images.home.tmp.iterdir()) and set(self.images.blobs) == known and not threads


def client(folder: Path, **environ: str) -> Engine:
    """An engine's side with a store of its own. environ: the user's."""
    folder.mkdir(exist_ok=True)
    return Engine(store(folder), {"HOME": str(folder), "PATH": str(folder), **environ})


def said(messages: list[Mapping[str, Any]]) -> list[str]:
    """What messages say: `status`, with the id before it."""
    return [f"{message['id']}: {message['status']}" if "id" in message else str(message.get("status", "")) for message in messages]
