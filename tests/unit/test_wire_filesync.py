"""File sync's packets: as the codec makes them, as Go reads their modes."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerlab.wire.filesync import (
    DATA,
    ERR,
    FINISHED,
    REQ,
    STAT,
    STATS_END,
    Packet,
    Stat,
    data_packet,
    go_mode,
    packet,
    stat_packet,
)
from dockerlab.wire.protobuf import MOST_FIELDS, MalformedError, decode, encode, varint

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFBLK: "device",
    stat.S_IFCHR: "device",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
MODES = st.tuples(st.sampled_from(sorted(KINDS)), st.integers(0, 0o7777)).map(sum)
TIMES = st.integers(-(1 << 63), (1 << 63) - 1)


@given(path=st.binary(max_size=200), mode=MODES, size=st.integers(0, 1 << 62), mod_time=TIMES, linkname=st.binary(max_size=200))
def test_a_stat_is_encoded_as_the_codec_does(path: bytes, mode: int, size: int, mod_time: int, linkname: bytes) -> None:
    made = stat_packet(path, go_mode(mode), size, mod_time, linkname)
    told = Stat(os.fsdecode(path), go_mode(mode), 0, 0, size, mod_time, os.fsdecode(linkname))
    assert made == encode(Packet(STAT, told))
    assert packet(made) == Packet(STAT, told)


@given(number=st.integers(0, 1 << 32), data=st.binary(max_size=300))
def test_data_is_encoded_as_the_codec_does(number: int, data: bytes) -> None:
    assert data_packet(number, data) == encode(Packet(DATA, None, number, data))
    assert packet(data_packet(number)) == Packet(DATA, None, number)


def _number(value: int, longer: int) -> bytes:
    """A varint, with needless bytes."""
    made = varint(value)
    return made[:-1] + bytes((made[-1] | 128,)) + b"\x80" * (longer - 1) + b"\0" if longer else made


NUMBERS = st.builds(_number, st.one_of(st.integers(0, 300), st.integers(0, (1 << 64) - 1)), st.sampled_from((0, 0, 0, 1, 2)))
TEXTS = st.binary(max_size=9).map(lambda text: varint(len(text)) + text)
FIELDS = st.one_of(
    st.tuples(st.sampled_from((b"\x10", b"\x18", b"\x20", b"\x28", b"\x30", b"\x40", b"\x48", b"\x58", b"\x08")), NUMBERS).map(
        b"".join
    ),
    st.tuples(st.sampled_from((b"\x0a", b"\x3a", b"\x52", b"\x62", b"\x8a\0")), TEXTS).map(b"".join),
)
STATS = st.lists(FIELDS, max_size=6).map(b"".join)
PACKETS = st.one_of(
    st.tuples(
        STATS.map(lambda made: b"\x12" + varint(len(made)) + made), st.sampled_from((b"", b"", b"\x18\x01", b"\x08\x02"))
    ).map(b"".join),
    st.tuples(
        st.sampled_from((b"\x08\x01\x18", b"\x08\x02\x18")), NUMBERS, st.one_of(st.just(b""), TEXTS.map(b"\x22".__add__))
    ).map(b"".join),
    st.binary(max_size=40),
)


def _read(reader: Callable[[bytes], Packet], data: bytes) -> Packet | str:
    try:
        return reader(data)
    except MalformedError as error:
        return error.message


@given(made=PACKETS, cut=st.integers(0, 60), changed=st.integers(0, 60), byte=st.integers(0, 255), kind=st.integers(0, 2))
def test_a_packet_is_read_as_the_codec_does(made: bytes, cut: int, changed: int, byte: int, kind: int) -> None:
    """Whole, cut off, and with a byte that is another; the same error, too."""
    data = (made, made[:cut], made[:changed] + bytes((byte,)) + made[changed + 1 :])[kind]
    assert _read(packet, data) == _read(partial(decode, Packet), data)


def test_a_stat_of_too_many_fields_is_refused() -> None:
    stat = b"\x10\x01" * (MOST_FIELDS + 1)
    with pytest.raises(MalformedError, match="too many fields"):
        packet(b"\x12" + varint(len(stat)) + stat)


def test_the_bytes_of_the_other_packets() -> None:
    """As Docker Engine 28 sends them."""
    assert packet(bytes.fromhex("0801")) == Packet(REQ)
    assert packet(bytes.fromhex("0801 1805")) == Packet(REQ, None, 5)
    assert packet(b"\x08\x04\x22\x05oh no") == Packet(ERR, None, 0, b"oh no")
    assert (STATS_END, FINISHED) == (b"", b"\x08\x03")
    with pytest.raises(MalformedError):
        packet(b"\x12\x03\x0a\x09")


@pytest.mark.parametrize(
    ("unix", "go"),
    [
        (0o100644, 0o644),
        (0o040755, 0x800001ED),
        (0o120777, 0x080001FF),
        (0o104755, 0x008001ED),
        (0o102755, 0x004001ED),
        (0o041777, 0x801001FF),
        (0o010600, 0x02000180),
        (0o140755, 0x010001ED),
        (0o060660, 0x040001B0),
        (0o020620, 0x04200190),
        (0o000644, 0x000801A4),  # of no kind that is known: irregular
    ],
)
def test_modes_as_go_has_them(unix: int, go: int) -> None:
    """https://pkg.go.dev/io/fs#FileMode"""
    assert go_mode(unix) == go


@given(MODES)
def test_kind_and_permissions_of_a_mode(mode: int) -> None:
    told = Stat("x", go_mode(mode))
    assert (told.kind, told.permissions) == (KINDS[stat.S_IFMT(mode)], stat.S_IMODE(mode))


def test_what_is_on_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    (tmp_path / "file").touch(0o640)
    (tmp_path / "directory").mkdir(0o750)
    (tmp_path / "symlink").symlink_to("nowhere")
    names = ["file", "directory", "symlink"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo", 0o600)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("socket")
        names += ["fifo", "socket"]
    for name in names:
        mode = (tmp_path / name).lstat().st_mode
        told = Stat(name, go_mode(mode))
        assert (told.kind, told.permissions) == (name, stat.S_IMODE(mode))


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_any_mode_that_a_stranger_tells_has_a_kind(mode: int) -> None:
    told = Stat("x", mode)
    assert told.kind in KINDS.values()
    assert 0 <= told.permissions <= 0o7777
