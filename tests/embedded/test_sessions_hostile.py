"""File sync with clients that lie: paths that lead out, sizes that are none, bytes without an end. All are refused; nothing is written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import pytest

from dockerlab.wire import filesync
from dockerlab.wire.filesync import Stat
from tests.embedded import rungs
from tests.embedded.builds import nothing_left
from tests.embedded.rungs import OwnEngine, resident
from tests.embedded.sessions import Folder, Told, build, session

DOCKERFILE = "FROM busybox\nCOPY . /x\n"
DIRECTORY = filesync.go_mode(0o40755)
REGULAR = filesync.go_mode(0o100644)
LINK = filesync.go_mode(0o120777)


@pytest.fixture(scope="module")
def own() -> Iterator[OwnEngine]:
    with rungs.engine("user" if os.getuid() else "root") as engine:
        yield engine


class Liar(Folder):
    """Of the context, these stats; of each file these bytes."""

    def __init__(self, *stats: Stat, data: bytes = b"x", times: int = 1) -> None:
        super().__init__({"Dockerfile": DOCKERFILE})
        self._stats, self._data, self._times = [*stats], data, times

    def stats(self, asked: Mapping[str, list[str]]) -> list[Stat]:
        is_context = asked["dir-name"] == ["context"] and "followpaths" not in asked
        return self._stats if is_context else super().stats(asked)

    def data(self, path: str) -> Iterator[bytes]:
        if path == "Dockerfile":
            yield from super().data(path)
        else:
            for _ in range(self._times):
                yield self._data


def built(own: OwnEngine, folder: Folder) -> Told:
    with session(own.home.socket, folder, key="liar") as made:
        return build(own.home.socket, session=made.id)


@pytest.mark.parametrize(
    ("stats", "said"),
    [
        ([Stat("/etc/passwd", REGULAR, size=1)], "no path within"),
        ([Stat("..", DIRECTORY), Stat("../up", REGULAR, size=1)], "no path within"),
        ([Stat("a", DIRECTORY), Stat("a/../../b", REGULAR, size=1)], "no path within"),
        ([Stat("a//b", REGULAR, size=1)], "no path within"),
        ([Stat("./a", REGULAR, size=1)], "no path within"),
        ([Stat("a\0b", REGULAR, size=1)], "no path within"),
        ([Stat("n" * 256, REGULAR, size=1)], "file name too long"),
        ([Stat("\N{SNOWMAN}" * 90, REGULAR, size=1)], "file name too long"),
        ([Stat("b", REGULAR, size=1), Stat("a", REGULAR, size=1)], "out of order"),
        ([Stat("a", REGULAR, size=1), Stat("a", REGULAR, size=1)], "out of order"),
        ([Stat("a-b", DIRECTORY), Stat("a", DIRECTORY), Stat("a/c", REGULAR)], "out of order"),
        ([Stat("a/b", REGULAR, size=1)], "is in no folder"),
        ([Stat("a", REGULAR, size=1), Stat("a/b", REGULAR, size=1)], "is in no folder"),
        ([Stat("a", LINK, linkname="/etc"), Stat("a/b", REGULAR, size=1)], "is in no folder"),
        ([Stat("a", REGULAR, size=-1)], "has -1 bytes"),
        ([Stat("a", REGULAR, size=1 << 62)], "bytes"),
        ([Stat("a", REGULAR, linkname="../../etc/passwd")], "is no file"),
        ([Stat("a", REGULAR, linkname="b"), Stat("b", REGULAR, size=1)], "is no file"),
        ([Stat("a", LINK, linkname="l" * 5000)], "file name too long"),
        ([Stat("a" * 200 + str(depth), DIRECTORY) for depth in range(1)] + [Stat("b", 1 << 30 | REGULAR, size=-5)], "has -5 bytes"),
    ],
)
def test_stats_that_cannot_be(own: OwnEngine, stats: list[Stat], said: str) -> None:
    before = own.files()
    told = built(own, Liar(*stats))
    assert said in told.error
    assert said in told.vertexes["[internal] load build context"].error
    nothing_left(own)
    kept = {path for path in own.files() - before if "contexts" not in path.parts}
    assert not kept, "nothing is written but what the Dockerfile was"


@pytest.mark.parametrize("size", [1, 3 << 20])
def test_more_bytes_than_were_told(own: OwnEngine, size: int) -> None:
    memory = resident(own.pid)
    told = built(own, Liar(Stat("a", REGULAR, size=size), data=b"y" * (1 << 15), times=100_000))
    assert "more bytes than were told" in told.error
    assert resident(own.pid) < memory + 60
    nothing_left(own)


def test_a_folder_that_links_to_the_host_stays_in_the_context(own: OwnEngine) -> None:
    told = built(own, Liar(Stat("a", LINK, linkname="/etc"), Stat("b", REGULAR, size=1)))
    assert told.image
    nothing_left(own)


def test_a_big_context_does_not_grow_the_engine(own: OwnEngine) -> None:
    stats = [Stat(f"f{number:03}", REGULAR, size=4 << 20, mod_time=1) for number in range(50)]
    memory = resident(own.pid)
    told = built(own, Liar(*stats, data=os.urandom(1 << 15), times=128))
    assert told.image
    assert resident(own.pid) < memory + 60
    nothing_left(own)
