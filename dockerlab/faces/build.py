"""The faces of a build: a row an instruction, with its state, its time, its bar and, on demand, what it printed.

    app:latest   4 of 6 steps   2 cached   2.4 s                      the head, which says what a user wants to know
    1  FROM python:3.10       base    ◇ cached
    4  RUN pip install flask  layer   ◐ running  2.4 s  ▓▓▓▓░░

The progress is what is seen first; under it, in drawers, the graph, the timeline and why steps ran. What the builder's linter says of
a line stands beneath that line. The text face holds what is the same on every run and engine: line, instruction, effect, and whether it
failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dockerlab.faces import graph as graphs
from dockerlab.faces import markup, reasons
from dockerlab.faces.hiding import hide_in_instruction
from dockerlab.faces.human import plain, seconds, shorten, size
from dockerlab.faces.picture import picture, said, state_of, warning, warnings

if TYPE_CHECKING:
    from dockerlab.builds.graph import Graph
    from dockerlab.builds.record import Build, Step
    from dockerlab.pipelines.model import Row
    from dockerlab.wire.trace import Lint

_RUNNING_LINES = 8
_KEPT_LINES = 60
_WIDTH = 72
_TIMED = ("done", "running", "failed")
_OUTCOMES = {"failed": "failed", "interrupted": "interrupted"}


def text(build: Build) -> str:
    """Stable: no times, ids, states of the cache."""
    rows = [(str(step.line or ""), shorten(hide_in_instruction(step.text), _WIDTH), _mark(step)) for step in _in_dockerfile(build)]
    head = f"build {name(build)}" + (f": {_OUTCOMES[build.outcome]}" if build.outcome in _OUTCOMES else "")
    return "\n".join([head, markup.columns(rows, gap=2)]).rstrip()


def table(build: Build) -> str:
    """Everything: states, times and warnings too."""
    rows = []
    for step in build.steps:
        state, word = state_of(step, build)
        time = seconds(step.seconds(build.moment)) if step.state in _TIMED else ""
        rows.append(
            (
                str(step.line or ""),
                shorten(hide_in_instruction(step.text), _WIDTH),
                step.effect,
                f"{markup.STATES[state][0]} {word}",
                time,
            )
        )
    lines = [f"{name(build)}   {facts(build)}"]
    for step, row in zip(build.steps, markup.columns(rows, gap=2).splitlines(), strict=True):
        lines += [row, *(f"    ⚠ {words}" for words in map(said, warnings(step, build)))]
    lines += [f"⚠ {words}" for words in map(said, elsewhere(build))]
    return "\n".join(lines).rstrip()


def facts(build: Build, gap: str = "   ") -> str:
    """What the head says beside the name: `4 of 6 steps   2 cached   2.4 s`."""
    steps = _in_dockerfile(build)
    done = sum(step.state in ("done", "cached") for step in steps)
    cached = sum(step.state == "cached" for step in steps)
    running = next((step for step in build.steps if step.state == "running"), None)
    parts = [f"{done} of {len(steps)} steps", f"{cached} cached" if cached else "", seconds(build.seconds)]
    if build.outcome == "running":
        parts.append(f"running: {shorten(hide_in_instruction(running.text), 40)}" if running else "sending the build context")
    parts.append(_OUTCOMES.get(build.outcome, ""))
    return gap.join(part for part in parts if part)


def html(build: Build, graph: Graph | None = None, drawn: str | None = None) -> str:
    """The static HTML: also what the live display shows at each moment. graph, drawn: what is to be seen of the graph, if anything.

    While it runs, the graph's picture stands open: a page that is drawn anew ten times a second closes what was opened.
    """
    head = markup.head(markup.text(name(build)), markup.volatile(markup.text(facts(build, " · "))))
    return markup.page(head, picture(build.pipeline), below(build, graph, drawn))


def live_html(build: Build, graph: Graph | None = None, drawn: str | None = None) -> str:
    """What a live view shows while it runs: a click on an instruction opens what it prints.

    All of it is in the markup, and in logs by the names of the vertexes: a kernel that builds answers nothing else.
    """
    head = markup.head(markup.text(name(build)), markup.text(facts(build, " · ")))
    drawers = "".join(_drawer(row) for row in build.pipeline.rows)
    opened = f'<div data-drawers="" data-key="drawers"></div>{drawers}'
    return markup.page(head, picture(build.pipeline, is_live=True), opened, below(build, graph, drawn))


def _drawer(row: Row) -> str:
    step = row.step
    inside = '<div class="muted">It waits for those before it.</div>'
    if step is not None and step.vertex.started is not None:
        log = markup.text(step.vertex.digest)
        word = "It has printed nothing yet." if step.state == "running" else "It printed nothing."
        inside = (
            f'<div><input type="search" placeholder="search" aria-label="search what it printed" data-log-search="{log}"> '
            f'<button data-log-pause="{log}">pause</button></div><pre tabindex="0" data-log="{log}">{word}</pre>'
        )
    code = f'<div class="muted">{markup.code(plain(hide_in_instruction(row.text)))}</div>'
    return f'<template data-for="row:{markup.text(row.key)}">{code}{inside}</template>'


def below(build: Build, graph: Graph | None = None, drawn: str | None = None) -> str:
    """What stands under the picture: what the running step prints; graph, timeline, why it ran, logs."""
    words = "".join(f'<div class="muted">{warning(lint)}</div>' for lint in elsewhere(build))
    return markup.volatile(words + _running(build)) + markup.volatile(_graph(build, graph, drawn) + _logs(build))


def _graph(build: Build, graph: Graph | None, drawn: str | None) -> str:
    drawers = {"why it ran": reasons.html(build)} if build.reasons else {}
    if graph is not None:
        shown = graphs.picture_html(graph, drawn)
        if build.outcome == "running":
            return graphs.STYLE + shown
        drawers = {"graph": shown, "timeline": graphs.timeline_html(graph), **drawers}
    if not drawers:
        return ""
    # The group's name differs from page to page: only drawers of the same group close each other.
    return graphs.views(drawers, f"dockerlab-{build.started:.6f}")


def name(build: Build) -> str:
    return ", ".join(build.tags) or "image without a tag"


def _in_dockerfile(build: Build) -> Sequence[Step]:
    # What an engine adds of its own (a --label as a step) differs between engines.
    return [step for step in build.steps if step.line is not None]


def _mark(step: Step) -> str:
    return f"{step.effect}  ✕ failed" if step.state == "failed" else step.effect


def elsewhere(build: Build) -> list[Lint]:
    """Warnings that speak of no instruction."""
    shown = {lint for step in build.steps for lint in warnings(step, build)}
    return [lint for lint in build.warnings if lint not in shown]


def _running(build: Build) -> str:
    """What the running step pulls and prints, while it does."""
    step = next((step for step in build.steps if step.state == "running"), None)
    if step is None or build.outcome != "running":
        return ""
    pulls = [(markup.code(s.id), markup.text(s.name), markup.bar(s.current / s.total), _bytes(s.current, s.total))
             for s in step.statuses if s.completed is None and s.total]  # fmt: skip
    parts = [markup.table(("layer", "", "", ""), pulls)] if pulls else []
    if step.output:
        name = markup.text(step.vertex.digest)
        parts.append(
            f'<pre tabindex="0" data-log="{name}" data-key="log-{name}">{markup.text(chr(10).join(step.output[-_RUNNING_LINES:]))}</pre>'
        )
    return "".join(parts)


def _bytes(current: int, total: int) -> str:
    return f"{size(current)} of {size(total)}"


def _logs(build: Build) -> str:
    """What each step printed, folded; the failed one's open. The whole is on the record."""
    if build.outcome == "running":
        return ""
    parts = []
    for step in build.steps:
        if not step.output:
            continue
        hidden = len(step.output) - _KEPT_LINES
        kept = "\n".join(step.output[-_KEPT_LINES:])
        note = f"… {hidden:,} earlier lines: image.build.log\n" if hidden > 0 else ""
        label = f"line {step.line}" if step.line else "step"
        text = markup.text(shorten(hide_in_instruction(step.text), 60))
        count = f"{len(step.output):,} line{'s' if len(step.output) != 1 else ''} of output"
        parts.append(
            f"<details{' open' if step.state == 'failed' else ''}><summary>{label}: {text} "
            f'<span class="muted">{count}</span></summary><pre>{markup.text(note + kept)}</pre></details>'
        )
    return "".join(parts)
