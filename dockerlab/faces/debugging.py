"""The face of a container in which a failed step is tried by hand. Pure.

The text is the same on every run and engine; the command for a terminal names this machine's engine and is marked as volatile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dockerlab.errors import printable
from dockerlab.faces import human, markup
from dockerlab.faces.container import Facts, instruction


@dataclass(frozen=True, slots=True)
class Guide:
    """line, step: the instruction that failed, on one line. cell: what to run by hand, a notebook's cell; "" where there is none.

    terminal: the command that opens a shell from a terminal, "" where the image has none. notes: sentences, `…` marks code.
    remark: another one, which may differ from run to run, or "".
    """

    line: int
    step: str
    cell: str
    terminal: str
    notes: tuple[str, ...] = ()
    remark: str = ""


def text(facts: Facts, guide: Guide) -> str:
    return printable("\n".join([_head(facts, guide), *guide.notes]))


def table(facts: Facts, guide: Guide) -> str:
    """All of it as text."""
    parts = [_head(facts, guide)]
    if guide.cell:
        parts += ["", "By hand, in a cell:", *_indented(guide.cell)]
    if guide.terminal:
        parts += ["", "In a terminal:", *_indented(guide.terminal)]
    notes = [*guide.notes, *([guide.remark] if guide.remark else [])]
    return printable("\n".join([*parts, *(["", *notes] if notes else [])]))


def html(facts: Facts, guide: Guide) -> str:
    state = {"running": "done", "exited": "stopped", "removed": "stopped"}.get(facts.state, "waiting")
    head = f"{markup.state(state, facts.word)} container {markup.text(facts.engine_name)}"
    parts = [markup.head(head, f"the state before line {guide.line}: {markup.code(human.shorten(guide.step, 100))}")]
    if guide.cell:
        parts.append(f"<div>By hand, in a cell:</div><pre>{markup.text(printable(guide.cell))}</pre>")
    if guide.terminal:
        parts.append(f"<div>In a terminal:</div>{markup.volatile(f'<pre>{markup.text(guide.terminal)}</pre>')}")
    parts += [f'<div class="muted">{instruction(note)}</div>' for note in guide.notes]
    if guide.remark:
        parts.append(markup.volatile(f'<div class="muted">{instruction(guide.remark)}</div>'))
    return markup.page(*parts)


def _head(facts: Facts, guide: Guide) -> str:
    return f"container {facts.engine_name}: {facts.word}; the state before line {guide.line}: {human.shorten(guide.step, 100)}"


def _indented(lines: str) -> Sequence[str]:
    return [f"  {line}" for line in lines.rstrip("\n").split("\n")]
