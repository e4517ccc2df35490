"""Reading a container's log: from files written here, and through the API."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dockerlab.engine.containers.logs import Options, Reader
from dockerlab.engine.runtime.logfile import Log
from dockerlab.engine.timestamps import nanoseconds
from tests.embedded.containing import Client
from tests.embedded.serving import Talk

SECOND = 1_000_000_000


def written(folder: Path, lines: Sequence[str], name: str = "log.jsonl", first: int = 0) -> None:
    """Line n is of second n; those with a "!" are of standard error."""
    entries = [
        {"log": f"{line}\n", "stream": "stderr" if "!" in line else "stdout", "time": f"2026-01-01T00:00:{first + n:02}.5Z"}
        for n, line in enumerate(lines)
    ]
    (folder / name).write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def read(folder: Path, **options: Any) -> list[str]:
    return [data.decode().rstrip("\n") for _, data in Reader(folder, Options(**options))]


def test_streams(tmp_path: Path) -> None:
    written(tmp_path, ["a", "b!", "c"])
    assert list(Reader(tmp_path, Options())) == [(1, b"a\n"), (2, b"b!\n"), (1, b"c\n")]
    assert read(tmp_path, stderr=False) == ["a", "c"]
    assert read(tmp_path, stdout=False) == ["b!"]


def test_a_clock_that_was_set_back_changes_no_order(tmp_path: Path) -> None:
    written(tmp_path, ["before"], "log.jsonl.1", first=50)
    written(tmp_path, ["after", "later"])
    assert read(tmp_path) == ["before", "after", "later"]
    assert read(tmp_path, tail=2) == ["after", "later"]
    assert read(tmp_path, since=nanoseconds("2026-01-01T00:00:01Z")) == ["before", "later"]
    assert read(tmp_path, since=nanoseconds("2038-01-01T00:00:00Z")) == []


def test_no_log_is_an_empty_one(tmp_path: Path) -> None:
    assert read(tmp_path) == []
    assert read(tmp_path, tail=5) == []


@pytest.mark.parametrize("count", [0, 1, 3, 5, 6, 8, 9, 100])
def test_tail_reaches_into_rotated_files(tmp_path: Path, count: int) -> None:
    everything = [f"line {n}" for n in range(9)]
    written(tmp_path, everything[:3], "log.jsonl.2")
    written(tmp_path, everything[3:6], "log.jsonl.1", 3)
    written(tmp_path, everything[6:], first=6)
    assert read(tmp_path) == everything
    assert read(tmp_path, tail=count) == (everything[-count:] if count else [])


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_line_that_is_being_written_is_none_of_the_last(tmp_path: Path, count: int) -> None:
    written(tmp_path, ["a"], "log.jsonl.1")
    written(tmp_path, ["b", "c"], first=1)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"log": "half of a li')
    assert read(tmp_path, tail=count) == ["a", "b", "c"][-count:]


def test_the_tail_of_a_long_log(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    for number in range(5000):
        log.write(1, f"line {number} {'x' * 50}\n".encode())
    log.close()
    assert [line.split()[1] for line in read(tmp_path, tail=3000)] == [str(number) for number in range(2000, 5000)]


def test_a_period(tmp_path: Path) -> None:
    written(tmp_path, ["0", "1", "2", "3"])
    start = 1767225600 * SECOND
    assert read(tmp_path, since=start + SECOND) == ["1", "2", "3"]
    assert read(tmp_path, since=start + SECOND + 1, until=start + 3 * SECOND) == ["1", "2"]
    assert read(tmp_path, tail=1, until=start + SECOND) == []


def test_timestamps_and_details(tmp_path: Path) -> None:
    written(tmp_path, ["a"])
    assert read(tmp_path, timestamps=True) == ["2026-01-01T00:00:00.5Z a"]
    assert read(tmp_path, details="k=v ") == ["k=v a"]


def test_what_a_crash_cut_is_skipped(tmp_path: Path) -> None:
    written(tmp_path, ["a", "b"])
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"log":"half\n' + b"null\n" + b'{"log":1,"stream":"stdout","time":""}\n' + path.read_bytes() + b'{"log":"c')
    assert read(tmp_path) == ["a", "b"]


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    log.write(1, b"\xff \xc3\xa9 \x00\n")
    log.close()
    assert list(Reader(tmp_path, Options())) == [(1, "\ufffd é \0\n".encode())]


class Following:
    """A reader that follows in a thread, and a log that grows."""

    def __init__(self, folder: Path, log: Log, **options: Any) -> None:
        self.log = log
        self.monitor, watch = socket.socketpair()
        self.reader = Reader(folder, Options(**options), watch)
        self.lines: list[bytes] = []
        self.came = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        for _, data in self.reader:
            self.lines.append(data)
            self.came.release()

    def write(self, data: bytes) -> None:
        self.log.write(1, data)
        self.monitor.send(b".")

    def expect(self, lines: int) -> None:
        for _ in range(lines):
            assert self.came.acquire(timeout=20)

    def end(self) -> list[bytes]:
        self.monitor.close()
        self.thread.join(20)
        assert not self.thread.is_alive()
        return self.lines


def test_following_ends_with_the_container(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    log.write(1, b"before\n")
    follower = Following(tmp_path, log)
    follower.expect(1)
    follower.write(b"one\ntwo\nha")
    follower.expect(2)
    follower.write(b"lf\n")
    follower.expect(1)
    log.write(1, b"last words")
    log.close()
    assert follower.end() == [b"before\n", b"one\n", b"two\n", b"half\n", b"last words"]


def test_following_goes_on_when_the_log_is_rotated(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl", (300, 2))
    follower = Following(tmp_path, log)
    for number in range(20):
        follower.write(f"line {number}\n".encode())
        follower.expect(1)
    log.close()
    assert follower.end() == [f"line {number}\n".encode() for number in range(20)]


def test_following_can_be_cancelled(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    follower = Following(tmp_path, log)
    follower.write(b"one\n")
    follower.expect(1)
    follower.reader.cancel()
    follower.thread.join(20)
    assert not follower.thread.is_alive()
    assert follower.end() == [b"one\n"]
    log.close()


def test_following_ends_at_a_time(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    log.write(1, b"one\n")
    log.close()
    monitor, watch = socket.socketpair()
    with monitor:
        assert [data for _, data in Reader(tmp_path, Options(until=2**62), watch=None)] == [b"one\n"]
        assert list(Reader(tmp_path, Options(until=1), watch)) == []


def test_logs_through_the_api(api: Client) -> None:
    made = api.run("sh", "-c", "echo out; echo more")
    api.wait(made)
    assert api.output(made) == {1: b"out\nmore\n", 2: b""}
    assert api.output(made, tail=1)[1] == b"more\n"
    assert api.output(made, tail="x")[1] == b"out\nmore\n"
    assert api.output(made, timestamps=1)[1][:2] == b"20"
    logs = f"/containers/{made}/logs"
    assert api.message("GET", logs) == (400, "Bad parameters: you must choose at least one stream")
    assert api.message("GET", logs, stdout=1, since="x") == (500, 'strconv.ParseInt: parsing "x": invalid syntax')
    assert api.message("GET", "/containers/nosuch/logs", stdout=1) == (404, "No such container: nosuch")
    # A second run adds to the log.
    api.post(f"/containers/{made}/start")
    api.wait(made)
    assert api.output(made)[1] == b"out\nmore\nout\nmore\n"


def test_the_kind_of_stream_is_said(api: Client) -> None:
    plain, tty = api.run("echo", "x"), api.run("echo", "x", Tty=True)
    api.wait(plain)
    api.wait(tty)
    query = {"stdout": 1}
    assert api.ask("GET", f"/containers/{plain}/logs", **query).headers["content-type"].endswith("multiplexed-stream")
    assert api.ask("GET", f"/v1.41/containers/{plain}/logs", **query).headers["content-type"].endswith("raw-stream")
    reply = api.ask("GET", f"/containers/{tty}/logs", **query)
    assert (reply.headers["content-type"], reply.body) == ("application/vnd.docker.raw-stream", b"x\r\n")


def test_a_container_without_a_log(api: Client) -> None:
    made = api.run("echo", "x", host={"LogConfig": {"Type": "none"}})
    api.wait(made)
    text = "configured logging driver does not support reading"
    assert api.message("GET", f"/containers/{made}/logs", stdout=1) == (501, text)


def test_following_through_the_api(api: Client) -> None:
    made = api.run("sh", "-c", "echo one; read x; echo two $x", OpenStdin=True)
    with Talk(api.path) as talk:
        talk.send(f"GET /containers/{made}/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert talk.head().status == 200
        assert talk.chunk()[8:] == b"one\n"
        with api.attached(made, stdin=1) as attached:
            attached.send("now\n")
        assert talk.chunk()[8:] == b"two now\n"
        assert talk.chunk() == b""
