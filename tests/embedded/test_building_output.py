"""Results that go to the client by its session, on our own engine: what is told on each rung, clients that lie, leave or cannot write.

The whole of what our own client makes of it is in tests/engine/test_build_output.py.
"""

from __future__ import annotations

import io
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dockerlab.builds.session import Exchange, Metadata, Refused
from dockerlab.wire import grpc
from dockerlab.wire.filesync import DATA, ERR, FIN, FINISHED, REQ, STAT, Packet, Stat, packet
from dockerlab.wire.protobuf import decode, encode
from dockerlab.wire.services import BytesMessage
from tests.embedded import rungs
from tests.embedded.builds import nothing_left
from tests.embedded.rungs import OwnEngine, eventually
from tests.embedded.sessions import File, Folder, Told, asked, build, lines, session

TREE = r"""FROM busybox AS made
RUN mkdir -p /t/d /t/a && cd /t && ln -s ../gone a/soft && mkfifo p && touch "$(printf '\377odd')" "$(printf 'line\nfeed')" 𝄞 \
 && dd if=/dev/zero of=holes bs=1 count=0 seek=4000000 2>/dev/null && echo y >d/whited && mkdir o && echo z >o/z
COPY --chown=7:8 tree /t/d/
COPY --chown=7:8 --chmod=4000 shut /t/
RUN cd /t && ln d/e/f a/hard && chmod 1750 d/e && rm d/whited && rm -r o && mkdir o && touch o/new
"""
FILES = {"tree/e/f": "x\n", "shut": File(b"shut\n", time=10**18)}


@pytest.fixture(scope="module", params=rungs.RUNGS)
def own(request: pytest.FixtureRequest) -> Iterator[OwnEngine]:
    with rungs.engine(request.param) as engine:
        yield engine


@pytest.fixture(scope="module")
def root() -> Iterator[OwnEngine]:
    with rungs.engine("user" if os.getuid() else "root") as engine:
        yield engine


class Taking:
    """Takes a folder. Each method can lie. stats, data: by path."""

    def __init__(self) -> None:
        self.stats: list[Stat] = []
        self.data: dict[str, bytes] = {}
        self.metadata: list[Metadata] = []
        self.is_ended = False
        self.closed = threading.Event()

    def begin(self, exchange: Exchange, metadata: Metadata) -> Taking:
        self.exchange = exchange
        self.metadata.append(metadata)
        return self

    def received(self, message: bytes) -> None:
        got = packet(message)
        if got.type == STAT and got.stat:
            self.stats.append(got.stat)
        elif got.type == STAT:
            self.all_told()
        elif got.type == DATA and got.data:
            self.data[self.stats[got.id].path] += got.data
        elif got.type == DATA:
            self.whole(got.id)
        elif got.type == FIN:
            self.is_ended = True
            self.exchange.finish()

    def files(self) -> list[int]:
        return [number for number, one in enumerate(self.stats) if one.kind == "file" and not one.linkname]

    def all_told(self) -> None:
        self.waiting = {*self.files()}
        for number in reversed(self.files()):  # in any order
            self.data[self.stats[number].path] = b""
            self.ask(number)
        if not self.waiting:
            self.exchange.send(FINISHED)

    def ask(self, number: int) -> None:
        self.exchange.send(encode(Packet(REQ, id=number)))

    def whole(self, number: int) -> None:
        self.waiting.discard(number)
        if not self.waiting:
            self.exchange.send(FINISHED)

    def ended(self) -> None:
        self.exchange.finish()

    def more(self) -> bool:
        return False

    def close(self) -> None:
        self.closed.set()


