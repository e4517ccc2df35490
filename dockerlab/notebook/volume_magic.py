"""`%volume`: the verbs of `docker volume`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockerlab import volumes
from dockerlab.notebook.arguments import HelpShown, Parser, add_show_command, parse_verb
from dockerlab.notebook.expand import words
from dockerlab.project.commands import command

if TYPE_CHECKING:
    from dockerlab.faces.shown import Shown
    from dockerlab.notebook.session import Session


def parsers() -> dict[str, Parser]:
    """A parser for each verb; completion reads them too."""
    create = Parser("%volume create", "Makes a volume, a folder that outlives containers.")
    create.add_argument("name", metavar="NAME")
    ls = Parser("%volume ls", "Lists the volumes, with the containers that have them.")
    show = Parser("%volume inspect", "Shows a volume, and the containers that have it.")
    show.add_argument("name", metavar="VOLUME")
    rm = Parser("%volume rm", "Removes volumes that no container has, with their files.")
    rm.add_argument("names", nargs="+", metavar="VOLUME")
    rm.add_argument("-f", "--force", action="store_true", help="one that is not there is no error")
    for parser in (create, ls, show, rm):
        add_show_command(parser)
    return {"create": create, "ls": ls, "inspect": show, "rm": rm}


def magic(session: Session, line: str, cell: str | None = None) -> Shown | None:
    """Does what the line says, and returns what the verb returns."""
    try:
        given = words(line, session.namespace)
        verb, arguments = parse_verb("%volume", given, parsers())
    except HelpShown:
        return None
    if arguments.show_command:
        return command("volume", given)
    match verb:
        case "create":
            return volumes.create(arguments.name, client=session.client)
        case "rm":
            return volumes.rm(arguments.names, arguments.force, client=session.client)
        case "inspect":
            return volumes.get(arguments.name, client=session.client)
    return volumes.ls(client=session.client)
