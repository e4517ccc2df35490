"""Words and variables: tables as measured on Docker Engine 28 (BuildKit 0.25), laws that hold for any text, and hostile texts."""

from __future__ import annotations

import contextlib
import re

import pytest

from dockerlab.dockerfile.patterns import Pattern
from dockerlab.dockerfile.words import Lexer
from dockerlab.errors import DockerfileError

hypothesis = pytest.importorskip("hypothesis", reason="the generated cases want hypothesis: pip install hypothesis")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

VARIABLES = {"y": "abcabc", "e": "", "d": "$0", "n": "1", "two": "a b"}

WORDS = {
    "$y": "abcabc",
    "a$": "a$",
    "$$": "",
    "\\$y": "$y",
    "'$y'": "$y",
    '"$y"': "abcabc",
    '"a\\b\\"\\$y"': 'a\\b"$y',
    "${z}": "",
    "$1x": "x",
    "$n_": "",
    "${n}_": "1_",
    "${é}": "",
    "$@": "",
    "${z-a}": "a",
    "${e-a}": "",
    "${e:-a}": "a",
    "${z:-'a b'}": "a b",
    '"${z-a b}"': "a b",
    "${z:-${e:-$n}}": "1",
    "${y+${n}}": "1",
    "${e+x}": "x",
    "${e:+x}": "",
    "${y?no}": "abcabc",
    "${y#a*}": "bcabc",
    "${y##a*b}": "c",
    "${y%b*}": "abca",
    "${y%%b*}": "a",
    "${y#?}": "bcabc",
    "${y%?}": "abcab",
    "${y##*}": "",
    "${y%\\?}": "abcabc",
    "${y#'#'a}": "bcabc",
    "${y/b/X}": "aXcabc",
    "${y//b/X}": "aXcaXc",
    "${y//b/$d}": "abcabc",
    "${y//b/[$$]}": "a[]ca[]c",
    "${y//b/[\\$0]}": "a[\\b]ca[\\b]c",
    "${y///Q}": "QaQbQcQaQbQcQ",
    "${y//*/Q}": "Q",
    "${y/b/p\\/q}": "ap\\/qcabc",
    '${y/a/"}"}': "}bcabc",
    "${y//[/x}": "abcabc",
    "${y/a/}": "bcabc",
}

REFUSED = {
    "${y": "unsupported modifier (�) in substitution",
    "${": "syntax error: missing '}'",
    "${}": "syntax error: bad substitution",
    "${:-a}": "syntax error: bad substitution",
    "${y:-": "syntax error: missing '}'",
    "${y:-'": "syntax error: missing '}'",
    "${y^}": "unsupported modifier (^) in substitution",
    "${y:^x}": "unsupported modifier (:^) in substitution",
    "${y:0:3}": "unsupported modifier (:0) in substitution",
    "${y:#a": "unsupported modifier (:#) in substitution",
    "${1x}": "unsupported modifier (x) in substitution",
    "${z?}": "z: is not allowed to be unset",
    "${e:?}": "e: is not allowed to be empty",
    "${z:?'no z'}": "z: no z",
    "${y/b}": "syntax error: missing '/' in ${}",
    "${y/b/": "syntax error: missing '}'",
    "${y#\\a}": "invalid pattern (\\a) in substitution: invalid escape '\\a'",
    '"abc': "unexpected end of statement while looking for matching double-quote",
    "'abc": "unexpected end of statement while looking for matching single-quote",
}


@pytest.mark.parametrize(("text", "expected"), WORDS.items())
def test_a_word(text: str, expected: str) -> None:
    assert Lexer().word(text, VARIABLES) == expected


@pytest.mark.parametrize(("text", "expected"), REFUSED.items())
def test_what_is_no_word(text: str, expected: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        Lexer().word(text, VARIABLES)
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    assert caught.value.message == f'failed to process "{quoted}": {expected}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a  b", ("a", "b")),
        ("$two c", ("a", "b", "c")),
        ('"$two" c', ("a b", "c")),
        ("a\\ b 'c d'\"e f\"", ("a b", "c de f")),
        ("'' a", ("a",)),
        ("<< a <b", ("<< a", "<b")),
        ("a\u00a0b\u3000c", ("a", "b", "c")),
        ("a\x1cb", ("a\x1cb",)),
        ("${z:-a b}", ("a", "b")),
    ],
)
def test_words(text: str, expected: tuple[str, ...]) -> None:
    assert Lexer().words(text, VARIABLES) == expected


