"""`dockerlab.build()` on real engines: what it makes, what it records, how it fails, how it stops."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dockerlab
from dockerlab import Build, embedded
from dockerlab.client import Client
from dockerlab.errors import BuildError, ContextError, DockerfileError, EngineGone, InvalidReference
from dockerlab.images import Image

pytestmark = pytest.mark.contract

TAG = "dockerlab-test-build"


@pytest.fixture(autouse=True)
def no_image_is_left(client: Client) -> Iterator[None]:
    yield
    for image in client.api.images(filters={"label": "dockerlab-test=build"}):
        client.api.remove_image(image["Id"], force=True)


def build(client: Client, dockerfile: str | Path, **options: Any) -> Image:
    return dockerlab.build(dockerfile, client=client, label={"dockerlab-test": "build"}, **options)


def run(client: Client, image: Image, command: str) -> str:
    containers: Any = client.containers
    return str(containers.run(image.id, ["sh", "-c", command], remove=True).decode())


def failure(client: Client, dockerfile: str, **options: Any) -> BuildError:
    with pytest.raises(BuildError) as caught:
        build(client, dockerfile, **options)
    return caught.value


def test_a_build_makes_what_the_dockerfile_says(client: Client) -> None:
    image = build(
        client,
        'ARG BASE=busybox\nFROM ${BASE}\nARG WHO\nENV WHO=$WHO\nCOPY . /data/\nRUN echo "hello $WHO" > /greeting \\\n # why\n && true\n',
        files={"a.txt": "A", "src/b.txt": "B"},
        tag=[f"{TAG}:1", f"{TAG}:2"],
        build_arg=["WHO=you"],
    )
    assert sorted(tag.removeprefix("docker.io/library/").removeprefix("localhost/") for tag in image.tags) == [
        f"{TAG}:1",
        f"{TAG}:2",
    ]
    assert run(client, image, "cat /greeting /data/a.txt /data/src/b.txt; ls -A /data") == "hello you\nABa.txt\nsrc\n"
    assert image.labels["dockerlab-test"] == "build"


def test_the_record_has_a_step_for_each_instruction(client: Client) -> None:
    text = f'FROM busybox\nENV A=1\nRUN echo out; echo err >&2; echo {time.time()} > /t\nCMD ["sh"]\n'
    image = build(client, text)
    record = image.build
    assert record is not None
    steps = [step for step in record.steps if step.line]
    assert [(step.line, step.keyword, step.effect) for step in steps] == [
        (1, "FROM", "base"),
        (2, "ENV", "config"),
        (3, "RUN", "layer"),
        (4, "CMD", "config"),
    ]
    assert steps[2].state == "done"
    assert sorted(steps[2].output) == ["err", "out"]
    assert record.outcome == "done"
    assert "out" in record.log
    assert record.image_id == image.id
    again = build(client, text).build
    assert again is not None
    assert [step.state for step in again.steps if step.line in (2, 3, 4)] == ["cached"] * 3


def test_progress_is_reported_at_most_ten_times_a_second_and_ends_with_the_outcome(client: Client) -> None:
    seen: list[tuple[float, Build]] = []
    image = build(
        client,
        f"FROM busybox\nRUN echo {time.time()}; sleep 1; i=0; while [ $i -lt 10000 ]; do echo line $i; i=$((i+1)); done\n",
        progress=lambda record: seen.append((time.monotonic(), record)),
    )
    assert seen[-1][1].outcome == "done"
    assert {"waiting", "running"} <= {step.state for _, record in seen for step in record.steps}
    # A late report on a busy machine may be followed by one that is on time: the rate is what counts.
    assert len(seen) <= 10 * (seen[-1][0] - seen[0][0]) + 2
    assert image.build is not None
    lines = image.build.log.splitlines()
    assert [line for line in lines if line.startswith("line ")] == [f"line {i}" for i in range(10000)]


def test_stages_and_target(client: Client) -> None:
    text = f"FROM busybox AS one\nRUN echo {time.time()} > /one\nFROM busybox AS two\nCOPY --from=one /one /two\nFROM two\nRUN rm /two\n"
    image = build(client, text, target="two")
    assert run(client, image, "ls /two") == "/two\n"
    assert image.build is not None
    assert [step.state for step in image.build.steps if step.line in (5, 6)] == ["waiting", "waiting"]


def test_an_exit_code_is_the_engines_and_not_the_commands(client: Client) -> None:
    error = failure(client, "FROM busybox\nRUN : exit code: 7 returned a non-zero code: 7; exit 3\n")
    assert error.exit_code == 3


def test_a_failing_command(client: Client) -> None:
    error = failure(client, "FROM busybox\n\nRUN echo one && \\\n    echo two && \\\n    exit 7\nRUN echo never\n")
    assert str(error) == "line 3: the command ended with exit code 7"
    assert (error.line, error.exit_code) == (3, 7)
    assert error.instruction == "RUN echo one && echo two && exit 7"
    assert error.log == "one\ntwo"
    assert error.place[0].endswith("RUN echo one && \\")
    assert any("^" in line for line in error.place)
    assert "two" in error.evidence
    assert error.hint
    assert isinstance(error.build, Build)
    assert [step.state for step in error.build.steps if step.line] == ["done", "failed", "waiting"] or [
        step.state for step in error.build.steps if step.line
    ] == ["cached", "failed", "waiting"]


def test_a_program_that_is_not_there(client: Client) -> None:
    error = failure(client, "FROM busybox\nRUN nosuchprogram --x\n")
    assert str(error) == "line 2: the command ended with exit code 127"
    assert "did not find a program" in (error.hint or "")


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("FORM busybox\nRUN true\n", 1, "line 1: unknown instruction: FORM", "Did you mean FROM?"),
        ("FROM busybox\nRUN true\nRNU true\n", 3, "line 3: unknown instruction: RNU", "Did you mean RUN?"),
        ("FROM busybox\nCOPY nofile /\n", 2, "line 2: COPY finds no 'nofile'", "The build context holds: here.txt."),
        ("FROM dockerlab-no-such-image:1\n", 1, "line 1: there is no image 'dockerlab-no-such-image:1'", "%image"),
        ("FROM busybox\nCOPY --from=nowhere /a /b\n", 2, "line 2: there is no image 'nowhere'", "neither a stage"),
    ],
)
def test_what_is_wrong_with_a_dockerfile_is_said_alike_on_every_engine(
    client: Client, text: str, line: int, message: str, hint: str
) -> None:
    error = failure(client, text, files={"here.txt": "x"})
    assert str(error) == message
    assert error.line == line
    assert hint in (error.hint or "")
    assert any("^" in place for place in error.place)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n"])
def test_an_empty_dockerfile(client: Client, text: str) -> None:
    with pytest.raises(DockerfileError, match="empty"):
        build(client, text)


def test_a_heredoc_is_run_or_refused_but_never_an_empty_command(client: Client) -> None:
    text = "FROM busybox\nRUN <<EOF\nexit 3\nEOF\n"
    with pytest.raises((BuildError, DockerfileError)) as caught:
        build(client, text)
    error = caught.value
    assert isinstance(error, BuildError | DockerfileError)
    assert error.line == 2
    if isinstance(error, BuildError):
        assert error.exit_code == 3
    else:
        assert error.message.startswith("line 2: a heredoc needs ")
        assert not embedded.is_own(client.version())


def test_arguments_that_are_wrong(client: Client, tmp_path: Path) -> None:
    with pytest.raises(InvalidReference):
        build(client, "FROM busybox", tag="Not A Reference")
    with pytest.raises(ContextError, match="does not exist"):
        build(client, "FROM busybox", context=tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(ContextError, match="is a file"):
        build(client, "FROM busybox", context=tmp_path / "file")
    with pytest.raises(ContextError, match="cannot read the Dockerfile"):
        build(client, tmp_path / "Dockerfile")


def test_garbage_and_progress_bars_in_the_log(client: Client) -> None:
    error = failure(
        client, "FROM busybox\nRUN printf '\\377\\376\\033[31mred\\033[0m <script>alert(1)</script>\\n10%%\\r99%%\\n'; exit 1\n"
    )
    assert "red <script>alert(1)</script>" in error.log
    assert "99%" in error.log
    assert "10%" not in error.log
    assert "\x1b" not in error.log
    assert isinstance(error.build, Build)
    html = error.build._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_an_interrupt_stops_the_build_in_the_engine_and_leaves_nothing(client: Client) -> None:
    before = {c["Id"] for c in client.api.containers(all=True)}
    reports: list[Build] = []

    def interrupt_when_running(record: Build) -> None:
        reports.append(record)
        if record.outcome == "running" and any("started" in line for step in record.steps for line in step.output):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(client, f"FROM busybox\nRUN echo started {time.time()}; sleep 300\n", progress=interrupt_when_running)
    assert reports[-1].outcome == "interrupted"
    deadline = time.monotonic() + 20
    while {c["Id"] for c in client.api.containers(all=True)} - before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert {c["Id"] for c in client.api.containers(all=True)} - before == set()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dockerlab")]


def test_a_context_from_a_folder(client: Client, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY . /data\n")
    (tmp_path / "a.txt").write_text("A")
    (tmp_path / "secret.log").write_text("no")
    (tmp_path / ".dockerignore").write_text("*.log\n")
    image = build(client, tmp_path / "Dockerfile", context=tmp_path)
    assert run(client, image, "ls -A /data").split() == [".dockerignore", "Dockerfile", "a.txt"]
    empty = build(client, "FROM busybox\nCOPY . /data\nRUN ls -A /data | wc -l\n", files={"one": ""})
    assert run(client, empty, "ls -A /data") == "one\n", "neither the Dockerfile nor the .dockerignore that we send is copied"


def test_a_connection_that_breaks_in_the_middle(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the engine is killed: the socket is shut down under the build."""
    from dockerlab import hijacking, stream

    opened: list[stream.Stream] = []
    opening = stream.Stream.__init__

    def remember(self: stream.Stream, *arguments: Any) -> None:
        opened.append(self)
        opening(self, *arguments)

    monkeypatch.setattr(stream.Stream, "__init__", remember)

    def cut(record: Build) -> None:
        if record.outcome == "running" and any(step.output for step in record.steps):
            hijacking.wake(opened[-1]._socket)

    with pytest.raises(EngineGone, match="the engine's connection broke off"):
        build(client, f"FROM busybox\nRUN echo started {time.time()}; sleep 300\n", progress=cut)
