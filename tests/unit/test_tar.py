"""Tar archives: what GNU tar and Python write is read, what we write they read, and no byte is trusted."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockerlab.errors import EngineError
from dockerlab.wire.tar import EMPTY, Entry, Fingerprint, Flow, Window, Writer, clean, entries, fingerprint, listing, passing

gnu_tar = pytest.mark.skipif(shutil.which("tar") is None, reason="needs GNU tar")


class Trickle(io.RawIOBase):
    """A stream that cannot seek and gives at most a few bytes at a time, as a socket does."""

    def __init__(self, data: bytes, step: int = 100) -> None:
        self._data, self._step, self._at = data, step, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        chunk = self._data[self._at : self._at + min(self._step, len(view))]
        view[: len(chunk)] = chunk
        self._at += len(chunk)
        return len(chunk)


def written(*items: tuple[Entry, bytes]) -> bytes:
    out = io.BytesIO()
    writer = Writer(out)
    for entry, data in items:
        writer.add(entry, io.BytesIO(data))
    writer.close()
    return out.getvalue()


def read(data: bytes) -> list[tuple[Entry, bytes]]:
    return [(entry, content.read()) for entry, content in entries(io.BytesIO(data))]


def made(*infos: tarfile.TarInfo, format: int = tarfile.PAX_FORMAT) -> bytes:
    """An archive as Python writes it, with names as they are."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for info in infos:
            tar.addfile(info, io.BytesIO(b"x" * info.size))
    return out.getvalue()


def info(name: str, **fields: object) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(found, key, value)
    return found


LONG = "d" * 90 + "/" + "e" * 90 + "/" + "f" * 90
ENTRIES = [
    Entry("a", size=3, mtime=10**9),
    Entry("dir", "directory", 0o755, 33, 33, mtime=1_500_000_000_123_456_789),
    Entry("dir/ü", size=0, uid=3_000_000, gid=4_000_000, xattrs={"user.note": b"\0\n=x", "security.capability": b"\1"}),
    Entry(LONG, "symlink", 0o777, target="../" * 60 + "etc/passwd"),
    Entry("hard", "link", target="a"),
    Entry("null", "char", 0o666, device=(1, 3)),
    Entry("disk", "block", 0o660, device=(259, 70000)),
    Entry("pipe", "fifo", 0o600, mtime=-1_500_000_000),
    Entry("caf\udce9", size=1),
    Entry("", "directory", 0o1777),
    Entry("holes", size=1 << 20, sparse=((4096, 2), (1 << 19, 4))),
    Entry("only-a-hole", size=1 << 34, sparse=()),
]


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


