"""docker-py on images, volumes, networks and the engine itself."""

from __future__ import annotations

import io
import socket
import tarfile
import urllib.request
from collections.abc import Mapping
from typing import Any

import docker.errors
import pytest

from dockerlab.client import Client
from tests.engine.docker_command import Kind, differs, until
from tests.engine.leftovers import label

pytestmark = pytest.mark.contract


@pytest.fixture
def image(client: Client, prefix: str) -> Any:
    """An image of the test's own: busybox, and a layer that holds /kept."""
    container: Any = client.containers.run("busybox", ["sh", "-c", "echo kept > /kept"], detach=True, name=f"{prefix}source")
    container.wait()
    made = container.commit(f"{prefix}image", "1")
    container.remove()
    return made


def names(tags: list[str]) -> list[str]:
    """Without the registry that Podman puts before them."""
    return sorted(tag.rpartition("/")[2] for tag in tags)


def test_the_engine(client: Client, kind: Kind) -> None:
    assert client.ping() is True
    version = client.version()
    assert version["Os"] == "linux"
    assert version["ApiVersion"] >= "1.41"
    info = client.info()
    assert info["ID"]
    assert info["Images"] >= 2
    assert info["Driver"]
    usage = client.df()
    assert {"LayersSize", "Images", "Containers", "Volumes"} <= usage.keys()
    if kind != "podman":  # which names them otherwise
        assert any("busybox:latest" in (found["RepoTags"] or []) for found in usage["Images"])


def test_get_and_list(client: Client) -> None:
    image: Any = client.images.get("busybox")
    assert "busybox:latest" in names(image.tags)
    assert image.short_id == image.id[:19]
    assert image in client.images.list()
    assert image in client.images.list("busybox")
    assert client.images.list("dockerlab-no-such-image") == []
    assert image.attrs["Config"]["Cmd"] == ["sh"]
    assert image.history()[0]["Id"]
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get("dockerlab-no-such-image")


def test_tag_and_remove(client: Client, image: Any, prefix: str) -> None:
    assert image.tag(f"{prefix}other", "2") is True
    image.reload()
    assert names(image.tags) == [f"{prefix}image:1", f"{prefix}other:2"]
    client.images.remove(f"{prefix}other:2")
    image.reload()
    assert names(image.tags) == [f"{prefix}image:1"]
    client.images.remove(image.id)
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get(f"{prefix}image:1")
    with pytest.raises(docker.errors.NotFound):
        client.images.remove(f"{prefix}image:1")


def test_save_and_load(client: Client, image: Any, prefix: str) -> None:
    saved = b"".join(image.save(named=image.tags[0]))
    with tarfile.open(fileobj=io.BytesIO(saved)) as members:
        assert "manifest.json" in members.getnames()
    client.images.remove(image.id)
    (loaded,) = client.images.load(saved)
    assert loaded.id == image.id
    assert names(loaded.tags) == [f"{prefix}image:1"]
    assert client.containers.run(f"{prefix}image:1", ["cat", "/kept"], labels=label(prefix)) == b"kept\n"


def test_import(client: Client, kind: Kind, prefix: str) -> None:
    differs(kind, podman="gives it another name than was asked for")
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as out:
        out.addfile(tarfile.TarInfo("empty"))
    client.api.import_image_from_data(held.getvalue(), repository=f"{prefix}flat", tag="1")
    assert len(client.images.get(f"{prefix}flat:1").attrs["RootFS"]["Layers"]) == 1


def test_images_are_not_pruned_while_they_have_a_name(client: Client, image: Any, prefix: str) -> None:
    pruned = client.images.prune(filters={"label": [f"dockerlab-test={prefix}"]})
    assert pruned["SpaceReclaimed"] == 0
    assert client.images.get(f"{prefix}image:1").id == image.id


def test_volumes(client: Client, kind: Kind, prefix: str) -> None:
    volume: Any = client.volumes.create(f"{prefix}v", driver="local", labels={"a": "b"})
    assert (volume.name, volume.attrs["Driver"], volume.attrs["Labels"]) == (f"{prefix}v", "local", {"a": "b"})
    assert volume.attrs["Mountpoint"]
    assert [found.name for found in client.volumes.list(filters={"name": prefix})] == [f"{prefix}v"]
    assert client.volumes.get(f"{prefix}v").id == f"{prefix}v"
    volume.remove()
    with pytest.raises(docker.errors.NotFound):
        client.volumes.get(f"{prefix}v")
    with pytest.raises(docker.errors.APIError):
        client.volumes.create("not/a name")
    client.volumes.create(f"{prefix}v", labels=label(prefix))
    every = {"all": True} if kind == "docker28" else {}
    pruned: Any = client.volumes.prune(filters={"label": f"dockerlab-test={prefix}", **every})
    assert pruned["VolumesDeleted"] == [f"{prefix}v"]


