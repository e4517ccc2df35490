"""The faces of containers: one (its card) and many (`ps`). Pure: from facts, which `dockerlab.containers` reads off an engine's
answers.

The text holds names, images and states only; a name that the engine made up is left out, since it differs on every run.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from dockerlab.faces import human, markup

NO_CONTAINERS = "No containers. Start one: `%container run …`"
NONE_RUNNING = "No container is running. `%container ps -a` shows those that have stopped; `%container run …` starts one."
_COLUMNS = ("state", "name", "image", "command", "ports", "created", "id")


@dataclass(frozen=True, slots=True)
class PortLink:
    """A published port. shown: `8080→5000`. url: where a page reaches it, or None where a link would not help (UDP)."""

    shown: str
    url: str | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is shown of a container.

    name: '' where the engine made one up; engine_name: always the engine's. image: familiar, '' where it has no name.
    state: the API's word (created, running, paused, restarting, removing, exited, dead), or `removed`. exit_code: after it
    has ended.
    health: the API's word, or ''. created: seconds since the epoch, or None.
    """

    id: str
    name: str
    engine_name: str
    image: str
    command: str
    state: str
    exit_code: int | None = None
    health: str = ""
    created: float | None = None
    ports: tuple[PortLink, ...] = ()

    @property
    def word(self) -> str:
        """The state in words that are the same on every engine: `running`, `exited 3`."""
        return f"exited {self.exit_code}" if self.state == "exited" else self.state

    @property
    def called(self) -> str:
        """What to call it in a message: `'web1'`, or `of app` where it has no name of its own."""
        return f"'{self.name}'" if self.name else f"of {self.image}" if self.image else "without a name"

    @property
    def label(self) -> str:
        """Name and image: `web1 (app)`, `of app`."""
        if self.name:
            return f"{self.name} ({self.image})" if self.image else self.name
        return f"of {self.image}" if self.image else "without a name"


def text(facts: Facts) -> str:
    return f"container {facts.label}: {facts.word}"


def texts(several: Sequence[Facts], empty: str = NO_CONTAINERS) -> str:
    return "\n".join(text(facts) for facts in several) or empty


def table(several: Sequence[Facts], empty: str = NO_CONTAINERS) -> str:
    """All of it as text, newest first."""
    if not several:
        return empty
    rows = [
        (
            _words(f),
            f.engine_name,
            f.image,
            human.shorten(f.command, 40),
            ", ".join(p.shown for p in f.ports),
            _age(f),
            human.short_id(f.id),
        )
        for f in several
    ]
    return markup.columns([_COLUMNS, *rows])


def html(several: Sequence[Facts], empty: str = NO_CONTAINERS) -> str:
    """A table, newest first; states with mark and word, ports as links."""
    if not several:
        return markup.page(f'<div class="muted">{instruction(empty)}</div>')
    rows = [
        (
            state(f),
            f"<b>{markup.text(f.name)}</b>"
            if f.name
            else markup.volatile(f'<span class="muted">{markup.text(f.engine_name)}</span>'),
            markup.text(f.image),
            markup.code(human.shorten(f.command, 60)),
            markup.volatile(" ".join(link(p) for p in f.ports)),
            markup.volatile(markup.text(_age(f))),
            markup.volatile(markup.code(human.short_id(f.id))),
        )
        for f in several
    ]
    return markup.page(markup.table(_COLUMNS, rows, wrap=(3,)))


def state(facts: Facts) -> str:
    """Colour, mark and word; how far a health check is differs from run to run."""
    kind = {"running": "done", "exited": "stopped", "restarting": "running", "dead": "failed", "removed": "stopped"}.get(
        facts.state, "waiting"
    )
    if (facts.state == "exited" and facts.exit_code) or facts.health == "unhealthy":
        kind = "failed"
    shown = markup.state(kind, facts.word)
    return shown + (markup.volatile(f' <span class="muted">{markup.text(facts.health)}</span>') if facts.health else "")


def link(port: PortLink) -> str:
    if port.url is None:
        return markup.text(port.shown)
    return f'<a href="{markup.text(port.url)}" target="_blank" rel="noopener noreferrer">{markup.text(port.shown)}</a>'


def instruction(sentence: str) -> str:
    """A sentence in which `…` marks code, as markup."""
    return "".join(markup.code(part) if i % 2 else markup.text(part) for i, part in enumerate(sentence.split("`")))


def _words(facts: Facts) -> str:
    return f"{facts.word}, {facts.health}" if facts.health else facts.word


def _age(facts: Facts) -> str:
    return "" if facts.created is None else f"{human.seconds(time.time() - facts.created)} ago"
