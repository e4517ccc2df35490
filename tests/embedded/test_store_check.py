"""What is wrong with a store is found, and mended: what crashes leave, what disks do, what strangers write."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab.engine import core
from dockerlab.engine.home import Home
from dockerlab.engine.store import Store
from dockerlab.errors import EngineError, NotFound
from tests.embedded.archives import Made, digest, layer, load, packed, store

BASE = layer(("etc", None, {}), ("etc/motd", b"hello", {}))
MORE = layer(("more", b"x" * 1000, {}))
ONE, TWO = Made([BASE], ["one:1"]), Made([BASE, MORE], ["two:1"])


@pytest.fixture
def images(tmp_path: Path) -> Store:
    """A store with two images that share a layer."""
    made = store(tmp_path)
    load(made, packed(ONE.docker()))
    load(made, packed(TWO.docker()))
    return made


def findings(images: Store, *, repair: bool = False) -> list[str]:
    return [f"{finding.what}: {finding.text}" for finding in images.check(repair=repair)]


def names(images: Store) -> list[str]:
    return sorted(name for image in images.images() for name in image.tags)


def test_a_whole_store(images: Store) -> None:
    assert findings(images) == []
    assert findings(images, repair=True) == []
    assert names(images) == ["one:1", "two:1"]


def test_a_damaged_layer_takes_its_images_with_it(images: Store) -> None:
    path = images.blobs.path(digest(MORE))
    path.write_bytes(path.read_bytes().replace(b"xxxx", b"yyyy", 1))
    found = findings(images)
    assert found[0] == f"blob {digest(MORE)}: its bytes are not those of its digest"
    assert any(text.startswith("image two:1: ") for text in found)
    assert findings(images) == found
    findings(images, repair=True)
    assert findings(images) == []
    assert names(images) == ["one:1"]
    # Loaded again, it is there again.
    load(images, packed(TWO.docker()))
    assert names(images) == ["one:1", "two:1"]


def test_a_missing_layer(images: Store) -> None:
    images.blobs.remove(digest(BASE))
    found = findings(images, repair=True)
    assert any(text.startswith("image one:1: ") and text.endswith("is missing") for text in found)
    assert any(text.startswith("image two:1: ") and text.endswith("is missing") for text in found)
    assert names(images) == []
    assert findings(images) == []


@pytest.mark.parametrize("which", ["config", "manifest"])
def test_a_missing_document(images: Store, which: str) -> None:
    image = images.get("two:1")
    images.blobs.remove(image.id if which == "config" else image.manifest)
    fresh = store(images.home.root.parent)
    with pytest.raises(EngineError, match="the image two:1 is damaged"):
        fresh.get("two:1")
    assert names(fresh) == ["one:1"]
    # As long as it is not known what a damaged image needs, nothing is taken from it.
    assert fresh.collect() == 0
    assert any("two:1" in text for text in findings(fresh))
    findings(fresh, repair=True)
    assert findings(fresh) == []
    with pytest.raises(NotFound):
        fresh.get("two:1")
    assert names(fresh) == ["one:1"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"manifests": [1]}', b'{"manifests": {}}'])
def test_an_index_that_cannot_be_read(images: Store, content: bytes) -> None:
    (images.home.root / "index.json").write_bytes(content)
    with pytest.raises(EngineError, match=r"index.json cannot be read") as caught:
        images.images()
    assert "check --repair" in str(caught.value.hint)
    assert findings(images) == ["index.json: cannot be read; the names of images are lost"]
    findings(images, repair=True)
    assert {image.id for image in images.images()} == {ONE.id, TWO.id}
    assert findings(images) == []


def test_what_is_beside_the_index_can_be_lost(images: Store) -> None:
    size = images.get("two:1").size
    (images.home.root / "images.json").write_bytes(b"{")
    assert findings(images) == ["images.json: cannot be read; what it said can be found out again"]
    findings(images, repair=True)
    assert images.get("two:1").size == size
    assert findings(images) == []


def test_what_a_crash_leaves_is_garbage(images: Store) -> None:
    (images.home.tmp / "store-1-dead").write_bytes(b"half")
    stray = images.blobs.put(b"a blob without an image")
    assert findings(images) == [f"blob {stray}: no image needs it", "store-1-dead: left by a crash"]
    assert images.collect() == len(b"half") + len(b"a blob without an image")
    assert findings(images) == []
    assert names(images) == ["one:1", "two:1"]


def test_nothing_is_collected_while_somebody_adds(images: Store) -> None:
    with images.adding():
        content = images.add_layer(io.BytesIO(layer(("new", b"new", {}))))
        assert images.collect() == 0
        image = images.add({"architecture": "amd64", "os": "linux"}, [content], "new:1")
    images.collect()
    with images.open_layer(image.layers[0]) as tar:
        assert tar.read() == layer(("new", b"new", {}))


class _Slow(io.RawIOBase):
    """An archive during which the process is killed: after some bytes it says so, and waits for the end."""

    def __init__(self, data: bytes, at: int, ready: int) -> None:
        self._data, self._at, self._ready = io.BytesIO(data), at, ready

    def read(self, size: int = -1) -> bytes:
        if self._data.tell() >= self._at:
            os.write(self._ready, b"x")
            signal.pause()
        return self._data.read(min(size, 512))


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_killed_while_it_loads(images: Store, tmp_path: Path, share: float) -> None:
    archive = packed(Made([layer(("big", os.urandom(300_000), {}))], ["big:1"]).docker())
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            list(store(tmp_path).load(_Slow(archive, int(len(archive) * share), write)))
        finally:
            os._exit(0)
    assert os.read(read, 1) == b"x"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(read)
    os.close(write)
    fresh = store(tmp_path)
    assert names(fresh) == ["one:1", "two:1"]
    assert all("left by a crash" in text for text in findings(fresh))
    findings(fresh, repair=True)
    assert os.listdir(fresh.home.tmp) == []
    assert load(fresh, archive) == ["Loaded image: big:1\n"]


def _crashes(path: Path, archive: bytes) -> Iterator[tuple[int, bool]]:
    """Loads again and again, killed at one file operation later each time; how many there were, and whether it came to an end."""
    import errno

    real = {name: getattr(os, name) for name in ("replace", "fsync", "unlink")}
    for at in range(1, 40):
        count = 0

        def counted(name: str) -> object:
            def call(*arguments: object, **more: object) -> object:
                nonlocal count
                count += 1
                if count == at:  # noqa: B023  used within this turn
                    raise OSError(errno.EIO, "the disk is gone")
                return real[name](*arguments, **more)

            return call

        for name in real:
            setattr(os, name, counted(name))
        try:
            load(store(path), archive)
            done = True
        except OSError:
            done = False
        finally:
            for name, function in real.items():
                setattr(os, name, function)
        yield at, done
        if done:
            return


def test_the_store_is_whole_wherever_it_breaks_off(images: Store, tmp_path: Path) -> None:
    archive = packed(Made([layer(("big", b"b" * 3000, {}))], ["big:1"]).docker())
    steps = 0
    for _, done in _crashes(tmp_path, archive):
        fresh = store(tmp_path)
        assert {"one:1", "two:1"} <= set(names(fresh))
        for image in fresh.images():
            for one in image.layers:
                with fresh.open_layer(one) as tar:
                    tar.read()
        if not done:
            fresh.check(repair=True)
            assert findings(fresh) == []
            steps += 1
    assert "big:1" in names(store(tmp_path))
    assert steps > 5


def test_what_a_crash_left_is_told_once(tmp_path: Path) -> None:
    home = Home(tmp_path / "root", tmp_path / "run")
    home.create()
    for name in ("store-1", "layer-1", "other"):
        (home.tmp / name).mkdir() if name == "layer-1" else (home.tmp / name).touch()
    assert sorted(finding.what.removeprefix("tmp/") for finding in core.check(home)) == ["layer-1", "other", "store-1"]
    assert all(finding.repaired for finding in core.check(home, repair=True))
    assert core.check(home) == []