def _with_checksum(block: bytes) -> bytes:
    blank = block[:148] + b"        " + block[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


@pytest.mark.parametrize(
    "archive",
    [
        b"garbage" * 100,
        _with_checksum(written((Entry("a"), b""))[:156] + b"x" + written((Entry("a"), b""))[157:512]).replace(
            b"00000000000\0", b"77777777777\0", 1
        ),
        _with_checksum(made(info("a"))[:124] + b"77777777777\0" + made(info("a"))[136:156] + b"x" + made(info("a"))[157:512]),
        _with_checksum(made(info("a"))[:124] + b"\xff" * 12 + made(info("a"))[136:512]),
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
            archive[block : block + 512] = _with_checksum(bytes(archive[block : block + 512]))
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


def listed(data: bytes) -> list[tuple[object, ...]] | str:
    """What a listing says, or how it refuses."""
    try:
        return [fields for fields, _, _ in listing(Window(io.BytesIO(data), 0, len(data)))]
    except EngineError as error:
        return error.message


def read_through(data: bytes) -> list[tuple[object, ...]] | str:
    try:
        return [(e.path, e.kind, e.size, e.mode, e.uid, e.gid, e.target) for e, _ in entries(io.BytesIO(data))]
    except EngineError as error:
        return error.message


def passed(data: bytes, step: int) -> list[tuple[object, ...]] | str:
    """The same of a tar that comes by in chunks, with the fingerprint of each file."""
    try:
        return [(*fields, content) for fields, content in passing(Flow(data[at : at + step] for at in range(0, len(data), step)))]
    except EngineError as error:
        return error.message


def fingerprinted_through(data: bytes) -> list[tuple[object, ...]] | str:
    found: list[tuple[object, ...]] = []
    try:
        for e, content in entries(io.BytesIO(data)):
            print_ = fingerprint(content.read()) if e.kind == "file" else None
            found.append((e.path, e.kind, e.size, e.mode, e.uid, e.gid, e.target, print_))
    except EngineError as error:
        return error.message
    return found


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_listing_is_what_the_reader_reads_whatever_the_bytes(data: st.DataObject) -> None:
    archive = bytearray(written(*((entry, b"abcdef") for entry in ENTRIES)))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(archive) - 1))
        if 136 <= at % 512 < 148:
            continue  # a time, which a listing does not look at
        archive[at] = data.draw(st.integers(0, 255))
        block = at // 512 * 512
        if data.draw(st.booleans()):
            archive[block : block + 512] = _with_checksum(bytes(archive[block : block + 512]))
    whole = bytes(archive[: data.draw(st.integers(0, len(archive)))])
    assert listed(whole) == read_through(whole)
    step = data.draw(st.sampled_from((1, 100, 512, 700, 1 << 18)))
    assert passed(whole, step) == fingerprinted_through(whole)


def test_a_flow_is_read_no_further_than_its_archive() -> None:
    data = written((Entry("a", size=700), b"x" * 700), (Entry(LONG, size=4), b"long"))
    flow = Flow([data + b"after"])
    assert len([*passing(flow)]) == 2
    assert flow.read(10_000).endswith(bytes(512) + b"after"), "the second of the blocks that end it, and what follows"
    short = data[: 512 + 700]  # `docker build -f - folder` leaves out what fills the last block
    assert [fields[0] for fields, _ in passing(Flow([short[:600], b"", short[600:]]))] == ["a"]
    with pytest.raises(EngineError, match="unexpected EOF"):
        [*passing(Flow([data[: 512 + 699]]))]


def test_a_listing_says_where_the_bytes_lie() -> None:
    data = b"before" + written((Entry("a", size=3), b"abc"), (Entry(LONG, size=4), b"long"), (Entry("b", size=700), b"x" * 700))
    window = Window(io.BytesIO(data), 6, len(data) - 6)
    found = [(fields[0], data[6 + start : 6 + start + stored]) for fields, start, stored in listing(window)]
    assert found == [("a", b"abc"), (LONG, b"long"), ("b", b"x" * 700)]


def test_what_is_ordinary_is_read_alike_from_a_file_on_the_disk(tmp_path: Path) -> None:
    """Links, names of two fields, directories with a slash, GNU's numbers: without the slower reader, and by its own way to read."""
    infos = [
        info("d", type=tarfile.DIRTYPE, mode=0o755),
        info("d/link", type=tarfile.SYMTYPE, linkname="../../etc/passwd"),
        info("d/hard", type=tarfile.LNKTYPE, linkname="./d//file"),
        info("x" * 90 + "/" + "y" * 90, size=700, uid=3_000_000),
        info("./d/../d/file", size=3),
        info("as-a-file/", size=0),
    ]
    for format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        infos[3].uid = 1000 if format == tarfile.USTAR_FORMAT else 3_000_000
        data = made(*infos, format=format)
        path = tmp_path / "a.tar"
        path.write_bytes(data)
        with path.open("rb") as file:
            listed_ = [*listing(Window(file, 0, len(data)))]
            end = next(start + stored for _, start, stored in listed_ if stored == 700)
            with pytest.raises(EngineError, match="unexpected EOF"):
                [*listing(Window(file, 0, end - 1))]
        found = [fields for fields, _, _ in listed_]
        assert found == read_through(data)
        assert ("d/link", "symlink", 0, 0o644, 0, 0, "../../etc/passwd") in found
        assert ("d/hard", "link", 0, 0o644, 0, 0, "d/file") in found
        assert found[-1][:2] == ("as-a-file", "directory")


@settings(max_examples=100, deadline=None)
@given(st.sampled_from((0, 1, 512, 65_535, 65_536, 65_537, 131_072, 200_001)), st.lists(st.integers(1, 100_000), min_size=1))
def test_a_fingerprint_is_of_the_bytes_whatever_the_pieces(size: int, steps: list[int]) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    found = Fingerprint()
    at = 0
    while at < size:
        step = steps[at % len(steps)]
        found.update(data[at : min(at + step, size)])
        at += step
    assert found.value() == fingerprint(data)
    assert (found.value() == EMPTY) == (not data)
    assert not data or fingerprint(data[:-1] + bytes([data[-1] ^ 1])) != fingerprint(data)
