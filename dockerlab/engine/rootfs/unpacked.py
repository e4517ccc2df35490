"""The unpacked layers of one kind: directories that go by their chain ids, each whole or not there at all, a power cut included.

<folder>/<chain>        an unpacked layer; it never changes
layers.lock             held while one is unpacked, or set aside to be removed, which is a rename
trash.lock              held while what was set aside is removed, file by file: nobody who unpacks waits for that
tmp/layer-*             one that is being unpacked
tmp/trash-*             what was set aside
"""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dockerlab.engine.finding import Finding
from dockerlab.engine.home import Home
from dockerlab.engine.rootfs import Kind, OpenLayer, comparison, in_use
from dockerlab.engine.rootfs.removal import remove
from dockerlab.engine.runtime import kernel
from dockerlab.engine.store.disk import Budget, file_system, full_disk_is_an_error
from dockerlab.engine.store.lock import Lock
from dockerlab.errors import EngineError
from dockerlab.wire.tar import Data, Entry, Readable, entries

if TYPE_CHECKING:
    from dockerlab.engine.store import Layer

HALF_MADE = "layer-"
TRASH = "trash-"
_CHUNK = 1 << 18
# Unpacks a layer: a new directory to work in, the tar, the unpacked layers below, lowest first. Gives the directory that it made.
Unpack = Callable[[Path, IO[bytes], Sequence[Path]], Path]


def carry_out(stream: Readable, budget: Budget, add: Callable[[Entry, Data], None]) -> None:
    """Reads a layer's tar to its end. Raises EngineError for one that is broken or not safe, or would fill the disk."""
    for entry, data in entries(stream):
        budget.add_file()
        budget.spend(sum(length for _, length in entry.sparse) if entry.sparse is not None else entry.size)
        try:
            add(entry, data)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise EngineError(f"/{entry.path}: file name too long") from error
            raise
    while stream.read(_CHUNK):  # whoever gives the stream verifies it at its end
        pass


