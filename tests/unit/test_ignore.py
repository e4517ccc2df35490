"""`.dockerignore` by moby/patternmatcher's rules. The tables were compared with what BuildKit in Docker Engine 28 keeps out."""

from __future__ import annotations

import random

import pytest

from dockerlab.dockerfile.ignore import Ignore
from dockerlab.errors import ContextError


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("**", "file"),
        ("**", "dir/file"),
        ("**/", "dir/file"),
        ("**/**", "dir/file"),
        ("dir/**", "dir/file"),
        ("dir/**", "dir/dir2/file"),
        ("**/dir", "dir"),
        ("**/dir", "dir/file"),
        ("**/dir2/*", "dir/dir2/file"),
        ("**/dir2/**", "dir/dir2/dir3/file"),
        ("**file", "file"),
        ("**file", "dir/file"),
        ("**file", "dir/myfile"),
        ("**/file", "dir/dir/file"),
        ("**/file*", "dir/dir/file.txt"),
        ("**/**/*.txt", "dir/dir/file.txt"),
        ("**/*.txt", "file.txt"),
        ("**/**/*.txt", "file.txt"),
        ("a**/*.txt", "a/file.txt"),
        ("a**/*.txt", "a/dir/dir/file.txt"),
        ("a**", "abc/d"),
        ("a/*.txt**", "a/file.txt"),
        ("**/foo/bar", "dir/dir2/foo/bar"),
        ("*", "a/b"),
        ("a*", "ab/c"),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/f"),
        ("a?b", "a☺b"),
        ("abc?def", "abcZdef"),
        ("a[b-d]e", "ace"),
        ("a[^b-d]e", "aze"),
        ("[a-ζ]*", "β"),
        ("a[^b]c", "a/c"),
        ("[\\]a]", "]"),
        ("[x\\-]", "-"),
        ("[!a]b", "!b"),
        ("[*?]", "*"),
        ("a\\*b", "a*b"),
        ("a\\\\", "a\\"),
        ("\\!x", "!x"),
        (".*", ".foo"),
        ("a.|)$(}+{bc", "a.|)$(}+{bc"),
        ("dist/*.whl", "dist/proxy-2.4+g08-py3.whl"),
        ("docs", "docs/a/b/c"),
        ("docs/", "docs/a"),
        ("/docs", "docs"),
        ("//docs//", "docs"),
        ("./docs/../src/.", "src/x"),
        ("../../docs", "../../docs"),
        ("  docs  ", "docs"),
        ("docs\r", "docs"),
        ("\ufeffdocs", "docs"),
        (" #docs", "#docs"),
        ("a\\ b", "a b"),
        ("^a", "^a"),
        ("日*", "日本/x"),
        ("]", "]"),
    ],
)
def test_a_pattern_matches(pattern: str, path: str) -> None:
    assert Ignore(pattern).excludes(path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("", "a"),
        ("#a", "#a"),
        ("#a", "a"),
        (".", "a"),
        (".", "."),
        ("/", "a"),
        ("**", "."),
        ("**", ""),
        ("abc/**", "abc"),
        ("**/.foo", "bar.foo"),
        ("**/**/*.txt2", "dir/dir/file.txt"),
        ("**f*le", "myfile"),
        ("a/*.txt", "a/dir/file.txt"),
        ("a*/b", "a/c/b"),
        ("a?b", "a/b"),
        ("a*b", "a/b"),
        ("a???b", "a☺b"),
        ("abc.def", "abcZdef"),
        ("a[b-d]e", "ae"),
        ("ab[^b-d]", "abc"),
        ("[x\\-]", "z"),
        ("a\\*b", "axb"),
        ("foo", "dir/foo"),
        ("foo", "foobar"),
        ("*.md", "a/b.md"),
        ("Foo", "foo"),
        ("a\x0bb", "a"),
    ],
)
def test_a_pattern_does_not_match(pattern: str, path: str) -> None:
    assert not Ignore(pattern).excludes(path)


