"""The Engine API as bare requests: what clients of no particular language ask for. Statuses and texts are Docker Engine 28's; the
others are held to what has been the same since Docker 20.10."""

from __future__ import annotations

import base64
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dockerlab.client import Client
from dockerlab.wire import websocket
from tests.engine import leftovers
from tests.engine.docker_command import Kind, differs, until
from tests.engines import Engine

pytestmark = pytest.mark.contract

NO = "dockerlab-no-such"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class Api:
    """Requests to an engine; {c} in a path is the container under test."""

    def __init__(self, client: Client, container: str) -> None:
        self.client, self.container = client, container
        self._session, self._base = client.api, client.api.base_url

    def __call__(self, method: str, path: str, body: Any = None, version: str = "1.41", /, **query: Any) -> Any:
        """The response of requests."""
        texts = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in query.items()}
        url = f"{self._base}/v{version}{path.replace('{c}', self.container)}"
        return self._session.request(method, url, json=body, params=texts, timeout=60)

    def fails(self, method: str, path: str, body: Any = None, /, **query: Any) -> tuple[int, str]:
        """Status and message."""
        response = self(method, path, body, **query)
        return response.status_code, str(response.json()["message"]).replace(self.container, "{c}")

    def create(self, name: str, *command: str, **config: Any) -> str:
        image = self.client.images.get("busybox").id
        response = self("POST", "/containers/create", {"Image": image, "Cmd": list(command), **config}, name=name)
        assert response.status_code == 201, response.text
        return str(response.json()["Id"])


@pytest.fixture
def api(client: Client, prefix: str) -> Api:
    """With a container that has been made, and not started."""
    return made(client, prefix)


@pytest.fixture(scope="module")
def still(engine: Engine) -> Iterator[Api]:
    """As `api`, for all tests of this file that change nothing."""
    prefix = leftovers.prefix()
    with engine.configured() as client:
        yield made(client, prefix)
        leftovers.remove(client, prefix)


def made(client: Client, prefix: str) -> Api:
    api = Api(client, f"{prefix}c")
    api.create(api.container, "sleep", "600", Labels={"for": prefix}, ExposedPorts={"80/tcp": {}})
    return api


FAR = {"Subnet": "10.9.8.0/24", "Gateway": "10.7.0.1"}
CREATED = [
    ("POST", "/containers/{c}/kill", None, 409, "is not running"),
    ("POST", "/containers/{c}/pause", None, 409, "is not running"),
    ("POST", "/containers/{c}/exec", {"Cmd": ["true"]}, 409, "is not running"),
    ("GET", "/containers/{c}/top", None, 409, "is not running"),
    ("POST", "/containers/{c}/resize?h=5&w=5", None, 409, "is not running"),
    ("POST", "/containers/{c}/rename?name={c}", None, 400, "Renaming a container with the same name as its current name"),
    ("POST", "/containers/{c}/update", {"Memory": 1}, 400, "Minimum memory limit allowed is 6MB"),
    ("GET", "/containers/{c}/logs", None, 400, "you must choose at least one stream"),
    ("GET", "/containers/{c}/archive?path=/nosuch", None, 404, "Could not find the file /nosuch in container {c}"),
    ("POST", "/containers/{c}/wait?condition=foo", None, 400, "invalid condition"),
    ("DELETE", "/containers/{c}?link=1", None, 500, "Conflict, cannot remove the default link name of the container"),
    ("GET", '/containers/json?filters={"status":["foo"]}', None, 400, "invalid value for state (foo)"),
    ("GET", '/containers/json?filters={"foo":["x"]}', None, 400, "invalid filter 'foo'"),
    ("GET", '/containers/json?filters={"before":["' + NO + '"]}', None, 404, f"No such container: {NO}"),
    ("POST", "/commit?container={c}&changes=RUN%20x", None, 400, "RUN is not a valid change command"),
    ("POST", "/networks/create", {"Name": "host"}, 403, "operation is not permitted on predefined host network"),
    ("POST", "/networks/create", {"Name": NO, "IPAM": {"Config": [{"Subnet": "10.9.8.7/24"}]}}, 400, "it should be 10.9.8.0/24"),
    (
        "POST",
        "/networks/create",
        {"Name": NO, "IPAM": {"Config": [FAR]}},
        400,
        "parent subnet 10.9.8.0/24 doesn't contain this address",
    ),
    ("DELETE", "/networks/bridge", None, 403, "bridge is a pre-defined network and cannot be removed"),
    ("POST", f"/images/{NO}/tag?repo=x", None, 404, f"No such image: {NO}:latest"),
    ("POST", "/images/busybox/tag?repo=Upper", None, 400, "must be lowercase"),
    ("GET", "/events?since=10&until=5", None, 400, "cannot be after"),
    ("GET", "/exec/" + NO + "/json", None, 404, f"No such exec instance: {NO}"),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text"), CREATED, ids=lambda value: None if value is None else str(value)[:40]
)
def test_refusals(still: Api, kind: Kind, method: str, path: str, body: Any, status: int, text: str) -> None:
    differs(kind, podman="has its own statuses and texts", docker20="has other texts, and statuses, of some of them")
    found, message = still.fails(method, path, body)
    assert (found, text in message) == (status, True), message