@dataclass(frozen=True)
class Unpacked:
    """kind: of the containers that stand on them. name: of the folder in the home's root. digits: how long a directory's name is.

    shared: whether what is unpacked, and containers' files, hold hard links to the layers below, so that none of these can be replaced
    under them.
    """

    home: Home
    kind: Kind
    name: str
    digits: int
    unpack: Unpack
    shared: bool

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self.home.root / self.name

    def path(self, chain_id: str) -> Path:
        """Where one is, or would be."""
        return self.folder / chain_id.removeprefix("sha256:")[: self.digits]

    def prepare(self, layers: Sequence[Layer], open_layer: OpenLayer) -> list[Path]:
        """Unpacks those that are not yet; all, lowest first."""
        lowers: list[Path] = []
        for layer in layers:
            target = self.path(layer.chain_id)
            if not target.exists():
                with self._alone(), full_disk_is_an_error():
                    if not target.exists():
                        with self._made(layer, open_layer, lowers) as made:
                            made.rename(target)
            lowers.append(target)
        return lowers

    def adopt(self, layer: Layer, made: Path) -> None:
        """Makes a directory, on the same file system, the unpacked layer, if there is none. It is what unpacking would have made."""
        target = self.path(layer.chain_id)
        with self._alone(), full_disk_is_an_error():
            if not target.exists():
                kernel.syncfs(made)
                made.rename(target)

    def collect(self, keep: Collection[str], also: Collection[str] = ()) -> None:
        """Sets aside those whose chain id is not in `keep`, nor their name in `also`, and on which no container stands."""
        kept = {self.path(chain).name for chain in keep} | {*also} | in_use.names(self.home)
        with self._alone():
            for path in [path for path in self.folder.iterdir() if path.name not in kept]:
                self._set_aside(path)

    def sweep(self) -> int:
        """Removes what was set aside, and what a crash left, half-removed or half-unpacked; the bytes that became free."""
        freed = 0
        with self._alone():
            for path in [*self.home.tmp.glob(f"{HALF_MADE}*")]:
                self._set_aside(path)
        with self._removing():
            for path in self.home.tmp.glob(f"{TRASH}*"):
                freed += _size(path)
                remove(path)
        return freed

    def check(self, images: Sequence[Sequence[Layer]], open_layer: OpenLayer, *, repair: bool) -> Iterator[Finding]:
        """Compares those that are there, or that a container needs, with the layers of images, lowest first."""
        for lock, prefix in ((self._alone, HALF_MADE), (self._removing, TRASH)):
            with lock():
                for path in sorted(self.home.tmp.glob(f"{prefix}*")):
                    if repair:
                        remove(path)
                    yield Finding(path.name, "left by a crash", repair)
        standing = [one for one in in_use.containers(self.home) if one.kind == self.kind and one.lowers]
        needed = {chain for container in standing for chain in container.layers}
        seen: set[str] = set()
        for layers in images:
            for number, layer in enumerate(layers):
                below = [self.path(lower.chain_id) for lower in layers[:number]]
                if layer.chain_id in seen or not all(path.exists() for path in below):
                    continue
                seen.add(layer.chain_id)
                if layer.chain_id in needed or self.path(layer.chain_id).exists():
                    yield from self._compare(layer, below, open_layer, standing, repair=repair)
        known = {self.path(chain).name for chain in seen}
        for container in standing:
            for lower in container.lowers:
                if lower not in known and not (self.folder / lower).exists():
                    yield Finding(f"container {container.name}", f"the unpacked layer {lower} is missing, and its image too", False)

    def _compare(
        self, layer: Layer, below: Sequence[Path], open_layer: OpenLayer, standing: Sequence[in_use.Standing], *, repair: bool
    ) -> Iterator[Finding]:
        target = self.path(layer.chain_id)
        with self._alone(), full_disk_is_an_error(), self._made(layer, open_layer, below) as made:
            if not target.exists():
                text = "it is missing"
            elif not (text := comparison.difference(os.fsencode(made), os.fsencode(target), links=_keeps_links(target))):
                return
            is_there = target.exists()
            users = sorted(one.name for one in standing if target.name in one.lowers and (one.runs or self.shared) and is_there)
            if users:
                text += f"; once {', '.join(users)} {'is removed' if self.shared else 'has stopped'} it can be mended"
            elif repair:
                if is_there and not self._set_aside(target):
                    yield Finding(f"unpacked layer {target.name}", f"{text}; it came with the image that the engine runs in", False)
                    return
                made.rename(target)
            yield Finding(f"unpacked layer {target.name}", text, repair and not users)

    @contextmanager
    def _made(self, layer: Layer, open_layer: OpenLayer, below: Sequence[Path]) -> Iterator[Path]:
        """A layer, unpacked in `tmp`, to be renamed; else it is gone at the end."""
        scratch = Path(tempfile.mkdtemp(prefix=HALF_MADE, dir=self.home.tmp))
        try:
            with open_layer(layer) as stream:
                made = self.unpack(scratch, stream, below)
            # Else a power cut might leave a whole layer of empty files. One call for all of them: 60,000 cost less than a second.
            kernel.syncfs(scratch)
            yield made
        finally:
            remove(scratch)

    def _set_aside(self, path: Path) -> bool:
        """Renamed first, removed later: a layer is there whole or not at all. Whether it could be.

        What came with the image that the engine runs in, as on Binder, stays: an overlay renames no directory of its own lower layers,
        and to remove it there would free nothing.
        """
        try:
            # In one step: whoever sweeps at this moment may remove all that is called so.
            path.rename(self.home.tmp / f"{TRASH}{secrets.token_hex(8)}")
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return False
        return True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Whoever unpacks holds the lock: what is half-unpacked for somebody who has it was left by a crash."""
        with Lock(self.home.root / "layers.lock").exclusive():
            yield

    @contextmanager
    def _removing(self) -> Iterator[None]:
        """Whoever removes holds the lock, so that no two remove the same."""
        with Lock(self.home.root / "trash.lock").exclusive():
            yield


def _keeps_links(path: Path) -> bool:
    """Whether a file stays the same one when it gets another name. In an overlay, one that came with the image that the engine runs in is
    copied then, and its other names go on naming what the image has.
    """
    return file_system(path) != "overlay"


def _size(path: Path) -> int:
    """Bytes that removing a directory frees: those of files that have no name elsewhere."""
    total = 0
    links: dict[int, int] = {}
    waiting = [str(path)]
    while waiting:
        with os.scandir(waiting.pop()) as found:
            for entry in found:
                status = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                    continue
                links[status.st_ino] = links.get(status.st_ino, status.st_nlink) - 1
                total += status.st_size if not links[status.st_ino] else 0
    return total
