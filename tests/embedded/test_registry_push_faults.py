"""A push that the registry, the disk, the layer or the client breaks off: tried again where that helps, refused where not."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from dockerlab.errors import EngineError
from dockerlab.registry.refusals import Cancelled
from tests.embedded.archives import Made, digest, layer, load, packed
from tests.embedded.building import small_disk
from tests.embedded.fakes import BIG, PLAIN, Asked, Fake, once
from tests.embedded.registries import Engine, client

NOT_SAID = "{post}: the registry does not say where to upload to"
MISMATCH = "provided digest did not match uploaded content"


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
        with small_disk(tmp_path / "disk", 80 << 20) as path:
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
