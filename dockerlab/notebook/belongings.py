"""What `%network` and `%volume` have in common: the verbs that docker has for both, on what an engine keeps by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dockerlab import networks, volumes
from dockerlab.notebook.arguments import HelpShown, Parser, add_show_command, parse_verb
from dockerlab.notebook.expand import words
from dockerlab.project.commands import command

if TYPE_CHECKING:
    from dockerlab.faces.shown import Shown
    from dockerlab.notebook.session import Session

_ROOMS: Mapping[str, Any] = {"network": networks, "volume": volumes}


def parsers(kind: str, *, makes: str, removes: str) -> dict[str, Parser]:
    """A parser for each verb. kind: "network" or "volume". makes, removes: what `create` and `rm` do, in a sentence."""
    create = Parser(f"%{kind} create", makes)
    create.add_argument("name", metavar="NAME")
    if kind == "network":
        create.add_argument("-d", "--driver", metavar="DRIVER", help="overlay: across the nodes of a Swarm, for its services")
        create.add_argument(
            "--attachable", action="store_true", help="of an overlay: containers that are no service's may join, too"
        )
    ls = Parser(f"%{kind} ls", f"Lists the {kind}s, with the containers that have them.")
    show = Parser(f"%{kind} inspect", f"Shows a {kind}, and the containers that have it.")
    show.add_argument("name", metavar=kind.upper())
    rm = Parser(f"%{kind} rm", removes)
    rm.add_argument("names", nargs="+", metavar=kind.upper())
    rm.add_argument("-f", "--force", action="store_true", help="one that is not there is no error")
    for parser in (create, ls, show, rm):
        add_show_command(parser)
    return {"create": create, "ls": ls, "inspect": show, "rm": rm}


def magic(kind: str, known: dict[str, Parser], session: Session, line: str) -> Shown | None:
    """Does what the line says, and returns what the verb returns. known: its `parsers`."""
    try:
        given = words(line, session.namespace)
        verb, arguments = parse_verb(f"%{kind}", given, known)
    except HelpShown:
        return None
    if arguments.show_command:
        return command(kind, given)
    room, client = _ROOMS[kind], session.client
    shown: Shown
    match verb:
        case "create":
            more = {name: value for name in ("driver", "attachable") if (value := getattr(arguments, name, None))}
            shown = room.create(arguments.name, **more, client=client)
        case "rm":
            shown = room.rm(arguments.names, arguments.force, client=client)
        case "inspect":
            shown = room.get(arguments.name, client=client)
        case _:
            shown = room.ls(client=client)
    return shown
