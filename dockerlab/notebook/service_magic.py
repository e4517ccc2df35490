"""`%service VERB …`: the verbs and flags of `docker service`, and `show`: the replicas on their nodes, live in a page.

While a service comes to be what it is to be, the cell shows its picture; what fails then fails the cell, and the picture stays.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dockerlab import services
from dockerlab.errors import ServiceFailed, UsageError
from dockerlab.notebook import service_flags as flags
from dockerlab.notebook.arguments import HelpShown, Parser, add_show_command, parse_verb
from dockerlab.notebook.expand import words
from dockerlab.notebook.live import LiveDisplay
from dockerlab.project.commands import command

if TYPE_CHECKING:
    from dockerlab.faces.shown import Shown
    from dockerlab.notebook.session import Session
    from dockerlab.services import Service


@dataclass(frozen=True)
class Verb:
    """flags: adds the verb's flags and arguments to its parser. call: does it."""

    about: str
    flags: Callable[[Parser], object]
    call: Callable[[Session, Namespace], Shown | None]


def parsers() -> dict[str, Parser]:
    """A parser for each verb; completion reads them too."""
    found = {}
    for name, verb in VERBS.items():
        parser = Parser(f"%service {name}", verb.about)
        add_show_command(parser)
        verb.flags(parser)
        found[name] = parser
    return found


def magic(session: Session, line: str, cell: str | None = None) -> Shown | None:
    """Does what the line says, and returns what the verb returns."""
    try:
        given = words(line, session.namespace)
        verb, arguments = parse_verb("%service", given, parsers())
    except HelpShown:
        return None
    if arguments.show_command:
        return command("service", given)
    return VERBS[verb].call(session, arguments)


def _create(session: Session, a: Namespace) -> Shown:
    return _watched(
        session,
        lambda live: services.create(
            a.image,
            a.command or None,
            name=a.name,
            env_file=a.env_file,
            detach=a.detach,
            progress=live.show,
            client=session.client,
            **flags.given(a),
        ),
    )


def _update(session: Session, a: Namespace) -> Shown:
    return _watched(
        session,
        lambda live: services.update(
            a.service,
            rollback=a.rollback,
            detach=a.detach,
            progress=live.show,
            client=session.client,
            **{**flags.given(a), **({"image": a.image} if a.image else {})},
        ),
    )


def _rollback(session: Session, a: Namespace) -> Shown:
    return _watched(session, lambda live: services.rollback(a.service, detach=a.detach, progress=live.show, client=session.client))


def _scale(session: Session, a: Namespace) -> Shown:
    wanted = {}
    for item in a.replicas:
        name, equals, count = item.rpartition("=")
        if not (name and equals and count.isdecimal()):
            raise UsageError(f"'{item}' is not SERVICE=REPLICAS", hint="As in: %service scale web=6.")
        wanted[name] = int(count)
    if len(wanted) > 1:
        return services.Services(services.scale(wanted, detach=a.detach, client=session.client))
    return _watched(session, lambda live: services.scale(wanted, detach=a.detach, progress=live.show, client=session.client)[0])


def _watched(session: Session, work: Callable[[LiveDisplay], Service]) -> Service:
    """Shows the service while it changes. If it fails the last of it stays, beside the error."""
    live = LiveDisplay(session, keep=False)
    try:
        with live:
            return work(live)
    except ServiceFailed as error:
        if isinstance(error.service, services.Service):
            with LiveDisplay(session) as kept:
                kept.show(error.service)
        raise


def _show(session: Session, a: Namespace) -> Shown:
    found = services.show(a.service, client=session.client)
    if not session.is_in_page:
        return found
    from dockerlab.notebook.live_service import in_page

    return in_page(session, found, session.client)


def _logs(session: Session, a: Namespace) -> None:
    services.logs(a.service, follow=a.follow, tail=a.tail, since=a.since, client=session.client)


VERBS: dict[str, Verb] = {
    "create": Verb("Starts a service: so many containers of an image, on the nodes of the Swarm.", flags.create, _create),
    "ls": Verb("Lists the services.", flags.none, lambda s, _: services.ls(client=s.client)),
    "ps": Verb("Lists a service's tasks, and those before them.", flags.one, lambda s, a: services.ps(a.service, client=s.client)),
    "show": Verb("Shows a service's replicas on their nodes.", flags.one, _show),
    "logs": Verb("Shows what a service's tasks have printed.", flags.logs, _logs),
    "inspect": Verb(
        "Shows all that the engine knows of a service.", flags.one, lambda s, a: services.inspect(a.service, client=s.client)
    ),
    "scale": Verb("Changes how many replicas services have.", flags.scale, _scale),
    "update": Verb("Changes a service, one task after the other.", flags.update, _update),
    "rollback": Verb("Takes a service back to what it was before its last change.", flags.rollback, _rollback),
    "rm": Verb("Ends services.", flags.some, lambda s, a: services.rm(a.services, client=s.client)),
}
