"""`docker ps` and `docker logs`."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from dockerlab.client import Client
from tests.engine.docker_command import Docker, Kind, Result, opened
from tests.engines import Engine

pytestmark = pytest.mark.contract

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"


@pytest.fixture(scope="module")
def three(engine: Engine, kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Containers PREFIXmade, PREFIXover and PREFIXup, each in the state of its name. The prefix."""
    config = tmp_path_factory.mktemp("docker")
    with engine.configured() as client, opened(client, kind, config) as docker:
        docker.ok(f"create --name {docker.name('made')} -l is=made -p 127.0.0.1::5000 busybox true")
        docker(f"run --name {docker.name('over')} -l is=over busybox sh -c", "echo one; echo two >&2; exit 3")
        docker.ok(f"run -d --name {docker.name('up')} -l is=up -p 127.0.0.1::5000 busybox sleep 600")
        yield docker.prefix


def names(docker: Docker, three: str, options: str) -> list[str]:
    shown = docker.ok(f"ps {options} --filter name={three} --format", "{{.Names}}")
    return [name.removeprefix(three) for name in shown.splitlines()]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ("", ["up"]),
        ("-a", ["up", "over", "made"]),
        ("-n 2", ["up", "over"]),
        ("-a --filter status=created", ["made"]),
        ("-a --filter status=exited --filter status=running", ["up", "over"]),
        ("-a --filter exited=3", ["over"]),
        ("-a --filter label=is=over", ["over"]),
        ("-a --filter label=is", ["up", "over", "made"]),
        ("-a --filter label=is=nothing", []),
        ("-a --filter ancestor=busybox", ["up", "over", "made"]),
        ("-a --filter ancestor=python:3.10", []),
        ("-a --filter before={}over", ["made"]),
        ("-a --filter since={}over", ["up"]),
        ("--filter network=bridge", ["up"]),
    ],
)
def test_filters(docker: Docker, three: str, options: str, shown: list[str]) -> None:
    if docker.kind == "podman" and any(word in options for word in ("-n", "network", "{}", "ancestor")):
        docker.differs(podman="limits before it filters; other names of networks and images, another order")
    found = names(docker, three, options.format(three))
    assert (sorted(found) if docker.kind == "podman" else found) == (sorted(shown) if docker.kind == "podman" else shown)


def test_what_is_shown_of_a_container(docker: Docker, three: str) -> None:
    (row,) = docker.ok(
        f"ps --filter name={three} --format", "{{.ID}}|{{.Image}}|{{.Command}}|{{.State}}|{{.Status}}|{{.Ports}}|{{.RunningFor}}"
    ).splitlines()
    identifier, image, command, state, status, ports, age = row.split("|")
    assert re.fullmatch("[0-9a-f]{12}", identifier)
    assert image in ("busybox", "busybox:latest")
    assert command == '"sleep 600"'
    assert state == "running"
    assert re.match(r"Up (Less than|About|\d+) ", status)
    assert re.fullmatch(r"127\.0\.0\.1:\d+->5000/tcp", ports)
    assert age.endswith(" ago")
    assert docker.ok(f"ps -q --no-trunc --filter name={three}").startswith(identifier)
    assert docker.ok(f"ps -q --filter name={three}") == identifier
    assert re.match(r"Exited \(3\) .* ago", docker.ok(f"ps -a --filter name={three}over --format", "{{.Status}}"))
    assert docker.ok(f"ps -a --filter name={three}made --format", "{{.Status}}") == "Created"


def test_size(docker: Docker, three: str) -> None:
    assert re.fullmatch(r"\S+B \(virtual [\d.]+MB\)", docker.ok(f"ps -s --filter name={three} --format", "{{.Size}}"))


def test_the_table(docker: Docker, three: str) -> None:
    head, row = docker.ok(f"ps --filter name={three}").splitlines()
    assert head.split("  ")[0] == "CONTAINER ID"
    assert row.split()[-1] == f"{three}up"


def test_a_filter_that_is_none(docker: Docker) -> None:
    docker.fails("ps --filter nosuch=1", text="invalid filter 'nosuch'")


def test_logs(docker: Docker, three: str) -> None:
    over = f"{three}over"
    assert docker(f"logs {over}") == Result(0, "one\n", "two\n")
    assert docker(f"logs -n 0 {over}") == Result(0, "", "")
    assert docker(f"logs --since 1h {over}") == Result(0, "one\n", "two\n")
    assert docker(f"logs --until 1h {over}") == Result(0, "", "")
    stamped = docker(f"logs -t {over}")
    assert re.fullmatch(STAMP + " one\n", stamped.out)
    assert re.fullmatch(STAMP + " two\n", stamped.err)


def test_logs_of_what_was_never_started(docker: Docker, three: str) -> None:
    docker.differs(podman="takes it for an error")
    assert docker(f"logs {three}made") == Result(0, "", "")


def test_the_end_of_logs(docker: Docker) -> None:
    name = docker.name()
    docker.ok(f"run --name {name} busybox sh -c", "i=0; while [ $i -lt 1000 ]; do echo line $i; i=$((i + 1)); done; printf end")
    assert docker(f"logs {name}").out.splitlines() == [*(f"line {i}" for i in range(1000)), "end"]
    if docker.kind != "podman":  # which loses the end of the line before
        assert docker(f"logs -n 3 {name}").out == "line 998\nline 999\nend"


def test_logs_followed_to_the_end_of_the_container(docker: Docker) -> None:
    name = docker.name()
    docker.ok(f"run -d --name {name} busybox sh -c", "echo early; until [ -e /go ]; do sleep 0.05; done; echo late; echo err >&2")
    with docker.start(f"logs -f {name}") as logs:
        assert logs.stdout is not None
        assert logs.stdout.readline() == b"early\n"
        docker.ok(f"exec {name} touch /go")
        assert logs.communicate(timeout=20) == (b"late\n", b"err\n")
    assert logs.returncode == 0
    assert docker(f"logs -f --tail 1 {name}").code == 0


def test_logs_of_a_second_start_come_after_those_of_the_first(client: Client, docker: Docker) -> None:
    name = docker.name()
    docker.ok(f"run --name {name} busybox echo again")
    docker.ok(f"start -a {name}")
    assert docker.ok(f"logs {name}") == "again\nagain"
