"""A file tree with what one layer changed in it, as a value.

    tree = tree_at(layers, 2)                the image up to the third layer, with what that layer changed
    tree.only("added", "removed")            the nodes that changed so, and the directories on the way to them
    tree.find("*.pyc")                       those of that name, path, or part of either
    tree["etc/passwd"]                       one node

What was removed is in the tree, too, marked as such; its bytes do not count in the directories above it. The sums of directories are made
with the tree, and their nodes when they are asked for: of most trees little is ever seen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from fnmatch import fnmatchcase
from operator import add
from typing import NamedTuple

from dockerlab.errors import NotFound
from dockerlab.image.changes import Changed, Step
from dockerlab.image.files import Change, Contents, File
from dockerlab.image.stacking import Folder, State, implied


class Counts(NamedTuple):
    """How many changed how, in a directory and all below it, itself included."""

    added: int = 0
    modified: int = 0
    removed: int = 0


_NOTHING = Counts()
_ONE = {"added": Counts(1), "modified": Counts(0, 1), "removed": Counts(0, 0, 1), "unchanged": _NOTHING}
_COUNTED = {"added": 2, "modified": 3, "removed": 4}
Sums = tuple[int, int, Counts]  # bytes, files, changes


class Node:
    """A file or a directory. size: of all that is there at it and below; files: how many are no directories.

    before: what was there, if it is modified. counts: of changes, at it and below.
    """

    __slots__ = ("_children", "_origin", "before", "change", "counts", "file", "files", "name", "size")

    def __init__(
        self, origin: _Origin, file: File, change: Change, before: File | None, sums: Sums, children: tuple[Node, ...] | None = None
    ) -> None:
        self.name = file.path.rpartition("/")[2]
        self.file, self.change, self.before = file, change, before
        self.size, self.files, self.counts = sums
        self._origin, self._children = origin, children

    def __repr__(self) -> str:
        return f"Node({self.file.path!r}, {self.change}, {self.size} bytes, {len(self.children)} children)"

    @property
    def path(self) -> str:
        """From the root, without the first slash."""
        return self.file.path

    @property
    def is_directory(self) -> bool:
        return self.file.kind == "directory"

    @property
    def children(self) -> tuple[Node, ...]:
        """What is in it, and what was removed from it, in the order of names."""
        if self._children is None:
            self._children = self._origin.children(self.path)
        return self._children

    @property
    def count(self) -> int:
        """How many children it has."""
        return self._origin.count(self.path) if self._children is None else len(self._children)

    @property
    def layer(self) -> int | None:
        """The index of the layer that stores it, None for a directory that none does."""
        return self._origin.layer(self.file)

    def walk(self) -> Iterator[Node]:
        """All nodes of it, itself first, in the order of names."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += reversed(node.children)

    def with_only(self, children: tuple[Node, ...], itself: bool) -> Node:
        """With no more than these children. itself: whether it counts, or it is only on the way to them."""
        size, files, counts = _own(self.file, self.change) if itself else (0, 0, _NOTHING)
        for child in children:
            if self.change == "removed" or child.change != "removed":
                size += child.size
                files += child.files
            counts = Counts(*map(add, counts, child.counts))
        return Node(self._origin, self.file, self.change, self.before, (size, files, counts), children)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Tree:
    """All files of an image up to a layer. root: the directory that all lies in."""

    root: Node

    def __repr__(self) -> str:
        return f"Tree({self.root.files} files, {self.root.size} bytes)"

    def walk(self) -> Iterator[Node]:
        """All nodes but the root, in the order of paths."""
        nodes = self.root.walk()
        next(nodes)
        return nodes

    def __getitem__(self, path: str) -> Node:
        """The node at a path. Raises NotFound, which is a LookupError."""
        node = self.root
        for name in [part for part in path.split("/") if part]:
            found = next((child for child in node.children if child.name == name), None)
            if found is None:
                raise NotFound(f"no file '{path}' in the tree", hint="`tree.find(PATTERN)` searches.")
            node = found
        return node

    def only(self, *changes: Change) -> Tree:
        """The nodes that changed so, and the directories on the way to them; sizes are of those."""
        return self._kept(lambda node: node.change in changes)

    def find(self, pattern: str) -> Tree:
        """The nodes whose name or path fits, with all below them: `*`, `?` and `[…]` as a shell has them, else a part of the path."""
        if any(sign in pattern for sign in "*?["):
            fits = pattern.lstrip("/")
            return self._kept(lambda node: fnmatchcase(node.name, fits) or fnmatchcase(node.path, fits), whole=True)
        part = pattern.lower().lstrip("/")
        return self._kept(lambda node: part in node.path.lower(), whole=True)

    def _kept(self, wanted: Callable[[Node], bool], whole: bool = False) -> Tree:
        """whole: with a node all below it."""
        keep: set[int] = set()
        order: list[tuple[Node, Node | None]] = [(self.root, None)]
        for node, parent in order:
            order += [(child, node) for child in node.children]
            if (whole and id(parent) in keep) or (parent is not None and wanted(node)):
                keep.add(id(node))
        kept: dict[int, list[Node]] = {}
        for node, parent in reversed(order):
            children = tuple(reversed(kept.pop(id(node), ())))
            itself = id(node) in keep
            if children or itself or parent is None:
                made = node.with_only(children, itself)
                if parent is None:
                    return Tree(made)
                kept.setdefault(id(parent), []).append(made)
        raise AssertionError("unreachable")


