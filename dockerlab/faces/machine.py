"""The faces of a machine: two stacks of layers side by side, containers as they run here and the same programs in virtual machines.

A stack is read from the program at its top down to the hardware. What nobody can tell from here is drawn with a dashed edge, a question
mark and the word unknown. All of it differs from machine to machine; the stable text says only that it was looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dockerlab.faces import markup
from dockerlab.faces.human import plain, shorten

TEXT = "from the hardware to the program"
# kind → its word
KINDS: Final = {
    "program": "program",
    "files": "system's files",
    "container": "container",
    "engine": "engine",
    "outer": "container",
    "kernel": "kernel",
    "vm": "virtual machine",
    "hypervisor": "hypervisor",
    "system": "system",
    "hardware": "hardware",
}
_NAME, _NARROW, _ABOUT = 60, 32, 140
_CSS = """
@ .stacks{display:flex;flex-wrap:wrap;gap:14px 24px;margin:6px 0}
@ .stacks>section{flex:1 1 340px;min-width:0}
@ .stacks ol{list-style:none;margin:4px 0;padding:0}
@ .stacks li{display:grid;grid-template-columns:6.5em minmax(0,1fr);gap:8px;margin:0 0 4px;padding:0;align-items:stretch}
@ .stacks .kind{color:var(--jp-content-font-color2,#5b6069);text-align:right;padding-top:4px}
@ .stacks .boxes{display:flex;gap:6px;min-width:0}
@ .stacks .box{flex:1 1 0;min-width:0;border:1px solid var(--s-stopped);border-radius:4px;padding:3px 8px;background:var(--soft);
overflow-wrap:anywhere}
@ .stacks .box>b{display:block;font-weight:600}
@ .stacks .box>.muted{color:inherit}
@ .stacks .kernel .box{border:2px solid var(--s-cached);padding:2px 7px}
@ .stacks .program .box{border-color:var(--s-done)}
@ .stacks .outer .box,@ .stacks .container .box{border-radius:10px}
@ .stacks .box.unknown{border-style:dashed;background:none}
"""
STYLE: Final = f"<style>{_CSS.strip().replace('@', '.dockerlab.dockerlab.dockerlab')}</style>"


@dataclass(frozen=True)
class Box:
    """name: what it is. about: what else is known of it. is_known: whether it is known what it is, or that it is there at all."""

    name: str
    about: str = ""
    is_known: bool = True


@dataclass(frozen=True)
class Layer:
    """kind: one of `KINDS`. boxes: side by side on one layer."""

    kind: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Stack:
    """title: what stands on it. layers: the program's first, the hardware last. notes: sentences about it."""

    title: str
    layers: tuple[Layer, ...]
    notes: tuple[str, ...] = ()


def table(what: str, stacks: Sequence[Stack]) -> str:
    """The stacks, one below the other. what: in one line, where containers run."""
    lines = [what]
    for stack in stacks:
        rows = [
            (f"  {KINDS[layer.kind] if not index else ''}", _line(box))
            for layer in stack.layers
            for index, box in enumerate(layer.boxes)
        ]
        lines += ["", stack.title, markup.columns(rows), *(f"  {_clean(note)}" for note in stack.notes)]
    return "\n".join(lines)


def html(what: str, stacks: Sequence[Stack]) -> str:
    """Arguments as `table`. The stacks stand side by side where there is room."""
    drawn = "".join(map(_stack, stacks))
    return STYLE + markup.page(
        markup.head(markup.state("done", TEXT), markup.volatile(markup.text(what))),
        markup.volatile(f'<div class="stacks">{drawn}</div>'),
    )


def chain(stack: Stack) -> str:
    """A stack in one line, from its foot to its top: `hardware (Apple M3) → … → program (flask run)`."""
    links = []
    for layer in reversed(stack.layers):
        names = ", ".join(shorten(_clean(_name(box)), _NARROW) for box in layer.boxes)
        links.append(f"{KINDS[layer.kind]} ({names})")
    return " → ".join(links)


def example_text(title: str) -> str:
    return f"an example, not this machine: {title}"


def example_html(stack: Stack) -> str:
    """A stack that is made up, which is the same everywhere."""
    said = '<span class="muted">an example, not this machine</span>'
    return STYLE + markup.page(said, f'<div class="stacks">{_stack(stack)}</div>')


def _stack(stack: Stack) -> str:
    title = markup.text(stack.title)
    layers = "".join(
        f'<li class="{layer.kind}"><span class="kind">{markup.text(KINDS[layer.kind])}</span>'
        f'<span class="boxes">{"".join(_box(box, _NAME if len(layer.boxes) == 1 else _NARROW) for box in layer.boxes)}</span></li>'
        for layer in stack.layers
    )
    notes = "".join(f'<div class="muted">{markup.text(_clean(note))}</div>' for note in stack.notes)
    label = f"{title}, from the program down to the hardware"
    return f'<section><div class="head">{title}</div><ol aria-label="{label}">{layers}</ol>{notes}</section>'


def _box(box: Box, width: int) -> str:
    whole, about = _clean(_name(box)), _clean(box.about)
    name = f'<b title="{markup.text(shorten(whole, _ABOUT))}">{markup.text(shorten(whole, width))}</b>'
    said = f'<span class="muted" title="{markup.text(about)}">{markup.text(shorten(about, _ABOUT))}</span>' if about else ""
    # A space, for a page that throws styles away.
    return f'<span class="box{"" if box.is_known else " unknown"}">{name} {said}</span>'


def _line(box: Box) -> str:
    return " · ".join(filter(None, (shorten(_clean(_name(box)), _NAME), shorten(_clean(box.about), _ABOUT))))


def _name(box: Box) -> str:
    if box.is_known:
        return box.name
    return f"? {box.name}: unknown" if box.name else "? unknown"


def _clean(said: str) -> str:
    """As one line of plain text: much of it is said by others."""
    return " ".join(plain(said).split())
