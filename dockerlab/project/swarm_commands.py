"""The `docker` commands that do what the verbs of `%swarm` and `%service` do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dockerlab.project.command import Command, alike, docker, nearest
from dockerlab.project.flags import Given, flag_words


def _nodes(given: Given) -> Command:
    return Command((docker("node", "ls"),))


def _node_update(availability: str) -> Callable[[Given], Command]:
    def make(given: Given) -> Command:
        nodes = given.arguments or ("NODE",)
        return Command(tuple(docker("node", "update", "--availability", availability, node) for node in nodes))

    return make


def _join(given: Given) -> Command:
    """The token is a secret, wherever it stands."""
    name = given.value("--var")
    flags = [(flag, "***" if flag == "--token" else value) for flag, value in given.flags if flag != "--var"]
    line = docker("swarm", "join", *flag_words([*flags, *([("--token", "***")] if name else [])]), *given.arguments)
    return Command((line,), (f"The token is in the notebook's variable {name}.",) if name else ())


def _kept(kind: str) -> Callable[[Given], Command]:
    """Secrets and configs, which docker reads from a file or from its input."""

    def make(given: Given) -> Command:
        action, *names = given.arguments or ("ls",)
        if action != "create":
            return Command((docker(kind, action, *names),))
        labels = [pair for pair in given.flags if pair[0] in ("-l", "--label")]
        file, variable = given.value("--file"), given.value("--var")
        line = docker(kind, "create", *flag_words(labels), *names[:1], file or "-")
        said = f"It is read from the input: the {kind} is in the notebook's variable {variable}."
        return Command((line,), (said,) if variable else ())

    return make


def _show_service(given: Given) -> Command:
    return nearest([docker("service", "ps", *given.arguments), docker("node", "ls")], "docker draws no picture: it has two lists.")


def _joining(given: Given) -> Command:
    line = docker("swarm", "join-token", *given.arguments)
    return nearest(line, "docker prints the token, a secret; the magic gives it as a value and shows it nowhere.")


SWARM: Final[dict[str, Callable[[Given], Command]]] = {
    "init": alike("swarm", "init"),
    "join": _join,
    "join-token": _joining,
    "leave": alike("swarm", "leave"),
    "nodes": _nodes,
    "drain": _node_update("drain"),
    "activate": _node_update("active"),
    "promote": alike("node", "promote"),
    "demote": alike("node", "demote"),
    "secret": _kept("secret"),
    "config": _kept("config"),
}


SERVICE: Final[dict[str, Callable[[Given], Command]]] = {
    "show": _show_service,
    **{verb: alike("service", verb) for verb in ("create", "ls", "ps", "logs", "inspect", "scale", "update", "rollback", "rm")},
}
