"""What `explore` and `diff` answer: values that show themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from dockerlab.errors import UsageError
from dockerlab.faces import explorer as faces
from dockerlab.faces.shown import Shown
from dockerlab.image import Layer
from dockerlab.image.accounting import Line, followed
from dockerlab.image.archive import Described
from dockerlab.image.changes import Changed, changes_at
from dockerlab.image.comparison import Comparison
from dockerlab.image.files import CHANGES, Change, Contents, File
from dockerlab.image.stacking import State
from dockerlab.image.tree import Node, Tree, changed_trees, tree_at, tree_of
from dockerlab.image.waste import Waste, measure

if TYPE_CHECKING:
    from dockerlab.builds import Build


@dataclass(frozen=True, eq=False, repr=False)
class LayerTree(Shown):
    """The files of an image up to a layer, with what that layer changed. layer: its index, None for a line that made none."""

    name: str
    title: str
    tree: Tree
    layer: int | None = None
    depth: int | None = None
    filtered: bool = False

    @property
    def root(self) -> Node:
        """The directory that all lies in."""
        return self.tree.root

    def walk(self) -> Iterator[Node]:
        """All nodes, in the order of paths."""
        return self.tree.walk()

    def __getitem__(self, path: str) -> Node:
        """The node at a path. Raises NotFound."""
        return self.tree[path]

    def only(self, *changes: Change) -> LayerTree:
        """What changed so: "added", "modified", "removed", "unchanged"."""
        if wrong := [change for change in changes if change not in CHANGES]:
            raise UsageError(f"no change is called '{wrong[0]}'", hint=f"There are: {', '.join(CHANGES)}.")
        return replace(self, tree=self.tree.only(*changes), filtered=True)

    def find(self, pattern: str) -> LayerTree:
        """What has that name or path: `*`, `?`, `[…]` as in a shell; without them, any part of the path."""
        return replace(self, tree=self.tree.find(pattern), filtered=True)

    def _text(self) -> str:
        return faces.tree_text(self)

    def _table(self) -> str:
        return faces.tree_table(self)

    def _html(self) -> str:
        return faces.tree_html(self)


@dataclass(frozen=True, eq=False, repr=False)
class ExploredLayer:
    """One layer. index: from 0, the lowest. line: of the image's history. size: bytes of the files that it stores."""

    index: int
    line: Layer
    exploration: Exploration

    def __repr__(self) -> str:
        return f"layer {self.index + 1}: {self.instruction or 'no instruction is recorded'}"

    @property
    def instruction(self) -> str:
        return self.line.instruction

    @property
    def dockerfile_line(self) -> int | None:
        """Of the Dockerfile, where the image was built from this notebook."""
        return self.exploration.written.get(self.index)

    @property
    def size(self) -> int:
        return self.exploration.contents[self.index].size

    @property
    def files(self) -> tuple[File, ...]:
        """What it stores, in the order of its tar."""
        return self.exploration.contents[self.index].files

    @property
    def changes(self) -> tuple[Changed, ...]:
        """What it changed, in the order of paths."""
        return changes_at(self.exploration.contents, self.index)

    @property
    def tree(self) -> LayerTree:
        """The image up to it, with what it changed."""
        return self.exploration.tree(self.index)


