"""Root file systems where nothing can be mounted: lazy trees. `Snapshots` for the supervised rung.

trees/<chain>/                       an unpacked layer on top of those below it, see `tree`
trees/lock                           held while one is unpacked
exec/                                programs prepared for the trees' own dynamic linkers, see `runtime.supervisor.executables`
containers/<id>/upper, work/         a container's own level; half-made copies, and what stands for its /dev and tmpfs
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dockerlab.engine.home import Home
from dockerlab.engine.rootfs import Change, Kind, Root, in_use, tree_changes, tree_layer
from dockerlab.engine.rootfs.removal import remove
from dockerlab.engine.rootfs.tree import Tree, make_placeholder
from dockerlab.engine.store.disk import Budget, full_disk_is_an_error
from dockerlab.engine.store.lock import Lock

if TYPE_CHECKING:
    from dockerlab.engine.store import Layer

_DIGITS = 24


class TreeSnapshots:
    """Lazy trees below a home's root."""

    kind: Kind = "tree"

    def __init__(self, home: Home) -> None:
        self._home = home
        self._trees = home.root / "trees"
        self._trees.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.tmp.mkdir(mode=0o700, parents=True, exist_ok=True)

    def prepare(self, layers: Sequence[Layer], open_layer: Callable[[Layer], IO[bytes]]) -> tuple[str, ...]:
        """See `Snapshots`."""
        lowers: list[Path] = []
        for layer in layers:
            target = self._trees / short(layer.chain_id)
            if not target.exists():
                with Lock(self._trees / "lock").exclusive(), full_disk_is_an_error():
                    if not target.exists():
                        self._unpack(layer, open_layer, lowers[-1] if lowers else None, target)
            lowers.append(target)
        return tuple(str(path) for path in reversed(lowers))

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
        return tree_changes.changes(of(root), _topmost(root))

    def diff(self, root: Root, out: IO[bytes]) -> None:
        """See `Snapshots`."""
        tree_changes.write_layer(of(root), _topmost(root), out)

    def usage(self, root: Root) -> int:
        """See `Snapshots`."""
        return tree_changes.usage(of(root), _topmost(root))

    def remove(self, container: Path) -> None:
        """See `Snapshots`."""
        remove(container)

    def collect(self, keep: Collection[str]) -> int:
        """See `Snapshots`. Prepared programs go too: they are made anew."""
        names = {short(chain) for chain in keep} | {"lock"} | in_use.names(self._home)
        freed = 0
        with Lock(self._trees / "lock").exclusive():
            gone = [path for path in self._trees.iterdir() if path.name not in names]
            for path in gone:
                freed += _size(path)
                remove(path)
        if gone:
            remove(self._home.root / "exec")
        return freed

    def _unpack(self, layer: Layer, open_layer: Callable[[Layer], IO[bytes]], below: Path | None, target: Path) -> None:
        made = Path(tempfile.mkdtemp(prefix="tree-", dir=self._home.tmp))
        try:
            top, scratch = made / "top", made / "scratch"
            scratch.mkdir()
            if below:
                make_placeholder(os.fsencode(top), os.fsencode(below.name))
            else:
                top.mkdir(mode=0o755)
            tree = Tree(os.fsencode(top), os.fsencode(self._trees), os.fsencode(scratch))
            with open_layer(layer) as stream:
                tree_layer.apply(tree, stream, Budget(self._home.tmp))
            top.rename(target)
        finally:
            remove(made)


def of(root: Root) -> Tree:
    """A container's tree."""
    trees = os.path.dirname(root.lowers[0]) if root.lowers else ""
    return Tree(os.fsencode(root.upper), os.fsencode(trees), os.fsencode(root.work))


def short(chain_id: str) -> str:
    """A chain id as a directory's name."""
    return chain_id.removeprefix("sha256:")[:_DIGITS]


def _topmost(root: Root) -> bytes | None:
    return os.fsencode(os.path.basename(root.lowers[0])) if root.lowers else None


def _size(path: Path) -> int:
    """Bytes that removing a tree frees: those of files that no other tree shares."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            found = os.lstat(os.path.join(folder, name))
            total += found.st_size if found.st_nlink == 1 else 0
    return total
