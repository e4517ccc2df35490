"""The rules of BuildKit, each with a Dockerfile that breaks it and one that does not; which of them count; and hostile Dockerfiles.

That an engine says the same is in tests/engine/test_checks.py.
"""

from __future__ import annotations

import tracemalloc

import pytest

from dockerlab.dockerfile import Ignore, parse
from dockerlab.dockerfile.checks import BUILDKIT, Base, Checks, Finding
from dockerlab.dockerfile.checks.distance import closest
from dockerlab.dockerfile.checks.options import Options
from dockerlab.dockerfile.checks.options import parse as options
from dockerlab.dockerfile.program import program
from dockerlab.errors import DockerfileError
from tests.checks import MORE, RULES, Case


def found(case: Case, base: Base | None = None) -> list[Finding]:
    """What is said of a build of the last stage."""
    read = program(parse(case.dockerfile))
    checks = Checks(read, build_args=case.build_arg)
    plan = read.plan("", case.build_arg)
    return [*checks.form(), *checks.effect(plan, lambda name: base, Ignore(case.ignore))]


def said(case: Case, base: Base | None = None) -> tuple[str, ...]:
    return tuple(f"{line} {rule}" for line, rule in sorted((finding.line or 0, finding.rule) for finding in found(case, base)))


def test_every_rule_has_its_cases() -> None:
    assert RULES.keys() == BUILDKIT.keys()


@pytest.mark.parametrize("rule", RULES)
def test_a_dockerfile_that_breaks_a_rule_and_one_that_does_not(rule: str) -> None:
    bad, good = RULES[rule]
    assert said(bad) == bad.said
    assert rule in {finding.rule for finding in found(bad)}
    assert said(Case(good, ())) == ()


@pytest.mark.parametrize("case", MORE.values(), ids=MORE)
def test_odd_ones(case: Case) -> None:
    assert said(case) == case.said


def test_a_finding_has_all_that_is_to_be_known() -> None:
    [finding] = found(Case("FROM scratch\nENV a \\\n  $PTH\n# check\n", ()))[1:]
    assert finding == Finding(
        "LegacyKeyValueFormat",
        "warning",
        '"ENV key=value" should be used instead of legacy "ENV key value" format',
        (2, 3),
        "https://docs.docker.com/go/dockerfile/rule/legacy-key-value-format/",
        "Legacy key/value format with whitespace separator should not be used",
        "buildkit",
    )
    assert BUILDKIT["JSONArgsRecommended"].url == "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/"


def test_what_an_image_holds_is_known_or_not() -> None:
    case = Case("ARG GLOBAL\nFROM python:3.10\nENV A=$PYTHON_VERSION B=$PTH C=$HOME D=$GLOBAL\nARG NAME\nENV E=$NAMES\nCMD x\n", ())
    known = Base({"PYTHON_VERSION": "3.10"}, has_shell=True)
    assert said(case, known) == ("3 UndefinedVar",) * 3 + ("5 UndefinedVar",)
    # Of one that is not known, what is nearly a name, and what stands before FROM alone.
    reasons = [finding.reason for finding in found(case) if finding.rule == "UndefinedVar"]
    assert reasons == ["Usage of undefined variable '$PTH' (did you mean $PATH?)", "Usage of undefined variable '$GLOBAL'"]
    assert "6 JSONArgsRecommended" in said(case)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", Options()),
        (" skip = A , B ; error = 1 ", Options(frozenset("AB"), is_error=True)),
        ("skip=all;experimental=all;error=false", Options(frozenset({"all"}), frozenset({"all"}))),
        ("skip=all,A", Options(frozenset("A"))),
    ],
)
def test_options(text: str, meant: Options) -> None:
    assert options(text) == meant


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("skip", 'invalid check option "skip"'),
        ("foo=1", 'invalid check option "foo"'),
        ("error=maybe", 'failed to parse check option "error=maybe": strconv.ParseBool: parsing "maybe": invalid syntax'),
        ("skip=A;error=1;skip=B;error=0", None),
    ],
)
def test_options_that_are_none(text: str, wrong: str | None) -> None:
    if wrong is None:
        # After the second `;` all is one: BuildKit cuts no further.
        assert options(text).skip == {"B;error=0"}
        return
    with pytest.raises(DockerfileError) as raised:
        options(text)
    assert raised.value.message == f"failed to parse check options: {wrong}"


