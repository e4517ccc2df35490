"""Our engine's warnings of Dockerfiles: those of Docker Engine 28, as BuildKit tells them; what of images is known, and when."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab.wire import trace
from tests.checks import MORE, RULES, Case
from tests.embedded import registries, rungs
from tests.embedded.builds import context, nothing_left
from tests.embedded.rungs import OwnEngine
from tests.embedded.sessions import Folder, Told, build, session

CASES = {rule: bad for rule, (bad, _) in RULES.items()} | MORE


@pytest.fixture(scope="module")
def own() -> Iterator[OwnEngine]:
    with rungs.engine("user" if os.getuid() else "root") as engine:
        yield engine


def built(own: OwnEngine, case: Case) -> Told:
    """By a session, so that the engine knows the `.dockerignore`."""
    folder = Folder({"Dockerfile": case.dockerfile, ".dockerignore": case.ignore, "a": os.urandom(8)})
    with session(own.home.socket, folder) as made:
        return build(own.home.socket, session=made.id, buildargs=dict(case.build_arg))


def lints(told: Told) -> list[trace.Lint]:
    return [event for event in told.events if isinstance(event, trace.Lint)]


def said(told: Told) -> tuple[str, ...]:
    return tuple(f"{line} {rule}" for line, rule in sorted((one.lines[0], one.text.partition(":")[0]) for one in lints(told)))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_said_of_a_dockerfile(own: OwnEngine, case: Case) -> None:
    assert said(built(own, case)) == case.said


def test_how_it_is_told(own: OwnEngine) -> None:
    told = built(own, Case("FROM scratch\nENV a \\\n  $PTH\n", ()))
    first = lints(told)[0]
    assert first == trace.Lint(
        told.vertexes["[internal] load build definition from Dockerfile"].digest,
        "UndefinedVar: Usage of undefined variable '$PTH' (did you mean $PATH?) (line 2)",
        ("Variables should be defined before their use",),
        "https://docs.docker.com/go/dockerfile/rule/undefined-var/",
        (2, 3),
    )
    by_tar = build(own.home.socket, context({"Dockerfile": "FROM scratch\nENV a $PTH\n"}))
    assert said(by_tar) == said(told)
    assert lints(by_tar)[0].vertex == by_tar.vertexes["[internal] load remote build context"].digest


@pytest.mark.parametrize("rest", ["ENV OWN=1", "RUN true"])
def test_a_build_that_fails_of_it_runs_nothing(own: OwnEngine, rest: str) -> None:
    told = built(own, Case(f"# check=error=true\nFROM busybox as A\n{rest}\nCMD {secrets.token_hex(8)}\n", ()))
    assert told.error == "lint violation found for rules: FromAsCasing, JSONArgsRecommended, StageNameCasing"
    assert said(told) == ("2 FromAsCasing", "2 StageNameCasing", "4 JSONArgsRecommended")
    assert not any(vertex.started for name, vertex in told.vertexes.items() if "RUN" in name)
    nothing_left(own)


def test_a_dockerfile_that_cannot_be_planned_is_warned_of_all_the_same(own: OwnEngine) -> None:
    told = built(own, Case("FROM scratch as A\nFROM $NOTHING\n", ()))
    assert told.error.startswith("base name ($NOTHING) should not be blank")
    assert said(told) == ("1 FromAsCasing", "1 StageNameCasing", "2 InvalidDefaultArgInFrom", "2 UndefinedArgInFrom")


def test_what_the_base_holds_is_known(own: OwnEngine) -> None:
    tag = f"base-{secrets.token_hex(8)}:1"
    base = 'FROM scratch\nENV OF_BASE=1\nSHELL ["x"]\nONBUILD ENV a b\n'
    assert build(own.home.socket, context({"Dockerfile": base}), t=tag).image
    told = build(own.home.socket, context({"Dockerfile": f"FROM {tag}\nENV A=$OF_BASE B=$OF_NONE\nCMD x\n"}))
    assert said(told) == ("1 LegacyKeyValueFormat", "2 UndefinedVar")


@pytest.mark.parametrize("is_error", [False, True])
def test_what_the_base_holds_is_known_once_it_is_brought(tmp_path: Path, is_error: bool) -> None:
    """A build that may fail of it has it brought before its first step."""
    with registries.docker_registry(tmp_path) as address:
        registry = json.dumps({"insecure-registries": [address]})
        with rungs.engine("user" if os.getuid() else "root", DOCKERLAB_REGISTRIES=registry) as own:
            name = f"{address}/base:1"
            assert build(own.home.socket, context({"Dockerfile": "FROM busybox\nENV OF_BASE=1\nONBUILD ENV a b\n"}), t=name).image
            assert b"digest" in own.client.ask("POST", f"/images/{name}/push", headers={"X-Registry-Auth": "e30="}).body
            assert own.client.ask("DELETE", f"/images/{name}").status == 200
            head = "# check=error=true\n" if is_error else "# nothing\n"
            told = build(own.home.socket, context({"Dockerfile": f"{head}FROM {name}\nENV A=$OF_BASE B=$OF_NONE\nRUN echo ran\n"}))
            assert said(told) == ("2 LegacyKeyValueFormat", "3 UndefinedVar")
            if is_error:
                assert told.error == "lint violation found for rules: LegacyKeyValueFormat, UndefinedVar"
            else:
                assert told.image
            assert any(isinstance(event, trace.Log) for event in told.events) is not is_error


def test_a_base_that_is_not_to_be_had_leaves_what_can_be_said(own: OwnEngine) -> None:
    told = build(own.home.socket, context({"Dockerfile": "FROM localhost:1/nope:1\nENV a $PTH\n"}))
    assert told.error.startswith("localhost:1/nope:1: failed to resolve")
    assert said(told) == ("2 LegacyKeyValueFormat", "2 UndefinedVar")
