"""Programs and their plans: which stages a build needs, what FROM means, and what cannot be. As measured on Docker Engine 28."""

from __future__ import annotations

from typing import Any

import pytest

from dockerlab.dockerfile import commands as c
from dockerlab.dockerfile import parse
from dockerlab.dockerfile.program import Plan, Planned, platform_arguments, program
from dockerlab.errors import DockerfileError


def plan(text: str, target: str = "", args: dict[str, str | None] | None = None, **options: Any) -> Plan:
    return program(parse(text)).plan(target, args, **options)


def needs(found: Plan) -> dict[int, tuple[int, ...]]:
    return {planned.stage.index: planned.needs for planned in found.stages}


def only(found: Plan) -> Planned:
    return found.stages[-1]


MANY = """\
ARG VERSION=3
FROM golang AS build
RUN make
FROM scratch AS unused
COPY --from=build /a /
FROM python:$VERSION AS Base
FROM base AS app
COPY --from=0 /bin/a /bin/
COPY --from=nginx:1 /etc/n /n
RUN --mount=from=build,target=/b --mount=type=cache,target=/c x
FROM app
COPY --from=BUILD /x /
"""


def test_stages_and_the_arguments_before_them() -> None:
    found = program(parse(MANY))
    assert [(stage.index, stage.name, stage.label, len(stage.commands)) for stage in found.stages] == [
        (0, "build", "build", 1),
        (1, "unused", "unused", 1),
        (2, "base", "base", 0),
        (3, "app", "app", 3),
        (4, "", "stage-4", 1),
    ]
    assert [argument.pairs for argument in found.arguments] == [(("VERSION", "3"),)]


def test_what_the_last_stage_needs() -> None:
    found = plan(MANY)
    assert needs(found) == {0: (), 2: (), 3: (2, 0), 4: (3, 0)}
    assert [(p.base, p.base_stage) for p in found.stages] == [("golang", None), ("python:3", None), ("base", 2), ("app", 3)]
    assert found.target == 4


def test_what_a_target_needs() -> None:
    assert needs(plan(MANY, "Unused")) == {0: (), 1: (0,)}
    assert only(plan(MANY, "unused")).is_scratch
    assert needs(plan(MANY, "base")) == {2: ()}


def test_what_a_source_means() -> None:
    found = plan(MANY)
    *copies, run = only(plan(MANY, "app")).stage.commands
    assert isinstance(run, c.Run)
    for command, name, expected in (
        (copies[0], "0", 0),
        (copies[0], "+1", 1),
        (copies[0], "Build", 0),
        (copies[0], "nginx:1", None),
        (copies[0], "", None),
        (run, "build", 0),
        (run, "0", None),
    ):
        assert isinstance(command, c.Copy | c.Run)
        assert found.source(command, name) == expected


@pytest.mark.parametrize(
    ("text", "args", "expected"),
    [
        ("ARG x=scratch\nFROM $x", {}, "scratch"),
        ("ARG x=scratch\nFROM $x", {"x": "a"}, "a"),
        ("ARG x=scratch\nFROM $x", {"x": None}, "scratch"),
        ("ARG x\nFROM ${x:-b}", {}, "b"),
        ("ARG x\nFROM ${x:-b}", {"x": "c"}, "c"),
        ("FROM ${x:-b}", {"x": "c"}, "b"),
        ("ARG a=1\nARG b=$a-2\nARG a=3\nARG c=$a\nFROM x:$a.$b.$c", {}, "x:3.1-2.3"),
        ("ARG x=a y=$x\nFROM $y", {}, "a"),
        ("FROM 'a'", {}, "a"),
        ("FROM img:$TARGETARCH-$BUILDOS", {}, "img:amd64-linux"),
        ("FROM img:$TARGETARCH", {"TARGETARCH": "z"}, "img:z"),
        ("ARG TARGETOS\nFROM img:$TARGETOS", {}, "img:linux"),
        ("FROM img:$TARGETSTAGE", {}, "img:default"),
        ("FROM img:$TARGETSTAGE AS q", {}, "img:q"),
        ("# escape=`\nARG x=1\nFROM a`$x", {}, "a$x"),
    ],
)
def test_the_base_is_expanded(text: str, args: dict[str, str | None], expected: str) -> None:
    assert only(plan(text, "", args)).base == expected


