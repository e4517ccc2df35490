"""The faces of a build's graph: DOT text, a tree and a timeline as text, and the same as static HTML without a script.

    app:latest   critical path 8.1 s of 8.3 s                             left       RUN make      ▓▓▓▓▓▓▓▓▓           3.1 s
    ── right                                                              right      RUN test      ▓▓▓▓▓▓▓▓▓▓▓▓        4.0 s
    ┃ 7  RUN echo right; sleep 3    ● done   4.0 s                        stage-2    RUN cat /a               ▓▓▓      0.9 s

Top to bottom, as in the Dockerfile: a chain of twenty instructions is no wider than one. A large graph folds before it shrinks: quiet
chains first, then whole stages. The stable text holds what the Dockerfile says: stages, and from which they take.

Text from outside is escaped here, in DOT and in HTML; nodes and clusters have names of our own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from dockerlab.faces import dot as dots
from dockerlab.faces import markup
from dockerlab.faces.human import seconds, shorten

if TYPE_CHECKING:
    from dockerlab.builds.graph import Graph, Vertex

# No stage can be called so.
_SHARED, _AROUND = "shared by several stages", "around it"
_BAR: Final = 40  # characters of the timeline
_UNFOLDED, _FOLDED = 24, 100  # vertexes that are drawn each for itself, and with quiet chains folded
_KEPT: Final = 60  # bars, and 2 lines of the tree for each, that a page holds
_SLOW: Final = 0.5  # seconds from which on what the builder does around the Dockerfile is worth a box
_COLOURS: Final = {
    "waiting": "#6b7078",
    "running": "#b85c00",
    "done": "#00735c",
    "cached": "#2f6db3",
    "failed": "#b3261e",
    "stopped": "#5b6069",
}
_CSS = """
@ .views{display:flex;flex-wrap:wrap;gap:0 18px;margin:6px 0}
@ .views>details{display:contents}
@ .views>details>summary{order:0;font-weight:600;padding:1px 0}
@ .views>details[open]::details-content{display:contents}
@ .views>details>.view{order:1;flex:0 0 100%;margin-top:6px}
@ .lane{display:inline-block;position:relative;width:320px;height:10px;background:var(--soft);border-radius:2px;vertical-align:middle}
@ .lane>.bar{position:absolute;top:1px;min-width:2px}
@ .critical .lane>.bar,@ .lane>.critical{top:0;height:10px}
@ .scale{display:flex;justify-content:space-between;width:320px}
"""
STYLE: Final = dots.STYLE + dots.style(_CSS)


# text


def text(graph: Graph) -> str:
    """Stable: the Dockerfile's stages, and from which each takes."""
    rows = [(stage, f"takes from {', '.join(taken)}" if (taken := graph.takes.get(stage)) else "") for stage in graph.takes]
    return "\n".join([f"graph of build {graph.name}", markup.columns(rows, gap=2)]).rstrip()


def tree(graph: Graph) -> str:
    """All vertexes, by stage, those of the critical path with a thick line beside them."""
    lines = [f"{graph.name}   {_facts(graph)}"]
    for title, vertices in _groups(graph):
        taken = graph.takes.get(title, ()) if title in graph.stages else ()
        lines.append(f"── {dots.line(title)}" + (f"   takes from {', '.join(map(dots.line, taken))}" if taken else ""))
        rows = []
        for vertex in vertices:
            side = "┃" if vertex.is_critical else "│"
            rows.append((f"{side} {vertex.line or ''}", shorten(dots.line(vertex.text), 72), _state(vertex, graph), _time(vertex)))
        lines += markup.columns(rows, gap=2).splitlines()
    return "\n".join(lines)


def _groups(graph: Graph) -> Iterator[tuple[str, list[Vertex]]]:
    """What several stages begin with, the stages, and what the builder does around them; none that is empty."""
    by_stage: dict[str, list[Vertex]] = {_SHARED: [], **{stage: [] for stage in graph.stages}, _AROUND: []}
    for vertex in graph.vertices:
        group = vertex.stage if vertex.stage is not None else _AROUND if vertex.kind == "internal" else _SHARED
        by_stage[group].append(vertex)
    return ((title, vertices) for title, vertices in by_stage.items() if vertices)


def timeline(graph: Graph) -> str:
    """One bar a vertex."""
    bars, whole = _bars(graph)
    if not bars:
        return f"{graph.name}   nothing took time"
    rows = []
    for bar in bars:
        first = min(round(bar.start * _BAR), _BAR - 1)
        length = max(1, round(bar.end * _BAR) - first)
        mark = ("█" if bar.vertex.is_critical else "▓") * length
        label = dots.label(bar.vertex.text)
        rows.append((dots.line(bar.vertex.stage or ""), label, f"{' ' * first}{mark}".ljust(_BAR), _time(bar.vertex)))
    return "\n".join([f"{graph.name}   {seconds(whole)}   █ critical path", markup.columns(rows, gap=2)])


