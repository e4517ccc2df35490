"""Root file systems where nothing can be mounted: lazy trees. `Snapshots` for the supervised rung.

trees/<chain>/                       an unpacked layer on top of those below it, see `tree`
exec/                                programs prepared for the trees' own dynamic linkers, see `runtime.supervisor.executables`
containers/<id>/upper, work/         a container's own level; half-made copies, and what stands for its /dev and tmpfs
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dockerlab.engine.home import Home
from dockerlab.engine.rootfs import Change, Kind, OpenLayer, Root, tree_changes, tree_layer
from dockerlab.engine.rootfs.differences import listed, size
from dockerlab.engine.rootfs.removal import remove
from dockerlab.engine.rootfs.tree import Tree, make_placeholder
from dockerlab.engine.rootfs.unpacked import Unpacked
from dockerlab.engine.store.disk import Budget

if TYPE_CHECKING:
    from dockerlab.engine.finding import Finding
    from dockerlab.engine.store import Layer

_DIGITS = 24


class TreeSnapshots:
    """Lazy trees below a home's root."""

    kind: Kind = "tree"

    def __init__(self, home: Home) -> None:
        self._home = home
        self._unpacked = Unpacked(home, "tree", "trees", _DIGITS, self._unpack, shared=True)
        for path in (self._unpacked.folder, home.tmp):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def prepare(self, layers: Sequence[Layer], open_layer: OpenLayer) -> tuple[str, ...]:
        """See `Snapshots`."""
        return tuple(str(path) for path in reversed(self._unpacked.prepare(layers, open_layer)))

    def create(self, container: Path, lowers: Sequence[str]) -> Root:
        """See `Snapshots`."""
        upper, work = container / "upper", container / "work"
        work.mkdir(mode=0o700, parents=True)
        if lowers:
            make_placeholder(os.fsencode(upper), os.fsencode(Path(lowers[0]).name))
        else:
            upper.mkdir(mode=0o755)
        return Root("tree", tuple(lowers), str(upper), str(work))

    def changes(self, root: Root) -> list[Change]:
        """See `Snapshots`."""
        return listed(tree_changes.differences(of(root), _topmost(root)))

    def diff(self, root: Root, out: IO[bytes]) -> None:
        """See `Snapshots`."""
        tree_changes.write_layer(of(root), _topmost(root), out)

    def adopt(self, root: Root, layers: Sequence[Layer]) -> None:
        """See `Snapshots`."""

    def usage(self, root: Root) -> int:
        """See `Snapshots`."""
        return size(tree_changes.differences(of(root), _topmost(root)))

    def remove(self, container: Path) -> None:
        """See `Snapshots`."""
        remove(container)

    def collect(self, keep: Collection[str]) -> None:
        """See `Snapshots`."""
        self._unpacked.collect(keep)

    def sweep(self) -> int:
        """See `Snapshots`. Prepared programs go too: they are made anew."""
        if freed := self._unpacked.sweep():
            remove(self._home.root / "exec")
        return freed

    def check(self, images: Sequence[Sequence[Layer]], open_layer: OpenLayer, *, repair: bool) -> Iterator[Finding]:
        """See `Snapshots`."""
        return self._unpacked.check(images, open_layer, repair=repair)

    def _unpack(self, scratch: Path, stream: IO[bytes], below: Sequence[Path]) -> Path:
        top, copies = scratch / "top", scratch / "scratch"
        copies.mkdir()
        if below:
            make_placeholder(os.fsencode(top), os.fsencode(below[-1].name))
        else:
            top.mkdir(mode=0o755)
        tree = Tree(os.fsencode(top), os.fsencode(self._unpacked.folder), os.fsencode(copies))
        tree_layer.apply(tree, stream, Budget(scratch))
        return top


def of(root: Root) -> Tree:
    """A container's tree."""
    trees = os.path.dirname(root.lowers[0]) if root.lowers else ""
    return Tree(os.fsencode(root.upper), os.fsencode(trees), os.fsencode(root.work))


def _topmost(root: Root) -> bytes | None:
    return os.fsencode(os.path.basename(root.lowers[0])) if root.lowers else None
