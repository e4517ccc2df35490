"""`%container` in cells: each verb reaches its function, and gives back what that one returns."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab.client import Client
from dockerlab.containers import Container, Containers
from dockerlab.errors import CommandError, Conflict, NotFound, UndefinedName, UsageError
from dockerlab.testing.shell import Shell


@pytest.fixture
def shell(client: Client) -> Iterator[Shell]:
    with Shell() as shell:
        yield shell


@pytest.fixture
def name(shell: Shell) -> Iterator[str]:
    """A container's name, free before and after."""
    name = f"magic-{uuid.uuid4().hex[:8]}"
    yield name
    shell.run(f"%container rm -f {name}")


@pytest.mark.contract
def test_a_foreground_run_shows_its_output_and_nothing_else(shell: Shell) -> None:
    result = shell.run("%container run --rm busybox sh -c 'echo out; echo err >&2'")
    assert (result.value, result.stdout, result.stderr, result.displays) == (None, "out\n", "err\n", ())


@pytest.mark.contract
def test_a_failing_command_fails_the_cell(shell: Shell) -> None:
    with pytest.raises(CommandError) as caught:
        shell.run("%container run --rm busybox sh -c 'exit 3'")
    assert caught.value.exit_code == 3


@pytest.mark.contract
def test_a_cell_is_fed_to_a_shell(shell: Shell, name: str) -> None:
    """The body is the container's: nothing in it is expanded by us."""
    body = 'for i in 1 2; do echo "{name} ${HOME} $i"; done\nexit 4'
    with pytest.raises(CommandError) as caught:
        shell.run(f"%%container run --rm busybox\n{body}")
    assert caught.value.exit_code == 4
    assert shell.run("%%container run --rm -e X=y busybox\necho {name} $X").stdout == "{name} y\n"
    assert shell.run("%%container run --rm busybox wc -l\na\nb\n").stdout == "2\n"
    assert shell.run("%%container run --rm --entrypoint cat busybox\nthe cell").stdout == "the cell\n"
    shell.run(f"%container run -d --name {name} busybox sleep 60")
    assert shell.run(f"%%container exec {name}\necho in $(hostname -s >/dev/null && echo here)").stdout == "in here\n"
    assert shell.run(f"%%container exec -w /tmp {name} sh -s\npwd").stdout == "/tmp\n"


@pytest.mark.contract
def test_a_detached_run_is_a_value(shell: Shell, name: str) -> None:
    shell.run(f"name, n, c = {name!r}, 7, None")
    shell.run("c = %container run -d --name {name} -e N={n:03d} -l tier=front busybox sh -c 'echo $N; sleep 60'")
    container = shell.namespace["c"]
    assert isinstance(container, Container)
    assert container.name == name
    shell.run("%container exec {c.name} true")
    assert name in shell.run("%container ps").displays[0]["text/html"]
    assert shell.run("%container logs {c.name}").stdout == "007\n"
    assert shell.run("%container exec {name} echo $HOME '{{.Names}}'").stdout == "$HOME {{.Names}}\n"


def test_the_life_of_a_container(shell: Shell, name: str, tmp_path: Path) -> None:
    shell.run(f"%container run -d --name {name} busybox sh -c 'echo 1; echo 2; touch /new; sleep 60'")
    assert isinstance(shell.run(f"%container stop -t 0 {name}").value, Container)
    assert shell.run("%container ps").value == [] or name not in shell.run("%container ps").displays[0]["text/plain"]
    assert name in str(shell.run("%container ps -a").value)
    assert shell.run(f"%container logs -n 1 {name}").stdout == "2\n"
    assert shell.run(f"%container logs --tail=all --since 1h {name}").stdout == "1\n2\n"
    assert "/new" in str(shell.run(f"%container diff {name}").value)
    assert shell.run(f"%container wait {name}").value == 137
    shell.run(f"%container start {name}")
    shell.run(f"%container restart --time 0 {name}")
    assert "sleep 60" in str(shell.run(f"%container top {name}").value)
    assert name in str(shell.run(f"%container stats {name}").value)
    assert shell.run(f"%container inspect {name}").value["Name"] == f"/{name}"
    shell.run(f"%container port {name}")
    (tmp_path / "file").write_text("content")
    shell.run(f"%container cp {tmp_path}/file {name}:/tmp/file")
    shell.run(f"%container cp {name}:/tmp/file {tmp_path}/back")
    assert (tmp_path / "back").read_text() == "content"
    shell.run(f"%container rename {name} {name}-2")
    shell.run(f"%container rename {name}-2 {name}")
    image = shell.run(f"%container commit -m note {name} {name}:1").value
    assert image.tags == [f"{name}:1"]
    shell.run(f"%image rm {name}:1")
    assert isinstance(shell.run(f"%container stop -t 0 {name} {name}").value, Containers)
    shell.run(f"%container rm {name}")
    with pytest.raises(NotFound):
        shell.run(f"%container inspect {name}")


