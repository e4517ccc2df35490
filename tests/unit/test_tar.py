"""Tar archives: what GNU tar and Python write is read, what we write they read, and no byte is trusted."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockerlab.errors import EngineError
from dockerlab.wire.tar import Entry, clean, entries
from tests.unit.tars import ENTRIES, LONG, Trickle, info, made, with_checksum, written

gnu_tar = pytest.mark.skipif(shutil.which("tar") is None, reason="needs GNU tar")


def read(data: bytes) -> list[tuple[Entry, bytes]]:
    return [(entry, content.read()) for entry, content in entries(io.BytesIO(data))]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.path[:10] or "root")
def test_what_is_written_is_read_back(entry: Entry) -> None:
    size = entry.size if entry.sparse is None else sum(length for _, length in entry.sparse)
    assert read(written((entry, b"x" * size))) == [(entry, b"x" * size)]


def test_all_entries_in_one_archive_from_a_stream_that_trickles() -> None:
    data = written(*((entry, b"abcdef") for entry in ENTRIES))
    assert [entry for entry, _ in entries(Trickle(data))] == ENTRIES


def test_the_same_bytes_twice_and_a_whole_record() -> None:
    items = [(entry, b"abcdef") for entry in ENTRIES]
    assert written(*items) == written(*items)
    assert len(written(*items)) % 10240 == 0


def test_python_reads_what_we_write() -> None:
    with tarfile.open(fileobj=io.BytesIO(written(*((entry, b"abcdef") for entry in ENTRIES)))) as tar:
        found = {member.name: member for member in tar}
        holes = tar.extractfile("holes")
        assert holes is not None
        content = holes.read()
    assert found["dir"].mtime == pytest.approx(1_500_000_000.123456789)
    assert (found["dir/ü"].uid, found["dir/ü"].gid) == (3_000_000, 4_000_000)
    assert found[LONG].linkname == "../" * 60 + "etc/passwd"
    assert found["hard"].islnk()
    assert (found["disk"].devmajor, found["disk"].devminor) == (259, 70000)
    assert len(content) == 1 << 20
    assert content[4096:4098] == b"ab"
    assert content[1 << 19 : (1 << 19) + 4] == b"cdef"
    assert content.count(0) == (1 << 20) - 6


@gnu_tar
def test_gnu_tar_unpacks_what_we_write(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(
        written(*((e, b"abcdef") for e in ENTRIES if e.kind not in ("char", "block") and e.size < 1 << 30))
    )
    subprocess.run(["tar", "xf", "a.tar", "--no-same-owner"], cwd=tmp_path, check=True)
    assert (tmp_path / "a").read_bytes() == b"abc"
    assert (tmp_path / "holes").read_bytes()[4096:4098] == b"ab"
    assert (tmp_path / "hard").samefile(tmp_path / "a")


@gnu_tar
@pytest.mark.parametrize(
    "options",
    [
        ["--format=gnu", "-S"],
        ["--format=posix", "-S"],
        ["--format=posix", "-S", "--sparse-version=0.0"],
        ["--format=posix", "-S", "--sparse-version=0.1"],
        ["--format=ustar"],
    ],
    ids=" ".join,
)
def test_what_gnu_tar_writes_is_read(tmp_path: Path, options: list[str]) -> None:
    tree = tmp_path / "tree"
    (tree / ("d" * 80)).mkdir(parents=True)
    (tree / ("d" * 80) / ("e" * 60)).write_bytes(b"long")
    with (tree / "sparse").open("wb") as file:
        for position in range(12):
            file.seek(position << 20)
            file.write(b"data")
        file.truncate(20 << 20)
    os.link(tree / "sparse", tree / "zz")
    os.mkfifo(tree / "pipe")
    done = subprocess.run(["tar", "cf", "-", *options, "--sort=name", "."], cwd=tree, check=True, stdout=subprocess.PIPE)
    found = {entry.path: (entry, content) for entry, content in read(done.stdout)}
    assert set(found) == {"", "d" * 80, "d" * 80 + "/" + "e" * 60, "pipe", "sparse", "zz"}
    assert found["d" * 80 + "/" + "e" * 60][1] == b"long"
    entry, content = found["sparse"]
    assert entry.size == 20 << 20
    if entry.sparse is None:
        assert len(content) == 20 << 20
    else:
        assert b"".join(_filled(entry, content)) == (tree / "sparse").read_bytes()
    assert (found["zz"][0].kind, found["zz"][0].target) == ("link", "sparse")


def _filled(entry: Entry, content: bytes) -> Iterator[bytes]:
    end = at = 0
    for offset, length in entry.sparse or ():
        yield bytes(offset - end)
        yield content[at : at + length]
        end, at = offset + length, at + length
    yield bytes(entry.size - end)


@pytest.mark.parametrize(
    ("name", "path"),
    [("a/b", "a/b"), ("/a//./b/", "a/b"), ("./", ""), ("", ""), ("a/../b", "b"), ("...", "...")],
)
def test_a_name_becomes_a_path_below_the_root(name: str, path: str) -> None:
    assert clean(name) == path


@pytest.mark.parametrize("name", ["..", "../a", "a/../../b", "/..", "a\0b"])
def test_a_name_that_climbs_out_is_refused(name: str) -> None:
    with pytest.raises(EngineError, match="not safe"):
        clean(name)


@pytest.mark.parametrize(
    "archive",
    [
        made(info("../../etc/passwd")),
        made(info("a/../../b", size=5)),
        made(info("a", type=tarfile.LNKTYPE, linkname="../../etc/passwd")),
        made(info("b", pax_headers={"path": "../evil"})),
    ],
    ids=["name", "inside", "hard link", "PAX"],
)
def test_an_archive_that_climbs_out_is_refused(archive: bytes) -> None:
    with pytest.raises(EngineError, match="not safe"):
        read(archive)


@pytest.mark.parametrize("name", [".wh..", ".wh...", ".wh.", "a/.wh...", "a/.wh.."])
def test_a_whiteout_that_climbs_is_refused(name: str) -> None:
    with pytest.raises(EngineError, match="not safe"):
        Entry(name).whiteout  # noqa: B018


def test_whiteouts_say_what_is_gone() -> None:
    assert Entry("a/.wh.b").whiteout == "a/b"
    assert Entry(".wh.b").whiteout == "b"
    assert Entry("a/b").whiteout is None
    assert Entry("a/.wh..wh..opq").whiteout is None
    assert Entry("a/.wh..wh..opq").opaque
    assert Entry("a/.wh..wh.plnk").is_aufs


@pytest.mark.parametrize("size", [1, 511, 512, 700, 1100])
def test_an_archive_that_is_cut_off(size: int) -> None:
    data = written((Entry("a", size=600), b"x" * 600))[:size]
    for stream in (io.BytesIO(data), Trickle(data)):
        if size == 512:
            data = data[:512]
        with pytest.raises(EngineError, match="unexpected EOF"):
            list(entries(stream))


def test_the_last_padding_may_be_missing() -> None:
    data = written((Entry("a", size=600), b"x" * 600))[:1112]
    for stream in (io.BytesIO(data), Trickle(data)):
        assert [entry.path for entry, _ in entries(stream)] == ["a"]


def test_an_empty_archive_and_one_without_its_end() -> None:
    assert read(b"") == []
    assert read(written()) == []
    assert [entry.path for entry, _ in read(written((Entry("a"), b""))[:512])] == ["a"]


@pytest.mark.parametrize(
    "archive",
    [
        b"garbage" * 100,
        with_checksum(written((Entry("a"), b""))[:156] + b"x" + written((Entry("a"), b""))[157:512]).replace(
            b"00000000000\0", b"77777777777\0", 1
        ),
        with_checksum(made(info("a"))[:124] + b"77777777777\0" + made(info("a"))[136:156] + b"x" + made(info("a"))[157:512]),
        with_checksum(made(info("a"))[:124] + b"\xff" * 12 + made(info("a"))[136:512]),
    ],
    ids=["garbage", "checksum", "a header of 8 GB", "a negative size"],
)
def test_a_header_that_lies(archive: bytes) -> None:
    with pytest.raises(EngineError, match="invalid tar header"):
        read(archive)


@pytest.mark.parametrize(
    "records",
    [
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "10"},
        {"GNU.sparse.map": "0,5,3,5", "GNU.sparse.size": "100"},
        {"GNU.sparse.map": "0,5", "GNU.sparse.size": "3"},
        {"GNU.sparse.map": "0,5,9", "GNU.sparse.size": "100"},
        {"GNU.sparse.map": "a,5", "GNU.sparse.size": "100"},
        {"size": "-5"},
        {"uid": "99999999999999999999"},
    ],
)
def test_extended_headers_that_lie(records: dict[str, str]) -> None:
    with pytest.raises(EngineError, match=r"invalid tar header|unexpected EOF"):
        read(made(info("a", size=10, pax_headers=records)))


def test_a_file_that_shrinks_while_it_is_written() -> None:
    with pytest.raises(EngineError, match="became shorter"):
        written((Entry("a", size=5), b"abc"))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_byte_makes_it_fail_in_another_way(data: st.DataObject) -> None:
    archive = bytearray(written(*((entry, b"abcdef") for entry in ENTRIES)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(archive) - 1))
        archive[at] = data.draw(st.integers(0, 255))
        block = at // 512 * 512
        if data.draw(st.booleans()):
            archive[block : block + 512] = with_checksum(bytes(archive[block : block + 512]))
    try:
        for entry, content in entries(io.BytesIO(bytes(archive))):
            assert not entry.path.startswith("/")
            assert ".." not in entry.path.split("/")
            content.read(1000)
    except EngineError:
        return


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=120),
            st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]),
            st.integers(0, 0o7777),
            st.integers(0, 3_000_000),
            st.integers(0, 1500),
            st.integers(0, 1 << 33),
        ),
        max_size=6,
    ),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
)
def test_python_and_we_read_the_same(items: list[tuple[str, bytes, int, int, int, int]], format: int) -> None:
    kinds = {
        tarfile.REGTYPE: "file",
        tarfile.DIRTYPE: "directory",
        tarfile.SYMTYPE: "symlink",
        tarfile.FIFOTYPE: "fifo",
        tarfile.CHRTYPE: "char",
    }
    infos = [
        info(f"d/{name}", type=kind, mode=mode, uid=uid, mtime=mtime, linkname="x" * (size % 150 + 1))
        for name, kind, mode, uid, size, mtime in items
    ]
    for found, item in zip(infos, items, strict=True):
        found.size = item[4] if item[1] == tarfile.REGTYPE else 0
    archive = made(*infos, format=format)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        theirs = [(clean(m.name), kinds[m.type], m.mode, m.uid, m.size, m.mtime, m.linkname if m.issym() else "") for m in tar]
    ours = [(e.path, e.kind, e.mode, e.uid, e.size, e.mtime // 10**9, e.target) for e, _ in entries(Trickle(archive))]
    assert ours == [(*row[:5], int(row[5]), row[6]) for row in theirs]
