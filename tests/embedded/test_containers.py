"""Containers through the API, on the real runtime: their life, their errors, their files. Statuses and texts are Docker Engine 28's."""

from __future__ import annotations

import io
import itertools
import json
import re
import socket
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.embedded.containing import Client, Engine

LOOP = ("sh", "-c", "trap 'exit 7' TERM; echo begun; while :; do sleep 0.1; done")
NO = "No such container: nosuch"


def actions(inside: Engine, identifier: str) -> list[str]:
    return [event.action for event in inside.history() if event.id == identifier]


def test_a_container_from_creation_to_removal(api: Client, inside: Engine) -> None:
    made = api.create("sh", "-c", "echo hi; exit 3", name="web", Labels={"own": "label"})
    assert api.inspect("web")["State"]["Status"] == "created"
    assert api.post("/containers/web/start").status == 204
    assert api.wait("web") == 3
    shown = api.inspect(made[:12])
    assert (shown["Id"], shown["Name"], shown["Path"], shown["Args"]) == (made, "/web", "sh", ["-c", "echo hi; exit 3"])
    assert (shown["State"]["Status"], shown["State"]["ExitCode"], shown["State"]["Pid"]) == ("exited", 3, 0)
    assert shown["State"]["StartedAt"] < shown["State"]["FinishedAt"]
    assert shown["Config"]["Labels"] == {"from": "image", "own": "label"}
    assert shown["Config"]["Hostname"] == made[:12]
    assert api.output("web") == {1: b"hi\n", 2: b""}
    assert api.ask("DELETE", "/containers/web").status == 204
    assert api.message("GET", "/containers/web/json") == (404, "No such container: web")
    assert not inside.home.container(made).exists()
    assert actions(inside, made) == ["create", "start", "die", "destroy"]


def test_events_say_which_container_and_how_it_ended(api: Client, inside: Engine) -> None:
    made = api.run("sh", "-c", "exit 4", name="web", Labels={"a": "b"})
    api.wait(made)
    died = next(event for event in inside.history() if event.id == made and event.action == "die")
    assert died.attributes == {
        "a": "b",
        "from": "image",
        "image": "busybox",
        "name": "web",
        "exitCode": "4",
        "execDuration": "0",
    }


