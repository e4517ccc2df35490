"""`%container VERB …`: the verbs and flags of `docker container`. `%%container run|exec …`: the cell is fed to the command.

VERBS is the whole of it: a verb's name, what it does, its flags, and the function of `dockerlab.containers` that it calls. That one
checks the values and raises the errors.
"""

from __future__ import annotations

import argparse
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from dockerlab import containers
from dockerlab.builds.debugging import NAME, debug
from dockerlab.errors import UsageError
from dockerlab.notebook.arguments import HelpShown, Parser, add_show_command, parse_verb
from dockerlab.notebook.expand import words
from dockerlab.notebook.live import LiveDisplay
from dockerlab.notebook.live_build import LiveBuild
from dockerlab.project.commands import command

if TYPE_CHECKING:
    from dockerlab.notebook.session import Session

Call = Callable[["Session", Namespace], object]


@dataclass(frozen=True)
class Verb:
    """flags: adds the verb's flags and arguments to its parser. which: the containers that it is about, for completion."""

    name: str
    about: str
    flags: Callable[[Parser], object]
    call: Call
    which: Literal["all", "running", "stopped"] = "all"

    def parser(self) -> Parser:
        parser = Parser(f"%container {self.name}", description=self.about, epilog=_CELL.get(self.name, ""), containers=self.which)
        add_show_command(parser)
        self.flags(parser)
        return parser


def parsers() -> dict[str, Parser]:
    """A parser for each verb; completion reads them too."""
    return {verb.name: verb.parser() for verb in VERBS}


def magic(session: Session, line: str, cell: str | None = None) -> object | None:
    """Does what the line says, and returns what the verb returns."""
    try:
        given = words(line, session.namespace)
        verb, arguments = parse_verb("%container", given, parsers())
    except HelpShown:
        return None
    arguments.stdin = None
    if cell is not None:
        _feed(verb, arguments, cell)
    if arguments.show_command:
        return command("container", given, cell)
    return next(v.call for v in VERBS if v.name == verb)(session, arguments)


def _feed(verb: str, arguments: Namespace, cell: str) -> None:
    """Makes the cell the standard input of the command, which is `sh` if none is given."""
    if verb not in _CELL:
        raise UsageError(
            f"%%container {verb} has no use for a cell", hint=f"On a line: %container {verb} …; with a cell: run and exec."
        )
    if arguments.detach:
        raise UsageError(f"%%container {verb} waits for the command that it feeds", hint="Leave out -d.")
    arguments.stdin = (cell if cell.endswith("\n") else f"{cell}\n").encode()
    if not arguments.command and not getattr(arguments, "entrypoint", None):
        arguments.command = ["sh"]


_CELL = {
    "run": "%%container run IMAGE [COMMAND …] feeds the cell to the command, `sh` unless given.",
    "exec": "%%container exec CONTAINER [COMMAND …] feeds the cell to the command, `sh` unless given.",
}


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


def _process_flags(parser: Parser) -> None:
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


def _run_flags(parser: Parser) -> None:
    _process_flags(parser)
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


def _run(session: Session, a: Namespace) -> object | None:
    with LiveDisplay(session, keep=False) as live:
        return containers.run(
            a.image,
            a.command or None,
            detach=a.detach,
            interactive=a.interactive,
            stdin=a.stdin,
            publish=a.publish,
            env=a.env,
            env_file=a.env_file,
            volume=a.volume,
            workdir=a.workdir,
            user=a.user,
            name=a.name,
            rm=a.rm,
            network=a.network,
            memory=a.memory,
            cpus=a.cpus,
            entrypoint=a.entrypoint,
            label=a.label,
            restart=a.restart,
            platform=a.platform,
            replace=a.replace,
            wait=a.wait,
            progress=live.show,
            client=session.client,
        )


def _exec_flags(parser: Parser) -> None:
    _process_flags(parser)
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command and its arguments")


