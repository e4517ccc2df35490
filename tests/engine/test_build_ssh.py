"""A real ssh agent of this machine in a `RUN --mount=type=ssh`, on real engines: which keys it has, what it signs, what it is not told."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import dockerlab
from dockerlab.client import Client
from dockerlab.errors import BuildError

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("sessions")]

LABEL = {"dockerlab-test": "ssh"}
TOOLS = ("ssh-agent", "ssh-add", "ssh-keygen")
# Speaks the agent's protocol (draft-miller-ssh-agent): a length, a number that says what it is, and fields behind their lengths.
ASK = """
import os, socket, struct, sys

def connected():
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(os.environ["SSH_AUTH_SOCK"])
    return sock

def field(data):
    return struct.pack(">I", len(data)) + data

def exactly(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        assert piece, "the agent has gone"
        data += piece
    return data

def ask(sock, message):
    sock.sendall(field(message))
    return exactly(sock, struct.unpack(">I", exactly(sock, 4))[0])

def taken(data):
    size = struct.unpack(">I", data[:4])[0]
    return data[4:4 + size], data[4 + size:]

several = [connected() for _ in range(3)]
for sock in several:
    answer = ask(sock, bytes([11]))
    assert answer[0] == 12, answer
    assert struct.unpack(">I", answer[1:5])[0] == 1, answer
    key, rest = taken(answer[5:])
print("comment", taken(rest)[0].decode())
print("removing", ask(several[0], bytes([19]))[0])
signed = ask(several[1], bytes([13]) + field(key) + field(sys.argv[1].encode() * 3000) + bytes(4))
print("signature", signed[0], taken(signed[1:])[0].hex())
"""


@pytest.fixture(autouse=True)
def no_image_is_left(client: Client) -> Iterator[None]:
    yield
    for image in client.api.images(filters={"label": "dockerlab-test=ssh"}):
        client.api.remove_image(image["Id"], force=True)


@pytest.fixture(autouse=True)
def the_tools_are_here() -> None:
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        pytest.skip(f"this machine has no {', '.join(missing)}")


@pytest.fixture(scope="module")
def agent() -> Iterator[str]:
    """The socket of an agent with one key, whose comment is canary."""
    with tempfile.TemporaryDirectory(prefix="dl-") as name:
        folder = Path(name)
        path = folder / "agent"
        process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 20
            while not path.exists():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            key = folder / "key"
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "canary", "-f", key], check=True)
            subprocess.run(["ssh-add", "-q", key], check=True, env={**os.environ, "SSH_AUTH_SOCK": str(path)}, capture_output=True)
            yield str(path)
        finally:
            process.terminate()
            process.wait()


def signature(agent: str, data: bytes) -> str:
    """What the agent signs when it is asked here. Of this kind of key two signatures of the same are the same."""

    def field(value: bytes) -> bytes:
        return struct.pack(">I", len(value)) + value

    def ask(message: bytes) -> bytes:
        sock.sendall(field(message))
        size = struct.unpack(">I", file.read(4))[0]
        return file.read(size)

    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(agent)
        with sock.makefile("rb") as file:
            keys = ask(bytes([11]))
            key = keys[9 : 9 + struct.unpack(">I", keys[5:9])[0]]
            return ask(bytes([13]) + field(key) + field(data) + bytes(4))[5:].hex()


def test_a_real_agent_answers_and_signs_and_keeps_its_keys(client: Client, agent: str) -> None:
    """More than a piece of the way holds is signed; what would take keys away does not reach it."""
    nonce = os.urandom(8).hex()
    text = f"FROM python:3.10\nCOPY ask.py /\nRUN --mount=type=ssh,required=true python /ask.py {nonce}\n"
    record = dockerlab.build(text, files={"ask.py": ASK}, ssh=f"default={agent}", label=LABEL, client=client).build
    assert record
    said = [line for step in record.steps for line in step.output if line.split()[0] in ("comment", "removing", "signature")]
    assert said == ["comment canary", "removing 5", f"signature 14 {signature(agent, nonce.encode() * 3000)}"]


def test_an_agent_by_its_name_and_only_for_its_step(client: Client, agent: str) -> None:
    nonce = os.urandom(8).hex()
    lines = [
        f"RUN --mount=type=ssh,id=work,target=/my/agent python /ask.py {nonce} && echo at $SSH_AUTH_SOCK",
        'RUN test -z "$SSH_AUTH_SOCK" && test ! -e /my/agent && echo gone',
    ]
    text = "\n".join(["FROM python:3.10", "COPY ask.py /", *lines, ""])
    record = dockerlab.build(text, files={"ask.py": ASK}, ssh=f"work={agent}", label=LABEL, client=client).build
    assert record
    assert [line for step in record.steps for line in step.output if line.split()[0] in ("at", "gone")] == ["at /my/agent", "gone"]
    missing = f"FROM python:3.10\nRUN --mount=type=ssh,id=other,required=true true # {nonce}\n"
    with pytest.raises(BuildError, match=r"no SSH key|unset ssh forward key"):
        dockerlab.build(missing, ssh=f"work={agent}", label=LABEL, client=client)


@pytest.mark.parametrize("name", ["default", "other"])
def test_a_mount_without_an_agent_says_which_flag_is_missing(client: Client, name: str) -> None:
    text = f"FROM busybox\nRUN --mount=type=ssh,id={name},required=true true\n"
    with pytest.raises(BuildError, match=f"line 2: there is no ssh agent '{name}'") as caught:
        dockerlab.build(text, client=client, label=LABEL)
    assert f"`--ssh {name}`" in str(caught.value.hint)


def test_a_context_that_is_fetched_by_ssh_without_an_agent_says_which_flag_is_missing(client: Client, own_api: str) -> None:
    if own_api != "contexts":
        pytest.skip("the engine has no named contexts")
    text = "FROM busybox\nCOPY --from=lib / /x/\n"
    with pytest.raises(BuildError) as caught:
        dockerlab.build(text, client=client, label=LABEL, build_contexts={"lib": "git@127.0.0.1:org/repo"})
    if "unknown scheme git" in str(caught.value.evidence):
        pytest.skip("the engine has no git")
    assert "without an agent: load git source git@127.0.0.1:org/repo" in str(caught.value)
    assert "`--ssh default`" in str(caught.value.hint)