@pytest.mark.parametrize(
    ("body", "name", "status", "text"),
    [
        ({"Image": "nosuch"}, "", 404, "No such image: nosuch:latest"),
        ({"Image": ""}, "", 400, "no command specified"),
        ({}, "", 400, "config cannot be empty in order to create a container"),
        ({"Image": "busybox"}, "a b", 400, "Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
        ({"Image": "busybox", "HostConfig": {"VolumesFrom": ["nosuch"]}}, "", 400, NO),
        (
            {"Image": "busybox", "HostConfig": {"Mounts": [{"Type": "bind", "Source": "/nosuch", "Target": "/x"}]}},
            "",
            400,
            'invalid mount config for type "bind": bind source path does not exist: /nosuch',
        ),
    ],
)
def test_what_cannot_be_created(api: Client, inside: Engine, body: Any, name: str, status: int, text: str) -> None:
    assert api.message("POST", "/containers/create", body, **({"name": name} if name else {})) == (status, text)
    assert list(inside.home.containers.iterdir()) == []


def test_a_creation_that_fails_late_leaves_nothing(api: Client, inside: Engine) -> None:
    host = {
        "Binds": ["/data"],
        "Mounts": [{"Type": "volume", "Target": "/x", "VolumeOptions": {"DriverConfig": {"Name": "nosuch"}}}],
    }
    reply = api.post("/containers/create", {"Image": "busybox", "HostConfig": host}, name="web")
    assert reply.status == 404
    assert list(inside.home.containers.iterdir()) == []
    assert api.get("/volumes")["Volumes"] == []
    api.create("true", name="web")


def test_a_name_is_given_once(api: Client) -> None:
    made = api.create("true", name="web")
    text = (
        f'Conflict. The container name "/web" is already in use by container "{made}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )
    assert api.message("POST", "/containers/create", {"Image": "busybox"}, name="web") == (409, text)
    api.create("true", name="other")
    assert api.message("POST", "/containers/other/rename", name="web") == (409, f"Error when allocating new name: {text}")


def test_a_container_without_a_name_gets_one(api: Client) -> None:
    assert re.fullmatch(r"/[a-z]+_[a-z]+", api.inspect(api.create("true"))["Name"])


def test_the_beginning_of_an_id(api: Client, inside: Engine) -> None:
    made = [api.create("true") for _ in range(17)]
    first = sorted(made)
    twice = next(a[0] for a, b in itertools.pairwise(first) if a[0] == b[0])
    assert api.message("GET", f"/containers/{twice}/json") == (400, f"multiple IDs found with provided prefix: {twice}")
    assert api.inspect(made[3][:20])["Id"] == made[3]


def test_rename(api: Client, inside: Engine) -> None:
    made = api.create("true", name="web")
    assert api.message("POST", "/containers/web/rename", name="") == (400, "Neither old nor new names may be empty")
    same = "Renaming a container with the same name as its current name"
    assert api.message("POST", "/containers/web/rename", name="web") == (400, same)
    wrong = "Error when allocating new name: Invalid container name (/a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    assert api.message("POST", "/containers/web/rename", name="a b") == (400, wrong)
    assert api.post("/containers/web/rename", name="new").status == 204
    assert api.inspect("new")["Id"] == made
    api.create("true", name="web")
    renamed = next(event for event in inside.history() if event.action == "rename" and event.id == made)
    assert (renamed.attributes["name"], renamed.attributes["oldName"]) == ("new", "/web")


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
    assert actions(inside, made)[2:] == ["kill", "kill", "die", "stop"]


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
    assert actions(inside, made)[1:] == ["start", "kill", "die", "stop", "start", "restart"]


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


@pytest.mark.parametrize("call", ["start", "stop", "restart", "pause", "unpause", "wait", "attach", "update", "rename?name=ab"])
def test_a_container_that_is_not_there(api: Client, call: str) -> None:
    assert api.message("POST", f"/containers/nosuch/{call}") == (404, NO)


def test_a_container_that_is_not_there_to_be_killed(api: Client) -> None:
    assert api.message("POST", "/containers/nosuch/kill") == (404, f"cannot kill container: nosuch: {NO}")


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("stop?t=x", 500, 'strconv.Atoi: parsing "x": invalid syntax'),
        ("resize?h=x&w=2", 400, 'invalid resize height "x": invalid syntax'),
        ("wait?condition=foo", 400, 'invalid condition: "foo"'),
        ("attach?detachKeys=foo", 400, "Invalid detach keys (foo) provided"),
        ("start?checkpoint=foo", 400, "checkpoint is only supported in experimental mode"),
    ],
)
def test_queries_that_make_no_sense(api: Client, path: str, status: int, text: str) -> None:
    made = api.create("true")
    assert api.message("POST", f"/containers/{made}/{path}") == (status, text)


def test_removing_what_runs(api: Client, inside: Engine) -> None:
    made = api.ready(*LOOP, name="web")
    reason = "container is running: stop the container before removing or force remove"
    assert api.message("DELETE", "/containers/web") == (409, f'cannot remove container "web": {reason}')
    assert api.ask("DELETE", "/containers/web", force=1).status == 204
    assert actions(inside, made)[2:] == ["kill", "die", "destroy"]


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
    assert actions(inside, made) == ["create", *("start", "die") * 3]


def test_what_waits_for_its_restart_can_be_stopped(api: Client) -> None:
    made = api.run("false", host={"RestartPolicy": {"Name": "always"}}, name="web")
    deadline = time.monotonic() + 20
    while (state := api.inspect(made)["State"])["Status"] != "restarting" and time.monotonic() < deadline:
        time.sleep(0.002)
    assert (state["Running"], state["Restarting"], state["ExitCode"]) == (True, True, 1)
    assert api.post("/containers/web/stop").status == 204
    assert api.inspect(made)["State"]["Status"] == "exited"
    assert api.ask("DELETE", "/containers/web").status == 204


