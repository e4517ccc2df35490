"""The build context: an archive that is indexed and never unpacked, also a hostile one; the Dockerfile in it; and contexts from URLs."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from dockerlab.engine.building.archive import Archive, is_archive, spooled
from dockerlab.engine.building.cancellation import Cancellation, Cancelled
from dockerlab.engine.building.context import Context
from dockerlab.engine.building.selecting import Picked, walk
from dockerlab.engine.rootfs.reading import resolve
from dockerlab.errors import DockerlabError, EngineError
from tests.embedded.archives import File, layer, zstandard_
from tests.embedded.building import TIME, Bench, Make, benches, dated, published, repository, small_disk

DOCKERFILE: File = ("Dockerfile", b"FROM scratch\n", {})
LINK = tarfile.LNKTYPE


@pytest.fixture
def bench(make: Make) -> Bench:
    return make()


def content(view: Archive, path: str) -> bytes:
    with view.open(path) as file:
        return file.read()


class TestReading:
    """What a client sends."""

    @pytest.mark.parametrize(
        "pack",
        [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard_],
        ids=["plain", "gzip", "bzip2", "xz", "zstd"],
    )
    def test_however_it_is_compressed(self, bench: Bench, pack: Callable[[bytes], bytes]) -> None:
        context = bench.read(pack(dated(DOCKERFILE, ("src/a", b"A" * 5000, {}))))
        assert context.dockerfile() == "FROM scratch\n"
        assert content(context, "src/a") == b"A" * 5000
        assert context.names("") == ["Dockerfile", "src"]
        assert not bench.left()

    def test_everything_belongs_to_root(self, bench: Bench) -> None:
        context = bench.read(dated(DOCKERFILE, ("a", b"", {"uid": 1000, "gid": 1000, "mode": 0o4711})))
        entry = context.lookup("a")
        assert entry
        assert (entry.uid, entry.gid, entry.mode) == (0, 0, 0o4711)

    def test_a_later_entry_replaces_an_earlier_one(self, bench: Bench) -> None:
        context = bench.read(
            dated(
                *(DOCKERFILE, ("a", b"1", {}), ("a", b"22", {}), ("b/c", b"", {}), ("b", b"file", {})),
                *(("d", b"", {}), ("d", None, {}), ("d/e", b"", {}), ("d", None, {"mode": 0o700})),
            )
        )
        assert content(context, "a") == b"22"
        assert content(context, "b") == b"file"
        assert context.lookup("b/c") is None
        assert context.names("d") == ["e"]
        assert context.lookup("d").mode == 0o700  # type: ignore[union-attr]

    def test_hard_links_are_names_of_one_file(self, bench: Bench) -> None:
        link = {"type": LINK, "linkname": "a"}
        context = bench.read(dated(DOCKERFILE, ("a", b"A", {}), ("b", b"", link), ("a", b"new", {}), ("c", b"C", {})))
        assert content(context, "b") == b"A"
        assert context.identity("b") != context.identity("a")
        assert context.identity("b") == context.identity("b")
        again = bench.read(dated(DOCKERFILE, ("a", b"A", {}), ("b", b"", link)))
        assert again.identity("a") == again.identity("b")

    def test_a_directory_that_is_only_implied_is_as_old_as_what_is_in_it(self, bench: Bench) -> None:
        context = bench.read(dated(DOCKERFILE, ("x/y/a", b"", {"mtime": TIME + 9}), ("x/b", b"", {})))
        assert {context.lookup(path).mtime for path in ("x", "x/y")} == {(TIME + 9) * 10**9}  # type: ignore[union-attr]

    def test_files_can_be_read_by_several_at_once(self, bench: Bench) -> None:
        context = bench.read(dated(DOCKERFILE, ("a", b"0123456789", {}), ("b", b"abcdefghij", {})))
        with context.open("a") as one, context.open("b") as other:
            assert one.read(3) + other.read(3) + one.read(3) + other.read() + one.read() == b"012abc345defghij6789"
            assert one.seek(-2, os.SEEK_END) == 8
            assert one.read(100) == b"89"

    def test_what_is_no_file_is_not_opened(self, bench: Bench) -> None:
        context = bench.read(dated(DOCKERFILE, ("d", None, {})))
        with pytest.raises(IsADirectoryError):
            context.open("d")
        with pytest.raises(FileNotFoundError):
            context.open("e")


class TestDockerfile:
    """Which one, and what is wrong with its name."""

    def test_by_name(self, bench: Bench) -> None:
        context = bench.read(
            dated(("docker/app.Dockerfile", b"FROM x\n", {}), ("ln", "docker/app.Dockerfile", {})), "docker/app.Dockerfile"
        )
        assert context.dockerfile() == "FROM x\n"
        assert bench.read(dated(("d/f", b"FROM y\n", {}), ("ln", "d/f", {})), "ln").dockerfile() == "FROM y\n"

    def test_in_lower_case(self, bench: Bench) -> None:
        assert bench.read(dated(("dockerfile", b"FROM x\n", {}))).dockerfile() == "FROM x\n"

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("Dockerfile", "Cannot locate specified Dockerfile: Dockerfile"),
            ("nope", "Cannot locate specified Dockerfile: nope"),
            ("ln", "Cannot locate specified Dockerfile: ln"),
            ("../x", "the Dockerfile (../x) must be within the build context"),
            ("a/../../x", "the Dockerfile (a/../../x) must be within the build context"),
            ("d", "read d: is a directory"),
            ("big", "big is longer than 16 MiB"),
        ],
    )
    def test_what_is_refused(self, bench: Bench, name: str, text: str) -> None:
        data = dated(("d", None, {}), ("ln", "../../../../etc/passwd", {}), ("big", bytes((16 << 20) + 1), {}))
        with pytest.raises(DockerlabError) as caught:
            bench.read(data, name)
        assert caught.value.message == text
        assert not bench.left()

    def test_what_is_excluded_is_no_part_of_the_context(self, bench: Bench) -> None:
        ignore: File = (".dockerignore", b"# all of it\nDockerfile\n.dockerignore\nother\n", {})
        context = bench.read(dated(DOCKERFILE, ignore, ("other", b"sent all the same", {})))
        assert context.names("") == ["other"]
        assert context.dockerfile() == "FROM scratch\n"
        assert bench.read(dated(DOCKERFILE, (".dockerignore", b"x\n", {}))).names("") == [".dockerignore", "Dockerfile"]

    def test_a_line_that_is_no_pattern(self, bench: Bench) -> None:
        with pytest.raises(EngineError, match=r"line 1 of .dockerignore is no pattern"):
            bench.read(dated(DOCKERFILE, (".dockerignore", b"[\n", {})))


class TestHostile:
    """Archives that mean ill, or are broken."""

    @pytest.mark.parametrize(
        ("files", "text"),
        [
            ([("../evil", b"E", {})], "outside its root"),
            ([("a/../../evil", b"E", {})], "outside its root"),
            ([("h", b"", {"type": LINK, "linkname": "../../etc/passwd"})], "outside its root"),
            ([("h", b"", {"type": LINK, "linkname": "etc/passwd"})], "no such file or directory"),
            ([("d", None, {}), ("h", b"", {"type": LINK, "linkname": "d"})], "no such file or directory"),
            ([("f", b"", {}), ("f/g", b"", {})], "mkdir /f: not a directory"),
            ([("l", "l", {}), ("l/x", b"", {})], "too many links"),
            ([("n" * 300, b"", {})], "file name too long"),
            ([("n" * 300 + "/x", b"", {})], "file name too long"),
            ([("d/" * 2500 + "x", b"", {})], "file name too long"),
            ([("l", "x/" * 3000, {})], "file name too long"),
        ],
    )
    def test_what_is_refused(self, bench: Bench, files: list[File], text: str) -> None:
        with pytest.raises(EngineError, match=text):
            bench.read(layer(DOCKERFILE, *files))
        assert not bench.left()

    def test_a_long_path_that_is_allowed(self, bench: Bench) -> None:
        path = "d/" * 2000 + "x"
        assert content(bench.read(layer(DOCKERFILE, (path, b"deep", {}))), path) == b"deep"

    def test_what_lies_below_a_link_is_where_that_leads_to_within(self, bench: Bench) -> None:
        files: list[File] = [("s", "/etc", {}), ("s/passwd", b"E", {}), ("t", "../../..", {}), ("t/u/v", b"V", {})]
        context = bench.read(layer(DOCKERFILE, *files))
        assert content(context, "etc/passwd") == b"E"
        assert content(context, "u/v") == b"V"
        assert context.lookup("s/passwd") is None
        assert resolve(context, "s/passwd") == "etc/passwd"

    def test_absolute_names_are_relative(self, bench: Bench) -> None:
        assert content(bench.read(layer(DOCKERFILE, ("/abs//x", b"A", {}))), "abs/x") == b"A"

    @pytest.mark.parametrize("cut", [100, 600, 700])
    def test_one_that_is_cut_off(self, bench: Bench, cut: int) -> None:
        with pytest.raises(EngineError, match=r"unexpected EOF|invalid tar header"):
            bench.read(layer(("a", b"A" * 900, {}))[:cut])
        with pytest.raises(EngineError):
            bench.read(gzip.compress(layer(("a", os.urandom(900), {})))[:cut])

    def test_noise_is_refused_or_read(self, bench: Bench) -> None:
        """Whatever bytes are changed: an error of ours, or a tree that can be walked."""
        random = Random(7)
        link = {"type": LINK, "linkname": "s/a"}
        whole = layer(
            DOCKERFILE, ("s", None, {}), ("s/a", b"A" * 700, {}), ("l", "s", {}), ("h", b"", link), ("ü" * 80, b"U", {"mtime": 1.5})
        )
        refused = 0
        for _ in range(300):
            data = bytearray(whole)
            for _ in range(random.randrange(1, 4)):
                at = random.randrange(len(data) // 512) * 512 + random.choice([*range(20), *range(100, 160), *range(300)])
                data[at % len(data)] = random.choice(b"\0/.017x\xff")
            for start in range(0, len(data), 512):  # what is changed is to be read, and not only found to be wrong
                block = data[start : start + 512]
                if block[257:262] == b"ustar":
                    data[start + 148 : start + 156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 8 * 32)
            try:
                context = bench.read(bytes(data))
            except DockerlabError:
                refused += 1
                continue
            for each in walk(Picked(context, "", "tree")):
                if each.entry.kind == "file" and each.entry.size < 10_000:
                    content(context, each.path)
        assert 30 < refused < 290
        assert not bench.left()

    def test_what_is_no_archive(self, bench: Bench) -> None:
        with pytest.raises(EngineError):
            bench.read(b"FROM scratch\n" * 100)
        with pytest.raises(EngineError, match="Cannot locate"):
            bench.read(b"")

    def test_more_names_than_memory(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("dockerlab.engine.building.archive.MOST_MEMORY", 100_000)
        with pytest.raises(EngineError, match="too many files"):
            bench.read(layer(DOCKERFILE, *(("d/" * 100 + str(number), b"", {}) for number in range(200))))
        fields = {"pax_headers": {"SCHILY.xattr.user.x": "x" * 1000}}
        with pytest.raises(EngineError, match="too many files"):
            bench.read(layer(DOCKERFILE, *[("d", None, fields)] * 200))

    def test_zeros_that_would_fill_the_disk(self, tmp_path: Path) -> None:
        with small_disk(tmp_path / "disk", 100 << 20) as disk, benches(disk) as make:
            bench = make()
            with pytest.raises(EngineError, match="no space left on device"):
                bench.read(gzip.compress(bytes(200 << 20), 1))
            assert not bench.left()


def test_archives_are_known_by_their_content() -> None:
    tar = layer(("a", b"A", {}))
    assert all(is_archive([data]) for data in (tar, gzip.compress(tar), bz2.compress(tar), lzma.compress(tar), zstandard_(tar)))
    assert is_archive([layer(("../evil", b"", {}))])
    for data in (
        b"",
        b"text" * 500,
        bytes(10240),
        gzip.compress(b"text" * 500),
        gzip.compress(tar)[:40],
        b"\x1f\x8bnot gzip",
        tar[:300],
    ):
        assert not is_archive([data])


class TestRemote:
    """A URL in place of an archive."""

    def test_a_dockerfile(self, bench: Bench) -> None:
        with published({"/some/file": b"FROM scratch\nLABEL a=b\n"}) as url:
            context = bench.read(b"", remote=f"{url}/some/file")
        assert context.dockerfile() == "FROM scratch\nLABEL a=b\n"
        assert context.names("") == ["Dockerfile"]

    def test_an_archive(self, bench: Bench) -> None:
        with published({"/a.tgz": gzip.compress(dated(("app/Dockerfile", b"FROM scratch\n", {})))}) as url:
            context = bench.read(b"", "app/Dockerfile", f"{url}/a.tgz")
        assert context.dockerfile() == "FROM scratch\n"

    def test_what_fails(self, bench: Bench) -> None:
        with published({"/binary": b"\0\1\2"}) as url:
            with pytest.raises(EngineError, match=r"failed to GET .*/nope with status 404"):
                bench.read(b"", remote=f"{url}/nope")
            with pytest.raises(EngineError, match="neither a Dockerfile nor an archive"):
                bench.read(b"", remote=f"{url}/binary")
        with pytest.raises(DockerlabError, match="is no URL"):
            bench.read(b"", remote="file:///etc/passwd")
        assert not bench.left()

    def test_a_repository(self, bench: Bench, tmp_path: Path) -> None:
        files = {"Dockerfile": "FROM scratch\n", "sub/Dockerfile": "FROM scratch\nLABEL in=sub\n", "sub/x": "X"}
        with published(repository(tmp_path / "git", files)) as url:
            context = bench.read(b"", remote=f"{url}/project.git")
            assert context.names("") == ["Dockerfile", "sub"]
            assert context.lookup("sub/x").mtime == TIME * 10**9  # type: ignore[union-attr]
            inner = bench.read(b"", remote=f"{url}/project.git#main:sub")
            assert inner.dockerfile() == "FROM scratch\nLABEL in=sub\n"
        assert not bench.left()


def test_cancelling_ends_a_context_that_is_fetched(bench: Bench) -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with published({"/x": b"FROM scratch\n"}) as url, pytest.raises(Cancelled):
        Context.read(io.BytesIO(), bench.home, remote=f"{url}/x", cancellation=cancellation)


def test_an_archive_keeps_its_owners_where_it_is_to(bench: Bench) -> None:
    data = dated(("a", b"", {"uid": 5, "gid": 6}))
    found = Archive(spooled([data], bench.home.tmp), owners=True)
    entry = found.lookup("a")
    found.close()
    assert entry
    assert (entry.uid, entry.gid) == (5, 6)
