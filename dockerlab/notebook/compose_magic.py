"""`%%compose up|ps|logs|config|down`: the cell is a Compose file; `%compose ps|logs|down -p NAME` without one."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from dockerlab import compose
from dockerlab.errors import UsageError
from dockerlab.notebook.arguments import HelpShown, Parser, add_show_command, parse_verb
from dockerlab.notebook.expand import words
from dockerlab.notebook.live import LiveDisplay
from dockerlab.project.commands import command

if TYPE_CHECKING:
    from dockerlab.faces.shown import Shown
    from dockerlab.notebook.session import Session


def parsers() -> dict[str, Parser]:
    """A parser for each verb; completion reads them too."""
    up = Parser("%%compose up", "Makes and starts what the file describes; it runs on in the background.")
    up.add_argument("services", nargs="*", metavar="SERVICE", help="these, and what they depend on; else all")
    up.add_argument("--build", action="store_true", help="build images, also those that are there")
    up.add_argument("--wait", action="store_true", help="until each service runs, or is healthy")
    up.add_argument("-d", "--detach", action="store_true", help="as it does without")
    down = Parser("%%compose down", "Stops and removes the project's containers and networks.")
    down.add_argument("-v", "--volumes", action="store_true", help="its volumes, too, with what is in them")
    ps = Parser("%%compose ps", "Shows the services, what each waits for, and how its containers are.")
    logs = Parser("%%compose logs", "Shows what the containers printed.")
    logs.add_argument("services", nargs="*", metavar="SERVICE", help="of these; else of all")
    logs.add_argument("-n", "--tail", type=int, metavar="N", help="only so many lines of each")
    config = Parser("%%compose config", "Shows the file as Compose reads it.")
    known = (up, down, ps, logs, config)
    for parser in known:
        parser.add_argument("-p", "--project-name", metavar="NAME", help="else the file's `name:`, else the current folder's")
        add_show_command(parser)
    return {parser.prog.split()[-1]: parser for parser in known}


def magic(session: Session, line: str, cell: str | None = None) -> Shown | None:
    """Does what the verb says with the file in the cell, and returns what it answers."""
    try:
        given = words(line, session.namespace)
        verb, arguments = parse_verb("%%compose", given, parsers())
    except HelpShown:
        return None
    if arguments.show_command:
        return command("compose", given, cell)
    if cell is None and verb in ("up", "config"):
        raise UsageError(
            f"{verb} wants a Compose file", hint=f"Begin the cell with `%%compose {verb}`, and write the file below it."
        )
    return _answer(session, verb, arguments, cell)


def _answer(session: Session, verb: str, asked: Namespace, text: str | None) -> Shown | None:
    client, name = session.client, asked.project_name
    match verb:
        case "up":
            with LiveDisplay(session, keep=False) as live:
                return compose.up(
                    text or "",
                    name=name,
                    services=asked.services,
                    build=asked.build,
                    wait=asked.wait,
                    progress=live.show,
                    client=client,
                )
        case "down":
            with LiveDisplay(session, keep=False) as live:
                return compose.down(text, name=name, volumes=asked.volumes, progress=live.show, client=client)
        case "logs":
            print(compose.logs(text, name=name, services=asked.services, tail=asked.tail, client=client), end="")
            return None
        case "config":
            return compose.config(text or "", name=name, client=client)
        case _:
            return compose.ps(text, name=name, client=client)
