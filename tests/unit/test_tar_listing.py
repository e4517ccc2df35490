"""Listings of tar archives, on the disk and as they pass by, say what the reader reads, whatever the bytes; and fingerprints."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockerlab.errors import EngineError
from dockerlab.wire.tar import EMPTY, Entry, Fingerprint, Flow, Window, entries, fingerprint, listing, passing
from tests.unit.tars import ENTRIES, LONG, info, made, with_checksum, written


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
            archive[block : block + 512] = with_checksum(bytes(archive[block : block + 512]))
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
