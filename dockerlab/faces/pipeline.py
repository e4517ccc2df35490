"""The faces of the pipeline: one picture that joins Dockerfile line ↔ build step ↔ layer ↔ image ↔ its containers.

    pipeline of app:latest
    1  FROM python:3.10       → base
    2  EXPOSE 5000            ⇢ config  ExposedPorts 5000
    3  RUN pip install flask  → layer
    container web1 (app): running

The text has no times and sizes, and of a build nothing that differs between engines. The picture is `faces.picture`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dockerlab.faces import build as builds
from dockerlab.faces import container as containers
from dockerlab.faces import markup
from dockerlab.faces.hiding import hide_in_instruction
from dockerlab.faces.human import plain, seconds, shorten, size
from dockerlab.faces.picture import foremost, picture, state_of

if TYPE_CHECKING:
    from dockerlab.pipelines.model import Band, Pipeline, Row

_WIDTH = 72
_TIMED = ("done", "running", "failed")
_PRINTED = 200  # lines of a step's output in its drawer
_LAYERS = 12  # of a base image, in its drawer
_CONTAINERS = 20  # in words


def text(pipeline: Pipeline) -> str:
    """Stable: no times, sizes, states of the cache."""
    rows = [
        (str(row.line or ""), shorten(plain(hide_in_instruction(row.text)), _WIDTH), _leads(pipeline, band, row))
        if row
        else ("", f"── {_title(band)}", "")
        for band, row in _lines(pipeline)
    ]
    head = f"pipeline of {pipeline.name}"
    boxes = _boxes(pipeline, [containers.text(one.facts) for one in foremost(pipeline.containers, _CONTAINERS)])
    return "\n".join(line.rstrip() for line in [head, *markup.columns(rows, gap=2).splitlines(), *boxes])


def table(pipeline: Pipeline) -> str:
    """Everything: states, times, sizes, and containers with their ports."""
    rows = []
    for band, row in _lines(pipeline):
        if row is None:
            rows.append(("", f"── {_title(band)}", "", "", "", ""))
            continue
        state, took = _step(pipeline, row)
        made = size(row.size) if row.layers else ""
        rows.append(
            (
                str(row.line or ""),
                shorten(plain(hide_in_instruction(row.text)), _WIDTH),
                state,
                took,
                _makes(pipeline, band, row),
                made,
            )
        )
    boxes = [
        f"container {one.facts.engine_name}: {one.facts.word}" + "".join(f"   {port.shown}" for port in one.facts.ports)
        for one in foremost(pipeline.containers, _CONTAINERS)
    ]
    lines = ["   ".join([pipeline.name, *facts(pipeline)]), *markup.columns(rows, gap=2).splitlines(), *_boxes(pipeline, boxes)]
    return "\n".join([*lines, *(said for said in (pipeline.note, pipeline.alert) if said)])


def facts(pipeline: Pipeline) -> list[str]:
    """What the head says beside the name: `4 of 6 steps`, `2 cached`, `2.4 s`, `231 MB (11.2 MB ours)`."""
    found = builds.facts(pipeline.build, "\n").split("\n") if pipeline.build else []
    image = pipeline.image
    if image is None:
        return found
    own = f" ({size(image.own)} ours)" if image.own is not None else f" in {image.layers} layer{'' if image.layers == 1 else 's'}"
    return [*found, size(image.size) + own]


def html(pipeline: Pipeline, *, is_live: bool = False) -> str:
    """The static HTML. is_live: with what a live view reacts to, and a place for its drawer."""
    build = pipeline.build
    said = markup.text(" · ".join(facts(pipeline)))
    freeze = (
        ' <button data-action="freeze" title="No longer live: the output keeps what is seen now">freeze</button>' if is_live else ""
    )
    head = markup.head(markup.text(pipeline.name), markup.volatile(said) + freeze)
    note = f'<div class="muted">{markup.text(pipeline.note)}</div>' if pipeline.note else ""
    if pipeline.alert:
        again = ' <button data-action="again">ask again</button>' if is_live else ""
        note += f'<div class="failed" role="alert">✕ {markup.text(pipeline.alert)}{again}</div>'
    drawers = '<div data-drawers="" data-key="drawers"></div>' if is_live else ""
    below = builds.below(build, build.graph, build.graph.picture) if build else ""
    return markup.page(head, picture(pipeline, is_live=is_live), markup.volatile(note), drawers, below)


def row_html(pipeline: Pipeline, row: Row) -> str:
    """A row's drawer: the instruction as it is written, why it ran, what it printed, and the way to its layer's files."""
    step, build = row.step, pipeline.build
    parts = [f"<pre>{markup.text(_written(pipeline, row))}</pre>"]
    if step and build:
        state, word = state_of(step, build)
        took = seconds(step.seconds(build.moment)) if step.state in _TIMED else ""
        parts.append(f"<div>{markup.state(state, word)} {took}</div>")
        reasons = [reason.sentence for reason in build.reasons if reason.line == row.line and row.line]
        parts += [f'<div><span class="muted">why it ran</span> {markup.text(plain(sentence))}</div>' for sentence in reasons]
    for layer in row.layers[:_LAYERS]:
        ids = f'<span class="muted">layer</span> <code>{markup.text(layer.diff_id or "which one is not known")}</code>'
        label = f"files of this layer ({size(layer.size)})"
        button = f'<button data-drawer="files:{layer.place}:{markup.text(row.key)}">{label}</button>' if layer.diff_id else ""
        parts.append(f"<div>{ids} {button}</div>")
    if (hidden := len(row.layers) - _LAYERS) > 0:
        parts.append(f'<div class="muted">and {hidden} more</div>')
    if step and step.output:
        more = len(step.output) - _PRINTED
        first = f"… {more:,} earlier lines: image.build.log\n" if more > 0 else ""
        parts.append(f'<pre tabindex="0">{markup.text(first + chr(10).join(step.output[-_PRINTED:]))}</pre>')
    elif step:
        parts.append('<div class="muted">It printed nothing.</div>')
    return "".join(parts)


def files_html(tree: str, row: Row) -> str:
    """The drawer of a layer's files. tree: as markup."""
    return f'<div><button data-drawer="row:{markup.text(row.key)}">back to the instruction</button></div>{tree}'


