"""The flags and arguments of `%service`'s verbs: docker's, each by a function that adds them to a verb's parser."""

from __future__ import annotations

import argparse
from argparse import Namespace
from typing import Any, Final

from dockerlab.notebook.arguments import Parser

# flag → (metavar, what it does); each may be given once, when a service is made and when it is changed
_ONCE: Final = {
    "replicas": ("NUMBER", "how many there are to be"),
    "endpoint-mode": ("MODE", "vip, one address for all of them, or dnsrr, their own by DNS"),
    "user": ("USER[:GROUP]", "who runs the command"),
    "workdir": ("FOLDER", "the working directory, in the container"),
    "entrypoint": ("PROGRAM", "in place of the image's ENTRYPOINT"),
    "hostname": ("NAME", "the containers' host name"),
    "stop-grace-period": ("TIME", "how long a task may take to end before it is killed"),
    "limit-memory": ("SIZE", "at most so much memory: 256m, 1g"),
    "limit-cpu": ("NUMBER", "at most so many CPUs: 0.5"),
    "reserve-memory": ("SIZE", "only on nodes that have so much memory free"),
    "reserve-cpu": ("NUMBER", "only on nodes that have so many CPUs free"),
    "restart-condition": ("WORD", "when a task that ended is replaced: none, on-failure or any"),
    "restart-delay": ("TIME", "how long after its end; 5s unless given"),
    "restart-max-attempts": ("NUMBER", "at most so often"),
    "restart-window": ("TIME", "within so long"),
    **{
        f"{which}-{name}": (metavar, about.format(which))
        for which in ("update", "rollback")
        for name, metavar, about in (
            ("delay", "TIME", "the pause between two tasks of an {}: 10s"),
            ("parallelism", "NUMBER", "how many tasks of an {} at a time; 1 unless given, 0 for all"),
            ("failure-action", "WORD", "what a failed {} does: pause or continue; an update also: rollback"),
            ("order", "WORD", "of an {}: stop-first, or start-first"),
            ("monitor", "TIME", "how long a new task of an {} is watched; 5s unless given"),
            ("max-failure-ratio", "SHARE", "how many tasks of an {} may fail, 0 to 1"),
        )
    },
    "health-cmd": ("COMMAND", "a command that says whether a container is well"),
    "health-interval": ("TIME", "how often"),
    "health-timeout": ("TIME", "how long it may take"),
    "health-retries": ("NUMBER", "how often it may fail"),
    "health-start-period": ("TIME", "how long a container may take to start"),
}
_SWITCHES: Final = {
    "no-healthcheck": "none, whatever the image has",
    "with-registry-auth": "send this machine's login of the image's registry to the nodes",
    "no-resolve-image": "do not ask the registry which digest the image has",
    "detach": "do not wait until it is done",
}
# What repeats: a flag of create; update has it as --X-add and --X-rm.
_LISTS: Final = {
    "env": ("KEY=VALUE", "an environment variable; KEY alone takes ours", "KEY"),
    "label": ("KEY=VALUE", "a label of the service", "KEY"),
    "container-label": ("KEY=VALUE", "a label of its containers", "KEY"),
    "publish": ("PORT", "a port: 8080:5000, or mode=host,target=5000[,published=8080]", "TARGET"),
    "secret": ("NAME", "a secret of the Swarm, as the file /run/secrets/NAME", "NAME"),
    "config": ("NAME", "a config of the Swarm, as the file /NAME", "NAME"),
    "network": ("NETWORK", "a network to join", "NETWORK"),
    "constraint": ("EXPRESSION", "which nodes it may be on: node.hostname==machine1", "EXPRESSION"),
    "mount": ("MOUNT", "type=volume,source=data,target=/data", "TARGET"),
}
_SHORT: Final = {"env": "-e", "label": "-l", "publish": "-p", "user": "-u", "workdir": "-w", "detach": "-d"}
OWN: Final = frozenset({"detach", "show_command", "name", "env_file", "image", "command", "service", "rollback"})


def create(parser: Parser) -> None:
    parser.add_argument("--name", metavar="NAME", help="the service's name")
    parser.add_argument("--mode", metavar="MODE", help="replicated, or global: one on every node")
    parser.add_argument("--env-file", action="append", default=[], metavar="FILE", help="environment variables, one a line")
    for name, (metavar, about, _) in _LISTS.items():
        parser.add_argument(*_spelt(name), action="append", default=[], metavar=metavar, help=f"{about}; repeatable")
    _common(parser)
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command and its arguments; all that follows IMAGE"
    )


def update(parser: Parser) -> None:
    parser.add_argument("--image", metavar="IMAGE", help="another image")
    parser.add_argument("--args", metavar="COMMAND", help="another command")
    parser.add_argument("--force", action="store_true", help="new tasks, even if nothing else changes")
    parser.add_argument("--rollback", action="store_true", help="back to what it was before its last change")
    for name, (metavar, about, key) in _LISTS.items():
        parser.add_argument(f"--{name}-add", action="append", default=[], metavar=metavar, help=f"{about}; repeatable")
        parser.add_argument(f"--{name}-rm", action="append", default=[], metavar=key, help="takes it away; repeatable")
    _common(parser)
    one(parser)


def scale(parser: Parser) -> None:
    _switch(parser, "detach")
    parser.add_argument("replicas", nargs="+", metavar="SERVICE=REPLICAS")


def rollback(parser: Parser) -> None:
    _switch(parser, "detach")
    one(parser)


def logs(parser: Parser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the cell is interrupted")
    parser.add_argument("-n", "--tail", metavar="LINES", help="only the last lines of each task: a number, or all")
    parser.add_argument("--since", metavar="WHEN", help="only what came after: 10m, 2026-01-31T12:00:00")
    one(parser)


def one(parser: Parser) -> None:
    parser.add_argument("service", metavar="SERVICE")


def some(parser: Parser) -> None:
    parser.add_argument("services", nargs="+", metavar="SERVICE")


def none(parser: Parser) -> None:
    """A verb without arguments."""


def given(a: Namespace) -> dict[str, Any]:
    """What was given of the flags that the functions of `dockerlab.services` have as keywords."""
    return {name: value for name, value in vars(a).items() if name not in OWN and value not in (None, [], False)}


def _common(parser: Parser) -> None:
    for name, (metavar, about) in _ONCE.items():
        parser.add_argument(*_spelt(name), metavar=metavar, help=about)
    for name in _SWITCHES:
        _switch(parser, name)


def _switch(parser: Parser, name: str) -> None:
    parser.add_argument(*_spelt(name), action="store_true", help=_SWITCHES[name])


def _spelt(name: str) -> list[str]:
    return [*([_SHORT[name]] if name in _SHORT else []), f"--{name}"]
