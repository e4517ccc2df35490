"""Layers of an overlay: unpacked as the kernel reads them, kept for as long as somebody needs them."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dockerlab.engine.home import write_json
from dockerlab.engine.rootfs import Root, recorded
from dockerlab.engine.rootfs.overlay import OverlaySnapshots
from dockerlab.engine.rootfs.removal import remove
from tests.embedded.archives import File, layer
from tests.embedded.overlaying import BASE, Place, is_opaque, is_whiteout, opener, values, write_into


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
            place.do(lambda snapshots: snapshots.prepare(values([broken]), opener([broken])))
        assert sorted(os.listdir(place.home.root / "layers")) == ["mount-points"]
        assert os.listdir(place.home.tmp) == []


class TestTidying:
    """`remove` and `collect`."""

    def test_a_container_is_removed_whatever_its_modes(self, place: Place) -> None:
        root = place.root(BASE)
        write_into(place, root)
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
            write_json(container / "record.jsonl", {"root": {"kind": "overlay", "lowers": list(root.lowers)}})
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
        assert [os.path.isdir(lower) for lower in lowers[:2]] == [False, True]
        collect([])
        assert sorted(os.listdir(place.home.root / "layers")) == ["mount-points"]
