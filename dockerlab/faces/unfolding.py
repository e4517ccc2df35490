"""How much of a graph of layers is drawn, so that it can be read on a page: which pieces unfold.

Runs unfold from each root up, those first on which most images with a name stand, as long as there are columns left; the branches that no
column is left for become one box, "7 images". Within a run, layers of no weight become one box where there are too many.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from dockerlab.image.graph import Forest, LayerNode

_COLUMNS: Final = 5  # boxes side by side that a page can hold
_ROOTS: Final = 12
_BOXES: Final = 44  # boxes from which on layers fold


@dataclass(frozen=True)
class Box:
    """kind: a layer, or several; images at one place; or whole branches with their images."""

    kind: Literal["layers", "image", "more"]
    layers: tuple[LayerNode, ...] = ()
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drawn:
    """edges: (below, above), indexes of boxes. rows: the lowest boxes, those side by side together. columns: boxes in the widest row."""

    boxes: tuple[Box, ...]
    edges: tuple[tuple[int, int], ...]
    rows: tuple[tuple[int, ...], ...]
    columns: int


def boxes(forest: Forest) -> Drawn:
    """What is drawn of a forest."""
    drawing = _Drawing(forest)
    drawing.draw()
    rows = _rows(drawing.widths)
    columns = max((sum(drawing.widths[root] for root in row) for row in rows), default=0)
    return Drawn(tuple(drawing.boxes), tuple(drawing.edges), tuple(map(tuple, rows)), columns)


def _rows(widths: Mapping[int, int]) -> list[list[int]]:
    """Roots side by side, as many as a page can hold; the widest first."""
    rows: list[list[int]] = []
    for root, width in sorted(widths.items(), key=lambda item: -item[1]):
        row = next((row for row in rows if sum(widths[other] for other in row) + width <= _COLUMNS), None)
        if row is None:
            rows.append([root])
        else:
            row.append(root)
    return rows


class _Drawing:
    """Chooses what unfolds, then puts boxes on each other."""

    def __init__(self, forest: Forest) -> None:
        self._forest, self._runs = forest, forest.runs
        named = {image.id for image in forest.images if image.names}
        self._weights = [
            (sum(name in named for name in (run.layers[-1].images if run.layers else run.ends)), run.images) for run in self._runs
        ]
        self.boxes: list[Box] = []
        self.edges: list[tuple[int, int]] = []
        # The lowest box of a root → columns on it.
        self.widths: dict[int, int] = {}
        # Run → those on it that are drawn, and those that are one box together.
        self._shown: dict[int, list[int]] = {}
        self._rest: dict[int, list[int]] = {}

    def draw(self) -> None:
        """All of it, from the roots."""
        roots = self._heaviest(self._forest.roots)
        if len(roots) > _ROOTS:
            roots, rest = roots[: _ROOTS - 1], roots[_ROOTS - 1 :]
            self.widths[self._box(self._closed(rest), None)] = 1
        columns = {root: self._unfold(root) for root in roots}
        kept = self._kept([*roots, *(index for above in self._shown.values() for index in above)])
        waiting: list[tuple[int, int | None]] = [(root, None) for root in sorted(roots, reverse=True)]
        while waiting:
            index, below = waiting.pop()
            if below is None:
                self.widths[len(self.boxes)] = columns[index]
            for layers in _folded(self._runs[index].layers, kept):
                below = self._box(Box("layers", layers), below)
            if ends := self._runs[index].ends:
                self._box(Box("image", (), ends), below)
            if closed := self._rest.get(index):
                self._box(self._closed(closed), below)
            waiting += [(above, below) for above in reversed(self._shown.get(index, []))]

    def _heaviest(self, indexes: Sequence[int]) -> list[int]:
        return sorted(indexes, key=lambda index: (*(-weight for weight in self._weights[index]), index))

    def _unfold(self, root: int) -> int:
        """Opens runs on a root as long as there are columns. How many it takes."""
        columns = 1
        waiting = [(-self._weights[root][0], -self._weights[root][1], root)]
        while waiting:
            index = heapq.heappop(waiting)[-1]
            above = self._heaviest(self._runs[index].above)
            # Its own column goes to the first on it, unless its image stands there.
            left = _COLUMNS - columns + (not self._runs[index].ends)
            shown = above if len(above) <= left else above[: max(left - 1, 0)]
            self._shown[index], self._rest[index] = sorted(shown), above[len(shown) :]
            if above:
                columns += len(shown) + (len(shown) < len(above)) - (not self._runs[index].ends)
            for one in shown:
                heapq.heappush(waiting, (-self._weights[one][0], -self._weights[one][1], one))
        return columns

    def _kept(self, drawn: Sequence[int]) -> int:
        """How many layers of a run are drawn each for itself, the largest; what is between them is folded."""
        counts = [len(self._runs[index].layers) for index in drawn]
        if sum(counts) <= _BOXES:
            return max(counts, default=0)
        return max(_BOXES - len(counts), 0) // (2 * len(counts))

    def _closed(self, closed: Sequence[int]) -> Box:
        """One box for branches that there is no room for."""
        layers: list[LayerNode] = []
        images: list[str] = []
        waiting = [*reversed(closed)]
        while waiting:
            run = self._runs[waiting.pop()]
            layers += run.layers
            images += run.ends
            waiting += reversed(run.above)
        return Box("more", tuple(layers), tuple(images))

    def _box(self, box: Box, below: int | None) -> int:
        self.boxes.append(box)
        here = len(self.boxes) - 1
        if below is not None:
            self.edges.append((below, here))
        return here


def _folded(layers: Sequence[LayerNode], kept: int) -> Iterator[tuple[LayerNode, ...]]:
    """The layers of a run, the `kept` largest each for itself."""
    if len(layers) <= max(kept, 1):
        yield from ((layer,) for layer in layers)
        return
    large = {layer.chain_id for layer in sorted(layers, key=lambda layer: -layer.size)[:kept]}
    quiet: list[LayerNode] = []
    for layer in layers:
        if layer.chain_id in large:
            if quiet:
                yield tuple(quiet)
                quiet = []
            yield (layer,)
        else:
            quiet.append(layer)
    if quiet:
        yield tuple(quiet)
