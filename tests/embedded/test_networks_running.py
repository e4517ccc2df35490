"""Networks, health checks, top and stats of containers that really run."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from dockerlab.engine.api import observation
from dockerlab.engine.health import Health
from dockerlab.engine.http.router import Router
from dockerlab.engine.http.types import Answer, Query, Request
from tests.embedded.containing import Client, Engine

MILLISECOND = 10**6
WAIT = 30


@pytest.fixture
def network(api: Client) -> Iterator[str]:
    assert api.post("/networks/create", {"Name": "net"}).status == 201
    yield "net"
    for container in api.get("/containers/json", all=1):
        api.ask("DELETE", f"/containers/{container['Id']}", force=1, v=1)
    assert api.ask("DELETE", "/networks/net").status == 204


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def observed(inside: Engine, path: str, **query: str) -> Any:
    asked = Query({name: [value] for name, value in query.items()})
    answer = Router(inside, observation.ROUTES)(Request("GET", path, query=asked))
    assert isinstance(answer, Answer)
    return answer.value


def joined(network: str, *aliases: str) -> dict[str, Any]:
    return {"host": {"NetworkMode": network}, "NetworkingConfig": {"EndpointsConfig": {network: {"Aliases": list(aliases)}}}}


@pytest.mark.parametrize("name", ["db", "sql"])
def test_containers_of_a_user_network_reach_each_other_by_name(api: Client, network: str, name: str) -> None:
    api.run("sh", "-c", "while echo hello | nc -l -p 5000; do :; done", name="db", **joined(network, "sql"))
    client = api.run("sh", "-c", f"until nc {name} 5000 < /dev/null | grep hello; do sleep 0.05; done", **joined(network))
    assert api.wait(client) == 0
    assert api.output(client)[1] == b"hello\n"


def test_who_comes_later_is_known_to_who_was_there(api: Client, network: str) -> None:
    first = api.run("sh", "-c", "until grep late /etc/hosts; do sleep 0.05; done", **joined(network))
    late = api.run("sleep", "100", name="late", **joined(network))
    assert api.wait(first) == 0
    address = api.inspect("late")["NetworkSettings"]["Networks"]["net"]["IPAddress"]
    assert address.startswith("127.")
    assert api.output(first)[1].decode().split() == [address, "late", late[:12]]


def test_a_linked_container_is_known_by_its_alias_and_in_the_environment(api: Client) -> None:
    db = api.run("sleep", "100", name="db", Env=["GREETING=hello"], ExposedPorts={"80/tcp": {}})
    address = api.inspect(db)["NetworkSettings"]["IPAddress"]
    web = api.run("sh", "-c", "grep data /etc/hosts; env | grep ^DATA | sort", name="web", host={"Links": ["db:data"]})
    assert api.wait(web) == 0
    hosts, *variables = api.output(web)[1].decode().splitlines()
    assert hosts.split() == [address, "data", db[:12], "db"]
    assert variables == [
        "DATA_ENV_GREETING=hello",
        "DATA_NAME=/web/data",
        f"DATA_PORT=tcp://{address}:80",
        f"DATA_PORT_80_TCP=tcp://{address}:80",
        f"DATA_PORT_80_TCP_ADDR={address}",
        "DATA_PORT_80_TCP_PORT=80",
        "DATA_PORT_80_TCP_PROTO=tcp",
    ]


def test_a_link_is_another_name(api: Client) -> None:
    api.run("sleep", "100", name="db", Env=["GREETING=hello"])
    web = api.run("sleep", "100", name="web", host={"Links": ["db:data"]})
    made = api.post("/containers/web/exec", {"Cmd": ["env"], "AttachStdout": True}).json()["Id"]
    assert b"DATA_ENV_GREETING=hello\n" in api.post(f"/exec/{made}/start", {}).body
    assert {name for one in api.get("/containers/json") for name in one["Names"]} == {"/db", "/web", "/web/data"}
    assert api.get("/containers/web/data/json")["Name"] == "/db"
    api.post("/containers/db/rename", name="base")
    assert api.inspect(web)["HostConfig"]["Links"] == ["/base:/web/data"]
    for name in ("web", "base"):
        text = "Conflict, cannot remove the default link name of the container"
        assert api.message("DELETE", f"/containers/{name}", link=1) == (500, text)
    assert api.ask("DELETE", "/containers/web/data", link=1).status == 204
    assert api.message("DELETE", "/containers/web/data", link=1) == (404, "No such container: web/data")
    assert api.inspect(web)["HostConfig"]["Links"] is None
    assert api.post("/containers/web/restart", t=0).status == 204
    assert api.inspect("base")["State"]["Running"]


def test_links_that_cannot_be(api: Client) -> None:
    body: dict[str, Any] = {"Image": "busybox", "HostConfig": {"Links": ["nosuch:x"]}}
    assert api.message("POST", "/containers/create", body) == (400, "could not get container for nosuch: No such container: nosuch")
    body["HostConfig"]["Links"] = ["a:b:c"]
    assert api.message("POST", "/containers/create", body) == (500, "bad format for links: a:b:c")


def test_the_host_is_reached_at_its_gateway(api: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT)

        def greet() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"from the host\n")

        thread = threading.Thread(target=greet)
        thread.start()
        command = f"nc host.docker.internal {listener.getsockname()[1]} < /dev/null"
        client = api.run("sh", "-c", command, host={"ExtraHosts": ["host.docker.internal:host-gateway"]})
        assert api.wait(client) == 0
        thread.join(WAIT)
    assert api.output(client)[1] == b"from the host\n"


def test_a_network_of_another_container(api: Client) -> None:
    server = api.run("sh", "-c", "echo hello | nc -l -p 5000", name="server")
    mode = {"NetworkMode": f"container:{server}"}
    client = api.run("sh", "-c", "until nc 127.0.0.1 5000 < /dev/null | grep hello; do sleep 0.05; done", host=mode)
    assert api.wait(client) == 0
    assert api.wait(server) == 0


def test_health_is_found_out_by_running_the_check(api: Client, inside: Engine) -> None:
    health = Health(inside.containers.parts, inside.containers.execs)
    inside.events.listen(health.hear)
    check = {"Test": ["CMD-SHELL", "cat /ok || exit 1"], "Interval": 20 * MILLISECOND, "Retries": 1}
    web = api.run("sleep", "100", name="web", Healthcheck=check)

    def shown() -> Any:
        return api.inspect(web)["State"]["Health"]

    until(lambda: bool(shown()["Status"] == "unhealthy"))
    assert shown()["Log"][0]["ExitCode"] == 1
    assert "No such file or directory" in shown()["Log"][0]["Output"]
    made = api.post(f"/containers/{web}/exec", {"Cmd": ["sh", "-c", "echo fine > /ok"]}).json()
    assert api.post(f"/exec/{made['Id']}/start", {"Detach": True}).status == 200
    until(lambda: bool(shown()["Status"] == "healthy"))
    assert shown()["Log"][-1]["Output"] == "fine\n"
    assert "(healthy)" in api.get("/containers/json")[0]["Status"]
    told = [event.action for event in inside.history() if event.id == web and event.action.startswith("health_status")]
    assert told == ["health_status: unhealthy", "health_status: healthy"]
    health.close()


def test_top_shows_all_processes(api: Client, inside: Engine) -> None:
    api.run("sh", "-c", "sleep 301 & sleep 302", name="web")
    until(lambda: len(observed(inside, "/containers/web/top")["Processes"]) >= 2)
    shown = observed(inside, "/containers/web/top", ps_args="-eo pid,user,args")
    assert shown["Titles"] == ["PID", "USER", "COMMAND"]
    assert {(row[1], row[2]) for row in shown["Processes"]} >= {("root", "sleep 301"), ("root", "sleep 302")}
    assert str(api.inspect("web")["State"]["Pid"]) in [row[0] for row in shown["Processes"]]


@pytest.mark.parametrize("memory", [0, 64 << 20])
def test_stats_show_what_it_uses(api: Client, inside: Engine, memory: int) -> None:
    api.run("sh", "-c", "while :; do :; done", name="web", host={"Memory": memory})
    shown = observed(inside, "/containers/web/stats", stream="0")
    now, before = shown["cpu_stats"], shown["precpu_stats"]
    used = now["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    assert 0 < used <= (now["system_cpu_usage"] - before["system_cpu_usage"]) * 2
    assert shown["pids_stats"]["current"] >= 1
    assert 0 < shown["memory_stats"]["usage"] < shown["memory_stats"]["limit"]
    if "memory" in inside.containers.parts.means.controllers and memory:
        assert shown["memory_stats"]["limit"] == memory
    assert shown["networks"]["eth0"]["rx_bytes"] == 0
    assert json.dumps(shown)


def test_stats_count_what_published_ports_forward(api: Client, inside: Engine) -> None:
    host = {"PortBindings": {"80/tcp": [{"HostPort": "0"}]}}
    made = api.run("sh", "-c", "while echo hello | nc -l -p 80; do :; done", name="web", host=host)
    port = int(api.inspect(made)["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"])

    def heard() -> bytes:
        with suppress(ConnectionResetError), socket.create_connection(("127.0.0.1", port), WAIT) as client:
            client.sendall(b"hi")
            client.shutdown(socket.SHUT_WR)
            return client.recv(100)
        return b""

    until(lambda: heard() == b"hello\n")  # between two of its clients nobody listens

    def is_counted() -> bool:
        counted = observed(inside, "/containers/web/stats", stream="0")["networks"]["eth0"]
        return bool(counted["rx_bytes"] >= 2 and counted["tx_bytes"] >= 6)

    until(is_counted)


@pytest.mark.parametrize("mode", ["none", "host"])
def test_stats_of_a_container_without_a_network_of_its_own(api: Client, inside: Engine, mode: str) -> None:
    api.run("sleep", "600", name="web", host={"NetworkMode": mode})
    assert "networks" not in observed(inside, "/containers/web/stats", stream="0")
