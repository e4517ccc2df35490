"""The faces of a build: a row an instruction, with its state, its time, its bar and, on demand, what it printed.

    app:latest   4 of 6 steps   2 cached   2.4 s                      the head, which says what a user wants to know
    1  FROM python:3.10       base    ◇ cached
    4  RUN pip install flask  layer   ◐ running  2.4 s  ▓▓▓▓░░

The progress is what is seen first; under it, in drawers, the graph, the timeline and why steps ran. What the builder's linter says of
a line stands beneath that line. The text face holds what is the same on every run and engine: line, instruction, effect, and whether it
failed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dockerlab.faces import graph as graphs
from dockerlab.faces import markup, reasons
from dockerlab.faces.human import plain, seconds, shorten, size

if TYPE_CHECKING:
    from dockerlab.builds.graph import Graph
    from dockerlab.builds.record import Build, Step
    from dockerlab.wire.trace import Lint

_RUNNING_LINES = 8
_KEPT_LINES = 60
_WIDTH = 72
_COLUMNS = 6
_TIMED = ("done", "running", "failed")
_PLACE = re.compile(r" \(lines? [\d, -]+\)$")
_OUTCOMES = {"failed": "failed", "interrupted": "interrupted"}


def text(build: Build) -> str:
    """Stable: no times, ids, states of the cache."""
    rows = [(str(step.line or ""), shorten(step.text, _WIDTH), _mark(step)) for step in _in_dockerfile(build)]
    head = f"build {_name(build)}" + (f": {_OUTCOMES[build.outcome]}" if build.outcome in _OUTCOMES else "")
    return "\n".join([head, markup.columns(rows, gap=2)]).rstrip()


def table(build: Build) -> str:
    """Everything: states, times and warnings too."""
    rows = []
    for step in build.steps:
        state, word = _state(step, build)
        time = seconds(step.seconds(build.moment)) if step.state in _TIMED else ""
        rows.append((str(step.line or ""), shorten(step.text, _WIDTH), step.effect, f"{markup.STATES[state][0]} {word}", time))
    lines = [f"{_name(build)}   {facts(build)}"]
    for step, row in zip(build.steps, markup.columns(rows, gap=2).splitlines(), strict=True):
        lines += [row, *(f"    ⚠ {said}" for said in map(_said, _warnings(step, build)))]
    lines += [f"⚠ {said}" for said in map(_said, _elsewhere(build))]
    return "\n".join(lines).rstrip()


def facts(build: Build, gap: str = "   ") -> str:
    """What the head says beside the name: `4 of 6 steps   2 cached   2.4 s`."""
    steps = _in_dockerfile(build)
    done = sum(step.state in ("done", "cached") for step in steps)
    cached = sum(step.state == "cached" for step in steps)
    running = next((step for step in build.steps if step.state == "running"), None)
    parts = [f"{done} of {len(steps)} steps", f"{cached} cached" if cached else "", seconds(build.seconds)]
    if build.outcome == "running":
        parts.append(f"running: {shorten(running.text, 40)}" if running else "sending the build context")
    parts.append(_OUTCOMES.get(build.outcome, ""))
    return gap.join(part for part in parts if part)


def html(build: Build, graph: Graph | None = None, picture: str | None = None) -> str:
    """The static HTML: also what the live display shows at each moment. graph, picture: what is to be seen of the graph, if anything.

    While it runs, the picture stands open: a page that is drawn anew ten times a second closes what was opened.
    """
    longest = max((step.seconds(build.moment) for step in build.steps), default=0.0)
    rows = [_row(step, build, longest) for step in build.steps if step.line or step.base_line or build.outcome == "running"]
    view = markup.table(("", "instruction", "adds", "", "time", ""), rows, numeric=(0, 4), wrap=(1,))
    head = markup.head(markup.text(_name(build)), markup.volatile(markup.text(facts(build, " · "))))
    below = "".join(f'<div class="muted">{_warning(lint)}</div>' for lint in _elsewhere(build))
    return markup.page(
        head, view, markup.volatile(below + _running(build)), markup.volatile(_graph(build, graph, picture) + _logs(build))
    )


def _graph(build: Build, graph: Graph | None, picture: str | None) -> str:
    drawers = {"why it ran": reasons.html(build)} if build.reasons else {}
    if graph is not None:
        drawn = graphs.picture_html(graph, picture)
        if build.outcome == "running":
            return graphs.STYLE + drawn
        drawers = {"graph": drawn, "timeline": graphs.timeline_html(graph), **drawers}
    if not drawers:
        return ""
    # The group's name differs from page to page: only drawers of the same group close each other.
    return graphs.views(drawers, f"dockerlab-{build.started:.6f}")


def _name(build: Build) -> str:
    return ", ".join(build.tags) or "image without a tag"


def _in_dockerfile(build: Build) -> Sequence[Step]:
    # What an engine adds of its own (a --label as a step) differs between engines.
    return [step for step in build.steps if step.line is not None]


def _mark(step: Step) -> str:
    return f"{step.effect}  ✕ failed" if step.state == "failed" else step.effect


def _state(step: Step, build: Build) -> tuple[str, str]:
    """A step's state and its word. Once a build is over, nothing waits or runs any more."""
    if build.outcome != "running" and step.state == "waiting":
        return "waiting", "not run"
    if build.outcome != "running" and step.state == "running":
        return "stopped", "interrupted"
    return step.state, markup.STATES[step.state][1]


