"""docker-py's streams: logs, exec, attach, archives, events."""

from __future__ import annotations

import io
import socket
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import docker.errors
import pytest
from docker.utils.socket import frames_iter

from dockerlab.client import Client
from tests.engine.docker_command import Kind, until
from tests.engine.leftovers import label

pytestmark = pytest.mark.contract


@pytest.fixture
def cat(client: Client, box: str) -> Any:
    """The container of this file, for docker-py."""
    return client.containers.get(box)


def raw(stream: Any) -> socket.socket:
    """The socket under what docker-py gives."""
    found = getattr(stream, "_sock", stream)
    assert isinstance(found, socket.socket)
    return found


def frames(stream: Any) -> Iterator[tuple[int, bytes]]:
    """(1 for output, 2 for errors; what was written)"""
    found: Iterator[tuple[int, bytes]] = frames_iter(stream, tty=False)  # type: ignore[no-untyped-call]
    return found


def archive(**files: str) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as out:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text), 0o640
            out.addfile(member, io.BytesIO(text.encode()))
    return held.getvalue()


def test_logs(client: Client, prefix: str) -> None:
    script = ["sh", "-c", "echo one; echo two >&2; sleep 0.2; echo three"]
    container: Any = client.containers.run("busybox", script, detach=True, labels=label(prefix))
    assert b"".join(container.logs(stream=True, follow=True, stderr=False)) == b"one\nthree\n"
    assert sorted(container.logs().splitlines()) == [b"one", b"three", b"two"]
    assert container.logs(stdout=False) == b"two\n"
    assert container.logs(tail=1) in (b"three\n", b"two\n")  # the order of two streams is not promised
    assert container.logs(since=int(time.time()) + 3600) == b""
    stamped = container.logs(timestamps=True, stderr=False).splitlines()
    assert [line.split()[1] for line in stamped] == [b"one", b"three"]


def test_logs_that_are_followed_can_be_closed(client: Client, prefix: str) -> None:
    script = ["sh", "-c", "echo one; sleep 600"]
    container: Any = client.containers.run("busybox", script, detach=True, labels=label(prefix))
    stream = container.logs(stream=True, follow=True)
    assert next(stream) == b"one\n"
    timer = threading.Timer(0.2, stream.close)
    timer.start()
    assert list(stream) == []
    timer.join()


def test_attach_with_what_was_said_before(client: Client, kind: Kind, prefix: str) -> None:
    container: Any = client.containers.run("busybox", ["sh", "-c", "echo early; sleep 600"], detach=True, labels=label(prefix))
    # Docker's attach knows a line a moment later than its logs.
    found = until(lambda: container.attach(logs=True, stream=False))
    assert found == (b"early\n" if kind != "podman" else b"early")


def test_attach_socket(client: Client, prefix: str) -> None:
    container: Any = client.containers.create(
        "busybox", ["sh", "-c", "while read line; do echo got $line; done; echo end >&2"], stdin_open=True, labels=label(prefix)
    )
    stream = container.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
    with closing(stream), closing(raw(stream)) as connection:
        container.start()
        connection.sendall(b"one\ntwo\n")
        received_frames = frames(stream)
        received = b""
        while received != b"got one\ngot two\n":
            number, data = next(received_frames)
            assert number == 1
            received += data
        container.kill()
        assert list(received_frames) == []


def test_attach_socket_of_a_terminal(client: Client, prefix: str) -> None:
    container: Any = client.containers.create(
        "busybox", ["sh", "-c", "read line; echo got $line; stty size"], stdin_open=True, tty=True, labels=label(prefix)
    )
    stream = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    with closing(stream), closing(raw(stream)) as connection:
        container.start()
        container.resize(height=33, width=101)
        connection.sendall(b"typed\n")
        received = b""
        while data := connection.recv(4096):
            received += data
    assert received == b"typed\r\ngot typed\r\n33 101\r\n"


def test_exec_run(cat: Any) -> None:
    script = ["sh", "-c", "echo out; echo err >&2; exit 3"]
    code, output = cat.exec_run(script)
    assert (code, sorted(output.splitlines())) == (3, [b"err", b"out"])
    assert cat.exec_run(script, demux=True) == (3, (b"out\n", b"err\n"))
    assert cat.exec_run("echo one two") == (0, b"one two\n")
    script = ["sh", "-c", "echo $A $(pwd) $(id -u)"]
    assert cat.exec_run(script, environment={"A": "1"}, workdir="/tmp", user="1000") == (0, b"1 /tmp 1000\n")
    assert cat.exec_run(["sh", "-c", "test -t 1 && echo a terminal"], tty=True) == (0, b"a terminal\r\n")


def test_exec_run_as_a_stream(cat: Any) -> None:
    code, output = cat.exec_run(["sh", "-c", "echo 1; sleep 0.1; echo 2"], stream=True)
    assert (code, b"".join(output)) == (None, b"1\n2\n")
    code, output = cat.exec_run(["sh", "-c", "echo out; sleep 0.1; echo err >&2"], stream=True, demux=True)
    assert list(output) == [(b"out\n", None), (None, b"err\n")]


def test_exec_run_with_a_socket(cat: Any) -> None:
    _, stream = cat.exec_run(["sh", "-c", "cat; echo end"], socket=True, stdin=True)
    with closing(stream), closing(raw(stream)) as connection:
        connection.sendall(b"in\n")
        connection.shutdown(socket.SHUT_WR)
        assert b"".join(data for _, data in frames(stream)) == b"in\nend\n"


