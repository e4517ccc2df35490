"""COPY: which files, where to, whose, with which mode; what the layer says; and that it is the same each time.

What the tables expect was measured on Docker Engine 28 with BuildKit; `test_building_against_docker` asks an engine again.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dockerlab.engine.building import copying
from dockerlab.engine.rootfs.directory_view import DirectoryView
from dockerlab.engine.store.tar import Entry, Writer, entries
from dockerlab.errors import EngineError
from tests.embedded.archives import File
from tests.embedded.building import TIME, Bench, benches, dated, instruction, times

FILES: list[File] = [
    ("a.txt", b"A", {}),
    ("b.txt", b"B", {}),
    ("a.md", b"M", {}),
    (".hid", b"h", {}),
    ("[x]", b"br", {}),
    ("s p", b"sp", {}),
    ("ln", "a.txt", {}),
    ("lnd", "dir", {}),
    ("dir", None, {"mode": 0o700, "uid": 9}),
    ("dir/x.txt", b"X", {"uid": 5, "gid": 6}),
    ("dir/l", "x.txt", {}),
    ("dir/sub", None, {"mode": 0o711}),
    ("dir/sub/y", b"Y", {"mode": 0o4755}),
    ("dir/sub/z.md", b"Z", {}),
    ("hd", None, {}),
    ("hd/1", b"11", {}),
    ("hd/2", b"", {"type": tarfile.LNKTYPE, "linkname": "hd/1"}),
    ("p", None, {}),
    ("p/q", None, {"mode": 0o711}),
    ("p/q/g", b"g", {}),
    ("p/q/r", None, {}),
    ("p/q/r/f", b"f", {}),
    ("p/sl", "q", {}),
    ("over", None, {}),
    ("over/d", b"a file", {}),
    ("under", None, {}),
    ("under/f", None, {}),
    ("under/f/z", b"z", {}),
    ("links", None, {}),
    ("merge", None, {"mode": 0o700}),
    ("merge/dd", None, {"mode": 0o750}),
    ("merge/dd/new", b"N", {}),
    ("links/sf", "elsewhere", {}),
]
BASE = dated(
    ("etc", None, {}),
    ("etc/passwd", b"root:x:0:0::/:/bin/sh\njoe:x:70:71::/:/bin/sh\n", {}),
    ("etc/group", b"root:x:0:\njoe:x:71:joe\nstaff:x:50:\n", {}),
    ("d", None, {"mode": 0o711, "uid": 9, "gid": 9}),
    ("d/f", b"old", {}),
    ("d/dd", None, {}),
    ("file", b"file", {}),
    ("sl", "d", {}),
    ("abs", "/d", {}),
    ("dang", "/nowhere/there", {}),
    ("up", "../../d", {}),
    ("sf", "file", {}),
    ("loop", "loop", {}),
    ("own", b"own", {"uid": 7, "gid": 8, "mode": 0o4755}),
    ("owned", None, {"uid": 7, "gid": 8, "mode": 0o2750}),
    ("owned/z", b"z", {"uid": 7, "gid": 8}),
    ("h1", b"H", {}),
    ("h2", b"", {"type": tarfile.LNKTYPE, "linkname": "h1"}),
    ("fifo", b"", {"type": tarfile.FIFOTYPE}),
    ("null", b"", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),
)
CONTENTS = ["l l777 0:0 -> x.txt", "sub/ d711 0:0", "sub/y f4755 0:0 'Y'", "sub/z.md f644 0:0 'Z'", "x.txt f644 0:0 'X'"]


def below(folder: str, lines: list[str]) -> list[str]:
    return [f"{folder}/{line}" for line in lines]


Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with benches(tmp_path) as made:
        yield made


@pytest.fixture
def bench(make: Make) -> Bench:
    return make(FILES, BASE)


GOOD = {
    # a file
    "COPY a.txt /to/deep/f": ["to/ d755 0:0", "to/deep/ d755 0:0", "to/deep/f f644 0:0 'A'"],
    "COPY a.txt /to/": ["to/ d755 0:0", "to/a.txt f644 0:0 'A'"],
    "COPY a.txt /to": ["to f644 0:0 'A'"],
    "COPY /a.txt/ /to/": ["to/ d755 0:0", "to/a.txt f644 0:0 'A'"],
    'COPY ["s p", "/t/"]': ["t/ d755 0:0", "t/s p f644 0:0 'sp'"],
    "COPY a.txt b.txt .": ["a.txt f644 0:0 'A'", "b.txt f644 0:0 'B'"],
    "COPY a.txt b.txt /d": ["d/ d711 9:9", "d/a.txt f644 0:0 'A'", "d/b.txt f644 0:0 'B'"],
    # a directory
    "COPY dir /to": ["to/ d755 0:0", *below("to", CONTENTS)],
    "COPY ./dir/. /to/": ["to/ d755 0:0", *below("to", CONTENTS)],
    "COPY hd /t": ["t/ d755 0:0", "t/1 f644 0:0 '11'", "t/2 h644 0:0 -> t/1"],
    "COPY hd/1 hd/2 /t/": ["t/ d755 0:0", "t/1 f644 0:0 '11'", "t/2 f644 0:0 '11'"],
    "COPY hd a.txt /t": ["t/ d755 0:0", "t/1 f644 0:0 '11'", "t/2 h644 0:0 -> t/1", "t/a.txt f644 0:0 'A'"],
    "COPY hd links /t": ["t/ d755 0:0", "t/1 f644 0:0 '11'", "t/2 h644 0:0 -> t/1", "t/sf l777 0:0 -> elsewhere"],
    # links that are named
    "COPY ln /to/": ["to/ d755 0:0", "to/ln f644 0:0 'A'"],
    "COPY lnd /to": ["to/ d755 0:0", *below("to", CONTENTS)],
    "COPY p/sl/g /t/": ["t/ d755 0:0", "t/g f644 0:0 'g'"],
    # wildcards
    "COPY *.txt /t/": ["t/ d755 0:0", "t/a.txt f644 0:0 'A'", "t/b.txt f644 0:0 'B'"],
    "COPY */*.txt /t/": ["t/ d755 0:0", "t/x.txt f644 0:0 'X'"],
    "COPY **/*.txt /t/": ["t/ d755 0:0", "t/x.txt f644 0:0 'X'"],
    "COPY p/sl/* /t/": ["t/ d755 0:0", "t/f f644 0:0 'f'", "t/g f644 0:0 'g'"],
    "COPY p/*/g /t/": ["t/ d755 0:0", "t/g f644 0:0 'g'"],
    "COPY ?/sl/g /t/": [],
    "COPY [[]x] /t/": ["t/ d755 0:0", "t/[x] f644 0:0 'br'"],
    "COPY [^b].?d /t/": ["t/ d755 0:0", "t/a.md f644 0:0 'M'"],
    "COPY a.txt nope* /t/": ["t/ d755 0:0", "t/a.txt f644 0:0 'A'"],
    "COPY nope* /t/": [],
    "COPY p/* /t/": ["t/ d755 0:0", "t/g f644 0:0 'g'", "t/r/ d755 0:0", "t/r/f f644 0:0 'f'"],
    # where to
    "COPY a.txt /d": ["d/ d711 9:9", "d/a.txt f644 0:0 'A'"],
    "COPY a.txt /d/f": ["d/ d711 9:9", "d/f f644 0:0 'A'"],
    "COPY a.txt /sl/new": ["d/ d711 9:9", "d/new f644 0:0 'A'"],
    "COPY a.txt /sl": ["d/ d711 9:9", "d/a.txt f644 0:0 'A'"],
    "COPY a.txt /abs/new": ["d/ d711 9:9", "d/new f644 0:0 'A'"],
    "COPY a.txt /up/new": ["d/ d711 9:9", "d/new f644 0:0 'A'"],
    "COPY a.txt /dang/new": ["nowhere/ d755 0:0", "nowhere/there/ d755 0:0", "nowhere/there/new f644 0:0 'A'"],
    "COPY a.txt /dang": ["nowhere/ d755 0:0", "nowhere/there f644 0:0 'A'"],
    "COPY a.txt /sf": ["file f644 0:0 'A'"],
    # The target keeps what it has; directories in it do not.
    "COPY merge /d": ["d/ d711 9:9", "d/dd/ d750 0:0", "d/dd/new f644 0:0 'N'"],
    "COPY --chown=joe merge /d": ["d/ d711 9:9", "d/dd/ d750 70:71", "d/dd/new f644 70:71 'N'"],
    "COPY merge merge/dd /d/": ["d/ d711 9:9", "d/dd/ d750 0:0", "d/dd/new f644 0:0 'N'", "d/new f644 0:0 'N'"],
    "COPY links /": ["sf l777 0:0 -> elsewhere"],
    "COPY dir /sl": ["d/ d711 9:9", *below("d", CONTENTS)],
    "COPY --link a.txt /sl/new": ["sl/ d755 0:0", "sl/new f644 0:0 'A'"],
    # whose, and how
    "COPY --chown=7:8 hd /to/deep": [
        "to/ d755 7:8",
        "to/deep/ d755 7:8",
        "to/deep/1 f644 7:8 '11'",
        "to/deep/2 h644 7:8 -> to/deep/1",
    ],
    "COPY --chown=joe a.txt /n/": ["n/ d755 70:71", "n/a.txt f644 70:71 'A'"],
    "COPY --chown=joe:staff a.txt /n": ["n f644 70:50 'A'"],
    "COPY --chown=:staff a.txt /n": ["n f644 0:50 'A'"],
    "COPY --chown=99 a.txt /n": ["n f644 99:99 'A'"],
    "COPY --chown=99:staff a.txt /n": ["n f644 99:50 'A'"],
    "COPY --chown=joe a.txt /d/": ["d/ d711 9:9", "d/a.txt f644 70:71 'A'"],
    "COPY --chown=joe --link a.txt /d/": ["d/ d755 70:71", "d/a.txt f644 70:71 'A'"],
    "COPY --chmod=751 dir/sub /to": ["to/ d751 0:0", "to/y f751 0:0 'Y'", "to/z.md f751 0:0 'Z'"],
    "COPY --chmod=01777 a.txt /to/": ["to/ d755 0:0", "to/a.txt f1777 0:0 'A'"],
    "COPY --chmod=u+x,go-r dir/sub /to": ["to/ d755 0:0", "to/y f4711 0:0 'Y'", "to/z.md f700 0:0 'Z'"],
    # what is left out
    "COPY --exclude=sub dir /t": ["t/ d755 0:0", "t/l l777 0:0 -> x.txt", "t/x.txt f644 0:0 'X'"],
    "COPY --exclude=dir/sub dir /t": ["t/ d755 0:0", *below("t", CONTENTS)],
    "COPY --exclude=* --exclude=!x.txt dir /t": ["t/ d755 0:0", "t/x.txt f644 0:0 'X'"],
    "COPY --exclude=* --exclude=!sub/z.md dir /t": ["t/ d755 0:0", "t/sub/ d711 0:0", "t/sub/z.md f644 0:0 'Z'"],
    "COPY --exclude=**/*.md --exclude=l --exclude=#no dir /t": [
        *("t/ d755 0:0", "t/sub/ d711 0:0", "t/sub/y f4755 0:0 'Y'", "t/x.txt f644 0:0 'X'")
    ],
    "COPY --exclude=a.txt a.txt /t/": ["t/ d755 0:0", "t/a.txt f644 0:0 'A'"],
    # with their folders
    "COPY --parents p/q/r/f /t/": [
        "t/ d755 0:0",
        "t/p/ d755 0:0",
        "t/p/q/ d711 0:0",
        "t/p/q/r/ d755 0:0",
        "t/p/q/r/f f644 0:0 'f'",
    ],
    "COPY --parents p/./q/g /t/": ["t/ d755 0:0", "t/q/ d711 0:0", "t/q/g f644 0:0 'g'"],
    "COPY --parents ./*/./*/g /t/": ["t/ d755 0:0", "t/q/ d711 0:0", "t/q/g f644 0:0 'g'"],
    "COPY --parents **/*.md /t/": [
        *("t/ d755 0:0", "t/a.md f644 0:0 'M'", "t/dir/ d700 0:0", "t/dir/sub/ d711 0:0", "t/dir/sub/z.md f644 0:0 'Z'")
    ],
    "COPY --parents --exclude=**/r p /t": [
        *("t/ d755 0:0", "t/p/ d755 0:0", "t/p/q/ d711 0:0", "t/p/q/g f644 0:0 'g'", "t/p/sl l777 0:0 -> q")
    ],
    "COPY --parents nope* /t/": [],
    # heredocs
    "COPY <<EOF <<-G /here/\nhello\nEOF\n\ttab\nG": ["here/ d755 0:0", "here/EOF f644 0:0 'hello\\n'", "here/G f644 0:0 'tab\\n'"],
    "COPY --chmod=700 --chown=4:5 <<EOF /here\nhello\nEOF": ["here f700 4:5 'hello\\n'"],
}


@pytest.mark.parametrize("text", GOOD)
def test_what_a_layer_says(bench: Bench, text: str) -> None:
    assert bench.copy(text) == GOOD[text]


BAD = {
    "COPY nope /to/": "COPY failed: file not found in build context or excluded by .dockerignore: stat nope: file does not exist",
    "COPY nope/* /to/": "stat nope: file does not exist",
    "COPY p/nope/* /to/": "stat p/nope: file does not exist",
    "COPY a.txt/x /to/": "file does not exist",
    "COPY ../a.txt /to/": "COPY failed: forbidden path outside the build context: ../a.txt ()",
    "COPY dir/../../x /to/": "forbidden path outside the build context",
    "COPY a.txt b.txt /to": "When using COPY with more than one source file, the destination must be a directory and end with a /",
    "COPY *.txt /to": "When using COPY with more than one source file",
    "COPY a.txt b.txt /file": "When using COPY with more than one source file",
    "COPY [a- /to/": "syntax error in pattern",
    "COPY a.txt /file/z": "mkdir /file: not a directory",
    "COPY a.txt /file/": "mkdir /file: not a directory",
    "COPY dir /file": "cannot copy to non-directory: /file",
    "COPY under /d": "cannot copy to non-directory: /d/f",
    "COPY over /": "cannot replace to directory /d with file",
    "COPY a.txt /loop/a": "too many links",
    "COPY --chown=zoe a.txt /n": "unable to find user zoe: no matching entries in passwd file",
    "COPY --chown=joe:zoe a.txt /n": "unable to find group zoe: no matching entries in group file",
    "COPY --chown=99999999999 a.txt /n": "uids and gids must be in range",
    "COPY --chmod=foo a.txt /n": "invalid chmod parameter: 'foo'",
    "COPY --chmod=888 a.txt /n": "invalid chmod parameter: '888'. it should be octal string and between 0 and 07777",
    "COPY --parents nope/x /t/": "file does not exist",
    f"COPY a.txt /{'n' * 300}/x": "file name too long",
    f"COPY a.txt /{'d/' * 2100}": "file name too long",
    "COPY <<'..' /to/\nx\n..": "a heredoc's name is that of its file, and '..' cannot be one",
    "COPY <<'a/b' /to/\nx\na/b": "a heredoc's name is that of its file",
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_refused(bench: Bench, text: str) -> None:
    assert BAD[text] in bench.fails(text)
    assert not bench.left()


FROM = {
    "COPY --from=0 /own /own2": ["own2 f4755 7:8 'own'"],
    "COPY --from=0 /owned /q/owned": ["q/ d755 0:0", "q/owned/ d755 0:0", "q/owned/z f644 7:8 'z'"],
    "COPY --from=0 /fifo /null /q/": ["q/ d755 0:0", "q/fifo p644 0:0", "q/null c644 0:0"],
    "COPY --from=0 /abs /q": ["q/ d755 0:0", "q/dd/ d755 0:0", "q/f f644 0:0 'old'"],
    "COPY --from=0 --chown=3:4 /own /h1 /h2 /q/": [
        *("q/ d755 3:4", "q/h1 f644 3:4 'H'", "q/h2 f644 3:4 'H'", "q/own f4755 3:4 'own'")
    ],
}


@pytest.mark.parametrize("text", FROM)
def test_what_comes_from_a_stage_keeps_its_owner(bench: Bench, text: str, make: Make) -> None:
    bench_of_nothing = make()
    assert bench_of_nothing.copy(text, source=bench.root()) == FROM[text]


def test_all_of_a_stage_with_its_links_and_devices(bench: Bench, make: Make) -> None:
    found = make().copy("COPY --from=0 / /q/", source=bench.root())
    assert "q/h2 h644 0:0 -> q/h1" in found
    assert "q/owned/ d2750 7:8" in found
    assert "q/null c644 0:0" in found
    assert "q/up l777 0:0 -> ../../d" in found


def test_a_target_is_relative_to_the_working_directory(bench: Bench) -> None:
    assert bench.copy("COPY a.txt rel/x", workdir="/d/dd") == [
        "d/ d711 9:9",
        "d/dd/ d755 0:0",
        "d/dd/rel/ d755 0:0",
        "d/dd/rel/x f644 0:0 'A'",
    ]
    assert bench.copy("COPY a.txt ..", workdir="/d/dd") == ["d/ d711 9:9", "d/a.txt f644 0:0 'A'"]


class TestSameBytes:
    """A layer is a function of what is copied."""

    def test_the_same_files_in_another_order_make_the_same_layer(self, make: Make) -> None:
        files: list[File] = [("s/b", b"B", {}), ("s/a", b"A", {}), ("s/c/d", b"D", {})]
        one, other = make(files), make(files[::-1])
        assert one.layer("COPY s /x/") == other.layer("COPY s /x/")
        assert one.digest("COPY s /x/") == other.digest("COPY s /x/")

    def test_directories_are_as_old_as_the_newest_in_them(self, make: Make) -> None:
        bench = make([("s/b", b"B", {"mtime": TIME + 5}), ("s/a", b"A", {}), ("one", b"", {})])
        assert set(times(bench.layer("COPY s /x/y")).items()) >= {("x", TIME + 5), ("x/y", TIME + 5), ("x/y/a", TIME)}
        assert set(times(bench.layer("COPY one /x/y/one")).values()) == {TIME}

    def test_nothing_is_younger_than_the_epoch(self, bench: Bench) -> None:
        found = times(bench.layer("COPY dir /x/y", epoch=7))
        assert set(found.values()) == {7}
        assert len(found) == 7

    def test_a_heredoc_has_no_time_of_its_own(self, bench: Bench) -> None:
        assert set(times(bench.layer("COPY <<EOF /a/b\nx\nEOF")).values()) == {0}


class TestDigest:
    """What the cache goes by."""

    @pytest.mark.parametrize(
        "change",
        [
            {"content": b"Y"},
            {"mode": 0o600},
            {"type": tarfile.SYMTYPE, "linkname": "x"},
        ],
    )
    def test_it_changes_with_a_file(self, make: Make, change: dict[str, object]) -> None:
        fields = {name: value for name, value in change.items() if name != "content"}
        content = change.get("content", b"X")
        assert isinstance(content, bytes)
        before = make([("s/f", b"X", {})]).digest("COPY s /")
        content = b"" if "type" in fields else content
        assert make([("s/f", content, fields)]).digest("COPY s /") != before
        assert make([("s/g", b"X", {})]).digest("COPY s /") != before

    def test_it_does_not_change_with_times_and_owners_of_the_sender(self, make: Make) -> None:
        before = make([("s/f", b"X", {})]).digest("COPY s /")
        assert make([("s/f", b"X", {"mtime": 5, "uid": 1000, "gid": 1000})]).digest("COPY s /") == before
        assert make([("s/f", b"X", {}), ("other", b"", {})]).digest("COPY s /") == before

    def test_it_changes_with_the_owner_of_what_a_stage_has(self, make: Make) -> None:
        bench = make()
        views = [
            bench.archive(dated(("f", b"X", {"uid": uid})))
            for uid in (0, 5)
        ]  # fmt: skip
        assert len({bench.digest("COPY --from=0 f /", view) for view in views}) == 2

    def test_the_destination_is_not_looked_at(self, bench: Bench) -> None:
        class Untouchable:
            def __getattr__(self, name: str) -> object:
                raise AssertionError(name)

        with copying.plan(instruction("COPY --chown=joe dir /to"), bench.context(), Untouchable(), "/") as plan:  # type: ignore[arg-type]
            assert len(plan.digest) == 64

    def test_words_of_the_history(self, bench: Bench) -> None:
        words = {}
        for text in ("COPY a.txt /", "COPY dir /", "COPY *.txt /", "COPY a.t* /"):
            with bench.plan(text) as plan:
                words[text] = plan.word.partition(":")[0]
        assert words == {"COPY a.txt /": "file", "COPY dir /": "dir", "COPY *.txt /": "multi", "COPY a.t* /": "file"}


class TestHoles:
    """A sparse file of a terabyte costs what it holds."""

    def test_of_a_context(self, make: Make) -> None:
        bench = make()
        sparse = io.BytesIO()
        writer = Writer(sparse)
        writer.add(Entry("big", size=1 << 40, sparse=((1 << 30, 3),)), io.BytesIO(b"abc"))
        writer.close()
        context = bench.archive(sparse.getvalue())
        with context.open("big") as file:
            file.seek((1 << 30) - 2)
            assert file.read(2) + file.read(10) == b"\0\0abc"
        data = bench.layer("COPY --from=0 big /x/", source=context)
        assert len(data) < 20_000
        found = {entry.path: (entry.size, entry.sparse) for entry, _ in entries(io.BytesIO(data))}
        assert found["x/big"] == (1 << 40, ((1 << 30, 3),))

    def test_of_a_directory(self, make: Make, tmp_path: Path) -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        with (folder / "big").open("wb") as file:
            file.truncate(1 << 30)
        view = DirectoryView(folder)
        assert len(make().layer("COPY --from=0 big /x/", source=view)) < 20_000
        view.close()


def test_attributes_are_kept(make: Make) -> None:
    capability = "\x01\x00\x00\x02\x00\x20\x00\x00"
    fields = {"pax_headers": {"SCHILY.xattr.security.capability": capability, "SCHILY.xattr.trusted.overlay.opaque": "y"}}
    bench = make([("ping", b"x", fields)])
    with tarfile.open(fileobj=io.BytesIO(bench.layer("COPY ping /bin/"))) as tar:
        assert tar.getmember("bin/ping").pax_headers == {"SCHILY.xattr.security.capability": capability}


def test_a_name_that_is_a_whiteout_in_a_layer_is_refused(make: Make) -> None:
    bench = make([("s/.wh.passwd", b"", {}), ("s/.wh..wh..opq", b"", {})])
    with pytest.raises(EngineError, match="cannot be in an image"):
        bench.copy("COPY s /etc/")


class TestUnpack:
    """Files for `RUN --mount=type=bind`."""

    def test_a_directory(self, bench: Bench, tmp_path: Path) -> None:
        place = tmp_path / "place"
        copying.unpack(bench.context(), "", place)
        assert (place / "dir" / "sub" / "y").read_bytes() == b"Y"
        assert (place / "dir" / "sub" / "y").stat().st_mode & 0o7777 == 0o4755
        assert (place / "hd" / "1").samefile(place / "hd" / "2")
        assert (place / "lnd").readlink() == Path("dir")
        assert (place / "a.txt").stat().st_mtime == TIME

    def test_a_file(self, bench: Bench, tmp_path: Path) -> None:
        copying.unpack(bench.context(), "dir/x.txt", tmp_path / "place")
        assert (tmp_path / "place").read_bytes() == b"X"

    def test_nothing_is_written_through_a_link(self, make: Make, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        bench = make([("s", str(outside), {}), ("s/evil", b"E", {}), ("t", "../../../../../../tmp", {})])
        copying.unpack(bench.context(), "", tmp_path / "place")
        assert not [*outside.iterdir()]
        assert (tmp_path / "place" / "s").is_symlink()

    def test_its_digest_is_that_of_its_files(self, bench: Bench) -> None:
        context = bench.context()
        assert copying.digest(context, "dir") != copying.digest(context, "p")
        assert copying.digest(context, "lnd") != copying.digest(context, "dir")
        assert copying.digest(context, "dir") == copying.digest(bench.context(), "dir")


def test_many_files_in_one_layer(make: Make) -> None:
    files: list[File] = [(f"s/{number % 20}/{number}", b"%d" % number, {}) for number in range(2000)]
    found = make(files).copy("COPY s /x")
    assert len(found) == 2000 + 20 + 1
    assert found == sorted(found, key=lambda line: line.split(" ")[0].rstrip("/"))
