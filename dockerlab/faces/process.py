"""The faces of a container's process: its numbers, and its namespaces beside the host's.

Numbers differ from run to run, and what is its own from engine to engine; the stable text names the container alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dockerlab.errors import printable
from dockerlab.faces import markup
from dockerlab.faces.human import shorten, size

_COMMAND = 100
_UNKNOWN = "? not to be seen from here"
_WORDS = {True: ("done", "its own"), False: ("stopped", "the host's"), None: ("waiting", "unknown")}


@dataclass(frozen=True)
class Row:
    """name, what: a kind of namespace, and what it keeps apart. inside, host: numbers, 0 for unknown."""

    name: str
    what: str
    inside: int
    host: int
    is_own: bool | None


@dataclass(frozen=True)
class Seen:
    """What is known of the process; arguments as those of `dockerlab.machine.process.Process`."""

    label: str
    place: str
    pid: int
    pid_here: int | None
    pid_inside: int | None
    command: str
    memory: int
    is_supervised: bool = False

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What it is called by whom."""
        here = f"process {self.pid_here}" if self.pid_here else "not in it"
        if self.pid_here and self.pid_here != self.pid:
            here += f"; the engine, which runs in a container itself, calls it {self.pid}"
        command = shorten(printable(self.command), _COMMAND)
        return (
            ("where", self.place),
            ("on the engine's host", f"process {self.pid}"),
            ("in this machine's process list", f"{here}{f': {command}' if command else ''}"),
            ("in the container", f"process {self.pid_inside}" if self.pid_inside else _UNKNOWN),
            ("memory", size(self.memory)),
        )

    @property
    def note(self) -> str:
        """What the numbers do not show."""
        if not self.is_supervised:
            return ""
        return "Without namespaces of its own: the engine's supervisor, not the kernel, keeps its files and its host name apart."


def text(seen: Seen) -> str:
    return f"the process of container {seen.label}"


def table(seen: Seen, rows: Sequence[Row]) -> str:
    facts = markup.columns(seen.facts)
    cells = [(row.name, row.what, _number(row.inside), _number(row.host), _word(row.is_own)) for row in rows]
    parts = [text(seen), facts, markup.columns([("namespace", "of", "container", "host", ""), *cells]), seen.note]
    return "\n".join(filter(None, parts))


def html(seen: Seen, rows: Sequence[Row]) -> str:
    facts = [(f'<span class="muted">{markup.text(name)}</span>', markup.text(value)) for name, value in seen.facts]
    cells = [
        (markup.code(row.name), markup.text(row.what), _number(row.inside), _number(row.host),
         markup.state(_WORDS[row.is_own][0], _WORDS[row.is_own][1]))
        for row in rows
    ]  # fmt: skip
    namespaces = markup.table(("namespace", "of", "the container's", "the host's", ""), cells, numeric=(2, 3))
    note = f'<div class="muted">{markup.text(seen.note)}</div>' if seen.note else ""
    return markup.page(
        markup.head(markup.text(text(seen))), markup.volatile(markup.table(("", ""), facts, wrap=(1,)) + namespaces + note)
    )


def _number(number: int) -> str:
    return str(number) if number else "?"


def _word(is_own: bool | None) -> str:
    mark, _ = markup.STATES[_WORDS[is_own][0]]
    return f"{mark} {_WORDS[is_own][1]}"
