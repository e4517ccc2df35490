"""`--show-command`: the printed line is one that the `docker` command takes, and does the same with."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from dockerlab.client import Client
from dockerlab.project import export_project
from dockerlab.project.command import Command
from dockerlab.testing.shell import Shell
from tests.engine.docker_command import SECONDS, Docker


@pytest.fixture
def shell(client: Client) -> Iterator[Shell]:
    with Shell() as shell:
        yield shell


def shown(shell: Shell, cell: str) -> Command:
    """What a cell shows with the flag put after its verb, or its magic."""
    first, newline, body = cell.partition("\n")
    words = first.split(" ", 1 if "dockerfile" in first else 2)
    at = 1 if "dockerfile" in first else 2
    line = " ".join([*words[:at], "--show-command", *words[at:]])
    found = shell.run(f"{line}{newline}{body}").value
    assert isinstance(found, Command)
    return found


def run(docker: Docker, command: Command, folder: Path | None = None, more: str = "") -> str:
    """What the line prints in a shell; it succeeds."""
    done = subprocess.run(
        ["sh", "-ec", command.line + more],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=SECONDS,
        env=docker.environment,
        check=False,
    )
    assert done.returncode == 0, f"{command.line}: {done.stderr}"
    return done.stdout


@pytest.mark.parametrize(
    "cell",
    [
        "%container run --rm -e 'A=b  c' -w /tmp busybox sh -c 'echo \"$A\" \"$0\" $(pwd)' {x}",
        "%container run --rm --name {name} --label=a=b -m 64m busybox echo x",
        "%container run --rm --replace --name {name} busybox echo 'a b'",
        "%%container run --rm busybox\necho 'from the cell' $0\nEOF=1",
        "%%container run --rm --entrypoint cat busybox\nthe cell",
        "%%container run --rm busybox wc -l\n1\n2\n",
    ],
)
def test_a_run_prints_the_same(cell: str, shell: Shell, docker: Docker) -> None:
    shell.namespace.update(name=docker.name(), x="a variable's 'value'")
    assert run(docker, shown(shell, cell)) == shell.run(cell).stdout


def test_a_container_that_goes_on_is_alike(shell: Shell, docker: Docker) -> None:
    cell = "%container run -d -p 5000 -p 0.0.0.0::6000/udp --restart no --wait -l tier=front --name {} busybox sleep 60"
    ours, theirs = docker.name("ours"), docker.name("theirs")
    shell.run(cell.format(ours).replace(" --wait", ""))
    command = shown(shell, cell.format(theirs))
    assert command.notes == ("docker run -d does not wait until the container is ready; `docker ps` and `docker logs` tell.",)
    run(docker, command)
    for template in (
        "{{range $p, $b := .HostConfig.PortBindings}}{{$p}} {{(index $b 0).HostIp}} {{end}}",
        "{{.Config.Cmd}} {{.Config.Labels.tier}} {{.HostConfig.RestartPolicy.Name}} {{.State.Running}}",
    ):
        assert docker.inspect(ours, template) == docker.inspect(theirs, template)


def test_each_verb_on_a_container(shell: Shell, docker: Docker, tmp_path: Path) -> None:
    name = docker.name()
    docker.ok(f"run -d --name {name} -p 5000 busybox sh -c 'echo 1; echo 2; touch /new; exec sleep 600'")

    def verb(line: str) -> str:
        return run(docker, shown(shell, f"%container {line}"), tmp_path)

    def state() -> str:
        return docker.inspect(name, "{{.State.Status}}")

    assert name in verb("ps")
    assert verb(f"logs -n 1 --since=1h {name}") == "2\n"
    assert verb(f"exec -w /tmp -e A=1 {name} sh -c 'echo $A $PWD'") == "1 /tmp\n"
    assert "/new" in verb(f"diff {name}")
    assert "sleep" in verb(f"top {name}")
    assert name in verb(f"stats {name}")
    assert verb(f"limits {name}") == "0 0\n"
    assert "5000/tcp" in verb(f"port {name}")
    assert f'"/{name}"' in verb(f"inspect {name}")
    verb(f"cp {name}:/new copied")
    assert (tmp_path / "copied").read_bytes() == b""
    verb(f"pause {name}")
    assert state() == "paused"
    verb(f"unpause {name}")
    assert state() == "running"
    verb(f"commit -m 'a note' {name} {docker.name('image')}")
    assert docker.inspect(docker.name("image"), "{{.Comment}}") == "a note"
    verb(f"restart --timeout 0 {name}")
    verb(f"stop --time=0 {name}")
    assert state() == "exited"
    assert "137" in verb(f"wait {name}")
    verb(f"start {name}")
    verb(f"kill -s TERM {name}")
    verb(f"rename {name} {name}-new")
    verb(f"rm -f {name}-new")
    assert docker(f"inspect {name}-new").code != 0
    # Those that it would remove are not the test's: no container has the label.
    assert "reclaimed" in run(docker, shown(shell, "%container prune"), more=" --filter label=dockerlab-test=nothing")


def test_each_verb_on_an_image(shell: Shell, docker: Docker, tmp_path: Path) -> None:
    name = docker.name("image")

    def verb(line: str) -> str:
        return run(docker, shown(shell, f"%image {line}"))

    verb(f"tag busybox {name}")
    assert name in verb(f"ls {name}")
    assert "IMAGE" in verb(f"history {name}")
    assert f"{name}:latest" in verb(f"inspect {name}")
    assert "RootFS" in verb(f"show {name}")
    assert "sha256:" in verb(f"graph {name}")
    assert verb(f"explore {name}")
    assert verb(f"diff {name} busybox")
    archive = tmp_path / "image.tar"
    verb(f"save {archive} {name}")
    assert "Loaded image" in verb(f"load {archive}")
    verb(f"rm -f {name}")
    assert docker(f"image inspect {name}").code != 0
    assert "reclaimed" in run(docker, shown(shell, "%image prune"), more=" --filter label=dockerlab-test=nothing")
    docker.ok("pull --help")
    assert shown(shell, "%image pull -q --platform linux/amd64 busybox").line == "docker pull -q --platform linux/amd64 busybox"


@pytest.mark.parametrize("kind", ["network", "volume"])
def test_each_verb_on_networks_and_volumes(kind: str, shell: Shell, docker: Docker) -> None:
    name = docker.name(kind)
    assert run(docker, shown(shell, f"%{kind} create {name}")).strip()
    assert name in run(docker, shown(shell, f"%{kind} ls"))
    assert name in run(docker, shown(shell, f"%{kind} inspect {name}"))
    run(docker, shown(shell, f"%{kind} rm -f {name}"))
    assert docker(f"{kind} inspect {name}").code != 0


def test_a_build_from_a_cell_and_from_a_folder(shell: Shell, docker: Docker, tmp_path: Path) -> None:
    name = docker.name("image")
    text = 'FROM busybox AS one\nARG A\nRUN echo "$A" > /said\nFROM one\nRUN exit 1'
    run(docker, shown(shell, f"%%dockerfile -t {name} --build-arg 'A=b c' --label l=m --target one\n{text}"))
    assert docker.ok(f"run --rm {name} cat /said") == "b c"
    assert docker.inspect(name, "{{.Config.Labels.l}}") == "m"
    files = "%%context a.txt\nthe file", f"%%dockerfile -t {name}\nFROM busybox\nCOPY a.txt /said"
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell(one) for one in files]), tmp_path / "n.ipynb")
    export_project(tmp_path / "n.ipynb", tmp_path / "out")
    shell.run(files[0])
    command = shown(shell, files[1])
    run(docker, command, tmp_path / "out")
    assert docker.ok(f"run --rm {name} cat /said") == "the file"
    assert f"\n{command.line}\n" in (tmp_path / "out" / "README.md").read_text()
