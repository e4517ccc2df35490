"""Registries asked by this machine: Debian's docker-registry with and without a password and TLS, a token server, and one that lies."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from dockerlab import images
from dockerlab.errors import EngineError, InvalidReference, NotFound, RegistryUnreachable, UsageError
from dockerlab.images import RemoteImage
from dockerlab.notebook.image_magic import magic
from dockerlab.notebook.session import Session
from tests.embedded import fakes
from tests.embedded.archives import Made, digest, layer
from tests.embedded.fakes import Asked, Fake, fake
from tests.embedded.registries import HERE, INDEX, MADE, OCI, certificate, docker_registry, index, manifest, put, put_document
from tests.embedded.tokens import TokenServer

# This machine's loopback, in a form that nobody takes for it: a registry there is one like any other.
ELSEWHERE = "127.1"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's, without any configuration."""
    for name in ("DOCKER_AUTH_CONFIG", "DOCKERLAB_REGISTRIES", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


@pytest.fixture(scope="module")
def anybodys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("anybodys")) as address:
        put(address, "app", "1", MADE)
        yield address


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("private"), password=True) as address:
        yield address


@pytest.fixture
def registry() -> Iterator[Fake]:
    with fake(MADE) as registry:
        yield registry


def auths(home: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((home / ".docker" / "config.json").read_text())["auths"]
    return found


class TestRemote:
    """What a registry has, without pulling it."""

    def test_an_image(self, anybodys: str) -> None:
        found = images.remote(f"{anybodys}/app:1")
        assert (found.digest, found.found.itself.kind) == (digest(manifest(MADE)), OCI)
        assert found.pinned == f"{anybodys}/app@{found.digest}"
        assert found.platforms == (found.platform,) == (f"linux/{HERE['architecture']}",)
        assert [(one.blob and one.blob.digest, one.size) for one in found.layers] == [(digest(b), len(b)) for b in MADE.blobs]
        assert found.size == sum(map(len, MADE.blobs))
        assert found.config is not None
        assert found.config["config"]["Cmd"] == ["sh"]
        assert images.remote(found.pinned).digest == found.digest

    def test_an_image_for_several_platforms(self, anybodys: str) -> None:
        other = Made([layer(("other", b"x", {}))])
        put(anybodys, "app", "other", other)
        platforms = ({"os": "linux", "architecture": "s390x"}, {"os": "windows", "architecture": "amd64"})
        put_document(anybodys, "app", "many", index((other, platforms[0]), (other, platforms[1]), (MADE, HERE)), INDEX)
        found = images.remote(f"{anybodys}/app:many")
        assert found.platforms == ("linux/s390x", "windows/amd64", f"linux/{HERE['architecture']}")
        assert found.manifest.itself.digest == digest(manifest(MADE))
        assert found.digest != found.manifest.itself.digest
        assert images.remote(f"{anybodys}/app:many", platform="s390x").manifest.itself.digest == digest(manifest(other))
        with pytest.raises(NotFound, match="is not there for platform linux/riscv64") as caught:
            images.remote(f"{anybodys}/app:many", platform="linux/riscv64")
        assert caught.value.hint == f"It is for linux/s390x, windows/amd64, linux/{HERE['architecture']}."
        with pytest.raises(NotFound, match="is not there for platform linux/riscv64"):
            images.remote(f"{anybodys}/app:1", platform="linux/riscv64")

    def test_what_is_about_an_image_is_no_platform(self, registry: Fake) -> None:
        found = json.loads(index((MADE, HERE), (MADE, {"os": "unknown", "architecture": "unknown"})))
        data = json.dumps(found).encode()
        registry.documents["1"] = (INDEX, data)
        assert images.remote(registry.name).platforms == (f"linux/{HERE['architecture']}",)

    def test_what_is_no_image(self, registry: Fake) -> None:
        chart = json.loads(manifest(MADE))
        chart["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json"
        registry.documents["1"] = (OCI, json.dumps(chart).encode())
        found = images.remote(registry.name)
        assert found.config is None
        assert "It is no image of a container" in str(found)
        assert len(found.layers) == len(MADE.blobs)

    def test_faces(self, anybodys: str) -> None:
        found = images.remote(f"{anybodys}/app:1")
        assert repr(found).splitlines()[:2] == [f"image {anybodys}/app:1 on its registry", 'command: ["sh"]']
        assert found.digest not in repr(found)
        assert found.digest in str(found)
        assert "not pulled" in found._repr_html_()

    def test_hostile_text_is_escaped(self, registry: Fake) -> None:
        evil = "<script>alert(1)</script>\x1b[2J"
        config = json.loads(MADE.config_bytes) | {"os": evil, "created": evil}
        config["history"] = [{"created_by": evil} for _ in MADE.layers]
        config["config"] = {"Cmd": [evil], "Labels": {evil: evil}, "Env": "not a list", "ExposedPorts": {evil: {}}, "User": evil}
        data = json.dumps(config).encode()
        document = json.loads(manifest(MADE))
        document["config"] |= {"digest": digest(data), "size": len(data)}
        registry.blobs[digest(data)] = data
        registry.documents["1"] = (OCI, json.dumps(document).encode())
        found = images.remote(registry.name)
        assert "<script" not in found._repr_html_()
        assert "\x1b" not in repr(found) + str(found) + found._repr_html_()

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"<html>", "cannot be read"),
            (b"[]", "cannot be read"),
            (b"{}", "is no image"),
            (b'{"schemaVersion": 1}', "the format of 2014"),
            (b'{"manifests": [{"digest": "sha256:1"}]}', "is not valid"),
            (b'{"config": {"digest": 1}, "layers": []}', "is not valid"),
            (b'{"config": {}, "layers": [[]]}', "is not valid"),
        ],
    )
    def test_a_document_that_is_none(self, registry: Fake, data: bytes, said: str) -> None:
        registry.documents["1"] = (OCI, data)
        with pytest.raises(EngineError, match=said) as caught:
            images.remote(registry.name)
        assert str(caught.value).startswith(f"cannot look at '{registry.name}': ")

    def test_bytes_that_have_another_digest(self, registry: Fake) -> None:
        registry.blobs[digest(MADE.config_bytes)] = MADE.config_bytes + b" "
        with pytest.raises(EngineError, match="does not have the digest that the manifest names"):
            images.remote(registry.name)
        wanted = digest(manifest(MADE))
        registry.documents[wanted] = (OCI, manifest(MADE) + b" ")
        with pytest.raises(EngineError, match="does not have the digest that was asked for"):
            images.remote(f"{registry.address}/app@{wanted}")

    def test_one_that_breaks_off(self, registry: Fake) -> None:
        def breaks(request: Asked) -> bool:
            return (
                request.is_blob(MADE.config_bytes) and request.reply(200, MADE.config_bytes[:50], length=500) and request.hang_up()
            )

        registry.faults.append(fakes.once(breaks))
        assert images.remote(registry.name).config is not None, "it is asked again"
        registry.faults.append(breaks)
        with pytest.raises(RegistryUnreachable, match="broke the connection off"):
            images.remote(registry.name)

    def test_what_is_not_there(self, anybodys: str, private: str) -> None:
        with pytest.raises(NotFound, match=f"{anybodys} has no such image") as caught:
            images.remote(f"{anybodys}/app:2")
        assert "`%image login" in str(caught.value.hint)
        with pytest.raises(NotFound, match="has no such image, or it is private"):
            images.remote(f"{private}/app:1")
        images.login(private, "me", "secret")
        with pytest.raises(NotFound, match="has no such image"):
            images.remote(f"{private}/app:1")
        with pytest.raises(InvalidReference):
            images.remote("A B")

    def test_a_token_server(self, registry: Fake) -> None:
        server = TokenServer(registry, {"me": "secret"})
        with pytest.raises(NotFound, match="or it is private"):
            images.remote(registry.name)
        images.login(registry.address, "me", "secret")
        assert images.remote(registry.name).platform
        assert server.asked[-1]["scope"] == ["repository:app:pull"]
        server.granted = frozenset()
        with pytest.raises(EngineError, match="does not let you") as caught:
            images.remote(registry.name)
        assert f"`%image login {registry.address}` again" in str(caught.value.hint)


