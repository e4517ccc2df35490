"""The layers of several images as one graph: those that images share are there once.

    found = forest([Stack("sha256:…", ("app:1",), layers), …])
    found.layers         LayerNode: each after the one that it lies on
    found.bases          image → the images that are built on it
    found.runs           Run: layers on which the same images stand, as one piece

A layer is known by its chain_id, which is its content and that of all below it: the same content on other layers is another layer. So
the graph is true of images that were pulled, of which a history says `<missing>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from dockerlab.image.layer import Layer


@dataclass(frozen=True, slots=True)
class Stack:
    """An image as what it is made of. id: whatever tells it from others. names: its references. history: its lines, the oldest first."""

    id: str
    names: tuple[str, ...]
    history: tuple[Layer, ...]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The lines that made a layer, the lowest first."""
        return tuple(layer for layer in self.history if not layer.empty)


@dataclass(frozen=True, slots=True)
class LayerNode:
    """A layer. below: the chain_id of the layer that it lies on, None for the lowest. images: ids of those that stand on it.

    instruction, size: as in `Layer`; where images tell different things of it, the first that tells any, and the most.
    """

    chain_id: str
    diff_id: str
    instruction: str
    size: int
    below: str | None
    images: tuple[str, ...]

    @property
    def is_shared(self) -> bool:
        """Whether several images stand on it."""
        return len(self.images) > 1


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of the graph that nothing leaves but at its top. layers: the lowest first; none for images without any.

    ends: ids of the images whose top it is. above: indexes of the runs that lie on it. images: how many stand on it. depth: how many
    runs are below.
    """

    layers: tuple[LayerNode, ...]
    ends: tuple[str, ...]
    above: tuple[int, ...]
    images: int
    depth: int


@dataclass(frozen=True)
class Forest:
    """images: in the order of their names, those without one last. layers: each after the one that it lies on."""

    images: tuple[Stack, ...]
    layers: tuple[LayerNode, ...]

    @cached_property
    def by_id(self) -> Mapping[str, Stack]:
        """The images by their ids."""
        return {image.id: image for image in self.images}

    @property
    def size(self) -> int:
        """Bytes of all layers, each counted once."""
        return sum(layer.size for layer in self.layers)

    @cached_property
    def bases(self) -> Mapping[str, tuple[str, ...]]:
        """Base images → those that are built on them.

        All layers of a base are below those of the other. Of several with the same layers those count whose history the other goes on
        with; all of them where it does with none.
        """
        tops: dict[str | None, list[Stack]] = {}
        for image in self.images:
            tops.setdefault(_top(image), []).append(image)
        said = {image.id: [line.instruction for line in image.history] for image in self.images}
        found: dict[str, list[str]] = {}
        by_chain = {layer.chain_id: layer for layer in self.layers}
        for top, here in tops.items():
            same = {image.id for image in here}
            for name in by_chain[top].images if top is not None else ():
                theirs = said[name]
                begun = [base for base in same if len(mine := said[base]) < len(theirs) and theirs[: len(mine)] == mine]
                for base in begun or (same if name not in same else ()):
                    found.setdefault(base, []).append(name)
        return {image.id: tuple(found[image.id]) for image in self.images if image.id in found}

    @cached_property
    def base_layers(self) -> frozenset[str]:
        """chain_ids of the layers that belong to a base image."""
        return frozenset(str(layer.chain_id) for name in self.bases for layer in self.by_id[name].layers)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """All runs, each before those above it; `above` of none names it if it is a root."""
        above: dict[str | None, list[LayerNode]] = {}
        for layer in self.layers:
            above.setdefault(layer.below, []).append(layer)
        ends: dict[str | None, list[str]] = {}
        for image in self.images:
            ends.setdefault(_top(image), []).append(image.id)
        return tuple(_runs(above, ends))

    @property
    def roots(self) -> tuple[int, ...]:
        """Indexes of the runs that lie on nothing."""
        return tuple(index for index, run in enumerate(self.runs) if run.depth == 0)

    def only(self, images: Iterable[str]) -> Forest:
        """The forest of some of its images."""
        kept = set(images)
        return forest([image for image in self.images if image.id in kept])


def forest(stacks: Sequence[Stack]) -> Forest:
    """The graph of these images. Of two of one id the first counts."""
    images = sorted(
        {stack.id: stack for stack in reversed(stacks)}.values(), key=lambda image: (not image.names, image.names, image.id)
    )
    said: dict[str, Layer] = {}
    below: dict[str, str | None] = {}
    standing: dict[str, list[str]] = {}
    for image in images:
        under: str | None = None
        for layer in image.layers:
            chain_id = str(layer.chain_id)
            known = said.setdefault(chain_id, layer)
            if known.size < layer.size or not known.instruction:
                size, text = max(known.size, layer.size), known.instruction or layer.instruction
                said[chain_id] = Layer(known.diff_id, chain_id, text, size, known.created)
            below.setdefault(chain_id, under)
            standing.setdefault(chain_id, []).append(image.id)
            under = chain_id
    layers = (
        LayerNode(chain_id, str(layer.diff_id), layer.instruction, layer.size, below[chain_id], tuple(standing[chain_id]))
        for chain_id, layer in said.items()
    )
    return Forest(tuple(images), tuple(layers))


def _top(image: Stack) -> str | None:
    layers = image.layers
    return layers[-1].chain_id if layers else None


def _runs(above: Mapping[str | None, Sequence[LayerNode]], ends: Mapping[str | None, Sequence[str]]) -> Iterator[Run]:
    """Runs in the order of their indexes: level by level, so that those above one are known by number before they are made."""
    level: list[LayerNode | None] = [*above.get(None, ())]
    if None in ends:
        level.append(None)  # images without a layer
    index, depth = len(level), 0
    while level:
        following: list[LayerNode | None] = []
        for start in level:
            layers = [] if start is None else [start]
            while layers and layers[-1].chain_id not in ends and len(above.get(layers[-1].chain_id, ())) == 1:
                layers += above[layers[-1].chain_id]
            top = layers[-1].chain_id if layers else None
            higher = above.get(top, ()) if layers else ()
            ending = tuple(ends.get(top, ()))
            standing = len(layers[-1].images) if layers else len(ending)
            yield Run(tuple(layers), ending, tuple(range(index, index + len(higher))), standing, depth)
            index += len(higher)
            following += higher
        level, depth = following, depth + 1
