"""What a layer changed: of each path that it stores or hides what became of it.

    changes_at(layers, 2)          of the third layer, in the order of paths
    step = Step(layers, 2)         the same in any order, `step.changes()`; and the image with that layer, `step.state`
    step.apply(layer)              one layer further

A layer that stores a file again, byte for byte with the same mode and owner, has it unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dockerlab.image.files import Change, Contents, File
from dockerlab.image.stacking import Folder, State

_new = tuple.__new__  # of a named tuple, in a third of the time


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

    @property
    def is_directory(self) -> bool:
        """It is one, or was."""
        return (self.file or self.before or File("")).kind == "directory"


def changes_at(layers: Sequence[Contents], index: int) -> tuple[Changed, ...]:
    """What the layer `index` changed, stored or removed, in the order of paths; what it stores again unchanged is among it."""
    return tuple(sorted(Step(layers, index).changes(), key=lambda change: change.path.split("/")))


class Step:
    """What happens when a layer is laid on those below. state: after it."""

    def __init__(self, layers: Sequence[Contents], index: int) -> None:
        self.state = State()
        self._hidden: list[File] = []
        self._stored: list[File] = []
        for contents in layers[: max(index, 0)]:
            self.state.apply(contents)
        if index >= 0:
            self.apply(layers[index])

    def apply(self, contents: Contents) -> None:
        """Lays one more on top; `changes` are then those of this one."""
        made = len(self.state.made)
        self._hidden.clear()
        self.state.apply(contents, lambda _, files: self._hidden.extend(files))
        self._stored = [*contents.files, *self.state.made[made:]]

    def changes(self) -> list[Changed]:
        """One for each path that the layer stores or hides."""
        if not self._hidden:
            return [_new(Changed, (file.path, "added", file, None)) for file in self._stored if file.path]
        own = {id(file) for file in self._stored}
        first: dict[str, File] = {}
        for file in self._hidden:
            # A path may be hidden twice, as when a directory that is stored again gives way to a file: what was there first counts.
            first.setdefault(file.path, file)
        before = {path: file for path, file in first.items() if id(file) not in own}
        if own.isdisjoint(map(id, self._hidden)):
            stored = {file.path: file for file in self._stored}
        else:
            stored = self._left({file.path for file in self._stored})
        found = [
            _new(Changed, (path, _change(old, file) if (old := before.get(path)) else "added", file, old))
            for path, file in stored.items()
            if path
        ]
        found += [_new(Changed, (path, "removed", None, before[path])) for path in before if path not in stored]
        return found

    def _left(self, paths: set[str]) -> dict[str, File]:
        """What is at the paths in the end: a layer may hide what it stores itself."""
        entries = ((path, self.state.find(path)) for path in paths)
        return {path: entry.file if isinstance(entry, Folder) else entry for path, entry in entries if entry is not None}


def _change(before: File, file: File) -> Change:
    return "unchanged" if file.same(before) else "modified"