def tree_at(layers: Sequence[Contents], index: int) -> Tree:
    """The image up to the layer `index`, with what that one changed. -1: of no layer at all."""
    step = Step(layers, index)
    return Tree(_Whole(layers[: index + 1], step.state.root, step.changes()).root())


def tree_of(layers: Sequence[Contents], state: State) -> Tree:
    """The files of an image, none of them marked as changed. state: on which its layers were laid; the tree keeps it."""
    return Tree(_Whole(layers, state.root, ()).root())


def changed_trees(layers: Sequence[Contents]) -> Iterator[Tree]:
    """Of one layer after the other a tree of no more than what it added, modified and removed, and the directories above."""
    step = Step(layers, -1)

    def directory(path: str) -> File:
        entry = step.state.find(path)
        return entry.file if isinstance(entry, Folder) else implied(path)

    for index, contents in enumerate(layers):
        step.apply(contents)
        yield Tree(_Changes(layers[: index + 1], step.changes(), directory).root())


class _Origin(ABC):
    """What the nodes of a tree are made of. layers: that were laid, the lowest first.

    sums: of each path that something is in, or was: bytes and files; what is added, modified, removed.
    """

    def __init__(self, layers: Sequence[Contents]) -> None:
        self._layers = layers
        self._places: dict[int, int] = {}
        self._sums: dict[str, list[int]] = {}

    @abstractmethod
    def children(self, path: str) -> tuple[Node, ...]:
        """Nodes for what is in a directory, or was, in the order of names."""

    @abstractmethod
    def count(self, path: str) -> int:
        """How many there are."""

    def layer(self, file: File) -> int | None:
        """The index of the layer that stores it."""
        if not self._places:
            self._places = {id(file): place for place, contents in enumerate(self._layers) for file in contents.files}
        return self._places.get(id(file))

    def _node(self, changed: Changed) -> Node:
        path, change, file, before = changed
        now = file or before or File(path)
        if file is None:
            before = None
        if sums := self._sums.get(path):
            size, files, *counts = sums
            return Node(self, now, change, before, (size, files, Counts(*counts) if any(counts) else _NOTHING))
        return Node(self, now, change, before, _own(now, change), ())

    def _add_up(self, gone: Set[str]) -> None:
        """From below. gone: paths; what was removed has no bytes in what is above, but in what was removed with it."""
        for path in sorted(self._sums, key=_depth, reverse=True):
            if path:
                parent = path.rpartition("/")[0]
                own, sums = self._sums[path], self._sums[parent]
                for place in range(0 if path not in gone or parent in gone else 2, 5):
                    sums[place] += own[place]


