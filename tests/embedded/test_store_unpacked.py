"""Unpacked layers that are not as their blobs: found, and unpacked anew where no container is hurt by it. Both kinds of them."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dockerlab.engine import leftovers
from dockerlab.engine.core import snapshots_of
from dockerlab.engine.home import Home, write_json
from dockerlab.engine.rootfs import Root, Snapshots, unpacked
from dockerlab.engine.rootfs.overlay import OverlaySnapshots
from dockerlab.engine.rootfs.removal import remove
from dockerlab.engine.runtime import kernel
from dockerlab.engine.store import Store
from dockerlab.engine.store.lock import Lock
from tests.embedded.archives import Made, layer, load, packed
from tests.embedded.supervised import SOMEBODY, as_user, box

BASE = layer(
    ("etc", None, {}),
    ("etc/motd", b"hello", {}),
    ("etc/other", b"other", {}),
    ("etc/again", b"", {"type": tarfile.LNKTYPE, "linkname": "etc/motd"}),
    ("secret", b"s", {"mode": 0, "uid": 7}),
    ("link", "etc/motd", {}),
    ("dir", None, {"mode": 0o700}),
    ("dir/in", b"x" * 5000, {}),
)
MORE = layer(("etc/new", b"new", {}), ("dir/.wh.in", b"", {}), ("late/in", b"", {}))
IMAGE = Made([BASE, MORE], ["image:1"])


@dataclass(frozen=True)
class Place:
    """A home with an image, unpacked. kind: of its root file systems."""

    home: Home
    uid: int
    kind: str
    lowers: tuple[str, ...] = ()

    def do(self, work: Callable[[Store, Snapshots], Any]) -> Any:
        def inside() -> object:
            self.home.create()
            snapshots = snapshots_of(self.home, self.kind)
            return work(Store(self.home, snapshots), snapshots)

        return as_user(self.uid, inside)

    def check(self, *, repair: bool = False) -> list[str]:
        found: list[str] = self.do(lambda store, _: [str(finding) for finding in store.check(repair=repair)])
        return found

    def lose_layers(self) -> None:
        def work(_: Store, snapshots: Snapshots) -> None:
            for lower in self.lowers:
                snapshots.remove(Path(lower))

        self.do(work)

    def container(self, status: str) -> Root:
        """One that stands on the image."""

        def make(store: Store, snapshots: Snapshots) -> Root:
            directory = self.home.container("c" * 64)
            directory.mkdir()
            root = snapshots.create(directory, self.lowers)
            chains = [one.chain_id for one in store.get("image:1").layers]
            record = {
                "name": "web",
                "root": {"kind": self.kind, "lowers": self.lowers},
                "layers": chains,
                "state": {"status": status},
            }
            write_json(directory / "record.jsonl", record)
            return root

        found: Root = self.do(make)
        return found


@pytest.fixture(params=["root-overlay", "somebody-overlay", "somebody-tree"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    user, kind = request.param.split("-")
    uid = 0 if user == "root" else SOMEBODY
    if os.geteuid() != 0:
        if uid == 0:
            pytest.skip("needs root")
        uid = os.geteuid()
    with box(uid) as made:
        place = Place(made.home, uid, kind)

        def unpack(store: Store, snapshots: Snapshots) -> tuple[str, ...]:
            load(store, packed(IMAGE.docker()))
            return snapshots.prepare(store.get("image:1").layers, store.open_layer)

        yield Place(made.home, uid, kind, place.do(unpack))


def _truncate(base: Path) -> None:
    os.truncate(base / "dir/in", 0)


def _remove(base: Path) -> None:
    (base / "etc/other").unlink()


def _add(base: Path) -> None:
    (base / "etc/stranger").touch()


def _rewrite(base: Path) -> None:
    before = (base / "etc/other").stat()
    (base / "etc/other").write_bytes(b"OTHER")
    os.utime(base / "etc/other", ns=(before.st_atime_ns, before.st_mtime_ns))


def _mode(base: Path) -> None:
    (base / "etc/other").chmod(0o600)


def _kind(base: Path) -> None:
    (base / "dir/in").unlink()
    (base / "dir/in").mkdir()


def _unlink(base: Path) -> None:
    data = (base / "etc/again").read_bytes()
    before = (base / "etc/again").stat()
    (base / "etc/again").unlink()
    (base / "etc/again").write_bytes(data)
    os.utime(base / "etc/again", ns=(before.st_atime_ns, before.st_mtime_ns))


def _lead_astray(base: Path) -> None:
    before = (base / "link").lstat()
    (base / "link").unlink()
    (base / "link").symlink_to("etc/motX")
    os.utime(base / "link", ns=(before.st_atime_ns, before.st_mtime_ns), follow_symlinks=False)


DAMAGES = {
    "/dir/in has 0 bytes, not 5000": _truncate,
    "/etc/other is missing": _remove,
    "/etc/stranger is none of its files": _add,
    "/etc/other has other content": _rewrite,
    "/etc/other has another mode": _mode,
    "/dir/in is of another kind": _kind,
    "is a file of its own": _unlink,
    "/link leads elsewhere": _lead_astray,
}


def test_what_is_whole(place: Place) -> None:
    assert place.check() == []
    inodes = [os.stat(lower).st_ino for lower in place.lowers]
    assert place.check(repair=True) == []
    assert [os.stat(lower).st_ino for lower in place.lowers] == inodes
    assert os.listdir(place.home.tmp) == []


@pytest.mark.parametrize("text", DAMAGES)
def test_what_is_damaged_is_unpacked_anew(place: Place, text: str) -> None:
    place.do(lambda *_: DAMAGES[text](Path(place.lowers[1])))
    found = place.check()
    assert found[0].startswith(f"unpacked layer {Path(place.lowers[1]).name}: ")
    assert text in found[0]
    assert place.check() == found
    assert all(one.endswith("(mended)") for one in place.check(repair=True))
    assert place.check() == []
    assert os.listdir(place.home.tmp) == []
    assert (Path(place.lowers[1]) / "etc/other").read_bytes() == b"other"


@pytest.fixture
def in_an_image(place: Place) -> Iterator[Place]:
    """The same place, as it is where the engine runs in a container whose image has it, as on Binder."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount")
    root, parts = place.home.root, place.home.root.with_name("container")
    for path in (parts, parts / "upper", parts / "work"):
        path.mkdir()
        os.chown(path, place.uid, place.uid)
    kernel.mount("overlay", str(root), "overlay", 0, f"lowerdir={root},upperdir={parts}/upper,workdir={parts}/work")
    try:
        yield place
    finally:
        kernel.umount(str(root))
        remove(parts)


