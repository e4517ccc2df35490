"""docker-py and the `docker` command pull, push and log in by way of an engine that is a process of its own, on a real registry."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import APIError, ImageNotFound, NotFound

from tests.embedded.archives import Made, gzipped, layer, packed
from tests.embedded.fakes import Asked, fake
from tests.embedded.registries import docker_registry, put
from tests.embedded.rungs import OwnEngine, engine, eventually, resident
from tests.embedded.serving import Talk

FILE = layer(("file", b"hello", {}), ("more", os.urandom(100_000), {}))
MADE = Made([FILE], packed=[gzipped(FILE)])


def drafts(own: OwnEngine) -> list[Path]:
    """Half-written blobs."""
    return list(own.home.tmp.glob("store-*"))


@pytest.fixture(scope="module")
def own() -> Iterator[OwnEngine]:
    with engine("user") as own:
        yield own


@pytest.fixture
def client(own: OwnEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[docker.DockerClient]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    client = docker.DockerClient(base_url=own.home.host)
    yield client
    client.close()
    eventually(lambda: not drafts(own), "a draft is left")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("registry")) as address:
        put(address, "app", "1", MADE)
        put(address, "app", "2", Made([FILE], config={"comment": "2"}, packed=[gzipped(FILE)]))
        yield address


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("private"), password=True) as address:
        yield address


class TestDockerPy:
    """Its own objects."""

    def test_pull(self, client: docker.DockerClient, address: str) -> None:
        image = client.images.pull(f"{address}/app", tag="1")
        assert (image.id, image.tags) == (MADE.id, [f"{address}/app:1"])
        top = image.attrs["RepoDigests"][0].partition("@")[2]
        assert client.images.pull(f"{address}/app@{top}").id == MADE.id
        assert client.images.pull(f"{address}/app", tag=top).id == MADE.id
        assert len(client.images.pull(f"{address}/app", all_tags=True)) == 2
        client.images.remove(f"{address}/app:1")
        client.images.remove(f"{address}/app:2")
        with pytest.raises(ImageNotFound):
            client.images.get(MADE.id)
        with pytest.raises(NotFound, match=re.escape(f"manifest for {address}/app:9 not found")):
            client.images.pull(f"{address}/app:9")

    def test_a_container_of_a_pulled_image_runs(self, client: docker.DockerClient, address: str) -> None:
        client.images.get("busybox").tag(f"{address}/box", "1")
        assert "aux" in client.images.push(f"{address}/box", tag="1")
        client.images.remove(f"{address}/box:1")
        client.images.pull(f"{address}/box", tag="1")
        assert client.containers.run(f"{address}/box:1", ["echo", "hello"], remove=True) == b"hello\n"

    def test_push(self, client: docker.DockerClient, address: str) -> None:
        made = client.api.import_image_from_data(layer(("pushed", b"x", {})), repository=f"{address}/pushed", tag="1")
        assert made
        found = list(client.api.push(f"{address}/pushed", tag="1", stream=True, decode=True))
        assert found[-1]["aux"]["Tag"] == "1"
        assert client.images.get_registry_data(f"{address}/pushed:1").id == found[-1]["aux"]["Digest"]
        assert client.images.get_registry_data(f"{address}/pushed:1").pull().tags == [f"{address}/pushed:1"]

    def test_login(self, client: docker.DockerClient, private: str) -> None:
        client.images.get("busybox").tag(f"{private}/box", "1")
        assert "no basic auth credentials" in client.images.push(f"{private}/box", tag="1")
        with pytest.raises(APIError, match="401 Unauthorized"):
            client.login("me", "wrong", registry=private)
        assert client.login("me", "secret", registry=private)["Status"] == "Login Succeeded"
        assert "aux" in client.images.push(f"{private}/box", tag="1")
        client.images.remove(f"{private}/box:1")
        assert client.images.pull(f"{private}/box", tag="1").tags[-1] == "busybox:latest"

    def test_who_leaves_ends_it(self, own: OwnEngine) -> None:
        gone = threading.Event()
        with fake(MADE) as registry:

            def holds(request: Asked) -> object:
                if not request.is_blob(MADE.blobs[0]):
                    return False
                request.reply(200, MADE.blobs[0][:1000], length=len(MADE.blobs[0]))
                request.connection.settimeout(20)
                if not request.connection.recv(1):
                    gone.set()
                request.close_connection = True
                return True

            registry.faults.append(holds)
            with Talk(own.home.socket) as talk:
                talk.send(f"POST /images/create?fromImage={registry.address}/app&tag=1 HTTP/1.1\r\nHost: docker\r\n\r\n")
                assert talk.head().status == 200
                while b"Downloading" not in talk.chunk():
                    pass
            assert gone.wait(10), "the engine went on"
        eventually(lambda: not drafts(own), "a draft is left")
        assert own.client.ask("GET", f"/images/{registry.name}/json").status == 404

    def test_an_engine_that_is_killed_leaves_no_image_and_no_draft(self, client: docker.DockerClient, own: OwnEngine) -> None:
        reached = threading.Event()
        with fake(MADE) as registry:

            def holds(request: Asked) -> object:
                if not request.is_blob(MADE.blobs[0]):
                    return False
                request.reply(200, MADE.blobs[0][:1000], length=len(MADE.blobs[0]))
                reached.set()
                request.connection.settimeout(20)
                request.connection.recv(1)
                return request.hang_up()

            registry.faults.append(holds)
            messages = client.api.pull(f"{registry.address}/app", tag="1", stream=True, decode=True)
            assert next(messages)["status"] == "Pulling from app"
            assert reached.wait(20)
            own.kill()
            own.start()
            eventually(lambda: not drafts(own), "a draft is left")
            assert own.client.ask("GET", f"/images/{registry.name}/json").status == 404
            registry.faults.clear()
            assert docker.DockerClient(base_url=own.home.host).images.pull(registry.name).id == MADE.id
            own.client.ask("DELETE", f"/images/{registry.name}")

    def test_memory_does_not_grow_with_the_layer(self, client: docker.DockerClient, own: OwnEngine, address: str) -> None:
        big = layer(("big", os.urandom(40_000_000), {}))
        put(address, "big", "1", Made([big], packed=[gzip.compress(big, 1, mtime=0)]))
        plain = f"{address}/plain:1"
        client.images.load(packed(Made([layer(("half", os.urandom(20_000_000).hex().encode(), {}))], [plain]).docker()))
        client.images.pull(f"{address}/app", tag="1")
        before = resident(own.pid)
        client.images.pull(f"{address}/big", tag="1")
        client.images.get(f"{address}/big:1").tag(f"{address}/big2", "1")
        client.images.push(f"{address}/big2", tag="1")
        assert resident(own.pid) - before < 20
        assert "aux" in client.images.push(plain)  # which compresses it
        assert resident(own.pid) - before < 30
        client.images.remove(plain)
        for name in (f"{address}/big:1", f"{address}/big2:1"):
            client.images.remove(name)


class TestCommand:
    """docker login, pull, push, manifest of a distribution, logout."""

    def run(self, own: OwnEngine, config: Path, *arguments: str, input: str = "") -> subprocess.CompletedProcess[str]:
        program = shutil.which("docker")
        if not program:
            pytest.skip("there is no `docker` command")
        environment = {"PATH": os.environ["PATH"], "HOME": str(config), "DOCKER_CONFIG": str(config), "DOCKER_HOST": own.home.host}
        return subprocess.run([program, *arguments], input=input, capture_output=True, text=True, env=environment)

    def test_a_session(self, own: OwnEngine, private: str, tmp_path: Path) -> None:
        name = f"{private}/command:1"
        assert self.run(own, tmp_path, "tag", "busybox", name).returncode == 0
        refused = self.run(own, tmp_path, "push", name)
        assert (refused.returncode, refused.stderr) == (1, "no basic auth credentials\n")
        wrong = self.run(own, tmp_path, "login", "-u", "me", "--password-stdin", private, input="wrong")
        assert wrong.returncode == 1
        assert wrong.stderr.endswith(f"login attempt to http://{private}/v2/ failed with status: 401 Unauthorized\n")
        login = self.run(own, tmp_path, "login", "-u", "me", "--password-stdin", private, input="secret")
        assert login.stdout == "Login Succeeded\n", login.stderr
        pushed = self.run(own, tmp_path, "push", name)
        assert pushed.returncode == 0, pushed.stderr
        top = re.search(r"^1: digest: (sha256:\S+) size: \d+$", pushed.stdout, re.MULTILINE)
        assert top, pushed.stdout
        assert self.run(own, tmp_path, "rmi", name).returncode == 0
        pulled = self.run(own, tmp_path, "pull", name)
        assert pulled.stdout.splitlines() == [
            "1: Pulling from command",
            f"Digest: {top[1]}",
            f"Status: Downloaded newer image for {name}",
            name,
        ]
        assert self.run(own, tmp_path, "pull", "--quiet", name).stdout == f"{name}\n"
        assert self.run(own, tmp_path, "pull", f"{private}/command@{top[1]}").returncode == 0
        missing = self.run(own, tmp_path, "pull", f"{private}/command:2")
        text = f"Error response from daemon: manifest for {private}/command:2 not found: manifest unknown: manifest unknown\n"
        assert (missing.returncode, missing.stderr) == (1, text)
        assert self.run(own, tmp_path, "logout", private).returncode == 0
        self.run(own, tmp_path, "rmi", name)

    def test_run_pulls_what_is_not_there(self, own: OwnEngine, address: str, tmp_path: Path) -> None:
        name = f"{address}/run:1"
        for command in (("tag", "busybox", name), ("push", "--quiet", name), ("rmi", name)):
            assert self.run(own, tmp_path, *command).returncode == 0
        ran = self.run(own, tmp_path, "run", "--rm", name, "echo", "hello")
        assert ran.stdout == "hello\n", ran.stderr
        assert f"Unable to find image '{name}' locally" in ran.stderr
        self.run(own, tmp_path, "rmi", name)

    def test_info_shows_how_registries_are_reached(self, own: OwnEngine, tmp_path: Path) -> None:
        (own.home.root / "registries.json").write_text(json.dumps({"registry-mirrors": ["https://mirror.example"]}))
        try:
            assert "https://mirror.example" in self.run(own, tmp_path, "info").stdout
        finally:
            (own.home.root / "registries.json").unlink()
