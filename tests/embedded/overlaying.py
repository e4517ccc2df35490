"""Overlay root file systems, without mounting them, for tests: as root, and as somebody without rights."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dockerlab.engine.home import Home
from dockerlab.engine.rootfs import Root
from dockerlab.engine.rootfs.overlay import OverlaySnapshots
from dockerlab.engine.rootfs.overlay_layer import OPAQUE
from dockerlab.engine.store.values import Layer
from dockerlab.wire.tar import entries
from tests.embedded.archives import File, layer
from tests.embedded.supervised import as_user

BASE = layer(
    ("", None, {"mode": 0o751}),
    ("etc", None, {}),
    ("etc/passwd", b"root:x:0:0::/:/bin/sh\n", {"mtime": 1_500_000_000}),
    ("etc/shadow", b"secret", {"mode": 0o000, "gid": 42}),
    ("tmp", None, {"mode": 0o1777}),
    ("usr", None, {}),
    ("usr/bin", None, {}),
    ("usr/bin/a", b"aaa", {"mode": 0o4755}),
    ("usr/bin/b", b"", {"type": tarfile.LNKTYPE, "linkname": "usr/bin/a"}),
    ("bin", "usr/bin", {}),
    ("locked", None, {"mode": 0o000, "uid": 7, "gid": 8}),
    ("locked/in", b"", {}),
    ("old", None, {}),
    ("old/one", b"1", {}),
    ("old/two", b"22", {}),
)


@dataclass(frozen=True)
class Place:
    """A home that belongs to `uid`; `do` works there as that user."""

    home: Home
    uid: int

    def do(self, work: Callable[[OverlaySnapshots], Any]) -> Any:
        return as_user(self.uid, lambda: work(OverlaySnapshots(self.home)))

    def prepare(self, *layers: bytes) -> tuple[str, ...]:
        found: tuple[str, ...] = self.do(lambda snapshots: snapshots.prepare(values(layers), opener(layers)))
        return found

    def unpack(self, *files: File, below: bytes = BASE) -> Path:
        """The topmost of two layers, unpacked."""
        return Path(self.prepare(below, layer(*files))[0])

    def root(self, *layers: bytes) -> Root:
        """A container's, of these layers."""
        lowers = self.prepare(*layers)
        container = self.home.container("c" * 64)
        found: Root = self.do(lambda snapshots: snapshots.create(container, lowers))
        return found

    def changed(self, root: Root) -> list[str]:
        """As `docker diff` prints it."""
        found = self.do(lambda snapshots: [(int(change.kind), change.path) for change in snapshots.changes(root)])
        return [f"{'CAD'[kind]} {path}" for kind, path in found]

    def diff(self, root: Root) -> bytes:
        def work(snapshots: OverlaySnapshots) -> bytes:
            out = io.BytesIO()
            snapshots.diff(root, out)
            return out.getvalue()

        data: bytes = self.do(work)
        return data


def values(layers: Sequence[bytes]) -> list[Layer]:
    found: list[Layer] = []
    for data in layers:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        chain = "sha256:" + hashlib.sha256(f"{found[-1].chain_id if found else ''} {digest}".encode()).hexdigest()
        found.append(Layer(digest, chain, digest, "application/vnd.oci.image.layer.v1.tar", len(data), len(data)))
    return found


def opener(layers: Sequence[bytes]) -> Callable[[Layer], io.BytesIO]:
    contents = {value.digest: data for value, data in zip(values(layers), layers, strict=True)}
    return lambda layer: io.BytesIO(contents[layer.digest])


def is_whiteout(path: Path) -> bool:
    found = path.lstat()
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def is_opaque(path: Path) -> bool:
    return OPAQUE.decode() in os.listxattr(path) and os.getxattr(path, OPAQUE) == b"y"


def made(tar: bytes) -> dict[str, tuple[str, int, int, int]]:
    return {entry.path: (entry.kind, entry.mode, entry.uid, entry.gid) for entry, _ in entries(io.BytesIO(tar))}


def write_into(place: Place, root: Root) -> None:
    """What the kernel does to the upper directory."""

    def work(snapshots: OverlaySnapshots) -> None:
        upper = Path(root.upper)
        for name in ("etc", "new", "new/deep", "old"):
            (upper / name).mkdir(mode=0o755)
        (upper / "etc/passwd").write_bytes(b"changed")
        (upper / "new/deep/f").write_bytes(b"12345")
        (upper / "new/deep/f").chmod(0)
        (upper / "new/deep").chmod(0)
        (upper / "new").chmod(0o700)
        (upper / "weg").write_bytes(b"g")
        for gone in ("tmp", "old/one"):
            os.mknod(upper / gone, stat.S_IFCHR, 0)

    place.do(work)