class Archive(Taking):
    """Takes an archive."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = bytearray()

    def received(self, message: bytes) -> None:
        self.bytes += decode(BytesMessage, message).data


def sent(
    own: OwnEngine, taking: Taking, text: str, /, kind: str = "local", files: dict[str, Any] | None = None, **query: Any
) -> Told:
    """A build whose result goes to the client."""
    folder = Folder({"Dockerfile": text, **(files or {})})
    with session(own.home.socket, folder, FILE_SEND=taking.begin) as made:
        return build(own.home.socket, session=made.id, **{"outputs": [{"Type": kind}], **query})


# What is told


def shown(stats: list[Stat]) -> dict[str, tuple[object, ...]]:
    return {
        one.path: (one.kind, oct(one.permissions), one.uid, one.gid, one.size if one.kind == "file" else 0, one.linkname)
        for one in stats
    }


def test_a_folder_on_each_rung(own: OwnEngine) -> None:
    taking = Taking()
    told = sent(own, taking, f"{TREE}FROM scratch\nCOPY --from=made /t /\n", files=FILES, t="files:1")
    assert not told.error
    assert shown(taking.stats) == {
        "a": ("directory", "0o755", 0, 0, 0, ""),
        "a/hard": ("file", "0o644", 7, 8, 2, ""),
        "a/soft": ("symlink", "0o777", 0, 0, 0, "../gone"),
        "d": ("directory", "0o755", 0, 0, 0, ""),
        "d/e": ("directory", "0o1750", 7, 8, 0, ""),
        "d/e/f": ("file", "0o644", 7, 8, 2, "a/hard"),
        "holes": ("file", "0o644", 0, 0, 4_000_000, ""),
        "line\nfeed": ("file", "0o644", 0, 0, 0, ""),
        "o": ("directory", "0o755", 0, 0, 0, ""),
        "o/new": ("file", "0o644", 0, 0, 0, ""),
        "p": ("fifo", "0o644", 0, 0, 0, ""),
        "shut": ("file", "0o4000", 7, 8, 5, ""),
        "𝄞": ("file", "0o644", 0, 0, 0, ""),
        "\udcffodd": ("file", "0o644", 0, 0, 0, ""),
    }, "in the order of their bytes, each folder before what is in it"
    assert [*shown(taking.stats)] == [one.path for one in taking.stats]
    assert {one.path: one.mod_time for one in taking.stats}["shut"] == 10**18
    assert {path: data for path, data in taking.data.items() if data} == {
        "a/hard": b"x\n",
        "holes": bytes(4_000_000),
        "shut": b"shut\n",
    }
    assert taking.is_ended
    assert dict(taking.metadata[0]) == {"buildkit-attachable-exporter-id": ["0"]}
    vertex = told.vertexes["exporting to client directory"]
    assert (vertex.completed is not None, vertex.error) == (True, "")
    assert [message for message in told.messages if message.get("id") != "moby.buildkit.trace"] == []
    assert own.client.ask("GET", "/images/files:1/json").status == 404
    nothing_left(own)


def test_an_archive_on_each_rung(own: OwnEngine) -> None:
    taking = Archive()
    assert not sent(own, taking, TREE, "tar", files=FILES).error
    with tarfile.open(fileobj=io.BytesIO(taking.bytes)) as tar:
        found = {info.name: info for info in tar if info.name.startswith("t/")}
        content = {name: tar.extractfile(info).read() for name, info in found.items() if info.isreg()}  # type: ignore[union-attr]
    assert (found["t/shut"].uid, found["t/shut"].gid, found["t/shut"].mode) == (7, 8, 0o4000)
    assert (found["t/d/e/f"].type, found["t/d/e/f"].linkname) == (tarfile.LNKTYPE, "t/a/hard")
    assert found["t/p"].isfifo()
    assert content["t/holes"] == bytes(4_000_000)
    assert len(taking.bytes) < 4_000_000 + len(content), "holes do not travel"
    assert not {"t/d/whited", "t/o/z"} & {*found}
    assert "t/\udcffodd" in found
    nothing_left(own)


def test_everything_is_from_one_second_and_in_one_folder_where_that_is_asked_for(root: OwnEngine) -> None:
    taking = Taking()
    text = "FROM scratch\nCOPY a b /d/\nCOPY a /\n"
    query: dict[str, Any] = {
        "buildargs": {"SOURCE_DATE_EPOCH": "1100000000"},
        "outputs": [{"Type": "local", "Attrs": {"platform-split": "true"}}],
    }
    assert not sent(root, taking, text, files={"a": "1", "b": "2"}, **query).error
    folder = taking.stats[0].path
    assert folder.startswith("linux_")
    assert [one.path for one in taking.stats[1:]] == [f"{folder}/{name}" for name in ("a", "d", "d/a", "d/b")]
    assert {one.mod_time for one in taking.stats[1:]} == {1_100_000_000 * 10**9}


def test_many_files_and_nothing_at_all(root: OwnEngine) -> None:
    """Many in a handful, one of more bytes than either side takes unread; all of them are asked for at once."""
    taking, big = Taking(), os.urandom(5_000_000)
    make = "for i in $(seq 1500); do echo $i >file-$i; done"
    text = f"FROM busybox AS b\nRUN mkdir /m && cd /m && {make}\nFROM scratch\nCOPY --from=b /m /\nCOPY big /\n"
    assert not sent(root, taking, text, files={"big": big}).error
    assert taking.data.pop("big") == big
    assert taking.data == {f"file-{number}": f"{number}\n".encode() for number in range(1, 1501)}
    nothing = Taking()
    assert not sent(root, nothing, "FROM scratch\n").error
    assert (nothing.stats, nothing.is_ended) == ([], True)


# What is asked for


@pytest.mark.parametrize(
    ("outputs", "status", "error"),
    [
        ([{"Type": "oci"}], 500, 'exporter "oci" could not be found'),
        ([{"Type": "docker"}], 500, 'exporter "docker" could not be found'),
        ([{}], 500, 'exporter "None" could not be found'),
        ([{"Type": "local"}, {"Type": "tar"}], 500, "multiple outputs not supported"),
        ({"Type": "local"}, 400, "invalid outputs specified"),
        ([{"Type": "local", "Attrs": []}], 200, ""),
    ],
)
def test_outputs_that_there_are_not(root: OwnEngine, outputs: Any, status: int, error: str) -> None:
    told = sent(root, Taking(), "FROM scratch\n", outputs=outputs)
    assert (told.status, error in told.error, bool(told.error)) == (status, True, bool(error))


def test_a_result_that_nobody_takes_is_not_built(root: OwnEngine) -> None:
    folder = Folder({"Dockerfile": "FROM busybox\nRUN echo built\n"})
    with session(root.home.socket, folder) as made:
        told = build(root.home.socket, session=made.id, outputs=[{"Type": "local"}])
    assert told.error == "method /moby.filesync.v1.FileSend/DiffCopy not supported by the client"
    assert not folder.asked
    alone = build(root.home.socket, b"", outputs=[{"Type": "tar"}])
    assert alone.error.startswith("output of type tar needs a session\n")


def test_a_build_for_its_cache_alone_makes_no_image(root: OwnEngine) -> None:
    told = sent(root, Taking(), "FROM busybox\nRUN echo cached\n", "cacheonly", t="cached:1")
    assert (told.error, root.client.ask("GET", "/images/cached:1/json").status) == ("", 404)
    assert sent(root, Taking(), "FROM busybox\nRUN echo cached\n", "moby").vertexes["[2/2] RUN echo cached"].cached


# Clients that lie, leave or cannot write


class Twice(Taking):
    """Asks for each file twice."""

    def ask(self, number: int) -> None:
        super().ask(number)
        super().ask(number)


class Folders(Taking):
    """Asks for a folder's bytes."""

    def ask(self, number: int) -> None:
        super().ask(next(at for at, one in enumerate(self.stats) if one.kind == "directory"))


