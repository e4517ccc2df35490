"""`%network`: the verbs of `docker network`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockerlab import networks
from dockerlab.notebook.arguments import HelpShown, Parser, add_show_command, parse_verb
from dockerlab.notebook.expand import words
from dockerlab.project.commands import command

if TYPE_CHECKING:
    from dockerlab.faces.shown import Shown
    from dockerlab.notebook.session import Session


def parsers() -> dict[str, Parser]:
    """A parser for each verb; completion reads them too."""
    create = Parser("%network create", "Makes a network: containers that join it call one another by name.")
    create.add_argument("name", metavar="NAME")
    ls = Parser("%network ls", "Lists the networks, with the containers that have them.")
    show = Parser("%network inspect", "Shows a network, and the containers that have it.")
    show.add_argument("name", metavar="NETWORK")
    rm = Parser("%network rm", "Removes networks that no container is in.")
    rm.add_argument("names", nargs="+", metavar="NETWORK")
    rm.add_argument("-f", "--force", action="store_true", help="one that is not there is no error")
    for parser in (create, ls, show, rm):
        add_show_command(parser)
    return {"create": create, "ls": ls, "inspect": show, "rm": rm}


def magic(session: Session, line: str, cell: str | None = None) -> Shown | None:
    """Does what the line says, and returns what the verb returns."""
    try:
        given = words(line, session.namespace)
        verb, arguments = parse_verb("%network", given, parsers())
    except HelpShown:
        return None
    if arguments.show_command:
        return command("network", given)
    match verb:
        case "create":
            return networks.create(arguments.name, client=session.client)
        case "rm":
            return networks.rm(arguments.names, arguments.force, client=session.client)
        case "inspect":
            return networks.get(arguments.name, client=session.client)
    return networks.ls(client=session.client)
