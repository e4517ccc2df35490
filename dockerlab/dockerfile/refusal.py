"""Errors that do not know their line yet, and how they learn it.

raise Refused("unknown flag: --frm", at="--frm", hint="Did you mean --from?")
located(error, node, dockerfile) → DockerfileError with line, column, and the lines with a caret under `--frm`
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from dockerlab.dockerfile.excerpt import excerpt
from dockerlab.dockerfile.instructions import nearest
from dockerlab.dockerfile.parser import Dockerfile, Node
from dockerlab.errors import DockerfileError


class Refused(DockerfileError):
    """at: the text in the instruction that is wrong, "" for the whole of it."""

    def __init__(self, message: str, *, at: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.at = at


def did_you_mean(word: str, choices: Iterable[str], mark: str = "") -> str | None:
    """A hint that names the nearest choice, with `mark` before it."""
    near = nearest(word, choices)
    return f"Did you mean {mark}{near}?" if near else None


def located(error: DockerfileError, node: Node, dockerfile: Dockerfile, prefix: str = "") -> DockerfileError:
    """The error with the place of the instruction in its Dockerfile. One that has a line already stays as it is."""
    if error.line is not None:
        return error
    line, column = _place(error.at if isinstance(error, Refused) else "", node, dockerfile.source)
    place = excerpt(dockerfile.source, line, node.end_line if line == node.line and not node.heredocs else None, column)
    return DockerfileError(
        prefix + error.message, line=node.line, column=None if column is None else column + 1, place=place, hint=error.hint
    )


@contextmanager
def at(node: Node, dockerfile: Dockerfile, prefix: str = "") -> Iterator[None]:
    """Gives errors from inside the place of an instruction."""
    try:
        yield
    except DockerfileError as error:
        raise located(error, node, dockerfile, prefix) from None


def _place(text: str, node: Node, source: tuple[str, ...]) -> tuple[int, int | None]:
    """The line of an instruction and the column in it where a text stands, else its first line and no column."""
    if text:
        for line in range(node.line, min(node.end_line, len(source)) + 1):
            # Behind the keyword, if there is something behind it: the `a` of `COPY a` is not that of `ADD`.
            first = source[line - 1]
            start = len(first) - len(first.lstrip()) + len(node.keyword) if line == node.line and text not in node.text[:1] else 0
            if (column := first.find(text, start)) >= 0 or (column := first.find(text)) >= 0:
                return line, column
    return node.line, None
