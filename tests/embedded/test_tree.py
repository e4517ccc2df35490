"""Lazy trees: layers on top of each other, what a container changes, and that nothing else changes with it."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab.engine.rootfs import recorded
from dockerlab.engine.rootfs.recorded import Recorded
from dockerlab.engine.rootfs.removal import remove
from dockerlab.engine.rootfs.tree import Tree, lower_of
from dockerlab.engine.rootfs.tree_snapshots import of
from tests.embedded.supervised import Box, as_user, box, layer

BASE = layer(
    ("etc", None, {}),
    ("etc/passwd", b"root:x:0:0::/:/bin/sh\n", {}),
    ("etc/shadow", b"secret", {"mode": 0o000, "gid": 42}),
    ("bin", "usr/bin", {}),
    ("usr", None, {}),
    ("usr/bin", None, {}),
    ("usr/bin/a", b"aaa", {"mode": 0o4755}),
    ("usr/bin/b", "usr/bin/a", {"type": tarfile.LNKTYPE}),
    ("usr/share", None, {}),
    ("usr/share/doc", None, {}),
    ("usr/share/doc/x", b"x" * 1000, {}),
    ("var", None, {"uid": 7, "gid": 8, "mode": 0o1777}),
    ("var/gone", b"gone", {}),
)
CHANGE = layer(
    ("etc/hosts", b"hosts", {}),
    ("var/.wh.gone", b"", {}),
    ("usr/share/doc/.wh..wh..opq", b"", {}),
    ("usr/share/doc/y", b"yy", {}),
    ("usr/bin/c", "usr/bin/a", {"type": tarfile.LNKTYPE}),
)


@pytest.fixture
def home() -> Iterator[Box]:
    """A home of whoever runs the tests."""
    with box(os.geteuid()) as made:
        yield made


def names(folder: str | Path) -> list[str]:
    return sorted(os.listdir(folder))


def path(tree: Tree, name: str) -> str:
    """Where a directory of a tree really is."""
    return os.fsdecode(tree.locate(name.encode())[0])


class TestLayers:
    """What a stack of layers becomes."""

    def test_a_layer_is_unpacked_on_top_of_another(self, home: Box) -> None:
        top, bottom = home.prepare([BASE, CHANGE])
        tree = Tree(top.encode(), os.path.dirname(top).encode(), b"")
        assert names(path(tree, "etc")) == ["hosts", "passwd", "shadow"]
        assert names(path(tree, "usr/share/doc")) == ["y"]
        assert names(path(tree, "var")) == []
        assert names(path(tree, "usr/bin")) == ["a", "b", "c"]
        assert names(bottom + "/usr/share/doc") == ["x"]
        assert names(bottom + "/var") == ["gone"]

    def test_what_a_layer_does_not_touch_is_not_made(self, home: Box) -> None:
        top, bottom = home.prepare([BASE, layer(("etc/new", b"", {}))])
        assert names(top + "/usr") == []
        assert lower_of(os.fsencode(top + "/usr")) == os.path.basename(bottom).encode()
        assert os.stat(top + "/etc/passwd").st_ino == os.stat(bottom + "/etc/passwd").st_ino

    def test_a_hard_link_to_a_lower_file_leaves_that_file_alone(self, home: Box) -> None:
        top, bottom = home.prepare([BASE, CHANGE])
        assert os.stat(top + "/usr/bin/c").st_ino == os.stat(top + "/usr/bin/a").st_ino
        assert os.stat(top + "/usr/bin/a").st_ino != os.stat(bottom + "/usr/bin/a").st_ino
        assert os.stat(top + "/usr/bin/b").st_ino == os.stat(bottom + "/usr/bin/a").st_ino

    def test_owners_and_modes_are_recorded(self, home: Box) -> None:
        (bottom,) = home.prepare([BASE])
        shadow, program, var = (os.fsencode(f"{bottom}/{name}") for name in ("etc/shadow", "usr/bin/a", "var"))
        assert recorded.read(shadow, os.lstat(shadow)) == Recorded(0, 42, 0)
        assert recorded.read(program, os.lstat(program)) == Recorded(0, 0, 0o4755)
        assert recorded.read(var, os.lstat(var)) == Recorded(7, 8, 0o1777)
        assert stat.S_IMODE(os.stat(shadow).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(program).st_mode) == 0o755

    def test_three_layers_name_the_one_where_a_directory_is(self, home: Box) -> None:
        lowers = home.prepare([BASE, layer(("etc/one", b"", {})), layer(("etc/two", b"", {}))])
        assert lower_of(os.fsencode(lowers[0] + "/usr")) == os.path.basename(lowers[2]).encode()
        assert names(lowers[0] + "/etc") == ["one", "passwd", "shadow", "two"]

    def test_a_broken_layer_leaves_nothing(self, home: Box) -> None:
        with pytest.raises(AssertionError, match="lies outside its root"):
            home.prepare([layer(("etc/ok", b"", {}), ("../evil", b"", {}))])
        assert names(home.home.root / "trees") == []
        assert names(home.home.tmp) == []

    def test_no_link_leads_out_while_unpacking(self, home: Box, tmp_path: Path) -> None:
        (top,) = home.prepare([layer(("out", str(tmp_path), {}), ("out/evil", b"", {}))])
        assert names(tmp_path) == []
        assert names(top + "/out") == ["evil"]

    def test_unused_trees_are_collected(self, home: Box) -> None:
        kept, dropped = home.prepare([BASE])[0], home.prepare([CHANGE_ONLY])[0]
        keep = [os.path.basename(kept)]
        home.do(lambda: home.snapshots().collect(keep))
        assert home.do(lambda: home.snapshots().sweep()) > 0
        assert os.path.exists(kept)
        assert not os.path.exists(dropped)


CHANGE_ONLY = layer(("other", b"something", {}))


class TestContainer:
    """A container's own level."""

    def test_it_starts_with_one_placeholder(self, home: Box) -> None:
        container = home.container(home.prepare([BASE]))
        assert names(container.root.upper) == []
        assert container.changes() == []
        assert container.usage() == 0

    def test_only_what_changed_differs(self, home: Box) -> None:
        container = home.container(home.prepare([BASE, CHANGE]))
        tree = of(container.root)
        tree.own(b"usr/share")
        tree.own(b"etc")
        assert container.changed() == []
        Path(container.root.upper, "etc/new").write_text("new")
        Path(container.root.upper, "etc/hosts").unlink()
        assert container.changed() == ["C /etc", "D /etc/hosts", "A /etc/new"]
        assert container.usage() == 3

    def test_a_copy_is_changed_and_not_the_image(self, home: Box) -> None:
        lowers = home.prepare([BASE])
        container = home.container(lowers)
        tree = of(container.root)
        host = tree.own(b"etc") + b"/passwd"
        origin = tree.own(b"etc")
        assert os.stat(host).st_ino == os.stat(lowers[0] + "/etc/passwd").st_ino
        tree.copy_up(b"etc/passwd", os.lstat(host))
        Path(os.fsdecode(host)).write_text("changed")
        assert Path(lowers[0], "etc/passwd").read_bytes().startswith(b"root")
        assert origin.endswith(b"/upper/etc")
        assert container.changed() == ["C /etc", "C /etc/passwd"]

    def test_a_crash_between_placeholder_and_merged_is_made_good(self, home: Box) -> None:
        lowers = home.prepare([BASE])
        container = home.container(lowers)
        os.mkdir(container.root.upper + "/etc")  # half of what making the root merged does
        tree = of(container.root)
        tree.own(b"etc")
        assert names(container.root.upper + "/etc") == ["passwd", "shadow"]

    def test_the_difference_as_a_layer_makes_the_same_tree(self, home: Box) -> None:
        lowers = home.prepare([BASE])
        container = home.container(lowers)
        tree = of(container.root)
        top = Path(os.fsdecode(tree.own(b"")))
        tree.own(b"var")
        (top / "var" / "gone").unlink()
        (top / "new").mkdir()
        (top / "new" / "file").write_text("text")
        os.link(top / "new" / "file", top / "new" / "second")
        recorded.write(os.fsencode(top / "new" / "file"), Recorded(33, 44, 0o640), is_directory=False)
        (top / "new" / "link").symlink_to("/nowhere")
        content = container.diff()
        assert content == container.diff()
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            found = {member.name: member for member in tar}
        assert sorted(found) == ["new", "new/file", "new/link", "new/second", "var", "var/.wh.gone"]
        assert (found["new/file"].uid, found["new/file"].gid, found["new/file"].mode) == (33, 44, 0o640)
        assert found["new/second"].islnk()
        assert (found["var"].uid, found["var"].mode) == (7, 0o1777)
        second = home.container(home.prepare([BASE, content]))
        again = of(second.root)
        assert names(path(again, "var")) == []
        assert names(path(again, "new")) == ["file", "link", "second"]

    def test_it_is_removed_whatever_its_modes(self, home: Box) -> None:
        container = home.container(home.prepare([BASE]))
        deep = Path(container.root.upper, "a", "b")
        deep.mkdir(parents=True)
        (deep / "c").write_text("")
        deep.chmod(0)
        deep.parent.chmod(0)
        container.remove()
        container.remove()
        assert names(home.home.containers) == []


@pytest.mark.parametrize("depth", [1100, 5000])
def test_directories_deeper_than_python_calls_itself(home: Box, depth: int) -> None:
    container = home.container(home.prepare([BASE]))

    def dig() -> None:
        os.chdir(os.fsdecode(of(container.root).own(b"etc")))
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
        Path("f").write_bytes(b"12345")
        os.chdir("/")

    home.do(dig)
    if depth < 2000:
        assert len(container.changes()) == depth + 2
        assert container.usage() == 5
        top = home.prepare([BASE, container.diff()])[0]
        assert (Path(top, "etc", *["d"] * depth) / "f").read_bytes() == b"12345"
        home.do(lambda: remove(top))
    else:
        with pytest.raises(AssertionError, match="file name too long"):
            container.changes()
        assert container.usage() == 0
    container.remove()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_somebody_keeps_owners_too() -> None:
    with box(1000) as home:
        (bottom,) = home.prepare([BASE])

        def look() -> Recorded:
            host = os.fsencode(bottom + "/etc/shadow")
            return recorded.read(host, os.lstat(host))

        assert as_user(1000, look) == Recorded(0, 42, 0)
        assert os.stat(bottom + "/var").st_uid == 1000