@pytest.mark.parametrize("place", ["somebody-tree"], indirect=True)  # in an overlay no other one is to be had
def test_what_came_with_the_image_that_the_engine_runs_in_is_whole(in_an_image: Place) -> None:
    # As often as you like: to look at it has files copied that were one with their lower layer's.
    for _ in range(3):
        assert in_an_image.check() == []
    in_an_image.do(lambda *_: _rewrite(Path(in_an_image.lowers[1])))
    assert any("/etc/other has other content" in found for found in in_an_image.check())


def test_an_upper_layer(place: Place) -> None:
    def damage(*_: object) -> None:
        (Path(place.lowers[0]) / "etc/new").unlink()

    place.do(damage)
    assert place.check(repair=True) == [f"unpacked layer {Path(place.lowers[0]).name}: /etc/new is missing (mended)"]
    assert place.check() == []


def test_no_layer_is_pulled_away_from_under_a_container(place: Place) -> None:
    place.container("running")
    place.do(lambda *_: _truncate(Path(place.lowers[1])))
    inode = os.stat(place.lowers[1]).st_ino
    (found,) = place.check(repair=True)
    assert "once web" in found
    assert "(mended)" not in found
    assert os.stat(place.lowers[1]).st_ino == inode


def test_a_container_that_does_not_run(place: Place) -> None:
    place.container("exited")
    place.do(lambda *_: _truncate(Path(place.lowers[1])))
    (found, *_) = place.check(repair=True)
    # What it wrote lies beside an overlay's layer, but is linked with a tree's files.
    assert found.endswith("once web is removed it can be mended" if place.kind == "tree" else "(mended)")