@dataclass(frozen=True, eq=False, repr=False)
class Exploration(Shown):
    """An image's layers and their files. lines: of its history, the oldest first; contents: of its layers, the lowest first.

    written: of layers, by index, the line of the Dockerfile that made it; empty where the build is not known.
    """

    name: str
    described: Described
    lines: tuple[Layer, ...]
    contents: tuple[Contents, ...]
    written: Mapping[int, int] = field(default_factory=dict)

    @property
    def layers(self) -> tuple[ExploredLayer, ...]:
        """Its layers, the lowest first."""
        made = [line for line in self.lines if not line.empty]
        return tuple(ExploredLayer(index, line, self) for index, line in enumerate(made))

    @cached_property
    def _measured(self) -> tuple[Waste, State]:
        state = State()
        return measure(self.contents, state), state

    @property
    def waste(self) -> Waste:
        """What it carries that nobody sees, and dive's score."""
        return self._measured[0]

    def changed_trees(self) -> Iterator[Tree]:
        """Of one layer after the other a tree of what it changed alone: all of them for the price of one."""
        return changed_trees(self.contents)

    @cached_property
    def files(self) -> LayerTree:
        """The image's files, with none marked as changed."""
        return LayerTree(self.name, "all files", tree_of(self.contents, self._measured[1]))

    def tree(self, index: int) -> LayerTree:
        """The image up to a layer, by its index, with what that layer changed. Raises UsageError where there is none."""
        count = len(self.contents)
        if not -count <= index < count:
            raise UsageError(f"image {self.name} has no layer {index + 1}", hint=f"It has {count}, the base first.")
        index %= count
        return LayerTree(self.name, repr(self.layers[index]), tree_at(self.contents, index), index)

    def at(self, line: int) -> LayerTree:
        """The image up to a line of its history, by its index; a line that made no layer changed no file."""
        below = sum(not layer.empty for layer in self.lines[: line + 1])
        if not self.lines[line].empty:
            return self.tree(below - 1)
        tree = tree_at((*self.contents[:below], Contents()), below)
        return LayerTree(self.name, self.lines[line].instruction, tree)

    def view(
        self,
        layer: int | None = None,
        changed: Sequence[Change] = (),
        find: str | None = None,
        depth: int | None = None,
    ) -> LayerTree:
        """A tree of it. layer: its number, from 1; None for all files of the image. depth: of directories that are open."""
        if layer is not None and not 1 <= layer <= len(self.contents):
            raise UsageError(f"image {self.name} has no layer {layer}", hint=f"It has {len(self.contents)}, the base first.")
        found = self.files if layer is None else self.tree(layer - 1)
        if changed and layer is None:
            raise UsageError("what is changed is seen from one layer", hint="Name it, too: `--layer N`.")
        found = found.only(*changed) if changed else found
        found = found.find(find) if find else found
        return replace(found, depth=depth)

    def called(self, name: str, build: Build | None = None) -> Exploration:
        """The same under another name. build: that made it; its steps name the lines of the Dockerfile."""
        other = replace(self, name=name, written=_written(self, build) if build else {})
        if "_measured" in self.__dict__:
            other.__dict__["_measured"] = self._measured
        return other

    def _text(self) -> str:
        return faces.exploration_text(self)

    def _table(self) -> str:
        return faces.exploration_table(self)

    def _html(self) -> str:
        return faces.exploration_html(self)


def _written(exploration: Exploration, build: Build) -> dict[int, int]:
    """Of each layer, by its index, the line of the Dockerfile that made it; none of the base image's, of which it tells nothing."""
    rows = [row for row in build.pipeline.chain if row.adds != "base"]
    found = followed([row.keyword for row in rows], [Line(line.instruction, line.size) for line in exploration.lines])
    layers = [place for place, line in enumerate(exploration.lines) if not line.empty]
    by_place = {place: rows[at].line for at, place in (found or {}).items()}
    return {index: line for index, place in enumerate(layers) if (line := by_place.get(place))}


@dataclass(frozen=True, eq=False, repr=False)
class ImagesDiff(Shown):
    """From one image to another. layers: how many each has; shared: how many of the lowest are the same."""

    names: tuple[str, str]
    comparison: Comparison
    layers: tuple[int, int]
    shared: int

    @property
    def files(self) -> tuple[Changed, ...]:
        """The files that differ; "added" is in the second alone."""
        return self.comparison.files

    def _text(self) -> str:
        return faces.diff_text(self)

    def _table(self) -> str:
        return faces.diff_table(self)

    def _html(self) -> str:
        return faces.diff_html(self)
