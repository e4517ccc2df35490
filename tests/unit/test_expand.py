"""A magic's line as words, and what `{name}` does in it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dockerlab.errors import UndefinedName, UsageError
from dockerlab.notebook.expand import split, words

NAMESPACE = {
    "n": 7,
    "port": 8080,
    "ports": [5000, 5001],
    "d": {"key": "value", "a b": "spaced"},
    "c": SimpleNamespace(name="web", labels={"tier": "front"}, _secret=1),
    "text": "two words; rm -rf $HOME {n}",
    "width": 5,
    "naïve": "ü",
    "_": "last",
}

EXPANDED = [
    ("{n}", "7"),
    ("-p {port}:80", "-p|8080:80"),
    ("{c.name}", "web"),
    ("{c.labels[tier]}", "front"),
    ("{ports[0]},{ports[1]}", "5000,5001"),
    ("{d[key]}", "value"),
    ("{d['key']}", "value"),
    ('"{d[a b]}"', "spaced"),
    ("{n:03d}", "007"),
    ("{n:{width}d}", "    7"),
    ("{c.name!r:>6}", " 'web'"),
    ("{naïve} {_}", "ü|last"),
    ("'{n}'", "7"),
    # A value is neither split nor expanded again.
    ("{text} x", "two words; rm -rf $HOME {n}|x"),
    ("""'{"port": {port}, "deep": {"n": {n}}}'""", '{"port": 8080, "deep": {"n": 7}}'),
    ("$HOME{n} $(echo {n})", "$HOME7|$(echo|7)"),
    ("'{{.Names}}' {n}", "{{.Names}}|7"),
]

UNTOUCHED = [
    "$HOME",
    "${HOME}",
    "${{n}}",
    "${HOME:-{n}}",
    "${n}",
    "$${n}",
    "{{.Names}}",
    "{{n}}",
    "{{json .Config}}",
    "{{if .n}}{{.n}}{{end}}",
    "{a,b}",
    "{1..3}",
    "{}",
    "{0}",
    "{0.name}",
    "{ n }",
    "{print $1}",
    "{n",
    "n}",
    "{{n",
    "{n!x}",
    "{n.}",
    "{n[]}",
    '{"n": 1}',
    '{"a": {"n": [1, 2]}}',
    "# no comment",
]


@pytest.mark.parametrize(("line", "expected"), EXPANDED)
def test_expands(line: str, expected: str) -> None:
    assert words(line, NAMESPACE) == expected.split("|")


@pytest.mark.parametrize("text", UNTOUCHED)
def test_passes_through(text: str) -> None:
    assert words(f"'{text}'", NAMESPACE) == [text]


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        ("{prot}", UndefinedName, "'prot' is not defined: did you mean 'port'?"),
        ("{zzzzzz}", UndefinedName, "'zzzzzz' is not defined"),
        ("{c.nmae}", UsageError, "'c' has no attribute 'nmae': did you mean 'name'?"),
        ("{c.labels.zzzzzz}", UsageError, "'c.labels' has no attribute 'zzzzzz'"),
        ("{ports[9]}", UsageError, "'ports' has no item [9]"),
        ("{d[other]}", UsageError, "'d' has no item [other]"),
        ("{n[0]}", UsageError, "'n' has no item [0]"),
        ("{c.__class__}", UsageError, "'__class__' of 'c' is private"),
        ("{c._secret}", UsageError, "'_secret' of 'c' is private"),
        ("{c.labels[tier].__class__.__mro__}", UsageError, "'__class__' of 'c.labels[tier]' is private"),
        ("{c.name:03d}", UsageError, "'c.name' cannot be formatted with '03d'"),
        ("run 'busybox", UsageError, "a quote has no end"),
        ('run "busybox', UsageError, "a quote has no end"),
        ("run busybox \\", UsageError, "the line ends in a backslash that escapes nothing"),
    ],
)
def test_refuses(line: str, kind: type[UsageError], message: str) -> None:
    with pytest.raises(kind) as caught:
        words(line, NAMESPACE)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(message)


def test_splits_as_a_shell_does() -> None:
    assert split(r"""run -e "A=b c" '' a\ b 'it'"'"'s' x#y # z""", "linux") == [
        "run",
        "-e",
        "A=b c",
        "",
        "a b",
        "it's",
        "x#y",
        "#",
        "z",
    ]


def test_a_backslash_is_a_path_on_windows() -> None:
    line = r"""-v C:\Users\me:/data "D:\a b" """
    assert split(line, "win32") == ["-v", r"C:\Users\me:/data", r"D:\a b"]


def test_an_error_of_a_property_that_is_not_about_the_name_is_not_hidden() -> None:
    class Broken:
        @property
        def name(self) -> str:
            raise RuntimeError("engine gone")

    with pytest.raises(RuntimeError, match="engine gone"):
        words("{b.name}", {"b": Broken()})
