"""The pipeline as one table: Dockerfile line → build step → layer or configuration → the image's containers.

    Dockerfile                build                  image                      containers
    1 FROM python:3.10    ──▶ ◇ cached           ──▶ ▨▨▨▨▨▨ 120 MB, 4 layers  ┐ ● running  web1  up 3 s  8080→5000
    2 EXPOSE 5000         ──▶ · config           ╌╌▶ ExposedPorts 5000        │
    4 RUN pip install …   ──▶ ● done 2.4 s ▬▬▬   ──▶ ▬ 11.2 MB                ┘

An instruction is a row. What adds no layer runs dashed into the configuration. A stage is a band; what is not in the image runs into a lane
that ends at the `COPY --from` that takes files out of it. Where no style is shown (a page of GitHub), arrows are characters in a table.

Static HTML: pointing lights what belongs together, by style alone. The `data-` attributes are the live view's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from dockerlab.faces import container as containers
from dockerlab.faces import dot as dots
from dockerlab.faces import markup
from dockerlab.faces.hiding import hide_in_instruction
from dockerlab.faces.human import plain, seconds, short_id, size

if TYPE_CHECKING:
    from dockerlab.builds.record import Build, Step
    from dockerlab.pipelines.model import Band, Pipeline, Row, Running
    from dockerlab.wire.trace import Lint

_TIMED: Final = ("done", "running", "failed")
_SIZE_BAR: Final = 60  # pixels of the largest
_LANES: Final = 4  # that are drawn beside each other
_LIT: Final = 8  # stages for which the style knows what to light
_SHOWN: Final = 8  # containers
_UP: Final = ("running", "paused", "restarting")
_WORDS: Final = 600  # of pairs of a row and a container that light each other
_PLACE: Final = re.compile(r" \(lines? [\d, -]+\)$")
_UNKNOWN: Final = "The engine does not say whether this instruction made a layer, or which."

_CSS = """
@ .pipeline{overflow-x:auto}
@ .pipeline>table{table-layout:fixed;width:100%;min-width:640px;margin:0;border-spacing:0}
@{--line:#8a8f98;--lane:#7a4fb5;--lit:rgba(47,109,179,.13)}
body[data-jp-theme-light="false"] @{--line:#8f959e;--lane:#c3a1ff;--lit:rgba(122,183,255,.17)}
@ .pipeline th,@ .pipeline td{padding:3px 6px 3px 0;line-height:20px}
@ .pipeline td{white-space:normal;overflow-wrap:anywhere}
@ .pipeline tr>.num{padding-right:8px;color:var(--jp-content-font-color2,#5b6069)}
@ .pipeline .to{padding:0;position:relative}
@ .pipeline .arrow{display:block;position:relative;height:0;margin:13px 6px 0 0;border-top:1.5px solid var(--line);font-size:0}
@ .pipeline .arrow::after{content:"";position:absolute;right:-2px;top:-5px;border:4px solid transparent;
border-left:6px solid var(--line);border-right:0}
@ .pipeline .arrow.dashed{border-top-style:dashed}
@ .pipeline .arrow.stub{margin-right:0;border-color:var(--lane)}@ .pipeline .arrow.stub::after{content:none}
@ .pipeline .flow{position:absolute;border-left:2px solid var(--lane);top:0;bottom:0;width:0}
@ .pipeline .flow.start{top:13px}@ .pipeline .flow.end{bottom:auto;height:13px}
@ .pipeline .flow.join::after{content:"";position:absolute;left:-4px;top:10px;width:6px;height:6px;border-radius:3px;
background:var(--lane)}
@ .pipeline .stage td{padding-top:8px;font-weight:600}
@ .pipeline .stage td.to{padding-top:0}
@ .pipeline .line{display:flex;align-items:center;white-space:nowrap}
@ .pipeline .step{flex:none;min-width:68px}
@ .pipeline .scale{flex:0 1 64px;height:20px;display:flex;align-items:center}
@ .pipeline .took{flex:none;min-width:40px;text-align:right;margin-right:6px;font-variant-numeric:tabular-nums}
@ .pipeline .config{display:inline-block;border:1px dashed var(--line);border-radius:4px;padding:0 5px;line-height:17px;font-size:12px}
@ .pipeline .bytes{margin-left:6px;font-variant-numeric:tabular-nums}
@ .pipeline .unused code{opacity:.75}
@ .pipeline .into::before{content:"";position:absolute;left:2px;top:0;bottom:0;width:8px;border-right:1.5px solid var(--line)}
@ .pipeline .into.first::before{top:12px;border-top:1.5px solid var(--line);border-top-right-radius:7px}
@ .pipeline .into.last::before{bottom:10px;border-bottom:1.5px solid var(--line);border-bottom-right-radius:7px}
@ .pipeline .into.first::after{content:"";position:absolute;left:11px;right:2px;top:20px;border-top:1.5px solid var(--line)}
@ .pipeline .box{border:1px solid var(--edge);border-radius:5px;padding:2px 8px;margin:0 0 5px}
@ .pipeline .asof{margin-top:4px;font-size:12px}
@ .pipeline .row:hover>td:not(.boxes),@ .pipeline .box:hover{background:var(--lit)}
@ .pipeline:has(.box:hover) .own>td:not(.boxes),@ .pipeline:has(.own>td:not(.boxes):hover) .box{background:var(--lit)}
@ .pipeline .row:has(>.boxes:hover)>td{background:none}
@ .pipeline:has(.box:hover) .own>td:not(.boxes){background:var(--lit)}
"""
_LIVE_CSS = """
@ .pipeline .row.lit>td:not(.boxes),@ .pipeline .box.lit,@ .pipeline .row:focus-within>td:not(.boxes){background:var(--lit)}
@ .pipeline .row.lit,@ .pipeline .box.lit,@ .pipeline .boxes.lit{outline:none}
@ .pipeline .row.dim,@ .pipeline .boxes.dim{opacity:1}
@ .pipeline .row.dim>td:not(.boxes){opacity:.45}
@ button:not(.open){font:inherit;font-size:12px;line-height:18px;padding:0 8px;border:1px solid var(--edge);border-radius:4px;
background:var(--soft);color:inherit;cursor:pointer}
@ .pipeline button.open{all:unset;cursor:pointer;border-radius:3px}
@ .pipeline button.open:hover code{text-decoration:underline}
@ .pipeline button.open:focus-visible{outline:2px solid var(--s-cached);outline-offset:2px}
"""
# Of a stage that files are taken out of: pointing at it lights who takes, and the other way round.
_TAKING = """
@ .pipeline:has(.bN>td:hover) .tN>td:not(.boxes),@ .pipeline:has(.tN>td:not(.boxes):hover) .bN>td{background:var(--lit)}
"""


def picture(pipeline: Pipeline, *, is_live: bool = False) -> str:
    """The table, with its style. is_live: with what a live view reacts to."""
    drawing = _Drawing(pipeline, is_live)
    lines = "".join(drawing.lines())
    if pipeline.build is None:
        lines = markup.volatile(lines)  # what a history says differs from engine to engine
    heads = "".join(f'<th scope="col">{name}</th>' for name, _ in drawing.columns)
    widths = "".join(f'<col style="width:{width}">' for _, width in drawing.columns)
    table = f"<table><colgroup>{widths}</colgroup><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>"
    taking = "".join(
        _TAKING.strip().replace("N", str(band.index)) for band in pipeline.bands if band.taken_by and band.index < _LIT
    )
    return f'{dots.style(_CSS + taking + (_LIVE_CSS if is_live else ""))}<div class="pipeline">{table}</div>'


class _Drawing:
    """One table. shown: its lines, each a row, or None for the head of its band."""

    def __init__(self, pipeline: Pipeline, is_live: bool) -> None:
        self._pipeline, self._is_live = pipeline, is_live
        self._moment = pipeline.build.moment if pipeline.build else 0.0
        self._shown: list[tuple[Band, Row | None]] = []
        for band in pipeline.bands:
            if pipeline.has_head(band):
                self._shown.append((band, None))
            self._shown += [(band, row) for row in pipeline.rows if row.band == band.index]
        inside = [at for at, (band, row) in enumerate(self._shown) if row and band.is_in_image]
        self._first, self._last = (inside[0], inside[-1]) if inside else (0, len(self._shown) - 1)
        taken = [band.index for band in pipeline.bands if band.taken_by and not band.is_in_image]
        self._lanes = {band: min(place, _LANES - 1) for place, band in enumerate(taken)}
        self._flows = {band: flow for band in taken if (flow := self._flow(band))}
        steps = [row.step for row in pipeline.rows if row.step]
        self._longest = max((step.seconds(self._moment) for step in steps), default=0.0)
        self._largest = max((row.size for row in pipeline.rows), default=0)
        self._boxed = foremost(pipeline.containers, _SHOWN)
        self._containers = self._boxed if len(self._boxed) * len(inside) <= _WORDS else ()

    @property
    def _has_build(self) -> bool:
        return self._pipeline.build is not None

    @property
    def _name(self) -> str:
        """By which a magic knows the image: the first of its names, or its id."""
        image, name = self._pipeline.image, self._pipeline.name.partition(",")[0]
        return short_id(image.id) if image and not (self._pipeline.build is None or self._pipeline.build.tags) else name

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Each one's head and width."""
        lanes = f"{30 + 9 * len({*self._lanes.values()})}px"
        build = [("", "28px"), ("build", "18%")] if self._has_build else []
        first = [("", "30px"), ("Dockerfile", "auto")] if self._has_build else [("", "6px"), ("instruction", "auto")]
        image = [("", lanes), ("image", "19%")]
        return first + build + image + ([("", "24px"), ("containers", "20%")] if self._pipeline.image else [])

    def lines(self) -> Iterator[str]:
        """The table's rows."""
        for at, (band, row) in enumerate(self._shown):
            cells = self._row(at, band, row) if row else self._head(at, band)
            if self._pipeline.image:
                cells += self._into(at) + self._boxes(at)
            yield f"<tr{self._attributes(band, row)}>{cells}</tr>"

    def _attributes(self, band: Band, row: Row | None) -> str:
        if row is None:
            return f' class="stage"{self._live(f"stage-{band.index}")}'
        classes = ["row", band.part if band.part in ("unused", "taken") else "own" if band.is_in_image else "around"]
        classes += [f"b{band.index}"] if band.taken_by and band.index < _LIT else []
        classes += [f"t{taken}" for taken in row.takes if taken < _LIT and row.key in self._pipeline.bands[taken].taken_by]
        return f' class="{" ".join(classes)}"{self._live(f"row-{row.key}", *self._words(band, row))}'

    def _live(self, key: str, *words: str) -> str:
        """The attributes that a live view reacts to; they name containers, which differ from run to run."""
        lights = f' data-lights="{markup.text(" ".join(words))}"' if words else ""
        return f' data-key="{markup.text(key)}"{lights}' if self._is_live else ""

    def _words(self, band: Band, row: Row) -> Iterator[str]:
        """What lights together: a row and each container, a row of a stage and who takes files out of it."""
        yield f"r{row.key}"
        if band.is_in_image:
            yield from (f"r{row.key}-c{one.facts.id[:12]}" for one in self._containers)
        yield from (f"r{row.key}-r{taker}" for taker in band.taken_by)
        for taken in row.takes:
            yield from (f"r{other.key}-r{row.key}" for other in self._pipeline.rows if other.band == taken)

    # cells

    def _head(self, at: int, band: Band) -> str:
        base = f" from {markup.text(_plain(band.base))}" if band.base else ""
        what = "base image" if band.part == "base" else "stage" if self._has_build and band.part != "around" else ""
        outside = {"taken": " · not in the image", "unused": " · not built: nothing needs it"}.get(band.part, "")
        name = f'<span class="muted">{what}</span> {markup.text(_plain(band.name))}<span class="muted">{base}{outside}</span>'
        taken = f'<span class="muted">{self._taken(band)}</span>' if band.part == "taken" else ""
        return f'<td></td><td colspan="{3 if self._has_build else 1}">{name}</td>{self._edge(at)}<td>{taken}</td>'

    def _taken(self, band: Band) -> str:
        """Which lines take files out of a stage that is not in the image."""
        lines = [row.line for row in self._pipeline.rows if row.key in band.taken_by and row.line]
        listed = ", ".join(map(str, lines[:3])) + (", …" if len(lines) > 3 else "")
        return f"files → line{'s' if len(lines) > 1 else ''} {listed}" if lines else ""

    def _row(self, at: int, band: Band, row: Row) -> str:
        cells = f'<td class="num">{row.line or ""}</td><td>{self._instruction(row)}</td>'
        if self._has_build:
            kind = "arrow dashed" if row.adds == "config" and row.step and row.step.effect == "config" else "arrow"
            cells += f'<td class="to"><span class="{kind}" aria-hidden="true">→</span></td><td>{self._step(row)}</td>'
        return cells + self._edge(at) + f"<td>{self._made(band, row)}</td>"

    def _instruction(self, row: Row) -> str:
        code = markup.code(_plain(hide_in_instruction(row.text)))
        if self._is_live:
            code = f'<button class="open" data-drawer="row:{markup.text(row.key)}" aria-expanded="false">{code}</button>'
        build = self._pipeline.build
        lints = warnings(row.step, build) if row.step and build else []
        return code + markup.volatile("".join(f"<div>{warning(lint)}</div>" for lint in lints))

    def _step(self, row: Row) -> str:
        step, build = row.step, self._pipeline.build
        if step is None or build is None:
            return ""
        state, word = state_of(step, build)
        if step.effect == "config" and state in ("done", "cached", "waiting") and word != "not run":
            shown = '<span class="muted">· config</span>'
            return shown if build.outcome in ("running", "done") else markup.volatile(shown)
        shown = f'<span class="step">{markup.state(state, word)}</span>'
        took = step.seconds(self._moment)
        time = markup.titled(seconds(took), f"{took:.3f} s") if step.state in _TIMED else ""
        share = took / self._longest if self._longest > 0.05 and time else 0.0
        scale = f'<span class="scale {state}">{_bar(f"{100 * share:.0f}%")}</span>' if share >= 0.01 else ""
        rest = markup.volatile(f' <span class="took">{time}</span>{scale}' if time else "")
        if state == "failed":
            return f'<div class="line">{shown}{rest}</div>'
        line = f'<div class="line">{markup.volatile(shown)}{rest}</div>'
        # How far another stage came when one failed differs from run to run.
        return markup.volatile(line) if step.effect == "config" else line

    def _made(self, band: Band, row: Row) -> str:
        """The cell of the image."""
        if not band.is_in_image:
            return ""
        if row.adds == "config":
            shown = f'<span class="config">{markup.text(_plain(row.change))}</span>' if row.change else "no layer"
            is_stable = row.step is not None and row.step.effect == "config"
            return shown if is_stable else markup.volatile(shown)
        return markup.volatile(self._layer(band, row))

    def _layer(self, band: Band, row: Row) -> str:
        if row.adds == "unknown":
            return f'<span class="muted" title="{_UNKNOWN}">? not known</span>'
        if self._pipeline.image is None:
            return f'<span class="muted">{row.adds}</span>'
        if row.adds == "base" and not row.layers:
            return f'<span class="muted">{self._nothing_below(band, row)}</span>'
        if not row.layers:
            return f'<span class="muted">{row.adds}</span>'
        is_base = all(layer.is_base for layer in row.layers)
        width = max(2.0, _SIZE_BAR * row.size / self._largest) if self._largest else 2.0
        bar = f'<span class="{"base" if is_base else "done"}">{_bar(f"{width:.0f}px")}</span>'
        count = f" {len(row.layers)} layers," if len(row.layers) > 1 else ""
        said = f'<span class="muted">{count} base</span>' if is_base and row.adds == "base" else ""
        tip = f"{row.size:,} bytes" + "".join(f", layer {layer.diff_id[7:19]}" for layer in row.layers[:1] if layer.diff_id)
        return f'{bar}<span class="bytes">{markup.titled(size(row.size), tip)}</span>{said}'

    def _nothing_below(self, band: Band, row: Row) -> str:
        """Of a FROM without layers of its own: it names scratch, or the stage before it; else which are the base's is not certain."""
        if band.base.lower() == "scratch":
            return "scratch: no layer"
        below = [other.name for other in self._pipeline.bands if other.part == "image" and other.index < band.index]
        return f"the layers of the stage {markup.text(_plain(below[-1]))}" if below else row.adds

    # what leads from one to the other

    def _edge(self, at: int) -> str:
        """The cell between step and layer: an arrow into the image, or into the lane of a stage that is not in it."""
        band, row = self._shown[at]
        lanes = "".join(dict.fromkeys(self._lane(at, index, place) for index, place in self._lanes.items()))
        arrow = ""
        if row and band.is_in_image:
            arrow = f'<span class="arrow{" dashed" if row.adds in ("config", "unknown") else ""}" aria-hidden="true">→</span>'
        elif row and band.index in self._lanes and row.step and row.step.effect in ("layer", "base"):
            width = 6 + 9 * self._lanes[band.index]
            arrow = f'<span class="arrow stub" style="width:{width}px" aria-hidden="true">↓</span>'
        is_stable = not row or not row.step or row.step.effect == "config"
        return f'<td class="to">{lanes}{arrow if is_stable else markup.volatile(arrow)}</td>'

    def _lane(self, at: int, index: int, place: int) -> str:
        """The part of a stage's lane that runs through a line."""
        first, takers = self._flows.get(index, (0, ()))
        if not takers or not first <= at <= takers[-1]:
            return ""
        part = " start" if at == first else " end" if at == takers[-1] else ""
        return f'<span class="flow{part}{" join" if at in takers else ""}" style="left:{6 + 9 * place}px"></span>'

    def _flow(self, index: int) -> tuple[int, tuple[int, ...]] | None:
        """The lines of a stage's first row and of those that take files out of it."""
        keys = {*self._pipeline.bands[index].taken_by}
        own = [at for at, (band, row) in enumerate(self._shown) if row and band.index == index]
        takers = tuple(at for at, (_, row) in enumerate(self._shown) if row and row.key in keys)
        return (own[0], takers) if own and takers and own[0] <= takers[-1] else None

    def _into(self, at: int) -> str:
        if not self._first <= at <= self._last:
            return "<td></td>"
        ends = (" first" if at == self._first else "") + (" last" if at == self._last else "")
        return f'<td class="to into{ends}"></td>'

    def _boxes(self, at: int) -> str:
        """The cell of the containers, beside all that is in the image."""
        spans = {0: self._first, self._first: self._last - self._first + 1, self._last + 1: len(self._shown) - self._last - 1}
        if at not in spans or not spans[at]:
            return ""
        inside = markup.volatile("".join(self._inside())) if at == self._first else ""
        live = self._live("boxes", *self._pairs()) if at == self._first else ""
        return f'<td class="boxes" rowspan="{spans[at]}"{live}>{inside}</td>'

    def _pairs(self) -> Iterator[str]:
        keys = [row.key for band, row in self._shown if row and band.is_in_image]
        return (f"r{key}-c{one.facts.id[:12]}" for one in self._containers for key in keys)

    def _inside(self) -> Iterator[str]:
        pipeline = self._pipeline
        if not pipeline.containers:
            yield f'<span class="muted">none. Start one: {markup.code(f"%container run {self._name}")}</span>'
        for one in self._boxed:
            yield self._box(one)
        if more := len(pipeline.containers) - _SHOWN:
            yield f'<span class="muted">and {more} more: <code>%container ps -a</code></span>' if more > 0 else ""
        if not self._is_live:
            at = time.strftime("%H:%M:%S", time.localtime(pipeline.moment))
            follow = markup.code(f"%pipeline {self._name}")
            yield f'<div class="muted asof">as of {at}; {follow} follows them</div>'

    def _box(self, one: Running) -> str:
        facts = one.facts
        keys = [row.key for band, row in self._shown if row and band.is_in_image] if one in self._containers else []
        words = [f"r{key}-c{facts.id[:12]}" for key in keys]
        name = f"<b>{markup.text(_plain(facts.engine_name))}</b>"
        if self._is_live:
            name = f'<button class="open" data-drawer="container:{markup.text(facts.id)}" aria-expanded="false">{name}</button>'
        ports = " ".join(containers.link(port) for port in facts.ports)
        rest = " ".join(part for part in (self._since(one), ports) if part)
        shown = f'{containers.state(facts)} {name}<br><span class="muted">{rest}</span>'
        return f'<div class="box"{self._live(f"container-{facts.id}", *words)}>{shown}</div>'

    def _since(self, one: Running) -> str:
        if one.facts.state != "running" or one.started is None:
            return ""
        if self._is_live:  # nothing is drawn anew only for a clock
            return "since " + time.strftime("%H:%M:%S", time.localtime(one.started))
        return f"up {seconds(self._pipeline.moment - one.started)}"


def foremost(containers: Sequence[Running], most: int) -> tuple[Running, ...]:
    """As many of them, in their order: none that runs gives way to one that has ended."""
    up_first = sorted(range(len(containers)), key=lambda at: containers[at].facts.state not in _UP)
    return tuple(containers[at] for at in sorted(up_first[:most]))


def state_of(step: Step, build: Build) -> tuple[str, str]:
    """A step's state and its word. Once a build is over, nothing waits or runs any more."""
    if build.outcome != "running" and step.state == "waiting":
        return "waiting", "not run"
    if build.outcome != "running" and step.state == "running":
        return "stopped", "interrupted"
    return step.state, markup.STATES[step.state][1]


def warnings(step: Step, build: Build) -> list[Lint]:
    """What the linter says of a step's lines."""
    if step.line is None:
        return []
    last = step.end_line or step.line
    return [lint for lint in build.warnings if lint.lines and step.line <= lint.lines[0] <= last]


def said(lint: Lint) -> str:
    """A linter's words without the place, which is seen."""
    return plain(" ".join(_PLACE.sub("", lint.text).split())) + (f"   {plain(lint.url)}" if lint.url else "")


def warning(lint: Lint) -> str:
    """The same as markup, with a link to more of it."""
    text = f"⚠ {_PLACE.sub('', lint.text)}"
    more = f" {markup.link(lint.url, 'why')}" if lint.url.startswith(("https://", "http://")) else ""
    return f'<span class="muted" title="{markup.text(" ".join(lint.detail))}">{markup.text(text)}</span>{more}'


def _bar(width: str) -> str:
    return f'<span class="bar" style="width:{width}"></span>'


def _plain(text: str) -> str:
    return plain(" ".join(text.split()))
