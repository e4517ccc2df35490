"""Our parser against BuildKit's, as PyPI's `dockerfile` wraps it: over tests/cases/dockerfile, and over generated texts.

That package (3.4) has BuildKit 0.12. What newer ones read in another way we read as they do (as seen on Docker Engine 28), and it is
left out here: white space after `<<`, text after an exec form, a heredoc's name with `${x:-y}`, the directive `check`. Left out too are
the content of ONBUILD's heredocs, which the package drops, NUL, which ends its strings, and flags beyond ASCII, which BuildKit
reads byte by byte.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest

from dockerlab.dockerfile import parse
from dockerlab.errors import DockerfileError

buildkit = pytest.importorskip("dockerfile", reason="the differential test wants BuildKit's parser: pip install dockerfile")
hypothesis = pytest.importorskip("hypothesis", reason="the generated cases want hypothesis: pip install hypothesis")

from hypothesis import assume, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

CASES = sorted((Path(__file__).parents[1] / "cases" / "dockerfile").glob("*/Dockerfile"))

# What BuildKit's parser refuses and ours leaves to the engine: the forms of single instructions, and repeated directives.
ENGINE_S = re.compile("two arguments|JSON array|only one|can't find =|failed to process")
NEWER = re.compile(r"<<[\s\\`]|<<\S*\$\{\w*[^}\w]|\]\s*[^\s,\]]|check")

FRAGMENTS = (
    *("FROM a", "RUN x", "run", "COPY", "ADD", "ONBUILD", "CMD", "FORM", "# c", "#", "# escape=`", "#escape=\\", "# syntax=x"),
    *(
        "<<E",
        "<<-E",
        "<<'E'",
        '<<"E F"',
        "3<<F",
        "<<$V",
        "<<${V}",
        "<",
        "${V:-x}",
        "${V:+y}",
        "${",
        "$",
        "}",
        "E",
        "F",
        "E F",
        "$V",
    ),
    *(
        "--from=b",
        "--x",
        "--",
        "--a='b c'",
        '["a"]',
        '["a",',
        "[",
        "'",
        '"',
        "x",
        "=",
        "-",
        "é",
        "日",
        "\u00a0",
        "\u3000",
        "\u2028",
    ),
    *(" ", "  ", "\t", "\x0b", "\x0c", "\x85", "\ufeff", "\\", "\\\\", "`", "\n", "\n", "\r\n", "\n\n", "\\\n", "\\ \n", "`\n"),
    *("\nE\n", "\nF\n", "\n\tE\n"),
)

Read = list[tuple[Any, ...]]


def ours(text: str) -> Read:
    return [
        (
            node.keyword.lower(),
            node.line,
            node.end_line,
            node.text.strip(),
            node.flags,
            tuple(
                (heredoc.name, heredoc.file_descriptor, heredoc.content) for heredoc in node.heredocs if node.keyword != "ONBUILD"
            ),
        )
        for node in parse(text).nodes
    ]


def theirs(text: str) -> Read:
    return [
        (
            (command.cmd or "").lower(),
            command.start_line,
            command.end_line,
            # The package puts the contents of heredocs behind the instruction.
            (command.original or "").split("\n")[0].strip(),
            command.flags,
            tuple((heredoc.name, heredoc.file_descriptor, heredoc.content) for heredoc in command.heredocs),
        )
        for command in buildkit.parse_string(text)
    ]


def check(text: str) -> None:
    try:
        expected = theirs(text)
    except buildkit.GoParseError as error:
        if not ENGINE_S.search(str(error)):
            with pytest.raises(DockerfileError):
                parse(text)
        return
    assert ours(text) == expected


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.parent.name)
def test_a_case_reads_as_in_buildkit(path: Path) -> None:
    text = path.read_bytes().decode()
    assert ours(text) == theirs(text)


@settings(max_examples=800, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=18), st.sampled_from(("", " ")), st.booleans())
def test_generated_texts_read_as_in_buildkit(fragments: list[str], between: str, begins_well: bool) -> None:
    text = ("FROM a\n" if begins_well else "") + between.join(fragments)
    assume(not NEWER.search(text))
    assume("--" not in text or text.isascii())
    assume("<<" not in text or "\ufeff" not in text)
    check(text)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.text(max_size=60))
def test_no_text_makes_the_parser_fail_in_another_way(text: str) -> None:
    with contextlib.suppress(DockerfileError):
        parse(text)
