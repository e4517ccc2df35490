"""docker exec through the API, on the real runtime. Statuses and texts are Docker Engine 28's."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest

from tests.embedded.containing import Client, Engine, by_stream
from tests.embedded.serving import Talk

LOOP = ("sh", "-c", "while :; do sleep 0.1; done")
FAILED = "OCI runtime exec failed: exec failed: unable to start container process: "


@pytest.fixture
def web(api: Client) -> str:
    """A container that runs."""
    return api.run(*LOOP, name="web", Env=["A=own"])


def made(api: Client, *command: str, **asked: Any) -> str:
    body = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True, **asked}
    reply = api.post("/containers/web/exec", body)
    assert reply.status == 201, reply.body
    return str(reply.json()["Id"])


def started(api: Client, identifier: str, given: bytes = b"", **asked: Any) -> bytes:
    """All that an exec prints."""

    body = json.dumps(asked).encode()
    head = f"POST /exec/{identifier}/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
    with Talk(api.path) as talk:
        talk.send(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        assert talk.head().status == 101
        if given:
            talk.send(given)
            talk.sock.shutdown(socket.SHUT_WR)
        return talk.file.read()


def test_output_exit_code_and_inspection(api: Client, inside: Engine, web: str) -> None:
    run = made(api, "sh", "-c", "echo out; echo err >&2; exit 3", User="root", DetachKeys="ctrl-a")
    before = api.get(f"/exec/{run}/json")
    assert before["DetachKeys"] == "AQ=="
    assert (before["Running"], before["ExitCode"], before["Pid"]) == (False, None, 0)
    assert by_stream(started(api, run)) == {1: b"out\n", 2: b"err\n"}
    after = api.get(f"/exec/{run}/json")
    assert (after["Running"], after["ExitCode"], after["ContainerID"]) == (False, 3, web)
    process = {"entrypoint": "sh", "arguments": ["-c", "echo out; echo err >&2; exit 3"], "privileged": False, "tty": False}
    assert after["ProcessConfig"] == process | {"user": "root"}
    told = [event for event in inside.history() if event.attributes.get("execID") == run]
    command = "sh -c echo out; echo err >&2; exit 3"
    assert [event.action for event in told] == [f"exec_create: {command}", f"exec_start: {command}", "exec_die"]
    assert told[-1].attributes["exitCode"] == "3"


def test_only_the_streams_that_are_asked_for(api: Client, web: str) -> None:
    run = made(api, "sh", "-c", "echo out; echo err >&2", AttachStderr=False)
    assert by_stream(started(api, run)) == {1: b"out\n", 2: b""}


def test_input(api: Client, web: str) -> None:
    data = b"0123456789abcde\n" * 20_000
    assert by_stream(started(api, made(api, "cat", AttachStdin=True), data))[1] == data


def test_environment_directory_and_user(api: Client, web: str) -> None:
    script = 'echo "$A $B $HOSTNAME"; pwd; id -u'
    run = made(api, "sh", "-c", script, Env=["B=more"], WorkingDir="/tmp", User="nobody")
    assert by_stream(started(api, run))[1] == f"own more {web[:12]}\n/tmp\n65534\n".encode()


def test_a_terminal_and_its_size(api: Client, web: str) -> None:
    run = made(api, "sh", "-c", "stty size; echo $TERM", Tty=True)
    assert started(api, run, Tty=True, ConsoleSize=[30, 40]) == b"30 40\r\nxterm\r\n"


@pytest.mark.parametrize(
    ("command", "asked", "code", "text"),
    [
        ("nosuch", {}, 127, f'{FAILED}exec: "nosuch": executable file not found in $PATH\r\n'),
        ("/etc", {}, 126, f'{FAILED}exec: "/etc": is a directory: permission denied'),
        (
            "true",
            {"WorkingDir": "/nosuch"},
            127,
            f'{FAILED}chdir to cwd ("/nosuch") set in config.json failed: no such file or directory\r\n',
        ),
        ("true", {"Env": ["=x"]}, 128, f"{FAILED}invalid environment variable: name cannot be empty\r\n"),
        ("true", {"WorkingDir": "nosuch"}, 128, "OCI runtime exec failed: exec failed: Cwd must be an absolute path\r\n"),
    ],
)
def test_what_cannot_be_started_says_so_as_its_output(
    api: Client, web: str, command: str, asked: Any, code: int, text: str
) -> None:
    run = made(api, command, **asked)
    assert by_stream(started(api, run))[1].decode().startswith(text)
    assert api.get(f"/exec/{run}/json")["ExitCode"] == code
    detached = made(api, command, **asked)
    status, message = api.message("POST", f"/exec/{detached}/start", {"Detach": True})
    assert status == 400
    assert message.startswith(text.rstrip())


def test_a_detached_one_runs_on(api: Client, web: str) -> None:
    run = made(api, "sleep", "100")
    assert api.post(f"/exec/{run}/start", {"Detach": True}).status == 200
    shown = api.get(f"/exec/{run}/json")
    assert (shown["Running"], shown["ExitCode"]) == (True, None)
    assert shown["Pid"] > 0
    assert api.inspect(web)["ExecIDs"] == [run]
    text = f"exec command {run} is already running"
    assert api.message("POST", f"/exec/{run}/start", {"Detach": True}) == (409, text)
    assert by_stream(started(api, run)) == {1: f"{text}\r\n".encode(), 2: b""}
    # It goes with its container.
    api.post("/containers/web/kill")
    api.wait("web")
    assert api.get(f"/exec/{run}/json")["ExitCode"] == 137
    assert api.message("POST", f"/exec/{run}/start", {"Detach": True}) == (404, f"No such exec instance: {run}")


def test_one_that_has_run_does_not_start_again(api: Client, web: str) -> None:
    run = made(api, "true")
    started(api, run)
    text = f"exec command {run} has already run"
    assert by_stream(started(api, run)) == {1: f"{text}\r\n".encode(), 2: b""}
    assert api.message("POST", f"/exec/{run}/start", {"Detach": True}) == (409, text)


def test_one_that_never_started_is_gone_with_the_run(api: Client, web: str) -> None:
    run = made(api, "true")
    api.post("/containers/web/kill")
    api.wait("web")
    assert api.message("POST", f"/exec/{run}/start", {}) == (404, f"No such exec instance: {run}")


def test_resize(api: Client, web: str) -> None:
    run = made(api, "sh", "-c", "trap 'stty size; exit' WINCH; while :; do sleep 0.05; done", Tty=True)

    body = json.dumps({"Tty": True}).encode()
    with Talk(api.path) as talk:
        talk.send(
            f"POST /exec/{run}/start HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        talk.send(body)
        assert talk.head().status == 200
        deadline = time.monotonic() + 20
        rows = 20
        talk.sock.settimeout(0.2)
        said = b""
        # The shell may not have set its trap yet.
        while not said and time.monotonic() < deadline:
            rows += 1
            assert api.post(f"/exec/{run}/resize?h={rows}&w=70").status == 200
            try:
                said = talk.sock.recv(100)
            except TimeoutError:
                continue
        assert said.endswith(b" 70\r\n")


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 400, "No exec command specified"),
        ({"Cmd": []}, 400, "No exec command specified"),
        ({"Cmd": ["true"], "Env": [""]}, 400, "invalid environment variable: "),
        ({"Cmd": ["sleep", "1"], "DetachKeys": "foo"}, 500, "Invalid escape keys (foo) provided"),
    ],
)
def test_what_cannot_be_created(api: Client, web: str, body: Any, status: int, text: str) -> None:
    assert api.message("POST", "/containers/web/exec", body) == (status, text)


def test_a_paused_container_takes_none(api: Client, web: str) -> None:
    run = made(api, "true")
    api.post("/containers/web/pause")
    text = "is paused, unpause the container before exec"
    assert api.message("POST", "/containers/web/exec", {"Cmd": ["true"]}) == (409, f"Container web {text}")
    assert api.message("POST", f"/exec/{run}/start", {}) == (409, f"Container {web} {text}")
    api.post("/containers/web/unpause")
    assert by_stream(started(api, run)) == {1: b"", 2: b""}


def test_an_exec_that_is_not_there(api: Client) -> None:
    text = "No such exec instance: nosuch"
    assert api.message("GET", "/exec/nosuch/json") == (404, text)
    assert api.message("POST", "/exec/nosuch/start", {}) == (404, text)
    assert api.message("POST", "/exec/nosuch/resize?h=1&w=1") == (404, text)


def test_execs_go_with_their_container(api: Client, inside: Engine, web: str) -> None:
    run = made(api, "true")
    api.ask("DELETE", "/containers/web", force=1)
    assert api.ask("GET", f"/exec/{run}/json").status == 404


@pytest.mark.parametrize(
    ("user", "text"),
    [
        ("nosuch", "unable to find user nosuch: no matching entries in passwd file"),
        ("0:nosuch", "unable to find group nosuch: no matching entries in group file"),
        ("99999999999", "uids and gids must be in range 0-2147483647"),
    ],
)
def test_a_user_that_is_not_there(api: Client, web: str, user: str, text: str) -> None:
    assert api.message("POST", f"/containers/{web}/exec", {"Cmd": ["id"], "User": user}) == (400, text)
    assert api.inspect(web)["ExecIDs"] is None


def test_the_size_of_a_terminal_may_be_given_early(api: Client, web: str) -> None:
    run = made(api, "stty", "size", Tty=True, ConsoleSize=[24, 80])
    assert api.inspect(web)["ExecIDs"] == [run]
    assert started(api, run, Tty=True) == b"24 80\r\n"
    run = made(api, "stty", "size", Tty=True, ConsoleSize=[24, 80])
    assert started(api, run, Tty=True, ConsoleSize=[5, 6]) == b"5 6\r\n"


def test_whoever_says_that_there_is_a_terminal_gets_no_frames(api: Client, web: str) -> None:
    assert started(api, made(api, "echo", "plain"), Tty=True) == b"plain\n"
    assert by_stream(started(api, made(api, "echo", "tty", Tty=True))) == {1: b"tty\r\n", 2: b""}