def _exec(session: Session, a: Namespace) -> None:
    if not a.command:
        raise UsageError(
            "%container exec needs COMMAND", hint="As in: %container exec web ls -l. Or feed it a cell: %%container exec NAME."
        )
    containers.exec(
        a.container,
        a.command,
        interactive=a.interactive,
        stdin=a.stdin,
        env=a.env,
        env_file=a.env_file,
        user=a.user,
        workdir=a.workdir,
        detach=a.detach,
        client=session.client,
    )


def _debug_flags(parser: Parser) -> None:
    parser.add_argument("--name", default=NAME, metavar="NAME", help="the container's name; %(default)s unless given")
    parser.add_argument("-u", "--user", metavar="USER[:GROUP]", help="in place of the one whom the step runs as, such as root")


def _debug(session: Session, a: Namespace) -> object:
    if session.failed is None:
        raise UsageError(
            "no build has failed in this notebook", hint="It is for the %%dockerfile cell that failed: run that one first."
        )
    with LiveDisplay(session, keep=False) as live:
        return debug(session.failed, name=a.name, user=a.user, progress=LiveBuild(live).show, client=session.client)


def _ps_flags(parser: Parser) -> None:
    parser.add_argument("-a", "--all", action="store_true", help="those that do not run, too")


def _logs_flags(parser: Parser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the container ends, or the cell is interrupted")
    parser.add_argument("-n", "--tail", metavar="LINES", help="only the last lines: a number, or all")
    parser.add_argument("--since", metavar="WHEN", help="only what came after: 10m, 2026-01-31T12:00:00")
    parser.add_argument("container", metavar="CONTAINER")


def _stop_flags(parser: Parser) -> None:
    parser.add_argument(
        "-t", "--time", "--timeout", dest="timeout", type=int, metavar="SECONDS", help="wait so long before it is killed"
    )
    _some(parser)


def _kill_flags(parser: Parser) -> None:
    parser.add_argument("-s", "--signal", default="KILL", metavar="SIGNAL", help="a name or a number; KILL unless given")
    _some(parser)


def _rm_flags(parser: Parser) -> None:
    parser.add_argument("-f", "--force", action="store_true", help="running ones too: they are killed")
    _some(parser)


def _top_flags(parser: Parser) -> None:
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("options", nargs=argparse.REMAINDER, metavar="OPTION", help="of ps, such as aux")


def _cp_flags(parser: Parser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="CONTAINER:PATH, or a path on this machine")
    parser.add_argument("destination", metavar="DESTINATION", help="a path on this machine, or CONTAINER:PATH")


def _port_flags(parser: Parser) -> None:
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("port", nargs="?", metavar="PORT", help="of the container: 5000 or 5000/udp")


def _commit_flags(parser: Parser) -> None:
    parser.add_argument("-m", "--message", metavar="TEXT", help="a note about the image")
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("reference", nargs="?", metavar="NAME", help="the image's name: name:tag")


def _rename_flags(parser: Parser) -> None:
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("name", metavar="NAME")


def _prune_flags(parser: Parser) -> None:
    parser.add_argument("-f", "--force", action="store_true", help="as with docker; no question is asked without it either")


def _show(session: Session, a: Namespace) -> object:
    from dockerlab.notebook.panel import show

    return show(session, a.container)


def _process(session: Session, a: Namespace) -> object:
    from dockerlab import machine

    return machine.process(a.container, client=session.client)


def _one(parser: Parser) -> None:
    parser.add_argument("container", metavar="CONTAINER")


def _some(parser: Parser) -> None:
    parser.add_argument("containers", nargs="+", metavar="CONTAINER")


def _named(a: Namespace) -> str | list[str]:
    """One name as such, for one answer; several as a list."""
    names: list[str] = a.containers
    return names[0] if len(names) == 1 else names


def _any(parser: Parser) -> None:
    parser.add_argument("containers", nargs="*", metavar="CONTAINER", help="all that run, unless given")


VERBS: tuple[Verb, ...] = (
    Verb("run", "Starts a container from an image.", _run_flags, _run),
    Verb("debug", "Starts a container of the state before the step that failed in the last build.", _debug_flags, _debug),
    Verb("ps", "Lists the containers that run.", _ps_flags, lambda s, a: containers.ps(all=a.all, client=s.client)),
    Verb("ls", "The same as ps.", _ps_flags, lambda s, a: containers.ps(all=a.all, client=s.client)),
    Verb("show", "Shows all of a container: state, log, what it uses, its processes; with buttons.", _one, _show),
    Verb(
        "logs",
        "Shows what a container has printed.",
        _logs_flags,
        lambda s, a: containers.logs(a.container, follow=a.follow, tail=a.tail, since=a.since, client=s.client),
    ),
    Verb("exec", "Runs a command in a container that runs.", _exec_flags, _exec, "running"),
    Verb(
        "stop",
        "Asks containers to end, and kills them if they do not.",
        _stop_flags,
        lambda s, a: containers.stop(_named(a), timeout=a.timeout, client=s.client),
        "running",
    ),
    Verb(
        "start",
        "Starts containers that have ended.",
        _some,
        lambda s, a: containers.start(_named(a), client=s.client),
        "stopped",
    ),
    Verb(
        "restart",
        "Stops containers and starts them.",
        _stop_flags,
        lambda s, a: containers.restart(_named(a), timeout=a.timeout, client=s.client),
    ),
    Verb(
        "kill",
        "Sends a signal to containers.",
        _kill_flags,
        lambda s, a: containers.kill(_named(a), signal=a.signal, client=s.client),
        "running",
    ),
    Verb(
        "pause",
        "Halts the processes of containers where they are.",
        _some,
        lambda s, a: containers.pause(_named(a), client=s.client),
        "running",
    ),
    Verb(
        "unpause",
        "Lets the processes of paused containers go on.",
        _some,
        lambda s, a: containers.unpause(_named(a), client=s.client),
        "running",
    ),
    Verb("rm", "Removes containers.", _rm_flags, lambda s, a: containers.rm(_named(a), force=a.force, client=s.client)),
    Verb(
        "inspect",
        "Shows all that the engine knows of a container.",
        _one,
        lambda s, a: containers.inspect(a.container, client=s.client),
    ),
    Verb("diff", "Shows what a container changed in its files.", _one, lambda s, a: containers.diff(a.container, client=s.client)),
    Verb(
        "top",
        "Shows the processes in a container.",
        _top_flags,
        lambda s, a: containers.top(a.container, a.options or None, client=s.client),
        "running",
    ),
    Verb(
        "process",
        "Shows a container's process on the engine's host, and its namespaces beside the host's.",
        _one,
        _process,
        "running",
    ),
    Verb(
        "stats",
        "Shows the memory and CPU that containers use now.",
        _any,
        lambda s, a: containers.stats(a.containers or None, client=s.client),
        "running",
    ),
    Verb(
        "cp",
        "Copies files out of a container, or into it.",
        _cp_flags,
        lambda s, a: containers.cp(a.source, a.destination, client=s.client),
    ),
    Verb(
        "limits",
        "Shows what memory and CPUs a container may use: asked for, read inside, kept by the engine.",
        _one,
        lambda s, a: containers.limits(a.container, client=s.client),
        "running",
    ),
    Verb(
        "port",
        "Shows where a container's ports are reached.",
        _port_flags,
        lambda s, a: containers.port(a.container, a.port, client=s.client),
        "running",
    ),
    Verb(
        "wait",
        "Waits for containers to end; shows their exit codes.",
        _some,
        lambda s, a: containers.wait(_named(a), client=s.client),
    ),
    Verb(
        "commit",
        "Makes an image of a container as it is now.",
        _commit_flags,
        lambda s, a: containers.commit(a.container, a.reference, message=a.message, client=s.client),
    ),
    Verb(
        "rename",
        "Gives a container another name.",
        _rename_flags,
        lambda s, a: containers.rename(a.container, a.name, client=s.client),
    ),
    Verb("prune", "Removes the containers that have ended.", _prune_flags, lambda s, a: containers.prune(client=s.client)),
)
