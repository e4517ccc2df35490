"""`docker network`, names of containers, and published ports."""

from __future__ import annotations

import errno
import json
import socket
import urllib.error
import urllib.request

import pytest

from tests.engine.docker_command import Docker, until

pytestmark = pytest.mark.contract

SERVE = "mkdir /w; echo {} > /w/index.html; exec httpd -f -p 5000 -h /w"


def page(port: str) -> str:
    """What is served at a port of this machine, once it is."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def read() -> str:
        try:
            return str(opener.open(f"http://127.0.0.1:{port}/index.html", timeout=5).read().decode())
        except OSError:
            return ""

    return until(read)


def test_three_containers_of_one_image_listen_on_one_port(docker: Docker) -> None:
    ports = []
    for word in ("one", "two", "three"):
        docker.ok(f"run -d --name {docker.name(word)} -p 127.0.0.1::5000 busybox sh -c", SERVE.format(word))
        ports.append(docker.ok(f"port {docker.name(word)} 5000").removeprefix("127.0.0.1:"))
    assert len(set(ports)) == 3
    assert [page(port) for port in ports] == ["one\n", "two\n", "three\n"]
    docker.ok(f"stop -t 0 {docker.name('two')}")
    with pytest.raises(OSError, match=r"refused|reset"):
        socket.create_connection(("127.0.0.1", int(ports[1])), timeout=5).close()
    assert page(ports[0]) == "one\n"


def test_a_port_that_is_published_survives_a_restart(docker: Docker) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    docker.ok(
        f"run -d --name {docker.name()} -p 127.0.0.1:{port}:5000 busybox sh -c", SERVE.format("here").replace("mkdir", "mkdir -p")
    )
    assert page(str(port)) == "here\n"
    docker.ok(f"restart -t 0 {docker.name()}")
    assert docker.ok(f"port {docker.name()}") == f"5000/tcp -> 127.0.0.1:{port}"
    assert page(str(port)) == "here\n"


def test_a_port_that_is_taken(docker: Docker) -> None:
    docker.ok(f"run -d --name {docker.name('first')} -p 127.0.0.1::5000 busybox sleep 60")
    port = docker.ok(f"port {docker.name('first')} 5000").removeprefix("127.0.0.1:")
    second = docker.name("second")
    docker.fails(f"run -d --name {second} -p 127.0.0.1:{port}:80 busybox sleep 60", code=125, text="port is already allocated")
    assert docker.inspect(second, "{{.State.Status}}") in ("created", "initialized")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        docker.fails(
            f"run -p 127.0.0.1:{number}:80 busybox true", code=125 if docker.kind != "podman" else 1, text="already in use"
        )


def test_what_an_image_exposes_is_published_on_request(docker: Docker) -> None:
    docker.ok(f"run -d --name {docker.name()} -P --expose 5000 busybox sleep 60")
    assert docker.ok(f"port {docker.name()} 5000").splitlines()[0].rpartition(":")[2].isdigit()


def test_networks(docker: Docker) -> None:
    name = docker.name("net")
    identifier = docker.ok(f"network create --label a=b {name}")
    assert len(identifier) == 64
    assert docker.ok(f"network ls --filter name={name} --format", "{{.Name}} {{.Driver}} {{.Scope}}") == f"{name} bridge local"
    assert docker.ok(f"network ls -q --no-trunc --filter label=a=b --filter name={name}") == identifier
    (found,) = json.loads(docker.ok(f"network inspect {name}"))
    assert (found["Name"], found["Id"], found["Driver"], found["Labels"]) == (name, identifier, "bridge", {"a": "b"})
    assert found["Containers"] == {}
    docker.fails(f"network create {name}", text=f"network with name {name} already exists")
    assert docker.ok(f"network rm {name}") == name
    docker.fails(f"network inspect {name}", text=f"network {name} not found")
    docker.fails(f"network rm {name}", text=f"network {name} not found")


def test_the_networks_that_are_always_there(docker: Docker) -> None:
    docker.differs(podman="has one only, and calls it podman")
    found = docker.ok("network ls --format", "{{.Name}} {{.Driver}} {{.Scope}}").splitlines()
    assert {"bridge bridge local", "host host local", "none null local"} <= set(found)
    docker.fails("network rm bridge", text="bridge is a pre-defined network and cannot be removed")


def test_names_are_resolved_in_a_network(docker: Docker) -> None:
    docker.differs(podman="needs a name server of its own, which is not here")
    net, one = docker.name("net"), docker.name("one")
    docker.ok(f"network create {net}")
    docker.ok(f"run -d --name {one} --network {net} --network-alias alias -h its-host busybox sh -c", SERVE.format("found"))
    fetch = f"for name in {one} alias; do until wget -q -O - http://$name:5000/; do sleep 0.1; done; done"
    assert docker.ok(f"run --rm --network {net} busybox timeout 10 sh -c", fetch) == "found\nfound"
    (found,) = json.loads(docker.ok(f"network inspect {net}"))
    assert [container["Name"] for container in found["Containers"].values()] == [one]
    docker.fails(f"network rm {net}", text="has active endpoints")


def test_connect_and_disconnect(docker: Docker) -> None:
    net, one, other = docker.name("net"), docker.name("one"), docker.name("other")
    docker.ok(f"network create {net}")
    docker.ok(f"run -d --name {one} busybox sh -c", SERVE.format("found"))
    docker.ok(f"run -d --name {other} --network {net} busybox sleep 60")
    assert docker.ok(f"network connect --alias nick {net} {one}") == ""
    networks = json.loads(docker.inspect(one, "{{json .NetworkSettings.Networks}}"))
    assert net in networks
    assert len(networks) == 2
    if docker.kind != "podman":  # as above
        docker.fails(f"network connect {net} {one}", text="already exists in network")
        assert docker.ok(f"exec {other} timeout 10 sh -c", "until wget -q -O - http://nick:5000/; do sleep 0.1; done") == "found"
    docker.ok(f"network disconnect {net} {one}")
    assert net not in json.loads(docker.inspect(one, "{{json .NetworkSettings.Networks}}"))
    docker.fails(f"network disconnect {net} {one}", text="is not connected to")
    docker.fails(f"network connect {net} {docker.name('nobody')}", text=f"No such container: {docker.name('nobody')}")


def test_containers_have_addresses(docker: Docker) -> None:
    docker.ok(f"run -d --name {docker.name('one')} busybox sleep 60")
    docker.ok(f"run -d --name {docker.name('two')} busybox sleep 60")
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    one, two = docker.inspect(docker.name("one"), template), docker.inspect(docker.name("two"), template)
    assert socket.inet_aton(one) != socket.inet_aton(two)
    assert docker.ok(f"exec {docker.name('one')} grep -c {one} /etc/hosts") == "1"


def test_a_socket_that_is_bound_before_it_sends_into_the_world(docker: Docker) -> None:
    # As musl's resolver does. Where there is no route, that is what it is told.
    program = "import socket as s; u = s.socket(s.AF_INET, s.SOCK_DGRAM); u.bind(('', 0)); print(u.connect_ex(('192.0.2.1', 53)))"
    assert docker.ok("run --rm python:3.10 python -c", program) in ("0", str(errno.ENETUNREACH))


@pytest.mark.parametrize("user", ["0", "1000"])
def test_a_low_port_is_what_a_server_and_its_client_are_told(docker: Docker, user: str) -> None:
    if user != "0":
        docker.differs(podman="keeps low ports for root")
    program = """
