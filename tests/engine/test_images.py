"""The verbs on images, on real engines; pulls come from a registry of the test's own."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dockerlab import images
from dockerlab.client import Client, connect
from dockerlab.errors import Conflict, EngineError, InvalidReference, NotFound, RegistryUnreachable, UsageError
from dockerlab.images import PullProgress
from dockerlab.standins.tree import Tree

PREFIX = "dockerlab-test"


@pytest.fixture
def tagged(client: Client) -> Iterator[str]:
    name = f"{PREFIX}-image:1"
    images.tag("busybox", name, client=client)
    yield name
    remove(name, client)


def remove(name: str, client: Client) -> None:
    try:
        images.rm(name, force=True, client=client)
    except NotFound:
        return


@pytest.mark.contract
def test_get_by_name_by_id_and_by_image(client: Client) -> None:
    image = images.get("busybox", client=client)
    assert repr(image) == "image busybox:latest"
    assert image.attrs["Os"] == "linux"
    for other in (image.short_id, str(image.id), image, "docker.io/library/busybox"):
        assert images.get(other, client=client) == image
    image.reload()
    assert image.name == "busybox:latest"


@pytest.mark.contract
def test_an_image_that_is_not_there(client: Client) -> None:
    with pytest.raises(NotFound) as caught:
        images.get("busybx", client=client)
    assert str(caught.value) == "no such image 'busybx'"
    assert "Did you mean 'busybox'" in str(caught.value.hint)
    with pytest.raises(InvalidReference):
        images.get("Busy Box", client=client)


@pytest.mark.contract
def test_tag_ls_and_rm(client: Client, tagged: str) -> None:
    image = images.get(tagged, client=client)
    assert image.name == tagged
    listed = images.ls(f"{PREFIX}-image", client=client)
    assert [i.id for i in listed] == [image.id]
    assert tagged in repr(listed)
    assert tagged in repr(images.ls(client=client))
    assert repr(images.ls("dockerlab-test-no*", client=client)).startswith("No image 'dockerlab-test-no*'")
    removed = images.rm(tagged, client=client)
    assert repr(removed) == f"removed {tagged}"
    assert [tag for tag in removed.untagged if tagged in tag]
    assert not removed.deleted
    assert not images.ls(tagged, client=client)
    assert images.get("busybox", client=client) == image


@pytest.mark.contract
def test_rm_of_several_is_all_or_nothing_where_one_is_not_there(client: Client, tagged: str) -> None:
    with pytest.raises(NotFound, match="no such image 'dockerlab-test-nothing'"):
        images.rm([tagged, "dockerlab-test-nothing"], client=client)
    assert images.get(tagged, client=client).tags
    with pytest.raises(UsageError):
        images.rm([], client=client)


@pytest.mark.contract
def test_rm_by_id_of_an_image_with_several_names(client: Client, tagged: str) -> None:
    identifier = str(images.get(tagged, client=client).id)
    with pytest.raises(Conflict, match="has several names: busybox:latest, dockerlab-test-image:1"):
        images.rm(identifier, client=client)


@pytest.mark.contract
def test_rm_of_an_image_in_use(client: Client) -> None:
    containers: Any = client.containers
    made = containers.create("busybox", ["true"])
    image = made.commit(f"{PREFIX}-used", "1")
    made.remove()
    user = containers.create(image.id, ["true"])
    try:
        with pytest.raises(Conflict) as caught:
            images.rm(f"{PREFIX}-used:1", client=client)
        assert str(caught.value) == "image 'dockerlab-test-used:1' is in use by a container"
    finally:
        user.remove(force=True)
        remove(f"{PREFIX}-used:1", client)


@pytest.mark.contract
def test_rm_by_force_of_what_is_not_there(client: Client) -> None:
    made = f"{PREFIX}-forced:1"
    images.tag("busybox", made, client=client)
    with pytest.raises(NotFound):
        images.rm([made, f"{PREFIX}-nothing"], client=client)
    removed = images.rm([made, f"{PREFIX}-nothing"], force=True, client=client)
    assert str(removed).splitlines()[:2] == [f"removed {made}", f"there was no image '{PREFIX}-nothing'"]
    assert "there was no image" in removed._repr_html_()
    assert not images.ls(made, client=client)


@pytest.mark.contract
def test_tag_wants_a_reference(client: Client) -> None:
    with pytest.raises(InvalidReference):
        images.tag("busybox", "No Reference", client=client)
    with pytest.raises(InvalidReference):
        images.tag("busybox", f"x@sha256:{'a' * 64}", client=client)
    with pytest.raises(NotFound):
        images.tag("dockerlab-test-nothing", "x", client=client)


@pytest.mark.contract
def test_history_show_and_inspect(client: Client) -> None:
    history = images.history("python:3.10", client=client)
    view = images.show("python:3.10", client=client)
    assert history.lines == view.layers[::-1]
    assert sum(not layer.empty for layer in view.layers) == len(view.image.attrs["RootFS"]["Layers"])
    assert 'CMD ["python3"]' in repr(view)
    assert 'CMD ["python3"]' in repr(history)
    assert images.inspect("python:3.10", client=client)["Id"] == view.image.id
    for value in (history, view, view.image):
        assert value._repr_html_()
        assert str(value)


@pytest.mark.contract
def test_prune_says_what_it_did(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # Asked for images that nobody has, so that nobody's images go.
    prune: Any = client.api.prune_images
    monkeypatch.setattr(client.api, "prune_images", lambda filters: prune({**filters, "label": "dockerlab-test-nothing"}))
    assert repr(images.prune(client=client)) == "removed the images without a name that no container uses"
    if "Podman" in str(client.version()["Components"]):
        with pytest.raises(EngineError, match="prunes only images without a name"):
            images.prune(all=True, client=client)
    else:
        assert images.prune(all=True, client=client).deleted == ()


@pytest.mark.contract
def test_a_registry_that_does_not_answer(client: Client) -> None:
    with pytest.raises(RegistryUnreachable) as caught:
        images.pull("registry.invalid/app:1", client=client)
    assert str(caught.value) == "cannot pull 'registry.invalid/app:1': the registry registry.invalid does not answer"
    assert images.ensure("busybox", client=client).name == "busybox:latest"


# A registry: just the handler that a pull needs. Docker speaks plain HTTP to one on 127.0.0.1; Podman does not, so that these tests
# are not part of the contract.


class Registry:
    """One repository, `app`, with one tag, `1`. password: wanted of the user `me`. is_slow: its layer comes in small pieces."""

    def __init__(self, password: str | None = None, is_slow: bool = False) -> None:
        self.password, self.is_slow = password, is_slow
        self.begun, self.broken = threading.Event(), threading.Event()
        tree, layer = Tree(), io.BytesIO()
        # Unlike any layer of another run: an engine does not fetch what it has.
        tree.file("/file", f"{time.time_ns()}".encode() + bytes(range(256)) * 4_000)
        tree.write(layer)
        data = gzip.compress(layer.getvalue(), 0)
        diff_id = f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"
        config: dict[str, Any] = {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        }
        config |= {"history": [{"created_by": "COPY file /"}]}
        self.layer = self._digest(data)
        self.blobs = {self.layer: data}
        kinds = ("image.rootfs.diff.tar.gzip", "container.image.v1+json", "distribution.manifest.v2+json")
        layer_kind, config_kind, self.kind = (f"application/vnd.docker.{kind}" for kind in kinds)
        descriptor = {"mediaType": layer_kind, "digest": self.layer, "size": len(data)}
        manifest = {"schemaVersion": 2, "mediaType": self.kind, "config": self._put(config_kind, config), "layers": [descriptor]}
        self.manifest = json.dumps(manifest).encode()
        self.blobs[self._digest(self.manifest)] = self.manifest

    def _digest(self, data: bytes) -> str:
        return f"sha256:{hashlib.sha256(data).hexdigest()}"

    def _put(self, kind: str, value: dict[str, Any]) -> dict[str, object]:
        data = json.dumps(value).encode()
        self.blobs[self._digest(data)] = data
        return {"mediaType": kind, "digest": self._digest(data), "size": len(data)}

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        expected = f"Basic {base64.b64encode(f'me:{self.password}'.encode()).decode()}"
        if self.password and request.headers.get("Authorization") != expected:
            request.send_response(401)
            request.send_header("WWW-Authenticate", 'Basic realm="test"')
            return self._send(request, b"{}")
        what, name = request.path.rpartition("/")[::2]
        data = self.manifest if what == "/v2/app/manifests" and name == "1" else self.blobs.get(name, b"")
        request.send_response(200 if data or request.path == "/v2/" else 404)
        if what.endswith("manifests") and data:
            request.send_header("Content-Type", self.kind)
            request.send_header("Docker-Content-Digest", self._digest(data))
        elif not data and request.path != "/v2/":
            data = json.dumps({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}).encode()
        return self._send(request, data, slowly=self.is_slow and name == self.layer)

    def _send(self, request: BaseHTTPRequestHandler, data: bytes, slowly: bool = False) -> None:
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        if request.command == "HEAD":
            return
        try:
            for start in range(0, len(data), 10_000):
                request.wfile.write(data[start : start + 10_000])
                if slowly:
                    self.begun.set()
                time.sleep(0.1 if slowly else 0)
        except OSError:
            self.broken.set()


Serve = Callable[[Registry], str]


@pytest.fixture
def serve(client: Client) -> Iterator[Serve]:
    """Serves a registry and gives its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(registry: Registry) -> str:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                # Who begins with TLS is told in plain HTTP, as any registry does: containerd goes on without TLS for these words alone.
                if self.connection.recv(1, socket.MSG_PEEK) == b"\x16":
                    self.connection.recv(1 << 16)
                    self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                    self.close_connection = True
                else:
                    super().handle_one_request()

            def do_GET(self) -> None:
                registry.answer(self)

            do_HEAD = do_GET

            def log_message(self, format: str, *args: object) -> None:
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        return f"127.0.0.1:{servers[-1].server_port}"

    if not client.endpoint.is_local:
        pytest.skip("the engine does not reach this machine's 127.0.0.1")
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
        for image in images.ls(f"127.0.0.1:{server.server_port}/*", client=client):
            images.rm(image, force=True, client=client)


