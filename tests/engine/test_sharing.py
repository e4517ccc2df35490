"""Images to others: pushed to a registry and pulled again, saved to a file and loaded; on real engines, with a real registry."""

from __future__ import annotations

import base64
import gzip
import io
import json
import lzma
import os
import socket
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zstandard

from dockerlab import builds, images
from dockerlab.client import Client, connect
from dockerlab.errors import ArchiveError, EngineError, NotFound, RegistryUnreachable, UsageError
from dockerlab.images import ArchiveProgress, PullProgress, PushProgress
from dockerlab.wire import streams
from tests.embedded import fakes
from tests.embedded.fakes import Asked
from tests.embedded.registries import docker_registry

MEBIBYTE = 1 << 20


@pytest.fixture
def made(client: Client, prefix: str) -> str:
    """The name of an image with a layer that is nowhere else, of three mebibytes."""
    name = f"{prefix}app:1"
    builds.build("FROM busybox\nCOPY file /file\n", files={"file": os.urandom(3 * MEBIBYTE)}, tag=name, client=client)
    return name


@pytest.fixture
def registry(client: Client, tmp_path: Path) -> Iterator[str]:
    if not client.endpoint.is_local:
        pytest.skip("the engine does not reach this machine's 127.0.0.1")
    with docker_registry(tmp_path) as address:
        yield address


# A registry


def test_pushed_removed_and_pulled_again_it_has_the_same_digest(client: Client, made: str, registry: str) -> None:
    name = f"{registry}/{made}"
    seen: list[PullProgress] = []
    images.tag(made, name, client=client)
    before = images.get(made, client=client)
    pushed = images.push(name, progress=seen.append, client=client)
    assert (pushed.reference, repr(pushed)) == (name, f"pushed {name}")
    assert repr(seen[-1]) == f"{name}: pushed"
    assert isinstance(seen[-1], PushProgress)
    assert seen[-1].done
    assert pushed.digest in images.get(name, client=client).digests or client.is_podman
    images.rm([name, made], force=True, client=client)
    with pytest.raises(NotFound):
        images.get(name, client=client)
    pulled = images.pull(name, progress=seen.append, client=client)
    # Podman lists that of its own manifest, too.
    assert pulled.digests == [pushed.digest] or (client.is_podman and pushed.digest in pulled.digests)
    assert pulled.attrs["RootFS"] == before.attrs["RootFS"]
    assert repr(seen[-1]) == f"{name}: pulled"
    assert images.pull(pushed.pinned, client=client).id == pulled.id
    # A second time there is nothing to send.
    assert images.push(name, progress=seen.append, client=client).digest == pushed.digest
    assert "2 layers" in str(seen[-1]) or client.is_podman
    images.rm(pulled, force=True, client=client)


def test_all_tags_are_pushed_and_looked_into(client: Client, made: str, registry: str) -> None:
    repository = f"{registry}/{made.partition(':')[0]}"
    names = [f"{repository}:{tag}" for tag in ("1", "2", "latest")]
    for name in names:
        images.tag(made, name, client=client)
    seen: list[PullProgress] = []
    pushed = images.push_all(repository, progress=seen.append, client=client)
    assert [one.reference for one in pushed] == names
    assert len({one.digest for one in pushed}) == 1
    assert repr(pushed).splitlines() == [f"pushed all tags of {repository}:", *(f"  {name}" for name in names)]
    assert {one.reference for one in seen if one.done} == set(names)
    found = images.remote(names[1])
    assert (found.digest, found.pinned) == (pushed[1].digest, pushed[1].pinned)
    # What every engine says of its image the registry says, too.
    local = images.get(names[1], client=client)
    assert [one.diff_id for one in found.layers if one.blob] == local.attrs["RootFS"]["Layers"]
    assert [one.instruction for one in found.layers] == [one.instruction for one in local.layers]
    with pytest.raises(UsageError, match="all tags were asked for"):
        images.push_all(names[0], client=client)
    with pytest.raises(NotFound, match="the engine has no image with a tag of"):
        images.push_all(f"{repository}x", client=client)


def test_layers_are_counted_as_they_go(client: Client, made: str, registry: str) -> None:
    if client.is_podman:
        pytest.skip("Podman 4 tells nothing of layers while it pushes")
    seen: list[PullProgress] = []
    images.tag(made, f"{registry}/{made}", client=client)
    images.push(f"{registry}/{made}", progress=seen.append, client=client)
    assert len(seen[-1].layers) == 2
    assert all(layer.completed for layer in seen[-1].layers)


def test_an_image_that_is_not_there_is_not_pushed(client: Client, made: str) -> None:
    with pytest.raises(NotFound, match="no such image") as caught:
        images.push(f"{made}2", client=client)
    assert caught.value.hint == f"Did you mean '{made}'? `%image ls` lists what is there."


def test_a_registry_that_does_not_answer(client: Client, made: str) -> None:
    name = f"registry.invalid/{made}"
    images.tag(made, name, client=client)
    with pytest.raises(RegistryUnreachable) as caught:
        images.push(name, client=client)
    assert str(caught.value) == f"cannot push '{name}': the registry registry.invalid does not answer"
    assert "%image prepare registry:2" in str(caught.value.hint)