def _facts(graph: Graph) -> str:
    path = sum(vertex.seconds for vertex in graph.critical_path)
    return f"critical path {seconds(path)} of {seconds(_bars(graph)[1])}" if path else "nothing took time"


def _state(vertex: Vertex, graph: Graph) -> str:
    return f"{markup.STATES[vertex.state][0]} {_word(vertex, graph)}"


def _word(vertex: Vertex, graph: Graph) -> str:
    if vertex.state == "waiting" and graph.is_over:
        return "not run"
    return "interrupted" if vertex.state == "stopped" else markup.STATES[vertex.state][1]


def _time(vertex: Vertex) -> str:
    return seconds(vertex.seconds) if vertex.started is not None and vertex.state not in ("waiting", "cached") else ""


# the timeline


@dataclass(frozen=True)
class _Bar:
    """start, end: shares of the whole."""

    vertex: Vertex
    start: float
    end: float


def _bars(graph: Graph) -> tuple[list[_Bar], float]:
    """The vertexes that took time, as they began; and the seconds from the first beginning to the last end."""
    timed = [(v, v.started, v.started + v.seconds) for v in graph.vertices if v.started is not None and v.seconds > 0]
    if not timed:
        return [], 0.0
    first, last = min(start for _, start, _ in timed), max(end for _, _, end in timed)
    timed.sort(key=lambda one: one[1])
    whole = last - first
    return [_Bar(vertex, (start - first) / whole, (end - first) / whole) for vertex, start, end in timed], whole


def timeline_html(graph: Graph) -> str:
    """Bars under a scale of seconds. Its style is `STYLE`."""
    bars, whole = _bars(graph)
    if not bars:
        return '<p class="muted">Nothing took time.</p>'
    note = "Bold: the critical path."
    if len(bars) > _KEPT:
        note += f" {len(bars) - _KEPT:,} shorter ones: print(image.build.graph.timeline)"
        least = sorted(bar.vertex.seconds for bar in bars)[-_KEPT]
        bars = [bar for bar in bars if bar.vertex.seconds >= least][:_KEPT]
    ticks = "".join(f"<span>{seconds(whole * share / 4)}</span>" for share in range(5))
    rows = [("", "", f'<span class="scale muted">{ticks}</span>', "")]
    for bar in bars:
        vertex = bar.vertex
        place = f"left:{100 * bar.start:.2f}%;width:{100 * (bar.end - bar.start):.2f}%"
        title = f"{dots.line(vertex.text)}: from {whole * bar.start:.3f} s to {whole * bar.end:.3f} s"
        kind = "bar critical" if vertex.is_critical else "bar"
        label = markup.text(dots.label(vertex.text))
        rows.append(
            (
                f'<span class="muted">{markup.text(dots.line(vertex.stage or ""))}</span>',
                f'<span title="{markup.text(title)}">{f"<b>{label}</b>" if vertex.is_critical else label}</span>',
                f'<span class="lane {vertex.state}"><span class="{kind}" style="{place}" title="{markup.text(title)}"></span></span>',
                markup.state(vertex.state, seconds(vertex.seconds)),
            )
        )
    return markup.table(("stage", "step", "", "time"), rows, numeric=(3,)) + f'<p class="muted">{note}</p>'


# HTML


def html(graph: Graph, picture: str | None) -> str:
    """A page of its own."""
    head = markup.head(f"graph of build {markup.text(graph.name)}", markup.volatile(markup.text(_facts(graph))))
    return markup.page(head, markup.volatile(STYLE + picture_html(graph, picture) + timeline_html(graph)))


def picture_html(graph: Graph, picture: str | None) -> str:
    """The picture, or the tree where there is none, and where a page throws pictures away. Its style is `STYLE`."""
    return dots.picture(picture, tree(graph).splitlines(), "print(image.build.graph)")


def views(named: Mapping[str, str], group: str) -> str:
    """Drawers of which one is open at a time, their handles side by side. named: handle → markup. group: one for each page."""
    parts = (
        f'<details name="{markup.text(group)}"><summary>{markup.text(name)}</summary><div class="view">{inside}</div></details>'
        for name, inside in named.items()
    )
    return f'{STYLE}<div class="views">{"".join(parts)}</div>'


# DOT


