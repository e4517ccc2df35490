"""`--ssh`: which agents there are, and what a build may ask of one, with a real ssh-agent."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab.builds.ssh import Agents
from dockerlab.errors import UsageError
from dockerlab.wire import grpc
from dockerlab.wire.protobuf import decode, encode
from dockerlab.wire.services import BytesMessage, CheckAgentRequest
from tests.unit.exchanging import Call

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="an agent listens on a named pipe there")
IDENTITIES, SIGN, ANSWER, SIGNATURE, FAILURE = 11, 13, 12, 14, 5


def framed(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def text(data: bytes) -> bytes:
    return framed(data)


def answers(call: Call) -> list[bytes]:
    """What came back, without lengths."""
    data = b"".join(decode(BytesMessage, message).data for message in call.sent)
    found = []
    while data:
        size = struct.unpack_from(">I", data)[0]
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short one: the names of sockets are limited."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def agent(folder: Path) -> Iterator[str]:
    """A real one, with a key."""
    if not shutil.which("ssh-agent"):
        pytest.skip("there is no ssh-agent")
    path = str(folder / "agent.sock")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if os.path.exists(path):
                break
            time.sleep(0.05)
        key = str(folder / "key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "the key", "-f", key], check=True)
        subprocess.run(["ssh-add", "-q", key], env={**os.environ, "SSH_AUTH_SOCK": path}, check=True)
        yield path
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def slow(folder: Path) -> Iterator[tuple[str, socket.socket]]:
    """An agent's socket, and who is to answer on it."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "slow.sock"))
        listener.listen()
        yield str(folder / "slow.sock"), listener


def test_a_build_may_ask_for_keys_and_let_them_sign(agent: str) -> None:
    call = Call()
    service = Agents.of([f"default={agent}"]).forward(call, {"buildkit.ssh.id": ["default"]})
    # In pieces, as they may come.
    whole = framed(bytes([IDENTITIES]))
    call.tell(service, encode(BytesMessage(whole[:3])), encode(BytesMessage(whole[3:])))
    keys = answers(call)[0]
    assert keys[0] == ANSWER
    assert b"the key" in keys
    size = struct.unpack_from(">I", keys, 5)[0]
    call.tell(service, encode(BytesMessage(framed(bytes([SIGN]) + text(keys[9 : 9 + size]) + text(b"data") + bytes(4)))))
    assert answers(call)[1][0] == SIGNATURE
    service.ended()
    assert call.status == grpc.OK


def test_whatever_else_is_asked_fails_and_does_not_reach_the_agent(agent: str) -> None:
    call = Call()
    service = Agents.of([f"default={agent}"]).forward(call, {})
    add, remove, remove_all, lock, extension = 17, 18, 19, 22, 27
    call.tell(service, encode(BytesMessage(b"".join(framed(bytes([kind])) for kind in (add, remove, remove_all, lock, extension)))))
    call.tell(service, encode(BytesMessage(framed(b"") + framed(bytes([IDENTITIES])))))
    *failed, keys = answers(call)
    assert failed == [bytes([FAILURE])] * 6
    assert b"the key" in keys
    service.ended()


def test_an_agent_that_asks_a_person_first_is_waited_for(slow: tuple[str, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dockerlab.builds.ssh._SECONDS", 0.05)
    path, listener = slow
    call = Call()
    service = Agents.of([f"default={path}"]).forward(call, {})
    there, _ = listener.accept()
    with there:
        request = framed(bytes([IDENTITIES]))
        call.tell(service, encode(BytesMessage(request * 2)))
        service.ended()
        assert (call.sent, call.status) == ([], None)
        assert there.recv(100) == request
        there.sendall(framed(b"\x0cone")[:5])
        assert not service.more()
        assert call.sent == []
        there.sendall(framed(b"\x0cone")[5:])
        assert not service.more()
        assert there.recv(100) == request
        there.sendall(framed(b"\x0ctwo"))
        service.more()
    assert answers(call) == [b"\x0cone", b"\x0ctwo"]
    assert call.status == grpc.OK


def test_an_agent_that_goes_away_ends_the_call(slow: tuple[str, socket.socket]) -> None:
    path, listener = slow
    call = Call()
    service = Agents.of([f"default={path}"]).forward(call, {})
    there, _ = listener.accept()

    def leave() -> None:
        there.recv(5)
        there.close()

    threading.Thread(target=leave).start()
    call.tell(service, encode(BytesMessage(framed(bytes([IDENTITIES])))))
    assert (call.status, call.text) == (grpc.UNAVAILABLE, "the ssh agent broke off: its answer is none")


def test_a_request_without_an_end_is_refused(slow: tuple[str, socket.socket]) -> None:
    call = Call()
    service = Agents.of([f"default={slow[0]}"]).forward(call, {})
    call.tell(service, *(encode(BytesMessage(b"\xff" * 100_000)) for _ in range(3)))
    assert (call.status, call.text) == (grpc.RESOURCE_EXHAUSTED, "a request to the ssh agent is too long")


def test_an_agent_that_is_not_given_is_not_there(slow: tuple[str, socket.socket]) -> None:
    agents = Agents.of([f"work={slow[0]}"])
    for name, status in (("work", grpc.OK), ("", grpc.NOT_FOUND), ("other", grpc.NOT_FOUND)):
        call = Call()
        call.tell(agents.check(call, {}), encode(CheckAgentRequest(name)))
        assert call.status == status
    assert call.text == "unset ssh forward key other"


def test_the_usual_agent_is_that_of_the_environment(slow: tuple[str, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", slow[0])
    assert [*Agents.of(["default", "other"])] == ["default", "other"]
    monkeypatch.delenv("SSH_AUTH_SOCK")
    with pytest.raises(UsageError, match="there is no ssh agent: SSH_AUTH_SOCK is not set"):
        Agents.of(["default"])


def test_a_key_is_refused_and_the_way_to_the_agent_shown(folder: Path) -> None:
    (folder / "key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----")
    with pytest.raises(UsageError, match="is no agent's socket") as caught:
        Agents.of([f"work={folder}/key"])
    assert caught.value.hint == f"Add the key to your agent: `ssh-add {folder}/key`, then use `--ssh work`."
    with pytest.raises(UsageError, match="is not there: No such file"):
        Agents.of([f"work={folder}/nothing"])


def test_an_id_is_given_once(slow: tuple[str, socket.socket]) -> None:
    with pytest.raises(UsageError, match="the agent 'a' is given twice"):
        Agents.of([f"a={slow[0]}"] * 2)
