"""Root file systems put together by the kernel's overlayfs. `Snapshots` for the namespaces rung.

    layers/<chain>/             a layer, unpacked as overlayfs keeps one: what it removes is a character device 0:0 (a *whiteout*), a
                                directory that hides those below carries the attribute `user.overlay.opaque`
    layers/lock                 held while one is unpacked
    containers/<id>/upper       the same, written by the kernel; work/ is its own

Mounted with `userxattr`, as root and in a user namespace alike (linux Documentation/filesystems/overlayfs.rst). As root, owners are
real; else everything is ours, shown as root's, and an owner that the image gave is recorded (`recorded`) for a later commit.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dockerlab.engine.home import Home
from dockerlab.engine.rootfs import Change, Kind, Root, in_use, overlay_changes, overlay_layer
from dockerlab.engine.rootfs.removal import remove
from dockerlab.engine.store.disk import Budget, full_disk_is_an_error
from dockerlab.engine.store.lock import Lock

if TYPE_CHECKING:
    from dockerlab.engine.store import Layer

# 127 layers must fit into the options of one mount, a page; and nobody must find another layer whose name begins so.
_DIGITS = 20
_EMPTY = "empty"
_LOCK = "lock"
_HALF_MADE = "layer-"


class OverlaySnapshots:
    """Unpacked layers below a home's root."""

    kind: Kind = "overlay"

    def __init__(self, home: Home) -> None:
        self._home = home
        self._layers = home.root / "layers"
        for path in (self._layers / _EMPTY, home.tmp):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def prepare(self, layers: Sequence[Layer], open_layer: Callable[[Layer], IO[bytes]]) -> tuple[str, ...]:
        """See `Snapshots`."""
        lowers: list[Path] = []
        for layer in layers:
            target = self._layers / _short(layer.chain_id)
            if not target.exists():
                with Lock(self._layers / _LOCK).exclusive(), full_disk_is_an_error():
                    if not target.exists():
                        self._unpack(layer, open_layer, lowers, target)
            lowers.append(target)
        # An overlay has one lower at least.
        return tuple(str(path) for path in reversed(lowers or [self._layers / _EMPTY]))

    def create(self, container: Path, lowers: Sequence[str]) -> Root:
        """See `Snapshots`."""
        upper, work = container / "upper", container / "work"
        work.mkdir(mode=0o700, parents=True)
        upper.mkdir()
        # The root's own mode is the uppermost's.
        os.chmod(upper, stat.S_IMODE(os.stat(lowers[0]).st_mode) if lowers and not lowers[0].endswith(_EMPTY) else 0o755)
        return Root("overlay", tuple(lowers), str(upper), str(work))

    def changes(self, root: Root) -> list[Change]:
        """See `Snapshots`."""
        return overlay_changes.changes(root)

    def diff(self, root: Root, out: IO[bytes]) -> None:
        """See `Snapshots`."""
        overlay_changes.write_layer(root, out)

    def usage(self, root: Root) -> int:
        """See `Snapshots`."""
        return overlay_changes.usage(root)

    def remove(self, container: Path) -> None:
        """See `Snapshots`."""
        remove(container)

    def collect(self, keep: Collection[str]) -> int:
        """See `Snapshots`."""
        kept = {_short(chain) for chain in keep} | {_EMPTY, _LOCK} | in_use.names(self._home)
        freed = 0
        with Lock(self._layers / _LOCK).exclusive():
            # Whoever unpacks holds the lock: this was left by a crash.
            for path in self._home.tmp.glob(f"{_HALF_MADE}*"):
                freed += _size(path)
                remove(path)
            for path in [path for path in self._layers.iterdir() if path.name not in kept]:
                # Renamed first: a layer is there whole or not at all.
                gone = Path(tempfile.mkdtemp(prefix=_HALF_MADE, dir=self._home.tmp))
                path.rename(gone / path.name)
                freed += _size(gone)
                remove(gone)
        return freed

    def _unpack(self, layer: Layer, open_layer: Callable[[Layer], IO[bytes]], below: Sequence[Path], target: Path) -> None:
        made = Path(tempfile.mkdtemp(prefix=_HALF_MADE, dir=self._home.tmp))
        try:
            top = made / "top"
            top.mkdir()
            top.chmod(0o755)
            with open_layer(layer) as stream:
                overlay_layer.unpack(
                    os.fsencode(top), stream, Budget(self._home.tmp), [os.fsencode(path) for path in reversed(below)]
                )
            top.rename(target)
        finally:
            remove(made)


def _short(chain_id: str) -> str:
    return chain_id.removeprefix("sha256:")[:_DIGITS]


def _size(path: Path) -> int:
    return sum(os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(path) for name in names)