class TestReaching:
    """Registries that do not answer, or not as they should."""

    def test_nobody_listens(self) -> None:
        for host in ("127.0.0.1:1", "registry.invalid"):
            with pytest.raises(RegistryUnreachable) as caught:
                images.remote(f"{host}/app:1")
            assert str(caught.value) == f"cannot look at '{host}/app:1': {host} does not answer this machine"
            with pytest.raises(RegistryUnreachable) as caught:
                images.login(host, "me", "canary")
            assert str(caught.value) == f"cannot log in to {host}: {host} does not answer this machine"

    def test_without_tls_only_on_loopback_unless_asked(self, home: Path, private: str) -> None:
        elsewhere = private.replace("127.0.0.1", ELSEWHERE)
        with pytest.raises(RegistryUnreachable, match="has no TLS") as caught:
            images.login(elsewhere, "me", "secret")
        assert "--tls-verify=false" in str(caught.value.hint)
        with pytest.raises(RegistryUnreachable, match="has no TLS"):
            images.remote(f"{elsewhere}/app:1")
        assert not (home / ".docker").exists()
        images.login(elsewhere, "me", "secret", insecure=True)
        assert list(auths(home)) == [elsewhere]

    def test_a_certificate(self, home: Path) -> None:
        paths = certificate(home, f"DNS:{ELSEWHERE}")
        with docker_registry(home, tls=paths, password=True) as address:
            elsewhere = address.replace("127.0.0.1", ELSEWHERE)
            with pytest.raises(RegistryUnreachable, match="does not trust the certificate") as caught:
                images.login(elsewhere, "me", "secret")
            assert f"certs.d/{elsewhere}/ca.crt" in str(caught.value.hint)
            assert not (home / ".docker").exists()
            images.login(elsewhere, "me", "secret", insecure=True)
            for folder in ("docker", "containers"):
                trusted = home / "config" / folder / "certs.d" / elsewhere
                trusted.mkdir(parents=True)
                shutil.copy(paths[0], trusted / "ca.crt")
                assert images.login(elsewhere).username == "me"
                shutil.rmtree(trusted)
            images.logout(elsewhere)

    def test_a_certificate_of_another_host(self, home: Path) -> None:
        paths = certificate(home, "DNS:other.test")
        with docker_registry(home, tls=paths) as address:
            elsewhere = address.replace("127.0.0.1", ELSEWHERE)
            trusted = home / "config" / "docker" / "certs.d" / elsewhere
            trusted.mkdir(parents=True)
            shutil.copy(paths[0], trusted / "ca.crt")
            with pytest.raises(RegistryUnreachable, match="does not trust the certificate") as caught:
                images.remote(f"{elsewhere}/app:1")
            assert "not valid for this host" in caught.value.evidence[0]