def test_replace_takes_the_name(shell: Shell, name: str) -> None:
    shell.run(f"a = %container run -d --name {name} busybox sleep 60")
    with pytest.raises(Conflict):
        shell.run(f"%container run -d --name {name} busybox sleep 60")
    shell.run(f"b = %container run -d --replace --name {name} busybox sleep 60")
    assert shell.namespace["a"].id != shell.namespace["b"].id


@pytest.mark.needs("busybox")
def test_wait_takes_a_port_only_after_an_equals_sign(shell: Shell, name: str) -> None:
    serve = "sh -c 'sleep 0.3; exec httpd -f -p 8000'"
    shell.run(f"c = %container run -d --name {name} -p 8000 --wait=8000 busybox {serve}")
    shell.run(f"c = %container run -d --replace --name {name} -p8000 --wait busybox {serve}")
    assert shell.run("c.url(8000)").value.startswith("http")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%container runn busybox", "unknown verb runn: did you mean run?"),
        ("%container run --detahc busybox", "unknown flag --detahc: did you mean --detach?"),
        ("%container run -t busybox", "-t wants a terminal, and a notebook cell is none"),
        ("%container run -it busybox sh", "-t wants a terminal, and a notebook cell is none"),
        ("%container exec --tty web sh", "--tty wants a terminal, and a notebook cell is none"),
        ("%container run", "%container run needs IMAGE"),
        ("%container exec web", "%container exec needs COMMAND"),
        ("%container stop -t x web", "-t/--time/--timeout: invalid int value: 'x'"),
        ("%%container ps\nbody", "%%container ps has no use for a cell"),
        ("%%container run -d busybox\nbody", "%%container run waits for the command that it feeds"),
    ],
)
def test_a_wrong_line_says_what_is_wrong(shell: Shell, line: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        shell.run(line)
    assert str(caught.value) == message


def test_the_terminal_flag_points_to_the_cell_magic(shell: Shell) -> None:
    with pytest.raises(UsageError) as caught:
        shell.run("%container exec -it web sh")
    assert "%%container exec NAME" in (caught.value.hint or "")


def test_an_undefined_name_is_told(shell: Shell) -> None:
    shell.run("port = 1")
    with pytest.raises(UndefinedName, match="'prot' is not defined: did you mean 'port'"):
        shell.run("%container run -p {prot} busybox")


@pytest.mark.parametrize("line", ["%container", "%container --help", "%container run --help", "%%container exec -h\nx"])
def test_help(shell: Shell, line: str) -> None:
    result = shell.run(line)
    assert result.value is None
    assert result.stdout.startswith("%container ")


@pytest.mark.contract
def test_names_are_completed(shell: Shell, name: str) -> None:
    shell.run(f"%container run -d --name {name} busybox sleep 60")
    assert shell.complete(f"%container exec {name[:-1]}") == [name]
    assert any("busybox" in image for image in shell.complete("%container run "))
    assert shell.complete("%container run --publi") == ["--publish"]


def test_a_file_of_the_context_from_a_variable(shell: Shell) -> None:
    shell.run("notice = 'Cake'; raw = b'x'; number = 3")
    assert repr(shell.run("%context add notice.txt --var notice").value) == "notice.txt in the build context: 1 line"
    assert shell.run("%context show notice.txt").displays[-1]["text/html"].count("Cake") >= 1
    shell.run("%context add raw.bin --var raw")
    for line, said in (
        ("%context add a b --var notice", "fills one file"),
        ("%context add a --var nothing", "the notebook has no such variable"),
        ("%context add a --var number", "is of type int, not text"),
    ):
        with pytest.raises(UsageError, match=said):
            shell.run(line)
