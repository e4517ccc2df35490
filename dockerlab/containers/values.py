"""What the verbs give back: values that display themselves. What differs from run to run is kept out of their text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dockerlab.errors import printable
from dockerlab.faces import human, markup
from dockerlab.faces.container import Facts, PortLink, instruction, link
from dockerlab.faces.hiding import hide_in_command
from dockerlab.faces.shown import Shown

_MARKS = {"changed": "C", "added": "A", "deleted": "D"}


class Inspection(Shown, dict[str, Any]):
    """All that an engine knows of a container: the API's answer, as a dict."""

    def __init__(self, attrs: Mapping[str, Any], facts: Facts) -> None:
        super().__init__(attrs)
        self._facts = facts

    def _text(self) -> str:
        return f"inspection of container {self._facts.label}"

    def _table(self) -> str:
        return json.dumps(self, indent=2, ensure_ascii=False)

    def _html(self) -> str:
        head = markup.head(f"container {markup.text(self._facts.label)}")
        return markup.page(head, markup.volatile(f"<pre>{markup.text(printable(self._table()))}</pre>"))


@dataclass(frozen=True, slots=True)
class Change:
    """A path that differs from the image's. kind: `changed`, `added` or `deleted`."""

    path: str
    kind: str


class Changes(Shown, list[Change]):
    """What a container's file system has over its image."""

    def __init__(self, changes: Iterable[Change], facts: Facts) -> None:
        super().__init__(sorted(changes, key=lambda c: c.path))
        self._facts = facts

    def _text(self) -> str:
        lines = [f"{_MARKS[c.kind]} {printable(c.path)}" for c in self]
        return "\n".join(lines) or self._none

    @property
    def _none(self) -> str:
        return f"container {self._facts.label}: no file differs from its image"

    def _html(self) -> str:
        if not self:
            return markup.page(f'<div class="muted">{markup.text(self._none)}</div>')
        rows = [(f"{_MARKS[c.kind]} {c.kind}", markup.code(c.path)) for c in self]
        return markup.page(markup.head(f"container {markup.text(self._facts.label)}"), markup.table(("", "path"), rows, wrap=(1,)))


