"""An image's layers, each with the instruction that made it.

An image's config lists its layers (`rootfs.diff_ids`) and, apart from them, its history, in which each line either made a layer or only
changed the config. Which did which is in the config (`empty_layer`) but not in what an engine answers (`GET /images/NAME/history`): there
a line has a size. `layers` joins the two again. A line that has bytes made a layer; as many lines without bytes as layers are then
missing made one too, the likeliest first. The one case that cannot be told apart, because no engine says it: a RUN that changed no
bytes but made a directory, and one that changed nothing.

diff_id: the digest of a layer's uncompressed tar. chain_id: that of a layer together with all below it, by which engines keep layers
(https://github.com/opencontainers/image-spec/blob/main/config.md#layer-chainid).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dockerlab.image.instruction import clean, keyword

_CONFIG_ONLY = frozenset(
    "ARG CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL MAINTAINER ONBUILD SHELL STOPSIGNAL USER VOLUME".split()
)


@dataclass(frozen=True, slots=True)
class Layer:
    """A line of an image's history, and the layer that it made.

    diff_id, chain_id: of that layer; None for a line that changed only the config. instruction: cleaned, on one line. size: bytes.
    created: seconds since the epoch.
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


def layers(history: Sequence[Mapping[str, Any]], diff_ids: Sequence[str]) -> tuple[Layer, ...]:
    """The history's lines, the oldest first, each with its layer.

    history: as the Engine API answers it, newest first. diff_ids: `RootFS.Layers`, the lowest first. Layers that no line accounts for
    (an image that was imported or squashed) come first, without an instruction; so none is ever lost.
    """
    lines = [(clean(str(entry.get("CreatedBy") or "")), max(int(entry.get("Size") or 0), 0), entry) for entry in reversed(history)]
    made = _lines_with_layers([(instruction, size) for instruction, size, _ in lines], len(diff_ids))
    ids = list(zip(diff_ids, chain_ids(diff_ids), strict=True))
    unexplained = len(ids) - len(made)
    result = [Layer(*pair, instruction="", size=0, created=0) for pair in ids[:unexplained]]
    waiting = iter(ids[unexplained:])
    for index, (instruction, size, entry) in enumerate(lines):
        diff_id, chain_id = next(waiting) if index in made else (None, None)
        result.append(Layer(diff_id, chain_id, instruction, size, int(entry.get("Created") or 0)))
    return tuple(result)


def chain_ids(diff_ids: Sequence[str]) -> tuple[str, ...]:
    """The chain_id of each layer: its own diff_id for the lowest, else the digest of `<chain_id below> <diff_id>`."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(f"sha256:{hashlib.sha256(f'{chain[-1]} {diff_id}'.encode()).hexdigest()}" if chain else diff_id)
    return tuple(chain)


def _lines_with_layers(lines: Sequence[tuple[str, int]], count: int) -> frozenset[int]:
    """Which lines made a layer: indexes into `lines`, at most `count`."""
    order = sorted(range(len(lines)), key=lambda index: _unlikelihood(lines, index))
    likely = [index for index in order if lines[index][1] or keyword(lines[index][0]) not in _CONFIG_ONLY]
    return frozenset(likely[:count])


def _unlikelihood(lines: Sequence[tuple[str, int]], index: int) -> int:
    instruction, size = lines[index]
    if size:
        return 0
    word = keyword(instruction)
    if word in ("COPY", "ADD"):
        return 1
    if word == "WORKDIR":
        # A second WORKDIR of the same folder finds it there.
        return 2 if instruction not in (earlier for earlier, _ in lines[:index]) else 5
    # `RUN true` and its like add nothing.
    return 4 if instruction in ("RUN true", "RUN :") else 3
