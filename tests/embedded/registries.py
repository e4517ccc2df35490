"""Registries for tests: Debian's docker-registry as a process, what is in it, and the engine's side. One that lies is in `fakes`.

with docker_registry(folder) as address:        "127.0.0.1:port"; skips where there is no docker-registry
    put(address, "app", "1", Made([...]))
    client(tmp_path).pull(f"{address}/app:1")
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from dockerlab.engine.registry.credentials import Keychain
from dockerlab.engine.registry.pulling import Pull
from dockerlab.engine.registry.pushing import Push
from dockerlab.engine.store import Store, architecture
from dockerlab.registry import hosts
from dockerlab.registry.auth import Credentials
from dockerlab.registry.client import Pace
from tests.embedded.archives import Made, digest, gzipped, layer, store, zstandard_

OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
SECONDS = 20
# Of user `me` with the password `secret`, as `htpasswd -B` writes it.
HTPASSWD = "me:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"
ME = Credentials("me", "secret")
PACE = Pace(attempts=3, first=0.01, longest=0.05, patience=2.0, connect=10.0, stall=20.0)
# An image whose layers are compressed in different ways.
LAYERS = [layer((f"file{number}", bytes([number]) * 3000, {})) for number in range(4)]
MADE = Made(LAYERS, packed=[gzipped(LAYERS[0]), zstandard_(LAYERS[1]), LAYERS[2], gzipped(LAYERS[3])])
HERE = {"os": "linux", "architecture": architecture()}


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