def test_options(still: Api, kind: Kind) -> None:
    differs(kind, podman="has none")
    for path in ("/info", "/containers/{c}", f"/{NO}"):
        response = still("OPTIONS", path)
        assert (response.status_code, response.content) == (200, b"")


ABSENT = ["json", "top", "logs?stdout=1", "changes", "stats?stream=0", "archive?path=/", "export"]


@pytest.mark.parametrize("path", ABSENT)
def test_a_container_that_is_not_there(still: Api, kind: Kind, path: str) -> None:
    differs(kind, podman="answers some of them without a message")
    status, message = still.fails("GET", f"/containers/{NO}/{path}")
    assert (status, message.lower()) == (404, f"no such container: {NO}") or NO in message


def test_stats(api: Api, kind: Kind) -> None:
    differs(kind, podman="says less of it")
    assert api("POST", "/containers/{c}/start").status_code == 204
    once = api("GET", "/containers/{c}/stats", stream="false").json()
    assert {"read", "preread", "pids_stats", "blkio_stats", "cpu_stats", "precpu_stats", "memory_stats", "networks"} <= once.keys()
    counted = {f"{way}_{what}" for way in ("rx", "tx") for what in ("bytes", "packets", "errors", "dropped")}
    assert all(counted <= network.keys() for network in once["networks"].values())
    assert once["cpu_stats"]["system_cpu_usage"] > once["precpu_stats"]["system_cpu_usage"]
    if kind == "docker28":
        single = api("GET", "/containers/{c}/stats", **{"stream": "false", "one-shot": "true"}).json()
        assert "system_cpu_usage" not in single["precpu_stats"]
        status, message = api.fails("GET", "/containers/{c}/stats", **{"one-shot": "true"})
        assert (status, message) == (400, "cannot have stream=true and one-shot=true")


def test_disk_usage_has_the_fields_of_its_version(still: Api, kind: Kind) -> None:
    """Docker's command shows VirtualSize up to version 1.43 of the API."""
    differs(kind, podman="means something else by the other size")
    images = still("GET", "/system/df").json()["Images"]
    assert images
    assert all(image["VirtualSize"] == image["Size"] for image in images)
    if kind == "docker28":
        assert all("VirtualSize" not in image for image in still("GET", "/system/df", None, "1.44").json()["Images"])


