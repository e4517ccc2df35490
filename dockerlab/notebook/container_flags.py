"""The flags and arguments of `%container`'s verbs: docker's, each by a function that adds them to a verb's parser.

`one`, `some` and `any_` are those of verbs that take a container, some, or none.
"""

from __future__ import annotations

import argparse
from argparse import Namespace
from typing import Any, NoReturn

from dockerlab.builds.debugging import NAME
from dockerlab.errors import UsageError
from dockerlab.notebook.arguments import Parser


class _Terminal(argparse.Action):
    """-t: a cell is no terminal; says what to do instead."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Namespace, values: Any, option_string: str | None = None
    ) -> NoReturn:
        verb = parser.prog.rpartition(" ")[2]
        subject = "IMAGE" if verb == "run" else "NAME"
        raise UsageError(
            f"{option_string} wants a terminal, and a notebook cell is none",
            hint=f"Write the commands into a cell, under `%%container {verb} {subject}`: a shell in the container reads them.",
        )


def _of_a_process(parser: Parser) -> None:
    """What run and exec have in common."""
    parser.add_argument("-d", "--detach", action="store_true", help="in the background")
    parser.add_argument("-i", "--interactive", action="store_true", help="keep the standard input open")
    parser.add_argument("-t", "--tty", action=_Terminal, nargs=0, help=argparse.SUPPRESS)
    parser.add_argument(
        "-e", "--env", action="append", default=[], metavar="KEY=VALUE", help="an environment variable; KEY alone takes ours"
    )
    parser.add_argument("--env-file", action="append", default=[], metavar="FILE", help="environment variables, one a line")
    parser.add_argument("-w", "--workdir", metavar="FOLDER", help="the working directory, in the container")
    parser.add_argument("-u", "--user", metavar="USER[:GROUP]", help="who runs the command")


def run(parser: Parser) -> None:
    _of_a_process(parser)
    add = parser.add_argument
    add(
        "-p",
        "--publish",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="publish a port; PORT alone takes a free one of the host",
    )
    add(
        "-v",
        "--volume",
        action="append",
        default=[],
        metavar="SOURCE:PATH[:ro]",
        help="mount a folder of the engine's host, or a volume",
    )
    add("--name", metavar="NAME", help="the container's name")
    add("--rm", action="store_true", help="remove the container when it ends")
    add("--replace", action="store_true", help="remove a container of the same name first")
    add("--wait", nargs="?", const=True, metavar="PORT", help="with -d: return when the port answers, or the health check is good")
    add("--network", metavar="NETWORK", help="the network to join: a name, host or none")
    add("-m", "--memory", metavar="SIZE", help="at most so much memory: 256m, 1g")
    add("--cpus", metavar="NUMBER", help="at most so many CPUs: 0.5")
    add("--entrypoint", metavar="PROGRAM", help="in place of the image's ENTRYPOINT")
    add("-l", "--label", action="append", default=[], metavar="KEY=VALUE", help="a label of the container; repeatable")
    add("--restart", metavar="POLICY", help="no, on-failure[:N], always or unless-stopped")
    add("--platform", metavar="OS/ARCH", help="such as linux/amd64")
    add("image", metavar="IMAGE")
    add("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command and its arguments; all that follows IMAGE")


def exec_(parser: Parser) -> None:
    _of_a_process(parser)
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command and its arguments")


def debug(parser: Parser) -> None:
    parser.add_argument("--name", default=NAME, metavar="NAME", help="the container's name; %(default)s unless given")
    parser.add_argument("-u", "--user", metavar="USER[:GROUP]", help="in place of the one whom the step runs as, such as root")


def ps(parser: Parser) -> None:
    parser.add_argument("-a", "--all", action="store_true", help="those that do not run, too")


def logs(parser: Parser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the container ends, or the cell is interrupted")
    parser.add_argument("-n", "--tail", metavar="LINES", help="only the last lines: a number, or all")
    parser.add_argument("--since", metavar="WHEN", help="only what came after: 10m, 2026-01-31T12:00:00")
    parser.add_argument("container", metavar="CONTAINER")


def stop(parser: Parser) -> None:
    parser.add_argument(
        "-t", "--time", "--timeout", dest="timeout", type=int, metavar="SECONDS", help="wait so long before it is killed"
    )
    some(parser)


def kill(parser: Parser) -> None:
    parser.add_argument("-s", "--signal", default="KILL", metavar="SIGNAL", help="a name or a number; KILL unless given")
    some(parser)


def rm(parser: Parser) -> None:
    parser.add_argument("-f", "--force", action="store_true", help="running ones too: they are killed")
    some(parser)


def top(parser: Parser) -> None:
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("options", nargs=argparse.REMAINDER, metavar="OPTION", help="of ps, such as aux")


def cp(parser: Parser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="CONTAINER:PATH, or a path on this machine")
    parser.add_argument("destination", metavar="DESTINATION", help="a path on this machine, or CONTAINER:PATH")


def port(parser: Parser) -> None:
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("port", nargs="?", metavar="PORT", help="of the container: 5000 or 5000/udp")


def commit(parser: Parser) -> None:
    parser.add_argument("-m", "--message", metavar="TEXT", help="a note about the image")
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("reference", nargs="?", metavar="NAME", help="the image's name: name:tag")


def rename(parser: Parser) -> None:
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("name", metavar="NAME")


def prune(parser: Parser) -> None:
    parser.add_argument("-f", "--force", action="store_true", help="as with docker; no question is asked without it either")


def one(parser: Parser) -> None:
    parser.add_argument("container", metavar="CONTAINER")


def some(parser: Parser) -> None:
    parser.add_argument("containers", nargs="+", metavar="CONTAINER")


def any_(parser: Parser) -> None:
    parser.add_argument("containers", nargs="*", metavar="CONTAINER", help="all that run, unless given")
