"""A file tree with what one layer changed in it, as a frozen value.

    tree = tree_at(layers, 2)                the image up to the third layer, with what that layer changed
    tree.only("added", "removed")            the nodes that changed so, and the directories on the way to them
    tree.find("*.pyc")                       those of that name, path, or part of either
    tree["etc/passwd"]                       one node
    changes_at(layers, 2)                    the same as a list

What was removed is in the tree, too, marked as such; its bytes do not count in the directories above it. A layer that stores a file
again, byte for byte with the same mode and owner, has it unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from dockerlab.errors import NotFound
from dockerlab.image.files import Change, Contents, File
from dockerlab.image.stacking import Folder, State, implied


class Changed(NamedTuple):
    """What became of a path. file: what is there now; before: what was. One of the two may be None."""

    path: str
    change: Change
    file: File | None
    before: File | None

    @property
    def size(self) -> int:
        """Bytes that are there, or were."""
        return (self.file or self.before or File("")).size


class Counts(NamedTuple):
    """How many changed how, in a directory and all below it, itself included."""

    added: int = 0
    modified: int = 0
    removed: int = 0


_NOTHING = Counts()
_ONE = {"added": Counts(1), "modified": Counts(0, 1), "removed": Counts(0, 0, 1), "unchanged": _NOTHING}


class Node(NamedTuple):
    """A file or a directory. size: of all that is there at it and below; files: how many are no directories.

    layer: the index of the layer that stores it, None for a directory that none does. before: what was there, if it is modified.
    """

    name: str
    file: File
    change: Change
    layer: int | None
    before: File | None = None
    children: tuple[Node, ...] = ()
    size: int = 0
    files: int = 0
    counts: Counts = _NOTHING

    def __repr__(self) -> str:
        return f"Node({self.file.path!r}, {self.change}, {self.size} bytes, {len(self.children)} children)"

    @property
    def path(self) -> str:
        """From the root, without the first slash."""
        return self.file.path

    @property
    def is_directory(self) -> bool:
        return self.file.kind == "directory"

    def walk(self) -> Iterator[Node]:
        """All nodes of it, itself first, in the order of names."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += reversed(node.children)


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
                made = _node(node.file, node.change, node.layer, node.before, children, itself)
                if parent is None:
                    return Tree(made)
                kept.setdefault(id(parent), []).append(made)
        raise AssertionError("unreachable")


def tree_at(layers: Sequence[Contents], index: int) -> Tree:
    """The image up to the layer `index`, with what that one changed. -1: of no layer at all."""
    step = _Step(layers, index)
    places = {id(file): place for place, contents in enumerate(layers[: index + 1]) for file in contents.files}
    return Tree(_node_of(step.state.root, {change.path: change for change in step.changes()}, places))


def changes_at(layers: Sequence[Contents], index: int) -> tuple[Changed, ...]:
    """What the layer `index` changed, stored or removed, in the order of paths; what it stores again unchanged is among it."""
    return tuple(sorted(_Step(layers, index).changes(), key=lambda change: change.path.split("/")))


def changed_trees(layers: Sequence[Contents]) -> Iterator[Tree]:
    """Of one layer after the other a tree of no more than what it added, modified and removed, and the directories above."""
    step = _Step(layers, -1)
    for index, contents in enumerate(layers):
        step.apply(contents)
        changed = {change.path: change for change in step.changes() if change.change != "unchanged"}
        above: dict[str, File] = {}
        for path in changed:
            while (path := path.rpartition("/")[0]) and path not in above and path not in changed:
                entry = step.state.find(path)
                above[path] = entry.file if isinstance(entry, Folder) else implied(path)
        small = State()
        small.apply(Contents((*above.values(), *(change.file for change in changed.values() if change.file))))
        yield Tree(_node_of(small.root, changed, dict.fromkeys(map(id, contents.files), index)))


class _Step:
    """What happens when a layer is laid on those below. state: after it."""

    def __init__(self, layers: Sequence[Contents], index: int) -> None:
        self.state = State()
        self._hidden: dict[str, File] = {}
        self._stored: list[File] = []
        for contents in layers[: max(index, 0)]:
            self.state.apply(contents)
        if index >= 0:
            self.apply(layers[index])

    def apply(self, contents: Contents) -> None:
        """Lays one more on top; `changes` are then those of this one."""
        made = len(self.state.made)
        self._hidden.clear()
        self.state.apply(contents, self._hide)
        self._stored = [*contents.files, *self.state.made[made:]]

    def _hide(self, path: str, files: list[File]) -> None:
        for file in files:
            # A path may be hidden twice, as when a directory that is stored again gives way to a file: what was there first counts.
            self._hidden.setdefault(file.path, file)

    def changes(self) -> Iterator[Changed]:
        """One for each path that the layer stores or hides."""
        own = {id(file) for file in self._stored} if self._hidden else set()
        before = {path: file for path, file in self._hidden.items() if id(file) not in own}
        for path in dict.fromkeys([*[file.path for file in self._stored], *before]):
            now, old = self.state.find(path), before.get(path)
            file = now.file if isinstance(now, Folder) else now
            if file is None:
                if old is not None:
                    yield Changed(path, "removed", None, old)
            elif path:
                yield Changed(path, "added" if old is None else "unchanged" if file.same(old) else "modified", file, old)


def _node_of(root: Folder, changed: dict[str, Changed], places: dict[int, int]) -> Node:
    gone: dict[str, list[File]] = {}
    for change in changed.values():
        if change.file is None and change.before is not None:
            gone.setdefault(change.path.rpartition("/")[0], []).append(change.before)
    order: list[tuple[File, Folder | None, int]] = [(root.file, root, -1)]
    for place, (file, folder, _) in enumerate(order):
        order += [(e.file, e, place) if isinstance(e, Folder) else (e, None, place) for e in (folder or {}).values()]
        order += [(lost, None, place) for lost in gone.get(file.path, ())]
    children: dict[int, list[Node]] = {}
    for place in range(len(order) - 1, -1, -1):
        file, _, parent = order[place]
        found = changed.get(file.path)
        below = children.pop(place, [])
        below.sort(key=_name)
        before = found.before if found and found.file else None
        node = _node(file, found.change if found else "unchanged", places.get(id(file)), before, tuple(below))
        if parent < 0:
            return node
        children.setdefault(parent, []).append(node)
    raise AssertionError("unreachable")


def _name(node: Node) -> str:
    return node.name


def _node(
    file: File, change: Change, layer: int | None, before: File | None, children: tuple[Node, ...], itself: bool = True
) -> Node:
    """With sizes and counts. itself: whether the node's own count, or it is only on the way to others."""
    size = file.size if itself else 0
    files = int(file.kind != "directory") if itself else 0
    counts = _ONE[change] if itself else _NOTHING
    if children:
        gone = change == "removed"
        added, modified, removed = counts
        for child in children:
            if gone or child.change != "removed":
                size += child.size
                files += child.files
            if child.counts is not _NOTHING:
                added += child.counts.added
                modified += child.counts.modified
                removed += child.counts.removed
        counts = Counts(added, modified, removed) if added or modified or removed else _NOTHING
    return Node(file.path.rpartition("/")[2], file, change, layer, before, children, size, files, counts)
