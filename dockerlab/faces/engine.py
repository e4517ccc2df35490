"""The faces of an engine, what it is made of and what it cannot do, and of those that are known. All of it differs from one to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dockerlab.faces import markup
from dockerlab.faces.human import seconds

if TYPE_CHECKING:
    from dockerlab.engines import Listed

TEXT = "an engine answers"
_LIMITS = "what it cannot do"


def table(title: str, facts: Mapping[str, str], warnings: Sequence[str]) -> str:
    """title: the engine's name and version. facts: what it is → its value. warnings: what it cannot do, a line each."""
    lines = [title, markup.columns([(f"  {name}", value) for name, value in facts.items()])]
    if warnings:
        lines += [f"  {_LIMITS}", *(f"    - {warning}" for warning in warnings)]
    return "\n".join(lines)


def html(title: str, facts: Mapping[str, str], warnings: Sequence[str]) -> str:
    """Arguments as `table`."""
    rows = [(markup.text(name), markup.text(value)) for name, value in facts.items()]
    if warnings:
        rows.append((_LIMITS, "".join(f"<div>{markup.text(warning)}</div>" for warning in warnings)))
    body = "".join(f'<tr><th scope="row" style="border:0">{name}</th><td class="wrap">{value}</td></tr>' for name, value in rows)
    return markup.page(
        markup.head(markup.state("done", TEXT), markup.volatile(markup.text(title))),
        markup.volatile(f"<table><tbody>{body}</tbody></table>"),
    )


LISTED = "the engines that are known here"
NONE = "No engine is known here. Start dockerlab's own: `%engine use embedded`, or name one: `%engine use ssh://user@host`."


def listed_text(listed: Sequence[Listed]) -> str:
    return LISTED


def listed_table(listed: Sequence[Listed]) -> str:
    if not listed:
        return NONE
    rows = [("", "NAME", "ADDRESS", "ENGINE", "PLATFORM", "IMAGES", "CONTAINERS")]
    for one in listed:
        facts = (
            (one.engine.title, one.engine.platform, str(one.images), _containers(one))
            if one.engine
            else ("does not answer", *("",) * 3)
        )
        rows.append(("*" if one.is_chosen else "", one.name, one.address if one.address != one.name else "", *facts))
    told = [line for one in listed if not one.engine for line in (f"{one.name}: {one.answer}", f"  → {one.hint}")]
    return "\n".join([markup.columns(rows), *([""] if told else []), *told])


def listed_html(listed: Sequence[Listed]) -> str:
    """A row each; beneath one that does not answer, why not and what to do."""
    head = markup.head(LISTED, markup.volatile(_count(listed)))
    if not listed:
        return markup.page(head, markup.volatile(f"<p>{markup.text(NONE)}</p>"))
    columns = ("name", "engine", "platform", "images", "containers")
    return markup.page(head, markup.volatile(markup.table(columns, [_row(one) for one in listed], numeric=(3,), wrap=(0,))))


def _row(one: Listed) -> tuple[str, ...]:
    chosen = ' <span class="done" style="white-space:nowrap">◀ in use</span>' if one.is_chosen else ""
    address = f"{markup.code(one.address)} · " if one.address not in ("", one.name) else ""
    sources = f'<div class="muted">{address}{markup.text(", ".join(one.sources))}</div>'
    name = f'<div style="min-width:18em"><strong>{markup.text(one.name)}</strong>{chosen}{sources}</div>'
    if one.engine is None:
        why = f'<div>{markup.text(one.answer)}</div><div class="muted">→ {_with_code(one.hint)}</div>'
        wide = f'</td></tr><tr><td class="wrap" colspan="5"><div style="margin-left:2em">{why}</div>'
        return (name, markup.state("failed", "does not answer"), "", "", wide)
    answered = markup.titled(f"in {seconds(one.seconds)}", f"{one.seconds * 1000:.0f} ms")
    title = f'{markup.state("done", one.engine.title)}<div class="muted">{answered}</div>'
    return (name, title, markup.text(one.engine.platform), str(one.images), markup.text(_containers(one)))


def _with_code(hint: str) -> str:
    """What stands in backticks is code."""
    return "".join(markup.code(part) if index % 2 else markup.text(part) for index, part in enumerate(hint.split("`")))


def _containers(one: Listed) -> str:
    return f"{one.containers}, {one.running} running" if one.containers else "0"


def _count(listed: Sequence[Listed]) -> str:
    return f"{sum(one.engine is not None for one in listed)} of {len(listed)} answer{'s' if len(listed) == 1 else ''}"
