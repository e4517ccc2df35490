"""`docker run`: streams, exit codes, options, and what it refuses."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.engine.docker_command import Docker, Result, until

pytestmark = pytest.mark.contract

UPGRADE = "answers an attach to a container that cannot start with 409"


def test_output_is_told_apart_and_the_exit_code_is_the_commands(docker: Docker) -> None:
    assert docker("run busybox sh -c 'echo out; echo err >&2; exit 3'") == Result(3, "out\n", "err\n")


def test_only_the_stream_that_is_asked_for(docker: Docker) -> None:
    docker.differs(podman="sends what was not asked for, which the command does not expect")
    assert docker("run --rm -a stderr busybox sh -c 'echo out; echo err >&2'") == Result(0, "", "err\n")


@pytest.mark.parametrize(("killed_by", "code"), [("KILL", 137), ("TERM", 143)])
def test_a_signals_exit_code(docker: Docker, killed_by: str, code: int) -> None:
    docker.differs(podman="has no init program here")
    # Under --init the command is not the first process, which the kernel protects from its own signals.
    docker.fails(f"run --rm --init busybox sh -c 'kill -{killed_by} $$'", code=code)


@pytest.mark.parametrize(
    ("program", "code", "text"),
    [("nosuch", 127, 'exec: "nosuch": executable file not found in $PATH'), ("/etc", 126, "permission denied")],
)
def test_a_program_that_cannot_be_executed(docker: Docker, program: str, code: int, text: str) -> None:
    docker.differs(podman=UPGRADE)
    docker.fails(f"run --name {docker.name()} busybox {program}", code=code, text=text)
    assert docker.inspect(docker.name(), "{{.State.Status}} {{.State.ExitCode}} {{.State.Running}}") == f"created {code} false"


def test_an_image_that_is_nowhere(docker: Docker) -> None:
    # What follows is the resolver's or the registry's own text.
    docker.fails(f"run {docker.name('image')}", code=125, text=f"Unable to find image '{docker.name('image')}:latest' locally")
    docker.fails(f"run --pull never {docker.name('image')}", code=125, text=f"No such image: {docker.name('image')}:latest")


def test_input(docker: Docker) -> None:
    megabyte = "0123456789abcde\n" * 65536
    assert docker("run --rm -i busybox cat", input=megabyte) == Result(0, megabyte, "")
    assert docker("run --rm busybox wc -c", input="not for it") == Result(0, "0\n", "")


def test_a_command_that_does_not_read_all_its_input(docker: Docker) -> None:
    docker.differs(podman="loses the output of such a command in one of twelve runs")
    assert docker("run --rm -i busybox head -n 1", input="one\n" + "two\n" * 100_000).out == "one\n"


def test_detached(docker: Docker, tmp_path: Path) -> None:
    out = docker.ok(f"run -d --cidfile {tmp_path}/id --name {docker.name()} busybox sleep 60")
    assert len(out) == 64
    assert (tmp_path / "id").read_text() == out
    assert docker.inspect(docker.name(), "{{.Id}} {{.State.Status}} {{.Config.Image}} {{json .Config.Cmd}}") == (
        f'{out} running busybox ["sleep","60"]'
    ).replace("busybox", docker.inspect(docker.name(), "{{.Config.Image}}"))
    # An unambiguous beginning of an id is enough.
    assert docker.inspect(out[:12], "{{.Name}}") == f"/{docker.name()}"


def test_removed_at_its_end(docker: Docker) -> None:
    gone = docker(f"run --rm --name {docker.name('gone')} busybox sh -c 'exit 9'")
    assert gone.code == 9 or docker.kind == "podman", "Podman has forgotten the code by then"
    docker.ok(f"run --name {docker.name('kept')} busybox true")
    assert docker.ok(f"ps -a --filter name={docker.prefix} --format", "{{.Names}}") == docker.name("kept")


def test_environment_folder_user_names(docker: Docker, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# a comment\nFILE=f\n")
    script = "echo $A,$B,$FILE,$HOME,$PATH; pwd; id -u; id -g; hostname; grep -c '^10.1.2.3[[:space:]]*far' /etc/hosts; hostname -i | wc -w"
    options = f"-e A=1 -e B --env-file {tmp_path}/env -w /made/for/it -u 1000:1001 -h its-name --add-host far:10.1.2.3"
    result = docker("run --rm " + options, "busybox", "sh", "-c", script, env={"B": "from the caller"})
    assert result.code == 0, result.err
    home = result.lines[0].split(",")[3]
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert result.lines == [f"1,from the caller,f,{home},{path}", "/made/for/it", "1000", "1001", "its-name", "1", "1"]


def test_a_user_that_is_not_there(docker: Docker) -> None:
    docker.differs(podman=UPGRADE)
    docker.fails("run --rm -u nosuch busybox id", code=125, text="unable to find user nosuch: no matching entries in passwd file")


def test_labels_and_limits_are_kept(docker: Docker) -> None:
    docker.ok(f"create --name {docker.name()} -l a=b -l c -m 64m --cpus 0.5 --stop-signal INT --stop-timeout 3 busybox")
    labels = '{{index .Config.Labels "a"}}|{{index .Config.Labels "c"}}'
    asked = labels + "|{{.HostConfig.Memory}}|{{.HostConfig.NanoCpus}}|{{.Config.StopSignal}}"
    found = docker.inspect(docker.name(), asked)
    assert found in ("b||67108864|500000000|INT", "b||67108864|500000000|2")  # Podman keeps the signal's number


def test_the_entrypoint(docker: Docker) -> None:
    assert docker("run --rm --entrypoint echo busybox hello you") == Result(0, "hello you\n", "")


def test_limits_of_a_process(docker: Docker) -> None:
    docker.differs(podman=UPGRADE)
    assert docker("run --rm --ulimit nofile=100:200 busybox sh -c 'ulimit -n; ulimit -Hn'") == Result(0, "100\n200\n", "")


def test_read_only_with_a_tmpfs(docker: Docker) -> None:
    docker.differs(podman="its stand-in for a read-only root may be written to")
    script = "echo x > /t/x && cat /t/x; touch /y"
    result = docker("run --rm --read-only --tmpfs /t:size=1m busybox sh -c", script)
    assert result == Result(1, "x\n", "touch: /y: Read-only file system\n")


def test_signals_reach_the_command(docker: Docker) -> None:
    script = "trap 'echo asked; exit 7' TERM; echo ready; while :; do sleep 0.1; done"
    with docker.start("run busybox sh -c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=20)[0] == b"asked\n"
    assert process.returncode == 7


def test_no_network_and_the_hosts(docker: Docker) -> None:
    assert docker.inspect(docker.ok("create --network none busybox"), "{{.HostConfig.NetworkMode}}") == "none"
    docker.fails("run --network none busybox nc -w 2 10.255.255.1 80", code=1)
    host = docker.ok("info -f {{.Name}}")
    assert docker.ok("run --rm --network host busybox hostname") == host


def test_restarted_until_it_fails_too_often(docker: Docker) -> None:
    docker.ok(f"run -d --restart on-failure:2 --name {docker.name()} busybox false")
    until(lambda: docker.inspect(docker.name(), "{{.RestartCount}} {{.State.Status}}"), lambda found: found == "2 exited")
    assert docker.inspect(docker.name(), "{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}") == "2 exited 1"


def test_a_name_that_is_taken(docker: Docker) -> None:
    taken = docker.ok(f"create --name {docker.name()} busybox")
    docker.fails(
        f"run --name {docker.name()} busybox",
        code=125,
        text=f'Conflict. The container name "/{docker.name()}" is already in use by container "{taken}". '
        "You have to remove (or rename) that container to be able to reuse that name.",
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("--name b@d", "Invalid container name (b@d), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
        ("-v /tmp:/x:zz", "invalid mode: zz"),
        ("-v /tmp:relative", "relative"),
        ("-m 1k", "Minimum memory limit allowed is 6MB"),
        ("--network nosuch-network", "network nosuch-network not found"),
        ("--restart sometimes", "invalid restart policy"),
    ],
)
def test_options_that_an_engine_refuses(docker: Docker, options: str, text: str) -> None:
    docker.differs(podman="takes some of these, and fails later")
    docker.fails(f"run {options} busybox true", code=125, text=text)


def test_a_program_opens_a_terminal_for_another(docker: Docker) -> None:
    # As dpkg does, for its log.
    program = (
        "import os, pty; master, slave = pty.openpty(); os.write(slave, b'x'); print(os.read(master, 9), os.ttyname(slave)[:8])"
    )
    assert docker.ok("run --rm python:3.10 python -c", program) == "b'x' /dev/pts"
