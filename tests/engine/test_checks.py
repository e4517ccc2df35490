"""What engines warn of, against our own checks: rule, line, text, link; builds that fail of it; and what we add.

The table of cases is the main engine's, Docker Engine 28; that ours says the same of it is in tests/embedded/test_building_checks.py.
"""

from __future__ import annotations

import os
import secrets

import pytest

import dockerlab
from dockerlab import embedded
from dockerlab.builds import Build
from dockerlab.client import Client
from dockerlab.dockerfile import Ignore, parse
from dockerlab.dockerfile.checks import Checks
from dockerlab.dockerfile.program import program
from dockerlab.errors import BuildError
from dockerlab.testing.shell import Shell
from tests.checks import MORE, RULES, Case

CASES = {rule: bad for rule, (bad, _) in RULES.items()} | MORE
Said = list[tuple[str, tuple[int, ...], str, tuple[str, ...]]]


@pytest.fixture(autouse=True)
def an_engine_that_warns(client: Client) -> None:
    version = client.version()
    is_docker = any(part["Name"] == "Engine" for part in version.get("Components") or ())
    if not (embedded.is_own(version) or (is_docker and int(version["Version"].split(".")[0]) >= 27)):
        pytest.skip("this engine's builder has no linter")


def ours(case: Case, text: str) -> Said:
    """What we say ourselves."""
    read = program(parse(text))
    checks = Checks(read, build_args=case.build_arg)
    findings = [*checks.form(), *checks.effect(read.plan("", case.build_arg), ignore=Ignore(case.ignore))]
    # The record of a build has what is said twice once.
    return sorted({(f"{one.rule}: {one.reason} (line {one.line})", one.lines, one.url, (one.detail,)) for one in findings})


def built(client: Client, text: str, **options: object) -> tuple[Build, BuildError | None]:
    """The record of a build, which makes an image or not; none is left."""
    failed: BuildError | None = None
    try:
        image = dockerlab.build(text, client=client, **options)  # type: ignore[arg-type]
    except BuildError as error:
        failed = error
        record = error.build
    else:
        record = image.build
        client.api.remove_image(str(image.id), force=True)
    assert isinstance(record, Build)
    return record, failed


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_engine_says_what_we_say(client: Client, case: Case) -> None:
    text = f"{case.dockerfile}LABEL of={secrets.token_hex(8)}\n"
    files = {".dockerignore": case.ignore, "a": os.urandom(8)} if case.ignore else None
    build, _ = built(client, text, build_arg=case.build_arg, files=files)
    assert sorted((one.text, one.lines, one.url, one.detail) for one in build.warnings) == ours(case, text)


@pytest.mark.contract
def test_a_build_that_fails_of_warnings(client: Client) -> None:
    text = f"# check=error=true\nFROM scratch as A\nFROM busybox\nCMD x\nRUN exit {secrets.randbelow(200) + 1}\n"
    build, error = built(client, text)
    assert error
    said = "the Dockerfile breaks rules that it makes errors: FromAsCasing, JSONArgsRecommended, StageNameCasing"
    assert (error.message, error.line) == (said, 2)
    own = [one for one in build.warnings if one.text.startswith("BaseNotPinned: ")]
    assert [one.lines for one in own] == [(3,)], "a rule of dockerlab's, of which no build fails"
    assert {one.text for one in build.warnings if one not in own} == {*error.evidence}
    assert not any(step.keyword == "RUN" and step.state != "waiting" for step in build.steps), "nothing has run"


@pytest.mark.contract
def test_options_that_are_none(client: Client) -> None:
    _, error = built(client, "# check=nothing=true\nFROM scratch\n")
    assert error
    assert 'failed to parse check options: invalid check option "nothing"' in error.message


@pytest.mark.contract
def test_variables_of_the_base_image_are_known(client: Client) -> None:
    text = f"FROM busybox AS base\nENV OF_BASE={secrets.token_hex(8)}\nFROM base\nENV A=$OF_BASE B=$PATH C=$OF_NOTHING\n"
    build, _ = built(client, text)
    assert [(one.lines, one.text.split(":")[0]) for one in build.warnings] == [((4,), "UndefinedVar"), ((1,), "BaseNotPinned")]


@pytest.mark.contract
def test_they_stand_under_their_line(client: Client) -> None:
    with Shell() as shell:
        name = f"checked-{secrets.token_hex(8)}"
        displays = shell.run(f"%%dockerfile -t {name}\nFROM busybox\nCMD {name}\n").displays
        client.api.remove_image(name)
    shown = "".join(display["text/html"] for display in displays)
    assert "JSON arguments recommended for CMD" in shown
    assert "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/" in shown
