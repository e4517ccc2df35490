"""Overlay root file systems, without mounting them: layers unpacked as the kernel reads them, and what it wrote read back.

As root, and as somebody without rights: each test works in a process of that user.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dockerlab.engine.home import Home, write_json
from dockerlab.engine.rootfs import Root, recorded
from dockerlab.engine.rootfs.overlay import OverlaySnapshots
from dockerlab.engine.rootfs.overlay_layer import OPAQUE
from dockerlab.engine.rootfs.removal import remove
from dockerlab.engine.store.tar import entries
from dockerlab.engine.store.values import Layer
from tests.embedded.archives import File, layer
from tests.embedded.supervised import SOMEBODY, as_user, box

BASE = layer(
    ("", None, {"mode": 0o751}),
    ("etc", None, {}),
    ("etc/passwd", b"root:x:0:0::/:/bin/sh\n", {"mtime": 1_500_000_000}),
    ("etc/shadow", b"secret", {"mode": 0o000, "gid": 42}),
    ("tmp", None, {"mode": 0o1777}),
    ("usr", None, {}),
    ("usr/bin", None, {}),
    ("usr/bin/a", b"aaa", {"mode": 0o4755}),
    ("usr/bin/b", b"", {"type": tarfile.LNKTYPE, "linkname": "usr/bin/a"}),
    ("bin", "usr/bin", {}),
    ("locked", None, {"mode": 0o000, "uid": 7, "gid": 8}),
    ("locked/in", b"", {}),
    ("old", None, {}),
    ("old/one", b"1", {}),
    ("old/two", b"22", {}),
)


@dataclass(frozen=True)
class Place:
    """A home that belongs to `uid`; `do` works there as that user."""

    home: Home
    uid: int

    def do(self, work: Callable[[OverlaySnapshots], Any]) -> Any:
        return as_user(self.uid, lambda: work(OverlaySnapshots(self.home)))

    def prepare(self, *layers: bytes) -> tuple[str, ...]:
        found: tuple[str, ...] = self.do(lambda snapshots: snapshots.prepare(values(layers), _opener(layers)))
        return found

    def unpack(self, *files: File, below: bytes = BASE) -> Path:
        """The topmost of two layers, unpacked."""
        return Path(self.prepare(below, layer(*files))[0])

    def root(self, *layers: bytes) -> Root:
        """A container's, of these layers."""
        lowers = self.prepare(*layers)
        container = self.home.container("c" * 64)
        found: Root = self.do(lambda snapshots: snapshots.create(container, lowers))
        return found

    def changed(self, root: Root) -> list[str]:
        """As `docker diff` prints it."""
        found = self.do(lambda snapshots: [(int(change.kind), change.path) for change in snapshots.changes(root)])
        return [f"{'CAD'[kind]} {path}" for kind, path in found]

    def diff(self, root: Root) -> bytes:
        def work(snapshots: OverlaySnapshots) -> bytes:
            out = io.BytesIO()
            snapshots.diff(root, out)
            return out.getvalue()

        data: bytes = self.do(work)
        return data


def values(layers: Sequence[bytes]) -> list[Layer]:
    found: list[Layer] = []
    for data in layers:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        chain = "sha256:" + hashlib.sha256(f"{found[-1].chain_id if found else ''} {digest}".encode()).hexdigest()
        found.append(Layer(digest, chain, digest, "application/vnd.oci.image.layer.v1.tar", len(data), len(data)))
    return found


def _opener(layers: Sequence[bytes]) -> Callable[[Layer], io.BytesIO]:
    contents = {value.digest: data for value, data in zip(values(layers), layers, strict=True)}
    return lambda layer: io.BytesIO(contents[layer.digest])


