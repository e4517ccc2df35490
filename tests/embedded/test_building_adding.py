"""ADD: archives that are unpacked into the layer, also hostile ones; files from the web, also from servers that lie, stall and break off;
git repositories. Whatever happens, nothing is left of what was downloaded."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockerlab.engine.building import git
from dockerlab.engine.building.cancellation import Cancelled
from dockerlab.errors import UsageError
from tests.embedded.archives import File, layer, zstandard_
from tests.embedded.building import TIME, Make, benches, dated, listed, published, repository, small_disk, times

LINK = tarfile.LNKTYPE
TREE = dated(
    ("ar", None, {"mode": 0o700, "uid": 5, "gid": 6}),
    ("ar/f", b"F", {"uid": 5, "gid": 6, "mode": 0o4711}),
    ("no/parent/f", b"G", {}),
    ("sym", "ar", {}),
)
UNPACKED = [
    *("u/ d755 0:0", "u/ar/ d700 5:6", "u/ar/f f4711 5:6 'F'", "u/no/ d755 0:0", "u/no/parent/ d755 0:0"),
    *("u/no/parent/f f644 0:0 'G'", "u/sym l777 0:0 -> ar"),
]
BASE = dated(
    ("d", None, {"mode": 0o711, "uid": 9, "gid": 9}),
    ("d/f", b"old", {}),
    ("d/dd", None, {}),
    ("d/dd/q", b"q", {}),
    ("file", b"file", {}),
    ("sl", "d", {}),
    ("abs", "/d", {}),
    ("up", "../../d", {}),
    ("sf", "file", {}),
)


class TestArchives:
    """What is in the build context."""

    @pytest.mark.parametrize(
        "pack", [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard_], ids=["plain", "gzip", "bzip2", "xz", "zstd"]
    )
    def test_it_is_unpacked_whatever_it_is_called(self, make: Make, pack: Callable[[bytes], bytes]) -> None:
        bench = make([("any.name", pack(TREE), {})])
        assert bench.copy("ADD any.name /u/") == UNPACKED
        assert bench.copy("ADD any.name /u") == UNPACKED
        assert not bench.left()

    @pytest.mark.parametrize("data", [b"", b"text", bytes(10240), gzip.compress(b"text", mtime=0)])
    def test_what_is_no_archive_is_copied(self, make: Make, data: bytes) -> None:
        assert len(make([("a.tar.gz", data, {})]).copy("ADD a.tar.gz /u/")) == 2

    def test_only_one_that_is_named_is_unpacked(self, make: Make) -> None:
        bench = make([("t/a.tar", TREE, {})])
        assert [line.split()[0] for line in bench.copy("ADD t /u")] == ["u/", "u/a.tar"]
        assert bench.copy("ADD t/*.tar /u/") == UNPACKED
        assert [line.split()[0] for line in bench.copy("ADD --unpack=false t/a.tar /u/")] == ["u/", "u/a.tar"]
        assert [line.split()[0] for line in bench.copy("COPY t/a.tar /u/")] == ["u/", "u/a.tar"]

    def test_chown_is_for_what_is_in_it_and_chmod_is_not(self, make: Make) -> None:
        found = make([("a.tar", TREE, {})]).copy("ADD --chown=3:4 --chmod=777 a.tar /u/")
        assert found[1:] == [
            *("u/ar/ d700 3:4", "u/ar/f f4711 3:4 'F'", "u/no/ d755 0:0", "u/no/parent/ d755 0:0"),
            *("u/no/parent/f f644 3:4 'G'", "u/sym l777 3:4 -> ar"),
        ]

    @pytest.mark.parametrize(
        ("text", "files", "expected"),
        [
            # Links that are in the root are followed, where the archive does not say otherwise.
            (
                "ADD a.tar /",
                [("sl/new", b"N", {}), ("abs/two", b"2", {}), ("up/three", b"3", {})],
                ["d/ d711 9:9", "d/new f644 0:0 'N'", "d/three f644 0:0 '3'", "d/two f644 0:0 '2'"],
            ),
            ("ADD a.tar /", [("sl", None, {}), ("sl/new", b"N", {})], ["sl/ d755 0:0", "sl/new f644 0:0 'N'"]),
            # It takes the place of anything.
            ("ADD a.tar /", [("sf", b"S", {})], ["sf f644 0:0 'S'"]),
            ("ADD a.tar /d", [("dd", b"D", {})], ["d/ d711 9:9", "d/dd f644 0:0 'D'"]),
            ("ADD a.tar /", [("file", None, {}), ("file/in", b"I", {})], ["file/ d755 0:0", "file/in f644 0:0 'I'"]),
            ("ADD a.tar /", [("d", None, {"mode": 0o700, "uid": 3})], ["d/ d700 3:0"]),
            (
                "ADD a.tar /d/",
                [("d/dup", b"1", {}), ("d/dup", b"22", {})],
                ["d/ d711 9:9", "d/d/ d755 0:0", "d/d/dup f644 0:0 '22'"],
            ),
            # A link of its own leads within the target.
            (
                "ADD a.tar /u",
                [("s", "/etc", {}), ("s/x", b"E", {})],
                ["u/ d755 0:0", "u/etc/ d755 0:0", "u/etc/x f644 0:0 'E'", "u/s l777 0:0 -> /etc"],
            ),
        ],
    )
    def test_where_its_files_go(self, make: Make, text: str, files: list[File], expected: list[str]) -> None:
        assert make([("a.tar", dated(*files), {})], BASE).copy(text) == expected

    @pytest.mark.parametrize(
        ("files", "text"),
        [
            ([("../evil", b"E", {})], "outside its root"),
            ([("h", b"", {"type": LINK, "linkname": "../../etc/passwd"})], "outside its root"),
            ([("h", b"", {"type": LINK, "linkname": "etc/passwd"})], "no such file or directory"),
            ([(".wh.f", b"", {})], "cannot be in an image"),
            ([(".wh..wh..opq", b"", {})], "cannot be in an image"),
            ([("n" * 300, b"", {})], "file name too long"),
        ],
    )
    def test_what_is_refused(self, make: Make, files: list[File], text: str) -> None:
        bench = make([("a.tar", layer(*files), {})], BASE)
        assert text in bench.fails("ADD a.tar /d/")
        assert not bench.left()

    def test_one_that_is_cut_off(self, make: Make) -> None:
        assert "unexpected EOF" in make([("a.tar", TREE[:1024], {})]).fails("ADD a.tar /u/")

    def test_one_that_does_not_fit_on_the_disk(self, tmp_path: Path) -> None:
        bomb = gzip.compress(dated(("zeros", bytes(200 << 20), {})), 1)
        with small_disk(tmp_path / "disk", 100 << 20) as disk, benches(disk) as made:
            bench = made([("bomb.tgz", bomb, {})])
            assert bench.fails("ADD bomb.tgz /u/") == "no space left on device"
            assert not bench.left()

    def test_its_digest_is_that_of_its_bytes(self, make: Make) -> None:
        digests = {
            make([("a", data, {})]).digest("ADD a /") for data in (TREE, gzip.compress(TREE, mtime=0), dated(("x", b"", {})))
        }
        assert len(digests) == 3
        assert make([("a", TREE, {"mtime": 5})]).digest("ADD a /") in digests


class TestDownloads:
    """What is on the web."""

    def test_a_file(self, make: Make) -> None:
        headers = {"/some/file.txt": {"Last-Modified": "Sun, 09 Sep 2001 01:46:40 GMT"}}
        with published({"/some/file.txt": b"content", "/a%20b": b"B"}, headers) as url:
            bench = make()
            data = bench.layer(f"ADD {url}/some/file.txt?x=1 /u/")
            assert listed(data) == ["u/ d755 0:0", "u/file.txt f600 0:0 'content'"]
            assert set(times(data).values()) == {TIME}
            assert bench.copy(f"ADD --chmod=755 --chown=3:4 {url}/some/file.txt /bin/tool") == [
                *("bin/ d755 3:4", "bin/tool f755 3:4 'content'")
            ]
            assert bench.copy(f"ADD {url}/a%20b /u/") == ["u/ d755 0:0", "u/a b f600 0:0 'B'"]
            assert set(times(bench.layer(f"ADD {url}/a%20b /u/")).values()) == {0}
        assert not bench.left()

    def test_its_name_may_be_in_a_header(self, make: Make) -> None:
        names = {"/x": 'attachment; filename="../../real.txt"', "/y": "attachment; filename=.."}
        with published({"/x": b"", "/y": b""}, {path: {"Content-Disposition": said} for path, said in names.items()}) as url:
            assert make().copy(f"ADD {url}/x /u/")[1] == "u/real.txt f600 0:0 ''"
            assert make().copy(f"ADD {url}/y /u/")[1] == "u/y f600 0:0 ''"

    def test_an_archive_is_unpacked_if_it_is_asked_for(self, make: Make) -> None:
        with published({"/a.tgz": gzip.compress(TREE)}) as url:
            assert len(make().copy(f"ADD {url}/a.tgz /u/")) == 2
            assert make().copy(f"ADD --unpack {url}/a.tgz /u/") == UNPACKED
            assert make().copy(f"ADD --unpack=true {url}/a.tgz /u") == UNPACKED

    def test_a_checksum_is_verified(self, make: Make) -> None:
        right = f"sha256:{hashlib.sha256(b'content').hexdigest()}"
        with published({"/f": b"content"}) as url:
            assert len(make().copy(f"ADD --checksum={right} {url}/f /u/")) == 2
            wrong = f"sha256:{'0' * 64}"
            assert make().fails(f"ADD --checksum={wrong} {url}/f /u/") == f"digest mismatch {right}: {wrong}"
            assert "invalid checksum digest: md5:1" in make().fails(f"ADD --checksum=md5:1 {url}/f /u/")
        assert "checksum can't be specified" in make([("f", b"", {})]).fails(f"ADD --checksum={right} f /u/")

    def test_redirects(self, make: Make) -> None:
        def to(location: str) -> Callable[[Any], None]:
            def answer(handler: Any) -> None:
                handler.send_response(302)
                handler.send_header("Location", location)
                handler.end_headers()

            return answer

        with published({"/a": to("/b/c?d"), "/b/c": b"content", "/loop": to("/loop"), "/file": to("file:///etc/passwd")}) as url:
            assert make().copy(f"ADD {url}/a /u/") == ["u/ d755 0:0", "u/a f600 0:0 'content'"]
            assert "redirects more than" in make().fails(f"ADD {url}/loop /u/")
            assert "no address of the web" in make().fails(f"ADD {url}/file /u/")

    def test_what_fails(self, make: Make) -> None:
        def cut(handler: Any) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            handler.wfile.write(b"short")

        bench = make()
        with published({"/cut": cut, "/": b"index"}) as url:
            assert bench.fails(f"ADD {url}/nope /u/") == f"ADD failed: failed to GET {url}/nope with status 404 Not Found"
            assert bench.fails(f"ADD {url}/cut /u/") == f"ADD failed: failed to GET {url}/cut: unexpected EOF"
            assert bench.fails(f"ADD {url}/ /u/") == f"cannot determine filename from url: {url}/"
            assert bench.copy(f"ADD {url}/ /u/f")[1] == "u/f f600 0:0 'index'"
        assert "failed to GET" in bench.fails(f"ADD {url}/gone /u/")
        assert not bench.left()

    def test_a_server_that_hangs_is_left_at_once(self, make: Make) -> None:
        waits, over = threading.Event(), threading.Event()

        def hang(handler: Any) -> None:
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(b"begun")
            handler.wfile.flush()
            waits.set()
            over.wait(30)

        def cancel() -> None:
            waits.wait(30)
            bench.cancellation.cancel()

        bench = make()
        began = time.monotonic()
        with published({"/hang": hang}) as url:
            canceller = threading.Thread(target=cancel)
            canceller.start()
            with pytest.raises(Cancelled):
                bench.layer(f"ADD {url}/hang /u/")
            over.set()
            canceller.join()
        assert time.monotonic() - began < 25  # and not the time that a server is given
        assert not bench.left()

    def test_its_digest_is_of_its_content_and_not_of_its_time(self, make: Make) -> None:
        dates = [{"/f": {"Last-Modified": f"Sun, 09 Sep 2001 01:46:4{number} GMT"}} for number in range(2)]
        found = set()
        for headers in dates:
            with published({"/f": b"content"}, headers) as url:
                found.add(make().digest(f"ADD {url}/f /u/"))
        with published({"/f": b"changed"}) as url:
            assert make().digest(f"ADD {url}/f /u/") not in found
        assert len(found) == 1


class TestRepositories:
    """Which git fetches."""

    def test_all_of_it_a_branch_a_tag_a_commit_a_folder(self, make: Make, tmp_path: Path) -> None:
        bench = make()
        pages = repository(tmp_path / "git", {"README": "R", "docs/a": "A"})
        refs = pages["/project.git/info/refs"]
        assert isinstance(refs, bytes)
        commit = {name: commit for commit, name in (line.split() for line in refs.decode().splitlines())}
        with published(pages) as url:
            source = f"{url}/project.git"
            assert bench.copy(f"ADD {source} /p/") == [
                "p/ d755 0:0",
                "p/README f644 0:0 'R'",
                "p/docs/ d755 0:0",
                "p/docs/a f644 0:0 'A'",
            ]
            assert set(times(bench.layer(f"ADD {source}#v1 /p")).values()) == {TIME}
            assert "p/next f644 0:0 'next'" in bench.copy(f"ADD {source}#next /p")
            assert bench.copy(f"ADD {source}#v1:docs /p") == ["p/ d755 0:0", "p/a f644 0:0 'A'"]
            assert len(bench.copy(f"ADD {source}#{commit['refs/heads/main']} /p")) == 4
            assert len(bench.copy(f"ADD {source}#{commit['refs/heads/next']}:docs /p")) == 2
            assert any(line.startswith("p/.git/") for line in bench.copy(f"ADD --keep-git-dir=true {source} /p"))
            assert "does not contain ref nope" in bench.fails(f"ADD {source}#nope /p")
            assert "has no folder nope" in bench.fails(f"ADD {source}#v1:nope /p")
            assert "git fetch failed" in bench.fails(f"ADD {url}/other.git /p")
            assert bench.digest(f"ADD {source}#v1 /p") == bench.digest(f"ADD {source}#main /p")
        assert not bench.left()

    @pytest.mark.parametrize(
        "text", ["https://h/x.git", "https://h/x.git#a:b", "git://h/x", "git@host:x/y.git", "ssh://h/x", "github.com/a/b"]
    )
    def test_what_is_one(self, text: str) -> None:
        assert git.is_repository(text)

    @pytest.mark.parametrize(
        "text", ["https://h/x.tar", "https://h/x.git/file", "file.git", "a@b", "ext::sh", "file:///x.git", "http://h/x?y.git"]
    )
    def test_what_is_none(self, text: str) -> None:
        assert not git.is_repository(text)

    @pytest.mark.parametrize("text", ["https://h/x.git#--upload-pack=x", "https://h/x y.git", "https://h/x.git#a\nb"])
    def test_nothing_is_taken_for_an_option(self, text: str) -> None:
        with pytest.raises(UsageError, match="invalid git URL"):
            git.parse(text)


def test_sources_of_several_kinds(make: Make) -> None:
    with published({"/f": b"web"}) as url:
        bench = make([("a.txt", b"A", {}), ("t.tar", dated(("in", b"I", {})), {})])
        assert bench.copy(f"ADD a.txt t.tar {url}/f /u/") == [
            *("u/ d755 0:0", "u/a.txt f644 0:0 'A'", "u/f f600 0:0 'web'", "u/in f644 0:0 'I'")
        ]
        out = io.BytesIO()
        with bench.plan(f"ADD a.txt {url}/f /u/") as plan:
            plan.write(out)
            assert plan.word.startswith("multi:")
            # What was downloaded is here until the plan is closed: nothing is asked for twice.
            again = io.BytesIO()
            plan.write(again)
        assert out.getvalue() == again.getvalue()
