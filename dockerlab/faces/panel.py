"""The faces of a container's panel: text; static HTML; and the live markup, which has the same parts and, with them, buttons and a log
that arrives line by line. Pure.

All that comes from the container or its image is escaped. Lists are bounded, and say what is left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from dockerlab.errors import printable
from dockerlab.faces import ansi, human, markup
from dockerlab.faces import container as cards
from dockerlab.faces import plot as plots
from dockerlab.faces.plot import Line, Plot

if TYPE_CHECKING:
    from dockerlab.containers.panel import Panel
    from dockerlab.containers.processes import Process
    from dockerlab.containers.sampling import Counter

T = TypeVar("T")

LOG: Final = "container"  # the name of the log in a live view
_MOST: Final = 200  # rows of a list
_SAID_LINES: Final = 20  # of the log in text
_MARKS: Final = {"changed": ("running", "~"), "added": ("done", "+"), "deleted": ("failed", "-")}
_CSS: Final = """
@ .facts{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:1px 14px;margin:0 0 6px;padding:0}
@ .facts dt{color:var(--jp-content-font-color2,#5b6069);font-weight:400;margin:0;padding:0;float:none;width:auto}
@ .facts dd{margin:0;padding:0;overflow-wrap:anywhere;float:none;width:auto}
@ .bar-of-buttons{display:flex;flex-wrap:wrap;gap:6px;margin:0 0 8px;align-items:center}
@ .bar-of-buttons .gap{flex:1}
@ .log{max-height:17em;min-height:3em;margin:4px 0 8px;overflow:auto}
@ .log.ended{display:flex;flex-direction:column-reverse;min-height:0}
@ .titled{display:flex;gap:8px;align-items:center;margin-top:2px}@ .titled .gap{flex:1}
@ button.grave{color:var(--s-failed)}
@ input[type=search]{width:180px}
@ .note{border-left:3px solid var(--s-running);padding:2px 8px;margin:4px 0}
@ .tree{white-space:pre;color:var(--jp-content-font-color2,#5b6069)}
@ details{margin:1px 0}@ details>div,@ details>table{margin:2px 0 6px 18px}
"""
_STYLE: Final = f"<style>{(_CSS + plots.CSS + ansi.css()).strip().replace('@', '.dockerlab.dockerlab.dockerlab')}</style>"


# text


def text(panel: Panel) -> str:
    """Stable: the name, the image, the state."""
    return cards.text(panel.facts)


def table(panel: Panel) -> str:
    """All of it."""
    facts = panel.facts
    name = facts.name or facts.engine_name
    lines = [f"container {name} ({facts.image}): {_state_words(panel)}", *([f"⚠ {panel.note}"] if panel.note else [])]
    rows = [(what, printable(how)) for what, how in _told(panel)]
    if facts.ports:
        rows.insert(2, ("ports", ", ".join(p.shown for p in facts.ports)))
    lines += markup.columns(rows, gap=2).splitlines()
    lines += ["", *(plot.said() for plot in _plots(panel)), *_processes_in_words(panel)]
    sections: list[tuple[str, list[str]]] = [
        (
            "processes",
            [f"{p.pid:>7}  {p.user:<10} {_lead(p)}{human.shorten(printable(p.command), 90)}" for p in panel.processes or ()],
        ),
        ("files changed", [f"{_MARKS[c.kind][1]} {printable(c.path)}" for c in panel.changes or ()]),
        ("environment", [f"{v.name}={human.shorten(printable(v.value), 100)}" for v in panel.environment]),
        ("mounts", [f"{m.kind} {printable(m.source)} → {m.target}{'' if m.is_writable else ' (read-only)'}" for m in panel.mounts]),
        ("log", [printable(line) for line in ansi.text(panel.log[-_SAID_LINES:]).splitlines()]),
    ]
    for title, said in sections:
        if said:
            shown, more = _some(said)
            lines += ["", f"{title}:", *(f"  {line}" for line in shown), *([f"  … {more:,} more"] if more else [])]
    return "\n".join(lines)


def _state_words(panel: Panel) -> str:
    facts = panel.facts
    return ", ".join(word for word in (facts.word, facts.health, _span(panel)) if word)


def _span(panel: Panel) -> str:
    """How long it has been running, or ran."""
    if panel.started is None:
        return ""
    if panel.is_running:
        return f"up {human.seconds(max(panel.at - panel.started, 0))}"
    return f"ran {human.seconds(max(panel.finished - panel.started, 0))}" if panel.finished else ""


def _told(panel: Panel) -> list[tuple[str, str]]:
    facts = panel.facts
    found = [("image", facts.image or "(without a name)"), ("command", facts.command), *panel.settings]
    return [*found, ("id", human.short_id(facts.id))]


# HTML


def html(panel: Panel) -> str:
    """Static: as it was at a moment, which it names."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(panel.at))
    return markup.page(
        _head(panel),
        markup.volatile(_STYLE + _note(panel) + _facts(panel, f"as of {at}") + _figures(panel) + _log(panel) + _lists(panel)),
    )


def drawer(panel: Panel) -> str:
    """A look at one in a drawer of another view: its state, its settings, the last of its log. A part of a page."""
    at = time.strftime("%H:%M:%S", time.localtime(panel.at))
    more = markup.code(f"%container show {panel.facts.name or panel.facts.engine_name}")
    follow = f'<div class="muted">As of {at}; {more} follows it, with what it uses, its processes, its files and its buttons.</div>'
    return _STYLE + _head(panel) + _facts(panel) + _lists(panel) + _log(panel) + follow


def live(panel: Panel) -> str:
    """While it is watched: with buttons, and a log that follows."""
    search = f'<input type="search" data-log-search="{LOG}" placeholder="search" aria-label="search the log">'
    pause = f'<button type="button" data-log-pause="{LOG}">Hold</button>'
    title = f'<div class="titled"><b>log</b><span class="gap"></span>{search}{pause}</div>'
    log = f'<pre class="log" data-log="{LOG}" data-key="log" tabindex="0" role="region" aria-label="log"></pre>'
    parts = (_head(panel, live=True), _buttons(panel), _note(panel), _facts(panel), _figures(panel), title, log, _lists(panel))
    return markup.page(_STYLE, *parts)


def _log(panel: Panel) -> str:
    """The last of it, its end in sight."""
    if not panel.log:
        return '<div><b>log</b></div><div class="muted">It has printed nothing.</div>'
    lines = "\n".join(ansi.html(line) for line in panel.log)
    shown = f'<pre class="log ended" tabindex="0" role="region" aria-label="log"><span>{lines}</span></pre>'
    return f"<div><b>log</b></div>{shown}"


def _head(panel: Panel, *, live: bool = False) -> str:
    facts = panel.facts
    name = f"<b>{markup.text(facts.name)}</b>" if facts.name else markup.volatile(f"<b>{markup.text(facts.engine_name)}</b>")
    state = f"<span{' aria-live=polite' if live else ''}>{cards.state(facts)}</span>"
    ports = " ".join(cards.link(port) for port in facts.ports)
    more = "".join(f" · {part}" for part in (markup.text(_span(panel)), ports) if part)
    image = f'<span class="muted">{markup.text(facts.image)}</span>'
    return markup.head(f"{state} {name} {image}", markup.volatile(more))


def _buttons(panel: Panel) -> str:
    name, state = panel.facts.name or panel.facts.engine_name, panel.facts.state
    shown = {
        "running": ("stop", "restart", "pause", "kill"),
        "paused": ("unpause", "stop", "kill"),
        "restarting": ("stop", "kill"),
        "removed": (),
        "removing": (),
    }.get(state, ("start",))
    parts = [f'<button type="button" data-action="{verb}" data-key="{verb}">{verb.capitalize()}</button>' for verb in shown]
    if state not in ("removed", "removing"):
        runs = ", which is running" if panel.is_running else ""
        question = markup.text(f"Remove container {name}{runs}?")
        parts.append(
            f'<button type="button" class="grave" data-action="remove" data-key="remove" data-confirm="{question}">Remove</button>'
        )
    parts.append('<span class="gap"></span>')
    told = "Ends the live view: what is shown now stays"
    parts.append(f'<button type="button" data-action="freeze" data-key="freeze" title="{told}">Freeze</button>')
    return f'<div class="bar-of-buttons" role="group" aria-label="container">{"".join(parts)}</div>'


def _note(panel: Panel) -> str:
    return f'<div class="note" data-key="note">{cards.instruction(panel.note)}</div>' if panel.note else ""


def _facts(panel: Panel, at: str = "") -> str:
    parts = []
    for what, how in _told(panel):
        if what == "id":
            full = markup.text(panel.facts.id)
            shown = f'<code title="{full}">{markup.text(how)}</code>'
            if at:
                shown += f' <span class="muted">{markup.text(at)}</span>'
            else:
                shown = f'<button type="button" data-copy="{full}" title="Copies the whole id">{shown}</button>'
        else:
            shown = markup.code(human.shorten(how, 400)) if what == "command" else markup.text(how)
        parts.append(f"<dt>{markup.text(what)}</dt><dd>{shown}</dd>")
    return f'<dl class="facts">{"".join(parts)}</dl>'


def _figures(panel: Panel) -> str:
    """The plots, side by side, over the same time; where it does not run and nothing was measured, nothing."""
    if not panel.samples and not panel.is_running:
        return ""
    times = [sample.at for sample in panel.samples]
    begins, ends = (min(times), max(times)) if times else (panel.at, panel.at)
    figures = "".join(plot.html(begins, ends) for plot in _plots(panel))
    words = " · ".join(_processes_in_words(panel))
    return f'<div class="plots">{figures}</div>' + (f'<div class="muted">{markup.text(words)}</div>' if words else "")


def _plots(panel: Panel) -> list[Plot]:
    limits, samples = panel.limits, panel.samples
    last = samples[-1] if samples else None
    waits = "Waiting for the first sample …" if panel.is_running and not samples else "Nothing was measured."
    network = {"host": "It uses the host's network, which is not counted by container.", "none": "It has no network."}
    uncounted = waits if not samples else "The engine does not count its network here."
    now_cpu = f"{last.cpu:.1f} %" if last and last.cpu is not None else ""
    now_memory = human.size(last.memory) if last and last.memory is not None else ""
    cpus = limits.cpus
    machine = f"{limits.processors} processors" if limits.processors else ""
    return [
        Plot(
            "CPU",
            (Line("", [(s.at, s.cpu) for s in samples], now_cpu),),
            _percent,
            least=10.0,
            limit=100 * cpus if cpus and "cpus" not in limits.unenforced else None,
            limit_said=_limit(_percent(100 * cpus) if cpus else "", machine, held="cpus" not in limits.unenforced),
            missing=waits if not samples else "The engine does not measure processor time here.",
        ),
        Plot(
            "memory",
            (Line("", [(s.at, None if s.memory is None else float(s.memory)) for s in samples], now_memory),),
            _bytes,
            least=1e6,
            limit=float(limits.memory) if limits.memory and "memory" not in limits.unenforced else None,
            limit_said=_limit(
                human.size(limits.memory) if limits.memory else "",
                f"{human.size(limits.machine_memory)} here" if limits.machine_memory else "",
                held="memory" not in limits.unenforced,
            ),
            missing=waits if not samples else "The engine does not measure memory here.",
        ),
        Plot(
            "network",
            (_rate_line(panel, "in", "received"), _rate_line(panel, "out", "sent")),
            _rate,
            least=1e3,
            limit_said=_totals(panel, "received", "sent", where="by published ports" if panel.counts_published else "in all"),
            missing=network.get(panel.network, uncounted),
        ),
        Plot(
            "block I/O",
            (_rate_line(panel, "read", "read"), _rate_line(panel, "written", "written")),
            _rate,
            least=1e3,
            limit_said=_totals(panel, "read", "written"),
            missing=waits if not samples else "The engine tells of none: nothing reached a disk yet, or it is not counted here.",
        ),
    ]


def _limit(limit: str, machine: str, *, held: bool) -> str:
    if not limit:
        return f"no limit ({machine})" if machine else "no limit"
    return f"limit {limit}" if held else f"limit {limit} is not enforced by this engine"


def _rate_line(panel: Panel, name: str, counter: Counter) -> Line:
    points = panel.rates(counter)
    last = points[-1][1] if points else None
    return Line(name, points, "" if last is None else _rate(last))


def _totals(panel: Panel, *counters: Counter, where: str = "in all") -> str:
    """What was moved since it was started."""
    if not panel.samples:
        return ""
    values = [getattr(panel.samples[-1], counter) for counter in counters]
    return " / ".join(human.size(value) for value in values) + f" {where}" if None not in values else ""


def _processes_in_words(panel: Panel) -> list[str]:
    last = panel.samples[-1] if panel.samples else None
    if last is None or last.processes is None or not panel.is_running:
        return []
    limit = panel.limits.processes
    held = "processes" not in panel.limits.unenforced
    said = f" of at most {limit:,}" if limit and held else f" (limit {limit:,} is not enforced)" if limit else ""
    return [f"{last.processes:,} process{'' if last.processes == 1 else 'es'} and threads{said}"]


def _percent(value: float) -> str:
    return f"{value:.1f} %" if value < 10 else f"{value:.0f} %"


def _bytes(value: float) -> str:
    return human.size(round(value))


def _rate(value: float) -> str:
    return f"{human.size(round(value))}/s"


# lists


def _lists(panel: Panel) -> str:
    parts = []
    if panel.health_said:
        parts.append(
            _fold("health check", panel.facts.health, f'<pre tabindex="0">{markup.text(printable(panel.health_said))}</pre>')
        )
    if panel.processes is not None and panel.is_running:
        parts.append(_fold("processes", f"{len(panel.processes):,}", _processes(panel.processes)))
    elif panel.processes_said and panel.is_running:
        parts.append(_fold("processes", "unknown", f'<div class="muted">{markup.text(panel.processes_said)}</div>'))
    if panel.changes is not None:
        # There may be tens of thousands, and this is drawn twice a second.
        rows = [
            (f'<span class="{_MARKS[c.kind][0]}">{_MARKS[c.kind][1]} {c.kind}</span>', markup.code(c.path))
            for c in panel.changes[:_MOST]
        ]
        count = len(panel.changes)
        parts.append(_fold("files that differ from the image", f"{count:,}", _rows(("", "path"), rows, count=count)))
    elif panel.changes_said:
        parts.append(_fold("files", "unknown", f'<div class="muted">{markup.text(panel.changes_said)}</div>'))
    if panel.environment:
        rows = [(markup.code(v.name), markup.code(human.shorten(v.value, 400))) for v in panel.environment]
        parts.append(_fold("environment", f"{len(rows):,}", _rows(("variable", "value"), rows)))
    if panel.mounts:
        mounts = [
            (markup.text(m.kind), markup.code(m.source), markup.code(m.target), "" if m.is_writable else "read-only")
            for m in panel.mounts
        ]
        parts.append(_fold("mounts", f"{len(mounts):,}", _rows(("kind", "source", "in the container", ""), mounts, wrap=(1, 2))))
    return "".join(parts)


def _fold(title: str, count: str, inside: str) -> str:
    return (
        f'<details data-key="{markup.text(title)}"><summary>{markup.text(title)} <span class="muted">{markup.text(count)}</span></summary>'
        f"<div>{inside}</div></details>"
    )


def _rows(columns: Sequence[str], rows: Sequence[Sequence[str]], wrap: Sequence[int] = (1,), count: int | None = None) -> str:
    """count: how many there are, where not all are given."""
    shown, more = _some(rows)
    more = more if count is None else count - len(shown)
    rest = f'<div class="muted">… {more:,} more</div>' if more else ""
    return (markup.table(columns, shown, wrap=wrap) if shown else '<div class="muted">none</div>') + rest


def _processes(found: Sequence[Process]) -> str:
    rows = [
        (
            str(p.pid),
            markup.text(p.user),
            "" if p.cpu is None else f"{p.cpu:.1f} %",
            "" if p.memory is None else markup.text(human.size(p.memory)),
            f'<span class="tree">{_lead(p)}</span>{markup.code(human.shorten(p.command, 200))}',
        )
        for p in found
    ]
    shown, more = _some(rows)
    rest = f'<div class="muted">… {more:,} more</div>' if more else ""
    return markup.table(("pid", "user", "CPU", "memory", "command"), shown, numeric=(0, 2, 3), wrap=(4,)) + rest


def _lead(process: Process) -> str:
    """Where it hangs in the tree."""
    if not process.depth:
        return ""
    return "   " * (min(process.depth, 12) - 1) + ("└─ " if process.is_last else "├─ ")


def _some(rows: Iterable[T]) -> tuple[list[T], int]:
    """The first of them, and how many there are beside."""
    found = list(rows)
    return found[:_MOST], max(len(found) - _MOST, 0)
