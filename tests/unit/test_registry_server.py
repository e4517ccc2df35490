"""The stand-in for a registry: what a push and a pull need of the distribution specification, and what it refuses."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dockerlab.standins.registry_server import Registry
from tests.embedded.archives import load, packed
from tests.embedded.registries import MADE, client, pushed

KIND = "application/vnd.oci.image.manifest.v1+json"


class Asker:
    """Asks one registry, on one connection."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)

    def __call__(
        self, method: str, path: str, body: bytes | Iterator[bytes] = b"", **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, f"/v2{path}", body, named)
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def upload(self, name: str, data: bytes) -> str:
        status, headers, _ = self("POST", f"/{name}/blobs/uploads/", data)
        assert (status, headers["Range"]) == (202, f"0-{len(data) - 1}")
        place = headers["Location"].removeprefix("/v2")
        status, headers, _ = self("PUT", f"{place}?digest={digest(data)}")
        assert (status, headers["Docker-Content-Digest"]) == (201, digest(data))
        return digest(data)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Registry]:
    with Registry(("127.0.0.1", 0), tmp_path / "registry") as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def ask(server: Registry) -> Iterator[Asker]:
    asker = Asker(server.server_port)
    yield asker
    asker.connection.close()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def code(body: bytes) -> str:
    return str(json.loads(body)["errors"][0]["code"])


def test_our_engine_pushes_and_pulls(server: Registry, tmp_path: Path) -> None:
    here, there = client(tmp_path / "here"), client(tmp_path / "there")
    name = f"127.0.0.1:{server.server_port}/some/app:1"
    load(here.images, packed(MADE.docker()))
    here.images.tag(here.images.images()[0], name)
    said = [str(message.get("status")) for message in here.push(name)]
    assert said.count("Pushed") == len(MADE.layers)
    manifest, layers = pushed(f"127.0.0.1:{server.server_port}", "some/app", "1")
    assert [digest(layer) for layer in layers] == [one["digest"] for one in manifest["layers"]]
    there.pull(name)
    assert there.images.get(name).id == here.images.get(name).id
    assert [str(message.get("status")) for message in here.push(name)].count("Layer already exists") == len(MADE.layers)


def test_a_blob_in_pieces(ask: Asker) -> None:
    data = os.urandom(700_000)
    _, headers, _ = ask("POST", "/app/blobs/uploads/")
    place = headers["Location"].removeprefix("/v2")
    status, headers, _ = ask("PATCH", place, iter([data[:1000], data[1000:300_000]]))
    assert (status, headers["Range"]) == (202, "0-299999")
    assert ask("GET", place)[1]["Range"] == "0-299999"
    status, _, body = ask("PATCH", place, data[400_000:], Content_Range="400000-699999")
    assert (status, code(body)) == (416, "BLOB_UPLOAD_INVALID")
    assert ask("PATCH", place, data[300_000:600_000], Content_Range="300000-599999")[0] == 202
    assert ask("PUT", f"{place}?digest={digest(data)}", data[600_000:])[0] == 201
    status, headers, body = ask("GET", f"/app/blobs/{digest(data)}")
    assert (status, headers["Docker-Content-Digest"], body) == (200, digest(data), data)
    status, headers, body = ask("HEAD", f"/app/blobs/{digest(data)}")
    assert (status, headers["Content-Length"], body) == (200, str(len(data)), b"")
    assert ask("GET", place)[0] == 404


def test_other_bytes_than_those_of_the_digest_are_refused(ask: Asker, server: Registry) -> None:
    status, _, body = ask("POST", f"/app/blobs/uploads/?digest={digest(b'a')}", b"b")
    assert (status, code(body)) == (400, "DIGEST_INVALID")
    assert ask("HEAD", f"/app/blobs/{digest(b'b')}")[0] == 404
    assert list((server.folder / "uploads").iterdir()) == []
    assert ask("POST", f"/app/blobs/uploads/?digest={digest(b'a')}", b"a")[0] == 201
    assert ask("POST", f"/other/blobs/uploads/?mount={digest(b'a')}&from=app")[0] == 201
    status, headers, _ = ask("POST", f"/other/blobs/uploads/?mount={digest(b'x')}&from=app")
    assert status == 202
    assert ask("DELETE", headers["Location"].removeprefix("/v2"))[0] == 204