def dot(graph: Graph) -> str:
    """A cluster a stage; state by colour, mark and word; the critical path thick; the builder's own steps small."""
    boxes = _boxes(graph)
    names = {vertex.digest: f"n{number}" for number, box in enumerate(boxes) for vertex in box}
    lines = dots.head("build", "TB")
    for number, stage in enumerate(graph.stages):
        inside = [f"    {_node(box, graph, names)}" for box in boxes if box[0].stage == stage]
        label = f'label="{dots.quoted(dots.label(stage))}", labeljust=l, margin=12, class="stage", '
        lines += [
            f"  subgraph cluster_{number} {{",
            f'    graph [{label}style="rounded,filled", color="#d0d4da", fillcolor="#f3f4f6"];',
        ]
        lines += [*inside, "  }"]
    lines += [f"  {_node(box, graph, names)}" for box in boxes if box[0].stage is None]
    lines += [f"  {edge}" for edge in _edges(graph, names)]
    return "\n".join([*lines, "}", ""])


def _node(box: Sequence[Vertex], graph: Graph, names: Mapping[str, str]) -> str:
    first = box[0]
    is_critical = any(vertex.is_critical for vertex in box)
    state, took = _worst(box), sum(vertex.seconds for vertex in box)
    if len(box) == 1:
        label, word = dots.line(first.text), " ".join(part for part in (_state(first, graph), _time(first)) if part)
    else:
        last = box[-1]
        label = f"{len(box)} steps" + (f", lines {first.line} to {last.line}" if first.line and last.line else "")
        word = f"{markup.STATES[state][0]} {markup.STATES[state][1]}" + (f" {seconds(took)}" if took else "")
    tip = "; ".join(dots.line(vertex.text) for vertex in box)
    kinds = f"{state} critical" if is_critical else state
    is_small = first.kind == "internal"
    more = ', fontsize=9, height=0.35, margin="0.1,0.04"' if is_small else ""
    more += ", penwidth=3" if is_critical else ""
    lines = (dots.label(label), word)
    return dots.node(names[first.digest], lines, kinds, _COLOURS[state], tip, more, 9 if is_small else 11)


def _edges(graph: Graph, names: Mapping[str, str]) -> Iterator[str]:
    steps = set(pairwise(vertex.digest for vertex in graph.critical_path))
    thick = dict[tuple[str, str], bool]()
    for source, target in graph.edges:
        if source in names and target in names and names[source] != names[target]:
            pair = names[source], names[target]
            thick[pair] = thick.get(pair, False) or (source, target) in steps
    for (source, target), is_thick in thick.items():
        yield f"{source} -> {target}" + (' [penwidth=3, color="#1f2328", class="critical"];' if is_thick else ";")


def _worst(box: Sequence[Vertex]) -> str:
    order = ("failed", "stopped", "running", "done", "waiting", "cached")
    return min((vertex.state for vertex in box), key=order.index)


def _boxes(graph: Graph) -> list[list[Vertex]]:
    """What is drawn: vertexes, or chains of quiet ones, or whole stages."""
    linked = {digest for edge in graph.edges for digest in edge}
    drawn = [vertex for vertex in graph.vertices if _is_drawn(vertex, linked)]
    if len(drawn) <= _UNFOLDED:
        return [[vertex] for vertex in drawn]
    users: dict[str, int] = {}
    for source, _ in graph.edges:
        users[source] = users.get(source, 0) + 1
    boxes: list[list[Vertex]] = []
    for vertex in drawn:
        before = boxes[-1][-1] if boxes else None
        if (
            before is not None
            and vertex.inputs == (before.digest,)
            and users[before.digest] == 1
            and before.stage == vertex.stage is not None
            and _is_quiet(before)
            and _is_quiet(vertex)
            and before.state == vertex.state
        ):
            boxes[-1].append(vertex)
        else:
            boxes.append([vertex])
    if len(boxes) <= _FOLDED:
        return boxes
    by_stage: dict[str, list[Vertex]] = {}
    for vertex in drawn:
        by_stage.setdefault(vertex.digest if vertex.stage is None else f"stage {vertex.stage}", []).append(vertex)
    return list(by_stage.values())


def _is_quiet(vertex: Vertex) -> bool:
    return not vertex.is_critical and vertex.state in ("cached", "done", "waiting")


def _is_drawn(vertex: Vertex, linked: set[str]) -> bool:
    """What the builder does around the Dockerfile is drawn where files come from it, where it ends, and where it is slow."""
    is_part = (
        vertex.stage is not None
        or vertex.kind != "internal"
        or vertex.text.startswith(("FROM ", "load build context", "exporting to "))
    )
    return is_part or (vertex.digest in linked and vertex.seconds >= _SLOW)
