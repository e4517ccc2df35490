"""The faces of an engine: what answers, what it is made of, and what it cannot do. All of it differs from engine to engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dockerlab.faces import markup

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
