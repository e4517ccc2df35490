"""A command line as a value, and how one is put together. Pure.

What looks like a secret in a line is `***`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from dockerlab.faces import markup
from dockerlab.faces.hiding import hide_arguments
from dockerlab.faces.shown import Shown
from dockerlab.project.flags import Given


@dataclass(frozen=True, repr=False)
class Command(Shown):
    """What to type into a shell. lines: one command a line, or more for a here-document; quoted as a shell wants it. notes: what a
    reader has to know besides. is_same: whether it does what the magic does; if not, it is what comes nearest.
    """

    lines: tuple[str, ...]
    notes: tuple[str, ...] = ()
    is_same: bool = True

    @property
    def line(self) -> str:
        """All of it, for a shell."""
        return "\n".join(self.lines)

    def _text(self) -> str:
        return "\n".join([*self.lines, *(f"# {note}" for note in self.notes)])

    def _html(self) -> str:
        notes = "".join(f"<p>{_with_code(note)}</p>" for note in self.notes)
        what = "the same by the docker command" if self.is_same else "what comes nearest by the docker command"
        return markup.page(markup.head(what), f"<pre>{markup.text(self.line)}</pre>", notes)


def _with_code(note: str) -> str:
    """A note as HTML: what stands in backticks is code."""
    return "".join(markup.code(part) if index % 2 else markup.text(part) for index, part in enumerate(note.split("`")))


def docker(*words: str) -> str:
    return shlex.join(["docker", *masked(words)])


# They take the name of a secret, or say where one is.
_NAMED_SECRETS: Final = ("--secret", "--secret-add", "--secret-rm")


def masked(words: Sequence[str]) -> list[str]:
    """A command's words without secrets. What `--secret` takes is no secret: it says where one is."""
    found: list[str] = []
    waiting = list(words)
    while at := next((place for place, word in enumerate(waiting, 1) if word in _NAMED_SECRETS), 0):
        found += [*hide_arguments(waiting[: at - 1]), *waiting[at - 1 : at + 1]]
        waiting = waiting[at + 1 :]
    return [*found, *hide_arguments(waiting)]


def nearest(lines: str | Sequence[str], *notes: str) -> Command:
    return Command((lines,) if isinstance(lines, str) else tuple(lines), notes, is_same=False)


def alike(*verb: str, always: Sequence[str] = ()) -> Callable[[Given], Command]:
    """A verb that docker has with the same flags. always: flags that it wants besides."""

    def make(given: Given) -> Command:
        more = [flag for flag in always if not given.has(flag)]
        return Command((docker(*verb, *more, *given.words),))

    return make


def fed(made: Command, given: Given, verb: str, body: str) -> Command:
    """With the cell on standard input."""
    *before, last = made.lines
    interactive = "" if given.has("-i", "--interactive") else " -i"
    last = last.replace(f"docker {verb}", f"docker {verb}{interactive}", 1)
    if len(given.arguments) < 2 and not given.has("--entrypoint"):
        last += " sh"
    return Command((*before, *here(last, body)), made.notes)


def here(line: str, body: str) -> tuple[str, ...]:
    """A command with a here-document."""
    end = "EOF"
    while re.search(rf"^{end}$", body, re.MULTILINE):
        end += "_"
    return (f"{line} <<'{end}'", *body.removesuffix("\n").split("\n"), end)