class _Whole(_Origin):
    """All files, in folders, with what was changed."""

    def __init__(self, layers: Sequence[Contents], root: Folder, changes: Iterable[Changed]) -> None:
        super().__init__(layers)
        self._folders = {"": root}
        self._changed = {change.path: change for change in changes}
        self._gone: dict[str, list[Changed]] = {}  # by the directory
        for change in self._changed.values():
            if change.file is None:
                self._gone.setdefault(change.path.rpartition("/")[0], []).append(change)
        self._sum()

    def root(self) -> Node:
        return self._node(Changed("", "unchanged", self._folders[""].file, None))

    def children(self, path: str) -> tuple[Node, ...]:
        entries = self._folders[path].values() if path in self._folders else ()
        files = [entry.file if isinstance(entry, Folder) else entry for entry in entries]
        there = [self._changed.get(file.path) or Changed(file.path, "unchanged", file, None) for file in files]
        return tuple(sorted(map(self._node, [*there, *self._gone.get(path, ())]), key=_name))

    def count(self, path: str) -> int:
        return len(self._folders.get(path, ())) + len(self._gone.get(path, ()))

    def _sum(self) -> None:
        sums = self._sums
        waiting = [self._folders[""]]
        for folder in waiting:
            size = files = 0
            for entry in folder.values():
                if isinstance(entry, Folder):
                    waiting.append(entry)
                elif entry.path not in self._gone:
                    size += entry.size
                    files += 1
            path = folder.file.path
            self._folders[path] = folder
            sums[path] = [size, files, 0, 0, 0]
        for path in self._gone.keys() - sums.keys():
            # It is gone itself, or a file stands in the place of a directory.
            file = self._changed[path].file
            sums[path] = [file.size if file else 0, int(file is not None), 0, 0, 0]
        gone = {change.path for changes in self._gone.values() for change in changes}
        for path in self._gone.keys() & gone:
            for change in self._gone[path]:
                if change.path not in sums:
                    sums[path][0] += change.size
                    sums[path][1] += not change.is_directory
        for path, change in self._changed.items():
            if change.change != "unchanged":
                sums[path if path in sums else path.rpartition("/")[0]][_COUNTED[change.change]] += 1
        self._add_up(gone)


class _Changes(_Origin):
    """What was changed, and the directories above. directory: what is at the path of one that was not."""

    def __init__(self, layers: Sequence[Contents], changes: Iterable[Changed], directory: Callable[[str], File]) -> None:
        super().__init__(layers)
        self._in: dict[str, list[Changed]] = {"": []}
        self._root = directory("")
        gone, there = set[str](), set[str]()
        for change in changes:
            if change.change == "unchanged":
                continue
            parent = change.path.rpartition("/")[0]
            if parent in self._in:
                self._in[parent].append(change)
            else:
                self._in[parent] = [change]
            if change.file is None:
                gone.add(change.path)
            elif change.file.kind == "directory":
                there.add(change.path)
        if gone:
            # A file may stand in the place of a directory.
            there |= {change.path for inside in self._in.values() for change in inside if change.path in self._in}
        for path in tuple(self._in):
            while path and path not in there:
                there.add(path)
                parent = path.rpartition("/")[0]
                self._in.setdefault(parent, []).append(Changed(path, "unchanged", directory(path), None))
                path = parent
        for path, inside in self._in.items():
            self._sums.setdefault(path, [0] * 5)
            self._sum(path, inside, is_gone=path in gone)
        self._add_up(gone)

    def root(self) -> Node:
        return self._node(Changed("", "unchanged", self._root, None))

    def children(self, path: str) -> tuple[Node, ...]:
        return tuple(sorted(map(self._node, self._in.get(path, ())), key=_name))

    def count(self, path: str) -> int:
        return len(self._in.get(path, ()))

    def _sum(self, path: str, inside: Sequence[Changed], *, is_gone: bool) -> None:
        """Of what is in a directory, but for what something is in itself: of that no more than itself."""
        sums = self._sums[path]
        for child, change, file, before in inside:
            now = file or before
            where = sums
            if child in self._in:
                where = self._sums.setdefault(child, [0] * 5)
            if now and now.kind != "directory" and (file or is_gone or where is not sums):
                where[0] += now.size
                where[1] += 1
            if change != "unchanged":
                where[_COUNTED[change]] += 1


def _own(file: File, change: Change) -> Sums:
    return file.size, int(file.kind != "directory"), _ONE[change]


def _name(node: Node) -> str:
    return node.name


def _depth(path: str) -> int:
    return path.count("/") + bool(path)
