"""Other engines: those that are known, images copied to them, and all that can be wrong with one that is far away; with a real sshd, a TLS
port and a second engine on loopback."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import dockerlab
from dockerlab import builds, engines, images
from dockerlab.client import Client, connect
from dockerlab.engines import Engines
from dockerlab.errors import EngineError, NoEngine, NotFound, UsageError
from dockerlab.images import ArchiveProgress
from dockerlab.testing.shell import Shell
from tests.engine.forwarder import Authority, authority, forwarding
from tests.engine.sshd import serving
from tests.engines import Engine

MEBIBYTE = 1 << 20


@pytest.fixture
def config(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of Docker's configuration, without a file in it."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return tmp_path / "config"


def add_context(config: Path, name: str, host: str, known: Authority | None = None) -> None:
    """As `docker context create` does."""
    identity = hashlib.sha256(name.encode()).hexdigest()
    (meta := config / "contexts" / "meta" / identity).mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}))
    if known:
        (tls := config / "contexts" / "tls" / identity / "docker").mkdir(parents=True)
        for file in ("ca.pem", "cert.pem", "key.pem"):
            (tls / file).write_bytes((known.folder / file).read_bytes())


@pytest.fixture(scope="module")
def beside() -> Iterator[Client]:
    if sys.platform != "linux":
        pytest.skip("our own engine runs on Linux only")
    with engines.second() as server:
        yield server.client


@pytest.fixture
def second(beside: Client) -> Iterator[Client]:
    """An engine without an image."""
    yield beside
    for image in images.ls(client=beside):
        images.rm(image, force=True, client=beside)


def made(client: Client, name: str) -> str:
    builds.build("FROM busybox\nCOPY file /file\n", files={"file": os.urandom(3 * MEBIBYTE)}, tag=name, client=client)
    return name


# Which there are


def test_the_engines_that_are_known(engine: Engine, client: Client, beside: Client, config: Path, tmp_path: Path) -> None:
    """By contexts over ssh and TLS, by DOCKER_HOST and by a socket; those that do not answer say why."""
    known, other = authority(tmp_path / "known"), authority(tmp_path / "other")
    with (
        serving(engine.url, tmp_path / "sshd") as server,
        forwarding(engine.url, known) as safe,
        forwarding(engine.url, known) as unsafe,
    ):
        add_context(config, "team", server.url)
        add_context(config, "farm", safe.url, known)
        add_context(config, "strange", unsafe.url, other)
        add_context(config, "gone", "tcp://127.0.0.1:1")
        (config / "contexts" / "meta" / hashlib.sha256(b"broken").hexdigest()).mkdir()
        found = engines.ls(seconds=60)
        by_name = {one.name: one for one in found}
        assert isinstance(found, Engines)
        assert [one.name for one in found if one.is_chosen] == [found[0].name]
        assert found[0].address == client.endpoint.shown
        for name in ("team", "farm", found[0].name):
            listed = by_name[name]
            assert listed.engine is not None, listed.answer
            assert listed.engine.version == client.version()["Version"]
        assert by_name[beside.endpoint.url].sources == ("a second engine of dockerlab's own",)
        assert by_name["strange"].answer.startswith("TLS failed: its certificate is signed by an authority that is not the one in ")
        assert by_name["gone"].answer == "refused: nothing listens there"
        assert repr(found) == "the engines that are known here"
        assert by_name["gone"].hint in str(found)
        assert "◀ in use" in found._repr_html_()
        with Shell() as shell:
            used = shell.run("%engine use farm").value
            assert (used.url, used.source) == (safe.url, "docker context 'farm'")
            assert [one.name for one in shell.run("%engine ls --timeout 60").value if one.is_chosen] == ["farm"]
            os.environ["DOCKER_HOST"] = client.endpoint.url


def test_one_that_is_silent_holds_up_nobody(client: Client, config: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        add_context(config, "silent", f"tcp://127.0.0.1:{silent.getsockname()[1]}")
        found = {one.name: one for one in engines.ls(seconds=3)}
        assert found["silent"].answer == "no answer within 3 s"
    with pytest.raises(UsageError, match="more than 0 seconds"):
        engines.ls(seconds=0)


# Images to them


@pytest.mark.contract
def test_an_image_is_copied_there_and_back(client: Client, second: Client, prefix: str) -> None:
    name, other = made(client, f"{prefix}app:1"), f"{prefix}other:2"
    images.tag("busybox", other, client=client)
    seen: list[ArchiveProgress] = []
    copied = images.copy([name, other], second, progress=seen.append, client=client)
    before = images.get(name, client=client)
    assert [one.name for one in copied.images] == [name, other]
    assert copied.images[0].attrs["RootFS"] == before.attrs["RootFS"]
    assert copied.same_ids == (copied.images[0].id == before.id)
    assert copied.size > 3 * MEBIBYTE
    assert copied.warnings == ()
    assert (seen[-1].doing, seen[-1].current) == ("copying", copied.size)
    assert repr(copied) == f"copied {name}\ncopied {other}"
    images.rm([name, other], force=True, client=client)
    back = images.copy(name, client, client=second)
    assert images.get(name, client=client).attrs["RootFS"] == back.images[0].attrs["RootFS"] == before.attrs["RootFS"]


def test_what_is_there_is_not_sent_again_and_names_are(client: Client, second: Client, prefix: str) -> None:
    images.copy("busybox", second, client=client)
    images.tag("busybox", f"{prefix}more:1", client=client)
    copied = images.copy(f"{prefix}more:1", second, client=client)
    if copied.same_ids:
        assert copied.size == 0
        assert "nothing to send" in str(copied)
    assert images.get(f"{prefix}more:1", client=second).id == images.get("busybox", client=second).id


def test_what_is_not_copied(client: Client, second: Client, prefix: str) -> None:
    with pytest.raises(NotFound, match="no such image"):
        images.copy(f"{prefix}nothing", second, client=client)
    with pytest.raises(UsageError, match="it is the same engine at both ends"):
        images.copy("busybox", str(client.endpoint.url), client=client)
    with pytest.raises(NoEngine, match="no Docker engine answers"):
        images.copy("busybox", "tcp://127.0.0.1:1", client=client)
    name = made(client, f"{prefix}app:1")

    def stop(progress: ArchiveProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        images.copy(name, second, progress=stop, client=client)
    assert second.images.list() == []
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("dockerlab")]


def test_an_engine_that_does_not_give_it(engine: Engine, client: Client, second: Client, prefix: str) -> None:
    name = made(client, f"{prefix}app:1")
    with (
        forwarding(engine.url, refused={"GET /images/get": 403}) as forwarder,
        closing(connect(forwarder.url)) as source,
        pytest.raises(EngineError, match=f"cannot copy '{name}'"),
    ):
        images.copy(name, second, client=source)
    assert second.images.list() == []


def test_an_image_for_another_platform_is_warned_of(client: Client, second: Client, prefix: str, tmp_path: Path) -> None:
    name, layer = f"{prefix}arm:1", bytes(1024)
    config = {"os": "linux", "architecture": "riscv64", "rootfs": {"type": "layers", "diff_ids": []}, "config": {"Cmd": ["sh"]}}
    config["rootfs"] = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(tmp_path / "arm.tar", "w") as tar:
        for path, content in (("config.json", json.dumps(config)), ("layer.tar", layer), ("manifest.json", json.dumps(manifest))):
            data = content if isinstance(content, bytes) else content.encode()
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    images.load(tmp_path / "arm.tar", client=client)
    has = "/".join(str(second.version()[key]) for key in ("Os", "Arch"))
    (warning,) = images.copy(name, second, client=client).warnings
    assert warning == f"{name} is linux/riscv64, that engine is {has}: to run there it needs an emulator"


def test_an_image_is_copied_by_its_magic(client: Client, second: Client, prefix: str) -> None:
    with Shell() as shell:
        shell.namespace["to"] = second.endpoint.url
        copied = shell.run("%image copy busybox --to {to}").value
        assert copied.engine == second.endpoint.url
        with pytest.raises(UsageError, match="needs --to"):
            shell.run("%image copy busybox")
        assert "docker -H unix://" in shell.run("%image copy busybox --to {to} --show-command").value.line


# Where they are


def test_published_ports_are_at_the_host_that_an_alias_stands_for(engine: Engine, client: Client, tmp_path: Path) -> None:
    with serving(engine.url, folder := tmp_path / "sshd") as server:
        port = server.url.rpartition(":")[2]
        with (folder / "config").open("a") as config:
            config.write(f"Host {folder.parent.name}\n  HostName 127.0.0.1\n  Port {port}\n")
        with closing(connect(f"ssh://{folder.parent.name}")) as reached:
            assert reached.identity == client.identity
            assert (reached.endpoint.host, reached.endpoint.is_local) == ("127.0.0.1", False)
            container = dockerlab.run("busybox", ["sleep", "60"], detach=True, publish=["7"], client=reached)
            assert container is not None
            try:
                assert container.url(7).startswith("http://127.0.0.1:")
                # Of an engine that is elsewhere the ports are everybody's, as docker has it; 127.0.0.1 would be its own.
                assert {binding["HostIp"] for binding in container.attrs["HostConfig"]["PortBindings"]["7/tcp"]} <= {"", "0.0.0.0"}
            finally:
                dockerlab.containers.rm(container, force=True, client=reached)


# What can be wrong


@contextmanager
def by_tls(client_side: Authority, patch: pytest.MonkeyPatch) -> Iterator[None]:
    patch.setenv("DOCKER_TLS_VERIFY", "1")
    patch.setenv("DOCKER_CERT_PATH", str(client_side.folder))
    yield
    patch.delenv("DOCKER_TLS_VERIFY")
    patch.delenv("DOCKER_CERT_PATH")


def met(url: str) -> tuple[str, str]:
    """What a connection says, and what to do."""
    with pytest.raises(NoEngine) as caught:
        connect(url)
    return caught.value.evidence[0].partition("): ")[2], str(caught.value.hint)


def test_certificates_that_are_wrong(engine: Engine, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, other = authority(tmp_path / "good"), authority(tmp_path / "other")
    expired, elsewhere = authority(tmp_path / "expired", days=-1), authority(tmp_path / "elsewhere", "DNS:engine.example")
    (mixed := tmp_path / "mixed").mkdir()
    for folder, file in ((good.folder, "ca.pem"), (other.folder, "cert.pem"), (other.folder, "key.pem")):
        (mixed / file).write_bytes((folder / file).read_bytes())
    for server, here, says, hint in (
        (good, other, "TLS failed: its certificate is signed by an authority that is not the one in ", "Take ca.pem"),
        (expired, expired, "TLS failed: its certificate has expired", "makes a new one"),
        (
            elsewhere,
            elsewhere,
            "TLS failed: its certificate is for another address than 127.0.0.1",
            "Name it as its certificate does",
        ),
        (good, Authority(mixed), "TLS failed: it does not take your certificate", "cert.pem and key.pem must be of"),
        (None, good, "TLS failed: it speaks none at this port", "unset DOCKER_TLS_VERIFY"),
    ):
        with forwarding(engine.url, server) as forwarder, by_tls(here, monkeypatch):
            said, advice = met(forwarder.url)
        assert said.startswith(says)
        assert hint in advice
    with forwarding(engine.url, good) as forwarder:
        said, advice = met(forwarder.url)
    assert said == "it ended the connection without an answer"
    assert "It may want TLS" in advice


def test_a_context_with_an_authority_alone_is_verified(engine: Engine, config: Path, tmp_path: Path) -> None:
    """And not spoken to without TLS."""
    known = authority(tmp_path / "known")
    with forwarding(engine.url, known) as forwarder:
        add_context(config, "farm", forwarder.url, known)
        for file in (config / "contexts" / "tls").rglob("*.pem"):
            if file.name != "ca.pem":
                file.unlink()
        assert met("farm")[0] == "TLS failed: it does not take your certificate"


def test_what_is_wrong_by_ssh(engine: Engine, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(engine.url, folder := tmp_path / "sshd") as server:
        known, host = folder / "known", (folder / "host.pub").read_text()
        where = known.read_text().removesuffix(host)
        user = (folder / "user.pub").read_text()
        known.write_text("")
        said, advice = met(server.url)
        assert said.startswith("ssh failed: the host is not known yet: ")
        assert "compare the key's fingerprint" in advice
        known.write_text(where + user)
        said, advice = met(server.url)
        assert said.startswith("ssh failed: the host's key is another one than before: ")
        assert "ssh-keygen -f" in advice
        known.write_text(where + host)
        (folder / "user.pub").write_text("")
        said, advice = met(server.url)
        assert said.startswith("ssh failed: it does not let you in: ")
        assert "ssh-copy-id" in advice
        (folder / "user.pub").write_text(user)
        said, advice = met(f"{server.url}/nowhere.sock")
        assert said.startswith("ssh failed: no engine answers on that host: ")
    with monkeypatch.context() as patch:
        (empty := tmp_path / "empty").mkdir()
        (empty / "docker").write_text("#!/bin/sh\necho sh: docker: not found >&2\nexit 127\n")
        (empty / "docker").chmod(0o755)
        patch.setenv("PATH", str(empty), prepend=os.pathsep)
        with serving(engine.url, tmp_path / "without") as server:
            said, advice = met(server.url)
    assert said.startswith("ssh failed: there is no `docker` command on that host: ")
    assert "which docker" in advice
    assert met("ssh://me@no-such-host.invalid")[0].startswith("ssh failed: the host's name is not known: ")


def test_a_name_that_nobody_knows_and_what_is_no_engine(
    client: Client, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    assert met("tcp://no-such-host.invalid:2375")[0] == "the name no-such-host.invalid is not known"
    assert met("tcp://127.0.0.1:1")[0] == "refused: nothing listens there"
    old = b'{"ApiVersion": "1.20", "Version": "1.8.0", "Os": "linux", "Arch": "amd64"}'
    for status, body, says in (
        (b"200 OK", old, "the engine is too old: "),
        (b"404 Not Found", b"no", "it answers with status 404"),
    ):
        with answering(b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)) as url:
            assert met(url)[0].startswith(says)


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A port at which each request gets this answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        thread.join()
