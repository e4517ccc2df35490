"""`--output`: how it is read; archives and folders that an engine sends, and senders that lie."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
from pathlib import Path

import pytest

from dockerlab.builds.exporting import Exporter, Output
from dockerlab.errors import UsageError
from dockerlab.wire import grpc
from dockerlab.wire.filesync import DATA, ERR, FIN, FINISHED, REQ, STAT, STATS_END, Packet, Stat, data_packet, go_mode, packet
from dockerlab.wire.protobuf import encode
from dockerlab.wire.services import BytesMessage
from tests.unit.exchanging import Call

unix = pytest.mark.skipif(sys.platform == "win32", reason="modes and links as Unix has them")
TIME = 981_173_106 * 10**9
FILE, FOLDER, LINK = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755, stat.S_IFLNK | 0o777


# The flag


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("out", Output("local", {}, "out")),
        ("-", Output("tar", {}, "-")),
        ("type=local,dest=out", Output("local", {}, "out")),
        ("type=tar,dest=out.tar", Output("tar", {}, "out.tar")),
        ('type=tar,"dest=a,b.tar"', Output("tar", {}, "a,b.tar")),
        ("type=oci,dest=o.tar,compression=zstd", Output("oci", {"compression": "zstd"}, "o.tar")),
        ("type=registry", Output("image", {"push": "true"})),
        ("type=cacheonly", Output("cacheonly")),
    ],
)
def test_what_is_asked_for(text: str, expected: Output) -> None:
    assert Output.of(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=local", "--output type=local needs dest=…"),
        ("type=tar", "--output type=tar needs dest=…"),
        ("dest=x", "--output has no type"),
        ("dest=x,y", "--output: each of its fields must be a key=value pair"),
        ("type=tape,dest=x", "--output: there is no type 'tape'; there are local, tar, oci, docker, image, registry, cacheonly"),
        ("type=image,dest=x", "--output type=image takes no dest; nothing is written to this machine"),
        ("type=local,dest=-", "--output: a folder cannot be written to a stream"),
        ("type=image,push=true,push-by-digest=true", "--output: push-by-digest is not there yet"),
    ],
)
def test_what_cannot_be(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        # A lone `dest=x` is a folder of that name for Docker, as any text without `type=` is.
        Output.of(text if text != "dest=x" else "dest=x,a=b")
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("text", "parameter"),
    [
        ("type=local,dest=out", [{"Type": "local", "Attrs": {}}]),
        ("type=oci,dest=o.tar,tar=false", [{"Type": "oci", "Attrs": {"tar": "false"}}]),
        ("type=cacheonly", [{"Type": "local", "Attrs": {}}]),
        ("type=image,push=true", None),
        ("type=docker", None),
        ("type=image,compression=zstd,push=true", [{"Type": "moby", "Attrs": {"compression": "zstd"}}]),
    ],
)
def test_what_the_engine_is_told(text: str, parameter: object) -> None:
    output = Output.of(text)
    assert (json.loads(output.parameter) if output.parameter else None) == parameter
    assert bool(Exporter(output).services) == (not output.is_image)
    assert output.is_pushed == ("push" in text)


def test_a_stream_is_none_that_a_notebook_has() -> None:
    with pytest.raises(UsageError, match="a notebook cannot show"):
        Exporter(Output.of("-"))


def test_an_engine_without_the_exporter() -> None:
    output = Output.of("type=oci,dest=x.tar")
    error = output.refusal('exporter "oci" could not be found')
    assert error is not None
    assert error.message == "this engine cannot write --output type=oci"
    assert output.refusal("something else") is None


# Archives


def begun(text: str, stream: io.BytesIO | None = None) -> tuple[Call, Exporter]:
    return Call(), Exporter(Output.of(text), stream)


def test_an_archive_takes_its_place_when_all_of_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "out.tar"
    path.write_bytes(b"old")
    path.chmod(0o640)
    call, exporter = begun(f"type=tar,dest={path}")
    service = exporter.begin(call, {})
    call.tell(service, encode(BytesMessage(b"one")), encode(BytesMessage(b"two")))
    assert path.read_bytes() == b"old"
    service.ended()
    assert (call.status, path.read_bytes()) == (grpc.OK, b"onetwo")
    assert os.listdir(tmp_path) == ["out.tar"]
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_an_archive_that_breaks_off_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.tar"
    path.write_bytes(b"old")
    for end in ("close", "malformed"):
        call, exporter = begun(f"type=tar,dest={path}")
        service = exporter.begin(call, {})
        call.tell(service, encode(BytesMessage(b"one")))
        if end == "close":
            service.close()  # type: ignore[attr-defined]
        else:
            call.tell(service, b"\xff")
            assert exporter.error is not None
        assert (os.listdir(tmp_path), path.read_bytes()) == (["out.tar"], b"old")


def test_an_archive_to_a_stream() -> None:
    stream = io.BytesIO()
    call, exporter = begun("-", stream)
    service = exporter.begin(call, {})
    call.tell(service, encode(BytesMessage(b"data")))
    service.ended()
    assert (call.status, stream.getvalue()) == (grpc.OK, b"data")


@unix
def test_a_link_remains_and_leads_to_the_new_archive(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    call, exporter = begun(f"type=tar,dest={tmp_path}/link")
    service = exporter.begin(call, {})
    call.tell(service, encode(BytesMessage(b"data")))
    service.ended()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"data"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_an_error_and_a_device_is_not_replaced() -> None:
    call, exporter = begun("type=tar,dest=/dev/full")
    service = exporter.begin(call, {})
    call.tell(service, encode(BytesMessage(bytes(1 << 20))))
    assert (call.status, call.text) == (grpc.UNKNOWN, "cannot write the build's result to '/dev/full': No space left on device")
    assert exporter.error is not None
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


# Folders


class Engine:
    """A sender that says what it is told to say."""

    def __init__(self, directory: Path) -> None:
        self.call = Call()
        self.exporter = Exporter(Output("local", destination=str(directory)))
        self.service = self.exporter.begin(self.call, {})
        self.files: list[bytes] = []

    def told(self, path: str, mode: int, data: bytes = b"", link: str = "") -> Engine:
        """Tells a path."""
        self.files.append(data)
        self.say(Packet(STAT, Stat(path, go_mode(mode), size=len(data), mod_time=TIME, linkname=link)))
        return self

    def say(self, *packets: Packet) -> Engine:
        self.call.tell(self.service, *map(encode, packets))
        return self

    def requests(self) -> list[int]:
        """The numbers that were asked for since."""
        found = [got.id for message in self.call.sent if (got := packet(message)).type == REQ]
        self.call.sent = [message for message in self.call.sent if packet(message).type != REQ]
        return found

    def end(self) -> Engine:
        """All that is asked for, and the end."""
        self.call.tell(self.service, STATS_END)
        while numbers := self.requests():
            for number in numbers:
                for piece in (*([self.files[number]] if self.files[number] else []), b""):
                    self.call.tell(self.service, data_packet(number, piece))
        if FINISHED in self.call.sent:
            self.say(Packet(FIN))
        return self

    @property
    def text(self) -> str:
        """Why it failed."""
        assert self.call.status == grpc.UNKNOWN
        assert self.exporter.error is not None
        assert self.exporter.error.message == self.call.text
        assert packet(self.call.sent[-1]).type == ERR
        return self.call.text.removeprefix("cannot write the build's result: ")


@unix
def test_a_folder_lies_over_what_is_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "kept").write_text("kept")
    (out / "sub").symlink_to(tmp_path)  # in the way of a folder
    (out / "big").mkdir()  # in the way of a file
    (out / "big" / "inside").write_text("")
    engine = Engine(out)
    engine.told("abs", LINK, link="/etc/passwd").told("big", FILE, b"x" * 100).told("hard", stat.S_IFREG | 0o6755, b"first")
    engine.told("ro", stat.S_IFDIR | 0o555).told("ro/f", FILE, b"").told("sub", FOLDER).told(
        "sub/hard", stat.S_IFREG | 0o6755, link="hard"
    ).end()
    assert (engine.call.status, engine.exporter.error) == (grpc.OK, None)
    assert sorted(os.listdir(out)) == ["abs", "big", "hard", "kept", "ro", "sub"]
    assert os.readlink(out / "abs") == "/etc/passwd"
    assert (out / "big").read_bytes() == b"x" * 100
    assert not (out / "sub").is_symlink()
    assert not (tmp_path / "hard").exists()
    assert (out / "sub" / "hard").stat().st_ino == (out / "hard").stat().st_ino
    assert stat.S_IMODE((out / "hard").stat().st_mode) == 0o755
    assert stat.S_IMODE((out / "ro").stat().st_mode) == 0o555
    assert (out / "ro" / "f").stat().st_mtime_ns == (out / "sub").stat().st_mtime_ns == TIME
    (out / "ro").chmod(0o755)


def test_many_files_are_asked_for_a_few_at_a_time(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    for number in range(100):
        engine.told(f"{number:03}", FILE, str(number).encode())
    assert engine.requests() == [*range(32)]
    for number in range(32):
        engine.say(Packet(DATA, id=number))
    engine.end()
    assert engine.call.status == grpc.OK
    assert (tmp_path / "099").read_text() == "99"
    assert len(os.listdir(tmp_path)) == 100


def test_nothing_is_changed_before_all_is_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    engine = Engine(tmp_path).told("a", FILE, b"new").told("b", FILE, b"new")
    engine.call.tell(engine.service, STATS_END, data_packet(0, b"new"), data_packet(0), data_packet(1, b"ne"))
    assert (tmp_path / "a").read_text() == "old"
    engine.service.close()  # type: ignore[attr-defined]
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", ".", "", "a//b", "x\0y", "a" * 5000])
def test_a_path_that_leads_elsewhere(tmp_path: Path, path: str) -> None:
    engine = Engine(tmp_path / "out").told("a", FOLDER).told(path, FILE, b"x")
    assert engine.text.startswith("the engine sent the path")
    assert os.listdir(tmp_path / "out") == []
    assert os.listdir(tmp_path) == ["out"]


@unix
def test_a_link_is_not_followed(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "out").told("a", LINK, link=str(tmp_path)).told("a/x", FILE, b"x")
    assert engine.text == "the engine sent 'a/x' without the folder that it is in"
    assert os.listdir(tmp_path) == ["out"]


@unix
def test_a_folder_that_becomes_a_link_as_names_become_one(tmp_path: Path) -> None:
    # As on a file system for which A and a are one name: what was a folder is a link when something is to be put into it.
    out = tmp_path / "out"
    engine = Engine(out).told("a", FOLDER).told("a/x", FILE, b"x").told("b", FOLDER)
    receiving = engine.service
    put = receiving._put  # type: ignore[attr-defined]

    def putting(one: object) -> None:
        put(one)
        if (out / "a").is_dir() and not (out / "a").is_symlink():
            (out / "a").rmdir()
            (out / "a").symlink_to(tmp_path)

    receiving._put = putting  # type: ignore[attr-defined]
    engine.end()
    assert engine.text == "'a/x' cannot be written: another file of the result has the name of its folder here"
    assert sorted(os.listdir(tmp_path)) == ["out"]


def test_what_is_out_of_order_or_does_not_belong(tmp_path: Path) -> None:
    assert Engine(tmp_path).told("b", FILE).told("a", FILE).text == "the engine sent 'a' out of order"
    assert Engine(tmp_path).told("a", FOLDER).told("a", FILE).text == "the engine sent 'a' out of order"
    assert Engine(tmp_path).told("a/b", FILE).text == "the engine sent 'a/b' without the folder that it is in"
    assert Engine(tmp_path).say(Packet(DATA, id=7, data=b"x")).text == "the engine sent what does not belong there"
    assert Engine(tmp_path).say(Packet(FIN)).text == "the engine sent what does not belong there"
    assert Engine(tmp_path).say(Packet(STAT), Packet(STAT, Stat("a"))).text == "the engine sent what does not belong there"
    assert Engine(tmp_path).told("a", FILE, link="../../etc/passwd").text.endswith("which is no file that it sent before")
    assert Engine(tmp_path).told("a", LINK, link="x\0y").text == "the engine sent 'a' as a link to nowhere"
    said = Engine(tmp_path).say(Packet(ERR, data=b"no")).text
    assert said == "the engine could not read what it was to send: no"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_devices_and_their_like_are_not_made(tmp_path: Path, kind: int) -> None:
    engine = Engine(tmp_path).told("a", kind | 0o600)
    assert "which is not made in a folder; write an archive instead" in engine.text
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    exporter = Exporter(Output.of(f"{tmp_path}/file"))
    with pytest.raises(OSError, match="cannot write the build's result to"):
        exporter.begin(Call(), {})
    assert exporter.error is not None


def test_nothing_is_asked_for_where_only_the_cache_is_wanted() -> None:
    call = Call()
    service = Exporter(Output.of("type=cacheonly")).begin(call, {})
    call.tell(service, encode(Packet(STAT, Stat("a", 0o644, size=5))), STATS_END)
    assert call.sent == [FINISHED]
    call.tell(service, FINISHED)
    assert call.status == grpc.OK