def test_pull_reports_its_layers(client: Client, serve: Serve) -> None:
    name = f"{serve(Registry())}/app:1"
    seen: list[PullProgress] = []
    image = images.pull(name, progress=seen.append, client=client)
    assert image.name == name
    assert [layer.instruction for layer in image.layers] == ["COPY file /"]
    assert seen[-1].done
    assert len(seen[-1].layers) == 1
    assert repr(seen[-1]) == f"{name}: pulled"
    assert images.ensure(name, client=client) == image
    assert images.pull(f"{name.removesuffix(':1')}@{image.attrs['RepoDigests'][0].partition('@')[2]}", client=client) == image


def test_an_image_that_the_registry_has_not(client: Client, serve: Serve) -> None:
    address = serve(Registry())
    for name in (f"{address}/app:2", f"{address}/nothing:latest"):
        with pytest.raises(NotFound) as caught:
            images.ensure(name, client=client)
        assert str(caught.value) == f"cannot pull '{name}': the registry {address} has no such image, or it is private"


def test_a_private_image(client: Client, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = serve(Registry(password="secret"))
    with pytest.raises(NotFound, match="or it is private"):
        images.pull(f"{address}/app:1", client=client)
    auth = base64.b64encode(b"me:secret").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {address: {"auth": auth}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with closing(connect(client.endpoint.url)) as logged_in:
        assert images.pull(f"{address}/app:1", client=logged_in).tags == [f"{address}/app:1"]


def test_an_interrupt_cancels_the_pull_in_the_engine(client: Client, serve: Serve) -> None:
    registry = Registry(is_slow=True)
    name = f"{serve(registry)}/app:1"

    def stop(progress: PullProgress) -> None:
        # Not by its bytes: containerd counts none before it has a mebibyte.
        if progress.layers and registry.begun.is_set():
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        images.pull(name, progress=stop, client=client)
    assert registry.broken.wait(3), "the engine went on"
    assert time.monotonic() - started < 5
    with pytest.raises(NotFound):
        images.get(name, client=client)
