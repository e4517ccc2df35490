"""A registry that lies, stalls and breaks off: what helps is tried again, the rest is refused by name, and nothing half-made is left."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dockerlab.engine.registry.refusals import Cancelled
from dockerlab.errors import EngineError
from tests.embedded.archives import Made, digest, gzipped, layer, load, packed
from tests.embedded.registries import OCI, Asked, Engine, Fake, Fault, client, fake, manifest, once, said
from tests.embedded.rungs import resident

PLAIN = layer(("file", os.urandom(3_000_000), {}))
MADE = Made(
    [PLAIN, layer(("other", b"x" * 1000, {}))],
    packed=[gzip.compress(PLAIN, 1, mtime=0), gzipped(layer(("other", b"x" * 1000, {})))],
)
BIG, SMALL = MADE.blobs
NOWHERE = "{get}: redirected to what is not an address of HTTP: refused"
NOT_SAID = "{post}: the registry does not say where to upload to"
TOO_BIG = "no space left on device: the image's layers are 562.9TB, compressed"
MISMATCH = "provided digest did not match uploaded content"


@pytest.fixture
def registry() -> Iterator[Fake]:
    with fake(MADE) as registry:
        yield registry


@pytest.fixture
def mine(tmp_path: Path) -> Engine:
    return client(tmp_path / "engine")


def is_there(mine: Engine, registry: Fake) -> bool:
    """And whole, to the last byte."""
    image = mine.images.get(registry.name)
    return image.id == MADE.id and mine.images.open_layer(image.layers[0]).read() == PLAIN and mine.is_clean()


def fails(mine: Engine, registry: Fake, **more: Any) -> EngineError:
    """The error of a pull, after which nothing is there."""
    with pytest.raises(EngineError) as caught:
        mine.pull(registry.name, **more)
    assert mine.images.images() == []
    assert mine.is_clean()
    return caught.value


def breaks_off(after: int) -> Fault:
    """The big layer, as far as that."""

    def fault(request: Asked) -> object:
        if not request.is_blob(BIG) or request.command != "GET":
            return False
        start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        head = {"Content-Range": f"bytes {start}-{len(BIG) - 1}/{len(BIG)}"} if start else {}
        request.reply(206 if start else 200, BIG[start : start + after], head, length=len(BIG) - start)
        request.hang_up()
        return True

    return fault


class TestTriedAgain:
    """What passes by itself."""

    def test_a_connection_that_breaks_in_the_middle_goes_on_where_it_was(self, mine: Engine, registry: Fake) -> None:
        registry.faults += [once(breaks_off(1_000_001))]
        mine.pull(registry.name)
        assert is_there(mine, registry)
        ranges = [headers.get("Range") for method, path, headers in registry.asked if path.endswith(digest(BIG))]
        assert ranges == [None, f"bytes=1000001-{len(BIG) - 1}"]

    def test_one_that_breaks_often_is_tried_as_long_as_it_gets_further(self, mine: Engine, registry: Fake) -> None:
        registry.faults += [breaks_off(1_100_000)]
        mine.patient(attempts=2).pull(registry.name)
        assert is_there(mine, registry)

    def test_a_registry_without_ranges(self, mine: Engine, registry: Fake) -> None:
        def whole(request: Asked) -> object:
            if request.is_blob(BIG) and "Range" in request.headers:
                request.reply(200, BIG)
                return True
            return False

        registry.faults += [once(breaks_off(1_000_000)), whole]
        mine.pull(registry.name)
        assert is_there(mine, registry)

    def test_a_stall(self, mine: Engine, registry: Fake) -> None:
        begun, over = threading.Event(), threading.Event()

        def stalls(request: Asked) -> object:
            if not request.is_blob(BIG) or begun.is_set():
                return False
            begun.set()
            request.reply(200, BIG[:700_000], length=len(BIG))
            return over.wait(20)

        registry.faults += [stalls]
        try:
            mine.patient(stall=0.3).pull(registry.name)
        finally:
            over.set()
        assert is_there(mine, registry)

    def test_a_body_that_ends_early_and_does_not_say_so(self, mine: Engine, registry: Fake) -> None:
        def chunked(request: Asked) -> object:
            if not request.is_blob(BIG):
                return False
            request.send_response(200)
            request.send_header("Transfer-Encoding", "chunked")
            request.end_headers()
            request.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(BIG[:999_999]), BIG[:999_999]))
            return True

        registry.faults += [once(chunked)]
        mine.pull(registry.name)
        assert is_there(mine, registry)

    def test_bytes_that_came_damaged(self, mine: Engine, registry: Fake) -> None:
        def damaged(data: bytes) -> Fault:
            return once(lambda request: request.is_blob(data) and request.reply(200, b"?" + data[1:]))

        registry.faults += [damaged(SMALL), damaged(BIG), damaged(MADE.config_bytes)]
        found = said(mine.pull(registry.name))
        assert found.count(f"{digest(BIG).removeprefix('sha256:')[:12]}: Download complete") == 1
        assert is_there(mine, registry)

    @pytest.mark.parametrize("what", ["/v2/", "/manifests/1", f"/blobs/{MADE.id}", f"/blobs/{digest(BIG)}"])
    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_errors_that_pass(self, mine: Engine, registry: Fake, what: str, status: int) -> None:
        busy = once(lambda request: request.path.endswith(what) and request.refuse(status, "TOOMANYREQUESTS", "later"))
        registry.faults += [busy]
        mine.pull(registry.name)
        assert is_there(mine, registry)

    def test_retry_after(self, mine: Engine, registry: Fake) -> None:
        def later(request: Asked) -> object:
            return (
                request.command == "GET"
                and "manifests" in request.path
                and request.refuse(429, "TOOMANYREQUESTS", "later", {"Retry-After": "1"})
            )

        registry.faults += [once(later)]
        began = time.monotonic()
        mine.pull(registry.name)
        assert time.monotonic() - began >= 1  # it cannot be less, on whatever machine
        assert is_there(mine, registry)

    def test_a_connection_that_was_closed_while_nobody_used_it(self, mine: Engine, registry: Fake) -> None:
        registry.faults += [once(lambda request: request.is_blob(SMALL) and request.hang_up())]
        mine.pull(registry.name)
        assert is_there(mine, registry)


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
    with small_disk(tmp_path / "disk", megabytes=40) as path:
        assert str(fails(client(path), registry)) == "no space left on device"


@contextmanager
def small_disk(path: Path, *, megabytes: int) -> Iterator[Path]:
    """A file system of its own."""
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", path], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs a small file system, and none can be mounted: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


class TestCancelled:
    """A client that leaves."""

    @pytest.mark.parametrize("kind", ["layer", "config", "manifest", "waiting"])
    def test_a_pull(self, mine: Engine, registry: Fake, kind: str) -> None:
        reached, gone, over = threading.Event(), threading.Event(), threading.Event()

        def holds(request: Asked) -> object:
            is_it = {
                "layer": request.is_blob(BIG),
                "config": request.is_blob(MADE.config_bytes),
                "manifest": "manifests" in request.path,
                "waiting": request.is_blob(BIG),
            }[kind]
            if not is_it:
                return False
            if kind == "waiting":
                request.refuse(429, "TOOMANYREQUESTS", "later", {"Retry-After": "50"})
                reached.set()
                return True
            if kind == "layer":
                request.reply(200, BIG[:1000], length=len(BIG))
            reached.set()
            request.connection.settimeout(20)
            try:
                if not request.connection.recv(1):
                    gone.set()
            except OSError:
                gone.set()
            request.close_connection = True
            return True

        registry.faults += [holds]
        pull = mine.patient(patience=60.0).pulling(registry.name)
        errors: list[Exception] = []

        def run() -> None:
            try:
                pull.begin()
                for _ in pull.messages():
                    pass
            except EngineError as error:
                errors.append(error)
            over.set()

        thread = threading.Thread(target=run)
        thread.start()
        assert reached.wait(20)
        pull.cancel()
        assert over.wait(10)
        thread.join()
        assert kind == "waiting" or gone.wait(10)
        assert isinstance(errors[0], Cancelled)
        assert mine.images.images() == []
        assert mine.is_clean()

    def test_a_registry_that_takes_its_time_to_answer(self, mine: Engine, registry: Fake) -> None:
        """Whoever waits no longer hears the rest from the messages: the image, a refusal, or that it was cancelled."""
        go_on = threading.Event()
        registry.faults += [lambda request: "manifests" in request.path and not go_on.wait(20)]
        pull = mine.pulling(registry.name)
        pull.begin(0.05)
        messages = pull.messages()
        go_on.set()
        assert next(messages)["status"] == "Pulling from app"
        assert [*messages][-1]["status"] == f"Status: Downloaded newer image for {registry.name}"
        assert is_there(mine, registry)
        go_on.clear()
        pull = mine.pulling(f"{registry.address}/app:9")
        pull.begin(0.05)
        messages = pull.messages()
        go_on.set()
        with pytest.raises(EngineError, match=r"^manifest for 127.0.0.1:[0-9]+/app:9 not found"):
            next(messages)
        go_on.clear()
        pull = mine.pulling(registry.name)
        pull.begin(0.05)
        pull.cancel()
        with pytest.raises(Cancelled):
            next(pull.messages())
        go_on.set()
        assert mine.is_clean()

    def test_messages_that_nobody_reads_to_the_end(self, mine: Engine, registry: Fake) -> None:
        registry.faults += [lambda request: request.is_blob(BIG) and request.reply(200, BIG[:1000], length=len(BIG))]
        pull = mine.pulling(registry.name)
        pull.begin()
        with closing(pull.messages()) as messages:  # type: ignore[type-var]
            assert next(messages)["status"] == "Pulling from app"
            assert next(messages)["status"] == "Pulling fs layer"
            assert next(messages)["status"] == "Pulling fs layer"
            next(messages)
        assert mine.images.images() == []
        assert mine.is_clean()


# Push


class TestPush:
    """What goes wrong on the way out."""

    @pytest.fixture
    def filled(self, mine: Engine, registry: Fake) -> Engine:
        made = Made([PLAIN], [registry.name])
        load(mine.images, packed(made.docker()))
        registry.blobs.clear()
        return mine

    def arrived(self, mine: Engine, registry: Fake) -> bool:
        found = json.loads(registry.documents["1"][1])
        image = mine.images.get(registry.name)
        layer = registry.blobs[found["layers"][0]["digest"]]
        names = [f"{registry.address}/app@{digest(registry.documents['1'][1])}"]
        return (found["config"]["digest"], image.digests, gzip.decompress(layer)) == (image.id, names, PLAIN) and mine.is_clean()

    def test_it_goes(self, filled: Engine, registry: Fake) -> None:
        filled.push(registry.name)
        assert self.arrived(filled, registry)
        assert all("state=a%2Fb" in path for path in registry.paths("PATCH"))

    def test_a_connection_that_breaks_in_the_middle_goes_on_where_it_was(self, filled: Engine, registry: Fake) -> None:
        def breaks(request: Asked) -> object:
            if request.command != "PATCH":
                return False
            place = request.path.partition("?")[0].rpartition("/")[2]
            registry.uploads[place] += request.rfile.read(1_000_000)
            request.hang_up()
            return True

        registry.faults += [once(breaks)]
        filled.push(registry.name)
        assert self.arrived(filled, registry)
        ranges = [headers.get("Content-Range") for method, path, headers in registry.asked if method == "PATCH"]
        size = json.loads(registry.documents["1"][1])["layers"][0]["size"]
        assert ranges[:2] == [None, f"1000000-{size - 1}"]

    def test_an_upload_that_the_registry_forgot(self, filled: Engine, registry: Fake) -> None:
        def forgets(request: Asked) -> object:
            if request.command == "PATCH":
                request.rfile.read(1000)
                request.hang_up()
                return True
            return False

        def unknown(request: Asked) -> object:
            if request.command == "GET" and "uploads" in request.path:
                request.refuse(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
                return True
            return False

        registry.faults += [once(forgets), unknown]
        filled.push(registry.name)
        assert self.arrived(filled, registry)

    def test_an_answer_that_is_lost(self, filled: Engine, registry: Fake) -> None:
        def lost(request: Asked) -> object:
            if request.command == "PUT" and "uploads" in request.path:
                place = request.path.partition("?")[0].rpartition("/")[2]
                data = bytes(registry.uploads[place])
                registry.blobs[digest(data)] = data
                request.hang_up()
                return True
            return False

        registry.faults += [once(lost)]
        filled.push(registry.name)
        assert self.arrived(filled, registry)

    @pytest.mark.parametrize("method", ["HEAD", "POST", "PUT"])
    def test_errors_that_pass(self, filled: Engine, registry: Fake, method: str) -> None:
        registry.faults += [once(lambda request: request.command == method and request.refuse(503, "UNAVAILABLE", "later"))]
        filled.push(registry.name)
        assert self.arrived(filled, registry)

    @pytest.mark.parametrize(
        ("method", "fault", "text"),
        [
            ("POST", lambda request: request.refuse(403, "DENIED", "no"), "denied: requested access to the resource is denied"),
            ("POST", lambda request: request.reply(202), NOT_SAID),
            ("POST", lambda request: request.reply(202, headers={"Location": "ftp://x/"}), NOT_SAID),
            ("PUT", lambda request: request.refuse(400, "DIGEST_INVALID", MISMATCH), f"digest invalid: {MISMATCH}"),
            ("PUT", lambda request: request.refuse(413, "SIZE_INVALID", "too big"), "size invalid: too big"),
        ],
    )  # fmt: skip
    def test_refusals(self, filled: Engine, registry: Fake, method: str, fault: Callable[[Asked], object], text: str) -> None:
        registry.faults += [lambda request: request.command == method and fault(request)]
        with pytest.raises(EngineError) as caught:
            filled.push(registry.name)
        assert str(caught.value) == text.format(post=f'Post "http://{registry.address}/v2/app/blobs/uploads/"')
        assert filled.images.get(registry.name).digests == []

    def test_a_layer_of_ours_that_is_damaged(self, filled: Engine, registry: Fake) -> None:
        path = filled.images.blobs.path(digest(PLAIN))
        path.write_bytes(b"?" + path.read_bytes()[1:])
        with pytest.raises(EngineError, match=f"blob {digest(PLAIN)} is damaged"):
            filled.push(registry.name)
        assert registry.paths("POST") == []
        assert filled.images.gzip(digest(PLAIN)) is None
        assert not list(filled.images.home.tmp.iterdir())

    def test_a_compressed_one_that_is_damaged(self, mine: Engine, registry: Fake) -> None:
        mine.pull(registry.name)
        mine.images.tag(registry.name, f"{registry.address}/other:1")
        path = mine.images.blobs.path(digest(BIG))
        path.write_bytes(b"?" + path.read_bytes()[1:])
        registry.blobs.clear()
        with pytest.raises(EngineError, match=f"blob {digest(BIG)} is damaged"):
            mine.push(f"{registry.address}/other:1")

    def test_what_was_noted_of_a_layer_and_is_wrong(self, filled: Engine, registry: Fake) -> None:
        """Another zlib made it, or somebody wrote nonsense."""
        for digest_, size in (("sha256:" + "0" * 64, 7), ("sha256:../../x", 7), ("sha256:" + "0" * 64, -1)):
            filled.images.note_gzip(digest(PLAIN), digest_, size)
            registry.blobs.clear()
            filled.push(registry.name)
            assert self.arrived(filled, registry)

    def test_the_disk_is_full_when_a_layer_is_compressed(self, registry: Fake, tmp_path: Path) -> None:
        with small_disk(tmp_path / "disk", megabytes=80) as path:
            mine = client(path)
            load(mine.images, packed(Made([PLAIN], [registry.name]).docker()))
            (path / "others").write_bytes(bytes(14_000_000))
            with pytest.raises(EngineError) as caught:
                mine.push(registry.name)
            assert str(caught.value) == "no space left on device"
            assert mine.is_clean()
            assert registry.paths("POST") == []

    def test_who_leaves_while_a_layer_is_compressed(self, mine: Engine, registry: Fake) -> None:
        load(mine.images, packed(Made([layer(("big", os.urandom(40_000_000), {}))], [registry.name]).docker()))
        push = mine.pushing(registry.name)
        messages = push.messages()
        while not next(messages).get("progressDetail"):
            pass
        assert list(mine.images.home.tmp.iterdir())
        push.cancel()
        with pytest.raises(Cancelled):
            deque(messages, maxlen=0)
        assert mine.is_clean()
        assert registry.paths("POST") == []

    def test_who_leaves(self, filled: Engine, registry: Fake) -> None:
        reached, over = threading.Event(), threading.Event()

        def holds(request: Asked) -> object:
            if request.command != "PATCH":
                return False
            reached.set()
            request.connection.settimeout(20)
            try:
                while request.rfile.read(1 << 16):
                    pass
            except OSError:
                pass
            over.set()
            request.close_connection = True
            return True

        registry.faults += [holds]
        push = filled.pushing(registry.name)
        errors: list[Exception] = []

        def run() -> None:
            try:
                for _ in push.messages():
                    pass
            except EngineError as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        assert reached.wait(20)
        push.cancel()
        thread.join(10)
        assert isinstance(errors[0], Cancelled)
        assert over.wait(10)
        assert filled.is_clean()


def test_a_port_that_accepts_and_says_nothing(mine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(EngineError) as caught:
        mine.patient(stall=0.2, connect=0.2, attempts=1).pull(f"127.0.0.1:{server.getsockname()[1]}/a")
    assert str(caught.value).endswith("i/o timeout")


def test_messages_are_values(mine: Engine, registry: Fake) -> None:
    found: list[Mapping[str, Any]] = mine.pull(registry.name)
    assert json.loads(json.dumps(found)) == found