def _row(step: Step, build: Build, longest: float) -> tuple[str, ...]:
    state, word = _state(step, build)
    shown = markup.state(state, word)
    took = step.seconds(build.moment)
    time = markup.titled(seconds(took), f"{took:.3f} s") if step.state in _TIMED else ""
    share = took / longest if longest > 0.05 and time else 0.0
    scale = f'<span class="{state}"><span class="bar" style="width:{round(100 * share)}px"></span></span>' if share >= 0.01 else ""
    return (
        markup.text(step.line or ""),
        f"<code>{markup.text(step.text)}</code>",
        f'<span class="muted">{step.effect}</span>',
        shown if state == "failed" else markup.volatile(shown),
        markup.volatile(time),
        markup.volatile(scale + "".join(markup.below(_warning(lint), _COLUMNS) for lint in _warnings(step, build))),
    )


def _warnings(step: Step, build: Build) -> list[Lint]:
    """What the linter says of a step's lines."""
    if step.line is None:
        return []
    last = step.end_line or step.line
    return [lint for lint in build.warnings if lint.lines and step.line <= lint.lines[0] <= last]


def _elsewhere(build: Build) -> list[Lint]:
    """Warnings that speak of no instruction."""
    shown = {lint for step in build.steps for lint in _warnings(step, build)}
    return [lint for lint in build.warnings if lint not in shown]


def _said(lint: Lint) -> str:
    return plain(" ".join(_PLACE.sub("", lint.text).split())) + (f"   {plain(lint.url)}" if lint.url else "")


def _warning(lint: Lint) -> str:
    said = f"⚠ {_PLACE.sub('', lint.text)}"
    more = f" {markup.link(lint.url, 'why')}" if lint.url.startswith(("https://", "http://")) else ""
    return f'<span class="muted" title="{markup.text(" ".join(lint.detail))}">{markup.text(said)}</span>{more}'


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
            f'<pre data-log="{name}" data-key="log-{name}">{markup.text(chr(10).join(step.output[-_RUNNING_LINES:]))}</pre>'
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
        count = f"{len(step.output):,} line{'s' if len(step.output) != 1 else ''} of output"
        parts.append(
            f"<details{' open' if step.state == 'failed' else ''}><summary>{label}: {markup.text(shorten(step.text, 60))} "
            f'<span class="muted">{count}</span></summary><pre>{markup.text(note + kept)}</pre></details>'
        )
    return "".join(parts)
