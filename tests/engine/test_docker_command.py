"""The `docker` command's questions about an engine: version, info, events, disk, processes, usage."""

from __future__ import annotations

import json
import re

import pytest

from tests.engine.docker_command import Docker, until

pytestmark = pytest.mark.contract


def test_version(docker: Docker) -> None:
    shown = docker.ok("version")
    assert re.search(r"^Server:", shown, re.MULTILINE)
    server = json.loads(docker.ok("version -f", "{{json .Server}}"))
    assert server["Os"] == "linux"
    assert tuple(map(int, server["MinAPIVersion"].split("."))) <= (1, 41) <= tuple(map(int, server["ApiVersion"].split("."))) or (
        docker.kind == "podman"  # whose oldest is a version of its own API
    )
    # Of the two the older one is spoken.
    client = docker.ok("version -f {{.Client.APIVersion}}")
    assert tuple(map(int, client.split("."))) <= tuple(map(int, server["ApiVersion"].split(".")))


def test_another_version_of_the_api(docker: Docker) -> None:
    assert docker("version -f {{.Client.APIVersion}}", env={"DOCKER_API_VERSION": "1.41"}).out == "1.41\n"
    docker.differs(podman="serves whatever version is asked for")
    result = docker("ps", env={"DOCKER_API_VERSION": "1.99"})
    assert result.code == 1
    assert "client version 1.99 is too new. Maximum supported API version is " in result.err


def test_info(docker: Docker) -> None:
    shown = docker.ok("info")
    assert re.search(r"^ Server Version: \S", shown, re.MULTILINE)
    info = json.loads(docker.ok("info -f", "{{json .}}"))
    assert (info["OSType"], info["Swarm"]["LocalNodeState"]) == ("linux", "inactive")
    assert info["Containers"] == info["ContainersRunning"] + info["ContainersPaused"] + info["ContainersStopped"] or (
        docker.kind == "podman"  # which does not count those that were never started
    )
    assert info["NCPU"] >= 1
    assert info["MemTotal"] > 0
    assert info["Name"]
    assert not info.get("ServerErrors")


def test_events_of_a_container(docker: Docker) -> None:
    docker.differs(podman="does not find the events of a container that is gone by its name")
    name = docker.name()
    since = docker.ok("info -f {{.SystemTime}}")
    docker.ok(f"run --name {name} -l a=b busybox true")
    docker.ok(f"rm {name}")
    told = "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}"
    asked = f"events --since {since} --until {docker.ok('info -f {{.SystemTime}}')} --filter container={name} --format"
    wanted = [f"container {action} {name}" for action in ("create", "attach", "start", "die", "destroy")]
    assert [line for line in docker.ok(asked, told).splitlines() if line in wanted] == wanted
    died = json.loads(docker.ok(asked, "{{json .}}", "--filter", "event=die"))
    assert died["Actor"]["Attributes"]["exitCode"] == "0"
    assert died["Actor"]["Attributes"]["a"] == "b"
    assert docker.ok(asked, told, "--filter", "type=image") == ""


def test_events_as_they_come(docker: Docker) -> None:
    name = docker.name()
    with docker.start(
        f"events --filter container={name} --filter event=start --format", "{{.Action}} {{.Actor.Attributes.name}}"
    ) as events:
        try:
            # It says nothing before the first event: containers are started until it has heard of one.
            assert events.stdout is not None
            docker.ok(f"create --name {name} busybox true")
            docker.ok(f"start -a {name}")
            docker.ok(f"start -a {name}")
            assert events.stdout.readline().decode() == f"start {name}\n"
        finally:
            events.terminate()


def test_disk(docker: Docker, box: str) -> None:
    kinds = ["Images", "Containers", "Local Volumes", "Build Cache"]
    found = [json.loads(line) for line in docker.ok("system df --format", "{{json .}}").splitlines()]
    assert [row["Type"] for row in found] == kinds
    assert int(found[0]["TotalCount"]) >= 2
    assert int(found[1]["Active"]) >= 1
    if docker.kind != "podman":  # whose list of names is empty
        assert box in docker.ok("system df -v")


def test_top(docker: Docker, box: str) -> None:
    head, *rows = docker.ok(f"top {box}").splitlines()
    assert "PID" in head.split()
    assert [row.split()[-2:] for row in rows] == [["sleep", "600"]]
    if docker.kind != "podman":  # which has columns of its own
        assert head.split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
        head, row = docker.ok(f"top {box} -o pid,comm").splitlines()
        assert (head.split(), row.split()[1]) == (["PID", "COMMAND"], "sleep")


def test_usage(docker: Docker, box: str) -> None:
    (row,) = docker.ok("stats --no-stream --format", "{{.Name}}|{{.CPUPerc}}|{{.MemUsage}}|{{.PIDs}}", box).splitlines()
    name, cpu, memory, processes = row.split("|")
    assert name == box or docker.kind == "podman"  # where it is the first letter only
    assert float(cpu.removesuffix("%")) >= 0
    assert re.fullmatch(r"[\d.]+[KM]iB / [\d.]+[GM]iB", memory)
    assert processes == "1"


def test_ports(docker: Docker) -> None:
    name = docker.name()
    docker.ok(f"run -d --name {name} -p 127.0.0.1::5000 -p 127.0.0.1::53/udp busybox sleep 60")
    shown = docker.ok(f"port {name} 5000")
    port = shown.removeprefix("127.0.0.1:")
    assert port.isdigit()
    assert docker.ok(f"port {name} 5000/tcp") == shown
    lines = docker.ok(f"port {name}").splitlines()
    assert f"5000/tcp -> 127.0.0.1:{port}" in lines
    assert any(line.startswith("53/udp -> 127.0.0.1:") for line in lines)
    docker.fails(f"port {name} 80", text=f"No public port '80' published for {name}")
    assert f"127.0.0.1:{port}->5000/tcp" in docker.ok(f"ps --filter name={name} --format", "{{.Ports}}")


def test_what_is_not_there(docker: Docker) -> None:
    missing = docker.name("missing")
    assert docker.fails(f"inspect {missing}", text=f"No such object: {missing}").out == "[]\n"
    for verb in ("start", "stop", "restart", "kill", "pause", "unpause", "rm", "logs", "top", "diff", "wait", "port", "attach"):
        docker.fails(f"{verb} {missing}", text=f"No such container: {missing}")
    docker.fails(f"exec {missing} true", text=f"No such container: {missing}")
    docker.fails(f"cp {missing}:/etc/passwd -", text=f"No such container: {missing}")
    docker.fails(f"commit {missing}", text=f"No such container: {missing}")
    docker.fails(f"rename {missing} {missing}-2", text=f"No such container: {missing}")
    if docker.kind != "podman":
        assert docker(f"rm -f {missing}").code == 0


def test_health(docker: Docker) -> None:
    docker.differs(podman="has its health checks run by systemd, which is not here")
    name = docker.name()
    docker.ok(f"run -d --name {name} --health-cmd 'test -e /ok' --health-interval 250ms --health-retries 2 busybox sleep 60")

    def status() -> str:
        return docker.ok(f"ps --filter name={name} --format", "{{.Status}}")

    assert "(unhealthy)" in until(status, lambda found: "(unhealthy)" in found)
    docker.ok(f"exec {name} touch /ok")
    assert "(healthy)" in until(status, lambda found: "(healthy)" in found)
    assert docker.ok(f"ps -q --filter health=healthy --filter name={name}")
    assert docker.inspect(name, "{{.State.Health.Status}} {{.State.Health.FailingStreak}}") == "healthy 0"
