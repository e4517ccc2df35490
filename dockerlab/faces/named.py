"""The faces of what an engine keeps by name beside images and containers: networks and volumes.

A thing has a name and who uses it, which are the same on every run, and facts, which differ from engine to engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dockerlab.errors import printable
from dockerlab.faces import markup


@dataclass(frozen=True)
class Thing:
    """kind: "network", "volume". users: the containers that have it. facts: title → value, the same titles for all of a kind."""

    kind: str
    name: str
    users: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


def text(thing: Thing) -> str:
    users = f": {', '.join(thing.users)}" if thing.users else ""
    return printable(f"{thing.kind} {thing.name}{users}")


def texts(things: Sequence[Thing], empty: str) -> str:
    return "\n".join(map(text, things)) or empty


def table(things: Sequence[Thing], empty: str = "") -> str:
    """All of it as text."""
    if not things:
        return empty
    titles = ("name", *things[0].facts, "containers")
    rows = [tuple(map(printable, (one.name, *one.facts.values(), ", ".join(one.users)))) for one in things]
    return markup.columns([titles, *rows])


def html(things: Sequence[Thing], empty: str = "") -> str:
    if not things:
        return markup.page(f'<div class="muted">{markup.text(empty)}</div>')
    titles = (things[0].kind, *things[0].facts, "containers")
    rows = [
        (
            f"<b>{markup.text(printable(one.name))}</b>",
            *(markup.volatile(markup.text(printable(value))) for value in one.facts.values()),
            markup.text(printable(", ".join(one.users))) or '<span class="muted">none</span>',
        )
        for one in things
    ]
    return markup.page(markup.table(titles, rows, wrap=(len(titles) - 1,)))


def removed_lines(kind: str, names: Sequence[str], absent: Sequence[str]) -> list[str]:
    lines = [f"removed {kind} {name}" for name in names] + [f"there was no {kind} '{name}'" for name in absent]
    return [printable(line) for line in lines]


def removed_html(kind: str, names: Sequence[str], absent: Sequence[str]) -> str:
    gone = [markup.text(line) for line in removed_lines(kind, names, ())]
    missing = [markup.text(line) for line in removed_lines(kind, (), absent)]
    return markup.page(
        markup.head("<br>".join(gone)) if gone else "", f'<div class="muted">{"<br>".join(missing)}</div>' if missing else ""
    )
