"""The registry client's pure parts: lines about progress as Engine 28 writes them, platforms, manifests."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from dockerlab.engine.registry import manifests, packing, progress
from dockerlab.engine.registry.manifests import Document, Part, Platform
from dockerlab.engine.registry.measuring import Measuring
from dockerlab.errors import EngineError, UsageError
from dockerlab.registry import refusals
from tests.embedded.archives import digest, gzipped, layer
from tests.embedded.registries import INDEX, OCI


@pytest.mark.parametrize(
    ("current", "total", "text"),
    [
        (36445, 3001177, "[>                                                  ]  36.45kB/3.001MB"),
        (91, 91, "[==================================================>]      91B/91B"),
        (3001177, 3001177, "[==================================================>]  3.001MB/3.001MB"),
        (3205, 3205, "[==================================================>]  3.205kB/3.205kB"),
        (2140160, 1984488, "[==================================================>]   2.14MB"),
        (19968, 1984488, "[>                                                  ]  19.97kB/1.984MB"),
        (512, 0, "    512B"),
    ],
)
def test_bars(current: int, total: int, text: str) -> None:
    assert progress.bar(current, total) == text


def test_ten_lines_a_second_about_how_far_a_layer_is() -> None:
    now = [0.0]
    feed = progress.Feed(lambda: now[0])
    for step in range(1000):
        now[0] = step / 1000
        feed.amount("Downloading", "a", step, 1000)
        feed.amount("Downloading", "b", step, 1000)
    feed.say(progress.step("Pull complete", "a"))
    feed.end()
    found = list(feed)
    assert found[-1] == {"status": "Pull complete", "progressDetail": {}, "id": "a"}
    assert len([message for message in found if message["id"] == "a"]) == 11
    assert found[0]["progressDetail"] == {"current": 0, "total": 1000}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("linux/arm64/v8", Platform("linux", "arm64", "v8")),
        ("linux/x86_64", Platform("linux", "amd64")),
        ("Linux/AMD64", Platform("linux", "amd64")),
        ("arm64", Platform("linux", "arm64")),
        ("windows", Platform("windows", manifests.machine().architecture)),
        ("", manifests.machine()),
    ],
)
def test_platforms(text: str, found: Platform) -> None:
    assert manifests.platform(text) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a/b/c/d", '"a/b/c/d": cannot parse platform specifier: invalid argument'),
        ("nothing", '"nothing": unknown operating system or architecture: invalid argument'),
        ("linux/", '"" is an invalid component of "linux/": platform specifier component must match "[A-Za-z0-9_-]+"'),
    ],
)
def test_what_is_no_platform(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        manifests.platform(text)
    assert str(caught.value) == said


def entries(*platforms: Any) -> Document:
    found = [{"digest": digest(str(number).encode()), "size": number, "platform": one} for number, one in enumerate(platforms)]
    return Document(json.dumps({"manifests": found}).encode(), INDEX)


def test_which_entry_of_an_index_is_taken() -> None:
    unknown = {"os": "unknown", "architecture": "unknown"}
    arm = {"os": "linux", "architecture": "arm"}
    index = entries(unknown, None, {**arm, "variant": "v6"}, arm, {"os": "linux", "architecture": "arm64"}, 7)

    def size(text: str) -> int:
        return manifests.chosen(index, manifests.platform(text)).size

    assert size("linux/arm") == 2
    assert size("linux/arm/v7") == 3  # which is the usual one
    assert size("linux/arm/v6") == 2
    assert size("linux/arm64/v8") == 4
    for text in ("linux/amd64", "linux/arm/v5", "windows/arm"):
        with pytest.raises(EngineError, match=f"no matching manifest for {text} in the manifest list entries"):
            size(text)
    assert manifests.platforms(index) == [{"architecture": "arm", "os": "linux", "variant": "v6"}, *manifests.platforms(entries(arm)),
                                          {"architecture": "arm64", "os": "linux"}]  # fmt: skip


@pytest.mark.parametrize("data", [b'{"manifests": 1}', b'{"manifests": [1]}', b"{}"])
def test_an_index_that_is_none(data: bytes) -> None:
    with pytest.raises(EngineError, match="the index that the registry sent is not valid"):
        manifests.chosen(Document(data, INDEX), manifests.machine())


def test_the_type_of_a_document_is_found_out_where_the_registry_does_not_say() -> None:
    assert manifests.document(b'{"manifests": []}', "application/json").kind == INDEX
    assert manifests.document(b'{"config": {}, "layers": []}', "").kind == OCI
    assert manifests.document(b'{"mediaType": "%s"}' % OCI.encode(), INDEX).kind == OCI
    assert manifests.document(b"{}", f"{INDEX}; charset=utf-8").kind == INDEX


def test_a_foreign_layer() -> None:
    kind = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    assert Part("sha256:", 1, kind, ("https://a",)).is_foreign
    assert not Part("sha256:", 1, kind).is_foreign
    assert not Part("sha256:", 1, "application/vnd.docker.image.rootfs.diff.tar.gzip", ("https://a",)).is_foreign


@pytest.mark.parametrize(
    ("status", "data", "text", "ours"),
    [
        (404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}', "manifest unknown: manifest unknown", 404),
        (404, b"<html>not here</html>", "unknown: <html>not here</html>", 404),
        (503, b'{"errors":[{"code":"UNAVAILABLE"}]}', "received unexpected HTTP status: 503 Service Unavailable", 500),
        (429, b"", "toomanyrequests: too many requests", 429),
        (401, b'{"details":"incorrect username or password"}', "unauthorized: incorrect username or password", 401),
        (418, b'{"errors": 1}', 'unknown: {"errors": 1}', 500),
        (400, b'{"errors":[{"message":"x\\u001b[31m"}]}', "unknown: x\\x1b[31m", 500),
    ],
)
def test_what_registries_answer(status: int, data: bytes, text: str, ours: int) -> None:
    error = refusals.answer(status, data)
    assert (str(error), error.status) == (text, ours)


class TestMeasuring:
    """A layer, looked through beside the download."""

    def test_it(self) -> None:
        tar = layer(("a", b"x" * 100_000, {}), ("b", None, {}))
        with Measuring() as measuring:
            data = gzipped(tar)
            for start in range(0, len(data), 100):
                measuring.feed(data[start : start + 100])
            found = measuring.result()
        assert (found.diff_id, found.files_size, found.count) == (digest(tar), 100_000, 2)

    def test_what_is_damaged_holds_nobody_up(self) -> None:
        with Measuring() as measuring:
            for _ in range(1000):
                measuring.feed(b"\x1f\x8b no gzip")
            with pytest.raises(EngineError, match="the archive is damaged"):
                measuring.result()

    def test_given_up(self) -> None:
        with Measuring() as measuring:
            measuring.feed(b"begun")
        assert not measuring._thread.is_alive()


class TestPacking:
    """Layers become gzip."""

    @pytest.mark.parametrize("size", [0, 1, packing.BLOCK, packing.BLOCK * 3 + 1])
    def test_the_same_bytes_however_they_come(self, size: int) -> None:
        data = (os.urandom(100_000) + b"x" * 100_000) * (size // 200_000 + 1)
        data = data[:size]
        found = set()
        with packing.pool() as workers:
            for step in (1000, packing.BLOCK, packing.BLOCK + 1, 10 * packing.BLOCK):
                pieces = [data[start : start + step] for start in range(0, size, step)]
                found.add(b"".join(packing.gzipped(pieces, workers)))
        (only,) = found
        assert gzip.decompress(only) == data
        assert only[3:9] == bytes(6)  # neither name nor time
        done = subprocess.run(["gzip", "-dc"], input=only, capture_output=True, check=True)
        assert done.stdout == data

    def test_what_is_the_same_in_two_blocks_is_found(self) -> None:
        data = os.urandom(20_000)
        with packing.pool() as workers:
            found = b"".join(packing.gzipped([b"text" * (packing.BLOCK // 4 - 5000), data, data, b"more" * 50_000], workers))
        assert len(found) < 30_000

    def test_what_does_not_get_smaller_hardly_grows(self) -> None:
        data = os.urandom(packing.BLOCK * 4)
        with packing.pool() as workers:
            found = b"".join(packing.gzipped([data, bytes(packing.BLOCK)], workers))
        assert len(found) < len(data) * 1.001 + 2000
        assert gzip.decompress(found) == data + bytes(packing.BLOCK)

    def test_a_source_that_fails(self) -> None:
        waiting: list[Future[bytes]] = []

        class Never:
            """Does no work."""

            def submit(self, *work: object) -> Future[bytes]:
                waiting.append(Future())
                return waiting[-1]

        def source() -> Iterator[bytes]:
            yield bytes(packing.BLOCK)
            raise EngineError("no more")

        with pytest.raises(EngineError, match="no more"):
            list(packing.gzipped(source(), Never()))  # type: ignore[arg-type]
        assert [one.cancelled() for one in waiting] == [True]


@pytest.mark.parametrize(
    ("kind", "gzip_"),
    [
        ("application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+gzip"),
        ("application/vnd.docker.image.rootfs.diff.tar", "application/vnd.docker.image.rootfs.diff.tar.gzip"),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip"),
        ("", "application/vnd.oci.image.layer.v1.tar+gzip"),
    ],
)
def test_the_type_of_a_layer_that_is_compressed(kind: str, gzip_: str) -> None:
    assert manifests.gzip_kind(kind) == gzip_


def test_an_engine_that_pulls_nothing_does_not_load_httpx() -> None:
    code = "import sys, dockerlab.engine.core, dockerlab.engine.api as api; api.routes(); print('httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
