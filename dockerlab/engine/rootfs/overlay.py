"""Root file systems put together by the kernel's overlayfs. `Snapshots` for the namespaces rung.

    layers/<chain>/             a layer, unpacked as overlayfs keeps one: what it removes is a character device 0:0 (a *whiteout*), a
                                directory that hides those below carries the attribute `user.overlay.opaque`
    layers/mount-points/        below all of them, what every container has (see `mount_points`)
    containers/<id>/upper       the same, written by the kernel; work/ is its own

Mounted with `userxattr`, as root and in a user namespace alike (linux Documentation/filesystems/overlayfs.rst). As root, owners are
real; else everything is ours, shown as root's, and an owner that the image gave is recorded (`recorded`) for a later commit.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dockerlab.engine.home import Home
from dockerlab.engine.rootfs import Change, Kind, OpenLayer, Root, mount_points, overlay_changes, overlay_layer
from dockerlab.engine.rootfs.differences import listed, size
from dockerlab.engine.rootfs.overlay_adoption import CannotBeAdopted, adopt
from dockerlab.engine.rootfs.removal import remove
from dockerlab.engine.rootfs.unpacked import Unpacked
from dockerlab.engine.store.disk import Budget

if TYPE_CHECKING:
    from dockerlab.engine.finding import Finding
    from dockerlab.engine.store import Layer

# 127 layers must fit into the options of one mount, a page; and nobody must find another layer whose name begins so.
_DIGITS = 20
_MOUNT_POINTS = "mount-points"


class OverlaySnapshots:
    """Unpacked layers below a home's root."""

    kind: Kind = "overlay"

    def __init__(self, home: Home) -> None:
        self._unpacked = Unpacked(home, "overlay", "layers", _DIGITS, _unpack, shared=False)
        for path in (self._unpacked.folder, home.tmp):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        mount_points.lay(self._unpacked.folder / _MOUNT_POINTS)

    def prepare(self, layers: Sequence[Layer], open_layer: OpenLayer) -> tuple[str, ...]:
        """See `Snapshots`."""
        lowers = [self._unpacked.folder / _MOUNT_POINTS, *self._unpacked.prepare(layers, open_layer)]
        return tuple(str(path) for path in reversed(lowers))

    def create(self, container: Path, lowers: Sequence[str]) -> Root:
        """See `Snapshots`."""
        upper, work = container / "upper", container / "work"
        work.mkdir(mode=0o700, parents=True)
        upper.mkdir()
        # The root's own mode is the uppermost's.
        os.chmod(upper, stat.S_IMODE(os.stat(lowers[0]).st_mode))
        return Root("overlay", tuple(lowers), str(upper), str(work))

    def changes(self, root: Root) -> list[Change]:
        """See `Snapshots`."""
        return listed(overlay_changes.differences(root))

    def diff(self, root: Root, out: IO[bytes]) -> None:
        """See `Snapshots`."""
        overlay_changes.write_layer(root, out)

    def adopt(self, root: Root, layers: Sequence[Layer]) -> None:
        """See `Snapshots`."""
        lowers = [os.fsencode(self._unpacked.path(layer.chain_id)) for layer in reversed(layers[:-1])]
        with suppress(CannotBeAdopted, OSError):  # it is unpacked when it is needed
            adopt(root, lowers)
            self._unpacked.adopt(layers[-1], Path(root.upper))

    def usage(self, root: Root) -> int:
        """See `Snapshots`."""
        return size(overlay_changes.differences(root))

    def remove(self, container: Path) -> None:
        """See `Snapshots`."""
        remove(container)

    def collect(self, keep: Collection[str]) -> None:
        """See `Snapshots`."""
        self._unpacked.collect(keep, (_MOUNT_POINTS,))

    def sweep(self) -> int:
        """See `Snapshots`."""
        return self._unpacked.sweep()

    def check(self, images: Sequence[Sequence[Layer]], open_layer: OpenLayer, *, repair: bool) -> Iterator[Finding]:
        """See `Snapshots`."""
        return self._unpacked.check(images, open_layer, repair=repair)


def _unpack(scratch: Path, stream: IO[bytes], below: Sequence[Path]) -> Path:
    top = scratch / "top"
    top.mkdir()
    top.chmod(0o755)
    overlay_layer.unpack(os.fsencode(top), stream, Budget(scratch), [os.fsencode(path) for path in reversed(below)])
    return top