def test_the_later_of_two_stages_of_one_name_is_meant() -> None:
    text = "FROM a AS s\nFROM b AS s\nFROM s\n"
    assert only(plan(text)).needs == (1,)
    assert plan(text, "s").target == 1
    assert only(plan("FROM s\nFROM b AS s\nFROM c\nFROM s")).base_stage == 1
    assert plan("FROM s\nFROM b AS s\n", "s").stages[0].base == "b"
    assert only(plan("FROM a AS scratch\nFROM scratch")).base_stage == 0


def test_platforms() -> None:
    found = plan("FROM --platform=$BUILDPLATFORM a\n", build_platform="linux/amd64", target_platform="linux/arm/v7")
    assert only(found).platform == "linux/amd64"
    assert {name: found.globals[name] for name in ("TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT")} == {
        "TARGETPLATFORM": "linux/arm/v7",
        "TARGETOS": "linux",
        "TARGETARCH": "arm",
        "TARGETVARIANT": "v7",
    }
    assert platform_arguments("linux/amd64", "linux/arm64", "q")["TARGETSTAGE"] == "q"


def test_arguments_that_no_arg_takes() -> None:
    text = "ARG a\nFROM scratch AS one\nARG b\nFROM scratch AS two\nARG c\n"
    given: dict[str, str | None] = dict.fromkeys(("a", "b", "c", "d", "http_proxy", "NO_PROXY", "TARGETOS"), "1")
    found = plan(text, "one", given)
    assert found.unused == ("c", "d")
    assert found.proxies == {"http_proxy": "1", "NO_PROXY": "1"}
    assert found.globals["a"] == "1"
    assert "b" not in found.globals


def test_triggers_of_a_stage_and_of_an_image() -> None:
    text = "FROM scratch AS src\nFROM scratch AS base\nONBUILD COPY --from=src a b\nONBUILD ENV x=$y\nFROM base\nRUN z\n"
    found = only(plan(text))
    assert found.needs == (1, 0)
    assert [type(command) for command in found.commands] == [c.Copy, c.Env, c.Run]
    assert [command.node.line for command in found.triggers] == [5, 5]

    asked: list[str] = []

    def on_build(base: str) -> list[str]:
        asked.append(base)
        return ["COPY --from=0 a b"] if base == "image" else []

    found = only(plan("FROM scratch AS s\nFROM other\nFROM image\n", on_build=on_build))
    assert (found.needs, asked) == ((0,), ["image"])