def _written(pipeline: Pipeline, row: Row) -> str:
    """The instruction as it stands in the Dockerfile, all its lines."""
    nodes = pipeline.build.dockerfile.nodes if pipeline.build else ()
    written = next((node.text for node in nodes if row.line and node.line == row.line), row.text)
    return plain(hide_in_instruction(written))


def _boxes(pipeline: Pipeline, said: list[str]) -> list[str]:
    """With how many containers there are beside."""
    more = len(pipeline.containers) - len(said)
    return [*said, *([f"and {more:,} more"] if more else [])]


def _lines(pipeline: Pipeline) -> Iterator[tuple[Band, Row | None]]:
    """The rows, before each band's its head, where there are several."""
    for band in pipeline.bands:
        if pipeline.has_head(band):
            yield band, None
        yield from ((band, row) for row in pipeline.rows if row.band == band.index)


def _title(band: Band) -> str:
    return plain(f"{band.name} (from {band.base})" if band.base else band.name)


def _leads(pipeline: Pipeline, band: Band, row: Row) -> str:
    """Where a row leads to, as the Dockerfile says; without one, as the history does."""
    adds = row.step.effect if row.step else row.adds
    if band.part == "unused":
        return "not needed"
    if band.part == "taken":
        lines = [str(other.line) for other in pipeline.rows if other.key in band.taken_by and other.line]
        return f"→ line {', '.join(lines)}" if lines and adds != "config" else "⇢ its stage alone"
    said = f"⇢ config  {plain(row.change)}".rstrip() if adds == "config" else f"→ {adds}" if adds else ""
    return said + ("  ✕ failed" if row.step and row.step.state == "failed" else "")


def _makes(pipeline: Pipeline, band: Band, row: Row) -> str:
    if not band.is_in_image or row.adds not in ("config", "unknown"):
        return _leads(pipeline, band, row)
    return "? not known" if row.adds == "unknown" else f"⇢ config  {plain(row.change)}".rstrip()


def _step(pipeline: Pipeline, row: Row) -> tuple[str, str]:
    if row.step is None or pipeline.build is None:
        return "", ""
    state, word = state_of(row.step, pipeline.build)
    took = seconds(row.step.seconds(pipeline.build.moment)) if row.step.state in _TIMED else ""
    return f"{markup.STATES[state][0]} {word}", took
