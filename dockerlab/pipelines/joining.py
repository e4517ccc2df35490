"""A pipeline's rows ↔ the lines of the image's history ↔ its layers. Pure. What is not certain is said to be unknown, never guessed.

    joined(pipeline, lines, diff_ids, image)         the record of the build is known: its rows get their layers
    historical(name, lines, diff_ids, image, base)   only the history is known: its lines are the rows

The two are read together from the end, by keyword (`accounting.followed`). What lies below the first instruction's line is the base
image's. Where they part, the layers belong to nobody: the build may have squashed them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from dockerlab.image.accounting import Account, Line, account, followed
from dockerlab.image.layer import CONFIG_ONLY, chain_ids
from dockerlab.pipelines.changes import change
from dockerlab.pipelines.model import Band, ImageFacts, MadeLayer, Pipeline, Row

UNKNOWN: Final = "Which instruction made which layer is not known: the image's history does not follow the Dockerfile."
UNFIT: Final = "Which instruction made which layer is not known: the image's history does not fit its layers."
UNWRITTEN: Final = "There is no Dockerfile: the instructions are those of the image's history."
_BASE, _OWN = 0, 1


@dataclass(frozen=True, slots=True)
class Told:
    """What an engine tells of an image. lines: of its history, the oldest first. diff_ids: of its layers, the lowest first.

    known: how many layers there are below a line, where that was asked for. base: the base image's name, "" where it is not known;
    base_lines: how many of the lines are its own, None where that is not known; base_layers: how many layers it has, None likewise.
    """

    image: ImageFacts
    lines: tuple[Line, ...]
    diff_ids: tuple[str, ...]
    known: Mapping[int, int]
    base: str = ""
    base_lines: int | None = None
    base_layers: int | None = None


def joined(pipeline: Pipeline, told: Told) -> Pipeline:
    """The pipeline of a build, with its image's layers."""
    chain = pipeline.chain
    matched = aligned([row for row in chain if row.adds != "base"], told.lines)
    if matched is None:
        return _unknown(pipeline, told, UNKNOWN)
    known = dict(told.known)
    first = min(matched.values(), default=len(told.lines))
    if told.base_layers is not None:
        known.setdefault(first, told.base_layers)
    found = account(told.lines, told.diff_ids, known) or account(told.lines, told.diff_ids)
    if found is None:
        return _unknown(pipeline, told, UNFIT)
    bases = [row for row in chain if row.adds == "base"]
    layers = _Layers(told, found)
    rows = []
    for row in pipeline.rows:
        if row.key in matched:
            rows.append(_with_layer(row, layers.of(matched[row.key])))
        elif bases and row.key == bases[0].key:
            rows.append(replace(row, layers=layers.below(first)))
        else:
            rows.append(row)
    own = sum(line.size for line in told.lines[first:])
    return replace(pipeline, rows=tuple(rows), image=replace(told.image, own=own))


def aligned(rows: Sequence[Row], lines: Sequence[Line]) -> dict[str, int] | None:
    """Rows of the image, without FROM, in order → the index of each one's line. None where they do not follow each other."""
    found = followed([row.keyword for row in rows], lines)
    return None if found is None else {rows[place].key: line for place, line in found.items()}


def _with_layer(row: Row, made: tuple[bool | None, MadeLayer | None]) -> Row:
    is_layer, layer = made
    if layer is not None:
        return replace(row, layers=(layer,), adds="layer")
    if row.adds != "layer":
        return row
    return replace(row, adds="unknown" if is_layer is None else "config")


def _unknown(pipeline: Pipeline, told: Told, why: str) -> Pipeline:
    rows = [
        replace(row, adds="unknown")
        if row.adds in ("layer", "base") and pipeline.bands[row.band].is_in_image and row.layers == ()
        else row
        for row in pipeline.rows
    ]
    return replace(pipeline, rows=tuple(rows), image=told.image, note=why)


class _Layers:
    """Which line made which layer, as values to be shown."""

    def __init__(self, told: Told, found: Account) -> None:
        self._told, self._found = told, found
        self._chain = chain_ids(told.diff_ids)

    def of(self, line: int, *, is_base: bool = False) -> tuple[bool | None, MadeLayer | None]:
        """Whether a line made a layer, None where that is not certain; and the layer."""
        made = self._found.made[line]
        if not made.is_layer:
            return made.is_layer, None
        diff_id = None if made.place is None else self._told.diff_ids[made.place]
        chain_id = None if made.place is None else self._chain[made.place]
        return True, MadeLayer(diff_id, chain_id, self._told.lines[line].size, line, is_base)

    def below(self, line: int) -> tuple[MadeLayer, ...]:
        """Those of the base image. Where it is not certain how many they are, those that are certain."""
        return tuple(layer for index in range(line) if (layer := self.of(index, is_base=True)[1]))


def historical(told: Told) -> Pipeline:
    """The pipeline of an image whose build is not known."""
    note = UNWRITTEN
    first = told.base_lines if told.base and told.base_lines is not None else 0
    known = dict(told.known)
    if first and told.base_layers is not None:
        known.setdefault(first, told.base_layers)
    found = account(told.lines, told.diff_ids, known) or account(told.lines, told.diff_ids)
    layers = _Layers(told, found) if found else None
    rows = [_historical(line, index, first, layers) for index, line in enumerate(told.lines)]
    bands = [Band(_OWN if first else 0, told.image.name, told.base, "image")]
    if first:
        bands.insert(0, Band(_BASE, told.base, "", "base"))
    if found is None:
        note = f"{note} {UNFIT}"
    image = replace(told.image, own=sum(line.size for line in told.lines[first:]) if first else None, base=told.base)
    return Pipeline(told.image.name, tuple(rows), tuple(bands), image, note=note)


def _historical(line: Line, index: int, first: int, layers: _Layers | None) -> Row:
    is_base = index < first
    text = line.instruction or line.comment or "(no instruction is recorded)"
    row = Row(f"h{index}", text, _OWN if first and not is_base else 0, "config", change=change(text))
    if layers is None:
        return replace(row, adds="config" if line.keyword in CONFIG_ONLY else "unknown")
    is_layer, layer = layers.of(index, is_base=is_base)
    if layer is not None:
        return replace(row, adds="layer", layers=(layer,))
    return replace(row, adds="unknown") if is_layer is None else row
