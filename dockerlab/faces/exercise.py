"""The faces of an exercise: its task, each check done or missing, hints; the list of a course's. All of it is the same on every engine.

exercise two-greetings: 1 of 2
Start two containers of the image greeter that greet with different words.
✓ two containers of greeter run
○ their greetings differ
  both greet with 'Hi': they should differ
A hint: %exercise two-greetings --hint
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dockerlab.faces import human, markup

_MARKS = {True: ("done", "✓", "done"), False: ("waiting", "○", "missing")}
_NONE_LEFT = "There is no further hint."
_STYLE = """<style>
.dockerlab .task{margin:0 0 6px;max-width:46em}
.dockerlab .framed{border-left:3px solid var(--edge);padding-left:12px;margin:2px 0}
.dockerlab .framed.solved{border-color:var(--s-done)}
.dockerlab.dockerlab.dockerlab table.checks td{white-space:normal;line-height:1.5}
.dockerlab.dockerlab.dockerlab table.checks td:first-child{white-space:nowrap}
.dockerlab .score{margin:0 4px 0 8px}
</style>"""


@dataclass(frozen=True)
class Finding:
    """A check that was made. wants: what is to be. missing: what is not so yet, None where it holds. waits: whether for another check."""

    wants: str
    missing: str | None = None
    waits: bool = False

    @property
    def holds(self) -> bool:
        return self.missing is None


def score(findings: Sequence[Finding]) -> str:
    """`solved`, or `1 of 2 done`."""
    done = sum(finding.holds for finding in findings)
    return "solved" if done == len(findings) else f"{done} of {len(findings)} done"


def lines(finding: Finding) -> list[str]:
    """A check as text: its mark and what it wants; below, what is missing."""
    _, mark, _ = _MARKS[finding.holds]
    return [f"{mark} {_plain(finding.wants)}", *([f"  {_plain(finding.missing)}"] if finding.missing else [])]


def text(name: str, title: str, task: str, findings: Sequence[Finding], has_hints: bool) -> str:
    """See above."""
    rows = [line for finding in findings for line in lines(finding)]
    hint = [f"A hint: {_command(name)}"] if has_hints and score(findings) != "solved" else []
    return "\n".join([f"exercise {name}: {score(findings)}", _plain(task), *rows, *hint])


def html(name: str, title: str, task: str, findings: Sequence[Finding], has_hints: bool) -> str:
    """The same as a table, below a bar that shows how much is done."""
    done = sum(finding.holds for finding in findings)
    is_solved = done == len(findings)
    said = markup.text(score(findings))
    state = f'<span class="done">✓ {said}</span>' if is_solved else f'<span class="muted">{said}</span>'
    bar = f'<span class="{"done" if is_solved else "running"}">{markup.bar(done / len(findings))}</span>'
    head = f'<div class="head">{_coded(title)} <span class="score">{bar}</span> {state}</div>'
    rows = "".join(f"<tr><td>{_mark(finding)}</td><td>{_row(finding)}</td></tr>" for finding in findings)
    hint = f'<div class="muted">A hint: {markup.code(_command(name))}</div>' if has_hints and not is_solved else ""
    table = f'<table class="checks"><tbody>{rows}</tbody></table>'
    return _framed("solved" if is_solved else "", head, _task(task), table, hint)


def task_text(name: str, title: str, task: str) -> str:
    """An exercise that nobody has looked at."""
    return f"exercise {name}: {_plain(title)}\n{_plain(task)}"


def task_html(name: str, title: str, task: str) -> str:
    """See `task_text`."""
    return _framed("", markup.head(_coded(title), markup.code(f"%exercise {name}")), _task(task))


def hint_text(name: str, number: int, count: int, said: str) -> str:
    """A hint; said: "" where there is none left."""
    if not said:
        return f"exercise {name}: {_none(count)}"
    return "\n".join([f"exercise {name}, hint {number} of {count}", _plain(said), *([_NONE_LEFT] if number == count else [])])


def hint_html(name: str, number: int, count: int, said: str) -> str:
    """See `hint_text`."""
    if not said:
        return _framed("", f'<div class="muted">{markup.text(_none(count))}</div>')
    after = _NONE_LEFT if number == count else f"One more: {markup.code(_command(name))}"
    head = markup.head(f"Hint {number} of {count}", markup.code(name))
    return _framed("", head, _task(said), f'<div class="muted">{after}</div>')


def course_text(rows: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> str:
    """rows: the exercises of each notebook, by name and title."""
    found = []
    for notebook, exercises in rows:
        found.append(notebook or "your own")
        found += [f"  {line}" for line in markup.columns([(name, _plain(title)) for name, title in exercises]).splitlines()]
    return "\n".join(found) or "There are no exercises."


def course_html(rows: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> str:
    """As a table."""
    cells = [
        (markup.text(notebook or "your own") if not place else "", markup.code(f"%exercise {name}"), _coded(title))
        for notebook, exercises in rows
        for place, (name, title) in enumerate(exercises)
    ]
    return markup.page(_STYLE, markup.head("The exercises"), markup.table(("notebook", "exercise", ""), cells, wrap=(2,)))


def _command(name: str) -> str:
    return f"%exercise {name} --hint"


def _none(count: int) -> str:
    return "There is no further hint: you have seen them all." if count else "There is no hint."


def _mark(finding: Finding) -> str:
    kind, mark, word = _MARKS[finding.holds]
    return f'<span class="{kind}">{mark} {word}</span>'


def _row(finding: Finding) -> str:
    kind = "muted" if finding.waits else "running"
    return _coded(finding.wants) + (f'<div class="{kind}">{_coded(finding.missing)}</div>' if finding.missing else "")


def _framed(kind: str, *parts: str) -> str:
    return markup.page(_STYLE, f'<div class="{f"framed {kind}".strip()}">', *parts, "</div>")


def _task(said: str) -> str:
    return f'<div class="task">{_coded(said)}</div>'


def _plain(said: str) -> str:
    """As it may stand in a terminal."""
    return human.plain(said)


def _coded(said: str) -> str:
    """As markup, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", markup.text(human.plain(said))).replace("\n", "<br>")