class TestLogin:
    """Who the user is. Where it is kept: see test_credentials_keeping."""

    def test_in_and_out(self, home: Path, private: str) -> None:
        done = images.login(private, "me", "secret")
        assert (repr(done), done.place) == (f"logged in to {private} as me", str(home / ".docker" / "config.json"))
        assert "not encrypted" in str(done)
        assert auths(home) == {private: {"auth": base64.b64encode(b"me:secret").decode()}}
        assert repr(images.login(f"https://{private}/v2/")) == f"logged in to {private} as me"
        assert repr(images.logout(private)) == f"logged out of {private}"
        assert auths(home) == {}
        assert repr(images.logout(private)) == f"nobody was logged in to {private}"

    def test_a_wrong_password_is_not_kept(self, home: Path, private: str) -> None:
        images.login(private, "me", "secret")
        with pytest.raises(EngineError, match="does not take this name with this password") as caught:
            images.login(private, "me", "canary")
        assert caught.value.status == 401
        assert images.login(private).username == "me", "the old one is still there"

    def test_a_token_server_gives_a_token_in_place_of_the_password(self, home: Path, registry: Fake) -> None:
        server = TokenServer(registry, {"me": "canary"})
        images.login(registry.address, "me", "canary")
        assert auths(home) == {registry.address: {"auth": base64.b64encode(b"me:").decode(), "identitytoken": "identity"}}
        assert images.remote(registry.name).platform
        assert server.asked[-1]["refresh_token"] == ["identity"]
        with pytest.raises(EngineError, match="does not take this name"):
            images.login(registry.address, "me", "wrong")

    def test_one_that_asks_nobody(self, anybodys: str) -> None:
        assert "asked for no password" in str(images.login(anybodys, "me", "secret"))

    def test_the_environment_goes_before(self, private: str, monkeypatch: pytest.MonkeyPatch) -> None:
        auth = base64.b64encode(b"me:secret").decode()
        monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {private: {"auth": auth}}}))
        assert images.login(private).username == "me"
        assert "go before" in str(images.login(private, "me", "secret"))
        assert "still names some" in str(images.logout(private))

    @pytest.mark.parametrize("password", ["canary", "canary with ünicode"])
    def test_a_registry_that_repeats_what_it_was_sent(self, registry: Fake, password: str) -> None:
        def repeats(request: Asked) -> bool:
            sent = request.headers.get("Authorization", "").removeprefix("Basic ")
            said = base64.b64decode(sent).decode()
            return request.refuse(401, "OTHER", f"{said} {sent}", {"WWW-Authenticate": 'Basic realm="x"'})

        registry.faults.append(repeats)
        with pytest.raises(EngineError) as caught:
            images.login(registry.address, "me", password)
        shown = "\n".join([*caught.value.lines(), repr(caught.value), repr(caught.value.__cause__), str(caught.value.__cause__)])
        assert password not in shown
        assert base64.b64encode(f"me:{password}".encode()).decode() not in shown
        assert "***" in shown

    @pytest.mark.parametrize(
        ("server", "username", "password", "said"),
        [
            ("registry.test", None, "canary", "no user's name"),
            ("registry.test", "me:canary", "canary", "has no colon"),
            ("registry.test", "me", "", "is empty"),
            ("registry.test", "me", None, "no password is kept for registry.test"),
            ("me:canary@registry.test", "me", "x", "has no name or password in it"),
            ("-registry.test", "me", "x", "is not the address of a registry"),
            ("registry.test/app ", "me", None, "no password is kept for registry.test"),
            (None, "me", None, "no password is kept for Docker Hub"),
        ],
    )
    def test_what_is_not_asked(self, server: str | None, username: str | None, password: str | None, said: str) -> None:
        with pytest.raises(UsageError, match=said) as caught:
            images.login(server, username, password)
        assert "canary" not in "\n".join(caught.value.lines())

    def test_a_value_shows_itself(self, home: Path, private: str) -> None:
        done = images.login(private, "me", "secret")
        assert "secret" not in repr(done) + str(done) + done._repr_html_()
        assert "logged in" in done._repr_html_()
        assert isinstance(images.logout(private)._repr_html_(), str)