def test_prune_removes_what_does_not_run(api: Client) -> None:
    running, ended, kept = api.ready(*LOOP), api.run("true"), api.create("true", Labels={"keep": "1"})
    api.wait(ended)
    reply = api.post("/containers/prune", filters={"label!": ["keep"]})
    assert reply.json() == {"ContainersDeleted": [ended], "SpaceReclaimed": 0}
    assert {one["Id"] for one in api.get("/containers/json", all=1)} == {running, kept}
    assert api.message("POST", "/containers/prune", filters={"foo": ["x"]}) == (400, "invalid filter 'foo'")


def test_list(api: Client) -> None:
    ended, running = api.run("sh", "-c", "exit 3", name="ended"), api.ready(*LOOP, name="runs", Labels={"a": "b"})
    api.wait(ended)

    def names(**query: Any) -> list[str]:
        return [one["Names"][0].removeprefix("/") for one in api.get("/containers/json", **query)]

    assert names() == ["runs"]
    assert names(all=1) == ["runs", "ended"]
    assert names(limit=1) == ["runs"]
    for filters, expected in (
        ({"status": ["exited"]}, ["ended"]),
        ({"exited": ["3"]}, []),
        ({"label": ["a=b"]}, ["runs"]),
        ({"name": ["^/ru"]}, ["runs"]),
        ({"id": [ended[:10]]}, []),
        ({"ancestor": ["busybox"]}, ["runs"]),
        ({"ancestor": ["nosuch"]}, []),
        ({"before": ["runs"]}, []),
        ({"since": ["ended"]}, ["runs"]),
        ({"network": ["bridge"]}, ["runs"]),
        ({"network": ["nosuch"]}, []),
        ({"health": ["none"]}, ["runs"]),
        ({"status": {"running": True}}, ["runs"]),
    ):
        assert names(filters=filters) == expected, filters
    for ask in ({"exited": ["3"]}, {"before": ["runs"]}):
        assert names(filters=ask, all=1) == ["ended"], ask
    one = api.get("/containers/json", size=1)[0]
    assert (one["Id"], one["Image"], one["State"], one["Created"]) == (
        running,
        "busybox",
        "running",
        pytest.approx(time.time(), abs=60),
    )
    assert one["Status"].startswith("Up ")
    assert one["Command"] == "sh -c 'trap '\"'\"'exit 7'\"'\"' TERM; echo begun; while :; do sleep 0.1; done'"
    assert one["SizeRootFs"] >= 1000


@pytest.mark.parametrize(
    ("filters", "status", "text"),
    [
        ({"foo": ["x"]}, 400, "invalid filter 'foo'"),
        ({"exited": ["x"]}, 400, "invalid filter 'exited=x': strconv.Atoi: parsing \"x\": invalid syntax"),
        ({"before": ["nosuch"]}, 404, NO),
        ({"is-task": ["x"]}, 400, "invalid filter 'is-task=[x]'"),
        ({"publish": ["x"]}, 500, 'error while looking up for publish x: strconv.ParseUint: parsing "x": invalid syntax'),
    ],
)
def test_filters_that_make_no_sense(api: Client, filters: Any, status: int, text: str) -> None:
    assert api.message("GET", "/containers/json", filters=filters) == (status, text)


def test_volumes_begin_with_what_the_image_has(api: Client) -> None:
    made = api.run("sh", "-c", "ls /etc/passwd; ls /named; touch /etc/new", host={"Binds": ["named:/named"]}, Volumes={"/etc": {}})
    assert api.wait(made) == 0
    assert api.output(made)[1] == b"/etc/passwd\n"
    points = {point["Destination"]: point for point in api.inspect(made)["Mounts"]}
    assert points["/named"]["Name"] == "named"
    assert len(points["/etc"]["Name"]) == 64
    names = {volume["Name"] for volume in api.get("/volumes")["Volumes"]}
    assert names == {"named", points["/etc"]["Name"]}
    assert "new" in {path.name for path in Path(points["/etc"]["Source"]).iterdir()}
    again = api.run("ls", "/x/new", host={"Binds": [f"{points['/etc']['Name']}:/x"]})
    assert api.wait(again) == 0
    for identifier in (again, made):
        assert api.ask("DELETE", f"/containers/{identifier}", v=1).status == 204
    # The one without a name goes with its container, the other stays.
    assert [volume["Name"] for volume in api.get("/volumes")["Volumes"]] == ["named"]