def test_a_manifest_by_tag_and_by_digest(ask: Asker) -> None:
    parts = [ask.upload("app", b"config"), ask.upload("app", b"layer")]
    manifest = json.dumps({"config": {"digest": parts[0]}, "layers": [{"digest": parts[1]}]}).encode()
    status, headers, _ = ask("PUT", "/app/manifests/1", manifest, Content_Type=KIND)
    assert (status, headers["Docker-Content-Digest"]) == (201, digest(manifest))
    for which in ("1", digest(manifest)):
        status, headers, body = ask("GET", f"/app/manifests/{which}")
        assert (status, headers["Content-Type"], headers["Docker-Content-Digest"], body) == (200, KIND, digest(manifest), manifest)
    index = json.dumps({"manifests": [{"digest": digest(manifest)}]}).encode()
    assert ask("PUT", "/app/manifests/all", index)[0] == 201
    assert json.loads(ask("GET", "/app/tags/list")[2]) == {"name": "app", "tags": ["1", "all"]}
    assert json.loads(ask("GET", "/_catalog")[2]) == {"repositories": ["app"]}


def test_what_it_refuses_is_told_in_the_words_of_the_specification(ask: Asker, server: Registry) -> None:
    for method, path, body, expected in (
        ("GET", "/app/manifests/1", b"", (404, "MANIFEST_UNKNOWN")),
        ("GET", f"/app/manifests/{digest(b'')}", b"", (404, "MANIFEST_UNKNOWN")),
        ("GET", "/app/tags/list", b"", (404, "NAME_UNKNOWN")),
        ("GET", f"/app/blobs/{digest(b'')}", b"", (404, "BLOB_UNKNOWN")),
        ("PUT", "/app/manifests/1", b"{}", (400, "MANIFEST_INVALID")),
        ("PUT", "/app/manifests/1", b"nothing", (400, "MANIFEST_INVALID")),
        ("PUT", "/app/manifests/1", b'{"config": {"digest": "../../x"}, "layers": []}', (400, "MANIFEST_INVALID")),
        ("PUT", f"/app/manifests/{digest(b'')}", b'{"manifests": []}', (400, "DIGEST_INVALID")),
        ("DELETE", "/app/manifests/1", b"", (405, "UNSUPPORTED")),
        ("GET", "/../etc/manifests/1", b"", (404, "NAME_INVALID")),
        ("GET", "/app/manifests/..%2f1", b"", (404, "NAME_INVALID")),
        ("PUT", f"/app/blobs/uploads/{'0' * 32}?digest={digest(b'')}", b"", (404, "BLOB_UPLOAD_UNKNOWN")),
    ):
        status, _, answer = ask(method, path, body)
        assert (status, code(answer)) == expected, path
    assert code(ask("POST", "/app/blobs/uploads/", b"no number\r\n", Transfer_Encoding="chunked")[2]) == "SIZE_INVALID"
    missing = json.dumps({"config": {"digest": digest(b"x")}, "layers": []}).encode()
    assert code(ask("PUT", "/app/manifests/1", missing)[2]) == "MANIFEST_BLOB_UNKNOWN"
    assert list((server.folder / "repositories").iterdir()) == []


def test_who_begins_with_tls_is_told_in_plain_http(server: Registry) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port), 5) as connection:
        connection.sendall(b"\x16\x03\x01\x00\x05hello")
        assert connection.recv(100).startswith(b"HTTP/1.0 400 ")