class Beyond(Taking):
    """Asks for what was not told."""

    def ask(self, number: int) -> None:
        super().ask(1 << 40)


class Odd(Taking):
    """Says what is no message."""

    def ask(self, number: int) -> None:
        self.exchange.send(b"\xff")


class Stats(Taking):
    """Tells files of its own."""

    def ask(self, number: int) -> None:
        self.exchange.send(encode(Packet(STAT, Stat("../x"))))


class Failing(Taking):
    """Cannot write."""

    def ask(self, number: int) -> None:
        self.exchange.send(encode(Packet(ERR, data=b"no room here")))


class Refusing(Taking):
    """Ends the call with an error."""

    def ask(self, number: int) -> None:
        raise Refused(grpc.PERMISSION_DENIED, "not in this folder")


class Leaving(Taking):
    """Ends the call, as if all were there."""

    def ask(self, number: int) -> None:
        self.exchange.finish()


@pytest.mark.parametrize(
    ("taking", "error"),
    [
        (Twice, "invalid file id "),
        (Folders, "invalid file id "),
        (Beyond, f"invalid file id {1 << 40}"),
        (Odd, "file sync: malformed message"),
        (Stats, "file sync: a packet of type 0 is not expected"),
        (Failing, "error from receiver: no room here"),
        (Refusing, "not in this folder"),
        (Leaving, "the client ended the transfer before all was there"),
    ],
)
def test_clients_that_are_not_believed(root: OwnEngine, taking: Callable[[], Taking], error: str) -> None:
    one = taking()
    told = sent(root, one, "FROM scratch\nCOPY . /d/\n", files={"a": "1", "b": os.urandom(400_000)})
    assert told.error.startswith(error), told.error
    assert told.vertexes["exporting to client directory"].error.startswith(error)
    nothing_left(root)


