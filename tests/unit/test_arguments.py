"""Flags are read as the docker command reads them, and errors name the nearest match."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from dockerlab.errors import UsageError
from dockerlab.notebook.arguments import HelpShown, Parser, parse_verb


def run_parser() -> Parser:
    parser = Parser("%container run", "Starts a container.", epilog="That is all.")
    parser.add_argument("-d", "--detach", action="store_true", help="in the background; 100% of it")
    parser.add_argument("-i", "--interactive", action="store_true")
    parser.add_argument("-p", "--publish", action="append", default=[], metavar="PORT")
    parser.add_argument("-e", "--env", action="append", default=[])
    parser.add_argument("--rm", action="store_true")
    parser.add_argument("--wait", nargs="?", const=True, type=int, metavar="PORT")
    parser.add_argument("--hidden", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    return parser


def rm_parser() -> Parser:
    parser = Parser("%container rm", "Removes containers.")
    parser.add_argument("-f", "--force", action="store_true")
    parser.add_argument("-n", type=int)
    parser.add_argument("containers", nargs="+", metavar="CONTAINER")
    return parser


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["busybox"], {}),
        (["-d", "busybox"], {"detach": True}),
        (["-di", "busybox"], {"detach": True, "interactive": True}),
        (["-p8080:80", "busybox"], {"publish": ["8080:80"]}),
        (["-p=8080:80", "busybox"], {"publish": ["8080:80"]}),
        (["-p", "1", "--publish", "2", "--publish=3", "busybox"], {"publish": ["1", "2", "3"]}),
        (["-dp", "80", "busybox"], {"detach": True, "publish": ["80"]}),
        (["-dp80", "busybox"], {"detach": True, "publish": ["80"]}),
        (["-e", "A=b c", "-e", "-x", "-e=", "--env=", "busybox"], {"env": ["A=b c", "-x", "", ""]}),
        (["--wait", "busybox"], {"wait": True}),
        (["--wait=5000", "busybox"], {"wait": 5000}),
        (["busybox", "sh", "-c", "exit 3"], {"command": ["sh", "-c", "exit 3"]}),
        (["-d", "busybox", "-d", "--nope", "--", "--help"], {"detach": True, "command": ["-d", "--nope", "--", "--help"]}),
        (["-d", "--", "busybox", "--", "-x"], {"detach": True, "command": ["--", "-x"]}),
        (["busybox", "", " "], {"command": ["", " "]}),
    ],
)
def test_reads_the_flags_of_run(words: list[str], expected: dict[str, Any]) -> None:
    usual = {
        "detach": False,
        "interactive": False,
        "publish": [],
        "env": [],
        "rm": False,
        "wait": None,
        "hidden": False,
        "command": [],
    }
    assert vars(run_parser().parse_args(words)) == {**usual, "image": "busybox", **expected}


def test_flags_and_arguments_mix_without_a_remainder() -> None:
    assert vars(rm_parser().parse_args(["a", "-f", "-n", "-3", "b", "--", "-c"])) == {
        "force": True,
        "n": -3,
        "containers": ["a", "b", "-c"],
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--detahc", "busybox"], "unknown flag --detahc: did you mean --detach?"),
        (["--det", "busybox"], "unknown flag --det: did you mean --detach?"),
        (["--zzzzzz", "busybox"], "unknown flag --zzzzzz"),
        (["-x", "busybox"], "unknown flag -x"),
        (["-dx", "busybox"], "unknown flag -x in -dx"),
        (["-rm", "busybox"], "unknown flag -r in -rm: did you mean --rm?"),
        (["--rm=yes", "busybox"], "flag --rm takes no value"),
        (["-p"], "flag -p needs a value"),
        (["--env"], "flag --env needs a value"),
        (["--env=--", "busybox"], "flag --env needs a value"),
        ([], "%container run needs IMAGE"),
        (["-d"], "%container run needs IMAGE"),
        (["--wait=x", "busybox"], "--wait: invalid int value: 'x'"),
    ],
)
def test_says_what_is_wrong(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        run_parser().parse_args(words)
    assert str(caught.value) == message
    assert caught.value.hint == (None if "did you mean" in message else "`%container run --help` shows how.")


def test_an_argument_too_many() -> None:
    parser = Parser("%container rename", "Renames.")
    parser.add_argument("container")
    parser.add_argument("name")
    with pytest.raises(UsageError, match="unexpected argument 'c'"):
        parser.parse_args(["a", "b", "c"])
    with pytest.raises(UsageError, match="%container rename needs NAME"):
        parser.parse_args(["a"])


HELP = """\
%container run [FLAGS] IMAGE [COMMAND …]

Starts a container.

  -h, --help           show this help message and exit
  -d, --detach         in the background; 100% of it
  -i, --interactive
  -p, --publish PORT
  -e, --env ENV
      --rm
      --wait[=PORT]

That is all.
"""


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["-dh", "busybox"], ["--help", "--nope"]])
def test_help_is_printed_and_nothing_else_happens(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HelpShown):
        run_parser().parse_args(words)
    assert capsys.readouterr().out == HELP


def parsers() -> dict[str, Parser]:
    return {"run": run_parser(), "rm": rm_parser()}


def test_a_verb_chooses_its_parser() -> None:
    verb, arguments = parse_verb("%container", ["rm", "-f", "web"], parsers())
    assert (verb, arguments.force, arguments.containers) == ("rm", True, ["web"])


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_without_a_verb_the_verbs_are_listed(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HelpShown):
        parse_verb("%container", words, parsers())
    assert capsys.readouterr().out.splitlines()[2:4] == ["  run   Starts a container.", "  rm    Removes containers."]


@pytest.mark.parametrize(
    ("word", "message"),
    [("runn", "unknown verb runn: did you mean run?"), ("zzzz", "unknown verb zzzz"), ("--all", "unknown verb --all")],
)
def test_an_unknown_verb(word: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_verb("%container", [word], parsers())
    assert str(caught.value) == message


def test_a_magic_may_do_without_a_verb() -> None:
    parser = Parser("%engine", "Shows the engine.")
    parser.add_argument("--all", action="store_true")
    assert parse_verb("%engine", [], {"": parser})[1].all is False
    assert parse_verb("%engine", ["--all"], {"": parser})[1].all is True
