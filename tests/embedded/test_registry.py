"""Pull and push with a real registry, Debian's docker-registry: plain, with TLS, with a password. Lines as Docker Engine 28 has them."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dockerlab.engine.api import images, registry
from dockerlab.engine.events import Events
from dockerlab.engine.http.router import Router
from dockerlab.engine.http.types import Body, Query, Request, Response, Stream
from dockerlab.engine.registry import checking, hosts
from dockerlab.engine.registry.credentials import Credentials, Keychain
from dockerlab.engine.store import architecture
from dockerlab.engine.store.documents import OCI_LAYER
from dockerlab.engine.store.values import short
from dockerlab.errors import DockerlabError, EngineError, InvalidReference
from tests.embedded.archives import Made, digest, gzipped, layer, load, packed, zstandard_
from tests.embedded.registries import (
    HTPASSWD,
    INDEX,
    ME,
    OCI,
    Engine,
    certificate,
    client,
    docker_registry,
    fake,
    get,
    index,
    manifest,
    pushed,
    put,
    put_document,
    said,
)

LAYERS = [layer((f"file{number}", bytes([number]) * 3000, {})) for number in range(4)]
MADE = Made(LAYERS, packed=[gzipped(LAYERS[0]), zstandard_(LAYERS[1]), LAYERS[2], gzipped(LAYERS[3])])
HERE = {"os": "linux", "architecture": architecture()}
ELSEWHERE = "s390x"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def mine(tmp_path: Path) -> Engine:
    return client(tmp_path / "engine")


class TestPull:
    """What comes, and what is told meanwhile."""

    def test_a_tag(self, mine: Engine, address: str) -> None:
        top = put(address, "n/multi", "1", MADE)
        name = f"{address}/n/multi"
        found = said(mine.pull(f"{name}:1"))
        ids = [short(digest(data)) for data in MADE.blobs]
        assert found[:6] == ["1: Pulling from n/multi", *(f"{one}: Pulling fs layer" for one in ids), f"{ids[3]}: Waiting"]
        assert sorted(found[6:14]) == sorted(
            f"{one}: {text}" for one in ids for text in ("Verifying Checksum", "Download complete")
        ) or sorted(found[6:-2]) == sorted(
            f"{one}: {text}" for one in ids for text in ("Verifying Checksum", "Download complete", "Pull complete")
        )
        assert [line for line in found if "Pull complete" in line] == [f"{one}: Pull complete" for one in ids]
        assert found[-2:] == [f"Digest: {top}", f"Status: Downloaded newer image for {name}:1"]
        image = mine.images.get(f"{name}:1")
        assert (image.id, image.manifest, image.tags, image.digests) == (MADE.id, top, [f"{name}:1"], [f"{name}@{top}"])
        assert mine.images.blobs.read(image.manifest) == manifest(MADE)
        assert [one.diff_id for one in image.layers] == [digest(data) for data in LAYERS]
        assert [one.files_size for one in image.layers] == [3000] * 4
        assert mine.images.open_layer(image.layers[1]).read() == LAYERS[1]
        assert mine.notes == [("pull", f"{name}:1", {"kind": "made", "name": name})]
        assert mine.is_clean()
        assert said(mine.pull(f"{name}:1")) == [
            "1: Pulling from n/multi",
            f"Digest: {top}",
            f"Status: Image is up to date for {name}:1",
        ]

    def test_what_is_up_to_date_counts_as_no_pull(self, mine: Engine) -> None:
        with fake(MADE) as registry:
            mine.pull(registry.name)
            registry.asked.clear()
            assert said(mine.pull(registry.name))[-1] == f"Status: Image is up to date for {registry.name}"
            assert said(mine.pull(registry.name, platform=f"linux/{architecture()}"))[-1].startswith("Status: Image is up to date")
            assert registry.paths("GET", "manifests") == []
            assert len(registry.paths("HEAD", "manifests")) == 2
            # A registry that does not say, or lies.
            registry.faults.append(lambda request: request.command == "HEAD" and request.reply(405))
            assert said(mine.pull(registry.name))[-1] == f"Status: Image is up to date for {registry.name}"
            other = {"Docker-Content-Digest": "sha256:" + "0" * 64}
            registry.faults[:] = [lambda request: request.command == "HEAD" and request.reply(200, headers=other)]
            assert said(mine.pull(registry.name))[1] == f"Digest: {digest(manifest(MADE))}"

    def test_a_digest(self, mine: Engine, address: str) -> None:
        top = put(address, "n/multi", "1", MADE)
        name = f"{address}/n/multi@{top}"
        found = said(mine.pull(name))
        assert found[0] == f"{name}: Pulling from n/multi"
        assert found[-1] == f"Status: Downloaded newer image for {name}"
        image = mine.images.get(name)
        assert (image.tags, image.digests) == ([], [name])
        assert said(mine.pull(name))[-1] == f"Status: Image is up to date for {name}"
        # With a tag, the image that is there gets it.
        assert said(mine.pull(f"{address}/n/multi:1"))[-1] == f"Status: Downloaded newer image for {address}/n/multi:1"
        assert mine.images.get(MADE.id).tags == [f"{address}/n/multi:1"]

    def test_a_layer_that_is_there_is_not_fetched(self, mine: Engine, address: str) -> None:
        put(address, "part", "1", Made(LAYERS[:2], packed=MADE.blobs[:2]))
        put(address, "whole", "1", MADE)
        mine.pull(f"{address}/part:1")
        found = said(mine.pull(f"{address}/whole:1"))
        ids = [short(digest(data)) for data in MADE.blobs]
        assert found[1:5] == [f"{ids[0]}: Already exists", f"{ids[1]}: Already exists"] + [
            f"{one}: Pulling fs layer" for one in ids[2:]
        ]
        assert f"{ids[0]}: Pull complete" not in found
        assert mine.is_clean()

    def test_an_image_with_a_layer_twice_and_one_without_any(self, mine: Engine, address: str) -> None:
        put(address, "twice", "1", Made([LAYERS[0], LAYERS[1], LAYERS[0]]))
        assert [line for line in said(mine.pull(f"{address}/twice:1")) if "fs layer" in line] == [
            f"{short(digest(data))}: Pulling fs layer" for data in LAYERS[:2]
        ]
        assert len(mine.images.get(f"{address}/twice:1").layers) == 3
        put(address, "none", "1", Made([]))
        mine.pull(f"{address}/none:1")
        assert mine.images.get(f"{address}/none:1").layers == ()
        assert mine.is_clean()

    def test_an_index(self, mine: Engine, address: str) -> None:
        other = Made([LAYERS[3]], config={"architecture": ELSEWHERE})
        for made in (MADE, other):
            put(address, "app", "x", made)
        attestation = (other, {"os": "unknown", "architecture": "unknown"})
        data = index(attestation, (other, {"os": "linux", "architecture": ELSEWHERE}), (MADE, HERE))
        put_document(address, "app", "all", data, INDEX)
        found = said(mine.pull(f"{address}/app:all"))
        assert found[-2] == f"Digest: {digest(data)}"
        image = mine.images.get(f"{address}/app:all")
        assert (image.id, image.manifest) == (MADE.id, digest(manifest(MADE)))
        assert image.digests == [f"{address}/app@{digest(data)}"]
        assert mine.images.get(f"{address}/app@{digest(data)}").id == MADE.id
        # Another platform is fetched when it is asked for.
        mine.pull(f"{address}/app:all", platform=f"linux/{ELSEWHERE}")
        assert mine.images.get(f"{address}/app:all").id == other.id
        with pytest.raises(EngineError) as caught:
            mine.pull(f"{address}/app:all", platform="linux/ppc64le")
        assert str(caught.value) == "no matching manifest for linux/ppc64le in the manifest list entries"
        assert mine.is_clean()

    def test_an_image_for_another_platform_than_asked_for(self, mine: Engine, address: str) -> None:
        put(address, "app", "one", MADE)
        assert said(mine.pull(f"{address}/app:one", platform=f"linux/{ELSEWHERE}"))[-1] == (
            f"WARNING: image with reference {address}/app:one was found but its platform (linux/{architecture()}) does not match "
            f"the specified platform (linux/{ELSEWHERE})"
        )

    def test_all_tags(self, mine: Engine, address: str) -> None:
        for tag in ("a", "b"):
            put(address, "tags", tag, Made([LAYERS[0]], config={"comment": tag}))
        found = said(mine.pull(f"{address}/tags", all_tags=True))
        assert {"a: Pulling from tags", "b: Pulling from tags"} <= set(found)
        assert found[-1] == f"Status: Downloaded newer image for {address}/tags"
        assert sorted(tag for image in mine.images.images() for tag in image.tags) == [f"{address}/tags:a", f"{address}/tags:b"]

    @pytest.mark.parametrize(
        ("name", "more", "text"),
        [
            ("app:9", {}, "manifest for {}/app:9 not found: manifest unknown: manifest unknown"),
            ("zzz:3", {}, "manifest for {}/zzz:3 not found: manifest unknown: manifest unknown"),
            ("zzz", {"all_tags": True}, "repository {}/zzz not found: name unknown: repository name not known to registry"),
        ],
    )
    def test_what_is_not_there(self, mine: Engine, address: str, name: str, more: dict[str, Any], text: str) -> None:
        put(address, "app", "1", MADE)
        with pytest.raises(EngineError) as caught:
            mine.pull(f"{address}/{name}", **more)
        assert (caught.value.status, str(caught.value)) == (404, text.format(address))

    def test_a_registry_that_is_not_there(self, mine: Engine) -> None:
        for name, text in (
            ("127.0.0.1:1/a", 'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'),
            ("registry.invalid/a", 'Get "https://registry.invalid/v2/": dial tcp: lookup registry.invalid: no such host'),
        ):
            with pytest.raises(EngineError) as caught:
                mine.pull(name)
            assert (caught.value.status, str(caught.value)) == (500, text)


class TestPush:
    """What goes."""

    def test_an_image(self, mine: Engine, address: str) -> None:
        made = Made([layer(("pushed", os.urandom(1000), {}))], [f"{address}/new/app:1"])
        load(mine.images, packed(made.docker()))
        image = mine.images.get(f"{address}/new/app:1")
        identifier = short(digest(made.layers[0]))
        head = [f"The push refers to repository [{address}/new/app]", f"{identifier}: Preparing"]
        messages = mine.push(f"{address}/new/app:1")
        data = get(address, "new/app/manifests/1")
        end = [f"1: digest: {digest(data)} size: {len(data)}", ""]
        assert said(messages) == [*head, f"{identifier}: Pushed", *end]
        assert messages[-1] == {"progressDetail": {}, "aux": {"Tag": "1", "Digest": digest(data), "Size": len(data)}}
        found, (packed_layer,) = pushed(address, "new/app", "1")
        # The same but for the layer, which is compressed.
        size = len(packed_layer)
        assert found["layers"] == [{"mediaType": f"{OCI_LAYER}+gzip", "digest": digest(packed_layer), "size": size}]
        assert {**found, "layers": []} == {**json.loads(mine.images.blobs.read(image.manifest)), "layers": []}
        assert gzip.decompress(packed_layer) == made.layers[0]
        assert mine.images.get(f"{address}/new/app:1").manifest == image.manifest
        assert mine.images.get(f"{address}/new/app:1").digests == [f"{address}/new/app@{digest(data)}"]
        assert mine.notes == [("push", f"{address}/new/app:1", {"kind": "made", "name": f"{address}/new/app"})]
        assert said(mine.push(f"{address}/new/app:1")) == [*head, f"{identifier}: Layer already exists", *end]
        # Another repository of the same registry is given the layer without sending it.
        mine.images.tag(image, f"{address}/other:2")
        assert said(mine.push(f"{address}/other:2"))[2] == f"{identifier}: Mounted from new/app"
        assert mine.is_clean()

    def test_the_digest_that_it_has_in_the_registry_means_the_image(self, mine: Engine, address: str, tmp_path: Path) -> None:
        made = Made([LAYERS[0], layer(("more", b"text" * 400_000, {})), LAYERS[0]], [f"{address}/back:1"])
        load(mine.images, packed(made.docker()))
        image = mine.images.get(f"{address}/back:1")
        top = mine.push(f"{address}/back:1")[-1]["aux"]["Digest"]
        name = f"{address}/back@{top}"
        assert (mine.images.get(name).id, top != image.manifest) == (image.id, True)
        assert said(mine.pull(name))[-1] == f"Status: Image is up to date for {name}"
        assert said(mine.pull(f"{address}/back:1"))[-1] == f"Status: Image is up to date for {address}/back:1"
        # What another engine pulls is the same, and a push from there is, too.
        for other in (client(tmp_path / "other"), mine):
            for known in mine.images.images() if other is mine else ():
                mine.images.remove(known.id, force=True)
            other.pull(f"{address}/back:1")
            again = other.images.get(f"{address}/back:1")
            assert (again.id, again.manifest, again.digests) == (image.id, top, [name])
            assert [one.diff_id for one in again.layers] == [digest(data) for data in made.layers]
            assert other.push(f"{address}/back:1")[-1]["aux"]["Digest"] == top
            assert other.is_clean()

    def test_skopeo_takes_it(self, mine: Engine, address: str, tmp_path: Path) -> None:
        program = shutil.which("skopeo")
        if not program:
            pytest.skip("there is no skopeo: apt-get install skopeo")
        made = Made([layer((f"{number}", os.urandom(1000) * 3000, {})) for number in range(2)], [f"{address}/skopeo:1"])
        load(mine.images, packed(made.docker()))
        mine.push(f"{address}/skopeo:1")
        # It decompresses the layers, and makes sure of the diff_ids.
        command = [program, "copy", "--insecure-policy", "--src-tls-verify=false", "--dest-decompress"]
        command += [f"docker://{address}/skopeo:1", f"dir:{tmp_path / 'copy'}"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        for data in (*made.layers, made.config_bytes):
            assert (tmp_path / "copy" / digest(data).removeprefix("sha256:")).read_bytes() == data

    def test_a_layer_is_compressed_once(self, mine: Engine, address: str) -> None:
        big = layer(("big", b"text" * 700_000, {}))
        made = Made([big], [f"{address}/once:1"])
        load(mine.images, packed(made.docker()))
        first = mine.push(f"{address}/once:1")[-1]["aux"]["Digest"]
        path = mine.images.blobs.path(digest(big))
        path.unlink()  # nobody reads it
        assert said(mine.push(f"{address}/once:1"))[2] == f"{short(digest(big))}: Layer already exists"
        mine.images.tag(f"{address}/once:1", f"{address}/twice:1")
        assert said(mine.push(f"{address}/twice:1"))[2] == f"{short(digest(big))}: Mounted from once"
        path.write_bytes(big)
        # The same bytes without knowing it.
        (mine.images.home.root / "images.json").unlink()
        assert mine.images.gzip(digest(big)) is None
        mine.images.tag(f"{address}/once:1", f"{address}/thrice:1")
        assert mine.push(f"{address}/thrice:1")[-1]["aux"]["Digest"] == first
        assert mine.images.gzip(digest(big)) is not None
        mine.images.remove(mine.images.images()[0].id, force=True)
        assert mine.images.gzip(digest(big)) is None

    def test_only_what_is_not_compressed(self, mine: Engine, address: str) -> None:
        """Of an archive with a manifest of its own; what else that says stays."""
        load(mine.images, packed(MADE.oci()))
        mine.images.tag("made:1", f"{address}/mixed:1")
        mine.push(f"{address}/mixed:1")
        found, layers = pushed(address, "mixed", "1")
        assert [layers[number] == MADE.blobs[number] for number in range(4)] == [True, True, False, True]
        assert gzip.decompress(layers[2]) == LAYERS[2]
        assert [one["mediaType"].rpartition("+")[2] for one in found["layers"]] == ["gzip", "zstd", "gzip", "gzip"]
        assert all(one["annotations"] == {"kept": "byte for byte"} for one in found["layers"])

    def test_how_far_it_is(self, mine: Engine, address: str) -> None:
        big = layer(("big", os.urandom(3_000_000), {}))
        load(mine.images, packed(Made([big], [f"{address}/far:1"]).docker()))
        found = [message for message in mine.pushing(f"{address}/far:1").messages() if message.get("progressDetail")]
        assert [status for status, _ in groupby(message["status"] for message in found)] == ["Preparing", "Pushing"]
        sizes = {message["status"]: message["progressDetail"]["total"] for message in found}
        assert sizes == {"Preparing": len(big), "Pushing": pushed(address, "far", "1")[0]["layers"][0]["size"]}
        assert {message["id"] for message in found} == {short(digest(big))}

    def test_what_was_pulled_has_the_same_digest_after_a_push(self, mine: Engine, address: str, tmp_path: Path) -> None:
        top = put(address, "origin", "1", MADE)
        mine.pull(f"{address}/origin:1")
        mine.images.tag(f"{address}/origin:1", f"{address}/copy:1")
        assert said(mine.push(f"{address}/copy:1"))[-2] == f"1: digest: {top} size: {len(manifest(MADE))}"
        again = client(tmp_path / "again")
        again.pull(f"{address}/copy@{top}")
        assert again.images.get(MADE.id).manifest == top

    def test_all_tags(self, mine: Engine, address: str) -> None:
        load(mine.images, packed(MADE.docker()))
        for tag in ("2", "1"):
            mine.images.tag("made:1", f"{address}/many:{tag}")
        found = mine.push(f"{address}/many", all_tags=True)
        assert [message["aux"]["Tag"] for message in found if "aux" in message] == ["1", "2"]
        assert sorted(json.loads(get(address, "many/tags/list"))["tags"]) == ["1", "2"]

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("app:nothing", "tag does not exist: {}/app:nothing"),
            ("nothing:1", "An image does not exist locally with the tag: {}/nothing"),
            (f"app@sha256:{'0' * 64}", "cannot push a digest reference"),
        ],
    )
    def test_what_cannot_be_pushed(self, mine: Engine, address: str, name: str, text: str) -> None:
        load(mine.images, packed(MADE.docker()))
        mine.images.tag("made:1", f"{address}/app:1")
        with pytest.raises(DockerlabError) as caught:
            mine.push(f"{address}/{name}")
        assert str(caught.value) == text.format(address)


def test_how_far_it_is(mine: Engine, address: str) -> None:
    big = Made([layer(("big", os.urandom(3_000_000), {}))])
    put(address, "big", "1", big)
    pull = mine.pulling(f"{address}/big:1")
    pull.begin()
    found = [message for message in pull.messages() if message.get("status") == "Downloading"]
    assert found
    first, total = found[0], len(big.layers[0])
    assert first["id"] == short(digest(big.layers[0]))
    assert first["progressDetail"]["total"] == total
    assert 0 < first["progressDetail"]["current"] <= total
    assert first["progress"].startswith("[")
    assert first["progress"].endswith("/3.011MB")


# With TLS and a password


class Strict(hosts.Hosts):
    """Trusts this machine's registries no more than any other."""

    def endpoint(self, host: str) -> hosts.Endpoint:
        return hosts.Endpoint(host)


