"""Stand-ins on an engine: loaded under the names that FROM and run use, and good enough for the article's Dockerfile."""

from __future__ import annotations

import dataclasses
import os
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockerlab import builds, containers, images, standins
from dockerlab.client import Client
from dockerlab.errors import NotFound, UsageError
from dockerlab.standins import archives, registry

ARTICLE = """\
FROM python:3.10
EXPOSE 5000
WORKDIR /app
RUN pip install flask
COPY . .
CMD ["flask", "run", "--host", "0.0.0.0"]
"""
APP = """\
import socket
from flask import Flask
app = Flask(__name__)
@app.get("/")
def home():
    return f"<h1>Hello from a container: {socket.gethostname()}</h1>"
"""
SECONDS = 30


@pytest.fixture
def article(client: Client) -> Iterator[images.Image]:
    # Unlike in test_build, pip and its certificates are under test here; the step is cached on a second run.
    image = builds.build(ARTICLE, files={"app.py": APP}, tag="dockerlab-test-article", client=client)
    yield image
    images.rm(image.name, force=True, client=client)


def printed(client: Client, image: str, command: list[str]) -> str:
    # Not while it runs: the log of a container that ends at once is now and then followed without end by Podman 4.3.
    container = client.containers.run(image, command, detach=True)
    try:
        assert container.wait()["StatusCode"] == 0
        return str(container.logs(stderr=False).decode())
    finally:
        container.remove(force=True)


@pytest.mark.contract
def test_prepare_says_that_they_are_ready(client: Client) -> None:
    prepared = standins.prepare("busybox", "python:3.10", client=client)
    assert repr(prepared) == "busybox: ready\npython:3.10: ready"
    assert "it was there" in str(prepared)
    assert [base.image.name for base in prepared.bases] == ["busybox:latest", "python:3.10"]


def test_prepare_knows_what_it_can_make(client: Client) -> None:
    with pytest.raises(UsageError, match="no stand-in is known for 'nginx'"):
        standins.prepare("nginx", client=client)


@pytest.mark.contract
def test_a_stand_in_says_what_it_is(client: Client) -> None:
    image = images.get("busybox", client=client)
    if image.stand_in is None:
        pytest.skip("the engine has the real busybox")
    assert image.labels["dockerlab.stand-in"] == "true"
    assert 'NAME="dockerlab stand-in"' in printed(client, "busybox", ["cat", "/etc/os-release"])
    assert "a stand-in that holds" in str(standins.prepare("busybox", client=client))


@pytest.mark.contract
def test_a_pull_never_makes_a_stand_in(client: Client) -> None:
    with pytest.raises(NotFound):
        images.get("dockerlab-test-nothing", client=client)
    images.tag("busybox", "dockerlab-test-kept", client=client)
    images.rm("dockerlab-test-kept", client=client)
    with pytest.raises(NotFound):
        images.get("dockerlab-test-kept", client=client)


@pytest.mark.contract
def test_busybox_has_a_shell(client: Client) -> None:
    assert printed(client, "busybox", ["sh", "-c", "echo $((6 * 7)) | cat; id -u; stat -c %a /tmp"]).split() == ["42", "0", "1777"]


@pytest.mark.contract
def test_python_has_its_standard_library_and_names_resolve(client: Client) -> None:
    program = "import bz2, ctypes, lzma, socket, sqlite3, ssl, sys, zlib; print(sys.prefix, socket.gethostbyname('localhost'))"
    assert printed(client, "python:3.10", ["python", "-c", program]).split()[-1] == "127.0.0.1"


@pytest.mark.contract
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_article_builds_and_three_containers_of_it_serve_their_pages(client: Client, article: images.Image) -> None:
    made: list[Any] = []
    try:
        made.extend(client.containers.run(article.name, detach=True, ports={"5000/tcp": None}) for _ in range(3))
        for container in made:
            assert f"Hello from a container: {container.short_id}" in page(client, container.id)
        published: list[Any] = [client.containers.get(one.id).ports["5000/tcp"] for one in made]
        assert len({ports[0]["HostPort"] for ports in published}) == 3
    finally:
        for container in made:
            container.remove(force=True)


def page(client: Client, identifier: str | None) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + SECONDS
    while True:
        container: Any = client.containers.get(str(identifier))
        try:
            port = container.ports["5000/tcp"][0]["HostPort"]
            return str(opener.open(f"http://{client.endpoint.host}:{port}/", timeout=5).read().decode())
        except (OSError, KeyError, IndexError, TypeError):
            if time.monotonic() > deadline or container.status == "exited":
                raise AssertionError(container.logs().decode()) from None
            time.sleep(0.1)


@pytest.mark.contract
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("program", [registry.installed(), None], ids=["docker-registry", "python"])
def test_the_registry_takes_an_image_and_gives_it_back(client: Client, prefix: str, program: Path | None) -> None:
    recipe = dataclasses.replace(registry.recipe(program), name=f"{prefix}registry:2")
    with tempfile.TemporaryFile() as file:
        archives.write(recipe, file)
        file.seek(0)
        client.images.load(file)
    assert images.get(recipe.name, client=client).labels["dockerlab.stand-in.for"] == "registry:2"
    served: Any = containers.run(recipe.name, detach=True, publish="5000", wait=5000, name=f"{prefix}registry", client=client)
    assert served.page(5000, "/v2/").status == 200
    _, port = served.address(5000)
    name = f"localhost:{port}/{prefix}app:1"
    builds.build("FROM busybox\nCOPY file /file\n", files={"file": os.urandom(3_000_000)}, tag=name, client=client)
    layers = images.get(name, client=client).attrs["RootFS"]
    pushed = images.push(name, client=client)
    images.rm(name, force=True, client=client)
    pulled = images.pull(name, client=client)
    assert pushed.digest in pulled.digests
    assert pulled.attrs["RootFS"] == layers
    with pytest.raises(NotFound, match="has no such image"):
        images.pull(f"{name}2", client=client)
