"""Roots that are read without being mounted, of both kinds, as root and as somebody: what a container would see. And plain directories."""

from __future__ import annotations

import os
import socket
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dockerlab.engine.rootfs import Kind
from dockerlab.engine.rootfs.directory_view import DirectoryView
from dockerlab.engine.rootfs.mount_points import MOUNT_POINT
from dockerlab.engine.rootfs.reading import View, resolve
from dockerlab.engine.rootfs.views import EMPTY, view_of
from dockerlab.errors import EngineError
from tests.embedded.archives import layer
from tests.embedded.building import benches
from tests.embedded.overlaying import BASE, Place
from tests.embedded.supervised import Box, as_user, box

LINK = tarfile.LNKTYPE
# What lies on top of the base: something new, something gone, a directory anew, a file in place of one.
MIDDLE = layer(
    ("etc/hosts", b"hosts", {"mtime": 1_500_000_001}),
    ("old/.wh.one", b"", {}),
    ("data", None, {"uid": 5, "gid": 6, "mode": 0o750}),
    ("data/f", b"F", {"uid": 5, "gid": 6, "mode": 0o640, "pax_headers": {"SCHILY.xattr.user.note": "said"}}),
    ("data/g", b"", {"type": LINK, "linkname": "data/f"}),
    ("fifo", b"", {"type": tarfile.FIFOTYPE, "mode": 0o644}),
)
TOP = layer(
    (".wh.tmp", b"", {}),
    ("usr/.wh..wh..opq", b"", {}),
    ("usr/new", b"N", {}),
    ("old", b"a file now", {}),
    ("dangling", "/nowhere", {}),
    ("up", "../../etc/hosts", {}),
    ("loop", "loop2", {}),
    ("loop2", "loop", {}),
)
Seen = dict[str, tuple[object, ...]]


def seen(view: View) -> Seen:
    """All that a view shows."""
    found: Seen = {}
    waiting = [""]
    while waiting:
        path = waiting.pop()
        entry = view.lookup(path)
        assert entry is not None, path
        assert entry.path == path
        waiting += [f"{path}/{name}" if path else name for name in view.names(path)]
        content = b""
        if entry.kind == "file":
            with view.open(path) as file:
                content = file.read()
            assert entry.size == len(content)
        found[path] = (entry.kind, oct(entry.mode), entry.uid, entry.gid, entry.target or content)
    return found


class Rung:
    """One kind of roots, as one user."""

    def __init__(self, kind: Kind, home: Place | Box) -> None:
        self.kind, self.home = kind, home

    def see(self, layers: list[bytes], work: Callable[[View], object]) -> object:
        """What `work` gives of the layers' root."""
        lowers = self.home.prepare(*layers) if isinstance(self.home, Place) else self.home.prepare(layers)
        return as_user(self.home.uid, lambda: work(view_of(self.kind, lowers)))


UIDS = sorted({os.geteuid(), 1000} if os.geteuid() == 0 else {os.geteuid()})


@pytest.fixture(params=[(kind, uid) for kind in ("overlay", "tree") for uid in UIDS], ids=lambda each: f"{each[0]}-uid{each[1]}")
def rung(request: pytest.FixtureRequest) -> Iterator[Rung]:
    kind, uid = request.param
    with box(uid) as made:
        yield Rung(kind, Place(made.home, uid) if kind == "overlay" else made)


EXPECTED: Seen = {
    "bin": ("symlink", "0o777", 0, 0, "usr/bin"),
    "data": ("directory", "0o750", 5, 6, b""),
    "data/f": ("file", "0o640", 5, 6, b"F"),
    "data/g": ("file", "0o640", 5, 6, b"F"),
    "dangling": ("symlink", "0o777", 0, 0, "/nowhere"),
    "etc": ("directory", "0o755", 0, 0, b""),
    "etc/hosts": ("file", "0o644", 0, 0, b"hosts"),
    "etc/passwd": ("file", "0o644", 0, 0, b"root:x:0:0::/:/bin/sh\n"),
    "etc/shadow": ("file", "0o0", 0, 42, b"secret"),
    "fifo": ("fifo", "0o644", 0, 0, b""),
    "locked": ("directory", "0o0", 7, 8, b""),
    "locked/in": ("file", "0o644", 0, 0, b""),
    "loop": ("symlink", "0o777", 0, 0, "loop2"),
    "loop2": ("symlink", "0o777", 0, 0, "loop"),
    "old": ("file", "0o644", 0, 0, b"a file now"),
    "up": ("symlink", "0o777", 0, 0, "../../etc/hosts"),
    "usr": ("directory", "0o755", 0, 0, b""),
    "usr/new": ("file", "0o644", 0, 0, b"N"),
}


def test_three_layers_are_seen_as_one_root(rung: Rung) -> None:
    found = rung.see([BASE, MIDDLE, TOP], seen)
    assert isinstance(found, dict)
    root = found.pop("")
    assert root[0] == "directory"
    wanted = {**EXPECTED}
    if rung.kind == "tree":  # a pipe lets its owner in
        found["fifo"], wanted["fifo"] = found["fifo"][:1], wanted["fifo"][:1]
    assert found == wanted


def test_what_the_base_has_is_seen_alone(rung: Rung) -> None:
    found = rung.see([BASE], seen)
    assert isinstance(found, dict)
    assert found["usr/bin/a"] == ("file", "0o4755", 0, 0, b"aaa")
    assert found["tmp"][1] == "0o1777"
    assert {path for path in found if path.startswith("old")} == {"old", "old/one", "old/two"}


