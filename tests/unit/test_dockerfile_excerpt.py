"""The place of an error, and the nearest match."""

from __future__ import annotations

import pytest

from dockerlab.dockerfile import INSTRUCTIONS, excerpt, nearest, suggestion

SOURCE = ("FROM scratch", "COPY nofile /", "RUN a && \\", "    b")


def test_a_line_with_a_caret() -> None:
    assert excerpt(SOURCE, 2, column=5) == ("2 | COPY nofile /", "  |      ^")


def test_without_a_column_the_caret_stands_under_the_beginning() -> None:
    assert excerpt(SOURCE, 4) == ("4 |     b", "  |     ^")
    assert excerpt(SOURCE, 4, column=0) == ("4 |     b", "  |     ^")


def test_several_lines_have_the_caret_under_the_first() -> None:
    assert excerpt(SOURCE, 3, 4) == ("3 | RUN a && \\", "  | ^", "4 |     b")


def test_numbers_are_aligned() -> None:
    lines = tuple(f"RUN {i}" for i in range(1, 12))
    assert excerpt(lines, 9, 10) == (" 9 | RUN 9", "   | ^", "10 | RUN 10")


def test_a_long_instruction_is_shown_by_its_first_lines() -> None:
    lines = tuple(f"RUN {i}" for i in range(1, 21))
    assert excerpt(lines, 1, 20)[-2:] == ("6 | RUN 6", "  | … 14 more lines")
    assert excerpt(lines, 1, 7)[-1] == "  | … 1 more line"
    assert len(excerpt(lines, 1, 6)) == 7


def test_lines_that_are_not_there() -> None:
    assert excerpt(SOURCE, 5) == excerpt(SOURCE, 0) == excerpt((), 1) == ()
    assert excerpt(SOURCE, 4, 99) == excerpt(SOURCE, 4)
    assert excerpt(SOURCE, 2, 1) == excerpt(SOURCE, 2)
    assert excerpt(("", "x"), 1) == ("1 |", "  | ^")


@pytest.mark.parametrize(
    ("line", "part", "shown", "caret"),
    [
        ("\tRUN x", "RUN", "    RUN x", 4),
        ("a\tb", "b", "a   b", 4),
        ("日\tb", "b", "日  b", 4),
        ("RUN 日本 x", "x", "RUN 日本 x", 9),
        ("RUN e\u0301 x", "x", "RUN e\u0301 x", 6),
        ("RUN\u00a0x", "x", "RUN�x", 4),
        ("RUN\x1b[31m x", "x", "RUN�[31m x", 9),
        ("a\u200bb", "b", "a�b", 2),
    ],
)
def test_the_caret_counts_in_columns_of_a_terminal(line: str, part: str, shown: str, caret: int) -> None:
    assert excerpt((line,), 1, column=line.index(part)) == (f"1 | {shown}", f"  | {' ' * caret}^")


def test_a_long_line_is_cut_behind_the_caret() -> None:
    line = "RUN " + "x" * 500
    text, caret = excerpt((line,), 1)
    assert len(text) < 170
    assert text.endswith("…")
    assert caret == "  | ^"
    text, caret = excerpt((line,), 1, column=400)
    assert len(caret) <= len(text) < 450


@pytest.mark.parametrize(
    ("word", "near"),
    [("FORM", "FROM"), ("form", "FROM"), ("RUNN", "RUN"), ("CDM", "CMD"), ("ENTRYPONIT", "ENTRYPOINT"), ("ECHO", None), ("", None)],
)
def test_the_suggestion_for_an_unknown_keyword(word: str, near: str | None) -> None:
    assert suggestion(word) == near


def test_a_known_keyword_needs_no_suggestion() -> None:
    assert [suggestion(keyword.lower()) for keyword, _ in INSTRUCTIONS] == [None] * len(INSTRUCTIONS)


def test_the_nearest_choice_is_given_as_it_was() -> None:
    assert nearest("--pubish", ["--publish", "--rm"]) == "--publish"
    assert nearest("x", []) is None


def test_the_instructions_are_those_of_the_reference() -> None:
    keywords = [keyword for keyword, _ in INSTRUCTIONS]
    assert keywords == sorted(keywords)
    assert len(keywords) == 18
    assert all(meaning and "\n" not in meaning for _, meaning in INSTRUCTIONS)
