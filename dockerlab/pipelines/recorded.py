"""A build's record → the rows and bands of its pipeline, at any moment of the build. Pure; of the image nothing is known here.

Stages are read as the Dockerfile has them (`dockerfile.shape`), and what FROM names as the build had it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from dockerlab.dockerfile.shape import Shape
from dockerlab.pipelines.changes import change
from dockerlab.pipelines.model import Adds, Band, Part, Pipeline, Row

if TYPE_CHECKING:
    from dockerlab.builds.record import Build, Step

_TRIGGER = "ONBUILD "


def recorded(build: Build) -> Pipeline:
    """The pipeline of a build; its image and containers are to be joined."""
    shape = Shape(build.dockerfile, build.bases)
    by_line = {node.line: index for index, node in enumerate(build.dockerfile.nodes)}
    is_over = build.outcome != "running"
    rows = []
    for step in build.steps:
        index = by_line.get(step.line or step.base_line or 0)
        stage = shape.stage_of.get(index) if index is not None else None
        if index is None and is_over:
            continue  # what the builder does of its own is of interest while it is awaited
        sources = shape.sources(index) if stage and index is not None and not step.trigger else ()
        band = _AROUND if index is None else stage.index if stage else _BEFORE
        rows.append(_row(step, band, sources))
    bands = _bands(build, shape, rows)
    place = {band.index: at for at, band in enumerate(bands)}
    return Pipeline(
        ", ".join(build.tags) or "image without a tag",
        tuple(_placed(row, place) for row in rows),
        tuple(_numbered(band, place) for band in bands),
        build=build,
        moment=build.moment,
    )


_BEFORE, _AROUND = -1, -2  # bands of what belongs to no stage


def _row(step: Step, band: int, sources: tuple[int, ...]) -> Row:
    text = " ".join(step.text.split())
    own = text.removeprefix(_TRIGGER) if step.trigger else text
    adds = cast(Adds, step.effect)
    return Row(
        step.vertex.digest, text, band, adds, step.line, step.end_line, change(own), step, (), sources, is_trigger=bool(step.trigger)
    )  # fmt: skip


def _bands(build: Build, shape: Shape, rows: list[Row]) -> list[Band]:
    """In the order of the rows: what stands before the first FROM, the stages, what the builder does around them."""
    chain = shape.chain(build.target)
    needed = _needed(shape, chain)
    found: list[Band] = []
    for index in dict.fromkeys(row.band for row in rows):
        if index < 0:
            found.append(Band(index, "" if index == _BEFORE else "the builder's own", "", "around"))
            continue
        stage = shape.stages[index]
        taken_by = tuple(row.key for row in rows if index in row.takes and row.band in needed)
        part: Part = "image" if index in chain else "taken" if index in needed else "unused"
        found.append(Band(index, shape.labels[index], stage.base, part, taken_by))
    return found


def _needed(shape: Shape, chain: tuple[int, ...]) -> set[int]:
    """The stages that the chain is made of, and those that they take from."""
    found, waiting = set[int](), [*chain]
    while waiting:
        index = waiting.pop()
        if index not in found:
            found.add(index)
            stage = shape.stages[index]
            base = shape.base(stage)
            waiting += [*([] if base is None else [base]), *(s for node in stage.nodes for s in shape.sources(node))]
    return found


def _placed(row: Row, place: dict[int, int]) -> Row:
    return Row(
        row.key, row.text, place[row.band], row.adds, row.line, row.end_line, row.change, row.step, row.layers,
        tuple(place[one] for one in row.takes if one in place), row.is_trigger,
    )  # fmt: skip


def _numbered(band: Band, place: dict[int, int]) -> Band:
    return Band(place[band.index], band.name, band.base, band.part, band.taken_by)
