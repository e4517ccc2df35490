"""An image's layers, each with the instruction that made it.

An image's config lists its layers (`rootfs.diff_ids`) and, apart from them, its history, in which each line either made a layer or
only changed the config. The config says which (`empty_layer`), but not what an engine answers (`GET /images/NAME/history`): there a
line has a size. `layers` joins the two again, from either form. A line that has bytes made a layer; as many lines without bytes as
layers are then missing made one too, the likeliest first.

What no engine says: with Docker's classic builder, a RUN that made only folders or empty files has a layer, and one that changed
nothing has none, both of 0 bytes. Where an image has both, the diff_ids from one to the other may be off by one line. From an
image's config, from BuildKit and from Podman the answer is exact.

diff_id: the digest of a layer's uncompressed tar. chain_id: that of a layer together with all below it, by which engines keep
layers (the image spec of the OCI, config.md, "Layer ChainID").
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dockerlab.image.instruction import clean, keyword

CONFIG_ONLY = frozenset(
    (
        "ARG",
        "CMD",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
    )
)


@dataclass(frozen=True, slots=True)
class Layer:
    """A line of an image's history, and the layer that it made.

    diff_id, chain_id: of that layer; None for a line that changed only the config. instruction: cleaned, on one line. size: bytes,
    as the engine counts them (Podman counts the tar). created: seconds since the epoch; 0 or less where the image does not say.
    """

    diff_id: str | None
    chain_id: str | None
    instruction: str
    size: int
    created: int

    @property
    def empty(self) -> bool:
        """Whether the line changed only the config."""
        return self.diff_id is None


@dataclass(frozen=True, slots=True)
class _Line:
    """is_empty: None where the history does not say whether the line made a layer."""

    instruction: str
    size: int
    created: int
    is_empty: bool | None


def layers(history: Sequence[Mapping[str, Any]], diff_ids: Sequence[str]) -> tuple[Layer, ...]:
    """The history's lines, the oldest first, each with its layer.

    history: as the Engine API answers it, newest first, or as it stands in an image's config (`created_by`), oldest first.
    diff_ids: `RootFS.Layers`, the lowest first. Layers that no line accounts for (an image that was imported or squashed) come
    first, without an instruction; so none is ever lost.
    """
    lines = _lines(history)
    made = _lines_with_layers(lines, len(diff_ids))
    ids = list(zip(diff_ids, chain_ids(diff_ids), strict=True))
    unexplained = len(ids) - len(made)
    result = [Layer(*pair, instruction="", size=0, created=0) for pair in ids[:unexplained]]
    waiting = iter(ids[unexplained:])
    for index, line in enumerate(lines):
        diff_id, chain_id = next(waiting) if index in made else (None, None)
        result.append(Layer(diff_id, chain_id, line.instruction, line.size, line.created))
    return tuple(result)


def chain_ids(diff_ids: Sequence[str]) -> tuple[str, ...]:
    """The chain_id of each layer: its own diff_id for the lowest, else the digest of `<chain_id below> <diff_id>`."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(f"sha256:{hashlib.sha256(f'{chain[-1]} {diff_id}'.encode()).hexdigest()}" if chain else diff_id)
    return tuple(chain)


def _lines(history: Sequence[Mapping[str, Any]]) -> list[_Line]:
    """The lines of either form of a history, the oldest first."""
    if any("CreatedBy" in entry for entry in history):
        return [
            _Line(
                clean(str(entry.get("CreatedBy") or "")), max(int(entry.get("Size") or 0), 0), int(entry.get("Created") or 0), None
            )
            for entry in reversed(history)
        ]
    return [
        _Line(
            clean(str(entry.get("created_by") or "")), 0, _seconds(str(entry.get("created") or "")), bool(entry.get("empty_layer"))
        )
        for entry in history
    ]


def _seconds(moment: str) -> int:
    """A time of an image's config as seconds since the epoch; 0 for none."""
    try:
        return int(datetime.fromisoformat(moment).timestamp())
    except ValueError:
        return 0


def _lines_with_layers(lines: Sequence[_Line], count: int) -> frozenset[int]:
    """Which lines made a layer: indexes into `lines`, at most `count`."""
    order = sorted(range(len(lines)), key=lambda index: _unlikelihood(lines, index))
    return frozenset([index for index in order if _may_have_layer(lines[index])][:count])


def _may_have_layer(line: _Line) -> bool:
    if line.is_empty is not None:
        return not line.is_empty
    # The root is there: no builder makes a layer for it.
    return line.size > 0 or (keyword(line.instruction) not in CONFIG_ONLY and line.instruction != "WORKDIR /")


def _unlikelihood(lines: Sequence[_Line], index: int) -> int:
    line = lines[index]
    if line.size or line.is_empty is False:
        return 0
    word = keyword(line.instruction)
    if word in ("COPY", "ADD"):
        return 1
    if word == "WORKDIR":
        # A second WORKDIR of the same folder finds it there.
        return 2 if line.instruction not in (earlier.instruction for earlier in lines[:index]) else 5
    # `RUN true` and its like add nothing.
    return 4 if line.instruction in ("RUN true", "RUN :") else 3
