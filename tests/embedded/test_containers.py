"""Containers through the API, on the real runtime: their names, their list, their errors. Statuses and texts are Docker Engine 28's."""

from __future__ import annotations

import itertools
import json
import re
import socket
import time
from typing import Any

import pytest

from tests.embedded.containing import Client, Engine

LOOP = ("sh", "-c", "trap 'exit 7' TERM; echo begun; while :; do sleep 0.1; done")
NO = "No such container: nosuch"


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
    assert inside.actions(made) == ["create", "start", "die", "destroy"]


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
