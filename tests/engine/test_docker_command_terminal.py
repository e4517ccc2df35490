"""`docker run -it`, `docker exec -it` and `docker attach` on a real terminal."""

from __future__ import annotations

import pytest

from tests.engine.docker_command import Docker, Result
from tests.engine.terminal import Terminal

pytestmark = pytest.mark.contract

# The size arrives a moment after the shell.
SIZE = "until [ \"$(stty size)\" = '{} {}' ]; do sleep 0.05; done; echo size-$((1 + {}))\n"


def terminal(docker: Docker, command: str) -> Terminal:
    return Terminal(docker.argv(command), docker.environment)


def test_a_shell_on_a_terminal(docker: Docker) -> None:
    with terminal(docker, "run -it busybox sh") as shell:
        shell.expect("# ")
        shell.send("tty; echo $((6 * 7))\n")
        assert b"/dev/" in shell.expect("\r\n42\r\n")
        shell.send(SIZE.format(33, 101, 1))
        shell.expect("size-2")
        shell.resize(40, 120)
        shell.send(SIZE.format(40, 120, 2))
        shell.expect("size-3")
        shell.send("echo go-$((1 + 1)); sleep 100\n")
        shell.expect("go-2")
        shell.send("\x03")
        shell.expect("# ", again="\x03")  # the first one may have come before the sleep, which then goes on
        shell.send("exit 5\n")
        assert shell.wait() == 5


def test_a_terminal_without_input(docker: Docker) -> None:
    assert docker("run --rm -t busybox sh -c 'test -t 1 && echo one; echo two >&2'") == Result(0, "one\r\ntwo\r\n", "")


def test_a_terminal_wants_one(docker: Docker) -> None:
    docker.fails("run --rm -it busybox sh", text="the input device is not a TTY")


def test_detached_by_keys_and_attached_again(docker: Docker) -> None:
    name = docker.name()
    with terminal(docker, f"run -it --name {name} busybox sh") as shell:
        shell.expect("# ")
        shell.send("x=kept; echo ready-$((1 + 1))\n")
        shell.expect("ready-2")
        shell.send("\x10\x11")
        assert shell.wait() == 0
    assert docker.inspect(name, "{{.State.Status}}") == "running"
    with terminal(docker, f"attach {name}") as shell:
        shell.send("echo $x-$((1 + 2)); exit 3\n")
        shell.expect("kept-3")
        assert shell.wait() == 3


def test_exec_on_a_terminal(docker: Docker, box: str) -> None:
    script = SIZE.format(33, 101, 1).strip() + "; cat; exit 4"
    with Terminal(docker.argv(f"exec -it {box} sh -c", script), docker.environment) as shell:
        shell.expect("size-2\r\n")
        shell.send("typed\n")
        shell.expect("typed\r\ntyped\r\n")
        shell.send("\x04")
        assert shell.wait() == 4


def test_keys_that_detach_can_be_chosen(docker: Docker, box: str) -> None:
    with terminal(docker, f"exec -it --detach-keys ctrl-a,d {box} sh") as shell:
        shell.expect("# ")
        shell.send("\x01d")
        shell.wait()
        assert b"exec attach failed" not in shell.screen