def test_times_links_and_attributes(rung: Rung) -> None:
    def work(view: View) -> object:
        hosts, noted = view.lookup("etc/hosts"), view.lookup("data/f")
        assert hosts
        assert noted
        assert hosts.mtime == 1_500_000_001 * 10**9
        assert dict(noted.xattrs) == {"user.note": b"said"}
        assert view.identity("data/f") == view.identity("data/g")
        assert view.identity("data/f") != view.identity("etc/hosts")
        return True

    assert rung.see([BASE, MIDDLE], work)


def test_nothing_is_below_a_link_or_a_file(rung: Rung) -> None:
    def work(view: View) -> object:
        assert view.lookup("bin/a") is None
        assert view.names("bin") == view.names("etc/passwd") == view.names("nowhere") == []
        assert view.lookup("etc/passwd/x") is None
        for path, error in (("nope", FileNotFoundError), ("etc", IsADirectoryError), ("bin/a", FileNotFoundError)):
            with pytest.raises(error):
                view.open(path)
        return True

    assert rung.see([BASE], work)


def test_symlinks_are_followed_within_the_root(rung: Rung) -> None:
    def work(view: View) -> object:
        assert resolve(view, "bin/a") == "usr/bin/a"
        assert resolve(view, "up") == "etc/hosts"
        assert resolve(view, "dangling/x") == "nowhere/x"
        assert resolve(view, "bin/../../../etc/./passwd") == "etc/passwd"
        assert resolve(view, "nope/../etc") == "etc"
        assert resolve(view, "bin", "usr") == "usr/bin"
        with pytest.raises(EngineError, match="too many links"):
            resolve(view, "loop/x")
        return True

    layers = [BASE, layer(("dangling", "/nowhere", {}), ("up", "../../etc/hosts", {}), ("loop", "loop", {}))]
    assert rung.see(layers, work)


def test_a_layer_of_copy_is_unpacked_as_it_was_planned(rung: Rung, tmp_path: Path) -> None:
    with benches(tmp_path) as make:
        bench = make(
            [
                ("f", b"new", {}),
                ("t", None, {"mode": 0o700}),
                ("t/x", b"X", {"mode": 0o4755}),
                ("t/y", b"", {"type": LINK, "linkname": "t/x"}),
            ],
            BASE,
        )
        layers = [BASE, bench.layer("COPY --chown=3:4 f /locked/"), bench.layer("COPY t /tmp/"), bench.layer("COPY f t /bin/")]
    found = rung.see(layers, seen)
    assert isinstance(found, dict)
    assert found["locked"] == ("directory", "0o0", 7, 8, b"")
    assert found["locked/in"][-1] == b""
    assert found["locked/f"] == ("file", "0o644", 3, 4, b"new")
    assert found["tmp"][:2] == ("directory", "0o1777")
    assert found["tmp/x"] == found["tmp/y"] == found["usr/bin/y"] == ("file", "0o4755", 0, 0, b"X")
    assert found["bin"][0] == "symlink"
    assert found["usr/bin/f"][-1] == b"new"


def test_what_containers_are_mounted_on_is_not_the_images(rung: Rung) -> None:
    def work(view: View) -> object:
        return view.names("")

    assert rung.see([layer(("a", b"", {}))], work) == ["a"]


def test_mount_points_in_a_tree_are_not_seen(tmp_path: Path) -> None:
    for name in ("proc", "etc", "etc/own"):
        (tmp_path / name).mkdir()
    (tmp_path / "etc/hosts").touch()
    (tmp_path / "etc/resolv.conf").write_text("written to")
    for name in ("proc", "etc", "etc/hosts", "etc/resolv.conf"):
        os.setxattr(tmp_path / name, MOUNT_POINT, b"y")
    view = view_of("tree", [str(tmp_path)])
    assert view.names("") == ["etc"]
    assert view.names("etc") == ["own", "resolv.conf"]
    assert view.lookup("proc") is view.lookup("etc/hosts") is None


def test_the_empty_root() -> None:
    assert view_of("overlay", ()) is view_of("tree", ()) is EMPTY
    assert list(seen(EMPTY)) == [""]
    assert EMPTY.lookup("x") is None
    with pytest.raises(FileNotFoundError):
        EMPTY.open("x")


class TestDirectories:
    """Of the host, which strangers may have filled."""

    def test_what_is_there(self, tmp_path: Path) -> None:
        (tmp_path / "d").mkdir()
        (tmp_path / "d/f").write_bytes(b"F")
        (tmp_path / "d/f").chmod(0o640)
        (tmp_path / "d/g").hardlink_to(tmp_path / "d/f")
        (tmp_path / "l").symlink_to("d/f")
        with closing(DirectoryView(tmp_path, mtime=5)) as view:
            found = seen(view)
            assert view.identity("d/f") == view.identity("d/g")
            assert view.lookup("d/f").mtime == 5  # type: ignore[union-attr]
        assert found["d/f"] == ("file", "0o640", 0, 0, b"F")
        assert found["l"] == ("symlink", "0o777", 0, 0, "d/f")

    def test_no_link_leads_out(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "out").mkdir()
        (tmp_path / "out/secret").write_bytes(b"secret")
        (tmp_path / "in/out").symlink_to(tmp_path / "out")
        (tmp_path / "in/file").symlink_to(tmp_path / "out/secret")
        with closing(DirectoryView(tmp_path / "in")) as view:
            assert view.lookup("out/secret") is None
            assert view.names("out") == []
            for path in ("out/secret", "file"):
                with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
                    view.open(path)

    def test_what_would_wait_is_not_opened(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        with closing(DirectoryView(tmp_path)) as view, closing(socket.socket(socket.AF_UNIX)) as listener:
            with pytest.raises(IsADirectoryError):
                view.open("fifo")
            listener.bind(str(tmp_path / "socket"))
            assert view.lookup("socket") is None
            assert view.lookup("fifo").kind == "fifo"  # type: ignore[union-attr]
