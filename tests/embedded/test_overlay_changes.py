"""What a container wrote into its overlay, read back: `docker diff`, and the layer of a commit."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest

from dockerlab.engine.rootfs import Root, recorded
from dockerlab.engine.rootfs.overlay import OverlaySnapshots
from dockerlab.engine.rootfs.overlay_layer import OPAQUE
from dockerlab.engine.rootfs.removal import remove
from dockerlab.errors import EngineError
from dockerlab.wire.tar import entries
from tests.embedded.overlaying import BASE, Place, is_whiteout, made, write_into


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
        write_into(place, root)
        assert place.changed(root) == [
            "C /etc", "C /etc/passwd", "A /new", "A /new/deep", "A /new/deep/f", "C /old", "D /old/one", "D /tmp", "A /weg",
        ]  # fmt: skip

    def test_usage(self, place: Place, root: Root) -> None:
        write_into(place, root)
        assert place.do(lambda snapshots: snapshots.usage(root)) == len("changed") + len("12345") + len("g")

    def test_a_diff_unpacks_to_the_same(self, place: Place, root: Root) -> None:
        write_into(place, root)
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
        assert root.lowers == (str(place.home.root / "layers" / "mount-points"),)
        assert stat.S_IMODE(os.stat(root.upper).st_mode) == 0o755

    def test_holes_stay_holes(self, place: Place, root: Root) -> None:
        def work(snapshots: OverlaySnapshots) -> None:
            with (Path(root.upper) / "sparse").open("wb") as file:
                file.seek(3 << 30)
                file.write(b"in the middle")
                file.truncate(8 << 30)
            (Path(root.upper) / "empty").touch()
            os.truncate(Path(root.upper) / "empty", 4 << 20)
            (Path(root.upper) / "dense").write_bytes(b"x" * 100_000)

        place.do(work)
        tar = place.diff(root)
        assert len(tar) < 1 << 20
        found = {entry.path: entry for entry, _ in entries(io.BytesIO(tar))}
        assert found["dense"].sparse is None
        assert found["empty"].sparse == ()
        assert found["sparse"].size == 8 << 30
        again = Path(place.prepare(BASE, tar)[0]) / "sparse"
        assert (again.stat().st_size, again.stat().st_blocks < 1000) == (8 << 30, True)
        with again.open("rb") as file:
            file.seek((3 << 30) - 1)
            assert file.read(14) == b"\0in the middle"

    @pytest.mark.parametrize("depth", [1100, 5000])
    def test_directories_deeper_than_python_calls_itself(self, place: Place, root: Root, depth: int) -> None:
        def work(snapshots: OverlaySnapshots) -> object:
            os.chdir(root.upper)
            for _ in range(depth):
                os.mkdir("d")
                os.chdir("d")
            Path("f").write_bytes(b"12345")
            os.chdir("/")
            out = io.BytesIO()
            try:
                found: object = len(snapshots.changes(root)), snapshots.usage(root)
                snapshots.diff(root, out)
            except EngineError as error:
                found = error.message[:10], error.message[-20:], snapshots.usage(root)
            snapshots.remove(place.home.container("c" * 64))
            return found, out.getvalue() if depth < 2000 else b""

        found, tar = place.do(work)
        if depth > 2000:
            assert found == ("lstat /tmp", ": file name too long", 0)
            return
        assert found == (depth + 1, 5)
        top = Path(place.prepare(BASE, tar)[0])
        assert (top / Path(*["d"] * depth) / "f").read_bytes() == b"12345"
        place.do(lambda _: remove(top))