def test_update_of_what_runs(api: Api, kind: Kind) -> None:
    differs(kind, podman="has no update before 4.4")
    assert api("POST", "/containers/{c}/start").status_code == 204
    asked = {"PidsLimit": 40, "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}}
    assert api("POST", "/containers/{c}/update", asked).json() == {"Warnings": None}
    host = api("GET", "/containers/{c}/json").json()["HostConfig"]
    assert (host["PidsLimit"], host["RestartPolicy"]) == (40, {"Name": "on-failure", "MaximumRetryCount": 2})
    status, message = api.fails("POST", "/containers/{c}/update", {"Memory": 64 << 20})
    assert (status, "update the memoryswap at the same time" in message) == (409, True)


def test_the_user_of_an_exec_is_looked_up_at_once(api: Api, kind: Kind) -> None:
    differs(kind, podman="looks it up when it starts", docker20="looks it up when it starts")
    api("POST", "/containers/{c}/start")
    text = "unable to find user nosuch: no matching entries in passwd file"
    assert api.fails("POST", "/containers/{c}/exec", {"Cmd": ["id"], "User": "nosuch"}) == (400, text)


def test_an_exec_starts_once(api: Api, kind: Kind) -> None:
    differs(kind, podman="has its own status and text")
    api("POST", "/containers/{c}/start")
    run = api("POST", "/containers/{c}/exec", {"Cmd": ["sleep", "600"], "AttachStdout": True}).json()["Id"]
    assert api("POST", f"/exec/{run}/start", {"Detach": True}).status_code == 200
    # Who attaches has been answered by the time that it is found out: it comes in a frame.
    attached = api("POST", f"/exec/{run}/start", {})
    assert (attached.status_code, attached.content[:4], attached.content[-20:]) == (200, b"\1\0\0\0", b"is already running\r\n")
    status, message = api.fails("POST", f"/exec/{run}/start", {"Detach": True})
    assert (status, f"exec command {run} is already running" in message.lower()) == (409, True)


def test_an_exec_that_never_started_is_gone_with_the_run(api: Api, kind: Kind) -> None:
    differs(kind, podman="says that the container does not run")
    api("POST", "/containers/{c}/start")
    run = api("POST", "/containers/{c}/exec", {"Cmd": ["true"]}).json()["Id"]
    api("POST", "/containers/{c}/kill")
    assert until(lambda: api("GET", "/containers/{c}/json").json()["State"]["Status"] == "exited")
    assert api.fails("POST", f"/exec/{run}/start", {}) == (404, f"No such exec instance: {run}")


def test_links(api: Api, kind: Kind, prefix: str) -> None:
    differs(kind, podman="has no links")
    api("POST", "/containers/{c}/start")
    other = f"{prefix}other"
    api.create(other, "sleep", "600", HostConfig={"Links": [f"{prefix}c:db"]})
    assert api("POST", f"/containers/{other}/start").status_code == 204
    assert api("GET", f"/containers/{other}/db/json").json()["Name"] == f"/{prefix}c"
    assert api("GET", f"/containers/{other}/json").json()["HostConfig"]["Links"] == [f"/{prefix}c:/{other}/db"]
    [listed] = api("GET", "/containers/json", filters={"name": [f"^/{prefix}c$"]}).json()
    assert sorted(listed["Names"]) == [f"/{prefix}c", f"/{other}/db"]
    assert api("DELETE", f"/containers/{other}/db?link=1").status_code == 204
    assert api("DELETE", f"/containers/{other}/db?link=1").status_code == 404


@pytest.mark.needs("graphdriver")
def test_an_image_says_which_container_it_was(api: Api, kind: Kind, prefix: str) -> None:
    differs(kind, podman="says nothing of it")
    made = api("GET", "/containers/{c}/json").json()["Id"]
    assert api("POST", "/commit", container=made, repo=f"{prefix}image", tag="1").status_code == 201
    found = api("GET", f"/images/{prefix}image:1/json").json()
    assert (found["Container"], found["ContainerConfig"]["Cmd"]) == (made, ["sleep", "600"])
    if kind == "docker28":
        assert "ContainerConfig" not in api("GET", f"/images/{prefix}image:1/json", None, "1.45").json()


def test_what_is_at_a_path(still: Api, kind: Kind) -> None:
    head = still("HEAD", "/containers/{c}/archive", path="/etc/passwd")
    stat = json.loads(base64.b64decode(head.headers["X-Docker-Container-Path-Stat"]))
    assert (stat["name"], stat["linkTarget"]) == ("passwd", "/etc/passwd" if kind == "podman" else "")
    assert stat["size"] > 0


FILTERS = [
    ({"status": ["created"]}, True),
    ({"status": ["running"]}, False),
    ({"label": ["for"]}, True),
    ({"ancestor": ["busybox"]}, True),
    ({"ancestor": [NO]}, False),
    ({"network": [NO]}, False),
    ({"volume": [NO]}, False),
    ({"health": ["none"]}, True),
    ({"exited": ["7"]}, False),
]


@pytest.mark.parametrize(("filters", "expected"), FILTERS)
def test_filters(still: Api, kind: Kind, filters: dict[str, list[str]], expected: bool) -> None:
    differs(kind, podman="refuses some of them")
    found = still("GET", "/containers/json", all="1", filters={"name": [f"^/{still.container}$"], **filters}).json()
    assert [one["Names"][0] for one in found] == ([f"/{still.container}"] if expected else [])


@contextmanager
def websocket_to(client: Client, path: str) -> Iterator[Any]:
    """A connection that has become a WebSocket."""
    session: Any = client.api
    address = str(session._custom_adapter.socket_path)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(address)
        head = f"GET {path} HTTP/1.1\r\nHost: docker\r\nOrigin: http://docker\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        connection.sendall(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n".encode())
        with connection.makefile("rwb") as file:
            assert b" 101 " in file.readline()
            fields = {}
            while line := file.readline().rstrip():
                name, _, value = line.partition(b":")
                fields[name.lower()] = value.strip()
            assert fields[b"sec-websocket-accept"].decode() == websocket.accept(KEY)
            yield file


def test_attach_by_a_websocket(client: Client, api: Api, kind: Kind, prefix: str) -> None:
    differs(kind, podman="has none")
    name = f"{prefix}cat"
    api.create(name, "cat", OpenStdin=True, StdinOnce=True, AttachStdin=True)
    with websocket_to(client, f"/v1.42/containers/{name}/attach/ws?stream=1&stdin=1&stdout=1" if kind == "docker28" else
                      f"/v1.41/containers/{name}/attach/ws?stream=1&stdin=1&stdout=1") as file:  # fmt: skip
        api("POST", f"/containers/{name}/start")
        mask = os.urandom(4)
        file.write(bytes((0x82, 0x80 | 6)) + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(b"hello\n")))
        file.flush()
        assert file.read(2) == b"\x82\x06"
        assert file.read(6) == b"hello\n"
        file.write(bytes((0x88, 0x80)) + mask)
        file.flush()
        while file.read(1):
            pass
    assert until(lambda: api("GET", f"/containers/{name}/json").json()["State"]["Status"] == "exited")