def test_binds_are_made_where_they_are_missing(api: Client, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("from the host")
    binds = [f"{tmp_path}/there:/there:ro", f"{tmp_path}/new/deep:/new"]
    made = api.run("sh", "-c", "cat /there/file; echo x > /new/file; touch /there/no", host={"Binds": binds})
    assert api.wait(made) == 1
    assert api.output(made)[1] == b"from the host"
    assert (tmp_path / "new" / "deep" / "file").read_text() == "x\n"


def test_volumes_from_another_container(api: Client) -> None:
    api.create("true", name="first", host={"Binds": ["shared:/data"]})
    made = api.run("sh", "-c", "touch /data/x", host={"VolumesFrom": ["first:ro"]})
    assert api.wait(made) == 1
    assert api.inspect(made)["Mounts"][0]["RW"] is False


def test_published_ports_are_forwarded_and_shown(api: Client) -> None:
    command = ("sh", "-c", 'mkdir /w; echo "$0" > /w/index.html; httpd -f -p 5000 -h /w')
    ports = {"PortBindings": {"5000/tcp": [{"HostPort": ""}]}}
    made = [api.run(*command, f"number {number}", host=ports, ExposedPorts={"5000/tcp": {}}) for number in range(3)]
    for number, identifier in enumerate(made):
        shown = api.inspect(identifier)["NetworkSettings"]["Ports"]["5000/tcp"]
        assert [one["HostIp"] for one in shown] == ["127.0.0.1"]
        assert _page(int(shown[0]["HostPort"])).endswith(f"number {number}\n".encode())
        network = api.inspect(identifier)["NetworkSettings"]["Networks"]["bridge"]
        assert _page(int(shown[0]["HostPort"]), network["Gateway"]).endswith(f"number {number}\n".encode())
    taken = api.inspect(made[0])["NetworkSettings"]["Ports"]["5000/tcp"][0]["HostPort"]
    other = api.create("true", host={"PortBindings": {"80/tcp": [{"HostPort": taken}]}})
    status, text = api.message("POST", f"/containers/{other}/start")
    assert (status, text.rpartition("Bind for ")[2]) == (500, f"127.0.0.1:{taken} failed: port is already allocated")
    api.post(f"/containers/{made[0]}/kill")
    api.wait(made[0])
    assert api.inspect(made[0])["NetworkSettings"]["Ports"] == {}
    assert api.post(f"/containers/{other}/start").status == 204


def _page(port: int, host: str = "127.0.0.1") -> bytes:
    deadline = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection((host, port), 20) as sock, sock.makefile("rb") as file:
                sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
                if (answer := file.read()) or time.monotonic() > deadline:
                    return answer
        except ConnectionError:
            assert time.monotonic() < deadline
        time.sleep(0.02)


def tar_of(**files: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize("runs", [True, False])
def test_files_are_copied_in_and_out(api: Client, inside: Engine, runs: bool) -> None:
    made = api.ready(*LOOP) if runs else api.create("cat", "/tmp/file", OpenStdin=True)
    archive = f"/containers/{made}/archive"
    assert api.ask("PUT", archive, tar_of(file=b"data" * 100_000), path="/tmp").status == 200
    reply = api.ask("GET", archive, path="/tmp/file")
    with tarfile.open(fileobj=io.BytesIO(reply.body)) as tar:
        copied = tar.extractfile("file")
        assert copied
        assert copied.read() == b"data" * 100_000
    assert api.ask("HEAD", archive, path="/tmp/file").headers["x-docker-container-path-stat"]
    assert api.message("GET", archive, path="/nosuch") == (404, f"Could not find the file /nosuch in container {made}")
    assert api.message("PUT", archive, tar_of(a=b""), path="/nosuch") == (
        404,
        f"Could not find the file /nosuch in container {made}",
    )
    assert api.message("PUT", archive, tar_of(a=b"x" * 3_000_000), path="/etc/passwd") == (
        400,
        "extraction point is not a directory",
    )
    assert api.ask("GET", archive).status == 400
    assert {"archive-path", "extract-to-dir"} <= set(actions(inside, made))
    exported = api.ask("GET", f"/containers/{made}/export").body
    with tarfile.open(fileobj=io.BytesIO(exported)) as tar:
        assert {"tmp/file", "etc/passwd"} <= set(tar.getnames())
    assert {"Path": "/tmp/file", "Kind": 1} in api.get(f"/containers/{made}/changes")


def test_a_client_that_leaves_in_the_middle_of_an_export_does_no_harm(api: Client) -> None:
    made = api.ready(*LOOP)
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(api.path))
            sock.sendall(f"GET /containers/{made}/export HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert sock.recv(1000)
    assert api.post(f"/containers/{made}/stop").status == 204
    assert api.inspect(made)["State"]["ExitCode"] == 7


def test_a_read_only_root(api: Client) -> None:
    made = api.run("touch", "/x", host={"ReadonlyRootfs": True})
    assert api.wait(made) == 1
    text = "container rootfs is marked read-only"
    assert api.message("PUT", f"/containers/{made}/archive", tar_of(a=b""), path="/tmp") == (400, text)


def test_commit(api: Client, inside: Engine) -> None:
    made = api.run("sh", "-c", "echo x > /new", Env=["A=1"], Labels={"l": "1"})
    api.wait(made)
    changes = 'CMD ["cat", "/new"]\nENV B=2'
    query = {"container": made, "repo": "img", "tag": "v1", "comment": "hi", "changes": changes}
    reply = api.post("/commit", {"Labels": {"z": "y"}}, **query)
    assert reply.status == 201
    config, names = inside.store.committed[-1]
    assert reply.json()["Id"] == inside.store.get("img:v1").id
    assert config["Cmd"] == ["cat", "/new"]
    assert {"A=1", "B=2"} <= set(config["Env"])
    assert config["Labels"] == {"from": "image", "l": "1", "z": "y"}
    assert "Hostname" not in config
    assert "./new" in names
    event = next(event for event in inside.history() if event.action == "commit" and event.id == made)
    assert (event.attributes["imageRef"], event.attributes["comment"]) == ("img:v1", "hi")
    del inside.store.by_name["img:v1"]
    assert api.message("POST", "/commit", container="nosuch") == (404, NO)
    upper = "invalid reference format: repository name (library/Foo) must be lowercase"
    assert api.message("POST", "/commit", container=made, repo="Foo") == (400, upper)
    assert api.message("POST", "/commit", container=made, changes="RUN x") == (400, "RUN is not a valid change command")


def test_images_that_containers_need(api: Client, inside: Engine) -> None:
    made, running = api.create("true"), api.ready(*LOOP)
    image = inside.store.get("busybox").id
    found = {(use.container, use.image, use.running) for use in inside.containers.uses()}
    assert found == {(made, image, False), (running, image, True)}
    # So does one that is being made.
    inside.containers.parts.index.expect("coming", image)
    assert ("coming", image) in {(use.container, use.image) for use in inside.containers.uses()}
    inside.containers.parts.index.expect_no_more("coming")


def test_what_is_not_enforced_is_said(api: Client) -> None:
    body = {
        "Image": "busybox",
        "HostConfig": {"NetworkMode": "host", "PortBindings": {"80/tcp": [{"HostPort": "8"}]}, "Privileged": True},
    }
    warnings = json.loads(api.post("/containers/create", body).body)["Warnings"]
    assert warnings[0] == "Published ports are discarded when using host network mode"
    assert "privileged" in warnings[1]