def test_an_archive_that_cannot_be_written_ends_the_build(root: OwnEngine) -> None:
    class Full(Archive):
        def received(self, message: bytes) -> None:
            super().received(message)
            if len(self.bytes) > 200_000:
                raise Refused(grpc.RESOURCE_EXHAUSTED, "no space left on the client")

    full = Full()
    told = sent(root, full, "FROM scratch\nCOPY big /\n", "tar", files={"big": os.urandom(8_000_000)})
    assert told.error == "no space left on the client"
    assert len(full.bytes) < 4_000_000
    nothing_left(root)


@pytest.mark.parametrize("kind", ["local", "tar"])
def test_a_transfer_that_stands_still_takes_no_memory_and_can_be_cancelled(root: OwnEngine, kind: str) -> None:
    """Of a file that is one hole and big: it travels as zeros, and no faster than it is taken."""
    begun, goes_on = threading.Event(), threading.Event()

    class Slow(Archive if kind == "tar" else Taking):  # type: ignore[misc]
        def received(self, message: bytes) -> None:
            super().received(message)
            if len(self.bytes if kind == "tar" else self.data.get("big", b"")) > 4_000_000:
                begun.set()
                goes_on.wait(30)

    hole = f"truncate -s {20 << 30} /big" if kind == "local" else f"head -c {1 << 26} /dev/urandom >/big"
    folder = Folder({"Dockerfile": f"FROM busybox\nRUN {hole}\n"})
    slow = Slow()
    told = Told()
    query = {"buildid": f"slow-{kind}", "outputs": [{"Type": kind}]}
    with (
        session(root.home.socket, folder, FILE_SEND=slow.begin) as made,
        asked(root.home.socket, session=made.id, **query) as talk,
    ):
        assert talk.head().status == 200
        reading = threading.Thread(target=lambda: [told.take(line) for line in lines(talk)])
        reading.start()
        assert begun.wait(60), told.error
        before = rungs.resident(root.pid)
        assert root.client.ask("POST", f"/build/cancel?id=slow-{kind}").status == 200
        reading.join(30)
        assert not reading.is_alive()
        goes_on.set()
    assert told.error == "context canceled"
    assert rungs.resident(root.pid) < before + 50
    nothing_left(root)


def test_a_client_that_leaves_meanwhile(root: OwnEngine) -> None:
    threads = root.counts()[1]

    class Gone(Taking):
        def all_told(self) -> None:
            told.set()

    told = threading.Event()
    folder = Folder({"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "1"})
    with (
        session(root.home.socket, folder, FILE_SEND=Gone().begin) as made,
        asked(root.home.socket, session=made.id, outputs=[{"Type": "local"}]) as talk,
    ):
        assert talk.head().status == 200
        assert told.wait(30)
        made.__exit__(None, None, None)
        said = b"".join([*lines(talk)])
    assert b"the build's session has ended" in said
    eventually(lambda: root.counts()[1] <= threads + 2, "threads are left")
    nothing_left(root)