def test_a_layer_that_a_container_misses(place: Place) -> None:
    place.container("exited")
    place.lose_layers()
    assert len(place.check()) >= 1
    assert all(one.endswith("it is missing (mended)") for one in place.check(repair=True))
    assert place.check() == []
    assert all(os.path.isdir(lower) for lower in place.lowers)
    place.do(lambda store, _: store.remove("image:1", force=True))
    place.lose_layers()
    assert [one.partition(": ")[0] for one in place.check(repair=True)] == ["container web"] * 2


def test_what_a_killed_unpacking_leaves(place: Place) -> None:
    def leave(*_: object) -> None:
        for name in ("layer-dead", "trash-dead"):
            (place.home.tmp / name / "top").mkdir(parents=True)

    place.do(leave)
    assert place.check() == ["layer-dead: left by a crash", "trash-dead: left by a crash"]
    assert place.check(repair=True) == ["layer-dead: left by a crash (mended)", "trash-dead: left by a crash (mended)"]
    assert os.listdir(place.home.tmp) == []
    place.do(leave)
    place.do(lambda store, _: store.collect())
    assert os.listdir(place.home.tmp) == []


def test_what_is_left_beside_the_store(place: Place) -> None:
    def leave(*_: object) -> None:
        (place.home.tmp / "volume-dead").mkdir()
        (place.home.root / ".index.json.7.dead").touch()
        (place.home.container("d" * 64) / "upper").mkdir(parents=True)
        damaged = place.home.container("e" * 64)
        damaged.mkdir()
        (damaged / "record.jsonl").write_text("{")

    place.do(leave)
    expected = [
        ".index.json.7.dead: left by a crash",
        "tmp/volume-dead: left by a crash",
        "container dddddddddddd: half-made, or half-removed",
        f"container eeeeeeeeeeee: its record cannot be read; what it wrote is in {place.home.container('e' * 64)}",
    ]
    assert [str(one) for one in leftovers.find(place.home, repair=False)] == expected
    assert [one.repaired for one in leftovers.find(place.home, repair=True)] == [True, True, True, False]
    assert [str(one) for one in leftovers.find(place.home, repair=False)] == expected[3:]


def test_a_layer_is_on_the_disk_before_it_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dockerlab.engine.runtime import kernel

    home = Home(tmp_path / "root", tmp_path / "run")
    home.create()
    store, snapshots = Store(home), OverlaySnapshots(home)
    load(store, packed(Made([layer(("f", b"x", {}))], ["one:1"]).docker()))
    seen: list[list[str]] = []
    real = kernel.syncfs

    def noted(path: str | os.PathLike[str]) -> None:
        real(path)
        seen.append(os.listdir(home.root / "layers"))

    monkeypatch.setattr(kernel, "syncfs", noted)
    snapshots.prepare(store.get("one:1").layers, store.open_layer)
    assert seen == [["mount-points"]]
    assert len(os.listdir(home.root / "layers")) == 2


class Crash(Exception):
    """The end of an engine in the middle of its work."""


def test_nobody_waits_for_what_is_removed_and_a_crash_leaves_it_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "root", tmp_path / "run")
    home.create()
    snapshots = OverlaySnapshots(home)
    store = Store(home, snapshots)
    load(store, packed(IMAGE.docker()))
    layers = store.get("image:1").layers
    lowers = snapshots.prepare(layers, store.open_layer)
    seen: list[bool] = []

    def watched(path: Path) -> None:
        """Whether layers can be unpacked meanwhile; what was removed is gone from among them."""
        if not path.name.startswith("trash-"):
            remove(path)
            return
        with Lock(home.root / "layers.lock").attempt() as is_free:
            seen.append(is_free and not os.path.exists(lowers[0]))
        if is_free:
            snapshots.prepare(layers, store.open_layer)
        if len(seen) == 1:
            (path / next(iter(os.listdir(path)))).rename(path / "moved")  # it had begun
            raise Crash
        remove(path)

    snapshots.collect([])
    monkeypatch.setattr(unpacked, "remove", watched)
    with pytest.raises(Crash):
        snapshots.sweep()
    assert seen == [True]
    assert os.listdir(home.tmp)
    monkeypatch.undo()
    assert store.get("image:1").layers == layers
    assert OverlaySnapshots(home).sweep() > 0
    assert os.listdir(home.tmp) == []
    assert all(map(os.path.isdir, lowers)), "they were unpacked anew meanwhile"
