"""`%engine`: which engine answers. `use`: speak to another one. `ls`: those that are known. `doctor`, `picture`: what is beneath."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockerlab import engines
from dockerlab.notebook.arguments import HelpShown, Parser, add_show_command, parse_verb
from dockerlab.notebook.expand import words
from dockerlab.project.command import Command
from dockerlab.project.commands import command

if TYPE_CHECKING:
    from dockerlab.doctor import Diagnosis
    from dockerlab.engines import Engine, Engines
    from dockerlab.machine import Example, Machine
    from dockerlab.notebook.session import Session


def parsers() -> dict[str, Parser]:
    """A parser for each verb, and under '' the one of the magic without a verb; completion reads them too."""
    use = Parser("%engine use", description="Switches to another engine, for the magics, the Python API and `!docker` alike.")
    use.add_argument(
        "target",
        metavar="CONTEXT",
        help="a docker context, a URL (unix://, tcp://, ssh://), or `embedded`: dockerlab's own engine, started if need be",
    )
    ls = Parser("%engine ls", description="Lists the engines that are known here, and which of them answer.")
    ls.add_argument("--timeout", type=float, default=5.0, metavar="SECONDS", help="how long they are asked; 5 unless given")
    doctor = Parser(
        "%engine doctor", description="Tries what works on this machine, and says what each lack costs and what mends it."
    )
    picture = Parser(
        "%engine picture", description="Draws what a container stands on here, from the hardware up, beside a virtual machine."
    )
    picture.add_argument("containers", nargs="*", metavar="CONTAINER", help="the newest that run, unless given")
    picture.add_argument("--example", metavar="WHICH", help="another machine in place of this one, made up: server, mac or windows")
    shows = Parser("%engine", description="Shows which engine answers.")
    for parser in (shows, use, ls, doctor, picture):
        add_show_command(parser)
    return {"": shows, "use": use, "ls": ls, "doctor": doctor, "picture": picture}


def magic(
    session: Session, line: str, cell: str | None = None
) -> Engine | Engines | Diagnosis | Example | Machine | Command | None:
    """Shows the engine in use, after switching if told to."""
    try:
        given = words(line, session.namespace)
        verb, arguments = parse_verb("%engine", given, parsers())
    except HelpShown:
        return None
    if arguments.show_command:
        return command("engine", given)
    if verb == "use":
        return engines.use(arguments.target)
    if verb == "ls":
        return engines.ls(seconds=arguments.timeout)
    if verb == "doctor":
        from dockerlab.doctor import examine

        return examine()
    if verb == "picture":
        from dockerlab import machine

        return (
            machine.example(arguments.example)
            if arguments.example
            else machine.picture(*arguments.containers, client=session.client)
        )
    return engines.show(client=session.client)
