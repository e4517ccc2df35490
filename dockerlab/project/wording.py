"""What a stage of a Dockerfile does, in words. Pure: said of what is written, nothing is looked up.

told(stage, dockerfile)     ["begins with the image `golang:1.22`", "works in `/src`", …]
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from dockerlab.dockerfile import Dockerfile, Node, Stage
from dockerlab.errors import printable
from dockerlab.faces.hiding import hide_in

_LONGEST: Final = 70
_FIELDS: Final = 12  # instructions that are told of one stage


def told(stage: Stage, dockerfile: Dockerfile, earlier: Sequence[Stage]) -> list[str]:
    """One clause an instruction, without a full stop. earlier: the stages before it, which FROM and COPY may name."""
    names = {name for one in earlier for name in (one.name, str(one.index)) if name}
    nodes = [dockerfile.nodes[index] for index in stage.nodes]
    clauses = [_told(node, names) for node in nodes[:_FIELDS]]
    more = len(nodes) - _FIELDS
    return [*clauses, *([f"… and {more} more instruction{'s' if more > 1 else ''}"] if more > 0 else [])]


def heading(stage: Stage, count: int) -> str:
    """`The stage build`, `The last stage`, `The Dockerfile`."""
    if count == 1:
        return "The Dockerfile"
    which = f"Stage {stage.index + 1} of {count}"
    return f"{which}: {code(stage.name)}" if stage.name else which


def code(text: str) -> str:
    """Text as code in Markdown, on one line."""
    shown = " ".join(printable(hide_in(text)).split())
    shown = shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    return f"{fence}{space}{shown}{space}{fence}"


def _told(node: Node, names: set[str]) -> str:
    tell = _TOLD.get(node.keyword)
    return tell(node, names) if tell else f"has the instruction {code(node.text)}"


def _from(node: Node, names: set[str]) -> str:
    base = node.arguments.split()[0] if node.arguments.split() else ""
    if base.lower() in names:
        return f"goes on from the stage {code(base)}"
    if base == "scratch":
        return "begins with nothing at all (`scratch`)"
    return f"begins with the image {code(base)}"


def _copied(node: Node, names: set[str]) -> str:
    words = node.arguments.split()
    origin = next((flag.partition("=")[2] for flag in node.flags if flag.startswith("--from=")), "")
    if node.heredocs:
        return f"writes the file {code(words[-1] if words else '')} from the lines below it"
    if node.arguments.startswith("[") or len(words) < 2:
        what, where = node.arguments, ""
    else:
        what, where = " ".join(words[:-1]), words[-1]
    kind = "stage" if origin.lower() in names else "image"
    source = f" from the {kind} {code(origin)}" if origin else ""
    verb = "adds" if node.keyword == "ADD" else "copies"
    return f"{verb} {code(what)}{source}" + (f" to {code(where)}" if where else "")


def _run(node: Node, names: set[str]) -> str:
    if node.heredocs:
        return "runs the script below it"
    return f"runs {code(node.arguments)}"


def _simple(words: str) -> Callable[[Node, set[str]], str]:
    return lambda node, names: words.format(code(node.arguments))


def _variable(words: str) -> Callable[[Node, set[str]], str]:
    def tell(node: Node, names: set[str]) -> str:
        found = re.findall(r"([A-Za-z_]\w*)=", node.arguments) or node.arguments.split()[:1]
        return words.format(", ".join(map(code, found)))

    return tell


_TOLD: Final[dict[str, Callable[[Node, set[str]], str]]] = {
    "FROM": _from,
    "RUN": _run,
    "COPY": _copied,
    "ADD": _copied,
    "WORKDIR": _simple("works in the folder {}"),
    "ENV": _variable("sets the environment variable {}"),
    "ARG": _variable("takes the build argument {}"),
    "LABEL": _variable("is labelled {}"),
    "EXPOSE": _simple("says that the program listens on port {}"),
    "CMD": _simple("starts {} when a container is run"),
    "ENTRYPOINT": _simple("starts {} when a container is run, with what is given after it"),
    "USER": _simple("goes on as the user {}"),
    "VOLUME": _simple("keeps {} outside of the container"),
    "STOPSIGNAL": _simple("is stopped with {}"),
    "SHELL": _simple("takes {} as the shell"),
    "HEALTHCHECK": _simple("is asked for its health by {}"),
    "ONBUILD": _simple("leaves {} to an image that is built on it"),
    "MAINTAINER": _simple("names {} as its author"),
}
