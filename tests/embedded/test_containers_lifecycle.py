"""Start, stop, kill, restart, pause, wait and removal of containers, on the real runtime. Statuses and texts are Docker Engine 28's."""

from __future__ import annotations

import socket
import time

import pytest

from dockerlab.engine.containers.container import Condition
from tests.embedded.containing import Client, Engine

LOOP = ("sh", "-c", "trap 'exit 7' TERM; echo begun; while :; do sleep 0.1; done")


@pytest.mark.parametrize(
    ("command", "status", "code", "text"),
    [
        ("nosuch", 400, 127, 'exec: "nosuch": executable file not found in $PATH'),
        ("/nosuch/x", 400, 127, "no such file or directory"),
        ("/etc", 400, 126, "is a directory"),
    ],
)
def test_a_command_that_cannot_be_started(api: Client, command: str, status: int, code: int, text: str) -> None:
    made = api.create(command)
    got, message = api.message("POST", f"/containers/{made}/start")
    assert got == status
    assert message.startswith("failed to create task for container: ")
    assert text in message
    state = api.inspect(made)["State"]
    assert (state["Status"], state["ExitCode"], state["Error"]) == ("created", code, message)


def test_a_user_that_is_not_there(api: Client) -> None:
    made = api.create("true", User="nobodyx")
    text = "unable to find user nobodyx: no matching entries in passwd file"
    assert api.message("POST", f"/containers/{made}/start") == (500, text)


def test_what_could_not_be_started_and_removes_itself_is_gone(api: Client, inside: Engine) -> None:
    made = api.create("nosuch", host={"AutoRemove": True})
    assert api.post(f"/containers/{made}/start").status == 400
    assert api.ask("GET", f"/containers/{made}/json").status == 404
    assert not inside.home.container(made).exists()


def test_start_and_stop_twice(api: Client) -> None:
    made = api.ready(*LOOP)
    assert api.post(f"/containers/{made}/start").status == 304
    assert api.post(f"/containers/{made}/stop").status == 204
    assert api.inspect(made)["State"]["ExitCode"] == 7
    assert api.post(f"/containers/{made}/stop").status == 304


def test_what_does_not_end_is_killed(api: Client, inside: Engine) -> None:
    made = api.ready("sh", "-c", "trap '' TERM; echo begun; while :; do sleep 0.1; done", StopTimeout=0)
    assert api.post(f"/containers/{made}/stop").status == 204
    assert api.inspect(made)["State"]["ExitCode"] == 137
    assert inside.actions(made)[2:] == ["kill", "kill", "die", "stop"]


def test_stop_with_a_signal_of_the_containers_or_the_clients(api: Client) -> None:
    command = ("sh", "-c", "trap 'exit 1' USR1; trap 'exit 2' USR2; echo begun; read x", "sh")
    made = api.ready(*command, StopSignal="SIGUSR1", OpenStdin=True)
    assert api.post(f"/containers/{made}/stop").status == 204
    assert api.inspect(made)["State"]["ExitCode"] == 1
    made = api.ready(*command, OpenStdin=True)
    assert api.post(f"/containers/{made}/stop", signal="USR2").status == 204
    assert api.inspect(made)["State"]["ExitCode"] == 2


def test_kill(api: Client) -> None:
    made = api.ready(*LOOP, name="web")
    assert api.message("POST", "/containers/web/kill", signal="FOO") == (400, "cannot kill container: web: invalid signal: FOO")
    assert api.post("/containers/web/kill", signal="TERM").status == 204
    assert api.wait("web") == 7
    text = f"cannot kill container: web: container {made} is not running"
    assert api.message("POST", "/containers/web/kill") == (409, text)


def test_restart(api: Client, inside: Engine) -> None:
    made = api.ready(*LOOP)
    before = api.inspect(made)["State"]
    assert api.post(f"/containers/{made}/restart", t=5).status == 204
    after = api.inspect(made)["State"]
    assert after["Status"] == "running"
    assert (after["Pid"], after["StartedAt"]) != (before["Pid"], before["StartedAt"])
    assert inside.actions(made)[1:] == ["start", "kill", "die", "stop", "start", "restart"]


def test_restarting_does_not_remove_what_removes_itself(api: Client) -> None:
    made = api.ready(*LOOP, host={"AutoRemove": True})
    assert api.post(f"/containers/{made}/restart", t=5).status == 204
    assert api.inspect(made)["State"]["Status"] == "running"


