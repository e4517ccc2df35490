"""A registry that lies: manifests, configurations, layers and redirects that are refused by name; a disk that is full."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockerlab.errors import EngineError
from tests.embedded.archives import Made, digest, gzipped, layer
from tests.embedded.building import small_disk
from tests.embedded.fakes import BIG, MADE, PLAIN, Asked, Fake, breaks_off, fake
from tests.embedded.registries import OCI, Engine, client, manifest
from tests.embedded.rungs import resident

NOWHERE = "{get}: redirected to what is not an address of HTTP: refused"
TOO_BIG = "no space left on device: the image's layers are 562.9TB, compressed"


def fails(mine: Engine, registry: Fake, **more: Any) -> EngineError:
    """The error of a pull, after which nothing is there."""
    with pytest.raises(EngineError) as caught:
        mine.pull(registry.name, **more)
    assert mine.images.images() == []
    assert mine.is_clean()
    return caught.value


class TestRefused:
    """What does not pass."""

    @pytest.mark.parametrize(
        ("fault", "text"),
        [
            (lambda request: request.reply(200, b"?" + BIG[1:]), "filesystem layer verification failed for digest {big}"),
            (lambda request: request.refuse(404, "BLOB_UNKNOWN", "blob unknown to registry"), "unknown blob"),
            (
                lambda request: request.reply(200, BIG + b"more"),
                "filesystem layer verification failed for digest {big}: the registry sends {more} bytes, the manifest says {size}",
            ),
            (
                lambda request: request.reply(200, BIG[:-4]),
                "filesystem layer verification failed for digest {big}: the registry sends {less} bytes, the manifest says {size}",
            ),
            (
                lambda request: request.reply(206, BIG[7:], {"Content-Range": f"bytes 7-{len(BIG) - 1}/{len(BIG)}"}),
                "blob {big}: the registry sent another range than it was asked for",
            ),
            (lambda request: request.reply(302, headers={"Location": "file:///etc/passwd"}), NOWHERE),
            (lambda request: request.reply(302, headers={"Location": "gopher://x/"}), NOWHERE),
            (lambda request: request.reply(302, headers={"Location": "http://a:b@127.0.0.1/"}), NOWHERE),
            (lambda request: request.reply(302, headers={"Location": "http://[/"}), NOWHERE),
            (lambda request: request.reply(302, headers={"Location": request.path}), "{get}: stopped after 10 redirects"),
            (lambda request: request.reply(500, b"oops"), "received unexpected HTTP status: 500 Internal Server Error"),
            (lambda request: request.refuse(429, "TOOMANYREQUESTS", "too often"), "toomanyrequests: too often"),
            (lambda request: request.refuse(429, "TOOMANYREQUESTS", "tomorrow", {"Retry-After": "86400"}), "toomanyrequests: tomorrow"),
            (lambda request: request.hang_up(), "{get}: Server disconnected without sending a response."),
        ],
    )  # fmt: skip
    def test_a_layer(self, mine: Engine, registry: Fake, fault: Callable[[Asked], object], text: str) -> None:
        registry.faults += [lambda request: request.is_blob(BIG) and fault(request)]
        get = f'Get "http://{registry.address}/v2/app/blobs/{digest(BIG)}"'
        sizes = {"size": len(BIG), "more": len(BIG) + 4, "less": len(BIG) - 4}
        assert str(fails(mine, registry)) == text.format(big=digest(BIG), get=get, **sizes)

    def test_a_body_without_an_end(self, mine: Engine, registry: Fake) -> None:
        over = threading.Event()

        def endless(request: Asked) -> object:
            if not request.is_blob(BIG):
                return False
            request.send_response(200)
            request.end_headers()
            try:
                while not over.is_set():
                    request.wfile.write(bytes(1 << 16))
            except OSError:
                over.set()
            return True

        registry.faults += [endless]
        assert "the registry sends more bytes" in str(fails(mine, registry))
        assert over.wait(10)

    def test_one_that_gives_a_byte_at_a_time(self, mine: Engine, registry: Fake) -> None:
        registry.faults += [breaks_off(1)]
        assert "peer closed connection" in str(fails(mine, registry))
        assert len(registry.paths("GET", digest(BIG))) == mine.pace.attempts

    def test_one_that_stalls_for_ever(self, mine: Engine, registry: Fake) -> None:
        over = threading.Event()
        registry.faults += [lambda request: request.is_blob(BIG) and over.wait(20)]
        try:
            assert str(fails(mine.patient(stall=0.2), registry)).endswith("i/o timeout")
        finally:
            over.set()

    @pytest.mark.parametrize(
        ("kind", "data", "text"),
        [
            (OCI, b"nope", "the manifest that the registry sent is not JSON"),
            ("text/html", b"<html>", "the manifest that the registry sent is not JSON"),
            (OCI, b"\xff\xfe\x00", "the manifest that the registry sent is not JSON"),
            (OCI, b"[" * 100_000, "the manifest that the registry sent is not JSON"),
            (OCI, b"[]", "the manifest that the registry sent is not a JSON object"),
            ("text/plain", b"{}", "unsupported manifest media type and no default available: text/plain"),
            (OCI, b"{}", "the image's manifest is not valid"),
            (OCI, b" " * (4 << 20) + b"{}", "the manifest is longer than 4194304 bytes: refused"),
            (
                "application/vnd.docker.distribution.manifest.v1+prettyjws",
                b'{"schemaVersion": 1}',
                "the registry has the image in the format of 2014 only (manifest schema 1), which is not supported: "
                "push it again with a newer Docker",
            ),
        ],
    )
    def test_a_manifest(self, mine: Engine, registry: Fake, kind: str, data: bytes, text: str) -> None:
        registry.documents["1"] = (kind, data)
        assert str(fails(mine, registry)) == text

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            ({"config": {"mediaType": "application/vnd.x.y", "digest": MADE.id, "size": 2}}, "unsupported media type application/vnd.x.y"),
            ({"config": {"digest": "sha256:../../etc/passwd", "size": 2}}, "the image's manifest is not valid"),
            ({"config": {"digest": MADE.id, "size": 1 << 40}}, f"the image's config is too long: {1 << 40} bytes"),
            ({"layers": [{"digest": digest(BIG), "size": -1}]}, "a descriptor that the registry sent is not valid: digest and size"),
            ({"layers": []}, "invalid manifest, layers length mismatch: expected 0, got 2"),
            ({"layers": [{"digest": digest(BIG), "size": 1 << 49}] * 2}, TOO_BIG),
        ],
    )  # fmt: skip
    def test_what_a_manifest_says(self, mine: Engine, registry: Fake, change: dict[str, Any], text: str) -> None:
        registry.documents["1"] = (OCI, json.dumps({**json.loads(manifest(MADE)), **change}).encode())
        assert str(fails(mine, registry)) == text

    def test_a_manifest_that_is_not_the_one_of_its_digest(self, mine: Engine, registry: Fake) -> None:
        wanted = "sha256:" + "0" * 64
        registry.documents[wanted] = registry.documents["1"]
        with pytest.raises(EngineError) as caught:
            mine.pull(f"{registry.address}/app@{wanted}")
        assert str(caught.value) == f"manifest verification failed for digest {wanted}"

    def test_layers_that_are_not_those_of_the_config(self, mine: Engine) -> None:
        lying = Made([layer(("a", b"", {}))], packed=[gzipped(layer(("b", b"", {})))])
        with fake(lying) as registry:
            assert str(fails(mine, registry)).startswith('invalid diffID for layer 0: expected "sha256:')

    @pytest.mark.parametrize(
        ("data", "text"),
        [
            (gzipped(PLAIN)[:-1000], "unexpected EOF"),
            (gzipped(PLAIN[:10_000] + b"x" * 512), "unexpected EOF"),
            (gzipped(b"no tar" * 1000), "archive/tar: invalid tar header"),
            (b"", "unexpected EOF"),
        ],
    )
    def test_a_layer_that_is_none(self, mine: Engine, data: bytes, text: str) -> None:
        with fake(Made([PLAIN], packed=[data])) as registry:
            found = str(fails(mine, registry))
            assert found.startswith((f"layer {digest(data)}: {text}", "invalid diffID for layer 0"))

    def test_a_layer_with_names_that_lead_out_of_it(self, mine: Engine) -> None:
        with fake(Made([layer(("../out", b"x", {}))])) as registry:
            assert "../out" in str(fails(mine, registry))

    def test_a_bomb_takes_no_memory(self, mine: Engine) -> None:
        bomb = layer(("zeros", bytes(100_000_000), {}))
        with fake(Made([bomb], packed=[gzip.compress(bomb, 9, mtime=0)])) as registry:
            del bomb
            before = resident(os.getpid())
            mine.pull(registry.name)
            assert resident(os.getpid()) - before < 60
            assert mine.images.get(registry.name).size == 100_000_000

    def test_tags_that_are_none(self, mine: Engine, registry: Fake) -> None:
        registry.faults += [lambda request: request.path.endswith("/tags/list") and request.reply(200, b'{"tags": ["../x"]}')]
        with pytest.raises(EngineError, match="the registry lists a tag that is none"):
            mine.pull(f"{registry.address}/app", all_tags=True)
        registry.faults[:] = [lambda request: request.path.endswith("/tags/list") and request.reply(200, b'{"tags": 1}')]
        with pytest.raises(EngineError, match="the list of tags that the registry sent is not valid"):
            mine.pull(f"{registry.address}/app", all_tags=True)

    def test_more_layers_than_can_be(self, mine: Engine) -> None:
        with fake(Made([layer((f"{number}", b"", {})) for number in range(128)])) as registry:
            assert "max depth exceeded" in str(fails(mine, registry))


def test_a_full_disk(registry: Fake, tmp_path: Path) -> None:
    """A file system of its own, smaller than what the store leaves to others."""
    with small_disk(tmp_path / "disk", 40 << 20) as path:
        assert str(fails(client(path), registry)) == "no space left on device"
