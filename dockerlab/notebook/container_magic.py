"""`%container VERB …`: the verbs and flags of `docker container`. `%%container run|exec …`: the cell is fed to the command.

VERBS is the whole of it: a verb's name, what it does, its flags, and the function of `dockerlab.containers` that it calls. That one
checks the values and raises the errors.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dockerlab import containers
from dockerlab.builds.debugging import debug
from dockerlab.errors import UsageError
from dockerlab.notebook import container_flags as flags
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


def _debug(session: Session, a: Namespace) -> object:
    if session.failed is None:
        raise UsageError(
            "no build has failed in this notebook", hint="It is for the %%dockerfile cell that failed: run that one first."
        )
    with LiveDisplay(session, keep=False) as live:
        return debug(session.failed, name=a.name, user=a.user, progress=LiveBuild(live).show, client=session.client)


def _show(session: Session, a: Namespace) -> object:
    from dockerlab.notebook.panel import show

    return show(session, a.container)


def _process(session: Session, a: Namespace) -> object:
    from dockerlab import machine

    return machine.process(a.container, client=session.client)


def _named(a: Namespace) -> str | list[str]:
    """One name as such, for one answer; several as a list."""
    names: list[str] = a.containers
    return names[0] if len(names) == 1 else names


VERBS: tuple[Verb, ...] = (
    Verb("run", "Starts a container from an image.", flags.run, _run),
    Verb("debug", "Starts a container of the state before the step that failed in the last build.", flags.debug, _debug),
    Verb("ps", "Lists the containers that run.", flags.ps, lambda s, a: containers.ps(all=a.all, client=s.client)),
    Verb("ls", "The same as ps.", flags.ps, lambda s, a: containers.ps(all=a.all, client=s.client)),
    Verb("show", "Shows all of a container: state, log, what it uses, its processes; with buttons.", flags.one, _show),
    Verb(
        "logs",
        "Shows what a container has printed.",
        flags.logs,
        lambda s, a: containers.logs(a.container, follow=a.follow, tail=a.tail, since=a.since, client=s.client),
    ),
    Verb("exec", "Runs a command in a container that runs.", flags.exec_, _exec, "running"),
    Verb(
        "stop",
        "Asks containers to end, and kills them if they do not.",
        flags.stop,
        lambda s, a: containers.stop(_named(a), timeout=a.timeout, client=s.client),
        "running",
    ),
    Verb(
        "start",
        "Starts containers that have ended.",
        flags.some,
        lambda s, a: containers.start(_named(a), client=s.client),
        "stopped",
    ),
    Verb(
        "restart",
        "Stops containers and starts them.",
        flags.stop,
        lambda s, a: containers.restart(_named(a), timeout=a.timeout, client=s.client),
    ),
    Verb(
        "kill",
        "Sends a signal to containers.",
        flags.kill,
        lambda s, a: containers.kill(_named(a), signal=a.signal, client=s.client),
        "running",
    ),
    Verb(
        "pause",
        "Halts the processes of containers where they are.",
        flags.some,
        lambda s, a: containers.pause(_named(a), client=s.client),
        "running",
    ),
    Verb(
        "unpause",
        "Lets the processes of paused containers go on.",
        flags.some,
        lambda s, a: containers.unpause(_named(a), client=s.client),
        "running",
    ),
    Verb("rm", "Removes containers.", flags.rm, lambda s, a: containers.rm(_named(a), force=a.force, client=s.client)),
    Verb(
        "inspect",
        "Shows all that the engine knows of a container.",
        flags.one,
        lambda s, a: containers.inspect(a.container, client=s.client),
    ),
    Verb(
        "diff",
        "Shows what a container changed in its files.",
        flags.one,
        lambda s, a: containers.diff(a.container, client=s.client),
    ),
    Verb(
        "top",
        "Shows the processes in a container.",
        flags.top,
        lambda s, a: containers.top(a.container, a.options or None, client=s.client),
        "running",
    ),
    Verb(
        "process",
        "Shows a container's process on the engine's host, and its namespaces beside the host's.",
        flags.one,
        _process,
        "running",
    ),
    Verb(
        "stats",
        "Shows the memory and CPU that containers use now.",
        flags.any_,
        lambda s, a: containers.stats(a.containers or None, client=s.client),
        "running",
    ),
    Verb(
        "cp",
        "Copies files out of a container, or into it.",
        flags.cp,
        lambda s, a: containers.cp(a.source, a.destination, client=s.client),
    ),
    Verb(
        "limits",
        "Shows what memory and CPUs a container may use: asked for, read inside, kept by the engine.",
        flags.one,
        lambda s, a: containers.limits(a.container, client=s.client),
        "running",
    ),
    Verb(
        "port",
        "Shows where a container's ports are reached.",
        flags.port,
        lambda s, a: containers.port(a.container, a.port, client=s.client),
        "running",
    ),
    Verb(
        "wait",
        "Waits for containers to end; shows their exit codes.",
        flags.some,
        lambda s, a: containers.wait(_named(a), client=s.client),
    ),
    Verb(
        "commit",
        "Makes an image of a container as it is now.",
        flags.commit,
        lambda s, a: containers.commit(a.container, a.reference, message=a.message, client=s.client),
    ),
    Verb(
        "rename",
        "Gives a container another name.",
        flags.rename,
        lambda s, a: containers.rename(a.container, a.name, client=s.client),
    ),
    Verb("prune", "Removes the containers that have ended.", flags.prune, lambda s, a: containers.prune(client=s.client)),
)