def test_pause(api: Client) -> None:
    made = api.ready(*LOOP, name="web")
    assert api.message("POST", "/containers/web/unpause") == (500, f"Container {made} is not paused")
    assert api.post("/containers/web/pause").status == 204
    state = api.inspect(made)["State"]
    assert (state["Status"], state["Running"], state["Paused"]) == ("paused", True, True)
    assert api.message("POST", "/containers/web/pause") == (409, f"Container {made} is already paused")
    assert api.message("POST", "/containers/web/start") == (409, "cannot start a paused container, try unpause instead")
    reason = 'cannot remove container "web": container is paused and must be unpaused first'
    assert api.message("DELETE", "/containers/web") == (409, reason)
    assert api.post("/containers/web/stop").status == 204
    assert api.inspect(made)["State"]["ExitCode"] == 7


def test_what_needs_a_running_container(api: Client) -> None:
    made = api.create("true")
    for call in ("pause", "resize?h=1&w=1", "exec"):
        body = {"Cmd": ["true"]} if call == "exec" else None
        assert api.message("POST", f"/containers/{made}/{call}", body) == (409, f"container {made} is not running")


def test_removing_what_runs(api: Client, inside: Engine) -> None:
    made = api.ready(*LOOP, name="web")
    reason = "container is running: stop the container before removing or force remove"
    assert api.message("DELETE", "/containers/web") == (409, f'cannot remove container "web": {reason}')
    assert api.ask("DELETE", "/containers/web", force=1).status == 204
    assert inside.actions(made)[2:] == ["kill", "die", "destroy"]


def test_wait_for_the_next_exit_and_for_the_removal(api: Client) -> None:
    made = api.create("sh", "-c", "exit 5", host={"AutoRemove": True})
    replies = []
    for condition in ("next-exit", "removed"):
        talk_path = f"/containers/{made}/wait?condition={condition}"
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(20)
        sock.connect(str(api.path))
        sock.sendall(f"POST {talk_path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        # The head comes before there is anything to tell: then it is waited for.
        assert sock.recv(15) == b"HTTP/1.1 200 OK"
        replies.append(sock)
    assert api.post(f"/containers/{made}/start").status == 204
    for sock in replies:
        with sock, sock.makefile("rb") as file:
            assert b'{"StatusCode":5}' in file.read()
    assert api.ask("GET", f"/containers/{made}/json").status == 404


@pytest.mark.parametrize("condition", ["removed", "next-exit", "not-running"])
def test_nobody_waits_for_a_container_that_has_just_been_removed(api: Client, inside: Engine, condition: Condition) -> None:
    container = inside.containers.get(api.create("true"))
    inside.containers.remove(container)
    waiter = container.waiter(condition)
    assert waiter.wait(0)


def test_waiting_ends_with_the_client(api: Client, inside: Engine) -> None:
    made = api.create("true")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(api.path))
        sock.sendall(f"POST /containers/{made}/wait?condition=removed HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert sock.recv(15) == b"HTTP/1.1 200 OK"
        assert inside.containers.get(made)._waiters
    deadline = time.monotonic() + 20
    while inside.containers.get(made)._waiters and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not inside.containers.get(made)._waiters


def test_a_policy_restarts_on_failure(api: Client, inside: Engine) -> None:
    made = api.run("sh", "-c", "echo run; exit 4", host={"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}})
    deadline = time.monotonic() + 20
    while (shown := api.inspect(made))["State"]["Status"] != "exited" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (shown["RestartCount"], shown["State"]["ExitCode"]) == (2, 4)
    assert api.output(made)[1] == b"run\n" * 3
    assert inside.actions(made) == ["create", *("start", "die") * 3]


def test_what_waits_for_its_restart_can_be_stopped(api: Client) -> None:
    made = api.run("false", host={"RestartPolicy": {"Name": "always"}}, name="web")
    deadline = time.monotonic() + 20
    while (state := api.inspect(made)["State"])["Status"] != "restarting" and time.monotonic() < deadline:
        time.sleep(0.002)
    assert (state["Running"], state["Restarting"], state["ExitCode"]) == (True, True, 1)
    assert api.post("/containers/web/stop").status == 204
    assert api.inspect(made)["State"]["Status"] == "exited"
    assert api.ask("DELETE", "/containers/web").status == 204