@pytest.mark.parametrize(
    ("lexer", "text", "expected"),
    [
        (Lexer("`"), "`$y \\$n", "$y \\1"),
        (Lexer(raw_quotes=True), "'a'\"$n\"", "'a'\"1\""),
        (Lexer(raw_escapes=True), "a\\ b\\$n", "a\\ b\\$n"),
        (Lexer(skip_quotes=True), 'it\'s "$n"\\$n', 'it\'s "1"$n'),
        (Lexer(skip_unset=True), "$z ${z} ${z:-a} ${z#a} ${z//a/b} $n", "$z ${z} ${z:-a} ${z#a} ${z//a/b} 1"),
        (Lexer(), "a\\", "a"),
    ],
)
def test_options(lexer: Lexer, text: str, expected: str) -> None:
    assert lexer.word(text, VARIABLES) == expected


def test_it_tells_which_variables_it_took() -> None:
    found = Lexer().expand("$y ${z:-$n} '$q'", VARIABLES)
    assert (sorted(found.matched), sorted(found.unmatched)) == (["n", "y"], ["z"])
    assert (found.has_quotes, found.has_operators) == (True, True)


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("${x:-" * 51 + "}" * 51, "", "more than 50 substitutions in one another"),
        ('"${x:-' * 5000, "", "more than 50 substitutions in one another"),
        ("$x" * 11, "x" * 100_000, "variables add more than 1048576 characters"),
        ("${x//a/$x}", "a" * 2000, "the result is too long"),
        ("${x#" + "ab" * 501 + "}", "", "more than 1000 characters"),
    ],
)
def test_hostile_texts_are_refused(text: str, value: str, expected: str) -> None:
    with pytest.raises(DockerfileError, match=expected):
        Lexer().word(text, {"x": value})


def test_patterns_that_would_take_regular_expressions_for_ever() -> None:
    value = "a" * 20_000
    assert Lexer().word("${x#*a*a*a*a*a*a*a*a*b}", {"x": value}) == value
    assert Lexer().word("${x%b*a*a*a*a*a*a*a*a*}", {"x": value}) == value
    assert Lexer().word("${x//a*a*a*a*a*a*a*a*b/}", {"x": value}) == value


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.lists(st.text(min_size=1, max_size=8), max_size=6))
def test_quoted_words_come_back(words: list[str]) -> None:
    whole = [word.replace("'", "") or "x" for word in words]
    assert Lexer().words(" ".join(f"'{word}'" for word in whole), {}) == tuple(whole)
    assert Lexer("`").words(" ".join(f"'{word}'" for word in whole), {}) == tuple(whole)
    escaped = " ".join("".join(f"\\{character}" for character in word) for word in words)
    assert Lexer().words(escaped, {}) == tuple(words)


PIECES = ("a", "b", "$", "$x", "${x}", "'", '"', "\\", "`", "<", "<<", "{", "}", " ", " ")


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_raw_and_unset_leaves_a_text_as_it_is(text: str) -> None:
    try:
        found = Lexer(raw_quotes=True, raw_escapes=True, skip_unset=True).expand(text, {})
    except DockerfileError:
        return
    assert found.text == text
    assert "".join(found.words).replace(" ", "") == text.replace(" ", "")


OPTIONS = st.builds(Lexer, st.sampled_from("\\`"), st.booleans(), st.booleans(), st.booleans(), st.booleans())


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.text("ab$x{}:-+?#%/'\"\\` <", max_size=20), OPTIONS)
def test_no_text_makes_the_lexer_fail_in_another_way(text: str, lexer: Lexer) -> None:
    with contextlib.suppress(DockerfileError):
        assert isinstance(lexer.word(text, {"x": "a/b", "a": "$x"}), str)


def _regex(pattern: str, star: str) -> re.Pattern[str]:
    return re.compile("".join({"*": star, "?": "."}.get(one, re.escape(one)) for one in pattern))


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(st.text("ab*?", max_size=6), st.text("abc\n", max_size=12))
def test_patterns_match_as_regular_expressions_do(pattern: str, value: str) -> None:
    shortest, longest = _regex(pattern, ".*?"), _regex(pattern, ".*")
    backwards = [_regex(pattern[::-1], star) for star in (".*?", ".*")]
    ours = Pattern(pattern)
    for is_longest, regex, reverse in ((False, shortest, backwards[0]), (True, longest, backwards[1])):
        assert ours.without_prefix(value, longest=is_longest) == value[match.end() if (match := regex.match(value)) else 0 :]
        turned = value[::-1]
        assert ours.without_suffix(value, longest=is_longest)[::-1] == turned[m.end() if (m := reverse.match(turned)) else 0 :]
    assert ours.replaced(value, "-x", 99) == longest.sub("-x", value, count=1)
    if pattern.strip("*"):
        assert ours.all_replaced(value, "-x", 99) == longest.sub("-x", value)