@pytest.fixture(params=[0, SOMEBODY], ids=["root", "somebody"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    uid = int(request.param)
    if os.geteuid() != 0:
        if uid == 0:
            pytest.skip("needs root")
        uid = os.geteuid()
    with box(uid) as made:
        yield Place(made.home, uid)


def is_whiteout(path: Path) -> bool:
    found = path.lstat()
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def is_opaque(path: Path) -> bool:
    return OPAQUE.decode() in os.listxattr(path) and os.getxattr(path, OPAQUE) == b"y"


def made(tar: bytes) -> dict[str, tuple[str, int, int, int]]:
    return {entry.path: (entry.kind, entry.mode, entry.uid, entry.gid) for entry, _ in entries(io.BytesIO(tar))}


class TestUnpacking:
    """A layer's tar becomes a directory as overlayfs keeps a layer."""

    def test_files_modes_owners_times_and_links(self, place: Place) -> None:
        top = Path(place.prepare(BASE)[0])
        assert (top / "etc/passwd").read_bytes() == b"root:x:0:0::/:/bin/sh\n"
        assert (top / "etc/passwd").stat().st_mtime == 1_500_000_000
        assert stat.S_IMODE(top.stat().st_mode) == 0o751
        assert stat.S_IMODE((top / "tmp").stat().st_mode) == 0o1777
        assert stat.S_IMODE((top / "usr/bin/a").stat().st_mode) == 0o4755
        assert (top / "usr/bin/a").samefile(top / "usr/bin/b")
        assert os.readlink(top / "bin") == "usr/bin"
        owner = (top / "etc/shadow").stat()
        if place.uid:
            assert (owner.st_uid, stat.S_IMODE(owner.st_mode)) == (place.uid, 0)
            assert recorded.attribute(os.fsencode(top / "etc/shadow")) == recorded.Recorded(0, 42, 0)
            assert stat.S_IMODE((top / "locked").stat().st_mode) == 0o700
        else:
            assert (owner.st_uid, owner.st_gid, stat.S_IMODE(owner.st_mode)) == (0, 42, 0)
            assert stat.S_IMODE((top / "locked").stat().st_mode) == 0

    def test_whiteouts(self, place: Place) -> None:
        top = place.unpack(("old/.wh.one", b"", {}), ("etc/.wh..wh..opq", b"", {}), ("etc/new", b"", {}))
        assert is_whiteout(top / "old/one")
        assert is_opaque(top / "etc")
        assert not is_opaque(top / "old")
        assert sorted(os.listdir(top / "etc")) == ["new"]

    @pytest.mark.parametrize("first", [True, False])
    def test_a_directory_that_takes_the_place_of_another_hides_it(self, place: Place, first: bool) -> None:
        whiteout: File = (".wh.old", b"", {})
        files: list[File] = [("old", None, {}), ("old/three", b"3", {})]
        top = place.unpack(*([whiteout, *files] if first else [*files, whiteout]))
        assert is_opaque(top / "old")
        assert os.listdir(top / "old") == ["three"]

    def test_a_file_that_takes_the_place_of_another(self, place: Place) -> None:
        top = place.unpack((".wh.old", b"", {}), ("old", b"a file", {}))
        assert (top / "old").read_bytes() == b"a file"

    def test_a_directory_that_the_layer_does_not_name_is_as_it_is_below(self, place: Place) -> None:
        top = place.unpack(("tmp/x", b"", {}), ("new/y", b"", {}))
        assert stat.S_IMODE((top / "tmp").stat().st_mode) == 0o1777
        assert stat.S_IMODE(top.stat().st_mode) == 0o751
        assert stat.S_IMODE((top / "new").stat().st_mode) == 0o755

    def test_but_not_as_it_was_below_a_whiteout(self, place: Place) -> None:
        lowers = place.prepare(BASE, layer((".wh.tmp", b"", {})), layer(("tmp/x", b"", {})))
        assert stat.S_IMODE(os.stat(Path(lowers[0]) / "tmp").st_mode) == 0o755

    def test_extended_attributes_but_none_that_the_kernel_or_we_understand(self, place: Place) -> None:
        names = ("user.note", "user.overlay.redirect", "user.overlay.opaque", "trusted.overlay.opaque", "user.dockerlab.lower")
        headers = {f"SCHILY.xattr.{name}": "value" for name in (*names, recorded.ATTRIBUTE)}
        top = place.unpack(("x", b"", {"pax_headers": headers}), ("d", None, {"pax_headers": headers}))
        assert os.listxattr(top / "x") == ["user.note"]
        assert os.listxattr(top / "d") == ["user.note"]

    def test_holes_stay_holes(self, place: Place) -> None:
        headers = {"GNU.sparse.map": "1048576,4", "GNU.sparse.size": str(8 << 20)}
        top = place.unpack(("holes", b"data", {"pax_headers": headers}))
        content = (top / "holes").read_bytes()
        assert len(content) == 8 << 20
        assert content[1 << 20 : (1 << 20) + 4] == b"data"
        assert content.count(0) == (8 << 20) - 4
        assert (top / "holes").stat().st_blocks * 512 < 1 << 20

    def test_devices_are_for_root(self, place: Place) -> None:
        null = {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}
        fake = {"type": tarfile.CHRTYPE, "devmajor": 0, "devminor": 0}
        top = place.unpack(("null", b"", null), ("fake", b"", fake), ("pipe", b"", {"type": tarfile.FIFOTYPE}))
        assert (top / "null").is_char_device() == (place.uid == 0)
        assert not os.path.lexists(top / "fake")
        assert (top / "pipe").is_fifo()

    def test_unpacked_once_and_shared(self, place: Place) -> None:
        first = place.prepare(BASE)
        inode = os.stat(first[0]).st_ino
        second = place.prepare(BASE, layer(("x", b"", {})))
        assert second[1:] == first
        assert os.stat(first[0]).st_ino == inode

    def test_names_are_short_enough_for_a_mount_of_many_layers(self, place: Place) -> None:
        lowers = place.prepare(*(layer((f"f{n}", b"", {})) for n in range(127)))
        options = sum(len(f"layers/{Path(lower).name}:") for lower in lowers)
        assert options + 2 * len(f"containers/{'c' * 64}/upper") + 60 < os.sysconf("SC_PAGE_SIZE")


class TestHostileLayers:
    """Nothing is written outside the layer."""

    @pytest.fixture
    def outside(self, place: Place) -> Iterator[Path]:
        path = place.home.root.parent / "outside"
        path.mkdir()
        (path / "file").write_bytes(b"untouched")
        if os.geteuid() == 0:
            os.chown(path, place.uid, place.uid)
            os.chown(path / "file", place.uid, place.uid)
        yield path
        assert os.listdir(path) == ["file"]
        assert (path / "file").read_bytes() == b"untouched"

    def test_through_a_symbolic_link(self, place: Place, outside: Path) -> None:
        top = place.unpack(("l", str(outside), {}), ("l/new", b"x", {}), ("l/file", b"x", {}), ("l/.wh.file", b"", {}))
        assert stat.S_ISDIR((top / "l").lstat().st_mode)

    def test_through_a_relative_symbolic_link(self, place: Place, outside: Path) -> None:
        place.unpack(("a", None, {}), ("a/l", "../" * 20 + str(outside)[1:], {}), ("a/l/new", b"x", {}))

    def test_a_symbolic_link_is_replaced_not_followed(self, place: Place, outside: Path) -> None:
        top = place.unpack(("f", str(outside / "file"), {}), ("f", b"x", {"mode": 0o777}))
        assert (top / "f").read_bytes() == b"x"

    @pytest.mark.parametrize("target", ["l", "d/file"])
    def test_a_hard_link_through_a_symbolic_link(self, place: Place, outside: Path, target: str) -> None:
        files: list[File] = [
            ("l", str(outside / "file"), {}),
            ("d", str(outside), {}),
            ("h", b"", {"type": tarfile.LNKTYPE, "linkname": target}),
            ("h", b"overwritten", {}),
        ]
        if target == "l":
            place.unpack(*files)
        else:
            with pytest.raises(AssertionError, match="which is not there"):
                place.unpack(*files)

    def test_an_opaque_mark_and_modes_through_a_symbolic_link(self, place: Place, outside: Path) -> None:
        before = outside.stat().st_mode
        place.unpack(("l", str(outside), {}), ("l/.wh..wh..opq", b"", {}), ("l", None, {"mode": 0o777}))
        assert outside.stat().st_mode == before
        assert os.listxattr(outside) == []

    def test_a_directory_that_becomes_a_link_after_it_was_filled(self, place: Place, outside: Path) -> None:
        place.unpack(("d", None, {"mode": 0o777}), ("d/x", b"", {}), ("d", str(outside), {}), ("d/y", b"", {}))

    def test_what_is_not_whole_is_not_there(self, place: Place) -> None:
        data = layer(("big", b"x" * 5000, {}))
        broken = data[:3000]
        with pytest.raises(AssertionError, match="unexpected EOF"):
            place.do(lambda snapshots: snapshots.prepare(values([broken]), _opener([broken])))
        assert sorted(os.listdir(place.home.root / "layers")) == ["empty"]
        assert os.listdir(place.home.tmp) == []


class TestReading:
    """What a container wrote, as the kernel leaves it in the upper directory."""

    @pytest.fixture
    def root(self, place: Place) -> Root:
        return place.root(BASE)

    def test_a_new_container_has_changed_nothing(self, place: Place, root: Root) -> None:
        assert place.changed(root) == []
        assert place.do(lambda snapshots: snapshots.usage(root)) == 0
        assert made(place.diff(root)) == {}
        assert stat.S_IMODE(os.stat(root.upper).st_mode) == 0o751

    def test_changes_as_docker_tells_them(self, place: Place, root: Root) -> None:
        _write(place, root)
        assert place.changed(root) == [
            "C /etc", "C /etc/passwd", "A /new", "A /new/deep", "A /new/deep/f", "C /old", "D /old/one", "D /tmp", "A /weg",
        ]  # fmt: skip

    def test_usage(self, place: Place, root: Root) -> None:
        _write(place, root)
        assert place.do(lambda snapshots: snapshots.usage(root)) == len("changed") + len("12345") + len("g")

    def test_a_diff_unpacks_to_the_same(self, place: Place, root: Root) -> None:
        _write(place, root)
        tar = place.diff(root)
        assert made(tar) == {
            "etc": ("directory", 0o755, 0, 0),
            "etc/passwd": ("file", 0o644, 0, 0),
            "new": ("directory", 0o700, 0, 0),
            "new/deep": ("directory", 0, 0, 0),
            "new/deep/f": ("file", 0o000, 0, 0),
            "old": ("directory", 0o755, 0, 0),
            "old/.wh.one": ("file", 0, 0, 0),
            ".wh.tmp": ("file", 0, 0, 0),
            "weg": ("file", 0o644, 0, 0),
        }
        assert place.diff(root) == tar
        again = place.prepare(BASE, tar)
        upper = Path(again[0])
        assert is_whiteout(upper / "old/one")
        assert is_whiteout(upper / "tmp")
        assert (upper / "etc/passwd").read_bytes() == b"changed"

    def test_an_opaque_directory(self, place: Place, root: Root) -> None:
        def work(snapshots: OverlaySnapshots) -> None:
            old = Path(root.upper) / "old"
            old.mkdir()
            os.setxattr(old, OPAQUE, b"y")
            (old / "three").write_bytes(b"3")

        place.do(work)
        assert place.changed(root) == ["C /old", "A /old/three"]
        assert sorted(made(place.diff(root))) == ["old", "old/.wh..wh..opq", "old/three"]

    def test_hard_links_attributes_and_a_socket(self, place: Place, root: Root) -> None:
        def work(snapshots: OverlaySnapshots) -> None:
            upper = Path(root.upper)
            (upper / "a").write_bytes(b"a")
            os.link(upper / "a", upper / "b")
            os.setxattr(upper / "a", "user.note", b"\0")
            os.setxattr(upper / "a", "user.overlay.origin", b"kernel's")
            os.mknod(upper / "socket", stat.S_IFSOCK | 0o600)
            os.mkfifo(upper / "pipe", 0o600)
            os.symlink("../../etc/passwd", upper / "link")

        place.do(work)
        found = {entry.path: entry for entry, _ in entries(io.BytesIO(place.diff(root)))}
        assert list(found) == ["a", "b", "link", "pipe"]
        assert (found["b"].kind, found["b"].target) == ("link", "a")
        assert found["a"].xattrs == {"user.note": b"\0"}
        assert found["link"].target == "../../etc/passwd"

    def test_an_owner_of_the_image_comes_through_a_commit(self, place: Place, root: Root) -> None:
        def copy_up(snapshots: OverlaySnapshots) -> None:
            upper = Path(root.upper)
            (upper / "etc").mkdir()
            shadow = upper / "etc/shadow"
            shadow.write_bytes(b"new")
            if place.uid:
                os.setxattr(shadow, recorded.ATTRIBUTE, recorded.text(recorded.Recorded(0, 42, 0)))
            else:
                os.chown(shadow, 0, 42)
            shadow.chmod(0)

        place.do(copy_up)
        assert made(place.diff(root))["etc/shadow"] == ("file", 0, 0, 42)

    def test_an_image_without_layers(self, place: Place) -> None:
        root = place.root()
        assert root.lowers == (str(place.home.root / "layers" / "empty"),)
        assert stat.S_IMODE(os.stat(root.upper).st_mode) == 0o755


def _write(place: Place, root: Root) -> None:
    """What the kernel does to the upper directory."""

    def work(snapshots: OverlaySnapshots) -> None:
        upper = Path(root.upper)
        for name in ("etc", "new", "new/deep", "old"):
            (upper / name).mkdir(mode=0o755)
        (upper / "etc/passwd").write_bytes(b"changed")
        (upper / "new/deep/f").write_bytes(b"12345")
        (upper / "new/deep/f").chmod(0)
        (upper / "new/deep").chmod(0)
        (upper / "new").chmod(0o700)
        (upper / "weg").write_bytes(b"g")
        for gone in ("tmp", "old/one"):
            os.mknod(upper / gone, stat.S_IFCHR, 0)

    place.do(work)


class TestTidying:
    """`remove` and `collect`."""

    def test_a_container_is_removed_whatever_its_modes(self, place: Place) -> None:
        root = place.root(BASE)
        _write(place, root)
        container = place.home.container("c" * 64)
        place.do(lambda snapshots: (Path(root.work) / "work").mkdir(mode=0))
        place.do(lambda snapshots: snapshots.remove(container))
        assert not container.exists()
        place.do(lambda snapshots: snapshots.remove(container))

    def test_directories_deeper_than_a_path_is_long(self, place: Place) -> None:
        def work(snapshots: OverlaySnapshots) -> None:
            top = place.home.root / "deep"
            top.mkdir()
            (top / "0").mkdir()
            (top / "link").symlink_to("/etc")
            os.chdir(top)
            for _ in range(2500):
                os.mkdir("a")
                os.chdir("a")
                Path("f").touch()
            os.chdir("/")
            remove(top)
            assert not top.exists()

        place.do(work)
        assert Path("/etc").is_dir()

    def test_a_link_to_a_directory_is_not_one(self, place: Place) -> None:
        link = place.home.root.parent / "link"
        link.symlink_to(place.home.root.parent)
        with pytest.raises(NotADirectoryError):
            remove(link)

    def test_layers_that_nobody_needs_are_collected(self, place: Place) -> None:
        more = layer(("more", b"x" * 1000, {}))
        lowers = place.prepare(BASE, more)
        root = Root("overlay", lowers, "", "")
        container = place.home.container("d" * 64)

        def use(snapshots: OverlaySnapshots) -> None:
            container.mkdir(parents=True)
            write_json(container / "config.json", {"root": {"kind": "overlay", "lowers": list(root.lowers)}})
            (place.home.tmp / "layer-dead").mkdir()

        def collect(keep: Sequence[str]) -> int:
            def work(snapshots: OverlaySnapshots) -> int:
                snapshots.collect(keep)
                return snapshots.sweep()

            freed: int = place.do(work)
            return freed

        chains = [value.chain_id for value in values([BASE, more])]
        place.do(use)
        collect([])
        assert all(os.path.isdir(lower) for lower in lowers)
        assert os.listdir(place.home.tmp) == []
        place.do(lambda snapshots: snapshots.remove(container))
        assert collect(chains[:1]) >= 1000
        assert [os.path.isdir(lower) for lower in lowers] == [False, True]
        collect([])
        assert sorted(os.listdir(place.home.root / "layers")) == ["empty"]
