"""Where a Dockerfile is cut to debug a step, what of the step can be run by hand, and which ARGs it sees."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dockerlab.builds.cutting import arguments, point, reading_input, shell
from dockerlab.dockerfile import parse
from dockerlab.errors import DockerfileError

SEVERAL = """# syntax=docker/dockerfile:1
ARG BASE=busybox
FROM $BASE AS one
RUN make \\
    # what is made
    all
FROM scratch AS two
COPY --from=one /x /
COPY <<A <<B /
RUN no step
A
FROM neither
B
ONBUILD RUN later

# about to fail
RUN ["/x", "a b"]
FROM one
RUN never
"""


def line_of(text: str, start: str) -> int:
    return next(number for number, line in enumerate(text.split("\n"), start=1) if line.startswith(start))


def script(instruction: str, head: str = "FROM busybox\n") -> str:
    text = head + instruction
    found = point(parse(text), head.count("\n") + 1)
    assert found
    return found.script


def test_it_is_cut_before_the_instruction_and_ends_in_its_stage() -> None:
    found = point(parse(SEVERAL), line_of(SEVERAL, 'RUN ["/x"'))
    assert found
    assert (found.node.keyword, found.stage.name) == ("RUN", "two")
    cut = found.before(SEVERAL)
    assert SEVERAL.startswith(cut)
    assert SEVERAL[len(cut) :].startswith('RUN ["/x"')
    nodes = parse(cut).nodes
    assert nodes == parse(SEVERAL).nodes[: len(nodes)]
    assert [node.keyword for node in nodes[-3:]] == ["COPY", "COPY", "ONBUILD"]


def test_a_step_of_an_earlier_stage() -> None:
    found = point(parse(SEVERAL), 4)
    assert found
    assert found.before(SEVERAL) == "# syntax=docker/dockerfile:1\nARG BASE=busybox\nFROM $BASE AS one\n"


@pytest.mark.parametrize(
    ("start", "because"),
    [
        ("ARG", "it is of no stage"),
        ("FROM $BASE", "nothing stands before it"),
        ("FROM scratch", "nothing stands before it"),
        ("COPY --from=one", "its stage is empty so far"),
        ("    # what", "no instruction begins there"),
        ("RUN no step", "it is a line of a heredoc"),
        ("FROM neither", "it is a line of a heredoc"),
    ],
)
def test_where_there_is_nothing_to_start(start: str, because: str) -> None:
    assert point(parse(SEVERAL), line_of(SEVERAL, start)) is None, because


def test_a_stage_that_begins_from_an_empty_one_is_empty() -> None:
    text = "FROM scratch AS empty\nENV A=1\nFROM Empty\nWORKDIR /\nCOPY a /\nRUN y\n"
    dockerfile = parse(text)
    assert [point(dockerfile, line) is not None for line in (2, 4, 5, 6)] == [False, False, False, True]


def test_carriage_returns_and_a_last_line_without_an_end_stay_as_they_are() -> None:
    text = "\ufeffFROM busybox\r\nCOPY <<E /a\r\nx\r\nE\r\nRUN false"
    found = point(parse(text), 5)
    assert found
    assert found.before(text) == text.removesuffix("RUN false")


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("RUN make  all", "make  all"),
        ("run --mount=type=cache,target=/c --network=none make", "make"),
        ("RUN a && \\\n    # why\n\n    b\n", "a && \\\n    b"),
        ("RUN --mount=type=tmpfs,target=/t \\\n  a && \\\n  b", "a && \\\n  b"),
        ("RUN\\\n  a", "a"),
        ("RUN a\\\nb", "a\\\nb"),
        ('RUN ["/bin/x", "a b", "$c"]', "/bin/x 'a b' '$c'"),
        ("RUN <<EOF\na\n\tb\nEOF", "a\n\tb\n"),
        ("RUN <<-EOF\n\ta\n\tb\n\tEOF", "a\nb\n"),
        ("RUN python3 - <<E && cat <<'F'\nprint(1)\nE\n$x\nF", "python3 - <<E && cat <<'F'\nprint(1)\nE\n$x\nF"),
        ("RUN cat <<E \\\n  | wc\na\nE", "cat <<E \\\n  | wc\na\nE"),
        ("COPY a /", ""),
    ],
)
def test_what_is_run_by_hand(instruction: str, expected: str) -> None:
    assert script(instruction) == expected


def test_another_escape_character_joins_the_lines() -> None:
    assert script("RUN a `\n  && b\n", "# escape=`\nFROM busybox\n") == "a   && b"


def test_a_shell_reads_what_is_shown_as_it_reads_the_step(tmp_path: Path) -> None:
    """The comments that Docker takes out of an instruction would end a command in a shell."""
    text = script('RUN X=1; \\\n  # why\n  echo "a\\\n  b $X" && \\\n\n  cat <<E\n$X \\$X\nE\n')
    done = subprocess.run(["sh"], input=text, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout == "a  b 1\n1 $X\n"


def test_the_interpreter_of_a_heredoc() -> None:
    def interpreter(instruction: str) -> tuple[str, ...] | None:
        found = point(parse(f"FROM busybox\n{instruction}"), 2)
        assert found
        return found.interpreter

    assert interpreter("RUN <<EOF\n#!/usr/bin/env python3\nprint()\nEOF") == ("/usr/bin/env", "python3")
    assert interpreter("RUN <<EOF\nx\nEOF") is None
    assert interpreter("RUN cat <<EOF\n#!x\nEOF") is None
    assert interpreter("RUN #!x") is None


def test_what_a_container_of_it_lacks_or_has() -> None:
    found = point(
        parse("FROM a\nRUN --mount=type=secret,id=t --network=none --mount=type=ssh --security=insecure x\nCOPY --chown=1 a /\n"), 2
    )
    assert found
    assert found.mounts == ("--mount=type=secret,id=t", "--mount=type=ssh")
    assert (found.network, found.is_privileged) == ("none", True)
    other = point(parse("FROM a\nRUN --network=default x\n"), 2)
    assert other
    assert (other.mounts, other.network, other.is_privileged) == ((), "", False)


def test_the_arguments_that_a_step_sees() -> None:
    text = (
        "ARG GLOBAL=g\nARG UNUSED=u\nFROM a AS base\nARG A=1\nARG B=$A-$PATH\nENV E=$A\nARG GIVEN=no\nARG E=hidden\n"
        "FROM other\nARG ELSEWHERE=1\nFROM base\nARG GLOBAL\nARG NONE\nARG TARGETOS\nARG A=2\nARG C=$E\n"
    )
    environment = {"PATH": "/bin", "E": "1"}
    seen = arguments(
        text, {"GIVEN": "yes", "NONE": None, "HTTP_PROXY": "p", "FREE": "x"}, environment, build_platform="linux/arm64"
    )
    assert seen == {
        "A": "2",
        "B": "1-/bin",
        "C": "1",
        "GIVEN": "yes",
        "GLOBAL": "g",
        "HTTP_PROXY": "p",
        "TARGETOS": "linux",
    }
    classic = arguments(text, {}, environment, build_platform="linux/arm64", are_inherited=False)
    assert classic == {"A": "2", "C": "1", "GLOBAL": "g", "TARGETOS": "linux"}


def test_a_dockerfile_that_only_the_engine_understands() -> None:
    with pytest.raises(DockerfileError):
        arguments("FROM a\nNEW thing\n", {}, {}, build_platform="linux/amd64")


def test_the_shell_and_how_it_reads_its_input() -> None:
    assert shell("FROM a\n") == ("/bin/sh", "-c")
    assert shell('FROM a AS b\nSHELL ["bash", "-o", "pipefail", "-c"]\nFROM b\n') == ("bash", "-o", "pipefail", "-c")
    assert reading_input(("bash", "-o", "pipefail", "-c")) == ("bash", "-o", "pipefail")
    assert reading_input(("bash", "-euxc")) == ("bash", "-eux")
    assert reading_input(("python3", "-c")) == ("python3",)
    assert reading_input(("cmd", "/S", "/C")) == ("cmd", "/S", "/C")
    assert reading_input(("sh",)) == ("sh",)