def test_a_registry_that_wants_a_password(client: Client, made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not client.endpoint.is_local:
        pytest.skip("the engine does not reach this machine's 127.0.0.1")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with docker_registry(tmp_path, password=True) as registry:
        name = f"{registry}/{made}"
        images.tag(made, name, client=client)
        with pytest.raises(EngineError) as caught:
            images.push(name, client=client)
        assert str(caught.value) == f"cannot push '{name}': the registry {registry} does not let you"
        assert caught.value.hint == f"Log in as one who may push there: `%image login {registry}`."
        images.login(registry, "me", "secret")
        assert images.push(name, client=client).digest == images.remote(name).digest
        images.rm(name, client=client)
        assert images.ensure(name, client=client).name == name
        images.logout(registry)
        images.rm(name, client=client)
        with pytest.raises(NotFound, match="or it is private"):
            images.pull(name, client=client)
        images.tag(made, name, client=client)
        helper = tmp_path / "docker-credential-own"
        helper.write_text('#!/bin/sh\nread server\necho "{\\"Username\\":\\"me\\",\\"Secret\\":\\"secret\\"}"\n')
        helper.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        for config in ({"auths": {registry: {"auth": base64.b64encode(b"me:secret").decode()}}}, {"credsStore": "own"}):
            (tmp_path / "config.json").write_text(json.dumps(config))
            pushed = images.push(name, client=client)
            assert pushed.digest in images.pull(name, client=client).digests
        helper.write_text("#!/bin/sh\nexit 3\n")
        with pytest.raises(EngineError, match="does not let you") as caught:
            images.push(name, client=client)
        assert "docker-credential-own ended with exit code 3" in caught.value.evidence[-1]


def test_a_registry_that_breaks_off_in_a_layer(client: Client) -> None:
    if not client.endpoint.is_local:
        pytest.skip("the engine does not reach this machine's 127.0.0.1")
    if client.version()["Platform"]["Name"] != "dockerlab engine" and not client.is_podman:
        pytest.skip("Docker tries for more than a minute")

    def breaks(request: Asked) -> bool:
        return request.is_blob(fakes.BIG) and request.reply(200, fakes.BIG[:100_000], length=len(fakes.BIG)) and request.hang_up()

    with fakes.fake(fakes.MADE, breaks) as registry:
        with pytest.raises(RegistryUnreachable) as caught:
            images.pull(registry.name, client=client)
        assert str(caught.value) == f"cannot pull '{registry.name}': the registry {registry.address} broke the connection off"
        with pytest.raises(NotFound):
            images.get(registry.name, client=client)
        registry.faults.clear()
        assert images.pull(registry.name, client=client).id
        images.rm(registry.name, client=client)


def test_a_registry_elsewhere_without_tls(client: Client, made: str) -> None:
    """Of an address that is this machine's, and not loopback: every engine wants TLS there."""
    address = own_address()
    with socket.create_server((address, 0)) as server:
        threading.Thread(target=in_plain_http, args=(server,), daemon=True).start()
        name = f"{address}:{server.getsockname()[1]}/{made}"
        images.tag(made, name, client=client)
        with pytest.raises(RegistryUnreachable, match="has no TLS, which the engine wants") as caught:
            images.push(name, client=client)
    assert '"insecure-registries"' in str(caught.value.hint)


def own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no network")
        address: str = sock.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no network")
    return address


def in_plain_http(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:  # closed
            return
        with connection:
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")


def test_an_interrupt_ends_a_push(client: Client, made: str, registry: str) -> None:
    name = f"{registry}/{made}"
    images.tag(made, name, client=client)

    def stop(progress: PullProgress) -> None:
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        images.push(name, progress=stop, client=client)
    assert time.monotonic() - started < 5


# A file


def test_saved_to_a_file_and_loaded(client: Client, made: str, prefix: str, tmp_path: Path) -> None:
    other = f"{prefix}other:2"
    images.tag("busybox", other, client=client)
    seen: list[ArchiveProgress] = []
    file = tmp_path / "both.tar"
    saved = images.save(file, [made, other], progress=seen.append, client=client)
    assert (saved.file, saved.names, saved.size) == (file, (made, other), file.stat().st_size)
    assert repr(saved) == f"saved {made}, {other} to both.tar"
    assert [one.name for one in tmp_path.iterdir()] == ["both.tar"]
    assert sorted(images.explore(file, image=made).described.tags) in ([made], [f"docker.io/library/{made}"])
    before = images.get(made, client=client)
    images.rm([made, other], force=True, client=client)
    loaded = images.load(file, progress=seen.append, client=client)
    assert sorted(image.name for image in loaded.images) == [made, other]
    assert images.get(made, client=client).attrs["RootFS"] == before.attrs["RootFS"]
    assert repr(loaded).splitlines()[0] == "from both.tar:"
    assert {repr(one) for one in seen} == {"both.tar: saving", "both.tar: loading"}


@pytest.mark.parametrize("compressed", [gzip.compress, zstandard.compress, lzma.compress])
def test_an_archive_may_be_compressed(client: Client, made: str, tmp_path: Path, compressed: Callable[[bytes], bytes]) -> None:
    images.save(tmp_path / "app.tar", made, client=client)
    images.rm(made, force=True, client=client)
    (tmp_path / "app.tar.x").write_bytes(compressed((tmp_path / "app.tar").read_bytes()))
    assert [image.name for image in images.load(tmp_path / "app.tar.x", client=client).images] == [made]


def test_a_file_that_is_no_archive_of_images(client: Client, made: str, tmp_path: Path) -> None:
    file = tmp_path / "app.tar"
    images.save(file, made, client=client)
    whole = file.read_bytes()
    evil = io.BytesIO()
    with tarfile.open(fileobj=evil, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../../etc/passwd"))
    for data, what, where in (
        (b"nothing of the kind" * 1000, "is no archive of images: it is not a tar", ()),
        (bytes(10240), "holds no image: it has neither manifest.json nor index.json", ()),
        (b"", "holds no image", ()),
        (gzip.compress(whole)[:-2000], "is damaged or not whole", ("after ",)),
        (whole[: len(whole) // 2], "is damaged or not whole", ("after ",)),
        (evil.getvalue(), "is not safe to load", ("at its beginning",)),
    ):
        file.write_bytes(data)
        with pytest.raises(ArchiveError, match=rf"'app\.tar' {what}") as caught:
            images.load(file, client=client)
        assert all(one.startswith(start) for one, start in zip(caught.value.place, where, strict=True))
        assert caught.value.hint
    with pytest.raises(NotFound, match="no file '"):
        images.load(tmp_path / "other.tar", client=client)


@pytest.mark.contract
def test_every_engine_writes_and_takes_both_layouts(client: Client, prefix: str, tmp_path: Path) -> None:
    name = f"{prefix}layout:1"
    builds.build("FROM busybox\nCOPY file /file\n", files={"file": os.urandom(1000)}, tag=name, client=client)
    before = images.get(name, client=client)
    for file, format in (("a.tar.gz", "docker-archive"), ("b.tar.zst", "oci-archive"), ("c.tzst", "oci-archive")):
        saved = images.save(tmp_path / file, name, format=format, client=client)  # type: ignore[arg-type]
        assert streams.compression(saved.file.read_bytes()[:8]) == ("gzip" if file.endswith("gz") else "zstd")
        plain = io.BytesIO(b"".join(streams.decompressed([saved.file.read_bytes()])))
        with tarfile.open(fileobj=plain) as tar:
            names = tar.getnames()
        assert ("manifest.json" in names) == (format == "docker-archive")
        assert "index.json" in names or format == "docker-archive"
        images.rm(name, force=True, client=client)
        loaded = images.load(saved.file, client=client)
        assert [(one.name, one.attrs["RootFS"]) for one in loaded.images] == [(name, before.attrs["RootFS"])]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.tar.gz", "b.tar.zst", "c.tzst"]


def test_a_save_that_ends_early_leaves_what_was_there(client: Client, made: str, tmp_path: Path) -> None:
    file = tmp_path / "app.tar"
    file.write_bytes(b"before")

    def stop(progress: ArchiveProgress) -> None:
        if progress.current > MEBIBYTE:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        images.save(file, made, progress=stop, client=client)
    with pytest.raises(NotFound, match="no such image"):
        images.save(file, [made, f"{made}nothing"], client=client)
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("app.tar", b"before")]
    with pytest.raises(NotFound, match="there is no folder"):
        images.save(tmp_path / "nowhere" / "app.tar", made, client=client)
    with pytest.raises(ArchiveError, match="it is a folder"):
        images.save(tmp_path, made, client=client)


def test_what_is_no_file_stays_and_so_does_a_link(client: Client, tmp_path: Path) -> None:
    pipe, link, file = (tmp_path / name for name in ("pipe", "link", "app.tar"))
    os.mkfifo(pipe)
    link.symlink_to(file)
    for place in (pipe, Path("/dev/null")):
        with pytest.raises(ArchiveError, match="it is a device, a pipe or a socket"):
            images.save(place, "busybox", client=client)
        assert place.exists()
        assert not place.is_file()
    saved = images.save(link, "busybox", client=client)
    assert link.is_symlink()
    assert file.stat().st_size == saved.size
    assert sorted(one.name for one in tmp_path.iterdir()) == ["app.tar", "link", "pipe"]


def test_an_interrupt_ends_a_load(client: Client, made: str, tmp_path: Path) -> None:
    file = tmp_path / "app.tar"
    images.save(file, made, client=client)
    images.rm(made, force=True, client=client)

    def stop(progress: ArchiveProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        images.load(file, progress=stop, client=client)


def test_an_archive_from_one_engine_on_a_fresh_connection(client: Client, made: str, tmp_path: Path) -> None:
    images.save(tmp_path / "app.tar", images.get(made, client=client), client=client)
    images.rm(made, force=True, client=client)
    with closing(connect(client.endpoint.url)) as again:
        assert images.load(tmp_path / "app.tar", client=again).images[0].name == made
