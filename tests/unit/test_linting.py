"""What a build says of its Dockerfile beside what the builder said."""

from __future__ import annotations

from dockerlab.builds.linting import further
from dockerlab.dockerfile import parse
from dockerlab.wire.trace import Lint

DOCKERFILE = """FROM busybox
maintainer me
COPY . /app
RUN cd /app && pip install -r requirements.txt
CMD sh
"""


def rules(*said: Lint, text: str = DOCKERFILE, has_linter: bool = True) -> list[tuple[str, int]]:
    found = further(parse(text), {}, said, has_linter=has_linter)
    return [(lint.text.partition(":")[0], lint.lines[0]) for lint in found]


def test_a_linter_is_helped_by_our_rules_alone() -> None:
    assert rules() == [("BaseNotPinned", 1), ("CacheBustingOrder", 3)]
    lint = further(parse(DOCKERFILE), {}, (), has_linter=True)[-1]
    assert lint.text.endswith(" (line 3)")
    assert lint.url.startswith("https://")


def test_a_classic_builder_has_no_linter_and_nothing_is_said_twice() -> None:
    found = rules(has_linter=False)
    assert {rule for rule, _ in found} == {
        "ConsistentInstructionCasing",
        "MaintainerDeprecated",
        "JSONArgsRecommended",
        "BaseNotPinned",
        "CacheBustingOrder",
    }
    assert [line for _, line in found] == sorted(line for _, line in found)
    said = [Lint("", f"{rule}: said (line {line})", (), "", (line,)) for rule, line in found]
    assert rules(*said[1:], has_linter=False) == found[:1]


def test_the_same_is_said_once_and_hints_are_left_to_the_check() -> None:
    text = "FROM busybox AS one\nFROM busybox AS two\nFROM debian\nADD x /\n"
    assert rules(text=text) == [("BaseNotPinned", 1), ("BaseNotPinned", 3)]


def test_what_a_dockerfile_leaves_out_is_left_out() -> None:
    assert rules(text=f"# check=skip=all\n{DOCKERFILE}", has_linter=False) == []


def test_a_dockerfile_that_only_the_engine_understands_has_nothing_said_of_it() -> None:
    assert rules(text="FROM busybox\nHELO world\n", has_linter=False) == []
