"""The explorer, live: a click on a layer shows its tree, what is typed is searched for in all of its files, and directories unfold.

Trees are made when they are asked for, and kept for as long as the view is there.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dockerlab.errors import UsageError
from dockerlab.faces.explorer_live import ALL, IN_ONE, LiveFace, path_of
from dockerlab.image.files import CHANGES
from dockerlab.notebook.view import LiveView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dockerlab.image.files import Change
    from dockerlab.image.tree import Node
    from dockerlab.images.explored import Exploration, LayerTree
    from dockerlab.notebook.session import Session

# Lines that are open at first: of what changed, and of what was looked for.
_CHANGED: Final = 120
_FOUND: Final = 300


class LiveExplorer:
    """Shows it in the cell that runs. layer, changed, find: what it begins with, as of `Exploration.view`; without them, with what the last
    layer changed.

    Raises UsageError for a layer that is not there.
    """

    def __init__(
        self,
        session: Session,
        exploration: Exploration,
        *,
        layer: int | None = None,
        changed: Sequence[Change] = (),
        find: str | None = None,
    ) -> None:
        if layer is not None or changed:
            exploration.view(layer, changed)
        self._changing = threading.Lock()
        self._trees: dict[int | None, LayerTree] = {}
        self._exploration = exploration
        number = layer or (None if find else len(exploration.contents) or None)
        begun = None if number is None else number - 1
        self._face = self._made(LiveFace(exploration, self._tree(begun), begun, frozenset(changed), find or ""))
        actions = {"layer": self._choose, "kind": self._filter, "find": self._search, "open": self._open}
        self._view = LiveView(session, self._face, actions=actions)

    def _choose(self, value: str) -> None:
        with self._changing:
            layer = None if value == ALL else int(value)
            kinds: frozenset[Change] = self._face.kinds if layer is not None else frozenset()
            self._show(replace(self._face, layer=layer, kinds=kinds))

    def _filter(self, value: str) -> None:
        with self._changing:
            kind = next((change for change in CHANGES if change == value), None)
            if kind is None:
                raise UsageError(f"no change is called '{value}'")
            self._show(replace(self._face, kinds=self._face.kinds ^ {kind}))

    def _search(self, value: str) -> None:
        with self._changing:
            self._show(replace(self._face, find=value.strip()))

    def _open(self, value: str) -> None:
        with self._changing:
            self._face = replace(self._face, opened=self._face.opened ^ {path_of(value)})
            self._view.show(self._face)

    def _show(self, chosen: LiveFace) -> None:
        self._face = self._made(chosen)
        self._view.show(self._face)

    def _made(self, chosen: LiveFace) -> LiveFace:
        """With its tree, and open what is worth it: the way to what was found, else to what changed."""
        tree = self._tree(chosen.layer)
        if chosen.kinds:
            tree = tree.only(*chosen.kinds)
        if chosen.find:
            tree = tree.find(chosen.find)
        is_narrow = bool(chosen.find or chosen.kinds)
        return replace(chosen, tree=tree, opened=_opened(tree.root, _FOUND if is_narrow else _CHANGED, changed=not is_narrow))

    def _tree(self, layer: int | None) -> LayerTree:
        if layer not in self._trees:
            self._trees[layer] = self._exploration.files if layer is None else self._exploration.tree(layer)
        return self._trees[layer]


def _opened(root: Node, most: int, *, changed: bool) -> frozenset[str]:
    """Directories from the root down, level by level, as long as what is open can be read. changed: only those with a change."""
    found: list[str] = []
    level = [root]
    lines = 0
    while level and lines < most:
        following = [child for node in level for child in node.children if child.is_directory and child.children]
        if changed:
            following = [node for node in following if any(node.counts)]
        level = []
        for node in following:
            if lines + (shown := min(len(node.children), IN_ONE)) <= most:
                lines += shown
                found.append(node.path)
                level.append(node)
    return frozenset(found)
