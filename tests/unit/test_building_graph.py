"""The graph of a build and the paths of the context that it needs: pure functions of the builder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from dockerlab.dockerfile.commands import Command
from dockerlab.dockerfile.parser import parse
from dockerlab.dockerfile.planning import Planned
from dockerlab.dockerfile.program import program
from dockerlab.engine.building.following import followed, patterns
from dockerlab.engine.building.vertices import Graph


def needed(text: str, target: str = "", environment: Mapping[str, str] | None = None, **args: str) -> list[str] | None:
    read = program(parse(text))

    def base(planned: Planned) -> tuple[Mapping[str, str], Sequence[Command]]:
        return environment or {}, ()

    plan = read.plan(target, args)
    return followed(plan, read.dockerfile, args, base)


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("FROM a\nRUN true", []),
        ("FROM a\nCOPY x y/z/../q /", ["x", "y/q"]),
        ("FROM a\nCOPY . /", None),
        ("FROM a\nCOPY ./ /", None),
        ("FROM a\nCOPY /abs ../../up /", ["abs", "up"]),
        ("FROM a\nCOPY l*/x é[1] /", ["l*/x", "é[1]"]),
        ("FROM a\nCOPY --parents d/./**/x.py /", ["d"]),
        ("FROM a\nCOPY --parents **/x.py /", None),
        ("FROM a\nADD x https://example.org/y git@h:o/r.git /", ["x"]),
        ("FROM a\nADD https://example.org/y /", []),
        ("FROM a\nCOPY <<EOF /x\nhi\nEOF\n", []),
        ("FROM a\nRUN --mount=type=bind,source=s,target=/t --mount=type=bind,from=b,source=no,target=/u true", ["s"]),
        ("FROM a\nRUN --mount=type=bind,target=/t true", None),
        ("FROM a\nRUN --mount=type=cache,target=/t --mount=type=secret,id=s --mount=type=tmpfs,target=/q true", []),
        ("FROM a AS one\nCOPY x /\nFROM a\nCOPY --from=one /x y /", ["x"]),
        ("FROM a AS unused\nCOPY x /\nFROM a\nCOPY y /", ["y"]),
        ("FROM a\nARG D=s\nENV E=${D}/t\nCOPY $E/x $D /", ["s", "s/t/x"]),
        ("FROM a AS b\nENV E=e\nFROM b\nCOPY $E $HOME /", ["e", "home/h"]),
        ("FROM a\nCOPY ${x:?} /", None),
    ],
)
def test_only_what_is_needed_is_followed(text: str, paths: list[str] | None) -> None:
    assert needed(text, environment={"HOME": "/home/h"}) == paths


def test_a_given_argument_counts() -> None:
    assert needed("FROM a\nARG D=s\nCOPY $D /", D="given") == ["given"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("# no\n a \n\n/b/../c/\n! d\n!/e\n./f", ["a", "c", "!d", "!e", "f"]),
        ("\ufeffx\r\n**/y\n", ["x", "**/y"]),
    ],
)
def test_patterns_are_cleaned_as_buildkit_passes_them_on(text: str, found: list[str]) -> None:
    assert patterns(text) == found


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("FROM a\nRUN x\nENV q=1\nWORKDIR /w", ["[1/3] FROM docker.io/library/a:latest", "[2/3] RUN x", "[3/3] WORKDIR /w"]),
        ("FROM scratch\nCOPY x /", ["[1/1] COPY x /"]),
        (
            "FROM a\nRUN --mount=type=tmpfs,target=/t x",
            ["[stage-0 1/2] FROM docker.io/library/a:latest", "[stage-0 2/2] RUN --mount"],
        ),
        ("FROM a\nCOPY --from=a /x /", ["FROM docker.io/library/a:latest", "[stage-0 2/2] COPY --from=a /x /"]),
        ("FROM a AS b\nFROM b AS c\nRUN x", ["[b 1/1] FROM docker.io/library/a:latest", "[c 1/1] RUN x"]),
    ],
)
def test_vertexes_are_called_as_buildkit_calls_them(text: str, names: list[str]) -> None:
    read = program(parse(text))
    found = [vertex.name for vertex in Graph(read, read.plan()).all()]
    assert len(found) == len(names)
    assert all(name.startswith(wanted) for name, wanted in zip(found, names, strict=True)), found
