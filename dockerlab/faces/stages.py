"""The faces of a Dockerfile's stages: DOT text, a table as text, and static HTML without a script.

    stages of the Dockerfile, target web
    ◇ golang:1.22                                     golang:$VERSION, VERSION=1.22 (line 1)
    ● build        line 2  FROM golang:1.22           3 steps
    ○ docs         line 6  FROM busybox               1 step, not needed
    ● web          line 8  FROM scratch               1 step, target
                   line 9  COPY /out/app → /app       from build

Left to right where a page is wide enough, else top to bottom. A large graph folds before it shrinks: stages that are not needed become
one box, then an image that one stage alone starts from is named in that stage's box, then stages in a row that nobody else takes from
become one. No engine is asked, so that all of it is the same on every run, but for how Graphviz draws it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dockerlab.faces import dot as dots
from dockerlab.faces import markup
from dockerlab.faces.human import shorten

if TYPE_CHECKING:
    from dockerlab.dockerfile.graph import Argument, Graph, Place, Source, Taking

_WIDTH: Final = 72
_EDGE: Final = 28  # characters beside an edge
_LINES: Final = 3  # lines beside an edge
_PAGE: Final = 900.0  # points in which what stands beside edges can be read on a page of 1,000 pixels
_UNFOLDED: Final = 24  # boxes


# text


def title(graph: Graph) -> str:
    """What it shows, in a line."""
    return dots.label(f"stages of the Dockerfile, target {graph.target.label}", _WIDTH)


def text(graph: Graph) -> str:
    """Stable, and all there is."""
    rows = [
        (f"◇ {dots.label(image.name, _WIDTH)}", "", "", dots.label("; ".join(_notes(image)), 2 * _WIDTH)) for image in graph.images
    ]
    taken: dict[int, list[Taking]] = {}
    for edge in graph.edges:
        taken.setdefault(edge.target, []).append(edge)
    for stage in graph.stages:
        notes = [_steps(stage), *(["target"] if stage.is_target else []), *([] if stage.is_needed else ["not needed"])]
        mark = "●" if stage.is_needed else "○"
        rows.append((f"{mark} {dots.label(stage.label, _WIDTH)}", f"line {stage.line}", _from(stage), ", ".join(notes)))
        for edge in taken.get(stage.index, ()):
            if edge.kind != "FROM":
                name = edge.source if isinstance(edge.source, str) else graph.stages[edge.source].label
                rows.append(("", f"line {edge.line}", shorten(_label(edge), _WIDTH), f"from {dots.label(name, _WIDTH)}"))
    return "\n".join([title(graph), *markup.columns(rows, gap=2).splitlines()])


def _from(stage: Place) -> str:
    said = f"FROM {stage.base}"
    if stage.arguments:
        said += f" ({_listed(stage)})"
    return dots.label(said, _WIDTH)


def _listed(stage: Place) -> str:
    return ", ".join([stage.written, *(f"{one.name}={one.value}" for one in stage.arguments)])


def _made(image: Source) -> Iterator[str]:
    """How its name is written, and what the ARGs in it are."""
    for written, arguments in image.made:
        yield dots.line(f"{written}, {', '.join(map(_argument, arguments))}")


def _argument(one: Argument) -> str:
    return dots.line(f"{one.name}={one.value} ({one.origin})")


def _notes(image: Source) -> list[str]:
    context = [dots.line(f"build context: {image.context}")] if image.context else []
    return [*_made(image), *context, *([] if image.is_needed else ["not needed"])]


def _steps(stage: Place) -> str:
    return f"{stage.steps} step{'' if stage.steps == 1 else 's'}"


def _label(edge: Taking) -> str:
    return dots.line(f"{edge.kind} {edge.what}")


# HTML


def html(graph: Graph, picture: str | None) -> str:
    """The picture, and under it the text."""
    body = text(graph).splitlines()[1:]
    rest = "print(dockerlab.stages(…))"
    more = f"<details><summary>as text</summary>{dots.picture(None, body, rest)}</details>"
    legend = '<p class="muted">Bold: the target. Dashed: not needed for it. Blue, ◇: images from elsewhere.</p>'
    # Whether Graphviz is there, and what it draws, is this machine's matter.
    drawn = dots.STYLE + dots.picture(picture, body, rest) + (legend + more if picture else "")
    return markup.page(markup.head(markup.text(title(graph))), markup.volatile(drawn))


# DOT


@dataclass
class _Box:
    """lines: of its label. kind: its classes. tip: all of what it stands for."""

    lines: list[str]
    kind: str
    tip: str
    is_needed: bool


@dataclass
class _Drawing:
    """boxes, and box → box → what is taken. key of a box: a stage's index, an image's name, or "" for stages that are not needed."""

    boxes: dict[int | str, _Box] = field(default_factory=dict)
    edges: dict[tuple[int | str, int | str], list[str]] = field(default_factory=dict)


def dot(graph: Graph) -> str:
    """A box for each stage and for each image from elsewhere; what is taken stands beside the edge."""
    drawing = _drawing(graph)
    names = {key: f"n{number}" for number, key in enumerate(drawing.boxes)}
    lines = dots.head("stages", _direction(drawing))
    for key, box in drawing.boxes.items():
        colour = dots.KINDS[box.kind.split()[0]]
        more = "" if box.is_needed else ', style="rounded,filled,dashed"'
        more += ", penwidth=3" if "critical" in box.kind else ""
        lines.append(f"  {dots.node(names[key], box.lines, box.kind, colour, box.tip, more)}")
    for (source, target), said in drawing.edges.items():
        is_needed = drawing.boxes[target].is_needed
        more = "" if is_needed else ", style=dashed"
        tip = dots.quoted(shorten("; ".join(said), 1000), times=2)
        lines.append(f'  {names[source]} -> {names[target]} [label="{dots.beside(_few(said))}", labeltooltip="{tip}"{more}];')
    return "\n".join([*lines, "}", ""])


def _few(said: Sequence[str]) -> list[str]:
    shown = [shorten(one, _EDGE) for one in said[:_LINES]]
    return shown if len(said) <= _LINES else [*shown[:-1], f"… {len(said) - _LINES + 1} more"]


def _drawing(graph: Graph) -> _Drawing:
    groups = _groups(graph)
    drawing = _Drawing()
    inside = _inside(graph) if len(set(groups.values())) + len(graph.images) > _UNFOLDED else frozenset[str]()
    for image in graph.images:
        if image.name not in inside:
            made = dict.fromkeys(_argument(one) for _, arguments in image.made for one in arguments)
            kind = "image" if image.is_needed else "more"
            more = ["…"] if len(made) > _LINES else []
            lines = [
                dots.label(image.name),
                *(dots.label(f"◇ {one}") for one in [*made][:_LINES] or ["build context" if image.context else "image"]),
                *more,
            ]
            drawing.boxes[image.name] = _Box(lines, kind, "; ".join([dots.line(image.name), *_notes(image)]), image.is_needed)
    members: dict[int | str, list[Place]] = {}
    for stage in graph.stages:
        members.setdefault(groups[stage.index], []).append(stage)
    drawing.boxes |= {key: _stage_box(stages, inside) for key, stages in members.items()}
    for edge in graph.edges:
        source: int | str = edge.source if isinstance(edge.source, str) else groups[edge.source]
        target = groups[edge.target]
        if source not in inside and source != target:
            plain = "FROM" if edge.kind == "FROM" and edge.what in (edge.source, graph.stages[edge.target].base) else _label(edge)
            drawing.edges.setdefault((source, target), []).append(plain)
    return drawing


def _stage_box(stages: Sequence[Place], inside: Iterable[str]) -> _Box:
    first, last = stages[0], stages[-1]
    tip = "; ".join(dots.line(f"{stage.label}: line {stage.line}, FROM {stage.base}") for stage in stages)
    is_needed = first.is_needed
    kind = ("own critical" if any(stage.is_target for stage in stages) else "own") if is_needed else "more"
    if len(stages) > 1:
        head = f"{len(stages)} stages: {', '.join(dots.line(stage.label) for stage in stages)}"
        word = f"lines {first.line} to {last.line}" if is_needed else "not needed"
        return _Box([dots.label(head), word], kind, tip, is_needed)
    notes = [f"line {first.line}", _steps(first)]
    notes += ["target"] if first.is_target else []
    notes += [] if is_needed else ["not needed"]
    own = [dots.label(f"FROM {first.base}")] if first.base in inside or first.base == "scratch" else []
    return _Box([dots.label(first.label), *own, f"{'●' if is_needed else '○'} {', '.join(notes)}"], kind, tip, is_needed)


def _groups(graph: Graph) -> Mapping[int, int | str]:
    """Stage → the box that it is drawn in."""
    groups: dict[int, int | str] = {stage.index: stage.index for stage in graph.stages}
    if len(graph.stages) + len(graph.images) <= _UNFOLDED:
        return groups
    groups |= {stage.index: "" for stage in graph.stages if not stage.is_needed}
    if len(set(groups.values())) <= _UNFOLDED:
        return groups
    sources: dict[int, set[int]] = {}
    users: dict[int, set[int]] = {}
    for edge in graph.edges:
        if isinstance(edge.source, int) and graph.stages[edge.target].is_needed:
            sources.setdefault(edge.target, set()).add(edge.source)
            users.setdefault(edge.source, set()).add(edge.target)
    for stage in graph.stages:
        below = sources.get(stage.index, set())
        if stage.is_needed and len(below) == 1 and not stage.is_target and users[min(below)] == {stage.index}:
            groups[stage.index] = groups[min(below)]
    return groups


def _inside(graph: Graph) -> frozenset[str]:
    """Images of which one stage alone takes something, with FROM."""
    users: dict[str, list[Taking]] = {}
    for edge in graph.edges:
        if isinstance(edge.source, str):
            users.setdefault(edge.source, []).append(edge)
    return frozenset(name for name, taking in users.items() if len(taking) == 1 and taking[0].kind == "FROM")


def _direction(drawing: _Drawing) -> str:
    """LR where a page is wide enough for it; else what is less wide."""
    ranks: dict[int | str, int] = {}
    incoming: dict[int | str, list[int | str]] = {}
    for source, target in drawing.edges:
        incoming.setdefault(target, []).append(source)
    # Images, then stages: each after what it takes from, but for a box of stages that are not needed.
    for key in drawing.boxes:
        ranks[key] = 1 + max((ranks[source] for source in incoming.get(key, ()) if source in ranks), default=0)
    widths = {key: max(map(dots.width, box.lines)) * 11 + 35 for key, box in drawing.boxes.items()}
    by_rank: dict[int, list[float]] = {}
    for key, rank in ranks.items():
        by_rank.setdefault(rank, []).append(widths[key])
    labels = max((dots.width(one) * 10 for said in drawing.edges.values() for one in _few(said)), default=0.0)
    across = sum(max(row) for row in by_rank.values()) + (len(by_rank) - 1) * (labels + 30)
    down = max(sum(row) + 20 * len(row) for row in by_rank.values())
    return "LR" if across <= _PAGE or across < down else "TB"
