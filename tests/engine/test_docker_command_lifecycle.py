"""`docker create`, start, stop, restart, kill, pause, wait, rename, update, attach, rm, prune."""

from __future__ import annotations

import pytest

from tests.engine.docker_command import Docker, Result, until

pytestmark = pytest.mark.contract

# Ends when it is asked to, and says so.
POLITE = "trap 'echo asked; exit 7' TERM; echo ready; while :; do sleep 0.1; done"
STATE = "{{.State.Status}} {{.State.ExitCode}} {{.State.Running}} {{.State.Paused}}"


@pytest.fixture
def polite(docker: Docker) -> str:
    name = docker.name("polite")
    docker.ok(f"run -d --name {name} busybox sh -c", POLITE)
    assert until(lambda: docker.ok(f"logs {name}")) == "ready"
    return name


def test_create_and_start(docker: Docker) -> None:
    identifier = docker.ok(f"create --name {docker.name()} busybox sh -c", "echo out; echo err >&2; exit 4")
    assert len(identifier) == 64
    assert docker.inspect(identifier, "{{.State.Status}} {{.State.Running}}") == "created false"
    assert docker(f"start -a {docker.name()}") == Result(4, "out\n", "err\n")
    assert docker.inspect(identifier, STATE) == "exited 4 false false"
    assert docker.ok(f"start {docker.name()}") == docker.name()
    assert docker.ok(f"wait {docker.name()}") == "4"


def test_start_with_input(docker: Docker) -> None:
    docker.ok(f"create -i --name {docker.name()} busybox cat")
    assert docker(f"start -a -i {docker.name()}", input="through\n") == Result(0, "through\n", "")


def test_stop_start_restart_kill(docker: Docker, polite: str) -> None:
    assert docker.ok(f"stop -t 10 {polite}") == polite
    assert docker.inspect(polite, STATE) == "exited 7 false false"
    assert docker.ok(f"stop {polite}") == polite, "it is stopped already, and that is no error"
    assert docker.ok(f"start {polite}") == polite
    assert docker.ok(f"start {polite}") == polite, "it is started already, and that is no error"
    assert docker.ok(f"restart -t 0 {polite}") == polite
    assert docker.inspect(polite, "{{.State.Status}} {{.RestartCount}}") == "running 0"
    docker.fails(f"kill -s NOSUCH {polite}", text="Invalid signal: NOSUCH")
    assert docker.ok(f"kill {polite}") == polite
    assert docker.ok(f"wait {polite}") == "137"
    assert docker.inspect(polite, STATE) == "exited 137 false false"
    docker.fails(f"kill {polite}", text=[f"cannot kill container: {polite}", "is not running"])


def test_a_signal_of_ones_own(docker: Docker, polite: str) -> None:
    docker.ok(f"kill -s SIGTERM {polite}")
    assert docker.ok(f"wait {polite}") == "7"
    assert docker.ok(f"logs {polite}") == "ready\nasked"


def test_stop_does_not_wait_for_ever(docker: Docker) -> None:
    name = docker.name()
    docker.ok(f"run -d --name {name} busybox sleep 600")
    assert docker.ok(f"stop -t 1 {name}") == name
    assert docker.inspect(name, STATE) == "exited 137 false false"


def test_a_container_that_ended_can_do_little(docker: Docker) -> None:
    name = docker.name()
    docker.ok(f"run --name {name} busybox true")
    for verb in (f"exec {name} true", f"top {name}", f"pause {name}"):
        docker.fails(verb, text="is not running")
    docker.fails(f"unpause {name}", text="is not paused")
    docker.fails(f"attach {name}", text="You cannot attach to a stopped container, start it first")


def test_pause(docker: Docker) -> None:
    docker.differs(podman="does not say that it is paused to whom does not ask for all containers, and refuses to stop one")
    name = docker.name()
    docker.ok(f"run -d --name {name} busybox sleep 600")
    assert docker.ok(f"pause {name}") == name
    assert docker.inspect(name, STATE) == "paused 0 true true"
    assert "(Paused)" in docker.ok(f"ps --filter name={name} --format", "{{.Status}}")
    assert docker.ok(f"ps --filter status=paused --filter name={name} --format", "{{.Names}}") == name
    docker.fails(f"pause {name}", text="is already paused")
    docker.fails(f"exec {name} true", text=f"Container {name} is paused, unpause the container before exec")
    assert docker.ok(f"unpause {name}") == name
    docker.fails(f"unpause {name}", text="is not paused")
    assert docker.ok(f"exec {name} echo goes on") == "goes on"
    # One that is paused can be stopped and removed too.
    docker.ok(f"pause {name}")
    assert docker.ok(f"rm -f {name}") == name


def test_wait_for_several(docker: Docker) -> None:
    one, other = docker.name("one"), docker.name("other")
    docker.ok(f"run -d --name {one} busybox sh -c", "exit 3")
    docker.ok(f"run -d --name {other} busybox sh -c", "sleep 0.5; exit 4")
    assert docker.ok(f"wait {one} {other}") == "3\n4"


def test_rename(docker: Docker) -> None:
    name, other, third = docker.name("before"), docker.name("after"), docker.name("third")
    identifier = docker.ok(f"create --name {name} busybox")
    docker.ok(f"create --name {third} busybox")
    assert docker.ok(f"rename {name} {other}") == ""
    assert docker.inspect(other, "{{.Id}} {{.Name}}") == f"{identifier} /{other}"
    docker.fails(f"inspect {name}")
    docker.fails(f"rename {other} {third}", text=f'The container name "/{third}" is already in use')
    if docker.kind != "podman":
        docker.fails(f"rename {other} {other}", text="Renaming a container with the same name as its current name")


def test_update(docker: Docker) -> None:
    docker.differs(podman="has no update before 4.4")
    name = docker.name()
    docker.ok(f"create --name {name} busybox sleep 60")
    # Warnings follow, where memory cannot be limited.
    assert docker.ok(f"update --restart always -m 64m --memory-swap 64m {name}").splitlines()[0] == name
    assert docker.inspect(name, "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.Memory}}") == "always 67108864"


def test_attach(docker: Docker) -> None:
    name = docker.name()
    docker.ok(f"run -d -i --name {name} busybox sh -c", "while read line; do echo got $line; [ $line = end ] && exit 6; done")
    with docker.start(f"attach {name}") as attached:
        assert attached.stdin is not None
        assert attached.stdout is not None
        attached.stdin.write(b"one\n")
        attached.stdin.flush()
        assert attached.stdout.readline() == b"got one\n"
        attached.stdin.write(b"end\n")
        attached.stdin.flush()
        assert attached.stdout.readline() == b"got end\n"
        assert attached.wait(20) == 6


def test_rm(docker: Docker, polite: str) -> None:
    docker.fails(f"rm {polite}", text="container is running" if docker.kind == "docker28" else "running container")
    assert docker.ok(f"rm -f {polite}") == polite
    docker.fails(f"inspect {polite}")


def test_prune_takes_those_with_the_label_that_do_not_run(docker: Docker) -> None:
    over = docker.ok(f"run -d --name {docker.name('over')} busybox true")
    docker.ok(f"wait {over}")
    docker.ok(f"run -d --name {docker.name('up')} busybox sleep 60")
    shown = docker.ok(f"container prune -f --filter label={docker.label}").splitlines()
    assert shown[:2] == ["Deleted Containers:", over]
    assert shown[-1].startswith("Total reclaimed space: ")
    assert docker.ok(f"ps -a --filter label={docker.label} --format", "{{.Names}}") == docker.name("up")