import socket
server = socket.create_server(("", 80))
client = socket.create_connection(("127.0.0.1", 80))
print(server.getsockname()[1], client.getpeername()[1], server.accept()[0].getsockname()[1])
"""
    assert docker.ok(f"run --rm --user {user} python:3.10 python -c", program) == "80 80 80"


@pytest.mark.parametrize("port", [69, 5353])
def test_datagrams_without_a_connection(docker: Docker, port: int) -> None:
    program = f"""
import socket
server, client = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
server.bind(("", {port}))
for message in (b"to myself", b"again"):
    client.sendto(message, ("127.0.0.1", {port}))
    print(server.recv(99).decode())
"""
    assert docker.ok("run --rm python:3.10 python -c", program) == "to myself\nagain"


def test_a_server_with_any_port_is_out_of_reach_where_it_is_not_published(docker: Docker) -> None:
    program = "import socket, time; s = socket.create_server(('', 0)); print(s.getsockname()[1], flush=True); time.sleep(60)"
    docker.ok(f"run -d --name {docker.name()} python:3.10 python -c", program)
    port = until(lambda: docker.ok(f"logs {docker.name()}"))
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", int(port))) == errno.ECONNREFUSED


def test_prune(docker: Docker) -> None:
    name = docker.name("net")
    docker.ok(f"network create --label {docker.label} {name}")
    shown = docker.ok(f"network prune -f --filter label={docker.label}").splitlines()
    assert shown[:2] == ["Deleted Networks:", name]