def _begun(server: Registry, method: str, path: str, length: int, first: bytes) -> socket.socket:
    """A request of which more is to come."""
    connection = socket.create_connection(("127.0.0.1", server.server_port), 5)
    connection.sendall(f"{method} /v2{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode() + first)
    return connection


def _waits_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_who_writes_on_while_an_upload_ends_does_not_change_the_blob(ask: Asker, server: Registry) -> None:
    place = ask("POST", "/app/blobs/uploads/")[1]["Location"].removeprefix("/v2")
    draft = server.folder / "uploads" / place.rpartition("/")[2]
    begun = bytes(1 << 18)
    with _begun(server, "PATCH", place, len(begun) + 5, begun) as other:
        _waits_for(lambda: draft.stat().st_size == len(begun))
        status, _, body = ask("PUT", f"{place}?digest={digest(begun)}")
        other.sendall(b"after")
        assert other.recv(100).startswith(b"HTTP/1.1 202 ")
    assert (status, code(body)) == (409, "BLOB_UPLOAD_INVALID")
    assert ask("PUT", f"{place}?digest={digest(begun + b'after')}")[0] == 201
    assert ask("GET", f"/app/blobs/{digest(begun + b'after')}")[2] == begun + b"after"


def test_an_upload_that_breaks_off_leaves_nothing(server: Registry) -> None:
    uploads = server.folder / "uploads"
    with _begun(server, "POST", f"/app/blobs/uploads/?digest={digest(b'x')}", 10, b"begun"):
        _waits_for(lambda: any(uploads.iterdir()))
    _waits_for(lambda: not any(uploads.iterdir()))
    assert not [*uploads.iterdir()]


def test_a_manifest_without_an_end_or_without_a_bottom_is_refused(ask: Asker) -> None:
    chunks = iter([b"10000\r\n" + b"[" * (1 << 16) + b"\r\n"] * 100 + [b"0\r\n\r\n"])
    status, _, body = ask("PUT", "/app/manifests/1", chunks, Transfer_Encoding="chunked")
    assert (status, code(body)) == (413, "SIZE_INVALID")
    assert code(ask("PUT", "/app/manifests/1", b"[" * 100_000)[2]) == "MANIFEST_INVALID"
    assert code(ask("GET", f"/{'a' * 300}/manifests/1")[2]) == "NAME_INVALID"


def test_what_there_is_no_room_for_is_told_and_what_was_there_stays(tmp_path: Path) -> None:
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        "from dockerlab.standins.registry_server import main; main(sys.argv[1], '0')"
    )
    with subprocess.Popen([sys.executable, "-c", program, tmp_path], stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            line = server.stderr.readline()
            ask = Asker(int(line.partition("port ")[2].partition(":")[0]))
            place = ask("POST", "/app/blobs/uploads/", b"first")[1]["Location"].removeprefix("/v2")
            status, _, body = ask("PATCH", place, bytes(1_000_000))
            assert (status, "cannot be kept" in json.loads(body)["errors"][0]["message"]) == (507, True)
            assert (tmp_path / "uploads" / place.rpartition("/")[2]).read_bytes() == b"first"
            assert ask("POST", "/app/blobs/uploads/", bytes(1_000_000))[0] == 507
            assert len(list((tmp_path / "uploads").iterdir())) == 1
            assert ask("PUT", "/app/manifests/1", json.dumps({"manifests": [], "x": "x" * 200_000}).encode())[0] == 507
            assert list((tmp_path / "blobs").iterdir()) == []
            ask.connection.close()
        finally:
            server.kill()


def test_what_was_sent_along_is_no_request(ask: Asker, server: Registry) -> None:
    hidden = b"GET /v2/_catalog HTTP/1.1\r\nHost: x\r\n\r\n"
    with _begun(server, "GET", "/", len(hidden), hidden) as connection:
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answer.count(b"HTTP/1.1 ") == 1
