"""Pull from a real registry, Debian's docker-registry: what comes, what is told meanwhile, with lines as Docker Engine 28 has them."""

from __future__ import annotations

import gzip
import os
from typing import Any

import pytest

from dockerlab.engine.store import architecture
from dockerlab.engine.store.values import short
from dockerlab.errors import EngineError, InvalidReference
from tests.embedded.archives import Made, digest, layer
from tests.embedded.fakes import fake
from tests.embedded.registries import HERE, INDEX, LAYERS, MADE, Engine, index, manifest, put, put_document, said

ELSEWHERE = "s390x"


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


def test_a_name_that_is_none(mine: Engine) -> None:
    with pytest.raises(InvalidReference):
        mine.pulling("UPPER")


def test_gzip_that_is_followed_by_zeros_is_a_layer_all_the_same(mine: Engine, address: str) -> None:
    data = gzip.compress(LAYERS[0], mtime=0) + bytes(512)
    put(address, "padded", "1", Made([LAYERS[0]], packed=[data]))
    mine.pull(f"{address}/padded:1")
    assert mine.images.get(f"{address}/padded:1").layers[0].digest == digest(data)
