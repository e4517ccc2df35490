"""The faces of an engine: what answers, and what it is made of. All of it differs from engine to engine."""

from __future__ import annotations

from collections.abc import Mapping

from dockerlab.faces import markup

TEXT = "an engine answers"


def table(title: str, facts: Mapping[str, str]) -> str:
    """title: the engine's name and version. facts: what it is → its value."""
    return f"{title}\n{markup.columns([(f'  {name}', value) for name, value in facts.items()])}"


def html(title: str, facts: Mapping[str, str]) -> str:
    """Arguments as `table`."""
    rows = "".join(f"<tr><th>{markup.text(name)}</th><td>{markup.text(value)}</td></tr>" for name, value in facts.items())
    return markup.page(
        markup.head(markup.state("done", TEXT), markup.volatile(markup.text(title))),
        markup.volatile(f"<table><tbody>{rows}</tbody></table>"),
    )