# Text and target → the error, its line and column, and its hint.
REFUSED: dict[tuple[str, str], tuple[str, int | None, int | None]] = {
    ("FROM scratch AS build\n", "biuld"): ('target stage "biuld" could not be found', None, None),
    ("FROM scratch AS a\n", "0"): ('target stage "0" could not be found', None, None),
    ("FROM scratch\nFROM scratch\nCOPY --from=1 x y", ""): ("circular dependency detected on stage: stage-1", 3, 8),
    ("FROM scratch AS a\nCOPY --from=a x y", ""): ("circular dependency detected on stage: a", 2, 8),
    ("FROM scratch AS a\nRUN --mount=from=a,target=/x y", ""): ("circular dependency detected on stage: a", 2, 13),
    ("FROM x AS a\nRUN y\nCOPY --from=b x y\nFROM x AS b\nCOPY --from=a x y\nFROM x", ""): (
        "circular dependency detected on stage: a",
        3,
        8,
    ),
    ("FROM x AS a\nCOPY --from=b x y\nFROM a AS b", ""): (
        'cannot copy from stage "b", it needs to be defined before current stage "a"',
        2,
        6,
    ),
    ("FROM x AS a\nCOPY --from=1 x y\nFROM x", "a"): (
        'cannot copy from stage "1", it needs to be defined before current stage "a"',
        2,
        6,
    ),
    ("FROM x AS a\nRUN --mount=from=q --mount=from=B,target=/x y\nFROM x AS b", "a"): (
        'cannot mount from stage "B" to "/x", stage needs to be defined before current command',
        2,
        28,
    ),
    ("FROM x\nCOPY --from=2 x y\nFROM x", ""): ("invalid stage index 2", 2, 6),
    ("FROM x\nCOPY --from=-1 x y\nFROM x", ""): ("invalid stage index -1", 2, 6),
    ("FROM x\nCOPY --from=$x x y\nFROM x", ""): (
        "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround",
        2,
        6,
    ),
    ("FROM $x AS a\nFROM scratch", ""): ("base name ($x) should not be blank", 1, 6),
    ("FROM ${x:?no}", ""): ('failed to process "${x:?no}": x: no', 1, 6),
    ("ARG x=${y?no}\nFROM a", ""): ('failed to process "${y?no}": y: no', 1, 7),
    ("FROM --platform=$y a", ""): ("empty platform value from expression $y", 1, 17),
    ("FROM --platform=a/b/c/d a", ""): (
        'failed to parse platform a/b/c/d: "a/b/c/d": cannot parse platform specifier: invalid argument',
        1,
        17,
    ),
    ("ARG x=1\nRUN y\nFROM a", ""): ("no build stage in current context", 2, 1),
    ("ARG x=1\n", ""): ("dockerfile contains no stages to build", None, None),
    ("FROM a AS b\nONBUILD RUM x\nFROM b", ""): ("unknown instruction: RUM", 3, 6),
    ("FROM a AS b\nONBUILD RUN --mount=from=c,target=/x y\nFROM b AS d\nFROM a AS c", "d"): (
        'cannot mount from stage "c" to "/x", stage needs to be defined before current command',
        3,
        None,
    ),
}


@pytest.mark.parametrize(("given", "expected"), REFUSED.items(), ids=[text for text, _ in REFUSED])
def test_what_is_refused(given: tuple[str, str], expected: tuple[str, int | None, int | None]) -> None:
    with pytest.raises(DockerfileError) as caught:
        plan(*given)
    error = caught.value
    assert (error.message, error.line, error.column) == expected
    assert bool(error.place) == (error.line is not None)


@pytest.mark.parametrize(
    ("text", "target", "hint"),
    [
        ("FROM scratch AS build\n", "biuld", "Did you mean build?"),
        ("FROM a AS x\nFROM a AS y\n", "zzz", "The stages are x, y."),
        ("FROM a", "zzz", "No stage has a name: FROM image AS name."),
        ("FROM --platform=$BUILDPLATFRM a", "", "Did you mean BUILDPLATFORM?"),
        ("FROM x AS a\nCOPY --from=b x y\nFROM a AS b", "", "The stage b begins at line 3: move it up."),
        ("FROM x\nCOPY --from=2 x y", "", "The Dockerfile has one stage, 0."),
        ("FROM a AS b\nONBUILD RUM x\nFROM b", "", "It is an ONBUILD instruction of what FROM names: RUM x"),
    ],
)
def test_what_to_do_next_is_said(text: str, target: str, hint: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        plan(text, target)
    assert caught.value.hint == hint


@pytest.mark.parametrize("said", ["", "# only a comment", "RUN a\nRUN b", "FROM x", "ONBUILD RUN x", "MAINTAINER x", "COPY a"])
def test_what_is_no_trigger(said: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        plan("ARG v=1\nFROM image:$v\n", on_build=lambda base: [said])
    assert caught.value.line == 2
    assert caught.value.place


def test_a_long_chain_of_stages() -> None:
    text = "FROM scratch AS s0\n" + "".join(f"FROM s{n} AS s{n + 1}\nCOPY --from={n} a b\n" for n in range(3000))
    assert len(plan(text).stages) == 3001