def test_exec_run_detached(cat: Any) -> None:
    cat.exec_run("touch /tmp/detached", detach=True)
    assert until(lambda: cat.exec_run("test -e /tmp/detached")[0] == 0)


def test_exec_of_what_is_not_there(cat: Any, kind: Kind) -> None:
    if kind == "docker28":
        code, output = cat.exec_run("nosuch")
        assert (code, b"executable file not found in $PATH" in output) == (127, True)


def test_exec_step_by_step(client: Client, cat: Any, kind: Kind) -> None:
    made = client.api.exec_create(cat.id, ["sh", "-c", "exit 5"])
    before = client.api.exec_inspect(made["Id"])
    assert (before["Running"], before["ExitCode"], before["ContainerID"]) == (False, None if kind != "podman" else 0, cat.id)
    assert (before["ProcessConfig"]["entrypoint"], before["ProcessConfig"]["arguments"]) == ("sh", ["-c", "exit 5"])
    assert client.api.exec_start(made["Id"]) == b""
    after = client.api.exec_inspect(made["Id"])
    assert (after["Running"], after["ExitCode"]) == (False, 5)
    with pytest.raises(docker.errors.NotFound):
        client.api.exec_inspect("0" * 64)


def test_archives(cat: Any, kind: Kind) -> None:
    assert cat.put_archive("/tmp", archive(one="1", two="22")) is True
    assert cat.exec_run("cat /tmp/one /tmp/two")[1] == b"122"
    chunks, stat = cat.get_archive("/tmp/two")
    assert (stat["name"], stat["size"], stat["mode"] & 0o777, stat["linkTarget"]) == (
        "two",
        2,
        0o640,
        "" if kind != "podman" else "/tmp/two",
    )
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as back:
        assert back.getnames() == ["two"]
        assert back.getmember("two").mode & 0o777 == 0o640
    chunks, stat = cat.get_archive("/tmp")
    assert stat["mode"] >> 31 == 1, "Go's bit for a folder"
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as back:
        assert {"tmp/one", "tmp/two"} <= set(back.getnames())
    with pytest.raises(docker.errors.NotFound):
        cat.get_archive("/nosuch")
    if kind == "podman":  # which makes the folder
        return
    with pytest.raises(docker.errors.NotFound):
        cat.put_archive("/nosuch", archive(one="1"))
    with pytest.raises(docker.errors.APIError):
        cat.put_archive("/tmp", b"this is no archive, and it is longer than a tar's block is" * 20)


def test_a_file_takes_the_place_of_a_directory(cat: Any) -> None:
    assert cat.exec_run("mkdir -p /tmp/place/more")[0] == 0
    assert cat.put_archive("/tmp", archive(place="1")) is True
    assert cat.exec_run("cat /tmp/place")[1] == b"1"


def test_a_link_to_itself_is_not_followed(cat: Any) -> None:
    assert cat.exec_run("ln -s around /tmp/around")[0] == 0
    with pytest.raises(docker.errors.APIError, match="too many l"):
        cat.get_archive("/tmp/around")
    with pytest.raises(docker.errors.APIError):
        cat.put_archive("/tmp/around", archive(one="1"))


def test_a_large_archive(cat: Any) -> None:
    assert cat.put_archive("/tmp", archive(large="0123456789abcdef" * 500_000)) is True
    assert cat.exec_run("wc -c /tmp/large")[1] == b"8000000 /tmp/large\n"
    chunks, _ = cat.get_archive("/tmp/large")
    assert sum(map(len, chunks)) > 8_000_000


def end(kind: Kind) -> int:
    """A second after now. Podman tells nothing where that has come by the time that it looks."""
    return int(time.time()) + (5 if kind == "podman" else 1)


def test_events(client: Client, kind: Kind, prefix: str) -> None:
    since = client.info()["SystemTime"]
    container: Any = client.containers.run("busybox", ["true"], detach=True, name=f"{prefix}c", labels=label(prefix))
    container.wait()
    container.remove()
    wanted = ["create", "start", "die", "destroy"] if kind != "podman" else ["create", "start"]
    events = client.events(since=int(time.time()) - 60, until=end(kind), decode=True, filters={"container": f"{prefix}c"})
    found = [event for event in events if event["Type"] == "container"]
    assert [event["Action"] for event in found if event["Action"] in wanted] == wanted
    assert since
    first = found[0]
    assert (first["Actor"]["ID"], first["Actor"]["Attributes"]["name"], first["id"]) == (container.id, f"{prefix}c", container.id)
    assert first["timeNano"] // 10**9 == first["time"]


def test_events_as_they_come(client: Client, prefix: str) -> None:
    events = client.events(decode=True, filters={"container": f"{prefix}c", "event": ["create"]})
    container: Any = client.containers.create("busybox", name=f"{prefix}c")
    with closing(events):
        assert next(iter(events))["Actor"]["ID"] == container.id


def test_the_events_of_volumes_and_networks(client: Client, kind: Kind, prefix: str) -> None:
    begun = int(time.time())
    client.volumes.create(f"{prefix}v").remove()
    client.networks.create(f"{prefix}n").remove()
    found: Iterator[Any] = client.events(since=begun, until=end(kind), decode=True, filters={"type": ["volume", "network"]})
    names = [(event["Type"], event["Action"]) for event in found if prefix in str(event["Actor"])]
    if kind != "podman":  # which tells of neither
        assert names == [("volume", "create"), ("volume", "destroy"), ("network", "create"), ("network", "destroy")]