def test_warnings_that_are_errors() -> None:
    read = program(parse("# check=error=true\nFROM scratch as A\n"))
    checks = Checks(read)
    error = checks.refused(checks.form())
    assert error
    assert error.message == "lint violation found for rules: FromAsCasing, StageNameCasing"
    assert checks.refused(()) is None
    assert Checks(program(parse("FROM scratch as A\n"))).refused(checks.form()) is None


@pytest.mark.parametrize(
    "text",
    [
        "FROM scratch\n" + "ENV " + " ".join(f"a{n}=$b{n}" for n in range(20_000)) + "\n",
        "FROM scratch\n" + "".join(f"ARG a{n}\n" for n in range(5_000)) + "".join(f"ENV x=$b{n}\n" for n in range(2_000)),
        "FROM scratch\nRUN " + "pip a " * 30_000 + "\n",
        "FROM scratch\nCOPY . .\nRUN " + "apt-get -y " * 30_000 + "\n",
        f"FROM scratch\nENV a=${'x' * 300_000} {'x' * 299_999}=1\nENV c=${'x' * 299_998}\n",
        "# check=experimental=all\nFROM scratch\nCOPY " + "a/" * 50_000 + " " + "b/" * 2_000 + " /\n",
    ],
    ids=["variables", "arguments", "pip", "apt", "names", "paths"],
)
def test_what_is_long_takes_no_longer_than_it_must(text: str) -> None:
    """Each of these would take minutes where time grows by the square."""
    read = program(parse(text))
    checks = Checks(read)
    plan = read.plan("")
    findings = [*checks.form(), *checks.effect(plan, ignore=Ignore("x\n*/y\n")), *checks.own(plan)]
    assert len(findings) <= 3_000


@pytest.mark.parametrize(
    "text",
    [
        "FROM scratch\n" + "ENV a=" + "x" * 1_000 + "\n" + "ENV a=$a$a\n" * 10 + "".join(f"ENV b{n}=$a-\n" for n in range(1_000)),
        "FROM scratch AS x0\n"
        + "".join(f"ENV v{n}=1\n" for n in range(3_000))
        + "".join(f"FROM x{n} AS x{n + 1}\n" for n in range(4_000)),
    ],
    ids=["values", "stages"],
)
def test_what_grows_takes_no_more_memory_than_there_is_for_it(text: str) -> None:
    """A gigabyte, and half of one, where all were kept."""
    read = program(parse(text))
    checks, plan = Checks(read), read.plan("")
    tracemalloc.start()
    try:
        checks.effect(plan)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 200_000_000


@pytest.mark.parametrize(
    ("word", "choices", "edits", "nearest"),
    [
        ("PAHT", ["HOME", "PATH"], 2, "PATH"),
        ("PAHT", ["HOME", "PATH"], 1, ""),
        ("abcdef", ["abXdYf", "abcdeff", "bcdef"], 2, "abcdeff"),
        ("abcdef", ["XbcdeY", "cdef", "efabcd"], 2, "XbcdeY"),
        ("abcdef", ["fedcba", "abc", "abcdefghi"], 2, ""),
        ("a", ["", "b"], 1, ""),
        ("a", ["b", "ab"], 1, "b"),
        ("", ["a", "abc"], 2, "a"),
        ("PATH", ["PATHS", "PATH"], 2, ""),
        ("x" * 101, ["x" * 100], 2, ""),
        ("ab", ["ac"] * 1001, 2, ""),
    ],
)
def test_the_nearest_name(word: str, choices: list[str], edits: int, nearest: str) -> None:
    assert closest(word, choices, edits) == nearest
