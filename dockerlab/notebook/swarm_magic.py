"""`%swarm`: engines that are one: `docker swarm`, `docker node`, `docker secret` and `docker config` in one magic."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING

from dockerlab import swarm
from dockerlab.errors import UsageError
from dockerlab.notebook.arguments import HelpShown, Parser, add_show_command, nearest, parse_verb
from dockerlab.notebook.expand import words
from dockerlab.project.commands import command

if TYPE_CHECKING:
    from dockerlab.faces.shown import Shown
    from dockerlab.notebook.session import Session

_ACTIONS = ("create", "ls", "inspect", "rm")
_NODE_VERBS = {
    "drain": "Takes all tasks from nodes; they start anew on others.",
    "activate": "Gives nodes tasks again.",
    "promote": "Makes nodes managers.",
    "demote": "Makes nodes workers.",
}


def parsers() -> dict[str, Parser]:
    """A parser for each verb; completion reads them too."""
    found = {
        "init": _init(),
        "join": _join(),
        "join-token": Parser("%swarm join-token", "Gives what other engines join with; shows no token."),
        "leave": Parser("%swarm leave", "Takes the engine out of its Swarm."),
        "nodes": Parser("%swarm nodes", "Lists the engines of the Swarm."),
        **{verb: Parser(f"%swarm {verb}", about) for verb, about in _NODE_VERBS.items()},
        "secret": _kept("secret", "which its services read at /run/secrets/NAME, and nobody elsewhere"),
        "config": _kept("config", "a file for its services"),
    }
    found["join-token"].add_argument("role", metavar="worker|manager")
    found["leave"].add_argument("-f", "--force", action="store_true", help="a manager too; of the last one the Swarm is gone")
    for verb in _NODE_VERBS:
        found[verb].add_argument("nodes", nargs="+", metavar="NODE", help="a name or an id; self is the engine that is asked")
    for parser in found.values():
        add_show_command(parser)
    return found


def _addresses(parser: Parser) -> None:
    parser.add_argument(
        "--advertise-addr", metavar="ADDRESS", help="where the other engines reach this one: an address, or an interface"
    )
    parser.add_argument("--listen-addr", metavar="ADDRESS", help="where it listens for them; 0.0.0.0:2377 unless given")
    parser.add_argument("--data-path-addr", metavar="ADDRESS", help="where containers of other nodes reach its own")
    parser.add_argument("--availability", default="active", metavar="WORD", help="active, pause or drain; %(default)s unless given")


def _init() -> Parser:
    parser = Parser("%swarm init", "Makes a Swarm of this engine, which becomes its manager.")
    _addresses(parser)
    parser.add_argument(
        "--default-addr-pool", action="append", default=[], metavar="SUBNET", help="where its networks take addresses"
    )
    parser.add_argument("--dispatcher-heartbeat", metavar="TIME", help="how often a node says that it is there; 5s unless given")
    parser.add_argument(
        "--force-new-cluster", action="store_true", help="out of a Swarm that has lost its managers, with its services"
    )
    return parser


def _join() -> Parser:
    parser = Parser(
        "%swarm join", "Lets this engine join a Swarm.", epilog="A token is a secret: --var NAME takes it from a variable."
    )
    parser.add_argument("--token", metavar="TOKEN", help="what the Swarm is joined with; it says whether as a worker or a manager")
    parser.add_argument("--var", metavar="NAME", help="the notebook's variable that has the token")
    _addresses(parser)
    parser.add_argument("address", metavar="ADDRESS", help="of a manager: HOST or HOST:2377")
    return parser


def _kept(kind: str, about: str) -> Parser:
    parser = Parser(
        f"%swarm {kind}",
        f"Keeps a {kind}, {about}: create, ls, inspect, rm.",
        epilog=f"%swarm {kind} create NAME --var VARIABLE or --file FILE. The value is never shown, nor in the line.",
    )
    parser.add_argument("--var", metavar="NAME", help="create: the notebook's variable that has the value, a str or bytes")
    parser.add_argument("--file", metavar="FILE", help="create: the file that has the value")
    parser.add_argument("-l", "--label", action="append", default=[], metavar="KEY=VALUE", help="create: a label; repeatable")
    parser.add_argument("action", metavar="ACTION", help="create, ls, inspect or rm")
    parser.add_argument("names", nargs="*", metavar="NAME")
    return parser


def magic(session: Session, line: str, cell: str | None = None) -> Shown | None:
    """Does what the line says, and returns what the verb returns."""
    try:
        given = words(line, session.namespace)
        verb, arguments = parse_verb("%swarm", given, parsers())
    except HelpShown:
        return None
    if arguments.show_command:
        return command("swarm", given)
    if verb in _NODE_VERBS:
        changed: Shown = getattr(swarm, verb)(arguments.nodes, client=session.client)
        return changed
    return _VERBS[verb](session, arguments)


def _called_init(session: Session, a: Namespace) -> Shown:
    return swarm.init(
        advertise_addr=a.advertise_addr,
        listen_addr=a.listen_addr,
        data_path_addr=a.data_path_addr,
        default_addr_pool=a.default_addr_pool,
        availability=a.availability,
        dispatcher_heartbeat=a.dispatcher_heartbeat,
        force_new_cluster=a.force_new_cluster,
        client=session.client,
    )


def _called_join(session: Session, a: Namespace) -> Shown:
    if (a.token is None) == (a.var is None):
        raise UsageError("%swarm join needs the token, once", hint="%swarm join --var NAME ADDRESS takes it from a variable.")
    token = a.token if a.var is None else _variable(session, a.var, "the token").decode("utf-8", "replace").strip()
    return swarm.join(
        a.address,
        token,
        advertise_addr=a.advertise_addr,
        listen_addr=a.listen_addr,
        data_path_addr=a.data_path_addr,
        availability=a.availability,
        client=session.client,
    )


def _called_tokens(session: Session, a: Namespace) -> Shown:
    if a.role not in ("worker", "manager"):
        raise UsageError(f"there is no token for a {a.role}", hint="%swarm join-token worker, or manager.")
    return swarm.tokens(client=session.client)


def _called_kept(kind: str) -> Callable[[Session, Namespace], Shown]:
    def call(session: Session, a: Namespace) -> Shown:
        store = getattr(swarm, f"{kind}s")
        if a.action not in _ACTIONS:
            near = nearest(a.action, _ACTIONS)
            raise UsageError(
                f"unknown action {a.action}" + (f": did you mean {near}?" if near else ""),
                hint=f"There are: {', '.join(_ACTIONS)}.",
            )
        if a.action != "create" and (a.var or a.file or a.label):
            raise UsageError(f"--var, --file and --label are for `%swarm {kind} create`")
        shown: Shown
        match a.action:
            case "ls":
                shown = store.ls(client=session.client)
            case "rm":
                shown = store.rm(_some(kind, a), client=session.client)
            case "inspect":
                shown = store.get(_one(kind, a), client=session.client)
            case _:
                name = _one(kind, a)
                shown = store.create(name, _value(session, kind, a), label=a.label, client=session.client)
        return shown

    return call


def _some(kind: str, a: Namespace) -> list[str]:
    if not a.names:
        raise UsageError(f"%swarm {kind} {a.action} needs NAME")
    names: list[str] = a.names
    return names


def _one(kind: str, a: Namespace) -> str:
    # What is too much is not shown: it may be the value.
    if len(_some(kind, a)) > 1:
        raise UsageError(
            f"%swarm {kind} {a.action} takes one NAME, and no value in the line",
            hint=f"The value comes from a variable or a file: `%swarm {kind} create NAME --var VARIABLE`."
            if a.action == "create"
            else None,
        )
    name: str = a.names[0]
    return name


def _value(session: Session, kind: str, a: Namespace) -> bytes:
    if (a.var is None) == (a.file is None):
        raise UsageError(f"%swarm {kind} create takes the value from --var VARIABLE or from --file FILE")
    if a.var is not None:
        return _variable(session, a.var, f"a {kind}")
    try:
        with open(os.path.expanduser(a.file), "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:
        raise UsageError(f"--file '{a.file}' cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _variable(session: Session, name: str, what: str) -> bytes:
    if name not in session.namespace:
        # The name is not shown: it may be the value, in the wrong place.
        raise UsageError("--var: the notebook has no variable of that name", hint="--var takes a variable's name, without braces.")
    value = session.namespace[name]
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if not isinstance(value, str):
        raise UsageError(f"--var '{name}' is of type {type(value).__name__}; {what} is a str or bytes")
    return value.encode("utf-8", "surrogateescape")


_VERBS: dict[str, Callable[[Session, Namespace], Shown]] = {
    "init": _called_init,
    "join": _called_join,
    "join-token": _called_tokens,
    "leave": lambda session, a: swarm.leave(force=a.force, client=session.client),
    "nodes": lambda session, _: swarm.nodes(client=session.client),
    "secret": _called_kept("secret"),
    "config": _called_kept("config"),
}