def test_a_certificate_that_is_trusted_and_one_that_is_not(tmp_path: Path) -> None:
    paths = certificate(tmp_path)
    with docker_registry(tmp_path, tls=paths) as address:
        mine = client(tmp_path / "engine")
        load(mine.images, packed(MADE.docker()))
        mine.images.tag("made:1", f"{address}/app:1")
        # As Docker does, for a registry of this machine.
        assert said(mine.push(f"{address}/app:1"))[-2].startswith("1: digest: sha256:")
        strict = Strict(certificates=(tmp_path / "certs.d",))
        with pytest.raises(EngineError) as caught:
            checking.login(strict, address, ME)
        assert str(caught.value).startswith(f'Get "https://{address}/v2/": tls: failed to verify certificate: x509: ')
        trusted = tmp_path / "certs.d" / address
        trusted.mkdir(parents=True)
        shutil.copy(paths[0], trusted / "ca.crt")
        assert checking.login(strict, address, ME) == ""


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("private"), password=True) as address:
        yield address


class TestPassword:
    """htpasswd."""

    @pytest.fixture
    def filled(self, mine: Engine, private: str) -> Engine:
        load(mine.images, packed(MADE.docker()))
        mine.images.tag("made:1", f"{private}/app:1")
        mine.push(f"{private}/app:1", credentials=ME)
        return mine

    def test_who_has_it(self, filled: Engine, private: str, tmp_path: Path) -> None:
        other = client(tmp_path / "other")
        other.pull(f"{private}/app:1", credentials=ME)
        assert other.images.get(f"{private}/app:1").id == MADE.id

    def test_who_has_it_in_the_users_configuration(self, filled: Engine, private: str, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text(json.dumps({"auths": {private: {"auth": ME.basic.removeprefix("Basic ")}}}))
        other = client(tmp_path / "other", DOCKER_CONFIG=str(tmp_path))
        other.pull(f"{private}/app:1")
        assert other.images.get(f"{private}/app:1").id == MADE.id

    def test_who_has_not(self, filled: Engine, private: str) -> None:
        where = f'Head "http://{private}/v2/app/manifests/1": '
        for credentials, status, text in (
            (None, 500, f"{where}no basic auth credentials"),
            (Credentials("me", "wrong"), 401, "unauthorized: authentication required"),
        ):
            with pytest.raises(EngineError) as caught:
                filled.pull(f"{private}/app:1", credentials=credentials)
            assert (caught.value.status, str(caught.value)) == (status, text)
            with pytest.raises(EngineError) as caught:
                filled.push(f"{private}/app:1", credentials=credentials)
            assert str(caught.value) == text.removeprefix(where)

    def test_login(self, private: str) -> None:
        assert checking.login(hosts.Hosts(), private, ME) == ""
        with pytest.raises(EngineError) as caught:
            checking.login(hosts.Hosts(), private, Credentials("me", "wrong"))
        text = f"login attempt to http://{private}/v2/ failed with status: 401 Unauthorized"
        assert (caught.value.status, str(caught.value)) == (500, text)

    def test_the_password_is_told_to_nobody(self, filled: Engine, private: str, caplog: pytest.LogCaptureFixture) -> None:
        assert HTPASSWD.startswith("me:")
        with caplog.at_level("DEBUG"), pytest.raises(EngineError) as caught:
            filled.pull(f"{private}/app:9", credentials=ME)
        assert "secret" not in repr(ME) + str(caught.value.lines()) + caplog.text
        assert ME.basic not in caplog.text


# The endpoints


@pytest.fixture
def call(mine: Engine, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("HOME", "DOCKER_CONFIG"):
        monkeypatch.setenv(name, mine.environ["HOME"])
    events = Events()
    made: Any = SimpleNamespace(store=mine.images, events=events, home=mine.images.home)

    def ask(method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, **query: str) -> Any:
        texts = Query({name: [text] for name, text in query.items()})
        data = Body.of(json.dumps(body).encode() if body is not None else b"")
        request = Request(method, path, query=texts, body=data, headers=headers or {})
        try:
            found: Response = Router(made, (*registry.ROUTES, *images.ROUTES))(request)
        except DockerlabError as error:
            return error.status, error.message
        if isinstance(found, Stream):
            return [json.loads(line) for line in b"".join(found.chunks).splitlines()]
        return getattr(found, "value", None)

    return ask


class TestApi:
    """How the requests are read."""

    def test_pull(self, call: Any, mine: Engine, address: str) -> None:
        top = put(address, "api", "latest", MADE)
        name = f"{address}/api"
        asked: list[tuple[dict[str, str], str]] = [
            ({"fromImage": name, "tag": "latest"}, f"{name}:latest"),
            ({"fromImage": name, "tag": top}, f"{name}@{top}"),
            ({"fromImage": f"{name}:latest"}, f"{name}:latest"),
            ({"fromImage": f"{name}@{top}"}, f"{name}@{top}"),
            ({"fromImage": f"{name}:other", "tag": "latest"}, f"{name}:latest"),
            ({"fromImage": name}, name),
        ]
        for query, told in asked:
            found = call("POST", "/images/create", **query)
            assert found[-1]["status"].removeprefix("Status: ").endswith(f" for {told}"), found

    @pytest.mark.parametrize(
        ("query", "text"),
        [
            ({"fromImage": "127.0.0.1:5000/a", "tag": "1:2"}, "invalid tag format"),
            ({"fromImage": "127.0.0.1:5000/A", "tag": "1"}, "invalid reference format: repository name (A) must be lowercase"),
            ({"fromImage": ""}, "invalid reference format"),
            ({"fromImage": "a", "platform": "a/b/c/d"}, '"a/b/c/d": cannot parse platform specifier: invalid argument'),
        ],
    )
    def test_what_is_no_name(self, call: Any, query: dict[str, str], text: str) -> None:
        assert call("POST", "/images/create", **query) == (400, text)

    def test_push(self, call: Any, mine: Engine, address: str) -> None:
        load(mine.images, packed(MADE.docker()))
        mine.images.tag("made:1", f"{address}/up:1")
        assert call("POST", f"/images/{address}/up/push", tag="1")[-1]["aux"]["Tag"] == "1"
        assert call("POST", f"/images/{address}/up/push")[-1]["aux"]["Tag"] == "1"
        text = f"tag does not exist: {address}/up:2"
        assert call("POST", f"/images/{address}/up/push", tag="2")[-1] == {"errorDetail": {"message": text}, "error": text}
        assert call("POST", f"/images/{address}/UP/push")[0] == 400

    def test_distribution(self, call: Any, mine: Engine, address: str) -> None:
        top = put(address, "api", "1", MADE)
        data = index((MADE, HERE), (MADE, {"os": "linux", "architecture": "arm64", "variant": "v8"}))
        put_document(address, "api", "all", data, INDEX)
        assert call("GET", f"/distribution/{address}/api:1/json") == {
            "Descriptor": {"mediaType": OCI, "digest": top, "size": len(manifest(MADE))},
            "Platforms": [{"architecture": architecture(), "os": "linux"}],
        }
        assert call("GET", f"/distribution/{address}/api:all/json") == {
            "Descriptor": {"mediaType": INDEX, "digest": digest(data), "size": len(data)},
            "Platforms": [
                {"architecture": architecture(), "os": "linux"},
                {"architecture": "arm64", "os": "linux", "variant": "v8"},
            ],
        }
        assert call("GET", f"/distribution/{address}/api:9/json") == (404, "manifest unknown: manifest unknown")

    def test_login(self, call: Any, address: str) -> None:
        body = {"username": "me", "password": "x", "serveraddress": f"http://{address}"}
        assert call("POST", "/auth", body) == {"Status": "Login Succeeded", "IdentityToken": ""}

    def test_search(self, call: Any) -> None:
        assert call("GET", "/images/search", term="x")[0] == 501


def test_a_name_that_is_none(mine: Engine) -> None:
    with pytest.raises(InvalidReference):
        mine.pulling("UPPER")


def test_gzip_that_is_followed_by_zeros_is_a_layer_all_the_same(mine: Engine, address: str) -> None:
    data = gzip.compress(LAYERS[0], mtime=0) + bytes(512)
    put(address, "padded", "1", Made([LAYERS[0]], packed=[data]))
    mine.pull(f"{address}/padded:1")
    assert mine.images.get(f"{address}/padded:1").layers[0].digest == digest(data)


def test_the_keychain_is_asked_for_nothing_without_a_configuration() -> None:
    assert Keychain({}).get("registry.example") is None