class TestMagic:
    """The verbs of `%image`; prompts are in test_login_canary."""

    @pytest.fixture
    def session(self) -> Session:
        # Its history would lie in the folder of this test, which goes before the shell does.
        return Session(InteractiveShell(config=Config({"HistoryManager": {"enabled": False}})))

    def test_verbs_and_flags(
        self, session: Session, private: str, anybodys: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert repr(magic(session, f"remote {anybodys}/app:1")).startswith(f"image {anybodys}/app:1 on its registry")
        with pytest.raises(NotFound, match="riscv64"):
            magic(session, f"remote --platform linux/riscv64 {anybodys}/app:1")
        elsewhere = private.replace("127.0.0.1", ELSEWHERE)
        session.namespace["held"] = "secret\n"
        with pytest.raises(RegistryUnreachable, match="has no TLS"):
            magic(session, f"login {elsewhere} -u me --password-var held")
        done = magic(session, f"login {elsewhere} -u me --password-var held --tls-verify=false")
        assert repr(done) == f"logged in to {elsewhere} as me"
        monkeypatch.setenv("HELD", "secret")
        assert repr(magic(session, f"login {private} -u me --password-var=HELD")) == f"logged in to {private} as me"
        assert repr(magic(session, f"logout {elsewhere}")) == f"logged out of {elsewhere}"
        assert magic(session, "login --help") is None
        assert "--password-var NAME" in (said := capsys.readouterr().out)
        assert "--password-stdin" not in said

    @pytest.mark.parametrize("line", ["-p canary", "-pcanary", "--password=canary", "--password-var canary", "--password-stdin"])
    def test_a_password_in_the_line_is_refused_and_not_repeated(self, session: Session, line: str) -> None:
        with pytest.raises(UsageError) as caught:
            magic(session, f"login registry.invalid -u me {line}")
        assert "canary" not in "\n".join(caught.value.lines())
        assert "--password-var NAME" in str(caught.value.hint)


def test_nothing_is_kept_of_the_documents_that_were_read(anybodys: str, home: Path) -> None:
    assert isinstance(images.remote(f"{anybodys}/app:1"), RemoteImage)
    assert list(home.iterdir()) == []
