"""`dockerlab.debug()` and `%container debug`: a container of the state before the step that failed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dockerlab
from dockerlab import containers
from dockerlab.builds.debugging import LABEL, DebugContainer
from dockerlab.client import Client
from dockerlab.errors import BuildError, CommandError, Conflict, DockerfileError, EngineError, UsageError
from dockerlab.testing.shell import Shell
from tests.engine import leftovers

STATE = """FROM busybox
RUN mkdir /work && echo joe:x:1234:1234::/work:/bin/sh >> /etc/passwd
FROM busybox AS unused
RUN echo other > /other
FROM busybox
ARG WHO=nobody
ARG VERSION=3
ENV GREETING="hello $WHO"
RUN mkdir /work && echo joe:x:1234:1234::/work:/bin/sh >> /etc/passwd
COPY a.txt /work/
WORKDIR /work
USER joe
ENTRYPOINT ["echo", "not this"]
# It fails.
RUN cat a.txt && \\
    # in the end
    echo "$GREETING, $VERSION" && exit 7
RUN never
"""


@pytest.fixture(autouse=True)
def no_image_is_left(client: Client) -> Iterator[None]:
    yield
    for image in client.api.images(filters={"label": "dockerlab-test=debugging"}):
        client.api.remove_image(image["Id"], force=True)


@pytest.fixture
def name(prefix: str) -> str:
    return f"{prefix}debug"


def failure(client: Client, text: str, **options: Any) -> BuildError:
    with pytest.raises(BuildError) as caught:
        dockerlab.build(text, client=client, label={"dockerlab-test": "debugging"}, **options)
    return caught.value


def said(container: DebugContainer, command: str | list[str], stdin: str | None = None) -> str:
    output = bytearray()
    containers.exec(container, command, stdin=stdin, output=lambda stream, data: output.extend(data), client=container.client)
    return output.decode()


@pytest.mark.contract
def test_the_state_is_the_one_that_the_step_began_with(client: Client, name: str) -> None:
    error = failure(client, STATE, files={"a.txt": "A\n"}, build_arg=["WHO=you"])
    assert (error.line, error.exit_code) == (15, 7)
    assert "`%container debug`" in (error.hint or "")
    container = dockerlab.debug(error, name=name, client=client)
    assert container.facts.state == "running"
    assert (
        said(container, ["sh", "-c", "pwd; id -u; cat a.txt; echo $GREETING, $WHO $VERSION"])
        == "/work\n1234\nA\nhello you, you 3\n"
    )
    # What the guide says to try does what the step did.
    first, _, script = container.guide.cell.partition("\n")
    assert first == f"%%container exec {name}"
    with pytest.raises(CommandError) as caught:
        said(container, "sh", script)
    assert caught.value.exit_code == 7
    assert said(container, "sh", script.replace("exit 7", "exit 0")) == "A\nhello you, 3\n"
    assert container.guide.remark == "", "all of it was in the cache"
    assert container.guide.terminal.endswith(f"exec -it {name} sh")
    assert repr(container).startswith(f"container {name}: running; the state before line 15: RUN cat a.txt")
    assert container.guide.terminal in str(container)


def test_another_failure_takes_its_place_but_not_that_of_another_container(client: Client, name: str) -> None:
    error = failure(client, "FROM busybox\nRUN false\n")
    first = dockerlab.debug(error, name=name, client=client)
    second = dockerlab.debug(failure(client, "FROM busybox\nENV A=1\nRUN false\n"), name=name, client=client)
    assert [c.id for c in client.containers.list(all=True, filters={"name": name})] == [second.id] != [first.id]
    assert second.attrs["Config"]["Labels"][LABEL]
    containers.rm(second, force=True, client=client)
    dockerlab.run("busybox", ["sleep", "60"], detach=True, name=name, label=leftovers.label(name), client=client)
    with pytest.raises(Conflict, match="not one that debugs a build of this folder"):
        dockerlab.debug(error, name=name, client=client)


@pytest.mark.contract
def test_what_cannot_be_given_is_told(client: Client, name: str) -> None:
    text = f"FROM busybox\nRUN echo {time.time()} > /made\nRUN --mount=type=cache,target=/cache ls /cache && exit 3\n"
    container = dockerlab.debug(failure(client, text, no_cache=True), name=name, client=client)
    assert container.guide.notes == ("Absent here: the step's own mounts, `--mount=type=cache,target=/cache`.",)
    assert said(container, ["cat", "/made"]) == text.split()[4] + "\n", "the state is that of the build that failed"


def test_a_state_with_a_shell_alone(client: Client, name: str) -> None:
    remove = "RUN rm -f /bin/sleep /bin/tail /usr/bin/sleep /usr/bin/tail\n"
    container = dockerlab.debug(failure(client, f"FROM busybox\n{remove}RUN false\n"), name=name, client=client)
    assert said(container, ["sh", "-c", "echo here"]) == "here\n"


@pytest.mark.contract
def test_a_state_in_which_nothing_can_run(client: Client, name: str) -> None:
    error = failure(client, 'FROM scratch\nCOPY a.txt /\nRUN ["/b"]\n', files={"a.txt": ""})
    assert error.line == 3
    with pytest.raises(UsageError) as caught:
        dockerlab.debug(error, name=name, client=client)
    assert (
        str(caught.value) == "the state before line 3 has no command that could keep a container alive: no sleep, no tail, no shell"
    )
    assert "--output" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text",
    ["FROM dockerlab.invalid/none\nRUN x\n", "FROM scratch\nCOPY none /\n"],
)
def test_where_there_is_nothing_to_start(client: Client, name: str, text: str) -> None:
    error = failure(client, text)
    assert "%container debug" not in (error.hint or "")
    with pytest.raises(UsageError, match=r"^there is no (state before line \d+|step) to debug"):
        dockerlab.debug(error, name=name, client=client)


def test_secrets_are_given_again_and_kept_nowhere(client: Client, name: str, tmp_path: Path) -> None:
    canary = f"canary-{time.time()}"
    text = "FROM busybox\nCOPY a.txt /\nRUN --mount=type=secret,id=t grep -c canary /run/secrets/t > /seen\nRUN false\n"
    (tmp_path / "a.txt").write_text(canary[7:])
    error = failure(client, text, context=tmp_path, secret={"t": canary})
    (tmp_path / "a.txt").write_text(f"again {canary[7:]}")  # so that what follows runs again
    container = dockerlab.debug(error, name=name, client=client)
    assert said(container, ["cat", "/seen", "/a.txt"]) == f"1\nagain {canary[7:]}"
    assert "what ran again" in str(container)
    assert "what ran again" not in repr(container)
    api: Any = client.api
    image = api.inspect_image(container.attrs["Image"])
    shown = [repr(container), str(container), container._repr_html_(), repr(vars(error)), str(image), str(container.attrs)]
    assert not [text for text in shown if canary in text]
    assert said(container, ["sh", "-c", "ls /run/secrets /dev/shm 2>/dev/null; env"]).count(canary) == 0


def test_a_user_and_a_shell_that_are_not_there(client: Client, name: str) -> None:
    error = failure(client, 'FROM busybox\nSHELL ["/none", "-c"]\nUSER nobody-here\nRUN true\n')
    with pytest.raises(EngineError) as caught:
        dockerlab.debug(error, name=name, client=client)
    assert "-u root" in (caught.value.hint or "")
    container = dockerlab.debug(error, name=name, user="root", client=client)
    assert container.guide.notes == ("It has no `/none`, which the step's SHELL names.",)
    assert container.guide.cell == f"%%container exec {name}\ntrue"


@pytest.fixture
def shell(client: Client) -> Iterator[Shell]:
    with Shell() as shell:
        yield shell


def test_in_a_notebook(shell: Shell, name: str) -> None:
    with pytest.raises(UsageError, match="no build has failed in this notebook"):
        shell.run("%container debug")
    shell.run("%%context a.txt\nA")
    with pytest.raises(BuildError):
        shell.run("%%dockerfile --label dockerlab-test=debugging\nFROM busybox\nCOPY a.txt /\nRUN false\n")
    with pytest.raises(DockerfileError):
        shell.run("%%dockerfile\n# nothing\n")
    with pytest.raises(UsageError, match="there is no step to debug in this failure"):
        shell.run("%container debug")
    with pytest.raises(BuildError):
        shell.run("%%dockerfile --label dockerlab-test=debugging\nFROM busybox\nCOPY a.txt /\nRUN false\n")
    result = shell.run(f"%container debug --name {name} -u 0")
    assert isinstance(result.value, DebugContainer)
    assert f"%%container exec {name}\nfalse" in result.displays[-1]["text/html"]
    assert shell.run(f"%%container exec {name}\ncat /a.txt").stdout == "A\n"
    assert shell.run(f"%container rm -f {name}").value.labels