def test_networks(client: Client, kind: Kind, prefix: str) -> None:
    network: Any = client.networks.create(f"{prefix}n", driver="bridge", labels=label(prefix))
    assert network.name == f"{prefix}n"
    assert [found.id for found in client.networks.list(names=[f"{prefix}n"])] == [network.id]
    assert [found.id for found in client.networks.list(filters={"label": f"dockerlab-test={prefix}"})] == [network.id]
    container: Any = client.containers.run("busybox", ["sleep", "600"], detach=True, name=f"{prefix}c")
    network.connect(container, aliases=["nick"])
    network.reload()
    assert [found.id for found in network.containers] == [container.id]
    container.reload()
    assert "nick" in container.attrs["NetworkSettings"]["Networks"][f"{prefix}n"]["Aliases"]
    if kind != "podman":  # which ends the containers with it
        with pytest.raises(docker.errors.APIError):
            network.remove()
    network.disconnect(container)
    network.reload()
    assert network.containers == []
    network.remove()
    with pytest.raises(docker.errors.NotFound):
        client.networks.get(f"{prefix}n")
    if kind == "docker28":  # older ones take a second one of the same name, unless they are asked to check
        client.networks.create(f"{prefix}n", labels=label(prefix))
        with pytest.raises(docker.errors.APIError) as caught:
            client.networks.create(f"{prefix}n")
        assert caught.value.status_code == 409
        pruned = client.networks.prune(filters={"label": f"dockerlab-test={prefix}"})
        assert pruned["NetworksDeleted"] == [f"{prefix}n"]


@pytest.mark.parametrize("port", [5000, 80])
@pytest.mark.needs("busybox")
def test_a_container_in_a_network_of_its_own(client: Client, kind: Kind, prefix: str, port: int) -> None:
    differs(kind, podman="needs a name server of its own, which is not here")
    client.networks.create(f"{prefix}n")
    client.containers.run("busybox", serve(port), detach=True, name=f"{prefix}server", network=f"{prefix}n")
    fetch = ["timeout", "10", "sh", "-c", f"until wget -q -O - http://{prefix}server:{port}/; do sleep 0.1; done"]
    assert client.containers.run("busybox", fetch, network=f"{prefix}n", labels=label(prefix)) == b"found\n"


def serve(port: int, page: str = "found") -> list[str]:
    """A web server inside a container."""
    return ["sh", "-c", f"mkdir /w; echo {page} > /w/index.html; exec httpd -f -p {port} -h /w"]


def read(binding: Mapping[str, str]) -> bytes:
    """Its page at a published port, as soon as there is one."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def fetch() -> bytes:
        try:
            return bytes(opener.open(f"http://127.0.0.1:{binding['HostPort']}/index.html", timeout=5).read())
        except OSError:
            return b""

    return until(fetch)


@pytest.mark.needs("busybox")
def test_ports(client: Client, kind: Kind, prefix: str) -> None:
    containers: Any = client.containers
    container = containers.run("busybox", serve(5000), detach=True, name=f"{prefix}c", ports={"5000/tcp": ("127.0.0.1", None)})
    container.reload()
    (binding,) = container.ports["5000/tcp"]
    assert binding["HostIp"] == "127.0.0.1"
    assert read(binding) == b"found\n"
    assert client.api.port(container.id, 5000) == [binding]
    container.stop(timeout=0)
    with pytest.raises(OSError, match=r"refused|reset"):
        socket.create_connection(("127.0.0.1", int(binding["HostPort"])), timeout=5).close()
    container.reload()
    assert not container.ports.get("5000/tcp") or kind == "podman"


@pytest.mark.needs("busybox")
def test_three_on_port_80_are_published_at_once(client: Client, prefix: str) -> None:
    containers: Any = client.containers
    pages = []
    for name in ("a", "b", "c"):
        ports = {"80/tcp": ("127.0.0.1", None)}
        container = containers.run("busybox", serve(80, name), detach=True, name=prefix + name, ports=ports)
        container.reload()
        pages.append(container.ports["80/tcp"][0])
    assert [read(binding) for binding in pages] == [b"a\n", b"b\n", b"c\n"]