@pytest.mark.parametrize(
    ("lines", "path", "is_excluded"),
    [
        ("docs|!docs/README.md", "docs/README.md", False),
        ("docs|!docs/README.md", "docs/other", True),
        ("docs/*|!docs/README.md", "docs/README.md", False),
        ("!a.go|*.go", "a.go", True),
        ("*.go|!a.go", "a.go", False),
        ("*.md|!README*.md|README-secret.md", "README-secret.md", True),
        ("**|!util/docker/web", "util/docker/web/foo", False),
        ("**|!util/docker/web|util/docker/web/foo", "util/docker/web/foo", True),
        ("**|!dist/*.whl", "dist/a.whl", False),
        ("a|! /a/b/ ", "a/b/c", False),
        ("*|!!x", "!x", False),
        ("*|!\\!x", "!x", False),
        ("*|./!x", "x", False),  # cleaned, it begins with a mark
        # What is taken back is what was out at that very path, as a walk meets it: at `a` there was nothing to take back.
        ("a/b|!a", "a/b", True),
        ("a/b|!a", "a/b/c", True),
        ("a/b|!a/b", "a/b/c", False),
        ("a|!a", "a/b", False),
    ],
)
def test_exceptions(lines: str, path: str, is_excluded: bool) -> None:
    assert Ignore(lines.replace("|", "\n")).excludes(path) is is_excluded


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("!", "a ! without a pattern"),
        ("! ", "a ! without a pattern"),
        ("!/", "a ! without a pattern"),
        ("[", "a [ without a class"),
        ("a[", "a [ without a class"),
        ("[^", "a [ without a class"),
        ("[]a]", "a [ without a class"),
        ("[-x]", "a [ without a class"),
        ("[x-]", "a [ without a class"),
        ("[a-b-c]", "a [ without a class"),
        ("[z-a]", "the range z-a is empty"),
        ("a\\", "a \\ at its end"),
        ("src\\build", "a \\ before 'b', which needs none"),
        ("[\\d]", "a \\ before 'd', which needs none"),
    ],
)
def test_what_is_no_pattern_is_refused_with_its_line(pattern: str, said: str) -> None:
    with pytest.raises(ContextError, match=r"line 2 of \.dockerignore is no pattern") as caught:
        Ignore(f"ok\n{pattern}\nok")
    assert said in str(caught.value)
    assert caught.value.place[0].strip() == f"2 | {pattern}".strip()


@pytest.mark.parametrize(
    ("lines", "directory", "may"),
    [
        ("a", "a", False),
        ("a|!b", "a", False),
        ("a|!a", "a", False),
        ("a|!a/b", "a", True),
        ("a|!a/b", "a/b", False),
        ("a|!a/b/c", "a/b", True),
        ("a|!a/b/c", "a/x", False),
        ("a|!*/c", "a", True),
        ("a|!?/c/d", "a/x", False),
        ("a|!b*/c", "a", False),
        ("a|!**/c", "a/b", True),
        ("a|!a/b**", "a/x", True),
        ("a|!a/[^x]c", "a/b", True),
        ("a|!a\\*/b", "x", True),
    ],
)
def test_which_folders_a_walk_must_look_into(lines: str, directory: str, may: bool) -> None:
    assert Ignore(lines.replace("|", "\n")).may_hold_exceptions(directory) is may


def test_a_pruned_walk_finds_what_a_full_one_finds() -> None:
    names = ("a", "b", "ab")
    folders = [*names, *(f"{x}/{y}" for x in names for y in names)]
    paths = [*folders, *(f"{folder}/{name}" for folder in folders if "/" in folder for name in names)]
    parts = (*names, "*", "?", "**", "a*", "[ab]", "**b")
    choose = random.Random(1)
    for _ in range(300):
        lines = [
            choose.choice(("", "!")) + "/".join(choose.choice(parts) for _ in range(choose.randint(1, 4)))
            for _ in range(choose.randint(1, 5))
        ]
        ignore = Ignore("\n".join(lines))
        pruned = [folder for folder in folders if ignore.excludes(folder) and not ignore.may_hold_exceptions(folder)]
        for path in paths:
            if any(path.startswith(f"{folder}/") for folder in pruned):
                assert ignore.excludes(path), (lines, path)


def test_answers_do_not_depend_on_the_order_of_the_questions() -> None:
    text, paths = "a\n!a/b\na/b/c\n", ["a", "a/b", "a/b/c", "a/b/c/d", "a/x"]
    expected = [True, False, True, True, True]
    forward, backward = Ignore(text), Ignore(text)
    assert [forward.excludes(path) for path in paths] == expected
    assert [backward.excludes(path) for path in reversed(paths)] == expected[::-1]


def test_a_very_deep_path() -> None:
    assert Ignore("a/a/b\nq").excludes("a/" * 3000 + "x") is False
    assert Ignore("a/a").excludes("a/" * 3000 + "x")