class Processes(Shown):
    """The processes in a container. titles: the columns; rows: a process each, as the engine's `ps` prints it. Shown without secrets."""

    def __init__(self, titles: Sequence[str], rows: Sequence[Sequence[str]], facts: Facts) -> None:
        self.titles, self.rows, self._facts = tuple(titles), tuple(tuple(map(str, row)) for row in rows), facts

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands alone."""
        names = [title.upper() for title in self.titles]
        column = next((names.index(n) for n in ("CMD", "COMMAND", "ARGS") if n in names), -1)
        return tuple(row[column] for row in self.rows)

    def _text(self) -> str:
        return "\n".join(printable(hide_in_command(c)) for c in self.commands)

    def _table(self) -> str:
        return markup.columns([self.titles, *(tuple(printable(hide_in_command(c)) for c in row) for row in self.rows)])

    def _html(self) -> str:
        rows = [[markup.text(hide_in_command(cell)) for cell in row] for row in self.rows]
        head = markup.head(f"container {markup.text(self._facts.label)}")
        return markup.page(head, markup.volatile(markup.table(self.titles, rows, wrap=(len(self.titles) - 1,))))


@dataclass(frozen=True, slots=True)
class Usage:
    """What a container uses now. cpu: in percent of one processor. memory, limit, received, sent, read, written: in bytes."""

    facts: Facts
    cpu: float
    memory: int
    limit: int
    received: int
    sent: int
    read: int
    written: int
    processes: int


class Stats(Shown, list[Usage]):
    """A snapshot of what containers use."""

    _TITLES = ("name", "CPU", "memory", "limit", "", "net in / out", "disk read / written", "processes")
    _NONE = "No container is running. Start one: `%container run -d …`"

    def _text(self) -> str:
        return "\n".join(f"usage of container {u.facts.label}" for u in self) or self._NONE

    def _cells(self, u: Usage) -> tuple[str, ...]:
        share = f"{100 * u.memory / u.limit:.1f} %" if u.limit else ""
        moved = (f"{human.size(one)} / {human.size(other)}" for one, other in ((u.received, u.sent), (u.read, u.written)))
        return (f"{u.cpu:.1f} %", human.size(u.memory), human.size(u.limit) if u.limit else "none", share, *moved, str(u.processes))

    def _table(self) -> str:
        return markup.columns([self._TITLES, *((u.facts.engine_name, *self._cells(u)) for u in self)]) if self else self._NONE

    def _html(self) -> str:
        if not self:
            return markup.page(f'<div class="muted">{instruction(self._NONE)}</div>')
        rows = []
        for u in self:
            cells = [markup.text(cell) for cell in self._cells(u)]
            cells[3] = markup.bar(u.memory / u.limit) if u.limit else ""
            name = f"<b>{markup.text(u.facts.name)}</b>" if u.facts.name else markup.volatile(markup.text(u.facts.engine_name))
            rows.append((name, *map(markup.volatile, cells)))
        return markup.page(markup.table(self._TITLES, rows, numeric=(1, 2, 3, 5, 6, 7)))


class Ports(Shown, dict[str, tuple[str, ...]]):
    """The published ports of a container: `5000/tcp` → (`127.0.0.1:8080`, …). The text has the container's side alone."""

    def __init__(self, places: Mapping[str, tuple[str, ...]], links: Sequence[PortLink], facts: Facts) -> None:
        super().__init__(places)
        self._links, self._facts = tuple(links), facts

    @property
    def _none(self) -> str:
        return f"container {self._facts.label} publishes no port"

    def _text(self) -> str:
        return f"container {self._facts.label} publishes {', '.join(self)}" if self else self._none

    def _table(self) -> str:
        return "\n".join(f"{exposed} -> {place}" for exposed, places in self.items() for place in places) or self._none

    def _html(self) -> str:
        if not self:
            return markup.page(f'<div class="muted">{markup.text(self._none)}</div>')
        links = " ".join(link(p) for p in self._links)
        return markup.page(markup.head(markup.text(self._text()), markup.volatile(links)))


class Removed(Shown):
    """What was removed. labels: a name or an image each. absent: what --force asked for and was not there. reclaimed: bytes, or
    None."""

    def __init__(self, removed: Sequence[Facts], absent: Sequence[str] = (), reclaimed: int | None = None) -> None:
        self.labels = tuple(f.label for f in removed)
        self.ids = tuple(f.id for f in removed)
        self.absent = tuple(absent)
        self.reclaimed = reclaimed

    def _lines(self) -> list[str]:
        lines = [f"removed container {label}" for label in self.labels] + [
            f"there was no container '{name}'" for name in self.absent
        ]
        return lines or ["nothing to remove"]

    def _text(self) -> str:
        return printable("\n".join(self._lines()))

    def _table(self) -> str:
        return self._text() + (f"\n{human.size(self.reclaimed)} reclaimed" if self.reclaimed is not None else "")

    def _html(self) -> str:
        lines = "<br>".join(markup.text(line) for line in self._lines())
        size = "" if self.reclaimed is None else markup.volatile(markup.text(f"{human.size(self.reclaimed)} reclaimed"))
        return markup.page(markup.head(lines, size))


class Pruned(Removed):
    """What a prune removed; reclaimed: in bytes."""


@dataclass(frozen=True, repr=False)
class Copied(Shown):
    """What `cp` copied. files: how many; size: their bytes. refused: what would have reached out of the target, and was left
    out."""

    source: str
    destination: str
    files: int
    size: int
    refused: tuple[str, ...] = ()

    def _text(self) -> str:
        lines = [f"copied {self.source} to {self.destination}"]
        if self.refused:
            lines.append(f"left out, since it would reach out of the target or is no file: {', '.join(self.refused)}")
        return printable("\n".join(lines))

    def _table(self) -> str:
        return f"{self._text()}\n{self.files} files, {human.size(self.size)}"

    def _html(self) -> str:
        lines = "<br>".join(markup.text(line) for line in self._text().splitlines())
        return markup.page(markup.head(lines, markup.volatile(f"{self.files} files, {human.size(self.size)}")))
